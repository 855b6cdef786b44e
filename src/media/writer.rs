//! Encodes and multiplexes cleared pictures and cleared sound, and nothing else.

use super::convert::{Converter, raw_color};
use super::ffi::{
    AvError, AvFrame, Encoder, Output, Packet, Resampler, SampleFmt, SoundShape, Step, VideoShape, rescale,
};
use super::preset::{
    AudioChoice, Container, EncoderOverrides, Preset, VideoChoice, audio_choice, audio_encoders, converted_color,
    find_container, video_choice, video_encoders,
};
use super::probe::{AudioInfo, VideoInfo};
use super::scrub::{self, Coding};
use super::sound;
use crate::subtitles::{ClearedText, Cue, TextCodec};
use crate::treat::ClearedFrame;
use crate::voice::ClearedAudio;
use crate::{Error, Result};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// Samples per block for encoders that take any number.
const ANY_BLOCK: usize = 4096;
/// Time stamps kept behind the newest coded picture; more than any encoder looks back.
const KEPT_TIMES: usize = 512;
/// A film that starts later than this is moved to zero: players would show nothing until then. Smaller offsets are
/// part of how streams are aligned and stay.
const LATE_START_SECS: f64 = 0.25;

/// What to write and how.
#[derive(Debug, Clone)]
pub struct OutputSpec {
    /// The part file to write.
    pub path: PathBuf,
    /// Extension of the final file, which decides the container.
    pub container_ext: String,
    /// What the output is for.
    pub preset: Preset,
    /// The film as read.
    pub video: VideoInfo,
    /// The sound streams that will be written, in this order.
    pub audio: Vec<AudioInfo>,
    /// The texts that will be written, a stream for each, on the film's own clock.
    pub texts: Vec<ClearedText>,
    /// Encoder threads, 1..=64.
    pub threads: usize,
    /// Settings that replace the preset's own.
    pub overrides: EncoderOverrides,
}

/// Times of pictures by their number.
#[derive(Default)]
struct Times {
    first: i64,
    list: VecDeque<(i64, i64)>,
}

impl Times {
    fn push(&mut self, pts: i64, duration: i64) {
        self.list.push_back((pts, duration));
    }

    /// Time and duration of picture `n`; numbers before the first go back in steps of `step`.
    fn at(&self, n: i64, step: i64) -> (i64, i64) {
        let k = n - self.first;
        match usize::try_from(k) {
            Ok(k) => self.list.get(k).or(self.list.back()).copied().unwrap_or((0, step)),
            Err(_) => {
                let start = self.list.front().map_or(0, |t| t.0);
                (start.saturating_add(k.saturating_mul(step)), step)
            }
        }
    }

    fn forget_before(&mut self, n: i64) {
        while self.first + (KEPT_TIMES as i64) < n && self.list.len() > 1 {
            self.list.pop_front();
            self.first += 1;
        }
    }
}

struct VideoLane {
    encoder: Encoder,
    converter: Converter,
    stream: usize,
    coding: Coding,
    time_base: (i64, i64),
    out_base: (i64, i64),
    shift: i64,
    step: i64,
    times: Times,
    count: i64,
    last_dts: Option<i64>,
    /// Fewest bytes of a coded picture; zeros fill it up.
    least_bytes: usize,
}

/// Bytes of a pack of an MPEG program stream. Of pictures that begin in one pack only the first keeps its time, so each
/// is made as long as a pack (zero bytes after a NAL unit mean nothing: ITU-T H.264, B.1.2).
const PACK_BYTES: usize = 2048;

struct AudioLane {
    encoder: Encoder,
    stream: usize,
    coding: Coding,
    format: SampleFmt,
    channels: usize,
    rate: i64,
    out_base: (i64, i64),
    resampler: Option<Resampler>,
    expected: u64,
    skip: usize,
    buffer: Vec<Vec<f32>>,
    block: usize,
    next_pts: i64,
    pts_offset: i64,
    /// Earliest time of a packet.
    no_less_than: Option<i64>,
    last_dts: Option<i64>,
}

