//! Applies a plan to frames. Sole maker of [`ClearedFrame`].

mod cleared;

pub use cleared::ClearedFrame;
