//! When anybody speaks on a channel: energy over a tracked noise floor, in three bands. Streaming, any rate.
//!
//! A frame of 10 ms counts as sound if in any band (up to 500 Hz, up to 2.5 kHz, above) its level is 9 dB over the floor:
//! the lowest 100 ms mean within half a minute before and after. Steady noise and hum raise their floor and stay quiet; music
//! does not. It errs towards hearing something, as a protection wants: what it calls silence holds no speech that could be
//! made out on that channel.
//!
//! Floor by minima of smoothed power: R. Martin, *IEEE Trans. Speech Audio Proc.* 9 (2001), §II; without its bias
//! correction, so that the floor is rather too low.

use std::collections::VecDeque;

/// Frames per second.
pub const FRAMES_PER_SEC: u32 = 100;
/// How far sound must be above the floor.
const MARGIN: f32 = 7.943_282; // 9 dB
/// Power that is never told from silence: −90 dB.
const LEAST: f32 = 1e-9;
/// Frames of a mean that the floor is the least of: 100 ms.
const SMOOTH: usize = 10;
/// Frames on each side that the floor is looked for in: half a minute.
const REACH: usize = 3000;
/// Borders of the bands, and what is below all of them, Hz.
const BORDERS_HZ: [f64; 3] = [80.0, 500.0, 2500.0];
const BANDS: usize = 3;

/// One frame of a channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heard {
    /// Mean power above 2.5 kHz, in dB of full scale, at least −90: where open mouths and hisses are heard best.
    pub bright_db: f32,
    /// Whether the sound is 9 dB above the floor in any band.
    pub active: bool,
}

/// Hears when there is sound on one channel, about half a minute late; memory does not grow.
///
/// ```
/// use understudy::voice::activity::Activity;
/// let mut heard = Vec::new();
/// let mut activity = Activity::new(8000);
/// let sound: Vec<f32> = (0..16_000).map(|i| if i < 8000 { 0.0 } else { (i as f32 * 0.7).sin() * 0.1 }).collect();
/// activity.push(&sound, &mut |h| heard.push(h.active));
/// activity.finish(&mut |h| heard.push(h.active));
/// assert_eq!(heard.len(), 200);
/// assert!(!heard[..99].contains(&true) && !heard[102..].contains(&false));
/// ```
pub struct Activity {
    rate_hz: u64,
    poles: [f32; 3],
    low: [f32; 3],
    sums: [f32; BANDS],
    taken: u64,
    begun: u64,
    frames: u64,
    floors: [Floor; BANDS],
    waiting: VecDeque<[f32; BANDS]>,
    before: [f32; BANDS],
}

impl Activity {
    /// Listens to a channel at `rate_hz`; 0 is taken as 1.
    #[must_use]
    pub fn new(rate_hz: u32) -> Self {
        let rate = f64::from(rate_hz.max(1));
        Activity {
            rate_hz: u64::from(rate_hz.max(1)),
            poles: BORDERS_HZ.map(|hz| (1.0 - (-std::f64::consts::TAU * hz / rate).exp()) as f32),
            low: [0.0; 3],
            sums: [0.0; BANDS],
            taken: 0,
            begun: 0,
            frames: 0,
            floors: std::array::from_fn(|_| Floor::default()),
            waiting: VecDeque::new(),
            before: [0.0; BANDS],
        }
    }

    /// Feeds samples; `hear` gets the frames that are decided, in order.
    pub fn push(&mut self, samples: &[f32], hear: &mut dyn FnMut(Heard)) {
        for x in samples {
            let x = if x.is_finite() { x.clamp(-8.0, 8.0) } else { 0.0 };
            for (low, pole) in self.low.iter_mut().zip(&self.poles) {
                *low += pole * (x - *low);
            }
            let [hum, first, second] = self.low;
            for (sum, v) in self.sums.iter_mut().zip([first - hum, second - first, x - second]) {
                *sum += v * v;
            }
            self.taken += 1;
            // Frames begin at whole hundredths of a second whatever the rate.
            if self.taken * u64::from(FRAMES_PER_SEC) >= (self.frames + 1) * self.rate_hz {
                self.end_frame(hear);
            }
        }
    }