/// Seconds that texts are written ahead of the pictures.
const TEXT_AHEAD_SECS: f64 = 0.5;

/// A text stream on its way.
struct TextLane {
    stream: usize,
    codec: TextCodec,
    out_base: (i64, i64),
    /// Times on the output's clock.
    waiting: VecDeque<Cue>,
    last_dts: Option<i64>,
}

/// Writes one film.
///
/// Pictures must come in presentation order, sound per stream in order. Pictures and sound may be given in any
/// interleaving, but what runs more than about ten seconds ahead is held in memory or stored out of order, so keep
/// them together. Dropping a writer without [`Writer::finish`] leaves an unusable part file.
pub struct Writer {
    output: Output,
    path: PathBuf,
    muxer: &'static str,
    video: VideoLane,
    audio: Vec<AudioLane>,
    texts: Vec<TextLane>,
    packet: Packet,
    notes: Vec<String>,
    shift_secs: f64,
}

fn write_error(path: &Path, e: AvError) -> Error {
    if e.is_disk_full() {
        Error::Output(format!("the disk is full; free some space or write elsewhere: {}", path.display()))
    } else {
        Error::Output(format!("the output cannot be written ({}): {}", e.text(), path.display()))
    }
}

fn encode_error(e: AvError) -> Error {
    Error::Output(format!("the encoder failed: {}; try another preset or output extension", e.text()))
}

impl Writer {
    /// Chooses codecs, opens the encoders and creates the part file.
    ///
    /// # Errors
    /// `Usage` if the container cannot hold what is asked, `Unsupported` if no encoder takes the pictures or the
    /// sound, `Io` or `Output` if the file cannot be created.
    pub fn create(spec: &OutputSpec) -> Result<Self> {
        super::init();
        let container = find_container(spec.preset, &spec.container_ext)?;
        if !spec.audio.is_empty() && container.audio.is_empty() {
            return Err(Error::Usage(format!(
                ".{} cannot hold sound; name the output .mkv or .mp4, or drop the sound",
                spec.container_ext
            )));
        }
        let file = private_file(&spec.path)?;
        drop(file);
        let muxer = container.muxer;
        let mut output = Output::create(&spec.path, muxer).map_err(|e| write_error(&spec.path, e))?;
        let global = output.wants_global_headers();
        let mut notes = Vec::new();
        let earliest = earliest_start(spec);
        let shift_secs = match earliest {
            _ if container.from_zero => spec.video.time_base.seconds(spec.video.start),
            late if late >= LATE_START_SECS => late,
            _ => 0.0,
        };
        let mut video = open_video(spec, container, global, &mut notes)?;
        let base = stream_base(spec, container);
        let stream = output.add(&video.0.encoder, base, video.1.tag).map_err(|e| write_error(&spec.path, e))?;
        video.0.stream = stream;
        video.0.shift = spec.video.time_base.tick(shift_secs).0;
        let hdr = spec.video.hdr;
        let sides = [(true, hdr.mastering.map(|m| m.to_bytes())), (false, hdr.light.map(|l| l.to_bytes()))];
        for (mastering, data) in sides {
            if let Some(data) = data.filter(|_| container.muxer != "avi") {
                output.add_hdr(stream, mastering, &data).map_err(|e| write_error(&spec.path, e))?;
            }
        }
        let mut audio = Vec::new();
        for info in &spec.audio {
            let mut lane = open_audio(spec, info, container, global, shift_secs, &mut notes)?;
            let rate = lane.rate.clamp(1, i64::from(u32::MAX)) as u32;
            lane.stream = output.add(&lane.encoder, (1, rate), None).map_err(|e| write_error(&spec.path, e))?;
            audio.push(lane);
        }
        let mut texts = open_texts(spec, muxer, shift_secs, &mut output, &mut notes)?;
        output.header(&mux_options(muxer, base.1)).map_err(|e| write_error(&spec.path, e))?;
        let wide = |t: (i32, i32)| (i64::from(t.0), i64::from(t.1));
        video.0.out_base = wide(output.time_base(stream));
        for lane in &mut audio {
            lane.out_base = wide(output.time_base(lane.stream));
        }
        for lane in &mut texts {
            lane.out_base = wide(output.time_base(lane.stream));
        }
        let packet = Packet::new().map_err(encode_error)?;
        Ok(Writer { output, path: spec.path.clone(), muxer, video: video.0, audio, texts, packet, notes, shift_secs })
    }

