//! The voice stage on synthetic voices: lengths, ranges, channels, erasure.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use understudy::Result;
use understudy::audio::{AudioFormat, RawAudio};
use understudy::voice::attack::{envelope_match, leaked_windows};
use understudy::voice::cepstrum::ORDER;
use understudy::voice::features::FeatureStream;
use understudy::voice::{
    ActorTrack, ClearedAudio, Secret, SpeechAnalyser, StreamPolicy, VoiceFinding, VoiceStage, VoiceStyle,
};
use zeroize::Zeroizing;

/// A made-up talker: vowels, hisses and pauses.
#[derive(Clone, Copy)]
struct Talker {
    f0_hz: f64,
    /// Factor on all formants.
    tract: f64,
    /// Spectral tilt over the whole band, dB.
    tilt_db: f64,
    gain: f64,
}

const PLAIN: Talker = Talker { f0_hz: 130.0, tract: 1.0, tilt_db: 0.0, gain: 0.2 };
/// First three formants of six vowels, Hz (G. Peterson & H. Barney, *JASA* 24, 1952, table II, men).
const VOWELS: [[f64; 3]; 6] = [
    [270.0, 2290.0, 3010.0],
    [530.0, 1840.0, 2480.0],
    [730.0, 1090.0, 2440.0],
    [570.0, 840.0, 2410.0],
    [300.0, 870.0, 2240.0],
    [490.0, 1350.0, 1690.0],
];

struct Lcg(u64);

impl Lcg {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1_u64 << 31) as f64
    }
}

/// Speech-like sound: `secs` seconds at `rate` Hz. The same words for every talker.
fn talk(who: Talker, secs: f64, rate: u32) -> Vec<f32> {
    let (mut words, mut air) = (Lcg(7), Lcg(99));
    let n = (secs * f64::from(rate)) as usize;
    let mut out = vec![0.0_f64; n];
    let mut at = 0;
    while at < n {
        let length = ((0.08 + 0.14 * words.next()) * f64::from(rate)) as usize;
        let (kind, vowel, melody) = (words.next(), (words.next() * 6.0) as usize, 0.3 * words.next() - 0.15);
        let end = (at + length).min(n);
        if kind < 0.6 {
            sing(who, VOWELS[vowel.min(5)], melody, rate, &mut out[at..end]);
        } else if kind < 0.8 {
            hiss(who, 2500.0 + 900.0 * vowel as f64 / 2.0, rate, &mut out[at..end], &mut air);
        }
        at = end;
    }
    tilt(&mut out, who.tilt_db, rate);
    out.iter().map(|x| (x * who.gain + 1e-4 * who.gain * (air.next() - 0.5)) as f32).collect()
}

fn resonate(x: &mut [f64], hz: f64, width: f64, rate: u32) {
    let r = (-std::f64::consts::PI * width / f64::from(rate)).exp();
    let (a, b) = (2.0 * r * (std::f64::consts::TAU * hz / f64::from(rate)).cos(), -r * r);
    let (mut y1, mut y2) = (0.0, 0.0);
    for v in x {
        let y = *v * (1.0 - a - b) + a * y1 + b * y2;
        y2 = y1;
        y1 = y;
        *v = y;
    }
}

fn shape(out: &mut [f64]) {
    let n = out.len() as f64;
    out.iter_mut().enumerate().for_each(|(i, v)| *v *= (std::f64::consts::PI * (i as f64 + 0.5) / n).sin().sqrt());
}

fn sing(who: Talker, formants: [f64; 3], melody: f64, rate: u32, out: &mut [f64]) {
    let mut phase = 0.0;
    for (i, v) in out.iter_mut().enumerate() {
        let bend = melody * (i as f64 / f64::from(rate) * 12.0).sin();
        phase += who.f0_hz * bend.exp() / f64::from(rate);
        if phase >= 1.0 {
            phase -= 1.0;
            *v = 6.0;
        }
    }
    for (f, w) in formants.iter().chain(&[3500.0, 4500.0]).zip([70.0, 90.0, 130.0, 200.0, 250.0]) {
        resonate(out, f * who.tract, w, rate);
    }
    shape(out);
    let peak = out.iter().fold(1e-9_f64, |m, v| m.max(v.abs()));
    out.iter_mut().for_each(|v| *v /= peak);
}

