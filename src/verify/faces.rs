//! Finding the faces of the source afresh, without looking at the plan.
//!
//! The detector looks at every frame, or at every n-th if it is told so; then the place is interpolated between two
//! sightings, and where a track begins or ends the frames in between are looked at one by one, in a window. Cuts end tracks.

use super::decode::Pictures;
use super::likeness::points_in_box;
use crate::geom::{InFrame, Point, Rect};
use crate::image::{Frame, RawFrame};
use crate::plan::PlanSample;
use crate::vision::{Detection, Detector, LandmarkModel, Look, find_landmarks, five_of_mesh, suppress};
use crate::{Error, Result};
use std::collections::VecDeque;

/// Sides of the picture that the detector sees: 640 at every look, the others at some.
const SIDES: [usize; 3] = [640, 320, 1280];
/// Lowest score of a face found in the whole picture.
const LEAST: f32 = 0.5;
/// Lowest score of a face searched where one was before.
const LEAST_NEAR: f32 = 0.35;
/// Looks from one closer look to the next: it costs as much as all others together.
const CLOSER_EVERY: u64 = 3;
/// Window around a lost face, in its own sizes.
const WINDOW: f32 = 2.2;
/// Pixels of that window.
const WINDOW_SIDE: usize = 256;
/// Overlap that joins a detection to a track.
const JOIN: f32 = 0.2;
/// Frames for which a lost face is waited for; holes up to this are bridged and count as faces.
const GAP: u64 = 6;
/// Mean difference (of 255 levels, 32 × 18 grid) between looks that is a cut.
const CUT: f32 = 28.0;
/// Frames over which a track must have been seen to be believed without a second opinion, and the mean score it needs then.
const BELIEVED: (u64, f32) = (7, 0.75);
/// Detections that such a track needs.
const LEAST_LOOKS: usize = 3;
/// Frames from one second opinion on a track to the next: neighbours show the same.
const OPINION_EVERY: u64 = 3;
/// A face of this score is believed from one look: the detector has hardly a false alarm there.
const SURE: f32 = 0.9;
/// Score at which the second detector confirms, and the overlap it needs.
const CONFIRM: (f32, f32) = (0.7, 0.35);
/// Faces of this width up that score less than this must fit the landmark model too before one look is believed.
const MESH_WIDTH: f32 = 60.0;
const MESH_SCORE: f32 = 0.75;
/// Smallest face, in pixels of height; below it nobody can be told by the face.
pub(crate) const SMALLEST: f32 = 14.0;
/// Most faces of one frame and most tracks of a film; beyond it the input is refused.
const MOST: (usize, usize) = (200, 200_000);

/// One face in one frame of the source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Face {
    /// Where.
    pub rect: Rect<InFrame>,
    /// Eyes, nose, mouth corners.
    pub points: [Point<InFrame>; 5],
    /// Detector's score; 0 where interpolated.
    pub score: f32,
}

impl Face {
    fn seen(d: &Detection) -> Self {
        let points = if d.has_points { d.points } else { points_in_box(&d.rect) };
        Face { rect: d.rect, points, score: d.score }
    }

    /// A face at the place the plan names.
    pub fn planned(s: &PlanSample) -> Self {
        let mesh = s.points.as_deref().and_then(five_of_mesh);
        Face { rect: s.rect, points: mesh.unwrap_or_else(|| points_in_box(&s.rect)), score: 0.0 }
    }

    fn between(a: &Face, b: &Face, u: f32) -> Self {
        let mix = |p: f32, q: f32| p + (q - p) * u;
        let points =
            std::array::from_fn(|k| Point::new(mix(a.points[k].x, b.points[k].x), mix(a.points[k].y, b.points[k].y)));
        Face { rect: a.rect.lerp(&b.rect, u), points, score: 0.0 }
    }
}

/// One face through consecutive frames of the source.
#[derive(Debug, Clone)]
pub(crate) struct Track {
    /// First frame.
    pub first: u64,
    /// A face for every frame from `first`.
    pub faces: Vec<Face>,
    /// The evidence that this is a face is strong.
    pub confirmed: bool,
    second_opinions: u32,
    looks: (usize, f32),
    print: Option<Vec<f32>>,
}

