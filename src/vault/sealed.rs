//! Files under the key of a vault: what would tell who was filmed is written only so.
//!
//! ```text
//! magic word, version, salt │ piece 0 │ piece 1 │ … │ last piece        each sealed, with a tag of its own
//! ```
//!
//! The key is derived from the project's seed, the purpose and the salt, so every file has its own; the nonce is the number
//! of the piece and whether it is the last, so none can be left out, moved, repeated or added (V. T. Hoang, R. Reyhanitabar,
//! P. Rogaway, D. Vizár, *Online authenticated-encryption and its nonce-reuse misuse-resistance*, CRYPTO 2015, §7, STREAM).
//! What stays to be seen is the length.

use super::fill_random;
use super::seal::{NONCE, SealingKey, TAG};
use super::{Vault, ZeroBytes};
use crate::{Error, Result, files};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use zeroize::Zeroizing;

/// First bytes of a sealed file.
pub(crate) const SEALED: &[u8; 8] = b"UNDRSEAL";
const VERSION: u16 = 1;
const SALT: usize = 32;
const HEAD: usize = 8 + 2 + SALT;
/// Bytes sealed at a time.
const PIECE: usize = 1 << 18;

/// Whether a file is a sealed one, by its first bytes.
#[must_use]
pub fn is_sealed(path: &Path) -> bool {
    let mut head = [0u8; 8];
    File::open(path).and_then(|mut f| f.read_exact(&mut head)).is_ok() && head == *SEALED
}

impl Vault {
    /// Writes `text` sealed to `path`, owner-only (0600), whole or not at all. It is opened with the same vault and
    /// `purpose` only.
    ///
    /// # Errors
    /// `Io` if it cannot be written or the system gives no randomness.
    pub fn seal_file(&self, path: &Path, purpose: &str, text: &[u8]) -> Result<()> {
        let mut head = [0u8; HEAD];
        head[..8].copy_from_slice(SEALED);
        head[8..10].copy_from_slice(&VERSION.to_le_bytes());
        fill_random(&mut head[10..])?;
        let key = self.file_key(purpose, &head);
        files::write_private(path, |file| write_pieces(file, &key, &head, text))
    }

    /// What was sealed; wiped when dropped.
    ///
    /// # Errors
    /// `Plan` if this is no sealed file, another vault or purpose sealed it, or a single bit is missing or another; `Limit`
    /// if it holds more than `most` bytes; `Io` if it cannot be read.
    pub fn open_file(&self, path: &Path, purpose: &str, most: u64) -> Result<ZeroBytes> {
        let io = |e| Error::io("cannot read a sealed file", path, e);
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        open(file, length, &|head| self.file_key(purpose, head), most).map_err(|e| e.at(path, most))
    }
}

