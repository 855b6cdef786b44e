//! Text streams of a film: through the cast's words, or not at all.

use crate::media::{self, Limits, TextStream};
use crate::plan::{Cast, Finding};
use crate::subtitles::{Aliases, ClearedText, Doubt};
use crate::{Error, Result};
use std::path::Path;

/// Most times of doubts that a finding names.
const MOST_TIMES: usize = 20;

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
    let passes = |s: &TextStream| cast.subtitles && s.kind.is_some();
    let dropped = streams.iter().filter(|s| !passes(s)).count() as u64;
    if dropped > 0 {
        let note = if cast.subtitles {
            "subtitle streams that are drawn, or of a kind that cannot be read, are not in the output: nobody can say what they tell"
        } else {
            "subtitle streams are not in the output: `subtitles = true` in the cast's [policy] passes their text through its [words]"
        };
        out.findings.push(finding("subtitles.dropped", dropped, note.into()));
    }
    if !cast.subtitles {
        return Ok(out);
    }
    let Some(words) = cast.words.as_ref().filter(|w| !w.is_empty()) else {
        return Err(Error::Plan("`subtitles` needs [words] in the cast".into()));
    };
    let aliases = Aliases::new(words.iter().map(|(w, a)| (w.as_str(), a.as_str())))?;
    for stream in &streams {
        out.cleared.extend(one(stream, &aliases, &mut out.findings)?.filter(|text| !text.is_empty()));
    }
    Ok(out)
}

fn one(stream: &TextStream, aliases: &Aliases, findings: &mut Vec<Finding>) -> Result<Option<ClearedText>> {
    let Some(kind) = stream.kind else { return Ok(None) };
    let number = stream.stream_index;
    let place = |e: Error| {
        let said = |e: &str| {
            format!("subtitle stream {number}: {e}; mend or remove that stream, or take `subtitles` out of the cast")
        };
        match e {
            Error::Limit(e) => Error::Limit(said(&e)),
            Error::Residual(e) => Error::Residual(said(&e)),
            Error::Input(e) => Error::Input(said(&e)),
            other => other,
        }
    };
    let cues = kind.unpack(&stream.packets).map_err(place)?;
    let (text, doubts) = aliases.clear(&cues).map_err(place)?;
    if !doubts.is_empty() {
        let note = format!(
            "words of subtitle stream {number} are like listed ones and were covered, at {}: read them all",
            times(&doubts)
        );
        findings.push(finding("subtitles.near", doubts.len() as u64, note));
    }
    let note = format!(
        "texts of subtitle stream {number} passed through the cast's words: only listed words are known to be names, \
         so read them before you publish"
    );
    findings.push(finding("subtitles.passed", cues.len() as u64, note));
    Ok(Some(text))
}

/// When the first doubts appear.
fn times(doubts: &[Doubt]) -> String {
    let at = |ms: u64| format!("{:02}:{:02}:{:02}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let first: Vec<String> = doubts.iter().take(MOST_TIMES).map(|d| at(d.at_ms)).collect();
    let more = if doubts.len() > MOST_TIMES { " and later" } else { "" };
    first.join(", ") + more
}

fn finding(kind: &str, count: u64, note: String) -> Finding {
    Finding { kind: kind.into(), frame: None, track: None, count, note }
}
