//! What the renderer is told of the subject's picture: low-frequency light and four scalars.

use super::filter::{gaussian, median, quantile};
use super::maps::LIGHT_SAMPLES;
use super::mesh::{Mesh, VERTICES};
use super::raster::{NONE, mix};
use super::texture::Texture;
use crate::geom::{InFrame, PixelRect, Rect};
use crate::image::{Frame, RgbPatch};
use crate::{Error, Result};

/// Cells per side of the light grid.
pub const LIGHT_GRID: usize = 32;
/// Pure-power display curve. Products commute with it, so that relighting in display values by ratios is the same as
/// relighting in linear light.
pub(crate) const GAMMA: f32 = 2.2;
/// Smoothing of light over the atlas, in grid cells: a sixteenth of the atlas.
const SIGMA: f32 = 2.0;
/// Wider smoothing that fills places without skin, and how little of it suffices.
const FILL_SIGMA: f32 = 6.0;
const FILL_WEIGHT: f32 = 0.02;
/// Log-luminance deviation from the first estimate at which a sample counts half: hair, glasses, highlights.
const OUTLIER: f32 = 0.5;
/// Deviation of a colour ratio (logarithm, linear light) from that of most skin at which a sample counts half: a sleeve, a
/// screen, somebody else's hair in front of the face. Shade and warm light stay within it.
const OTHER_COLOUR: f32 = 0.9;
/// Linear luminance below which colour ratios are noise.
const COLOURLESS: f32 = 0.005;
/// Largest and smallest gain of the subject's light over the double's.
const GAIN: (f32, f32) = (0.05, 8.0);
/// Linear light below this is treated as this.
const DARKEST: f32 = 0.001;
/// Frames over which light is smoothed (standard deviation).
const TIME_SIGMA: f32 = 2.0;

/// Light over the atlas: [`LIGHT_GRID`]² linear RGB values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LightGrid {
    cells: Vec<[f32; 3]>,
}

impl LightGrid {
    pub(crate) fn mixed(&self, other: &LightGrid, w: f32) -> LightGrid {
        let cells = self.cells.iter().zip(&other.cells);
        LightGrid { cells: cells.map(|(a, b)| std::array::from_fn(|k| a[k] + (b[k] - a[k]) * w)).collect() }
    }

    fn mean(&self) -> [f32; 3] {
        let n = self.cells.len().max(1) as f32;
        std::array::from_fn(|k| self.cells.iter().map(|c| c[k]).sum::<f32>() / n)
    }

    /// Mean luminance, linear.
    pub(crate) fn brightness(&self) -> f32 {
        luminance(self.mean()).max(DARKEST)
    }

    /// The grid in display values, with the gain over `base` limited.
    pub(crate) fn display(&self, base: Option<&LightGrid>) -> DisplayGrid {
        let cell = |(i, c): (usize, &[f32; 3])| {
            std::array::from_fn(|k| {
                let v = base.map_or(c[k], |b| c[k].clamp(GAIN.0 * b.cells[i][k], GAIN.1 * b.cells[i][k]));
                v.max(DARKEST).powf(1.0 / GAMMA)
            })
        };
        DisplayGrid { cells: self.cells.iter().enumerate().map(cell).collect() }
    }
}

/// Light over the atlas in display values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DisplayGrid {
    cells: Vec<[f32; 3]>,
}

impl DisplayGrid {
    /// Light at an atlas place, interpolated linearly.
    #[inline]
    pub(crate) fn sample(&self, uv: [f32; 2]) -> [f32; 3] {
        let edge = (LIGHT_GRID - 1) as f32;
        let cell = |c: f32| (c * LIGHT_GRID as f32 - 0.5).clamp(0.0, edge);
        let (u, v) = (cell(uv[0]), cell(uv[1]));
        let (x, y) = (u as usize, v as usize);
        let (fx, fy) = (u - x as f32, v - y as f32);
        let (x1, y1) = ((x + 1).min(LIGHT_GRID - 1), (y + 1).min(LIGHT_GRID - 1));
        let (above, below) =
            (&self.cells[y * LIGHT_GRID..][..LIGHT_GRID], &self.cells[y1 * LIGHT_GRID..][..LIGHT_GRID]);
        let (a, b, c, d) = (&above[x], &above[x1], &below[x], &below[x1]);
        let mut out = [0.0; 3];
        for (k, o) in out.iter_mut().enumerate() {
            let top = a[k] + (b[k] - a[k]) * fx;
            *o = top + (c[k] + (d[k] - c[k]) * fx - top) * fy;
        }
        out
    }
}

