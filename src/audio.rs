//! Decoded sound: planar `f32`, −1..=1, at its own rate.

/// Rate and channels of a sound stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AudioFormat {
    /// Samples per second of one channel.
    pub rate_hz: u32,
    /// Number of channels, 1..=64.
    pub channels: usize,
    /// FFmpeg's channel mask (0 = unspecified order); carried from input to output.
    pub layout_mask: u64,
}

/// Sound as the decoder gave it. It may hold a voice: it must never reach an encoder.
#[derive(Debug, Clone)]
pub struct RawAudio {
    /// One vector per channel, all of one length. Values may exceed ±1; NaN and infinities are already 0.
    pub channels: Vec<Vec<f32>>,
    /// Position of the first sample, counted from the stream's first sample. Blocks are contiguous.
    pub start: u64,
}

impl RawAudio {
    /// Samples per channel.
    #[must_use]
    pub fn len(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
