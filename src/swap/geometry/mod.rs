//! From landmarks to the double's moving mesh: fit, smoothing, resting face, retargeting, choice of exemplars.

mod choose;
mod motion;
mod neutral;
mod push;
mod retarget;
mod similarity;
mod smooth;

pub use choose::{Mix, Region};
pub use motion::{FaceMotion, plan_motion};
pub(crate) use neutral::canonical;
pub use neutral::{Neutral, estimate_neutral};
pub(crate) use push::{STRONG, Span, USUAL};
pub use similarity::{Pose, Similarity};

#[cfg(test)]
pub(crate) use neutral::tests::{placed, points_of};
