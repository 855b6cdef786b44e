//! Text streams inside a film: packets in, checked packets out.
//!
//! Packets are read here and not by the libraries' decoders: what is not read cannot pass.

use super::read::{self, push};
use super::{Aliases, Cue, Doubt};
use crate::{Error, Result};

/// How long a text without an end stays, milliseconds.
const UNENDED_MS: i64 = 4000;
/// Fields of an ASS packet before its text: order, layer, style, name, three margins, effect.
const ASS_FIELDS: usize = 8;
/// Name of the only font of a text track in MP4; players take their own. Shorter than any word that is searched in all bytes.
const FONT: &[u8] = b"Sans";

/// Kinds of text stream that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextCodec {
    /// Plain lines with tags as in SRT files.
    SubRip,
    /// Advanced SubStation Alpha, and its forerunner.
    Ass,
    /// WebVTT.
    WebVtt,
    /// 3GPP timed text (3GPP TS 26.245), as MP4 and QuickTime carry it.
    MovText,
}

/// One packet of a text stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextPacket {
    /// When it appears, milliseconds on the film's clock.
    pub start_ms: i64,
    /// How long it stays; 0 if the file does not say.
    pub length_ms: i64,
    /// The packet.
    pub bytes: Vec<u8>,
    /// It has data beside the packet: identifiers, settings, additions.
    pub more: bool,
}

