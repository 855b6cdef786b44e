//! Synthesis from nothing but pitch and envelope: minimum-phase pulses and filtered noise.
//!
//! M. Morise et al., *WORLD: a vocoder-based high-quality speech synthesis system*, IEICE Trans. E99-D(7), 2016, §2.3;
//! minimum phase by the folded cepstrum: Oppenheim & Schafer, *Discrete-Time Signal Processing*, §13.5.

use super::fft::RealFft;
use super::secret::Noise;
use super::speaker::PseudoSpeaker;
use super::{BINS, FFT_SIZE, HOP, RATE_HZ};
use realfft::num_complex::Complex;
use std::f64::consts::TAU;

/// Samples kept for the small part of a response that lies before its pulse.
const BEFORE: usize = 32;
/// Share of noise in voiced sound: this at low frequencies …
const APERIODICITY: f64 = 0.02;
/// … rising by this from 2.5 kHz to 7 kHz.
const APERIODICITY_RISE: f64 = 0.55;

/// Turns frames into samples at 16 kHz; frame `i` is centred at sample `i · HOP`.
pub struct Synth {
    fft: RealFft,
    noise: Noise,
    /// Amplitude of the noise and of the pulses in voiced frames, per bin.
    breath: Vec<f64>,
    pulse: Vec<f64>,
    before: Frame,
    now: Frame,
    phase: f64,
    /// Samples still growing; the first lies at `start`.
    tail: Vec<f64>,
    start: i64,
    frames: i64,
    failed: u64,
}

#[derive(Clone)]
struct Frame {
    /// 0 where noise alone excites.
    f0_hz: f64,
    response: Vec<Complex<f64>>,
}

impl Synth {
    /// A synthesiser with the breathiness of `speaker`.
    #[must_use]
    pub fn new(speaker: &PseudoSpeaker, mut noise: Noise) -> Self {
        let rise = |hz: f64| APERIODICITY_RISE * ((hz - 2500.0) / 4500.0).clamp(0.0, 1.0).powf(1.2);
        let hz = |i: usize| i as f64 * f64::from(RATE_HZ) / FFT_SIZE as f64;
        let breath: Vec<f64> =
            (0..BINS).map(|i| (APERIODICITY + speaker.breath + rise(hz(i))).clamp(0.0, 0.95)).collect();
        let empty = Frame { f0_hz: 0.0, response: vec![Complex::default(); BINS] };
        Synth {
            fft: RealFft::new(FFT_SIZE),
            pulse: breath.iter().map(|b| (1.0 - b * b).sqrt()).collect(),
            breath,
            before: empty.clone(),
            now: empty,
            phase: noise.uniform(),
            noise,
            tail: vec![0.0; 2 * FFT_SIZE],
            start: -((HOP / 2 + BEFORE) as i64),
            frames: 0,
            failed: 0,
        }
    }

    /// Samples that came out not finite and were replaced by silence.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Feeds the next frame (log power of [`BINS`] bins, pitch or 0); appends the samples that are final.
    pub fn push(&mut self, f0_hz: f64, log_power: &[f64], out: &mut Vec<f32>) {
        std::mem::swap(&mut self.before, &mut self.now);
        self.respond(log_power);
        self.now.f0_hz = f0_hz;
        let centre = self.frames * HOP as i64;
        if self.frames > 0 {
            self.add_pulses(centre - HOP as i64);
        }
        self.add_noise(centre - HOP as i64 / 2);
        self.frames += 1;
        self.give(centre - BEFORE as i64, out);
    }

    /// Drains up to `total` samples in all.
    pub fn finish(&mut self, total: u64, out: &mut Vec<f32>) {
        self.give(total.min(i64::MAX as u64) as i64, out);
    }

