//! Round trips through encoders and containers.

use super::*;
use crate::Error;
use crate::audio::AudioFormat;
use crate::image::{ColorDesc, ColorModel, Frame, PixelLayout, Samples};
use crate::treat::ClearedFrame;
use crate::units::{FrameIndex, TimeBase, Timestamp};
use crate::voice::ClearedAudio;
use std::path::{Path, PathBuf};

pub(super) const YUV420: PixelLayout =
    PixelLayout { model: ColorModel::Yuv, depth: 8, log2_chroma_w: 1, log2_chroma_h: 1 };

pub(super) fn info(width: usize, height: usize, layout: PixelLayout) -> VideoInfo {
    VideoInfo {
        stream_index: 0,
        codec: "h264".into(),
        profile: -99,
        width,
        height,
        layout,
        color: ColorDesc { matrix: 1, primaries: 1, transfer: 1, full_range: Some(false), chroma_location: 1 },
        time_base: TimeBase::new(1, 12_800).unwrap(),
        start: Timestamp(0),
        frame_rate: (25, 1),
        avg_frame_rate: 25.0,
        base_frame_rate: (25, 1),
        sample_aspect: (1, 1),
        rotation_degrees: 0,
        mirrored: false,
        interlaced: false,
        top_field_first: false,
        bit_rate: 0,
        frame_count_hint: None,
        hdr: HdrInfo::default(),
    }
}

fn sound_info(rate_hz: u32, channels: usize, start_secs: f64) -> AudioInfo {
    AudioInfo {
        stream_index: 1,
        codec: "aac".into(),
        format: AudioFormat { rate_hz, channels, layout_mask: 0 },
        start_secs,
        bit_rate: 128_000,
        bits: 0,
        float: false,
    }
}

pub(super) fn spec(path: &Path, preset: Preset, video: VideoInfo, audio: Vec<AudioInfo>) -> OutputSpec {
    let container_ext = path.extension().unwrap().to_str().unwrap().to_string();
    let overrides = EncoderOverrides::default();
    OutputSpec { path: path.into(), container_ext, preset, video, audio, texts: vec![], threads: 1, overrides }
}

/// A moving pattern that uses every value of the depth.
fn pattern(info: &VideoInfo, n: u64) -> Frame {
    let mut f = Frame::black(info.width, info.height, info.layout, info.color);
    let mask = (1u32 << info.layout.depth) - 1;
    for (k, plane) in f.planes.iter_mut().enumerate() {
        let w = plane.width;
        let value = |i: usize| {
            let (x, y) = ((i % w) as u32, (i / w) as u32);
            (x.wrapping_mul(37) ^ y.wrapping_mul(91)).wrapping_add(n as u32 * 5 + k as u32 * 77) & mask
        };
        match &mut plane.samples {
            Samples::U8(v) => v.iter_mut().enumerate().for_each(|(i, s)| *s = value(i) as u8),
            Samples::U16(v) => v.iter_mut().enumerate().for_each(|(i, s)| *s = value(i) as u16),
        }
    }
    f
}

/// A smooth picture with a bright bar, kind to lossy codecs.
fn smooth(info: &VideoInfo, n: u64) -> Frame {
    let mut f = Frame::black(info.width, info.height, info.layout, info.color);
    let w = info.width;
    if let Samples::U8(v) = &mut f.planes[0].samples {
        for (i, s) in v.iter_mut().enumerate() {
            let (x, y) = (i % w, i / w);
            *s = (40
                + (x * 80 / w)
                + (y * 60 / info.height)
                + if x / 8 == n as usize % (w / 8).max(1) { 50 } else { 0 }) as u8;
        }
    }
    f
}

fn cleared(frame: Frame, n: u64, pts: i64) -> ClearedFrame {
    ClearedFrame::for_test(frame, FrameIndex(n), Timestamp(pts))
}

fn read_all(path: &Path) -> (VideoInfo, Vec<crate::image::RawFrame>) {
    let mut r = VideoReader::open(path, &Limits::default(), DecodeOptions::default()).unwrap();
    let mut frames = Vec::new();
    while let Some(f) = r.next().unwrap() {
        frames.push(f);
    }
    (r.info().clone(), frames)
}

