//! Subtitles beside and inside a film: read, freed of names and of everything that is not spoken text, written afresh.
//!
//! ```text
//! SRT, WebVTT, ASS ─► cues: times and plain lines ─► aliases of the cast ─► SRT or WebVTT, nothing else
//! packets of a film ─►                                                    ─► packets of another
//! ```
//!
//! **Invariant:** the writer sees times and checked text only, never a byte of the source's tags, styles, comments,
//! identifiers, settings or fields. What is doubtful is covered.

mod alias;
mod embedded;
mod read;
mod write;

pub use alias::{Aliases, Doubt};
pub use embedded::{ClearedText, TextCodec, TextFault, TextPacket};
pub use read::{MOST_BYTES, read};
pub use write::{Kind, check, write};

/// A piece of text on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// When it appears, milliseconds.
    pub start_ms: u64,
    /// When it is gone; after `start_ms`.
    pub end_ms: u64,
    /// Plain lines, none of them empty.
    pub lines: Vec<String>,
}
