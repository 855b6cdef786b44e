//! Film to plan.

use super::checkpoint::{ANALYSIS, Checkpoint};
use super::watch::Watch;
use super::{Cancel, Progress, first_cause, join, queue_len};
use crate::geom::{InFrame, Rect};
use crate::image::RawFrame;
use crate::infer::BUILT_IN_EMBEDDING;
use crate::media::{DecodeOptions, Limits, VideoReader};
use crate::plan::{
    Finding, ModelUsed, Origin, PLAN_VERSION, Plan, PlanPerson, PlanSample, PlanTrack, SampleBlock, VideoSummary,
    fingerprint,
};
use crate::units::FrameIndex;
use crate::vision::{Analyser, FaceSample, Provenance, Recall, TrackSummary, VisionEvent, cluster_people};
use crate::{Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Samples per block of a plan.
const BLOCK: usize = 128;
/// Detector score from which something is a face even if no mesh ever fitted it (seen from behind, masked).
const SURE_SCORE: f32 = 0.7;
/// Faces of this width (pixels) up are large enough for the mesh: where it fits in less than one frame in ten of so many
/// seconds, a detector below [`REFUSED_SCORE`] has seen a flag, a hand, a shirt. Over 45 films, all 15 such tracks of
/// any length were none; the short ones are averaged away all the same, because that costs little.
const REFUSED_WIDTH: f32 = 60.0;
const REFUSED_SCORE: f32 = 0.75;
const REFUSED_SECS: f64 = 2.0;
/// Most of a face that the picture's edge cuts off is seen less than this, and for this share of its frames: no mesh fits
/// half a face, so that it fits none says nothing.
const CUT_SEEN: f32 = 0.85;
const CUT_FRAMES: f32 = 0.25;
/// Score from which a face that the mesh never fits is one in profile, or half hidden.
const PROFILE_SCORE: f32 = 0.8;

/// Two tracks seen together for at most so many frames may be one face, if their boxes overlap by this much on average.
const MOST_TOGETHER: u64 = 250;
const ONE_FACE: f32 = 0.12;

/// Share of a box that lies within a face's, how near to its middle in half its size, and the most of its area.
const ON_FACE: (f32, f32, f32) = (0.85, 0.85, 0.75);

/// What to analyse.
pub struct AnalyseJob<'a> {
    /// The film.
    pub input: &'a Path,
    /// Bounds on hostile input.
    pub limits: &'a Limits,
    /// Process what decodes of a damaged file.
    pub salvage: bool,
    /// How carefully to look.
    pub recall: Recall,
    /// Networks that take part, for the plan.
    pub models: Vec<ModelUsed>,
    /// Decoder threads.
    pub threads: usize,
    /// Most faces (tracks) in a film.
    pub max_tracks: usize,
    /// Remembers what networks answered.
    pub checkpoint: &'a Checkpoint<'a>,
}

/// Looks at every frame and returns the plan.
///
/// # Errors
/// `Input` if the film cannot be decoded or has no frame, `Model` if a network fails, `Limit` beyond the limits.
pub fn analyse(job: &AnalyseJob, analyser: Analyser, progress: &dyn Progress, cancel: &Cancel) -> Result<Plan> {
    let watch = Watch::begin(job.input)?;
    let source = fingerprint(job.input)?;
    let options = DecodeOptions { threads: job.threads, salvage: job.salvage };
    let reader = VideoReader::open(job.input, job.limits, options)?;
    let info = reader.info().clone();
    let bytes = info.layout.frame_bytes(info.width, info.height);
    progress.begin("analysing", info.frame_count_hint);
    let (tx, rx) = bounded::<RawFrame>(queue_len(bytes));
    let (collected, damage) = std::thread::scope(|scope| -> Result<(Collected, Vec<Finding>)> {
        let decode = std::thread::Builder::new()
            .name("decode".into())
            .spawn_scoped(scope, move || decode_all(reader, tx, cancel))
            .map_err(|e| Error::io("cannot start a thread", "-", e))?;
        let seen = look_at_all(job, analyser, rx, progress);
        let decoded = join(decode, "decoder");
        match (seen, decoded) {
            (Ok(seen), Ok(damage)) => Ok((seen, damage)),
            (seen, decoded) => {
                first_cause(vec![seen.map(|_| ()), decoded.map(|_| ())])?;
                Err(Error::Cancelled)
            }
        }
    })?;
    progress.end();
    watch.check()?;
    if collected.frames == 0 {
        return Err(Error::Input("the film has no picture that can be decoded".into()));
    }
    let video = VideoSummary {
        width: info.width,
        height: info.height,
        frames: collected.frames,
        fps: if info.avg_frame_rate.is_finite() && info.avg_frame_rate > 0.0 { info.avg_frame_rate } else { 25.0 },
        time_base: info.time_base,
        start: collected.first_pts,
    };
    let mut plan = collected.into_plan(job, source, video)?;
    plan.findings.extend(damage);
    Ok(plan)
}

