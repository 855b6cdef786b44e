//! Voice disguise. Sole maker of [`ClearedAudio`].

mod cleared;

pub use cleared::ClearedAudio;
