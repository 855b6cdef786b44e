//! Is the original's face still there? Fine detail of the inner face of two pictures, compared place by place.
//!
//! Both pictures are brought to the same upright crop by the *source's* five points. Two bands of detail are cut
//! out of the luma (differences of Gaussians) and correlated over small shifts. A re-encoded face keeps its detail
//! (correlation near 1); a covered or replaced one does not. The sign is ignored: a negative of the face is the face.

use crate::geom::{Affine, InCrop, InFrame, Point, Rect};
use crate::image::{ColorModel, Frame, Samples};

/// Side of the aligned crop.
pub(crate) const SIDE: usize = 112;

/// Where eyes, nose tip and mouth corners (left and right of the *picture*) lie in the crop: the common template of
/// face recognisers (Deng et al., *ArcFace*, CVPR 2019, published with its code).
const TEMPLATE: [[f32; 2]; 5] =
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]];

/// Where the five points lie in a detector's box when nothing better is known: means over faces seen from the front.
const IN_BOX: [[f32; 2]; 5] = [[0.31, 0.40], [0.70, 0.40], [0.50, 0.60], [0.34, 0.78], [0.67, 0.78]];

/// Widths of the Gaussians that bound the fine and the middle band, in crop pixels, for faces of [`FULL_WIDTH`] up.
const SIGMAS: [f32; 3] = [0.8, 2.5, 7.0];
/// Faces narrower than this (pixels) hold no detail at the finest scale; the bands grow in proportion, up to
/// [`MOST_COARSE`] times.
const FULL_WIDTH: f32 = 56.0;
/// Largest growth of the bands: a face of 19 pixels.
const MOST_COARSE: f32 = 3.0;
/// Shifts tried in each direction, in crop pixels.
const SHIFT: usize = 3;
/// Least standard deviation (of 255 levels) of detail worth comparing in the source.
const LEAST_SOURCE: f32 = 0.3;
/// Least standard deviation in the output; flatter is a flat cover.
const LEAST_OUTPUT: f32 = 0.05;

/// Standard deviation (of 255 levels) of luma over the inner face below which a patch is one colour. An encoder leaves
/// less of a solid cover; a face in the dark has more.
const FLAT: f32 = 2.5;

/// Share of the source's finest detail under which a face counts as softened. Drawn doubles have most of it and more.
const SOFT: f32 = 0.45;

/// Half-open box in the crop: x0, y0, x1, y1.
type Area = [usize; 4];
/// Eyes, nose and mouth.
const INNER: Area = [22, 34, 90, 104];
/// Parts that alone would show who it is.
const PARTS: [(Part, Area); 4] = [
    (Part::Eyes, [22, 40, 90, 62]),
    (Part::Mouth, [30, 78, 82, 104]),
    (Part::Left, [22, 36, 56, 104]),
    (Part::Right, [56, 36, 90, 104]),
];

/// Limits above which detail counts as the original's. Measured on 93 faces of eight clips: the least value of a
/// re-encoded original (x264 crf 18 to 28, x265 crf 28) is 0.93 fine and 0.99 middle for faces of 24 px up and 0.63
/// and 0.84 below; the largest value of a replaced, solid or pixelated face is 0.70. The limits lie between, nearer
/// to the treated side, so that doubt counts as untouched. Two strangers filmed alike (six pairs) reach 0.55 fine and
/// 0.85 middle, and once 0.82 in both for the mouth alone.
mod limit {
    /// Fine band, faces of [`super::SMALL`] up.
    pub const FINE: f32 = 0.78;
    /// Middle band, faces of [`super::SMALL`] up.
    pub const MIDDLE: f32 = 0.88;
    /// Fine band, small faces.
    pub const FINE_SMALL: f32 = 0.58;
    /// Middle band, small faces.
    pub const MIDDLE_SMALL: f32 = 0.84;
    /// Both bands of one part.
    pub const PART: f32 = 0.84;
}
/// Faces narrower than this keep little detail through an encoder.
const SMALL: f32 = 24.0;

/// A part of the face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Both eyes.
    Eyes,
    /// The mouth.
    Mouth,
    /// The half at the left of the picture.
    Left,
    /// The half at the right of the picture.
    Right,
}

