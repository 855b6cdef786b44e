//! Draws the double. Nothing here can see the subject's picture: no function of this module takes a frame.

use super::double::{Double, Exemplar};
use super::filter::{all_finite, quantile};
use super::geometry::{FaceMotion, Region};
use super::grain;
use super::light::{BLACK_SHARE, DisplayGrid, GAMMA, LightProbe, Spots, bounds};
use super::maps::{distance_inside, ramp};
use super::mesh::Mesh;
use super::raster::{NONE, Raster, corner_mix};
use super::texture::{Place, TOP};
use crate::geom::PixelRect;
use crate::image::{Matte, RgbPatch};
use crate::{Error, Result};

/// Width of the soft edge at silhouettes, in face widths.
pub(crate) const SILHOUETTE: f32 = 0.07;
/// Exponent and limits of contrast matching.
const CONTRAST_POWER: f32 = 0.8;
const CONTRAST: (f32, f32) = (0.75, 1.15);
/// Least share of the double's darkness that is kept when the subject's picture holds no black.
const LEAST_DARKNESS: f32 = 0.65;
/// Exponent of that share: features of one person are darker than those of another, so that the measure is half trusted.
const DARKNESS_POWER: f32 = 0.6;
/// Largest linear luminance over light inside mouth and eyes: else teeth and sclera glow on dark skin.
const HIGHLIGHT: f32 = 1.55;
/// Largest green or blue relative to red, both over the skin around; 1 on lips. Features of a dark face are colder than
/// its skin, which on fair skin would look violet.
const COLD: f32 = 1.1;
/// Tint of sclera on skin on which it would turn blue.
const IVORY: [f32; 3] = [1.06, 1.0, 0.88];
/// Own colour of teeth, relative to their luminance.
const TEETH: [f32; 3] = [1.03, 1.0, 0.93];
/// How far teeth take on the colour of the skin's light, as an exponent. Skin is warmer than what falls on it; the ratio
/// of pale teeth to a pale double's skin would turn olive on warm skin.
const TEETH_WARMTH: f32 = 0.5;
/// Least share of the double's own ratio to its skin that is left to teeth, tongue and eyeballs on fairer skin. They have the
/// same colour in all people: over dark skin they are light, over fair skin they are not.
const LEAST_INNER: f32 = 0.3;
/// Linear luminance of the fairest skin: what a face has more of is light, which falls on its teeth too.
const FAIREST: f32 = 0.38;
/// Linear luminance of teeth in good light, of the doubles' painted ones, and display values of teeth over the skin around, from
/// fair to dark.
const BRIGHT_TEETH: f32 = 0.5;
const PAINTED_TEETH: f32 = 0.44;
const TEETH_OVER_SKIN: (f32, f32) = (1.3, 1.8);
/// Bounds of the gain that makes teeth so.
const SHINE: (f32, f32) = (0.4, 1.5);
/// Green over red, relative to the skin around, from which something in the mouth is no lip, gum or tongue but a tooth.
const TOOTH: (f32, f32) = (1.0, 1.12);
/// Faces larger than this many pixels across are refused: nothing films so close, and memory is bounded.
const MAX_SIDE: usize = 16384;
/// Share of the atlas that the face's width takes.
const ATLAS_SHARE: f32 = 0.85;
/// Levels by which sampling is finer than one texel per pixel: a little aliasing looks sharper.
const LEVEL_BIAS: f32 = -0.35;

/// A drawn double: colours and coverage of a part of the frame.
#[derive(Debug, Clone)]
pub struct RenderedFace {
    /// Left column of the patch in the frame.
    pub x: usize,
    /// Top row of the patch in the frame.
    pub y: usize,
    /// Colours.
    pub rgb: RgbPatch,
    /// Coverage.
    pub matte: Matte,
    /// Light by which the ground beneath is painted.
    pub(crate) light: DisplayGrid,
    /// Noise that matches the subject's picture (standard deviation, display values) and its seed.
    pub(crate) noise: (f32, u64),
}

/// Lid apertures, relative to the resting one, between which the eyeball gives way to the closed exemplar's lashes.
const CLOSING: (f32, f32) = (0.15, 0.5);

/// Error of everything that must be covered instead.
pub(crate) fn cover(why: &str) -> Error {
    Error::Input(format!("the double cannot be drawn ({why}); cover the face"))
}

