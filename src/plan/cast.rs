//! The cast file: hand-edited TOML that says who becomes whom.

use super::{Disclaimer, parse_timecode};
use crate::{Error, Result};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Most bytes of a cast file.
const MOST_BYTES: u64 = 4 << 20;
/// Most people, regions, and (over all people together) time ranges of voices and patterns of pictures.
const MOST: [(&str, usize); 4] = [("people", 1000), ("regions", 500), ("voice `times`", 20_000), ("`refs`", 2000)];

/// What to do with a face.
#[derive(Debug, Clone, PartialEq)]
pub enum FaceChoice {
    /// The face stays as filmed. Only ever by explicit choice.
    Keep,
    /// A double takes its place. `None` means a fitting shipped one.
    Swap {
        /// Name of the double.
        double: Option<String>,
        /// Visible soft edge, 0 (none) to 1. `None` takes that of the policy.
        halo: Option<f32>,
        /// How much of the head changes. `None` takes that of the policy.
        extent: Option<Extent>,
    },
    /// Irreversible low-resolution average, then blur.
    Blur,
    /// Irreversible coarse cells.
    Mosaic,
    /// A flat shape over the head.
    Solid,
    /// A dark shape over head and shoulders.
    Silhouette,
}

/// How much of the head a swap changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Extent {
    /// Brows to chin. Hair, ears and the outline of the head stay, but for the double's jaw.
    #[default]
    Face,
    /// Hair, ears and outline are averaged away around the double.
    Head,
}

/// What to do with a voice.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoiceChoice {
    /// `pseudo`, `whisper`, `replace`, `silence`, `keep`, or `pitch`, which protects nobody.
    #[serde(default = "pseudo")]
    pub style: String,
    /// Audio channel (from 1) that carries this person alone.
    #[serde(default)]
    pub channel: Option<usize>,
    /// Sound stream (from 1) that is meant, in films with several. Default: all of them.
    #[serde(default)]
    pub stream: Option<usize>,
    /// Times in which this person speaks, as pairs of timecodes.
    #[serde(default)]
    pub times: Vec<(String, String)>,
    /// For a kept `channel`: `disguise` (the default) disguises it wherever another channel, which is protected, has sound,
    /// because its microphone may have picked that up; `accept` leaves everything as recorded that it picked up.
    #[serde(default)]
    pub bleed: Option<String>,
    /// For `replace`: sound file of the actor, beside the cast. It begins with the first picture.
    #[serde(default)]
    pub file: Option<String>,
    /// For `pitch`: semitones up, −12 to 12.
    #[serde(default)]
    pub semitones: Option<f64>,
    /// For `pitch`: whether the resonances move with it. Default: no.
    #[serde(default)]
    pub formants: Option<bool>,
}

impl VoiceChoice {
    /// Whether this protects nobody: the voice stays as recorded, or can be shifted back.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.style == "keep" || self.style == "pitch"
    }

    /// Whether what a kept channel picked up of others may be heard.
    #[must_use]
    pub fn accepts_bleed(&self) -> bool {
        self.is_open() && self.bleed.as_deref() == Some("accept")
    }
}

fn pseudo() -> String {
    "pseudo".into()
}

/// A veil that dissolves: from `at` the face is faded in over `over` and then kept.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reveal {
    /// When the dissolve begins, a timecode.
    pub at: String,
    /// How long it takes.
    pub over: String,
    /// Who consented, when and how. Must not be empty.
    pub consent: String,
}

/// One `[[person]]`.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonCast {
    /// Name used in reports. Never the real name.
    pub alias: Spanned<String>,
    /// Track numbers of the plan.
    #[serde(default)]
    pub tracks: Vec<Spanned<u32>>,
    /// Person numbers of the plan.
    #[serde(default)]
    pub people: Vec<Spanned<u32>>,
    /// Pictures of the person; every track that resembles them belongs to this entry.
    #[serde(default)]
    pub refs: Vec<Spanned<String>>,
    /// What happens to the face. Default: swap with a fitting double.
    #[serde(default)]
    pub face: Option<Spanned<FaceChoice>>,
    /// What happens to the voice. Default: pseudo-speaker.
    #[serde(default, deserialize_with = "voice_or_word")]
    pub voice: Option<VoiceChoice>,
    /// When the veil dissolves.
    #[serde(default)]
    pub reveal: Option<Spanned<Reveal>>,
}

