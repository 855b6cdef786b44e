//! Who is speaking, by averages only: a weak recogniser that needs no training.

use crate::Result;
use crate::voice::cepstrum::{hz_from_mel, mel_from_hz};
use crate::voice::features::FeatureStream;
use crate::voice::fft::RealFft;
use crate::voice::resample::Rate;
use crate::voice::{HOP, RATE_HZ};
use std::f64::consts::{PI, TAU};

const WINDOW: usize = 512;
const STEP: usize = 160;
const BANDS: usize = 40;
const CEPSTRA: usize = 20;
/// Numbers per sound: 19 means, 20 spreads, 20 spreads of change, 4 of pitch, 3 of rhythm.
pub const SPEAKER_FEATURES: usize = 19 + 20 + 20 + 7;
/// What lies under this (−100 dB, less than a step of 16 bits) is digital silence: nothing, and what a change of rate leaves of it.
const SILENCE: f32 = 1e-5;
/// Frames of speech below which nothing is said.
const FEWEST: usize = 30;

/// Averages over one piece of a sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Averages {
    /// [`SPEAKER_FEATURES`] numbers: 19 means, 20 spreads and 20 spreads of change of cepstral coefficients, 4 of pitch, 3 of rhythm.
    pub numbers: Vec<f64>,
    /// Seconds that are not digital silence.
    pub sounding_secs: f64,
    /// Seconds of speech, by level.
    pub speech_secs: f64,
    /// Seconds with a pitch.
    pub voiced_secs: f64,
}

/// Averages that describe a speaker, or none if there is under 0.3 s of speech.
///
/// Normalise each number over the recordings compared (subtract mean, divide by spread), then compare by cosine.
///
/// # Errors
/// `Unsupported` if the rate is.
pub fn speaker_features(samples: &[f32], rate_hz: u32) -> Result<Option<Vec<f64>>> {
    Ok(speaker_averages(samples, rate_hz)?.map(|a| a.numbers))
}

/// The same with how much there was to judge.
///
/// # Errors
/// `Unsupported` if the rate is.
pub fn speaker_averages(samples: &[f32], rate_hz: u32) -> Result<Option<Averages>> {
    let (mut rate, mut x) = (Rate::new(rate_hz, RATE_HZ)?, Vec::new());
    rate.push(samples, &mut x)?;
    rate.finish(&mut x)?;
    Ok(averages(&x))
}

