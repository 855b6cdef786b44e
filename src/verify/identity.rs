//! The re-identification attack: whose face is in the output?
//!
//! Every sampled output face is embedded and compared with the mean of the same person's faces in the source (the
//! gallery). Hair, light and background around the face are shared by both, which favours the attacker on purpose.

use super::strangers::Strangers;
use crate::infer::{InstalledModel, Recogniser};
use crate::report::{Bound, IdentityReport};
use crate::vision::Embedding;
use zeroize::Zeroize;

/// Cosines over which a face counts as the person's, by the face's width. From 1023 strangers' portraits of public
/// record, reduced to each width: a share of 1e-3 of the pairs of different people lies above `single`, 1e-4 above
/// `certain`; of the pairs of one person (two portraits) 98 % (at 55 px), 98 %, 96 % and 61 % lie
/// above `single`. The limit of the mean is lower because it is one trial per person, not thousands. Clips of
/// different people, filmed alike, reach 0.275 (six pairs), so a lower limit would refuse doubles that are strangers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limits {
    /// One frame over it is a hit.
    pub single: f32,
    /// One frame over it fails.
    pub certain: f32,
    /// The mean of all output faces over it fails.
    pub mean: f32,
}

const BY_WIDTH: [(f32, Limits); 4] = [
    (48.0, Limits { single: 0.357, certain: 0.421, mean: 0.30 }),
    (32.0, Limits { single: 0.360, certain: 0.429, mean: 0.30 }),
    (20.0, Limits { single: 0.399, certain: 0.462, mean: 0.33 }),
    (0.0, Limits { single: 0.519, certain: 0.581, mean: 0.45 }),
];

/// Limits of the built-in recogniser where it is the only one: doubt covers. Doubles that are nobody's likeness, drawn on nine
/// people in film, gave means of 0.34 to 0.53, and 0.57, 0.67 and 0.73 on three more (the first of these has the 139th place by a
/// strong one), the people's own faces 0.83 to 0.98; a first place among strangers is the rule, since their portraits share neither
/// pose nor light with the film. A single face is certain only near the own ones: of a long film many are asked, and the highest of
/// them is what counts.
const BUILT_IN: Limits = Limits { single: 0.7, certain: 0.8, mean: 0.65 };
/// Limits of the built-in recogniser beside a stronger one. Of its 515 620 pairs of strangers' portraits one in a thousand lies
/// over 0.447, but it takes pose, light and blur for the person: doubles that look like nobody's relative reach 0.72 in the film
/// that they were drawn into (the inside of the face alone 0.77), the person's own faces 0.87 to 0.97. So it speaks only where
/// it sees a face as it was filmed.
const WEAK_WITNESS: Limits = Limits { single: 0.85, certain: 0.9, mean: 0.85 };

/// Share of single hits that fails. At a false-accept rate of 1e-3 chance gives 0.1 %; shared surroundings add some.
pub(crate) const MOST_HITS: f64 = 0.02;
/// Hits that are forgiven in short tracks, where one is more than the share.
pub(crate) const FORGIVEN: u64 = 1;
/// A place in the output that shows no face counts as blind if it is nearer to the person than the erased original by
/// less than this.
pub(crate) const BLIND_MARGIN: f32 = 0.05;
/// Seen faces needed for the mean of a track to be attacked.
const LEAST_FOR_MEAN: usize = 3;
/// Good source faces below which a gallery cannot say whose an unseen place is.
pub(crate) const LEAST_GALLERY: u64 = 3;
/// Strangers that make a first place mean something.
pub(crate) const LEAST_STRANGERS: u64 = 500;
/// Narrowest face whose place is judged when the output shows no face there.
const LEAST_UNSEEN_PX: f32 = 32.0;

/// Limits for faces of this width, for the strongest recogniser.
pub(crate) fn limits(width: f32) -> Limits {
    Ladder::STRONGEST.at(width)
}

