//! Tries doubles on a few frames of each person before a film is cast, and measures how like the person they look.
//!
//! A double that is far from somebody by itself may still come out near them: the light, the hair and the expression
//! are the person's own. What counts is the picture that will be published.

use super::prepare::neutral_of;
use crate::Result;
use crate::geom::{InFrame, Point, Rect};
use crate::image::{ColorDesc, ColorModel, Frame, Matte, PixelLayout};
use crate::infer::{ModelSet, Role, Runtime};
use crate::plan::{Likeness, Plan, PlanPerson};
use crate::swap::{self, Double, FacePoints, Mesh, Neutral};
use crate::treat::SMALLEST_SWAP_PX;
use crate::verify::{Strangers, scale_of_witness};
use crate::vision::{Detector, Embedding, EmbeddingModel, FaceRecogniser, Look, Networks, alignment, five_of_mesh};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// People for whom doubles are tried: those seen longest. Everybody else is cast by the doubles' portraits.
const MOST_PEOPLE: usize = 16;
/// Least and most frames of each.
const FRAMES: (u64, u64) = (3, 8);
/// Frames of all of them together, beyond the least.
const ALL_FRAMES: u64 = 24;
/// Picture around a face, in its own sizes.
const AROUND: f32 = 0.8;
/// Largest side of such a picture in pixels; larger faces are not tried.
const MOST_SIDE: usize = 1600;
/// Lowest score at which a tried double is seen as a face.
const SEEN: f32 = 0.5;

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
        people.truncate(MOST_PEOPLE);
        let each = (ALL_FRAMES / people.len().max(1) as u64).clamp(FRAMES.0, FRAMES.1);
        let mut wanted: BTreeMap<u64, Vec<Wanted>> = BTreeMap::new();
        for person in people {
            let mut total = 0u64;
            each_mesh(plan, person, &mut |_, _, _| total += 1)?;
            let n = each.min(total);
            let chosen: Vec<u64> = (0..n).map(|k| (2 * k + 1) * total / (2 * n)).collect();
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
        jury: &mut Jury,
    ) -> Result<Vec<BTreeMap<u32, Likeness>>> {
        let mut neutrals: BTreeMap<u32, Neutral> = BTreeMap::new();
        let mut own: BTreeMap<u32, Vec<Vec<f32>>> = BTreeMap::new();
        for person in &plan.people {
            let scenes = || self.scenes.iter().filter(|s| s.person == person.id);
            if scenes().next().is_some()
                && let Some(n) = neutral_of(plan, mesh, &person.tracks)?
            {
                neutrals.insert(person.id, n);
                own.insert(person.id, jury.means(scenes().map(|s| (&s.picture, &s.points)))?);
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
            let mut likeness = BTreeMap::new();
            for (person, own) in &own {
                let faces = drawn.iter().filter(|d| d.0 == *person).map(|d| (&d.1, &d.2));
                let seen = jury.means(faces)?;
                if let Some(l) = jury.compare(&seen, own) {
                    likeness.insert(*person, l);
                }
            }
            all.push(likeness);
        }
        Ok(all)
    }
}

/// Sees a tried double as the attack on the film will: by a detector, and by recognisers with the strangers they know.
pub(super) struct Jury {
    detector: Box<dyn Detector>,
    seats: Vec<Seat>,
}

/// One recogniser.
struct Seat {
    network: FaceRecogniser,
    strangers: Option<Strangers>,
    /// What is taken off its cosines, and what they are multiplied by then, to be compared with those of a strong one; none if only
    /// the place counts.
    scale: Option<(f32, f32)>,
}

/// Weight of a place by a weaker recogniser: the built-in one ranks two people in three first behind whatever double they have.
const WEAKER: f32 = 0.35;
/// Of the built-in recogniser where it is the only one. Different people filmed alike score 0.34 to 0.53 by it, sometimes up to
/// 0.73; by a strong one -0.06 to 0.21.
const BUILT_IN_SCALE: (f32, f32) = (0.3, 0.5);

