//! What a film consists of, found by opening it and decoding its first picture and sound.

use super::ffi::{DISPOSITION_NO_FILM, FrameFacts, RawColor, StreamFacts, Tags};
use super::open::Opened;
use super::turn::Turn;
use super::video_reader::{DecodeOptions, VideoReader};
use super::{AudioReader, Limits};
use crate::audio::AudioFormat;
use crate::image::{ColorDesc, PixelLayout};
use crate::units::{TimeBase, Timestamp};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Colours of the display on which a film was graded (SMPTE ST 2086), as fractions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasteringDisplay {
    /// x, y of red, green, blue, white.
    pub chromaticity: [[(i32, i32); 2]; 4],
    /// Least and greatest luminance in cd/m².
    pub luminance: [(i32, i32); 2],
    /// Whether the chromaticities are given.
    pub has_primaries: bool,
    /// Whether the luminances are given.
    pub has_luminance: bool,
}

impl MasteringDisplay {
    /// Bytes of FFmpeg's own structure: ten fractions and two flags, 32 bits each.
    const WORDS: usize = 22;

    pub(super) fn from_bytes(b: &[u8]) -> Option<Self> {
        let words: Vec<i32> = b.chunks_exact(4).map(|c| i32::from_ne_bytes([c[0], c[1], c[2], c[3]])).collect();
        if words.len() < Self::WORDS {
            return None;
        }
        let pair = |i: usize| (words[2 * i], words[2 * i + 1]);
        let sane = (0..10).all(|i| pair(i).0 >= 0 && pair(i).1 > 0);
        sane.then(|| MasteringDisplay {
            chromaticity: [0, 1, 2, 3].map(|i| [pair(2 * i), pair(2 * i + 1)]),
            luminance: [pair(8), pair(9)],
            has_primaries: words[20] != 0,
            has_luminance: words[21] != 0,
        })
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let pairs = self.chromaticity.iter().flatten().chain(&self.luminance);
        let words = pairs.flat_map(|p| [p.0, p.1]);
        words.chain([self.has_primaries, self.has_luminance].map(i32::from)).flat_map(i32::to_ne_bytes).collect()
    }
}

/// Brightest pixel and brightest frame average of a film in cd/m² (CTA-861.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentLight {
    /// MaxCLL.
    pub max_content: u32,
    /// MaxFALL.
    pub max_frame_average: u32,
}

impl ContentLight {
    pub(super) fn from_bytes(b: &[u8]) -> Option<Self> {
        let word = |i: usize| b.get(4 * i..4 * i + 4).map(|c| u32::from_ne_bytes([c[0], c[1], c[2], c[3]]));
        Some(ContentLight { max_content: word(0)?, max_frame_average: word(1)? })
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        [self.max_content, self.max_frame_average].into_iter().flat_map(u32::to_ne_bytes).collect()
    }
}

/// The side data that high-dynamic-range films need to look right; the only side data ever written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HdrInfo {
    /// The grading display.
    pub mastering: Option<MasteringDisplay>,
    /// The light levels.
    pub light: Option<ContentLight>,
}

/// The video stream that is treated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VideoInfo {
    /// Number of the stream in its file.
    pub stream_index: usize,
    /// FFmpeg's name of the codec, as "h264".
    pub codec: String,
    /// FFmpeg's profile number; negative if unknown.
    pub profile: i32,
    /// Columns of the upright picture.
    pub width: usize,
    /// Rows of the upright picture.
    pub height: usize,
    /// Shape of the planes.
    pub layout: PixelLayout,
    /// Meaning of the samples.
    pub color: ColorDesc,
    /// Unit of all time stamps of frames.
    pub time_base: TimeBase,
    /// Time of the first picture.
    pub start: Timestamp,
    /// Pictures per second on average, as a fraction.
    pub frame_rate: (u32, u32),
    /// Pictures per second on average.
    pub avg_frame_rate: f64,
    /// The lowest rate that has a tick at every picture, as FFmpeg guesses it; equals `frame_rate` at constant rate.
    pub base_frame_rate: (u32, u32),
    /// Width to height of one pixel of the upright picture.
    pub sample_aspect: (u32, u32),
    /// Degrees clockwise by which the stored picture was turned to be upright: 0, 90, 180, 270.
    pub rotation_degrees: u16,
    /// Whether the stored picture was also mirrored.
    pub mirrored: bool,
    /// Coded as two fields.
    pub interlaced: bool,
    /// If interlaced: the top field comes first.
    pub top_field_first: bool,
    /// Bits per second, 0 if unknown.
    pub bit_rate: u64,
    /// Pictures by the container's own count, if it has one.
    pub frame_count_hint: Option<u64>,
    /// High-dynamic-range data.
    pub hdr: HdrInfo,
}

