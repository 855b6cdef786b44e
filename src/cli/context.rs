//! What every command about films needs: networks, runtime, signals, threads.

use super::args::{DeviceArg, Machine, PresetArg, RecallArg};
use super::progress::{Teller, err, out};
use crate::infer::{Device, ModelSet, Runtime};
use crate::media::Preset;
use crate::pipeline::Cancel;
use crate::sandbox::{self, Access};
use crate::swap::DoubleLibrary;
use crate::vision::Recall;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Networks, runtime, progress and the stop flag.
pub(super) struct Context {
    pub models: ModelSet,
    pub runtime: Runtime,
    pub teller: Teller,
    pub cancel: Cancel,
    pub threads: usize,
}

impl Context {
    /// Loads the runtime and finds the networks.
    pub fn new(machine: &Machine) -> Result<Self> {
        let threads = set_threads(machine)?;
        crate::media::init();
        let models = ModelSet::discover(&ModelSet::search_path(&machine.models))?;
        models.require()?;
        let runtime = Runtime::load(None, device(machine.device))?;
        Ok(Context { models, runtime, teller: Teller::new(machine.json), cancel: signals()?, threads })
    }
}

/// Takes the right to every file away that the networks, the runtime and `more` do not need. To be called before any
/// thread is made and any film opened.
pub(super) fn confine(machine: &Machine, more: impl FnOnce(&mut Access)) -> Result<()> {
    let mut access = Access::default();
    for dir in ModelSet::search_path(&machine.models) {
        access.read(&dir);
    }
    for library in Runtime::library_path().into_iter().flat_map(|p| [p.canonicalize().ok(), Some(p)]).flatten() {
        access.read(library.parent().unwrap_or(&library));
    }
    if machine.device == DeviceArg::Cuda {
        access.gpu();
    }
    more(&mut access);
    sandbox::confine(&access)?;
    let state = sandbox::state();
    if machine.json {
        out(&serde_json::json!({"event": "sandbox", "state": state.text()}).to_string());
    } else if state.is_weak() {
        err(&format!("note: sandbox: {}", state.text()));
    }
    Ok(())
}

/// The folder that a report goes to, made beforehand so that no right to its parent is needed.
pub(super) fn make_report_dir(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| Error::io("cannot make the folder for the report", dir, e))
}

/// Sets the size of the thread pool once; returns the number of threads for decoders and encoders.
pub(super) fn set_threads(machine: &Machine) -> Result<usize> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = machine.threads.unwrap_or(cores);
    if threads == 0 || threads > 1024 {
        return Err(Error::Usage("--threads must be in 1..=1024".into()));
    }
    if machine.threads.is_some() && rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().is_err() {
        tracing::debug!("the thread pool was set up already");
    }
    Ok(threads)
}

pub(super) fn device(arg: DeviceArg) -> Device {
    match arg {
        DeviceArg::Cpu => Device::Cpu,
        DeviceArg::Cuda => Device::Cuda,
    }
}

pub(super) fn preset(arg: PresetArg) -> Preset {
    match arg {
        PresetArg::Web => Preset::Web,
        PresetArg::Match => Preset::Match,
        PresetArg::Master => Preset::Master,
        PresetArg::Lossless => Preset::Lossless,
    }
}

pub(super) fn recall(arg: RecallArg) -> Recall {
    match arg {
        RecallArg::Draft => Recall::Draft,
        RecallArg::Standard => Recall::Standard,
        RecallArg::Max => Recall::Max,
    }
}

/// Shipped doubles and those of further folders.
pub(super) fn library(dirs: &[PathBuf]) -> Result<DoubleLibrary> {
    let mut library = DoubleLibrary::shipped()?;
    for dir in dirs {
        library.extend(DoubleLibrary::load_dir(dir)?);
    }
    Ok(library)
}

/// A flag that SIGINT and SIGTERM set; a second signal ends the process at once.
pub(super) fn signals() -> Result<Cancel> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let set = || -> std::io::Result<()> {
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag))?;
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
            Ok(())
        };
        set().map_err(|e| Error::io("cannot listen to signals", "-", e))?;
    }
    Ok(Cancel::new(flag))
}

/// Where the report of a film goes unless told otherwise: `OUT.report` beside it.
pub(super) fn report_dir(output: &Path, wanted: Option<&PathBuf>) -> PathBuf {
    wanted.cloned().unwrap_or_else(|| {
        let mut name = output.file_name().map(std::ffi::OsStr::to_os_string).unwrap_or_default();
        name.push(".report");
        output.with_file_name(name)
    })
}
