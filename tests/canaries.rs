#![expect(clippy::unwrap_used, reason = "a test may stop where it likes")]

//! One fault each, put into a disguised film by other tools. The gate must stop every one and name it; the film
//! without a fault must pass. Everything goes through the program as a user calls it.
//!
//! `UNDERSTUDY_SOAK=1` puts the untreated frame and the raw voice among 10 000 frames instead of 500.

#[path = "common/mod.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "helpers shared with other tests")]
mod common;

use common::{Kit, Outcome, Sandbox, ffmpeg, kit};
use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Frames of the short film, 25 a second.
const FRAMES: u64 = 100;
/// Nothing of the tool that puts the fault in may stay, or the gate would stop the film for that.
const CLEAN: [&str; 9] =
    ["-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-dn"];

/// Films that all canaries are made from, in one folder: `in.mkv` and `out.mkv` (its disguise), `film.plan`,
/// `out.mp4` (another disguise), `two.mkv` (the person of `in` beside the double of `out`) with `two.plan`.
struct Lab {
    kit: &'static Kit,
    dir: Sandbox,
}

fn lab(test: &str) -> Option<&'static Lab> {
    static LAB: OnceLock<Option<Lab>> = OnceLock::new();
    let kit = kit(test)?;
    LAB.get_or_init(|| {
        let lab = Lab { kit, dir: Sandbox::new() };
        let film = kit.film.to_string_lossy().into_owned();
        let small =
            ["-t", "4", "-vf", "scale=480:270", "-map", "0:v", "-map", "0:a", "-c:v", "ffv1", "-c:a", "pcm_s16le"];
        lab.make(&["-i", &film], &small, "in.mkv");
        lab.run(&["disguise", "in.mkv", "-o", "out.mkv", "--preset", "lossless", "--plan", "film.plan"]).ends_with(0);
        Some(lab)
    })
    .as_ref()
}

impl Lab {
    fn at(&self, name: &str) -> String {
        self.dir.path(name).to_string_lossy().into_owned()
    }

    fn run(&self, args: &[&str]) -> Outcome {
        self.dir.run_with(self.kit, args)
    }

    /// Makes a film of films with FFmpeg, in two steps: what an encoder writes about itself is gone after the second.
    /// Names ending in a film's are looked for in the folder.
    fn make(&self, inputs: &[&str], how: &[&str], name: &str) {
        let there = |a: &&str| {
            let film = [".mkv", ".mp4", ".png", ".txt"].iter().any(|e| a.ends_with(e)) && !a.contains('/');
            if film { self.at(a) } else { (*a).to_owned() }
        };
        let step = format!("step-{name}.nut");
        let mut args: Vec<String> = inputs.iter().map(there).collect();
        args.extend(how.iter().map(|a| (*a).to_owned()));
        args.extend(CLEAN.iter().map(|a| (*a).to_owned()));
        args.push(self.at(&step));
        ffmpeg(&args);
        let copy = ["-i", &self.at(&step), "-map", "0", "-c", "copy"].map(str::to_owned);
        ffmpeg(copy.into_iter().chain(CLEAN.iter().map(|a| (*a).to_owned())).chain([self.at(name)]));
        std::fs::remove_file(self.dir.path(&step)).unwrap();
    }

