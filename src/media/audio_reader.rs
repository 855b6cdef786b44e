//! Sound of a film as one unbroken run of samples.

use super::decode::Source;
use super::ffi::{SampleKind, SoundFacts, rescale};
use super::open::Opened;
use super::probe::AudioInfo;
use super::{Damage, Limits, sound};
use crate::audio::{AudioFormat, RawAudio};
use crate::{Error, Result};
use std::path::Path;

/// Most samples per channel in one block.
const BLOCK: usize = 8192;
/// Most channels that are handled.
const MAX_CHANNELS: usize = 64;
/// Deviation of a block's time stamp from the samples so far, above which it is a gap or an overlap: 20 ms, more than
/// the rounding of any container's clock and less than a viewer notices in lip movements.
const TOLERANCE_SECS: f64 = 0.02;

/// Reads one sound stream.
///
/// Gaps are filled with silence and overlaps cut, so that sample `n` sounds `n / rate` seconds after
/// [`AudioInfo::start_secs`].
pub struct AudioReader {
    source: Source,
    info: AudioInfo,
    max_samples: u64,
    time_base: (i64, i64),
    first_pts: Option<i64>,
    /// The first block has been decoded but not queued.
    waiting: bool,
    queue: Vec<Vec<f32>>,
    taken: usize,
    silence: u64,
    delivered: u64,
}

impl AudioReader {
    /// Opens the sound stream with number `stream_index` and decodes its first block.
    ///
    /// # Errors
    /// `Input` if there is no such sound or it is empty, `Unsupported` if it cannot be decoded.
    pub fn open(path: &Path, stream_index: usize, limits: &Limits, salvage: bool) -> Result<Self> {
        let choose = |o: &Opened| match o.streams.get(stream_index) {
            Some(s) if s.kind == "audio" && s.has_decoder => Ok(stream_index),
            Some(s) if s.kind == "audio" => Err(Error::Unsupported(format!(
                "no decoder for sound of type {} in this FFmpeg; convert it to AAC or PCM first",
                s.codec
            ))),
            _ => Err(Error::Input(format!("stream {stream_index} of the film is no sound"))),
        };
        let mut source = Source::open(path, limits, 1, salvage, choose)?;
        let mut found = false;
        while !found && source.advance()? {
            found = source.frame.sound_facts().samples > 0;
        }
        if !found {
            return Err(Error::Input(format!("sound stream {stream_index} of the film is empty")));
        }
        let first = source.frame.sound_facts();
        let s = &source.opened.streams[stream_index];
        let time_base = (i64::from(s.time_base.0.max(1)), i64::from(s.time_base.1.max(1)));
        let rate_hz = u32::try_from(first.rate).ok().filter(|r| (1..=768_000).contains(r));
        let (Some(rate_hz), 1..=MAX_CHANNELS, Some(format)) = (rate_hz, first.channels, first.format) else {
            return Err(Error::Unsupported(format!(
                "sound with {} channels at {} Hz cannot be treated; convert it to 48 kHz stereo first",
                first.channels, first.rate
            )));
        };
        let lossless = s.codec.starts_with("pcm_")
            || matches!(s.codec.as_str(), "flac" | "alac" | "wavpack" | "tta" | "ape" | "mlp" | "truehd" | "shorten");
        let start = first.pts.unwrap_or(0);
        let info = AudioInfo {
            stream_index,
            codec: s.codec.clone(),
            format: AudioFormat { rate_hz, channels: first.channels, layout_mask: first.layout_mask },
            start_secs: start as f64 * time_base.0 as f64 / time_base.1 as f64,
            bit_rate: u64::try_from(s.bit_rate).unwrap_or(0),
            bits: match (lossless, u32::try_from(s.raw_bits)) {
                (false, _) => 0,
                (true, Ok(b @ 1..=64)) => b,
                (true, _) => format.bytes() as u32 * 8,
            },
            float: lossless && matches!(format.kind, SampleKind::F32 | SampleKind::F64),
        };
        let max_samples = (limits.max_duration_secs * f64::from(rate_hz)) as u64;
        let queue = vec![Vec::new(); first.channels];
        Ok(AudioReader {
            source,
            info,
            max_samples,
            time_base,
            first_pts: first.pts,
            waiting: true,
            queue,
            taken: 0,
            silence: 0,
            delivered: 0,
        })
    }

