//! The canonical face: vertices, UV layout, triangles and named parts.

use super::maps::UvMaps;
use crate::{Error, Result};
use serde::Deserialize;

/// Points of one face as the landmark network gives them: 478, in frame pixels, z on the same scale, smaller nearer.
pub type FacePoints = Vec<[f32; 3]>;

/// Landmarks per face.
pub const POINTS: usize = 478;
/// Vertices of the mesh: 468 mesh points, then the centres of the right and of the left iris.
pub const VERTICES: usize = 470;
/// Vertices at the right and left ends of the face; their distance in the canonical face is 1.
pub const FACE_SIDES: (usize, usize) = (234, 454);

const EMBEDDED: &str = include_str!("../../models/mesh/mesh.json");
/// Generous against the ~900 triangles that 470 vertices give.
const MAX_TRIANGLES: usize = 4 * VERTICES;

/// One eye of the mesh.
#[derive(Debug, Clone)]
pub struct Eye {
    /// Lid contour, in ring order.
    pub ring: Vec<usize>,
    /// Outer and inner corner.
    pub corners: [usize; 2],
    /// Upper and lower lid vertices that face each other.
    pub lids: Vec<[usize; 2]>,
    /// Centre of the iris.
    pub iris: usize,
}

/// The canonical face.
///
/// Face width |234 − 454| is 1, x right and y down in the image, z smaller is nearer, origin at the mean of the rigid
/// points. Sides are the subject's.
#[derive(Debug, Clone)]
pub struct Mesh {
    /// Mean shape, [`VERTICES`] points.
    pub positions: Vec<[f32; 3]>,
    /// Place of each vertex in the atlas, 0..=1, v down.
    pub uv: Vec<[f32; 2]>,
    /// Vertex triples with positive area in UV; they face the camera where that holds in the picture.
    pub triangles: Vec<[usize; 3]>,
    /// Mirror partner of each vertex.
    pub mirror: Vec<usize>,
    /// Outline, in ring order.
    pub oval: Vec<usize>,
    /// Outer lip contour.
    pub lips_outer: Vec<usize>,
    /// Inner lip contour.
    pub lips_inner: Vec<usize>,
    /// Right brow.
    pub right_brow: Vec<usize>,
    /// Left brow.
    pub left_brow: Vec<usize>,
    /// Right eye, then left eye.
    pub eyes: [Eye; 2],
    /// Vertices that expression hardly moves.
    pub rigid: Vec<usize>,
    /// Nose wings and base.
    pub nostrils: Vec<usize>,
    /// Upper and lower inner-lip vertices that face each other.
    pub inner_lips: Vec<[usize; 2]>,
    /// What each place of the atlas is.
    pub(crate) maps: UvMaps,
}

#[derive(Deserialize)]
struct MeshFile {
    positions: Vec<[f32; 3]>,
    uv: Vec<[f32; 2]>,
    triangles: Vec<[usize; 3]>,
    mirror: Vec<usize>,
    oval: Vec<usize>,
    lips_outer: Vec<usize>,
    lips_inner: Vec<usize>,
    right_eye: Vec<usize>,
    left_eye: Vec<usize>,
    right_brow: Vec<usize>,
    left_brow: Vec<usize>,
    rigid: Vec<usize>,
    nostrils: Vec<usize>,
    right_corners: [usize; 2],
    left_corners: [usize; 2],
    right_lids: Vec<[usize; 2]>,
    left_lids: Vec<[usize; 2]>,
    inner_lips: Vec<[usize; 2]>,
    right_iris: usize,
    left_iris: usize,
}

fn bad(what: &str) -> Error {
    Error::Model(format!("the face mesh is damaged ({what}); restore models/mesh/mesh.json"))
}

impl Mesh {
    /// The mesh that ships with the program.
    ///
    /// # Errors
    /// `Model` if the embedded file is damaged, which only a broken build can cause.
    pub fn embedded() -> Result<Self> {
        Self::from_json(EMBEDDED)
    }

    /// Reads a mesh from JSON and checks all of it.
    ///
    /// # Errors
    /// `Model` if a list is missing, has a wrong length or an index out of range, or a number is not finite.
    pub fn from_json(text: &str) -> Result<Self> {
        let f: MeshFile = serde_json::from_str(text).map_err(|e| bad(&format!("line {}", e.line())))?;
        check(&f)?;
        let maps = UvMaps::new(&super::maps::Parts {
            positions: &f.positions,
            uv: &f.uv,
            triangles: &f.triangles,
            oval: &f.oval,
            lips_outer: &f.lips_outer,
            lips_inner: &f.lips_inner,
            nostrils: &f.nostrils,
            eyes: [&f.right_eye, &f.left_eye],
            brows: [&f.right_brow, &f.left_brow],
        });
        Ok(Mesh {
            positions: f.positions,
            uv: f.uv,
            triangles: f.triangles,
            mirror: f.mirror,
            oval: f.oval,
            lips_outer: f.lips_outer,
            lips_inner: f.lips_inner,
            right_brow: f.right_brow,
            left_brow: f.left_brow,
            eyes: [
                Eye { ring: f.right_eye, corners: f.right_corners, lids: f.right_lids, iris: f.right_iris },
                Eye { ring: f.left_eye, corners: f.left_corners, lids: f.left_lids, iris: f.left_iris },
            ],
            rigid: f.rigid,
            nostrils: f.nostrils,
            inner_lips: f.inner_lips,
            maps,
        })
    }

