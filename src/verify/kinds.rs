//! Every kind of failure and warning that the attack can tell, and the class of refusal that it belongs to: the one
//! place that decides about exit codes.

use crate::error::Breach;
use crate::report::{Failure, Report};

/// Kinds by class. A kind stands in one list, or it does not exist; what stands under `told` never refuses a film.
macro_rules! kinds {
    ($($class:ident { $($kind:ident = $word:literal),+ $(,)? })+ ; told { $($told:ident = $told_word:literal),+ $(,)? }) => {
        /// What was found, for machines.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind { $($($kind,)+)+ $($told,)+ }

        impl Kind {
            /// All of them.
            const ALL: &[Kind] = &[$($(Kind::$kind,)+)+ $(Kind::$told,)+];

            /// As it stands in a report.
            pub fn word(self) -> &'static str {
                match self { $($(Kind::$kind => $word,)+)+ $(Kind::$told => $told_word,)+ }
            }

            /// Its class; none for what is only told.
            pub fn class(self) -> Option<Breach> {
                match self { $($(Kind::$kind => Some(Breach::$class),)+)+ $(Kind::$told => None,)+ }
            }
        }
    };
}

kinds! {
    Face {
        FaceUntouched = "face.untouched",
        FacePartly = "face.partly",
        RegionVisible = "region.visible",
        RegionColour = "region.colour",
        RegionUnchecked = "region.unchecked",
    }
    Likeness {
        FaceRecognised = "face.recognised",
        FaceOtherPerson = "face.other_person",
        FaceSameDouble = "face.same_double",
        FaceElsewhere = "face.elsewhere",
        FaceRestored = "face.restored",
    }
    Voice {
        SoundRaw = "sound.raw",
        SoundMixed = "sound.mixed",
        SoundShifted = "sound.shifted",
        SoundSpeaker = "sound.speaker",
        SoundUnchecked = "sound.unchecked",
    }
    File {
        StreamExtra = "stream.extra",
        StreamPicture = "stream.picture",
        StreamMark = "stream.mark",
        Tag = "tag",
        Timecode = "timecode",
        Chapters = "chapters",
        SideData = "side_data",
        BytesMarker = "bytes.marker",
        BytesMetadata = "bytes.metadata",
        TextUnreadable = "text.unreadable",
        TextForm = "text.kind",
        TextHeader = "text.header",
        TextWord = "text.word",
        TextExtra = "text.extra",
        ContainerAttachment = "container.attachment",
        ContainerChapters = "container.chapters",
        ContainerDamaged = "container.damaged",
        ContainerHidden = "container.hidden",
        ContainerLanguage = "container.language",
        ContainerName = "container.name",
        ContainerPart = "container.part",
        ContainerTag = "container.tag",
        ContainerTime = "container.time",
        ContainerTrack = "container.track",
    }
    Film {
        OutputUnreadable = "output.unreadable",
        OutputDamaged = "output.damaged",
        FramesCount = "frames.count",
        FramesTime = "frames.time",
        FramesSource = "frames.source",
        PictureSize = "picture.size",
        SoundLength = "sound.length",
        DisclaimerMissing = "disclaimer.missing",
    }
    ; told {
        FaceAltered = "face.altered",
        FaceDoubtful = "face.doubtful",
        FaceUnattacked = "face.unattacked",
        RegionUnseen = "region.unseen",
        SoundKept = "sound.kept",
        SoundMissing = "sound.missing",
        SoundShape = "sound.shape",
        SoundShift = "sound.shift",
        PictureFidelity = "picture.fidelity",
        TextMissing = "text.missing",
        TimecodeGop = "timecode.gop",
        ContainerUnknown = "container.unknown",
        PlanMissing = "plan.missing",
        CastMissing = "cast.missing",
        SandboxWeak = "sandbox.weak",
    }
}

impl Kind {
    /// The kind of a word in a report; none if another build wrote it.
    fn of(word: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|k| k.word() == word)
    }
}

/// One thing that was found.
pub(crate) fn failure(kind: Kind, count: u64, first_frame: Option<u64>, detail: impl Into<String>) -> Failure {
    Failure { kind: kind.word().into(), count, first_frame, detail: detail.into() }
}

/// The class of one failure of a report.
#[must_use]
pub fn class_of(failure: &Failure) -> Breach {
    Kind::of(&failure.kind).and_then(Kind::class).unwrap_or(Breach::Several)
}

