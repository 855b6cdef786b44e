//! Exaggerates what sets a double apart from the person, as far as faces go.
//!
//! What light, hair and expression leave of a likeness shrinks, and the picture stays a face: caricature makes faces easier
//! to tell apart (Rhodes, Brennan and Carey, *Cognitive Psychology* 19, 1987), and recognisers follow. Tried on all twelve
//! shipped doubles, the mean cosine with three people was 0.38, 0.23 and 0.23 without, 0.33, 0.19 and 0.18 at a share of 0.4
//! everywhere, 0.31, 0.17 and 0.16 at [`USUAL`], 0.29, 0.14 and 0.14 at [`STRONG`] (before it was bounded by [`Span`]).
//!
//! Nobody believes a caricature: a double with large eyes and a small chin, drawn on a man with neither, had eyes half
//! as large again and hardly a chin. So features keep their own form and size and are only moved, and nothing is moved beyond
//! where some shipped double has it.

use super::super::mesh::Mesh;

/// Share of the difference between double and person that is added inside the face.
pub(crate) const USUAL: f32 = 0.7;
/// The same for people whom every double still resembles.
pub(crate) const STRONG: f32 = 1.0;
/// Share on the outline: whatever moves there bends the picture around the face.
const OUTLINE: f32 = 0.4;
/// Farthest that a vertex is moved along each axis on the outline and inside, in face widths: beyond, brows stand on the forehead.
const MOST: (f32, f32) = (0.03, 0.05);
/// Share of what the shipped doubles span that may be gone beyond it. Cosine of the mean and rank of one film of each of three people without
/// it .20/28, .15/68, .25/8, with it .15/44, .11/141, .21/25, without any bound (the last one) .19/36; what was too much without is not
/// seen with it.
const BEYOND: f32 = 0.3;
/// Half the width of the strip between the eyes, in the atlas, over which one side's motion becomes the other's.
const BETWEEN: f32 = 0.03;

/// Where the vertices of believable faces lie, canonical: least and greatest of each coordinate.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    least: Vec<[f32; 3]>,
    greatest: Vec<[f32; 3]>,
}

impl Span {
    /// What some resting faces span; `None` without any, or if their vertices differ in number.
    pub fn of<'s>(mut shapes: impl Iterator<Item = &'s [[f32; 3]]>) -> Option<Self> {
        let first = shapes.next()?.to_vec();
        let mut span = Span { least: first.clone(), greatest: first };
        for shape in shapes {
            if shape.len() != span.least.len() {
                return None;
            }
            for ((l, g), p) in span.least.iter_mut().zip(&mut span.greatest).zip(shape) {
                (0..3).for_each(|k| (l[k], g[k]) = (l[k].min(p[k]), g[k].max(p[k])));
            }
        }
        Some(span)
    }

    /// How far a motion of one coordinate may go, from where the double has it: hardly farther out than the span, and not at
    /// all farther out for a double that is there already.
    fn bound(&self, vertex: usize, k: usize, at: f32, by: f32) -> f32 {
        let (Some(l), Some(g)) = (self.least.get(vertex), self.greatest.get(vertex)) else { return by };
        let beyond = BEYOND * (g[k] - l[k]);
        by.clamp((l[k] - beyond - at).min(0.0), (g[k] + beyond - at).max(0.0))
    }
}