    /// What the sound is.
    #[must_use]
    pub fn info(&self) -> &AudioInfo {
        &self.info
    }

    /// What has been skipped so far.
    #[must_use]
    pub fn damage(&self) -> Damage {
        self.source.damage
    }

    /// The next samples, 1..=8192 per channel, or `None` at the end.
    ///
    /// # Errors
    /// `Input` for damage (unless salvaging), `Unsupported` if rate or channels change, `Limit` past the limits.
    #[expect(clippy::should_implement_trait, reason = "fallible, so no Iterator")]
    pub fn next(&mut self) -> Result<Option<RawAudio>> {
        while self.silence == 0 && self.queued() == 0 {
            if !std::mem::take(&mut self.waiting) && !self.source.advance()? {
                return Ok(None);
            }
            self.enqueue()?;
        }
        let start = self.delivered;
        let channels = if self.silence > 0 {
            let n = self.silence.min(BLOCK as u64);
            self.silence -= n;
            self.delivered += n;
            vec![vec![0.0; n as usize]; self.info.format.channels]
        } else {
            let n = self.queued().min(BLOCK);
            let span = self.taken..self.taken + n;
            self.taken += n;
            self.delivered += n as u64;
            self.queue.iter().map(|c| c[span.clone()].to_vec()).collect()
        };
        Ok(Some(RawAudio { channels, start }))
    }

    fn queued(&self) -> usize {
        self.queue.first().map_or(0, Vec::len) - self.taken
    }

    /// Converts the decoded block and finds its place after what has been delivered. The queue is empty.
    fn enqueue(&mut self) -> Result<()> {
        let facts = self.source.frame.sound_facts();
        let format = self.info.format;
        let fmt = match facts.format {
            Some(f) if facts.channels == format.channels && i64::from(facts.rate) == i64::from(format.rate_hz) => f,
            _ => {
                return Err(Error::Unsupported(format!(
                    "sound stream {} changes its rate or channels within the film; convert it to one format first",
                    self.info.stream_index
                )));
            }
        };
        self.taken = 0;
        for (i, out) in self.queue.iter_mut().enumerate() {
            out.clear();
            let len = facts.samples * fmt.bytes() * if fmt.planar { 1 } else { facts.channels };
            let plane =
                self.source.frame.sound_plane(if fmt.planar { i } else { 0 }, len).ok_or_else(|| {
                    Error::Input("a block of sound came out of the decoder with too little data".into())
                })?;
            sound::read_channel(fmt, plane, i, facts.channels, out);
        }
        self.align(&facts);
        if self.delivered.saturating_add(self.silence) > self.max_samples {
            return Err(Error::Limit("the sound lasts longer than the limit; cut the film into parts first".into()));
        }
        Ok(())
    }

    fn align(&mut self, facts: &SoundFacts) {
        let (Some(pts), rate) = (facts.pts, i64::from(self.info.format.rate_hz)) else { return };
        let first = *self.first_pts.get_or_insert(pts);
        let place = rescale(pts.saturating_sub(first), self.time_base, (1, rate));
        let off = place.saturating_sub(self.delivered.min(i64::MAX as u64) as i64);
        let tolerance = (TOLERANCE_SECS * rate as f64) as i64;
        if off > tolerance {
            self.silence = off.unsigned_abs();
        } else if off < -tolerance {
            self.taken = (off.unsigned_abs().min(facts.samples as u64)) as usize;
        }
    }
}
