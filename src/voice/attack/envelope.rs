//! Does the output follow the original's loudness? Lip sync, measured.

use super::prepare::prepared;
use crate::Result;
use crate::voice::HOP;

/// Lags searched, in 5 ms steps: ± 250 ms.
const REACH: isize = 50;
/// Power added before the logarithm: what is quieter than −60 dB does not count.
const POWER_FLOOR: f64 = 1e-6;

/// Agreement of two loudness envelopes.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct EnvelopeMatch {
    /// Correlation of log energies at the best lag.
    pub correlation: f64,
    /// Delay of the output, in milliseconds; between steps by a parabola.
    pub lag_ms: f64,
}

/// Compares loudness in 5 ms steps.
///
/// # Errors
/// `Unsupported` if the rate is.
pub fn envelope_match(original: &[f32], output: &[f32], rate_hz: u32) -> Result<EnvelopeMatch> {
    let (a, b) = (envelope(&prepared(original, rate_hz)?), envelope(&prepared(output, rate_hz)?));
    let values: Vec<f64> = (-REACH..=REACH).map(|lag| correlation(&a, &b, lag)).collect();
    let best = (0..values.len()).fold(0, |m, i| if values[i] > values[m] { i } else { m });
    let mut lag = best as f64 - REACH as f64;
    if best > 0 && best + 1 < values.len() {
        let (p, q, r) = (values[best - 1], values[best], values[best + 1]);
        let bend = p - 2.0 * q + r;
        if bend.abs() > 1e-12 {
            lag += 0.5 * (p - r) / bend;
        }
    }
    Ok(EnvelopeMatch { correlation: values[best], lag_ms: 5.0 * lag })
}

fn envelope(x: &[f64]) -> Vec<f64> {
    x.chunks_exact(HOP).map(|f| (POWER_FLOOR + f.iter().map(|v| v * v).sum::<f64>() / HOP as f64).log10()).collect()
}

/// Correlation of `a[i]` with `b[i + lag]` where both exist.
fn correlation(a: &[f64], b: &[f64], lag: isize) -> f64 {
    let pair = |i: usize| i.checked_add_signed(lag).and_then(|j| Some((*a.get(i)?, *b.get(j)?)));
    let pairs: Vec<(f64, f64)> = (0..a.len()).filter_map(pair).collect();
    let n = pairs.len().max(1) as f64;
    let (ma, mb) = pairs.iter().fold((0.0, 0.0), |s, p| (s.0 + p.0 / n, s.1 + p.1 / n));
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        aa += (x - ma) * (x - ma);
        bb += (y - mb) * (y - mb);
        ab += (x - ma) * (y - mb);
    }
    if aa * bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delayed_copy_is_measured() {
        let loud = |i: usize| {
            (0.3 * (1.0 + (i as f64 * 0.0011).sin() * (i as f64 * 0.00037).cos()) * (i as f64 * 0.7).sin()) as f32
        };
        let a: Vec<f32> = (0..32000).map(loud).collect();
        let mut b = vec![0.0; 640];
        b.extend_from_slice(&a[..31360]);
        let m = envelope_match(&a, &b, 16000).unwrap();
        assert!(m.correlation > 0.98 && (m.lag_ms - 40.0).abs() < 3.0, "{m:?}");
        assert_eq!(envelope_match(&[], &[], 16000).unwrap().correlation, 0.0);
    }
}