    /// Attacks a film and returns what failed.
    fn attack(&self, original: &str, output: &str, more: &[&str]) -> (i32, BTreeSet<String>, serde_json::Value) {
        let report = format!("{output}.attack");
        let fixed = ["verify", original, output, "--report", &report];
        let run = self.run(&[&fixed[..], more].concat());
        assert!(run.code == 0 || run.is_refused(), "{output}: {} {}", run.code, run.stderr);
        let json = std::fs::read(self.dir.path(&report).join("report.json")).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["cleared"], run.code == 0);
        common::schema::check_report(&json).unwrap_or_else(|e| panic!("{output}: {e}"));
        let kinds = json["failures"].as_array().unwrap().iter().map(|f| f["kind"].as_str().unwrap().to_owned());
        let kinds: BTreeSet<String> = kinds.collect();
        assert_eq!(run.code, code_of(&kinds), "{output}: {kinds:?}");
        (run.code, kinds, json)
    }

    /// A film that must be stopped for `wanted` and nothing else but `also`. Returns the report.
    #[track_caller]
    fn stopped(
        &self,
        original: &str,
        output: &str,
        more: &[&str],
        wanted: &[&str],
        also: &[&str],
    ) -> serde_json::Value {
        let (code, kinds, json) = self.attack(original, output, more);
        assert_ne!(code, 0, "{output} passed");
        for w in wanted {
            assert!(kinds.contains(*w), "{output} was not stopped for {w}: {}", json["failures"]);
        }
        let other: Vec<&String> =
            kinds.iter().filter(|k| !wanted.contains(&k.as_str()) && !also.contains(&k.as_str())).collect();
        assert!(other.is_empty(), "{output} was stopped for {other:?} too: {}", json["failures"]);
        json
    }

    /// The entry of a kind of failure.
    fn failure<'j>(json: &'j serde_json::Value, kind: &str) -> &'j serde_json::Value {
        json["failures"].as_array().unwrap().iter().find(|f| f["kind"] == kind).unwrap()
    }
}

/// The exit code that README promises for these kinds of failure.
fn code_of(kinds: &BTreeSet<String>) -> i32 {
    let one = |kind: &String| match kind.split('.').next().unwrap() {
        _ if ["face.untouched", "face.partly"].contains(&kind.as_str()) => 71,
        "region" => 71,
        "face" => 72,
        _ if kind == "sound.length" => 75,
        "sound" | "voice" => 73,
        "output" | "frames" | "picture" | "disclaimer" => 75,
        _ => 74,
    };
    let mut codes: BTreeSet<i32> = kinds.iter().map(one).collect();
    if codes.contains(&71) {
        codes.remove(&72); // who is seen is recognised
    }
    match codes.len() {
        0 => 0,
        1 => codes.pop_first().unwrap(),
        _ => 7,
    }
}

const PLAN: [&str; 2] = ["--plan", "film.plan"];
const VIDEO: [&str; 8] = ["-map", "[v]", "-map", "0:a", "-c:v", "ffv1", "-c:a", "copy"];

#[test]
fn the_clean_film_passes() {
    let Some(lab) = lab("the_clean_film_passes") else { return };
    lab.make(&["-i", "out.mkv"], &["-map", "0", "-c:v", "ffv1", "-c:a", "copy"], "clean.mkv");
    let (code, _, json) = lab.attack("in.mkv", "clean.mkv", &PLAN);
    assert_eq!(code, 0, "{}", json["failures"]);
    assert_eq!(json["frames"], FRAMES);
    // And without any knowledge of the plan.
    assert_eq!(lab.attack("in.mkv", "clean.mkv", &[]).0, 0);
}

#[test]
fn one_untreated_frame() {
    let Some(lab) = lab("one_untreated_frame") else { return };
    let frame = "[0:v][1:v]overlay=enable='eq(n,41)':format=auto,format=yuv420p[v]";
    lab.make(&["-i", "out.mkv", "-i", "in.mkv"], &[&["-filter_complex", frame][..], &VIDEO].concat(), "frame.mkv");
    for more in [&PLAN[..], &[]] {
        // Without a plan covers are taken back everywhere, and the frame lies in the average of its track.
        let also = ["face.recognised", "face.restored"];
        let json = lab.stopped("in.mkv", "frame.mkv", more, &["face.untouched"], &also);
        let f = Lab::failure(&json, "face.untouched");
        assert_eq!((f["count"].as_u64(), f["first_frame"].as_u64()), (Some(1), Some(41)));
    }
}

