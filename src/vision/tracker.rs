//! Joins detections to tracks, forwards and backwards in time.
//!
//! Frames are handed over in order with their detections. A face is looked for again where it was lost, a new one is
//! followed back through a ring of recent frames, and what cannot be found is covered by prediction for a while.

use super::detect::{Look, suppress};
use super::embed::{alignment, five_points};
use super::landmarks::{FaceCrop, find_landmarks};
use super::picture::{luma_grid, whole};
use super::pool::{Networks, Pool};
use super::track::{Sight, Track};
use super::types::{Detection, Landmarks, VisionEvent};
use crate::error::{Error, Result};
use crate::geom::{InFrame, Rect};
use crate::image::{Frame, RawFrame};
use crate::units::FrameIndex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Most frames of the ring, and most bytes they may take together.
const RING_FRAMES: usize = 15;
const RING_BYTES: usize = 96 << 20;
/// Side of the picture of a window about one face.
const WINDOW_SIDE: usize = 256;
/// Side of a window over the face's longer side; and of the wider one that is tried next.
const WINDOW_GROW: f32 = 2.2;
const WIDER_GROW: f32 = 3.2;
/// Frames for which the wider window is tried.
const WIDER_FRAMES: u64 = 6;
/// Least overlap of what a window shows with where the face was expected.
const NEAR: f32 = 0.2;
/// Least overlap by which a detection belongs to a track.
const JOIN: f32 = 0.3;
/// Most samples given out at once.
const CHUNK: usize = 128;
/// Most tracks alive; more faces than this in one frame is refused rather than missed.
const MAX_LIVE: usize = 512;
/// Frames for which landmarks alone may carry a track.
const LANDMARKS_ALONE: u32 = 50;
/// Frames skipped at most when following a face backwards.
const BACK_SKIP: u64 = 2;

/// Numbers that depend on recall and film.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// Score at which a single detection starts a published track.
    pub start: f32,
    /// Whether little evidence is enough.
    pub lenient: bool,
    /// Score that continues one.
    pub weak: f32,
    /// Smallest face (box height in pixels).
    pub min_face: f32,
    /// Smallest face (box height in pixels) that gets landmarks.
    pub min_landmarks: f32,
    /// Frames covered after the last sight, within which the face is looked for.
    pub lost: u64,
    /// Frames covered before the first sight.
    pub lead: u64,
    /// Whether lost faces are searched for with the detector in every frame.
    pub windows: bool,
    /// Whether the verifier, if there is one, is asked about tracks.
    pub verify: bool,
}

/// A frame with what the detector found.
pub(super) struct Seen {
    pub frame: Arc<RawFrame>,
    pub detections: Vec<Detection>,
    /// A shot begins here.
    pub cut: bool,
    /// Whether the detector ran on the whole frame.
    pub looked: bool,
}

type Emit<'e> = &'e mut dyn FnMut(VisionEvent) -> Result<()>;

pub(super) struct Tracker {
    settings: Settings,
    live: Vec<Track>,
    ring: VecDeque<Arc<RawFrame>>,
    shot_start: u64,
    next_id: u32,
    next_index: u64,
}

impl Tracker {
    pub fn new(settings: Settings) -> Self {
        Tracker { settings, live: Vec::new(), ring: VecDeque::new(), shot_start: 0, next_id: 0, next_index: 0 }
    }

    /// Takes the next frame.
    pub fn step(&mut self, pool: &mut Pool, mut seen: Seen, emit: Emit) -> Result<()> {
        let now = seen.frame.index.0;
        self.next_index = now + 1;
        let ghosts = if seen.cut { self.end_shot(now, emit)? } else { Vec::new() };
        if !ghosts.is_empty() {
            let again = self.look_around(pool, &seen.frame, &ghosts)?;
            seen.detections.extend(again.into_iter().flatten());
            seen.detections = suppress(std::mem::take(&mut seen.detections), 0.4);
        }
        seen.detections.retain(|d| d.rect.height() >= self.settings.min_face);
        let mut sights: Vec<Option<Detection>> = vec![None; self.live.len()];
        let free = self.join(&seen, &mut sights);
        if self.settings.windows || seen.looked {
            self.search(pool, &seen.frame, &mut sights)?;
        }
        let ended = self.displaced(&seen.frame, &free, &sights);
        self.continue_tracks(pool, &seen.frame, sights, ended, emit)?;
        self.begin(pool, &seen.frame, &free, &ghosts)?;
        self.confirm(pool, &seen.frame)?;
        self.embed(pool, &seen.frame)?;
        self.publish(pool, emit)?;
        self.verify(pool, &seen.frame)?;
        self.flush(emit)?;
        self.push_ring(&seen.frame);
        Ok(())
    }