/// How much of the original's detail is in the output, 0..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Likeness {
    /// Finest band, whole inner face.
    pub fine: f32,
    /// Next band, whole inner face.
    pub middle: f32,
    /// The part that is most like the original, and how much (the lesser of both bands).
    pub part: (Part, f32),
    /// The source shows no detail there that could be compared.
    pub plain: bool,
    width: f32,
}

impl Likeness {
    /// For a place that cannot be compared: counts as untouched.
    pub fn unknown(width: f32) -> Self {
        Likeness { fine: 1.0, middle: 1.0, part: (Part::Eyes, 1.0), plain: false, width }
    }

    /// One number for sorting: the lesser of both bands.
    pub fn score(&self) -> f32 {
        self.fine.min(self.middle)
    }

    /// The face is still the original's.
    pub fn is_untouched(&self) -> bool {
        let (fine, middle) =
            if self.width < SMALL { (limit::FINE_SMALL, limit::MIDDLE_SMALL) } else { (limit::FINE, limit::MIDDLE) };
        self.fine >= fine && self.middle >= middle
    }

    /// The face was surely changed: far below the limits, though there was something to see.
    pub fn is_altered(&self) -> bool {
        !self.plain && self.width >= SMALL && self.fine < limit::FINE - 0.2 && self.middle < limit::MIDDLE - 0.2
    }

    /// The face was changed, but a part of it is still the original's.
    pub fn is_partly_untouched(&self) -> bool {
        !self.is_untouched() && self.width >= SMALL && self.part.1 >= limit::PART
    }
}

/// The limits in words, for the report.
pub(crate) fn limits_text() -> String {
    format!(
        "untouched if fine >= {} and middle >= {} (faces under {SMALL} px: {} and {}); part if both >= {}",
        limit::FINE,
        limit::MIDDLE,
        limit::FINE_SMALL,
        limit::MIDDLE_SMALL,
        limit::PART
    )
}

/// The template as points; what [`crate::vision::alignment`] maps faces to.
pub(crate) fn template<S>() -> [Point<S>; 5] {
    TEMPLATE.map(|[x, y]| Point::new(x, y))
}

/// Points guessed from a box alone.
pub(crate) fn points_in_box(rect: &Rect<InFrame>) -> [Point<InFrame>; 5] {
    IN_BOX.map(|[u, v]| Point::new(rect.x0 + u * rect.width(), rect.y0 + v * rect.height()))
}

/// Luma of the aligned crop, 0..=255, `SIDE` × `SIDE`; parts outside the picture repeat its edge.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LumaCrop(Vec<f32>);

impl LumaCrop {
    /// Cuts the crop out of a picture; `None` if the points do not span a face.
    pub fn cut(frame: &Frame, points: &[Point<InFrame>; 5]) -> Option<Self> {
        let target = TEMPLATE.map(|[x, y]| Point::<InCrop>::new(x, y));
        let crop_from_frame = Affine::similarity(&target, points)?;
        let frame_from_crop = crop_from_frame.inverse()?;
        let step = frame_from_crop.scale();
        if !step.is_finite() || step > frame.width.max(frame.height) as f32 || frame.width == 0 || frame.height == 0 {
            return None;
        }
        // Several source pixels per crop pixel: average an n × n grid of samples, so that nothing aliases.
        let n = (step.ceil() as usize).clamp(1, 16);
        let source = Luma::of(frame);
        // Luma and Y are a plane of their own, by far the most common case.
        let plane = frame.planes.first().filter(|_| frame.layout.model != ColorModel::Gbr).map(|p| &p.samples);
        let scale = 255.0 / frame.max_value();
        let (right, bottom) = (frame.width - 1, frame.height - 1);
        let m = frame_from_crop.m;
        let unit = 1.0 / n as f32;
        let mut data = vec![0.0; SIDE * SIDE];
        for (y, row) in data.chunks_exact_mut(SIDE).enumerate() {
            for j in 0..n {
                let v = y as f32 + (j as f32 + 0.5) * unit;
                let (x0, y0) = (m[0][1] * v + m[0][2] - 0.5, m[1][1] * v + m[1][2] - 0.5);
                for (x, cell) in row.iter_mut().enumerate() {
                    for i in 0..n {
                        let u = x as f32 + (i as f32 + 0.5) * unit;
                        let (px, py) = (x0 + m[0][0] * u, y0 + m[1][0] * u);
                        // Where several are averaged, the nearest pixel is enough.
                        let near = || {
                            let row = ((py + 0.5).max(0.0) as usize).min(bottom);
                            row * frame.width + ((px + 0.5).max(0.0) as usize).min(right)
                        };
                        *cell += match plane {
                            Some(Samples::U8(v)) if n > 1 => f32::from(v[near()]) * scale,
                            Some(Samples::U16(v)) if n > 1 => f32::from(v[near()]) * scale,
                            _ => source.at(px, py),
                        };
                    }
                }
            }
            row.iter_mut().for_each(|v| *v *= unit * unit);
        }
        Some(LumaCrop(data))
    }

