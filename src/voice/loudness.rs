//! Constant loudness, soft limiting and dither: nothing of the source's level survives.

use super::secret::Noise;

/// Loudness of the disguised speech. EBU R 128, 2020, §(a).
const TARGET_LUFS: f64 = -23.0;
/// Offset of the loudness formula of ITU-R BS.1770-5.
const LUFS_OFFSET: f64 = -0.691;
/// Bounds of the constant gain: the tables put speech at a power near 1, so anything else is a fault.
const GAIN_BOUNDS: (f64, f64) = (0.002, 0.3);
/// Linear up to here; the rest is squeezed under 1.
const KNEE: f32 = 0.8;
/// Dither of one step of 24 bits.
const DITHER: f32 = 1.0 / 8_388_608.0;

/// Gain that brings speech of a K-weighted mean `power` to −23 LUFS when played on `channels` channels.
#[must_use]
pub fn gain_for(power: f64, channels: usize) -> f64 {
    let wanted = 10_f64.powf((TARGET_LUFS - LUFS_OFFSET) / 10.0);
    let gain = (wanted / (power.max(1e-9) * channels.max(1) as f64)).sqrt();
    if gain.is_finite() { gain.clamp(GAIN_BOUNDS.0, GAIN_BOUNDS.1) } else { GAIN_BOUNDS.0 }
}

/// Squeezes a sample into −1..1; linear up to 0.8.
#[must_use]
pub fn limit(x: f32) -> f32 {
    if !x.is_finite() {
        return 0.0;
    }
    let over = x.abs() - KNEE;
    if over <= 0.0 { x } else { (KNEE + (1.0 - KNEE) * (over / (1.0 - KNEE)).tanh()).min(1.0).copysign(x) }
}

/// Fresh triangular dither for one sample.
pub fn dither(noise: &mut Noise) -> f32 {
    DITHER * noise.triangular()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limiter_is_bounded_monotone_and_linear_below_its_knee() {
        let mut last = -1.0;
        for i in -4000..=4000 {
            let y = limit(i as f32 / 400.0);
            assert!(y.abs() <= 1.0 && y >= last);
            last = y;
        }
        assert_eq!(limit(0.5), 0.5);
        assert_eq!(limit(f32::NAN), 0.0);
        assert_eq!(limit(f32::INFINITY), 0.0);
    }

    #[test]
    fn gain_is_bounded() {
        assert_eq!(gain_for(0.0, 1), GAIN_BOUNDS.1);
        assert_eq!(gain_for(f64::INFINITY, 1), GAIN_BOUNDS.0);
        assert_eq!(gain_for(f64::NAN, 1), GAIN_BOUNDS.1);
    }
}
