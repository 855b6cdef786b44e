//! The attack on the voice: is the recorded sound still in the output?

use super::heard::Heard;
use super::kinds::{Kind, failure};
use crate::media::{AudioReader, Limits, Probe};
use crate::report::{Failure, SoundReport};
use crate::voice::attack::{
    InverseReport, InverseSearch, LeakReport, LeakSearch, SAME_SPEAKER, SpeakerReport, SpeakerSearch,
};
use crate::{Error, Result};
use rayon::prelude::*;
use std::path::Path;

/// Coherence (300 to 4000 Hz) of any second above which raw voice is mixed under the disguise. Unrelated voices give
/// about 0.1, a raw voice 12 dB under another 0.3 to 0.5.
pub(crate) const MOST_MIXED: f64 = 0.35;
/// Pairs of channels searched at most; a film with more is refused.
const MOST_PAIRS: usize = 256;

/// What the attack gave.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Pair by pair.
    pub reports: Vec<SoundReport>,
    /// What failed.
    pub failures: Vec<Failure>,
    /// Seconds of each sound stream, original and output.
    pub lengths: Vec<(f64, f64)>,
}

/// One stream, as samples of all channels at its own rate.
struct Stream {
    reader: AudioReader,
    held: Vec<Vec<f32>>,
    total: u64,
    ended: bool,
}

impl Stream {
    fn open(path: &Path, index: usize, salvage: bool) -> Result<Self> {
        let reader = AudioReader::open(path, index, &Limits::default(), salvage)?;
        let held = vec![Vec::new(); reader.info().format.channels];
        Ok(Stream { reader, held, total: 0, ended: false })
    }

    /// Reads until `n` samples are held or the sound ends; returns all that are held, at most `n`.
    fn take(&mut self, n: usize) -> Result<Vec<Vec<f32>>> {
        while !self.ended && self.held.first().map_or(0, Vec::len) < n {
            match self.reader.next()? {
                Some(block) => {
                    self.total += block.len() as u64;
                    for (held, new) in self.held.iter_mut().zip(block.channels) {
                        held.extend(new);
                    }
                }
                None => self.ended = true,
            }
        }
        let have = self.held.first().map_or(0, Vec::len).min(n);
        Ok(self.held.iter_mut().map(|h| h.drain(..have).collect()).collect())
    }
}

/// Searches every channel of every sound stream of the original in every one of the output, outside the times of that
/// channel that may be heard.
///
/// # Errors
/// As the decoder of the original, `Limit` for too many channels, whatever `progress` refuses. Damage of the output is a
/// failure.
pub(crate) fn attack(
    original: (&Path, &Probe),
    output: (&Path, &Probe),
    heard: &Heard,
    salvage: bool,
    progress: &dyn Fn(f64) -> Result<()>,
) -> Result<Outcome> {
    let mut out = Outcome::default();
    let (a, b) = (&original.1.audio, &output.1.audio);
    let channels = |p: &[crate::media::AudioInfo]| p.iter().map(|s| s.format.channels).sum::<usize>();
    if channels(a) * channels(b) > MOST_PAIRS {
        return Err(Error::Limit(format!(
            "{} by {} sound channels are more than can be checked; treat the sound streams one by one",
            channels(a),
            channels(b)
        )));
    }
    // Channel for channel the same: only then is it known which channel of the output may hold what.
    let alike = a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.format.channels == y.format.channels);
    for (j, y) in b.iter().enumerate() {
        for (i, x) in a.iter().enumerate() {
            let name = (i, j);
            let (sx, sy) =
                (Stream::open(original.0, x.stream_index, salvage)?, Stream::open(output.0, y.stream_index, false)?);
            let later = lead(original.1, i) - lead(output.1, j);
            let open = if alike {
                may_sound(heard, j, y.format.channels, lead(original.1, j) - lead(output.1, j))
            } else {
                vec![]
            };
            let times = Times { heard: &|c| heard.times(i, c), open: &open, same: i == j };
            match pair(sx, sy, later, &times, progress) {
                Ok((reports, lengths)) => {
                    if i == j {
                        out.lengths.push(lengths);
                    }
                    for (ca, cb, r, inverse, speaker) in reports {
                        out.judge(name, (ca, cb), &r, inverse.as_ref(), &speaker);
                    }
                }
                Err(e @ (Error::Interrupted | Error::Cancelled)) => return Err(e),
                Err(e) => {
                    let text = format!("the sound could not be attacked to its end: {e}");
                    out.failures.push(failure(Kind::SoundUnchecked, 1, None, text));
                }
            }
        }
    }
    Ok(out)
}