impl TextCodec {
    /// By FFmpeg's name; `None` for pictures of text and for everything else that is not read.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "subrip" | "srt" | "text" => Some(TextCodec::SubRip),
            "ass" | "ssa" => Some(TextCodec::Ass),
            "webvtt" => Some(TextCodec::WebVtt),
            "mov_text" => Some(TextCodec::MovText),
            _ => None,
        }
    }

    /// The kind that is written into a container, by the name of its multiplexer; `None` if it takes none.
    #[must_use]
    pub fn written_in(muxer: &str) -> Option<Self> {
        match muxer {
            "matroska" => Some(TextCodec::SubRip),
            "webm" => Some(TextCodec::WebVtt),
            "mp4" | "mov" => Some(TextCodec::MovText),
            _ => None,
        }
    }

    /// FFmpeg's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TextCodec::SubRip => "subrip",
            TextCodec::Ass => "ass",
            TextCodec::WebVtt => "webvtt",
            TextCodec::MovText => "mov_text",
        }
    }

    /// What stands at the head of a stream that is written: nothing, but for MP4, which wants a style: 30 bytes of numbers
    /// and a table of one font (3GPP TS 26.245, §5.16). All of it says "white, at the bottom".
    #[must_use]
    pub fn header(self) -> Vec<u8> {
        if self != TextCodec::MovText {
            return Vec::new();
        }
        let mut out = vec![0, 0, 0, 0, 1, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        out.extend([0, 0, 0, 0, 0, 1, 0, 18, 0xff, 0xff, 0xff, 0xff]);
        let length = 8 + 2 + 3 + FONT.len() as u32;
        out.extend(length.to_be_bytes());
        out.extend(b"ftab\0\x01\0\x01");
        out.push(FONT.len() as u8);
        out.extend(FONT);
        out
    }

    /// Whether `found` is the head of a stream that was written: the one of [`TextCodec::header`], with nothing behind it
    /// but the bit rates that MP4 adds (a `btrt` box: three numbers, ISO/IEC 14496-12 §8.5.2).
    #[must_use]
    pub fn is_header(self, found: &[u8]) -> bool {
        let rates = |rest: &[u8]| rest.len() == 20 && rest.starts_with(b"\0\0\0\x14btrt");
        let rest = found.strip_prefix(&self.header()[..]);
        rest.is_some_and(|rest| rest.is_empty() || self == TextCodec::MovText && rates(rest))
    }

    /// Cues of a stream, in the order of their times. Cues without text are left out.
    ///
    /// # Errors
    /// `Input` for packets that cannot be read, `Limit` for absurd ones, both by the number of the packet.
    pub fn unpack(self, packets: &[TextPacket]) -> Result<Vec<Cue>> {
        let mut order: Vec<&TextPacket> = packets.iter().collect();
        order.sort_by_key(|p| (p.start_ms, p.length_ms));
        let mut cues = Vec::new();
        for (i, p) in order.iter().enumerate() {
            let Some(spoken) = self.spoken(&p.bytes, i + 1)? else { continue };
            let until = order.get(i + 1).map_or(i64::MAX, |next| next.start_ms.max(p.start_ms.saturating_add(1)));
            let length = if p.length_ms > 0 { p.length_ms } else { UNENDED_MS.min(until.saturating_sub(p.start_ms)) };
            let end = p.start_ms.saturating_add(length);
            // What is over before the film begins is not shown.
            let Some(end) = u64::try_from(end).ok().filter(|e| *e > 0) else { continue };
            push(&mut cues, read::possible(p.start_ms.max(0) as u64), read::possible(end), &spoken)?;
        }
        Ok(cues)
    }

    /// The spoken text of a packet; `None` for a drawing.
    fn spoken(self, bytes: &[u8], number: usize) -> Result<Option<String>> {
        let utf8 = |b: &[u8]| {
            std::str::from_utf8(b)
                .map(|s| s.trim_end_matches('\0').to_owned())
                .map_err(|_e| Error::Input(format!("text {number} of a stream is not UTF-8; convert the stream first")))
        };
        let short = || Error::Input(format!("text {number} of a stream is cut off"));
        match self {
            TextCodec::SubRip | TextCodec::WebVtt => utf8(bytes).map(|t| Some(read::unified(&t))),
            TextCodec::Ass => {
                let line = utf8(bytes)?;
                let spoken = line.splitn(ASS_FIELDS + 1, ',').nth(ASS_FIELDS).ok_or_else(short)?;
                Ok(read::of_ass(spoken))
            }
            TextCodec::MovText => {
                let length = bytes.get(..2).map(|b| usize::from(u16::from_be_bytes([b[0], b[1]]))).ok_or_else(short)?;
                let text = bytes.get(2..2 + length).ok_or_else(short)?;
                let Some(wide) = text.strip_prefix(&[0xfe, 0xff]) else {
                    return utf8(text).map(|t| Some(read::unified(&t)));
                };
                let units = wide.chunks_exact(2).map(|b| u16::from_be_bytes([b[0], b[1]]));
                let text: std::result::Result<String, _> = char::decode_utf16(units).collect();
                text.map(|t| Some(read::unified(&t))).map_err(|_bad| short())
            }
        }
    }

    /// The packet of a cue. Only kinds that are written, see [`TextCodec::written_in`].
    #[must_use]
    pub fn pack(self, cue: &Cue) -> Vec<u8> {
        let text = cue.lines.join("\n");
        match self {
            TextCodec::WebVtt => text.replace('&', "&amp;").into_bytes(),
            TextCodec::SubRip | TextCodec::Ass => text.into_bytes(),
            TextCodec::MovText => {
                let length = u16::try_from(text.len()).unwrap_or(0);
                let text = if length == 0 { "" } else { text.as_str() };
                [&length.to_be_bytes()[..], text.as_bytes()].concat()
            }
        }
    }

    /// Attacks the packets of a stream that was written: each must be what this program writes, and hold no listed word nor
    /// anything like one. Returns the number of cues.
    ///
    /// # Errors
    /// What is wrong with which packet.
    pub fn check(self, packets: &[TextPacket], aliases: &Aliases) -> std::result::Result<usize, TextFault> {
        let mut count = 0;
        for (i, p) in packets.iter().enumerate() {
            let refuse = |why: &'static str| TextFault { at: i + 1, why, word: false };
            if p.more {
                return Err(refuse("has data beside its text"));
            }
            if self == TextCodec::MovText && p.bytes == [0, 0] {
                continue; // a pause
            }
            let cues = self.unpack(std::slice::from_ref(p)).map_err(|_e| refuse("cannot be read again"))?;
            let [cue] = &cues[..] else { return Err(refuse("holds no text")) };
            if self.pack(cue) != p.bytes {
                return Err(refuse("holds more than plain text"));
            }
            aliases.judge(cue).map_err(|why| TextFault { word: true, ..refuse(why) })?;
            count += 1;
        }
        Ok(count)
    }
}