    /// Ends everything.
    pub fn finish(&mut self, emit: Emit) -> Result<()> {
        if self.next_index > self.shot_start {
            self.end_shot(self.next_index, emit)?;
        }
        Ok(())
    }

    /// Ends all tracks and the shot before frame `now`; where faces were at its end.
    fn end_shot(&mut self, now: u64, emit: Emit) -> Result<Vec<Rect<InFrame>>> {
        let mut ghosts = Vec::new();
        for track in std::mem::take(&mut self.live) {
            if track.id.is_some() && now - track.last.index <= 2 {
                ghosts.push(track.last.rect);
            }
            self.end(track, now, emit)?;
        }
        if now > self.shot_start {
            emit(VisionEvent::Shot { range: FrameIndex(self.shot_start)..FrameIndex(now) })?;
        }
        self.shot_start = now;
        self.ring.clear();
        Ok(ghosts)
    }

    fn end(&self, mut track: Track, end: u64, emit: Emit) -> Result<()> {
        let Some(id) = track.id else { return Ok(()) };
        track.trail(track.patience(self.settings.lost), end);
        give_out(&mut track, id, emit)?;
        emit(VisionEvent::TrackEnd { track: id, summary: track.summary(id) })
    }

    /// Gives detections to tracks, best overlap first; the numbers of those left over.
    fn join(&self, seen: &Seen, sights: &mut [Option<Detection>]) -> Vec<Detection> {
        let now = seen.frame.index.0;
        let mut pairs = Vec::new();
        for (t, track) in self.live.iter().enumerate() {
            let expected = track.expected(now);
            for (d, detection) in seen.detections.iter().enumerate() {
                let fit = affinity(track, &expected, detection, now);
                if fit > 0.0 && track.fits(detection) {
                    pairs.push((fit, t, d));
                }
            }
        }
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        let mut taken = vec![false; seen.detections.len()];
        for (_, t, d) in pairs {
            let detection = &seen.detections[d];
            if sights[t].is_none() && !taken[d] && follows(&self.live[t], &seen.frame.frame, &detection.rect, now) {
                sights[t] = Some(*detection);
                taken[d] = true;
            }
        }
        let held: Vec<Rect<InFrame>> = sights.iter().flatten().map(|d| d.rect).collect();
        let left = seen.detections.iter().zip(&taken).filter(|(_, taken)| !**taken).map(|(d, _)| *d);
        left.filter(|d| !held.iter().any(|h| same_face(h, &d.rect))).collect()
    }

    /// Looks for the faces of tracks without detection near where they are expected.
    fn search(&self, pool: &mut Pool, frame: &Arc<RawFrame>, sights: &mut [Option<Detection>]) -> Result<()> {
        let lost: Vec<usize> = (0..sights.len()).filter(|&t| sights[t].is_none()).collect();
        let (settings, live) = (self.settings, &self.live);
        let found = pool.map(&lost, |networks, &t| search_one(networks, frame, &live[t], &settings))?;
        for (t, candidates) in lost.into_iter().zip(found) {
            let free = |d: &Detection| !sights.iter().flatten().any(|s| s.rect.iou(&d.rect) > 0.4);
            sights[t] = candidates.into_iter().find(free);
        }
        Ok(())
    }

