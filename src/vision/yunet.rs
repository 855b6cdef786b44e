//! YuNet: small anchor-free detector with five points.
//!
//! Decoding as in Wu et al., *YuNet: A Tiny Millisecond-level Face Detector*, MIR 20, 2023, §3, and the published
//! network's own outputs: per cell of stride s a class and an object score, a box and five points.

use super::detect::{BEYOND, Detector, Look, suppress, through_look};
use super::picture::Picture;
use super::types::Detection;
use crate::error::{Error, Result};
use crate::geom::{Point, Rect};
use crate::image::Frame;
use crate::infer::{InstalledModel, Net, Runtime, Tensor};

const STRIDES: [usize; 3] = [8, 16, 32];
/// Overlap above which two boxes are one face (the network's own setting).
const NMS: f32 = 0.45;
/// Longest side ever fed to the network.
const MAX_SIDE: usize = 2048;

/// The YuNet detector.
#[derive(Debug)]
pub struct YuNet {
    net: Net,
    /// Side of the square input, if the network's input is of fixed size.
    fixed: Option<usize>,
    /// It sees faces twice: see [`without_echoes`].
    echoes: bool,
    input: Vec<f32>,
}

impl YuNet {
    /// Opens the network.
    ///
    /// # Errors
    /// `Model`.
    pub fn open(runtime: &Runtime, model: &InstalledModel) -> Result<Self> {
        let fixed = (model.entry.name == "yunet_n_640").then_some(640);
        Ok(YuNet { net: runtime.open(model)?, fixed, echoes: model.entry.built_in, input: Vec::new() })
    }

    fn run(&mut self, picture: &Picture, threshold: f32) -> Result<Vec<Detection>> {
        let padded = |n: usize| self.fixed.unwrap_or(n.div_ceil(32) * 32);
        let (w, h) = (padded(picture.width), padded(picture.height));
        if picture.width > w || picture.height > h {
            return Err(Error::Model("the picture is larger than the detector's input".into()));
        }
        self.input.clear();
        self.input.resize(3 * w * h, 0.0);
        // Channel order is B, G, R.
        for (c, plane) in picture.planes.iter().rev().enumerate() {
            for row in 0..picture.height {
                let to = c * w * h + row * w;
                let from = row * picture.width;
                self.input[to..to + picture.width].copy_from_slice(&plane[from..from + picture.width]);
            }
        }
        let outputs = self.net.run(&[1, 3, h, w], &self.input)?;
        let found = decode(&outputs, w, h, threshold)?;
        Ok(if self.echoes { without_echoes(&found) } else { found })
    }
}

/// Least score of a face that may have echoes, most of an echo, and by how much it is weaker. A face of the first is never
/// refused for want of landmarks (`pipeline::analyse`): with its echoes it could be left as filmed.
const ECHO: (f32, f32, f32) = (0.8, 0.55, 0.25);
/// Area of an echo within a face, as a share of the face's. What is smaller may be somebody else's, behind.
const WITHIN: (f32, f32) = (0.2, 0.75);

/// Leaves out what the built-in detector sees of a face besides the face: eyes to mouth as a smaller face within it, hair and
/// brow as one above it. A tracker that follows them loses the face to them.
///
/// No other face can be there: of one so close behind, the eyes would lie behind the hair of the one in front.
fn without_echoes(found: &[Detection]) -> Vec<Detection> {
    let echoes = |d: &Detection, of: &Detection| {
        let weaker = of.score >= ECHO.0 && d.score <= ECHO.1 && d.score <= of.score - ECHO.2;
        let shared = d.rect.intersection(&of.rect).area() / d.rect.area().max(1e-6);
        let within = shared >= 0.8 && (WITHIN.0..WITHIN.1).contains(&(d.rect.area() / of.rect.area().max(1e-6)));
        let (a, b) = (d.rect.centre(), of.rect.centre());
        let alike = (0.7..=1.4).contains(&(d.rect.width() / of.rect.width()));
        let above = alike && shared >= 0.4 && b.y > a.y && (a.x - b.x).abs() <= 0.25 * of.rect.width();
        weaker && (within || above)
    };
    found.iter().filter(|d| !found.iter().any(|o| echoes(d, o))).copied().collect()
}

impl Detector for YuNet {
    fn detect(&mut self, frame: &Frame, look: &Look) -> Result<Vec<Detection>> {
        let most = match self.fixed {
            None => MAX_SIDE,
            // A turned picture is up to √2 longer than its side, and both are continued beyond the frame's edges.
            Some(n) => (if look.turn == 0.0 { n } else { n * 7 / 10 }) - 2 * BEYOND,
        };
        let look = Look { side: look.side.min(most), ..*look };
        let threshold = look.threshold;
        through_look(frame, &look, &mut |picture| self.run(picture, threshold))
    }
}

