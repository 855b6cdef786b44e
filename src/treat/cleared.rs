//! The only kind of picture that an encoder accepts.

use crate::image::Frame;
use crate::units::{FrameIndex, Timestamp};

/// A picture on which a treatment has decided. Only [`crate::treat`] can make one.
#[derive(Debug, Clone)]
pub struct ClearedFrame {
    frame: Frame,
    index: FrameIndex,
    pts: Timestamp,
    duration: Option<i64>,
}

impl ClearedFrame {
    pub(in crate::treat) fn new(frame: Frame, index: FrameIndex, pts: Timestamp, duration: Option<i64>) -> Self {
        ClearedFrame { frame, index, pts, duration }
    }

    /// For unit tests of the writer only.
    #[cfg(test)]
    pub(crate) fn for_test(frame: Frame, index: FrameIndex, pts: Timestamp) -> Self {
        ClearedFrame { frame, index, pts, duration: None }
    }

    /// The picture.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Its number, in presentation order.
    #[must_use]
    pub fn index(&self) -> FrameIndex {
        self.index
    }

    /// Its presentation time in the source stream's time base.
    #[must_use]
    pub fn pts(&self) -> Timestamp {
        self.pts
    }

    /// Its duration in the same ticks, if the container said.
    #[must_use]
    pub fn duration(&self) -> Option<i64> {
        self.duration
    }
}
