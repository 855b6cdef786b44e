//! Runs the analyser on a film decoded by the `ffmpeg` command and writes tracks as JSON, for development:
//!
//! `faces MODELS FILM OUT.json [draft|standard|max] [WORKERS] [STILLS_DIR]`
//!
//! FACES_FRAMES in the environment limits the number of frames. With STILLS_DIR the landmarks and boxes of every 20th frame are drawn into PNG files.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use understudy::image::{ColorDesc, ColorModel, Frame, PixelLayout, Plane, RawFrame, Samples};
use understudy::infer::{Device, ModelSet, Runtime};
use understudy::units::{FrameIndex, Timestamp};
use understudy::vision::{Analyser, AnalyserOptions, FaceSample, Recall, VisionEvent, cluster_people};

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    anyhow::ensure!(args.len() >= 4, "usage: faces MODELS FILM OUT.json [draft|standard|max] [WORKERS] [STILLS_DIR]");
    let recall = match args.get(4).map(String::as_str) {
        Some("draft") => Recall::Draft,
        Some("max") => Recall::Max,
        _ => Recall::Standard,
    };
    let workers = args.get(5).map_or(Ok(1), |n| n.parse())?;
    let stills = args.get(6).map(Path::new);
    let runtime = Runtime::load(None, Device::Cpu)?;
    let models = ModelSet::discover(&[args[1].clone().into()])?;
    let (width, height, fps) = probe(&args[2])?;
    let options = AnalyserOptions { fps, workers, ..AnalyserOptions::default() };
    let mut analyser = Analyser::new(&models, &runtime, recall, options)?;

    let mut tracks: BTreeMap<u32, Vec<serde_json::Value>> = BTreeMap::new();
    let mut by_frame: BTreeMap<u64, Vec<(u32, FaceSample)>> = BTreeMap::new();
    let (mut shots, mut summaries) = (Vec::new(), Vec::new());
    let mut emit = |event: VisionEvent| {
        match event {
            VisionEvent::Shot { range } => shots.push((range.start.0, range.end.0)),
            VisionEvent::Samples { track, samples } => {
                let rows = tracks.entry(track).or_default();
                for s in samples {
                    rows.push(row(&s));
                    if stills.is_some() && s.frame.0.is_multiple_of(20) {
                        by_frame.entry(s.frame.0).or_default().push((track, s));
                    }
                }
            }
            VisionEvent::TrackEnd { summary, .. } => summaries.push(summary),
        }
        Ok(())
    };
    let start = std::time::Instant::now();
    let mut child = decode(&args[2])?;
    let mut pipe = child.stdout.take().ok_or_else(|| anyhow::anyhow!("no pipe"))?;
    let layout = PixelLayout { model: ColorModel::Yuv, depth: 8, log2_chroma_w: 1, log2_chroma_h: 1 };
    let mut bytes = vec![0u8; layout.frame_bytes(width, height)];
    let mut count = 0;
    let most: u64 = std::env::var("FACES_FRAMES").map_or(Ok(u64::MAX), |n| n.parse())?;
    while count < most && pipe.read_exact(&mut bytes).is_ok() {
        let frame = to_frame(&bytes, width, height, layout);
        let (index, pts) = (FrameIndex(count), Timestamp(i64::try_from(count)?));
        analyser.push(Arc::new(RawFrame { frame, index, pts, duration: None }), &mut emit)?;
        count += 1;
    }
    analyser.finish(&mut emit)?;
    drop(pipe);
    child.kill()?;
    child.wait()?;
    let seconds = start.elapsed().as_secs_f64();
    let people = cluster_people(&summaries);
    let ends: Vec<_> = summaries
        .iter()
        .map(|s| {
            serde_json::json!({"track": s.track, "first": s.first.0, "last": s.last.0, "seen": [s.first_seen.0, s.last_seen.0],
            "max": s.max_score, "mean": s.mean_score, "detected": s.detected_count, "confirmed": s.confirmed,
            "embeddings": s.embeddings.len(), "person": people.iter().find(|p| p.0 == s.track).map(|p| p.1)})
        })
        .collect();
    let out = serde_json::json!({"size": [width, height], "fps": fps, "frames": count, "shots": shots, "tracks": tracks, "ends": ends});
    std::fs::write(&args[3], serde_json::to_vec(&out)?)?;
    if let Some(dir) = stills {
        draw(&args[2], dir, width, height, layout, &by_frame)?;
    }
    println!(
        "{}: {count} frames, {} tracks, {:.1} ms/frame wall",
        args[2],
        ends.len(),
        1000.0 * seconds / count.max(1) as f64
    );
    Ok(())
}

