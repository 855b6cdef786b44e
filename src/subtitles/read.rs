//! Cues out of SRT, WebVTT and ASS: only times and spoken text.

use super::Cue;
use crate::{Error, Result};

/// Most bytes of a file.
pub const MOST_BYTES: usize = 16 << 20;
/// Most cues.
const MOST_CUES: usize = 100_000;
/// Most lines and letters of a cue; longer ones are no subtitles.
const MOST_LINES: usize = 12;
const MOST_LETTERS: usize = 500;
/// A hundred hours.
const LATEST_MS: u64 = 360_000_000;

/// Reads a file of any of the three kinds, told apart by what is in it. Cues without text are left out.
///
/// # Errors
/// `Input` if it is none of them, is no UTF-8, has times that go backwards or character references that are not known;
/// `Limit` if it is too large.
pub fn read(bytes: &[u8]) -> Result<Vec<Cue>> {
    if bytes.len() > MOST_BYTES {
        return Err(Error::Limit(format!("the subtitles are larger than the limit of {MOST_BYTES} bytes")));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_e| Error::Input("the subtitles are not UTF-8; convert them first, e.g. with iconv".into()))?;
    let text = unified(text);
    let ass = text.lines().any(|l| l.trim().eq_ignore_ascii_case("[events]"));
    let cues = if ass { from_ass(&text)? } else { from_blocks(&text)? };
    if cues.is_empty() {
        return Err(Error::Input("no subtitles were found; SRT, WebVTT and ASS are read".into()));
    }
    Ok(cues)
}

/// Without byte-order mark, lines ended by `\n` alone.
pub(super) fn unified(text: &str) -> String {
    text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n")
}

/// A time that a film can have.
pub(super) fn possible(ms: u64) -> Option<u64> {
    (ms <= LATEST_MS).then_some(ms)
}

/// What is spoken in the text field of ASS; `None` for a drawing, which is written as text.
pub(super) fn of_ass(spoken: &str) -> Option<String> {
    let drawing = spoken.split('{').skip(1).any(|tag| {
        let tag = tag.split('}').next().unwrap_or("");
        tag.split('\\').any(|t| {
            t.trim().strip_prefix('p').is_some_and(|n| n.starts_with(|c: char| c != '0' && c.is_ascii_digit()))
        })
    });
    (!drawing).then(|| spoken.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " "))
}

/// SRT and WebVTT: blocks with a line of two times. What stands before that line, and blocks without one, are dropped.
fn from_blocks(text: &str) -> Result<Vec<Cue>> {
    let mut cues = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((from, rest)) = line.split_once("-->") else { continue };
        // Settings of WebVTT and coordinates of SRT follow the second time.
        let to = rest.split_whitespace().next().unwrap_or("");
        let mut spoken = String::new();
        while let Some(line) = lines.next_if(|l| !l.trim().is_empty() && !l.contains("-->")) {
            spoken.push_str(line);
            spoken.push('\n');
        }
        push(&mut cues, millis(from.trim()), millis(to), &spoken)?;
    }
    Ok(cues)
}

/// ASS: the `Text` field of `Dialogue` lines. Comments, styles, names, effects, fonts and pictures are dropped.
fn from_ass(text: &str) -> Result<Vec<Cue>> {
    let mut cues = Vec::new();
    let mut places: Option<(usize, usize, usize)> = None;
    let mut events = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            events = line.eq_ignore_ascii_case("[events]");
        }
        let Some((key, value)) = line.split_once(':').filter(|_| events) else { continue };
        if key.eq_ignore_ascii_case("format") {
            let names: Vec<String> = value.split(',').map(|n| n.trim().to_lowercase()).collect();
            let place = |name: &str| names.iter().position(|n| n == name);
            // Text is the last field: it may hold commas.
            let last = place("text").filter(|p| p + 1 == names.len());
            places = Some((place("start"), place("end"), last)).and_then(|(a, b, c)| Some((a?, b?, c?)));
        } else if key.eq_ignore_ascii_case("dialogue") {
            let (start, end, last) =
                places.ok_or_else(|| Error::Input("the subtitles have no `Format` line before their text".into()))?;
            let fields: Vec<&str> = value.splitn(last + 1, ',').collect();
            let (Some(start), Some(end), Some(spoken)) = (fields.get(start), fields.get(end), fields.get(last)) else {
                return Err(Error::Input(format!("subtitle {} has too few fields", cues.len() + 1)));
            };
            if let Some(spoken) = of_ass(spoken) {
                push(&mut cues, millis(start.trim()), millis(end.trim()), &spoken)?;
            }
        }
    }
    Ok(cues)
}

