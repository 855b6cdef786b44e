//! Is the speaker of the output still the recorded one? By averages alone, so neither time nor order matter: a voice that is late,
//! cut up, played backwards, coded, coloured or spoken once more is found, where every search for the sound itself finds nothing.
//!
//! Both sounds are described by 66 averages ([`super::speaker_averages`]), as a whole and in pieces of 12 s. The averages are looked at along
//! the [`AXES`] directions in which speakers differ most, compared with how much one speaker differs from himself: other words, other
//! microphones, codecs, rooms, noise (linear discriminant analysis: R. A. Fisher, *The use of multiple measurements in taxonomic
//! problems*, Annals of Eugenics 7, 1936). There, two sounds are compared by the cosine of the angle between them, seen from the mean of
//! strangers. Seen from natural strangers all synthetic voices lie to one side, so that a disguise of a disguise would seem to be the
//! same speaker; seen from disguised strangers all natural ones do. The same speaker is near from both places: the lower cosine counts.
//!
//! What was measured stands in `docs/voice.md`.

use super::speaker::{Averages, SPEAKER_FEATURES, averages};
use crate::voice::RATE_HZ;
use crate::voice::resample::Rate;
use crate::{Error, Result};
use rayon::prelude::*;

/// Cosine from which two voices are one speaker's.
pub const SAME_SPEAKER: f64 = 0.8;
/// Pieces in a row that must be near; one is enough in a sound that has no more pieces than that.
const IN_A_ROW: usize = 2;
/// Samples of a piece, at 16 kHz: 12 s.
const PIECE: usize = 12 * RATE_HZ as usize;
/// Samples by which one sound may be longer before pieces are cut of it alone: a second.
const AHEAD: usize = RATE_HZ as usize;
/// Seconds of voice, in both sounds, under which a piece is not judged …
pub const LEAST_VOICED_SECS: f64 = 1.2;
/// … and share of what sounds: in music and noise the tracker finds pitches here and there, and any two of those are alike.
const LEAST_VOICED: f64 = 0.15;
/// Directions in which speakers differ.
const AXES: usize = 25;
/// Numbers of the table.
const COUNT: usize = (2 + AXES) * SPEAKER_FEATURES;

/// Where strangers lie, as recorded and disguised by this program, and in which directions speakers differ. Built by
/// `scripts/voice/build_strangers.py`.
#[derive(Debug, Clone)]
pub struct Strangers {
    /// Mean of natural and of disguised strangers, [`SPEAKER_FEATURES`] numbers each.
    means: [Vec<f64>; 2],
    /// Row-major [`AXES`] × [`SPEAKER_FEATURES`].
    axes: Vec<f64>,
}

fn damaged() -> Error {
    Error::Model("the table of strangers' voices inside this program is damaged; reinstall it".into())
}

impl Strangers {
    /// The table compiled into the program.
    ///
    /// # Errors
    /// `Model` if it is damaged.
    pub fn embedded() -> Result<Self> {
        Self::parse(include_bytes!("../../../models/voice/strangers.bin"))
    }

    /// Reads a table: `USVS`, version 1 and count as little-endian `u32`, then that many `f32`: the mean of natural strangers, that of
    /// disguised ones, and the directions, one after the other.
    ///
    /// # Errors
    /// `Model` if magic, version, count or a value is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let (header, body) = bytes.split_at_checked(12).ok_or_else(damaged)?;
        let count = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        if &header[..8] != b"USVS\x01\0\0\0" || count != COUNT || body.len() != 4 * COUNT {
            return Err(damaged());
        }
        let values: Vec<f64> =
            body.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect();
        if values.iter().any(|v| !v.is_finite()) {
            return Err(damaged());
        }
        let (means, axes) = values.split_at(2 * SPEAKER_FEATURES);
        let (natural, disguised) = means.split_at(SPEAKER_FEATURES);
        Ok(Strangers { means: [natural.to_vec(), disguised.to_vec()], axes: axes.to_vec() })
    }

    /// How near two speakers are, −1 to 1, by [`SPEAKER_FEATURES`] averages of each.
    #[must_use]
    pub fn likeness(&self, a: &[f64], b: &[f64]) -> f64 {
        let from = |mean: &[f64]| cosine(&self.place(a, mean), &self.place(b, mean));
        from(&self.means[0]).min(from(&self.means[1]))
    }

    /// Where somebody stands, seen from `mean`.
    fn place(&self, numbers: &[f64], mean: &[f64]) -> Vec<f64> {
        let along = |axis: &[f64]| axis.iter().zip(numbers).zip(mean).map(|((w, x), m)| w * (x - m)).sum();
        self.axes.chunks_exact(SPEAKER_FEATURES).map(along).collect()
    }
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-12)
}

