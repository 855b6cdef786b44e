//! Coherence between original and output: shared fine structure under a disguise.

use super::prepare::prepared;
use crate::Result;
use crate::voice::RATE_HZ;
use crate::voice::fft::RealFft;
use realfft::num_complex::Complex;
use std::f64::consts::TAU;

const SECOND: usize = RATE_HZ as usize;
/// Welch segments: 32 ms, three quarters overlapping (P. Welch, *IEEE Trans. Audio* 15, 1967).
const SEGMENT: usize = 512;
const HOP: usize = 128;
/// Lags at which the output may lie: 160 ms.
const REACH: usize = 2560;
const ALIGN_FFT: usize = 32_768;
const BAND_HZ: (f64, f64) = (300.0, 4000.0);
/// Seconds under this level (−70 dB) are not compared.
const SILENT: f64 = 3e-4;

/// Streaming search over every half second.
pub(super) struct CoherenceSearch {
    align: RealFft,
    segment: RealFft,
    next: usize,
    /// Level and coherence of each second looked at.
    seconds: Vec<(f32, f32)>,
}

impl CoherenceSearch {
    pub(super) fn new() -> Self {
        CoherenceSearch { align: RealFft::new(ALIGN_FFT), segment: RealFft::new(SEGMENT), next: 0, seconds: Vec::new() }
    }

    /// First sample still needed.
    pub(super) fn needs_from(&self) -> usize {
        self.next.saturating_sub(REACH)
    }

    /// Looks at every second that lies wholly before `until`; sample `i` of both sounds has the time `base + i`.
    pub(super) fn run(&mut self, held: &[Vec<f64>; 2], base: usize, until: usize) {
        let [a, b] = held;
        while self.next + SECOND <= until {
            let at = self.next - base;
            self.next += SECOND / 2;
            let Some(here) = a.get(at..at + SECOND) else { continue };
            let level = (here.iter().map(|x| x * x).sum::<f64>() / SECOND as f64).sqrt();
            if level < SILENT {
                continue;
            }
            let sample = |i: isize| usize::try_from(i).ok().and_then(|i| b.get(i)).copied().unwrap_or(0.0);
            let around: Vec<f64> =
                (0..SECOND + 2 * REACH).map(|i| sample((at + i) as isize - REACH as isize)).collect();
            let lag = self.best_lag(here, &around);
            let still = self.coherence(here, &around[REACH..REACH + SECOND]);
            let moved = self.coherence(here, &around[lag..lag + SECOND]);
            self.seconds.push((level as f32, still.max(moved) as f32));
        }
    }

    /// Largest coherence of any second as loud as speech.
    pub(super) fn finish(&self) -> f64 {
        let mut levels: Vec<f32> = self.seconds.iter().map(|s| s.0).collect();
        levels.sort_by(f32::total_cmp);
        let loud = levels.get(levels.len() * 95 / 100).copied().unwrap_or(0.0);
        let speech = self.seconds.iter().filter(|s| s.0 > 0.1 * loud);
        f64::from(speech.map(|s| s.1).fold(0.0, f32::max))
    }

    /// Start in `around` of the piece most like `here`, by phase correlation.
    fn best_lag(&mut self, here: &[f64], around: &[f64]) -> usize {
        let spectrum = self.align.forward(around).to_vec();
        self.align.forward(here);
        let cross = self.align.inverse(|s| {
            s.iter_mut().zip(&spectrum).for_each(|(s, b)| {
                let v = s.conj() * b;
                *s = v / (v.norm() + 1e-12);
            });
        });
        (0..=2 * REACH).fold((0, -1.0), |best, i| if cross[i].abs() > best.1 { (i, cross[i].abs()) } else { best }).0
    }

    /// Mean magnitude-squared coherence over the band.
    fn coherence(&mut self, a: &[f64], b: &[f64]) -> f64 {
        let bins = SEGMENT / 2 + 1;
        let (mut aa, mut bb) = (vec![0.0; bins], vec![0.0; bins]);
        let mut ab = vec![Complex::<f64>::default(); bins];
        let window: Vec<f64> = (0..SEGMENT).map(|i| 0.5 - 0.5 * (TAU * i as f64 / SEGMENT as f64).cos()).collect();
        let weigh = |x: &[f64]| x.iter().zip(&window).map(|(x, w)| x * w).collect::<Vec<_>>();
        for start in (0..=a.len().min(b.len()) - SEGMENT).step_by(HOP) {
            let fa = self.segment.forward(&weigh(&a[start..start + SEGMENT])).to_vec();
            let fb = self.segment.forward(&weigh(&b[start..start + SEGMENT]));
            for k in 0..bins {
                aa[k] += fa[k].norm_sqr();
                bb[k] += fb[k].norm_sqr();
                ab[k] += fa[k].conj() * fb[k];
            }
        }
        let hz = |k: usize| k as f64 * f64::from(RATE_HZ) / SEGMENT as f64;
        let band: Vec<usize> = (0..bins).filter(|k| hz(*k) > BAND_HZ.0 && hz(*k) < BAND_HZ.1).collect();
        let one = |k: &usize| ab[*k].norm_sqr() / (aa[*k] * bb[*k] + 1e-30);
        band.iter().map(one).sum::<f64>() / band.len() as f64
    }
}

/// Largest mean coherence (300–4000 Hz) of any second of speech, at the best lag of that second within 160 ms.
///
/// Unrelated voices give about 0.1; 1 is a copy.
///
/// # Errors
/// `Unsupported` if the rate is.
pub fn mixed_in(original: &[f32], output: &[f32], rate_hz: u32) -> Result<f64> {
    let held = [prepared(original, rate_hz)?, prepared(output, rate_hz)?];
    let mut search = CoherenceSearch::new();
    search.run(&held, 0, held[0].len());
    Ok(search.finish())
}
