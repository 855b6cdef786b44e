//! What tells an audience: the disclaimer over the first seconds, and the film's own subtitles without names.

use crate::common::{Sandbox, ffmpeg, kit, pattern, tool};
use std::path::Path;

fn probe(film: &Path, args: &[&str]) -> String {
    tool("ffprobe", ["-v", "error"].iter().chain(args).map(std::ffi::OsStr::new).chain([film.as_os_str()]))
}

/// Times of all pictures, as text.
fn times(film: &Path) -> String {
    probe(film, &["-select_streams", "v:0", "-show_entries", "packet=pts_time", "-of", "csv=p=0"])
}

/// Mean grey of the lower eighth of the first picture.
fn foot(film: &Path) -> f64 {
    let filter = "crop=iw:ih/8:0:ih*7/8,scale=1:1:flags=area,format=gray,signalstats,metadata=print:file=-";
    let text = ffmpeg(["-i", &film.to_string_lossy(), "-frames:v", "1", "-vf", filter, "-f", "null", "-"]);
    let line = text.lines().find_map(|l| l.strip_prefix("lavfi.signalstats.YAVG=")).unwrap();
    line.parse().unwrap()
}

#[test]
fn a_disclaimer_that_cannot_be_set_stops_the_job_before_it_begins() {
    let Some(kit) = kit("a_disclaimer_that_cannot_be_set_stops_the_job_before_it_begins") else { return };
    let sandbox = Sandbox::new();
    sandbox.copy(pattern(), "in.mp4");
    for (text, word) in [("\"שמות שונו\"", "latin"), ("\"\"", "empty"), ("{ seconds = 0 }", "seconds")] {
        sandbox.write("cast.toml", format!("[policy]\n\ndisclaimer = {text}\n").as_bytes());
        let before = sandbox.files();
        let run =
            sandbox.run_with(kit, ["disguise", "in.mp4", "-o", "out.mp4", "--cast", "cast.toml"]).refuses(4, word);
        assert!(run.stderr.contains("line 3"), "{}", run.stderr);
        assert_eq!(sandbox.files(), before);
    }
}

#[test]
fn the_disclaimer_is_shown_and_moves_nothing() {
    let Some(kit) = kit("the_disclaimer_is_shown_and_moves_nothing") else { return };
    let sandbox = Sandbox::new();
    sandbox.copy(pattern(), "in.mp4");
    sandbox.write("cast.toml", b"[policy]\ndisclaimer = true\n");
    let go = |out: &str, more: &[&str]| {
        let fixed = ["disguise", "in.mp4", "-o", out, "--preset", "lossless", "--seed", "1"];
        sandbox.run_with(kit, [&fixed[..], more].concat()).ends_with(0);
    };
    go("plain.mkv", &[]);
    go("told.mkv", &["--cast", "cast.toml", "--matte", "matte.mkv", "--threads", "1"]);
    go("again.mkv", &["--cast", "cast.toml", "--threads", "4"]);
    let [plain, told, again] = ["plain.mkv", "told.mkv", "again.mkv"].map(|n| sandbox.path(n));
    assert_eq!(times(&plain), times(&told));
    let hashes = |film: &Path| crate::films::frame_hashes(film, None);
    assert_eq!(hashes(&told), hashes(&again), "independent of threads");
    let upper = |film: &Path| crate::films::frame_hashes(film, Some("iw:ih/2:0:0"));
    assert_eq!(upper(&plain), upper(&told), "nothing of the upper half is touched");
    assert!(foot(&told) < 0.8 * foot(&plain), "{} {}", foot(&told), foot(&plain));
    assert!(foot(&sandbox.path("matte.mkv")) > 100.0, "the card is in the matte");
    // The attack asks for what the cast orders.
    sandbox.run_with(kit, ["analyse", "in.mp4", "-o", "film.plan"]).ends_with(0);
    let verify = |film: &str| {
        let more = ["--plan", "film.plan", "--cast", "cast.toml", "--report", "attack"];
        let run = sandbox.run_with(kit, [&["verify", "in.mp4", film][..], &more].concat());
        (run.code, std::fs::read_to_string(sandbox.path("attack").join("report.json")).unwrap())
    };
    assert_eq!(verify("told.mkv").0, 0);
    let (code, report) = verify("plain.mkv");
    assert!(code == 75 && report.contains("disclaimer.missing"), "{code} {report}");
}

const SRT: &str = "1\n00:00:00,200 --> 00:00:00,700\n<i>My name is Marta Kowalczyk</i>\n\n\
                   2\n00:00:00,800 --> 00:00:01,500\nI grew up in Lodz,\nMartha said\n";
const WORDS: &str = "[words]\n\"Marta Kowalczyk\" = \"Witness 1\"\n\"Łódź\" = \"the town\"\n";

