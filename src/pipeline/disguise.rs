//! The whole way of a film: analyse, cast, render, verify, publish.

use super::audition::{Audition, Jury};
use super::checkpoint::{Checkpoint, SEARCH};
use super::prepare::neutral_of;
use super::texts::{self, Texts};
use super::watch::Watch;
use super::{AnalyseJob, Cancel, Progress, RenderJob, RenderSummary, analyse, render};
use crate::card::Card;
use crate::files::PartFile;
use crate::image::Frame;
use crate::infer::{ModelSet, Role, Runtime};
use crate::media::{EncoderOverrides, Limits, Preset, Probe};
use crate::plan::{
    Cast, Casting, DoubleChoice, FaceChoice, FaceTreatment, Finding, ModelUsed, Plan, PlanTrack, fingerprint,
};
use crate::report::{IdentityReport, Pictures, Report};
use crate::swap::{self, Double, DoubleLibrary, Mesh, Neutral};
use crate::treat::Faults;
use crate::verify::{self, Missed, Search, VerifyInput, VerifyOptions};
use crate::vision::{AnalyserOptions, Embedder, Recall};
use crate::{Breach, Error, Result};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Everything a film needs on its way.
pub struct DisguiseJob<'a> {
    /// The film.
    pub input: &'a Path,
    /// Its disguised version.
    pub output: &'a Path,
    /// What the output is for.
    pub preset: Preset,
    /// Encoder settings.
    pub encode: EncoderOverrides,
    /// Who becomes whom.
    pub cast: &'a Cast,
    /// How carefully to look.
    pub recall: Recall,
    /// Process what decodes of a damaged file.
    pub salvage: bool,
    /// Where the report goes.
    pub report: PathBuf,
    /// Leave originals out of the report.
    pub redacted: bool,
    /// Film of mattes, if wanted.
    pub matte: Option<&'a Path>,
    /// Bounds on hostile input.
    pub limits: Limits,
    /// Networks.
    pub models: &'a ModelSet,
    /// Where they run.
    pub runtime: &'a Runtime,
    /// All doubles that may be cast.
    pub doubles: &'a DoubleLibrary,
    /// Threads for decoding and encoding.
    pub threads: usize,
    /// Replace the output if it exists.
    pub force: bool,
    /// Seed of the grain, for tests; `None` takes that of the checkpoint.
    pub seed: Option<u64>,
    /// Failures on purpose, for tests.
    pub faults: Faults,
    /// Seeds, and what an earlier run of this job has learned.
    pub checkpoint: Checkpoint<'a>,
}

/// A film that was published.
#[derive(Debug)]
pub struct Published {
    /// What rendering did.
    pub summary: RenderSummary,
    /// What the attack found.
    pub report: Report,
    /// The page to look at.
    pub report_page: PathBuf,
}

impl DisguiseJob<'_> {
    /// Refuses what must not be started: output = input, an existing output, a folder that cannot be written.
    ///
    /// # Errors
    /// `Usage`, `Input` or `Io`.
    pub fn check_paths(&self) -> Result<()> {
        check_input(self.input)?;
        let extension = self.output.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        crate::media::check_container(self.preset, &extension)?;
        check_output(self.input, self.output, self.force)
    }

    /// The film's texts, freed of the cast's words, as far as the cast lets them pass.
    fn texts(&self) -> Result<Texts> {
        let texts = texts::clear(self.input, self.cast, &self.limits, self.salvage)?;
        if !texts.cleared.is_empty() {
            let extension = self.output.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
            crate::media::check_text_container(self.preset, &extension)?;
        }
        Ok(texts)
    }

    /// Finds the faces of the film.
    ///
    /// # Errors
    /// As [`analyse`].
    pub fn analyse(&self, progress: &dyn Progress, cancel: &Cancel) -> Result<Plan> {
        self.models.require()?;
        let probe = crate::media::probe(self.input, &self.limits)?;
        let fps = probe.video.avg_frame_rate as f32;
        let mut options = AnalyserOptions { workers: self.threads.clamp(1, 8), ..AnalyserOptions::default() };
        if fps.is_finite() && (1.0..=1000.0).contains(&fps) {
            options.fps = fps;
        }
        let analyser = self.checkpoint.analyser(self.models, self.runtime, self.recall, options)?;
        let job = AnalyseJob {
            input: self.input,
            limits: &self.limits,
            salvage: self.salvage,
            recall: self.recall,
            models: models_used(self.models),
            threads: self.threads,
            max_tracks: 100_000,
            checkpoint: &self.checkpoint,
        };
        let mut plan = analyse(&job, analyser, progress, cancel)?;
        crate::media::trim_memory();
        plan.findings.extend(built_in_doubt(self.models));
        Ok(plan)
    }
}