/// What the attack succeeded in; `None` if the film was cleared.
///
/// Several classes are [`Breach::Several`], and so is a kind that has none. A face that is still the original's is
/// recognised as well: that is [`Breach::Face`].
#[must_use]
pub fn breach(report: &Report) -> Option<Breach> {
    if report.cleared {
        return None;
    }
    let mut classes: Vec<Breach> = report.failures.iter().map(class_of).collect();
    if classes.contains(&Breach::Face) {
        classes.retain(|c| *c != Breach::Likeness);
    }
    match classes.split_first() {
        Some((first, others)) if others.iter().all(|c| c == first) => Some(*first),
        _ => Some(Breach::Several),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn code(kinds: &[Kind]) -> u8 {
        let mut report = crate::report::tests::sample();
        report.failures = kinds.iter().map(|k| failure(*k, 1, None, "x")).collect();
        breach(&report).unwrap().exit_code()
    }

    /// The contract, by what stands before the dot; told apart by hand where one attack finds different things.
    fn promised(word: &str) -> Option<u8> {
        let told = "face.altered face.doubtful face.unattacked region.unseen sound.kept sound.missing sound.shape sound.shift \
                    picture.fidelity text.missing timecode.gop container.unknown plan.missing cast.missing sandbox.weak";
        if told.split_whitespace().any(|t| t == word) {
            return None;
        }
        Some(match word.split('.').next().unwrap() {
            _ if ["face.untouched", "face.partly"].contains(&word) => 71,
            "region" => 71,
            "face" => 72,
            _ if word == "sound.length" => 75,
            "sound" | "voice" => 73,
            "stream" | "tag" | "timecode" | "chapters" | "side_data" | "bytes" | "text" | "container" => 74,
            "output" | "frames" | "picture" | "disclaimer" => 75,
            other => panic!("{other}: which exit code has it, in README and SECURITY.md?"),
        })
    }

    #[test]
    fn every_kind_has_a_word_of_its_own_and_the_promised_code() {
        let words: BTreeSet<&str> = Kind::ALL.iter().map(|k| k.word()).collect();
        assert_eq!(words.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert_eq!(Kind::of(kind.word()), Some(*kind));
            assert_eq!(kind.class().map(Breach::exit_code), promised(kind.word()), "{}", kind.word());
        }
        // Each class has its code, and all begin with 7.
        let codes: BTreeSet<u8> = Kind::ALL.iter().filter_map(|k| Some(k.class()?.exit_code())).collect();
        assert_eq!(codes.into_iter().collect::<Vec<_>>(), [71, 72, 73, 74, 75]);
    }

    /// Nothing tells a kind that the table does not know: all are made by [`failure`] from a [`Kind`].
    #[test]
    fn no_failure_is_made_of_a_bare_word() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/verify");
        let mut folders = vec![folder];
        let mut read = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                read += 1;
                let text = std::fs::read_to_string(&path).unwrap();
                let made = text.matches(concat!("Failure", " {")).count();
                let type_names = text.matches(concat!("-> Failure", " {")).count();
                let allowed = usize::from(path.ends_with("kinds.rs"));
                assert_eq!(made - type_names, allowed, "{}", path.display());
            }
        }
        assert!(read > 15, "{read}");
    }

    #[test]
    fn one_class_has_its_code_and_several_have_the_general_one() {
        assert_eq!(code(&[Kind::FaceUntouched]), 71);
        assert_eq!(code(&[Kind::FaceRecognised, Kind::FacePartly]), 71, "whoever is seen is recognised");
        assert_eq!(code(&[Kind::FaceRecognised, Kind::FaceSameDouble]), 72);
        assert_eq!(code(&[Kind::SoundRaw, Kind::SoundMixed]), 73);
        assert_eq!(code(&[Kind::Tag, Kind::ContainerTag, Kind::BytesMetadata]), 74);
        assert_eq!(code(&[Kind::FramesCount, Kind::FramesTime]), 75);
        assert_eq!(code(&[Kind::FaceUntouched, Kind::SoundRaw]), 7);
        assert_eq!(code(&[Kind::FaceRecognised, Kind::Tag, Kind::FaceUntouched]), 7);
        // What has no class, what another build wrote, and a refusal without a reason.
        assert_eq!(code(&[Kind::FaceDoubtful]), 7);
        assert_eq!(code(&[Kind::SoundRaw, Kind::SoundKept]), 7);
        assert_eq!(code(&[]), 7);
        let mut report = crate::report::tests::sample();
        report.failures[0].kind = "face.new".into();
        assert_eq!(breach(&report), Some(Breach::Several));
        report.cleared = true;
        assert_eq!(breach(&report), None);
    }
}
