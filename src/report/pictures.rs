//! The worst frames of each person, as small JPEG pictures.

use crate::geom::{InFrame, Rect};
use crate::image::Frame;
use image::ImageEncoder;
use std::collections::BTreeMap;

/// Longer side of a picture in the report, pixels.
const SIDE: usize = 192;
/// JPEG quality.
const QUALITY: u8 = 85;
/// How much of the surroundings is shown, in face widths on each side.
const MARGIN: f32 = 0.6;

/// One face-frame, before and after.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// The frame.
    pub frame: u64,
    /// Risk, 0..=1; the worst come first.
    pub score: f32,
    /// Why it is shown.
    pub note: String,
    /// The output itself shows the person: such pictures are left out of a redacted page.
    pub exposes: bool,
    /// The original, JPEG; may be empty. Shows the person.
    pub source: Vec<u8>,
    /// The output, JPEG.
    pub output: Vec<u8>,
}

/// The worst few frames of every person, and some of those in which they stay as filmed.
#[derive(Debug, Clone, Default)]
pub struct Pictures {
    most: usize,
    by_person: BTreeMap<usize, Vec<Picture>>,
    kept: BTreeMap<usize, Vec<Picture>>,
}

impl Pictures {
    /// Keeps at most `most` pictures of each person.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Pictures { most, by_person: BTreeMap::new(), kept: BTreeMap::new() }
    }

    /// Offers a frame of a person; `make` draws it only if it is among the worst so far.
    pub fn offer(&mut self, person: usize, score: f32, make: impl FnOnce() -> Option<Picture>) {
        offer_to(self.by_person.entry(person).or_default(), self.most, score, make);
    }

    /// Offers a frame in which a person stays as filmed, the clearest with the greatest score: a human has to confirm who it is.
    pub fn offer_kept(&mut self, person: usize, score: f32, make: impl FnOnce() -> Option<Picture>) {
        offer_to(self.kept.entry(person).or_default(), self.most, score, make);
    }

    /// Pictures of a person who stays as filmed, the clearest first.
    #[must_use]
    pub fn kept(&self, person: usize) -> &[Picture] {
        self.kept.get(&person).map_or(&[], Vec::as_slice)
    }

    /// Pictures of a person, the worst first.
    #[must_use]
    pub fn of(&self, person: usize) -> &[Picture] {
        self.by_person.get(&person).map_or(&[], Vec::as_slice)
    }

    /// Gives the pictures new owners: those of person `i` go to `owner[i]`.
    pub fn regroup(&mut self, owner: &dyn Fn(usize) -> Option<usize>) {
        for map in [&mut self.by_person, &mut self.kept] {
            let old = std::mem::take(map);
            for (person, list) in old {
                if let Some(to) = owner(person) {
                    map.entry(to).or_default().extend(list);
                }
            }
            map.values_mut().for_each(|list| shorten(list, self.most));
        }
    }
}

fn offer_to(list: &mut Vec<Picture>, most: usize, score: f32, make: impl FnOnce() -> Option<Picture>) {
    if list.len() >= most && list.last().is_none_or(|p| p.score >= score) {
        return;
    }
    let Some(picture) = make() else { return };
    // Neighbouring frames look alike: one of them is enough.
    if let Some(near) = list.iter_mut().find(|p| p.frame.abs_diff(picture.frame) < 12) {
        if near.score < score {
            *near = picture;
        }
    } else {
        list.push(picture);
    }
    shorten(list, most);
}

fn shorten(list: &mut Vec<Picture>, most: usize) {
    list.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.frame.cmp(&b.frame)));
    list.truncate(most);
}

/// The surroundings of a face as a JPEG; empty if it lies outside the picture.
#[must_use]
pub(crate) fn head_jpeg(frame: &Frame, face: &Rect<InFrame>) -> Vec<u8> {
    let area = face.grown(MARGIN, MARGIN, MARGIN, MARGIN);
    let Some(rect) = area.to_pixels(frame.width, frame.height) else { return Vec::new() };
    let long = rect.width.max(rect.height);
    let sized = |n: usize| if long > SIDE { (n * SIDE / long).max(1) } else { n };
    let (width, height) = (sized(rect.width), sized(rect.height));
    let picture = crate::vision::Picture::of(frame, &rect.to_rect(), width, height);
    let [r, g, b] = &picture.planes;
    let bytes: Vec<u8> = r.iter().zip(g).zip(b).flat_map(|((r, g), b)| [*r, *g, *b]).map(|v| (v + 0.5) as u8).collect();
    let mut jpeg = Vec::new();
    let (w, h) = (width as u32, height as u32);
    let coder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, QUALITY);
    match coder.write_image(&bytes, w, h, image::ExtendedColorType::Rgb8) {
        Ok(()) => jpeg,
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{ColorDesc, ColorModel, PixelLayout};

    fn picture(frame: u64, score: f32) -> Picture {
        Picture { frame, score, note: String::new(), exposes: false, source: vec![], output: vec![] }
    }

    #[test]
    fn the_worst_are_kept_and_neighbours_are_not_repeated() {
        let mut p = Pictures::new(2);
        for (frame, score) in [(0, 0.1), (100, 0.5), (101, 0.6), (200, 0.3), (300, 0.05)] {
            p.offer(1, score, || Some(picture(frame, score)));
        }
        assert_eq!(p.of(1).iter().map(|q| q.frame).collect::<Vec<_>>(), [101, 200]);
        assert!(p.of(7).is_empty());
        p.regroup(&|k| (k == 1).then_some(4));
        assert_eq!(p.of(4).len(), 2);
        p.offer_kept(4, 0.2, || Some(picture(9, 0.2)));
        p.regroup(&Some);
        assert_eq!((p.kept(4).len(), p.of(4).len(), p.kept(1).len()), (1, 2, 0), "who is kept crowds nobody out");
    }

    #[test]
    fn a_head_becomes_a_small_jpeg() {
        let layout = PixelLayout { model: ColorModel::Yuv, depth: 10, log2_chroma_w: 1, log2_chroma_h: 1 };
        let frame = Frame::black(640, 360, layout, ColorDesc::default());
        let jpeg = head_jpeg(&frame, &Rect::new(100.0, 50.0, 400.0, 350.0));
        let size = image::load_from_memory(&jpeg).map(|i| (i.width(), i.height())).unwrap();
        assert_eq!(size.0.max(size.1), SIDE as u32);
        assert!(head_jpeg(&frame, &Rect::new(-90.0, -90.0, -80.0, -80.0)).is_empty());
    }
}
