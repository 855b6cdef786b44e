//! Who speaks when, on recordings: skipped where the shared folder, the networks or the `ffmpeg` program are missing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests and their helpers may panic")]

use std::path::{Path, PathBuf};
use std::process::Command;
use understudy::audio::{AudioFormat, RawAudio};
use understudy::media::{self, AudioReader, Limits};
use understudy::voice::activity::{Activity, Ranges};
use understudy::voice::attack::{InverseReport, InverseSearch, SAME_SPEAKER, SpeakerReport, SpeakerSearch};
use understudy::voice::{ClearedAudio, Secret, SpeechAnalyser, StreamPolicy, VoiceStage, VoiceStyle};

fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let found = std::env::var_os("UNDERSTUDY_SHARED").map_or(beside, PathBuf::from);
    if found.is_dir() {
        return Some(found);
    }
    println!("skipped: no folder `shared` beside the project; name it with UNDERSTUDY_SHARED");
    None
}

fn ffmpeg(args: &[&str]) -> bool {
    Command::new("ffmpeg").args(["-v", "error", "-y"]).args(args).status().is_ok_and(|s| s.success())
}

/// A recording at 16 kHz, mono.
fn read(path: &Path) -> Vec<f32> {
    media::init();
    let mut reader = AudioReader::open(path, 0, &Limits::default(), false).unwrap();
    let mut out = Vec::new();
    while let Some(block) = reader.next().unwrap() {
        out.extend_from_slice(&block.channels[0]);
    }
    out
}

/// A recording under one style, by a secret of its own.
fn rendered(sound: &[f32], style: VoiceStyle) -> Vec<f32> {
    let format = AudioFormat { rate_hz: 16_000, channels: 1, layout_mask: 4 };
    let policy = StreamPolicy { default: style, ..StreamPolicy::default() };
    let block = |k: usize, b: &[f32]| RawAudio { channels: vec![b.to_vec()], start: (4096 * k) as u64 };
    let mut analyser = SpeechAnalyser::for_policy(format, &policy).unwrap();
    sound.chunks(4096).enumerate().for_each(|(k, b)| analyser.push(&block(k, b)).unwrap());
    let mut stage = VoiceStage::new(format, &policy, analyser.finish().unwrap(), &Secret::from_os().unwrap()).unwrap();
    let mut out = Vec::new();
    let mut take = |audio: ClearedAudio| {
        out.extend_from_slice(&audio.channels()[0]);
        Ok(())
    };
    sound.chunks(4096).enumerate().for_each(|(k, b)| stage.push(&block(k, b), &mut take).unwrap());
    stage.finish(&mut take).unwrap();
    out
}

fn inverted(original: &[f32], output: &[f32]) -> InverseReport {
    let mut search = InverseSearch::new(16_000).unwrap();
    original.chunks(16_000).zip(output.chunks(16_000)).for_each(|(a, b)| search.push(a, b).unwrap());
    search.finish().unwrap()
}

/// One recording of each speaker, in order; `None`, and a line that says so, where there are none.
fn recordings() -> Option<Vec<PathBuf>> {
    let folder = shared()?.join("data/speech/librispeech_1each");
    let Ok(list) = std::fs::read_dir(&folder) else {
        println!("skipped: no recordings in {}", folder.display());
        return None;
    };
    let mut files: Vec<PathBuf> =
        list.filter_map(|f| f.ok()).map(|f| f.path()).filter(|p| p.extension().is_some_and(|e| e == "flac")).collect();
    files.sort();
    Some(files)
}

#[test]
fn shifted_voices_are_told_from_invented_ones() {
    let Some(files) = recordings() else { return };
    if !ffmpeg(&["-version"]) {
        println!("skipped: no ffmpeg to shift voices with");
        return;
    }
    let folder_of_test = tempfile::tempdir().unwrap();
    let (mut most, mut speakers, mut alarms, mut missed) = (0.0_f64, 0, 0, Vec::new());
    for (k, file) in files.iter().step_by(8).enumerate() {
        let sound = read(file);
        // Once, and what came of it again: that voice is flatter than a person's.
        let once = rendered(&sound, VoiceStyle::Pseudo);
        let twice = rendered(&once, VoiceStyle::Pseudo);
        for invented in [inverted(&sound, &once), inverted(&once, &twice)] {
            alarms += usize::from(invented.found);
            most = most.max(invented.steady);
        }
        // Played faster or slower, and brought back to its length: pitch and resonances move alike.
        let (factor, semitones) = [(1.26, 4.0), (0.7937, -4.0), (1.1892, 3.0)][k % 3];
        let how =
            format!("aresample=48000,asetrate={},aresample=48000,atempo={}", (48_000.0 * factor) as u32, 1.0 / factor);
        let path = folder_of_test.path().join("shifted.wav");
        let (from, to) = (file.to_string_lossy(), path.to_string_lossy());
        assert!(ffmpeg(&["-i", &from, "-af", &how, "-ar", "16000", "-ac", "1", &to]));
        let shifted = inverted(&sound, &read(&path));
        if shifted.found {
            assert!((shifted.semitones - semitones).abs() < 0.3, "{}: {shifted:?}", file.display());
        } else {
            missed.push(shifted.steady);
        }
        speakers += 1;
    }
    println!(
        "{speakers} speakers: steady in {most:.2} of the frames at most if invented; shifted and missed: {missed:?}"
    );
    assert!(speakers > 10);
    // Voices are drawn afresh in every run: one in some hundred may be steady by chance.
    assert!(alarms <= 1, "{alarms} of {} invented voices taken for shifted ones", 2 * speakers);
    assert!(missed.len() * 20 <= speakers, "{} of {speakers} shifted voices missed", missed.len());
}