/// Draws `double` as `motion` and `light` say, for a frame of `frame_size` (width, height).
///
/// `seed` drives the grain and should differ from frame to frame. The result depends on nothing else.
///
/// # Errors
/// `Input` if the motion is not finite, belongs to another double, or lies outside the frame: cover the face then.
pub fn render(
    mesh: &Mesh,
    double: &Double,
    motion: &FaceMotion,
    light: &LightProbe,
    frame_size: (usize, usize),
    seed: u64,
) -> Result<RenderedFace> {
    if !motion.is_sound() {
        return Err(cover("its motion is not finite"));
    }
    if motion.mixes.iter().flatten().any(|m| m.0 >= double.exemplars().len()) {
        return Err(cover("its motion was planned for another double"));
    }
    let area = patch_area(&motion.target, frame_size)?;
    let mut raster = Raster::new(area.width, area.height);
    raster.draw(&motion.target, &mesh.triangles, [area.x as f32, area.y as f32]);
    let low = light.low().display(Some(&double.exemplars()[0].low));
    let mut rgb = RgbPatch::new(area.width, area.height);
    let mut matte = Matte::filled(area.width, area.height, 0.0);
    let shader = Shader::new(mesh, double, motion, light, &low);
    shader.shade(&raster, &mut rgb, &mut matte);
    soften_silhouette(&raster, motion.scale, &mut matte);
    let spots = Spots::new(mesh, &motion.target, area);
    let noise = grain::matched(&mut rgb, &spots, light, motion.scale);
    grain::add_noise(&mut rgb, (area.x, area.y), noise, seed);
    if !all_finite(&rgb.data) || !all_finite(&matte.data) {
        return Err(cover("a colour is not finite"));
    }
    Ok(RenderedFace { x: area.x, y: area.y, rgb, matte, light: low, noise: (noise, seed) })
}

/// Pixels around the posed mesh inside the frame, with a margin of two.
fn patch_area(target: &[[f32; 3]], (width, height): (usize, usize)) -> Result<PixelRect> {
    let b = bounds(target);
    let grown = crate::geom::Rect::<crate::geom::InFrame>::new(b.x0 - 2.0, b.y0 - 2.0, b.x1 + 2.0, b.y1 + 2.0);
    let area = grown.to_pixels(width, height).ok_or_else(|| cover("it lies outside the picture"))?;
    if area.width > MAX_SIDE || area.height > MAX_SIDE {
        return Err(cover("it is too large"));
    }
    Ok(area)
}

/// Fades the matte where the mesh ends against the background.
pub(crate) fn soften_silhouette(raster: &Raster, scale: f32, matte: &mut Matte) {
    let depth = distance_inside(&raster.cover(), raster.width, raster.height, f32::MAX);
    let edge = (0.0, (SILHOUETTE * scale).max(1.0));
    matte.data.iter_mut().zip(&depth).for_each(|(m, d)| *m *= ramp(*d, edge));
}

