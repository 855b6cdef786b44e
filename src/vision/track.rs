//! One face through the frames of one shot.

use super::types::{Detection, Embedding, FaceSample, Landmarks, Provenance, TrackSummary};
use crate::geom::{InFrame, Rect};
use crate::units::FrameIndex;
use std::collections::VecDeque;

/// Rectangles remembered for telling whether a frame of the near past is covered.
const REMEMBERED: usize = 48;
/// Holes up to this long get interpolated landmarks; longer ones only a box.
const LANDMARK_HOLE: u64 = 3;
/// Embeddings kept per track.
const EMBEDDINGS: usize = 8;
/// Growth of a predicted box per frame and side, and the most it grows.
const DRIFT: f32 = 0.03;
const MOST_DRIFT: f32 = 0.45;
/// Score from which a lost track is taken for a face that moves on, and the most that the box of another grows.
const SURE_DRIFT: f32 = 0.75;
const LEAST_DRIFT: f32 = 0.12;
/// Height of a face in pixels below which weak detections do not add up: it tells nobody, and grain is full of them.
const TINY: f32 = 14.0;
/// Score from which a detection's size is believed by itself.
const SURE_SIZE: f32 = 0.6;
/// The verifier is asked again after so many frames for each time that it was asked, and after so many at the latest: half a
/// second.
const ASKED_MORE: u64 = 2;
const ASKED_MOST: u64 = 12;
/// It is asked at once where the detector is surer by so much than when it was asked.
const SURER: f32 = 0.05;
/// Score of the detector from which no track is dropped, whatever the verifier says: a surer face has no echoes (`yunet`), and
/// must not be left as filmed.
const SURELY_KEPT: f32 = 0.75;
/// What the verifier must say at least once of a track that is kept (a logit); of one that it saw fewer times than
/// [`SEEN_OFTEN`], less will do: the most of many looks is more. Of 54 faces that the detector doubted in 29 clips, the least are
/// 0.66 and, seen one time, −0.27, but for one of 10 pixels (−0.18); the limits lie well below: 0.3 instead of −0.3 would drop 12 more
/// false tracks of 169. See `models/own/README.md`.
const LEAST_BELIEF: f32 = -0.3;
const LEAST_BELIEF_FEW: f32 = -1.0;
const SEEN_OFTEN: u64 = 4;
/// Share of the speed that is left after each predicted frame.
const DAMPING: f32 = 0.85;

/// What was seen of a face in one frame.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    pub index: u64,
    pub rect: Rect<InFrame>,
    /// The detection, or `None` if only the landmark network saw the face.
    pub detection: Option<Detection>,
    pub landmarks: Option<Landmarks>,
    pub quality: f32,
}

/// A track in the making.
#[derive(Debug)]
pub(super) struct Track {
    /// Set when the track is published.
    pub id: Option<u32>,
    /// Contiguous final samples that have not been given out; the last is the last sight (while alive).
    pub samples: Vec<FaceSample>,
    /// The last sight.
    pub last: Sight,
    /// Frame rectangle per frame, lately.
    recent: VecDeque<(u64, Rect<InFrame>)>,
    /// Movement of the centre per frame, smoothed.
    velocity: (f32, f32),
    /// Luma of the face at the last sight, for noticing that it became somebody else's.
    pub look: Option<(u64, Vec<f32>)>,
    first: u64,
    first_seen: u64,
    pub max_score: f32,
    score_sum: f32,
    pub detected: u32,
    /// Best landmark presence so far.
    pub presence: f32,
    /// The other detector family agreed.
    pub agreed: bool,
    /// Size of the face where it was last seen surely, or else best, and that score.
    anchor: (f32, f32),
    /// Frames seen by landmarks alone since the last detection.
    pub undetected: u32,
    /// Confirmations tried.
    pub tried: u32,
    embeddings: Vec<(u64, f32, Embedding)>,
    /// Sum of the face's mean colours and their number.
    tones: ([f32; 3], f32),
    /// What the verifier said at most, how often it was asked, when last, and of the best detection.
    belief: Option<f32>,
    asked: (u64, u64, f32),
}

