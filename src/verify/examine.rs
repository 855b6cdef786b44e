//! The comparison: both films frame by frame, every face of the source at its place.

use super::decode::Pictures as Film;
use super::faces::Face;
use super::identity::{Ladder, Sample};
use super::likeness::{Likeness, LumaCrop, Part, compare, points_in_box, template};
use super::regions::Region;
use super::restore::{self, Pile, Restored};
use super::strangers::Strangers;
use super::subjects::{Order, Orders, Subject};
use crate::card::Card;
use crate::geom::{InFrame, Point, Rect};
use crate::image::{Frame, RawFrame};
use crate::report::{Picture, Pictures, head_jpeg};
use crate::units::Timestamp;
use crate::vision::{Detection, Detector, Embedding, EmbeddingModel, Look, Picture as Crop, alignment};
use crate::{Error, Result};
use rayon::prelude::*;

/// A frame whose detail is like the original's by this much is also attacked by re-identification.
const SUSPICIOUS: f32 = 0.6;
/// Most suspicious frames of one subject that are attacked besides the regular samples.
const MOST_SUSPICIOUS: usize = 200;
/// Samples of a subject below which more frames than the regular ones are attacked.
const LEAST_SAMPLES: u64 = 24;
/// Most samples of one subject: bounds memory in long films.
const MOST_SAMPLES: u64 = 1500;
/// Faces in the gallery of somebody who is kept.
const MOST_KEPT: usize = 60;
/// Score and overlap of a face still seen in the output at the place.
const STILL: (f32, f32) = (0.5, 0.25);
/// Smallest and weakest source face that may enter a gallery.
const GOOD: (f32, f32) = (24.0, 0.7);
/// Difference of colour (of 255) that shows where the treatment changed a crop.
const CHANGED: f32 = 10.0;
/// Score and width of faces looked for anywhere in the output.
const ELSEWHERE: (f32, f32) = (0.6, 32.0);
/// Most faces kept from that search.
const MOST_ELSEWHERE: usize = 5000;
/// Deviation of presentation times, in seconds, that counts as a difference.
const LATE: f64 = 0.001;
/// Correlation of the disclaimer's letters with what was added to a frame, from which on they stand there. Measured on a film of
/// 320 to 1280 columns: 0.96 and more through x264 at crf 35, 0.60 and more at crf 48, below zero without a disclaimer.
const TOLD: f32 = 0.5;
/// Side of the crop given to the recogniser.
const CROP: usize = restore::SIDE;

/// The networks that attack.
pub(crate) struct Attackers<'a> {
    /// Finds faces.
    pub detector: &'a mut dyn Detector,
    /// Recognises them.
    pub recogniser: &'a mut dyn EmbeddingModel,
    /// Recognise them too.
    pub witnesses: &'a mut [Witness],
    /// One frame of a subject in so many is attacked by the recogniser.
    pub every: u64,
    /// One frame in so many is searched for faces that were moved.
    pub elsewhere: u64,
}

/// A recogniser besides the strongest.
pub(crate) struct Witness {
    /// Name of the network.
    pub name: String,
    /// The network.
    pub network: Box<dyn EmbeddingModel>,
    /// What its cosines mean.
    pub ladder: Ladder,
    /// Strangers that it knows.
    pub strangers: Option<Strangers>,
}

/// What was seen of one subject.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    /// Frames compared that must be hidden.
    pub frames: u64,
    /// Frames exempt by the cast.
    pub exempt: u64,
    /// Exempt frames that were changed all the same, and the first.
    pub altered: (u64, Option<u64>),
    /// Frames whose detail is the original's, and the first.
    pub untouched: (u64, Option<u64>),
    /// The first [`MOST_BARE`] of them.
    pub bare: Vec<u64>,
    /// Frames of which a part is the original's, and the first.
    pub partly: (u64, Option<u64>),
    /// Those of them where it is another part than the mouth.
    pub firm: u64,
    /// Most like the original, and where.
    pub worst: (f32, Option<u64>),
    /// Attacked by re-identification.
    pub samples: Vec<Sample>,
    /// The same, as each witness sees them.
    pub witnessed: Vec<Vec<Sample>>,
    /// Source faces of exempt frames, for the gallery of a person who is kept.
    pub kept: Vec<Embedding>,
    /// What the inversion of weak covers gave.
    pub restored: Vec<Restored>,
    pile: Pile,
    suspicious: usize,
}

