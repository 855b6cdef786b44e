//! Decoded pictures: planar, in the source's own bit depth and colour model.
//!
//! A [`Frame`] is upright (rotation is applied by the reader), tightly packed, and carries the colour
//! description that its stream declared. Only small regions are ever taken to RGB ([`RgbPatch`]) and back:
//! [`Frame::read_rgb`] and [`Frame::blend_rgb`]. Samples whose alpha is 0 keep their exact bits.

use crate::geom::PixelRect;
use crate::units::{FrameIndex, Timestamp};
use serde::{Deserialize, Serialize};

/// What the planes mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColorModel {
    /// One plane of luma.
    Gray,
    /// Luma, Cb, Cr.
    Yuv,
    /// Green, blue, red, in this order (as FFmpeg's planar RGB formats store them).
    Gbr,
}

/// Shape of the planes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PixelLayout {
    /// What the planes mean.
    pub model: ColorModel,
    /// Bits per sample, 8..=16. Samples of more than 8 bits are stored in `u16`, low bits used.
    pub depth: u8,
    /// log2 of the horizontal chroma subsampling (0 or 1 or 2); 0 unless `Yuv`.
    pub log2_chroma_w: u8,
    /// log2 of the vertical chroma subsampling.
    pub log2_chroma_h: u8,
}

impl PixelLayout {
    /// Number of planes.
    #[must_use]
    pub fn planes(&self) -> usize {
        if self.model == ColorModel::Gray { 1 } else { 3 }
    }

    /// Width and height of plane `plane` for a picture of `width` × `height`.
    #[must_use]
    pub fn plane_size(&self, plane: usize, width: usize, height: usize) -> (usize, usize) {
        if plane == 0 || self.model != ColorModel::Yuv {
            (width, height)
        } else {
            (width.div_ceil(1 << self.log2_chroma_w), height.div_ceil(1 << self.log2_chroma_h))
        }
    }

    /// Bytes of one frame.
    #[must_use]
    pub fn frame_bytes(&self, width: usize, height: usize) -> usize {
        let samples: usize = (0..self.planes())
            .map(|p| {
                let (w, h) = self.plane_size(p, width, height);
                w * h
            })
            .sum();
        samples * if self.depth > 8 { 2 } else { 1 }
    }
}

/// Colour description by the code points of ITU-T H.273 (2 = unspecified), as FFmpeg uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColorDesc {
    /// Matrix coefficients (1 = BT.709, 5/6 = BT.601, 9 = BT.2020 non-constant, 0 = RGB, 2 = unspecified).
    pub matrix: u8,
    /// Colour primaries.
    pub primaries: u8,
    /// Transfer characteristics.
    pub transfer: u8,
    /// Full (0..=255) rather than limited (16..=235) range; `None` if the stream does not say.
    pub full_range: Option<bool>,
    /// FFmpeg's chroma location (0 = unspecified, 1 = left, 2 = centre, 3 = top-left …).
    pub chroma_location: u8,
}

impl Default for ColorDesc {
    fn default() -> Self {
        ColorDesc { matrix: 2, primaries: 2, transfer: 2, full_range: None, chroma_location: 0 }
    }
}

/// Luma weights (Kr, Kb) of a matrix code point; an unspecified matrix is BT.709 from 720 lines up, BT.601 below,
/// as players assume.
fn luma_weights(matrix: u8, height: usize) -> (f32, f32) {
    match matrix {
        1 => (0.2126, 0.0722),
        4 => (0.30, 0.11),
        5 | 6 => (0.299, 0.114),
        7 => (0.212, 0.087),
        9 | 10 => (0.2627, 0.0593),
        _ if height >= 720 => (0.2126, 0.0722),
        _ => (0.299, 0.114),
    }
}

/// Samples of one plane, tightly packed rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Samples {
    /// 8-bit samples.
    U8(Vec<u8>),
    /// 9- to 16-bit samples in native endianness, in the low bits.
    U16(Vec<u16>),
}

impl Samples {
    /// `len` zero samples of the storage for `depth` bits.
    #[must_use]
    pub fn zeros(len: usize, depth: u8) -> Self {
        if depth > 8 { Samples::U16(vec![0; len]) } else { Samples::U8(vec![0; len]) }
    }

