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
            Role::Verifier => "face verifier",
        })
    }
}

/// One known network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
            if !hex || !plain || list.entries[..i].iter().any(|e| e.file == entry.file) {
                return Err(Error::Model(format!("the list of networks is malformed at `{}`", entry.name)));
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
mod tests {
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

    #[test]
    fn malformed_lists_are_refused() {
        let text = include_str!("../../models/manifest.toml");
        assert!(Catalogue::parse(&text.replacen("104ee26c", "104EE26C", 1)).is_err());
        assert!(Catalogue::parse(&text.replacen("yunet_n_dynamic.onnx", "../x.onnx", 1)).is_err());
        assert!(Catalogue::parse(&format!("{text}\n{text}")).is_err());
        assert!(Catalogue::parse("[[model]]\nname = 3").is_err());
    }
}
