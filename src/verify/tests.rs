//! Canaries: outputs with one fault each, made by the real writer from real footage. The gate must stop every one, and
//! let a properly covered film pass.

use super::{Verified, VerifyInput, VerifyOptions, verify};
use crate::card::Card;
use crate::geom::{InFrame, Rect};
use crate::image::{Frame, Samples};
use crate::infer::{Device, ModelSet, Runtime};
use crate::media::{
    AudioReader, DecodeOptions, EncoderOverrides, Limits, OutputSpec, Preset, VideoReader, Writer, probe,
};
use crate::plan::{
    Cast, Casting, Origin, PLAN_VERSION, Plan, PlanPerson, PlanSample, PlanTrack, SampleBlock, SourceFingerprint,
    VideoSummary,
};
use crate::redact::{Cover, Shape, cover};
use crate::treat::ClearedFrame;
use crate::units::{FrameIndex, Timestamp};
use crate::vision::{Look, Networks};
use crate::voice::ClearedAudio;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A short clip of one person who speaks, with the face's place in every frame.
struct Lab {
    clip: PathBuf,
    models: ModelSet,
    runtime: Runtime,
    faces: Vec<Rect<InFrame>>,
}

fn lab() -> Option<&'static Lab> {
    static LAB: OnceLock<Option<Lab>> = OnceLock::new();
    LAB.get_or_init(|| {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
        let shared = std::env::var_os("UNDERSTUDY_SHARED").map(PathBuf::from).unwrap_or(own);
        let clip = shared.join("data/video/grid_g4_lbbc2a.mpg");
        let runtime = Runtime::load(None, Device::Cpu);
        let (true, Ok(runtime)) = (clip.is_file(), runtime) else {
            println!("skipped: no ../shared folder with test material, or no ONNX Runtime");
            return None;
        };
        let models = ModelSet::discover(&[shared.join("models")]).unwrap();
        let mut networks = Networks::open(&models, &runtime).unwrap();
        let mut film = VideoReader::open(&clip, &Limits::default(), DecodeOptions::default()).unwrap();
        let mut faces = Vec::new();
        while let Some(raw) = film.next().unwrap() {
            let found = networks.detector.detect(&raw.frame, &Look::at_whole(&raw.frame, 640, 0.5)).unwrap();
            faces.push(found[0].rect);
        }
        Some(Lab { clip, models, runtime, faces })
    })
    .as_ref()
}

type Sound = Vec<Vec<f32>>;

/// Writes an output: every picture through `edit` (`None` drops it), the sound as a whole through `voice`.
fn produce(
    lab: &Lab,
    dir: &Path,
    ext: &str,
    edit: impl FnMut(usize, &mut Frame) -> Option<()>,
    voice: impl FnMut(&mut Sound, u32),
) -> PathBuf {
    produce_from(&lab.clip, dir, ext, edit, voice)
}

/// As [`produce`], from another film; the sound is given stream by stream.
fn produce_from(
    film: &Path,
    dir: &Path,
    ext: &str,
    mut edit: impl FnMut(usize, &mut Frame) -> Option<()>,
    mut voice: impl FnMut(&mut Sound, u32),
) -> PathBuf {
    let to = dir.join(format!("out.{ext}"));
    let limits = Limits::default();
    let p = probe(film, &limits).unwrap();
    let preset = match ext {
        "mkv" => Preset::Lossless,
        "mov" => Preset::Master,
        _ => Preset::Web,
    };
    let overrides = EncoderOverrides { crf: Some(20), speed: Some("veryfast".into()) };
    let (video, audio) = (p.video.clone(), p.audio.clone());
    let spec = OutputSpec {
        path: to.clone(),
        container_ext: ext.into(),
        preset,
        video,
        audio,
        texts: vec![],
        threads: 1,
        overrides,
    };
    let mut writer = Writer::create(&spec).unwrap();
    let mut pictures = VideoReader::open(film, &limits, DecodeOptions::default()).unwrap();
    while let Some(mut raw) = pictures.next().unwrap() {
        if edit(raw.index.0 as usize, &mut raw.frame).is_some() {
            writer
                .write_video(&ClearedFrame::for_test(raw.frame, FrameIndex(raw.index.0), Timestamp(raw.pts.0)))
                .unwrap();
        }
    }
    for (k, a) in p.audio.iter().enumerate() {
        let mut reader = AudioReader::open(film, a.stream_index, &limits, false).unwrap();
        let mut all: Sound = vec![Vec::new(); a.format.channels];
        while let Some(block) = reader.next().unwrap() {
            all.iter_mut().zip(block.channels).for_each(|(to, from)| to.extend(from));
        }
        voice(&mut all, a.format.rate_hz);
        writer.write_audio(k, &ClearedAudio::for_test(all, 0)).unwrap();
    }
    writer.finish().unwrap();
    to
}

