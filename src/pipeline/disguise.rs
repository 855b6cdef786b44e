//! The whole way of a film: analyse, cast, render, verify, publish.

use super::audition::Audition;
use super::checkpoint::{Checkpoint, SEARCH};
use super::doubles::{choices, load_doubles};
use super::paths::{check_input, check_output};
use super::recast::{Step, is_better_left, near_by_audition, near_misses, nearest, recast};
use super::refs::match_refs;
use super::texts::{self, Texts};
use super::watch::Watch;
use super::{AnalyseJob, Cancel, Progress, RenderJob, RenderSummary, analyse, render};
use crate::card::Card;
use crate::files::PartFile;
use crate::image::Frame;
use crate::infer::{ModelSet, Role, Runtime};
use crate::media::{EncoderOverrides, Limits, Preset, Probe};
use crate::plan::{Cast, Casting, Finding, ModelUsed, Plan, fingerprint};
use crate::report::{Pictures, Report};
use crate::swap::{Double, DoubleLibrary, Mesh};
use crate::treat::Faults;
use crate::verify::{self, MOMENT, Missed, Search, VerifyInput, VerifyOptions};
use crate::vision::{AnalyserOptions, Recall};
use crate::{Breach, Error, Result};
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
    let options = VerifyOptions::of(&plan.recall);
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
    let mut moments: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
    let mut best: Option<Cleared> = None;
    let mut heard = 0;
    for attempt in 1..=ATTEMPTS {
        let mut casting = Casting::resolve(&plan, job.cast, &choices, &matched)?;
        casting.protect_all_but(&known);
        covered.iter().for_each(|t| casting.cover(*t));
        moments.iter().for_each(|(t, frames)| casting.cover_moments(*t, frames));
        let resembled = near_by_audition(&plan, &casting, &choices);
        let doubles = load_doubles(job.doubles, &mesh, &casting, (&earnest, &resembled))?;
        let tried = attempt_once(job, &plan, probe, &mesh, (&casting, &doubles), &searched, &texts, progress, cancel)?;
        let near = match &tried {
            Attempt::Cleared(c) if !job.models.is_built_in(Role::Embedding) => {
                let better = |alias: &String| is_better_left(alias, &c.report, &plan, &casting, &choices);
                near_misses(&c.report).into_iter().filter(better).collect()
            }
            _ => vec![],
        };
        let told = told_moments(&moments);
        let mut change = |accused: &[String], missed: &[Missed], brief: &Moments, report: &Report, step: Step| {
            let added = add_missed(&mut plan, missed)?;
            let weak = missed.iter().filter_map(|m| m.track).filter(|t| covered.insert(*t)).count() > 0;
            // A broad smile is itself a likeness.
            let named = report.people.iter().filter(|p| accused.contains(&p.alias));
            earnest.extend(named.flat_map(|p| &p.tracks));
            let eased = cover_moments(brief, &mut moments);
            let who = (accused, &eased);
            let how = (step, job.models.is_built_in(Role::Embedding));
            let recast = recast(job.cast, &plan, report, who, &casting, how, &mut choices, &mut covered);
            Ok::<bool, Error>(weak | recast | added | !eased.is_empty())
        };
        match tried {
            Attempt::Cleared(mut cleared) => {
                cleared.report.findings.extend(heard_before(heard));
                cleared.report.findings.extend(told);
                if best.as_ref().is_none_or(|b| nearest(&cleared.report) < nearest(&b.report)) {
                    best = Some(*cleared);
                }
                let Some(kept) = &best else { continue };
                // Whoever is near gets another double, never a cover: that is worse than a double that was cleared.
                if near.is_empty()
                    || attempt >= NEAR_ATTEMPTS
                    || !change(&near, &[], &Moments::new(), &kept.report, Step::SameLooks)?
                {
                    break;
                }
                progress
                    .note(&format!("{} is still somewhat like the original: trying another double", near.join(", ")));
            }
            Attempt::Refused(worse) if best.is_some() => {
                if attempt >= NEAR_ATTEMPTS
                    || !change(&worse.accused, &[], &worse.moments, &worse.report, Step::SameLooks)?
                {
                    break;
                }
            }
            Attempt::Refused(refused) => {
                for f in &refused.report.failures {
                    let at = f.first_frame.map_or_else(String::new, |n| format!(", first at frame {n}"));
                    tracing::info!("render {attempt} was refused: {} ({} times{at}): {}", f.kind, f.count, f.detail);
                }
                // The built-in recogniser refuses doubles that resemble nobody: one more that fits comes first.
                let one_more = u32::from(job.models.is_built_in(Role::Embedding));
                let step = match attempt {
                    _ if attempt <= one_more => Step::SameLooks,
                    _ if attempt < RECASTS + one_more => Step::AnyLooks,
                    _ => Step::Cover,
                };
                let changed = change(&refused.accused, &refused.missed, &refused.moments, &refused.report, step)?;
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

/// Where a double gave way to a cover because an earlier render showed too much there.
fn told_moments(moments: &BTreeMap<u32, BTreeSet<u64>>) -> Vec<Finding> {
    let one = |(track, frames): (&u32, &BTreeSet<u64>)| {
        Finding {
        kind: "swap.covered.moment".into(),
        frame: frames.first().copied(),
        track: Some(*track),
        count: frames.len() as u64,
        note: "the attack found the original's face in an earlier render here, for a moment: covered there instead of swapped".into(),
    }
    };
    moments.iter().map(one).collect()
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

/// Adds what the attack found to the moments that are covered; of whom something was new there.
fn cover_moments(found: &Moments, moments: &mut BTreeMap<u32, BTreeSet<u64>>) -> BTreeSet<String> {
    let mut eased = BTreeSet::new();
    for (alias, places) in found {
        for (track, frame) in places {
            let frames = moments.entry(*track).or_default();
            // Covered there already, and found all the same: that is no moment.
            if !frames.contains(frame) {
                eased.insert(alias.clone());
            }
        }
        for (track, frame) in places.iter().filter(|_| eased.contains(alias)) {
            let around = frame.saturating_sub(MOMENT)..=frame.saturating_add(MOMENT);
            moments.entry(*track).or_default().extend(around);
        }
    }
    eased
}

/// Most renders of one film before it is given up.
const ATTEMPTS: u32 = 5;
/// Renders after which raw voice that the attack finds, or a share of it mixed in, is no chance.
const SOUND_ATTEMPTS: u32 = 3;
/// Renders after which people whom the attack finds get another double; later they are covered.
const RECASTS: u32 = 2;
/// Renders after which a cleared film is good enough, however near the doubles are.
const NEAR_ATTEMPTS: u32 = 2;

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
    moments: Moments,
}

/// Tracks and frames by alias, where the attack found the original's face for moments only.
type Moments = BTreeMap<String, Vec<(u32, u64)>>;

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
    let verified = verify::verify(&input, &VerifyOptions::of(&plan.recall), &|done, total| {
        progress.step_of(done, total);
        cancel.check()
    })
    .map_err(|e| if part.is_there() { e } else { part.gone() })?;
    progress.end();
    cancel.check()?;
    let verify::Verified { report, pictures, missed, accused, moments } = verified;
    if !report.cleared {
        crate::report::write(&job.report, &report, &pictures, job.redacted)?;
        return Ok(Attempt::Refused(Box::new(Refused { report, missed, accused, moments })));
    }
    Ok(Attempt::Cleared(Box::new(Cleared { part, matte: matte_part, summary, report, pictures })))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_found_twice_is_no_moment() {
        let mut covered = BTreeMap::new();
        let found = |frames: &[u64]| Moments::from([("P".to_owned(), frames.iter().map(|f| (3, *f)).collect())]);
        assert!(!cover_moments(&found(&[2, 100]), &mut covered).is_empty());
        let frames: Vec<u64> = covered[&3].iter().copied().collect();
        assert_eq!(frames, (0..=2 + MOMENT).chain(100 - MOMENT..=100 + MOMENT).collect::<Vec<_>>());
        assert!(!cover_moments(&found(&[200]), &mut covered).is_empty(), "another moment");
        assert!(
            cover_moments(&found(&[101]), &mut covered).is_empty(),
            "covered there already, and found all the same"
        );
        assert!(cover_moments(&Moments::new(), &mut covered).is_empty());
    }
}
