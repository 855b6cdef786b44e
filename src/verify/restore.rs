//! The inversion attack: what can be had back of a face that was blurred, pixelated or averaged.
//!
//! ```text
//! output ─► aligned crops ─┬─► some by themselves ─────┬─► sharpened in several ways ─► recogniser
//!                          └─► all of a track, averaged ┘
//! ```
//!
//! A blur is undone by dividing its transfer function out where it is above the noise (N. Wiener, *Extrapolation,
//! Interpolation, and Smoothing of Stationary Time Series*, 1949); squares are first drawn smoothly, as every resampling
//! does. Averaging the crops of a track removes noise and, because cells lie differently on the face from frame to frame,
//! brings back detail that no single frame has (super-resolution). Neither the treatment nor its strength has to be
//! known: each way is tried, and the best counts.

use super::identity::{LEAST_GALLERY, LEAST_STRANGERS, Ladder, mean};
use super::strangers::Strangers;
use crate::image::{ColorDesc, ColorModel, Frame, PixelLayout, Samples};
use crate::vision::{Embedding, Picture};
use std::f32::consts::PI;
use std::sync::LazyLock;

/// Side of the crops, in pixels: what the recogniser sees.
pub(crate) const SIDE: usize = 112;
/// Single frames of one track that are restored, besides the average of all.
pub(crate) const MOST_SINGLES: u64 = 6;
/// Narrowest face, in pixels, of which anything can be had back.
pub(crate) const NARROWEST: f32 = 24.0;
/// Places among strangers that count as found, and the cosine from which they do: smudges of few colours may be near to
/// somebody by chance, once in a thousand places and for each of the ways. Eight clips of people under a Gaussian of a
/// fifteenth of the face, restored: 0.29 to 0.46, first or second place; under this program's own blur and mosaic: 0.30 once
/// (fifth place), 0.28 once (second place), 0.27 and less otherwise.
const FOUND: (u64, f32) = (2, 0.3);
/// How much nearer than hair and surroundings alone a restored face must be.
const MARGIN: f32 = 0.05;
/// Restored frames from which their mean is asked too.
const LEAST_FOR_MEAN: usize = 3;

/// One way of bringing a face back; lengths in pixels of the crop, in which a face is some 64 wide.
struct Way {
    /// In words, for the report.
    name: &'static str,
    /// Gaussian that smooths the edges of cells first; 0 for none.
    smooth: f32,
    /// Gaussian that is undone; 0 for none.
    undone: f32,
    /// Noise, as a share of the power, that must not be blown up.
    noise: f32,
}

/// Widths were chosen on faces of 53 to 120 pixels under Gaussians of a fifteenth and a twentieth of the face and mosaics of
/// 8 to 20 cells: each of these ways was the best for some of them. The sharpest (noise 0.001) needs a well coded film.
const WAYS: [Way; 8] = [
    Way { name: "blur of 3 undone", smooth: 0.0, undone: 3.0, noise: 1e-2 },
    Way { name: "blur of 4.2 undone", smooth: 0.0, undone: 4.2, noise: 1e-2 },
    Way { name: "blur of 4.2 undone, sharply", smooth: 0.0, undone: 4.2, noise: 1e-3 },
    Way { name: "blur of 5 undone", smooth: 0.0, undone: 5.0, noise: 1e-2 },
    Way { name: "blur of 5 undone, sharply", smooth: 0.0, undone: 5.0, noise: 1e-3 },
    Way { name: "cells smoothed", smooth: 2.2, undone: 0.0, noise: 0.0 },
    Way { name: "small cells smoothed and sharpened", smooth: 1.5, undone: 1.8, noise: 1e-2 },
    Way { name: "cells smoothed and sharpened", smooth: 2.2, undone: 2.6, noise: 1e-2 },
];

/// The attack in words, for the report.
pub(crate) fn words() -> String {
    let names: Vec<&str> = WAYS.iter().map(|w| w.name).collect();
    format!(
        "up to {MOST_SINGLES} frames of a track and the average of all its attacked frames, from {NARROWEST} px, each restored in {} ways ({}, in pixels of \
         a crop of {SIDE}); fails if the mean or the average comes among the first {} of the strangers from {} on, or either is nearer than the limit of \
         single faces, or one frame is certain",
        WAYS.len(),
        names.join("; "),
        FOUND.0,
        FOUND.1
    )
}

