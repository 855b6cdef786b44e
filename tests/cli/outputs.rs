//! Outputs that cannot or must not be written: the source stays whole, nothing else appears.

use crate::common::{Sandbox, finish, kit, pattern, skip};
use crate::refusals::left_over;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

#[test]
fn the_source_is_never_overwritten() {
    let sandbox = Sandbox::new();
    let bytes = std::fs::read(pattern()).unwrap();
    sandbox.write("in.mp4", &bytes);
    symlink("in.mp4", sandbox.path("symbolic.mp4")).unwrap();
    std::fs::hard_link(sandbox.path("in.mp4"), sandbox.path("hard.mp4")).unwrap();
    std::fs::create_dir(sandbox.path("folder")).unwrap();
    let before = sandbox.files();
    for (input, output) in [
        ("in.mp4", "in.mp4"),
        ("in.mp4", "./in.mp4"),
        ("in.mp4", "folder/../in.mp4"),
        ("in.mp4", "symbolic.mp4"),
        ("symbolic.mp4", "in.mp4"),
        ("in.mp4", "hard.mp4"),
    ] {
        for force in [&[][..], &["--force"]] {
            let args = [&["disguise", input, "-o", output][..], force].concat();
            sandbox.run(args).refuses(2, "input");
            assert_eq!(std::fs::read(sandbox.path("in.mp4")).unwrap(), bytes, "{input} -> {output}");
            assert_eq!(sandbox.files(), before);
        }
    }
    sandbox.run(["analyse", "in.mp4", "-o", "in.mp4", "--force"]).refuses(2, "input");
    assert_eq!(std::fs::read(sandbox.path("in.mp4")).unwrap(), bytes);
}

#[test]
fn nothing_that_a_job_reads_is_written_over() {
    let sandbox = Sandbox::new();
    let bytes = std::fs::read(pattern()).unwrap();
    sandbox.write("in.mp4", &bytes);
    sandbox.write("actor.wav", b"sound");
    sandbox.write(
        "cast.toml",
        b"[[person]]\nalias = \"A\"\ntracks = [1]\nvoice = { style = \"replace\", file = \"actor.wav\" }\n",
    );
    symlink("in.mp4", sandbox.path("link")).unwrap();
    sandbox.write("v", b"a vault");
    sandbox.write("pass", b"long enough");
    let before = sandbox.files();
    let job =
        ["disguise", "in.mp4", "-o", "out.mp4", "--cast", "cast.toml", "--vault", "v", "--passphrase-file", "pass"];
    for (option, files) in [
        ("--matte", &["in.mp4", "./in.mp4", "link", "cast.toml", "actor.wav", "v", "pass", "out.mp4", "./out.mp4"][..]),
        ("--plan", &["in.mp4", "link", "cast.toml", "actor.wav", "v", "pass", "out.mp4"]),
    ] {
        for file in files {
            sandbox.run([&job[..], &[option, file, "--force"]].concat()).refuses(2, "another name");
        }
    }
    sandbox.run([&job[..], &["--plan", "p", "--matte", "p"]].concat()).refuses(2, "another name");
    let analyse = ["analyse", "in.mp4", "--vault", "v", "--passphrase-file", "pass", "--force", "-o"];
    for file in ["v", "pass"] {
        sandbox.run([&analyse[..], &[file]].concat()).refuses(2, "another name");
    }
    assert_eq!(sandbox.files(), before);
    assert_eq!(std::fs::read(sandbox.path("in.mp4")).unwrap(), bytes);
    assert_eq!(std::fs::read(sandbox.path("v")).unwrap(), b"a vault");
}

#[test]
fn what_exists_is_kept() {
    let sandbox = Sandbox::new();
    sandbox.copy(pattern(), "in.mp4");
    sandbox.write("out.mp4", b"precious");
    std::fs::create_dir(sandbox.path("folder.mp4")).unwrap();
    let before = sandbox.files();
    sandbox.run(["disguise", "in.mp4", "-o", "out.mp4"]).refuses(2, "--force");
    sandbox.run(["analyse", "in.mp4", "-o", "out.mp4"]).refuses(2, "--force");
    sandbox.run(["disguise", "in.mp4", "-o", "folder.mp4"]).refuses(2, "folder");
    assert_eq!(std::fs::read(sandbox.path("out.mp4")).unwrap(), b"precious");
    assert_eq!(sandbox.files(), before);
}

#[test]
fn folders_that_are_not_there_or_cannot_be_written() {
    let sandbox = Sandbox::new();
    sandbox.copy(pattern(), "in.mp4");
    sandbox.write("file", b"");
    std::fs::create_dir(sandbox.path("locked")).unwrap();
    std::fs::set_permissions(sandbox.path("locked"), std::fs::Permissions::from_mode(0o555)).unwrap();
    let before = sandbox.files();
    for output in ["missing/out.mp4", "file/out.mp4", "/proc/out.mp4"] {
        sandbox.run(["disguise", "in.mp4", "-o", output]).refuses(6, "out");
    }
    if is_root() {
        skip("folders_that_are_not_there_or_cannot_be_written", "permissions do not bind root; only /proc was tried");
    } else {
        sandbox.run(["disguise", "in.mp4", "-o", "locked/out.mp4"]).refuses(6, "locked");
    }
    assert_eq!(sandbox.files(), before);
}