/// A sound stream that is treated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioInfo {
    /// Number of the stream in its file.
    pub stream_index: usize,
    /// FFmpeg's name of the codec, as "aac".
    pub codec: String,
    /// Rate and channels.
    pub format: AudioFormat,
    /// Time of the first sample on the file's own clock, in seconds.
    pub start_secs: f64,
    /// Bits per second, 0 if unknown.
    pub bit_rate: u64,
    /// Bits per sample of the source, 0 for lossy codecs.
    pub bits: u32,
    /// Source samples are floating-point numbers in a lossless codec.
    pub float: bool,
}

/// A stream that will not be in the output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedStream {
    /// Number of the stream in its file.
    pub stream_index: usize,
    /// "subtitle", "data", "attachment", "video", "audio" or "unknown".
    pub kind: String,
    /// FFmpeg's name of the codec.
    pub codec: String,
    /// Why it is dropped.
    pub reason: String,
}

/// What a film consists of.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// FFmpeg's name of the container, as "mov,mp4,m4a,3gp,3g2,mj2".
    pub container: String,
    /// Seconds by the container's account.
    pub duration_secs: Option<f64>,
    /// The film.
    pub video: VideoInfo,
    /// Every sound stream that can be decoded.
    pub audio: Vec<AudioInfo>,
    /// Every other stream.
    pub dropped: Vec<DroppedStream>,
    /// Whether there are chapters (they are dropped).
    pub has_chapters: bool,
    /// Every tag value of container, streams, chapters and programmes, sorted; for a search in the output's bytes.
    pub metadata_values: Vec<String>,
}

/// Looks at a film: streams, sizes, colours, rates, tags.
///
/// # Errors
/// `Input` if it is no readable film with at least one picture, `Unsupported` for pictures that cannot be handled,
/// `Limit` past the limits, `Io` if the system refuses to read it.
pub fn probe(path: &Path, limits: &Limits) -> Result<Probe> {
    let film = VideoReader::open(path, limits, DecodeOptions { threads: 1, salvage: true })?;
    let video = film.info().clone();
    let opened = film.opened();
    let mut audio = Vec::new();
    let mut dropped = Vec::new();
    for s in &opened.streams {
        let reason = match s.kind {
            "video" if s.index == video.stream_index => continue,
            "video" if s.disposition & DISPOSITION_NO_FILM != 0 => "a still picture".into(),
            "video" => "only the first video stream is treated".into(),
            "audio" => match AudioReader::open(path, s.index, limits, true) {
                Ok(sound) => {
                    audio.push(sound.info().clone());
                    continue;
                }
                Err(e @ (Error::Limit(_) | Error::Io { .. })) => return Err(e),
                Err(_) => "its sound cannot be decoded".into(),
            },
            _ => "only picture and sound are kept".to_string(),
        };
        dropped.push(DroppedStream { stream_index: s.index, kind: s.kind.into(), codec: s.codec.clone(), reason });
    }
    Ok(Probe {
        container: opened.format.clone(),
        duration_secs: opened.input.duration(),
        video,
        audio,
        dropped,
        has_chapters: !opened.input.chapters().is_empty(),
        metadata_values: metadata_values(opened),
    })
}

fn metadata_values(opened: &Opened) -> Vec<String> {
    let mut all: Vec<Tags> = vec![opened.input.tags()];
    all.extend(opened.streams.iter().map(|s| s.tags.clone()));
    all.extend(opened.input.chapters());
    all.extend(opened.input.programs());
    let mut values: Vec<String> = all.into_iter().flatten().map(|(_, v)| v).filter(|v| !v.trim().is_empty()).collect();
    values.sort();
    values.dedup();
    values
}

/// The stream that is the film: the first video stream that is no cover picture.
///
/// # Errors
/// `Input` if there is none, `Unsupported` if nothing can decode it.
pub(super) fn film_stream(opened: &Opened) -> Result<&StreamFacts> {
    let film = opened.streams.iter().find(|s| s.kind == "video" && s.disposition & DISPOSITION_NO_FILM == 0);
    let film = film.ok_or_else(|| Error::Input("there is no video stream in this file; give a film".into()))?;
    if !film.has_decoder {
        return Err(Error::Unsupported(format!(
            "no decoder for video of type {} in this FFmpeg; convert the film to H.264 first",
            film.codec
        )));
    }
    Ok(film)
}

/// The turn that the stream asks for.
pub(super) fn turn_of(s: &StreamFacts) -> Result<Turn> {
    let Some((_, bytes)) = s.side_data.iter().find(|d| d.0 == "Display Matrix") else { return Ok(Turn::default()) };
    let mut matrix = [0i32; 9];
    for (m, c) in matrix.iter_mut().zip(bytes.chunks_exact(4)) {
        *m = i32::from_ne_bytes([c[0], c[1], c[2], c[3]]);
    }
    Turn::from_matrix(&matrix).ok_or_else(|| {
        Error::Unsupported("the film asks to be shown at a slant; bake the rotation in with an editor first".into())
    })
}

