//! The cast resolved against a plan: exactly one treatment for every track.

use super::looks::womanly;
use super::{Cast, Extent, FaceChoice, Plan, parse_timecode};
use crate::infer::BUILT_IN_EMBEDDING;
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

/// Treatments that show no face at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedactStyle {
    /// Irreversible low-resolution average, then blur.
    Blur,
    /// Irreversible coarse cells.
    Mosaic,
    /// A flat shape over the head.
    Solid,
    /// A dark shape over head and shoulders.
    Silhouette,
}

/// What happens to a face.
#[derive(Debug, Clone, PartialEq)]
pub enum FaceTreatment {
    /// Left as filmed; only by the cast.
    Keep,
    /// Replaced by the double of this name (`a+b` is the person between two doubles).
    Swap {
        /// Name of the double.
        double: String,
        /// Visible soft edge, 0..=1.
        halo: f32,
        /// How much of the head changes.
        extent: Extent,
    },
    /// Covered.
    Redact(RedactStyle),
}

/// What happens to one track.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackTreatment {
    /// The face.
    pub face: FaceTreatment,
    /// From this time (seconds) the veil dissolves over so many seconds, by recorded consent.
    pub reveal: Option<(f64, f64)>,
    /// Name for reports.
    pub alias: String,
}

/// Visible edge of a swapped face unless the cast says otherwise: who looks for it sees it.
pub const DEFAULT_HALO: f32 = 0.25;

/// One treatment for every track of a plan.
#[derive(Debug, Clone)]
pub struct Casting {
    by_track: BTreeMap<u32, TrackTreatment>,
    moments: BTreeMap<u32, BTreeSet<u64>>,
}

/// A double that can be chosen automatically.
#[derive(Debug, Clone, Default)]
pub struct DoubleChoice {
    /// Its name.
    pub name: String,
    /// Lightness of its skin, CIE L*, if known.
    pub skin: Option<f32>,
    /// `woman` or `man`, as the face looks, if known.
    pub sex: Option<String>,
    /// Whether it has a beard or moustache.
    pub bearded: bool,
    /// Embedding of its neutral face by the same recogniser as the plan's, L2-normalised; empty if not measured.
    pub embedding: Vec<f32>,
    /// People (by number) for whom it must not be chosen again.
    pub refused_for: Vec<u32>,
    /// People (by number) for whom it may look like the other sex: every double that fits was too like them.
    pub any_looks_for: Vec<u32>,
    /// How far the face shape of each person (by number) is from the double's, root mean square in face widths.
    pub shape_gap: BTreeMap<u32, f32>,
    /// How like each person (by number) this double looks when it is drawn on them, where that was tried.
    pub likeness: BTreeMap<u32, Likeness>,
}

/// How like a person a double turned out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likeness {
    /// Cosine of the drawn faces' mean with the person, by the strongest recogniser.
    pub cosine: f32,
    /// The person's place among strangers in the order of likeness to the drawn faces, from 1: a geometric mean over all
    /// recognisers that know strangers, in which the strongest weighs most.
    pub rank: Option<f32>,
}

/// Cosine above which a double resembles a person too much to stand in for them.
const TOO_ALIKE: f32 = 0.20;

/// Cost of a double of the other sex, where that is sure.
const OTHER_SEX: f32 = 16.0;
/// Cost of a bearded double for somebody who is not surely a man.
const BEARD: f32 = 6.0;
/// Share of both that is left for somebody whom every fitting double resembles: of two that are as far, the one that fits.
const ANY_LOOKS: f32 = 0.2;
/// Cosine of a person with a double drawn on them above which some stranger would be taken for somebody else first.
const TOO_NEAR: f32 = 0.16;

/// Cosine of a person with a double drawn on them below which it is as far as any other.
const FAR: f32 = 0.05;
/// Cosine of a person with a double drawn on them above which the attack will find them.
const FOUND: f32 = 0.30;
/// Place among strangers from which on a double is as good as any other.
const FAR_RANK: f32 = 100.0;
/// Cost of every e-fold that the place is nearer.
const PLACE: f32 = 1.6;

