//! The whole way of a film, judged by FFmpeg's tools: pictures changed where the face is, nothing changed elsewhere,
//! no tag left.

use crate::common::{Kit, Sandbox, ffmpeg, finish, fixtures, kit, pattern, tool};
use crate::refusals::left_over;
use std::path::Path;
use std::process::Command;

/// What the sample carries so that it can be missed in the output.
const TRACES: [&str; 8] =
    ["Sample Person", "Interview with", "kitchen", "52.3731", "Sample Camera", "The office", "2024-05-17", "Lavf"];

/// `[entries] -> text` of ffprobe for a file.
fn probe(film: &Path, args: &[&str]) -> String {
    tool("ffprobe", ["-v", "error"].iter().chain(args).map(std::ffi::OsStr::new).chain([film.as_os_str()]))
}

fn frames(film: &Path) -> u64 {
    let args = ["-count_frames", "-select_streams", "v:0", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"];
    probe(film, &args).trim().trim_end_matches(',').parse().expect("a number of frames")
}

/// Hash of every decoded frame of a window (`w:h:x:y`) of the picture.
pub fn frame_hashes(film: &Path, window: Option<&str>) -> Vec<String> {
    let filter = window.map_or_else(|| "null".into(), |w| format!("crop={w}"));
    let text = ffmpeg(["-i", &film.to_string_lossy(), "-map", "0:v:0", "-vf", &filter, "-f", "framemd5", "-"]);
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    lines.filter_map(|l| l.rsplit(',').next()).map(|h| h.trim().to_owned()).collect()
}

/// Grey pixels of a window in every frame.
fn window(film: &Path, window: &str) -> Vec<u8> {
    let filter = format!("crop={window},format=gray");
    let run = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(film)
        .args(["-vf", &filter, "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    run.stdout
}

fn difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64
}

/// Asserts that no tag, chapter, extra stream or trace of the source is left in `film`.
fn assert_scrubbed(film: &Path) {
    assert_scrubbed_streams(film, true);
}

/// The same, of a film with or without sound.
pub fn assert_scrubbed_streams(film: &Path, sound: bool) {
    let streams = probe(film, &["-show_entries", "stream=codec_type", "-of", "csv=p=0"]);
    let mut kinds: Vec<&str> = streams.lines().map(|l| l.trim_matches(',')).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, if sound { vec!["audio", "video"] } else { vec!["video"] });
    assert_eq!(probe(film, &["-show_chapters", "-of", "csv=p=0"]).trim(), "");
    let tags = probe(film, &["-show_entries", "format_tags:stream_tags", "-of", "flat"]);
    for line in tags.lines() {
        let key = line.split('=').next().unwrap_or_default().rsplit('.').next().unwrap_or_default();
        let structural =
            ["major_brand", "minor_version", "compatible_brands", "handler_name", "vendor_id", "language", "DURATION"];
        // Matroska demands the field of the writer's name; it must be empty.
        assert!(structural.contains(&key) || line.ends_with("=\"\""), "a tag is left: {line}");
    }
    let bytes = std::fs::read(film).unwrap();
    for trace in TRACES.iter().chain(&["x264 - core"]) {
        assert!(!bytes.windows(trace.len()).any(|w| w == trace.as_bytes()), "`{trace}` is in the bytes of the film");
    }
}

#[test]
fn the_sample_carries_what_must_be_removed() {
    let film = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/interview.mp4");
    let all = probe(&film, &["-show_format", "-show_streams", "-show_chapters", "-of", "flat"]);
    for trace in TRACES {
        assert!(all.contains(trace), "`{trace}` is not in the sample, so its removal shows nothing");
    }
}

#[test]
fn the_sample_is_disguised_and_cleared() {
    let Some(kit) = kit("the_sample_is_disguised_and_cleared") else { return };
    let sandbox = Sandbox::new();
    sandbox.copy(&kit.film, "in.mp4");
    let run =
        sandbox.run_with(kit, ["disguise", "in.mp4", "-o", "out.mp4", "--preset", "web", "--report", "r", "--json"]);
    let run = run.ends_with(0);
    let events: Vec<serde_json::Value> =
        run.stdout.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect();
    let last = events.last().expect("events");
    assert_eq!(last["event"], "cleared", "{last}");
    assert_eq!(last["people"], 1);
    assert_eq!(last["kept"], 0);
    let swapped = last["swapped"].as_u64().unwrap();
    assert!(swapped >= 200, "{swapped} of 210 faces were replaced by a double");

    let out = sandbox.path("out.mp4");
    assert_eq!(frames(&out), frames(&kit.film));
    assert_scrubbed(&out);
    assert!(!left_over(&sandbox), "{:?}", sandbox.files());
    let page = std::fs::read_to_string(sandbox.path("r/report.html")).unwrap();
    assert!(!page.contains("http://") && !page.contains("https://"), "the report must not load anything");
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(sandbox.path("r/report.json")).unwrap()).unwrap();
    assert_eq!(report["cleared"], true);

    // The face, wherever it moves to, lies in the middle; the wall on the right is far from it.
    let face = difference(&window(&kit.film, "120:150:367:150"), &window(&out, "120:150:367:150"));
    let wall = difference(&window(&kit.film, "60:300:560:20"), &window(&out, "60:300:560:20"));
    assert!(face > 4.0, "the face hardly changed: {face:.2}");
    assert!(wall < 2.0, "the background changed: {wall:.2}");
    assert!(sound_changed(kit, &out));

    // The finished film stands a second attack; the original does not.
    sandbox.run_with(kit, ["verify", "in.mp4", "out.mp4", "--report", "again"]).ends_with(0);
    let undisguised = sandbox.copy(&kit.film, "copy.mp4");
    sandbox.run_with(kit, ["verify".as_ref(), "in.mp4".as_ref(), undisguised.as_os_str()]).ends_with(7);
}