/// The light on a face: all that reaches the renderer of the subject's picture.
///
/// It holds 32 × 32 colours, smoothed over a sixteenth of the atlas (about a twelfth of the face's width) from cheeks,
/// nose and forehead alone (eyes, brows, lips and nostrils have no weight), and four scalars. That is fewer than 150
/// independent numbers of shading: no pore, wrinkle, brow, lid or lip of the subject can pass through it. Its fields
/// are private, so that nothing finer can be put in.
#[derive(Debug, Clone, PartialEq)]
pub struct LightProbe {
    low: LightGrid,
    contrast: f32,
    grain: f32,
    sharpness: f32,
    black: f32,
}

impl LightProbe {
    /// Spread of mid-frequency contrast on skin (logarithm of linear luminance).
    #[must_use]
    pub fn contrast(&self) -> f32 {
        self.contrast
    }

    /// High-frequency level on skin: median absolute difference from a 5 × 5 mean, in display values.
    #[must_use]
    pub fn grain(&self) -> f32 {
        self.grain
    }

    /// High-frequency level at the strongest edges: low for a blurred picture.
    #[must_use]
    pub fn sharpness(&self) -> f32 {
        self.sharpness
    }

    /// Darkest part of the face relative to the light around it, display values: high in haze and small blurred faces.
    #[must_use]
    pub fn black(&self) -> f32 {
        self.black
    }

    pub(crate) fn low(&self) -> &LightGrid {
        &self.low
    }

    /// Even light of one display colour, for previews and tests.
    #[must_use]
    pub fn even(rgb: [f32; 3]) -> Self {
        let linear = rgb.map(|v| to_linear(v).max(DARKEST));
        let low = LightGrid { cells: vec![linear; LIGHT_GRID * LIGHT_GRID] };
        LightProbe { low, contrast: 0.0, grain: 0.0, sharpness: 0.0, black: 0.0 }
    }

    /// The light under which an exemplar was taken: shows the double as it is.
    pub(crate) fn own(low: &LightGrid) -> Self {
        LightProbe { low: low.clone(), contrast: 0.0, grain: 0.0, sharpness: 0.0, black: 0.0 }
    }

    fn is_finite(&self) -> bool {
        self.low
            .cells
            .iter()
            .flatten()
            .chain([&self.contrast, &self.grain, &self.sharpness, &self.black])
            .all(|v| v.is_finite())
    }
}

fn to_linear(v: f32) -> f32 {
    v.clamp(0.0, 1.0).powf(GAMMA)
}

fn luminance(c: [f32; 3]) -> f32 {
    0.25 * c[0] + 0.5 * c[1] + 0.25 * c[2]
}

/// Measures the light on a face. `subject` are the 470 mesh vertices in frame pixels.
///
/// # Errors
/// `Input` if the mesh is not 470 finite points or no part of the face lies in the frame.
pub fn probe_light(mesh: &Mesh, frame: &Frame, subject: &[[f32; 3]]) -> Result<LightProbe> {
    let nothing = || Error::Input("no light can be measured on a face outside the picture; cover it".to_owned());
    if subject.len() != VERTICES || subject.iter().flatten().any(|v| !v.is_finite()) {
        return Err(nothing());
    }
    let area =
        bounds(subject).grown(0.02, 0.02, 0.02, 0.02).to_pixels(frame.width, frame.height).ok_or_else(nothing)?;
    let patch = frame.read_rgb(area);
    let facing = facing(mesh, subject);
    let n = LIGHT_SAMPLES * LIGHT_SAMPLES;
    let (mut colours, mut weights) = (vec![[0.0f32; 3]; n], vec![0.0f32; n]);
    for (i, a) in mesh.maps.anchors.iter().enumerate() {
        let Some([x, y]) = anchor_place(mesh, subject, *a, area) else { continue };
        let f = facing[a.triangle as usize];
        colours[i] = bilinear(&patch, x, y).map(to_linear);
        weights[i] = mesh.maps.skin[i] * f;
    }
    if weights.iter().sum::<f32>() < 1.0 {
        return Err(nothing());
    }
    let low = low_frequency(&colours, &mut weights);
    let contrast = mid_contrast(&colours, &weights, &low);
    let seen = |i: &usize| {
        let a = mesh.maps.anchors[*i];
        a.triangle != NONE && facing[a.triangle as usize] > SEEN && colours[*i] != [0.0; 3]
    };
    let ratio = |i: usize| luminance(colours[i]) / luminance(low.cells[cell_of(i)]);
    let mut ratios: Vec<f32> = (0..n).filter(seen).map(ratio).collect();
    let black = quantile(&mut ratios, BLACK_SHARE).powf(1.0 / GAMMA);
    let (grain, sharpness) = Spots::new(mesh, subject, area).levels(&luma_of(&patch), patch.width, patch.height);
    let probe = LightProbe { low, contrast, grain, sharpness, black };
    if probe.is_finite() { Ok(probe) } else { Err(nothing()) }
}

