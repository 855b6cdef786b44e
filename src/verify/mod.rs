//! The adversary at the gate: decodes the finished file again and attacks it.
//!
//! ```text
//! original ─► faces found afresh ─┐
//! plan ─► its boxes ──────────────┼─► every face-frame: is the original's detail still there?
//! output ─► decoded again ────────┘   sampled: is the person recognised? elsewhere? as somebody else? once a blur is undone?
//! regions of the cast ───────────────► is what they hide still there?
//! sound of both ────────────────────► every channel in every channel: is the recorded voice still there? the same speaker?
//! text streams of the output ───────► is one there that was not ordered, or a word that must not be said?
//! bytes and streams of the output ──► is anything in the file that is not on the allow-list?
//! ```
//!
//! **Invariant**: nothing here writes pictures or sound, and nothing that failed is forgiven: an attack that could not
//! run is a failure of its own. A cleared report means that these attackers did not succeed, and no more.
//!
//! ```no_run
//! use understudy::infer::{Device, ModelSet, Runtime};
//! use understudy::verify::{VerifyInput, VerifyOptions, verify};
//! # fn main() -> understudy::Result<()> {
//! let runtime = Runtime::load(None, Device::Cpu)?;
//! let models = ModelSet::discover(&ModelSet::search_path(&[]))?;
//! let input = VerifyInput::new("film.mov".as_ref(), "disguised.mp4".as_ref(), &models, &runtime);
//! let found = verify(&input, &VerifyOptions::default(), &|done, total| {
//!     println!("{done} of {total}");
//!     Ok(())
//! })?;
//! understudy::report::write("report".as_ref(), &found.report, &found.pictures, false)?;
//! # Ok(()) }
//! ```

mod bytes;
mod container;
mod decode;
mod examine;
mod faces;
mod heard;
mod identity;
mod kinds;
mod likeness;
mod people;
mod regions;
mod restore;
mod sound;
mod strangers;
mod streams;
mod subjects;
mod texts;

pub(crate) use identity::{LEAST_GALLERY, scale_of_witness};
pub use kinds::{breach, class_of};
pub(crate) use strangers::Strangers;

use crate::card::Card;
use crate::geom::{InFrame, Rect};
use crate::image::Frame;
use crate::infer::{InstalledModel, ModelSet, Role, Runtime};
use crate::plan::{Cast, Casting, Finding, Plan};
use crate::report::{AttackerModel, Failure, Pictures, REPORT_VERSION, RegionReport, Report};
use crate::vision::{FaceRecogniser, Networks, Recall};
use crate::{Error, Result};
use kinds::{Kind, failure};
use std::collections::BTreeMap;
use std::path::Path;

/// How hard to attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyOptions {
    /// The detector looks at one source frame in so many; between two looks places are interpolated. At least 1.
    pub stride: u64,
    /// All scales of the detector at one look in so many; the middle one at every look. At least 1.
    pub scales_every: u64,
    /// One frame in so many of a face is attacked by the recogniser, besides the first, the last and all suspicious ones.
    pub identity_every: u64,
    /// One output frame in so many is searched for faces at other places; 0 for none.
    pub elsewhere_every: u64,
}

impl Default for VerifyOptions {
    /// Every frame, all scales at every fifth, recognition on every tenth face-frame.
    fn default() -> Self {
        VerifyOptions { stride: 1, scales_every: 5, identity_every: 10, elsewhere_every: 25 }
    }
}

impl VerifyOptions {
    /// The strongest attack: every frame, every scale.
    #[must_use]
    pub fn max() -> Self {
        VerifyOptions { stride: 1, scales_every: 1, identity_every: 3, elsewhere_every: 10 }
    }

    /// How hard to attack a film whose plan names this recall: never less than the default.
    #[must_use]
    pub fn of(recall: &str) -> Self {
        if recall == Recall::Max.to_string() { Self::max() } else { Self::default() }
    }
}