/// Start of a sound stream after the picture, in seconds.
fn lead(p: &Probe, k: usize) -> f64 {
    p.audio.get(k).map_or(0.0, |s| s.start_secs) - p.video.time_base.seconds(p.video.start)
}

/// Times of each channel of an output stream, from its own first sample, at which it may sound as recorded. Whatever else the
/// original has at such a time is silence, sound that the cast accepts, or the same voice picked up by another microphone.
fn may_sound(heard: &Heard, stream: usize, channels: usize, later: f64) -> Vec<Vec<(f64, f64)>> {
    let moved = |c: usize| heard.times(stream, c).iter().map(|(a, b)| (a + later, b + later)).collect();
    (0..channels).map(moved).collect()
}

/// What is not searched.
struct Times<'h> {
    /// Of each channel of the original.
    heard: &'h dyn Fn(usize) -> &'h [(f64, f64)],
    /// Of each channel of the output, where other channels of the original are searched in it.
    open: &'h [Vec<(f64, f64)>],
    /// Whether both are the same stream.
    same: bool,
}

type PairReports = (Vec<(usize, usize, LeakReport, Option<InverseReport>, SpeakerReport)>, (f64, f64));

/// All channels of one stream in all channels of another. `lead`: by how many seconds the original's first sample
/// sounds later than the output's. `times`: what is not searched.
fn pair(
    mut a: Stream,
    mut b: Stream,
    lead: f64,
    times: &Times,
    progress: &dyn Fn(f64) -> Result<()>,
) -> Result<PairReports> {
    let (ra, rb) = (a.reader.info().format.rate_hz, b.reader.info().format.rate_hz);
    // The search wants one rate: the slower sound is played at the faster one's, sample by sample.
    let rate = ra.max(rb);
    let (na, nb) = (a.held.len(), b.held.len());
    let mut searches = Vec::with_capacity(na * nb);
    for k in 0..na * nb {
        // A voice is looked for shifted where it was recorded: in its own channel, or in the one that holds all.
        let own = times.same && (k / nb == k % nb || na == 1 || nb == 1);
        searches.push((LeakSearch::new(rate)?, own.then(|| InverseSearch::new(rate)).transpose()?));
    }
    let mut speakers = SpeakerSearch::new(rate, na, nb)?;
    let mut stretch = (Stretch::new(ra, rate), Stretch::new(rb, rate));
    let shift = (lead.abs().min(3600.0) * f64::from(rate)).round() as usize;
    let mut quiet = if lead > 0.0 { (shift, 0) } else { (0, shift) };
    let (mut at, mut at_out) = (0u64, 0u64);
    loop {
        let x = a.take(ra as usize)?;
        let y = b.take(rb as usize)?;
        let done = x.first().is_none_or(Vec::is_empty) && y.first().is_none_or(Vec::is_empty);
        let mut x = stretch.0.run(x);
        let mut y = stretch.1.run(y);
        x.iter_mut().enumerate().for_each(|(c, samples)| hush(samples, at, rate, (times.heard)(c)));
        at += x.first().map_or(0, Vec::len) as u64;
        // What other channels of the original are searched in.
        let mut others: Vec<Option<Vec<f32>>> = vec![None; nb];
        for ((other, samples), open) in others.iter_mut().zip(&y).zip(times.open).filter(|(_, open)| !open.is_empty()) {
            let mut samples = samples.clone();
            hush(&mut samples, at_out, rate, open);
            *other = Some(samples);
        }
        at_out += y.first().map_or(0, Vec::len) as u64;
        let pads = (std::mem::take(&mut quiet.0), std::mem::take(&mut quiet.1));
        let pad = |samples: &mut Vec<f32>, n: usize| drop(samples.splice(0..0, std::iter::repeat_n(0.0, n)));
        x.iter_mut().for_each(|c| pad(c, pads.0));
        y.iter_mut().chain(others.iter_mut().flatten()).for_each(|c| pad(c, pads.1));
        // Who speaks is asked only where nothing may be heard: a kept voice is no disguise of anybody.
        let closed: Vec<&[f32]> = others.iter().zip(&y).map(|(o, y)| o.as_deref().unwrap_or(y)).collect();
        let open: Vec<&[f32]> = x.iter().map(Vec::as_slice).collect();
        speakers.push(&open, &closed)?;
        let same = times.same;
        let against = |k: usize| {
            let (ca, cb) = (k / nb, k % nb);
            let own = same && ca == cb;
            others[cb].as_ref().filter(|_| !own).unwrap_or(&y[cb])
        };
        searches.par_iter_mut().enumerate().try_for_each(|(k, (leak, inverse))| {
            inverse.iter_mut().try_for_each(|s| s.push(&x[k / nb], &y[k % nb]))?;
            leak.push(&x[k / nb], against(k))
        })?;
        progress(at as f64 / f64::from(rate))?;
        if done {
            break;
        }
    }
    let mut reports = Vec::new();
    for (k, ((leak, inverse), speaker)) in searches.into_iter().zip(speakers.finish()?).enumerate() {
        reports.push((k / nb, k % nb, leak.finish()?, inverse.map(InverseSearch::finish).transpose()?, speaker));
    }
    Ok((reports, (a.total as f64 / f64::from(ra), b.total as f64 / f64::from(rb))))
}

