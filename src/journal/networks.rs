//! Networks that remember: asked the same of the same frame, they give the answer that they gave.

use super::Journal;
use super::answers::{Answer, Key};
use crate::Result;
use crate::geom::{InFrame, Point, Rect};
use crate::image::{Frame, Samples};
use crate::vision::{
    Detection, Detector, Embedding, EmbeddingModel, FaceCrop, LandmarkModel, Landmarks, Look, Networks, VerifierModel,
};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// A network and the checkpoint that its answers go to.
struct Remembering<T: ?Sized> {
    network: Box<T>,
    journal: Arc<Journal>,
    /// Which of the networks.
    role: u8,
}

const LANDMARK_ROLE: u8 = 200;
const EMBEDDING_ROLE: u8 = 201;
const VERIFIER_ROLE: u8 = 202;

impl Journal {
    /// Lets networks remember. The sets of several workers may share one checkpoint.
    #[must_use]
    pub fn wrap(self: &Arc<Self>, networks: Networks) -> Networks {
        let detector = |network, role| Box::new(Remembering { network, journal: Arc::clone(self), role }) as Box<_>;
        Networks {
            detector: detector(networks.detector, 0),
            second: networks.second.map(|n| detector(n, 1)),
            others: networks.others.into_iter().zip(2..).map(|(n, role)| detector(n, role)).collect(),
            landmarks: networks.landmarks.map(|network| {
                Box::new(Remembering { network, journal: Arc::clone(self), role: LANDMARK_ROLE }) as Box<_>
            }),
            embedding: networks.embedding.map(|network| {
                Box::new(Remembering { network, journal: Arc::clone(self), role: EMBEDDING_ROLE }) as Box<_>
            }),
            verifier: networks.verifier.map(|network| {
                Box::new(Remembering { network, journal: Arc::clone(self), role: VERIFIER_ROLE }) as Box<_>
            }),
            closer: networks.closer,
        }
    }
}

impl<T: ?Sized> Remembering<T> {
    fn key(&self, frame: &Frame, numbers: &[f32]) -> Key {
        let content = content(frame, self.journal.mix);
        let mut hash = Sha256::new();
        hash.update([self.role, frame.layout.depth]);
        for n in content.into_iter().chain([frame.width as u64, frame.height as u64]) {
            hash.update(n.to_le_bytes());
        }
        hash.update(format!("{:?} {:?}", frame.layout, frame.color));
        numbers.iter().for_each(|n| hash.update(n.to_bits().to_le_bytes()));
        let all: [u8; 32] = hash.finalize().into();
        std::array::from_fn(|i| all[i])
    }
}

impl Detector for Remembering<dyn Detector> {
    fn detect(&mut self, frame: &Frame, look: &Look) -> Result<Vec<Detection>> {
        let r = look.region;
        let key = self.key(frame, &[r.x0, r.y0, r.x1, r.y1, look.side as f32, look.turn, look.threshold]);
        if let Some(Answer::Detections(found)) = self.journal.recall(&key) {
            return Ok(found);
        }
        let found = self.network.detect(frame, look)?;
        self.journal.keep(key, Answer::Detections(found.clone()));
        Ok(found)
    }
}

impl LandmarkModel for Remembering<dyn LandmarkModel> {
    fn landmarks(&mut self, frame: &Frame, crop: &FaceCrop) -> Result<Landmarks> {
        let key = self.key(frame, &[crop.centre.x, crop.centre.y, crop.side, crop.angle]);
        if let Some(Answer::Landmarks(found)) = self.journal.recall(&key) {
            return Ok(found);
        }
        let found = self.network.landmarks(frame, crop)?;
        self.journal.keep(key, Answer::Landmarks(found.clone()));
        Ok(found)
    }
}

impl EmbeddingModel for Remembering<dyn EmbeddingModel> {
    fn embed(&mut self, frame: &Frame, points: &[Point<InFrame>; 5]) -> Result<Embedding> {
        let numbers: Vec<f32> = points.iter().flat_map(|p| [p.x, p.y]).collect();
        let key = self.key(frame, &numbers);
        if let Some(Answer::Embedding(found)) = self.journal.recall(&key) {
            return Ok(found);
        }
        let found = self.network.embed(frame, points)?;
        self.journal.keep(key, Answer::Embedding(found.clone()));
        Ok(found)
    }
}

impl VerifierModel for Remembering<dyn VerifierModel> {
    fn verify(&mut self, frame: &Frame, place: &Rect<InFrame>) -> Result<f32> {
        let key = self.key(frame, &[place.x0, place.y0, place.x1, place.y1]);
        if let Some(Answer::Belief(found)) = self.journal.recall(&key) {
            return Ok(found);
        }
        let found = self.network.verify(frame, place)?;
        self.journal.keep(key, Answer::Belief(found));
        Ok(found)
    }
}

/// A 128-bit hash of all samples of a frame, under four secret numbers: two chains of folded 128-bit products (the
/// construction of wyhash, Wang Yi), some bytes per clock, so that it costs little beside a network.
fn content(frame: &Frame, mix: [u64; 4]) -> [u64; 2] {
    let mut state = [mix[0], mix[2]];
    for plane in &frame.planes {
        match &plane.samples {
            Samples::U8(v) => words(v, 32, |b| u64::from(*b), 8, &mut state, mix),
            Samples::U16(v) => words(v, 16, |b| u64::from(*b), 16, &mut state, mix),
        }
    }
    state
}

/// Four words at a time; the last ones are filled up with zeros (the size of the picture is hashed besides).
fn words<T>(v: &[T], at_once: usize, value: impl Fn(&T) -> u64, bits: usize, state: &mut [u64; 2], mix: [u64; 4]) {
    let word = |part: &[T]| part.iter().rev().fold(0u64, |w, s| w << bits | value(s));
    for chunk in v.chunks(at_once) {
        let mut w = [0u64; 4];
        w.iter_mut().zip(chunk.chunks(at_once / 4)).for_each(|(w, part)| *w = word(part));
        state[0] = fold(state[0] ^ w[0] ^ mix[0], w[1] ^ mix[1]);
        state[1] = fold(state[1] ^ w[2] ^ mix[2], w[3] ^ mix[3]);
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{ColorDesc, ColorModel, PixelLayout};

    #[test]
    fn every_sample_of_every_plane_counts() {
        for depth in [8, 10] {
            let layout = PixelLayout { model: ColorModel::Yuv, depth, log2_chroma_w: 1, log2_chroma_h: 1 };
            let frame = Frame::black(22, 6, layout, ColorDesc::default());
            let mix = [3, 5, 7, 11].map(|m: u64| m.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let hash = content(&frame, mix);
            assert_eq!(hash, content(&frame.clone(), mix));
            assert_ne!(hash, content(&frame, mix.map(|m| m ^ 2)));
            for plane in 0..3 {
                let samples = 22 * 6 / if plane == 0 { 1 } else { 4 };
                for i in 0..samples {
                    let mut other = frame.clone();
                    let v = other.planes[plane].samples.get(i);
                    other.planes[plane].samples.set(i, v + 1.0, 1023.0);
                    assert_ne!(hash, content(&other, mix), "plane {plane}, sample {i}");
                }
            }
        }
    }
}
