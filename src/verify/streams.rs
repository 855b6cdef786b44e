//! What the output carries besides picture and sound, and whether both fit the original.

use super::bytes::{Needle, SHORTEST, scan};
use super::kinds::{Kind, failure};
use super::{container, texts};
use crate::Result;
use crate::media::{FileListing, Limits, Probe, StreamListing, probe, raw_streams};
use crate::plan::Cast;
use crate::report::{Compared, Failure};
use std::collections::BTreeSet;
use std::path::Path;

/// Most texts searched for.
const MOST_NEEDLES: usize = 4000;
/// Seconds by which sound may be longer or shorter, or begin earlier or later: one block of a sound encoder and its
/// padding stay below.
const SOUND_SLACK: f64 = 0.1;

/// Tags that muxers write by themselves.
const TAGS: [&str; 8] = [
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
    "duration",
    "language",
    "handler_name",
    "vendor_id",
];
/// Side data of streams that players need.
const STREAM_SIDE_DATA: [&str; 6] = [
    "CPB properties",
    "Display Matrix",
    "Mastering display metadata",
    "Content light level metadata",
    "Audio Service Type",
    "Skip Samples",
];
/// Side data of decoded frames that players need.
const FRAME_SIDE_DATA: [&str; 8] = [
    "Mastering display metadata",
    "Content light level metadata",
    "3x3 displaymatrix",
    "Display Matrix",
    "Skip samples",
    "Metadata relevant to a downmix procedure",
    "AVMatrixEncoding",
    "AVPanScan",
];
/// Words too common to tell anything, though they may stand in names of files and folders.
const COMMON: [&str; 28] = [
    "video",
    "movie",
    "sound",
    "audio",
    "input",
    "output",
    "source",
    "final",
    "original",
    "render",
    "export",
    "master",
    "proxy",
    "films",
    "video.mp4",
    "users",
    "localhost",
    "ubuntu",
    "debian",
    "runner",
    "isomiso2avc1mp41",
    "admin",
    "clips",
    "media",
    "untitled",
    "track",
    "mainvideo",
    "stereo",
];
/// Marks of other people's programs and devices, in any place of the file.
const MARKERS: [(&str, &str); 22] = [
    ("Exif\0\0", "camera data (Exif)"),
    ("<x:xmpmeta", "XMP"),
    ("http://ns.adobe.com/xap", "XMP"),
    ("<?xpacket", "XMP"),
    ("GPSLatitude", "a position"),
    ("ISO6709", "a position"),
    ("com.apple.", "a device's tags"),
    ("com.android.", "a device's tags"),
    ("MISPmicrosectime", "time stamps in the pictures"),
    ("TimeCodeHandler", "timecode"),
    ("GoPro AVC", "a device's mark"),
    ("GoPro MET", "a device's mark"),
    ("Adobe Photoshop", "a program's mark"),
    ("c2pa.", "a provenance record"),
    ("x264 - core", "an encoder's note"),
    ("x265 (build", "an encoder's note"),
    ("libx264", "an encoder's note"),
    ("libx265", "an encoder's note"),
    ("LAME3.", "an encoder's note"),
    ("Lavc5", "an encoder's note"),
    ("Lavc6", "an encoder's note"),
    ("HandBrake", "a program's mark"),
];

/// A timecode that the codec demands: a person should look whether it begins at zero.
const COUNTED: Kind = Kind::TimecodeGop;

/// What the comparison gave.
pub(crate) struct Outcome {
    /// Properties side by side.
    pub rows: Vec<Compared>,
    /// What must not be.
    pub failures: Vec<Failure>,
    /// What a person should look at.
    pub warnings: Vec<Failure>,
    /// Texts searched in the bytes.
    pub texts: u64,
    /// The original, for the other attacks.
    pub source: Probe,
    /// The output, if it can be read at all.
    pub output: Option<Probe>,
}

