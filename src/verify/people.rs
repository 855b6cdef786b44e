//! The verdict person by person: subjects joined to people, their galleries, and what failed.

use super::examine::{Elsewhere, Seen, Sight, Witness};
use super::identity::{self, Attack, Ladder, Sample};
use super::kinds::{Kind, failure};
use super::restore::{self, Restored};
use super::strangers::Strangers;
use super::subjects::{Subject, treatment_word};
use crate::plan::{Casting, Plan};
use crate::report::{Bound, Failure, PersonReport, Pictures, WitnessReport};
use crate::vision::Embedding;
use std::collections::BTreeMap;

/// Cosine of two subjects' galleries that makes them one person where no plan says so. Between the limit for strangers
/// (0.36) and what one person's faces in one film score (0.83 to 0.96).
const SAME_PERSON: f32 = 0.55;
/// Faces away from all known places that must be recognised before it counts, unless one is beyond doubt.
const ELSEWHERE_HITS: usize = 2;
/// A single such face over this is beyond doubt.
const ELSEWHERE_SURE: f32 = 0.55;

/// Cosine of the output faces of two disguised people above which one double stands for both, and above which a person
/// should look. The same double on two people gave 0.95 and 0.96, two doubles 0.16 (`tests/canaries.rs`).
const SAME_DOUBLE: (f32, f32) = (0.85, 0.7);

/// What came of all people.
pub(crate) struct Outcome {
    /// People, the most at risk first.
    pub people: Vec<PersonReport>,
    /// Their pictures, by the same numbers.
    pub pictures: Pictures,
    /// What failed.
    pub failures: Vec<Failure>,
    /// What a person should look at.
    pub warnings: Vec<Failure>,
    /// Who was left as filmed.
    pub kept: Vec<String>,
    /// Subjects in whose places something failed, though no person of the plan is there.
    pub missed: Vec<Accused>,
    /// Aliases of the people on whom an attack succeeded.
    pub accused: Vec<String>,
    /// Where the original's face was found for moments only: tracks and frames by alias.
    pub moments: BTreeMap<String, Vec<(u32, u64)>>,
}

/// A subject in whose place something failed.
pub(crate) struct Accused {
    /// Its number.
    pub subject: usize,
    /// The original's detail stands there: the plan's boxes may lie beside the face.
    pub untouched: bool,
    /// The frames in which it does, if that is for moments only.
    pub only: Vec<u64>,
}

/// One person while the verdict is made.
struct Person {
    alias: String,
    treatment: String,
    tracks: Vec<u32>,
    subjects: Vec<usize>,
    gallery: Option<Embedding>,
    /// Faces of frames that stay as filmed.
    kept: usize,
    attack: Option<Attack>,
    restored: Option<restore::Outcome>,
    hidden: bool,
    /// The plan is not sure that any of the tracks is a face.
    doubtful: bool,
}

