//! Where the recorded sound may be heard: by the cast alone, channel by channel.
//!
//! Read from the cast afresh, with no part of the voice stage: if both are to err in the same way, both must be wrong.

use crate::Result;
use crate::media::{AudioReader, Limits, Probe};
use crate::plan::{Cast, VoiceChoice, parse_timecode};
use std::path::Path;

/// Half-open times in seconds.
type Times = Vec<(f64, f64)>;

/// Times of every channel of every sound stream, in seconds from the stream's first sample.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Heard {
    streams: Vec<Vec<Times>>,
    /// Start of each stream, in seconds of the file.
    starts: Vec<f64>,
    /// Channels in which the cast accepts what they picked up of others.
    accepted: Vec<(usize, usize)>,
    /// Voices that the cast only shifts in pitch.
    shifted: usize,
}

impl Heard {
    /// What a cast allows in the sound of an original. Without a cast nothing may be heard.
    pub fn of(cast: Option<&Cast>, original: &Probe) -> Self {
        let begin = original.video.time_base.seconds(original.video.start);
        let stream = |(index, s): (usize, &crate::media::AudioInfo)| {
            let voices = || cast.into_iter().flat_map(|c| &c.people).filter_map(|p| p.voice.as_ref());
            let here = |v: &&VoiceChoice| v.stream.is_none_or(|wanted| wanted == index + 1);
            // Times of a cast count from the first picture.
            let offset = begin - s.start_secs;
            (0..s.format.channels).map(|c| channel(voices().filter(here), c, offset)).collect()
        };
        let voices = cast.into_iter().flat_map(|c| &c.people).filter_map(|p| p.voice.as_ref());
        let shifted = voices.filter(|v| v.style == "pitch").count();
        let accepting = cast.into_iter().flat_map(|c| &c.people).filter_map(|p| p.voice.as_ref());
        let accepted = accepting
            .filter(|v| v.accepts_bleed())
            .filter_map(|v| Some((v.stream, v.channel?.checked_sub(1)?)))
            .flat_map(|(n, c)| {
                (0..original.audio.len()).filter(move |k| n.is_none_or(|n| n == k + 1)).map(move |k| (k, c))
            })
            .collect();
        Heard {
            streams: original.audio.iter().enumerate().map(stream).collect(),
            starts: original.audio.iter().map(|a| a.start_secs).collect(),
            accepted,
            shifted,
        }
    }

    /// The same without the times in which a channel that is not heard has sound, because others may have picked it up.
    /// Channels in which the cast accepts that stay as they are. Reads the sound only if anything can change.
    ///
    /// # Errors
    /// As the reader; whatever `check` refuses.
    pub fn without_bleed(
        mut self,
        path: &Path,
        original: &Probe,
        salvage: bool,
        check: &dyn Fn() -> Result<()>,
    ) -> Result<Self> {
        let places = |h: &Heard| -> Vec<(usize, usize)> {
            h.streams.iter().enumerate().flat_map(|(k, s)| (0..s.len()).map(move |c| (k, c))).collect()
        };
        let exposed = |h: &Heard, p: &(usize, usize)| !h.times(p.0, p.1).is_empty() && !h.accepted.contains(p);
        if !places(&self).iter().any(|p| exposed(&self, p)) {
            return Ok(self);
        }
        let before = self.clone();
        for (i, info) in original.audio.iter().enumerate() {
            let mut reader = AudioReader::open(path, info.stream_index, &Limits::default(), salvage)?;
            let mut ears: Vec<Loudness> =
                (0..info.format.channels).map(|_| Loudness::new(info.format.rate_hz)).collect();
            while let Some(block) = reader.next()? {
                check()?;
                ears.iter_mut().zip(&block.channels).for_each(|(ear, samples)| ear.push(samples));
            }
            for (d, ear) in ears.into_iter().enumerate() {
                let sound = less(ear.times(), before.times(i, d));
                for (k, c) in places(&before).into_iter().filter(|p| *p != (i, d) && exposed(&before, p)) {
                    let offset = before.starts[i] - before.starts[k];
                    let sound: Times = sound.iter().map(|(a, b)| (a + offset, b + offset)).collect();
                    let own = &mut self.streams[k][c];
                    *own = less(std::mem::take(own), &sound);
                }
            }
        }
        Ok(self)
    }

