//! Attacks on treated sound, used by verification and tests. Pure measurement; no networks.
//!
//! A pass proves that the recorded voice is not *in* the output. It does not prove that nobody can be recognised.

mod coherence;
mod envelope;
mod inverse;
mod leak;
mod prepare;
mod recognise;
mod speaker;
mod tiles;
mod whiten;

pub use coherence::mixed_in;
pub use envelope::{EnvelopeMatch, envelope_match};
pub use inverse::{InverseReport, InverseSearch, STEADY};
pub use leak::{LeakReport, LeakSearch, leaked_windows};
pub use recognise::{LEAST_VOICED_SECS, SAME_SPEAKER, SpeakerReport, SpeakerSearch, Strangers};
pub use speaker::{Averages, SPEAKER_FEATURES, speaker_averages, speaker_features};
