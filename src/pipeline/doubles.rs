//! Which doubles there are for a film, and what casting must know of them.

use super::audition::{Audition, Jury};
use super::prepare::neutral_of;
use crate::Result;
use crate::infer::{ModelSet, Runtime};
use crate::plan::{Casting, DoubleChoice, Plan};
use crate::swap::{self, Double, DoubleLibrary, Mesh, Neutral};
use crate::vision::Embedder;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// The doubles of a casting by name; `a+b` is the person between two. Those who stand in for a track of `earnest` do not laugh,
/// and their differences are exaggerated more, as for those of `near`.
pub(super) fn load_doubles(
    library: &DoubleLibrary,
    mesh: &Mesh,
    casting: &Casting,
    (earnest, near): (&BTreeSet<u32>, &BTreeSet<u32>),
) -> Result<BTreeMap<String, Double>> {
    let names = casting.doubles();
    let one = |name: &String| {
        let stands_for = |tracks: &BTreeSet<u32>| tracks.iter().any(|t| casting.double_of(*t) == Some(name.as_str()));
        let is_earnest = stands_for(earnest);
        let load = |n: &str| if is_earnest { library.load_earnest(mesh, n) } else { library.load(mesh, n) };
        let double = match name.split_once('+') {
            Some((a, b)) => Double::blend(&load(a)?, &load(b)?, 0.5, name),
            None => load(name),
        }?;
        Ok(if is_earnest || stands_for(near) { double.exaggerated() } else { double })
    };
    let loaded: Vec<Double> = names.par_iter().map(one).collect::<Result<_>>()?;
    Ok(names.into_iter().zip(loaded).collect())
}

/// What casting must know of each double: its card, and how the recogniser sees its neutral face.
///
/// # Errors
/// `Model` if a double or a network fails.
pub fn double_choices(
    library: &DoubleLibrary,
    mesh: &Mesh,
    models: &ModelSet,
    runtime: &Runtime,
    plan: &Plan,
) -> Result<Vec<DoubleChoice>> {
    choices(library, mesh, models, runtime, plan, None)
}

pub(super) fn choices(
    library: &DoubleLibrary,
    mesh: &Mesh,
    models: &ModelSet,
    runtime: &Runtime,
    plan: &Plan,
    audition: Option<&Audition>,
) -> Result<Vec<DoubleChoice>> {
    let mut embedder = Embedder::new(models, runtime)?;
    let names: Vec<String> = library.cards().map(|c| c.name.clone()).collect();
    let loaded: Vec<Double> = names.par_iter().map(|n| library.load_resting(mesh, n)).collect::<Result<_>>()?;
    let portraits: Vec<crate::image::Frame> =
        loaded.par_iter().map(|d| swap::portrait(mesh, d, 256)).collect::<Result<_>>()?;
    let neutrals: Vec<(u32, Neutral)> = plan
        .people
        .par_iter()
        .map(|p| Ok(neutral_of(plan, mesh, &p.tracks)?.map(|n| (p.id, n))))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect();
    let tried = match audition {
        Some(a) => a.try_all(plan, mesh, &loaded, &mut Jury::open(models, runtime)?)?,
        None => vec![BTreeMap::new(); loaded.len()],
    };
    library
        .cards()
        .zip(loaded.iter().zip(portraits))
        .zip(tried)
        .map(|((card, (double, portrait)), likeness)| {
            let embedding = embedder.embed_frame(&portrait)?.map(|e| e.0.clone()).unwrap_or_default();
            let gap = |(id, n): &(u32, Neutral)| (*id, shape_gap(mesh, &n.shape, double.shape()));
            Ok(DoubleChoice {
                name: card.name.clone(),
                skin: card.skin,
                sex: card.sex.clone(),
                bearded: ["beard", "moustache"].iter().any(|w| card.description.contains(w)),
                embedding,
                refused_for: vec![],
                any_looks_for: vec![],
                shape_gap: neutrals.iter().map(gap).collect(),
                likeness,
            })
        })
        .collect()
}

/// Root mean square distance of outline, brows and lips of two canonical shapes, in the picture plane.
fn shape_gap(mesh: &Mesh, a: &[[f32; 3]], b: &[[f32; 3]]) -> f32 {
    let points = mesh.oval.iter().chain(&mesh.left_brow).chain(&mesh.right_brow).chain(&mesh.lips_outer);
    let (mut sum, mut n) = (0.0f32, 0.0f32);
    for (p, q) in points.filter_map(|&i| Some((a.get(i)?, b.get(i)?))) {
        sum += (p[0] - q[0]).powi(2) + (p[1] - q[1]).powi(2);
        n += 1.0;
    }
    (sum / n.max(1.0)).sqrt()
}
