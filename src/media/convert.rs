//! Cleared frames to pictures of the encoder's pixel format.

use super::ffi::{AvError, AvFrame, PixFmt, RawColor, Scaler};
use super::pixels::{fill, format_of};
use crate::image::{ColorDesc, ColorModel, Frame, PixelLayout};
use crate::{Error, Result};

/// FFmpeg's numbers of a colour description.
pub(super) fn raw_color(c: &ColorDesc) -> RawColor {
    RawColor {
        range: c.full_range.map_or(0, |f| 1 + i32::from(f)),
        primaries: c.primaries.into(),
        transfer: c.transfer.into(),
        matrix: c.matrix.into(),
        location: c.chroma_location.into(),
    }
}

/// The matrix that players assume where none is given.
fn assumed_matrix(matrix: u8, height: usize) -> i32 {
    match matrix {
        0 | 2 | 3 if height >= 720 => 1,
        0 | 2 | 3 => 5,
        10 => 9,
        m => m.into(),
    }
}

/// Turns frames of one layout and size into pictures.
pub(super) struct Converter {
    layout: PixelLayout,
    width: usize,
    height: usize,
    /// Size of the picture, larger by the columns and rows that were added to make it even.
    padded: (usize, usize),
    own: PixFmt,
    target: PixFmt,
    color: RawColor,
    scaler: Option<Scaler>,
    field_scaler: Option<Scaler>,
}

fn fail(e: AvError) -> Error {
    Error::Output(format!("a picture cannot be converted for the encoder: {}", e.text()))
}

impl Converter {
    /// Plans the conversion of `width` × `height` pictures from `layout` and `from` to `target` and `to`.
    pub(super) fn new(
        (width, height): (usize, usize),
        padded: (usize, usize),
        layout: PixelLayout,
        from: &ColorDesc,
        target: PixFmt,
        to: &ColorDesc,
    ) -> Result<Self> {
        let own = format_of(layout)
            .ok_or_else(|| Error::Unsupported("pictures of this layout cannot be encoded by this FFmpeg".into()))?;
        let (mut scaler, mut field_scaler) = (None, None);
        if own != target {
            let rgb = layout.model == ColorModel::Gbr;
            let src = (own, assumed_matrix(from.matrix, height), from.full_range.unwrap_or(rgb));
            let to_rgb = target.describe().is_some_and(|d| d.rgb || d.palette);
            let dst = (target, assumed_matrix(to.matrix, height), to_rgb || to.full_range.unwrap_or(false));
            scaler = Some(Scaler::new(padded.0, padded.1, src, dst).map_err(fail)?);
            if padded.1.is_multiple_of(4) {
                field_scaler = Some(Scaler::new(padded.0, padded.1 / 2, src, dst).map_err(fail)?);
            }
        }
        Ok(Converter { layout, width, height, padded, own, target, color: raw_color(to), scaler, field_scaler })
    }

    /// One picture, with time stamp `pts`.
    ///
    /// # Errors
    /// `Output` if the frame is not of the planned shape, or for lack of memory.
    pub(super) fn picture(&mut self, frame: &Frame, pts: i64) -> Result<AvFrame> {
        if (frame.width, frame.height, frame.layout) != (self.width, self.height, self.layout) {
            return Err(Error::Output("a frame does not have the shape that the encoder was opened for".into()));
        }
        let mut own = AvFrame::picture(self.padded.0, self.padded.1, self.own).map_err(fail)?;
        if self.padded == (self.width, self.height) {
            fill(&mut own, frame)?;
        } else {
            fill(&mut own, &padded(frame, self.padded))?;
        }
        let mut picture = match (&mut self.scaler, &mut self.field_scaler) {
            (None, _) => own,
            (Some(_), Some(by_field)) if frame.interlaced => {
                let mut out = AvFrame::picture(self.padded.0, self.padded.1, self.target).map_err(fail)?;
                for field in 0..2 {
                    by_field.run(&own, &mut out, field, 2, self.padded.1 / 2).map_err(fail)?;
                }
                out
            }
            (Some(whole), _) => {
                let mut out = AvFrame::picture(self.padded.0, self.padded.1, self.target).map_err(fail)?;
                whole.run(&own, &mut out, 0, 1, self.padded.1).map_err(fail)?;
                out
            }
        };
        picture.tag(pts, self.color, frame.interlaced, frame.top_field_first);
        Ok(picture)
    }
}

/// The frame grown to the right and downwards by repeating its last column and row.
fn padded(frame: &Frame, (width, height): (usize, usize)) -> Frame {
    use crate::image::{Plane, Samples};
    fn grow<T: Copy>(v: &[T], (w, h): (usize, usize), (nw, nh): (usize, usize)) -> Vec<T> {
        let mut out = Vec::with_capacity(nw * nh);
        for y in 0..nh {
            let line = y.min(h - 1) * w;
            out.extend((0..nw).map(|x| v[line + x.min(w - 1)]));
        }
        out
    }
    let planes = frame.planes.iter().enumerate().map(|(i, p)| {
        let to = frame.layout.plane_size(i, width, height);
        let samples = match &p.samples {
            Samples::U8(v) => Samples::U8(grow(v, (p.width, p.height), to)),
            Samples::U16(v) => Samples::U16(grow(v, (p.width, p.height), to)),
        };
        Plane { width: to.0, height: to.1, samples }
    });
    Frame { width, height, planes: planes.collect(), ..frame.clone() }
}
