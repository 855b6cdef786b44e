//! `shred`: overwrite and remove plans.

use super::args;
use super::progress::out;
use crate::plan::{PlanLimits, read_plan};
use crate::{Error, Result};
use std::io::{Seek, Write};
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
        overwrite(plan)?;
        out(&format!("removed {}", plan.display()));
    }
    out("note: solid-state drives, snapshots, backups and copy-on-write file systems may still hold older copies.");
    Ok(())
}

fn starts_like_a_plan(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|b| b.starts_with(b"UNDRPLAN"))
}

fn overwrite(path: &Path) -> Result<()> {
    let io = |e| Error::io("cannot shred", path, e);
    let mut file = std::fs::OpenOptions::new().write(true).open(path).map_err(io)?;
    let mut left = file.metadata().map_err(io)?.len();
    file.rewind().map_err(io)?;
    let mut noise = vec![0u8; 1 << 16];
    while left > 0 {
        getrandom::fill(&mut noise).map_err(|e| Error::Output(format!("no random numbers: {e}")))?;
        let n = left.min(noise.len() as u64) as usize;
        file.write_all(&noise[..n]).map_err(io)?;
        left -= n as u64;
    }
    file.sync_all().map_err(io)?;
    file.set_len(0).map_err(io)?;
    file.sync_all().map_err(io)?;
    std::fs::remove_file(path).map_err(io)
}