/// Refuses an input that is no readable file.
///
/// # Errors
/// `Input`.
pub fn check_input(input: &Path) -> Result<()> {
    let meta = std::fs::metadata(input)
        .map_err(|e| Error::Input(format!("cannot open the input ({e}): {}", input.display())))?;
    if meta.is_dir() {
        return Err(Error::Input(format!(
            "the input is a folder (use `understudy archive` for folders): {}",
            input.display()
        )));
    }
    if meta.len() == 0 {
        return Err(Error::Input(format!("the input is empty: {}", input.display())));
    }
    Ok(())
}

/// Refuses an output that is the input, exists, or cannot be written.
///
/// # Errors
/// `Usage` or `Io`.
pub fn check_output(input: &Path, output: &Path, force: bool) -> Result<()> {
    if same_file(input, output) {
        return Err(Error::Usage(format!(
            "the output is the input; choose another name (the source is never overwritten): {}",
            output.display()
        )));
    }
    if output.is_dir() {
        return Err(Error::Usage(format!("the output is a folder; give a file name: {}", output.display())));
    }
    if output.exists() && !force {
        return Err(Error::Usage(format!("the output exists; remove it or add --force: {}", output.display())));
    }
    let folder = match output.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        return Err(Error::Output(format!("the output folder does not exist: {}", folder.display())));
    }
    drop(PartFile::create(output)?); // proves that the folder can be written before hours of work
    Ok(())
}

