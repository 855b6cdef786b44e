//! Rate conversion of one channel with its latency trimmed.

use crate::{Error, Result};
use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

/// Frames per block asked of the converter; it rounds up to what the two rates allow.
const BLOCK: usize = 1024;

/// Streaming rate converter for one channel: sample `n` of the output lies at `n / to` seconds,
/// and the whole output has `ceil(samples_in · to / from)` samples.
pub struct Rate {
    core: Option<Core>,
    from: u64,
    to: u64,
    taken: u64,
    given: u64,
}

struct Core {
    fft: Fft<f32>,
    input: Vec<Vec<f32>>,
    output: Vec<Vec<f32>>,
    skip: usize,
}

impl Rate {
    /// A converter between two rates in Hz.
    ///
    /// # Errors
    /// `Unsupported` if the pair of rates is not possible.
    pub fn new(from: u32, to: u32) -> Result<Self> {
        let mut rate = Rate { core: None, from: u64::from(from), to: u64::from(to), taken: 0, given: 0 };
        if from == to {
            return Ok(rate);
        }
        let window = WindowFunction::BlackmanHarris2;
        let fft = Fft::new_custom(from as usize, to as usize, BLOCK, 1, 1, window, FixedSync::Both)
            .map_err(|e| Error::Unsupported(format!("the sound's rate of {from} Hz cannot be converted: {e}")))?;
        let (skip, size) = (fft.output_delay(), fft.output_frames_max());
        rate.core = Some(Core { fft, input: vec![Vec::new()], output: vec![vec![0.0; size]], skip });
        Ok(rate)
    }

    /// Feeds samples and appends what is ready to `out`.
    ///
    /// # Errors
    /// `Unsupported` if the converter fails.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<()> {
        self.taken += samples.len() as u64;
        let before = out.len();
        match &mut self.core {
            None => out.extend_from_slice(samples),
            Some(core) => {
                core.input[0].extend_from_slice(samples);
                core.run(out)?;
            }
        }
        self.given += (out.len() - before) as u64;
        Ok(())
    }

    /// Drains the converter; the total is then exact.
    ///
    /// # Errors
    /// `Unsupported` if the converter fails.
    pub fn finish(&mut self, out: &mut Vec<f32>) -> Result<()> {
        let total = (self.taken * self.to).div_ceil(self.from);
        let start = out.len();
        if let Some(core) = &mut self.core {
            while self.given + ((out.len() - start) as u64) < total {
                let missing = core.fft.input_frames_next().saturating_sub(core.input[0].len());
                let padded = core.input[0].len() + missing.max(1);
                core.input[0].resize(padded, 0.0);
                core.run(out)?;
            }
        }
        let over = (self.given + (out.len() - start) as u64).saturating_sub(total) as usize;
        out.truncate(out.len() - over.min(out.len()));
        self.given = total;
        Ok(())
    }
}

impl Core {
    fn run(&mut self, out: &mut Vec<f32>) -> Result<()> {
        let mut used = 0;
        loop {
            let need = self.fft.input_frames_next();
            let Some(block) = self.input[0].get(used..used + need) else { break };
            let input = [block.to_vec()];
            let fail = |e: String| Error::Unsupported(format!("the sound's rate cannot be converted: {e}"));
            let source = SequentialSliceOfVecs::new(&input, 1, need).map_err(|e| fail(e.to_string()))?;
            let room = self.output[0].len();
            let mut sink =
                SequentialSliceOfVecs::new_mut(&mut self.output, 1, room).map_err(|e| fail(e.to_string()))?;
            let (_, made) = self.fft.process_into_buffer(&source, &mut sink, None).map_err(|e| fail(e.to_string()))?;
            let skip = self.skip.min(made);
            self.skip -= skip;
            out.extend_from_slice(&self.output[0][skip..made]);
            used += need;
        }
        self.input[0].drain(..used);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(from: u32, to: u32, x: &[f32]) -> Vec<f32> {
        let (mut rate, mut out) = (Rate::new(from, to).unwrap(), Vec::new());
        for block in x.chunks(777) {
            rate.push(block, &mut out).unwrap();
        }
        rate.finish(&mut out).unwrap();
        out
    }

    #[test]
    fn length_is_exact_and_a_tone_keeps_its_time_within_half_a_sample() {
        for (from, to) in
            [(48000, 16000), (44100, 16000), (16000, 44100), (8000, 16000), (96000, 16000), (16000, 47999)]
        {
            let tone = |i: usize, rate: u32| (std::f64::consts::TAU * 440.0 * i as f64 / f64::from(rate)).sin() as f32;
            let x: Vec<f32> = (0..from as usize).map(|i| tone(i, from)).collect();
            let y = convert(from, to, &x);
            assert_eq!(y.len(), to as usize, "{from} to {to}");
            let error = (to as usize / 4..to as usize / 2).map(|i| (y[i] - tone(i, to)).abs()).fold(0.0, f32::max);
            assert!(error < 0.09, "{from} to {to}: {error}");
        }
    }

    #[test]
    fn empty_and_tiny_inputs_are_fine() {
        assert!(convert(48000, 16000, &[]).is_empty());
        assert_eq!(convert(48000, 16000, &[1.0, 1.0, 1.0, 1.0]).len(), 2);
    }
}