/// Share of the face that is darker than its black point.
pub(crate) const BLACK_SHARE: f32 = 0.02;
/// Triangles that face the camera less than this are not measured.
const SEEN: f32 = 0.4;
/// Share of the face whose edges are weaker than the edge level.
const EDGE_SHARE: f32 = 0.95;
/// Pixels at which fine structure is measured, about.
const MAX_SPOTS: usize = 3000;

/// Place of a light sample in a patch of the frame, if it lies there.
fn anchor_place(mesh: &Mesh, points: &[[f32; 3]], a: super::maps::Anchor, area: PixelRect) -> Option<[f32; 2]> {
    if a.triangle == NONE {
        return None;
    }
    let corners = mesh.triangles[a.triangle as usize].map(|v| [points[v][0], points[v][1]]);
    let [x, y] = mix(corners, a.weights);
    let (x, y) = (x - area.x as f32, y - area.y as f32);
    let inside = x >= 0.0 && y >= 0.0 && x < area.width as f32 && y < area.height as f32;
    inside.then_some([x, y])
}

/// Pixels of a patch at which fine structure is measured.
pub(crate) struct Spots {
    skin: Vec<(usize, usize)>,
    all: Vec<(usize, usize)>,
}

impl Spots {
    /// Spots of a posed mesh that face the camera, relative to `area`.
    pub(crate) fn new(mesh: &Mesh, points: &[[f32; 3]], area: PixelRect) -> Self {
        let facing = facing(mesh, points);
        let step = (mesh.maps.anchors.len() / MAX_SPOTS).max(1);
        let (mut skin, mut all) = (Vec::new(), Vec::new());
        for (i, a) in mesh.maps.anchors.iter().enumerate().step_by(step) {
            if a.triangle == NONE || facing[a.triangle as usize] <= SEEN {
                continue;
            }
            if let Some([x, y]) = anchor_place(mesh, points, *a, area) {
                let spot = (x as usize, y as usize);
                all.push(spot);
                if mesh.maps.skin[i] > 0.5 {
                    skin.push(spot);
                }
            }
        }
        Spots { skin, all }
    }

    /// High-frequency level of the skin (1.4826 times the median) and of the strongest edges.
    pub(crate) fn levels(&self, luma: &[f32], width: usize, height: usize) -> (f32, f32) {
        let mut skin = high_pass(luma, width, height, &self.skin);
        let mut all = high_pass(luma, width, height, &self.all);
        (1.4826 * median(&mut skin), quantile(&mut all, EDGE_SHARE))
    }
}

/// Smallest rectangle that holds all points.
pub(crate) fn bounds(points: &[[f32; 3]]) -> Rect<InFrame> {
    let fold = |k: usize, start: f32, f: fn(f32, f32) -> f32| points.iter().fold(start, |m, p| f(m, p[k]));
    Rect::new(
        fold(0, f32::MAX, f32::min),
        fold(1, f32::MAX, f32::min),
        fold(0, f32::MIN, f32::max),
        fold(1, f32::MIN, f32::max),
    )
}

