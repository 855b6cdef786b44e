//! Brings together, for each frame, what the treatment needs: samples, motion of the double, light.

use crate::image::{Frame, RawFrame};
use crate::plan::{Casting, Plan, PlanSample, PlanTrack};
use crate::swap::{self, Double, FaceMotion, LightProbe, LightSmoother, Mesh, Neutral};
use crate::treat::{FaceWork, Faults};
use crate::{Error, Result};
use rayon::prelude::*;
use std::collections::{BTreeMap, VecDeque};

/// Frames whose light is known before a frame is treated: the light is smoothed over them.
const LOOK_AHEAD: usize = 4;
/// Frames of motion planned at a time, and the context planned with them on both sides.
const WINDOW: u64 = 384;
const CONTEXT: u64 = 32;
/// Most meshes from which the neutral face of a person is estimated.
const NEUTRAL_SAMPLES: usize = 400;

/// Motion of one track over a window of frames.
struct Window {
    from: u64,
    samples: Vec<PlanSample>,
    motion: Vec<Option<FaceMotion>>,
}

/// A frame on its way to treatment.
struct Waiting {
    raw: RawFrame,
    faces: Vec<FaceWork>,
}

/// Prepares frames in order.
pub(super) struct Prepare<'a> {
    plan: &'a Plan,
    casting: &'a Casting,
    mesh: &'a Mesh,
    doubles: &'a BTreeMap<String, Double>,
    faults: &'a Faults,
    neutrals: BTreeMap<u32, Neutral>,
    windows: BTreeMap<u32, Window>,
    lights: BTreeMap<u32, VecDeque<(u64, LightProbe)>>,
    smoother: LightSmoother,
    waiting: VecDeque<Waiting>,
    next: u64,
}

impl<'a> Prepare<'a> {
    /// Estimates the neutral face of everybody who gets a double.
    ///
    /// # Errors
    /// `Plan` if the plan is damaged.
    pub fn new(
        plan: &'a Plan,
        casting: &'a Casting,
        mesh: &'a Mesh,
        doubles: &'a BTreeMap<String, Double>,
        faults: &'a Faults,
    ) -> Result<Self> {
        let mut neutrals = BTreeMap::new();
        for person in &plan.people {
            let swapped = person.tracks.iter().any(|t| casting.double_of(*t).is_some());
            if swapped && let Some(neutral) = neutral_of(plan, mesh, &person.tracks)? {
                neutrals.insert(person.id, neutral);
            }
        }
        Ok(Prepare {
            plan,
            casting,
            mesh,
            doubles,
            faults,
            neutrals,
            windows: BTreeMap::new(),
            lights: BTreeMap::new(),
            smoother: LightSmoother::default(),
            waiting: VecDeque::new(),
            next: 0,
        })
    }

    /// Takes the next frame; gives back those that are ready.
    ///
    /// # Errors
    /// `Input` if the film is not the one that was analysed; `Plan` if the plan is damaged.
    pub fn push(&mut self, raw: RawFrame, emit: &mut dyn FnMut(RawFrame, Vec<FaceWork>) -> Result<()>) -> Result<()> {
        let index = raw.index.0;
        if index != self.next || index >= self.plan.video.frames {
            return Err(Error::Input("the film has other frames than when it was analysed: analyse it again".into()));
        }
        if (raw.frame.width, raw.frame.height) != (self.plan.video.width, self.plan.video.height) {
            return Err(Error::Input("the film has another size than when it was analysed: analyse it again".into()));
        }
        self.next += 1;
        let mut faces = Vec::new();
        for track in &self.plan.tracks {
            if (track.first.0..track.end.0).contains(&index) {
                faces.push(self.face(track, index)?);
            }
        }
        self.forget(index);
        self.measure_light(&raw.frame, index, &mut faces);
        self.waiting.push_back(Waiting { raw, faces });
        while self.waiting.len() > LOOK_AHEAD {
            self.release(emit)?;
        }
        Ok(())
    }

    /// Gives back the last frames.
    ///
    /// # Errors
    /// `Input` if frames are missing that were analysed.
    pub fn finish(&mut self, emit: &mut dyn FnMut(RawFrame, Vec<FaceWork>) -> Result<()>) -> Result<()> {
        if self.next != self.plan.video.frames {
            return Err(Error::Input(format!(
                "the film ends after {} frames, but {} were analysed: analyse it again",
                self.next, self.plan.video.frames
            )));
        }
        while !self.waiting.is_empty() {
            self.release(emit)?;
        }
        Ok(())
    }

    fn release(&mut self, emit: &mut dyn FnMut(RawFrame, Vec<FaceWork>) -> Result<()>) -> Result<()> {
        let Some(Waiting { raw, mut faces }) = self.waiting.pop_front() else { return Ok(()) };
        for face in &mut faces {
            if face.light.is_some()
                && let Some(ring) = self.lights.get(&face.track)
                && let Some(centre) = ring.iter().position(|(f, _)| *f == raw.index.0)
            {
                let window: Vec<Option<LightProbe>> = ring.iter().map(|(_, p)| Some(p.clone())).collect();
                face.light = self.smoother.smooth(&window, centre);
            }
        }
        emit(raw, faces)
    }