/// What is verified, and what is known about it.
#[derive(Clone, Copy)]
pub struct VerifyInput<'a> {
    /// The film as recorded.
    pub original: &'a Path,
    /// The finished film, or its part file.
    pub output: &'a Path,
    /// What was found in the original. Without it, only faces found afresh are attacked.
    pub plan: Option<&'a Plan>,
    /// What was ordered. Without it everybody must have been changed.
    pub casting: Option<&'a Casting>,
    /// The cast itself, for its regions and for the voices that may be heard. Without it no voice may.
    pub cast: Option<&'a Cast>,
    /// Doubts of the rendering, for the report; those of the plan are added.
    pub findings: &'a [Finding],
    /// Faces of the original, if [`search`] has run; otherwise it runs first.
    pub searched: Option<&'a Search>,
    /// Networks that attack.
    pub models: &'a ModelSet,
    /// Where they run.
    pub runtime: &'a Runtime,
}

impl<'a> VerifyInput<'a> {
    /// Two files, nothing else known.
    #[must_use]
    pub fn new(original: &'a Path, output: &'a Path, models: &'a ModelSet, runtime: &'a Runtime) -> Self {
        let (plan, casting, cast, searched) = (None, None, None, None);
        VerifyInput { original, output, plan, casting, cast, findings: &[], searched, models, runtime }
    }
}

/// The report and its pictures.
#[derive(Debug, Clone)]
pub struct Verified {
    /// What was found.
    pub report: Report,
    /// Worst frames of each person, by their number in the report.
    pub pictures: Pictures,
    /// Places that failed and are not in the plan: what a further rendering must treat.
    pub missed: Vec<Missed>,
    /// Aliases of the people on whom an attack succeeded.
    pub accused: Vec<String>,
    /// Where the original's face was found for moments only: tracks of the plan and frames, by alias.
    pub moments: BTreeMap<String, Vec<(u32, u64)>>,
}

/// Frames before and after one in which the original's face was found that are treated with it.
pub const MOMENT: u64 = 6;

/// Places of a face that the plan does not treat.
#[derive(Debug, Clone, PartialEq)]
pub struct Missed {
    /// The person of the plan whose face it is, if that is known.
    pub person: Option<u32>,
    /// A track of the plan that is not treated strongly enough there: somebody was recognised in a weak detection.
    pub track: Option<u32>,
    /// Frame and place, by rising frame.
    pub places: Vec<(u64, Rect<InFrame>)>,
}

/// The faces of an original, found afresh.
pub struct Search {
    found: faces::Found,
}

impl Search {
    /// What of it the plan does not treat. Where the cast keeps a person, nothing of theirs is missed.
    ///
    /// # Errors
    /// `Plan` if the plan is damaged.
    pub fn missed(&self, plan: &Plan, casting: &Casting) -> Result<Vec<Missed>> {
        subjects::missed(self.found.tracks.clone(), plan, &subjects::Orders::new(Some(casting)))
    }
}

/// Finds the faces of an original afresh, without looking at a plan. `seen` is shown every frame with its number, and
/// stops the work by an error.
///
/// # Errors
/// As the decoder and the networks; `Limit` for absurdly many faces.
pub fn search(
    original: &Path,
    salvage: bool,
    options: &VerifyOptions,
    models: &ModelSet,
    runtime: &Runtime,
    seen: &mut dyn FnMut(u64, &Frame) -> Result<()>,
) -> Result<Search> {
    search_with(Networks::open(models, runtime)?, original, salvage, options, seen)
}

/// [`search`] on networks opened before.
///
/// # Errors
/// As [`search`].
pub(crate) fn search_with(
    mut networks: Networks,
    original: &Path,
    salvage: bool,
    options: &VerifyOptions,
    seen: &mut dyn FnMut(u64, &Frame) -> Result<()>,
) -> Result<Search> {
    std::thread::scope(|scope| {
        let mut film = decode::Pictures::open(scope, "verify-find", original, salvage)?;
        let mut finder = faces::Finder {
            first: networks.detector.as_mut(),
            second: match &mut networks.second {
                Some(second) => Some(second.as_mut()),
                None => None,
            },
            landmarks: match &mut networks.landmarks {
                Some(landmarks) => Some(landmarks.as_mut()),
                None => None,
            },
            stride: options.stride.max(1),
            closer: networks.closer,
            scales_every: options.scales_every.max(1),
        };
        Ok(Search { found: faces::find(&mut film, &mut finder, seen)? })
    })
}

