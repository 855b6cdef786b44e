//! Which codecs, pixel formats and settings an output gets.

use super::ffi::{EncoderFacts, PixFmt, SampleFmt, SampleKind, best_pix_fmt, encoder_facts};
use super::pixels::format_of;
use super::probe::{AudioInfo, VideoInfo};
use crate::image::ColorModel;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// FFmpeg's factor between a quantiser and its Lagrange multiplier (`FF_QP2LAMBDA`).
const QP_TO_LAMBDA: u32 = 118;

/// What the output is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// H.264 8-bit 4:2:0 and AAC in mp4, starts playing while it loads.
    Web,
    /// Same codec family, pixel format and bit depth as the source, at good quality.
    #[default]
    Match,
    /// ProRes 422 HQ 10-bit and 24-bit PCM in mov, for editing.
    Master,
    /// FFV1 and PCM in mkv: the decoded pictures are bit for bit what was given to the writer.
    Lossless,
}

impl FromStr for Preset {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        match s {
            "web" => Ok(Preset::Web),
            "match" => Ok(Preset::Match),
            "master" => Ok(Preset::Master),
            "lossless" => Ok(Preset::Lossless),
            _ => Err(Error::Usage(format!("unknown preset '{s}'; use web, match, master or lossless"))),
        }
    }
}

impl Preset {
    fn name(self) -> &'static str {
        match self {
            Preset::Web => "web",
            Preset::Match => "match",
            Preset::Master => "master",
            Preset::Lossless => "lossless",
        }
    }
}

/// Settings that replace the preset's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderOverrides {
    /// Constant quality of x264, x265, VP8, VP9, AV1 (smaller is better).
    pub crf: Option<u8>,
    /// Speed preset of x264 and x265, as "veryfast".
    pub speed: Option<String>,
}

/// What a container, named by the extension of the final file, can hold. Encoders by FFmpeg's names, best first.
#[derive(Debug)]
pub(super) struct Container {
    pub extensions: &'static [&'static str],
    pub muxer: &'static str,
    pub video: &'static [&'static str],
    pub audio: &'static [&'static str],
    /// Pictures have no times of their own, only numbers (AVI, Ogg Theora).
    pub numbered: bool,
    /// Sound has no times either, and nothing says how much of its beginning is the encoder's delay.
    pub from_zero: bool,
}

const PCM: [&str; 4] = ["pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"];

#[rustfmt::skip]
const CONTAINERS: [Container; 12] = [
    container(&["mp4", "m4v"], "mp4",
        &["libx264", "libx265", "libaom-av1", "libvpx-vp9", "mpeg4", "mjpeg"],
        &["aac", "libmp3lame", "ac3", "eac3", "libopus", "flac", "alac"]),
    container(&["mov"], "mov",
        &["libx264", "libx265", "prores_ks", "dnxhd", "mpeg4", "mjpeg"],
        &["aac", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "alac", "libmp3lame", "ac3", "eac3"]),
    container(&["mkv"], "matroska",
        &["libx264", "libx265", "libaom-av1", "libvpx-vp9", "libvpx", "ffv1", "prores_ks", "dnxhd", "mpeg4", "mjpeg",
          "libtheora"],
        &["aac", "flac", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "libopus", "libvorbis", "libmp3lame", "ac3",
          "eac3", "mp2", "alac"]),
    container(&["webm"], "webm", &["libvpx-vp9", "libvpx", "libaom-av1"], &["libopus", "libvorbis"]),
    Container { numbered: true, from_zero: true, ..container(&["avi"], "avi",
        &["mpeg4", "libx264", "mjpeg", "ffv1"], &["libmp3lame", "mp2", "ac3", "pcm_s16le", "pcm_s24le", "pcm_f32le"]) },
    container(&["mpg", "mpeg"], "vob", &["libx264"], &["mp2", "ac3", "libmp3lame"]),
    container(&["ts", "m2ts", "mts"], "mpegts",
        &["libx264", "libx265", "mpeg4"], &["aac", "mp2", "ac3", "eac3", "libmp3lame", "libopus"]),
    Container { numbered: true, ..container(&["ogv", "ogg"], "ogg", &["libtheora"], &["libvorbis", "libopus", "flac"]) },
    container(&["gif"], "gif", &["gif"], &[]),
    container(&["h264", "264"], "h264", &["libx264"], &[]),
    container(&["hevc", "h265", "265"], "hevc", &["libx265"], &[]),
    container(&["ivf"], "ivf", &["libvpx-vp9", "libvpx", "libaom-av1"], &[]),
];

