//! The plan on disk: a magic word, a version, then zstd-compressed CBOR. Readable by its owner only.

use super::{PLAN_VERSION, Plan};
use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// First bytes of a plan.
pub(crate) const MAGIC: &[u8; 8] = b"UNDRPLAN";
/// Magic word, version, hash.
const HEAD: usize = 8 + 2 + 32;

/// Bounds on what a plan may hold, so that a hostile file cannot exhaust memory.
#[derive(Debug, Clone, Copy)]
pub struct PlanLimits {
    /// Most bytes of the file after decompression.
    pub bytes: u64,
    /// Most tracks.
    pub tracks: usize,
    /// Most frames of the film.
    pub frames: u64,
    /// Most faces in one frame.
    pub faces: usize,
}

impl Default for PlanLimits {
    fn default() -> Self {
        PlanLimits { bytes: 2 << 30, tracks: 200_000, frames: 20_000_000, faces: 512 }
    }
}

/// Counts bytes.
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A plan as the bytes of its file; wiped when dropped.
///
/// # Errors
/// `Plan` if the data cannot be encoded.
pub fn encode_plan(plan: &Plan) -> Result<Zeroizing<Vec<u8>>> {
    let wrong = |e: &dyn std::fmt::Display| Error::Plan(format!("cannot encode the plan: {e}"));
    let mut length = Length(0);
    ciborium::into_writer(plan, &mut length).map_err(|e| wrong(&e))?;
    // Reserved in one piece: a vector that grows would leave copies behind.
    let mut body = Zeroizing::new(Vec::with_capacity(length.0));
    ciborium::into_writer(plan, &mut *body).map_err(|e| wrong(&e))?;
    let packed = zstd::bulk::compress(&body, 3).map_err(|e| Error::Plan(format!("cannot compress the plan: {e}")))?;
    let packed = Zeroizing::new(packed);
    let mut whole = Zeroizing::new(Vec::with_capacity(HEAD + packed.len()));
    whole.extend_from_slice(MAGIC);
    whole.extend_from_slice(&PLAN_VERSION.to_le_bytes());
    // So that an altered plan is refused and not obeyed.
    whole.extend_from_slice(&Sha256::digest(&*packed));
    whole.extend_from_slice(&packed);
    Ok(whole)
}

/// Writes a plan beside its final name and renames it there; owner-only (0600).
///
/// # Errors
/// `Io` if the folder cannot be written, `Plan` if the data cannot be encoded.
pub fn write_plan(path: &Path, plan: &Plan) -> Result<()> {
    let bytes = encode_plan(plan)?;
    crate::files::write_private(path, |file| file.write_all(&bytes))
}

/// Reads and checks a plan.
///
/// # Errors
/// `Plan` if it cannot be read, is no plan, of another version, damaged, or beyond `limits`.
pub fn read_plan(path: &Path, limits: PlanLimits) -> Result<Plan> {
    let io = |e| Error::Plan(format!("cannot read the plan ({e}): {}", path.display()));
    let file = std::fs::File::open(path).map_err(io)?;
    let mut whole = Zeroizing::new(Vec::new());
    file.take(limits.bytes.saturating_add(HEAD as u64 + 1)).read_to_end(&mut whole).map_err(io)?;
    decode_plan(&whole, path, limits)
}

