//! Failures on purpose, for tests that prove what happens then.

/// Which failures to provoke. All are off by default, and no command-line option can set them.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Panic inside the rendering of a double from this frame on.
    pub render_panic_from: Option<u64>,
    /// Rendering returns an error from this frame on.
    pub render_error_from: Option<u64>,
    /// Every mesh has a NaN from this frame on.
    pub nan_mesh_from: Option<u64>,
    /// Panic in the worker thread itself at this frame.
    pub worker_panic_at: Option<u64>,
    /// The encoder fails at this frame.
    pub encoder_error_at: Option<u64>,
    /// The decoder fails at this frame.
    pub decoder_error_at: Option<u64>,
}

impl Faults {
    pub(crate) fn hits(at: Option<u64>, frame: u64) -> bool {
        at.is_some_and(|f| frame >= f)
    }
}