    /// Detections in windows about `places`.
    fn look_around(&self, pool: &mut Pool, frame: &RawFrame, places: &[Rect<InFrame>]) -> Result<Vec<Vec<Detection>>> {
        let threshold = self.settings.weak;
        pool.map(places, |networks, place| window(networks, &frame.frame, place, threshold))
    }

    /// Tracks that lost their face to somebody who looks different at the same place: they end here.
    fn displaced(&self, frame: &Arc<RawFrame>, free: &[Detection], sights: &[Option<Detection>]) -> Vec<bool> {
        let now = frame.index.0;
        let taken =
            |t: &Track| free.iter().any(|d| d.rect.iou(&t.last.rect) > 0.5 && !follows(t, &frame.frame, &d.rect, now));
        self.live.iter().zip(sights).map(|(t, s)| s.is_none() && taken(t)).collect()
    }

    /// Finds landmarks for every track and decides which go on.
    fn continue_tracks(
        &mut self,
        pool: &mut Pool,
        frame: &Arc<RawFrame>,
        sights: Vec<Option<Detection>>,
        ended: Vec<bool>,
        emit: Emit,
    ) -> Result<()> {
        let settings = self.settings;
        let tracks = std::mem::take(&mut self.live);
        let jobs: Vec<(&Track, &Option<Detection>)> =
            tracks.iter().zip(&sights).zip(&ended).filter(|(_, ended)| !**ended).map(|(job, _)| job).collect();
        let seen = pool.map(&jobs, |networks, (track, detection)| {
            observe(networks, frame, track, detection.as_ref(), &settings)
        })?;
        let held: Vec<Rect<InFrame>> =
            seen.iter().flatten().filter(|s| s.detection.is_some()).map(|s| s.rect).collect();
        let mut seen = seen.into_iter();
        let now = frame.index.0;
        for (mut track, ended) in tracks.into_iter().zip(ended) {
            if ended {
                self.end(track, now, emit)?;
                continue;
            }
            let sight = seen.next().flatten();
            // Landmarks alone must not settle on a face that another track holds.
            let free = |s: &Sight| s.detection.is_some() || !held.iter().any(|h| h.iou(&s.rect) > 0.4);
            match sight.filter(free) {
                Some(sight) => {
                    track.look = Some((now, appearance(&frame.frame, &sight.rect)));
                    track.see(sight);
                    self.live.push(track);
                }
                None if now - track.last.index >= track.patience(settings.lost) => self.end(track, now + 1, emit)?,
                None => self.live.push(track),
            }
        }
        Ok(())
    }

    /// Starts tracks for detections that nobody took.
    fn begin(
        &mut self,
        pool: &mut Pool,
        frame: &Arc<RawFrame>,
        free: &[Detection],
        ghosts: &[Rect<InFrame>],
    ) -> Result<()> {
        let now = frame.index.0;
        let held: Vec<Rect<InFrame>> = self.live.iter().filter(|t| t.last.index == now).map(|t| t.last.rect).collect();
        let born: Vec<Detection> =
            free.iter().filter(|d| !held.iter().any(|h| same_face(h, &d.rect))).copied().collect();
        if self.live.len() + born.len() > MAX_LIVE {
            return Err(Error::Limit(format!(
                "more than the limit of {MAX_LIVE} faces at once in frame {now}; cut that part out first"
            )));
        }
        let settings = self.settings;
        let found = pool.map(&born, |networks, d| {
            let worth = d.score >= settings.start;
            if worth { landmarks_of(networks, &frame.frame, d, None, &settings) } else { Ok(None) }
        })?;
        for (d, landmarks) in born.into_iter().zip(found) {
            let quality = quality(&frame.frame, &d, landmarks.as_ref());
            let sight = Sight { index: now, rect: d.rect, detection: Some(d), landmarks, quality };
            let mut track = Track::new(sight);
            track.look = Some((now, appearance(&frame.frame, &d.rect)));
            // A face known before a cut (which may have been a flash) is believed at once.
            track.agreed |= ghosts.iter().any(|g| g.iou(&d.rect) > 0.5) && d.score >= settings.weak;
            self.live.push(track);
        }
        Ok(())
    }

