//! Candidates for the pitch: the length of the periods of what a row of low-pass filters leaves.
//!
//! M. Morise, H. Kawahara, H. Katayose, *Fast and reliable F0 estimation method based on the period extraction of vocal
//! fold vibration of singing voice and speech*, AES 35th International Conference, 2009, §2–3; M. Morise, H. Kawahara,
//! T. Nishiura, *Rapid F0 estimation for high-SNR speech based on fundamental component extraction*, IEICE Trans.
//! J93-D(2), 2010. If a filter passes the fundamental alone, its output is a sine, and the distances of its rising and
//! falling zero crossings, of its peaks and of its dips are one number; how far the four differ tells how far it is none.

use super::RATE_HZ;
use std::collections::VecDeque;
use std::f64::consts::TAU;

/// Lowest and highest pitch that is looked for.
pub const FLOOR_HZ: f64 = 60.0;
/// See [`FLOOR_HZ`].
pub const CEILING_HZ: f64 = 420.0;
/// Filters: two per octave.
pub const BANDS: usize = 6;

/// The search runs on every fourth sample.
const THIN: usize = 4;
const RATE: f64 = RATE_HZ as f64 / THIN as f64;
/// Half the length of the filter before thinning, in samples: nothing above 3 kHz is left, nothing below 1 kHz is lost.
const THIN_HALF: usize = 24;
/// What lies lower than this is no voice.
const LOW_CUT_HZ: f64 = 50.0;
/// Periods that begin up to this much later, in thinned samples, are known: 40 ms.
const AHEAD: u64 = 160;
/// Frames are 5 ms apart.
const FRAME: u64 = 20;

/// Samples that a filter holds before it forgets what it is done with.
const MOST_KEPT: usize = 4096;

/// A guess of one filter for one frame.
#[derive(Clone, Copy, Default)]
pub struct Candidate {
    /// Pitch; 0 where the filter has none.
    pub f0_hz: f64,
    /// Spread of the four measures, relative: 0 is a sine.
    pub spread: f64,
}

/// The candidates of a frame, by rising frequency of the filter.
pub type Candidates = [Candidate; BANDS];

/// Linear-phase filter over a stream, giving every `step`-th sample.
struct Filter {
    taps: Vec<f64>,
    step: usize,
    past: Vec<f64>,
    /// Where in `past` the next output begins.
    at: usize,
}

impl Filter {
    /// The stream begins with its first sample in the middle of the filter.
    fn new(taps: Vec<f64>, step: usize) -> Self {
        let past = vec![0.0; taps.len() / 2];
        Filter { taps, step, past, at: 0 }
    }

    fn push(&mut self, x: f64) -> Option<f64> {
        self.past.push(x);
        let window = self.past.get(self.at..self.at + self.taps.len())?;
        let sum = window.iter().zip(&self.taps).map(|(x, t)| x * t).sum();
        self.at += self.step;
        if self.at > MOST_KEPT {
            self.past.drain(..self.at);
            self.at = 0;
        }
        Some(sum)
    }
}

/// Distances of events of one kind in the output of a filter.
#[derive(Default)]
struct Events {
    last: Option<f64>,
    /// Middle of two neighbouring events, and their distance as a frequency.
    steps: VecDeque<(f64, f64)>,
}

impl Events {
    fn add(&mut self, at: f64) {
        if let Some(last) = self.last {
            self.steps.push_back((0.5 * (last + at), RATE / (at - last).max(1e-3)));
        }
        self.last = Some(at);
    }

    /// Frequency at a time, between those of the two periods around it.
    fn at(&mut self, time: f64) -> Option<f64> {
        while self.steps.get(1).is_some_and(|s| s.0 <= time) {
            self.steps.pop_front();
        }
        let (a, b) = (self.steps.front()?, self.steps.get(1)?);
        (a.0 <= time).then(|| a.1 + (b.1 - a.1) * (time - a.0) / (b.0 - a.0).max(1e-9))
    }
}

/// One filter and the events of its output.
struct Band {
    top_hz: f64,
    filter: Filter,
    received: u64,
    last: f64,
    slope: f64,
    /// Rising and falling zero crossings, peaks, dips.
    events: [Events; 4],
}

impl Band {
    fn new(top_hz: f64) -> Self {
        let taps = nuttall((RATE / top_hz).round() as usize);
        Band { top_hz, filter: Filter::new(taps, 1), received: 0, last: 0.0, slope: 0.0, events: Default::default() }
    }

