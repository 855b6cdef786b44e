//! The list of networks that the program knows, compiled in from `models/manifest.toml`.

use crate::error::{Error, Result};
use serde::Deserialize;

/// What a network is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Finds faces in a picture.
    Detector,
    /// Finds the dense points of one face.
    Landmarks,
    /// Turns one aligned face into a vector that can be compared.
    Embedding,
    /// Does the same, for the attack on the finished film alone: a recogniser that the user brings.
    Attacker,
    /// Says whether a place shows a face at all. Only the built-in detector needs it.
    Verifier,
}

impl Role {
    /// Every role without which nothing runs, in the order in which they are used.
    pub const ALL: [Role; 3] = [Role::Detector, Role::Landmarks, Role::Embedding];
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Role::Detector => "face detector",
            Role::Landmarks => "face landmarks",
            Role::Embedding => "face embedding",
            Role::Attacker => "attacker",
            Role::Verifier => "face verifier",
        })
    }
}

/// Order of the colours in a network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// How a recogniser that the user brings wants its faces, and what its cosines mean.
///
/// The face is aligned to the 112-pixel template of five points; `[1, 3, 112, 112]` f32 goes in, one vector comes out.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recogniser {
    /// Order of the colours.
    pub colour: Channels,
    /// Taken off each colour (0..=255), in that order.
    pub mean: [f32; 3],
    /// Divides each colour afterwards.
    pub deviation: [f32; 3],
    /// Cosine over which one pair of strangers in a thousand lies.
    pub single: f32,
    /// Cosine over which one pair of strangers in ten thousand lies.
    pub certain: f32,
}

impl Recogniser {
    fn is_sound(&self) -> bool {
        let numbers = self.mean.iter().chain(&self.deviation).all(|v| v.is_finite());
        numbers
            && self.deviation.iter().all(|v| v.abs() > 1e-6)
            && self.single > 0.0
            && self.single <= self.certain
            && self.certain < 1.0
    }
}

/// One known network.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// Name by which reports speak of it.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// File name, without folder.
    pub file: String,
    /// Exact size of the file.
    pub bytes: u64,
    /// SHA-256 of the file, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Licence of the network.
    pub licence: String,
    /// Where the file comes from.
    pub source: String,
    /// Input tensors.
    pub input: String,
    /// Output tensors.
    pub output: String,
    /// How pictures are prepared.
    pub preprocessing: String,
    /// Among installed networks of one role the strongest is used.
    pub strength: i32,
    /// Shipped inside the program rather than installed.
    #[serde(default)]
    pub built_in: bool,
    /// For attackers, and for nothing else.
    #[serde(default)]
    pub recogniser: Option<Recogniser>,
}

impl ModelEntry {
    /// Networks of one family are variants of each other: the first word of the name.
    #[must_use]
    pub fn family(&self) -> &str {
        self.name.split('_').next().unwrap_or_default()
    }
}

/// All known networks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    #[serde(rename = "model", default)]
    entries: Vec<ModelEntry>,
}

impl Catalogue {
    /// The list compiled into the program.
    ///
    /// # Errors
    /// `Model` if the list is malformed (a mistake in the build).
    pub fn built_in() -> Result<Self> {
        Self::parse(include_str!("../../models/manifest.toml"))
    }

    /// A list from TOML text.
    ///
    /// # Errors
    /// `Model` if the text is not a list of networks, a hash is malformed, or a file name occurs twice.
    pub fn parse(text: &str) -> Result<Self> {
        let list: Catalogue =
            toml::from_str(text).map_err(|e| Error::Model(format!("the list of networks is malformed: {e}")))?;
        for (i, entry) in list.entries.iter().enumerate() {
            let hex = entry.sha256.len() == 64
                && entry.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            let plain = !entry.file.is_empty() && !entry.file.contains(['/', '\\']);
            let told = (entry.role == Role::Attacker) == entry.recogniser.is_some();
            let sound = told && entry.recogniser.is_none_or(|r| r.is_sound());
            if !hex || !plain || !sound || list.entries[..i].iter().any(|e| e.file == entry.file) {
                return Err(Error::Model(format!("the list of networks is malformed at `{}`", entry.name)));
            }
        }
        Ok(list)
    }

