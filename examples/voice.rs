//! Bench of the voice stage for `scripts/voice`: reads lines from standard input, sound as raw little-endian `f32`.
//!
//! `voice disguise [--style pseudo|whisper] [--secret HEX]`: lines `IN OUT RATE CHANNELS`, interleaved samples; each line
//! gets its own secret unless one is given; `--noise HEX` makes renders repeatable, for tables. `voice attack`: lines `ORIGINAL OUTPUT RATE`, mono; a JSON object per line.
//! `voice shifted [--pieces]`: the same lines; is the output only shifted? A JSON object per line, or per 6 s as if they were all.
//! `voice speaker [--secs S]`: lines `SOUND RATE`, mono; the averages that describe the speaker, of the whole or of each S seconds.
//! `voice recognise [--secs S]`: lines `ORIGINAL OUTPUT RATE`, mono; is the speaker the same? Of the first S seconds of both, if S is given.
//! `voice features`: 16 kHz mono samples; per 5 ms frame the pitch in Hz (0 = unvoiced) and 28 mel cepstral coefficients.

use std::error::Error;
use std::fs;
use std::io::{BufRead, Read, Write};
use std::time::Instant;
use understudy::audio::{AudioFormat, RawAudio};
use understudy::voice::attack::{
    InverseSearch, SpeakerSearch, envelope_match, leaked_windows, speaker_averages, speaker_features,
};
use understudy::voice::features::{Feature, FeatureStream};
use understudy::voice::{ClearedAudio, Secret, SpeechAnalyser, StreamPolicy, VoiceStage, VoiceStyle};
use zeroize::Zeroizing;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    match args.first().map(String::as_str) {
        Some("disguise") => disguise(option("--style").map(String::as_str), option("--secret"), option("--noise")),
        Some("attack") => attack(),
        Some("shifted") => shifted(args.iter().any(|a| a == "--pieces")),
        Some("speaker") => speaker(option("--secs").map(|s| s.parse()).transpose()?),
        Some("recognise") => recognise(option("--secs").map(|s| s.parse()).transpose()?),
        Some("features") => features(),
        _ => Err("say `disguise`, `attack`, `shifted`, `speaker`, `recognise` or `features`".into()),
    }
}

