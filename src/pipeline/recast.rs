//! Who gets another double, or a cover, after an attack.

use crate::plan::{Cast, Casting, DoubleChoice, FaceChoice, FaceTreatment, Plan, PlanTrack};
use crate::report::{IdentityReport, Report};
use crate::verify;
use std::collections::BTreeSet;

/// Cosine from which it is not the double that is too like somebody: parts of their own face are still there.
const OWN_FACE: f32 = 0.5;
/// … unless the double alone was nearly as like them when it was tried: on heads leant to the side all faces are somewhat alike.
const OWN_MARGIN: f32 = 0.25;

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

/// Changes the cast of those whom the attack found, as far as the cast file leaves the choice open: another double
/// first, then a cover. `false` if nothing could be changed.
#[expect(clippy::too_many_arguments, reason = "one call site; a struct would only repeat these names")]
pub(super) fn recast(
    cast: &Cast,
    plan: &Plan,
    report: &Report,
    accused: &[String],
    casting: &Casting,
    step: Step,
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