    fn push(&mut self, x: f64) {
        let Some(y) = self.filter.push(x) else { return };
        let (now, slope) = (self.received as f64, y - self.last);
        let [up, down, peak, dip] = &mut self.events;
        if let Some(share) = crossing(self.last, y) {
            if y > self.last { up } else { down }.add(now - 1.0 + share);
        }
        if let Some(share) = crossing(self.slope, slope) {
            if slope > self.slope { dip } else { peak }.add(now - 1.5 + share);
        }
        (self.last, self.slope) = (y, slope);
        self.received += 1;
    }

    fn at(&mut self, time: f64) -> Candidate {
        let found = self.events.each_mut().map(|e| e.at(time));
        let [Some(a), Some(b), Some(c), Some(d)] = found else { return Candidate::default() };
        let f0_hz = (a + b + c + d) / 4.0;
        let inside = f0_hz <= self.top_hz && f0_hz >= self.top_hz / 2.0 && (FLOOR_HZ..=CEILING_HZ).contains(&f0_hz);
        if !inside {
            return Candidate::default();
        }
        let square: f64 = [a, b, c, d].iter().map(|f| (f - f0_hz).powi(2)).sum();
        Candidate { f0_hz, spread: (square / 3.0).sqrt() / f0_hz }
    }
}

/// Candidates of a stream of 16 kHz sound, a set per 5 ms.
pub struct PeriodSearch {
    thin: Filter,
    low_cut: Filter,
    bands: Vec<Band>,
    frames: u64,
}

impl PeriodSearch {
    /// A search at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        let bands = (1..=BANDS).map(|i| Band::new(FLOOR_HZ * (i as f64 / 2.0).exp2())).collect();
        PeriodSearch { thin: Filter::new(thinning(), THIN), low_cut: Filter::new(low_cut(), 1), bands, frames: 0 }
    }

    /// Feeds a sample; gives the candidates of the next frame when they are known, 80 ms later. A sample that is not
    /// finite counts as silence.
    pub fn push(&mut self, x: f64) -> Option<Candidates> {
        let x = self.thin.push(if x.is_finite() { x } else { 0.0 })?;
        let x = self.low_cut.push(x)?;
        self.bands.iter_mut().for_each(|b| b.push(x));
        let known = self.bands.iter().map(|b| b.received).min().unwrap_or(0);
        (known > self.frames * FRAME + AHEAD).then(|| {
            let time = (self.frames * FRAME) as f64;
            self.frames += 1;
            let mut out = Candidates::default();
            out.iter_mut().zip(&mut self.bands).for_each(|(o, b)| *o = b.at(time));
            out
        })
    }
}

/// Where between two values the line through them crosses zero, if it does.
fn crossing(a: f64, b: f64) -> Option<f64> {
    (a < 0.0 && b >= 0.0 || a > 0.0 && b <= 0.0).then(|| a / (a - b))
}

/// Nuttall's window with continuous first derivative, `half` samples on each side, as a low-pass of unit gain whose first
/// zero is at twice the rate over `half`: A. H. Nuttall, IEEE Trans. ASSP 29(1), 1981.
fn nuttall(half: usize) -> Vec<f64> {
    let window = |i: usize| {
        let t = TAU * i as f64 / (2 * half) as f64;
        0.355_768 - 0.487_396 * t.cos() + 0.144_232 * (2.0 * t).cos() - 0.012_604 * (3.0 * t).cos()
    };
    let raw: Vec<f64> = (0..=2 * half).map(window).collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|v| v / sum).collect()
}

/// Low-pass of −6 dB at 2 kHz: a sinc under Nuttall's window.
fn thinning() -> Vec<f64> {
    let sinc = |i: usize| {
        let t = (i as f64 - THIN_HALF as f64) / THIN as f64 * TAU / 2.0;
        if t == 0.0 { 1.0 } else { t.sin() / t }
    };
    let raw: Vec<f64> = nuttall(THIN_HALF).iter().enumerate().map(|(i, w)| w * sinc(i)).collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|v| v / sum).collect()
}

/// A sample less the Hann-weighted mean of its surroundings.
fn low_cut() -> Vec<f64> {
    let half = (RATE / LOW_CUT_HZ).round() as usize;
    let mut taps: Vec<f64> = super::smooth::hann(2 * half - 1).iter().map(|w| -w).collect();
    taps[half - 1] += 1.0;
    taps
}
