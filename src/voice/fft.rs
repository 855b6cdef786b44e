//! Real Fourier transforms of fixed size, with their own scratch memory.

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use std::sync::Arc;

/// Forward and inverse real transform of one size.
///
/// The inverse is scaled by 1/size, so that `inverse(forward(x)) == x`.
/// A transform that fails (it cannot, with buffers of the planned size) yields NaN, which every caller
/// treats as "replace by the noise floor": failing closed without an error path per frame.
pub struct RealFft {
    size: usize,
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
    scratch: Vec<Complex<f64>>,
    real: Vec<f64>,
    spectrum: Vec<Complex<f64>>,
}

impl RealFft {
    /// Plans transforms of `size` real points (even).
    #[must_use]
    pub fn new(size: usize) -> Self {
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(size), planner.plan_fft_inverse(size));
        let scratch = forward.get_scratch_len().max(inverse.get_scratch_len());
        RealFft {
            size,
            forward,
            inverse,
            scratch: vec![Complex::default(); scratch],
            real: vec![0.0; size],
            spectrum: vec![Complex::default(); size / 2 + 1],
        }
    }

    /// Number of real points.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Spectrum (size/2 + 1 bins) of `input`, zero-padded or cut to the size.
    pub fn forward(&mut self, input: &[f64]) -> &mut [Complex<f64>] {
        let n = input.len().min(self.size);
        self.real[..n].copy_from_slice(&input[..n]);
        self.real[n..].fill(0.0);
        let done = self.forward.process_with_scratch(&mut self.real, &mut self.spectrum, &mut self.scratch);
        if done.is_err() {
            self.spectrum.fill(Complex::new(f64::NAN, f64::NAN));
        }
        &mut self.spectrum
    }

    /// Real signal of the half spectrum written by `fill`, which gets size/2 + 1 bins.
    pub fn inverse(&mut self, fill: impl FnOnce(&mut [Complex<f64>])) -> &mut [f64] {
        fill(&mut self.spectrum);
        self.spectrum[0].im = 0.0;
        self.spectrum[self.size / 2].im = 0.0;
        let done = self.inverse.process_with_scratch(&mut self.spectrum, &mut self.real, &mut self.scratch);
        let scale = if done.is_ok() { 1.0 / self.size as f64 } else { f64::NAN };
        self.real.iter_mut().for_each(|v| *v *= scale);
        &mut self.real
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_of_forward_is_the_signal() {
        let mut fft = RealFft::new(64);
        let x: Vec<f64> = (0..64).map(|i| ((i * i) as f64 * 0.37).sin()).collect();
        let spectrum = fft.forward(&x).to_vec();
        let y = fft.inverse(|s| s.copy_from_slice(&spectrum));
        assert!(x.iter().zip(y).all(|(a, b)| (a - *b).abs() < 1e-12));
    }
}