/// What is wrong with a stream that was written. Holds no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextFault {
    /// Number of the packet, from 1.
    pub at: usize,
    /// What it does.
    pub why: &'static str,
    /// A listed word, or something like one, is in it.
    pub word: bool,
}

/// The text of one stream, freed of listed words. Only [`Aliases::clear`] makes one, and the writer takes nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClearedText {
    cues: Vec<Cue>,
}

impl ClearedText {
    /// Whether nothing is left to show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cues.is_empty()
    }

    /// The cues for a kind of stream, in order. MP4 shows one text at a time: what overlaps is shown together there.
    #[must_use]
    pub fn cues(&self, codec: TextCodec) -> Vec<Cue> {
        if codec == TextCodec::MovText { one_at_a_time(&self.cues) } else { self.cues.clone() }
    }
}

impl Aliases {
    /// Puts aliases in place of listed words and checks the result afresh.
    ///
    /// # Errors
    /// `Plan` if an alias is like a listed word, `Residual` if a listed word, or something like it, is still there.
    pub fn clear(&self, cues: &[Cue]) -> Result<(ClearedText, Vec<Doubt>)> {
        let doubtful = |alias: &str| self.judge(&Cue { start_ms: 0, end_ms: 1, lines: vec![alias.into()] }).is_err();
        if self.aliases().any(|alias| !alias.trim().is_empty() && doubtful(alias)) {
            return Err(Error::Plan("an alias in `words` is like a word that the list removes: choose another".into()));
        }
        let (mut cues, doubts) = self.apply(cues);
        cues.sort_by_key(|c| (c.start_ms, c.end_ms));
        // As Matroska shows them, and as MP4 does.
        for codec in [TextCodec::SubRip, TextCodec::WebVtt, TextCodec::MovText] {
            let shown = if codec == TextCodec::MovText { one_at_a_time(&cues) } else { cues.clone() };
            for (i, cue) in shown.iter().enumerate() {
                let refuse = |why: &str| Error::Residual(format!("subtitle {} {why}", i + 1));
                let known = codec != TextCodec::SubRip && cues.get(i) == Some(cue);
                if !known {
                    self.judge(cue).map_err(refuse)?;
                }
                if !codec.unpack(&[packet_of(codec, cue)]).is_ok_and(|read| read == [cue.clone()]) {
                    return Err(refuse("reads otherwise once it is written"));
                }
            }
        }
        Ok((ClearedText { cues }, doubts))
    }

    /// Whether a cue that was cleared holds a listed word or something like one: then why not.
    fn judge(&self, cue: &Cue) -> std::result::Result<(), &'static str> {
        let (again, doubts) = self.apply(std::slice::from_ref(cue));
        if self.betrayed(&cue.lines.join(" ")) || self.betrayed(&cue.lines.join("\n")) {
            return Err("still holds a listed word");
        }
        if !doubts.is_empty() || again.first().is_some_and(|a| a != cue) {
            return Err("holds a word that is like a listed one");
        }
        Ok(())
    }
}

/// A cue as a packet of its own.
fn packet_of(codec: TextCodec, cue: &Cue) -> TextPacket {
    let ms = |t: u64| i64::try_from(t).unwrap_or(i64::MAX);
    let length_ms = ms(cue.end_ms).saturating_sub(ms(cue.start_ms));
    TextPacket { start_ms: ms(cue.start_ms), length_ms, bytes: codec.pack(cue), more: false }
}