fn decode_all(mut reader: VideoReader, to: Sender<RawFrame>, cancel: &Cancel) -> Result<Vec<Finding>> {
    while let Some(raw) = reader.next()? {
        cancel.check()?;
        to.send(raw).map_err(|_gone| Error::Cancelled)?;
    }
    let damage = reader.damage();
    let count = damage.packets + damage.frames;
    Ok(if damage.is_none() {
        vec![]
    } else {
        vec![Finding {
            kind: "input.damaged".into(),
            frame: None,
            track: None,
            count: count.max(1),
            note: "parts of the input could not be decoded and are missing from the film".into(),
        }]
    })
}

/// What the events of the analyser add up to.
#[derive(Default)]
struct Collected {
    frames: u64,
    first_pts: i64,
    cuts: Vec<u64>,
    tracks: BTreeMap<u32, TrackSoFar>,
    summaries: Vec<TrackSummary>,
}

#[derive(Default)]
struct TrackSoFar {
    first: u64,
    next: u64,
    open: Vec<PlanSample>,
    blocks: Vec<SampleBlock>,
    widths: Vec<f32>,
    meshes: u64,
}

fn look_at_all(
    job: &AnalyseJob,
    mut analyser: Analyser,
    from: Receiver<RawFrame>,
    progress: &dyn Progress,
) -> Result<Collected> {
    let mut all = Collected::default();
    job.checkpoint.begin(ANALYSIS);
    for raw in &from {
        if all.frames == 0 {
            all.first_pts = raw.pts.0;
        }
        all.frames += 1;
        let frames = all.frames;
        analyser.push(Arc::new(raw), &mut |event| all.take(event, job.max_tracks))?;
        job.checkpoint.step();
        progress.step(frames);
    }
    analyser.finish(&mut |event| all.take(event, job.max_tracks))?;
    job.checkpoint.step();
    Ok(all)
}

impl Collected {
    /// Tracks that are no more than a part of a sure face: never sure themselves, and always with their middle on that face and
    /// little beside it. Whatever they are, that face is treated where they lie.
    fn on_faces(&self, recall: Recall) -> Result<BTreeSet<u32>> {
        let mut all = BTreeSet::new();
        let is_weak = |s: &&TrackSummary| !s.confirmed && s.max_score < REFUSED_SCORE && recall != Recall::Max;
        for weak in self.summaries.iter().filter(is_weak) {
            let Some(t) = self.tracks.get(&weak.track) else { continue };
            let rects = t.rects(t.first, t.next)?;
            let mut open: BTreeSet<u64> = (t.first..t.next).collect();
            for sure in self.summaries.iter().filter(|s| s.confirmed && s.max_score >= PROFILE_SCORE) {
                let Some(face) = self.tracks.get(&sure.track) else { continue };
                let (from, to) = (t.first.max(face.first), t.next.min(face.next));
                if from >= to {
                    continue;
                }
                for ((at, own), face) in (from..).zip(&rects[(from - t.first) as usize..]).zip(face.rects(from, to)?) {
                    if lies_on(own, &face) {
                        open.remove(&at);
                    }
                }
            }
            if !rects.is_empty() && open.is_empty() {
                all.insert(weak.track);
            }
        }
        Ok(all)
    }

    fn take(&mut self, event: VisionEvent, max_tracks: usize) -> Result<()> {
        match event {
            VisionEvent::Shot { range } => {
                if range.start.0 > 0 {
                    self.cuts.push(range.start.0);
                }
            }
            VisionEvent::Samples { track, samples } => {
                let so_far = self.tracks.entry(track).or_default();
                for sample in samples {
                    so_far.push(sample)?;
                }
                if self.tracks.len() > max_tracks {
                    return Err(Error::Limit(format!(
                        "more than the limit of {max_tracks} faces were found; cut the film into parts first"
                    )));
                }
            }
            VisionEvent::TrackEnd { summary, .. } => self.summaries.push(summary),
        }
        Ok(())
    }

