//! Per-frame erasure: a source feature becomes a frame of the invented voice. Chain of bounded look-aheads.

use super::cepstrum::{ORDER, POINTS};
use super::features::Feature;
use super::modulate::{Jitter, Swing};
use super::secret::Noise;
use super::smooth::{Lookaround, View, gaussian, hann};
use super::speaker::PseudoSpeaker;
use super::statistics::SpeechStatistics;
use super::tables::{CLASSES, Tables};

/// Frames that the pitch contour is smoothed over on each side: 150 ms, 3.2 standard deviations.
const CONTOUR_REACH: usize = 30;
/// Standard deviation in frames for −6 dB at 4 Hz: √(ln 2 / 2π²) / 4 Hz.
const CONTOUR_SD: f64 = 46.8 / 5.0;
const CONTOUR_RANGE: f64 = 0.6;
const CONTOUR_GAIN_MAX: f64 = 1.3;
const CONTOUR_CLIP: f64 = 0.5;
/// Extremes between which the pitch swings (natural log: 0.35 to 0.65 semitones), and seconds from one to the next. Of a voice that
/// hardly moves the pitch would else be the recorded one's, only shifted, for seconds.
const SWING: (f64, f64) = (0.0202, 0.0375);
const SWING_SECS: (f64, f64) = (0.6, 1.3);
const VOICING_TAPS: usize = 7;
const GATE_TAPS: usize = 39;
const POSTERIOR_TAPS: usize = 9;
/// 30 ms: articulation finer than that is lost on purpose.
const CEPSTRUM_TAPS: usize = 7;

/// A frame of the invented voice, before the spectrum is painted.
#[derive(Clone)]
pub struct Moment {
    /// Natural log of the pitch; only meant where `voiced`.
    pub log_f0: f64,
    /// Whether pulses excite the frame.
    pub voiced: bool,
    /// 0 = noise floor, 1 = speech.
    pub gate: f64,
    /// Mel cepstrum with the invented voice's statistics, canonical axis.
    pub cepstrum: [f64; ORDER],
    /// Not disguised but only shifted: the cepstrum is the source's, and frequencies are multiplied by this.
    pub shifted: Option<f64>,
}

/// What the policy wants of one frame.
#[derive(Clone, Copy, PartialEq)]
pub enum Excitation {
    /// Pitch pulses and noise.
    Voice,
    /// Noise only.
    Whisper,
    /// The source's own pitch and spectrum, moved. No disguise.
    Shift {
        /// Natural log of the factor of the pitch.
        log_ratio: f64,
        /// Factor of all other frequencies.
        formants: f64,
    },
}

struct Sketch {
    log_f0: Option<f64>,
    speech: bool,
    failed: bool,
    excitation: Excitation,
    cepstrum: [f64; ORDER],
}

struct Neutral {
    moment: Moment,
    posteriors: [f64; CLASSES],
}

/// The erasing chain.
pub struct Disguise {
    eraser: Eraser,
    sketches: Lookaround<Sketch>,
    neutrals: Lookaround<Neutral>,
    rough: Lookaround<Moment>,
    smooth: Lookaround<Moment>,
}

/// What the steps of the chain know and remember.
struct Eraser {
    tables: Tables,
    source: SpeechStatistics,
    speaker: PseudoSpeaker,
    noise: Noise,
    contour: Vec<f64>,
    kernels: [Vec<f64>; 4],
    swing_f0: Swing,
    time: Jitter,
    failed: u64,
}

impl Disguise {
    /// A chain for one stream.
    pub fn new(tables: Tables, source: SpeechStatistics, speaker: PseudoSpeaker, mut noise: Noise) -> Self {
        let eraser = Eraser {
            tables,
            source,
            speaker,
            contour: gaussian(CONTOUR_REACH, CONTOUR_SD),
            kernels: [VOICING_TAPS, GATE_TAPS, POSTERIOR_TAPS, CEPSTRUM_TAPS].map(hann),
            swing_f0: Swing::new(SWING, SWING_SECS, &mut noise),
            time: Jitter::new(&mut noise),
            noise,
            failed: 0,
        };
        Disguise {
            eraser,
            sketches: Lookaround::new(CONTOUR_REACH),
            neutrals: Lookaround::new(POSTERIOR_TAPS / 2),
            rough: Lookaround::new(CEPSTRUM_TAPS / 2),
            smooth: Lookaround::new(Jitter::REACH),
        }
    }

