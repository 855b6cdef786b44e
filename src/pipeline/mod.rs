//! Jobs: the only module that names threads and channels.
//!
//! ```text
//! analyse:  decode ─► [queue] ─► vision ─► plan
//! render:   decode ─► [queue] ─► prepare + treat (rayon) ─► [queue] ─► encode + mux ◄─ voice ◄─ decode
//! ```
//!
//! Queues are bounded in bytes. When several threads fail, the cause is reported and the echoes are dropped.

mod actors;
mod analyse;
mod audition;
mod checkpoint;
mod disguise;
mod doubles;
mod paths;
mod prepare;
mod progress;
mod recast;
mod refs;
mod render;
mod sound;
mod texts;
mod voices;
mod watch;

pub use actors::actor_files;
pub use analyse::{AnalyseJob, analyse};
pub use checkpoint::Checkpoint;
pub use disguise::{DisguiseJob, Published, built_in_doubt, disguise, models_used, render_and_verify, residual};
pub use doubles::double_choices;
pub use paths::{check_input, check_output};
pub use progress::{Cancel, Progress, Silent};
pub use refs::match_refs;
pub use render::{RenderJob, RenderSummary, render};
pub use sound::stream_policies;
pub use voices::{VoicesJob, propose_voices};

use crate::{Error, Result};

/// Bytes that one queue of frames may hold.
const QUEUE_BYTES: usize = 12 << 20;

/// Frames of `bytes` each that a queue may hold.
fn queue_len(bytes: usize) -> usize {
    (QUEUE_BYTES / bytes.max(1)).clamp(2, 8)
}

/// The first real cause among the results of several threads.
fn first_cause<T>(results: Vec<Result<T>>) -> Result<Vec<T>> {
    let mut cause: Option<Error> = None;
    let mut good = Vec::with_capacity(results.len());
    for r in results {
        match r {
            Ok(v) => good.push(v),
            Err(e) => {
                let better = matches!((&cause, &e), (None | Some(Error::Cancelled), _) | (Some(_), Error::Interrupted));
                if better {
                    cause = Some(e);
                }
            }
        }
    }
    cause.map_or(Ok(good), Err)
}

/// Joins a thread; a panic in it is an error like any other.
fn join<T>(handle: std::thread::ScopedJoinHandle<'_, Result<T>>, what: &str) -> Result<T> {
    match handle.join() {
        Ok(result) => result,
        Err(_panic) => Err(Error::Output(format!("the {what} stopped unexpectedly; nothing was published"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_wins_over_its_echoes() {
        let r: Vec<Result<()>> = vec![Err(Error::Cancelled), Err(Error::Input("cut off".into())), Ok(())];
        assert!(matches!(first_cause(r), Err(Error::Input(_))));
        let r: Vec<Result<u8>> = vec![Ok(1), Ok(2)];
        assert_eq!(first_cause(r).unwrap(), vec![1, 2]);
    }

    #[test]
    fn queues_are_bounded_for_any_frame() {
        assert_eq!(queue_len(1), 8);
        assert_eq!(queue_len(usize::MAX), 2);
    }
}
