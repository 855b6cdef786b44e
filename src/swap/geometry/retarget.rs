//! Carries the subject's expression over to the double's face.

use super::super::mesh::{Eye, Mesh, distance};
use super::neutral::Neutral;
use crate::swap::maps::ramp;

/// Range of the ratio of mouth widths by which mouth motion is scaled.
const MOUTH_RATIO: (f32, f32) = (0.75, 1.3);
/// Largest lid aperture relative to the resting one.
const MAX_LID_RATIO: f32 = 1.35;
/// Lid ratios above this are kept; those below are stretched so that the person's floor becomes shut.
const LID_KNEE: f32 = 0.8;
/// How much both lids move together: landmarks of one eye alone are noisy, and people rarely wink.
const LID_SYMMETRY: f32 = 0.5;
/// Farthest iris from its resting place, in eye widths, across and down.
const MAX_GAZE: [f32; 2] = [0.30, 0.16];
/// Motion of the brows over the subject's: drawn brows are seen to move half as much as filmed ones, having no creases.
const BROW_GAIN: f32 = 1.5;
/// Distance from a brow, in face widths, at which that has gone.
const BROW_REACH: f32 = 0.12;
/// Largest correction of an inner-lip gap, in face widths.
const MAX_LIP_SHIFT: f32 = 0.04;

/// The double's shape with the subject's expression, in canonical space: the double's resting shape plus the subject's
/// deviation from his own, lids and lips set by aperture, irises by their place between the eye corners.
pub(crate) fn retarget(mesh: &Mesh, subject: &[[f32; 3]], neutral: &Neutral, double: &[[f32; 3]]) -> Vec<[f32; 3]> {
    let rest = &neutral.shape;
    let width = |s: &[[f32; 3]]| distance(s[61], s[291]).max(1e-3);
    let ratio = (width(double) / width(rest)).clamp(MOUTH_RATIO.0, MOUTH_RATIO.1);
    let mut target: Vec<[f32; 3]> = (0..double.len())
        .map(|v| {
            let uv = mesh.uv[v];
            let near_mouth = mesh.maps.regions.sample(uv[0], uv[1])[1];
            let gain = 1.0 + near_mouth * (ratio - 1.0);
            std::array::from_fn(|k| double[v][k] + (subject[v][k] - rest[v][k]) * gain)
        })
        .collect();
    raise_brows(mesh, subject, rest, double, &mut target);
    set_lips(mesh, subject, ratio, &mut target);
    set_lids(mesh, subject, neutral, double, &mut target);
    for eye in &mesh.eyes {
        set_iris(eye, subject, rest, double, &mut target);
    }
    target
}

/// Brows and the forehead above them move up and down by [`BROW_GAIN`]; what lies below the brows is left alone.
fn raise_brows(mesh: &Mesh, subject: &[[f32; 3]], rest: &[[f32; 3]], double: &[[f32; 3]], target: &mut [[f32; 3]]) {
    let brows = || mesh.right_brow.iter().chain(&mesh.left_brow).map(|b| double[*b]);
    let lowest = brows().fold(f32::MIN, |low, b| low.max(b[1]));
    for (v, at) in double.iter().enumerate().take(468).filter(|(_, at)| at[1] <= lowest) {
        let near = brows().map(|b| (at[0] - b[0]).hypot(at[1] - b[1])).fold(f32::MAX, f32::min);
        let gain = (BROW_GAIN - 1.0) * (1.0 - ramp(near, (0.0, BROW_REACH)));
        target[v][1] += gain * (subject[v][1] - rest[v][1]);
    }
}

/// Closed lips close: the gap of each inner-lip pair is the subject's own gap, scaled.
fn set_lips(mesh: &Mesh, subject: &[[f32; 3]], ratio: f32, target: &mut [[f32; 3]]) {
    for &[u, l] in &mesh.inner_lips {
        let wanted = ((subject[l][1] - subject[u][1]) * ratio).max(0.0);
        let now = target[l][1] - target[u][1];
        let shift = (0.5 * (wanted - now)).clamp(-MAX_LIP_SHIFT, MAX_LIP_SHIFT);
        target[u][1] -= shift;
        target[l][1] += shift;
    }
}