impl Track {
    fn new(frame: u64, face: Face) -> Self {
        let mut t = Track {
            first: frame,
            faces: vec![face],
            confirmed: false,
            second_opinions: 0,
            looks: (0, 0.0),
            print: None,
        };
        t.count(face.score);
        t
    }

    fn count(&mut self, score: f32) {
        self.looks = (self.looks.0 + 1, self.looks.1 + score);
        let mean = self.looks.1 / self.looks.0 as f32;
        let lasts = self.faces.len() as u64 >= BELIEVED.0 && self.looks.0 >= LEAST_LOOKS;
        self.confirmed |= score >= SURE || lasts && mean >= BELIEVED.1;
    }

    /// One past the last frame.
    pub fn end(&self) -> u64 {
        self.first + self.faces.len() as u64
    }

    fn last(&self) -> Option<&Face> {
        self.faces.last()
    }

    /// The face in a frame.
    pub fn face(&self, frame: u64) -> Option<&Face> {
        self.faces.get(usize::try_from(frame.checked_sub(self.first)?).ok()?)
    }

    /// Adds a sighting; the frames before it are interpolated.
    fn add(&mut self, frame: u64, face: Face) {
        let Some(last) = self.last().copied() else { return };
        let gap = frame.saturating_sub(self.end() - 1);
        for k in 1..gap {
            self.faces.push(Face::between(&last, &face, k as f32 / gap as f32));
        }
        if gap > 0 {
            self.faces.push(face);
        }
        self.count(face.score);
    }

    /// Median width of the face.
    pub fn width(&self) -> f32 {
        let mut w: Vec<f32> = self.faces.iter().map(|f| f.rect.width()).collect();
        w.sort_by(f32::total_cmp);
        w.get(w.len() / 2).copied().unwrap_or(0.0)
    }
}

/// The two detectors, and how often they look.
pub(crate) struct Finder<'a> {
    /// First detector: finds.
    pub first: &'a mut dyn Detector,
    /// Second, of another family: confirms. May be missing.
    pub second: Option<&'a mut dyn Detector>,
    /// Confirms large faces besides: both families take flags and hands for faces. May be missing.
    pub landmarks: Option<&'a mut dyn LandmarkModel>,
    /// Frames from one look to the next, at least 1.
    pub stride: u64,
    /// The detector misses small faces.
    pub closer: bool,
    /// Looks from one at all scales to the next, at least 1.
    pub scales_every: u64,
}

/// What was found in the source.
pub(crate) struct Found {
    /// Tracks by first frame.
    pub tracks: Vec<Track>,
    /// Number of frames.
    pub frames: u64,
}

/// Finds the faces of a film.
///
/// # Errors
/// As the decoder and the detector; `Limit` for absurdly many faces.
pub(crate) fn find(
    film: &mut Pictures,
    finder: &mut Finder,
    seen: &mut dyn FnMut(u64, &Frame) -> Result<()>,
) -> Result<Found> {
    let mut state = State { live: vec![], done: vec![], ring: VecDeque::new(), thumb: None, looks: 0 };
    let mut frames = 0u64;
    while let Some(raw) = film.next()? {
        let at = frames;
        frames += 1;
        if at.is_multiple_of(finder.stride.max(1)) {
            state.look(at, &raw.frame, finder)?;
        }
        seen(at, &raw.frame)?;
        state.ring.push_back((at, raw));
        while state.ring.len() as u64 > finder.stride.max(GAP) {
            state.ring.pop_front();
        }
    }
    // The last frames, if no look fell on them.
    state.lose(frames, finder)?;
    let mut tracks = state.done;
    tracks.append(&mut state.live);
    tracks.sort_by_key(|t| (t.first, t.faces.len()));
    Ok(Found { tracks, frames })
}

struct State {
    live: Vec<Track>,
    done: Vec<Track>,
    /// The frames since the last look, and a few before.
    ring: VecDeque<(u64, RawFrame)>,
    thumb: Option<Vec<f32>>,
    looks: u64,
}