    /// Mean lid aperture of both eyes, in face widths of a canonical shape: the mean height of the three middle lid pairs.
    #[must_use]
    pub fn lid_aperture(&self, shape: &[[f32; 3]]) -> f32 {
        let (mut sum, mut n) = (0.0f32, 0);
        for eye in &self.eyes {
            let middle = eye.lids.len() / 2;
            for &[u, l] in eye.lids.iter().take(middle + 2).skip(middle.saturating_sub(1)) {
                sum += shape[l][1] - shape[u][1];
                n += 1;
            }
        }
        (sum / n.max(1) as f32).max(0.0)
    }

    /// Distance between the inner lips at their middle, in face widths of a canonical shape.
    #[must_use]
    pub fn mouth_opening(&self, shape: &[[f32; 3]]) -> f32 {
        let [u, l] = self.inner_lips[self.inner_lips.len() / 2];
        distance(shape[u], shape[l])
    }
}

/// Distance of two points in space.
pub(crate) fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    ((a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2) + (a[2] - b[2]).powi(2)).sqrt()
}

fn check(f: &MeshFile) -> Result<()> {
    if f.positions.len() != VERTICES || f.uv.len() != VERTICES || f.mirror.len() != VERTICES {
        return Err(bad("not 470 vertices"));
    }
    if f.positions.iter().flatten().any(|v| !v.is_finite() || v.abs() > 10.0) {
        return Err(bad("positions"));
    }
    if f.uv.iter().flatten().any(|v| !(0.0..=1.0).contains(v)) {
        return Err(bad("uv outside 0..=1"));
    }
    if f.triangles.is_empty() || f.triangles.len() > MAX_TRIANGLES {
        return Err(bad("number of triangles"));
    }
    let lists: [&[usize]; 11] = [
        &f.mirror,
        &f.oval,
        &f.lips_outer,
        &f.lips_inner,
        &f.right_eye,
        &f.left_eye,
        &f.right_brow,
        &f.left_brow,
        &f.rigid,
        &f.nostrils,
        &[f.right_iris, f.left_iris],
    ];
    if lists.iter().any(|l| l.len() < 2) || f.oval.len() < 8 || f.rigid.len() < 4 {
        return Err(bad("an empty part"));
    }
    let pairs = [&f.right_lids, &f.left_lids, &f.inner_lips];
    if pairs.iter().any(|l| l.len() < 3) {
        return Err(bad("too few lid or lip pairs"));
    }
    let all = lists
        .iter()
        .flat_map(|l| l.iter())
        .chain(f.triangles.iter().flatten())
        .chain(pairs.iter().flat_map(|l| l.iter().flatten()))
        .chain(&f.right_corners)
        .chain(&f.left_corners);
    if all.into_iter().any(|&i| i >= VERTICES) {
        return Err(bad("index out of range"));
    }
    if f.mirror.iter().enumerate().any(|(i, &m)| f.mirror[m] != i) {
        return Err(bad("mirror is no involution"));
    }
    for &[a, b, c] in &f.triangles {
        let (a, b, c) = (f.uv[a], f.uv[b], f.uv[c]);
        if (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) <= 0.0 {
            return Err(bad("a triangle is folded in UV"));
        }
    }
    let width = distance(f.positions[FACE_SIDES.0], f.positions[FACE_SIDES.1]);
    if (width - 1.0).abs() > 0.01 {
        return Err(bad("face width is not 1"));
    }
    Ok(())
}

/// The mesh vertices of 478 landmarks, `None` if there are not 478 finite points of a plausible size.
#[must_use]
pub fn vertices_of(points: &[[f32; 3]]) -> Option<Vec<[f32; 3]>> {
    /// No picture is larger, and f32 keeps 1/64 pixel up to here.
    const FAR: f32 = 1.0e5;
    /// Below this many pixels a face has no shape to follow.
    const MIN_WIDTH: f32 = 6.0;
    if points.len() != POINTS || points.iter().flatten().any(|v| !v.is_finite() || v.abs() > FAR) {
        return None;
    }
    if distance(points[FACE_SIDES.0], points[FACE_SIDES.1]) < MIN_WIDTH {
        return None;
    }
    let mut v = points[..468].to_vec();
    v.push(points[468]);
    v.push(points[473]);
    Some(v)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_mesh_is_sound() {
        let m = Mesh::embedded().unwrap();
        assert_eq!(m.positions.len(), VERTICES);
        assert!(m.lid_aperture(&m.positions) > 0.02);
        assert!(m.mouth_opening(&m.positions) < 0.05);
    }

    #[test]
    fn damaged_meshes_are_refused() {
        assert!(Mesh::from_json("{}").is_err());
        for (from, to) in [("\"oval\":[10,", "\"oval\":[470,"), ("\"oval\": [10,", "\"oval\": [470,")] {
            let text = EMBEDDED.replace(from, to);
            if text != EMBEDDED {
                assert!(Mesh::from_json(&text).is_err());
            }
        }
        assert!(Mesh::from_json(&EMBEDDED[..EMBEDDED.len() / 2]).is_err());
    }

    #[test]
    fn hostile_points_are_no_face() {
        let mut p = vec![[0.0f32; 3]; POINTS];
        assert!(vertices_of(&p).is_none());
        p[234][0] = 100.0;
        assert!(vertices_of(&p).is_some());
        p[7][1] = f32::NAN;
        assert!(vertices_of(&p).is_none());
        assert!(vertices_of(&p[..100]).is_none());
    }
}
