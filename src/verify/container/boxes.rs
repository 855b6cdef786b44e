//! MP4 and QuickTime boxes (ISO/IEC 14496-12 §4.2; QuickTime File Format Specification, "Atoms").

use super::{Bytes, DEEPEST, Track, Walk, is_neutral_name, number};
use crate::Result;
use crate::verify::kinds::Kind;

/// Boxes that hold boxes.
const FOLDERS: [&[u8; 4]; 13] = [
    b"moov", b"trak", b"edts", b"mdia", b"minf", b"dinf", b"stbl", b"mvex", b"moof", b"traf", b"mfra", b"wave", b"tapt",
];

/// Boxes without text: numbers that players need.
const NUMBERS: [&[u8; 4]; 59] = [
    b"ftyp", b"styp", b"elst", b"vmhd", b"smhd", b"stts", b"ctts", b"stss", b"stsc", b"stsz", b"stz2", b"stco",
    b"co64", b"sgpd", b"sbgp", b"sdtp", b"cslg", b"mehd", b"trex", b"mfhd", b"tfhd", b"tfdt", b"trun", b"sidx",
    b"tfra", b"mfro", b"avcC", b"hvcC", b"av1C", b"vpcC", b"dOps", b"dfLa", b"esds", b"pasp", b"colr", b"fiel",
    b"btrt", b"clap", b"mdcv", b"clli", b"gama", b"chan", b"chnl", b"pcmC", b"frma", b"enda", b"stps", b"ACLR",
    b"APRG", b"ARES", b"alac", b"dac3", b"dec3", b"ADHR", b"glbl", b"nmhd", b"clef", b"prof", b"enof",
];

/// Boxes of a fixed length: the most bytes of their bodies in any version. Behind it text could stand that nobody reads.
#[rustfmt::skip]
const SHORT: [(&[u8; 4], u64); 29] = [
    (b"ftyp", 256), (b"styp", 256), (b"vmhd", 12), (b"smhd", 8), (b"mehd", 12), (b"trex", 24), (b"mfhd", 8),
    (b"mfro", 8), (b"tfdt", 12), (b"cslg", 44), (b"pasp", 8), (b"colr", 19), (b"fiel", 2), (b"btrt", 12), (b"clap", 32),
    (b"mdcv", 24), (b"clli", 4), (b"gama", 4), (b"pcmC", 6), (b"frma", 4), (b"enda", 2), (b"dac3", 3), (b"mvhd", 112),
    (b"tkhd", 96), (b"mdhd", 36), (b"nmhd", 4), (b"clef", 12), (b"prof", 12), (b"enof", 12),
];
/// Most bytes of a handler or of data references.
const MOST_TEXT: u64 = 4096;

/// The list of no tags at all that FFmpeg writes into every MP4 file.
const NO_TAGS: &[u8] = b"\0\0\0\x35meta\0\0\0\0\0\0\0\x21hdlr\0\0\0\0\0\0\0\0mdirappl\0\0\0\0\0\0\0\0\0\0\0\0\x08ilst";

/// Reads all boxes of a file.
pub(super) fn walk(bytes: &mut Bytes, end: u64, walk: &mut Walk) -> Result<()> {
    level(bytes, 0, end, 0, walk)?;
    let media = walk.media;
    if !media.unknown && media.claimed < media.bytes {
        // Programs that drop a track may leave its samples where they were.
        let left = media.bytes - media.claimed;
        walk.object(Kind::ContainerHidden, 0, format!("{left} bytes of media that belong to no track"));
    }
    Ok(())
}

/// Adds the sizes of a track's samples (ISO/IEC 14496-12 §8.7.3).
fn sizes(bytes: &mut Bytes, body: u64, end: u64, walk: &mut Walk) -> Result<()> {
    let head = bytes.read(body, 12.min(end - body) as usize)?;
    let (Some(each), Some(count)) = (head.get(4..8).map(number), head.get(8..12).map(number)) else {
        walk.media.unknown = true;
        return Ok(());
    };
    // QuickTime counts samples of sound as one byte each, however long they are.
    walk.media.unknown |= each == 1;
    walk.media.claimed = walk.media.claimed.saturating_add(each.saturating_mul(count));
    let mut at = if each == 0 { body + 12 } else { end };
    let table = (body + 12).saturating_add(count.saturating_mul(4)).min(end);
    while at < table {
        let piece = bytes.read(at, (table - at).min(1 << 16) as usize)?;
        if piece.is_empty() {
            break;
        }
        let sum: u64 = piece.chunks_exact(4).map(number).sum();
        walk.media.claimed = walk.media.claimed.saturating_add(sum);
        at += piece.len() as u64;
    }
    Ok(())
}

