//! Doubles: invented faces as exemplars with an atlas each.

use super::geometry::Span;
use super::light::{self, LightGrid};
use super::mesh::{Mesh, VERTICES};
use super::texture::Texture;
use crate::{Error, Result};
use serde::Deserialize;
use std::borrow::Cow;

/// Cells per side of an atlas, at most.
const MAX_ATLAS: u32 = 2048;
/// Exemplars of a double, at most.
const MAX_EXEMPLARS: usize = 64;

/// Where a double's face comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DoubleKind {
    /// Average of many people: nobody.
    Composite,
    /// A real person who agreed.
    Volunteer,
    /// Made by a generator: nobody.
    Generated,
}

/// One expression or pose of a double.
#[derive(Debug, Clone)]
pub struct Exemplar {
    /// What it shows, as `neutral`.
    pub name: String,
    /// Canonical shape, 470 points in face widths.
    pub shape: Vec<[f32; 3]>,
    /// Head turn of the source in radians.
    pub yaw: f32,
    /// Head nod of the source in radians.
    pub pitch: f32,
    /// Mean lid aperture in face widths.
    pub lid_aperture: f32,
    /// Inner-lip opening in face widths.
    pub mouth_opening: f32,
    /// Texture over low-frequency light, in display-referred ratio, with smaller levels.
    pub(crate) detail: Texture,
    /// The low-frequency light that was divided out, linear.
    pub(crate) low: LightGrid,
    /// Spread of mid-frequency skin contrast.
    pub(crate) contrast: f32,
}

/// An invented face that stands in for a person.
#[derive(Debug, Clone)]
pub struct Double {
    /// Short name, as `d07`.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Where the face comes from.
    pub kind: DoubleKind,
    exemplars: Vec<Exemplar>,
    exaggeration: f32,
    /// What is believed of a face; exaggeration goes no farther.
    span: Option<&'static Span>,
}

/// What `double.toml` says of a double.
#[derive(Debug, Clone, Deserialize)]
pub struct Card {
    /// Short name, as `d07`.
    pub name: String,
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// Where the face comes from.
    pub kind: DoubleKind,
    /// `woman` or `man`, as the face looks.
    #[serde(default)]
    pub sex: Option<String>,
    /// Apparent age, as `30-45`.
    #[serde(default)]
    pub age_band: Option<String>,
    /// Lightness of the skin, CIE L*.
    #[serde(default)]
    pub skin: Option<f32>,
    #[serde(default, rename = "exemplar")]
    exemplars: Vec<ExemplarCard>,
}

/// `[[exemplar]]` of `double.toml`.
#[derive(Debug, Clone, Deserialize)]
struct ExemplarCard {
    role: String,
    atlas: String,
    shape: usize,
    #[serde(default)]
    yaw_deg: f32,
    #[serde(default)]
    pitch_deg: f32,
}

impl Card {
    /// Number of the resting face's shape.
    pub(super) fn resting_shape(&self) -> Option<usize> {
        self.exemplars.iter().find(|e| e.role == "neutral").map(|e| e.shape)
    }

    /// Reads a card.
    ///
    /// # Errors
    /// `Model` if it does not parse or lists too many exemplars.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let card: Card = toml::from_str(text).map_err(|_e| bad("double.toml does not parse"))?;
        if card.exemplars.len() > MAX_EXEMPLARS {
            return Err(bad("too many exemplars"));
        }
        Ok(card)
    }
}

/// Reads a text as the card of a double; whether it is one.
pub(crate) fn parse_card_for_fuzzing(text: &str) -> bool {
    Card::parse(text).is_ok()
}

pub(crate) fn bad(what: &str) -> Error {
    Error::Model(format!("the double cannot be used ({what}); rebuild it or choose another"))
}

impl Exemplar {
    /// An exemplar from a square sRGB atlas, lit softly and valid inside the mesh's UV outline.
    ///
    /// # Errors
    /// `Model` if the shape is not 470 plausible points.
    pub fn new(mesh: &Mesh, name: &str, shape: Vec<[f32; 3]>, atlas: &image::RgbImage) -> Result<Self> {
        if shape.len() != VERTICES || shape.iter().flatten().any(|v| !v.is_finite() || v.abs() > 5.0) {
            return Err(bad("a shape is not 470 points"));
        }
        let size = atlas.width();
        if size != atlas.height() || !(64..=MAX_ATLAS).contains(&size) {
            return Err(bad("an atlas is not square or of a strange size"));
        }
        let (low, contrast, detail) = light::split_atlas(mesh, atlas);
        Ok(Exemplar {
            name: name.to_owned(),
            lid_aperture: mesh.lid_aperture(&shape),
            mouth_opening: mesh.mouth_opening(&shape),
            shape,
            yaw: 0.0,
            pitch: 0.0,
            detail,
            low,
            contrast,
        })
    }