/// Covers the head in frame `n`.
fn hide(lab: &Lab, n: usize, frame: &mut Frame, how: Cover) -> Option<()> {
    let face = lab.faces[n];
    cover(frame, &Shape::head(&face, 0.2), how, face.width()).map(|_| ())
}

/// Sound of the same loudness that has nothing of the voice: hiss.
fn hiss(sound: &mut Sound, _: u32) {
    let mut s = 12345u32;
    for v in sound.iter_mut().flatten() {
        s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *v = ((s >> 8) as f32 / (1 << 23) as f32 - 1.0) * 0.05;
    }
}

fn attack(lab: &Lab, output: &Path) -> Verified {
    let input = VerifyInput::new(&lab.clip, output, &lab.models, &lab.runtime);
    verify(&input, &VerifyOptions::default(), &|_, _| Ok(())).unwrap()
}

fn kinds(v: &Verified) -> Vec<&str> {
    v.report.failures.iter().map(|f| f.kind.as_str()).collect()
}

#[test]
fn properly_covered_films_pass() {
    let Some(lab) = lab() else { return };
    for (ext, how) in [("mp4", Cover::Solid), ("mkv", Cover::Mosaic), ("mov", Cover::Blur), ("mp4", Cover::Silhouette)]
    {
        let dir = tempfile::tempdir().unwrap();
        let v = attack(lab, &produce(lab, dir.path(), ext, |n, f| hide(lab, n, f, how), hiss));
        assert!(v.report.cleared, "{ext} {how:?}: {:#?}", v.report.failures);
        let p = &v.report.people[0];
        assert_eq!((p.face_frames, p.untouched, v.report.frames), (75, 0, 75), "{ext}");
        assert!(
            p.identity.as_ref().unwrap().samples >= 8 && !v.report.sound.is_empty() && v.report.texts_searched > 20
        );
        assert!(!v.pictures.of(0).is_empty());
    }
}

#[test]
fn faces_that_were_not_hidden_are_stopped() {
    let Some(lab) = lab() else { return };
    let shifted = |n: usize, f: &mut Frame| {
        let r = lab.faces[n];
        let aside = Rect::new(r.x0 - 1.7 * r.width(), r.y0, r.x1 - 1.7 * r.width(), r.y1);
        cover(f, &Shape::head(&aside, 0.0), Cover::Solid, r.width()).map(|_| ())
    };
    type Edit<'e> = Box<dyn FnMut(usize, &mut Frame) -> Option<()> + 'e>;
    let cases: Vec<(&str, &str, Edit)> = vec![
        ("nothing done", "face.untouched", Box::new(|_, _| Some(()))),
        (
            "one frame forgotten",
            "face.untouched",
            Box::new(|n, f| if n == 41 { Some(()) } else { hide(lab, n, f, Cover::Solid) }),
        ),
        (
            "first frame forgotten",
            "face.untouched",
            Box::new(|n, f| if n == 0 { Some(()) } else { hide(lab, n, f, Cover::Solid) }),
        ),
        (
            "last frame forgotten",
            "face.untouched",
            Box::new(|n, f| if n == 74 { Some(()) } else { hide(lab, n, f, Cover::Solid) }),
        ),
        ("box beside the face", "face.untouched", Box::new(shifted)),
        (
            "negative picture",
            "face.untouched",
            Box::new(|_, f| {
                negative(f);
                Some(())
            }),
        ),
        (
            "only the mouth hidden",
            "face.",
            Box::new(|n, f| {
                let r = lab.faces[n];
                let mouth = Rect::new(r.x0, r.y0 + 0.62 * r.height(), r.x1, r.y1);
                cover(f, &Shape::rect(&mouth), Cover::Solid, r.width()).map(|_| ())
            }),
        ),
        (
            "picture mirrored",
            "face.",
            Box::new(|_, f| {
                mirror(f);
                Some(())
            }),
        ),
    ];
    for (name, kind, edit) in cases {
        let dir = tempfile::tempdir().unwrap();
        let v = attack(lab, &produce(lab, dir.path(), "mp4", edit, hiss));
        let hit = v.report.failures.iter().find(|f| f.kind.starts_with(kind));
        assert!(!v.report.cleared && hit.is_some(), "{name}: {:#?}", v.report);
        let hit = hit.unwrap();
        match name {
            "one frame forgotten" => assert_eq!((hit.count, hit.first_frame), (1, Some(41))),
            "first frame forgotten" => assert_eq!((hit.count, hit.first_frame), (1, Some(0))),
            "last frame forgotten" => assert_eq!((hit.count, hit.first_frame), (1, Some(74))),
            "nothing done" => {
                assert_eq!(hit.count, 75);
                assert!(kinds(&v).contains(&"face.recognised"));
            }
            _ => {}
        }
    }
}

