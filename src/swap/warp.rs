//! Bends the surroundings of a face so that the head's outline takes the double's jaw.

use super::geometry::FaceMotion;
use super::maps::ramp;
use super::mesh::Mesh;
use crate::geom::PixelRect;
use crate::image::RgbPatch;

/// Reach of a control point and distance at which the bending ends, in face widths.
const REACH: f32 = 0.10;
const END: f32 = 0.30;
/// Width over which the bending fades at the border of the patch, in face widths.
const BORDER: f32 = 0.08;
/// Node spacing in face widths, and in pixels at least.
const SPACING: f32 = 0.05;
const MIN_SPACING: f32 = 4.0;
/// Every so many vertices one is a control point, besides the outline.
const INNER_STEP: usize = 9;
/// Largest displacement in face widths.
const LARGEST: f32 = 0.2;
/// Displacements in pixels between which bent pixels replace the frame's own.
const VISIBLE: (f32, f32) = (0.04, 0.2);

/// A displacement field over a patch of the frame.
pub(crate) struct Warp {
    columns: usize,
    spacing: f32,
    nodes: Vec<[f32; 2]>,
}

impl Warp {
    /// The field that carries the subject's outline onto the double's, over `area`.
    pub(crate) fn new(mesh: &Mesh, motion: &FaceMotion, area: PixelRect) -> Self {
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
        let nodes = (0..columns * rows)
            .map(|i| {
                let at = [(i % columns) as f32 * spacing, (i / columns) as f32 * spacing];
                node(at, &control, motion.scale, area)
            })
            .collect();
        Warp { columns, spacing, nodes }
    }

    /// Displacement at a pixel of the patch.
    #[inline]
    pub(crate) fn at(&self, x: usize, y: usize) -> [f32; 2] {
        let (fx, fy) = ((x as f32 + 0.5) / self.spacing, (y as f32 + 0.5) / self.spacing);
        let (ix, iy) = (fx as usize, fy as usize);
        let (u, v) = (fx - ix as f32, fy - iy as f32);
        let i = iy * self.columns + ix;
        let [a, b, c, d] = [i, i + 1, i + self.columns, i + self.columns + 1]
            .map(|i| self.nodes.get(i).copied().unwrap_or_default());
        std::array::from_fn(|k| {
            let top = a[k] + (b[k] - a[k]) * u;
            top + (c[k] + (d[k] - c[k]) * u - top) * v
        })
    }

    /// Bends a patch where it is not `hidden` (1); returns it with the share, per pixel, by which it should replace the
    /// frame.
    pub(crate) fn apply(&self, patch: &RgbPatch, hidden: &[f32]) -> (RgbPatch, Vec<f32>) {
        let mut out = patch.clone();
        let mut changed = vec![0.0f32; patch.width * patch.height];
        for y in 0..patch.height {
            for x in 0..patch.width {
                if hidden[y * patch.width + x] >= 1.0 {
                    continue;
                }
                let d = self.at(x, y);
                let share = ramp(d[0].abs().max(d[1].abs()), VISIBLE);
                if share > 0.0 {
                    out.set_pixel(x, y, cubic(patch, x as f32 - d[0], y as f32 - d[1]));
                    changed[y * patch.width + x] = share;
                }
            }
        }
        (out, changed)
    }
}

fn node(at: [f32; 2], control: &[([f32; 2], [f32; 2])], scale: f32, area: PixelRect) -> [f32; 2] {
    let inv = 0.5 / (REACH * scale).powi(2);
    let (mut sum, mut total, mut nearest) = ([0.0f32; 2], 0.0f32, f32::MAX);
    for (place, shift) in control {
        let d2 = (place[0] - at[0]).powi(2) + (place[1] - at[1]).powi(2);
        nearest = nearest.min(d2);
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
    let mut out = [0.0f32; 3];
    for (j, wy) in wy.iter().enumerate() {
        let row = (y0 + j).saturating_sub(1).min(p.height - 1);
        for (i, wx) in wx.iter().enumerate() {
            let c = p.pixel((x0 + i).saturating_sub(1).min(p.width - 1), row);
            (0..3).for_each(|k| out[k] += wx * wy * c[k]);
        }
    }
    out.map(|v| v.clamp(0.0, 1.0))
}

fn weights(t: f32) -> [f32; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [
        0.5 * (-t3 + 2.0 * t2 - t),
        0.5 * (3.0 * t3 - 5.0 * t2 + 2.0),
        0.5 * (-3.0 * t3 + 4.0 * t2 + t),
        0.5 * (t3 - t2),
    ]
}
