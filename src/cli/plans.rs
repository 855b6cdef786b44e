//! Plans on disk: plain, or sealed where a vault or a recipient is named.

use super::args::{Opens, WithVault};
use super::vault;
use crate::plan::{Plan, PlanLimits, decode_plan, encode_plan, read_plan, write_plan};
use crate::vault::{Identity, Recipient, Vault, is_sealed, is_sent, send_file};
use crate::{Error, Result};
use std::path::Path;
use zeroize::Zeroizing;

/// What its key is for.
const PURPOSE: &str = "plan";

/// Who may open a plan that is written.
pub(super) struct Readers<'a> {
    vault: Option<&'a Vault>,
    recipients: Vec<Recipient>,
}

impl<'a> Readers<'a> {
    /// Whoever has the vault, or else the named recipients, or else everybody who gets the file.
    pub fn new(vault: Option<&'a Vault>, encrypt_to: &[String]) -> Result<Self> {
        let recipients = encrypt_to.iter().map(|text| Recipient::parse(text)).collect::<Result<_>>()?;
        Ok(Readers { vault, recipients })
    }
}

/// Writes a plan: sealed if there is a vault or a recipient. What it holds is what a checkpoint holds, and that is never written plain.
pub(super) fn write(path: &Path, plan: &Plan, readers: &Readers) -> Result<()> {
    match readers.vault {
        Some(vault) => vault.seal_file(path, PURPOSE, &encode_plan(plan)?),
        None if !readers.recipients.is_empty() => {
            send_file(&readers.recipients, path, PURPOSE, &Zeroizing::new(encode_plan(plan)?))
        }
        None => write_plan(path, plan),
    }
}

/// Reads a plan, plain or sealed.
fn read(path: &Path, vault: Option<&Vault>, identity: Option<&Path>) -> Result<Plan> {
    let limits = PlanLimits::default();
    let closed = |what: &str| Error::Usage(format!("this plan is sealed: name {what}: {}", path.display()));
    if is_sent(path) {
        let identity = identity.ok_or_else(|| closed("the secret key that it was sealed to (--identity)"))?;
        let text = Identity::read(identity)?.open_file(path, PURPOSE, limits.bytes)?;
        return decode_plan(&text, path, limits);
    }
    if !is_sealed(path) {
        return read_plan(path, limits);
    }
    let vault = vault.ok_or_else(|| closed("the vault that it was made with (--vault)"))?;
    decode_plan(&vault.open_file(path, PURPOSE, limits.bytes)?, path, limits)
}

/// Opens the vault, then the plan.
pub(super) fn open(path: &Path, kept: &WithVault, opens: &Opens) -> Result<(Plan, Option<Vault>)> {
    let vault = vault::open(kept)?;
    Ok((read(path, vault.as_ref(), opens.identity.as_deref())?, vault))
}
