//! Dumps the voice analysis of 16 kHz mono `f32` samples from standard input, for `scripts/voice/build_tables.py`.
//!
//! Output: little-endian `f32`, per 5 ms frame the pitch in Hz (0 = unvoiced) and 28 mel cepstral coefficients.

use std::io::{Read, Write};
use understudy::voice::features::FeatureStream;

fn main() -> std::io::Result<()> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    let samples: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let (mut stream, mut out) = (FeatureStream::new(), Vec::new());
    let mut write = |f: understudy::voice::features::Feature| {
        out.extend_from_slice(&(f.f0_hz as f32).to_le_bytes());
        f.cepstrum.iter().for_each(|c| out.extend_from_slice(&(*c as f32).to_le_bytes()));
    };
    stream.push(&samples, &mut write);
    stream.finish(&mut write);
    std::io::stdout().lock().write_all(&out)
}