fn hiss(who: Talker, hz: f64, rate: u32, out: &mut [f64], air: &mut Lcg) {
    out.iter_mut().for_each(|v| *v = air.next() - 0.5);
    resonate(out, (hz * who.tract).min(0.45 * f64::from(rate)), 700.0, rate);
    shape(out);
    let peak = out.iter().fold(1e-9_f64, |m, v| m.max(v.abs()));
    out.iter_mut().for_each(|v| *v *= 0.15 / peak);
}

/// First-order shelf around 1.5 kHz, `db` between low and high frequencies.
fn tilt(x: &mut [f64], db: f64, rate: u32) {
    let (g, k) = (10_f64.powf(db / 20.0), (std::f64::consts::PI * 1500.0 / f64::from(rate)).tan());
    let (mut low, c) = (0.0, 2.0 * k / (1.0 + k));
    for v in x {
        low += c.min(1.0) * (*v - low);
        *v = low + g * (*v - low);
    }
}

fn format(rate_hz: u32, channels: usize) -> AudioFormat {
    let layout_mask = match channels {
        1 => 4,
        n => (1 << n) - 1,
    };
    AudioFormat { rate_hz, channels, layout_mask }
}

fn secret(n: u8) -> Secret {
    Secret::from_bytes(Zeroizing::new([n; 32]))
}

struct Rendered {
    channels: Vec<Vec<f32>>,
    findings: Vec<VoiceFinding>,
}

fn render(channels: &[Vec<f32>], rate: u32, policy: &StreamPolicy, secret: &Secret, block: usize) -> Result<Rendered> {
    let format = format(rate, channels.len());
    let len = channels[0].len();
    let blocks = || {
        (0..len).step_by(block).map(move |start| RawAudio {
            channels: channels.iter().map(|c| c[start..(start + block).min(len)].to_vec()).collect(),
            start: start as u64,
        })
    };
    let mut analyser = SpeechAnalyser::for_policy(format, policy)?;
    for b in blocks() {
        analyser.push(&b)?;
    }
    let mut stage = VoiceStage::new(format, policy, analyser.finish()?, secret)?;
    let mut out = vec![Vec::new(); channels.len()];
    let mut take = |audio: ClearedAudio| {
        assert_eq!(audio.start() as usize, out[0].len(), "blocks are contiguous");
        out.iter_mut().zip(audio.channels()).for_each(|(o, c)| o.extend_from_slice(c));
        Ok(())
    };
    for b in blocks() {
        stage.push(&b, &mut take)?;
    }
    stage.finish(&mut take)?;
    assert!(stage.finish(&mut |_| Ok(())).is_err(), "a finished stage refuses more");
    assert!(out.iter().all(|c| c.len() == len), "as many samples out as in");
    assert!(out.iter().flatten().all(|x| x.is_finite() && x.abs() <= 1.0));
    Ok(Rendered { channels: out, findings: stage.recorded_findings() })
}

fn mono(x: &[f32], rate: u32, seed: u8) -> Vec<f32> {
    render(&[x.to_vec()], rate, &StreamPolicy::default(), &secret(seed), 4096).unwrap().channels.remove(0)
}

fn rms(x: &[f32]) -> f64 {
    (x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / x.len().max(1) as f64).sqrt()
}

/// Largest normalised correlation over all lags of ± half a second.
fn cross_correlation(a: &[f32], b: &[f32]) -> f64 {
    let norm = rms(a) * rms(b) * a.len().min(b.len()) as f64;
    let dot = |lag: isize| -> f64 {
        let (a, b) = if lag < 0 { (&a[lag.unsigned_abs()..], b) } else { (a, &b[lag as usize..]) };
        a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum()
    };
    (-8000..=8000).map(|lag| dot(lag).abs() / norm).fold(0.0, f64::max)
}