    /// Asks the second detector about tracks that are not sure, a few times in their life.
    fn confirm(&mut self, pool: &mut Pool, frame: &Arc<RawFrame>) -> Result<()> {
        const WHEN: [u32; 4] = [1, 5, 20, 60];
        let now = frame.index.0;
        let mut due: Vec<usize> = (0..self.live.len())
            .filter(|&t| {
                let track = &self.live[t];
                let turn = WHEN.get(track.tried as usize).is_some_and(|w| track.detected >= *w);
                let worth = turn && track.promising(self.settings.start);
                worth && track.last.index == now && track.last.detection.is_some() && !track.confirmed()
            })
            .collect();
        // It costs five times a look of the first detector: new tracks go first, the others wait for a free frame.
        due.sort_by_key(|&t| self.live[t].tried);
        due.truncate(2);
        let rects: Vec<Rect<InFrame>> = due.iter().map(|&t| self.live[t].last.rect).collect();
        let agreed = pool.map(&rects, |networks, rect| agrees(networks, &frame.frame, rect))?;
        for (t, agreed) in due.into_iter().zip(agreed) {
            self.live[t].tried += 1;
            self.live[t].agreed |= agreed;
        }
        Ok(())
    }

    /// Takes embeddings where they add something.
    fn embed(&mut self, pool: &mut Pool, frame: &Arc<RawFrame>) -> Result<()> {
        let now = frame.index.0;
        let due: Vec<usize> = (0..self.live.len())
            .filter(|&t| self.live[t].last.index == now && self.live[t].wants_embedding())
            .collect();
        let sights: Vec<&Sight> = due.iter().map(|&t| &self.live[t].last).collect();
        let found = pool.map(&sights, |networks, sight| {
            let measured = sight.detection.as_ref().filter(|d| d.has_points).map(|d| d.points);
            let points = measured.or_else(|| sight.landmarks.as_ref().map(five_points));
            let points = points.filter(|p| alignment(p).is_some());
            match (&mut networks.embedding, points) {
                (Some(model), Some(points)) => model.embed(&frame.frame, &points).map(Some),
                _ => Ok(None),
            }
        })?;
        for (t, embedding) in due.into_iter().zip(found) {
            if let Some(embedding) = embedding {
                let tone = face_tone(&frame.frame, &self.live[t].last.rect);
                self.live[t].remember(embedding, tone);
            }
        }
        Ok(())
    }

    /// Asks the verifier about published tracks that are not sure.
    fn verify(&mut self, pool: &mut Pool, frame: &Arc<RawFrame>) -> Result<()> {
        if !self.settings.verify {
            return Ok(());
        }
        let now = frame.index.0;
        let due: Vec<usize> = (0..self.live.len()).filter(|&t| self.live[t].wants_verifying(now)).collect();
        let places: Vec<Rect<InFrame>> = due.iter().map(|&t| self.live[t].last.rect).collect();
        let said = pool.map(&places, |networks, place| match &mut networks.verifier {
            Some(verifier) => verifier.verify(&frame.frame, place).map(Some),
            None => Ok(None),
        })?;
        for (t, belief) in due.into_iter().zip(said) {
            if let Some(belief) = belief {
                self.live[t].verified(now, belief);
            }
        }
        Ok(())
    }

    /// Publishes tracks that have become believable: follows them back and gives them a number.
    fn publish(&mut self, pool: &mut Pool, emit: Emit) -> Result<()> {
        for t in 0..self.live.len() {
            if self.live[t].id.is_some() || !self.live[t].believable(self.settings.start, self.settings.lenient) {
                continue;
            }
            let met = self.follow_back(pool, t)?;
            let floor = self.shot_start;
            let track = &mut self.live[t];
            let lead = track.patience(self.settings.lead).min(self.settings.lead);
            if !met {
                track.lead_in(lead, floor);
            }
            let id = self.next_id;
            track.id = Some(id);
            self.next_id = id.checked_add(1).ok_or_else(|| Error::Limit("too many tracks".into()))?;
            give_out(track, id, emit)?;
        }
        Ok(())
    }

