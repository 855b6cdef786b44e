#![expect(clippy::unwrap_used, reason = "a test may stop where it likes")]

//! Mutated media: cut off, flipped, shuffled, with absurd sizes. Nothing may crash, hang for more than ten seconds, or
//! appear under a final name.
//!
//! 240 files, `UNDERSTUDY_SOAK=1` makes it 2400. Every file is opened, listed and decoded to its end by the library;
//! one in forty also goes through the program. A file can be made again from its number: `UNDERSTUDY_MUTANT=N`.

#[path = "common/mod.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "helpers shared with other tests")]
mod common;

#[path = "common/dice.rs"]
mod dice;

use common::{Sandbox, ffmpeg, fixtures, kit, pattern};
use dice::Dice;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use understudy::media::{AudioReader, DecodeOptions, Limits, VideoReader, probe, raw_streams};

/// Longest time for one file.
const PATIENCE: Duration = Duration::from_secs(10);

/// Containers and codecs of the films that are mutated.
const SEEDS: [(&str, &[&str]); 12] = [
    ("a.mp4", &["-c:v", "libx264", "-c:a", "aac", "-movflags", "+faststart"]),
    ("b.mp4", &["-c:v", "libx265", "-x265-params", "log-level=none", "-c:a", "aac"]),
    ("c.mov", &["-c:v", "prores_ks", "-c:a", "pcm_s16le", "-timecode", "01:00:00:00"]),
    ("d.mkv", &["-c:v", "ffv1", "-c:a", "flac"]),
    ("e.webm", &["-c:v", "libvpx-vp9", "-cpu-used", "8", "-c:a", "libopus"]),
    ("f.avi", &["-c:v", "mpeg4", "-c:a", "libmp3lame"]),
    ("g.ts", &["-c:v", "libx264", "-c:a", "aac"]),
    ("h.mpg", &["-c:v", "mpeg2video", "-c:a", "mp2"]),
    ("i.ogv", &["-c:v", "libtheora", "-c:a", "libvorbis"]),
    ("j.flv", &["-c:v", "flv", "-ar", "44100", "-c:a", "libmp3lame"]),
    ("k.gif", &["-an"]),
    ("l.mxf", &["-c:v", "mpeg2video", "-c:a", "pcm_s16le"]),
];

fn films() -> Vec<(String, Vec<u8>)> {
    let mut out = Vec::new();
    for (name, codec) in SEEDS {
        let path = fixtures().join(format!("seed-{name}"));
        let source =
            ["-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=0.6", "-f", "lavfi", "-i", "anoisesrc=r=48000:d=0.6:a=0.2"];
        let text = path.to_string_lossy().into_owned();
        ffmpeg(
            [
                &source[..],
                &[
                    "-pix_fmt",
                    if name == "c.mov" {
                        "yuv422p10le"
                    } else if name == "k.gif" {
                        "rgb8"
                    } else {
                        "yuv420p"
                    },
                ],
                codec,
                &[&text],
            ]
            .concat(),
        );
        out.push((name.rsplit('.').next().unwrap().to_owned(), std::fs::read(&path).unwrap()));
    }
    out
}

/// Where the parts of an ISO file begin (their size field), nested ones included.
fn boxes(bytes: &[u8], from: usize, to: usize, depth: usize, into: &mut Vec<(usize, usize)>) {
    let mut at = from;
    while at + 8 <= to && into.len() < 500 {
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        if size < 8 || at + size > to {
            return;
        }
        into.push((at, size));
        let holds = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta"];
        if depth < 6 && holds.iter().any(|h| &bytes[at + 4..at + 8] == *h) {
            boxes(bytes, at + 8, at + size, depth + 1, into);
        }
        at += size;
    }
}