/// Adds a cue, with its text freed of tags.
pub(super) fn push(cues: &mut Vec<Cue>, start: Option<u64>, end: Option<u64>, spoken: &str) -> Result<()> {
    let number = cues.len() + 1;
    let (Some(start_ms), Some(end_ms)) = (start, end) else {
        return Err(Error::Input(format!("subtitle {number} has a time that cannot be read")));
    };
    if start_ms >= end_ms {
        return Err(Error::Input(format!("subtitle {number} ends before it begins")));
    }
    let spoken = resolved(spoken);
    // Half a name may stand in it, and players show the letter that is meant.
    if has_reference(&spoken) {
        return Err(Error::Input(format!(
            "subtitle {number} holds a character reference that is not known (as &name;); write the letter itself"
        )));
    }
    let lines: Vec<String> = plain(&spoken).lines().map(tidy).filter(|l| !l.is_empty()).collect();
    if lines.len() > MOST_LINES || lines.iter().map(|l| l.chars().count()).sum::<usize>() > MOST_LETTERS {
        return Err(Error::Limit(format!(
            "subtitle {number} is longer than {MOST_LINES} lines or {MOST_LETTERS} letters"
        )));
    }
    if !lines.is_empty() {
        cues.push(Cue { start_ms, end_ms, lines });
    }
    if cues.len() > MOST_CUES {
        return Err(Error::Limit(format!("more than {MOST_CUES} subtitles")));
    }
    Ok(())
}

/// Text without `<tags>` and `{overrides}`; one that is never closed hides the rest, and left-over brackets go too.
/// Character references must be resolved before, so that no tag hides in them.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut open: Option<char> = None;
    for c in text.chars() {
        match (open, c) {
            (None, '<') => open = Some('>'),
            (None, '{') => open = Some('}'),
            (Some(end), c) if c == end => open = None,
            (Some(_), '\n') => out.push('\n'),
            (Some(_), _) | (None, '>' | '}' | '\\') => {}
            (None, c) => out.push(c),
        }
    }
    out
}

/// Resolves `&amp;`, `&#65;`, `&#x41;` and the like, again and again while anything changes.
fn resolved(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..4 {
        let once = resolved_once(&text);
        if once == text {
            break;
        }
        text = once;
    }
    text
}

