//! Sound on its way from the source to the writer: always through the voice stage.

use crate::audio::AudioFormat;
use crate::media::{AudioInfo, AudioReader, Limits, Probe, Writer};
use crate::plan::{Cast, Finding, parse_timecode};
use crate::voice::{ClearedAudio, Secret, SpeechAnalyser, SpeechStatistics, StreamPolicy, VoiceStage, VoiceStyle};
use crate::{Error, Result};
use rayon::prelude::*;
use std::collections::VecDeque;
use std::path::Path;

/// What the cast says about the sound of each stream.
///
/// Everything is disguised unless a person with `keep` (or another style) claims a channel or a time.
///
/// # Errors
/// `Plan` if a channel does not exist in any stream.
pub fn stream_policies(cast: &Cast, probe: &Probe) -> Result<Vec<StreamPolicy>> {
    let streams = &probe.audio;
    let begin = probe.video.time_base.seconds(probe.video.start);
    let mut policies: Vec<StreamPolicy> = streams
        .iter()
        .map(|_| StreamPolicy { default: VoiceStyle::Pseudo, ranges: vec![], channels: vec![] })
        .collect();
    for (number, person) in cast.people.iter().enumerate() {
        let Some(voice) = &person.voice else { continue };
        let style = match voice.style.as_str() {
            "keep" => VoiceStyle::Keep,
            "whisper" => VoiceStyle::Whisper,
            "silence" => VoiceStyle::Silence,
            // The limit on people of a cast is far below; a number without an actor would be silence.
            "replace" => VoiceStyle::Replace(u16::try_from(number).unwrap_or(u16::MAX)),
            "pitch" => VoiceStyle::Pitch {
                cents: (100.0 * voice.semitones.unwrap_or(0.0)).round().clamp(-1200.0, 1200.0) as i16,
                formants: voice.formants.unwrap_or(false),
            },
            _ => VoiceStyle::Pseudo,
        };
        let at = person.alias.span().start;
        let times: Vec<(f64, f64)> =
            voice.times.iter().filter_map(|(a, b)| Some((parse_timecode(a)?, parse_timecode(b)?))).collect();
        if let Some(n) = voice.stream.filter(|n| *n > streams.len()) {
            return Err(cast.error_at(at, &format!("there is no sound stream {n}: the film has {}", streams.len())));
        }
        let meant = |k: usize| voice.stream.is_none_or(|n| n == k + 1);
        if let Some(channel) = voice.channel {
            let has = |(k, s): &(usize, &AudioInfo)| meant(*k) && channel <= s.format.channels;
            let those = streams.iter().enumerate().filter(has).count();
            if those == 0 {
                return Err(cast.error_at(at, &format!("no sound stream has a channel {channel}")));
            }
            // Two recorders have a first channel each: what is protected is protected in both, what is kept must be named.
            if those > 1 && open(style) {
                let message =
                    format!("{those} sound streams have a channel {channel}: name the one to keep with `stream`");
                return Err(cast.error_at(at, &message));
            }
            for (k, (policy, stream)) in policies.iter_mut().zip(streams).enumerate() {
                if meant(k) && channel <= stream.format.channels {
                    policy.channels.push((channel - 1, style));
                }
            }
        } else if !times.is_empty() {
            for (k, (policy, stream)) in policies.iter_mut().zip(streams).enumerate() {
                // Times in a cast count from the first picture; samples count from the stream's own start.
                let offset = begin - stream.start_secs;
                if meant(k) {
                    policy.ranges.extend(times.iter().map(|(a, b)| (a + offset, b + offset, style)));
                }
            }
        } else if open(style) {
            let message = format!("voice \"{}\" needs `channel` or `times`: who else speaks is not known", voice.style);
            return Err(cast.error_at(at, &message));
        } else if cast.people.len() == 1 {
            policies.iter_mut().for_each(|p| p.default = style);
        } else {
            return Err(cast.error_at(at, "this voice style needs `channel` or `times` when several people are cast"));
        }
    }
    // Earlier ranges win, so kept ones come last: where a protected person may speak too, nothing is kept.
    let last = |s: VoiceStyle| (open(s), s == VoiceStyle::Keep);
    policies.iter_mut().for_each(|p| p.ranges.sort_by_key(|r| last(r.2)));
    Ok(policies)
}

/// Whether a style protects nobody.
fn open(style: VoiceStyle) -> bool {
    matches!(style, VoiceStyle::Keep | VoiceStyle::Pitch { .. })
}