/// Reads a file as the attack reads an output: its parts, its streams, its bytes.
pub(crate) fn parse_for_fuzzing(output: &Path) {
    let needle = bytes::Needle { text: "understudy".into(), what: String::new() };
    std::hint::black_box(container::walk(output, 1).is_ok());
    std::hint::black_box(bytes::scan(output, &[needle], &|| Ok(())).is_ok());
    std::hint::black_box(streams::check(output, output, None, &|| Ok(())).is_ok());
}

/// What our own reader objects to in a file with so many tracks of text, for tests of the writer.
#[cfg(test)]
pub(crate) fn walk_for_test(output: &Path, texts: usize) -> Vec<String> {
    container::walk(output, texts).map_or_else(
        |e| vec![e.to_string()],
        |w| w.objections.into_iter().map(|o| format!("{} {}", o.kind.word(), o.what)).collect(),
    )
}

/// Is told how much of how much is done; an error stops the work.
pub type Told<'p> = dyn Fn(u64, u64) -> Result<()> + 'p;

/// Attacks a finished film. `progress` is told how much of how much is done, and stops the work by an error.
///
/// # Errors
/// `Input` and its kin for the original, `Model` for the networks, `Usage` if both files are one. A check that failed is
/// no error: see [`Report::cleared`].
pub fn verify(input: &VerifyInput, options: &VerifyOptions, progress: &Told) -> Result<Verified> {
    if same_file(input.original, input.output) {
        return Err(Error::Usage("original and output are the same file; give two files".into()));
    }
    let mut streams = streams::check(input.original, input.output, input.cast, &|| progress(0, 1))?;
    let salvage = input.plan.is_some_and(|p| p.salvaged);
    let mut failures = std::mem::take(&mut streams.failures);
    let mut warnings = std::mem::take(&mut streams.warnings);
    let frames = frames_expected(&streams.source);
    let step = |part: u64, done: u64| progress((part * frames + done).min(3 * frames), 3 * frames);

    let heard = heard::Heard::of(input.cast, &streams.source);
    let heard = heard.without_bleed(input.original, &streams.source, salvage, &|| progress(0, 1))?;
    let mut faces = None;
    let mut sound = sound::Outcome::default();
    if let Some(output) = &streams.output {
        let mut checked = check_faces(input, options, salvage, &step)?;
        failures.append(&mut checked.people.failures);
        warnings.append(&mut checked.people.warnings);
        failures.append(&mut checked.failures);
        warnings.append(&mut checked.warnings);
        faces = Some(checked);
        let seconds = streams.source.duration_secs.unwrap_or(0.0).max(1.0);
        let listened = |secs: f64| step(2, ((secs / seconds).min(1.0) * frames as f64) as u64);
        let (a, b) = ((input.original, &streams.source), (input.output, output));
        sound = sound::attack(a, b, &heard, salvage, &listened)?;
        failures.append(&mut sound.failures);
    }
    streams.compare_lengths(&sound.lengths);
    failures.append(&mut streams.failures);
    warnings.append(&mut streams.warnings);
    step(3, 0)?;

    let mut report = empty_report(input, options)?;
    warn_of_gaps(input, &mut warnings);
    let seconds = streams.source.duration_secs.unwrap_or(f64::INFINITY);
    warnings.extend(heard.lines(seconds).into_iter().map(|l| failure(Kind::SoundKept, 1, None, l)));
    let (mut pictures, mut missed, mut accused, mut moments) = (Pictures::default(), vec![], vec![], BTreeMap::new());
    if let Some(f) = faces {
        (missed, accused, moments) = (f.missed, f.people.accused, f.people.moments);
        report.people = f.people.people;
        report.kept = f.people.kept;
        report.regions = f.regions;
        report.frames = f.frames.0.min(f.frames.1);
        let exact = f.frames.0 == f.frames.1;
        streams.rows.insert(0, row("Frames", f.frames.0, f.frames.1, exact));
        let late = format!("up to {:.2} ms apart", f.late * 1000.0);
        streams.rows.insert(1, row("Times of frames", "", late, f.late <= 0.001));
        pictures = f.people.pictures;
    }
    report.cleared = failures.is_empty();
    // The worst first: faces, likenesses, voices, the file, the film.
    failures.sort_by_key(|f| class_of(f).exit_code());
    report.failures = merged(failures);
    report.warnings = merged(warnings);
    report.streams = streams.rows;
    report.texts_searched = streams.texts;
    report.sound = sound.reports;
    Ok(Verified { report, pictures, missed, accused, moments })
}

