//! Networks, runtime and devices: without what is needed, no film (exit code 5).

use crate::common::{Kit, Sandbox, finish, kit, pattern, runtime, skip};
use std::path::{Path, PathBuf};

const DISGUISE: [&str; 4] = ["disguise", "in.mp4", "-o", "out.mp4"];

#[test]
fn without_a_pack_the_built_in_networks_run_and_are_named() {
    let name = "without_a_pack_the_built_in_networks_run_and_are_named";
    if runtime().is_none() {
        return skip(name, "no ONNX Runtime");
    }
    let sandbox = Sandbox::new();
    sandbox.copy(pattern(), "in.mp4");
    std::fs::create_dir(sandbox.path("packs")).unwrap();
    sandbox.run(["analyse", "in.mp4", "-o", "plan", "--models", "packs"]).ends_with(0);
    sandbox.run(DISGUISE).ends_with(0);
    let report = std::fs::read_to_string(sandbox.path("out.mp4.report").join("report.json")).unwrap();
    for part in ["networks.built_in", "understudy_detector"] {
        assert!(report.contains(part), "the report does not say {part}");
    }
}

#[test]
fn an_altered_network_is_refused() {
    let Some(kit) = kit("an_altered_network_is_refused") else { return };
    let sandbox = Sandbox::new();
    sandbox.copy(pattern(), "in.mp4");
    for (role, file) in [("landmarks", "facemesh_attn_w16.onnx"), ("detector", "yunet_n_dynamic.onnx")] {
        let Some(original) = find(&kit.models, file) else {
            skip("an_altered_network_is_refused", &format!("{file} is not in the pack"));
            continue;
        };
        let pack = sandbox.path(role);
        copy_networks(kit, &pack);
        let mut bytes = std::fs::read(&original).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(pack.join(file), bytes).unwrap();
        let before = sandbox.files();
        sandbox.run([&DISGUISE[..], &["--models", role]].concat()).refuses(5, "sha");
        sandbox.run(["models", "verify", "--models", role]).refuses(5, "sha");
        assert_eq!(sandbox.files(), before);
    }
}

#[test]
fn no_runtime_no_film() {
    let Some(kit) = kit("no_runtime_no_film") else { return };
    let sandbox = Sandbox::new();
    sandbox.copy(pattern(), "in.mp4");
    sandbox.write("libonnxruntime.so", b"not a library");
    let before = sandbox.files();
    for library in [sandbox.path("nowhere.so"), sandbox.path("libonnxruntime.so")] {
        let run = finish(sandbox.with(kit).args(DISGUISE).env("ORT_DYLIB_PATH", library));
        run.refuses(5, "ort_dylib_path");
        assert_eq!(sandbox.files(), before);
    }
}

#[test]
fn a_device_that_is_not_there_is_not_replaced() {
    let name = "a_device_that_is_not_there_is_not_replaced";
    let Some(kit) = kit(name) else { return };
    let gpu = runtime().and_then(|r| r.parent().map(|d| d.join("libonnxruntime_providers_cuda.so").exists()));
    if gpu != Some(false) {
        return skip(name, "this runtime may have CUDA");
    }
    let sandbox = Sandbox::new();
    sandbox.copy(pattern(), "in.mp4");
    let before = sandbox.files();
    sandbox.run_with(kit, [&DISGUISE[..], &["--device", "cuda"]].concat()).refuses(5, "cuda");
    assert_eq!(sandbox.files(), before);
}

#[test]
fn networks_can_be_installed_and_listed() {
    let Some(kit) = kit("networks_can_be_installed_and_listed") else { return };
    let sandbox = Sandbox::new();
    let own = sandbox.run(["models", "list"]).ends_with(0).stdout;
    assert!(own.contains("* face detector understudy_detector") && own.contains("models add"), "{own}");
    let sound = sandbox.run(["models", "verify"]).ends_with(0).stdout;
    assert!(sound.contains("understudy_landmarks"), "{sound}");
    sandbox.run(["models".as_ref(), "add".as_ref(), kit.models.as_os_str()]).ends_with(0);
    let all = sandbox.run(["models", "list"]).ends_with(0).stdout;
    assert!(!all.contains("* face detector understudy_detector"), "a pack takes over: {all}");
    sandbox.run(["models", "verify"]).ends_with(0);
    sandbox.write("readme.onnx", b"nothing that is known");
    sandbox.run(["models", "add", "readme.onnx"]).refuses(5, "readme.onnx");
    sandbox.run(["models", "add", "nowhere"]).refuses(5, "nowhere");
}