/// Lid aperture relative to the resting one, with the person's floor taken to 0.
fn lid_ratio(raw: f32, floor: f32) -> f32 {
    let r = raw.clamp(0.0, MAX_LID_RATIO);
    if r >= LID_KNEE { r } else { ((r - floor) / (LID_KNEE - floor).max(0.05)).max(0.0) * LID_KNEE }
}

fn set_lids(mesh: &Mesh, subject: &[[f32; 3]], neutral: &Neutral, double: &[[f32; 3]], target: &mut [[f32; 3]]) {
    let gap = |s: &[[f32; 3]], pair: &[usize; 2]| s[pair[1]][1] - s[pair[0]][1];
    let mean = |eye: &Eye| {
        let sum = |s: &[[f32; 3]]| eye.lids.iter().map(|p| gap(s, p)).sum::<f32>();
        lid_ratio(sum(subject) / sum(&neutral.shape).max(1e-3), neutral.lid_floor)
    };
    let own = [mean(&mesh.eyes[0]), mean(&mesh.eyes[1])];
    let both = 0.5 * (own[0] + own[1]);
    for (eye, own) in mesh.eyes.iter().zip(own) {
        let ratio = own + LID_SYMMETRY * (both - own);
        for pair in &eye.lids {
            let [u, l] = *pair;
            let open = gap(double, pair).max(0.0) * ratio;
            let middle = 0.5 * (target[u][1] + target[l][1]);
            target[u][1] = middle - 0.5 * open;
            target[l][1] = middle + 0.5 * open;
        }
    }
}

/// Offset of the iris from the middle of the eye corners, in eye widths.
fn gaze(eye: &Eye, s: &[[f32; 3]]) -> [f32; 3] {
    let [a, b] = eye.corners;
    let width = distance(s[a], s[b]).max(1e-3);
    std::array::from_fn(|k| (s[eye.iris][k] - 0.5 * (s[a][k] + s[b][k])) / width)
}

fn set_iris(eye: &Eye, subject: &[[f32; 3]], rest: &[[f32; 3]], double: &[[f32; 3]], target: &mut [[f32; 3]]) {
    let [a, b] = eye.corners;
    let width = distance(double[a], double[b]);
    let (now, before, own) = (gaze(eye, subject), gaze(eye, rest), gaze(eye, double));
    let limit = [MAX_GAZE[0], MAX_GAZE[1], 0.0];
    target[eye.iris] = std::array::from_fn(|k| {
        let shift = (now[k] - before[k]).clamp(-limit[k], limit[k]);
        0.5 * (target[a][k] + target[b][k]) + (own[k] + shift) * width
    });
}