/// What is known of one pair of sounds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpeakerReport {
    /// Pieces with enough voice in both.
    pub pieces: usize,
    /// Of these, pieces in which the speaker is the same.
    pub near: usize,
    /// Greatest cosine of a piece, and where that begins in seconds.
    pub nearest: Option<(f64, f64)>,
    /// Cosine of both sounds as wholes, by all pieces with enough voice; none if either has none.
    pub whole: Option<f64>,
    /// The speaker is the recorded one: as a whole, in two pieces in a row, or in one of no more than two.
    pub found: bool,
}

/// One sound.
struct Ear {
    rate: Rate,
    /// What is not yet cut into pieces, at 16 kHz.
    held: Vec<f32>,
    /// Sum of the averages of its pieces, each as often as it has seconds of voice.
    sum: Vec<f64>,
    voiced_secs: f64,
    /// The piece in hand, if it has enough voice.
    piece: Option<Averages>,
}

impl Ear {
    fn new(rate_hz: u32) -> Result<Self> {
        let (rate, sum) = (Rate::new(rate_hz, RATE_HZ)?, vec![0.0; SPEAKER_FEATURES]);
        Ok(Ear { rate, held: vec![], sum, voiced_secs: 0.0, piece: None })
    }

    fn push(&mut self, samples: &[f32]) -> Result<()> {
        let clean: Vec<f32> = samples.iter().map(|x| if x.is_finite() { x.clamp(-8.0, 8.0) } else { 0.0 }).collect();
        self.rate.push(&clean, &mut self.held)
    }

    /// Cuts the next piece of `length` samples, or of what there is, and adds it to the whole.
    fn cut(&mut self, length: usize) {
        let length = length.min(self.held.len());
        let enough = |a: &Averages| a.voiced_secs >= LEAST_VOICED_SECS.max(LEAST_VOICED * a.sounding_secs);
        self.piece = averages(&self.held[..length]).filter(enough);
        self.held.drain(..length);
        if let Some(a) = &self.piece {
            self.sum.iter_mut().zip(&a.numbers).for_each(|(s, x)| *s += a.voiced_secs * x);
            self.voiced_secs += a.voiced_secs;
        }
    }

    fn whole(&self) -> Option<Vec<f64>> {
        (self.voiced_secs > 0.0).then(|| self.sum.iter().map(|s| s / self.voiced_secs).collect())
    }
}

/// Compares the speakers of several sounds of one rate with those of several others, block by block. Memory does not grow with
/// their length.
pub struct SpeakerSearch {
    strangers: Strangers,
    originals: Vec<Ear>,
    outputs: Vec<Ear>,
    /// Row by row: an original against each output.
    pairs: Vec<Pair>,
    piece: usize,
}

/// Pieces of one pair so far.
#[derive(Default)]
struct Pair {
    report: SpeakerReport,
    row: usize,
    longest: usize,
}

impl SpeakerSearch {
    /// A search at the beginning of so many sounds.
    ///
    /// # Errors
    /// `Unsupported` if the rate is; `Model` if the table of strangers is damaged.
    pub fn new(rate_hz: u32, originals: usize, outputs: usize) -> Result<Self> {
        let ears = |n: usize| (0..n).map(|_| Ear::new(rate_hz)).collect::<Result<Vec<_>>>();
        Ok(SpeakerSearch {
            strangers: Strangers::embedded()?,
            originals: ears(originals)?,
            outputs: ears(outputs)?,
            pairs: (0..originals * outputs).map(|_| Pair::default()).collect(),
            piece: 0,
        })
    }

