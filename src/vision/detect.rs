//! The detector interface, and what all detectors share.

use super::picture::{Picture, whole};
use super::types::{Detection, Recall};
use crate::error::Result;
use crate::geom::{InFrame, Point, Rect};
use crate::image::Frame;
use std::f32::consts::PI;

/// Most detections kept from one look.
const MAX_DETECTIONS: usize = 1000;
/// Pixels of a look by which a picture is continued, mirrored, beyond the edges of the frame: a face that the edge cuts
/// off has a whole one's surroundings there. At the left and the top it is the largest stride of the networks, so that
/// their cells stay where they are: moved by half a cell, a flag's score rose from 0.60 to 0.78.
pub(super) const BEYOND: usize = 32;
/// At the right and the bottom it is what fills the last cells, and at least this.
const LEAST_BEYOND: usize = 16;
/// Least share inside the frame of what is found; less is the reflection of a face.
const LEAST_INSIDE: f32 = 0.25;
/// Boxes of which less than this lies inside need this score: any pattern looks a little like a face beside its mirror
/// image. On the grainy silent film four of five false ones score less, and of cut faces one in fifty.
const WHOLE_INSIDE: f32 = 0.85;
const LEAST_CUT_SCORE: f32 = 0.35;
/// Share of what is seen of a detection that lies on another, further inside, if it is that one's reflection.
const REFLECTION: f32 = 0.7;

/// One look at a part of a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// The part, inside the frame.
    pub region: Rect<InFrame>,
    /// Pixels of the longer side of the picture that the network sees.
    pub side: usize,
    /// Angle in radians by which the picture is turned first (clockwise on screen).
    pub turn: f32,
    /// Lowest score returned.
    pub threshold: f32,
}

/// Finds faces.
pub trait Detector: Send {
    /// Faces in one part of a frame, in frame pixels, by falling score, without duplicates.
    ///
    /// # Errors
    /// `Model` if the network fails or gives impossible values.
    fn detect(&mut self, frame: &Frame, look: &Look) -> Result<Vec<Detection>>;
}

impl Look {
    /// The whole frame at a side of `side` pixels.
    #[must_use]
    pub fn at_whole(frame: &Frame, side: usize, threshold: f32) -> Self {
        Look { region: whole(frame), side, turn: 0.0, threshold }
    }

    /// The whole frame at twice its size, 1280 pixels at most: small faces for a detector that sees large ones better.
    #[must_use]
    pub fn closer(frame: &Frame, threshold: f32) -> Self {
        Look::at_whole(frame, (2 * frame.width.max(frame.height)).min(1280), threshold)
    }

    /// A square window around a face, `grow` times its longer side, cut at the frame's edge; `None` if hardly
    /// anything of it lies inside the frame.
    #[must_use]
    pub fn around(frame: &Frame, face: &Rect<InFrame>, grow: f32, side: usize, threshold: f32) -> Option<Self> {
        let (c, r) = (face.centre(), grow * face.size() / 2.0);
        let square = Rect::new(c.x - r, c.y - r, c.x + r, c.y + r);
        let region = square.intersection(&whole(frame));
        let enough = region.is_valid() && region.width() >= 8.0 && region.height() >= 8.0;
        enough.then_some(Look { region, side, turn: 0.0, threshold })
    }
}

/// Size of the picture for a region whose longer side becomes `side`.
pub(super) fn scaled_size(region: &Rect<InFrame>, side: usize) -> (usize, usize) {
    let k = side as f32 / region.size().max(1.0);
    let of = |v: f32| ((v * k).round() as usize).clamp(1, side.max(1));
    (of(region.width()), of(region.height()))
}