fn active(sound: &[f32]) -> Vec<bool> {
    let (mut out, mut activity) = (Vec::new(), Activity::new(16_000));
    activity.push(sound, &mut |h| out.push(h.active));
    activity.finish(&mut |h| out.push(h.active));
    out
}

fn recognised(original: &[f32], output: &[f32]) -> SpeakerReport {
    let mut search = SpeakerSearch::new(16_000, 1, 1).unwrap();
    search.push(&[original], &[output]).unwrap();
    search.finish().unwrap().remove(0)
}

#[test]
fn the_recorded_speaker_is_known_at_any_time_and_an_invented_or_another_one_is_not() {
    let Some(files) = recordings() else { return };
    let sounds: Vec<Vec<f32>> = files.iter().step_by(16).map(|f| read(f)).collect();
    let (mut most, mut least, mut copies, mut unjudged) = (-1.0_f64, 1.0_f64, 0, 0);
    for (k, sound) in sounds.iter().enumerate() {
        let once = rendered(sound, VoiceStyle::Pseudo);
        let twice = rendered(&once, VoiceStyle::Pseudo);
        let actor = &sounds[(k + 1) % sounds.len()];
        for (name, a, b) in [("once", sound, &once), ("twice", &once, &twice), ("actor", sound, actor)] {
            let r = recognised(a, b);
            assert!(!r.found, "{name} {}: {r:?}", files[16 * k].display());
            most = most.max(r.whole.unwrap_or(-1.0));
        }
        // Without a pitch there is too little to judge.
        assert!(!recognised(sound, &rendered(sound, VoiceStyle::Whisper)).found);
        let late: Vec<f32> = vec![0.0; 16_000].into_iter().chain(sound.iter().copied()).take(sound.len()).collect();
        let backwards: Vec<f32> = sound.chunks(8_000).flat_map(|c| c.iter().rev().copied()).collect();
        // Treble and bass by a first difference: about 6 dB per octave.
        let bright: Vec<f32> = late.windows(2).map(|w| w[1] - 0.6 * w[0]).collect();
        for (name, copy) in [("late", late), ("backwards", backwards), ("bright and late", bright)] {
            let r = recognised(sound, &copy);
            copies += 1;
            // Less a second, the shortest recording (3.6 s) has too little voice.
            let Some(cosine) = r.whole else {
                unjudged += 1;
                continue;
            };
            assert!(r.found, "{name} {}: {r:?}", files[16 * k].display());
            least = least.min(cosine);
        }
    }
    println!(
        "{} speakers: invented and others at most {most:.2}, copies at least {least:.2}, limit {SAME_SPEAKER}",
        sounds.len()
    );
    assert!(copies > 0 && 8 * unjudged <= copies, "{unjudged} of {copies} not judged");
}

#[test]
fn speech_is_heard_and_silence_and_noise_are_not() {
    let Some(files) = recordings() else { return };
    let mut seed = 3_u64;
    let mut hiss = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 40) as f32 / (1_u64 << 23) as f32 - 1.0) * 1.732
    };
    for noise_db in [-90.0_f32, -25.0, -15.0] {
        let (mut speech, mut heard, mut quiet, mut wrong) = (0, 0, 0, 0);
        for file in files.iter().step_by(8) {
            let x = read(file);
            let power = |f: &[f32]| f.iter().map(|v| v * v).sum::<f32>() / f.len() as f32;
            // Against the mean of what is loud.
            let mut levels: Vec<f32> = x.chunks(160).map(power).collect();
            let truth = levels.clone();
            levels.sort_by(f32::total_cmp);
            let loud = levels[levels.len() * 19 / 20];
            let noise = loud.sqrt() * 10_f32.powf(noise_db / 20.0);
            // Three seconds before and after in which nobody speaks.
            let pause = 3 * 16_000;
            let padded: Vec<f32> = (0..x.len() + 2 * pause)
                .map(|i| noise * hiss() + i.checked_sub(pause).and_then(|k| x.get(k)).unwrap_or(&0.0))
                .collect();
            let found = active(&padded);
            let mut ranges = Ranges::new(0.3, 8);
            found.iter().for_each(|f| ranges.add(*f));
            let ranges = ranges.finish();
            let covered = |frame: usize| {
                let t = frame as f64 / 100.0;
                ranges.iter().any(|r| (r.0..r.1).contains(&t))
            };
            // Speech is what stands 12 dB out of the noise and is within 30 dB of the loudest.
            for (i, p) in truth.iter().enumerate().filter(|(_, p)| **p > (16.0 * noise * noise).max(loud * 1e-3)) {
                speech += 1;
                heard += usize::from(covered(i + 300));
                assert!(p.is_finite());
            }
            quiet += 500;
            wrong += (10..260).chain(found.len() - 250..found.len()).filter(|i| found[*i]).count();
        }
        let (kept, false_alarms) = (heard as f64 / speech as f64, wrong as f64 / quiet as f64);
        println!("noise {noise_db} dB: {:.2} % of speech heard, {:.2} % of pauses", 100.0 * kept, 100.0 * false_alarms);
        assert!(kept > 0.99, "{kept}");
        // In the recording's own silence the pause is digital: nothing is there to be heard.
        assert!(false_alarms < 0.02, "{false_alarms}");
    }
}

