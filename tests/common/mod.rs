//! A sandbox for the built binary: an empty folder as working directory and home, with outcomes to assert on.

#[path = "schema.rs"]
pub mod schema;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Longest that one run of the program may take before the test gives up on it.
const PATIENCE: Duration = Duration::from_secs(900);

/// The same, or twelve hours for the long tests, which run beside other work.
fn patience() -> Duration {
    let soak = std::env::var_os("UNDERSTUDY_SOAK").is_some_and(|v| v == "1");
    if soak { Duration::from_secs(12 * 3600) } else { PATIENCE }
}

/// What a finished run left behind.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code; -1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    fn of(output: Output) -> Self {
        let text = |b: Vec<u8>| String::from_utf8_lossy(&b).into_owned();
        Outcome { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Asserts that the run ended with `code`.
    #[track_caller]
    pub fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Whether the attack refused the film, for whatever reason.
    pub fn is_refused(&self) -> bool {
        self.code == 7 || (71..=75).contains(&self.code)
    }

    /// Asserts a refusal: `code`, and beside progress one line on standard error that names the program and says `word`.
    #[track_caller]
    pub fn refuses(self, code: i32, word: &str) -> Self {
        let run = self.ends_with(code);
        let progress = ["analysing: ", "searching again: ", "rendering: ", "verifying: ", "note: sandbox: "];
        let lines: Vec<&str> = run.stderr.lines().filter(|l| !progress.iter().any(|p| l.starts_with(p))).collect();
        assert_eq!(lines.len(), 1, "one line is wanted: {}", run.stderr);
        assert!(lines[0].starts_with("understudy: "), "{}", run.stderr);
        assert!(lines[0].to_lowercase().contains(word), "`{word}` is not in: {}", run.stderr);
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        run
    }
}

/// An empty folder that is removed with the test.
pub struct Sandbox {
    dir: tempfile::TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("understudy-cli-").tempdir().expect("a temporary folder");
        std::fs::create_dir(dir.path().join(".home")).expect("a home folder");
        Sandbox { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Puts a copy of a file into the sandbox.
    pub fn copy(&self, from: &Path, name: &str) -> PathBuf {
        let to = self.path(name);
        std::fs::copy(from, &to).expect("copy");
        to
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("write");
        path
    }

    /// Files below the sandbox by relative name, sorted; folders end in `/`. The home folder is left out.
    pub fn files(&self) -> Vec<String> {
        fn walk(dir: &Path, root: &Path, into: &mut Vec<String>) {
            for entry in std::fs::read_dir(dir).expect("read the sandbox").flatten() {
                let name = entry.path().strip_prefix(root).expect("below").to_string_lossy().into_owned();
                if name == ".home" {
                    continue;
                }
                if entry.file_type().is_ok_and(|t| t.is_dir()) {
                    into.push(format!("{name}/"));
                    walk(&entry.path(), root, into);
                } else {
                    into.push(name);
                }
            }
        }
        let mut names = Vec::new();
        walk(self.dir.path(), self.dir.path(), &mut names);
        names.sort();
        names
    }

    /// The program without any networks; the runtime library is named where it is known.
    pub fn bare(&self) -> Command {
        let mut command = Command::new(program());
        self.tame(&mut command);
        command
    }

    /// Sets folder and environment of a command that runs the program.
    pub fn tame(&self, command: &mut Command) {
        command.current_dir(self.dir.path()).env("HOME", self.path(".home"));
        for name in [
            "XDG_DATA_HOME",
            "UNDERSTUDY_MODELS",
            "UNDERSTUDY_LOG",
            "RAYON_NUM_THREADS",
            "RUST_BACKTRACE",
            "UNDERSTUDY_PASSPHRASE",
        ] {
            command.env_remove(name);
        }
        if let Some(library) = runtime() {
            command.env("ORT_DYLIB_PATH", library);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    }

    /// The program with the networks of `kit`.
    pub fn with(&self, kit: &Kit) -> Command {
        let mut command = self.bare();
        command.env("UNDERSTUDY_MODELS", &kit.models);
        command
    }

    /// Runs the program without networks.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Outcome {
        finish(self.bare().args(args))
    }

    /// Runs the program with networks.
    pub fn run_with<S: AsRef<OsStr>>(&self, kit: &Kit, args: impl IntoIterator<Item = S>) -> Outcome {
        finish(self.with(kit).args(args))
    }
}

/// The program: as built with the tests, or the one that `UNDERSTUDY_PROGRAM` names, so that a long run is not disturbed
/// by the next build.
pub fn program() -> PathBuf {
    std::env::var_os("UNDERSTUDY_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_understudy").into(), PathBuf::from)
}

/// Runs a command to its end, or kills it and fails after fifteen minutes.
pub fn finish(command: &mut Command) -> Outcome {
    let child = command.spawn().expect("the program starts");
    collect(child)
}

/// Waits for a started program.
pub fn collect(mut child: Child) -> Outcome {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let reader = |pipe: Option<Box<dyn std::io::Read + Send>>| {
            scope.spawn(move || {
                let mut bytes = Vec::new();
                if let Some(mut pipe) = pipe {
                    pipe.read_to_end(&mut bytes).expect("read a pipe");
                }
                bytes
            })
        };
        let out = reader(out.map(|p| Box::new(p) as Box<dyn std::io::Read + Send>));
        let err = reader(err.map(|p| Box::new(p) as Box<dyn std::io::Read + Send>));
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("wait") {
                break status;
            }
            if start.elapsed() > patience() {
                child.kill().expect("kill");
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        Outcome::of(Output { status, stdout: out.join().expect("stdout"), stderr: err.join().expect("stderr") })
    })
}