/// The limits of one recogniser, by the width of the face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ladder {
    steps: [(f32, Limits); 4],
    /// Whether a first place among strangers is enough.
    pub place_counts: bool,
}

impl Ladder {
    /// Of a strong recogniser.
    pub const STRONGEST: Ladder = Ladder { steps: BY_WIDTH, place_counts: true };

    /// Of the strongest recogniser at hand.
    pub fn of_strongest(network: &InstalledModel) -> Ladder {
        if network.entry.built_in { Ladder::from(BUILT_IN) } else { Ladder::STRONGEST }
    }

    /// Of a network that attacks besides it: by what its own list says of strangers.
    pub fn of_witness(network: &InstalledModel) -> Ladder {
        let large = BY_WIDTH[0].1;
        let told =
            |r: Recogniser| Limits { single: r.single, certain: r.certain, mean: large.mean / large.single * r.single };
        Ladder::from(network.entry.recogniser.map_or(WEAK_WITNESS, told))
    }

    /// Limits for large faces, raised for smaller ones as those of the strongest recogniser are.
    fn from(own: Limits) -> Ladder {
        let large = BY_WIDTH[0].1;
        let raised = |own: f32, first: f32, here: f32| own + (here - first) * (1.0 - own) / (1.0 - first);
        let steps = BY_WIDTH.map(|(width, here)| {
            let single = raised(own.single, large.single, here.single);
            let certain = raised(own.certain, large.certain, here.certain);
            (width, Limits { single, certain, mean: raised(own.mean, large.mean, here.mean) })
        });
        Ladder { steps, place_counts: false }
    }

    /// Limits for faces of this width.
    pub fn at(&self, width: f32) -> Limits {
        self.steps.iter().find(|(w, _)| width >= *w).map_or(self.steps[3].1, |(_, l)| *l)
    }
}

/// The limits in words, for the report.
pub(crate) fn limits_text(ladder: &Ladder) -> String {
    let each: Vec<String> = ladder
        .steps
        .iter()
        .map(|(w, l)| format!("from {w} px: {} single, {} certain, {} mean", l.single, l.certain, l.mean))
        .collect();
    format!(
        "{}; fails over {:.0} % single hits, one certain hit, or a mean over its limit; place of each person among strangers by the mean of \
         their output faces, {}",
        each.join("; "),
        MOST_HITS * 100.0,
        if ladder.place_counts { "fails if first" } else { "told, not judged: this network is too weak" }
    )
}

/// What the cosines of a witness are multiplied by to be compared with those of the strongest recogniser.
pub(crate) fn scale_of_witness(network: &InstalledModel) -> f32 {
    let width = BY_WIDTH[0].0;
    Ladder::STRONGEST.at(width).single / Ladder::of_witness(network).at(width).single
}

/// One attacked face-frame.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// Frame.
    pub frame: u64,
    /// Width of the source face.
    pub width: f32,
    /// The source face; trusted for the gallery if it was seen and large enough.
    pub source: Embedding,
    /// Whether `source` may be in the gallery.
    pub good: bool,
    /// What stands there in the output.
    pub output: Embedding,
    /// No face is found there: the source with everything painted flat that the treatment changed.
    pub erased: Option<Embedding>,
}

/// Mean of embeddings, normalised; `None` if they cancel out or there are none.
pub(crate) fn mean<'e>(all: impl Iterator<Item = &'e Embedding>) -> Option<Embedding> {
    let mut sum: Vec<f32> = Vec::new();
    for e in all {
        if sum.is_empty() {
            sum = vec![0.0; e.0.len()];
        }
        if sum.len() == e.0.len() {
            sum.iter_mut().zip(&e.0).for_each(|(s, v)| *s += v);
        }
    }
    if sum.iter().all(|v| *v == 0.0) {
        sum.zeroize();
        return None;
    }
    Embedding::new(sum).ok()
}

