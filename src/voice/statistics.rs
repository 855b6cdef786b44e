//! Pass 1: what makes the voice its owner's, gathered so that it can be removed. A voiceprint: RAM only, wiped.

use super::cepstrum::{ORDER, POINTS, WIDE_ORDER, warp_matrix};
use super::features::Feature;
use super::finding::VoiceFinding;
use super::tables::{CLASSES, Gaussian, Tables};
use super::transport::{Affine, Moments};
use super::vtln::tract_factor;
use super::{HOP, RATE_HZ};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Level histogram: from −30 nat in steps of 0.25.
const LEVEL_BINS: usize = 168;
const LEVEL_LOW: f64 = -30.0;
const LEVEL_STEP: f64 = 0.25;
/// Quieter than this (−100 dB) is digital silence and says nothing of the recording.
const LEVEL_SILENCE: f64 = -23.0;
/// Pitch histogram: 60 to 420 Hz in steps of 1 %.
const PITCH_BINS: usize = 200;
const PITCH_STEP: f64 = 0.01;
/// Frames kept one by one (evenly thinned): 20 s of sound at full rate.
const KEPT: usize = 8000;
/// Frames that only pass 2 needs, to set the loudness.
const KEPT_FOR_LOUDNESS: usize = 1500;
/// Class offsets are believed after this many frames.
const CLASS_PRIOR: f64 = 10.0;
/// Speech needed for trustworthy statistics.
const ENOUGH_SECS: f64 = 20.0;

/// Gathers statistics over a stream of features, in memory independent of its length.
pub struct StatisticsBuilder {
    /// Per level: voiced and unvoiced frames.
    levels: Vec<[Moments; 2]>,
    pitch: Vec<f64>,
    kept: Vec<Kept>,
    /// Keeps every `stride`-th frame.
    stride: u64,
    frames: u64,
    failed: u64,
}

#[derive(Clone, Copy, Zeroize)]
struct Kept {
    voiced: bool,
    cepstrum: [f64; WIDE_ORDER],
}

/// Everything pass 2 needs to erase a voice. Wiped when dropped; holds nothing printable or serialisable.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SpeechStatistics {
    /// Level (natural log power) of full speech, and the level above which a frame counts as speech.
    pub(in crate::voice) reference: f64,
    pub(in crate::voice) threshold: f64,
    /// Factor by which the voice's frequencies are multiplied to reach the canonical axis.
    pub(in crate::voice) tract_factor: f64,
    pub(in crate::voice) log_f0_median: f64,
    pub(in crate::voice) log_f0_sd: f64,
    /// Voiced and unvoiced: raw cepstrum (level-referenced) to population statistics.
    pub(in crate::voice) to_population: [Affine; 2],
    /// Offsets of the speaker's classes of sounds, row-major.
    pub(in crate::voice) class_shift: Vec<f64>,
    /// Thinned frames of speech with population statistics.
    pub(in crate::voice) sample: Vec<[f64; ORDER]>,
    speech_secs: f64,
    music_like: bool,
    failed: u64,
}

impl Default for StatisticsBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl StatisticsBuilder {
    /// Nothing gathered yet.
    #[must_use]
    pub fn new() -> Self {
        StatisticsBuilder {
            levels: (0..LEVEL_BINS).map(|_| [Moments::default(), Moments::default()]).collect(),
            pitch: vec![0.0; PITCH_BINS],
            kept: Vec::new(),
            stride: 1,
            frames: 0,
            failed: 0,
        }
    }

    /// Adds one frame.
    pub fn add(&mut self, feature: &Feature) {
        self.frames += 1;
        if !feature.is_finite() {
            self.failed += 1;
            return;
        }
        let voiced = feature.f0_hz > 0.0;
        let level = feature.level();
        if level < LEVEL_SILENCE {
            return;
        }
        self.levels[bin(level)][usize::from(!voiced)].add(&feature.cepstrum[..ORDER]);
        if voiced {
            let i = ((feature.f0_hz / 60.0).ln() / PITCH_STEP).max(0.0) as usize;
            self.pitch[i.min(PITCH_BINS - 1)] += 1.0;
        }
        if self.frames.is_multiple_of(self.stride) {
            self.kept.push(Kept { voiced, cepstrum: feature.cepstrum });
            if self.kept.len() >= 2 * KEPT {
                let mut odd = false;
                self.kept.retain(|_| {
                    odd = !odd;
                    odd
                });
                self.stride *= 2;
            }
        }
    }

