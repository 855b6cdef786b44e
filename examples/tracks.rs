//! Counts tracks that are no faces: `tracks TEACHERS [--models DIR] [--frames N] [--skip N] [--pictures DIR] [--json FILE] CLIP...`
//!
//! Every clip is analysed as `understudy analyse` does it, by the built-in networks unless `--models` names a pack. Then the
//! networks in the folder TEACHERS (YuNet and Ultra-Light RFB-640) look at up to eleven places of every track, alone and in the
//! whole picture, and one that neither sees a face in, at 0.5 and 0.7, is a false one. `--pictures` writes one place of each track.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use understudy::geom::{InFrame, Rect};
use understudy::image::{Frame, RawFrame};
use understudy::infer::{Device, ModelSet, Runtime};
use understudy::media::{DecodeOptions, Limits, VideoReader};
use understudy::vision::{
    Analyser, AnalyserOptions, Detection, FaceSample, Look, Networks, Picture, Provenance, Recall, TrackSummary,
    VisionEvent,
};

/// Places looked at: the surest, and as many spread over the track.
const PLACES: usize = 5;
/// The teachers look at the whole picture too in one frame of so many.
const WHOLE_EVERY: u64 = 6;
/// Scores from which a teacher sees a face, and the overlap with the place.
const YUNET: f32 = 0.5;
const RFB: f32 = 0.7;
const OVERLAP: f32 = 0.3;
/// Height of a face, in pixels, from which on none may be missed.
const LARGE: f32 = 48.0;
/// Side of a picture of a place, in pixels, and over the place's size.
const SIDE: usize = 96;
const GROW: f32 = 2.4;

#[derive(Default)]
struct Arguments {
    teachers: PathBuf,
    models: Vec<PathBuf>,
    frames: usize,
    skip: u64,
    pictures: Option<PathBuf>,
    json: Option<PathBuf>,
    clips: Vec<PathBuf>,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut all = Arguments { frames: 250, ..Arguments::default() };
    let mut args = std::env::args().skip(1);
    all.teachers = args.next().ok_or("say: tracks TEACHERS [OPTION...] CLIP...")?.into();
    while let Some(a) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{a} needs a value"));
        match a.as_str() {
            "--models" => all.models.push(value()?.into()),
            "--frames" => all.frames = value()?.parse()?,
            "--skip" => all.skip = value()?.parse()?,
            "--pictures" => all.pictures = Some(value()?.into()),
            "--json" => all.json = Some(value()?.into()),
            _ => all.clips.push(a.into()),
        }
    }
    Ok(all)
}

/// Counts of tracks: all, and those that no teacher sees a face in; before and after the verifier.
#[derive(Default, Clone, Copy)]
struct Counts {
    seconds: f32,
    tracks: [u32; 2],
    false_tracks: [u32; 2],
    /// Tracks dropped in which a teacher sees a face: large ones, and smaller ones.
    lost: [u32; 2],
}

impl Counts {
    fn line(&self, name: &str) -> String {
        let per_minute = |n: u32| n as f32 * 60.0 / self.seconds.max(1e-3);
        format!(
            "{name:<52} {:>6.1} s {:>4} tracks, {:>4} false ({:>6.1} a minute); kept {:>4}, {:>3} false ({:>5.1} a minute); faces dropped: {} of {LARGE} px, {} smaller",
            self.seconds,
            self.tracks[0],
            self.false_tracks[0],
            per_minute(self.false_tracks[0]),
            self.tracks[1],
            self.false_tracks[1],
            per_minute(self.false_tracks[1]),
            self.lost[0],
            self.lost[1],
        )
    }

    fn add(&mut self, o: &Self) {
        self.seconds += o.seconds;
        for k in 0..2 {
            self.tracks[k] += o.tracks[k];
            self.false_tracks[k] += o.false_tracks[k];
            self.lost[k] += o.lost[k];
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = arguments()?;
    let runtime = Runtime::load(None, Device::Cpu)?;
    let mut teachers = Networks::open(&ModelSet::discover(std::slice::from_ref(&args.teachers))?, &runtime)?;
    let models = ModelSet::discover(&args.models)?;
    let (mut sum, mut rows) = (Counts::default(), Vec::new());
    if let Some(folder) = &args.pictures {
        std::fs::create_dir_all(folder)?;
    }
    for clip in &args.clips {
        let counts = count(&args, clip, &models, &runtime, &mut teachers, &mut rows)?;
        println!("{}", counts.line(&clip.to_string_lossy()));
        sum.add(&counts);
    }
    println!("{}", sum.line("all"));
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string(&rows)?)?;
    }
    Ok(())
}