/// Makes the verdict.
pub(crate) fn judge(
    subjects: &[Subject],
    seen: Seen,
    (plan, casting): (Option<&Plan>, Option<&Casting>),
    (strangers, ladder): (Option<&Strangers>, &Ladder),
    witnesses: &[Witness],
) -> Outcome {
    let Seen { sights, mut pictures, elsewhere, .. } = seen;
    let mut people = group(subjects, &sights, plan, casting);
    for p in &mut people {
        let samples = samples_of(p, &sights);
        let flat = ["solid", "silhouette"].contains(&p.treatment.as_str());
        p.attack = p.gallery.as_ref().and_then(|g| identity::attack(&samples, g, flat, strangers, ladder));
        p.hear(&sights, flat, witnesses);
        p.restore(&sights, (strangers, ladder));
        p.hidden = p.subjects.iter().any(|k| sights[*k].frames > 0);
        let unsure = |t: &u32| plan.and_then(|plan| plan.track(*t)).is_some_and(|t| !t.confirmed);
        p.doubtful = !p.tracks.is_empty() && p.tracks.iter().all(unsure);
    }
    let mut out = Outcome {
        people: vec![],
        pictures: Pictures::default(),
        failures: vec![],
        warnings: vec![],
        kept: vec![],
        missed: vec![],
        accused: vec![],
        moments: BTreeMap::new(),
    };
    let others: Vec<Option<(f32, usize)>> = (0..people.len()).map(|k| nearest_other(&people, k)).collect();
    let mut rows: Vec<(f32, usize, PersonReport)> = Vec::new();
    for (k, p) in people.iter().enumerate() {
        let mut report = report(p, subjects, &sights, others[k].map(|o| o.0));
        if let Some(i) = &mut report.identity {
            i.cosine_double = nearest_double(&people, k);
        }
        let before = out.failures.len();
        out.face_failures(p, &report, subjects, &sights);
        out.identity_failures(p, &people, others[k], ladder);
        if out.failures.len() > before {
            let moments = p.moments(subjects, &sights);
            let accused = |k: &usize| Accused {
                subject: *k,
                untouched: sights[*k].untouched.0 > 0,
                only: if moments.is_empty() { vec![] } else { sights[*k].bare.clone() },
            };
            out.missed.extend(p.subjects.iter().map(accused));
            if !moments.is_empty() {
                out.moments.insert(p.alias.clone(), moments);
            }
            out.accused.push(p.alias.clone());
        }
        rows.push((risk(&report), k, report));
    }
    out.same_doubles(&people);
    out.doubtful(subjects, &sights, &people, ladder);
    out.elsewhere(&elsewhere, &people, ladder);
    rows.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let place: BTreeMap<usize, usize> = rows.iter().enumerate().map(|(new, (_, old, _))| (*old, new)).collect();
    let owner = |subject: usize| {
        let old = people.iter().position(|p| p.subjects.contains(&subject))?;
        place.get(&old).copied()
    };
    pictures.regroup(&owner);
    out.pictures = pictures;
    out.people = rows.into_iter().map(|r| r.2).collect();
    out
}

fn samples_of<'s>(p: &Person, sights: &'s [Sight]) -> Vec<&'s Sample> {
    p.subjects.iter().flat_map(|k| &sights[*k].samples).collect()
}

/// Joins subjects: by the plan where it knows them, by likeness otherwise.
fn group(subjects: &[Subject], sights: &[Sight], plan: Option<&Plan>, casting: Option<&Casting>) -> Vec<Person> {
    let mut people: Vec<Person> = Vec::new();
    let certain = |s: &&(usize, &Subject)| s.1.counts;
    let all: Vec<(usize, &Subject)> = subjects.iter().enumerate().collect();
    for (k, s) in all.iter().filter(certain) {
        let Some(track) = s.track else { continue };
        let (alias, treatment) = name(track, plan, casting);
        let at = match people.iter().position(|p| p.alias == alias) {
            Some(at) => at,
            None => {
                people.push(Person::new(alias, treatment));
                people.len() - 1
            }
        };
        people[at].subjects.push(*k);
        if !people[at].tracks.contains(&track) {
            people[at].tracks.push(track);
        }
    }
    people.iter_mut().for_each(|p| p.remember(sights));
    let treatment = if plan.is_some() { "not in the plan" } else { "unknown" };
    for (k, _) in all.iter().filter(certain).filter(|s| s.1.track.is_none()) {
        let own = gallery_of(&[*k], sights);
        let near = own.as_ref().and_then(|g| {
            let scored = people.iter().enumerate().filter_map(|(i, p)| Some((i, p.gallery.as_ref()?.cosine(g))));
            scored.filter(|(_, v)| *v >= SAME_PERSON).max_by(|a, b| a.1.total_cmp(&b.1))
        });
        match near {
            Some((i, _)) => people[i].subjects.push(*k),
            None => {
                let mut p = Person::new(format!("Face {}", people.len() + 1), treatment.into());
                p.subjects.push(*k);
                p.gallery = own;
                people.push(p);
            }
        }
    }
    people.iter_mut().for_each(|p| p.remember(sights));
    people
}