    /// Sample `i` as a number of the plane's own scale.
    #[inline]
    #[must_use]
    pub fn get(&self, i: usize) -> f32 {
        match self {
            Samples::U8(v) => f32::from(v[i]),
            Samples::U16(v) => f32::from(v[i]),
        }
    }

    /// Stores a number of the plane's own scale, rounded and clamped to `max`.
    #[inline]
    pub fn set(&mut self, i: usize, value: f32, max: f32) {
        let v = value.clamp(0.0, max) + 0.5;
        match self {
            Samples::U8(d) => d[i] = v as u8,
            Samples::U16(d) => d[i] = v as u16,
        }
    }

    /// Samples `from..from + out.len()` as numbers of the plane's own scale.
    fn read(&self, from: usize, out: &mut [f32]) {
        match self {
            Samples::U8(v) => out.iter_mut().zip(&v[from..]).for_each(|(o, s)| *o = f32::from(*s)),
            Samples::U16(v) => out.iter_mut().zip(&v[from..]).for_each(|(o, s)| *o = f32::from(*s)),
        }
    }

    /// Moves samples from `from` on towards `values` by `alpha`, rounded and clamped to `max`; alpha 0 keeps the bits.
    fn mix(&mut self, from: usize, alpha: &[f32], values: &[f32], max: f32) {
        let mixed = |old: f32, a: f32, value: f32| (old + (value - old) * a).clamp(0.0, max) + 0.5;
        match self {
            Samples::U8(v) => {
                for ((s, &a), &value) in v[from..].iter_mut().zip(alpha).zip(values).filter(|((_, a), _)| **a > 0.0) {
                    *s = mixed(f32::from(*s), a, value) as u8;
                }
            }
            Samples::U16(v) => {
                for ((s, &a), &value) in v[from..].iter_mut().zip(alpha).zip(values).filter(|((_, a), _)| **a > 0.0) {
                    *s = mixed(f32::from(*s), a, value) as u16;
                }
            }
        }
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Samples::U8(v) => v.len(),
            Samples::U16(v) => v.len(),
        }
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One plane of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plane {
    /// Samples per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` samples.
    pub samples: Samples,
}

/// A decoded, upright picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Columns of the full-resolution plane.
    pub width: usize,
    /// Rows of the full-resolution plane.
    pub height: usize,
    /// What the planes are.
    pub layout: PixelLayout,
    /// How the numbers mean colour.
    pub color: ColorDesc,
    /// One plane for `Gray`, three otherwise.
    pub planes: Vec<Plane>,
    /// Coded as two fields.
    pub interlaced: bool,
    /// If interlaced: the top field comes first.
    pub top_field_first: bool,
}

/// A picture as the decoder gave it. It may show people: it must never reach an encoder.
#[derive(Debug, Clone)]
pub struct RawFrame {
    /// The picture.
    pub frame: Frame,
    /// Its number, in presentation order.
    pub index: FrameIndex,
    /// Its presentation time in the video stream's time base.
    pub pts: Timestamp,
    /// Its duration in the same ticks, if the container says.
    pub duration: Option<i64>,
}

/// A rectangular piece of picture in display-referred R'G'B', interleaved, 0..=1.
#[derive(Debug, Clone, PartialEq)]
pub struct RgbPatch {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height * 3` values, R then G then B.
    pub data: Vec<f32>,
}

impl RgbPatch {
    /// A black patch.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        RgbPatch { width, height, data: vec![0.0; width * height * 3] }
    }

    /// The pixel at column `x`, row `y`.
    #[inline]
    #[must_use]
    pub fn pixel(&self, x: usize, y: usize) -> [f32; 3] {
        let i = (y * self.width + x) * 3;
        [self.data[i], self.data[i + 1], self.data[i + 2]]
    }

    /// Sets the pixel at column `x`, row `y`.
    #[inline]
    pub fn set_pixel(&mut self, x: usize, y: usize, rgb: [f32; 3]) {
        let i = (y * self.width + x) * 3;
        self.data[i..i + 3].copy_from_slice(&rgb);
    }
}

/// Coverage of a patch: 0 leaves the frame's own bits, 1 replaces them.
#[derive(Debug, Clone, PartialEq)]
pub struct Matte {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` values in 0..=1.
    pub data: Vec<f32>,
}

