//! Tries doubles on a few frames of each person before a film is cast, and measures how like the person they look.
//!
//! A double that is far from somebody by itself may still come out near them: the light, the hair and the expression
//! are the person's own. What counts is the picture that will be published.

use super::prepare::neutral_of;
use crate::Result;
use crate::geom::{InFrame, Rect};
use crate::image::{ColorDesc, ColorModel, Frame, Matte, PixelLayout};
use crate::plan::{Plan, PlanPerson};
use crate::swap::{self, Double, FacePoints, Mesh, Neutral};
use crate::treat::SMALLEST_SWAP_PX;
use crate::vision::Embedder;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// People for whom doubles are tried: those seen longest. Everybody else is cast by the doubles' portraits.
const MOST_PEOPLE: usize = 16;
/// Frames of each.
const FRAMES: u64 = 3;
/// Picture around a face, in its own sizes.
const AROUND: f32 = 0.8;
/// Largest side of such a picture in pixels; larger faces are not tried.
const MOST_SIDE: usize = 1600;

/// How like each person a double turned out: cosine of the tried faces' mean with the person, by number.
pub(super) type Likeness = BTreeMap<u32, f32>;

struct Wanted {
    person: u32,
    rect: Rect<InFrame>,
    points: FacePoints,
}

struct Scene {
    person: u32,
    points: FacePoints,
    picture: Frame,
}

/// Collects frames, then tries doubles on them.
pub(super) struct Audition {
    wanted: BTreeMap<u64, Vec<Wanted>>,
    scenes: Vec<Scene>,
}

impl Audition {
    /// Chooses the frames: evenly from those in which a person's mesh is known.
    ///
    /// # Errors
    /// `Plan` if the plan is damaged.
    pub fn new(plan: &Plan) -> Result<Self> {
        let mut people: Vec<&PlanPerson> = plan.people.iter().filter(|p| !p.embedding.is_empty()).collect();
        people.sort_by_key(|p| (std::cmp::Reverse(p.frames), p.id));
        let mut wanted: BTreeMap<u64, Vec<Wanted>> = BTreeMap::new();
        for person in people.into_iter().take(MOST_PEOPLE) {
            let mut total = 0u64;
            each_mesh(plan, person, &mut |_, _, _| total += 1)?;
            let chosen: Vec<u64> =
                (0..FRAMES.min(total)).map(|k| (2 * k + 1) * total / (2 * FRAMES.min(total))).collect();
            let mut at = 0u64;
            each_mesh(plan, person, &mut |frame, rect, points| {
                if chosen.contains(&at) {
                    wanted.entry(frame).or_default().push(Wanted { person: person.id, rect, points });
                }
                at += 1;
            })?;
        }
        Ok(Audition { wanted, scenes: vec![] })
    }

    /// Takes what is wanted of frame `index`.
    pub fn see(&mut self, index: u64, frame: &Frame) {
        for w in self.wanted.remove(&index).unwrap_or_default() {
            let area = w.rect.grown(AROUND, AROUND, AROUND, AROUND).to_pixels(frame.width, frame.height);
            let Some(area) = area.filter(|a| a.width.max(a.height) <= MOST_SIDE) else { continue };
            let layout = PixelLayout { model: ColorModel::Gbr, depth: 8, log2_chroma_w: 0, log2_chroma_h: 0 };
            let mut picture = Frame::black(area.width, area.height, layout, ColorDesc::default());
            let all = Matte::filled(area.width, area.height, 1.0);
            picture.blend_rgb(0, 0, &frame.read_rgb(area), &all);
            let mut points = w.points;
            points.iter_mut().for_each(|p| (p[0], p[1]) = (p[0] - area.x as f32, p[1] - area.y as f32));
            self.scenes.push(Scene { person: w.person, points, picture });
        }
    }

    /// Tries every double on everybody. A double that cannot be drawn on somebody has no entry for them.
    ///
    /// # Errors
    /// `Model` if a network fails, `Plan` if the plan is damaged.
    pub fn try_all(
        &self,
        plan: &Plan,
        mesh: &Mesh,
        doubles: &[Double],
        embedder: &mut Embedder,
    ) -> Result<Vec<Likeness>> {
        let mut neutrals: BTreeMap<u32, Neutral> = BTreeMap::new();
        for person in &plan.people {
            if self.scenes.iter().any(|s| s.person == person.id)
                && let Some(n) = neutral_of(plan, mesh, &person.tracks)?
            {
                neutrals.insert(person.id, n);
            }
        }
        let mut all = Vec::new();
        for double in doubles {
            let drawn: Vec<(u32, Frame, FacePoints)> = self
                .scenes
                .par_iter()
                .filter_map(|s| {
                    let (frame, points) = draw(mesh, double, neutrals.get(&s.person)?, s)?;
                    Some((s.person, frame, points))
                })
                .collect();
            let mut sums: BTreeMap<u32, Vec<f32>> = BTreeMap::new();
            for (person, frame, points) in &drawn {
                let Some(e) = embedder.embed_mesh(frame, points)? else { continue };
                let sum = sums.entry(*person).or_insert_with(|| vec![0.0; e.0.len()]);
                sum.iter_mut().zip(&e.0).for_each(|(s, v)| *s += v);
            }
            let against = |(id, sum): (&u32, &Vec<f32>)| {
                let own = &plan.person(*id)?.embedding;
                let norm = sum.iter().map(|v| v * v).sum::<f32>().sqrt();
                let dot: f32 = sum.iter().zip(own).map(|(a, b)| a * b).sum();
                (norm > 1e-6 && own.len() == sum.len()).then_some((*id, dot / norm))
            };
            all.push(sums.iter().filter_map(against).collect());
        }
        Ok(all)
    }
}

/// All frames of a person in which a double would be drawn.
fn each_mesh(plan: &Plan, person: &PlanPerson, visit: &mut dyn FnMut(u64, Rect<InFrame>, FacePoints)) -> Result<()> {
    let tracks = person.tracks.iter().filter_map(|t| plan.track(*t));
    for track in tracks.filter(|t| t.confirmed && t.width_px >= SMALLEST_SWAP_PX) {
        let mut at = track.first.0;
        for block in &track.blocks {
            for sample in block.unpack()? {
                if let Some(points) = sample.trusted_points() {
                    visit(at, sample.rect, points.clone());
                }
                at += 1;
            }
        }
    }
    Ok(())
}

/// A double on one frame, and its mesh there; `None` where it would be covered instead.
fn draw(mesh: &Mesh, double: &Double, neutral: &Neutral, scene: &Scene) -> Option<(Frame, FacePoints)> {
    let motion = swap::plan_motion(mesh, double, neutral, &[Some(scene.points.clone())], 25.0).pop().flatten()?;
    let mut frame = scene.picture.clone();
    let light = swap::probe_light(mesh, &frame, &motion.subject).ok()?;
    let face = swap::render(mesh, double, &motion, &light, (frame.width, frame.height), 1).ok()?;
    swap::composite(mesh, &mut frame, &motion, &face, 0.0, &[]).ok()?;
    Some((frame, motion.target))
}
