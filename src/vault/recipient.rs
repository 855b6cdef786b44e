//! Files for somebody else: sealed to a public key, so that who writes them cannot open them again.
//!
//! ```text
//! magic word, version, count │ file key sealed to recipient 1, 2, … │ piece 0 │ piece 1 │ … │ last piece
//! ```
//!
//! For a machine in the field that may be taken: it analyses, the desk at home renders. The file key is random; each copy of it is a
//! sealed box (X25519, XSalsa20-Poly1305, nonce by BLAKE2b; libsodium, *Sealed boxes*), which names neither its writer nor
//! its reader. The pieces are those of other sealed files. What stays to be seen is the length and the number of recipients.

use super::seal::SealingKey;
use super::sealed::{Failure, read_pieces, write_pieces};
use super::{Key, ZeroBytes, derive, random_key};
use crate::{Error, Result, files};
use crypto_box::aead::OsRng;
use crypto_box::{PublicKey, SecretKey};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// First bytes of a file for recipients.
pub(crate) const SENT: &[u8; 8] = b"UNDRSENT";
const VERSION: u16 = 1;
/// Magic word, version, count.
const BEGIN: usize = 8 + 2 + 2;
/// A sealed file key: the key, a public key, a tag.
const SLOT: usize = 32 + 32 + 16;
/// Most recipients of one file.
const MOST: usize = 16;
/// Beginnings of the two keys as text.
const PUBLIC: &str = "understudy1-";
/// The same for what must stay secret; `shred` knows it too.
pub(crate) const SECRET: &str = "understudy-secret1-";
/// Bytes of the sum that finds typing errors.
const SUM: usize = 4;

/// Somebody who can open what is sealed to them: a public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient(PublicKey);

/// The secret half; wiped from memory when dropped.
pub struct Identity(SecretKey);

impl Recipient {
    /// Reads the text of a public key.
    ///
    /// # Errors
    /// `Usage` if it is none, or was mistyped.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::Usage(format!(
                "this is no recipient, or it was mistyped: it begins with `{PUBLIC}`, and `understudy vault key FILE` makes one"
            ))
        };
        let key = bytes_of(text.trim().strip_prefix(PUBLIC).ok_or_else(wrong)?, PUBLIC).ok_or_else(wrong)?;
        Ok(Recipient(PublicKey::from(*key)))
    }

    /// The public key as text.
    #[must_use]
    pub fn text(&self) -> String {
        text_of(self.0.as_bytes(), PUBLIC).to_string()
    }
}

impl Identity {
    /// Makes a pair of keys and writes the secret one to a new file, owner-only (0600).
    ///
    /// # Errors
    /// `Usage` if something is there already, `Io` if it cannot be written or the system gives no randomness.
    pub fn create(path: &Path) -> Result<Self> {
        if path.symlink_metadata().is_ok() {
            return Err(Error::Usage(format!("something of this name is there already: {}", path.display())));
        }
        let identity = Identity(SecretKey::from(*random_key()?));
        let text = text_of(&Zeroizing::new(identity.0.to_bytes()), SECRET);
        files::write_private_new(path, |file| file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")))?;
        Ok(identity)
    }

    /// Reads a secret key.
    ///
    /// # Errors
    /// `Usage` if there is none, others may read it, or it was altered.
    pub fn read(path: &Path) -> Result<Self> {
        let io = |e| Error::Usage(format!("cannot read the secret key ({e}): {}", path.display()));
        let file = File::open(path).map_err(io)?;
        let meta = file.metadata().map_err(io)?;
        if meta.is_file() && std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o077 != 0 {
            return Err(Error::Usage(format!(
                "others may read the secret key; `chmod 600` it first: {}",
                path.display()
            )));
        }
        let mut text = Zeroizing::new(String::with_capacity(256));
        file.take(256).read_to_string(&mut text).map_err(io)?;
        let key = text.trim_end().strip_prefix(SECRET).and_then(|t| bytes_of(t, SECRET));
        let key = key.ok_or_else(|| {
            Error::Usage(format!(
                "this is no secret key of `understudy vault key`, or it was altered: {}",
                path.display()
            ))
        })?;
        Ok(Identity(SecretKey::from(*key)))
    }

    /// Its public half, to be given to those who shall seal.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.public_key())
    }

