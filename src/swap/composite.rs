//! Puts a drawn double into the frame: erase, bend, blend.

use super::filter::all_finite;
use super::geometry::FaceMotion;
use super::grain;
use super::light::bounds;
use super::maps::{distance_inside, ramp};
use super::mesh::Mesh;
use super::raster::{NONE, Raster, corner_mix};
use super::render::{RenderedFace, SILHOUETTE, cover, soften_silhouette};
use super::warp::Warp;
use crate::Result;
use crate::geom::{InFrame, PixelRect, Rect};
use crate::image::{Frame, Matte, RgbPatch};

/// Margin around both meshes that may be bent, in face widths.
const MARGIN: f32 = 0.35;
/// Width of the erased ground's soft edge, as a share of the double's.
const ERASE_SOFT: f32 = 0.4;
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
    let (mut out, mut touched) = Warp::new(mesh, motion, area, others).apply(&ground, &alpha);
    drop(ground);
    blend(face, area, &alpha, &mut out);
    let whole = |touched: &mut f32, a: &f32| *touched = if *a > 0.0 { 1.0 } else { *touched };
    touched.iter_mut().zip(&alpha).for_each(|(t, a)| whole(t, a));
    if let Some((place, cover)) = &erased {
        for (row, line) in cover.chunks_exact(place.width).enumerate() {
            let at = (place.y - area.y + row) * area.width + place.x - area.x;
            touched[at..at + place.width].iter_mut().zip(line).for_each(|(t, a)| whole(t, a));
        }
    }
    if halo > 0.0 {
        add_halo(&mut out, &alpha, &mut touched, halo.min(1.0), motion.scale);
    }
    if !all_finite(&out.data) || !all_finite(&touched) {
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

/// Paints the light over the subject's face; returns the place and its coverage, row by row.
fn erase(
    mesh: &Mesh,
    motion: &FaceMotion,
    face: &RenderedFace,
    area: PixelRect,
    ground: &mut RgbPatch,
) -> Option<(PixelRect, Vec<f32>)> {
    let place = within(&bounds(&motion.subject), area)?;
    let edge = ERASE_SOFT * motion.scale;
    // Light and coverage are so smooth that cells of a third of the soft edge's width hold them.
    let step = ((edge * SILHOUETTE / 3.0) as usize).max(1);
    let (columns, rows) = (place.width.div_ceil(step) + 1, place.height.div_ceil(step) + 1);
    let inv = 1.0 / step as f32;
    let cell = |p: &[f32; 3]| [(p[0] - place.x as f32) * inv, (p[1] - place.y as f32) * inv, p[2]];
    let mut raster = Raster::new(columns, rows);
    raster.draw(&motion.subject.iter().map(cell).collect::<Vec<_>>(), &mesh.triangles, [0.0, 0.0]);
    let mut cover = Matte::filled(columns, rows, 0.0);
    let uv = |i: usize| corner_mix(&mesh.triangles[raster.triangle[i] as usize], &mesh.uv, raster.weights[i]);
    let drawn = |i: &usize| raster.triangle[*i] != NONE;
    for i in (0..columns * rows).filter(drawn) {
        let [u, v] = uv(i);
        cover.data[i] = mesh.maps.ground.sample(u, v)[0];
    }
    soften_silhouette(&raster, edge * inv, &mut cover);
    let mut cells = vec![[0.0f32; 4]; columns * rows];
    for i in (0..columns * rows).filter(drawn) {
        let ([r, g, b], a) = (face.light.sample(uv(i)), cover.data[i]);
        cells[i] = [a * r, a * g, a * b, a];
    }
    let (noise, seed) = face.noise;
    let field = (noise > 0.0).then(|| grain::noise_field(place.width, place.height, (place.x, place.y), seed));
    let mut alpha = vec![0.0f32; place.width * place.height];
    Cells { columns, rows, step, values: &cells }.each_pixel(place.width, place.height, |x, y, [r, g, b, a]| {
        let (i, at) = (y * place.width + x, (place.y - area.y + y) * area.width + place.x - area.x + x);
        alpha[i] = a;
        let grain = field.as_ref().map_or(0.0, |f| a * f[i] * noise);
        for (v, paint) in ground.data[at * 3..at * 3 + 3].iter_mut().zip([r, g, b]) {
            *v += paint - a * *v + grain;
        }
    });
    Some((place, alpha))
}

/// Values on square cells: a colour, and the share with which it counts.
struct Cells<'a> {
    columns: usize,
    rows: usize,
    /// Pixels per cell.
    step: usize,
    values: &'a [[f32; 4]],
}