/// A face seen in the output where the source has none.
pub(crate) struct Elsewhere {
    /// Frame.
    pub frame: u64,
    /// Width in pixels.
    pub width: f32,
    /// Whose is it?
    pub face: Embedding,
}

/// What the comparison gave.
pub(crate) struct Seen {
    /// One per subject.
    pub sights: Vec<Sight>,
    /// Worst frames by subject.
    pub pictures: Pictures,
    /// Faces at places where the source has none.
    pub elsewhere: Vec<Elsewhere>,
    /// Frames of the source and of the output.
    pub frames: (u64, u64),
    /// Frames whose time differs, the first, and the greatest deviation in seconds.
    pub late: (u64, Option<u64>, f64),
    /// The output broke off: why.
    pub broken: Option<String>,
    /// Frames that should show the disclaimer and do not, and the first.
    pub untold: (u64, Option<u64>),
}

/// Most frames remembered in which the original's face was found.
const MOST_BARE: usize = 64;

impl Sight {
    /// Whether the original's face was found, but in so few frames that these can be treated by themselves.
    pub fn is_bare_for_moments(&self) -> bool {
        let n = self.untouched.0;
        n > 0 && n == self.bare.len() as u64 && n as f64 <= (BRIEF * self.frames as f64).max(3.0)
    }
}

/// Share of a face's frames that are moments.
const BRIEF: f64 = 0.02;

fn count(c: &mut (u64, Option<u64>), frame: u64) {
    c.0 += 1;
    c.1.get_or_insert(frame);
}

