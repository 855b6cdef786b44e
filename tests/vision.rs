//! The analyser on synthetic frames with doubles in place of the networks: what is tracked, covered and refused.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use understudy::geom::{InFrame, PixelRect, Point, Rect};
use understudy::image::{ColorDesc, ColorModel, Frame, PixelLayout, RawFrame, Samples};
use understudy::units::{FrameIndex, Timestamp};
use understudy::vision::{
    Analyser, AnalyserOptions, Detection, Detector, Embedding, EmbeddingModel, FaceCrop, FaceSample, LANDMARKS,
    LandmarkModel, Landmarks, Look, Networks, Provenance, Recall, TrackSummary, VerifierModel, VisionEvent,
};
use understudy::{Error, Result};

const WIDTH: usize = 320;
const HEIGHT: usize = 180;

/// Faces are drawn as patches whose texture is the face's own; the double finds them by a code in the top row.
#[derive(Debug, Clone, Copy)]
struct Face {
    x: f32,
    y: f32,
    size: f32,
    /// Score the double gives; 0 = the detector misses it.
    score: f32,
    /// Score in a window about it.
    window: f32,
}

type Script = Arc<Vec<Vec<Face>>>;

/// A detector that reads the script at the frame number hidden in the first samples.
struct Scripted {
    script: Script,
    fail_at: Option<usize>,
}

fn number(frame: &Frame) -> usize {
    match &frame.planes[0].samples {
        Samples::U8(v) => usize::from(v[0]) + 256 * usize::from(v[1]),
        Samples::U16(_) => 0,
    }
}

impl Detector for Scripted {
    fn detect(&mut self, frame: &Frame, look: &Look) -> Result<Vec<Detection>> {
        let n = number(frame);
        if self.fail_at == Some(n) {
            return Err(Error::Model("the double fails here".into()));
        }
        let whole = look.region.width() >= WIDTH as f32;
        let mut found = Vec::new();
        for f in self.script.get(n).into_iter().flatten() {
            let rect = Rect::new(f.x, f.y, f.x + f.size, f.y + f.size);
            let score = if whole { f.score } else { f.window };
            let c = rect.centre();
            let inside =
                (look.region.x0..look.region.x1).contains(&c.x) && (look.region.y0..look.region.y1).contains(&c.y);
            if inside && score >= look.threshold && look.turn == 0.0 {
                found.push(Detection { has_points: true, ..Detection::from_box(rect, score) });
            }
        }
        Ok(found)
    }
}

/// Landmarks that always say the same about the crop's middle.
struct Mesh {
    presence: f32,
    poison: bool,
}

impl LandmarkModel for Mesh {
    fn landmarks(&mut self, _: &Frame, crop: &FaceCrop) -> Result<Landmarks> {
        let r = crop.side / 3.0;
        let at = |i: usize| {
            let a = i as f32;
            [crop.centre.x + r * a.cos(), crop.centre.y + r * a.sin(), 0.0]
        };
        let mut points: Vec<[f32; 3]> = (0..LANDMARKS).map(at).collect();
        // Eyes, nose and mouth corners where the detector's mean face has them.
        let side = crop.side / 1.35;
        for (i, u, v) in [(33, 0.31, 0.4), (133, 0.31, 0.4), (362, 0.69, 0.4), (263, 0.69, 0.4), (1, 0.5, 0.6)]
            .into_iter()
            .chain([(61, 0.35, 0.8), (291, 0.65, 0.8)])
        {
            points[i] = [crop.centre.x + (u - 0.5) * side, crop.centre.y + (v - 0.5) * side, 0.0];
        }
        if self.poison {
            points[7][0] = f32::NAN;
        }
        let found = Landmarks { points, presence: self.presence };
        found.check()?;
        Ok(found)
    }
}

/// Believes in faces from a frame on.
struct Believer {
    from: usize,
}

impl VerifierModel for Believer {
    fn verify(&mut self, frame: &Frame, _: &Rect<InFrame>) -> Result<f32> {
        Ok(if number(frame) >= self.from { 3.0 } else { -3.0 })
    }
}

struct Embedder;

impl EmbeddingModel for Embedder {
    fn embed(&mut self, _: &Frame, points: &[Point<InFrame>; 5]) -> Result<Embedding> {
        Embedding::new(vec![1.0, points[0].x * 0.0, 0.0])
    }
}

