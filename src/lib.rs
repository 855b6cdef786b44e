//! Understudy disguises people in film so that they can speak without being hunted.
//!
//! ```text
//! video ─► media ─► vision ─► plan ─► treat ─► media ─► video
//!          decode   faces →   who      swap │    encode
//!                   tracks    becomes  redact        └─► verify ─► report
//! audio ─► media ───────────► whom ─► voice ─► media
//! ```
//!
//! Two passes with a file between: `plan` is the seam. No frame reaches the encoder unless
//! [`treat`] made a `ClearedFrame` of it, and no sound unless [`voice`] made a `ClearedAudio`.

pub mod audio;
pub mod card;
pub mod cli;
pub mod error;
pub mod files;
#[doc(hidden)]
pub mod fuzzing;
pub mod geom;
pub mod image;
pub mod infer;
pub mod journal;
pub mod media;
pub mod pipeline;
pub mod plan;
pub mod redact;
pub mod report;
pub mod sandbox;
pub mod subtitles;
pub mod swap;
pub mod treat;
pub mod units;
pub mod vault;
pub mod verify;
pub mod vision;
pub mod voice;

pub use error::{Breach, Error, Result};
