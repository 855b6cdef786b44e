//! Slow random wandering of the rendered voice: twice-filtered Ornstein–Uhlenbeck noise.

use super::secret::Noise;
use super::{HOP, RATE_HZ};

/// Excursions are clipped at this many standard deviations.
const CLIP: f64 = 2.2;

/// One wandering value, a step per frame.
pub struct Wander {
    decay: f64,
    scale: f64,
    sd: f64,
    once: f64,
    twice: f64,
    /// A third filter's state, whose output is taken off: nothing slow is left.
    slow: Option<f64>,
}

impl Wander {
    /// Wandering with time constant `tau_secs` and standard deviation `sd`, already in its steady state.
    pub fn new(tau_secs: f64, sd: f64, noise: &mut Noise) -> Self {
        let decay = (-(HOP as f64) / f64::from(RATE_HZ) / tau_secs).exp();
        // Variance of two one-pole filters in series fed with unit noise: (1−a)⁴ (1+a²) / (1−a²)³.
        let variance = (1.0 - decay).powi(4) * (1.0 + decay * decay) / (1.0 - decay * decay).powi(3);
        let mut wander = Wander { decay, scale: 1.0 / variance.sqrt(), sd, once: 0.0, twice: 0.0, slow: None };
        for _ in 0..2000 {
            wander.step(noise);
        }
        wander
    }

    /// Wandering about 0 whose mean over a few `tau_secs` is nearly 0 too: it delays nothing.
    pub fn centred(tau_secs: f64, sd: f64, noise: &mut Noise) -> Self {
        let decay = (-(HOP as f64) / f64::from(RATE_HZ) / tau_secs).exp();
        let mut wander = Wander { decay, scale: 1.0, sd: 1.0, once: 0.0, twice: 0.0, slow: Some(0.0) };
        // Variance: the sum of the squares of the answer to one impulse.
        let steps = (12.0 * tau_secs * f64::from(RATE_HZ) / HOP as f64) as usize;
        let power: f64 = (0..steps).map(|i| wander.filtered(if i == 0 { 1.0 } else { 0.0 }).powi(2)).sum();
        let mut wander =
            Wander { scale: 1.0 / power.sqrt().max(1e-12), sd, once: 0.0, twice: 0.0, slow: Some(0.0), ..wander };
        for _ in 0..2000 {
            wander.step(noise);
        }
        wander
    }

    fn filtered(&mut self, v: f64) -> f64 {
        let pass = |state: f64, v: f64| self.decay * state + (1.0 - self.decay) * v;
        let once = pass(self.once, v);
        let twice = pass(self.twice, once);
        let slow = self.slow.map(|s| pass(s, twice));
        (self.once, self.twice, self.slow) = (once, twice, slow);
        twice - slow.unwrap_or(0.0)
    }

    /// The next value, within ±2.2 standard deviations.
    pub fn step(&mut self, noise: &mut Noise) -> f64 {
        let v = self.filtered(noise.normal());
        (v * self.scale).clamp(-CLIP, CLIP) * self.sd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_centred_spreads_as_asked_and_has_no_mean_over_seconds() {
        let mut noise = Noise::from_os().unwrap();
        let seconds = 3 * RATE_HZ as usize / HOP;
        let (mut squares, mut means) = (0.0, 0.0);
        for _ in 0..100 {
            let mut w = Wander::centred(0.5, 3.0, &mut noise);
            let all: Vec<f64> = (0..seconds).map(|_| w.step(&mut noise)).collect();
            squares += all.iter().map(|v| v * v).sum::<f64>() / seconds as f64;
            means += (all.iter().sum::<f64>() / seconds as f64).powi(2);
        }
        let (sd, mean) = ((squares / 100.0_f64).sqrt(), (means / 100.0_f64).sqrt());
        assert!((2.4..3.4).contains(&sd), "{sd}");
        // Without the third filter it would be above 2.
        assert!(mean < 1.5, "{mean}");
    }

    #[test]
    fn spread_is_as_asked_and_bounded() {
        let mut noise = Noise::from_os().unwrap();
        let mut sum = 0.0;
        for _ in 0..400 {
            let mut w = Wander::new(0.5, 2.0, &mut noise);
            let v = w.step(&mut noise);
            assert!(v.abs() <= 4.4);
            sum += v * v;
        }
        let sd = (sum / 400.0_f64).sqrt();
        assert!((1.5..2.4).contains(&sd), "{sd}");
    }
}
