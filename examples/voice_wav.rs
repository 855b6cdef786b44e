//! Disguises the voice of WAV files: `voice_wav [--style pseudo|whisper] [--secret HEX] IN OUT [IN OUT]...`.
//!
//! For measuring. Reads 16-bit PCM, writes 16-bit PCM. Each pair gets its own secret unless one is given.

use std::error::Error;
use std::fs;
use understudy::audio::{AudioFormat, RawAudio};
use understudy::voice::{ClearedAudio, Secret, SpeechAnalyser, StreamPolicy, VoiceStage, VoiceStyle};
use zeroize::Zeroizing;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let mut policy = StreamPolicy::default();
    let (mut fixed, mut files) = (None, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--style" if args.next().as_deref() == Some("whisper") => policy.default = VoiceStyle::Whisper,
            "--style" => {}
            "--secret" => fixed = Some(bytes_from_hex(&args.next().unwrap_or_default())?),
            _ => files.push(arg),
        }
    }
    for pair in files.chunks_exact(2) {
        let secret = match &fixed {
            Some(bytes) => Secret::from_bytes(Zeroizing::new(*bytes)),
            None => Secret::from_os()?,
        };
        treat(&pair[0], &pair[1], &policy, &secret)?;
    }
    Ok(())
}

fn treat(input: &str, output: &str, policy: &StreamPolicy, secret: &Secret) -> Outcome<()> {
    let (format, channels) = read_wav(&fs::read(input)?)?;
    let len = channels[0].len();
    let blocks = (0..len).step_by(4096).map(|start| {
        let end = (start + 4096).min(len);
        RawAudio { channels: channels.iter().map(|c| c[start..end].to_vec()).collect(), start: start as u64 }
    });
    let mut analyser = SpeechAnalyser::for_policy(format, policy)?;
    for block in blocks.clone() {
        analyser.push(&block)?;
    }
    let mut stage = VoiceStage::new(format, policy, analyser.finish()?, secret)?;
    let mut out = vec![Vec::with_capacity(len); format.channels];
    let mut take = |audio: ClearedAudio| {
        out.iter_mut().zip(audio.channels()).for_each(|(o, c)| o.extend_from_slice(c));
        Ok(())
    };
    for block in blocks {
        stage.push(&block, &mut take)?;
    }
    stage.finish(&mut take)?;
    for finding in stage.recorded_findings() {
        eprintln!("{finding}");
    }
    fs::write(output, wav(format, &out))?;
    Ok(())
}

fn bytes_from_hex(hex: &str) -> Outcome<[u8; 32]> {
    let digit = |i: usize| hex.get(2 * i..2 * i + 2).and_then(|d| u8::from_str_radix(d, 16).ok());
    let bytes: Option<Vec<u8>> = (0..32).map(digit).collect();
    Ok(bytes.and_then(|b| b.try_into().ok()).ok_or("--secret needs 64 hexadecimal digits")?)
}

fn read_wav(bytes: &[u8]) -> Outcome<(AudioFormat, Vec<Vec<f32>>)> {
    let word = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let (mut at, mut format) = (12, None);
    while let (Some(id), Some(size)) = (bytes.get(at..at + 4), word(at + 4)) {
        let body = &bytes[at + 8..bytes.len().min((at + 8).saturating_add(size as usize))];
        if id == b"fmt " && body.len() >= 16 {
            let (channels, bits) = (usize::from(body[2]), body[14]);
            if bits != 16 || channels == 0 {
                return Err("only 16-bit PCM is read here".into());
            }
            let rate_hz = u32::from_le_bytes([body[4], body[5], body[6], body[7]]);
            let layout_mask = if channels == 1 { 4 } else { (1 << channels) - 1 };
            format = Some(AudioFormat { rate_hz, channels, layout_mask });
        } else if let (b"data", Some(format)) = (id, format) {
            let value = |b: &[u8]| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32768.0;
            let all: Vec<f32> = body.chunks_exact(2).map(value).collect();
            let pick = |c: usize| all.iter().skip(c).step_by(format.channels).copied().collect();
            return Ok((format, (0..format.channels).map(pick).collect()));
        }
        at += 8 + size as usize + (size as usize & 1);
    }
    Err("no sound found in the WAV file".into())
}

fn wav(format: AudioFormat, channels: &[Vec<f32>]) -> Vec<u8> {
    let (count, frame) = (channels[0].len(), 2 * format.channels);
    let data = (count * frame) as u32;
    let mut out = Vec::with_capacity(44 + data as usize);
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&(36 + data).to_le_bytes());
    out.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0");
    out.extend_from_slice(&(format.channels as u16).to_le_bytes());
    out.extend_from_slice(&format.rate_hz.to_le_bytes());
    out.extend_from_slice(&(format.rate_hz * frame as u32).to_le_bytes());
    out.extend_from_slice(&(frame as u16).to_le_bytes());
    out.extend_from_slice(b"\x10\0data");
    out.extend_from_slice(&data.to_le_bytes());
    for i in 0..count {
        for c in channels {
            out.extend_from_slice(&((c[i] * 32767.0).round() as i16).to_le_bytes());
        }
    }
    out
}