/// CIE L* of a display-referred colour.
pub(crate) fn lightness(rgb: [f32; 3]) -> f32 {
    let linear = |v: f32| if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) };
    let y = 0.2126 * linear(rgb[0]) + 0.7152 * linear(rgb[1]) + 0.0722 * linear(rgb[2]);
    if y > 0.008_856 { 116.0 * y.cbrt() - 16.0 } else { 903.3 * y }
}

fn cosine(a: &[f32], b: &[f32]) -> Option<f32> {
    (!a.is_empty() && a.len() == b.len()).then(|| a.iter().zip(b).map(|(x, y)| x * y).sum())
}

impl Casting {
    /// Resolves a cast. `doubles` are those that may be used; `matched` gives the people (by number) whom the `refs`
    /// of each cast entry were found to mean, in the cast's order.
    ///
    /// Every track gets a treatment; a track that no entry names is disguised.
    ///
    /// # Errors
    /// `Plan` naming the line, for a track, person or double that does not exist, or a track claimed twice.
    pub fn resolve(plan: &Plan, cast: &Cast, doubles: &[DoubleChoice], matched: &[Vec<u32>]) -> Result<Self> {
        let mut claimed: BTreeMap<u32, usize> = BTreeMap::new();
        for (i, entry) in cast.people.iter().enumerate() {
            let mut claim = |track: u32, at: usize| match claimed.insert(track, i) {
                Some(other) if other != i => Err(cast.error_at(
                    at,
                    &format!("track {track} already belongs to \"{}\"", cast.people[other].alias.get_ref()),
                )),
                _ => Ok(()),
            };
            for t in &entry.tracks {
                if plan.track(*t.get_ref()).is_none() {
                    let known = plan.tracks.len();
                    let message = format!("track {} does not exist in the plan, which has {known} tracks", t.get_ref());
                    return Err(cast.error_at(t.span().start, &message));
                }
                claim(*t.get_ref(), t.span().start)?;
            }
            for p in &entry.people {
                let person = plan.person(*p.get_ref()).ok_or_else(|| {
                    cast.error_at(p.span().start, &format!("person {} does not exist in the plan", p.get_ref()))
                })?;
                for t in &person.tracks {
                    claim(*t, p.span().start)?;
                }
            }
            for p in matched.get(i).into_iter().flatten() {
                for t in plan.person(*p).into_iter().flat_map(|p| &p.tracks) {
                    claim(*t, entry.alias.span().start)?;
                }
            }
        }
        for r in cast.regions.iter().filter_map(|r| r.follow.as_ref()) {
            if plan.track(*r.track.get_ref()).is_none() {
                let message = format!("track {} does not exist in the plan", r.track.get_ref());
                return Err(cast.error_at(r.track.span().start, &message));
            }
        }
        let mut chooser = Chooser::new(plan, cast, doubles, &claimed)?;
        let mut by_track = BTreeMap::new();
        for track in &plan.tracks {
            by_track.insert(track.id, chooser.treatment(track, claimed.get(&track.id).copied())?);
        }
        Ok(Casting { by_track, moments: BTreeMap::new() })
    }

    /// The treatment of a track. A number that is not in the plan is covered.
    #[must_use]
    pub fn treatment(&self, track: u32) -> TrackTreatment {
        self.by_track.get(&track).cloned().unwrap_or(TrackTreatment {
            face: FaceTreatment::Redact(RedactStyle::Solid),
            reveal: None,
            alias: String::new(),
        })
    }

    /// The treatment of a track of the plan.
    #[must_use]
    pub fn treatment_ref(&self, track: u32) -> Option<&TrackTreatment> {
        self.by_track.get(&track)
    }

