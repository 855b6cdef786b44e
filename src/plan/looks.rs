//! Whether a face looks like a woman's or a man's, for a double that fits the picture.

use serde::Deserialize;
use std::sync::LazyLock;

/// A direction in the embedding space of MobileFaceNet and of the network trained on it: see `models/casting/README.md`.
#[derive(Deserialize)]
struct Direction {
    mean: Vec<f32>,
    direction: Vec<f32>,
}

static DIRECTION: LazyLock<Option<Direction>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../models/casting/looks.json")).ok());

/// How far an L2-normalised embedding leans towards faces that look like women (up to 1) or like men (down to −1);
/// `None` for embeddings of another length.
///
/// It is right for nine portraits in ten (98 % where it is above 0.5), it is a guess for a plausible picture only, and
/// it is kept nowhere.
pub(super) fn womanly(embedding: &[f32]) -> Option<f32> {
    let d = DIRECTION.as_ref()?;
    if embedding.len() != d.mean.len() || d.direction.len() != d.mean.len() {
        return None;
    }
    let lean: f32 = embedding.iter().zip(&d.mean).zip(&d.direction).map(|((e, m), w)| (e - m) * w).sum();
    lean.is_finite().then(|| lean.clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_direction_leans_both_ways_and_refuses_other_embeddings() {
        let d = DIRECTION.as_ref().unwrap();
        assert_eq!((d.mean.len(), d.direction.len()), (128, 128));
        let length = d.direction.iter().map(|v| v * v).sum::<f32>();
        let towards = |sign: f32| -> Vec<f32> {
            d.mean.iter().zip(&d.direction).map(|(m, w)| m + sign * 0.5 * w / length).collect()
        };
        assert!((womanly(&towards(1.0)).unwrap() - 0.5).abs() < 1e-3);
        assert!((womanly(&towards(-1.0)).unwrap() + 0.5).abs() < 1e-3);
        assert_eq!(womanly(&[0.0; 64]), None);
        assert_eq!(womanly(&[f32::NAN; 128]), None);
    }
}
