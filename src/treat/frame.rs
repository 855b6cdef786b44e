//! Treats whole frames.

use super::{ClearedFrame, CoverReason, FaceWork, Faults, Outcome, RegionPlan};
use crate::card::Card;
use crate::geom::{InFrame, PixelRect, Point, Rect};
use crate::image::{Frame, Matte, RawFrame};
use crate::plan::{Casting, Extent, FaceTreatment, Origin, RedactStyle, TrackTreatment};
use crate::redact::{self, Cover, Shape, Touched};
use crate::swap::{self, Double, Mesh};
use crate::units::TimeBase;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Narrowest face, in pixels, on which a double is drawn; below it a face has too few pixels to carry expression, and
/// the mesh wanders. Decided by the track's median width, so that a face does not change its treatment.
pub(crate) const SMALLEST_SWAP_PX: f32 = 34.0;
/// Largest yaw at which a double is drawn, radians (42°): further out a frontal atlas tears at the nose.
const MOST_YAW: f32 = 0.73;
/// Largest pitch and the largest gap between a face's pose and what the library holds, radians.
const MOST_PITCH: f32 = 0.70;
/// Cells of hair and ears around a double are smaller than those of a face that must be unknown: an eighth of the face.
const HAIR_CELLS: f32 = 0.5;
/// Share of the mesh that must lie inside the picture.
const LEAST_INSIDE: f32 = 0.55;
/// From this width on, what may be no face is covered as a face, not as a head.
const LARGE_DOUBT_PX: f32 = 40.0;
/// Share of a box that lies on another of the same person if both are one face.
const ECHO_SHARED: f32 = 0.6;
/// Margin within which two faces overlap, in face sizes.
const OVERLAP: f32 = 0.08;

/// Turns raw frames into cleared ones. Holds no state between frames, so frames may be treated in parallel.
pub struct Treater<'a> {
    /// The canonical mesh.
    pub mesh: &'a Mesh,
    /// Doubles by the names that the casting uses.
    pub doubles: &'a BTreeMap<String, Double>,
    /// Who becomes whom.
    pub casting: &'a Casting,
    /// Regions that are no faces.
    pub regions: &'a [RegionPlan],
    /// What tells the audience.
    pub card: Option<&'a Card>,
    /// Time base of the video stream.
    pub time_base: TimeBase,
    /// Presentation time of the first frame; times in a cast count from it.
    pub start: i64,
    /// Seed of the grain; from the operating system, new for each render unless a test sets it.
    pub seed: u64,
    /// Failures on purpose.
    pub faults: &'a Faults,
}

/// A treated frame and what was done.
pub struct FrameResult {
    /// The frame that may be encoded.
    pub frame: ClearedFrame,
    /// Outcome per face, in the order of the work.
    pub outcomes: Vec<(u32, Outcome)>,
    /// Largest alpha per pixel of everything touched, if asked for.
    pub matte: Option<Matte>,
}

