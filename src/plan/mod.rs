//! What was found in a film, and what is to be done about it: pure data.
//!
//! [`Plan`] is written by `analyse` and obeyed by `render`; [`Cast`] is the hand-edited text that says who becomes
//! whom; [`Casting`] is the two resolved against each other. Nothing here touches pixels.

mod cast;
mod casting;
mod disclaimer;
mod file;
mod landmark_block;
mod looks;
mod timecode;

pub use cast::{Cast, Effect, Extent, FaceChoice, Follow, PersonCast, Region, Reveal, VoiceChoice};
pub(crate) use casting::lightness;
pub use casting::{Casting, DEFAULT_HALO, DoubleChoice, FaceTreatment, Likeness, RedactStyle, TrackTreatment};
pub use disclaimer::{Disclaimer, USUAL_DISCLAIMER};
pub(crate) use file::MAGIC;
pub(crate) use file::parse_for_fuzzing;
pub use file::{PlanLimits, decode_plan, encode_plan, read_plan, write_plan};
pub use landmark_block::{SampleBlock, SampleData};
pub use timecode::parse_timecode;

use crate::geom::{InFrame, Rect};
use crate::units::{FrameIndex, TimeBase};
use serde::{Deserialize, Serialize};

/// Version of the plan file that this build writes and reads.
pub const PLAN_VERSION: u16 = 1;

/// Identifies the analysed file without storing its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFingerprint {
    /// Size of the file in bytes.
    pub bytes: u64,
    /// SHA-256 over the size and the first, middle and last MiB.
    pub sha256: String,
}

/// The video stream as it was analysed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VideoSummary {
    /// Upright width in pixels.
    pub width: usize,
    /// Upright height in pixels.
    pub height: usize,
    /// Frames decoded.
    pub frames: u64,
    /// Nominal frames per second.
    pub fps: f64,
    /// The stream's time base.
    pub time_base: TimeBase,
    /// Presentation time of the first frame, in ticks.
    pub start: i64,
}

/// How a sample of a track came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A detector saw the face in this frame.
    Detected,
    /// Found again near its last place.
    Tracked,
    /// Between two frames in which it was seen.
    Interpolated,
    /// Before the first or after the last sight of it.
    Predicted,
    /// Set by a person.
    Manual,
}

/// One face in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanSample {
    /// Where the face is, in pixels of the upright frame.
    pub rect: Rect<InFrame>,
    /// Detector score, 0..=1.
    pub score: f32,
    /// How it was found.
    pub origin: Origin,
    /// 478 points x, y, z in pixels, if the mesh was trusted.
    pub points: Option<Vec<[f32; 3]>>,
}

/// One face through consecutive frames of one shot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanTrack {
    /// Number, unique in the plan; casts refer to it.
    pub id: u32,
    /// The person it belongs to.
    pub person: u32,
    /// First frame.
    pub first: FrameIndex,
    /// One past the last frame.
    pub end: FrameIndex,
    /// Whether the evidence that this is a face is strong.
    pub confirmed: bool,
    /// Highest detector score.
    pub max_score: f32,
    /// Median face width in pixels.
    pub width_px: f32,
    /// Samples of consecutive frames, in blocks.
    pub blocks: Vec<SampleBlock>,
}

impl PlanTrack {
    /// Number of frames.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.end.0.saturating_sub(self.first.0)
    }

    /// Whether the track has no frame.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Decodes the samples of frames `from..to` (clipped to the track), in frame order.
    ///
    /// # Errors
    /// `Plan` if a block is damaged.
    pub fn samples(&self, from: u64, to: u64) -> crate::Result<Vec<(u64, PlanSample)>> {
        let mut out = Vec::new();
        for block in &self.blocks {
            if block.first + u64::from(block.len) <= from || block.first >= to {
                continue;
            }
            for (i, sample) in block.unpack()?.into_iter().enumerate() {
                let frame = block.first + i as u64;
                if (from..to).contains(&frame) {
                    out.push((frame, sample));
                }
            }
        }
        Ok(out)
    }
}

