//! `bench`: what each stage costs on a clip, per device.

use super::args;
use super::context::{Context, confine, library};
use super::progress::out;
use crate::image::RawFrame;
use crate::media::{DecodeOptions, Limits, VideoReader};
use crate::swap::{self, Mesh};
use crate::vision::{Detection, Landmarks, Look, Networks, find_landmarks, five_points};
use crate::{Error, Result};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Time of one stage.
#[derive(Debug, Default, Clone)]
struct Stage {
    name: &'static str,
    runs: u64,
    total: Duration,
    unit: &'static str,
}

struct Table(Vec<Stage>);

impl Table {
    fn time<T>(&mut self, name: &'static str, unit: &'static str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let value = work();
        let took = start.elapsed();
        let i = self.0.iter().position(|s| s.name == name).unwrap_or_else(|| {
            self.0.push(Stage { name, unit, ..Stage::default() });
            self.0.len() - 1
        });
        self.0[i].runs += 1;
        self.0[i].total += took;
        value
    }
}

/// `understudy bench`
pub(super) fn run(a: args::Bench) -> Result<()> {
    let clip = match &a.clip {
        Some(c) => c.clone(),
        None => shipped_sample()?,
    };
    crate::pipeline::check_input(&clip)?;
    confine(&a.machine, |access| access.read(&clip))?;
    let context = Context::new(&a.machine)?;
    let mut table = Table(vec![]);
    measure(&a, &clip, &context, &mut table)?;
    let device = format!("{:?}", context.runtime.device()).to_lowercase();
    if a.machine.json {
        for s in &table.0 {
            let ms = s.total.as_secs_f64() * 1e3 / s.runs.max(1) as f64;
            out(&serde_json::json!({"event": "stage", "stage": s.name, "device": device, "runs": s.runs,
                "ms": ms, "per": s.unit})
            .to_string());
        }
        return Ok(());
    }
    out(&format!("{:<28} {:>8} {:>10}   on {device}, one thread each", "stage", "runs", "ms"));
    for s in &table.0 {
        let ms = s.total.as_secs_f64() * 1e3 / s.runs.max(1) as f64;
        out(&format!("{:<28} {:>8} {:>10.2}   per {}", s.name, s.runs, ms, s.unit));
    }
    Ok(())
}

/// The clip that ships beside the source, for a bench without arguments.
fn shipped_sample() -> Result<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/interview.mp4"));
    if path.is_file() { Ok(path) } else { Err(Error::Usage("name a clip: understudy bench CLIP".into())) }
}

fn measure(a: &args::Bench, clip: &std::path::Path, context: &Context, table: &mut Table) -> Result<()> {
    let mesh = Mesh::embedded()?;
    let doubles = library(&[])?;
    let first = doubles.cards().next().map(|c| c.name.clone());
    let double = first.map(|n| doubles.load(&mesh, &n)).transpose()?;
    let mut networks = Networks::open(&context.models, &context.runtime)?;
    let options = DecodeOptions { threads: 1, salvage: false };
    let mut reader = VideoReader::open(clip, &Limits::default(), options)?;
    let mut faces: Vec<(RawFrame, Landmarks)> = Vec::new();
    for _ in 0..a.frames {
        context.cancel.check()?;
        let Some(raw) = table.time("decode", "frame", || reader.next())? else { break };
        let look = Look::at_whole(&raw.frame, 640, 0.5);
        let found: Vec<Detection> =
            table.time("detect, long side 640", "frame", || networks.detector.detect(&raw.frame, &look))?;
        let Some(best) = found.iter().max_by(|x, y| x.rect.area().total_cmp(&y.rect.area())) else { continue };
        let Some(landmarks) = networks.landmarks.as_mut() else { continue };
        let mesh_of = table
            .time("landmarks, two passes", "face", || find_landmarks(landmarks.as_mut(), &raw.frame, best, None))?;
        let Some(points) = mesh_of else { continue };
        if let Some(e) = networks.embedding.as_mut() {
            let five = five_points(&points);
            table.time("embedding", "face", || e.embed(&raw.frame, &five))?;
        }
        if faces.len() < 60 {
            faces.push((raw, points));
        }
    }
    let Some(double) = double else { return Ok(()) };
    let meshes: Vec<_> = faces.iter().map(|(_, l)| l.points.clone()).collect();
    let Some(neutral) = swap::estimate_neutral(&mesh, &meshes) else { return Ok(()) };
    let tracks: Vec<_> = meshes.into_iter().map(Some).collect();
    let motion = table.time("plan motion", "clip", || swap::plan_motion(&mesh, &double, &neutral, &tracks, 25.0));
    for ((mut raw, _), m) in faces.into_iter().zip(motion) {
        let Some(m) = m else { continue };
        let light = table.time("measure light", "face", || swap::probe_light(&mesh, &raw.frame, &m.subject))?;
        let size = (raw.frame.width, raw.frame.height);
        let face = table.time("render double", "face", || swap::render(&mesh, &double, &m, &light, size, 1))?;
        table.time("composite", "face", || swap::composite(&mesh, &mut raw.frame, &m, &face, 0.0, &[]))?;
    }
    Ok(())
}
