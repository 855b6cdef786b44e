//! Matroska elements (RFC 8794 for the coding, RFC 9559 for the numbers).

use super::{Bytes, DEEPEST, Walk, is_neutral_name, number};
use crate::Result;
use crate::verify::kinds::Kind;

/// Elements that hold elements: Segment, SeekHead, Seek, Info, Tracks, TrackEntry, Video, Colour, MasteringMetadata,
/// Audio, Cluster, BlockGroup, Cues, CuePoint, CueTrackPositions, EBML, BlockAdditionMapping-free by intent.
const FOLDERS: [u32; 16] = [
    0x1853_8067,
    0x114D_9B74,
    0x4DBB,
    0x1549_A966,
    0x1654_AE6B,
    0xAE,
    0xE0,
    0x55B0,
    0x55D0,
    0xE1,
    0x1F43_B675,
    0xA0,
    0x1C53_BB6B,
    0xBB,
    0xB7,
    0x1A45_DFA3,
];

/// Elements that hold numbers, codec names and coded data.
const PLAIN: [u32; 70] = [
    // EBML head: versions, lengths, document type
    0x4286, 0x42F7, 0x42F2, 0x42F3, 0x4282, 0x4287, 0x4285, // SeekID, SeekPosition
    0x53AB, 0x53AC, // TimestampScale, Duration
    0x2A_D7B1, 0x4489, // TrackNumber, TrackUID, flags, DefaultDuration, codec, delays
    0xD7, 0x73C5, 0xB9, 0x88, 0x55AA, 0x9C, 0x23_E383, 0x86, 0x63A2, 0x56AA, 0x56BB, 0x55EE, 0x6DE7, 0x6DF8,
    0x23_314F, // Video: sizes, crops, interlacing, colour
    0xB0, 0xBA, 0x54BA, 0x54B0, 0x54B2, 0x54AA, 0x54BB, 0x54CC, 0x54DD, 0x9A, 0x9D, 0x53B8, 0x2E_B524, 0x55B1, 0x55B2,
    0x55B3, 0x55B4, 0x55B7, 0x55B8, 0x55B9, 0x55BA, 0x55BB, 0x55BC, 0x55BD, // MasteringMetadata
    0x55D1, 0x55D2, 0x55D3, 0x55D4, 0x55D5, 0x55D6, 0x55D7, 0x55D8, 0x55D9,
    0x55DA, // Audio: rate, output rate, channels, depth
    0xB5, 0x78B5, 0x9F, 0x6264, // Cluster and blocks: Timestamp, Position, PrevSize, SimpleBlock, Block, Duration
    0xE7, 0xA7, 0xAB, 0xA3, 0xA1, 0x9B,
];
/// More of them: ReferenceBlock, DiscardPadding, CueTime, CueTrack, CueClusterPosition, CueRelativePosition,
/// CueDuration, CueBlockNumber, FlagLacing's kin, MinCache, CRC-32.
const MORE: [u32; 10] = [0xFB, 0x75A2, 0xB3, 0xF7, 0xF1, 0xF0, 0xB2, 0x5378, 0x6DE7, 0xBF];

const VOID: u32 = 0xEC;
const MUXING_APP: u32 = 0x4D80;
const WRITING_APP: u32 = 0x5741;
const TRACK_TYPE: u32 = 0x83;
const LANGUAGES: [u32; 3] = [0x0022_B59C, 0x0022_B59D, 0x447A];
const TAGS: u32 = 0x1254_C367;
const TAG_PARTS: [u32; 6] = [0x7373, 0x63C0, 0x67C8, 0x68CA, 0x63C5, 0x4484];
const TAG_NAME: u32 = 0x45A3;
const TAG_STRING: u32 = 0x4487;
const DOC_TYPE: u32 = 0x4282;
const CODEC_ID: u32 = 0x86;
/// Coded data of any length: CodecPrivate, SimpleBlock, Block.
const CODED: [u32; 3] = [0x63A2, 0xA3, 0xA1];
/// Most bytes of a number, and of a text.
const MOST_NUMBER: u64 = 8;
const MOST_TEXT: u64 = 256;

