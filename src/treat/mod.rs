//! Applies a plan to frames. Sole maker of [`ClearedFrame`].
//!
//! **Invariant.** A [`ClearedFrame`] exists only if every face that the plan knows in that frame was decided on: kept by
//! the cast, swapped, or covered. What cannot be swapped is covered; what cannot be covered is an error, and an
//! error means no output.

mod cleared;
mod face;
mod faults;
mod frame;
mod log;
mod region;

pub use cleared::ClearedFrame;
pub use face::{CoverReason, FaceWork, Outcome};
pub use faults::Faults;
pub(crate) use frame::SMALLEST_SWAP_PX;
pub use frame::{FrameResult, Treater};
pub use log::TreatLog;
pub use region::RegionPlan;

#[cfg(test)]
mod tests;
