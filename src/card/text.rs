//! Sets a few lines of text: breaks them, measures them, draws their coverage.

use ab_glyph::{Font, FontRef, PxScale, PxScaleFont, ScaleFont, point};

/// Height of the letter m-square in the shorter side of the picture as it is shown.
const EM: f32 = 0.042;
/// Smallest letters, pixels; below this nobody can read them.
const LEAST_EM: f32 = 9.0;
/// How far letters may shrink to make a text fit.
const SHRINK: f32 = 0.7;
/// Distance of two lines, in letter heights.
const LEADING: f32 = 1.35;
/// Share of the picture's width that a line may take, and of its height that all lines may.
const ROOM: (f32, f32) = (0.88, 0.36);
/// Share of the picture's height below the last line.
const BELOW: f32 = 0.045;

/// Lines in their places: coverage of each pixel by ink.
pub(super) struct Set {
    /// Row at which the first line's tallest letters begin.
    pub top: usize,
    /// Height of the letters, pixels.
    pub em: f32,
    /// One value per pixel of the picture from row `top` to the bottom, 0..=1.
    pub ink: Vec<f32>,
}

/// Sets `text` at the lower edge of a picture whose pixels are `aspect` times as wide as high.
///
/// # Errors
/// What the writer of the text must change.
pub(super) fn set(text: &str, (width, height): (usize, usize), aspect: f32) -> Result<Set, String> {
    let font = FontRef::try_from_slice(notosans::REGULAR_TTF).map_err(|_bad| "the built-in font is damaged")?;
    let paragraphs: Vec<Vec<&str>> =
        text.lines().map(|l| l.split([' ', '\t']).filter(|w| !w.is_empty()).collect()).collect();
    for c in paragraphs.iter().flatten().flat_map(|w| w.chars()) {
        if !can_be_set(c) || font.glyph_id(c).0 == 0 {
            return Err(format!(
                "`disclaimer` holds U+{:04X}, which the built-in font cannot set: it has Latin, Greek and Cyrillic letters",
                c as u32
            ));
        }
    }
    let (wide, high) = (width as f32 * aspect, height as f32);
    let first = (EM * wide.min(high)).max(LEAST_EM);
    let last = (first * SHRINK).max(LEAST_EM);
    let mut em = first;
    loop {
        let scaled = scaled(&font, em, aspect);
        if let Some(lines) = broken(&paragraphs, &scaled, ROOM.0 * width as f32)
            && lines.len() as f32 * em * LEADING <= ROOM.1 * high
        {
            return Ok(drawn(&lines, &scaled, em, (width, height)));
        }
        if em <= last {
            let message = "`disclaimer` does not fit into pictures of this size, even in small letters: shorten it, or leave it out";
            return Err(format!("{message} ({width} × {height} pixels)"));
        }
        em = (em * 0.94).max(last);
    }
}

/// Letters that need no more than to be put side by side: no scripts that join or reorder them, no accents of their own.
fn can_be_set(c: char) -> bool {
    matches!(c as u32, 0x20..=0x7e | 0xa0..=0xac | 0xae..=0x2ff | 0x370..=0x482 | 0x48a..=0x52f | 0x1e00..=0x1fff
        | 0x2010..=0x2027 | 0x202f..=0x205e | 0x20a0..=0x20cf | 0x2100..=0x214f)
}

/// The font with letters `em` pixels high, as wide as they must be to look right.
fn scaled<'f>(font: &'f FontRef<'f>, em: f32, aspect: f32) -> PxScaleFont<&'f FontRef<'f>> {
    let y = em * font.height_unscaled() / font.units_per_em().unwrap_or(1000.0);
    font.as_scaled(PxScale { x: y / aspect, y })
}

type Scaled<'f> = PxScaleFont<&'f FontRef<'f>>;

fn width_of(line: &str, font: &Scaled) -> f32 {
    line.chars().map(|c| font.h_advance(font.glyph_id(c))).sum()
}

/// Lines of at most `room` pixels, of about the same length; `None` if a word is longer.
fn broken(paragraphs: &[Vec<&str>], font: &Scaled, room: f32) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    for words in paragraphs.iter().filter(|w| !w.is_empty()) {
        let mut best = filled(words, font, room)?;
        let mut narrow = room;
        // As narrow as the same number of lines allows: no single word in the last one.
        while let Some(even) = filled(words, font, narrow).filter(|l| l.len() == best.len()) {
            best = even;
            narrow *= 0.97;
        }
        lines.append(&mut best);
    }
    Some(lines)
}

fn filled(words: &[&str], font: &Scaled, room: f32) -> Option<Vec<String>> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        if width_of(word, font) > room {
            return None;
        }
        match lines.last_mut() {
            Some(line) if width_of(&format!("{line} {word}"), font) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push((*word).to_owned()),
        }
    }
    Some(lines)
}