/// The texts of a film's first subtitle stream, by FFmpeg.
fn texts(film: &Path) -> String {
    ffmpeg(["-i", &film.to_string_lossy(), "-map", "0:s:0", "-f", "srt", "-"])
}

/// When texts appear after the first picture, in seconds; pauses of MP4 left out.
fn after_picture(film: &Path) -> Vec<f64> {
    let all = |stream: &str| {
        let show = ["-select_streams", stream, "-show_entries", "packet=pts_time,size", "-of", "csv=p=0"];
        let text = probe(film, &show);
        let row = |l: &str| {
            let mut fields = l.split(',').map(str::to_owned);
            Some((fields.next()?.parse::<f64>().ok()?, fields.next()?.parse::<u64>().ok()?))
        };
        text.lines().filter_map(row).filter(|r| r.1 > 2).map(|r| r.0).collect::<Vec<f64>>()
    };
    let first = all("v:0").into_iter().fold(f64::INFINITY, f64::min);
    all("s:0").into_iter().map(|t| t - first).collect()
}

#[test]
fn subtitles_of_a_film_pass_only_through_the_casts_words() {
    let Some(kit) = kit("subtitles_of_a_film_pass_only_through_the_casts_words") else { return };
    let sandbox = Sandbox::new();
    let at = |name: &str| sandbox.path(name).to_string_lossy().into_owned();
    sandbox.write("in.srt", SRT.as_bytes());
    let film = pattern().to_string_lossy().into_owned();
    let named =
        ["-metadata:s:s:0", "title=Marta speaks", "-metadata:s:s:0", "language=pol", "-disposition:s:0", "forced"];
    for (name, codec) in [("in.mkv", "ass"), ("in.mp4", "mov_text")] {
        let fixed = ["-i", &film, "-i", &at("in.srt"), "-map", "0", "-map", "1", "-c", "copy", "-c:s", codec];
        ffmpeg(fixed.iter().chain(&named).map(|s| (*s).to_owned()).chain([at(name)]));
    }
    sandbox.write("cast.toml", format!("[policy]\nsubtitles = true\n{WORDS}").as_bytes());
    sandbox.write("words.toml", WORDS.as_bytes());
    let kinds = |name: &str| probe(&sandbox.path(name), &["-show_entries", "stream=codec_name", "-of", "csv=p=0"]);
    for (input, output, codec) in [
        ("in.mkv", "a.mkv", "subrip"),
        ("in.mkv", "a.mp4", "mov_text"),
        ("in.mp4", "a.mov", "mov_text"),
        ("in.mp4", "a.webm", "webvtt"),
    ] {
        let run = sandbox.run_with(kit, ["disguise", input, "-o", output, "--cast", "cast.toml"]).ends_with(0);
        let out = sandbox.path(output);
        assert!(kinds(output).contains(codec), "{output}: {}", kinds(output));
        let said = texts(&out);
        assert!(said.contains("My name is Witness 1") && said.contains("the town"), "{output}: {said}");
        let (before, after) = (after_picture(&sandbox.path(input)), after_picture(&out));
        let late = before.iter().zip(&after).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(before.len() == 2 && late < 0.0015, "{output}: {before:?} {after:?}");
        let lower = (said + &run.stdout + &run.stderr).to_lowercase();
        assert!(!lower.contains("mart") && !lower.contains("kowal") && !lower.contains("lodz"), "{output}: {lower}");
        let bytes = std::fs::read(&out).unwrap();
        for name in ["Marta", "Kowal", "Lodz", "pol", "font", "Arial", "Style:"] {
            let there = bytes.windows(name.len()).any(|w| w == name.as_bytes());
            assert!(!there || name == "pol", "{output} holds {name}");
        }
        let tags = probe(
            &out,
            &["-select_streams", "s", "-show_entries", "stream_tags=language,title,handler_name", "-of", "csv=p=0"],
        );
        assert!(tags.trim_matches(['\n', ',']).is_empty() || tags.trim() == "und", "{output}: {tags}");
        let report = std::fs::read_to_string(sandbox.path(&format!("{output}.report/report.json"))).unwrap();
        assert!(report.contains("subtitles.near") && report.contains("subtitles.passed"), "{report}");
        assert!(!report.contains("Marta") && !report.contains("Kowal"), "the report names nobody");
    }
    // Without the order nothing passes, and the report says so.
    for (cast, out) in [(vec!["--cast", "words.toml"], "b.mkv"), (vec![], "c.mkv")] {
        sandbox.run_with(kit, [&["disguise", "in.mkv", "-o", out][..], &cast].concat()).ends_with(0);
        assert!(!kinds(out).contains("subrip") && !kinds(out).contains("ass"), "{}", kinds(out));
        let report = std::fs::read_to_string(sandbox.path(&format!("{out}.report/report.json"))).unwrap();
        assert!(report.contains("subtitles.dropped"), "{report}");
    }
    // A container without texts is a mistake of the command, told before the work.
    sandbox.run_with(kit, ["disguise", "in.mkv", "-o", "out.avi", "--cast", "cast.toml"]).refuses(2, "text");
}

