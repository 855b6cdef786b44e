//! Sound on its way from the source to the writer: always through the voice stage.

use crate::audio::AudioFormat;
use crate::media::{AudioInfo, AudioReader, Limits, Probe, Writer};
use crate::plan::{Cast, Finding, parse_timecode};
use crate::voice::activity::{Activity, Ranges};
use crate::voice::{
    ClearedAudio, Secret, SpeechAnalyser, SpeechStatistics, StreamPolicy, Timeline, VoiceFinding, VoiceStage,
    VoiceStyle,
};
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
    let mut policies: Vec<StreamPolicy> = streams.iter().map(|_| StreamPolicy::default()).collect();
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
            if those > 1 && style.is_open() {
                let message =
                    format!("{those} sound streams have a channel {channel}: name the one to keep with `stream`");
                return Err(cast.error_at(at, &message));
            }
            for (k, (policy, stream)) in policies.iter_mut().zip(streams).enumerate() {
                if meant(k) && channel <= stream.format.channels {
                    policy.channels.push((channel - 1, style));
                    if voice.accepts_bleed() {
                        policy.accepts.push(channel - 1);
                    }
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
        } else if style.is_open() {
            let message = format!("voice \"{}\" needs `channel` or `times`: who else speaks is not known", voice.style);
            return Err(cast.error_at(at, &message));
        } else if cast.people.len() == 1 {
            policies.iter_mut().for_each(|p| p.default = style);
        } else {
            return Err(cast.error_at(at, "this voice style needs `channel` or `times` when several people are cast"));
        }
    }
    // Earlier ranges win, so kept ones come last: where a protected person may speak too, nothing is kept.
    let last = |s: VoiceStyle| (s.is_open(), s == VoiceStyle::Keep);
    policies.iter_mut().for_each(|p| p.ranges.sort_by_key(|r| last(r.2)));
    Ok(policies)
}

/// How long before and after sound on a protected channel other channels are covered too.
const COVER_SECS: f64 = 0.25;

/// Whether a channel is open somewhere, and its neighbours' sound in it is not accepted.
fn is_exposed(policy: &StreamPolicy, timeline: &Timeline, channel: usize) -> bool {
    timeline.is_ever(channel, VoiceStyle::is_open) && !policy.accepts.contains(&channel)
}

/// Where a protected channel has sound, its voice may be on channels that are kept too: covers them there.
///
/// Every channel that is not kept at a moment counts as protected, whether anybody is cast for it or not. Does nothing, and
/// reads nothing, if no channel is exposed.
///
/// # Errors
/// As the reader; `Plan` if a policy is wrong.
pub(super) fn cover_bleed(
    path: &Path,
    streams: &[AudioInfo],
    policies: &mut [StreamPolicy],
    limits: &Limits,
    salvage: bool,
    check: &(dyn Fn() -> Result<()> + Sync),
) -> Result<()> {
    let timelines: Vec<Timeline> = streams
        .iter()
        .zip(policies.iter())
        .map(|(s, p)| Timeline::new(p, s.format.channels, s.format.rate_hz))
        .collect::<Result<_>>()?;
    let all = || streams.iter().zip(policies.iter()).zip(&timelines);
    let exposed = all().any(|((s, p), t)| (0..s.format.channels).any(|c| is_exposed(p, t, c)));
    if !exposed {
        return Ok(());
    }
    let heard: Vec<Vec<(f64, f64, VoiceStyle)>> = streams
        .par_iter()
        .zip(&timelines)
        .map(|(info, timeline)| protected_sound(path, info, timeline, limits, salvage, check))
        .collect::<Result<_>>()?;
    for (policy, target) in policies.iter_mut().zip(streams) {
        for (found, source) in heard.iter().zip(streams) {
            let offset = source.start_secs - target.start_secs;
            policy.covers.extend(found.iter().map(|(a, b, style)| (a + offset, b + offset, *style)));
        }
    }
    Ok(())
}

