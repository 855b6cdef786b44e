//! What verification found, as data, and the two files that tell it: `report.json` and `report.html`.
//!
//! A report names attackers, limits and bounds. It never promises more than was attacked.

mod html;
mod pictures;
mod style;

pub(crate) use pictures::head_jpeg;
pub use pictures::{Picture, Pictures};

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Version of `report.json`.
pub const REPORT_VERSION: u16 = 5;

/// Something that must not be in the output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Kind for machines, as `face.untouched`.
    pub kind: String,
    /// How often.
    pub count: u64,
    /// First frame concerned, if it has one.
    pub first_frame: Option<u64>,
    /// What was found and what to do, in one sentence. Never a tag's value, an embedding or a real name.
    pub detail: String,
}

/// How one person came through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PersonReport {
    /// Alias from the cast, or a number.
    pub alias: String,
    /// `swap`, `blur`, `mosaic`, `solid`, `silhouette`, `keep`, or `unknown` without a plan.
    pub treatment: String,
    /// Tracks of the plan.
    pub tracks: Vec<u32>,
    /// Median width of the face in pixels.
    pub width_px: f32,
    /// Face-frames compared.
    pub face_frames: u64,
    /// Face-frames exempt by the cast (kept or revealed).
    pub exempt_frames: u64,
    /// Face-frames whose detail is still the original's.
    pub untouched: u64,
    /// Face-frames of which a part (eyes, mouth, a side) is still the original's.
    pub partly_untouched: u64,
    /// Greatest likeness of a frame (0 nothing, 1 all of the original's detail), and its frame.
    pub worst_likeness: f32,
    /// Frame of the greatest likeness.
    pub worst_frame: Option<u64>,
    /// Re-identification, if there were frames to attack.
    pub identity: Option<IdentityReport>,
    /// "0 of N" as an upper bound of the true share, at 95 %.
    pub untouched_bound: Bound,
}

/// The re-identification attack on one person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IdentityReport {
    /// Output faces attacked.
    pub samples: u64,
    /// Of these, faces in which a detector still sees a face.
    pub found: u64,
    /// Of these, places that show no face and are no nearer to the person than hair and surroundings alone.
    pub blind: u64,
    /// Source faces in the person's gallery.
    pub gallery: u64,
    /// Mean cosine of output faces with the gallery.
    pub cosine_mean: f32,
    /// Greatest cosine of one output face with the gallery.
    pub cosine_max: f32,
    /// Frame of the greatest cosine.
    pub worst_frame: Option<u64>,
    /// Cosine of the mean of all output faces with the gallery.
    pub cosine_track: f32,
    /// Mean cosine of the person's own source faces with the gallery: what an undisguised face scores.
    pub cosine_source: f32,
    /// Single faces at or over `threshold`.
    pub over_threshold: u64,
    /// Limit for single faces of this size.
    pub threshold: f32,
    /// Limit for the mean of all faces.
    pub threshold_track: f32,
    /// Greatest cosine of the mean of all output faces with the gallery of anybody else in the film.
    pub cosine_other: Option<f32>,
    /// Greatest cosine of the mean of all output faces with that of another disguised person: one double for two.
    pub cosine_double: Option<f32>,
    /// Strangers among whom the person was sought; 0 if none are known to the recogniser.
    #[serde(default)]
    pub strangers: u64,
    /// Place of the person among them by the mean of all output faces, from 1; chance is the middle.
    #[serde(default)]
    pub rank_track: Option<u64>,
    /// Output faces to which no stranger is nearer than the person.
    #[serde(default)]
    pub ranked_first: u64,
    /// Faces of weak covers (blur, squares, averages) that were restored: single frames, and one average for each track.
    #[serde(default)]
    pub restored: u64,
    /// Greatest cosine of what was restored with the gallery: of the mean of single frames, or of an average.
    #[serde(default)]
    pub cosine_restored: Option<f32>,
    /// Its place among strangers.
    #[serde(default)]
    pub rank_restored: Option<u64>,
    /// The way of restoring that gave it.
    #[serde(default)]
    pub restored_by: Option<String>,
    /// The person is recognised in what was restored: the cover is none.
    #[serde(default)]
    pub taken_back: bool,
    /// What other recognisers say of the same faces.
    #[serde(default)]
    pub witnesses: Vec<WitnessReport>,
    /// "N of M recognised" as an upper bound of the true share, at 95 %.
    pub bound: Bound,
}

