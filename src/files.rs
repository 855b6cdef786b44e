//! Files that appear whole or not at all.

use crate::{Error, Result};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A new path of a part file for a final name: the same folder, hidden, ending in `.part`. No two are alike, so that a
/// film that waits to be published is never written over by the next attempt.
#[must_use]
pub fn part_path(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().map_or_else(|| "out".into(), |n| n.to_string_lossy().into_owned());
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}-{number}.part", std::process::id()))
}

/// Options that create a file readable by its owner only.
fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes a part file and locks it for as long as it is open, so that others see that somebody is at it.
fn open_part(part: &Path) -> std::io::Result<File> {
    let file = private_options().open(part)?;
    // A file system without locks has no stale part files removed, see `sweep`; that is all.
    if let Err(e) = file.lock() {
        tracing::debug!("part files cannot be locked here: {e}");
    }
    Ok(file)
}

/// Removes part files of `path` whose process is gone: what a kill left is unfinished and was never attacked.
fn sweep(path: &Path) {
    let Some(name) = path.file_name().map(|n| n.to_string_lossy().into_owned()) else { return };
    let Ok(entries) = std::fs::read_dir(folder_of(path)) else { return };
    for entry in entries.flatten() {
        let part = entry.file_name().to_string_lossy().into_owned();
        let middle = part.strip_prefix(&format!(".{name}.")).and_then(|p| p.strip_suffix(".part"));
        let Some((process, number)) = middle.and_then(|m| m.split_once('-')) else { continue };
        let numbers = process.parse::<u32>().is_ok() && number.parse::<u64>().is_ok();
        let gone = || !Path::new("/proc").join(process).exists() && Path::new("/proc/self").exists();
        if numbers && gone() && File::open(entry.path()).is_ok_and(|f| f.try_lock().is_ok()) {
            remove_quietly(&entry.path());
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a small private file (0600) through a part file, fsync and rename.
///
/// # Errors
/// `Io`; nothing is left under either name.
pub fn write_private(path: &Path, fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    sweep(path);
    let part = part_path(path);
    let result = (|| {
        let mut file = open_part(&part)?;
        {
            let mut buffered = std::io::BufWriter::new(&mut file);
            fill(&mut buffered)?;
            buffered.flush()?;
        }
        file.sync_all()?;
        std::fs::rename(&part, path)?;
        sync_folder(path)
    })();
    result.map_err(|e| {
        remove_quietly(&part);
        Error::io("cannot write", path, e)
    })
}

/// Publishes a finished part file: fsync, rename, fsync of the folder.
///
/// # Errors
/// `Io`; the part file is then still there.
pub fn publish(part: &Path, path: &Path) -> Result<()> {
    (|| {
        File::open(part)?.sync_all()?;
        std::fs::rename(part, path)?;
        sync_folder(path)
    })()
    .map_err(|e| Error::io("cannot finish the output", path, e))
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// Overwrites a file with noise and removes it.
///
/// # Errors
/// `Io`; what is left of the file may already be noise.
pub fn shred(path: &Path) -> Result<()> {
    let io = |e| Error::io("cannot shred", path, e);
    let mut file = OpenOptions::new().write(true).open(path).map_err(io)?;
    let mut left = file.metadata().map_err(io)?.len();
    let mut noise = vec![0u8; 1 << 16];
    while left > 0 {
        getrandom::fill(&mut noise).map_err(|e| Error::Output(format!("no random numbers: {e}")))?;
        let n = left.min(noise.len() as u64) as usize;
        file.write_all(&noise[..n]).map_err(io)?;
        left -= n as u64;
    }
    file.sync_all().map_err(io)?;
    file.set_len(0).map_err(io)?;
    file.sync_all().map_err(io)?;
    std::fs::remove_file(path).map_err(io)
}

/// Removes a file that may not be there.
pub fn remove_quietly(path: &Path) {
    if let Err(e) = std::fs::remove_file(path)
        && e.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!("cannot remove a temporary file: {e}");
    }
}

/// A part file that is removed unless it is published.
#[derive(Debug)]
pub struct PartFile {
    part: PathBuf,
    path: PathBuf,
    done: bool,
    _lock: File,
}

impl PartFile {
    /// A part file for the final name `path`. The folder must exist and be writable.
    ///
    /// # Errors
    /// `Io` if the part file cannot be created there.
    pub fn create(path: &Path) -> Result<Self> {
        sweep(path);
        let part = part_path(path);
        let lock = open_part(&part).map_err(|e| Error::io("cannot write into the output folder", path, e))?;
        Ok(PartFile { part, path: path.to_owned(), done: false, _lock: lock })
    }

    /// Where to write.
    #[must_use]
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// Whether it is still where it was made.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.part.exists()
    }

    /// What to say when it is not.
    #[must_use]
    pub fn gone(&self) -> Error {
        Error::Output(format!("the output folder was removed while the film was made: {}", self.path.display()))
    }

    /// Gives the file its final name.
    ///
    /// # Errors
    /// `Io`.
    pub fn publish(mut self) -> Result<()> {
        publish(&self.part, &self.path)?;
        self.done = true;
        Ok(())
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.done {
            remove_quietly(&self.part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unpublished_part_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("film.mp4");
        drop(PartFile::create(&path).unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let part = PartFile::create(&path).unwrap();
        std::fs::write(part.part(), b"x").unwrap();
        part.publish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn part_files_of_one_film_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let film = folder.path().join("film.mp4");
        let (a, b) = (PartFile::create(&film).unwrap(), PartFile::create(&film).unwrap());
        std::fs::write(a.part(), "a").unwrap();
        std::fs::write(b.part(), "b").unwrap();
        drop(b);
        a.publish().unwrap();
        assert_eq!(std::fs::read(&film).unwrap(), b"a");
    }

    #[test]
    fn what_a_kill_left_is_swept_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let film = at("film.mp4");
        // No process has this number (the most that Linux gives out is 4194304).
        let stale = at(".film.mp4.99999999-0.part");
        let others = [".film.mp4.1-0.part", ".film.mp4.99999999.part", ".other.mp4.99999999-0.part", "film.mp4.part"];
        others.iter().map(|o| at(o)).chain([stale.clone()]).for_each(|f| std::fs::write(f, "x").unwrap());
        let locked = at(".film.mp4.99999999-1.part");
        let held = open_part(&locked).unwrap();
        let alive = PartFile::create(&film).unwrap();
        let second = PartFile::create(&film).unwrap();
        assert!(!stale.exists() && locked.exists() && alive.part().exists() && second.part().exists());
        assert!(others.iter().all(|o| at(o).exists()));
        drop(held);
        write_private(&film, |f| f.write_all(b"y")).unwrap();
        assert!(!locked.exists());
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan");
        let failed = write_private(&path, |_| Err(std::io::Error::other("disk full")));
        assert!(failed.is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
