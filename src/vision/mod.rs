//! Faces: found, followed through a shot, described by dense points, and told apart.
//!
//! ```text
//! frame ─► shots ─► detect ─► tracker ─► landmarks, embeddings ─► VisionEvent
//!                    (batch)   │  ▲
//!                              ▼  │ ring of recent frames
//!                          followed back
//! ```
//!
//! [`Analyser`] is the stage; the rest are its parts. Plain data in and out: no threads of its own but a rayon pool, no
//! files. Left and right are the subject's unless a name says `image`.
//!
//! ```no_run
//! use std::sync::Arc;
//! use understudy::image::RawFrame;
//! use understudy::infer::{Device, ModelSet, Runtime};
//! use understudy::vision::{Analyser, AnalyserOptions, Recall, VisionEvent, cluster_people};
//! # use std::collections::BTreeSet;
//! # fn main() -> understudy::Result<()> {
//! # let frames: Vec<Arc<RawFrame>> = Vec::new();
//! let runtime = Runtime::load(None, Device::Cpu)?;
//! let models = ModelSet::discover(&ModelSet::search_path(&[]))?;
//! let mut analyser = Analyser::new(&models, &runtime, Recall::Standard, AnalyserOptions::default())?;
//! let mut tracks = Vec::new();
//! let mut emit = |event: VisionEvent| {
//!     if let VisionEvent::TrackEnd { summary, .. } = event {
//!         tracks.push(summary);
//!     }
//!     Ok(())
//! };
//! for frame in frames {
//!     analyser.push(frame, &mut emit)?;
//! }
//! analyser.finish(&mut emit)?;
//! println!("{} people", cluster_people(&tracks, &BTreeSet::new()).iter().map(|p| p.1 + 1).max().unwrap_or(0));
//! # Ok(()) }
//! ```

mod analyser;
mod detect;
mod embed;
mod landmarks;
mod people;
mod picture;
mod pool;
mod portrait;
mod rfb;
mod shots;
mod topology;
mod track;
mod tracker;
mod types;
mod verifier;
mod yunet;

pub use analyser::{Analyser, AnalyserOptions};
pub use detect::{Detector, Look, suppress};
pub(crate) use embed::five_of_mesh;
pub use embed::{EmbeddingModel, FaceRecogniser, alignment, five_points};
pub use landmarks::{AttentionMesh, FaceCrop, LandmarkModel, find_landmarks};
pub use people::cluster_people;
pub use picture::{Picture, luma_grid};
pub use pool::Networks;
pub use portrait::{Embedder, read_picture};
pub use rfb::Rfb;
pub use shots::{Thumbnail, is_cut};
pub use topology::{LEFT_EYE, LIDS, LIPS, RIGHT_EYE};
pub use types::{
    Detection, Embedding, FaceSample, LANDMARKS, Landmarks, Provenance, Recall, TrackSummary, VisionEvent,
};
pub use verifier::{Verifier, VerifierModel};
pub use yunet::YuNet;
