//! Small pictures for networks, made straight from the planes of a frame.
//!
//! Everything here works in 8 bits with 8-bit weights: enough for a network, and cheap on any processor.

use crate::geom::{Affine, InCrop, InFrame, Point, Rect};
use crate::image::{ColorModel, Frame, Plane, Samples};

/// Weights of one target that are worth unrolling.
const SHORT: usize = 4;

/// A small picture: three planes R, G, B of `width * height` values, 0..=255.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Columns, at least 1.
    pub width: usize,
    /// Rows, at least 1.
    pub height: usize,
    /// R, G, B.
    pub planes: [Vec<f32>; 3],
}

/// Weighted source samples of each target sample along one axis.
struct Taps {
    /// First source sample.
    from: Vec<u32>,
    /// Where its weights begin; one more entry than targets.
    at: Vec<u32>,
    /// Weights of consecutive source samples; those of one target sum to 256.
    weights: Vec<u16>,
}

impl Taps {
    /// `from..from + span` (in samples of an axis of `len`) mapped to `out` targets: box average where it shrinks,
    /// linear where it grows.
    fn new(from: f32, span: f32, len: usize, out: usize) -> Self {
        let mut taps = Taps { from: Vec::with_capacity(out), at: Vec::with_capacity(out + 1), weights: Vec::new() };
        let ratio = span / out as f32;
        let last = len.saturating_sub(1);
        taps.at.push(0);
        for i in 0..out {
            let start = taps.weights.len();
            if ratio > 1.0 {
                let (a, b) = (from + i as f32 * ratio, from + (i + 1) as f32 * ratio);
                let (first, end) = ((a.max(0.0) as usize).min(last), (b.ceil().max(1.0) as usize).min(len));
                taps.from.push(first as u32);
                for k in first..end.max(first + 1) {
                    let cover = ((k + 1) as f32).min(b) - (k as f32).max(a);
                    taps.weights.push((cover.clamp(0.02, 1.0) * 200.0) as u16);
                }
            } else {
                let c = (from + (i as f32 + 0.5) * ratio - 0.5).clamp(0.0, last as f32);
                let k = c as usize;
                let w = ((c - k as f32) * 256.0) as u16;
                taps.from.push(k as u32);
                taps.weights.push(256 - w);
                if w > 0 && k < last {
                    taps.weights.push(w);
                }
            }
            normalise(&mut taps.weights[start..]);
            taps.at.push(taps.weights.len() as u32);
        }
        taps
    }

    /// First source sample of target `i`, and the weights from there on.
    #[inline]
    fn of(&self, i: usize) -> (usize, &[u16]) {
        (self.from[i] as usize, &self.weights[self.at[i] as usize..self.at[i + 1] as usize])
    }

    /// Per target, its first source sample counted from `first` and its weights filled up with zeros, if all are short.
    fn short(&self, first: usize) -> Option<Vec<(usize, [u16; SHORT])>> {
        let padded = |i: usize| {
            let (from, weights) = self.of(i);
            let mut all = [0; SHORT];
            all.get_mut(..weights.len())?.copy_from_slice(weights);
            Some((from - first, all))
        };
        (0..self.from.len()).map(padded).collect()
    }

    /// The source samples that are used.
    fn span(&self) -> (usize, usize) {
        let first = self.from.iter().min().map_or(0, |k| *k as usize);
        let end = (0..self.from.len()).map(|i| self.of(i)).map(|(k, w)| k + w.len()).max().unwrap_or(0);
        (first, end)
    }
}

/// Makes weights sum to exactly 256.
fn normalise(weights: &mut [u16]) {
    let sum: u32 = weights.iter().map(|w| u32::from(*w)).sum();
    let (mut carried, mut given) = (0u32, 0u32);
    for w in weights.iter_mut() {
        carried += u32::from(*w) * 256;
        let upto = carried / sum.max(1);
        *w = (upto - given) as u16;
        given = upto;
    }
}

