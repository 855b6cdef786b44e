//! Samples of consecutive frames, packed.
//!
//! Coordinates are rounded to ⅛ pixel, coded as differences to the frame before, as zig-zag variable-length
//! integers, then compressed with zstd: about half a kilobyte per face and frame instead of 5.7.

use super::{Origin, PlanSample};
use crate::geom::Rect;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::io::Read;

/// Points of a face mesh with irises.
const POINTS: usize = 478;
/// Steps per pixel.
const STEPS: f32 = 8.0;
/// Largest coordinate kept, in pixels; beyond it a point is damage.
const FAR: f32 = 100_000.0;
/// Most samples in one block.
const MOST: usize = 4096;

/// Alias of the sample type that blocks hold.
pub type SampleData = PlanSample;

/// Up to a few hundred samples of consecutive frames.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SampleBlock {
    /// Frame of the first sample.
    pub first: u64,
    /// Number of samples.
    pub len: u32,
    #[serde(with = "serde_bytes_vec")]
    packed: Vec<u8>,
}

/// Byte vectors as CBOR byte strings rather than arrays of numbers.
mod serde_bytes_vec {
    use serde::de::{Deserializer, Error, SeqAccess, Visitor};

    pub fn serialize<S: serde::Serializer>(v: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(v)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: Error>(self, v: &[u8]) -> Result<Vec<u8>, E> {
                Ok(v.to_vec())
            }
            fn visit_byte_buf<E: Error>(self, v: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(v)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u8>, A::Error> {
                let mut out = Vec::new();
                while let Some(b) = seq.next_element()? {
                    out.push(b);
                }
                Ok(out)
            }
        }
        d.deserialize_byte_buf(Bytes)
    }
}

