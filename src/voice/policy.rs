//! Which style holds at which sample of which channel.

use crate::{Error, Result};
use std::collections::BTreeSet;

/// What is done to a voice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VoiceStyle {
    /// Spoken by an invented voice. The default.
    Pseudo,
    /// The same without pitch.
    Whisper,
    /// Shifted in pitch, nothing else: for art. No protection, anybody can shift it back.
    Pitch {
        /// Semitones up, in hundredths.
        cents: i16,
        /// Whether the resonances of the vocal tract move with the pitch.
        formants: bool,
    },
    /// Spoken by an actor: the track with this number is heard in its place.
    Replace(u16),
    /// Digital silence.
    Silence,
    /// Left as recorded. Only ever by an explicit entry of the cast.
    Keep,
}

impl VoiceStyle {
    /// Order of protection: where two entries meet on a listed channel, the stricter one holds.
    pub(crate) fn strictness(self) -> u8 {
        match self {
            VoiceStyle::Keep => 0,
            VoiceStyle::Pitch { .. } => 1,
            VoiceStyle::Pseudo => 2,
            VoiceStyle::Whisper => 3,
            VoiceStyle::Replace(_) => 4,
            VoiceStyle::Silence => 5,
        }
    }

    fn stricter(self, other: VoiceStyle) -> VoiceStyle {
        if other.strictness() > self.strictness() { other } else { self }
    }

    /// Whether a style protects nobody.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, VoiceStyle::Keep | VoiceStyle::Pitch { .. })
    }

    /// Whether the sound passes through the vocoder.
    #[must_use]
    pub fn is_vocoded(self) -> bool {
        matches!(self, VoiceStyle::Pseudo | VoiceStyle::Whisper | VoiceStyle::Pitch { .. })
    }
}

/// Styles of one sound stream.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StreamPolicy {
    /// Style wherever nothing else is said.
    pub default: VoiceStyle,
    /// Half-open ranges in seconds; earlier entries win. `f64::INFINITY` as end means to the end.
    pub ranges: Vec<(f64, f64, VoiceStyle)>,
    /// Styles of single channels. Inside a range the stricter of both holds, so that a protected person's
    /// range also covers what a kept microphone picks up of them.
    pub channels: Vec<(usize, VoiceStyle)>,
    /// Half-open ranges in seconds in which a protected voice is heard on another channel, with its style: it holds on
    /// every channel that would be open there, because that one may have picked the voice up too.
    pub covers: Vec<(f64, f64, VoiceStyle)>,
    /// Listed open channels for which `covers` do not count: whoever they picked up may be heard.
    pub accepts: Vec<usize>,
}

impl Default for StreamPolicy {
    fn default() -> Self {
        StreamPolicy {
            default: VoiceStyle::Pseudo,
            ranges: Vec::new(),
            channels: Vec::new(),
            covers: Vec::new(),
            accepts: Vec::new(),
        }
    }
}

/// Ranges that one policy may have.
const MAX_RANGES: usize = 100_000;

/// A run of samples of one style, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// First sample.
    pub start: u64,
    /// Sample after the last; `u64::MAX` = never ends.
    pub end: u64,
    /// Style in between.
    pub style: VoiceStyle,
}

/// Segments of every channel, covering all time without gaps; neighbours differ in style.
pub struct Timeline {
    channels: Vec<Vec<Segment>>,
    covered_secs: f64,
}

impl Timeline {
    /// Works a policy out for `channels` channels at `rate_hz`.
    ///
    /// Borders are rounded so that a kept range never grows and a treated one never shrinks.
    ///
    /// # Errors
    /// `Plan` if a range is empty or not a number, a channel does not exist, or there are too many ranges.
    pub fn new(policy: &StreamPolicy, channels: usize, rate_hz: u32) -> Result<Self> {
        if policy.ranges.len().max(policy.covers.len() / 64) > MAX_RANGES {
            return Err(Error::Plan(format!("more than {MAX_RANGES} voice ranges; join neighbouring ones")));
        }
        let explicit = sweep(&sample_ranges(&policy.ranges, rate_hz)?);
        let mut covers = policy.covers.clone();
        covers.sort_by_key(|c| std::cmp::Reverse(c.2.strictness()));
        let pieces = meet(&explicit, &sweep(&sample_ranges(&covers, rate_hz)?));
        let mut listed: Vec<Option<VoiceStyle>> = vec![None; channels];
        for (channel, style) in &policy.channels {
            let slot = listed.get_mut(*channel).ok_or_else(|| {
                Error::Plan(format!("voice channel {channel} does not exist: the sound has {channels} channels"))
            })?;
            *slot = Some(slot.map_or(*style, |s| s.stricter(*style)));
        }
        let mut covered = 0_u64;
        let mut work_out = |(channel, own): (usize, &Option<VoiceStyle>)| {
            let asked = |range: Option<VoiceStyle>| match (own, range) {
                (Some(own), Some(range)) => own.stricter(range),
                (Some(own), None) => *own,
                (None, range) => range.unwrap_or(policy.default),
            };
            let accepts = own.is_some_and(VoiceStyle::is_open) && policy.accepts.contains(&channel);
            join(pieces.iter().map(|(start, end, range, cover)| {
                let asked = asked(*range);
                let style = match cover {
                    Some(cover) if asked.is_open() && !accepts => {
                        covered = u64::saturating_add(covered, end.saturating_sub(*start));
                        asked.stricter(*cover)
                    }
                    _ => asked,
                };
                Segment { start: *start, end: *end, style }
            }))
        };
        let channels = listed.iter().enumerate().map(&mut work_out).collect();
        Ok(Timeline { channels, covered_secs: covered as f64 / f64::from(rate_hz.max(1)) })
    }