fn drawn(lines: &[String], font: &Scaled, em: f32, (width, height): (usize, usize)) -> Set {
    let below = (BELOW * height as f32).max(font.descent().abs());
    let block = (lines.len() as f32 - 1.0) * em * LEADING + font.ascent();
    let top = (height as f32 - below - block).max(0.0) as usize;
    let rows = height - top;
    let mut ink = vec![0.0f32; width * rows];
    for (i, line) in lines.iter().enumerate() {
        let baseline = (font.ascent() + i as f32 * em * LEADING).round();
        let mut x = (width as f32 - width_of(line, font)) / 2.0;
        for c in line.chars() {
            let id = font.glyph_id(c);
            let glyph = id.with_scale_and_position(font.scale(), point(x, baseline));
            x += font.h_advance(id);
            let Some(outline) = font.outline_glyph(glyph) else { continue };
            let bounds = outline.px_bounds();
            outline.draw(|gx, gy, cover| {
                let (px, py) = (bounds.min.x as i64 + i64::from(gx), bounds.min.y as i64 + i64::from(gy));
                let inside = (0..width as i64).contains(&px) && (0..rows as i64).contains(&py);
                if let Some(cell) = inside.then(|| ink.get_mut(py as usize * width + px as usize)).flatten() {
                    *cell = (*cell + cover).clamp(0.0, 1.0);
                }
            });
        }
    }
    Set { top, em, ink }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::USUAL_DISCLAIMER;

    fn columns(s: &Set, width: usize) -> (usize, usize) {
        let inked: Vec<usize> = (0..s.ink.len()).filter(|i| s.ink[*i] > 0.5).map(|i| i % width).collect();
        (*inked.iter().min().unwrap(), *inked.iter().max().unwrap())
    }

    #[test]
    fn the_usual_sentence_fits_films_of_any_shape() {
        for size in
            [(1920, 1080), (1080, 1920), (640, 360), (480, 270), (271, 483), (320, 240), (3840, 1600), (200, 160)]
        {
            let s = set(USUAL_DISCLAIMER, size, 1.0).unwrap_or_else(|e| panic!("{size:?}: {e}"));
            let (left, right) = columns(&s, size.0);
            assert!(left > size.0 / 20 && right < size.0 - size.0 / 20, "{size:?}: {left} {right}");
            assert!(left.abs_diff(size.0 - right) <= 4, "centred: {size:?}: {left} {right}");
            assert!(s.top > size.1 / 2 && s.em >= LEAST_EM, "{size:?}");
            let last = (0..s.ink.len()).rfind(|i| s.ink[*i] > 0.5).unwrap() / size.0 + s.top;
            assert!(last < size.1 - 2, "{size:?}: ink in row {last}");
        }
    }

    #[test]
    fn pixels_that_are_no_squares_get_letters_that_look_right() {
        let text = "Names were changed.";
        let [square, wide] = [1.0, 2.0].map(|aspect| columns(&set(text, (720, 576), aspect).unwrap(), 720));
        let (a, b) = (square.1 - square.0, wide.1 - wide.0);
        assert!((a as f32 / b as f32 - 2.0).abs() < 0.1, "{a} {b}");
    }

    #[test]
    fn what_cannot_be_set_is_refused() {
        for (text, size, word) in [
            ("word ".repeat(79).as_str(), (320, 240), "fit"),
            (USUAL_DISCLAIMER, (64, 48), "fit"),
            ("Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen", (240, 320), "fit"),
            ("שלום", (640, 360), "U+05E9"),
            ("नमस्ते", (640, 360), "U+0928"),
            ("e\u{301}", (640, 360), "U+0301"),
            ("a\u{200b}b", (640, 360), "U+200B"),
            ("a\u{7}b", (640, 360), "U+0007"),
        ] {
            let e = set(text, size, 1.0).err().unwrap_or_else(|| panic!("{text}"));
            assert!(e.contains(word), "{e}");
        }
        for text in [
            "Дисклеймер: голоса изменены.",
            "Οι φωνές άλλαξαν.",
            "Głosy zostały zmienione – „tak”.",
            "Một số khuôn mặt",
        ] {
            assert!(set(text, (640, 360), 1.0).is_ok(), "{text}");
        }
    }

    #[test]
    fn line_breaks_of_the_writer_stay() {
        let font = FontRef::try_from_slice(notosans::REGULAR_TTF).unwrap();
        let scaled = scaled(&font, 20.0, 1.0);
        let lines = |text: &str| {
            let p: Vec<Vec<&str>> = text.lines().map(|l| l.split(' ').collect()).collect();
            broken(&p, &scaled, 300.0).unwrap()
        };
        assert_eq!(lines("One.\nTwo words."), ["One.", "Two words."]);
        let even = lines("These are so many words that there must be two lines");
        assert_eq!(even.len(), 2);
        assert!(even[0].len().abs_diff(even[1].len()) < 10, "{even:?}");
    }
}