impl Matte {
    /// A matte of one value.
    #[must_use]
    pub fn filled(width: usize, height: usize, alpha: f32) -> Self {
        Matte { width, height, data: vec![alpha; width * height] }
    }
}

/// Numbers that turn one frame's codes into R'G'B' and back.
#[derive(Debug, Clone, Copy)]
struct Codec {
    kr: f32,
    kb: f32,
    luma_scale: f32,
    luma_offset: f32,
    chroma_scale: f32,
    chroma_offset: f32,
    /// Reciprocals: of both scales, and of green's weight.
    luma_unit: f32,
    chroma_unit: f32,
    green_unit: f32,
}

impl Codec {
    fn of(frame: &Frame) -> Self {
        let (kr, kb) = luma_weights(frame.color.matrix, frame.height);
        let unit = f32::from(1u16 << (frame.layout.depth - 8));
        let max = ((1u32 << frame.layout.depth) - 1) as f32;
        let full = frame.color.full_range.unwrap_or(frame.layout.model == ColorModel::Gbr);
        let (luma_scale, luma_offset, chroma_scale) = if full || frame.layout.model == ColorModel::Gbr {
            (max, 0.0, max)
        } else {
            (219.0 * unit, 16.0 * unit, 224.0 * unit)
        };
        Codec {
            kr,
            kb,
            luma_scale,
            luma_offset,
            chroma_scale,
            chroma_offset: 128.0 * unit,
            luma_unit: 1.0 / luma_scale,
            chroma_unit: 1.0 / chroma_scale,
            green_unit: 1.0 / (1.0 - kr - kb),
        }
    }

    /// R'G'B' of one code value per plane.
    #[inline(always)]
    fn decode(&self, model: ColorModel, codes: [f32; 3]) -> [f32; 3] {
        let y = (codes[0] - self.luma_offset) * self.luma_unit;
        match model {
            ColorModel::Gray => [y; 3],
            ColorModel::Gbr => [codes[2] * self.luma_unit, codes[0] * self.luma_unit, codes[1] * self.luma_unit],
            ColorModel::Yuv => {
                let cb = (codes[1] - self.chroma_offset) * self.chroma_unit;
                let cr = (codes[2] - self.chroma_offset) * self.chroma_unit;
                let r = y + 2.0 * (1.0 - self.kr) * cr;
                let b = y + 2.0 * (1.0 - self.kb) * cb;
                [r, (y - self.kr * r - self.kb * b) * self.green_unit, b]
            }
        }
    }

    #[inline]
    fn luma(&self, [r, g, b]: [f32; 3]) -> f32 {
        self.kr * r + (1.0 - self.kr - self.kb) * g + self.kb * b
    }
}

impl Frame {
    /// A black frame of the given shape (mid-grey chroma for `Yuv`).
    #[must_use]
    pub fn black(width: usize, height: usize, layout: PixelLayout, color: ColorDesc) -> Self {
        let mut frame =
            Frame { width, height, layout, color, planes: Vec::new(), interlaced: false, top_field_first: false };
        for p in 0..layout.planes() {
            let (w, h) = layout.plane_size(p, width, height);
            frame.planes.push(Plane { width: w, height: h, samples: Samples::zeros(w * h, layout.depth) });
        }
        frame.paint(PixelRect { x: 0, y: 0, width, height }, [0.0; 3]);
        frame
    }

    /// R'G'B' (0..=1, not clamped) of one code value per plane, on the scale of the frame's own depth.
    pub(crate) fn codes_to_rgb(&self, codes: [f32; 3]) -> [f32; 3] {
        Codec::of(self).decode(self.layout.model, codes)
    }

    /// Largest sample value.
    #[must_use]
    pub fn max_value(&self) -> f32 {
        ((1u32 << self.layout.depth) - 1) as f32
    }

