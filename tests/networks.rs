//! The real networks on real portraits and film. Skipped, saying so, where the material or ONNX Runtime is absent.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use understudy::geom::Rect;
use understudy::image::{ColorDesc, ColorModel, Frame, PixelLayout, RawFrame, Samples};
use understudy::infer::{Device, ModelSet, Role, Runtime};
use understudy::units::{FrameIndex, Timestamp};
use understudy::vision::{
    Analyser, AnalyserOptions, AttentionMesh, Detection, Detector, EmbeddingModel, FaceRecogniser, Look, Networks,
    Provenance, Recall, Verifier, VerifierModel, VisionEvent, YuNet, find_landmarks, five_points,
};

/// The folder with models and data beside the project, if it is there.
fn shared() -> Option<PathBuf> {
    let named = std::env::var_os("UNDERSTUDY_SHARED").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    named.into_iter().chain([beside]).find(|p| p.join("models").is_dir())
}

/// Runtime, networks and the shared folder; `None` (with a message) if something is missing.
fn material() -> Option<(Runtime, ModelSet, PathBuf)> {
    let Some(shared) = shared() else {
        println!("skipped: no folder `shared` beside the project; name it with UNDERSTUDY_SHARED");
        return None;
    };
    let runtime = match Runtime::load(None, Device::Cpu) {
        Ok(runtime) => runtime,
        Err(e) => {
            println!("skipped: {e}");
            return None;
        }
    };
    let models = ModelSet::discover(&[shared.join("models")]).unwrap();
    models.require().unwrap();
    Some((runtime, models, shared))
}

fn portrait(path: &Path) -> Frame {
    let rgb = image::open(path).unwrap().to_rgb8();
    let (width, height) = (rgb.width() as usize, rgb.height() as usize);
    let layout = PixelLayout { model: ColorModel::Gbr, depth: 8, log2_chroma_w: 0, log2_chroma_h: 0 };
    let mut frame = Frame::black(width, height, layout, ColorDesc::default());
    for (plane, channel) in [(0, 1), (1, 2), (2, 0)] {
        frame.planes[plane].samples = Samples::U8(rgb.pixels().map(|p| p.0[channel]).collect());
    }
    frame
}

/// Portraits, at most `most`, in a fixed order.
fn portraits(shared: &Path, most: usize) -> Vec<PathBuf> {
    let folder = shared.join("data/stills/congress");
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    all.retain(|p| p.extension().is_some_and(|e| e == "jpg" || e == "png"));
    all.sort();
    all.truncate(most);
    all
}

fn best(detector: &mut YuNet, frame: &Frame) -> Detection {
    detector.detect(frame, &Look::at_whole(frame, 320, 0.5)).unwrap()[0]
}

#[test]
fn portraits_have_one_face_with_points_in_agreement() {
    let Some((runtime, models, shared)) = material() else { return };
    let mut detector = YuNet::open(&runtime, models.best(Role::Detector).unwrap()).unwrap();
    let mut mesh = AttentionMesh::open(&runtime, models.best(Role::Landmarks).unwrap()).unwrap();
    let mut embedder = FaceRecogniser::open(&runtime, models.best(Role::Embedding).unwrap()).unwrap();
    let mut embeddings = Vec::new();
    for path in portraits(&shared, 12) {
        let frame = portrait(&path);
        let d = best(&mut detector, &frame);
        assert!(d.score > 0.7, "{} in {}", d.score, path.display());
        let landmarks = find_landmarks(&mut mesh, &frame, &d, None).unwrap().expect("a portrait has a mesh");
        let eyes = d.points[0].distance(&d.points[1]);
        for (p, q) in five_points(&landmarks).iter().zip(&d.points) {
            assert!(p.distance(q) < 0.3 * eyes, "detector and mesh disagree in {}", path.display());
        }
        let (right, left) = (landmarks.point(468), landmarks.point(473));
        assert!(right.distance(&d.points[0]) < 0.2 * eyes && left.distance(&d.points[1]) < 0.2 * eyes);
        // The mesh's own points give the same person as the detector's.
        let (a, b) =
            (embedder.embed(&frame, &d.points).unwrap(), embedder.embed(&frame, &five_points(&landmarks)).unwrap());
        assert!(a.cosine(&b) > 0.7, "{}", a.cosine(&b));
        embeddings.push(a);
    }
    let mut pairs = Vec::new();
    for (i, a) in embeddings.iter().enumerate() {
        pairs.extend(embeddings[i + 1..].iter().map(|b| a.cosine(b)));
    }
    pairs.sort_by(f32::total_cmp);
    assert!(pairs[pairs.len() / 2] < 0.25, "strangers are far apart, not {}", pairs[pairs.len() / 2]);
}