/// Spoils a film; says how.
fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) -> &'static str {
    let n = bytes.len();
    let number =
        |dice: &mut Dice| [0u32, 1, 7, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x00ff_ffff][dice.below(7)].to_be_bytes();
    match dice.below(9) {
        0 => {
            bytes.truncate(dice.below(n));
            "cut off"
        }
        1 => {
            for _ in 0..=dice.below(64) {
                let at = dice.below(n);
                bytes[at] ^= 1 << dice.below(8);
            }
            "bits flipped"
        }
        2 => {
            // Headers stand in front, and in some containers at the end.
            for _ in 0..=dice.below(24) {
                let at = if dice.below(2) == 0 { dice.below(n.min(1024)) } else { n - 1 - dice.below(n.min(1024)) };
                bytes[at] = dice.next() as u8;
            }
            "headers overwritten"
        }
        3 => {
            for _ in 0..=dice.below(4) {
                let at = dice.below(n.min(4096).saturating_sub(4));
                bytes[at..at + 4].copy_from_slice(&number(dice));
            }
            "absurd numbers"
        }
        4 => {
            let size = 1 + dice.below(n / 4);
            let (a, b) = (dice.below(n - size), dice.below(n - size));
            let (x, y) = (bytes[a..a + size].to_vec(), bytes[b..b + size].to_vec());
            bytes[a..a + size].copy_from_slice(&y);
            bytes[b..b + size].copy_from_slice(&x);
            "pieces swapped"
        }
        5 => {
            let size = 1 + dice.below(n / 4);
            let at = dice.below(n - size);
            let fill = [0u8, 0xff][dice.below(2)];
            bytes[at..at + size].fill(fill);
            "a hole"
        }
        6 => {
            let size = 1 + dice.below(n / 3);
            let at = dice.below(n - size);
            let piece = bytes[at..at + size].to_vec();
            let to = dice.below(n);
            bytes.splice(to..to, piece);
            "a piece twice"
        }
        7 => {
            let mut all = Vec::new();
            boxes(bytes, 0, n, 0, &mut all);
            if all.len() < 2 {
                bytes.drain(..dice.below(n / 2));
                return "beginning lost";
            }
            let (a, b) = (all[dice.below(all.len())], all[dice.below(all.len())]);
            let names = (bytes[a.0 + 4..a.0 + 8].to_vec(), bytes[b.0 + 4..b.0 + 8].to_vec());
            bytes[a.0 + 4..a.0 + 8].copy_from_slice(&names.1);
            bytes[b.0 + 4..b.0 + 8].copy_from_slice(&names.0);
            "atoms swapped"
        }
        _ => {
            let mut all = Vec::new();
            boxes(bytes, 0, n, 0, &mut all);
            let Some((at, size)) = (!all.is_empty()).then(|| all[dice.below(all.len())]) else {
                bytes.extend_from_within(..dice.below(n));
                return "beginning repeated at the end";
            };
            // The size of a part, or a count inside it.
            let within = if dice.below(2) == 0 { 0 } else { 8 + dice.below(size.saturating_sub(12).min(64)) };
            let place = (at + within).min(n - 4);
            bytes[place..place + 4].copy_from_slice(&number(dice));
            "absurd atom"
        }
    }
}

/// Opens, lists and decodes a file as far as it goes.
fn decode(path: &Path, salvage: bool) -> (u64, u64) {
    let limits = Limits { max_frames: 2000, max_duration_secs: 600.0, ..Limits::default() };
    let (mut frames, mut samples) = (0, 0);
    // Whether a file is refused or not is its own affair; that it ends is what counts.
    drop(raw_streams(path, &limits));
    let Ok(found) = probe(path, &limits) else { return (0, 0) };
    if let Ok(mut film) = VideoReader::open(path, &limits, DecodeOptions { threads: 1, salvage }) {
        while let Ok(Some(_)) = film.next() {
            frames += 1;
        }
    }
    for stream in &found.audio {
        if let Ok(mut sound) = AudioReader::open(path, stream.stream_index, &limits, salvage) {
            while let Ok(Some(block)) = sound.next() {
                samples += block.len() as u64;
            }
        }
    }
    (frames, samples)
}

