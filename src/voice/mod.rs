//! Voice disguise: pseudo-speaker resynthesis with statistics erasure. Sole maker of [`ClearedAudio`].
//!
//! ```text
//! pass 1  RawAudio ─► mix ─► resample ─► features ─► statistics ─► SpeechStatistics (RAM only)
//!                            16 kHz      f0, envelope, cepstrum        │
//! pass 2  RawAudio ─► mix ─► resample ─► features ─► disguise ─► paint ─► synth ─► resample ─► ClearedAudio
//!                                                        ▲ speaker ◄─ Secret
//! ```
//!
//! **Invariant:** no input sample, phase or residual reaches the output outside `Keep` segments; only pitch contour,
//! loudness contour and a 24-number spectrum per 5 ms pass, all with the owner's statistics replaced.
//! This is a disguise, not anonymity: `docs/voice.md` says what still leaks.

pub mod activity;
pub mod attack;
mod autocorrelation;
pub mod cepstrum;
mod cleared;
mod disguise;
pub mod envelope;
pub mod f0;
pub mod features;
pub mod fft;
mod finding;
mod fundamental;
mod loudness;
mod mix;
mod modulate;
mod paint;
mod period;
mod policy;
mod refine;
pub mod resample;
mod secret;
mod smooth;
mod speaker;
mod statistics;
mod stream;
mod synth;
mod tables;
mod transport;
#[cfg(test)]
mod trials;
pub mod turns;
mod vocoder;
mod vtln;

pub use cleared::ClearedAudio;
pub use finding::VoiceFinding;
pub(crate) use policy::Timeline;
pub use policy::{StreamPolicy, VoiceStyle};
pub use secret::Secret;
pub use statistics::SpeechStatistics;
pub use stream::{ActorTrack, SpeechAnalyser, VoiceStage};

/// Rate at which the voice is analysed and synthesised; nothing above half of it survives.
pub const RATE_HZ: u32 = 16_000;
/// Samples per frame: 5 ms.
pub const HOP: usize = 80;
/// Points of a spectrum's transform.
pub const FFT_SIZE: usize = 1024;
/// Bins of a spectrum, 0 to 8 kHz.
pub const BINS: usize = FFT_SIZE / 2 + 1;
