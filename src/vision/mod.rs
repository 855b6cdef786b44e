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

mod analyser;
mod detect;
mod embed;
mod landmarks;
mod people;
mod picture;
mod pool;
mod rfb;
mod shots;
mod topology;
mod track;
mod tracker;
mod types;
mod yunet;

pub use analyser::{Analyser, AnalyserOptions};
pub use detect::{Detector, Look, suppress};
pub use embed::{EmbeddingModel, MobileFaceNet, alignment, five_points};
pub use landmarks::{AttentionMesh, FaceCrop, LandmarkModel, find_landmarks};
pub use people::cluster_people;
pub use picture::{Picture, luma_grid};
pub use pool::Networks;
pub use rfb::Rfb;
pub use shots::{Thumbnail, is_cut};
pub use topology::{LEFT_EYE, LIDS, LIPS, RIGHT_EYE};
pub use types::{
    Detection, Embedding, FaceSample, LANDMARKS, Landmarks, Provenance, Recall, TrackSummary, VisionEvent,
};
pub use yunet::YuNet;
