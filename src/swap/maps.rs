//! What each place of the UV atlas is: skin, mouth, eyes, distance from the outline.

use super::raster::{NONE, Raster, mix};
use super::texture::Texture;

/// Cells per side of the maps; one cell is about one pixel of a 200-pixel face.
pub(crate) const MAP: usize = 256;
/// Cells per side of the grid on which light is measured.
pub(crate) const LIGHT_SAMPLES: usize = 128;

/// Distances from the outline, in face widths on the face, between which the double fades in.
const FADE: (f32, f32) = (0.01, 0.13);
/// The same for the erased ground beneath: full before the double is half there.
const ERASE_FADE: (f32, f32) = (0.0, 0.06);
/// The double fades in over up to this many times the width towards the hairline, where skin turns into hair.
const FOREHEAD: f32 = 1.6;
/// Skin begins at this distance from the outline.
const SKIN_EDGE: (f32, f32) = (0.012, 0.03);

/// Named parts of the mesh that the maps are drawn from.
pub(crate) struct Parts<'a> {
    pub positions: &'a [[f32; 3]],
    pub uv: &'a [[f32; 2]],
    pub triangles: &'a [[usize; 3]],
    pub oval: &'a [usize],
    pub lips_outer: &'a [usize],
    pub lips_inner: &'a [usize],
    pub nostrils: &'a [usize],
    pub eyes: [&'a [usize]; 2],
    pub brows: [&'a [usize]; 2],
}

/// A cell of the light grid on the mesh.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Anchor {
    /// Triangle, or `u32::MAX` outside the face.
    pub triangle: u32,
    /// Weights of its second and third vertex.
    pub weights: [f32; 2],
}

/// Maps over the atlas.
#[derive(Debug, Clone)]
pub(crate) struct UvMaps {
    /// Channels: alpha of the double, mouth region, eye region, inside of mouth and eyes (highlight cap).
    pub regions: Texture,
    /// Channels: alpha of the erased ground, skin, unused, unused.
    pub ground: Texture,
    /// Skin at [`LIGHT_SAMPLES`]², 0..=1.
    pub skin: Vec<f32>,
    /// Places of the light samples on the mesh, [`LIGHT_SAMPLES`]².
    pub anchors: Vec<Anchor>,
    /// Per triangle: 1 + eye if it lies in the right or left eye opening, else 0.
    pub opening: Vec<u8>,
}

/// A scalar map of [`MAP`]² cells.
type Map = Vec<f32>;

impl UvMaps {
    pub(crate) fn new(p: &Parts) -> Self {
        let poly = |ids: &[usize]| -> Vec<[f32; 2]> { ids.iter().map(|&i| p.uv[i]).collect() };
        let hull = |ids: &[usize]| convex_hull(poly(ids));
        let oval = fill(&poly(p.oval));
        let depth = depth(p);
        let eye_area = |k: usize| -> Vec<usize> { [p.eyes[k], p.brows[k]].concat() };
        let mouth = blur(&dilate(&fill(&hull(p.lips_outer)), 16.0), 8.0);
        let mut eyes = blur(&dilate(&fill(&hull(&eye_area(0))), 9.0), 6.0);
        let left = blur(&dilate(&fill(&hull(&eye_area(1))), 9.0), 6.0);
        let mut inner = fill(&hull(p.lips_inner));
        let mut features = dilate(&fill(&hull(p.lips_outer)), 5.0);
        for k in 0..2 {
            let eye = fill(&hull(p.eyes[k]));
            let brow = dilate(&fill(&hull(p.brows[k])), 5.0);
            for i in 0..MAP * MAP {
                inner[i] = inner[i].max(eye[i]);
                features[i] = features[i].max(brow[i]);
            }
            for (f, e) in features.iter_mut().zip(dilate(&eye, 6.0)) {
                *f = f.max(e);
            }
        }
        for (f, n) in features.iter_mut().zip(dilate(&fill(&hull(p.nostrils)), 3.0)) {
            *f = f.max(n);
        }
        eyes.iter_mut().zip(&left).for_each(|(e, l)| *e = (*e + l).min(1.0));
        let inner = blur(&inner, 1.2);
        let skin: Map = (0..MAP * MAP).map(|i| ramp(depth[i], SKIN_EDGE) * oval[i] * (1.0 - features[i])).collect();
        let brow = p.brows.iter().flat_map(|b| b.iter()).map(|&i| p.uv[i][1]).fold(1.0f32, f32::min);
        let wide = |i: usize| 1.0 + (FOREHEAD - 1.0) * ramp(brow - (i / MAP) as f32 / MAP as f32, (0.0, 0.75 * brow));
        let cell = |i: usize| [ramp(depth[i] / wide(i), FADE), mouth[i], eyes[i], inner[i]];
        let ground = |i: usize| [ramp(depth[i], ERASE_FADE), skin[i], 0.0, 0.0];
        UvMaps {
            regions: Texture::from_fn(MAP, cell),
            ground: Texture::from_fn(MAP, ground),
            skin: halve(&skin),
            anchors: anchors(p),
            opening: openings(p),
        }
    }
}

