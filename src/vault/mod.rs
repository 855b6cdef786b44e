//! Secrets at rest: what a project draws at random, kept under a passphrase so that a film can be made again.
//!
//! ```text
//! passphrase ─► Argon2id ─► key ─► XChaCha20-Poly1305 ─► project seed ─┬► invented voices      same in every render
//!                                                     │                └► keys of checkpoints and of sealed plans
//!                                                     └► render seeds ─► noise, film grain      new for every render
//! ```
//!
//! Without a vault nothing of this is stored: seeds come from the operating system, live in memory and are wiped.
//!
//! **Invariant**: what a vault holds never reaches a log, an error, a report or a film; two renders that differ in
//! anything never share noise. A job that was stopped keeps its render seed until its film is published, so that the
//! next run of the same job makes the same film.
//!
//! ```
//! use understudy::vault::{Passphrase, Vault};
//! # fn main() -> understudy::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("project.vault");
//! let passphrase = Passphrase::new(b"correct horse battery staple".to_vec())?;
//! Vault::create(&path, &passphrase)?;
//! let vault = Vault::open(&path, &passphrase)?;
//! let job = understudy::vault::digest(&[b"film", b"cast"]);
//! let seeds = vault.begin_render(&job)?;
//! assert_eq!(seeds.attempt()?.voice(0), seeds.attempt()?.voice(0));
//! vault.end_render(&job)?;
//! # Ok(()) }
//! ```

mod file;
mod passphrase;
mod recipient;
mod seal;
mod sealed;
mod seeds;

pub(crate) use file::MAGIC;
pub use file::{PendingRenders, Vault};
pub use passphrase::Passphrase;
pub use recipient::{Identity, Recipient, is_sent, send_file};
pub(crate) use recipient::{SECRET, SENT};
pub(crate) use seal::{NONCE, SealingKey, TAG};
pub(crate) use sealed::SEALED;
pub use sealed::is_sealed;
pub(crate) use seeds::derive;
pub use seeds::{RenderSeeds, Seeds, digest};

use crate::{Error, Result};
use zeroize::Zeroizing;

/// A secret number.
pub type Key = Zeroizing<[u8; 32]>;

/// Bytes that are wiped when dropped.
pub type ZeroBytes = Zeroizing<Vec<u8>>;

/// Everything that reads bytes of vaults and of sealed files.
pub(crate) fn parse_for_fuzzing(bytes: &[u8]) {
    file::parse_for_fuzzing(bytes);
    sealed::parse_for_fuzzing(bytes);
    recipient::parse_for_fuzzing(bytes);
}

/// Fills `bytes` with randomness of the operating system.
///
/// # Errors
/// `Io` if it gives none.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|e| {
        Error::io("cannot get random bytes from the system", "/dev/urandom", std::io::Error::other(e.to_string()))
    })
}

/// A fresh secret.
///
/// # Errors
/// `Io` if the operating system gives no randomness.
pub(crate) fn random_key() -> Result<Key> {
    let mut key = Key::default();
    fill_random(key.as_mut())?;
    Ok(key)
}
