//! Was the voice only shifted? Then somebody can shift it back: the pitch of both sounds is then one curve, a constant
//! number of semitones apart, and one spectrum is the other's, stretched.
//!
//! Both sounds are analysed every 5 ms and compared in pieces of 6 s, brought together by loudness within ±250 ms. The shift
//! is the median distance of the pitches; the piece is *steady* by the share of voiced frames whose distance lies within a
//! fifth of a semitone of it. The stretch is looked for on a grid (as anybody would who wants the voice back).
//!
//! Measured on LibriSpeech: 26 speakers shifted and stretched in six ways (347 pieces), steady in 0.44 of the frames and more
//! (median 0.7); 153 speakers under two draws of the pseudo-speaker each, whose contour is smoothed, flattened and wanders (648
//! pieces), 0.10 in the median, 0.30 in two of a hundred, over 0.42 once (0.49), and never twice in a row.

use crate::Result;
use crate::voice::RATE_HZ;
use crate::voice::cepstrum::{POINTS, WIDE_ORDER, point_from_hz};
use crate::voice::features::{Feature, FeatureStream};
use crate::voice::resample::Rate;
use std::collections::VecDeque;
use std::f64::consts::PI;

/// Frames of a piece: 6 s.
const PIECE: usize = 1200;
/// Frames by which one sound may be later: 250 ms.
const REACH: usize = 50;
/// Frames that one sound may be ahead of the other (half an hour); what is older has no partner. Sounds of such different length
/// are refused for that.
const MOST_AHEAD: usize = 360_000;
/// Voiced frames that a piece needs: 1 s.
const LEAST_VOICED: usize = 200;
/// A distance this near to the usual one counts as steady, in semitones.
const NEAR: f64 = 0.2;
/// Spread of the recorded pitch, in semitones (middle half of the frames), under which a piece says nothing: two held tones are
/// always a constant apart.
const LEAST_SPREAD: f64 = 0.6;
/// Share of steady frames from which a piece counts as shifted.
pub const STEADY: f64 = 0.42;
/// Shifted pieces in a row that are no chance. In a sound of no more pieces one is enough: then chance is asked once or twice, and
/// one piece of a shifted voice in thirty is missed.
const IN_A_ROW: usize = 2;

/// What the search found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InverseReport {
    /// Pieces of 6 s with enough voice in both.
    pub pieces: usize,
    /// Of these, pieces that are only shifted.
    pub shifted: usize,
    /// Enough of them in a row to be no chance.
    pub found: bool,
    /// Greatest share of steady frames in a piece.
    pub steady: f64,
    /// Where that piece begins, in seconds.
    pub at_secs: f64,
    /// Semitones by which its pitch was raised.
    pub semitones: f64,
    /// Factor by which its resonances were raised.
    pub resonances: f64,
}

/// One frame of a sound.
#[derive(Clone, Copy)]
struct Frame {
    pitch: f32,
    cepstrum: [f32; WIDE_ORDER],
}

impl Frame {
    fn of(f: &Feature) -> Self {
        if !f.is_finite() {
            return Frame { pitch: 0.0, cepstrum: [0.0; WIDE_ORDER] };
        }
        let semitones = if f.f0_hz > 0.0 { 12.0 * f.f0_hz.log2() } else { 0.0 };
        Frame { pitch: semitones as f32, cepstrum: f.cepstrum.map(|c| c as f32) }
    }
}

/// One of the sounds, analysed as it comes.
struct Side {
    rate: Rate,
    held: Vec<f32>,
    features: FeatureStream,
    frames: VecDeque<Frame>,
}

impl Side {
    fn new(rate_hz: u32) -> Result<Self> {
        let (rate, features) = (Rate::new(rate_hz, RATE_HZ)?, FeatureStream::new());
        Ok(Side { rate, held: vec![], features, frames: VecDeque::new() })
    }

    fn push(&mut self, samples: &[f32]) -> Result<()> {
        self.held.clear();
        self.rate.push(samples, &mut self.held)?;
        self.analyse();
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.held.clear();
        self.rate.finish(&mut self.held)?;
        self.analyse();
        let frames = &mut self.frames;
        self.features.finish(&mut |f| frames.push_back(Frame::of(&f)));
        Ok(())
    }

    fn analyse(&mut self) {
        self.held.iter_mut().for_each(|x| *x = if x.is_finite() { x.clamp(-8.0, 8.0) } else { 0.0 });
        let frames = &mut self.frames;
        self.features.push(&self.held, &mut |f| frames.push_back(Frame::of(&f)));
    }
}

/// Compares two sounds of one rate, block by block.
pub struct InverseSearch {
    original: Side,
    output: Side,
    piece: usize,
    row: usize,
    longest: usize,
    report: InverseReport,
}

impl InverseSearch {
    /// A search at the beginning of both sounds.
    ///
    /// # Errors
    /// `Unsupported` if the rate is.
    pub fn new(rate_hz: u32) -> Result<Self> {
        let (original, output) = (Side::new(rate_hz)?, Side::new(rate_hz)?);
        Ok(InverseSearch { original, output, piece: 0, row: 0, longest: 0, report: InverseReport::default() })
    }