fn level(bytes: &mut Bytes, from: u64, end: u64, depth: usize, walk: &mut Walk) -> Result<()> {
    let mut at = from;
    while at < end {
        walk.count()?;
        let head = bytes.read(at, (end - at).min(16) as usize)?;
        // QuickTime closes some lists with four zero bytes.
        if depth > 0 && head.len() == 4 && number(&head) == 0 {
            return Ok(());
        }
        let Some((kind, body, next)) = header(&head, at, end) else {
            walk.object(Kind::ContainerDamaged, at, "bytes that are no box");
            return Ok(());
        };
        one(bytes, kind, at, body, next, depth, walk)?;
        at = next;
    }
    Ok(())
}

/// Type, start of the body, and end of a box.
fn header(head: &[u8], at: u64, end: u64) -> Option<([u8; 4], u64, u64)> {
    let kind: [u8; 4] = head.get(4..8)?.try_into().ok()?;
    let (start, size) = match number(&head[..4]) {
        0 => (8, end - at),
        1 => (16, number(head.get(8..16)?)),
        n => (8, n),
    };
    let next = at.checked_add(size)?;
    (size >= start && next <= end).then_some((kind, at + start, next))
}

fn one(bytes: &mut Bytes, kind: [u8; 4], at: u64, body: u64, end: u64, depth: usize, walk: &mut Walk) -> Result<()> {
    let name = kind.escape_ascii().to_string();
    let most = SHORT.iter().find(|s| *s.0 == kind).map(|s| s.1);
    let most = most.or([b"hdlr", b"dref"].contains(&&kind).then_some(MOST_TEXT));
    if most.is_some_and(|most| end - body > most) {
        walk.object(Kind::ContainerHidden, at, format!("a `{name}` box longer than what stands in it"));
    }
    match &kind {
        k if FOLDERS.contains(&k) => {
            walk.media.unknown |= k == b"moof"; // fragments may leave sizes to their defaults
            if depth >= DEEPEST {
                walk.object(Kind::ContainerDamaged, at, "boxes nested too deeply");
                return Ok(());
            }
            level(bytes, body, end, depth + 1, walk)?;
        }
        b"stsz" => sizes(bytes, body, end, walk)?,
        b"ftab" if walk.track == Track::Text => fonts(&bytes.read(body, (end - body).min(256) as usize)?, at, walk),
        b"stz2" => walk.media.unknown = true,
        b"colr" => colour(&bytes.read(body, 4.min(end - body) as usize)?, at, walk),
        k if NUMBERS.contains(&k) => {}
        b"mdat" if depth == 0 => walk.media.bytes = walk.media.bytes.saturating_add(end - body),
        b"free" | b"skip" | b"wide" => {
            if !bytes.is_zero(body, end)? {
                walk.object(Kind::ContainerHidden, at, format!("a `{name}` box that is not empty"));
            }
        }
        b"mvhd" | b"tkhd" | b"mdhd" => times(&bytes.read(body, 20.min(end - body) as usize)?, at, &name, walk),
        b"hdlr" => handler(&bytes.read(body, (end - body).min(MOST_TEXT) as usize)?, at, walk),
        b"dref" => references(&bytes.read(body, (end - body).min(MOST_TEXT) as usize)?, at, walk),
        b"stsd" => entries(bytes, body, end, depth, walk)?,
        b"udta" | b"meta" | b"ilst" | b"keys" => {
            let empty = &kind == b"udta"
                && (bytes.is_zero(body, end)?
                    || bytes.read(body, 64)?.starts_with(NO_TAGS) && end - body == NO_TAGS.len() as u64);
            if !empty {
                walk.object(Kind::ContainerTag, at, format!("a `{name}` box (tags)"));
            }
        }
        // In QuickTime's `wave`: the codec once more, and the end of the list.
        b"mp4a" | [0, 0, 0, 0] if depth > 0 && end - body <= 4 => {}
        b"tref" => walk.object(Kind::ContainerTrack, at, "a reference between tracks (chapters or timecode)"),
        _ => walk.object(Kind::ContainerPart, at, format!("a `{name}` box, which is not on the allow-list")),
    }
    Ok(())
}

/// Creation and modification times must be 0.
fn times(head: &[u8], at: u64, name: &str, walk: &mut Walk) {
    let stamps = if head.first() == Some(&1) { head.get(4..20) } else { head.get(4..12) };
    if stamps.is_none_or(|s| s.iter().any(|b| *b != 0)) {
        walk.object(Kind::ContainerTime, at, format!("a creation or modification time in `{name}`"));
    }
}

/// Colours as numbers; a profile of a device holds texts (ICC.1:2010, §9).
fn colour(kind: &[u8], at: u64, walk: &mut Walk) {
    if kind != b"nclx" && kind != b"nclc" {
        walk.object(Kind::ContainerPart, at, "a colour profile, which may name a device and a time");
    }
}

