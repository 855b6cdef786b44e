//! Takes encoders' signatures out of packets and finished files.
//!
//! x264, x265 and LAME write their name, version and settings into what they encode. That is harmless by itself, but
//! an output is an allow-list: nothing stands in it that is not picture, sound or needed to play them.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Payload type "user data, unregistered" of supplemental information (H.264 D.1.7, H.265 D.2.7).
const USER_DATA_UNREGISTERED: u32 = 5;

/// Which coding a packet has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    H264,
    Hevc,
    Mp3,
    Other,
}

impl Coding {
    pub(super) fn of(encoder: &str) -> Self {
        match encoder {
            "libx264" => Coding::H264,
            "libx265" => Coding::Hevc,
            "libmp3lame" => Coding::Mp3,
            _ => Coding::Other,
        }
    }
}

/// The packet without signatures; `None` if there is nothing to take out.
pub(super) fn clean(coding: Coding, data: &[u8]) -> Option<Vec<u8>> {
    match coding {
        Coding::H264 => without_notes(data, |nal| nal.first().is_some_and(|b| b & 31 == 6) && is_note(&nal[1..])),
        Coding::Hevc => {
            without_notes(data, |nal| nal.len() > 2 && matches!(nal[0] >> 1 & 63, 39 | 40) && is_note(&nal[2..]))
        }
        Coding::Mp3 => without_lame(data),
        Coding::Other => None,
    }
}

/// Whether any message of this supplemental unit is unregistered user data.
fn is_note(mut body: &[u8]) -> bool {
    while body.len() > 2 {
        let mut number = || {
            let mut v = 0u32;
            while let Some((&b, rest)) = body.split_first() {
                body = rest;
                v = v.saturating_add(u32::from(b));
                if b != 255 {
                    break;
                }
            }
            v
        };
        let (kind, size) = (number(), number());
        if kind == USER_DATA_UNREGISTERED {
            return true;
        }
        body = body.get(size as usize..).unwrap_or(&[]);
    }
    false
}

/// Positions of the start codes (`00 00 01`) of a byte stream, each with the position of the unit behind it.
fn units(data: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut i = 0;
    while i + 3 <= data.len() {
        if data[i + 2] > 1 {
            i += 3;
        } else if data[i..i + 3] == [0, 0, 1] {
            let start = if i > 0 && data[i - 1] == 0 { i - 1 } else { i };
            found.push((start, i + 3));
            i += 3;
        } else {
            i += 1;
        }
    }
    found
}

fn without_notes(data: &[u8], is_note: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let units = units(data);
    let end = |k: usize| units.get(k + 1).map_or(data.len(), |u| u.0);
    let note = |k: usize| is_note(&data[units[k].1..end(k)]);
    if !(0..units.len()).any(note) {
        return None;
    }
    let mut out = Vec::with_capacity(data.len());
    for k in (0..units.len()).filter(|k| !note(*k)) {
        out.extend_from_slice(&data[units[k].0..end(k)]);
    }
    Some(out)
}

/// LAME fills unused bytes of a frame with its name; nothing reads them.
fn without_lame(data: &[u8]) -> Option<Vec<u8>> {
    const NAME: &[u8] = b"LAME3.";
    let mut out: Option<Vec<u8>> = None;
    let mut i = 4;
    while i + NAME.len() <= data.len() {
        if &data[i..i + NAME.len()] == NAME {
            let clean = out.get_or_insert_with(|| data.to_vec());
            let text = data[i..].iter().take_while(|b| b.is_ascii_graphic()).count();
            clean[i..i + text].fill(0);
            i += text;
        } else {
            i += 1;
        }
    }
    out
}

/// Takes the multiplexer's own marks out of a finished file.
pub(super) fn clean_file(path: &Path, muxer: &str) -> std::io::Result<()> {
    match muxer {
        "matroska" | "webm" => clean_matroska(path),
        "mpegts" => clean_transport(path),
        "mov" | "mp4" | "ipod" | "3gp" | "3g2" => clean_movie(path),
        _ => Ok(()),
    }
}

/// "MuxingApp" and "WritingApp" must stand in the file, but their text may be empty (zeros end a string, RFC 8794).
fn clean_matroska(path: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut head = vec![0; 4096];
    let n = read_up_to(&mut file, &mut head)?;
    for element in [[0x4d, 0x80, 0x84], [0x57, 0x41, 0x84]] {
        for at in 0..n.saturating_sub(7) {
            if head[at..at + 3] == element && &head[at + 3..at + 7] == b"Lavf" {
                file.seek(SeekFrom::Start(at as u64 + 3))?;
                file.write_all(&[0; 4])?;
            }
        }
    }
    Ok(())
}

