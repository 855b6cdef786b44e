//! The built binary in a temporary folder: exit codes, one-line errors, files left behind.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "helpers of tests may panic")]

#[path = "../common/mod.rs"]
mod common;

mod archive;
mod casts;
mod films;
mod formats;
mod kills;
mod machine;
mod outputs;
mod refusals;
mod sandbox;
mod stops;
mod told;
mod traces;
mod vaults;
mod world;