/// Handlers: picture and sound only, with neutral names.
fn handler(body: &[u8], at: u64, walk: &mut Walk) {
    let kind = body.get(8..12).unwrap_or_default();
    let is_data_handler = body.get(4..8) == Some(b"dhlr");
    if !is_data_handler {
        walk.track = match kind {
            b"vide" => Track::Picture,
            b"sbtl" => Track::Text,
            _ => Track::Other,
        };
    }
    match kind {
        b"vide" => walk.tracks[0] += 1,
        b"soun" => walk.tracks[1] += 1,
        b"url " | b"alis" if is_data_handler => {}
        _ => {
            let what = kind.escape_ascii().to_string();
            walk.other(at, kind == b"sbtl", format!("a track of type `{what}`"));
        }
    }
    if body.get(12..24).is_none_or(|v| v.iter().any(|b| *b != 0) && !v.starts_with(b"FFMP") && !v.starts_with(b"appl"))
    {
        walk.object(Kind::ContainerName, at, "a maker's mark in a handler");
    }
    let name = body.get(24..).unwrap_or_default();
    // QuickTime counts the letters first, MP4 ends with a zero.
    let name = match name.split_first() {
        Some((n, rest)) if usize::from(*n) == rest.len() => rest,
        _ => name,
    };
    if !is_neutral_name(&String::from_utf8_lossy(name)) {
        walk.object(Kind::ContainerName, at, "a handler's name that is not neutral");
    }
}

/// Data references must point into the file itself.
fn references(body: &[u8], at: u64, walk: &mut Walk) {
    let mut rest = body.get(8..).unwrap_or_default();
    while let Some(size) = rest.get(..4).map(|b| number(b) as usize) {
        let inside = rest.get(8..12).is_some_and(|f| f[3] & 1 == 1);
        if size != 12 || !inside {
            walk.object(Kind::ContainerPart, at, "a reference to another file");
            return;
        }
        rest = rest.get(size..).unwrap_or_default();
    }
}

/// Sample descriptions: neutral compressor names, known boxes behind the fixed part.
fn entries(bytes: &mut Bytes, body: u64, end: u64, depth: usize, walk: &mut Walk) -> Result<()> {
    let mut at = body + 8;
    while at < end {
        walk.count()?;
        let head = bytes.read(at, (end - at).min(86) as usize)?;
        let Some((_, _, next)) = header(&head, at, end) else {
            walk.object(Kind::ContainerDamaged, at, "a sample description that is no box");
            return Ok(());
        };
        let fixed = match walk.track {
            Track::Picture => picture(&head, at, walk),
            Track::Text => text(&head, at, walk),
            Track::Other => sound(&head),
        };
        match fixed {
            Some(fixed) if at + fixed <= next => level(bytes, at + fixed, next, depth + 1, walk)?,
            _ => walk.object(Kind::ContainerDamaged, at, "a sample description that is too short"),
        }
        at = next;
    }
    Ok(())
}

/// Length of a picture description's fixed part.
fn picture(head: &[u8], at: u64, walk: &mut Walk) -> Option<u64> {
    let name = head.get(50..82)?;
    let len = usize::from(name[0]).min(31);
    let text = String::from_utf8_lossy(&name[1..=len]);
    if !is_neutral_name(&text) {
        walk.object(Kind::ContainerName, at, "a compressor's name that is not neutral");
    }
    if name[len + 1..].iter().any(|b| *b != 0) {
        walk.object(Kind::ContainerHidden, at, "bytes behind a compressor's name");
    }
    Some(86)
}

/// Length of the fixed part of a description of timed text (3GPP TS 26.245, §5.16): one style, the same in all films.
fn text(head: &[u8], at: u64, walk: &mut Walk) -> Option<u64> {
    if head.get(4..8)? != b"tx3g" {
        walk.object(Kind::ContainerPart, at, "a text track of a kind that is never written");
    }
    let style = head.get(16..46)?;
    let numbers = [0, 1, 0xff, 18];
    if style.iter().any(|b| !numbers.contains(b)) {
        walk.object(Kind::ContainerHidden, at, "a style of text of its own");
    }
    Some(46)
}

/// Fonts of timed text: one, with a name that says nothing.
fn fonts(body: &[u8], at: u64, walk: &mut Walk) {
    if body != b"\0\x01\0\x01\x04Sans" {
        walk.object(Kind::ContainerName, at, "fonts of a text track");
    }
}

/// Length of a sound description's fixed part (QuickTime has three versions of it).
fn sound(head: &[u8]) -> Option<u64> {
    Some(match number(head.get(16..18)?) {
        1 => 52,
        2 => 72,
        _ => 36,
    })
}