/// Mean and spread of the cepstrum of loud voiced frames, and the median pitch.
fn portrait(x: &[f32]) -> ([f64; ORDER], [f64; ORDER], f64) {
    let (mut stream, mut all) = (FeatureStream::new(), Vec::new());
    stream.push(x, &mut |f| all.push(f));
    stream.finish(&mut |f| all.push(f));
    let mut voiced: Vec<_> = all.into_iter().filter(|f| f.f0_hz > 0.0).collect();
    voiced.sort_by(|a, b| b.level().total_cmp(&a.level()));
    voiced.truncate(voiced.len() * 8 / 10);
    let n = voiced.len() as f64;
    let mean: [f64; ORDER] = std::array::from_fn(|k| voiced.iter().map(|f| f.cepstrum[k]).sum::<f64>() / n);
    let sd =
        std::array::from_fn(|k| (voiced.iter().map(|f| (f.cepstrum[k] - mean[k]).powi(2)).sum::<f64>() / n).sqrt());
    let mut pitch: Vec<f64> = voiced.iter().map(|f| f.f0_hz).collect();
    pitch.sort_by(f64::total_cmp);
    (mean, sd, pitch[pitch.len() / 2])
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    (a.iter().zip(b).skip(1).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / (a.len() - 1) as f64).sqrt()
}

#[test]
fn nothing_of_the_waveform_is_left_and_loudness_follows() {
    let x = talk(PLAIN, 12.0, 16000);
    let y = mono(&x, 16000, 1);
    let report = leaked_windows(&x, &y, 16000).unwrap();
    assert!(report.windows > 800 && report.leaked == 0, "{report:?}");
    assert!(report.mixed_in < 0.35, "{report:?}");
    assert!(cross_correlation(&x, &y) < 0.1);
    let envelope = envelope_match(&x, &y, 16000).unwrap();
    assert!(envelope.correlation > 0.5 && envelope.lag_ms.abs() < 25.0, "{envelope:?}");
}

#[test]
fn two_renders_differ_but_one_secret_is_one_voice() {
    let x = talk(PLAIN, 10.0, 16000);
    let (a, b, other) = (mono(&x, 16000, 3), mono(&x, 16000, 3), mono(&x, 16000, 4));
    assert_ne!(a, b);
    assert!(cross_correlation(&a, &b) < 0.5);
    let ((ma, _, fa), (mb, _, fb), (mo, _, fo)) = (portrait(&a), portrait(&b), portrait(&other));
    assert!((fa / fb).ln().abs() < 0.03, "{fa} {fb}");
    let (same, different) = (distance(&ma, &mb), distance(&ma, &mo));
    assert!(same < 0.5 * different || (fa / fo).ln().abs() > 0.1, "{same} {different}");
}

/// The cheapest strong test: a method that shifts instead of erasing lets these changes through.
#[test]
fn tilt_gain_tract_and_pitch_of_the_source_do_not_reach_the_output() {
    let sources = [
        PLAIN,
        Talker { tilt_db: 6.0, ..PLAIN },
        Talker { tilt_db: -6.0, ..PLAIN },
        Talker { gain: 0.02, ..PLAIN },
        Talker { tract: 1.08, ..PLAIN },
        Talker { tract: 0.92, ..PLAIN },
        Talker { f0_hz: 130.0 * 2_f64.powf(4.0 / 12.0), ..PLAIN },
        Talker { f0_hz: 130.0 / 2_f64.powf(4.0 / 12.0), ..PLAIN },
    ];
    // A secret whose voice is far from every source, so that no source makes it be drawn again.
    let voices: Vec<_> = sources
        .iter()
        .map(|s| {
            let x = talk(*s, 24.0, 16000);
            let y = mono(&x, 16000, FAR_SECRET);
            (portrait(&x), portrait(&y), rms(&y))
        })
        .collect();
    // Of all sources: one render's level is chance to about a decibel.
    let level = voices.iter().map(|v| v.2.log10()).sum::<f64>() / voices.len() as f64;
    for (i, (input, output, loudness)) in voices.iter().enumerate().skip(1) {
        let (before, after) = (distance(&input.0, &voices[0].0.0), distance(&output.0, &voices[0].1.0));
        let spread = distance(&output.1, &voices[0].1.1);
        let pitch = 12.0 * (output.2 / voices[0].1.2).log2().abs();
        println!(
            "source {i}: mean {before:.2} -> {after:.2}, spread {spread:.2}, pitch {pitch:.2} st, level {loudness:.4}"
        );
        assert!(after < 0.9, "source {i}: output mean moved by {after}");
        assert!(spread < 0.6, "source {i}: output spread moved by {spread}");
        assert!(pitch < 0.8, "source {i}: output pitch moved by {pitch} semitones");
        assert!((loudness.log10() - level).abs() < 0.085, "source {i}: loudness {loudness}");
    }
}