const fn container(
    extensions: &'static [&'static str],
    muxer: &'static str,
    video: &'static [&'static str],
    audio: &'static [&'static str],
) -> Container {
    Container { extensions, muxer, video, audio, numbered: false, from_zero: false }
}

/// Extensions of output files that are accepted.
#[must_use]
pub fn accepted_extensions() -> Vec<&'static str> {
    CONTAINERS.iter().flat_map(|c| c.extensions).copied().collect()
}

/// Checks before any work that a file with extension `ext` (without dot, any case) can hold the preset's codecs.
///
/// # Errors
/// `Usage`, saying which extension to use.
pub fn check_container(preset: Preset, ext: &str) -> Result<()> {
    find_container(preset, ext).map(|_| ())
}

pub(super) fn find_container(preset: Preset, ext: &str) -> Result<&'static Container> {
    let ext = ext.trim_start_matches('.').to_ascii_lowercase();
    let found = CONTAINERS.iter().find(|c| c.extensions.contains(&ext.as_str())).ok_or_else(|| {
        Error::Usage(format!(
            "the output's extension '{ext}' is not known; use one of {}",
            accepted_extensions().join(", ")
        ))
    })?;
    let wanted: &[&str] = match preset {
        Preset::Web => &["mp4", "m4v"],
        Preset::Master => &["mov", "mkv"],
        Preset::Lossless => &["mkv"],
        Preset::Match => return Ok(found),
    };
    if wanted.contains(&ext.as_str()) {
        return Ok(found);
    }
    Err(Error::Usage(format!(
        "the preset {} cannot be written to .{ext}; name the output .{}",
        preset.name(),
        wanted[0]
    )))
}

/// Encoders for the film in the order of preference.
pub(super) fn video_encoders(preset: Preset, info: &VideoInfo, container: &Container) -> Vec<&'static str> {
    let own = match preset {
        Preset::Web => "libx264",
        Preset::Master => "prores_ks",
        Preset::Lossless => "ffv1",
        Preset::Match => match info.codec.as_str() {
            "hevc" => "libx265",
            "av1" => "libaom-av1",
            "vp8" => "libvpx",
            "vp9" => "libvpx-vp9",
            // MPEG-1 and MPEG-2 cannot be written without a time code in every group of pictures, so they become H.264.
            "mpeg4" | "msmpeg4v1" | "msmpeg4v2" | "msmpeg4v3" | "h263" | "flv1" => "mpeg4",
            "theora" => "libtheora",
            "prores" => "prores_ks",
            "dnxhd" => "dnxhd",
            "mjpeg" | "mjpegb" => "mjpeg",
            "ffv1" | "ffvhuff" | "huffyuv" | "utvideo" | "rawvideo" | "png" | "apng" | "qtrle" | "v210" | "v410"
            | "magicyuv" | "r210" => "ffv1",
            "gif" if container.muxer == "gif" => "gif",
            _ => "libx264",
        },
    };
    let mut list: Vec<&'static str> = container.video.iter().copied().filter(|e| *e == own).collect();
    if preset == Preset::Match {
        list.extend(container.video.iter().copied().filter(|e| *e != own));
    }
    list
}

/// Settings of a video encoder.
pub(super) struct VideoChoice {
    pub format: PixFmt,
    pub options: Vec<(String, String)>,
    pub tag: Option<[u8; 4]>,
}