fn read_sound(path: &Path, stream: usize) -> (AudioInfo, Vec<Vec<f32>>) {
    let mut r = AudioReader::open(path, stream, &Limits::default(), false).unwrap();
    let mut all = vec![Vec::new(); r.info().format.channels];
    while let Some(block) = r.next().unwrap() {
        assert_eq!(block.start as usize, all[0].len());
        assert!((1..=8192).contains(&block.len()));
        all.iter_mut().zip(&block.channels).for_each(|(a, b)| a.extend(b));
    }
    (r.info().clone(), all)
}

fn write_plain(path: &Path, v: &VideoInfo, count: u64) {
    let mut w = Writer::create(&spec(path, Preset::Match, v.clone(), vec![])).unwrap();
    for n in 0..count {
        w.write_video(&cleared(smooth(v, n), n, n as i64 * 512)).unwrap();
    }
    w.finish().unwrap();
}

#[test]
fn lossless_returns_every_bit() {
    let dir = tempfile::tempdir().unwrap();
    let layout = |model, depth, w, h| PixelLayout { model, depth, log2_chroma_w: w, log2_chroma_h: h };
    let cases = [
        (YUV420, 64, 48),
        (YUV420, 35, 27),
        (layout(ColorModel::Yuv, 10, 1, 1), 64, 48),
        (layout(ColorModel::Yuv, 10, 1, 0), 33, 20),
        (layout(ColorModel::Yuv, 12, 0, 0), 32, 20),
        (layout(ColorModel::Gbr, 8, 0, 0), 32, 20),
        (layout(ColorModel::Gbr, 10, 0, 0), 32, 20),
        (layout(ColorModel::Gray, 8, 0, 0), 32, 20),
        (layout(ColorModel::Gray, 16, 0, 0), 32, 20),
    ];
    for (k, (layout, width, height)) in cases.into_iter().enumerate() {
        let path = dir.path().join(format!("{k}.mkv"));
        let v = VideoInfo { time_base: TimeBase::new(1, 1000).unwrap(), ..info(width, height, layout) };
        let made = Writer::create(&spec(&path, Preset::Lossless, v.clone(), vec![]));
        let mut w = made.unwrap_or_else(|e| panic!("{layout:?}: {e}"));
        let frames: Vec<Frame> = (0..5).map(|n| pattern(&v, n)).collect();
        for (n, f) in frames.iter().enumerate() {
            w.write_video(&cleared(f.clone(), n as u64, n as i64 * 40)).unwrap();
        }
        w.finish().unwrap();
        let (got, back) = read_all(&path);
        assert_eq!((got.width, got.height, got.layout), (width, height, layout), "{layout:?}");
        assert_eq!(back.len(), 5);
        for (n, (a, b)) in frames.iter().zip(&back).enumerate() {
            assert_eq!(a.planes, b.frame.planes, "{layout:?} picture {n}");
            assert_eq!(b.pts, Timestamp(n as i64 * 40));
        }
    }
}

#[test]
fn variable_times_survive_every_container() {
    let dir = tempfile::tempdir().unwrap();
    let ticks: [i64; 12] = [0, 512, 700, 1500, 2012, 4000, 4512, 9000, 9300, 9812, 12_000, 12_512];
    for (ext, tolerance) in [("mp4", 0.0), ("mov", 0.0), ("mkv", 0.0006), ("webm", 0.0006), ("ts", 0.0001)] {
        let path = dir.path().join(format!("v.{ext}"));
        let v = info(64, 48, YUV420);
        let mut w = Writer::create(&spec(&path, Preset::Match, v.clone(), vec![])).unwrap();
        for (n, t) in ticks.iter().enumerate() {
            w.write_video(&cleared(smooth(&v, n as u64), n as u64, *t)).unwrap();
        }
        w.finish().unwrap();
        let (got, frames) = read_all(&path);
        assert_eq!(frames.len(), ticks.len(), "{ext}");
        let zero = got.time_base.seconds(frames[0].pts);
        for (f, t) in frames.iter().zip(ticks) {
            let at = got.time_base.seconds(f.pts) - zero;
            let wanted = v.time_base.seconds(Timestamp(t));
            assert!((at - wanted).abs() <= tolerance + 1e-9, "{ext}: {at} instead of {wanted}");
        }
        let listed = read_all_video_times(&path, &Limits::default()).unwrap();
        assert_eq!(listed.len(), ticks.len(), "{ext}");
    }
}

