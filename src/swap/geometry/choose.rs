//! Which exemplar of the double is shown where and when.

use super::super::double::Double;
use super::super::mesh::{Mesh, distance};
use super::similarity::Pose;
use super::smooth::gaussian_in_time;

/// Parts of the face that may show different exemplars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    /// Everything else.
    Base = 0,
    /// Lips and what is around them.
    Mouth = 1,
    /// Both eyes and brows.
    Eyes = 2,
}

/// Exemplars shown in one region of one frame, with weights that sum to 1.
pub type Mix = Vec<(usize, f32)>;

/// How much geometry, pose, aperture and switching count in a region. Squared distances are in hundredths of the face
/// width. Values by trial on our clips.
struct Weights {
    shape: f32,
    pose: f32,
    aperture: f32,
    /// Of the mouth's width: who smiles broadly shows teeth, who speaks shows a dark mouth.
    spread: f32,
    switching: f32,
    apart: f32,
}

const COSTS: [Weights; 3] = [
    Weights { shape: 0.35, pose: 1.0, aperture: 0.0, spread: 0.0, switching: 1.5, apart: 0.3 },
    Weights { shape: 0.8, pose: 0.5, aperture: 1.0, spread: 1.0, switching: 0.6, apart: 0.25 },
    Weights { shape: 1.6, pose: 0.2, aperture: 1.0, spread: 0.0, switching: 0.6, apart: 0.25 },
];
/// Pose difference that costs 1.
const POSE_UNIT: f32 = 8.0 * std::f32::consts::PI / 180.0;
/// Lid and mouth aperture differences, in face widths, that cost 1.
const LID_UNIT: f32 = 0.006;
const MOUTH_UNIT: f32 = 0.02;
/// Difference of the mouth's width, as a share of the resting one, that costs 1.
const SPREAD_UNIT: f32 = 0.08;
/// A wide-open mouth may be shown by a less open one with the right corners: share of the opening added to the unit.
const MOUTH_SHARE: f32 = 0.35;
/// Added for every exemplar but the resting one: without need the face rests.
const UNREST: f32 = 0.5;
/// Seconds over which exemplars cross-fade.
const FADE_SECS: f64 = 0.04;
/// Weights below this are dropped.
const LEAST_WEIGHT: f32 = 0.04;

/// A wanted face: canonical shape and pose.
pub(crate) struct Wanted {
    pub shape: Vec<[f32; 3]>,
    pub pose: Pose,
}

/// Angle between two head directions, roll left out.
pub(crate) fn pose_distance(a: &Pose, b: (f32, f32)) -> f32 {
    (a.yaw - b.0).hypot(a.pitch - b.1)
}

/// Mixes of exemplars for every frame of a run: one per region.
pub(crate) fn choose(mesh: &Mesh, double: &Double, run: &[Wanted], fps: f64) -> Vec<[Mix; 3]> {
    let n = double.exemplars().len();
    let mut out: Vec<[Mix; 3]> = vec![[vec![(0, 1.0)], vec![(0, 1.0)], vec![(0, 1.0)]]; run.len()];
    if n < 2 {
        return out;
    }
    for region in [Region::Base, Region::Mouth, Region::Eyes] {
        if region == Region::Base && double.base_locked() {
            continue;
        }
        let path = best_path(&costs(mesh, double, run, region), &switch_costs(mesh, double, region));
        let one_hot: Vec<Vec<f32>> =
            path.iter().map(|&j| (0..n).map(|i| if i == j { 1.0 } else { 0.0 }).collect()).collect();
        let sigma = (FADE_SECS * fps).max(0.3) as f32;
        for (frame, row) in out.iter_mut().zip(gaussian_in_time(&one_hot, sigma)) {
            frame[region as usize] = kept(&row);
        }
    }
    out
}

fn kept(row: &[f32]) -> Mix {
    let mut mix: Mix = row.iter().copied().enumerate().filter(|(_, w)| *w >= LEAST_WEIGHT).collect();
    let sum: f32 = mix.iter().map(|m| m.1).sum();
    if sum <= 0.0 {
        return vec![(0, 1.0)];
    }
    mix.iter_mut().for_each(|m| m.1 /= sum);
    mix
}

fn vertices(mesh: &Mesh, region: Region) -> Vec<usize> {
    let mouth = || [&mesh.lips_outer[..], &mesh.lips_inner[..]].concat();
    let eyes = || [&mesh.eyes[0].ring[..], &mesh.eyes[1].ring[..], &mesh.right_brow[..], &mesh.left_brow[..]].concat();
    match region {
        Region::Base => [mouth(), eyes()].concat(),
        Region::Mouth => mouth(),
        Region::Eyes => eyes(),
    }
}

