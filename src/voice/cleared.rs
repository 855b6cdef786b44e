//! The only kind of sound that an encoder accepts.

/// Sound on which the voice stage has decided. Only [`crate::voice`] can make one.
#[derive(Debug, Clone)]
pub struct ClearedAudio {
    channels: Vec<Vec<f32>>,
    start: u64,
}

impl ClearedAudio {
    pub(in crate::voice) fn new(channels: Vec<Vec<f32>>, start: u64) -> Self {
        ClearedAudio { channels, start }
    }

    /// For unit tests of the writer only.
    #[cfg(test)]
    pub(crate) fn for_test(channels: Vec<Vec<f32>>, start: u64) -> Self {
        ClearedAudio { channels, start }
    }

    /// One vector per channel, all of one length.
    #[must_use]
    pub fn channels(&self) -> &[Vec<f32>] {
        &self.channels
    }

    /// Position of the first sample, counted from the stream's first sample.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

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
