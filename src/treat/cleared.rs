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

impl ClearedFrame {
    /// A frame of the same time that shows only a matte (white where this frame was touched).
    #[must_use]
    pub fn matte_frame(&self, matte: &crate::image::Matte) -> ClearedFrame {
        use crate::image::{ColorDesc, ColorModel, PixelLayout, Samples};
        let layout = PixelLayout { model: ColorModel::Gray, depth: 8, log2_chroma_w: 0, log2_chroma_h: 0 };
        let color = ColorDesc { full_range: Some(true), ..ColorDesc::default() };
        let mut frame = Frame::black(self.frame.width, self.frame.height, layout, color);
        if let Samples::U8(v) = &mut frame.planes[0].samples {
            // Any alpha above 0, however small, must show: rounding up keeps "0 = untouched" exact.
            v.iter_mut().zip(&matte.data).for_each(|(s, a)| *s = (a * 255.0).ceil().clamp(0.0, 255.0) as u8);
        }
        ClearedFrame { frame, index: self.index, pts: self.pts, duration: self.duration }
    }
}