    /// Follows track `t` back through the ring; whether it met another track there.
    fn follow_back(&mut self, pool: &mut Pool, t: usize) -> Result<bool> {
        let Some(start) = self.live[t].samples.first() else { return Ok(false) };
        let mut next = Sight {
            index: start.frame.0,
            rect: start.rect,
            detection: None,
            landmarks: start.landmarks.clone(),
            quality: start.quality,
        };
        let frames: Vec<Arc<RawFrame>> = self
            .ring
            .iter()
            .rev()
            .filter(|f| f.index.0 < next.index && f.index.0 >= self.shot_start)
            .cloned()
            .collect();
        let settings = self.settings;
        for frame in frames {
            let at = frame.index.0;
            if next.index - at > BACK_SKIP + 1 {
                break;
            }
            let place = next.rect;
            let others = self.live.iter().enumerate().filter(|(o, other)| *o != t && other.id.is_some());
            if others.filter_map(|(_, other)| other.rect_at(at)).any(|r| r.iou(&place) > 0.3) {
                return Ok(true);
            }
            let known = next.landmarks.clone();
            let sight = pool.map(&[()], |networks, ()| {
                let found = window(networks, &frame.frame, &place, settings.weak)?;
                let near = found.into_iter().map(|d| (d.rect.iou(&place), d)).filter(|p| p.0 > 0.25);
                let Some((_, d)) = near.max_by(|a, b| a.0.total_cmp(&b.0)) else { return Ok(None) };
                let landmarks = landmarks_of(networks, &frame.frame, &d, known.as_ref(), &settings)?;
                let quality = quality(&frame.frame, &d, landmarks.as_ref());
                Ok(Some(Sight { index: at, rect: d.rect, detection: Some(d), landmarks, quality }))
            })?;
            if let Some(sight) = sight.into_iter().flatten().next() {
                self.live[t].see_before(&sight, &next);
                next = sight;
            }
        }
        Ok(false)
    }

    /// Gives out samples of published tracks once there is a chunk of them.
    fn flush(&mut self, emit: Emit) -> Result<()> {
        for track in &mut self.live {
            if let Some(id) = track.id
                && track.samples.len() >= CHUNK
            {
                give_out(track, id, emit)?;
            }
        }
        Ok(())
    }

    fn push_ring(&mut self, frame: &Arc<RawFrame>) {
        let bytes = frame.frame.layout.frame_bytes(frame.frame.width, frame.frame.height).max(1);
        let most = (RING_BYTES / bytes).clamp(1, RING_FRAMES);
        while self.ring.len() >= most {
            self.ring.pop_front();
        }
        self.ring.push_back(Arc::clone(frame));
    }
}

fn give_out(track: &mut Track, id: u32, emit: Emit) -> Result<()> {
    let mut samples = std::mem::take(&mut track.samples);
    while !samples.is_empty() {
        let rest = samples.split_off(samples.len().min(CHUNK));
        emit(VisionEvent::Samples { track: id, samples: std::mem::replace(&mut samples, rest) })?;
    }
    Ok(())
}

/// How well a detection continues a track; 0 if it does not.
fn affinity(track: &Track, expected: &Rect<InFrame>, d: &Detection, now: u64) -> f32 {
    let overlap = expected.iou(&d.rect).max(track.last.rect.iou(&d.rect));
    if overlap > JOIN {
        return 1.0 + overlap;
    }
    // Small or fast faces may have moved by more than their size.
    let (a, b) = (expected.size().max(1.0), d.rect.size().max(1.0));
    let gap = expected.centre().distance(&d.rect.centre()) / a.max(b);
    let fresh = now - track.last.index <= 3;
    if fresh && (0.67..1.5).contains(&(a / b)) && gap < 0.8 { 1.0 - gap } else { 0.0 }
}

/// Whether two boxes of like size show one face.
fn same_face(a: &Rect<InFrame>, b: &Rect<InFrame>) -> bool {
    let least = a.area().min(b.area()).max(1e-6);
    let ratio = a.area() / b.area().max(1e-6);
    a.iou(b) > 0.4 || (a.intersection(b).area() / least > 0.7 && (0.4..2.5).contains(&ratio))
}

