//! The motion of one face through one track.

use super::super::double::Double;
use super::super::mesh::{FacePoints, Mesh, VERTICES, distance, vertices_of};
use super::choose::{Mix, Wanted, choose, pose_distance};
use super::neutral::{Canonical, Neutral, canonical};
use super::push::{displaced, push};
use super::retarget::{eyeball_uv, retarget};
use super::smooth::zero_phase;

/// A rigid misfit above this, in face widths, is no face: the frame gets no motion.
const MAX_RESIDUAL: f32 = 0.25;
/// How much faster than the rest of the face lids and inner lips are followed.
const QUICK: f32 = 2.5;

/// What the renderer knows of the subject in one frame: geometry alone.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceMotion {
    /// The subject's mesh, smoothed: 470 points in frame pixels.
    pub subject: Vec<[f32; 3]>,
    /// The double's mesh in the subject's pose and expression: 470 points in frame pixels.
    pub target: Vec<[f32; 3]>,
    /// Exemplars shown in the base, mouth and eye regions; each list's weights sum to 1.
    pub mixes: [Mix; 3],
    /// Head turn in radians, positive towards the right edge of the picture.
    pub yaw: f32,
    /// Head nod in radians, positive downwards.
    pub pitch: f32,
    /// Head tilt in radians, positive clockwise.
    pub roll: f32,
    /// Angle in radians to the nearest pose that the double has an exemplar of. Above about 12° the double looks
    /// stretched; above about 35° the caller should cover the face instead.
    pub pose_gap: f32,
    /// Frame pixels per canonical face width.
    pub scale: f32,
    /// Root mean square misfit of the rigid points in face widths: below 0.05 for good landmarks.
    pub fit_residual: f32,
    /// Atlas places of the vertices of the eye openings.
    pub(crate) eyeball_uv: Vec<(usize, [f32; 2])>,
    /// Lid aperture relative to the double at rest.
    pub(crate) lid_share: f32,
}

impl FaceMotion {
    /// Whether every number is finite and both meshes are complete.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let meshes = [&self.subject, &self.target];
        meshes.iter().all(|m| m.len() == VERTICES && m.iter().flatten().all(|v| v.is_finite() && v.abs() < 1.0e6))
            && [self.scale, self.yaw, self.pitch, self.roll, self.lid_share].iter().all(|v| v.is_finite())
            && self.mixes.iter().all(|m| !m.is_empty() && m.iter().all(|x| x.1.is_finite()))
            && self.eyeball_uv.iter().all(|(v, uv)| *v < VERTICES && uv.iter().all(|c| c.is_finite()))
    }

    /// The motion at another size of the same picture, as for a proxy: all pixel quantities times `factor`.
    #[must_use]
    pub fn scaled(mut self, factor: f32) -> Self {
        let each = self.subject.iter_mut().chain(&mut self.target).flatten();
        each.for_each(|v| *v *= factor);
        self.scale *= factor;
        self
    }
}

/// Plans one track: one entry per frame, `None` where there are no usable landmarks.
///
/// `track` holds 478 points per frame (see [`FacePoints`]). Runs of consecutive usable frames are smoothed without
/// delay; a gap starts a new run. Smoothing reaches about half a second, so a long track may be planned in overlapping
/// pieces. Memory is about 40 kB per frame while planning and 11 kB per frame of the result.
#[must_use]
pub fn plan_motion(
    mesh: &Mesh,
    double: &Double,
    neutral: &Neutral,
    track: &[Option<FacePoints>],
    fps: f64,
) -> Vec<Option<FaceMotion>> {
    let fps = if fps.is_finite() { fps.clamp(1.0, 1000.0) } else { 25.0 };
    let usable: Vec<Option<Vec<[f32; 3]>>> =
        track.iter().map(|f| f.as_ref().and_then(|p| vertices_of(p)).filter(|v| fits(mesh, v))).collect();
    let mut out: Vec<Option<FaceMotion>> = Vec::with_capacity(track.len());
    let mut at = 0;
    while at < usable.len() {
        let run: Vec<Vec<[f32; 3]>> = usable[at..].iter().map_while(Clone::clone).collect();
        if run.is_empty() {
            out.push(None);
            at += 1;
        } else {
            at += run.len();
            out.extend(plan_run(mesh, double, neutral, run, fps));
        }
    }
    out
}

fn fits(mesh: &Mesh, face: &[[f32; 3]]) -> bool {
    canonical(mesh, face).is_some_and(|c| c.residual < MAX_RESIDUAL)
}

