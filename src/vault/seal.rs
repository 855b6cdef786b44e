//! Authenticated encryption of small pieces: the only place that names a cipher.

use super::Key;
use crate::{Error, Result};
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

/// Bytes of a nonce; long enough to be drawn at random (Arciszewski, *XChaCha*, draft-irtf-cfrg-xchacha-03, §2).
pub(crate) const NONCE: usize = 24;
/// Bytes that sealing adds.
pub(crate) const TAG: usize = 16;

/// How much work one try of a passphrase is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Work {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Work {
    /// RFC 9106, §4, second recommended option, in one lane because the sandbox is entered before threads are made.
    pub const DEFAULT: Work = Work { memory_kib: 64 << 10, passes: 3, lanes: 1 };
    /// More than this is not tried for a file that somebody may have altered.
    const MOST: Work = Work { memory_kib: 1 << 20, passes: 32, lanes: 16 };

    /// The key of a passphrase (Argon2id, RFC 9106).
    ///
    /// # Errors
    /// `Limit` for absurd work.
    pub fn stretch(self, passphrase: &[u8], salt: &[u8]) -> Result<SealingKey> {
        let Work { memory_kib, passes, lanes } = self;
        let most = Work::MOST;
        if memory_kib > most.memory_kib || passes > most.passes || lanes > most.lanes {
            return Err(Error::Limit(
                "the vault asks for more work than the limit of 1 GiB, 32 passes: it is damaged or altered".into(),
            ));
        }
        let wrong = |e: argon2::Error| Error::Input(format!("the vault is damaged (key derivation: {e})"));
        let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(wrong)?;
        let mut key = Key::default();
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon.hash_password_into(passphrase, salt, key.as_mut()).map_err(wrong)?;
        Ok(SealingKey(key))
    }
}

/// A key that seals and opens.
#[derive(Clone)]
pub(crate) struct SealingKey(pub(super) Key);

impl SealingKey {
    /// A key made elsewhere.
    pub fn new(key: Key) -> Self {
        SealingKey(key)
    }

    /// A secret for one purpose, from this key.
    pub fn derive(&self, purpose: &str) -> Key {
        super::derive(&self.0, purpose, &[])
    }

    /// Encrypts `text` and binds it to `context`. A nonce must never be used twice with one key.
    ///
    /// # Errors
    /// `Output` if `text` is absurdly long.
    pub fn seal(&self, nonce: &[u8; NONCE], context: &[u8], text: &[u8]) -> Result<Vec<u8>> {
        let cipher = XChaCha20Poly1305::new((&*self.0).into());
        let mut out = Vec::with_capacity(text.len() + TAG);
        out.extend_from_slice(text);
        let tag = cipher
            .encrypt_in_place_detached(XNonce::from_slice(nonce), context, &mut out)
            .map_err(|_too_long| Error::Output("too much to encrypt at once".into()))?;
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// What was sealed; `None` if key, nonce, context or a single bit is another.
    pub fn open(&self, nonce: &[u8; NONCE], context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let cipher = XChaCha20Poly1305::new((&*self.0).into());
        let (body, tag) = sealed.split_at_checked(sealed.len().checked_sub(TAG)?)?;
        let mut out = Zeroizing::new(body.to_vec());
        cipher.decrypt_in_place_detached(XNonce::from_slice(nonce), context, &mut out, Tag::from_slice(tag)).ok()?;
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_nonce_and_context_open() {
        let key = SealingKey::new(Key::new([7; 32]));
        let sealed = key.seal(&[1; NONCE], b"here", b"secret").unwrap();
        assert_eq!(sealed.len(), 6 + TAG);
        assert_eq!(key.open(&[1; NONCE], b"here", &sealed).unwrap().as_slice(), b"secret");
        assert!(key.open(&[2; NONCE], b"here", &sealed).is_none());
        assert!(key.open(&[1; NONCE], b"there", &sealed).is_none());
        assert!(SealingKey::new(Key::new([8; 32])).open(&[1; NONCE], b"here", &sealed).is_none());
        for i in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[i] ^= 1;
            assert!(key.open(&[1; NONCE], b"here", &bad).is_none());
            assert!(key.open(&[1; NONCE], b"here", &sealed[..i]).is_none());
        }
    }

    /// RFC 9106, §5.3 tests the algorithm with a secret and associated data; this is the reference program's line for
    /// `echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32` (github.com/P-H-C/phc-winner-argon2, test.c).
    #[test]
    fn the_key_is_that_of_the_reference_program() {
        let key = Work { memory_kib: 1 << 16, passes: 2, lanes: 1 }.stretch(b"password", b"somesalt").unwrap();
        assert_eq!(crate::plan::hex(&*key.0), "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7");
    }

    #[test]
    fn absurd_work_is_refused() {
        for work in [
            Work { memory_kib: u32::MAX, ..Work::DEFAULT },
            Work { passes: u32::MAX, ..Work::DEFAULT },
            Work { lanes: 1 << 20, ..Work::DEFAULT },
            Work { memory_kib: 0, passes: 0, lanes: 0 },
        ] {
            assert_eq!(work.stretch(b"x", &[0; 16]).map(|_| ()).unwrap_err().exit_code(), 3);
        }
    }
}
