//! Dense points of one face: the attention mesh on a levelled square crop.

use super::embed::five_of_mesh;
use super::picture::Picture;
use super::topology::{LEFT_EYE, LIDS, LIPS, RIGHT_EYE};
use super::types::{Detection, LANDMARKS, Landmarks};
use crate::error::Result;
use crate::geom::{Affine, InCrop, InFrame, Point};
use crate::image::Frame;
use crate::infer::{InstalledModel, Net, Runtime, Tensor};

/// Side of the crop that the mesh network sees.
const SIZE: usize = 192;
/// Crop side over the longer side of a detector's box, and of the box around a mesh (measured: a second pass halves
/// the jitter of the first).
const GROW_DETECTION: f32 = 1.35;
const GROW_MESH: f32 = 1.5;

/// Largest mean distance of eyes, nose and mouth corners between mesh and detector, in sizes of the detector's box.
const MOST_APART: f32 = 0.16;

/// A square about a face, turned so that its eye line is level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceCrop {
    /// Centre.
    pub centre: Point<InFrame>,
    /// Side in frame pixels.
    pub side: f32,
    /// Angle of the eye line in radians, from image-left to image-right eye, clockwise on screen.
    pub angle: f32,
}

impl FaceCrop {
    /// The crop for the first pass.
    #[must_use]
    pub fn of_detection(d: &Detection) -> Self {
        let (a, b) = (d.points[0], d.points[1]);
        let angle = if a.distance(&b) > 1e-3 { (b.y - a.y).atan2(b.x - a.x) } else { 0.0 };
        FaceCrop { centre: d.rect.centre(), side: GROW_DETECTION * d.rect.size(), angle }
    }

    /// The crop from points already known, as the second pass or the next frame uses it.
    #[must_use]
    pub fn of_landmarks(l: &Landmarks) -> Self {
        let mean = |eye: &[usize; 71]| {
            let (x, y) = eye[..LIDS].iter().fold((0.0, 0.0), |(x, y), &i| {
                let p = l.point(i);
                (x + p.x, y + p.y)
            });
            Point::<InFrame>::new(x / LIDS as f32, y / LIDS as f32)
        };
        let (a, b) = (mean(&RIGHT_EYE), mean(&LEFT_EYE));
        let angle = (b.y - a.y).atan2(b.x - a.x);
        let (sin, cos) = angle.sin_cos();
        let (mut lo, mut hi) = ((f32::MAX, f32::MAX), (f32::MIN, f32::MIN));
        for p in l.points.iter().take(468) {
            let (u, v) = (cos * p[0] + sin * p[1], cos * p[1] - sin * p[0]);
            lo = (lo.0.min(u), lo.1.min(v));
            hi = (hi.0.max(u), hi.1.max(v));
        }
        let (u, v) = ((lo.0 + hi.0) / 2.0, (lo.1 + hi.1) / 2.0);
        let centre = Point::new(cos * u - sin * v, sin * u + cos * v);
        FaceCrop { centre, side: GROW_MESH * (hi.0 - lo.0).max(hi.1 - lo.1), angle }
    }

    /// Whether the crop can be cut.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.centre.is_finite() && self.angle.is_finite() && self.side.is_finite() && self.side >= 4.0
    }

    /// Frame position of a position in a crop of `size` pixels.
    #[must_use]
    pub fn frame_from_crop(&self, size: usize) -> Affine<InFrame, InCrop> {
        let k = self.side / size as f32;
        let (sin, cos) = (self.angle.sin() * k, self.angle.cos() * k);
        let half = size as f32 / 2.0;
        Affine::new([
            [cos, -sin, self.centre.x - cos * half + sin * half],
            [sin, cos, self.centre.y - sin * half - cos * half],
        ])
    }
}

/// Finds the dense points of a face.
pub trait LandmarkModel: Send {
    /// One pass over one crop.
    ///
    /// # Errors
    /// `Model` if the network fails or gives impossible values.
    fn landmarks(&mut self, frame: &Frame, crop: &FaceCrop) -> Result<Landmarks>;
}

