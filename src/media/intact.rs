//! Whether a file is as long as its own outermost structure says.
//!
//! Demuxers tolerate a file that was cut off; for footage that is to be disguised, a silent loss of the end is a
//! fault that the user must hear about. Only lengths are read here: ISO/IEC 14496-12 boxes, EBML (RFC 8794) and
//! RIFF chunks.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Most top-level boxes that are walked; fragmented films have two per fragment.
const MAX_BOXES: usize = 1_000_000;

struct Boxes {
    end: u64,
    movie: bool,
    iso: bool,
}

fn bytes<const N: usize>(file: &mut File, at: u64) -> Option<[u8; N]> {
    let mut b = [0; N];
    file.seek(SeekFrom::Start(at)).ok()?;
    file.read_exact(&mut b).ok()?;
    Some(b)
}

fn walk_boxes(file: &mut File, len: u64) -> Option<Boxes> {
    let mut found = Boxes { end: 0, movie: false, iso: false };
    for n in 0..MAX_BOXES {
        let Some(head) = bytes::<8>(file, found.end) else { break };
        let kind: [u8; 4] = [head[4], head[5], head[6], head[7]];
        if n == 0 {
            found.iso = matches!(&kind, b"ftyp" | b"moov" | b"mdat" | b"wide" | b"free" | b"skip" | b"pnot" | b"styp");
            if !found.iso {
                return None;
            }
        }
        found.movie |= &kind == b"moov" || &kind == b"moof";
        let size = match u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]])) {
            0 => len.saturating_sub(found.end),
            1 => u64::from_be_bytes(bytes::<8>(file, found.end + 8)?),
            n => n,
        };
        if size < 8 || !kind.iter().all(|c| c.is_ascii_graphic() || *c == b' ' || *c == 0xa9) {
            break; // rubbish after the last box says nothing about the end
        }
        found.end = found.end.saturating_add(size);
        if found.end >= len {
            break;
        }
    }
    Some(found)
}

/// An EBML variable-length number: value and bytes used; `None` for "unknown".
fn vint(b: &[u8], keep_marker: bool) -> Option<(u64, usize)> {
    let first = *b.first()?;
    let n = first.leading_zeros() as usize + 1;
    if n > 8 || b.len() < n {
        return None;
    }
    let head = if keep_marker { u64::from(first) } else { u64::from(first) & ((1u64 << (8 - n)) - 1) };
    let v = b[1..n].iter().fold(head, |v, c| v << 8 | u64::from(*c));
    (keep_marker || v != (1u64 << (7 * n)) - 1).then_some((v, n))
}

fn segment_end(file: &mut File) -> Option<u64> {
    let mut at = 0u64;
    for _ in 0..8 {
        let mut b = [0u8; 12];
        file.seek(SeekFrom::Start(at)).ok()?;
        file.read_exact(&mut b).ok()?;
        let (id, n) = vint(&b, true)?;
        let (size, m) = vint(&b[n..], false)?;
        let body = at.checked_add((n + m) as u64)?;
        if id == 0x1853_8067 {
            return body.checked_add(size);
        }
        at = body.checked_add(size)?;
    }
    None
}

/// How many bytes the file lacks by its own account; 0 if it is whole or does not say.
pub(super) fn missing_bytes(path: &Path) -> u64 {
    let declared = || -> Option<(u64, u64)> {
        let mut file = File::open(path).ok()?;
        let len = file.metadata().ok()?.len();
        let head = bytes::<12>(&mut file, 0)?;
        let end = if head[..4] == [0x1a, 0x45, 0xdf, 0xa3] {
            segment_end(&mut file)?
        } else if &head[..4] == b"RIFF" {
            8 + u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]))
        } else {
            walk_boxes(&mut file, len)?.end
        };
        Some((end, len))
    };
    declared().map_or(0, |(end, len)| end.saturating_sub(len))
}

/// Whether this is an mp4 or mov file whose index is not in it.
pub(super) fn lacks_index(path: &Path) -> bool {
    let look = || -> Option<bool> {
        let mut file = File::open(path).ok()?;
        let len = file.metadata().ok()?.len();
        let boxes = walk_boxes(&mut file, len)?;
        Some(boxes.iso && !boxes.movie)
    };
    look().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let f = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(f.path(), bytes).unwrap();
        f
    }

    #[test]
    fn boxes_tell_what_is_missing() {
        let mut b = vec![0, 0, 0, 16];
        b.extend(b"ftypisom\0\0\0\0");
        b.extend([0, 0, 0, 100]);
        b.extend(b"mdat1234");
        let f = file(&b);
        assert_eq!(missing_bytes(f.path()), 100 - 12);
        assert!(lacks_index(f.path()));
        assert_eq!(missing_bytes(file(b"hello, this is text").path()), 0);
        assert_eq!(missing_bytes(file(b"").path()), 0);
    }

    #[test]
    fn segments_tell_what_is_missing() {
        let mut b = vec![0x1a, 0x45, 0xdf, 0xa3, 0x82, 1, 2, 0x18, 0x53, 0x80, 0x67, 0x40, 0x64];
        b.extend([0; 40]);
        assert_eq!(missing_bytes(file(&b).path()), 60);
        b[11] = 0x7f;
        b[12] = 0xff; // unknown size, as live recordings have
        assert_eq!(missing_bytes(file(&b).path()), 0);
    }
}
