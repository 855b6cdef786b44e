//! Joining tracks of one person across shots.

use super::types::{Embedding, TrackSummary};
use std::collections::{BTreeMap, BTreeSet};

/// Least mean cosine at which two groups of tracks are one person. On portraits, different people reach 0.26 at most
/// and the same person 0.60 on average (99 % of strangers below 0.22); faces in film are smaller and blurred, which
/// brings strangers closer, hence the distance.
const SAME_PERSON: f32 = 0.45;
/// No pair of tracks of one person may lie further below that.
const BELOW_MEAN: f32 = 0.15;
/// Least cosine of two tracks seen together on one face: they are so in one light and one moment. Two people cheek to cheek
/// must stay two, or a cast that keeps one would show the other.
const ONE_FACE: f32 = 0.6;
/// Embeddings of poorer pictures do not speak for a person.
const LEAST_QUALITY: f32 = 0.12;

/// Groups tracks into people: `(track, person)`, people numbered from 0 by their first track in the given order.
///
/// Average-link agglomeration on the cosine of each track's quality-weighted mean embedding. Tracks seen in the same
/// frame are never one person, unless `one_place` names the pair (the lesser number first): there the two lie on one face,
/// of which something in front of it showed the halves. A pair below the margin is never joined by way of a third. A track
/// without usable embeddings is a person of its own.
#[must_use]
pub fn cluster_people(tracks: &[TrackSummary], one_place: &BTreeSet<(u32, u32)>) -> Vec<(u32, u32)> {
    let mut links = Links::new(tracks, one_place);
    let mut groups: Vec<Vec<usize>> = (0..tracks.len()).map(|i| vec![i]).collect();
    while let Some((a, b)) = links.best() {
        let joined = std::mem::take(&mut groups[b]);
        groups[a].extend(joined);
        links.join(a, b);
    }
    groups.retain(|g| !g.is_empty());
    groups.iter_mut().for_each(|g| g.sort_unstable());
    groups.sort();
    let mut people: Vec<(usize, u32)> =
        groups.iter().enumerate().flat_map(|(p, g)| g.iter().map(move |&i| (i, p as u32))).collect();
    people.sort_unstable();
    people.into_iter().map(|(i, p)| (tracks[i].track, p)).collect()
}

/// Mean cosines between groups of tracks; only pairs that may be joined are present.
///
/// Groups are named by their first member. Sparse, so that thousands of tracks of many people stay cheap.
struct Links {
    /// Per group: the groups after and before it that it may be joined with.
    mean: Vec<BTreeMap<usize, f32>>,
    size: Vec<f32>,
}

impl Links {
    fn new(tracks: &[TrackSummary], one_place: &BTreeSet<(u32, u32)>) -> Self {
        let means: Vec<Option<Embedding>> = tracks.iter().map(mean_embedding).collect();
        let mut links = Links { mean: vec![BTreeMap::new(); tracks.len()], size: vec![1.0; tracks.len()] };
        for (i, a) in tracks.iter().enumerate() {
            for (j, b) in tracks.iter().enumerate().skip(i + 1) {
                let together = a.first_seen <= b.last_seen && b.first_seen <= a.last_seen;
                let one_place = one_place.contains(&(a.track.min(b.track), a.track.max(b.track)));
                let (Some(p), Some(q)) = (&means[i], &means[j]) else { continue };
                let cosine = p.cosine(q);
                let least = match (together, one_place) {
                    (false, _) => SAME_PERSON - BELOW_MEAN,
                    (true, true) => ONE_FACE,
                    (true, false) => continue,
                };
                if cosine >= least {
                    links.mean[i].insert(j, cosine);
                    links.mean[j].insert(i, cosine);
                }
            }
        }
        links
    }

    /// The pair of groups that are most alike, if alike enough; ties go to the first.
    fn best(&self) -> Option<(usize, usize)> {
        let mut best: Option<(f32, usize, usize)> = None;
        for (a, row) in self.mean.iter().enumerate() {
            for (&b, &cosine) in row.range(a + 1..) {
                if cosine >= SAME_PERSON && best.is_none_or(|(v, _, _)| cosine > v) {
                    best = Some((cosine, a, b));
                }
            }
        }
        best.map(|(_, a, b)| (a, b))
    }

