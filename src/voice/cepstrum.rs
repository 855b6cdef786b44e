//! Mel cepstrum: log envelope at 64 mel-spaced points, orthonormal cosine transform, few coefficients kept.

use super::{BINS, FFT_SIZE, RATE_HZ};
use nalgebra::DMatrix;
use std::f64::consts::PI;
use std::sync::LazyLock;

/// Mel-spaced points from 0 to 8 kHz.
pub const POINTS: usize = 64;
/// Coefficients of the rendered voice: they hold vowels and consonants, not the fine shape of a vocal tract.
pub const ORDER: usize = 24;
/// Coefficients kept for estimating the vocal tract's length.
pub const WIDE_ORDER: usize = 28;
/// Highest frequency that survives.
pub const TOP_HZ: f64 = RATE_HZ as f64 / 2.0;

/// Mel of a frequency: O'Shaughnessy, *Speech Communication*, 1987, p. 150.
#[must_use]
pub fn mel_from_hz(hz: f64) -> f64 {
    2595.0 * (1.0 + hz / 700.0).log10()
}

/// Frequency of a mel value.
#[must_use]
pub fn hz_from_mel(mel: f64) -> f64 {
    700.0 * (10_f64.powf(mel / 2595.0) - 1.0)
}

/// Frequency of mel point `k`.
#[must_use]
pub fn point_hz(k: usize) -> f64 {
    hz_from_mel(mel_from_hz(TOP_HZ) * k as f64 / (POINTS - 1) as f64)
}

/// Position of a frequency on the mel points, 0..=63.
#[must_use]
pub fn point_from_hz(hz: f64) -> f64 {
    mel_from_hz(hz.clamp(0.0, TOP_HZ)) / mel_from_hz(TOP_HZ) * (POINTS - 1) as f64
}

/// Row-major POINTS × POINTS orthonormal DCT-II.
static DCT: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let n = POINTS as f64;
    let mut m = Vec::with_capacity(POINTS * POINTS);
    for j in 0..POINTS {
        let scale = if j == 0 { (1.0 / n).sqrt() } else { (2.0 / n).sqrt() };
        m.extend((0..POINTS).map(|k| scale * (PI * j as f64 * (k as f64 + 0.5) / n).cos()));
    }
    m
});

/// Log envelope of 513 bins to the first [`WIDE_ORDER`] mel cepstral coefficients.
#[must_use]
pub fn cepstrum_from_envelope(envelope: &[f64]) -> [f64; WIDE_ORDER] {
    static GRID: LazyLock<Vec<(usize, f64)>> = LazyLock::new(|| {
        let position = |k: usize| point_hz(k) * FFT_SIZE as f64 / f64::from(RATE_HZ);
        (0..POINTS).map(position).map(|p| ((p as usize).min(BINS - 2), p - (p as usize).min(BINS - 2) as f64)).collect()
    });
    let mut points = [0.0; POINTS];
    for (p, &(i, w)) in points.iter_mut().zip(GRID.iter()) {
        *p = envelope[i] * (1.0 - w) + envelope[i + 1] * w;
    }
    let mut out = [0.0; WIDE_ORDER];
    for (c, row) in out.iter_mut().zip(DCT.chunks_exact(POINTS)) {
        *c = row.iter().zip(&points).map(|(a, b)| a * b).sum();
    }
    out
}

/// Log spectrum at the mel points of a short cepstrum.
#[must_use]
pub fn points_from_cepstrum(cepstrum: &[f64]) -> [f64; POINTS] {
    let mut out = [0.0; POINTS];
    for (c, row) in cepstrum.iter().zip(DCT.chunks_exact(POINTS)) {
        out.iter_mut().zip(row).for_each(|(o, r)| *o += c * r);
    }
    out
}

/// Matrix (`rows` × `columns`) that stretches the frequency axis of a cepstrum: out(f) = in(f / factor).
///
/// Linear, because resampling the log spectrum is.
#[must_use]
pub fn warp_matrix(factor: f64, rows: usize, columns: usize) -> DMatrix<f64> {
    let mut warp = DMatrix::<f64>::zeros(rows, columns);
    for k in 0..POINTS {
        let p = point_from_hz(point_hz(k) / factor);
        let i = (p as usize).min(POINTS - 2);
        let w = p - i as f64;
        for c in 0..columns {
            let value = DCT[c * POINTS + i] * (1.0 - w) + DCT[c * POINTS + i + 1] * w;
            for r in 0..rows {
                warp[(r, c)] += DCT[r * POINTS + k] * value;
            }
        }
    }
    warp
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smooth_envelope_survives_the_way_there_and_back() {
        let envelope: Vec<f64> = (0..BINS).map(|i| (point_from_hz(i as f64 * 15.625) * 0.2).sin()).collect();
        let points = points_from_cepstrum(&cepstrum_from_envelope(&envelope));
        for (k, p) in points.iter().enumerate() {
            assert!((p - (k as f64 * 0.2).sin()).abs() < 0.05, "{k}");
        }
    }

    #[test]
    fn warping_moves_a_peak_by_the_factor() {
        let envelope: Vec<f64> =
            (0..BINS).map(|i| 3.0 * (-(point_from_hz(i as f64 * 15.625) - 30.0).powi(2) / 20.0).exp()).collect();
        let c = nalgebra::DVector::from_row_slice(&cepstrum_from_envelope(&envelope));
        let warped = warp_matrix(1.1, WIDE_ORDER, WIDE_ORDER) * c;
        let points = points_from_cepstrum(warped.as_slice());
        let peak = (0..POINTS).max_by(|a, b| points[*a].total_cmp(&points[*b])).unwrap();
        let wanted = point_from_hz(point_hz(30) * 1.1);
        assert!((peak as f64 - wanted).abs() <= 1.0, "{peak} {wanted}");
    }
}
