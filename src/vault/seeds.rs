//! Seeds of one render, derived so that each is of use for one thing only.

use super::{Key, random_key};
use crate::Result;
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicU64, Ordering};

/// SHA-256 over several parts, each with its length, so that no two lists give the same.
#[must_use]
pub fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// A secret for one purpose, from another.
pub(crate) fn derive(from: &[u8; 32], purpose: &str, context: &[u8]) -> Key {
    Key::new(digest(&[b"understudy 1", from, purpose.as_bytes(), context]))
}

/// What the renders of one job draw at random.
///
/// A job renders until the attack fails on the result; each of these attempts has noise of its own, in an order that
/// is the same when the job is run again with the seeds of a vault.
pub struct Seeds {
    project: Option<Key>,
    render: Option<Key>,
    attempts: AtomicU64,
}

impl Seeds {
    /// Seeds that nobody keeps: all from the operating system, other voices in every attempt.
    #[must_use]
    pub fn forgotten() -> Self {
        Seeds { project: None, render: None, attempts: AtomicU64::new(0) }
    }

    /// Seeds of a vault.
    pub(super) fn kept(project: Key, render: Key) -> Self {
        Seeds { project: Some(project), render: Some(render), attempts: AtomicU64::new(0) }
    }

    /// Seeds of the next attempt.
    ///
    /// # Errors
    /// `Io` if the operating system gives no randomness.
    pub fn attempt(&self) -> Result<RenderSeeds> {
        let attempt = self.attempts.fetch_add(1, Ordering::SeqCst);
        let project = self.project.clone().map_or_else(random_key, Ok)?;
        let render = match &self.render {
            Some(key) => derive(key, "attempt", &attempt.to_le_bytes()),
            None => random_key()?,
        };
        Ok(RenderSeeds { project, render })
    }
}

/// Seeds of one attempt.
pub struct RenderSeeds {
    project: Key,
    render: Key,
}

impl RenderSeeds {
    /// Fresh seeds that nobody keeps.
    ///
    /// # Errors
    /// `Io` if the operating system gives no randomness.
    pub fn from_os() -> Result<Self> {
        Seeds::forgotten().attempt()
    }

    /// The secret behind the invented voice of a sound stream (number in the film, from 0): the same in every render
    /// with one vault.
    #[must_use]
    pub fn voice(&self, stream: usize) -> Key {
        derive(&self.project, "voice", &(stream as u64).to_le_bytes())
    }

    /// The seed of all noise of a sound stream: another in every render.
    #[must_use]
    pub fn noise(&self, stream: usize) -> Key {
        derive(&self.render, "noise", &(stream as u64).to_le_bytes())
    }

    /// The seed of the film grain: another in every render.
    #[must_use]
    pub fn grain(&self) -> u64 {
        let key = derive(&self.render, "grain", &[]);
        key.iter().take(8).fold(0, |all, b| all << 8 | u64::from(*b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(project: u8, render: u8) -> Seeds {
        Seeds::kept(Key::new([project; 32]), Key::new([render; 32]))
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_ne!(digest(&[b"a"]), digest(&[b"a", b""]));
    }

    #[test]
    fn voices_stay_and_noise_does_not() {
        let all = |s: &RenderSeeds| (s.voice(0), s.noise(0), s.grain());
        let (a, b) = (seeds(1, 2), seeds(1, 3));
        let (first, second, other) = (a.attempt().unwrap(), a.attempt().unwrap(), b.attempt().unwrap());
        for pair in [(&first, &second), (&first, &other)] {
            let (x, y) = (all(pair.0), all(pair.1));
            assert_eq!(x.0, y.0, "one voice");
            assert!(x.1 != y.1 && x.2 != y.2, "noise is shared");
        }
        assert_ne!(first.voice(0), first.voice(1));
        assert_ne!(first.noise(0), first.noise(1));
        assert_ne!(first.voice(0), seeds(2, 2).attempt().unwrap().voice(0));
        // The same job again.
        let again = seeds(1, 2);
        assert_eq!(all(&again.attempt().unwrap()), all(&first));
        assert_eq!(all(&again.attempt().unwrap()), all(&second));
    }

    #[test]
    fn what_nobody_keeps_never_comes_again() {
        let seeds = Seeds::forgotten();
        let (a, b) = (seeds.attempt().unwrap(), seeds.attempt().unwrap());
        assert!(a.voice(0) != b.voice(0) && a.grain() != b.grain());
    }
}