/// Runs `detect` on the picture of a look, turned if asked, and maps what it finds back to the frame.
///
/// Where the region ends with the frame, the picture goes on mirrored. `detect` returns boxes and points in pixels of the
/// picture it is given. Boxes may reach beyond the frame; at least a quarter of each lies inside.
pub(super) fn through_look(
    frame: &Frame,
    look: &Look,
    detect: &mut dyn FnMut(&Picture) -> Result<Vec<Detection>>,
) -> Result<Vec<Detection>> {
    let (w, h) = scaled_size(&look.region, look.side);
    let (kx, ky) = (look.region.width() / w as f32, look.region.height() / h as f32);
    let sides = margins(frame, &look.region, (w, h));
    let upright = Picture::of(frame, &look.region, w, h).mirrored(sides);
    let (left, top) = (sides[0] as f32, sides[1] as f32);
    let to_frame = |x: f32, y: f32| Point::new(look.region.x0 + (x - left) * kx, look.region.y0 + (y - top) * ky);
    if look.turn == 0.0 {
        let mut found = detect(&upright)?;
        for d in &mut found {
            let (a, b) = (to_frame(d.rect.x0, d.rect.y0), to_frame(d.rect.x1, d.rect.y1));
            d.rect = Rect::new(a.x, a.y, b.x, b.y);
            d.points = d.points.map(|p| to_frame(p.x, p.y));
        }
        return Ok(without_reflections(frame, found));
    }
    let (sin, cos) = look.turn.sin_cos();
    let (fw, fh) = (upright.width as f32, upright.height as f32);
    let tw = (fw * cos.abs() + fh * sin.abs()).ceil();
    let th = (fw * sin.abs() + fh * cos.abs()).ceil();
    // Picture point of a point of the turned picture: rotated back about the centres.
    let back = |x: f32, y: f32| {
        let (dx, dy) = (x - tw / 2.0, y - th / 2.0);
        (cos * dx + sin * dy + fw / 2.0, cos * dy - sin * dx + fh / 2.0)
    };
    let (ox, oy) = back(0.0, 0.0);
    let turned = upright.warped([[cos, sin, ox], [-sin, cos, oy]], tw as usize, th as usize);
    let mut found = detect(&turned)?;
    for d in &mut found {
        let centre = d.rect.centre();
        let (x, y) = back(centre.x, centre.y);
        // A face is an ellipse rather than its box: half sides of the upright box around the turned ellipse.
        let (a, b) = (d.rect.width() / 2.0, d.rect.height() / 2.0);
        let (rx, ry) = ((a * cos).hypot(b * sin), (a * sin).hypot(b * cos));
        let (lo, hi) = (to_frame(x - rx, y - ry), to_frame(x + rx, y + ry));
        d.rect = Rect::new(lo.x, lo.y, hi.x, hi.y);
        d.points = d.points.map(|p| {
            let (px, py) = back(p.x, p.y);
            to_frame(px, py)
        });
    }
    Ok(without_reflections(frame, found))
}

/// Pixels by which the picture of a region, of `size`, is continued: left, top, right, bottom.
fn margins(frame: &Frame, region: &Rect<InFrame>, size: (usize, usize)) -> [usize; 4] {
    let all = whole(frame);
    let before = |at_edge: bool| if at_edge { BEYOND } else { 0 };
    let after = |at_edge: bool, n: usize| {
        if at_edge { (n + LEAST_BEYOND).next_multiple_of(BEYOND) - n } else { 0 }
    };
    let (left, top) = (before(region.x0 <= all.x0), before(region.y0 <= all.y0));
    let right = after(region.x1 >= all.x1, left + size.0);
    [left, top, right, after(region.y1 >= all.y1, top + size.1)]
}

/// Leaves out what lies beyond the frame, and of a face and its reflection the latter.
fn without_reflections(frame: &Frame, mut found: Vec<Detection>) -> Vec<Detection> {
    let all = whole(frame);
    let seen = |d: &Detection| d.rect.intersection(&all);
    let inside = |d: &Detection| seen(d).area() / d.rect.area().max(1e-6);
    found.retain(|d| inside(d) >= WHOLE_INSIDE || inside(d) >= LEAST_INSIDE && d.score >= LEAST_CUT_SCORE);
    let reflects = |d: &Detection| {
        let part = seen(d);
        let shared = |o: &Detection| part.intersection(&seen(o)).area() > REFLECTION * part.area();
        found.iter().any(|o| inside(o) > inside(d) && shared(o))
    };
    // Most of a reflection lies outside.
    found.iter().filter(|d| inside(d) >= 0.5 || !reflects(d)).copied().collect()
}