    /// Number of frames that failed and became noise floor.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.eraser.failed
    }

    /// Feeds one analysed frame; appends the frames that are ready.
    pub fn push(&mut self, feature: &Feature, excitation: Excitation, out: &mut Vec<Moment>) {
        let Disguise { eraser, sketches, neutrals, rough, smooth } = self;
        let sketch = eraser.sketch(feature, excitation);
        sketches.push(sketch, |v| {
            let neutral = eraser.neutral(&v);
            neutrals.push(neutral, |v| push_rough(eraser, rough, smooth, &v, out));
        });
    }

    /// Drains the look-aheads.
    pub fn finish(&mut self, out: &mut Vec<Moment>) {
        let Disguise { eraser, sketches, neutrals, rough, smooth } = self;
        sketches.finish(|v| {
            let neutral = eraser.neutral(&v);
            neutrals.push(neutral, |v| push_rough(eraser, rough, smooth, &v, out));
        });
        neutrals.finish(|v| push_rough(eraser, rough, smooth, &v, out));
        rough.finish(|v| smooth.push(eraser.smoothed(&v), |v| out.push(eraser.jitter(&v))));
        smooth.finish(|v| out.push(eraser.jitter(&v)));
    }
}

fn push_rough(
    eraser: &mut Eraser,
    rough: &mut Lookaround<Moment>,
    smooth: &mut Lookaround<Moment>,
    view: &View<'_, Neutral>,
    out: &mut Vec<Moment>,
) {
    rough.push(eraser.invented(view), |v| smooth.push(eraser.smoothed(&v), |v| out.push(eraser.jitter(&v))));
}

impl Eraser {
    /// Reads a feature; one that is not finite becomes silence.
    fn sketch(&mut self, feature: &Feature, excitation: Excitation) -> Sketch {
        let failed = !feature.is_finite();
        self.failed += u64::from(failed);
        let mut cepstrum = [0.0; ORDER];
        if !failed {
            cepstrum.copy_from_slice(&feature.cepstrum[..ORDER]);
            cepstrum[0] -= self.source.reference * (POINTS as f64).sqrt();
        }
        let log_f0 = (!failed && feature.f0_hz > 0.0).then(|| feature.f0_hz.ln());
        Sketch { log_f0, speech: !failed && feature.level() > self.source.threshold, failed, excitation, cepstrum }
    }

    /// Removes the speaker: pitch range, mean and covariance.
    fn neutral(&mut self, view: &View<'_, Sketch>) -> Neutral {
        let sketch = view.centre();
        let (sum, weight) = view
            .weigh(&self.contour)
            .filter_map(|(w, s)| Some((w, s.log_f0?)))
            .fold((0.0, 0.0), |a, (w, l)| (a.0 + w * l, a.1 + w));
        let contour = if weight > 0.0 { sum / weight } else { self.source.log_f0_median };
        let gain = CONTOUR_RANGE * (self.speaker.log_f0_sd / self.source.log_f0_sd).min(CONTOUR_GAIN_MAX);
        let melody = ((contour - self.source.log_f0_median) * gain).clamp(-CONTOUR_CLIP, CONTOUR_CLIP);
        let log_f0 = self.speaker.log_f0 + melody + self.swing_f0.step(&mut self.noise);

        let voicing = view.mean(&self.kernels[0], |s| f64::from(u8::from(s.log_f0.is_some())));
        let gate = (2.0 * view.mean(&self.kernels[1], |s| f64::from(u8::from(s.speech)))).min(1.0);
        let mut cepstrum = [0.0; ORDER];
        let mut posteriors = [0.0; CLASSES];
        let gate = if sketch.failed { 0.0 } else { gate };
        if let Excitation::Shift { log_ratio, formants } = sketch.excitation {
            let log_f0 = sketch.log_f0.unwrap_or(contour) + log_ratio;
            let voiced = sketch.log_f0.is_some() && gate > 0.5;
            let moment = Moment { log_f0, voiced, gate, cepstrum: sketch.cepstrum, shifted: Some(formants) };
            return Neutral { moment, posteriors };
        }
        if gate > 0.0 {
            let [v, u] = &self.source.to_population;
            let (v, u) = (v.apply(&sketch.cepstrum), u.apply(&sketch.cepstrum));
            cepstrum = std::array::from_fn(|k| voicing * v[k] + (1.0 - voicing) * u[k]);
            self.tables.posteriors(&cepstrum, &mut posteriors);
        } else {
            cepstrum.copy_from_slice(self.tables.population[1].mean.as_slice());
        }
        let voiced = sketch.log_f0.is_some() && voicing > 0.5 && gate > 0.5 && sketch.excitation == Excitation::Voice;
        Neutral { moment: Moment { log_f0, voiced, gate, cepstrum, shifted: None }, posteriors }
    }

