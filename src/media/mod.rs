//! Films in and out: demultiplexing, decoding, encoding, multiplexing. Alone names FFmpeg.
//!
//! ```no_run
//! use understudy::media::{DecodeOptions, Limits, VideoReader};
//! let mut film = VideoReader::open("film.mp4".as_ref(), &Limits::default(), DecodeOptions::default())?;
//! while let Some(raw) = film.next()? {
//!     println!("{} {:.3} s", raw.index.0, film.info().time_base.seconds(raw.pts));
//! }
//! # Ok::<(), understudy::Error>(())
//! ```
//!
//! Readers give upright, planar frames in the source's own bit depth, and contiguous planar `f32` sound. The
//! [`Writer`] takes only cleared frames and cleared sound, and writes an allow-list: one video stream, the cleared
//! sound, and nothing else (no tags, chapters, data, thumbnails, timecode, encoder notes).
//!
//! **Invariant**: only local files are opened, by demuxers that cannot point to other files.

mod audio_reader;
mod convert;
mod decode;
mod ffi;
mod intact;
mod listing;
mod open;
mod pixels;
mod preset;
mod probe;
mod scrub;
mod sound;
mod texts;
mod turn;
mod video_reader;
mod writer;

#[cfg(test)]
mod tests;

pub use audio_reader::AudioReader;
pub use listing::{FileListing, StreamListing, raw_streams, read_all_video_times};
pub use preset::{EncoderOverrides, Preset, accepted_extensions, check_container};
pub use probe::{AudioInfo, ContentLight, DroppedStream, HdrInfo, MasteringDisplay, Probe, VideoInfo, probe};
pub use texts::{TextStream, read_texts};
pub use video_reader::{Damage, DecodeOptions, VideoReader};
pub use writer::{OutputSpec, Writer, check_text_container};

/// Bounds on what a hostile file may ask for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Largest width in pixels.
    pub max_width: usize,
    /// Largest height in pixels.
    pub max_height: usize,
    /// Largest number of pixels of one picture.
    pub max_pixels: u64,
    /// Longest film in seconds.
    pub max_duration_secs: f64,
    /// Most streams in one file.
    pub max_streams: usize,
    /// Most pictures in one film.
    pub max_frames: u64,
}

impl Default for Limits {
    /// 16384 pixels a side, 135 million pixels (16K), 24 hours, 64 streams, 24 hours at 120 pictures per second.
    fn default() -> Self {
        Limits {
            max_width: 16_384,
            max_height: 16_384,
            max_pixels: 135_000_000,
            max_duration_secs: 86_400.0,
            max_streams: 64,
            max_frames: 10_368_000,
        }
    }
}

/// Prepares the libraries, once per process: their own log is silenced (errors come back as [`crate::Error`]) and
/// single allocations are capped. Every entry point of this module calls it; calling it again does nothing.
pub fn init() {
    ffi::init();
}

/// Gives memory that was freed back to the operating system: allocators keep it for the next stage, which asks for other
/// sizes. For the end of a stage; costs milliseconds.
pub fn trim_memory() {
    ffi::trim_memory();
}

/// Version of the FFmpeg libraries that run, as "5.1.9-0+deb12u1"; for diagnostics.
#[must_use]
pub fn library_version() -> String {
    ffi::library_version()
}
