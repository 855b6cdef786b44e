//! Interrupted jobs: nothing under the final name, and the next run succeeds.

use crate::common::{Kit, Sandbox, collect, kit, signal, wait_until};
use crate::refusals::left_over;
use std::process::Child;
use std::time::{Duration, Instant};

const DISGUISE: [&str; 6] = ["disguise", "in.mp4", "-o", "out.mp4", "--preset", "web"];

/// Starts a disguise and waits until it has written some of the film.
fn started(kit: &Kit, sandbox: &Sandbox) -> Child {
    let mut child = sandbox.with(kit).args(DISGUISE).spawn().unwrap();
    let writing = || sandbox.files().iter().any(|f| f.contains("out.mp4") && size(sandbox, f) > 4096);
    assert!(wait_until(&mut child, writing), "it ended before it wrote: {:?}", collect(child));
    assert!(!sandbox.path("out.mp4").exists(), "the final name is taken while the film is being made");
    child
}

fn size(sandbox: &Sandbox, name: &str) -> u64 {
    std::fs::metadata(sandbox.path(name)).map_or(0, |m| m.len())
}

#[test]
fn a_kill_leaves_nothing_under_the_final_name() {
    let Some(kit) = kit("a_kill_leaves_nothing_under_the_final_name") else { return };
    let sandbox = Sandbox::new();
    sandbox.copy(&kit.film, "in.mp4");
    let child = started(kit, &sandbox);
    signal("KILL", &child.id().to_string());
    collect(child).ends_with(-1);
    assert!(!sandbox.path("out.mp4").exists());
    // Nobody else may read what is left.
    for name in sandbox.files().iter().filter(|f| f.contains("part")) {
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(sandbox.path(name)).unwrap().permissions());
        assert_eq!(mode & 0o077, 0, "{name} is readable by others");
    }
    sandbox.copy(&kit.short, "in.mp4");
    sandbox.run_with(kit, DISGUISE).ends_with(0);
    assert!(sandbox.path("out.mp4").is_file());
}

#[test]
fn an_interrupt_cleans_up() {
    let Some(kit) = kit("an_interrupt_cleans_up") else { return };
    for name in ["INT", "TERM"] {
        let sandbox = Sandbox::new();
        sandbox.copy(&kit.film, "in.mp4");
        let child = started(kit, &sandbox);
        signal(name, &child.id().to_string());
        collect(child).refuses(130, "interrupted");
        assert!(!sandbox.path("out.mp4").exists());
        assert!(!left_over(&sandbox), "{name}: {:?}", sandbox.files());
    }
}

/// Whether a thread of this name runs.
pub fn has_thread(pid: u32, name: &str) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|t| std::fs::read_to_string(t.path().join("comm")).ok()).any(|c| c.trim() == name)
}

#[test]
fn an_interrupt_during_the_attack_ends_it_promptly() {
    let Some(kit) = kit("an_interrupt_during_the_attack_ends_it_promptly") else { return };
    let sandbox = Sandbox::new();
    sandbox.copy(&kit.short, "in.mp4");
    sandbox.run_with(kit, DISGUISE).ends_with(0);
    let alone = ["verify", "in.mp4", "out.mp4", "--recall", "max", "--report", "attack"];
    let again = ["disguise", "in.mp4", "-o", "again.mp4", "--preset", "web"];
    for (args, thread, name) in [
        (&alone[..], "verify-find", "INT"),
        (&alone[..], "verify-source", "TERM"),
        (&again[..], "verify-find", "TERM"),
        (&again[..], "verify-output", "INT"),
    ] {
        let mut child = sandbox.with(kit).args(args).spawn().unwrap();
        let pid = child.id();
        assert!(wait_until(&mut child, || has_thread(pid, thread)), "it ended early: {:?}", collect(child));
        let start = Instant::now();
        signal(name, &pid.to_string());
        collect(child).refuses(130, "interrupted");
        assert!(start.elapsed() < Duration::from_secs(10), "{args:?} took {:?} to stop", start.elapsed());
        assert!(!sandbox.path("again.mp4").exists() && !sandbox.path("attack/report.json").exists());
        assert!(!left_over(&sandbox), "{:?}", sandbox.files());
    }
}
