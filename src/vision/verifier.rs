//! The verifier: whether a place shows a face at all. It looks again at what the built-in detector was not sure of.
//!
//! The network was trained on what that detector takes for faces and is none (`scripts/train`), so that its errors are
//! others than the detector's.

use super::picture::Picture;
use crate::error::{Error, Result};
use crate::geom::{InFrame, Rect};
use crate::image::Frame;
use crate::infer::{InstalledModel, Net, Runtime, Tensor};

/// Side of the picture that the network sees.
const SIZE: usize = 64;
/// Sides of the squares that it is shown, over the longer side of the box: it was trained on twice that side, and boxes of
/// weak detections fit badly. The first is shown in a mirror besides.
const GROW: [f32; 3] = [2.0, 1.5, 2.7];

/// Says whether a place shows a face.
pub trait VerifierModel: Send {
    /// How much speaks for a face at a place, as a logit: 0 is as likely as not among what the detector doubts.
    ///
    /// # Errors
    /// `Model` if the network fails or gives no number.
    fn verify(&mut self, frame: &Frame, place: &Rect<InFrame>) -> Result<f32>;
}

/// The program's own verifier.
///
/// Input `[1, 3, 64, 64]`, R, G, B, 0..=1: an upright square with the place in its middle, which repeats the frame's edge
/// beyond it. Output one logit.
#[derive(Debug)]
pub struct Verifier {
    net: Net,
    input: Vec<f32>,
}

impl Verifier {
    /// Opens the network.
    ///
    /// # Errors
    /// `Model`.
    pub fn open(runtime: &Runtime, model: &InstalledModel) -> Result<Self> {
        Ok(Verifier { net: runtime.open(model)?, input: vec![0.0; 3 * SIZE * SIZE] })
    }

    /// One look at a square.
    fn look(&mut self, picture: &Picture, mirror: bool) -> Result<f32> {
        for (to, plane) in self.input.chunks_exact_mut(SIZE * SIZE).zip(&picture.planes) {
            for (to, from) in to.chunks_exact_mut(SIZE).zip(plane.chunks_exact(SIZE)) {
                to.iter_mut().zip(from).for_each(|(t, v)| *t = v / 255.0);
                if mirror {
                    to.reverse();
                }
            }
        }
        let outputs = self.net.run(&[1, 3, SIZE, SIZE], &self.input)?;
        let logit = Tensor::find(&outputs, "face", 1)?[0];
        if logit.is_finite() {
            Ok(logit)
        } else {
            Err(Error::Model("the face verifier gave a value that is not a number".into()))
        }
    }
}

impl VerifierModel for Verifier {
    fn verify(&mut self, frame: &Frame, place: &Rect<InFrame>) -> Result<f32> {
        let (c, size) = (place.centre(), place.size().max(1.0));
        let mut sum = 0.0;
        for (k, grow) in GROW.into_iter().enumerate() {
            let r = grow * size / 2.0;
            let picture = Picture::of(frame, &Rect::new(c.x - r, c.y - r, c.x + r, c.y + r), SIZE, SIZE);
            sum += self.look(&picture, false)?;
            if k == 0 {
                sum += self.look(&picture, true)?;
            }
        }
        Ok(sum / (GROW.len() + 1) as f32)
    }
}
