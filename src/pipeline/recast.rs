//! Who gets another double, or a cover, after an attack.

use crate::plan::{Cast, Casting, DoubleChoice, FaceChoice, FaceTreatment, Plan, PlanTrack};
use crate::report::{IdentityReport, PersonReport, Report};
use crate::verify;
use std::collections::BTreeSet;

/// Cosine from which it is not the double that is too like somebody: parts of their own face are still there.
const OWN_FACE: f32 = 0.5;
/// … unless the double alone was nearly as like them when it was tried: on heads leant to the side all faces are somewhat alike.
const OWN_MARGIN: f32 = 0.25;
/// The same by the built-in recogniser alone: different people filmed alike reach 0.73 by it, their own faces 0.83 and more.
const OWN_FACE_BUILT_IN: f32 = 0.76;

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
pub(super) enum Step {
    /// A double of the same looks: the film was cleared as it is.
    SameLooks,
    /// Any double.
    AnyLooks,
    /// No double.
    Cover,
}

/// The swapped people whose faces are still somewhat like the original.
pub(super) fn near_misses(report: &Report) -> Vec<String> {
    let near = |i: &IdentityReport| i.cosine_track >= NEAR || i.rank_track.is_some_and(|r| r < NEAR_RANK);
    swapped(report).filter(|(_, i)| near(i)).map(|(alias, _)| alias.to_owned()).collect()
}

/// The most that anybody is still like the original.
pub(super) fn nearest(report: &Report) -> f32 {
    let rank = |i: &IdentityReport| i.rank_track.unwrap_or(NEAR_RANK).min(NEAR_RANK);
    let likeness = |i: &IdentityReport| i.cosine_track + RANK_COST * (NEAR_RANK - rank(i)) as f32;
    swapped(report).map(|p| likeness(p.1)).fold(-1.0, f32::max)
}

/// Of whom good faces are known: what may be no face is averaged away, whatever it resembles.
fn swapped(report: &Report) -> impl Iterator<Item = (&str, &IdentityReport)> {
    let people = report.people.iter().filter(|p| p.treatment == "swap");
    let known = people.filter_map(|p| Some((p, p.identity.as_ref().filter(|i| i.gallery >= verify::LEAST_GALLERY)?)));
    known.map(|(p, identity)| (p.alias.as_str(), identity))
}

/// Whether a person was recognised, besides whatever else the attack found of them.
fn is_recognised(person: &PersonReport) -> bool {
    let found = |i: &IdentityReport| {
        i.cosine_track >= i.threshold_track
            || i.over_threshold > 0
            || i.taken_back
            || i.witnesses.iter().any(|w| w.recognised)
    };
    person.identity.as_ref().is_some_and(found)
}

