//! The vision stage: frames in, events out.

use super::detect::{Look, plan, suppress};
use super::picture::is_sound;
use super::pool::{Networks, Pool};
use super::shots::{Thumbnail, is_cut};
use super::tracker::{Seen, Settings, Tracker};
use super::types::{Detection, Recall, VisionEvent};
use crate::error::{Error, Result};
use crate::image::RawFrame;
use crate::infer::{ModelSet, Role, Runtime};
use std::collections::VecDeque;
use std::sync::Arc;

/// Frames whose detection is shared among the workers at a time. Constant, so that results do not depend on the number
/// of workers.
const BATCH: usize = 4;
/// Most pixels of a frame, 16K by 16K.
const MAX_PIXELS: usize = 1 << 28;
/// Smallest face, box height in pixels, where little evidence is enough: printed cloth and leaves are full of smaller ones,
/// and the attack takes nobody under 14 pixels for told.
const LEAST_CAUTIOUS: f32 = 12.0;
/// Shots need this many frames before another cut is believed.
const LEAST_SHOT: u64 = 3;

/// Choices for an [`Analyser`].
#[derive(Debug, Clone, Copy)]
pub struct AnalyserOptions {
    /// Frames per second; sets how long lost faces stay covered (about half a second).
    pub fps: f32,
    /// Smallest face, box height in pixels.
    pub min_face_px: f32,
    /// Smallest face that gets landmarks, box height in pixels.
    pub min_landmarks_px: f32,
    /// Sets of networks that share the work, at least 1. Results do not depend on it.
    pub workers: usize,
    /// Whether to take little evidence for a face. Set by [`Analyser::new`] where only built-in networks look: they
    /// see less surely, and covering what is no face harms nobody.
    pub cautious: bool,
}

impl Default for AnalyserOptions {
    fn default() -> Self {
        AnalyserOptions { fps: 25.0, min_face_px: 10.0, min_landmarks_px: 24.0, workers: 1, cautious: false }
    }
}

/// Finds shots and follows faces. A [`VisionEvent`] is given out as soon as it is final; memory does not grow with the
/// film.
pub struct Analyser {
    pool: Pool,
    tracker: Tracker,
    recall: Recall,
    settings: Settings,
    queue: VecDeque<(Arc<RawFrame>, Thumbnail)>,
    before: Option<Thumbnail>,
    shot_start: u64,
    next: u64,
    failed: bool,
}

impl Analyser {
    /// An analyser on the strongest installed networks.
    ///
    /// # Errors
    /// `Model` if a network is missing or cannot be opened.
    pub fn new(models: &ModelSet, runtime: &Runtime, recall: Recall, options: AnalyserOptions) -> Result<Self> {
        let workers =
            (0..options.workers.clamp(1, 64)).map(|_| Networks::open(models, runtime)).collect::<Result<_>>()?;
        let cautious = options.cautious || models.is_built_in(Role::Detector);
        Self::with_networks(workers, recall, AnalyserOptions { cautious, ..options })
    }

    /// An analyser on given networks, one set per worker. All sets must behave alike.
    ///
    /// # Errors
    /// `Model` if there is no set.
    pub fn with_networks(workers: Vec<Networks>, recall: Recall, options: AnalyserOptions) -> Result<Self> {
        let fps = if options.fps.is_finite() { options.fps.clamp(5.0, 240.0) } else { 25.0 };
        let lenient = recall == Recall::Max || (options.cautious && recall != Recall::Draft);
        let settings = Settings {
            start: if lenient { 0.42 } else { 0.5 },
            lenient,
            weak: if lenient { 0.25 } else { 0.3 },
            min_face: if options.cautious { options.min_face_px.max(LEAST_CAUTIOUS) } else { options.min_face_px },
            min_landmarks: options.min_landmarks_px,
            lost: (0.5 * fps).round() as u64,
            lead: (0.2 * fps).round() as u64,
            windows: recall != Recall::Draft,
            // `max` treats everything.
            verify: recall != Recall::Max,
        };
        Ok(Analyser {
            pool: Pool::new(workers)?,
            tracker: Tracker::new(settings),
            recall,
            settings,
            queue: VecDeque::new(),
            before: None,
            shot_start: 0,
            next: 0,
            failed: false,
        })
    }