    fn mixed(&self, other: &Exemplar, w: f32) -> Option<Exemplar> {
        let f = |a: f32, b: f32| a + (b - a) * w;
        let shape = self.shape.iter().zip(&other.shape).map(|(a, b)| std::array::from_fn(|k| f(a[k], b[k])));
        Some(Exemplar {
            name: self.name.clone(),
            shape: shape.collect(),
            yaw: f(self.yaw, other.yaw),
            pitch: f(self.pitch, other.pitch),
            lid_aperture: f(self.lid_aperture, other.lid_aperture),
            mouth_opening: f(self.mouth_opening, other.mouth_opening),
            detail: self.detail.mixed(&other.detail, w)?,
            low: self.low.mixed(&other.low, w),
            contrast: f(self.contrast, other.contrast),
        })
    }
}

impl Double {
    /// A double from its parts; the exemplar named `neutral` is put first.
    ///
    /// # Errors
    /// `Model` if there is no exemplar named `neutral` or there are too many.
    pub fn new(name: &str, description: &str, kind: DoubleKind, mut exemplars: Vec<Exemplar>) -> Result<Self> {
        let neutral = exemplars.iter().position(|e| e.name == "neutral");
        let Some(at) = neutral.filter(|_| exemplars.len() <= MAX_EXEMPLARS) else {
            return Err(bad("no exemplar named neutral, or too many"));
        };
        exemplars[..=at].rotate_right(1);
        let (name, description) = (name.to_owned(), description.to_owned());
        Ok(Double { name, description, kind, exemplars, exaggeration: super::geometry::USUAL, span: None })
    }

    /// A double from the contents of its folder: the text of `double.toml` and of `shapes.json` (a list of shapes),
    /// and a way to get the bytes of a picture by file name.
    ///
    /// # Errors
    /// `Model` if a file is missing, malformed or out of bounds.
    pub fn from_parts<'a>(
        mesh: &Mesh,
        card: &str,
        shapes: &str,
        picture: impl FnMut(&str) -> Option<Cow<'a, [u8]>>,
    ) -> Result<Self> {
        Self::from_some_parts(mesh, card, shapes, picture, |_| true)
    }

    /// As [`Double::from_parts`], with only those exemplars whose role is `wanted`.
    pub(crate) fn from_some_parts<'a>(
        mesh: &Mesh,
        card: &str,
        shapes: &str,
        mut picture: impl FnMut(&str) -> Option<Cow<'a, [u8]>>,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        let card = Card::parse(card)?;
        let shapes: Vec<Vec<[f32; 3]>> =
            serde_json::from_str(shapes).map_err(|e| bad(&format!("shapes.json line {}", e.line())))?;
        let mut exemplars = Vec::with_capacity(card.exemplars.len());
        for entry in card.exemplars.iter().filter(|e| wanted(&e.role)) {
            let shape = shapes.get(entry.shape).ok_or_else(|| bad("a shape is missing"))?;
            let bytes = picture(&entry.atlas).ok_or_else(|| bad("an atlas picture is missing"))?;
            let mut e = Exemplar::new(mesh, &entry.role, shape.clone(), &decode(&bytes)?)?;
            let angle = |v: f32| if v.is_finite() { v.clamp(-90.0, 90.0).to_radians() } else { 0.0 };
            (e.yaw, e.pitch) = (angle(entry.yaw_deg), angle(entry.pitch_deg));
            exemplars.push(e);
        }
        Double::new(&card.name, &card.description, card.kind, exemplars)
    }

    /// All exemplars; the first is the resting face.
    #[must_use]
    pub fn exemplars(&self) -> &[Exemplar] {
        &self.exemplars
    }

    /// Canonical shape of the resting face.
    #[must_use]
    pub fn shape(&self) -> &[[f32; 3]] {
        &self.exemplars[0].shape
    }

    /// Share of its differences from a person that is added to them when it is drawn.
    pub(crate) fn exaggeration(&self) -> f32 {
        self.exaggeration
    }

    /// How far exaggeration may go.
    pub(crate) fn span(&self) -> Option<&'static Span> {
        self.span
    }

    /// The same double, exaggerated no farther than `span`.
    pub(super) fn within(self, span: Option<&'static Span>) -> Self {
        Double { span, ..self }
    }

    /// The same double, drawn with its differences from the person exaggerated more: for people whom it resembles.
    #[must_use]
    pub fn exaggerated(mut self) -> Self {
        self.exaggeration = super::geometry::STRONG;
        self
    }

    /// Whether the base region always shows the resting face: expressions of a composite are averages of other
    /// people, so that letting them into the base would change who it is.
    #[must_use]
    pub fn base_locked(&self) -> bool {
        self.kind != DoubleKind::Volunteer
    }

    /// A new invented person between two doubles: `weight` 0 is `a`, 1 is `b`. Exemplars are paired by name; those
    /// that only one has are left out.
    ///
    /// # Errors
    /// `Model` if the doubles share no usable neutral exemplar, or either is a real person.
    pub fn blend(a: &Double, b: &Double, weight: f32, name: &str) -> Result<Double> {
        if a.kind == DoubleKind::Volunteer || b.kind == DoubleKind::Volunteer {
            return Err(bad("a real person is not blended"));
        }
        let w = if weight.is_finite() { weight.clamp(0.0, 1.0) } else { 0.5 };
        let pair = |e: &Exemplar| {
            let twin = b.exemplars.iter().find(|o| o.name == e.name)?;
            e.mixed(twin, w)
        };
        let exemplars: Vec<Exemplar> = a.exemplars.iter().filter_map(pair).collect();
        let kind = if a.kind == b.kind { a.kind } else { DoubleKind::Composite };
        Double::new(
            name,
            &format!("{:.0} % {} and {:.0} % {}", (1.0 - w) * 100.0, a.name, w * 100.0, b.name),
            kind,
            exemplars,
        )
        .map(|d| d.within(a.span))
    }
}

