//! Vaults: made, opened by their passphrase only, destroyed; voices that stay and noise that does not.

use crate::common::{Kit, Outcome, Sandbox, ffmpeg, finish, kit, pattern};
use crate::refusals::left_over;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use understudy::plan::{PlanLimits, read_plan};

pub const PASSPHRASE: &str = "three small words";
pub const DISGUISE: [&str; 8] = ["disguise", "in.mp4", "-o", "out.mp4", "--preset", "web", "--vault", "v"];

/// The program with networks and the right passphrase.
pub fn knowing(sandbox: &Sandbox, kit: &Kit) -> Command {
    let mut command = sandbox.with(kit);
    command.env("UNDERSTUDY_PASSPHRASE", PASSPHRASE);
    command
}

/// Makes the vault `v`.
pub fn make(sandbox: &Sandbox) {
    finish(sandbox.bare().args(["vault", "new", "v"]).env("UNDERSTUDY_PASSPHRASE", PASSPHRASE)).ends_with(0);
}

/// A hash of all decoded samples.
pub fn sound_hash(film: &Path) -> String {
    ffmpeg(["-i", &film.to_string_lossy(), "-map", "0:a", "-f", "md5", "-"])
}

/// What `vault check` says.
pub fn check(sandbox: &Sandbox) -> String {
    let mut command = sandbox.bare();
    finish(command.args(["vault", "check", "v"]).env("UNDERSTUDY_PASSPHRASE", PASSPHRASE)).ends_with(0).stdout
}

#[test]
fn a_vault_opens_with_its_passphrase_only() {
    let sandbox = Sandbox::new();
    sandbox.copy(pattern(), "in.mp4");
    sandbox.run(["vault", "new", "v"]).refuses(2, "passphrase");
    finish(sandbox.bare().args(["vault", "new", "v"]).env("UNDERSTUDY_PASSPHRASE", "short")).refuses(2, "guessed");
    assert!(!sandbox.path("v").exists());
    make(&sandbox);
    assert_eq!(std::fs::metadata(sandbox.path("v")).unwrap().permissions().mode() & 0o777, 0o600);
    let mut again = sandbox.bare();
    finish(again.args(["vault", "new", "v"]).env("UNDERSTUDY_PASSPHRASE", PASSPHRASE)).refuses(2, "already");
    assert!(check(&sandbox).contains("0 renders"));

    let file = sandbox.write("pass", format!("{PASSPHRASE}\n").as_bytes());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    sandbox.run(["vault", "check", "v", "--passphrase-file", "pass"]).refuses(2, "chmod");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    sandbox.run(["vault", "check", "v", "--passphrase-file", "pass"]).ends_with(0);
    // Never on the command line.
    sandbox.run(["vault", "check", "v", "--passphrase", PASSPHRASE]).ends_with(2);

    let bytes = std::fs::read(sandbox.path("v")).unwrap();
    let mut altered = bytes.clone();
    altered[bytes.len() / 2] ^= 1;
    sandbox.write("altered", &altered);
    sandbox.write("cut", &bytes[..bytes.len() - 1]);
    sandbox.write("letter", b"Dear sir,");
    let before = sandbox.files();
    for (vault, passphrase, code, word) in [
        ("v", "three small wordS", 2, "passphrase is wrong"),
        ("altered", PASSPHRASE, 2, "altered"),
        ("cut", PASSPHRASE, 3, "cut off"),
        ("letter", PASSPHRASE, 2, "no vault"),
        ("nowhere", PASSPHRASE, 2, "vault new"),
    ] {
        for job in [&["disguise", "in.mp4", "-o", "out.mp4"][..], &["analyse", "in.mp4", "-o", "plan"]] {
            let mut command = sandbox.bare();
            command.args([job, &["--vault", vault]].concat()).env("UNDERSTUDY_PASSPHRASE", passphrase);
            let run = finish(&mut command).refuses(code, word);
            assert!(!run.stderr.contains(passphrase), "{}", run.stderr);
            assert_eq!(sandbox.files(), before);
        }
    }
    sandbox.run(["disguise", "in.mp4", "-o", "out.mp4", "--vault", "v"]).refuses(2, "--passphrase-file");
}

#[test]
fn a_sealed_vault_is_gone_and_nothing_else_is() {
    let sandbox = Sandbox::new();
    make(&sandbox);
    sandbox.write("letter", b"Dear sir,");
    sandbox.run(["vault", "seal", "letter"]).refuses(2, "no vault");
    let run = sandbox.run(["vault", "seal", "v"]).ends_with(0);
    assert!(run.stdout.contains("Solid-state"), "{}", run.stdout);
    assert_eq!(sandbox.files(), ["letter"]);
    make(&sandbox);
    sandbox.run(["shred", "v"]).ends_with(0);
    assert_eq!(sandbox.files(), ["letter"]);
}

