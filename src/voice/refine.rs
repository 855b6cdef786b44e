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
///
/// The window is even and its derivative odd, so each needs the even part of the sound for one half of its transform and
/// the odd part for the other. Sines and cosines come by rotation, those of the harmonics by Chebyshev's recurrence.
fn step(span: &[f64], f0_hz: f64, harmonics: usize) -> f64 {
    let rate = f64::from(RATE_HZ);
    let half = ((1.5 * rate / f0_hz) as usize).min(REACH);
    let turn = |hz: f64| Complex::from_polar(1.0, TAU * hz / rate);
    let (slow, quick) = (turn(f0_hz / 3.0), turn(f0_hz));
    let (mut a, mut b) = (Complex::new(1.0, 0.0), Complex::new(1.0, 0.0));
    let mut seen = [Seen::default(); HARMONICS[1]];
    let sample = |i: usize| span.get(i).copied().unwrap_or(0.0);
    for i in 0..=half {
        // The middle sample counts once.
        let (later, earlier) = (sample(REACH + i), sample(REACH - i));
        let even = if i == 0 { later } else { later + earlier };
        let odd = later - earlier;
        let window = 0.42 + 0.5 * a.re + 0.08 * (2.0 * a.re * a.re - 1.0);
        let slope = -(0.5 + 0.32 * a.re) * a.im;
        let parts = [window * even, window * odd, slope * odd, slope * even];
        let (mut before, mut now) = (Complex::new(1.0, 0.0), b);
        for s in &mut seen[..harmonics] {
            s.window += Complex::new(parts[0] * now.re, -parts[1] * now.im);
            s.slope += Complex::new(parts[2] * now.re, -parts[3] * now.im);
            (before, now) = (now, now * (2.0 * b.re) - before);
        }
        (a, b) = (a * slow, b * quick);
    }
    let (mut sum, mut weight) = (0.0, 0.0);
    for (number, s) in (1..=harmonics).map(|n| n as f64).zip(&seen) {
        let power = s.window.norm_sqr();
        if power > 0.0 {
            // The slope is per radian of the window, of which f0 / 3 go by per second.
            let hz = number * f0_hz - (s.slope * s.window.conj()).im / power * f0_hz / 3.0;
            sum += power.sqrt() * hz;
            weight += power.sqrt() * number;
        }
    }
    let fine = sum / weight;
    if fine.is_finite() { fine } else { f0_hz }
}

/// What the window and its derivative see at a harmonic.
#[derive(Clone, Copy, Default)]
struct Seen {
    window: Complex<f64>,
    slope: Complex<f64>,
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
