//! Regions of the cast that are no faces: is what they were to hide still there?
//!
//! Every effect leaves something on purpose: one colour, or the means of a few cells. What it leaves is worked out here
//! once more from the original; the rest is what it had to remove. Output less what may be left is then correlated with
//! that rest, over the whole region and tile by tile: the original gives 1, a proper cover nothing. Only detail well below
//! the size of a cell is compared: there is much of it, so that chance and coding noise cannot pass for likeness.

use super::kinds::{Kind, failure};
use crate::geom::{InFrame, Rect};
use crate::image::{Frame, RgbPatch};
use crate::plan::{Cast, Effect, Plan, parse_timecode};
use crate::report::{Failure, RegionReport};
use crate::{Error, Result};

/// Cells across the shorter side that blur and mosaic leave, and that recolouring leaves.
const CELLS: (f32, f32) = (4.0, 5.0);
/// Levels of a colour of a cell, and of the one colour of a solid cover.
const LEVELS: (f32, f32) = (31.0, 15.0);
/// Least side of a cell in pixels.
const LEAST_CELL: f32 = 4.0;
/// By how much of its half sides a region reaches beyond its box: the soft edge.
const EDGE: f32 = 0.14;
/// Detail that is compared: smaller than this share of a cell on each side, and at least so many pixels.
const DETAIL: (f32, usize) = (0.25, 2);
/// Correlation of a whole region, and of one tile, above which the original shows. Measured by the tests below and in
/// `verify::tests`: originals give 0.79 and more in all and 0.93 in a tile, covers at most 0.3 in all and 0.55 in a tile.
const LIMITS: (f32, f32) = (0.5, 0.7);
/// Least standard deviation (of 255) of what was to be removed, and of what the output has beyond what may be left.
const LEAST: (f32, f32) = (1.5, 0.5);
/// Least pixels that are compared.
const LEAST_PIXELS: usize = 100;
/// Least side of a tile in pixels; a region has at most three by three.
const TILE: usize = 32;
/// Distance (of 255) from grey of a colour that recolouring must change, and the least share by which it must move.
const COLOUR: (f32, f32) = (20.0, 0.25);

/// One region and what was seen of it.
pub(crate) struct Region {
    effect: Effect,
    place: Place,
    from: f64,
    to: f64,
    report: RegionReport,
    first_visible: Option<u64>,
    recoloured: (u64, Option<u64>),
}

enum Place {
    /// Fractions of the frame.
    Fixed([f32; 4]),
    /// In units of the box of a face: boxes by frame from the first, and whether the ends are held.
    Face { first: u64, boxes: Vec<Rect<InFrame>>, rect: [f32; 4], held: bool },
    /// The plan that knows the face is missing.
    Unknown,
}

/// The regions of a cast.
///
/// # Errors
/// `Plan` if the plan is damaged.
pub(crate) fn of(cast: Option<&Cast>, plan: Option<&Plan>) -> Result<Vec<Region>> {
    let mut out = Vec::new();
    for (index, r) in cast.into_iter().flat_map(|c| &c.regions).enumerate() {
        let time = |t: &Option<toml::Spanned<String>>| t.as_ref().and_then(|t| parse_timecode(t.get_ref()));
        let place = match (&r.follow, &r.rect) {
            (Some(f), _) => match plan.and_then(|p| p.track(*f.track.get_ref())) {
                Some(track) => {
                    let samples = track.samples(track.first.0, track.end.0)?;
                    let boxes = samples.iter().map(|s| s.1.rect).collect();
                    Place::Face { first: track.first.0, boxes, rect: f.rect, held: r.from.is_some() || r.to.is_some() }
                }
                None => Place::Unknown,
            },
            (None, Some(rect)) => Place::Fixed(*rect),
            (None, None) => return Err(Error::Plan("a region of the cast has no place".into())),
        };
        out.push(Region {
            effect: r.effect,
            place,
            from: time(&r.from).unwrap_or(0.0),
            to: time(&r.to).unwrap_or(f64::INFINITY),
            report: RegionReport {
                region: index as u64 + 1,
                effect: word(r.effect).into(),
                frames: 0,
                visible: 0,
                worst_likeness: 0.0,
                worst_frame: None,
            },
            first_visible: None,
            recoloured: (0, None),
        });
    }
    Ok(out)
}

fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Blur => "blur",
        Effect::Mosaic => "mosaic",
        Effect::Solid => "solid",
        Effect::Recolour => "recolour",
    }
}

/// The limits in words, for the report.
pub(crate) fn limits_text() -> String {
    format!("visible if the correlation reaches {} in all or {} in a tile", LIMITS.0, LIMITS.1)
}

impl Region {
    /// Compares a frame. `faces`: places that the treatment of faces drew over afterwards, attacked as faces.
    pub fn look(&mut self, source: &Frame, output: &Frame, (frame, secs): (u64, f64), faces: &[Rect<InFrame>]) {
        if !(self.from..self.to).contains(&secs) || (source.width, source.height) != (output.width, output.height) {
            return; // pictures of another size fail by themselves
        }
        let Some(rect) = self.place.at(frame, (source.width, source.height)) else { return };
        let Some(seen) = compare(source, output, &rect, self.effect, faces) else { return };
        self.report.frames += 1;
        if self.report.worst_frame.is_none() || seen.likeness() > self.report.worst_likeness {
            (self.report.worst_likeness, self.report.worst_frame) = (seen.likeness(), Some(frame));
        }
        if seen.is_visible() {
            self.report.visible += 1;
            self.first_visible.get_or_insert(frame);
        }
        if seen.same_colour {
            self.recoloured.0 += 1;
            self.recoloured.1.get_or_insert(frame);
        }
    }

    /// The verdict.
    pub fn judge(self, failures: &mut Vec<Failure>, warnings: &mut Vec<Failure>) -> RegionReport {
        let r = self.report;
        let name = format!("region {} ({})", r.region, r.effect);
        if matches!(self.place, Place::Unknown) {
            let text = format!("{name} follows a face, and no plan says where that is: it was not attacked");
            failures.push(failure(Kind::RegionUnchecked, 1, None, text));
        } else if r.visible > 0 {
            let text = format!("{name} still shows what it was to hide");
            failures.push(failure(Kind::RegionVisible, r.visible, self.first_visible, text));
        } else if r.frames == 0 {
            let text =
                format!("{name} never falls into the picture, or shows nothing there: look whether it is placed well");
            warnings.push(failure(Kind::RegionUnseen, 1, None, text));
        }
        if self.recoloured.0 > 0 {
            let text = format!("{name} still has its colour");
            failures.push(failure(Kind::RegionColour, self.recoloured.0, self.recoloured.1, text));
        }
        r
    }
}

impl Place {
    fn at(&self, frame: u64, (width, height): (usize, usize)) -> Option<Rect<InFrame>> {
        match self {
            Place::Fixed([x0, y0, x1, y1]) => {
                let (w, h) = (width as f32, height as f32);
                Some(Rect::new(x0 * w, y0 * h, x1 * w, y1 * h))
            }
            Place::Face { first, boxes, rect: [x0, y0, x1, y1], held } => {
                let here = frame.checked_sub(*first).and_then(|i| boxes.get(usize::try_from(i).ok()?));
                let nearest = if frame < *first { boxes.first() } else { boxes.last() };
                let face = here.or(nearest.filter(|_| *held))?;
                let (w, h) = (face.width(), face.height());
                Some(Rect::new(face.x0 + x0 * w, face.y0 + y0 * h, face.x0 + x1 * w, face.y0 + y1 * h))
            }
            Place::Unknown => None,
        }
    }
}

/// What is left of the original in one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Left {
    whole: f32,
    tile: f32,
    same_colour: bool,
}

impl Left {
    /// One number for sorting, 0..=1.
    fn likeness(self) -> f32 {
        self.whole.max(self.tile)
    }