/// Checks the bytes of a plan's file; `path` appears in errors.
///
/// # Errors
/// As [`read_plan`].
pub fn decode_plan(whole: &[u8], path: &Path, limits: PlanLimits) -> Result<Plan> {
    let Some((head, rest)) = whole.split_first_chunk::<10>().filter(|(head, _)| head.starts_with(MAGIC)) else {
        let path = path.display();
        return Err(Error::Plan(format!("not an understudy plan (make one with `understudy analyse`): {path}")));
    };
    let version = u16::from_le_bytes([head[8], head[9]]);
    if version != PLAN_VERSION {
        return Err(Error::Plan(format!(
            "plan version {version} cannot be read by this build (it reads {PLAN_VERSION}): run `understudy analyse` again"
        )));
    }
    let (hash, packed) = rest.split_first_chunk::<32>().ok_or_else(|| damaged("cut off"))?;
    if packed.len() as u64 > limits.bytes {
        return Err(too_much("bytes", packed.len() as u64, limits.bytes));
    }
    if Sha256::digest(packed)[..] != *hash {
        return Err(damaged("altered or cut off"));
    }
    let mut body = Zeroizing::new(Vec::new());
    let decoder = zstd::stream::Decoder::new(packed).map_err(|_e| damaged("compression"))?;
    decoder.take(limits.bytes + 1).read_to_end(&mut body).map_err(|_e| damaged("compression"))?;
    if body.len() as u64 > limits.bytes {
        return Err(too_much("bytes", body.len() as u64, limits.bytes));
    }
    parse_body(&body, limits)
}

fn damaged(what: &str) -> Error {
    Error::Plan(format!("the plan is damaged ({what}): run `understudy analyse` again"))
}

fn parse_body(body: &[u8], limits: PlanLimits) -> Result<Plan> {
    let plan: Plan = ciborium::from_reader(body).map_err(|_e| damaged("structure"))?;
    check_size(&plan, limits)?;
    check(&plan).map_err(damaged)?;
    Ok(plan)
}

/// Reads bytes as the body of a plan, and all that stands in it.
pub(crate) fn parse_for_fuzzing(body: &[u8]) {
    if let Ok(plan) = parse_body(body, PlanLimits::default()) {
        for track in &plan.tracks {
            std::hint::black_box(track.samples(track.first.0, track.end.0).is_ok());
        }
        let cast = super::Cast::default();
        std::hint::black_box(super::Casting::resolve(&plan, &cast, &[], &[]).is_ok());
    }
}

fn too_much(what: &str, have: u64, most: u64) -> Error {
    Error::Plan(format!("the plan has {have} {what}, more than the limit of {most}; cut the film into parts first"))
}

/// What a hostile plan could exhaust memory and time with.
fn check_size(plan: &Plan, limits: PlanLimits) -> Result<()> {
    let counts = [
        ("tracks", plan.tracks.len() as u64, limits.tracks as u64),
        ("people", plan.people.len() as u64, limits.tracks as u64),
        ("frames", plan.video.frames, limits.frames),
        ("cuts", plan.cuts.len() as u64, plan.video.frames),
        ("findings", plan.findings.len() as u64, limits.frames),
    ];
    if let Some((what, have, most)) = counts.into_iter().find(|(_, have, most)| have > most) {
        return Err(too_much(what, have, most));
    }
    // Faces at once: where one begins and where one ends, in order.
    let mut borders: Vec<(u64, i64)> = plan.tracks.iter().flat_map(|t| [(t.first.0, 1), (t.end.0, -1)]).collect();
    borders.sort_unstable();
    let mut faces = 0;
    for (_, change) in borders {
        faces += change;
        if faces > limits.faces as i64 {
            return Err(too_much("faces in one frame", faces.unsigned_abs(), limits.faces as u64));
        }
    }
    Ok(())
}

