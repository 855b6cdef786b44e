#![expect(clippy::unwrap_used, reason = "a test may stop where it likes")]

//! The targets of `fuzz/` without a fuzzer: every seed as it is, and mutations of it drawn blindly.
//!
//! 300 mutations for each target; `UNDERSTUDY_FUZZ_SECS=600` makes it ten minutes for each, and `UNDERSTUDY_FUZZ_TARGET`
//! chooses one. Nothing may panic, crash, or take ten seconds. A mutation can be made again from its number.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use understudy::fuzzing;

const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST: usize = 200_000;

/// A small generator of numbers (xorshift); its seed is the mutation's number.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Numbers that programs stumble over.
const EDGES: [u64; 10] =
    [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, 0xffff_ffff_ffff_ffff];

fn mutate(bytes: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    for _ in 0..1 + dice.below(6) {
        let at = dice.below(bytes.len() + 1);
        let longest = if dice.below(4) == 0 { 400 } else { 9 };
        let len = 1 + dice.below(longest);
        let end = (at + len).min(bytes.len());
        match dice.below(9) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => bytes[at..end].iter_mut().for_each(|b| *b = dice.next() as u8),
            3 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            4 => {
                let piece = bytes[at..end].to_vec();
                let to = dice.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            5 | 6 => {
                let edge = EDGES[dice.below(EDGES.len())].wrapping_add(dice.below(3) as u64).wrapping_sub(1);
                let width = [1, 2, 4, 8][dice.below(4)];
                let number = if dice.below(2) == 0 { edge.to_le_bytes() } else { edge.to_be_bytes() };
                let part = if dice.below(2) == 0 { &number[..width] } else { &number[8 - width..] };
                let end = (at + width).min(bytes.len());
                bytes.splice(at..end, part.iter().copied());
            }
            7 => {
                let from = dice.below(other.len() + 1);
                let piece = &other[from..(from + len * 8).min(other.len())];
                bytes.splice(at..end, piece.iter().copied());
            }
            _ => bytes[at..end].reverse(),
        }
        bytes.truncate(LONGEST);
    }
}

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
            mutate(&mut bytes, &other, &mut dice);
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
fn films() {
    understudy::media::init();
    through_a_file("media", fuzzing::media);
}

#[test]
fn outputs() {
    understudy::media::init();
    through_a_file("container", fuzzing::container);
}
