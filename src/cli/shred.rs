//! `shred`: overwrite and remove plans, checkpoints and vaults.

use super::args;
use super::progress::out;
use crate::plan::{PlanLimits, read_plan};
use crate::{Result, files};
use std::io::Read;
use std::path::Path;

/// `understudy shred`
pub(super) fn run(a: args::Shred) -> Result<()> {
    for plan in &a.plans {
        // Only our own: a wrong name must not destroy something else. A damaged plan still starts with its magic word.
        let known = read_plan(plan, PlanLimits::default());
        if let Err(e) = known
            && !starts_like_ours(plan)
        {
            return Err(e);
        }
        files::shred(plan)?;
        out(&format!("removed {}", plan.display()));
    }
    out("note: solid-state drives, snapshots, backups and copy-on-write file systems may still hold older copies.");
    Ok(())
}

fn starts_like_ours(path: &Path) -> bool {
    let mut head = [0u8; 8];
    let read = std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut head));
    read.is_ok() && [b"UNDRPLAN", crate::journal::MAGIC, crate::vault::MAGIC].contains(&&head)
}
