//! Actors' tracks, which the cast puts in place of voices.

use crate::audio::RawAudio;
use crate::media::{AudioReader, Limits, Probe};
use crate::plan::Cast;
use crate::voice::ActorTrack;
use crate::voice::resample::Rate;
use crate::{Error, Result};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// Files of the actors' tracks that a cast names.
#[must_use]
pub fn actor_files(cast: &Cast) -> Vec<PathBuf> {
    named(cast).map(|(_, file)| cast.folder.join(file)).collect()
}

/// Place of every person with an actor in the cast, and the file.
fn named(cast: &Cast) -> impl Iterator<Item = (usize, &str)> {
    let file = |p: &crate::plan::PersonCast| p.voice.as_ref().filter(|v| v.style == "replace").is_some();
    let people = cast.people.iter().enumerate().filter(move |(_, p)| file(p));
    people.filter_map(|(i, p)| Some((i, p.voice.as_ref()?.file.as_deref()?)))
}

/// Opens the actors for one sound stream. A track begins with the first picture, wherever its person speaks.
///
/// # Errors
/// `Plan` if a file holds no sound; as the reader.
pub(super) fn open(cast: &Cast, probe: &Probe, stream: usize, limits: &Limits) -> Result<Vec<(u16, ActorTrack)>> {
    let Some(info) = probe.audio.get(stream) else { return Ok(Vec::new()) };
    let lead = probe.video.time_base.seconds(probe.video.start) - info.start_secs;
    let shift = (lead.clamp(-3600.0, 3600.0) * f64::from(info.format.rate_hz)).round() as i64;
    let mut out = Vec::new();
    for (i, file) in named(cast) {
        let number = u16::try_from(i).map_err(|_e| Error::Limit("too many people in the cast".into()))?;
        let mut actor = Actor::open(&cast.folder.join(file), info.format.rate_hz, shift, limits)?;
        out.push((number, Box::new(move |n: usize| actor.take(n)) as ActorTrack));
    }
    Ok(out)
}

/// A track on its way to a stream's rate.
struct Actor {
    reader: AudioReader,
    rate: Rate,
    ready: VecDeque<f32>,
    /// Samples of silence before the track, and of the track that are left out: counted, since a hostile film may ask
    /// for hours of both.
    lead: u64,
    skip: u64,
    ended: bool,
}

impl Actor {
    /// `shift`: samples of silence before the track; samples of it left out if negative.
    fn open(path: &Path, rate_hz: u32, shift: i64, limits: &Limits) -> Result<Self> {
        // Files with a cover picture have their sound second.
        let first = AudioReader::open(path, 0, limits, false);
        let reader =
            first.or_else(|e| AudioReader::open(path, 1, limits, false).map_err(|_second| e)).map_err(|e| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                Error::Plan(format!("the actor's track {name} cannot be read: {e}"))
            })?;
        Ok(Actor {
            rate: Rate::new(reader.info().format.rate_hz, rate_hz)?,
            reader,
            ready: VecDeque::new(),
            lead: shift.max(0).unsigned_abs(),
            skip: shift.min(0).unsigned_abs(),
            ended: false,
        })
    }

    fn take(&mut self, n: usize) -> Result<Vec<f32>> {
        let silent = usize::try_from(self.lead).unwrap_or(usize::MAX).min(n);
        self.lead -= silent as u64;
        let wanted = n - silent;
        let mut made = Vec::new();
        while !self.ended && self.ready.len() < wanted {
            made.clear();
            match self.reader.next()? {
                Some(block) => self.rate.push(&mono(&block), &mut made)?,
                None => {
                    self.rate.finish(&mut made)?;
                    self.ended = true;
                }
            }
            let skip = usize::try_from(self.skip).unwrap_or(usize::MAX).min(made.len());
            self.skip -= skip as u64;
            self.ready.extend(&made[skip..]);
        }
        let mut out = vec![0.0; silent];
        out.extend(self.ready.drain(..wanted.min(self.ready.len())));
        Ok(out)
    }
}

/// Mean of all channels.
fn mono(block: &RawAudio) -> Vec<f32> {
    let share = 1.0 / block.channels.len().max(1) as f32;
    let mut out = vec![0.0; block.len()];
    block.channels.iter().for_each(|c| out.iter_mut().zip(c).for_each(|(o, x)| *o += share * x));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 16-bit stereo file: a ramp on the left, silence on the right.
    fn ramp(folder: &Path, rate: u32, n: usize) -> PathBuf {
        let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0".to_vec();
        bytes.extend(rate.to_le_bytes());
        bytes.extend((4 * rate).to_le_bytes());
        bytes.extend(b"\x04\0\x10\0data");
        bytes.extend((4 * n as u32).to_le_bytes());
        (0..n).for_each(|i| bytes.extend([(i % 20_000) as i16, 0].map(i16::to_le_bytes).concat()));
        let size = (bytes.len() as u32 - 8).to_le_bytes();
        bytes[4..8].copy_from_slice(&size);
        let path = folder.join("actor.wav");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn a_track_is_aligned_to_the_picture_and_ends_in_silence() {
        crate::media::init();
        let folder = tempfile::tempdir().unwrap();
        let path = ramp(folder.path(), 8000, 10_000);
        let take = |shift: i64| {
            let mut actor = Actor::open(&path, 8000, shift, &Limits::default()).unwrap();
            let mut all = Vec::new();
            for _ in 0..30 {
                let mut part = actor.take(500).unwrap();
                part.resize(500, 0.0);
                all.extend(part);
            }
            all
        };
        let value = |i: i64| if (0..10_000).contains(&i) { i as f32 / 32768.0 / 2.0 } else { 0.0 };
        for shift in [0, 700, -700] {
            let got = take(shift);
            assert!(got.iter().enumerate().all(|(i, x)| (x - value(i as i64 - shift)).abs() < 1e-4), "{shift}");
        }
        let mut late = Actor::open(&path, 8000, 1 << 60, &Limits::default()).unwrap();
        assert_eq!(late.take(100).unwrap(), [0.0; 100]);
        assert_eq!(late.ready.capacity(), 0, "silence is counted, not stored");
        let mut early = Actor::open(&path, 8000, -(1 << 60), &Limits::default()).unwrap();
        assert!(early.take(100).unwrap().is_empty() && early.ready.capacity() == 0);
        assert!(Actor::open(&folder.path().join("none.wav"), 8000, 0, &Limits::default()).is_err());
    }
}
