//! Plan and cast to a finished part file.

use super::prepare::Prepare;
use super::sound::{self, SoundMaker};
use super::{Cancel, Progress, first_cause, join, queue_len};
use crate::card::Card;
use crate::image::{ColorDesc, ColorModel, PixelLayout, RawFrame};
use crate::media::{DecodeOptions, EncoderOverrides, Limits, OutputSpec, Preset, Probe, VideoReader, Writer};
use crate::plan::{Cast, Casting, Finding, Plan};
use crate::subtitles::ClearedText;
use crate::swap::{Double, Mesh};
use crate::treat::{ClearedFrame, FaceWork, Faults, Outcome, RegionPlan, TreatLog, Treater};
use crate::vault::RenderSeeds;
use crate::voice::Secret;
use crate::{Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// What to render.
pub struct RenderJob<'a> {
    /// The analysed film.
    pub input: &'a Path,
    /// Part file to write.
    pub part: &'a Path,
    /// Ending of the final name; chooses the container.
    pub extension: &'a str,
    /// What the output is for.
    pub preset: Preset,
    /// Encoder settings.
    pub encode: EncoderOverrides,
    /// What was found.
    pub plan: &'a Plan,
    /// Who becomes whom.
    pub casting: &'a Casting,
    /// The cast itself, for regions and voices.
    pub cast: &'a Cast,
    /// Probe of the film.
    pub probe: &'a Probe,
    /// Bounds on hostile input.
    pub limits: &'a Limits,
    /// The canonical mesh.
    pub mesh: &'a Mesh,
    /// Doubles by name.
    pub doubles: &'a BTreeMap<String, Double>,
    /// Threads for decoding and encoding.
    pub threads: usize,
    /// Seed of the grain; new from the operating system unless a test sets it.
    pub seed: u64,
    /// Seeds of voices and their noise.
    pub seeds: &'a RenderSeeds,
    /// Texts that go with it, freed of the cast's words.
    pub texts: &'a [ClearedText],
    /// Film of mattes to write beside (a part file), if wanted.
    pub matte: Option<&'a Path>,
    /// Failures on purpose.
    pub faults: &'a Faults,
}

/// What a render did.
#[derive(Debug, Clone, Default)]
pub struct RenderSummary {
    /// Frames written.
    pub frames: u64,
    /// Face-frames by outcome: swapped, redacted as cast, covered for want of a double, kept or revealed.
    pub swapped: u64,
    /// Redacted as cast.
    pub redacted: u64,
    /// Covered for want of a double.
    pub covered: u64,
    /// Kept or revealed.
    pub kept: u64,
    /// Doubts.
    pub findings: Vec<Finding>,
    /// Codecs chosen.
    pub encoders: String,
}

/// A treated frame on its way to the encoder.
struct Treated {
    frame: ClearedFrame,
    outcomes: Vec<(u32, Outcome)>,
    matte: Option<crate::image::Matte>,
}

/// Renders into the part file. Nothing is published here.
///
/// # Errors
/// Any; the part file is then worthless.
pub fn render(job: &RenderJob, progress: &dyn Progress, cancel: &Cancel) -> Result<RenderSummary> {
    sound::check_formats(&job.probe.audio)?;
    let mut policies = sound::stream_policies(job.cast, job.probe)?;
    if !job.probe.audio.is_empty() {
        progress.begin("listening", None);
    }
    let salvage = job.plan.salvaged;
    sound::cover_bleed(job.input, &job.probe.audio, &mut policies, job.limits, salvage, &|| cancel.check())?;
    let statistics = sound::listen(job.input, &job.probe.audio, &policies, job.limits, salvage, &|| cancel.check())?;
    let mut sounds = Vec::new();
    for (i, (info, statistics)) in job.probe.audio.iter().zip(statistics).enumerate() {
        let secret = Secret::from_bytes(job.seeds.voice(i)).with_noise(job.seeds.noise(i));
        let sound = SoundMaker::open(job.input, i, info, job.limits, salvage, &policies[i], statistics, &secret)?;
        sounds.push(sound.with_actors(super::actors::open(job.cast, job.probe, i, job.limits)?));
    }
    progress.end();
    progress.begin("rendering", Some(job.plan.video.frames));
    let bytes = job.probe.video.layout.frame_bytes(job.probe.video.width, job.probe.video.height);
    let (raw_tx, raw_rx) = bounded::<RawFrame>(queue_len(bytes));
    let (out_tx, out_rx) = bounded::<Treated>(queue_len(bytes));
    let prepare = Prepare::new(job.plan, job.casting, job.mesh, job.doubles, job.faults)?;
    let summary = std::thread::scope(|scope| -> Result<RenderSummary> {
        let spawn = |name: &str| std::thread::Builder::new().name(name.into());
        let start = |e| Error::io("cannot start a thread", Path::new("-"), e);
        let decode = spawn("decode").spawn_scoped(scope, move || decode_all(job, raw_tx, cancel)).map_err(start)?;
        let treat =
            spawn("treat").spawn_scoped(scope, move || treat_all(job, prepare, raw_rx, out_tx)).map_err(start)?;
        let written = encode_all(job, &mut sounds, out_rx, progress, cancel);
        let decoded = join(decode, "decoder").map(|()| RenderSummary::default());
        let treated = join(treat, "treatment").map(|()| RenderSummary::default());
        let mut results = first_cause(vec![written, treated, decoded])?;
        Ok(results.swap_remove(0))
    })?;
    progress.end();
    Ok(summary)
}

