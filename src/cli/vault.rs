//! `vault`: makes, checks and destroys the place where a project's seeds are kept.

use super::args;
use super::progress::out;
use crate::Result;
use crate::vault::{Identity, Passphrase, Vault};

/// `understudy vault`
pub(super) fn run(a: args::Vault) -> Result<()> {
    match a {
        args::Vault::New { vault, passphrase_file } => {
            Vault::create(&vault, &Passphrase::find(passphrase_file.as_deref())?)?;
            out(&format!("made {}", vault.display()));
            out(
                "whoever has it and its passphrase can pass every suspect through the same voice: keep both apart, and \
                 `understudy vault seal` it when the project is finished. Without the passphrase nobody can open it, you included.",
            );
        }
        args::Vault::Check { vault, passphrase_file } => {
            let opened = Vault::open(&vault, &Passphrase::find(passphrase_file.as_deref())?)?;
            let pending = opened.pending()?.0;
            out(&format!("the vault opens; {pending} renders were begun and not published: {}", vault.display()));
        }
        args::Vault::Key { identity } => {
            let recipient = Identity::create(&identity)?.recipient();
            out(&format!("made {}: keep it where plans shall be opened, and nowhere else", identity.display()));
            out(&recipient.text());
        }
        args::Vault::Recipient { identity } => out(&Identity::read(&identity)?.recipient().text()),
        args::Vault::Seal { vaults } => {
            for vault in &vaults {
                Vault::destroy(vault)?;
                out(&format!("destroyed {}", vault.display()));
            }
            out(
                "no further film can be given these voices. Solid-state drives, snapshots, backups and copy-on-write file \
                 systems may still hold older copies, which only the passphrase opens: destroy that too.",
            );
        }
    }
    Ok(())
}

/// Opens the vault that a command names.
pub(super) fn open(wanted: &args::WithVault) -> Result<Option<Vault>> {
    let Some(path) = &wanted.vault else { return Ok(None) };
    Vault::open(path, &Passphrase::find(wanted.passphrase_file.as_deref())?).map(Some)
}