/// What a recogniser besides the strongest says of one person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WitnessReport {
    /// Name of the network.
    pub network: String,
    /// Cosine of the mean of all output faces with the person's own.
    pub cosine_track: f32,
    /// Greatest cosine of one output face.
    pub cosine_max: f32,
    /// What an undisguised face scores.
    pub cosine_source: f32,
    /// Single faces at or over `threshold`.
    pub over_threshold: u64,
    /// Limit for single faces of this size.
    pub threshold: f32,
    /// Limit for the mean of all faces.
    pub threshold_track: f32,
    /// Place of the person among the strangers that this network knows, from 1.
    pub rank_track: Option<u64>,
    /// The film is refused for it.
    pub recognised: bool,
}

/// Upper bound, at 95 %, of a share of which `hits` of `trials` were seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// Seen.
    pub hits: u64,
    /// Looked at.
    pub trials: u64,
    /// The true share is below this, with 95 % confidence, if frames were independent (neighbours are not).
    pub upper: f64,
}

impl Bound {
    /// Rule of three for no hits: 3 / N (Hanley & Lippman-Hand, *If nothing goes wrong, is everything all right?*,
    /// JAMA 249(13), 1983); otherwise Wilson's score interval, one-sided, z = 1.645.
    #[must_use]
    pub fn of(hits: u64, trials: u64) -> Self {
        let n = trials as f64;
        let upper = if trials == 0 {
            1.0
        } else if hits == 0 {
            (3.0 / n).min(1.0)
        } else {
            const Z: f64 = 1.645;
            let p = (hits as f64 / n).min(1.0);
            let middle = p + Z * Z / (2.0 * n);
            let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
            ((middle + half) / (1.0 + Z * Z / n)).min(1.0)
        };
        Bound { hits, trials, upper }
    }
}

/// How one region of the cast came through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionReport {
    /// Its place in the cast, from 1.
    pub region: u64,
    /// `blur`, `mosaic`, `solid` or `recolour`.
    pub effect: String,
    /// Frames compared.
    pub frames: u64,
    /// Frames in which the original shows.
    pub visible: u64,
    /// Greatest correlation (0 nothing, 1 all) with what was to be hidden, and its frame.
    pub worst_likeness: f32,
    /// Frame of the greatest correlation.
    pub worst_frame: Option<u64>,
}

/// One audio channel of the output against the original.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SoundReport {
    /// Audio stream of the output, from 0.
    pub output_stream: usize,
    /// Its channel, from 0.
    pub output_channel: usize,
    /// Audio stream of the original.
    pub source_stream: usize,
    /// Its channel, from 0.
    pub source_channel: usize,
    /// Windows with sound that were searched.
    pub windows: u64,
    /// Seconds of raw sound found outside the times that the cast keeps.
    pub leaked_secs: f64,
    /// Where they begin, in seconds; at most twenty.
    pub leaked_at: Vec<f64>,
    /// Greatest coherence of any second: raw sound mixed under the disguise.
    pub mixed: f32,
    /// Where it is greatest, in seconds.
    pub mixed_at: Option<f64>,
    /// Pieces of 6 s in which a shift of the recorded voice was looked for (a channel against its own).
    #[serde(default)]
    pub pieces: u64,
    /// Of these, pieces in which the voice is only shifted: anybody can shift it back.
    #[serde(default)]
    pub shifted: u64,
    /// Greatest share of the frames of a piece, in runs of 0.2 s, that keep one distance in pitch.
    #[serde(default)]
    pub steady: Option<f32>,
    /// That distance, in semitones.
    #[serde(default)]
    pub semitones: Option<f32>,
    /// Factor of the resonances there.
    #[serde(default)]
    pub resonances: Option<f32>,
    /// How near the speaker of the whole channel is to the recorded one: cosine of averages, from −1 to 1; none if there was too little
    /// voice to judge.
    #[serde(default)]
    pub speaker: Option<f32>,
    /// Greatest such cosine of a piece of 12 s.
    #[serde(default)]
    pub speaker_piece: Option<f32>,
    /// Where that piece begins, in seconds.
    #[serde(default)]
    pub speaker_at: Option<f64>,
    /// Pieces that could be judged.
    #[serde(default)]
    pub speaker_pieces: u64,
    /// Of these, pieces in which the speaker is the recorded one.
    #[serde(default)]
    pub speaker_near: u64,
    /// The film is refused for it.
    #[serde(default)]
    pub speaker_same: bool,
}