    /// Times of one channel.
    pub fn times(&self, stream: usize, channel: usize) -> &[(f64, f64)] {
        self.streams.get(stream).and_then(|s| s.get(channel)).map_or(&[], Vec::as_slice)
    }

    /// What a person should confirm, a line per channel in which anything may be heard.
    pub fn lines(&self, seconds: f64) -> Vec<String> {
        let mut out = Vec::new();
        if self.shifted > 0 {
            out.push(format!(
                "{} voices are only shifted in pitch, by the cast: no protection, anybody can shift them back",
                self.shifted
            ));
        }
        for (i, stream) in self.streams.iter().enumerate() {
            for (k, times) in stream.iter().enumerate().filter(|(_, t)| !t.is_empty()) {
                let secs: f64 = times.iter().map(|(a, b)| (b.min(seconds) - a.max(0.0)).max(0.0)).sum();
                out.push(format!(
                    "{secs:.1} s of channel {} of sound stream {} may be heard as recorded, by the cast{}: confirm that this is meant",
                    k + 1,
                    i + 1,
                    if self.accepted.contains(&(i, k)) { ", with everybody else whom it picked up (bleed)" } else { "" }
                ));
            }
        }
        out
    }
}

/// Times of one channel: kept as a channel or by time, less everything that somebody protected claims.
fn channel<'c>(voices: impl Iterator<Item = &'c VoiceChoice>, channel: usize, offset: f64) -> Times {
    let (mut kept, mut protected) = (Times::new(), Times::new());
    for v in voices {
        // A voice that is only shifted protects nobody either.
        let open = v.is_open();
        let list = if open { &mut kept } else { &mut protected };
        match v.channel {
            Some(c) if c == channel + 1 => list.push((f64::NEG_INFINITY, f64::INFINITY)),
            Some(_) => {}
            None => list.extend(v.times.iter().filter_map(|(a, b)| {
                let (a, b) = (parse_timecode(a)? + offset, parse_timecode(b)? + offset);
                (a < b).then_some((a, b))
            })),
        }
    }
    less(joined(kept), &joined(protected))
}

/// Loudness of one channel in steps of 50 ms, to find when it has sound. Deafer than the voice stage, which hears 9 dB over
/// the floor in any of three bands and covers a quarter of a second around it: what this one hears, that one must have
/// covered, even where both measure a little differently.
struct Loudness {
    step: u64,
    taken: u64,
    low: f32,
    pole: f32,
    sum: f32,
    powers: Vec<f32>,
}

impl Loudness {
    const STEP_SECS: f64 = 0.05;
    /// 15 dB over the floor, and never under −70 dB.
    const OVER: f32 = 31.6;
    const LEAST: f32 = 1e-7;
    /// The floor is the least mean of 4 steps within 400 steps (20 s) on either side.
    const MEAN: usize = 4;
    const REACH: usize = 400;

    fn new(rate_hz: u32) -> Self {
        let rate = f64::from(rate_hz.max(1));
        let pole = (1.0 - (-std::f64::consts::TAU * 100.0 / rate).exp()) as f32;
        let step = ((rate * Self::STEP_SECS) as u64).max(1);
        Loudness { step, taken: 0, low: 0.0, pole, sum: 0.0, powers: Vec::new() }
    }

    fn push(&mut self, samples: &[f32]) {
        for x in samples {
            let x = if x.is_finite() { x.clamp(-8.0, 8.0) } else { 0.0 };
            self.low += self.pole * (x - self.low);
            self.sum += (x - self.low) * (x - self.low);
            self.taken += 1;
            if self.taken.is_multiple_of(self.step) {
                self.powers.push(self.sum / self.step as f32);
                self.sum = 0.0;
            }
        }
    }

    /// Times with sound, sorted, without overlap. A last part of a step does not count.
    fn times(self) -> Times {
        let means: Vec<f32> =
            self.powers.windows(Self::MEAN).map(|w| w.iter().sum::<f32>() / Self::MEAN as f32).collect();
        // Least of each block of 20 s; the block before and the one after are within reach as well.
        let blocks: Vec<f32> =
            means.chunks(Self::REACH).map(|c| c.iter().copied().fold(f32::INFINITY, f32::min)).collect();
        let floor = |i: usize| {
            let b = (i / Self::REACH).min(blocks.len().saturating_sub(1));
            (b.saturating_sub(1)..=b + 1).filter_map(|k| blocks.get(k)).copied().fold(f32::INFINITY, f32::min)
        };
        let secs = |i: usize| i as f64 * Self::STEP_SECS;
        let loud = |(i, p): &(usize, &f32)| **p > (Self::OVER * floor(*i)).max(Self::LEAST);
        let steps = self.powers.iter().enumerate().filter(loud);
        joined(steps.map(|(i, _)| (secs(i), secs(i + 1))).collect())
    }
}

