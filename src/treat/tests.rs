//! What a frame looks like where several orders meet.

use super::{FaceWork, Faults, FrameResult, Outcome, RegionPlan, Treater};
use crate::card::Card;
use crate::geom::{InFrame, Rect};
use crate::image::{ColorDesc, ColorModel, Frame, PixelLayout, RawFrame, Samples};
use crate::plan::{
    Cast, Casting, Origin, PLAN_VERSION, Plan, PlanPerson, PlanSample, PlanTrack, SampleBlock, SourceFingerprint,
    VideoSummary,
};
use crate::swap::{self, Double, DoubleLibrary, FaceMotion, LightProbe, Mesh};
use crate::units::{FrameIndex, TimeBase, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A checkerboard of single pixels: no cover leaves one pixel of it, mixing it back shows at once.
fn checkerboard() -> Frame {
    let layout = PixelLayout { model: ColorModel::Gray, depth: 8, log2_chroma_w: 0, log2_chroma_h: 0 };
    let mut f = Frame::black(320, 240, layout, ColorDesc { full_range: Some(true), ..ColorDesc::default() });
    if let Samples::U8(v) = &mut f.planes[0].samples {
        v.iter_mut().enumerate().for_each(|(i, s)| *s = if (i % 320 + i / 320) % 2 == 0 { 40 } else { 220 });
    }
    f
}

/// Mean difference of neighbouring pixels in a box: 180 on the checkerboard, 0 under a cover.
fn detail(f: &Frame, r: [usize; 4]) -> f32 {
    let at = |x: usize, y: usize| f.planes[0].samples.get(y * 320 + x);
    let (mut sum, mut n) = (0.0, 0.0);
    for y in r[1]..r[3] {
        for x in r[0]..r[2] - 1 {
            sum += (at(x, y) - at(x + 1, y)).abs();
            n += 1.0;
        }
    }
    sum / n
}

/// A plan with still faces (track, first frame, end, box), 25 frames per second.
fn plan(tracks: &[(u32, u64, u64, Rect<InFrame>)]) -> Plan {
    let list = tracks.iter().map(|(id, first, end, rect)| {
        let sample = PlanSample { rect: *rect, score: 0.9, origin: Origin::Detected, points: None };
        PlanTrack {
            id: *id,
            person: *id,
            first: FrameIndex(*first),
            end: FrameIndex(*end),
            confirmed: true,
            max_score: 0.9,
            width_px: rect.width(),
            blocks: vec![SampleBlock::pack(*first, &vec![sample; (end - first) as usize]).unwrap()],
        }
    });
    let person = |t: &(u32, u64, u64, Rect<InFrame>)| PlanPerson {
        id: t.0,
        tracks: vec![t.0],
        embedding: vec![],
        tone: [0.5; 3],
        frames: t.2 - t.1,
    };
    Plan {
        version: PLAN_VERSION,
        source_path: String::new(),
        source: SourceFingerprint { bytes: 0, sha256: String::new() },
        video: VideoSummary {
            width: 320,
            height: 240,
            frames: 200,
            fps: 25.0,
            time_base: TimeBase::new(1, 25).unwrap(),
            start: 0,
        },
        recall: String::new(),
        models: vec![],
        cuts: vec![],
        people: tracks.iter().map(person).collect(),
        tracks: list.collect(),
        findings: vec![],
        salvaged: false,
    }
}

/// Treats the checkerboard as frame `n`.
fn treat(plan: &Plan, cast: &str, n: u64) -> Frame {
    let cast = Cast::parse(cast, "cast").unwrap();
    let casting = Casting::resolve(plan, &cast, &[], &[]).unwrap();
    let mesh = Mesh::embedded().unwrap();
    let regions = RegionPlan::of(&cast, plan).unwrap();
    let card = Card::of(&cast, (320, 240), (1, 1), 1).unwrap();
    let treater = Treater {
        mesh: &mesh,
        doubles: &BTreeMap::new(),
        casting: &casting,
        regions: &regions,
        card: card.as_ref(),
        time_base: plan.video.time_base,
        start: 0,
        seed: 1,
        faults: &Faults::default(),
    };
    let here = plan.tracks.iter().filter(|t| (t.first.0..t.end.0).contains(&n));
    let work: Vec<FaceWork> = here
        .map(|t| FaceWork {
            track: t.id,
            sample: t.samples(n, n + 1).unwrap()[0].1.clone(),
            typical_width: t.width_px,
            confirmed: true,
            frontal: true,
            motion: None,
            light: None,
        })
        .collect();
    let raw = RawFrame { frame: checkerboard(), index: FrameIndex(n), pts: Timestamp(n as i64), duration: None };
    let done = treater.treat(raw, &work, true).unwrap();
    // Whatever differs lies in the matte.
    let (before, matte) = (checkerboard(), done.matte.unwrap());
    let samples = |f: &Frame, i| f.planes[0].samples.get(i);
    assert!((0..320 * 240).all(|i| matte.data[i] > 0.0 || samples(&before, i) == samples(done.frame.frame(), i)));
    done.frame.frame().clone()
}

fn face(x: f32, y: f32) -> Rect<InFrame> {
    Rect::new(x, y, x + 50.0, y + 60.0)
}

/// The first double, under its name, and how it stands on a face of 80 pixels in the middle.
fn drawn_face(mesh: &Mesh) -> (String, Double, Option<FaceMotion>) {
    let library = DoubleLibrary::shipped().unwrap();
    let name = library.cards().next().unwrap().name.clone();
    let double = library.load(mesh, &name).unwrap();
    let place = |p: &[f32; 3]| [p[0] * 80.0 + 160.0, p[1] * 80.0 + 115.0, p[2] * 80.0];
    let mut points: Vec<[f32; 3]> = mesh.positions[..468].iter().map(place).collect();
    points.extend([place(&mesh.positions[468]); 5]);
    points.extend([place(&mesh.positions[469]); 5]);
    let neutral = swap::estimate_neutral(mesh, std::slice::from_ref(&points)).unwrap();
    let motion = swap::plan_motion(mesh, &double, &neutral, &[Some(points)], 25.0).remove(0);
    (name, double, motion)
}

/// Treats the checkerboard by a plan whose tracks have a double each, drawn where there is a motion.
fn swapped(plan: &Plan, policy: &str, drawn: (&Mesh, &str, &Double), motions: &[&Option<FaceMotion>]) -> FrameResult {
    let (mesh, name, double) = drawn;
    let cast = Cast::parse(&format!("[policy]\ndouble = \"{name}\"\n{policy}\n"), "cast").unwrap();
    let treater = Treater {
        mesh,
        doubles: &BTreeMap::from([(name.to_owned(), double.clone())]),
        casting: &Casting::resolve(plan, &cast, &[], &[]).unwrap(),
        regions: &[],
        card: None,
        time_base: plan.video.time_base,
        start: 0,
        seed: 1,
        faults: &Faults::default(),
    };
    let work = |(track, motion): (&PlanTrack, &&Option<FaceMotion>)| FaceWork {
        track: track.id,
        sample: track.samples(0, 1).unwrap()[0].1.clone(),
        typical_width: 80.0,
        confirmed: true,
        frontal: true,
        motion: (*motion).clone(),
        light: Some(LightProbe::even([0.6, 0.5, 0.4])),
    };
    let work: Vec<FaceWork> = plan.tracks.iter().zip(motions).map(work).collect();
    let raw = RawFrame { frame: checkerboard(), index: FrameIndex(0), pts: Timestamp(0), duration: None };
    treater.treat(raw, &work, false).unwrap()
}

#[test]
fn a_face_seen_twice_is_not_framed_by_a_cover() {
    let mesh = Mesh::embedded().unwrap();
    let (name, double, motion) = drawn_face(&mesh);
    // Detail beside the head and on the face, for a second track at `half`.
    let seen = |half: Rect<InFrame>, motion: &Option<FaceMotion>| {
        let mut plan = plan(&[(1, 0, 9, Rect::new(120.0, 70.0, 200.0, 165.0)), (2, 0, 9, half)]);
        plan.tracks[1].person = 1;
        plan.people = vec![PlanPerson { tracks: vec![1, 2], ..plan.people[0].clone() }];
        let done = swapped(&plan, "", (&mesh, &name, &double), &[motion, &None]);
        assert!(done.outcomes.iter().all(|o| o.1 != Outcome::Kept));
        let f = done.frame.frame();
        ([[150, 45, 170, 60], [206, 100, 216, 125]].map(|r| detail(f, r)), detail(f, [170, 100, 190, 130]))
    };
    let half = Rect::new(150.0, 75.0, 205.0, 165.0);
    let (around, face) = seen(half, &motion);
    assert!(around.iter().all(|d| *d > 20.0) && face < 20.0, "{around:?} {face}");
    for (half, motion, how) in
        [(half, &None, "nothing is drawn there"), (Rect::new(180.0, 75.0, 240.0, 165.0), &motion, "beside it")]
    {
        let (around, face) = seen(half, motion);
        assert!(around.iter().any(|d| *d < 8.0) && face < 20.0, "{how}: {around:?} {face}");
    }
}

#[test]
fn with_the_whole_head_no_hair_and_no_ear_keep_their_detail() {
    let mesh = Mesh::embedded().unwrap();
    let (name, double, motion) = drawn_face(&mesh);
    let plan = plan(&[(1, 0, 9, Rect::new(120.0, 70.0, 200.0, 165.0))]);
    let left = |extent: &str| {
        let done = swapped(&plan, &format!("extent = \"{extent}\""), (&mesh, &name, &double), &[&motion]);
        assert_eq!(done.outcomes[0].1, Outcome::Swapped);
        let f = done.frame.frame();
        [[150, 45, 170, 60], [104, 100, 114, 125], [206, 100, 216, 125], [2, 2, 30, 30]].map(|r| detail(f, r))
    };
    let (face, head) = (left("face"), left("head"));
    assert!(face.iter().all(|d| *d > 30.0), "{face:?}");
    assert!(head[..3].iter().all(|d| *d < 8.0) && head[3] > 170.0, "{head:?}");
}

const REVEAL: &str = "[[person]]\nalias = \"A\"\ntracks = [1]\nface = \"solid\"\n\
                      reveal = { at = \"00:00:01\", over = \"2s\", consent = \"signed\" }\n";

#[test]
fn a_dissolving_veil_brings_back_its_own_face_only() {
    // Two heads that overlap; the one that dissolves is the larger, so that by size alone it would come last.
    let neighbour = face(150.0, 80.0);
    let plan = plan(&[(1, 0, 200, Rect::new(85.0, 70.0, 145.0, 145.0)), (2, 0, 200, neighbour)]);
    let own = [95, 90, 125, 130];
    let other = [150, 80, 200, 140];
    for style in ["solid", "blur", "mosaic"] {
        let cast = format!("{REVEAL}[[person]]\nalias = \"B\"\ntracks = [2]\nface = \"{style}\"\n");
        for n in [0, 25, 26, 50, 74, 75, 199] {
            let f = treat(&plan, &cast, n);
            assert!(detail(&f, other) < 8.0, "{style}, frame {n}: {}", detail(&f, other));
        }
        let steps = [10, 30, 50, 70, 80].map(|n| detail(&treat(&plan, &cast, n), own));
        assert!(steps[0] < 1.0 && steps[4] > 170.0 && steps.is_sorted(), "{steps:?}");
    }
}

#[test]
fn a_dissolving_veil_brings_back_no_region() {
    let plan = plan(&[(1, 0, 200, face(100.0, 80.0))]);
    for place in ["box = [0.4, 0.3, 0.6, 0.7]", "follow = { track = 1, box = [0.5, 0.0, 1.5, 1.0] }"] {
        let cast = format!("{REVEAL}[[region]]\neffect = \"mosaic\"\n{place}\n");
        for n in [0, 26, 50, 74, 76, 190] {
            let f = treat(&plan, &cast, n);
            assert!(detail(&f, [130, 85, 150, 135]) < 8.0, "{place}, frame {n}");
        }
        assert!(detail(&treat(&plan, &cast, 190), [102, 85, 120, 135]) > 170.0, "the rest of the face is shown");
    }
}

#[test]
fn a_timed_region_holds_its_place_when_the_face_it_follows_is_lost() {
    let plan = plan(&[(1, 50, 100, face(100.0, 60.0))]);
    let follow = "[[region]]\neffect = \"solid\"\nfollow = { track = 1, box = [0.0, 1.2, 1.0, 2.0] }\n";
    let timed = format!("{follow}from = \"00:00:01\"\nto = \"00:00:06\"\n");
    let below = [105, 140, 145, 175];
    for (n, hidden) in
        [(24, false), (25, true), (49, true), (50, true), (99, true), (100, true), (149, true), (150, false)]
    {
        let left = detail(&treat(&plan, &timed, n), below);
        assert_eq!(left < 1.0, hidden, "frame {n}: {left}");
    }
    // Without times it lasts as long as the face.
    for (n, hidden) in [(49, false), (50, true), (99, true), (100, false)] {
        assert_eq!(detail(&treat(&plan, follow, n), below) < 1.0, hidden, "frame {n}");
    }
}

#[test]
fn a_disclaimer_stands_over_treated_faces_and_lays_nothing_bare() {
    let place = Rect::new(120.0, 160.0, 170.0, 220.0);
    let plan = plan(&[(1, 0, 199, place)]);
    let blurred = "[policy]\nunlisted = \"solid\"\n";
    let (bare, told) = (treat(&plan, blurred, 30), treat(&plan, &format!("{blurred}disclaimer = true\n"), 30));
    assert!(bare != told);
    let card = Card::of(&Cast::parse("[policy]\ndisclaimer = true\n", "c").unwrap(), (320, 240), (1, 1), 1);
    let card = card.unwrap().unwrap();
    assert!(card.seen(&bare, &told) > 0.9);
    let lifted = card.lift(&told, 1.0).unwrap();
    let inner = [130, 170, 160, 210];
    assert!(detail(&bare, inner) < 2.0 && detail(&lifted, inner) < 12.0, "{}", detail(&lifted, inner));
    // After its time, nothing of it.
    assert!(treat(&plan, blurred, 130) == treat(&plan, &format!("{blurred}disclaimer = true\n"), 130));
}

/// Up to four still faces anywhere in the picture, also over its edges, and what the cast orders for each.
fn crowds() -> impl Strategy<Value = Vec<([f32; 4], usize)>> {
    let one = ([-20.0f32..300.0, -20.0f32..220.0, 8.0f32..90.0, 8.0f32..110.0], 0usize..6);
    proptest::collection::vec(one, 1..5)
}

const ORDERS: [&str; 6] = ["", "blur", "mosaic", "solid", "silhouette", "keep"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nothing outside the mattes changes (asserted by `treat`), and of every face that is not kept nothing is left in the
    /// picture, whatever stands over it and whatever was ordered for the others.
    #[test]
    fn every_face_ends_in_its_treatment(crowd in crowds(), frame in 0u64..100) {
        let rects: Vec<Rect<InFrame>> =
            crowd.iter().map(|([x, y, w, h], _)| Rect::new(*x, *y, x + w, y + h)).collect();
        let tracks: Vec<(u32, u64, u64, Rect<InFrame>)> =
            rects.iter().enumerate().map(|(k, r)| (k as u32 + 1, 0, 100, *r)).collect();
        let plan = plan(&tracks);
        let mut cast = String::new();
        for (k, (_, order)) in crowd.iter().enumerate().filter(|(_, c)| !ORDERS[c.1].is_empty()) {
            cast.push_str(&format!("[[person]]\nalias = \"P{k}\"\ntracks = [{}]\nface = \"{}\"\n", k + 1, ORDERS[*order]));
        }
        let treated = treat(&plan, &cast, frame);
        for ((_, order), r) in crowd.iter().zip(&rects).filter(|(c, _)| ORDERS[c.1] != "keep") {
            let middle = r.grown(-0.2, -0.2, -0.2, -0.2);
            if let Some(p) = middle.to_pixels(320, 240).filter(|p| p.width > 2 && p.height > 1) {
                // Pixels alternate by 180 in the source; blurs, squares and covers have edges of their own at most.
                let left = detail(&treated, [p.x, p.y, p.x + p.width, p.y + p.height]);
                prop_assert!(left < 30.0, "{} of {:?} left under {:?}: {left}", left, r, ORDERS[*order]);
            }
        }
    }

    /// A cast that keeps nobody leaves no track as filmed, not even one that is not in the plan.
    #[test]
    fn nobody_is_kept_by_default(crowd in crowds(), stranger in 0u32..100) {
        let tracks: Vec<(u32, u64, u64, Rect<InFrame>)> =
            (1..=crowd.len() as u32).map(|k| (k, 0, 10, face(10.0, 10.0))).collect();
        let plan = plan(&tracks);
        let kept: Vec<u32> = (1..).zip(&crowd).filter(|(_, c)| ORDERS[c.1] == "keep").map(|(k, _)| k).collect();
        let entry = |k: &u32| format!("[[person]]\nalias = \"P{k}\"\ntracks = [{k}]\nface = \"keep\"\n");
        let cast = Cast::parse(&kept.iter().map(entry).collect::<String>(), "cast").unwrap();
        let casting = Casting::resolve(&plan, &cast, &[], &[]).unwrap();
        for track in (1..=crowd.len() as u32).chain([stranger]) {
            let is_kept = casting.treatment(track).face == crate::plan::FaceTreatment::Keep;
            prop_assert_eq!(is_kept, kept.contains(&track), "track {}", track);
        }
    }
}
