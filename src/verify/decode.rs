//! Pictures of a film, decoded ahead on a thread of their own.

use crate::image::RawFrame;
use crate::media::{DecodeOptions, Limits, VideoInfo, VideoReader};
use crate::{Error, Result};
use crossbeam_channel::{Receiver, bounded};
use std::path::Path;
use std::thread::{Builder, Scope};

/// Pictures decoded ahead. At 4K and 10 bit one has 25 MB.
const AHEAD: usize = 3;

/// A film being decoded.
pub(crate) struct Pictures {
    /// What the film is.
    pub info: VideoInfo,
    from_decoder: Receiver<Result<RawFrame>>,
}

impl Pictures {
    /// Opens a film and begins to decode it. Dropping the reader stops the thread.
    ///
    /// # Errors
    /// As [`VideoReader::open`].
    pub fn open<'s>(scope: &'s Scope<'s, '_>, name: &str, path: &Path, salvage: bool) -> Result<Self> {
        let options = DecodeOptions { threads: 2, salvage };
        let mut reader = VideoReader::open(path, &Limits::default(), options)?;
        let info = reader.info().clone();
        let (to_checker, from_decoder) = bounded(AHEAD);
        let work = move || {
            while let Some(item) = reader.next().transpose() {
                let last = item.is_err();
                if to_checker.send(item).is_err() || last {
                    return;
                }
            }
        };
        Builder::new()
            .name(name.into())
            .spawn_scoped(scope, work)
            .map_err(|e| Error::io("cannot start a thread for decoding", path, e))?;
        Ok(Pictures { info, from_decoder })
    }

    /// The next picture, or `None` at the end.
    ///
    /// # Errors
    /// As [`VideoReader::next`].
    pub fn next(&mut self) -> Result<Option<RawFrame>> {
        self.from_decoder.recv().ok().transpose()
    }
}