/// Changes the cast of those whom the attack found, as far as the cast file leaves the choice open: another double
/// first, then a cover. Whoever is `eased` is covered in the moments in which the original's face was found; no more is
/// done for them, unless they were recognised too. `built_in`: no other recogniser has looked. `false` if nothing could be changed.
#[expect(clippy::too_many_arguments, reason = "one call site; a struct would only repeat these names")]
pub(super) fn recast(
    cast: &Cast,
    plan: &Plan,
    report: &Report,
    (accused, eased): (&[String], &BTreeSet<String>),
    casting: &Casting,
    (step, built_in): (Step, bool),
    choices: &mut [DoubleChoice],
    covered: &mut BTreeSet<u32>,
) -> bool {
    let fixed: BTreeSet<&str> = cast
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
        let eased = eased.contains(&person.alias);
        if eased && !is_recognised(person) {
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
            let shows_through = match built_in {
                true => worst >= OWN_FACE_BUILT_IN,
                false => worst >= OWN_FACE && tried.is_none_or(|t| worst > t + OWN_MARGIN),
            };
            if weak || step == Step::Cover || shows_through || person.untouched > 0 && !eased {
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

/// Whether a double of the same looks is left that came out farther from this person, when it was tried, than the present one
/// in the film.
pub(super) fn is_better_left(
    alias: &str,
    report: &Report,
    plan: &Plan,
    casting: &Casting,
    choices: &[DoubleChoice],
) -> bool {
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
pub(super) fn near_by_audition(plan: &Plan, casting: &Casting, choices: &[DoubleChoice]) -> BTreeSet<u32> {
    let likeness = |track: u32, person: u32| {
        let name = casting.double_of(track)?;
        choices.iter().find(|c| c.name == name)?.likeness.get(&person).map(|l| l.cosine)
    };
    let near = |t: &&PlanTrack| likeness(t.id, t.person).is_some_and(|c| c >= NEAR_TRIED);
    plan.tracks.iter().filter(near).map(|t| t.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Likeness, PLAN_VERSION, PlanPerson, SourceFingerprint, VideoSummary};
    use crate::units::{FrameIndex, TimeBase};

    fn plan() -> Plan {
        let track = PlanTrack {
            id: 3,
            person: 0,
            first: FrameIndex(0),
            end: FrameIndex(9),
            confirmed: true,
            max_score: 1.0,
            width_px: 80.0,
            blocks: vec![],
        };
        let person = PlanPerson { id: 0, tracks: vec![3], embedding: vec![1.0, 0.0], tone: [0.5; 3], frames: 9 };
        let time_base = TimeBase::new(1, 25).unwrap();
        Plan {
            version: PLAN_VERSION,
            source_path: String::new(),
            source: SourceFingerprint { bytes: 0, sha256: String::new() },
            video: VideoSummary { width: 640, height: 360, frames: 9, fps: 25.0, time_base, start: 0 },
            recall: String::new(),
            models: vec![],
            cuts: vec![],
            tracks: vec![track],
            people: vec![person],
            findings: vec![],
            salvaged: false,
        }
    }

    /// Two women and a man, tried on the person with these cosines; the first is the nearest fit.
    fn choices(cosines: [f32; 3]) -> Vec<DoubleChoice> {
        let one = |(i, cosine): (usize, f32)| DoubleChoice {
            name: format!("d{i}"),
            sex: Some(if i == 2 { "man" } else { "woman" }.into()),
            likeness: [(0, Likeness { cosine, rank: None })].into(),
            shape_gap: [(0, 0.02 * i as f32)].into(),
            ..DoubleChoice::default()
        };
        cosines.into_iter().enumerate().map(one).collect()
    }

    fn report(cosine_track: f32, cosine_max: f32, rank: u64) -> Report {
        let mut report = crate::report::tests::sample();
        let person = &mut report.people[0];
        (person.alias, person.untouched) = ("P".into(), 0);
        if let Some(i) = &mut person.identity {
            (i.cosine_track, i.cosine_max, i.rank_track) = (cosine_track, cosine_max, Some(rank));
        }
        report
    }

    #[test]
    fn another_double_is_tried_only_if_a_better_one_of_the_same_looks_is_left() {
        let near = report(0.24, 0.3, 12);
        assert_eq!(near_misses(&near), ["P"]);
        assert!(near_misses(&report(0.1, 0.3, 400)).is_empty());
        assert!(nearest(&report(0.2, 0.3, 5)) > nearest(&report(0.2, 0.3, 50)), "a near place counts");
        let is_left = |cosines| {
            let choices = choices(cosines);
            let casting = Casting::resolve(&plan(), &Cast::default(), &choices, &[]).unwrap();
            assert_eq!(casting.double_of(3), Some("d0"));
            is_better_left("P", &near, &plan(), &casting, &choices)
        };
        assert!(is_left([0.1, 0.2, 0.9]));
        assert!(!is_left([0.1, 0.3, 0.9]));
        assert!(!is_left([0.1, 0.3, 0.11]), "the better one is no woman");
    }

    #[test]
    fn one_own_face_behind_a_double_is_covered_and_a_double_that_is_like_it_is_changed() {
        let after = |tried: f32, step| {
            let mut choices = choices([tried, 0.9, 0.9]);
            let casting = Casting::resolve(&plan(), &Cast::default(), &choices, &[]).unwrap();
            let mut covered = BTreeSet::new();
            let accused = ["P".to_owned()];
            let found = report(0.3, 0.52, 1);
            let cast = Cast::default();
            let who = (&accused[..], &BTreeSet::new());
            assert!(recast(&cast, &plan(), &found, who, &casting, (step, false), &mut choices, &mut covered));
            (covered.contains(&3), choices[0].refused_for == [0], choices[2].any_looks_for == [0])
        };
        assert_eq!(
            after(0.1, Step::AnyLooks),
            (true, false, false),
            "it was far when it was tried: something shows through"
        );
        assert_eq!(after(0.3, Step::AnyLooks), (false, true, true));
        assert_eq!(after(0.3, Step::SameLooks), (false, true, false));
        assert_eq!(after(0.3, Step::Cover), (true, false, false));
    }

    #[test]
    fn whoever_was_bare_for_moments_keeps_the_double_unless_recognised() {
        let after = |cosine: f32, eased: bool, built_in: bool| {
            let mut found = report(cosine, cosine, 1);
            found.people[0].untouched = 2;
            let (mut choices, mut covered) = (choices([0.3, 0.9, 0.9]), BTreeSet::new());
            let casting = Casting::resolve(&plan(), &Cast::default(), &choices, &[]).unwrap();
            if let Some(i) = &mut found.people[0].identity {
                (i.threshold_track, i.over_threshold, i.taken_back) = (if built_in { 0.55 } else { 0.36 }, 0, false);
                i.witnesses.clear();
            }
            let accused = ["P".to_owned()];
            let eased = if eased { BTreeSet::from(["P".to_owned()]) } else { BTreeSet::new() };
            let (who, how) = ((&accused[..], &eased), (Step::AnyLooks, built_in));
            recast(&Cast::default(), &plan(), &found, who, &casting, how, &mut choices, &mut covered);
            (covered.contains(&3), choices[0].refused_for == [0])
        };
        assert_eq!(after(0.1, true, false), (false, false));
        assert_eq!(after(0.4, true, false), (false, true), "recognised too");
        assert_eq!(after(0.1, false, false), (true, false), "more than moments");
        assert_eq!(after(0.6, true, true), (false, true), "no face of their own by a weak recogniser");
        assert_eq!(after(0.8, true, true), (true, false));
    }
}
