//! What a job needs to go on after a kill: the seeds of its render and the answers of its networks.

use super::DisguiseJob;
use crate::infer::{ModelSet, Role, Runtime};
use crate::journal::{Journal, path_beside};
use crate::plan::{Plan, fingerprint};
use crate::vault::{Seeds, Vault, digest};
use crate::vision::{Analyser, AnalyserOptions, Networks, Recall};
use crate::{Error, Result};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

/// Parts of a job, in order.
pub(super) const ANALYSIS: u8 = 0;
pub(super) const SEARCH: u8 = 1;

/// Seeds and checkpoint of a job. Without a vault nothing is stored, and a job that was stopped begins anew.
pub struct Checkpoint<'v> {
    vault: Option<&'v Vault>,
    job: [u8; 32],
    renders: bool,
    seeds: Seeds,
    journal: Option<Arc<Journal>>,
}

impl Default for Checkpoint<'_> {
    fn default() -> Self {
        Checkpoint { vault: None, job: [0; 32], renders: false, seeds: Seeds::forgotten(), journal: None }
    }
}

impl<'v> Checkpoint<'v> {
    /// Begins a job that only analyses, or goes on with it.
    ///
    /// # Errors
    /// `Usage` if another process makes the same output, `Io` if the checkpoint cannot be made.
    pub fn of_analysis(job: &DisguiseJob, vault: &'v Vault) -> Result<Self> {
        let work = work(job)?;
        let journal = Some(Journal::open(&path_beside(job.output), vault, &work)?);
        Ok(Checkpoint { vault: Some(vault), job: work, renders: false, seeds: Seeds::forgotten(), journal })
    }

    /// Begins a job that renders (by `plan`, if it has one already), or goes on with it.
    ///
    /// # Errors
    /// As [`Checkpoint::of_analysis`], and `Usage` if the vault was sealed meanwhile.
    pub fn of_render(job: &DisguiseJob, vault: &'v Vault, plan: Option<&Plan>) -> Result<Self> {
        let mut begun = Self::of_analysis(job, vault)?;
        begun.renders = true;
        begun.job = orders(job, &begun.job, plan)?;
        begun.seeds = vault.begin_render(&begun.job)?;
        Ok(begun)
    }

    /// Seeds of the attempts.
    pub(super) fn seeds(&self) -> &Seeds {
        &self.seeds
    }

    pub(super) fn journal(&self) -> Option<&Journal> {
        self.journal.as_deref()
    }

    /// One set of networks whose answers are remembered.
    pub(super) fn networks(&self, models: &ModelSet, runtime: &Runtime) -> Result<Networks> {
        let networks = Networks::open(models, runtime)?;
        Ok(match &self.journal {
            Some(journal) => journal.wrap(networks),
            None => networks,
        })
    }

    /// An analyser on such networks.
    pub(super) fn analyser(
        &self,
        models: &ModelSet,
        runtime: &Runtime,
        recall: Recall,
        options: AnalyserOptions,
    ) -> Result<Analyser> {
        if self.journal.is_none() {
            return Analyser::new(models, runtime, recall, options);
        }
        let workers = (0..options.workers.clamp(1, 64)).map(|_| self.networks(models, runtime));
        let cautious = options.cautious || models.is_built_in(Role::Detector);
        Analyser::with_networks(workers.collect::<Result<_>>()?, recall, AnalyserOptions { cautious, ..options })
    }

    /// Begins a part of the job.
    pub(super) fn begin(&self, part: u8) {
        if let Some(j) = &self.journal {
            j.begin(part);
        }
    }

    /// Ends a step of the job.
    pub(super) fn step(&self) {
        if let Some(j) = &self.journal {
            j.step();
        }
    }

    /// How many answers were known from an earlier run and how many networks were asked; `None` without a vault.
    #[must_use]
    pub fn saved(&self) -> Option<crate::journal::Saved> {
        self.journal.as_ref().map(|j| j.saved())
    }

    /// The job is done and its output published: seeds and checkpoint are forgotten.
    pub fn end(&self) {
        self.forget_seeds();
        if let Some(j) = &self.journal {
            j.remove();
        }
    }

    /// The job has failed; where its checkpoint stays for the next run, if it does.
    pub fn stop(&self, why: &Error) -> Option<&Path> {
        // The same seeds would fail in the same way.
        if matches!(why, Error::Residual(_) | Error::Breach { .. }) {
            self.forget_seeds();
        }
        self.journal().map(Journal::path).filter(|p| p.exists())
    }

    fn forget_seeds(&self) {
        if let Some(vault) = self.vault.filter(|_| self.renders)
            && let Err(e) = vault.end_render(&self.job)
        {
            tracing::warn!("the seeds of this render stay in the vault: {e}");
        }
    }
}

/// Everything that the answers of networks depend on.
fn work(job: &DisguiseJob) -> Result<[u8; 32]> {
    let io = |e| Error::io("cannot read the input", job.input, e);
    let meta = std::fs::metadata(job.input).map_err(io)?;
    let input = job.input.canonicalize().map_err(io)?;
    let place = (meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec());
    let networks: Vec<(&str, &str)> =
        job.models.all().iter().map(|m| (m.entry.name.as_str(), m.entry.sha256.as_str())).collect();
    let runtime = (job.runtime.build_info(), job.runtime.device(), job.runtime.library());
    let settings = (job.recall, job.salvage, job.limits);
    Ok(digest(&[
        input.as_os_str().as_encoded_bytes(),
        format!("{place:?}").as_bytes(),
        fingerprint(job.input)?.sha256.as_bytes(),
        program().as_slice(),
        format!("{networks:?}").as_bytes(),
        format!("{runtime:?}").as_bytes(),
        format!("{settings:?}").as_bytes(),
    ]))
}

/// Everything that a render depends on besides.
fn orders(job: &DisguiseJob, work: &[u8; 32], plan: Option<&Plan>) -> Result<[u8; 32]> {
    let mut planned = Vec::new();
    if let Some(plan) = plan {
        ciborium::into_writer(plan, &mut planned)
            .map_err(|e| Error::Plan(format!("the plan cannot be encoded: {e}")))?;
    }
    // Of another track another film is made, and that must have noise of its own.
    let files = super::actor_files(job.cast);
    let actors: Vec<Option<String>> = files.iter().map(|f| fingerprint(f).ok().map(|f| f.sha256)).collect();
    let doubles: Vec<&str> = job.doubles.cards().map(|c| c.name.as_str()).collect();
    let output = (job.preset, &job.encode, job.output.extension(), job.threads, job.seed, job.matte.is_some());
    Ok(digest(&[
        work,
        &planned,
        format!("{:?}", job.cast).as_bytes(),
        format!("{actors:?}").as_bytes(),
        format!("{doubles:?}").as_bytes(),
        format!("{output:?}").as_bytes(),
    ]))
}

/// Which program this is: its version and, where its file can be read, a hash of it.
fn program() -> [u8; 32] {
    let mut hash = <sha2::Sha256 as sha2::Digest>::new();
    sha2::Digest::update(&mut hash, env!("CARGO_PKG_VERSION"));
    let file = std::env::current_exe().and_then(std::fs::File::open);
    if let Ok(mut file) = file {
        let mut piece = vec![0u8; 1 << 18];
        while let Ok(n @ 1..) = file.read(&mut piece) {
            sha2::Digest::update(&mut hash, &piece[..n]);
        }
    }
    sha2::Digest::finalize(hash).into()
}