#[test]
fn tiny_pictures_keep_their_times_in_a_program_stream() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.mpg");
    let v = info(64, 48, YUV420);
    let mut w = Writer::create(&spec(&path, Preset::Match, v.clone(), vec![sound_info(48_000, 2, 0.0)])).unwrap();
    for n in 0..60 {
        w.write_video(&cleared(smooth(&v, n), n, n as i64 * 512)).unwrap();
        w.write_audio(0, &ClearedAudio::for_test(vec![vec![0.01; 1920]; 2], n * 1920)).unwrap();
    }
    w.finish().unwrap();
    let (got, frames) = read_all(&path);
    assert_eq!(frames.len(), 60);
    let zero = got.time_base.seconds(frames[0].pts);
    for (n, f) in frames.iter().enumerate() {
        let at = got.time_base.seconds(f.pts) - zero;
        assert!((at - n as f64 * 0.04).abs() < 0.001, "picture {n} at {at}");
    }
}

/// Silence with one burst of 1 kHz from `at` seconds on, 0.2 s long.
fn burst(rate: u32, secs: f64, at: f64) -> Vec<f32> {
    (0..(secs * f64::from(rate)) as usize)
        .map(|i| {
            let t = i as f64 / f64::from(rate) - at;
            if (0.0..0.2).contains(&t) { (t * 6283.185).sin() as f32 * 0.8 } else { 0.0 }
        })
        .collect()
}

/// Seconds of the burst's middle by its energy, from the first sample.
fn burst_at(samples: &[f32], rate: u32) -> f64 {
    let (mut sum, mut moment) = (0.0, 0.0);
    for (i, s) in samples.iter().enumerate() {
        let e = f64::from(*s).powi(2);
        sum += e;
        moment += e * i as f64;
    }
    moment / sum / f64::from(rate) - 0.1
}

#[test]
fn sound_stays_with_the_picture() {
    let dir = tempfile::tempdir().unwrap();
    for ext in ["mp4", "mov", "mkv", "webm", "avi", "ts", "mpg", "ogv"] {
        for (start, first) in [(0.0, 0i64), (0.2, 0), (0.0, 2560)] {
            let path = dir.path().join(format!("{start}-{first}.{ext}"));
            let v = VideoInfo { start: Timestamp(first), ..info(64, 48, YUV420) };
            let a = sound_info(48_000, 2, start);
            let mut w = Writer::create(&spec(&path, Preset::Match, v.clone(), vec![a])).unwrap();
            let samples = burst(48_000, 2.0, 0.7);
            for (n, block) in samples.chunks(1920).enumerate() {
                w.write_video(&cleared(smooth(&v, n as u64), n as u64, first + n as i64 * 512)).unwrap();
                w.write_audio(0, &ClearedAudio::for_test(vec![block.to_vec(); 2], n as u64 * 1920)).unwrap();
            }
            w.finish().unwrap();
            let p = probe(&path, &Limits::default()).unwrap();
            assert_eq!(p.audio.len(), 1, "{ext}");
            let (sound, back) = read_sound(&path, p.audio[0].stream_index);
            let heard = sound.start_secs + burst_at(&back[0], sound.format.rate_hz);
            let seen = p.video.time_base.seconds(p.video.start);
            let wanted = start + 0.7 - v.time_base.seconds(Timestamp(first));
            let off = heard - seen - wanted;
            println!("{ext} start {start} first {first}: off by {:.2} ms", off * 1000.0);
            // Ogg Theora has a tick only at every picture.
            let tolerance = if ext == "ogv" { 0.021 } else { 0.010 };
            assert!(off.abs() <= tolerance, "{ext} start {start} first {first}: sound is off by {off:.4} s");
            assert_eq!(back.len(), 2);
        }
    }
}