    fn is_visible(self) -> bool {
        self.whole >= LIMITS.0 || self.tile >= LIMITS.1
    }
}

/// `None` if nothing of the region lies in the picture, or it is too small to be compared.
fn compare(
    source: &Frame,
    output: &Frame,
    rect: &Rect<InFrame>,
    effect: Effect,
    faces: &[Rect<InFrame>],
) -> Option<Left> {
    let (fx, fy) = (EDGE / 2.0, EDGE / 2.0);
    let all = rect.grown(fx, fy, fx, fy).to_pixels(source.width, source.height)?;
    let a = source.read_rgb(all);
    let b = output.read_rgb(all);
    let short = rect.width().min(rect.height());
    let allowed = allowed(&a, effect, short);
    let reach = ((cell(effect, short) * DETAIL.0) as usize).max(DETAIL.1);
    // Pixels of the box itself, away from its soft edge and from faces that were drawn later.
    let edge = reach as f32;
    let inner = Rect::<InFrame>::new(rect.x0 + edge, rect.y0 + edge, rect.x1 - edge, rect.y1 - edge);
    let faces: Vec<Rect<InFrame>> = faces.iter().map(|f| f.grown(0.15, 0.15, 0.15, 0.15)).collect();
    let inside = |i: usize| {
        let (x, y) = ((all.x + i % all.width) as f32 + 0.5, (all.y + i / all.width) as f32 + 0.5);
        let within = |r: &Rect<InFrame>| x >= r.x0 && x < r.x1 && y >= r.y0 && y < r.y1;
        within(&inner) && !faces.iter().any(within)
    };
    let mask: Vec<bool> = (0..all.width * all.height).map(inside).collect();
    if mask.iter().filter(|m| **m).count() < LEAST_PIXELS {
        return None;
    }
    let grey = |p: &RgbPatch, i: usize| (p.data[3 * i] + p.data[3 * i + 1] + p.data[3 * i + 2]) * 85.0;
    let fine = |p: &RgbPatch| {
        let rest: Vec<f32> = (0..mask.len()).map(|i| grey(p, i) - allowed[i]).collect();
        detail(&rest, all.width, reach)
    };
    let (removed, beyond) = (fine(&a), fine(&b));
    let whole = correlate(&removed, &beyond, &mask, all.width, [0, 0, all.width, all.height]);
    let side = |n: usize| n.div_ceil(3).max(TILE);
    let mut tile = 0.0f32;
    for y in (0..all.height).step_by(side(all.height)) {
        for x in (0..all.width).step_by(side(all.width)) {
            let area = [x, y, (x + side(all.width)).min(all.width), (y + side(all.height)).min(all.height)];
            tile = tile.max(correlate(&removed, &beyond, &mask, all.width, area));
        }
    }
    let same_colour = effect == Effect::Recolour && keeps_colour(&a, &b, &mask);
    Some(Left { whole, tile, same_colour })
}

/// Side of the cells that an effect leaves, for the shorter side of a region. A solid cover leaves one; there the size of
/// the others tells detail from shade.
fn cell(effect: Effect, short: f32) -> f32 {
    let across = if effect == Effect::Recolour { CELLS.1 } else { CELLS.0 };
    (short / across).max(LEAST_CELL)
}

/// What is smaller than a box of `reach` pixels on each side.
fn detail(values: &[f32], width: usize, reach: usize) -> Vec<f32> {
    let mean = |line: &dyn Fn(usize) -> f32, n: usize, into: &mut dyn FnMut(usize, f32)| {
        let mut sum: f64 = (0..reach.min(n)).map(|i| f64::from(line(i))).sum();
        let mut held = reach.min(n);
        for i in 0..n {
            if i + reach < n {
                (sum, held) = (sum + f64::from(line(i + reach)), held + 1);
            }
            if i > reach {
                (sum, held) = (sum - f64::from(line(i - reach - 1)), held - 1);
            }
            into(i, (sum / held.max(1) as f64) as f32);
        }
    };
    let height = values.len() / width.max(1);
    let mut across = vec![0.0; values.len()];
    for y in 0..height {
        mean(&|x| values[y * width + x], width, &mut |x, v| across[y * width + x] = v);
    }
    let mut out = values.to_vec();
    for x in 0..width {
        mean(&|y| across[y * width + x], height, &mut |y, v| out[y * width + x] -= v);
    }
    out
}