/// Chooses pixel format and settings for `encoder`; `None` if this build has no such encoder or none of its pixel
/// formats fits.
pub(super) fn video_choice(
    encoder: &'static str,
    preset: Preset,
    info: &VideoInfo,
    container: &Container,
    threads: usize,
    over: &EncoderOverrides,
) -> Option<VideoChoice> {
    let facts = encoder_facts(encoder)?;
    let own = format_of(info.layout)?;
    let odd = (info.width % 2, info.height % 2) != (0, 0);
    let format = match (encoder, preset) {
        (_, Preset::Web) => PixFmt::named("yuv420p")?,
        (_, Preset::Master) => PixFmt::named("yuv422p10le")?,
        ("dnxhd", _) => PixFmt::named(if info.layout.depth > 8 { "yuv422p10le" } else { "yuv422p" })?,
        // FFV1 has planar RGB only from 9 bits up; the interleaved form holds the same bits.
        ("ffv1", _) if info.layout.model == ColorModel::Gbr && info.layout.depth == 8 => PixFmt::named("bgr0")?,
        ("libx264" | "libx265", _) if odd => best_pix_fmt(&keep_full_chroma(&facts), own)?,
        _ if facts.pix_fmts.is_empty() || facts.pix_fmts.contains(&own) => own,
        (_, Preset::Lossless) => return None,
        _ => best_pix_fmt(&facts.pix_fmts, own)?,
    };
    let tag = match (encoder, container.muxer) {
        ("libx265", "mp4" | "mov") => Some(*b"hvc1"),
        ("mpeg4", "avi") => Some(*b"XVID"),
        _ => None,
    };
    let options = video_options(encoder, preset, info, container, threads.clamp(1, 64), over);
    Some(VideoChoice { format, options, tag })
}

/// H.264 and HEVC count a 4:2:0 picture in pairs of pixels, so an odd size needs chroma at full size.
fn keep_full_chroma(facts: &EncoderFacts) -> Vec<PixFmt> {
    let full = |f: &PixFmt| f.describe().is_some_and(|d| d.log2_chroma_w == 0 && d.log2_chroma_h == 0);
    facts.pix_fmts.iter().copied().filter(full).collect()
}

/// What x264 may use of this processor, where it must not use all of it.
///
/// With AVX-512 its look-ahead (`mbtree`, build 164) reads memory that it never wrote: the same pictures give other bytes
/// from one run to the next. AVX2 is as fast here and does not.
fn x264_processor() -> Option<String> {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx2") {
        let also = [
            ("FMA3", std::arch::is_x86_feature_detected!("fma")),
            ("BMI1", std::arch::is_x86_feature_detected!("bmi1")),
            ("BMI2", std::arch::is_x86_feature_detected!("bmi2")),
            ("LZCNT", std::arch::is_x86_feature_detected!("lzcnt")),
        ];
        let names = also.iter().filter(|(_, has)| *has).map(|(name, _)| format!(",{name}"));
        return Some(format!("asm=AVX2{}", names.collect::<String>()));
    }
    None
}

fn video_options(
    encoder: &str,
    preset: Preset,
    info: &VideoInfo,
    container: &Container,
    threads: usize,
    over: &EncoderOverrides,
) -> Vec<(String, String)> {
    let mut o: Vec<(&str, String)> = vec![("threads", threads.to_string())];
    let crf = |default: u8| over.crf.unwrap_or(default).to_string();
    let speed = |default: &str| over.speed.clone().unwrap_or_else(|| default.into());
    let constant_quantiser =
        |q: u32| vec![("flags", "+qscale".to_string()), ("global_quality", (q * QP_TO_LAMBDA).to_string())];
    match encoder {
        "libx264" => {
            o.extend([("preset", speed("medium")), ("crf", crf(if preset == Preset::Web { 21 } else { 18 }))]);
            // A packet of a programme stream has one time for all pictures that begin in it; players count on from there,
            // which is right only if pictures are stored in the order in which they are shown.
            if container.numbered || container.muxer == "vob" {
                o.push(("bf", "0".into()));
            }
            let c = &info.color;
            let mut params: Vec<String> = x264_processor().into_iter().collect();
            if c.full_range == Some(false) && [c.matrix, c.primaries, c.transfer] == [2; 3] {
                // x264 writes the limited range only beside something else; this is the least that says anything.
                params.push("videoformat=component".into());
            }
            if !params.is_empty() {
                o.push(("x264-params", params.join(":")));
            }
        }
        "libx265" => {
            o.extend([("preset", speed("fast")), ("crf", crf(19))]);
            // One frame thread: the pictures then do not depend on the number of threads.
            o.push((
                "x265-params",
                format!("log-level=none:info=0:frame-threads=1:pools={threads}{}", hdr_params(info)),
            ));
        }
        "libaom-av1" => o.extend([
            // Ten times faster than "good" at 6, for about the same quality by bit.
            ("usage", "realtime".into()),
            ("cpu-used", "8".into()),
            ("crf", crf(16)),
            ("b", "0".into()),
            ("row-mt", "1".into()),
        ]),
        "libvpx" => {
            // VP8 takes a ceiling besides the quality: half a bit per pixel is more than it ever needs at that quality.
            let ceiling = (info.width * info.height) as f64 * info.avg_frame_rate.clamp(1.0, 120.0) * 0.5;
            o.extend([("deadline", "good".into()), ("cpu-used", "5".into()), ("crf", crf(8))]);
            o.extend([("b", format!("{:.0}", ceiling.clamp(2e5, 2e8))), ("lag-in-frames", "16".into())]);
        }
        "libvpx-vp9" => o.extend([
            ("deadline", "realtime".into()),
            ("cpu-used", "6".into()),
            ("crf", crf(18)),
            ("b", "0".into()),
            ("row-mt", "1".into()),
        ]),
        "mpeg4" | "mjpeg" => o.extend(constant_quantiser(2)),
        "libtheora" => o.extend(constant_quantiser(9)),
        "prores_ks" => {
            let own = if (0..=5).contains(&info.profile) && info.codec == "prores" { info.profile } else { 3 };
            o.extend([
                ("profile", if preset == Preset::Master { 3 } else { own }.to_string()),
                ("vendor", "apl0".into()),
            ]);
        }
        "dnxhd" => o.push(("profile", if info.layout.depth > 8 { "dnxhr_hqx" } else { "dnxhr_hq" }.into())),
        "ffv1" => {
            // Fixed numbers, so that the bytes do not depend on the threads; tiny pictures cannot be sliced.
            o.extend([("level", "3".into()), ("slicecrc", "1".into()), ("g", "1".into())]);
            if info.width >= 64 && info.height >= 64 {
                o.push(("slices", if info.width * info.height > 500_000 { "16" } else { "4" }.into()));
            }
        }
        _ => {}
    }
    o.into_iter().map(|(k, v)| (k.into(), v)).collect()
}