fn row(what: &str, source: impl ToString, output: impl ToString, ok: bool) -> crate::report::Compared {
    crate::report::Compared { what: what.into(), source: source.to_string(), output: output.to_string(), ok }
}

/// What the comparison of faces gave.
struct Faces {
    people: people::Outcome,
    missed: Vec<Missed>,
    regions: Vec<RegionReport>,
    failures: Vec<Failure>,
    warnings: Vec<Failure>,
    frames: (u64, u64),
    late: f64,
}

fn check_faces(input: &VerifyInput, options: &VerifyOptions, salvage: bool, step: &Told) -> Result<Faces> {
    let fresh;
    let found = match input.searched {
        Some(done) => &done.found,
        None => {
            let mut counted = |n, _: &Frame| step(0, n + 1);
            fresh = search(input.original, salvage, options, input.models, input.runtime, &mut counted)?;
            &fresh.found
        }
    };
    let mut networks = Networks::open(input.models, input.runtime)?;
    let recogniser = networks.embedding.as_deref_mut();
    let recogniser = recogniser.ok_or_else(|| Error::Model("no network that recognises faces".into()))?;
    let strangers = input.models.best(Role::Embedding).and_then(strangers::Strangers::of);
    let mut witnesses = witnesses(input)?;
    let orders = subjects::Orders::new(input.casting);
    std::thread::scope(|scope| {
        let subjects = subjects::gather(found.tracks.clone(), input.plan, &orders)?;
        let mut source = decode::Pictures::open(scope, "verify-source", input.original, salvage)?;
        let mut output = decode::Pictures::open(scope, "verify-output", input.output, false)?;
        let mut attackers = examine::Attackers {
            detector: networks.detector.as_mut(),
            recogniser,
            witnesses: &mut witnesses,
            every: options.identity_every.max(1),
            elsewhere: options.elsewhere_every,
        };
        let mut regions = regions::of(input.cast, input.plan)?;
        let films = (&mut source, &mut output);
        let card = input.cast.map(|c| Card::for_film(c, &films.0.info)).transpose()?.flatten();
        let looks = |n| step(1, n);
        let seen = examine::examine(films, (&subjects, &orders), &mut attackers, &mut regions, card.as_ref(), &looks)?;
        let mut failures = frame_failures(&seen);
        if seen.frames.0 != found.frames {
            let text = "the original gave other numbers of frames when decoded twice: its faces are not all known";
            failures.push(failure(Kind::FramesSource, 1, None, text));
        }
        let mut warnings = Vec::new();
        let regions = regions.into_iter().map(|r| r.judge(&mut failures, &mut warnings)).collect();
        let (frames, late) = (seen.frames, seen.late.2);
        let people = people::judge(
            &subjects,
            seen,
            (input.plan, input.casting),
            (strangers.as_ref(), &ladder(input.models)),
            &witnesses,
        );
        let accused = people.missed.iter().filter_map(|a| Some((subjects.get(a.subject)?, a)));
        let missing = |(s, a): (&subjects::Subject, &people::Accused), plan| {
            let mut missed = subjects::missing(s, plan, a.untouched)?;
            let near = |frame: u64| a.only.iter().any(|f| f.abs_diff(frame) <= MOMENT);
            missed.places.retain(|(frame, _)| a.only.is_empty() || near(*frame));
            Ok(missed)
        };
        let missed = match input.plan {
            Some(plan) => accused.map(|a| missing(a, plan)).collect::<Result<Vec<Missed>>>()?,
            None => vec![],
        };
        Ok(Faces { people, missed, regions, failures, warnings, frames, late })
    })
}

/// What the cosines of the strongest recogniser mean.
fn ladder(models: &ModelSet) -> identity::Ladder {
    models.best(Role::Embedding).map_or(identity::Ladder::STRONGEST, identity::Ladder::of_strongest)
}