fn same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (std::fs::metadata(a), std::fs::metadata(b)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// Names, hashes and roles of the networks that take part.
#[must_use]
pub fn models_used(models: &ModelSet) -> Vec<ModelUsed> {
    let used = |m: &crate::infer::InstalledModel| ModelUsed {
        name: m.entry.name.clone(),
        sha256: m.entry.sha256.clone(),
        role: m.entry.role.to_string(),
    };
    Role::ALL.iter().filter_map(|r| models.best(*r)).map(used).collect()
}

/// What it means that only built-in networks looked for faces; `None` if a stronger one is installed.
#[must_use]
pub fn built_in_doubt(models: &ModelSet) -> Option<Finding> {
    models.is_built_in(Role::Detector).then(|| Finding {
        kind: "networks.built_in".into(),
        frame: None,
        track: None,
        count: 0,
        note: "only the built-in networks looked: faces under 64 pixels, turned away, half covered or in the dark may \
               have been missed. Look through the film, or install a pack of networks and run again"
            .into(),
    })
}

/// Disguises a film from start to end. The film appears under its name only if it was cleared.
///
/// # Errors
/// `Breach` if the attack succeeded: the report says where, nothing stands under the final name.
pub fn disguise(job: &DisguiseJob, progress: &dyn Progress, cancel: &Cancel) -> Result<(Plan, Published)> {
    job.check_paths()?;
    let probe = crate::media::probe(job.input, &job.limits)?;
    Card::for_film(job.cast, &probe.video)?; // refused before hours of work, not after
    job.texts()?;
    let plan = job.analyse(progress, cancel)?;
    let published = render_and_verify(job, &plan, &probe, progress, cancel)?;
    Ok((plan, published))
}

/// Renders a plan, attacks the result and publishes it if cleared.
///
/// # Errors
/// As [`disguise`].
pub fn render_and_verify(
    job: &DisguiseJob,
    plan: &Plan,
    probe: &Probe,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Published> {
    let watch = Watch::begin(job.input)?;
    if fingerprint(job.input)? != plan.source {
        return Err(Error::Input(format!(
            "the input is not the film that was analysed; analyse it again: {}",
            job.input.display()
        )));
    }
    Card::for_film(job.cast, &probe.video)?;
    let texts = job.texts()?;
    let mesh = Mesh::embedded()?;
    let matched = match_refs(job.cast, plan, job.models, job.runtime)?;
    progress.begin("searching again", frames_of(plan));
    let mut audition = Audition::new(plan)?;
    let mut seen = |index: u64, frame: &Frame| {
        job.checkpoint.step();
        audition.see(index, frame);
        progress.step(index + 1);
        cancel.check()
    };
    job.checkpoint.begin(SEARCH);
    let networks = job.checkpoint.networks(job.models, job.runtime)?;
    let options = VerifyOptions::default();
    let searched = verify::search_with(networks, job.input, plan.salvaged, &options, &mut seen)?;
    job.checkpoint.step();
    progress.end();
    cancel.check()?;
    let mut choices = choices(job.doubles, &mesh, job.models, job.runtime, plan, Some(&audition))?;
    drop(audition);
    crate::media::trim_memory();
    let missed = searched.missed(plan, &Casting::resolve(plan, job.cast, &choices, &matched)?)?;
    let known: BTreeSet<u32> = plan.tracks.iter().map(|t| t.id).collect();
    let mut plan = plan.clone();
    add_missed(&mut plan, &missed)?;
    let mut covered: BTreeSet<u32> = BTreeSet::new();
    let mut earnest: BTreeSet<u32> = BTreeSet::new();
    let mut best: Option<Cleared> = None;
    let mut heard = 0;
    for attempt in 1..=ATTEMPTS {
        let mut casting = Casting::resolve(&plan, job.cast, &choices, &matched)?;
        casting.protect_all_but(&known);
        covered.iter().for_each(|t| casting.cover(*t));
        let resembled = near_by_audition(&plan, &casting, &choices);
        let doubles = load_doubles(job.doubles, &mesh, &casting, (&earnest, &resembled))?;
        let tried = attempt_once(job, &plan, probe, &mesh, (&casting, &doubles), &searched, &texts, progress, cancel)?;
        let near = match &tried {
            Attempt::Cleared(c) if !job.models.is_built_in(Role::Embedding) => {
                let better = |alias: &String| is_better_left(alias, &c.report, &plan, &casting, &choices);
                c.near_misses().into_iter().filter(better).collect()
            }
            _ => vec![],
        };
        let mut change = |accused: &[String], missed: &[Missed], report: &Report, step: Step| {
            let added = add_missed(&mut plan, missed)?;
            let weak = missed.iter().filter_map(|m| m.track).filter(|t| covered.insert(*t)).count() > 0;
            // A broad smile is itself a likeness.
            let named = report.people.iter().filter(|p| accused.contains(&p.alias));
            earnest.extend(named.flat_map(|p| &p.tracks));
            let recast = recast(job, &plan, report, accused, &casting, step, &mut choices, &mut covered);
            Ok::<bool, Error>(weak | recast | added)
        };
        match tried {
            Attempt::Cleared(mut cleared) => {
                cleared.report.findings.extend(heard_before(heard));
                if best.as_ref().is_none_or(|b| cleared.nearest() < b.nearest()) {
                    best = Some(*cleared);
                }
                let Some(kept) = &best else { continue };
                // Whoever is near gets another double, never a cover: that is worse than a double that was cleared.
                if near.is_empty() || attempt >= NEAR_ATTEMPTS || !change(&near, &[], &kept.report, Step::SameLooks)? {
                    break;
                }
                progress
                    .note(&format!("{} is still somewhat like the original: trying another double", near.join(", ")));
            }
            Attempt::Refused(worse) if best.is_some() => {
                if attempt >= NEAR_ATTEMPTS || !change(&worse.accused, &[], &worse.report, Step::SameLooks)? {
                    break;
                }
            }
            Attempt::Refused(refused) => {
                let step = if attempt >= RECASTS { Step::Cover } else { Step::AnyLooks };
                let changed = change(&refused.accused, &refused.missed, &refused.report, step)?;
                // Two voices may share a few pulses by chance; with other noise and timing they do not again.
                let sound = |kind: &str| ["sound.raw", "sound.mixed", "sound.shifted"].contains(&kind);
                let chance = attempt < SOUND_ATTEMPTS && refused.report.failures.iter().all(|f| sound(&f.kind));
                if attempt == ATTEMPTS || !(changed || chance) {
                    return Err(residual(&refused.report, &job.report.join("report.html")));
                }
                heard += u64::from(chance);
                let how = if changed { "another double, or a cover" } else { "other noise" };
                progress.note(&format!(
                    "the attack succeeded ({}): trying again with {how}",
                    refused.report.failures.first().map_or("", |f| f.detail.as_str())
                ));
            }
        }
    }
    watch.check()?;
    let published = best.ok_or(Error::Cancelled)?.publish(job)?;
    job.checkpoint.end();
    Ok(published)
}

/// What the reader of a report must know of renders that were refused for raw voice alone.
fn heard_before(renders: u64) -> Option<Finding> {
    (renders > 0).then(|| Finding {
        kind: "sound.again".into(),
        frame: None,
        track: None,
        count: renders,
        note: "the attack heard raw voice in earlier renders of this film and none in this one: two voices can share a few \
               pulses by chance, but listen through the film before you publish it"
            .into(),
    })
}

fn frames_of(plan: &Plan) -> Option<u64> {
    (plan.video.frames > 0).then_some(plan.video.frames)
}

/// Adds places that only the attacker found; whether there were any.
fn add_missed(plan: &mut Plan, missed: &[Missed]) -> Result<bool> {
    let mut any = false;
    for m in missed.iter().filter(|m| !m.places.is_empty()) {
        any |= !plan.add_places(m.person, &m.places)?.is_empty();
    }
    Ok(any)
}

/// Most renders of one film before it is given up.
const ATTEMPTS: u32 = 5;
/// Renders after which raw voice that the attack finds, or a share of it mixed in, is no chance.
const SOUND_ATTEMPTS: u32 = 3;
/// Renders after which people whom the attack finds get another double; later they are covered.
const RECASTS: u32 = 2;
/// Cosine from which it is not the double that is too like somebody: parts of their own face are still there.
const OWN_FACE: f32 = 0.5;
/// … unless the double alone was nearly as like them when it was tried: on heads leant to the side all faces are somewhat alike.
const OWN_MARGIN: f32 = 0.25;

/// Renders after which a cleared film is good enough, however near the doubles are.
const NEAR_ATTEMPTS: u32 = 2;
/// Cosine of a person's mean output face with the original from which another double is tried, though the film would be
/// cleared: among a thousand strangers, some are nearer to the person than 0.22, few are nearer than 0.3.
const NEAR: f32 = 0.22;
/// The same of the few frames on which a double was tried, from which its differences are exaggerated more.
const NEAR_TRIED: f32 = 0.15;
/// Place among strangers from which one who looks through a list of suspects does not come to the person soon.
const NEAR_RANK: u64 = 20;
/// What a place nearer than that costs, in cosine, when attempts are compared.
const RANK_COST: f32 = 0.01;

/// How far to go for people whom the attack finds, or nearly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// A double of the same looks: the film was cleared as it is.
    SameLooks,
    /// Any double.
    AnyLooks,
    /// No double.
    Cover,
}

enum Attempt {
    Cleared(Box<Cleared>),
    Refused(Box<Refused>),
}

/// A rendering that may be published.
struct Cleared {
    part: PartFile,
    matte: Option<PartFile>,
    summary: RenderSummary,
    report: Report,
    pictures: Pictures,
}

impl Cleared {
    /// The swapped people whose faces are still somewhat like the original.
    fn near_misses(&self) -> Vec<String> {
        let near = |i: &IdentityReport| i.cosine_track >= NEAR || i.rank_track.is_some_and(|r| r < NEAR_RANK);
        self.swapped().filter(|(_, i)| near(i)).map(|(alias, _)| alias.to_owned()).collect()
    }

    /// The most that anybody is still like the original.
    fn nearest(&self) -> f32 {
        let rank = |i: &IdentityReport| i.rank_track.unwrap_or(NEAR_RANK).min(NEAR_RANK);
        let likeness = |i: &IdentityReport| i.cosine_track + RANK_COST * (NEAR_RANK - rank(i)) as f32;
        self.swapped().map(|p| likeness(p.1)).fold(-1.0, f32::max)
    }

    /// Of whom good faces are known: what may be no face is averaged away, whatever it resembles.
    fn swapped(&self) -> impl Iterator<Item = (&str, &IdentityReport)> {
        let people = self.report.people.iter().filter(|p| p.treatment == "swap");
        let known =
            people.filter_map(|p| Some((p, p.identity.as_ref().filter(|i| i.gallery >= verify::LEAST_GALLERY)?)));
        known.map(|(p, identity)| (p.alias.as_str(), identity))
    }

    /// Gives film, matte and report their names.
    fn publish(self, job: &DisguiseJob) -> Result<Published> {
        crate::report::write(&job.report, &self.report, &self.pictures, job.redacted)?;
        if let Some(m) = self.matte {
            m.publish()?;
        }
        self.part.publish()?;
        let report_page = job.report.join("report.html");
        Ok(Published { summary: self.summary, report: self.report, report_page })
    }
}

/// Why a rendering was not published.
struct Refused {
    report: Report,
    missed: Vec<Missed>,
    accused: Vec<String>,
}

/// Changes the cast of those whom the attack found, as far as the cast file leaves the choice open: another double
/// first, then a cover. `false` if nothing could be changed.
#[expect(clippy::too_many_arguments, reason = "one call site; a struct would only repeat these names")]
fn recast(
    job: &DisguiseJob,
    plan: &Plan,
    report: &Report,
    accused: &[String],
    casting: &Casting,
    step: Step,
    choices: &mut [DoubleChoice],
    covered: &mut BTreeSet<u32>,
) -> bool {
    let fixed: BTreeSet<&str> = job
        .cast
        .people
        .iter()
        .filter(|p| p.face.as_ref().is_some_and(|f| matches!(f.get_ref(), FaceChoice::Swap { double: Some(_), .. })))
        .map(|p| p.alias.get_ref().as_str())
        .collect();
    let mut changed = false;
    for person in &report.people {
        if !accused.contains(&person.alias) || fixed.contains(person.alias.as_str()) {
            continue;
        }
        let worst = person.identity.as_ref().map_or(0.0, |i| i.cosine_max);
        for track in &person.tracks {
            let Some(FaceTreatment::Swap { double, .. }) = casting.treatment_ref(*track).map(|t| &t.face) else {
                continue;
            };
            changed = true;
            // What was averaged away or too small for a double is covered whole; another double would change nothing.
            let weak = plan.track(*track).is_some_and(|t| !t.confirmed || t.width_px < crate::treat::SMALLEST_SWAP_PX);
            let owner = plan.track(*track).map(|t| t.person);
            let tried =
                owner.and_then(|o| choices.iter().find(|c| c.name == *double)?.likeness.get(&o).map(|l| l.cosine));
            let shows_through = worst >= OWN_FACE && tried.is_none_or(|t| worst > t + OWN_MARGIN);
            if weak || step == Step::Cover || shows_through || person.untouched > 0 {
                covered.insert(*track);
            } else if let Some(owner) = owner {
                for c in choices.iter_mut() {
                    if step == Step::AnyLooks {
                        c.any_looks_for.push(owner);
                    }
                    if double.split('+').any(|d| d == c.name) {
                        c.refused_for.push(owner);
                    }
                }
            }
        }
    }
    changed
}

/// Renders and attacks once; publishes if cleared.
#[expect(clippy::too_many_arguments, reason = "one call site; a struct would only repeat these names")]
fn attempt_once(
    job: &DisguiseJob,
    plan: &Plan,
    probe: &Probe,
    mesh: &Mesh,
    (casting, doubles): (&Casting, &BTreeMap<String, Double>),
    searched: &Search,
    texts: &Texts,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Attempt> {
    let part = PartFile::create(job.output)?;
    let matte_part = job.matte.map(PartFile::create).transpose()?;
    let extension = job.output.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let seeds = job.checkpoint.seeds().attempt()?;
    let render_job = RenderJob {
        input: job.input,
        part: part.part(),
        extension: &extension,
        preset: job.preset,
        encode: job.encode.clone(),
        plan,
        casting,
        cast: job.cast,
        probe,
        limits: &job.limits,
        mesh,
        doubles,
        threads: job.threads,
        seed: job.seed.unwrap_or_else(|| seeds.grain()),
        seeds: &seeds,
        texts: &texts.cleared,
        matte: matte_part.as_ref().map(PartFile::part),
        faults: &job.faults,
    };
    let mut summary = render(&render_job, progress, cancel)?;
    summary.findings.extend(texts.findings.iter().cloned());
    crate::media::trim_memory();
    cancel.check()?;
    let mut input = VerifyInput::new(job.input, part.part(), job.models, job.runtime);
    (input.plan, input.casting) = (Some(plan), Some(casting));
    (input.cast, input.findings, input.searched) = (Some(job.cast), &summary.findings, Some(searched));
    progress.begin("verifying", None);
    let verified = verify::verify(&input, &VerifyOptions::default(), &|done, total| {
        progress.step_of(done, total);
        cancel.check()
    })
    .map_err(|e| if part.is_there() { e } else { part.gone() })?;
    progress.end();
    cancel.check()?;
    let verify::Verified { report, pictures, missed, accused } = verified;
    if !report.cleared {
        crate::report::write(&job.report, &report, &pictures, job.redacted)?;
        return Ok(Attempt::Refused(Box::new(Refused { report, missed, accused })));
    }
    Ok(Attempt::Cleared(Box::new(Cleared { part, matte: matte_part, summary, report, pictures })))
}

/// Whether a double of the same looks is left that came out farther from this person, when it was tried, than the present one
/// in the film.
fn is_better_left(alias: &str, report: &Report, plan: &Plan, casting: &Casting, choices: &[DoubleChoice]) -> bool {
    let person = report.people.iter().find(|p| p.alias == alias);
    let Some((person, identity)) = person.and_then(|p| Some((p, p.identity.as_ref()?))) else { return false };
    let tracks = || person.tracks.iter().filter_map(|t| plan.track(*t));
    let is_present = |c: &DoubleChoice, t: u32| casting.double_of(t).is_some_and(|d| d.split('+').any(|n| n == c.name));
    let is_better = |c: &DoubleChoice, t: &PlanTrack| {
        let tried = c.likeness.get(&t.person).map(|l| l.cosine);
        let free = !c.refused_for.contains(&t.person) && !is_present(c, t.id);
        let present = choices.iter().find(|c| is_present(c, t.id));
        free && present.is_none_or(|p| p.sex == c.sex) && tried.is_none_or(|v| v < identity.cosine_track)
    };
    tracks().any(|t| choices.iter().any(|c| is_better(c, t)))
}

/// Tracks of people whom their double resembles, as far as it was tried on them.
fn near_by_audition(plan: &Plan, casting: &Casting, choices: &[DoubleChoice]) -> BTreeSet<u32> {
    let likeness = |track: u32, person: u32| {
        let name = casting.double_of(track)?;
        choices.iter().find(|c| c.name == name)?.likeness.get(&person).map(|l| l.cosine)
    };
    let near = |t: &&PlanTrack| likeness(t.id, t.person).is_some_and(|c| c >= NEAR_TRIED);
    plan.tracks.iter().filter(near).map(|t| t.id).collect()
}

/// The doubles of a casting by name; `a+b` is the person between two. Those who stand in for a track of `earnest` do not laugh,
/// and their differences are exaggerated more, as for those of `near`.
fn load_doubles(
    library: &DoubleLibrary,
    mesh: &Mesh,
    casting: &Casting,
    (earnest, near): (&BTreeSet<u32>, &BTreeSet<u32>),
) -> Result<BTreeMap<String, Double>> {
    let names = casting.doubles();
    let one = |name: &String| {
        let stands_for = |tracks: &BTreeSet<u32>| tracks.iter().any(|t| casting.double_of(*t) == Some(name.as_str()));
        let is_earnest = stands_for(earnest);
        let load = |n: &str| if is_earnest { library.load_earnest(mesh, n) } else { library.load(mesh, n) };
        let double = match name.split_once('+') {
            Some((a, b)) => Double::blend(&load(a)?, &load(b)?, 0.5, name),
            None => load(name),
        }?;
        Ok(if is_earnest || stands_for(near) { double.exaggerated() } else { double })
    };
    let loaded: Vec<Double> = names.par_iter().map(one).collect::<Result<_>>()?;
    Ok(names.into_iter().zip(loaded).collect())
}

/// What casting must know of each double: its card, and how the recogniser sees its neutral face.
///
/// # Errors
/// `Model` if a double or a network fails.
pub fn double_choices(
    library: &DoubleLibrary,
    mesh: &Mesh,
    models: &ModelSet,
    runtime: &Runtime,
    plan: &Plan,
) -> Result<Vec<DoubleChoice>> {
    choices(library, mesh, models, runtime, plan, None)
}

fn choices(
    library: &DoubleLibrary,
    mesh: &Mesh,
    models: &ModelSet,
    runtime: &Runtime,
    plan: &Plan,
    audition: Option<&Audition>,
) -> Result<Vec<DoubleChoice>> {
    let mut embedder = Embedder::new(models, runtime)?;
    let names: Vec<String> = library.cards().map(|c| c.name.clone()).collect();
    let loaded: Vec<Double> = names.par_iter().map(|n| library.load_resting(mesh, n)).collect::<Result<_>>()?;
    let portraits: Vec<crate::image::Frame> =
        loaded.par_iter().map(|d| swap::portrait(mesh, d, 256)).collect::<Result<_>>()?;
    let neutrals: Vec<(u32, Neutral)> = plan
        .people
        .par_iter()
        .map(|p| Ok(neutral_of(plan, mesh, &p.tracks)?.map(|n| (p.id, n))))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect();
    let tried = match audition {
        Some(a) => a.try_all(plan, mesh, &loaded, &mut Jury::open(models, runtime)?)?,
        None => vec![BTreeMap::new(); loaded.len()],
    };
    library
        .cards()
        .zip(loaded.iter().zip(portraits))
        .zip(tried)
        .map(|((card, (double, portrait)), likeness)| {
            let embedding = embedder.embed_frame(&portrait)?.map(|e| e.0.clone()).unwrap_or_default();
            let gap = |(id, n): &(u32, Neutral)| (*id, shape_gap(mesh, &n.shape, double.shape()));
            Ok(DoubleChoice {
                name: card.name.clone(),
                skin: card.skin,
                sex: card.sex.clone(),
                bearded: ["beard", "moustache"].iter().any(|w| card.description.contains(w)),
                embedding,
                refused_for: vec![],
                any_looks_for: vec![],
                shape_gap: neutrals.iter().map(gap).collect(),
                likeness,
            })
        })
        .collect()
}

/// Root mean square distance of outline, brows and lips of two canonical shapes, in the picture plane.
fn shape_gap(mesh: &Mesh, a: &[[f32; 3]], b: &[[f32; 3]]) -> f32 {
    let points = mesh.oval.iter().chain(&mesh.left_brow).chain(&mesh.right_brow).chain(&mesh.lips_outer);
    let (mut sum, mut n) = (0.0f32, 0.0f32);
    for (p, q) in points.filter_map(|&i| Some((a.get(i)?, b.get(i)?))) {
        sum += (p[0] - q[0]).powi(2) + (p[1] - q[1]).powi(2);
        n += 1.0;
    }
    (sum / n.max(1.0)).sqrt()
}

/// What to say when the attack succeeded.
#[must_use]
pub fn residual(report: &Report, page: &Path) -> Error {
    let first = report.failures.first().map_or_else(String::new, |f| format!(": {}", f.detail));
    let text = format!(
        "verification failed ({} kinds of failure{first}); nothing was published; see {}",
        report.failures.len(),
        page.display()
    );
    Error::Breach { what: verify::breach(report).unwrap_or(Breach::Several), text }
}

/// People of the plan that the reference pictures of each cast entry mean.
///
/// Everybody within the usual margin of a picture belongs to the entry; for `keep` a wide margin is asked for, and
/// when it is not met nobody is kept.
///
/// # Errors
/// `Plan` for a pattern without pictures, `Model` if the recogniser fails.
pub fn match_refs(cast: &Cast, plan: &Plan, models: &ModelSet, runtime: &Runtime) -> Result<Vec<Vec<u32>>> {
    if cast.people.iter().all(|p| p.refs.is_empty()) {
        return Ok(vec![]);
    }
    if models.is_built_in(Role::Embedding) {
        return Err(Error::Usage(
            "the built-in recogniser is too weak to tell people by `refs`: install a pack (`understudy models add DIR`), or list the person's `tracks` in the cast".into(),
        ));
    }
    let mut embedder = Embedder::new(models, runtime)?;
    let mut matched = Vec::new();
    for entry in &cast.people {
        let keep = entry.face.as_ref().is_some_and(|f| *f.get_ref() == crate::plan::FaceChoice::Keep);
        let margin = if keep { Embedder::WIDE_MARGIN } else { Embedder::MARGIN };
        let mut people = Vec::new();
        for pattern in &entry.refs {
            let files = expand(&cast.folder, pattern.get_ref())?;
            if files.is_empty() {
                let message = format!("no picture matches refs \"{}\"", pattern.get_ref());
                return Err(cast.error_at(pattern.span().start, &message));
            }
            for file in files {
                let Some(e) = embedder.embed_picture(&file)? else { continue };
                for p in &plan.people {
                    let cos: f32 = p.embedding.iter().zip(&e.0).map(|(a, b)| a * b).sum();
                    if cos >= margin && !people.contains(&p.id) {
                        people.push(p.id);
                    }
                }
            }
        }
        matched.push(people);
    }
    Ok(matched)
}

/// Files of a pattern with `*` in its last part, relative to `folder`, sorted.
fn expand(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let path = folder.join(pattern);
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let Some((head, tail)) = name.split_once('*') else {
        return Ok(if path.is_file() { vec![path] } else { vec![] });
    };
    let dir = path.parent().unwrap_or(folder);
    let entries = std::fs::read_dir(dir).map_err(|e| Error::io("cannot read the folder of `refs`", dir, e))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(std::result::Result::ok)
        .map(|e| e.path())
        .filter(|p| {
            let n = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            n.len() >= head.len() + tail.len() && n.starts_with(head) && n.ends_with(tail)
        })
        .collect();
    files.sort();
    Ok(files)
}