impl Way {
    /// What is left of, or added to, a wave of index `k` across and `j` down.
    fn gain(&self, k: usize, j: usize) -> f32 {
        let wave = |i: usize| i as f32 / (2 * SIDE) as f32;
        let square = wave(k).powi(2) + wave(j).powi(2);
        let passed = |sigma: f32| (-2.0 * PI * PI * sigma * sigma * square).exp();
        let blur = passed(self.undone);
        // The mean brightness stays.
        passed(self.smooth) * blur * (1.0 + self.noise) / (blur * blur + self.noise).max(1e-12)
    }
}

/// Row-major orthonormal cosine transform (DCT-II): it sees a picture mirrored at its edges, so nothing rings in from there.
static COSINES: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let n = SIDE as f32;
    let row = |k: usize| {
        let scale = if k == 0 { (1.0 / n).sqrt() } else { (2.0 / n).sqrt() };
        (0..SIDE).map(move |x| scale * (PI * k as f32 * (x as f32 + 0.5) / n).cos())
    };
    (0..SIDE).flat_map(row).collect()
});

/// `a` times `b`, both `SIDE` × `SIDE`, row by row; `turned` takes the transpose of `a`.
fn product(a: &[f32], turned: bool, b: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0f32; SIDE * SIDE];
    for (i, out) in out.chunks_exact_mut(SIDE).enumerate() {
        for (k, row) in b.chunks_exact(SIDE).enumerate() {
            let w = if turned { a[k * SIDE + i] } else { a[i * SIDE + k] };
            out.iter_mut().zip(row).for_each(|(o, v)| *o += w * v);
        }
    }
    out
}

fn transposed(a: &[f32]) -> Vec<f32> {
    (0..SIDE * SIDE).map(|i| a[(i % SIDE) * SIDE + i / SIDE]).collect()
}

/// Cosine transform of a plane, transposed.
fn forward(plane: &[f32]) -> Vec<f32> {
    product(&COSINES, false, &transposed(&product(&COSINES, false, plane)))
}

/// Undoes [`forward`].
fn backward(waves: &[f32]) -> Vec<f32> {
    product(&COSINES, true, &transposed(&product(&COSINES, true, waves)))
}

/// A crop restored in every way, as pictures of `SIDE` × `SIDE` with the face on the recogniser's template.
fn restored(crop: &[Vec<f32>; 3]) -> impl Iterator<Item = Frame> + use<> {
    let waves = crop.each_ref().map(|p| forward(p));
    WAYS.iter().map(move |way| {
        let gains: Vec<f32> = (0..SIDE * SIDE).map(|i| way.gain(i / SIDE, i % SIDE)).collect();
        let planes = waves.each_ref().map(|w| {
            let changed: Vec<f32> = w.iter().zip(&gains).map(|(w, g)| w * g).collect();
            backward(&changed)
        });
        picture(&planes)
    })
}

/// A frame of planes R, G, B.
pub(crate) fn picture(planes: &[Vec<f32>; 3]) -> Frame {
    let layout = PixelLayout { model: ColorModel::Gbr, depth: 8, log2_chroma_w: 0, log2_chroma_h: 0 };
    let mut frame = Frame::black(SIDE, SIDE, layout, ColorDesc::default());
    // Planes of the frame are green, blue, red.
    for (plane, c) in frame.planes.iter_mut().zip([1, 2, 0]) {
        plane.samples = Samples::U8(planes[c].iter().map(|v| (v.clamp(0.0, 255.0) + 0.5) as u8).collect());
    }
    frame
}

/// One restored face, seen by the recogniser.
#[derive(Debug, Clone)]
pub(crate) struct Restored {
    way: usize,
    /// The frame, or none for the average of a track.
    frame: Option<u64>,
    width: f32,
    face: Embedding,
}

/// Crops of one track, added up while it lasts.
#[derive(Debug, Default)]
pub(crate) struct Pile {
    sum: [Vec<f32>; 3],
    crops: u64,
    singles: u64,
    width: f32,
}

impl Pile {
    /// Adds one crop; whether it is to be restored by itself, if the track has about `expected` crops.
    pub fn add(&mut self, crop: &Picture, width: f32, expected: u64) -> bool {
        if crop.planes.iter().any(|p| p.len() != SIDE * SIDE) {
            return false;
        }
        for (sum, plane) in self.sum.iter_mut().zip(&crop.planes) {
            sum.resize(SIDE * SIDE, 0.0);
            sum.iter_mut().zip(plane).for_each(|(s, v)| *s += v);
        }
        let due = self.crops.is_multiple_of(expected.div_ceil(MOST_SINGLES).max(1));
        let alone = due && self.singles < MOST_SINGLES;
        self.crops += 1;
        self.singles += u64::from(alone);
        self.width = self.width.max(width);
        alone
    }

