//! Entrances for `fuzz/`: one function for each kind of bytes that may come from an enemy. No part of the interface.
//!
//! None may panic, hang, or ask for much memory, whatever it is given. What the functions return is of no interest.

use crate::media::{AudioReader, DecodeOptions, Limits, VideoReader, probe, raw_streams};
use std::path::Path;

/// The body of a plan, behind magic word, hash and compression.
pub fn plan(bytes: &[u8]) {
    crate::plan::parse_for_fuzzing(bytes);
}

/// A cast file.
pub fn cast(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Err(e) = crate::plan::Cast::parse(text, "cast")
    {
        assert!(!e.to_string().is_empty());
    }
}

/// A list of networks, the card of a double.
pub fn manifest(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let list = crate::infer::Catalogue::parse(text).is_ok_and(|l| !l.entries().is_empty());
        let card = crate::swap::parse_card_for_fuzzing(text);
        std::hint::black_box(list && card);
    }
}

/// A film: listed, probed, decoded for some frames and seconds.
pub fn media(film: &Path) {
    let limits =
        Limits { max_width: 1024, max_height: 1024, max_pixels: 1 << 20, max_frames: 200, ..Limits::default() };
    std::hint::black_box(raw_streams(film, &limits).is_ok());
    let Ok(found) = probe(film, &limits) else { return };
    for salvage in [false, true] {
        if let Ok(mut reader) = VideoReader::open(film, &limits, DecodeOptions { threads: 1, salvage }) {
            let pictures = (0..100).take_while(|_| matches!(reader.next(), Ok(Some(_)))).count();
            std::hint::black_box(pictures);
        }
    }
    for info in found.audio.iter().take(4) {
        if let Ok(mut reader) = AudioReader::open(film, info.stream_index, &limits, true) {
            let blocks = (0..200).take_while(|_| matches!(reader.next(), Ok(Some(_)))).count();
            std::hint::black_box(blocks);
        }
    }
}

/// An output, as the attack reads its boxes and bytes.
pub fn container(film: &Path) {
    crate::verify::parse_for_fuzzing(film);
}

/// Subtitles: read, freed of names, written, read again.
pub fn subtitles(bytes: &[u8]) {
    use crate::subtitles::{Aliases, Kind, TextCodec, TextPacket, check, read, write};
    let words = [("Anna Maria Kovač", "Witness 1"), ("Ali", "Witness 2"), ("王小明", "Witness 3"), ("Lyon", "")];
    let Ok(aliases) = Aliases::new(words) else { return };
    for codec in [TextCodec::SubRip, TextCodec::Ass, TextCodec::WebVtt, TextCodec::MovText] {
        let packet = TextPacket { start_ms: 0, length_ms: 1000, bytes: bytes.to_vec(), more: false };
        let Ok((text, _)) = codec.unpack(std::slice::from_ref(&packet)).and_then(|cues| aliases.clear(&cues)) else {
            continue;
        };
        // What was cleared passes the attack, as it is written.
        for to in [TextCodec::SubRip, TextCodec::WebVtt, TextCodec::MovText] {
            let cues = text.cues(to);
            let written: Vec<_> = cues.iter().map(|c| TextPacket { bytes: to.pack(c), ..packet.clone() }).collect();
            assert!(to.check(&written, &aliases).is_ok());
        }
    }
    let Ok(cues) = read(bytes) else { return };
    let (cues, doubts) = aliases.apply(&cues);
    std::hint::black_box(doubts.len());
    for kind in [Kind::Srt, Kind::Vtt] {
        // What is left of names is refused, which is all that is promised of hostile texts.
        if let Err(e) = check(write(&cues, kind).as_bytes(), kind, &aliases) {
            assert_eq!(e.exit_code(), 7);
        }
    }
}

/// A vault, or a sealed file.
pub fn vault(bytes: &[u8]) {
    crate::vault::parse_for_fuzzing(bytes);
}

/// A record of a checkpoint.
pub fn checkpoint(bytes: &[u8]) {
    crate::journal::parse_for_fuzzing(bytes);
}