/// A coder of sound has a delay; Matroska would shift the pictures to make room for it.
#[test]
fn the_delay_of_a_sound_coder_does_not_move_the_pictures() {
    let dir = tempfile::tempdir().unwrap();
    for (ext, codec) in [
        ("mkv", "aac"),
        ("mkv", "mp2"),
        ("mkv", "mp3"),
        ("mkv", "ac3"),
        ("mkv", "vorbis"),
        ("mkv", "opus"),
        ("mkv", "flac"),
        ("webm", "vorbis"),
        ("webm", "opus"),
        ("mp4", "aac"),
        ("mov", "aac"),
    ] {
        for start in [0.0, 0.005, 0.3] {
            let path = dir.path().join(format!("{codec}-{start}.{ext}"));
            let v = info(64, 48, YUV420);
            let a = AudioInfo { codec: codec.into(), ..sound_info(48_000, 2, start) };
            let mut w = Writer::create(&spec(&path, Preset::Match, v.clone(), vec![a])).unwrap();
            for (n, block) in burst(48_000, 2.0, 0.7).chunks(1920).enumerate() {
                w.write_video(&cleared(smooth(&v, n as u64), n as u64, n as i64 * 512)).unwrap();
                w.write_audio(0, &ClearedAudio::for_test(vec![block.to_vec(); 2], n as u64 * 1920)).unwrap();
            }
            w.finish().unwrap();
            let (p, frames) = read_all(&path);
            for (n, f) in frames.iter().enumerate() {
                let (at, wanted) = (p.time_base.seconds(f.pts), n as f64 * 0.04);
                assert!((at - wanted).abs() < 0.0006, "{codec} in {ext}, {start}: picture {n} at {at}");
            }
            let p = probe(&path, &Limits::default()).unwrap();
            assert_eq!(p.audio[0].codec, codec, "{ext}");
            let (sound, back) = read_sound(&path, p.audio[0].stream_index);
            let off = sound.start_secs + burst_at(&back[0], sound.format.rate_hz) - start - 0.7;
            println!("{codec} in {ext}, {start}: off by {:.2} ms", off * 1000.0);
            assert!(off.abs() <= 0.004, "{codec} in {ext}, {start}: sound is off by {off:.4} s");
        }
    }
}

#[test]
fn rotation_in_the_header_is_applied() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.mp4");
    let v = VideoInfo { sample_aspect: (4, 3), ..info(64, 48, YUV420) };
    write_plain(&path, &v, 3);
    let (_, stored) = read_all(&path);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|w| w == b"tkhd").unwrap() + 44;
    for (i, m) in [0i32, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30].iter().enumerate() {
        bytes[at + 4 * i..at + 4 * i + 4].copy_from_slice(&m.to_be_bytes());
    }
    std::fs::write(&path, bytes).unwrap();
    let (got, turned) = read_all(&path);
    assert_eq!((got.width, got.height, got.rotation_degrees), (48, 64, 90));
    assert_eq!(got.sample_aspect, (3, 4));
    let (a, b) = (&stored[1].frame.planes[0], &turned[1].frame.planes[0]);
    for (x, y) in [(0, 0), (5, 9), (47, 63)] {
        assert_eq!(b.samples.get(y * 48 + x), a.samples.get((47 - x) * 64 + y));
    }
    // Written again it stands upright and asks for no turn.
    let again = dir.path().join("again.mp4");
    let mut w = Writer::create(&spec(&again, Preset::Match, got.clone(), vec![])).unwrap();
    for (n, f) in turned.into_iter().enumerate() {
        w.write_video(&cleared(f.frame, n as u64, f.pts.0)).unwrap();
    }
    w.finish().unwrap();
    let (upright, _) = read_all(&again);
    assert_eq!((upright.width, upright.height, upright.rotation_degrees), (48, 64, 0));
    assert_eq!(upright.sample_aspect, (3, 4));
}