/// First pass: statistics of the speech of each stream, held in memory only.
///
/// # Errors
/// As the reader and the voice stage.
pub(super) fn listen(
    path: &Path,
    streams: &[AudioInfo],
    policies: &[StreamPolicy],
    limits: &Limits,
    salvage: bool,
    check: &(dyn Fn() -> Result<()> + Sync),
) -> Result<Vec<SpeechStatistics>> {
    streams
        .par_iter()
        .zip(policies)
        .map(|(info, policy)| {
            let mut reader = AudioReader::open(path, info.stream_index, limits, salvage)?;
            let mut analyser = SpeechAnalyser::for_policy(info.format, policy)?;
            while let Some(block) = reader.next()? {
                check()?;
                analyser.push(&block)?;
            }
            analyser.finish()
        })
        .collect()
}

/// One stream of sound on its way to the writer.
pub(super) struct SoundMaker {
    index: usize,
    format: AudioFormat,
    start_secs: f64,
    reader: AudioReader,
    stage: VoiceStage,
    ready: VecDeque<ClearedAudio>,
    ended: bool,
}

impl SoundMaker {
    /// Opens a stream for the second pass.
    ///
    /// # Errors
    /// As the reader and the voice stage.
    #[expect(clippy::too_many_arguments, reason = "one call site; a struct would only repeat these names")]
    pub fn open(
        path: &Path,
        index: usize,
        info: &AudioInfo,
        limits: &Limits,
        salvage: bool,
        policy: &StreamPolicy,
        statistics: SpeechStatistics,
        secret: &Secret,
    ) -> Result<Self> {
        Ok(SoundMaker {
            index,
            format: info.format,
            start_secs: info.start_secs,
            reader: AudioReader::open(path, info.stream_index, limits, salvage)?,
            stage: VoiceStage::new(info.format, policy, statistics, secret)?,
            ready: VecDeque::new(),
            ended: false,
        })
    }

    /// Gives the actors that the policy names.
    #[must_use]
    pub fn with_actors(mut self, actors: Vec<(u16, crate::voice::ActorTrack)>) -> Self {
        self.stage = self.stage.with_actors(actors);
        self
    }

    /// Writes cleared sound up to `until` seconds of the film.
    ///
    /// # Errors
    /// As the reader, the voice stage and the writer.
    pub fn write_until(&mut self, until: f64, writer: &mut Writer) -> Result<()> {
        loop {
            while let Some(block) = self.ready.front() {
                if self.start_secs + block.start() as f64 / f64::from(self.format.rate_hz) > until {
                    return Ok(());
                }
                writer.write_audio(self.index, block)?;
                self.ready.pop_front();
            }
            if self.ended {
                return Ok(());
            }
            let ready = &mut self.ready;
            let mut keep = |block: ClearedAudio| {
                ready.push_back(block);
                Ok(())
            };
            match self.reader.next()? {
                Some(block) => self.stage.push(&block, &mut keep)?,
                None => {
                    self.stage.finish(&mut keep)?;
                    self.ended = true;
                }
            }
        }
    }

    /// Doubts of the voice stage.
    pub fn findings(&self) -> Vec<Finding> {
        self.stage
            .recorded_findings()
            .iter()
            .map(|f| Finding { kind: f.kind().into(), frame: None, track: None, count: 1, note: f.to_string() })
            .collect()
    }
}

/// A film without frames has no time; guards divisions.
pub(super) fn end_of_time() -> f64 {
    f64::INFINITY
}