fn plan_run(
    mesh: &Mesh,
    double: &Double,
    neutral: &Neutral,
    mut run: Vec<Vec<[f32; 3]>>,
    fps: f64,
) -> Vec<Option<FaceMotion>> {
    let width = {
        let mut widths: Vec<f32> = run.iter().map(|f| distance(f[234], f[454])).collect();
        super::super::filter::median(&mut widths)
    };
    zero_phase(&mut run, fps, width, &haste(mesh));
    let fitted: Vec<Option<Canonical>> = run.iter().map(|f| canonical(mesh, f)).collect();
    let push = push(mesh, double.span(), double.shape(), &neutral.shape, double.exaggeration());
    let resting = displaced(double.shape(), &push, 1.0);
    let wanted: Vec<Wanted> = fitted
        .iter()
        .map(|c| match c {
            Some(c) => Wanted { shape: retarget(mesh, &c.shape, neutral, &resting), pose: c.fit.pose() },
            None => Wanted { shape: double.shape().to_vec(), pose: super::Pose::default() },
        })
        .collect();
    // Exemplars have the double's own shape: with the exaggerated one a wider mouth would be chosen.
    let own = |w: &Wanted| Wanted { shape: displaced(&w.shape, &push, -1.0), pose: w.pose };
    let mixes = choose(mesh, double, &wanted.iter().map(own).collect::<Vec<_>>(), fps);
    let parts = run.into_iter().zip(fitted).zip(wanted).zip(mixes);
    parts.map(|(((subject, c), w), m)| c.map(|c| assemble(mesh, double, subject, &c, &w, m))).collect()
}

/// Cut-off multiplier of each vertex: lids and inner lips move fast and briefly.
fn haste(mesh: &Mesh) -> Vec<f32> {
    let mut out = vec![1.0; VERTICES];
    let quick = mesh.eyes.iter().flat_map(|e| &e.ring).chain(&mesh.lips_inner);
    quick.for_each(|&v| out[v] = QUICK);
    out
}

fn assemble(
    mesh: &Mesh,
    double: &Double,
    subject: Vec<[f32; 3]>,
    c: &Canonical,
    wanted: &Wanted,
    mixes: [Mix; 3],
) -> FaceMotion {
    let nearest = |gap: f32, e: &super::super::double::Exemplar| gap.min(pose_distance(&wanted.pose, (e.yaw, e.pitch)));
    FaceMotion {
        target: wanted.shape.iter().map(|p| c.fit.apply(*p)).collect(),
        subject,
        mixes,
        yaw: wanted.pose.yaw,
        pitch: wanted.pose.pitch,
        roll: wanted.pose.roll,
        pose_gap: double.exemplars().iter().fold(f32::MAX, nearest),
        scale: c.fit.scale as f32,
        fit_residual: c.residual,
        eyeball_uv: eyeball_uv(mesh, double.shape(), &wanted.shape),
        lid_share: mesh.lid_aperture(&wanted.shape) / mesh.lid_aperture(double.shape()).max(1e-3),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::double::tests::plain_double;
    use super::super::{placed, points_of};
    use super::*;

    fn neutral(mesh: &Mesh) -> Neutral {
        Neutral { shape: mesh.positions.clone(), lid_floor: 0.3 }
    }

    #[test]
    fn a_still_face_keeps_its_place_and_gaps_stay_gaps() {
        let mesh = Mesh::embedded().unwrap();
        let double = plain_double(&mesh);
        let face = points_of(&mesh.positions, &placed(120.0, 0.2, 200.0, 150.0));
        let mut track = vec![Some(face); 9];
        track[4] = None;
        let plan = plan_motion(&mesh, &double, &neutral(&mesh), &track, 25.0);
        assert_eq!(plan.len(), 9);
        assert!(plan[4].is_none());
        let m = plan[7].as_ref().unwrap();
        assert!(m.is_sound() && (m.yaw - 0.2).abs() < 0.01 && (m.scale - 120.0).abs() < 0.5);
        for (a, b) in m.target.iter().zip(&m.subject) {
            assert!(distance(*a, *b) < 0.5);
        }
    }

    #[test]
    fn hostile_landmarks_get_no_motion() {
        let mesh = Mesh::embedded().unwrap();
        let double = plain_double(&mesh);
        let cases = [
            vec![[f32::NAN; 3]; 478],
            vec![[3.0; 3]; 478],
            vec![[f32::MAX; 3]; 478],
            (0..478).map(|i| [((i * 7919) % 991) as f32, ((i * 104729) % 877) as f32, 0.0]).collect(),
            Vec::new(),
        ];
        for case in cases {
            let plan = plan_motion(&mesh, &double, &neutral(&mesh), &[Some(case)], f64::NAN);
            assert!(plan[0].is_none());
        }
    }
}
