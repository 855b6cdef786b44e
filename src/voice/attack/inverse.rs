//! Was the voice only shifted? Then somebody can shift it back: the pitch of both sounds is then one curve, a constant
//! number of semitones apart, and one spectrum is the other's, stretched.
//!
//! Both sounds are analysed every 5 ms and compared in pieces of 6 s, brought together by loudness within ±250 ms. Where both are
//! voiced they are cut into runs of 0.2 s; each run is laid on the other sound once more, within ±40 ms (programs that shift cut and
//! join the sound by about so much), and has one distance: the median of its frames, in which the errors of the tracker are gone. A
//! shift keeps all these distances; a pseudo-speaker loses a part of the melody and swings, so that they wander. The shift is the
//! median of the runs; the piece is *steady* by the share of frames in runs that lie near it. Near is measured by how much the
//! recorded pitch moves: of a voice that hardly moves any other flat voice keeps some distance. The stretch is looked for on a
//! grid (as anybody would who wants the voice back).
//!
//! What was measured stands in `docs/voice.md`.

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
/// Spread of the recorded pitch, in semitones (middle half of the frames), under which a piece says nothing: two held tones are
/// always a constant apart.
const LEAST_SPREAD: f64 = 0.6;
/// Frames of a run: 0.2 s. Shorter ones count from half of it.
const RUN: usize = 40;
/// Frames by which a run may lie earlier or later: 40 ms.
const NUDGE: isize = 8;
/// What a frame of that costs, in semitones, against a better fit.
const NUDGE_COST: f64 = 0.002;
/// Share of a run's frames that must be voiced in the other sound too.
const BOTH: f64 = 0.8;
/// Runs that a piece needs.
const LEAST_RUNS: usize = 3;
/// A distance this near to the usual one counts as steady: a share of the spread of the recorded pitch, within bounds in semitones.
const NEAR: (f64, f64, f64) = (0.04, 0.1, 0.2);
/// Share of steady frames from which a piece counts as shifted …
pub const STEADY: f64 = 0.55;
/// … if as many follow each other; or from which one is enough, in a sound that has no more: then chance is asked once or twice.
const IN_A_ROW: usize = 2;
const STEADY_ALONE: f64 = 0.65;
/// Frames in runs under which a single piece must be steadier, by how much for each that is missing.
const FULL: usize = 300;
const STEADIER: f64 = 0.001;

/// What the search found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InverseReport {
    /// Pieces of 6 s with enough voice in both.
    pub pieces: usize,
    /// Of these, pieces that are only shifted.
    pub shifted: usize,
    /// Enough of them in a row, or a single one so steady, that it is no chance.
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
    /// Pieces that are steady enough alone.
    alone: usize,
    report: InverseReport,
}

impl InverseSearch {
    /// A search at the beginning of both sounds.
    ///
    /// # Errors
    /// `Unsupported` if the rate is.
    pub fn new(rate_hz: u32) -> Result<Self> {
        let (original, output) = (Side::new(rate_hz)?, Side::new(rate_hz)?);
        Ok(InverseSearch { original, output, piece: 0, row: 0, longest: 0, alone: 0, report: InverseReport::default() })
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
        let short = self.report.pieces <= IN_A_ROW && self.alone > 0;
        self.report.found = short || self.longest >= IN_A_ROW;
        Ok(self.report)
    }

