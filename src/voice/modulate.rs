//! Slow random wandering of the rendered voice: twice-filtered Ornstein–Uhlenbeck noise, and swings that never rest.

use super::secret::Noise;
use super::{HOP, RATE_HZ};
use std::f64::consts::PI;

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

/// A value that swings to and fro without rest: from one extreme to another on the other side of 0, each drawn anew, along half
/// a cosine. Unlike [`Wander`] it never stays where it is, however short the time that is looked at.
pub struct Swing {
    /// Least and greatest extreme.
    reach: (f64, f64),
    /// Shortest and longest way between two, in frames.
    way: (f64, f64),
    from: f64,
    to: f64,
    /// Frames of this way, and how many of them have passed.
    frames: f64,
    passed: f64,
}

impl Swing {
    /// Swings between extremes of `reach`, each way taking as many seconds as `way_secs` allows; begins anywhere.
    pub fn new(reach: (f64, f64), way_secs: (f64, f64), noise: &mut Noise) -> Self {
        let frames = |secs: f64| secs * f64::from(RATE_HZ) / HOP as f64;
        let way = (frames(way_secs.0), frames(way_secs.1));
        let mut swing = Swing { reach, way, from: 0.0, to: 0.0, frames: 1.0, passed: 0.0 };
        swing.to = if noise.uniform() < 0.5 { reach.0 } else { -reach.0 };
        for _ in 0..2 {
            swing.turn(noise);
        }
        swing.passed = (noise.uniform() * swing.frames).floor();
        swing
    }

    fn turn(&mut self, noise: &mut Noise) {
        let mut within = |(low, high): (f64, f64)| low + noise.uniform() * (high - low);
        let extreme = within(self.reach);
        self.frames = within(self.way).max(1.0);
        (self.from, self.to) = (self.to, -extreme.copysign(self.to));
        self.passed = 0.0;
    }

    /// The next value, within the greatest extreme.
    pub fn step(&mut self, noise: &mut Noise) -> f64 {
        if self.passed >= self.frames {
            self.turn(noise);
        }
        let share = 0.5 - 0.5 * (PI * self.passed / self.frames).cos();
        self.passed += 1.0;
        self.from + share * (self.to - self.from)
    }
}

/// Time constant and standard deviation (in frames) of the jitter in time: ±35 ms at most.
const JITTER_TAU_SECS: f64 = 0.4;
const JITTER_SD_FRAMES: f64 = 18.0 / 5.0;
/// Time over which speech, and hardly anything else, is kept from being late or early.
const LAG_TAU_SECS: f64 = 0.6;
/// Share of a silent frame in that.
const SILENT_SHARE: f64 = 0.05;

/// Shows speech a little earlier or later, and not late or early as a whole: lips and voice stay together.
pub struct Jitter {
    wander: Wander,
    /// Offset of the last frame.
    shown: f64,
    /// Mean offset of the speech shown lately.
    lag: f64,
}

impl Jitter {
    /// Frames that an offset reaches at most.
    pub const REACH: usize = 8;

    /// Jitter in its steady state.
    pub fn new(noise: &mut Noise) -> Self {
        let wander = Wander::centred(JITTER_TAU_SECS, JITTER_SD_FRAMES, noise);
        Jitter { wander, shown: f64::NEG_INFINITY, lag: 0.0 }
    }

    /// Offset, in frames, of what the next frame shows; it never goes back in time. `gate`: 0 is silence, 1 is speech.
    pub fn step(&mut self, gate: f64, noise: &mut Noise) -> f64 {
        let reach = Self::REACH as f64 - 0.5;
        let wanted = self.wander.step(noise) - self.lag;
        self.shown = wanted.max(self.shown - 1.0).clamp(-reach, reach);
        let weight = gate.clamp(SILENT_SHARE, 1.0) * HOP as f64 / (LAG_TAU_SECS * f64::from(RATE_HZ));
        self.lag += weight * (self.shown - self.lag);
        self.shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_a_short_sentence_is_neither_late_nor_early() {
        let mut noise = Noise::from_os().unwrap();
        let secs = |s: f64| (s * f64::from(RATE_HZ) / HOP as f64) as usize;
        let (mut means, mut squares, mut late) = (0.0, 0.0, 0);
        for _ in 0..200 {
            let mut jitter = Jitter::new(&mut noise);
            for _ in 0..secs(0.7) {
                jitter.step(0.0, &mut noise);
            }
            let shown: Vec<f64> = (0..secs(1.4)).map(|_| jitter.step(1.0, &mut noise)).collect();
            assert!(shown.windows(2).all(|p| p[1] >= p[0] - 1.0), "back in time");
            assert!(shown.iter().all(|o| o.abs() < Jitter::REACH as f64));
            let mean = shown.iter().sum::<f64>() / shown.len() as f64;
            means += mean * mean;
            squares += shown.iter().map(|o| (o - mean).powi(2)).sum::<f64>() / shown.len() as f64;
            late += usize::from(mean.abs() > 4.0);
        }
        // In frames of 5 ms. Without the correction the mean is above 1.9, and one sentence in twenty is 20 ms late or early.
        assert!((means / 200.0_f64).sqrt() < 1.7 && late <= 4, "{} {late}", (means / 200.0_f64).sqrt());
        assert!((squares / 200.0_f64).sqrt() > 1.9, "it still wanders: {}", (squares / 200.0_f64).sqrt());
    }

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
    fn what_swings_never_rests_and_spreads_by_its_extremes() {
        let mut noise = Noise::from_os().unwrap();
        let secs = |s: f64| (s * f64::from(RATE_HZ) / HOP as f64) as usize;
        let (mut squares, mut sum, mut still) = (0.0, 0.0, 0.0_f64);
        for _ in 0..200 {
            let mut swing = Swing::new((0.7, 1.3), (0.6, 1.3), &mut noise);
            let all: Vec<f64> = (0..secs(6.0)).map(|_| swing.step(&mut noise)).collect();
            assert!(all.iter().all(|v| v.abs() <= 1.3) && all.windows(2).all(|p| (p[1] - p[0]).abs() < 0.04));
            squares += all.iter().map(|v| v * v).sum::<f64>() / all.len() as f64;
            sum += all.iter().sum::<f64>() / all.len() as f64;
            // The greatest share of six seconds that lies within a fifth of the mean extreme of one value.
            let near = |at: f64| all.iter().filter(|v| (*v - at).abs() < 0.2).count() as f64 / all.len() as f64;
            still = all.iter().step_by(20).map(|at| near(*at)).fold(still, f64::max);
        }
        let (sd, mean) = ((squares / 200.0_f64).sqrt(), sum / 200.0);
        assert!((0.68..0.78).contains(&sd) && mean.abs() < 0.05, "{sd} {mean}");
        assert!(still < 0.55, "{still}");
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