/// When the protected channels of a stream have sound, in seconds from its first sample, with the style that holds there.
fn protected_sound(
    path: &Path,
    info: &AudioInfo,
    timeline: &Timeline,
    limits: &Limits,
    salvage: bool,
    check: &(dyn Fn() -> Result<()> + Sync),
) -> Result<Vec<(f64, f64, VoiceStyle)>> {
    let (rate, channels) = (f64::from(info.format.rate_hz), info.format.channels);
    let mut ears: Vec<(usize, Activity, Ranges)> = (0..channels)
        .filter(|c| timeline.is_ever(*c, |s| !s.is_open()))
        .map(|c| (c, Activity::new(info.format.rate_hz), Ranges::new(COVER_SECS, 1)))
        .collect();
    let mut reader = AudioReader::open(path, info.stream_index, limits, salvage)?;
    while let Some(block) = reader.next()? {
        check()?;
        for (c, activity, ranges) in &mut ears {
            activity.push(block.channels.get(*c).map_or(&[], Vec::as_slice), &mut |h| ranges.add(h.active));
        }
    }
    let mut out = Vec::new();
    for (c, activity, mut ranges) in ears {
        activity.finish(&mut |h| ranges.add(h.active));
        for (from, to) in ranges.finish() {
            let (a, b) = ((from * rate).floor() as u64, (to * rate).ceil() as u64);
            for s in timeline.segments(c, a, b).filter(|s| !s.style.is_open()) {
                out.push((from.max(s.start as f64 / rate), to.min(s.end as f64 / rate), s.style));
            }
        }
    }
    out.retain(|r| r.0 < r.1);
    Ok(out)
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
        let stage = VoiceStage::new(info.format, policy, statistics, secret)?;
        if stage.recorded_findings().contains(&VoiceFinding::PitchOnly) {
            tracing::warn!("{}", VoiceFinding::PitchOnly);
        }
        Ok(SoundMaker {
            index,
            format: info.format,
            start_secs: info.start_secs,
            reader: AudioReader::open(path, info.stream_index, limits, salvage)?,
            stage,
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

    /// Sound like syllables, in given seconds.
    fn syllables(seed: u64, times: &[(f64, f64)], secs: f64) -> Vec<f32> {
        const RATE: f64 = 16_000.0;
        let (mut s, mut low) = (seed, 0.0);
        let voiced = |t: f64| times.iter().any(|r| (r.0..r.1).contains(&t));
        (0..(secs * RATE) as usize)
            .map(|i| {
                let t = i as f64 / RATE;
                s = s.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                low += 0.3 * (((s >> 40) as f32 / (1u64 << 23) as f32) - 1.0 - low);
                let beat = (t * std::f64::consts::TAU * 3.0 + seed as f64).sin().max(0.05) as f32;
                if voiced(t) { 0.3 * beat * low } else { 0.0 }
            })
            .collect()
    }

    /// A stereo film's sound as a file: two microphones, each of which hears the other voice at `bleed`, 2 ms later.
    fn two_microphones(dir: &Path, a: &[f32], b: &[f32], bleed: f32) -> (std::path::PathBuf, Vec<Vec<f32>>) {
        let late = |x: &[f32], i: usize| i.checked_sub(32).map_or(0.0, |k| bleed * x[k]);
        let mut hiss = 77_u64;
        let mut noise = || {
            hiss = hiss.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            3e-4 * (((hiss >> 40) as f32 / (1u64 << 23) as f32) - 1.0)
        };
        let first: Vec<f32> = (0..a.len()).map(|i| a[i] + late(b, i) + noise()).collect();
        let second: Vec<f32> = (0..a.len()).map(|i| b[i] + late(a, i) + noise()).collect();
        let data: Vec<u8> = (0..a.len())
            .flat_map(|i| [first[i], second[i]])
            .flat_map(|v| ((v * 32767.0).round() as i16).to_le_bytes())
            .collect();
        let mut wav = Vec::new();
        wav.extend(b"RIFF");
        wav.extend((36 + data.len() as u32).to_le_bytes());
        wav.extend(b"WAVEfmt ");
        wav.extend(16_u32.to_le_bytes());
        wav.extend([1_u16, 2].iter().flat_map(|v| v.to_le_bytes()));
        wav.extend([16_000_u32, 64_000].iter().flat_map(|v| v.to_le_bytes()));
        wav.extend([4_u16, 16].iter().flat_map(|v| v.to_le_bytes()));
        wav.extend(b"data");
        wav.extend((data.len() as u32).to_le_bytes());
        wav.extend(data);
        let path = dir.join("two.wav");
        std::fs::write(&path, wav).unwrap();
        (path, vec![first, second])
    }

    /// What the voice stage makes of a file under a cast.
    fn made(path: &Path, cast: &str) -> (Vec<Vec<f32>>, Vec<Finding>, StreamPolicy) {
        crate::media::init();
        let mut probe = probe(&[2]);
        probe.video.start = Timestamp(0);
        probe.audio[0].stream_index = 0;
        probe.audio[0].format.rate_hz = 16_000;
        let (info, limits) = (&probe.audio, Limits::default());
        let mut policies = stream_policies(&Cast::parse(cast, "cast").unwrap(), &probe).unwrap();
        cover_bleed(path, info, &mut policies, &limits, false, &|| Ok(())).unwrap();
        let statistics = listen(path, info, &policies, &limits, false, &|| Ok(())).unwrap().swap_remove(0);
        let secret = Secret::from_os().unwrap();
        let mut maker = SoundMaker::open(path, 0, &info[0], &limits, false, &policies[0], statistics, &secret).unwrap();
        let mut out = vec![Vec::new(); 2];
        let mut take = |b: ClearedAudio| {
            out.iter_mut().zip(b.channels()).for_each(|(o, c)| o.extend_from_slice(c));
            Ok(())
        };
        while let Some(block) = maker.reader.next().unwrap() {
            maker.stage.push(&block, &mut take).unwrap();
        }
        maker.stage.finish(&mut take).unwrap();
        (out, maker.findings(), policies.swap_remove(0))
    }

    const TWO: &str = "[[person]]\nalias = \"A\"\nvoice = { channel = 1 }\n\
                       [[person]]\nalias = \"B\"\nvoice = { style = \"keep\", channel = 2BLEED }\n";

    #[test]
    fn what_a_kept_microphone_picks_up_of_a_protected_voice_is_disguised() {
        // A alone, B alone, both.
        let a = syllables(1, &[(3.0, 7.0), (14.0, 18.0)], 20.0);
        let b = syllables(2, &[(8.0, 12.0), (15.0, 17.0)], 20.0);
        let dir = tempfile::tempdir().unwrap();
        // 20 dB down at B's microphone; B is not heard at A's.
        let (path, _) = two_microphones(dir.path(), &a, &vec![0.0; b.len()], 0.1);
        let (_, mut recorded) = two_microphones(dir.path(), &a, &vec![0.0; b.len()], 0.1);
        recorded[1].iter_mut().zip(&b).for_each(|(r, b)| *r += b);
        rewrite(&path, &recorded);
        let leaks = |out: &[f32]| crate::voice::attack::leaked_windows(&a, out, 16_000).unwrap().leaked;
        let same = |out: &[f32], from: f64, to: f64| {
            let k = |s: f64| (s * 16_000.0) as usize;
            (k(from)..k(to)).all(|i| (out[i] - recorded[1][i]).abs() < 1e-4)
        };
        let (out, findings, policy) = made(&path, &TWO.replace("BLEED", ""));
        assert_eq!((leaks(&out[0]), leaks(&out[1])), (0, 0));
        assert!(findings.iter().any(|f| f.kind == "voice.bleed" && f.note.contains("accept")), "{findings:?}");
        // B stays as recorded where A is silent, but for the 250 ms about A's sound.
        assert!(same(&out[1], 8.0, 12.0) && same(&out[1], 0.0, 2.7) && !same(&out[1], 15.0, 17.0));
        let covers: Vec<_> = policy.covers.iter().map(|c| (c.0, c.1)).collect();
        for t in [(3.0, 7.0), (14.0, 18.0)] {
            assert!(covers.iter().any(|c| c.0 <= t.0 - 0.1 && c.1 >= t.1 - 0.1), "{covers:?}");
        }
        // The same without the cover: the attack finds A, so the test can fail. Nobody is cast for channel 1 here, because a
        // cast that protects by channel alone may not accept bleed.
        let alone = "[[person]]\nalias = \"B\"\nvoice = { style = \"keep\", channel = 2, bleed = \"accept\" }\n";
        let (out, findings, _) = made(&path, alone);
        assert!(leaks(&out[1]) > 50 && same(&out[1], 1.0, 19.0), "{}", leaks(&out[1]));
        assert!(findings.iter().any(|f| f.kind == "voice.bleed-accepted"), "{findings:?}");
        assert!(!findings.iter().any(|f| f.kind == "voice.bleed"));
        // A's own times hold all the same.
        let times = "[[person]]\nalias = \"A2\"\nvoice = { times = [[\"2.5\", \"7.5\"], [\"13.5\", \"18.5\"]] }\n";
        let (out, _, _) = made(&path, &format!("{}{times}", TWO.replace("BLEED", ", bleed = \"accept\"")));
        assert!(leaks(&out[1]) == 0 && same(&out[1], 7.6, 13.4));
    }

    /// Writes other samples into a file of `two_microphones`.
    fn rewrite(path: &Path, channels: &[Vec<f32>]) {
        let mut bytes = std::fs::read(path).unwrap();
        for i in 0..channels[0].len() {
            for (c, samples) in channels.iter().enumerate() {
                let v = ((samples[i] * 32767.0).round() as i16).to_le_bytes();
                bytes[44 + 4 * i + 2 * c..][..2].copy_from_slice(&v);
            }
        }
        std::fs::write(path, bytes).unwrap();
    }

    #[test]
    fn a_voice_that_nobody_is_cast_for_covers_kept_times_of_its_neighbours() {
        let a = syllables(1, &[(3.0, 7.0)], 12.0);
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = two_microphones(dir.path(), &a, &vec![0.0; a.len()], 0.1);
        // Only the kept channel is in the cast: what is on the other one is protected like everything that nobody claims.
        let alone = "[[person]]\nalias = \"B\"\nvoice = { style = \"keep\", channel = 2 }\n";
        let times = "[[person]]\nalias = \"A\"\nvoice = { channel = 1 }\n\
                     [[person]]\nalias = \"B\"\nvoice = { style = \"keep\", times = [[\"0:00\", \"0:12\"]] }\n";
        for cast in [alone, times] {
            let (out, _, _) = made(&path, cast);
            assert_eq!(crate::voice::attack::leaked_windows(&a, &out[1], 16_000).unwrap().leaked, 0, "{cast}");
        }
        // A kept neighbour in another stream, which starts later, is covered in its own time.
        crate::media::init();
        let mut probe = probe(&[2, 1]);
        probe.video.start = Timestamp(0);
        for s in &mut probe.audio {
            (s.stream_index, s.format.rate_hz) = (0, 16_000);
        }
        probe.audio[1].start_secs = 1.5;
        let cast = "[[person]]\nalias = \"B\"\nvoice = { style = \"keep\", channel = 1, stream = 2 }\n";
        let mut policies = stream_policies(&Cast::parse(cast, "cast").unwrap(), &probe).unwrap();
        cover_bleed(&path, &probe.audio, &mut policies, &Limits::default(), false, &|| Ok(())).unwrap();
        let first = policies[1].covers.iter().fold(f64::INFINITY, |m, c| m.min(c.0));
        assert!((first - (3.0 - 0.25 - 1.5)).abs() < 0.2, "{first}");
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
