//! Who is speaking, by averages only: a weak recogniser that needs no training.

use crate::Result;
use crate::voice::RATE_HZ;
use crate::voice::cepstrum::{hz_from_mel, mel_from_hz};
use crate::voice::features::FeatureStream;
use crate::voice::fft::RealFft;
use crate::voice::resample::Rate;
use std::f64::consts::{PI, TAU};

const WINDOW: usize = 512;
const STEP: usize = 160;
const BANDS: usize = 40;
const CEPSTRA: usize = 20;
/// Numbers per sound: 19 means, 20 spreads, 20 spreads of change, 4 of pitch, 3 of rhythm.
pub const SPEAKER_FEATURES: usize = 19 + 20 + 20 + 7;
/// Frames of speech below which nothing is said.
const FEWEST: usize = 30;

/// Averages that describe a speaker, or none if there is under 0.3 s of speech.
///
/// Normalise each number over the recordings compared (subtract mean, divide by spread), then compare by cosine.
///
/// # Errors
/// `Unsupported` if the rate is.
pub fn speaker_features(samples: &[f32], rate_hz: u32) -> Result<Option<Vec<f64>>> {
    let (mut rate, mut x) = (Rate::new(rate_hz, RATE_HZ)?, Vec::new());
    rate.push(samples, &mut x)?;
    rate.finish(&mut x)?;
    let cepstra = mel_cepstra(&x);
    if cepstra.len() < FEWEST {
        return Ok(None);
    }
    let mut level: Vec<f64> = cepstra.iter().map(|c| c[0]).collect();
    level.sort_by(f64::total_cmp);
    let (top, low) = (level[level.len() * 95 / 100], level[level.len() * 2 / 100]);
    let speech: Vec<bool> = cepstra.iter().map(|c| c[0] > top - 0.45 * (top - low)).collect();
    let picked = |k: usize| -> Vec<f64> { cepstra.iter().zip(&speech).filter(|p| *p.1).map(|p| p.0[k]).collect() };
    let change = |k: usize| -> Vec<f64> {
        (4..cepstra.len() - 4).filter(|i| speech[*i]).map(|i| slope(&cepstra, i, k)).collect()
    };
    let mut out: Vec<f64> = (1..CEPSTRA).map(|k| mean(&picked(k))).collect();
    out.extend((0..CEPSTRA).map(|k| spread(&picked(k))));
    out.extend((0..CEPSTRA).map(|k| spread(&change(k))));
    out.extend(pitch_and_rhythm(&x));
    out.push(mean(&speech.iter().map(|s| f64::from(u8::from(*s))).collect::<Vec<_>>()));
    Ok(out.iter().all(|v| v.is_finite()).then_some(out))
}

/// Regression slope over nine frames.
fn slope(cepstra: &[[f64; CEPSTRA]], at: usize, k: usize) -> f64 {
    (1..=4).map(|d| d as f64 * (cepstra[at + d][k] - cepstra[at - d][k])).sum::<f64>() / 60.0
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len().max(1) as f64
}

fn spread(x: &[f64]) -> f64 {
    let m = mean(x);
    mean(&x.iter().map(|v| (v - m) * (v - m)).collect::<Vec<_>>()).sqrt()
}

/// Cepstra of triangular mel bands (S. Davis & P. Mermelstein, *IEEE Trans. ASSP* 28, 1980), level-normalised.
fn mel_cepstra(x: &[f32]) -> Vec<[f64; CEPSTRA]> {
    let power = x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / x.len().max(1) as f64;
    let scale = 0.06 / power.max(1e-12).sqrt();
    let edge = |i: usize| hz_from_mel(mel_from_hz(8000.0) * i as f64 / (BANDS + 1) as f64) / 8000.0 * 256.0;
    let weight = |b: usize, bin: f64| {
        let (l, c, r) = (edge(b), edge(b + 1), edge(b + 2));
        ((bin - l) / (c - l)).min((r - bin) / (r - c)).max(0.0)
    };
    let bank: Vec<Vec<f64>> = (0..BANDS).map(|b| (0..=WINDOW / 2).map(|k| weight(b, k as f64)).collect()).collect();
    let window: Vec<f64> = (0..WINDOW).map(|i| 0.5 - 0.5 * (TAU * i as f64 / WINDOW as f64).cos()).collect();
    let mut fft = RealFft::new(WINDOW);
    let one = |start: usize| {
        let frame: Vec<f64> = (0..WINDOW).map(|i| scale * f64::from(x[start + i]) * window[i]).collect();
        let power: Vec<f64> = fft.forward(&frame).iter().map(|s| s.norm_sqr()).collect();
        let log: Vec<f64> =
            bank.iter().map(|w| (w.iter().zip(&power).map(|(w, p)| w * p).sum::<f64>() + 1e-8).ln()).collect();
        std::array::from_fn(|k| {
            let term = |(b, l): (usize, &f64)| l * (PI * k as f64 * (b as f64 + 0.5) / BANDS as f64).cos();
            log.iter().enumerate().map(term).sum::<f64>() * (2.0 / BANDS as f64).sqrt()
        })
    };
    (0..(x.len() + STEP).saturating_sub(WINDOW) / STEP)
        .map(|i| i * STEP)
        .filter(|s| s + WINDOW <= x.len())
        .map(one)
        .collect()
}

/// Pitch: mean, spread, mean step. Rhythm: voiced share, mean and spread of the length of runs.
fn pitch_and_rhythm(x: &[f32]) -> [f64; 6] {
    let (mut stream, mut f0) = (FeatureStream::new(), Vec::new());
    stream.push(x, &mut |f| f0.push(f.f0_hz));
    stream.finish(&mut |f| f0.push(f.f0_hz));
    let log: Vec<f64> = f0.iter().filter(|f| **f > 0.0).map(|f| f.ln()).collect();
    let log = if log.len() > 10 { log } else { vec![0.0; 10] };
    let steps: Vec<f64> = log.windows(2).map(|w| (w[1] - w[0]).abs()).filter(|d| *d < 0.2).collect();
    let mut runs = vec![0.0];
    for w in f0.windows(2) {
        match runs.last_mut() {
            Some(run) if (w[0] > 0.0) == (w[1] > 0.0) => *run += 1.0,
            _ => runs.push(1.0),
        }
    }
    let voiced = log.len() as f64 / f0.len().max(1) as f64;
    [mean(&log), spread(&log), mean(&steps), voiced, mean(&runs), spread(&runs)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_has_its_length_or_is_absent() {
        let x: Vec<f32> = (0..16000).map(|i| ((i * i % 977) as f32 / 977.0 - 0.5) * (i as f32 * 0.001).sin()).collect();
        assert_eq!(speaker_features(&x, 16000).unwrap().unwrap().len(), SPEAKER_FEATURES);
        assert!(speaker_features(&x[..3000], 16000).unwrap().is_none());
        assert!(speaker_features(&[], 16000).unwrap().is_none());
    }
}