/// The person's gallery: the mean of the good source faces, or of all if none is good.
pub(crate) fn gallery(samples: &[&Sample]) -> Option<Embedding> {
    let good = mean(samples.iter().filter(|s| s.good).map(|s| &s.source));
    good.or_else(|| mean(samples.iter().map(|s| &s.source)))
}

/// Verdict on one sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Verdict {
    /// Cosine with the gallery.
    pub cosine: f32,
    /// Nothing but hair and surroundings speaks.
    pub blind: bool,
    /// Over the limit of its size.
    pub hit: bool,
    /// Over the higher limit.
    pub certain: bool,
}

/// Compares one output face with a gallery. A place without a face says nothing if the gallery is `poor` or the face was
/// tiny: flat patches resemble each other more than faces do. Whether such a place was changed is the coverage attack's.
pub(crate) fn judge(sample: &Sample, gallery: &Embedding, poor: bool, ladder: &Ladder) -> Verdict {
    let cosine = sample.output.cosine(gallery);
    let dumb = poor || sample.width < LEAST_UNSEEN_PX;
    let blind = sample.erased.as_ref().is_some_and(|e| dumb || cosine < e.cosine(gallery) + BLIND_MARGIN);
    let limits = ladder.at(sample.width);
    Verdict { cosine, blind, hit: !blind && cosine >= limits.single, certain: !blind && cosine >= limits.certain }
}

/// What the attack on a person gave.
pub(crate) struct Attack {
    /// Numbers for the report.
    pub report: IdentityReport,
    /// First frame over the higher limit, and how many.
    pub certain: Option<(u64, u64)>,
    /// Mean of the output faces that show a face.
    pub output_mean: Option<Embedding>,
    /// Whether the recogniser's strangers mean anything.
    place_counts: bool,
}

impl Attack {
    /// Too many single faces are the person's.
    pub fn too_many_hits(&self) -> bool {
        let r = &self.report;
        r.over_threshold > FORGIVEN && r.over_threshold as f64 > MOST_HITS * r.samples as f64
    }

    /// Nobody of all strangers is nearer to the mean of the track than the person is.
    pub fn is_first_of_all(&self) -> bool {
        let r = &self.report;
        self.place_counts && r.rank_track == Some(1) && r.strangers >= LEAST_STRANGERS && r.gallery >= LEAST_GALLERY
    }

    /// The mean of the track is the person's.
    pub fn mean_is_recognised(&self) -> bool {
        self.output_mean.is_some() && self.report.cosine_track >= self.report.threshold_track
    }
}