    fn into_plan(
        mut self,
        job: &AnalyseJob,
        source: crate::plan::SourceFingerprint,
        video: VideoSummary,
    ) -> Result<Plan> {
        self.summaries.sort_by_key(|s| s.track);
        for t in self.tracks.values_mut() {
            t.close_block()?;
        }
        // A weak recogniser takes strangers for one person; who is nobody else's is protected on their own.
        let apart = job.models.iter().any(|m| m.name == BUILT_IN_EMBEDDING);
        let persons: BTreeMap<u32, u32> = if apart {
            self.summaries.iter().map(|s| s.track).zip(0..).collect()
        } else {
            cluster_people(&self.summaries, &self.one_place()?).into_iter().collect()
        };
        let on_faces = self.on_faces(job.recall)?;
        let mut findings = Vec::new();
        let mut tracks = Vec::new();
        for (id, mut t) in std::mem::take(&mut self.tracks) {
            if t.blocks.is_empty() {
                continue;
            }
            let summary = self.summaries.iter().find(|s| s.track == id);
            t.widths.sort_by(f32::total_cmp);
            let width_px = t.widths.get(t.widths.len() / 2).copied().unwrap_or(0.0);
            let max_score = summary.map_or(0.0, |s| s.max_score);
            let frames = t.next - t.first;
            let meshless = t.meshes * 10 < frames && width_px >= REFUSED_WIDTH && max_score < PROFILE_SCORE;
            let lasting = frames as f64 >= REFUSED_SECS * video.fps;
            let refused = meshless && lasting && max_score < REFUSED_SCORE && job.recall != Recall::Max;
            if refused && !is_cut_off(&t.rects(t.first, t.next)?, &video) {
                findings.push(Finding {
                    kind: "track.refused".into(),
                    frame: Some(t.first),
                    track: None,
                    count: frames,
                    note: "a detector took something for a face, but no landmarks fit it: left as filmed; if it is a face, use --recall max".into(),
                });
                continue;
            }
            let disbelieved = summary.is_some_and(|s| s.disbelieved);
            if disbelieved && !is_cut_off(&t.rects(t.first, t.next)?, &video) {
                findings.push(Finding {
                    kind: "track.disbelieved".into(),
                    frame: Some(t.first),
                    track: None,
                    count: frames,
                    note: "the built-in detector took something for a face, and a second look says that it is none: left as filmed; if it is a face, use --recall max or install a pack".into(),
                });
                continue;
            }
            if on_faces.contains(&id) {
                findings.push(Finding {
                    kind: "track.within".into(),
                    frame: Some(t.first),
                    track: None,
                    count: frames,
                    note:
                        "a detector took a part of a face, or what lies on it, for another face: treated with that face"
                            .into(),
                });
                continue;
            }
            // A middling score and never a mesh: a flag, a hand. It is averaged away in place, not taken for a head.
            let confirmed =
                summary.is_some_and(|s| s.confirmed && !meshless && (t.meshes > 0 || max_score >= SURE_SCORE));
            if !confirmed {
                findings.push(Finding {
                    kind: "track.weak".into(),
                    frame: Some(t.first),
                    track: Some(id),
                    count: frames,
                    note: "this may not be a face; it is treated as one".into(),
                });
            }
            tracks.push(PlanTrack {
                id,
                person: persons.get(&id).copied().unwrap_or(1_000_000 + id),
                first: FrameIndex(t.first),
                end: FrameIndex(t.next),
                confirmed,
                max_score,
                width_px,
                blocks: t.blocks,
            });
        }
        let people = people_of(&tracks, &self.summaries);
        Ok(Plan {
            version: PLAN_VERSION,
            source_path: job.input.to_string_lossy().into_owned(),
            source,
            video,
            recall: job.recall.to_string(),
            models: job.models.clone(),
            cuts: self.cuts,
            tracks,
            people,
            findings,
            salvaged: job.salvage,
        })
    }
}

/// Whether a box lies on a face: its middle within the oval of the face's box, most of it within the box, and smaller.
fn lies_on(own: &Rect<InFrame>, face: &Rect<InFrame>) -> bool {
    let (c, f) = (own.centre(), face.centre());
    let (x, y) = ((c.x - f.x) / face.width().max(1e-3), (c.y - f.y) / face.height().max(1e-3));
    let within = own.intersection(face).area() >= ON_FACE.0 * own.area();
    within && x.hypot(y) <= 0.5 * ON_FACE.1 && own.area() <= ON_FACE.2 * face.area()
}

/// Whether the picture's edge cuts a face off long enough.
fn is_cut_off(rects: &[Rect<InFrame>], video: &VideoSummary) -> bool {
    let frame = Rect::new(0.0, 0.0, video.width as f32, video.height as f32);
    let cut = rects.iter().filter(|r| r.intersection(&frame).area() < CUT_SEEN * r.area()).count();
    cut as f32 >= CUT_FRAMES * rects.len() as f32
}