/// Compares two files.
///
/// # Errors
/// As [`probe`] for the original, `Io` if the output cannot be read, whatever `go_on` refuses. An output that is no film is a failure.
pub(crate) fn check(
    original: &Path,
    output: &Path,
    cast: Option<&Cast>,
    go_on: &dyn Fn() -> Result<()>,
) -> Result<Outcome> {
    let limits = Limits::default();
    let source = probe(original, &limits)?;
    let mut out = Outcome { rows: vec![], failures: vec![], warnings: vec![], texts: 0, source, output: None };
    match probe(output, &limits) {
        Ok(p) => out.output = Some(p),
        Err(e @ crate::Error::Io { .. }) => return Err(e),
        Err(e) => {
            out.failures.push(failure(Kind::OutputUnreadable, 1, None, format!("the output cannot be read: {e}")))
        }
    }
    out.compare();
    let texts = texts::check(original, output, cast)?;
    out.rows.extend(texts.rows);
    out.failures.extend(texts.failures);
    out.warnings.extend(texts.warnings);
    match raw_streams(output, &limits) {
        Ok(listing) => {
            let sounds = raw_streams(original, &limits)?.streams.iter().filter(|s| s.kind == "audio").count();
            list(&listing, (sounds, texts.allowed), &mut out.failures);
        }
        Err(e) => {
            out.failures.push(failure(Kind::OutputUnreadable, 1, None, format!("the streams cannot be listed: {e}")))
        }
    }
    let (counted, failures) = std::mem::take(&mut out.failures).into_iter().partition(|f| f.kind == COUNTED.word());
    out.failures = failures;
    out.warnings.extend::<Vec<Failure>>(counted);
    structure(output, texts.allowed, &mut out)?;
    let needles = needles(&out.source, original, cast);
    out.texts = needles.len() as u64;
    for hit in scan(output, &needles, go_on)? {
        let what = &needles[hit.needle].what;
        let detail = format!("the output's bytes hold {what}, at byte {} ({})", hit.offset, hit.coding);
        let kind = if hit.needle < MARKERS.len() { Kind::BytesMarker } else { Kind::BytesMetadata };
        out.failures.push(failure(kind, 1, None, detail));
    }
    Ok(out)
}

impl Outcome {
    fn row(&mut self, what: &str, source: impl ToString, output: impl ToString, ok: bool) {
        let (source, output) = (source.to_string(), output.to_string());
        self.rows.push(Compared { what: what.into(), source, output, ok });
    }

    /// Fidelity: what differs in size or sound fails, what differs in colour or coding is a warning.
    fn compare(&mut self) {
        let Some(b) = self.output.clone() else { return };
        let a = self.source.clone();
        let (va, vb) = (&a.video, &b.video);
        self.row("Container", &a.container, &b.container, true);
        self.row("Picture codec", &va.codec, &vb.codec, true);
        let size = |v: &crate::media::VideoInfo| format!("{} × {}", v.width, v.height);
        let same = (va.width, va.height) == (vb.width, vb.height);
        let grown = |a: usize, b: usize| b == a || b == a + a % 2;
        let grown = grown(va.width, vb.width) && grown(va.height, vb.height);
        self.row("Upright size", size(va), size(vb), grown);
        if grown && !same {
            let text = "the output's pictures are larger by a row or a column, for a codec that takes even sizes only";
            self.warnings.push(failure(Kind::PictureSize, 1, None, text));
        } else if !grown {
            self.failures.push(failure(Kind::PictureSize, 1, None, "the output's pictures have another size"));
        }
        let aspect = |v: &crate::media::VideoInfo| f64::from(v.sample_aspect.0) / f64::from(v.sample_aspect.1.max(1));
        let same = (aspect(va) / aspect(vb).max(1e-9) - 1.0).abs() < 0.01;
        let word = |v: &crate::media::VideoInfo| format!("{}:{}", v.sample_aspect.0, v.sample_aspect.1);
        self.row("Pixel shape", word(va), word(vb), same);
        let deep = vb.layout.depth >= va.layout.depth;
        self.row("Bit depth", va.layout.depth, vb.layout.depth, deep);
        let colours = [
            ("Colour matrix", va.color.matrix, vb.color.matrix),
            ("Primaries", va.color.primaries, vb.color.primaries),
            ("Transfer", va.color.transfer, vb.color.transfer),
        ];
        for (what, x, y) in colours {
            self.row(what, x, y, x == y || x == 2);
        }
        let (ra, rb) = (va.color.full_range, vb.color.full_range);
        let word = |r: Option<bool>| r.map_or("unspecified", |f| if f { "full" } else { "limited" });
        self.row("Range", word(ra), word(rb), ra == rb || ra.is_none());
        let differ: Vec<String> =
            self.rows.iter().filter(|r| !r.ok && r.what != "Upright size").map(|r| r.what.to_lowercase()).collect();
        if !differ.is_empty() {
            let text = format!("the picture differs in {}: intended by the preset, or a mistake", differ.join(", "));
            self.warnings.push(failure(Kind::PictureFidelity, 1, None, text));
        }
        self.compare_sound(&a, &b);
    }