    /// Minimum-phase response of a power spectrum, without DC.
    fn respond(&mut self, log_power: &[f64]) {
        let half_log = |s: &mut [Complex<f64>]| s.iter_mut().zip(log_power).for_each(|(s, p)| *s = (0.5 * p).into());
        let cepstrum = self.fft.inverse(half_log);
        cepstrum[1..FFT_SIZE / 2].iter_mut().for_each(|c| *c *= 2.0);
        cepstrum[FFT_SIZE / 2 + 1..].fill(0.0);
        let folded = cepstrum.to_vec();
        for (r, s) in self.now.response.iter_mut().zip(self.fft.forward(&folded)) {
            let (sin, cos) = s.im.sin_cos();
            *r = Complex::new(cos, sin) * s.re.exp();
        }
        self.now.response[0] = Complex::default();
        self.now.response[1] *= 0.3;
        self.now.response[2] *= 0.7;
    }

    fn add_noise(&mut self, at: i64) {
        let white: Vec<f64> = (0..HOP).map(|_| self.noise.normal()).collect();
        let (response, breath) = (&self.now.response, &self.breath);
        let voiced = self.now.f0_hz > 0.0;
        for (i, s) in self.fft.forward(&white).iter_mut().enumerate() {
            *s = *s * response[i] * if voiced { breath[i] } else { 1.0 };
        }
        let block = self.fft.inverse(|_| ());
        add(&mut self.tail, self.start, at, block);
    }

    /// Pulses between the last two frames; the pitch runs linearly in the logarithm where both are voiced.
    fn add_pulses(&mut self, from: i64) {
        let (a, b) = (self.before.f0_hz, self.now.f0_hz);
        for i in 0..HOP {
            let share = i as f64 / HOP as f64;
            let near = if 2 * i < HOP { a } else { b };
            let f0 = if a > 0.0 && b > 0.0 { a * (b / a).powf(share) } else { near };
            if f0 <= 0.0 {
                continue;
            }
            let step = f0 / f64::from(RATE_HZ);
            self.phase += step;
            if self.phase >= 1.0 {
                self.phase -= 1.0;
                // The pulse lies this many samples before the next one.
                let back = (self.phase / step).min(1.0);
                self.add_pulse(from + i as i64 + 1, back, share, (1.0 / step).sqrt());
            }
        }
    }

    fn add_pulse(&mut self, at: i64, back: f64, share: f64, gain: f64) {
        let delay = BEFORE as f64 - back;
        let (sin, cos) = (-TAU * delay / FFT_SIZE as f64).sin_cos();
        let (turn, mut shift) = (Complex::new(cos, sin), Complex::new(gain, 0.0));
        let (before, now, pulse) = (&self.before.response, &self.now.response, &self.pulse);
        let block = self.fft.inverse(|s| {
            for (i, s) in s.iter_mut().enumerate() {
                *s = (before[i] * (1.0 - share) + now[i] * share) * shift * pulse[i];
                shift *= turn;
            }
        });
        let block = &*block;
        add_plain(&mut self.tail, self.start, at - BEFORE as i64, block);
    }

    /// Hands out everything before sample `until`.
    fn give(&mut self, until: i64, out: &mut Vec<f32>) {
        let ready = usize::try_from(until - self.start).unwrap_or(0);
        if ready > self.tail.len() {
            self.tail.resize(ready, 0.0);
        }
        for (i, x) in self.tail.drain(..ready).enumerate() {
            if self.start + i as i64 >= 0 {
                let good = x.is_finite();
                self.failed += u64::from(!good);
                out.push(if good { x as f32 } else { 0.0 });
            }
        }
        self.start += ready as i64;
        self.tail.resize(2 * FFT_SIZE, 0.0);
    }
}

/// Adds a block whose last [`BEFORE`] samples lie before its start (zero-phase weighting wraps around).
fn add(tail: &mut [f64], start: i64, at: i64, block: &[f64]) {
    let (main, early) = block.split_at(block.len() - BEFORE);
    add_plain(tail, start, at - BEFORE as i64, early);
    add_plain(tail, start, at, main);
}

fn add_plain(tail: &mut [f64], start: i64, at: i64, block: &[f64]) {
    let first = usize::try_from(at - start).unwrap_or(0);
    tail.iter_mut().skip(first).zip(block).for_each(|(t, b)| *t += b);
}
