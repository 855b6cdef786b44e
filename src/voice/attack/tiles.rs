//! How like a 10 ms tile of one sound is to every place of another, in three colourings.

use super::whiten::{MOST_ORDER, Whitener};
use crate::{Error, Result};
use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use std::sync::Arc;

/// Samples of a tile: 10 ms.
pub(super) const TILE: usize = 160;
/// Lags searched on both sides: 250 ms.
pub(super) const REACH: usize = 4000;
/// Lags in all.
pub(super) const LAGS: usize = 2 * REACH + 1;
const FFT: usize = 8192;
/// Samples on each side of a tile that its whitening filter is also made from.
const AROUND: usize = 160;
/// Order of the whitening filter of the whole band and of the low band, and their floor.
const ORDERS: (usize, usize) = (16, 12);
const FLOOR: f64 = 1e-2;
/// Output this far under the original cannot be heard as it; this also avoids dividing by rounding noise.
const INAUDIBLE: f64 = 1e-6;

/// A sound from which pieces around a sample can be read; it is silent outside.
pub(super) struct Sound<'s> {
    /// Samples, the first at time `base`.
    pub samples: &'s [f64],
    /// Time of the first sample.
    pub base: usize,
}

impl Sound<'_> {
    fn read(&self, from: isize, out: &mut [f32]) {
        out.fill(0.0);
        let begin = from - self.base as isize;
        let here = self.samples.get(begin.max(0).unsigned_abs()..).unwrap_or(&[]);
        out.iter_mut().skip(begin.min(0).unsigned_abs()).zip(here).for_each(|(o, x)| *o = *x as f32);
    }
}

/// Transforms and buffers.
pub(super) struct Tiles {
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    scratch: Vec<Complex<f32>>,
    spectra: [Vec<Complex<f32>>; 2],
    place: Vec<f32>,
    region: Vec<f32>,
    near: Vec<f32>,
    time: Vec<f32>,
}

impl Tiles {
    pub(super) fn new() -> Self {
        let mut planner = RealFftPlanner::<f32>::new();
        let (forward, inverse) = (planner.plan_fft_forward(FFT), planner.plan_fft_inverse(FFT));
        let scratch = forward.get_scratch_len().max(inverse.get_scratch_len());
        Tiles {
            forward,
            inverse,
            scratch: vec![Complex::default(); scratch],
            spectra: [0, 1].map(|_| vec![Complex::default(); FFT / 2 + 1]),
            place: vec![0.0; 2 * REACH + TILE + MOST_ORDER],
            region: vec![0.0; FFT],
            near: vec![0.0; TILE + 2 * AROUND],
            time: vec![0.0; FFT],
        }
    }

    /// Mean correlation of the tile of `a` at `at` with `b`, per lag from −[`REACH`]: as it is, whitened, and the low band
    /// whitened, which a codec spoils least.
    ///
    /// # Errors
    /// `Unsupported` if a transform fails.
    pub(super) fn compare(&mut self, wide: [&Sound; 2], low: [&Sound; 2], at: usize) -> Result<Vec<f32>> {
        let mut sum = vec![0.0; LAGS];
        let white = |tiles: &mut Self, sound: &Sound, order: usize| {
            sound.read(at as isize - AROUND as isize, &mut tiles.near);
            Whitener::of(&tiles.near, order, FLOOR)
        };
        self.add(wide, at, &Whitener::none(), &mut sum)?;
        let whitener = white(self, wide[0], ORDERS.0);
        self.add(wide, at, &whitener, &mut sum)?;
        let whitener = white(self, low[0], ORDERS.1);
        self.add(low, at, &whitener, &mut sum)?;
        sum.iter_mut().for_each(|x| *x /= 3.0);
        Ok(sum)
    }

    /// Adds the correlations in one colouring.
    fn add(&mut self, [a, b]: [&Sound; 2], at: usize, whitener: &Whitener, sum: &mut [f32]) -> Result<()> {
        let failed = |_| Error::Unsupported("the search for recorded sound failed in a transform".into());
        let lead = at as isize - MOST_ORDER as isize;
        a.read(lead, &mut self.place[..TILE + MOST_ORDER]);
        self.time.fill(0.0);
        whitener.filter(&self.place[..TILE + MOST_ORDER], &mut self.time[..TILE]);
        let power: f64 = self.time[..TILE].iter().map(|x| f64::from(*x).powi(2)).sum();
        self.forward.process_with_scratch(&mut self.time, &mut self.spectra[0], &mut self.scratch).map_err(failed)?;

        b.read(lead - REACH as isize, &mut self.place);
        let span = 2 * REACH + TILE;
        whitener.filter(&self.place, &mut self.region[..span]);
        let energy: Vec<f64> = self.region[..span].iter().map(|x| f64::from(*x).powi(2)).collect();
        self.region[span..].fill(0.0);
        self.forward.process_with_scratch(&mut self.region, &mut self.spectra[1], &mut self.scratch).map_err(failed)?;

        let [x, y] = &mut self.spectra;
        x.iter_mut().zip(y.iter()).for_each(|(x, y)| *x = x.conj() * y);
        x[0].im = 0.0;
        x[FFT / 2].im = 0.0;
        self.inverse.process_with_scratch(x, &mut self.time, &mut self.scratch).map_err(failed)?;
        let mut other: f64 = energy[..TILE].iter().sum();
        let scale = FFT as f64 * power.sqrt();
        for (l, sum) in sum.iter_mut().enumerate() {
            if other > INAUDIBLE * power {
                *sum += (f64::from(self.time[l]) / (scale * other.sqrt())) as f32;
            }
            if l + 1 < LAGS {
                other = (other + energy[l + TILE] - energy[l]).max(0.0);
            }
        }
        Ok(())
    }
}
