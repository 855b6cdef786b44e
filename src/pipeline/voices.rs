//! Proposals of who speaks when: sound of one stream against the lips of the plan. Decides nothing.

use crate::media::{AudioInfo, AudioReader, Limits, Probe};
use crate::plan::{Plan, PlanTrack};
use crate::voice::activity::{Activity, FRAMES_PER_SEC, Ranges};
use crate::voice::turns::{GRID_PER_SEC, Lips, Turn, turns};
use crate::{Error, Result};
use std::path::Path;

/// Added to every stretch of speech on both sides before its speaker is looked for, seconds: joins syllables.
const JOIN_SECS: f64 = 0.05;
/// Shorter sounds are clicks, frames of 10 ms.
const LEAST_FRAMES: u64 = 8;
/// Loudness of nothing, dB.
const SILENCE_DB: f32 = -90.0;
/// Pairs of landmarks across the gap between the lips, and the pair that says how large the face is (forehead and chin).
/// Numbers of the canonical face mesh: Y. Kartynnik et al., *Real-time Facial Surface Geometry from Monocular Video*, 2019.
const LIPS: [(usize, usize); 3] = [(13, 14), (82, 87), (312, 317)];
const HEIGHT: (usize, usize) = (10, 152);
/// Added to an opening, as a share of the face's height, before the logarithm.
const CLOSED: f32 = 0.01;

/// Start and end in seconds.
type Span = (f64, f64);

/// What is to be looked at.
pub struct VoicesJob<'a> {
    /// The film.
    pub input: &'a Path,
    /// Its plan.
    pub plan: &'a Plan,
    /// What the film is.
    pub probe: &'a Probe,
    /// Sound stream, from 0.
    pub stream: usize,
    /// Limits of the reader.
    pub limits: &'a Limits,
}

/// Proposes who speaks when, in seconds from the first picture. For a person to confirm: nothing else may follow from it.
///
/// Frames are taken to be evenly spaced; in films of strongly varying rate lips and sound do not meet.
///
/// # Errors
/// `Plan` if there is no such sound stream or the plan is damaged; as the reader; whatever `check` refuses.
pub fn propose_voices(job: &VoicesJob, check: &dyn Fn() -> Result<()>) -> Result<Vec<Turn>> {
    let info = job.probe.audio.get(job.stream).ok_or_else(|| {
        let (wanted, have) = (job.stream + 1, job.probe.audio.len());
        Error::Plan(format!("there is no sound stream {wanted}: the film has {have}"))
    })?;
    let begin = job.probe.video.time_base.seconds(job.probe.video.start);
    let (levels, speech) = hear(job, info, info.start_secs - begin, check)?;
    let loudness = on_grid(&levels);
    let mut lips = Vec::with_capacity(job.plan.tracks.len());
    for track in &job.plan.tracks {
        check()?;
        lips.extend(lips_of(track, job.plan.video.fps)?);
    }
    Ok(turns(&speech, &loudness, &lips))
}

/// Level of each hundredth of a second from the first picture on, in dB, and where there is speech.
fn hear(
    job: &VoicesJob,
    info: &AudioInfo,
    lead_secs: f64,
    check: &dyn Fn() -> Result<()>,
) -> Result<(Vec<f32>, Vec<Span>)> {
    let mut reader = AudioReader::open(job.input, info.stream_index, job.limits, job.plan.salvaged)?;
    let mut activity = Activity::new(info.format.rate_hz);
    let (mut levels, mut ranges, mut mono) = (Vec::new(), Ranges::new(JOIN_SECS, LEAST_FRAMES), Vec::new());
    let shift = (lead_secs.clamp(-3600.0, 3600.0) * f64::from(FRAMES_PER_SEC)).round() as i64;
    levels.resize(shift.max(0) as usize, SILENCE_DB);
    let mut skip = shift.min(0).unsigned_abs();
    let mut hear = |h: crate::voice::activity::Heard| {
        ranges.add(h.active);
        if skip > 0 {
            skip -= 1;
        } else {
            levels.push(h.bright_db);
        }
    };
    while let Some(block) = reader.next()? {
        check()?;
        mono.clear();
        mono.resize(block.len(), 0.0);
        let share = 1.0 / block.channels.len().max(1) as f32;
        for channel in &block.channels {
            mono.iter_mut().zip(channel).for_each(|(m, x)| *m += share * x);
        }
        activity.push(&mono, &mut hear);
    }
    activity.finish(&mut hear);
    let lead = shift as f64 / f64::from(FRAMES_PER_SEC);
    let end = levels.len() as f64 / f64::from(FRAMES_PER_SEC);
    let inside = |(a, b): Span| ((a + lead).max(0.0), (b + lead).min(end));
    let speech = ranges.finish().into_iter().map(inside).filter(|r| r.0 < r.1).collect();
    Ok((levels, speech))
}

/// Levels (100 a second) on the grid (25 a second), each a Hann mean of the eight around it.
fn on_grid(levels: &[f32]) -> Vec<f32> {
    const PER: usize = (FRAMES_PER_SEC as usize) / (GRID_PER_SEC as usize);
    let weights: Vec<f32> = (0..8).map(|k| 0.5 - 0.5 * (std::f32::consts::TAU * (k + 1) as f32 / 9.0).cos()).collect();
    let all: f32 = weights.iter().sum();
    let at = |i: isize| levels[i.clamp(0, levels.len() as isize - 1) as usize];
    // The middle of value g lies between levels 4 g + 1 and 4 g + 2.
    let value = |g: usize| weights.iter().zip(0..).map(|(w, k)| w * at((PER * g) as isize + k - 2)).sum::<f32>() / all;
    (0..levels.len() / PER).map(value).collect()
}