/// Compares two films.
///
/// # Errors
/// As the decoder of the source and the networks, whatever `progress` refuses. Damage of the output is a result.
pub(crate) fn examine(
    (source, output): (&mut Film, &mut Film),
    (subjects, orders): (&[Subject], &Orders),
    attackers: &mut Attackers,
    regions: &mut [Region],
    card: Option<&Card>,
    progress: &dyn Fn(u64) -> Result<()>,
) -> Result<Seen> {
    let mut seen = Seen {
        sights: subjects.iter().map(|_| Sight::default()).collect(),
        pictures: Pictures::new(6),
        elsewhere: vec![],
        frames: (0, 0),
        late: (0, None, 0.0),
        broken: None,
        untold: (0, None),
    };
    let mut order: Vec<usize> = (0..subjects.len()).collect();
    order.sort_by_key(|k| (subjects[*k].spots.first().map_or(u64::MAX, |s| s.frame), *k));
    let mut waiting = order.into_iter().peekable();
    let mut active: Vec<(usize, usize)> = Vec::new();
    let mut times = Times { bases: (source.info.time_base, output.info.time_base), first: None };
    loop {
        let before = source.next()?;
        let after = match output.next() {
            Ok(after) => after,
            Err(Error::Cancelled | Error::Interrupted) => return Err(Error::Interrupted),
            Err(e) => {
                seen.broken.get_or_insert(e.to_string());
                None
            }
        };
        seen.frames.0 += u64::from(before.is_some());
        seen.frames.1 += u64::from(after.is_some());
        let (before, after) = match (before, after) {
            (Some(b), Some(a)) => (b, a),
            (None, None) => {
                seen.sights.iter_mut().try_for_each(|s| finish(s, attackers))?;
                return Ok(seen);
            }
            _ => {
                progress(seen.frames.0.max(seen.frames.1))?;
                continue; // counted; the number of frames fails
            }
        };
        let frame = seen.frames.0 - 1;
        let secs = times.note(&before, &after, frame, &mut seen.late);
        while let Some(k) = waiting.next_if(|k| subjects[*k].spots.first().is_some_and(|s| s.frame <= frame)) {
            active.push((k, 0));
        }
        // A card is half transparent: what it lies on is attacked without it, as anybody could.
        let strength = card.map_or(0.0, |c| c.strength(secs));
        if card.is_some_and(|c| strength >= 1.0 && c.seen(&before.frame, &after.frame) < TOLD) {
            count(&mut seen.untold, frame);
        }
        let lifted = card.and_then(|c| c.lift(&after.frame, strength));
        let pair = Pair::new(&before.frame, lifted.as_ref().unwrap_or(&after.frame));
        let inked = card.filter(|_| lifted.is_some()).map(Card::area);
        let shows = |(k, i): &(usize, usize)| {
            let spot = subjects[*k].spots.get(*i).filter(|s| s.frame == frame);
            spot.is_some_and(|s| s.face.rect.to_pixels(pair.source.width, pair.source.height).is_some())
        };
        let here: Vec<(usize, usize)> = active.iter().copied().filter(shows).collect();
        let likenesses: Vec<Likeness> =
            here.par_iter().map(|(k, i)| pair.likeness(&subjects[*k].spots[*i].face)).collect();
        for ((k, i), likeness) in here.iter().zip(likenesses) {
            let spot = &subjects[*k].spots[*i];
            let at = Place {
                subject: *k,
                index: *i,
                frame,
                keep: orders.order(spot.plan, secs) == Order::Keep,
                inked: inked.is_some_and(|a| spot.face.rect.y1 > a.y as f32),
                drawn: orders.may_draw(spot.plan),
            };
            note(&mut seen, &subjects[*k], &at, &likeness, &pair, attackers)?;
        }
        if !regions.is_empty() {
            let hidden = |(k, i): &&(usize, usize)| orders.order(subjects[*k].spots[*i].plan, secs) == Order::Hide;
            let faces: Vec<Rect<InFrame>> =
                here.iter().filter(hidden).map(|(k, i)| subjects[*k].spots[*i].face.rect).collect();
            regions.par_iter_mut().for_each(|r| r.look(pair.source, pair.output, (frame, secs), &faces));
        }
        if attackers.elsewhere > 0 && frame.is_multiple_of(attackers.elsewhere) && seen.elsewhere.len() < MOST_ELSEWHERE
        {
            let places: Vec<Rect<InFrame>> =
                here.iter().map(|(k, i)| pair.to_output(&subjects[*k].spots[*i].face).rect).collect();
            look_elsewhere(&mut seen, frame, pair.output, &places, attackers)?;
        }
        for (k, i) in &mut active {
            while subjects[*k].spots.get(*i).is_some_and(|s| s.frame <= frame) {
                *i += 1;
            }
        }
        for (k, _) in active.iter().filter(|(k, i)| *i >= subjects[*k].spots.len()) {
            finish(&mut seen.sights[*k], attackers)?;
        }
        active.retain(|(k, i)| *i < subjects[*k].spots.len());
        progress(frame + 1)?;
    }
}

struct Place {
    subject: usize,
    index: usize,
    frame: u64,
    keep: bool,
    /// The disclaimer lies on it.
    inked: bool,
    /// A double may have been drawn there.
    drawn: bool,
}

/// The last of a subject was seen: what was gathered of its covers is attacked.
fn finish(sight: &mut Sight, attackers: &mut Attackers) -> Result<()> {
    let points = template();
    let all = sight.pile.attack(&mut |picture| attackers.recogniser.embed(picture, &points))?;
    sight.restored.extend(all);
    Ok(())
}

/// Presentation times of both films.
struct Times {
    bases: (crate::units::TimeBase, crate::units::TimeBase),
    first: Option<(Timestamp, Timestamp)>,
}

impl Times {
    /// Seconds of the source frame from the first one; notes a deviation.
    fn note(&mut self, before: &RawFrame, after: &RawFrame, frame: u64, late: &mut (u64, Option<u64>, f64)) -> f64 {
        // Differences of whole ticks: a time of the cast falls on the same frame here as in the treatment.
        let first = *self.first.get_or_insert((before.pts, after.pts));
        let since = |t: Timestamp, first: Timestamp| Timestamp(t.0.saturating_sub(first.0));
        let (a, b) =
            (self.bases.0.seconds(since(before.pts, first.0)), self.bases.1.seconds(since(after.pts, first.1)));
        let deviation = (b - a).abs();
        late.2 = late.2.max(deviation);
        if deviation > LATE {
            late.0 += 1;
            late.1.get_or_insert(frame);
        }
        a
    }
}

