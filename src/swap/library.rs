//! The doubles that can be chosen: those that ship with the program and those in folders.

use super::double::{Card, Double, bad};
use super::geometry::Span;
use super::mesh::Mesh;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Doubles per folder, at most.
const MAX_DOUBLES: usize = 1000;
/// Bytes of any one file of a double, at most.
const MAX_FILE: u64 = 32 << 20;

/// A double embedded in the program.
struct Shipped {
    card: &'static str,
    shapes: &'static str,
    pictures: &'static [(&'static str, &'static [u8])],
}

/// The folders under `models/doubles`, listed by the build script.
const SHIPPED: &[Shipped] = include!(concat!(env!("OUT_DIR"), "/shipped_doubles.rs"));

/// What the resting faces of the shipped doubles span: between them lies what is still believed.
fn span_of_doubles() -> Option<&'static Span> {
    static SPAN: LazyLock<Option<Span>> = LazyLock::new(|| {
        let resting = |s: &Shipped| -> Option<Vec<[f32; 3]>> {
            let card = Card::parse(s.card).ok()?;
            let at = card.resting_shape()?;
            let mut shapes: Vec<Vec<[f32; 3]>> = serde_json::from_str(s.shapes).ok()?;
            (at < shapes.len()).then(|| shapes.swap_remove(at))
        };
        let shapes: Option<Vec<_>> = SHIPPED.iter().map(resting).collect();
        Span::of(shapes?.iter().map(Vec::as_slice))
    });
    SPAN.as_ref()
}

#[derive(Debug, Clone)]
enum Source {
    Shipped(usize),
    Folder(PathBuf),
}

/// Doubles by name. Only their cards are read until one is loaded.
#[derive(Debug, Clone, Default)]
pub struct DoubleLibrary {
    entries: Vec<(Card, Source)>,
}

impl DoubleLibrary {
    /// The doubles that ship with the program.
    ///
    /// # Errors
    /// `Model` if an embedded card is damaged, which only a broken build can cause.
    pub fn shipped() -> Result<Self> {
        let entries = SHIPPED.iter().enumerate().map(|(i, s)| Ok((Card::parse(s.card)?, Source::Shipped(i))));
        Ok(DoubleLibrary { entries: entries.collect::<Result<_>>()? })
    }

    /// The doubles in the sub-folders of `path` (those with a `double.toml`), by name.
    ///
    /// # Errors
    /// `Io` if the folder or a card cannot be read, `Model` if a card is malformed, `Limit` if there are too many.
    pub fn load_dir(path: &Path) -> Result<Self> {
        let io = |e| Error::io("cannot read the folder of doubles", path, e);
        let mut entries = Vec::new();
        for item in std::fs::read_dir(path).map_err(io)? {
            let dir = item.map_err(io)?.path();
            if !dir.join("double.toml").is_file() {
                continue;
            }
            if entries.len() >= MAX_DOUBLES {
                return Err(Error::Limit("more than 1000 doubles in one folder; split it".to_owned()));
            }
            entries.push((Card::parse(&text(&dir.join("double.toml"))?)?, Source::Folder(dir)));
        }
        entries.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        Ok(DoubleLibrary { entries })
    }

    /// Adds another library's doubles; those of the same name are replaced.
    pub fn extend(&mut self, other: DoubleLibrary) {
        for (card, source) in other.entries {
            self.entries.retain(|e| e.0.name != card.name);
            self.entries.push((card, source));
        }
    }

    /// What is known of each double without loading it.
    pub fn cards(&self) -> impl Iterator<Item = &Card> {
        self.entries.iter().map(|e| &e.0)
    }

    /// Loads a double: decodes its atlases and measures their light, about a quarter of a second.
    ///
    /// # Errors
    /// `Model` if there is none of this name or it is damaged, `Io` if its folder cannot be read.
    pub fn load(&self, mesh: &Mesh, name: &str) -> Result<Double> {
        self.load_some(mesh, name, |_| true)
    }

    /// Loads the resting face of a double alone: enough to see who it is, and many times faster.
    ///
    /// # Errors
    /// As [`DoubleLibrary::load`].
    pub fn load_resting(&self, mesh: &Mesh, name: &str) -> Result<Double> {
        self.load_some(mesh, name, |role| role == "neutral")
    }

    /// Loads a double without its laughing mouth: whoever laughs broadly then shows teeth less, and is less like a laughing
    /// person.
    ///
    /// # Errors
    /// As [`DoubleLibrary::load`].
    pub fn load_earnest(&self, mesh: &Mesh, name: &str) -> Result<Double> {
        self.load_some(mesh, name, |role| role != "laugh")
    }

    fn load_some(&self, mesh: &Mesh, name: &str, wanted: impl Fn(&str) -> bool) -> Result<Double> {
        let Some((_, source)) = self.entries.iter().find(|e| e.0.name == name) else {
            return Err(bad(&format!("there is none called {name}")));
        };
        let double = match source {
            Source::Folder(dir) => load_folder_some(mesh, dir, wanted),
            Source::Shipped(i) => {
                let s = &SHIPPED[*i];
                let picture = |file: &str| s.pictures.iter().find(|p| p.0 == file).map(|p| p.1.into());
                Double::from_some_parts(mesh, s.card, s.shapes, picture, wanted)
            }
        }?;
        Ok(double.within(span_of_doubles()))
    }
}

fn text(path: &Path) -> Result<String> {
    let doing = "cannot read the double";
    let size = std::fs::metadata(path).map_err(|e| Error::io(doing, path, e))?.len();
    if size > MAX_FILE {
        return Err(Error::Limit(format!("a file of a double is larger than 32 MiB: {}", path.display())));
    }
    std::fs::read_to_string(path).map_err(|e| Error::io(doing, path, e))
}

/// A double from its folder: `double.toml`, `shapes.json` and the pictures named there.
///
/// # Errors
/// `Io` if the card or the shapes cannot be read, `Model` if the double is malformed, `Limit` if a file is huge.
pub fn load_folder(mesh: &Mesh, dir: &Path) -> Result<Double> {
    load_folder_some(mesh, dir, |_| true)
}

fn load_folder_some(mesh: &Mesh, dir: &Path, wanted: impl Fn(&str) -> bool) -> Result<Double> {
    let (card, shapes) = (text(&dir.join("double.toml"))?, text(&dir.join("shapes.json"))?);
    let picture = |file: &str| {
        // only plain names: a double may not point outside its folder
        let plain = Path::new(file).file_name().is_some_and(|n| n == file);
        let path = dir.join(file);
        let fits = plain && std::fs::metadata(&path).is_ok_and(|m| m.len() <= MAX_FILE);
        fits.then(|| std::fs::read(&path).ok()).flatten().map(Into::into)
    };
    Double::from_some_parts(mesh, &card, &shapes, picture, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_double_loads_and_can_open_and_shut() {
        let mesh = Mesh::embedded().unwrap();
        let library = DoubleLibrary::shipped().unwrap();
        let mut n = 0;
        for card in library.cards() {
            let d = library.load(&mesh, &card.name).unwrap();
            let rest = &d.exemplars()[0];
            assert!(d.exemplars().iter().any(|e| e.lid_aperture < 0.3 * rest.lid_aperture), "{} never blinks", d.name);
            assert!(d.exemplars().iter().any(|e| e.mouth_opening > rest.mouth_opening + 0.05), "{} is mute", d.name);
            n += 1;
        }
        assert!(n >= 8 && span_of_doubles().is_some());
        assert!(library.load(&mesh, "nobody").is_err());
    }
}