    /// Segments of a channel that meet samples `start..end`.
    pub fn segments(&self, channel: usize, start: u64, end: u64) -> impl Iterator<Item = &Segment> {
        let all = self.channels.get(channel).map_or(&[][..], Vec::as_slice);
        let first = all.partition_point(|s| s.end <= start);
        all[first..].iter().take_while(move |s| s.start < end)
    }

    /// Style of a channel at one sample; silence for a channel that does not exist.
    #[must_use]
    pub fn style(&self, channel: usize, sample: u64) -> VoiceStyle {
        self.segments(channel, sample, sample.saturating_add(1)).next().map_or(VoiceStyle::Silence, |s| s.style)
    }

    /// Seconds of open channels that are covered because a protected voice may be in them; channels are added up.
    #[must_use]
    pub fn covered_secs(&self) -> f64 {
        self.covered_secs
    }

    /// Whether any channel ever has a style of this kind.
    #[must_use]
    pub fn has(&self, kind: impl Fn(VoiceStyle) -> bool) -> bool {
        self.channels.iter().flatten().any(|s| kind(s.style))
    }

    /// Whether a channel is ever vocoded.
    #[must_use]
    pub fn is_ever_vocoded(&self, channel: usize) -> bool {
        self.is_ever(channel, VoiceStyle::is_vocoded)
    }

    /// Whether a channel ever has a style of this kind.
    #[must_use]
    pub fn is_ever(&self, channel: usize, kind: impl Fn(VoiceStyle) -> bool) -> bool {
        self.channels.get(channel).is_some_and(|c| c.iter().any(|s| kind(s.style)))
    }
}

fn sample_ranges(ranges: &[(f64, f64, VoiceStyle)], rate_hz: u32) -> Result<Vec<(u64, u64, VoiceStyle)>> {
    let rate = f64::from(rate_hz);
    let mut out = Vec::with_capacity(ranges.len());
    for (start, end, style) in ranges {
        if start.is_nan() || end.is_nan() || start >= end {
            return Err(Error::Plan(format!("the voice range {start}..{end} s is empty; give start before end")));
        }
        // Casting saturates: negative becomes 0, infinity the largest number. A billionth of a sample of slack
        // keeps times such as 0.1 s from moving by one.
        let (a, b) = (start * rate, end * rate);
        let (a, b) = match style {
            style if style.is_open() => ((a - 1e-6).ceil() as u64, (b + 1e-6).floor() as u64),
            _ => ((a + 1e-6).floor() as u64, (b - 1e-6).ceil() as u64),
        };
        if a < b {
            out.push((a, b, *style));
        }
    }
    Ok(out)
}

/// Cuts time at every border and finds the earliest entry in each piece.
fn sweep(ranges: &[(u64, u64, VoiceStyle)]) -> Vec<(u64, u64, Option<VoiceStyle>)> {
    let mut events: Vec<(u64, bool, usize)> =
        ranges.iter().enumerate().flat_map(|(i, r)| [(r.0, true, i), (r.1, false, i)]).collect();
    events.sort_unstable();
    let (mut active, mut out, mut from) = (BTreeSet::new(), Vec::new(), 0);
    for (at, opens, entry) in events {
        if at > from {
            out.push((from, at, active.first().map(|i: &usize| ranges[*i].2)));
            from = at;
        }
        if opens {
            active.insert(entry);
        } else {
            active.remove(&entry);
        }
    }
    if from < u64::MAX {
        out.push((from, u64::MAX, active.first().map(|i| ranges[*i].2)));
    }
    out
}

type Piece = (u64, u64, Option<VoiceStyle>);

/// Cuts two sequences that both cover all time at the borders of either.
fn meet(a: &[Piece], b: &[Piece]) -> Vec<(u64, u64, Option<VoiceStyle>, Option<VoiceStyle>)> {
    let (mut i, mut j, mut from, mut out) = (0, 0, 0, Vec::with_capacity(a.len() + b.len()));
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        let to = x.1.min(y.1);
        out.push((from, to, x.2, y.2));
        from = to;
        i += usize::from(x.1 == to);
        j += usize::from(y.1 == to);
    }
    out
}

