//! What this process may no longer do once a film is open: a decoder that is taken over finds no way out.
//!
//! ```text
//! start ──► harden: no core dumps, no sockets, no programs, no tracing     (seccomp, all threads)
//! files known ──► confine: reads inputs and libraries, writes the output folder   (Landlock, threads made later)
//! film is opened
//! ```
//!
//! Both only ever take rights away, and nothing in the process can give them back. Films are decoded after both.
//!
//! **Invariant**: a sandbox that was asked for and cannot be had stops the job, with one exception that is said
//! plainly and recorded in the report: a kernel without Landlock.

mod files;
mod syscalls;

pub use files::Access;

use crate::{Error, Result};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

/// Whether this process may start programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Programs {
    /// Never: it decodes films.
    Never,
    /// It starts one process per film, each of which goes into its own sandbox.
    Jobs,
}

/// How far the sandbox of this process has got.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// Nothing was asked for: the library is used by another program.
    #[default]
    None,
    /// Switched off by the user.
    Off,
    /// System calls are restricted, files are not (yet).
    Hardened,
    /// Files are restricted too; the interface version of Landlock.
    Confined(i32),
    /// Files were to be restricted, but this kernel has no Landlock.
    NoLandlock,
}

static STATE: Mutex<State> = Mutex::new(State::None);

fn set(state: State) {
    *STATE.lock().unwrap_or_else(PoisonError::into_inner) = state;
}

/// How far the sandbox of this process has got.
#[must_use]
pub fn state() -> State {
    STATE.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

impl State {
    /// In words, for `doctor` and reports.
    #[must_use]
    pub fn text(&self) -> String {
        let calls = "seccomp (no sockets, no programs, no tracing), no core dumps";
        match self {
            State::None => "none: the program that uses this library made none".into(),
            State::Off => "off, by --no-sandbox".into(),
            State::Hardened => format!("{calls}; files are not restricted"),
            State::Confined(abi) => format!("Landlock {abi} (reads inputs, writes the output folder), {calls}"),
            State::NoLandlock => {
                format!("{calls}; NOT files: this kernel has no Landlock (Linux 5.13 with \"landlock\" in lsm=)")
            }
        }
    }

    /// Less than everything, on a machine that could or should do more.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        matches!(self, State::Off | State::NoLandlock)
    }
}

/// Records that the user wants no sandbox.
pub fn switch_off() {
    set(State::Off);
}

/// Forbids core dumps, sockets, tracing and, but for [`Programs::Jobs`], the start of programs; in all threads, for
/// good. The kernel answers "operation not permitted".
///
/// # Errors
/// `Unsupported` if the system refuses; nothing should be decoded then.
pub fn harden(programs: Programs) -> Result<()> {
    if state() != State::None {
        return Ok(());
    }
    syscalls::restrict(programs)?;
    set(State::Hardened);
    Ok(())
}

/// Forbids every file that `access` does not name. Threads that exist already keep their rights, so this refuses to
/// work when there are any.
///
/// # Errors
/// `Unsupported` if the system refuses, or other threads run. A kernel without Landlock is no error: see [`state`].
pub fn confine(access: &Access) -> Result<()> {
    if state() != State::Hardened {
        return Ok(()); // switched off, or done before
    }
    set(files::restrict(access)?);
    Ok(())
}

fn refused(what: &str, why: impl std::fmt::Display) -> Error {
    Error::Unsupported(format!(
        "the sandbox cannot be set up ({what}: {why}); decode untrusted films in a virtual machine, or add --no-sandbox"
    ))
}

/// Tries what must not work: a socket, a program, and a file that nobody named. Returns what was *not* refused.
#[must_use]
pub fn escapes() -> Vec<&'static str> {
    let mut out = Vec::new();
    if std::net::UdpSocket::bind(("127.0.0.1", 0)).is_ok() {
        out.push("a socket");
    }
    let mut program = std::process::Command::new("/bin/sh");
    program.args(["-c", "exit 0"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Ok(mut child) = program.spawn() {
        out.push("a program");
        if child.wait().is_err() {
            out.push("a program that cannot be waited for");
        }
    }
    if std::fs::File::open("/etc/passwd").is_ok() {
        out.push("a foreign file");
    }
    out
}