/// Two passes from a detection, or one when the points of the frame before still fit.
///
/// The points of a neighbouring frame fit if their box and the detection have moved and grown alike since:
/// `moved` is the detection's displacement and `grown` its growth since that frame.
///
/// # Errors
/// As [`LandmarkModel::landmarks`].
pub fn find_landmarks(
    model: &mut dyn LandmarkModel,
    frame: &Frame,
    detection: &Detection,
    neighbour: Option<&Landmarks>,
) -> Result<Option<Landmarks>> {
    let size = detection.rect.size();
    if let Some(known) = neighbour {
        let crop = FaceCrop::of_landmarks(known);
        let near = crop.centre.distance(&detection.rect.centre()) < 0.22 * size;
        let alike = (0.7..1.45).contains(&(crop.side / GROW_MESH / size.max(1.0)));
        if near && alike && crop.is_sound() {
            let found = model.landmarks(frame, &crop)?;
            if found.presence >= 0.5 && agrees(&found, detection) {
                return Ok(Some(found));
            }
        }
    }
    let crop = FaceCrop::of_detection(detection);
    if !crop.is_sound() {
        return Ok(None);
    }
    let first = model.landmarks(frame, &crop)?;
    let second = FaceCrop::of_landmarks(&first);
    let usable = second.is_sound() && second.side < 4.0 * crop.side && second.side > 0.25 * crop.side;
    let found = if usable { model.landmarks(frame, &second)? } else { first };
    Ok((found.presence >= 0.5 && agrees(&found, detection)).then_some(found))
}

/// Whether eyes, nose and mouth of a mesh lie where the detector saw them. On a face that the picture cuts off, or half
/// hides, the mesh is squeezed into what is seen: a double drawn from it would leave the eyes above it in sight.
fn agrees(found: &Landmarks, detection: &Detection) -> bool {
    if !detection.has_points {
        return true;
    }
    let Some(five) = five_of_mesh(&found.points) else { return false };
    let apart: f32 = five.iter().zip(&detection.points).map(|(a, b)| a.distance(b)).sum::<f32>() / 5.0;
    apart <= MOST_APART * detection.rect.size()
}

/// The attention mesh network with refined lips, lids and irises.
#[derive(Debug)]
pub struct AttentionMesh {
    net: Net,
    input: Vec<f32>,
}

impl AttentionMesh {
    /// Opens the network.
    ///
    /// # Errors
    /// `Model`.
    pub fn open(runtime: &Runtime, model: &InstalledModel) -> Result<Self> {
        Ok(AttentionMesh { net: runtime.open(model)?, input: vec![0.0; SIZE * SIZE * 3] })
    }
}

impl LandmarkModel for AttentionMesh {
    fn landmarks(&mut self, frame: &Frame, crop: &FaceCrop) -> Result<Landmarks> {
        let frame_from_crop = crop.frame_from_crop(SIZE);
        let picture = Picture::crop(frame, &frame_from_crop, SIZE);
        let [r, g, b] = &picture.planes;
        for (px, ((r, g), b)) in self.input.chunks_exact_mut(3).zip(r.iter().zip(g).zip(b)) {
            px.copy_from_slice(&[r / 255.0, g / 255.0, b / 255.0]);
        }
        let outputs = self.net.run(&[1, SIZE, SIZE, 3], &self.input)?;
        decode(&outputs, &frame_from_crop)
    }
}

