//! Bends the surroundings of a face so that the head's outline takes the double's jaw.

use super::geometry::FaceMotion;
use super::maps::ramp;
use super::mesh::Mesh;
use crate::geom::{InFrame, PixelRect, Rect};
use crate::image::RgbPatch;

/// Reach of a control point and distance at which the bending ends, in face widths.
const REACH: f32 = 0.10;
const END: f32 = 0.30;
/// Negative logarithm of the weight from which a control point does not count.
const FAR: f32 = 14.0;
/// Width over which the bending fades at the border of the patch, in face widths.
const BORDER: f32 = 0.08;
/// Node spacing in face widths, and in pixels at least.
const SPACING: f32 = 0.05;
const MIN_SPACING: f32 = 4.0;
/// Every so many vertices one is a control point, besides the outline.
const INNER_STEP: usize = 9;
/// Largest displacement in face widths.
const LARGEST: f32 = 0.2;
/// Reach of the interpolation, pixels.
const KERNEL: f32 = 2.0;
/// Displacements in pixels between which bent pixels replace the frame's own.
const VISIBLE: (f32, f32) = (0.1, 0.3);

/// A displacement field over a patch of the frame.
pub(crate) struct Warp {
    columns: usize,
    spacing: f32,
    nodes: Vec<[f32; 2]>,
}

impl Warp {
    /// The field that carries the subject's outline onto the double's, over `area`. Nothing is carried out of
    /// `keep_out`: those are other people's faces, and what lies there may be somebody's skin.
    pub(crate) fn new(mesh: &Mesh, motion: &FaceMotion, area: PixelRect, keep_out: &[Rect<InFrame>]) -> Self {
        let spacing = (SPACING * motion.scale).max(MIN_SPACING);
        let columns = (area.width as f32 / spacing).ceil() as usize + 2;
        let rows = (area.height as f32 / spacing).ceil() as usize + 2;
        let limit = LARGEST * motion.scale;
        let control: Vec<([f32; 2], [f32; 2])> = mesh
            .oval
            .iter()
            .copied()
            .chain((0..468).step_by(INNER_STEP))
            .map(|v| {
                let (to, from) = (motion.target[v], motion.subject[v]);
                let shift = |k: usize| (to[k] - from[k]).clamp(-limit, limit);
                ([to[0] - area.x as f32, to[1] - area.y as f32], [shift(0), shift(1)])
            })
            .collect();
        let (x, y) = (area.x as f32, area.y as f32);
        let places: Vec<Rect<InFrame>> =
            keep_out.iter().map(|r| Rect::new(r.x0 - x, r.y0 - y, r.x1 - x, r.y1 - y)).collect();
        let nodes = (0..columns * rows)
            .map(|i| {
                let at = [(i % columns) as f32 * spacing, (i / columns) as f32 * spacing];
                let shift = node(at, &control, motion.scale, area);
                held_back(shift, at, spacing, &places)
            })
            .collect();
        Warp { columns, spacing, nodes }
    }

    /// Displacements along one row of nodes, at the height of a row of pixels.
    fn row(&self, y: usize, out: &mut Vec<[f32; 2]>) {
        let fy = (y as f32 + 0.5) / self.spacing;
        let (iy, v) = (fy as usize, fy.fract());
        let nodes = |row: usize| self.nodes.get(row * self.columns..(row + 1) * self.columns).unwrap_or_default();
        out.clear();
        out.extend(nodes(iy).iter().zip(nodes(iy + 1)).map(|(a, b)| mixed(*a, *b, v)));
    }

    /// Bends a patch where it is not `hidden` (1); returns it with the share, per pixel, by which it should replace the
    /// frame.
    pub(crate) fn apply(&self, patch: &RgbPatch, hidden: &[f32]) -> (RgbPatch, Vec<f32>) {
        let mut out = patch.clone();
        let mut changed = vec![0.0f32; patch.width * patch.height];
        let mut line = Vec::new();
        for y in 0..patch.height {
            self.row(y, &mut line);
            if line.iter().all(|d| d[0].abs().max(d[1].abs()) <= VISIBLE.0) {
                continue;
            }
            for (i, pair) in line.windows(2).enumerate() {
                let quiet = |d: &[f32; 2]| d[0].abs().max(d[1].abs()) <= VISIBLE.0;
                if pair.iter().all(quiet) {
                    continue;
                }
                let columns = self.columns_of(i, patch.width);
                let (begin, step) = ((columns.start as f32 + 0.5) / self.spacing - i as f32, 1.0 / self.spacing);
                for (k, x) in columns.enumerate() {
                    let at = y * patch.width + x;
                    if hidden[at] >= 1.0 {
                        continue;
                    }
                    let d = mixed(pair[0], pair[1], begin + step * k as f32);
                    let far = d[0].abs().max(d[1].abs());
                    if far > VISIBLE.0 {
                        changed[at] = if far < VISIBLE.1 { ramp(far, VISIBLE) } else { 1.0 };
                        out.set_pixel(x, y, cubic(patch, x as f32 - d[0], y as f32 - d[1]));
                    }
                }
            }
        }
        (out, changed)
    }

    /// Columns of pixels whose centres lie between node `i` of a row and the next.
    fn columns_of(&self, i: usize, width: usize) -> std::ops::Range<usize> {
        let from = |node: usize| ((node as f32 * self.spacing - 0.5).ceil().max(0.0) as usize).min(width);
        from(i)..from(i + 1)
    }
}

