//! One error type for the library, its variants split by what the reader does next.

use std::path::PathBuf;

/// Shorthand for a result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can stop a job. Each variant says what the caller should do about it;
/// [`Error::exit_code`] gives the process exit code that scripts rely on.
///
/// Messages never hold landmarks, embeddings or names of people; paths come last.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command line asks for something impossible. Fix the command.
    #[error("{0}")]
    Usage(String),
    /// The input cannot be read or decoded. Give another file, or repair it.
    #[error("{0}")]
    Input(String),
    /// The input is valid but uses something this build cannot handle.
    #[error("{0}")]
    Unsupported(String),
    /// A safety limit (dimensions, duration, faces, plan size …) was exceeded.
    #[error("{0}")]
    Limit(String),
    /// A network is missing, altered, or failed to run; or the asked-for device is not there.
    #[error("{0}")]
    Model(String),
    /// The plan or the cast is wrong. The message names line and key where there is one.
    #[error("{0}")]
    Plan(String),
    /// The output could not be written.
    #[error("{0}")]
    Output(String),
    /// Something that must not be there is still there. Nothing was published.
    #[error("{0}")]
    Residual(String),
    /// The attack on the finished film succeeded. Nothing was published; the report tells what to change.
    #[error("{text}")]
    Breach {
        /// In what it succeeded.
        what: Breach,
        /// What was found, and where the report is.
        text: String,
    },
    /// An operating-system error, with what was being done.
    #[error("{doing}: {source}: {}", path.display())]
    Io {
        /// What was being done, as "cannot read the plan".
        doing: String,
        /// The system's reason.
        source: std::io::Error,
        /// The file or folder concerned.
        path: PathBuf,
    },
    /// The user or a signal stopped the job.
    #[error("interrupted; nothing was written under the final name")]
    Interrupted,
    /// Another stage failed first; this one only stopped. Never shown if a cause is known.
    #[error("stopped because another stage failed")]
    Cancelled,
}

/// In what an attack on a finished film succeeded, for scripts. Which kind of failure belongs to which is decided in
/// `verify::kinds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// A face, or what a region of the cast hides, is still the original's.
    Face,
    /// Somebody is recognised, two people share a double, or a double is like somebody else in the film.
    Likeness,
    /// A recorded voice is still there, or the sound could not be attacked.
    Voice,
    /// A stream, tag, text or part of the file that must not be there.
    File,
    /// The film is damaged, or lost frames, times, size, sound or the disclaimer.
    Film,
    /// Several of these, or something that belongs to none.
    Several,
}

impl Breach {
    /// Process exit code; all begin with 7.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Breach::Several => 7,
            Breach::Face => 71,
            Breach::Likeness => 72,
            Breach::Voice => 73,
            Breach::File => 74,
            Breach::Film => 75,
        }
    }

    /// The breach that an exit code tells.
    #[must_use]
    pub fn of_exit_code(code: i32) -> Option<Self> {
        let all = [Breach::Several, Breach::Face, Breach::Likeness, Breach::Voice, Breach::File, Breach::Film];
        all.into_iter().find(|b| i32::from(b.exit_code()) == code)
    }

    /// A word for machines.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Breach::Several => "several",
            Breach::Face => "face",
            Breach::Likeness => "likeness",
            Breach::Voice => "voice",
            Breach::File => "file",
            Breach::Film => "film",
        }
    }
}

impl Error {
    /// Process exit code: 2 usage, 3 input, 4 plan or cast, 5 model or device, 6 output or disk,
    /// 7 and 71 to 75 verification failed ([`Breach`]), 130 interrupted.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            Error::Input(_) | Error::Unsupported(_) | Error::Limit(_) => 3,
            Error::Plan(_) => 4,
            Error::Model(_) => 5,
            Error::Output(_) | Error::Io { .. } | Error::Cancelled => 6,
            Error::Residual(_) => 7,
            Error::Breach { what, .. } => what.exit_code(),
            Error::Interrupted => 130,
        }
    }

    /// Wraps a system error with what was being done and to which file.
    pub fn io(doing: impl Into<String>, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Error::Io { doing: doing.into(), source, path: path.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_follow_the_contract() {
        assert_eq!(Error::Usage(String::new()).exit_code(), 2);
        assert_eq!(Error::Input(String::new()).exit_code(), 3);
        assert_eq!(Error::Plan(String::new()).exit_code(), 4);
        assert_eq!(Error::Model(String::new()).exit_code(), 5);
        assert_eq!(Error::Output(String::new()).exit_code(), 6);
        assert_eq!(Error::Residual(String::new()).exit_code(), 7);
        let breach = |what| Error::Breach { what, text: String::new() }.exit_code();
        let all = [Breach::Several, Breach::Face, Breach::Likeness, Breach::Voice, Breach::File, Breach::Film];
        assert_eq!(all.map(breach), [7, 71, 72, 73, 74, 75]);
        assert_eq!(all.map(|b| Breach::of_exit_code(i32::from(b.exit_code()))), all.map(Some));
        assert_eq!([0, 6, 70, 76, -1].map(Breach::of_exit_code), [None; 5]);
        assert_eq!(Error::Interrupted.exit_code(), 130);
    }
}
