//! The caption that tells an audience of the disguise, over the first seconds of a film.
//!
//! Dark towards the lower edge, with white letters on it. It stands from the first picture on, so that it is in the
//! still that a player shows, and fades away at its end. It is drawn on frames that are there, so no time, length or sound changes;
//! and it is half transparent, because it protects nobody: [`Card::lift`] takes it off again, and the attack does so.
//!
//! ```
//! use understudy::card::Card;
//! use understudy::image::{ColorDesc, ColorModel, Frame, PixelLayout};
//! use understudy::plan::Cast;
//! # fn main() -> understudy::Result<()> {
//! let cast = Cast::parse("[policy]\ndisclaimer = true\n", "cast.toml")?;
//! let layout = PixelLayout { model: ColorModel::Yuv, depth: 8, log2_chroma_w: 1, log2_chroma_h: 1 };
//! let mut frame = Frame::black(640, 360, layout, ColorDesc::default());
//! if let Some(card) = Card::of(&cast, (640, 360), (1, 1), frame.color.transfer)? {
//!     let strength = card.strength(0.0);
//!     assert!(card.draw(&mut frame, strength)?.is_some());
//! }
//! # Ok(()) }
//! ```

mod text;

use crate::geom::PixelRect;
use crate::image::{Frame, Matte, RgbPatch};
use crate::media::VideoInfo;
use crate::plan::Cast;
use crate::redact::Touched;
use crate::subtitles::{Aliases, Cue};
use crate::{Error, Result};

/// How dark the band is behind the letters: white letters on a white wall have a contrast of 5 : 1 with it.
const BAND: f32 = 0.6;
/// Height over the letters in which the band fades in, in letter heights.
const SOFT: f32 = 1.6;
/// Seconds in which it goes.
const FADE: f64 = 0.5;
/// Signal of white letters where white is white; for PQ and HLG that of 203 cd/m² (ITU-R BT.2408, table 1), for
/// their largest signal is a lamp's.
const LEVELS: (f32, f32, f32) = (0.92, 0.58, 0.75);
/// Share of the picture that must be left of a pixel to work out what it was.
const LEAST_LEFT: f32 = 0.3;

/// The caption for one film.
#[derive(Debug, Clone)]
pub struct Card {
    seconds: f64,
    size: (usize, usize),
    area: PixelRect,
    /// Per pixel of `area`: darkness of the band and coverage by ink.
    cells: Vec<(f32, f32)>,
    level: f32,
}

impl Card {
    /// [`Card::of`] for the pictures of a film.
    ///
    /// # Errors
    /// As [`Card::of`].
    pub fn for_film(cast: &Cast, video: &VideoInfo) -> Result<Option<Self>> {
        Self::of(cast, (video.width, video.height), video.sample_aspect, video.color.transfer)
    }

    /// The caption that a cast asks for, set for upright pictures of `size`, whose pixels are as wide to high as
    /// `aspect`, with a transfer characteristic by its code point. `None` if none is asked for.
    ///
    /// # Errors
    /// `Plan` naming the line, if the text does not fit, has letters that cannot be set, or holds one of the cast's `[words]`.
    pub fn of(cast: &Cast, size: (usize, usize), aspect: (u32, u32), transfer: u8) -> Result<Option<Self>> {
        let Some(wanted) = &cast.disclaimer else { return Ok(None) };
        let refuse = |message: &str| cast.error_at(wanted.span().start, message);
        let text = &wanted.get_ref().text;
        if let Some(words) = &cast.words {
            let aliases = Aliases::new(words.iter().map(|(w, a)| (w.as_str(), a.as_str())))?;
            let lines = text.lines().map(str::to_owned).collect();
            let (_, doubts) = aliases.apply(&[Cue { start_ms: 0, end_ms: 1, lines }]);
            if aliases.betrayed(text) || !doubts.is_empty() {
                return Err(refuse("`disclaimer` holds one of `[words]`, or something like it: nobody is to be named"));
            }
        }
        let ratio = f64::from(aspect.0) / f64::from(aspect.1.max(1));
        let ratio = if (0.1..=10.0).contains(&ratio) { ratio as f32 } else { 1.0 };
        let set = text::set(text, size, ratio).map_err(|e| refuse(&e))?;
        let first = set.top.saturating_sub((SOFT * set.em) as usize);
        let area = PixelRect { x: 0, y: first, width: size.0, height: size.1 - first };
        let soft = (set.top - first) as f32;
        let cell = |i: usize| {
            let row = i / size.0;
            let t = if soft > 0.0 { (row as f32 / soft).min(1.0) } else { 1.0 };
            let ink = row.checked_sub(set.top - first).map_or(0.0, |r| set.ink[r * size.0 + i % size.0]);
            (BAND * t * t * (3.0 - 2.0 * t), ink)
        };
        let cells = (0..area.width * area.height).map(cell).collect();
        let level = match transfer {
            16 => LEVELS.1,
            18 => LEVELS.2,
            _ => LEVELS.0,
        };
        Ok(Some(Card { seconds: wanted.get_ref().seconds, size, area, cells, level }))
    }