    /// One colour where eyes, nose and mouth would be: nobody is seen there, whatever a recogniser makes of it.
    pub fn is_flat(&self) -> bool {
        spread(&self.0, INNER) < FLAT
    }

    /// Whether the inner face has lost most of its finest detail: a cover may have been blurred or averaged there.
    pub fn is_softer_than(&self, source: &Self, width: f32) -> bool {
        let coarse = (FULL_WIDTH / width.max(1.0)).clamp(1.0, MOST_COARSE);
        let fine = |crop: &LumaCrop| spread(&bands(&crop.0, coarse)[0], INNER);
        fine(self) < SOFT * fine(source)
    }

    /// The inner face alone, repeated outwards: what stands around it has no say.
    fn inner_alone(&self) -> Self {
        let [x0, y0, x1, y1] = INNER;
        let at = |i: usize| self.0[(i / SIDE).clamp(y0, y1 - 1) * SIDE + (i % SIDE).clamp(x0, x1 - 1)];
        LumaCrop((0..SIDE * SIDE).map(at).collect())
    }

    /// A crop from ready values; for synthetic tests.
    #[cfg(test)]
    fn from_values(data: Vec<f32>) -> Self {
        assert_eq!(data.len(), SIDE * SIDE);
        LumaCrop(data)
    }
}

/// Compares two crops cut at the same place. `width` is the width of the face in the picture, in pixels.
pub(crate) fn compare(source: &LumaCrop, output: &LumaCrop, width: f32) -> Likeness {
    // The wide Gaussians reach beyond the inner face: on a flat cover nothing would be left but a hat and a collar.
    let alone = output.is_flat().then(|| (source.inner_alone(), output.inner_alone()));
    let (source, output) = alone.as_ref().map_or((source, output), |(a, b)| (a, b));
    let coarse = (FULL_WIDTH / width.max(1.0)).clamp(1.0, MOST_COARSE);
    let [fine_a, middle_a] = bands(&source.0, coarse);
    let [fine_b, middle_b] = bands(&output.0, coarse);
    let mut part = (Part::Eyes, 0.0);
    for (name, area) in PARTS {
        let score = correlate(&fine_a, &fine_b, area).min(correlate(&middle_a, &middle_b, area));
        if score > part.1 {
            part = (name, score);
        }
    }
    let (fine, middle) = (correlate(&fine_a, &fine_b, INNER), correlate(&middle_a, &middle_b, INNER));
    Likeness { fine, middle, part, plain: is_plain(&fine_a) || is_plain(&middle_a), width }
}

/// Fine and middle band of a crop.
fn bands(crop: &[f32], coarse: f32) -> [Vec<f32>; 2] {
    let [a, b, c] = SIGMAS.map(|s| blur(crop, s * coarse));
    let minus = |p: &[f32], q: &[f32]| p.iter().zip(q).map(|(x, y)| x - y).collect();
    [minus(&a, &b), minus(&b, &c)]
}

/// Gaussian blur of a `SIDE` × `SIDE` picture, mirrored at the edges.
fn blur(picture: &[f32], sigma: f32) -> Vec<f32> {
    let reach = ((3.0 * sigma).ceil() as usize).clamp(1, SIDE - 1);
    let mut kernel: Vec<f32> = (0..=reach).map(|i| (-0.5 * (i as f32 / sigma).powi(2)).exp()).collect();
    let sum = kernel[0] + 2.0 * kernel[1..].iter().sum::<f32>();
    kernel.iter_mut().for_each(|k| *k /= sum);
    let across = blur_rows(picture, &kernel);
    let turned = transpose(&across);
    transpose(&blur_rows(&turned, &kernel))
}

