//! Sets of networks, and sharing work among them.

use super::detect::Detector;
use super::embed::{EmbeddingModel, FaceRecogniser};
use super::landmarks::{AttentionMesh, LandmarkModel};
use super::rfb::Rfb;
use super::verifier::{Verifier, VerifierModel};
use super::yunet::YuNet;
use crate::error::{Error, Result};
use crate::infer::{InstalledModel, ModelSet, Role, Runtime};
use rayon::prelude::*;

/// The networks of one worker. Any of them may be replaced by a double in tests.
pub struct Networks {
    /// Finds faces.
    pub detector: Box<dyn Detector>,
    /// Another detector family, to confirm and (in `Max`) to join.
    pub second: Option<Box<dyn Detector>>,
    /// Further families, which `Max` joins.
    pub others: Vec<Box<dyn Detector>>,
    /// Dense points; without it there are boxes only.
    pub landmarks: Option<Box<dyn LandmarkModel>>,
    /// Embeddings; without it nobody is recognised across tracks.
    pub embedding: Option<Box<dyn EmbeddingModel>>,
    /// Looks again at what the detector was not sure of; only built-in detectors have one.
    pub verifier: Option<Box<dyn VerifierModel>>,
    /// The detector misses small faces: every look is also taken closer, see [`Look::closer`](super::detect::Look::closer).
    pub closer: bool,
}

impl Networks {
    /// Opens the strongest installed networks.
    ///
    /// # Errors
    /// `Model` if one is missing or cannot be opened.
    pub fn open(models: &ModelSet, runtime: &Runtime) -> Result<Self> {
        models.require()?;
        let best = |role| models.best(role).ok_or_else(|| Error::Model(format!("no network for {role}")));
        let first = best(Role::Detector)?;
        let mut families = vec![first.entry.family()];
        let mut others = Vec::new();
        for model in models.all().iter().filter(|m| m.entry.role == Role::Detector) {
            if !families.contains(&model.entry.family()) {
                families.push(model.entry.family());
                others.push(open_detector(model, runtime)?);
            }
        }
        let second = (!others.is_empty()).then(|| others.remove(0));
        Ok(Networks {
            detector: open_detector(first, runtime)?,
            second,
            others,
            landmarks: Some(Box::new(AttentionMesh::open(runtime, best(Role::Landmarks)?)?)),
            embedding: Some(Box::new(FaceRecogniser::open(runtime, best(Role::Embedding)?)?)),
            verifier: match models.best(Role::Verifier).filter(|_| first.entry.built_in) {
                Some(model) => Some(Box::new(Verifier::open(runtime, model)?)),
                None => None,
            },
            closer: first.entry.built_in,
        })
    }
}

fn open_detector(model: &InstalledModel, runtime: &Runtime) -> Result<Box<dyn Detector>> {
    match model.entry.family() {
        // The program's own detector speaks as YuNet does.
        "yunet" | "understudy" => Ok(Box::new(YuNet::open(runtime, model)?)),
        "ultralight" => Ok(Box::new(Rfb::open(runtime, model)?)),
        other => Err(Error::Model(format!("no code for detectors of the kind `{other}`"))),
    }
}

/// Several sets of networks that share work. Results do not depend on how many there are.
pub(super) struct Pool {
    workers: Vec<Networks>,
}

impl Pool {
    /// A pool of at least one worker.
    pub fn new(workers: Vec<Networks>) -> Result<Self> {
        if workers.is_empty() {
            return Err(Error::Model("the analyser was given no networks".into()));
        }
        Ok(Pool { workers })
    }

    /// Does `work` for every item, in parallel; results in the order of the items. The first error by that order wins.
    pub fn map<T: Sync, R: Send>(
        &mut self,
        items: &[T],
        work: impl Fn(&mut Networks, &T) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        let n = self.workers.len().min(items.len());
        if n <= 1 {
            let worker = &mut self.workers[0];
            return items.iter().map(|item| work(worker, item)).collect();
        }
        let mut shares: Vec<Vec<(usize, Result<R>)>> = self.workers[..n]
            .par_iter_mut()
            .enumerate()
            .map(|(k, worker)| {
                items.iter().enumerate().skip(k).step_by(n).map(|(i, item)| (i, work(worker, item))).collect()
            })
            .collect();
        let mut all: Vec<(usize, Result<R>)> = shares.iter_mut().flat_map(std::mem::take).collect();
        all.sort_by_key(|(i, _)| *i);
        all.into_iter().map(|(_, r)| r).collect()
    }
}
