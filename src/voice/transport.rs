//! Replacing mean and covariance: the optimal transport between two Gaussians.
//!
//! G. Peyré & M. Cuturi, *Computational Optimal Transport*, 2019, remark 2.31.

use super::cepstrum::ORDER;
use super::tables::Gaussian;
use nalgebra::{DMatrix, DVector};
use zeroize::Zeroize;

/// Frames of population mixed into a mean and into a covariance, so that little speech cannot distort them.
const MEAN_PRIOR: f64 = 15.0;
const COVARIANCE_PRIOR: f64 = 60.0;
const TRIANGLE: usize = ORDER * (ORDER + 1) / 2;

/// Running sums of frames: count, sum, and sum of products (upper triangle).
#[derive(Clone, Default, Zeroize)]
pub struct Moments {
    count: f64,
    sum: Vec<f64>,
    cross: Vec<f64>,
}

impl Moments {
    /// Number of frames.
    #[must_use]
    pub fn count(&self) -> f64 {
        self.count
    }

    /// Adds one frame of [`ORDER`] coefficients.
    pub fn add(&mut self, x: &[f64]) {
        self.sum.resize(ORDER, 0.0);
        self.cross.resize(TRIANGLE, 0.0);
        self.count += 1.0;
        self.sum.iter_mut().zip(x).for_each(|(s, x)| *s += x);
        let pairs = (0..ORDER).flat_map(|i| (i..ORDER).map(move |j| (i, j)));
        self.cross.iter_mut().zip(pairs).for_each(|(c, (i, j))| *c += x[i] * x[j]);
    }

    /// Adds another's frames.
    pub fn merge(&mut self, other: &Moments) {
        if other.count > 0.0 {
            self.sum.resize(ORDER, 0.0);
            self.cross.resize(TRIANGLE, 0.0);
            self.count += other.count;
            self.sum.iter_mut().zip(&other.sum).for_each(|(a, b)| *a += b);
            self.cross.iter_mut().zip(&other.cross).for_each(|(a, b)| *a += b);
        }
    }

    /// Adds a constant to the first coefficient of every frame.
    pub fn shift_first(&mut self, by: f64) {
        if self.count == 0.0 {
            return;
        }
        // Σ(x₀+d)(xⱼ) = Σx₀xⱼ + d Σxⱼ, and twice that plus n d² on the diagonal.
        self.cross[0] += 2.0 * by * self.sum[0] + self.count * by * by;
        for j in 1..ORDER {
            self.cross[j] += by * self.sum[j];
        }
        self.sum[0] += by * self.count;
    }

    fn mean(&self) -> DVector<f64> {
        DVector::from_iterator(ORDER, self.sum.iter().map(|s| s / self.count))
    }

    fn covariance(&self) -> DMatrix<f64> {
        let mean = self.mean();
        let mut out = DMatrix::zeros(ORDER, ORDER);
        let pairs = (0..ORDER).flat_map(|i| (i..ORDER).map(move |j| (i, j)));
        for (c, (i, j)) in self.cross.iter().zip(pairs) {
            let v = c / self.count - mean[i] * mean[j];
            out[(i, j)] = v;
            out[(j, i)] = v;
        }
        out
    }
}

/// Affine map of a cepstrum.
#[derive(Clone, Zeroize)]
pub struct Affine {
    matrix: Vec<f64>,
    offset: Vec<f64>,
}

impl Affine {
    /// Map that warps frames and then gives them the population's mean and covariance.
    ///
    /// T = S^-½ (S^½ P S^½)^½ S^-½ on the warped frames; mean and S are mixed with the population's by the priors.
    #[must_use]
    pub fn transport(frames: &Moments, warp: &DMatrix<f64>, population: &Gaussian) -> Self {
        let n = frames.count;
        let (mut mean, mut cov) = (population.mean.clone(), population.covariance.clone());
        if n >= 2.0 {
            mean = (warp * frames.mean() * n + &population.mean * MEAN_PRIOR) / (n + MEAN_PRIOR);
            let seen = warp * frames.covariance() * warp.transpose();
            cov = (seen * n + &population.covariance * COVARIANCE_PRIOR) / (n + COVARIANCE_PRIOR);
        }
        let (root, inverse) = roots(&cov);
        let (middle, _) = roots(&(&root * &population.covariance * &root));
        let t = &inverse * middle * &inverse;
        let offset = &population.mean - &t * mean;
        let matrix = t * warp;
        Affine {
            matrix: (0..ORDER).flat_map(|i| (0..ORDER).map(move |j| (i, j))).map(|at| matrix[at]).collect(),
            offset: offset.as_slice().to_vec(),
        }
    }

    /// Maps the first [`ORDER`] coefficients of a cepstrum.
    #[must_use]
    pub fn apply(&self, x: &[f64]) -> [f64; ORDER] {
        let mut out = [0.0; ORDER];
        for ((o, row), b) in out.iter_mut().zip(self.matrix.chunks_exact(ORDER)).zip(&self.offset) {
            *o = b + row.iter().zip(x).map(|(m, x)| m * x).sum::<f64>();
        }
        out
    }
}

/// Square root and inverse square root of a symmetric matrix; eigenvalues are kept above 1e-6.
fn roots(m: &DMatrix<f64>) -> (DMatrix<f64>, DMatrix<f64>) {
    let symmetric = (m + m.transpose()) * 0.5;
    let eigen = symmetric.symmetric_eigen();
    let scaled = |f: fn(f64) -> f64| {
        let values = DVector::from_iterator(ORDER, eigen.eigenvalues.iter().map(|v| f(v.max(1e-6))));
        &eigen.eigenvectors * DMatrix::from_diagonal(&values) * eigen.eigenvectors.transpose()
    };
    (scaled(f64::sqrt), scaled(|v| 1.0 / v.sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::tables::Tables;

    #[test]
    fn many_frames_end_with_the_populations_mean_and_covariance() {
        let tables = Tables::embedded().unwrap();
        let target = &tables.population[0];
        let mut noise = crate::voice::secret::Noise::from_os().unwrap();
        let frame = |noise: &mut crate::voice::secret::Noise| -> [f64; ORDER] {
            let common = noise.normal();
            std::array::from_fn(|i| 3.0 + 1.5 * target.covariance[(i, i)].sqrt() * noise.normal() + common)
        };
        let mut before = Moments::default();
        let frames: Vec<_> = (0..20000).map(|_| frame(&mut noise)).collect();
        frames.iter().for_each(|f| before.add(f));
        let map = Affine::transport(&before, &DMatrix::identity(ORDER, ORDER), target);
        let mut after = Moments::default();
        frames.iter().for_each(|f| after.add(&map.apply(f)));
        assert!((after.mean() - &target.mean).amax() < 0.3);
        let error = (after.covariance() - &target.covariance).amax();
        assert!(error < 0.03 * target.covariance.amax(), "{error}");
    }

    #[test]
    fn shifting_the_first_coefficient_equals_shifted_frames() {
        let (mut a, mut b) = (Moments::default(), Moments::default());
        for i in 0..50 {
            let x: [f64; ORDER] = std::array::from_fn(|k| ((i * 7 + k * 3) % 11) as f64);
            let mut y = x;
            y[0] += 2.5;
            a.add(&x);
            b.add(&y);
        }
        a.shift_first(2.5);
        assert!((a.covariance() - b.covariance()).amax() < 1e-9 && (a.mean() - b.mean()).amax() < 1e-9);
    }
}