#[test]
fn outputs_carry_no_signature_and_no_tag() {
    let dir = tempfile::tempdir().unwrap();
    let words: [&[u8]; 9] =
        [b"x264", b"x265", b"Lavf", b"Lavc", b"LAME", b"FFMP", b"FFmpeg", b"Service01", b"libvorbis I"];
    for ext in ["mp4", "mov", "mkv", "webm", "avi", "ts", "mpg"] {
        for codec in ["h264", "hevc"] {
            let path = dir.path().join(format!("{codec}.{ext}"));
            let v = VideoInfo { codec: codec.into(), ..info(64, 48, YUV420) };
            let mp3 = AudioInfo { codec: "mp3".into(), ..sound_info(44_100, 2, 0.0) };
            let streams = vec![sound_info(44_100, 2, 0.0), mp3];
            let mut w = Writer::create(&spec(&path, Preset::Match, v.clone(), streams)).unwrap();
            for n in 0..25u64 {
                w.write_video(&cleared(smooth(&v, n), n, n as i64 * 512)).unwrap();
                let block = burst(44_100, 0.04, 0.0);
                let audio = ClearedAudio::for_test(vec![block; 2], n * 1764);
                w.write_audio(0, &audio).unwrap();
                w.write_audio(1, &audio).unwrap();
            }
            let told = w.describe();
            w.finish().unwrap();
            let bytes = std::fs::read(&path).unwrap();
            for word in words {
                assert!(
                    !bytes.windows(word.len()).any(|b| b == word),
                    "{} in {codec}.{ext} ({told})",
                    String::from_utf8_lossy(word)
                );
            }
            let list = raw_streams(&path, &Limits::default()).unwrap();
            let kinds: Vec<&str> = list.streams.iter().map(|s| s.kind).collect();
            assert_eq!(kinds, ["video", "audio", "audio"], "{ext}");
            assert!(list.chapters.is_empty());
            let neutral = [
                "major_brand",
                "minor_version",
                "compatible_brands",
                "handler_name",
                "vendor_id",
                "language",
                "duration",
                "encoder",
            ];
            let tags =
                list.tags.iter().chain(list.streams.iter().flat_map(|s| &s.tags)).chain(list.programs.iter().flatten());
            for (key, value) in tags {
                assert!(neutral.contains(&key.to_lowercase().as_str()), "{ext}: {key} = {value}");
            }
            for s in &list.streams {
                // The decoder shows a zero time code for any MPEG-2 stream.
                assert!(s.frame_tags.iter().all(|t| t.1 == "00:00:00:00"), "{s:?}");
                assert!(s.frame_side_data.iter().all(|d| !d.contains("Unregistered")), "{s:?}");
            }
        }
    }
}

#[test]
fn presets_choose_what_they_promise() {
    let dir = tempfile::tempdir().unwrap();
    let deep = PixelLayout { depth: 10, log2_chroma_h: 0, ..YUV420 };
    let rgb = PixelLayout { model: ColorModel::Gbr, depth: 8, log2_chroma_w: 0, log2_chroma_h: 0 };
    for (preset, ext, layout, codec, back, sound) in [
        (Preset::Web, "mp4", deep, "h264", YUV420, "aac"),
        (Preset::Web, "mp4", rgb, "h264", YUV420, "aac"),
        (Preset::Master, "mov", YUV420, "prores", deep, "pcm_s24le"),
        (Preset::Match, "mp4", PixelLayout { depth: 10, ..YUV420 }, "h264", PixelLayout { depth: 10, ..YUV420 }, "aac"),
        (Preset::Match, "mp4", rgb, "h264", PixelLayout { log2_chroma_w: 0, log2_chroma_h: 0, ..YUV420 }, "aac"),
        (Preset::Lossless, "mkv", deep, "ffv1", deep, "pcm_f32le"),
    ] {
        let path = dir.path().join(format!("p.{ext}"));
        let v = info(64, 48, layout);
        let mut w = Writer::create(&spec(&path, preset, v.clone(), vec![sound_info(48_000, 1, 0.0)])).unwrap();
        for n in 0..3u64 {
            let mut f = Frame::black(64, 48, layout, v.color);
            f.paint(crate::geom::PixelRect { x: 0, y: 0, width: 64, height: 48 }, [0.8, 0.3, 0.2]);
            w.write_video(&cleared(f, n, n as i64 * 512)).unwrap();
            w.write_audio(0, &ClearedAudio::for_test(vec![vec![0.1; 1920]], n * 1920)).unwrap();
        }
        w.finish().unwrap();
        let p = probe(&path, &Limits::default()).unwrap();
        assert_eq!((p.video.codec.as_str(), p.video.layout, p.audio[0].codec.as_str()), (codec, back, sound));
        let (_, frames) = read_all(&path);
        let mean = frames[1].frame.mean_rgb(crate::geom::PixelRect { x: 0, y: 0, width: 64, height: 48 });
        for (a, b) in mean.iter().zip([0.8, 0.3, 0.2]) {
            assert!((a - b).abs() < 0.02, "{preset:?} {layout:?}: {mean:?}");
        }
    }
}