/// Background of shot `shot`, faces on top, the frame's number in the first two samples.
fn picture(n: usize, shot: usize, faces: &[Face]) -> Arc<RawFrame> {
    let layout = PixelLayout { model: ColorModel::Gray, depth: 8, log2_chroma_w: 0, log2_chroma_h: 0 };
    let mut frame = Frame::black(WIDTH, HEIGHT, layout, ColorDesc::default());
    for (i, j) in (0..16).flat_map(|i| (0..9).map(move |j| (i, j))) {
        let v = ((i * 7 + j * 13 + shot * 31) * (shot + 3) % 17) as f32 / 17.0;
        frame.paint(PixelRect { x: i * 20, y: j * 20, width: 20, height: 20 }, [v; 3]);
    }
    for (k, f) in faces.iter().enumerate() {
        let rect = Rect::<InFrame>::new(f.x, f.y, f.x + f.size, f.y + f.size);
        if let Some(r) = rect.to_pixels(WIDTH, HEIGHT) {
            frame.paint(r, [0.7; 3]);
            let eye = PixelRect {
                x: r.x + r.width / 4,
                y: r.y + r.height / 4,
                width: r.width.div_ceil(3),
                height: r.height.div_ceil(4 + k),
            };
            frame.paint(
                PixelRect { width: eye.width.min(WIDTH - eye.x), height: eye.height.min(HEIGHT - eye.y), ..eye },
                [0.1; 3],
            );
        }
    }
    if let Samples::U8(v) = &mut frame.planes[0].samples {
        v[0] = (n % 256) as u8;
        v[1] = (n / 256) as u8;
    }
    Arc::new(RawFrame { frame, index: FrameIndex(n as u64), pts: Timestamp(n as i64), duration: None })
}

#[derive(Default)]
struct Seen {
    shots: Vec<(u64, u64)>,
    tracks: BTreeMap<u32, Vec<FaceSample>>,
    ends: Vec<TrackSummary>,
}

impl Seen {
    fn take(&mut self, event: VisionEvent) {
        match event {
            VisionEvent::Shot { range } => self.shots.push((range.start.0, range.end.0)),
            VisionEvent::Samples { track, samples } => {
                assert!(samples.len() <= 128);
                let all = self.tracks.entry(track).or_default();
                for s in samples {
                    assert!(all.last().is_none_or(|l| l.frame.0 + 1 == s.frame.0), "samples are contiguous");
                    all.push(s);
                }
            }
            VisionEvent::TrackEnd { summary, .. } => self.ends.push(summary),
        }
    }

    /// The best provenance that covers the middle of a face in a frame.
    fn cover(&self, n: usize, f: &Face) -> Option<Provenance> {
        let c = Point::<InFrame>::new(f.x + f.size / 2.0, f.y + f.size / 2.0);
        let at = self.tracks.values().flatten().filter(|s| s.frame.0 == n as u64);
        at.filter(|s| s.rect.x0 < c.x && c.x < s.rect.x1 && s.rect.y0 < c.y && c.y < s.rect.y1)
            .map(|s| s.provenance)
            .min()
    }
}

struct Setup {
    workers: usize,
    recall: Recall,
    fail_at: Option<usize>,
    mesh: Option<(f32, bool)>,
    /// Frame from which a verifier believes in faces; `None` is no verifier.
    believes_from: Option<usize>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup { workers: 1, recall: Recall::Standard, fail_at: None, mesh: None, believes_from: None }
    }
}

fn analyser(script: &Script, setup: &Setup) -> Analyser {
    let networks = |_| Networks {
        detector: Box::new(Scripted { script: Arc::clone(script), fail_at: setup.fail_at }),
        second: None,
        others: Vec::new(),
        landmarks: setup.mesh.map(|(presence, poison)| Box::new(Mesh { presence, poison }) as Box<dyn LandmarkModel>),
        embedding: Some(Box::new(Embedder)),
        verifier: setup.believes_from.map(|from| Box::new(Believer { from }) as Box<dyn VerifierModel>),
        closer: false,
    };
    let options = AnalyserOptions { fps: 25.0, workers: setup.workers, ..AnalyserOptions::default() };
    Analyser::with_networks((0..setup.workers).map(networks).collect(), setup.recall, options).unwrap()
}