/// High-dynamic-range settings of x265, in its own units (0.00002 and 0.0001 cd/m²).
fn hdr_params(info: &VideoInfo) -> String {
    let mut s = String::new();
    let scaled = |(n, d): (i32, i32), unit: f64| (f64::from(n) / f64::from(d.max(1)) * unit).round();
    if let Some(m) = info.hdr.mastering.filter(|m| m.has_primaries && m.has_luminance) {
        let [r, g, b, w] = m.chromaticity.map(|c| c.map(|v| scaled(v, 50_000.0)));
        let [low, high] = m.luminance.map(|v| scaled(v, 10_000.0));
        s += &format!(
            ":master-display=G({},{})B({},{})R({},{})WP({},{})L({high},{low})",
            g[0], g[1], b[0], b[1], r[0], r[1], w[0], w[1]
        );
    }
    if let Some(l) = info.hdr.light {
        s += &format!(":max-cll={},{}", l.max_content, l.max_frame_average);
    }
    s
}

/// Settings of a sound encoder.
pub(super) struct AudioChoice {
    pub encoder: &'static str,
    pub format: SampleFmt,
    pub rate: i32,
    pub layout_mask: u64,
    pub options: Vec<(String, String)>,
}

/// Encoders for a sound stream in the order of preference.
pub(super) fn audio_encoders(preset: Preset, info: &AudioInfo, container: &Container) -> Vec<&'static str> {
    let pcm = match (info.float, info.bits) {
        (true, _) => PCM[3],
        (_, 25..) => PCM[2],
        (_, 17..) => PCM[1],
        _ => PCM[0],
    };
    let own = match preset {
        Preset::Web => "aac",
        Preset::Master => PCM[1],
        Preset::Lossless => PCM[3],
        Preset::Match => match info.codec.as_str() {
            "aac" | "aac_latm" => "aac",
            "mp3" => "libmp3lame",
            "mp2" | "mp1" => "mp2",
            "opus" => "libopus",
            "vorbis" => "libvorbis",
            "ac3" => "ac3",
            "eac3" => "eac3",
            "flac" => "flac",
            "alac" => "alac",
            c if c.starts_with("pcm_") => pcm,
            _ if info.bits > 0 => "flac",
            _ => "",
        },
    };
    let mut list: Vec<&'static str> = container.audio.iter().copied().filter(|e| *e == own).collect();
    if preset == Preset::Match {
        list.extend(container.audio.iter().copied().filter(|e| *e != own));
    }
    list
}