/// How much each triangle faces the camera, 0..=1.
pub(crate) fn facing(mesh: &Mesh, points: &[[f32; 3]]) -> Vec<f32> {
    let one = |t: &[usize; 3]| {
        let [a, b, c] = t.map(|v| points[v]);
        let (p, q): ([f32; 3], [f32; 3]) = (std::array::from_fn(|k| b[k] - a[k]), std::array::from_fn(|k| c[k] - a[k]));
        let n = [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]];
        let len = (n[0] * n[0] + n[1] * n[1] + n[2] * n[2]).sqrt();
        if len > 1e-6 { (n[2] / len).max(0.0) } else { 0.0 }
    };
    mesh.triangles.iter().map(one).collect()
}

fn bilinear(p: &RgbPatch, x: f32, y: f32) -> [f32; 3] {
    let (x, y) = ((x - 0.5).clamp(0.0, (p.width - 1) as f32), (y - 0.5).clamp(0.0, (p.height - 1) as f32));
    let (x0, y0) = (x as usize, y as usize);
    let (x1, y1) = ((x0 + 1).min(p.width - 1), (y0 + 1).min(p.height - 1));
    let (fx, fy) = (x - x0 as f32, y - y0 as f32);
    let [a, b, c, d] = [p.pixel(x0, y0), p.pixel(x1, y0), p.pixel(x0, y1), p.pixel(x1, y1)];
    std::array::from_fn(|k| {
        let top = a[k] + (b[k] - a[k]) * fx;
        top + (c[k] + (d[k] - c[k]) * fx - top) * fy
    })
}

pub(crate) fn luma_of(p: &RgbPatch) -> Vec<f32> {
    p.data.chunks_exact(3).map(|c| luminance([c[0], c[1], c[2]])).collect()
}

/// Weighted light over the atlas from samples on a [`LIGHT_SAMPLES`]² grid; outliers lose their weight on the way.
fn low_frequency(colours: &[[f32; 3]], weights: &mut [f32]) -> LightGrid {
    drop_other_colours(colours, weights);
    let first = smooth(colours, weights);
    for (i, (c, w)) in colours.iter().zip(weights.iter_mut()).enumerate() {
        if *w > 0.0 {
            let low = luminance(first.cells[cell_of(i)]).max(DARKEST);
            let off = (luminance(*c).max(DARKEST) / low).ln() / OUTLIER;
            *w /= 1.0 + off.powi(4);
        }
    }
    smooth(colours, weights)
}

/// Takes weight from samples of another colour than most skin.
fn drop_other_colours(colours: &[[f32; 3]], weights: &mut [f32]) {
    let ratios = |c: &[f32; 3]| [0, 2].map(|k| (c[k].max(DARKEST) / c[1].max(DARKEST)).ln());
    let coloured = |c: &[f32; 3]| luminance(*c) > COLOURLESS;
    let skin = || colours.iter().zip(weights.iter()).filter(|(c, w)| **w > 0.2 && coloured(c)).map(|(c, _)| ratios(c));
    let usual = [0, 1].map(|k| median(&mut skin().map(|r| r[k]).collect::<Vec<_>>()));
    for (c, w) in colours.iter().zip(weights).filter(|(c, w)| **w > 0.0 && coloured(c)) {
        let [red, blue] = ratios(c);
        let off = (red - usual[0]).hypot(blue - usual[1]) / OTHER_COLOUR;
        *w /= 1.0 + off.powi(4);
    }
}

fn cell_of(sample: usize) -> usize {
    let step = LIGHT_SAMPLES / LIGHT_GRID;
    sample / LIGHT_SAMPLES / step * LIGHT_GRID + sample % LIGHT_SAMPLES / step
}