    /// Covers a track instead of swapping it; for people whom the attack recognised behind every double tried.
    pub fn cover(&mut self, track: u32) {
        if let Some(t) = self.by_track.get_mut(&track)
            && matches!(t.face, FaceTreatment::Swap { .. })
        {
            t.face = FaceTreatment::Redact(RedactStyle::Solid);
        }
    }

    /// Covers a track in these frames instead of swapping it there; for moments in which the attack found the original's face behind
    /// its double.
    pub fn cover_moments(&mut self, track: u32, frames: &BTreeSet<u64>) {
        self.moments.entry(track).or_default().extend(frames);
    }

    /// The treatment of a track in one frame, as [`Casting::treatment`].
    #[must_use]
    pub fn treatment_at(&self, track: u32, frame: u64) -> TrackTreatment {
        let mut t = self.treatment(track);
        let covered = self.moments.get(&track).is_some_and(|m| m.contains(&frame));
        if covered && matches!(t.face, FaceTreatment::Swap { .. }) {
            t.face = FaceTreatment::Redact(RedactStyle::Solid);
        }
        t
    }

    /// Takes away whatever would leave any track but those `known` as filmed: the attacker alone found it, and a cast
    /// that keeps or reveals a person never decided on it.
    pub fn protect_all_but(&mut self, known: &BTreeSet<u32>) {
        for t in self.by_track.iter_mut().filter(|(id, _)| !known.contains(id)).map(|(_, t)| t) {
            t.reveal = None;
            if t.face == FaceTreatment::Keep {
                t.face = FaceTreatment::Redact(RedactStyle::Solid);
            }
        }
    }

    /// All treatments by track number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &TrackTreatment)> {
        self.by_track.iter().map(|(k, v)| (*k, v))
    }

    /// Name of the double that a track gets, if any.
    #[must_use]
    pub fn double_of(&self, track: u32) -> Option<&str> {
        match self.treatment_ref(track).map(|t| &t.face) {
            Some(FaceTreatment::Swap { double, .. }) => Some(double),
            _ => None,
        }
    }

    /// Names of all doubles used.
    #[must_use]
    pub fn doubles(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .by_track
            .values()
            .filter_map(|t| match &t.face {
                FaceTreatment::Swap { double, .. } => Some(double.clone()),
                _ => None,
            })
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Gives each person (or cast entry) its own double.
struct Chooser<'a> {
    plan: &'a Plan,
    cast: &'a Cast,
    doubles: &'a [DoubleChoice],
    used: Vec<String>,
    by_person: BTreeMap<(bool, usize), String>,
}

impl<'a> Chooser<'a> {
    fn new(
        plan: &'a Plan,
        cast: &'a Cast,
        doubles: &'a [DoubleChoice],
        claimed: &BTreeMap<u32, usize>,
    ) -> Result<Self> {
        let mut c = Chooser { plan, cast, doubles, used: Vec::new(), by_person: BTreeMap::new() };
        for (i, entry) in cast.people.iter().enumerate() {
            if let Some(face) = &entry.face
                && let FaceChoice::Swap { double: Some(name), .. } = face.get_ref()
            {
                if !doubles.iter().any(|d| &d.name == name) {
                    let message = format!("there is no double \"{name}\" (see `understudy double list`)");
                    return Err(cast.error_at(face.span().start, &message));
                }
                if c.used.contains(name) {
                    let message = format!("double \"{name}\" is cast twice: two people would look alike");
                    return Err(cast.error_at(face.span().start, &message));
                }
                c.used.push(name.clone());
                c.by_person.insert((true, i), name.clone());
            }
        }
        // Those seen longest choose first, so that the leads get a shipped double rather than a blend.
        let mut order: Vec<_> = plan.people.iter().collect();
        order.sort_by_key(|p| (std::cmp::Reverse(p.frames), p.id));
        for p in order {
            let key = p.tracks.iter().find_map(|t| claimed.get(t)).map_or((false, p.id as usize), |i| (true, *i));
            if !c.by_person.contains_key(&key)
                && let Some(name) = c.pick(p)
            {
                c.used.push(name.clone());
                c.by_person.insert(key, name);
            }
        }
        Ok(c)
    }

