#![expect(clippy::unwrap_used, reason = "a test may stop where it likes")]

//! The targets of `fuzz/` without a fuzzer: every seed as it is, and mutations of it drawn blindly.
//!
//! 300 mutations for each target; `UNDERSTUDY_FUZZ_SECS=600` makes it ten minutes for each, and `UNDERSTUDY_FUZZ_TARGET`
//! chooses one. Nothing may panic, crash, or take ten seconds. A mutation can be made again from its number.

#[path = "common/dice.rs"]
mod dice;

use dice::{Dice, splice};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use understudy::fuzzing;

const PATIENCE: Duration = Duration::from_secs(10);
/// Longest input, bytes.
const LONGEST: usize = 200_000;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files.iter().map(|f| std::fs::read(f).unwrap()).collect()
}

/// Runs a target over its seeds and mutations of them; how many there were.
fn run(target: &str, work: &dyn Fn(&[u8])) -> u64 {
    if std::env::var("UNDERSTUDY_FUZZ_TARGET").is_ok_and(|t| t != target) {
        return 0;
    }
    let secs: Option<u64> = std::env::var("UNDERSTUDY_FUZZ_SECS").ok().and_then(|s| s.parse().ok());
    let seeds = seeds(target);
    let (start, mut slowest) = (Instant::now(), Duration::ZERO);
    let last = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{target}"));
    let mut number = 0u64;
    // Other numbers in a long run than in a short one.
    let first = if secs.is_some() { u64::from(std::process::id()) << 32 } else { 0 };
    loop {
        let more = secs.map_or(number < 300, |s| start.elapsed() < Duration::from_secs(s));
        if !more {
            break;
        }
        let mut dice = Dice((first + number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut bytes = seeds[number as usize % seeds.len()].clone();
        if number as usize >= seeds.len() {
            let other = seeds[dice.below(seeds.len())].clone();
            splice(&mut bytes, &other, LONGEST, &mut dice);
        }
        if secs.is_some() {
            std::fs::write(&last, &bytes).unwrap(); // what a crash was made by
        }
        let timed = || {
            let began = Instant::now();
            work(&bytes);
            began.elapsed()
        };
        // Once more if it was slow: the machine may have had other work.
        let took = Some(timed()).filter(|t| *t < PATIENCE).unwrap_or_else(timed);
        assert!(took < PATIENCE, "{target}: mutation {} took {took:?}", first + number);
        slowest = slowest.max(took);
        number += 1;
    }
    eprintln!("{target}: {number} inputs in {:.0?}, slowest {slowest:.0?}", start.elapsed());
    number
}

fn through_a_file(target: &str, work: fn(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    let film = dir.path().join("film");
    run(target, &|bytes| {
        std::fs::write(&film, bytes).unwrap();
        work(&film);
    });
}

#[test]
fn plans() {
    run("plan", &fuzzing::plan);
}

#[test]
fn casts() {
    run("cast", &fuzzing::cast);
}

#[test]
fn manifests() {
    run("manifest", &fuzzing::manifest);
}

#[test]
fn vaults() {
    run("vault", &fuzzing::vault);
}

#[test]
fn checkpoints() {
    run("checkpoint", &fuzzing::checkpoint);
}

#[test]
fn subtitles() {
    run("subtitles", &fuzzing::subtitles);
}

#[test]
fn films() {
    understudy::media::init();
    through_a_file("media", fuzzing::media);
}

#[test]
fn outputs() {
    understudy::media::init();
    through_a_file("container", fuzzing::container);
}