/// What happens to a region that is no face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Irreversible low-resolution average, then blur.
    Blur,
    /// Coarse cells.
    Mosaic,
    /// Flat colour.
    Solid,
    /// Other hue, low detail.
    Recolour,
}

/// A region that moves with a track.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Follow {
    /// Track number.
    pub track: Spanned<u32>,
    /// Left, top, right, bottom in units of the face box, (0, 0) its top-left corner and (1, 1) its bottom-right.
    #[serde(rename = "box")]
    pub rect: [f32; 4],
}

/// One `[[region]]`: a jacket, a sign, a screen.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// What happens to it.
    pub effect: Effect,
    /// A box that moves with a face.
    #[serde(default)]
    pub follow: Option<Follow>,
    /// A fixed box: left, top, right, bottom as fractions of the frame.
    #[serde(default, rename = "box")]
    pub rect: Option<[f32; 4]>,
    /// When it begins. Default: the start of the film.
    #[serde(default)]
    pub from: Option<Spanned<String>>,
    /// When it ends. Default: the end of the film.
    #[serde(default)]
    pub to: Option<Spanned<String>>,
}

/// `[policy]`: what happens to everybody who is not listed.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    #[serde(default)]
    unlisted: Option<Spanned<String>>,
    #[serde(default)]
    double: Option<Spanned<String>>,
    #[serde(default)]
    extent: Extent,
    #[serde(default)]
    halo: Option<Spanned<f32>>,
    #[serde(default)]
    disclaimer: Option<Spanned<Disclaimer>>,
    #[serde(default)]
    subtitles: Option<Spanned<bool>>,
}

#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct CastText {
    #[serde(default)]
    policy: Option<Policy>,
    #[serde(default)]
    person: Vec<PersonCast>,
    #[serde(default)]
    region: Vec<Region>,
    #[serde(default)]
    words: Option<BTreeMap<String, String>>,
}

/// A cast, checked as far as it can be without a plan.
#[derive(Debug, Clone, Default)]
pub struct Cast {
    /// What happens to unlisted faces. Never `Keep`.
    pub unlisted: Option<FaceChoice>,
    /// How much of a head changes where a person's entry does not say.
    pub extent: Extent,
    /// Soft edge of a swapped face where a person's entry does not say; `None` takes [`DEFAULT_HALO`](super::DEFAULT_HALO).
    pub halo: Option<f32>,
    /// Caption that tells the audience, if wanted.
    pub disclaimer: Option<Spanned<Disclaimer>>,
    /// Whether the film's text streams pass through [`Cast::words`]; otherwise they are dropped.
    pub subtitles: bool,
    /// Listed people, in the file's order.
    pub people: Vec<PersonCast>,
    /// Regions.
    pub regions: Vec<Region>,
    /// `[words]`: what subtitles must not say, with what they say instead. `None` if there is no list, not even an empty one.
    pub words: Option<BTreeMap<String, String>>,
    /// Folder of the file; `refs` are relative to it.
    pub folder: PathBuf,
    text: String,
    name: String,
}

impl Cast {
    /// Reads and checks a cast file.
    ///
    /// # Errors
    /// `Plan` if it cannot be read, or naming line and key if it is wrong.
    pub fn read(path: &Path) -> Result<Self> {
        let io = |e| Error::Plan(format!("cannot read the cast ({e}): {}", path.display()));
        if std::fs::metadata(path).map_err(io)?.len() > MOST_BYTES {
            return Err(Error::Plan(format!(
                "the cast is larger than the limit of {MOST_BYTES} bytes; is this the right file? {}",
                path.display()
            )));
        }
        let text = std::fs::read_to_string(path).map_err(io)?;
        let name = path.file_name().map_or_else(|| "cast".into(), |n| n.to_string_lossy().into_owned());
        let mut cast = Self::parse(&text, &name)?;
        cast.folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        Ok(cast)
    }

