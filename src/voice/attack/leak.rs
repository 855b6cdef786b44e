//! Search for pieces of the original's waveform in the output.

use super::coherence::CoherenceSearch;
use super::prepare::{LowBand, Prepare};
use super::tiles::{LAGS, REACH, Sound, TILE, Tiles};
use crate::Result;
use crate::voice::RATE_HZ;
use std::collections::VecDeque;

/// Tiles of a window: 30 ms. Every 40 ms of sound hold a whole window.
const TILES: usize = 3;
/// Where the band compared begins: the click of a cut in a rumble is over within 4 ms.
const LOWEST_HZ: f64 = 300.0;
/// Tiles under this level (−90 dB, about one step of 16 bits) are not compared.
const SILENT: f64 = 3e-5;
/// A window is found again where its likeness, in either polarity, lies above this …
const FOUND: f32 = 0.46;
/// … plus this many spreads over all lags: voices share pulses and formants by chance, and a tone is like every tone …
const SPREADS: f32 = 4.0;
/// … or above this, unless the spread shows a tone.
const SURELY: f32 = 0.8;
const TONAL: f32 = 0.25;

/// What was found of the original in the output.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct LeakReport {
    /// Windows of 30 ms compared, one every 10 ms.
    pub windows: usize,
    /// Windows found again.
    pub leaked: usize,
    /// Where, in seconds of the original; half-open, joined.
    pub ranges_secs: Vec<(f64, f64)>,
    /// Highest likeness of any window above its chance level; a window counts as found above 0.46.
    pub nearest: f64,
    /// Largest mean coherence (300–4000 Hz) of any second of speech: a quiet raw voice under the disguise.
    pub mixed_in: f64,
}

impl LeakReport {
    /// Seconds of the original that were found again.
    #[must_use]
    pub fn leaked_secs(&self) -> f64 {
        self.ranges_secs.iter().map(|(a, b)| b - a).sum()
    }

    fn add_range(&mut self, start: usize, end: usize) {
        let secs = |s: usize| s as f64 / f64::from(RATE_HZ);
        match self.ranges_secs.last_mut() {
            Some(last) if last.1 >= secs(start) => last.1 = secs(end),
            _ => self.ranges_secs.push((secs(start), secs(end))),
        }
    }
}

/// Streaming search; memory does not grow with the sound.
///
/// Every 10 ms tile of the original is correlated with the output at all lags of ±250 ms, in three colourings (see
/// `tiles.rs`). A window is three tiles, each with the same say, however loud: pulses of two voices that meet by chance
/// in one tile are outvoted by the others.
pub struct LeakSearch {
    prepare: [Prepare; 2],
    lows: [LowBand; 2],
    /// Prepared samples of original and output; the first lies at `base`.
    held: [Vec<f64>; 2],
    low: [Vec<f64>; 2],
    base: usize,
    next: usize,
    tiles: Tiles,
    /// Likeness of the last tiles per lag; none for a silent tile.
    last: VecDeque<Option<Vec<f32>>>,
    report: LeakReport,
    coherence: CoherenceSearch,
}

impl LeakSearch {
    /// A search over sound at `rate_hz`; both sounds have this rate.
    ///
    /// # Errors
    /// `Unsupported` if the rate is.
    pub fn new(rate_hz: u32) -> Result<Self> {
        Ok(LeakSearch {
            prepare: [Prepare::from_hz(rate_hz, LOWEST_HZ)?, Prepare::from_hz(rate_hz, LOWEST_HZ)?],
            lows: [LowBand::new(), LowBand::new()],
            held: [Vec::new(), Vec::new()],
            low: [Vec::new(), Vec::new()],
            base: 0,
            next: 0,
            tiles: Tiles::new(),
            last: VecDeque::new(),
            report: LeakReport { windows: 0, leaked: 0, ranges_secs: Vec::new(), nearest: 0.0, mixed_in: 0.0 },
            coherence: CoherenceSearch::new(),
        })
    }

    /// Feeds the next samples of both sounds (they may differ in length).
    ///
    /// # Errors
    /// `Unsupported` if the rate conversion fails.
    pub fn push(&mut self, original: &[f32], output: &[f32]) -> Result<()> {
        for (i, x) in [original, output].into_iter().enumerate() {
            self.prepare[i].push(x, &mut self.held[i])?;
        }
        self.run()
    }