fn put(out: &mut Vec<u8>, value: i32) {
    let mut v = ((value << 1) ^ (value >> 31)) as u32;
    while v >= 0x80 {
        out.push((v as u8) | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn damaged() -> Error {
        Error::Plan("the plan is damaged: run `understudy analyse` again".into())
    }

    fn byte(&mut self) -> Result<u8> {
        let b = *self.bytes.get(self.at).ok_or_else(Self::damaged)?;
        self.at += 1;
        Ok(b)
    }

    fn int(&mut self) -> Result<i32> {
        let mut v = 0u32;
        for shift in (0..35).step_by(7) {
            let b = self.byte()?;
            v |= u32::from(b & 0x7f).checked_shl(shift).unwrap_or(0);
            if b & 0x80 == 0 {
                return Ok((v >> 1) as i32 ^ -((v & 1) as i32));
            }
        }
        Err(Self::damaged())
    }
}

fn steps(v: f32) -> i32 {
    let v = if v.is_finite() { v.clamp(-FAR, FAR) } else { 0.0 };
    (v * STEPS).round() as i32
}

fn origin_code(origin: Origin) -> u8 {
    match origin {
        Origin::Detected => 0,
        Origin::Tracked => 1,
        Origin::Interpolated => 2,
        Origin::Predicted => 3,
        Origin::Manual => 4,
    }
}

impl SampleBlock {
    /// Packs samples of the frames `first`, `first + 1` … Meshes with non-finite points are dropped (the face will be
    /// covered).
    ///
    /// # Errors
    /// `Plan` if there are too many samples or the compressor fails.
    pub fn pack(first: u64, samples: &[PlanSample]) -> Result<Self> {
        if samples.len() > MOST {
            return Err(Error::Plan(format!("a block holds at most {MOST} samples")));
        }
        let mut raw = Vec::with_capacity(samples.len() * 1500);
        let mut last_rect = [0i32; 4];
        let mut last = vec![0i32; POINTS * 3];
        for s in samples {
            let sound =
                |p: &Vec<[f32; 3]>| p.len() == POINTS && p.iter().flatten().all(|v| v.is_finite() && v.abs() < FAR);
            let points = s.points.as_ref().filter(|p| sound(p));
            raw.push(origin_code(s.origin) | if points.is_some() { 0x80 } else { 0 });
            raw.push((s.score.clamp(0.0, 1.0) * 255.0).round() as u8);
            let rect = [s.rect.x0, s.rect.y0, s.rect.x1, s.rect.y1].map(steps);
            for (l, v) in last_rect.iter_mut().zip(rect) {
                put(&mut raw, v - *l);
                *l = v;
            }
            if let Some(points) = points {
                for (l, v) in last.iter_mut().zip(points.iter().flatten()) {
                    let v = steps(*v);
                    put(&mut raw, v - *l);
                    *l = v;
                }
            }
        }
        let packed =
            zstd::bulk::compress(&raw, 3).map_err(|e| Error::Plan(format!("cannot compress the plan: {e}")))?;
        Ok(SampleBlock { first, len: samples.len() as u32, packed })
    }

    /// The samples again, coordinates rounded to ⅛ pixel.
    ///
    /// # Errors
    /// `Plan` if the block is damaged.
    pub fn unpack(&self) -> Result<Vec<PlanSample>> {
        let count = self.len as usize;
        if count > MOST {
            return Err(Reader::damaged());
        }
        let limit = count * (2 + 4 * 5 + POINTS * 3 * 5);
        let mut raw = Vec::new();
        let decoder = zstd::stream::Decoder::new(self.packed.as_slice()).map_err(|_e| Reader::damaged())?;
        decoder.take(limit as u64 + 1).read_to_end(&mut raw).map_err(|_e| Reader::damaged())?;
        let mut r = Reader { bytes: &raw, at: 0 };
        let mut last_rect = [0i32; 4];
        let mut last = vec![0i32; POINTS * 3];
        let mut out = Vec::with_capacity(count);
        for _ in 0..count {
            let head = r.byte()?;
            let score = f32::from(r.byte()?) / 255.0;
            for l in &mut last_rect {
                *l = l.wrapping_add(r.int()?);
            }
            let [x0, y0, x1, y1] = last_rect.map(|v| v as f32 / STEPS);
            let mut points = None;
            if head & 0x80 != 0 {
                for l in &mut last {
                    *l = l.wrapping_add(r.int()?);
                }
                let at = |i: usize| last[i] as f32 / STEPS;
                points = Some((0..POINTS).map(|p| [at(p * 3), at(p * 3 + 1), at(p * 3 + 2)]).collect());
            }
            let origin = match head & 0x7f {
                0 => Origin::Detected,
                1 => Origin::Tracked,
                2 => Origin::Interpolated,
                3 => Origin::Predicted,
                4 => Origin::Manual,
                _ => return Err(Reader::damaged()),
            };
            out.push(PlanSample { rect: Rect::new(x0, y0, x1, y1), score, origin, points });
        }
        if r.at != raw.len() {
            return Err(Reader::damaged());
        }
        Ok(out)
    }

    /// Bytes it takes.
    #[must_use]
    pub fn packed_bytes(&self) -> usize {
        self.packed.len()
    }

    /// The same samples with only those of frames before `end` kept.
    ///
    /// # Errors
    /// `Plan` if the block is damaged.
    pub fn truncated(&self, end: u64) -> Result<Self> {
        let mut samples = self.unpack()?;
        samples.truncate(end.saturating_sub(self.first) as usize);
        Self::pack(self.first, &samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(i: usize) -> PlanSample {
        let at = |k: usize| (k as f32 * 0.37 + i as f32 * 0.2) % 900.0 - 20.0;
        PlanSample {
            rect: Rect::new(at(1), at(2), at(1) + 80.0, at(2) + 99.5),
            score: 0.8,
            origin: if i.is_multiple_of(3) { Origin::Detected } else { Origin::Interpolated },
            points: (i % 4 != 2).then(|| (0..POINTS).map(|p| [at(p), at(p + 7), at(p) * 0.1]).collect()),
        }
    }

    #[test]
    fn samples_survive_within_a_sixteenth_of_a_pixel() {
        let samples: Vec<_> = (0..40).map(sample).collect();
        let block = SampleBlock::pack(7, &samples).unwrap();
        let back = block.unpack().unwrap();
        assert_eq!(back.len(), 40);
        for (a, b) in samples.iter().zip(&back) {
            assert_eq!(a.origin, b.origin);
            assert!((a.rect.x0 - b.rect.x0).abs() <= 0.0626);
            match (&a.points, &b.points) {
                (Some(p), Some(q)) => {
                    for (u, v) in p.iter().flatten().zip(q.iter().flatten()) {
                        assert!((u - v).abs() <= 0.0626, "{u} {v}");
                    }
                }
                (None, None) => {}
                _ => panic!("a mesh appeared or vanished"),
            }
        }
    }

    proptest::proptest! {
        /// One sample comes back for each that went in, in place, whatever the boxes; cut anywhere, the rest is the same.
        #[test]
        fn every_sample_comes_back(
            boxes in proptest::collection::vec((-500.0f32..4000.0, -500.0f32..3000.0, 1.0f32..900.0, 0.0f32..1.0), 1..40),
            first in 0u64..100_000,
            cut in 0u64..50,
        ) {
            let one = |b: &(f32, f32, f32, f32)| {
                let rect = Rect::new(b.0, b.1, b.0 + b.2, b.1 + 1.2 * b.2);
                PlanSample { rect, score: b.3, origin: Origin::Detected, points: None }
            };
            let samples: Vec<PlanSample> = boxes.iter().map(one).collect();
            let block = SampleBlock::pack(first, &samples).unwrap();
            let back = block.unpack().unwrap();
            proptest::prop_assert_eq!(back.len(), samples.len());
            for (a, b) in samples.iter().zip(&back) {
                let near = |x: f32, y: f32| (x - y).abs() <= 0.07;
                proptest::prop_assert!(near(a.rect.x0, b.rect.x0) && near(a.rect.y1, b.rect.y1), "{:?} {:?}", a.rect, b.rect);
                proptest::prop_assert!((a.score - b.score).abs() < 0.01);
            }
            let cut = cut.min(samples.len() as u64);
            if cut > 0 {
                let short = block.truncated(first + cut).unwrap().unpack().unwrap();
                proptest::prop_assert_eq!(&short[..], &back[..cut as usize]);
            }
        }
    }

    #[test]
    fn a_mesh_with_nan_is_dropped_not_stored() {
        let mut s = sample(0);
        s.points.as_mut().unwrap()[100][1] = f32::NAN;
        let back = SampleBlock::pack(0, &[s]).unwrap().unpack().unwrap();
        assert!(back[0].points.is_none());
    }

    #[test]
    fn damage_is_an_error_not_a_panic() {
        let good = SampleBlock::pack(0, &(0..5).map(sample).collect::<Vec<_>>()).unwrap();
        for cut in 0..good.packed.len() {
            let mut bad = good.clone();
            bad.packed.truncate(cut);
            assert!(bad.unpack().is_err());
        }
        let mut more = good.clone();
        more.len = 6;
        assert!(more.unpack().is_err());
        more.len = u32::MAX;
        assert!(more.unpack().is_err());
    }
}
