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
}

impl Wander {
    /// Wandering with time constant `tau_secs` and standard deviation `sd`, already in its steady state.
    pub fn new(tau_secs: f64, sd: f64, noise: &mut Noise) -> Self {
        let decay = (-(HOP as f64) / f64::from(RATE_HZ) / tau_secs).exp();
        // Variance of two one-pole filters in series fed with unit noise: (1−a)⁴ (1+a²) / (1−a²)³.
        let variance = (1.0 - decay).powi(4) * (1.0 + decay * decay) / (1.0 - decay * decay).powi(3);
        let mut wander = Wander { decay, scale: 1.0 / variance.sqrt(), sd, once: 0.0, twice: 0.0 };
        for _ in 0..2000 {
            wander.step(noise);
        }
        wander
    }

    /// The next value, within ±2.2 standard deviations.
    pub fn step(&mut self, noise: &mut Noise) -> f64 {
        self.once = self.decay * self.once + (1.0 - self.decay) * noise.normal();
        self.twice = self.decay * self.twice + (1.0 - self.decay) * self.once;
        (self.twice * self.scale).clamp(-CLIP, CLIP) * self.sd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