fn negative(f: &mut Frame) {
    if let Samples::U8(v) = &mut f.planes[0].samples {
        v.iter_mut().for_each(|s| *s = 251 - (*s).clamp(16, 235));
    }
}

fn mirror(f: &mut Frame) {
    for p in &mut f.planes {
        if let Samples::U8(v) = &mut p.samples {
            v.chunks_exact_mut(p.width).for_each(<[u8]>::reverse);
        }
    }
}

#[test]
fn a_lost_frame_is_stopped() {
    let Some(lab) = lab() else { return };
    let dir = tempfile::tempdir().unwrap();
    let out = produce(lab, dir.path(), "mp4", |n, f| if n == 30 { None } else { hide(lab, n, f, Cover::Solid) }, hiss);
    let v = attack(lab, &out);
    assert!(kinds(&v).contains(&"frames.count") && kinds(&v).contains(&"frames.time"), "{:?}", kinds(&v));
}

#[test]
fn forty_milliseconds_of_the_voice_are_stopped() {
    let Some(lab) = lab() else { return };
    let leak = |sound: &mut Sound, rate: u32| {
        let original = sound.clone();
        hiss(sound, rate);
        // The loudest 40 ms of the first channel, in the last channel only.
        let n = rate as usize / 25;
        let power = |at: usize| original[0][at..at + n].iter().map(|v| v * v).sum::<f32>();
        let at = (0..original[0].len() - n).step_by(n / 4).max_by(|a, b| power(*a).total_cmp(&power(*b))).unwrap();
        if let Some(last) = sound.last_mut() {
            last[at..at + n].copy_from_slice(&original[0][at..at + n]);
        }
    };
    let dir = tempfile::tempdir().unwrap();
    let out = produce(lab, dir.path(), "mp4", |n, f| hide(lab, n, f, Cover::Solid), leak);
    let v = attack(lab, &out);
    assert_eq!(kinds(&v), ["sound.raw"], "{:#?}", v.report.failures);
    // The same film passes if the cast lets this voice be heard.
    let keep = "[[person]]\nalias = \"A\"\nvoice = { style = \"keep\", times = [[\"00:00:00\", \"00:01:00\"]] }\n";
    let v = attack_by(lab, &lab.clip, &out, keep);
    assert!(v.report.cleared && v.report.warnings.iter().any(|w| w.kind == "sound.kept"), "{:#?}", v.report.failures);
    // Somebody protected who may speak at any time takes that back.
    let both = format!("{keep}[[person]]\nalias = \"B\"\nvoice = {{ times = [[\"00:00:00\", \"00:01:00\"]] }}\n");
    assert_eq!(kinds(&attack_by(lab, &lab.clip, &out, &both)), ["sound.raw"]);
}

fn attack_by(lab: &Lab, original: &Path, output: &Path, cast: &str) -> Verified {
    let cast = Cast::parse(cast, "cast").unwrap();
    let input = VerifyInput { cast: Some(&cast), ..VerifyInput::new(original, output, &lab.models, &lab.runtime) };
    verify(&input, &VerifyOptions::default(), &|_, _| Ok(())).unwrap()
}

/// The clip with other sound: one or two streams of one or two channels, each a different voice-like noise.
fn two_streams(lab: &Lab, dir: &Path) -> PathBuf {
    let to = dir.join("two.mkv");
    let speech = |seed: &str| format!("anoisesrc=r=16000:d=3:c=white:seed={seed}:a=0.4,tremolo=f=4:d=0.6");
    let mut c = Command::new("ffmpeg");
    c.args(["-v", "error", "-y", "-i"]).arg(&lab.clip);
    for seed in ["71234567", "1999333111", "402653189"] {
        c.args(["-f", "lavfi", "-i", &speech(seed)]);
    }
    c.args(["-filter_complex", "[1:a][2:a]amerge=inputs=2[s]", "-map", "0:v", "-map", "[s]", "-map", "3:a"]);
    assert!(c.args(["-c:v", "copy", "-c:a", "pcm_s16le"]).arg(&to).status().unwrap().success());
    to
}