/// Whether decoded sound differs from the source by more than coding does: mean difference against mean loudness.
fn sound_changed(kit: &Kit, out: &Path) -> bool {
    let samples = |film: &Path| -> Vec<f64> {
        let run = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-i"])
            .arg(film)
            .args(["-vn", "-ac", "1", "-ar", "16000", "-f", "s16le", "-"])
            .output()
            .unwrap();
        run.stdout.chunks_exact(2).map(|b| f64::from(i16::from_le_bytes([b[0], b[1]]))).collect()
    };
    let (a, b) = (samples(&kit.film), samples(out));
    let n = a.len().min(b.len());
    assert!(a.len().abs_diff(b.len()) < 16000 / 10, "the sound has another length: {} {}", a.len(), b.len());
    let energy = |x: &[f64]| x.iter().map(|v| v * v).sum::<f64>();
    let dot: f64 = a[..n].iter().zip(&b[..n]).map(|(a, b)| a * b).sum();
    let likeness = dot / (energy(&a[..n]) * energy(&b[..n])).sqrt();
    assert!(energy(&b[..n]) > 0.01 * energy(&a[..n]), "the sound was silenced");
    likeness.abs() < 0.5
}

#[test]
fn results_do_not_depend_on_threads() {
    let Some(kit) = kit("results_do_not_depend_on_threads") else { return };
    let sandbox = Sandbox::new();
    sandbox.copy(&kit.short, "in.mp4");
    sandbox.run_with(kit, ["analyse", "in.mp4", "-o", "film.plan"]).ends_with(0);
    let mut hashes = Vec::new();
    for (threads, out) in [("1", "one.mkv"), ("3", "three.mkv")] {
        let mut command = sandbox.with(kit);
        command.env("RAYON_NUM_THREADS", threads).args([
            "render",
            "film.plan",
            "-o",
            out,
            "--preset",
            "lossless",
            "--seed",
            "7",
        ]);
        finish(&mut command).ends_with(0);
        hashes.push(frame_hashes(&sandbox.path(out), None));
    }
    assert_eq!(hashes[0].len() as u64, frames(&kit.short));
    assert_eq!(hashes[0], hashes[1]);

    // Without loss, the wall keeps every bit and every frame of the face has changed.
    let (source, out) = (sandbox.path("in.mp4"), sandbox.path("one.mkv"));
    assert_eq!(frame_hashes(&source, Some("60:120:0:0")), frame_hashes(&out, Some("60:120:0:0")));
    let middle = Some("120:150:366:150");
    let same = frame_hashes(&source, middle).iter().zip(&frame_hashes(&out, middle)).filter(|(a, b)| a == b).count();
    assert_eq!(same, 0, "frames passed through");
    assert_scrubbed(&out);
}

#[test]
fn a_film_without_people_passes_without_its_tags() {
    let Some(kit) = kit("a_film_without_people_passes_without_its_tags") else { return };
    let sandbox = Sandbox::new();
    let tagged = fixtures().join("tagged.mp4");
    let (from, to) = (pattern().to_string_lossy(), tagged.to_string_lossy());
    ffmpeg([
        "-i",
        &from,
        "-c",
        "copy",
        "-metadata",
        "title=Interview with Sample Person",
        "-metadata",
        "location=+52.3731+004.8922/",
        &to,
    ]);
    sandbox.copy(&tagged, "in.mp4");
    sandbox.run_with(kit, ["disguise", "in.mp4", "-o", "out.mkv", "--preset", "lossless"]).ends_with(0);
    let out = sandbox.path("out.mkv");
    assert_eq!(frame_hashes(&out, None), frame_hashes(pattern(), None));
    assert_scrubbed(&out);
}

#[test]
fn odd_sizes_grow_to_even_ones_where_a_codec_needs_it() {
    let Some(kit) = kit("odd_sizes_grow_to_even_ones_where_a_codec_needs_it") else { return };
    let sandbox = Sandbox::new();
    let film = fixtures().join("odd.mkv");
    let (from, to) = (pattern().to_string_lossy(), film.to_string_lossy());
    ffmpeg(["-i", &from, "-vf", "scale=301:201,format=yuv420p", "-frames:v", "10", "-an", "-c:v", "ffv1", &to]);
    sandbox.copy(&film, "odd.mkv");
    for (preset, name, expected) in
        [("web", "web.mp4", "302,202"), ("match", "match.mp4", "301,201"), ("master", "master.mov", "301,201")]
    {
        sandbox.run_with(kit, ["disguise", "odd.mkv", "-o", name, "--preset", preset]).ends_with(0);
        let size = probe(
            &sandbox.path(name),
            &["-select_streams", "v:0", "-show_entries", "stream=width,height", "-of", "csv=p=0"],
        );
        assert_eq!(size.trim().trim_end_matches(','), expected, "{preset}");
    }
}

#[test]
fn doubles_are_listed_and_shown() {
    let sandbox = Sandbox::new();
    let list = sandbox.run(["double", "list"]).ends_with(0).stdout;
    assert!(list.lines().filter(|l| l.trim_start().starts_with('d')).count() >= 4, "{list}");
    let name = list.split_whitespace().find(|w| w.starts_with("d0")).expect("a name").to_owned();
    sandbox.run(["double", "show", &name, "-o", "sheet.png"]).ends_with(0);
    let png = std::fs::read(sandbox.path("sheet.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG") && png.len() > 10_000);
    sandbox.run(["double", "show", "nobody", "-o", "none.png"]).refuses(5, "nobody");
    assert!(!sandbox.path("none.png").exists());
}