/// One property of original and output, side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// What is compared.
    pub what: String,
    /// In the original. Never a tag's value.
    pub source: String,
    /// In the output.
    pub output: String,
    /// Whether it is as it should be.
    pub ok: bool,
}

/// A network that attacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttackerModel {
    /// Name in the list of networks.
    pub name: String,
    /// What it did.
    pub role: String,
    /// SHA-256 of its file.
    pub sha256: String,
    /// Its licence.
    pub licence: String,
}

/// Everything that verification found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`REPORT_VERSION`].
    pub version: u16,
    /// Version of the program.
    pub program: String,
    /// Nothing failed. It means: these attackers did not succeed.
    pub cleared: bool,
    /// What failed.
    pub failures: Vec<Failure>,
    /// What a person should look at.
    pub warnings: Vec<Failure>,
    /// People, the most at risk first.
    pub people: Vec<PersonReport>,
    /// Who was left as filmed, by whose word: to be confirmed by a person.
    pub kept: Vec<String>,
    /// Frames compared one by one.
    pub frames: u64,
    /// SHA-256 of the output file.
    pub output_sha256: String,
    /// Streams, sizes, times, side by side.
    pub streams: Vec<Compared>,
    /// Texts searched in the output's bytes (how many, not which).
    pub texts_searched: u64,
    /// Regions of the cast that are no faces.
    pub regions: Vec<RegionReport>,
    /// Sound, channel by channel.
    pub sound: Vec<SoundReport>,
    /// Each attack and its limits, in words.
    pub attacks: Vec<String>,
    /// Networks that attacked.
    pub models: Vec<AttackerModel>,
    /// Doubts of the analysis and the rendering.
    pub findings: Vec<crate::plan::Finding>,
    /// Settings of this verification.
    pub settings: Vec<(String, String)>,
    /// What no attack here covers.
    pub limits: Vec<String>,
}

/// Names of the two files of a report.
pub(crate) const FILES: [&str; 2] = ["report.html", "report.json"];

/// Whether a file is one of a report, by its first bytes.
pub(crate) fn is_report(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let page = text.starts_with("<!doctype html>") && text.contains("<title>Verification report</title>");
    let data = text.trim_start_matches(['{', '\n', ' ']).starts_with("\"version\":");
    page || data && text.contains("\"program\": \"understudy")
}

