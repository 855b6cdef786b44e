//! Sounds for tests.

/// A second of decaying pulses at `f0` Hz, 16 kHz.
pub(super) fn pulse_train(f0: f64) -> Vec<f64> {
    let mut x = vec![0.0; 16000];
    let mut t = 0.0;
    while t < 15990.0 {
        for k in 0..10 {
            x[t as usize + k] += (-0.3 * k as f64).exp() * (0.9 * k as f64).cos();
        }
        t += 16000.0 / f0;
    }
    x
}

/// A second of white noise.
pub(super) fn noise() -> Vec<f64> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f64 / (1_u64 << 24) as f64 - 0.5
    };
    (0..16000).map(|_| next()).collect()
}

/// Share of pitches within `tolerance` of `f0`.
pub(super) fn share_near(pitches: &[f64], f0: f64, tolerance: f64) -> f64 {
    pitches.iter().filter(|v| (*v / f0 - 1.0).abs() < tolerance).count() as f64 / pitches.len() as f64
}