fn blur_rows(picture: &[f32], kernel: &[f32]) -> Vec<f32> {
    let reach = kernel.len() - 1;
    let mut out = vec![0.0f32; SIDE * SIDE];
    let mut line = vec![0.0f32; SIDE + 2 * reach];
    for (row, out) in picture.chunks_exact(SIDE).zip(out.chunks_exact_mut(SIDE)) {
        for (i, v) in line.iter_mut().enumerate() {
            *v = row[mirror(i as isize - reach as isize)];
        }
        for (k, w) in kernel.iter().enumerate() {
            let (low, high) = (&line[reach - k..reach - k + SIDE], &line[reach + k..reach + k + SIDE]);
            let w = if k == 0 { w / 2.0 } else { *w };
            for ((o, a), b) in out.iter_mut().zip(low).zip(high) {
                *o += w * (a + b);
            }
        }
    }
    out
}

fn mirror(i: isize) -> usize {
    let last = SIDE as isize - 1;
    let i = i.abs();
    (if i > last { 2 * last - i } else { i }).clamp(0, last) as usize
}

fn transpose(picture: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; SIDE * SIDE];
    for (y, row) in picture.chunks_exact(SIDE).enumerate() {
        for (x, v) in row.iter().enumerate() {
            out[x * SIDE + y] = *v;
        }
    }
    out
}

/// Whether the inner face has too little detail to be compared.
fn is_plain(band: &[f32]) -> bool {
    spread(band, INNER) < LEAST_SOURCE
}

/// Standard deviation over an area.
fn spread(picture: &[f32], [x0, y0, x1, y1]: Area) -> f32 {
    let area = || (y0..y1).flat_map(|y| &picture[y * SIDE + x0..y * SIDE + x1]);
    let n = ((x1 - x0) * (y1 - y0)) as f32;
    let mean = area().sum::<f32>() / n;
    (area().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt()
}

/// Largest absolute normalised correlation of an area of `a` with `b`, over all small shifts.
fn correlate(a: &[f32], b: &[f32], [x0, y0, x1, y1]: Area) -> f32 {
    let (w, h) = (x1 - x0, y1 - y0);
    let n = (w * h) as f32;
    let mean = (y0..y1).flat_map(|y| &a[y * SIDE + x0..y * SIDE + x1]).sum::<f32>() / n;
    let template: Vec<f32> = (y0..y1).flat_map(|y| &a[y * SIDE + x0..y * SIDE + x1]).map(|v| v - mean).collect();
    let power = template.iter().map(|v| v * v).sum::<f32>();
    if (power / n).sqrt() < LEAST_SOURCE {
        return 0.0;
    }
    let mut best = 0.0f32;
    for dy in 0..=2 * SHIFT {
        for dx in 0..=2 * SHIFT {
            let (mut dot, mut sum, mut square) = (0.0f32, 0.0f32, 0.0f32);
            for (row, t) in template.chunks_exact(w).enumerate() {
                let at = (y0 + row + dy - SHIFT) * SIDE + x0 + dx - SHIFT;
                for (t, v) in t.iter().zip(&b[at..at + w]) {
                    dot += t * v;
                    sum += v;
                    square += v * v;
                }
            }
            let variance = (square - sum * sum / n).max(0.0);
            if (variance / n).sqrt() >= LEAST_OUTPUT {
                best = best.max(dot.abs() / (power * variance).sqrt());
            }
        }
    }
    best.min(1.0)
}

/// Bilinear luma, 0..=255, of a picture of any colour model.
struct Luma<'a> {
    frame: &'a Frame,
    scale: f32,
}

impl<'a> Luma<'a> {
    fn of(frame: &'a Frame) -> Self {
        Luma { frame, scale: 255.0 / frame.max_value() }
    }

