//! The invented voice: drawn from a secret, far enough from the source.

use super::cepstrum::ORDER;
use super::secret::{Secret, normal_pair, uniform};
use super::statistics::SpeechStatistics;
use super::tables::{AXES, CLASSES, Tables};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Middle of the invented pitches and their reach: 104 to 210 Hz.
const F0_CENTRE_HZ: f64 = 148.0;
const F0_REACH: f64 = 1.42;
/// Frequencies at which the axis is bent a little.
pub const KNOTS_HZ: [f64; 8] = [0.0, 350.0, 900.0, 1600.0, 2500.0, 3600.0, 5200.0, 8000.0];
const KNOT_REACH: f64 = 0.045;
const AXIS_REACH: f64 = 1.5;
const CLASS_SHARE: f64 = 0.6;
/// Draws nearer to the source than this are thrown away: semitones of pitch, natural log of tract length.
const FAR_SEMITONES: f64 = 2.5;
const FAR_TRACT: f64 = 0.045;
const TRIES: usize = 400;

/// Parameters of an invented voice. As secret as the bytes they come from.
#[derive(Clone, PartialEq, Zeroize, ZeroizeOnDrop)]
pub struct PseudoSpeaker {
    pub(in crate::voice) log_f0: f64,
    pub(in crate::voice) log_f0_sd: f64,
    /// Factor by which frequencies are multiplied from the canonical axis.
    pub(in crate::voice) tract_factor: f64,
    pub(in crate::voice) knots: [f64; KNOTS_HZ.len()],
    /// Offset along the population's principal directions.
    pub(in crate::voice) offset: Vec<f64>,
    /// Offsets per class of sounds, row-major.
    pub(in crate::voice) class_offset: Vec<f64>,
    pub(in crate::voice) breath: f64,
    pub(in crate::voice) tilt_db: f64,
    near_source: bool,
}

impl PseudoSpeaker {
    /// Draws the voice that `secret` stands for, given the source it must not resemble.
    #[must_use]
    pub fn draw(secret: &Secret, source: &SpeechStatistics, tables: &Tables) -> Self {
        let mut rng = secret.generator("understudy pseudo-speaker 1");
        let mut speaker = Self::draw_once(&mut rng, tables);
        for _ in 0..TRIES {
            if !speaker.is_near(source) {
                return speaker;
            }
            speaker = Self::draw_once(&mut rng, tables);
        }
        speaker.near_source = speaker.is_near(source);
        speaker
    }

    fn draw_once(rng: &mut rand_chacha::ChaCha20Rng, tables: &Tables) -> Self {
        let mut within = |reach: f64| reach * (2.0 * uniform(rng) - 1.0);
        let z = within(1.0);
        let log_f0 = F0_CENTRE_HZ.ln() + z * F0_REACH.ln();
        let log_f0_sd = 0.165 + within(0.035);
        let tract_factor = (0.055 * z + within(0.035)).exp();
        let mut knots: [f64; KNOTS_HZ.len()] = std::array::from_fn(|_| 1.0 + within(KNOT_REACH));
        knots[0] = knots[1];
        let mut offset = vec![0.0; ORDER];
        for a in 0..AXES {
            let amount = within(AXIS_REACH) * tables.axis_sd[a];
            offset.iter_mut().zip(&tables.axes[a * ORDER..]).for_each(|(o, d)| *o += amount * d);
        }
        let (breath, tilt_db) = (0.06 + within(0.06), within(2.0));
        let pairs = (0..CLASSES * ORDER / 2).map(|_| normal_pair(rng)).flat_map(|(a, b)| [a, b]);
        let class_offset = pairs.zip(&tables.class_sd).map(|(z, sd)| CLASS_SHARE * z * sd).collect();
        PseudoSpeaker {
            log_f0,
            log_f0_sd,
            tract_factor,
            knots,
            offset,
            class_offset,
            breath,
            tilt_db,
            near_source: false,
        }
    }

    fn is_near(&self, source: &SpeechStatistics) -> bool {
        let semitones = 12.0 / std::f64::consts::LN_2 * (self.log_f0 - source.log_f0_median).abs();
        semitones < FAR_SEMITONES || (self.tract_factor * source.tract_factor).ln().abs() < FAR_TRACT
    }

    /// Whether no draw was far enough from the source.
    #[must_use]
    pub fn near_source(&self) -> bool {
        self.near_source
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::statistics::StatisticsBuilder;
    use zeroize::Zeroizing;

    #[test]
    fn a_vault_keeps_the_voice_and_not_the_noise() {
        use crate::vault::{Passphrase, Vault};
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::create(&dir.path().join("v"), &Passphrase::new(b"three words".to_vec()).unwrap()).unwrap();
        let tables = Tables::embedded().unwrap();
        let source = StatisticsBuilder::new().finish(&tables);
        let secret = |render: u8| {
            let seeds = vault.begin_render(&[render; 32]).unwrap().attempt().unwrap();
            Secret::from_bytes(seeds.voice(0)).with_noise(seeds.noise(0))
        };
        let (a, b) = (secret(1), secret(2));
        assert!(PseudoSpeaker::draw(&a, &source, &tables) == PseudoSpeaker::draw(&b, &source, &tables));
        for label in ["disguise", "paint", "synth", "floor"] {
            let draw = |s: &Secret| s.noise(label).unwrap().normal();
            assert_ne!(draw(&a), draw(&b), "{label}");
            assert_eq!(draw(&a), draw(&secret(1)), "{label}: a stopped render has other noise");
        }
    }

    #[test]
    fn one_secret_one_voice_far_from_the_source() {
        let tables = Tables::embedded().unwrap();
        let source = StatisticsBuilder::new().finish(&tables);
        for i in 0..20_u8 {
            let secret = Secret::from_bytes(Zeroizing::new([i; 32]));
            let a = PseudoSpeaker::draw(&secret, &source, &tables);
            assert!(a == PseudoSpeaker::draw(&secret, &source, &tables));
            assert!(!a.is_near(&source) && !a.near_source());
            assert!((100.0..215.0).contains(&a.log_f0.exp()));
            let other = PseudoSpeaker::draw(&Secret::from_bytes(Zeroizing::new([i + 100; 32])), &source, &tables);
            assert!(a != other);
        }
    }
}