/// Mean squared distance of some vertices, in hundredths of the face width.
fn shape_cost(a: &[[f32; 3]], b: &[[f32; 3]], which: &[usize]) -> f32 {
    let sum: f32 = which.iter().map(|&v| (0..3).map(|k| (a[v][k] - b[v][k]).powi(2)).sum::<f32>()).sum();
    sum * 1.0e4 / which.len().max(1) as f32
}

fn costs(mesh: &Mesh, double: &Double, run: &[Wanted], region: Region) -> Vec<Vec<f32>> {
    let (w, which) = (&COSTS[region as usize], vertices(mesh, region));
    run.iter()
        .map(|f| {
            let (lids, mouth) = (mesh.lid_aperture(&f.shape), mesh.mouth_opening(&f.shape));
            let spread = |s: &[[f32; 3]]| distance(s[61], s[291]) / distance(double.shape()[61], double.shape()[291]);
            let wide = spread(&f.shape);
            let cost = |e: &super::super::double::Exemplar| {
                let pose = (pose_distance(&f.pose, (e.yaw, e.pitch)) / POSE_UNIT).powi(2);
                let aperture = match region {
                    Region::Base => 0.0,
                    Region::Mouth => ((mouth - e.mouth_opening) / (MOUTH_UNIT + MOUTH_SHARE * mouth)).powi(2),
                    Region::Eyes => ((lids - e.lid_aperture) / LID_UNIT).powi(2),
                };
                let wider = ((wide - spread(&e.shape)) / SPREAD_UNIT).powi(2);
                let shape = w.shape * shape_cost(&f.shape, &e.shape, &which);
                shape + w.pose * pose + w.aperture * aperture + w.spread * wider
            };
            let costs = double.exemplars().iter().map(cost).enumerate();
            costs.map(|(i, c)| if i == 0 { c } else { c + UNREST }).collect()
        })
        .collect()
}

fn switch_costs(mesh: &Mesh, double: &Double, region: Region) -> Vec<Vec<f32>> {
    let (w, which) = (&COSTS[region as usize], vertices(mesh, region));
    let all = double.exemplars();
    let between = |i: usize, j: usize| {
        if i == j { 0.0 } else { w.switching + w.apart * shape_cost(&all[i].shape, &all[j].shape, &which) }
    };
    (0..all.len()).map(|i| (0..all.len()).map(|j| between(i, j)).collect()).collect()
}

/// Cheapest sequence of states by dynamic programming (Viterbi); the lower state wins ties.
fn best_path(costs: &[Vec<f32>], switching: &[Vec<f32>]) -> Vec<usize> {
    let Some(first) = costs.first() else { return Vec::new() };
    let n = first.len();
    let mut total = first.clone();
    let mut from: Vec<Vec<usize>> = vec![(0..n).collect()];
    for row in &costs[1..] {
        let (mut next, mut origin) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for j in 0..n {
            let (mut best, mut at) = (f32::MAX, 0);
            for i in 0..n {
                let c = total[i] + switching[i][j];
                if c < best {
                    (best, at) = (c, i);
                }
            }
            next.push(best + row[j]);
            origin.push(at);
        }
        total = next;
        from.push(origin);
    }
    let mut at = (0..n).fold(0, |b, i| if total[i] < total[b] { i } else { b });
    let mut path = vec![at; costs.len()];
    for t in (1..costs.len()).rev() {
        at = from[t][at];
        path[t - 1] = at;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_switches_only_when_it_pays() {
        let switching = vec![vec![0.0, 2.0], vec![2.0, 0.0]];
        let brief = vec![vec![0.0, 1.0], vec![1.0, 0.0], vec![0.0, 1.0]];
        assert_eq!(best_path(&brief, &switching), [0, 0, 0]);
        let long = [vec![vec![0.0, 5.0]; 3], vec![vec![5.0, 0.0]; 3]].concat();
        assert_eq!(best_path(&long, &switching), [0, 0, 0, 1, 1, 1]);
        assert!(best_path(&[], &switching).is_empty());
    }

    #[test]
    fn mixes_sum_to_one() {
        let mix = kept(&[0.01, 0.5, 0.49]);
        assert_eq!(mix.len(), 2);
        assert!((mix.iter().map(|m| m.1).sum::<f32>() - 1.0).abs() < 1e-6);
    }
}
