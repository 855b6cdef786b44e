//! That a film stays the same file from the first pass over it to the last.

use crate::{Error, Result};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A film as it was when a job began. Every pass opens it by its name; between two of them it could be replaced, and
/// what was learned of one film would be used on another.
pub(super) struct Watch<'p> {
    path: &'p Path,
    was: State,
}

/// Device, number, size, times of the last change of content and of anything.
#[derive(PartialEq, Eq)]
struct State([u64; 3], [i64; 4]);

impl<'p> Watch<'p> {
    /// Begins to watch.
    ///
    /// # Errors
    /// `Io` if the file cannot be found.
    pub fn begin(path: &'p Path) -> Result<Self> {
        let was = State::of(path).map_err(|e| Error::io("cannot read the input", path, e))?;
        Ok(Watch { path, was })
    }

    /// # Errors
    /// `Input` if the file was changed, replaced or removed.
    pub fn check(&self) -> Result<()> {
        if State::of(self.path).is_ok_and(|now| now == self.was) {
            return Ok(());
        }
        Err(Error::Input(format!(
            "the input was changed while it was in use, so nothing was published; let it rest and start again: {}",
            self.path.display()
        )))
    }
}

impl State {
    fn of(path: &Path) -> std::io::Result<Self> {
        let m = std::fs::metadata(path)?;
        Ok(State([m.dev(), m.ino(), m.len()], [m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("film");
        let wait = || std::thread::sleep(std::time::Duration::from_millis(20));
        type Change = fn(&Path);
        let changes: [(&str, Change); 4] = [
            ("written", |p| std::fs::write(p, b"other").unwrap()),
            ("longer", |p| std::fs::write(p, b"a film, longer").unwrap()),
            ("replaced", |p| {
                std::fs::write(p.with_extension("new"), b"a film").unwrap();
                std::fs::rename(p.with_extension("new"), p).unwrap();
            }),
            ("removed", |p| std::fs::remove_file(p).unwrap()),
        ];
        for (name, change) in changes {
            std::fs::write(&path, b"a film").unwrap();
            let watch = Watch::begin(&path).unwrap();
            wait();
            assert_eq!(std::fs::read(&path).unwrap(), b"a film");
            watch.check().unwrap();
            change(&path);
            let e = watch.check().expect_err(name);
            assert_eq!(e.exit_code(), 3, "{e}");
        }
        assert!(Watch::begin(&path).is_err());
    }
}
