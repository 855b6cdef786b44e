//! Face embeddings: one vector per aligned face, for telling people apart.

use super::picture::Picture;
use super::types::{Embedding, Landmarks};
use crate::error::{Error, Result};
use crate::geom::{Affine, InCrop, InFrame, Point};
use crate::image::Frame;
use crate::infer::{InstalledModel, Net, Runtime};

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

/// MobileFaceNet, 128 values.
///
/// Chen et al., *MobileFaceNets*, CCBR 2018.
#[derive(Debug)]
pub struct MobileFaceNet {
    net: Net,
    input: Vec<f32>,
}

impl MobileFaceNet {
    /// Opens the network.
    ///
    /// # Errors
    /// `Model`.
    pub fn open(runtime: &Runtime, model: &InstalledModel) -> Result<Self> {
        Ok(MobileFaceNet { net: runtime.open(model)?, input: vec![0.0; 3 * SIZE * SIZE] })
    }
}

impl EmbeddingModel for MobileFaceNet {
    fn embed(&mut self, frame: &Frame, points: &[Point<InFrame>; 5]) -> Result<Embedding> {
        let frame_from_crop =
            alignment(points).ok_or_else(|| Error::Model("a face's points coincide; it cannot be aligned".into()))?;
        let picture = Picture::crop(frame, &frame_from_crop, SIZE);
        for (c, (to, plane)) in self.input.chunks_exact_mut(SIZE * SIZE).zip(&picture.planes).enumerate() {
            to.iter_mut().zip(plane).for_each(|(t, v)| *t = (v / 255.0 - MEAN[c]) / DEVIATION[c]);
        }
        let outputs = self.net.run(&[1, 3, SIZE, SIZE], &self.input)?;
        match <[_; 1]>::try_from(outputs) {
            Ok([vector]) if vector.data.len() == 128 => Embedding::new(vector.data),
            _ => Err(Error::Model("the embedding network gave something else than one vector of 128".into())),
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