impl State {
    fn look(&mut self, at: u64, frame: &Frame, finder: &mut Finder) -> Result<()> {
        let thumb = grey(frame, 32, 18);
        let difference = self
            .thumb
            .as_ref()
            .map_or(0.0, |old| old.iter().zip(&thumb).map(|(a, b)| (a - b).abs()).sum::<f32>() / thumb.len() as f32);
        self.thumb = Some(thumb);
        let cut = difference > CUT;
        if cut {
            self.lose(at, finder)?;
            self.done.append(&mut self.live);
        }
        let found = self.detect(frame, finder)?;
        let free = self.join(at, frame, found);
        if !cut {
            self.lose(at, finder)?;
            self.search_here(at, frame, finder)?;
        }
        for d in free {
            self.begin(at, frame, &d, finder)?;
        }
        self.confirm(at, frame, finder)?;
        let old: Vec<Track> = std::mem::take(&mut self.live);
        for t in old {
            if at + 1 > t.end() + GAP.max(2 * finder.stride) { self.done.push(t) } else { self.live.push(t) }
        }
        if self.live.len() > MOST.0 || self.done.len() > MOST.1 {
            return Err(Error::Limit(
                "more faces than the limit of what can be checked; cut the film into parts first".into(),
            ));
        }
        Ok(())
    }

    fn detect(&mut self, frame: &Frame, finder: &mut Finder) -> Result<Vec<Detection>> {
        let all = self.looks.is_multiple_of(finder.scales_every.max(1));
        let closer = finder.closer && self.looks.is_multiple_of(CLOSER_EVERY.min(finder.scales_every.max(1)));
        self.looks += 1;
        let large = frame.width.max(frame.height) > 700;
        let mut found = Vec::new();
        for (k, side) in SIDES.into_iter().enumerate() {
            if k == 0 || all && (side < 640 || large) {
                found.extend(finder.first.detect(frame, &Look::at_whole(frame, side, LEAST))?);
            }
        }
        if closer {
            found.extend(finder.first.detect(frame, &Look::closer(frame, LEAST))?);
        }
        let mut found = suppress(found, 0.4);
        found.retain(|d| d.rect.height() >= SMALLEST);
        Ok(found)
    }

    /// Joins detections to live tracks, best overlap first; returns those left over.
    fn join(&mut self, at: u64, frame: &Frame, found: Vec<Detection>) -> Vec<Detection> {
        let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
        for (a, t) in self.live.iter().enumerate() {
            for (b, d) in found.iter().enumerate() {
                let overlap = t.last().map_or(0.0, |f| f.rect.iou(&d.rect));
                if overlap > JOIN {
                    pairs.push((overlap, a, b));
                }
            }
        }
        pairs.sort_by(|x, y| y.0.total_cmp(&x.0).then((x.1, x.2).cmp(&(y.1, y.2))));
        let mut taken = (vec![false; self.live.len()], vec![false; found.len()]);
        for (_, a, b) in pairs {
            if !taken.0[a] && !taken.1[b] && self.live[a].follows(frame, &found[b]) {
                self.live[a].add(at, Face::seen(&found[b]));
                self.live[a].print = Some(print(frame, &found[b].rect));
                taken.0[a] = true;
                taken.1[b] = true;
            }
        }
        found.into_iter().zip(taken.1).filter(|(_, t)| !t).map(|(d, _)| d).collect()
    }

    /// Looks for every track that was not found again, in a window of this frame.
    fn search_here(&mut self, at: u64, frame: &Frame, finder: &mut Finder) -> Result<()> {
        for k in 0..self.live.len() {
            if self.live[k].end() > at {
                continue;
            }
            let Some(last) = self.live[k].last().copied() else { continue };
            let near = near(frame, &last.rect, finder)?;
            let free = |d: &Detection| self.live.iter().all(|t| t.face(at).is_none_or(|f| f.rect.iou(&d.rect) <= 0.4));
            if let Some(d) = near.into_iter().find(|d| free(d))
                && self.live[k].follows(frame, &d)
            {
                self.live[k].add(at, Face::seen(&d));
            }
        }
        Ok(())
    }

    /// Follows tracks that were not found at frame `at` through the frames before it that no look fell on.
    fn lose(&mut self, at: u64, finder: &mut Finder) -> Result<()> {
        if finder.stride <= 1 {
            return Ok(());
        }
        let State { live, ring, .. } = self;
        for t in live.iter_mut().filter(|t| t.end() < at) {
            for (frame, raw) in ring.iter().filter(|(f, _)| *f < at) {
                if *frame != t.end() {
                    continue;
                }
                let Some(last) = t.last().copied() else { break };
                let Some(d) = near(&raw.frame, &last.rect, finder)?.into_iter().next() else { break };
                if !t.follows(&raw.frame, &d) {
                    break;
                }
                t.faces.push(Face::seen(&d));
            }
        }
        Ok(())
    }