#[test]
fn two_renders_under_one_vault_share_no_noise() {
    let Some(kit) = kit("two_renders_under_one_vault_share_no_noise") else { return };
    let sandbox = Sandbox::new();
    sandbox.copy(&kit.short, "in.mp4");
    make(&sandbox);
    let film = sandbox.path("out.mp4");
    let mut made = Vec::new();
    for _ in 0..2 {
        finish(knowing(&sandbox, kit).args([&DISGUISE[..], &["--force"]].concat())).ends_with(0);
        made.push(sound_hash(&film)); // its pictures have no grain that could differ
        assert!(check(&sandbox).contains("0 renders"), "the seeds of a published film stay");
        assert!(!sandbox.path(".out.mp4.checkpoint").exists());
        assert!(!left_over(&sandbox), "{:?}", sandbox.files());
    }
    assert_ne!(made[0], made[1], "two renders have the same samples");
}

/// Runs a command with a vault and a passphrase.
fn under(sandbox: &Sandbox, kit: &Kit, vault: &str, passphrase: &str, args: &[&str]) -> Outcome {
    let mut command = sandbox.with(kit);
    finish(command.args(args).args(["--vault", vault]).env("UNDERSTUDY_PASSPHRASE", passphrase))
}

#[test]
fn a_plan_under_a_vault_is_sealed() {
    let Some(kit) = kit("a_plan_under_a_vault_is_sealed") else { return };
    let sandbox = Sandbox::new();
    sandbox.copy(&kit.short, "in.mp4");
    make(&sandbox);
    sandbox.run_with(kit, ["analyse", "in.mp4", "-o", "plain"]).ends_with(0);
    under(&sandbox, kit, "v", PASSPHRASE, &["analyse", "in.mp4", "-o", "sealed"]).ends_with(0);
    let sealed = std::fs::read(sandbox.path("sealed")).unwrap();
    assert_eq!(std::fs::metadata(sandbox.path("sealed")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!sandbox.path(".sealed.checkpoint").exists() && !left_over(&sandbox), "{:?}", sandbox.files());

    // Nothing of the plain one lies in it: no piece of its file, no number of an embedding, no name.
    let plain = std::fs::read(sandbox.path("plain")).unwrap();
    let plan = read_plan(&sandbox.path("plain"), PlanLimits::default()).unwrap();
    assert!(plan.people.iter().any(|p| !p.embedding.is_empty()) && plan.tracks.iter().any(|t| !t.blocks.is_empty()));
    let mut secrets: Vec<Vec<u8>> = plain.windows(10).step_by(5).map(<[u8]>::to_vec).collect();
    for numbers in plan.people.iter().flat_map(|p| p.embedding.chunks_exact(2)) {
        secrets.push(numbers.iter().flat_map(|v| v.to_le_bytes()).collect());
        secrets.push(numbers.iter().flat_map(|v| v.to_be_bytes()).collect());
    }
    secrets.extend([b"in.mp4".to_vec(), b"UNDRPLAN".to_vec(), plan.source.sha256.clone().into_bytes()]);
    let starts: std::collections::BTreeSet<[u8; 6]> = sealed.windows(6).map(|w| w.try_into().unwrap()).collect();
    let lies_open = |s: &[u8]| starts.contains(&s[..6]) && sealed.windows(s.len()).any(|w| w == s);
    assert_eq!(secrets.iter().filter(|s| lies_open(s)).count(), 0);

    // Who has not both vault and passphrase cannot use it, and nobody can use an altered one.
    finish(sandbox.bare().args(["vault", "new", "w"]).env("UNDERSTUDY_PASSPHRASE", PASSPHRASE)).ends_with(0);
    sandbox.write("cut", &sealed[..sealed.len() - 1]);
    sandbox.write("short", &sealed[..50]);
    for at in [9, 30, 60, sealed.len() / 2, sealed.len() - 1] {
        let mut altered = sealed.clone();
        altered[at] ^= 2;
        sandbox.write(&format!("altered{at}"), &altered);
    }
    let before = sandbox.files();
    let render = |plan: &'static str| ["render", plan, "-o", "out.mp4", "--preset", "web"];
    sandbox.run_with(kit, render("sealed")).refuses(2, "--vault");
    sandbox.run_with(kit, ["verify", "in.mp4", "in.mp4", "--plan", "sealed"]).refuses(2, "--vault");
    sandbox.run_with(kit, ["double", "check", "sealed"]).refuses(2, "--vault");
    under(&sandbox, kit, "v", "three small wordS", &render("sealed")).refuses(2, "passphrase is wrong");
    under(&sandbox, kit, "w", PASSPHRASE, &render("sealed")).refuses(4, "another vault");
    for name in before.iter().filter(|n| ["cut", "short"].contains(&n.as_str()) || n.starts_with("altered")) {
        under(&sandbox, kit, "v", PASSPHRASE, &["render", name, "-o", "out.mp4"]).ends_with(4);
    }
    assert_eq!(sandbox.files(), before);

    // With both everything that reads plans reads it.
    under(&sandbox, kit, "v", PASSPHRASE, &render("sealed")).ends_with(0);
    let verify = ["verify", "in.mp4", "out.mp4", "--plan", "sealed", "--report", "attack"];
    under(&sandbox, kit, "v", PASSPHRASE, &verify).ends_with(0);
    let told = under(&sandbox, kit, "v", PASSPHRASE, &["double", "check", "sealed", "--name", "d01"]).ends_with(0);
    assert!(told.stdout.contains("person"), "{}", told.stdout);

    sandbox.write("out.mp4.report/letter", b"Dear sir,");
    let run = sandbox.run(["shred", "sealed", "plain", "attack", "out.mp4.report"]).ends_with(0);
    assert!(run.stdout.contains("other files stay"), "{}", run.stdout);
    let left: Vec<String> =
        sandbox.files().into_iter().filter(|f| f.contains("report") || f.contains("attack")).collect();
    assert_eq!(left, ["out.mp4.report/", "out.mp4.report/letter"]);
    assert!(!sandbox.path("sealed").exists() && !sandbox.path("plain").exists());
    sandbox.run(["shred", "out.mp4.report"]).refuses(4, "not touched");
    sandbox.run(["shred", "out.mp4.report/letter"]).refuses(4, "not touched");
}

#[test]
fn a_plan_sealed_to_somebody_else_opens_with_their_key_only() {
    let Some(kit) = kit("a_plan_sealed_to_somebody_else_opens_with_their_key_only") else { return };
    let sandbox = Sandbox::new();
    sandbox.copy(&kit.short, "in.mp4");
    let make = |name: &'static str| {
        let told = sandbox.run(["vault", "key", name]).ends_with(0).stdout;
        assert_eq!(std::fs::metadata(sandbox.path(name)).unwrap().permissions().mode() & 0o777, 0o600);
        told.lines().last().unwrap().to_owned()
    };
    let (desk, lawyer, _other) = (make("desk"), make("lawyer"), make("other"));
    assert_eq!(sandbox.run(["vault", "recipient", "desk"]).ends_with(0).stdout.trim(), desk);
    sandbox.run(["vault", "key", "desk"]).refuses(2, "already");

    // Refused before any work: a typing error, a secret in the place of the public key, a vault beside it, no plan to seal.
    let secret = std::fs::read_to_string(sandbox.path("desk")).unwrap();
    let analyse = |to: &str| {
        let mut command = sandbox.with(kit);
        finish(command.args(["analyse", "in.mp4", "-o", "sent", "--encrypt-to", to, "--encrypt-to", &lawyer]))
    };
    let typo = format!("{}0", &desk[..desk.len() - 1]);
    analyse(if typo == desk { "understudy1-00" } else { &typo }).refuses(2, "mistyped");
    let told = analyse(secret.trim());
    assert!(!format!("{}{}", told.stdout, told.stderr).contains(secret.trim()), "a secret key was repeated");
    told.ends_with(2);
    sandbox.run_with(kit, ["disguise", "in.mp4", "-o", "out.mp4", "--encrypt-to", &desk]).ends_with(2);
    assert!(!sandbox.path("sent").exists() && !left_over(&sandbox));

    analyse(&desk).ends_with(0);
    let sent = std::fs::read(sandbox.path("sent")).unwrap();
    assert_eq!(std::fs::metadata(sandbox.path("sent")).unwrap().permissions().mode() & 0o777, 0o600);
    for secret in [&b"in.mp4"[..], b"UNDRPLAN", desk.as_bytes()] {
        assert!(!sent.windows(secret.len()).any(|w| w == secret));
    }
    sandbox.run_with(kit, ["render", "sent", "-o", "out.mp4", "--preset", "web"]).refuses(2, "--identity");
    sandbox.run_with(kit, ["render", "sent", "-o", "out.mp4", "--identity", "other"]).refuses(4, "somebody else");
    sandbox.run_with(kit, ["render", "sent", "-o", "desk", "--identity", "desk", "--force"]).ends_with(2);
    assert_eq!(std::fs::read_to_string(sandbox.path("desk")).unwrap(), secret, "a key was written over");
    for (key, film) in [("desk", "out.mp4"), ("lawyer", "again.mp4")] {
        sandbox.run_with(kit, ["render", "sent", "-o", film, "--preset", "web", "--identity", key]).ends_with(0);
    }
    let verify = ["verify", "in.mp4", "out.mp4", "--plan", "sent", "--identity", "desk", "--report", "attack"];
    sandbox.run_with(kit, verify).ends_with(0);
    sandbox.run(["shred", "sent", "desk"]).ends_with(0);
    assert!(!sandbox.path("sent").exists() && !sandbox.path("desk").exists());
}
