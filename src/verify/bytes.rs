//! Search of a whole file for texts that must not be in it.

use crate::{Error, Result};
use std::io::Read;
use std::path::Path;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;
/// Longest pattern searched, in bytes; longer texts are cut, which finds them all the same.
const LONGEST: usize = 512;
/// Shortest text searched, in characters. Four random bytes stand in every gigabyte of coded picture by chance.
pub(crate) const SHORTEST: usize = 5;
/// Texts of this many bytes and more are found in upper and lower case alike; shorter ones exactly, because a
/// five-letter word in any case stands in a few gigabytes of coded picture by chance.
const FOLDED_FROM: usize = 8;

/// A text to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Needle {
    /// The text.
    pub text: String,
    /// What it is, for the report, as "title of the source".
    pub what: String,
}

/// A text that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    /// Which needle.
    pub needle: usize,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// `utf-8`, `utf-16-le` or `utf-16-be`.
    pub coding: &'static str,
}

struct Pattern {
    needle: usize,
    coding: &'static str,
    bytes: Vec<u8>,
    folded: bool,
}

/// Finds the first place of every needle in a file, in UTF-8 and both UTF-16 codings. Needles shorter than
/// [`SHORTEST`] characters are ignored.
///
/// # Errors
/// `Io` if the file cannot be read, whatever `check` refuses.
pub(crate) fn scan(path: &Path, needles: &[Needle], check: &dyn Fn() -> Result<()>) -> Result<Vec<Hit>> {
    let io = |e| Error::io("cannot search the output", path, e);
    let file = std::fs::File::open(path).map_err(io)?;
    scan_reader(file, needles, check, &io)
}

fn scan_reader(
    mut reader: impl Read,
    needles: &[Needle],
    check: &dyn Fn() -> Result<()>,
    io: &dyn Fn(std::io::Error) -> Error,
) -> Result<Vec<Hit>> {
    let patterns = patterns(needles);
    let index = Index::new(&patterns);
    let mut hits: Vec<Option<Hit>> = vec![None; needles.len()];
    let mut window: Vec<u8> = Vec::with_capacity(CHUNK + LONGEST);
    let mut folded: Vec<u8> = Vec::with_capacity(CHUNK + LONGEST);
    let mut base = 0u64;
    loop {
        let old = window.len();
        let got = reader.by_ref().take(CHUNK as u64).read_to_end(&mut window).map_err(io)?;
        check()?;
        folded.extend(window[old..].iter().map(u8::to_ascii_lowercase));
        for at in 0..folded.len().saturating_sub(1) {
            for &k in index.candidates(&folded, at) {
                let p = &patterns[k];
                let hay = if p.folded { &folded } else { &window };
                if hits[p.needle].is_none() && hay[at..].starts_with(&p.bytes) {
                    hits[p.needle] = Some(Hit { needle: p.needle, offset: base + at as u64, coding: p.coding });
                }
            }
        }
        if got == 0 {
            return Ok(hits.into_iter().flatten().collect());
        }
        let keep = window.len().min(LONGEST - 1);
        let gone = window.len() - keep;
        window.drain(..gone);
        folded.drain(..gone);
        base += gone as u64;
    }
}

fn patterns(needles: &[Needle]) -> Vec<Pattern> {
    let mut out = Vec::new();
    for (needle, n) in needles.iter().enumerate() {
        if n.text.chars().count() < SHORTEST {
            continue;
        }
        let wide = |f: fn(u16) -> [u8; 2]| n.text.encode_utf16().flat_map(f).collect::<Vec<u8>>();
        let codings = [
            ("utf-8", n.text.as_bytes().to_vec()),
            ("utf-16-le", wide(u16::to_le_bytes)),
            ("utf-16-be", wide(u16::to_be_bytes)),
        ];
        for (coding, mut bytes) in codings {
            bytes.truncate(LONGEST);
            let folded = bytes.len() >= FOLDED_FROM;
            if folded {
                bytes.make_ascii_lowercase();
            }
            out.push(Pattern { needle, coding, bytes, folded });
        }
    }
    out
}

/// Patterns by their first two bytes (in lower case).
struct Index {
    starts: Vec<u32>,
    list: Vec<usize>,
}

impl Index {
    fn new(patterns: &[Pattern]) -> Self {
        let key = |p: &Pattern| {
            let low = |i: usize| usize::from(p.bytes.get(i).copied().unwrap_or(0).to_ascii_lowercase());
            low(0) << 8 | low(1)
        };
        let mut list: Vec<usize> = (0..patterns.len()).collect();
        list.sort_by_key(|k| (key(&patterns[*k]), *k));
        let mut starts = vec![0u32; (1 << 16) + 1];
        for k in &list {
            starts[key(&patterns[*k]) + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        Index { starts, list }
    }

    #[inline]
    fn candidates(&self, folded: &[u8], at: usize) -> &[usize] {
        let key = usize::from(folded[at]) << 8 | usize::from(folded[at + 1]);
        &self.list[self.starts[key] as usize..self.starts[key + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(data: &[u8], words: &[Needle]) -> Vec<Hit> {
        scan_reader(data, words, &|| Ok(()), &|e| Error::io("", "", e)).unwrap()
    }

    fn needles(texts: &[&str]) -> Vec<Needle> {
        texts.iter().map(|t| Needle { text: (*t).into(), what: String::new() }).collect()
    }

    #[test]
    fn finds_texts_across_chunks_in_three_codings() {
        let words = needles(&["Witness Name", "Zürich Hauptbahnhof", "IMG_2041.MOV", "abc", "never there", "Short"]);
        let mut data = vec![0x5au8; CHUNK - 6];
        data.extend(b"witness NAME");
        data.extend("Zürich Hauptbahnhof".encode_utf16().flat_map(u16::to_be_bytes));
        data.resize(2 * CHUNK - 9, 1);
        data.extend("img_2041.mov".encode_utf16().flat_map(u16::to_le_bytes));
        data.extend(b"abc short");
        let hits = search(&data, &words);
        let found: Vec<_> = hits.iter().map(|h| (h.needle, h.offset as usize, h.coding)).collect();
        assert_eq!(
            found,
            [(0, CHUNK - 6, "utf-8"), (1, CHUNK + 6, "utf-16-be"), (2, 2 * CHUNK - 9, "utf-16-le")],
            "three-letter words are ignored, five-letter words keep their case"
        );
    }

    #[test]
    fn the_very_end_of_the_file_is_searched() {
        let words = needles(&["Short"]);
        for size in [5, 6, CHUNK, CHUNK + 3] {
            let mut data = vec![b'S'; size - 5];
            data.extend(b"Short");
            assert_eq!(search(&data, &words).len(), 1, "{size}");
        }
        assert!(search(b"Shor", &words).is_empty());
        assert!(search(b"", &words).is_empty());
    }
}