/// Opening of the lips of one track on the grid; `None` if its mesh is never seen.
fn lips_of(track: &PlanTrack, fps: f64) -> Result<Option<Lips>> {
    if !(fps.is_finite() && (1.0..1000.0).contains(&fps)) {
        return Err(Error::Plan("the plan has no frame rate: run `understudy analyse` again".into()));
    }
    let mut raw = vec![f32::NAN; track.len().min(20_000_000) as usize];
    for (frame, sample) in track.samples(track.first.0, track.end.0)? {
        let place = frame.checked_sub(track.first.0).and_then(|i| raw.get_mut(i as usize));
        if let (Some(slot), Some(points)) = (place, sample.trusted_points()) {
            *slot = opening(points);
        }
    }
    if raw.iter().all(|v| !v.is_finite()) {
        return Ok(None);
    }
    let smooth = smoothed(&raw);
    // Value g of the grid is at (g + ½) / 25 s, frame i at (i + ½) / fps.
    let frame_of = |g: usize| (g as f64 + 0.5) / GRID_PER_SEC * fps - 0.5 - track.first.0 as f64;
    let first = ((track.first.0 as f64 / fps) * GRID_PER_SEC).floor().max(0.0) as usize;
    let n = (track.len() as f64 / fps * GRID_PER_SEC).ceil() as usize + 1;
    let value = |g: usize| {
        let at = frame_of(g);
        let (i, share) = (at.floor(), (at - at.floor()) as f32);
        let get = |i: f64| if i >= 0.0 { smooth.get(i as usize).copied().unwrap_or(f32::NAN) } else { f32::NAN };
        let (a, b) = (get(i), get(i + 1.0));
        match (a.is_finite(), b.is_finite()) {
            (true, true) => a + share * (b - a),
            (true, false) if share < 0.5 => a,
            (false, true) if share >= 0.5 => b,
            _ => f32::NAN,
        }
    };
    Ok(Some(Lips { person: track.person, first, opening: (first..first + n).map(value).collect() }))
}

/// Log of the gap between the lips as a share of the face's height.
fn opening(points: &[[f32; 3]]) -> f32 {
    let apart = |(a, b): (usize, usize)| match (points.get(a), points.get(b)) {
        (Some(p), Some(q)) => p.iter().zip(q).map(|(p, q)| (p - q) * (p - q)).sum::<f32>().sqrt(),
        _ => f32::NAN,
    };
    let gap = LIPS.map(apart).iter().sum::<f32>() / LIPS.len() as f32;
    (gap / apart(HEIGHT).max(1.0) + CLOSED).ln()
}

/// A quarter, a half, a quarter, of what is known.
fn smoothed(raw: &[f32]) -> Vec<f32> {
    let near = |i: usize| {
        let (mut sum, mut all) = (0.0, 0.0);
        for (k, w) in [(-1, 0.25), (0, 0.5), (1, 0.25)] {
            if let Some(v) = i.checked_add_signed(k).and_then(|j| raw.get(j)).filter(|v| v.is_finite()) {
                sum += w * v;
                all += w;
            }
        }
        sum / all
    };
    raw.iter().enumerate().map(|(i, v)| if v.is_finite() { near(i) } else { f32::NAN }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geom::Rect;
    use crate::plan::{Origin, PlanSample, SampleBlock};
    use crate::units::FrameIndex;

    #[test]
    fn levels_lie_in_the_middle_of_their_grid_values() {
        let grid = on_grid(&(0..400).map(|i| i as f32).collect::<Vec<_>>());
        assert_eq!(grid.len(), 100);
        assert!(grid[2..98].iter().enumerate().all(|(i, v)| (v - (4.0 * (i + 2) as f32 + 1.5)).abs() < 1e-3));
        assert!(on_grid(&[]).is_empty());
    }

    #[test]
    fn lips_are_read_from_the_mesh_at_the_right_time() {
        // A face of 100 pixels from frame 10 on, whose mouth opens at frame 35 of 30 a second.
        let sample = |frame: u64| {
            let mut points = vec![[50.0, 50.0, 0.0]; 478];
            (points[0], points[1], points[2], points[3]) =
                ([0.0, 0.0, 0.0], [100.0, 0.0, 0.0], [0.0, 100.0, 0.0], [100.0, 100.0, 0.0]);
            (points[10], points[152]) = ([50.0, 0.0, 0.0], [50.0, 100.0, 0.0]);
            let gap = if frame >= 35 { 10.0 } else { 0.0 };
            for (a, b) in LIPS {
                (points[a], points[b]) = ([50.0, 70.0, 0.0], [50.0, 70.0 + gap, 0.0]);
            }
            PlanSample {
                rect: Rect::new(0.0, 0.0, 100.0, 100.0),
                score: 1.0,
                origin: Origin::Detected,
                points: (frame != 20).then_some(points),
            }
        };
        let samples: Vec<PlanSample> = (10..70).map(sample).collect();
        let track = PlanTrack {
            id: 1,
            person: 4,
            first: FrameIndex(10),
            end: FrameIndex(70),
            confirmed: true,
            max_score: 1.0,
            width_px: 100.0,
            blocks: vec![SampleBlock::pack(10, &samples).unwrap()],
        };
        let lips = lips_of(&track, 30.0).unwrap().unwrap();
        assert_eq!((lips.person, lips.first), (4, 8));
        let at = |secs: f64| lips.opening[(secs * 25.0) as usize - lips.first];
        assert!((at(1.05) - 0.01_f32.ln()).abs() < 0.02 && (at(1.3) - 0.11_f32.ln()).abs() < 0.02);
        assert!(lips_of(&track, 0.0).is_err() && lips_of(&track, f64::NAN).is_err());
    }
}
