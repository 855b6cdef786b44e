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
    for person in &cast.people {
        let Some(voice) = &person.voice else { continue };
        let style = match voice.style.as_str() {
            "keep" => VoiceStyle::Keep,
            "whisper" => VoiceStyle::Whisper,
            "silence" => VoiceStyle::Silence,
            _ => VoiceStyle::Pseudo,
        };
        let at = person.alias.span().start;
        let times: Vec<(f64, f64)> =
            voice.times.iter().filter_map(|(a, b)| Some((parse_timecode(a)?, parse_timecode(b)?))).collect();
        if let Some(channel) = voice.channel {
            if !streams.iter().any(|s| channel <= s.format.channels) {
                return Err(cast.error_at(at, &format!("no sound stream has a channel {channel}")));
            }
            for (policy, stream) in policies.iter_mut().zip(streams) {
                if channel <= stream.format.channels {
                    policy.channels.push((channel - 1, style));
                }
            }
        } else if !times.is_empty() {
            for (policy, stream) in policies.iter_mut().zip(streams) {
                // Times in a cast count from the first picture; samples count from the stream's own start.
                let offset = begin - stream.start_secs;
                policy.ranges.extend(times.iter().map(|(a, b)| (a + offset, b + offset, style)));
            }
        } else if style == VoiceStyle::Keep {
            return Err(cast.error_at(at, "voice \"keep\" needs `channel` or `times`: who else speaks is not known"));
        } else if cast.people.len() == 1 {
            policies.iter_mut().for_each(|p| p.default = style);
        } else {
            return Err(cast.error_at(at, "this voice style needs `channel` or `times` when several people are cast"));
        }
    }
    // Earlier ranges win, so kept ones come last: where a protected person may speak too, nothing is kept.
    policies.iter_mut().for_each(|p| p.ranges.sort_by_key(|r| r.2 == VoiceStyle::Keep));
    Ok(policies)
}

/// Times (seconds from a stream's first sample) in which a recorded voice may be heard, over all streams.
#[must_use]
pub fn kept_times(policies: &[StreamPolicy]) -> Vec<(f64, f64)> {
    let mut times = Vec::new();
    for p in policies {
        if p.default == VoiceStyle::Keep || p.channels.iter().any(|(_, s)| *s == VoiceStyle::Keep) {
            times.push((0.0, f64::INFINITY));
        }
        times.extend(p.ranges.iter().filter(|r| r.2 == VoiceStyle::Keep).map(|r| (r.0, r.1)));
    }
    times
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
    pub fn open(
        path: &Path,
        index: usize,
        info: &AudioInfo,
        limits: &Limits,
        salvage: bool,
        policy: &StreamPolicy,
        statistics: SpeechStatistics,
    ) -> Result<Self> {
        let secret = Secret::from_os()?;
        Ok(SoundMaker {
            index,
            format: info.format,
            start_secs: info.start_secs,
            reader: AudioReader::open(path, info.stream_index, limits, salvage)?,
            stage: VoiceStage::new(info.format, policy, statistics, &secret)?,
            ready: VecDeque::new(),
            ended: false,
        })
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
