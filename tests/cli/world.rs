//! What the world does while a film is made: the input changes, the folder goes, memory ends, the clock jumps.

use crate::common::{Kit, Sandbox, collect, finish, kit, pattern, preload, program, signal, skip, wait_until};
use crate::refusals::left_over;
use std::path::PathBuf;
use std::process::{Child, Command};

const DISGUISE: [&str; 6] = ["disguise", "in.mp4", "-o", "out/film.mp4", "--preset", "web"];

/// A disguise of the sample that has reached `stage`.
fn reached(kit: &Kit, sandbox: &Sandbox, thread: &str) -> Child {
    std::fs::create_dir(sandbox.path("out")).unwrap();
    sandbox.copy(&kit.short, "in.mp4");
    let mut child = sandbox.with(kit).args(DISGUISE).spawn().unwrap();
    let pid = child.id();
    let there = || crate::stops::has_thread(pid, thread);
    assert!(wait_until(&mut child, there), "it ended before {thread}: {:?}", collect(child));
    child
}

/// Threads that run in one stage only: the first pass, the search of the attacker, the render, the attack.
const STAGES: [&str; 4] = ["decode", "verify-find", "treat", "verify-output"];

#[test]
fn an_input_that_changes_gives_no_film() {
    let Some(kit) = kit("an_input_that_changes_gives_no_film") else { return };
    type Change = fn(&Sandbox);
    let replaced: Change = |s| {
        s.copy(pattern(), "other.mp4");
        std::fs::rename(s.path("other.mp4"), s.path("in.mp4")).unwrap();
    };
    let cut: Change = |s| {
        let file = std::fs::OpenOptions::new().write(true).open(s.path("in.mp4")).unwrap();
        file.set_len(file.metadata().unwrap().len() / 3).unwrap();
    };
    // The same number of frames and the same size, but other people: only the file itself tells.
    let touched: Change = |s| {
        let bytes = std::fs::read(s.path("in.mp4")).unwrap();
        std::fs::write(s.path("in.mp4"), bytes).unwrap();
    };
    let removed: Change = |s| std::fs::remove_file(s.path("in.mp4")).unwrap();
    for (name, change) in [("replaced", replaced), ("cut", cut), ("touched", touched), ("removed", removed)] {
        for stage in STAGES {
            let sandbox = Sandbox::new();
            let child = reached(kit, &sandbox, stage);
            change(&sandbox);
            let run = collect(child);
            assert!(
                [3, 4, 6].contains(&run.code) || run.is_refused(),
                "{name} at {stage}: {} {}",
                run.code,
                run.stderr
            );
            assert!(!run.stderr.contains("panicked"), "{name} at {stage}: {}", run.stderr);
            assert!(!sandbox.path("out/film.mp4").exists(), "{name} at {stage}: a film was published");
            assert!(!left_over(&sandbox), "{name} at {stage}: {:?}", sandbox.files());
        }
    }
}

#[test]
fn an_output_folder_that_goes_gives_no_film() {
    let Some(kit) = kit("an_output_folder_that_goes_gives_no_film") else { return };
    for stage in STAGES {
        let sandbox = Sandbox::new();
        let child = reached(kit, &sandbox, stage);
        std::fs::remove_dir_all(sandbox.path("out")).unwrap();
        let run = collect(child);
        assert!(run.code == 6 || run.is_refused(), "{stage}: {} {}", run.code, run.stderr);
        assert!(!run.stderr.contains("panicked"), "{stage}: {}", run.stderr);
        let films = sandbox.files().into_iter().filter(|f| f.contains("film.mp4") && !f.contains("report"));
        assert_eq!(films.collect::<Vec<_>>(), Vec::<String>::new(), "{stage}");
    }
}

#[test]
fn too_little_memory_gives_no_film() {
    let Some(kit) = kit("too_little_memory_gives_no_film") else { return };
    let mut ended = Vec::new();
    // From so little that nothing loads to nearly enough.
    for mebibytes in [64, 200, 400, 600, 800, 1000] {
        let sandbox = Sandbox::new();
        sandbox.copy(&kit.short, "in.mp4");
        let script =
            format!("ulimit -v {}; exec \"$0\" disguise in.mp4 -o out.mp4 --preset web --threads 1", mebibytes * 1024);
        let mut command = Command::new("bash");
        command.args(["-c", &script]).arg(program());
        sandbox.tame(&mut command);
        let run = finish(command.env("UNDERSTUDY_MODELS", &kit.models));
        ended.push((mebibytes, run.code));
        if run.code == 0 {
            break;
        }
        assert!(!sandbox.path("out.mp4").exists(), "{mebibytes} MiB: a film without a verdict");
        // An allocation that fails aborts the process: its part file may stay, as after a kill.
        let aborted = [-1, 127, 134].contains(&run.code);
        assert!(aborted || !left_over(&sandbox), "{mebibytes} MiB: {:?}", sandbox.files());
    }
    eprintln!("MiB of address space and exit codes: {ended:?}");
    assert!(ended.iter().any(|(_, code)| *code != 0));
}

/// A control group for memory that is removed with the test; `None` where there is none or it cannot be made.
struct Group(PathBuf);