/// Writes `report.json` and `report.html` into `dir` (made if it is missing), readable by their owner only.
///
/// With `redacted` the page holds no picture of the original, nor any output in which somebody was recognised or left
/// as filmed, so that it may be passed on.
///
/// # Errors
/// `Io` if the folder or a file cannot be written.
pub fn write(dir: &Path, report: &Report, pictures: &Pictures, redacted: bool) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| Error::io("cannot make the folder for the report", dir, e))?;
    let json = serde_json::to_vec_pretty(report).map_err(|e| Error::Output(format!("cannot write the report: {e}")))?;
    crate::files::write_private(&dir.join("report.json"), |w| w.write_all(&json))?;
    let page = html::page(report, pictures, redacted);
    crate::files::write_private(&dir.join("report.html"), |w| w.write_all(page.as_bytes()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample() -> Report {
        let identity = IdentityReport {
            samples: 40,
            found: 38,
            blind: 2,
            gallery: 40,
            cosine_mean: 0.12,
            cosine_max: 0.31,
            worst_frame: Some(77),
            cosine_track: 0.14,
            cosine_source: 0.91,
            over_threshold: 0,
            threshold: 0.36,
            threshold_track: 0.4,
            cosine_other: Some(0.05),
            cosine_double: None,
            strangers: 1000,
            rank_track: Some(312),
            ranked_first: 0,
            restored: 7,
            cosine_restored: Some(0.2),
            rank_restored: Some(41),
            restored_by: Some("a blur undone".into()),
            taken_back: false,
            witnesses: vec![WitnessReport {
                network: "another".into(),
                cosine_track: 0.2,
                cosine_max: 0.4,
                cosine_source: 0.9,
                over_threshold: 0,
                threshold: 0.45,
                threshold_track: 0.37,
                rank_track: None,
                recognised: false,
            }],
            bound: Bound::of(0, 40),
        };
        Report {
            version: REPORT_VERSION,
            program: "understudy 0".into(),
            cleared: false,
            failures: vec![Failure {
                kind: "face.untouched".into(),
                count: 1,
                first_frame: Some(77),
                detail: "a face is still <the original's>".into(),
            }],
            warnings: vec![],
            people: vec![PersonReport {
                alias: "Witness <1> & \"friend\"".into(),
                treatment: "swap".into(),
                tracks: vec![3],
                width_px: 80.0,
                face_frames: 400,
                exempt_frames: 120,
                untouched: 1,
                partly_untouched: 0,
                worst_likeness: 0.98,
                worst_frame: Some(77),
                identity: Some(identity),
                untouched_bound: Bound::of(1, 400),
            }],
            kept: vec!["Coordinator: 120 face-frames".into()],
            frames: 400,
            output_sha256: "00".repeat(32),
            streams: vec![Compared { what: "frames".into(), source: "400".into(), output: "400".into(), ok: true }],
            texts_searched: 12,
            regions: vec![],
            sound: vec![],
            attacks: vec!["detail".into()],
            models: vec![],
            findings: vec![],
            settings: vec![("stride".into(), "3".into())],
            limits: vec!["clothes".into()],
        }
    }

    #[test]
    fn bounds_shrink_with_trials() {
        assert!((Bound::of(0, 300).upper - 0.01).abs() < 1e-12);
        assert_eq!(Bound::of(0, 0).upper, 1.0);
        assert_eq!(Bound::of(0, 2).upper, 1.0);
        let some = Bound::of(5, 100).upper;
        assert!((0.09..0.12).contains(&some), "{some}");
        assert!((Bound::of(7, 7).upper - 1.0).abs() < 1e-9);
    }

    #[test]
    fn files_are_private_and_the_page_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("report");
        let mut pictures = Pictures::new(3);
        for (frame, exposes, output) in [(77, false, vec![4, 5, 6]), (7, true, vec![7, 8, 9])] {
            let picture = Picture { frame, score: 0.9, note: "n".into(), exposes, source: vec![1, 2, 3], output };
            pictures.offer(0, 0.9, || Some(picture));
        }
        let kept = |output| Picture { frame: 50, score: 0.1, note: "n".into(), exposes: true, source: vec![], output };
        pictures.offer_kept(0, 0.1, || Some(kept(vec![10, 11, 12])));
        for redacted in [false, true] {
            write(&out, &sample(), &pictures, redacted).unwrap();
            let page = std::fs::read_to_string(out.join("report.html")).unwrap();
            assert!(page.contains("default-src 'none'") && !page.contains("<script"));
            for outside in ["http://", "https://", "src=\"//", "url(", "@import", "<link", "<iframe"] {
                assert!(!page.contains(outside), "{outside}");
            }
            assert!(!page.contains("Witness <1>") && page.contains("Witness &lt;1&gt; &amp; &quot;friend&quot;"));
            assert!(!page.to_lowercase().contains("anonym"));
            assert_eq!(page.contains("AQID"), !redacted, "the original's picture");
            assert!(page.contains("BAUG"), "the output's picture");
            assert_eq!(page.contains("BwgJ"), !redacted, "an output in which the person is seen");
            assert_eq!(page.contains("CgsM"), !redacted, "somebody who stays as filmed, to be confirmed");
            let place = |text: &str| page.find(text).unwrap();
            assert!(
                place("What failed") < place("Left as filmed")
                    && place("Left as filmed") < place("People, the most at risk first")
            );
            for name in FILES {
                let head: Vec<u8> = std::fs::read(out.join(name)).unwrap().into_iter().take(512).collect();
                assert!(is_report(&head), "{name} is not known again");
            }
            let back: Report = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
            assert_eq!(back, sample());
            #[cfg(unix)]
            for name in ["report.json", "report.html"] {
                use std::os::unix::fs::PermissionsExt;
                assert_eq!(std::fs::metadata(out.join(name)).unwrap().permissions().mode() & 0o777, 0o600);
            }
        }
    }
}