    /// Checks a cast given as text; `name` appears in errors.
    ///
    /// # Errors
    /// `Plan` naming line and key.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let parsed: CastText = toml::from_str(text).map_err(|e| {
            let at = e.span().map_or(0, |s| s.start);
            let message = e.message().replace('\n', " ");
            Error::Plan(format!("{name}, line {}: {message}", line_of(text, at)))
        })?;
        let mut cast = Cast {
            unlisted: None,
            extent: Extent::default(),
            halo: None,
            disclaimer: None,
            subtitles: false,
            people: parsed.person,
            regions: parsed.region,
            words: parsed.words,
            folder: PathBuf::from("."),
            text: text.to_owned(),
            name: name.to_owned(),
        };
        if let Some(policy) = parsed.policy {
            cast.unlisted = cast.policy(&policy)?;
            cast.extent = policy.extent;
            if let Some(halo) = policy.halo {
                cast.check_halo(*halo.get_ref(), halo.span().start)?;
                cast.halo = Some(*halo.get_ref());
            }
            if let Some(wanted) = policy.subtitles.filter(|s| *s.get_ref()) {
                if cast.words.as_ref().is_none_or(BTreeMap::is_empty) {
                    let message =
                        "`subtitles` needs [words]: list every name and place that is said, each with its alias";
                    return Err(cast.error_at(wanted.span().start, message));
                }
                cast.subtitles = true;
            }
            if let Some(d) = policy.disclaimer {
                if let Some(objection) = d.get_ref().objection() {
                    return Err(cast.error_at(d.span().start, &objection));
                }
                cast.disclaimer = Some(d);
            }
        }
        cast.check()?;
        Ok(cast)
    }

    /// An error that names the line of a byte offset.
    pub(crate) fn error_at(&self, offset: usize, message: &str) -> Error {
        Error::Plan(format!("{}, line {}: {message}", self.name, line_of(&self.text, offset)))
    }

    fn policy(&self, policy: &Policy) -> Result<Option<FaceChoice>> {
        let double = policy.double.as_ref().map(|d| d.get_ref().clone()).filter(|d| d != "auto");
        let Some(word) = &policy.unlisted else {
            return Ok(double.map(|d| FaceChoice::Swap { double: Some(d), halo: None, extent: None }));
        };
        let choice = match word.get_ref().as_str() {
            "disguise" | "swap" => FaceChoice::Swap { double, halo: None, extent: None },
            "blur" => FaceChoice::Blur,
            "mosaic" => FaceChoice::Mosaic,
            "solid" => FaceChoice::Solid,
            "silhouette" => FaceChoice::Silhouette,
            other => {
                let reason = if other == "keep" {
                    "`unlisted` can never be \"keep\": list the people who stay visible".to_owned()
                } else {
                    format!("`unlisted` is \"{other}\"; use disguise, blur, mosaic, solid or silhouette")
                };
                return Err(self.error_at(word.span().start, &reason));
            }
        };
        Ok(Some(choice))
    }

    /// Refuses more entries than anybody writes by hand, before work is done for each.
    fn check_size(&self) -> Result<()> {
        let voices = self.people.iter().filter_map(|p| p.voice.as_ref());
        let ranges = voices.map(|v| v.times.len()).sum();
        let refs = self.people.iter().map(|p| p.refs.len()).sum();
        for ((what, most), have) in MOST.into_iter().zip([self.people.len(), self.regions.len(), ranges, refs]) {
            if have > most {
                let message = format!("{have} {what}, more than the limit of {most}; split the film or the cast");
                return Err(Error::Plan(format!("{}: {message}", self.name)));
            }
        }
        Ok(())
    }

    fn check_halo(&self, halo: f32, at: usize) -> Result<()> {
        if (0.0..=1.0).contains(&halo) { Ok(()) } else { Err(self.error_at(at, "`halo` must be in 0..=1")) }
    }

    fn check(&self) -> Result<()> {
        self.check_size()?;
        let mut seen = std::collections::BTreeSet::new();
        for p in &self.people {
            let at = p.alias.span().start;
            if p.alias.get_ref().trim().is_empty() {
                return Err(self.error_at(at, "`alias` is empty"));
            }
            if !seen.insert(p.alias.get_ref().clone()) {
                return Err(self.error_at(at, "this `alias` stands twice: use one entry with all tracks"));
            }
            if p.tracks.is_empty() && p.refs.is_empty() && p.people.is_empty() && p.voice.is_none() {
                return Err(self.error_at(at, "give `tracks`, `people` or `refs`, so that it is clear who is meant"));
            }
            if let Some(voice) = &p.voice {
                self.check_voice(voice, at)?;
            }
            if let Some(r) = &p.reveal {
                self.check_reveal(r)?;
            }
            if let Some(face) = &p.face
                && let FaceChoice::Swap { halo: Some(h), .. } = face.get_ref()
            {
                self.check_halo(*h, face.span().start)?;
            }
        }
        for r in &self.regions {
            self.check_region(r)?;
        }
        self.check_accepted()
    }

    /// Accepting bleed beside somebody who is protected by channel alone would let that voice be heard.
    fn check_accepted(&self) -> Result<()> {
        let voices = || self.people.iter().filter_map(|p| Some((p.alias.span().start, p.voice.as_ref()?)));
        let hidden = || voices().filter(|(_, v)| !v.is_open()).map(|(_, v)| v);
        let by_channel_alone = hidden().any(|v| v.channel.is_some()) && !hidden().any(|v| !v.times.is_empty());
        match voices().find(|(_, v)| v.accepts_bleed()) {
            Some((at, _)) if by_channel_alone => {
                let message = "`bleed = \"accept\"` lets everybody be heard whom this channel picked up: give, in another entry, \
                               the `times` in which the protected person speaks";
                Err(self.error_at(at, message))
            }
            _ => Ok(()),
        }
    }

    fn check_bleed(&self, voice: &VoiceChoice, at: usize) -> Result<()> {
        let open = voice.is_open() && voice.channel.is_some();
        match voice.bleed.as_deref() {
            None => Ok(()),
            Some("disguise" | "accept") if open => Ok(()),
            Some("disguise" | "accept") => {
                Err(self.error_at(at, "voice `bleed` belongs to a kept `channel`: everything else is disguised anyway"))
            }
            Some(other) => {
                let message = format!(
                    "voice `bleed` is \"{other}\"; use disguise, or accept if whoever this channel picked up may be heard"
                );
                Err(self.error_at(at, &message))
            }
        }
    }

    fn check_voice(&self, voice: &VoiceChoice, at: usize) -> Result<()> {
        self.check_bleed(voice, at)?;
        if !VOICE_STYLES.contains(&voice.style.as_str()) {
            let message = format!("voice `style` is \"{}\"; use {}", voice.style, VOICE_WORDS);
            return Err(self.error_at(at, &message));
        }
        match (voice.style.as_str(), &voice.file) {
            ("replace", None) => {
                let message =
                    "voice \"replace\" needs `file`, an actor's track; without one use \"silence\" and subtitles";
                return Err(self.error_at(at, message));
            }
            (style, Some(_)) if style != "replace" => {
                return Err(self.error_at(at, "voice `file` belongs to style \"replace\""));
            }
            _ => {}
        }
        match (voice.style.as_str(), voice.semitones) {
            ("pitch", Some(s)) if s.is_finite() && s.abs() <= 12.0 => {}
            ("pitch", _) => {
                let message =
                    "voice \"pitch\" needs `semitones` of -12 to 12; it is no protection, anybody can shift it back";
                return Err(self.error_at(at, message));
            }
            (_, None) if voice.formants.is_none() => {}
            _ => return Err(self.error_at(at, "voice `semitones` and `formants` belong to style \"pitch\"")),
        }
        if voice.channel == Some(0) {
            return Err(self.error_at(at, "voice `channel` counts from 1"));
        }
        if voice.stream == Some(0) {
            return Err(self.error_at(at, "voice `stream` counts from 1"));
        }
        if voice.stream.is_some() && voice.channel.is_none() && voice.times.is_empty() {
            return Err(self.error_at(at, "voice `stream` needs `channel` or `times` beside it"));
        }
        for (a, b) in &voice.times {
            match (parse_timecode(a), parse_timecode(b)) {
                (Some(a), Some(b)) if a < b => {}
                _ => return Err(self.error_at(at, &format!("voice `times` [\"{a}\", \"{b}\"] is no time range"))),
            }
        }
        Ok(())
    }

    fn check_reveal(&self, reveal: &Spanned<Reveal>) -> Result<()> {
        let at = reveal.span().start;
        let r = reveal.get_ref();
        if r.consent.trim().len() < 3 {
            return Err(self.error_at(at, "`reveal` needs `consent`: who agreed, when and how"));
        }
        match (parse_timecode(&r.at), parse_timecode(&r.over)) {
            (Some(_), Some(over)) if over <= 60.0 => Ok(()),
            _ => Err(self.error_at(at, "`reveal` needs `at = \"HH:MM:SS\"` and `over` of at most 60 s")),
        }
    }

    fn check_region(&self, region: &Region) -> Result<()> {
        let at = region.from.as_ref().map_or(0, |f| f.span().start);
        let rect = match (&region.follow, &region.rect) {
            (Some(f), None) => f.rect,
            (None, Some(r)) => *r,
            _ => return Err(self.error_at(at, "a `region` needs either `follow` or `box`")),
        };
        if rect.iter().any(|v| !v.is_finite() || v.abs() > 100.0) || rect[0] >= rect[2] || rect[1] >= rect[3] {
            return Err(
                self.error_at(at, "a region's `box` is [left, top, right, bottom] with left < right, top < bottom")
            );
        }
        for t in [&region.from, &region.to].into_iter().flatten() {
            if parse_timecode(t.get_ref()).is_none() {
                return Err(self.error_at(t.span().start, "not a time: write \"HH:MM:SS\""));
            }
        }
        Ok(())
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|b| **b == b'\n').count() + 1
}