    /// Ends the search.
    ///
    /// # Errors
    /// `Unsupported` if the rate conversion fails.
    pub fn finish(mut self) -> Result<LeakReport> {
        for (p, h) in self.prepare.iter_mut().zip(&mut self.held) {
            p.finish(h)?;
        }
        // Windows end with the original; the output may be shorter, or its end may be searched past.
        let end = self.held[0].len() + REACH + 2 * TILE;
        self.held.iter_mut().for_each(|h| h.resize(end, 0.0));
        self.run()?;
        self.report.mixed_in = self.coherence.finish();
        Ok(self.report)
    }

    fn run(&mut self) -> Result<()> {
        for i in 0..2 {
            // At the end the held sound may have been cut to the original's length.
            self.low[i].truncate(self.held[i].len());
            let from = self.low[i].len();
            self.lows[i].push(&self.held[i][from..], &mut self.low[i]);
        }
        let ready = self.held[0].len().min(self.held[1].len()) + self.base;
        while self.next + REACH + 2 * TILE <= ready {
            self.tile()?;
            self.next += TILE;
        }
        let done = self.next.saturating_sub(self.base + REACH);
        if done > 1 << 16 {
            self.coherence.run(&self.held, self.base, self.next - REACH);
            // The coherence search looks back at most this far; so does a tile and its filter.
            let keep = self.coherence.needs_from().min(self.next - REACH - TILE);
            let drop = keep.saturating_sub(self.base);
            self.held.iter_mut().chain(&mut self.low).for_each(|h| drop_front(h, drop));
            self.base += drop;
        }
        self.coherence.run(&self.held, self.base, self.next);
        Ok(())
    }

    /// Compares the next tile, and the window that it ends.
    fn tile(&mut self) -> Result<()> {
        let sound = |samples| Sound { samples, base: self.base };
        let [a, b, c, d] = [&self.held[0], &self.held[1], &self.low[0], &self.low[1]].map(|s| sound(s));
        let here = self.next - self.base;
        let power: f64 = a.samples[here..here + TILE].iter().map(|x| x * x).sum();
        let heard = (power / TILE as f64).sqrt() > SILENT;
        let likeness = if heard { Some(self.tiles.compare([&a, &b], [&c, &d], self.next)?) } else { None };
        self.last.push_back(likeness);
        if self.last.len() > TILES {
            self.last.pop_front();
        }
        let tiles: Vec<&Vec<f32>> = self.last.iter().flatten().collect();
        let [x, y, z] = tiles[..] else { return Ok(()) };
        let (mut most, mut squares) = (0.0_f32, 0.0_f32);
        for l in 0..LAGS {
            let mean = (x[l] + y[l] + z[l]) / TILES as f32;
            // A sum that is not a number counts as found.
            most = if mean.abs() <= most { most } else { mean.abs() };
            squares += mean * mean;
        }
        let spread = (squares / LAGS as f32).sqrt();
        let above = most - SPREADS * spread;
        let clean = above <= FOUND && (most <= SURELY || spread >= TONAL);
        self.report.windows += 1;
        self.report.nearest = self.report.nearest.max(f64::from(above));
        if !clean {
            self.report.leaked += 1;
            let start = (self.next + TILE).saturating_sub(TILES * TILE);
            self.report.add_range(start, self.next + TILE);
        }
        Ok(())
    }
}

fn drop_front(v: &mut Vec<f64>, n: usize) {
    v.drain(..n.min(v.len()));
}

