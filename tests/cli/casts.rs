//! Casts and plans that are wrong: exit code 4, with line and key.

use crate::common::{Sandbox, kit, pattern};

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let sandbox = Sandbox::new();
    sandbox.copy(pattern(), "in.mp4");
    sandbox.write("cast.toml", b"[policy]\nunlisted = \"disguise\"\n\n[[person]]\nalias = \"A\"\nface_of = \"keep\"\n");
    let before = sandbox.files();
    let run = sandbox.run(["disguise", "in.mp4", "-o", "out.mp4", "--cast", "cast.toml"]).refuses(4, "face_of");
    assert!(run.stderr.contains("line 6"), "{}", run.stderr);
    assert_eq!(sandbox.files(), before);
}

#[test]
fn casts_that_are_no_casts() {
    let sandbox = Sandbox::new();
    sandbox.copy(pattern(), "in.mp4");
    sandbox.write("bytes.toml", &[0xff, 0xfe, 0, 1, 2]);
    sandbox.write("half.toml", b"[[person]\n");
    sandbox.write("keep.toml", b"[policy]\nunlisted = \"keep\"\n");
    let before = sandbox.files();
    for cast in ["bytes.toml", "half.toml", "keep.toml", "nowhere.toml"] {
        sandbox.run(["disguise", "in.mp4", "-o", "out.mp4", "--cast", cast]).refuses(4, "");
        assert_eq!(sandbox.files(), before);
    }
}

#[test]
fn plans_that_are_no_plans() {
    let sandbox = Sandbox::new();
    sandbox.copy(pattern(), "in.mp4");
    sandbox.write("text.plan", b"not a plan at all");
    sandbox.write("empty.plan", b"");
    let before = sandbox.files();
    for plan in ["text.plan", "empty.plan", "in.mp4", "nowhere.plan"] {
        sandbox.run(["render", plan, "-o", "out.mp4"]).refuses(4, "");
        // A wrong name must not destroy something else.
        sandbox.run(["shred", plan]).refuses(4, "");
        assert_eq!(sandbox.files(), before);
    }
    assert_eq!(std::fs::read(sandbox.path("text.plan")).unwrap(), b"not a plan at all");
}

#[test]
fn a_track_that_does_not_exist_stops_the_render() {
    let Some(kit) = kit("a_track_that_does_not_exist_stops_the_render") else { return };
    let sandbox = Sandbox::new();
    sandbox.copy(&kit.short, "in.mp4");
    sandbox.run_with(kit, ["analyse", "in.mp4", "-o", "film.plan"]).ends_with(0);
    let plan = std::fs::read(sandbox.path("film.plan")).unwrap();
    sandbox.write("cast.toml", b"[[person]]\nalias = \"A\"\ntracks = [999]\nface = \"blur\"\n");
    let before = sandbox.files();
    sandbox.run_with(kit, ["render", "film.plan", "-o", "out.mp4", "--cast", "cast.toml"]).refuses(4, "999");
    assert_eq!(sandbox.files(), before);

    // A plan that was cut or altered is not obeyed either.
    sandbox.write("cut.plan", &plan[..plan.len() / 2]);
    let mut altered = plan.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 0x10;
    sandbox.write("altered.plan", &altered);
    for name in ["cut.plan", "altered.plan"] {
        sandbox.run_with(kit, ["render", name, "-o", "out.mp4"]).refuses(4, "plan");
    }

    // Nor is a plan made from another film.
    sandbox.copy(pattern(), "in.mp4");
    sandbox.run_with(kit, ["render", "film.plan", "-o", "out.mp4"]).refuses(4, "analysed");
    assert!(!sandbox.path("out.mp4").exists());

    sandbox.run(["shred", "film.plan", "cut.plan"]).ends_with(0);
    assert!(!sandbox.path("film.plan").exists());
    assert!(!sandbox.path("cut.plan").exists());
}

#[test]
fn subtitles_pass_only_through_the_casts_words() {
    let sandbox = Sandbox::new();
    let talk = "WEBVTT Anna\n\nNOTE Lyon\n\nanna\n00:01.000 --> 00:02.000 region:anna\n<v Anna>I am Anna, not Hanna.\n";
    sandbox.write("in.vtt", talk.as_bytes());
    sandbox.write("none.toml", b"[[person]]\nalias = \"A\"\ntracks = [1]\n");
    sandbox.write("cast.toml", b"[words]\nAnna = \"Witness 1\"\n");
    sandbox.write("bad.toml", b"[words]\nAnna = \"Anna B\"\n");
    let before = sandbox.files();
    let run = |cast: &'static str, to: &'static str| sandbox.run(["subtitles", "in.vtt", "-o", to, "--cast", cast]);
    run("none.toml", "out.srt").refuses(4, "[words]");
    run("bad.toml", "out.srt").refuses(4, "alias");
    run("cast.toml", "out.ass").refuses(2, ".srt or .vtt");
    assert_eq!(sandbox.files(), before);
    let told = run("cast.toml", "out.srt").ends_with(0);
    assert!(told.stderr.contains("00:00:01") && !told.stderr.contains("anna"), "{}", told.stderr);
    let made = std::fs::read_to_string(sandbox.path("out.srt")).unwrap();
    assert_eq!(made, "1\n00:00:01,000 --> 00:00:02,000\nI am Witness 1, not ….\n\n");
    run("cast.toml", "out.vtt").ends_with(0);
    assert!(std::fs::read_to_string(sandbox.path("out.vtt")).unwrap().starts_with("WEBVTT\n\n00:00:01.000"));
}
