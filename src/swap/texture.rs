//! Square four-channel textures in 16-bit fixed point, with smaller levels, sampled linearly.

/// Largest value that a channel can hold.
pub(crate) const TOP: f32 = 4.0;
const SCALE: f32 = 65535.0 / TOP;

/// A texture over 0..=1 × 0..=1 with values 0..=[`TOP`].
#[derive(Debug, Clone)]
pub(crate) struct Texture {
    levels: Vec<Level>,
}

#[derive(Debug, Clone)]
struct Level {
    size: usize,
    data: Vec<[u16; 4]>,
}

impl Level {
    #[inline]
    fn sample(&self, u: f32, v: f32) -> [f32; 4] {
        let n = self.size;
        let edge = (n - 1) as f32;
        let x = (u * n as f32 - 0.5).clamp(0.0, edge);
        let y = (v * n as f32 - 0.5).clamp(0.0, edge);
        let (x0, y0) = (x as usize, y as usize);
        let (fx, fy) = (x - x0 as f32, y - y0 as f32);
        let (x1, y1) = ((x0 + 1).min(n - 1), (y0 + 1).min(n - 1));
        let (a, b) = (&self.data[y0 * n + x0], &self.data[y0 * n + x1]);
        let (c, d) = (&self.data[y1 * n + x0], &self.data[y1 * n + x1]);
        let w = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy].map(|w| w / SCALE);
        std::array::from_fn(|k| {
            f32::from(a[k]) * w[0] + f32::from(b[k]) * w[1] + f32::from(c[k]) * w[2] + f32::from(d[k]) * w[3]
        })
    }

    fn halved(&self) -> Level {
        let n = self.size / 2;
        let data = (0..n * n)
            .map(|i| {
                let (x, y) = (i % n * 2, i / n * 2);
                let at = |dx: usize, dy: usize| &self.data[(y + dy) * self.size + x + dx];
                std::array::from_fn(|k| {
                    let sum: u32 = [at(0, 0), at(1, 0), at(0, 1), at(1, 1)].iter().map(|c| u32::from(c[k])).sum();
                    ((sum + 2) / 4) as u16
                })
            })
            .collect();
        Level { size: n, data }
    }
}

impl Texture {
    /// A texture without smaller levels, from a function of the cell's number (row by row).
    pub(crate) fn from_fn(size: usize, mut cell: impl FnMut(usize) -> [f32; 4]) -> Self {
        let data = (0..size * size).map(|i| cell(i).map(|v| (v.clamp(0.0, TOP) * SCALE + 0.5) as u16)).collect();
        Texture { levels: vec![Level { size, data }] }
    }

    /// The same with all smaller levels down to 32 cells, box-averaged.
    pub(crate) fn with_levels(mut self) -> Self {
        while let Some(last) = self.levels.last() {
            if last.size < 64 {
                break;
            }
            let next = last.halved();
            self.levels.push(next);
        }
        self
    }

    /// Cells per side of the finest level.
    pub(crate) fn size(&self) -> usize {
        self.levels[0].size
    }

    /// Value at (u, v) of the finest level.
    #[inline]
    pub(crate) fn sample(&self, u: f32, v: f32) -> [f32; 4] {
        self.levels[0].sample(u, v)
    }

    /// Value at (u, v) at a level between the stored ones; 0 is the finest.
    #[inline]
    pub(crate) fn sample_level(&self, u: f32, v: f32, level: f32) -> [f32; 4] {
        let last = self.levels.len() - 1;
        let level = level.clamp(0.0, last as f32);
        let (k, f) = (level as usize, level.fract());
        let a = self.levels[k].sample(u, v);
        if f < 0.02 || k == last {
            return a;
        }
        let b = self.levels[k + 1].sample(u, v);
        std::array::from_fn(|i| a[i] + (b[i] - a[i]) * f)
    }

    /// Weighted mean of two textures of one size, cell by cell; `None` if the sizes differ.
    pub(crate) fn mixed(&self, other: &Texture, weight: f32) -> Option<Texture> {
        if self.size() != other.size() {
            return None;
        }
        let (a, b) = (&self.levels[0].data, &other.levels[0].data);
        let cell = |i: usize| {
            std::array::from_fn(|k| {
                let (x, y) = (f32::from(a[i][k]), f32::from(b[i][k]));
                (x + (y - x) * weight) / SCALE
            })
        };
        Some(Texture::from_fn(self.size(), cell).with_levels())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampling_is_linear_and_levels_keep_the_mean() {
        let t = Texture::from_fn(128, |i| [(i % 128) as f32 / 64.0, 1.0, 0.0, 5.0]).with_levels();
        let a = t.sample(0.5, 0.3);
        assert!((a[0] - 63.5 / 64.0).abs() < 1e-3 && (a[1] - 1.0).abs() < 1e-3);
        assert!((a[3] - TOP).abs() < 1e-3);
        let b = t.sample_level(0.5, 0.3, 1.5);
        assert!((a[0] - b[0]).abs() < 2e-3);
        assert!(t.sample_level(-4.0, 9.0, 99.0)[0].is_finite());
    }
}