#[test]
fn a_users_recogniser_attacks_too() {
    let name = "a_users_recogniser_attacks_too";
    if runtime().is_none() {
        return skip(name, "no ONNX Runtime");
    }
    use sha2::Digest;
    let sandbox = Sandbox::new();
    sandbox.copy(pattern(), "in.mp4");
    sandbox.copy(pattern(), "out.mp4");
    // Their network is ours under another name.
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/own/embedding.onnx")).unwrap();
    let hash: String = sha2::Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    std::fs::create_dir(sandbox.path("theirs")).unwrap();
    std::fs::write(sandbox.path("theirs/theirs.onnx"), &bytes).unwrap();
    let list = format!(
        "[[model]]\nname = \"theirs\"\nrole = \"attacker\"\nfile = \"theirs.onnx\"\nbytes = {}\nsha256 = \"{hash}\"\n\
         licence = \"theirs\"\nsource = \"a test\"\ninput = \"input0\"\noutput = \"output0\"\npreprocessing = \"as told\"\n\
         strength = 0\nrecogniser = {{ colour = \"rgb\", mean = [123.7, 116.3, 103.5], deviation = [58.4, 57.1, 57.4], \
         single = 0.45, certain = 0.54 }}\n",
        bytes.len()
    );
    std::fs::write(sandbox.path("theirs/attackers.toml"), list.replace("single = 0.45", "single = 0.55")).unwrap();
    sandbox.run(["models", "add", "theirs"]).refuses(5, "attackers.toml");
    std::fs::write(sandbox.path("theirs/attackers.toml"), &list).unwrap();
    sandbox.run(["models", "add", "theirs"]).ends_with(0);
    let all = sandbox.run(["models", "list"]).ends_with(0).stdout;
    assert!(all.contains("+ attacker") && all.contains("* face embedding understudy_embedding"), "{all}");
    sandbox.run(["models", "verify"]).ends_with(0);
    sandbox.run(["verify", "in.mp4", "out.mp4", "--report", "report"]);
    let report = std::fs::read_to_string(sandbox.path("report/report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let attackers = report["models"].as_array().unwrap();
    assert!(attackers.iter().any(|m| m["name"] == "theirs" && m["role"] == "recognises faces too"), "{attackers:?}");
}

#[test]
fn the_doctor_tells_what_is_missing() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(["doctor"]);
    let told = format!("{}{}", run.stdout, run.stderr).to_lowercase();
    assert!(told.contains("network") || told.contains("model"), "{told}");
    assert!(told.contains("ffmpeg"), "{told}");
    if runtime().is_some() {
        assert!(run.code == 0 && told.contains("built-in"), "{told}");
    } else {
        assert_eq!(run.code, 5, "without ONNX Runtime the machine is not ready: {told}");
    }
    let Some(kit) = kit("the_doctor_tells_what_is_missing") else { return };
    sandbox.run_with(kit, ["doctor"]).ends_with(0);
}

fn copy_networks(kit: &Kit, to: &Path) {
    std::fs::create_dir(to).unwrap();
    let mut folders = vec![kit.models.clone()];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().flatten().map(|e| e.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "onnx") {
                std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
            }
        }
    }
    // Copies of read-only files must be writable.
    for path in std::fs::read_dir(to).unwrap().flatten().map(|e| e.path()) {
        let mut rights = std::fs::metadata(&path).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut rights, 0o644);
        std::fs::set_permissions(path, rights).unwrap();
    }
}

fn find(dir: &Path, file: &str) -> Option<PathBuf> {
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().flatten().map(|e| e.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|n| n == file) {
                return Some(path);
            }
        }
    }
    None
}
