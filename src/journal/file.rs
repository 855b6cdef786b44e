//! The file of a checkpoint: a head, then sealed records, each whole or not at all.

use super::answers::{Answer, Key, read_answers, write_answers};
use super::busy;
use crate::vault::{NONCE, SealingKey, TAG, Vault, fill_random};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// First bytes of a checkpoint.
pub(crate) const MAGIC: &[u8; 8] = b"UNDRCKPT";
const VERSION: u16 = 1;
const SALT: usize = 32;
const HEAD: usize = 8 + 2 + SALT;
/// Longest record.
const LONGEST: usize = 64 << 20;
/// What the first record holds, besides nothing.
const HELLO: &[u8] = b"hello";
/// A power cut costs this much work at most.
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// Where in its job a record belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Step {
    pub part: u8,
    pub step: u64,
}

/// Records of a checkpoint: read from the front, then appended.
pub(super) struct Records {
    /// Two handles on one file; the first reads, the second writes and holds the lock.
    from: BufReader<File>,
    to: File,
    key: SealingKey,
    /// Number of the next record, and where it begins.
    number: u64,
    at: u64,
    length: u64,
    synced: Instant,
    /// Writing has failed: the job goes on without.
    broken: bool,
}

impl Records {
    pub fn open(path: &Path, vault: &Vault, work: &[u8; 32]) -> Result<Self> {
        for _ in 0..2 {
            match open_private(path, false) {
                Ok(file) => {
                    if let Some(records) = Self::resume(path, file, vault, work)? {
                        return Ok(records);
                    }
                    // Of another job, or no checkpoint at all that we could read: it is replaced.
                    tracing::warn!(
                        "the checkpoint beside the output is of another film, setting, network or build of this program: \
                         the job begins anew"
                    );
                    std::fs::remove_file(path).map_err(|e| Error::io("cannot replace the checkpoint", path, e))?;
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::io("cannot open the checkpoint", path, e)),
            }
            match open_private(path, true) {
                Ok(file) => return Self::fresh(path, file, vault, work),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io("cannot make the checkpoint", path, e)),
            }
        }
        Err(busy(path))
    }

    fn of(path: &Path, file: File, key: SealingKey) -> Result<Self> {
        let io = |e| Error::io("cannot open the checkpoint", path, e);
        let length = file.metadata().map_err(io)?.len();
        // A handle of its own, for its own position.
        let from = BufReader::with_capacity(1 << 16, File::open(path).map_err(io)?);
        let (number, at, broken) = (0, HEAD as u64, false);
        Ok(Records { from, to: file, key, number, at, length, synced: Instant::now(), broken })
    }

    fn fresh(path: &Path, mut file: File, vault: &Vault, work: &[u8; 32]) -> Result<Self> {
        lock(&file, path)?;
        let mut salt = [0u8; SALT];
        fill_random(&mut salt)?;
        let mut head = Vec::with_capacity(HEAD);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&salt);
        file.write_all(&head).map_err(|e| Error::io("cannot write the checkpoint", path, e))?;
        let mut records = Self::of(path, file, key_of(vault, &salt, work))?;
        records.write(HELLO).map_err(|e| Error::io("cannot write the checkpoint", path, e))?;
        Ok(records)
    }

    /// `None` if the file is not a checkpoint of this work.
    fn resume(path: &Path, mut file: File, vault: &Vault, work: &[u8; 32]) -> Result<Option<Self>> {
        lock(&file, path)?;
        let mut head = [0u8; HEAD];
        if file.read_exact(&mut head).is_err() || !head.starts_with(MAGIC) || head[8..10] != VERSION.to_le_bytes() {
            return Ok(None);
        }
        let mut records = Self::of(path, file, key_of(vault, &head[10..], work))?;
        let io = |e| Error::io("cannot read the checkpoint", path, e);
        records.from.seek(SeekFrom::Start(HEAD as u64)).map_err(io)?;
        Ok((records.read().as_deref().map(Vec::as_slice) == Some(HELLO)).then_some(records))
    }

    /// Numbers that only who has the vault knows.
    pub fn mix(&self) -> [u64; 4] {
        let key = self.key.derive("frames");
        std::array::from_fn(|i| u64::from_le_bytes(std::array::from_fn(|k| key[8 * i + k])) | 1)
    }

    pub fn has_more(&self) -> bool {
        self.at < self.length
    }

    /// The next record; `None` at the end, or where the file is torn or altered.
    pub fn next(&mut self) -> Option<(Step, BTreeMap<Key, Answer>)> {
        let start = (self.number, self.at);
        let text = self.read()?;
        let parsed = read_answers(&text);
        if parsed.is_none() {
            (self.number, self.at) = start;
        }
        parsed
    }

    fn read(&mut self) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        let mut length = [0u8; 4];
        self.from.read_exact(&mut length).ok()?;
        let length = u32::from_le_bytes(length) as usize;
        let left = self.length.checked_sub(self.at)?;
        if !(NONCE + TAG..=LONGEST).contains(&length) || length as u64 + 4 > left {
            return None;
        }
        let mut sealed = vec![0u8; length];
        self.from.read_exact(&mut sealed).ok()?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        let text = self.key.open(nonce, &self.number.to_le_bytes(), sealed)?;
        self.number += 1;
        self.at += length as u64 + 4;
        Some(text)
    }

    /// Forgets everything behind what was read; from here on records are appended.
    pub fn cut_here(&mut self) {
        let result = self.to.set_len(self.at).and_then(|()| self.to.seek(SeekFrom::Start(self.at)));
        self.length = self.at;
        self.check(result.map(|_| ()));
    }

    /// Adds a record. If that fails, no further one is written, and the job goes on.
    pub fn append(&mut self, at: Step, answers: &BTreeMap<Key, Answer>) {
        if !self.broken {
            let text = write_answers(at, answers);
            let result = if text.len() + NONCE + TAG > LONGEST { Ok(()) } else { self.write(&text) };
            self.check(result);
        }
    }

    fn write(&mut self, text: &[u8]) -> std::io::Result<()> {
        let mut nonce = [0u8; NONCE];
        let other = |e: Error| std::io::Error::other(e.to_string());
        fill_random(&mut nonce).map_err(other)?;
        let sealed = self.key.seal(&nonce, &self.number.to_le_bytes(), text).map_err(other)?;
        let length = u32::try_from(NONCE + sealed.len()).map_err(std::io::Error::other)?;
        let mut record = Vec::with_capacity(4 + NONCE + sealed.len());
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&nonce);
        record.extend_from_slice(&sealed);
        self.to.write_all(&record)?;
        self.number += 1;
        self.at += record.len() as u64;
        self.length = self.at;
        if self.synced.elapsed() >= SYNC_EVERY {
            self.to.sync_data()?;
            self.synced = Instant::now();
        }
        Ok(())
    }

    fn check(&mut self, result: std::io::Result<()>) {
        if let Err(e) = result {
            self.broken = true;
            tracing::warn!("the checkpoint cannot be written ({e}): if this run is stopped, it begins from there");
        }
    }
}

fn key_of(vault: &Vault, salt: &[u8], work: &[u8; 32]) -> SealingKey {
    vault.checkpoint_key(&crate::vault::digest(&[salt, work]))
}

fn open_private(path: &Path, new: bool) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(new);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn lock(file: &File, path: &Path) -> Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(busy(path)),
        Err(TryLockError::Error(e)) => Err(Error::io("cannot lock the checkpoint", path, e)),
    }
}
