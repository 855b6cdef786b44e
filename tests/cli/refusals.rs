//! Inputs that cannot be disguised: exit code 3, and nothing new in the folder.

use crate::common::{Sandbox, ffmpeg, kit, pattern};
use std::path::Path;

/// Runs `disguise NAME -o out.mp4` on a file that must be refused; no networks are needed to know.
#[track_caller]
fn refused(sandbox: &Sandbox, name: &str, word: &str) {
    let before = sandbox.files();
    for command in ["disguise", "analyse"] {
        sandbox.run([command, name, "-o", "out.mp4"]).refuses(3, word);
        assert_eq!(sandbox.files(), before);
    }
}

#[test]
fn a_missing_file() {
    refused(&Sandbox::new(), "nowhere.mp4", "cannot open");
}

#[test]
fn a_folder() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("films.mp4")).unwrap();
    refused(&sandbox, "films.mp4", "archive");
}

#[test]
fn an_empty_file() {
    let sandbox = Sandbox::new();
    sandbox.write("empty.mp4", b"");
    refused(&sandbox, "empty.mp4", "empty");
}

#[test]
fn text_under_the_name_of_a_film() {
    let sandbox = Sandbox::new();
    sandbox.write("text.mp4", "Dear sir, this is no film.\n".repeat(400).as_bytes());
    refused(&sandbox, "text.mp4", "text.mp4");
}

#[test]
fn noise_under_the_name_of_a_film() {
    let sandbox = Sandbox::new();
    let mut x = 1u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (x >> 24) as u8
    })
    .take(200_000)
    .collect();
    sandbox.write("noise.mkv", &noise);
    refused(&sandbox, "noise.mkv", "noise.mkv");
}

#[test]
fn a_film_whose_index_is_cut_off() {
    let sandbox = Sandbox::new();
    let plain = sandbox.path("plain.mp4");
    ffmpeg(["-i".as_ref(), pattern().as_os_str(), "-c".as_ref(), "copy".as_ref(), plain.as_os_str()]);
    let bytes = std::fs::read(&plain).unwrap();
    std::fs::remove_file(&plain).unwrap();
    let index = bytes.windows(4).position(|w| w == b"moov").expect("an index at the end");
    sandbox.write("cut.mp4", &bytes[..index - 4]);
    refused(&sandbox, "cut.mp4", "cut.mp4");
    sandbox.run(["disguise", "cut.mp4", "-o", "out.mp4", "--salvage"]).refuses(3, "cut.mp4");
}

#[test]
fn sound_without_pictures() {
    let sandbox = Sandbox::new();
    let sound = sandbox.path("sound.m4a");
    ffmpeg(["-f".as_ref(), "lavfi".as_ref(), "-i".as_ref(), "sine=d=1".as_ref(), sound.as_os_str()]);
    refused(&sandbox, "sound.m4a", "video");
}

#[test]
fn a_film_without_frames() {
    let sandbox = Sandbox::new();
    let whole = sandbox.path("whole.mkv");
    ffmpeg(["-i".as_ref(), pattern().as_os_str(), "-c".as_ref(), "copy".as_ref(), whole.as_os_str()]);
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::remove_file(&whole).unwrap();
    let cluster = bytes.windows(4).position(|w| w == [0x1f, 0x43, 0xb6, 0x75]).expect("a first cluster");
    sandbox.write("header.mkv", &bytes[..cluster]);
    let before = sandbox.files();
    // Whether a stream without frames is noticed before or after the networks are loaded is not laid down.
    let Some(kit) = kit("a_film_without_frames") else { return };
    sandbox.run_with(kit, ["disguise", "header.mkv", "-o", "out.mkv"]).refuses(3, "header.mkv");
    assert_eq!(sandbox.files(), before);
}

#[test]
fn a_film_cut_in_the_middle_needs_salvage() {
    let Some(kit) = kit("a_film_cut_in_the_middle_needs_salvage") else { return };
    let sandbox = Sandbox::new();
    let bytes = std::fs::read(&kit.short).unwrap();
    sandbox.write("cut.mp4", &bytes[..bytes.len() * 2 / 3]);
    let before = sandbox.files();
    sandbox.run_with(kit, ["disguise", "cut.mp4", "-o", "out.mp4"]).refuses(3, "--salvage");
    assert_eq!(sandbox.files(), before);
    sandbox.run_with(kit, ["disguise", "cut.mp4", "-o", "out.mp4", "--salvage"]).ends_with(0);
    assert!(sandbox.path("out.mp4").is_file());
    assert!(!left_over(&sandbox), "{:?}", sandbox.files());
}

