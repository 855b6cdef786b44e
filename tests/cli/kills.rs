//! `kill -9` at any moment: with a vault the next run makes the film that the first would have made.
//!
//! Five random moments; `UNDERSTUDY_SOAK=1` makes it fifty, `UNDERSTUDY_KILLS=N` any number, `UNDERSTUDY_KILL_FILM` names
//! another film.

use crate::common::{Kit, Sandbox, collect, finish, fixtures, kit, program, signal, wait_until};
use crate::films::frame_hashes;
use crate::refusals::left_over;
use crate::vaults::{DISGUISE, PASSPHRASE, check, knowing, make, sound_hash};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;
use understudy::vault::{Passphrase, Vault};

const CHECKPOINT: &str = ".out.mp4.checkpoint";

/// Answers known from before and questions asked, as the log tells.
fn saved(stderr: &str) -> (u64, u64) {
    let line = stderr.lines().find(|l| l.contains("known from before")).expect("a line about the checkpoint");
    let mut numbers = line.split_whitespace().filter_map(|w| w.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// All that can be seen and heard.
fn decoded(film: &Path) -> (Vec<String>, String) {
    (frame_hashes(film, None), sound_hash(film))
}

/// Which program file it is. A checkpoint and the seeds of a render belong to one build of the program: after another
/// build a killed run begins anew, with other noise, and that is no fault of it.
fn build() -> (u64, u64, i64, i64) {
    let m = std::fs::metadata(program()).unwrap();
    (m.ino(), m.len(), m.mtime(), m.mtime_nsec())
}

/// Keeps two films that differ, and says where.
fn keep(reference: &Path, made: &Path, log: &str) -> String {
    let folder = fixtures().join("differ");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(reference, folder.join("reference.mp4")).unwrap();
    std::fs::copy(made, folder.join("made.mp4")).unwrap();
    std::fs::write(folder.join("log"), log).unwrap();
    folder.display().to_string()
}

/// A sandbox with a film, and a vault in which the seeds of its render are already drawn.
fn begun(kit: &Kit, film: &Path) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.copy(film, "in.mp4");
    make(&sandbox);
    let mut child = knowing(&sandbox, kit).args(DISGUISE).spawn().unwrap();
    let vault = std::fs::read(sandbox.path("v")).unwrap();
    let drawn = || std::fs::read(sandbox.path("v")).is_ok_and(|v| v != vault);
    assert!(wait_until(&mut child, drawn), "it ended before it drew seeds: {:?}", collect(child));
    signal("KILL", &child.id().to_string());
    collect(child).ends_with(-1);
    std::fs::remove_file(sandbox.path(CHECKPOINT)).unwrap();
    sandbox
}

/// Starts the job and kills it some time after its `event`th event; whether it was still running, and what it did.
fn kill_after(sandbox: &Sandbox, kit: &Kit, event: usize, wait: Duration) -> (bool, String) {
    let mut child = knowing(sandbox, kit).args([&DISGUISE[..], &["--json"]].concat()).spawn().unwrap();
    let told = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let last = told.take(event).last().unwrap_or_default();
    std::thread::sleep(wait);
    let running = child.try_wait().unwrap().is_none();
    if running {
        signal("KILL", &child.id().to_string());
    }
    collect(child);
    let last: serde_json::Value = serde_json::from_str(&last).unwrap_or_default();
    (running, format!("({} {})", last["event"], last["stage"]).replace('"', ""))
}

#[test]
fn a_killed_run_goes_on_and_makes_the_same_film() {
    let Some(kit) = kit("a_killed_run_goes_on_and_makes_the_same_film") else { return };
    let film = std::env::var_os("UNDERSTUDY_KILL_FILM").map_or_else(|| kit.short.clone(), Into::into);
    let soak = std::env::var_os("UNDERSTUDY_SOAK").is_some();
    let kills =
        std::env::var("UNDERSTUDY_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(if soak { 50 } else { 5 });
    let built = build();
    let sandbox = begun(kit, &film);
    let vault = std::fs::read(sandbox.path("v")).unwrap();
    let again = |sandbox: &Sandbox| {
        sandbox.write("v", &vault);
        std::fs::set_permissions(sandbox.path("v"), std::fs::Permissions::from_mode(0o600)).unwrap();
        for name in sandbox.files().iter().filter(|f| f.contains("out.mp4") && !f.contains("report")) {
            std::fs::remove_file(sandbox.path(name)).unwrap();
        }
    };
    let mut whole = knowing(&sandbox, kit);
    whole.args([&DISGUISE[..], &["--json"]].concat()).env("UNDERSTUDY_LOG", "info");
    let whole = finish(&mut whole).ends_with(0);
    let events = whole.stdout.lines().count();
    let reference = decoded(&sandbox.path("out.mp4"));
    let first = sandbox.copy(&sandbox.path("out.mp4"), "reference.mp4");
    let (_, all) = saved(&whole.stderr);
    assert!(!reference.0.is_empty() && all > 0);

    let mut dice = 0x2545_f491_4f6c_dd1d_u64 ^ u64::from(std::process::id());
    let (mut most, mut running) = (0, 0);
    for k in 0..kills {
        again(&sandbox);
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // One in each equal part of what the whole tells, and up to half a second later.
        let share = (k as f64 + (dice >> 40) as f64 / f64::from(1 << 24)) / f64::from(kills);
        let event = (share * events as f64) as usize;
        let (killed, at) = kill_after(&sandbox, kit, event, Duration::from_millis((dice >> 20) % 500));
        if !killed {
            eprintln!("kill {k} after event {event}: it was done already");
            continue;
        }
        running += 1;
        assert!(!sandbox.path("out.mp4").exists(), "kill {k} at {at} left a film that nobody attacked");
        let run = finish(knowing(&sandbox, kit).args(DISGUISE).env("UNDERSTUDY_LOG", "info")).ends_with(0);
        let (known, asked) = saved(&run.stderr);
        most = most.max(known);
        eprintln!("kill {k} after event {event} of {events} {at}: {known} answers known, {asked} asked");
        assert!(known + asked <= all + 8, "more was asked than in one go: {known} + {asked}, {all}");
        assert_eq!(build(), built, "the program was built anew while this ran: name a copy with UNDERSTUDY_PROGRAM");
        let made = decoded(&sandbox.path("out.mp4"));
        if made != reference {
            let other: Vec<usize> = (0..reference.0.len()).filter(|i| made.0.get(*i) != reference.0.get(*i)).collect();
            let kept = keep(&first, &sandbox.path("out.mp4"), &run.stderr);
            let (frames, sound) = (made.0.len(), made.1 == reference.1);
            panic!(
                "kill {k} at {at} changed the frames {other:?} ({frames} of {}), same sound: {sound}; both films are in \
                 {kept}: {}",
                reference.0.len(),
                run.stderr
            );
        }
        assert!(!left_over(&sandbox), "a part file of the killed run stays: {:?}", sandbox.files());
        assert!(!sandbox.path(CHECKPOINT).exists() && check(&sandbox).contains("0 renders"));
    }
    assert!(running > 0 && most > 0, "no run went on from a checkpoint");
}

/// A resumed run has other leavings in its memory than one that went through: no library may read them.
#[test]
fn what_lies_in_memory_does_not_change_a_film() {
    let Some(kit) = kit("what_lies_in_memory_does_not_change_a_film") else { return };
    let sandbox = Sandbox::new();
    sandbox.copy(&kit.short, "in.mp4");
    let film = |byte: &str| {
        let args = ["disguise", "in.mp4", "-o", "out.mp4", "--preset", "web", "--seed", "5", "--force"];
        // glibc fills whatever memory it gives with the inverse of this byte.
        finish(sandbox.with(kit).args(args).env("MALLOC_PERTURB_", byte)).ends_with(0);
        frame_hashes(&sandbox.path("out.mp4"), None)
    };
    let first = film("1");
    assert!(!first.is_empty());
    for byte in ["3", "200"] {
        assert!(film(byte) == first, "the pictures depend on memory that was never written");
    }
}

#[test]
fn an_analysis_goes_on_and_makes_the_same_plan() {
    let Some(kit) = kit("an_analysis_goes_on_and_makes_the_same_plan") else { return };
    let sandbox = Sandbox::new();
    sandbox.copy(&kit.short, "in.mp4");
    sandbox.run_with(kit, ["analyse", "in.mp4", "-o", "plain"]).ends_with(0);
    make(&sandbox);
    let args = ["analyse", "in.mp4", "-o", "plan", "--vault", "v"];
    let kept = sandbox.path(".plan.checkpoint");
    for (size, name) in [(20_000, "KILL"), (80_000, "INT"), (120_000, "KILL")] {
        let mut child = knowing(&sandbox, kit).args(args).spawn().unwrap();
        let far = || std::fs::metadata(&kept).is_ok_and(|m| m.len() > size);
        assert!(wait_until(&mut child, far), "it ended early: {:?}", collect(child));
        signal(name, &child.id().to_string());
        let run = collect(child);
        assert!(!sandbox.path("plan").exists());
        assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
        if name == "INT" {
            assert!(run.code == 130 && run.stderr.contains("note: checkpoint"), "{}", run.stderr);
        }
    }
    // The power fails while a record is written.
    let bytes = std::fs::read(&kept).unwrap();
    std::fs::write(&kept, &bytes[..bytes.len() - 11]).unwrap();
    let run = finish(knowing(&sandbox, kit).args(args).env("UNDERSTUDY_LOG", "info")).ends_with(0);
    assert!(saved(&run.stderr).0 > 0, "{}", run.stderr);
    assert!(!kept.exists(), "the checkpoint of a finished analysis stays");
    let plain = std::fs::read(sandbox.path("plain")).unwrap();
    let vault = Vault::open(&sandbox.path("v"), &Passphrase::new(PASSPHRASE.into()).unwrap()).unwrap();
    assert_eq!(*vault.open_file(&sandbox.path("plan"), "plan", 1 << 30).unwrap(), plain);
}

#[test]
fn another_build_begins_anew_and_says_so() {
    let Some(kit) = kit("another_build_begins_anew_and_says_so") else { return };
    let sandbox = begun(kit, &kit.short);
    let mut child = knowing(&sandbox, kit).args(DISGUISE).spawn().unwrap();
    let far = || std::fs::metadata(sandbox.path(CHECKPOINT)).is_ok_and(|m| m.len() > 50_000);
    assert!(wait_until(&mut child, far), "it ended early: {:?}", collect(child));
    signal("KILL", &child.id().to_string());
    collect(child).ends_with(-1);
    // The same code, but another file.
    let other = sandbox.copy(&program(), "other-build");
    let mut bytes = std::fs::read(&other).unwrap();
    bytes.push(b'x');
    std::fs::write(&other, bytes).unwrap();
    let mut again = std::process::Command::new(&other);
    sandbox.tame(&mut again);
    again.env("UNDERSTUDY_MODELS", &kit.models).env("UNDERSTUDY_PASSPHRASE", PASSPHRASE);
    let run = finish(again.args(DISGUISE).env("UNDERSTUDY_LOG", "info")).ends_with(0);
    assert_eq!(saved(&run.stderr).0, 0, "answers to another build were believed: {}", run.stderr);
    assert!(run.stderr.contains("begins anew"), "{}", run.stderr);
    // The seeds of the first are still there, for the first.
    assert!(check(&sandbox).contains("1 renders"), "{}", check(&sandbox));
}

#[test]
fn a_checkpoint_of_another_film_is_of_no_use_and_can_be_shredded() {
    let Some(kit) = kit("a_checkpoint_of_another_film_is_of_no_use_and_can_be_shredded") else { return };
    let sandbox = begun(kit, &kit.short);
    let mut child = knowing(&sandbox, kit).args(DISGUISE).spawn().unwrap();
    let far = || std::fs::metadata(sandbox.path(CHECKPOINT)).is_ok_and(|m| m.len() > 50_000);
    assert!(wait_until(&mut child, far), "it ended early: {:?}", collect(child));
    // Nobody else makes the same output meanwhile.
    finish(knowing(&sandbox, kit).args(DISGUISE)).refuses(2, "another run");
    signal("KILL", &child.id().to_string());
    collect(child).ends_with(-1);
    let text = std::fs::read(sandbox.path(CHECKPOINT)).unwrap();
    let shredded = sandbox.write(".copy.checkpoint", &text);
    sandbox.run(["shred", ".copy.checkpoint"]).ends_with(0);
    assert!(!shredded.exists());

    let bytes = std::fs::read(&kit.short).unwrap();
    std::fs::remove_file(sandbox.path("in.mp4")).unwrap();
    sandbox.write("in.mp4", &bytes);
    let run = finish(knowing(&sandbox, kit).args(DISGUISE).env("UNDERSTUDY_LOG", "info")).ends_with(0);
    assert_eq!(saved(&run.stderr).0, 0, "answers about another file were believed: {}", run.stderr);
}