/// A frame rate that an encoder can use; `None` for rubbish.
fn rate_of(r: (i32, i32)) -> Option<(u32, u32)> {
    let (num, den) = (u32::try_from(r.0).ok()?, u32::try_from(r.1).ok()?);
    let fps = f64::from(num) / f64::from(den);
    (num > 0 && den > 0 && (0.001..=1000.0).contains(&fps)).then_some((num, den))
}

fn byte(v: i32, fallback: i32, unset: &[i32], default: u8) -> u8 {
    let pick = if unset.contains(&v) { fallback } else { v };
    u8::try_from(pick).ok().filter(|p| !unset.contains(&i32::from(*p))).unwrap_or(default)
}

/// Colour of a frame, with what it leaves open taken from its stream.
pub(super) fn color_of(frame: RawColor, stream: RawColor, full_by_format: bool, rgb: bool) -> ColorDesc {
    let range = if frame.range == 0 { stream.range } else { frame.range };
    ColorDesc {
        matrix: if rgb { 0 } else { byte(frame.matrix, stream.matrix, &[0, 2], 2) },
        primaries: byte(frame.primaries, stream.primaries, &[0, 2], 2),
        transfer: byte(frame.transfer, stream.transfer, &[0, 2], 2),
        full_range: if full_by_format || rgb {
            Some(true)
        } else {
            [None, Some(false), Some(true)].get(range as usize).copied().flatten()
        },
        chroma_location: byte(frame.location, stream.location, &[0], 0),
    }
}

fn aspect_of(frame: (i32, i32), stream: (i32, i32), transpose: bool) -> (u32, u32) {
    let valid = |a: (i32, i32)| (a.0 > 0 && a.1 > 0).then_some((a.0 as u32, a.1 as u32));
    let (w, h) = valid(stream).or(valid(frame)).unwrap_or((1, 1));
    if transpose { (h, w) } else { (w, h) }
}

/// FFmpeg's profile number; for ProRes by the code in the container, where FFmpeg does not say.
fn profile_of(s: &StreamFacts) -> i32 {
    const PRORES: [&[u8; 4]; 6] = [b"apco", b"apcs", b"apcn", b"apch", b"ap4h", b"ap4x"];
    let by_code = PRORES.iter().position(|c| **c == s.tag).map(|i| i as i32);
    if s.codec == "prores" { by_code.unwrap_or(s.profile) } else { s.profile }
}

/// Describes the film from its stream and its first picture.
pub(super) fn video_info(
    s: &StreamFacts,
    first: &FrameFacts,
    layout: PixelLayout,
    full_by_format: bool,
    turn: Turn,
    file_bit_rate: i64,
) -> Result<VideoInfo> {
    let time_base = TimeBase::new(s.time_base.0.into(), s.time_base.1.into())
        .ok_or_else(|| Error::Input("the film has no usable time base; repair it with a remultiplexer first".into()))?;
    let frame_rate = rate_of(s.avg_frame_rate).or(rate_of(s.base_frame_rate)).unwrap_or((25, 1));
    let rgb = layout.model == crate::image::ColorModel::Gbr;
    let mut color = color_of(first.color, s.color, full_by_format, rgb);
    color.chroma_location = turn.chroma_location(color.chroma_location);
    let interlaced = (s.field_order > 1 || first.interlaced) && !turn.transpose;
    let top = if first.interlaced { first.top_field_first } else { matches!(s.field_order, 2 | 5) };
    let (width, height) = if turn.transpose { (first.height, first.width) } else { (first.width, first.height) };
    let side = |name: &str| s.side_data.iter().find(|d| d.0 == name).map(|d| d.1.as_slice());
    Ok(VideoInfo {
        stream_index: s.index,
        codec: s.codec.clone(),
        profile: profile_of(s),
        width,
        height,
        layout: turn.layout(layout),
        color,
        time_base,
        start: Timestamp(first.pts.or(s.start).unwrap_or(0)),
        frame_rate,
        avg_frame_rate: f64::from(frame_rate.0) / f64::from(frame_rate.1),
        base_frame_rate: rate_of(s.base_frame_rate).unwrap_or(frame_rate),
        sample_aspect: aspect_of(first.sample_aspect, s.sample_aspect, turn.transpose),
        rotation_degrees: turn.degrees(),
        mirrored: turn.transpose != (turn.flip_x != turn.flip_y),
        interlaced,
        top_field_first: interlaced && (top != (turn.flip_y && first.height.is_multiple_of(2))),
        bit_rate: u64::try_from(if s.bit_rate > 0 { s.bit_rate } else { file_bit_rate }).unwrap_or(0),
        frame_count_hint: u64::try_from(s.frame_count).ok().filter(|n| *n > 0),
        hdr: HdrInfo {
            mastering: side("Mastering display metadata").and_then(MasteringDisplay::from_bytes),
            light: side("Content light level metadata").and_then(ContentLight::from_bytes),
        },
    })
}
