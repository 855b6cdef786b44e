//! Quarter turns and mirrorings that bring a picture upright, without touching a sample.

use crate::image::{ColorModel, PixelLayout, Plane, Samples};

/// How stored pixels become the upright picture: mirror the stored picture, then swap rows with columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Turn {
    /// Columns become rows.
    pub transpose: bool,
    /// The stored picture is read from right to left.
    pub flip_x: bool,
    /// The stored picture is read from bottom to top.
    pub flip_y: bool,
}

impl Turn {
    /// From the matrix of an mp4 track header as FFmpeg gives it: nine 16.16 numbers, a point (p, q) of the stored
    /// picture goes to (a p + c q, b p + d q). `None` if it is no quarter turn (within a degree or so).
    ///
    /// ISO/IEC 14496-12, *Track header box*.
    pub(super) fn from_matrix(m: &[i32; 9]) -> Option<Self> {
        let [a, b, c, d] = [m[0], m[1], m[3], m[4]].map(f64::from);
        let small = |x: f64, y: f64| x.abs() <= 0.02 * y.abs();
        if small(b, a) && small(c, d) && a != 0.0 && d != 0.0 {
            Some(Turn { transpose: false, flip_x: a < 0.0, flip_y: d < 0.0 })
        } else if small(a, b) && small(d, c) && b != 0.0 && c != 0.0 {
            Some(Turn { transpose: true, flip_x: b < 0.0, flip_y: c < 0.0 })
        } else {
            None
        }
    }

    /// Whether nothing is to be done.
    pub(super) fn is_identity(self) -> bool {
        self == Turn::default()
    }

    /// Degrees clockwise of the rotation part, 0, 90, 180 or 270.
    pub(super) fn degrees(self) -> u16 {
        match (self.transpose, self.flip_x, self.flip_y) {
            (false, true, true) => 180,
            (true, false, true) => 90,
            (true, true, false) => 270,
            (true, _, _) => 90,
            (false, _, _) => 0,
        }
    }

    /// Layout of the upright picture. Chroma that is halved only across becomes full chroma when turned by a
    /// quarter, because "halved only down" is a format that few encoders take.
    pub(super) fn layout(self, stored: PixelLayout) -> PixelLayout {
        let (w, h) = (stored.log2_chroma_w, stored.log2_chroma_h);
        if !self.transpose || w == h {
            stored
        } else if (w, h) == (0, 1) {
            PixelLayout { log2_chroma_w: 1, log2_chroma_h: 0, ..stored }
        } else {
            PixelLayout { log2_chroma_w: 0, log2_chroma_h: 0, ..stored }
        }
    }

    /// FFmpeg's chroma location after the turn; 0 (unspecified) where no code point says it.
    pub(super) fn chroma_location(self, stored: u8) -> u8 {
        // Twice the offset of the chroma sample inside its block: left, centre, top-left, top, bottom-left, bottom.
        const PLACES: [(u8, u8); 6] = [(0, 1), (1, 1), (0, 0), (1, 0), (0, 2), (1, 2)];
        let Some(&(mut x, mut y)) = usize::from(stored).checked_sub(1).and_then(|i| PLACES.get(i)) else { return 0 };
        if self.flip_x {
            x = 2 - x;
        }
        if self.flip_y {
            y = 2 - y;
        }
        if self.transpose {
            (x, y) = (y, x);
        }
        PLACES.iter().position(|p| *p == (x, y)).map_or(0, |i| i as u8 + 1)
    }

    /// Turns all planes of a picture of `layout`.
    pub(super) fn apply(self, planes: Vec<Plane>, layout: PixelLayout, width: usize, height: usize) -> Vec<Plane> {
        let target = self.layout(layout);
        let full = target != layout && (target.log2_chroma_w, target.log2_chroma_h) == (0, 0);
        let mut out = Vec::with_capacity(planes.len());
        for (i, plane) in planes.into_iter().enumerate() {
            let plane = if full && i > 0 && layout.model == ColorModel::Yuv {
                repeat(&plane, layout, width, height)
            } else {
                plane
            };
            out.push(self.plane(plane));
        }
        out
    }

    fn plane(self, p: Plane) -> Plane {
        if self.is_identity() {
            return p;
        }
        let (w, h) = (p.width, p.height);
        let samples = match &p.samples {
            Samples::U8(v) => Samples::U8(self.turned(v, w, h)),
            Samples::U16(v) => Samples::U16(self.turned(v, w, h)),
        };
        let (width, height) = if self.transpose { (h, w) } else { (w, h) };
        Plane { width, height, samples }
    }

