//! `archive`: every film of a folder, one process each, with a state file.
//!
//! A film that brings its process down (or is killed) costs only itself. What is done stands in the state file with
//! the fingerprint of its source; a finished film is never processed again.

use super::args;
use super::context::signals;
use super::progress::{err, out};
use crate::pipeline::Cancel;
use crate::plan::fingerprint;
use crate::{Breach, Error, Result, files};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const STATE: &str = "understudy-archive.json";
const ENDINGS: &[&str] = &[
    "mp4", "mov", "m4v", "mkv", "webm", "avi", "mpg", "mpeg", "ts", "m2ts", "mts", "ogg", "ogv", "gif", "wmv", "flv",
    "3gp", "mxf", "dv", "h264", "264",
];

#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    films: BTreeMap<String, Film>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Film {
    source_sha256: String,
    output: String,
    /// Exit code of `disguise`; `None` while it runs or after a kill.
    code: Option<i32>,
    note: String,
}

/// `understudy archive`
pub(super) fn run(a: args::Archive) -> Result<()> {
    if !a.input.is_dir() {
        return Err(Error::Input(format!("not a folder: {}", a.input.display())));
    }
    super::vault::open(&a.kept)?; // before hours of work
    std::fs::create_dir_all(&a.output).map_err(|e| Error::io("cannot make the output folder", &a.output, e))?;
    let cancel = signals()?;
    let state_path = a.output.join(STATE);
    let state = Mutex::new(read_state(&state_path)?);
    let films = find(&a.input, &a.output)?;
    let todo: Vec<(String, PathBuf)> = films.into_iter().filter(|(n, p)| wanted(n, p, &state, &a)).collect();
    out(&format!("{} films to do", todo.len()));
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..a.jobs)
            .filter_map(|i| {
                let work = || worker(&a, &todo, &next, &failed, &state, &state_path, &cancel);
                std::thread::Builder::new().name(format!("archive {i}")).spawn_scoped(scope, work).ok()
            })
            .collect();
        workers
            .into_iter()
            .map(|w| w.join().unwrap_or_else(|_panic| Err(Error::Output("an archive worker stopped".into()))))
            .collect()
    });
    results.into_iter().collect::<Result<Vec<()>>>()?;
    cancel.check()?;
    let codes = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    if codes.is_empty() {
        out("all films are done");
        return Ok(());
    }
    let text = format!(
        "{} films were not disguised (nothing stands under their names); see {}, repeat with --retry",
        codes.len(),
        state_path.display()
    );
    Err(Error::Breach { what: together(&codes), text })
}

/// What films of these exit codes were refused for: one thing only if all were.
fn together(codes: &[i32]) -> Breach {
    let Some((first, others)) = codes.split_first() else { return Breach::Several };
    let same = others.iter().all(|c| c == first);
    Breach::of_exit_code(*first).filter(|_| same).unwrap_or(Breach::Several)
}

fn worker(
    a: &args::Archive,
    todo: &[(String, PathBuf)],
    next: &AtomicUsize,
    failed: &Mutex<Vec<i32>>,
    state: &Mutex<State>,
    state_path: &Path,
    cancel: &Cancel,
) -> Result<()> {
    loop {
        cancel.check()?;
        let Some((name, path)) = todo.get(next.fetch_add(1, Ordering::SeqCst)) else { return Ok(()) };
        let output = output_of(name, &a.output, a.preset);
        if let Some(folder) = output.parent() {
            std::fs::create_dir_all(folder).map_err(|e| Error::io("cannot make a folder", folder, e))?;
        }
        let mut film = Film {
            source_sha256: fingerprint(path)?.sha256,
            output: output.to_string_lossy().into_owned(),
            code: None,
            note: String::new(),
        };
        record(state, state_path, name, &film)?;
        let (code, note) = disguise(a, path, &output, cancel)?;
        film.code = Some(code);
        film.note = note;
        record(state, state_path, name, &film)?;
        if code == 0 {
            out(&format!("done: {name}"));
        } else {
            failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(code);
            err(&format!("not done (exit {code}): {name}: {}", film.note));
        }
    }
}