/// Silences a channel of the original where it may be heard, so that nothing is searched there. `at`: position of the
/// first sample.
fn hush(samples: &mut [f32], at: u64, rate: u32, heard: &[(f64, f64)]) {
    let n = samples.len() as u64;
    for (from, to) in heard {
        let place = |t: f64| ((t.max(0.0) * f64::from(rate)) as u64).clamp(at, at + n) - at;
        let (from, to) = (place(*from) as usize, place(*to) as usize);
        if from < to {
            samples[from..to].fill(0.0);
        }
    }
}

/// Linear change of rate; good enough to find a voice, whose energy lies far below half of any rate.
struct Stretch {
    step: f64,
    at: f64,
    last: Vec<f32>,
}

impl Stretch {
    fn new(from: u32, to: u32) -> Self {
        Stretch { step: f64::from(from) / f64::from(to), at: 0.0, last: Vec::new() }
    }

    fn run(&mut self, channels: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        if self.step == 1.0 {
            return channels;
        }
        let n = channels.first().map_or(0, Vec::len);
        self.last.resize(channels.len(), 0.0);
        let start = self.at;
        let mut out = Vec::with_capacity(channels.len());
        for (c, last) in channels.iter().zip(&mut self.last) {
            // Position 0 is the last sample of the block before.
            let sample = |i: usize| if i == 0 { *last } else { c[(i - 1).min(n.saturating_sub(1))] };
            let (mut at, mut made) = (start, Vec::new());
            while at < n as f64 {
                let (i, u) = (at as usize, at.fract() as f32);
                made.push(sample(i) * (1.0 - u) + sample(i + 1) * u);
                at += self.step;
            }
            self.at = at - n as f64;
            if let Some(v) = c.last() {
                *last = *v;
            }
            out.push(made);
        }
        out
    }
}