/// Waits until `seen` holds; false if the program ended (or too much time passed) before that.
pub fn wait_until(child: &mut Child, mut seen: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < patience() {
        if seen() {
            return true;
        }
        if child.try_wait().expect("wait").is_some() {
            return seen();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// Sends a signal by name (`INT`, `KILL`) to a process, or with a leading `-` to a group.
pub fn signal(name: &str, process: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg("--").arg(process).status().expect("kill runs");
    assert!(status.success(), "kill -{name} {process}");
}

/// Compiles a library that stands before the system's own (`LD_PRELOAD`); `None` without a compiler.
pub fn preload(sandbox: &Sandbox, name: &str, source: &str) -> Option<PathBuf> {
    let from = sandbox.write(&format!("{name}.c"), source.as_bytes());
    let library = sandbox.path(&format!("{name}.so"));
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(from).arg("-ldl");
    compiler.status().is_ok_and(|s| s.success()).then_some(library)
}

/// Runs an FFmpeg tool and returns its standard output; panics with its errors.
pub fn tool<S: AsRef<OsStr>>(name: &str, args: impl IntoIterator<Item = S>) -> String {
    let run = Command::new(name).args(args).stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(run.status.success(), "{name}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stdout).into_owned()
}

/// `ffmpeg -v error -y ARGS`.
pub fn ffmpeg<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> String {
    let fixed = ["-nostdin", "-v", "error", "-y"].map(|s| OsStr::new(s).to_owned());
    tool("ffmpeg", fixed.into_iter().chain(args.into_iter().map(|a| a.as_ref().to_owned())))
}

/// Material beside the project: `$UNDERSTUDY_SHARED`, or `../shared`.
fn shared() -> PathBuf {
    std::env::var_os("UNDERSTUDY_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from)
}

/// The ONNX Runtime library that set-up named or fetched.
pub fn runtime() -> Option<PathBuf> {
    std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from).filter(|p| p.is_file()).or_else(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/ort");
        let mut found: Vec<PathBuf> = std::fs::read_dir(folder).ok()?.flatten().map(|e| e.path()).collect();
        found.retain(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("libonnxruntime.so")));
        found.sort();
        found.pop()
    })
}

/// What tests with networks need.
pub struct Kit {
    /// Folder with network packs.
    pub models: PathBuf,
    /// The sample film: one invented face, one synthetic voice, tags.
    pub film: PathBuf,
    /// Its first 1.6 seconds, tags kept.
    pub short: PathBuf,
}

/// Networks, runtime and films; `None` with a printed reason where something is missing.
pub fn kit(test: &str) -> Option<&'static Kit> {
    static KIT: OnceLock<Result<Kit, String>> = OnceLock::new();
    match KIT.get_or_init(find_kit) {
        Ok(kit) => Some(kit),
        Err(why) => {
            skip(test, why);
            None
        }
    }
}

/// Says that a test (or a part of it) did not run; past the test harness, which hides the output of what passes.
pub fn skip(test: &str, why: &str) {
    writeln!(std::io::stderr(), "SKIPPED {test}: {why}").expect("stderr");
}

fn find_kit() -> Result<Kit, String> {
    if runtime().is_none() {
        return Err("no ONNX Runtime: run scripts/setup, or set ORT_DYLIB_PATH".into());
    }
    let models = std::env::var_os("UNDERSTUDY_MODELS").map_or_else(|| shared().join("models"), PathBuf::from);
    if !models.is_dir() {
        return Err(format!("no networks: set UNDERSTUDY_MODELS (looked in {})", models.display()));
    }
    let models = models.canonicalize().map_err(|e| e.to_string())?;
    let film = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/interview.mp4");
    if !film.is_file() {
        return Err("tests/samples/interview.mp4 is missing: run scripts/sample/build".into());
    }
    let short = fixtures().join("short.mp4");
    ffmpeg([
        "-i".as_ref(),
        film.as_os_str(),
        "-t".as_ref(),
        "1.6".as_ref(),
        "-c:v".as_ref(),
        "libx264".as_ref(),
        "-preset".as_ref(),
        "veryfast".as_ref(),
        "-crf".as_ref(),
        "18".as_ref(),
        "-c:a".as_ref(),
        "aac".as_ref(),
        "-movflags".as_ref(),
        "+faststart".as_ref(),
        short.as_os_str(),
    ]);
    Ok(Kit { models, film, short })
}

/// A folder for films made once per test run.
pub fn fixtures() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("films-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for fixtures");
        folder
    })
}

/// A film without people, made by FFmpeg's test sources: 40 frames of 320x180, noise; the index in front.
pub fn pattern() -> &'static Path {
    static FILM: OnceLock<PathBuf> = OnceLock::new();
    FILM.get_or_init(|| {
        let film = fixtures().join("pattern.mp4");
        let name = film.to_string_lossy().into_owned();
        ffmpeg([
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=320x180:r=25:d=1.6",
            "-f",
            "lavfi",
            "-i",
            "anoisesrc=r=48000:d=1.6:c=pink:seed=3:a=0.2",
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-g",
            "10",
            "-pix_fmt",
            "yuv420p",
            "-c:a",
            "aac",
            "-movflags",
            "+faststart",
            &name,
        ]);
        film
    })
}
