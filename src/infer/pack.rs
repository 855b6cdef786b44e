//! Installing networks into the user's data folder.

use super::catalogue::{Catalogue, ModelEntry};
use super::models::{ATTACKERS, attackers_below, entry_of, known_files, read_verified};
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What [`add_pack`] did.
#[derive(Debug, Clone)]
pub struct AddedPack {
    /// Networks copied, with their new paths.
    pub added: Vec<(ModelEntry, PathBuf)>,
    /// Networks that were installed already.
    pub present: Vec<ModelEntry>,
}

/// Copies every known network in `from` (a file or folder) to `data_dir/models`, and every recogniser that a list named
/// `attackers.toml` there describes, after checking its hash. Each file appears whole or not at all.
///
/// # Errors
/// `Model` if nothing known is there or a file has the wrong contents; `Io` if a file cannot be read or written.
pub fn add_pack(from: &Path, data_dir: &Path) -> Result<AddedPack> {
    add_pack_of(&Catalogue::built_in()?, from, data_dir)
}

fn add_pack_of(catalogue: &Catalogue, from: &Path, data_dir: &Path) -> Result<AddedPack> {
    let files = verified(catalogue, from)?;
    let target = data_dir.join("models");
    std::fs::create_dir_all(&target).map_err(|e| Error::io("cannot create the folder for networks", &target, e))?;
    let mut done = AddedPack { added: Vec::new(), present: Vec::new() };
    for (entry, _, bytes) in files {
        let path = target.join(&entry.file);
        if path.is_file() && read_verified(&path, &entry).is_ok() {
            done.present.push(entry);
            continue;
        }
        write_whole(&target, &path, &bytes)?;
        done.added.push((entry, path));
    }
    // A list comes last: until then nobody asks for the files that it names.
    for list in attackers_below(from)? {
        let hash = Sha256::digest(list.text.as_bytes());
        let name: String = hash.iter().take(8).map(|b| format!("{b:02x}")).collect();
        let path = target.join(format!("{name}.{ATTACKERS}"));
        write_whole(&target, &path, list.text.as_bytes())?;
    }
    Ok(done)
}

/// Checks every known network in a file or folder and names those that are sound.
///
/// # Errors
/// As [`add_pack`].
pub fn verify_pack(from: &Path) -> Result<Vec<(ModelEntry, PathBuf)>> {
    let files = verified(&Catalogue::built_in()?, from)?;
    Ok(files.into_iter().map(|(entry, path, _)| (entry, path)).collect())
}

fn verified(catalogue: &Catalogue, from: &Path) -> Result<Vec<(ModelEntry, PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for path in known_files(catalogue, from)? {
        if let Some(entry) = entry_of(catalogue, &path) {
            let bytes = read_verified(&path, entry)?;
            files.push((entry.clone(), path, bytes));
        }
    }
    for (entry, path) in attackers_below(from)?.into_iter().flat_map(|l| l.models) {
        let bytes = read_verified(&path, &entry)?;
        files.push((entry, path, bytes));
    }
    if files.is_empty() {
        let names: Vec<&str> = catalogue.entries().iter().filter(|e| !e.built_in).map(|e| e.file.as_str()).collect();
        return Err(Error::Model(format!(
            "no known network found; known file names are {}. Looked in: {}",
            names.join(", "),
            from.display()
        )));
    }
    Ok(files)
}

fn write_whole(folder: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let part = folder.join(name);
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    };
    write().map_err(|e| {
        if let Err(gone) = std::fs::remove_file(&part) {
            tracing::debug!("cannot remove an unfinished copy: {gone}");
        }
        Error::io("cannot install a network", path, e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(contents: &[u8]) -> Catalogue {
        let hash: String = Sha256::digest(contents).iter().map(|b| format!("{b:02x}")).collect();
        let text = include_str!("../../models/manifest.toml")
            .replacen("bytes = 322906", &format!("bytes = {}", contents.len()), 1)
            .replacen("104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12", &hash, 1);
        Catalogue::parse(&text).unwrap()
    }

    #[test]
    fn a_sound_pack_is_copied_once() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(from.path().join("yunet_n_dynamic.onnx"), b"net").unwrap();
        let list = catalogue(b"net");
        let first = add_pack_of(&list, from.path(), to.path()).unwrap();
        assert_eq!(first.added.len(), 1);
        assert_eq!(std::fs::read(&first.added[0].1).unwrap(), b"net");
        assert_eq!(std::fs::read_dir(to.path().join("models")).unwrap().count(), 1, "no part file is left");
        let second = add_pack_of(&list, from.path(), to.path()).unwrap();
        assert!(second.added.is_empty() && second.present.len() == 1);
    }

    #[test]
    fn an_attacker_is_copied_with_its_list() {
        use crate::infer::catalogue::tests::attacker;
        use crate::infer::{ModelSet, Role};
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let hash: String = Sha256::digest(b"net").iter().map(|b| format!("{b:02x}")).collect();
        std::fs::write(from.path().join("attackers.toml"), attacker("theirs.onnx", 3, &hash)).unwrap();
        std::fs::write(from.path().join("theirs.onnx"), b"net").unwrap();
        for present in [0, 1] {
            assert_eq!(add_pack(from.path(), to.path()).unwrap().present.len(), present);
            let set = ModelSet::discover(&[to.path().join("models")]).unwrap();
            assert_eq!(set.witnesses().filter(|m| m.entry.role == Role::Attacker).count(), 1);
        }
    }

    #[test]
    fn an_altered_pack_is_refused_and_nothing_is_written() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(from.path().join("yunet_n_dynamic.onnx"), b"bad").unwrap();
        assert!(matches!(add_pack_of(&catalogue(b"net"), from.path(), to.path()), Err(Error::Model(_))));
        assert!(!to.path().join("models").exists());
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(add_pack(empty.path(), to.path()), Err(Error::Model(_))));
    }
}
