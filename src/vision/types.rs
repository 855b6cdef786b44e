//! What is known about faces: plain data.

use crate::error::{Error, Result};
use crate::geom::{InFrame, Point, Rect};
use crate::units::FrameIndex;
use std::ops::Range;
use zeroize::Zeroize;

/// Points of one face: 468 of the mesh, then 5 per iris.
pub const LANDMARKS: usize = 478;

/// A face found in one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Box around the face, from the forehead to the chin.
    pub rect: Rect<InFrame>,
    /// 0..=1.
    pub score: f32,
    /// Image-left eye, image-right eye, nose tip, image-left and image-right mouth corner.
    pub points: [Point<InFrame>; 5],
    /// Whether `points` were measured; otherwise they are the mean face placed into the box.
    pub has_points: bool,
}

impl Detection {
    /// A detection from a box alone; the points are guessed.
    #[must_use]
    pub fn from_box(rect: Rect<InFrame>, score: f32) -> Self {
        let at = |u: f32, v: f32| Point::new(rect.x0 + u * rect.width(), rect.y0 + v * rect.height());
        let points = [at(0.31, 0.40), at(0.69, 0.40), at(0.5, 0.60), at(0.35, 0.80), at(0.65, 0.80)];
        Detection { rect, score, points, has_points: false }
    }

    /// Whether every number is finite, the box not empty and the score in 0..=1.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.rect.is_valid() && (0.0..=1.0).contains(&self.score) && self.points.iter().all(Point::is_finite)
    }
}

/// Dense points of one face.
#[derive(Debug, Clone, PartialEq)]
pub struct Landmarks {
    /// [`LANDMARKS`] points x, y (frame pixels), z (same unit, towards the camera negative): the 468 of MediaPipe's
    /// mesh with refined lids and lips, 468..473 the subject's right iris, 473..478 the left.
    pub points: Vec<[f32; 3]>,
    /// Probability that a face is there, 0..=1.
    pub presence: f32,
}

impl Landmarks {
    /// Point `i` in the picture.
    #[must_use]
    pub fn point(&self, i: usize) -> Point<InFrame> {
        self.points.get(i).map_or(Point::new(0.0, 0.0), |p| Point::new(p[0], p[1]))
    }

    /// Smallest upright box around the mesh.
    #[must_use]
    pub fn bounds(&self) -> Rect<InFrame> {
        self.points.iter().take(468).fold(Rect::new(f32::MAX, f32::MAX, f32::MIN, f32::MIN), |r, p| {
            Rect::new(r.x0.min(p[0]), r.y0.min(p[1]), r.x1.max(p[0]), r.y1.max(p[1]))
        })
    }

    /// Fails unless there are [`LANDMARKS`] finite points at believable places.
    ///
    /// # Errors
    /// `Model`.
    pub fn check(&self) -> Result<()> {
        let sane = |v: &f32| v.is_finite() && v.abs() < 1e6;
        if self.points.len() == LANDMARKS && self.points.iter().flatten().all(sane) && self.presence.is_finite() {
            Ok(())
        } else {
            Err(Error::Model("the landmark network gave impossible points".into()))
        }
    }
}

/// A vector that stands for a person's face. L2-normalised; wiped from memory when dropped.
#[derive(Clone, PartialEq)]
pub struct Embedding(pub Vec<f32>);

impl Embedding {
    /// Normalises a raw vector.
    ///
    /// # Errors
    /// `Model` if it is empty, zero or not finite.
    pub fn new(mut raw: Vec<f32>) -> Result<Self> {
        let norm = raw.iter().map(|v| v * v).sum::<f32>().sqrt();
        if !(norm.is_finite() && norm > 1e-9) {
            raw.zeroize();
            return Err(Error::Model("the embedding network gave an unusable vector".into()));
        }
        raw.iter_mut().for_each(|v| *v /= norm);
        Ok(Embedding(raw))
    }

    /// Cosine of the angle between two faces, −1..=1; 0 for vectors of different length.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> f32 {
        if self.0.len() != other.0.len() {
            return 0.0;
        }
        self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum()
    }
}

impl std::fmt::Debug for Embedding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Embedding({} values)", self.0.len())
    }
}

impl Drop for Embedding {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// How a face's place in a frame is known, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provenance {
    /// The detector found it.
    Detected,
    /// The detector did not; the landmark network saw a face there.
    Tracked,
    /// Between two frames in which it was seen.
    Interpolated,
    /// Before the first or after the last frame in which it was seen; covered because it may be there.
    Predicted,
}

/// One face in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceSample {
    /// The frame.
    pub frame: FrameIndex,
    /// Where the face is; grown by the doubt if it was not seen.
    pub rect: Rect<InFrame>,
    /// Detector's score, 0 if not detected in this frame.
    pub score: f32,
    /// How the place is known.
    pub provenance: Provenance,
    /// Dense points, if the face is large enough and seen.
    pub landmarks: Option<Landmarks>,
    /// How good the picture of the face is for recognition, 0..=1.
    pub quality: f32,
}

/// How hard to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recall {
    /// Every third frame; for previews.
    Draft,
    /// Every frame, more scales every fifth.
    Standard,
    /// Every frame, all scales, tiles, rotations, both detector families, low threshold.
    Max,
}

/// What the analyser says as soon as it is final.
#[derive(Debug, Clone)]
pub enum VisionEvent {
    /// Frames between two cuts. Shots come in order and leave no frame out.
    Shot {
        /// First frame, and the one after the last.
        range: Range<FrameIndex>,
    },
    /// The next samples of a track: contiguous frames, in order, at most 128 at a time.
    Samples {
        /// The track.
        track: u32,
        /// Its samples.
        samples: Vec<FaceSample>,
    },
    /// A track is complete.
    TrackEnd {
        /// The track.
        track: u32,
        /// What is known of it as a whole.
        summary: TrackSummary,
    },
}

/// A whole track in short.
#[derive(Debug, Clone)]
pub struct TrackSummary {
    /// The track.
    pub track: u32,
    /// First frame with a sample.
    pub first: FrameIndex,
    /// Last frame with a sample.
    pub last: FrameIndex,
    /// First frame in which the face was seen rather than predicted.
    pub first_seen: FrameIndex,
    /// Last frame in which it was seen.
    pub last_seen: FrameIndex,
    /// Up to 8 embeddings with the quality (0..=1) of their pictures, spread over the track, in frame order.
    pub embeddings: Vec<(f32, Embedding)>,
    /// Mean colour of the face, R'G'B' 0..=1, over the same pictures.
    pub tone: [f32; 3],
    /// Best detector score.
    pub max_score: f32,
    /// Mean detector score over the frames in which it was detected.
    pub mean_score: f32,
    /// Frames in which it was detected.
    pub detected_count: u32,
    /// The evidence that this is a face is strong.
    pub confirmed: bool,
    /// The detector was never sure of this face, and the verifier never saw one: it is none.
    pub disbelieved: bool,
    /// What the verifier said, a logit: the most of all times that it was asked. `None` if it never was, as where the detector is a
    /// strong one.
    pub belief: Option<f32>,
}

impl std::fmt::Display for Recall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Recall::Draft => "draft",
            Recall::Standard => "standard",
            Recall::Max => "max",
        })
    }
}
