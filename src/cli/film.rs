//! `disguise`, `analyse`, `render`, `verify`.

use super::args;
use super::context::{Context, confine, library, make_report_dir, preset, recall, report_dir};
use super::progress::{err, out};
use super::{plans, vault};
use crate::media::{EncoderOverrides, Limits};
use crate::pipeline::{self, Checkpoint, DisguiseJob, Progress, Published};
use crate::plan::{Cast, Plan, fingerprint};
use crate::report::Report;
use crate::treat::Faults;
use crate::vault::Vault;
use crate::verify::{VerifyInput, VerifyOptions};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

fn read_cast(path: Option<&PathBuf>) -> Result<Cast> {
    path.map_or_else(|| Ok(Cast::default()), |p| Cast::read(p))
}

/// Runs `work` with a job made of the options.
fn with_job<T>(
    input: &Path,
    output: &args::Output,
    recall_arg: args::RecallArg,
    salvage: bool,
    context: &Context,
    work: impl FnOnce(DisguiseJob) -> Result<T>,
) -> Result<T> {
    let cast = read_cast(output.cast.as_ref())?;
    let doubles = library(&output.doubles)?;
    let job = DisguiseJob {
        input,
        output: &output.output,
        preset: preset(output.preset),
        encode: EncoderOverrides { crf: output.crf, speed: output.speed.clone() },
        cast: &cast,
        recall: recall(recall_arg),
        salvage,
        report: report_dir(&output.output, output.report.as_ref()),
        redacted: output.redacted,
        matte: output.matte.as_deref(),
        limits: Limits::default(),
        models: &context.models,
        runtime: &context.runtime,
        doubles: &doubles,
        threads: context.threads,
        force: output.force,
        seed: output.seed,
        faults: Faults::default(),
        checkpoint: Checkpoint::default(),
    };
    work(job)
}

/// What a command does.
enum Does<'p> {
    Analyse,
    /// Renders, by a plan if there is one already.
    Render(Option<&'p Plan>),
}

/// Runs `work` with the seeds and the checkpoint of a vault, if there is one, and tells what stays when it fails.
fn with_checkpoint<'a, T>(
    mut job: DisguiseJob<'a>,
    vault: Option<&'a Vault>,
    does: Does,
    work: impl FnOnce(&DisguiseJob) -> Result<T>,
) -> Result<T> {
    if let Some(vault) = vault {
        job.checkpoint = match does {
            Does::Analyse => Checkpoint::of_analysis(&job, vault)?,
            Does::Render(plan) => Checkpoint::of_render(&job, vault, plan)?,
        };
    }
    let result = work(&job);
    if let Some(saved) = job.checkpoint.saved() {
        tracing::info!("networks: {} answers known from before, {} asked", saved.recalled, saved.asked);
    }
    if let Err(e) = &result
        && let Some(path) = job.checkpoint.stop(e)
    {
        err(&format!(
            "note: checkpoint: the same command goes on from here; if it is not wanted, `understudy shred` it: {}",
            path.display()
        ));
    }
    result
}

/// Cheap checks of paths and cast, before networks are loaded.
fn check_early(input: &Path, output: &args::Output) -> Result<()> {
    pipeline::check_input(input)?;
    let extension = output.output.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    crate::media::check_container(preset(output.preset), &extension)?;
    pipeline::check_output(input, &output.output, output.force)?;
    read_cast(output.cast.as_ref()).map(|_| ())
}