impl Treater<'_> {
    /// Decides on every face of `work` and returns the cleared frame.
    ///
    /// `work` must hold every track that the plan knows in this frame. With `want_matte` the union of all that was
    /// touched is returned too.
    ///
    /// # Errors
    /// `Plan` if a face cannot even be covered; then nothing may be written.
    pub fn treat(&self, raw: RawFrame, work: &[FaceWork], want_matte: bool) -> Result<FrameResult> {
        let RawFrame { mut frame, index, pts, duration } = raw;
        let seconds = self.time_base.seconds(crate::units::Timestamp(pts.0.saturating_sub(self.start)));
        let mut matte = want_matte.then(|| Matte::filled(frame.width, frame.height, 0.0));
        for region in self.regions {
            let boxes = |track| work.iter().find(|w| w.track == track).map(|w| w.sample.rect);
            if let Some(t) = region.apply(&mut frame, (index.0, seconds), boxes) {
                join(&mut matte, &t);
            }
        }
        // After the regions: what dissolves back may not bring back what a region hides.
        let original = self.any_reveal(work, seconds).then(|| frame.clone());
        let plans: Vec<(TrackTreatment, bool)> = work
            .iter()
            .map(|w| {
                let t = self.casting.treatment_at(w.track, index.0);
                let over = t.reveal.is_some_and(|(at, over)| seconds >= at + over);
                (t, over)
            })
            .collect();
        let echo: Vec<Option<f32>> = (0..work.len()).map(|i| self.echo_width(work, &plans, i)).collect();
        // Dissolving veils first: they bring original pixels back, and every other face that these show is treated
        // afterwards. Then what may be no face, or is one seen twice, so that no double is bent or drawn from it or under
        // it. Then by size: large faces are nearer to the camera and cover those behind.
        let mut order: Vec<usize> = (0..work.len()).collect();
        order.sort_by(|a, b| {
            let fixed = |i: usize| dissolve(&plans[i].0, seconds).is_none();
            let size = |i: usize| work[i].sample.rect.area();
            let sure = |i: usize| work[i].confirmed && echo[i].is_none();
            fixed(*a)
                .cmp(&fixed(*b))
                .then(sure(*a).cmp(&sure(*b)))
                .then(size(*a).total_cmp(&size(*b)))
                .then(work[*a].track.cmp(&work[*b].track))
        });
        let mut outcomes = vec![(0, Outcome::Kept); work.len()];
        let erased = self.erase_neighbours(&mut frame, work, &plans);
        for i in order {
            let (treatment, revealed) = &plans[i];
            let (outcome, touched) = if *revealed {
                (Outcome::Revealed, vec![])
            } else if let Some(width) = echo[i] {
                average_face(&mut frame, &work[i], CoverReason::NoMesh, width)?
            } else {
                self.treat_face(&mut frame, &work[i], treatment, &neighbours(work, i), index.0)?
            };
            outcomes[i] = (work[i].track, outcome);
            for t in erased[i].iter().chain(&touched) {
                if let (Some(original), Some(u)) = (&original, dissolve(treatment, seconds)) {
                    mix_back(&mut frame, original, t, u);
                }
                join(&mut matte, t);
            }
        }
        // Last of all: it hides nothing, and nothing may hide it.
        if let Some(card) = self.card
            && let Some(touched) = card.draw(&mut frame, card.strength(seconds))?
        {
            join(&mut matte, &touched);
        }
        Ok(FrameResult { frame: ClearedFrame::new(frame, index, pts, duration), outcomes, matte })
    }

    /// Width of the whole face if this one is a part of it, seen a second time: the same person's, most of it and its middle on
    /// the other, which gets its double in this frame. A cover of the whole head would only frame that double.
    fn echo_width(&self, work: &[FaceWork], plans: &[(TrackTreatment, bool)], i: usize) -> Option<f32> {
        let swapped = |k: usize| match &plans[k] {
            (TrackTreatment { face: FaceTreatment::Swap { double, .. }, reveal: None, .. }, false) => Some(double),
            _ => None,
        };
        let drawn = |k: usize| work[k].confirmed && work[k].motion.is_some() && work[k].light.is_some();
        let holds = |r: &Rect<InFrame>, p: Point<InFrame>| r.x0 < p.x && p.x < r.x1 && r.y0 < p.y && p.y < r.y1;
        let own = swapped(i)?;
        if !work[i].confirmed || work[i].motion.is_some() {
            return None;
        }
        let whole = (0..work.len()).filter(|&k| k != i && swapped(k) == Some(own) && drawn(k)).find(|&k| {
            let mesh = work[k].motion.as_ref().and_then(|m| mesh_bounds(&m.target));
            let (rect, other) = (work[i].sample.rect, work[k].sample.rect);
            let shared = rect.intersection(&other).area() / rect.area().max(1.0);
            shared >= ECHO_SHARED && mesh.is_some_and(|m| holds(&m, rect.centre()) && m.iou(&other) > 0.3)
        })?;
        // Half a face is averaged in the cells of a whole one.
        Some(work[i].sample.rect.width().max(work[whole].sample.rect.width()))
    }

    fn any_reveal(&self, work: &[FaceWork], seconds: f64) -> bool {
        work.iter().any(|w| {
            let t = self.casting.treatment(w.track);
            t.reveal.is_some_and(|(at, over)| seconds >= at && seconds < at + over)
        })
    }

    /// Averages away every face that will be swapped and overlaps another, before any double is drawn: the background
    /// warp of one face must not carry pixels of the other out of its matte. Apart from each other they are safe: see
    /// [`neighbours`].
    fn erase_neighbours(
        &self,
        frame: &mut Frame,
        work: &[FaceWork],
        plans: &[(TrackTreatment, bool)],
    ) -> Vec<Vec<Touched>> {
        let reach = |w: &FaceWork| w.sample.rect.grown(OVERLAP, OVERLAP, OVERLAP, OVERLAP);
        let mut touched = vec![vec![]; work.len()];
        for (i, (w, (t, revealed))) in work.iter().zip(plans).enumerate() {
            let others = work.iter().enumerate().filter(|(j, o)| *j != i && o.confirmed);
            let near = others.map(|(_, o)| reach(o).intersection(&reach(w)).area()).any(|common| common > 0.0);
            if near && !revealed && w.confirmed && matches!(t.face, FaceTreatment::Swap { .. }) {
                let shape = Shape::face(&w.sample.rect);
                touched[i].extend(redact::cover(frame, &shape, Cover::Blur, w.sample.rect.width()));
            }
        }
        touched
    }

    fn treat_face(
        &self,
        frame: &mut Frame,
        work: &FaceWork,
        treatment: &TrackTreatment,
        others: &[Rect<InFrame>],
        index: u64,
    ) -> Result<(Outcome, Vec<Touched>)> {
        let (how, outcome) = match &treatment.face {
            FaceTreatment::Keep => return Ok((Outcome::Kept, vec![])),
            FaceTreatment::Redact(RedactStyle::Blur) => (Cover::Blur, Outcome::Redacted),
            FaceTreatment::Redact(RedactStyle::Mosaic) => (Cover::Mosaic, Outcome::Redacted),
            FaceTreatment::Redact(RedactStyle::Solid) => (Cover::Solid, Outcome::Redacted),
            FaceTreatment::Redact(RedactStyle::Silhouette) => (Cover::Silhouette, Outcome::Redacted),
            FaceTreatment::Swap { double, halo, extent } => {
                match self.try_swap(frame, work, double, *halo, *extent, others, index) {
                    Ok(touched) => return Ok((Outcome::Swapped, touched)),
                    Err(reason @ CoverReason::Doubtful) => {
                        return average_face(frame, work, reason, work.sample.rect.width());
                    }
                    Err(reason) => (Cover::Solid, Outcome::Covered(reason)),
                }
            }
        };
        let touched = self.cover_face(frame, work, how)?;
        Ok((outcome, touched.into_iter().collect()))
    }

    /// Covers the whole head, and the mesh too where it reaches beyond.
    fn cover_face(&self, frame: &mut Frame, work: &FaceWork, how: Cover) -> Result<Option<Touched>> {
        let mut rect = sound_rect(work)?;
        if let Some(motion) = &work.motion
            && let Some(mesh) = mesh_bounds(&motion.subject)
            && mesh.iou(&rect) > 0.1
        {
            rect = rect.union(&mesh);
        }
        let doubt = if work.sample.origin == Origin::Predicted { 0.6 } else { 0.0 };
        if !work.confirmed && rect.width() >= LARGE_DOUBT_PX {
            // Averaging was not enough, or not asked for: the same place, whole. A head here would hide half the picture.
            let shape = Shape::face(&rect.grown(0.15, 0.2, 0.15, 0.15));
            return Ok(redact::cover(frame, &shape, how, rect.width()));
        }
        // Tiny faces have no mesh whichever way they look; their heads are covered whole as it is.
        let aside = work.typical_width >= SMALLEST_SWAP_PX && !work.frontal;
        let shape = match how {
            Cover::Silhouette => Shape::bust(&rect),
            _ if aside => Shape::turned_head(&rect, doubt),
            _ => Shape::head(&rect, doubt),
        };
        Ok(redact::cover(frame, &shape, how, rect.width()))
    }

    #[expect(clippy::too_many_arguments, reason = "one call site; a struct would only repeat these names")]
    fn try_swap(
        &self,
        frame: &mut Frame,
        work: &FaceWork,
        double: &str,
        halo: f32,
        extent: Extent,
        others: &[Rect<InFrame>],
        index: u64,
    ) -> std::result::Result<Vec<Touched>, CoverReason> {
        if !work.confirmed {
            return Err(CoverReason::Doubtful);
        }
        if work.typical_width < SMALLEST_SWAP_PX {
            return Err(CoverReason::TooSmall);
        }
        let motion = work.motion.as_ref().ok_or(CoverReason::NoMesh)?;
        let light = work.light.as_ref().ok_or(CoverReason::NoMesh)?;
        let double = self.doubles.get(double).ok_or(CoverReason::NoDouble)?;
        if !(motion.yaw.abs() <= MOST_YAW && motion.pitch.abs() <= MOST_PITCH) {
            return Err(CoverReason::Turned);
        }
        if inside(&motion.target, frame) < LEAST_INSIDE {
            return Err(CoverReason::CutOff);
        }
        let attempt = catch_unwind(AssertUnwindSafe(|| -> Result<Vec<Touched>> {
            if Faults::hits(self.faults.render_panic_from, index) {
                panic!("provoked");
            }
            if Faults::hits(self.faults.render_error_from, index) {
                return Err(Error::Model("provoked".into()));
            }
            let seed = self.seed ^ (index << 16) ^ u64::from(work.track);
            let size = (frame.width, frame.height);
            let face = swap::render(self.mesh, double, motion, light, size, seed)?;
            // Hair and ears first, so that the double stands sharp among what is left of them.
            let around = match extent {
                Extent::Face => None,
                Extent::Head => {
                    // The mesh moves more smoothly than the detector's box.
                    let rect = mesh_bounds(&motion.target).unwrap_or(work.sample.rect);
                    redact::cover(frame, &Shape::whole_head(&rect), Cover::Blur, HAIR_CELLS * rect.width())
                }
            };
            let t = swap::composite(self.mesh, frame, motion, &face, halo, others)?;
            Ok(around.into_iter().chain([Touched { x: t.x, y: t.y, matte: t.matte }]).collect())
        }));
        match attempt {
            Ok(Ok(touched)) => Ok(touched),
            Ok(Err(_)) | Err(_) => Err(CoverReason::RenderFailed),
        }
    }
}