/// Grey (0..=255) that an effect may leave of a patch.
fn allowed(patch: &RgbPatch, effect: Effect, short: f32) -> Vec<f32> {
    let (w, h) = (patch.width, patch.height);
    let cell = cell(effect, short);
    let count = |n: usize| ((n as f32 / cell).round() as usize).max(1);
    // A solid cover is one cell.
    let (nx, ny) = if effect == Effect::Solid { (1, 1) } else { (count(w), count(h)) };
    let mut sums = vec![[0.0f32; 4]; nx * ny];
    for y in 0..h {
        for x in 0..w {
            let sum = &mut sums[(y * ny / h) * nx + x * nx / w];
            let px = patch.pixel(x, y);
            (0..3).for_each(|k| sum[k] += px[k]);
            sum[3] += 1.0;
        }
    }
    // Colours beyond what a picture can show are cut off where a mean is drawn, and means have few levels.
    let levels = if effect == Effect::Solid { LEVELS.1 } else { LEVELS.0 };
    let level = |v: f32| (v.clamp(0.0, 1.0) * levels).round() / levels;
    let grey = |s: &[f32; 4]| (0..3).map(|k| level(s[k] / s[3].max(1.0))).sum::<f32>() * 85.0;
    let means: Vec<f32> = sums.iter().map(grey).collect();
    let smooth = matches!(effect, Effect::Blur | Effect::Recolour);
    let value = |x: usize, y: usize| {
        if !smooth {
            return means[(y * ny / h) * nx + x * nx / w];
        }
        let at = |i: usize, n: usize, size: usize| {
            ((i as f32 + 0.5) * n as f32 / size as f32 - 0.5).clamp(0.0, (n - 1) as f32)
        };
        spline(&means, (nx, ny), (at(x, nx, w), at(y, ny, h)))
    };
    (0..w * h).map(|i| value(i % w, i / w)).collect()
}

/// Quadratic B-spline of a grid.
fn spline(grid: &[f32], (nx, ny): (usize, usize), (x, y): (f32, f32)) -> f32 {
    let (cx, cy) = (x.round(), y.round());
    let weight = |u: f32, k: i32| match k {
        -1 => 0.5 * (0.5 - u).powi(2),
        0 => 0.75 - u * u,
        _ => 0.5 * (0.5 + u).powi(2),
    };
    let mut out = 0.0;
    for j in -1..=1 {
        for i in -1..=1 {
            let col = (cx as i32 + i).clamp(0, nx as i32 - 1) as usize;
            let row = (cy as i32 + j).clamp(0, ny as i32 - 1) as usize;
            out += weight(x - cx, i) * weight(y - cy, j) * grid[row * nx + col];
        }
    }
    out
}

/// Normalised correlation over the masked pixels of an area; 0 if there is too little to compare.
fn correlate(a: &[f32], b: &[f32], mask: &[bool], width: usize, [x0, y0, x1, y1]: [usize; 4]) -> f32 {
    let places = || (y0..y1).flat_map(|y| (x0..x1).map(move |x| y * width + x)).filter(|i| mask[*i]);
    let n = places().count();
    if n < LEAST_PIXELS {
        return 0.0;
    }
    let n = n as f32;
    let (sa, sb) = places().fold((0.0, 0.0), |s, i| (s.0 + a[i], s.1 + b[i]));
    let (ma, mb) = (sa / n, sb / n);
    let (mut aa, mut ab, mut bb) = (0.0f32, 0.0f32, 0.0f32);
    for i in places() {
        let (p, q) = (a[i] - ma, b[i] - mb);
        (aa, ab, bb) = (aa + p * p, ab + p * q, bb + q * q);
    }
    if (aa / n).sqrt() < LEAST.0 || (bb / n).sqrt() < LEAST.1 {
        return 0.0;
    }
    // A negative of the picture is the picture.
    (ab.abs() / (aa * bb).sqrt()).min(1.0)
}

