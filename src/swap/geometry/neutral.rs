//! A person's resting face, estimated from whatever frames there are.

use super::super::filter::median;
use super::super::maps::ramp;
use super::super::mesh::{Mesh, VERTICES, distance, vertices_of};
use super::similarity::Similarity;

/// A resting face in canonical space.
#[derive(Debug, Clone, PartialEq)]
pub struct Neutral {
    /// Shape, [`VERTICES`] points in face widths.
    pub shape: Vec<[f32; 3]>,
    /// Share of the resting lid aperture that the landmarks still show when this person's eyes are shut, 0..=0.6.
    pub lid_floor: f32,
}

/// Lid floor of people never seen blinking: what the attention mesh reads on blinks of others.
const DEFAULT_LID_FLOOR: f32 = 0.35;
/// A lid ratio below this is a blink.
const BLINK: f32 = 0.65;
/// Added to the smallest aperture seen: smoothing takes the depth off short blinks.
const FLOOR_MARGIN: f32 = 0.12;
/// Openings in face widths, and widths relative to the average mouth, between which a mouth stops being at rest.
const OPEN_MOUTH: (f32, f32) = (0.01, 0.04);
const WIDE_MOUTH: (f32, f32) = (1.10, 1.28);
/// Vertex between the nostrils, which holds the average mouth in place.
const NOSE_BASE: usize = 2;
/// More frames add nothing; the caller may give more, they are thinned.
const MAX_SAMPLES: usize = 2000;

/// One face in canonical space.
pub(crate) struct Canonical {
    pub fit: Similarity,
    pub shape: Vec<[f32; 3]>,
    /// Root mean square misfit of the rigid points, in face widths.
    pub residual: f32,
}

/// Fits the canonical mesh to a face on its rigid points and takes the face to canonical space.
pub(crate) fn canonical(mesh: &Mesh, face: &[[f32; 3]]) -> Option<Canonical> {
    let to: Vec<_> = mesh.rigid.iter().map(|&i| face[i]).collect();
    let from: Vec<_> = mesh.rigid.iter().map(|&i| mesh.positions[i]).collect();
    let fit = Similarity::fit(&to, &from)?;
    let shape = face.iter().map(|p| fit.undo(*p)).collect();
    Some(Canonical { residual: fit.residual(&to, &from), fit, shape })
}

fn percentile(values: &[f32], share: f32) -> f32 {
    let mut v = values.to_vec();
    v.sort_by(f32::total_cmp);
    let i = ((v.len().saturating_sub(1)) as f32 * share).round() as usize;
    v.get(i).copied().unwrap_or(0.0)
}

/// Resting face of a person from the faces of all their tracks: the median of the frames with a closed mouth, open
/// eyes and a pose near the usual one. Unusable faces are skipped; `None` if no face is usable.
#[must_use]
pub fn estimate_neutral(mesh: &Mesh, faces: &[Vec<[f32; 3]>]) -> Option<Neutral> {
    let step = faces.len().div_ceil(MAX_SAMPLES).max(1);
    let all: Vec<Canonical> =
        faces.iter().step_by(step).filter_map(|f| canonical(mesh, &vertices_of(f)?)).collect();
    if all.is_empty() {
        return None;
    }
    let mouth: Vec<f32> = all.iter().map(|c| mesh.mouth_opening(&c.shape)).collect();
    let lids: Vec<f32> = all.iter().map(|c| mesh.lid_aperture(&c.shape)).collect();
    let pitch: Vec<f32> = all.iter().map(|c| c.fit.pose().pitch).collect();
    let usual_pitch = median(&mut pitch.clone());
    let off: Vec<f32> = all.iter().zip(&pitch).map(|(c, p)| c.fit.pose().yaw.abs() + (p - usual_pitch).abs()).collect();
    let calm: Vec<usize> = {
        let (shut, open) = (percentile(&mouth, 0.35), percentile(&lids, 0.30));
        let both: Vec<usize> = (0..all.len()).filter(|&i| mouth[i] <= shut && lids[i] >= open).collect();
        if both.len() >= 3 { both } else { (0..all.len()).filter(|&i| mouth[i] <= shut).collect() }
    };
    let limit = percentile(&calm.iter().map(|&i| off[i]).collect::<Vec<_>>(), 0.6);
    let chosen: Vec<usize> = calm.iter().copied().filter(|&i| off[i] <= limit).collect();
    let shape = (0..VERTICES)
        .map(|v| {
            std::array::from_fn(|k| median(&mut chosen.iter().map(|&i| all[i].shape[v][k]).collect::<Vec<_>>()))
        })
        .collect::<Vec<[f32; 3]>>();
    let rest = mesh.lid_aperture(&shape).max(1e-3);
    let deepest = percentile(&lids, 0.004) / rest;
    let lid_floor = if deepest < BLINK { (deepest + FLOOR_MARGIN).min(0.6) } else { DEFAULT_LID_FLOOR };
    Some(Neutral { shape: calmed_mouth(mesh, shape), lid_floor })
}