/// Shares of a swapped person's face-frames in which the mouth, or another part besides one frame, may resemble the
/// original by chance: mouths that say the same words do (one pair of strangers reached 0.82 where the limit is 0.84, drawn
/// faces more). Of 398 swapped people in film, two had any such part: one frame of 75 of a small face, and five of 75
/// where a face cut by the picture's edge was drawn beside its eyes.
const CHANCE_PARTS: (f64, f64) = (0.25, 0.02);

/// Whether so many frames with a part of the original, `firm` of them with another than the mouth, are more than chance.
fn are_too_many_parts(treatment: &str, partly: u64, firm: u64, frames: u64) -> bool {
    let share = |of: f64| of * frames as f64;
    // Covers have no expression: there every frame counts.
    match EXPRESSIVE.contains(&treatment) {
        true => partly as f64 > share(CHANCE_PARTS.0) || firm as f64 > 1.0 + share(CHANCE_PARTS.1),
        false => partly > 0,
    }
}

/// What [`treatment_word`] says of treatments that keep an expression, or may.
const EXPRESSIVE: [&str; 2] = ["swap", "unknown"];

fn name(track: u32, plan: Option<&Plan>, casting: Option<&Casting>) -> (String, String) {
    if let Some(c) = casting {
        let t = c.treatment(track);
        if !t.alias.is_empty() {
            return (t.alias, treatment_word(&t.face).into());
        }
    }
    let person = plan.and_then(|p| p.track(track)).map_or(track, |t| t.person);
    (format!("Person {person}"), "unknown".into())
}

/// Gallery of several subjects: attacked samples, else the faces of kept frames.
fn gallery_of(subjects: &[usize], sights: &[Sight]) -> Option<Embedding> {
    let samples: Vec<&Sample> = subjects.iter().flat_map(|k| &sights[*k].samples).collect();
    identity::gallery(&samples).or_else(|| identity::mean(subjects.iter().flat_map(|k| &sights[*k].kept)))
}

impl Person {
    fn new(alias: String, treatment: String) -> Self {
        Person {
            alias,
            treatment,
            tracks: vec![],
            subjects: vec![],
            gallery: None,
            kept: 0,
            attack: None,
            restored: None,
            hidden: false,
            doubtful: false,
        }
    }

    fn remember(&mut self, sights: &[Sight]) {
        self.gallery = gallery_of(&self.subjects, sights);
        self.kept = self.subjects.iter().map(|k| sights[*k].kept.len()).sum();
    }

    /// Tracks and frames in which the original's face was found, if in all subjects it was for moments only and the plan treats
    /// them.
    fn moments(&self, subjects: &[Subject], sights: &[Sight]) -> Vec<(u32, u64)> {
        let bare = || self.subjects.iter().filter(|k| sights[**k].untouched.0 > 0);
        if !bare().all(|k| sights[*k].is_bare_for_moments() && subjects[*k].track.is_some()) {
            return vec![];
        }
        let of = |k: &usize| {
            let (k, track) = (*k, subjects[*k].track);
            sights[k].bare.iter().filter_map(move |frame| Some((track?, *frame)))
        };
        bare().flat_map(of).collect()
    }

