//! Attacks pairs of WAV-free raw sound: reads a list of `ORIGINAL OUTPUT RATE` lines (mono little-endian `f32` files)
//! from standard input and writes one JSON object per line, for `scripts/voice/error_rates.py`.

use std::io::BufRead;
use understudy::voice::attack::{envelope_match, leaked_windows, speaker_features};

fn samples(path: &str) -> std::io::Result<Vec<f32>> {
    let bytes = std::fs::read(path)?;
    Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let [original, output, rate] = line.split_whitespace().collect::<Vec<_>>()[..] else { continue };
        let (a, b, rate) = (samples(original)?, samples(output)?, rate.parse()?);
        let report = serde_json::json!({
            "original": original,
            "leak": leaked_windows(&a, &b, rate)?,
            "envelope": envelope_match(&a, &b, rate)?,
            "original_features": speaker_features(&a, rate)?,
            "output_features": speaker_features(&b, rate)?,
        });
        println!("{report}");
    }
    Ok(())
}
