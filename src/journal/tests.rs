//! Checkpoints with networks that count how often they are asked.

use super::*;
use crate::geom::{InFrame, Point, Rect};
use crate::image::{ColorDesc, ColorModel, Frame, PixelLayout};
use crate::vault::Passphrase;
use crate::vision::{
    Detection, Detector, Embedding, EmbeddingModel, FaceCrop, LANDMARKS, LandmarkModel, Landmarks, Look, Networks,
    VerifierModel,
};
use std::sync::atomic::{AtomicU64, Ordering};

/// Networks whose answers depend on the frame, and a count of questions.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicU64>);

impl Counting {
    fn asked(&self, frame: &Frame) -> f32 {
        self.0.fetch_add(1, Ordering::SeqCst);
        frame.planes[0].samples.get(0)
    }
}

impl Detector for Counting {
    fn detect(&mut self, frame: &Frame, look: &Look) -> Result<Vec<Detection>> {
        let v = self.asked(frame);
        Ok(vec![Detection::from_box(Rect::new(v, 0.0, v + 10.0, 10.0), look.threshold)])
    }
}

impl LandmarkModel for Counting {
    fn landmarks(&mut self, frame: &Frame, crop: &FaceCrop) -> Result<Landmarks> {
        Ok(Landmarks { points: vec![[self.asked(frame), crop.side, 0.1]; LANDMARKS], presence: 0.9 })
    }
}

impl VerifierModel for Counting {
    fn verify(&mut self, frame: &Frame, place: &Rect<InFrame>) -> Result<f32> {
        Ok(self.asked(frame) - place.x1)
    }
}

impl EmbeddingModel for Counting {
    fn embed(&mut self, frame: &Frame, _: &[Point<InFrame>; 5]) -> Result<Embedding> {
        Embedding::new(vec![self.asked(frame), 1.0])
    }
}

struct Bench {
    dir: tempfile::TempDir,
    vault: Vault,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let passphrase = Passphrase::new(b"long enough".to_vec()).unwrap();
        let vault = Vault::create(&dir.path().join("v"), &passphrase).unwrap();
        Bench { dir, vault }
    }

    fn path(&self) -> PathBuf {
        path_beside(&self.dir.path().join("out.mp4"))
    }

    fn open(&self, work: u8) -> Result<Arc<Journal>> {
        Journal::open(&self.path(), &self.vault, &[work; 32])
    }

    /// Runs a job of two parts over so many frames, stopped before step `until` of the first part; answers, and
    /// questions that reached a network.
    fn run(&self, work: u8, frames: u8, until: u8) -> (Vec<String>, u64) {
        let journal = self.open(work).unwrap();
        let counting = Counting::default();
        let other = || Box::new(counting.clone());
        let mut n = journal.wrap(Networks {
            detector: other(),
            second: Some(other()),
            others: vec![],
            landmarks: Some(other()),
            embedding: Some(other()),
            verifier: Some(other()),
            closer: false,
        });
        let mut said = Vec::new();
        for part in 0..2 {
            journal.begin(part);
            for k in 0..frames.min(until) {
                let f = frame(k);
                if k % 3 != 2 {
                    let look = Look::at_whole(&f, 640, 0.5);
                    said.push(format!("{:?}", n.detector.detect(&f, &look).unwrap()));
                    said.push(format!("{:?}", n.second.as_mut().unwrap().detect(&f, &look).unwrap()));
                    let crop = FaceCrop { centre: Point::new(4.0, 4.0), side: 7.5, angle: 0.1 };
                    said.push(format!("{:?}", n.landmarks.as_mut().unwrap().landmarks(&f, &crop).unwrap()));
                    let embedding = n.embedding.as_mut().unwrap().embed(&f, &[Point::new(1.0, 2.0); 5]).unwrap();
                    said.push(format!("{:?}", embedding.0));
                    let place = Rect::new(1.0, 1.0, 5.5, 5.5);
                    said.push(format!("{:?}", n.verifier.as_mut().unwrap().verify(&f, &place).unwrap()));
                }
                journal.step();
            }
            if until < frames {
                break;
            }
        }
        (said, counting.0.load(Ordering::SeqCst))
    }
}

fn frame(value: u8) -> Frame {
    let layout = PixelLayout { model: ColorModel::Gray, depth: 8, log2_chroma_w: 0, log2_chroma_h: 0 };
    let mut f = Frame::black(16, 8, layout, ColorDesc::default());
    f.planes[0].samples.set(0, f32::from(value), 255.0);
    f
}

#[test]
fn what_was_asked_is_not_asked_again() {
    let bench = Bench::new();
    let (all, asked) = Bench::new().run(1, 12, 12);
    assert_eq!(asked, 2 * 8 * 5);
    let (some, first) = bench.run(1, 12, 7);
    assert_eq!((some.len(), first), (25, 25));
    let (again, second) = bench.run(1, 12, 12);
    assert_eq!(again, all);
    assert_eq!(second, asked - first, "a question was asked twice");
    assert_eq!(bench.run(1, 12, 12), (all, 0));
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(bench.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_torn_or_altered_end_is_dropped() {
    let bench = Bench::new();
    let (all, asked) = bench.run(1, 9, 9);
    let whole = std::fs::read(bench.path()).unwrap();
    let mut last = 0;
    for cut in (0..whole.len()).step_by(977).chain([whole.len() - 1]) {
        std::fs::write(bench.path(), &whole[..cut]).unwrap();
        let (again, second) = bench.run(1, 9, 9);
        assert_eq!(again, all, "cut at {cut}");
        assert!(second <= asked && second >= 5, "{second} of {asked} asked after a cut at {cut}");
        last = second;
        // It has been completed.
        assert_eq!(bench.run(1, 9, 9).1, 0);
    }
    assert_eq!(last, 5, "only the torn record is asked again");
    for at in (0..whole.len()).step_by(607) {
        let mut bad = whole.clone();
        bad[at] ^= 4;
        std::fs::write(bench.path(), &bad).unwrap();
        let (again, second) = bench.run(1, 9, 9);
        assert!(again == all && second > 0, "altered at {at}");
    }
}

#[test]
fn other_work_and_other_vaults_begin_anew() {
    let bench = Bench::new();
    let (_, asked) = bench.run(1, 6, 6);
    assert_eq!(bench.run(2, 6, 6).1, asked);
    assert_eq!(bench.run(2, 6, 6).1, 0);
    assert_eq!(bench.run(1, 6, 6).1, asked, "it had been replaced");
    let other = Bench::new();
    std::fs::copy(bench.path(), other.path()).unwrap();
    assert_eq!(other.run(1, 6, 6).1, asked);
    std::fs::write(bench.path(), b"something else").unwrap();
    assert_eq!(bench.run(1, 6, 6).1, asked);
}

#[test]
fn nothing_of_a_face_lies_open() {
    let bench = Bench::new();
    bench.run(1, 3, 3);
    let bytes = std::fs::read(bench.path()).unwrap();
    let number = 7.5f32.to_le_bytes();
    let points: Vec<u8> = [number, 0.1f32.to_le_bytes()].concat();
    assert!(!bytes.windows(points.len()).any(|w| w == points));
}

#[test]
fn two_runs_of_one_output_do_not_meet() {
    let bench = Bench::new();
    let first = bench.open(1).unwrap();
    let e = bench.open(1).unwrap_err();
    assert!(e.exit_code() == 2 && e.to_string().contains("another run"), "{e}");
    assert!(bench.open(2).is_err(), "the checkpoint of a running job was replaced");
    drop(first);
    bench.open(1).unwrap().remove();
    assert!(!bench.path().exists());
}