    /// Copies a region to R'G'B'. `rect` must lie inside the frame. Chroma is interpolated linearly.
    #[must_use]
    pub fn read_rgb(&self, rect: PixelRect) -> RgbPatch {
        let mut patch = RgbPatch::new(rect.width, rect.height);
        self.read_rgb_into(rect, &mut patch);
        patch
    }

    /// As [`Frame::read_rgb`], into an existing patch (resized as needed).
    pub fn read_rgb_into(&self, rect: PixelRect, patch: &mut RgbPatch) {
        patch.width = rect.width;
        patch.height = rect.height;
        patch.data.resize(rect.width * rect.height * 3, 0.0);
        if rect.width == 0 {
            return;
        }
        let codec = Codec::of(self);
        let mut lines = [(); 3].map(|()| vec![0.0f32; rect.width]);
        let mut scratch = Vec::new();
        for (row, out) in patch.data.chunks_exact_mut(rect.width * 3).enumerate() {
            let y = rect.y + row;
            for (p, line) in lines.iter_mut().enumerate().take(self.layout.planes()) {
                if p > 0 && self.layout.model == ColorModel::Yuv {
                    self.chroma_row(p, rect.x, y, &mut scratch, line);
                } else {
                    self.planes[p].samples.read(y * self.width + rect.x, line);
                }
            }
            let codes = lines[0].iter().zip(&lines[1]).zip(&lines[2]);
            for (px, ((a, b), c)) in out.chunks_exact_mut(3).zip(codes) {
                px.copy_from_slice(&codec.decode(self.layout.model, [*a, *b, *c]));
            }
        }
    }

    /// Chroma of plane `p` at the luma positions `x..x + out.len()` of row `y`; places as in [`Frame::chroma_at`].
    fn chroma_row(&self, p: usize, x: usize, y: usize, scratch: &mut Vec<f32>, out: &mut [f32]) {
        let plane = &self.planes[p];
        let (sw, sh) = (self.layout.log2_chroma_w, self.layout.log2_chroma_h);
        let fy = ((y as f32 + 0.5) / (1u32 << sh) as f32 - 0.5).max(0.0);
        let y0 = (fy as usize).min(plane.height - 1);
        let (y1, v) = ((y0 + 1).min(plane.height - 1), fy - y0 as f32);
        let last = plane.width - 1;
        let first = (x >> sw).min(last);
        let n = (((x + out.len() - 1) >> sw) + 1).min(last) + 1 - first;
        scratch.resize(2 * n, 0.0);
        let (top, bottom) = scratch.split_at_mut(n);
        plane.samples.read(y0 * plane.width + first, top);
        if v > 0.0 && y1 != y0 {
            plane.samples.read(y1 * plane.width + first, bottom);
            top.iter_mut().zip(&*bottom).for_each(|(t, b)| *t += (b - *t) * v);
        }
        if sw == 0 {
            out.copy_from_slice(&top[..out.len()]);
            return;
        }
        let (mask, unit) = ((1usize << sw) - 1, 1.0 / (1u32 << sw) as f32);
        for (k, o) in out.iter_mut().enumerate() {
            let c = ((x + k) >> sw).min(last) - first;
            let (a, b) = (top[c], top[(c + 1).min(n - 1)]);
            *o = a + (b - a) * ((x + k) & mask) as f32 * unit;
        }
    }

    #[inline]
    fn rgb_at(&self, codec: &Codec, x: usize, y: usize) -> [f32; 3] {
        let at = |p: usize| self.planes[p].samples.get(y * self.width + x);
        let codes = match self.layout.model {
            ColorModel::Gray => [at(0), 0.0, 0.0],
            ColorModel::Gbr => [at(0), at(1), at(2)],
            ColorModel::Yuv => {
                let (cb, cr) = self.chroma_at(x, y);
                [at(0), cb, cr]
            }
        };
        codec.decode(self.layout.model, codes)
    }