fn run(script: &[Vec<Face>], shot_of: impl Fn(usize) -> usize, setup: &Setup) -> Result<Seen> {
    let script: Script = Arc::new(script.to_vec());
    let mut analyser = analyser(&script, setup);
    let mut seen = Seen::default();
    for (n, faces) in script.iter().enumerate() {
        analyser.push(picture(n, shot_of(n), faces), &mut |e| {
            seen.take(e);
            Ok(())
        })?;
    }
    analyser.finish(&mut |e| {
        seen.take(e);
        Ok(())
    })?;
    Ok(seen)
}

fn face(x: f32, y: f32, score: f32) -> Face {
    Face { x, y, size: 40.0, score, window: score }
}

fn assert_covered(seen: &Seen, script: &[Vec<Face>]) {
    for (n, faces) in script.iter().enumerate() {
        for f in faces {
            assert!(seen.cover(n, f).is_some(), "face at {} in frame {n} is not covered", f.x);
        }
    }
}

#[test]
fn a_face_that_enters_and_leaves_is_one_track() {
    let mut script = vec![Vec::new(); 60];
    for (n, faces) in script.iter_mut().enumerate().take(40).skip(10) {
        faces.push(face(20.0 + 3.0 * n as f32, 60.0, 0.9));
    }
    let seen = run(&script, |_| 0, &Setup::default()).unwrap();
    assert_covered(&seen, &script);
    assert_eq!(seen.shots, [(0, 60)]);
    assert_eq!(seen.ends.len(), 1);
    let end = &seen.ends[0];
    assert_eq!((end.first_seen.0, end.last_seen.0, end.detected_count), (10, 39, 30));
    assert!(end.confirmed && !end.embeddings.is_empty() && end.embeddings.len() <= 8);
    assert_eq!(end.first.0, 5, "a lead-in of a fifth of a second");
    assert!((50..=53).contains(&end.last.0), "a trail of half a second, not {}", end.last.0);
    let samples = &seen.tracks[&end.track];
    assert_eq!(samples[0].provenance, Provenance::Predicted);
    assert_eq!(samples.last().unwrap().provenance, Provenance::Predicted);
}

#[test]
fn a_hole_is_bridged() {
    let mut script: Vec<Vec<Face>> = (0..40).map(|n| vec![face(50.0 + n as f32, 60.0, 0.8)]).collect();
    for faces in &mut script[15..23] {
        faces[0].score = 0.0;
        faces[0].window = 0.0;
    }
    let seen = run(&script, |_| 0, &Setup::default()).unwrap();
    assert_covered(&seen, &script);
    assert_eq!(seen.ends.len(), 1);
    assert_eq!(seen.cover(18, &script[18][0]), Some(Provenance::Interpolated));
}

#[test]
fn a_window_or_the_landmarks_carry_a_face_that_the_whole_look_misses() {
    let mut script: Vec<Vec<Face>> = (0..40).map(|_| vec![face(100.0, 60.0, 0.8)]).collect();
    for faces in &mut script[10..30] {
        faces[0] = Face { score: 0.0, window: 0.35, ..faces[0] };
    }
    let seen = run(&script, |_| 0, &Setup::default()).unwrap();
    assert_eq!(seen.cover(20, &script[20][0]), Some(Provenance::Detected));
    for faces in &mut script[10..30] {
        faces[0].window = 0.0;
    }
    let seen = run(&script, |_| 0, &Setup { mesh: Some((0.95, false)), ..Setup::default() }).unwrap();
    assert_eq!(seen.cover(20, &script[20][0]), Some(Provenance::Tracked));
    assert!(seen.tracks[&0][20].landmarks.is_some());
    assert_eq!(seen.ends.len(), 1);
}

#[test]
fn a_new_face_is_followed_backwards() {
    let mut script: Vec<Vec<Face>> = (0..40).map(|n| vec![face(40.0 + 2.0 * n as f32, 60.0, 0.9)]).collect();
    for faces in &mut script[10..20] {
        faces[0] = Face { score: 0.0, window: 0.35, ..faces[0] };
    }
    script[..10].iter_mut().for_each(Vec::clear);
    let seen = run(&script, |_| 0, &Setup::default()).unwrap();
    assert_covered(&seen, &script);
    assert_eq!(seen.ends.len(), 1);
    assert_eq!(seen.ends[0].first_seen.0, 10);
}