#[test]
fn a_name_in_a_subtitle_stops_the_film() {
    let Some(kit) = kit("a_name_in_a_subtitle_stops_the_film") else { return };
    let sandbox = Sandbox::new();
    let at = |name: &str| sandbox.path(name).to_string_lossy().into_owned();
    sandbox.write("in.srt", SRT.as_bytes());
    let film = pattern().to_string_lossy().into_owned();
    ffmpeg(["-i", &film, "-i", &at("in.srt"), "-map", "0", "-map", "1", "-c", "copy", "-c:s", "srt", &at("in.mkv")]);
    sandbox.write("cast.toml", format!("[policy]\nsubtitles = true\n{WORDS}").as_bytes());
    sandbox.write("words.toml", WORDS.as_bytes());
    let made = ["disguise", "in.mkv", "-o", "out.mkv", "--cast", "cast.toml", "--plan", "film.plan"];
    sandbox.run_with(kit, made).ends_with(0);
    let attack = |film: &str, cast: &str| {
        let more = ["--plan", "film.plan", "--cast", cast, "--report", "attack"];
        let run = sandbox.run_with(kit, [&["verify", "in.mkv", film][..], &more].concat());
        (run.code, std::fs::read_to_string(sandbox.path("attack").join("report.json")).unwrap())
    };
    let (code, report) = attack("out.mkv", "cast.toml");
    assert_eq!(code, 0, "{report}");
    // The same film is refused where the cast does not order its texts.
    let (code, report) = attack("out.mkv", "words.toml");
    assert!(code == 74 && report.contains("stream.extra") && report.contains("container.track"), "{code} {report}");
    let clean = ["-map_metadata", "-1", "-map_metadata:s", "-1", "-fflags", "+bitexact", "-c", "copy"];
    let again = |name: &str, srt: &str, more: &[&str]| {
        sandbox.write("bad.srt", srt.as_bytes());
        let inputs = ["-i", &at("out.mkv"), "-i", &at("bad.srt"), "-map", "0:v", "-map", "0:a", "-map", "1"];
        ffmpeg(inputs.iter().chain(&clean).chain(more).map(|s| (*s).to_owned()).chain([at(name)]));
    };
    let line = |text: &str| {
        format!("1\n00:00:00,200 --> 00:00:00,700\nMy name is Witness 1\n\n2\n00:00:00,800 --> 00:00:01,500\n{text}\n")
    };
    again("same.mkv", &line("Yes, in the town"), &[]);
    let (code, report) = attack("same.mkv", "cast.toml");
    assert_eq!(code, 0, "the way that the fault takes is none: {report}");
    for (name, text, kind) in [
        ("name.mkv", "I am Marta Kowalczyk", "text.word"),
        ("part.mkv", "kowalczyk!", "text.word"),
        ("like.mkv", "Martha", "text.word"),
        ("town.mkv", "from ŁÓDŹ", "text.word"),
        ("spelt.mkv", "M-a-r-t-a K-o-w-a-l-c-z-y-k", "text.word"),
        ("tags.mkv", "<font face=\"Serif\">Yes</font>", "text.extra"),
    ] {
        again(name, &line(text), &[]);
        let (code, report) = attack(name, "cast.toml");
        assert!(code == 74 && report.contains(kind), "{name}: {code} {report}");
        assert!(!report.to_lowercase().contains("kowal"), "{name}: the report names nobody");
    }
    again("two.mkv", &line("Yes"), &["-map", "0:s"]);
    let (code, report) = attack("two.mkv", "cast.toml");
    assert!(code == 74 && report.contains("stream.extra"), "a text stream too many: {code} {report}");
    again("ass.mkv", &line("Yes"), &["-c:s", "ass"]);
    let (code, report) = attack("ass.mkv", "cast.toml");
    assert!(code == 74 && report.contains("text.kind"), "{code} {report}");
    again("title.mkv", &line("Yes"), &["-metadata:s:s:0", "title=Witness"]);
    assert_eq!(attack("title.mkv", "cast.toml").0, 74);
    again("forced.mkv", &line("Yes"), &["-disposition:s:0", "hearing_impaired"]);
    let (code, report) = attack("forced.mkv", "cast.toml");
    assert!(code == 74 && report.contains("stream.mark"), "{code} {report}");
}