const FAR_SECRET: u8 = 5;

#[test]
fn kept_ranges_pass_exactly_and_hold_no_protected_speech() {
    let x = talk(PLAIN, 8.0, 48000);
    let policy = StreamPolicy {
        ranges: vec![(2.0, 3.0, VoiceStyle::Keep), (5.0, 6.0, VoiceStyle::Silence)],
        ..StreamPolicy::default()
    };
    let y = render(std::slice::from_ref(&x), 48000, &policy, &secret(1), 5000).unwrap().channels.remove(0);
    assert_eq!(y[96_960..143_040], x[96_960..143_040], "kept after the fade");
    assert!(y[96_001] != x[96_001]);
    assert_eq!(rms(&y[240_960..287_040]), 0.0, "silent after the fade");
    let outside: Vec<f32> = [&y[..96_000], &vec![0.0; 48_000][..], &y[144_000..]].concat();
    let report = leaked_windows(&x, &outside, 48000).unwrap();
    assert_eq!(report.leaked, 0, "{report:?}");
    // The recorded speech within the fade is scaled down, never up.
    for i in 0..960 {
        let kept = f64::from(x[96_000 + i]) * i as f64 / 960.0;
        let voice_at_most = 1.0 - i as f64 / 960.0;
        assert!((f64::from(y[96_000 + i]) - kept).abs() <= voice_at_most + 1e-6);
    }
}

#[test]
fn a_kept_microphone_is_untouched_and_not_heard_in_the_other() {
    let (a, b) = (talk(PLAIN, 6.0, 48000), talk(Talker { f0_hz: 200.0, ..PLAIN }, 6.0, 48000));
    let shifted: Vec<f32> = b.iter().skip(12_345).chain(&b[..12_345]).copied().collect();
    let policy = StreamPolicy { channels: vec![(0, VoiceStyle::Keep)], ..StreamPolicy::default() };
    let y = render(&[a.clone(), shifted.clone()], 48000, &policy, &secret(2), 4096).unwrap().channels;
    assert_eq!(y[0], a);
    assert_eq!(leaked_windows(&shifted, &y[1], 48000).unwrap().leaked, 0);
    assert!(rms(&y[1]) > 0.005);
}

#[test]
fn surround_gets_the_voice_in_the_centre_and_noise_elsewhere() {
    let x = talk(PLAIN, 4.0, 48000);
    let six = vec![x.clone(), x.clone(), x.clone(), x.clone(), x.clone(), x.clone()];
    let y = render(&six, 48000, &StreamPolicy::default(), &secret(2), 3000).unwrap().channels;
    assert!(rms(&y[2]) > 0.005);
    for c in [0, 1, 4, 5] {
        let level = rms(&y[c]);
        assert!(level > 1e-6 && level < 1e-3, "channel {c}: {level}");
    }
    assert_eq!(rms(&y[3]), 0.0);
    let stereo = render(&six[..2], 48000, &StreamPolicy::default(), &secret(2), 3000).unwrap().channels;
    assert!((rms(&stereo[0]) / rms(&stereo[1]) - 1.0).abs() < 0.01);
}

#[test]
fn whisper_has_no_pitch() {
    let x = talk(PLAIN, 6.0, 16000);
    let policy = StreamPolicy { default: VoiceStyle::Whisper, ..StreamPolicy::default() };
    let y = render(std::slice::from_ref(&x), 16000, &policy, &secret(9), 4096).unwrap().channels.remove(0);
    let voiced = |x: &[f32]| {
        let (mut stream, mut n) = (FeatureStream::new(), 0);
        stream.push(x, &mut |f| n += usize::from(f.f0_hz > 0.0));
        n
    };
    assert!(voiced(&y) * 10 < voiced(&x), "{} {}", voiced(&y), voiced(&x));
}

/// Styles of single channels, with actors.
fn performed(x: &[f32], policy: &StreamPolicy, actors: Vec<(u16, ActorTrack)>) -> Rendered {
    let format = format(16000, 1);
    let block = RawAudio { channels: vec![x.to_vec()], start: 0 };
    let mut analyser = SpeechAnalyser::for_policy(format, policy).unwrap();
    analyser.push(&block).unwrap();
    let mut stage =
        VoiceStage::new(format, policy, analyser.finish().unwrap(), &secret(3)).unwrap().with_actors(actors);
    let mut out = Vec::new();
    let mut take = |audio: ClearedAudio| {
        out.extend_from_slice(&audio.channels()[0]);
        Ok(())
    };
    stage.push(&block, &mut take).unwrap();
    stage.finish(&mut take).unwrap();
    Rendered { channels: vec![out], findings: stage.recorded_findings() }
}