#[test]
fn the_built_in_networks_see_portraits_without_a_pack() {
    let Some((runtime, installed, shared)) = material() else { return };
    let own = ModelSet::discover(&[]).unwrap();
    own.require().unwrap();
    assert!(Role::ALL.into_iter().all(|r| own.is_built_in(r) && !installed.is_built_in(r)));
    let mut detector = YuNet::open(&runtime, own.best(Role::Detector).unwrap()).unwrap();
    let mut mesh = AttentionMesh::open(&runtime, own.best(Role::Landmarks).unwrap()).unwrap();
    let mut embedder = FaceRecogniser::open(&runtime, own.best(Role::Embedding).unwrap()).unwrap();
    let (mut found, mut meshes) = (0, 0);
    let all = portraits(&shared, 24);
    for path in &all {
        let frame = portrait(path);
        let Some(d) = detector.detect(&frame, &Look::at_whole(&frame, 320, 0.42)).unwrap().first().copied() else {
            continue;
        };
        found += 1;
        embedder.embed(&frame, &d.points).unwrap();
        meshes += usize::from(find_landmarks(&mut mesh, &frame, &d, None).unwrap().is_some());
    }
    assert!(found * 10 >= all.len() * 9 && meshes * 10 >= all.len() * 8, "{found} faces, {meshes} meshes");
}