/// Reads all elements of a file.
pub(super) fn walk(bytes: &mut Bytes, end: u64, walk: &mut Walk) -> Result<()> {
    level(bytes, 0, end, 0, walk)
}

fn level(bytes: &mut Bytes, from: u64, end: u64, depth: usize, walk: &mut Walk) -> Result<()> {
    let mut at = from;
    while at < end {
        walk.count()?;
        let head = bytes.read(at, (end - at).min(12) as usize)?;
        let Some((id, body, next)) = header(&head, at, end) else {
            walk.object(Kind::ContainerDamaged, at, "bytes that are no element");
            return Ok(());
        };
        one(bytes, id, at, body, next, depth, walk)?;
        at = next;
    }
    Ok(())
}

/// Number, start of the body, and end of an element. An unknown size reaches to the end of its parent.
fn header(head: &[u8], at: u64, end: u64) -> Option<(u32, u64, u64)> {
    let first = *head.first()?;
    let id_len = first.leading_zeros() as usize + 1;
    if id_len > 4 {
        return None;
    }
    let id = number(head.get(..id_len)?) as u32;
    let lead = *head.get(id_len)?;
    let size_len = lead.leading_zeros() as usize + 1;
    if size_len > 8 {
        return None;
    }
    let mask = (1u64 << (7 * size_len)) - 1;
    let size = number(head.get(id_len..id_len + size_len)?) & mask;
    let body = at + (id_len + size_len) as u64;
    let next = if size == mask { end } else { body.checked_add(size)? };
    (next <= end).then_some((id, body, next))
}