/// Averages away the place of a face alone, in the cells of one of `width` pixels: safe if it is a face, bearable if it is a
/// curtain.
fn average_face(
    frame: &mut Frame,
    work: &FaceWork,
    reason: CoverReason,
    width: f32,
) -> Result<(Outcome, Vec<Touched>)> {
    let rect = sound_rect(work)?.grown(0.1, 0.15, 0.1, 0.1);
    // The cells grow with the place.
    let cells = width * rect.width() / work.sample.rect.width();
    let touched = redact::cover(frame, &Shape::face(&rect), Cover::Blur, cells);
    Ok((Outcome::Covered(reason), touched.into_iter().collect()))
}

/// Boxes of all faces but one that are surely faces, with a margin: what a double's background warp must leave in place.
/// What may be no face is averaged away before any double is drawn.
fn neighbours(work: &[FaceWork], i: usize) -> Vec<Rect<InFrame>> {
    let others = work.iter().enumerate().filter(|(j, w)| *j != i && w.confirmed);
    others.map(|(_, w)| w.sample.rect.grown(0.15, 0.2, 0.15, 0.15)).collect()
}

/// The box of a face; an impossible one stops the job.
fn sound_rect(work: &FaceWork) -> Result<Rect<InFrame>> {
    let rect = work.sample.rect;
    if rect.is_valid() {
        Ok(rect)
    } else {
        Err(Error::Plan(format!("track {} has an impossible box: run `understudy analyse` again", work.track)))
    }
}

