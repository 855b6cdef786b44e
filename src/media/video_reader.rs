//! Pictures of a film, upright and planar, in presentation order.

use super::Limits;
use super::decode::Source;
use super::ffi::{FrameFacts, PixFmt, rescale};
use super::open::{Opened, check_size};
use super::pixels::Unpacker;
use super::probe::{ContentLight, MasteringDisplay, VideoInfo, film_stream, turn_of, video_info};
use super::turn::Turn;
use crate::image::{Frame, RawFrame};
use crate::units::{FrameIndex, Timestamp};
use crate::{Error, Result};
use std::path::Path;

/// How to decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Decoder threads, 1..=16. The pictures do not depend on it.
    pub threads: usize,
    /// Skip what is damaged and count it, instead of stopping with an error.
    pub salvage: bool,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        DecodeOptions { threads: 2, salvage: false }
    }
}

/// What salvage had to skip.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Damage {
    /// Failed reads and packets that could not be decoded.
    pub packets: u64,
    /// Pictures or blocks of sound that came out with faults, and were skipped.
    pub frames: u64,
    /// Bytes that are missing at the end of the file.
    pub missing_bytes: u64,
}

impl Damage {
    /// Whether nothing was wrong.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Damage::default()
    }
}

/// Reads the pictures of a film.
///
/// Every picture has the size and layout of [`VideoReader::info`]; time stamps strictly rise.
pub struct VideoReader {
    source: Source,
    limits: Limits,
    info: VideoInfo,
    stored: (usize, usize, PixFmt),
    unpacker: Unpacker,
    turn: Turn,
    /// The first picture has been decoded but not given out.
    waiting: bool,
    next_index: u64,
    last_pts: Option<i64>,
}

impl VideoReader {
    /// Opens a film and decodes its first picture.
    ///
    /// # Errors
    /// As [`super::probe`](super::probe()); without `salvage` also `Input` if the file is shorter than it says.
    pub fn open(path: &Path, limits: &Limits, options: DecodeOptions) -> Result<Self> {
        let choose = |o: &Opened| film_stream(o).map(|s| s.index);
        let mut source = Source::open(path, limits, options.threads, options.salvage, choose)?;
        if !source.advance()? {
            return Err(Error::Input(format!(
                "the film holds no picture that can be decoded; check that it plays: {}",
                path.display()
            )));
        }
        let first = source.frame.facts();
        check_size(first.width, first.height, limits)?;
        let format = first.format.ok_or_else(|| Error::Unsupported("the pictures have an unknown format".into()))?;
        let film = film_stream(&source.opened)?;
        let turn = turn_of(film)?;
        let unpacker = Unpacker::new(format)?;
        let rate = source.opened.input.bit_rate();
        let mut info = video_info(film, &first, unpacker.layout, unpacker.full_range, turn, rate)?;
        let side = |name| source.frame.side_data(name);
        if info.hdr.mastering.is_none() {
            info.hdr.mastering = side("Mastering display metadata").and_then(|d| MasteringDisplay::from_bytes(&d));
        }
        if info.hdr.light.is_none() {
            info.hdr.light = side("Content light level metadata").and_then(|d| ContentLight::from_bytes(&d));
        }
        if source.opened.elementary {
            info.start = Timestamp(0);
        }
        let stored = (first.width, first.height, format);
        let limits = *limits;
        Ok(VideoReader { source, limits, info, stored, unpacker, turn, waiting: true, next_index: 0, last_pts: None })
    }

    /// What the film is.
    #[must_use]
    pub fn info(&self) -> &VideoInfo {
        &self.info
    }

    pub(super) fn opened(&self) -> &Opened {
        &self.source.opened
    }

    /// What has been skipped so far.
    #[must_use]
    pub fn damage(&self) -> Damage {
        self.source.damage
    }

    /// The next picture, or `None` at the end.
    ///
    /// # Errors
    /// `Input` for damage (unless salvaging), `Unsupported` if size or format change, `Limit` past the limits.
    #[expect(clippy::should_implement_trait, reason = "fallible, so no Iterator")]
    pub fn next(&mut self) -> Result<Option<RawFrame>> {
        if !std::mem::take(&mut self.waiting) && !self.source.advance()? {
            return Ok(None);
        }
        let facts = self.source.frame.facts();
        let (width, height, format) = self.stored;
        if (facts.width, facts.height, facts.format) != (width, height, Some(format)) {
            return Err(Error::Unsupported(format!(
                "the picture changes its size or format at picture {} (from {width} × {height} to {} × {}); \
                 cut the film there and treat the parts one by one",
                self.next_index, facts.width, facts.height
            )));
        }
        let pts = self.time_of(&facts);
        self.check_limits(pts)?;
        let planes = self.unpacker.unpack(&self.source.frame, width, height)?;
        let planes = self.turn.apply(planes, self.unpacker.layout, width, height);
        let frame = Frame {
            width: self.info.width,
            height: self.info.height,
            layout: self.info.layout,
            color: self.info.color,
            planes,
            interlaced: self.info.interlaced && facts.interlaced,
            top_field_first: self.info.interlaced
                && facts.interlaced
                && (facts.top_field_first != (self.turn.flip_y && height.is_multiple_of(2))),
        };
        let index = FrameIndex(self.next_index);
        self.next_index += 1;
        self.last_pts = Some(pts);
        let duration = (facts.duration > 0).then_some(facts.duration);
        Ok(Some(RawFrame { frame, index, pts: Timestamp(pts), duration }))
    }

    /// Ticks from the first picture to picture `n` at the average rate.
    fn spaced(&self, n: u64) -> i64 {
        let tb = self.info.time_base;
        let (num, den) = self.info.frame_rate;
        let tick = (i64::from(tb.num.get()), i64::from(tb.den.get()));
        rescale(n.min(i64::MAX as u64) as i64, (i64::from(den), i64::from(num)), tick)
    }

    fn time_of(&self, facts: &FrameFacts) -> i64 {
        let stated = if self.source.opened.elementary { None } else { facts.pts };
        let pts = match (stated, self.last_pts) {
            (Some(pts), _) => pts,
            (None, _) if self.source.opened.elementary => self.spaced(self.next_index),
            (None, Some(last)) => last.saturating_add(self.spaced(1).max(1)),
            (None, None) => self.info.start.0,
        };
        self.last_pts.map_or(pts, |last| pts.max(last.saturating_add(1)))
    }

    fn check_limits(&self, pts: i64) -> Result<()> {
        if self.next_index >= self.limits.max_frames {
            return Err(Error::Limit(format!(
                "the film has more than {} pictures; cut it into parts first",
                self.limits.max_frames
            )));
        }
        let tb = self.info.time_base;
        if tb.seconds(Timestamp(pts)) - tb.seconds(self.info.start) > self.limits.max_duration_secs {
            return Err(Error::Limit(format!(
                "the film lasts longer than the limit of {:.0} s; cut it into parts first",
                self.limits.max_duration_secs
            )));
        }
        Ok(())
    }
}