#[test]
fn a_kept_channel_or_stream_exempts_no_other() {
    let Some(lab) = lab() else { return };
    if Command::new("ffmpeg").arg("-version").output().is_err() {
        println!("skipped: no ffmpeg to make sound with");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let original = two_streams(lab, dir.path());
    // Raw sound in the named (stream, channel) alone.
    let leaking = |stream: usize, channel: usize| {
        let mut k = 0;
        produce_from(
            &original,
            dir.path(),
            "mkv",
            |n, f| hide(lab, n, f, Cover::Solid),
            move |sound, rate| {
                let raw = sound.clone();
                hiss(sound, rate);
                if k == stream {
                    sound[channel].clone_from(&raw[channel]);
                }
                k += 1;
            },
        )
    };
    let voice = |text: &str| format!("[[person]]\nalias = \"A\"\nvoice = {{ style = \"keep\", {text} }}\n");
    let channel = voice("channel = 1, stream = 1");
    let stream = voice("times = [[\"00:00:00\", \"00:01:00\"]], stream = 2");
    for (leak, cast, passes) in [
        ((0, 0), &channel, true),
        ((0, 1), &channel, false),
        ((1, 0), &channel, false),
        ((1, 0), &stream, true),
        ((0, 0), &stream, false),
        ((0, 1), &stream, false),
    ] {
        let out = leaking(leak.0, leak.1);
        let v = attack_by(lab, &original, &out, cast);
        let expected: &[&str] = if passes { &[] } else { &["sound.raw"] };
        assert_eq!(kinds(&v), expected, "raw {leak:?}, {cast}: {:#?}", v.report.failures);
    }
}

#[test]
fn regions_of_the_cast_are_attacked() {
    let Some(lab) = lab() else { return };
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(lab);
    // The face stays; the hair is hidden for a second, and what is around the mouth as long as the face is seen.
    let text = "[[person]]\nalias = \"A\"\ntracks = [4]\nface = \"keep\"\n\
                [[region]]\neffect = \"EFFECT\"\nbox = [0.33, 0.15, 0.72, 0.5]\nfrom = \"00:00:01\"\nto = \"00:00:02\"\n\
                [[region]]\neffect = \"EFFECT\"\nfollow = { track = 4, box = [-0.2, 0.6, 1.2, 1.1] }\n";
    let p = probe(&lab.clip, &Limits::default()).unwrap().video;
    for effect in ["blur", "mosaic", "solid", "recolour"] {
        let cast = Cast::parse(&text.replace("EFFECT", effect), "c").unwrap();
        let regions = crate::treat::RegionPlan::of(&cast, &plan).unwrap();
        let casting = Casting::resolve(&plan, &cast, &[], &[]).unwrap();
        let run = |spare: Option<(usize, usize)>| {
            let edit = |n: usize, f: &mut Frame| {
                for (k, region) in regions.iter().enumerate() {
                    let secs = n as f64 / 25.0;
                    if spare != Some((k, n)) {
                        region.apply(f, (n as u64, secs), |_| Some(lab.faces[n]));
                    }
                }
                Some(())
            };
            let out = produce(lab, dir.path(), "mp4", edit, hiss);
            let known = VerifyInput::new(&lab.clip, &out, &lab.models, &lab.runtime);
            let input = VerifyInput { plan: Some(&plan), casting: Some(&casting), cast: Some(&cast), ..known };
            verify(&input, &VerifyOptions::default(), &|_, _| Ok(())).unwrap().report
        };
        let clean = run(None);
        println!("{effect}: {:?}", clean.regions);
        assert!(clean.cleared, "{effect}: {:#?}", clean.failures);
        let frames: Vec<u64> = clean.regions.iter().map(|r| r.frames).collect();
        assert_eq!(frames, [25, 75], "{effect}: {:?} of {} × {}", clean.regions, p.width, p.height);
        for (k, n) in [(0, 25), (0, 49), (1, 0), (1, 40)] {
            let r = run(Some((k, n)));
            println!("{effect} {k} {n}: {:?}", r.regions[k]);
            let hit = r.failures.iter().find(|f| f.kind == "region.visible");
            let hit = hit.unwrap_or_else(|| panic!("{effect} {k} {n}: {:#?}", r.regions));
            assert_eq!((hit.count, hit.first_frame), (1, Some(n as u64)), "{effect} {k}");
            assert!(hit.detail.starts_with(&format!("region {} ", k + 1)));
        }
    }
}

#[test]
fn a_stop_ends_the_attack_at_once() {
    let Some(lab) = lab() else { return };
    let dir = tempfile::tempdir().unwrap();
    let out = produce(lab, dir.path(), "mp4", |n, f| hide(lab, n, f, Cover::Solid), hiss);
    for after in [0, 1, 20, 100, 150] {
        let calls = std::sync::atomic::AtomicU64::new(0);
        let stop = |_: u64, _: u64| match calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            n if n >= after => Err(crate::Error::Interrupted),
            _ => Ok(()),
        };
        let input = VerifyInput::new(&lab.clip, &out, &lab.models, &lab.runtime);
        let ended = verify(&input, &VerifyOptions::default(), &stop).map(|v| v.report.cleared);
        assert!(matches!(ended, Err(crate::Error::Interrupted)), "{after}: {ended:?}");
        assert_eq!(calls.into_inner(), after + 1, "it went on after the stop");
    }
}

