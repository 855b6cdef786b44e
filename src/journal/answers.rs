//! What networks answer, as bytes that come back bit by bit.

use super::file::Step;
use crate::geom::{Point, Rect};
use crate::vision::{Detection, Embedding, Landmarks};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Which question: a hash of frame, network and look.
pub(super) type Key = [u8; 16];

/// The answer of a network.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Detections(Vec<Detection>),
    Landmarks(Landmarks),
    Embedding(Embedding),
    Belief(f32),
}

/// Most values of one answer; a guard against damage.
const MOST: usize = 1 << 20;
/// Numbers of one detection: box, score, five points, whether they were measured.
const DETECTION: usize = 4 + 1 + 10 + 1;

impl Answer {
    fn kind(&self) -> u8 {
        match self {
            Answer::Detections(_) => 0,
            Answer::Landmarks(_) => 1,
            Answer::Embedding(_) => 2,
            Answer::Belief(_) => 3,
        }
    }

    fn values(&self) -> Zeroizing<Vec<f32>> {
        let mut v = Zeroizing::new(Vec::new());
        match self {
            Answer::Detections(all) => {
                v.reserve_exact(all.len() * DETECTION);
                for d in all {
                    v.extend([d.rect.x0, d.rect.y0, d.rect.x1, d.rect.y1, d.score]);
                    v.extend(d.points.iter().flat_map(|p| [p.x, p.y]));
                    v.push(f32::from(u8::from(d.has_points)));
                }
            }
            Answer::Landmarks(l) => {
                v.reserve_exact(l.points.len() * 3 + 1);
                v.push(l.presence);
                v.extend(l.points.iter().flatten());
            }
            Answer::Embedding(e) => v.extend(&e.0),
            Answer::Belief(b) => v.push(*b),
        }
        v
    }

    fn of(kind: u8, v: &[f32]) -> Option<Self> {
        if !v.iter().all(|x| x.is_finite()) {
            return None;
        }
        match kind {
            0 if v.len().is_multiple_of(DETECTION) => {
                Some(Answer::Detections(v.chunks_exact(DETECTION).filter_map(detection).collect()))
            }
            1 => {
                let (presence, points) = v.split_first()?;
                let points = points.chunks_exact(3).map(|p| [p[0], p[1], p[2]]).collect();
                let landmarks = Landmarks { points, presence: *presence };
                landmarks.check().ok()?;
                Some(Answer::Landmarks(landmarks))
            }
            2 if !v.is_empty() => Some(Answer::Embedding(Embedding(v.to_vec()))),
            3 if v.len() == 1 => Some(Answer::Belief(v[0])),
            _ => None,
        }
    }
}

fn detection(v: &[f32]) -> Option<Detection> {
    let (numbers, rest) = v.split_first_chunk::<5>()?;
    let (points, rest) = rest.split_first_chunk::<10>()?;
    let [x0, y0, x1, y1, score] = *numbers;
    Some(Detection {
        rect: Rect::new(x0, y0, x1, y1),
        score,
        points: std::array::from_fn(|i| Point::new(points[2 * i], points[2 * i + 1])),
        has_points: *rest.first()? > 0.5,
    })
}

/// The text of a record.
pub(super) fn write_answers(at: Step, answers: &BTreeMap<Key, Answer>) -> Zeroizing<Vec<u8>> {
    let all: Vec<_> = answers.iter().map(|(key, answer)| (key, answer.kind(), answer.values())).collect();
    // Reserved in one piece: a vector that grows would leave copies behind.
    let bytes = 13 + all.iter().map(|(_, _, v)| 21 + 4 * v.len()).sum::<usize>();
    let mut text = Zeroizing::new(Vec::with_capacity(bytes));
    text.push(at.part);
    text.extend_from_slice(&at.step.to_le_bytes());
    text.extend_from_slice(&(all.len() as u32).to_le_bytes());
    for (key, kind, values) in &all {
        text.extend_from_slice(*key);
        text.push(*kind);
        text.extend_from_slice(&(values.len() as u32).to_le_bytes());
        values.iter().for_each(|v| text.extend_from_slice(&v.to_bits().to_le_bytes()));
    }
    text
}

/// Reads the text of a record; `None` if it is malformed.
pub(super) fn read_answers(text: &[u8]) -> Option<(Step, BTreeMap<Key, Answer>)> {
    let (part, rest) = text.split_first()?;
    let (step, rest) = rest.split_first_chunk::<8>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let mut answers = BTreeMap::new();
    for _ in 0..u32::from_le_bytes(*count) {
        let (key, after) = rest.split_first_chunk::<16>()?;
        let (kind, after) = after.split_first()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        if length > MOST {
            return None;
        }
        let (values, after) = after.split_at_checked(length * 4)?;
        let values: Zeroizing<Vec<f32>> = Zeroizing::new(
            values.chunks_exact(4).map(|b| f32::from_bits(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect(),
        );
        answers.insert(*key, Answer::of(*kind, &values)?);
        rest = after;
    }
    rest.is_empty().then_some((Step { part: *part, step: u64::from_le_bytes(*step) }, answers))
}

/// Reads bytes as a record would be.
pub(crate) fn parse_for_fuzzing(bytes: &[u8]) {
    if let Some((at, answers)) = read_answers(bytes) {
        let again = read_answers(&write_answers(at, &answers));
        assert!(again.is_some_and(|(b, all)| b == at && all == answers), "a record changes when it is written again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: f32) -> Detection {
        Detection { has_points: true, ..Detection::from_box(Rect::new(x, 2.0, x + 0.1, 7.0), 0.3) }
    }

    #[test]
    fn answers_come_back_bit_by_bit() {
        let points = (0..crate::vision::LANDMARKS).map(|i| [i as f32 / 3.0, -0.0, 1e-30]).collect();
        let answers = BTreeMap::from([
            ([1; 16], Answer::Detections(vec![face(0.1), face(1.0 / 3.0)])),
            ([2; 16], Answer::Detections(vec![])),
            ([3; 16], Answer::Landmarks(Landmarks { points, presence: 0.7 })),
            ([4; 16], Answer::Embedding(Embedding(vec![0.6, 0.8]))),
            ([5; 16], Answer::Belief(-1.0 / 3.0)),
        ]);
        let at = Step { part: 1, step: 77 };
        let text = write_answers(at, &answers);
        let (back_at, back) = read_answers(&text).unwrap();
        assert!(back_at == at && back == answers);
        assert_eq!(*write_answers(at, &back), *text);
        for cut in 0..text.len() {
            assert!(read_answers(&text[..cut]).is_none());
        }
    }

    #[test]
    fn impossible_answers_are_no_answers() {
        assert!(Answer::of(0, &[0.0; DETECTION + 1]).is_none());
        assert!(Answer::of(1, &[]).is_none() && Answer::of(1, &[0.5; 7]).is_none());
        assert!(Answer::of(2, &[]).is_none() && Answer::of(2, &[f32::NAN]).is_none());
        assert!(Answer::of(3, &[]).is_none() && Answer::of(3, &[0.5, 0.5]).is_none());
        assert!(Answer::of(3, &[f32::INFINITY]).is_none());
        assert!(Answer::of(9, &[0.0]).is_none());
    }
}
