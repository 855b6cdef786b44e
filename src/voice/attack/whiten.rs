//! A filter that makes one piece of sound white: linear prediction (J. Makhoul, *Proc. IEEE* 63, 1975, §II).

/// Coefficients of the longest filter, less the first, which is one.
pub(super) const MOST_ORDER: usize = 16;

/// A whitening filter, one for both sounds: what is the same before is the same after.
pub(super) struct Whitener {
    taps: [f32; MOST_ORDER + 1],
}

impl Whitener {
    /// The filter that passes everything.
    pub(super) fn none() -> Self {
        let mut taps = [0.0; MOST_ORDER + 1];
        taps[0] = 1.0;
        Whitener { taps }
    }

    /// The filter of `order` that whitens `sound`, seen through a raised cosine. `floor`: white noise added, as a share of
    /// the power, so that what a codec puts between the formants is not blown up.
    pub(super) fn of(sound: &[f32], order: usize, floor: f64) -> Self {
        let n = sound.len() as f64;
        let fade = |i: usize| 0.5 - 0.5 * (std::f64::consts::TAU * (i as f64 + 0.5) / n).cos();
        let seen: Vec<f64> = sound.iter().enumerate().map(|(i, x)| f64::from(*x) * fade(i)).collect();
        let likeness = |k: usize| seen.iter().skip(k).zip(&seen).map(|(a, b)| a * b).sum::<f64>();
        let mut r: Vec<f64> = (0..=order).map(likeness).collect();
        r[0] = r[0] * (1.0 + floor) + 1e-20;
        let mut out = Self::none();
        // Levinson and Durbin's recursion.
        let (mut a, mut error) = (vec![0.0; order + 1], r[0]);
        a[0] = 1.0;
        for i in 1..=order {
            let k = -(0..i).map(|j| a[j] * r[i - j]).sum::<f64>() / error;
            let before = a.clone();
            (1..=i).for_each(|j| a[j] += k * before[i - j]);
            error *= 1.0 - k * k;
            if error.is_nan() || error <= 0.0 {
                return Self::none();
            }
        }
        out.taps.iter_mut().zip(&a).for_each(|(t, a)| *t = *a as f32);
        out
    }

    /// Filters `sound`, whose first [`MOST_ORDER`] samples only lead in, into `out`.
    pub(super) fn filter(&self, sound: &[f32], out: &mut [f32]) {
        out.fill(0.0);
        for (k, tap) in self.taps.iter().enumerate().filter(|(_, t)| **t != 0.0) {
            let late = sound.iter().skip(MOST_ORDER - k);
            out.iter_mut().zip(late).for_each(|(o, x)| *o += tap * x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resonance_becomes_white() {
        let (mut seed, mut y, mut z) = (1_u32, 0.0_f32, 0.0_f32);
        let sound: Vec<f32> = (0..2000)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let x = 1.6 * y - 0.9 * z + (seed >> 8) as f32 / (1 << 24) as f32 - 0.5;
                (z, y) = (y, x);
                x
            })
            .collect();
        let mut white = vec![0.0; 2000 - MOST_ORDER];
        Whitener::of(&sound, 16, 1e-4).filter(&sound, &mut white);
        let likeness = |x: &[f32], k: usize| {
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            dot(&x[k..], x) / dot(x, x)
        };
        assert!(likeness(&sound, 1) > 0.8);
        assert!((1..6).all(|k| likeness(&white, k).abs() < 0.1));
        // Silence and one tone are filtered to something finite.
        for x in [vec![0.0; 480], (0..480).map(|i| (i as f32 * 0.3).sin()).collect()] {
            Whitener::of(&x, 16, 0.0).filter(&x, &mut white[..400]);
            assert!(white[..400].iter().all(|v| v.is_finite()));
        }
    }
}