#[test]
fn a_shifted_voice_keeps_its_speaker_and_says_that_it_is_no_protection() {
    let x = talk(PLAIN, 24.0, 16000);
    let style = |cents| VoiceStyle::Pitch { cents, formants: false };
    let (mean, _, pitch) = portrait(&x);
    for cents in [-500, 400] {
        let policy = StreamPolicy { default: style(cents), ..StreamPolicy::default() };
        let r = performed(&x, &policy, vec![]);
        assert!(r.findings.contains(&VoiceFinding::PitchOnly), "{:?}", r.findings);
        assert!(VoiceFinding::PitchOnly.to_string().contains("NO PROTECTION"));
        let (shifted, _, moved) = portrait(&r.channels[0]);
        let semitones = 1200.0 * (moved / pitch).log2();
        assert!((semitones - f64::from(cents)).abs() < 100.0, "{cents} {semitones}");
        let erased = distance(&portrait(&mono(&x, 16000, 3)).0, &mean);
        assert!(distance(&shifted, &mean) < 0.7 * erased, "{} {erased}", distance(&shifted, &mean));
    }
    // Where a disguised person may speak too, the whole stream is disguised.
    let policy = StreamPolicy { channels: vec![(0, style(400)), (0, VoiceStyle::Pseudo)], ..StreamPolicy::default() };
    assert!(!performed(&x, &policy, vec![]).findings.contains(&VoiceFinding::PitchOnly));
}

#[test]
fn an_actor_is_heard_where_the_cast_says_and_nowhere_else() {
    let x = talk(PLAIN, 6.0, 16000);
    let actor: Vec<f32> = (0..96_000).map(|i| 0.2 * (i as f32 * 0.05).sin()).collect();
    let policy = StreamPolicy { ranges: vec![(2.0, 4.0, VoiceStyle::Replace(7))], ..StreamPolicy::default() };
    let track = |x: Vec<f32>| {
        let mut left = x.into_iter();
        Box::new(move |n| Ok(left.by_ref().take(n).collect())) as ActorTrack
    };
    let r = performed(&x, &policy, vec![(7, track(actor.clone()))]);
    let y = &r.channels[0];
    assert_eq!(y[32_400..63_600], actor[32_400..63_600], "the actor after the fade");
    assert!(cross_correlation(&y[..32_000], &actor[..32_000]) < 0.3 && rms(&y[..32_000]) > 0.005);
    assert!(r.findings.contains(&VoiceFinding::Replaced));
    assert_eq!(leaked_windows(&x, y, 16000).unwrap().leaked, 0);
    // A short track, another's track, and none at all leave silence, never the voice.
    for actors in [vec![(7, track(vec![]))], vec![(1, track(actor))], vec![]] {
        assert_eq!(rms(&performed(&x, &policy, actors).channels[0][32_400..63_600]), 0.0);
    }
}

#[test]
fn every_layout_from_mono_to_seven_one_is_disguised() {
    let x = talk(PLAIN, 2.0, 48000);
    for channels in 1..=8 {
        let all: Vec<Vec<f32>> = (0..channels).map(|c| x.iter().map(|v| v / (c + 1) as f32).collect()).collect();
        let y = render(&all, 48000, &StreamPolicy::default(), &secret(2), 4096).unwrap().channels;
        assert!(y.iter().any(|c| rms(c) > 0.002), "{channels}");
        for c in &y {
            assert_eq!(leaked_windows(&x, c, 48000).unwrap().leaked, 0, "{channels}");
        }
    }
}

