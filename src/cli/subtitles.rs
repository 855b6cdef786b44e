//! `subtitles`: names out, everything but text out, written afresh.

use super::args;
use super::context::confine;
use super::progress::{err, out};
use crate::plan::Cast;
use crate::subtitles::{Aliases, Kind, MOST_BYTES, check, read, write};
use crate::{Error, Result, files};
use std::io::Read;
use std::path::Path;

/// `understudy subtitles`
pub(super) fn run(a: args::Subtitles) -> Result<()> {
    let kind = match a.output.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("srt") => Kind::Srt,
        Some("vtt") => Kind::Vtt,
        _ => return Err(Error::Usage("name the output .srt or .vtt".into())),
    };
    crate::pipeline::check_input(&a.input)?;
    crate::pipeline::check_output(&a.input, &a.output, a.force)?;
    confine(&a.machine, |access| {
        access.read(&a.input);
        access.read(&a.cast);
        access.write_beside(&a.output);
    })?;
    let cast = Cast::read(&a.cast)?;
    let words = cast.words.as_ref().ok_or_else(|| {
        let message = "the cast has no [words]: list every name and place that is said, each with its alias; \
                       subtitles without a list are not passed on";
        Error::Plan(message.into())
    })?;
    let aliases = Aliases::new(words.iter().map(|(w, a)| (w.as_str(), a.as_str())))?;
    let (cues, doubts) = aliases.apply(&read(&bytes_of(&a.input)?)?);
    let text = write(&cues, kind);
    check(text.as_bytes(), kind, &aliases)?;
    files::write_private(&a.output, |file| file.write_all(text.as_bytes()))?;
    for d in &doubts {
        let secs = d.at_ms / 1000;
        err(&format!(
            "subtitle {} at {:02}:{:02}:{:02}: a word is like a listed one and was covered",
            d.cue,
            secs / 3600,
            secs / 60 % 60,
            secs % 60
        ));
    }
    out(&format!(
        "{} subtitles, {} with covered words: {}; read them all: only listed words are known to be names",
        cues.len(),
        doubts.len(),
        a.output.display()
    ));
    Ok(())
}

/// The bytes of a file; one more than are read at most.
fn bytes_of(path: &Path) -> Result<Vec<u8>> {
    let io = |e| Error::io("cannot read the subtitles", path, e);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(io)?;
    file.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}
