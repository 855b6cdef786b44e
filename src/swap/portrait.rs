//! Pictures of a double by itself: for casting, previews and contact sheets.

use super::double::Double;
use super::geometry::{FaceMotion, estimate_neutral, plan_motion};
use super::light::LightProbe;
use super::mesh::{FacePoints, Mesh};
use super::render::{cover, render};
use crate::Result;
use crate::geom::PixelRect;
use crate::image::{ColorDesc, ColorModel, Frame, PixelLayout};

/// Width of the face in a portrait, as a share of the picture.
const FACE_SHARE: f32 = 0.52;
/// Frames of neutral from which the motion is planned.
const STILL: usize = 5;

/// The double's neutral face before a grey wall, `side` × `side` pixels.
///
/// # Errors
/// `Input` if the double cannot be drawn.
pub fn portrait(mesh: &Mesh, double: &Double, side: usize) -> Result<Frame> {
    expression(mesh, double, 0, 0.0, side)
}

/// Exemplar `index` of the double, its head turned by `yaw` radians.
///
/// # Errors
/// `Input` if there is no such exemplar or it cannot be drawn.
pub fn expression(mesh: &Mesh, double: &Double, index: usize, yaw: f32, side: usize) -> Result<Frame> {
    let exemplar = double.exemplars().get(index).ok_or_else(|| cover("there is no such exemplar"))?;
    let motion = pose(mesh, double, &exemplar.shape, yaw, side)?;
    let layout = PixelLayout { model: ColorModel::Gbr, depth: 8, log2_chroma_w: 0, log2_chroma_h: 0 };
    let mut frame = Frame::black(side, side, layout, ColorDesc::default());
    frame.paint(PixelRect { x: 0, y: 0, width: side, height: side }, [0.45; 3]);
    let face = render(mesh, double, &motion, &LightProbe::own(&exemplar.low), (side, side), 1)?;
    frame.blend_rgb(face.x, face.y, &face.rgb, &face.matte);
    Ok(frame)
}

pub(super) fn pose(mesh: &Mesh, double: &Double, shape: &[[f32; 3]], yaw: f32, side: usize) -> Result<FaceMotion> {
    let still = points(double.shape(), 0.0, side);
    let neutral = estimate_neutral(mesh, &vec![still.clone(); STILL]).ok_or_else(|| cover("it has no neutral"))?;
    let mut track = vec![Some(still); STILL];
    track.extend(vec![Some(points(shape, yaw, side)); STILL]);
    let motion = plan_motion(mesh, double, &neutral, &track, 5.0);
    motion.into_iter().next_back().flatten().ok_or_else(|| cover("its pose cannot be planned"))
}

/// A canonical shape of 470 vertices as 478 points in the middle of a picture.
fn points(shape: &[[f32; 3]], yaw: f32, side: usize) -> FacePoints {
    let (scale, middle) = (FACE_SHARE * side as f32, side as f32 / 2.0);
    let (c, s) = (yaw.cos(), yaw.sin());
    let place =
        |p: &[f32; 3]| [middle + scale * (c * p[0] - s * p[2]), middle + scale * p[1], scale * (s * p[0] + c * p[2])];
    let mut all: FacePoints = shape.iter().take(468).map(place).collect();
    for iris in [468, 469] {
        let centre = shape.get(iris).map_or([middle, middle, 0.0], place);
        all.extend([centre; 5]);
    }
    all
}
