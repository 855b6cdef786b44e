//! Pitch where the fundamental is missing or drowned: autocorrelation candidates joined by a best path.
//!
//! P. Boersma, *Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a
//! sampled sound*, IFA Proceedings 17, 1993, §3–4. Costs are that paper's, scaled to 5 ms steps.

use super::fft::RealFft;
use super::{HOP, RATE_HZ};
use std::collections::VecDeque;
use std::f64::consts::TAU;

/// Samples that one pitch estimate looks at (three periods of 60 Hz), centred on the frame.
pub const SPAN: usize = 800;
/// Frames of delay between a push and its decision: 0.3 s, several syllable nuclei.
pub const DELAY: usize = 60;

const LAG_MIN: usize = 38; // 421 Hz
const LAG_MAX: usize = 266; // 60 Hz
const FFT: usize = 2048;
const CANDIDATES: usize = 7;
const VOICING_THRESHOLD: f64 = 0.45;
const SILENCE_THRESHOLD: f64 = 0.03;
const OCTAVE_COST: f64 = 0.01;
/// Costs per 10 ms in the paper; steps here are 5 ms.
const STEP_SCALE: f64 = 0.01 * RATE_HZ as f64 / HOP as f64;
const OCTAVE_JUMP_COST: f64 = 0.35 * STEP_SCALE;
const VOICED_UNVOICED_COST: f64 = 0.14 * STEP_SCALE;
/// Fall of the remembered peak per frame: half in 7 s, so that a shout does not silence what follows.
const PEAK_FALL: f64 = 0.9995;
/// Peaks under this are digital silence.
const PEAK_FLOOR: f64 = 1e-6;

#[derive(Clone, Copy)]
struct Candidate {
    f0_hz: f64,
    score: f64,
    back: usize,
}

/// Streaming pitch tracker, one decision per 5 ms frame, 60–420 Hz, 0 where unvoiced.
pub struct AutocorrelationTracker {
    fft: RealFft,
    window: Vec<f64>,
    window_ac: Vec<f64>,
    frame: Vec<f64>,
    path: VecDeque<Vec<Candidate>>,
    peak: f64,
}

impl Default for AutocorrelationTracker {
    fn default() -> Self {
        Self::new()
    }
}