    /// Starts a track and follows it back through the frames since the last look.
    fn begin(&mut self, at: u64, frame: &Frame, d: &Detection, finder: &mut Finder) -> Result<()> {
        if self.live.iter().any(|t| t.face(at).is_some_and(|f| f.rect.iou(&d.rect) > 0.4)) {
            return Ok(());
        }
        let face = Face::seen(d);
        let mut before = Vec::new();
        let mut last = face;
        let mut track = Track::new(at, face);
        track.print = Some(print(frame, &face.rect));
        for (number, raw) in self.ring.iter().rev() {
            if *number + 1 + before.len() as u64 != at {
                break;
            }
            let taken =
                |r: &Rect<InFrame>| self.live.iter().any(|t| t.face(*number).is_some_and(|f| f.rect.iou(r) > 0.3));
            let found = near(&raw.frame, &last.rect, finder)?;
            let Some(d) = found.into_iter().next().filter(|d| !taken(&d.rect)) else { break };
            if !track.follows(&raw.frame, &d) {
                break;
            }
            last = Face::seen(&d);
            before.push(last);
        }
        track.first -= before.len() as u64;
        before.reverse();
        before.push(face);
        track.faces = before;
        self.live.push(track);
        Ok(())
    }

    /// Asks the second detector about young tracks that are not yet believed.
    fn confirm(&mut self, at: u64, frame: &Frame, finder: &mut Finder) -> Result<()> {
        let Some(second) = finder.second.as_deref_mut() else { return Ok(()) };
        // At once, for it may be gone again, and then every so often.
        let due = |t: &Track| t.second_opinions == 0 || t.second_opinions < 5 && at.is_multiple_of(OPINION_EVERY);
        for t in self.live.iter_mut().filter(|t| !t.confirmed && t.end() == at + 1 && due(t)) {
            let Some(face) = t.faces.last().copied() else { continue };
            t.second_opinions += 1;
            let Some(look) = Look::around(frame, &face.rect, 4.0, 640, CONFIRM.0) else { continue };
            let agreed = second.detect(frame, &look)?.iter().any(|d| d.rect.iou(&face.rect) > CONFIRM.1);
            let large = face.rect.width() >= MESH_WIDTH && face.score < MESH_SCORE;
            t.confirmed = agreed
                && match finder.landmarks.as_deref_mut() {
                    Some(model) if large => {
                        let seen = Detection { points: face.points, ..Detection::from_box(face.rect, face.score) };
                        find_landmarks(model, frame, &seen, None)?.is_some()
                    }
                    _ => true,
                };
        }
        Ok(())
    }
}

impl Track {
    /// Whether a detection looks like the track's face; false after a change to somebody else at the same place.
    fn follows(&self, frame: &Frame, d: &Detection) -> bool {
        let Some(old) = &self.print else { return true };
        let new = print(frame, &d.rect);
        let least = if d.rect.width() >= 24.0 { 0.35 } else { 0.15 };
        pearson(old, &new) > least
    }
}

/// Faces in a window around a place, that overlap it.
fn near(frame: &Frame, place: &Rect<InFrame>, finder: &mut Finder) -> Result<Vec<Detection>> {
    let Some(look) = Look::around(frame, place, WINDOW, WINDOW_SIDE, LEAST_NEAR) else { return Ok(Vec::new()) };
    let mut found = finder.first.detect(frame, &look)?;
    found.retain(|d| d.rect.iou(place) > JOIN && d.rect.height() >= SMALLEST);
    found.sort_by(|a, b| b.rect.iou(place).total_cmp(&a.rect.iou(place)));
    Ok(found)
}

/// A face as 16 × 16 grey values.
fn print(frame: &Frame, rect: &Rect<InFrame>) -> Vec<f32> {
    let (w, h) = (rect.width() / 16.0, rect.height() / 16.0);
    let at = |x: f32, y: f32| luma(frame, rect.x0 + x * w, rect.y0 + y * h);
    let mut out = Vec::with_capacity(256);
    for y in 0..16 {
        for x in 0..16 {
            let (x, y) = (x as f32, y as f32);
            out.push(
                (at(x + 0.25, y + 0.25) + at(x + 0.75, y + 0.25) + at(x + 0.25, y + 0.75) + at(x + 0.75, y + 0.75))
                    / 4.0,
            );
        }
    }
    out
}