/// Everything that shading a pixel needs.
struct Shader<'a> {
    mesh: &'a Mesh,
    light: &'a DisplayGrid,
    mixes: [Vec<(&'a Exemplar, f32)>; 3],
    /// Regions whose mix is not that of the base.
    differs: [bool; 3],
    level: f32,
    /// Display ratio to its contrast-matched value, over 0..=4.
    curve: Vec<f32>,
    /// Texture place of each vertex inside the eye openings.
    eyeball: Vec<[f32; 2]>,
    resting: &'a Exemplar,
    /// The double's skin over the subject's, display values, at most 1.
    fairness: f32,
    /// Gain of teeth as a whole, so that the lines between them stay, and how light they may get.
    shine: f32,
    lightest: f32,
    /// 0 for open eyes, 1 when they are so far closed that the eyeball is no longer told from the lids.
    shut: f32,
}

const CURVE_STEPS: usize = 1024;

/// Contrast-matched ratio, with what is darker than its surroundings lifted.
fn tone(ratio: f32, power: f32, dark: f32) -> f32 {
    let r = ratio.powf(power);
    if r < 1.0 { 1.0 - (1.0 - r) * dark } else { r }
}

/// Black point of an exemplar seen at a texture level, measured as that of the subject.
fn darkest(mesh: &Mesh, e: &Exemplar, level: f32) -> f32 {
    let n = super::maps::LIGHT_SAMPLES;
    let place = |i: usize| [((i % n) as f32 + 0.5) / n as f32, ((i / n) as f32 + 0.5) / n as f32];
    let on_face = (0..n * n).step_by(3).filter(|&i| mesh.maps.anchors[i].triangle != NONE);
    let mut ratios: Vec<f32> = on_face
        .map(|i| {
            let [u, v] = place(i);
            let c = e.detail.sample_level(u, v, level);
            0.25 * c[0] + 0.5 * c[1] + 0.25 * c[2]
        })
        .collect();
    quantile(&mut ratios, BLACK_SHARE)
}

/// How dark the double's skin is beside that of the subject, display values; 1 where it is as fair, or the subject is in the
/// dark: light and skin cannot be told apart then.
fn fairness(e: &Exemplar, light: &LightProbe) -> f32 {
    (e.low.brightness() / light.low().brightness().min(FAIREST)).clamp(LEAST_INNER, 1.0).powf(1.0 / GAMMA)
}

impl<'a> Shader<'a> {
    fn new(mesh: &'a Mesh, double: &'a Double, motion: &FaceMotion, light: &LightProbe, low: &'a DisplayGrid) -> Self {
        let all = double.exemplars();
        let mixes = [Region::Base, Region::Mouth, Region::Eyes]
            .map(|r| motion.mixes[r as usize].iter().map(|&(i, w)| (&all[i], w)).collect());
        let differs = std::array::from_fn(|r| motion.mixes[r] != motion.mixes[0]);
        let size = all[0].detail.size() as f32;
        let level = (size * ATLAS_SHARE / motion.scale.max(1.0)).log2() + LEVEL_BIAS;
        let own = all[0].contrast;
        let power = if light.contrast() > 0.0 && own > 1e-4 {
            (light.contrast() / own).powf(CONTRAST_POWER).clamp(CONTRAST.0, CONTRAST.1)
        } else {
            1.0
        };
        let dark = ((1.0 - light.black()) / (1.0 - darkest(mesh, &all[0], level)).max(0.05)).max(0.0);
        let dark = dark.powf(DARKNESS_POWER).clamp(LEAST_DARKNESS, 1.0);
        let curve = (0..=CURVE_STEPS + 1).map(|i| tone(i as f32 * TOP / CURVE_STEPS as f32, power, dark)).collect();
        let fairness = fairness(&all[0], light);
        let skin = light.low().brightness().min(FAIREST);
        let teeth = (BRIGHT_TEETH / skin).powf(1.0 / GAMMA).clamp(TEETH_OVER_SKIN.0, TEETH_OVER_SKIN.1);
        let painted = (PAINTED_TEETH / all[0].low.brightness()).powf(1.0 / GAMMA);
        let mut eyeball = mesh.uv.clone();
        for &(v, uv) in &motion.eyeball_uv {
            eyeball[v] = uv;
        }
        Shader {
            mesh,
            light: low,
            mixes,
            differs,
            level,
            curve,
            eyeball,
            resting: &all[0],
            fairness,
            shine: (teeth / (fairness * painted)).clamp(SHINE.0, SHINE.1),
            lightest: 1.05 * teeth,
            shut: 1.0 - ramp(motion.lid_share, CLOSING),
        }
    }

    fn shade(&self, raster: &Raster, rgb: &mut RgbPatch, matte: &mut Matte) {
        let pixels = rgb.data.chunks_exact_mut(3).zip(&mut matte.data);
        for ((&t, &w), (px, alpha)) in raster.triangle.iter().zip(&raster.weights).zip(pixels) {
            if t == NONE {
                continue;
            }
            let corners = &self.mesh.triangles[t as usize];
            let uv = corner_mix(corners, &self.mesh.uv, w);
            let masks = self.mesh.maps.regions.sample(uv[0], uv[1]);
            let ratio = if self.mesh.maps.opening[t as usize] > 0 {
                let at = corner_mix(corners, &self.eyeball, w);
                let c = self.resting.detail.sample_level(at[0], at[1], self.level);
                let shut = self.shut;
                if shut > 0.0 {
                    let lid = self.texture(uv, &masks);
                    std::array::from_fn(|k| c[k] + (lid[k] - c[k]) * shut)
                } else {
                    [c[0], c[1], c[2]]
                }
            } else {
                self.texture(uv, &masks)
            };
            let low = self.light.sample(uv);
            px.copy_from_slice(&self.lit(ratio, low, masks[3], masks[1]));
            *alpha = masks[0];
        }
    }

    /// Mixed texture ratio of the exemplars at a place of the atlas.
    #[inline]
    fn texture(&self, uv: [f32; 2], masks: &[f32; 4]) -> [f32; 3] {
        let place = self.resting.detail.place(uv[0], uv[1], self.level);
        let mut out = self.mixed(Region::Base, &place);
        for (region, m) in [(Region::Mouth, masks[1]), (Region::Eyes, masks[2])] {
            if m > 0.004 && self.differs[region as usize] {
                let other = self.mixed(region, &place);
                (0..3).for_each(|k| out[k] += (other[k] - out[k]) * m.min(1.0));
            }
        }
        out
    }

    #[inline]
    fn mixed(&self, region: Region, place: &Place) -> [f32; 3] {
        let mut sum = [0.0f32; 3];
        for (e, w) in &self.mixes[region as usize] {
            let c = e.detail.read(place);
            (0..3).for_each(|k| sum[k] += w * c[k]);
        }
        sum
    }

    /// A display colour from a texture ratio: contrast-matched, kept from turning cold, capped inside mouth and eyes,
    /// lit.
    #[inline]
    fn lit(&self, ratio: [f32; 3], low: [f32; 3], inner: f32, mouth: f32) -> [f32; 3] {
        let step = CURVE_STEPS as f32 / TOP;
        let mut c = ratio;
        for c in &mut c {
            let x = (*c * step).clamp(0.0, CURVE_STEPS as f32);
            let i = x as usize;
            *c = self.curve[i] + (self.curve[i + 1] - self.curve[i]) * (x - i as f32);
        }
        let cold = c[0] * (COLD + (1.0 - COLD) * mouth.min(1.0));
        let outer = 1.0 - inner.min(1.0);
        for k in [1, 2] {
            c[k] -= outer * (c[k] - cold).max(0.0);
        }
        if self.fairness < 1.0 {
            // Lips are no lighter than fair skin, though they are lighter than dark skin.
            let (lips, inner) = (outer * mouth.min(1.0), inner.min(1.0));
            c = c.map(|v| v - (lips * (v - 1.0).max(0.0) + inner * v) * (1.0 - self.fairness));
        }
        let tooth = inner.min(1.0) * mouth.min(1.0) * ramp(c[1] / c[0].max(1e-3), TOOTH);
        if inner > 0.0 {
            c = c.map(|v| v * (1.0 - tooth * (1.0 - self.shine)));
            let cap = HIGHLIGHT.powf(1.0 / GAMMA);
            let cap = cap + tooth * (self.lightest - cap).max(0.0);
            let bright = 0.25 * c[0] + 0.5 * c[1] + 0.25 * c[2];
            let gain = 1.0 - inner.min(1.0) * (1.0 - (cap / bright.max(1e-3)).min(1.0));
            c = c.map(|v| v * gain);
        }
        let mut out: [f32; 3] = std::array::from_fn(|k| (c[k] * low[k]).clamp(0.0, 1.0));
        if inner > 0.0 {
            let l = 0.25 * out[0] + 0.5 * out[1] + 0.25 * out[2];
            if tooth > 0.0 {
                let grey = 0.25 * low[0] + 0.5 * low[1] + 0.25 * low[2];
                for ((v, own), light) in out.iter_mut().zip(TEETH).zip(low) {
                    let colour = (l * own * (light / grey.max(1e-3)).powf(TEETH_WARMTH)).min(1.0);
                    *v += tooth * (colour - *v);
                }
            }
            // a grey eyeball over warm skin is a cold ratio: on paler skin it would turn blue
            if out[1].max(out[2]) > out[0] {
                for (v, tint) in out.iter_mut().zip(IVORY) {
                    *v += inner.min(1.0) * (l * tint - *v);
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swap::DoubleLibrary;

    #[test]
    fn mouths_and_eyes_of_dark_doubles_are_no_lighter_on_fair_skin() {
        let mesh = Mesh::embedded().unwrap();
        let dark = DoubleLibrary::shipped().unwrap().load_resting(&mesh, "d02").unwrap();
        let resting = &dark.exemplars()[0];
        let own = LightProbe::own(&resting.low);
        assert_eq!(fairness(resting, &own), 1.0, "as they are under their own light");
        assert_eq!(fairness(resting, &LightProbe::even([0.05; 3])), 1.0, "in the dark nothing is known of the skin");
        let fair = LightProbe::even([0.9, 0.75, 0.65]);
        let k = fairness(resting, &fair);
        assert!((LEAST_INNER.powf(1.0 / GAMMA)..0.9).contains(&k), "{k}");
        // A lip somewhat lighter than the double's skin, an eyeball, and skin.
        let low = fair.low().display(None);
        let pixel = |light: &LightProbe, inner: f32, mouth: f32| {
            let motion = crate::swap::portrait::pose(&mesh, &dark, &resting.shape, 0.0, 256).unwrap();
            let shader = Shader::new(&mesh, &dark, &motion, light, &low);
            shader.lit([1.3, 1.2, 1.2], [0.5; 3], inner, mouth)
        };
        for (inner, mouth, darker) in [(0.0, 1.0, true), (1.0, 0.0, true), (0.0, 0.0, false)] {
            let (a, b) = (pixel(&own, inner, mouth), pixel(&fair, inner, mouth));
            assert_eq!(b[1] < a[1] - 0.01, darker, "inner {inner}, mouth {mouth}: {a:?} {b:?}");
        }
    }
}