fn plan(lab: &Lab) -> Plan {
    let p = probe(&lab.clip, &Limits::default()).unwrap().video;
    let samples: Vec<PlanSample> =
        lab.faces.iter().map(|r| PlanSample { rect: *r, score: 0.9, origin: Origin::Detected, points: None }).collect();
    Plan {
        version: PLAN_VERSION,
        source_path: String::new(),
        source: SourceFingerprint { bytes: 0, sha256: String::new() },
        video: VideoSummary {
            width: p.width,
            height: p.height,
            frames: 75,
            fps: 25.0,
            time_base: p.time_base,
            start: p.start.0,
        },
        recall: "standard".into(),
        models: vec![],
        cuts: vec![],
        tracks: vec![PlanTrack {
            id: 4,
            person: 0,
            first: FrameIndex(0),
            end: FrameIndex(75),
            confirmed: true,
            max_score: 0.9,
            width_px: 90.0,
            blocks: vec![SampleBlock::pack(0, &samples).unwrap()],
        }],
        people: vec![PlanPerson { id: 0, tracks: vec![4], embedding: vec![], tone: [0.5; 3], frames: 75 }],
        findings: vec![],
        salvaged: false,
    }
}

#[test]
fn the_cast_decides_who_may_be_seen() {
    let Some(lab) = lab() else { return };
    let plan = plan(lab);
    let casting = |text: &str| Casting::resolve(&plan, &Cast::parse(text, "c").unwrap(), &[], &[]).unwrap();
    let keep = casting("[[person]]\nalias = \"Guide\"\ntracks = [4]\nface = \"keep\"\n");
    let hidden = casting("[[person]]\nalias = \"Witness\"\ntracks = [4]\nface = \"solid\"\n");
    let reveal = casting(
        "[[person]]\nalias = \"Witness\"\ntracks = [4]\nface = \"solid\"\nreveal = { at = \"00:00:02\", over = \"0.2s\", consent = \"signed\" }\n",
    );
    let dir = tempfile::tempdir().unwrap();
    let open = produce(lab, dir.path(), "mp4", |_, _| Some(()), hiss);
    let run = |output: &Path, casting: &Casting| {
        let known = VerifyInput::new(&lab.clip, output, &lab.models, &lab.runtime);
        let input = VerifyInput { plan: Some(&plan), casting: Some(casting), ..known };
        verify(&input, &VerifyOptions::default(), &|_, _| Ok(())).unwrap()
    };
    let v = run(&open, &keep);
    assert!(v.report.cleared && v.report.kept.len() == 1, "{:#?}", v.report.failures);
    assert_eq!((v.report.people[0].alias.as_str(), v.report.people[0].exempt_frames), ("Guide", 75));
    let shown = v.pictures.kept(0);
    assert!(
        !shown.is_empty() && shown.iter().all(|p| p.exposes && !p.output.is_empty()),
        "to be confirmed by a person"
    );
    let v = run(&open, &hidden);
    assert!(
        !v.report.cleared && v.report.failures.iter().all(|f| f.detail.contains("Witness")),
        "{:#?}",
        v.report.failures
    );
    // Veiled for two seconds, then shown.
    let dir = tempfile::tempdir().unwrap();
    let dissolving =
        produce(lab, dir.path(), "mp4", |n, f| if n < 50 { hide(lab, n, f, Cover::Solid) } else { Some(()) }, hiss);
    assert!(run(&dissolving, &reveal).report.cleared);
    assert!(!run(&dissolving, &hidden).report.cleared);
    let altered = run(&dissolving, &keep);
    assert!(
        altered.report.warnings.iter().any(|w| w.kind == "face.altered" && w.count >= 49),
        "{:#?}",
        altered.report.warnings
    );
}