    /// Codecs that were chosen, and what had to be changed, as "h264 yuv420p + aac; note: …".
    #[must_use]
    pub fn describe(&self) -> String {
        self.notes.join("; ")
    }

    /// Seconds that all time stamps were moved back, because the film started late or the container counts from zero;
    /// usually 0.
    #[must_use]
    pub fn time_shift_secs(&self) -> f64 {
        self.shift_secs
    }

    /// Encodes the next picture.
    ///
    /// # Errors
    /// `Output` if the encoder or the disk fails, or the pictures are out of order.
    pub fn write_video(&mut self, cleared: &ClearedFrame) -> Result<()> {
        let lane = &mut self.video;
        let pts = cleared.pts().0;
        if lane.times.list.back().is_some_and(|last| pts <= last.0) {
            return Err(Error::Output("pictures reached the writer out of order".into()));
        }
        let picture = lane.converter.picture(cleared.frame(), lane.count)?;
        lane.times.push(pts, cleared.duration().filter(|d| *d > 0).unwrap_or(lane.step));
        lane.count += 1;
        lane.encoder.send(Some(&picture)).map_err(encode_error)?;
        let now = rescale(pts.saturating_sub(lane.shift), lane.time_base, (1, 1000)) as f64 / 1000.0;
        self.drain_video()?;
        self.write_texts(now + TEXT_AHEAD_SECS)
    }

    /// Writes the texts that begin before `until` (seconds on the output's clock).
    fn write_texts(&mut self, until: f64) -> Result<()> {
        let ticks = |ms: u64, base: (i64, i64)| rescale(i64::try_from(ms).unwrap_or(i64::MAX), (1, 1000), base);
        for lane in &mut self.texts {
            while let Some(cue) = lane.waiting.front().filter(|c| (c.start_ms as f64) < until * 1000.0) {
                // What was over before the first picture has no time left.
                if cue.end_ms > cue.start_ms {
                    let (from, to) = (ticks(cue.start_ms, lane.out_base), ticks(cue.end_ms, lane.out_base));
                    let (pts, dts) = rising(from, from, &mut lane.last_dts);
                    let mut packet = Packet::new().map_err(encode_error)?;
                    packet.replace(&lane.codec.pack(cue)).map_err(encode_error)?;
                    packet.place(lane.stream, pts, dts, (to - pts).max(1));
                    self.output.write(&mut packet).map_err(|e| write_error(&self.path, e))?;
                }
                lane.waiting.pop_front();
            }
        }
        Ok(())
    }

    fn drain_video(&mut self) -> Result<()> {
        let lane = &mut self.video;
        while lane.encoder.receive(&mut self.packet).map_err(encode_error)? == Step::Ready {
            let number = self.packet.pts().unwrap_or(lane.count - 1);
            let behind = self.packet.dts().unwrap_or(number).min(number);
            let (pts, duration) = lane.times.at(number, lane.step);
            let (dts, _) = lane.times.at(behind, lane.step);
            let out = |t: i64| rescale(t.saturating_sub(lane.shift), lane.time_base, lane.out_base);
            let (pts, dts) = rising(out(pts), out(dts), &mut lane.last_dts);
            let duration = rescale(duration, lane.time_base, lane.out_base).max(1);
            lane.times.forget_before(behind);
            if let Some(clean) = scrub::clean(lane.coding, self.packet.data()) {
                self.packet.replace(&clean).map_err(encode_error)?;
            }
            if self.packet.data().len() < lane.least_bytes {
                let mut long = self.packet.data().to_vec();
                long.resize(lane.least_bytes, 0);
                self.packet.replace(&long).map_err(encode_error)?;
            }
            self.packet.place(lane.stream, pts, dts, duration);
            self.output.write(&mut self.packet).map_err(|e| write_error(&self.path, e))?;
        }
        Ok(())
    }

