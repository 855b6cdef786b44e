//! Puts a drawn double into the frame: erase, bend, blend.

use super::geometry::FaceMotion;
use super::grain;
use super::light::bounds;
use super::maps::{distance_inside, ramp};
use super::mesh::Mesh;
use super::raster::{NONE, Raster, mix};
use super::render::{RenderedFace, cover, soften_silhouette};
use super::warp::Warp;
use crate::Result;
use crate::geom::{InFrame, PixelRect, Rect};
use crate::image::{Frame, Matte, RgbPatch};

/// Margin around both meshes that may be bent, in face widths.
const MARGIN: f32 = 0.35;
/// Width and softness of the halo, in face widths.
const HALO_WIDTH: f32 = 0.11;
const HALO_BLUR: f32 = 0.07;
/// How far a full halo goes towards white.
const HALO_GLOW: f32 = 0.16;

/// Everything that was touched: alpha 0 means that the frame kept its bits.
#[derive(Debug, Clone)]
pub struct Touched {
    /// Left column of the matte in the frame.
    pub x: usize,
    /// Top row of the matte in the frame.
    pub y: usize,
    /// Share of each pixel that was replaced.
    pub matte: Matte,
    /// Coverage of the double alone, of the same size: what a compositor needs.
    pub face: Matte,
}

/// Composites a drawn double.
///
/// First the subject's inner face is erased: filled with the low-frequency light alone, so that no pixel of it remains
/// beneath partial coverage. Then the surroundings are bent until the head's outline is the double's, then the double
/// is blended in. `halo` in 0..=1 leaves a visible soft edge that tells the viewer of the veil; 0 leaves none.
/// `others` are the boxes of the other faces: nothing of them is bent out of its place.
///
/// # Errors
/// `Input` if the motion is not finite or lies outside the frame: cover the face then. The frame is unchanged.
pub fn composite(
    mesh: &Mesh,
    frame: &mut Frame,
    motion: &FaceMotion,
    face: &RenderedFace,
    halo: f32,
    others: &[Rect<InFrame>],
) -> Result<Touched> {
    if !motion.is_sound() || !halo.is_finite() {
        return Err(cover("its motion is not finite"));
    }
    let area = touched_area(motion, frame)?;
    let mut ground = frame.read_rgb(area);
    let erased = erase(mesh, motion, face, area, &mut ground);
    let alpha = face_alpha(face, area);
    let (mut out, bent) = Warp::new(mesh, motion, area, others).apply(&ground, &alpha);
    blend(face, area, &alpha, &mut out);
    let mut touched: Vec<f32> =
        (0..alpha.len()).map(|i| if alpha[i] > 0.0 || erased[i] > 0.0 { 1.0 } else { bent[i] }).collect();
    if halo > 0.0 {
        add_halo(&mut out, &alpha, &mut touched, halo.min(1.0), motion.scale);
    }
    if out.data.iter().chain(&touched).any(|v| !v.is_finite()) {
        return Err(cover("a colour is not finite"));
    }
    let matte = |data: Vec<f32>| Matte { width: area.width, height: area.height, data };
    let (matte, face) = (matte(touched), matte(alpha));
    frame.blend_rgb(area.x, area.y, &out, &matte);
    Ok(Touched { x: area.x, y: area.y, matte, face })
}

fn touched_area(motion: &FaceMotion, frame: &Frame) -> Result<PixelRect> {
    let both = bounds(&motion.subject).union(&bounds(&motion.target));
    let m = MARGIN * motion.scale;
    let grown: Rect<InFrame> = Rect::new(both.x0 - m, both.y0 - m, both.x1 + m, both.y1 + m);
    grown.to_pixels(frame.width, frame.height).ok_or_else(|| cover("it lies outside the picture"))
}

/// Paints the light over the subject's face; returns the coverage.
fn erase(mesh: &Mesh, motion: &FaceMotion, face: &RenderedFace, area: PixelRect, ground: &mut RgbPatch) -> Vec<f32> {
    let mut raster = Raster::new(area.width, area.height);
    raster.draw(&motion.subject, &mesh.triangles, [area.x as f32, area.y as f32]);
    let mut cover = Matte::filled(area.width, area.height, 0.0);
    let mut paint = vec![[0.0f32; 3]; cover.data.len()];
    for (i, (&t, &w)) in raster.triangle.iter().zip(&raster.weights).enumerate() {
        if t != NONE {
            let uv = mix(mesh.triangles[t as usize].map(|v| mesh.uv[v]), w);
            cover.data[i] = mesh.maps.ground.sample(uv[0], uv[1])[0];
            paint[i] = face.light.sample(uv);
        }
    }
    soften_silhouette(&raster, 0.4 * motion.scale, &mut cover);
    let (noise, seed) = face.noise;
    for ((px, a), p) in ground.data.chunks_exact_mut(3).zip(&cover.data).zip(&paint) {
        if *a > 0.0 {
            (0..3).for_each(|k| px[k] += a * (p[k] - px[k]));
        }
    }
    if noise > 0.0 {
        let field = grain::noise_field(area.width, area.height, (area.x, area.y), seed);
        for ((px, a), n) in ground.data.chunks_exact_mut(3).zip(&cover.data).zip(&field) {
            px.iter_mut().for_each(|v| *v += a * n * noise);
        }
    }
    cover.data
}