/// Every recogniser besides the strongest, ready to attack.
fn witnesses(input: &VerifyInput) -> Result<Vec<examine::Witness>> {
    let open = |m: &InstalledModel| {
        Ok(examine::Witness {
            name: m.entry.name.clone(),
            network: Box::new(FaceRecogniser::open(input.runtime, m)?),
            ladder: identity::Ladder::of_witness(m),
            strangers: strangers::Strangers::of(m),
        })
    };
    input.models.witnesses().map(open).collect()
}

fn frame_failures(seen: &examine::Seen) -> Vec<Failure> {
    let mut out = Vec::new();
    if let Some(why) = &seen.broken {
        out.push(failure(Kind::OutputDamaged, 1, Some(seen.frames.1), format!("the output breaks off: {why}")));
    }
    let (a, b) = seen.frames;
    if a != b {
        let text = format!("the original has {a} frames, the output {b}: what has no partner was not compared");
        out.push(failure(Kind::FramesCount, a.abs_diff(b), Some(a.min(b)), text));
    }
    if seen.untold.0 > 0 {
        let text = "the cast asks for a disclaimer, and the output does not show it: the audience is not told";
        out.push(failure(Kind::DisclaimerMissing, seen.untold.0, seen.untold.1, text));
    }
    if seen.late.0 > 0 {
        let text =
            format!("frames are shown at another time than in the original, by up to {:.1} ms", seen.late.2 * 1000.0);
        out.push(failure(Kind::FramesTime, seen.late.0, seen.late.1, text));
    }
    out
}

fn warn_of_gaps(input: &VerifyInput, warnings: &mut Vec<Failure>) {
    let sandbox = crate::sandbox::state();
    if sandbox.is_weak() {
        warnings.push(failure(
            Kind::SandboxWeak,
            1,
            None,
            format!("films were decoded with less than the whole sandbox: {}", sandbox.text()),
        ));
    }
    if input.plan.is_none() {
        let text = "no plan was given: faces that only the analysis found were not attacked, and nobody counts as kept";
        warnings.push(failure(Kind::PlanMissing, 1, None, text));
    } else if input.casting.is_none() {
        warnings.push(failure(Kind::CastMissing, 1, None, "no cast was given: everybody had to be changed"));
    }
}

/// Failures of one kind and text become one.
fn merged(all: Vec<Failure>) -> Vec<Failure> {
    let mut out: Vec<Failure> = Vec::new();
    for f in all {
        match out.iter_mut().find(|o| o.kind == f.kind && o.detail == f.detail) {
            Some(o) => {
                o.count += f.count;
                o.first_frame = o.first_frame.into_iter().chain(f.first_frame).min();
            }
            None => out.push(f),
        }
    }
    out
}

fn frames_expected(probe: &crate::media::Probe) -> u64 {
    let by_time = probe.duration_secs.unwrap_or(0.0) * probe.video.avg_frame_rate;
    probe.video.frame_count_hint.unwrap_or(by_time.clamp(1.0, 1e9) as u64).max(1)
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((std::fs::canonicalize(a), std::fs::canonicalize(b)), (Ok(x), Ok(y)) if x == y)
}

fn sha256_of(path: &Path) -> Result<String> {
    use sha2::Digest;
    let io = |e| Error::io("cannot read the output", path, e);
    let mut file = std::fs::File::open(path).map_err(io)?;
    let mut hash = sha2::Sha256::new();
    std::io::copy(&mut file, &mut hash).map_err(io)?;
    Ok(crate::plan::hex(&hash.finalize()))
}

/// How long the audience is told, in words.
fn disclaimer(cast: Option<&Cast>) -> String {
    let wanted = cast.and_then(|c| c.disclaimer.as_ref());
    wanted.map_or_else(|| "none".into(), |d| format!("over the first {} s", d.get_ref().seconds))
}

fn attackers(models: &ModelSet) -> Vec<AttackerModel> {
    let named = |m: &InstalledModel, role: &str| AttackerModel {
        name: m.entry.name.clone(),
        role: role.into(),
        sha256: m.entry.sha256.clone(),
        licence: m.entry.licence.clone(),
    };
    let first = models.best(Role::Detector);
    let detectors = models.all().iter().filter(|m| m.entry.role == Role::Detector);
    let second = first.and_then(|f| detectors.clone().find(|m| m.entry.family() != f.entry.family()));
    let mut out: Vec<AttackerModel> = Vec::new();
    out.extend(first.map(|m| named(m, "finds faces")));
    out.extend(second.map(|m| named(m, "confirms faces")));
    out.extend(models.best(Role::Embedding).map(|m| named(m, "recognises faces")));
    out.extend(models.witnesses().map(|m| named(m, "recognises faces too")));
    out
}