fn decode_all(job: &RenderJob, to: Sender<RawFrame>, cancel: &Cancel) -> Result<()> {
    let options = DecodeOptions { threads: job.threads, salvage: job.plan.salvaged };
    let mut reader = VideoReader::open(job.input, job.limits, options)?;
    while let Some(raw) = reader.next()? {
        cancel.check()?;
        if job.faults.decoder_error_at == Some(raw.index.0) {
            return Err(Error::Input("provoked".into()));
        }
        to.send(raw).map_err(|_gone| Error::Cancelled)?;
    }
    Ok(())
}

fn treat_all(job: &RenderJob, mut prepare: Prepare, from: Receiver<RawFrame>, to: Sender<Treated>) -> Result<()> {
    let regions = RegionPlan::of(job.cast, job.plan)?;
    let card = Card::for_film(job.cast, &job.probe.video)?;
    let treater = Treater {
        mesh: job.mesh,
        doubles: job.doubles,
        casting: job.casting,
        regions: &regions,
        card: card.as_ref(),
        time_base: job.plan.video.time_base,
        start: job.plan.video.start,
        seed: job.seed,
        faults: job.faults,
    };
    let most = rayon::current_num_threads().clamp(1, 8);
    let mut batch: Vec<(RawFrame, Vec<FaceWork>)> = Vec::with_capacity(most);
    let want_matte = job.matte.is_some();
    let flush = |batch: &mut Vec<(RawFrame, Vec<FaceWork>)>| -> Result<()> {
        let done: Vec<Result<Treated>> = std::mem::take(batch)
            .into_par_iter()
            .map(|(raw, work)| {
                if job.faults.worker_panic_at == Some(raw.index.0) {
                    panic!("provoked");
                }
                let r = treater.treat(raw, &work, want_matte)?;
                Ok(Treated { frame: r.frame, outcomes: r.outcomes, matte: r.matte })
            })
            .collect();
        for treated in done {
            to.send(treated?).map_err(|_gone| Error::Cancelled)?;
        }
        Ok(())
    };
    let mut take = |raw: RawFrame, work: Vec<FaceWork>| -> Result<()> {
        batch.push((raw, work));
        if batch.len() >= most { flush(&mut batch) } else { Ok(()) }
    };
    for raw in &from {
        prepare.push(raw, &mut take)?;
    }
    prepare.finish(&mut take)?;
    flush(&mut batch)
}

/// A grey lossless film of the same size and times.
fn matte_spec(path: &Path, job: &RenderJob) -> OutputSpec {
    let mut video = job.probe.video.clone();
    video.layout = PixelLayout { model: ColorModel::Gray, depth: 8, log2_chroma_w: 0, log2_chroma_h: 0 };
    video.color = ColorDesc { full_range: Some(true), ..ColorDesc::default() };
    OutputSpec {
        path: path.to_owned(),
        container_ext: "mkv".into(),
        preset: Preset::Lossless,
        video,
        audio: vec![],
        texts: vec![],
        threads: job.threads,
        overrides: EncoderOverrides::default(),
    }
}

fn encode_all(
    job: &RenderJob,
    sounds: &mut [SoundMaker],
    from: Receiver<Treated>,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<RenderSummary> {
    let spec = OutputSpec {
        path: job.part.to_owned(),
        container_ext: job.extension.to_owned(),
        preset: job.preset,
        video: job.probe.video.clone(),
        audio: job.probe.audio.clone(),
        texts: job.texts.to_vec(),
        threads: job.threads,
        overrides: job.encode.clone(),
    };
    let mut writer = Writer::create(&spec)?;
    let mut matte_writer = match job.matte {
        Some(path) => Some(Writer::create(&matte_spec(path, job))?),
        None => None,
    };
    let mut log = TreatLog::default();
    let mut summary = RenderSummary { encoders: writer.describe(), ..RenderSummary::default() };
    let base = job.plan.video.time_base;
    for treated in &from {
        cancel.check()?;
        let index = treated.frame.index().0;
        if job.faults.encoder_error_at == Some(index) {
            return Err(Error::Output("provoked".into()));
        }
        for (track, outcome) in &treated.outcomes {
            log.add(index, *track, *outcome);
        }
        writer.write_video(&treated.frame)?;
        if let (Some(w), Some(m)) = (&mut matte_writer, &treated.matte) {
            w.write_video(&treated.frame.matte_frame(m))?;
        }
        let seconds = base.seconds(treated.frame.pts());
        for s in sounds.iter_mut() {
            s.write_until(seconds + 0.25, &mut writer)?;
        }
        summary.frames += 1;
        progress.step(summary.frames);
    }
    if summary.frames != job.plan.video.frames {
        return Err(Error::Cancelled); // a stage before this one has failed and says why
    }
    for s in sounds.iter_mut() {
        s.write_until(sound::end_of_time(), &mut writer)?;
        summary.findings.extend(s.findings());
    }
    writer.finish()?;
    if let Some(w) = matte_writer {
        w.finish()?;
    }
    summary.swapped = log.total(|o| o == Outcome::Swapped);
    summary.redacted = log.total(|o| o == Outcome::Redacted);
    summary.covered = log.total(|o| matches!(o, Outcome::Covered(_)));
    summary.kept = log.total(|o| matches!(o, Outcome::Kept | Outcome::Revealed));
    summary.findings.extend(log.findings());
    Ok(summary)
}