impl Collected {
    /// Pairs of tracks that lie on one face where both were seen: something in front of it parted it.
    fn one_place(&self) -> Result<BTreeSet<(u32, u32)>> {
        let mut pairs = BTreeSet::new();
        for (k, a) in self.summaries.iter().enumerate() {
            for b in &self.summaries[k + 1..] {
                let (from, to) = (a.first_seen.max(b.first_seen).0, a.last_seen.min(b.last_seen).0 + 1);
                if from >= to || to - from > MOST_TOGETHER {
                    continue;
                }
                let (Some(p), Some(q)) = (self.tracks.get(&a.track), self.tracks.get(&b.track)) else { continue };
                let (p, q) = (p.rects(from, to)?, q.rects(from, to)?);
                let common = p.len().min(q.len());
                let overlap: f32 = p.iter().zip(&q).map(|(p, q)| p.iou(q)).sum();
                if common > 0 && overlap >= ONE_FACE * common as f32 {
                    pairs.insert((a.track.min(b.track), a.track.max(b.track)));
                }
            }
        }
        Ok(pairs)
    }
}

impl TrackSoFar {
    /// Boxes of frames `from..to`, as far as the track has them from `from` on.
    fn rects(&self, from: u64, to: u64) -> Result<Vec<Rect<InFrame>>> {
        let mut out = Vec::new();
        for block in self.blocks.iter().filter(|b| b.first < to && b.first + u64::from(b.len) > from) {
            let samples = block.unpack()?.into_iter().enumerate();
            out.extend(samples.filter(|(i, _)| (from..to).contains(&(block.first + *i as u64))).map(|(_, s)| s.rect));
        }
        Ok(out)
    }