    /// Feeds a block of each sound; those of originals and outputs may differ in length.
    ///
    /// # Errors
    /// As the change of rate.
    pub fn push<S: AsRef<[f32]> + Sync>(&mut self, originals: &[S], outputs: &[S]) -> Result<()> {
        let feed = |ears: &mut Vec<Ear>, sounds: &[S]| {
            ears.par_iter_mut().zip(sounds).try_for_each(|(ear, samples)| ear.push(samples.as_ref()))
        };
        feed(&mut self.originals, originals)?;
        feed(&mut self.outputs, outputs)?;
        let held = |ears: &[Ear]| ears.iter().map(|e| e.held.len()).max().unwrap_or(0);
        // The last piece is the longest, never a rest that says nothing.
        while held(&self.originals).max(held(&self.outputs)) >= 2 * PIECE + AHEAD {
            self.compare(PIECE);
        }
        Ok(())
    }

    /// What was found, row by row: an original against each output.
    ///
    /// # Errors
    /// As the change of rate.
    pub fn finish(mut self) -> Result<Vec<SpeakerReport>> {
        self.originals.iter_mut().chain(&mut self.outputs).try_for_each(|e| e.rate.finish(&mut e.held))?;
        self.compare(usize::MAX);
        let places = |ears: &[Ear]| ears.iter().map(Ear::whole).collect::<Vec<_>>();
        let (a, b) = (places(&self.originals), places(&self.outputs));
        let columns = b.len();
        let judged = self.pairs.into_iter().enumerate().map(|(k, pair)| {
            let mut report = pair.report;
            if let (Some(a), Some(b)) = (&a[k / columns], &b[k % columns]) {
                report.whole = Some(self.strangers.likeness(a, b));
            }
            let short = report.pieces <= IN_A_ROW && report.near > 0;
            let whole = report.whole.is_some_and(|w| w >= SAME_SPEAKER);
            report.found = whole || short || pair.longest >= IN_A_ROW;
            report
        });
        Ok(judged.collect())
    }

