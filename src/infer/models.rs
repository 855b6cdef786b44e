//! Finding installed networks and checking that they are the ones they claim to be.

use super::built_in::BUILT_IN;
use super::catalogue::{Catalogue, ModelEntry, Role};
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Folders below a given one that are looked into.
const MAX_DEPTH: usize = 4;
/// Directory entries looked at before the search is refused: a mistyped `--models /` must not walk a disk.
const MAX_ENTRIES: usize = 20_000;

/// Where the bytes of a network are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// An installed file.
    File(PathBuf),
    /// Part of the program.
    Embedded(&'static [u8]),
}

/// A known network that was found, its hash checked.
#[derive(Debug, Clone)]
pub struct InstalledModel {
    /// What it is.
    pub entry: ModelEntry,
    /// Where it is.
    pub source: ModelSource,
}

impl InstalledModel {
    /// Reads the bytes and checks size and hash once more, so that what is run is what was checked.
    ///
    /// # Errors
    /// `Model` if the file has changed since, `Io` if it cannot be read.
    pub fn read(&self) -> Result<Vec<u8>> {
        match &self.source {
            ModelSource::File(path) => read_verified(path, &self.entry),
            ModelSource::Embedded(bytes) => {
                check(bytes, &self.entry, Path::new("(built in)"))?;
                Ok(bytes.to_vec())
            }
        }
    }
}

/// The networks at hand.
#[derive(Debug, Clone, Default)]
pub struct ModelSet {
    models: Vec<InstalledModel>,
    searched: Vec<PathBuf>,
}

/// `$XDG_DATA_HOME/understudy`, or `~/.local/share/understudy`; `None` if neither variable is set.
#[must_use]
pub fn data_dir() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|h| h.join(".local/share"))).map(|d| d.join("understudy"))
}

impl ModelSet {
    /// Folders to search, in order: those of the command line, those of `UNDERSTUDY_MODELS` (a list as in `PATH`),
    /// and `models` in the user's data folder.
    #[must_use]
    pub fn search_path(command_line: &[PathBuf]) -> Vec<PathBuf> {
        let mut dirs = command_line.to_vec();
        if let Some(list) = std::env::var_os("UNDERSTUDY_MODELS") {
            dirs.extend(std::env::split_paths(&list).filter(|p| !p.as_os_str().is_empty()));
        }
        dirs.extend(data_dir().map(|d| d.join("models")));
        dirs
    }

    /// Looks for known networks below `dirs`, and adds those that are part of the program; the first folder that has
    /// a file wins. Folders that do not exist are skipped. Files are matched by name, then size and SHA-256 must agree.
    ///
    /// # Errors
    /// `Model` if a file has a known name but other contents; `Io` if a folder or file cannot be read; `Limit` if
    /// there are too many files.
    pub fn discover(dirs: &[PathBuf]) -> Result<Self> {
        let catalogue = Catalogue::built_in()?;
        let mut set = Self::discover_in(&catalogue, dirs)?;
        for (name, bytes) in BUILT_IN {
            let entry = catalogue.entries().iter().find(|e| e.name == name);
            let entry = entry.ok_or_else(|| Error::Model(format!("the list of networks lacks `{name}`")))?;
            check(bytes, entry, Path::new("(built in)"))?;
            set.add_embedded(entry.clone(), bytes);
        }
        Ok(set)
    }

    /// Installed networks alone, by another list.
    ///
    /// # Errors
    /// As [`ModelSet::discover`].
    pub fn discover_in(catalogue: &Catalogue, dirs: &[PathBuf]) -> Result<Self> {
        let mut set = ModelSet { models: Vec::new(), searched: dirs.to_vec() };
        for dir in dirs {
            for path in known_files(catalogue, dir)? {
                let Some(entry) = entry_of(catalogue, &path) else { continue };
                if set.models.iter().any(|m| m.entry.file == entry.file) {
                    continue;
                }
                read_verified(&path, entry)?;
                set.models.push(InstalledModel { entry: entry.clone(), source: ModelSource::File(path) });
            }
        }
        set.sort();
        Ok(set)
    }

    /// Adds a network that is part of the program.
    pub fn add_embedded(&mut self, entry: ModelEntry, bytes: &'static [u8]) {
        self.models.push(InstalledModel { entry, source: ModelSource::Embedded(bytes) });
        self.sort();
    }

    fn sort(&mut self) {
        self.models.sort_by(|a, b| {
            (a.entry.role, -a.entry.strength, &a.entry.name).cmp(&(b.entry.role, -b.entry.strength, &b.entry.name))
        });
    }

    /// All networks found: by role, strongest first.
    #[must_use]
    pub fn all(&self) -> &[InstalledModel] {
        &self.models
    }

    /// The strongest network of a role.
    #[must_use]
    pub fn best(&self, role: Role) -> Option<&InstalledModel> {
        self.models.iter().find(|m| m.entry.role == role)
    }

    /// Whether the strongest network of a role is one that came with the program.
    #[must_use]
    pub fn is_built_in(&self, role: Role) -> bool {
        self.best(role).is_some_and(|m| m.entry.built_in)
    }

