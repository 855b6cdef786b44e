//! Sample formats of the libraries to planar `f32` and back.

use super::ffi::{SampleFmt, SampleKind};

/// One sample from its bytes; integers are scaled so that full scale is 1. NaN and infinities become 0.
fn from_bytes(kind: SampleKind, b: &[u8]) -> f32 {
    let v = match kind {
        SampleKind::U8 => (f32::from(b[0]) - 128.0) / 128.0,
        SampleKind::S16 => f32::from(i16::from_ne_bytes([b[0], b[1]])) / 32_768.0,
        SampleKind::S32 => (f64::from(i32::from_ne_bytes([b[0], b[1], b[2], b[3]])) / 2_147_483_648.0) as f32,
        SampleKind::F32 => f32::from_ne_bytes([b[0], b[1], b[2], b[3]]),
        SampleKind::S64 => {
            let v = i64::from_ne_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
            (v as f64 / 9_223_372_036_854_775_808.0) as f32
        }
        SampleKind::F64 => f64::from_ne_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32,
    };
    if v.is_finite() { v } else { 0.0 }
}

fn write_sample(kind: SampleKind, v: f32, b: &mut [u8]) {
    let v = if v.is_finite() { v } else { 0.0 };
    match kind {
        SampleKind::U8 => b[0] = (v * 128.0 + 128.0).round() as u8,
        SampleKind::S16 => b.copy_from_slice(&((v * 32_768.0).round() as i16).to_ne_bytes()),
        SampleKind::S32 => b.copy_from_slice(&((f64::from(v) * 2_147_483_648.0).round() as i32).to_ne_bytes()),
        SampleKind::F32 => b.copy_from_slice(&v.to_ne_bytes()),
        SampleKind::S64 => b.copy_from_slice(&((f64::from(v) * 9_223_372_036_854_775_808.0) as i64).to_ne_bytes()),
        SampleKind::F64 => b.copy_from_slice(&f64::from(v).to_ne_bytes()),
    }
}

/// Appends the samples of channel `channel` to `out`. `plane` is that channel's plane, or all channels interleaved.
pub(super) fn read_channel(f: SampleFmt, plane: &[u8], channel: usize, channels: usize, out: &mut Vec<f32>) {
    let size = f.bytes();
    if f.planar {
        out.extend(plane.chunks_exact(size).map(|b| from_bytes(f.kind, b)));
    } else {
        let blocks = plane.chunks_exact(size * channels.max(1));
        out.extend(blocks.map(|b| from_bytes(f.kind, &b[channel * size..(channel + 1) * size])));
    }
}

/// Writes the samples of one channel into its plane, or into its places among the interleaved ones.
pub(super) fn write_channel(f: SampleFmt, samples: &[f32], channel: usize, channels: usize, plane: &mut [u8]) {
    let size = f.bytes();
    let (stride, first) = if f.planar { (size, 0) } else { (size * channels, channel * size) };
    for (b, v) in plane.chunks_exact_mut(stride).zip(samples) {
        write_sample(f.kind, *v, &mut b[first..first + size]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_goes_there_and_back() {
        use SampleKind::{F32, F64, S16, S32, S64, U8};
        for (kind, tolerance) in [(U8, 0.005), (S16, 4e-5), (S32, 1e-7), (S64, 1e-7), (F32, 0.0), (F64, 0.0)] {
            for planar in [false, true] {
                let f = SampleFmt { kind, planar };
                let wanted = [0.5f32, -0.25, -1.0, 0.0];
                let mut bytes = vec![0; 4 * f.bytes() * if planar { 1 } else { 3 }];
                write_channel(f, &wanted, 2, 3, &mut bytes);
                let mut back = Vec::new();
                read_channel(f, &bytes, 2, 3, &mut back);
                assert_eq!(back.len(), 4);
                assert!(wanted.iter().zip(&back).all(|(a, b)| (a - b).abs() <= tolerance), "{kind:?} {back:?}");
            }
        }
    }

    #[test]
    fn odd_numbers_are_tamed() {
        assert_eq!(from_bytes(SampleKind::F32, &f32::NAN.to_ne_bytes()), 0.0);
        assert_eq!(from_bytes(SampleKind::F64, &f64::INFINITY.to_ne_bytes()), 0.0);
        let mut b = [0; 2];
        write_sample(SampleKind::S16, 7.0, &mut b);
        assert_eq!(i16::from_ne_bytes(b), i16::MAX);
        write_sample(SampleKind::S16, f32::NAN, &mut b);
        assert_eq!(i16::from_ne_bytes(b), 0);
    }
}
