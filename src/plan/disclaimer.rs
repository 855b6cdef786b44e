//! The sentence that tells an audience of the disguise.

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use std::fmt;

/// What is said where the cast has only `disclaimer = true`.
pub const USUAL_DISCLAIMER: &str = "Some faces and voices in this film have been altered to protect people.";
/// How long it stands, seconds: two lines are read twice (subtitles are given about 15 letters a second).
const USUAL_SECONDS: f64 = 5.0;
/// Shortest and longest time, seconds.
const SECONDS: std::ops::RangeInclusive<f64> = 2.0..=60.0;
/// Most letters.
const MOST_LETTERS: usize = 400;

/// A caption over the first seconds of the film.
#[derive(Debug, Clone, PartialEq)]
pub struct Disclaimer {
    /// What it says; may hold line breaks.
    pub text: String,
    /// How long it stands, from the first picture on.
    pub seconds: f64,
}

impl Disclaimer {
    /// What is wrong with it, if anything.
    pub(super) fn objection(&self) -> Option<String> {
        if self.text.trim().is_empty() {
            return Some("`disclaimer` is empty: write a sentence, or true for the usual one".into());
        }
        if self.text.chars().count() > MOST_LETTERS {
            return Some(format!("`disclaimer` has more than {MOST_LETTERS} letters: nobody could read it"));
        }
        if !SECONDS.contains(&self.seconds) {
            let (least, most) = (SECONDS.start(), SECONDS.end());
            return Some(format!("`disclaimer` needs `seconds` of {least} to {most}"));
        }
        None
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    seconds: Option<f64>,
}

impl<'de> Deserialize<'de> for Disclaimer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = Disclaimer;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("`disclaimer` as true, a sentence, or a table such as { text = \"…\", seconds = 6 }")
            }
            fn visit_bool<E: de::Error>(self, on: bool) -> Result<Disclaimer, E> {
                if on {
                    Ok(Disclaimer { text: USUAL_DISCLAIMER.into(), seconds: USUAL_SECONDS })
                } else {
                    Err(E::custom("`disclaimer` is true or a sentence; leave the line out for none"))
                }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Disclaimer, E> {
                Ok(Disclaimer { text: text.into(), seconds: USUAL_SECONDS })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Disclaimer, A::Error> {
                let t = Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let text = t.text.unwrap_or_else(|| USUAL_DISCLAIMER.into());
                Ok(Disclaimer { text, seconds: t.seconds.unwrap_or(USUAL_SECONDS) })
            }
        }
        deserializer.deserialize_any(Words)
    }
}
