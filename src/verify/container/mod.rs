//! A reader of our own for the containers that we write: every box or element must be on an allow-list.
//!
//! It shares no code with the writer and knows no codec, so what FFmpeg would not show (a `udta` atom, a creation
//! time, a filled `free` box, a vendor's `uuid`) is seen all the same.

mod boxes;
mod ebml;

use crate::verify::kinds::Kind;
use crate::{Error, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Boxes or elements read before a file is refused. A film of ten hours has some 100 000 Matroska blocks per hour.
const MOST_PARTS: u64 = 20_000_000;
/// Depth of nesting before a file is refused.
const DEEPEST: usize = 16;
/// Objections listed; a file with more is no less refused.
const MOST_OBJECTIONS: usize = 200;

/// Something in the file that is not on the allow-list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Objection {
    /// Kind for machines, as `container.tag`.
    pub kind: Kind,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// What it is. Never the text found.
    pub what: String,
}

/// What the walk saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Walk {
    /// `mp4`, `mov`, `matroska`, or empty for a container this reader does not know.
    pub container: &'static str,
    /// Boxes or elements seen.
    pub parts: u64,
    /// Text tracks that may be there.
    texts: usize,
    /// Tracks by type: video, audio, other (text among them).
    pub tracks: [usize; 3],
    /// What does not belong there.
    pub objections: Vec<Objection>,
    /// What the track being read holds (MP4 only).
    track: Track,
    /// Bytes of media in the file, and how many of them tracks claim (MP4 only).
    media: Media,
}

/// Kind of a track.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Track {
    Picture,
    Text,
    #[default]
    Other,
}

/// What stands in a file for players, and what they are told to read of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Media {
    /// Bytes there.
    bytes: u64,
    /// Bytes of all samples of all tracks.
    claimed: u64,
    /// Tracks do not say it in a way that can be summed.
    unknown: bool,
}

impl Walk {
    fn object(&mut self, kind: Kind, offset: u64, what: impl Into<String>) {
        if self.objections.len() < MOST_OBJECTIONS {
            self.objections.push(Objection { kind, offset, what: what.into() });
        }
    }

    /// Notes a track that is neither picture nor sound; a text track is allowed as often as the cast orders.
    fn other(&mut self, offset: u64, text: bool, what: String) {
        self.tracks[2] += 1;
        if text && self.texts > 0 {
            self.texts -= 1;
        } else {
            self.object(Kind::ContainerTrack, offset, what);
        }
    }

    fn count(&mut self) -> Result<()> {
        self.parts += 1;
        if self.parts > MOST_PARTS {
            return Err(Error::Limit(format!("the output has more than {MOST_PARTS} parts: it cannot be checked")));
        }
        Ok(())
    }
}

/// Reads the structure of a file, which may have as many tracks of text as `texts`.
///
/// # Errors
/// `Io` if it cannot be read, `Limit` if it has too many parts. Damage is an objection, not an error.
pub(crate) fn walk(path: &Path, texts: usize) -> Result<Walk> {
    let io = |e| Error::io("cannot read the output", path, e);
    let file = File::open(path).map_err(io)?;
    let end = file.metadata().map_err(io)?.len();
    let mut bytes = Bytes { file: std::io::BufReader::with_capacity(1 << 16, file), at: 0, path };
    let head = bytes.read(0, 12.min(end) as usize)?;
    let mut walk = Walk { texts, ..Walk::default() };
    if head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) {
        walk.container = "matroska";
        ebml::walk(&mut bytes, end, &mut walk)?;
    } else if head.get(4..8) == Some(b"ftyp") {
        walk.container = if head.get(8..12) == Some(b"qt  ") { "mov" } else { "mp4" };
        boxes::walk(&mut bytes, end, &mut walk)?;
    } else {
        walk.object(
            Kind::ContainerUnknown,
            0,
            "a container that this reader does not know: its parts cannot be checked",
        );
    }
    Ok(walk)
}

/// Positioned reads.
struct Bytes<'a> {
    file: std::io::BufReader<File>,
    at: u64,
    path: &'a Path,
}

impl Bytes<'_> {
    /// Up to `len` bytes at `offset`; fewer at the end of the file.
    fn read(&mut self, offset: u64, len: usize) -> Result<Vec<u8>> {
        let io = |e| Error::io("cannot read the output", self.path, e);
        let step = i64::try_from(offset).unwrap_or(i64::MAX) - i64::try_from(self.at).unwrap_or(i64::MAX);
        if self.file.seek_relative(step).is_err() {
            self.file.seek(SeekFrom::Start(offset)).map_err(io)?;
        }
        let mut out = Vec::with_capacity(len.min(1 << 16));
        self.file.by_ref().take(len as u64).read_to_end(&mut out).map_err(io)?;
        self.at = offset + out.len() as u64;
        Ok(out)
    }

    /// Whether all bytes of a range are zero.
    fn is_zero(&mut self, from: u64, to: u64) -> Result<bool> {
        let mut at = from;
        while at < to {
            let piece = self.read(at, (to - at).min(1 << 16) as usize)?;
            if piece.is_empty() || piece.iter().any(|b| *b != 0) {
                return Ok(piece.is_empty());
            }
            at += piece.len() as u64;
        }
        Ok(true)
    }
}

/// Big-endian number of up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |n, b| n << 8 | u64::from(*b))
}

