//! Nothing that the program says, logs or leaves behind tells who was filmed, where, or what they look like.

use crate::common::{Outcome, Sandbox, ffmpeg, finish, kit};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A name, a town, and a place: in tags of the film and in the words of the cast.
const SECRETS: [&str; 5] = ["zdenka", "horakova", "50.0755", "14.4378", "zelezny"];

/// Runs the program with everything logged; also every name that stood in the folder meanwhile.
fn watched(sandbox: &Sandbox, kit: &crate::common::Kit, args: &[&str]) -> (Outcome, BTreeSet<String>) {
    let (names, over) = (Mutex::new(BTreeSet::new()), AtomicBool::new(false));
    let run = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                names.lock().unwrap().extend(sandbox.files());
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let run = finish(sandbox.with(kit).args(args).env("UNDERSTUDY_LOG", "trace").env("RUST_BACKTRACE", "1"));
        over.store(true, Ordering::SeqCst);
        run
    });
    (run, names.into_inner().unwrap())
}

/// The longest row of broken numbers in a text: a mesh or an embedding would be a long one.
fn longest_row(text: &str) -> usize {
    let (mut row, mut longest) = (0, 0);
    for word in text.split([' ', ',', '[', ']', '(', ')', '\n', '\t', '{', '}']).filter(|w| !w.is_empty()) {
        row = if word.contains('.') && word.parse::<f64>().is_ok() { row + 1 } else { 0 };
        longest = longest.max(row);
    }
    longest
}

fn assert_silent(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    for secret in SECRETS {
        assert!(!text.contains(secret), "{what} holds `{secret}`");
    }
}

#[test]
fn nothing_tells_who_was_filmed() {
    let Some(kit) = kit("nothing_tells_who_was_filmed") else { return };
    let sandbox = Sandbox::new();
    let film = sandbox.path("in.mp4");
    let tags = ["-metadata", "title=Zdenka Horakova, Zelezny Brod", "-metadata", "location=+50.0755+014.4378/"];
    let cut = ["-t", "1", "-map", "0:v:0", "-map", "0:a:0", "-c:v", "libx264", "-preset", "veryfast"];
    let (from, to) = (kit.film.to_string_lossy().into_owned(), film.to_string_lossy().into_owned());
    ffmpeg([&["-i", &from][..], &cut, &tags, &[&to]].concat());
    let held = std::fs::read(&film).unwrap();
    assert!(held.windows(8).any(|w| w == b"Horakova"), "the film holds what is looked for");
    sandbox.write("cast.toml", b"[words]\n\"Zdenka Horakova\" = \"Witness 1\"\n\"Zelezny Brod\" = \"the town\"\n");

    let before: BTreeSet<String> = sandbox.files().into_iter().collect();
    let args = ["disguise", "in.mp4", "-o", "out.mp4", "--cast", "cast.toml", "--plan", "film.plan", "--preset", "web"];
    let (run, names) = watched(&sandbox, kit, &args);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let mut said = vec![("disguise", run)];
    // What is refused: the film itself as its own disguise, a plan that was cut off, a word that an alias must not be like.
    std::fs::copy(&film, sandbox.path("open.mp4")).unwrap();
    let (run, _) = watched(&sandbox, kit, &["verify", "in.mp4", "open.mp4", "--report", "open.report"]);
    assert!(run.is_refused(), "{}", run.stderr);
    said.push(("verify", run));
    let plan = std::fs::read(sandbox.path("film.plan")).unwrap();
    sandbox.write("cut.plan", &plan[..plan.len() / 2]);
    let (run, _) = watched(&sandbox, kit, &["render", "cut.plan", "-o", "cut.mp4", "--input", "in.mp4"]);
    assert_eq!(run.code, 4, "{}", run.stderr);
    said.push(("render", run));

    for (what, run) in &said {
        assert_silent(what, run.stdout.as_bytes());
        assert_silent(what, run.stderr.as_bytes());
        let row = longest_row(&run.stderr).max(longest_row(&run.stdout));
        assert!(row < 8, "{what}: {row} numbers in a row");
    }
    for name in names.difference(&before) {
        assert_silent(name, name.as_bytes());
        let own = ["out.mp4", "film.plan"].iter().any(|n| name.contains(n));
        assert!(own, "`{name}` stood beside the film for a while");
    }
    for file in ["out.mp4", "out.mp4.report/report.json", "out.mp4.report/report.html", "open.report/report.json"] {
        assert_silent(file, &std::fs::read(sandbox.path(file)).unwrap());
    }
    let report = std::fs::read_to_string(sandbox.path("out.mp4.report/report.json")).unwrap();
    assert!(longest_row(&report) < 8, "a report holds no vector");
    assert_eq!(longest_row("a 0.5, 0.25, -1.5 [3.0] b 1.5"), 4);
}