/// A part of one plane at `width` × `height`, in 8 bits. `area` is x, y, w, h in samples of the plane.
fn scale_plane(plane: &Plane, depth: u8, area: [f32; 4], width: usize, height: usize, out: &mut Vec<u8>) {
    out.clear();
    out.resize(width * height, 0);
    let across = Taps::new(area[0], area[2], plane.width, width);
    let down = Taps::new(area[1], area[3], plane.height, height);
    let (first, end) = across.span();
    // A few zeros at the end, so that short runs may read beyond.
    let mut line = vec![0u16; end - first + SHORT];
    let short = across.short(first);
    let shift = depth.saturating_sub(8);
    for (row, cells) in out.chunks_exact_mut(width.max(1)).enumerate() {
        line.fill(0);
        let (top, weights) = down.of(row);
        for (k, &w) in (top..).zip(weights).filter(|(_, w)| **w > 0) {
            let span = k * plane.width + first..k * plane.width + end;
            match &plane.samples {
                Samples::U8(v) => {
                    line.iter_mut().zip(&v[span]).for_each(|(l, s)| *l += w * u16::from(*s));
                }
                Samples::U16(v) => {
                    line.iter_mut().zip(&v[span]).for_each(|(l, s)| *l += w * (*s >> shift).min(255));
                }
            }
        }
        match &short {
            Some(short) => {
                for (cell, (from, weights)) in cells.iter_mut().zip(short) {
                    let run = &line[*from..*from + SHORT];
                    let sum: u32 = (0..SHORT).map(|k| u32::from(weights[k]) * u32::from(run[k])).sum();
                    *cell = (sum >> 16) as u8;
                }
            }
            None => {
                for (col, cell) in cells.iter_mut().enumerate() {
                    let (from, weights) = across.of(col);
                    let run = &line[from - first..][..weights.len()];
                    let sum: u32 = weights.iter().zip(run).map(|(w, l)| u32::from(*w) * u32::from(*l)).sum();
                    *cell = (sum >> 16) as u8;
                }
            }
        }
    }
}

impl Picture {
    /// A black picture.
    #[must_use]
    pub fn black(width: usize, height: usize) -> Self {
        let n = width * height;
        Picture { width, height, planes: [vec![0.0; n], vec![0.0; n], vec![0.0; n]] }
    }

    /// The part `region` of a frame at `width` × `height`: box average where it shrinks, bilinear where it grows.
    /// `region` must be valid; parts outside the frame repeat its edge.
    #[must_use]
    pub fn of(frame: &Frame, region: &Rect<InFrame>, width: usize, height: usize) -> Self {
        let mut codes: [Vec<u8>; 3] = Default::default();
        for (p, plane) in frame.planes.iter().enumerate().take(3) {
            let (kx, ky) =
                (plane.width as f32 / frame.width.max(1) as f32, plane.height as f32 / frame.height.max(1) as f32);
            let area = [region.x0 * kx, region.y0 * ky, region.width() * kx, region.height() * ky];
            scale_plane(plane, frame.layout.depth, area, width, height, &mut codes[p]);
        }
        let mut picture = Picture::black(width, height);
        picture.colour(frame, &codes);
        picture
    }

    /// The picture continued by its mirror image: pixels at the left, top, right and bottom, no more than it has itself.
    #[must_use]
    pub fn mirrored(self, sides: [usize; 4]) -> Self {
        if sides == [0; 4] {
            return self;
        }
        let (w, h) = (self.width, self.height);
        let [left, top, right, bottom] = [sides[0].min(w), sides[1].min(h), sides[2].min(w), sides[3].min(h)];
        // Row or column of the picture that is shown `before` pixels further on.
        let source = |at: usize, before: usize, n: usize| match at.checked_sub(before) {
            None => before - 1 - at,
            Some(k) if k < n => k,
            Some(k) => 2 * n - 1 - k,
        };
        let (width, height) = (left + w + right, top + h + bottom);
        let planes = self.planes.map(|plane| {
            let mut out = Vec::with_capacity(width * height);
            for y in 0..height {
                let row = &plane[source(y, top, h) * w..][..w];
                out.extend(row[..left].iter().rev());
                out.extend_from_slice(row);
                out.extend(row[w - right..].iter().rev());
            }
            out
        });
        Picture { width, height, planes }
    }

    /// Turns 8-bit codes into R, G, B by the frame's own colour description.
    fn colour(&mut self, frame: &Frame, codes: &[Vec<u8>; 3]) {
        let unit = f32::from(1u16 << frame.layout.depth.saturating_sub(8).min(8));
        let zero = frame.codes_to_rgb([0.0; 3]);
        let basis = [0, 1, 2].map(|k| {
            let mut code = [0.0; 3];
            code[k] = unit;
            frame.codes_to_rgb(code)
        });
        for c in 0..3 {
            let m = [0, 1, 2].map(|k| 255.0 * (basis[k][c] - zero[c]));
            let bias = 255.0 * zero[c];
            let out = &mut self.planes[c];
            if frame.layout.model == ColorModel::Gray {
                for (o, y) in out.iter_mut().zip(&codes[0]) {
                    *o = (m[0] * f32::from(*y) + bias).clamp(0.0, 255.0);
                }
            } else {
                for (((o, a), b), d) in out.iter_mut().zip(&codes[0]).zip(&codes[1]).zip(&codes[2]) {
                    let v = m[0] * f32::from(*a) + m[1] * f32::from(*b) + m[2] * f32::from(*d) + bias;
                    *o = v.clamp(0.0, 255.0);
                }
            }
        }
    }