/// What is added to the double's resting shape, canonical: `share` of its difference from the person's inside the face, and less
/// towards the outline, within `span`. Lips, and each eye with its brow, keep their form, which speaks of a mood, and move as one.
pub(crate) fn push(
    mesh: &Mesh,
    span: Option<&Span>,
    double: &[[f32; 3]],
    person: &[[f32; 3]],
    share: f32,
) -> Vec<[f32; 3]> {
    let masks: Vec<[f32; 4]> = mesh.uv.iter().map(|uv| mesh.maps.regions.sample(uv[0], uv[1])).collect();
    let apart = |v: usize| -> [f32; 3] {
        let (d, p, mask) = (double[v], person[v], masks[v]);
        let share = OUTLINE + (share - OUTLINE) * mask[0];
        let most = MOST.0 + (MOST.1 - MOST.0) * mask[0];
        std::array::from_fn(|k| {
            let by = (share * (d[k] - p[k])).clamp(-most, most);
            span.map_or(by, |s| s.bound(v, k, d[k], by))
        })
    };
    let n = double.len().min(person.len()).min(masks.len());
    let mut push: Vec<[f32; 3]> = (0..n).map(apart).collect();
    let mean = |part: &mut dyn Iterator<Item = usize>| -> [f32; 3] {
        let all: Vec<[f32; 3]> = part.filter_map(|v| push.get(v)).copied().collect();
        std::array::from_fn(|k| all.iter().map(|p| p[k]).sum::<f32>() / all.len().max(1) as f32)
    };
    let mouth = mean(&mut mesh.lips_outer.iter().chain(&mesh.lips_inner).copied());
    let brows = [&mesh.right_brow, &mesh.left_brow];
    let sides: [[f32; 3]; 2] = std::array::from_fn(|i| mean(&mut mesh.eyes[i].ring.iter().chain(brows[i]).copied()));
    let middle = |i: usize| {
        let of = || mesh.eyes[i].corners.iter().filter_map(|v| mesh.uv.get(*v)).map(|uv| uv[0]);
        of().sum::<f32>() / of().count().max(1) as f32
    };
    let (right, left) = (middle(0), middle(1));
    for ((p, mask), uv) in push.iter_mut().zip(&masks).zip(&mesh.uv) {
        // 0 at the right eye, 1 at the left.
        let from_middle = (uv[0] - 0.5 * (right + left)) * (left - right).signum();
        let side = (0.5 + 0.5 * from_middle / BETWEEN).clamp(0.0, 1.0);
        for k in 0..3 {
            p[k] += mask[1] * (mouth[k] - p[k]);
            // The outline beside a brow stays where it is: what moves there bends the picture around the face.
            p[k] += mask[0] * mask[2] * (sides[0][k] + side * (sides[1][k] - sides[0][k]) - p[k]);
        }
    }
    push
}