#[test]
fn music_and_pieces_of_200_ms_come_out_as_long_as_they_were() {
    let chord = |rate: u32, secs: f64| -> Vec<f32> {
        let tone = |i: usize, hz: f64| (std::f64::consts::TAU * hz * i as f64 / f64::from(rate)).sin();
        let n = (secs * f64::from(rate)) as usize;
        (0..n).map(|i| (0.1 * (tone(i, 220.0) + tone(i, 277.2) + tone(i, 329.6))) as f32).collect()
    };
    for rate in [8000, 16_000, 44_100, 48_000, 96_000] {
        mono(&chord(rate, 0.2), rate, 1);
        mono(&talk(PLAIN, 0.2, rate), rate, 1);
    }
    let x = chord(48_000, 30.0);
    let r = render(std::slice::from_ref(&x), 48_000, &StreamPolicy::default(), &secret(1), 4096).unwrap();
    assert_eq!(leaked_windows(&x, &r.channels[0], 48_000).unwrap().leaked, 0);
}

#[test]
fn odd_inputs_give_their_length_back() {
    for rate in [8000, 11_025, 22_050, 44_100, 96_000, 192_000] {
        let x = talk(PLAIN, 1.5, rate);
        assert!(rms(&mono(&x, rate, 1)) > 1e-4, "{rate}");
    }
    for n in [0, 1, 79, 80, 3200] {
        assert_eq!(mono(&talk(PLAIN, 1.0, 16000)[..n], 16000, 1).len(), n);
    }
    let clipped: Vec<f32> = talk(PLAIN, 3.0, 48000).iter().map(|x| x * 40.0).collect();
    mono(&clipped, 48000, 1);
    let mut broken = talk(PLAIN, 3.0, 48000);
    broken.iter_mut().step_by(977).for_each(|x| *x = f32::NAN);
    broken[5] = f32::INFINITY;
    broken[6] = f32::MAX;
    mono(&broken, 48000, 1);
}

#[test]
fn silence_stays_quiet_and_is_reported() {
    let r = render(&[vec![0.0; 48_000]], 48000, &StreamPolicy::default(), &secret(1), 4096).unwrap();
    assert_eq!(r.findings, vec![VoiceFinding::NoSpeech]);
    assert!(rms(&r.channels[0]) < 0.02);
    let short = render(&[talk(PLAIN, 3.0, 16000)], 16000, &StreamPolicy::default(), &secret(1), 4096).unwrap();
    assert!(matches!(short.findings[..], [VoiceFinding::LittleSpeech { secs: 1..=3 }]), "{:?}", short.findings);
    let long = render(&[talk(PLAIN, 60.0, 16000)], 16000, &StreamPolicy::default(), &secret(1), 4096).unwrap();
    assert!(long.findings.is_empty(), "{:?}", long.findings);
}

#[test]
fn loudness_is_constant_whatever_the_source() {
    let levels: Vec<f64> = [0.02, 0.2, 1.5]
        .map(|gain| rms(&mono(&talk(Talker { gain, ..PLAIN }, 12.0, 16000), 16000, FAR_SECRET)))
        .to_vec();
    assert!(levels.iter().all(|l| (l / levels[0]).log10().abs() < 0.1), "{levels:?}");
    assert!((0.01..0.15).contains(&levels[0]), "{levels:?}");
}

#[test]
fn errors_stop_the_stage_for_good() {
    let format = format(48000, 2);
    let stats = SpeechAnalyser::new(format).unwrap().finish().unwrap();
    let mut stage = VoiceStage::new(format, &StreamPolicy::default(), stats, &secret(1)).unwrap();
    let good = RawAudio { channels: vec![vec![0.1; 100]; 2], start: 0 };
    let uneven = RawAudio { channels: vec![vec![0.1; 100], vec![0.1; 99]], start: 0 };
    assert!(stage.push(&uneven, &mut |_| Ok(())).is_err());
    assert!(stage.push(&good, &mut |_| Ok(())).is_err());
    assert!(stage.finish(&mut |_| Ok(())).is_err());
    let mut analyser = SpeechAnalyser::new(format).unwrap();
    assert!(analyser.push(&RawAudio { start: 5, ..good }).is_err());
    for (rate, channels) in [(0, 1), (1000, 1), (48000, 0), (48000, 65)] {
        assert!(SpeechAnalyser::new(AudioFormat { rate_hz: rate, channels, layout_mask: 0 }).is_err());
    }
}

#[test]
fn block_sizes_do_not_matter_for_the_length() {
    let x = talk(PLAIN, 1.0, 44100);
    for block in [1000, 44_100, 77] {
        render(std::slice::from_ref(&x), 44100, &StreamPolicy::default(), &secret(1), block).unwrap();
    }
}
