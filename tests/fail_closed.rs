#![expect(clippy::unwrap_used, reason = "a test may stop where it likes")]

//! Failures are provoked at every stage; no original face may ever be written.
//!
//! Two outcomes are allowed: the face is covered and the film is cleared, or there is no film at all.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use understudy::infer::{Device, ModelSet, Runtime};
use understudy::media::{DecodeOptions, EncoderOverrides, Limits, Preset, VideoReader};
use understudy::pipeline::{Cancel, Checkpoint, DisguiseJob, Progress, Silent, disguise};
use understudy::plan::{Cast, Plan};
use understudy::swap::DoubleLibrary;
use understudy::treat::Faults;
use understudy::vision::Recall;
use understudy::{Error, Result};

/// Networks and runtime, or a printed reason to skip.
struct Kit {
    models: ModelSet,
    runtime: Runtime,
    doubles: DoubleLibrary,
    clip: PathBuf,
}

fn kit() -> Option<&'static Kit> {
    static KIT: std::sync::OnceLock<Option<Kit>> = std::sync::OnceLock::new();
    KIT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let shared = std::env::var_os("UNDERSTUDY_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
        let skip = |why: String| {
            println!("SKIPPED: {why}");
            None
        };
        understudy::media::init();
        let models = match ModelSet::discover(&[shared.join("models")]) {
            Ok(m) if m.require().is_ok() => m,
            Ok(_) => return skip(format!("no networks in {}", shared.display())),
            Err(e) => return skip(e.to_string()),
        };
        let runtime = match Runtime::load(None, Device::Cpu) {
            Ok(r) => r,
            Err(e) => return skip(e.to_string()),
        };
        let clip = root.join("tests/samples/interview.mp4");
        Some(Kit { models, runtime, doubles: DoubleLibrary::shipped().expect("shipped doubles"), clip })
    })
    .as_ref()
}

fn run(kit: &Kit, out: &Path, faults: Faults, progress: &dyn Progress, cancel: &Cancel) -> Result<Plan> {
    let cast = Cast::default();
    let job = DisguiseJob {
        input: &kit.clip,
        output: out,
        preset: Preset::Lossless,
        encode: EncoderOverrides::default(),
        cast: &cast,
        recall: Recall::Standard,
        salvage: false,
        report: out.with_extension("report"),
        redacted: true,
        matte: None,
        limits: Limits::default(),
        models: &kit.models,
        runtime: &kit.runtime,
        doubles: &kit.doubles,
        threads: 2,
        force: false,
        seed: Some(1),
        faults,
        checkpoint: Checkpoint::default(),
    };
    disguise(&job, progress, cancel).map(|(plan, _)| plan)
}

/// Names left in a folder, without reports.
fn left(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|n| !n.ends_with("report"))
        .collect();
    names.sort();
    names
}

/// Largest normalised correlation between original and output over the inner faces of all frames.
fn worst_likeness(clip: &Path, film: &Path, plan: &Plan) -> f32 {
    let open = |p| VideoReader::open(p, &Limits::default(), DecodeOptions { threads: 1, salvage: false }).unwrap();
    let (mut a, mut b) = (open(clip), open(film));
    let mut worst = -1.0f32;
    while let (Some(x), Some(y)) = (a.next().unwrap(), b.next().unwrap()) {
        for t in &plan.tracks {
            for (_, s) in t.samples(x.index.0, x.index.0 + 1).unwrap() {
                let inner = s.rect.grown(-0.2, -0.2, -0.2, -0.2);
                let Some(r) = inner.to_pixels(x.frame.width, x.frame.height) else { continue };
                let detail = |f: &understudy::image::Frame| -> Vec<f32> {
                    let p = f.read_rgb(r);
                    let at = |x: usize, y: usize| p.pixel(x, y)[1];
                    let mut d = vec![];
                    for y in 1..r.height - 1 {
                        for x in 1..r.width - 1 {
                            let around = at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1);
                            d.push(at(x, y) - around / 4.0);
                        }
                    }
                    d
                };
                let (p, q) = (detail(&x.frame), detail(&y.frame));
                let dot: f32 = p.iter().zip(&q).map(|(a, b)| a * b).sum();
                let norm = |v: &[f32]| v.iter().map(|a| a * a).sum::<f32>().sqrt();
                worst = worst.max(dot / (norm(&p) * norm(&q)).max(1e-6));
            }
        }
    }
    worst
}