/// Refuses to write over what a job reads, and two things to one place.
fn check_apart(writes: &[Option<&Path>], reads: &[Option<&Path>], cast: Option<&PathBuf>) -> Result<()> {
    // A file that is there by what it is, whatever it is called; another by its folder and name.
    let place = |p: &Path| match (p.canonicalize(), p.parent(), p.file_name()) {
        (Ok(there), _, _) => there,
        (_, Some(folder), Some(name)) => {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            folder.canonicalize().unwrap_or_else(|_e| folder.to_owned()).join(name)
        }
        _ => p.to_owned(),
    };
    let number = |p: &Path| {
        use std::os::unix::fs::MetadataExt;
        p.metadata().ok().map(|m| (m.dev(), m.ino()))
    };
    let same = |a: &Path, b: &Path| place(a) == place(b) || number(a).is_some() && number(a) == number(b);
    let actors = pipeline::actor_files(&read_cast(cast)?);
    let reads: Vec<&Path> = reads
        .iter()
        .copied()
        .flatten()
        .chain(cast.map(PathBuf::as_path))
        .chain(actors.iter().map(PathBuf::as_path))
        .collect();
    let writes: Vec<&Path> = writes.iter().copied().flatten().collect();
    for (i, path) in writes.iter().enumerate() {
        if reads.iter().chain(&writes[..i]).any(|other| same(path, other)) {
            return Err(Error::Usage(format!(
                "this would be written over the input or another file of the job; choose another name: {}",
                path.display()
            )));
        }
    }
    Ok(())
}

/// What the sandbox must leave to a job: the film, the cast with its pictures, doubles, and where things are written.
fn confine_job(
    machine: &args::Machine,
    input: &Path,
    output: &args::Output,
    plan: Option<&Path>,
    vault: Option<&Vault>,
) -> Result<()> {
    let cast = read_cast(output.cast.as_ref())?;
    if let Some(dir) = &output.report {
        make_report_dir(dir)?;
    }
    confine(machine, |access| {
        access.read(input);
        access.write_beside(&output.output);
        output.doubles.iter().chain(&output.cast).for_each(|p| access.read(p));
        pictures_of(&cast).iter().chain(&pipeline::actor_files(&cast)).for_each(|p| access.read(p));
        output.report.iter().for_each(|p| access.write_in(p));
        output.matte.as_deref().into_iter().chain(plan).for_each(|p| access.write_beside(p));
        if let Some(vault) = vault {
            access.write_beside(vault.path());
            // A checkpoint is of use to the same program only, so the program reads itself.
            std::env::current_exe().iter().for_each(|p| access.read(p));
        }
    })
}

/// Folders of the reference pictures that a cast names.
fn pictures_of(cast: &Cast) -> Vec<PathBuf> {
    let patterns = cast.people.iter().flat_map(|p| &p.refs).map(|r| cast.folder.join(r.get_ref()));
    patterns.filter_map(|p| p.parent().map(Path::to_owned)).collect()
}

/// `understudy disguise`
pub(super) fn disguise(a: args::Disguise) -> Result<()> {
    check_early(&a.input, &a.output)?;
    check_apart(
        &[Some(a.output.output.as_path()), a.output.matte.as_deref(), a.plan.as_deref()],
        &[Some(a.input.as_path()), a.kept.vault.as_deref(), a.kept.passphrase_file.as_deref()],
        a.output.cast.as_ref(),
    )?;
    let vault = vault::open(&a.kept)?;
    let readers = plans::Readers::new(vault.as_ref(), &a.encrypt_to)?;
    confine_job(&a.machine, &a.input, &a.output, a.plan.as_deref(), vault.as_ref())?;
    crate::media::init();
    crate::media::probe(&a.input, &Limits::default())?;
    let context = Context::new(&a.machine)?;
    let work = |job: &DisguiseJob| {
        let probe = crate::media::probe(job.input, &job.limits)?;
        let plan = job.analyse(&context.teller, &context.cancel)?;
        if let Some(path) = &a.plan {
            plans::write(path, &plan, &readers)?;
        }
        let published = pipeline::render_and_verify(job, &plan, &probe, &context.teller, &context.cancel)?;
        tell(&context, &plan, &published, job.output);
        Ok(())
    };
    with_job(&a.input, &a.output, a.recall, a.salvage, &context, |job| {
        with_checkpoint(job, vault.as_ref(), Does::Render(None), work)
    })
}