    /// Attacks with each witness. What is no sure face says as little to them as to the strongest recogniser.
    fn hear(&mut self, sights: &[Sight], flat: bool, witnesses: &[Witness]) {
        let Some(first) = &mut self.attack else { return };
        for (k, w) in witnesses.iter().enumerate() {
            let samples: Vec<&Sample> =
                self.subjects.iter().flat_map(|s| sights[*s].witnessed.get(k)).flatten().collect();
            let gallery = identity::gallery(&samples);
            let attack = gallery.and_then(|g| identity::attack(&samples, &g, flat, w.strangers.as_ref(), &w.ladder));
            let Some(a) = attack else { continue };
            let recognised = a.certain.is_some() || a.too_many_hits() || a.mean_is_recognised();
            first.report.witnesses.push(WitnessReport {
                network: w.name.clone(),
                cosine_track: a.report.cosine_track,
                cosine_max: a.report.cosine_max,
                cosine_source: a.report.cosine_source,
                over_threshold: a.report.over_threshold,
                threshold: a.report.threshold,
                threshold_track: a.report.threshold_track,
                rank_track: a.report.rank_track,
                recognised,
            });
        }
    }

    /// Judges what the inversion of this person's covers gave.
    fn restore(&mut self, sights: &[Sight], scale: (Option<&Strangers>, &Ladder)) {
        let (Some(attack), Some(gallery)) = (&mut self.attack, &self.gallery) else { return };
        let all: Vec<&Restored> = self.subjects.iter().flat_map(|k| &sights[*k].restored).collect();
        let erased = self.subjects.iter().flat_map(|k| &sights[*k].samples).filter_map(|s| s.erased.as_ref());
        let erased = identity::mean(erased).map(|e| e.cosine(gallery));
        let Some(found) = restore::judge(&all, gallery, attack.report.gallery, erased, scale) else { return };
        attack.report.restored = found.faces;
        attack.report.cosine_restored = Some(found.cosine);
        attack.report.rank_restored = found.rank;
        attack.report.restored_by = Some(found.way.to_owned());
        attack.report.taken_back = found.recognised;
        self.restored = Some(found);
    }

    /// Enough good faces to say whom others look like.
    fn is_known(&self) -> bool {
        let attacked = self.attack.as_ref().is_some_and(|a| a.report.gallery >= identity::LEAST_GALLERY);
        attacked || self.kept as u64 >= identity::LEAST_GALLERY
    }

    /// The mean face that is shown in place of this person's, if one is.
    fn shown(&self) -> Option<&Embedding> {
        let attack = self.attack.as_ref().filter(|a| self.hidden && a.report.found > 0)?;
        attack.output_mean.as_ref()
    }
}

/// Whose gallery, of all others, the output of this person is nearest to.
fn nearest_other(people: &[Person], k: usize) -> Option<(f32, usize)> {
    let attack = people[k].attack.as_ref()?;
    if attack.report.found == 0 {
        return None; // no face is shown
    }
    let mean = attack.output_mean.as_ref()?;
    let others = people.iter().enumerate().filter(|(i, _)| *i != k);
    let others = others.filter(|(_, p)| p.is_known());
    others.filter_map(|(i, p)| Some((p.gallery.as_ref()?.cosine(mean), i))).max_by(|a, b| a.0.total_cmp(&b.0))
}

/// How much the disguise of this person looks like that of another, at most.
fn nearest_double(people: &[Person], k: usize) -> Option<f32> {
    let mine = people[k].shown()?;
    let others = people.iter().enumerate().filter(|(i, _)| *i != k);
    others.filter_map(|(_, p)| Some(mine.cosine(p.shown()?))).max_by(f32::total_cmp)
}