    fn compare_sound(&mut self, a: &Probe, b: &Probe) {
        self.row("Sound streams", a.audio.len(), b.audio.len(), b.audio.len() <= a.audio.len());
        if b.audio.len() < a.audio.len() {
            let n = (a.audio.len() - b.audio.len()) as u64;
            self.warnings.push(failure(
                Kind::SoundMissing,
                n,
                None,
                "sound streams of the original are not in the output",
            ));
        }
        for (k, (x, y)) in a.audio.iter().zip(&b.audio).enumerate() {
            let word = |s: &crate::media::AudioInfo| {
                format!("{} Hz, {} channels, {}", s.format.rate_hz, s.format.channels, s.codec)
            };
            let same = (x.format.rate_hz, x.format.channels) == (y.format.rate_hz, y.format.channels);
            self.row(&format!("Sound {}", k + 1), word(x), word(y), same);
            if !same {
                let text = format!("sound stream {} has another rate or number of channels", k + 1);
                self.warnings.push(failure(Kind::SoundShape, 1, None, text));
            }
        }
    }

    /// Lengths of sound streams in seconds, and the shift of sound against picture.
    pub fn compare_lengths(&mut self, lengths: &[(f64, f64)]) {
        let Some(output) = self.output.clone() else { return };
        for (k, (a, b)) in lengths.iter().enumerate() {
            let same = (a - b).abs() <= SOUND_SLACK;
            self.row(&format!("Length of sound {}", k + 1), format!("{a:.3} s"), format!("{b:.3} s"), same);
            if !same {
                let text = format!("sound stream {} is longer or shorter than the original's", k + 1);
                self.failures.push(failure(Kind::SoundLength, 1, None, text));
            }
        }
        let lead =
            |p: &Probe, k: usize| p.audio.get(k).map(|s| s.start_secs - p.video.time_base.seconds(p.video.start));
        for k in 0..lengths.len() {
            if let (Some(a), Some(b)) = (lead(&self.source, k), lead(&output, k)) {
                let same = (a - b).abs() <= SOUND_SLACK;
                self.row(
                    &format!("Start of sound {} after picture", k + 1),
                    format!("{a:.3} s"),
                    format!("{b:.3} s"),
                    same,
                );
                if !same {
                    let text = format!("sound stream {} is shifted against the picture", k + 1);
                    self.warnings.push(failure(Kind::SoundShift, 1, None, text));
                }
            }
        }
    }
}

/// Everything in the listing must be on the allow-list.
fn list(l: &FileListing, (sounds, texts): (usize, usize), failures: &mut Vec<Failure>) {
    let mut kinds = (0, 0, 0);
    for s in &l.streams {
        match s.kind {
            "video" if s.dispositions.iter().any(|d| d.contains("pic") || d.contains("thumb")) => {
                failures.push(failure(
                    Kind::StreamPicture,
                    1,
                    None,
                    format!("stream {} is an embedded picture", s.index),
                ));
            }
            "video" => kinds.0 += 1,
            "audio" => kinds.1 += 1,
            "subtitle" if kinds.2 < texts => kinds.2 += 1,
            other => {
                failures.push(failure(Kind::StreamExtra, 1, None, format!("stream {} is of kind {other}", s.index)))
            }
        }
        one_stream(s, failures);
    }
    if kinds.0 != 1 {
        failures.push(failure(Kind::StreamExtra, 1, None, format!("{} video streams instead of one", kinds.0)));
    }
    if kinds.1 > sounds {
        failures.push(failure(
            Kind::StreamExtra,
            1,
            None,
            format!("{} sound streams; the original has {sounds}", kinds.1),
        ));
    }
    if !l.chapters.is_empty() {
        failures.push(failure(Kind::Chapters, l.chapters.len() as u64, None, "the output has chapters"));
    }
    let programs = l.programs.iter().flatten().chain(l.chapters.iter().flatten());
    for (key, value) in l.tags.iter().chain(programs) {
        tag(key, value, "the file", failures);
    }
}