    /// A square crop of `size` pixels; black outside the frame. Shrinks by area average first, so that it does not
    /// alias.
    #[must_use]
    pub fn crop(frame: &Frame, frame_from_crop: &Affine<InFrame, InCrop>, size: usize) -> Self {
        let n = size as f32;
        let corners = [(0.0, 0.0), (n, 0.0), (n, n), (0.0, n)].map(|(x, y)| frame_from_crop.apply(Point::new(x, y)));
        let mut bounds = Rect::<InFrame>::new(f32::MAX, f32::MAX, f32::MIN, f32::MIN);
        for c in corners {
            bounds = Rect::new(bounds.x0.min(c.x), bounds.y0.min(c.y), bounds.x1.max(c.x), bounds.y1.max(c.y));
        }
        let grown = Rect::<InFrame>::new(bounds.x0 - 2.0, bounds.y0 - 2.0, bounds.x1 + 2.0, bounds.y1 + 2.0);
        let Some(cut) = grown.to_pixels(frame.width, frame.height) else { return Picture::black(size, size) };
        let per_pixel = frame_from_crop.scale().max(1e-6);
        let density = (1.25 / per_pixel).min(1.0);
        let width = ((cut.width as f32 * density).round() as usize).clamp(1, cut.width);
        let height = ((cut.height as f32 * density).round() as usize).clamp(1, cut.height);
        let source = Picture::of(frame, &cut.to_rect(), width, height);
        let (kx, ky) = (width as f32 / cut.width as f32, height as f32 / cut.height as f32);
        let m = frame_from_crop.m;
        let source_from_crop = [
            [m[0][0] * kx, m[0][1] * kx, (m[0][2] - cut.x as f32) * kx],
            [m[1][0] * ky, m[1][1] * ky, (m[1][2] - cut.y as f32) * ky],
        ];
        source.warped(source_from_crop, size, size)
    }

    /// The picture seen through an affine map (source from target, pixel (i, j) centred at (i + ½, j + ½)), bilinear,
    /// black outside.
    #[must_use]
    pub fn warped(&self, source_from_target: [[f32; 3]; 2], width: usize, height: usize) -> Self {
        let mut out = Picture::black(width, height);
        let [a, b] = source_from_target;
        for row in 0..height {
            for col in 0..width {
                let (x, y) = (col as f32 + 0.5, row as f32 + 0.5);
                let sx = a[0] * x + a[1] * y + a[2] - 0.5;
                let sy = b[0] * x + b[1] * y + b[2] - 0.5;
                if !(sx > -1.0 && sy > -1.0 && sx < self.width as f32 && sy < self.height as f32) {
                    continue;
                }
                let (x0, y0) = (sx.floor(), sy.floor());
                let (u, v) = (sx - x0, sy - y0);
                let (x0, y0) = (x0 as isize, y0 as isize);
                let i = row * width + col;
                if x0 >= 0 && y0 >= 0 && (x0 as usize) + 1 < self.width && (y0 as usize) + 1 < self.height {
                    let k = y0 as usize * self.width + x0 as usize;
                    for c in 0..3 {
                        let p = &self.planes[c];
                        let top = p[k] + (p[k + 1] - p[k]) * u;
                        let bottom = p[k + self.width] + (p[k + self.width + 1] - p[k + self.width]) * u;
                        out.planes[c][i] = top + (bottom - top) * v;
                    }
                } else {
                    for c in 0..3 {
                        out.planes[c][i] = self.edge(c, x0, y0, u, v);
                    }
                }
            }
        }
        out
    }

    /// Bilinear at the border, where some of the four samples are outside and count as black.
    fn edge(&self, c: usize, x0: isize, y0: isize, u: f32, v: f32) -> f32 {
        let at = |x: isize, y: isize| {
            let inside = x >= 0 && y >= 0 && (x as usize) < self.width && (y as usize) < self.height;
            if inside { self.planes[c][y as usize * self.width + x as usize] } else { 0.0 }
        };
        let top = at(x0, y0) * (1.0 - u) + at(x0 + 1, y0) * u;
        let bottom = at(x0, y0 + 1) * (1.0 - u) + at(x0 + 1, y0 + 1) * u;
        top * (1.0 - v) + bottom * v
    }
}

/// Luma of a region on a grid of `width` × `height`, 0..=255 in the frame's own codes.
#[must_use]
pub fn luma_grid(frame: &Frame, region: &Rect<InFrame>, width: usize, height: usize) -> Vec<f32> {
    let mut codes = Vec::new();
    let area = [region.x0, region.y0, region.width(), region.height()];
    if let Some(plane) = frame.planes.first() {
        scale_plane(plane, frame.layout.depth, area, width, height, &mut codes);
    }
    codes.into_iter().map(f32::from).collect()
}

