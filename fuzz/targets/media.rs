#![no_main]

//! Films are read from files, so each input goes through one in memory.

use std::path::PathBuf;

fn film() -> PathBuf {
    let folder = if std::path::Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() };
    folder.join(format!("understudy-fuzz-media-{}", std::process::id()))
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let path = film();
    if std::fs::write(&path, bytes).is_ok() {
        understudy::fuzzing::media(&path);
    }
});
