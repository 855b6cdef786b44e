//! Who is to be checked where: faces found afresh, joined with the boxes of the plan.

use super::Missed;
use super::faces::{Face, Track};
use crate::Result;
use crate::geom::{InFrame, Rect};
use crate::plan::{Casting, FaceTreatment, Plan, RedactStyle};
use std::collections::{BTreeMap, BTreeSet};

/// Overlap of a face found afresh with a box of the plan that makes them one.
const SAME: f32 = 0.3;

/// One face in one frame, with the plan's track there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spot {
    /// Frame.
    pub frame: u64,
    /// Where.
    pub face: Face,
    /// The plan's track at this place.
    pub plan: Option<u32>,
    /// How well the plan's box fits, 0..=1.
    overlap: f32,
}

/// One face through the film: found afresh, or only named by the plan.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// Its places, by frame.
    pub spots: Vec<Spot>,
    /// Surely a face, or named by the plan: an unchanged frame fails. Otherwise it is a warning.
    pub counts: bool,
    /// Found by the detector; otherwise only the plan knows it.
    pub found: bool,
    /// Track of the plan that it mostly is, if the plan knows it.
    pub track: Option<u32>,
    /// Median width of the face.
    pub width: f32,
}

/// What the cast says about a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Must be changed.
    Hide,
    /// Stays as filmed.
    Keep,
}

/// The cast's orders by track.
#[derive(Debug, Clone, Default)]
pub(crate) struct Orders {
    by_track: BTreeMap<u32, (bool, Option<f64>)>,
    swapped: BTreeSet<u32>,
}

impl Orders {
    /// Reads a casting; without one everybody is to be hidden.
    pub fn new(casting: Option<&Casting>) -> Self {
        let (mut by_track, mut swapped) = (BTreeMap::new(), BTreeSet::new());
        for (track, t) in casting.iter().flat_map(|c| c.iter()) {
            by_track.insert(track, (t.face == FaceTreatment::Keep, t.reveal.map(|r| r.0)));
            if matches!(t.face, FaceTreatment::Swap { .. }) {
                swapped.insert(track);
            }
        }
        Orders { by_track, swapped }
    }

    /// What is to happen to a track at a time (seconds from the first frame). From a reveal on, the face may be seen.
    pub fn order(&self, track: Option<u32>, secs: f64) -> Order {
        match track.and_then(|t| self.by_track.get(&t)) {
            Some((true, _)) => Order::Keep,
            Some((false, Some(at))) if secs >= *at => Order::Keep,
            _ => Order::Hide,
        }
    }

    /// Whether a double may stand there instead of a cover.
    pub fn may_draw(&self, track: Option<u32>) -> bool {
        track.is_some_and(|t| self.swapped.contains(&t))
    }

    fn keeps(&self, track: u32) -> bool {
        self.by_track.get(&track).is_some_and(|o| o.0)
    }
}

/// Words for a treatment.
pub(crate) fn treatment_word(face: &FaceTreatment) -> &'static str {
    match face {
        FaceTreatment::Keep => "keep",
        FaceTreatment::Swap { .. } => "swap",
        FaceTreatment::Redact(RedactStyle::Blur) => "blur",
        FaceTreatment::Redact(RedactStyle::Mosaic) => "mosaic",
        FaceTreatment::Redact(RedactStyle::Solid) => "solid",
        FaceTreatment::Redact(RedactStyle::Silhouette) => "silhouette",
    }
}

/// Joins fresh tracks with the plan. Boxes of the plan where nothing was found afresh become subjects of their own.
///
/// # Errors
/// `Plan` if the plan is damaged.
pub(crate) fn gather(tracks: Vec<Track>, plan: Option<&Plan>, orders: &Orders) -> Result<Vec<Subject>> {
    let mut subjects: Vec<Subject> = tracks.iter().map(from_track).collect();
    let Some(plan) = plan else { return Ok(subjects) };
    for planned in &plan.tracks {
        let near: Vec<usize> = (0..tracks.len())
            .filter(|k| tracks[*k].first < planned.end.0 && tracks[*k].end() > planned.first.0)
            .collect();
        let mut alone = Vec::new();
        // Block by block: the dense points of a long track would not fit into memory.
        for block in &planned.blocks {
            for (frame, sample) in (block.first..).zip(block.unpack()?) {
                let best = near.iter().filter_map(|k| Some((*k, tracks[*k].face(frame)?.rect.iou(&sample.rect))));
                match best.filter(|(_, v)| *v >= SAME).max_by(|a, b| a.1.total_cmp(&b.1)) {
                    Some((k, overlap)) => assign(&mut subjects[k], frame, planned.id, overlap),
                    None => {
                        let face = Face::planned(&sample);
                        alone.push(Spot { frame, face, plan: Some(planned.id), overlap: 1.0 });
                    }
                }
            }
        }
        if !alone.is_empty() {
            let width = planned.width_px;
            let track = Some(planned.id);
            subjects.push(Subject { spots: alone, counts: true, found: false, track, width });
        }
    }
    for s in subjects.iter_mut().filter(|s| s.found) {
        settle(s, orders);
    }
    Ok(subjects)
}