#[test]
fn one_frame_with_the_box_in_the_wrong_place() {
    let Some(lab) = lab("one_frame_with_the_box_in_the_wrong_place") else { return };
    let boxed = "[1:v]drawbox=x=0:y=60:w=110:h=150:color=gray:t=fill[w];[0:v][w]overlay=enable='eq(n,66)':format=auto,format=yuv420p[v]";
    lab.make(&["-i", "out.mkv", "-i", "in.mkv"], &[&["-filter_complex", boxed][..], &VIDEO].concat(), "box.mkv");
    let json = lab.stopped("in.mkv", "box.mkv", &PLAN, &["face.untouched"], &["face.recognised"]);
    assert_eq!(Lab::failure(&json, "face.untouched")["first_frame"], 66);
}

const RATE: usize = 48_000;

impl Lab {
    /// A name for sound that no other test of this folder uses.
    fn fresh(&self, what: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        self.at(&format!("{what}-{}.raw", NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// The sound of a film, one channel.
    fn sound(&self, film: &str) -> Vec<i16> {
        let raw = self.fresh("sound");
        ffmpeg(["-i", &self.at(film), "-map", "0:a", "-ar", "48000", "-ac", "1", "-f", "s16le", &raw]);
        let bytes = std::fs::read(&raw).unwrap();
        bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect()
    }

    /// The sound of `film`, exact to the sample, with a piece of the original's from `at` samples on, `lag` samples
    /// late.
    fn leak(&self, original: &str, film: &str, at: usize, length: usize, lag: usize) -> String {
        let (raw, mut sound) = (self.sound(original), self.sound(film));
        sound[at + lag..at + lag + length].copy_from_slice(&raw[at..at + length]);
        let name = self.fresh("leak");
        std::fs::write(&name, sound.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
        name
    }
}

const SOUND: [&str; 8] = ["-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "pcm_s16le"];
const RAW: [&str; 6] = ["-f", "s16le", "-ar", "48000", "-ac", "1"];

#[test]
fn forty_milliseconds_of_the_voice() {
    let Some(lab) = lab("forty_milliseconds_of_the_voice") else { return };
    let again: Vec<u8> = lab.sound("out.mkv").iter().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(lab.dir.path("again.raw"), again).unwrap();
    let film = |name: &str, raw: &str, how: &[&str]| {
        lab.make(&[&["-i", "out.mkv"][..], &RAW, &["-i", raw]].concat(), how, name);
    };
    // The way that the leak takes is no fault by itself.
    film("same.mkv", &lab.at("again.raw"), &SOUND);
    assert_eq!(lab.attack("in.mkv", "same.mkv", &PLAN).0, 0);
    for (at, lag) in [(96_000, 0), (97_233, 1_501), (100_777, 11_000)] {
        let raw = lab.leak("in.mkv", "out.mkv", at, RATE / 25, lag);
        film("voice.mkv", &raw, &SOUND);
        let json = lab.stopped("in.mkv", "voice.mkv", &PLAN, &["sound.raw"], &[]);
        let found = json["sound"].as_array().unwrap().iter().find(|s| s["leaked_secs"].as_f64() > Some(0.0)).unwrap();
        let (at, found) = (at as f64 / RATE as f64, found["leaked_at"][0].as_f64().unwrap());
        assert!((at - 0.03..at + 0.03).contains(&found), "{at} {found}");
    }
}

#[test]
fn a_voice_that_is_only_shifted() {
    let Some(lab) = lab("a_voice_that_is_only_shifted") else { return };
    // Higher by a third, with and without its resonances: both can be taken back.
    for (name, how) in [
        ("higher", "asetrate=60480,aresample=48000,atempo=0.79365"),
        ("lower", "asetrate=38102,aresample=48000,atempo=1.25979"),
    ] {
        let raw = lab.fresh(name);
        let sound = ["-map", "0:a", "-ac", "1", "-ar", "48000", "-af", how, "-f", "s16le", &raw];
        ffmpeg([&["-i", &lab.at("in.mkv")][..], &sound].concat());
        let mut bytes = std::fs::read(&raw).unwrap();
        bytes.resize(lab.sound("in.mkv").len() * 2, 0);
        std::fs::write(&raw, bytes).unwrap();
        let film = format!("{name}.mkv");
        lab.make(&[&["-i", "out.mkv"][..], &RAW, &["-i", &raw]].concat(), &SOUND, &film);
        let json =
            lab.stopped("in.mkv", &film, &PLAN, &["sound.shifted"], &["sound.raw", "sound.mixed", "sound.speaker"]);
        let found = json["sound"].as_array().unwrap().iter().find(|s| s["shifted"].as_u64() > Some(0)).unwrap();
        let by = found["semitones"].as_f64().unwrap();
        assert!((by.abs() - 4.0).abs() < 0.3 && (by > 0.0) == (name == "higher"), "{found}");
    }
    // The disguise of the film is no shift.
    let (_, _, json) = lab.attack("in.mkv", "out.mkv", &PLAN);
    assert!(json["sound"].as_array().unwrap().iter().all(|s| s["shifted"] == 0), "{}", json["sound"]);
}

#[test]
fn the_same_speaker_at_another_time_backwards_or_coloured() {
    let Some(lab) = lab("the_same_speaker_at_another_time_backwards_or_coloured") else { return };
    let (code, _, json) = lab.attack("in.mkv", "out.mkv", &PLAN);
    let speaker = json["sound"][0]["speaker"].as_f64();
    assert!(code == 0 && speaker.is_some_and(|c| c < 0.7), "{} {}", json["failures"], json["sound"]);

    let sound = lab.sound("in.mkv");
    let bytes = |s: &[i16]| s.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let late: Vec<i16> = std::iter::repeat_n(0, RATE).chain(sound.iter().copied()).take(sound.len()).collect();
    let backwards: Vec<i16> = sound.chunks(RATE / 2).flat_map(|c| c.iter().rev().copied()).collect();
    let raw = lab.fresh("late");
    std::fs::write(&raw, bytes(&late)).unwrap();
    // Coded, with other treble and bass, and late: by another tool, from end to end.
    let (coded, coloured) = (lab.at("coded.mp4"), lab.fresh("coloured"));
    let filter = "treble=g=6:f=3000,bass=g=-6:f=200";
    ffmpeg([&RAW[..], &["-i", &raw, "-af", filter, "-c:a", "aac", "-b:a", "96k", &coded]].concat());
    ffmpeg(["-i", &coded, "-ar", "48000", "-ac", "1", "-f", "s16le", &coloured]);
    let mut coded = std::fs::read(&coloured).unwrap();
    coded.resize(2 * sound.len(), 0);
    for (name, raw) in [("late", bytes(&late)), ("backwards", bytes(&backwards)), ("coloured", coded)] {
        let file = lab.fresh(name);
        std::fs::write(&file, raw).unwrap();
        let film = format!("{name}.mkv");
        lab.make(&[&["-i", "out.mkv"][..], &RAW, &["-i", &file]].concat(), &SOUND, &film);
        let also = ["sound.raw", "sound.mixed", "sound.shifted"];
        let json = lab.stopped("in.mkv", &film, &PLAN, &["sound.speaker"], &also);
        let found = &json["sound"][0];
        println!("{name}: {found}");
        assert!(found["speaker"].as_f64() > Some(0.9) && found["speaker_same"] == true, "{name}: {found}");
    }
}

#[test]
fn one_frame_and_one_sound_in_a_long_film() {
    let Some(lab) = lab("one_frame_and_one_sound_in_a_long_film") else { return };
    let times: u64 = if std::env::var_os("UNDERSTUDY_SOAK").is_some_and(|v| v == "1") { 100 } else { 5 };
    let again = (times - 1).to_string();
    for (film, long) in [("in.mkv", "long-in.mkv"), ("out.mkv", "long-out.mkv")] {
        // FFmpeg leaves holes between the rounds of a sound stream; this one has none.
        let mut sound = lab.sound(film);
        sound.resize(FRAMES as usize / 25 * RATE, 0);
        let round: Vec<u8> = sound.iter().flat_map(|x| x.to_le_bytes()).collect();
        let raw = lab.fresh("long");
        std::fs::write(&raw, round.repeat(times as usize)).unwrap();
        let inputs = [&["-stream_loop", &again, "-i", film][..], &RAW, &["-i", &raw]].concat();
        lab.make(&inputs, &SOUND, long);
    }
    let (code, _, json) = lab.attack("long-in.mkv", "long-out.mkv", &[]);
    assert_eq!((code, json["frames"].as_u64()), (0, Some(times * FRAMES)), "{}", json["failures"]);
    // In the middle of the film, where somebody speaks.
    let (n, secs) = (times * FRAMES / 2 + 7, (times / 2 * 4 + 2) as usize);
    let raw = lab.leak("long-in.mkv", "long-out.mkv", secs * RATE + 777, RATE / 25, 333);
    let frame = format!("[0:v][1:v]overlay=enable='eq(n,{n})':format=auto,format=yuv420p[v]");
    let how = ["-filter_complex", &frame, "-map", "[v]", "-map", "2:a", "-c:v", "ffv1", "-c:a", "pcm_s16le"];
    let inputs = [&["-i", "long-out.mkv", "-i", "long-in.mkv"][..], &RAW, &["-i", &raw]].concat();
    lab.make(&inputs, &how, "long-bad.mkv");
    let json = lab.stopped("long-in.mkv", "long-bad.mkv", &[], &["face.untouched", "sound.raw"], &["face.recognised"]);
    let f = Lab::failure(&json, "face.untouched");
    assert_eq!((f["count"].as_u64(), f["first_frame"].as_u64()), (Some(1), Some(n)));
    for name in ["long-in.mkv", "long-out.mkv", "long-bad.mkv"] {
        std::fs::remove_file(lab.dir.path(name)).unwrap();
    }
}

#[test]
fn places_times_names_and_thumbnails() {
    let Some(lab) = lab("places_times_names_and_thumbnails") else { return };
    lab.run(&["disguise", "in.mkv", "-o", "out.mp4", "--preset", "web"]).ends_with(0);
    let still = lab.at("still.png");
    ffmpeg(["-i", &lab.at("in.mkv"), "-frames:v", "1", "-vf", "scale=64:-2", &still]);
    let copy = ["-c", "copy", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"];
    // A fault, what it must be stopped for, and what it may be stopped for besides.
    type Case = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);
    let cases: [Case; 5] = [
        ("plain", &[], &[], &[]),
        ("gps", &["-metadata", "location=+52.3731+004.8922/"], &["container.tag"], &["tag", "bytes.metadata"]),
        ("time", &["-metadata", "creation_time=2024-05-17T09:41:00Z"], &["container.time"], &["tag"]),
        ("name", &["-metadata:s:v", "handler_name=Anna Example"], &["container.name"], &["tag"]),
        (
            "still",
            &["-map", "0", "-map", "1", "-disposition:v:1", "attached_pic"],
            &["stream.picture"],
            &["stream.mark", "tag", "container.tag"],
        ),
    ];
    for (name, tags, wanted, also) in cases {
        let film = format!("{name}.mp4");
        let source = lab.at("out.mp4");
        let mut args = vec!["-i", &source];
        if name == "still" {
            args.extend(["-i", &still]);
        }
        let path = lab.at(&film);
        let args = [&args[..], &copy, tags, &[&path]].concat();
        ffmpeg(args);
        if wanted.is_empty() {
            let (code, _, json) = lab.attack("in.mkv", &film, &PLAN);
            assert_eq!(code, 0, "a copy without a fault is stopped: {}", json["failures"]);
        } else {
            lab.stopped("in.mkv", &film, &PLAN, wanted, also);
        }
    }
    // A position atom as cameras write it, put into the file by hand: into `moov`, as its last part.
    let bytes = std::fs::read(lab.dir.path("out.mp4")).unwrap();
    let moov = bytes.windows(4).position(|w| w == b"moov").unwrap() - 4;
    let size = u32::from_be_bytes(bytes[moov..moov + 4].try_into().unwrap());
    let text = b"+52.3731+004.8922/";
    let mut atom = Vec::new();
    atom.extend((8 + 12 + text.len() as u32).to_be_bytes());
    atom.extend(b"udta");
    atom.extend((12 + text.len() as u32).to_be_bytes());
    atom.extend(b"\xa9xyz");
    atom.extend((text.len() as u16).to_be_bytes());
    atom.extend([0x15, 0xc7]);
    atom.extend(text);
    let end = moov + size as usize;
    // Only where nothing after it moves: a film whose index stands at its end.
    if end == bytes.len() {
        let mut spoilt = bytes.clone();
        spoilt.extend(&atom);
        spoilt[moov..moov + 4].copy_from_slice(&(size + atom.len() as u32).to_be_bytes());
        std::fs::write(lab.dir.path("atom.mp4"), spoilt).unwrap();
        lab.stopped("in.mkv", "atom.mp4", &PLAN, &["container.tag"], &["tag", "bytes.metadata"]);
    } else {
        let mut spoilt = bytes.clone();
        spoilt.extend(&atom);
        std::fs::write(lab.dir.path("atom.mp4"), spoilt).unwrap();
        let (code, kinds, _) = lab.attack("in.mkv", "atom.mp4", &PLAN);
        assert!(code != 0 && kinds.iter().any(|k| k.starts_with("container.")), "{kinds:?}");
    }
}

/// The film with two people: the person of the sample, and beside them the double that stands for them in `out.mkv`.
fn two_people(lab: &Lab) -> [String; 2] {
    let beside =
        ["-filter_complex", "[0:v][1:v]hstack[v]", "-map", "[v]", "-map", "0:a", "-c:v", "ffv1", "-c:a", "copy"];
    lab.make(&["-i", "in.mkv", "-i", "out.mkv"], &beside, "two.mkv");
    let told = lab.run(&["analyse", "two.mkv", "-o", "two.plan", "--force"]).ends_with(0).stdout;
    let people: Vec<&str> = told.lines().filter_map(|l| l.trim().strip_prefix("person ")).collect();
    assert_eq!(people.len(), 2, "{told}");
    [0, 1].map(|i: usize| people[i].split(':').next().unwrap().to_owned())
}

#[test]
fn swapped_orders_and_one_double_for_two() {
    let Some(lab) = lab("swapped_orders_and_one_double_for_two") else { return };
    let people = two_people(lab);
    let cast = |kept: usize| {
        let entry = |alias: &str, person: &str, face: &str| {
            format!("[[person]]\nalias = \"{alias}\"\npeople = [{person}]\nface = \"{face}\"\n")
        };
        let [a, b] = if kept == 0 { ["keep", "swap"] } else { ["swap", "keep"] };
        format!("{}{}", entry("First", &people[0], a), entry("Second", &people[1], b))
    };
    lab.dir.write("first.toml", cast(0).as_bytes());
    lab.dir.write("second.toml", cast(1).as_bytes());
    let render = ["render", "two.plan", "-o", "first.mkv", "--preset", "lossless", "--cast", "first.toml"];
    lab.run(&render).ends_with(0);
    let with = |cast: &'static str| ["--plan", "two.plan", "--cast", cast];
    let (code, _, json) = lab.attack("two.mkv", "first.mkv", &with("first.toml"));
    assert_eq!((code, json["kept"].as_array().unwrap().len()), (0, 1), "{}", json["failures"]);
    // Who was to be hidden is seen, and the other way round.
    let json = lab.stopped(
        "two.mkv",
        "first.mkv",
        &with("second.toml"),
        &["face.untouched"],
        &["face.recognised", "face.partly"],
    );
    assert!(Lab::failure(&json, "face.untouched")["detail"].as_str().unwrap().contains("First"));

    // A cast cannot give one double to two people.
    let twice = cast(0).replace("\"keep\"", "{ double = \"d05\" }").replace("\"swap\"", "{ double = \"d05\" }");
    lab.dir.write("twice.toml", twice.as_bytes());
    lab.run(&["render", "two.plan", "-o", "twice.mkv", "--cast", "twice.toml"]).refuses(4, "twice");
    // A film in which it was done all the same: each half disguised by itself.
    lab.dir.write("one.toml", b"[policy]\ndouble = \"d05\"\n");
    let halves = [("in.mkv", "left.mkv"), ("out.mkv", "right.mkv")];
    for (film, half) in halves {
        let args = ["disguise", film, "-o", half, "--preset", "lossless", "--cast", "one.toml", "--report", "half"];
        lab.run(&args).ends_with(0);
    }
    let beside =
        ["-filter_complex", "[0:v][1:v]hstack[v]", "-map", "[v]", "-map", "0:a", "-c:v", "ffv1", "-c:a", "copy"];
    lab.make(&["-i", "left.mkv", "-i", "right.mkv"], &beside, "twice.mkv");
    let (code, kinds, json) = lab.attack("two.mkv", "twice.mkv", &["--plan", "two.plan"]);
    println!(
        "cosines: {:?}",
        json["people"].as_array().unwrap().iter().map(|p| p["identity"]["cosine_double"].clone()).collect::<Vec<_>>()
    );
    // A half whose double the attack refused was covered instead: then there is no double to be found twice.
    let shown = |p: &serde_json::Value| p["identity"]["found"].as_u64().is_some_and(|n| n > 0);
    if json["people"].as_array().unwrap().iter().all(shown) {
        assert!(code != 0 && kinds.contains("face.same_double"), "{}", json["people"]);
    } else {
        println!("SKIPPED one double for two: a half was covered");
    }
    // Two doubles are told apart.
    lab.run(&["render", "two.plan", "-o", "both.mkv", "--preset", "lossless"]).ends_with(0);
    let (code, _, json) = lab.attack("two.mkv", "both.mkv", &["--plan", "two.plan"]);
    println!(
        "cosines: {:?}",
        json["people"].as_array().unwrap().iter().map(|p| p["identity"]["cosine_double"].clone()).collect::<Vec<_>>()
    );
    assert_eq!(code, 0, "{}", json["failures"]);
}

#[test]
fn pictures_of_a_cast_mean_the_same_to_the_attack_as_to_the_render() {
    let Some(lab) = lab("pictures_of_a_cast_mean_the_same_to_the_attack_as_to_the_render") else { return };
    std::fs::create_dir_all(lab.dir.path("refs")).unwrap();
    ffmpeg(["-i", &lab.at("in.mkv"), "-vf", "select=eq(n\\,20)", "-frames:v", "1", &lab.at("refs/guide.png")]);
    lab.dir.write("refs.toml", b"[[person]]\nalias = \"Guide\"\nrefs = [\"refs/*.png\"]\nface = \"keep\"\n");
    let args = ["disguise", "in.mkv", "-o", "kept.mkv", "--preset", "lossless", "--cast", "refs.toml"];
    lab.run(&args).ends_with(0);
    let cast = ["--plan", "film.plan", "--cast", "refs.toml"];
    let (code, _, json) = lab.attack("in.mkv", "kept.mkv", &cast);
    assert_eq!((code, json["kept"].as_array().unwrap().len()), (0, 1), "{}", json["failures"]);
    assert!(json["kept"][0].as_str().unwrap().starts_with("Guide: 100 "), "{}", json["kept"]);
    // Without the cast the same film shows somebody who must not be seen.
    lab.stopped("in.mkv", "kept.mkv", &PLAN, &["face.untouched"], &["face.recognised"]);
}
