//! From a frame of the invented voice to its log power spectrum.

use super::cepstrum::{ORDER, POINTS, TOP_HZ, mel_from_hz, point_from_hz, points_from_cepstrum};
use super::disguise::Moment;
use super::modulate::Wander;
use super::secret::Noise;
use super::speaker::{KNOTS_HZ, PseudoSpeaker};
use super::tables::Tables;
use super::{BINS, FFT_SIZE, RATE_HZ};

/// Noise floor under the population's unvoiced mean, natural log power: −24 dB, about 28 dB under the speech.
const FLOOR_DROP: f64 = 5.5;
/// Further drop of frames on their way to the floor.
const FADE_DROP: f64 = 2.3;
/// Nothing lies more than this under the floor.
const FLOOR_MARGIN: f64 = 1.0;
const NEPER_PER_DB: f64 = std::f64::consts::LN_10 / 10.0;
/// Log power is kept in ± this: e³⁰ is far above any voice and far from overflow.
const LOG_POWER_LIMIT: f64 = 30.0;

/// Paints spectra: frequency axis of the invented speaker, slow wandering, tilt, constant noise floor.
pub struct Painter {
    /// Frequency of each bin before the speaker's axis is applied, less the wandering factor.
    source_hz: Vec<f64>,
    /// Frequency of each bin.
    plain_hz: Vec<f64>,
    /// −½ at 0 Hz to ½ at 8 kHz, in mel.
    slope: Vec<f64>,
    floor: Vec<f64>,
    tilt_db: f64,
    noise: Noise,
    wander_tract: Wander,
    wander_tilt: Wander,
}

impl Painter {
    /// A painter for one speaker.
    #[must_use]
    pub fn new(speaker: &PseudoSpeaker, tables: &Tables, mut noise: Noise) -> Self {
        let bin_hz = |i: usize| i as f64 * f64::from(RATE_HZ) / FFT_SIZE as f64;
        let floor_points = points_from_cepstrum(tables.population[1].mean.as_slice());
        Painter {
            source_hz: (0..BINS)
                .map(|i| bin_hz(i) / (knot_factor(speaker, bin_hz(i)) * speaker.tract_factor))
                .collect(),
            plain_hz: (0..BINS).map(bin_hz).collect(),
            slope: (0..BINS).map(|i| mel_from_hz(bin_hz(i)) / mel_from_hz(TOP_HZ) - 0.5).collect(),
            floor: (0..BINS).map(|i| between(&floor_points, point_from_hz(bin_hz(i))) - FLOOR_DROP).collect(),
            tilt_db: speaker.tilt_db,
            wander_tract: Wander::new(0.7, 0.03, &mut noise),
            wander_tilt: Wander::new(1.0, 1.2, &mut noise),
            noise,
        }
    }

    /// Paints one frame. Returns false, and paints the noise floor, if a number is not finite.
    pub fn paint(&mut self, moment: &Moment, out: &mut Vec<f64>) -> bool {
        let stretch = (-self.wander_tract.step(&mut self.noise)).exp();
        let tilt = (self.tilt_db + self.wander_tilt.step(&mut self.noise)) * NEPER_PER_DB;
        out.clear();
        if moment.gate <= 0.0 {
            out.extend_from_slice(&self.floor);
            return true;
        }
        let points = points_from_cepstrum(&moment.cepstrum);
        let g = moment.gate.min(1.0);
        let (axis, stretch, tilt) = match moment.shifted {
            Some(factor) => (&self.plain_hz, 1.0 / factor.max(0.1), 0.0),
            None => (&self.source_hz, stretch, tilt),
        };
        for ((hz, slope), floor) in axis.iter().zip(&self.slope).zip(&self.floor) {
            let speech = between(&points, point_from_hz(hz * stretch)) + tilt * slope - (1.0 - g) * FADE_DROP;
            let level = (g * speech + (1.0 - g) * floor).max(floor - FLOOR_MARGIN);
            out.push(level.clamp(-LOG_POWER_LIMIT, LOG_POWER_LIMIT));
        }
        // `max` and `clamp` swallow NaN, so the cepstrum itself is asked.
        let finite = moment.cepstrum.iter().all(|c| c.is_finite()) && out.iter().all(|v| v.is_finite());
        if !finite {
            out.clear();
            out.extend_from_slice(&self.floor);
        }
        finite
    }
}

/// Local stretch of the frequency axis.
fn knot_factor(speaker: &PseudoSpeaker, hz: f64) -> f64 {
    let i = KNOTS_HZ.partition_point(|k| *k <= hz).clamp(1, KNOTS_HZ.len() - 1);
    let share = ((hz - KNOTS_HZ[i - 1]) / (KNOTS_HZ[i] - KNOTS_HZ[i - 1])).clamp(0.0, 1.0);
    speaker.knots[i - 1] + (speaker.knots[i] - speaker.knots[i - 1]) * share
}

fn between(points: &[f64; POINTS], position: f64) -> f64 {
    let i = (position as usize).min(POINTS - 2);
    points[i] + (points[i + 1] - points[i]) * (position - i as f64)
}

/// Mean power of frames as loudness meters weigh it, and therefore as a mean over linear frequency.
///
/// K-weighting of ITU-R BS.1770-5 (annex 1), by its two corner facts: about +4 dB above 2 kHz, high-pass at 60 Hz.
#[must_use]
pub fn weighted_power(cepstra: &[[f64; ORDER]]) -> f64 {
    let weight = |hz: f64| {
        let shelf = 10_f64.powf(0.4 * (1.0 / (1.0 + (1500.0 / hz.max(1.0)).powi(4))));
        let high_pass = 1.0 / (1.0 + (40.0 / hz.max(1.0)).powi(4));
        shelf * high_pass
    };
    let width = |k: usize| {
        let at = |k: usize| super::cepstrum::point_hz(k);
        (at((k + 1).min(POINTS - 1)) - at(k.saturating_sub(1))) / 2.0 / TOP_HZ
    };
    let weights: Vec<f64> = (0..POINTS).map(|k| weight(super::cepstrum::point_hz(k)) * width(k)).collect();
    let power = |c: &[f64; ORDER]| {
        let points = points_from_cepstrum(c);
        points.iter().zip(&weights).map(|(p, w)| p.min(LOG_POWER_LIMIT).exp() * w).sum::<f64>()
    };
    cepstra.iter().map(power).sum::<f64>() / cepstra.len().max(1) as f64
}