    /// Ends the sound: a last partial frame counts too.
    pub fn finish(mut self, hear: &mut dyn FnMut(Heard)) {
        if self.taken > self.begun {
            self.end_frame(hear);
        }
        self.floors.iter_mut().for_each(Floor::end);
        while !self.waiting.is_empty() {
            self.decide(hear);
        }
    }

    fn end_frame(&mut self, hear: &mut dyn FnMut(Heard)) {
        let n = (self.taken - self.begun).max(1) as f32;
        let power = self.sums.map(|s| s / n);
        (self.begun, self.sums) = (self.taken, [0.0; BANDS]);
        self.frames += 1;
        self.waiting.push_back(power);
        self.floors.iter_mut().zip(power).for_each(|(f, p)| f.push(p));
        if self.waiting.len() > REACH {
            self.decide(hear);
        }
    }

    fn decide(&mut self, hear: &mut dyn FnMut(Heard)) {
        let Some(power) = self.waiting.pop_front() else { return };
        let mut active = false;
        for ((floor, p), before) in self.floors.iter_mut().zip(power).zip(self.before) {
            // The mean of two frames: noise jumps less, a sound that lasts does not.
            let level = p.max(0.5 * (p + before));
            active |= level + LEAST > MARGIN * (floor.next() + LEAST);
        }
        self.before = power;
        hear(Heard { bright_db: 10.0 * (power[BANDS - 1] + LEAST).log10(), active });
    }
}

/// Least 100 ms mean within reach of each frame.
#[derive(Default)]
struct Floor {
    recent: VecDeque<f32>,
    /// Frames and means, both rising: the first is the least within reach.
    least: VecDeque<(u64, f32)>,
    pushed: u64,
    asked: u64,
}

impl Floor {
    fn push(&mut self, power: f32) {
        self.recent.push_back(power);
        if self.recent.len() > SMOOTH {
            self.recent.pop_front();
        }
        self.pushed += 1;
        if self.recent.len() == SMOOTH {
            self.add(self.recent.iter().sum::<f32>() / SMOOTH as f32);
        }
    }

    fn add(&mut self, mean: f32) {
        while self.least.back().is_some_and(|l| l.1 >= mean) {
            self.least.pop_back();
        }
        self.least.push_back((self.pushed, mean));
    }

    /// A sound shorter than one mean has no floor but silence: all of it counts.
    fn end(&mut self) {
        if self.least.is_empty() {
            self.least.push_back((self.pushed, 0.0));
        }
    }

    /// Floor of the next frame, once all within its reach were pushed.
    fn next(&mut self) -> f32 {
        self.asked += 1;
        let first = self.asked.saturating_sub(REACH as u64);
        while self.least.len() > 1 && self.least.front().is_some_and(|l| l.0 < first) {
            self.least.pop_front();
        }
        self.least.front().map_or(0.0, |l| l.1)
    }
}

/// Ranges of active frames, half-open, in seconds from the first sample.
#[derive(Debug, Clone)]
pub struct Ranges {
    pad_secs: f64,
    least_frames: u64,
    frame: u64,
    since: Option<u64>,
    found: Vec<(f64, f64)>,
}

/// Ranges that are kept apart at most; what comes after is one range to the end.
const MOST_RANGES: usize = 50_000;

impl Ranges {
    /// Pads every range by `pad_secs` on both sides and joins those that then meet; runs of fewer than `least_frames`
    /// frames do not count.
    #[must_use]
    pub fn new(pad_secs: f64, least_frames: u64) -> Self {
        Ranges { pad_secs, least_frames, frame: 0, since: None, found: Vec::new() }
    }

    /// Adds the next frame.
    pub fn add(&mut self, active: bool) {
        match (active, self.since) {
            (true, None) => self.since = Some(self.frame),
            (false, Some(since)) => self.close(since),
            _ => {}
        }
        self.frame += 1;
    }

    fn close(&mut self, since: u64) {
        self.since = None;
        if self.frame - since < self.least_frames {
            return;
        }
        let secs = |frame: u64| frame as f64 / f64::from(FRAMES_PER_SEC);
        let (from, to) = ((secs(since) - self.pad_secs).max(0.0), secs(self.frame) + self.pad_secs);
        let full = self.found.len() >= MOST_RANGES;
        match self.found.last_mut() {
            Some(last) if from <= last.1 || full => last.1 = if full { f64::INFINITY } else { to.max(last.1) },
            _ => self.found.push((from, to)),
        }
    }