#[test]
fn the_measure_itself_finds_an_untreated_film() {
    let Some(kit) = kit() else { return };
    let dir = tempfile::tempdir().unwrap();
    let plan = run(kit, &dir.path().join("a.mkv"), Faults::default(), &Silent, &Cancel::default()).unwrap();
    assert!(!plan.tracks.is_empty());
    assert!(worst_likeness(&kit.clip, &kit.clip, &plan) > 0.95);
    let film = dir.path().join("a.mkv");
    let likeness = worst_likeness(&kit.clip, &film, &plan);
    assert!(likeness < 0.4, "a treated face still looks like the original: {likeness}");
}

#[test]
fn a_face_that_cannot_be_drawn_is_covered() {
    let Some(kit) = kit() else { return };
    let cases = [
        ("panic", Faults { render_panic_from: Some(10), ..Faults::default() }),
        ("error", Faults { render_error_from: Some(0), ..Faults::default() }),
        ("nan", Faults { nan_mesh_from: Some(5), ..Faults::default() }),
    ];
    for (name, faults) in cases {
        let dir = tempfile::tempdir().unwrap();
        let film = dir.path().join("a.mkv");
        let plan = run(kit, &film, faults, &Silent, &Cancel::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let likeness = worst_likeness(&kit.clip, &film, &plan);
        assert!(likeness < 0.4, "{name}: {likeness}");
    }
}

#[test]
fn a_stage_that_fails_leaves_no_film() {
    let Some(kit) = kit() else { return };
    let cases = [
        ("worker panic", Faults { worker_panic_at: Some(20), ..Faults::default() }),
        ("encoder", Faults { encoder_error_at: Some(20), ..Faults::default() }),
        ("decoder", Faults { decoder_error_at: Some(20), ..Faults::default() }),
    ];
    for (name, faults) in cases {
        let dir = tempfile::tempdir().unwrap();
        let e = run(kit, &dir.path().join("a.mkv"), faults, &Silent, &Cancel::default()).unwrap_err();
        assert!(!matches!(e, Error::Cancelled), "{name}: the cause is hidden");
        assert!(left(dir.path()).is_empty(), "{name} left {:?}", left(dir.path()));
    }
}

/// Stops the job after so many steps.
struct StopAt(AtomicU64, u64, Cancel);

impl Progress for StopAt {
    fn begin(&self, _stage: &str, _total: Option<u64>) {}
    fn step(&self, _done: u64) {
        if self.0.fetch_add(1, Ordering::SeqCst) == self.1 {
            self.2.cancel();
        }
    }
    fn end(&self) {}
    fn note(&self, _text: &str) {}
}

#[test]
fn stopping_at_any_stage_leaves_no_film() {
    let Some(kit) = kit() else { return };
    for at in [3, 150, 230, 420] {
        let dir = tempfile::tempdir().unwrap();
        let cancel = Cancel::default();
        let stop = StopAt(AtomicU64::new(0), at, cancel.clone());
        match run(kit, &dir.path().join("a.mkv"), Faults::default(), &stop, &cancel) {
            Err(Error::Interrupted) => assert!(left(dir.path()).is_empty(), "{:?}", left(dir.path())),
            Err(e) => panic!("stopped at {at}: {e}"),
            Ok(_) => panic!("stopping at step {at} was ignored"),
        }
    }
}