/// Averages over 16 kHz mono sound, or none if under 0.3 s of it sounds. Digital silence does not count: where sound was taken
/// out, the rest is judged as if it stood alone.
pub(super) fn averages(x: &[f32]) -> Option<Averages> {
    let cepstra = mel_cepstra(x);
    if cepstra.len() < FEWEST {
        return None;
    }
    let mut level: Vec<f64> = cepstra.iter().map(|c| c[0]).collect();
    level.sort_by(f64::total_cmp);
    let (top, low) = (level[level.len() * 95 / 100], level[level.len() * 2 / 100]);
    let speech: Vec<bool> = cepstra.iter().map(|c| c[0] > top - 0.45 * (top - low)).collect();
    let picked = |k: usize| -> Vec<f64> { cepstra.iter().zip(&speech).filter(|p| *p.1).map(|p| p.0[k]).collect() };
    let change = |k: usize| -> Vec<f64> {
        (4..cepstra.len() - 4).filter(|i| speech[*i]).map(|i| slope(&cepstra, i, k)).collect()
    };
    let mut numbers: Vec<f64> = (1..CEPSTRA).map(|k| mean(&picked(k))).collect();
    numbers.extend((0..CEPSTRA).map(|k| spread(&picked(k))));
    numbers.extend((0..CEPSTRA).map(|k| spread(&change(k))));
    let (melody, voiced_secs) = pitch_and_rhythm(x);
    numbers.extend(melody);
    let spoken = speech.iter().filter(|s| **s).count() as f64;
    numbers.push(spoken / speech.len() as f64);
    let secs = |frames: f64| frames * STEP as f64 / f64::from(RATE_HZ);
    let (sounding_secs, speech_secs) = (secs(speech.len() as f64), secs(spoken));
    numbers.iter().all(|v| v.is_finite()).then_some(Averages { numbers, sounding_secs, speech_secs, voiced_secs })
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

/// Cepstra of triangular mel bands (S. Davis & P. Mermelstein, *IEEE Trans. ASSP* 28, 1980), level-normalised, of all frames that
/// are not digital silence.
fn mel_cepstra(x: &[f32]) -> Vec<[f64; CEPSTRA]> {
    let starts: Vec<usize> = (0..(x.len() + STEP).saturating_sub(WINDOW) / STEP)
        .map(|i| i * STEP)
        .filter(|s| s + WINDOW <= x.len() && x[*s..s + WINDOW].iter().any(|v| v.abs() > SILENCE))
        .collect();
    let sounding = x.iter().filter(|v| v.abs() > SILENCE).count();
    let power = x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / sounding.max(1) as f64;
    let scale = 0.06 / power.max(1e-12).sqrt();
    let edge = |i: usize| hz_from_mel(mel_from_hz(8000.0) * i as f64 / (BANDS + 1) as f64) / 8000.0 * 256.0;
    let weight = |b: usize, bin: f64| {
        let (l, c, r) = (edge(b), edge(b + 1), edge(b + 2));
        ((bin - l) / (c - l)).min((r - bin) / (r - c)).max(0.0)
    };
    let bank: Vec<Vec<f64>> = (0..BANDS).map(|b| (0..=WINDOW / 2).map(|k| weight(b, k as f64)).collect()).collect();
    let wave =
        |k: usize, b: usize| (PI * k as f64 * (b as f64 + 0.5) / BANDS as f64).cos() * (2.0 / BANDS as f64).sqrt();
    let waves: Vec<[f64; BANDS]> = (0..CEPSTRA).map(|k| std::array::from_fn(|b| wave(k, b))).collect();
    let window: Vec<f64> = (0..WINDOW).map(|i| 0.5 - 0.5 * (TAU * i as f64 / WINDOW as f64).cos()).collect();
    let mut fft = RealFft::new(WINDOW);
    let one = |start: usize| -> [f64; CEPSTRA] {
        let frame: Vec<f64> = (0..WINDOW).map(|i| scale * f64::from(x[start + i]) * window[i]).collect();
        let power: Vec<f64> = fft.forward(&frame).iter().map(|s| s.norm_sqr()).collect();
        let log: Vec<f64> =
            bank.iter().map(|w| (w.iter().zip(&power).map(|(w, p)| w * p).sum::<f64>() + 1e-8).ln()).collect();
        std::array::from_fn(|k| waves[k].iter().zip(&log).map(|(w, l)| w * l).sum())
    };
    starts.into_iter().map(one).collect()
}

/// Pitch: mean, spread, mean step. Rhythm: voiced share, mean and spread of the length of runs. And the seconds with a pitch.
fn pitch_and_rhythm(x: &[f32]) -> ([f64; 6], f64) {
    let (mut stream, mut all) = (FeatureStream::new(), Vec::new());
    stream.push(x, &mut |f| all.push(f.f0_hz));
    stream.finish(&mut |f| all.push(f.f0_hz));
    // A frame of digital silence is none.
    let sounds = |i: usize| x[(i * HOP).min(x.len())..((i + 1) * HOP).min(x.len())].iter().any(|v| v.abs() > SILENCE);
    let f0: Vec<f64> = all.into_iter().enumerate().filter(|(i, _)| sounds(*i)).map(|(_, f)| f).collect();
    let log: Vec<f64> = f0.iter().filter(|f| **f > 0.0).map(|f| f.ln()).collect();
    let voiced_secs = (log.len() * HOP) as f64 / f64::from(RATE_HZ);
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
    ([mean(&log), spread(&log), mean(&steps), voiced, mean(&runs), spread(&runs)], voiced_secs)
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

    #[test]
    fn digital_silence_does_not_count() {
        let x: Vec<f32> = (0..64_000)
            .map(|i| {
                let t = i as f32 / 16_000.0;
                let loud = if (t * 6.0).sin() > -0.3 { 0.3 } else { 0.003 };
                loud * (((i % 133) as f32 / 133.0 - 0.5) + ((i * i % 977) as f32 / 977.0 - 0.5) * 0.2)
            })
            .collect();
        let a = averages(&x).unwrap();
        // Two seconds of nothing (as a change of rate leaves it) in the middle.
        let nothing = (0..32_000).map(|i| if i % 2 == 0 { 1e-7 } else { 0.0 });
        let parted: Vec<f32> = x[..32_000].iter().copied().chain(nothing).chain(x[32_000..].iter().copied()).collect();
        let b = averages(&parted).unwrap();
        assert!(
            (a.sounding_secs - b.sounding_secs).abs() < 0.1 && (a.voiced_secs - b.voiced_secs).abs() < 0.15,
            "{a:?} {b:?}"
        );
        assert!(a.voiced_secs > 1.5, "{a:?}");
        for (i, (x, y)) in a.numbers.iter().zip(&b.numbers).enumerate().take(59) {
            assert!((x - y).abs() < 0.1 * x.abs() + 0.15, "{i}: {x} {y}");
        }
    }
}