impl AutocorrelationTracker {
    /// A tracker at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        let mut fft = RealFft::new(FFT);
        let window: Vec<f64> = (0..SPAN).map(|i| 0.5 - 0.5 * (TAU * (i as f64 + 0.5) / SPAN as f64).cos()).collect();
        let window_ac = autocorrelation(&mut fft, &window);
        AutocorrelationTracker { fft, window, window_ac, frame: vec![0.0; SPAN], path: VecDeque::new(), peak: 0.0 }
    }

    /// Feeds the [`SPAN`] samples around the next frame; gives the pitch of the frame [`DELAY`] earlier.
    pub fn push(&mut self, span: &[f64]) -> Option<f64> {
        let mut candidates = self.candidates(span);
        if let Some(last) = self.path.back() {
            for c in &mut candidates {
                let reach = |p: &Candidate| p.score - transition(p.f0_hz, c.f0_hz);
                let (back, best) = last
                    .iter()
                    .map(reach)
                    .enumerate()
                    .fold((0, f64::NEG_INFINITY), |a, (i, v)| if v > a.1 { (i, v) } else { a });
                c.back = back;
                c.score += best;
            }
            let top = candidates.iter().map(|c| c.score).fold(f64::NEG_INFINITY, f64::max);
            candidates.iter_mut().for_each(|c| c.score -= top);
        }
        self.path.push_back(candidates);
        (self.path.len() > DELAY).then(|| self.take_oldest())
    }

    /// Drains the decisions still held back, oldest first.
    pub fn finish(&mut self) -> Vec<f64> {
        let mut out = Vec::with_capacity(self.path.len());
        while !self.path.is_empty() {
            out.push(self.take_oldest());
        }
        out
    }

    /// Follows the best path back from the newest frame and removes the oldest one.
    fn take_oldest(&mut self) -> f64 {
        let best = |c: &Vec<Candidate>| {
            c.iter()
                .enumerate()
                .fold((0, f64::NEG_INFINITY), |a, (i, c)| if c.score > a.1 { (i, c.score) } else { a })
                .0
        };
        let mut at = self.path.back().map_or(0, best);
        for step in self.path.iter().skip(1).rev() {
            at = step.get(at).map_or(0, |c| c.back);
        }
        self.path.pop_front().and_then(|c| c.get(at).map(|c| c.f0_hz)).unwrap_or(0.0)
    }

    fn candidates(&mut self, span: &[f64]) -> Vec<Candidate> {
        let mean = span.iter().sum::<f64>() / SPAN as f64;
        let mut local: f64 = 0.0;
        for ((f, x), w) in self.frame.iter_mut().zip(span).zip(&self.window) {
            local = local.max((x - mean).abs());
            *f = (x - mean) * w;
        }
        self.peak = (self.peak * PEAK_FALL).max(local);
        let loud = local / self.peak.max(PEAK_FLOOR);
        let unvoiced = VOICING_THRESHOLD + (2.0 - loud * (1.0 + VOICING_THRESHOLD) / SILENCE_THRESHOLD).max(0.0);
        let mut out = vec![Candidate { f0_hz: 0.0, score: unvoiced, back: 0 }];
        if !local.is_finite() || local < PEAK_FLOOR {
            return out;
        }
        let ac = autocorrelation(&mut self.fft, &self.frame);
        let r = |lag: usize| ac[lag] / ac[0] / (self.window_ac[lag] / self.window_ac[0]);
        for lag in LAG_MIN..=LAG_MAX {
            let (before, here, after) = (r(lag - 1), r(lag), r(lag + 1));
            if here > 0.5 * VOICING_THRESHOLD && here > before && here >= after {
                let bend = before - 2.0 * here + after;
                let shift = if bend.abs() > 1e-12 { 0.5 * (before - after) / bend } else { 0.0 };
                let lag = lag as f64 + shift.clamp(-0.5, 0.5);
                let height = (here - 0.25 * (before - after) * shift).min(1.0);
                let score = height - OCTAVE_COST * (lag / LAG_MIN as f64).log2();
                out.push(Candidate { f0_hz: f64::from(RATE_HZ) / lag, score, back: 0 });
            }
        }
        out[1..].sort_by(|a, b| b.score.total_cmp(&a.score));
        out.truncate(CANDIDATES);
        out
    }
}

fn transition(from_hz: f64, to_hz: f64) -> f64 {
    match (from_hz > 0.0, to_hz > 0.0) {
        (false, false) => 0.0,
        (true, true) => OCTAVE_JUMP_COST * (from_hz / to_hz).log2().abs(),
        _ => VOICED_UNVOICED_COST,
    }
}

/// Autocorrelation at lags 0..=LAG_MAX + 1.
fn autocorrelation(fft: &mut RealFft, x: &[f64]) -> Vec<f64> {
    for s in fft.forward(x) {
        *s = (s.norm_sqr()).into();
    }
    fft.inverse(|_| ())[..LAG_MAX + 2].to_vec()
}

#[cfg(test)]
mod tests {
    use super::super::trials::{noise, pulse_train, share_near};
    use super::*;

    fn track(x: &[f64]) -> Vec<f64> {
        let (mut tracker, mut out) = (AutocorrelationTracker::new(), Vec::new());
        for start in (0..x.len().saturating_sub(SPAN)).step_by(HOP) {
            out.extend(tracker.push(&x[start..start + SPAN]));
        }
        out.extend(tracker.finish());
        out
    }

    #[test]
    fn pulse_trains_are_measured_within_half_a_percent() {
        for f0 in [70.0, 110.0, 200.0, 390.0] {
            let share = share_near(&track(&pulse_train(f0)), f0, 0.005);
            assert!(share > 0.9, "{f0}: {share}");
        }
    }

    #[test]
    fn noise_and_silence_are_unvoiced() {
        let voiced = track(&noise()).iter().filter(|f| **f > 0.0).count();
        assert!(voiced < 15, "{voiced}");
        assert!(track(&vec![0.0; 8000]).iter().all(|f| *f == 0.0));
    }
}