/// The face's luma on a coarse grid.
fn appearance(frame: &Frame, rect: &Rect<InFrame>) -> Vec<f32> {
    let inside = rect.intersection(&whole(frame));
    if inside.is_valid() { luma_grid(frame, &inside, 16, 16) } else { Vec::new() }
}

/// Whether what is at `rect` can be the track's face of the frame before; a picture turned inside out is somebody else.
///
/// Faces resemble each other at this resolution, and a shaken camera changes one face a lot: this finds only cuts to
/// another face at the same place that the thumbnails missed.
fn follows(track: &Track, frame: &Frame, rect: &Rect<InFrame>, now: u64) -> bool {
    let Some((index, old)) = &track.look else { return true };
    if now - index > 2 || rect.width() < 24.0 {
        return true;
    }
    correlation(old, &appearance(frame, rect)).is_none_or(|c| c > 0.15)
}

/// Pearson's correlation; `None` where it says nothing (flat or unequal).
fn correlation(a: &[f32], b: &[f32]) -> Option<f32> {
    if a.len() != b.len() || a.is_empty() {
        return None;
    }
    let n = a.len() as f32;
    let (ma, mb) = (a.iter().sum::<f32>() / n, b.iter().sum::<f32>() / n);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        ab += (x - ma) * (y - mb);
        aa += (x - ma).powi(2);
        bb += (y - mb).powi(2);
    }
    (aa / n > 4.0 && bb / n > 4.0).then(|| ab / (aa * bb).sqrt())
}

fn window(networks: &mut Networks, frame: &Frame, place: &Rect<InFrame>, threshold: f32) -> Result<Vec<Detection>> {
    match Look::around(frame, place, WINDOW_GROW, WINDOW_SIDE, threshold) {
        Some(look) => networks.detector.detect(frame, &look),
        None => Ok(Vec::new()),
    }
}