    /// Encodes the next samples of the sound stream `stream` (its place in [`OutputSpec::audio`]).
    ///
    /// # Errors
    /// `Output` if the encoder or the disk fails, or the samples overlap what was written.
    pub fn write_audio(&mut self, stream: usize, cleared: &ClearedAudio) -> Result<()> {
        let lane =
            self.audio.get_mut(stream).ok_or_else(|| Error::Output("no such sound stream in the output".into()))?;
        if cleared.channels().len() != lane.channels || cleared.start() < lane.expected {
            return Err(Error::Output("sound reached the writer out of order or with other channels".into()));
        }
        let mut gap = cleared.start() - lane.expected;
        lane.expected = cleared.start().saturating_add(cleared.len() as u64);
        while gap > 0 {
            let n = gap.min(ANY_BLOCK as u64);
            gap -= n;
            self.audio[stream].push(&vec![vec![0.0; n as usize]; cleared.channels().len()])?;
            self.encode_audio(stream, false)?;
        }
        self.audio[stream].push(cleared.channels())?;
        self.encode_audio(stream, false)
    }

    fn encode_audio(&mut self, stream: usize, last: bool) -> Result<()> {
        while let Some(block) = self.audio[stream].take_block(last)? {
            self.audio[stream].encoder.send(Some(&block)).map_err(encode_error)?;
            self.drain_audio(stream)?;
        }
        Ok(())
    }

    fn drain_audio(&mut self, stream: usize) -> Result<()> {
        let lane = &mut self.audio[stream];
        while lane.encoder.receive(&mut self.packet).map_err(encode_error)? == Step::Ready {
            let base = (1, lane.rate);
            let pts = self.packet.pts().unwrap_or(lane.next_pts).saturating_add(lane.pts_offset);
            let pts = rescale(pts, base, lane.out_base).max(lane.no_less_than.unwrap_or(i64::MIN));
            let (pts, dts) = rising(pts, pts, &mut lane.last_dts);
            let duration = rescale(self.packet.duration(), base, lane.out_base);
            if let Some(clean) = scrub::clean(lane.coding, self.packet.data()) {
                self.packet.replace(&clean).map_err(encode_error)?;
            }
            self.packet.place(lane.stream, pts, dts, duration);
            self.output.write(&mut self.packet).map_err(|e| write_error(&self.path, e))?;
        }
        Ok(())
    }

    /// Drains the encoders, completes the file and makes sure that it is on the disk.
    ///
    /// # Errors
    /// `Output` or `Io` if the disk fails; the part file is then unusable.
    pub fn finish(mut self) -> Result<()> {
        self.video.encoder.send(None).map_err(encode_error)?;
        self.drain_video()?;
        let lane = &self.video;
        let last = lane.times.list.back().map_or(0, |t| t.0.saturating_add(t.1).saturating_sub(lane.shift));
        let end = rescale(last, lane.time_base, (1, 1000)) as f64 / 1000.0;
        // What would begin after the last picture is left out.
        self.write_texts(end)?;
        for stream in 0..self.audio.len() {
            self.audio[stream].drain_resampler()?;
            self.encode_audio(stream, true)?;
            self.audio[stream].encoder.send(None).map_err(encode_error)?;
            self.drain_audio(stream)?;
        }
        let Writer { output, path, muxer, .. } = self;
        output.finish().map_err(|e| write_error(&path, e))?;
        scrub::clean_file(&path, muxer).map_err(|e| Error::io("cannot complete the output", &path, e))?;
        let file = std::fs::OpenOptions::new().append(true).open(&path);
        file.and_then(|f| f.sync_all()).map_err(|e| Error::io("cannot store the output", &path, e))
    }
}

