//! Length of the vocal tract, as the stretch of the frequency axis that fits the population best.
//!
//! L. Lee & R. Rose, *A frequency warping approach to speaker normalization*, IEEE Trans. SAP 6(1), 1998, §II.

use super::cepstrum::{WIDE_ORDER, warp_matrix};
use super::tables::{Mixture, TRACT_ORDER};
use nalgebra::DMatrix;

/// Frames that the estimate looks at.
const FRAMES: usize = 250;
/// Fewer voiced frames than this say nothing.
const FEWEST: usize = 20;
/// Factors tried, evenly in the logarithm over ± this.
const REACH: f64 = 0.16;
const STEPS: usize = 17;
/// Share of the mean that is removed: the rest tells where the formants lie.
const MEAN_SHARE: f64 = 0.7;

/// Factor by which frequencies of the voice are multiplied to reach the canonical axis (0.85..=1.17).
///
/// `frames`: voiced frames of speech; 1 if there are fewer than 20.
#[must_use]
pub fn tract_factor(frames: &[&[f64; WIDE_ORDER]], tract: &Mixture) -> f64 {
    if frames.len() < FEWEST {
        return 1.0;
    }
    let count = frames.len().min(FRAMES);
    let picked: Vec<_> = (0..count).map(|i| frames[i * (frames.len() - 1) / (count - 1)]).collect();
    let mut best = (f64::NEG_INFINITY, 1.0);
    for step in 0..STEPS {
        let factor = (REACH * (2.0 * step as f64 / (STEPS - 1) as f64 - 1.0)).exp();
        let score = score(&picked, &warp_matrix(factor, TRACT_ORDER + 1, WIDE_ORDER), tract);
        if score > best.0 {
            best = (score, factor);
        }
    }
    best.1
}

fn score(frames: &[&[f64; WIDE_ORDER]], warp: &DMatrix<f64>, tract: &Mixture) -> f64 {
    let warped: Vec<[f64; TRACT_ORDER]> = frames
        .iter()
        .map(|c| std::array::from_fn(|r| c.iter().enumerate().map(|(k, c)| warp[(r + 1, k)] * c).sum()))
        .collect();
    let mut mean = [0.0; TRACT_ORDER];
    for w in &warped {
        mean.iter_mut().zip(w).for_each(|(m, w)| *m += MEAN_SHARE * w / warped.len() as f64);
    }
    let mut parts = [0.0; 24];
    let likelihood = |w: &[f64; TRACT_ORDER]| {
        let x: [f64; TRACT_ORDER] = std::array::from_fn(|k| w[k] - mean[k]);
        tract.log_parts(&x, &mut parts);
        let top = parts.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        top + parts.iter().map(|p| (p - top).exp()).sum::<f64>().ln()
    };
    warped.iter().map(likelihood).sum()
}