fn resolved_once(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let end = tail.find(';').filter(|e| *e <= 10);
        let named = end.and_then(|e| character(&tail[..e]));
        match (named, end) {
            (Some(c), Some(e)) => {
                out.push_str(c.encode_utf8(&mut [0; 4]));
                rest = &tail[e + 1..];
            }
            _ => {
                out.push('&');
                rest = tail;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Whether something that reads as a character reference is left: `&`, two to thirty-two letters or digits, `;`.
fn has_reference(text: &str) -> bool {
    text.split('&').skip(1).any(|tail| {
        let name = tail.strip_prefix('#').unwrap_or(tail);
        let length = name.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let least = if name.len() < tail.len() { 1 } else { 2 };
        (least..=32).contains(&length) && name.as_bytes().get(length) == Some(&b';')
    })
}

fn character(name: &str) -> Option<char> {
    match name.to_ascii_lowercase().as_str() {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        "lrm" | "rlm" | "shy" => Some('\u{200b}'),
        other => {
            let number = other.strip_prefix('#')?;
            let code =
                number.strip_prefix('x').map_or_else(|| number.parse().ok(), |h| u32::from_str_radix(h, 16).ok());
            char::from_u32(code?)
        }
    }
}

/// One line with single spaces, without control characters and without marks that nobody sees: these can carry a message.
fn tidy(line: &str) -> String {
    let spaced = line.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    let clean: String = spaced.filter(|c| !c.is_control() && !is_unseen(*c)).collect();
    // An arrow would begin a cue of its own.
    clean.replace("-->", "").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a character is not seen: joiners, marks of direction and of variants, fillers, private ones.
pub(super) fn is_unseen(c: char) -> bool {
    matches!(c as u32, 0xad | 0x34f | 0x61c | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f
        | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164 | 0xe000..=0xf8ff | 0xfe00..=0xfe0f | 0xfeff | 0xffa0
        | 0xfff0..=0xfffc | 0xe0000..=0x10ffff)
}

/// Milliseconds of `H:MM:SS.cc`, `HH:MM:SS,mmm` or `MM:SS.mmm`.
fn millis(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once(['.', ',']).unwrap_or((text, "0"));
    let digits = |s: &str, most: usize| -> Option<u64> {
        let good = (1..=most).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
        if good { s.parse().ok() } else { None }
    };
    let fields: Vec<u64> = whole.split(':').map(|f| digits(f, 4)).collect::<Option<_>>()?;
    let (h, m, s) = match fields[..] {
        [h, m, s] => (h, m, s),
        [m, s] => (0, m, s),
        _ => return None,
    };
    let thousandths = digits(part, 3)? * 10_u64.pow(3 - u32::try_from(part.len()).ok()?);
    let sum = ((h * 60 + m) * 60 + s) * 1000 + thousandths;
    (m < 60 && s < 60 && sum <= LATEST_MS).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        read(source.as_bytes()).unwrap().iter().map(|c| c.lines.join("|")).collect()
    }

    #[test]
    fn srt_gives_times_and_text_alone() {
        let source = "\u{feff}1\r\n00:00:01,500 --> 00:00:03,000 X1:10 X2:20\r\n<i>I was <b>there</b>.</i>\r\n- {\\an8}Yes &amp; no\r\n\r\n\
                      2\n00:01:00,000 --> 00:01:02,000\n<font face=\"Anna\">\n\n";
        let cues = read(source.as_bytes()).unwrap();
        assert_eq!((cues[0].start_ms, cues[0].end_ms), (1500, 3000));
        assert_eq!(cues[0].lines, ["I was there.", "- Yes & no"]);
        assert_eq!(cues.len(), 1, "a cue of tags alone is none");
    }

    #[test]
    fn webvtt_loses_notes_styles_voices_and_identifiers() {
        let source = "WEBVTT - talk with Anna\n\nNOTE recorded in Lyon\n\nSTYLE\n::cue { color: red }\n\nREGION\nid:anna\n\n\
                      anna-1\n00:01.000 --> 00:02.000 align:start region:anna\n<v Anna>Hello <c.anna>you</c> &#60;x&#62;\n";
        assert_eq!(texts(source), ["Hello you"]);
    }

    #[test]
    fn ass_loses_names_styles_comments_overrides_and_drawings() {
        let source = "[Script Info]\nTitle: Anna\n[V4+ Styles]\nStyle: Anna,Arial\n[Events]\n\
                      Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n\
                      Comment: 0,0:00:00.00,0:00:01.00,Anna,Anna,0,0,0,,secret\n\
                      Dialogue: 0,0:00:01.50,0:00:02.00,Anna,Anna,0,0,0,Anna,{\\fnAnna\\pos(1,2)}I, too,\\Nwas {note}there\n\
                      Dialogue: 0,0:00:03.00,0:00:04.00,Anna,,0,0,0,,{\\p1}m 0 0 l 10 10{\\p0}\n[Fonts]\nfontname: anna.ttf\n";
        assert_eq!(texts(source), ["I, too,|was there"]);
    }

    #[test]
    fn hidden_marks_and_nested_references_carry_nothing() {
        assert_eq!(
            texts("1\n00:00:01,000 --> 00:00:02,000\nA\u{200b}n\u{202e}na &amp;lt;i&amp;gt;x <never closed\n"),
            ["Anna x"]
        );
    }

    #[test]
    fn references_that_are_not_known_are_refused() {
        let cue = |text: &str| read(format!("1\n00:00:01,000 --> 00:00:02,000\n{text}\n").as_bytes());
        for text in ["Z&oacute;e", "&#x110000;", "&amp;amp;amp;amp;amp;eacute;", "&Zeta;&eta;"] {
            let e = cue(text).unwrap_err();
            assert!(e.exit_code() == 3 && !e.to_string().contains("oacute"), "{text}: {e}");
        }
        for text in ["You & I; they", "AT&T; R&B", "a&b;c", "&&;;", "100 &#; x"] {
            assert!(cue(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for source in [
            "",
            "hello",
            "1\n00:00:05,000 --> 00:00:02,000\nx\n",
            "1\n00:99:01,000 --> 00:99:02,000\nx\n",
            "1\n999999999999999999999:00:01,000 --> 00:00:02,000\nx\n",
            "[Events]\nDialogue: 0,1,2\n",
        ] {
            assert!(read(source.as_bytes()).is_err(), "{source}");
        }
        assert!(read(&[0xff, 0xfe, 0x31]).is_err());
        assert!(read(format!("1\n00:00:01,000 --> 00:00:02,000\n{}\n", "x".repeat(600)).as_bytes()).is_err());
    }
}