/// The whole picture as a small grid of grey means (of 8 × 8 samples each), 0..=255.
fn grey(frame: &Frame, width: usize, height: usize) -> Vec<f32> {
    let (w, h) = (frame.width as f32 / width as f32, frame.height as f32 / height as f32);
    let mut out = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            let mut sum = 0.0;
            for k in 0..64 {
                let (u, v) = ((k % 8) as f32 / 8.0, (k / 8) as f32 / 8.0);
                sum += luma(frame, (x as f32 + u) * w, (y as f32 + v) * h);
            }
            out.push(sum / 64.0);
        }
    }
    out
}

/// First plane (luma, or green) at a place, 0..=255.
fn luma(frame: &Frame, x: f32, y: f32) -> f32 {
    let x = (x.max(0.0) as usize).min(frame.width.saturating_sub(1));
    let y = (y.max(0.0) as usize).min(frame.height.saturating_sub(1));
    frame.planes.first().map_or(0.0, |p| p.samples.get(y * p.width + x)) * 255.0 / frame.max_value()
}

fn pearson(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len()).max(1) as f32;
    let (ma, mb) = (a.iter().sum::<f32>() / n, b.iter().sum::<f32>() / n);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        ab += (x - ma) * (y - mb);
        aa += (x - ma) * (x - ma);
        bb += (y - mb) * (y - mb);
    }
    if aa * bb > 1e-6 { ab / (aa * bb).sqrt() } else { 1.0 }
}

#[cfg(test)]
impl Track {
    /// A still face.
    pub(crate) fn for_test(first: u64, n: usize, rect: Rect<InFrame>) -> Self {
        let face = Face { rect, points: points_in_box(&rect), score: 0.95 };
        let mut t = Track::new(first, face);
        t.faces = vec![face; n];
        t
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{ColorDesc, ColorModel, PixelLayout, Samples};

    /// Sees one face, with this score, in frames of these brightnesses.
    struct Sees(Vec<u8>, f32);

    impl Detector for Sees {
        fn detect(&mut self, frame: &Frame, look: &Look) -> Result<Vec<Detection>> {
            let there = self.0.contains(&(frame.planes[0].samples.get(0) as u8)) && self.1 >= look.threshold;
            let face = Detection::from_box(Rect::new(20.0, 20.0, 60.0, 70.0), self.1);
            Ok(if there { vec![face] } else { vec![] })
        }
    }

    /// Tracks of a film of 12 grey frames, in some of which the first detector sees a face, and the second too if it `agrees`.
    fn tracks(shown: std::ops::Range<u8>, agrees: bool) -> Vec<Track> {
        let (mut first, mut second) = (Sees(shown.clone().collect(), 0.7), Sees(shown.collect(), 0.8));
        second.1 = if agrees { 0.8 } else { 0.1 };
        let mut finder = Finder {
            first: &mut first,
            second: Some(&mut second),
            landmarks: None,
            stride: 1,
            closer: false,
            scales_every: 5,
        };
        let mut state = State { live: vec![], done: vec![], ring: VecDeque::new(), thumb: None, looks: 0 };
        let layout = PixelLayout { model: ColorModel::Gray, depth: 8, log2_chroma_w: 0, log2_chroma_h: 0 };
        for at in 0..12u8 {
            let mut frame = Frame::black(160, 120, layout, ColorDesc::default());
            frame.planes[0].samples = Samples::U8(vec![at; 160 * 120]);
            state.look(u64::from(at), &frame, &mut finder).unwrap();
        }
        state.done.append(&mut state.live);
        state.done
    }

    #[test]
    fn a_face_of_one_frame_is_found_and_confirmed_wherever_it_falls() {
        for at in 0..12 {
            let found = tracks(at..at + 1, true);
            let [t] = &found[..] else { panic!("{} tracks at {at}", found.len()) };
            assert!(t.confirmed && (t.first, t.end()) == (u64::from(at), u64::from(at) + 1), "at {at}");
        }
        assert!(tracks(4..6, false).iter().all(|t| !t.confirmed), "one word is not enough");
        assert!(tracks(2..11, false).iter().all(|t| !t.confirmed), "nor a weak one for long");
    }
}