/// Turns the packets of the service description table (PID 0x11), which name the multiplexer, into null packets.
fn clean_transport(path: &Path) -> std::io::Result<()> {
    const SIZE: usize = 188;
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut head = [0u8; 5];
    file.read_exact(&mut head)?;
    let (offset, stride) = if head[0] == 0x47 { (0usize, SIZE) } else { (4, SIZE + 4) };
    file.seek(SeekFrom::Start(0))?;
    let mut block = vec![0; stride * 4096];
    let mut base = 0u64;
    loop {
        let n = read_up_to(&mut file, &mut block)?;
        if n == 0 {
            return Ok(());
        }
        for (k, packet) in block[..n].chunks_exact_mut(stride).enumerate() {
            let p = &mut packet[offset..];
            if p[0] == 0x47 && u16::from_be_bytes([p[1] & 0x1f, p[2]]) == 0x11 {
                p[1..4].copy_from_slice(&[0x1f, 0xff, 0x10]);
                p[4..].fill(0xff);
                file.seek(SeekFrom::Start(base + (k * stride) as u64))?;
                file.write_all(packet)?;
            }
        }
        base += n as u64;
        file.seek(SeekFrom::Start(base))?;
    }
}

/// QuickTime sample descriptions name their vendor ("FFMP"); zero means "none". MP4 gets a box for tags even where there
/// are none (`udta`, naming the tag dialect); it becomes free space.
fn clean_movie(path: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut at = 0u64;
    loop {
        let mut head = [0u8; 16];
        file.seek(SeekFrom::Start(at))?;
        if read_up_to(&mut file, &mut head)? < 8 {
            return Ok(());
        }
        let size = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            0 => return Ok(()),
            1 => u64::from_be_bytes([head[8], head[9], head[10], head[11], head[12], head[13], head[14], head[15]]),
            n => u64::from(n),
        };
        if &head[4..8] == b"moov" && size < 1 << 28 {
            let mut moov = vec![0; size as usize];
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(&mut moov)?;
            for i in vendor_marks(&moov) {
                file.seek(SeekFrom::Start(at + i as u64))?;
                file.write_all(&[0; 4])?;
            }
            for (from, to) in tag_boxes(&moov) {
                file.seek(SeekFrom::Start(at + from as u64 + 4))?;
                file.write_all(b"free")?;
                file.write_all(&vec![0; to - from - 8])?;
            }
        }
        if size < 8 {
            return Ok(());
        }
        at = at.saturating_add(size);
    }
}

/// Places of "FFMP" inside a movie box.
fn vendor_marks(moov: &[u8]) -> Vec<usize> {
    moov.windows(4).enumerate().filter(|(_, w)| w == b"FFMP").map(|(i, _)| i).collect()
}

/// Places of the `udta` boxes directly inside a movie box.
fn tag_boxes(moov: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 8;
    while let Some(head) = moov.get(at..at + 8) {
        let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(end) = at.checked_add(size).filter(|end| size >= 8 && *end <= moov.len()) else { break };
        if &head[4..] == b"udta" {
            found.push((at, end));
        }
        at = end;
    }
    found
}

fn read_up_to(file: &mut File, buf: &mut [u8]) -> std::io::Result<usize> {
    let mut n = 0;
    while n < buf.len() {
        match file.read(&mut buf[n..])? {
            0 => break,
            k => n += k,
        }
    }
    Ok(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_for_tags_are_found_where_they_are() {
        let boxed = |kind: &[u8], body: &[u8]| [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat();
        let track = boxed(b"trak", b"udta no box");
        let moov = boxed(b"moov", &[track.clone(), boxed(b"udta", b"tag"), boxed(b"free", b"")].concat());
        let at = 8 + track.len();
        assert_eq!(tag_boxes(&moov), [(at, at + 11)]);
        assert_eq!(tag_boxes(&boxed(b"moov", b"\0\0\0\x07udta")), []);
        assert_eq!(tag_boxes(&boxed(b"moov", b"\xff\xff\xff\xffudta")), []);
        assert_eq!(tag_boxes(b"moov"), []);
    }

    #[test]
    fn notes_are_cut_and_pictures_kept() {
        let mut data = vec![0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 6, 5, 17];
        data.extend(b"0123456789abcdefX\x80");
        let picture = [0, 0, 1, 0x65, 9, 9, 0, 0, 3, 1];
        data.extend(picture);
        let mut wanted = vec![0, 0, 0, 1, 0x67, 1, 2];
        wanted.extend(picture);
        assert_eq!(clean(Coding::H264, &data), Some(wanted.clone()));
        assert_eq!(clean(Coding::H264, &wanted), None);
        // Recovery point (type 6) and timing (type 1) stay.
        assert_eq!(clean(Coding::H264, &[0, 0, 1, 6, 6, 1, 0x84, 0x80]), None);
        assert_eq!(clean(Coding::Hevc, &[0, 0, 1, 0x4e, 1, 5, 3, 1, 2, 3, 0x80]), Some(vec![]));
        assert_eq!(clean(Coding::H264, &[0, 0, 1]), None);
    }

    #[test]
    fn lame_is_cut() {
        let mut data = vec![0xff, 0xfb, 0x90, 0];
        data.extend(b"abLAME3.100UUU\0z");
        let out = clean(Coding::Mp3, &data).unwrap();
        assert_eq!(out.len(), data.len());
        assert_eq!(&out[4..], b"ab\0\0\0\0\0\0\0\0\0\0\0\0\0z");
        assert_eq!(clean(Coding::Mp3, &out), None);
    }
}