impl Jury {
    /// Opens the strongest recogniser, every other one that knows strangers, and those that the user brings.
    ///
    /// # Errors
    /// `Model`.
    pub fn open(models: &ModelSet, runtime: &Runtime) -> Result<Self> {
        let mut seats = Vec::new();
        for (i, network) in models.all().iter().filter(|m| m.entry.role == Role::Embedding).enumerate() {
            // By the built-in one alone the first place is the rule, whatever the double: it would outweigh looks.
            let alone = i == 0 && network.entry.built_in;
            let strangers = if alone { None } else { Strangers::of(network) };
            let known = |s: &Strangers| seats.iter().any(|t: &Seat| t.strangers.as_ref().is_some_and(|t| t.are(s)));
            if i == 0 || strangers.as_ref().is_some_and(|s| !known(s)) {
                let opened = FaceRecogniser::open(runtime, network)?;
                let scale = if network.entry.built_in { BUILT_IN_SCALE } else { (0.0, 1.0) };
                seats.push(Seat { network: opened, strangers, scale: (i == 0).then_some(scale) });
            }
        }
        for attacker in models.witnesses().filter(|m| m.entry.role == Role::Attacker) {
            let network = FaceRecogniser::open(runtime, attacker)?;
            seats.push(Seat { network, strangers: None, scale: Some((0.0, scale_of_witness(attacker))) });
        }
        Ok(Jury { detector: Networks::open(models, runtime)?.detector, seats })
    }

    /// Eyes, nose and mouth corners as the detector sees them, or else those of the mesh.
    fn five(&mut self, frame: &Frame, mesh: &FacePoints) -> Result<Option<[Point<InFrame>; 5]>> {
        if let Some(place) = bounds(mesh)
            && let Some(look) = Look::around(frame, &place, 2.2, 256, SEEN)
        {
            let found = self.detector.detect(frame, &look)?;
            let near = found
                .into_iter()
                .filter(|d| d.has_points && d.rect.iou(&place) > 0.3 && alignment(&d.points).is_some());
            if let Some(best) = near.max_by(|a, b| a.score.total_cmp(&b.score)) {
                return Ok(Some(best.points));
            }
        }
        Ok(five_of_mesh(mesh).filter(|p| alignment(p).is_some()))
    }

    /// The mean of some faces as each recogniser sees it; empty where there is none.
    fn means<'f>(&mut self, faces: impl Iterator<Item = (&'f Frame, &'f FacePoints)>) -> Result<Vec<Vec<f32>>> {
        let mut sums = vec![vec![]; self.seats.len()];
        for (frame, points) in faces {
            let Some(five) = self.five(frame, points)? else { continue };
            for (seat, sum) in self.seats.iter_mut().zip(&mut sums) {
                let e = seat.network.embed(frame, &five)?;
                sum.resize(e.0.len(), 0.0);
                sum.iter_mut().zip(&e.0).for_each(|(s, v)| *s += v);
            }
        }
        Ok(sums)
    }

    /// How like two means are; `None` if the first recogniser has not seen both.
    fn compare(&self, seen: &[Vec<f32>], own: &[Vec<f32>]) -> Option<Likeness> {
        let mut cosine: Option<f32> = None;
        let mut places = (0.0, 0.0);
        for (Seat { strangers, scale, .. }, (seen, own)) in self.seats.iter().zip(seen.iter().zip(own)) {
            let both = Embedding::new(seen.clone()).ok().zip(Embedding::new(own.clone()).ok());
            let Some((seen, own)) = both else { continue };
            // The strongest must have seen both; whoever finds them nearer then counts.
            if let Some((off, by)) = scale {
                let near = (seen.cosine(&own) - off) * by;
                cosine = Some(cosine.map_or(near, |c| c.max(near)));
            }
            if let Some(s) = strangers {
                let weight = if scale.is_some() { 1.0 } else { WEAKER };
                places = (places.0 + weight * (s.rank(&seen, &own) as f32).ln(), places.1 + weight);
            }
        }
        Some(Likeness { cosine: cosine?, rank: (places.1 > 0.0).then(|| (places.0 / places.1).exp()) })
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

/// The box of a mesh; `None` if it has no finite point.
fn bounds(mesh: &FacePoints) -> Option<Rect<InFrame>> {
    let finite = || mesh.iter().filter(|p| p[0].is_finite() && p[1].is_finite());
    let [x0, y0, x1, y1] = finite().fold([f32::MAX, f32::MAX, f32::MIN, f32::MIN], |b, p| {
        [b[0].min(p[0]), b[1].min(p[1]), b[2].max(p[0]), b[3].max(p[1])]
    });
    (x0 < x1 && y0 < y1).then(|| Rect::new(x0, y0, x1, y1))
}
