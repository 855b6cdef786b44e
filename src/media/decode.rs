//! The loop from packets to decoded frames of one stream, strict or salvaging.

use super::ffi::{AvError, AvFrame, Decoder, Packet, Step};
use super::open::{Opened, open};
use super::{Damage, Limits, intact};
use crate::{Error, Result};
use std::path::Path;

/// Reading errors in a row after which a damaged file is taken to have ended.
const MAX_FAULTS: u32 = 10_000;

/// One stream of one file being decoded.
pub(super) struct Source {
    pub opened: Opened,
    pub frame: AvFrame,
    pub damage: Damage,
    stream: usize,
    decoder: Decoder,
    packet: Packet,
    salvage: bool,
    draining: bool,
    faults: u32,
    packets: usize,
    taken: u64,
    what: &'static str,
}

/// An `Input` error for data that cannot be decoded.
fn damaged(what: &str, at: u64, why: &str) -> Error {
    Error::Input(format!(
        "the film is damaged: {what} {at} {why}; use a better copy, or --salvage to skip what is damaged"
    ))
}

pub(super) fn no_memory(e: AvError) -> Error {
    Error::Input(format!("the film cannot be decoded: {}", e.text()))
}

impl Source {
    /// Opens `path` for the stream that `choose` names. Without `salvage` a file that is shorter than it says is
    /// refused.
    pub(super) fn open(
        path: &Path,
        limits: &Limits,
        threads: usize,
        salvage: bool,
        choose: impl Fn(&Opened) -> Result<usize>,
    ) -> Result<Self> {
        let mut opened = open(path, limits)?;
        let stream = choose(&opened)?;
        let missing_bytes = intact::missing_bytes(path);
        if missing_bytes > 0 && !salvage {
            return Err(Error::Input(format!(
                "the film was cut off: {missing_bytes} bytes are missing at its end; copy it again, or use --salvage \
                 to take what is there: {}",
                path.display()
            )));
        }
        let facts = opened.streams.get(stream).ok_or_else(|| Error::Input("the film has no such stream".into()))?;
        let what = if facts.kind == "video" { "picture" } else { "block of sound" };
        let decoder = opened
            .input
            .decoder(stream, threads, limits.max_pixels)
            .map_err(|e| Error::Unsupported(format!("the decoder for {} does not start: {}", facts.codec, e.text())))?;
        opened.input.select(stream);
        Ok(Source {
            opened,
            frame: AvFrame::new().map_err(no_memory)?,
            damage: Damage { missing_bytes, ..Damage::default() },
            stream,
            decoder,
            packet: Packet::new().map_err(no_memory)?,
            salvage,
            draining: false,
            faults: 0,
            packets: 0,
            taken: 0,
            what,
        })
    }

    /// Decodes the next good frame into `self.frame`; `false` at the end.
    pub(super) fn advance(&mut self) -> Result<bool> {
        loop {
            match self.decoder.receive(&mut self.frame) {
                Ok(Step::Ready) => {
                    if self.frame.is_damaged() {
                        if !self.salvage {
                            return Err(damaged(self.what, self.taken, "is incomplete"));
                        }
                        self.damage.frames += 1;
                        continue;
                    }
                    self.taken += 1;
                    self.faults = 0;
                    return Ok(true);
                }
                Ok(Step::Done) => return Ok(false),
                Ok(Step::Hungry) if self.draining => return Ok(false),
                Ok(Step::Hungry) => self.feed()?,
                Err(e) => {
                    self.fault(&format!("cannot be decoded ({})", e.text()))?;
                    if self.draining && self.faults > 64 {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Notes a fault; an error unless salvaging.
    fn fault(&mut self, why: &str) -> Result<()> {
        if !self.salvage {
            return Err(damaged(self.what, self.taken, why));
        }
        self.damage.packets += 1;
        self.faults += 1;
        Ok(())
    }

    /// Gives the decoder one more packet of the stream, or tells it that the end has come.
    fn feed(&mut self) -> Result<()> {
        loop {
            match self.opened.input.read(&mut self.packet) {
                Ok(true) if self.packet.stream() != self.stream => continue,
                Ok(true) => {
                    self.packets += 1;
                    if self.packet.is_corrupt() {
                        self.fault("is cut off")?;
                    }
                    if let Err(e) = self.decoder.send(Some(&self.packet)) {
                        self.fault(&format!("cannot be decoded ({})", e.text()))?;
                    }
                    return Ok(());
                }
                Ok(false) => break,
                Err(e) => {
                    self.fault(&format!("cannot be read ({})", e.text()))?;
                    if self.faults > MAX_FAULTS {
                        break;
                    }
                }
            }
        }
        self.check_count()?;
        self.draining = true;
        self.decoder.send(None).or_else(|e| self.fault(&format!("cannot be decoded ({})", e.text())))
    }

    /// An mp4 or mov index lists every packet: all must have come.
    fn check_count(&mut self) -> Result<()> {
        let listed = self.opened.input.index_entries(self.stream);
        let whole_packets = matches!(
            self.opened.streams[self.stream].codec.as_str(),
            "h264" | "hevc" | "av1" | "vp8" | "vp9" | "prores" | "dnxhd" | "aac"
        );
        if self.opened.format.starts_with("mov,") && whole_packets && self.packets < listed {
            let lost = listed - self.packets;
            self.fault(&format!("and {lost} more are listed in the index but not in the file"))?;
        }
        Ok(())
    }
}
