//! Draws the mesh into a small buffer: nearest triangle and place in it for every pixel.

/// No triangle.
pub(crate) const NONE: u32 = u32::MAX;

/// Nearest triangle per pixel.
#[derive(Debug, Clone)]
pub(crate) struct Raster {
    pub width: usize,
    pub height: usize,
    /// Triangle of each pixel, or [`NONE`].
    pub triangle: Vec<u32>,
    /// Weights of the triangle's second and third vertex.
    pub weights: Vec<[f32; 2]>,
    depth: Vec<f32>,
}

impl Raster {
    pub(crate) fn new(width: usize, height: usize) -> Self {
        let n = width * height;
        Raster { width, height, triangle: vec![NONE; n], weights: vec![[0.0; 2]; n], depth: vec![f32::MAX; n] }
    }

    /// Draws all triangles that face the camera (positive area, y down). `origin` is the frame position of the
    /// buffer's top-left corner; pixel centres are at half-integers. Non-finite vertices draw nothing.
    pub(crate) fn draw(&mut self, points: &[[f32; 3]], triangles: &[[usize; 3]], origin: [f32; 2]) {
        for (id, t) in triangles.iter().enumerate() {
            let [a, b, c] = t.map(|i| {
                let p = points[i];
                [p[0] - origin[0] - 0.5, p[1] - origin[1] - 0.5, p[2]]
            });
            self.triangle(id as u32, a, b, c);
        }
    }

    fn triangle(&mut self, id: u32, a: [f32; 3], b: [f32; 3], c: [f32; 3]) {
        /// Twice the smallest area in square pixels that is drawn.
        const MIN_AREA: f32 = 0.02;
        /// Overlap of neighbours, in weights, against pinholes.
        const SLACK: f32 = 1e-4;
        let area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
        if !(area.is_finite() && area > MIN_AREA) {
            return;
        }
        let low = |k: usize| a[k].min(b[k]).min(c[k]).ceil().max(0.0);
        let high = |k: usize, n: usize| a[k].max(b[k]).max(c[k]).floor().min(n as f32 - 1.0);
        let (x0, x1, y0, y1) = (low(0), high(0, self.width), low(1), high(1, self.height));
        if x1 < x0 || y1 < y0 {
            return;
        }
        let inv = 1.0 / area;
        let (dx1, dx2) = ((c[1] - a[1]) * inv, -(b[1] - a[1]) * inv);
        let last = (x1 - x0) as usize;
        for y in y0 as usize..=y1 as usize {
            let py = y as f32 - a[1];
            let px = x0 - a[0];
            let start1 = (px * (c[1] - a[1]) - py * (c[0] - a[0])) * inv;
            let start2 = ((b[0] - a[0]) * py - (b[1] - a[1]) * px) * inv;
            // Steps at which each weight, and their sum, are inside; one more on either side, and each is asked again.
            let (mut from, mut to) = (0.0f32, last as f32);
            for (start, step) in [(start1, dx1), (start2, dx2), (1.0 - start1 - start2, -dx1 - dx2)] {
                let edge = -(SLACK + start) / step;
                if step > 0.0 {
                    from = from.max(edge.floor());
                } else if step < 0.0 {
                    to = to.min(edge.ceil());
                }
            }
            if from.is_nan() || to.is_nan() || from > to {
                continue;
            }
            for i in from as usize..=to as usize {
                let (w1, w2) = (start1 + dx1 * i as f32, start2 + dx2 * i as f32);
                if w1 < -SLACK || w2 < -SLACK || w1 + w2 > 1.0 + SLACK {
                    continue;
                }
                let z = a[2] + w1 * (b[2] - a[2]) + w2 * (c[2] - a[2]);
                let o = y * self.width + x0 as usize + i;
                if z < self.depth[o] {
                    self.depth[o] = z;
                    self.triangle[o] = id;
                    self.weights[o] = [w1, w2];
                }
            }
        }
    }

    /// 1 where a triangle was drawn, else 0.
    pub(crate) fn cover(&self) -> Vec<f32> {
        self.triangle.iter().map(|&t| if t == NONE { 0.0 } else { 1.0 }).collect()
    }
}

/// A quantity known at every vertex, inside one triangle.
#[inline]
pub(crate) fn corner_mix(corners: &[usize; 3], values: &[[f32; 2]], w: [f32; 2]) -> [f32; 2] {
    mix([values[corners[0]], values[corners[1]], values[corners[2]]], w)
}

/// A per-vertex quantity inside a triangle.
#[inline]
pub(crate) fn mix<const N: usize>(corners: [[f32; N]; 3], w: [f32; 2]) -> [f32; N] {
    let w0 = 1.0 - w[0] - w[1];
    let mut out = [0.0; N];
    for (k, o) in out.iter_mut().enumerate() {
        *o = w0 * corners[0][k] + w[0] * corners[1][k] + w[1] * corners[2][k];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_triangles_cover_a_square_exactly() {
        let p = [[2.0, 2.0, 0.0], [12.0, 2.0, 0.0], [12.0, 12.0, 0.0], [2.0, 12.0, 0.0]];
        let mut r = Raster::new(16, 16);
        r.draw(&p, &[[0, 1, 2], [0, 2, 3]], [0.0, 0.0]);
        let n: f32 = r.cover().iter().sum();
        assert_eq!(n, 100.0);
        let i = 5 * 16 + 9;
        let t = [[0, 1, 2], [0, 2, 3]][r.triangle[i] as usize].map(|v: usize| [p[v][0], p[v][1]]);
        let at = mix(t, r.weights[i]);
        assert!((at[0] - 9.5).abs() < 1e-4 && (at[1] - 5.5).abs() < 1e-4);
    }

    #[test]
    fn the_nearer_triangle_wins_and_backs_are_hidden() {
        let p = [[0.0, 0.0, 5.0], [8.0, 0.0, 5.0], [0.0, 8.0, 5.0], [0.0, 0.0, 1.0], [8.0, 0.0, 1.0], [0.0, 8.0, 1.0]];
        let mut r = Raster::new(8, 8);
        r.draw(&p, &[[3, 4, 5], [0, 1, 2], [0, 2, 1]], [0.0, 0.0]);
        assert_eq!(r.triangle[9], 0);
        let mut back = Raster::new(8, 8);
        back.draw(&p, &[[0, 2, 1]], [0.0, 0.0]);
        assert!(back.triangle.iter().all(|&t| t == NONE));
    }

    #[test]
    fn hostile_vertices_draw_nothing_and_do_not_panic() {
        let p = [[f32::NAN, 0.0, 0.0], [1e30, 1.0, 0.0], [3.0, f32::INFINITY, 0.0], [-1e9, -1e9, 0.0]];
        let mut r = Raster::new(8, 8);
        r.draw(&p, &[[0, 1, 2], [1, 2, 3], [3, 1, 0]], [0.0, 0.0]);
        assert!(r.weights.iter().flatten().all(|w| w.is_finite()));
    }
}
