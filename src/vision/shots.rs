//! Cuts, found on thumbnails.

use super::picture::{luma_grid, whole};
use crate::image::Frame;

const COLUMNS: usize = 32;
const ROWS: usize = 18;
/// Mean change of luma (of 255) that a cut has at least, once brightness and contrast are evened out.
const LEAST_CHANGE: f32 = 18.0;
/// Two pictures of one shot correlate more than this.
const ALIKE: f32 = 0.72;
/// Standard deviation below which a thumbnail is a flat field (black, white, fade).
const FLAT: f32 = 4.0;

/// A frame's luma on a coarse grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Thumbnail {
    cells: Vec<f32>,
    mean: f32,
    deviation: f32,
}

impl Thumbnail {
    /// The thumbnail of a frame. Luma only, so that coloured flashes do not look like cuts.
    #[must_use]
    pub fn of(frame: &Frame) -> Self {
        Self::from_cells(luma_grid(frame, &whole(frame), COLUMNS, ROWS))
    }

    fn from_cells(cells: Vec<f32>) -> Self {
        let n = cells.len().max(1) as f32;
        let mean = cells.iter().sum::<f32>() / n;
        let deviation = (cells.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt();
        Thumbnail { cells, mean, deviation }
    }

    /// Whether the picture behind `other` cannot belong to the same shot.
    fn differs(&self, other: &Self) -> bool {
        match (self.deviation < FLAT, other.deviation < FLAT) {
            (true, true) => (self.mean - other.mean).abs() > 60.0,
            (true, false) | (false, true) => {
                let flat_to_flat = self.deviation.max(other.deviation) < 2.0 * FLAT;
                !flat_to_flat
            }
            (false, false) => {
                let n = self.cells.len().max(1) as f32;
                let pairs = || self.cells.iter().zip(&other.cells);
                let product = pairs().map(|(a, b)| (a - self.mean) * (b - other.mean)).sum::<f32>() / n;
                let correlation = product / (self.deviation * other.deviation);
                // The other picture brought to this one's mean and contrast.
                let gain = self.deviation / other.deviation;
                let change = pairs().map(|(a, b)| (a - self.mean - (b - other.mean) * gain).abs()).sum::<f32>() / n;
                correlation < ALIKE && change > LEAST_CHANGE
            }
        }
    }
}

/// Whether a new shot begins with `now`. A flash that lasts one frame is no cut: `next` must differ from `before` too.
#[must_use]
pub fn is_cut(before: &Thumbnail, now: &Thumbnail, next: Option<&Thumbnail>) -> bool {
    before.differs(now) && next.is_none_or(|n| before.differs(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(seed: u32, gain: f32, lift: f32) -> Thumbnail {
        let cells = (0..COLUMNS * ROWS)
            .map(|i| {
                let (x, y) = ((i % COLUMNS) as f32, (i / COLUMNS) as f32);
                let v = 128.0 + 60.0 * (x * 0.3 + seed as f32 * 1.7).sin() + 50.0 * (y * 0.5 + seed as f32 * 2.9).cos();
                (v * gain + lift).clamp(0.0, 255.0)
            })
            .collect();
        Thumbnail::from_cells(cells)
    }

    #[test]
    fn a_cut_is_found_and_light_is_not_a_cut() {
        let (a, b) = (scene(1, 1.0, 0.0), scene(2, 1.0, 0.0));
        assert!(is_cut(&a, &b, Some(&b)));
        assert!(is_cut(&a, &b, None));
        assert!(!is_cut(&a, &scene(1, 0.5, 10.0), None));
        assert!(!is_cut(&a, &scene(1, 0.7, 80.0), None));
    }

    #[test]
    fn a_strobe_does_not_cut_every_frame() {
        let (dark, lit) = (scene(1, 1.0, 0.0), scene(1, 0.0, 255.0));
        let film: Vec<&Thumbnail> = (0..40).map(|i| if i % 2 == 0 { &dark } else { &lit }).collect();
        let cuts = (1..40).filter(|&i| is_cut(film[i - 1], film[i], film.get(i + 1).copied())).count();
        assert!(cuts <= 1, "{cuts}");
    }
}