#[test]
fn a_size_limit_leaves_nothing() {
    let Some(kit) = kit("a_size_limit_leaves_nothing") else { return };
    let sandbox = Sandbox::new();
    sandbox.copy(&kit.short, "in.mp4");
    let before = sandbox.files();
    // 16 blocks of 1024 bytes: far too little for the film. The signal that would end the program is ignored.
    let script = "trap '' XFSZ; ulimit -f 16; exec \"$0\" disguise in.mp4 -o out.mkv --preset lossless";
    let mut command = Command::new("bash");
    command.args(["-c", script, env!("CARGO_BIN_EXE_understudy")]);
    sandbox.tame(&mut command);
    let run = finish(command.env("UNDERSTUDY_MODELS", &kit.models));
    run.ends_with(6);
    assert!(!sandbox.path("out.mkv").exists());
    assert!(!left_over(&sandbox), "{:?}", sandbox.files());
    assert!(sandbox.files().iter().all(|f| before.contains(f) || f.contains("report")), "{:?}", sandbox.files());
}

#[test]
fn a_full_disk_leaves_nothing() {
    let name = "a_full_disk_leaves_nothing";
    let Some(kit) = kit(name) else { return };
    if !is_root() {
        return skip(name, "only root can mount a small disk");
    }
    let sandbox = Sandbox::new();
    sandbox.copy(&kit.short, "in.mp4");
    let disk = sandbox.path("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=128k", "tmpfs"]).arg(&disk).output().unwrap();
    if !mount.status.success() {
        return skip(name, "this machine does not let tests mount a tmpfs");
    }
    let run = sandbox.run_with(kit, ["disguise", "in.mp4", "-o", "disk/out.mkv", "--preset", "lossless"]);
    let left: Vec<_> = std::fs::read_dir(&disk).unwrap().flatten().map(|e| e.file_name()).collect();
    let unmounted = Command::new("umount").arg(&disk).status().unwrap();
    assert!(unmounted.success());
    run.refuses(6, "space");
    assert!(left.iter().all(|n| n == "out.mkv.report"), "{left:?}");
}

/// A library that refuses to write more than so many bytes to files below a folder, as a quota does.
const QUOTA: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
static atomic_long used;
static int over(int fd, size_t n) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t k = readlink(link, path, sizeof path - 1);
    if (k < 0) return 0;
    path[k] = 0;
    if (!strstr(path, "/quota/")) return 0;
    if (atomic_fetch_add(&used, (long)n) + (long)n <= atol(getenv("QUOTA"))) return 0;
    atomic_fetch_sub(&used, (long)n);
    errno = EDQUOT;
    return 1;
}
ssize_t write(int fd, const void *p, size_t n) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    return over(fd, n) ? -1 : real(fd, p, n);
}
ssize_t writev(int fd, const struct iovec *v, int count) {
    static ssize_t (*real)(int, const struct iovec *, int);
    if (!real) real = (ssize_t (*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
    size_t n = 0;
    for (int i = 0; i < count; i++) n += v[i].iov_len;
    return over(fd, n) ? -1 : real(fd, v, count);
}
ssize_t pwrite64(int fd, const void *p, size_t n, off_t at) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real) real = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite64");
    return over(fd, n) ? -1 : real(fd, p, n, at);
}
"#;

#[test]
fn a_quota_leaves_nothing() {
    let name = "a_quota_leaves_nothing";
    let Some(kit) = kit(name) else { return };
    let sandbox = Sandbox::new();
    sandbox.copy(&kit.short, "in.mp4");
    std::fs::create_dir(sandbox.path("quota")).unwrap();
    crate::vaults::make(&sandbox);
    let Some(library) = crate::common::preload(&sandbox, "quota", QUOTA) else {
        return skip(name, "no C compiler");
    };
    let run = |bytes: u32, args: &[&str]| {
        let mut command = crate::vaults::knowing(&sandbox, kit);
        command.args(args).env("LD_PRELOAD", &library).env("QUOTA", bytes.to_string());
        finish(&mut command)
    };
    let disguise = ["disguise", "in.mp4", "-o", "quota/out.mkv", "--preset", "lossless"];
    let plan = ["analyse", "in.mp4", "-o", "quota/plan"];
    for (bytes, args) in [(0, &plan[..]), (3000, &plan[..]), (200_000, &disguise[..])] {
        let told = run(bytes, args).ends_with(6);
        assert!(!told.stderr.contains("panicked"), "{}", told.stderr);
        let told = told.stderr.to_lowercase();
        assert!(told.contains("quota") || told.contains("space"), "{told}");
        let left: Vec<String> = sandbox.files().into_iter().filter(|f| f.starts_with("quota/")).collect();
        assert!(left.iter().all(|f| f == "quota/" || f.contains("report")), "{bytes}: {left:?}");
    }
    // A checkpoint that cannot be written is no reason to stop: the plan itself just fits.
    let told = run(60_000, &[&plan[..], &["--vault", "v"]].concat());
    assert!(
        [0, 6].contains(&told.code) && told.stderr.contains("checkpoint cannot be written"),
        "{} {}",
        told.code,
        told.stderr
    );
    assert_eq!(sandbox.path("quota/plan").exists(), told.code == 0);
    assert!(!left_over(&sandbox), "{:?}", sandbox.files());
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}