    /// Adds the invented speaker: class offsets in place of the source's, and the overall offset.
    fn invented(&self, view: &View<'_, Neutral>) -> Moment {
        let mut moment = view.centre().moment.clone();
        if moment.gate > 0.0 && moment.shifted.is_none() {
            for k in 0..CLASSES {
                let p = view.mean(&self.kernels[2], |n| n.posteriors[k]);
                let row = k * ORDER..(k + 1) * ORDER;
                let change = self.speaker.class_offset[row.clone()].iter().zip(&self.source.class_shift[row]);
                moment.cepstrum.iter_mut().zip(change).for_each(|(c, (new, old))| *c += p * (new - old));
            }
            moment.cepstrum.iter_mut().zip(&self.speaker.offset).for_each(|(c, o)| *c += o);
        }
        moment
    }

    fn smoothed(&self, view: &View<'_, Moment>) -> Moment {
        let mut moment = view.centre().clone();
        let (mut sum, mut weight) = ([0.0; ORDER], 0.0);
        for (w, m) in view.weigh(&self.kernels[3]) {
            weight += w;
            sum.iter_mut().zip(&m.cepstrum).for_each(|(s, c)| *s += w * c);
        }
        moment.cepstrum = sum.map(|s| s / weight);
        moment
    }

    /// Shows a frame a little earlier or later, never going back in time.
    fn jitter(&mut self, view: &View<'_, Moment>) -> Moment {
        let offset = self.time.step(view.centre().gate, &mut self.noise);
        let (low, share) = (offset.floor(), offset - offset.floor());
        let (a, b) = (view.clamped(low as isize), view.clamped(low as isize + 1));
        let near = view.clamped(offset.round() as isize);
        let mix = |a: f64, b: f64| a + share * (b - a);
        Moment {
            log_f0: near.log_f0,
            voiced: near.voiced,
            gate: mix(a.gate, b.gate),
            cepstrum: std::array::from_fn(|k| mix(a.cepstrum[k], b.cepstrum[k])),
            shifted: near.shifted,
        }
    }
}

/// Cepstra of the invented voice for the source's sample frames, for setting the loudness.
pub fn preview(source: &SpeechStatistics, speaker: &PseudoSpeaker, tables: &Tables) -> Vec<[f64; ORDER]> {
    let mut p = [0.0; CLASSES];
    let invent = |x: &[f64; ORDER]| {
        tables.posteriors(x, &mut p);
        let mut y = *x;
        for (k, p) in p.iter().enumerate() {
            let row = k * ORDER..(k + 1) * ORDER;
            let change = speaker.class_offset[row.clone()].iter().zip(&source.class_shift[row]);
            y.iter_mut().zip(change).for_each(|(y, (new, old))| *y += p * (new - old));
        }
        y.iter_mut().zip(&speaker.offset).for_each(|(y, o)| *y += o);
        y
    };
    source.sample.iter().map(invent).collect()
}
