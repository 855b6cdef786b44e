//! Pitch: the period of the fundamental where that can be seen, the autocorrelation where it cannot.
//!
//! The fundamental alone (`fundamental`) tells voiced from unvoiced sharply, but hum, rumble or a telephone's band hide it.
//! The autocorrelation (`autocorrelation`) is blurred and confuses octaves more often, but hears all harmonics.

use super::HOP;
use super::autocorrelation::{AutocorrelationTracker, SPAN};
use super::fundamental::FundamentalTracker;
use super::smooth::{Lookaround, View};
use std::collections::VecDeque;

/// Frames on each side over which the two are compared: 0.2 s.
const REACH: usize = 40;
/// Fewer voiced frames than this say nothing.
const ENOUGH: usize = 10;
/// The fundamental has to be seen in this share of the frames that the autocorrelation calls voiced.
const SEEN: f64 = 0.5;
/// Natural log of the ratio up to which two pitches are one.
const SAME: f64 = 0.2;
/// Samples that are kept before what is done with is forgotten.
const MOST_KEPT: usize = 8192;

/// Pitches of one frame in Hz, 0 where unvoiced.
struct Pair {
    fundamental: f64,
    correlated: f64,
}

/// Streaming pitch tracker, one decision per 5 ms frame, 60–420 Hz, 0 where unvoiced.
pub struct PitchTracker {
    fundamental: FundamentalTracker,
    autocorrelation: AutocorrelationTracker,
    sound: Vec<f64>,
    /// Where in `sound` the next frame's span begins.
    at: usize,
    waiting: [VecDeque<f64>; 2],
    pairs: Lookaround<Pair>,
}

impl Default for PitchTracker {
    fn default() -> Self {
        Self::new()
    }
}

impl PitchTracker {
    /// A tracker at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        PitchTracker {
            fundamental: FundamentalTracker::new(),
            autocorrelation: AutocorrelationTracker::new(),
            sound: vec![0.0; SPAN / 2],
            at: 0,
            waiting: [VecDeque::new(), VecDeque::new()],
            pairs: Lookaround::new(REACH),
        }
    }

    /// Feeds samples; appends the decisions that are final, oldest first: frame `i` lies at sample [`HOP`] · `i`. A sample
    /// that is not finite counts as silence.
    pub fn push(&mut self, samples: impl Iterator<Item = f64>, out: &mut VecDeque<f64>) {
        for x in samples.map(|x| if x.is_finite() { x } else { 0.0 }) {
            self.fundamental.push(x, &mut self.waiting[0]);
            self.sound.push(x);
            if let Some(span) = self.sound.get(self.at..self.at + SPAN) {
                self.waiting[1].extend(self.autocorrelation.push(span));
                self.at += HOP;
            }
            if self.at > MOST_KEPT {
                self.sound.drain(..self.at);
                self.at = 0;
            }
        }
        self.compare(out);
    }

    /// Appends the decisions still held back for the frames fed so far.
    pub fn finish(&mut self, out: &mut VecDeque<f64>) {
        self.fundamental.finish(&mut self.waiting[0]);
        self.waiting[1].extend(self.autocorrelation.finish());
        self.compare(out);
        self.pairs.finish(|v| out.push_back(decide(&v)));
    }

    fn compare(&mut self, out: &mut VecDeque<f64>) {
        let [a, b] = &mut self.waiting;
        let ready = a.len().min(b.len());
        for (fundamental, correlated) in a.drain(..ready).zip(b.drain(..ready)) {
            self.pairs.push(Pair { fundamental, correlated }, |v| out.push_back(decide(&v)));
        }
    }
}

fn decide(view: &View<'_, Pair>) -> f64 {
    let (mut voiced, mut seen) = (0, 0);
    for p in view.around(REACH).filter(|p| p.correlated > 0.0) {
        voiced += 1;
        seen += usize::from(p.fundamental > 0.0 && one(p.fundamental, p.correlated));
    }
    let hidden = voiced >= ENOUGH && (seen as f64) < SEEN * voiced as f64;
    if hidden { view.centre().correlated } else { view.centre().fundamental }
}

/// Whether the fundamental is that of the correlated pitch or of its lower octave. One that is higher is no fundamental: that
/// is missing, and this is a harmonic.
fn one(fundamental: f64, correlated: f64) -> bool {
    let ratio = (fundamental / correlated).ln();
    ratio.abs() < SAME || (ratio + std::f64::consts::LN_2).abs() < SAME
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(x: &[f64]) -> Vec<f64> {
        let (mut tracker, mut out) = (PitchTracker::new(), VecDeque::new());
        tracker.push(x.iter().copied().chain(std::iter::repeat_n(0.0, 3200)), &mut out);
        tracker.finish(&mut out);
        out.into_iter().take(x.len() / HOP + 1).collect()
    }

    /// One second of the harmonics `from` to 12 of 150 Hz, and something else.
    fn voice(from: u32, other: impl Fn(f64) -> f64) -> Vec<f64> {
        let harmonic = |t: f64, k: u32| (std::f64::consts::TAU * 150.0 * f64::from(k) * t + f64::from(k * k)).cos();
        let at = |t: f64| (from..=12).map(|k| harmonic(t, k)).sum::<f64>() + other(t);
        (0..16_000).map(|i| 0.02 * at(f64::from(i) / 16_000.0)).collect()
    }

    fn right(f: &[f64]) -> f64 {
        f.iter().filter(|f| (*f / 150.0 - 1.0).abs() < 0.02).count() as f64 / f.len() as f64
    }

    #[test]
    fn a_voice_is_found_alone_under_hum_and_without_its_fundamental() {
        let hum = |t: f64| 1.5 * (std::f64::consts::TAU * 50.0 * t).sin();
        for (name, sound) in [("alone", voice(1, |_| 0.0)), ("hum", voice(1, hum)), ("telephone", voice(3, |_| 0.0))] {
            let share = right(&track(&sound));
            assert!(share > 0.85, "{name}: {share}");
        }
        // The reason for two trackers: hum hides the fundamental.
        let (mut tracker, mut out) = (FundamentalTracker::new(), VecDeque::new());
        voice(1, hum).into_iter().for_each(|x| tracker.push(x, &mut out));
        tracker.finish(&mut out);
        assert!(right(out.make_contiguous()) < 0.5);
    }

    #[test]
    fn what_is_not_finite_is_silence_and_soon_forgotten() {
        let mut sound = voice(1, |_| 0.0);
        sound[2000] = f64::NAN;
        sound[3000] = f64::INFINITY;
        let share = right(&track(&sound));
        assert!(share > 0.75, "{share}");
        assert!(track(&[f64::NAN; 4000]).iter().all(|f| *f == 0.0));
        assert!(track(&[]).len() == 1);
    }
}
