//! Covers that show no face: irreversible blur, mosaic, solid, silhouette.
//!
//! None of them is a filter that could be undone: [`Cover::Blur`] and [`Cover::Mosaic`] first average the head down
//! to at most [`CELLS_ACROSS`] cells per face width and quantise them; only these few numbers are drawn again. The
//! picture under the shape is never mixed in: alpha is 1 on the whole shape and falls to 0 outside it.
//!
//! Why so few cells: faces of 12 and more pixels are recognised by machines (McPherson, Shokri, Shmatikov,
//! *Defeating image obfuscation with deep learning*, 2016, §5). Six were too many: sharpened by a Wiener filter, one face of
//! eight came first among a thousand strangers (the attack of `verify`; `docs/measured.md`). With four nobody did.

mod shape;

pub use shape::Shape;

use crate::geom::PixelRect;
use crate::image::{Frame, Matte, RgbPatch};

/// Cells per face width left by blur and mosaic.
pub const CELLS_ACROSS: f32 = 4.0;
/// Levels per channel left by blur and mosaic.
const LEVELS: f32 = 31.0;

/// Levels per channel of the one colour of a solid cover.
const COVER_LEVELS: f32 = 63.0;

/// How a shape is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    /// Few averaged cells, drawn smoothly.
    Blur,
    /// Few averaged cells, drawn as squares.
    Mosaic,
    /// One colour: the mean under the shape.
    Solid,
    /// Nearly black.
    Silhouette,
}

/// What was touched: a matte with the position of its top-left pixel.
#[derive(Debug, Clone, PartialEq)]
pub struct Touched {
    /// Column of the matte's first pixel.
    pub x: usize,
    /// Row of the matte's first pixel.
    pub y: usize,
    /// Alpha per pixel; 0 means untouched.
    pub matte: Matte,
}

/// Covers `shape` in `frame`. `face_width_px` sets the size of the cells.
///
/// Returns what was touched, or `None` if the shape lies outside the frame.
pub fn cover(frame: &mut Frame, shape: &Shape, how: Cover, face_width_px: f32) -> Option<Touched> {
    let rect = shape.bounds().to_pixels(frame.width, frame.height)?;
    let mut patch = frame.read_rgb(rect);
    let cell = (face_width_px / CELLS_ACROSS).max(4.0);
    match how {
        Cover::Silhouette => fill(&mut patch, [0.02, 0.02, 0.025]),
        Cover::Solid => {
            // Half as colourful, so that it does not catch the eye; in fine steps, so that it does not flicker.
            let mean = mean(&patch);
            let grey = (mean[0] + mean[1] + mean[2]) / 3.0;
            fill(&mut patch, mean.map(|v| quantise((v + grey) / 2.0, COVER_LEVELS)));
        }
        Cover::Mosaic => cells(&mut patch, cell, false),
        Cover::Blur => cells(&mut patch, cell, true),
    }
    let matte = shape.matte(rect);
    frame.blend_rgb(rect.x, rect.y, &patch, &matte);
    Some(Touched { x: rect.x, y: rect.y, matte })
}

/// As [`Cover::Blur`] with another hue and no fine detail: for clothes and objects. Each colour channel is averaged to
/// cells, then rotated (R→G→B) and halved in saturation, so that neither hue nor pattern remains.
pub fn recolour(frame: &mut Frame, shape: &Shape, cell_px: f32) -> Option<Touched> {
    let rect = shape.bounds().to_pixels(frame.width, frame.height)?;
    let mut patch = frame.read_rgb(rect);
    cells(&mut patch, cell_px.max(4.0), true);
    for px in patch.data.chunks_exact_mut(3) {
        let grey = (px[0] + px[1] + px[2]) / 3.0;
        let (r, g, b) = (px[0], px[1], px[2]);
        px.copy_from_slice(&[grey + (b - grey) / 2.0, grey + (r - grey) / 2.0, grey + (g - grey) / 2.0]);
    }
    let matte = shape.matte(rect);
    frame.blend_rgb(rect.x, rect.y, &patch, &matte);
    Some(Touched { x: rect.x, y: rect.y, matte })
}

fn quantise(v: f32, levels: f32) -> f32 {
    (v.clamp(0.0, 1.0) * levels).round() / levels
}

fn fill(patch: &mut RgbPatch, rgb: [f32; 3]) {
    for px in patch.data.chunks_exact_mut(3) {
        px.copy_from_slice(&rgb);
    }
}

fn mean(patch: &RgbPatch) -> [f32; 3] {
    let n = (patch.data.len() / 3).max(1) as f32;
    let mut sum = [0.0f64; 3];
    for px in patch.data.chunks_exact(3) {
        for (s, v) in sum.iter_mut().zip(px) {
            *s += f64::from(*v);
        }
    }
    sum.map(|s| s as f32 / n)
}

/// Replaces a patch by its cell means, drawn as squares or smoothly.
fn cells(patch: &mut RgbPatch, cell: f32, smooth: bool) {
    let (w, h) = (patch.width, patch.height);
    let nx = ((w as f32 / cell).round() as usize).max(1);
    let ny = ((h as f32 / cell).round() as usize).max(1);
    let mut sums = vec![[0.0f32; 4]; nx * ny];
    for y in 0..h {
        for x in 0..w {
            let cell = &mut sums[(y * ny / h) * nx + x * nx / w];
            let rgb = patch.pixel(x, y);
            for k in 0..3 {
                cell[k] += rgb[k];
            }
            cell[3] += 1.0;
        }
    }
    let means: Vec<[f32; 3]> = sums.iter().map(|c| [0, 1, 2].map(|k| quantise(c[k] / c[3].max(1.0), LEVELS))).collect();
    for y in 0..h {
        for x in 0..w {
            let rgb = if smooth {
                let fx = ((x as f32 + 0.5) * nx as f32 / w as f32 - 0.5).clamp(0.0, (nx - 1) as f32);
                let fy = ((y as f32 + 0.5) * ny as f32 / h as f32 - 0.5).clamp(0.0, (ny - 1) as f32);
                sample_smoothly(&means, nx, ny, fx, fy)
            } else {
                means[(y * ny / h) * nx + x * nx / w]
            };
            patch.set_pixel(x, y, rgb);
        }
    }
}