    /// Feeds both sounds; blocks may differ in length, not in where they begin by more than a quarter of a second.
    ///
    /// # Errors
    /// As the change of rate.
    pub fn push(&mut self, original: &[f32], output: &[f32]) -> Result<()> {
        self.original.push(original)?;
        self.output.push(output)?;
        while self.original.frames.len() >= PIECE + REACH && self.output.frames.len() >= PIECE + REACH {
            self.next();
        }
        for side in [&mut self.original, &mut self.output] {
            let late = side.frames.len().saturating_sub(MOST_AHEAD);
            side.frames.drain(..late);
        }
        Ok(())
    }

    /// What was found.
    ///
    /// # Errors
    /// As the change of rate.
    pub fn finish(mut self) -> Result<InverseReport> {
        self.original.finish()?;
        self.output.finish()?;
        while !self.original.frames.is_empty() && !self.output.frames.is_empty() {
            self.next();
        }
        let short = self.report.pieces <= IN_A_ROW && self.report.shifted > 0;
        self.report.found = short || self.longest >= IN_A_ROW;
        Ok(self.report)
    }

    /// Compares the next piece.
    fn next(&mut self) {
        let (a, b) = (self.original.frames.make_contiguous(), self.output.frames.make_contiguous());
        let (a, b) = (&a[..a.len().min(PIECE)], &b[..b.len().min(PIECE)]);
        if let Some(pairs) = together(a, b)
            && let Some((steady, semitones)) = steady(&pairs)
        {
            self.report.pieces += 1;
            let shifted = steady >= STEADY;
            self.report.shifted += usize::from(shifted);
            self.row = if shifted { self.row + 1 } else { 0 };
            self.longest = self.longest.max(self.row);
            if steady > self.report.steady {
                self.report.steady = steady;
                self.report.semitones = semitones;
                self.report.resonances = stretch(&pairs);
                self.report.at_secs = (self.piece * PIECE) as f64 * 0.005;
            }
        }
        for side in [&mut self.original, &mut self.output] {
            let n = side.frames.len().min(PIECE);
            side.frames.drain(..n);
        }
        self.piece += 1;
    }
}

/// Frames of both that belong together and are voiced in both; `None` if they are too few.
fn together<'f>(a: &'f [Frame], b: &'f [Frame]) -> Option<Vec<(&'f Frame, &'f Frame)>> {
    let lag = lag(a, b)?;
    let first = lag.min(0).unsigned_abs();
    let pairs = a.iter().skip(first).zip(b.iter().skip(lag.max(0).unsigned_abs()));
    let voiced: Vec<_> = pairs.filter(|(x, y)| x.pitch > 0.0 && y.pitch > 0.0).collect();
    (voiced.len() >= LEAST_VOICED).then_some(voiced)
}

/// By how many frames `b` is later, by loudness.
fn lag(a: &[Frame], b: &[Frame]) -> Option<isize> {
    let level = |all: &[Frame]| -> Vec<f32> {
        let mean = all.iter().map(|f| f.cepstrum[0]).sum::<f32>() / all.len().max(1) as f32;
        all.iter().map(|f| f.cepstrum[0] - mean).collect()
    };
    let (x, y) = (level(a), level(b));
    let likeness = |lag: isize| {
        let pairs = x.iter().skip(lag.min(0).unsigned_abs()).zip(y.iter().skip(lag.max(0).unsigned_abs()));
        let (mut dot, mut p, mut q) = (0.0f32, 1e-9f32, 1e-9f32);
        pairs.for_each(|(x, y)| (dot, p, q) = (dot + x * y, p + x * x, q + y * y));
        dot / (p * q).sqrt()
    };
    let reach = REACH as isize;
    (-reach..=reach).max_by(|k, l| likeness(*k).total_cmp(&likeness(*l)))
}

/// Share of steady frames, and the shift in semitones; `None` if the recorded pitch hardly moves.
fn steady(pairs: &[(&Frame, &Frame)]) -> Option<(f64, f64)> {
    let quarter = |mut v: Vec<f64>, share: f64| {
        v.sort_by(f64::total_cmp);
        v.get((v.len() as f64 * share) as usize).copied().unwrap_or(0.0)
    };
    let pitch: Vec<f64> = pairs.iter().map(|(a, _)| f64::from(a.pitch)).collect();
    if quarter(pitch.clone(), 0.75) - quarter(pitch, 0.25) < LEAST_SPREAD {
        return None;
    }
    let apart: Vec<f64> = pairs.iter().map(|(a, b)| f64::from(b.pitch - a.pitch)).collect();
    let usual = quarter(apart.clone(), 0.5);
    let near = apart.iter().filter(|d| (**d - usual).abs() < NEAR).count();
    Some((near as f64 / apart.len().max(1) as f64, usual))
}