impl Cells<'_> {
    /// Calls `f` with column, row and interpolated value of every pixel whose share is not 0.
    fn each_pixel(&self, width: usize, height: usize, mut f: impl FnMut(usize, usize, [f32; 4])) {
        let across: Vec<(usize, usize, f32)> = (0..width).map(|x| between(x, self.step, self.columns)).collect();
        let mut line = vec![[0.0f32; 4]; self.columns];
        for y in 0..height {
            let (y0, y1, v) = between(y, self.step, self.rows);
            let (above, below) = (&self.values[y0 * self.columns..], &self.values[y1 * self.columns..]);
            for (out, (a, b)) in line.iter_mut().zip(above.iter().zip(below)) {
                (0..4).for_each(|k| out[k] = a[k] + (b[k] - a[k]) * v);
            }
            if line.iter().all(|l| l[3] <= 0.0) {
                continue;
            }
            for (x, &(x0, x1, u)) in across.iter().enumerate() {
                let (a, b) = (&line[x0], &line[x1]);
                if a[3] > 0.0 || b[3] > 0.0 {
                    let mut at = [0.0; 4];
                    (0..4).for_each(|k| at[k] = a[k] + (b[k] - a[k]) * u);
                    f(x, y, at);
                }
            }
        }
    }
}

/// Pixels of `area` that touch a rectangle.
fn within(r: &Rect<InFrame>, area: PixelRect) -> Option<PixelRect> {
    let grown: Rect<InFrame> = Rect::new(r.x0 - 1.0, r.y0 - 1.0, r.x1 + 1.0, r.y1 + 1.0);
    let p = grown.to_pixels(area.x + area.width, area.y + area.height)?;
    let (x, y) = (p.x.max(area.x), p.y.max(area.y));
    let (width, height) = ((p.x + p.width).checked_sub(x)?, (p.y + p.height).checked_sub(y)?);
    (width > 0 && height > 0).then_some(PixelRect { x, y, width, height })
}

/// Coverage of the double on the pixels of `area`.
fn face_alpha(face: &RenderedFace, area: PixelRect) -> Vec<f32> {
    let mut alpha = vec![0.0; area.width * area.height];
    each_row(face, area, |i, j, n| {
        let row = alpha[i..i + n].iter_mut().zip(&face.matte.data[j..j + n]);
        row.for_each(|(a, m)| *a = m.clamp(0.0, 1.0));
    });
    alpha
}

/// Calls `f` with the numbers of the first pixel of each common row in `area` and in the drawn patch, and with its length.
fn each_row(face: &RenderedFace, area: PixelRect, mut f: impl FnMut(usize, usize, usize)) {
    let (x0, x1) = (face.x.max(area.x), (face.x + face.matte.width).min(area.x + area.width));
    let (y0, y1) = (face.y.max(area.y), (face.y + face.matte.height).min(area.y + area.height));
    for y in y0..y1 {
        if x0 < x1 {
            let row = (y - area.y) * area.width + x0 - area.x;
            f(row, (y - face.y) * face.matte.width + x0 - face.x, x1 - x0);
        }
    }
}

