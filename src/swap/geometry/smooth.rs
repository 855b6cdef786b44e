//! Smoothing in time without delay.

/// Lowest cut-off in hertz: how calm a still face is.
const MIN_CUTOFF_HZ: f32 = 2.0;
/// Hertz per face width a second by which the cut-off rises: how fast a moving face is followed.
const BETA: f32 = 12.0;
/// Cut-off of the speed estimate in hertz.
const SPEED_CUTOFF_HZ: f32 = 1.0;

/// Smooths a run of consecutive meshes in place: a One-Euro filter forwards and one backwards, averaged, so that
/// nothing lags. `width` is the face width in the points' unit; `haste` multiplies each vertex' cut-off.
///
/// Casiez, Roussel, Vogel, *1 € Filter*, CHI 2012, with the speed taken per point in face widths a second.
pub(crate) fn zero_phase(run: &mut [Vec<[f32; 3]>], fps: f64, width: f32, haste: &[f32]) {
    if run.len() < 3 {
        return;
    }
    let forward = pass(run.iter(), run.len(), fps, width, haste);
    let mut backward = pass(run.iter().rev(), run.len(), fps, width, haste);
    backward.reverse();
    for ((out, f), b) in run.iter_mut().zip(&forward).zip(&backward) {
        for ((o, f), b) in out.iter_mut().zip(f).zip(b) {
            *o = std::array::from_fn(|k| 0.5 * (f[k] + b[k]));
        }
    }
}

fn pass<'a>(
    frames: impl Iterator<Item = &'a Vec<[f32; 3]>>,
    len: usize,
    fps: f64,
    width: f32,
    haste: &[f32],
) -> Vec<Vec<[f32; 3]>> {
    let tau = std::f32::consts::TAU;
    let rate = (fps as f32).clamp(1.0, 1000.0);
    let width = width.max(1e-3);
    let share = |cutoff: f32| 1.0 / (1.0 + rate / (tau * cutoff));
    let speed_share = share(SPEED_CUTOFF_HZ);
    let mut out: Vec<Vec<[f32; 3]>> = Vec::with_capacity(len);
    let mut speed: Vec<[f32; 3]> = Vec::new();
    for frame in frames {
        let Some(last) = out.last() else {
            speed = vec![[0.0; 3]; frame.len()];
            out.push(frame.clone());
            continue;
        };
        let next = frame
            .iter()
            .zip(last)
            .zip(speed.iter_mut().zip(haste))
            .map(|((p, l), (v, haste))| {
                for k in 0..3 {
                    v[k] += speed_share * ((p[k] - l[k]) * rate / width - v[k]);
                }
                let norm = (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt();
                let a = share(haste * (MIN_CUTOFF_HZ + BETA * norm));
                std::array::from_fn(|k| l[k] + a * (p[k] - l[k]))
            })
            .collect();
        out.push(next);
    }
    out
}

/// Gaussian smoothing of weights over time, one list of weights per frame; edges are repeated.
pub(crate) fn gaussian_in_time(rows: &[Vec<f32>], sigma_frames: f32) -> Vec<Vec<f32>> {
    let taps = super::super::filter::taps(sigma_frames.max(0.05));
    let last = rows.len() as isize - 1;
    (0..rows.len() as isize)
        .map(|t| {
            let mut sum = vec![0.0; rows[t as usize].len()];
            for k in -(taps.len() as isize - 1)..taps.len() as isize {
                let row = &rows[(t + k).clamp(0, last) as usize];
                sum.iter_mut().zip(row).for_each(|(s, r)| *s += taps[k.unsigned_abs()] * r);
            }
            sum
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: usize, f: impl Fn(f32) -> f32) -> Vec<Vec<[f32; 3]>> {
        (0..n).map(|i| vec![[f(i as f32), 0.0, 0.0]]).collect()
    }

    #[test]
    fn a_slow_wave_keeps_its_phase() {
        let wave = |t: f32| 100.0 + 20.0 * (t * 0.2).sin();
        let mut run = line(200, wave);
        zero_phase(&mut run, 25.0, 100.0, &[1.0]);
        // correlation with shifted truth peaks at shift 0
        let score = |shift: isize| -> f32 {
            (40..160).map(|i| (run[i][0][0] - 100.0) * (wave((i as isize + shift) as f32) - 100.0)).sum()
        };
        assert!(score(0) > score(1) && score(0) > score(-1));
    }

    #[test]
    fn jitter_shrinks_and_constants_stay() {
        let noise = |t: f32| 50.0 + if t as i32 % 2 == 0 { 0.5 } else { -0.5 };
        let mut run = line(100, noise);
        zero_phase(&mut run, 25.0, 100.0, &[1.0]);
        let rough: f32 = run.windows(2).map(|w| (w[1][0][0] - w[0][0][0]).abs()).sum::<f32>() / 99.0;
        assert!(rough < 0.5, "{rough}");
        let mut flat = line(10, |_| 7.0);
        zero_phase(&mut flat, 25.0, 100.0, &[1.0]);
        assert!(flat.iter().all(|f| (f[0][0] - 7.0).abs() < 1e-5));
    }
}
