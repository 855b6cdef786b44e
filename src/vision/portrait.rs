//! Faces in photographs: reference pictures of a cast, photographs of volunteers.

use super::detect::{Look, suppress};
use super::embed::{alignment, five_of_mesh, five_points};
use super::landmarks::find_landmarks;
use super::pool::Networks;
use super::types::{Detection, Embedding, Landmarks};
use crate::image::{ColorDesc, ColorModel, Frame, PixelLayout, Samples};
use crate::infer::{ModelSet, Runtime};
use crate::{Error, Result};
use std::path::Path;

/// Largest photograph, in pixels.
const MOST_PIXELS: u64 = 200_000_000;

/// Finds and embeds the main face of photographs and frames.
pub struct Embedder {
    networks: Networks,
}

impl Embedder {
    /// Cosine from which two faces are taken for one person when both are to be disguised. Different people reach it
    /// about once in a hundred pairs of portraits (MobileFaceNet, p99 of different people .22–.28).
    pub const MARGIN: f32 = 0.35;
    /// Cosine asked for before somebody is left visible: well above what different people reach.
    pub const WIDE_MARGIN: f32 = 0.50;

    /// Opens the networks.
    ///
    /// # Errors
    /// `Model`.
    pub fn new(models: &ModelSet, runtime: &Runtime) -> Result<Self> {
        Ok(Embedder { networks: Networks::open(models, runtime)? })
    }

    /// Embedding of the largest face of a photograph; `None` if there is no face.
    ///
    /// # Errors
    /// `Input` if the file is no picture, `Model` if a network fails.
    pub fn embed_picture(&mut self, path: &Path) -> Result<Option<Embedding>> {
        let frame = read_picture(path)?;
        self.embed_frame(&frame)
    }

    /// Embedding of the largest face of a frame; `None` if there is no face.
    ///
    /// # Errors
    /// `Model` if a network fails.
    pub fn embed_frame(&mut self, frame: &Frame) -> Result<Option<Embedding>> {
        let Some(face) = self.largest(frame)? else { return Ok(None) };
        let mut points = face.points;
        if !face.has_points
            && let Some(l) = self.landmarks(frame, &face)?
        {
            points = five_points(&l);
        }
        match (&mut self.networks.embedding, alignment(&points)) {
            (Some(model), Some(_)) => model.embed(frame, &points).map(Some),
            _ => Ok(None),
        }
    }

    /// Embedding of the face whose mesh is known: 468 points or more, in pixels of the frame. `None` if it cannot be
    /// aligned.
    ///
    /// # Errors
    /// `Model` if the network fails.
    pub fn embed_mesh(&mut self, frame: &Frame, mesh: &[[f32; 3]]) -> Result<Option<Embedding>> {
        let Some(points) = five_of_mesh(mesh) else { return Ok(None) };
        match (&mut self.networks.embedding, alignment(&points)) {
            (Some(model), Some(_)) => model.embed(frame, &points).map(Some),
            _ => Ok(None),
        }
    }

    /// The largest face found at two sizes of the picture.
    ///
    /// # Errors
    /// `Model`.
    pub fn largest(&mut self, frame: &Frame) -> Result<Option<Detection>> {
        let mut found = self.networks.detector.detect(frame, &Look::at_whole(frame, 640, 0.6))?;
        found.extend(self.networks.detector.detect(frame, &Look::at_whole(frame, 320, 0.6))?);
        let found = suppress(found, 0.4);
        Ok(found.into_iter().max_by(|a, b| a.rect.area().total_cmp(&b.rect.area())))
    }

    /// Dense points of a face.
    ///
    /// # Errors
    /// `Model`.
    pub fn landmarks(&mut self, frame: &Frame, face: &Detection) -> Result<Option<Landmarks>> {
        let Some(model) = &mut self.networks.landmarks else { return Ok(None) };
        find_landmarks(model.as_mut(), frame, face, None)
    }
}

/// Reads a PNG or JPEG photograph.
///
/// # Errors
/// `Input` if it cannot be read or is too large.
pub fn read_picture(path: &Path) -> Result<Frame> {
    let bad = |e: &dyn std::fmt::Display| {
        Error::Input(format!("cannot read the picture ({e}); use PNG or JPEG: {}", path.display()))
    };
    let reader = ::image::ImageReader::open(path).map_err(|e| bad(&e))?;
    let mut reader = reader.with_guessed_format().map_err(|e| bad(&e))?;
    let mut limits = ::image::Limits::default();
    limits.max_alloc = Some(MOST_PIXELS * 4);
    reader.limits(limits);
    let picture = reader.decode().map_err(|e| bad(&e))?.into_rgb8();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let layout = PixelLayout { model: ColorModel::Gbr, depth: 8, log2_chroma_w: 0, log2_chroma_h: 0 };
    let mut frame = Frame::black(width, height, layout, ColorDesc::default());
    for (plane, channel) in [(0, 1), (1, 2), (2, 0)] {
        if let Samples::U8(v) = &mut frame.planes[plane].samples {
            v.iter_mut().zip(picture.pixels()).for_each(|(s, p)| *s = p.0[channel]);
        }
    }
    Ok(frame)
}