/// Atlas places for the vertices of both eye openings, so that the eyeball keeps its shape: lids sweep over it instead
/// of squeezing it, and the iris moves as a disk instead of stretching its surroundings.
///
/// `shape` is the exemplar whose eyes are shown, `target` the wanted face, both canonical.
pub(crate) fn eyeball_uv(mesh: &Mesh, shape: &[[f32; 3]], target: &[[f32; 3]]) -> Vec<(usize, [f32; 2])> {
    /// How far beyond the lids of the exemplar texture may be taken, as a share of their gap.
    const BEYOND: f32 = 0.04;
    let mut out = Vec::new();
    for eye in &mesh.eyes {
        let [a, b] = eye.corners;
        let scale = distance(target[a], target[b]) / distance(shape[a], shape[b]).max(1e-3);
        let place = |s: &[[f32; 3]], v: usize, k: usize| s[v][k] - 0.5 * (s[a][k] + s[b][k]);
        let shift: [f32; 2] =
            std::array::from_fn(|k| place(target, eye.iris, k) / scale.max(1e-3) - place(shape, eye.iris, k));
        let across = mesh.uv[b][0] - mesh.uv[a][0];
        let span = place(shape, b, 0) - place(shape, a, 0);
        let per_width = across / if span.abs() < 1e-3 { 1.0 } else { span };
        for &[u, l] in &eye.lids {
            let x = (place(shape, u, 0) - place(shape, a, 0)) / if span.abs() < 1e-3 { 1.0 } else { span };
            let follow = (4.0 * x * (1.0 - x)).clamp(0.0, 1.0).sqrt();
            let (top, bottom) = (place(shape, u, 1), place(shape, l, 1));
            let gap = (bottom - top).max(1e-3);
            for v in [u, l] {
                let y = place(target, v, 1) / scale.max(1e-3) - shift[1] * follow;
                let along = ((y - top) / gap).clamp(-BEYOND, 1.0 + BEYOND);
                let uv: [f32; 2] = std::array::from_fn(|k| mesh.uv[u][k] + (mesh.uv[l][k] - mesh.uv[u][k]) * along);
                out.push((v, [uv[0] - shift[0] * follow * per_width, uv[1]]));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neutral(mesh: &Mesh) -> Neutral {
        Neutral { shape: mesh.positions.clone(), lid_floor: 0.3 }
    }

    #[test]
    fn the_same_shape_gives_the_same_mesh() {
        let mesh = Mesh::embedded().unwrap();
        let out = retarget(&mesh, &mesh.positions, &neutral(&mesh), &mesh.positions);
        for (a, b) in out.iter().zip(&mesh.positions) {
            assert!(distance(*a, *b) < 2e-3);
        }
        for (v, uv) in eyeball_uv(&mesh, &mesh.positions, &out) {
            assert!((uv[0] - mesh.uv[v][0]).abs() < 0.02 && (uv[1] - mesh.uv[v][1]).abs() < 0.02);
        }
    }

    #[test]
    fn lids_close_at_the_floor() {
        let mesh = Mesh::embedded().unwrap();
        let mut subject = mesh.positions.clone();
        for eye in &mesh.eyes {
            for &[u, l] in &eye.lids {
                let (middle, half) = (0.5 * (subject[u][1] + subject[l][1]), 0.5 * (subject[l][1] - subject[u][1]));
                subject[u][1] = middle - 0.3 * half;
                subject[l][1] = middle + 0.3 * half;
            }
        }
        let out = retarget(&mesh, &subject, &neutral(&mesh), &mesh.positions);
        assert!(mesh.lid_aperture(&out) < 0.02 * mesh.lid_aperture(&mesh.positions).max(1e-3) + 1e-3);
    }

    #[test]
    fn brows_rise_further_and_lids_do_not() {
        let mesh = Mesh::embedded().unwrap();
        let mut subject = mesh.positions.clone();
        subject.iter_mut().take(468).for_each(|p| p[1] -= 0.02);
        let out = retarget(&mesh, &subject, &neutral(&mesh), &mesh.positions);
        let rise = |v: usize| (mesh.positions[v][1] - out[v][1]) / 0.02;
        for &b in mesh.right_brow.iter().chain(&mesh.left_brow) {
            assert!((rise(b) - BROW_GAIN).abs() < 0.01, "{b}: {}", rise(b));
        }
        for v in [152, 1, mesh.eyes[0].corners[0], mesh.eyes[1].lids[2][0], mesh.eyes[0].lids[3][1]] {
            assert!((rise(v) - 1.0).abs() < 0.05, "{v}: {}", rise(v));
        }
    }

    #[test]
    fn the_iris_follows_the_gaze_within_limits() {
        let mesh = Mesh::embedded().unwrap();
        let mut subject = mesh.positions.clone();
        subject[468][0] += 0.02;
        let out = retarget(&mesh, &subject, &neutral(&mesh), &mesh.positions);
        assert!((out[468][0] - mesh.positions[468][0] - 0.02).abs() < 2e-3);
        subject[468][0] += 5.0;
        let far = retarget(&mesh, &subject, &neutral(&mesh), &mesh.positions);
        assert!(far[468][0] - mesh.positions[468][0] < 0.1);
    }
}