fn smooth(colours: &[[f32; 3]], weights: &[f32]) -> LightGrid {
    let mut sums = vec![0.0f32; LIGHT_GRID * LIGHT_GRID * 4];
    let share = (LIGHT_GRID as f32 / LIGHT_SAMPLES as f32).powi(2);
    let mut all = [0.0f32; 4];
    for (i, (c, w)) in colours.iter().zip(weights).enumerate() {
        let cell = &mut sums[cell_of(i) * 4..][..4];
        for (k, v) in [c[0], c[1], c[2], 1.0].into_iter().enumerate() {
            cell[k] += v * w * share;
            all[k] += v * w;
        }
    }
    let mean: [f32; 3] = std::array::from_fn(|k| all[k] / all[3].max(1e-6));
    let fine = gaussian(&sums, LIGHT_GRID, LIGHT_GRID, 4, SIGMA);
    let wide = gaussian(&sums, LIGHT_GRID, LIGHT_GRID, 4, FILL_SIGMA);
    let cell = |(f, w): (&[f32], &[f32])| {
        std::array::from_fn(|k| {
            let around = (w[k] + 1e-4 * mean[k]) / (w[3] + 1e-4);
            ((f[k] + FILL_WEIGHT * around) / (f[3] + FILL_WEIGHT)).max(DARKEST)
        })
    };
    LightGrid { cells: fine.chunks_exact(4).zip(wide.chunks_exact(4)).map(cell).collect() }
}

fn mid_contrast(colours: &[[f32; 3]], weights: &[f32], low: &LightGrid) -> f32 {
    let log = |(i, c): (usize, &[f32; 3])| {
        if weights[i] <= 0.2 {
            return 0.0;
        }
        let l = luminance(low.cells[cell_of(i)]).max(DARKEST);
        (luminance(*c).max(DARKEST) / l).ln().clamp(-1.5, 1.5)
    };
    let logs: Vec<f32> = colours.iter().enumerate().map(log).collect();
    let mid = gaussian(&logs, LIGHT_SAMPLES, LIGHT_SAMPLES, 1, 1.0);
    let (mut sum, mut squares, mut total) = (0.0f32, 0.0f32, 0.0f32);
    for (m, w) in mid.iter().zip(weights) {
        sum += w * m;
        squares += w * m * m;
        total += w;
    }
    let mean = sum / total.max(1e-6);
    (squares / total.max(1e-6) - mean * mean).max(0.0).sqrt()
}

/// Absolute differences from a 5 × 5 binomial mean at some pixels; those too near the border are left out.
fn high_pass(luma: &[f32], width: usize, height: usize, spots: &[(usize, usize)]) -> Vec<f32> {
    const BINOMIAL: [f32; 5] = [1.0 / 16.0, 4.0 / 16.0, 6.0 / 16.0, 4.0 / 16.0, 1.0 / 16.0];
    let inside = |&&(x, y): &&(usize, usize)| x >= 2 && y >= 2 && x + 2 < width && y + 2 < height;
    let one = |&(x, y): &(usize, usize)| {
        let mut mean = 0.0;
        for (j, down) in BINOMIAL.iter().enumerate() {
            let row = &luma[(y + j - 2) * width + x - 2..][..5];
            mean += down * row.iter().zip(&BINOMIAL).fold(0.0, |sum, (l, b)| sum + l * b);
        }
        (luma[y * width + x] - mean).abs()
    };
    spots.iter().filter(inside).map(one).collect()
}

/// Splits an atlas into light, mid-frequency contrast of its skin, and detail = texture over light in display values.
pub(crate) fn split_atlas(mesh: &Mesh, atlas: &image::RgbImage) -> (LightGrid, f32, Texture) {
    let size = atlas.width() as usize;
    let linear: Vec<f32> = (0..256).map(|i| to_linear(i as f32 / 255.0)).collect();
    let raw = atlas.as_raw();
    let colours: Vec<[f32; 3]> = (0..LIGHT_SAMPLES * LIGHT_SAMPLES)
        .map(|i| {
            let range =
                |c: usize| c * size / LIGHT_SAMPLES..((c + 1) * size / LIGHT_SAMPLES).max(c * size / LIGHT_SAMPLES + 1);
            let (mut sum, mut n) = ([0.0f32; 3], 0.0f32);
            for y in range(i / LIGHT_SAMPLES) {
                for x in range(i % LIGHT_SAMPLES) {
                    let p = (y.min(size - 1) * size + x.min(size - 1)) * 3;
                    (0..3).for_each(|k| sum[k] += linear[usize::from(raw[p + k])]);
                    n += 1.0;
                }
            }
            sum.map(|s| s / n)
        })
        .collect();
    let mut weights: Vec<f32> =
        mesh.maps.anchors.iter().zip(&mesh.maps.skin).map(|(a, s)| if a.triangle == NONE { 0.0 } else { *s }).collect();
    let low = low_frequency(&colours, &mut weights);
    let contrast = mid_contrast(&colours, &weights, &low);
    let display = low.display(None);
    let detail = Texture::from_fn(size, |i| {
        let uv = [((i % size) as f32 + 0.5) / size as f32, ((i / size) as f32 + 0.5) / size as f32];
        let l = display.sample(uv);
        let ratio: [f32; 3] = std::array::from_fn(|k| f32::from(raw[i * 3 + k]) / 255.0 / l[k].max(0.02));
        [ratio[0], ratio[1], ratio[2], 0.0]
    });
    (low, contrast, detail.with_levels())
}