    /// How strongly it stands at a time, in seconds from the first picture: 1, falling to 0 at its end.
    #[must_use]
    pub fn strength(&self, seconds: f64) -> f32 {
        (((self.seconds - seconds) / FADE).clamp(0.0, 1.0)) as f32
    }

    /// The part of the picture that it lies on.
    #[must_use]
    pub fn area(&self) -> PixelRect {
        self.area
    }

    /// Draws it; `None` if `strength` is 0.
    ///
    /// # Errors
    /// `Plan` if the frame has another size.
    pub fn draw(&self, frame: &mut Frame, strength: f32) -> Result<Option<Touched>> {
        if (frame.width, frame.height) != self.size {
            return Err(Error::Plan(
                "the disclaimer was set for another size of picture: analyse the film again".into(),
            ));
        }
        if strength <= 0.0 {
            return Ok(None);
        }
        let (mut patch, mut matte) = (RgbPatch::new(self.area.width, self.area.height), self.bare());
        for ((px, alpha), cell) in patch.data.chunks_exact_mut(3).zip(&mut matte.data).zip(&self.cells) {
            let (left, light) = self.mix(*cell, strength);
            *alpha = 1.0 - left;
            px.fill(light / alpha.max(1e-6));
        }
        frame.blend_rgb(self.area.x, self.area.y, &patch, &matte);
        Ok(Some(Touched { x: self.area.x, y: self.area.y, matte }))
    }

    /// A frame as it was without the card, as well as anybody could work it out: what lies under ink is taken from beside it.
    /// `None` if there is nothing to take off.
    #[must_use]
    pub fn lift(&self, frame: &Frame, strength: f32) -> Option<Frame> {
        if strength <= 0.0 || !self.is_on(frame) {
            return None;
        }
        let mut patch = frame.read_rgb(self.area);
        let rows = patch.data.chunks_exact_mut(self.area.width * 3).zip(self.cells.chunks_exact(self.area.width));
        for (row, cells) in rows {
            let mut beside = [0.5; 3];
            for (px, cell) in row.chunks_exact_mut(3).zip(cells) {
                let (left, light) = self.mix(*cell, strength);
                if left >= LEAST_LEFT {
                    beside = [0, 1, 2].map(|k| ((px[k] - light) / left).clamp(0.0, 1.0));
                }
                px.copy_from_slice(&beside);
            }
        }
        let mut bare = frame.clone();
        bare.blend_rgb(self.area.x, self.area.y, &patch, &Matte { data: vec![1.0; self.cells.len()], ..self.bare() });
        Some(bare)
    }

    /// How surely the letters stand on `output` where `source` had none: the correlation of their shape with what was
    /// added, −1..=1. For full strength.
    #[must_use]
    pub fn seen(&self, source: &Frame, output: &Frame) -> f32 {
        if !self.is_on(source) || !self.is_on(output) {
            return 0.0;
        }
        let (before, after) = (source.read_rgb(self.area), output.read_rgb(self.area));
        let grey = |px: &[f32]| f64::from(px[0] + px[1] + px[2]) / 3.0;
        let pixels = before.data.chunks_exact(3).zip(after.data.chunks_exact(3)).zip(&self.cells);
        let (mut n, mut s) = (0.0, [0.0; 5]);
        for ((a, b), (dark, ink)) in pixels.filter(|(_, (dark, _))| *dark >= 0.9 * BAND) {
            let (x, y) = (f64::from(*ink), grey(b) - grey(a) * f64::from(1.0 - dark));
            n += 1.0;
            for (sum, v) in s.iter_mut().zip([x, y, x * x, y * y, x * y]) {
                *sum += v;
            }
        }
        let spread = |square: f64, sum: f64| (square - sum * sum / n).max(0.0);
        let scale = (spread(s[2], s[0]) * spread(s[3], s[1])).sqrt();
        if n > 0.0 && scale > 1e-9 { ((s[4] - s[0] * s[1] / n) / scale) as f32 } else { 0.0 }
    }

    /// What is left of the picture under a cell, and the light that comes on top.
    fn mix(&self, (dark, ink): (f32, f32), strength: f32) -> (f32, f32) {
        let ink = ink * strength;
        ((1.0 - dark * strength) * (1.0 - ink), self.level * ink)
    }

    /// Whether a frame is of the card's size, or grown to even sides for a codec.
    fn is_on(&self, frame: &Frame) -> bool {
        let grown = |have: usize, own: usize| (own..=own + own % 2).contains(&have);
        grown(frame.width, self.size.0) && grown(frame.height, self.size.1)
    }

    fn bare(&self) -> Matte {
        Matte::filled(self.area.width, self.area.height, 0.0)
    }
}

#[cfg(test)]
mod tests;