impl Track {
    /// A track that starts with a detection.
    pub fn new(sight: Sight) -> Self {
        let mut track = Track {
            id: None,
            samples: Vec::new(),
            recent: VecDeque::new(),
            velocity: (0.0, 0.0),
            look: None,
            first: sight.index,
            first_seen: sight.index,
            max_score: 0.0,
            score_sum: 0.0,
            detected: 0,
            presence: 0.0,
            agreed: false,
            anchor: (0.0, 0.0),
            undetected: 0,
            tried: 0,
            embeddings: Vec::new(),
            tones: ([0.0; 3], 0.0),
            belief: None,
            asked: (0, 0, 0.0),
            last: sight.clone(),
        };
        track.count(&sight);
        track.keep(sample(&sight));
        track
    }

    fn count(&mut self, sight: &Sight) {
        if let Some(d) = &sight.detection {
            self.max_score = self.max_score.max(d.score);
            self.score_sum += d.score;
            self.detected += 1;
            self.undetected = 0;
            if d.score >= SURE_SIZE || d.score >= self.anchor.1 {
                self.anchor = (d.rect.size(), d.score);
            }
        } else {
            self.undetected += 1;
        }
        self.presence = self.presence.max(sight.landmarks.as_ref().map_or(0.0, |l| l.presence));
    }

    fn keep(&mut self, sample: FaceSample) {
        self.recent.push_back((sample.frame.0, sample.rect));
        if self.recent.len() > REMEMBERED {
            self.recent.pop_front();
        }
        self.samples.push(sample);
    }

    /// Adds the next sight and fills the hole before it.
    pub fn see(&mut self, sight: Sight) {
        let (a, b) = (self.last.index, sight.index);
        debug_assert!(b > a);
        for k in a + 1..b {
            let filled = between(&self.last, &sight, k);
            self.keep(filled);
        }
        let span = (b - a) as f32;
        let (p, q) = (self.last.rect.centre(), sight.rect.centre());
        let step = ((q.x - p.x) / span, (q.y - p.y) / span);
        let old = if span > 3.0 { step } else { self.velocity };
        self.velocity = (0.5 * old.0 + 0.5 * step.0, 0.5 * old.1 + 0.5 * step.1);
        self.count(&sight);
        self.keep(sample(&sight));
        self.last = sight;
    }

    /// Adds an earlier sight before the first sample (nothing may have been given out yet).
    pub fn see_before(&mut self, sight: &Sight, next: &Sight) {
        let mut earlier = vec![sample(sight)];
        earlier.extend((sight.index + 1..next.index).map(|k| between(sight, next, k)));
        for s in earlier.iter().rev() {
            self.recent.push_front((s.frame.0, s.rect));
        }
        if let Some(d) = &sight.detection {
            self.max_score = self.max_score.max(d.score);
            self.score_sum += d.score;
            self.detected += 1;
        }
        self.samples.splice(0..0, earlier);
        self.first = sight.index;
        self.first_seen = sight.index;
    }

    /// Covers `frames` frames before the first sight, not before `floor`.
    pub fn lead_in(&mut self, frames: u64, floor: u64) {
        let Some(start) = self.samples.first().cloned() else { return };
        let from = start.frame.0.saturating_sub(frames).max(floor);
        let lead: Vec<FaceSample> = (from..start.frame.0)
            .map(|k| predicted(&start.rect, k, start.frame.0 - k, (0.0, 0.0), self.drift()))
            .collect();
        self.first = self.first.min(from);
        for s in lead.iter().rev() {
            self.recent.push_front((s.frame.0, s.rect));
        }
        self.samples.splice(0..0, lead);
    }

    /// Covers the frames after the last sight up to `end` (exclusive), at most `frames`.
    pub fn trail(&mut self, frames: u64, end: u64) {
        let (from, rect, drift) = (self.last.index, self.last.rect, self.drift());
        let velocity = if drift < MOST_DRIFT { (0.0, 0.0) } else { self.velocity };
        for k in from + 1..end.min(from + 1 + frames) {
            let s = predicted(&rect, k, k - from, velocity, drift);
            self.keep(s);
        }
    }

    /// Whether a detection has a size that this face can have. A weak one may be anything near the face: it must not
    /// make the box grow or shrink step by step without end.
    pub fn fits(&self, d: &Detection) -> bool {
        let (last, best) = (d.rect.size() / self.last.rect.size().max(1.0), d.rect.size() / self.anchor.0.max(1.0));
        d.score >= SURE_SIZE || (0.7..1.43).contains(&last) && (0.55..1.8).contains(&best)
    }

    /// How far a predicted box may grow. What was never surely a face seldom moves: it is a thing.
    fn drift(&self) -> f32 {
        if self.max_score >= SURE_DRIFT { MOST_DRIFT } else { LEAST_DRIFT }
    }