/// A shape with a displacement added `times`.
pub(crate) fn displaced(shape: &[[f32; 3]], by: &[[f32; 3]], times: f32) -> Vec<[f32; 3]> {
    shape.iter().zip(by).map(|(p, d)| std::array::from_fn(|k| p[k] + times * d[k])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vertex inside the face that belongs to no feature.
    fn plain(mesh: &Mesh) -> usize {
        let mask = |v: usize| mesh.maps.regions.sample(mesh.uv[v][0], mesh.uv[v][1]);
        let free = (0..mesh.uv.len()).find(|v| mask(*v)[0] > 0.999 && mask(*v)[1] + mask(*v)[2] < 1e-3);
        free.expect("the nose or a cheek")
    }

    #[test]
    fn what_is_alike_stays_and_what_differs_moves_away_within_bounds() {
        let mesh = Mesh::embedded().unwrap();
        let person = mesh.positions.clone();
        let mut double = person.clone();
        let (bridge, chin) = (plain(&mesh), 152); // lowest point of the outline
        double[bridge][1] += 0.02;
        double[chin][1] += 0.02;
        double[10][1] -= 0.9; // top of the outline
        let by = push(&mesh, None, &double, &person, USUAL);
        assert!((by[bridge][1] - USUAL * 0.02).abs() < 1e-3, "{:?}", by[bridge]);
        assert!((by[chin][1] - OUTLINE * 0.02).abs() < 2e-3, "{:?}", by[chin]);
        assert!(by[10][1] < 0.0 && by[10][1] >= -MOST.0 - 2e-3, "limited: {:?}", by[10]);
        assert_eq!(by[33], [0.0; 3], "where both agree nothing moves");
        let stronger = push(&mesh, None, &double, &person, STRONG);
        assert!(stronger[bridge][1] > by[bridge][1]);
        let back = displaced(&displaced(&double, &by, 1.0), &by, -1.0);
        assert!(back.iter().flatten().zip(double.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn nothing_is_moved_beyond_where_faces_have_it() {
        let mesh = Mesh::embedded().unwrap();
        let person = mesh.positions.clone();
        let (tip, chin) = (plain(&mesh), 152);
        let with = |v: usize, by: f32| {
            let mut s = mesh.positions.clone();
            s[v][1] += by;
            s
        };
        let (longest, double) = (with(tip, 0.03), with(tip, 0.02));
        let room = BEYOND * 0.03;
        let span = Span::of([&person[..], &longest[..], &with(chin, 0.05)[..]].into_iter()).unwrap();
        let by = push(&mesh, Some(&span), &double, &person, STRONG);
        assert!((by[tip][1] - 0.01 - room).abs() < 1e-3, "hardly longer than the longest: {:?}", by[tip]);
        let longer = |by: f32| push(&mesh, Some(&span), &with(tip, by), &person, STRONG)[tip][1];
        assert!((longer(0.03) - room).abs() < 1e-3, "{}", longer(0.03));
        // One that is beyond all stays as it is; it may still come back.
        assert!(longer(0.06).abs() < 1e-3, "{}", longer(0.06));
        assert!(push(&mesh, Some(&span), &longest, &with(tip, 0.06), STRONG)[tip][1] < -0.02);
        assert!(Span::of([&person[..], &person[..9]].into_iter()).is_none() && Span::of(std::iter::empty()).is_none());
    }

    #[test]
    fn eyes_keep_their_size_and_distance_to_the_brow() {
        let mesh = Mesh::embedded().unwrap();
        let person = mesh.positions.clone();
        let mut double = person.clone();
        // Larger eyes, farther apart, under higher brows.
        for (eye, out) in mesh.eyes.iter().zip([-1.0f32, 1.0]) {
            let sign = out * (person[mesh.eyes[1].iris][0] - person[mesh.eyes[0].iris][0]).signum();
            eye.ring.iter().for_each(|v| double[*v][0] += 0.02 * sign);
            eye.lids
                .iter()
                .for_each(|[u, l]| (double[*u][1], double[*l][1]) = (double[*u][1] - 0.01, double[*l][1] + 0.01));
        }
        mesh.right_brow.iter().chain(&mesh.left_brow).for_each(|v| double[*v][1] -= 0.03);
        let drawn = displaced(&double, &push(&mesh, None, &double, &person, STRONG), 1.0);
        let close = |a: f32, b: f32| (a - b).abs() < 4e-3;
        assert!(close(mesh.lid_aperture(&drawn), mesh.lid_aperture(&double)));
        for eye in &mesh.eyes {
            let [u, _] = eye.lids[eye.lids.len() / 2];
            let brow = mesh.right_brow[2];
            let gap = |s: &[[f32; 3]]| s[u][1] - s[brow][1];
            assert!(close(gap(&drawn), gap(&double)), "{} {}", gap(&drawn), gap(&double));
        }
        let apart = |s: &[[f32; 3]]| (s[mesh.eyes[0].corners[0]][0] - s[mesh.eyes[1].corners[0]][0]).abs();
        assert!(apart(&drawn) > apart(&double) + 0.01, "they stand farther apart still");
    }

    #[test]
    fn lips_keep_their_form() {
        let mesh = Mesh::embedded().unwrap();
        let person = mesh.positions.clone();
        let mut double = person.clone();
        double[61][1] -= 0.03; // one corner of the mouth
        double[0][1] += 0.03; // middle of the upper lip
        let by = push(&mesh, None, &double, &person, STRONG);
        let lips: Vec<usize> = [&mesh.lips_outer[..], &mesh.lips_inner[..]].concat();
        for v in &lips {
            assert!((0..3).all(|k| (by[*v][k] - by[lips[0]][k]).abs() < 3e-3), "{v}: {:?}", by[*v]);
        }
    }
}