/// Greedy non-maximum suppression: keeps the best of any that overlap by more than `limit`; sorted by falling score.
#[must_use]
pub fn suppress(mut found: Vec<Detection>, limit: f32) -> Vec<Detection> {
    found.retain(Detection::is_sound);
    found.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then(a.rect.x0.total_cmp(&b.rect.x0))
            .then(a.rect.y0.total_cmp(&b.rect.y0))
            .then(a.rect.x1.total_cmp(&b.rect.x1))
    });
    found.truncate(MAX_DETECTIONS);
    let mut kept: Vec<Detection> = Vec::new();
    for d in found {
        if kept.iter().all(|k| k.rect.iou(&d.rect) <= limit) {
            kept.push(d);
        }
    }
    kept
}

/// The looks to take at a frame; the flag asks the second detector family instead of the first.
///
/// `position` is the frame's place in its shot: the first frame and every fifth get a coarse scale too, the first and
/// every tenth all scales. Whoever is found late is followed back through the frames before.
#[must_use]
pub fn plan(frame: &Frame, recall: Recall, position: u64, threshold: f32) -> Vec<(bool, Look)> {
    let at = |side| (false, Look::at_whole(frame, side, threshold));
    let large = frame.width.max(frame.height) > 700;
    match recall {
        Recall::Draft if !position.is_multiple_of(3) => Vec::new(),
        Recall::Draft => vec![at(640)],
        Recall::Standard if !position.is_multiple_of(5) => vec![at(640)],
        Recall::Standard if large && position.is_multiple_of(10) => vec![at(640), at(320), at(1280)],
        Recall::Standard => vec![at(640), at(320)],
        Recall::Max => {
            let mut looks = vec![at(640), at(320), at(1280), (true, Look::at_whole(frame, 640, 0.5))];
            for turn in [PI / 4.0, -PI / 4.0, PI / 2.0, -PI / 2.0, PI] {
                looks.push((false, Look { turn, ..Look::at_whole(frame, 640, (threshold + 0.1).min(0.9)) }));
            }
            for region in tiles(frame) {
                looks.push((false, Look { region, side: 960, turn: 0.0, threshold }));
                looks.push((true, Look { region, side: 640, turn: 0.0, threshold: 0.6 }));
            }
            looks
        }
    }
}