#[test]
fn prores_keeps_its_profile() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.mov");
    let deep = PixelLayout { depth: 10, log2_chroma_h: 0, ..YUV420 };
    let v = VideoInfo { codec: "prores".into(), profile: 1, ..info(64, 48, deep) };
    let mut w = Writer::create(&spec(&path, Preset::Match, v.clone(), vec![])).unwrap();
    w.write_video(&cleared(pattern(&v, 0), 0, 0)).unwrap();
    w.finish().unwrap();
    let (got, _) = read_all(&path);
    assert_eq!((got.codec.as_str(), got.profile, got.layout), ("prores", 1, deep));
}

#[test]
fn colour_and_hdr_are_carried() {
    let dir = tempfile::tempdir().unwrap();
    let hdr = HdrInfo {
        mastering: Some(MasteringDisplay {
            chromaticity: [
                [(34_000, 50_000), (16_000, 50_000)],
                [(13_250, 50_000), (34_500, 50_000)],
                [(7500, 50_000), (3000, 50_000)],
                [(15_635, 50_000), (16_450, 50_000)],
            ],
            luminance: [(50, 10_000), (10_000_000, 10_000)],
            has_primaries: true,
            has_luminance: true,
        }),
        light: Some(ContentLight { max_content: 1000, max_frame_average: 400 }),
    };
    let color = ColorDesc { matrix: 9, primaries: 9, transfer: 16, full_range: Some(false), chroma_location: 3 };
    for ext in ["mp4", "mkv"] {
        let path = dir.path().join(format!("hdr.{ext}"));
        let v = VideoInfo { color, hdr, codec: "hevc".into(), ..info(64, 48, PixelLayout { depth: 10, ..YUV420 }) };
        let mut w = Writer::create(&spec(&path, Preset::Match, v.clone(), vec![])).unwrap();
        for n in 0..3 {
            w.write_video(&cleared(Frame::black(64, 48, v.layout, color), n, n as i64 * 512)).unwrap();
        }
        w.finish().unwrap();
        let (got, _) = read_all(&path);
        assert_eq!(got.color, color, "{ext}");
        assert_eq!(got.hdr.light, hdr.light, "{ext}");
        let (a, b) = (got.hdr.mastering.unwrap(), hdr.mastering.unwrap());
        let value = |p: (i32, i32)| f64::from(p.0) / f64::from(p.1);
        for (x, y) in a.chromaticity.iter().flatten().zip(b.chromaticity.iter().flatten()) {
            assert!((value(*x) - value(*y)).abs() < 1e-4, "{ext}");
        }
    }
}

#[test]
fn bad_inputs_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let refused = |p: &Path| match probe(p, &Limits::default()) {
        Err(Error::Input(text)) => text,
        other => panic!("{}: {other:?}", p.display()),
    };
    assert!(refused(&path("none.mp4")).contains("no such file"));
    assert!(refused(dir.path()).contains("folder"));
    std::fs::write(path("empty.mp4"), b"").unwrap();
    assert!(refused(&path("empty.mp4")).contains("empty"));
    std::fs::write(path("text.mp4"), "just some text\n".repeat(300)).unwrap();
    refused(&path("text.mp4"));
    std::fs::write(path("list.m3u8"), "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n/etc/passwd\n#EXT-X-ENDLIST\n")
        .unwrap();
    assert!(refused(&path("list.m3u8")).contains("playlists"));
    std::fs::write(path("list.mp4"), "ffconcat version 1.0\nfile '/etc/passwd'\n").unwrap();
    refused(&path("list.mp4"));

    write_plain(&path("whole.mp4"), &info(64, 48, YUV420), 50);
    let bytes = std::fs::read(path("whole.mp4")).unwrap();
    std::fs::write(path("cut.mp4"), &bytes[..bytes.len() * 3 / 4]).unwrap();
    let open = |salvage| VideoReader::open(&path("cut.mp4"), &Limits::default(), DecodeOptions { threads: 1, salvage });
    assert!(matches!(open(false), Err(Error::Input(t)) if t.contains("cut off")));
    let mut film = open(true).unwrap();
    let mut count = 0;
    while film.next().unwrap().is_some() {
        count += 1;
    }
    assert!((1..50).contains(&count), "{count}");
    assert!(!film.damage().is_none());
    // Without the index (a camera that lost power) nothing can be read.
    let moov = bytes.windows(4).position(|w| w == b"moov").unwrap() - 4;
    std::fs::write(path("noindex.mp4"), &bytes[..moov]).unwrap();
    assert!(refused(&path("noindex.mp4")).contains("index"));

    let small = Limits { max_width: 32, ..Limits::default() };
    assert!(matches!(probe(&path("whole.mp4"), &small), Err(Error::Limit(_))));
    let few = Limits { max_frames: 10, ..Limits::default() };
    let mut film = VideoReader::open(&path("whole.mp4"), &few, DecodeOptions::default()).unwrap();
    assert!(std::iter::from_fn(|| film.next().transpose()).any(|f| matches!(f, Err(Error::Limit(_)))));
}

