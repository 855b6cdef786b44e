//! Spectral envelope free of pitch ripple.
//!
//! M. Morise, *CheapTrick, a spectral envelope estimator for high-quality speech synthesis*, Speech Communication 67,
//! 2015, §3; compensation constant q₁ = −0.15 from its §4.

use super::fft::RealFft;
use super::{BINS, FFT_SIZE, RATE_HZ};
use std::f64::consts::PI;

/// Pitch assumed where a frame is unvoiced (the paper's reference implementation does the same).
const UNVOICED_F0_HZ: f64 = 500.0;
const Q1: f64 = -0.15;
/// Power floor before the logarithm: −120 dB re full scale.
const POWER_FLOOR: f64 = 1e-12;
/// Samples needed on each side of a frame's centre, for the lowest pitch of 60 Hz.
pub const REACH: usize = 400;

/// CheapTrick with its buffers.
pub struct EnvelopeEstimator {
    fft: RealFft,
    frame: Vec<f64>,
    power: Vec<f64>,
    sums: Vec<f64>,
}

impl Default for EnvelopeEstimator {
    fn default() -> Self {
        Self::new()
    }
}

impl EnvelopeEstimator {
    /// An estimator for 16 kHz sound.
    #[must_use]
    pub fn new() -> Self {
        EnvelopeEstimator { fft: RealFft::new(FFT_SIZE), frame: Vec::new(), power: vec![0.0; BINS], sums: Vec::new() }
    }

    /// Log power envelope (natural logarithm, [`BINS`] values) around `span[REACH]`.
    ///
    /// `span` holds 2·[`REACH`] + 1 samples; `f0_hz` is 0 where unvoiced. White noise of variance σ² gives about
    /// ln σ² at every bin.
    pub fn estimate(&mut self, span: &[f64], f0_hz: f64, out: &mut Vec<f64>) {
        let f0 = if f0_hz > 0.0 { f0_hz.clamp(60.0, 1000.0) } else { UNVOICED_F0_HZ };
        self.window(span, f0);
        for (p, s) in self.power.iter_mut().zip(self.fft.forward(&self.frame)) {
            *p = s.norm_sqr();
        }
        self.correct_dc(f0);
        self.smooth(2.0 * f0 / 3.0);
        self.lifter(f0, out);
    }

    /// Hann window three periods long, of unit energy, with the weighted mean removed.
    fn window(&mut self, span: &[f64], f0: f64) {
        let half = ((1.5 * f64::from(RATE_HZ) / f0).round() as usize).min(REACH);
        let weight = |i: usize| {
            let t = (i as f64 - half as f64) / f64::from(RATE_HZ);
            0.5 + 0.5 * (PI * t * f0 / 1.5).cos()
        };
        let (mut energy, mut sum, mut mean) = (0.0, 0.0, 0.0);
        self.frame.clear();
        for i in 0..=2 * half {
            let w = weight(i);
            let x = span.get(REACH + i - half).copied().unwrap_or(0.0) * w;
            energy += w * w;
            sum += w;
            mean += x;
            self.frame.push(x);
        }
        let scale = 1.0 / energy.sqrt();
        for (i, x) in self.frame.iter_mut().enumerate() {
            *x = (*x - mean / sum * weight(i)) * scale;
        }
    }

    /// Folds the power above f0 onto the bins below it, which the removed mean emptied.
    fn correct_dc(&mut self, f0: f64) {
        let position = f0 * FFT_SIZE as f64 / f64::from(RATE_HZ);
        let limit = (position as usize + 1).min(BINS / 2);
        let mirrored: Vec<f64> = (0..limit).map(|i| at(&self.power, position - i as f64)).collect();
        self.power.iter_mut().zip(mirrored).for_each(|(p, m)| *p += m);
    }

    /// Mean over a band `width_hz` wide, by differences of the running integral.
    fn smooth(&mut self, width_hz: f64) {
        let width = width_hz * FFT_SIZE as f64 / f64::from(RATE_HZ);
        let pad = width as usize + 2;
        self.sums.clear();
        let mut total = 0.0;
        self.sums.push(0.0);
        let last = BINS as isize - 1;
        for i in -(pad as isize)..=last + pad as isize {
            let mirrored = if i < 0 {
                -i
            } else if i > last {
                2 * last - i
            } else {
                i
            };
            total += self.power.get(mirrored.unsigned_abs()).copied().unwrap_or(0.0);
            self.sums.push(total);
        }
        // Bin i covers the interval [i, i + 1) of the integral; its centre lies at i + ½.
        for i in 0..BINS {
            let centre = (pad + i) as f64 + 0.5;
            self.power[i] = ((at(&self.sums, centre + width / 2.0) - at(&self.sums, centre - width / 2.0)) / width)
                .max(POWER_FLOOR);
        }
    }

    fn lifter(&mut self, f0: f64, out: &mut Vec<f64>) {
        let power = &self.power;
        let cepstrum: Vec<f64> =
            self.fft.inverse(|s| s.iter_mut().zip(power).for_each(|(s, p)| *s = p.ln().into()))[..BINS].to_vec();
        self.frame.clear();
        self.frame.resize(FFT_SIZE, 0.0);
        for (i, c) in cepstrum.iter().enumerate() {
            let x = PI * f0 * i as f64 / f64::from(RATE_HZ);
            let smoothing = if i == 0 { 1.0 } else { x.sin() / x };
            let v = c * smoothing * (1.0 - 2.0 * Q1 + 2.0 * Q1 * (2.0 * x).cos());
            self.frame[i] = v;
            if i > 0 && i < FFT_SIZE / 2 {
                self.frame[FFT_SIZE - i] = v;
            }
        }
        out.clear();
        out.extend(self.fft.forward(&self.frame).iter().map(|s| s.re));
    }
}

/// Value between the points of `values`, linear, clamped at the ends.
fn at(values: &[f64], position: f64) -> f64 {
    let p = position.clamp(0.0, (values.len() - 1) as f64);
    let i = (p as usize).min(values.len() - 2);
    values[i] + (values[i + 1] - values[i]) * (p - i as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulse_train_has_a_flat_envelope_of_its_power() {
        let mut span = vec![0.0; 2 * REACH + 1];
        (0..span.len()).step_by(100).for_each(|i| span[i] = 1.0); // 160 Hz, power 1/100
        let mut out = Vec::new();
        EnvelopeEstimator::new().estimate(&span, 160.0, &mut out);
        assert_eq!(out.len(), BINS);
        for v in &out[20..500] {
            assert!((v - 0.01_f64.ln()).abs() < 0.5, "{v} against {}", 0.01_f64.ln());
        }
    }

    #[test]
    fn silence_is_finite() {
        let mut out = Vec::new();
        EnvelopeEstimator::new().estimate(&vec![0.0; 2 * REACH + 1], 0.0, &mut out);
        assert!(out.iter().all(|v| v.is_finite() && *v < -20.0));
    }
}
