//! Exemplars from photographs of a consenting volunteer.

use super::geometry::canonical;
use super::mesh::{Mesh, vertices_of};
use super::raster::{NONE, Raster, mix};
use crate::Result;
use crate::geom::{InFrame, Rect};
use crate::image::Frame;

/// Side of the atlases made here.
const SIDE: usize = 512;
/// Texels by which skin is carried beyond the mesh's outline.
const RIM: usize = 10;

/// One photograph brought to the atlas.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// Square sRGB atlas.
    pub atlas: image::RgbImage,
    /// Canonical shape, 470 points in face widths.
    pub shape: Vec<[f32; 3]>,
    /// Head turn, radians.
    pub yaw: f32,
    /// Head nod, radians.
    pub pitch: f32,
    /// Lid aperture in face widths.
    pub lid_aperture: f32,
    /// Mouth opening in face widths.
    pub mouth_opening: f32,
    /// Mouth width in face widths.
    pub mouth_width: f32,
    /// Face width in pixels.
    pub width_px: f32,
}

/// Brings the face with these 478 landmarks from a photograph to the atlas; `None` if the landmarks do not fit a face.
///
/// # Errors
/// None at present; the result type leaves room for pictures that cannot be read.
pub fn enrol(mesh: &Mesh, picture: &Frame, points: &[[f32; 3]]) -> Result<Option<Enrolled>> {
    let Some(vertices) = vertices_of(points) else { return Ok(None) };
    let Some(fit) = canonical(mesh, &vertices) else { return Ok(None) };
    let uv: Vec<[f32; 3]> = mesh.uv.iter().map(|t| [t[0] * SIDE as f32, t[1] * SIDE as f32, 0.0]).collect();
    let mut raster = Raster::new(SIDE, SIDE);
    raster.draw(&uv, &mesh.triangles, [0.0, 0.0]);
    let reach = vertices.iter().fold(Rect::<InFrame>::new(f32::MAX, f32::MAX, f32::MIN, f32::MIN), |r, p| {
        Rect::new(r.x0.min(p[0]), r.y0.min(p[1]), r.x1.max(p[0]), r.y1.max(p[1]))
    });
    let Some(area) = reach.grown(0.05, 0.05, 0.05, 0.05).to_pixels(picture.width, picture.height) else {
        return Ok(None);
    };
    let patch = picture.read_rgb(area);
    let mut atlas = image::RgbImage::new(SIDE as u32, SIDE as u32);
    let mut known = vec![false; SIDE * SIDE];
    for (i, &t) in raster.triangle.iter().enumerate() {
        if t == NONE {
            continue;
        }
        let at = mix(mesh.triangles[t as usize].map(|v| vertices[v]), raster.weights[i]);
        let x = (at[0] - area.x as f32 - 0.5).clamp(0.0, (area.width - 1) as f32);
        let y = (at[1] - area.y as f32 - 0.5).clamp(0.0, (area.height - 1) as f32);
        let (x0, y0) = (x as usize, y as usize);
        let (x1, y1) = ((x0 + 1).min(area.width - 1), (y0 + 1).min(area.height - 1));
        let (u, v) = (x - x0 as f32, y - y0 as f32);
        let (a, b, c, d) = (patch.pixel(x0, y0), patch.pixel(x1, y0), patch.pixel(x0, y1), patch.pixel(x1, y1));
        let rgb: [u8; 3] = std::array::from_fn(|k| {
            let top = a[k] + (b[k] - a[k]) * u;
            let value = top + (c[k] + (d[k] - c[k]) * u - top) * v;
            (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
        });
        atlas.put_pixel((i % SIDE) as u32, (i / SIDE) as u32, image::Rgb(rgb));
        known[i] = true;
    }
    spread(&mut atlas, &mut known);
    let shape = fit.shape;
    let pose = fit.fit.pose();
    let corner = |i: usize| shape[i];
    let (l, r) = (corner(61), corner(291));
    Ok(Some(Enrolled {
        yaw: pose.yaw,
        pitch: pose.pitch,
        lid_aperture: mesh.lid_aperture(&shape),
        mouth_opening: mesh.mouth_opening(&shape),
        mouth_width: (l[0] - r[0]).hypot(l[1] - r[1]),
        width_px: reach.width(),
        atlas,
        shape,
    }))
}

/// Carries known texels outwards, so that sampling at the rim finds skin.
fn spread(atlas: &mut image::RgbImage, known: &mut [bool]) {
    for _ in 0..RIM {
        let mut found = Vec::new();
        for y in 0..SIDE {
            for x in 0..SIDE {
                if known[y * SIDE + x] {
                    continue;
                }
                let near = [(x.wrapping_sub(1), y), (x + 1, y), (x, y.wrapping_sub(1)), (x, y + 1)];
                let near = near.into_iter().find(|&(a, b)| a < SIDE && b < SIDE && known[b * SIDE + a]);
                if let Some((a, b)) = near {
                    found.push((x, y, *atlas.get_pixel(a as u32, b as u32)));
                }
            }
        }
        for (x, y, p) in found {
            atlas.put_pixel(x as u32, y as u32, p);
            known[y * SIDE + x] = true;
        }
    }
}