    /// A list of recognisers that the user brings (`attackers.toml` beside their files).
    ///
    /// # Errors
    /// As [`Catalogue::parse`]; `Model` too if anything but attackers is listed, or a name or file is one of the program's.
    pub fn attackers(text: &str) -> Result<Self> {
        let known = Self::built_in()?;
        let list = Self::parse(text)?;
        for e in &list.entries {
            let taken = known.entries.iter().any(|k| k.file == e.file || k.name == e.name);
            if e.role != Role::Attacker || e.built_in || taken {
                return Err(Error::Model(format!(
                    "a list of attackers may hold networks of the role `attacker` only, under names of their own; see `{}`",
                    e.name
                )));
            }
        }
        Ok(list)
    }

    /// The entries, in the order of the list.
    #[must_use]
    pub fn entries(&self) -> &[ModelEntry] {
        &self.entries
    }

    /// The entry of a file name (without folder).
    #[must_use]
    pub fn by_file(&self, file: &str) -> Option<&ModelEntry> {
        self.entries.iter().find(|e| e.file == file)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[test]
    fn the_compiled_list_covers_every_role() {
        let list = Catalogue::built_in().unwrap();
        for role in Role::ALL {
            assert!(list.entries().iter().any(|e| e.role == role), "{role}");
        }
        assert!(list.by_file("yunet_n_dynamic.onnx").is_some());
        assert!(list.by_file("other.onnx").is_none());
    }

    /// One recogniser of a user.
    pub(in crate::infer) fn attacker(file: &str, bytes: u64, sha256: &str) -> String {
        format!(
            "[[model]]\nname = \"theirs\"\nrole = \"attacker\"\nfile = \"{file}\"\nbytes = {bytes}\nsha256 = \"{sha256}\"\n\
             licence = \"theirs\"\nsource = \"somewhere\"\ninput = \"x\"\noutput = \"y\"\npreprocessing = \"z\"\nstrength = 0\n\
             recogniser = {{ colour = \"bgr\", mean = [127.5, 127.5, 127.5], deviation = [128, 128, 128], single = 0.3, \
             certain = 0.4 }}\n"
        )
    }

    #[test]
    fn attackers_take_nobodys_place() {
        let text = attacker("theirs.onnx", 3, &"ab".repeat(32));
        let list = Catalogue::attackers(&text).unwrap();
        assert_eq!(list.entries()[0].recogniser.unwrap().colour, Channels::Bgr);
        for (from, to) in [
            ("\"attacker\"", "\"embedding\""),
            ("theirs.onnx", "yunet_n_dynamic.onnx"),
            ("\"theirs\"\nrole", "\"understudy_embedding\"\nrole"),
            ("single = 0.3", "single = 0.5"),
            ("[128, 128, 128]", "[0, 128, 128]"),
            ("strength = 0", "strength = 0\nbuilt_in = true"),
            ("recogniser = ", "recognizer = "),
        ] {
            assert!(text.contains(from), "{from}");
            assert!(Catalogue::attackers(&text.replacen(from, to, 1)).is_err(), "{to}");
        }
        // The program's own networks need no description, and attackers are none of them.
        assert!(Catalogue::built_in().unwrap().entries().iter().all(|e| e.role != Role::Attacker));
    }

    #[test]
    fn malformed_lists_are_refused() {
        let text = include_str!("../../models/manifest.toml");
        assert!(Catalogue::parse(&text.replacen("104ee26c", "104EE26C", 1)).is_err());
        assert!(Catalogue::parse(&text.replacen("yunet_n_dynamic.onnx", "../x.onnx", 1)).is_err());
        assert!(Catalogue::parse(&format!("{text}\n{text}")).is_err());
        assert!(Catalogue::parse("[[model]]\nname = 3").is_err());
    }
}
