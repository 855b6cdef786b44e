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

/// Four cells of a level and their shares.
#[derive(Debug, Clone, Copy)]
struct Taps {
    cells: [u32; 4],
    shares: [f32; 4],
}

impl Taps {
    /// Around (u, v) of a level with `n` cells per side; the shares sum to `weight`.
    #[inline(always)]
    fn around(n: usize, u: f32, v: f32, weight: f32) -> Self {
        let edge = (n - 1) as f32;
        let x = (u * n as f32 - 0.5).clamp(0.0, edge);
        let y = (v * n as f32 - 0.5).clamp(0.0, edge);
        let (x0, y0) = (x as u32, y as u32);
        let (fx, fy) = (x - x0 as f32, y - y0 as f32);
        let n = n as u32;
        let (x1, top, bottom) = ((x0 + 1).min(n - 1), y0 * n, (y0 + 1).min(n - 1) * n);
        let (left, right) = ((1.0 - fx) * weight, fx * weight);
        Taps {
            cells: [top + x0, top + x1, bottom + x0, bottom + x1],
            shares: [left * (1.0 - fy), right * (1.0 - fy), left * fy, right * fy],
        }
    }
}

/// A place of a texture, worked out once for all textures of one size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    at: [f32; 3],
    size: usize,
    level: usize,
    fine: Taps,
    /// In the next smaller level.
    coarse: Option<Taps>,
}

impl Level {
    #[inline(always)]
    fn add(&self, taps: &Taps, out: &mut [f32; 4]) {
        for (cell, share) in taps.cells.iter().zip(&taps.shares) {
            let cell = &self.data[*cell as usize];
            (0..4).for_each(|k| out[k] += f32::from(cell[k]) * share);
        }
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
        let mut out = [0.0; 4];
        self.levels[0].add(&Taps::around(self.size(), u, v, 1.0 / SCALE), &mut out);
        out
    }

    /// Value at (u, v) at a level between the stored ones; 0 is the finest.
    #[inline]
    pub(crate) fn sample_level(&self, u: f32, v: f32, level: f32) -> [f32; 4] {
        self.read(&self.place(u, v, level))
    }

    /// The cells around (u, v) at a level between the stored ones.
    #[inline]
    pub(crate) fn place(&self, u: f32, v: f32, level: f32) -> Place {
        let last = self.levels.len() - 1;
        let (k, f) = (level.clamp(0.0, last as f32) as usize, level.clamp(0.0, last as f32).fract());
        let two = f >= 0.02 && k < last;
        let share = if two { 1.0 - f } else { 1.0 };
        Place {
            at: [u, v, level],
            size: self.size(),
            level: k,
            fine: Taps::around(self.levels[k].size, u, v, share / SCALE),
            coarse: two.then(|| Taps::around(self.levels[k + 1].size, u, v, f / SCALE)),
        }
    }

    /// Value at a place.
    #[inline]
    pub(crate) fn read(&self, place: &Place) -> [f32; 4] {
        if place.size != self.size() || place.level + usize::from(place.coarse.is_some()) >= self.levels.len() {
            // A place of another texture.
            let [u, v, level] = place.at;
            return self.read(&self.place(u, v, level));
        }
        let mut out = [0.0; 4];
        self.levels[place.level].add(&place.fine, &mut out);
        if let Some(coarse) = &place.coarse {
            self.levels[place.level + 1].add(coarse, &mut out);
        }
        out
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
        let small = Texture::from_fn(64, |i| [(i % 64) as f32 / 32.0, 0.0, 0.0, 0.0]).with_levels();
        assert_eq!(small.read(&t.place(0.3, 0.6, 1.5)), small.sample_level(0.3, 0.6, 1.5), "a place of another size");
    }
}