/// Sorted, without overlap.
fn joined(mut times: Times) -> Times {
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut out = Times::new();
    for (a, b) in times {
        match out.last_mut() {
            Some(last) if a <= last.1 => last.1 = last.1.max(b),
            _ => out.push((a, b)),
        }
    }
    out
}

/// What is left of `times` outside `gone`.
fn less(times: Times, gone: &[(f64, f64)]) -> Times {
    let mut out = Times::new();
    for (start, to) in times {
        let mut from = start;
        for (a, b) in gone.iter().filter(|(a, b)| *b > start && *a < to) {
            if *a > from {
                out.push((from, *a));
            }
            from = from.max(*b);
        }
        if from < to {
            out.push((from, to));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

    fn times(text: &str, c: usize, offset: f64) -> Times {
        let cast = Cast::parse(text, "c").unwrap();
        channel(cast.people.iter().filter_map(|p| p.voice.as_ref()), c, offset)
    }

    fn person(alias: &str, voice: &str) -> String {
        format!("[[person]]\nalias = \"{alias}\"\nvoice = {{ {voice} }}\n")
    }

    #[test]
    fn a_kept_channel_is_that_channel_alone() {
        let text = person("A", "style = \"keep\", channel = 2");
        assert_eq!(times(&text, 1, 0.0), [ALL]);
        assert!(times(&text, 0, 0.0).is_empty());
    }

    #[test]
    fn whoever_is_protected_wins_whatever_the_order() {
        let kept = person("A", "style = \"keep\", times = [[\"00:00:01\", \"00:00:09\"]]");
        let hidden = person("B", "times = [[\"00:00:03\", \"00:00:04\"], [\"00:00:08\", \"00:00:20\"]]");
        for text in [format!("{kept}{hidden}"), format!("{hidden}{kept}")] {
            assert_eq!(times(&text, 0, 0.5), [(1.5, 3.5), (4.5, 8.5)]);
        }
        let mine = person("A", "style = \"keep\", channel = 1");
        assert_eq!(
            times(&format!("{mine}{hidden}"), 0, 0.0),
            [(f64::NEG_INFINITY, 3.0), (4.0, 8.0), (20.0, f64::INFINITY)]
        );
        let both = format!("{kept}{}", person("B", "style = \"whisper\", channel = 1"));
        assert!(times(&both, 0, 0.0).is_empty());
        assert_eq!(times(&both, 1, 0.0), [(1.0, 9.0)]);
    }

    #[test]
    fn sound_is_found_over_its_floor_and_steady_sound_is_none() {
        let mut s = 5_u64;
        let mut hiss = || {
            s = s.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (s >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        let sound: Vec<f32> = (0..60 * 8000)
            .map(|i| {
                let t = i as f32 / 8000.0;
                hiss() * if (20.0..22.0).contains(&t) || t > 59.0 { 0.1 } else { 0.004 }
            })
            .collect();
        let mut ear = Loudness::new(8000);
        sound.chunks(999).for_each(|c| ear.push(c));
        let found = ear.times();
        let near = |i: usize, a: f64, b: f64| (found[i].0 - a).abs() < 0.06 && (found[i].1 - b).abs() < 0.06;
        assert!(found.len() == 2 && near(0, 20.0, 22.0) && near(1, 59.0, 60.0), "{found:?}");
        let mut ear = Loudness::new(8000);
        sound[..8000].iter().for_each(|x| ear.push(&[*x]));
        assert!(ear.times().is_empty());
        let mut ear = Loudness::new(8000);
        ear.push(&[0.0; 100]);
        assert!(ear.times().is_empty());
    }

    #[test]
    fn no_cast_no_ears() {
        assert!(channel(std::iter::empty(), 0, 0.0).is_empty());
        assert!(times(&person("A", "style = \"whisper\""), 0, 0.0).is_empty());
    }
}