#[test]
fn the_verifier_tells_faces_from_what_is_none_and_comes_with_the_built_in_detector_alone() {
    let Some((runtime, installed, shared)) = material() else { return };
    let own = ModelSet::discover(&[]).unwrap();
    assert!(Networks::open(&own, &runtime).unwrap().verifier.is_some());
    assert!(Networks::open(&installed, &runtime).unwrap().verifier.is_none());
    let mut detector = YuNet::open(&runtime, installed.best(Role::Detector).unwrap()).unwrap();
    let mut verifier = Verifier::open(&runtime, own.best(Role::Verifier).unwrap()).unwrap();
    // Portraits of the test split as well as others; face-free photographs, three squares of each.
    let (mut faces, mut others) = (Vec::new(), Vec::new());
    for path in portraits(&shared, 24) {
        let frame = portrait(&path);
        let d = best(&mut detector, &frame);
        faces.push(verifier.verify(&frame, &d.rect).unwrap());
    }
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(shared.join("data/negatives")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    for path in files {
        let frame = portrait(&path);
        let side = frame.width.min(frame.height) as f32 / 4.0;
        for k in 0..3 {
            let at = side * (0.5 + k as f32);
            others.push(verifier.verify(&frame, &Rect::new(at, at, at + 0.8 * side, at + side)).unwrap());
        }
    }
    // What the program asks of a face that it looks at often (`LEAST_BELIEF`).
    let believed = |all: &[f32]| all.iter().filter(|v| **v >= 0.3).count();
    assert_eq!(believed(&faces), faces.len(), "{faces:?}");
    // Six of the 45 squares, when it was trained.
    assert!(believed(&others) * 5 <= others.len(), "{others:?}");
}

#[test]
fn turned_and_small_faces_are_found() {
    let Some((runtime, models, shared)) = material() else { return };
    let mut detector = YuNet::open(&runtime, models.best(Role::Detector).unwrap()).unwrap();
    let path = &portraits(&shared, 1)[0];
    let frame = portrait(path);
    let upright = best(&mut detector, &frame);
    let mut over = frame.clone();
    for plane in &mut over.planes {
        if let Samples::U8(v) = &mut plane.samples {
            v.reverse();
        }
    }
    let look = Look { turn: std::f32::consts::PI, ..Look::at_whole(&over, 320, 0.5) };
    let found = detector.detect(&over, &look).unwrap();
    let (w, h) = (frame.width as f32, frame.height as f32);
    let r = upright.rect;
    let expected = Rect::new(w - r.x1, h - r.y1, w - r.x0, h - r.y0);
    assert!(found.iter().any(|d| d.rect.iou(&expected) > 0.7), "{found:?}");
}

#[test]
fn a_moving_portrait_is_followed_with_landmarks_by_any_number_of_workers() {
    let Some((runtime, models, shared)) = material() else { return };
    let still = portrait(&portraits(&shared, 1)[0]);
    let film: Vec<Arc<RawFrame>> = (0..14u64).map(|n| Arc::new(panned(&still, n))).collect();
    let mut runs = Vec::new();
    for workers in [1, 3] {
        let options = AnalyserOptions { workers, ..AnalyserOptions::default() };
        let mut analyser = Analyser::new(&models, &runtime, Recall::Standard, options).unwrap();
        let (mut samples, mut ends) = (Vec::new(), Vec::new());
        let mut emit = |event: VisionEvent| {
            match event {
                VisionEvent::Samples { samples: more, .. } => samples.extend(more),
                VisionEvent::TrackEnd { summary, .. } => ends.push(summary),
                VisionEvent::Shot { range } => assert_eq!((range.start.0, range.end.0), (0, 14)),
            }
            Ok(())
        };
        for frame in &film {
            analyser.push(Arc::clone(frame), &mut emit).unwrap();
        }
        analyser.finish(&mut emit).unwrap();
        assert_eq!(ends.len(), 1);
        assert!(ends[0].confirmed && !ends[0].embeddings.is_empty());
        assert_eq!(samples.len(), 14);
        assert!(samples.iter().all(|s| s.provenance == Provenance::Detected && s.landmarks.is_some()));
        runs.push(samples);
    }
    assert_eq!(runs[0], runs[1]);
}

/// A portrait shifted by two pixels per frame.
fn panned(still: &Frame, n: u64) -> RawFrame {
    let mut frame = still.clone();
    for plane in &mut frame.planes {
        if let Samples::U8(v) = &mut plane.samples {
            v.rotate_right(2 * n as usize);
        }
    }
    RawFrame { frame, index: FrameIndex(n), pts: Timestamp(n as i64), duration: None }
}

#[test]
fn several_sets_of_networks_share_one_runtime() {
    let Some((runtime, models, _)) = material() else { return };
    let again = Runtime::load(None, Device::Cpu).unwrap();
    assert_eq!(again.library(), runtime.library());
    assert!(Networks::open(&models, &again).unwrap().second.is_some());
    assert!(Networks::open(&ModelSet::default(), &again).is_err());
}

#[test]
fn cuda_is_refused_by_a_library_without_it() {
    let Some((runtime, models, _)) = material() else { return };
    match Runtime::load(None, Device::Cuda) {
        Err(e) => assert!(e.to_string().contains("CUDA") && e.exit_code() == 5),
        // A library with CUDA on a machine without a GPU must refuse the session rather than use the processor.
        Ok(cuda) => {
            assert_eq!(cuda.library(), runtime.library());
            assert_eq!(cuda.device(), Device::Cuda);
            if let Err(e) = cuda.open(models.best(Role::Detector).unwrap()) {
                assert_eq!(e.exit_code(), 5);
            }
        }
    }
}