/// Runs `disguise` in a process of its own.
fn disguise(a: &args::Archive, input: &Path, output: &Path, cancel: &Cancel) -> Result<(i32, String)> {
    let exe = std::env::current_exe().map_err(|e| Error::io("cannot find this program", "-", e))?;
    let mut command = Command::new(exe);
    command.arg("disguise").arg(input).arg("-o").arg(output).arg("--force");
    for (option, value) in
        [("--preset", word(a.preset)), ("--recall", word(a.recall)), ("--device", word(a.machine.device))]
    {
        command.arg(option).arg(value);
    }
    if let Some(cast) = &a.cast {
        command.arg("--cast").arg(cast);
    }
    for (option, file) in [("--vault", &a.kept.vault), ("--passphrase-file", &a.kept.passphrase_file)] {
        if let Some(file) = file {
            command.arg(option).arg(file);
        }
    }
    for dir in &a.machine.models {
        command.arg("--models").arg(dir);
    }
    if a.machine.no_sandbox {
        command.arg("--no-sandbox");
    }
    if let Some(threads) = a.machine.threads {
        command.arg("--threads").arg(threads.to_string());
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| Error::io("cannot start a job", "-", e))?;
    let stderr = child.stderr.take();
    let reader = std::thread::Builder::new().name("archive log".into()).spawn(move || {
        let text = stderr.map_or_else(String::new, |s| std::io::read_to_string(s).unwrap_or_default());
        text.lines().rfind(|l| l.starts_with("understudy:")).unwrap_or_default().to_owned()
    });
    let status = loop {
        match child.try_wait().map_err(|e| Error::io("cannot wait for a job", "-", e))? {
            Some(status) => break status,
            None if cancel.check().is_err() => {
                // The job got the terminal's signal too; if not, it is ended here. Its part file goes with it.
                std::thread::sleep(std::time::Duration::from_millis(500));
                if let Ok(None) = child.try_wait()
                    && let Err(e) = child.kill()
                {
                    tracing::warn!("cannot stop a job: {e}");
                }
            }
            None => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
    };
    let note = reader.ok().and_then(|r| r.join().ok()).unwrap_or_default();
    cancel.check()?;
    Ok((status.code().unwrap_or(-1), note))
}

/// A value as the command line spells it.
fn word<T: clap::ValueEnum>(value: T) -> String {
    value.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
}

fn wanted(name: &str, path: &Path, state: &Mutex<State>, a: &args::Archive) -> bool {
    let state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(film) = state.films.get(name) else { return true };
    let same = fingerprint(path).is_ok_and(|f| f.sha256 == film.source_sha256);
    match film.code {
        Some(0) if same => !Path::new(&film.output).exists(),
        Some(code) if same && code != 130 => a.retry,
        _ => true,
    }
}

fn output_of(name: &str, folder: &Path, preset: args::PresetArg) -> PathBuf {
    let path = folder.join(name);
    match preset {
        args::PresetArg::Web => with_suffix(&path, "mp4"),
        args::PresetArg::Master => with_suffix(&path, "mov"),
        args::PresetArg::Lossless => with_suffix(&path, "mkv"),
        args::PresetArg::Match => match path.extension().and_then(|e| e.to_str()).map(str::to_lowercase).as_deref() {
            Some("mp4" | "mov" | "mkv" | "webm" | "avi" | "mpg" | "ogg") => path,
            _ => with_suffix(&path, "mkv"),
        },
    }
}

/// `clip.avi` → `clip.avi.mp4`, so that two films that differ only in their ending keep apart.
fn with_suffix(path: &Path, ending: &str) -> PathBuf {
    if path.extension().is_some_and(|e| e == ending) {
        return path.to_owned();
    }
    let mut name = path.file_name().map(std::ffi::OsStr::to_os_string).unwrap_or_default();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

/// Films below `dir` by their relative names, without what lies in the output folder.
fn find(dir: &Path, output: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let skip = output.canonicalize().ok();
    let mut films = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|e| Error::io("cannot read a folder", &folder, e))? {
            let path = entry.map_err(|e| Error::io("cannot read a folder", &folder, e))?.path();
            if path.is_dir() && !path.is_symlink() {
                if path.canonicalize().ok() != skip {
                    folders.push(path);
                }
            } else if path.is_file()
                && path.extension().is_some_and(|e| ENDINGS.contains(&e.to_string_lossy().to_lowercase().as_str()))
            {
                let name = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().into_owned();
                films.insert(name, path);
            }
        }
    }
    Ok(films)
}

fn read_state(path: &Path) -> Result<State> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|_e| {
            Error::Plan(format!("the state file is damaged; remove it to start over: {}", path.display()))
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(State::default()),
        Err(e) => Err(Error::io("cannot read the state file", path, e)),
    }
}

fn record(state: &Mutex<State>, path: &Path, name: &str, film: &Film) -> Result<()> {
    let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    state.films.insert(name.to_owned(), film.clone());
    let text = serde_json::to_vec_pretty(&*state).map_err(|e| Error::Output(e.to_string()))?;
    files::write_private(path, |f: &mut dyn Write| f.write_all(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn films_refused_for_one_thing_end_the_archive_with_its_code() {
        assert_eq!(together(&[72, 72]), Breach::Likeness);
        assert_eq!(together(&[75]), Breach::Film);
        for mixed in [&[72, 73][..], &[71, 3], &[3, 3], &[7], &[-1]] {
            assert_eq!(together(mixed).exit_code(), 7, "{mixed:?}");
        }
    }

    #[test]
    fn outputs_keep_apart_what_differs_in_ending() {
        let out = Path::new("o");
        assert_eq!(output_of("a/x.mp4", out, args::PresetArg::Web), Path::new("o/a/x.mp4"));
        assert_eq!(output_of("x.avi", out, args::PresetArg::Web), Path::new("o/x.avi.mp4"));
        assert_eq!(output_of("x.gif", out, args::PresetArg::Match), Path::new("o/x.gif.mkv"));
    }
}