/// Uniform quadratic B-spline of the cell means: blurs further and never overshoots.
fn sample_smoothly(means: &[[f32; 3]], nx: usize, ny: usize, fx: f32, fy: f32) -> [f32; 3] {
    let weights = |u: f32| [0.5 * (0.5 - u) * (0.5 - u), 0.75 - u * u, 0.5 * (0.5 + u) * (0.5 + u)];
    let (cx, cy) = (fx.round(), fy.round());
    let (wx, wy) = (weights(fx - cx), weights(fy - cy));
    let at = |i: isize, n: usize| i.clamp(0, n as isize - 1) as usize;
    let mut out = [0.0; 3];
    for (j, b) in wy.iter().enumerate() {
        let row = at(cy as isize + j as isize - 1, ny) * nx;
        for (i, a) in wx.iter().enumerate() {
            let m = means[row + at(cx as isize + i as isize - 1, nx)];
            for k in 0..3 {
                out[k] += a * b * m[k];
            }
        }
    }
    out
}

/// The smallest pixel rectangle that holds everything a matte touches.
#[must_use]
pub fn touched_rect(t: &Touched) -> PixelRect {
    PixelRect { x: t.x, y: t.y, width: t.matte.width, height: t.matte.height }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geom::Rect;
    use crate::image::{ColorDesc, ColorModel, PixelLayout, Samples};

    fn noise_frame(seed: u32) -> Frame {
        let layout = PixelLayout { model: ColorModel::Yuv, depth: 8, log2_chroma_w: 1, log2_chroma_h: 1 };
        let mut f = Frame::black(200, 160, layout, ColorDesc::default());
        let mut state = seed;
        for p in &mut f.planes {
            if let Samples::U8(v) = &mut p.samples {
                for s in v {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    *s = (state >> 24) as u8;
                }
            }
        }
        f
    }

    #[test]
    fn pixels_outside_the_matte_keep_their_bits() {
        let face = Rect::new(80.0, 60.0, 120.0, 110.0);
        for how in [Cover::Blur, Cover::Mosaic, Cover::Solid, Cover::Silhouette] {
            let before = noise_frame(1);
            let mut after = before.clone();
            let shape = if how == Cover::Silhouette { Shape::bust(&face) } else { Shape::head(&face, 0.0) };
            let t = cover(&mut after, &shape, how, face.width()).unwrap();
            let mut changed = 0;
            for y in 0..160 {
                for x in 0..200 {
                    let inside = x >= t.x && y >= t.y && x < t.x + t.matte.width && y < t.y + t.matte.height;
                    let a = if inside { t.matte.data[(y - t.y) * t.matte.width + x - t.x] } else { 0.0 };
                    let same = before.planes[0].samples.get(y * 200 + x) == after.planes[0].samples.get(y * 200 + x);
                    assert!(same || a > 0.0);
                    changed += usize::from(!same);
                }
            }
            assert!(changed > 1500, "{how:?} changed only {changed} pixels");
        }
    }

    #[test]
    fn what_is_left_cannot_tell_two_faces_of_equal_means_apart() {
        // Two pictures whose cells have equal means but opposite fine detail give the same result.
        let face = Rect::new(60.0, 50.0, 132.0, 122.0);
        let layout = PixelLayout { model: ColorModel::Gray, depth: 8, log2_chroma_w: 0, log2_chroma_h: 0 };
        let mut a = Frame::black(200, 160, layout, ColorDesc::default());
        let mut b = a.clone();
        for (f, flip) in [(&mut a, 0), (&mut b, 1)] {
            if let Samples::U8(v) = &mut f.planes[0].samples {
                v.iter_mut().enumerate().for_each(|(i, s)| *s = if (i % 2) ^ flip == 0 { 90 } else { 150 });
            }
        }
        for how in [Cover::Blur, Cover::Mosaic, Cover::Solid] {
            let (mut x, mut y) = (a.clone(), b.clone());
            let shape = Shape::head(&face, 0.0);
            cover(&mut x, &shape, how, face.width());
            cover(&mut y, &shape, how, face.width());
            for row in 60..110 {
                for col in 70..120 {
                    let i = row * 200 + col;
                    let gap = (x.planes[0].samples.get(i) - y.planes[0].samples.get(i)).abs();
                    assert!(gap <= 9.0, "{how:?} differs by {gap} at {col},{row}"); // one quantisation step
                }
            }
        }
    }

    #[test]
    fn shapes_beyond_the_frame_do_nothing_and_do_not_panic() {
        let mut f = noise_frame(2);
        let away = Shape::head(&Rect::new(500.0, 500.0, 540.0, 540.0), 0.0);
        assert!(cover(&mut f, &away, Cover::Solid, 40.0).is_none());
        let bad = Shape::head(&Rect::new(f32::NAN, 0.0, 10.0, 10.0), 0.0);
        assert!(cover(&mut f, &bad, Cover::Solid, 40.0).is_none());
        let edge = Shape::head(&Rect::new(-20.0, -20.0, 10.0, 10.0), 0.0);
        assert!(cover(&mut f, &edge, Cover::Blur, 30.0).is_some());
    }
}
