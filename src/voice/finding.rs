//! Doubts that do not stop a render but belong in the report.

/// What somebody should know about the treated sound. Holds no property of the voice.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum VoiceFinding {
    /// Less than 20 s of speech: its statistics are poorly known and are removed only in part.
    LittleSpeech {
        /// Seconds of speech found, rounded.
        secs: u32,
    },
    /// No speech was found where speech was to be disguised.
    NoSpeech,
    /// Steady pitched sound nearly all the time: music, an engine or hum. It is resynthesised as if it were speech.
    MusicLike,
    /// Frames whose analysis failed; they were rendered as noise floor.
    Failed {
        /// Number of 5 ms frames.
        frames: u64,
    },
    /// A voice is only shifted in pitch, as the cast says.
    PitchOnly,
    /// An actor's track is heard in place of a voice.
    Replaced,
    /// Kept channels were disguised where a protected voice is heard on another channel.
    Bleed {
        /// Seconds, channels added up, rounded up.
        secs: u64,
    },
    /// What a kept channel picked up of others is heard, as the cast says.
    BleedAccepted,
    /// No pseudo-speaker far enough from the source was drawn in many tries; the last draw was used.
    NearSource,
}

impl VoiceFinding {
    /// Key for reports.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            VoiceFinding::LittleSpeech { .. } => "voice.little-speech",
            VoiceFinding::NoSpeech => "voice.no-speech",
            VoiceFinding::MusicLike => "voice.music-like",
            VoiceFinding::Failed { .. } => "voice.failed",
            VoiceFinding::PitchOnly => "voice.pitch-only",
            VoiceFinding::Replaced => "voice.replaced",
            VoiceFinding::Bleed { .. } => "voice.bleed",
            VoiceFinding::BleedAccepted => "voice.bleed-accepted",
            VoiceFinding::NearSource => "voice.near-source",
        }
    }
}

impl std::fmt::Display for VoiceFinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            VoiceFinding::LittleSpeech { secs } => {
                write!(f, "only {secs} s of speech: the disguise is weaker; give at least 20 s or silence the voice")
            }
            VoiceFinding::NoSpeech => f.write_str("no speech was found in the sound to be disguised"),
            VoiceFinding::MusicLike => f.write_str("music or hum: resynthesised as if it were speech; listen to it"),
            VoiceFinding::Failed { frames } => write!(f, "{frames} frames of 5 ms failed and became noise floor"),
            VoiceFinding::PitchOnly => f.write_str(
                "a voice is only shifted in pitch: NO PROTECTION, anybody can shift it back and recognise it",
            ),
            VoiceFinding::Replaced => {
                f.write_str("an actor's track is heard: make sure that no protected voice is in it")
            }
            VoiceFinding::Bleed { secs } => write!(
                f,
                "{secs} s of kept channels were disguised all the same: there is sound on a protected channel that they may \
                 have picked up; if it is not the protected voice, list that person's `times` and set bleed = \"accept\""
            ),
            VoiceFinding::BleedAccepted => f.write_str(
                "everybody whom a kept channel picked up is heard outside of the protected `times`, by the cast: listen to it all",
            ),
            VoiceFinding::NearSource => f.write_str("the drawn voice may resemble the source; draw another secret"),
        }
    }
}