#[test]
fn the_disclaimer_must_stand_and_blinds_nobody() {
    let Some(lab) = lab() else { return };
    let plan = plan(lab);
    let cast = |face: &str| {
        let text = format!("[policy]\ndisclaimer = true\n[[person]]\nalias = \"W\"\ntracks = [4]\nface = \"{face}\"\n");
        Cast::parse(&text, "c").unwrap()
    };
    let video = probe(&lab.clip, &Limits::default()).unwrap().video;
    let card = Card::for_film(&cast("solid"), &video).unwrap().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let run = |edit: &mut dyn FnMut(usize, &mut Frame), cast: &Cast| {
        let seen = |n: usize, f: &mut Frame| {
            edit(n, f);
            Some(())
        };
        let output = produce(lab, dir.path(), "mp4", seen, hiss);
        let casting = Casting::resolve(&plan, cast, &[], &[]).unwrap();
        let known = VerifyInput::new(&lab.clip, &output, &lab.models, &lab.runtime);
        let input = VerifyInput { plan: Some(&plan), casting: Some(&casting), cast: Some(cast), ..known };
        verify(&input, &VerifyOptions::default(), &|_, _| Ok(())).unwrap().report
    };
    let kinds = |r: &crate::report::Report| r.failures.iter().map(|f| f.kind.clone()).collect::<Vec<_>>();
    let told = |f: &mut Frame| drop(card.draw(f, 1.0).unwrap());
    let good = run(
        &mut |n, f| {
            hide(lab, n, f, Cover::Solid);
            told(f);
        },
        &cast("solid"),
    );
    assert!(good.cleared, "{:#?}", good.failures);
    let silent = run(&mut |n, f| hide(lab, n, f, Cover::Solid).unwrap_or(()), &cast("solid"));
    assert_eq!(kinds(&silent), ["disclaimer.missing"]);
    assert_eq!((silent.failures[0].count, silent.failures[0].first_frame), (75, Some(0)));
    let late = run(
        &mut |n, f| {
            hide(lab, n, f, Cover::Solid);
            if n != 40 {
                told(f);
            }
        },
        &cast("solid"),
    );
    assert_eq!((late.failures[0].count, late.failures[0].first_frame), (1, Some(40)));
    // The card covers nobody: whoever is under it is found as if it were not there.
    let open = run(&mut |_, f| told(f), &cast("solid"));
    let untouched = open.failures.iter().find(|f| f.kind == "face.untouched").map_or(0, |f| f.count);
    assert!(untouched >= 70 && !kinds(&open).contains(&"disclaimer.missing".into()), "{:#?}", open.failures);
    // Somebody who is kept is not called changed by it.
    let kept = run(&mut |_, f| told(f), &cast("keep"));
    assert!(kept.cleared && !kept.warnings.iter().any(|w| w.kind == "face.altered"), "{:#?}", kept.warnings);
}

