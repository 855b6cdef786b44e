//! Cost of the voice stage per second of sound: both passes with rate conversion, the listening for bleed, the search for
//! raw voice. Criterion's throughput is in samples; 48 000 a second are real time.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use understudy::Result;
use understudy::audio::{AudioFormat, RawAudio};
use understudy::voice::activity::Activity;
use understudy::voice::attack::leaked_windows;
use understudy::voice::{Secret, SpeechAnalyser, StreamPolicy, VoiceStage};

const RATE: u32 = 48_000;
/// Long enough that what is done once per stream does not count.
const SECS: usize = 60;
const BLOCK: usize = 4096;

/// Pulses through a slowly moving resonance, hiss, and a pause every second: costs what speech costs.
fn talk() -> Vec<f32> {
    let (mut phase, mut y1, mut y2, mut seed) = (0.0_f64, 0.0_f64, 0.0_f64, 7_u64);
    (0..SECS * RATE as usize)
        .map(|i| {
            let t = i as f64 / f64::from(RATE);
            phase += (120.0 + 25.0 * (t * 3.0).sin()) / f64::from(RATE);
            let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
            phase %= 1.0;
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let hiss = (seed >> 40) as f64 / f64::from(1_u32 << 24) - 0.5;
            let input = match t.fract() {
                f if f < 0.65 => pulse,
                f if f < 0.8 => 0.05 * hiss,
                _ => 0.0,
            };
            let turn = std::f64::consts::TAU * (600.0 + 350.0 * (t * 7.0).sin()) / f64::from(RATE);
            let y = input + 1.98 * turn.cos() * y1 - 0.9801 * y2;
            (y2, y1) = (y1, y);
            (0.05 * y + 1e-4 * hiss) as f32
        })
        .collect()
}

fn blocks(sound: &[f32]) -> impl Iterator<Item = RawAudio> {
    sound.chunks(BLOCK).enumerate().map(|(i, c)| RawAudio { channels: vec![c.to_vec()], start: (i * BLOCK) as u64 })
}

/// Both passes; returns the number of samples made.
fn disguise(sound: &[f32], secret: &Secret) -> Result<usize> {
    let format = AudioFormat { rate_hz: RATE, channels: 1, layout_mask: 4 };
    let mut analyser = SpeechAnalyser::new(format)?;
    for block in blocks(sound) {
        analyser.push(&block)?;
    }
    let mut stage = VoiceStage::new(format, &StreamPolicy::default(), analyser.finish()?, secret)?;
    let mut samples = 0;
    let mut count = |audio: understudy::voice::ClearedAudio| {
        samples += audio.len();
        Ok(())
    };
    for block in blocks(sound) {
        stage.push(&block, &mut count)?;
    }
    stage.finish(&mut count)?;
    Ok(samples)
}

fn bench(c: &mut Criterion) {
    let sound = talk();
    let Ok(secret) = Secret::from_os() else { return };
    let mut group = c.benchmark_group(format!("{SECS} s at 48 kHz mono"));
    group.sample_size(10);
    group.throughput(Throughput::Elements(sound.len() as u64));
    group.bench_function("disguise, both passes", |b| b.iter(|| disguise(black_box(&sound), &secret)));
    group.bench_function("listening for bleed", |b| {
        b.iter(|| {
            let (mut active, mut activity) = (0_u64, Activity::new(RATE));
            activity.push(black_box(&sound), &mut |h| active += u64::from(h.active));
            activity.finish(&mut |h| active += u64::from(h.active));
            active
        });
    });
    let piece = &sound[..SECS / 6 * RATE as usize];
    group.throughput(Throughput::Elements(piece.len() as u64));
    group.bench_function("search for raw voice, a sixth of it", |b| {
        b.iter(|| leaked_windows(black_box(piece), piece, RATE))
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
