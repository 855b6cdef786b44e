//! The whole 16 kHz mono chain: analyse, erase, paint, synthesise.

use super::disguise::{Disguise, Excitation, Moment, preview};
use super::features::{Feature, FeatureStream};
use super::loudness::gain_for;
use super::paint::{Painter, weighted_power};
use super::secret::Secret;
use super::speaker::PseudoSpeaker;
use super::statistics::SpeechStatistics;
use super::synth::Synth;
use super::tables::Tables;
use crate::Result;

/// Streaming vocoder: as many samples out as in, none of them an input sample.
pub struct Vocoder {
    features: FeatureStream,
    disguise: Disguise,
    painter: Painter,
    synth: Synth,
    gain: f32,
    near_source: bool,
    /// Frames analysed so far.
    analysed: u64,
    taken: u64,
    failed: u64,
    ready: Vec<Feature>,
    moments: Vec<Moment>,
    log_power: Vec<f64>,
}

impl Vocoder {
    /// A vocoder for one stream, placed on `channels` output channels; its noise is new each time
    /// unless the secret carries a seed for it.
    ///
    /// # Errors
    /// `Model` if the tables are damaged; `Io` if the system gives no randomness.
    pub fn new(source: SpeechStatistics, secret: &Secret, channels: usize) -> Result<Self> {
        let tables = Tables::embedded()?;
        let speaker = PseudoSpeaker::draw(secret, &source, &tables);
        let sample = preview(&source, &speaker, &tables);
        let power = if sample.is_empty() { 1.0 } else { weighted_power(&sample) };
        let painter = Painter::new(&speaker, &tables, secret.noise("paint")?);
        let synth = Synth::new(&speaker, secret.noise("synth")?);
        let near_source = speaker.near_source();
        Ok(Vocoder {
            features: FeatureStream::new(),
            disguise: Disguise::new(tables, source, speaker, secret.noise("disguise")?),
            painter,
            synth,
            gain: gain_for(power, channels) as f32,
            near_source,
            analysed: 0,
            taken: 0,
            failed: 0,
            ready: Vec::new(),
            moments: Vec::new(),
            log_power: Vec::new(),
        })
    }

    /// Feeds samples; `excitation` is asked once per frame. Appends the samples that are ready, at −23 LUFS.
    pub fn push(&mut self, samples: &[f32], excitation: impl Fn(u64) -> Excitation, out: &mut Vec<f32>) {
        self.taken += samples.len() as u64;
        let ready = &mut self.ready;
        self.features.push(samples, &mut |f| ready.push(f));
        self.run(excitation, out);
    }

    /// Drains the chain: the total is then the number of samples fed.
    pub fn finish(&mut self, excitation: impl Fn(u64) -> Excitation, out: &mut Vec<f32>) {
        let ready = &mut self.ready;
        self.features.finish(&mut |f| ready.push(f));
        self.run(excitation, out);
        let first = out.len();
        self.disguise.finish(&mut self.moments);
        self.render(out);
        self.synth.finish(self.taken, out);
        out[first..].iter_mut().for_each(|x| *x *= self.gain);
    }

    /// Whether the drawn voice may resemble the source.
    #[must_use]
    pub fn near_source(&self) -> bool {
        self.near_source
    }

    /// Frames that failed and became noise floor or silence.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed + self.disguise.failed() + self.synth.failed()
    }

    fn run(&mut self, excitation: impl Fn(u64) -> Excitation, out: &mut Vec<f32>) {
        for feature in self.ready.drain(..) {
            self.disguise.push(&feature, excitation(self.analysed), &mut self.moments);
            self.analysed += 1;
        }
        let first = out.len();
        self.render(out);
        out[first..].iter_mut().for_each(|x| *x *= self.gain);
    }

    fn render(&mut self, out: &mut Vec<f32>) {
        for moment in self.moments.drain(..) {
            let good = self.painter.paint(&moment, &mut self.log_power) && moment.log_f0.is_finite();
            self.failed += u64::from(!good);
            let f0_hz = if good && moment.voiced { moment.log_f0.exp().clamp(50.0, 500.0) } else { 0.0 };
            self.synth.push(f0_hz, &self.log_power, out);
        }
    }
}