/// Detections that may be a lost track's face, nearest first: in a window where it is expected, else in a wider one.
fn search_one(networks: &mut Networks, frame: &RawFrame, track: &Track, settings: &Settings) -> Result<Vec<Detection>> {
    let place = track.expected(frame.index.0);
    for (grow, side) in [(WINDOW_GROW, WINDOW_SIDE), (WIDER_GROW, WINDOW_SIDE + 64)] {
        // Only tracks that were given out, and lost lately, are worth the second look.
        let lately = frame.index.0 - track.last.index <= WIDER_FRAMES;
        if grow > WINDOW_GROW && (track.id.is_none() || !lately) {
            break;
        }
        let Some(look) = Look::around(&frame.frame, &place, grow, side, settings.weak) else { break };
        let near = |d: &Detection| d.rect.iou(&place).max(d.rect.iou(&track.last.rect));
        let mut found = networks.detector.detect(&frame.frame, &look)?;
        found.retain(|d| {
            near(d) > NEAR
                && d.rect.height() >= settings.min_face
                && track.fits(d)
                && follows(track, &frame.frame, &d.rect, frame.index.0)
        });
        if !found.is_empty() {
            found.sort_by(|a, b| near(b).total_cmp(&near(a)));
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// Whether the second detector sees a face at `rect`; false without one.
fn agrees(networks: &mut Networks, frame: &Frame, rect: &Rect<InFrame>) -> Result<bool> {
    let Some(second) = &mut networks.second else { return Ok(false) };
    let Some(look) = Look::around(frame, rect, 4.0, 640, 0.7) else { return Ok(false) };
    Ok(second.detect(frame, &look)?.iter().any(|d| d.rect.iou(rect) > 0.35))
}

fn landmarks_of(
    networks: &mut Networks,
    frame: &Frame,
    d: &Detection,
    neighbour: Option<&Landmarks>,
    settings: &Settings,
) -> Result<Option<Landmarks>> {
    match &mut networks.landmarks {
        Some(model) if d.rect.height() >= settings.min_landmarks => find_landmarks(&mut **model, frame, d, neighbour),
        _ => Ok(None),
    }
}

/// What is seen of a track in a frame: by its detection, or else by its landmarks alone.
fn observe(
    networks: &mut Networks,
    frame: &RawFrame,
    track: &Track,
    detection: Option<&Detection>,
    settings: &Settings,
) -> Result<Option<Sight>> {
    let index = frame.index.0;
    let known = track.last.landmarks.as_ref().filter(|_| index - track.last.index <= 2);
    if let Some(d) = detection {
        let worth = track.promising(settings.start) || d.score >= settings.start;
        let landmarks = if worth { landmarks_of(networks, &frame.frame, d, known, settings)? } else { None };
        let quality = quality(&frame.frame, d, landmarks.as_ref());
        return Ok(Some(Sight { index, rect: d.rect, detection: Some(*d), landmarks, quality }));
    }
    let (Some(model), Some(known)) = (&mut networks.landmarks, known) else { return Ok(None) };
    let crop = FaceCrop::of_landmarks(known);
    if track.undetected >= LANDMARKS_ALONE || !crop.is_sound() {
        return Ok(None);
    }
    let found = model.landmarks(&frame.frame, &crop)?;
    let (old, new) = (known.bounds(), found.bounds());
    let kept = found.presence >= 0.7 && new.is_valid() && new.iou(&old) > 0.3 && old.is_valid();
    let inside = new.intersection(&whole(&frame.frame)).area() > 0.4 * new.area();
    if !(kept && inside) {
        return Ok(None);
    }
    // The box moves and grows with the mesh.
    let (k, a, b, r) = (new.size() / old.size(), old.centre(), new.centre(), track.last.rect);
    let at = |v: f32, from: f32, to: f32| to + (v - from) * k;
    let rect = Rect::new(at(r.x0, a.x, b.x), at(r.y0, a.y, b.y), at(r.x1, a.x, b.x), at(r.y1, a.y, b.y));
    if !rect.is_valid() || !follows(track, &frame.frame, &rect, index) {
        return Ok(None);
    }
    Ok(Some(Sight { index, rect, detection: None, landmarks: Some(found), quality: 0.0 }))
}

/// How good a picture of a face is for recognition, 0..=1: size, sharpness, frontality and certainty, multiplied.
fn quality(frame: &Frame, d: &Detection, landmarks: Option<&Landmarks>) -> f32 {
    let inside = d.rect.intersection(&whole(frame));
    if !inside.is_valid() || !(d.has_points || landmarks.is_some()) {
        return 0.0;
    }
    let visible = inside.area() / d.rect.area();
    let size = (d.rect.width() / 90.0).min(1.0);
    let side = 32;
    let grid = luma_grid(frame, &inside, side, side);
    let mean = grid.iter().sum::<f32>() / grid.len().max(1) as f32;
    let contrast = grid.iter().map(|v| (v - mean).abs()).sum::<f32>() / grid.len().max(1) as f32;
    let edges: f32 = grid.chunks_exact(side).flat_map(|row| row.windows(2)).map(|w| (w[1] - w[0]).abs()).sum();
    let sharpness = (edges / (side * (side - 1)) as f32 / contrast.max(4.0) / 0.35).min(1.0);
    let points = if d.has_points { d.points } else { landmarks.map_or(d.points, five_points) };
    let (a, b) = (points[0].distance(&points[2]), points[1].distance(&points[2]));
    let frontality = (a.min(b) / a.max(b).max(1e-3)).clamp(0.0, 1.0);
    let presence = landmarks.map_or(0.6, |l| l.presence);
    (d.score * visible * size * sharpness * (0.3 + 0.7 * frontality) * presence).clamp(0.0, 1.0)
}

/// Mean colour of the middle of a face (cheeks and nose), R'G'B'.
fn face_tone(frame: &crate::image::Frame, rect: &Rect<InFrame>) -> [f32; 3] {
    let middle = rect.grown(-0.22, -0.42, -0.22, -0.22);
    middle.to_pixels(frame.width, frame.height).map_or([0.5; 3], |r| frame.mean_rgb(r))
}