#[test]
fn damage_in_the_middle_is_an_error_unless_salvaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hurt.mp4");
    write_plain(&path, &info(320, 240, YUV420), 50);
    let mut bytes = std::fs::read(&path).unwrap();
    let mdat = bytes.windows(4).position(|w| w == b"mdat").unwrap() + 4;
    let middle = (mdat + bytes.len()) / 2;
    bytes[middle..middle + 200].iter_mut().for_each(|b| *b ^= 0x5a);
    std::fs::write(&path, bytes).unwrap();
    let read = |salvage| {
        let mut r = VideoReader::open(&path, &Limits::default(), DecodeOptions { threads: 1, salvage }).unwrap();
        let mut n = 0;
        loop {
            match r.next() {
                Ok(Some(_)) => n += 1,
                Ok(None) => return Ok((n, r.damage())),
                Err(e) => return Err(e),
            }
        }
    };
    assert!(matches!(read(false), Err(Error::Input(t)) if t.contains("damaged")));
    let (n, damage) = read(true).unwrap();
    assert!(n > 0 && n < 50 && !damage.is_none(), "{n} {damage:?}");
}

#[test]
fn bad_outputs_are_named() {
    let v = info(64, 48, YUV420);
    let target = |path: &str| spec(Path::new(path), Preset::Match, v.clone(), vec![]);
    assert!(matches!(Writer::create(&target("/nonexistent/folder/a.mp4")), Err(Error::Io { .. })));
    let mut gif = target("/tmp/never-made.gif");
    gif.audio = vec![sound_info(48_000, 2, 0.0)];
    assert!(matches!(Writer::create(&gif), Err(Error::Usage(_))));
    // The kernel's always-full device stands for a full disk.
    let full = OutputSpec { path: PathBuf::from("/dev/full"), container_ext: "mkv".into(), ..target("x.mkv") };
    let outcome = Writer::create(&full).and_then(|mut w| {
        for n in 0..200 {
            w.write_video(&cleared(pattern(&v, n), n, n as i64 * 512))?;
        }
        w.finish()
    });
    assert!(matches!(outcome, Err(Error::Output(t)) if t.contains("disk is full")));
}

#[test]
fn pictures_out_of_order_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let v = info(64, 48, YUV420);
    let mut w = Writer::create(&spec(&dir.path().join("o.mkv"), Preset::Match, v.clone(), vec![])).unwrap();
    w.write_video(&cleared(smooth(&v, 0), 0, 512)).unwrap();
    assert!(w.write_video(&cleared(smooth(&v, 0), 1, 512)).is_err());
    let other = info(66, 48, YUV420);
    assert!(w.write_video(&cleared(smooth(&other, 0), 2, 1024)).is_err());
}

fn shared() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let found =
        std::env::var_os("UNDERSTUDY_SHARED").map(PathBuf::from).or(Some(own)).filter(|p| p.join("data").is_dir());
    if found.is_none() {
        println!("skipped: no ../shared folder with test material");
    }
    found
}

