//! A finer pitch: the instantaneous frequencies of the lowest harmonics.
//!
//! The refinement named StoneMask in M. Morise et al., *WORLD*, IEICE Trans. E99-D(7), 2016, §2.1; instantaneous frequency
//! from two windows, the second the derivative of the first: J. L. Flanagan & R. M. Golden, *Phase vocoder*, Bell System
//! Technical Journal 45, 1966.

use super::RATE_HZ;
use super::envelope::REACH;
use realfft::num_complex::Complex;
use std::f64::consts::TAU;

/// Harmonics looked at first, and then.
const HARMONICS: [usize; 2] = [2, 6];
/// A result that is further off than this is not believed.
const TRUST: f64 = 0.2;

/// The pitch around `span[REACH]`, given a rough one; `span` holds 2·[`REACH`] + 1 samples. 0 stays 0.
#[must_use]
pub fn refined(span: &[f64], rough_hz: f64) -> f64 {
    if rough_hz <= 0.0 {
        return 0.0;
    }
    let fine = HARMONICS.iter().fold(rough_hz, |f0_hz, n| step(span, f0_hz, *n));
    if (fine - rough_hz).abs() <= TRUST * rough_hz { fine } else { rough_hz }
}

/// Mean of the harmonics' frequencies over their numbers, by amplitude. Three periods under Blackman's window.
fn step(span: &[f64], f0_hz: f64, harmonics: usize) -> f64 {
    let rate = f64::from(RATE_HZ);
    let half = ((1.5 * rate / f0_hz) as usize).min(REACH);
    // Per harmonic: what the window sees, and what its derivative (per second) sees.
    let mut seen = [[Complex::new(0.0, 0.0); 2]; 6];
    for i in 0..=2 * half {
        let t = (i as f64 - half as f64) / rate;
        let a = TAU * t * f0_hz / 3.0;
        let window = 0.42 + 0.5 * a.cos() + 0.08 * (2.0 * a).cos();
        let slope = -TAU * f0_hz / 3.0 * (0.5 * a.sin() + 0.16 * (2.0 * a).sin());
        let x = span.get(REACH + i - half).copied().unwrap_or(0.0);
        let (sin, cos) = (-TAU * f0_hz * t).sin_cos();
        let (turn, mut phase) = (Complex::new(cos, sin), Complex::new(1.0, 0.0));
        for [w, d] in &mut seen[..harmonics] {
            phase *= turn;
            *w += phase * (x * window);
            *d += phase * (x * slope);
        }
    }
    let (mut sum, mut weight) = (0.0, 0.0);
    for (k, [w, d]) in seen[..harmonics].iter().enumerate() {
        let (power, number) = (w.norm_sqr(), (k + 1) as f64);
        if power > 0.0 {
            let hz = number * f0_hz - (d * w.conj()).im / power / TAU;
            sum += power.sqrt() * hz;
            weight += power.sqrt() * number;
        }
    }
    let fine = sum / weight;
    if fine.is_finite() { fine } else { f0_hz }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_percent_off_becomes_a_thousandth() {
        for f0 in [80.0, 137.0, 330.0] {
            let wave = |i: usize, k: f64| (TAU * k * f0 * i as f64 / 16000.0 + k * k).sin() / k;
            let span: Vec<f64> = (0..=2 * REACH).map(|i| (1..7).map(|k| wave(i, f64::from(k))).sum()).collect();
            for rough in [0.95 * f0, f0, 1.05 * f0] {
                let fine = refined(&span, rough);
                assert!((fine / f0 - 1.0).abs() < 1e-3, "{f0} from {rough}: {fine}");
            }
        }
        assert_eq!(refined(&[0.0; 2 * REACH + 1], 100.0), 100.0);
        assert_eq!(refined(&[f64::NAN; 2 * REACH + 1], 100.0), 100.0);
    }
}