/// Makes decoding times strictly rise and presentation not come before decoding.
fn rising(pts: i64, dts: i64, last: &mut Option<i64>) -> (i64, i64) {
    let dts = last.map_or(dts, |l| dts.max(l.saturating_add(1)));
    *last = Some(dts);
    (pts.max(dts), dts)
}

/// Creates the part file, readable by its owner only.
fn private_file(path: &Path) -> Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let open = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    open.map_err(|e| Error::io("cannot create the output; choose a folder that you can write to", path, e))
}

fn earliest_start(spec: &OutputSpec) -> f64 {
    let video = spec.video.time_base.seconds(spec.video.start);
    spec.audio.iter().map(|a| a.start_secs).fold(video, f64::min)
}

/// Multiplexer settings that keep everything but the streams out.
fn mux_options(muxer: &str, ticks: u32) -> Vec<(&'static str, String)> {
    let pairs: &[(&str, &str)] = match muxer {
        "mp4" | "mov" => &[("movflags", "+faststart+write_colr"), ("write_tmcd", "0"), ("empty_hdlr_name", "1")],
        "matroska" | "webm" => &[("write_crc32", "0")],
        "mpegts" => &[("mpegts_flags", "+resend_headers")],
        _ => &[],
    };
    let mut options: Vec<_> = pairs.iter().map(|(k, v)| (*k, v.to_string())).collect();
    if matches!(muxer, "mp4" | "mov") {
        // The header's clock also counts the wait before a stream that starts late.
        options.push(("movie_timescale", ticks.clamp(1000, 1 << 30).to_string()));
    }
    options
}

/// Unit of the time stamps that the container is asked to use.
fn stream_base(spec: &OutputSpec, container: &Container) -> (u32, u32) {
    let tb = spec.video.time_base;
    if container.numbered {
        let (num, den) = numbered_rate(&spec.video);
        return (den, num);
    }
    if tb.den.get() > 1 << 30 || tb.num.get() > 1 << 30 { (1, 90_000) } else { (tb.num.get(), tb.den.get()) }
}

/// Pictures per second of containers that only number them: the rate that has a tick at every picture.
fn numbered_rate(v: &VideoInfo) -> (u32, u32) {
    let fps = |r: (u32, u32)| f64::from(r.0) / f64::from(r.1.max(1));
    if fps(v.base_frame_rate) <= 240.0 { v.base_frame_rate } else { v.frame_rate }
}

/// A frame rate that encoders can express.
fn encoder_rate(v: &VideoInfo, container: &Container) -> (i32, i32) {
    let (num, den) = if container.numbered { numbered_rate(v) } else { v.frame_rate };
    let fps = f64::from(num) / f64::from(den.max(1));
    if num <= 65_535 && den <= 65_535 {
        (num as i32, den as i32)
    } else if fps < 60.0 {
        ((fps * 1000.0).round().max(1.0) as i32, 1000)
    } else {
        (fps.round() as i32, 1)
    }
}