    /// The ranges, in order.
    #[must_use]
    pub fn finish(mut self) -> Vec<(f64, f64)> {
        if let Some(since) = self.since {
            self.close(since);
        }
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(state: &mut u64) -> f32 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((*state >> 40) as f32 / (1u64 << 23) as f32) - 1.0
    }

    fn listen(rate: u32, sound: &[f32]) -> Vec<bool> {
        let (mut out, mut a) = (Vec::new(), Activity::new(rate));
        sound.chunks(777).for_each(|c| a.push(c, &mut |h| out.push(h.active)));
        a.finish(&mut |h| out.push(h.active));
        out
    }

    #[test]
    fn silence_noise_and_hum_are_quiet_at_any_level_and_rate() {
        for rate in [8000, 22_050, 44_100, 48_000] {
            for gain in [0.0, 1e-4, 0.01, 0.5] {
                let mut s = 5;
                let n = rate as usize * 8;
                let hiss: Vec<f32> = (0..n).map(|_| gain * noise(&mut s)).collect();
                let heard = listen(rate, &hiss);
                assert_eq!(heard.len(), 800);
                assert!(!heard.contains(&true), "{rate} Hz, {gain}");
                let hum = |i: usize| gain * (i as f32 * 314.159 / rate as f32).sin() + 0.01 * gain * noise(&mut s);
                let heard = listen(rate, &(0..n).map(hum).collect::<Vec<_>>());
                // The filters settle in the first frames.
                assert!(!heard[10..].contains(&true), "{rate} Hz, hum {gain}");
            }
        }
    }

    #[test]
    fn a_sound_over_noise_is_heard_to_the_frame_and_the_floor_follows() {
        let mut s = 9;
        let rate = 16_000;
        // Two minutes; the noise is 30 dB louder in the second. A tone 12 dB over it for 300 ms in each.
        let sound: Vec<f32> = (0..120 * rate)
            .map(|i| {
                let (secs, level) = (i as f32 / rate as f32, if i < 60 * rate { 0.003 } else { 0.1 });
                let tone = (20.0..20.3).contains(&secs) || (100.0..100.3).contains(&secs);
                level * (noise(&mut s) + if tone { 4.0 * (i as f32 * 0.4).sin() } else { 0.0 })
            })
            .collect();
        let heard = listen(rate as u32, &sound);
        let mut ranges = Ranges::new(0.0, 3);
        heard.iter().for_each(|h| ranges.add(*h));
        let ranges = ranges.finish();
        // The louder half is unheard-of until the quieter is out of reach.
        assert!((ranges[0].0 - 20.0).abs() < 0.02 && (ranges[0].1 - 20.3).abs() < 0.03, "{ranges:?}");
        assert!((ranges[1].0 - 60.0).abs() < 0.02 && (ranges[1].1 - 90.0).abs() < 0.3, "{ranges:?}");
        assert!((ranges[2].0 - 100.0).abs() < 0.02 && (ranges[2].1 - 100.3).abs() < 0.03, "{ranges:?}");
        assert_eq!(ranges.len(), 3);
    }

    #[test]
    fn sound_that_is_cut_out_of_digital_silence_counts_to_its_end() {
        let mut s = 3;
        let sound: Vec<f32> =
            (0..48_000).map(|i| if (16_000..32_000).contains(&i) { 2e-3 * noise(&mut s) } else { 0.0 }).collect();
        let heard = listen(16_000, &sound);
        assert!(heard[101..199].iter().all(|h| *h) && !heard[..100].contains(&true), "{heard:?}");
        // A scrap without any pause has no floor.
        assert!(listen(16_000, &sound[20_000..20_500]).iter().all(|h| *h));
        assert!(!listen(16_000, &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]).contains(&true));
    }

    #[test]
    fn ranges_are_padded_joined_and_bounded() {
        let mut r = Ranges::new(0.25, 2);
        for i in 0..500 {
            r.add(matches!(i, 10..20 | 60..70 | 200 | 300..400));
        }
        assert_eq!(r.finish(), [(0.0, 0.95), (2.75, 4.25)]);
        let mut r = Ranges::new(0.0, 1);
        (0..2 * MOST_RANGES + 9).for_each(|i| r.add(i % 2 == 0));
        let found = r.finish();
        assert!(found.len() == MOST_RANGES && found.last().unwrap().1 == f64::INFINITY);
    }
}
