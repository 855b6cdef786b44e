//! Fine structure of the picture: blur and noise that make the double as sharp and as grainy as its surroundings.

use super::filter::gaussian;
use super::light::{LightProbe, Spots, luma_of};
use crate::image::RgbPatch;

/// Largest blur, in face widths, that smooth skin may ask for: more turns small noisy faces to wax.
const MAX_BLUR: f32 = 0.008;
/// Largest blur, in face widths, that soft edges may ask for.
const MAX_EDGE_BLUR: f32 = 0.009;
/// Relative difference of levels that is left alone.
const TOLERANCE: f32 = 1.05;
/// The same for edges, which differ between faces.
const EDGE_TOLERANCE: f32 = 1.3;
/// Largest noise, display values.
const MAX_NOISE: f32 = 6.0 / 255.0;
/// High-frequency level below which nothing is added.
const LEAST_GRAIN: f32 = 0.6 / 255.0;
/// Blur of the noise in pixels: film and codecs leave none that is white.
const NOISE_BLUR: f32 = 0.6;

/// Blurs the patch if its skin or its edges are sharper than the subject's picture; returns the noise (standard
/// deviation) to add if its skin is smoother. `scale` is pixels per face width.
pub(crate) fn matched(rgb: &mut RgbPatch, spots: &Spots, light: &LightProbe, scale: f32) -> f32 {
    let luma = luma_of(rgb);
    let (w, h) = (rgb.width, rgb.height);
    let wanted = [light.grain(), light.sharpness() * EDGE_TOLERANCE];
    let limits = [MAX_BLUR * scale, MAX_EDGE_BLUR * scale];
    let mut ladder = vec![(0.0, spots.levels(&luma, w, h))];
    let above = |l: (f32, f32)| l.0 > wanted[0] * TOLERANCE || l.1 > wanted[1];
    for share in [0.2, 0.45, 1.0] {
        if !ladder.last().is_some_and(|l| above(l.1)) {
            break;
        }
        let sigma = limits[0].max(limits[1]) * share;
        ladder.push((sigma, spots.levels(&gaussian(&luma, w, h, 1, sigma), w, h)));
    }
    let skin: Vec<(f32, f32)> = ladder.iter().map(|l| (l.0, l.1.0)).collect();
    let edges: Vec<(f32, f32)> = ladder.iter().map(|l| (l.0, l.1.1)).collect();
    let sigma = blur_for(&skin, wanted[0]).min(limits[0]).max(blur_for(&edges, wanted[1]).min(limits[1]));
    let mut own = ladder[0].1.0;
    if sigma > 0.1 {
        rgb.data = gaussian(&rgb.data, w, h, 3, sigma);
        own = spots.levels(&luma_of(rgb), w, h).0;
    }
    if wanted[0] > own * TOLERANCE && wanted[0] > LEAST_GRAIN {
        (wanted[0] * wanted[0] - own * own).sqrt().min(MAX_NOISE)
    } else {
        0.0
    }
}

/// Blur in pixels that brings a level down to `wanted`, from (blur, level) pairs in rising order; interpolated, so that
/// it changes smoothly from frame to frame.
fn blur_for(ladder: &[(f32, f32)], wanted: f32) -> f32 {
    if ladder.first().is_none_or(|l| l.1 <= wanted * TOLERANCE) {
        return 0.0;
    }
    for pair in ladder.windows(2) {
        if pair[1].1 <= wanted {
            let f = (pair[0].1 - wanted) / (pair[0].1 - pair[1].1).max(1e-6);
            return pair[0].0 + f.clamp(0.0, 1.0) * (pair[1].0 - pair[0].0);
        }
    }
    ladder.last().map_or(0.0, |l| l.0)
}

/// Adds equal noise to all channels. The noise belongs to frame positions and the seed, not to the patch.
pub(crate) fn add_noise(rgb: &mut RgbPatch, origin: (usize, usize), sigma: f32, seed: u64) {
    if sigma <= 0.0 {
        return;
    }
    let field = noise_field(rgb.width, rgb.height, origin, seed);
    for (px, n) in rgb.data.chunks_exact_mut(3).zip(&field) {
        px.iter_mut().for_each(|v| *v = (*v + n * sigma).clamp(0.0, 1.0));
    }
}

/// Blurred noise of unit standard deviation.
pub(crate) fn noise_field(width: usize, height: usize, (x0, y0): (usize, usize), seed: u64) -> Vec<f32> {
    /// Standard deviation that the blur leaves of white noise.
    const LEFT: f32 = 0.47;
    let white: Vec<f32> =
        (0..width * height).map(|i| white(seed, (x0 + i % width) as u64, (y0 + i / width) as u64) / LEFT).collect();
    gaussian(&white, width, height, 1, NOISE_BLUR)
}

/// Nearly Gaussian unit noise of one pixel: the sum of four uniform numbers from one hash.
fn white(seed: u64, x: u64, y: u64) -> f32 {
    /// The sum of four uniform numbers 0..=1 has variance 1/3.
    const SPREAD: f32 = 1.732_050_8;
    let h = mix64(seed ^ mix64(x << 32 | y));
    let sum: f32 = (0..4).map(|k| (h >> (16 * k) & 0xffff) as f32 / 65535.0).sum();
    (sum - 2.0) * SPREAD
}

/// SplitMix64's output function (Steele, Lea, Flood, OOPSLA 2014).
fn mix64(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_unit_spread_and_belongs_to_the_frame() {
        let a = noise_field(64, 64, (10, 20), 7);
        let spread = (a.iter().map(|v| v * v).sum::<f32>() / a.len() as f32).sqrt();
        assert!((spread - 1.0).abs() < 0.1, "{spread}");
        let b = noise_field(32, 32, (20, 30), 7);
        assert!((a[26 * 64 + 26] - b[16 * 32 + 16]).abs() < 1e-5);
        assert_ne!(a, noise_field(64, 64, (10, 20), 8));
    }
}
