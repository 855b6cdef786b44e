//! The command line: arguments lowered once to jobs, results told to people or machines.

mod archive;
mod args;
mod bench;
mod context;
mod doctor;
mod doubles;
mod film;
mod models;
mod plans;
mod progress;
mod shred;
mod subtitles;
mod vault;
mod voices;

use crate::Result;
use crate::sandbox::{self, Programs};
pub use args::Cli;
use args::Command;

/// Runs a command and returns the process exit code. Errors go to standard error in one line.
#[must_use]
pub fn run(cli: Cli) -> u8 {
    crate::infer::forbid_telemetry();
    quiet_panics();
    let filter = tracing_subscriber::EnvFilter::try_from_env("UNDERSTUDY_LOG")
        .unwrap_or_else(|_unset| tracing_subscriber::EnvFilter::new("warn"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time();
    if subscriber.try_init().is_err() {
        progress::err("the log was set up already");
    }
    let json = machine_of(&cli.command).is_some_and(|m| m.json);
    let result = harden(&cli.command).and_then(|()| match cli.command {
        Command::Disguise(a) => film::disguise(a),
        Command::Analyse(a) => film::analyse(a),
        Command::Render(a) => film::render(a),
        Command::Verify(a) => film::verify(a),
        Command::Double(a) => doubles::run(a),
        Command::Models(a) => models::run(a),
        Command::Archive(a) => archive::run(a),
        Command::Bench(a) => bench::run(a),
        Command::Doctor(a) => doctor::run(a),
        Command::Shred(a) => shred::run(a),
        Command::Subtitles(a) => subtitles::run(a),
        Command::Vault(a) => vault::run(a),
        Command::Voices(a) => voices::run(a),
    });
    match result {
        Ok(()) => 0,
        Err(e) => {
            let text = e.to_string().replace('\n', " ");
            if json {
                let mut event = serde_json::json!({"event": "error", "code": e.exit_code(), "text": text});
                if let crate::Error::Breach { what, .. } = &e {
                    event["class"] = what.word().into();
                }
                progress::out(&event.to_string());
            }
            progress::err(&format!("understudy: {text}"));
            e.exit_code()
        }
    }
}

/// Takes from this process what no command needs, before anything is read.
fn harden(command: &Command) -> Result<()> {
    if machine_of(command).is_some_and(|m| m.no_sandbox) {
        sandbox::switch_off();
        return Ok(());
    }
    // An archive starts one process per film, and each of these hardens itself.
    let jobs = matches!(command, Command::Archive(_));
    match sandbox::harden(if jobs { Programs::Jobs } else { Programs::Never }) {
        // These open no film, and cannot be told to go without: what is secret must be destroyable everywhere.
        Err(e) if machine_of(command).is_none() => {
            progress::err(&format!("note: sandbox: {e}"));
            Ok(())
        }
        hardened => hardened,
    }
}

fn machine_of(command: &Command) -> Option<&args::Machine> {
    match command {
        Command::Disguise(a) => Some(&a.machine),
        Command::Analyse(a) => Some(&a.machine),
        Command::Render(a) => Some(&a.machine),
        Command::Verify(a) => Some(&a.machine),
        Command::Archive(a) => Some(&a.machine),
        Command::Bench(a) => Some(&a.machine),
        Command::Doctor(a) => Some(&a.machine),
        Command::Subtitles(a) => Some(&a.machine),
        Command::Voices(a) => Some(&a.machine),
        Command::Double(args::Double::New { machine, .. } | args::Double::Check { machine, .. }) => Some(machine),
        Command::Models(args::Models::List { machine } | args::Models::Verify { machine }) => Some(machine),
        Command::Double(_) | Command::Models(_) | Command::Shred(_) | Command::Vault(_) => None,
    }
}

/// Panics are caught where they can be answered; their text may quote data, so only the place is told.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(|| "?".into(), |l| format!("{}:{}", l.file(), l.line()));
        tracing::error!("a stage failed at {place}; the faces concerned are covered or the job stops");
    }));
}
