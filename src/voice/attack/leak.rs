//! Search for pieces of the original's waveform in the output.

use super::coherence::CoherenceSearch;
use super::prepare::Prepare;
use crate::Result;
use crate::voice::RATE_HZ;
use crate::voice::fft::RealFft;

/// Window compared: 20 ms, every 5 ms.
const WINDOW: usize = 320;
const STEP: usize = 80;
/// Lags searched on both sides: 160 ms.
const REACH: usize = 2560;
/// Windows that share one transform of the output.
const GROUP: usize = 32;
const FFT: usize = 8192;
/// A window is found again if its normalised correlation exceeds this, in either polarity …
const FOUND: f32 = 0.9;
/// … and so are its neighbours, this many in all, at one lag within a sample.
const RUN: usize = 3;
/// Windows under this share of the loud ones' level (95th percentile) are not speech.
const QUIET: f32 = 0.05;
/// Windows under this level (−80 dB) are not compared at all.
const SILENT: f64 = 1e-4;

/// What was found of the original in the output.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct LeakReport {
    /// Speech windows compared.
    pub windows: usize,
    /// Windows found again at one lag in a run of three or more.
    pub leaked: usize,
    /// Where, in seconds of the original; half-open, joined.
    pub ranges_secs: Vec<(f64, f64)>,
    /// Largest mean coherence (300–4000 Hz) of any second of speech: a quiet raw voice under the disguise.
    pub mixed_in: f64,
}

impl LeakReport {
    /// Seconds of the original that were found again.
    #[must_use]
    pub fn leaked_secs(&self) -> f64 {
        self.ranges_secs.iter().map(|(a, b)| b - a).sum()
    }
}

struct Best {
    level: f32,
    correlation: f32,
    lag: i32,
}

/// Streaming search: 2.4 kB of memory per second of sound.
pub struct LeakSearch {
    prepare: [Prepare; 2],
    /// Prepared samples of original and output; the first lies at `base`.
    held: [Vec<f64>; 2],
    base: usize,
    next: usize,
    best: Vec<Best>,
    fft: RealFft,
    coherence: CoherenceSearch,
}

impl LeakSearch {
    /// A search over sound at `rate_hz`; both sounds have this rate.
    ///
    /// # Errors
    /// `Unsupported` if the rate is.
    pub fn new(rate_hz: u32) -> Result<Self> {
        Ok(LeakSearch {
            prepare: [Prepare::new(rate_hz)?, Prepare::new(rate_hz)?],
            held: [Vec::new(), Vec::new()],
            base: 0,
            next: 0,
            best: Vec::new(),
            fft: RealFft::new(FFT),
            coherence: CoherenceSearch::new(),
        })
    }

    /// Feeds the next samples of both sounds (they may differ in length).
    ///
    /// # Errors
    /// `Unsupported` if the rate conversion fails.
    pub fn push(&mut self, original: &[f32], output: &[f32]) -> Result<()> {
        for ((p, h), x) in self.prepare.iter_mut().zip(&mut self.held).zip([original, output]) {
            p.push(x, h)?;
        }
        self.run();
        Ok(())
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
        let end = self.base + self.held[0].len();
        self.held[1].resize(self.held[0].len() + REACH + GROUP * STEP + WINDOW, 0.0);
        self.held[0].resize(self.held[0].len() + REACH + GROUP * STEP + WINDOW, 0.0);
        self.run();
        self.best.truncate(if end < WINDOW { 0 } else { (end - WINDOW) / STEP + 1 });
        let mixed_in = self.coherence.finish();
        Ok(report(&self.best, mixed_in))
    }

    fn run(&mut self) {
        let [a, b] = &self.held;
        let ready = a.len().min(b.len()) + self.base;
        let span = (GROUP - 1) * STEP + WINDOW;
        while self.next + span + REACH <= ready {
            let (a, b) = (&self.held[0][self.next - self.base..], &self.held[1]);
            let before = REACH.min(self.next - self.base);
            let from = self.next - self.base - before;
            let region = &b[from..self.next - self.base + span + REACH];
            compare(&mut self.fft, &a[..span], region, before, &mut self.best);
            self.next += GROUP * STEP;
        }
        let done = self.next.saturating_sub(self.base + REACH);
        if done > 1 << 16 {
            self.coherence.run(&self.held, self.base, self.next - REACH);
            // The coherence search looks back at most this far.
            let keep = self.coherence.needs_from().min(self.next - REACH);
            let drop = keep.saturating_sub(self.base);
            self.held.iter_mut().for_each(|h| drop_front(h, drop));
            self.base += drop;
        }
        self.coherence.run(&self.held, self.base, self.next);
    }
}