    /// The unused double that fits a person best; when all are used, an unused blend of two.
    fn pick(&self, person: &super::PlanPerson) -> Option<String> {
        let cost: Vec<f32> = self.doubles.iter().map(|d| self.misfit(person, d)).collect();
        let free = (0..self.doubles.len()).filter(|i| !self.used.contains(&self.doubles[*i].name));
        if let Some(best) = free.min_by(|a, b| cost[*a].total_cmp(&cost[*b]).then(a.cmp(b))) {
            return Some(self.doubles[best].name.clone());
        }
        let mut blends: Vec<(f32, String)> = Vec::new();
        for (i, a) in self.doubles.iter().enumerate() {
            for (j, b) in self.doubles.iter().enumerate().skip(i + 1) {
                let name = format!("{}+{}", a.name, b.name);
                if a.sex == b.sex && !self.used.contains(&name) {
                    blends.push((cost[i] + cost[j], name));
                }
            }
        }
        blends.into_iter().min_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1))).map(|b| b.1)
    }

    /// How badly a double fits: skin far off, another shape of face, too alike.
    fn misfit(&self, person: &super::PlanPerson, double: &DoubleChoice) -> f32 {
        if double.refused_for.contains(&person.id) {
            return 1e6;
        }
        let skin = double.skin.map_or(0.5, |s| ((lightness(person.tone) - s) / 14.0).powi(2));
        let alike = match double.likeness.get(&person.id) {
            Some(Likeness { cosine: c, rank }) => {
                let place = rank.map_or(0.0, |r| (FAR_RANK / r.max(1.0)).ln().max(0.0));
                let near = |from: f32, cost: f32| (c - from).max(0.0) * cost;
                near(FAR, 15.0) + near(TOO_NEAR, 40.0) + near(FOUND, 200.0) + place * PLACE
            }
            None => cosine(&person.embedding, &double.embedding)
                .map_or(0.0, |c| (c + 0.05).max(0.0) * 12.0 + (c - TOO_ALIKE).max(0.0) * 60.0),
        };
        let shape = double.shape_gap.get(&person.id).map_or(1.0, |g| (g / 0.025).powi(2).min(10.0));
        let sex = match (self.womanly(person), double.sex.as_deref()) {
            (Some(w), Some("man")) => w.max(0.0) * OTHER_SEX,
            (Some(w), Some("woman")) => (-w).max(0.0) * OTHER_SEX,
            _ => 0.0,
        };
        let least = if self.plan.models.iter().any(|m| m.name == BUILT_IN_EMBEDDING) { 0.0 } else { -1.0 };
        let beard = match self.womanly(person) {
            // By the built-in recogniser nobody is surely a man.
            Some(w) if double.bearded => ((w.max(least) + 0.5) * BEARD).clamp(0.0, BEARD),
            _ => 0.0,
        };
        let looks = (sex + beard) * if double.any_looks_for.contains(&person.id) { ANY_LOOKS } else { 1.0 };
        skin + alike + shape + looks
    }

    /// Whether a face looks like a woman's (1) or a man's (−1), by its embedding, and where that is not sure by its
    /// shape: on eleven clips of one person each the mean distances of shape to the doubles of either kind differ by
    /// 0.003 to 0.013 face widths, with the right sign where it is known.
    fn womanly(&self, person: &super::PlanPerson) -> Option<f32> {
        let mean = |word: &str| {
            let of = self.doubles.iter().filter(|d| d.sex.as_deref() == Some(word));
            let all: Vec<f32> = of.filter_map(|d| d.shape_gap.get(&person.id)).copied().collect();
            (!all.is_empty()).then(|| all.iter().sum::<f32>() / all.len() as f32)
        };
        let shape = mean("man").zip(mean("woman")).map(|(m, w)| ((m - w) / 0.004).clamp(-1.0, 1.0));
        match (shape, womanly(&person.embedding)) {
            (Some(a), Some(b)) => Some((0.3 * a + 1.2 * b).clamp(-1.0, 1.0)),
            (a, b) => a.or(b.map(|b| (1.2 * b).clamp(-1.0, 1.0))),
        }
    }

    fn treatment(&mut self, track: &super::PlanTrack, entry: Option<usize>) -> Result<TrackTreatment> {
        let person = entry.map(|i| &self.cast.people[i]);
        let choice = match person {
            Some(p) => p.face.as_ref().map(|f| f.get_ref().clone()),
            None => self.cast.unlisted.clone(),
        };
        let choice = choice.unwrap_or(FaceChoice::Swap { double: None, halo: None, extent: None });
        let face = match choice {
            FaceChoice::Keep => FaceTreatment::Keep,
            FaceChoice::Blur => FaceTreatment::Redact(RedactStyle::Blur),
            FaceChoice::Mosaic => FaceTreatment::Redact(RedactStyle::Mosaic),
            FaceChoice::Solid => FaceTreatment::Redact(RedactStyle::Solid),
            FaceChoice::Silhouette => FaceTreatment::Redact(RedactStyle::Silhouette),
            FaceChoice::Swap { double, halo, extent } => {
                let key = entry.map_or((false, track.person as usize), |i| (true, i));
                match double.or_else(|| self.by_person.get(&key).cloned()) {
                    Some(double) => FaceTreatment::Swap {
                        double,
                        halo: halo.or(self.cast.halo).unwrap_or(DEFAULT_HALO),
                        extent: extent.unwrap_or(self.cast.extent),
                    },
                    None => FaceTreatment::Redact(RedactStyle::Solid), // more people than invented faces
                }
            }
        };
        let reveal = match person.and_then(|p| p.reveal.as_ref()) {
            None => None,
            Some(r) => {
                let times = (parse_timecode(&r.get_ref().at), parse_timecode(&r.get_ref().over));
                let (Some(at), Some(over)) = times else {
                    return Err(Error::Plan("a `reveal` without times".into()));
                };
                Some((at, over))
            }
        };
        let alias = person.map_or_else(|| format!("Person {}", track.person), |p| p.alias.get_ref().clone());
        debug_assert!(self.plan.person(track.person).is_some());
        Ok(TrackTreatment { face, reveal, alias })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::*;
    use crate::units::{FrameIndex, TimeBase};

    fn plan(people: &[&[u32]]) -> Plan {
        let mut tracks = vec![];
        let mut list = vec![];
        for (i, ids) in people.iter().enumerate() {
            for t in *ids {
                tracks.push(PlanTrack {
                    id: *t,
                    person: i as u32,
                    first: FrameIndex(0),
                    end: FrameIndex(1),
                    confirmed: true,
                    max_score: 1.0,
                    width_px: 50.0,
                    blocks: vec![],
                });
            }
            let tone = [0.1 * i as f32; 3];
            list.push(PlanPerson { id: i as u32, tracks: ids.to_vec(), embedding: vec![], tone, frames: 1 });
        }
        Plan {
            version: PLAN_VERSION,
            source_path: String::new(),
            source: SourceFingerprint { bytes: 0, sha256: String::new() },
            video: VideoSummary {
                width: 1,
                height: 1,
                frames: 1,
                fps: 25.0,
                time_base: TimeBase::new(1, 25).unwrap(),
                start: 0,
            },
            recall: String::new(),
            models: vec![],
            cuts: vec![],
            tracks,
            people: list,
            findings: vec![],
            salvaged: false,
        }
    }

    fn doubles(n: usize) -> Vec<DoubleChoice> {
        (0..n).map(|i| DoubleChoice { name: format!("d{i:02}"), ..DoubleChoice::default() }).collect()
    }

    #[test]
    fn everybody_unlisted_is_disguised_and_nobody_shares_a_double() {
        let plan = plan(&[&[1, 2], &[3], &[4], &[5], &[6], &[7]]);
        let casting = Casting::resolve(&plan, &Cast::default(), &doubles(3), &[]).unwrap();
        let name = |t| match casting.treatment(t).face {
            FaceTreatment::Swap { double, .. } => double,
            other => panic!("{other:?}"),
        };
        assert_eq!(name(1), name(2));
        let mut all: Vec<_> = [1, 3, 4, 5, 6, 7].into_iter().map(name).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 6, "3 doubles and 3 blends");
    }

    #[test]
    fn a_double_fits_in_skin_and_is_far_in_identity() {
        let mut plan = plan(&[&[1]]);
        plan.people[0].tone = [0.75, 0.6, 0.5];
        plan.people[0].embedding = vec![1.0, 0.0];
        let mut d = doubles(3);
        (d[0].skin, d[1].skin, d[2].skin) = (Some(30.0), Some(66.0), Some(64.0));
        d[2].embedding = vec![0.9, 0.43]; // fits, but is the person's twin
        d[1].embedding = vec![0.0, 1.0];
        let casting = Casting::resolve(&plan, &Cast::default(), &d, &[]).unwrap();
        assert_eq!(casting.doubles(), vec!["d01"]);
    }

    #[test]
    fn looks_count_until_every_double_that_fits_was_too_alike() {
        let mut plan = plan(&[&[1]]);
        plan.people[0].embedding = vec![1.0, 0.0];
        let mut d = doubles(2);
        // By shape the person looks like a woman.
        (d[0].sex, d[1].sex) = (Some("woman".into()), Some("man".into()));
        d[0].shape_gap.insert(0, 0.01);
        d[1].shape_gap.insert(0, 0.02);
        let tried = |cosine, rank| [(0, Likeness { cosine, rank: Some(rank) })].into();
        (d[0].likeness, d[1].likeness) = (tried(0.20, 400.0), tried(0.05, 400.0));
        let pick = |d: &[DoubleChoice]| Casting::resolve(&plan, &Cast::default(), d, &[]).unwrap().doubles();
        assert_eq!(pick(&d), ["d00"]);
        d.iter_mut().for_each(|d| d.any_looks_for.push(0));
        assert_eq!(pick(&d), ["d01"]);
    }

    #[test]
    fn a_double_that_came_out_far_from_the_person_is_taken() {
        let mut plan = plan(&[&[1]]);
        plan.people[0].tone = [0.75, 0.6, 0.5];
        plan.people[0].embedding = vec![1.0, 0.0];
        let mut d = doubles(3);
        (d[0].skin, d[1].skin, d[2].skin) = (Some(66.0), Some(66.0), Some(66.0));
        for double in &mut d {
            double.shape_gap.insert(0, 0.02);
        }
        let tried = |cosine, rank| [(0, Likeness { cosine, rank })].into();
        (d[0].likeness, d[1].likeness) = (tried(0.12, Some(8.0)), tried(0.12, Some(60.0)));
        d[2].likeness = tried(0.30, None);
        let pick = |d: &[DoubleChoice]| Casting::resolve(&plan, &Cast::default(), d, &[]).unwrap().doubles();
        assert_eq!(pick(&d), ["d01"], "as like in numbers, but some strangers are more so");
        d[1].shape_gap.insert(0, 0.07);
        assert_eq!(pick(&d), ["d00"], "a face of quite another shape cannot carry the expression");
        (d[0].likeness, d[1].likeness) = (tried(0.40, Some(1.0)), tried(0.40, Some(1.0)));
        assert_eq!(pick(&d), ["d02"]);
    }

    #[test]
    fn a_track_that_does_not_exist_is_named_with_its_line() {
        let cast = Cast::parse("[[person]]\nalias = \"W\"\ntracks = [1, 99]\nface = \"keep\"\n", "c.toml").unwrap();
        let e = Casting::resolve(&plan(&[&[1]]), &cast, &doubles(2), &[]).unwrap_err().to_string();
        assert!(e.contains("line 3") && e.contains("99"), "{e}");
    }

    #[test]
    fn a_double_cast_twice_is_refused() {
        let text = "[[person]]\nalias = \"A\"\ntracks = [1]\nface = { double = \"d01\" }\n\
                    [[person]]\nalias = \"B\"\ntracks = [3]\nface = { double = \"d01\" }\n";
        let cast = Cast::parse(text, "c.toml").unwrap();
        let e = Casting::resolve(&plan(&[&[1], &[3]]), &cast, &doubles(2), &[]).unwrap_err().to_string();
        assert!(e.contains("twice") && e.contains("line 8"), "{e}");
    }

    #[test]
    fn what_the_attacker_alone_found_is_never_kept_or_revealed() {
        let reveal = "reveal = { at = \"00:00:01\", over = \"1s\", consent = \"signed\" }";
        let casts = [
            "[[person]]\nalias = \"A\"\npeople = [0]\nface = \"keep\"\n".to_owned(),
            format!("[[person]]\nalias = \"A\"\npeople = [0]\n{reveal}\n"),
        ];
        for text in &casts {
            let mut plan = plan(&[&[1]]);
            let known: BTreeSet<u32> = [1].into();
            let place = crate::geom::Rect::new(0.0, 0.0, 1.0, 1.0);
            let added = plan.add_places(Some(0), &[(0, place)]).unwrap();
            let cast = Cast::parse(text, "c.toml").unwrap_or_else(|e| panic!("{text}: {e}"));
            let mut casting = Casting::resolve(&plan, &cast, &doubles(2), &[]).unwrap();
            let bare = casting.treatment(added[0]);
            assert!(bare.face == FaceTreatment::Keep || bare.reveal.is_some(), "the cast reaches it: {text}");
            let before = casting.treatment(1);
            casting.protect_all_but(&known);
            let t = casting.treatment(added[0]);
            assert!(t.face != FaceTreatment::Keep && t.reveal.is_none(), "{text}");
            assert_eq!(casting.treatment(1), before, "what was known is as the cast says");
        }
    }

    #[test]
    fn keep_holds_only_for_the_tracks_named() {
        let cast = Cast::parse("[[person]]\nalias = \"A\"\ntracks = [1]\nface = \"keep\"\n", "c").unwrap();
        let casting = Casting::resolve(&plan(&[&[1, 2], &[3]]), &cast, &doubles(2), &[]).unwrap();
        assert_eq!(casting.treatment(1).face, FaceTreatment::Keep);
        assert_ne!(casting.treatment(2).face, FaceTreatment::Keep);
        assert_ne!(casting.treatment(3).face, FaceTreatment::Keep);
        assert_eq!(casting.treatment(77).face, FaceTreatment::Redact(RedactStyle::Solid));
    }

    #[test]
    fn a_double_is_covered_in_moments_and_nothing_else_is_changed() {
        let cast = Cast::parse("[[person]]\nalias = \"A\"\ntracks = [2]\nface = \"keep\"\n", "c").unwrap();
        let mut casting = Casting::resolve(&plan(&[&[1], &[2]]), &cast, &doubles(2), &[]).unwrap();
        for track in [1, 2] {
            casting.cover_moments(track, &(5..=7).collect());
        }
        for frame in [4, 8] {
            assert_eq!(casting.treatment_at(1, frame), casting.treatment(1));
        }
        assert_eq!(casting.treatment_at(1, 6).face, FaceTreatment::Redact(RedactStyle::Solid));
        assert_eq!(casting.treatment_at(2, 6).face, FaceTreatment::Keep, "who is kept is kept");
        assert_eq!(casting.treatment_at(77, 6).face, FaceTreatment::Redact(RedactStyle::Solid));
    }
}