fn report(p: &Person, subjects: &[Subject], sights: &[Sight], other: Option<f32>) -> PersonReport {
    let mine = || p.subjects.iter().map(|k| &sights[*k]);
    let frames: u64 = mine().map(|s| s.frames).sum();
    let untouched: u64 = mine().map(|s| s.untouched.0).sum();
    let worst = mine().map(|s| s.worst).filter(|w| w.1.is_some()).max_by(|a, b| a.0.total_cmp(&b.0));
    let mut widths: Vec<(f32, usize)> =
        p.subjects.iter().map(|k| (subjects[*k].width, subjects[*k].spots.len())).collect();
    widths.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut left = widths.iter().map(|w| w.1).sum::<usize>() / 2;
    let middle = widths.iter().find(|w| {
        let here = left < w.1;
        left = left.saturating_sub(w.1);
        here
    });
    let mut identity = p.attack.as_ref().map(|a| a.report.clone());
    if let Some(i) = &mut identity {
        i.cosine_other = other;
    }
    PersonReport {
        alias: p.alias.clone(),
        treatment: p.treatment.clone(),
        tracks: p.tracks.clone(),
        width_px: middle.map_or(0.0, |w| w.0),
        face_frames: frames,
        exempt_frames: mine().map(|s| s.exempt).sum(),
        untouched,
        partly_untouched: mine().map(|s| s.partly.0).sum(),
        worst_likeness: worst.map_or(0.0, |w| w.0),
        worst_frame: worst.and_then(|w| w.1),
        identity,
        untouched_bound: Bound::of(untouched, frames),
    }
}

/// Order of the report.
fn risk(p: &PersonReport) -> f32 {
    let seen = if p.untouched > 0 {
        4.0
    } else if p.partly_untouched > 0 {
        3.0
    } else {
        0.0
    };
    let near = p.identity.as_ref().map_or(0.0, |i| {
        let over = if i.over_threshold > 0 { 1.0 } else { 0.0 };
        over + i.cosine_track.max(i.cosine_max).max(i.cosine_restored.unwrap_or(0.0)).max(0.0)
    });
    seen + near + if p.face_frames == 0 { -1.0 } else { 0.1 * p.worst_likeness }
}

fn first<'s>(p: &Person, sights: &'s [Sight], of: impl Fn(&'s Sight) -> Option<u64>) -> Option<u64> {
    p.subjects.iter().filter_map(|k| of(&sights[*k])).min()
}

impl Outcome {
    fn fail(&mut self, kind: Kind, count: u64, first: Option<u64>, text: String) {
        self.failures.push(failure(kind, count, first, text));
    }

    fn face_failures(&mut self, p: &Person, r: &PersonReport, subjects: &[Subject], sights: &[Sight]) {
        if r.untouched > 0 {
            let at = first(p, sights, |s| s.untouched.1);
            self.fail(Kind::FaceUntouched, r.untouched, at, format!("the face of {} is still the original's", p.alias));
        }
        if r.partly_untouched > 0 {
            let at = first(p, sights, |s| s.partly.1);
            let text = format!("a part of the face of {} (eyes, mouth or a side) resembles the original's", p.alias);
            let firm: u64 = p.subjects.iter().map(|k| sights[*k].firm).sum();
            // What only the plan takes for a face, and doubts: a part of somebody's double may stand there.
            let unseen = p.doubtful && p.subjects.iter().all(|k| !subjects[*k].found);
            if !unseen && are_too_many_parts(&r.treatment, r.partly_untouched, firm, r.face_frames) {
                self.fail(Kind::FacePartly, r.partly_untouched, at, text);
            } else {
                self.warnings.push(failure(Kind::FacePartly, r.partly_untouched, at, text));
            }
        }
        let altered: u64 = p.subjects.iter().map(|k| sights[*k].altered.0).sum();
        if altered > 0 {
            let at = first(p, sights, |s| s.altered.1);
            let text = format!("the face of {} was to stay as filmed, but was changed", p.alias);
            self.warnings.push(failure(Kind::FaceAltered, altered, at, text));
        }
        if r.exempt_frames > 0 {
            let why = if p.treatment == "keep" { "kept by the cast" } else { "revealed by the cast" };
            self.kept.push(format!("{}: {} face-frames left as filmed, {why}", p.alias, r.exempt_frames));
        }
    }

