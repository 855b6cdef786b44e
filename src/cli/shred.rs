//! `shred`: overwrite and remove plans, checkpoints, vaults, secret keys and reports.

use super::args;
use super::progress::out;
use crate::{Error, Result, files};
use std::path::Path;

/// First bytes of what is shredded: a wrong name must not destroy something else. What is damaged still has them.
const OURS: [&[u8]; 6] = [
    crate::plan::MAGIC,
    crate::journal::MAGIC,
    crate::vault::MAGIC,
    crate::vault::SEALED,
    crate::vault::SENT,
    crate::vault::SECRET.as_bytes(),
];

/// `understudy shred`
pub(super) fn run(a: args::Shred) -> Result<()> {
    for path in &a.plans {
        if let Err(e) = path.symlink_metadata() {
            return Err(Error::Plan(format!("there is nothing to shred ({e}): {}", path.display())));
        }
        // A report is a folder of two files, with pictures of originals in one of them.
        let files: Vec<_> = match path.is_dir() {
            true => crate::report::FILES.iter().map(|name| path.join(name)).filter(|f| f.exists()).collect(),
            false => vec![path.clone()],
        };
        if files.is_empty() {
            return Err(not_ours(path));
        }
        for file in &files {
            let ours = |head: &[u8]| OURS.iter().any(|o| head.starts_with(o)) || crate::report::is_report(head);
            if !files::shred(file, ours)? {
                return Err(not_ours(file));
            }
            out(&format!("removed {}", file.display()));
        }
        if path.is_dir() && std::fs::remove_dir(path).is_err() {
            out(&format!("other files stay in {}", path.display()));
        }
    }
    out("note: solid-state drives, snapshots, backups and copy-on-write file systems may still hold older copies.");
    Ok(())
}

fn not_ours(path: &Path) -> Error {
    Error::Plan(format!(
        "this is no plan, checkpoint, vault, key or report of understudy, and was not touched: {}",
        path.display()
    ))
}