fn open_video(
    spec: &OutputSpec,
    container: &Container,
    global: bool,
    notes: &mut Vec<String>,
) -> Result<(VideoLane, VideoChoice)> {
    let v = &spec.video;
    let names = video_encoders(spec.preset, v, container);
    let mut reasons = Vec::new();
    for name in &names {
        let choice = video_choice(name, spec.preset, v, container, spec.threads, &spec.overrides);
        let Some(choice) = choice else { continue };
        let color = converted_color(v, choice.format);
        let desc = choice.format.describe();
        let halved = desc.as_ref().map_or((false, false), |d| (d.log2_chroma_w > 0, d.log2_chroma_h > 0));
        let even = |n: usize, wanted: bool| {
            if wanted && matches!(*name, "libx264" | "libx265" | "dnxhd") { n + n % 2 } else { n }
        };
        let padded = (even(v.width, halved.0), even(v.height, halved.1));
        let rate = encoder_rate(v, container);
        let shape = VideoShape {
            width: padded.0,
            height: padded.1,
            format: choice.format,
            color: raw_color(&color),
            sample_aspect: v.sample_aspect,
            frame_rate: rate,
            field_order: if v.interlaced { if v.top_field_first { 2 } else { 3 } } else { 1 },
        };
        let encoder = match Encoder::video(name, &shape, global, &choice.options) {
            Ok(encoder) => encoder,
            Err(e) => {
                reasons.push(format!("{name}: {}", e.text()));
                continue;
            }
        };
        let format = desc.map_or_else(String::new, |d| d.name);
        notes.push(format!("{name} {format}"));
        if padded != (v.width, v.height) {
            notes.push(format!("note: {} × {} grown to {} × {} for this codec", v.width, v.height, padded.0, padded.1));
        }
        if Some(choice.format) != super::pixels::format_of(v.layout) {
            notes.push(format!("note: pictures converted to {format}"));
        }
        if spec.preset == Preset::Match && v.codec != codec_of(name) {
            notes.push(format!("note: {} is written as {}", v.codec, codec_of(name)));
        }
        let converter = Converter::new((v.width, v.height), padded, v.layout, &v.color, choice.format, &color)?;
        let time_base = (i64::from(v.time_base.num.get()), i64::from(v.time_base.den.get()));
        let step = rescale(1, (i64::from(v.frame_rate.1), i64::from(v.frame_rate.0)), time_base).max(1);
        let lane = VideoLane {
            encoder,
            converter,
            stream: 0,
            coding: Coding::of(name),
            time_base,
            out_base: time_base,
            shift: 0,
            step,
            times: Times::default(),
            count: 0,
            last_dts: None,
            least_bytes: if container.muxer == "vob" { PACK_BYTES } else { 0 },
        };
        return Ok((lane, choice));
    }
    Err(no_encoder("the pictures", &spec.container_ext, &names, &reasons))
}

/// Adds a stream for each text.
fn open_texts(
    spec: &OutputSpec,
    muxer: &str,
    shift_secs: f64,
    output: &mut Output,
    notes: &mut Vec<String>,
) -> Result<Vec<TextLane>> {
    let mut lanes = Vec::new();
    for text in &spec.texts {
        let codec = text_codec(muxer, &spec.container_ext)?;
        // QuickTime's own kind of text would come with a font's name and colours.
        let tag = (codec == TextCodec::MovText).then_some(*b"tx3g");
        let stream = output.add_text(codec.name(), &codec.header(), (1, 1000), tag);
        let stream = stream.map_err(|e| write_error(&spec.path, e))?;
        let back = (shift_secs * 1000.0).round();
        let moved = |ms: u64| (ms as f64 - back).max(0.0) as u64;
        let waiting = text.cues(codec).into_iter();
        let waiting = waiting.map(|c| Cue { start_ms: moved(c.start_ms), end_ms: moved(c.end_ms), ..c }).collect();
        notes.push(codec.name().into());
        lanes.push(TextLane { stream, codec, out_base: (1, 1000), waiting, last_dts: None });
    }
    Ok(lanes)
}

/// The kind of text that a container takes.
fn text_codec(muxer: &str, ext: &str) -> Result<TextCodec> {
    TextCodec::written_in(muxer).ok_or_else(|| {
        let message =
            "cannot hold text; name the output .mkv, .mp4, .mov or .webm, or take `subtitles` out of the cast";
        Error::Usage(format!(".{ext} {message}"))
    })
}

