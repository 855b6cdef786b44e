//! Which channels are heard as the voice, and where the invented voice is placed.

use super::policy::{StreamPolicy, Timeline, VoiceStyle};
use crate::audio::{AudioFormat, RawAudio};
use crate::{Error, Result};

/// Bits of FFmpeg's channel mask.
const FRONT: u64 = 0b11;
const CENTRE: u64 = 0b100;
const LOW_FREQUENCY: u64 = 0b1000 | 0x8_0000_0000;

/// Lowest and highest rate accepted, and the most channels.
const RATES_HZ: std::ops::RangeInclusive<u32> = 4_000..=768_000;
const MAX_CHANNELS: usize = 64;
/// Input samples are clipped here before anything is computed from them.
const INPUT_LIMIT: f32 = 8.0;

/// Weights of the channels in the mono mix, and the channels that carry the result.
pub struct Layout {
    mix: Vec<f32>,
    /// Channels that carry the invented voice.
    pub carries_voice: Vec<bool>,
    /// Treated channels that carry a constant noise floor only.
    pub carries_floor: Vec<bool>,
}

/// Checks that a format is one this stage can treat.
///
/// # Errors
/// `Unsupported` if not.
pub fn check_format(format: AudioFormat) -> Result<()> {
    if !RATES_HZ.contains(&format.rate_hz) {
        return Err(Error::Unsupported(format!("sound at {} Hz; convert it to 8 to 192 kHz first", format.rate_hz)));
    }
    if format.channels == 0 || format.channels > MAX_CHANNELS {
        return Err(Error::Unsupported(format!("sound of {} channels; 1 to {MAX_CHANNELS} work", format.channels)));
    }
    Ok(())
}

/// Channels on which an actor's track is heard: the centre where there is one, otherwise all but the low-frequency one;
/// and every channel that the policy itself gives to an actor.
#[must_use]
pub fn carries_actor(format: AudioFormat, policy: &StreamPolicy) -> Vec<bool> {
    let role = roles(format);
    let has_centre = format.channels > 2 && role.iter().any(|r| r & CENTRE != 0);
    let listed = |c: usize| policy.channels.iter().any(|(k, s)| *k == c && matches!(s, VoiceStyle::Replace(_)));
    let placed = |c: usize| if has_centre { role[c] & CENTRE != 0 } else { role[c] & LOW_FREQUENCY == 0 };
    (0..format.channels).map(|c| placed(c) || listed(c)).collect()
}

/// Checks that a block continues the stream.
///
/// # Errors
/// `Input` if it has other channels, unequal lengths or another position than `expected`.
pub fn check_block(block: &RawAudio, format: AudioFormat, expected: u64) -> Result<()> {
    let whole = block.channels.len() == format.channels && block.channels.iter().all(|c| c.len() == block.len());
    if whole && block.start == expected {
        return Ok(());
    }
    Err(Error::Input(format!("the sound changes its channels or has a gap at sample {expected}; repair the file")))
}

impl Layout {
    /// Decides by the channel mask and by which channels are treated at all.
    ///
    /// With a centre channel the voice is taken from it (and half of left and right) and put there; without one
    /// it is taken from and put on all treated channels. Surround and low-frequency channels never pass.
    #[must_use]
    pub fn new(format: AudioFormat, timeline: &Timeline) -> Self {
        let treated: Vec<bool> = (0..format.channels).map(|c| timeline.is_ever_vocoded(c)).collect();
        let role = roles(format);
        let with = |c: usize, mask: u64| treated[c] && role[c] & mask != 0;
        let has_centre = format.channels > 2 && (0..format.channels).any(|c| with(c, CENTRE));
        let voice = |c: usize| if has_centre { with(c, CENTRE) } else { treated[c] && role[c] & LOW_FREQUENCY == 0 };
        let carries_voice: Vec<bool> = (0..format.channels).map(voice).collect();
        let raw = |c: usize| match has_centre {
            true if with(c, FRONT) => 0.5,
            _ => f32::from(u8::from(carries_voice[c])),
        };
        let sum: f32 = (0..format.channels).map(raw).sum::<f32>().max(1.0);
        let floor = |c: usize| treated[c] && !carries_voice[c] && role[c] & LOW_FREQUENCY == 0;
        Layout {
            mix: (0..format.channels).map(|c| raw(c) / sum).collect(),
            carries_floor: (0..format.channels).map(floor).collect(),
            carries_voice,
        }
    }

    /// Number of channels that carry the voice.
    #[must_use]
    pub fn voices(&self) -> usize {
        self.carries_voice.iter().filter(|v| **v).count()
    }

    /// Mono mix of what is to be vocoded; zero wherever a channel is kept or silenced.
    pub fn downmix(&self, block: &RawAudio, timeline: &Timeline, out: &mut Vec<f32>) {
        let end = block.start.saturating_add(block.len() as u64);
        out.clear();
        out.resize(block.len(), 0.0);
        for (c, samples) in block.channels.iter().enumerate().filter(|(c, _)| self.mix[*c] > 0.0) {
            for s in timeline.segments(c, block.start, end).filter(|s| s.style.is_vocoded()) {
                let from = s.start.saturating_sub(block.start) as usize;
                let to = (s.end.min(end) - block.start) as usize;
                for (o, x) in out[from..to].iter_mut().zip(&samples[from..to]) {
                    *o += self.mix[c] * tame(*x);
                }
            }
        }
    }
}

/// A sample that can be computed with.
#[must_use]
pub fn tame(x: f32) -> f32 {
    if x.is_finite() { x.clamp(-INPUT_LIMIT, INPUT_LIMIT) } else { 0.0 }
}

/// Mask bit of each channel, 0 where the order is not known.
fn roles(format: AudioFormat) -> Vec<u64> {
    if format.layout_mask.count_ones() as usize != format.channels {
        return vec![0; format.channels];
    }
    (0..64).map(|b| 1_u64 << b).filter(|b| format.layout_mask & b != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(channels: usize, mask: u64, listed: &[(usize, VoiceStyle)]) -> Layout {
        let policy = StreamPolicy { channels: listed.to_vec(), ..StreamPolicy::default() };
        let format = AudioFormat { rate_hz: 48000, channels, layout_mask: mask };
        Layout::new(format, &Timeline::new(&policy, channels, 48000).unwrap())
    }

    #[test]
    fn stereo_goes_to_both_and_surround_to_the_centre() {
        assert_eq!(layout(2, 3, &[]).carries_voice, [true, true]);
        let five = layout(6, 0x3f, &[]);
        assert_eq!(five.carries_voice, [false, false, true, false, false, false]);
        assert_eq!(five.carries_floor, [true, true, false, false, true, true]);
        assert_eq!(five.mix, [0.25, 0.25, 0.5, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn kept_channels_are_neither_heard_nor_overwritten() {
        let l = layout(2, 3, &[(0, VoiceStyle::Keep)]);
        assert_eq!((l.mix, l.carries_voice), (vec![0.0, 1.0], vec![false, true]));
        let five = layout(6, 0x3f, &[(2, VoiceStyle::Keep)]);
        assert_eq!(five.carries_voice, [true, true, false, false, true, true]);
    }

    #[test]
    fn unknown_orders_are_separate_microphones() {
        assert_eq!(layout(8, 0, &[]).voices(), 8);
        assert_eq!(layout(1, 4, &[]).voices(), 1);
    }
}