/// Internal consistency, so that later stages may rely on it.
fn check(plan: &Plan) -> std::result::Result<(), &'static str> {
    let (w, h) = (plan.video.width, plan.video.height);
    if w == 0 || h == 0 || w > 1 << 16 || h > 1 << 16 || !plan.video.fps.is_finite() || plan.video.fps <= 0.0 {
        return Err("impossible picture size or rate");
    }
    for t in &plan.tracks {
        if t.first >= t.end || t.end.0 > plan.video.frames {
            return Err("a track outside the film");
        }
        if plan.person(t.person).is_none() {
            return Err("a track without a person");
        }
        let mut next = t.first.0;
        for b in &t.blocks {
            if b.first != next || b.len == 0 {
                return Err("a track with holes");
            }
            next = b.first + u64::from(b.len);
        }
        if next != t.end.0 {
            return Err("a track of the wrong length");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geom::Rect;
    use crate::plan::*;
    use crate::units::{FrameIndex, TimeBase};

    pub(crate) fn small_plan() -> Plan {
        let sample =
            PlanSample { rect: Rect::new(1.0, 2.0, 30.0, 40.0), score: 0.9, origin: Origin::Detected, points: None };
        Plan {
            version: PLAN_VERSION,
            source_path: "film.mp4".into(),
            source: SourceFingerprint { bytes: 3, sha256: "00".into() },
            video: VideoSummary {
                width: 64,
                height: 48,
                frames: 10,
                fps: 25.0,
                time_base: TimeBase::new(1, 25).unwrap(),
                start: 0,
            },
            recall: "standard".into(),
            models: vec![],
            cuts: vec![],
            tracks: vec![PlanTrack {
                id: 1,
                person: 1,
                first: FrameIndex(2),
                end: FrameIndex(4),
                confirmed: true,
                max_score: 0.9,
                width_px: 29.0,
                blocks: vec![SampleBlock::pack(2, &[sample.clone(), sample]).unwrap()],
            }],
            people: vec![PlanPerson { id: 1, tracks: vec![1], embedding: vec![], tone: [0.5; 3], frames: 2 }],
            findings: vec![],
            salvaged: false,
        }
    }

    #[test]
    fn plans_come_back_and_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.plan");
        write_plan(&path, &small_plan()).unwrap();
        let back = read_plan(&path, PlanLimits::default()).unwrap();
        assert_eq!(back.tracks[0].samples(0, 100).unwrap().len(), 2);
        assert_eq!(back.tracks[0].samples(3, 4).unwrap()[0].0, 3);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn plans_past_the_limits_are_refused_in_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.plan");
        let mut plan = small_plan();
        for id in 2..4 {
            plan.tracks.push(PlanTrack { id, ..plan.tracks[0].clone() });
        }
        plan.cuts = vec![3];
        write_plan(&path, &plan).unwrap();
        let all = PlanLimits { bytes: 1 << 20, tracks: 3, frames: 10, faces: 3 };
        assert!(read_plan(&path, all).is_ok());
        for (limits, word) in [
            (PlanLimits { bytes: 100, ..all }, "bytes"),
            (PlanLimits { tracks: 2, ..all }, "3 tracks"),
            (PlanLimits { frames: 9, ..all }, "10 frames"),
            (PlanLimits { faces: 2, ..all }, "3 faces in one frame"),
        ] {
            let e = read_plan(&path, limits).expect_err(word);
            let said = e.to_string();
            assert!(said.contains(word) && said.contains("limit") && !said.contains('\n'), "{said}");
            assert_eq!(e.exit_code(), 4);
        }
        plan.cuts = vec![3; 11];
        write_plan(&path, &plan).unwrap();
        assert!(read_plan(&path, all).unwrap_err().to_string().contains("11 cuts"));
    }

    #[test]
    fn damaged_plans_are_refused_without_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.plan");
        write_plan(&path, &small_plan()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for i in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[i] ^= 0x55;
            std::fs::write(&path, &bad).unwrap();
            let e = read_plan(&path, PlanLimits::default()).expect_err("an altered plan was read");
            assert_eq!(e.exit_code(), 4, "{e}");
            std::fs::write(&path, &bytes[..i]).unwrap();
            assert!(read_plan(&path, PlanLimits::default()).is_err());
        }
        let mut wrong = small_plan();
        wrong.tracks[0].end = FrameIndex(99);
        write_plan(&path, &wrong).unwrap();
        assert!(read_plan(&path, PlanLimits::default()).is_err());
    }
}
