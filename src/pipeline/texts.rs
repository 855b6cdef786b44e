//! Text streams of a film: through the cast's words, or not at all.

use crate::media::{self, Limits, TextStream};
use crate::plan::{Cast, Finding};
use crate::subtitles::{Aliases, ClearedText};
use crate::{Error, Result};
use std::path::Path;

/// What becomes of the text streams of a film.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts {
    /// Those that pass, freed of the cast's words.
    pub cleared: Vec<ClearedText>,
    /// What a person should know of it.
    pub findings: Vec<Finding>,
}

/// Reads the text streams of `input`, and clears those that may pass.
///
/// # Errors
/// `Plan` if the words are no good, `Input` for text that cannot be read, `Residual` for text that cannot be freed of them.
pub(super) fn clear(input: &Path, cast: &Cast, limits: &Limits, salvage: bool) -> Result<Texts> {
    let streams = media::read_texts(input, limits, salvage)?;
    let mut out = Texts::default();
    let count = |kept: bool| streams.iter().filter(|s| (s.kind.is_some() && cast.subtitles) == kept).count() as u64;
    if count(false) > 0 {
        let note = if cast.subtitles {
            "subtitle streams that are drawn, or of a kind that cannot be read, are not in the output: nobody can say what they tell"
        } else {
            "subtitle streams are not in the output: `subtitles = true` in the cast's [policy] passes their text through its [words]"
        };
        out.findings.push(finding("subtitles.dropped", count(false), note.into()));
    }
    if !cast.subtitles {
        return Ok(out);
    }
    let aliases = match &cast.words {
        Some(words) if !words.is_empty() => Aliases::new(words.iter().map(|(w, a)| (w.as_str(), a.as_str())))?,
        _ => return Err(Error::Plan("`subtitles` needs [words]".into())), // the cast was checked: not reached
    };
    for stream in &streams {
        let Some(text) = one(stream, &aliases, &mut out.findings)? else { continue };
        out.cleared.push(text);
    }
    Ok(out)
}

fn one(stream: &TextStream, aliases: &Aliases, findings: &mut Vec<Finding>) -> Result<Option<ClearedText>> {
    let Some(kind) = stream.kind else { return Ok(None) };
    let place = |e: Error| {
        let hint = "convert that stream, remove it, or take `subtitles` out of the cast";
        let said = format!("subtitle stream {}: {e}; {hint}", stream.stream_index);
        match e {
            Error::Limit(_) => Error::Limit(said),
            Error::Residual(_) => Error::Residual(said),
            Error::Plan(_) => e,
            _ => Error::Input(said),
        }
    };
    let cues = kind.unpack(&stream.packets).map_err(place)?;
    let (text, doubts) = aliases.clear(&cues).map_err(place)?;
    if !doubts.is_empty() {
        let at = |ms: u64| format!("{:02}:{:02}:{:02}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        let first: Vec<String> = doubts.iter().take(20).map(|d| at(d.at_ms)).collect();
        let note = format!(
            "words of subtitle stream {} are like listed ones and were covered, at {}{}: read them all",
            stream.stream_index,
            first.join(", "),
            if doubts.len() > first.len() { " and later" } else { "" }
        );
        findings.push(finding("subtitles.near", doubts.len() as u64, note));
    }
    let note = format!(
        "subtitle stream {} passed through the cast's words: only listed words are known to be names, read it before you publish",
        stream.stream_index
    );
    findings.push(finding("subtitles.passed", cues.len() as u64, note));
    Ok(Some(text))
}

fn finding(kind: &str, count: u64, note: String) -> Finding {
    Finding { kind: kind.into(), frame: None, track: None, count, note }
}