#[test]
fn anything_beside_picture_and_sound_is_stopped() {
    let Some(lab) = lab() else { return };
    if Command::new("ffmpeg").arg("-version").output().is_err() {
        println!("skipped: no ffmpeg to spoil files with");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let clean = produce(lab, dir.path(), "mp4", |n, f| hide(lab, n, f, Cover::Solid), hiss);
    let chapters = dir.path().join("chapters.txt");
    std::fs::write(&chapters, ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=Arrest\n").unwrap();
    let picture = dir.path().join("cover.png");
    let still = ["-y", "-f", "lavfi", "-i", "testsrc=s=64x64", "-frames:v", "1", picture.to_str().unwrap()];
    assert!(Command::new("ffmpeg").args(["-v", "error"]).args(still).status().unwrap().success());
    let (chapters, picture) = (chapters.to_str().unwrap().to_owned(), picture.to_str().unwrap().to_owned());
    let subtitles = dir.path().join("s.srt");
    std::fs::write(&subtitles, "1\n00:00:00,000 --> 00:00:01,000\nmy name is\n").unwrap();
    let subtitles = subtitles.to_str().unwrap().to_owned();
    let cases: Vec<(&str, Vec<&str>, &[&str])> = vec![
        ("title", vec!["-metadata", "title=Interview"], &["tag", "container.tag"]),
        ("position", vec!["-metadata", "location=+48.8584+002.2945/"], &["tag", "container.tag"]),
        ("creation time", vec!["-metadata", "creation_time=2021-03-09T10:11:12Z"], &["container.time", "tag"]),
        ("handler name", vec!["-metadata:s:v", "handler_name=Annas camera"], &["container.name", "tag"]),
        ("chapters", vec!["-i", &chapters, "-map", "0", "-map_chapters", "1"], &["chapters"]),
        (
            "cover picture",
            vec!["-i", &picture, "-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic"],
            &["stream.picture"],
        ),
        ("timecode", vec!["-timecode", "10:00:00:00"], &["timecode", "stream.extra", "container.track"]),
        ("subtitles", vec!["-i", &subtitles, "-map", "0", "-map", "1", "-c:s", "mov_text"], &["stream.extra"]),
        ("second sound", vec!["-map", "0", "-map", "0:a"], &["stream.extra"]),
        ("second picture", vec!["-map", "0", "-map", "0:v"], &["stream.extra"]),
    ];
    for (name, arguments, expected) in cases {
        let spoilt = dir.path().join("spoilt.mp4");
        let mut c = Command::new("ffmpeg");
        c.args(["-v", "error", "-y", "-i"]).arg(&clean);
        let inputs = arguments.iter().position(|a| *a == "-i").map_or(0, |_| 2);
        c.args(&arguments[..inputs])
            .args(["-c", "copy", "-fflags", "+bitexact"])
            .args(&arguments[inputs..])
            .arg(&spoilt);
        assert!(c.status().unwrap().success(), "{name}");
        let found = super::streams::check(&lab.clip, &spoilt, None, &|| Ok(())).unwrap();
        for kind in expected {
            assert!(found.failures.iter().any(|f| f.kind == *kind), "{name} lacks {kind}: {:#?}", found.failures);
        }
    }
    let passed = super::streams::check(&lab.clip, &clean, None, &|| Ok(())).unwrap();
    assert!(passed.failures.is_empty(), "{:#?}", passed.failures);
}

#[test]
fn texts_of_the_original_are_found_in_the_bytes() {
    let Some(lab) = lab() else { return };
    if Command::new("ffmpeg").arg("-version").output().is_err() {
        println!("skipped: no ffmpeg to tag files with");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("Anna in Minsk.mov");
    let mut c = Command::new("ffmpeg");
    c.args(["-v", "error", "-y", "-i"]).arg(&lab.clip).args(["-c:v", "mpeg4", "-c:a", "copy", "-t", "1"]);
    c.args(["-metadata", "title=Interview with the nurse", "-metadata", "location=+48.8584+002.2945/"]).arg(&original);
    assert!(c.status().unwrap().success());
    let clean = produce(lab, dir.path(), "mp4", |n, f| hide(lab, n, f, Cover::Solid), hiss);
    let texts: [&[u8]; 4] = [b"interview WITH the nurse", b"Anna in Minsk", b"+48.8584", b"Exif\0\0"];
    for text in texts {
        let mut data = std::fs::read(&clean).unwrap();
        // Into the coded picture, where no reader of structures looks.
        let at = data.windows(4).rposition(|w| w == b"mdat").unwrap() + 400;
        data[at..at + text.len()].copy_from_slice(text);
        let spoilt = dir.path().join("spoilt.mp4");
        std::fs::write(&spoilt, data).unwrap();
        let found = super::streams::check(&original, &spoilt, None, &|| Ok(())).unwrap();
        assert!(found.failures.iter().any(|f| f.kind.starts_with("bytes.")), "{}", text.escape_ascii());
        assert!(found.failures.iter().all(|f| !f.detail.contains("nurse") && !f.detail.contains("Minsk")));
    }
}

#[test]
fn no_film_and_the_same_film_are_told_apart() {
    let Some(lab) = lab() else { return };
    let input = VerifyInput::new(&lab.clip, &lab.clip, &lab.models, &lab.runtime);
    assert_eq!(verify(&input, &VerifyOptions::default(), &|_, _| Ok(())).unwrap_err().exit_code(), 2);
    let dir = tempfile::tempdir().unwrap();
    let junk = dir.path().join("out.mp4");
    std::fs::write(&junk, b"not a film at all").unwrap();
    let v = attack(lab, &junk);
    assert!(!v.report.cleared && kinds(&v).contains(&"output.unreadable"));
}

/// A Gaussian over the head, as an editor's blur makes it: reversible.
fn editors_blur(lab: &Lab, n: usize, f: &mut Frame, sigma: f32) -> Option<()> {
    let r = lab.faces[n].grown(0.4, 0.5, 0.4, 0.3);
    let area = r.to_pixels(f.width, f.height)?;
    let patch = f.read_rgb(area);
    let reach = (3.0 * sigma).ceil() as isize;
    let kernel: Vec<f32> = (-reach..=reach).map(|i| (-0.5 * (i as f32 / sigma).powi(2)).exp()).collect();
    let sum: f32 = kernel.iter().sum();
    let (w, h) = (patch.width as isize, patch.height as isize);
    let mut across = patch.clone();
    let mut both = patch.clone();
    for (from, to, dx, dy) in [(0, 1, 1, 0), (1, 2, 0, 1)] {
        let source = if from == 0 { patch.clone() } else { across.clone() };
        for y in 0..h {
            for x in 0..w {
                let mut rgb = [0.0; 3];
                for (i, k) in (-reach..=reach).zip(&kernel) {
                    let at = source.pixel((x + i * dx).clamp(0, w - 1) as usize, (y + i * dy).clamp(0, h - 1) as usize);
                    (0..3).for_each(|c| rgb[c] += k / sum * at[c]);
                }
                let out = if to == 1 { &mut across } else { &mut both };
                out.set_pixel(x as usize, y as usize, rgb);
            }
        }
    }
    let matte = Shape::rect(&r).matte(area);
    f.blend_rgb(area.x, area.y, &both, &matte);
    Some(())
}

#[test]
fn weak_covers_are_taken_back_and_ours_leave_nothing() {
    let Some(lab) = lab() else { return };
    let dir = tempfile::tempdir().unwrap();
    type Edit<'e> = Box<dyn FnMut(usize, &mut Frame) -> Option<()> + 'e>;
    let squares = |cells: f32| {
        move |n: usize, f: &mut Frame| {
            let (r, cell) = (lab.faces[n], lab.faces[n].width() * crate::redact::CELLS_ACROSS / cells);
            cover(f, &Shape::head(&r, 0.0), Cover::Mosaic, cell).map(|_| ())
        }
    };
    let cases: Vec<(&str, bool, Edit)> = vec![
        ("Gaussian of 8 pixels", true, Box::new(|n, f| editors_blur(lab, n, f, 8.0))),
        ("Gaussian of 5 pixels", true, Box::new(|n, f| editors_blur(lab, n, f, 5.0))),
        ("16 squares", true, Box::new(squares(16.0))),
        ("20 squares", true, Box::new(squares(20.0))),
        ("our blur", false, Box::new(|n, f| hide(lab, n, f, Cover::Blur))),
        ("our mosaic", false, Box::new(|n, f| hide(lab, n, f, Cover::Mosaic))),
    ];
    for (name, caught, edit) in cases {
        let v = attack(lab, &produce(lab, dir.path(), "mp4", edit, hiss));
        let i = v.report.people[0].identity.clone().unwrap();
        println!(
            "{name}: restored {} times, cosine {:?} place {:?} ({:?}); as it is {:.2}; {:?}",
            i.restored,
            i.cosine_restored,
            i.rank_restored,
            i.restored_by,
            i.cosine_track,
            kinds(&v)
        );
        assert!(i.restored > 3, "{name}");
        assert_eq!(i.taken_back, caught, "{name}");
        assert_eq!(kinds(&v).contains(&"face.restored"), caught, "{name}: {:#?}", v.report.failures);
        assert!(caught || v.report.cleared, "{name}: {:#?}", v.report.failures);
    }
    // One colour leaves nothing to restore.
    let v = attack(lab, &produce(lab, dir.path(), "mp4", |n, f| hide(lab, n, f, Cover::Solid), hiss));
    assert!(v.report.cleared && v.report.people[0].identity.as_ref().unwrap().restored == 0);
}
