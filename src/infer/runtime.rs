//! Loading the ONNX Runtime library and opening sessions on a device.

use super::models::{InstalledModel, data_dir};
use super::session::Net;
use crate::error::{Error, Result};
use ort::environment::Environment;
use ort::ep::ExecutionProvider;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Where networks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// The processor; one thread per session.
    Cpu,
    /// An NVIDIA GPU by the CUDA provider. Never replaced silently by the processor.
    Cuda,
}

/// The loaded ONNX Runtime. Cheap to clone; one per process.
#[derive(Debug, Clone)]
pub struct Runtime {
    environment: Environment,
    device: Device,
    library: PathBuf,
}

/// The process-wide environment (ONNX Runtime allows only one) and the library it came from.
static ENVIRONMENT: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// File names of the library, as installed by its own packages.
const NAMES: [&str; 3] = ["libonnxruntime.so", "libonnxruntime.dylib", "onnxruntime.dll"];

impl Runtime {
    /// Loads the library and prepares `device`.
    ///
    /// Searched in order: `dylib`, `ORT_DYLIB_PATH`, the executable's folder and its `lib`, `lib` in the user's data
    /// folder (see [`data_dir`]), the system's library folders. A second call in one process gives the library
    /// already loaded.
    ///
    /// # Errors
    /// `Model` if the library is missing or unusable, or `Cuda` is asked for and this library or machine lacks it.
    pub fn load(dylib: Option<&Path>, device: Device) -> Result<Self> {
        let mut slot = ENVIRONMENT
            .lock()
            .map_err(|e| Error::Model(format!("an earlier attempt to load ONNX Runtime crashed: {e}")))?;
        let (library, environment) = match slot.as_ref() {
            Some(loaded) => loaded.clone(),
            None => slot.insert(load_library(dylib)?).clone(),
        };
        let runtime = Runtime { environment, device, library };
        if device == Device::Cuda {
            let there = ort::ep::CUDA::is_available().unwrap_or(false);
            if !there {
                return Err(Error::Model(format!(
                    "CUDA was asked for, but this ONNX Runtime was built without it. Install the library of the \
                     onnxruntime-gpu package and name it with ORT_DYLIB_PATH, or use --device cpu. Library: {}",
                    runtime.library.display()
                )));
            }
        }
        Ok(runtime)
    }

    /// The device on which sessions run.
    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    /// The library in use.
    #[must_use]
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// The library's own build description.
    #[must_use]
    pub fn build_info(&self) -> String {
        ort::info().to_string()
    }

    /// Opens a session of a network. Its bytes are read and checked once more.
    ///
    /// # Errors
    /// `Model` if the network cannot be loaded or the device refuses it.
    pub fn open(&self, model: &InstalledModel) -> Result<Net> {
        Net::open(&self.environment, self.device, &model.entry.name, &model.read()?)
    }
}

impl Runtime {
    /// The library that [`Runtime::load`] would take if none is named, if there is one.
    #[must_use]
    pub fn library_path() -> Option<PathBuf> {
        std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from).or_else(installed)
    }
}

/// Names of the variable that switches off the telemetry of ONNX Runtime: since 1.29 its official Linux libraries keep an
/// identifier of the machine in the user's cache and send events to their maker, from the moment the environment is made,
/// so before any call could forbid it. The name changed between versions.
const NO_TELEMETRY: [&str; 2] = ["ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED"];

/// Switches off the telemetry of ONNX Runtime. To be called first in a program, while it has one thread;
/// [`Runtime::load`] calls it too.
#[expect(unsafe_code, reason = "there is no other way to reach the library before it begins")]
pub fn forbid_telemetry() {
    for name in NO_TELEMETRY {
        if std::env::var_os(name).is_none_or(|v| v != "1") {
            // SAFETY: the command calls this before it makes a thread. Elsewhere it is called once, under the lock of
            // `ENVIRONMENT` and that of the standard library; what is changed is read by ONNX Runtime alone.
            unsafe { std::env::set_var(name, "1") };
        }
    }
}

fn load_library(dylib: Option<&Path>) -> Result<(PathBuf, Environment)> {
    forbid_telemetry();
    let explicit = dylib.map(Path::to_path_buf).or_else(|| std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from));
    let library = match explicit {
        Some(path) if path.is_file() => path,
        Some(path) => return Err(missing(&format!("the named library does not exist: {}", path.display()))),
        None => installed().ok_or_else(|| missing("it is not installed where it is looked for"))?,
    };
    let why = |e: &dyn std::fmt::Display| missing(&format!("{e}; library: {}", library.display()));
    let builder = ort::init_from(&library).map_err(|e| why(&e))?;
    let environment = builder.with_name("understudy").with_telemetry(false).build().map_err(|e| why(&e))?;
    environment.set_log_level(ort::logging::LogLevel::Error);
    Ok((library, environment))
}

fn missing(why: &str) -> Error {
    Error::Model(format!(
        "cannot load ONNX Runtime (version 1.24 or later): {why}. Install it once: take libonnxruntime.so from the \
         `onnxruntime` package on PyPI or from its GitHub releases, and put it into {}, beside the program, or name \
         it with ORT_DYLIB_PATH",
        data_dir().map_or_else(|| "the data folder".to_string(), |d| d.join("lib").display().to_string())
    ))
}

fn installed() -> Option<PathBuf> {
    let mut dirs: Vec<PathBuf> = Vec::new();
    if let Some(beside) = std::env::current_exe().ok().and_then(|e| e.parent().map(Path::to_path_buf)) {
        dirs.push(beside.clone());
        dirs.push(beside.join("lib"));
    }
    dirs.extend(data_dir().map(|d| d.join("lib")));
    for system in
        ["/usr/local/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"]
    {
        dirs.push(PathBuf::from(system));
    }
    dirs.iter().find_map(|dir| library_in(dir))
}

/// The library in a folder: the plain name, or else the highest version suffix.
fn library_in(dir: &Path) -> Option<PathBuf> {
    if let Some(plain) = NAMES.iter().map(|n| dir.join(n)).find(|p| p.is_file()) {
        return Some(plain);
    }
    let version = |name: &str| -> Option<Vec<u32>> {
        name.strip_prefix("libonnxruntime.so.")?.split('.').map(|n| n.parse().ok()).collect()
    };
    let entries = std::fs::read_dir(dir).ok()?;
    entries
        .flatten()
        .filter_map(|e| Some((version(e.file_name().to_str()?)?, e.path())))
        .filter(|(_, path)| path.is_file())
        .max()
        .map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(library_in(dir.path()), None);
        for name in ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.31.1", "libonnxruntime.so.x", "other.so"] {
            std::fs::write(dir.path().join(name), b"").unwrap();
        }
        assert_eq!(library_in(dir.path()), Some(dir.path().join("libonnxruntime.so.1.31.1")));
        std::fs::write(dir.path().join("libonnxruntime.so"), b"").unwrap();
        assert_eq!(library_in(dir.path()), Some(dir.path().join("libonnxruntime.so")));
    }

    #[test]
    fn a_missing_library_says_how_to_get_it() {
        let error = load_library(Some(Path::new("/nonexistent/libonnxruntime.so"))).unwrap_err();
        assert!(matches!(&error, Error::Model(text) if text.contains("ORT_DYLIB_PATH")), "{error}");
    }
}