    /// Joins group `b` to group `a`: what may not be joined with either may not be joined with both.
    fn join(&mut self, a: usize, b: usize) {
        let (left, right) = (std::mem::take(&mut self.mean[a]), std::mem::take(&mut self.mean[b]));
        let (na, nb) = (self.size[a], self.size[b]);
        for &other in left.keys().chain(right.keys()) {
            self.mean[other].remove(&a);
            self.mean[other].remove(&b);
        }
        for (other, p) in left {
            if let Some(q) = right.get(&other) {
                let mean = (p * na + q * nb) / (na + nb);
                self.mean[a].insert(other, mean);
                self.mean[other].insert(a, mean);
            }
        }
        self.size[a] = na + nb;
    }
}

fn mean_embedding(track: &TrackSummary) -> Option<Embedding> {
    let usable = || track.embeddings.iter().filter(|(q, _)| *q >= LEAST_QUALITY);
    let length = usable().next()?.1.0.len();
    let mut sum = vec![0.0; length];
    for (quality, e) in usable().filter(|(_, e)| e.0.len() == length) {
        sum.iter_mut().zip(&e.0).for_each(|(s, v)| *s += quality * v);
    }
    Embedding::new(sum).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(tracks: &[TrackSummary]) -> Vec<(u32, u32)> {
        cluster_people(tracks, &BTreeSet::new())
    }

    use crate::units::FrameIndex;

    fn track(id: u32, first: u64, last: u64, angle: f32, quality: f32) -> TrackSummary {
        let e = Embedding::new(vec![angle.cos(), angle.sin(), 0.0]).unwrap();
        TrackSummary {
            track: id,
            first: FrameIndex(first),
            last: FrameIndex(last),
            first_seen: FrameIndex(first),
            last_seen: FrameIndex(last),
            embeddings: vec![(quality, e)],
            tone: [0.5; 3],
            max_score: 0.9,
            mean_score: 0.8,
            detected_count: 10,
            confirmed: true,
            disbelieved: false,
            belief: None,
        }
    }

    #[test]
    fn one_person_across_shots() {
        let people = cluster(&[
            track(7, 0, 10, 0.0, 0.5),
            track(8, 0, 10, 1.6, 0.5),
            track(9, 20, 30, 0.1, 0.5),
            track(10, 40, 50, 1.5, 0.5),
        ]);
        assert_eq!(people, [(7, 0), (8, 1), (9, 0), (10, 1)]);
    }

    #[test]
    fn people_seen_together_are_two_even_if_they_look_alike() {
        let people = cluster(&[track(1, 0, 10, 0.0, 0.5), track(2, 10, 20, 0.0, 0.5), track(3, 30, 40, 0.0, 0.5)]);
        assert_eq!(people[0].1, people[2].1);
        assert_ne!(people[0].1, people[1].1);
    }

    #[test]
    fn two_tracks_on_one_face_are_one_person() {
        let halves = [track(1, 0, 10, 0.0, 0.5), track(2, 8, 20, 0.1, 0.5), track(3, 8, 20, 0.1, 0.5)];
        let people = cluster_people(&halves, &BTreeSet::from([(1, 2)]));
        assert_eq!(people[0].1, people[1].1);
        assert_ne!(people[0].1, people[2].1, "the third was seen beside both");
        let alike = cluster_people(&[track(1, 0, 10, 0.0, 0.5), track(2, 8, 20, 1.0, 0.5)], &BTreeSet::from([(1, 2)]));
        assert_ne!(alike[0].1, alike[1].1, "cheek to cheek, and only alike");
    }

    #[test]
    fn below_the_margin_or_without_quality_nobody_is_joined() {
        let apart = cluster(&[track(1, 0, 1, 0.0, 0.5), track(2, 5, 6, 1.2, 0.5)]);
        assert_ne!(apart[0].1, apart[1].1);
        let poor = cluster(&[track(1, 0, 1, 0.0, 0.05), track(2, 5, 6, 0.0, 0.5)]);
        assert_ne!(poor[0].1, poor[1].1);
        assert!(cluster(&[]).is_empty());
    }
}
