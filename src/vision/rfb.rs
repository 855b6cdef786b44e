//! Ultra-light RFB-640: the second detector family, boxes only. It confirms what YuNet found, and joins it in
//! [`Recall::Max`](super::Recall::Max).
//!
//! Decoding as published with the network: relative corners and a two-class score per prior
//! (Ultra-Light-Fast-Generic-Face-Detector-1MB, README).

use super::detect::{Detector, Look, suppress, through_look};
use super::picture::Picture;
use super::types::Detection;
use crate::error::{Error, Result};
use crate::geom::Rect;
use crate::image::Frame;
use crate::infer::{InstalledModel, Net, Runtime, Tensor};

const WIDTH: usize = 640;
const HEIGHT: usize = 480;
const PRIORS: usize = 17_640;
const NMS: f32 = 0.3;

/// The RFB-640 detector.
#[derive(Debug)]
pub struct Rfb {
    net: Net,
    input: Vec<f32>,
}

impl Rfb {
    /// Opens the network.
    ///
    /// # Errors
    /// `Model`.
    pub fn open(runtime: &Runtime, model: &InstalledModel) -> Result<Self> {
        Ok(Rfb { net: runtime.open(model)?, input: vec![0.0; 3 * WIDTH * HEIGHT] })
    }

    fn run(&mut self, picture: &Picture, threshold: f32) -> Result<Vec<Detection>> {
        // The network wants 640 × 480 whatever the aspect.
        let (kx, ky) = (picture.width as f32 / WIDTH as f32, picture.height as f32 / HEIGHT as f32);
        let fitted = picture.warped([[kx, 0.0, 0.0], [0.0, ky, 0.0]], WIDTH, HEIGHT);
        for (to, plane) in self.input.chunks_exact_mut(WIDTH * HEIGHT).zip(&fitted.planes) {
            to.iter_mut().zip(plane).for_each(|(t, v)| *t = (v - 127.0) / 128.0);
        }
        let outputs = self.net.run(&[1, 3, HEIGHT, WIDTH], &self.input)?;
        decode(&outputs, picture.width as f32, picture.height as f32, threshold)
    }
}

impl Detector for Rfb {
    fn detect(&mut self, frame: &Frame, look: &Look) -> Result<Vec<Detection>> {
        let look = Look { side: WIDTH, ..*look };
        through_look(frame, &look, &mut |picture| self.run(picture, look.threshold))
    }
}

fn decode(outputs: &[Tensor], width: f32, height: f32, threshold: f32) -> Result<Vec<Detection>> {
    let scores = Tensor::find(outputs, "scores", 2 * PRIORS)?;
    let boxes = Tensor::find(outputs, "boxes", 4 * PRIORS)?;
    let mut found = Vec::new();
    for (s, b) in scores.chunks_exact(2).zip(boxes.chunks_exact(4)) {
        if s[1].is_nan() || s[1] < threshold {
            continue;
        }
        let rect = Rect::new(b[0] * width, b[1] * height, b[2] * width, b[3] * height);
        if !b.iter().all(|v| v.is_finite() && v.abs() < 100.0) {
            return Err(Error::Model("the second face detector gave impossible boxes".into()));
        }
        if rect.is_valid() {
            found.push(Detection::from_box(rect, s[1].clamp(0.0, 1.0)));
        }
    }
    Ok(suppress(found, NMS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_relative_to_the_picture() {
        let mut outputs = [
            Tensor { name: "scores".into(), shape: vec![1, PRIORS, 2], data: vec![0.0; 2 * PRIORS] },
            Tensor { name: "boxes".into(), shape: vec![1, PRIORS, 4], data: vec![0.0; 4 * PRIORS] },
        ];
        outputs[0].data[11] = 0.9;
        outputs[1].data[20..24].copy_from_slice(&[0.25, 0.5, 0.5, 1.0]);
        let found = decode(&outputs, 400.0, 100.0, 0.7).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].rect.x0, found[0].rect.y1), (100.0, 100.0));
        outputs[1].data[20] = f32::INFINITY;
        assert!(decode(&outputs, 400.0, 100.0, 0.7).is_err());
        assert!(decode(&outputs[..1], 400.0, 100.0, 0.7).is_err());
    }
}
