//! Pitch from the fundamental: from the candidates of every frame to one contour, 0 where unvoiced.
//!
//! What is steady for some periods is voiced, and goes on on both sides as long as a candidate goes on with it: Morise,
//! Kawahara, Katayose 2009 and Morise, Kawahara, Nishiura 2010, in full at [`super::period`], the parts on choosing and
//! correcting.

use super::period::{Candidate, Candidates, PeriodSearch};
use std::collections::VecDeque;

/// Frames that a decision waits for what comes later, at most: how far a voiced stretch can reach back, 0.3 s.
const DELAY: usize = 60;
/// Largest relative change from frame to frame.
const JUMP: f64 = 0.1;
/// Frames on each side that have to be steady too: two periods of 60 Hz.
const STEADY_REACH: usize = 3;
/// Mean spread of the measures over these frames, at most: of noise, a filter leaves something like a sine too, but never
/// for so long (of white and pink noise 2 % would be voiced at 0.04, 0.9 and 0.4 % are at 0.03).
const SPREAD: f64 = 0.03;

struct Frame {
    candidates: Candidates,
    best: Candidate,
    /// Pitch as decided so far, 0 where unvoiced.
    f0_hz: f64,
}

/// Streaming pitch tracker, one decision per 5 ms frame, 60–420 Hz, 0 where unvoiced.
pub struct FundamentalTracker {
    search: PeriodSearch,
    frames: VecDeque<Frame>,
    /// Neighbouring frames, up to the newest, without a jump.
    steady: usize,
}

impl Default for FundamentalTracker {
    fn default() -> Self {
        Self::new()
    }
}

impl FundamentalTracker {
    /// A tracker at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        FundamentalTracker { search: PeriodSearch::new(), frames: VecDeque::new(), steady: 0 }
    }

    /// Feeds a sample; appends the decisions that are final, oldest first: frame `i` lies at sample 80 · `i`.
    pub fn push(&mut self, x: f64, out: &mut VecDeque<f64>) {
        let Some(candidates) = self.search.push(x) else { return };
        self.add(candidates);
        if self.frames.len() > DELAY {
            out.extend(self.frames.pop_front().map(|f| f.f0_hz));
        }
    }

    /// Appends the decisions still held back for the frames fed so far.
    pub fn finish(&mut self, out: &mut VecDeque<f64>) {
        out.extend(self.frames.drain(..).map(|f| f.f0_hz));
    }

    fn add(&mut self, candidates: Candidates) {
        let valid = candidates.iter().filter(|c| c.f0_hz > 0.0);
        let best = valid.min_by(|a, b| a.spread.total_cmp(&b.spread)).copied().unwrap_or_default();
        let last_hz = self.frames.back().map_or(0.0, |f| f.best.f0_hz);
        let steady = best.f0_hz > 0.0 && (best.f0_hz - last_hz).abs() < JUMP * best.f0_hz;
        self.steady = if steady { self.steady + 1 } else { 0 };
        self.frames.push_back(Frame { candidates, best, f0_hz: 0.0 });
        if let Some(at) = self.frames.len().checked_sub(1 + STEADY_REACH) {
            self.decide(at);
        }
    }

    /// Whether the newest frames are voiced, as far back as is asked for.
    fn certain(&self) -> bool {
        let count = 2 * STEADY_REACH + 1;
        let spread: f64 = self.frames.iter().rev().take(count).map(|f| f.best.spread).sum();
        self.steady >= count && spread < SPREAD * count as f64
    }

    /// Decides on a frame [`STEADY_REACH`] before the newest, and where that begins something, on what leads to it.
    fn decide(&mut self, at: usize) {
        if !self.certain() {
            self.frames[at].f0_hz = self.follow(at, -1);
            return;
        }
        self.frames[at].f0_hz = self.frames[at].best.f0_hz;
        let mut start = at;
        while start > 0 && self.frames[start - 1].f0_hz == 0.0 {
            start -= 1;
            let f0_hz = self.follow(start, 1);
            if f0_hz == 0.0 {
                break;
            }
            self.frames[start].f0_hz = f0_hz;
        }
    }

    /// The candidate of a frame that goes on with its neighbour (−1: the one before, 1: the one after); 0 if none does.
    fn follow(&self, at: usize, towards: isize) -> f64 {
        let near = |steps: isize| {
            at.checked_add_signed(steps * towards).and_then(|i| self.frames.get(i)).map_or(0.0, |f| f.f0_hz)
        };
        let (last, earlier) = (near(1), near(2));
        if last == 0.0 {
            return 0.0;
        }
        let wanted = if earlier > 0.0 { last + 0.5 * (last - earlier) } else { last };
        let far = |c: &Candidate| (c.f0_hz - wanted).abs();
        let found = self.frames[at].candidates.iter().min_by(|a, b| far(a).total_cmp(&far(b)));
        found.filter(|c| far(c) < JUMP * wanted).map_or(0.0, |c| c.f0_hz)
    }
}

#[cfg(test)]
mod tests {
    use super::super::trials::{noise, pulse_train, share_near};
    use super::*;
    use crate::voice::HOP;

    fn track(x: &[f64]) -> Vec<f64> {
        let (mut tracker, mut out) = (FundamentalTracker::new(), VecDeque::new());
        x.iter().copied().chain(std::iter::repeat_n(0.0, 1600)).for_each(|x| tracker.push(x, &mut out));
        tracker.finish(&mut out);
        assert!(out.len() > x.len() / HOP);
        out.into_iter().take(x.len() / HOP + 1).collect()
    }

    #[test]
    fn pulse_trains_are_measured_within_a_percent() {
        for f0 in [70.0, 110.0, 200.0, 390.0] {
            let share = share_near(&track(&pulse_train(f0)), f0, 0.01);
            assert!(share > 0.9, "{f0}: {share}");
        }
    }

    #[test]
    fn noise_and_silence_are_unvoiced() {
        let voiced = track(&noise()).iter().filter(|f| **f > 0.0).count();
        assert!(voiced < 5, "{voiced}");
        assert!(track(&vec![0.0; 8000]).iter().all(|f| *f == 0.0));
        assert!(track(&vec![f64::NAN; 8000]).iter().all(|f| *f == 0.0));
    }
}
