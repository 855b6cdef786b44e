//! Checkpoints: what the networks answered, kept on the way, so that a job that was killed does not ask them again.
//!
//! ```text
//! frame ─► content hash ─┐
//! network, look ─────────┴► key ─► known? ─► yes: the same answer, bit by bit
//!                                        └► no: ask the network ─► appended, sealed with a key from the vault
//! ```
//!
//! A job decodes its film again from the start and does everything again but inference, so its result cannot differ.
//! One record is written for each step of the job (a frame); on the way back one record is in memory at a time.
//!
//! **Invariant**: nothing here is written but under a key of a vault; a record that does not open, and all after it, are
//! dropped. A checkpoint of another film, program, network or setting does not open.

mod answers;
mod file;
mod networks;

pub(crate) use answers::parse_for_fuzzing;
pub(crate) use file::MAGIC;

use crate::vault::Vault;
use crate::{Error, Result};
use answers::{Answer, Key};
use file::{Records, Step};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The checkpoint of one job. Shared among the threads that ask networks.
pub struct Journal {
    path: PathBuf,
    /// Secret numbers of the content hash, so that nobody can make two frames that hash alike.
    mix: [u64; 4],
    state: Mutex<State>,
}

struct State {
    records: Records,
    at: Step,
    /// Answers of this step that are known from before.
    known: BTreeMap<Key, Answer>,
    /// A record of a later step, read already.
    ahead: Option<(Step, BTreeMap<Key, Answer>)>,
    /// Answers of this step that are not written yet.
    fresh: BTreeMap<Key, Answer>,
    replaying: bool,
    recalled: u64,
    asked: u64,
}

/// How many answers came from an earlier run, and how many from networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Saved {
    /// Known from before.
    pub recalled: u64,
    /// Asked of a network.
    pub asked: u64,
}

/// The name of the checkpoint of an output: beside it, hidden.
#[must_use]
pub fn path_beside(output: &Path) -> PathBuf {
    let name = output.file_name().map_or_else(|| "out".into(), |n| n.to_string_lossy().into_owned());
    output.with_file_name(format!(".{name}.checkpoint"))
}

impl Journal {
    /// Opens the checkpoint at `path`, or makes one. `work` is a digest of everything that answers depend on: film,
    /// program, networks, settings; a checkpoint of other work is replaced.
    ///
    /// # Errors
    /// `Usage` if another process works on it, `Io` if it cannot be made.
    pub fn open(path: &Path, vault: &Vault, work: &[u8; 32]) -> Result<Arc<Self>> {
        let mut records = Records::open(path, vault, work)?;
        let mix = records.mix();
        let replaying = records.has_more();
        if !replaying {
            records.cut_here();
        }
        let state = State {
            records,
            at: Step { part: 0, step: 0 },
            known: BTreeMap::new(),
            ahead: None,
            fresh: BTreeMap::new(),
            replaying,
            recalled: 0,
            asked: 0,
        };
        Ok(Arc::new(Journal { path: path.to_owned(), mix, state: Mutex::new(state) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a part of the job; parts come in rising order.
    pub fn begin(&self, part: u8) {
        self.state().go_to(Step { part, step: 0 });
    }

    /// Ends a step: what was asked in it is written, what is known of the next is read.
    pub fn step(&self) {
        let mut state = self.state();
        let Step { part, step } = state.at;
        state.go_to(Step { part, step: step.saturating_add(1) });
    }

    /// What the checkpoint has saved so far.
    #[must_use]
    pub fn saved(&self) -> Saved {
        let state = self.state();
        Saved { recalled: state.recalled, asked: state.asked }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it: the job is done.
    pub fn remove(&self) {
        crate::files::remove_quietly(&self.path);
    }

    fn recall(&self, key: &Key) -> Option<Answer> {
        let mut state = self.state();
        let answer = state.known.get(key).or_else(|| state.fresh.get(key)).cloned();
        state.recalled += u64::from(answer.is_some());
        answer
    }

    fn keep(&self, key: Key, answer: Answer) {
        let mut state = self.state();
        state.asked += 1;
        state.fresh.insert(key, answer);
    }
}

impl State {
    fn go_to(&mut self, next: Step) {
        if self.replaying {
            self.read(next);
        }
        // While records of later steps lie ahead nothing can be put between; asked again next time, no harm.
        if !self.replaying && !self.fresh.is_empty() {
            self.records.append(self.at, &self.fresh);
        }
        self.fresh.clear();
        self.at = next;
    }

    fn read(&mut self, next: Step) {
        self.known.clear();
        if self.ahead.is_none() {
            self.ahead = self.records.next();
        }
        match &self.ahead {
            Some((at, _)) if *at == next => self.known = self.ahead.take().map(|(_, known)| known).unwrap_or_default(),
            Some((at, _)) if *at > next => {}
            // The end, or a record out of order: what follows is not to be trusted.
            _ => {
                self.ahead = None;
                self.replaying = false;
                self.records.cut_here();
            }
        }
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}

fn busy(path: &Path) -> Error {
    Error::Usage(format!("another run is making this output; wait for it, or stop it first: {}", path.display()))
}

#[cfg(test)]
mod tests;
