//! Averages over many speakers, compiled in; not a network. Built by `scripts/voice/build_tables.py`.

use super::cepstrum::ORDER;
use crate::{Error, Result};
use nalgebra::{DMatrix, DVector};

/// Coefficients on which the vocal tract's length is judged: 1..=14.
pub const TRACT_ORDER: usize = 14;
/// Classes of speech sounds.
pub const CLASSES: usize = 32;
/// Principal directions between speakers.
pub const AXES: usize = 6;

const TRACT_PARTS: usize = 24;
const HEADER: usize = 12;

/// Mixture of Gaussians with diagonal covariance.
#[derive(Debug)]
pub struct Mixture {
    dims: usize,
    /// ln weight − ½ Σ ln(2π variance), per part.
    constant: Vec<f64>,
    mean: Vec<f64>,
    precision: Vec<f64>,
}

impl Mixture {
    fn new(weight: &[f64], mean: &[f64], variance: &[f64]) -> Self {
        let dims = mean.len() / weight.len();
        let log_norm = |v: &[f64]| v.iter().map(|v| (std::f64::consts::TAU * v).ln()).sum::<f64>();
        let constant =
            weight.iter().zip(variance.chunks_exact(dims)).map(|(w, v)| w.ln() - 0.5 * log_norm(v)).collect();
        Mixture { dims, constant, mean: mean.to_vec(), precision: variance.iter().map(|v| 1.0 / v).collect() }
    }

    /// Log density of each part times its weight.
    pub fn log_parts(&self, x: &[f64], out: &mut [f64]) {
        let parts = self.mean.chunks_exact(self.dims).zip(self.precision.chunks_exact(self.dims));
        for ((o, c), (m, p)) in out.iter_mut().zip(&self.constant).zip(parts) {
            let square: f64 = x.iter().zip(m).zip(p).map(|((x, m), p)| (x - m) * (x - m) * p).sum();
            *o = c - 0.5 * square;
        }
    }

    /// Mean of part `k`.
    #[must_use]
    pub fn mean(&self, k: usize) -> &[f64] {
        &self.mean[k * self.dims..(k + 1) * self.dims]
    }
}

/// Mean and covariance of a group of frames.
#[derive(Debug)]
pub struct Gaussian {
    /// Mean, [`ORDER`] values.
    pub mean: DVector<f64>,
    /// Covariance, [`ORDER`] × [`ORDER`].
    pub covariance: DMatrix<f64>,
}

/// The population that every voice is given the statistics of.
#[derive(Debug)]
pub struct Tables {
    /// Voiced frames, coefficients 1..=14 less 0.7 of their mean, on a canonical frequency axis.
    pub tract: Mixture,
    /// Voiced and unvoiced frames of speech; level 0 is a speaker's 90th percentile.
    pub population: [Gaussian; 2],
    /// Classes of sounds, over frames that already have the population's statistics.
    pub classes: Mixture,
    /// Principal directions of speakers' means, row-major [`AXES`] × [`ORDER`].
    pub axes: Vec<f64>,
    /// Standard deviation along each direction.
    pub axis_sd: Vec<f64>,
    /// Standard deviation of speakers' class offsets, row-major [`CLASSES`] × [`ORDER`].
    pub class_sd: Vec<f64>,
}

struct Reader<'a>(&'a [f64]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [f64]> {
        let Some((head, rest)) = self.0.split_at_checked(n) else { return Err(damaged()) };
        self.0 = rest;
        Ok(head)
    }

    fn mixture(&mut self, parts: usize, dims: usize) -> Result<Mixture> {
        let (w, m, v) = (self.take(parts)?, self.take(parts * dims)?, self.take(parts * dims)?);
        Ok(Mixture::new(w, m, v))
    }

    fn gaussian(&mut self) -> Result<Gaussian> {
        let mean = DVector::from_row_slice(self.take(ORDER)?);
        Ok(Gaussian { mean, covariance: DMatrix::from_row_slice(ORDER, ORDER, self.take(ORDER * ORDER)?) })
    }
}

fn damaged() -> Error {
    Error::Model("the voice tables inside this program are damaged; reinstall it".into())
}

impl Tables {
    /// The tables compiled into the program.
    ///
    /// # Errors
    /// `Model` if they are damaged.
    pub fn embedded() -> Result<Self> {
        Self::parse(include_bytes!("../../models/voice/tables.bin"))
    }

    /// Reads tables: `USVT`, version 1 and count as little-endian `u32`, then that many `f32`.
    ///
    /// # Errors
    /// `Model` if magic, version, count or a value is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let (header, body) = bytes.split_at_checked(HEADER).ok_or_else(damaged)?;
        if &header[..8] != b"USVT\x01\0\0\0" {
            return Err(damaged());
        }
        let values: Vec<f64> =
            body.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect();
        let count = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        if count != values.len() || body.len() % 4 != 0 || values.iter().any(|v| !v.is_finite()) {
            return Err(damaged());
        }
        let mut r = Reader(&values);
        let tables = Tables {
            tract: r.mixture(TRACT_PARTS, TRACT_ORDER)?,
            population: [r.gaussian()?, r.gaussian()?],
            classes: r.mixture(CLASSES, ORDER)?,
            axes: r.take(AXES * ORDER)?.to_vec(),
            axis_sd: r.take(AXES)?.to_vec(),
            class_sd: r.take(CLASSES * ORDER)?.to_vec(),
        };
        if r.0.is_empty() { Ok(tables) } else { Err(damaged()) }
    }

    /// Softened class posteriors (square root, renormalised) of one frame.
    pub fn posteriors(&self, x: &[f64], out: &mut [f64; CLASSES]) {
        self.classes.log_parts(x, out);
        let top = out.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        out.iter_mut().for_each(|q| *q = (0.5 * (*q - top)).exp());
        let sum: f64 = out.iter().sum();
        out.iter_mut().for_each(|q| *q /= sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_tables_are_sound() {
        let t = Tables::embedded().unwrap();
        for g in &t.population {
            assert!(g.covariance.clone().cholesky().is_some());
        }
        let mut p = [0.0; CLASSES];
        t.posteriors(t.classes.mean(3), &mut p);
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn damage_is_an_error() {
        let good = include_bytes!("../../models/voice/tables.bin");
        assert!(Tables::parse(&[]).is_err());
        assert!(Tables::parse(&good[..good.len() - 4]).is_err());
        let mut bad = good.to_vec();
        bad[15] = 0x7f;
        bad[14] = 0xc0;
        assert!(Tables::parse(&bad).is_err());
    }
}