    /// The network of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&InstalledModel> {
        self.models.iter().find(|m| m.entry.name == name)
    }

    /// Roles for which nothing was found.
    #[must_use]
    pub fn missing(&self) -> Vec<Role> {
        Role::ALL.into_iter().filter(|r| self.best(*r).is_none()).collect()
    }

    /// Fails unless every role has a network.
    ///
    /// # Errors
    /// `Model`, saying what is missing, where it was looked for, and how to install it.
    pub fn require(&self) -> Result<()> {
        let missing = self.missing();
        if missing.is_empty() {
            return Ok(());
        }
        let catalogue = Catalogue::built_in()?;
        let mut text = String::from("networks are missing:");
        for role in missing {
            let files: Vec<&str> =
                catalogue.entries().iter().filter(|e| e.role == role && !e.built_in).map(|e| e.file.as_str()).collect();
            text.push_str(&format!("\n  {role}: any of {}", files.join(", ")));
        }
        text.push_str(
            "\nCopy the files from their sources (`understudy models list` names them), then run \
             `understudy models add FOLDER`, or give the folder with `--models FOLDER` or UNDERSTUDY_MODELS.",
        );
        let searched: Vec<String> = self.searched.iter().map(|d| d.display().to_string()).collect();
        text.push_str(&format!("\nsearched: {}", if searched.is_empty() { "-".into() } else { searched.join(", ") }));
        Err(Error::Model(text))
    }
}

/// The catalogue entry of a path, by its file name; networks that are part of the program are not installed.
pub(super) fn entry_of<'c>(catalogue: &'c Catalogue, path: &Path) -> Option<&'c ModelEntry> {
    path.file_name().and_then(|n| n.to_str()).and_then(|n| catalogue.by_file(n)).filter(|e| !e.built_in)
}

/// Paths below `dir` (or `dir` itself if a file) whose names are in the catalogue, sorted.
pub(super) fn known_files(catalogue: &Catalogue, dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![(dir.to_path_buf(), 0)];
    let mut seen = 0;
    while let Some((path, depth)) = open.pop() {
        let meta = match std::fs::metadata(&path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(Error::io("cannot look for networks", path, e)),
        };
        if meta.is_file() && entry_of(catalogue, &path).is_some() {
            found.push(path);
        } else if meta.is_dir() && depth <= MAX_DEPTH {
            let entries = std::fs::read_dir(&path).map_err(|e| Error::io("cannot look for networks", &path, e))?;
            for entry in entries {
                seen += 1;
                if seen > MAX_ENTRIES {
                    return Err(Error::Limit(format!(
                        "more than {MAX_ENTRIES} files where networks should be; give a narrower folder: {}",
                        dir.display()
                    )));
                }
                let entry = entry.map_err(|e| Error::io("cannot look for networks", &path, e))?;
                open.push((entry.path(), depth + 1));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Reads a file that must be exactly `entry`.
pub(super) fn read_verified(path: &Path, entry: &ModelEntry) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|e| Error::io("cannot read a network", path, e))?;
    let mut bytes = Vec::new();
    let limit = entry.bytes.saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(|e| Error::io("cannot read a network", path, e))?;
    check(&bytes, entry, path)?;
    Ok(bytes)
}

fn check(bytes: &[u8], entry: &ModelEntry, path: &Path) -> Result<()> {
    let found = hex(&Sha256::digest(bytes));
    if bytes.len() as u64 == entry.bytes && found == entry.sha256 {
        return Ok(());
    }
    let size = if bytes.len() as u64 > entry.bytes { "more".to_string() } else { bytes.len().to_string() };
    Err(Error::Model(format!(
        "{} is not the known network `{}`: expected {} bytes with SHA-256 {}, found {size} bytes with SHA-256 {found}. \
         The file is damaged or was altered: delete it and copy it again from {}. File: {}",
        entry.file,
        entry.name,
        entry.bytes,
        entry.sha256,
        entry.source,
        path.display()
    )))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(contents: &[u8]) -> Catalogue {
        let text = include_str!("../../models/manifest.toml")
            .replacen("bytes = 322906", &format!("bytes = {}", contents.len()), 1)
            .replacen(
                "104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12",
                &hex(&Sha256::digest(contents)),
                1,
            );
        Catalogue::parse(&text).unwrap()
    }

    #[test]
    fn a_known_file_is_found_below_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let sub = dir.path().join("a/b");
        std::fs::create_dir_all(&sub).unwrap();
        std::fs::write(sub.join("yunet_n_dynamic.onnx"), b"network").unwrap();
        std::fs::write(sub.join("unknown.onnx"), b"other").unwrap();
        let set = ModelSet::discover_in(&catalogue(b"network"), &[dir.path().to_path_buf()]).unwrap();
        assert_eq!(set.all().len(), 1);
        assert_eq!(set.best(Role::Detector).unwrap().read().unwrap(), b"network");
        assert_eq!(set.missing(), [Role::Landmarks, Role::Embedding]);
        let text = set.require().unwrap_err().to_string();
        assert!(text.contains("models add") && text.contains("facemesh_attn_w16.onnx"), "{text}");
        std::fs::write(sub.join("yunet_n_dynamic.onnx"), b"Network").unwrap();
        assert!(matches!(set.best(Role::Detector).unwrap().read(), Err(Error::Model(_))), "altered after discovery");
    }

    #[test]
    fn a_wrong_hash_names_file_and_hashes() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("yunet_n_dynamic.onnx"), b"tampered").unwrap();
        let list = catalogue(b"original");
        let error = ModelSet::discover_in(&list, &[dir.path().to_path_buf()]).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Model(_)));
        for part in ["yunet_n_dynamic.onnx", &hex(&Sha256::digest(b"tampered")), &hex(&Sha256::digest(b"original"))] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn missing_folders_are_skipped_and_the_first_wins() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for dir in [&a, &b] {
            std::fs::write(dir.path().join("yunet_n_dynamic.onnx"), b"x").unwrap();
        }
        let dirs = [PathBuf::from("/nonexistent/folder"), b.path().to_path_buf(), a.path().to_path_buf()];
        let set = ModelSet::discover_in(&catalogue(b"x"), &dirs).unwrap();
        assert_eq!(set.all()[0].source, ModelSource::File(b.path().join("yunet_n_dynamic.onnx")));
    }
}