/// Bounds of a mesh in the frame; `None` if any point is not finite.
fn mesh_bounds(points: &[[f32; 3]]) -> Option<Rect<InFrame>> {
    let mut r = [f32::MAX, f32::MAX, f32::MIN, f32::MIN];
    for p in points {
        if !(p[0].is_finite() && p[1].is_finite()) {
            return None;
        }
        r = [r[0].min(p[0]), r[1].min(p[1]), r[2].max(p[0]), r[3].max(p[1])];
    }
    let rect = Rect::new(r[0], r[1], r[2], r[3]);
    rect.is_valid().then_some(rect)
}

/// Share of the points that lie inside the frame.
fn inside(points: &[[f32; 3]], frame: &Frame) -> f32 {
    let (w, h) = (frame.width as f32, frame.height as f32);
    let n = points.iter().filter(|p| p[0] >= 0.0 && p[1] >= 0.0 && p[0] < w && p[1] < h).count();
    n as f32 / points.len().max(1) as f32
}

/// How far the veil of a track has dissolved at `seconds`: `None` before and after.
fn dissolve(treatment: &TrackTreatment, seconds: f64) -> Option<f32> {
    let (at, over) = treatment.reveal?;
    (seconds >= at && seconds < at + over).then(|| ((seconds - at) / over) as f32)
}

/// Mixes the original back by `u` where `t` touched; used only while a veil dissolves by consent.
fn mix_back(frame: &mut Frame, original: &Frame, t: &Touched, u: f32) {
    let rect = PixelRect { x: t.x, y: t.y, width: t.matte.width, height: t.matte.height };
    let patch = original.read_rgb(rect);
    let mut matte = t.matte.clone();
    matte.data.iter_mut().for_each(|a| *a = if *a > 0.0 { u } else { 0.0 });
    frame.blend_rgb(rect.x, rect.y, &patch, &matte);
}

fn join(total: &mut Option<Matte>, t: &Touched) {
    let Some(total) = total else { return };
    for y in 0..t.matte.height.min(total.height.saturating_sub(t.y)) {
        for x in 0..t.matte.width.min(total.width.saturating_sub(t.x)) {
            let cell = &mut total.data[(t.y + y) * total.width + t.x + x];
            *cell = cell.max(t.matte.data[y * t.matte.width + x]);
        }
    }
}