/// Attacks all samples of one person (`flat`: their treatment leaves one colour, so only places that show a face speak); `None` without samples or gallery.
/// Among `strangers`, if the network knows any, the person's place is told.
pub(crate) fn attack(
    samples: &[&Sample],
    gallery: &Embedding,
    flat: bool,
    strangers: Option<&Strangers>,
    ladder: &Ladder,
) -> Option<Attack> {
    let worst_first = |a: &(u64, Verdict), b: &(u64, Verdict)| b.1.cosine.total_cmp(&a.1.cosine).then(a.0.cmp(&b.0));
    let good = samples.iter().filter(|s| s.good).count() as u64;
    let poor = flat || good < LEAST_GALLERY;
    let verdicts: Vec<(u64, Verdict)> = samples.iter().map(|s| (s.frame, judge(s, gallery, poor, ladder))).collect();
    if verdicts.is_empty() {
        return None;
    }
    let n = verdicts.len() as f32;
    let seeing = |v: &&(u64, Verdict)| !v.1.blind;
    let worst = verdicts.iter().filter(seeing).min_by(|a, b| worst_first(a, b));
    let sighted: Vec<&Embedding> =
        samples.iter().zip(&verdicts).filter(|(_, v)| !v.1.blind).map(|(s, _)| &s.output).collect();
    let enough = sighted.len() >= LEAST_FOR_MEAN && sighted.len() * 5 >= samples.len();
    let output_mean = if enough { mean(sighted.into_iter()) } else { None };
    let mut widths: Vec<f32> = samples.iter().map(|s| s.width).collect();
    widths.sort_by(f32::total_cmp);
    let usual = ladder.at(widths.get(widths.len() / 2).copied().unwrap_or(0.0));
    let hits = verdicts.iter().filter(|v| v.1.hit).count() as u64;
    let certain: Vec<u64> = verdicts.iter().filter(|v| v.1.certain).map(|v| v.0).collect();
    let first = |s: &&Strangers| {
        let seen = samples.iter().zip(&verdicts).filter(|(_, v)| !v.1.blind);
        seen.filter(|(sample, _)| s.rank(&sample.output, gallery) == 1).count() as u64
    };
    let report = IdentityReport {
        samples: samples.len() as u64,
        found: samples.iter().filter(|s| s.erased.is_none()).count() as u64,
        blind: verdicts.iter().filter(|v| v.1.blind).count() as u64,
        gallery: good,
        cosine_mean: verdicts.iter().map(|v| v.1.cosine).sum::<f32>() / n,
        cosine_max: worst.map_or(0.0, |w| w.1.cosine),
        worst_frame: worst.map(|w| w.0),
        cosine_track: output_mean.as_ref().map_or(0.0, |m| m.cosine(gallery)),
        cosine_source: samples.iter().map(|s| s.source.cosine(gallery)).sum::<f32>() / n,
        over_threshold: hits,
        threshold: usual.single,
        threshold_track: usual.mean,
        cosine_other: None,
        cosine_double: None,
        strangers: strangers.map_or(0, |s| s.len() as u64),
        rank_track: strangers.and_then(|s| Some(s.rank(output_mean.as_ref()?, gallery))),
        ranked_first: strangers.as_ref().map_or(0, first),
        restored: 0,
        cosine_restored: None,
        rank_restored: None,
        restored_by: None,
        taken_back: false,
        witnesses: vec![],
        bound: Bound::of(hits, samples.len() as u64),
    };
    let certain = certain.iter().min().map(|first| (*first, certain.len() as u64));
    Some(Attack { report, certain, output_mean, place_counts: ladder.place_counts })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(v: &[f32]) -> Embedding {
        Embedding::new(v.to_vec()).unwrap()
    }

    fn sample(frame: u64, output: Embedding, erased: Option<Embedding>) -> Sample {
        Sample { frame, width: 60.0, source: unit(&[1.0, 0.0, 0.0]), good: true, output, erased }
    }

    #[test]
    fn the_person_is_recognised_and_a_stranger_is_not() {
        let same: Vec<Sample> = (0..20).map(|i| sample(i, unit(&[0.9, 0.3, 0.1]), None)).collect();
        let same: Vec<&Sample> = same.iter().collect();
        let a = attack(&same, &gallery(&same).unwrap(), false, None, &Ladder::STRONGEST).unwrap();
        assert!(a.too_many_hits() && a.mean_is_recognised() && a.certain == Some((0, 20)));
        let other: Vec<Sample> = (0..20).map(|i| sample(i, unit(&[0.1, 0.9, 0.3]), None)).collect();
        let other: Vec<&Sample> = other.iter().collect();
        let a = attack(&other, &gallery(&other).unwrap(), false, None, &Ladder::STRONGEST).unwrap();
        assert!(!a.too_many_hits() && !a.mean_is_recognised() && a.certain.is_none());
    }

    #[test]
    fn whoever_comes_first_among_strangers_is_recognised() {
        let drawn: Vec<Sample> = (0..20).map(|i| sample(i, unit(&[0.25, 0.97, 0.0]), None)).collect();
        let drawn: Vec<&Sample> = drawn.iter().collect();
        let person = gallery(&drawn).unwrap();
        let at = |strangers: Vec<Embedding>| {
            attack(&drawn, &person, false, Some(&Strangers::with(strangers)), &Ladder::STRONGEST).unwrap()
        };
        let far = vec![unit(&[0.0, 0.2, 1.0]); 600];
        let first = at(far.clone());
        assert!(first.is_first_of_all() && !first.mean_is_recognised() && first.report.ranked_first == 20);
        let second = at([far, vec![unit(&[0.0, 1.0, 0.1])]].concat());
        assert!(!second.is_first_of_all() && second.report.rank_track == Some(2) && second.report.ranked_first == 0);
        assert!(!at(vec![unit(&[0.0, 0.2, 1.0]); 20]).is_first_of_all(), "too few to say so");
        let weak = Ladder { place_counts: false, ..Ladder::STRONGEST };
        let far = Strangers::with(vec![unit(&[0.0, 0.2, 1.0]); 600]);
        assert!(!attack(&drawn, &person, false, Some(&far), &weak).unwrap().is_first_of_all(), "by a weak network");
    }

    #[test]
    fn one_frame_among_many_strangers_is_certain() {
        let mut all: Vec<Sample> = (0..200).map(|i| sample(i, unit(&[0.1, 0.9, 0.3]), None)).collect();
        all[77].output = unit(&[0.9, 0.1, 0.0]);
        let all: Vec<&Sample> = all.iter().collect();
        let a = attack(&all, &gallery(&all).unwrap(), false, None, &Ladder::STRONGEST).unwrap();
        assert_eq!((a.certain, a.report.worst_frame, a.too_many_hits()), (Some((77, 1)), Some(77), false));
    }

    #[test]
    fn hair_alone_is_blind_but_a_face_seen_through_is_not() {
        let hair = unit(&[0.6, 0.8, 0.0]);
        let g = unit(&[1.0, 0.0, 0.0]);
        let covered = judge(&sample(0, hair.clone(), Some(hair.clone())), &g, false, &Ladder::STRONGEST);
        assert!(covered.blind && !covered.hit);
        let through = judge(&sample(0, unit(&[0.9, 0.4, 0.0]), Some(hair.clone())), &g, false, &Ladder::STRONGEST);
        assert!(!through.blind && through.certain);
        assert!(
            judge(&sample(0, hair, None), &g, false, &Ladder::STRONGEST).certain,
            "with a face in sight nothing is forgiven"
        );
    }

    #[test]
    fn a_witness_has_limits_of_its_own() {
        assert_eq!(Ladder::from(BY_WIDTH[0].1).at(60.0), limits(60.0));
        assert!(Ladder::from(BUILT_IN).at(60.0).mean < Ladder::from(WEAK_WITNESS).at(60.0).mean);
        let ladder = Ladder::from(Limits { single: 0.2, certain: 0.25, mean: 0.17 });
        assert!((ladder.at(60.0).single - 0.2).abs() < 1e-6 && (ladder.at(60.0).certain - 0.25).abs() < 1e-6);
        assert!(ladder.at(10.0).single > 0.3 && ladder.at(10.0).certain < 1.0 && ladder.at(60.0).mean < 0.2);
        let drawn: Vec<Sample> = (0..20).map(|i| sample(i, unit(&[0.28, 0.96, 0.0]), None)).collect();
        let drawn: Vec<&Sample> = drawn.iter().collect();
        let person = gallery(&drawn).unwrap();
        let by = |ladder: &Ladder| attack(&drawn, &person, false, None, ladder).unwrap();
        assert!(by(&ladder).certain.is_some() && by(&ladder).mean_is_recognised());
        assert!(by(&Ladder::STRONGEST).certain.is_none() && !by(&Ladder::STRONGEST).too_many_hits());
    }

    #[test]
    fn small_faces_have_higher_limits() {
        assert!(limits(18.0).single > limits(60.0).single);
        assert!(BY_WIDTH.windows(2).all(|w| w[0].0 > w[1].0 && w[0].1.certain <= w[1].1.certain));
        assert!(mean(std::iter::empty()).is_none());
    }
}