/// Change of the light on a face (logarithm) between two frames below which it is smoothed away, and from which it is one of
/// exposure, a lamp, a flash: the double follows at once.
const FLASH: (f32, f32) = (0.1, 0.3);

/// What brings the light of a neighbouring frame to that of this one where the exposure changed between them.
fn exposure(own: [f32; 3], other: [f32; 3]) -> [f32; 3] {
    let change = (luminance(own).max(DARKEST) / luminance(other).max(DARKEST)).ln().abs();
    let share = super::maps::ramp(change, FLASH);
    std::array::from_fn(|k| (own[k].max(DARKEST) / other[k].max(DARKEST)).powf(share))
}

/// Smooths light over time, with look-ahead.
#[derive(Debug, Clone)]
pub struct LightSmoother {
    taps: Vec<f32>,
}

impl Default for LightSmoother {
    fn default() -> Self {
        LightSmoother { taps: super::filter::taps(TIME_SIGMA) }
    }
}

impl LightSmoother {
    /// Frames on either side that matter.
    #[must_use]
    pub fn reach(&self) -> usize {
        self.taps.len() - 1
    }

    /// Gaussian mean of the probes of one track around entry `centre`; entries without a probe have no weight.
    /// `None` if there is none within reach.
    #[must_use]
    pub fn smooth(&self, window: &[Option<LightProbe>], centre: usize) -> Option<LightProbe> {
        let mut cells = vec![[0.0f32; 3]; LIGHT_GRID * LIGHT_GRID];
        let (mut scalars, mut total) = ([0.0f32; 4], 0.0f32);
        let own = window.get(centre).and_then(Option::as_ref).map(|p| p.low.mean());
        for (i, probe) in window.iter().enumerate() {
            let Some((p, w)) = probe.as_ref().zip(self.taps.get(i.abs_diff(centre)).copied()) else { continue };
            total += w;
            let gain = own.map_or([1.0; 3], |own| exposure(own, p.low.mean()));
            cells.iter_mut().zip(&p.low.cells).for_each(|(s, c)| (0..3).for_each(|k| s[k] += w * gain[k] * c[k]));
            for (s, v) in scalars.iter_mut().zip([p.contrast, p.grain, p.sharpness, p.black]) {
                *s += w * v;
            }
        }
        if total <= 0.0 {
            return None;
        }
        cells.iter_mut().flatten().for_each(|v| *v /= total);
        let [contrast, grain, sharpness, black] = scalars.map(|s| s / total);
        Some(LightProbe { low: LightGrid { cells }, contrast, grain, sharpness, black })
    }
}

#[cfg(test)]
mod tests {
    use super::super::geometry::placed;
    use super::*;
    use crate::image::{ColorDesc, ColorModel, PixelLayout};

    fn frame(colour: impl Fn(usize, usize) -> [f32; 3]) -> Frame {
        let layout = PixelLayout { model: ColorModel::Gbr, depth: 8, log2_chroma_w: 0, log2_chroma_h: 0 };
        let mut f = Frame::black(320, 240, layout, ColorDesc::default());
        let mut p = RgbPatch::new(320, 240);
        (0..320 * 240).for_each(|i| p.set_pixel(i % 320, i / 320, colour(i % 320, i / 320)));
        f.blend_rgb(0, 0, &p, &crate::image::Matte::filled(320, 240, 1.0));
        f
    }

    fn face(mesh: &Mesh) -> Vec<[f32; 3]> {
        let fit = placed(120.0, 0.0, 160.0, 100.0);
        mesh.positions.iter().map(|p| fit.apply(*p)).collect()
    }

