//! Opening a local film safely, with messages that say what to do.

use super::ffi::{AvError, Input, StreamFacts};
use super::{Limits, intact};
use crate::{Error, Result};
use std::path::Path;

/// Demuxers that read one self-contained file. Playlists and scripts (hls, concat, dash, …), which can point to
/// other files, are left out on purpose, and so are picture sequences and rare game formats.
const DEMUXERS: &str = "mov,matroska,webm,avi,mpeg,mpegts,mpegvideo,ogg,gif,apng,h264,hevc,obu,av1,ivf,m4v,flv,asf,mxf,\
nut,wav,w64,mp3,aac,flac,yuv4mpegpipe,rm,dv,gxf,vc1,vc1test,dirac,mjpeg,h261,h263,amr,ac3,eac3,dts,truehd,caf,aiff,au,\
swf,wtv,nsv,cavsvideo,smjpeg,lxf";

/// Formats without time stamps of their own; their pictures are spaced by the frame rate.
const ELEMENTARY: [&str; 11] =
    ["h264", "hevc", "m4v", "mpegvideo", "obu", "vc1", "mjpeg", "h261", "h263", "cavsvideo", "dirac"];

/// An opened, analysed file.
pub(super) struct Opened {
    pub input: Input,
    pub streams: Vec<StreamFacts>,
    pub format: String,
    /// Without time stamps of its own.
    pub elementary: bool,
}

/// Opens `path` and checks the limits that are known before decoding.
///
/// # Errors
/// `Input` for anything that is no readable film, `Io` for a refused read, `Limit` past the limits.
pub(super) fn open(path: &Path, limits: &Limits) -> Result<Opened> {
    super::init();
    check_file(path)?;
    let mut input = Input::open(path, DEMUXERS, limits.max_streams).map_err(|e| refuse(path, e, limits))?;
    check_sizes(&input.streams(), limits)?;
    input.analyse(limits.max_pixels).map_err(|e| refuse(path, e, limits))?;
    let streams = input.streams();
    if streams.len() > limits.max_streams {
        return Err(Error::Limit(format!(
            "the film has {} streams, more than the limit of {}; remove the surplus streams first",
            streams.len(),
            limits.max_streams
        )));
    }
    check_sizes(&streams, limits)?;
    if let Some(secs) = input.duration().filter(|s| *s > limits.max_duration_secs) {
        return Err(Error::Limit(format!(
            "the film says it lasts {secs:.0} s, more than the limit of {:.0} s; cut it into parts first",
            limits.max_duration_secs
        )));
    }
    let format = input.format();
    let elementary = ELEMENTARY.contains(&format.as_str());
    Ok(Opened { input, streams, format, elementary })
}

fn check_file(path: &Path) -> Result<()> {
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::Input(format!("no such file; check the path: {}", path.display())));
        }
        Err(e) => return Err(Error::io("cannot open the film", path, e)),
    };
    let fault = if meta.is_dir() {
        "this is a folder; give one film, or use `understudy archive` for folders"
    } else if !meta.is_file() {
        "this is no ordinary file; copy the film to a disk first"
    } else if meta.len() == 0 {
        "the file is empty; copy it again from its source"
    } else {
        return std::fs::File::open(path).map(drop).map_err(|e| Error::io("cannot open the film", path, e));
    };
    Err(Error::Input(format!("{fault}: {}", path.display())))
}

fn refuse(path: &Path, e: AvError, limits: &Limits) -> Error {
    // The library answers so to a stream too many, and to a table larger than any single allocation may be.
    if e == AvError::NO_MEMORY {
        return Error::Limit(format!(
            "the film has more than the limit of {} streams, or tables of absurd size; remove the surplus streams first: {}",
            limits.max_streams,
            path.display()
        ));
    }
    let why = if intact::lacks_index(path) {
        "the file ends before its index (the recording or the copy was cut off); copy it again or repair it first"
            .into()
    } else if e.is_invalid_argument() {
        "this is not a kind of film that is accepted (playlists and scripts that point to other files never are); \
         convert it to .mp4 or .mkv first"
            .into()
    } else if e == AvError::INVALID_DATA {
        "this is not a film, or it is damaged from the start; check that it plays".into()
    } else {
        format!("the film cannot be opened ({}); check that it plays", e.text())
    };
    Error::Input(format!("{why}: {}", path.display()))
}

fn check_sizes(streams: &[StreamFacts], limits: &Limits) -> Result<()> {
    streams.iter().try_for_each(|s| check_size(s.width, s.height, limits))
}

/// Refuses pictures past the limits.
pub(super) fn check_size(width: usize, height: usize, limits: &Limits) -> Result<()> {
    let pixels = (width as u64).saturating_mul(height as u64);
    if width > limits.max_width || height > limits.max_height || pixels > limits.max_pixels {
        return Err(Error::Limit(format!(
            "the picture is {width} × {height}, more than the limit of {} × {} and {} pixels; scale the film down first",
            limits.max_width, limits.max_height, limits.max_pixels
        )));
    }
    Ok(())
}