fn one_stream(s: &StreamListing, failures: &mut Vec<Failure>) {
    let place = format!("stream {}", s.index);
    for d in s.dispositions.iter().filter(|d| !["default", "still_image"].contains(&d.as_str())) {
        failures.push(failure(Kind::StreamMark, 1, None, format!("{place} is marked `{d}`")));
    }
    for (key, value) in &s.tags {
        tag(key, value, &place, failures);
    }
    for d in s.side_data.iter().filter(|d| !STREAM_SIDE_DATA.iter().any(|k| d.eq_ignore_ascii_case(k))) {
        failures.push(failure(Kind::SideData, 1, None, format!("side data \"{d}\" in {place}")));
    }
    for d in s.frame_side_data.iter().filter(|d| !FRAME_SIDE_DATA.iter().any(|k| d.eq_ignore_ascii_case(k))) {
        // MPEG-1 and 2 cannot be written without one; our encoder counts from zero.
        let gop = d == "GOP timecode" && ["mpeg1video", "mpeg2video"].contains(&s.codec.as_str());
        let kind = match d.to_lowercase().contains("timecode") {
            _ if gop => COUNTED,
            true => Kind::Timecode,
            false => Kind::SideData,
        };
        failures.push(failure(kind, 1, None, format!("side data \"{d}\" in the frames of {place}")));
    }
    // Decoders of sound and of lossless pictures make neutral tags of their own; anything else came from the file.
    for (key, _) in &s.frame_tags {
        failures.push(failure(Kind::Tag, 1, None, format!("tag `{}` in the frames of {place}", printable(key))));
    }
}

fn tag(key: &str, value: &str, place: &str, failures: &mut Vec<Failure>) {
    let key = key.to_lowercase();
    if !TAGS.contains(&key.as_str()) || !is_neutral(value) {
        let kind = if key == "timecode" { Kind::Timecode } else { Kind::Tag };
        failures.push(failure(kind, 1, None, format!("tag `{}` in {place}", printable(&key))));
    }
}

fn printable(key: &str) -> String {
    key.chars().filter(|c| c.is_ascii_graphic()).take(40).collect()
}

/// Values that muxers write by themselves and that tell nothing of a film.
fn is_neutral(value: &str) -> bool {
    let v = value.trim_matches(['\0', ' ']);
    const WORDS: [&str; 14] = [
        "",
        "und",
        "eng",
        "[0][0][0][0]",
        "FFMP",
        "appl",
        "VideoHandler",
        "SoundHandler",
        "DataHandler",
        "Lavf",
        "Lavc",
        "isom",
        "qt",
        "M4V",
    ];
    const BRANDS: [&str; 16] = [
        "isom", "iso2", "iso4", "iso5", "iso6", "avc1", "mp41", "mp42", "hvc1", "hev1", "av01", "qt  ", "M4V ", "M4A ",
        "dby1", "M4VP",
    ];
    let brands =
        value.len().is_multiple_of(4) && value.as_bytes().chunks(4).all(|b| BRANDS.iter().any(|k| k.as_bytes() == b));
    let number = v.len() <= 3 && v.bytes().all(|b| b.is_ascii_digit());
    let time = v.bytes().all(|b| b.is_ascii_digit() || b == b':' || b == b'.') && v.matches(':').count() == 2;
    WORDS.contains(&v) || brands || number || time
}

/// The container as our own reader sees it.
fn structure(output: &Path, texts: usize, out: &mut Outcome) -> Result<()> {
    let walk = container::walk(output, texts)?;
    out.row("Boxes or elements", "", walk.parts, walk.objections.is_empty());
    for o in walk.objections {
        let f = failure(o.kind, 1, None, format!("{}, at byte {}", o.what, o.offset));
        if o.kind == Kind::ContainerUnknown {
            out.warnings.push(f);
        } else {
            out.failures.push(f);
        }
    }
    Ok(())
}

/// Texts to look for: markers first, then everything that could name the source, its maker or this machine.
fn needles(source: &Probe, original: &Path, cast: Option<&Cast>) -> Vec<Needle> {
    let mut out: Vec<Needle> =
        MARKERS.iter().map(|(text, what)| Needle { text: (*text).into(), what: (*what).into() }).collect();
    let mut seen = BTreeSet::new();
    let mut add = |text: &str, what: &str| {
        let text = text.trim_matches(['\0', ' ', '\n', '\r', '\t']);
        let plain = text.to_lowercase();
        let banner = ["Lavf", "Lavc"].iter().any(|b| text.starts_with(b) && text.len() < 24);
        let tells =
            text.chars().count() >= SHORTEST && !is_neutral(text) && !COMMON.contains(&plain.as_str()) && !banner;
        if tells && out.len() < MOST_NEEDLES && seen.insert(text.to_owned()) {
            out.push(Needle { text: text.into(), what: what.into() });
        }
    };
    for value in &source.metadata_values {
        add(value, "a tag of the original");
        value.lines().for_each(|line| add(line, "a line of a tag of the original"));
        positions(value).iter().for_each(|p| add(p, "a position from a tag of the original"));
    }
    for word in cast.and_then(|c| c.words.as_ref()).into_iter().flat_map(|w| w.keys()) {
        add(word, "a word that the cast removes");
    }
    for path in [Some(original.to_owned()), std::fs::canonicalize(original).ok()].into_iter().flatten() {
        let word = |s: Option<&std::ffi::OsStr>| s.map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        add(&word(path.file_name()), "the original's file name");
        add(&word(path.file_stem()), "the original's file name");
        add(&word(path.parent().map(Path::as_os_str)), "the original's folder");
        add(&word(path.parent().and_then(Path::file_name)), "the original's folder");
    }
    for name in ["USER", "LOGNAME", "USERNAME", "HOME", "HOSTNAME"] {
        add(&std::env::var(name).unwrap_or_default(), "a name of this machine or its user");
    }
    add(&std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default(), "a name of this machine");
    out
}

