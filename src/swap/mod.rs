//! Draws a double in place of a face.
//!
//! ```text
//! landmarks ─► geometry ─► FaceMotion ─┐
//! frame ─► light ─► LightProbe (low) ──┼─► render ─► RenderedFace ─► composite ─► frame
//! models/doubles ─► Double ────────────┘
//! ```
//!
//! The renderer takes geometry, low-frequency light and a few scalars, and no frame: it cannot receive the subject's
//! texture. Pure transforms, no input or output besides doubles read from bytes or a folder.

mod composite;
pub mod double;
mod enrol;
mod filter;
pub mod geometry;
mod grain;
pub mod library;
mod light;
mod maps;
pub mod mesh;
mod portrait;
mod raster;
mod render;
mod texture;
mod warp;

pub use composite::{Touched, composite};
pub(crate) use double::parse_card_for_fuzzing;
pub use double::{Card, Double, DoubleKind};
pub use enrol::{Enrolled, enrol};
pub use geometry::{FaceMotion, Neutral, estimate_neutral, plan_motion};
pub use library::DoubleLibrary;
pub use library::load_folder;
pub use light::{LIGHT_GRID, LightProbe, LightSmoother, probe_light};
pub use mesh::{FacePoints, Mesh};
pub use portrait::{expression, portrait};
pub use render::{RenderedFace, render};
