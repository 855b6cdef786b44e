//! Films of many makes, without people: every frame comes out as it went in, bit by bit.

use crate::common::{Sandbox, fixtures, kit};
use crate::films::{assert_scrubbed_streams, frame_hashes};
use std::path::{Path, PathBuf};
use std::process::Command;

fn films() -> Vec<PathBuf> {
    let folder = fixtures().join("makes");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/make");
    let made = Command::new(script).arg(&folder).status().expect("tests/samples/make runs");
    assert!(made.success());
    let mut films: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().flatten().map(|e| e.path()).collect();
    films.sort();
    assert!(films.len() >= 5, "too few films could be made: {films:?}");
    films
}

#[test]
fn every_make_of_film_keeps_its_frames() {
    let Some(kit) = kit("every_make_of_film_keeps_its_frames") else { return };
    let sandbox = Sandbox::new();
    for film in films() {
        let name = film.file_name().unwrap().to_string_lossy().into_owned();
        sandbox.copy(&film, &name);
        let out = format!("{name}.mkv");
        let run = sandbox.run_with(kit, ["disguise", &name, "-o", &out, "--preset", "lossless", "--recall", "draft"]);
        assert_eq!(run.code, 0, "{name}: {}", run.stderr);
        let (before, after) = (frame_hashes(&film, None), frame_hashes(&sandbox.path(&out), None));
        assert!(!before.is_empty());
        assert_eq!(before.len(), after.len(), "{name}: number of frames");
        let changed = before.iter().zip(&after).filter(|(a, b)| a != b).count();
        assert_eq!(changed, 0, "{name}: {changed} of {} frames differ", before.len());
        assert_scrubbed_streams(&sandbox.path(&out), name != "silent.mp4");
    }
}