fn one(bytes: &mut Bytes, id: u32, at: u64, body: u64, end: u64, depth: usize, walk: &mut Walk) -> Result<()> {
    let text = |bytes: &mut Bytes| -> Result<String> {
        let raw = bytes.read(body, (end - body).min(MOST_TEXT) as usize)?;
        Ok(String::from_utf8_lossy(&raw).trim_matches(['\0', ' ']).to_owned())
    };
    let texts = [MUXING_APP, WRITING_APP, TAG_NAME, TAG_STRING, DOC_TYPE, CODEC_ID];
    if (texts.contains(&id) || LANGUAGES.contains(&id)) && end - body > MOST_TEXT {
        walk.object(Kind::ContainerHidden, at, "a text longer than any that belongs there");
    }
    match id {
        DOC_TYPE if !["matroska", "webm"].contains(&text(bytes)?.as_str()) => {
            walk.object(Kind::ContainerName, at, "a document type that is not known");
        }
        CODEC_ID
            if !text(bytes)?.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"_/.".contains(&b)) =>
        {
            walk.object(Kind::ContainerName, at, "a codec's name that is none");
        }
        DOC_TYPE | CODEC_ID => {}
        _ if FOLDERS.contains(&id) || id == TAGS || TAG_PARTS[..3].contains(&id) => {
            if depth >= DEEPEST {
                walk.object(Kind::ContainerDamaged, at, "elements nested too deeply");
                return Ok(());
            }
            level(bytes, body, end, depth + 1, walk)?;
        }
        _ if PLAIN.contains(&id) || MORE.contains(&id) || TAG_PARTS[3..].contains(&id) => {
            if !CODED.contains(&id) && end - body > MOST_NUMBER {
                walk.object(Kind::ContainerHidden, at, "a number longer than numbers are");
            }
        }
        VOID => {
            if !bytes.is_zero(body, end)? {
                walk.object(Kind::ContainerHidden, at, "an empty element that is not empty");
            }
        }
        MUXING_APP | WRITING_APP => {
            if !is_neutral_name(&text(bytes)?) {
                walk.object(Kind::ContainerName, at, "a version of the program that wrote the file");
            }
        }
        TRACK_TYPE => match text(bytes)?.as_bytes() {
            [1] => walk.tracks[0] += 1,
            [2] => walk.tracks[1] += 1,
            kind => {
                walk.other(at, kind == [17], "a track that is neither picture nor sound".into());
            }
        },
        _ if LANGUAGES.contains(&id) => {
            if !["und", "eng"].contains(&text(bytes)?.as_str()) {
                walk.object(Kind::ContainerLanguage, at, "a language of a track");
            }
        }
        TAG_NAME => {
            if text(bytes)? != "DURATION" {
                walk.object(Kind::ContainerTag, at, "a tag");
            }
        }
        TAG_STRING => {
            if text(bytes)?.bytes().any(|b| !b.is_ascii_digit() && b != b':' && b != b'.') {
                walk.object(Kind::ContainerTag, at, "a tag that is no duration");
            }
        }
        0x1043_A770 => walk.object(Kind::ContainerChapters, at, "chapters"),
        0x1941_A469 => walk.object(Kind::ContainerAttachment, at, "attached files"),
        0x4461 => walk.object(Kind::ContainerTime, at, "the date of writing"),
        0x7BA9 | 0x536E => walk.object(Kind::ContainerTag, at, "a title or a track's name"),
        _ => walk.object(Kind::ContainerPart, at, format!("element {id:X}, which is not on the allow-list")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Walk, walk as walk_file};

    fn element(id: u32, body: &[u8]) -> Vec<u8> {
        let mut out: Vec<u8> = id.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect();
        out.push(0x08);
        out.extend(&(body.len() as u32).to_be_bytes());
        out.extend(body);
        out
    }

    fn film(extra: &[u8]) -> Walk {
        let track = element(0xAE, &[element(0xD7, &[1]), element(0x83, &[1]), element(0x86, b"V_FFV1")].concat());
        let info = element(0x1549_A966, &element(0x4D80, b"Lavf"));
        let cluster = element(0x1F43_B675, &element(0xA3, b"\x81\0\0\0picture"));
        let tags = element(0x1254_C367, &element(0x7373, &element(0x67C8, &element(0x45A3, b"DURATION"))));
        let segment = [info, element(0x1654_AE6B, &track), extra.to_vec(), cluster, tags].concat();
        let data = [element(0x1A45_DFA3, &element(0x4282, b"matroska")), element(0x1853_8067, &segment)].concat();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, &data).unwrap();
        let walk = walk_file(&path, 0).unwrap();
        for i in 0..data.len() {
            for v in [0, 1, 0x7f, 0xff] {
                let mut bad = data.clone();
                bad[i] = v;
                std::fs::write(&path, &bad).unwrap();
                walk_file(&path, 1).unwrap();
            }
        }
        walk
    }

    #[test]
    fn a_plain_film_passes_and_extras_do_not() {
        let plain = film(&[]);
        assert_eq!((plain.container, plain.tracks, plain.objections.len()), ("matroska", [1, 0, 0], 0), "{plain:?}");
        let long = |text: &[u8], secret: &[u8]| [text, &[0; 300], secret].concat();
        let tag = |id, body: &[u8]| element(0x1254_C367, &element(0x7373, &element(0x63C0, &element(id, body))));
        let duration = element(0x4487, &long(b"00:00:01.0", b"48.8584 N"));
        let track = |id, body: &[u8]| element(0x1654_AE6B, &element(0xAE, &element(id, body)));
        let cases: [(Vec<u8>, &str); 13] = [
            (element(0x1549_A966, &element(0x4D80, &long(b"Lavf", b"48.8584 N"))), "container.hidden"),
            (element(0x1254_C367, &element(0x7373, &element(0x67C8, &duration))), "container.hidden"),
            (element(0x1549_A966, &element(0x4489, b"a secret of some length")), "container.hidden"),
            (tag(0x63CA, b"Anna"), "container.part"),
            (tag(0x447A, b"fas"), "container.language"),
            (track(0x86, b"from anna"), "container.name"),
            (element(0x1A45_DFA3, &element(0x4282, b"anna")), "container.name"),
            (element(0x1043_A770, b""), "container.chapters"),
            (element(0x1941_A469, b""), "container.attachment"),
            (element(0x1549_A966, &element(0x4461, &[1; 8])), "container.time"),
            (element(0x1549_A966, &element(0x5741, b"Lavf59.27.100")), "container.name"),
            (element(0xEC, b"hidden"), "container.hidden"),
            (element(0x1654_AE6B, &element(0xAE, &element(0x83, &[17]))), "container.track"),
        ];
        for (extra, kind) in cases {
            let w = film(&extra);
            assert!(w.objections.iter().any(|o| o.kind.word() == kind), "{kind}: {:?}", w.objections);
        }
    }
}
