//! `shred`: overwrite and remove plans.

use super::args;
use super::progress::out;
use crate::plan::{PlanLimits, read_plan};
use crate::{Result, files};
use std::path::Path;

/// `understudy shred`
pub(super) fn run(a: args::Shred) -> Result<()> {
    for plan in &a.plans {
        // Only plans: a wrong name must not destroy something else. A damaged plan still starts with its magic word.
        let known = read_plan(plan, PlanLimits::default());
        if let Err(e) = known
            && !starts_like_a_plan(plan)
        {
            return Err(e);
        }
        files::shred(plan)?;
        out(&format!("removed {}", plan.display()));
    }
    out("note: solid-state drives, snapshots, backups and copy-on-write file systems may still hold older copies.");
    Ok(())
}

fn starts_like_a_plan(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|b| b.starts_with(b"UNDRPLAN"))
}
