//! The two passes over one sound stream.

use super::cleared::ClearedAudio;
use super::disguise::Excitation;
use super::features::FeatureStream;
use super::finding::VoiceFinding;
use super::loudness::{dither, limit};
use super::mix::{Layout, carries_actor, check_block, check_format, tame};
use super::policy::{Segment, StreamPolicy, Timeline, VoiceStyle};
use super::resample::Rate;
use super::secret::{Noise, Secret};
use super::statistics::{SpeechStatistics, StatisticsBuilder};
use super::tables::Tables;
use super::vocoder::Vocoder;
use super::{HOP, RATE_HZ};
use crate::audio::{AudioFormat, RawAudio};
use crate::{Error, Result};
use std::collections::VecDeque;

/// Cross-fade at the border of a kept or silenced range, inside that range.
const FADE_SECS: f64 = 0.02;
/// Constant noise on treated channels without voice: about −86 dB.
const FLOOR_PEAK: f32 = 1.2e-4;
/// Samples handed out at once, at most.
const BLOCK: usize = 32_768;

/// Pass 1: gathers the statistics of the speech that is to be disguised.
///
/// ```
/// use understudy::audio::{AudioFormat, RawAudio};
/// use understudy::voice::{Secret, SpeechAnalyser, StreamPolicy, VoiceStage};
/// # fn main() -> understudy::Result<()> {
/// let format = AudioFormat { rate_hz: 48_000, channels: 1, layout_mask: 4 };
/// let block = RawAudio { channels: vec![vec![0.0; 4800]], start: 0 };
/// let mut analyser = SpeechAnalyser::new(format)?;
/// analyser.push(&block)?;
/// let mut stage = VoiceStage::new(format, &StreamPolicy::default(), analyser.finish()?, &Secret::from_os()?)?;
/// let mut samples = 0;
/// let mut count = |audio: understudy::voice::ClearedAudio| {
///     samples += audio.len();
///     Ok(())
/// };
/// stage.push(&block, &mut count)?;
/// stage.finish(&mut count)?;
/// assert_eq!(samples, 4800);
/// # Ok(())
/// # }
/// ```
pub struct SpeechAnalyser {
    format: AudioFormat,
    timeline: Timeline,
    layout: Layout,
    rate: Rate,
    features: FeatureStream,
    statistics: StatisticsBuilder,
    taken: u64,
    mono: Vec<f32>,
    voice: Vec<f32>,
}

impl SpeechAnalyser {
    /// Analyses all channels as one protected voice.
    ///
    /// # Errors
    /// `Unsupported` if the format is.
    pub fn new(format: AudioFormat) -> Result<Self> {
        Self::for_policy(format, &StreamPolicy::default())
    }

    /// Analyses only what `policy` disguises, so that kept voices do not blur the statistics.
    ///
    /// # Errors
    /// `Unsupported` if the format is; `Plan` if the policy is wrong.
    pub fn for_policy(format: AudioFormat, policy: &StreamPolicy) -> Result<Self> {
        check_format(format)?;
        let timeline = Timeline::new(policy, format.channels, format.rate_hz)?;
        Ok(SpeechAnalyser {
            format,
            layout: Layout::new(format, &timeline),
            timeline,
            rate: Rate::new(format.rate_hz, RATE_HZ)?,
            features: FeatureStream::new(),
            statistics: StatisticsBuilder::new(),
            taken: 0,
            mono: Vec::new(),
            voice: Vec::new(),
        })
    }