/// Share of a face inside a box of the plan from which on it counts as treated with that box.
const TREATED: f32 = 0.6;

/// Faces that count but that the plan does not treat, wherever nobody is kept.
///
/// # Errors
/// `Plan` if the plan is damaged.
pub(crate) fn missed(tracks: Vec<Track>, plan: &Plan, orders: &Orders) -> Result<Vec<Missed>> {
    let subjects = gather(tracks, Some(plan), orders)?;
    let found = subjects.iter().filter(|s| s.found && s.counts);
    let all = found.map(|s| missing(s, plan, false)).collect::<Result<Vec<Missed>>>()?;
    Ok(all.into_iter().filter(|m| !m.places.is_empty()).collect())
}

/// The spots of a subject that are no track of the plan and do not lie in a box of the plan: by [`TREATED`], or whole
/// for a weak subject, which is asked for only after somebody was recognised there. `all` takes every spot: the boxes of
/// the plan were not enough.
///
/// # Errors
/// `Plan` if the plan is damaged.
pub(crate) fn missing(s: &Subject, plan: &Plan, all: bool) -> Result<Missed> {
    let share = if s.counts { TREATED } else { 1.0 };
    let person = s.track.and_then(|t| plan.track(t)).map(|t| t.person);
    if all {
        return Ok(Missed { person, track: None, places: s.spots.iter().map(|p| (p.frame, p.face.rect)).collect() });
    }
    let mut open: BTreeMap<u64, Rect<InFrame>> =
        s.spots.iter().filter(|p| p.plan.is_none()).map(|p| (p.frame, p.face.rect)).collect();
    if let (Some((&first, _)), Some((&last, _))) = (open.first_key_value(), open.last_key_value()) {
        let near = plan.tracks.iter().filter(|t| t.first.0 <= last && t.end.0 > first);
        for t in near {
            for (frame, sample) in t.samples(first, last + 1)? {
                let inside = |r: &Rect<InFrame>| {
                    let common = (r.x1.min(sample.rect.x1) - r.x0.max(sample.rect.x0)).max(0.0)
                        * (r.y1.min(sample.rect.y1) - r.y0.max(sample.rect.y0)).max(0.0);
                    common >= share * (r.width() * r.height()).max(1e-6)
                };
                if open.get(&frame).is_some_and(inside) {
                    open.remove(&frame);
                }
            }
        }
    }
    Ok(Missed { person, track: s.track.filter(|_| !s.counts), places: open.into_iter().collect() })
}

fn from_track(t: &Track) -> Subject {
    let spots =
        (t.first..).zip(&t.faces).map(|(frame, face)| Spot { frame, face: *face, plan: None, overlap: 0.0 }).collect();
    Subject { spots, counts: t.confirmed, found: true, track: None, width: t.width() }
}

/// Notes the plan's track at a spot; of two the one that overlaps more.
fn assign(s: &mut Subject, frame: u64, id: u32, overlap: f32) {
    let Some(first) = s.spots.first().map(|p| p.frame) else { return };
    let spot = frame.checked_sub(first).and_then(|i| s.spots.get_mut(usize::try_from(i).ok()?));
    if let Some(spot) = spot.filter(|p| p.overlap < overlap) {
        (spot.plan, spot.overlap) = (Some(id), overlap);
    }
}