/// Boxes and points of an input of `width` × `height` from the network's outputs, in input pixels.
///
/// # Errors
/// `Model` if an output is missing, of the wrong length, or holds impossible values above the threshold.
fn decode(outputs: &[Tensor], width: usize, height: usize, threshold: f32) -> Result<Vec<Detection>> {
    let mut found = Vec::new();
    for stride in STRIDES {
        let columns = width / stride;
        let n = columns * (height / stride);
        let class = Tensor::find(outputs, &format!("cls_{stride}"), n)?;
        let object = Tensor::find(outputs, &format!("obj_{stride}"), n)?;
        let boxes = Tensor::find(outputs, &format!("bbox_{stride}"), 4 * n)?;
        let points = Tensor::find(outputs, &format!("kps_{stride}"), 10 * n)?;
        let s = stride as f32;
        for i in 0..n {
            let score = (class[i].clamp(0.0, 1.0) * object[i].clamp(0.0, 1.0)).sqrt();
            if score.is_nan() {
                return Err(Error::Model("the face detector gave values that are not numbers".into()));
            }
            if score < threshold {
                continue;
            }
            let (col, row) = ((i % columns) as f32, (i / columns) as f32);
            let b = &boxes[4 * i..4 * i + 4];
            let (cx, cy) = ((col + b[0]) * s, (row + b[1]) * s);
            let (hw, hh) = (b[2].exp() * s / 2.0, b[3].exp() * s / 2.0);
            let k = &points[10 * i..10 * i + 10];
            let at = |j: usize| Point::new((col + k[2 * j]) * s, (row + k[2 * j + 1]) * s);
            let d = Detection {
                rect: Rect::new(cx - hw, cy - hh, cx + hw, cy + hh),
                score,
                points: [at(0), at(1), at(2), at(3), at(4)],
                has_points: true,
            };
            let limit = 100.0 * (width + height) as f32;
            if !d.is_sound() || d.rect.size() > limit || cx.abs() > limit || cy.abs() > limit {
                return Err(Error::Model("the face detector gave impossible boxes".into()));
            }
            found.push(d);
        }
    }
    Ok(suppress(found, NMS))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Outputs of a 64 × 32 input without any face.
    fn silent() -> Vec<Tensor> {
        let mut all = Vec::new();
        for s in STRIDES {
            let n = (64 / s) * (32 / s);
            for (name, k) in [("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)] {
                all.push(Tensor { name: format!("{name}_{s}"), shape: vec![1, n, k], data: vec![0.0; n * k] });
            }
        }
        all
    }

    #[test]
    fn echoes_of_a_face_are_left_out_and_other_faces_stay() {
        let at = |x0, y0, x1, y1, score| Detection::from_box(Rect::new(x0, y0, x1, y1), score);
        let face = at(131.0, 103.0, 235.0, 246.0, 0.94);
        // As seen on a talking head.
        let (eyes_to_mouth, hair) = (at(145.0, 158.0, 214.0, 237.0, 0.30), at(128.0, 51.0, 245.0, 190.0, 0.43));
        assert_eq!(without_echoes(&[face, eyes_to_mouth, hair]), [face]);
        let others = [
            at(128.0, 20.0, 235.0, 130.0, 0.45),  // higher: its eyes are over the hair
            at(131.0, 180.0, 235.0, 320.0, 0.45), // in front
            at(200.0, 60.0, 300.0, 200.0, 0.45),  // beside
            at(128.0, 51.0, 245.0, 190.0, 0.75),  // as sure
        ];
        for other in others {
            assert_eq!(without_echoes(&[face, other]), [face, other]);
        }
        let small = at(140.0, 110.0, 170.0, 150.0, 0.3);
        assert_eq!(without_echoes(&[face, small]), [face, small]);
        let doubtful = at(131.0, 103.0, 235.0, 246.0, 0.75);
        assert_eq!(without_echoes(&[doubtful, hair]), [doubtful, hair]);
    }

    fn set(all: &mut [Tensor], name: &str, at: usize, value: f32) {
        all.iter_mut().find(|t| t.name == name).unwrap().data[at] = value;
    }

    #[test]
    fn a_cell_becomes_a_box_with_points() {
        let mut all = silent();
        let cell = 3; // stride 16: column 3, row 0
        set(&mut all, "cls_16", cell, 0.81);
        set(&mut all, "obj_16", cell, 1.0);
        set(&mut all, "bbox_16", cell * 4, 0.5);
        set(&mut all, "bbox_16", cell * 4 + 1, 0.25);
        set(&mut all, "bbox_16", cell * 4 + 2, 2f32.ln());
        set(&mut all, "kps_16", cell * 10 + 4, 1.0);
        // The same face once more at stride 8, weaker: suppressed.
        set(&mut all, "cls_8", 7, 0.5);
        set(&mut all, "obj_8", 7, 0.5);
        set(&mut all, "bbox_8", 28, 0.0);
        set(&mut all, "bbox_8", 29, 0.5);
        set(&mut all, "bbox_8", 30, 4f32.ln());
        set(&mut all, "bbox_8", 31, 2f32.ln());
        let found = decode(&all, 64, 32, 0.3).unwrap();
        assert_eq!(found.len(), 1);
        let d = found[0];
        assert!((d.score - 0.9).abs() < 1e-5);
        assert_eq!((d.rect.x0, d.rect.y0, d.rect.x1, d.rect.y1), (40.0, -4.0, 72.0, 12.0));
        assert_eq!((d.points[2].x, d.points[2].y), (64.0, 0.0));
        assert!(decode(&all, 64, 32, 0.95).unwrap().is_empty());
    }

    #[test]
    fn hostile_outputs_are_errors() {
        for (name, value) in [("bbox_8", 200.0), ("bbox_8", f32::NAN), ("bbox_8", 30.0)] {
            let mut all = silent();
            set(&mut all, "cls_8", 0, 1.0);
            set(&mut all, "obj_8", 0, 1.0);
            set(&mut all, name, 2, value);
            assert!(matches!(decode(&all, 64, 32, 0.3), Err(Error::Model(_))), "{value}");
        }
        let mut all = silent();
        set(&mut all, "cls_8", 0, f32::NAN);
        assert!(decode(&all, 64, 32, 0.3).is_err());
        let mut all = silent();
        all.pop();
        assert!(decode(&all, 64, 32, 0.3).is_err());
        let mut all = silent();
        all[0].data.pop();
        assert!(decode(&all, 64, 32, 0.3).is_err());
    }
}
