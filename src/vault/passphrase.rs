//! The passphrase of a vault: from a file or the environment, never from the command line.

use crate::{Error, Result};
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// Name of the variable that a passphrase is read from.
const VARIABLE: &str = "UNDERSTUDY_PASSPHRASE";
/// Longest passphrase in bytes.
const LONGEST: usize = 4096;
/// Least bytes for a new vault.
const LEAST: usize = 8;

/// A passphrase; wiped from memory when dropped.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// A passphrase given by the calling program.
    ///
    /// # Errors
    /// `Usage` if it is empty or longer than 4096 bytes.
    pub fn new(bytes: Vec<u8>) -> Result<Self> {
        let bytes = Zeroizing::new(bytes);
        if bytes.is_empty() {
            return Err(Error::Usage("the passphrase is empty".into()));
        }
        if bytes.len() > LONGEST {
            return Err(Error::Usage(format!("the passphrase is longer than {LONGEST} bytes")));
        }
        Ok(Passphrase(bytes))
    }

    /// The first line of `file`, or else the variable `UNDERSTUDY_PASSPHRASE`.
    ///
    /// # Errors
    /// `Usage` if there is neither, it is empty, or others may read the file.
    pub fn find(file: Option<&Path>) -> Result<Self> {
        match file {
            Some(path) => Self::from_file(path),
            None => match std::env::var_os(VARIABLE) {
                Some(text) => Self::new(std::os::unix::ffi::OsStringExt::into_vec(text)),
                None => Err(Error::Usage(format!(
                    "the vault needs a passphrase: name a file with --passphrase-file, or set {VARIABLE}"
                ))),
            },
        }
    }

    fn from_file(path: &Path) -> Result<Self> {
        let io = |e| Error::Usage(format!("cannot read the passphrase ({e}): {}", path.display()));
        let file = std::fs::File::open(path).map_err(io)?;
        let meta = file.metadata().map_err(io)?;
        let others = std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o077;
        if meta.is_file() && others != 0 {
            return Err(Error::Usage(format!(
                "others may read the passphrase; `chmod 600` it first: {}",
                path.display()
            )));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 2));
        file.take(LONGEST as u64 + 2).read_to_end(&mut bytes).map_err(io)?;
        let end = bytes.iter().position(|b| *b == b'\n' || *b == b'\r').unwrap_or(bytes.len());
        Self::new(bytes[..end].to_vec())
    }

    /// Refuses what is guessed at once.
    ///
    /// # Errors
    /// `Usage`.
    pub(super) fn check_new(&self) -> Result<()> {
        if self.0.len() < LEAST {
            return Err(Error::Usage(format!(
                "a passphrase of fewer than {LEAST} bytes is guessed at once; take several words"
            )));
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_first_line_of_a_private_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pass");
        let write = |text: &[u8], mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Passphrase::find(Some(&path))
        };
        for text in ["two words\n", "two words", "two words\r\nmore"] {
            assert_eq!(write(text.as_bytes(), 0o600).unwrap().bytes(), b"two words");
        }
        for (text, mode, word) in [
            (&b""[..], 0o600, "empty"),
            (b"\n", 0o600, "empty"),
            (b"two words", 0o640, "chmod"),
            (b"two words", 0o604, "chmod"),
            (&[b'x'; 5000], 0o600, "longer"),
        ] {
            let e = write(text, mode).map(|_| ()).unwrap_err();
            assert!(e.to_string().contains(word) && e.exit_code() == 2, "{e}");
            assert!(!e.to_string().contains("two words"), "{e}");
        }
        assert!(Passphrase::find(Some(&dir.path().join("none"))).is_err());
    }
}