    /// Takes the next frame; frames must be numbered from 0 without holes.
    ///
    /// # Errors
    /// `Model` if a network fails, `Input` if the frame is malformed or out of order, `Limit` if it is too large or
    /// shows too many faces, and whatever `emit` returns. After an error nothing more is accepted.
    pub fn push(&mut self, frame: Arc<RawFrame>, emit: &mut dyn FnMut(VisionEvent) -> Result<()>) -> Result<()> {
        self.guard(|this| {
            let index = frame.index.0;
            if index != this.next {
                return Err(Error::Input(format!("frame {index} came where frame {} was due", this.next)));
            }
            if !is_sound(&frame.frame) {
                return Err(Error::Input(format!("frame {index} is malformed")));
            }
            if frame.frame.width.saturating_mul(frame.frame.height) > MAX_PIXELS {
                return Err(Error::Limit(format!("frame {index} is too large to analyse")));
            }
            this.next += 1;
            let thumbnail = Thumbnail::of(&frame.frame);
            this.queue.push_back((frame, thumbnail));
            if this.queue.len() > BATCH { this.advance(BATCH, emit) } else { Ok(()) }
        })
    }

    /// Gives out all that is left. Call it once, at the end.
    ///
    /// # Errors
    /// As [`Analyser::push`].
    pub fn finish(&mut self, emit: &mut dyn FnMut(VisionEvent) -> Result<()>) -> Result<()> {
        self.guard(|this| {
            this.advance(this.queue.len(), emit)?;
            this.tracker.finish(emit)
        })
    }

    /// After a failure the state is not to be trusted: everything later fails too.
    fn guard(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.failed {
            return Err(Error::Cancelled);
        }
        let result = work(self);
        self.failed = result.is_err();
        result
    }

    /// Analyses the first `count` queued frames.
    fn advance(&mut self, count: usize, emit: &mut dyn FnMut(VisionEvent) -> Result<()>) -> Result<()> {
        let mut jobs = Vec::with_capacity(count);
        for _ in 0..count {
            let Some((frame, thumbnail)) = self.queue.pop_front() else { break };
            let next = self.queue.front().map(|(_, t)| t);
            let index = frame.index.0;
            let long_enough = index >= self.shot_start + LEAST_SHOT;
            let cut = long_enough && self.before.as_ref().is_some_and(|b| is_cut(b, &thumbnail, next));
            if cut {
                self.shot_start = index;
            }
            self.before = Some(thumbnail);
            jobs.push((frame, cut, index - self.shot_start));
        }
        let (recall, weak) = (self.recall, self.settings.weak);
        let found =
            self.pool.map(&jobs, |networks, (frame, _, position)| detect(networks, frame, recall, *position, weak))?;
        for ((frame, cut, _), detections) in jobs.into_iter().zip(found) {
            let looked = detections.is_some();
            let seen = Seen { frame, detections: detections.unwrap_or_default(), cut, looked };
            self.tracker.step(&mut self.pool, seen, emit)?;
        }
        Ok(())
    }
}

/// All planned looks at a frame, joined; `None` if none was planned.
fn detect(
    networks: &mut Networks,
    frame: &RawFrame,
    recall: Recall,
    position: u64,
    weak: f32,
) -> Result<Option<Vec<Detection>>> {
    let looks = plan(&frame.frame, recall, position, weak);
    if looks.is_empty() {
        return Ok(None);
    }
    let mut all = Vec::new();
    if networks.closer && recall == Recall::Standard {
        all.extend(networks.detector.detect(&frame.frame, &Look::closer(&frame.frame, weak))?);
    }
    for (second, look) in &looks {
        match (second, &mut networks.second) {
            (false, _) => all.extend(networks.detector.detect(&frame.frame, look)?),
            (true, Some(detector)) => all.extend(detector.detect(&frame.frame, look)?),
            (true, None) => {}
        }
        if *second {
            for detector in &mut networks.others {
                all.extend(detector.detect(&frame.frame, look)?);
            }
        }
    }
    Ok(Some(suppress(all, 0.4)))
}