/// Refuses streams that no voice stage can treat.
///
/// # Errors
/// `Unsupported`.
pub(super) fn check_formats(streams: &[AudioInfo]) -> Result<()> {
    for s in streams {
        if s.format.channels == 0 || s.format.channels > 64 || !(4_000..=768_000).contains(&s.format.rate_hz) {
            return Err(Error::Unsupported(format!(
                "sound stream {} has {} channels at {} Hz, which the voice stage cannot treat",
                s.stream_index, s.format.channels, s.format.rate_hz
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{ColorDesc, ColorModel, PixelLayout};
    use crate::units::{TimeBase, Timestamp};
    use VoiceStyle::{Keep, Pseudo};

    /// A film with sound streams of so many channels; the picture begins half a second in, the sound at once.
    fn probe(channels: &[usize]) -> Probe {
        let video = crate::media::VideoInfo {
            stream_index: 0,
            codec: "h264".into(),
            profile: 0,
            width: 64,
            height: 48,
            layout: PixelLayout { model: ColorModel::Yuv, depth: 8, log2_chroma_w: 1, log2_chroma_h: 1 },
            color: ColorDesc::default(),
            time_base: TimeBase::new(1, 1000).unwrap(),
            start: Timestamp(500),
            frame_rate: (25, 1),
            avg_frame_rate: 25.0,
            base_frame_rate: (25, 1),
            sample_aspect: (1, 1),
            rotation_degrees: 0,
            mirrored: false,
            interlaced: false,
            top_field_first: false,
            bit_rate: 0,
            frame_count_hint: None,
            hdr: crate::media::HdrInfo::default(),
        };
        let stream = |(i, n): (usize, &usize)| AudioInfo {
            stream_index: i + 1,
            codec: "aac".into(),
            format: AudioFormat { rate_hz: 1000, channels: *n, layout_mask: 0 },
            start_secs: 0.0,
            bit_rate: 0,
            bits: 0,
            float: false,
        };
        Probe {
            container: "mov".into(),
            duration_secs: Some(60.0),
            video,
            audio: channels.iter().enumerate().map(stream).collect(),
            dropped: vec![],
            has_chapters: false,
            metadata_values: vec![],
        }
    }

    fn person(alias: &str, voice: &str) -> String {
        format!("[[person]]\nalias = \"{alias}\"\nvoice = {{ {voice} }}\n")
    }

    fn policies(text: &str, channels: &[usize]) -> Result<Vec<StreamPolicy>> {
        stream_policies(&Cast::parse(text, "cast").unwrap(), &probe(channels))
    }

    #[test]
    fn where_a_protected_person_may_speak_nothing_is_kept_whatever_the_order() {
        let kept = person("A", "style = \"keep\", times = [[\"00:00:01\", \"00:00:09\"]]");
        let hidden = person("B", "times = [[\"00:00:03\", \"00:00:04\"]]");
        for text in [format!("{kept}{hidden}"), format!("{hidden}{kept}")] {
            let all = policies(&text, &[2]).unwrap();
            let timeline = crate::voice::Timeline::new(&all[0], 2, 1000).unwrap();
            for channel in 0..2 {
                // Half a second later than the cast says: the picture begins there.
                let styles = [1499, 1500, 3499, 3500, 4499, 4500, 9499, 9500].map(|s| timeline.style(channel, s));
                assert_eq!(styles, [Pseudo, Keep, Keep, Pseudo, Pseudo, Keep, Keep, Pseudo], "{text}");
            }
        }
    }

    #[test]
    fn a_shifted_voice_yields_to_everybody_protected_and_an_actor_has_the_persons_number() {
        let shifted = person("A", "style = \"pitch\", semitones = -3.5, times = [[\"00:00:01\", \"00:00:09\"]]");
        let actor = person("B", "style = \"replace\", file = \"b.wav\", times = [[\"00:00:03\", \"00:00:04\"]]");
        let hidden = person("C", "times = [[\"00:00:05\", \"00:00:06\"]]");
        let all = policies(&format!("{shifted}{actor}{hidden}"), &[1]).unwrap();
        let timeline = crate::voice::Timeline::new(&all[0], 1, 1000).unwrap();
        let pitch = VoiceStyle::Pitch { cents: -350, formants: false };
        let styles = [1400, 1600, 3600, 4600, 5600, 6600].map(|s| timeline.style(0, s));
        assert_eq!(styles, [Pseudo, pitch, VoiceStyle::Replace(1), pitch, Pseudo, pitch]);
        for (text, wanted) in [
            ("style = \"pitch\", semitones = 3", "needs `channel` or `times`"),
            ("style = \"pitch\", channel = 1", "no protection"),
            ("style = \"pitch\", channel = 1, semitones = 13", "no protection"),
            ("style = \"replace\", channel = 1", "needs `file`"),
            ("style = \"pseudo\", file = \"b.wav\"", "belongs to"),
            ("semitones = 3", "belong to"),
        ] {
            let cast = Cast::parse(&person("A", text), "cast");
            let error = cast.and_then(|c| stream_policies(&c, &probe(&[1]))).unwrap_err();
            assert!(error.to_string().contains(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn a_kept_channel_is_one_channel_of_one_stream() {
        let keep = |more: &str| person("A", &format!("style = \"keep\", channel = 1{more}"));
        let error = policies(&keep(""), &[1, 1]).unwrap_err();
        assert!(error.to_string().contains("`stream`") && error.exit_code() == 4, "{error}");
        let two = policies(&keep(", stream = 2"), &[1, 1]).unwrap();
        assert_eq!((two[0].channels.len(), &two[1].channels[..]), (0, &[(0, Keep)][..]));
        assert_eq!(policies(&keep(""), &[2]).unwrap()[0].channels, [(0, Keep)]);
        assert!(policies(&keep(", stream = 3"), &[1, 1]).unwrap_err().to_string().contains("no sound stream 3"));
        // What is protected is protected in all of them.
        let whisper = policies(&person("A", "style = \"whisper\", channel = 1"), &[1, 1]).unwrap();
        assert!(whisper.iter().all(|p| p.channels.len() == 1));
    }
}