/// One frame of both films; a face's place is carried over if the sizes differ.
struct Pair<'a> {
    source: &'a Frame,
    output: &'a Frame,
    scale: (f32, f32),
}

impl<'a> Pair<'a> {
    fn new(source: &'a Frame, output: &'a Frame) -> Self {
        // A row or column that was added for a codec of even sizes moves nothing.
        let ratio = |a: usize, b: usize| if b == a + a % 2 { 1.0 } else { b as f32 / a.max(1) as f32 };
        let scale = (ratio(source.width, output.width), ratio(source.height, output.height));
        Pair { source, output, scale }
    }

    fn to_output(&self, f: &Face) -> Face {
        let (x, y) = self.scale;
        let points = f.points.map(|p| Point::new(p.x * x, p.y * y));
        Face { rect: Rect::new(f.rect.x0 * x, f.rect.y0 * y, f.rect.x1 * x, f.rect.y1 * y), points, score: f.score }
    }

    /// A face that cannot be aligned by its points is aligned by its box; what cannot be aligned at all is compared
    /// nowhere, so it counts as untouched.
    fn likeness(&self, face: &Face) -> Likeness {
        let crop = |points| {
            let there = Face { points, ..*face };
            Some((LumaCrop::cut(self.source, &points)?, LumaCrop::cut(self.output, &self.to_output(&there).points)?))
        };
        match crop(face.points).or_else(|| crop(points_in_box(&face.rect))) {
            Some((a, b)) => compare(&a, &b, face.rect.width()),
            None => Likeness::unknown(face.rect.width()),
        }
    }
}

fn note(
    seen: &mut Seen,
    subject: &Subject,
    at: &Place,
    likeness: &Likeness,
    pair: &Pair,
    attackers: &mut Attackers,
) -> Result<()> {
    let sight = &mut seen.sights[at.subject];
    if at.keep {
        sight.exempt += 1;
        if likeness.is_altered() && !at.inked {
            count(&mut sight.altered, at.frame);
        }
        let face = &subject.spots[at.index].face;
        let regular = (at.index as u64).is_multiple_of(attackers.every.max(1));
        let wanted = regular && sight.kept.len() < MOST_KEPT;
        if regular || at.index + 1 == subject.spots.len() {
            let clear = face.score * face.rect.width();
            seen.pictures.offer_kept(at.subject, clear, || {
                let output = head_jpeg(pair.output, &pair.to_output(face).rect);
                let note = "left as filmed".into();
                Some(Picture { frame: at.frame, score: clear, note, exposes: true, source: vec![], output })
            });
        }
        if wanted && is_good(face) && alignment(&face.points).is_some() {
            sight.kept.push(attackers.recogniser.embed(pair.source, &face.points)?);
        }
        return Ok(());
    }
    sight.frames += 1;
    let (untouched, partly) = (likeness.is_untouched(), likeness.is_partly_untouched());
    if untouched || partly {
        tracing::debug!("frame {}, track {:?}, found: {}: {likeness:?}", at.frame, subject.track, subject.found);
    }
    if untouched {
        count(&mut sight.untouched, at.frame);
        if sight.bare.len() < MOST_BARE {
            sight.bare.push(at.frame);
        }
    }
    if partly {
        count(&mut sight.partly, at.frame);
        sight.firm += u64::from(likeness.part.0 != Part::Mouth);
    }
    if sight.worst.1.is_none() || likeness.score() > sight.worst.0 {
        sight.worst = (likeness.score(), Some(at.frame));
    }
    let n = subject.spots.len() as u64;
    let every = attackers.every.min(n / LEAST_SAMPLES).max(n / MOST_SAMPLES).max(1);
    let regular = (at.index as u64).is_multiple_of(every) || at.index + 1 == subject.spots.len();
    let suspicious = untouched || partly || likeness.fine > SUSPICIOUS;
    if regular || suspicious && sight.suspicious < MOST_SUSPICIOUS {
        sight.suspicious += usize::from(!regular);
        let face = &subject.spots[at.index].face;
        let mut all = attack(at.frame, face, pair, attackers)?.into_iter();
        let sample = all.next();
        sight.witnessed.resize_with(attackers.witnesses.len(), Vec::new);
        sight.witnessed.iter_mut().zip(all).for_each(|(to, sample)| to.push(sample));
        if sample.is_some() {
            invert(sight, at, face, pair, attackers, n / every)?;
        }
        let risk = risk(likeness, &sample);
        let text = match () {
            () if untouched => "the original's detail",
            () if partly => "a part of the original's detail",
            () if sample.as_ref().is_some_and(|s| s.erased.is_none()) => "a face is seen",
            () => "no face is seen",
        };
        let limit = super::identity::limits(face.rect.width()).single;
        let near = sample.as_ref().is_some_and(|s| s.output.cosine(&s.source) >= limit && s.erased.is_none());
        let exposes = untouched || partly || near;
        seen.pictures.offer(at.subject, risk, || {
            let there = pair.to_output(face);
            Some(Picture {
                frame: at.frame,
                score: risk,
                note: format!("{text}, likeness {:.2}", likeness.score()),
                exposes,
                source: head_jpeg(pair.source, &face.rect),
                output: head_jpeg(pair.output, &there.rect),
            })
        });
        sight.samples.extend(sample);
    }
    Ok(())
}

