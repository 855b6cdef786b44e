//! Separable Gaussian filters on small planar or interleaved maps.

/// Half-width of the kernel in sigmas; what is cut off weighs 0.3 %.
const REACH: f32 = 3.0;

/// Normalised Gaussian taps, centre first.
pub(crate) fn taps(sigma: f32) -> Vec<f32> {
    let n = (sigma * REACH).ceil().clamp(1.0, 512.0) as usize;
    let mut t: Vec<f32> = (0..=n).map(|i| (-0.5 * (i as f32 / sigma.max(1e-3)).powi(2)).exp()).collect();
    let sum = t[0] + 2.0 * t[1..].iter().sum::<f32>();
    t.iter_mut().for_each(|v| *v /= sum);
    t
}

/// Gaussian blur of `channels` interleaved values per cell; edges are repeated. `sigma` below 0.05 cells copies.
pub(crate) fn gaussian(map: &[f32], width: usize, height: usize, channels: usize, sigma: f32) -> Vec<f32> {
    if sigma < 0.05 || width == 0 || height == 0 {
        return map.to_vec();
    }
    let taps = taps(sigma);
    let row_len = width * channels;
    let mut across = vec![0.0f32; map.len()];
    let pad = taps.len() - 1;
    let mut line = vec![0.0f32; row_len + 2 * pad * channels];
    for (src, dst) in map.chunks_exact(row_len).zip(across.chunks_exact_mut(row_len)) {
        for k in 0..pad {
            for c in 0..channels {
                line[k * channels + c] = src[c];
                line[(pad + width + k) * channels + c] = src[row_len - channels + c];
            }
        }
        line[pad * channels..pad * channels + row_len].copy_from_slice(src);
        let centre = pad * channels;
        dst.iter_mut().zip(&line[centre..]).for_each(|(d, s)| *d = s * taps[0]);
        for (k, t) in taps.iter().enumerate().skip(1) {
            let (left, right) = (&line[centre - k * channels..], &line[centre + k * channels..]);
            dst.iter_mut().zip(left).zip(right).for_each(|((d, l), r)| *d += t * (l + r));
        }
    }
    let mut out = vec![0.0f32; map.len()];
    for (y, dst) in out.chunks_exact_mut(row_len).enumerate() {
        let row = |y: isize| {
            let y = y.clamp(0, height as isize - 1) as usize;
            &across[y * row_len..(y + 1) * row_len]
        };
        let y = y as isize;
        dst.iter_mut().zip(row(y)).for_each(|(d, s)| *d = s * taps[0]);
        for (k, t) in taps.iter().enumerate().skip(1) {
            let (up, down) = (row(y - k as isize), row(y + k as isize));
            dst.iter_mut().zip(up).zip(down).for_each(|((d, u), l)| *d += t * (u + l));
        }
    }
    out
}

/// Whether no value is infinite or not a number.
pub(crate) fn all_finite(values: &[f32]) -> bool {
    values.iter().fold(true, |ok, v| ok & v.is_finite())
}

/// Median of a list that is consumed as scratch; 0 if it is empty.
pub(crate) fn median(values: &mut [f32]) -> f32 {
    quantile(values, 0.5)
}

/// Value below which `share` of a list lies; the list is consumed as scratch. 0 if it is empty.
pub(crate) fn quantile(values: &mut [f32], share: f32) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let at = ((values.len() as f32 * share) as usize).min(values.len() - 1);
    *values.select_nth_unstable_by(at, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blur_keeps_constants_and_mass() {
        let flat = vec![0.25f32; 30 * 20 * 3];
        assert!(gaussian(&flat, 30, 20, 3, 2.0).iter().all(|v| (v - 0.25).abs() < 1e-5));
        let mut dot = vec![0.0f32; 41 * 41];
        dot[20 * 41 + 20] = 1.0;
        let out = gaussian(&dot, 41, 41, 1, 2.5);
        assert!((out.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        assert!((out[20 * 41 + 15] - out[15 * 41 + 20]).abs() < 1e-7);
    }
}
