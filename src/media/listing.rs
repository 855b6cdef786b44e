//! Everything that a file carries, read afresh for checking an output against the allow-list.

use super::Limits;
use super::ffi::{AvFrame, Packet, Step, disposition_names};
use super::open::open;
use super::probe::film_stream;
use super::video_reader::{DecodeOptions, VideoReader};
use crate::{Error, Result};
use std::path::Path;

/// Decoded frames per stream whose side data and tags are looked at.
const LOOK_AT_FRAMES: usize = 5;

/// One stream of a file, whatever its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamListing {
    /// Number of the stream.
    pub index: usize,
    /// "video", "audio", "subtitle", "data", "attachment" or "unknown".
    pub kind: &'static str,
    /// FFmpeg's name of the codec.
    pub codec: String,
    /// Names of the dispositions that are set.
    pub dispositions: Vec<String>,
    /// Tags of the stream.
    pub tags: Vec<(String, String)>,
    /// Names of the side data of the stream.
    pub side_data: Vec<String>,
    /// Names of the side data of its first frames, sorted.
    pub frame_side_data: Vec<String>,
    /// Tags of its first frames.
    pub frame_tags: Vec<(String, String)>,
}

/// Everything that a file carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileListing {
    /// FFmpeg's name of the container.
    pub container: String,
    /// Tags of the container.
    pub tags: Vec<(String, String)>,
    /// All streams.
    pub streams: Vec<StreamListing>,
    /// Tags of each chapter.
    pub chapters: Vec<Vec<(String, String)>>,
    /// Tags of each programme.
    pub programs: Vec<Vec<(String, String)>>,
}

/// Lists all streams, tags, side data, chapters and programmes of a file.
///
/// # Errors
/// As [`super::probe`](super::probe()), but a file without video is no error.
pub fn raw_streams(path: &Path, limits: &Limits) -> Result<FileListing> {
    let mut opened = open(path, limits)?;
    let mut streams: Vec<StreamListing> = opened
        .streams
        .iter()
        .map(|s| StreamListing {
            index: s.index,
            kind: s.kind,
            codec: s.codec.clone(),
            dispositions: disposition_names(s.disposition),
            tags: s.tags.clone(),
            side_data: s.side_data.iter().map(|d| d.0.clone()).collect(),
            frame_side_data: Vec::new(),
            frame_tags: Vec::new(),
        })
        .collect();
    let fail =
        |e: super::ffi::AvError| Error::Input(format!("the file cannot be read: {}: {}", e.text(), path.display()));
    let mut packet = Packet::new().map_err(fail)?;
    let mut frame = AvFrame::new().map_err(fail)?;
    let mut decoders: Vec<_> = opened
        .streams
        .iter()
        .map(|s| {
            matches!(s.kind, "video" | "audio")
                .then(|| opened.input.decoder(s.index, 1, limits.max_pixels).ok())
                .flatten()
        })
        .collect();
    let mut seen = vec![0; streams.len()];
    while opened.input.read(&mut packet).unwrap_or(false) {
        let i = packet.stream();
        let Some(Some(decoder)) = decoders.get_mut(i) else { continue };
        // What cannot be decoded carries no frame; whether the file decodes is checked elsewhere.
        if decoder.send(Some(&packet)).is_err() {
            continue;
        }
        while seen[i] < LOOK_AT_FRAMES && decoder.receive(&mut frame) == Ok(Step::Ready) {
            seen[i] += 1;
            let (names, tags) = frame.extras();
            streams[i].frame_side_data.extend(names);
            streams[i].frame_tags.extend(tags);
        }
        if seen[i] >= LOOK_AT_FRAMES {
            decoders[i] = None;
        }
        if decoders.iter().all(Option::is_none) {
            break;
        }
    }
    for s in &mut streams {
        s.frame_side_data.sort();
        s.frame_side_data.dedup();
    }
    Ok(FileListing {
        container: opened.format.clone(),
        tags: opened.input.tags(),
        streams,
        chapters: opened.input.chapters(),
        programs: opened.input.programs(),
    })
}

/// Presentation times in seconds of all pictures of the film, rising. Taken from the packets where every packet
/// has one, else by decoding.
///
/// # Errors
/// As [`VideoReader`].
pub fn read_all_video_times(path: &Path, limits: &Limits) -> Result<Vec<f64>> {
    let mut opened = open(path, limits)?;
    let film = film_stream(&opened)?.clone();
    opened.input.select(film.index);
    let fail =
        |e: super::ffi::AvError| Error::Input(format!("the film cannot be read: {}: {}", e.text(), path.display()));
    let mut packet = Packet::new().map_err(fail)?;
    let mut times = Vec::new();
    let mut whole = !opened.elementary && matches!(film.codec.as_str(), "h264" | "hevc" | "prores" | "ffv1" | "mpeg4");
    while whole && opened.input.read(&mut packet).map_err(fail)? {
        if packet.stream() == film.index && !packet.is_discarded() {
            match packet.pts() {
                Some(pts) => times.push(pts as f64 * f64::from(film.time_base.0) / f64::from(film.time_base.1)),
                None => whole = false,
            }
        }
    }
    if whole && !times.is_empty() {
        times.sort_by(f64::total_cmp);
        return Ok(times);
    }
    let mut film = VideoReader::open(path, limits, DecodeOptions { threads: 2, salvage: true })?;
    let mut times = Vec::new();
    while let Some(raw) = film.next()? {
        times.push(film.info().time_base.seconds(raw.pts));
    }
    Ok(times)
}