#[test]
fn cuts_end_tracks_and_nothing_reaches_over_them() {
    let script: Vec<Vec<Face>> =
        (0..40).map(|n| if n < 20 { vec![face(50.0, 60.0, 0.9)] } else { vec![face(200.0, 90.0, 0.9)] }).collect();
    let seen = run(&script, |n| usize::from(n >= 20), &Setup::default()).unwrap();
    assert_covered(&seen, &script);
    assert_eq!(seen.shots, [(0, 20), (20, 40)]);
    assert_eq!(seen.ends.len(), 2);
    assert_eq!((seen.ends[0].first.0, seen.ends[0].last.0), (0, 19));
    assert_eq!((seen.ends[1].first.0, seen.ends[1].last.0), (20, 39));
}

#[test]
fn crossing_faces_stay_covered() {
    let script: Vec<Vec<Face>> = (0..60)
        .map(|n| vec![face(20.0 + 4.0 * n as f32, 60.0, 0.9), face(256.0 - 4.0 * n as f32, 64.0, 0.85)])
        .collect();
    let seen = run(&script, |_| 0, &Setup::default()).unwrap();
    assert_covered(&seen, &script);
    assert!(seen.ends.len() <= 4, "{}", seen.ends.len());
}

#[test]
fn weak_faces_count_when_they_persist_and_not_when_they_flicker() {
    let mut script: Vec<Vec<Face>> = (0..40).map(|_| vec![face(100.0, 60.0, 0.46)]).collect();
    script[30].push(face(220.0, 20.0, 0.4));
    let seen = run(&script, |_| 0, &Setup::default()).unwrap();
    assert_eq!(seen.ends.len(), 1);
    assert!(!seen.ends[0].confirmed);
    for (n, faces) in script.iter().enumerate() {
        assert!(seen.cover(n, &faces[0]).is_some(), "frame {n}");
    }
    assert!(seen.cover(30, &script[30][1]).is_none());
}

#[test]
fn what_a_verifier_never_believes_is_no_face_unless_it_is_sure_or_nobody_asked() {
    let script = |score: f32| (0..60).map(|_| vec![face(100.0, 60.0, score)]).collect::<Vec<_>>();
    let told = |score: f32, setup: &Setup| {
        let seen = run(&script(score), |_| 0, setup).unwrap();
        assert_eq!(seen.ends.len(), 1);
        (seen.ends[0].disbelieved, seen.ends[0].belief)
    };
    let with = |from| Setup { believes_from: Some(from), ..Setup::default() };
    assert_eq!(told(0.6, &with(1000)), (true, Some(-3.0)));
    assert_eq!(told(0.6, &with(0)), (false, Some(3.0)));
    assert_eq!(told(0.6, &with(45)), (false, Some(3.0)), "believed late");
    assert_eq!(told(0.8, &with(1000)), (false, None), "the detector is sure");
    assert_eq!(told(0.6, &Setup { recall: Recall::Max, ..with(1000) }), (false, None), "everything is treated");
    assert_eq!(told(0.6, &Setup::default()), (false, None), "no verifier");
}

#[test]
fn the_number_of_workers_changes_nothing() {
    let script: Vec<Vec<Face>> = (0..50)
        .map(|n| {
            let mut faces = vec![face(30.0 + 3.0 * n as f32, 20.0, 0.9)];
            if n % 7 != 0 && n > 5 {
                faces.push(face(200.0 - 2.0 * n as f32, 110.0, 0.6));
            }
            faces
        })
        .collect();
    let of = |workers| {
        let setup = Setup { workers, mesh: Some((0.9, false)), ..Setup::default() };
        run(&script, |_| 0, &setup).unwrap()
    };
    let (one, four) = (of(1), of(4));
    assert_eq!(one.tracks, four.tracks);
    assert_eq!(one.shots, four.shots);
}

#[test]
fn a_failing_or_lying_network_is_an_error_and_stays_one() {
    let script: Vec<Vec<Face>> = (0..20).map(|_| vec![face(100.0, 60.0, 0.9)]).collect();
    let failing = run(&script, |_| 0, &Setup { fail_at: Some(9), ..Setup::default() });
    assert!(matches!(failing, Err(Error::Model(_))));
    let poisoned = run(&script, |_| 0, &Setup { mesh: Some((0.9, true)), ..Setup::default() });
    assert!(matches!(poisoned, Err(Error::Model(_))));

    let shared: Script = Arc::new(script.clone());
    let mut a = analyser(&shared, &Setup { fail_at: Some(0), ..Setup::default() });
    let results: Vec<_> = (0..8).map(|n| a.push(picture(n, 0, &script[n]), &mut |_| Ok(()))).collect();
    assert!(results[4].is_err() && results[5].is_err() && a.finish(&mut |_| Ok(())).is_err());
}

