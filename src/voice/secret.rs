//! The secret behind a pseudo-speaker, and fresh noise.

use crate::{Error, Result};
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rand_chacha::{ChaCha12Rng, ChaCha20Rng};
use sha2::{Digest, Sha256};
use std::f64::consts::TAU;
use zeroize::Zeroizing;

/// Thirty-two random bytes that choose a pseudo-speaker. One per subject and project.
///
/// Never logged, printed or serialised; wiped when dropped. A leaked secret does not bring the voice back, but
/// lets an attacker pass every suspect through the same disguise.
pub struct Secret {
    voice: Zeroizing<[u8; 32]>,
    noise: Option<Zeroizing<[u8; 32]>>,
}

impl Secret {
    /// Draws a secret from the operating system.
    ///
    /// # Errors
    /// `Io` if the system gives no randomness.
    pub fn from_os() -> Result<Self> {
        Ok(Secret { voice: os_bytes()?, noise: None })
    }

    /// A secret kept by the caller, for example in an encrypted vault. Never derive it from a name, file or time.
    #[must_use]
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Secret { voice: bytes, noise: None }
    }

    /// Takes all noise from `seed` instead of the operating system, so that a stopped render can be made again. The
    /// seed must be drawn afresh for every render: two recordings under one noise give away their difference.
    #[must_use]
    pub fn with_noise(self, seed: Zeroizing<[u8; 32]>) -> Self {
        Secret { noise: Some(seed), ..self }
    }

    /// A stream of noise for one purpose.
    ///
    /// # Errors
    /// `Io` if the system gives no randomness.
    pub(in crate::voice) fn noise(&self, label: &str) -> Result<Noise> {
        match &self.noise {
            Some(seed) => Ok(Noise { rng: ChaCha12Rng::from_seed(*labelled(seed, label)), spare: None }),
            None => Noise::from_os(),
        }
    }

    /// Generator for one purpose; different labels give unrelated streams.
    pub(in crate::voice) fn generator(&self, label: &str) -> ChaCha20Rng {
        ChaCha20Rng::from_seed(*labelled(&self.voice, label))
    }
}

fn labelled(secret: &[u8; 32], label: &str) -> Zeroizing<[u8; 32]> {
    let mut hash = Sha256::new();
    hash.update(secret);
    hash.update(label.as_bytes());
    Zeroizing::new(<[u8; 32]>::from(hash.finalize()))
}

fn os_bytes() -> Result<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    getrandom::fill(bytes.as_mut()).map_err(|e| {
        Error::io("cannot get random bytes from the system", "/dev/urandom", std::io::Error::other(e.to_string()))
    })?;
    Ok(bytes)
}

/// Unpredictable noise, seeded by the operating system, different in every render.
pub struct Noise {
    rng: ChaCha12Rng,
    spare: Option<f64>,
}

impl Noise {
    /// A fresh stream of noise.
    ///
    /// # Errors
    /// `Io` if the system gives no randomness.
    pub fn from_os() -> Result<Self> {
        Ok(Noise { rng: ChaCha12Rng::from_seed(*os_bytes()?), spare: None })
    }

    /// Uniform in 0..1.
    pub fn uniform(&mut self) -> f64 {
        uniform(&mut self.rng)
    }

    /// Normal with mean 0 and variance 1.
    pub fn normal(&mut self) -> f64 {
        if let Some(z) = self.spare.take() {
            return z;
        }
        let (a, b) = normal_pair(&mut self.rng);
        self.spare = Some(b);
        a
    }

    /// Triangular in −1..1, variance 1/6; cheap, for dither.
    pub fn triangular(&mut self) -> f32 {
        let bits = self.rng.next_u64();
        let scale = 1.0 / f64::from(1_u32 << 24) / 256.0;
        ((f64::from(bits as u32) - f64::from((bits >> 32) as u32)) * scale) as f32
    }
}

/// Uniform in 0..1 with 53 bits.
pub(in crate::voice) fn uniform(rng: &mut impl RngCore) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Two independent normal values (Box & Muller 1958).
pub(in crate::voice) fn normal_pair(rng: &mut impl RngCore) -> (f64, f64) {
    let radius = (-2.0 * (1.0 - uniform(rng)).ln()).sqrt();
    let (sin, cos) = (TAU * uniform(rng)).sin_cos();
    (radius * cos, radius * sin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generators_repeat_for_one_label_only() {
        let secret = Secret::from_os().unwrap();
        assert_eq!(secret.generator("a").next_u64(), secret.generator("a").next_u64());
        assert_ne!(secret.generator("a").next_u64(), secret.generator("b").next_u64());
        assert_ne!(secret.generator("a").next_u64(), Secret::from_os().unwrap().generator("a").next_u64());
    }

    #[test]
    fn noise_repeats_for_one_seed_and_label_only() {
        let bytes = |b: u8| Zeroizing::new([b; 32]);
        let draw = |s: &Secret, label: &str| s.noise(label).unwrap().uniform();
        let secret = || Secret::from_bytes(bytes(1));
        let (a, b) = (secret().with_noise(bytes(2)), secret().with_noise(bytes(3)));
        assert_eq!(draw(&a, "x"), draw(&a, "x"));
        assert_ne!(draw(&a, "x"), draw(&a, "y"));
        assert_ne!(draw(&a, "x"), draw(&b, "x"));
        assert_ne!(draw(&secret(), "x"), draw(&secret(), "x"));
        assert_eq!(a.generator("v").next_u64(), b.generator("v").next_u64(), "the voice is another");
    }

    #[test]
    fn noise_has_its_variance_and_bounds() {
        let mut noise = Noise::from_os().unwrap();
        let v = (0..40000).map(|_| noise.normal().powi(2)).sum::<f64>() / 40000.0;
        assert!((v - 1.0).abs() < 0.05, "{v}");
        assert!((0..40000).all(|_| noise.triangular().abs() <= 1.0));
    }
}