/// Overlapping tiles of a large frame: 2 × 2 from 1000 pixels, 3 × 3 from 2500; none below.
fn tiles(frame: &Frame) -> Vec<Rect<InFrame>> {
    let n = match frame.width.max(frame.height) {
        0..1000 => return Vec::new(),
        1000..2500 => 2,
        _ => 3,
    };
    let (w, h) = (frame.width as f32, frame.height as f32);
    // Each tile is 1.25 / n of the frame's side, evenly spread.
    let part = 1.25 / n as f32;
    let start = |i: usize| i as f32 * (1.0 - part) / (n - 1) as f32;
    (0..n * n)
        .map(|k| {
            let (u, v) = (start(k % n), start(k / n));
            Rect::new(u * w, v * h, (u + part) * w, (v + part) * h)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geom::PixelRect;
    use crate::image::{ColorDesc, ColorModel, PixelLayout};

    fn frame(width: usize, height: usize) -> Frame {
        let layout = PixelLayout { model: ColorModel::Gray, depth: 8, log2_chroma_w: 0, log2_chroma_h: 0 };
        Frame::black(width, height, layout, ColorDesc::default())
    }

    fn det(x: f32, y: f32, s: f32, score: f32) -> Detection {
        Detection::from_box(Rect::new(x, y, x + s, y + s), score)
    }

    #[test]
    fn suppression_keeps_the_best_of_each_face() {
        let kept = suppress(
            vec![
                det(0.0, 0.0, 10.0, 0.5),
                det(1.0, 1.0, 10.0, 0.9),
                det(50.0, 0.0, 10.0, 0.4),
                det(f32::NAN, 0.0, 1.0, 1.0),
            ],
            0.4,
        );
        assert_eq!(kept.iter().map(|d| d.score).collect::<Vec<_>>(), [0.9, 0.4]);
    }

    #[test]
    fn a_turned_look_maps_back_to_the_frame() {
        let mut f = frame(400, 200);
        // Far enough from the edges not to be mirrored.
        f.paint(PixelRect { x: 300, y: 90, width: 20, height: 20 }, [1.0; 3]);
        for turn in [0.0, PI / 4.0, PI / 2.0, -PI / 2.0, PI] {
            let look = Look { turn, ..Look::at_whole(&f, 200, 0.5) };
            let found = through_look(&f, &look, &mut |p: &Picture| {
                let (mut x, mut y, mut n) = (0.0, 0.0, 0.0);
                for (i, _) in p.planes[0].iter().enumerate().filter(|(_, v)| **v > 128.0) {
                    x += (i % p.width) as f32 + 0.5;
                    y += (i / p.width) as f32 + 0.5;
                    n += 1.0;
                }
                let (x, y) = (x / n, y / n);
                Ok(vec![Detection::from_box(Rect::new(x - 5.0, y - 5.0, x + 5.0, y + 5.0), 0.9)])
            })
            .unwrap();
            let c = found[0].rect.centre();
            assert!((c.x - 310.0).abs() < 2.5 && (c.y - 100.0).abs() < 2.5, "{c:?} at {turn}");
        }
    }

    #[test]
    fn what_lies_beyond_the_frame_is_left_out() {
        let f = frame(100, 100);
        let look = Look::at_whole(&f, 100, 0.5);
        let found = |boxes: &[[f32; 4]]| {
            let n = BEYOND as f32;
            let seen = |b: &[f32; 4]| Detection::from_box(Rect::new(b[0] + n, b[1] + n, b[2] + n, b[3] + n), 0.9);
            through_look(&f, &look, &mut |p: &Picture| {
                assert_eq!((p.width, p.height), (160, 160));
                Ok(boxes.iter().map(seen).collect())
            })
            .unwrap()
            .iter()
            .map(|d| [d.rect.x0, d.rect.y0, d.rect.x1, d.rect.y1])
            .collect::<Vec<_>>()
        };
        let (cut, reflection) = ([-15.0, 40.0, 25.0, 80.0], [-25.0, 40.0, 15.0, 80.0]);
        assert_eq!(found(&[cut, reflection]), [cut]);
        assert_eq!(found(&[reflection]), [reflection], "there is nothing else");
        assert!(found(&[[20.0, 85.0, 60.0, 145.0], [5.0, 110.0, 40.0, 150.0]]).len() == 1);
        assert_eq!(found(&[[20.0, 90.0, 60.0, 140.0]]), Vec::<[f32; 4]>::new());
        let weak = |y: f32| Detection::from_box(Rect::new(20.0, y, 60.0, y + 50.0), 0.3);
        assert_eq!(without_reflections(&f, vec![weak(80.0), weak(40.0)]), [weak(40.0)], "weak ones must lie inside");
    }

    #[test]
    fn a_region_is_continued_only_where_the_frame_ends() {
        let f = frame(400, 200);
        let inner = Rect::new(100.0, 50.0, 300.0, 200.0);
        assert_eq!(margins(&f, &inner, (200, 150)), [0, 0, 0, 42]);
        assert_eq!(margins(&f, &whole(&f), (640, 320)), [BEYOND; 4]);
        assert_eq!(margins(&f, &whole(&f), (640, 360)), [BEYOND, BEYOND, BEYOND, 24]);
    }

    #[test]
    fn a_closer_look_doubles_small_frames_and_is_bounded() {
        assert_eq!(Look::closer(&frame(360, 288), 0.3).side, 720);
        let large = Look::closer(&frame(1080, 1920), 0.3);
        assert_eq!((large.side, large.region), (1280, Rect::new(0.0, 0.0, 1080.0, 1920.0)));
    }

    #[test]
    fn tiles_cover_the_frame() {
        let f = frame(1920, 1080);
        let all = tiles(&f);
        assert_eq!(all.len(), 4);
        for (x, y) in [(0.5, 0.5), (1919.5, 1079.5), (960.0, 540.0), (1919.5, 0.5)] {
            assert!(all.iter().any(|r| r.x0 <= x && x <= r.x1 && r.y0 <= y && y <= r.y1));
        }
        assert!(tiles(&frame(640, 480)).is_empty());
    }
}