/// Order of the contact sheet: untouched first, then by nearness to the source face of the same frame.
fn risk(likeness: &Likeness, sample: &Option<Sample>) -> f32 {
    let near = sample.as_ref().filter(|s| s.erased.is_none()).map_or(0.0, |s| s.output.cosine(&s.source));
    let base = if likeness.is_untouched() { 2.0 } else { 0.0 } + if likeness.is_partly_untouched() { 1.0 } else { 0.0 };
    base + near.max(0.0).max(likeness.score() * 0.5)
}

/// Embeds one face before and after, by the strongest recogniser and then by each witness; nothing if it cannot be aligned.
fn attack(frame: u64, face: &Face, pair: &Pair, attackers: &mut Attackers) -> Result<Vec<Sample>> {
    let points = if alignment(&face.points).is_some() { face.points } else { points_in_box(&face.rect) };
    let there = pair.to_output(&Face { points, ..*face });
    if alignment(&points).is_none() || alignment(&there.points).is_none() {
        return Ok(vec![]);
    }
    // A patch of one colour is nobody, though a detector may take its outline for a head, and as near to anybody as it is.
    let flat = LumaCrop::cut(pair.output, &there.points).is_some_and(|crop| crop.is_flat());
    let still = if flat { None } else { still_there(pair.output, &there.rect, attackers.detector)? };
    let still = still.filter(|d| alignment(&d.points).is_some());
    let erased = if still.is_none() && !flat { erased(pair, &points, &there.points) } else { None };
    let (width, good) = (face.rect.width(), is_good(face));
    let by = |network: &mut dyn EmbeddingModel| -> Result<Sample> {
        let source = network.embed(pair.source, &points)?;
        let output = network.embed(pair.output, still.as_ref().map_or(&there.points, |d| &d.points))?;
        let erased = match &erased {
            Some(picture) => Some(network.embed(picture, &template())?),
            None => flat.then(|| output.clone()),
        };
        Ok(Sample { frame, width, source, good, output, erased })
    };
    let mut samples = vec![by(attackers.recogniser)?];
    for w in attackers.witnesses.iter_mut() {
        samples.push(by(w.network.as_mut())?);
    }
    Ok(samples)
}

/// Tries to take back a cover that may be weak. Doubles are drawn as sharp as the source; what is softer is none. Without
/// orders everything is tried.
fn invert(
    sight: &mut Sight,
    at: &Place,
    face: &Face,
    pair: &Pair,
    attackers: &mut Attackers,
    expected: u64,
) -> Result<()> {
    let width = face.rect.width();
    let points = if alignment(&face.points).is_some() { face.points } else { points_in_box(&face.rect) };
    let there = pair.to_output(&Face { points, ..*face });
    let (Some(before), Some(after)) = (LumaCrop::cut(pair.source, &points), LumaCrop::cut(pair.output, &there.points))
    else {
        return Ok(());
    };
    let weak = !after.is_flat() && (!at.drawn || after.is_softer_than(&before, width));
    let Some(place) = alignment(&there.points).filter(|_| weak && width >= restore::NARROWEST) else { return Ok(()) };
    let crop = Crop::crop(pair.output, &place, CROP);
    if sight.pile.add(&crop, width, expected) {
        let points = template();
        let mut embed = |picture: &Frame| attackers.recogniser.embed(picture, &points);
        sight.restored.extend(restore::attack(&crop.planes, Some(at.frame), width, &mut embed)?);
    }
    Ok(())
}