    /// Where the face is likely in frame `index` (not before the last sight).
    pub fn expected(&self, index: u64) -> Rect<InFrame> {
        moved(&self.last.rect, index.saturating_sub(self.last.index), self.velocity)
    }

    /// The rectangle that covers frame `index`, if it is remembered.
    pub fn rect_at(&self, index: u64) -> Option<Rect<InFrame>> {
        self.recent.iter().rev().find(|(i, _)| *i == index).map(|(_, r)| *r)
    }

    /// Whether there is enough evidence to believe in the face. `start` is the score of a detection that needs only
    /// one other sign (a second detection, the landmarks, the other detector); weaker ones must add up. Chosen so that
    /// of the faces two detector families agree on none is lost, and half of the rest (robots, chair backs) goes.
    pub fn believable(&self, start: f32, lenient: bool) -> bool {
        let (n, best, mean) = (self.detected, self.max_score, self.mean_score());
        let seen = self.presence > 0.65;
        let sure = best >= start && (self.agreed || best >= 0.85 || (n >= 2 && (best >= 0.6 || seen)));
        let adds_up = (n >= 4 && mean >= 0.45) || (n >= 8 && mean >= 0.40) || (n >= 2 && self.agreed);
        // A large face that the other detector refuses scores higher than this if it is one (flags, coats do not).
        let refused = self.tried > 0 && !self.agreed && self.last.rect.height() >= 75.0;
        if refused && !lenient && best < 0.65 && mean < 0.45 {
            return false;
        }
        let tiny = self.last.rect.height() < TINY;
        let faint = lenient && ((best >= start && (n >= 2 || seen)) || (n >= 4 && !tiny));
        sure || adds_up || faint
    }

    /// Frames for which the track is looked for and covered after its last sight, of `most`. A track with little
    /// evidence does not earn a long shadow.
    pub fn patience(&self, most: u64) -> u64 {
        match self.id {
            None => most.min(6),
            Some(_) if self.confirmed() => most,
            Some(_) => most.min(2 + 2 * u64::from(self.detected)),
        }
    }

    /// Whether the network for landmarks, and the second detector, are worth their time.
    pub fn promising(&self, start: f32) -> bool {
        self.max_score >= start || self.detected >= 2
    }

    /// Whether the evidence is strong.
    pub fn confirmed(&self) -> bool {
        self.agreed
            || (self.detected >= 5 && self.mean_score() >= 0.7)
            || (self.detected >= 3 && self.max_score >= 0.8 && self.presence > 0.9)
            || (self.detected >= 10 && self.max_score >= 0.65 && self.presence > 0.95)
    }

    /// Whether the verifier should look at the last sight: at once, soon again, then every so often, and whenever the detector
    /// is surer than it was when the verifier looked. What it has once believed it is not asked again.
    pub fn wants_verifying(&self, now: u64) -> bool {
        let (times, last, best) = self.asked;
        let Some(d) = self.last.detection.filter(|_| self.id.is_some() && self.last.index == now) else { return false };
        let due = now - last >= (ASKED_MORE * times).min(ASKED_MOST);
        let settled = self.max_score >= SURELY_KEPT || self.belief.is_some_and(|b| b >= LEAST_BELIEF);
        !settled && (times == 0 || due || d.score >= best + SURER)
    }

    /// Keeps what the verifier said of the last sight.
    pub fn verified(&mut self, now: u64, belief: f32) {
        let score = self.last.detection.map_or(0.0, |d| d.score);
        self.belief = Some(self.belief.map_or(belief, |b| b.max(belief)));
        self.asked = (self.asked.0 + 1, now, self.asked.2.max(score));
    }

    /// Whether the verifier has looked at the track and never seen a face in it, and the detector was never sure.
    fn is_disbelieved(&self) -> bool {
        let least = if self.asked.0 >= SEEN_OFTEN { LEAST_BELIEF } else { LEAST_BELIEF_FEW };
        self.max_score < SURELY_KEPT && self.belief.is_some_and(|b| b < least)
    }

    fn mean_score(&self) -> f32 {
        self.score_sum / self.detected.max(1) as f32
    }

