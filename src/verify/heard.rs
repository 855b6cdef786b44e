//! Where the recorded sound may be heard: by the cast alone, channel by channel.
//!
//! Read from the cast afresh, with no part of the voice stage: if both are to err in the same way, both must be wrong.

use crate::media::Probe;
use crate::plan::{Cast, VoiceChoice, parse_timecode};

/// Half-open times in seconds.
type Times = Vec<(f64, f64)>;

/// Times of every channel of every sound stream, in seconds from the stream's first sample.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Heard {
    streams: Vec<Vec<Times>>,
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
        Heard { streams: original.audio.iter().enumerate().map(stream).collect(), shifted }
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
                    "{secs:.1} s of channel {} of sound stream {} may be heard as recorded, by the cast: confirm that this is meant",
                    k + 1,
                    i + 1
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
        let open = v.style == "keep" || v.style == "pitch";
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
    fn no_cast_no_ears() {
        assert!(channel(std::iter::empty(), 0, 0.0).is_empty());
        assert!(times(&person("A", "style = \"whisper\""), 0, 0.0).is_empty());
    }
}