/// `understudy analyse`
pub(super) fn analyse(a: args::Analyse) -> Result<()> {
    pipeline::check_input(&a.input)?;
    pipeline::check_output(&a.input, &a.output, a.force)?;
    let output = args::Output::for_plan(&a.output);
    let reads = [Some(a.input.as_path()), a.kept.vault.as_deref(), a.kept.passphrase_file.as_deref()];
    check_apart(&[Some(a.output.as_path())], &reads, None)?;
    let vault = vault::open(&a.kept)?;
    let readers = plans::Readers::new(vault.as_ref(), &a.encrypt_to)?;
    confine_job(&a.machine, &a.input, &output, None, vault.as_ref())?;
    crate::media::init();
    crate::media::probe(&a.input, &Limits::default())?;
    let context = Context::new(&a.machine)?;
    let work = |job: &DisguiseJob| {
        let plan = job.analyse(&context.teller, &context.cancel)?;
        plans::write(&a.output, &plan, &readers)?;
        job.checkpoint.end();
        tell_plan(&context, &plan);
        Ok(())
    };
    with_job(&a.input, &output, a.recall, a.salvage, &context, |job| {
        with_checkpoint(job, vault.as_ref(), Does::Analyse, work)
    })
}

/// `understudy render`
pub(super) fn render(a: args::Render) -> Result<()> {
    let (plan, vault) = plans::open(&a.plan, &a.kept, &a.opens)?;
    let input = a.input.clone().unwrap_or_else(|| PathBuf::from(&plan.source_path));
    check_early(&input, &a.output)?;
    let reads = [
        Some(input.as_path()),
        Some(a.plan.as_path()),
        a.kept.vault.as_deref(),
        a.kept.passphrase_file.as_deref(),
        a.opens.identity.as_deref(),
    ];
    check_apart(&[Some(a.output.output.as_path()), a.output.matte.as_deref()], &reads, a.output.cast.as_ref())?;
    confine_job(&a.machine, &input, &a.output, None, vault.as_ref())?;
    if fingerprint(&input)? != plan.source {
        return Err(Error::Plan(format!(
            "the film is not the one that was analysed: analyse it again, or name the right one with --input: {}",
            input.display()
        )));
    }
    let context = Context::new(&a.machine)?;
    let salvage = plan.salvaged;
    let work = |job: &DisguiseJob| {
        let probe = crate::media::probe(job.input, &job.limits)?;
        let published = pipeline::render_and_verify(job, &plan, &probe, &context.teller, &context.cancel)?;
        tell(&context, &plan, &published, job.output);
        Ok(())
    };
    with_job(&input, &a.output, args::RecallArg::Standard, salvage, &context, |job| {
        with_checkpoint(job, vault.as_ref(), Does::Render(Some(&plan)), work)
    })
}

/// `understudy verify`
pub(super) fn verify(a: args::Verify) -> Result<()> {
    pipeline::check_input(&a.original)?;
    pipeline::check_input(&a.output)?;
    let plan = a.plan.as_ref().map(|p| plans::open(p, &a.kept, &a.opens)).transpose()?.map(|(plan, _)| plan);
    let cast = read_cast(a.cast.as_ref())?;
    let dir = report_dir(&a.output, a.report.as_ref());
    make_report_dir(&dir)?;
    confine(&a.machine, |access| {
        access.read(&a.original);
        access.read(&a.output);
        access.write_in(&dir);
        a.doubles.iter().chain(&pictures_of(&cast)).for_each(|p| access.read(p));
    })?;
    let context = Context::new(&a.machine)?;
    let limits = Limits::default();
    let probe = crate::media::probe(&a.original, &limits)?;
    let doubles = library(&a.doubles)?;
    let casting = match &plan {
        Some(plan) => {
            let mesh = crate::swap::Mesh::embedded()?;
            let choices = pipeline::double_choices(&doubles, &mesh, &context.models, &context.runtime, plan)?;
            context.cancel.check()?;
            let matched = pipeline::match_refs(&cast, plan, &context.models, &context.runtime)?;
            Some(crate::plan::Casting::resolve(plan, &cast, &choices, &matched)?)
        }
        None => None,
    };
    // What the cast says of voices must make sense for this film, as for a render.
    pipeline::stream_policies(&cast, &probe)?;
    let mut input = VerifyInput::new(&a.original, &a.output, &context.models, &context.runtime);
    (input.plan, input.casting, input.cast) = (plan.as_ref(), casting.as_ref(), Some(&cast));
    let options = match a.recall {
        args::RecallArg::Max => VerifyOptions::max(),
        _ => VerifyOptions::default(),
    };
    context.teller.begin("verifying", None);
    let verified = crate::verify::verify(&input, &options, &|done, total| {
        context.teller.step_of(done, total);
        context.cancel.check()
    })?;
    context.teller.end();
    crate::report::write(&dir, &verified.report, &verified.pictures, a.redacted)?;
    let page = dir.join("report.html");
    tell_attack(&context, &verified.report, &page);
    match crate::verify::breach(&verified.report) {
        None => Ok(()),
        Some(what) => Err(Error::Breach { what, text: format!("verification failed; see {}", page.display()) }),
    }
}