    /// Feeds the next block.
    ///
    /// # Errors
    /// `Input` if the block does not continue the stream.
    pub fn push(&mut self, block: &RawAudio) -> Result<()> {
        check_block(block, self.format, self.taken)?;
        self.taken += block.len() as u64;
        self.layout.downmix(block, &self.timeline, &mut self.mono);
        self.voice.clear();
        self.rate.push(&self.mono, &mut self.voice)?;
        self.features.push(&self.voice, &mut |f| self.statistics.add(&f));
        Ok(())
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// `Model` if the tables are damaged.
    pub fn finish(mut self) -> Result<SpeechStatistics> {
        self.voice.clear();
        self.rate.finish(&mut self.voice)?;
        self.features.push(&self.voice, &mut |f| self.statistics.add(&f));
        self.features.finish(&mut |f| self.statistics.add(&f));
        Ok(self.statistics.finish(&Tables::embedded()?))
    }
}

/// Mono sound of an actor at the stream's rate: gives the next so many samples, in order; fewer mean silence.
pub type ActorTrack = Box<dyn FnMut(usize) -> Result<Vec<f32>>>;

/// Pass 2: renders the disguise. Sole maker of [`ClearedAudio`].
///
/// Emits exactly as many samples as it was fed, in contiguous blocks, about a second late. Input samples reach the
/// output only inside `Keep` segments: everywhere else they are not even stored. After any error it refuses to go on.
pub struct VoiceStage {
    format: AudioFormat,
    timeline: Timeline,
    layout: Layout,
    chain: Option<Chain>,
    /// Kept samples waiting for the vocoder, already faded; empty for channels that are never kept.
    kept: Vec<VecDeque<f32>>,
    voice: VecDeque<f32>,
    /// Actors by the number in [`VoiceStyle::Replace`].
    actors: Vec<(u16, ActorTrack)>,
    /// Channels on which actors are heard.
    actor_channels: Vec<bool>,
    noise: Noise,
    taken: u64,
    given: u64,
    findings: Vec<VoiceFinding>,
    stopped: bool,
    mono: Vec<f32>,
}

/// Vocoder and the rate conversions around it.
struct Chain {
    down: Rate,
    vocoder: Vocoder,
    up: Rate,
    low: Vec<f32>,
    spoken: Vec<f32>,
    ready: Vec<f32>,
}

impl VoiceStage {
    /// A stage for one stream. Its noise is drawn from the system each time, so no two renders are equal, unless
    /// the secret carries a seed for it.
    ///
    /// # Errors
    /// `Unsupported` if the format is; `Plan` if the policy is wrong; `Model` if the tables are damaged; `Io` if the
    /// system gives no randomness.
    pub fn new(format: AudioFormat, policy: &StreamPolicy, stats: SpeechStatistics, secret: &Secret) -> Result<Self> {
        check_format(format)?;
        let timeline = Timeline::new(policy, format.channels, format.rate_hz)?;
        let layout = Layout::new(format, &timeline);
        let vocoded = (0..format.channels).any(|c| timeline.is_ever_vocoded(c));
        let mut findings = if vocoded { stats.findings() } else { Vec::new() };
        if timeline.has(|s| matches!(s, VoiceStyle::Pitch { .. })) {
            findings.push(VoiceFinding::PitchOnly);
        }
        if timeline.has(|s| matches!(s, VoiceStyle::Replace(_))) {
            findings.push(VoiceFinding::Replaced);
        }
        if !policy.accepts.is_empty() {
            findings.push(VoiceFinding::BleedAccepted);
        }
        if timeline.covered_secs() > 0.0 {
            findings.push(VoiceFinding::Bleed { secs: timeline.covered_secs().min(1e9).ceil() as u64 });
        }
        let chain = if vocoded { Some(Chain::new(format, stats, secret, layout.voices())?) } else { None };
        Ok(VoiceStage {
            kept: vec![VecDeque::new(); format.channels],
            voice: VecDeque::new(),
            actors: Vec::new(),
            actor_channels: carries_actor(format, policy),
            noise: secret.noise("floor")?,
            mono: Vec::new(),
            taken: 0,
            given: 0,
            stopped: false,
            format,
            timeline,
            layout,
            chain,
            findings,
        })
    }

    /// Gives the actors that [`VoiceStyle::Replace`] names; where one is missing there is silence.
    #[must_use]
    pub fn with_actors(mut self, actors: Vec<(u16, ActorTrack)>) -> Self {
        self.actors = actors;
        self
    }