/// Somebody who smiles or talks in every frame has no resting mouth: the more open or the wider than usual the
/// estimate is, the more the average mouth takes its place, so that the smile counts as expression.
fn calmed_mouth(mesh: &Mesh, mut shape: Vec<[f32; 3]>) -> Vec<[f32; 3]> {
    let width = |s: &[[f32; 3]]| distance(s[61], s[291]);
    let open = ramp(mesh.mouth_opening(&shape), OPEN_MOUTH);
    let wide = ramp(width(&shape) / width(&mesh.positions).max(1e-3), WIDE_MOUTH);
    let share = open.max(wide);
    let offset: [f32; 3] = std::array::from_fn(|k| shape[NOSE_BASE][k] - mesh.positions[NOSE_BASE][k]);
    for (v, p) in shape.iter_mut().enumerate() {
        let [u, w] = mesh.uv[v];
        let near = (share * mesh.maps.regions.sample(u, w)[1]).min(1.0);
        (0..3).for_each(|k| p[k] += near * (mesh.positions[v][k] + offset[k] - p[k]));
    }
    shape
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::super::mesh::POINTS;
    use super::*;

    /// 478 points of a canonical shape placed in a frame.
    pub(crate) fn points_of(shape: &[[f32; 3]], fit: &Similarity) -> Vec<[f32; 3]> {
        let mut p: Vec<[f32; 3]> = shape[..468].iter().map(|q| fit.apply(*q)).collect();
        p.resize(POINTS, [0.0; 3]);
        for k in 0..5 {
            p[468 + k] = fit.apply(shape[468]);
            p[473 + k] = fit.apply(shape[469]);
        }
        p
    }

    pub(crate) fn placed(scale: f64, yaw: f64, x: f64, y: f64) -> Similarity {
        let r = nalgebra::Rotation3::from_axis_angle(&nalgebra::Vector3::y_axis(), -yaw);
        Similarity { scale, rotation: *r.matrix(), translation: nalgebra::Vector3::new(x, y, 0.0) }
    }

    #[test]
    fn the_neutral_of_a_still_face_is_its_shape() {
        let mesh = Mesh::embedded().unwrap();
        let faces: Vec<_> = (0..20)
            .map(|i| points_of(&mesh.positions, &placed(150.0, f64::from(i) * 0.02, 300.0 + f64::from(i), 200.0)))
            .collect();
        let n = estimate_neutral(&mesh, &faces).unwrap();
        for (a, b) in n.shape.iter().zip(&mesh.positions) {
            assert!(super::super::super::mesh::distance(*a, *b) < 1e-3);
        }
    }

    #[test]
    fn unusable_faces_are_skipped() {
        let mesh = Mesh::embedded().unwrap();
        assert!(estimate_neutral(&mesh, &[]).is_none());
        assert!(estimate_neutral(&mesh, &[vec![[f32::NAN; 3]; POINTS], vec![[0.0; 3]; 3]]).is_none());
        assert!(estimate_neutral(&mesh, &[vec![[5.0; 3]; POINTS]]).is_none());
    }
}