#[test]
fn malformed_frames_are_refused() {
    let script: Script = Arc::new(Vec::new());
    let mut a = analyser(&script, &Setup::default());
    assert!(matches!(a.push(picture(3, 0, &[]), &mut |_| Ok(())), Err(Error::Input(_))));
    let mut a = analyser(&script, &Setup::default());
    let mut frame = picture(0, 0, &[]).frame.clone();
    frame.planes[0].samples = Samples::U8(vec![0; 10]);
    let broken = RawFrame { frame, index: FrameIndex(0), pts: Timestamp(0), duration: None };
    assert!(matches!(a.push(Arc::new(broken), &mut |_| Ok(())), Err(Error::Input(_))));
}

#[test]
fn the_draft_covers_frames_without_a_look() {
    let script: Vec<Vec<Face>> = (0..40).map(|n| vec![face(50.0 + 2.0 * n as f32, 60.0, 0.9)]).collect();
    let seen = run(&script, |_| 0, &Setup { recall: Recall::Draft, ..Setup::default() }).unwrap();
    assert_covered(&seen, &script);
    assert_eq!(seen.ends.len(), 1);
}

#[test]
fn samples_are_given_out_before_the_end() {
    let script: Script = Arc::new((0..400).map(|_| vec![face(100.0, 60.0, 0.9)]).collect());
    let mut a = analyser(&script, &Setup::default());
    let mut given = 0;
    for n in 0..400 {
        let mut emit = |e| {
            if let VisionEvent::Samples { samples, .. } = e {
                given += samples.len();
            }
            Ok(())
        };
        a.push(picture(n, 0, &script[n]), &mut emit).unwrap();
        assert!(n < 140 || n - given < 140, "{given} of {n}");
    }
}

/// Faces that walk straight, each in its own third of the picture, and are missed now and then.
fn walks() -> impl Strategy<Value = Vec<Vec<Face>>> {
    let one = (0usize..30, 12usize..40, 0.0f32..60.0, -1.5f32..1.5, 20.0f32..44.0, 0.75f32..0.99, 4usize..9);
    (40usize..70, proptest::collection::vec(one, 1..4)).prop_map(|(length, faces)| {
        let mut script = vec![Vec::new(); length];
        for (k, (first, frames, x, speed, size, score, missed)) in faces.into_iter().enumerate() {
            for (i, here) in script.iter_mut().skip(first).take(frames).enumerate() {
                // One look in a few is missed, by the window too.
                let seen = i < 4 || i % missed != 0;
                let score = if seen { score } else { 0.0 };
                let x = (x + speed * i as f32).clamp(0.0, 300.0);
                here.push(Face { x, y: 4.0 + 58.0 * k as f32, size, score, window: score });
            }
        }
        script
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every sure detection ends in a track, samples are contiguous, shots are whole, and threads change nothing.
    #[test]
    fn every_detection_ends_in_a_track(script in walks()) {
        let shot = |_: usize| 0;
        let seen = run(&script, shot, &Setup::default()).unwrap();
        for (n, faces) in script.iter().enumerate() {
            for f in faces.iter().filter(|f| f.score > 0.0) {
                prop_assert!(seen.cover(n, f).is_some(), "the face at {} of frame {n}", f.x);
            }
        }
        prop_assert_eq!(seen.shots.first().map(|s| s.0), Some(0));
        prop_assert_eq!(seen.shots.last().map(|s| s.1), Some(script.len() as u64));
        prop_assert!(seen.shots.windows(2).all(|w| w[0].1 == w[1].0));
        for end in &seen.ends {
            let samples = &seen.tracks[&end.track];
            prop_assert_eq!(samples.len() as u64, end.last.0 + 1 - end.first.0);
            prop_assert!(samples.iter().all(|s| s.rect.is_valid() && s.frame.0 < script.len() as u64));
        }
        let four = run(&script, shot, &Setup { workers: 4, ..Setup::default() }).unwrap();
        prop_assert_eq!(format!("{:?}", four.tracks), format!("{:?}", seen.tracks));
    }
}