    /// Feeds the next block; `emit` gets what is ready.
    ///
    /// # Errors
    /// `Input` if the block does not continue the stream; whatever `emit` returns.
    pub fn push(&mut self, block: &RawAudio, emit: &mut dyn FnMut(ClearedAudio) -> Result<()>) -> Result<()> {
        self.guarded(|stage| {
            check_block(block, stage.format, stage.taken)?;
            stage.hold_kept(block);
            stage.layout.downmix(block, &stage.timeline, &mut stage.mono);
            stage.taken += block.len() as u64;
            match &mut stage.chain {
                Some(chain) => {
                    chain.push(&stage.mono, |f| excitation(&stage.timeline, stage.format, f))?;
                    stage.voice.extend(chain.ready.drain(..));
                }
                None => stage.voice.extend(stage.mono.iter().map(|_| 0.0)),
            }
            stage.emit_ready(stage.taken, emit)
        })
    }

    /// Drains what is held back. Called once.
    ///
    /// # Errors
    /// Whatever `emit` returns.
    pub fn finish(&mut self, emit: &mut dyn FnMut(ClearedAudio) -> Result<()>) -> Result<()> {
        self.guarded(|stage| {
            if let Some(chain) = &mut stage.chain {
                chain.finish(|f| excitation(&stage.timeline, stage.format, f))?;
                stage.voice.extend(chain.ready.drain(..));
            }
            let missing = (stage.taken - stage.given).saturating_sub(stage.voice.len() as u64);
            stage.voice.extend(std::iter::repeat_n(0.0, missing as usize));
            stage.emit_ready(stage.taken, emit)
        })?;
        self.stopped = true;
        Ok(())
    }

    /// What the report should say; complete after [`finish`](Self::finish).
    #[must_use]
    pub fn recorded_findings(&self) -> Vec<VoiceFinding> {
        let mut out = self.findings.clone();
        if let Some(chain) = &self.chain {
            if chain.vocoder.near_source() {
                out.push(VoiceFinding::NearSource);
            }
            let frames = chain.vocoder.failed();
            if frames > 0 {
                out.retain(|f| !matches!(f, VoiceFinding::Failed { .. }));
                out.push(VoiceFinding::Failed { frames });
            }
        }
        out
    }

    /// Runs one step; after an error no further step is run.
    fn guarded(&mut self, step: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.stopped {
            return Err(Error::Cancelled);
        }
        self.stopped = true;
        step(self)?;
        self.stopped = false;
        Ok(())
    }

    /// Stores the samples of kept segments, faded at their borders, and zeros for all others.
    fn hold_kept(&mut self, block: &RawAudio) {
        let end = block.start.saturating_add(block.len() as u64);
        let fade = fade_samples(self.format);
        for (c, (line, samples)) in self.kept.iter_mut().zip(&block.channels).enumerate() {
            for s in self.timeline.segments(c, block.start, end) {
                let (from, to) = (s.start.max(block.start), s.end.min(end));
                let keep = s.style == VoiceStyle::Keep;
                line.extend((from..to).map(|t| {
                    let x = samples[(t - block.start) as usize];
                    if keep { tame(x).clamp(-1.0, 1.0) * inside(s, t, fade) } else { 0.0 }
                }));
            }
        }
    }

    fn emit_ready(&mut self, until: u64, emit: &mut dyn FnMut(ClearedAudio) -> Result<()>) -> Result<()> {
        loop {
            let n = (self.voice.len().min(BLOCK) as u64).min(until - self.given) as usize;
            if n == 0 {
                self.voice.truncate((until - self.given) as usize);
                return Ok(());
            }
            let voice: Vec<f32> = self.voice.drain(..n).map(limit).collect();
            let mut spoken = Vec::with_capacity(self.actors.len());
            for (number, track) in &mut self.actors {
                let mut samples = track(n)?;
                samples.resize(n, 0.0);
                spoken.push((*number, samples));
            }
            let channels = (0..self.format.channels).map(|c| self.channel(c, &voice, &spoken)).collect();
            emit(ClearedAudio::new(channels, self.given))?;
            self.given += n as u64;
        }
    }