fn empty_report(input: &VerifyInput, options: &VerifyOptions) -> Result<Report> {
    let mut findings = input.plan.map_or_else(Vec::new, |p| p.findings.clone());
    findings.extend_from_slice(input.findings);
    let setting = |k: &str, v: u64| (k.to_owned(), v.to_string());
    Ok(Report {
        version: REPORT_VERSION,
        program: format!("understudy {}", env!("CARGO_PKG_VERSION")),
        cleared: false,
        failures: vec![],
        warnings: vec![],
        people: vec![],
        kept: vec![],
        frames: 0,
        output_sha256: sha256_of(input.output)?,
        streams: vec![],
        texts_searched: 0,
        regions: vec![],
        sound: vec![],
        attacks: vec![
            format!("Coverage, every face-frame: detail of the inner face, original against output, over shifts of 3 px and in either polarity; {}.", likeness::limits_text()),
            format!("Re-identification, every {} face-frames and wherever the detail is suspicious: cosine of the output face with the person's own faces in the original, single and together; {}.", options.identity_every, identity::limits_text(&ladder(input.models))),
            format!("Inversion of weak covers (blur, squares, averages): {}.", restore::words()),
            format!("Faces that were moved or mirrored: the whole picture of every {} output frames.", options.elsewhere_every),
            format!("Regions of the cast, every frame: what the effect had to remove, correlated with the output; {}.", regions::limits_text()),
            format!("Sound: every window of 20 ms of every channel of the original, searched in every channel of the output (correlation over 0.9 in three neighbours, either polarity); coherence of any second over {}.", sound::MOST_MIXED),
            format!("Inverter of voices, pieces of 6 s of every channel: the pitch that was recorded, at one distance in {} of the voiced frames (two pieces in a row, or one if there are no more than two); resonances on a grid.", crate::voice::attack::STEADY),
            format!("Speakers, every channel against every channel, as wholes and in pieces of 12 s with at least {} s of voice in both (and 15 %), whatever its time and order: cosine of averages (spectrum, pitch, rhythm) as seen from strangers, natural and disguised; fails from {} as a whole, in two pieces in a row, or in one if there are no more than two.", crate::voice::attack::LEAST_VOICED_SECS, crate::voice::attack::SAME_SPEAKER),
            "Text streams: none but those that the cast orders; every packet read again, nothing but plain text and no listed word in it, nor anything like one.".into(),
            "File: streams, tags, chapters, side data, boxes and elements against an allow-list; every tag of the original, its name and place, and the names of this machine searched in all bytes, in UTF-8 and UTF-16.".into(),
        ],
        models: attackers(input.models),
        findings,
        settings: vec![
            setting("frames between looks of the detector", options.stride),
            setting("frames between attacks by recognition", options.identity_every),
            setting("frames between searches elsewhere", options.elsewhere_every),
            setting("looks between those of all scales", options.scales_every),
            ("sandbox".into(), crate::sandbox::state().text()),
            ("plan".into(), if input.plan.is_some() { "given" } else { "none" }.into()),
            ("disclaimer".into(), disclaimer(input.cast)),
            ("cast".into(), if input.casting.is_some() { "given" } else { "none" }.into()),
        ],
        limits: [
            "People whose face no detector finds: from behind, beyond profile, or under 14 pixels.",
            "Clothes, tattoos, hands, gait, place, and what is said.",
            "Recognisers stronger than the one named above, people who know the person, and attackers who train on disguised footage.",
            "Recognition of a voice by its manner of speaking, or by a stronger recogniser than averages; the recorded sound itself, a mere shift of it and a speaker who is nearly unchanged are found. A voice that was moved in time and shifted by two semitones or more is not.",
            "Text in the picture, and anything outside this one file.",
        ]
        .map(String::from)
        .to_vec(),
    })
}

#[cfg(test)]
mod tests;