/// Most lines shown together.
const MOST_TOGETHER: usize = 6;

/// Cues cut so that no two overlap; those that did stand together, in the order of their beginnings.
fn one_at_a_time(cues: &[Cue]) -> Vec<Cue> {
    let mut edges: Vec<u64> = cues.iter().flat_map(|c| [c.start_ms, c.end_ms]).collect();
    edges.sort_unstable();
    edges.dedup();
    let mut out: Vec<Cue> = Vec::new();
    let mut open: Vec<&Cue> = Vec::new();
    let mut next = cues.iter().peekable();
    for pair in edges.windows(2) {
        let (start_ms, end_ms) = (pair[0], pair[1]);
        open.retain(|c| c.end_ms > start_ms);
        while let Some(c) = next.next_if(|c| c.start_ms <= start_ms) {
            // No more than is shown: a hostile stream would make this quadratic.
            if open.len() < MOST_TOGETHER {
                open.push(c);
            }
        }
        let lines: Vec<String> = open.iter().flat_map(|c| c.lines.iter().cloned()).take(MOST_TOGETHER).collect();
        match out.last_mut() {
            Some(last) if last.end_ms == start_ms && last.lines == lines => last.end_ms = end_ms,
            _ if lines.is_empty() => {}
            _ => out.push(Cue { start_ms, end_ms, lines }),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(start_ms: i64, length_ms: i64, bytes: &[u8]) -> TextPacket {
        TextPacket { start_ms, length_ms, bytes: bytes.to_vec(), more: false }
    }

    fn timed(text: &str, tail: &[u8]) -> Vec<u8> {
        [&(text.len() as u16).to_be_bytes()[..], text.as_bytes(), tail].concat()
    }

    fn texts(codec: TextCodec, bytes: &[u8]) -> Vec<String> {
        codec.unpack(&[packet(1000, 500, bytes)]).unwrap().iter().map(|c| c.lines.join("|")).collect()
    }

    #[test]
    fn only_spoken_text_comes_out_of_a_packet() {
        use TextCodec::{Ass, MovText, SubRip, WebVtt};
        assert_eq!(texts(SubRip, b"<font face=\"Anna\">I was</font>\r\n{\\an8}there\0"), ["I was|there"]);
        assert_eq!(texts(WebVtt, "<v Anna>You &amp; I</v>".as_bytes()), ["You & I"]);
        assert_eq!(texts(Ass, b"7,0,Anna,Anna,0,0,0,Anna,{\\fnAnna}I, too,\\Nwas there"), ["I, too,|was there"]);
        assert!(texts(Ass, b"7,0,Anna,,0,0,0,,{\\p1}m 0 0 l 1 1").is_empty());
        let style = b"\0\0\0\x16styl\0\x01\0\0\0\x04\0\x01\0\x12\xff\xff\xff\xffAnna";
        assert_eq!(texts(MovText, &timed("I was there", style)), ["I was there"]);
        let wide: Vec<u8> = "\u{feff}Tschüß".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(texts(MovText, &[&(wide.len() as u16).to_be_bytes()[..], &wide].concat()), ["Tschüß"]);
        assert!(texts(MovText, b"\0\0").is_empty());
        for drawn in
            ["hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle", "xsub", "dvb_teletext", "eia_608", "ttml", ""]
        {
            assert_eq!(TextCodec::named(drawn), None, "{drawn}");
        }
    }

    #[test]
    fn packets_that_cannot_be_read_are_refused() {
        use TextCodec::{Ass, MovText, SubRip};
        for (codec, bytes) in [
            (SubRip, &b"\xff\xfe"[..]),
            (SubRip, b"Z&oacute;e"),
            (Ass, b"1,0,Default,,0,0"),
            (MovText, b"\0"),
            (MovText, b"\0\x09short"),
            (MovText, b"\0\x04\xfe\xff\xd8\0"),
        ] {
            let e = codec.unpack(&[packet(0, 500, bytes)]).unwrap_err();
            assert_eq!(e.exit_code(), 3, "{codec:?} {bytes:?}: {e}");
        }
    }

    #[test]
    fn times_are_kept_and_missing_ends_are_made() {
        let all = [packet(5000, 0, b"b"), packet(-300, 800, b"a"), packet(-900, 100, b"x"), packet(7000, 0, b"c")];
        let cues = TextCodec::SubRip.unpack(&all).unwrap();
        let times: Vec<(u64, u64)> = cues.iter().map(|c| (c.start_ms, c.end_ms)).collect();
        assert_eq!(times, [(0, 500), (5000, 7000), (7000, 11_000)]);
        for start in [i64::MAX - 3, i64::MIN] {
            let all = TextCodec::SubRip.unpack(&[packet(start, i64::MAX, b"x")]);
            assert!(all.is_err() || all.is_ok_and(|c| c.len() < 2));
        }
    }

    #[test]
    fn what_is_packed_is_what_was_cleared_and_anything_else_is_found() {
        let aliases = Aliases::new([("Anna", "Witness 1"), ("Lyon", "the town")]).unwrap();
        let source = [packet(1000, 500, b"I am Anna\nfrom Lyon & so on"), packet(1200, 900, b"Annna?")];
        let cues = TextCodec::SubRip.unpack(&source).unwrap();
        let (text, doubts) = aliases.clear(&cues).unwrap();
        assert_eq!(doubts.len(), 1);
        for codec in [TextCodec::SubRip, TextCodec::WebVtt, TextCodec::MovText] {
            let mut good: Vec<TextPacket> = text.cues(codec).iter().map(|c| packet_of(codec, c)).collect();
            let all = good.iter().flat_map(|p| p.bytes.clone()).collect::<Vec<u8>>();
            let all = String::from_utf8_lossy(&all).into_owned();
            assert!(all.contains("Witness 1") && all.contains("the town") && !all.contains("Ann"), "{all}");
            assert_eq!(codec.check(&good, &aliases).unwrap(), good.len());
            good.push(packet(9000, 100, &codec.pack(&Cue { start_ms: 0, end_ms: 1, lines: vec!["Yes".into()] })));
            assert!(codec.check(&good, &aliases).is_ok());
            let spoilt = |bytes: &[u8]| {
                let mut bad = good.clone();
                bad[0].bytes = bytes.to_vec();
                codec.check(&bad, &aliases).is_err()
            };
            let line = |s: &str| codec.pack(&Cue { start_ms: 0, end_ms: 1, lines: vec![s.into()] });
            for s in ["Anna", "ANNA'S", "A-n-n-a", "Anny", "Annas", "dAnna"] {
                assert!(spoilt(&line(s)), "{codec:?} {s}");
            }
            for s in ["<i>Yes</i>", "{\\an8}Yes", "Yes ", "Yes\n\nNo", "", "Yes\u{200b}"] {
                // An empty text of MP4 is a pause.
                let pause = codec == TextCodec::MovText && s.is_empty();
                assert_eq!(spoilt(&line(s)), !pause, "{codec:?} {s}");
            }
            let more = [line("Yes"), b"\0\0\0\x0chlitAnna".to_vec()].concat();
            assert!(spoilt(&more) && spoilt(b"\xff"), "{codec:?}");
            good[0].more = true;
            assert!(codec.check(&good, &aliases).is_err());
        }
    }

    #[test]
    fn what_would_read_otherwise_is_refused_before_it_is_written() {
        let aliases = Aliases::new([("Anna", "Witness 1")]).unwrap();
        let cue = |s: &str| Cue { start_ms: 0, end_ms: 9, lines: vec![s.into()] };
        assert!(aliases.clear(&[cue("I am Anna")]).is_ok());
        for line in ["a &amp; b", "<i>", "a --> b"] {
            assert_eq!(aliases.clear(&[cue(line)]).unwrap_err().exit_code(), 7, "{line}");
        }
        // An alias that is itself like a listed word is a mistake of the cast.
        let near = Aliases::new([("Anna", "Nina"), ("Martha", "Marthe")]);
        assert!(near.is_err() || near.unwrap().clear(&[cue("Yes")]).unwrap_err().exit_code() == 4);
    }

    #[test]
    fn overlapping_texts_stand_together_in_mp4() {
        let cue = |a: u64, b: u64, s: &str| Cue { start_ms: a, end_ms: b, lines: vec![s.into()] };
        let flat = one_at_a_time(&[cue(0, 10, "a"), cue(5, 20, "b"), cue(20, 30, "b"), cue(40, 50, "c")]);
        let as_text: Vec<(u64, u64, String)> = flat.iter().map(|c| (c.start_ms, c.end_ms, c.lines.join("+"))).collect();
        let want = [(0, 5, "a"), (5, 10, "a+b"), (10, 30, "b"), (40, 50, "c")].map(|(a, b, s)| (a, b, s.to_owned()));
        assert_eq!(as_text, want);
    }

    #[test]
    fn the_head_of_a_stream_holds_no_name() {
        assert!(TextCodec::SubRip.header().is_empty() && TextCodec::WebVtt.header().is_empty());
        let head = TextCodec::MovText.header();
        assert_eq!(head.len(), 30 + 17);
        assert_eq!(&head[34..38], b"ftab");
        let with = |rest: &[u8]| [&head[..], rest].concat();
        let rates = [&b"\0\0\0\x14btrt"[..], &[7; 12]].concat();
        assert!(TextCodec::MovText.is_header(&head) && TextCodec::MovText.is_header(&with(&rates)));
        for rest in [&b"Anna"[..], b"\0\0\0\x14btrtAnna was here, yes", b"\0\0\0\x14ftabAnna was hr"] {
            assert!(!TextCodec::MovText.is_header(&with(rest)));
        }
        assert!(!TextCodec::SubRip.is_header(b"x") && !TextCodec::SubRip.is_header(&rates));
    }

    #[test]
    fn whatever_is_cleared_passes_the_attack_as_it_is_written() {
        const PIECES: [&str; 30] = [
            "Anna", "Lyon", "Anny", "A", "n", "-", "&", "amp;", "&amp;", "lt;", "&#65;", "<", "i>", "{", "}", "\n",
            "\\N", " ", "\u{301}", "\u{200b}", "-->", ",", "王", "小", "'", "é", ".", "Kovač", "\t", "1",
        ];
        let aliases =
            Aliases::new([("Anna Kovač", "Witness 1"), ("Lyon", ""), ("王小", "the man"), ("Ali", "X")]).unwrap();
        let (mut state, mut cleared) = (7_u64, 0);
        let mut draw = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        };
        for _ in 0..4000 {
            let mut packets = Vec::new();
            for k in 0..3 {
                let text: String = (0..draw(9)).map(|_| PIECES[draw(PIECES.len())]).collect();
                packets.push(packet(k * 700, 1 + draw(1500) as i64, text.as_bytes()));
            }
            let Ok((text, _)) = TextCodec::SubRip.unpack(&packets).and_then(|c| aliases.clear(&c)) else { continue };
            cleared += 1;
            for codec in [TextCodec::SubRip, TextCodec::WebVtt, TextCodec::MovText] {
                let written: Vec<TextPacket> = text.cues(codec).iter().map(|c| packet_of(codec, c)).collect();
                assert_eq!(codec.check(&written, &aliases).map_err(|e| (e, text.clone())), Ok(written.len()));
            }
        }
        assert!(cleared > 2000, "{cleared}");
    }
}