fn halve(map: &[f32]) -> Vec<f32> {
    let n = LIGHT_SAMPLES;
    let k = MAP / n;
    (0..n * n)
        .map(|i| {
            let (x, y) = (i % n * k, i / n * k);
            let sum: f32 = (0..k * k).map(|j| map[(y + j / k) * MAP + x + j % k]).sum();
            sum / (k * k) as f32
        })
        .collect()
}

/// Distance of each cell from the outline of the canonical face, in face widths; 0 outside.
fn depth(p: &Parts) -> Map {
    let flat: Vec<[f32; 3]> = p.uv.iter().map(|q| [q[0] * MAP as f32, q[1] * MAP as f32, 0.0]).collect();
    let mut raster = Raster::new(MAP, MAP);
    raster.draw(&flat, p.triangles, [0.0, 0.0]);
    let outline: Vec<([f32; 3], [f32; 3])> =
        (0..p.oval.len()).map(|i| (p.positions[p.oval[i]], p.positions[p.oval[(i + 1) % p.oval.len()]])).collect();
    let cell = |(&t, &w): (&u32, &[f32; 2])| {
        if t == NONE {
            return 0.0;
        }
        let at = mix(p.triangles[t as usize].map(|v| p.positions[v]), w);
        outline.iter().map(|(a, b)| segment_distance(at, *a, *b)).fold(f32::MAX, f32::min)
    };
    raster.triangle.iter().zip(&raster.weights).map(cell).collect()
}

/// Distance of a point from a segment in space.
fn segment_distance(p: [f32; 3], a: [f32; 3], b: [f32; 3]) -> f32 {
    let dot = |u: [f32; 3], v: [f32; 3]| u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
    let minus = |u: [f32; 3], v: [f32; 3]| -> [f32; 3] { std::array::from_fn(|k| u[k] - v[k]) };
    let (ab, ap) = (minus(b, a), minus(p, a));
    let t = (dot(ap, ab) / dot(ab, ab).max(1e-12)).clamp(0.0, 1.0);
    let d = minus(ap, ab.map(|v| v * t));
    dot(d, d).sqrt()
}

fn anchors(p: &Parts) -> Vec<Anchor> {
    let n = LIGHT_SAMPLES;
    let flat: Vec<[f32; 3]> = p.uv.iter().map(|q| [q[0] * n as f32, q[1] * n as f32, 0.0]).collect();
    let mut raster = Raster::new(n, n);
    raster.draw(&flat, p.triangles, [0.0, 0.0]);
    (0..n * n).map(|i| Anchor { triangle: raster.triangle[i], weights: raster.weights[i] }).collect()
}

/// Which triangles lie in an eye opening.
fn openings(p: &Parts) -> Vec<u8> {
    let rings = p.eyes.map(|ids| convex_hull(ids.iter().map(|&i| p.uv[i]).collect()));
    p.triangles
        .iter()
        .map(|t| {
            let c = [0, 1].map(|k| (p.uv[t[0]][k] + p.uv[t[1]][k] + p.uv[t[2]][k]) / 3.0);
            let ours = |k: usize| t.iter().all(|v| p.eyes[k].contains(v) || *v == 468 + k);
            (0..2).find(|&k| ours(k) && inside(&rings[k], c)).map_or(0, |k| k as u8 + 1)
        })
        .collect()
}