    /// Chroma at a luma position: linear between samples, sited at the left (horizontally, for 4:2:x) and at the
    /// centre (vertically), which is what all common codecs mean by "unspecified".
    #[inline]
    fn chroma_at(&self, x: usize, y: usize) -> (f32, f32) {
        let (cb, cr) = (&self.planes[1], &self.planes[2]);
        let (sw, sh) = (self.layout.log2_chroma_w, self.layout.log2_chroma_h);
        if sw == 0 && sh == 0 {
            let i = y * cb.width + x;
            return (cb.samples.get(i), cr.samples.get(i));
        }
        let fx = x as f32 / (1u32 << sw) as f32;
        let fy = ((y as f32 + 0.5) / (1u32 << sh) as f32 - 0.5).max(0.0);
        let (x0, y0) = ((fx as usize).min(cb.width - 1), (fy as usize).min(cb.height - 1));
        let (x1, y1) = ((x0 + 1).min(cb.width - 1), (y0 + 1).min(cb.height - 1));
        let (u, v) = (fx - x0 as f32, fy - y0 as f32);
        let mix = |p: &Plane| {
            let s = &p.samples;
            let top = s.get(y0 * p.width + x0) * (1.0 - u) + s.get(y0 * p.width + x1) * u;
            let bottom = s.get(y1 * p.width + x0) * (1.0 - u) + s.get(y1 * p.width + x1) * u;
            top * (1.0 - v) + bottom * v
        };
        (mix(cb), mix(cr))
    }

    /// Blends a patch into the frame at `(x, y)` (its top-left pixel) by `matte`, in the frame's own code values.
    ///
    /// Luma (or RGB) samples with alpha 0 keep their bits. A chroma sample is changed only if at least one of the
    /// luma pixels it covers has alpha > 0; its alpha is their mean. Parts outside the frame are ignored.
    pub fn blend_rgb(&mut self, x: usize, y: usize, patch: &RgbPatch, matte: &Matte) {
        debug_assert_eq!((patch.width, patch.height), (matte.width, matte.height));
        let codec = Codec::of(self);
        let max = self.max_value();
        let cols = patch.width.min(self.width.saturating_sub(x));
        let rows = patch.height.min(self.height.saturating_sub(y));
        if cols == 0 || rows == 0 {
            return;
        }
        let model = self.layout.model;
        let mut values = [(); 3].map(|()| vec![0.0f32; cols]);
        for row in 0..rows {
            let alpha = &matte.data[row * matte.width..][..cols];
            if alpha.iter().all(|a| *a <= 0.0) {
                continue;
            }
            let pixels = patch.data[row * patch.width * 3..][..cols * 3].chunks_exact(3);
            let [first, second, third] = &mut values;
            let line = first.iter_mut().zip(second.iter_mut()).zip(third.iter_mut());
            for (((a, b), c), px) in line.zip(pixels) {
                match model {
                    ColorModel::Gray | ColorModel::Yuv => {
                        *a = codec.luma([px[0], px[1], px[2]]) * codec.luma_scale + codec.luma_offset;
                    }
                    ColorModel::Gbr => {
                        (*a, *b, *c) = (px[1] * codec.luma_scale, px[2] * codec.luma_scale, px[0] * codec.luma_scale);
                    }
                }
            }
            let full = if model == ColorModel::Gbr { 3 } else { 1 };
            for (plane, values) in self.planes.iter_mut().zip(&values).take(full) {
                plane.samples.mix((y + row) * self.width + x, alpha, values, max);
            }
        }
        if model == ColorModel::Yuv {
            self.blend_chroma(PixelRect { x, y, width: cols, height: rows }, patch, matte, &codec);
        }
    }