    fn turned<T: Copy>(self, v: &[T], w: usize, h: usize) -> Vec<T> {
        let row = |y: usize| if self.flip_y { h - 1 - y } else { y };
        let column = |x: usize| if self.flip_x { w - 1 - x } else { x };
        let mut out = Vec::with_capacity(v.len());
        if self.transpose {
            for x in (0..w).map(column) {
                out.extend((0..h).map(|y| v[row(y) * w + x]));
            }
        } else {
            for y in (0..h).map(row) {
                let line = &v[y * w..(y + 1) * w];
                if self.flip_x { out.extend(line.iter().rev()) } else { out.extend_from_slice(line) }
            }
        }
        out
    }
}

/// Chroma at full size, each sample repeated.
fn repeat(p: &Plane, layout: PixelLayout, width: usize, height: usize) -> Plane {
    let (sw, sh) = (layout.log2_chroma_w, layout.log2_chroma_h);
    fn grow<T: Copy>(v: &[T], w: usize, (sw, sh): (u8, u8), (width, height): (usize, usize)) -> Vec<T> {
        let mut out = Vec::with_capacity(width * height);
        for y in 0..height {
            let line = (y >> sh) * w;
            out.extend((0..width).map(|x| v[line + (x >> sw)]));
        }
        out
    }
    let samples = match &p.samples {
        Samples::U8(v) => Samples::U8(grow(v, p.width, (sw, sh), (width, height))),
        Samples::U16(v) => Samples::U16(grow(v, p.width, (sw, sh), (width, height))),
    };
    Plane { width, height, samples }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: i32 = 1 << 16;

    fn plane(width: usize, v: &[u8]) -> Plane {
        Plane { width, height: v.len() / width, samples: Samples::U8(v.to_vec()) }
    }

    #[test]
    fn quarter_turns_move_samples_clockwise() {
        let stored = plane(3, &[1, 2, 3, 4, 5, 6]);
        let turn = |m: [i32; 4]| Turn::from_matrix(&[m[0], m[1], 0, m[2], m[3], 0, 0, 0, 1 << 30]).unwrap();
        // A phone held upright writes the matrix (0 1 -1 0): show it turned clockwise by 90 degrees.
        let right = turn([0, ONE, -ONE, 0]);
        assert_eq!(right.plane(stored.clone()), plane(2, &[4, 1, 5, 2, 6, 3]));
        assert_eq!(right.degrees(), 90);
        let left = turn([0, -ONE, ONE, 0]);
        assert_eq!(left.plane(stored.clone()), plane(2, &[3, 6, 2, 5, 1, 4]));
        assert_eq!(left.degrees(), 270);
        let over = turn([-ONE, 0, 0, -ONE]);
        assert_eq!(over.plane(stored.clone()), plane(3, &[6, 5, 4, 3, 2, 1]));
        assert_eq!(turn([-ONE, 0, 0, ONE]).plane(stored), plane(3, &[3, 2, 1, 6, 5, 4]));
        assert!(Turn::from_matrix(&[ONE, ONE, 0, -ONE, ONE, 0, 0, 0, 1 << 30]).is_none());
    }

    #[test]
    fn half_wide_chroma_becomes_full_when_turned() {
        let layout = PixelLayout { model: ColorModel::Yuv, depth: 8, log2_chroma_w: 1, log2_chroma_h: 0 };
        let turn = Turn { transpose: true, flip_x: false, flip_y: true };
        let planes = vec![plane(3, &[1, 2, 3, 4, 5, 6]), plane(2, &[10, 20, 30, 40]), plane(2, &[1, 2, 3, 4])];
        let out = turn.apply(planes, layout, 3, 2);
        assert_eq!(turn.layout(layout).log2_chroma_w, 0);
        assert_eq!(out[1], plane(2, &[30, 10, 30, 10, 40, 20]));
    }

    #[test]
    fn chroma_location_follows_the_turn() {
        let right = Turn { transpose: true, flip_x: false, flip_y: true };
        assert_eq!(right.chroma_location(1), 4); // left → top
        assert_eq!(right.chroma_location(2), 2); // centre stays
        assert_eq!(right.chroma_location(0), 0);
    }
}