/// Smooth step from 0 at `edges.0` to 1 at `edges.1`.
pub(crate) fn ramp(x: f32, edges: (f32, f32)) -> f32 {
    let t = ((x - edges.0) / (edges.1 - edges.0)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

fn inside(poly: &[[f32; 2]], p: [f32; 2]) -> bool {
    let mut odd = false;
    for (i, a) in poly.iter().enumerate() {
        let b = poly[(i + 1) % poly.len()];
        if (a[1] > p[1]) != (b[1] > p[1]) && p[0] < (b[0] - a[0]) * (p[1] - a[1]) / (b[1] - a[1]) + a[0] {
            odd = !odd;
        }
    }
    odd
}

/// A polygon of UV points as a map of 0 and 1.
fn fill(poly: &[[f32; 2]]) -> Map {
    let scaled = |i: usize| [((i % MAP) as f32 + 0.5) / MAP as f32, ((i / MAP) as f32 + 0.5) / MAP as f32];
    (0..MAP * MAP).map(|i| if inside(poly, scaled(i)) { 1.0 } else { 0.0 }).collect()
}

/// Convex hull by monotone chains (A. M. Andrew, Information Processing Letters 9(5), 1979).
fn convex_hull(mut p: Vec<[f32; 2]>) -> Vec<[f32; 2]> {
    p.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    let turn = |o: [f32; 2], a: [f32; 2], b: [f32; 2]| (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]);
    let mut hull: Vec<[f32; 2]> = Vec::new();
    for pass in 0..2 {
        let start = hull.len();
        let mut add = |q: [f32; 2]| {
            while hull.len() >= start + 2 && turn(hull[hull.len() - 2], hull[hull.len() - 1], q) <= 0.0 {
                hull.pop();
            }
            hull.push(q);
        };
        if pass == 0 {
            p.iter().for_each(|&q| add(q));
        } else {
            p.iter().rev().for_each(|&q| add(q));
        }
        hull.pop();
    }
    hull
}

/// Distance in cells from each set cell to the nearest unset one, `border` being that of the cells beyond the border;
/// chamfer approximation (G. Borgefors, CVGIP 34, 1986).
pub(crate) fn distance_inside(map: &[f32], width: usize, height: usize, border: f32) -> Vec<f32> {
    /// Weights that minimise the error of a 3 × 3 chamfer mask.
    const STRAIGHT: f32 = 0.955;
    const DIAGONAL: f32 = 1.369;
    if width == 0 || height == 0 {
        return Vec::new();
    }
    // One cell of border on every side.
    let stride = width + 2;
    let mut d = vec![border; stride * (height + 2)];
    for (row, out) in map.chunks_exact(width).zip(d.chunks_exact_mut(stride).skip(1)) {
        out[1..=width].iter_mut().zip(row).for_each(|(o, &v)| *o = if v > 0.5 { 1.0e9 } else { 0.0 });
    }
    // The row beside first, which has no order; then along the row, which has.
    let from = |here: &mut [f32], row: &[f32]| {
        for (o, near) in here[1..=width].iter_mut().zip(row.windows(3)) {
            *o = o.min(near[1] + STRAIGHT).min(near[0].min(near[2]) + DIAGONAL);
        }
    };
    let step = |last: f32, o: &mut f32| -> f32 {
        *o = o.min(last + STRAIGHT);
        *o
    };
    for y in 1..=height {
        let (above, here) = d[(y - 1) * stride..(y + 1) * stride].split_at_mut(stride);
        from(here, above);
        let first = here[0];
        here[1..=width].iter_mut().fold(first, step);
    }
    for y in (1..=height).rev() {
        let (here, below) = d[y * stride..(y + 2) * stride].split_at_mut(stride);
        from(here, below);
        let last = here[width + 1];
        here[1..=width].iter_mut().rev().fold(last, step);
    }
    d.chunks_exact(stride).skip(1).take(height).flat_map(|row| &row[1..=width]).copied().collect()
}

fn dilate(map: &[f32], radius: f32) -> Map {
    let outside: Map = map.iter().map(|v| 1.0 - v).collect();
    let d = distance_inside(&outside, MAP, MAP, f32::MAX);
    d.iter().map(|&d| if d <= radius { 1.0 } else { 0.0 }).collect()
}

/// Gaussian blur of a square map.
fn blur(map: &[f32], sigma: f32) -> Map {
    super::filter::gaussian(map, MAP, MAP, 1, sigma)
}