/// Coverage of the double on the pixels of `area`.
fn face_alpha(face: &RenderedFace, area: PixelRect) -> Vec<f32> {
    let mut alpha = vec![0.0; area.width * area.height];
    each_pixel(face, area, |i, j| alpha[i] = face.matte.data[j].clamp(0.0, 1.0));
    alpha
}

/// Calls `f` with the numbers of each common pixel in `area` and in the drawn patch.
fn each_pixel(face: &RenderedFace, area: PixelRect, mut f: impl FnMut(usize, usize)) {
    for row in 0..face.matte.height {
        let y = face.y + row;
        if y < area.y || y >= area.y + area.height {
            continue;
        }
        for col in 0..face.matte.width {
            let x = face.x + col;
            if x >= area.x && x < area.x + area.width {
                f((y - area.y) * area.width + x - area.x, row * face.matte.width + col);
            }
        }
    }
}

/// Blends the double over the bent ground. Here a matte of hair and hands in front of the face would lower `alpha`.
fn blend(face: &RenderedFace, area: PixelRect, alpha: &[f32], out: &mut RgbPatch) {
    each_pixel(face, area, |i, j| {
        let a = alpha[i];
        if a > 0.0 {
            for k in 0..3 {
                let px = &mut out.data[i * 3 + k];
                *px += a * (face.rgb.data[j * 3 + k] - *px);
            }
        }
    });
}

/// Blurs and lightens a ring along the edge of the double. Ring and blur are so smooth that cells of an eighth of the ring's
/// width hold them.
fn add_halo(out: &mut RgbPatch, alpha: &[f32], touched: &mut [f32], halo: f32, scale: f32) {
    let width = (HALO_WIDTH * scale).max(2.0);
    let step = ((width / 8.0) as usize).max(1);
    let (columns, rows) = (out.width.div_ceil(step), out.height.div_ceil(step));
    // Mean colour and coverage of each cell.
    let mut colours = vec![0.0f32; columns * rows * 3];
    let mut solid = vec![0.0f32; columns * rows];
    for y in 0..out.height {
        for x in 0..out.width {
            let (i, cell) = (y * out.width + x, y / step * columns + x / step);
            let across = step.min(out.width - x / step * step) * step.min(out.height - y / step * step);
            let share = 1.0 / across as f32;
            solid[cell] += share * alpha[i];
            (0..3).for_each(|k| colours[cell * 3 + k] += share * out.data[i * 3 + k]);
        }
    }
    solid.iter_mut().for_each(|a| *a = if *a > 0.5 { 1.0 } else { 0.0 });
    let outside: Vec<f32> = solid.iter().map(|s| 1.0 - s).collect();
    let inner = distance_inside(&solid, columns, rows, f32::MAX);
    let outer = distance_inside(&outside, columns, rows, f32::MAX);
    let ring = |d: (&f32, &f32)| halo * (1.0 - ramp(d.0.max(*d.1) * step as f32, (0.0, width)));
    let ring: Vec<f32> = inner.iter().zip(&outer).map(ring).collect();
    let soft = super::filter::gaussian(&colours, columns, rows, 3, (HALO_BLUR * scale / step as f32).max(0.8));
    for y in 0..out.height {
        let (y0, y1, v) = between(y, step, rows);
        for x in 0..out.width {
            let (x0, x1, u) = between(x, step, columns);
            let four = [y0 * columns + x0, y0 * columns + x1, y1 * columns + x0, y1 * columns + x1];
            let weights = [(1.0 - u) * (1.0 - v), u * (1.0 - v), (1.0 - u) * v, u * v];
            let at = |map: &dyn Fn(usize) -> f32| four.iter().zip(weights).map(|(c, w)| w * map(*c)).sum::<f32>();
            if four.iter().all(|c| ring[*c] <= 0.0) {
                continue;
            }
            let (i, share) = (y * out.width + x, at(&|c| ring[c]));
            for k in 0..3 {
                let soft = at(&|c| soft[c * 3 + k]);
                let glow = soft + HALO_GLOW * (1.0 - soft);
                out.data[i * 3 + k] += share * (glow - out.data[i * 3 + k]);
            }
            touched[i] = 1.0;
        }
    }
}

/// The two cells whose centres a pixel lies between, and how far it is from the first.
fn between(pixel: usize, step: usize, cells: usize) -> (usize, usize, f32) {
    let at = ((pixel as f32 + 0.5) / step as f32 - 0.5).clamp(0.0, (cells - 1) as f32);
    let first = at as usize;
    (first, (first + 1).min(cells - 1), at - first as f32)
}