/// Names that muxers give to handlers, compressors and applications, and that say nothing about a film or its maker.
fn is_neutral_name(name: &str) -> bool {
    const NAMES: [&str; 15] = [
        "",
        "VideoHandler",
        "SoundHandler",
        "DataHandler",
        "Lavf",
        "Lavc",
        "H.264",
        "HEVC",
        "Apple ProRes 422 HQ",
        "Apple ProRes 422",
        "Apple ProRes 4444",
        "Apple ProRes 422 (HQ)",
        "DNxHD",
        "DNxHR",
        "understudy",
    ];
    NAMES.contains(&name.trim_matches(['\0', ' ']))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut out = ((body.len() + 8) as u32).to_be_bytes().to_vec();
        out.extend(kind);
        out.extend(body);
        out
    }

    fn walk_bytes(data: &[u8]) -> Walk {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, data).unwrap();
        walk(&path, 0).unwrap()
    }

    fn trak(handler: &[u8; 4], name: &str, created: u32) -> Vec<u8> {
        let mut tkhd = vec![0; 4];
        tkhd.extend(created.to_be_bytes());
        tkhd.resize(84, 0);
        let mut hdlr = vec![0; 8];
        hdlr.extend(handler);
        hdlr.extend([0; 12]);
        hdlr.extend(name.as_bytes());
        hdlr.push(0);
        // One picture of the length of what stands in `mdat`.
        let sizes = [&[0; 4][..], &[0; 4], &[0, 0, 0, 1], &[0, 0, 0, if handler == b"vide" { 14 } else { 0 }]].concat();
        let minf = boxed(b"minf", &boxed(b"stbl", &boxed(b"stsz", &sizes)));
        let mdia = [boxed(b"mdhd", &[0; 24]), boxed(b"hdlr", &hdlr), minf].concat();
        boxed(b"trak", &[boxed(b"tkhd", &tkhd), boxed(b"mdia", &mdia)].concat())
    }

    fn film(extra_in_moov: &[u8], extra: &[u8], handler: &str, created: u32) -> Vec<u8> {
        let moov = [
            boxed(b"mvhd", &[0; 100]),
            trak(b"vide", handler, created),
            trak(b"soun", "SoundHandler", 0),
            extra_in_moov.to_vec(),
        ]
        .concat();
        let ftyp = boxed(b"ftyp", b"isom\0\0\x02\0isomiso2");
        [ftyp, boxed(b"moov", &moov), extra.to_vec(), boxed(b"mdat", b"coded pictures")].concat()
    }

    #[test]
    fn a_plain_film_has_nothing_to_object_to() {
        let colours = boxed(b"colr", b"nclx\0\x01\0\x01\0\x01\0");
        let w = walk_bytes(&film(&colours, &boxed(b"free", &[0; 40]), "VideoHandler", 0));
        assert_eq!((w.container, w.tracks, w.objections.len()), ("mp4", [1, 1, 0], 0), "{:?}", w.objections);
    }

    #[test]
    fn hidden_things_are_found() {
        let udta = boxed(b"udta", &boxed(b"\xa9xyz", b"\0\x12\0\0+48.8584+002.2945/"));
        let padded = |text: &str| format!("{text}{}48.8584 N", "\0".repeat(5000));
        let refs = [&[0u8; 7][..], b"\x01\0\0\0\x0curl \0\0\0\x01", &[0; 5000], b"48.8584 N"].concat();
        let cases: [(Vec<u8>, &str); 15] = [
            (film(&[], &boxed(b"mdat", b"a voice of a track that is gone"), "VideoHandler", 0), "container.hidden"),
            (film(&[], &[], &padded("VideoHandler"), 0), "container.hidden"),
            (film(&boxed(b"dref", &refs), &[], "VideoHandler", 0), "container.hidden"),
            (film(&boxed(b"pasp", b"a secret of some length"), &[], "VideoHandler", 0), "container.hidden"),
            (film(&boxed(b"tkhd", &[0; 200]), &[], "VideoHandler", 0), "container.hidden"),
            (film(&boxed(b"colr", b"profacspAPPL"), &[], "VideoHandler", 0), "container.part"),
            (film(&boxed(b"colr", b""), &[], "VideoHandler", 0), "container.part"),
            (film(&udta, &[], "VideoHandler", 0), "container.tag"),
            (film(&[], &boxed(b"uuid", b"0123456789abcdefXMP"), "VideoHandler", 0), "container.part"),
            (film(&[], &boxed(b"free", b"hidden"), "VideoHandler", 0), "container.hidden"),
            (film(&[], &[], "Core Media Video", 0), "container.name"),
            (film(&[], &[], "VideoHandler", 0xd8a1_2345), "container.time"),
            (film(&trak(b"tmcd", "", 0), &[], "VideoHandler", 0), "container.track"),
            (film(&boxed(b"meta", &[0; 4]), &[], "VideoHandler", 0), "container.tag"),
            (film(&[], b"\0\0\0\x04junk", "VideoHandler", 0), "container.damaged"),
        ];
        for (data, kind) in cases {
            let w = walk_bytes(&data);
            assert!(w.objections.iter().any(|o| o.kind.word() == kind), "{kind}: {:?}", w.objections);
            assert!(w.objections.iter().all(|o| !o.what.contains("48.85")), "values are not repeated");
        }
        assert_eq!(walk_bytes(b"RIFF....AVI LIST").objections[0].kind, Kind::ContainerUnknown);
        assert_eq!(walk_bytes(b"").objections[0].kind, Kind::ContainerUnknown);
    }

    #[test]
    fn any_damage_ends_without_a_crash() {
        let good = film(&[], &boxed(b"free", &[0; 9]), "VideoHandler", 0);
        for i in 0..good.len() {
            for v in [0, 1, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[i] = v;
                walk_bytes(&bad[..]);
            }
            walk_bytes(&good[..i]);
        }
    }
}