    fn at(&self, x: f32, y: f32) -> f32 {
        let (w, h) = (self.frame.width, self.frame.height);
        let x = if x.is_finite() { x.clamp(0.0, (w - 1) as f32) } else { 0.0 };
        let y = if y.is_finite() { y.clamp(0.0, (h - 1) as f32) } else { 0.0 };
        let (x0, y0) = (x as usize, y as usize);
        let (x1, y1) = ((x0 + 1).min(w - 1), (y0 + 1).min(h - 1));
        let (u, v) = (x - x0 as f32, y - y0 as f32);
        let top = self.pixel(x0, y0) * (1.0 - u) + self.pixel(x1, y0) * u;
        let bottom = self.pixel(x0, y1) * (1.0 - u) + self.pixel(x1, y1) * u;
        (top * (1.0 - v) + bottom * v) * self.scale
    }

    #[inline]
    fn pixel(&self, x: usize, y: usize) -> f32 {
        let i = y * self.frame.width + x;
        let value = |p: usize| match self.frame.planes.get(p).map(|p| &p.samples) {
            Some(Samples::U8(v)) => v.get(i).copied().map_or(0.0, f32::from),
            Some(Samples::U16(v)) => v.get(i).copied().map_or(0.0, f32::from),
            None => 0.0,
        };
        match self.frame.layout.model {
            ColorModel::Gbr => 0.587 * value(0) + 0.114 * value(1) + 0.299 * value(2),
            ColorModel::Gray | ColorModel::Yuv => value(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{ColorDesc, PixelLayout};

    fn noise(seed: u32) -> impl FnMut() -> f32 {
        let mut s = seed.wrapping_mul(2_654_435_761) | 1;
        move || {
            s ^= s << 13;
            s ^= s >> 17;
            s ^= s << 5;
            (s >> 8) as f32 / (1 << 24) as f32
        }
    }

    /// Smooth random texture, as detailed as a face.
    fn texture(seed: u32) -> Vec<f32> {
        let mut next = noise(seed);
        let raw: Vec<f32> = (0..SIDE * SIDE).map(|_| next() * 255.0).collect();
        let (fine, coarse) = (blur(&raw, 1.2), blur(&raw, 5.0));
        fine.iter().zip(coarse).map(|(a, b)| 128.0 + 0.6 * (a - 128.0) + 3.0 * (b - 128.0)).collect()
    }

    fn shifted(v: &[f32], by: isize) -> Vec<f32> {
        (0..SIDE * SIDE).map(|i| v[(i / SIDE) * SIDE + mirror((i % SIDE) as isize + by)]).collect()
    }

    #[test]
    fn a_cover_is_flat_and_a_dark_face_is_not() {
        let noise = |i: usize| ((i * 2_654_435_761) >> 7 & 7) as f32 - 3.5;
        let cover = (0..SIDE * SIDE).map(|i| 90.0 + 0.5 * noise(i)).collect();
        assert!(LumaCrop::from_values(cover).is_flat());
        let dark = (0..SIDE * SIDE).map(|i| 20.0 + 6.0 * (i as f32 * 0.09).sin()).collect();
        assert!(!LumaCrop::from_values(dark).is_flat());
    }

    #[test]
    fn the_same_face_noisier_brighter_moved_or_negative_is_untouched() {
        let a = texture(1);
        let mut next = noise(9);
        let variants: [Vec<f32>; 4] = [
            a.iter().map(|v| v + 3.0 * (next() - 0.5)).collect(),
            a.iter().map(|v| 0.6 * v + 40.0).collect(),
            shifted(&a, 2),
            a.iter().map(|v| 255.0 - v).collect(),
        ];
        for (i, b) in variants.into_iter().enumerate() {
            let l = compare(&LumaCrop::from_values(a.clone()), &LumaCrop::from_values(b), 80.0);
            assert!(l.is_untouched(), "variant {i}: {l:?}");
        }
    }

    #[test]
    fn another_face_a_flat_cover_and_a_strong_blur_are_changed() {
        let a = texture(1);
        for b in [texture(2), vec![90.0; SIDE * SIDE], blur(&a, 16.0)] {
            for width in [18.0, 40.0, 200.0] {
                let l = compare(&LumaCrop::from_values(a.clone()), &LumaCrop::from_values(b.clone()), width);
                assert!(!l.is_untouched() && !l.is_partly_untouched(), "{l:?}");
            }
        }
    }

    #[test]
    fn a_small_flat_cover_between_hat_and_collar_is_changed_and_a_faint_face_there_is_not() {
        let around = |inner: &dyn Fn(usize) -> f32| -> Vec<f32> {
            let [x0, y0, x1, y1] = INNER;
            let inside = |i: usize| (x0..x1).contains(&(i % SIDE)) && (y0..y1).contains(&(i / SIDE));
            let outside = |i: usize| if i / SIDE < 50 { 240.0 } else { 30.0 };
            (0..SIDE * SIDE).map(|i| if inside(i) { inner(i) } else { outside(i) }).collect()
        };
        let face = blur(&texture(1), 2.0);
        let source = LumaCrop::from_values(around(&|i| 100.0 - 0.8 * (i / SIDE) as f32 + 0.2 * (face[i] - 128.0)));
        let mut next = noise(5);
        let dither: Vec<f32> = (0..SIDE * SIDE).map(|_| next() - 0.5).collect();
        let cover = LumaCrop::from_values(around(&|i| 90.0 + dither[i]));
        let covered = compare(&source, &cover, 20.0);
        assert!(covered.fine < 0.3 && covered.middle < 0.3, "{covered:?}");
        let faint: Vec<f32> = source.0.iter().map(|v| 90.0 + 0.06 * v).collect();
        let faint = LumaCrop::from_values(around(&|i| faint[i]));
        assert!(faint.is_flat() && compare(&source, &faint, 20.0).is_untouched());
    }

    #[test]
    fn what_was_blurred_is_softer_and_another_face_is_not() {
        let a = texture(1);
        let crop = |v: Vec<f32>| LumaCrop::from_values(v);
        let source = crop(a.clone());
        assert!(
            crop(blur(&a, 4.0)).is_softer_than(&source, 100.0)
                && crop(vec![9.0; SIDE * SIDE]).is_softer_than(&source, 30.0)
        );
        assert!(!crop(texture(2)).is_softer_than(&source, 100.0) && !source.is_softer_than(&source, 40.0));
    }

    #[test]
    fn eyes_left_over_are_found() {
        let (a, mut b) = (texture(1), texture(2));
        b[36 * SIDE..66 * SIDE].copy_from_slice(&a[36 * SIDE..66 * SIDE]);
        let l = compare(&LumaCrop::from_values(a), &LumaCrop::from_values(b), 80.0);
        assert!(l.is_partly_untouched() && l.part.0 == Part::Eyes, "{l:?}");
    }

    #[test]
    fn a_crop_follows_scale_and_depth() {
        let paint = |size: usize, depth: u8| {
            let layout = PixelLayout { model: ColorModel::Gray, depth, log2_chroma_w: 0, log2_chroma_h: 0 };
            let mut f = Frame::black(size, size, layout, ColorDesc::default());
            let max = f.max_value();
            for i in 0..size * size {
                let (x, y) = ((i % size) as f32 / size as f32, (i / size) as f32 / size as f32);
                let v = 0.5 + 0.25 * (x * 40.0).sin() + 0.25 * (y * 31.0).cos();
                f.planes[0].samples.set(i, v * max, max);
            }
            let points =
                points_in_box(&Rect::new(size as f32 * 0.3, size as f32 * 0.25, size as f32 * 0.7, size as f32 * 0.75));
            LumaCrop::cut(&f, &points).unwrap()
        };
        let base = paint(240, 8);
        for other in [paint(960, 8), paint(240, 10), paint(500, 12)] {
            let l = compare(&base, &other, 96.0);
            assert!(l.fine > 0.97 && l.middle > 0.99, "{l:?}");
        }
    }

    #[test]
    fn odd_points_do_not_crash() {
        let layout = PixelLayout { model: ColorModel::Yuv, depth: 8, log2_chroma_w: 1, log2_chroma_h: 1 };
        let f = Frame::black(33, 17, layout, ColorDesc::default());
        for p in [[0.0, 0.0], [f32::NAN, 1.0], [1e30, -1e30]] {
            assert!(LumaCrop::cut(&f, &[Point::new(p[0], p[1]); 5]).is_none());
        }
        assert!(LumaCrop::cut(&f, &points_in_box(&Rect::new(-50.0, -50.0, -10.0, -10.0))).is_some());
        assert!(LumaCrop::cut(&f, &points_in_box(&Rect::new(0.0, 0.0, 1e9, 1e9))).is_none());
    }
}