/// Why a sealed file was not opened.
pub(super) enum Failure {
    Io(std::io::Error),
    Closed(&'static str),
    Large,
}

impl Failure {
    /// The error of the file at `path`, of which `most` bytes were allowed.
    pub fn at(self, path: &Path, most: u64) -> Error {
        match self {
            Failure::Io(e) => Error::io("cannot read a sealed file", path, e),
            Failure::Closed(why) => Error::Plan(format!("{why}: {}", path.display())),
            Failure::Large => {
                Error::Limit(format!("more than the limit of {most} bytes are sealed: {}", path.display()))
            }
        }
    }
}

/// Writes `head` and, bound to it, `text` in pieces.
pub(super) fn write_pieces(file: &mut dyn Write, key: &SealingKey, head: &[u8], text: &[u8]) -> std::io::Result<()> {
    file.write_all(head)?;
    let count = text.len().div_ceil(PIECE).max(1);
    for k in 0..count {
        let piece = &text[k * PIECE..((k + 1) * PIECE).min(text.len())];
        let sealed = key.seal(&nonce(k, k + 1 == count), head, piece);
        file.write_all(&sealed.map_err(|e| std::io::Error::other(e.to_string()))?)?;
    }
    Ok(())
}

fn nonce(number: usize, last: bool) -> [u8; NONCE] {
    let mut nonce = [0u8; NONCE];
    nonce[..8].copy_from_slice(&(number as u64).to_le_bytes());
    nonce[8] = u8::from(last);
    nonce
}

fn open(
    mut from: impl Read,
    length: u64,
    key: &dyn Fn(&[u8]) -> SealingKey,
    most: u64,
) -> std::result::Result<ZeroBytes, Failure> {
    let mut head = [0u8; HEAD];
    if from.read_exact(&mut head).is_err() || !head.starts_with(SEALED) {
        return Err(Failure::Closed("this is no sealed file"));
    }
    if head[8..10] != VERSION.to_le_bytes() {
        return Err(Failure::Closed("this build cannot read this version of sealed files"));
    }
    read_pieces(from, length.saturating_sub(HEAD as u64), &head, &key(&head), most)
}

/// The text of the pieces that follow `head`, `body` bytes of them.
pub(super) fn read_pieces(
    mut from: impl Read,
    body: u64,
    head: &[u8],
    key: &SealingKey,
    most: u64,
) -> std::result::Result<ZeroBytes, Failure> {
    let whole = (PIECE + TAG) as u64;
    let count = body.div_ceil(whole).max(1);
    let text = body.saturating_sub(count * TAG as u64);
    if text > most {
        return Err(Failure::Large);
    }
    let mut out = Zeroizing::new(Vec::new());
    let mut sealed = Vec::with_capacity(PIECE + TAG);
    for k in 0..count {
        sealed.clear();
        from.by_ref().take(whole).read_to_end(&mut sealed).map_err(Failure::Io)?;
        let number = usize::try_from(k).map_err(|_e| Failure::Large)?;
        let Some(piece) = key.open(&nonce(number, k + 1 == count), head, &sealed) else {
            return Err(Failure::Closed(
                "what is sealed cannot be opened: it was sealed under another vault, cut off or altered",
            ));
        };
        if k == 0 {
            // In one go, so that no copies are left behind; and only now that somebody with the key has said so much.
            out.reserve_exact(usize::try_from(text).map_err(|_e| Failure::Large)?);
        }
        out.extend_from_slice(&piece);
    }
    Ok(out)
}

/// Reads bytes as a sealed file, without the cost of a passphrase.
pub(crate) fn parse_for_fuzzing(bytes: &[u8]) {
    let key = |_: &[u8]| SealingKey::new(super::Key::default());
    assert!(open(bytes, bytes.len() as u64, &key, 1 << 20).is_err(), "a forged file was opened");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::Passphrase;
    use std::os::unix::fs::PermissionsExt;

    fn vault(dir: &Path, name: &str) -> Vault {
        Vault::create(&dir.join(name), &Passphrase::new(b"long enough".to_vec()).unwrap()).unwrap()
    }

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|i| ((i * i) >> 3) as u8).collect()
    }

    #[test]
    fn what_is_sealed_comes_back_and_tells_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (vault, path) = (vault(dir.path(), "v"), dir.path().join("sealed"));
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 77] {
            vault.seal_file(&path, "plan", &text(length)).unwrap();
            assert!(is_sealed(&path));
            assert_eq!(*vault.open_file(&path, "plan", 1 << 20).unwrap(), text(length), "{length}");
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(bytes.len(), HEAD + length + TAG * length.div_ceil(PIECE).max(1));
            let beginning = &text(16)[..];
            assert!(length < 16 || !bytes.windows(16).any(|w| w == beginning));
            let again = vault.seal_file(&path, "plan", &text(length)).map(|()| std::fs::read(&path).unwrap());
            assert_ne!(again.unwrap()[HEAD..], bytes[HEAD..], "two sealings are alike");
        }
        assert_eq!(vault.open_file(&path, "plan", 1000).unwrap_err().exit_code(), 3);
        assert_eq!(vault.open_file(&path, "other", 1 << 20).unwrap_err().exit_code(), 4);
    }

    #[test]
    fn another_vault_and_every_damage_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (mine, other, path) = (vault(dir.path(), "v"), vault(dir.path(), "w"), dir.path().join("sealed"));
        mine.seal_file(&path, "plan", &text(2 * PIECE + 5)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let e = other.open_file(&path, "plan", 1 << 20).unwrap_err();
        assert!(e.exit_code() == 4 && e.to_string().contains("another vault"), "{e}");
        let refused = |bytes: &[u8], how: &str| {
            std::fs::write(&path, bytes).unwrap();
            let e = mine.open_file(&path, "plan", 1 << 20).map(|_| ()).expect_err(how);
            assert_eq!(e.exit_code(), 4, "{how}: {e}");
        };
        for at in (0..whole.len()).step_by(9973).chain([0, 8, 9, 10, HEAD - 1, HEAD, whole.len() - 1]) {
            let mut bad = whole.clone();
            bad[at] ^= 0x40;
            refused(&bad, &format!("altered at {at}"));
        }
        let step = PIECE + TAG;
        let ends = [0, 1, HEAD, HEAD + 1, HEAD + TAG, HEAD + step, HEAD + 2 * step, whole.len() - 5, whole.len() - 1];
        ends.iter().for_each(|end| refused(&whole[..*end], &format!("cut at {end}")));
        refused(&[&whole[..], b"x"].concat(), "longer");
        let (a, b, c) = (&whole[HEAD..HEAD + step], &whole[HEAD + step..HEAD + 2 * step], &whole[HEAD + 2 * step..]);
        for (pieces, how) in [([b, a, c], "swapped"), ([a, a, c], "repeated"), ([a, &[], c], "left out")] {
            refused(&[&whole[..HEAD], pieces[0], pieces[1], pieces[2]].concat(), how);
        }
        std::fs::write(&path, &whole).unwrap();
        assert!(mine.open_file(&path, "plan", 1 << 20).is_ok());
    }
}
