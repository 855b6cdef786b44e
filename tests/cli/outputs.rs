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

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}