/// The whole frame as a rectangle.
#[must_use]
pub fn whole(frame: &Frame) -> Rect<InFrame> {
    Rect::new(0.0, 0.0, frame.width as f32, frame.height as f32)
}

/// Whether a frame can be looked at: planes of the sizes that its layout promises, none of them empty.
#[must_use]
pub fn is_sound(frame: &Frame) -> bool {
    frame.width > 0
        && frame.height > 0
        && (8..=16).contains(&frame.layout.depth)
        && frame.planes.len() >= frame.layout.planes()
        && frame.planes.iter().enumerate().take(frame.layout.planes()).all(|(i, p)| {
            (p.width, p.height) == frame.layout.plane_size(i, frame.width, frame.height)
                && p.samples.len() == p.width * p.height
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geom::PixelRect;
    use crate::image::{ColorDesc, PixelLayout};

    fn noise(width: usize, height: usize, depth: u8, sub: u8) -> Frame {
        let layout = PixelLayout { model: ColorModel::Yuv, depth, log2_chroma_w: sub, log2_chroma_h: sub };
        let mut frame = Frame::black(width, height, layout, ColorDesc { matrix: 1, ..ColorDesc::default() });
        let mut seed = 1u32;
        for plane in &mut frame.planes {
            for i in 0..plane.samples.len() {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let v = 60.0 + f32::from((seed >> 25) as u8);
                plane.samples.set(i, v * f32::from(1u16 << (depth - 8)), f32::from(u16::MAX));
            }
        }
        frame
    }

    #[test]
    fn the_fast_path_agrees_with_the_plain_one() {
        for (depth, sub) in [(8, 1), (10, 1), (12, 0)] {
            let frame = noise(199, 121, depth, sub);
            for (w, h) in [(64, 39), (199, 121), (320, 195)] {
                let fast = Picture::of(&frame, &whole(&frame), w, h);
                let plain = frame.resized(w, h);
                let mut worst = 0.0f32;
                for (i, px) in plain.data.chunks_exact(3).enumerate() {
                    for (plane, v) in fast.planes.iter().zip(px) {
                        worst = worst.max((plane[i] - (v * 255.0).clamp(0.0, 255.0)).abs());
                    }
                }
                assert!(worst < 6.0, "{worst} at {w}x{h}, {depth} bits");
            }
        }
    }

    #[test]
    fn a_crop_shows_the_right_place() {
        let layout = PixelLayout { model: ColorModel::Yuv, depth: 8, log2_chroma_w: 1, log2_chroma_h: 1 };
        let mut frame = Frame::black(400, 300, layout, ColorDesc::default());
        frame.paint(PixelRect { x: 100, y: 100, width: 40, height: 40 }, [1.0, 0.0, 0.0]);
        let map = Affine::<InFrame, InCrop>::new([[0.5, 0.0, 110.0], [0.0, 0.5, 110.0]]);
        let crop = Picture::crop(&frame, &map, 20);
        assert!(crop.planes[0][210] > 240.0 && crop.planes[1][210] < 20.0);
        let away = Affine::<InFrame, InCrop>::new([[1.0, 0.0, 900.0], [0.0, 1.0, 0.0]]);
        assert!(Picture::crop(&frame, &away, 20).planes[0].iter().all(|v| *v == 0.0));
    }

    #[test]
    fn a_mirrored_picture_repeats_its_edges_backwards() {
        let plane: Vec<f32> = (0..6).map(|v| v as f32).collect();
        let picture = Picture { width: 3, height: 2, planes: [plane.clone(), plane.clone(), plane] };
        assert_eq!(picture.clone().mirrored([0; 4]), picture);
        let grown = picture.clone().mirrored([2, 1, 1, 0]);
        assert_eq!((grown.width, grown.height), (6, 3));
        let row = [1.0, 0.0, 0.0, 1.0, 2.0, 2.0];
        assert_eq!(grown.planes[0][..6], row);
        assert_eq!(grown.planes[1][6..12], row);
        assert_eq!(grown.planes[2][12..], [4.0, 3.0, 3.0, 4.0, 5.0, 5.0]);
        let most = picture.mirrored([9; 4]);
        assert_eq!((most.width, most.height), (9, 6));
        assert_eq!(most.planes[0][..9], [5.0, 4.0, 3.0, 3.0, 4.0, 5.0, 5.0, 4.0, 3.0]);
    }

    #[test]
    fn weights_always_sum_to_256() {
        for (from, span, len, out) in [(0.0, 1920.0, 1920, 640), (3.3, 17.7, 40, 31), (0.0, 9000.0, 9000, 32)] {
            let taps = Taps::new(from, span, len, out);
            for i in 0..out {
                let (from, weights) = taps.of(i);
                assert_eq!(weights.iter().map(|w| u32::from(*w)).sum::<u32>(), 256);
                assert!(from + weights.len() <= len);
            }
        }
    }
}