fn is_good(face: &Face) -> bool {
    face.score >= GOOD.1 && face.rect.width() >= GOOD.0
}

/// A face seen in the output at the place.
fn still_there(output: &Frame, place: &Rect<InFrame>, detector: &mut dyn Detector) -> Result<Option<Detection>> {
    let Some(look) = Look::around(output, place, 2.2, 256, STILL.0) else { return Ok(None) };
    let mut found = detector.detect(output, &look)?;
    found.retain(|d| d.rect.iou(place) > STILL.1);
    Ok(found.into_iter().max_by(|a, b| a.score.total_cmp(&b.score)))
}

/// The source crop with everything that the treatment changed painted in the output's mean colour there: what hair,
/// clothes and the shape of the cover alone give away.
fn erased(pair: &Pair, before: &[Point<InFrame>; 5], after: &[Point<InFrame>; 5]) -> Option<Frame> {
    let a = Crop::crop(pair.source, &alignment(before)?, CROP);
    let b = Crop::crop(pair.output, &alignment(after)?, CROP);
    let differs = |i: usize| (0..3).any(|c| (a.planes[c][i] - b.planes[c][i]).abs() > CHANGED);
    let changed: Vec<bool> = (0..CROP * CROP).map(differs).collect();
    let near = |i: usize| {
        let (x, y) = (i % CROP, i / CROP);
        let rows = y.saturating_sub(2)..(y + 3).min(CROP);
        rows.into_iter().any(|v| changed[v * CROP + x.saturating_sub(2)..v * CROP + (x + 3).min(CROP)].contains(&true))
    };
    let mask: Vec<bool> = (0..CROP * CROP).map(near).collect();
    let n = mask.iter().filter(|m| **m).count().max(1) as f32;
    Some(restore::picture(&[0, 1, 2].map(|c: usize| {
        let flat = b.planes[c].iter().zip(&mask).filter(|(_, m)| **m).map(|(v, _)| v).sum::<f32>() / n;
        (0..CROP * CROP).map(|i| if mask[i] { flat } else { a.planes[c][i] }).collect()
    })))
}

/// Looks for faces in the whole output picture, away from the places already attacked.
fn look_elsewhere(
    seen: &mut Seen,
    frame: u64,
    output: &Frame,
    places: &[Rect<InFrame>],
    attackers: &mut Attackers,
) -> Result<()> {
    for d in attackers.detector.detect(output, &Look::at_whole(output, 640, ELSEWHERE.0))? {
        let known = places.iter().any(|p| p.iou(&d.rect) > STILL.1);
        if known || d.rect.width() < ELSEWHERE.1 || alignment(&d.points).is_none() {
            continue;
        }
        // The outline of a cover may look like a head.
        if LumaCrop::cut(output, &d.points).is_some_and(|crop| crop.is_flat()) {
            continue;
        }
        let face = attackers.recogniser.embed(output, &d.points)?;
        seen.elsewhere.push(Elsewhere { frame, width: d.rect.width(), face });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_few() {
        let sight = |frames: u64, bare: u64, kept: u64| Sight {
            frames,
            untouched: (bare, Some(0)),
            bare: (0..kept).collect(),
            ..Sight::default()
        };
        assert!(sight(75, 3, 3).is_bare_for_moments() && sight(1000, 20, 20).is_bare_for_moments());
        assert!(!sight(75, 4, 4).is_bare_for_moments() && !sight(1000, 21, 21).is_bare_for_moments());
        assert!(!sight(75, 0, 0).is_bare_for_moments(), "nothing was found");
        assert!(!sight(1_000_000, 65, 64).is_bare_for_moments(), "not all are known");
    }
}