fn join(segments: impl Iterator<Item = Segment>) -> Vec<Segment> {
    let mut out: Vec<Segment> = Vec::new();
    for s in segments {
        match out.last_mut() {
            Some(last) if last.style == s.style => last.end = s.end,
            _ => out.push(s),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use VoiceStyle::{Keep, Pseudo, Silence, Whisper};

    fn timeline(ranges: &[(f64, f64, VoiceStyle)], channels: &[(usize, VoiceStyle)]) -> Timeline {
        let policy = StreamPolicy {
            default: Pseudo,
            ranges: ranges.to_vec(),
            channels: channels.to_vec(),
            ..StreamPolicy::default()
        };
        Timeline::new(&policy, 2, 100).unwrap()
    }

    #[test]
    fn earlier_entries_win_and_ends_are_half_open() {
        let t = timeline(&[(1.0, 2.0, Silence), (0.0, 3.0, Keep)], &[]);
        let styles: Vec<_> = [0, 99, 100, 199, 200, 299, 300].iter().map(|s| t.style(0, *s)).collect();
        assert_eq!(styles, [Keep, Keep, Silence, Silence, Keep, Keep, Pseudo]);
    }

    #[test]
    fn borders_favour_protection() {
        let t = timeline(&[(0.101, 0.299, Keep), (1.009, 1.101, Whisper)], &[]);
        assert_eq!((t.style(0, 10), t.style(0, 11), t.style(0, 28), t.style(0, 29)), (Pseudo, Keep, Keep, Pseudo));
        assert_eq!(
            (t.style(0, 99), t.style(0, 100), t.style(0, 110), t.style(0, 111)),
            (Pseudo, Whisper, Whisper, Pseudo)
        );
    }

    #[test]
    fn a_listed_channel_yields_to_a_stricter_range_only() {
        let t = timeline(&[(1.0, 2.0, Pseudo), (3.0, 4.0, Keep)], &[(0, Keep), (1, Whisper)]);
        assert_eq!([0, 150, 350].map(|s| t.style(0, s)), [Keep, Pseudo, Keep]);
        assert_eq!([0, 150, 350].map(|s| t.style(1, s)), [Whisper, Whisper, Whisper]);
    }

    #[test]
    fn a_protected_voice_on_another_channel_covers_what_is_open_unless_it_is_accepted() {
        let shift = VoiceStyle::Pitch { cents: 100, formants: false };
        let policy = |channels: &[(usize, VoiceStyle)], accepts: &[usize]| StreamPolicy {
            ranges: vec![(5.0, 9.0, Keep)],
            channels: channels.to_vec(),
            covers: vec![(1.0, 2.0, Pseudo), (1.5, 3.0, Silence), (6.0, 7.0, Whisper)],
            accepts: accepts.to_vec(),
            ..StreamPolicy::default()
        };
        let at = |t: &Timeline, c| [50, 100, 150, 250, 300, 550, 650, 750, 950].map(|s| t.style(c, s));
        for open in [Keep, shift] {
            let t = Timeline::new(&policy(&[(0, open)], &[]), 3, 100).unwrap();
            assert_eq!(at(&t, 0), [open, Pseudo, Silence, Silence, open, open, Whisper, open, open]);
            // What is not open stays as it was; what a range opens is covered too.
            assert_eq!(at(&t, 1), [Pseudo, Pseudo, Pseudo, Pseudo, Pseudo, Keep, Whisper, Keep, Pseudo]);
            assert!((t.covered_secs() - (2.0 + 3.0)).abs() < 1e-9, "{}", t.covered_secs());
            let t = Timeline::new(&policy(&[(0, open)], &[0]), 3, 100).unwrap();
            assert_eq!(at(&t, 0)[..5], [open; 5]);
            assert_eq!(at(&t, 2)[6], Whisper);
        }
        // Nothing is accepted for a channel that is not open itself.
        let t = Timeline::new(&policy(&[], &[0]), 1, 100).unwrap();
        assert_eq!(t.style(0, 650), Whisper);
    }

    #[test]
    fn nonsense_is_refused() {
        let policy = |r, c| StreamPolicy { default: Pseudo, ranges: r, channels: c, ..StreamPolicy::default() };
        assert!(Timeline::new(&policy(vec![(2.0, 1.0, Keep)], vec![]), 1, 100).is_err());
        assert!(Timeline::new(&policy(vec![(f64::NAN, 1.0, Keep)], vec![]), 1, 100).is_err());
        assert!(Timeline::new(&policy(vec![], vec![(1, Keep)]), 1, 100).is_err());
        let t = Timeline::new(&policy(vec![(-5.0, f64::INFINITY, Silence)], vec![]), 1, 100).unwrap();
        assert_eq!(t.style(0, u64::MAX - 2), Silence);
    }
}