#[test]
fn of_two_moving_mouths_the_one_that_is_heard_is_proposed() {
    let Some(shared) = shared() else { return };
    let (video, models) = (shared.join("data/video"), shared.join("models"));
    let clip = |name: &str| video.join(name).to_string_lossy().into_owned();
    let (left, right) = (clip("grid_g4_lbbc2a.mpg"), clip("grid_g5_lrwp9a.mpg"));
    if !models.is_dir() || !Path::new(&left).is_file() || std::env::var_os("ORT_DYLIB_PATH").is_none() {
        println!("skipped: needs ORT_DYLIB_PATH, networks in {} and clips in {}", models.display(), video.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let film = dir.path().join("two.mov");
    // Side by side, twice; first the left one's sound, then the right one's.
    let face =
        |i: usize| format!("[{i}:v]scale=360:288,setsar=1,fps=25,trim=end=3,setpts=PTS-STARTPTS,split[a{i}][b{i}];");
    let voice = |i: usize| format!("[{i}:a]aresample=44100,apad,atrim=end=3,asetpts=PTS-STARTPTS[s{i}];");
    let graph = format!(
        "{}{}[a0][a1]hstack[p];[b0][b1]hstack[q];{}{}[p][q]concat=n=2:v=1[v];[s0][s1]concat=n=2:v=0:a=1[s]",
        face(0),
        face(1),
        voice(0),
        voice(1)
    );
    let to = film.to_string_lossy().into_owned();
    let tail = ["-map", "[v]", "-map", "[s]", "-c:v", "mpeg4", "-q:v", "2", "-c:a", "pcm_s16le", &to];
    let args: Vec<&str> = ["-i", &left, "-i", &right, "-filter_complex", &graph].into_iter().chain(tail).collect();
    if !ffmpeg(&args) {
        println!("skipped: no ffmpeg to make the film with");
        return;
    }
    let run = |args: &[&str]| {
        let made = Command::new(env!("CARGO_BIN_EXE_understudy"))
            .current_dir(dir.path())
            .args(args)
            .env("UNDERSTUDY_MODELS", &models)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap()
    };
    run(&["analyse", "two.mov", "-o", "two.plan"]);
    let plan = understudy::plan::read_plan(&dir.path().join("two.plan"), Default::default()).unwrap();
    let side = |person: u64| {
        let id = plan.person(person as u32).unwrap().tracks[0];
        let sample = &plan.track(id).unwrap().samples(0, 200).unwrap()[0].1;
        if sample.rect.centre().x < 360.0 { "left" } else { "right" }
    };
    let events: Vec<serde_json::Value> = run(&["voices", "two.mov", "--plan", "two.plan", "--json"])
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .filter(|e: &serde_json::Value| e["event"] == "voice")
        .collect();
    assert!(!events.is_empty() && events.iter().all(|e| e["proposal"] == true));
    // At every tenth of a second that a range is proposed for, less what is padded at the change.
    let (mut right_ones, mut wrong_ones) = (0, 0);
    for i in (3..25).chain(35..57) {
        let t = f64::from(i) / 10.0;
        let at = |e: &&serde_json::Value| e["from_secs"].as_f64().unwrap() <= t && t < e["to_secs"].as_f64().unwrap();
        if let Some(who) = events.iter().find(at).and_then(|e| e["person"].as_u64()) {
            let wanted = if t < 3.0 { "left" } else { "right" };
            *(if side(who) == wanted { &mut right_ones } else { &mut wrong_ones }) += 1;
        }
    }
    println!("{right_ones} tenths of a second right, {wrong_ones} wrong");
    assert!(right_ones >= 25 && wrong_ones * 10 <= right_ones, "{right_ones} right, {wrong_ones} wrong: {events:?}");
    // For people it is a cast that keeps nobody.
    let text = run(&["voices", "two.mov", "--plan", "two.plan"]);
    assert!(text.starts_with("# PROPOSALS"), "{text}");
    let cast = understudy::plan::Cast::parse(&text, "cast").unwrap();
    assert!(cast.people.iter().all(|p| p.voice.as_ref().is_some_and(|v| v.style == "pseudo")));
}