    /// Turns what was gathered into the maps of pass 2.
    ///
    /// Steps and priors: `docs/voice.md`.
    #[must_use]
    pub fn finish(mut self, tables: &Tables) -> SpeechStatistics {
        let (reference, threshold) = self.speech_levels();
        for kept in &mut self.kept {
            kept.cepstrum[0] -= reference * (POINTS as f64).sqrt();
        }
        let is_speech = |k: &&Kept| k.cepstrum[0] / (POINTS as f64).sqrt() + reference > threshold;
        let speech: Vec<&Kept> = self.kept.iter().filter(is_speech).collect();
        let voiced: Vec<_> = speech.iter().filter(|k| k.voiced).map(|k| &k.cepstrum).collect();
        let factor = tract_factor(&voiced, &tables.tract);
        let warp = warp_matrix(factor, ORDER, ORDER);
        let [mut voiced_sum, mut unvoiced_sum] = self.speech_moments(threshold);
        for m in [&mut voiced_sum, &mut unvoiced_sum] {
            m.shift_first(-reference * (POINTS as f64).sqrt());
        }
        let (voiced_frames, unvoiced_frames) = (voiced_sum.count(), unvoiced_sum.count());
        let map = |m: &Moments, p: &Gaussian| Affine::transport(m, &warp, p);
        let to_population = [map(&voiced_sum, &tables.population[0]), map(&unvoiced_sum, &tables.population[1])];
        let moved: Vec<[f64; ORDER]> =
            speech.iter().map(|k| to_population[usize::from(!k.voiced)].apply(&k.cepstrum)).collect();
        let scale = (voiced_frames + unvoiced_frames) / moved.len().max(1) as f64;
        let class_shift = class_shift(&moved, scale, tables);
        let step = moved.len().div_ceil(KEPT_FOR_LOUDNESS).max(1);
        let (log_f0_median, log_f0_sd) = self.pitch_spread();
        let heard: f64 = self.levels.iter().flatten().map(Moments::count).sum();
        let secs = |frames: f64| frames * HOP as f64 / f64::from(RATE_HZ);
        SpeechStatistics {
            reference,
            threshold,
            tract_factor: factor,
            log_f0_median,
            log_f0_sd,
            to_population,
            class_shift,
            sample: moved.into_iter().step_by(step).collect(),
            // Noise without voice is no speech, however steady it is.
            speech_secs: secs((voiced_frames + unvoiced_frames).min(4.0 * voiced_frames)),
            music_like: secs(heard) > 10.0 && voiced_frames > 0.85 * heard,
            failed: self.failed,
        }
    }

    /// Level of full speech, and the threshold above which a frame is speech.
    fn speech_levels(&self) -> (f64, f64) {
        let heard: Vec<f64> = self.levels.iter().map(|b| b[0].count() + b[1].count()).collect();
        let voiced: Vec<f64> = self.levels.iter().map(|b| b[0].count()).collect();
        if heard.iter().sum::<f64>() < 1.0 {
            return (0.0, f64::INFINITY);
        }
        let loud = if voiced.iter().sum::<f64>() >= 50.0 { &voiced } else { &heard };
        let top = LEVEL_LOW + LEVEL_STEP * quantile(loud, 0.9);
        let low = LEVEL_LOW + LEVEL_STEP * quantile(&heard, 0.02);
        (top, top - (0.45 * (top - low)).clamp(1.5, 5.5))
    }

    fn speech_moments(&self, threshold: f64) -> [Moments; 2] {
        let mut sums = [Moments::default(), Moments::default()];
        for (i, pair) in self.levels.iter().enumerate() {
            if LEVEL_LOW + LEVEL_STEP * (i as f64 + 0.5) > threshold {
                sums.iter_mut().zip(pair).for_each(|(s, m)| s.merge(m));
            }
        }
        sums
    }