    fn identity_failures(&mut self, p: &Person, people: &[Person], other: Option<(f32, usize)>, ladder: &Ladder) {
        let Some(attack) = &p.attack else {
            if p.hidden {
                let text = format!("{} could not be attacked by recognition: no face could be aligned", p.alias);
                self.warnings.push(failure(Kind::FaceUnattacked, 1, None, text));
            }
            return;
        };
        let r = &attack.report;
        // A hand, a sleeve: neither the plan nor this attack ever saw a good face there, and a smudge is like a smudge.
        // That its picture was changed is still asked for.
        if p.doubtful && r.gallery < identity::LEAST_GALLERY {
            if attack.certain.is_some() || attack.too_many_hits() || attack.mean_is_recognised() {
                let text = format!("{} may be no face; what is left resembles what was there: look at it", p.alias);
                self.warnings.push(failure(Kind::FaceRecognised, r.over_threshold.max(1), r.worst_frame, text));
            }
            return;
        }
        if let Some((at, n)) = attack.certain {
            let text = format!("{} is recognised in the output (cosine up to {:.2})", p.alias, r.cosine_max);
            self.fail(Kind::FaceRecognised, n, Some(at), text);
        } else if attack.too_many_hits() {
            let text = format!(
                "{} is recognised in {} of {} attacked frames (limit {:.2})",
                p.alias, r.over_threshold, r.samples, r.threshold
            );
            self.fail(Kind::FaceRecognised, r.over_threshold, r.worst_frame, text);
        } else if attack.mean_is_recognised() {
            let text = format!("{} is recognised by all output faces together (cosine {:.2})", p.alias, r.cosine_track);
            self.fail(Kind::FaceRecognised, 1, r.worst_frame, text);
        } else if attack.is_first_of_all() {
            let text = format!(
                "{} comes first of {} people by all output faces together (cosine {:.2})",
                p.alias,
                r.strangers + 1,
                r.cosine_track
            );
            self.fail(Kind::FaceRecognised, 1, r.worst_frame, text);
        }
        for w in r.witnesses.iter().filter(|w| w.recognised) {
            let text = format!(
                "{} is recognised by {} (cosine of all output faces together {:.2}, of one up to {:.2})",
                p.alias, w.network, w.cosine_track, w.cosine_max
            );
            self.fail(Kind::FaceRecognised, w.over_threshold.max(1), r.worst_frame, text);
        }
        if let Some(found) = p.restored.as_ref().filter(|f| f.recognised) {
            let text = format!(
                "{} is recognised once the cover is taken back ({}, cosine {:.2}): a cover of one colour (`solid`, `silhouette`) or a \
                 double leaves nothing to take back",
                p.alias,
                found.way,
                found.certain.map_or(found.cosine, |c| c.1)
            );
            self.fail(Kind::FaceRestored, 1, found.certain.map(|c| c.0), text);
        }
        let Some((cosine, k)) = other else { return };
        let limits = ladder.at(48.0);
        let text = format!(
            "the disguise of {} looks like {} (cosine {cosine:.2}): choose another double",
            p.alias, people[k].alias
        );
        if cosine >= limits.certain {
            self.fail(Kind::FaceOtherPerson, 1, None, text);
        } else if cosine >= limits.single {
            self.warnings.push(failure(Kind::FaceOtherPerson, 1, None, text));
        }
    }

    /// One double for two people: who saw one of them believes to have seen both. What may be no face shows the double of
    /// whoever stands beside it.
    fn same_doubles(&mut self, people: &[Person]) {
        let sure: Vec<&Person> = people.iter().filter(|p| !p.doubtful || p.is_known()).collect();
        for (k, p) in sure.iter().enumerate() {
            for other in &sure[k + 1..] {
                let (Some(a), Some(b)) = (p.shown(), other.shown()) else { continue };
                let cosine = a.cosine(b);
                let text = format!(
                    "the disguises of {} and {} look alike (cosine {cosine:.2}): choose another double",
                    p.alias, other.alias
                );
                if cosine >= SAME_DOUBLE.0 {
                    self.fail(Kind::FaceSameDouble, 1, None, text);
                    self.accused.push(other.alias.clone());
                } else if cosine >= SAME_DOUBLE.1 {
                    self.warnings.push(failure(Kind::FaceSameDouble, 1, None, text));
                }
            }
        }
    }

