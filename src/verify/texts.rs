//! Text streams: none that the cast does not order, and no listed word in those that it does.

use super::kinds::{Kind, failure};
use crate::media::{Limits, TextStream, read_texts};
use crate::plan::Cast;
use crate::report::{Compared, Failure};
use crate::subtitles::{Aliases, TextCodec};
use crate::{Error, Result};
use std::path::Path;

/// What the attack on text streams gave.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Text streams that the cast allows.
    pub allowed: usize,
    /// What must not be.
    pub failures: Vec<Failure>,
    /// What a person should look at.
    pub warnings: Vec<Failure>,
    /// Side by side.
    pub rows: Vec<Compared>,
}

/// Attacks the text streams of `output`. Where the cast orders none, none is allowed, and listing them is left to others.
///
/// # Errors
/// As [`read_texts`] for the original, `Plan` for words that are no good. What cannot be read of the output is a failure.
pub(crate) fn check(original: &Path, output: &Path, cast: Option<&Cast>) -> Result<Outcome> {
    let mut out = Outcome::default();
    let Some(words) = cast.filter(|c| c.subtitles).and_then(|c| c.words.as_ref()).filter(|w| !w.is_empty()) else {
        return Ok(out);
    };
    let aliases = Aliases::new(words.iter().map(|(w, a)| (w.as_str(), a.as_str())))?;
    let limits = Limits::default();
    let source: Vec<TextStream> = read_texts(original, &limits, true)?;
    out.allowed = source.iter().filter(|s| s.kind.is_some()).count();
    let found = match read_texts(output, &limits, false) {
        Ok(found) => found,
        Err(e @ Error::Io { .. }) => return Err(e),
        Err(e) => {
            out.failures.push(failure(Kind::TextUnreadable, 1, None, format!("the texts of the output: {e}")));
            return Ok(out);
        }
    };
    if found.len() < out.allowed {
        let n = (out.allowed - found.len()) as u64;
        out.warnings.push(failure(Kind::TextMissing, n, None, "text streams of the original are not in the output"));
    }
    let sources: Vec<&TextStream> = source.iter().filter(|s| s.kind.is_some()).collect();
    for (k, stream) in found.iter().enumerate() {
        let cues = match attack(stream, &aliases) {
            Ok(cues) => cues,
            Err(f) => {
                out.failures.push(f);
                continue;
            }
        };
        let before = sources.get(k).map_or(0, |s| s.packets.len());
        out.rows.push(Compared {
            what: format!("Texts of subtitle stream {}", k + 1),
            source: before.to_string(),
            output: cues.to_string(),
            ok: cues > 0 || before == 0,
        });
    }
    Ok(out)
}

/// The number of texts of one stream, or what is wrong with it.
fn attack(stream: &TextStream, aliases: &Aliases) -> std::result::Result<usize, Failure> {
    let place = format!("stream {}", stream.stream_index);
    let written = [TextCodec::SubRip, TextCodec::WebVtt, TextCodec::MovText];
    let Some(kind) = stream.kind.filter(|k| written.contains(k)) else {
        let text = format!("{place} is of a kind of subtitle that is never written");
        return Err(failure(Kind::TextForm, 1, None, text));
    };
    if !kind.is_header(&stream.header) {
        let text = format!("{place} has styles, fonts or other text at its head");
        return Err(failure(Kind::TextHeader, 1, None, text));
    }
    kind.check(&stream.packets, aliases).map_err(|e| {
        let kind = if e.word { Kind::TextWord } else { Kind::TextExtra };
        failure(kind, 1, None, format!("text {} of {place} {}", e.at, e.why))
    })
}