    #[test]
    fn even_light_is_measured_evenly() {
        let mesh = Mesh::embedded().unwrap();
        let probe = probe_light(&mesh, &frame(|_, _| [0.8, 0.6, 0.4]), &face(&mesh)).unwrap();
        let grid = probe.low().display(None);
        for uv in [[0.2, 0.5], [0.5, 0.5], [0.8, 0.3]] {
            for (v, want) in grid.sample(uv).iter().zip([0.8, 0.6, 0.4]) {
                assert!((v - want).abs() < 0.01, "{v} {want}");
            }
        }
        assert!(probe.grain() < 0.01 && probe.contrast() < 0.02);
    }

    #[test]
    fn a_sleeve_in_front_of_the_face_does_not_colour_the_light() {
        let mesh = Mesh::embedded().unwrap();
        let (skin, sleeve) = ([0.72, 0.52, 0.42], [0.25, 0.32, 0.62]);
        let f = frame(|x, y| if x > 168 && y < 110 { sleeve } else { skin });
        let grid = probe_light(&mesh, &f, &face(&mesh)).unwrap().low().display(None);
        for uv in [[0.3, 0.3], [0.5, 0.6], [0.65, 0.35], [0.8, 0.4]] {
            let [r, g, b] = grid.sample(uv);
            assert!(r > g && g > b && (r - skin[0]).abs() < 0.08 && (b - skin[2]).abs() < 0.08, "{uv:?} {r} {g} {b}");
        }
    }

    #[test]
    fn fine_texture_hardly_reaches_the_probe() {
        let mesh = Mesh::embedded().unwrap();
        let plain = probe_light(&mesh, &frame(|_, _| [0.5; 3]), &face(&mesh)).unwrap();
        let rough = frame(|x, y| [0.5 + if (x + y) % 2 == 0 { 0.06 } else { -0.06 }; 3]);
        let probe = probe_light(&mesh, &rough, &face(&mesh)).unwrap();
        let (a, b) = (plain.low().display(None), probe.low().display(None));
        for i in 0..100 {
            let uv = [0.2 + 0.06 * (i % 10) as f32, 0.2 + 0.06 * (i / 10) as f32];
            assert!((a.sample(uv)[0] - b.sample(uv)[0]).abs() < 0.012);
        }
        assert!(probe.grain() > 0.03);
    }

    #[test]
    fn faces_outside_or_broken_are_refused() {
        let mesh = Mesh::embedded().unwrap();
        let f = frame(|_, _| [0.5; 3]);
        let away: Vec<_> = face(&mesh).iter().map(|p| [p[0] + 1000.0, p[1], p[2]]).collect();
        assert!(probe_light(&mesh, &f, &away).is_err());
        assert!(probe_light(&mesh, &f, &vec![[f32::NAN; 3]; VERTICES]).is_err());
        assert!(probe_light(&mesh, &f, &[]).is_err());
    }

    #[test]
    fn a_flash_is_followed_at_once_and_noise_is_not() {
        let s = LightSmoother::default();
        let level = |p: &LightProbe| p.low().display(None).sample([0.5, 0.5])[0];
        let strobe: Vec<_> = (0..9).map(|i| Some(LightProbe::even([if i % 2 == 0 { 0.6 } else { 0.2 }; 3]))).collect();
        for (i, want) in [(3, 0.2), (4, 0.6), (5, 0.2)] {
            let got = level(&s.smooth(&strobe, i).unwrap());
            assert!((got - want).abs() < 0.02, "{i}: {got}");
        }
        let noisy: Vec<_> =
            (0..9).map(|i| Some(LightProbe::even([0.5 + if i == 4 { 0.01 } else { 0.0 }; 3]))).collect();
        assert!((level(&s.smooth(&noisy, 4).unwrap()) - 0.502).abs() < 0.003);
    }

    #[test]
    fn smoothing_ignores_gaps() {
        let s = LightSmoother::default();
        let window = vec![Some(LightProbe::even([0.5; 3])), None, Some(LightProbe::even([0.5; 3]))];
        let p = s.smooth(&window, 1).unwrap();
        assert!((p.low().display(None).sample([0.5, 0.5])[0] - 0.5).abs() < 1e-3);
        assert!(s.smooth(&[None, None], 0).is_none());
    }
}