/// Tracks that show one person, across shots.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanPerson {
    /// Number, unique in the plan.
    pub id: u32,
    /// Its tracks.
    pub tracks: Vec<u32>,
    /// Mean embedding per recogniser name, L2-normalised; empty if no good face was seen. Biometric.
    pub embedding: Vec<f32>,
    /// Mean colour of the face, R'G'B' 0..=1; chooses a double of like skin.
    pub tone: [f32; 3],
    /// Frames in which the person is seen.
    pub frames: u64,
}

/// A doubt that did not stop the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Kind of doubt, for machines: `track.weak`, `swap.covered` …
    pub kind: String,
    /// First frame concerned, if any.
    pub frame: Option<u64>,
    /// Track concerned, if any.
    pub track: Option<u32>,
    /// How many frames are concerned.
    pub count: u64,
    /// What it means and what to do, in one sentence.
    pub note: String,
}

/// A network that took part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelUsed {
    /// Its name in the manifest.
    pub name: String,
    /// SHA-256 of its file.
    pub sha256: String,
    /// What it did: `detector`, `landmarks`, `embedding`.
    pub role: String,
}

/// Everything `analyse` found. Holds biometrics: written readable by its owner only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// Format version, [`PLAN_VERSION`].
    pub version: u16,
    /// Path of the source as given; `render` needs it, reports never show it.
    pub source_path: String,
    /// What the source was.
    pub source: SourceFingerprint,
    /// The video stream.
    pub video: VideoSummary,
    /// Recall mode of the analysis.
    pub recall: String,
    /// Networks used.
    pub models: Vec<ModelUsed>,
    /// First frames of the shots after the first.
    pub cuts: Vec<u64>,
    /// All faces.
    pub tracks: Vec<PlanTrack>,
    /// Who they are to each other.
    pub people: Vec<PlanPerson>,
    /// Doubts.
    pub findings: Vec<Finding>,
    /// Whether the source was read with damage skipped (`--salvage`).
    pub salvaged: bool,
}

impl PlanSample {
    /// The mesh, if it lies where the detector saw the face. On heads seen from behind, far in profile or half out of
    /// the picture the landmark network draws a face where none is: over 46 films, tracks on which it does so have a
    /// median overlap of 0.42 to 0.6 with the box, or are a third of its width off; good ones are above 0.7.
    #[must_use]
    pub fn trusted_points(&self) -> Option<&Vec<[f32; 3]>> {
        const LEAST_OVERLAP: f32 = 0.5;
        const MOST_ASIDE: f32 = 0.22;
        let points = self.points.as_ref()?;
        let fold = |k: usize, f: fn(f32, f32) -> f32| points.iter().take(468).map(|p| p[k]).reduce(f);
        let (x0, x1) = (fold(0, f32::min)?, fold(0, f32::max)?);
        let mesh = Rect::<InFrame>::new(x0, fold(1, f32::min)?, x1, fold(1, f32::max)?);
        let aside = (mesh.centre().x - self.rect.centre().x).abs() / self.rect.width().max(1e-3);
        (mesh.iou(&self.rect) >= LEAST_OVERLAP && aside <= MOST_ASIDE).then_some(points)
    }

    /// Whether a trusted mesh looks at the camera: the tip of the nose lies between the eyes, as far as some 35° of yaw.
    #[must_use]
    pub fn is_frontal(&self) -> bool {
        const NOSE: usize = 1;
        const EYES: [usize; 2] = [33, 263];
        const MOST_OFF: f32 = 0.4;
        let Some(points) = self.trusted_points() else { return false };
        let [Some(nose), Some(a), Some(b)] = [NOSE, EYES[0], EYES[1]].map(|i| points.get(i)) else { return false };
        let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
        let along = (nose[0] - (a[0] + b[0]) / 2.0) * dx + (nose[1] - (a[1] + b[1]) / 2.0) * dy;
        (along / (dx * dx + dy * dy)).abs() <= MOST_OFF
    }
}

impl Plan {
    /// The track with this number.
    #[must_use]
    pub fn track(&self, id: u32) -> Option<&PlanTrack> {
        self.tracks.iter().find(|t| t.id == id)
    }