const VOICE_STYLES: [&str; 6] = ["pseudo", "whisper", "replace", "silence", "keep", "pitch"];
const VOICE_WORDS: &str = "pseudo, whisper, replace, silence or keep (or pitch, which is no protection)";
const FACE_WORDS: &str = "swap, keep, blur, mosaic, solid or silhouette";

fn face_word<E: de::Error>(word: &str) -> Result<FaceChoice, E> {
    Ok(match word {
        "keep" => FaceChoice::Keep,
        "swap" => FaceChoice::Swap { double: None, halo: None, extent: None },
        "blur" => FaceChoice::Blur,
        "mosaic" => FaceChoice::Mosaic,
        "solid" => FaceChoice::Solid,
        "silhouette" => FaceChoice::Silhouette,
        other => return Err(E::custom(format!("`face` is \"{other}\"; use {FACE_WORDS}"))),
    })
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct FaceTable {
    #[serde(default)]
    style: Option<String>,
    #[serde(default)]
    double: Option<String>,
    #[serde(default)]
    halo: Option<f32>,
    #[serde(default)]
    extent: Option<Extent>,
}

impl<'de> Deserialize<'de> for FaceChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Face;
        impl<'de> Visitor<'de> for Face {
            type Value = FaceChoice;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a word or a table such as { double = \"d07\", halo = 0.35 }")
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<FaceChoice, E> {
                face_word(word)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FaceChoice, A::Error> {
                let t = FaceTable::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let swap = t.double.is_some() || t.halo.is_some() || t.extent.is_some();
                match t.style.as_deref() {
                    None | Some("swap") => {
                        let double = t.double.filter(|d| d != "auto");
                        Ok(FaceChoice::Swap { double, halo: t.halo, extent: t.extent })
                    }
                    Some(_) if swap => Err(de::Error::custom("`double`, `halo` and `extent` belong to style \"swap\"")),
                    Some(word) => face_word(word),
                }
            }
        }
        deserializer.deserialize_any(Face)
    }
}