    /// The chroma half of [`Frame::blend_rgb`], over `area` of the frame.
    fn blend_chroma(&mut self, area: PixelRect, patch: &RgbPatch, matte: &Matte, codec: &Codec) {
        let max = self.max_value();
        let (sw, sh) = (self.layout.log2_chroma_w, self.layout.log2_chroma_h);
        let (first, last) = (area.x >> sw, (area.x + area.width - 1) >> sw);
        let cells = last + 1 - first;
        // Per chroma sample: sums of alpha, and of alpha times the colour differences.
        let mut sums = vec![[0.0f32; 3]; cells];
        let mut lines = [(); 3].map(|()| vec![0.0f32; cells]);
        let blue = codec.chroma_scale / (2.0 * (1.0 - codec.kb));
        let red = codec.chroma_scale / (2.0 * (1.0 - codec.kr));
        for cy in (area.y >> sh)..=((area.y + area.height - 1) >> sh) {
            sums.fill([0.0; 3]);
            let (top, bottom) = (cy << sh, ((cy + 1) << sh).min(self.height));
            for yy in top.max(area.y)..bottom.min(area.y + area.height) {
                let row = yy - area.y;
                let alpha = &matte.data[row * matte.width..][..area.width];
                let pixels = patch.data[row * patch.width * 3..].chunks_exact(3);
                for (k, (&a, px)) in alpha.iter().zip(pixels).enumerate().filter(|(_, (a, _))| **a > 0.0) {
                    let luma = codec.luma([px[0], px[1], px[2]]);
                    let cell = &mut sums[((area.x + k) >> sw) - first];
                    cell[0] += a;
                    cell[1] += a * (px[2] - luma);
                    cell[2] += a * (px[0] - luma);
                }
            }
            let [alphas, cbs, crs] = &mut lines;
            for (k, sum) in sums.iter().enumerate() {
                let cx = first + k;
                let seen = (((cx + 1) << sw).min(self.width) - (cx << sw)) * (bottom - top);
                alphas[k] = sum[0] / seen.max(1) as f32;
                if sum[0] > 0.0 {
                    cbs[k] = sum[1] / sum[0] * blue + codec.chroma_offset;
                    crs[k] = sum[2] / sum[0] * red + codec.chroma_offset;
                }
            }
            for (plane, values) in [(1, &*cbs), (2, &*crs)] {
                let at = cy * self.planes[plane].width + first;
                self.planes[plane].samples.mix(at, alphas, values, max);
            }
        }
    }

    /// Fills a region with one R'G'B' colour.
    pub fn paint(&mut self, rect: PixelRect, rgb: [f32; 3]) {
        let mut patch = RgbPatch::new(rect.width, rect.height);
        for px in patch.data.chunks_exact_mut(3) {
            px.copy_from_slice(&rgb);
        }
        self.blend_rgb(rect.x, rect.y, &patch, &Matte::filled(rect.width, rect.height, 1.0));
    }

    /// Mean of R', G', B' over a region, on a grid of at most 32 × 32 samples.
    #[must_use]
    pub fn mean_rgb(&self, rect: PixelRect) -> [f32; 3] {
        let codec = Codec::of(self);
        let (nx, ny) = (rect.width.clamp(1, 32), rect.height.clamp(1, 32));
        let mut sum = [0.0f32; 3];
        for j in 0..ny {
            for i in 0..nx {
                let rgb = self.rgb_at(&codec, rect.x + i * rect.width / nx, rect.y + j * rect.height / ny);
                for (s, v) in sum.iter_mut().zip(rgb) {
                    *s += v;
                }
            }
        }
        sum.map(|s| s / (nx * ny) as f32)
    }

    /// The whole picture averaged down to at most `max_side` pixels on its longer side (never enlarged), with the
    /// scale `small / full` that was used.
    #[must_use]
    pub fn thumbnail(&self, max_side: usize) -> (RgbPatch, f32) {
        let long = self.width.max(self.height).max(1);
        let scale = (max_side as f32 / long as f32).min(1.0);
        let w = ((self.width as f32 * scale).round() as usize).max(1);
        let h = ((self.height as f32 * scale).round() as usize).max(1);
        (self.resized(w, h), scale)
    }

    /// The whole picture at `width` × `height`: box average where it shrinks, bilinear where it grows.
    #[must_use]
    pub fn resized(&self, width: usize, height: usize) -> RgbPatch {
        let planes: Vec<Vec<f32>> = self.planes.iter().map(|p| resize_plane(p, width, height)).collect();
        let codec = Codec::of(self);
        let mut patch = RgbPatch::new(width, height);
        for (i, px) in patch.data.chunks_exact_mut(3).enumerate() {
            let code = |p: usize| planes.get(p).map_or(0.0, |plane| plane[i]);
            px.copy_from_slice(&codec.decode(self.layout.model, [code(0), code(1), code(2)]));
        }
        patch
    }
}