/// The file in work and when it began, in milliseconds; a watchdog ends the test when it takes too long.
fn watch(current: &'static AtomicU64, since: &'static AtomicU64, start: Instant) {
    let work = move || {
        loop {
            std::thread::sleep(Duration::from_millis(250));
            let (n, from) = (current.load(Ordering::SeqCst), since.load(Ordering::SeqCst));
            if n == u64::MAX {
                return;
            }
            if start.elapsed().as_millis() as u64 > from + PATIENCE.as_millis() as u64 {
                eprintln!("file {n} hangs: repeat with UNDERSTUDY_MUTANT={n}");
                std::process::abort();
            }
        }
    };
    std::thread::Builder::new().name("watchdog".into()).spawn(work).unwrap();
}

#[test]
fn mutated_media_end_in_order() {
    static CURRENT: AtomicU64 = AtomicU64::new(0);
    static SINCE: AtomicU64 = AtomicU64::new(0);
    let soak = std::env::var_os("UNDERSTUDY_SOAK").is_some_and(|v| v == "1");
    let only: Option<u64> = std::env::var("UNDERSTUDY_MUTANT").ok().and_then(|v| v.parse().ok());
    let count = if soak { 2400 } else { 240 };
    let (seeds, start) = (films(), Instant::now());
    let kit = kit("mutated_media_end_in_order");
    let sandbox = Sandbox::new();
    let (mut decoded, mut slowest, mut programs) = (0u64, (Duration::ZERO, 0), 0);
    watch(&CURRENT, &SINCE, start);
    for n in only.map_or(0..count, |n| n..n + 1) {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (n + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9));
        for _ in 0..4 {
            dice.next();
        }
        let (ending, film) = &seeds[n as usize % seeds.len()];
        let mut bytes = film.clone();
        let how = mutate(&mut bytes, &mut dice);
        let name = format!("mutant-{n}.{ending}");
        let path: PathBuf = sandbox.write(&name, &bytes);
        CURRENT.store(n, Ordering::SeqCst);
        SINCE.store(start.elapsed().as_millis() as u64, Ordering::SeqCst);
        let began = Instant::now();
        let (frames, _) = decode(&path, n % 2 == 1);
        decoded += u64::from(frames > 0);
        if began.elapsed() > slowest.0 {
            slowest = (began.elapsed(), n);
        }
        if let Some(kit) = kit.filter(|_| n % 40 == 7 || only.is_some()) {
            SINCE.store(u64::MAX / 2, Ordering::SeqCst); // the program has a limit of its own
            programs += 1;
            let out = format!("out-{n}.mkv");
            let began = Instant::now();
            let run = sandbox.run_with(kit, ["disguise", &name, "-o", &out, "--report", "report"]);
            assert!([0, 3, 6].contains(&run.code) || run.is_refused(), "{name} ({how}): {} {}", run.code, run.stderr);
            assert!(
                !run.stderr.contains("panicked") && began.elapsed() < PATIENCE * 12,
                "{name} ({how}): {}",
                run.stderr
            );
            assert_eq!(sandbox.path(&out).exists(), run.code == 0, "{name} ({how})");
            let parts: Vec<String> = sandbox.files().into_iter().filter(|f| f.ends_with(".part")).collect();
            assert!(parts.is_empty(), "{name} ({how}) left {parts:?}");
            // As an output it is judged, and never cleared: it shows another film than the pattern.
            let run = sandbox.run_with(
                kit,
                ["verify".as_ref(), pattern().as_os_str(), path.as_os_str(), "--report".as_ref(), "judged".as_ref()],
            );
            assert!(run.code == 3 || run.is_refused(), "{name} ({how}) as an output: {} {}", run.code, run.stderr);
            if sandbox.path(&out).exists() {
                std::fs::remove_file(sandbox.path(&out)).unwrap();
            }
        }
        std::fs::remove_file(path).unwrap();
    }
    CURRENT.store(u64::MAX, Ordering::SeqCst);
    println!(
        "{count} files in {:.0} s, {decoded} of them gave pictures, {programs} went through the program; slowest {:.2} s (file {})",
        start.elapsed().as_secs_f64(),
        slowest.0.as_secs_f64(),
        slowest.1
    );
    // A corpus that is refused as a whole would prove nothing.
    assert!(only.is_some() || decoded > count / 4, "only {decoded} of {count} files were decoded at all");
}
