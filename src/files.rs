//! Files that appear whole or not at all.

use crate::{Error, Result};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
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

/// Most names that are tried for a part file.
const MOST_TRIES: usize = 1000;

/// Makes a part file, readable by its owner only, and locks it for as long as it is open, so that others see that somebody
/// is at it. A file that is there already is never taken: somebody else made it, who may have left it open to others, or
/// made it a link.
fn open_part(part: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(part)?;
    // A file system without locks has no stale part files removed, see `sweep`; that is all.
    if let Err(e) = file.lock() {
        tracing::debug!("part files cannot be locked here: {e}");
    }
    Ok(file)
}

/// A new part file of `path`, and its name.
fn new_part(path: &Path) -> std::io::Result<(PathBuf, File)> {
    for _ in 0..MOST_TRIES {
        let part = part_path(path);
        match open_part(&part) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => return made.map(|file| (part, file)),
        }
    }
    Err(std::io::Error::other("all names of part files are taken; remove the hidden .part files in this folder"))
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
        let plain = entry.file_type().is_ok_and(|t| t.is_file()); // a pipe would never open
        if numbers && plain && gone() && File::open(entry.path()).is_ok_and(|f| f.try_lock().is_ok()) {
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
/// `Io`; nothing is left under either name, and what was written of it is overwritten.
pub fn write_private(path: &Path, fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    write(path, fill, |part| std::fs::rename(part, path))
}

/// As [`write_private`], but never in place of a file that is there.
///
/// # Errors
/// `Io`, also if there is one; nothing is changed then.
pub fn write_private_new(path: &Path, fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let place = |part: &Path| match std::fs::hard_link(part, path) {
        Ok(()) => {
            remove_quietly(part);
            Ok(())
        }
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Err(e),
        // A file system without links, as on memory sticks: the last moment is the best that can be had.
        Err(_) if path.symlink_metadata().is_err() => std::fs::rename(part, path),
        Err(e) => Err(e),
    };
    write(path, fill, place)
}

fn write(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    place: impl FnOnce(&Path) -> std::io::Result<()>,
) -> Result<()> {
    sweep(path);
    let io = |e| Error::io("cannot write", path, e);
    let (part, mut file) = new_part(path).map_err(io)?;
    let result = (|| {
        {
            let mut buffered = std::io::BufWriter::new(&mut file);
            fill(&mut buffered)?;
            buffered.flush()?;
        }
        file.sync_all()?;
        place(&part)
    })();
    result.map_err(|e| {
        // It may hold what a whole one would have to be shredded for.
        if let Err(e) = overwrite(&mut file) {
            tracing::debug!("an unfinished file was removed without being overwritten: {e}");
        }
        remove_quietly(&part);
        io(e)
    })?;
    sync_folder(path).map_err(io)
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

/// Makes names last. What some file systems and folders that cannot be listed refuse is no failure: the file is there.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    use std::io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match File::open(folder_of(path)).and_then(|f| f.sync_all()) {
        Err(e) if [InvalidInput, PermissionDenied, Unsupported].contains(&e.kind()) => {
            tracing::debug!("the folder cannot be made to last at once: {e}");
            Ok(())
        }
        result => result,
    }
}

/// First bytes of a file that are shown to who decides whether it is shredded.
const BEGINNING: u64 = 512;

/// Overwrites a file with noise and removes it, if `ours` knows it by its first bytes; whether it did. A link goes with
/// what it leads to.
///
/// # Errors
/// `Io`; what is left of the file may already be noise.
pub fn shred(path: &Path, ours: impl FnOnce(&[u8]) -> bool) -> Result<bool> {
    let io = |e| Error::io("cannot shred", path, e);
    let real = path.canonicalize().map_err(io)?;
    if !real.metadata().map_err(io)?.is_file() {
        return Ok(false);
    }
    // One opening for both, so that nothing else is overwritten than what was looked at.
    let mut file = OpenOptions::new().read(true).write(true).open(&real).map_err(io)?;
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(BEGINNING).read_to_end(&mut head).map_err(io)?;
    if !ours(&head) {
        return Ok(false);
    }
    overwrite(&mut file).map_err(io)?;
    std::fs::remove_file(&real).map_err(io)?;
    if path.is_symlink() {
        std::fs::remove_file(path).map_err(io)?;
    }
    Ok(true)
}

/// Fills a file with noise and empties it.
fn overwrite(file: &mut File) -> std::io::Result<()> {
    let mut left = file.metadata()?.len();
    file.seek(SeekFrom::Start(0))?;
    let mut noise = vec![0u8; 1 << 16];
    while left > 0 {
        getrandom::fill(&mut noise).map_err(|e| std::io::Error::other(e.to_string()))?;
        let n = left.min(noise.len() as u64) as usize;
        file.write_all(&noise[..n])?;
        left -= n as u64;
    }
    file.sync_all()?;
    file.set_len(0)?;
    file.sync_all()
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
    /// Holds the lock, and tells whether the file under the name is still this one.
    file: File,
}

