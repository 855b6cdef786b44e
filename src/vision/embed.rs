//! Face embeddings: one vector per aligned face, for telling people apart.

use super::picture::Picture;
use super::types::{Embedding, Landmarks};
use crate::error::{Error, Result};
use crate::geom::{Affine, InCrop, InFrame, Point};
use crate::image::Frame;
use crate::infer::{Channels, InstalledModel, Net, Recogniser, Runtime};

const SIZE: usize = 112;
/// Where the five points stand in the 112-pixel picture (Deng et al., *ArcFace*, CVPR 2019, published alignment).
const TEMPLATE: [[f32; 2]; 5] =
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]];
/// ImageNet statistics, in which the network was trained.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// Turns one face into a vector.
pub trait EmbeddingModel: Send {
    /// Embeds the face whose five points are given in the detector's order.
    ///
    /// # Errors
    /// `Model` if the network fails, gives an unusable vector, or the points cannot be aligned.
    fn embed(&mut self, frame: &Frame, points: &[Point<InFrame>; 5]) -> Result<Embedding>;
}

/// The least-squares similarity from the template to the frame; `None` if the points coincide.
#[must_use]
pub fn alignment(points: &[Point<InFrame>; 5]) -> Option<Affine<InFrame, InCrop>> {
    let template = TEMPLATE.map(|[x, y]| Point::<InCrop>::new(x, y));
    Affine::<InCrop, InFrame>::similarity(&template, points)?.inverse()
}

/// The detector's five points, read off the dense ones.
#[must_use]
pub fn five_points(l: &Landmarks) -> [Point<InFrame>; 5] {
    let mid = |a: usize, b: usize| {
        let (p, q) = (l.point(a), l.point(b));
        Point::new((p.x + q.x) / 2.0, (p.y + q.y) / 2.0)
    };
    [mid(33, 133), mid(362, 263), l.point(1), l.point(61), l.point(291)]
}

/// The same of a bare mesh of 468 points or more; `None` if one of them is missing or not finite.
pub(crate) fn five_of_mesh(points: &[[f32; 3]]) -> Option<[Point<InFrame>; 5]> {
    let at = |i: usize| points.get(i).filter(|p| p[0].is_finite() && p[1].is_finite());
    let mid = |i, j| Some(Point::new((at(i)?[0] + at(j)?[0]) / 2.0, (at(i)?[1] + at(j)?[1]) / 2.0));
    Some([mid(33, 133)?, mid(362, 263)?, mid(1, 1)?, mid(61, 61)?, mid(291, 291)?])
}

/// A network that turns an aligned face of 112 × 112 pixels into a vector: MobileFaceNet (Chen et al., *MobileFaceNets*, CCBR
/// 2018) with 128 values and the program's own of the same form, or one that the user brings.
#[derive(Debug)]
pub struct FaceRecogniser {
    net: Net,
    input: Vec<f32>,
    form: Recogniser,
    /// Length of the vector; any will do for networks of users.
    values: Option<usize>,
}

/// How the known networks want their faces; what their cosines mean stands with those who judge by them.
const KNOWN: Recogniser = Recogniser {
    colour: Channels::Rgb,
    mean: [255.0 * MEAN[0], 255.0 * MEAN[1], 255.0 * MEAN[2]],
    deviation: [255.0 * DEVIATION[0], 255.0 * DEVIATION[1], 255.0 * DEVIATION[2]],
    single: 1.0,
    certain: 1.0,
};

impl FaceRecogniser {
    /// Opens the network.
    ///
    /// # Errors
    /// `Model`.
    pub fn open(runtime: &Runtime, model: &InstalledModel) -> Result<Self> {
        let form = model.entry.recogniser;
        let values = form.is_none().then_some(128);
        let input = vec![0.0; 3 * SIZE * SIZE];
        Ok(FaceRecogniser { net: runtime.open(model)?, input, form: form.unwrap_or(KNOWN), values })
    }
}

impl EmbeddingModel for FaceRecogniser {
    fn embed(&mut self, frame: &Frame, points: &[Point<InFrame>; 5]) -> Result<Embedding> {
        let frame_from_crop =
            alignment(points).ok_or_else(|| Error::Model("a face's points coincide; it cannot be aligned".into()))?;
        let picture = Picture::crop(frame, &frame_from_crop, SIZE);
        for (c, to) in self.input.chunks_exact_mut(SIZE * SIZE).enumerate() {
            let plane = match self.form.colour {
                Channels::Rgb => &picture.planes[c],
                Channels::Bgr => &picture.planes[2 - c],
            };
            let (mean, deviation) = (self.form.mean[c], self.form.deviation[c]);
            to.iter_mut().zip(plane).for_each(|(t, v)| *t = (v - mean) / deviation);
        }
        let outputs = self.net.run(&[1, 3, SIZE, SIZE], &self.input)?;
        let fits = |n: usize| n > 1 && self.values.is_none_or(|v| v == n);
        match <[_; 1]>::try_from(outputs) {
            Ok([vector]) if fits(vector.data.len()) => Embedding::new(vector.data),
            _ => Err(Error::Model(match self.values {
                Some(n) => format!("the embedding network gave something else than one vector of {n}"),
                None => "an attacker's network gave something else than one vector; see its list".into(),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alignment_puts_the_points_on_the_template() {
        let (c, s) = (2.0 * 0.4f32.cos(), 2.0 * 0.4f32.sin());
        let points = TEMPLATE.map(|[x, y]| Point::<InFrame>::new(c * x - s * y + 300.0, s * x + c * y + 80.0));
        let crop_from_frame = alignment(&points).unwrap().inverse().unwrap();
        for (p, t) in points.iter().zip(TEMPLATE) {
            let q = crop_from_frame.apply(*p);
            assert!((q.x - t[0]).abs() < 0.01 && (q.y - t[1]).abs() < 0.01);
        }
        assert!(alignment(&[Point::new(1.0, 1.0); 5]).is_none());
    }

    #[test]
    fn unusable_vectors_are_errors() {
        for raw in [vec![], vec![0.0; 128], vec![f32::NAN; 128], vec![f32::MAX; 128]] {
            assert!(Embedding::new(raw).is_err());
        }
        let e = Embedding::new(vec![3.0, 4.0]).unwrap();
        assert!((e.cosine(&e) - 1.0).abs() < 1e-6);
        assert_eq!(e.cosine(&Embedding::new(vec![1.0]).unwrap()), 0.0);
    }
}
