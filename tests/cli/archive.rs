//! A folder of films: killed, continued, never done twice.

use crate::common::{Sandbox, collect, kit, signal, wait_until};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

const ARGS: [&str; 8] = ["archive", "films", "-o", "done", "--jobs", "1", "--preset", "web"];

/// Identity and time of a file: a film made anew differs.
fn stamp(path: &Path) -> (u64, i64, i64) {
    let meta = std::fs::metadata(path).unwrap();
    (meta.ino(), meta.mtime(), meta.mtime_nsec())
}

#[test]
fn a_killed_archive_goes_on_where_it_was() {
    let Some(kit) = kit("a_killed_archive_goes_on_where_it_was") else { return };
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path("films/sub")).unwrap();
    sandbox.copy(&kit.short, "films/a.mp4");
    sandbox.copy(&kit.short, "films/sub/b.mp4");
    sandbox.write("films/notes.txt", b"not a film");

    let mut command = sandbox.with(kit);
    command.args(ARGS).process_group(0);
    let mut child = command.spawn().unwrap();
    let first = sandbox.path("done/a.mp4");
    assert!(wait_until(&mut child, || first.exists()), "it ended early: {:?}", collect(child));
    signal("KILL", &format!("-{}", child.id()));
    collect(child).ends_with(-1);
    let made = stamp(&first);
    assert!(!sandbox.path("done/sub/b.mp4").exists());
    assert!(sandbox.files().iter().any(|f| f.starts_with("done/") && f.ends_with(".json")), "{:?}", sandbox.files());

    sandbox.run_with(kit, ARGS).ends_with(0);
    let second = sandbox.path("done/sub/b.mp4");
    assert!(second.is_file());
    // The kill may have come between the film's name and its entry; then it is made again, but only then.
    let (a, b) = (stamp(&first), stamp(&second));
    let told = sandbox.run_with(kit, ARGS).ends_with(0).stdout;
    assert!(told.contains("0 films"), "{told}");
    assert_eq!((stamp(&first), stamp(&second)), (a, b), "finished films were made again (first run: {made:?})");

    // One film is lost, one is new: these two and no others are made.
    std::fs::remove_file(&first).unwrap();
    sandbox.copy(&kit.short, "films/c.mp4");
    sandbox.run_with(kit, ARGS).ends_with(0);
    assert!(first.is_file() && sandbox.path("done/c.mp4").is_file());
    assert_eq!(stamp(&second), b);
}

#[test]
fn one_bad_film_does_not_stop_the_others() {
    let Some(kit) = kit("one_bad_film_does_not_stop_the_others") else { return };
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("films")).unwrap();
    sandbox.write("films/a.mp4", b"this is no film");
    sandbox.copy(&kit.short, "films/b.mp4");
    let run = sandbox.run_with(kit, ARGS);
    assert_ne!(run.code, 0, "a film is missing, and it says that all is well");
    assert!(run.stderr.contains("a.mp4"), "{}", run.stderr);
    assert!(!sandbox.path("done/a.mp4").exists());
    assert!(sandbox.path("done/b.mp4").is_file());
}

#[test]
fn folders_that_cannot_be_an_archive() {
    let sandbox = Sandbox::new();
    sandbox.write("file", b"");
    let before = sandbox.files();
    sandbox.run(["archive", "nowhere", "-o", "done"]).refuses(3, "nowhere");
    sandbox.run(["archive", "file", "-o", "done"]).refuses(3, "file");
    assert_eq!(sandbox.files(), before);
}