/// Blends the double over the bent ground. Here a matte of hair and hands in front of the face would lower `alpha`.
fn blend(face: &RenderedFace, area: PixelRect, alpha: &[f32], out: &mut RgbPatch) {
    each_row(face, area, |i, j, n| {
        let drawn = face.rgb.data[j * 3..(j + n) * 3].chunks_exact(3);
        let pixels = out.data[i * 3..(i + n) * 3].chunks_exact_mut(3);
        for ((px, new), a) in pixels.zip(drawn).zip(&alpha[i..i + n]) {
            (0..3).for_each(|k| px[k] += a * (new[k] - px[k]));
        }
    });
}

/// Blurs and lightens a ring along the edge of the double. Ring and blur are so smooth that cells of an eighth of the ring's
/// width hold them.
fn add_halo(out: &mut RgbPatch, alpha: &[f32], touched: &mut [f32], halo: f32, scale: f32) {
    let width = (HALO_WIDTH * scale).max(2.0);
    let step = ((width / 8.0) as usize).max(1);
    let (columns, rows) = (out.width.div_ceil(step), out.height.div_ceil(step));
    let (colours, mut solid) = cell_means(out, alpha, step);
    solid.iter_mut().for_each(|a| *a = if *a > 0.5 { 1.0 } else { 0.0 });
    let outside: Vec<f32> = solid.iter().map(|s| 1.0 - s).collect();
    let inner = distance_inside(&solid, columns, rows, f32::MAX);
    let outer = distance_inside(&outside, columns, rows, f32::MAX);
    let ring = |d: (&f32, &f32)| halo * (1.0 - ramp(d.0.max(*d.1) * step as f32, (0.0, width)));
    let soft = super::filter::gaussian(&colours, columns, rows, 3, (HALO_BLUR * scale / step as f32).max(0.8));
    let shares = inner.iter().zip(&outer).map(ring);
    let cells: Vec<[f32; 4]> = soft.chunks_exact(3).zip(shares).map(|(c, share)| [c[0], c[1], c[2], share]).collect();
    let (wide, high) = (out.width, out.height);
    Cells { columns, rows, step, values: &cells }.each_pixel(wide, high, |x, y, [r, g, b, share]| {
        let at = y * wide + x;
        for (v, soft) in out.data[at * 3..at * 3 + 3].iter_mut().zip([r, g, b]) {
            let glow = soft + HALO_GLOW * (1.0 - soft);
            *v += share * (glow - *v);
        }
        touched[at] = 1.0;
    });
}

/// Mean colour and coverage of square cells of `step` pixels, row by row.
fn cell_means(patch: &RgbPatch, alpha: &[f32], step: usize) -> (Vec<f32>, Vec<f32>) {
    let (columns, rows) = (patch.width.div_ceil(step), patch.height.div_ceil(step));
    let mut colours = vec![0.0f32; columns * rows * 3];
    let mut solid = vec![0.0f32; columns * rows];
    let lines = patch.data.chunks_exact(patch.width * 3).zip(alpha.chunks_exact(patch.width));
    for (y, (line, alpha)) in lines.enumerate() {
        let high = step.min(patch.height - y / step * step);
        let cells = y / step * columns..(y / step + 1) * columns;
        let means = colours[cells.start * 3..cells.end * 3].chunks_exact_mut(3).zip(&mut solid[cells]);
        for ((mean, solid), (pixels, alpha)) in means.zip(line.chunks(step * 3).zip(alpha.chunks(step))) {
            let share = 1.0 / (alpha.len() * high) as f32;
            *solid += share * alpha.iter().sum::<f32>();
            for px in pixels.chunks_exact(3) {
                (0..3).for_each(|k| mean[k] += share * px[k]);
            }
        }
    }
    (colours, solid)
}

/// The two cells whose centres a pixel lies between, and how far it is from the first.
fn between(pixel: usize, step: usize, cells: usize) -> (usize, usize, f32) {
    let at = ((pixel as f32 + 0.5) / step as f32 - 0.5).clamp(0.0, (cells - 1) as f32);
    let first = at as usize;
    (first, (first + 1).min(cells - 1), at - first as f32)
}
