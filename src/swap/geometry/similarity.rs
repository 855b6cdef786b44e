//! Similarity transforms in space and head pose.

use nalgebra::{Matrix3, Vector3};

/// A scale, rotation and translation in space: p ↦ s·R·p + t.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Similarity {
    /// Uniform scale, positive.
    pub scale: f64,
    /// Rotation, determinant +1.
    pub rotation: Matrix3<f64>,
    /// Translation.
    pub translation: Vector3<f64>,
}

/// Head pose in radians. Positive yaw turns the nose towards the right edge of the picture, positive pitch downwards,
/// positive roll turns the picture clockwise.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pose {
    /// Turn about the vertical axis.
    pub yaw: f32,
    /// Nod.
    pub pitch: f32,
    /// Tilt in the picture.
    pub roll: f32,
}

fn vector(p: [f32; 3]) -> Vector3<f64> {
    Vector3::new(f64::from(p[0]), f64::from(p[1]), f64::from(p[2]))
}

impl Similarity {
    /// Least-squares similarity that carries `from` onto `to`, point by point; `None` for fewer than three points or
    /// degenerate or non-finite ones.
    ///
    /// Umeyama, *Least-squares estimation of transformation parameters between two point patterns*, PAMI 13(4), 1991.
    #[must_use]
    pub fn fit(to: &[[f32; 3]], from: &[[f32; 3]]) -> Option<Self> {
        let n = to.len().min(from.len());
        if n < 3 {
            return None;
        }
        let inv = 1.0 / n as f64;
        let mean = |p: &[[f32; 3]]| p[..n].iter().fold(Vector3::zeros(), |m, q| m + vector(*q) * inv);
        let (mean_to, mean_from) = (mean(to), mean(from));
        let mut cross = Matrix3::zeros();
        let mut spread = 0.0;
        for (t, f) in to.iter().zip(from) {
            let (t, f) = (vector(*t) - mean_to, vector(*f) - mean_from);
            cross += t * f.transpose() * inv;
            spread += f.norm_squared() * inv;
        }
        if !(spread.is_finite() && spread > 1e-9) || cross.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let svd = cross.svd(true, true);
        let (u, v_t) = (svd.u?, svd.v_t?);
        let mut sign = Vector3::new(1.0, 1.0, 1.0);
        if u.determinant() * v_t.determinant() < 0.0 {
            sign[2] = -1.0;
        }
        let rotation = u * Matrix3::from_diagonal(&sign) * v_t;
        let scale = svd.singular_values.component_mul(&sign).sum() / spread;
        let translation = mean_to - rotation * mean_from * scale;
        let sound =
            scale.is_finite() && scale > 1e-9 && rotation.iter().chain(translation.iter()).all(|v| v.is_finite());
        sound.then_some(Similarity { scale, rotation, translation })
    }

    /// The image of a point.
    #[must_use]
    pub fn apply(&self, p: [f32; 3]) -> [f32; 3] {
        let q = self.rotation * vector(p) * self.scale + self.translation;
        [q[0] as f32, q[1] as f32, q[2] as f32]
    }

    /// The point whose image this is.
    #[must_use]
    pub fn undo(&self, p: [f32; 3]) -> [f32; 3] {
        let q = self.rotation.transpose() * (vector(p) - self.translation) / self.scale;
        [q[0] as f32, q[1] as f32, q[2] as f32]
    }

    /// Root mean square distance between the images of `from` and `to`, in units of `from`.
    #[must_use]
    pub fn residual(&self, to: &[[f32; 3]], from: &[[f32; 3]]) -> f32 {
        let n = to.len().min(from.len()).max(1);
        let sum: f32 = to.iter().zip(from).map(|(t, f)| super::super::mesh::distance(self.undo(*t), *f).powi(2)).sum();
        (sum / n as f32).sqrt()
    }

    /// Pose of the head whose canonical mesh this carries into the picture. Yaw and pitch are those left when the
    /// roll has been taken out.
    #[must_use]
    pub fn pose(&self) -> Pose {
        let across = self.rotation.column(0);
        let roll = across[1].atan2(across[0]);
        let forward = -self.rotation.column(2);
        let (c, s) = (roll.cos(), roll.sin());
        let (x, y) = (c * forward[0] + s * forward[1], -s * forward[0] + c * forward[1]);
        Pose { yaw: x.atan2(-forward[2]) as f32, pitch: y.clamp(-1.0, 1.0).asin() as f32, roll: roll as f32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Rotation3;

    fn cloud() -> Vec<[f32; 3]> {
        (0..20).map(|i| [(i as f32 * 1.7).sin(), (i as f32 * 0.9).cos(), (i as f32 * 2.3).sin() * 0.4]).collect()
    }

    #[test]
    fn a_known_similarity_is_recovered() {
        let truth = Similarity {
            scale: 180.0,
            rotation: *Rotation3::from_euler_angles(0.2, -0.4, 0.1).matrix(),
            translation: Vector3::new(300.0, 200.0, 15.0),
        };
        let from = cloud();
        let to: Vec<_> = from.iter().map(|p| truth.apply(*p)).collect();
        let found = Similarity::fit(&to, &from).unwrap();
        assert!((found.scale - 180.0).abs() < 1e-2);
        assert!((found.rotation - truth.rotation).norm() < 1e-5);
        assert!(found.residual(&to, &from) < 1e-4);
        let p = found.undo(found.apply([0.1, 0.2, 0.3]));
        assert!((p[2] - 0.3).abs() < 1e-4);
    }

    #[test]
    fn reflections_are_never_returned() {
        let from = cloud();
        let to: Vec<_> = from.iter().map(|p| [-p[0], p[1], p[2]]).collect();
        assert!(Similarity::fit(&to, &from).unwrap().rotation.determinant() > 0.99);
    }

    #[test]
    fn pose_signs() {
        let turned =
            |r: Rotation3<f64>| Similarity { scale: 1.0, rotation: *r.matrix(), translation: Vector3::zeros() }.pose();
        // the face looks along -z; a turn about +y by -0.3 carries -z towards +x
        assert!((turned(Rotation3::from_axis_angle(&Vector3::y_axis(), -0.3)).yaw - 0.3).abs() < 1e-6);
        assert!((turned(Rotation3::from_axis_angle(&Vector3::z_axis(), 0.2)).roll - 0.2).abs() < 1e-6);
        assert!((turned(Rotation3::from_axis_angle(&Vector3::x_axis(), 0.25)).pitch.abs() - 0.25).abs() < 1e-6);
    }

    #[test]
    fn degenerate_points_are_refused() {
        assert!(Similarity::fit(&[[1.0; 3]; 5], &[[1.0; 3]; 5]).is_none());
        assert!(Similarity::fit(&[[f32::NAN; 3]; 5], &cloud()).is_none());
        assert!(Similarity::fit(&cloud()[..2], &cloud()[..2]).is_none());
    }
}