    /// Weak detections: unchanged ones are for a person to look at, unless somebody is recognised there.
    fn doubtful(&mut self, subjects: &[Subject], sights: &[Sight], people: &[Person], ladder: &Ladder) {
        let (mut count, mut at) = (0, None::<u64>);
        for (k, sight) in sights.iter().enumerate().filter(|(k, _)| !subjects[*k].counts) {
            for s in &sight.samples {
                // Only people of whom good faces are known can be recognised.
                let known = |p: &&Person| {
                    p.hidden && p.attack.as_ref().is_some_and(|a| a.report.gallery >= identity::LEAST_GALLERY)
                };
                let hit = people
                    .iter()
                    .filter(known)
                    // A place that shows no face any more says nothing here: it was no sure face to begin with.
                    .filter_map(|p| Some((identity::judge(s, p.gallery.as_ref()?, true, ladder), p)))
                    .find(|(v, _)| v.certain);
                if let Some((_, p)) = hit {
                    let text = format!("{} is recognised where only a weak detection was", p.alias);
                    self.fail(Kind::FaceRecognised, 1, Some(s.frame), text);
                    self.missed.push(Accused { subject: k, untouched: sight.untouched.0 > 0, only: vec![] });
                    break;
                }
            }
            if sight.untouched.0 > 0 {
                count += sight.untouched.0;
                at = at.into_iter().chain(sight.untouched.1).min();
            }
        }
        if count > 0 {
            let text = "something that a detector took for a face, without much certainty, is unchanged: look whether it is one";
            self.warnings.push(failure(Kind::FaceDoubtful, count, at, text));
        }
    }