    fn push(&mut self, sample: FaceSample) -> Result<()> {
        if self.blocks.is_empty() && self.open.is_empty() {
            self.first = sample.frame.0;
            self.next = sample.frame.0;
        }
        if sample.frame.0 != self.next {
            return Err(Error::Model("the tracker left a hole in a track; this is a defect of this program".into()));
        }
        self.next += 1;
        self.widths.push(sample.rect.width());
        self.meshes += u64::from(sample.landmarks.is_some());
        if self.widths.len() > 4096 {
            let mut keep = false;
            self.widths.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.open.push(PlanSample {
            rect: sample.rect,
            score: sample.score,
            origin: match sample.provenance {
                Provenance::Detected => Origin::Detected,
                Provenance::Tracked => Origin::Tracked,
                Provenance::Interpolated => Origin::Interpolated,
                Provenance::Predicted => Origin::Predicted,
            },
            points: sample.landmarks.map(|l| l.points),
        });
        if self.open.len() >= BLOCK { self.close_block() } else { Ok(()) }
    }

    fn close_block(&mut self) -> Result<()> {
        if !self.open.is_empty() {
            let first = self.next - self.open.len() as u64;
            self.blocks.push(SampleBlock::pack(first, &self.open)?);
            self.open.clear();
        }
        Ok(())
    }
}

/// People with their tracks, mean embedding and mean skin colour.
fn people_of(tracks: &[PlanTrack], summaries: &[TrackSummary]) -> Vec<PlanPerson> {
    let mut people: BTreeMap<u32, PlanPerson> = BTreeMap::new();
    let mut weights: BTreeMap<u32, f32> = BTreeMap::new();
    for t in tracks {
        let p = people.entry(t.person).or_insert_with(|| PlanPerson {
            id: t.person,
            tracks: vec![],
            embedding: vec![],
            tone: [0.0; 3],
            frames: 0,
        });
        p.tracks.push(t.id);
        p.frames += t.len();
        let Some(s) = summaries.iter().find(|s| s.track == t.id) else { continue };
        let weight = t.len() as f32;
        let total = weights.entry(t.person).or_insert(0.0);
        *total += weight;
        for (mean, v) in p.tone.iter_mut().zip(s.tone) {
            *mean += (v - *mean) * weight / total.max(1e-6);
        }
        for (quality, e) in &s.embeddings {
            p.embedding.resize(e.0.len(), 0.0);
            for (sum, v) in p.embedding.iter_mut().zip(&e.0) {
                *sum += quality * v;
            }
        }
    }
    let mut people: Vec<PlanPerson> = people.into_values().collect();
    for p in &mut people {
        let norm = p.embedding.iter().map(|v| v * v).sum::<f32>().sqrt();
        if norm > 1e-6 {
            p.embedding.iter_mut().for_each(|v| *v /= norm);
        } else {
            p.embedding.clear();
        }
    }
    people
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::TimeBase;
    use crate::vision::FaceSample;

    /// The plan of one track of 30 frames whose box begins at `x` in a picture of 320 × 240.
    fn plan(x: f32, disbelieved: bool) -> Plan {
        plan_of(&[(Rect::new(x, 80.0, x + 30.0, 120.0), 0.5, disbelieved, 30)])
    }

    /// The plan of tracks from the first frame on: box, score, whether the verifier disbelieves them, frames. A score of 0.9 is sure.
    fn plan_of(tracks: &[(Rect<InFrame>, f32, bool, u64)]) -> Plan {
        let mut all = Collected { frames: 30, ..Collected::default() };
        for (id, track) in (0..).zip(tracks) {
            take(&mut all, id, *track);
        }
        let (limits, checkpoint) = (Limits::default(), Checkpoint::default());
        let job = AnalyseJob {
            input: Path::new("film"),
            limits: &limits,
            salvage: false,
            recall: Recall::Standard,
            models: vec![],
            threads: 1,
            max_tracks: 10,
            checkpoint: &checkpoint,
        };
        let source = crate::plan::SourceFingerprint { bytes: 0, sha256: String::new() };
        let time_base = TimeBase::new(1, 25).unwrap();
        let video = VideoSummary { width: 320, height: 240, frames: 30, fps: 25.0, time_base, start: 0 };
        all.into_plan(&job, source, video).unwrap()
    }

    fn take(all: &mut Collected, track: u32, (rect, score, disbelieved, n): (Rect<InFrame>, f32, bool, u64)) {
        let sample = |k| FaceSample {
            frame: FrameIndex(k),
            rect,
            score,
            provenance: Provenance::Detected,
            landmarks: None,
            quality: 0.1,
        };
        let summary = TrackSummary {
            track,
            first: FrameIndex(0),
            last: FrameIndex(n - 1),
            first_seen: FrameIndex(0),
            last_seen: FrameIndex(n - 1),
            embeddings: vec![],
            tone: [0.5; 3],
            max_score: score,
            mean_score: score,
            detected_count: n as u32,
            confirmed: score >= 0.9,
            disbelieved,
            belief: Some(if disbelieved { -2.0 } else { 2.0 }),
        };
        all.take(VisionEvent::Samples { track, samples: (0..n).map(sample).collect() }, 10).unwrap();
        all.take(VisionEvent::TrackEnd { track, summary }, 10).unwrap();
    }

    #[test]
    fn what_lies_on_a_sure_face_is_no_face_of_its_own() {
        let face = (Rect::new(100.0, 60.0, 200.0, 180.0), 0.9, false, 20);
        let small = |x: f32, y: f32, score, n| (Rect::new(x, y, x + 30.0, y + 36.0), score, false, n);
        let tracks = |other| plan_of(&[face, other]).tracks.iter().map(|t| t.id).collect::<Vec<_>>();
        assert_eq!(tracks(small(120.0, 90.0, 0.5, 20)), [0], "an eye");
        for (other, why) in [
            (small(90.0, 90.0, 0.5, 20), "half beside it"),
            (small(165.0, 62.0, 0.5, 20), "in a corner of its box"),
            (small(120.0, 90.0, 0.5, 30), "longer than the face"),
            (small(120.0, 90.0, 0.8, 20), "a detector was sure"),
            ((Rect::new(101.0, 61.0, 199.0, 179.0), 0.5, false, 20), "as large"),
        ] {
            assert_eq!(tracks(other), [0, 1], "{why}");
        }
        let found = plan_of(&[face, small(120.0, 90.0, 0.5, 20)]).findings;
        assert!(found.iter().any(|f| f.kind == "track.within" && f.count == 20));
        assert_eq!(
            plan_of(&[(face.0, 0.5, false, 20), small(120.0, 90.0, 0.5, 20)]).tracks.len(),
            2,
            "on no sure face"
        );
    }

    #[test]
    fn what_the_verifier_disbelieves_is_dropped_and_told_unless_the_edge_cuts_it_off() {
        let kinds = |p: &Plan| p.findings.iter().map(|f| f.kind.clone()).collect::<Vec<_>>();
        let dropped = plan(100.0, true);
        assert_eq!((dropped.tracks.len(), kinds(&dropped)), (0, vec!["track.disbelieved".to_owned()]));
        assert_eq!((dropped.findings[0].count, dropped.findings[0].frame), (30, Some(0)));
        for kept in [plan(100.0, false), plan(-12.0, true)] {
            assert_eq!((kept.tracks.len(), kinds(&kept)), (1, vec!["track.weak".to_owned()]));
        }
    }
}
