//! Fresh files of checked text.

use super::{Aliases, Cue, read};
use crate::{Error, Result};
use std::fmt::Write as _;

/// Kind of a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// SubRip.
    Srt,
    /// WebVTT.
    Vtt,
}

/// Writes cues, in the order of their times.
#[must_use]
pub fn write(cues: &[Cue], kind: Kind) -> String {
    let mut out = String::from(if kind == Kind::Vtt { "WEBVTT\n\n" } else { "" });
    let mut sorted: Vec<&Cue> = cues.iter().collect();
    sorted.sort_by_key(|c| (c.start_ms, c.end_ms));
    let point = if kind == Kind::Vtt { '.' } else { ',' };
    let time =
        |ms: u64| format!("{:02}:{:02}:{:02}{point}{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
    for (i, cue) in sorted.iter().enumerate() {
        if kind == Kind::Srt {
            writeln!(out, "{}", i + 1).unwrap_or_default();
        }
        writeln!(out, "{} --> {}", time(cue.start_ms), time(cue.end_ms)).unwrap_or_default();
        for line in &cue.lines {
            let line = if kind == Kind::Vtt { line.replace('&', "&amp;") } else { line.clone() };
            writeln!(out, "{line}").unwrap_or_default();
        }
        out.push('\n');
    }
    out
}

/// Attacks a file that was written: it must hold nothing but what this program writes, and no listed word.
///
/// # Errors
/// `Residual` if it does.
pub fn check(bytes: &[u8], kind: Kind, aliases: &Aliases) -> Result<()> {
    let cues = read(bytes).map_err(|e| Error::Residual(format!("the subtitles written cannot be read again: {e}")))?;
    if write(&cues, kind).as_bytes() != bytes {
        return Err(Error::Residual("the subtitles written hold more than times and plain text".into()));
    }
    if let Some(place) = cues.iter().position(|c| aliases.betrayed(&c.lines.join(" "))) {
        return Err(Error::Residual(format!("subtitle {} still holds a listed word", place + 1)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_passes_and_anything_more_does_not() {
        let aliases = Aliases::new([("Anna", "Witness 1")]).unwrap();
        let line = |s: &str| Cue { start_ms: 1500, end_ms: 3_723_004, lines: vec![s.into()] };
        for kind in [Kind::Srt, Kind::Vtt] {
            let good = write(&[line("You & I")], kind);
            assert!(good.contains("01:02:03") && check(good.as_bytes(), kind, &aliases).is_ok(), "{good}");
            assert!(check(write(&[line("anna")], kind).as_bytes(), kind, &aliases).is_err());
            for more in ["NOTE x\n\n", "<i>", " "] {
                assert!(check(format!("{more}{good}").as_bytes(), kind, &aliases).is_err(), "{more}");
            }
        }
    }
}