    /// Adds places that the analysis did not know, as weak tracks of `person` (of a new one if `None`): they are
    /// averaged away. `places` must rise by frame; a hole begins another track. Returns the numbers of the tracks.
    ///
    /// # Errors
    /// `Limit` if the numbers run out.
    pub fn add_places(&mut self, person: Option<u32>, places: &[(u64, Rect<InFrame>)]) -> crate::Result<Vec<u32>> {
        const BLOCK: usize = 128;
        let full = || crate::Error::Limit("too many tracks".into());
        let after = |most: Option<u32>| most.map_or(Some(0), |m| m.checked_add(1)).ok_or_else(full);
        let known = person.filter(|p| self.person(*p).is_some());
        let person = match known {
            Some(p) => p,
            None => {
                let id = after(self.people.iter().map(|p| p.id).max())?;
                let (embedding, tone) = (vec![], [0.5; 3]);
                self.people.push(PlanPerson { id, tracks: vec![], embedding, tone, frames: 0 });
                id
            }
        };
        let mut added = Vec::new();
        for run in places.chunk_by(|a, b| a.0 + 1 == b.0) {
            let (Some(first), id) = (run.first().map(|p| p.0), after(self.tracks.iter().map(|t| t.id).max())?) else {
                continue;
            };
            let mut widths: Vec<f32> = run.iter().map(|p| p.1.width()).collect();
            widths.sort_by(f32::total_cmp);
            let samples: Vec<PlanSample> = run
                .iter()
                .map(|(_, rect)| PlanSample { rect: *rect, score: 0.0, origin: Origin::Tracked, points: None })
                .collect();
            let starts = (first..).step_by(BLOCK);
            self.tracks.push(PlanTrack {
                id,
                person,
                first: FrameIndex(first),
                end: FrameIndex(first + run.len() as u64),
                confirmed: false,
                max_score: 0.0,
                width_px: widths.get(widths.len() / 2).copied().unwrap_or(0.0),
                blocks: starts
                    .zip(samples.chunks(BLOCK))
                    .map(|(at, s)| SampleBlock::pack(at, s))
                    .collect::<crate::Result<_>>()?,
            });
            self.findings.push(Finding {
                kind: "track.second".into(),
                frame: Some(first),
                track: Some(id),
                count: run.len() as u64,
                note: "only the attacker's own search found this; it was averaged away in case it is a face".into(),
            });
            added.push(id);
        }
        if let Some(p) = self.people.iter_mut().find(|p| p.id == person) {
            p.tracks.extend(&added);
            p.frames += places.len() as u64;
        }
        Ok(added)
    }

    /// The person with this number.
    #[must_use]
    pub fn person(&self, id: u32) -> Option<&PlanPerson> {
        self.people.iter().find(|p| p.id == id)
    }
}

/// Fingerprint of a file: its size and SHA-256 over size, first, middle and last MiB.
///
/// # Errors
/// `Io` if the file cannot be read.
pub fn fingerprint(path: &std::path::Path) -> crate::Result<SourceFingerprint> {
    use sha2::Digest;
    use std::io::{Read, Seek, SeekFrom};
    let io = |e| crate::Error::io("cannot read the input", path, e);
    let mut file = std::fs::File::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    let mut hash = sha2::Sha256::new();
    hash.update(bytes.to_le_bytes());
    const PIECE: u64 = 1 << 20;
    let mut piece = Vec::with_capacity(PIECE as usize);
    for at in [0, (bytes / 2).saturating_sub(PIECE / 2), bytes.saturating_sub(PIECE)] {
        file.seek(SeekFrom::Start(at)).map_err(io)?;
        piece.clear();
        Read::by_ref(&mut file).take(PIECE).read_to_end(&mut piece).map_err(io)?;
        hash.update(&piece);
    }
    Ok(SourceFingerprint { bytes, sha256: hex(&hash.finalize()) })
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut s, b| {
        if write!(s, "{b:02x}").is_err() {
            s.clear();
        }
        s
    })
}