impl PartFile {
    /// A part file for the final name `path`. The folder must exist and be writable.
    ///
    /// # Errors
    /// `Io` if the part file cannot be created there.
    pub fn create(path: &Path) -> Result<Self> {
        sweep(path);
        let (part, file) = new_part(path).map_err(|e| Error::io("cannot write into the output folder", path, e))?;
        Ok(PartFile { part, path: path.to_owned(), done: false, file })
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

    /// Whether the file under the name is the one that was made.
    fn is_same(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let number = |m: std::fs::Metadata| (m.dev(), m.ino());
        match (self.file.metadata(), self.part.symlink_metadata()) {
            (Ok(made), Ok(there)) => number(made) == number(there),
            _ => false,
        }
    }

    /// Gives the file its final name.
    ///
    /// # Errors
    /// `Output` if another file was put in its place, which nobody has attacked; `Io`.
    pub fn publish(mut self) -> Result<()> {
        if self.is_there() && !self.is_same() {
            return Err(Error::Output(format!(
                "the unfinished film was replaced by another file; nothing was published. Use a folder that only you \
                 can write to: {}",
                self.path.display()
            )));
        }
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
    fn a_file_in_the_place_of_a_part_file_is_never_used() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let film = dir.path().join("film.mp4");
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        // The names that come next: one is a link, one is open to all, one would hang who opens it.
        let number: u64 = part_path(&film).to_string_lossy().rsplit(['-', '.']).nth(1).unwrap().parse().unwrap();
        let next = |k: u64| dir.path().join(format!(".film.mp4.{}-{}.part", std::process::id(), number + k));
        for k in 1..200 {
            match k % 2 {
                0 => symlink(&victim, next(k)).unwrap(),
                _ => {
                    std::fs::write(next(k), "").unwrap();
                    std::fs::set_permissions(next(k), std::fs::Permissions::from_mode(0o666)).unwrap();
                }
            }
        }
        let part = PartFile::create(&film).unwrap();
        let made = std::fs::symlink_metadata(part.part()).unwrap();
        assert!(made.is_file() && made.mode() & 0o777 == 0o600, "{made:?}");
        write_private(&film, |f| f.write_all(b"secret")).unwrap();
        assert_eq!(std::fs::metadata(&film).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn a_part_file_that_was_replaced_is_not_published() {
        let dir = tempfile::tempdir().unwrap();
        let film = dir.path().join("film.mp4");
        let part = PartFile::create(&film).unwrap();
        std::fs::write(dir.path().join("other"), "not attacked").unwrap();
        std::fs::rename(dir.path().join("other"), part.part()).unwrap();
        let e = part.publish().unwrap_err();
        assert!(e.exit_code() == 6 && e.to_string().contains("replaced"), "{e}");
        assert!(!film.exists());
    }

    #[test]
    fn a_new_file_takes_no_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v");
        write_private_new(&path, |f| f.write_all(b"first")).unwrap();
        assert!(write_private_new(&path, |f| f.write_all(b"second")).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_what_is_ours_is_shredded_and_links_go_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("a"), vec![b'x'; 70_000]).unwrap();
        std::fs::hard_link(at("a"), at("other")).unwrap();
        std::os::unix::fs::symlink(at("a"), at("link")).unwrap();
        assert!(!shred(&at("a"), |head| head.starts_with(b"y")).unwrap() && !shred(dir.path(), |_| true).unwrap());
        assert_eq!(std::fs::read(at("a")).unwrap(), vec![b'x'; 70_000]);
        assert!(shred(&at("link"), |head| head == &[b'x'; 512][..]).unwrap());
        assert!(!at("a").exists() && !at("link").is_symlink());
        assert!(std::fs::read(at("other")).unwrap().is_empty(), "the content stays under another name");
        assert!(shred(&at("a"), |_| true).is_err());
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan");
        let failed = write_private(&path, |_| Err(std::io::Error::other("disk full")));
        assert!(failed.is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_was_written_before_a_failure_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let (path, caught) = (dir.path().join("plan"), dir.path().join("caught"));
        let failed = write_private(&path, |f| {
            f.write_all(&[b'x'; 100_000])?;
            f.flush()?;
            let part = std::fs::read_dir(dir.path())?.flatten().find(|e| e.path() != path).map(|e| e.path());
            std::fs::hard_link(part.unwrap(), &caught)?;
            Err(std::io::Error::other("disk full"))
        });
        assert!(failed.is_err() && std::fs::read(&caught).unwrap().is_empty());
    }
}