fn voice_or_word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<VoiceChoice>, D::Error> {
    struct Voice;
    impl<'de> Visitor<'de> for Voice {
        type Value = Option<VoiceChoice>;
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a word or a table such as { style = \"pseudo\", channel = 1 }")
        }
        fn visit_str<E: de::Error>(self, word: &str) -> Result<Self::Value, E> {
            let style = word.to_owned();
            Ok(Some(VoiceChoice {
                style,
                channel: None,
                stream: None,
                times: vec![],
                bleed: None,
                file: None,
                semitones: None,
                formants: None,
            }))
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            VoiceChoice::deserialize(de::value::MapAccessDeserializer::new(map)).map(Some)
        }
    }
    deserializer.deserialize_any(Voice)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[policy]
unlisted = "disguise"
double = "auto"

[[person]]
alias = "Witness 1"
tracks = [3, 7]
face = { double = "d07", halo = 0.35, extent = "head" }
voice = { style = "pseudo", channel = 1 }
reveal = { at = "01:12:03.100", over = "1.5s", consent = "signed 2019-10-01" }

[[person]]
alias = "Coordinator"
refs = ["refs/coordinator/*.jpg"]
face = "keep"
voice = "keep"

[[region]]
effect = "recolour"
follow = { track = 4, box = [-0.9, 1.1, 2.8, 3.0] }
from = "00:12:01"
to = "00:14:20"
"#;

    #[test]
    fn reads_the_documented_example() {
        let cast = Cast::parse(GOOD, "cast.toml").unwrap();
        assert_eq!(cast.people.len(), 2);
        assert_eq!(cast.regions.len(), 1);
        let face = cast.people[0].face.as_ref().unwrap().get_ref();
        assert_eq!(
            face,
            &FaceChoice::Swap { double: Some("d07".into()), halo: Some(0.35), extent: Some(Extent::Head) }
        );
        assert_eq!((cast.extent, cast.halo), (Extent::Face, None));
        assert_eq!(cast.people[1].voice.as_ref().unwrap().style, "keep");
    }

    #[test]
    fn a_disclaimer_is_a_word_a_sentence_or_a_table() {
        let read = |value: &str| {
            let cast = Cast::parse(&format!("[policy]\ndisclaimer = {value}\n"), "cast").unwrap();
            cast.disclaimer.unwrap().into_inner()
        };
        assert_eq!(read("true"), Disclaimer { text: crate::plan::USUAL_DISCLAIMER.into(), seconds: 5.0 });
        assert_eq!(read("\"Names were changed.\""), Disclaimer { text: "Names were changed.".into(), seconds: 5.0 });
        assert_eq!(read("{ text = \"A\\nB\", seconds = 8 }"), Disclaimer { text: "A\nB".into(), seconds: 8.0 });
        assert_eq!(read("{ seconds = 2.5 }").text, crate::plan::USUAL_DISCLAIMER);
        let long = format!("[policy]\ndisclaimer = \"{}\"\n", "a ".repeat(300));
        assert!(Cast::parse(&long, "cast").unwrap_err().to_string().contains("letters"));
        assert!(Cast::parse(GOOD, "cast").unwrap().disclaimer.is_none());
    }

    #[test]
    fn bleed_belongs_to_a_kept_channel() {
        let cast = |voice: &str| Cast::parse(&format!("[[person]]\nalias = \"A\"\nvoice = {{ {voice} }}\n"), "cast");
        let kept = cast("style = \"keep\", channel = 2, bleed = \"accept\"").unwrap();
        assert!(kept.people[0].voice.as_ref().unwrap().accepts_bleed());
        for more in ["", ", bleed = \"disguise\""] {
            let kept = cast(&format!("style = \"keep\", channel = 2{more}")).unwrap();
            assert!(!kept.people[0].voice.as_ref().unwrap().accepts_bleed());
        }
        for (voice, word) in [
            ("style = \"keep\", channel = 2, bleed = \"yes\"", "accept"),
            ("style = \"keep\", times = [[\"0:01\", \"0:02\"]], bleed = \"accept\"", "`channel`"),
            ("channel = 1, bleed = \"accept\"", "kept"),
            (
                "style = \"keep\", channel = 2, bleed = \"accept\" }\n[[person]]\nalias = \"B\"\nvoice = { channel = 1",
                "`times`",
            ),
        ] {
            let e = cast(voice).unwrap_err().to_string();
            assert!(e.contains("line 2") && e.contains(word), "{e}");
        }
    }

    #[test]
    fn absurdly_large_casts_are_refused_in_one_line() {
        let person = |i: usize, more: &str| format!("[[person]]\nalias = \"P{i}\"\n{more}\n");
        let many = |n: usize, f: &dyn Fn(usize) -> String| (0..n).map(f).collect::<String>();
        let region = |_: usize| "[[region]]\neffect = \"solid\"\nbox = [0.0, 0.0, 1.0, 1.0]\n".to_owned();
        let times = format!("voice = {{ times = [{}] }}", many(20_001, &|_| "[\"00:00:01\", \"00:00:02\"],".into()));
        let refs = format!("refs = [{}]", many(2001, &|_| "\"a.jpg\",".into()));
        for (text, word) in [
            (many(1001, &|i| person(i, "tracks = [1]")), "1001 people"),
            (many(501, &region), "501 regions"),
            (person(0, &times), "20001 voice"),
            (person(0, &refs), "2001 `refs`"),
        ] {
            let e = Cast::parse(&text, "cast.toml").unwrap_err();
            let said = e.to_string();
            assert!(
                said.contains(word) && said.contains("limit") && !said.contains('\n') && e.exit_code() == 4,
                "{said}"
            );
        }
        assert!(Cast::parse(&many(1000, &|i| person(i, "tracks = [1]")), "cast.toml").is_ok());
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MOST_BYTES + 1).unwrap();
        assert!(Cast::read(file.path()).unwrap_err().to_string().contains("limit"));
    }

    #[test]
    fn errors_name_line_and_key() {
        let cases = [
            ("[[person]]\nalias = \"a\"\ntracks = [1]\nfce = \"keep\"\n", "line 4", "fce"),
            ("[[person]]\nalias = \"a\"\ntracks = [1]\nface = \"kep\"\n", "line 4", "kep"),
            ("[policy]\nunlisted = \"keep\"\n", "line 2", "never"),
            ("[[person]]\nalias = \"a\"\n", "line 2", "tracks"),
            ("[[person]]\nalias = \"a\"\ntracks = [1]\n[[person]]\nalias = \"a\"\ntracks = [2]\n", "line 5", "twice"),
            (
                "[[person]]\nalias = \"a\"\ntracks = [1]\nreveal = { at = \"1:00\", over = \"1s\", consent = \"\" }\n",
                "line 4",
                "consent",
            ),
            (
                "[[person]]\nalias = \"a\"\ntracks = [1]\nreveal = { at = \"1:00\", over = \"1s\" }\n",
                "line 4",
                "consent",
            ),
            ("[[person]]\nalias = \"a\"\ntracks = [1]\nface = { double = \"x\", hal = 1 }\n", "line 4", "hal"),
            ("[policy]\nhalo = 1.5\n", "line 2", "halo"),
            ("[policy]\nextent = \"body\"\n", "line 2", "body"),
            ("[policy]\ndisclaimer = \"  \"\n", "line 2", "empty"),
            ("[policy]\n\ndisclaimer = false\n", "line 3", "leave the line out"),
            ("[policy]\ndisclaimer = 5\n", "line 2", "sentence"),
            ("[policy]\ndisclaimer = { txt = \"x\" }\n", "line 2", "txt"),
            ("[policy]\ndisclaimer = { seconds = 0.5 }\n", "line 2", "seconds"),
            ("[policy]\ndisclaimer = { seconds = nan }\n", "line 2", "seconds"),
            ("disclaimer = true\n", "line 1", "disclaimer"),
            ("[policy]\n\nsubtitles = true\n", "line 3", "[words]"),
            ("[policy]\nsubtitles = true\n[words]\n", "line 2", "[words]"),
            ("[policy]\nsubtitles = \"yes\"\n", "line 2", "bool"),
            ("[[region]]\neffect = \"melt\"\n", "line 2", "melt"),
            ("[[person]\n", "line 1", ""),
        ];
        for (text, line, word) in cases {
            let e = Cast::parse(text, "cast.toml").unwrap_err();
            assert_eq!(e.exit_code(), 4);
            let message = e.to_string();
            assert!(message.contains(line) && message.contains(word), "{message} should name {line} and {word}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
