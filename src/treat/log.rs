//! What became of all faces, added up.

use super::Outcome;
use crate::plan::Finding;
use std::collections::BTreeMap;

/// Counts of outcomes per track.
#[derive(Debug, Clone, Default)]
pub struct TreatLog {
    counts: BTreeMap<(u32, Outcome), (u64, u64)>,
}

impl TreatLog {
    /// Records one face in one frame.
    pub fn add(&mut self, frame: u64, track: u32, outcome: Outcome) {
        let entry = self.counts.entry((track, outcome)).or_insert((frame, 0));
        entry.0 = entry.0.min(frame);
        entry.1 += 1;
    }

    /// Face-frames with this outcome, over all tracks.
    #[must_use]
    pub fn total(&self, wanted: impl Fn(Outcome) -> bool) -> u64 {
        self.counts.iter().filter(|((_, o), _)| wanted(*o)).map(|(_, (_, n))| n).sum()
    }

    /// The doubts among them.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.counts
            .iter()
            .filter_map(|((track, outcome), (first, count))| match outcome {
                Outcome::Covered(reason) => Some(Finding {
                    kind: reason.key().into(),
                    frame: Some(*first),
                    track: Some(*track),
                    count: *count,
                    note: reason.note().into(),
                }),
                _ => None,
            })
            .collect()
    }
}
