//! From samples to pitch and cepstrum, one feature per 5 ms, for both passes and for building the tables.

use super::HOP;
use super::cepstrum::{POINTS, WIDE_ORDER, cepstrum_from_envelope};
use super::envelope::{EnvelopeEstimator, REACH};
use super::f0::PitchTracker;
use super::refine::refined;
use std::collections::VecDeque;

/// What is known of one 5 ms frame, centred at sample `index · HOP`.
#[derive(Clone, Copy)]
pub struct Feature {
    /// Pitch, 0 where unvoiced.
    pub f0_hz: f64,
    /// Mel cepstrum of the natural log power envelope.
    pub cepstrum: [f64; WIDE_ORDER],
}

impl Feature {
    /// Mean natural log power over the mel points.
    #[must_use]
    pub fn level(&self) -> f64 {
        self.cepstrum[0] / (POINTS as f64).sqrt()
    }

    /// Whether every number is finite; a frame that is not is rendered as noise floor.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.f0_hz.is_finite() && self.cepstrum.iter().all(|c| c.is_finite())
    }
}

/// Streaming analysis of 16 kHz mono sound: `samples / HOP + 1` features in all, none for an empty stream.
pub struct FeatureStream {
    samples: VecDeque<f64>,
    /// Position of `samples[0]` in the stream, minus the padding before its start.
    base: u64,
    received: u64,
    next: u64,
    pitch: PitchTracker,
    /// Rough pitch of the frames from `next` on.
    rough: VecDeque<f64>,
    envelope: EnvelopeEstimator,
    span: Vec<f64>,
    log_power: Vec<f64>,
}

/// Zeros before the first sample, so that every window exists.
const PADDING: usize = 512;
/// Zeros after the last sample, so that the pitch of the last frame is known: 0.2 s.
const PITCH_AHEAD: usize = 3200;

impl Default for FeatureStream {
    fn default() -> Self {
        Self::new()
    }
}

impl FeatureStream {
    /// Analysis at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        FeatureStream {
            samples: VecDeque::from(vec![0.0; PADDING]),
            base: 0,
            received: 0,
            next: 0,
            pitch: PitchTracker::new(),
            rough: VecDeque::new(),
            envelope: EnvelopeEstimator::new(),
            span: Vec::new(),
            log_power: Vec::new(),
        }
    }

    /// Feeds samples; `emit` gets the features that are ready, in order.
    pub fn push(&mut self, samples: &[f32], emit: &mut dyn FnMut(Feature)) {
        self.received += samples.len() as u64;
        let sound = samples.iter().map(|x| f64::from(*x));
        self.samples.extend(sound.clone());
        self.pitch.push(sound, &mut self.rough);
        while self.next * HOP as u64 + (REACH as u64) < self.received && self.describe(emit) {}
    }

    /// Drains the features still held back.
    pub fn finish(&mut self, emit: &mut dyn FnMut(Feature)) {
        if self.received == 0 {
            return;
        }
        let total = self.received / HOP as u64 + 1;
        self.pitch.push(std::iter::repeat_n(0.0, PITCH_AHEAD), &mut self.rough);
        self.pitch.finish(&mut self.rough);
        while self.next < total && self.describe(emit) {}
    }

    /// Describes the next frame if its rough pitch is known.
    fn describe(&mut self, emit: &mut dyn FnMut(Feature)) -> bool {
        let Some(rough_hz) = self.rough.pop_front() else { return false };
        self.copy_span(self.next, REACH, 2 * REACH + 1);
        let f0_hz = refined(&self.span, rough_hz);
        self.envelope.estimate(&self.span, f0_hz, &mut self.log_power);
        emit(Feature { f0_hz, cepstrum: cepstrum_from_envelope(&self.log_power) });
        self.next += 1;
        self.samples.drain(..HOP.min(self.samples.len()));
        self.base += HOP as u64;
        true
    }

    fn copy_span(&mut self, frame: u64, before: usize, len: usize) {
        let start = (frame * HOP as u64 - self.base) as usize + PADDING - before;
        self.span.clear();
        self.span.extend((start..start + len).map(|i| self.samples.get(i).copied().unwrap_or(0.0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(x: &[f32], block: usize) -> Vec<Feature> {
        let (mut stream, mut out) = (FeatureStream::new(), Vec::new());
        x.chunks(block).for_each(|b| stream.push(b, &mut |f| out.push(f)));
        stream.finish(&mut |f| out.push(f));
        out
    }

    #[test]
    fn count_and_values_do_not_depend_on_the_blocks() {
        let x: Vec<f32> = (0..8111).map(|i| ((i % 100) as f32 / 100.0 - 0.5) * (i as f32 * 0.01).sin()).collect();
        let (a, b) = (features(&x, 8111), features(&x, 37));
        assert_eq!(a.len(), 8111 / 80 + 1);
        assert_eq!(a.len(), b.len());
        assert!(a.iter().zip(&b).all(|(a, b)| a.f0_hz == b.f0_hz && a.cepstrum == b.cepstrum));
    }

    #[test]
    fn tiny_streams() {
        assert_eq!(features(&[], 1).len(), 0);
        assert_eq!(features(&[0.5], 1).len(), 1);
        assert_eq!(features(&[0.5; 80], 80).len(), 2);
    }
}