fn decode(outputs: &[Tensor], frame_from_crop: &Affine<InFrame, InCrop>) -> Result<Landmarks> {
    let mesh = Tensor::find(outputs, "output_mesh_identity", 468 * 3)?;
    let flag = Tensor::find(outputs, "conv_faceflag", 1)?[0];
    let mut points: Vec<[f32; 3]> = mesh.chunks_exact(3).map(|p| [p[0], p[1], p[2]]).collect();
    points.resize(LANDMARKS, [0.0; 3]);
    let mut refine = |name: &str, indices: &[usize]| -> Result<()> {
        let refined = Tensor::find(outputs, name, 2 * indices.len())?;
        for (xy, &i) in refined.chunks_exact(2).zip(indices) {
            points[i] = [xy[0], xy[1], points[i][2]];
        }
        Ok(())
    };
    refine("output_lips", &LIPS)?;
    refine("output_left_eye", &RIGHT_EYE)?;
    refine("output_right_eye", &LEFT_EYE)?;
    refine("output_left_iris", &[468, 469, 470, 471, 472])?;
    refine("output_right_iris", &[473, 474, 475, 476, 477])?;
    for (eye, iris) in [(&RIGHT_EYE, 468..473), (&LEFT_EYE, 473..478)] {
        let depth = eye[..LIDS].iter().map(|&i| points[i][2]).sum::<f32>() / LIDS as f32;
        points[iris].iter_mut().for_each(|p| p[2] = depth);
    }
    let scale = frame_from_crop.scale();
    for p in &mut points {
        let q = frame_from_crop.apply(Point::new(p[0], p[1]));
        *p = [q.x, q.y, p[2] * scale];
    }
    let found = Landmarks { points, presence: 1.0 / (1.0 + (-flag).exp()) };
    found.check()?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geom::Rect;

    fn outputs() -> Vec<Tensor> {
        [
            ("output_mesh_identity", 1404),
            ("output_lips", 160),
            ("output_left_eye:0", 142),
            ("output_right_eye:0", 142),
            ("output_left_iris:0", 10),
            ("output_right_iris:0", 10),
            ("conv_faceflag", 1),
        ]
        .map(|(name, n)| Tensor { name: name.into(), shape: vec![n], data: vec![96.0; n] })
        .to_vec()
    }

    #[test]
    fn refined_points_replace_the_mesh() {
        let mut all = outputs();
        all[1].data[2] = 10.0; // second lip point = mesh 146
        all[4].data[0] = 50.0; // image-left iris centre = subject's right
        let crop = FaceCrop { centre: Point::new(200.0, 100.0), side: 384.0, angle: 0.0 };
        let found = decode(&all, &crop.frame_from_crop(SIZE)).unwrap();
        assert_eq!(found.points.len(), LANDMARKS);
        assert!((found.points[146][0] - 28.0).abs() < 1e-2);
        assert!((found.points[468][0] - 108.0).abs() < 1e-2 && (found.points[473][0] - 200.0).abs() < 1e-2);
        assert!((found.points[0][2] - 192.0).abs() < 1e-2);
    }

    #[test]
    fn hostile_outputs_are_errors() {
        let crop = FaceCrop { centre: Point::new(200.0, 100.0), side: 384.0, angle: 0.0 };
        for value in [f32::NAN, f32::INFINITY, 1e30] {
            let mut all = outputs();
            all[0].data[5] = value;
            assert!(decode(&all, &crop.frame_from_crop(SIZE)).is_err());
        }
        assert!(decode(&outputs()[1..], &crop.frame_from_crop(SIZE)).is_err());
    }

    #[test]
    fn the_lists_name_each_point_once() {
        for list in [&LIPS[..], &RIGHT_EYE[..], &LEFT_EYE[..]] {
            let mut sorted = list.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), list.len());
            assert!(sorted.iter().all(|i| *i < 468));
        }
    }

    #[test]
    fn a_turned_crop_levels_the_eyes() {
        let mut d = Detection::from_box(Rect::new(0.0, 0.0, 100.0, 100.0), 1.0);
        d.points[0] = Point::new(50.0, 20.0);
        d.points[1] = Point::new(50.0, 60.0);
        let crop = FaceCrop::of_detection(&d);
        let crop_from_frame = crop.frame_from_crop(SIZE).inverse().unwrap();
        let (a, b) = (crop_from_frame.apply(d.points[0]), crop_from_frame.apply(d.points[1]));
        assert!((a.y - b.y).abs() < 1e-3 && b.x > a.x);
    }

    /// A network that always gives one mesh.
    struct Always(Vec<[f32; 3]>);

    impl LandmarkModel for Always {
        fn landmarks(&mut self, _: &Frame, _: &FaceCrop) -> Result<Landmarks> {
            Ok(Landmarks { points: self.0.clone(), presence: 0.99 })
        }
    }

    #[test]
    fn a_mesh_squeezed_beside_the_eyes_is_none() {
        use crate::image::{ColorDesc, ColorModel, PixelLayout};
        let layout = PixelLayout { model: ColorModel::Gray, depth: 8, log2_chroma_w: 0, log2_chroma_h: 0 };
        let frame = Frame::black(64, 64, layout, ColorDesc::default());
        let mesh = crate::swap::Mesh::embedded().unwrap();
        // The canonical face at a height, with eyes, nose and mouth as a detector sees them on the whole face.
        let placed = |y: f32, tall: f32| {
            let place = |p: &[f32; 3]| [p[0] * 100.0 + 200.0, p[1] * 100.0 * tall + y, p[2] * 100.0];
            let mut points: Vec<[f32; 3]> = mesh.positions[..468].iter().map(place).collect();
            points.resize(LANDMARKS, [200.0, y, 0.0]);
            points
        };
        let whole = placed(100.0, 1.0);
        let mut seen = Detection::from_box(Rect::new(150.0, 45.0, 250.0, 165.0), 0.9);
        seen.points = five_of_mesh(&whole).unwrap();
        seen.has_points = true;
        let find = |points: Vec<[f32; 3]>, d: &Detection| find_landmarks(&mut Always(points), &frame, d, None).unwrap();
        assert!(find(whole.clone(), &seen).is_some());
        assert!(find(placed(104.0, 0.95), &seen).is_some());
        assert!(find(placed(165.0, 0.4), &seen).is_none(), "squeezed into the lower half");
        seen.has_points = false;
        assert!(find(placed(165.0, 0.4), &seen).is_some(), "nothing to compare with");
    }
}
