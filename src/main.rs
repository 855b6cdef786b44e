//! The `understudy` command.

use clap::Parser;
use std::process::ExitCode;
use understudy::cli::{Cli, run};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let code = if e.use_stderr() { 2 } else { 0 };
            return if e.print().is_ok() { ExitCode::from(code) } else { ExitCode::from(2) };
        }
    };
    ExitCode::from(run(cli))
}