/// A displacement at a node, shortened so that nothing between this node and the next is taken out of `keep_out`. Between
/// nodes the field is linear: half the distance, less a cell and the kernel's reach, cannot get in.
fn held_back(shift: [f32; 2], at: [f32; 2], spacing: f32, keep_out: &[Rect<InFrame>]) -> [f32; 2] {
    let far = keep_out.iter().map(|r| distance(r, at)).fold(f32::MAX, f32::min);
    let most = (0.5 * (far - 1.5 * spacing - KERNEL)).max(0.0);
    let length = shift[0].hypot(shift[1]);
    if length > most { shift.map(|v| v * most / length) } else { shift }
}

/// Distance of a place from a rectangle; 0 inside.
fn distance(r: &Rect<InFrame>, p: [f32; 2]) -> f32 {
    let x = (r.x0 - p[0]).max(p[0] - r.x1).max(0.0);
    let y = (r.y0 - p[1]).max(p[1] - r.y1).max(0.0);
    x.hypot(y)
}

fn mixed(a: [f32; 2], b: [f32; 2], u: f32) -> [f32; 2] {
    [a[0] + (b[0] - a[0]) * u, a[1] + (b[1] - a[1]) * u]
}

fn node(at: [f32; 2], control: &[([f32; 2], [f32; 2])], scale: f32, area: PixelRect) -> [f32; 2] {
    let inv = 0.5 / (REACH * scale).powi(2);
    let (mut sum, mut total, mut nearest) = ([0.0f32; 2], 0.0f32, f32::MAX);
    for (place, shift) in control {
        let d2 = (place[0] - at[0]).powi(2) + (place[1] - at[1]).powi(2);
        nearest = nearest.min(d2);
        if d2 * inv > FAR {
            continue;
        }
        let w = (-d2 * inv).exp();
        total += w;
        sum[0] += w * shift[0];
        sum[1] += w * shift[1];
    }
    if total < 1e-6 {
        return [0.0; 2];
    }
    let edge = at[0].min(at[1]).min(area.width as f32 - at[0]).min(area.height as f32 - at[1]);
    let fade = (1.0 - ramp(nearest.sqrt(), (0.0, END * scale))) * (edge / (BORDER * scale)).clamp(0.0, 1.0);
    sum.map(|s| s / total * fade)
}

/// Catmull-Rom interpolation; edges are repeated.
fn cubic(p: &RgbPatch, x: f32, y: f32) -> [f32; 3] {
    let x = x.clamp(0.0, (p.width - 1) as f32);
    let y = y.clamp(0.0, (p.height - 1) as f32);
    let (x0, y0) = (x as usize, y as usize);
    let (wx, wy) = (weights(x - x0 as f32), weights(y - y0 as f32));
    let inside = x0 >= 1 && y0 >= 1 && x0 + 2 < p.width && y0 + 2 < p.height;
    // Four pixels of a row at once: down first, then across.
    let mut columns = [0.0f32; 12];
    for (j, wy) in wy.iter().enumerate() {
        let row = (y0 + j).saturating_sub(1).min(p.height - 1);
        if inside {
            let cells = &p.data[(row * p.width + x0 - 1) * 3..][..12];
            columns.iter_mut().zip(cells).for_each(|(sum, c)| *sum += wy * c);
        } else {
            for (i, sum) in columns.chunks_exact_mut(3).enumerate() {
                let c = p.pixel((x0 + i).saturating_sub(1).min(p.width - 1), row);
                (0..3).for_each(|k| sum[k] += wy * c[k]);
            }
        }
    }
    let mut out = [0.0f32; 3];
    for (c, wx) in columns.chunks_exact(3).zip(&wx) {
        (0..3).for_each(|k| out[k] += wx * c[k]);
    }
    out.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
    out
}

fn weights(t: f32) -> [f32; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [0.5 * (-t3 + 2.0 * t2 - t), 0.5 * (3.0 * t3 - 5.0 * t2 + 2.0), 0.5 * (-3.0 * t3 + 4.0 * t2 + t), 0.5 * (t3 - t2)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_carried_out_of_the_place_of_another_face() {
        let away = Rect::<InFrame>::new(40.0, 10.0, 60.0, 30.0);
        assert_eq!(distance(&away, [50.0, 20.0]), 0.0);
        assert_eq!(distance(&away, [37.0, 34.0]), 5.0);
        // A field that would carry everything by eight pixels, held back as `Warp::new` does.
        let (columns, spacing) = (27usize, 4.0f32);
        let held = |i: usize| {
            let at = [(i % columns) as f32 * spacing, (i / columns) as f32 * spacing];
            held_back([-8.0, 0.0], at, spacing, &[away])
        };
        let warp = Warp { columns, spacing, nodes: (0..columns * 12).map(held).collect() };
        let mut patch = RgbPatch::new(100, 40);
        for y in 10..30 {
            (40..60).for_each(|x| patch.set_pixel(x, y, [1.0; 3]));
        }
        let (bent, _) = warp.apply(&patch, &vec![0.0; 4000]);
        for i in (0..4000).filter(|i| patch.data[i * 3] == 0.0) {
            assert!(bent.data[i * 3].abs() < 1e-6, "{} {}", i % 100, i / 100);
        }
        let free = Warp { columns, spacing, nodes: vec![[-8.0, 0.0]; columns * 12] };
        let (bent, _) = free.apply(&patch, &vec![0.0; 4000]);
        assert!((0..4000).any(|i| patch.data[i * 3] == 0.0 && bent.data[i * 3] > 0.9), "the test sees carried pixels");
    }
}
