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

    /// Feeds samples; appends the decisions that are final, oldest first: frame `i` lies at sample [`HOP`] · `i`.
    pub fn push(&mut self, samples: impl Iterator<Item = f64>, out: &mut VecDeque<f64>) {
        for x in samples {
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
