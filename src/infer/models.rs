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
/// How the name of a list of attackers ends.
pub(super) const ATTACKERS: &str = "attackers.toml";
/// Longest such list, in bytes.
const MAX_LIST: u64 = 65_536;

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
            let known = known_files(catalogue, dir)?.into_iter();
            let known = known.filter_map(|path| Some((entry_of(catalogue, &path)?.clone(), path)));
            for (entry, path) in known.chain(attackers_below(dir)?.into_iter().flat_map(|l| l.models)) {
                if set.models.iter().any(|m| m.entry.file == entry.file || m.entry.name == entry.name) {
                    continue;
                }
                read_verified(&path, &entry)?;
                set.models.push(InstalledModel { entry, source: ModelSource::File(path) });
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

    /// Recognisers that attack a finished film besides the strongest: those that the user brings, and every other family of
    /// networks that is there.
    pub fn witnesses(&self) -> impl Iterator<Item = &InstalledModel> {
        let best = self.best(Role::Embedding).map(|m| m.entry.family());
        let other = move |m: &&InstalledModel| match m.entry.role {
            Role::Attacker => true,
            Role::Embedding => Some(m.entry.family()) != best,
            _ => false,
        };
        self.models.iter().filter(other)
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
    files_below(dir, &|path| entry_of(catalogue, path).is_some())
}

/// A list of recognisers that a user brings, and the files it names, which lie beside it.
pub(super) struct AttackerList {
    /// The list itself, as text.
    pub text: String,
    /// Entries and paths; not yet checked.
    pub models: Vec<(ModelEntry, PathBuf)>,
}

/// All lists below `dir` whose names end with `attackers.toml`.
///
/// # Errors
/// `Model` for a list that is malformed or names a file that is not there: an attack that was wished for must not be left out
/// in silence.
pub(super) fn attackers_below(dir: &Path) -> Result<Vec<AttackerList>> {
    let is_list = |path: &Path| path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.ends_with(ATTACKERS));
    let mut lists = Vec::new();
    for path in files_below(dir, &is_list)? {
        let within = |text: String| format!("{text}. List: {}", path.display());
        let mut text = String::new();
        let file = File::open(&path).map_err(|e| Error::io("cannot read a list of attackers", &path, e))?;
        let read = file.take(MAX_LIST + 1).read_to_string(&mut text);
        read.map_err(|e| Error::io("cannot read a list of attackers", &path, e))?;
        if text.len() as u64 > MAX_LIST {
            return Err(Error::Limit(within(format!("a list of attackers is longer than {MAX_LIST} bytes"))));
        }
        let list = Catalogue::attackers(&text).map_err(|e| Error::Model(within(e.to_string())))?;
        let beside = |e: &ModelEntry| (e.clone(), path.with_file_name(&e.file));
        let models: Vec<_> = list.entries().iter().map(beside).collect();
        if let Some((entry, _)) = models.iter().find(|(_, p)| !p.is_file()) {
            return Err(Error::Model(within(format!("{} of the attacker `{}` is not there", entry.file, entry.name))));
        }
        lists.push(AttackerList { text, models });
    }
    Ok(lists)
}

fn files_below(dir: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![(dir.to_path_buf(), 0)];
    let mut seen = 0;
    while let Some((path, depth)) = open.pop() {
        let meta = match std::fs::metadata(&path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(Error::io("cannot look for networks", path, e)),
        };
        if meta.is_file() && wanted(&path) {
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
    fn attackers_are_found_beside_their_list() {
        use crate::infer::catalogue::tests::attacker;
        let dir = tempfile::tempdir().unwrap();
        let sub = dir.path().join("theirs");
        std::fs::create_dir_all(&sub).unwrap();
        std::fs::write(sub.join("my.attackers.toml"), attacker("theirs.onnx", 3, &hex(&Sha256::digest(b"net"))))
            .unwrap();
        let dirs = [dir.path().to_path_buf()];
        let text = ModelSet::discover(&dirs).unwrap_err().to_string();
        assert!(text.contains("theirs.onnx") && text.contains("not there"), "{text}");
        std::fs::write(sub.join("theirs.onnx"), b"net").unwrap();
        let set = ModelSet::discover(&dirs).unwrap();
        let names = |set: &ModelSet| set.witnesses().map(|m| m.entry.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&set), ["theirs"]);
        assert_eq!(
            set.best(Role::Embedding).unwrap().entry.name,
            "understudy_embedding",
            "it attacks and does nothing else"
        );
        assert!(ModelSet::discover(&[]).unwrap().witnesses().next().is_none(), "the only one is no witness of its own");
        std::fs::write(sub.join("theirs.onnx"), b"not").unwrap();
        assert!(matches!(ModelSet::discover(&dirs), Err(Error::Model(_))), "altered");
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