    /// Median and spread (robust: 10th to 90th percentile) of the natural log of the pitch.
    fn pitch_spread(&self) -> (f64, f64) {
        if self.pitch.iter().sum::<f64>() < 5.0 {
            return (150.0_f64.ln(), 0.15);
        }
        let at = |q: f64| 60.0_f64.ln() + PITCH_STEP * quantile(&self.pitch, q);
        (at(0.5), ((at(0.9) - at(0.1)) / 2.563).max(0.05))
    }
}

impl Drop for StatisticsBuilder {
    fn drop(&mut self) {
        self.kept.zeroize();
        self.pitch.zeroize();
        self.levels.iter_mut().flatten().for_each(Zeroize::zeroize);
    }
}

impl SpeechStatistics {
    /// Seconds of speech that the statistics rest on.
    #[must_use]
    pub fn speech_secs(&self) -> f64 {
        self.speech_secs
    }

    /// What the report should say about them.
    #[must_use]
    pub fn findings(&self) -> Vec<VoiceFinding> {
        let mut out = Vec::new();
        if self.speech_secs < 0.1 {
            out.push(VoiceFinding::NoSpeech);
        } else if self.speech_secs < ENOUGH_SECS {
            out.push(VoiceFinding::LittleSpeech { secs: self.speech_secs.round() as u32 });
        }
        if self.music_like {
            out.push(VoiceFinding::MusicLike);
        }
        if self.failed > 0 {
            out.push(VoiceFinding::Failed { frames: self.failed });
        }
        out
    }
}

fn bin(level: f64) -> usize {
    (((level - LEVEL_LOW) / LEVEL_STEP).max(0.0) as usize).min(LEVEL_BINS - 1)
}

/// Position in bins, interpolated inside the bin, below which the share `q` of a histogram lies.
fn quantile(histogram: &[f64], q: f64) -> f64 {
    let mut left = q * histogram.iter().sum::<f64>();
    for (i, n) in histogram.iter().enumerate() {
        if *n > 0.0 && left <= *n {
            return i as f64 + left / n;
        }
        left -= n;
    }
    histogram.len() as f64
}

/// How far each class of sounds of this speaker lies from the population's, shrunk by its number of frames.
fn class_shift(frames: &[[f64; ORDER]], scale: f64, tables: &Tables) -> Vec<f64> {
    let (mut count, mut sum) = ([0.0; CLASSES], vec![0.0; CLASSES * ORDER]);
    let mut p = [0.0; CLASSES];
    for x in frames {
        tables.posteriors(x, &mut p);
        for ((n, s), p) in count.iter_mut().zip(sum.chunks_exact_mut(ORDER)).zip(&p) {
            *n += p;
            s.iter_mut().zip(x).for_each(|(s, x)| *s += p * x);
        }
    }
    for (k, s) in sum.chunks_exact_mut(ORDER).enumerate() {
        let (n, believed) = (count[k].max(1e-6), count[k] * scale);
        let trust = believed / (believed + CLASS_PRIOR);
        s.iter_mut().zip(tables.classes.mean(k)).for_each(|(s, m)| *s = trust * (*s / n - m));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        assert!((quantile(&[0.0, 2.0, 2.0, 0.0], 0.5) - 2.0).abs() < 1e-12);
        assert!((quantile(&[0.0, 4.0], 0.25) - 1.25).abs() < 1e-12);
    }

    #[test]
    fn nothing_heard_means_nothing_is_speech() {
        let s = StatisticsBuilder::new().finish(&Tables::embedded().unwrap());
        assert_eq!(s.threshold, f64::INFINITY);
        assert_eq!(s.findings(), vec![VoiceFinding::NoSpeech]);
    }

    #[test]
    fn memory_does_not_grow_with_length() {
        let mut b = StatisticsBuilder::new();
        let mut f = Feature { f0_hz: 100.0, cepstrum: [0.0; WIDE_ORDER] };
        for i in 0..100_000 {
            f.cepstrum[0] = -40.0 + (i % 300) as f64 * 0.1;
            b.add(&f);
        }
        assert!(b.kept.len() < 2 * KEPT);
    }
}