/// Decodes a JPEG or PNG under limits.
fn decode(bytes: &[u8]) -> Result<image::RgbImage> {
    let mut reader = image::ImageReader::new(std::io::Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|_e| bad("an atlas is no picture"))?;
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(MAX_ATLAS);
    limits.max_image_height = Some(MAX_ATLAS);
    limits.max_alloc = Some(256 << 20);
    reader.limits(limits);
    Ok(reader.decode().map_err(|_e| bad("an atlas does not decode"))?.into_rgb8())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A double with the canonical shape and a plain skin-coloured atlas with darker features.
    pub(crate) fn plain_double(mesh: &Mesh) -> Double {
        let atlas = image::RgbImage::from_fn(256, 256, |x, y| {
            let stripe = if (x / 8 + y / 8) % 2 == 0 { 12 } else { 0 };
            image::Rgb([190 - stripe, 140 - stripe, 120 - stripe])
        });
        let neutral = Exemplar::new(mesh, "neutral", mesh.positions.clone(), &atlas).unwrap();
        let mut shut = mesh.positions.clone();
        for eye in &mesh.eyes {
            for &[u, l] in &eye.lids {
                let middle = 0.5 * (shut[u][1] + shut[l][1]);
                shut[u][1] = middle;
                shut[l][1] = middle;
            }
        }
        let closed = Exemplar::new(mesh, "closed", shut, &atlas).unwrap();
        Double::new("plain", "", DoubleKind::Composite, vec![closed, neutral]).unwrap()
    }

    #[test]
    fn the_resting_face_comes_first_and_blends_lie_between() {
        let mesh = Mesh::embedded().unwrap();
        let a = plain_double(&mesh);
        assert_eq!(a.exemplars()[0].name, "neutral");
        let mut b = plain_double(&mesh);
        for p in &mut b.exemplars[0].shape {
            p[1] += 0.1;
        }
        let c = Double::blend(&a, &b, 0.25, "new").unwrap();
        assert!((c.shape()[5][1] - a.shape()[5][1] - 0.025).abs() < 1e-5);
        assert_eq!(c.exemplars().len(), 2);
        b.kind = DoubleKind::Volunteer;
        assert!(Double::blend(&a, &b, 0.5, "x").is_err());
    }

    #[test]
    fn malformed_doubles_are_refused() {
        let mesh = Mesh::embedded().unwrap();
        let card = "name = 'x'\nkind = 'composite'\n";
        assert!(Double::from_parts(&mesh, "", "{}", |_| None).is_err());
        assert!(Double::from_parts(&mesh, card, "[]", |_| None).is_err());
        let card = format!("{card}[[exemplar]]\nrole = 'neutral'\natlas = 'a.jpg'\nshape = 0\n");
        let picture = |_: &str| Some(Cow::from(vec![1u8, 2, 3]));
        assert!(Double::from_parts(&mesh, &card, "[]", picture).is_err());
        assert!(Double::from_parts(&mesh, &card, "[[[0,0,0]]]", picture).is_err());
        assert!(Double::from_parts(&mesh, &card, "nonsense", picture).is_err());
    }
}
