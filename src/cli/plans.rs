//! Plans on disk: plain, or sealed where a vault is named.

use super::args::WithVault;
use super::vault;
use crate::plan::{Plan, PlanLimits, decode_plan, encode_plan, read_plan, write_plan};
use crate::vault::{Vault, is_sealed};
use crate::{Error, Result};
use std::path::Path;

/// What its key is for.
const PURPOSE: &str = "plan";

/// Writes a plan: sealed if there is a vault. What it holds is what a checkpoint holds, and that is never written plain.
pub(super) fn write(path: &Path, plan: &Plan, vault: Option<&Vault>) -> Result<()> {
    match vault {
        Some(vault) => vault.seal_file(path, PURPOSE, &encode_plan(plan)?),
        None => write_plan(path, plan),
    }
}

/// Reads a plan, plain or sealed.
pub(super) fn read(path: &Path, vault: Option<&Vault>) -> Result<Plan> {
    let limits = PlanLimits::default();
    if !is_sealed(path) {
        return read_plan(path, limits);
    }
    let Some(vault) = vault else {
        return Err(Error::Usage(format!(
            "this plan is sealed: name the vault that it was made with (--vault): {}",
            path.display()
        )));
    };
    decode_plan(&vault.open_file(path, PURPOSE, limits.bytes)?, path, limits)
}

/// Opens the vault, then the plan.
pub(super) fn open(path: &Path, kept: &WithVault) -> Result<(Plan, Option<Vault>)> {
    let vault = vault::open(kept)?;
    Ok((read(path, vault.as_ref())?, vault))
}
