//! Networks: which ones are known, where they lie, and how they are run. Alone names `ort`.
//!
//! ```no_run
//! use understudy::infer::{Device, ModelSet, Role, Runtime};
//! # fn main() -> understudy::Result<()> {
//! let runtime = Runtime::load(None, Device::Cpu)?;
//! let models = ModelSet::discover(&ModelSet::search_path(&[]))?;
//! models.require()?;
//! let net = runtime.open(models.best(Role::Detector).expect("required above"))?;
//! # Ok(()) }
//! ```

mod built_in;
mod catalogue;
mod models;
mod pack;
mod runtime;
mod session;

pub use built_in::BUILT_IN_EMBEDDING;
pub use catalogue::{Catalogue, Channels, ModelEntry, Recogniser, Role};
pub use models::{InstalledModel, ModelSet, ModelSource, data_dir};
pub use pack::{AddedPack, add_pack, verify_pack};
pub use runtime::{Device, Runtime, forbid_telemetry};
pub use session::{Net, Tensor};