/// Whether a strong mean colour of the original is still that of the output.
fn keeps_colour(a: &RgbPatch, b: &RgbPatch, mask: &[bool]) -> bool {
    let colour = |p: &RgbPatch| {
        let (mut sum, mut n) = ([0.0f32; 3], 0.0f32);
        for (px, _) in p.data.chunks_exact(3).zip(mask).filter(|(_, m)| **m) {
            (0..3).for_each(|k| sum[k] += px[k] * 255.0);
            n += 1.0;
        }
        let grey = (sum[0] + sum[1] + sum[2]) / 3.0;
        sum.map(|v| (v - grey) / n.max(1.0))
    };
    let (a, b) = (colour(a), colour(b));
    let size = |v: [f32; 3]| v.iter().map(|c| c * c).sum::<f32>().sqrt();
    size(a) > COLOUR.0 && size([a[0] - b[0], a[1] - b[1], a[2] - b[2]]) < COLOUR.1 * size(a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{ColorDesc, ColorModel, PixelLayout, Samples};
    use crate::redact::{self, Cover, Shape};

    /// Soft shapes of many sizes, as a picture has, with a little noise.
    fn picture(seed: u32) -> Frame {
        let layout = PixelLayout { model: ColorModel::Yuv, depth: 8, log2_chroma_w: 1, log2_chroma_h: 1 };
        let mut f = Frame::black(320, 240, layout, ColorDesc::default());
        let mut state = seed;
        let mut draw = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        };
        let blobs: Vec<[f32; 4]> =
            (0..400).map(|_| [draw() * 320.0, draw() * 240.0, 2.0 + draw() * 14.0, draw() - 0.5]).collect();
        for y in 0..240 {
            for x in 0..320 {
                let at = |b: &[f32; 4]| {
                    let d = ((x as f32 - b[0]).powi(2) + (y as f32 - b[1]).powi(2)) / (b[2] * b[2]);
                    if d < 4.0 { b[3] * (1.0 - d / 4.0) } else { 0.0 }
                };
                let v = 120.0 + 110.0 * blobs.iter().map(at).sum::<f32>() + 2.0 * (draw() - 0.5);
                if let Samples::U8(p) = &mut f.planes[0].samples {
                    p[y * 320 + x] = v.clamp(16.0, 235.0) as u8;
                }
            }
        }
        // A strong colour.
        for (plane, value) in [(1, 100), (2, 165)] {
            if let Samples::U8(p) = &mut f.planes[plane].samples {
                p.fill(value);
            }
        }
        f
    }

    /// What an encoder does to detail: rounding and a little noise.
    fn coarse(mut f: Frame, seed: u32) -> Frame {
        let mut s = seed;
        if let Samples::U8(p) = &mut f.planes[0].samples {
            for v in p {
                s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *v = v.saturating_add((s >> 30) as u8) / 3 * 3;
            }
        }
        f
    }

    const EFFECTS: [Effect; 4] = [Effect::Blur, Effect::Mosaic, Effect::Solid, Effect::Recolour];

    fn apply(f: &mut Frame, rect: &Rect<InFrame>, effect: Effect) {
        let (shape, cell) = (Shape::rect(rect), rect.width().min(rect.height()));
        let done = match effect {
            Effect::Blur => redact::cover(f, &shape, Cover::Blur, cell),
            Effect::Mosaic => redact::cover(f, &shape, Cover::Mosaic, cell),
            Effect::Solid => redact::cover(f, &shape, Cover::Solid, cell),
            Effect::Recolour => redact::recolour(f, &shape, cell / 5.0),
        };
        assert!(done.is_some());
    }

    #[test]
    fn every_effect_is_told_from_what_it_hides() {
        for (seed, rect) in
            [(1, [60.0, 40.0, 260.0, 200.0]), (2, [10.3, 20.7, 75.2, 90.1]), (3, [-30.0, 150.0, 120.0, 300.0])]
        {
            let rect = Rect::new(rect[0], rect[1], rect[2], rect[3]);
            let source = picture(seed);
            for effect in EFFECTS {
                let open = compare(&source, &coarse(source.clone(), 9), &rect, effect, &[]).unwrap();
                assert!(open.is_visible() && open.whole > 0.75, "{effect:?} {rect:?}: {open:?}");
                assert_eq!(open.same_colour, effect == Effect::Recolour);
                let mut treated = source.clone();
                apply(&mut treated, &rect, effect);
                let hidden = compare(&source, &coarse(treated, 9), &rect, effect, &[]).unwrap();
                assert!(!hidden.is_visible() && !hidden.same_colour, "{effect:?} {rect:?}: {hidden:?}");
                assert!(hidden.whole < 0.3 && hidden.tile < 0.5, "{effect:?} {rect:?}: {hidden:?}");
            }
        }
    }

    #[test]
    fn detail_is_what_a_local_mean_leaves() {
        let (w, h) = (13, 9);
        let values: Vec<f32> = (0..w * h).map(|i| ((i * i * 7) % 31) as f32).collect();
        for reach in [2, 5, 20] {
            let fast = detail(&values, w, reach);
            for y in 0..h {
                for x in 0..w {
                    let (mut sum, mut n) = (0.0, 0.0);
                    for v in y.saturating_sub(reach)..(y + reach + 1).min(h) {
                        for u in x.saturating_sub(reach)..(x + reach + 1).min(w) {
                            (sum, n) = (sum + values[v * w + u], n + 1.0);
                        }
                    }
                    assert!((fast[y * w + x] - (values[y * w + x] - sum / n)).abs() < 1e-3, "{x} {y} {reach}");
                }
            }
        }
    }

    #[test]
    fn half_a_cover_and_a_finer_one_are_seen() {
        let source = picture(4);
        let rect = Rect::new(60.0, 40.0, 260.0, 200.0);
        for effect in EFFECTS {
            let mut half = source.clone();
            apply(&mut half, &Rect::new(60.0, 40.0, 190.0, 200.0), effect);
            assert!(compare(&source, &half, &rect, effect, &[]).unwrap().is_visible(), "{effect:?}");
        }
        let mut fine = source.clone();
        redact::cover(&mut fine, &Shape::rect(&rect), Cover::Mosaic, redact::CELLS_ACROSS * 9.0);
        assert!(compare(&source, &fine, &rect, Effect::Mosaic, &[]).unwrap().is_visible());
        // Where a face was drawn over the region, the region is not asked.
        let face = Rect::new(0.0, 0.0, 320.0, 240.0);
        assert!(compare(&source, &source, &rect, Effect::Solid, &[face]).is_none());
    }

    #[test]
    fn times_and_places_follow_the_cast() {
        let source = picture(5);
        let text =
            "[[region]]\neffect = \"solid\"\nbox = [0.2, 0.2, 0.8, 0.8]\nfrom = \"00:00:01\"\nto = \"00:00:02\"\n";
        let mut region = of(Some(&Cast::parse(text, "c").unwrap()), None).unwrap().remove(0);
        for (frame, secs) in [(24, 0.96), (25, 1.0), (49, 1.96), (50, 2.0)] {
            region.look(&source, &source, (frame, secs), &[]);
        }
        let (mut failures, mut warnings) = (vec![], vec![]);
        let report = region.judge(&mut failures, &mut warnings);
        assert_eq!((report.frames, report.visible, report.region), (2, 2, 1));
        assert_eq!(
            (failures[0].kind.as_str(), failures[0].count, failures[0].first_frame),
            ("region.visible", 2, Some(25))
        );
    }
}