/// Numbers like +48.8584 or -002.2945 (ISO 6709).
fn positions(value: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (at, _) in value.match_indices(['+', '-']) {
        let number: String = value[at + 1..].chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        if number.split_once('.').is_some_and(|(a, b)| (1..=3).contains(&a.len()) && b.len() >= 3) {
            out.push(format!("{}{number}", &value[at..at + 1]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neutral_values_are_few() {
        for v in ["und", "VideoHandler", "isomiso2avc1mp41", "512", "Lavf", "00:00:05.040000000", "[0][0][0][0]"] {
            assert!(is_neutral(v), "{v}");
        }
        for v in ["2021-03-09T10:11:12Z", "Core Media Video", "Lavf59.27.100", "deu", "iPhone", "20210309", "Anna"] {
            assert!(!is_neutral(v), "{v}");
        }
    }

    #[test]
    fn positions_are_read_from_iso_6709() {
        assert_eq!(positions("+48.8584+002.2945/"), ["+48.8584", "+002.2945"]);
        assert!(positions("2021-03-09 + 5.1").is_empty());
    }

    #[test]
    fn a_listing_is_judged_by_the_allow_list() {
        let stream = |kind: &'static str| StreamListing {
            index: 0,
            kind,
            codec: "x".into(),
            dispositions: vec!["default".into()],
            tags: vec![("language".into(), "und".into())],
            side_data: vec![],
            frame_side_data: vec![],
            frame_tags: vec![],
        };
        let plain = || FileListing {
            container: "mp4".into(),
            tags: vec![("major_brand".into(), "isom".into())],
            streams: vec![stream("video"), stream("audio")],
            chapters: vec![],
            programs: vec![],
        };
        let kinds = |l: &FileListing| {
            let mut f = vec![];
            list(l, (1, 0), &mut f);
            f.into_iter().map(|f| f.kind).collect::<Vec<_>>()
        };
        assert!(kinds(&plain()).is_empty());
        let pair = |k: &str, v: &str| (k.to_string(), v.to_string());
        type Change = fn(&mut FileListing, (String, String));
        let mut with_text = plain();
        with_text.streams.push(stream("subtitle"));
        let judged = |texts: usize| {
            let mut f = vec![];
            list(&with_text, (1, texts), &mut f);
            f.len()
        };
        assert_eq!((judged(0), judged(1)), (1, 0), "only where the cast orders it");
        let cases: [(&str, Change); 9] = [
            ("tag", |l, _| l.tags.push(("title".into(), "x".into()))),
            ("tag", |l, _| l.streams[0].tags.push(("handler_name".into(), "Anna's camera".into()))),
            ("timecode", |l, _| l.streams[0].tags.push(("timecode".into(), "10:00:00:00".into()))),
            ("chapters", |l, t| l.chapters.push(vec![t])),
            ("stream.extra", |l, _| l.streams[1].kind = "subtitle"),
            ("stream.extra", |l, _| l.streams.push(l.streams[1].clone())),
            ("stream.picture", |l, _| l.streams[0].dispositions = vec!["attached_pic".into()]),
            ("timecode", |l, _| l.streams[0].frame_side_data.push("GOP timecode".into())),
            ("side_data", |l, _| l.streams[0].side_data.push("Stereo 3D".into())),
        ];
        for (kind, spoil) in cases {
            let mut l = plain();
            spoil(&mut l, pair("language", "und"));
            assert!(kinds(&l).iter().any(|k| k == kind), "{kind}: {:?}", kinds(&l));
        }
    }
}