    /// What was sealed to this key, among others; wiped when dropped.
    ///
    /// # Errors
    /// `Plan` if this is no file for recipients, not for this one, for another purpose, or a single bit is missing or another;
    /// `Limit` if it holds more than `most` bytes; `Io` if it cannot be read.
    pub fn open_file(&self, path: &Path, purpose: &str, most: u64) -> Result<ZeroBytes> {
        let io = |e| Error::io("cannot read a sealed file", path, e);
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        open(file, length, &self.0, purpose, most).map_err(|e| e.at(path, most))
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Whether a file is one for recipients, by its first bytes.
#[must_use]
pub fn is_sent(path: &Path) -> bool {
    let mut head = [0u8; 8];
    File::open(path).and_then(|mut f| f.read_exact(&mut head)).is_ok() && head == *SENT
}

/// Writes `text` for `to`, owner-only (0600), whole or not at all. This process cannot open it either.
///
/// # Errors
/// `Usage` for no or too many recipients, `Io` if it cannot be written or the system gives no randomness.
pub fn send_file(to: &[Recipient], path: &Path, purpose: &str, text: &[u8]) -> Result<()> {
    if to.is_empty() || to.len() > MOST {
        return Err(Error::Usage(format!("a file is sealed to 1 to {MOST} recipients, not to {}", to.len())));
    }
    let file_key = random_key()?;
    let mut head = SENT.to_vec();
    head.extend_from_slice(&VERSION.to_le_bytes());
    head.extend_from_slice(&(to.len() as u16).to_le_bytes());
    for Recipient(key) in to {
        let slot = key.seal(&mut OsRng, &*file_key).map_err(|_e| Error::Output("a key cannot be sealed".into()))?;
        head.extend_from_slice(&slot);
    }
    let key = piece_key(&file_key, purpose, &head);
    files::write_private(path, |file| write_pieces(file, &key, &head, text))
}

/// Key of the pieces; bound to everything before them.
fn piece_key(file_key: &Key, purpose: &str, head: &[u8]) -> SealingKey {
    SealingKey::new(derive(file_key, purpose, head))
}

fn open(
    mut from: impl Read,
    length: u64,
    secret: &SecretKey,
    purpose: &str,
    most: u64,
) -> std::result::Result<ZeroBytes, Failure> {
    let mut head = vec![0u8; BEGIN];
    if from.read_exact(&mut head).is_err() || !head.starts_with(SENT) {
        return Err(Failure::Closed("this is no file for recipients"));
    }
    let number = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    let (version, count) = (number(8), usize::from(number(10)));
    if version != VERSION {
        return Err(Failure::Closed("this build cannot read this version of files for recipients"));
    }
    if count == 0 || count > MOST {
        return Err(Failure::Closed("it is cut off or altered"));
    }
    head.resize(BEGIN + count * SLOT, 0);
    if from.read_exact(&mut head[BEGIN..]).is_err() {
        return Err(Failure::Closed("it is cut off or altered"));
    }
    let file_key = head[BEGIN..].chunks_exact(SLOT).find_map(|slot| {
        let key = Zeroizing::new(secret.unseal(slot).ok()?);
        Some(Key::new(*key.first_chunk()?))
    });
    let Some(file_key) = file_key else {
        return Err(Failure::Closed("it was sealed to somebody else, cut off or altered"));
    };
    let key = piece_key(&file_key, purpose, &head);
    read_pieces(from, length.saturating_sub(head.len() as u64), &head, &key, most)
}

/// A key and the sum that finds typing errors, in hexadecimal.
fn text_of(key: &[u8; 32], kind: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(kind.len() + 2 * (32 + SUM)));
    text.push_str(kind);
    for byte in key.iter().chain(&sum(key, kind)) {
        text.extend([byte >> 4, byte & 15].map(|n| char::from_digit(u32::from(n), 16).unwrap_or('0')));
    }
    text
}

fn bytes_of(text: &str, kind: &str) -> Option<Key> {
    let digits = text.as_bytes();
    if digits.len() != 2 * (32 + SUM) {
        return None;
    }
    let mut bytes = Zeroizing::new([0u8; 32 + SUM]);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |d: u8| char::from(d).to_digit(16).map(|n| n as u8);
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    let (key, given) = bytes.split_first_chunk::<32>()?;
    (sum(key, kind) == given).then(|| Key::new(*key))
}

fn sum(key: &[u8; 32], kind: &str) -> [u8; SUM] {
    let hash = Sha256::new().chain_update(kind).chain_update(key).finalize();
    std::array::from_fn(|i| hash[i])
}

/// The secret key that the seeds of the fuzzer are sealed to.
const FUZZ: [u8; 32] = [7; 32];

/// Reads bytes as a file for recipients. The seed opens for the purpose `fuzz`, so that its pieces are read too.
pub(crate) fn parse_for_fuzzing(bytes: &[u8]) {
    let secret = SecretKey::from(FUZZ);
    assert!(open(bytes, bytes.len() as u64, &secret, "plan", 1 << 20).is_err(), "a forged file was opened");
    if let Ok(text) = open(bytes, bytes.len() as u64, &secret, "fuzz", 1 << 20) {
        assert!(text.len() < bytes.len());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        // A key that is read is written as it was.
        if let Ok(recipient) = Recipient::parse(text) {
            assert!(recipient.text().eq_ignore_ascii_case(text.trim()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn two() -> (tempfile::TempDir, Identity, Identity) {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str| Identity::create(&dir.path().join(name)).unwrap();
        let (a, b) = (make("a"), make("b"));
        (dir, a, b)
    }

    #[test]
    fn each_recipient_opens_it_and_nobody_else() {
        let (dir, a, b) = two();
        let path = dir.path().join("plan");
        let text: Vec<u8> = (0..700_000u32).map(|i| ((i * i) >> 5) as u8).collect();
        send_file(&[a.recipient(), b.recipient()], &path, "plan", &text).unwrap();
        assert!(is_sent(&path) && !super::super::is_sealed(&path));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for one in [&a, &b] {
            assert_eq!(*one.open_file(&path, "plan", 1 << 20).unwrap(), text);
            assert_eq!(one.open_file(&path, "other", 1 << 20).unwrap_err().exit_code(), 4);
            assert_eq!(one.open_file(&path, "plan", 1000).unwrap_err().exit_code(), 3);
        }
        send_file(&[a.recipient()], &path, "plan", b"for one").unwrap();
        let e = b.open_file(&path, "plan", 1 << 20).unwrap_err();
        assert!(e.exit_code() == 4 && e.to_string().contains("somebody else"), "{e}");
        assert_eq!(send_file(&[], &path, "plan", b"").unwrap_err().exit_code(), 2);
        assert_eq!(send_file(&vec![a.recipient(); 17], &path, "plan", b"").unwrap_err().exit_code(), 2);
    }

    /// `UNDERSTUDY_BLESS=1` makes the seed anew.
    #[test]
    fn the_seed_of_the_fuzzer_opens() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/vault/sent.bin");
        let own = Identity(SecretKey::from(FUZZ));
        if std::env::var_os("UNDERSTUDY_BLESS").is_some_and(|v| v == "1") {
            let (_dir, other, _) = two();
            send_file(&[other.recipient(), own.recipient()], &path, "fuzz", &[b'a'; 400]).unwrap();
        }
        assert_eq!(own.open_file(&path, "fuzz", 1 << 20).unwrap().len(), 400);
        assert!(own.open_file(&path, "plan", 1 << 20).is_err());
        parse_for_fuzzing(&std::fs::read(&path).unwrap());
    }

    #[test]
    fn every_altered_bit_is_refused() {
        let (dir, a, _) = two();
        let path = dir.path().join("plan");
        send_file(&[a.recipient()], &path, "plan", &[5; 300]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(7) {
            let mut bad = whole.clone();
            bad[at] ^= 0x10;
            std::fs::write(&path, &bad).unwrap();
            assert!(a.open_file(&path, "plan", 1 << 20).is_err(), "altered at {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(a.open_file(&path, "plan", 1 << 20).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn keys_are_text_that_finds_typing_errors() {
        let (dir, a, b) = two();
        let text = a.recipient().text();
        assert_eq!(Recipient::parse(&format!(" {text}\n")).unwrap(), a.recipient());
        assert_ne!(text, b.recipient().text());
        let mut typo = text.clone().into_bytes();
        let last = typo.len() - 9;
        typo[last] = if typo[last] == b'0' { b'1' } else { b'0' };
        for bad in [String::from_utf8(typo).unwrap(), text[1..].to_owned(), String::new(), "understudy1-é".repeat(9)] {
            assert_eq!(Recipient::parse(&bad).unwrap_err().exit_code(), 2, "{bad}");
        }
        let file = dir.path().join("a");
        let secret = std::fs::read_to_string(&file).unwrap();
        assert_eq!(Identity::read(&file).unwrap().recipient(), a.recipient());
        assert!(Recipient::parse(&secret).is_err(), "the secret was taken for the public key");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        let e = Identity::read(&file).unwrap_err();
        assert!(e.to_string().contains("chmod") && !e.to_string().contains(secret.trim()), "{e}");
        assert_eq!(Identity::create(&file).unwrap_err().exit_code(), 2);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), secret, "an identity was written over");
    }
}