    /// Whether an embedding of the last sight would add something, given its quality.
    pub fn wants_embedding(&self) -> bool {
        let (now, quality) = (self.last.index, self.last.quality);
        if quality <= 0.02 {
            return false;
        }
        let gap = self.embeddings.iter().map(|e| now.abs_diff(e.0)).min().unwrap_or(u64::MAX);
        let weakest = self.embeddings.iter().map(|e| e.1).fold(f32::MAX, f32::min);
        match self.embeddings.len() {
            0 => self.detected >= 2 || quality > 0.3,
            n if n < EMBEDDINGS => gap >= 4 * n as u64,
            n => gap >= 4 * n as u64 && quality > 1.15 * weakest,
        }
    }

    /// Keeps an embedding of the last sight, in place of the one whose loss matters least.
    pub fn remember(&mut self, embedding: Embedding, tone: [f32; 3]) {
        self.tones.0.iter_mut().zip(tone).for_each(|(sum, v)| *sum += v);
        self.tones.1 += 1.0;
        self.embeddings.push((self.last.index, self.last.quality, embedding));
        if self.embeddings.len() > EMBEDDINGS {
            let weakest = (0..self.embeddings.len())
                .min_by(|&a, &b| self.embeddings[a].1.total_cmp(&self.embeddings[b].1))
                .unwrap_or(0);
            self.embeddings.remove(weakest);
        }
    }

    /// The track as a whole. `last` is the last frame covered.
    pub fn summary(&self, track: u32) -> TrackSummary {
        let last = self.recent.back().map_or(self.last.index, |r| r.0);
        TrackSummary {
            track,
            first: FrameIndex(self.first),
            last: FrameIndex(last),
            first_seen: FrameIndex(self.first_seen),
            last_seen: FrameIndex(self.last.index),
            embeddings: self.embeddings.iter().map(|(_, q, e)| (*q, e.clone())).collect(),
            tone: self.tones.0.map(|v| v / self.tones.1.max(1.0)),
            max_score: self.max_score,
            mean_score: self.mean_score(),
            detected_count: self.detected,
            confirmed: self.confirmed(),
            disbelieved: self.is_disbelieved(),
            belief: self.belief,
        }
    }
}

fn sample(s: &Sight) -> FaceSample {
    FaceSample {
        frame: FrameIndex(s.index),
        rect: s.rect,
        score: s.detection.as_ref().map_or(0.0, |d| d.score),
        provenance: if s.detection.is_some() { Provenance::Detected } else { Provenance::Tracked },
        landmarks: s.landmarks.clone(),
        quality: s.quality,
    }
}

fn between(a: &Sight, b: &Sight, index: u64) -> FaceSample {
    let span = (b.index - a.index) as f32;
    let u = (index - a.index) as f32 / span;
    // The further from both ends, the less sure.
    let doubt = (0.04 * ((index - a.index).min(b.index - index) - 1) as f32).min(0.3);
    let landmarks = match (&a.landmarks, &b.landmarks) {
        (Some(p), Some(q)) if b.index - a.index <= LANDMARK_HOLE + 1 => Some(Landmarks {
            points: p.points.iter().zip(&q.points).map(|(p, q)| [0, 1, 2].map(|k| p[k] + (q[k] - p[k]) * u)).collect(),
            presence: p.presence.min(q.presence),
        }),
        _ => None,
    };
    FaceSample {
        frame: FrameIndex(index),
        rect: a.rect.lerp(&b.rect, u).grown(doubt, doubt, doubt, doubt),
        score: 0.0,
        provenance: Provenance::Interpolated,
        landmarks,
        quality: 0.0,
    }
}

fn predicted(rect: &Rect<InFrame>, index: u64, away: u64, velocity: (f32, f32), most: f32) -> FaceSample {
    let doubt = (DRIFT * away as f32).min(most);
    FaceSample {
        frame: FrameIndex(index),
        // Where it was stays covered as well as where it may be.
        rect: moved(rect, away, velocity).union(rect).grown(doubt, doubt, doubt, doubt),
        score: 0.0,
        provenance: Provenance::Predicted,
        landmarks: None,
        quality: 0.0,
    }
}

fn moved(rect: &Rect<InFrame>, frames: u64, velocity: (f32, f32)) -> Rect<InFrame> {
    let way = (1.0 - DAMPING.powi(frames.min(100) as i32)) / (1.0 - DAMPING);
    let most = rect.size();
    let (dx, dy) = ((velocity.0 * way).clamp(-most, most), (velocity.1 * way).clamp(-most, most));
    Rect::new(rect.x0 + dx, rect.y0 + dy, rect.x1 + dx, rect.y1 + dy)
}