fn count(
    args: &Arguments,
    clip: &Path,
    models: &ModelSet,
    runtime: &Runtime,
    teachers: &mut Networks,
    rows: &mut Vec<serde_json::Value>,
) -> Result<Counts, Box<dyn Error>> {
    let mut reader = VideoReader::open(clip, &Limits::default(), DecodeOptions { threads: 1, salvage: false })?;
    let fps = reader.info().avg_frame_rate as f32;
    let options = AnalyserOptions { fps, ..AnalyserOptions::default() };
    let mut analyser = Analyser::new(models, runtime, Recall::Standard, options)?;
    let mut frames: Vec<Arc<RawFrame>> = Vec::new();
    let mut samples: BTreeMap<u32, Vec<FaceSample>> = BTreeMap::new();
    let mut summaries: Vec<TrackSummary> = Vec::new();
    let mut take = |event: VisionEvent| {
        match event {
            VisionEvent::Samples { track, samples: new } => samples.entry(track).or_default().extend(new),
            VisionEvent::TrackEnd { summary, .. } => summaries.push(summary),
            VisionEvent::Shot { .. } => {}
        }
        Ok(())
    };
    while frames.len() < args.frames {
        let Some(mut raw) = reader.next()? else { break };
        let Some(index) = raw.index.0.checked_sub(args.skip) else { continue };
        raw.index.0 = index;
        let raw = Arc::new(raw);
        frames.push(Arc::clone(&raw));
        analyser.push(raw, &mut take)?;
    }
    analyser.finish(&mut take)?;
    let name = clip.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut counts = Counts { seconds: frames.len() as f32 / fps.max(1.0), ..Counts::default() };
    let mut whole: BTreeMap<u64, Vec<Detection>> = BTreeMap::new();
    for summary in &summaries {
        let track = samples.get(&summary.track).map_or(&[][..], Vec::as_slice);
        let mut widths: Vec<f32> = track.iter().map(|s| s.rect.width()).collect();
        widths.sort_by(f32::total_cmp);
        let width = widths.get(widths.len() / 2).copied().unwrap_or(0.0);
        let (mut seen, mut height) = ((0.0f32, 0.0f32), 0.0f32);
        let places = places(track);
        for s in &places {
            let Some(raw) = frames.get(s.frame.0 as usize) else { continue };
            let mut found = Vec::new();
            if s.frame.0.is_multiple_of(WHOLE_EVERY) {
                let all = match whole.entry(s.frame.0) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(slot) => {
                        let look = Look::at_whole(&raw.frame, 1280, YUNET);
                        slot.insert(teachers.detector.detect(&raw.frame, &look)?)
                    }
                };
                found.extend(all.iter());
            }
            let (yunet, rfb) = look(teachers, &raw.frame, &s.rect, found)?;
            seen = (seen.0.max(yunet), seen.1.max(rfb));
            height = height.max(s.rect.height());
        }
        let face = seen.0 >= YUNET || seen.1 >= RFB;
        let kept = !summary.disbelieved;
        for k in 0..if kept { 2 } else { 1 } {
            counts.tracks[k] += 1;
            counts.false_tracks[k] += u32::from(!face);
        }
        if face && !kept {
            counts.lost[usize::from(height < LARGE)] += 1;
        }
        if let (Some(folder), Some(s)) = (&args.pictures, places.iter().max_by(|a, b| a.score.total_cmp(&b.score))) {
            let what = (if kept { "kept" } else { "dropped" }, if face { "face" } else { "other" });
            let path = folder.join(format!("{}-{}-{name}-{}.png", what.0, what.1, summary.track));
            if let Some(raw) = frames.get(s.frame.0 as usize) {
                draw(&raw.frame, &s.rect, &path)?;
            }
        }
        rows.push(serde_json::json!({
            "clip": name, "track": summary.track, "width": width, "height": height, "frames": track.len(),
            "detected": summary.detected_count, "max_score": summary.max_score, "mean_score": summary.mean_score,
            "belief": summary.belief, "kept": kept, "yunet": seen.0, "rfb": seen.1,
            "places": places.iter().map(|s| (s.frame.0, s.score, [s.rect.x0, s.rect.y0, s.rect.x1, s.rect.y1])).collect::<Vec<_>>(),
        }));
    }
    Ok(counts)
}

/// The places of a track that are looked at: its surest detections, and some spread over it.
fn places(track: &[FaceSample]) -> Vec<&FaceSample> {
    let mut seen: Vec<&FaceSample> = track.iter().filter(|s| s.provenance == Provenance::Detected).collect();
    let spread = (0..PLACES).filter_map(|k| seen.get(k * seen.len() / PLACES));
    let mut chosen: BTreeSet<u64> = spread.map(|s| s.frame.0).collect();
    chosen.extend(seen.iter().find(|s| s.frame.0.is_multiple_of(WHOLE_EVERY)).map(|s| s.frame.0));
    seen.sort_by(|a, b| b.score.total_cmp(&a.score));
    chosen.extend(seen.iter().take(PLACES).map(|s| s.frame.0));
    track.iter().filter(|s| chosen.contains(&s.frame.0)).collect()
}

/// The best scores of YuNet and RFB-640 at a place; `found` is what YuNet saw in the whole picture.
fn look(
    teachers: &mut Networks,
    frame: &Frame,
    place: &Rect<InFrame>,
    mut found: Vec<Detection>,
) -> Result<(f32, f32), Box<dyn Error>> {
    let best =
        |all: &[Detection]| all.iter().filter(|d| d.rect.iou(place) > OVERLAP).map(|d| d.score).fold(0.0, f32::max);
    for (grow, side) in [(3.0, 160), (6.0, 320)] {
        if let Some(look) = Look::around(frame, place, grow, side, YUNET) {
            found.extend(teachers.detector.detect(frame, &look)?);
        }
    }
    let mut second = Vec::new();
    if let (Some(rfb), Some(look)) = (&mut teachers.second, Look::around(frame, place, 4.0, 640, RFB)) {
        second = rfb.detect(frame, &look)?;
    }
    Ok((best(&found), best(&second)))
}

fn draw(frame: &Frame, place: &Rect<InFrame>, path: &Path) -> Result<(), Box<dyn Error>> {
    let (c, r) = (place.centre(), GROW * place.size() / 2.0);
    let picture = Picture::of(frame, &Rect::new(c.x - r, c.y - r, c.x + r, c.y + r), SIDE, SIDE);
    let [red, green, blue] = &picture.planes;
    let pixels: Vec<u8> =
        red.iter().zip(green).zip(blue).flat_map(|((r, g), b)| [*r as u8, *g as u8, *b as u8]).collect();
    image::save_buffer(path, &pixels, SIDE as u32, SIDE as u32, image::ColorType::Rgb8)?;
    Ok(())
}