/// Whether a container takes text streams.
///
/// # Errors
/// `Usage` if not.
pub fn check_text_container(preset: Preset, ext: &str) -> Result<()> {
    text_codec(find_container(preset, ext)?.muxer, ext).map(drop)
}

fn no_encoder(what: &str, ext: &str, tried: &[&str], reasons: &[String]) -> Error {
    if tried.is_empty() {
        return Error::Usage(format!(".{ext} cannot hold {what} in this preset; name the output .mkv or .mov"));
    }
    Error::Unsupported(format!(
        "no encoder takes {what} for .{ext}; try .mkv, or another preset (tried {}{}{})",
        tried.join(", "),
        if reasons.is_empty() { "" } else { ": " },
        reasons.join(", ")
    ))
}

/// Codec name of an encoder.
fn codec_of(encoder: &str) -> &str {
    match encoder {
        "libx264" => "h264",
        "libx265" => "hevc",
        "libaom-av1" => "av1",
        "libvpx" => "vp8",
        "libvpx-vp9" => "vp9",
        "libtheora" => "theora",
        "prores_ks" => "prores",
        "libmp3lame" => "mp3",
        "libopus" => "opus",
        "libvorbis" => "vorbis",
        other => other,
    }
}

fn open_audio(
    spec: &OutputSpec,
    info: &AudioInfo,
    container: &Container,
    global: bool,
    shift_secs: f64,
    notes: &mut Vec<String>,
) -> Result<AudioLane> {
    let names = audio_encoders(spec.preset, info, container);
    // Rather another codec than another rate: first those that take the source's rate as it is.
    let choices: Vec<AudioChoice> = names.iter().filter_map(|n| audio_choice(n, info)).collect();
    let own_rate = |c: &AudioChoice| i64::from(c.rate) == i64::from(info.format.rate_hz);
    let (same, other): (Vec<AudioChoice>, Vec<AudioChoice>) = choices.into_iter().partition(own_rate);
    let mut reasons = Vec::new();
    for choice in same.into_iter().chain(other) {
        let shape = SoundShape {
            rate: choice.rate,
            channels: info.format.channels,
            layout_mask: choice.layout_mask,
            format: choice.format,
        };
        match Encoder::sound(choice.encoder, &shape, global, &choice.options) {
            Ok(encoder) => {
                notes.push(choice.encoder.to_string());
                if spec.preset == Preset::Match && info.codec != codec_of(choice.encoder) {
                    notes.push(format!("note: {} is written as {}", info.codec, codec_of(choice.encoder)));
                }
                if !own_rate(&choice) {
                    notes.push(format!("note: sound converted from {} to {} Hz", info.format.rate_hz, choice.rate));
                }
                if choice.layout_mask != info.format.layout_mask && info.format.layout_mask != 0 {
                    notes.push("note: the speaker layout is written as the codec's own for that many channels".into());
                }
                return AudioLane::new(encoder, &choice, info, container, shift_secs);
            }
            Err(e) => reasons.push(format!("{}: {}", choice.encoder, e.text())),
        }
    }
    Err(no_encoder("the sound", &spec.container_ext, &names, &reasons))
}