/// Searches a whole original in a whole output, both at `rate_hz`.
///
/// # Errors
/// `Unsupported` if the rate is.
pub fn leaked_windows(original: &[f32], output: &[f32], rate_hz: u32) -> Result<LeakReport> {
    let mut search = LeakSearch::new(rate_hz)?;
    let count = original.len().max(output.len());
    for start in (0..count).step_by(1 << 16) {
        let part = |x: &[f32]| x[start.min(x.len())..(start + (1 << 16)).min(x.len())].to_vec();
        search.push(&part(original), &part(output))?;
    }
    search.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::secret::Noise;

    /// Noise whose loudness and colour change, as a stand-in for speech.
    fn babble(secs: usize, noise: &mut Noise) -> Vec<f32> {
        let mut last = 0.0;
        (0..secs * 16000)
            .map(|i| {
                last = 0.7 * last + noise.normal();
                (0.1 * last * (0.6 + 0.4 * (i as f64 * 0.002).sin())) as f32
            })
            .collect()
    }

    #[test]
    fn unrelated_sound_is_clean() {
        let mut noise = Noise::from_os().unwrap();
        let r = leaked_windows(&babble(9, &mut noise), &babble(9, &mut noise), 16000).unwrap();
        assert_eq!(r.leaked, 0);
        assert!(r.windows > 800 && r.mixed_in < 0.2 && r.nearest < 0.3, "{r:?}");
    }

    #[test]
    fn forty_milliseconds_are_found_wherever_they_begin_late_or_inverted() {
        let mut noise = Noise::from_os().unwrap();
        let (a, clean) = (babble(12, &mut noise), babble(12, &mut noise));
        for (i, at) in (8000..180_000).step_by(8317).enumerate() {
            let lag = (noise.uniform() * 7600.0) as isize - 3800;
            let sign = [1.0, -0.3, 0.01][i % 3];
            let mut b = clean.clone();
            for i in at..at + 640 {
                b[(i as isize + lag) as usize] = sign * a[i];
            }
            let r = leaked_windows(&a, &b, 16000).unwrap();
            assert!(r.leaked >= 1 && r.ranges_secs.len() == 1, "{at} {lag} {r:?}");
            let (from, to) = r.ranges_secs[0];
            let begin = at as f64 / 16000.0;
            assert!(from > begin - 0.025 && to < begin + 0.065, "{begin} {r:?}");
        }
    }

    #[test]
    fn memory_does_not_grow_with_length() {
        let mut noise = Noise::from_os().unwrap();
        let mut search = LeakSearch::new(16000).unwrap();
        let (block, quiet) = (babble(1, &mut noise), vec![0.0; 16000]);
        for second in 0..300 {
            // Little is loud, so that this is quick.
            let original = if second % 60 == 0 { &block } else { &quiet };
            search.push(original, &block).unwrap();
            assert!(search.held[0].len() < 1 << 18 && search.last.len() <= TILES);
        }
        assert!(search.finish().unwrap().leaked > 200);
    }

    #[test]
    fn a_tone_in_both_is_no_leak() {
        let mut noise = Noise::from_os().unwrap();
        let (mut a, mut b) = (babble(6, &mut noise), babble(6, &mut noise));
        for i in 20_000..60_000 {
            let t = i as f32;
            a[i] = 0.3 * (t * 0.31).sin() + 0.1 * (t * 0.62).sin();
            b[i] = 0.3 * (t * 0.31 + 1.0).sin() + 0.1 * (t * 0.62 + 2.0).sin();
        }
        let r = leaked_windows(&a, &b, 16000).unwrap();
        assert_eq!(r.leaked, 0, "{r:?}");
    }

    #[test]
    fn a_quiet_raw_voice_under_another_shows_as_coherence() {
        let mut noise = Noise::from_os().unwrap();
        let (a, b) = (babble(6, &mut noise), babble(6, &mut noise));
        let mixed: Vec<f32> = a.iter().zip(&b).map(|(a, b)| b + 0.7 * a).collect();
        assert!(leaked_windows(&a, &mixed, 16000).unwrap().mixed_in > 0.25);
    }

    #[test]
    fn other_rates_and_lengths() {
        let mut noise = Noise::from_os().unwrap();
        let a = babble(3, &mut noise);
        let r = leaked_windows(&a, &a, 48000).unwrap();
        assert!(r.windows > 90 && r.leaked > 9 * r.windows / 10, "{r:?}");
        assert_eq!(leaked_windows(&a, &[], 16000).unwrap().leaked, 0);
        assert_eq!(leaked_windows(&[], &a, 16000).unwrap().windows, 0);
        assert_eq!(leaked_windows(&a[..100], &a[..100], 16000).unwrap().windows, 0);
        let odd: Vec<f32> = a.iter().map(|x| if *x > 0.1 { f32::NAN } else { *x }).collect();
        assert!(leaked_windows(&odd, &odd, 16000).unwrap().leaked > 100);
    }
}