fn drop_front(v: &mut Vec<f64>, n: usize) {
    v.drain(..n.min(v.len()));
}

/// Compares the windows of `a` with all of `region`, whose sample `before` has the time of `a[0]`.
fn compare(fft: &mut RealFft, a: &[f64], region: &[f64], before: usize, best: &mut Vec<Best>) {
    let spectrum = fft.forward(region).to_vec();
    let mut energy = vec![0.0; region.len() + 1];
    for (i, x) in region.iter().enumerate() {
        energy[i + 1] = energy[i] + x * x;
    }
    for start in (0..GROUP * STEP).step_by(STEP) {
        let window = &a[start..start + WINDOW];
        let power: f64 = window.iter().map(|x| x * x).sum();
        let level = (power / WINDOW as f64).sqrt();
        let mut found = Best { level: level as f32, correlation: 0.0, lag: 0 };
        if level > SILENT {
            fft.forward(window);
            let cross = fft.inverse(|s| s.iter_mut().zip(&spectrum).for_each(|(s, b)| *s = s.conj() * b));
            let at = before + start;
            for p in at.saturating_sub(REACH)..=(at + REACH).min(region.len() - WINDOW) {
                let other = energy[p + WINDOW] - energy[p];
                // Output far below the original cannot be heard as it; this also avoids dividing by rounding noise.
                if other > 1e-6 * power {
                    let r = (cross[p].abs() / (power * other).sqrt()) as f32;
                    if r > found.correlation {
                        found.correlation = r;
                        found.lag = p as i32 - at as i32;
                    }
                }
            }
        }
        best.push(found);
    }
}

fn report(best: &[Best], mixed_in: f64) -> LeakReport {
    let mut levels: Vec<f32> = best.iter().map(|b| b.level).filter(|l| f64::from(*l) > SILENT).collect();
    levels.sort_by(f32::total_cmp);
    let loud = levels.get(levels.len() * 95 / 100).copied().unwrap_or(0.0);
    let speech = |b: &Best| b.level > QUIET * loud && f64::from(b.level) > SILENT;
    let mut out =
        LeakReport { windows: best.iter().filter(|b| speech(b)).count(), leaked: 0, ranges_secs: Vec::new(), mixed_in };
    let mut run = 0;
    for i in 0..=best.len() {
        let hit = best.get(i).is_some_and(|b| speech(b) && b.correlation > FOUND);
        let joins = run > 0 && hit && (best[i].lag - best[i - 1].lag).abs() <= 1;
        if run > 0 && !joins {
            if run >= RUN {
                out.leaked += run;
                out.add_range((i - run) * STEP, (i - 1) * STEP + WINDOW);
            }
            run = 0;
        }
        run += usize::from(hit);
    }
    out
}

impl LeakReport {
    fn add_range(&mut self, start: usize, end: usize) {
        let secs = |s: usize| s as f64 / f64::from(RATE_HZ);
        match self.ranges_secs.last_mut() {
            Some(last) if last.1 >= secs(start) => last.1 = secs(end),
            _ => self.ranges_secs.push((secs(start), secs(end))),
        }
    }
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
        assert!(r.windows > 1500 && r.mixed_in < 0.2, "{r:?}");
    }

    #[test]
    fn forty_milliseconds_are_found_late_or_inverted() {
        let mut noise = Noise::from_os().unwrap();
        for (at, lag, sign) in [(8000, 0_isize, 1.0), (50001, 1600, -1.0), (120_000, -2300, 0.3)] {
            let (a, mut b) = (babble(9, &mut noise), babble(9, &mut noise));
            for i in at..at + 640 {
                b[(i as isize + lag) as usize] = sign * a[i];
            }
            let r = leaked_windows(&a, &b, 16000).unwrap();
            assert!(r.leaked >= 3, "{at} {r:?}");
            let (from, to) = r.ranges_secs[0];
            assert!((from - at as f64 / 16000.0).abs() < 0.02 && to - from < 0.08, "{r:?}");
        }
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
        assert!(r.windows > 100 && r.leaked > 9 * r.windows / 10, "{r:?}");
        assert_eq!(leaked_windows(&a, &[], 16000).unwrap().leaked, 0);
        assert_eq!(leaked_windows(&[], &a, 16000).unwrap().windows, 0);
        assert_eq!(leaked_windows(&a[..100], &a[..100], 16000).unwrap().windows, 0);
    }
}