/// Copies a film through reader and writer as the pipeline would, without treating anything.
fn transcode(from: &Path, to: &Path, preset: Preset) -> crate::Result<String> {
    let limits = Limits::default();
    let p = probe(from, &limits)?;
    let mut film = VideoReader::open(from, &limits, DecodeOptions::default())?;
    let mut sounds = Vec::new();
    for a in &p.audio {
        sounds.push(AudioReader::open(from, a.stream_index, &limits, false)?);
    }
    let mut s = spec(to, preset, p.video.clone(), p.audio.clone());
    s.threads = 2;
    s.overrides.speed = std::env::var("MEDIA_SPEED").ok();
    let mut w = Writer::create(&s)?;
    let told = w.describe();
    let mut clocks = vec![0.0; sounds.len()];
    let pull = |w: &mut Writer, until: f64, clocks: &mut [f64], sounds: &mut [AudioReader]| -> crate::Result<()> {
        for (k, sound) in sounds.iter_mut().enumerate() {
            while clocks[k] <= until {
                match sound.next()? {
                    None => clocks[k] = f64::INFINITY,
                    Some(block) => {
                        clocks[k] = sound.info().start_secs
                            + (block.start + block.len() as u64) as f64 / f64::from(sound.info().format.rate_hz);
                        w.write_audio(k, &ClearedAudio::for_test(block.channels, block.start))?;
                    }
                }
            }
        }
        Ok(())
    };
    while let Some(raw) = film.next()? {
        let now = p.video.time_base.seconds(raw.pts);
        w.write_video(&ClearedFrame::for_test(raw.frame, raw.index, raw.pts))?;
        pull(&mut w, now, &mut clocks, &mut sounds)?;
    }
    pull(&mut w, f64::MAX, &mut clocks, &mut sounds)?;
    w.finish()?;
    Ok(told)
}

/// Every clip through one preset into a folder, to be examined with other tools:
/// `MEDIA_OUT=/tmp/x MEDIA_PRESET=match MEDIA_SPEED=veryfast cargo test --release all_clips -- --ignored --nocapture`.
#[test]
#[ignore = "long; writes into MEDIA_OUT"]
fn all_clips() {
    let (Some(shared), Some(out)) = (shared(), std::env::var_os("MEDIA_OUT").map(PathBuf::from)) else { return };
    let preset: Preset = std::env::var("MEDIA_PRESET").unwrap_or("match".into()).parse().unwrap();
    let only = std::env::var("MEDIA_ONLY").unwrap_or_default();
    let mut failed = Vec::new();
    for folder in ["data/video", "data/video_derived"] {
        let mut clips: Vec<PathBuf> =
            std::fs::read_dir(shared.join(folder)).unwrap().map(|e| e.unwrap().path()).collect();
        clips.sort();
        for clip in clips.into_iter().filter(|c| c.to_string_lossy().contains(&only)) {
            let own = clip.extension().unwrap().to_str().unwrap();
            let ext = match preset {
                Preset::Web => "mp4",
                Preset::Master => "mov",
                Preset::Lossless => "mkv",
                Preset::Match => own,
            };
            let to = out.join(clip.file_stem().unwrap()).with_extension(ext);
            let began = std::time::Instant::now();
            match transcode(&clip, &to, preset) {
                Ok(told) => println!(
                    "ok   {} {:.1} s: {told}",
                    clip.file_name().unwrap().to_string_lossy(),
                    began.elapsed().as_secs_f64()
                ),
                Err(e) => {
                    println!("FAIL {}: {e}", clip.display());
                    failed.push(clip.clone());
                    continue;
                }
            }
            if preset == Preset::Lossless {
                let (_, a) = read_all(&clip);
                let (_, b) = read_all(&to);
                assert_eq!(a.len(), b.len(), "{}", clip.display());
                assert!(a.iter().zip(&b).all(|(x, y)| x.frame.planes == y.frame.planes), "{}", clip.display());
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn a_turned_phone_clip_stands_upright() {
    let Some(shared) = shared() else { return };
    let p = probe(&shared.join("data/video_derived/egoblur_rot90meta.mp4"), &Limits::default()).unwrap();
    assert_eq!((p.video.width, p.video.height), (608, 1080));
    assert!(p.video.rotation_degrees == 90 || p.video.rotation_degrees == 270);
}