#[test]
fn films_past_the_limits() {
    let sandbox = Sandbox::new();
    let make = |name: &str, args: &[&str]| {
        let path = sandbox.path(name).to_string_lossy().into_owned();
        ffmpeg([args, &[path.as_str()]].concat());
    };
    let lavfi = |source: &'static str| ["-f", "lavfi", "-i", source];
    let wide = [&lavfi("color=s=16402x16:d=0.1")[..], &["-c:v", "ffv1"]].concat();
    let high = [&lavfi("color=s=16x16402:d=0.1")[..], &["-c:v", "ffv1"]].concat();
    let large = [&lavfi("color=s=13000x11000:r=1:d=1")[..], &["-c:v", "ffv1", "-threads", "1"]].concat();
    // Two pictures, more than a day apart.
    let long = [&lavfi("color=s=64x48:r=1/90000:d=180000")[..], &["-c:v", "ffv1"]].concat();
    let mut streams = [&lavfi("color=s=64x48:d=0.2")[..], &lavfi("sine=d=0.2"), &["-map", "0:v"]].concat();
    streams.extend(["-map", "1:a"].repeat(64));
    streams.extend(["-c:v", "ffv1", "-c:a", "pcm_s16le"]);
    let limits = [
        ("wide", wide, "picture"),
        ("high", high, "picture"),
        ("large", large, "pixels"),
        ("long", long, "lasts"),
        ("streams", streams, "streams"),
    ];
    for (name, args, word) in limits {
        let film = format!("{name}.mkv");
        make(&film, &args);
        let before = sandbox.files();
        let run = sandbox.run(["disguise", &film, "-o", "out.mkv"]).refuses(3, word);
        assert!(run.stderr.contains("limit"), "{name}: {}", run.stderr);
        assert_eq!(sandbox.files(), before);
        std::fs::remove_file(sandbox.path(&film)).unwrap();
    }
}

#[test]
fn casts_past_the_limits() {
    let sandbox = Sandbox::new();
    sandbox.copy(pattern(), "in.mp4");
    let people: String = (0..1001).map(|i| format!("[[person]]\nalias = \"P{i}\"\ntracks = [{i}]\n")).collect();
    sandbox.write("many.toml", people.as_bytes());
    sandbox.write("large.toml", "# nothing\n".repeat(500_000).as_bytes());
    let before = sandbox.files();
    for cast in ["many.toml", "large.toml"] {
        sandbox.run(["disguise", "in.mp4", "-o", "out.mp4", "--cast", cast]).refuses(4, "limit");
        assert_eq!(sandbox.files(), before);
    }
}

#[test]
fn wrong_command_lines() {
    let sandbox = Sandbox::new();
    sandbox.copy(pattern(), "in.mp4");
    let before = sandbox.files();
    for args in [
        &["disguise", "in.mp4"][..],
        &["disguise", "-o", "out.mp4"],
        &["disguise", "in.mp4", "-o", "out.mp4", "--preset", "best"],
        &["disguise", "in.mp4", "-o", "out.mp4", "--unmask"],
        &["disguise", "in.mp4", "-o", "out.mp4", "--threads", "0"],
        &["unmask", "in.mp4"],
        &["shred"],
        &[],
    ] {
        let run = sandbox.run(args).ends_with(2);
        assert!(!run.stderr.is_empty(), "{args:?} says nothing");
        assert_eq!(sandbox.files(), before);
    }
}

#[test]
fn help_and_version_are_not_errors() {
    let sandbox = Sandbox::new();
    let help = sandbox.run(["--help"]).ends_with(0).stdout;
    for command in
        ["disguise", "analyse", "render", "verify", "double", "models", "archive", "bench", "doctor", "shred", "vault"]
    {
        assert!(help.contains(command), "{command} is not in the help");
    }
    assert!(sandbox.run(["--version"]).ends_with(0).stdout.contains(env!("CARGO_PKG_VERSION")));
}

/// Whether a part file lies about.
pub fn left_over(sandbox: &Sandbox) -> bool {
    sandbox.files().iter().any(|f| Path::new(f).file_name().is_some_and(|n| n.to_string_lossy().contains("part")))
}