fn samples(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// The words of every line.
fn lines() -> impl Iterator<Item = Outcome<Vec<String>>> {
    std::io::stdin().lock().lines().map(|l| Ok(l?.split_whitespace().map(str::to_owned).collect()))
}

fn disguise(style: Option<&str>, secret: Option<&String>, noise: Option<&String>) -> Outcome<()> {
    let default = if style == Some("whisper") { VoiceStyle::Whisper } else { VoiceStyle::Pseudo };
    let policy = StreamPolicy { default, ..StreamPolicy::default() };
    let (mut sounded, start) = (0.0, Instant::now());
    for line in lines() {
        let [input, output, rate, channels] = &line?[..] else { return Err("give IN OUT RATE CHANNELS".into()) };
        let (rate_hz, channels): (u32, usize) = (rate.parse()?, channels.parse()?);
        let layout_mask = if channels == 1 { 4 } else { (1 << channels) - 1 };
        let secret = match secret {
            Some(hex) => Secret::from_bytes(Zeroizing::new(bytes_from_hex(hex)?)),
            None => Secret::from_os()?,
        };
        let secret = match noise {
            Some(hex) => secret.with_noise(Zeroizing::new(bytes_from_hex(hex)?)),
            None => secret,
        };
        let all = samples(&fs::read(input)?);
        sounded += (all.len() / channels) as f64 / f64::from(rate_hz);
        let made = treat(&all, AudioFormat { rate_hz, channels, layout_mask }, &policy, &secret)?;
        fs::write(output, made.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())?;
    }
    let took = start.elapsed().as_secs_f64();
    eprintln!("{sounded:.1} s of sound in {took:.2} s: {:.4} of real time", took / sounded);
    Ok(())
}

fn treat(all: &[f32], format: AudioFormat, policy: &StreamPolicy, secret: &Secret) -> Outcome<Vec<f32>> {
    let n = format.channels;
    let blocks = all.chunks(4096 * n).enumerate().map(|(k, b)| RawAudio {
        channels: (0..n).map(|c| b.iter().skip(c).step_by(n).copied().collect()).collect(),
        start: (4096 * k) as u64,
    });
    let mut analyser = SpeechAnalyser::for_policy(format, policy)?;
    for block in blocks.clone() {
        analyser.push(&block)?;
    }
    let mut stage = VoiceStage::new(format, policy, analyser.finish()?, secret)?;
    let mut out = Vec::with_capacity(all.len());
    let mut take = |audio: ClearedAudio| {
        (0..audio.len()).for_each(|i| out.extend(audio.channels().iter().map(|c| c[i])));
        Ok(())
    };
    for block in blocks {
        stage.push(&block, &mut take)?;
    }
    stage.finish(&mut take)?;
    Ok(out)
}

fn bytes_from_hex(hex: &str) -> Outcome<[u8; 32]> {
    let digit = |i: usize| hex.get(2 * i..2 * i + 2).and_then(|d| u8::from_str_radix(d, 16).ok());
    let bytes: Option<Vec<u8>> = (0..32).map(digit).collect();
    Ok(bytes.and_then(|b| b.try_into().ok()).ok_or("--secret needs 64 hexadecimal digits")?)
}

fn attack() -> Outcome<()> {
    for line in lines() {
        let [original, output, rate] = &line?[..] else { return Err("give ORIGINAL OUTPUT RATE".into()) };
        let (a, b, rate) = (samples(&fs::read(original)?), samples(&fs::read(output)?), rate.parse()?);
        let start = Instant::now();
        let leak = leaked_windows(&a, &b, rate)?;
        let report = serde_json::json!({
            "original": original,
            "leak": leak,
            "leak_seconds": start.elapsed().as_secs_f64(),
            "envelope": envelope_match(&a, &b, rate)?,
            "original_features": speaker_features(&a, rate)?,
            "output_features": speaker_features(&b, rate)?,
        });
        println!("{report}");
    }
    Ok(())
}

fn shifted(pieces: bool) -> Outcome<()> {
    for line in lines() {
        let [original, output, rate] = &line?[..] else { return Err("give ORIGINAL OUTPUT RATE".into()) };
        let (a, b, rate): (_, _, u32) = (samples(&fs::read(original)?), samples(&fs::read(output)?), rate.parse()?);
        let length = if pieces { 6 * rate as usize } else { a.len().max(b.len()).max(1) };
        for (a, b) in a.chunks(length).zip(b.chunks(length)) {
            let mut search = InverseSearch::new(rate)?;
            a.chunks(rate as usize).zip(b.chunks(rate as usize)).try_for_each(|(a, b)| search.push(a, b))?;
            let r = search.finish()?;
            let report = serde_json::json!({
                "original": original, "pieces": r.pieces, "shifted": r.shifted, "found": r.found, "steady": r.steady,
                "semitones": r.semitones, "resonances": r.resonances,
            });
            println!("{report}");
        }
    }
    Ok(())
}

fn speaker(secs: Option<f64>) -> Outcome<()> {
    for line in lines() {
        let [sound, rate] = &line?[..] else { return Err("give SOUND RATE".into()) };
        let (x, rate): (_, u32) = (samples(&fs::read(sound)?), rate.parse()?);
        let length = secs.map_or(x.len(), |s| (s * f64::from(rate)) as usize).max(1);
        let pieces: Result<Vec<_>, _> = x.chunks(length).map(|piece| speaker_averages(piece, rate)).collect();
        let piece = |a: understudy::voice::attack::Averages| serde_json::json!({ "numbers": a.numbers, "speech_secs": a.speech_secs, "voiced_secs": a.voiced_secs });
        let pieces: Vec<_> = pieces?.into_iter().map(|a| a.map(piece)).collect();
        println!("{}", serde_json::json!({ "sound": sound, "pieces": pieces }));
    }
    Ok(())
}

fn recognise(secs: Option<f64>) -> Outcome<()> {
    for line in lines() {
        let [original, output, rate] = &line?[..] else { return Err("give ORIGINAL OUTPUT RATE".into()) };
        let (mut a, mut b, rate): (_, _, u32) =
            (samples(&fs::read(original)?), samples(&fs::read(output)?), rate.parse()?);
        let most = secs.map_or(usize::MAX, |s| (s * f64::from(rate)) as usize);
        a.truncate(most);
        b.truncate(most);
        let mut search = SpeakerSearch::new(rate, 1, 1)?;
        let second =
            |x: &'_ [f32], k: usize| x.iter().skip(k * rate as usize).take(rate as usize).copied().collect::<Vec<_>>();
        for k in 0..a.len().max(b.len()).div_ceil(rate as usize) {
            search.push(&[second(&a, k)], &[second(&b, k)])?;
        }
        let r = search.finish()?.remove(0);
        let report = serde_json::json!({
            "original": original, "output": output, "pieces": r.pieces, "near": r.near, "found": r.found, "whole": r.whole,
            "nearest": r.nearest.map(|n| n.0),
        });
        println!("{report}");
    }
    Ok(())
}

fn features() -> Outcome<()> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    let (mut stream, mut out) = (FeatureStream::new(), Vec::new());
    let mut write = |f: Feature| {
        out.extend_from_slice(&(f.f0_hz as f32).to_le_bytes());
        f.cepstrum.iter().for_each(|c| out.extend_from_slice(&(*c as f32).to_le_bytes()));
    };
    stream.push(&samples(&bytes), &mut write);
    stream.finish(&mut write);
    Ok(std::io::stdout().lock().write_all(&out)?)
}