    /// Faces that were moved, mirrored or reflected.
    fn elsewhere(&mut self, faces: &[Elsewhere], people: &[Person], ladder: &Ladder) {
        let mut hits: BTreeMap<usize, Vec<(u64, f32)>> = BTreeMap::new();
        for e in faces {
            // Only people of whom good faces are known can be recognised: poor ones are like any smudge.
            let known = people.iter().enumerate().filter(|(_, p)| p.is_known());
            let scored = known.filter_map(|(k, p)| Some((k, p.gallery.as_ref()?.cosine(&e.face))));
            let Some((k, cosine)) = scored.max_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
            if people[k].hidden && cosine >= ladder.at(e.width).certain {
                hits.entry(k).or_default().push((e.frame, cosine));
            }
        }
        for (k, list) in hits {
            let most = list.iter().map(|h| h.1).fold(0.0, f32::max);
            let text = format!(
                "a face like {} (cosine {most:.2}) is seen in the output where the original has none",
                people[k].alias
            );
            let f = failure(Kind::FaceElsewhere, list.len() as u64, list.first().map(|h| h.0), text);
            let sure = list.len() >= ELSEWHERE_HITS || most >= ELSEWHERE_SURE;
            if sure { self.failures.push(f) } else { self.warnings.push(f) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::subjects::tests::plan as plan_of;
    use super::*;

    /// What was seen of a film of ten frames with one face.
    fn film(sight: Sight) -> Seen {
        Seen {
            sights: vec![sight],
            pictures: Pictures::new(6),
            elsewhere: vec![],
            frames: (10, 10),
            late: (0, None, 0.0),
            broken: None,
            untold: (0, None),
        }
    }

    /// One person of track 1 whose output resembles the source in every attacked frame.
    fn verdict(confirmed: bool, good: bool) -> (Vec<String>, Vec<String>) {
        let mut plan = plan_of(&[(1, 0, 10, 50.0)]);
        plan.tracks[0].confirmed = confirmed;
        let e = |v: [f32; 3]| Embedding::new(v.to_vec()).unwrap();
        let sample = |frame| Sample {
            frame,
            width: 60.0,
            source: e([1.0, 0.0, 0.0]),
            good,
            output: e([0.9, 0.3, 0.1]),
            erased: None,
        };
        let mut sight = Sight::default();
        (sight.frames, sight.samples) = (10, (0..10).map(sample).collect());
        let subject = Subject { spots: vec![], counts: true, found: true, track: Some(1), width: 60.0 };
        let out = judge(&[subject], film(sight), (Some(&plan), None), (None, &Ladder::STRONGEST), &[]);
        let kinds = |all: &[Failure]| all.iter().map(|f| f.kind.clone()).collect();
        (kinds(&out.failures), kinds(&out.warnings))
    }

    /// Somebody whom the strongest recogniser does not know again, and a witness of whose samples `hits` of ten do.
    fn heard(hits: u64) -> (Vec<Failure>, PersonReport) {
        let plan = plan_of(&[(1, 0, 10, 50.0)]);
        let e = |v: [f32; 3]| Embedding::new(v.to_vec()).unwrap();
        let sample =
            |frame, output| Sample { frame, width: 60.0, source: e([1.0, 0.0, 0.0]), good: true, output, erased: None };
        let stranger = e([0.0, 1.0, 0.0]);
        let known = |f| if f < hits { e([1.0, 0.1, 0.0]) } else { stranger.clone() };
        let mut sight = Sight::default();
        (sight.frames, sight.samples) = (10, (0..10).map(|f| sample(f, stranger.clone())).collect());
        sight.witnessed = vec![(0..10).map(|f| sample(f, known(f))).collect()];
        struct Nobody;
        impl crate::vision::EmbeddingModel for Nobody {
            fn embed(
                &mut self,
                _: &crate::image::Frame,
                _: &[crate::geom::Point<crate::geom::InFrame>; 5],
            ) -> crate::Result<Embedding> {
                Err(crate::Error::Model("not asked here".into()))
            }
        }
        let witness = Witness {
            name: "their network".into(),
            network: Box::new(Nobody),
            ladder: Ladder::STRONGEST,
            strangers: None,
        };
        let subject = Subject { spots: vec![], counts: true, found: true, track: Some(1), width: 60.0 };
        let mut out = judge(&[subject], film(sight), (Some(&plan), None), (None, &Ladder::STRONGEST), &[witness]);
        (out.failures, out.people.remove(0))
    }

    #[test]
    fn a_witness_is_heard() {
        let (failures, person) = heard(0);
        let told = &person.identity.unwrap().witnesses[0];
        assert!(failures.is_empty() && !told.recognised && told.over_threshold == 0);
        // One certain face is enough, as for the strongest.
        for hits in [1, 10] {
            let (failures, person) = heard(hits);
            let identity = person.identity.unwrap();
            assert!(identity.over_threshold == 0 && identity.witnesses[0].over_threshold == hits);
            assert_eq!(failures.len(), 1);
            assert!(failures[0].kind == "face.recognised" && failures[0].detail.contains("their network"));
        }
    }

    #[test]
    fn mouths_may_agree_and_eyes_may_not() {
        assert!(!are_too_many_parts("swap", 40, 0, 200) && are_too_many_parts("swap", 60, 0, 200));
        assert!(!are_too_many_parts("swap", 5, 5, 200) && are_too_many_parts("swap", 6, 6, 200));
        assert!(!are_too_many_parts("swap", 1, 1, 10) && are_too_many_parts("swap", 2, 2, 10));
        assert!(are_too_many_parts("solid", 1, 0, 200));
    }

    #[test]
    fn what_nobody_took_for_a_face_cannot_be_recognised_but_is_shown() {
        let recognised = vec!["face.recognised".to_owned()];
        assert_eq!(verdict(true, false).0, recognised);
        assert_eq!(verdict(true, true).0, recognised);
        assert_eq!(verdict(false, true).0, recognised, "the attack saw good faces there: the plan was wrong");
        assert_eq!(verdict(false, false), (vec![], recognised));
    }
}