    /// The average restored in every way; nothing without at least two crops. The pile is empty afterwards.
    ///
    /// # Errors
    /// Whatever `embed` refuses.
    pub fn attack<E>(&mut self, embed: &mut dyn FnMut(&Frame) -> Result<Embedding, E>) -> Result<Vec<Restored>, E> {
        let pile = std::mem::take(self);
        if pile.crops < 2 {
            return Ok(vec![]);
        }
        let crop = pile.sum.map(|s| s.iter().map(|v| v / pile.crops as f32).collect());
        attack(&crop, None, pile.width, embed)
    }
}

/// One crop restored in every way.
///
/// # Errors
/// Whatever `embed` refuses.
pub(crate) fn attack<E>(
    crop: &[Vec<f32>; 3],
    frame: Option<u64>,
    width: f32,
    embed: &mut dyn FnMut(&Frame) -> Result<Embedding, E>,
) -> Result<Vec<Restored>, E> {
    let pictures = restored(crop).enumerate();
    pictures.map(|(way, picture)| Ok(Restored { way, frame, width, face: embed(&picture)? })).collect()
}

/// What the attack on one person gave.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    /// Faces restored (frames and averages, not counted by way).
    pub faces: u64,
    /// Greatest cosine with the person's gallery, of the mean of single frames or of an average.
    pub cosine: f32,
    /// The way that gave it.
    pub way: &'static str,
    /// Its place among strangers.
    pub rank: Option<u64>,
    /// Nearer to the person than any limit allows.
    pub recognised: bool,
    /// A single frame that is certain, and its cosine.
    pub certain: Option<(u64, f32)>,
}