fn row(s: &FaceSample) -> serde_json::Value {
    let r = s.rect;
    let presence = s.landmarks.as_ref().map(|l| l.presence);
    serde_json::json!([s.frame.0, r.x0, r.y0, r.x1, r.y1, s.score, format!("{:?}", s.provenance), presence, s.quality])
}

fn probe(path: &str) -> anyhow::Result<(usize, usize, f32)> {
    let out = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "V:0", "-show_entries", "stream=width,height,avg_frame_rate"])
        .args(["-of", "csv=p=0", path])
        .output()?;
    let text = String::from_utf8(out.stdout)?;
    let parts: Vec<&str> = text.lines().next().unwrap_or_default().split(',').collect();
    anyhow::ensure!(parts.len() >= 3, "cannot probe {path}");
    let (a, b) = parts[2].split_once('/').unwrap_or((parts[2], "1"));
    let fps = a.parse::<f32>()? / b.parse::<f32>()?.max(1.0);
    Ok((parts[0].parse()?, parts[1].parse()?, fps))
}

fn decode(path: &str) -> anyhow::Result<std::process::Child> {
    let args = ["-nostdin", "-v", "error", "-i", path, "-map", "0:V:0", "-fps_mode", "passthrough"];
    let form = ["-pix_fmt", "yuv420p", "-color_range", "tv", "-f", "rawvideo", "-"];
    Ok(Command::new("ffmpeg").args(args).args(form).stdout(Stdio::piped()).spawn()?)
}

fn to_frame(bytes: &[u8], width: usize, height: usize, layout: PixelLayout) -> Frame {
    let mut at = 0;
    let planes = (0..3).map(|p| {
        let (width, height) = layout.plane_size(p, width, height);
        let samples = Samples::U8(bytes[at..at + width * height].to_vec());
        at += width * height;
        Plane { width, height, samples }
    });
    let planes = planes.collect();
    let color = ColorDesc { full_range: Some(false), ..ColorDesc::default() };
    Frame { width, height, layout, color, planes, interlaced: false, top_field_first: false }
}

fn draw(
    film: &str,
    dir: &Path,
    width: usize,
    height: usize,
    layout: PixelLayout,
    by_frame: &BTreeMap<u64, Vec<(u32, FaceSample)>>,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir)?;
    let mut child = decode(film)?;
    let mut pipe = child.stdout.take().ok_or_else(|| anyhow::anyhow!("no pipe"))?;
    let mut bytes = vec![0u8; layout.frame_bytes(width, height)];
    let mut index = 0;
    while by_frame.range(index..).next().is_some() && pipe.read_exact(&mut bytes).is_ok() {
        if let Some(samples) = by_frame.get(&index) {
            let frame = to_frame(&bytes, width, height, layout);
            let patch = frame.resized(width, height);
            let mut png = image::RgbImage::new(width as u32, height as u32);
            for (px, v) in png.pixels_mut().zip(patch.data.chunks_exact(3)) {
                px.0 = [0, 1, 2].map(|k| (v[k].clamp(0.0, 1.0) * 255.0) as u8);
            }
            for (_, s) in samples {
                mark(&mut png, s);
            }
            png.save(dir.join(format!("{index:06}.png")))?;
        }
        index += 1;
    }
    drop(pipe);
    child.kill()?;
    child.wait()?;
    Ok(())
}

fn mark(png: &mut image::RgbImage, s: &FaceSample) {
    let mut dot = |x: f32, y: f32, rgb: [u8; 3]| {
        if x >= 0.0 && y >= 0.0 && (x as u32) < png.width() && (y as u32) < png.height() {
            png.put_pixel(x as u32, y as u32, image::Rgb(rgb));
        }
    };
    let colour = match s.provenance {
        understudy::vision::Provenance::Detected => [0, 255, 0],
        understudy::vision::Provenance::Tracked => [255, 255, 0],
        understudy::vision::Provenance::Interpolated => [255, 128, 0],
        understudy::vision::Provenance::Predicted => [255, 0, 0],
    };
    let r = s.rect;
    for k in 0..400 {
        let u = k as f32 / 400.0;
        let (x, y) = (r.x0 + u * r.width(), r.y0 + u * r.height());
        [(x, r.y0), (x, r.y1), (r.x0, y), (r.x1, y)].iter().for_each(|p| dot(p.0, p.1, colour));
    }
    for (i, p) in s.landmarks.iter().flat_map(|l| l.points.iter().enumerate()) {
        let rgb = match i {
            468..473 => [255, 0, 0],
            473.. => [0, 0, 255],
            _ => [0, 255, 255],
        };
        dot(p[0], p[1], rgb);
    }
}