impl Group {
    fn of(mebibytes: u64) -> Option<Self> {
        let name = format!("understudy-test-{}-{mebibytes}", std::process::id());
        let bytes = (mebibytes << 20).to_string();
        // The second version of control groups, then the first.
        for (root, limits) in [
            ("/sys/fs/cgroup", &[("memory.max", bytes.as_str()), ("memory.swap.max", "0")][..]),
            ("/sys/fs/cgroup/memory", &[("memory.limit_in_bytes", &bytes), ("memory.swappiness", "0")]),
        ] {
            if !std::path::Path::new(root).join("cgroup.procs").exists() {
                continue;
            }
            let group = Group(std::path::Path::new(root).join(&name));
            if std::fs::create_dir(&group.0).is_ok()
                && limits.iter().all(|(file, value)| std::fs::write(group.0.join(file), value).is_ok())
            {
                return Some(group);
            }
        }
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Empty, but the kernel may still count its last process.
        let gone = || std::fs::remove_dir(&self.0).is_ok() || !self.0.exists();
        for _ in 0..100 {
            if gone() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

#[test]
fn a_control_group_without_memory_gives_no_film() {
    let name = "a_control_group_without_memory_gives_no_film";
    let Some(kit) = kit(name) else { return };
    let mut ended = Vec::new();
    for mebibytes in [24, 150] {
        let Some(group) = Group::of(mebibytes) else {
            return skip(name, "no control group can be made here (root is needed)");
        };
        let sandbox = Sandbox::new();
        sandbox.copy(&kit.short, "in.mp4");
        let script = "echo $$ > \"$1/cgroup.procs\" && exec \"$0\" disguise in.mp4 -o out.mp4 --preset web --threads 1";
        let mut command = Command::new("bash");
        command.args(["-c", script]).arg(program()).arg(&group.0);
        sandbox.tame(&mut command);
        let run = finish(command.env("UNDERSTUDY_MODELS", &kit.models));
        ended.push((mebibytes, run.code));
        // The kernel kills what takes more; a film is there whole and cleared, or not at all.
        assert!([-1, 0, 5, 6].contains(&run.code), "{mebibytes} MiB: {} {}", run.code, run.stderr);
        assert_eq!(sandbox.path("out.mp4").exists(), run.code == 0, "{mebibytes} MiB");
        if run.code != 0 && mebibytes > 24 {
            sandbox.run_with(kit, ["disguise", "in.mp4", "-o", "out.mp4", "--preset", "web"]).ends_with(0);
            assert!(!left_over(&sandbox), "what the killed run left stays: {:?}", sandbox.files());
        }
    }
    eprintln!("MiB of the control group and exit codes: {ended:?}");
    assert!(ended.iter().any(|(_, code)| *code == -1), "no run was killed");
}

/// A library that lets every clock jump by up to a day, back and forth.
const JUMPS: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <time.h>
static atomic_ulong calls;
static long jump(void) {
    unsigned long n = atomic_fetch_add(&calls, 1) * 2654435761u;
    return (long)(n % 172800) - 86400;
}
int clock_gettime(clockid_t id, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int r = real(id, t);
    if (id == CLOCK_REALTIME || id == CLOCK_MONOTONIC) { t->tv_sec += jump(); if (t->tv_sec < 1) t->tv_sec = 1; }
    return r;
}
int gettimeofday(struct timeval *restrict t, void *restrict z) {
    struct timespec s; clock_gettime(CLOCK_REALTIME, &s);
    t->tv_sec = s.tv_sec; t->tv_usec = s.tv_nsec / 1000; return 0;
}
time_t time(time_t *t) {
    struct timespec s; clock_gettime(CLOCK_REALTIME, &s);
    if (t) *t = s.tv_sec;
    return s.tv_sec;
}
"#;

#[test]
fn a_clock_that_jumps_changes_nothing() {
    let name = "a_clock_that_jumps_changes_nothing";
    let Some(kit) = kit(name) else { return };
    let sandbox = Sandbox::new();
    sandbox.copy(&kit.short, "in.mp4");
    let Some(library) = preload(&sandbox, "jumps", JUMPS) else { return skip(name, "no C compiler") };
    let args = ["disguise", "in.mp4", "-o", "out.mp4", "--preset", "web", "--redacted"];
    let run = finish(sandbox.with(kit).args(args).env("LD_PRELOAD", &library)).ends_with(0);
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    assert!(sandbox.path("out.mp4").exists() && !left_over(&sandbox));
    // The films themselves are the same, whatever the clock says: nothing but the drawn noise differs.
    sandbox.run_with(kit, ["analyse", "in.mp4", "-o", "a"]).ends_with(0);
    finish(sandbox.with(kit).args(["analyse", "in.mp4", "-o", "b"]).env("LD_PRELOAD", &library)).ends_with(0);
    assert_eq!(std::fs::read(sandbox.path("a")).unwrap(), std::fs::read(sandbox.path("b")).unwrap());
}

#[test]
fn a_stopped_run_stays_stopped_without_a_vault() {
    let Some(kit) = kit("a_stopped_run_stays_stopped_without_a_vault") else { return };
    let sandbox = Sandbox::new();
    let child = reached(kit, &sandbox, "verify-find");
    signal("KILL", &child.id().to_string());
    collect(child).ends_with(-1);
    let kept = sandbox.files().into_iter().filter(|f| f.contains("checkpoint"));
    assert_eq!(kept.collect::<Vec<_>>(), Vec::<String>::new(), "something was kept without a vault");
}