impl AudioLane {
    fn new(
        encoder: Encoder,
        choice: &AudioChoice,
        info: &AudioInfo,
        container: &Container,
        shift_secs: f64,
    ) -> Result<Self> {
        let rate = i64::from(choice.rate);
        let source_rate = i32::try_from(info.format.rate_hz).unwrap_or(choice.rate);
        let channels = info.format.channels;
        let resampler = if source_rate == choice.rate {
            None
        } else {
            Some(Resampler::new(channels, source_rate, choice.rate).map_err(encode_error)?)
        };
        let start = ((info.start_secs - shift_secs) * rate as f64).round() as i64;
        let block = if encoder.frame_size() > 0 { encoder.frame_size() } else { ANY_BLOCK };
        let padding = encoder.padding();
        let mut lane = AudioLane {
            encoder,
            stream: 0,
            coding: Coding::of(choice.encoder),
            format: choice.format,
            channels,
            rate,
            out_base: (1, rate),
            resampler,
            expected: 0,
            skip: 0,
            buffer: vec![Vec::new(); channels],
            block,
            next_pts: start,
            pts_offset: 0,
            no_less_than: None,
            last_dts: None,
        };
        let matroska = matches!(container.muxer, "webm" | "matroska");
        // Times in it do not go below zero: to make room for the encoder's delay the muxer would shift all pictures.
        lane.no_less_than = matroska.then_some(0);
        let delay_is_told = matroska && choice.encoder == "libopus";
        if delay_is_told {
            // The container states the delay apart from the times.
            lane.pts_offset = padding;
        }
        if container.from_zero || (matroska && start < padding && !delay_is_told) {
            // Sound plays from the container's zero and begins with the encoder's delay: silence or a cut in front
            // puts the first sample where it belongs.
            let lead = start - padding;
            lane.next_pts = 0;
            lane.pts_offset = padding;
            if lead >= 0 {
                let lead = lead.min(rate * 3600) as usize;
                lane.buffer.iter_mut().for_each(|c| c.resize(lead, 0.0));
            } else {
                lane.skip = lead.unsigned_abs() as usize;
            }
        }
        Ok(lane)
    }

    fn push(&mut self, channels: &[Vec<f32>]) -> Result<()> {
        let converted;
        let channels = match &mut self.resampler {
            Some(r) => {
                converted = r.push(Some(channels)).map_err(encode_error)?;
                &converted
            }
            None => channels,
        };
        self.append(channels);
        Ok(())
    }

    fn append(&mut self, channels: &[Vec<f32>]) {
        let n = channels.first().map_or(0, Vec::len);
        let cut = self.skip.min(n);
        self.skip -= cut;
        for (to, from) in self.buffer.iter_mut().zip(channels) {
            to.extend_from_slice(&from[cut..]);
        }
    }

    fn drain_resampler(&mut self) -> Result<()> {
        if let Some(r) = &mut self.resampler {
            let rest = r.push(None).map_err(encode_error)?;
            self.append(&rest);
        }
        Ok(())
    }

    /// The next block for the encoder; with `last` also a shorter one.
    fn take_block(&mut self, last: bool) -> Result<Option<AvFrame>> {
        let ready = self.buffer.first().map_or(0, Vec::len);
        let n = ready.min(self.block);
        if n == 0 || (n < self.block && !last) {
            return Ok(None);
        }
        let mut frame = AvFrame::sound(&self.encoder, n).map_err(encode_error)?;
        let len = n * self.format.bytes() * if self.format.planar { 1 } else { self.channels };
        for (i, channel) in self.buffer.iter_mut().enumerate() {
            let plane = frame
                .sound_plane_mut(if self.format.planar { i } else { 0 }, len)
                .ok_or_else(|| Error::Output("no memory for a block of sound".into()))?;
            sound::write_channel(self.format, &channel[..n], i, self.channels, plane);
            channel.drain(..n);
        }
        frame.set_pts(self.next_pts);
        self.next_pts += n as i64;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::rising;

    proptest::proptest! {
        /// Whatever times an encoder gives, decoding times strictly rise, and no picture is shown before it is decoded.
        #[test]
        fn times_strictly_rise(times in proptest::collection::vec((-1000i64..1000, -1000i64..1000), 1..50)) {
            let mut last = None;
            let mut before = None;
            for (pts, dts) in times {
                let (shown, decoded) = rising(pts, dts, &mut last);
                proptest::prop_assert!(before.is_none_or(|b| decoded > b) && shown >= decoded && shown >= pts);
                before = Some(decoded);
            }
        }
    }
}
