//! What a long job tells its caller, and how the caller stops it.

use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Receives the progress of a job. Called from one thread at a time per stage.
pub trait Progress: Sync {
    /// A stage begins; `total` is its number of steps if known.
    fn begin(&self, stage: &str, total: Option<u64>);
    /// So many steps of the current stage are done.
    fn step(&self, done: u64);
    /// As [`Progress::step`] when the total is known only on the way.
    fn step_of(&self, done: u64, _total: u64) {
        self.step(done);
    }
    /// The current stage has ended.
    fn end(&self);
    /// Something worth a line.
    fn note(&self, text: &str);
}

/// Tells nobody anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _stage: &str, _total: Option<u64>) {}
    fn step(&self, _done: u64) {}
    fn end(&self) {}
    fn note(&self, _text: &str) {}
}

/// A flag that stops a job at the next frame.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A flag that is set by somebody who holds the same `Arc` (a signal handler).
    #[must_use]
    pub fn new(flag: Arc<AtomicBool>) -> Self {
        Cancel(flag)
    }

    /// Asks the job to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// # Errors
    /// `Interrupted` once somebody asked to stop.
    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::SeqCst) { Err(Error::Interrupted) } else { Ok(()) }
    }
}