    /// Cuts a piece of every sound and compares them.
    fn compare(&mut self, length: usize) {
        self.originals.par_iter_mut().chain(&mut self.outputs).for_each(|ear| ear.cut(length));
        let columns = self.outputs.len();
        for (k, pair) in self.pairs.iter_mut().enumerate() {
            let (a, b) = (&self.originals[k / columns].piece, &self.outputs[k % columns].piece);
            let (Some(a), Some(b)) = (a, b) else { continue };
            let cosine = self.strangers.likeness(&a.numbers, &b.numbers);
            let same = cosine >= SAME_SPEAKER;
            pair.report.pieces += 1;
            pair.report.near += usize::from(same);
            pair.row = if same { pair.row + 1 } else { 0 };
            pair.longest = pair.longest.max(pair.row);
            if pair.report.nearest.is_none_or(|(most, _)| cosine > most) {
                pair.report.nearest = Some((cosine, (self.piece * PIECE) as f64 / f64::from(RATE_HZ)));
            }
        }
        self.piece += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Syllables of a voice at `f0_hz`, with resonances at `stretch` times 500, 1500 and 2500 Hz, moving, and a little breath.
    fn voice(secs: usize, f0_hz: f64, stretch: f64) -> Vec<f32> {
        let (mut phase, mut states, mut dice) = (0.0f64, [[0.0f64; 2]; 3], 7_u64);
        (0..secs * 16_000)
            .map(|i| {
                let t = i as f64 / 16_000.0;
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let breath = (dice >> 40) as f64 / (1_u64 << 24) as f64 - 0.5;
                let before = phase;
                let moving = 2.0 * (t * 2.1).sin() + (t * 5.3).sin();
                phase = (phase + f0_hz * (moving / 12.0).exp2() / 16_000.0).fract();
                let pulse = if phase < before { 1.0 } else { 0.0 };
                let speaking = (t * 9.0).sin() + (t * 1.7).sin() > -0.4;
                let mut x = breath * 0.02 + if speaking { pulse } else { 0.0 };
                for (k, (state, hz)) in states.iter_mut().zip([500.0, 1500.0, 2500.0]).enumerate() {
                    let hz = hz * stretch * (1.0 + 0.15 * (t * (2.9 + k as f64)).sin());
                    let (r, w) = (0.97, std::f64::consts::TAU * hz / 16_000.0);
                    let y = x + 2.0 * r * w.cos() * state[0] - r * r * state[1];
                    *state = [y, state[0]];
                    x = y * 0.1;
                }
                x as f32
            })
            .collect()
    }

    fn search(a: &[f32], b: &[f32], block: usize) -> SpeakerReport {
        let mut s = SpeakerSearch::new(16_000, 1, 1).unwrap();
        for k in 0..a.len().max(b.len()).div_ceil(block) {
            let cut = |x: &[f32]| x.iter().skip(k * block).take(block).copied().collect::<Vec<_>>();
            s.push(&[cut(a)], &[cut(b)]).unwrap();
        }
        s.finish().unwrap().remove(0)
    }

    #[test]
    fn a_voice_late_backwards_and_louder_is_the_same_speaker_and_another_is_none() {
        let a = voice(9, 120.0, 1.0);
        let mut late = vec![0.0; 16_000];
        late.extend(&a[..8 * 16_000]);
        let backwards: Vec<f32> = a.chunks(8_000).flat_map(|c| c.iter().rev().map(|v| v * 2.0)).collect();
        for (name, b) in [("late", &late), ("backwards", &backwards)] {
            let r = search(&a, b, 16_000);
            assert!(r.found && (r.pieces, r.near) == (1, 1) && r.whole > Some(0.9), "{name}: {r:?}");
        }
        let r = search(&a, &voice(9, 250.0, 1.35), 16_000);
        assert!(!r.found && (r.pieces, r.near) == (1, 0) && r.whole < Some(0.7), "{r:?}");
    }

    #[test]
    fn half_a_minute_of_the_same_speaker_is_found_in_two_minutes_whatever_the_blocks() {
        let a = voice(132, 120.0, 1.0);
        let mut b = voice(132, 250.0, 1.35);
        b[48 * 16_000..74 * 16_000].copy_from_slice(&a[46 * 16_000..72 * 16_000]);
        let r = search(&a, &b, 16_000);
        assert!(r.found && r.near >= 2 && r.whole < Some(SAME_SPEAKER), "{r:?}");
        let (cosine, at) = r.nearest.unwrap();
        assert!(cosine > SAME_SPEAKER && (48.0..60.1).contains(&at), "{r:?}");
        assert_eq!(r, search(&a, &b, 777_777));
    }

    #[test]
    fn too_little_voice_is_not_judged() {
        let a = voice(9, 120.0, 1.0);
        let hiss: Vec<f32> =
            voice(9, 120.0, 1.0).iter().enumerate().map(|(i, _)| ((i * i % 977) as f32 / 977.0) - 0.5).collect();
        for b in [&vec![], &vec![0.0; 9 * 16_000], &hiss, &a[..16_000].to_vec()] {
            let r = search(&a, b, 16_000);
            assert_eq!(r, SpeakerReport::default(), "{}", b.len());
        }
        assert!(SpeakerSearch::new(0, 1, 1).is_err());
    }

    #[test]
    fn what_is_held_does_not_grow() {
        let a = voice(30, 120.0, 1.0);
        let mut s = SpeakerSearch::new(16_000, 1, 2).unwrap();
        for _ in 0..6 {
            s.push(&[&a[..]], &[&[], &a[..]]).unwrap();
            let held = s.originals.iter().chain(&s.outputs).map(|e| e.held.len()).max().unwrap();
            assert!(held < 2 * PIECE + AHEAD, "{held}");
        }
        let r = s.finish().unwrap();
        assert!(r[0] == SpeakerReport::default() && r[1].found && r[1].pieces >= 14, "{r:?}");
    }

    #[test]
    fn the_table_is_sound_and_damage_is_an_error() {
        let good = include_bytes!("../../../models/voice/strangers.bin");
        let t = Strangers::parse(good).unwrap();
        assert!((t.likeness(&[1.0; SPEAKER_FEATURES], &[1.0; SPEAKER_FEATURES]) - 1.0).abs() < 1e-9);
        // Whoever is like all natural strangers is unlike whoever is like all disguised ones.
        let [natural, disguised] = &t.means;
        assert!(t.likeness(natural, disguised) < 0.1);
        let mut bad = good.to_vec();
        bad[14..16].copy_from_slice(&[0xc0, 0x7f]);
        for bytes in [&[][..], &good[..good.len() - 4], &bad] {
            assert!(Strangers::parse(bytes).is_err());
        }
    }
}
