//! What the process may not do while it decodes, and what is said about it.

use crate::common::{Kit, Sandbox, collect, kit, skip, wait_until};
use std::path::Path;

/// Whether this kernel has Landlock; without it the program must say so.
fn landlock() -> bool {
    std::fs::read_to_string("/sys/kernel/security/lsm").map_or(true, |l| l.contains("landlock"))
}

#[test]
fn what_is_forbidden_is_refused() {
    let Some(kit) = kit("what_is_forbidden_is_refused") else { return };
    let told = |args: &[&str]| {
        let sandbox = Sandbox::new();
        let run = sandbox.run_with(kit, args).ends_with(0);
        run.stdout.lines().find(|l| l.contains("sandbox")).unwrap_or_default().to_owned()
    };
    let on = told(&["doctor"]);
    if landlock() {
        // The doctor tries a socket, a program and a foreign file inside.
        assert!(on.contains("Landlock") && on.contains("all were refused"), "{on}");
    } else {
        assert!(on.contains("no Landlock"), "{on}");
    }
    let off = told(&["doctor", "--no-sandbox"]);
    assert!(off.contains("off, by --no-sandbox"), "{off}");
}

/// Values of one line of `/proc/PID/task/*/status`.
fn of_all_threads(pid: u32, key: &str) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a running program");
    let status = tasks.flatten().filter_map(|t| std::fs::read_to_string(t.path().join("status")).ok());
    status.filter_map(|s| Some(s.lines().find(|l| l.starts_with(key))?.split_whitespace().last()?.to_owned())).collect()
}

#[test]
fn every_thread_of_a_disguise_is_held() {
    let Some(kit) = kit("every_thread_of_a_disguise_is_held") else { return };
    let sandbox = Sandbox::new();
    sandbox.copy(&kit.film, "in.mp4");
    let mut child = sandbox.with(kit).args(["disguise", "in.mp4", "-o", "out.mp4", "--preset", "web"]).spawn().unwrap();
    let pid = child.id();
    let named = |name: &str| {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        tasks.filter_map(|t| std::fs::read_to_string(t.path().join("comm")).ok()).any(|c| c.trim() == name)
    };
    assert!(wait_until(&mut child, || named("decode")), "it ended early: {:?}", collect(child));
    let (filters, rights) = (of_all_threads(pid, "Seccomp:"), of_all_threads(pid, "NoNewPrivs:"));
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    crate::common::signal("TERM", &pid.to_string());
    collect(child).ends_with(130);
    assert!(filters.len() > 1 && filters.iter().all(|f| f == "2"), "{filters:?}");
    assert!(rights.iter().all(|r| r == "1"), "{rights:?}");
    let core = limits.lines().find(|l| l.starts_with("Max core file size")).unwrap_or_default();
    let numbers: Vec<&str> = core.split_whitespace().filter(|w| *w == "0").collect();
    assert_eq!(numbers.len(), 2, "{core}");
}

/// A report fits the schema that is published for it, and what is no report does not.
fn fits_its_schema(report: &serde_json::Value) {
    crate::common::schema::check_report(report).unwrap();
    type Change = fn(&mut serde_json::Value);
    let changes: [Change; 6] = [
        |r| r["cleared"] = "yes".into(),
        |r| r["frames"] = (-1).into(),
        |r| r["extra"] = 1.into(),
        |r| drop(r.as_object_mut().unwrap().remove("limits")),
        |r| r["output_sha256"] = "short".into(),
        |r| r["people"][0]["identity"] = serde_json::json!({"samples": 1}),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut bad = report.clone();
        change(&mut bad);
        assert!(crate::common::schema::check_report(&bad).is_err(), "change {i}");
    }
}

fn settings(dir: &Path) -> (String, Vec<String>) {
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.join("report.json")).unwrap()).unwrap();
    fits_its_schema(&json);
    let of = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
    let all = json["settings"].as_array().unwrap();
    let text = all.iter().find(|s| s[0] == "sandbox").map(|s| of(&s[1])).unwrap_or_default();
    (text, json["warnings"].as_array().unwrap().iter().map(|w| of(&w["kind"])).collect())
}

#[test]
fn going_without_is_told_and_recorded() {
    let Some(kit) = kit("going_without_is_told_and_recorded") else { return };
    let run = |kit: &Kit, more: &[&str]| {
        let sandbox = Sandbox::new();
        sandbox.copy(&kit.short, "in.mp4");
        // Report and cast away from the output: each place is opened by itself.
        std::fs::create_dir_all(sandbox.path("elsewhere/casts")).unwrap();
        sandbox.write("elsewhere/casts/cast.toml", b"[policy]\nunlisted = \"blur\"\n");
        std::fs::create_dir(sandbox.path("films")).unwrap();
        let fixed = [
            "disguise",
            "in.mp4",
            "-o",
            "films/out.mp4",
            "--preset",
            "web",
            "--cast",
            "elsewhere/casts/cast.toml",
            "--report",
            "elsewhere/report",
            "--plan",
            "elsewhere/casts/film.plan",
            "--matte",
            "elsewhere/matte.mkv",
        ];
        let done = sandbox.run_with(kit, [&fixed[..], more].concat()).ends_with(0);
        for name in ["films/out.mp4", "elsewhere/casts/film.plan", "elsewhere/matte.mkv"] {
            assert!(sandbox.path(name).is_file(), "{name}");
        }
        // Nothing is kept in the user's folders either, by no library: no caches, no identifier of the machine.
        assert_eq!(
            std::fs::read_dir(sandbox.path(".home")).unwrap().count(),
            0,
            "something was written to the home folder"
        );
        (done.stderr, settings(&sandbox.path("elsewhere/report")))
    };
    let (told, (text, warnings)) = run(kit, &["--no-sandbox"]);
    assert!(told.contains("--no-sandbox") && text.contains("off"), "{told} {text}");
    assert!(warnings.iter().any(|w| w == "sandbox.weak"), "{warnings:?}");
    if !landlock() {
        return skip("going_without_is_told_and_recorded", "this kernel has no Landlock");
    }
    let (told, (text, warnings)) = run(kit, &[]);
    assert!(!told.contains("sandbox") && text.contains("Landlock") && text.contains("seccomp"), "{told} {text}");
    assert!(!warnings.iter().any(|w| w == "sandbox.weak"), "{warnings:?}");
}