    /// Compares the next piece.
    fn next(&mut self) {
        let (a, b) = (self.original.frames.make_contiguous(), self.output.frames.make_contiguous());
        let (a, b) = (&a[..a.len().min(PIECE)], &b[..b.len().min(PIECE)]);
        let (a, b) = together(a, b);
        if let Some(found) = Steady::of(a, b) {
            self.report.pieces += 1;
            let shifted = found.share >= STEADY;
            self.report.shifted += usize::from(shifted);
            self.alone += usize::from(found.share >= found.least_alone());
            self.row = if shifted { self.row + 1 } else { 0 };
            self.longest = self.longest.max(self.row);
            if found.share > self.report.steady {
                self.report.steady = found.share;
                self.report.semitones = found.semitones;
                self.report.resonances = stretch(&voiced(a, b));
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

/// Both, from the first frames that belong together.
fn together<'f>(a: &'f [Frame], b: &'f [Frame]) -> (&'f [Frame], &'f [Frame]) {
    let lag = lag(a, b).unwrap_or(0);
    (&a[lag.min(0).unsigned_abs().min(a.len())..], &b[lag.max(0).unsigned_abs().min(b.len())..])
}

/// Frames that are voiced in both.
fn voiced<'f>(a: &'f [Frame], b: &'f [Frame]) -> Vec<(&'f Frame, &'f Frame)> {
    a.iter().zip(b).filter(|(x, y)| x.pitch > 0.0 && y.pitch > 0.0).collect()
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

/// Value below which a share of `values` lies.
fn quantile(values: impl IntoIterator<Item = f64>, share: f64) -> f64 {
    let mut v: Vec<f64> = values.into_iter().collect();
    v.sort_by(f64::total_cmp);
    v.get((v.len() as f64 * share) as usize).copied().unwrap_or(0.0)
}

/// A run of frames that are voiced in both.
struct Run {
    frames: usize,
    /// By how much the other pitch is higher, in semitones.
    apart: f64,
}

/// How steadily two pitches of a piece go together.
struct Steady {
    /// Share of the frames of runs whose distance is near the usual one.
    share: f64,
    /// The usual distance.
    semitones: f64,
    /// Frames in runs.
    frames: usize,
}

impl Steady {
    /// Looks at two sounds from the same time on; `None` if too little is voiced, or the recorded pitch hardly moves.
    fn of(a: &[Frame], b: &[Frame]) -> Option<Self> {
        let pairs = voiced(a, b);
        let pitch = |share: f64| quantile(pairs.iter().map(|(a, _)| f64::from(a.pitch)), share);
        let spread = pitch(0.75) - pitch(0.25);
        if pairs.len() < LEAST_VOICED || spread < LEAST_SPREAD {
            return None;
        }
        let mut runs = runs(a, b);
        if runs.len() < LEAST_RUNS {
            return None;
        }
        runs.sort_by(|a, b| a.apart.total_cmp(&b.apart));
        let frames: usize = runs.iter().map(|r| r.frames).sum();
        let mut passed = 0;
        let usual = runs.iter().find(|r| {
            passed += r.frames;
            2 * passed >= frames
        })?;
        let (part, least, most) = NEAR;
        let near = (part * spread).clamp(least, most);
        let steady: usize = runs.iter().filter(|r| (r.apart - usual.apart).abs() < near).map(|r| r.frames).sum();
        Some(Steady { share: steady as f64 / frames.max(1) as f64, semitones: usual.apart, frames })
    }

    /// Share from which this piece is shifted, whatever the others say.
    fn least_alone(&self) -> f64 {
        STEADY_ALONE + STEADIER * FULL.saturating_sub(self.frames) as f64
    }
}

/// Cuts what is voiced in both into runs.
fn runs(a: &[Frame], b: &[Frame]) -> Vec<Run> {
    let both: Vec<bool> = a.iter().zip(b).map(|(x, y)| x.pitch > 0.0 && y.pitch > 0.0).collect();
    let (mut out, mut from) = (Vec::new(), 0);
    for stretch in both.chunk_by(|x, y| x == y) {
        let n = stretch.len();
        if stretch[0] && n >= RUN / 2 {
            let parts = ((n + RUN / 2) / RUN).max(1);
            out.extend((0..parts).filter_map(|k| run(a, b, from + k * n / parts, from + (k + 1) * n / parts)));
        }
        from += n;
    }
    out
}

/// The frames `from..to` of `a`, laid where `b` follows them best; `None` if it is not voiced there.
fn run(a: &[Frame], b: &[Frame], from: usize, to: usize) -> Option<Run> {
    let laid = |nudge: isize| -> Option<(f64, f64)> {
        let other = b.get(from.checked_add_signed(nudge)?..to.checked_add_signed(nudge)?)?;
        let pairs = voiced(&a[from..to], other);
        if (pairs.len() as f64) < BOTH * (to - from) as f64 {
            return None;
        }
        let apart = || pairs.iter().map(|(x, y)| f64::from(y.pitch - x.pitch));
        let usual = quantile(apart(), 0.5);
        let gap = quantile(apart().map(|d| (d - usual).abs()), 0.5);
        Some((gap + NUDGE_COST * nudge.unsigned_abs() as f64, usual))
    };
    let best = (-NUDGE..=NUDGE).filter_map(laid).min_by(|x, y| x.0.total_cmp(&y.0))?;
    Some(Run { frames: to - from, apart: best.1 })
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
        melody(secs, shift, stretch, wander, 1.0)
    }

    /// The same with `range` times the melody.
    fn melody(secs: usize, shift: f64, stretch: f64, wander: f64, range: f64) -> Vec<f32> {
        let (mut phase, mut states) = (0.0f64, [[0.0f64; 2]; 3]);
        (0..secs * 16_000)
            .map(|i| {
                let t = i as f64 / 16_000.0;
                let moving = range * (3.0 * (t * 2.1).sin() + 1.5 * (t * 5.3).sin()) + wander * (t * 1.9 + 1.0).sin();
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
    fn a_flat_voice_is_shifted_only_if_it_keeps_its_distance() {
        let a = melody(12, 0.0, 1.0, 0.0, 0.25);
        let r = search(&a, &melody(12, 4.0, 1.1, 0.0, 0.25));
        assert!(r.found && r.steady > 0.95, "{r:?}");
        // Flattened a little more, and swinging by half a semitone.
        let r = search(&a, &melody(12, 4.0, 1.1, 0.5, 0.19));
        assert!(!r.found && r.pieces >= 2 && r.steady < STEADY, "{r:?}");
    }

    #[test]
    fn what_was_cut_and_joined_is_found() {
        let (a, b) = (voice(12, 0.0, 1.0, 0.0), voice(12, 4.0, 1.0, 0.0));
        // Every quarter of a second lies up to 35 ms aside.
        let joined: Vec<f32> =
            (0..b.len()).map(|i| b[(i + [280, 0, 560, 120, 400][(i / 4000) % 5]).min(b.len() - 1)]).collect();
        let r = search(&a, &joined);
        assert!(r.found && r.shifted == r.pieces && (r.semitones - 4.0).abs() < 0.1, "{r:?}");
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