/// The plan's track of a fresh one, by majority. Where the plan names a kept person throughout, its gaps are that person too.
fn settle(s: &mut Subject, orders: &Orders) {
    let mut votes: BTreeMap<u32, usize> = BTreeMap::new();
    for id in s.spots.iter().filter_map(|p| p.plan) {
        *votes.entry(id).or_default() += 1;
    }
    let Some((&id, _)) = votes.iter().max_by_key(|(id, n)| (**n, std::cmp::Reverse(**id))) else { return };
    s.track = Some(id);
    if votes.keys().all(|t| orders.keeps(*t)) {
        s.spots.iter_mut().filter(|p| p.plan.is_none()).for_each(|p| p.plan = Some(id));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::plan::{
        Cast, Origin, PLAN_VERSION, PlanPerson, PlanSample, PlanTrack, SampleBlock, SourceFingerprint, VideoSummary,
    };
    use crate::units::{FrameIndex, TimeBase};

    pub(crate) fn plan(tracks: &[(u32, u64, u64, f32)]) -> Plan {
        let mut list = vec![];
        for (id, first, end, x) in tracks {
            let rect = Rect::new(*x, 10.0, *x + 40.0, 60.0);
            let sample = PlanSample { rect, score: 0.9, origin: Origin::Detected, points: None };
            let samples = vec![sample; (end - first) as usize];
            list.push(PlanTrack {
                id: *id,
                person: *id,
                first: FrameIndex(*first),
                end: FrameIndex(*end),
                confirmed: true,
                max_score: 0.9,
                width_px: 40.0,
                blocks: vec![SampleBlock::pack(*first, &samples).unwrap()],
            });
        }
        let people = tracks.iter().map(|t| PlanPerson {
            id: t.0,
            tracks: vec![t.0],
            embedding: vec![],
            tone: [0.5; 3],
            frames: t.2 - t.1,
        });
        Plan {
            version: PLAN_VERSION,
            source_path: String::new(),
            source: SourceFingerprint { bytes: 0, sha256: String::new() },
            video: VideoSummary {
                width: 320,
                height: 240,
                frames: 30,
                fps: 25.0,
                time_base: TimeBase::new(1, 25).unwrap(),
                start: 0,
            },
            recall: String::new(),
            models: vec![],
            cuts: vec![],
            people: people.collect(),
            tracks: list,
            findings: vec![],
            salvaged: false,
        }
    }

    fn track(first: u64, n: usize, x: f32) -> Track {
        Track::for_test(first, n, Rect::new(x, 12.0, x + 38.0, 60.0))
    }

    fn orders(plan: &Plan, text: &str) -> Orders {
        let cast = Cast::parse(text, "c").unwrap();
        Orders::new(Some(&Casting::resolve(plan, &cast, &[], &[]).unwrap()))
    }

    #[test]
    fn the_plan_adds_what_was_not_found_and_names_what_was() {
        let plan = plan(&[(1, 0, 30, 20.0), (2, 0, 10, 200.0)]);
        let all = gather(vec![track(5, 10, 21.0), track(0, 30, 120.0)], Some(&plan), &Orders::default()).unwrap();
        assert_eq!(all.len(), 4, "two found, two of the plan");
        assert_eq!((all[0].track, all[0].spots[0].plan), (Some(1), Some(1)));
        assert_eq!((all[1].track, all[1].spots[0].plan), (None, None));
        let alone: Vec<u64> = all[2].spots.iter().map(|s| s.frame).collect();
        assert_eq!(alone, (0..5).chain(15..30).collect::<Vec<_>>());
        assert!(!all[2].found && all[2].counts && all[3].spots.len() == 10);
    }

    #[test]
    fn a_kept_face_stays_kept_where_the_plan_has_gaps_but_never_by_a_neighbour() {
        let plan = plan(&[(1, 0, 10, 20.0), (2, 10, 20, 20.0)]);
        let keep_one = orders(&plan, "[[person]]\nalias = \"A\"\ntracks = [1]\nface = \"keep\"\n");
        let all = gather(vec![track(0, 15, 20.0)], Some(&plan), &keep_one).unwrap();
        assert_eq!(keep_one.order(all[0].spots[3].plan, 0.0), Order::Keep);
        assert_eq!(keep_one.order(all[0].spots[12].plan, 0.0), Order::Hide);
        let plan = super::tests::plan(&[(1, 0, 10, 20.0)]);
        let keep = orders(&plan, "[[person]]\nalias = \"A\"\ntracks = [1]\nface = \"keep\"\n");
        let all = gather(vec![track(0, 15, 20.0)], Some(&plan), &keep).unwrap();
        assert_eq!(keep.order(all[0].spots[14].plan, 0.0), Order::Keep);
        assert_eq!(keep.order(None, 0.0), Order::Hide);
    }

    #[test]
    fn what_only_the_attacker_found_is_missed_and_can_be_added() {
        let mut p = plan(&[(1, 0, 10, 20.0)]);
        let tracks = || vec![track(0, 14, 20.0), track(3, 4, 200.0)];
        let nobody = orders(&p, "");
        let all = missed(tracks(), &p, &nobody).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].person, all[0].places.first().map(|f| f.0), all[0].places.len()), (Some(1), Some(10), 4));
        assert_eq!((all[1].person, all[1].places.len()), (None, 4));
        let keep = orders(&p, "[[person]]\nalias = \"A\"\ntracks = [1]\nface = \"keep\"\n");
        assert_eq!(missed(tracks(), &p, &keep).unwrap().len(), 1, "nothing of a kept person is missed");
        for m in &all {
            p.add_places(m.person, &m.places).unwrap();
        }
        assert!(missed(tracks(), &p, &nobody).unwrap().is_empty());
        assert_eq!(p.tracks.len(), 3);
        assert!(p.tracks.iter().skip(1).all(|t| !t.confirmed) && p.people.len() == 2);
        let holes = [(0, all[1].places[0].1), (1, all[1].places[0].1), (5, all[1].places[0].1)];
        assert_eq!(p.add_places(None, &holes).unwrap().len(), 2);
    }

    #[test]
    fn a_reveal_exempts_only_from_its_time_on() {
        let plan = plan(&[(1, 0, 10, 20.0)]);
        let text = "[[person]]\nalias = \"A\"\ntracks = [1]\nreveal = { at = \"00:00:02\", over = \"1s\", consent = \"signed\" }\n";
        let o = orders(&plan, text);
        assert_eq!(o.order(Some(1), 1.9), Order::Hide);
        assert_eq!(o.order(Some(1), 2.0), Order::Keep);
    }
}