/// Factor of the resonances by which the spectra of `b`, read at stretched frequencies, are most like those of `a`.
fn stretch(pairs: &[(&Frame, &Frame)]) -> f64 {
    const STEPS: i32 = 12;
    let factors = (-STEPS..=STEPS).map(|k| (f64::from(k) * 0.03).exp());
    let hz: Vec<f64> = (0..32).map(|i| 200.0 * (4800.0f64 / 200.0).powf(f64::from(i) / 31.0)).collect();
    let waves = |factor: f64| -> Vec<[f32; WIDE_ORDER]> {
        let at = |hz: &f64| {
            let place = point_from_hz(hz * factor) + 0.5;
            // The level says nothing.
            std::array::from_fn(|j| if j == 0 { 0.0 } else { (PI * j as f64 * place / POINTS as f64).cos() as f32 })
        };
        hz.iter().map(at).collect()
    };
    let read = |f: &Frame, waves: &[[f32; WIDE_ORDER]]| -> Vec<f32> {
        waves.iter().map(|w| w.iter().zip(&f.cepstrum).map(|(w, c)| w * c).sum()).collect()
    };
    let plain = waves(1.0);
    let few: Vec<_> = pairs.iter().step_by(4).collect();
    let gap = |factor: f64| {
        let stretched = waves(factor);
        let one = |(a, b): &(&Frame, &Frame)| {
            let (x, y) = (read(a, &plain), read(b, &stretched));
            let n = x.len() as f32;
            let level = (x.iter().sum::<f32>() - y.iter().sum::<f32>()) / n;
            x.iter().zip(&y).map(|(x, y)| (x - y - level).powi(2)).sum::<f32>()
        };
        few.iter().map(|p| one(p)).sum::<f32>()
    };
    let best = factors.map(|f| (gap(f), f)).min_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or(1.0, |b| b.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vowel-like sound whose pitch wanders, with resonances at `stretch` times 500, 1500 and 2500 Hz.
    fn voice(secs: usize, shift: f64, stretch: f64, wander: f64) -> Vec<f32> {
        let (mut phase, mut states) = (0.0f64, [[0.0f64; 2]; 3]);
        (0..secs * 16_000)
            .map(|i| {
                let t = i as f64 / 16_000.0;
                let moving = 3.0 * (t * 2.1).sin() + 1.5 * (t * 5.3).sin() + wander * (t * 1.3 + 1.0).sin();
                let before = phase;
                phase = (phase + 120.0 * ((moving + shift) / 12.0).exp2() / 16_000.0).fract();
                let pulse = if phase < before { 1.0 } else { 0.0 };
                let speaking = (t * 1.7).sin() > -0.6;
                let mut x = if speaking { pulse } else { 0.0 };
                for (state, hz) in states.iter_mut().zip([500.0, 1500.0, 2500.0]) {
                    let (r, w) = (0.97, std::f64::consts::TAU * hz * stretch / 16_000.0);
                    let y = x + 2.0 * r * w.cos() * state[0] - r * r * state[1];
                    *state = [y, state[0]];
                    x = y * 0.1;
                }
                x as f32
            })
            .collect()
    }

    fn search(a: &[f32], b: &[f32]) -> InverseReport {
        let mut s = InverseSearch::new(16_000).unwrap();
        a.chunks(16_000).zip(b.chunks(16_000)).for_each(|(a, b)| s.push(a, b).unwrap());
        s.finish().unwrap()
    }

    #[test]
    fn a_shifted_and_stretched_voice_is_found_and_told() {
        let a = voice(14, 0.0, 1.0, 0.0);
        for (shift, factor) in [(4.0, 1.0), (-3.0, 0.86), (0.0, 1.15), (5.0, 1.2)] {
            let r = search(&a, &voice(14, shift, factor, 0.0));
            assert!(r.found && r.pieces >= 2 && r.shifted == r.pieces, "{shift} {factor}: {r:?}");
            assert!(
                (r.semitones - shift).abs() < 0.2 && (r.resonances / factor - 1.0).abs() < 0.1,
                "{shift} {factor}: {r:?}"
            );
        }
        let mut late = vec![0.0; 2_000];
        late.extend(&voice(14, 4.0, 1.0, 0.0)[..14 * 16_000 - 2_000]);
        assert!(search(&a, &late).found, "125 ms later");
    }

    #[test]
    fn another_contour_is_no_shift() {
        let a = voice(12, 0.0, 1.0, 0.0);
        let r = search(&a, &voice(12, 4.0, 1.1, 2.0));
        assert!(!r.found && r.pieces >= 2 && r.steady < STEADY, "{r:?}");
    }

    #[test]
    fn silence_held_tones_and_tiny_sounds_say_nothing() {
        let tone =
            |hz: f32| -> Vec<f32> { (0..200_000).map(|i| ((i as f32 * hz / 16_000.0).fract() - 0.5) * 0.3).collect() };
        for (a, b) in [
            (vec![], vec![]),
            (vec![0.0; 200_000], vec![0.0; 200_000]),
            (tone(120.0), tone(150.0)),
            (vec![0.1; 7], vec![0.1; 9]),
        ] {
            let r = search(&a, &b);
            assert!(!r.found && r.pieces == 0, "{r:?}");
        }
        assert!(InverseSearch::new(0).is_err());
    }
}