/// Chooses sample format, rate, layout and bit rate; `None` if the encoder is missing or cannot take that many
/// channels.
pub(super) fn audio_choice(encoder: &'static str, info: &AudioInfo) -> Option<AudioChoice> {
    let facts = encoder_facts(encoder)?;
    let f = info.format;
    let rate = i32::try_from(f.rate_hz).ok()?;
    let rate = if facts.rates.is_empty() || facts.rates.contains(&rate) {
        rate
    } else {
        let above = facts.rates.iter().copied().filter(|r| *r > rate).min();
        above.or(facts.rates.iter().copied().max())?
    };
    let fits = |&&(_, n): &&(u64, usize)| n == f.channels;
    let layout_mask = if facts.layouts.is_empty() || facts.layouts.iter().any(|l| l.0 == f.layout_mask) {
        f.layout_mask
    } else {
        facts.layouts.iter().find(fits)?.0
    };
    let kinds: &[SampleKind] = if encoder.starts_with("pcm_") || encoder == "flac" || encoder == "alac" {
        if info.bits > 16 || info.bits == 0 {
            &[SampleKind::F32, SampleKind::S32]
        } else {
            &[SampleKind::F32, SampleKind::S16]
        }
    } else {
        &[SampleKind::F32, SampleKind::S32, SampleKind::S16]
    };
    let by_kind = kinds.iter().find_map(|k| facts.sample_fmts.iter().find(|s| s.kind == *k));
    let format = *by_kind.or(facts.sample_fmts.first())?;
    let mut options = Vec::new();
    if let Some(bits) = bit_rate(encoder, info) {
        options.push(("b".to_string(), bits.to_string()));
    }
    Some(AudioChoice { encoder, format, rate, layout_mask, options })
}

/// Bits per second for lossy encoders: the source's, within what suits the codec.
fn bit_rate(encoder: &str, info: &AudioInfo) -> Option<u64> {
    let n = info.format.channels as u64;
    // Per channel: least, most, and what is used when the source does not say or is lossless.
    let (low, high, usual) = match encoder {
        "aac" => (64_000, 192_000, 96_000),
        "libmp3lame" => (48_000, 160_000, 96_000),
        "libvorbis" => (48_000, 160_000, 80_000),
        "libopus" => (48_000, 128_000, 64_000),
        "mp2" => (96_000, 192_000, 128_000),
        "ac3" | "eac3" => (74_000, 160_000, 96_000),
        _ => return None,
    };
    let source = if info.bits == 0 && info.bit_rate > 0 { info.bit_rate } else { usual * n };
    let wanted = source.clamp(low * n, high * n);
    let steps: &[u64] = match encoder {
        "mp2" => &[64, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        "ac3" | "eac3" => &[64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640],
        _ => return Some(wanted),
    };
    let cap = if encoder == "mp2" && n == 1 { 192_000 } else { u64::MAX };
    let fit = steps.iter().map(|k| k * 1000).find(|b| *b >= wanted).or(steps.last().map(|k| k * 1000))?;
    Some(fit.min(cap))
}

/// Colour of pictures that were converted to `format`: RGB that becomes YUV gets a matrix and limited range.
pub(super) fn converted_color(info: &VideoInfo, format: PixFmt) -> crate::image::ColorDesc {
    let mut color = info.color;
    let Some(to) = format.describe() else { return color };
    if info.layout.model == ColorModel::Gbr && !to.rgb && !to.palette {
        color.matrix = if info.height >= 720 { 1 } else { 6 };
        color.full_range = Some(false);
    }
    if to.name.starts_with("yuvj") {
        color.full_range = Some(true);
    }
    color
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_checked_with_advice() {
        let text = |r: Result<()>| r.unwrap_err().to_string();
        assert!(check_container(Preset::Match, "MP4").is_ok());
        assert!(text(check_container(Preset::Match, "xyz")).contains("mkv"));
        assert!(text(check_container(Preset::Lossless, "mp4")).contains("name the output .mkv"));
        assert!(text(check_container(Preset::Master, "mp4")).contains("name the output .mov"));
        assert!(text(check_container(Preset::Web, "webm")).contains("name the output .mp4"));
        assert_eq!(check_container(Preset::Web, "avi").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn every_named_encoder_exists_in_the_distribution_build() {
        super::super::init();
        for c in &CONTAINERS {
            for e in c.video.iter().chain(c.audio) {
                assert!(encoder_facts(e).is_some(), "{e}");
            }
        }
    }
}