    fn face(&mut self, track: &PlanTrack, index: u64) -> Result<FaceWork> {
        let holds = |w: &Window| (w.from..w.from + w.samples.len() as u64).contains(&index);
        if !self.windows.get(&track.id).is_some_and(holds) {
            let window = self.window(track, index)?;
            self.windows.insert(track.id, window);
        }
        let damaged = || Error::Plan(format!("track {} has no sample for a frame: analyse again", track.id));
        let window = self.windows.get(&track.id).ok_or_else(damaged)?;
        let at = (index - window.from) as usize;
        let mut sample = window.samples.get(at).ok_or_else(damaged)?.clone();
        let frontal = sample.is_frontal();
        sample.points = None; // the motion has all that is needed
        let motion = window.motion.get(at).cloned().flatten();
        Ok(FaceWork {
            track: track.id,
            sample,
            typical_width: track.width_px,
            confirmed: track.confirmed,
            frontal,
            motion,
            light: None,
        })
    }

    /// Plans the motion of a track for frames from `index` on.
    fn window(&self, track: &PlanTrack, index: u64) -> Result<Window> {
        let double = self.casting.double_of(track.id).and_then(|name| self.doubles.get(name));
        let neutral = self.neutrals.get(&track.person);
        let to = (index + WINDOW).min(track.end.0);
        let (Some(double), Some(neutral)) = (double, neutral) else {
            let samples: Vec<PlanSample> = track.samples(index, to)?.into_iter().map(|s| s.1).collect();
            return Ok(Window { from: index, motion: vec![None; samples.len()], samples });
        };
        let from = index.saturating_sub(CONTEXT).max(track.first.0);
        let samples: Vec<PlanSample> =
            track.samples(from, (to + CONTEXT).min(track.end.0))?.into_iter().map(|s| s.1).collect();
        let mut meshes: Vec<Option<Vec<[f32; 3]>>> = samples
            .iter()
            .enumerate()
            .map(|(i, s)| {
                let mut points = s.trusted_points().cloned();
                if let Some(p) = &mut points
                    && Faults::hits(self.faults.nan_mesh_from, from + i as u64)
                    && let Some(first) = p.first_mut()
                {
                    first[0] = f32::NAN;
                }
                points
            })
            .collect();
        drop_flashes(&mut meshes, self.plan.video.fps);
        let motion = swap::plan_motion(self.mesh, double, neutral, &meshes, self.plan.video.fps);
        let skip = (index - from) as usize;
        let keep = (to - index) as usize;
        Ok(Window {
            from: index,
            samples: samples.into_iter().skip(skip).take(keep).collect(),
            motion: motion.into_iter().skip(skip).take(keep).collect(),
        })
    }

    fn measure_light(&mut self, frame: &Frame, index: u64, faces: &mut [FaceWork]) {
        let mesh = self.mesh;
        faces.par_iter_mut().for_each(|f| {
            // A face whose light cannot be measured is covered.
            f.light = f.motion.as_ref().and_then(|m| swap::probe_light(mesh, frame, &m.subject).ok());
        });
        for f in faces.iter() {
            if let Some(light) = &f.light {
                let ring = self.lights.entry(f.track).or_default();
                ring.push_back((index, light.clone()));
                while ring.front().is_some_and(|(f, _)| f + 2 * (LOOK_AHEAD as u64) < index) {
                    ring.pop_front();
                }
            }
        }
    }

    /// Drops what ended tracks have left behind.
    fn forget(&mut self, index: u64) {
        let alive = |track: &u32| {
            self.plan.track(*track).is_some_and(|t| t.end.0 + 2 * LOOK_AHEAD as u64 > index && t.first.0 <= index)
        };
        self.windows.retain(|t, _| alive(t));
        self.lights.retain(|t, _| alive(t));
    }
}

/// Takes away meshes that come up for less than a third of a second between frames without one: a double that flashes up
/// on a covered head is worse than the cover, and such meshes are the doubtful ones.
fn drop_flashes<T>(meshes: &mut [Option<T>], fps: f64) {
    let least = (fps / 3.0).clamp(3.0, 16.0) as usize;
    let all = meshes.len();
    let mut at = 0;
    for run in meshes.chunk_by_mut(|a, b| a.is_some() == b.is_some()) {
        let inside = at > 0 && at + run.len() < all;
        at += run.len();
        if inside && run.len() < least {
            run.iter_mut().for_each(|m| *m = None);
        }
    }
}

/// Neutral face over all tracks of a person, from an even choice of their meshes.
pub(super) fn neutral_of(plan: &Plan, mesh: &Mesh, tracks: &[u32]) -> Result<Option<Neutral>> {
    let tracks: Vec<&PlanTrack> = tracks.iter().filter_map(|t| plan.track(*t)).collect();
    let total: u64 = tracks.iter().map(|t| t.len()).sum();
    let step = (total as usize / NEUTRAL_SAMPLES).max(1);
    let mut meshes = Vec::new();
    let mut count = 0usize;
    for track in tracks {
        for block in &track.blocks {
            for sample in block.unpack()? {
                if count.is_multiple_of(step)
                    && let Some(points) = sample.trusted_points()
                {
                    meshes.push(points.clone());
                }
                count += 1;
            }
        }
    }
    Ok(swap::estimate_neutral(mesh, &meshes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meshes_that_flash_up_are_taken_away_and_lasting_ones_stay() {
        let of = |text: &str| text.chars().map(|c| (c == 'x').then_some(())).collect::<Vec<_>>();
        for (given, left) in [
            ("....xx....", ".........."),
            ("....xxxxxxxxxx..", "....xxxxxxxxxx.."),
            ("xx.....xxx", "xx.....xxx"), // at the ends of a window more may follow
            ("xxxxxxxx.xxx.xxxx", "xxxxxxxx.....xxxx"),
        ] {
            let mut meshes = of(given);
            drop_flashes(&mut meshes, 25.0);
            assert_eq!(meshes, of(left), "{given}");
        }
    }
}