/// Weighted source cells of each target cell along one axis.
fn axis_taps(from: usize, to: usize) -> Vec<Vec<(usize, f32)>> {
    let ratio = from as f32 / to as f32;
    (0..to)
        .map(|i| {
            if ratio > 1.0 {
                let (a, b) = (i as f32 * ratio, (i + 1) as f32 * ratio);
                let last = (b.ceil() as usize).min(from);
                ((a as usize)..last)
                    .map(|k| (k, ((k + 1) as f32).min(b) - (k as f32).max(a)))
                    .filter(|t| t.1 > 0.0)
                    .map(|(k, w)| (k, w / ratio))
                    .collect()
            } else {
                let c = ((i as f32 + 0.5) * ratio - 0.5).clamp(0.0, (from - 1) as f32);
                let k = c as usize;
                let u = c - k as f32;
                vec![(k, 1.0 - u), ((k + 1).min(from - 1), u)]
            }
        })
        .collect()
}

fn resize_plane(plane: &Plane, width: usize, height: usize) -> Vec<f32> {
    let across = axis_taps(plane.width, width);
    let down = axis_taps(plane.height, height);
    let mut out = vec![0.0; width * height];
    let mut line = vec![0.0f32; plane.width];
    for (row, taps) in down.iter().enumerate() {
        line.fill(0.0);
        for &(k, w) in taps {
            let span = k * plane.width..(k + 1) * plane.width;
            match &plane.samples {
                Samples::U8(v) => line.iter_mut().zip(&v[span]).for_each(|(l, s)| *l += w * f32::from(*s)),
                Samples::U16(v) => line.iter_mut().zip(&v[span]).for_each(|(l, s)| *l += w * f32::from(*s)),
            }
        }
        for (cell, taps) in out[row * width..(row + 1) * width].iter_mut().zip(&across) {
            *cell = taps.iter().map(|&(k, w)| w * line[k]).sum();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(depth: u8, sw: u8, sh: u8) -> PixelLayout {
        PixelLayout { model: ColorModel::Yuv, depth, log2_chroma_w: sw, log2_chroma_h: sh }
    }

    #[test]
    fn colour_goes_there_and_back() {
        for (depth, tolerance) in [(8, 0.012), (10, 0.003)] {
            for full in [Some(true), Some(false), None] {
                let color = ColorDesc { matrix: 1, full_range: full, ..ColorDesc::default() };
                let mut f = Frame::black(16, 16, layout(depth, 1, 1), color);
                let rect = PixelRect { x: 0, y: 0, width: 16, height: 16 };
                f.paint(rect, [0.8, 0.4, 0.2]);
                for (a, b) in f.read_rgb(rect).pixel(5, 5).iter().zip([0.8, 0.4, 0.2]) {
                    assert!((a - b).abs() < tolerance, "{a} {b} at {depth} bits");
                }
            }
        }
    }

    #[test]
    fn alpha_zero_keeps_every_bit() {
        let mut f = Frame::black(9, 7, layout(10, 1, 1), ColorDesc::default());
        if let Samples::U16(v) = &mut f.planes[0].samples {
            v.iter_mut().enumerate().for_each(|(i, s)| *s = (i * 13 % 1024) as u16);
        }
        let before = f.clone();
        let mut matte = Matte::filled(5, 5, 0.0);
        f.blend_rgb(2, 1, &RgbPatch::new(5, 5), &matte);
        assert_eq!(f, before);
        matte.data[12] = 1.0; // pixel (2, 2) of the patch = (4, 3) of the frame
        f.blend_rgb(2, 1, &RgbPatch::new(5, 5), &matte);
        for i in 0..f.planes[0].samples.len() {
            let same = f.planes[0].samples.get(i) == before.planes[0].samples.get(i);
            assert_eq!(same, i != 3 * 9 + 4);
        }
    }

    #[test]
    fn resizing_keeps_the_mean() {
        let mut f = Frame::black(64, 48, layout(8, 1, 1), ColorDesc::default());
        f.paint(PixelRect { x: 0, y: 0, width: 32, height: 48 }, [1.0; 3]);
        let small = f.resized(8, 6);
        let mean = small.data.iter().sum::<f32>() / small.data.len() as f32;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        assert_eq!(f.resized(128, 96).data.len(), 128 * 96 * 3);
    }
}