/// Compares what was restored of one person with their gallery of `good` faces. `erased` is the cosine of hair and
/// surroundings alone, if no face was seen in the output; `ladder` and `strangers` are the recogniser's.
pub(crate) fn judge(
    all: &[&Restored],
    gallery: &Embedding,
    good: u64,
    erased: Option<f32>,
    (strangers, ladder): (Option<&Strangers>, &Ladder),
) -> Option<Outcome> {
    if good < LEAST_GALLERY {
        return None;
    }
    let width = all.iter().map(|r| r.width).fold(0.0, f32::max);
    let limits = ladder.at(width);
    let says = |cosine: f32| erased.is_none_or(|e| cosine >= e + MARGIN);
    let mut best: Option<(f32, usize, Option<u64>)> = None;
    let mut recognised = false;
    for way in 0..WAYS.len() {
        let here = |single: bool| all.iter().filter(move |r| r.way == way && r.frame.is_some() == single);
        for single in [true, false] {
            let faces: Vec<&Embedding> = here(single).map(|r| &r.face).collect();
            if faces.is_empty() || single && faces.len() < LEAST_FOR_MEAN {
                continue;
            }
            let Some(face) = mean(faces.into_iter()) else { continue };
            let cosine = face.cosine(gallery);
            let known = strangers.filter(|s| s.len() as u64 >= LEAST_STRANGERS);
            let rank = known.map(|s| s.rank(&face, gallery));
            let found = ladder.place_counts && rank.is_some_and(|r| r <= FOUND.0) && cosine >= FOUND.1;
            recognised |= says(cosine) && (cosine >= limits.single || found);
            if best.is_none_or(|b| cosine > b.0) {
                best = Some((cosine, way, rank));
            }
        }
    }
    let singles = all.iter().filter_map(|r| Some((r.frame?, r.face.cosine(gallery))));
    let certain = singles.filter(|(_, c)| *c >= limits.certain && says(*c)).max_by(|a, b| a.1.total_cmp(&b.1));
    let single = all.iter().max_by(|a, b| a.face.cosine(gallery).total_cmp(&b.face.cosine(gallery)));
    let (cosine, way, rank) = best.or_else(|| single.map(|r| (r.face.cosine(gallery), r.way, None)))?;
    let faces = (all.len() / WAYS.len()) as u64;
    Some(Outcome { faces, cosine, way: WAYS[way].name, rank, recognised: recognised || certain.is_some(), certain })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave() -> Vec<f32> {
        let at = |i: usize| ((i % SIDE) as f32, (i / SIDE) as f32);
        (0..SIDE * SIDE)
            .map(at)
            .map(|(x, y)| 120.0 + 40.0 * (x * 0.24).sin() + 30.0 * (y * 0.19 + x * 0.1).cos())
            .collect()
    }

    fn blurred(plane: &[f32], sigma: f32) -> Vec<f32> {
        let waves = forward(plane);
        let way = Way { name: "", smooth: sigma, undone: 0.0, noise: 0.0 };
        let passed: Vec<f32> = waves.iter().enumerate().map(|(i, w)| w * way.gain(i / SIDE, i % SIDE)).collect();
        backward(&passed)
    }

    fn gap(a: &[f32], b: &[f32]) -> f32 {
        (a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f32>() / a.len() as f32).sqrt()
    }

    fn green(frame: &Frame) -> Vec<f32> {
        (0..SIDE * SIDE).map(|i| frame.planes[0].samples.get(i)).collect()
    }

    #[test]
    fn the_transform_is_undone_exactly() {
        let plane = wave();
        assert!(gap(&backward(&forward(&plane)), &plane) < 1e-2);
    }

    #[test]
    fn a_gaussian_is_undone_and_brightness_stays() {
        let plane = wave();
        let soft = blurred(&plane, 4.2);
        assert!(gap(&soft, &plane) > 12.0, "{}", gap(&soft, &plane));
        let crop = [soft.clone(), soft.clone(), soft.clone()];
        let gaps: Vec<f32> = restored(&crop).map(|f| gap(&green(&f), &plane)).collect();
        assert_eq!(gaps.len(), WAYS.len());
        assert!(gaps[2] < 3.0, "{gaps:?}");
        let flat = [vec![90.0; SIDE * SIDE], vec![90.0; SIDE * SIDE], vec![90.0; SIDE * SIDE]];
        assert!(restored(&flat).all(|f| green(&f).iter().all(|v| (v - 90.0).abs() <= 1.0)));
    }

    #[test]
    fn noise_is_averaged_away_by_a_pile() {
        let (plane, mut seed) = (blurred(&wave(), 4.2), 1u32);
        let mut pile = Pile::default();
        let mut alone = 0;
        for _ in 0..90 {
            let mut noisy = plane.clone();
            noisy.iter_mut().for_each(|v| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *v += ((seed >> 8) as f32 / (1 << 24) as f32 - 0.5) * 20.0;
            });
            let crop = Picture { width: SIDE, height: SIDE, planes: [noisy.clone(), noisy.clone(), noisy] };
            alone += u64::from(pile.add(&crop, 60.0, 60));
        }
        assert_eq!(alone, MOST_SINGLES);
        let mut gaps = vec![];
        let seen = pile.attack(&mut |f: &Frame| {
            gaps.push(gap(&green(f), &wave()));
            Embedding::new(vec![1.0, 0.0])
        });
        assert_eq!(seen.unwrap().len(), WAYS.len());
        assert!(gaps[1] < 8.0, "{gaps:?}");
        assert!(pile.attack(&mut |_| Embedding::new(vec![1.0])).unwrap().is_empty(), "empty afterwards");
    }

    #[test]
    fn whoever_comes_back_is_recognised_and_hair_is_not() {
        let e = |v: [f32; 3]| Embedding::new(v.to_vec()).unwrap();
        let gallery = e([1.0, 0.0, 0.0]);
        let all = |face: [f32; 3], frames: u64| -> Vec<Restored> {
            let ways = (0..WAYS.len()).flat_map(|way| {
                let frames = (0..frames).map(Some).chain([None]);
                frames.map(move |frame| (way, frame))
            });
            ways.map(|(way, frame)| Restored { way, frame, width: 60.0, face: e(face) }).collect()
        };
        let judged = |all: &[Restored], good, erased, strangers: Option<&Strangers>| {
            judge(&all.iter().collect::<Vec<_>>(), &gallery, good, erased, (strangers, &Ladder::STRONGEST))
        };
        let near = all([0.37, 0.93, 0.0], 4);
        let found = judged(&near, 10, None, None).unwrap();
        assert!(found.recognised && found.certain.is_none() && found.faces == 5, "{found:?}");
        assert!(judged(&near, 10, Some(0.2), None).unwrap().recognised);
        assert!(!judged(&near, 10, Some(0.34), None).unwrap().recognised, "hair alone");
        assert!(judged(&near, 2, None, None).is_none(), "nobody knows the person");
        let far = all([0.32, 0.95, 0.0], 4);
        assert!(!judged(&far, 10, None, None).unwrap().recognised);
        let strangers = Strangers::with(vec![e([0.0, 0.0, 1.0]); 600]);
        let first = judged(&far, 10, None, Some(&strangers)).unwrap();
        assert!(first.recognised && first.rank == Some(1));
        assert!(!judged(&all([0.27, 0.96, 0.0], 4), 10, None, Some(&strangers)).unwrap().recognised, "a smudge");
        let mut one = all([0.1, 0.9, 0.0], 4);
        one[2].face = e([0.8, 0.2, 0.0]);
        assert_eq!(judged(&one, 10, None, None).unwrap().certain.map(|c| c.0), Some(2));
        assert!(judged(&[], 10, None, None).is_none());
    }
}