    /// One channel of a block: begins as zeros, gets voice or floor where treated, and held kept samples elsewhere.
    fn channel(&mut self, c: usize, voice: &[f32], actors: &[(u16, Vec<f32>)]) -> Vec<f32> {
        let mut out = vec![0.0_f32; voice.len()];
        let (start, end) = (self.given, self.given + voice.len() as u64);
        let fade = fade_samples(self.format);
        for s in self.timeline.segments(c, start, end) {
            let actor = actors.iter().find(|a| s.style == VoiceStyle::Replace(a.0)).filter(|_| self.actor_channels[c]);
            for t in s.start.max(start)..s.end.min(end) {
                let i = (t - start) as usize;
                if let Some((_, samples)) = actor {
                    out[i] += limit(samples[i]) * inside(s, t, fade);
                }
                let share = if s.style.is_vocoded() { 1.0 } else { 1.0 - inside(s, t, fade) };
                if share > 0.0 && self.layout.carries_voice[c] {
                    out[i] += share * (voice[i] + dither(&mut self.noise));
                } else if share > 0.0 && self.layout.carries_floor[c] {
                    out[i] += share * FLOOR_PEAK * self.noise.triangular();
                }
            }
        }
        out.iter_mut().zip(self.kept[c].drain(..voice.len())).for_each(|(o, k)| *o = (*o + k).clamp(-1.0, 1.0));
        out
    }
}

impl Chain {
    fn new(format: AudioFormat, stats: SpeechStatistics, secret: &Secret, channels: usize) -> Result<Self> {
        Ok(Chain {
            down: Rate::new(format.rate_hz, RATE_HZ)?,
            vocoder: Vocoder::new(stats, secret, channels)?,
            up: Rate::new(RATE_HZ, format.rate_hz)?,
            low: Vec::new(),
            spoken: Vec::new(),
            ready: Vec::new(),
        })
    }

    fn push(&mut self, mono: &[f32], excitation: impl Fn(u64) -> Excitation) -> Result<()> {
        self.low.clear();
        self.spoken.clear();
        self.down.push(mono, &mut self.low)?;
        self.vocoder.push(&self.low, excitation, &mut self.spoken);
        self.up.push(&self.spoken, &mut self.ready)
    }

    fn finish(&mut self, excitation: impl Fn(u64) -> Excitation) -> Result<()> {
        self.low.clear();
        self.spoken.clear();
        self.down.finish(&mut self.low)?;
        self.vocoder.push(&self.low, &excitation, &mut self.spoken);
        self.vocoder.finish(&excitation, &mut self.spoken);
        self.up.push(&self.spoken, &mut self.ready)?;
        self.up.finish(&mut self.ready)
    }
}

/// There is one voice per stream: in each frame the strictest one that a vocoded channel asks for.
fn excitation(timeline: &Timeline, format: AudioFormat, frame: u64) -> Excitation {
    let sample = frame.saturating_mul(HOP as u64 * u64::from(format.rate_hz)) / u64::from(RATE_HZ);
    let styles = (0..format.channels).map(|c| timeline.style(c, sample)).filter(|s| s.is_vocoded());
    match styles.max_by_key(|s| s.strictness()) {
        Some(VoiceStyle::Whisper) => Excitation::Whisper,
        Some(VoiceStyle::Pitch { cents, formants }) => {
            let log_ratio = f64::from(cents) / 1200.0 * std::f64::consts::LN_2;
            Excitation::Shift { log_ratio, formants: if formants { log_ratio.exp() } else { 1.0 } }
        }
        _ => Excitation::Voice,
    }
}

fn fade_samples(format: AudioFormat) -> f64 {
    (FADE_SECS * f64::from(format.rate_hz)).max(1.0)
}

/// How far inside its segment a sample lies: 0 at a border, 1 after the fade. The stream's own ends are no borders.
fn inside(segment: &Segment, sample: u64, fade: f64) -> f32 {
    let after = if segment.start == 0 { f64::INFINITY } else { (sample - segment.start) as f64 };
    let before = if segment.end == u64::MAX { f64::INFINITY } else { (segment.end - 1 - sample) as f64 };
    (after.min(before) / fade).min(1.0) as f32
}