impl Outcome {
    fn judge(
        &mut self,
        (i, j): (usize, usize),
        (ca, cb): (usize, usize),
        r: &LeakReport,
        inverse: Option<&InverseReport>,
        speaker: &SpeakerReport,
    ) {
        // An empty sum is −0.
        let leaked = r.leaked_secs() + 0.0;
        let place = format!("channel {} of sound stream {}", cb + 1, j + 1);
        if leaked > 0.0 {
            let at = r.ranges_secs.first().map_or(0.0, |x| x.0);
            let text = format!("{leaked:.3} s of the recorded sound stand in {place}, first at {at:.2} s");
            self.failures.push(failure(Kind::SoundRaw, r.leaked as u64, None, text));
        } else if r.mixed_in > MOST_MIXED {
            let text = format!("the recorded sound is mixed into {place} (coherence {:.2})", r.mixed_in);
            self.failures.push(failure(Kind::SoundMixed, 1, None, text));
        }
        if let Some(v) = inverse.filter(|v| v.found) {
            let text = format!(
                "the voice in {place} is the recorded one, only shifted by {:.1} semitones (resonances by {:.2}): anybody can shift it back",
                v.semitones, v.resonances
            );
            self.failures.push(failure(Kind::SoundShifted, v.shifted as u64, None, text));
        }
        if speaker.found {
            let near = speaker.whole.into_iter().chain(speaker.nearest.map(|n| n.0)).fold(-1.0, f64::max);
            let text = format!(
                "the speaker in {place} is the recorded one: cosine {near:.2}, and the same person has {SAME_SPEAKER} and more"
            );
            self.failures.push(failure(Kind::SoundSpeaker, speaker.near.max(1) as u64, None, text));
        }
        let heard = inverse.filter(|v| v.pieces > 0);
        self.reports.push(SoundReport {
            output_stream: j,
            output_channel: cb,
            source_stream: i,
            source_channel: ca,
            windows: r.windows as u64,
            leaked_secs: leaked,
            leaked_at: r.ranges_secs.iter().map(|x| x.0).take(20).collect(),
            mixed: r.mixed_in as f32,
            mixed_at: None,
            pieces: inverse.map_or(0, |v| v.pieces as u64),
            shifted: inverse.map_or(0, |v| v.shifted as u64),
            steady: heard.map(|v| v.steady as f32),
            semitones: heard.map(|v| v.semitones as f32),
            resonances: heard.map(|v| v.resonances as f32),
            speaker: speaker.whole.map(|c| c as f32),
            speaker_piece: speaker.nearest.map(|n| n.0 as f32),
            speaker_at: speaker.nearest.map(|n| n.1),
            speaker_pieces: speaker.pieces as u64,
            speaker_near: speaker.near as u64,
            speaker_same: speaker.found,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_times_are_silenced_across_blocks() {
        let mut c = vec![1.0; 100];
        hush(&mut c, 950, 1000, &[(f64::NEG_INFINITY, 0.96), (1.0, 1.01), (7.0, f64::INFINITY)]);
        let zeros: Vec<usize> = (0..100).filter(|i| c[*i] == 0.0).collect();
        assert_eq!(zeros, (0..10).chain(50..60).collect::<Vec<_>>());
    }

    #[test]
    fn a_change_of_rate_keeps_the_wave_across_blocks() {
        let wave = |i: f64, rate: f64| (i / rate * 440.0 * std::f64::consts::TAU).sin() as f32;
        let mut s = Stretch::new(22_050, 48_000);
        let mut got = Vec::new();
        for block in 0..10 {
            let x: Vec<f32> = (0..2205).map(|i| wave(f64::from(block * 2205 + i), 22_050.0)).collect();
            got.extend(s.run(vec![x]).remove(0));
        }
        assert!((got.len() as i64 - 48_000).abs() < 4, "{}", got.len());
        // One sample of the slow sound is delay.
        let delay = 48_000.0 / 22_050.0;
        for (i, v) in got.iter().enumerate().skip(10) {
            assert!((v - wave(i as f64 - delay, 48_000.0)).abs() < 0.02, "{i}");
        }
    }
}
