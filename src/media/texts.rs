//! Text streams of a film as packets. What they mean is for [`crate::subtitles`] to say.

use super::Limits;
use super::ffi::{AvError, Packet, rescale};
use super::open::open;
use crate::subtitles::{MOST_BYTES, TextCodec, TextPacket};
use crate::{Error, Result};
use std::path::Path;

/// Most text streams, and packets of all of them together.
const MOST: (usize, usize) = (32, 200_000);

/// One text stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextStream {
    /// Number of the stream in its file.
    pub stream_index: usize,
    /// FFmpeg's name of the codec.
    pub codec: String,
    /// What it is, if it is text that can be read; drawn text cannot.
    pub kind: Option<TextCodec>,
    /// What stands at its head.
    pub header: Vec<u8>,
    /// Its packets, if it can be read.
    pub packets: Vec<TextPacket>,
}

/// Reads all subtitle streams of a film. With `salvage` a film that breaks off gives what it has.
///
/// # Errors
/// As [`super::probe`](super::probe()); `Limit` for more text than any film has.
pub fn read_texts(path: &Path, limits: &Limits, salvage: bool) -> Result<Vec<TextStream>> {
    let mut opened = open(path, limits)?;
    let subtitles = opened.streams.iter().filter(|s| s.kind == "subtitle");
    let mut streams: Vec<(TextStream, (i64, i64))> = subtitles
        .map(|s| {
            let base = (i64::from(s.time_base.0.max(1)), i64::from(s.time_base.1.max(1)));
            let (codec, header) = (s.codec.clone(), s.text_header.clone());
            let kind = TextCodec::named(&codec);
            (TextStream { stream_index: s.index, codec, kind, header, packets: vec![] }, base)
        })
        .collect();
    if streams.len() > MOST.0 {
        let message = format!("the film has more than {} subtitle streams; remove the surplus first", MOST.0);
        return Err(Error::Limit(message));
    }
    let wanted: Vec<usize> = streams.iter().filter(|s| s.0.kind.is_some()).map(|s| s.0.stream_index).collect();
    if wanted.is_empty() {
        return Ok(streams.into_iter().map(|s| s.0).collect());
    }
    opened.input.select_only(&wanted);
    let fail = |e: AvError| Error::Input(format!("the film cannot be read: {}: {}", e.text(), path.display()));
    let mut packet = Packet::new().map_err(fail)?;
    let (mut bytes, mut count) = (0usize, 0usize);
    loop {
        match opened.input.read(&mut packet) {
            Ok(true) => {}
            Ok(false) => break,
            Err(_broken) if salvage => break,
            Err(e) => return Err(fail(e)),
        }
        let wanted = |s: &TextStream| s.stream_index == packet.stream() && s.kind.is_some();
        let Some((stream, base)) = streams.iter_mut().find(|s| wanted(&s.0)) else { continue };
        (bytes, count) = (bytes.saturating_add(packet.data().len()), count + 1);
        if bytes > MOST_BYTES || count > MOST.1 {
            return Err(Error::Limit("the film has more text than any film has; remove its subtitle streams".into()));
        }
        let Some(pts) = packet.pts().or(packet.dts()) else {
            return Err(Error::Input(format!("subtitle stream {} has a text without a time", stream.stream_index)));
        };
        stream.packets.push(TextPacket {
            start_ms: rescale(pts, *base, (1, 1000)),
            length_ms: rescale(packet.duration().max(0), *base, (1, 1000)),
            bytes: packet.data().to_vec(),
            more: packet.has_more(),
        });
    }
    Ok(streams.into_iter().map(|s| s.0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Frame;
    use crate::media::tests::{YUV420, info, spec};
    use crate::media::{OutputSpec, Preset, VideoInfo, Writer, check_text_container, raw_streams};
    use crate::subtitles::{Aliases, ClearedText, Cue};
    use crate::treat::ClearedFrame;
    use crate::units::{FrameIndex, Timestamp};

    /// A film of grey frames, 25 a second from tick `start` of 1/12800 s on, with texts.
    fn film(path: &Path, start: i64, frames: i64, texts: Vec<ClearedText>) {
        let video = VideoInfo { start: Timestamp(start), ..info(64, 48, YUV420) };
        let color = video.color;
        let spec = OutputSpec { texts, ..spec(path, Preset::Match, video, vec![]) };
        let mut w = Writer::create(&spec).unwrap();
        for n in 0..frames {
            let frame = Frame::black(64, 48, YUV420, color);
            w.write_video(&ClearedFrame::for_test(frame, FrameIndex(n as u64), Timestamp(start + n * 512))).unwrap();
        }
        w.finish().unwrap();
    }

    fn cue(start_ms: u64, end_ms: u64, line: &str) -> Cue {
        Cue { start_ms, end_ms, lines: line.lines().map(str::to_owned).collect() }
    }

    fn clear(cues: &[Cue]) -> ClearedText {
        Aliases::new([("Anna", "Witness 1")]).unwrap().clear(cues).unwrap().0
    }

    fn read_back(path: &Path) -> Vec<(TextStream, Vec<Cue>)> {
        let streams = read_texts(path, &Limits::default(), false).unwrap();
        streams.into_iter().map(|s| (s.clone(), s.kind.unwrap().unpack(&s.packets).unwrap())).collect()
    }

    #[test]
    fn texts_come_back_from_every_container_that_takes_them() {
        let dir = tempfile::tempdir().unwrap();
        let first = [
            cue(400, 1400, "I am Anna\n& nobody else"),
            cue(2000, 2500, "Ž – 王"),
            cue(3000, 4400, "The end"),
            cue(4500, 5000, "No picture"),
        ];
        let second = [cue(0, 1000, "One"), cue(1000, 2000, "Two")];
        let expected = [cue(400, 1400, "I am Witness 1\n& nobody else"), first[1].clone(), first[2].clone()];
        for (ext, codec) in [("mkv", "subrip"), ("mp4", "mov_text"), ("mov", "mov_text"), ("webm", "webvtt")] {
            let path = dir.path().join(format!("x.{ext}"));
            check_text_container(Preset::Match, ext).unwrap();
            film(&path, 0, 100, vec![clear(&first), clear(&second)]);
            let back = read_back(&path);
            assert_eq!(back.len(), 2, "{ext}");
            for ((stream, cues), want) in back.iter().zip([&expected[..], &second]) {
                assert_eq!((stream.codec.as_str(), &cues[..]), (codec, want), "{ext}");
                assert!(stream.kind.unwrap().is_header(&stream.header), "{ext}");
                assert!(stream.packets.iter().all(|p| !p.more), "{ext}");
            }
            let listed = raw_streams(&path, &Limits::default()).unwrap();
            assert_eq!(listed.streams.iter().filter(|s| s.kind == "subtitle").count(), 2, "{ext}");
            for s in listed.streams.iter().filter(|s| s.kind == "subtitle") {
                let told: Vec<_> = s.tags.iter().filter(|(k, _)| !k.eq_ignore_ascii_case("duration")).collect();
                let neutral = |v: &str| ["", "und", "eng"].contains(&v);
                let plain = s.dispositions.iter().all(|d| d == "default");
                assert!(told.iter().all(|(_, v)| neutral(v)) && plain, "{ext}: {s:?}");
            }
            let walk = crate::verify::walk_for_test(&path, 2);
            assert!(walk.is_empty(), "{ext}: {walk:?}");
            assert!(!crate::verify::walk_for_test(&path, 1).is_empty(), "{ext}: one text too many");
        }
        for ext in ["avi", "ts", "mpg", "gif"] {
            assert_eq!(check_text_container(Preset::Match, ext).unwrap_err().exit_code(), 2, "{ext}");
        }
    }

    #[test]
    fn texts_of_a_film_that_starts_late_move_with_it() {
        let dir = tempfile::tempdir().unwrap();
        for ext in ["mkv", "mp4"] {
            let path = dir.path().join(format!("late.{ext}"));
            // Ten seconds late: everything is moved to zero, texts of before are gone.
            film(&path, 128_000, 50, vec![clear(&[cue(2000, 3000, "Before"), cue(10_400, 11_000, "Within")])]);
            let back = read_back(&path);
            assert_eq!(back[0].1, [cue(400, 1000, "Within")], "{ext}");
        }
    }

    #[test]
    fn overlaps_stay_in_matroska_and_stand_together_in_mp4() {
        let dir = tempfile::tempdir().unwrap();
        let both = [cue(0, 2000, "- Yes"), cue(1000, 3000, "- No")];
        film(&dir.path().join("x.mkv"), 0, 100, vec![clear(&both)]);
        assert_eq!(read_back(&dir.path().join("x.mkv"))[0].1, both);
        film(&dir.path().join("x.mp4"), 0, 100, vec![clear(&both)]);
        let flat = [cue(0, 1000, "- Yes"), cue(1000, 2000, "- Yes\n- No"), cue(2000, 3000, "- No")];
        assert_eq!(read_back(&dir.path().join("x.mp4"))[0].1, flat);
    }
}