/// What the attack found, in lines or in events.
fn tell_attack(context: &Context, report: &Report, page: &Path) {
    let json = context.teller.is_json();
    for f in &report.failures {
        let class = crate::verify::class_of(f).word();
        context.teller.event(&serde_json::json!({
            "event": "failure", "kind": f.kind, "class": class, "count": f.count, "first_frame": f.first_frame, "text": f.detail,
        }));
        if !json {
            out(&format!("failed: {}: {}", f.kind, f.detail));
        }
    }
    for f in &report.warnings {
        context.teller.event(&serde_json::json!({
            "event": "warning", "kind": f.kind, "count": f.count, "first_frame": f.first_frame, "text": f.detail,
        }));
        if !json {
            out(&format!("look at: {}: {}", f.kind, f.detail));
        }
    }
    if report.cleared {
        context.teller.event(&serde_json::json!({"event": "cleared", "report": page.to_string_lossy()}));
        if !json {
            out(&format!("cleared; see {}", page.display()));
        }
    }
}

fn tell_plan(context: &Context, plan: &Plan) {
    let weak = plan.tracks.iter().filter(|t| !t.confirmed).count();
    context.teller.event(&serde_json::json!({
        "event": "plan", "frames": plan.video.frames, "people": plan.people.len(), "tracks": plan.tracks.len(),
        "shots": plan.cuts.len() + 1, "weak_tracks": weak,
    }));
    if !context.teller.is_json() {
        out(&format!(
            "{} frames, {} shots, {} people in {} tracks ({weak} doubtful)",
            plan.video.frames,
            plan.cuts.len() + 1,
            plan.people.len(),
            plan.tracks.len()
        ));
        for p in &plan.people {
            out(&format!("  person {}: tracks {:?}, {} frames", p.id, p.tracks, p.frames));
        }
    }
}

fn tell(context: &Context, plan: &Plan, published: &Published, output: &Path) {
    let s = &published.summary;
    context.teller.event(&serde_json::json!({
        "event": "cleared", "output": output.to_string_lossy(), "report": published.report_page.to_string_lossy(),
        "frames": s.frames, "people": plan.people.len(), "swapped": s.swapped, "redacted": s.redacted,
        "covered": s.covered, "kept": s.kept, "encoders": s.encoders,
    }));
    if context.teller.is_json() {
        return;
    }
    out(&format!(
        "{} frames, {} people; face-frames: {} swapped, {} redacted, {} covered for want of a double, {} kept",
        s.frames,
        plan.people.len(),
        s.swapped,
        s.redacted,
        s.covered,
        s.kept
    ));
    let mut told = std::collections::BTreeSet::new();
    for f in plan.findings.iter().chain(&s.findings) {
        if told.insert(&f.note) {
            out(&format!("note: {}", f.note));
        }
    }
    out(&format!("film: {}", output.display()));
    out(&format!("report: {}", published.report_page.display()));
    out("cleared by this program's own attack. A disguise lowers the risk; it cannot remove it.");
}
