//! Sound made ready for comparison: 16 kHz, high frequencies raised, band-passed.

use crate::Result;
use crate::voice::RATE_HZ;
use crate::voice::resample::Rate;
use std::f64::consts::TAU;

/// Second-order Butterworth section (R. Bristow-Johnson's cookbook formulae, Q = 1/√2).
struct Biquad {
    b: [f64; 3],
    a: [f64; 2],
    state: [f64; 2],
}

impl Biquad {
    fn new(hz: f64, high_pass: bool) -> Self {
        Self::with_q(hz, std::f64::consts::FRAC_1_SQRT_2, high_pass)
    }

    fn with_q(hz: f64, q: f64, high_pass: bool) -> Self {
        let (sin, cos) = (TAU * hz / f64::from(RATE_HZ)).sin_cos();
        let alpha = sin / (2.0 * q);
        let (outer, middle) = if high_pass { ((1.0 + cos) / 2.0, -1.0 - cos) } else { ((1.0 - cos) / 2.0, 1.0 - cos) };
        let a0 = 1.0 + alpha;
        let b = [outer / a0, middle / a0, outer / a0];
        Biquad { b, a: [-2.0 * cos / a0, (1.0 - alpha) / a0], state: [0.0; 2] }
    }

    fn step(&mut self, x: f64) -> f64 {
        let y = self.b[0] * x + self.state[0];
        self.state[0] = self.b[1] * x - self.a[0] * y + self.state[1];
        self.state[1] = self.b[2] * x - self.a[1] * y;
        y
    }
}

/// Streaming preparation of one sound.
pub(super) struct Prepare {
    rate: Rate,
    high: Biquad,
    low: Biquad,
    last: f64,
    raw: Vec<f32>,
}

impl Prepare {
    /// For sound at `rate_hz`, from 150 Hz.
    pub(super) fn new(rate_hz: u32) -> Result<Self> {
        Self::from_hz(rate_hz, 150.0)
    }

    /// For sound at `rate_hz`, from `hz`. The higher, the sooner a cut in a rumble dies away.
    pub(super) fn from_hz(rate_hz: u32, hz: f64) -> Result<Self> {
        let (high, low) = (Biquad::new(hz, true), Biquad::new(6500.0, false));
        Ok(Prepare { rate: Rate::new(rate_hz, RATE_HZ)?, high, low, last: 0.0, raw: Vec::new() })
    }

    /// Appends what is ready to `out`.
    pub(super) fn push(&mut self, samples: &[f32], out: &mut Vec<f64>) -> Result<()> {
        self.raw.clear();
        let clean: Vec<f32> = samples.iter().map(|x| if x.is_finite() { x.clamp(-8.0, 8.0) } else { 0.0 }).collect();
        self.rate.push(&clean, &mut self.raw)?;
        self.filter(out);
        Ok(())
    }

    /// Drains.
    pub(super) fn finish(&mut self, out: &mut Vec<f64>) -> Result<()> {
        self.raw.clear();
        self.rate.finish(&mut self.raw)?;
        self.filter(out);
        Ok(())
    }

    fn filter(&mut self, out: &mut Vec<f64>) {
        for x in &self.raw {
            let x = f64::from(*x);
            let raised = x - 0.97 * self.last;
            self.last = x;
            out.push(self.low.step(self.high.step(raised)));
        }
    }
}

/// The band below 3 kHz of a prepared sound: a fourth-order Butterworth filter.
pub(super) struct LowBand([Biquad; 2]);

impl LowBand {
    pub(super) fn new() -> Self {
        // Q of the two sections: 1 / (2 cos(π/8)) and 1 / (2 cos(3π/8)).
        LowBand([0.541_2, 1.306_6].map(|q| Biquad::with_q(3000.0, q, false)))
    }

    /// Appends the filtered samples to `out`.
    pub(super) fn push(&mut self, samples: &[f64], out: &mut Vec<f64>) {
        let LowBand([first, second]) = self;
        out.extend(samples.iter().map(|x| second.step(first.step(*x))));
    }
}

/// A whole sound, prepared.
pub(super) fn prepared(samples: &[f32], rate_hz: u32) -> Result<Vec<f64>> {
    let (mut prepare, mut out) = (Prepare::new(rate_hz)?, Vec::new());
    prepare.push(samples, &mut out)?;
    prepare.finish(&mut out)?;
    Ok(out)
}
