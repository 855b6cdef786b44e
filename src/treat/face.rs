//! One face in one frame: what is known of it, and what became of it.

use crate::plan::PlanSample;
use crate::swap::{FaceMotion, LightProbe};

/// Why a face was covered although a double was cast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CoverReason {
    /// No trusted mesh in this frame.
    NoMesh,
    /// Turned too far from what the double can show.
    Turned,
    /// Too few pixels to draw a face on.
    TooSmall,
    /// The head is cut by the edge of the picture.
    CutOff,
    /// The renderer refused or failed.
    RenderFailed,
    /// The double is not there.
    NoDouble,
    /// It may not be a face at all.
    Doubtful,
}

impl CoverReason {
    /// Key for findings.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            CoverReason::NoMesh => "swap.covered.no-mesh",
            CoverReason::Turned => "swap.covered.turned",
            CoverReason::TooSmall => "swap.covered.small",
            CoverReason::CutOff => "swap.covered.cut-off",
            CoverReason::RenderFailed => "swap.covered.render-failed",
            CoverReason::NoDouble => "swap.covered.no-double",
            CoverReason::Doubtful => "swap.covered.doubtful",
        }
    }

    /// What to tell the user.
    #[must_use]
    pub fn note(self) -> &'static str {
        match self {
            CoverReason::NoMesh => "the face could not be measured well enough for a double; the head was covered",
            CoverReason::Turned => "the head turns further than the double can follow; the head was covered",
            CoverReason::TooSmall => "the face is too small for a double; the head was covered",
            CoverReason::CutOff => "most of the face is outside the picture; the head was covered",
            CoverReason::RenderFailed => "the double could not be drawn; the head was covered",
            CoverReason::Doubtful => "this may not be a face; it was averaged away in case it is one",
            CoverReason::NoDouble => "no double was left for this person; the head was covered",
        }
    }
}

/// What became of a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// As filmed, by the cast.
    Kept,
    /// A double stands there.
    Swapped,
    /// Covered, as cast.
    Redacted,
    /// Covered, for want of a double.
    Covered(CoverReason),
    /// The veil has dissolved, by recorded consent.
    Revealed,
}

/// All that treatment may know of one face in one frame.
#[derive(Debug, Clone)]
pub struct FaceWork {
    /// Its track in the plan.
    pub track: u32,
    /// Where it is.
    pub sample: PlanSample,
    /// Median width of the track's boxes, pixels.
    pub typical_width: f32,
    /// Whether the evidence that this is a face is strong.
    pub confirmed: bool,
    /// Whether it looks at the camera, as far as is known; see [`PlanSample::is_frontal`].
    pub frontal: bool,
    /// Geometry of the double in this frame, if a mesh was trusted.
    pub motion: Option<FaceMotion>,
    /// Low-frequency light, if measured.
    pub light: Option<LightProbe>,
}
