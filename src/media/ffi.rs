//! Safe handles over the C libraries. The only file of the crate with `unsafe` code.
//!
//! Every handle owns its C object and frees it once. Numbers that a hostile file can choose (enumerations, sizes,
//! strides) are read as plain integers and checked here, so the rest of the module works on ordinary Rust values.
#![expect(unsafe_code, reason = "calls into the C libraries; nothing else in the crate may")]

use ffmpeg_next::ffi as sys;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::Once;

/// An FFmpeg error number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AvError(c_int);

impl AvError {
    pub(super) const INVALID_DATA: AvError = AvError(sys::AVERROR_INVALIDDATA);
    pub(super) const NO_MEMORY: AvError = AvError(-libc::ENOMEM);

    /// Whether the device has no room left (or the user's quota is used up).
    pub(super) fn is_disk_full(self) -> bool {
        self.0 == -libc::ENOSPC || self.0 == -libc::EDQUOT || self.0 == -libc::EFBIG
    }

    /// Whether this is a refusal because an option or argument made no sense.
    pub(super) fn is_invalid_argument(self) -> bool {
        self.0 == -libc::EINVAL
    }

    /// The library's own short text.
    pub(super) fn text(self) -> String {
        let mut buf = [0 as c_char; 128];
        // SAFETY: the buffer is valid for its length, and the call terminates it with a zero.
        unsafe {
            sys::av_strerror(self.0, buf.as_mut_ptr(), buf.len());
            CStr::from_ptr(buf.as_ptr()).to_string_lossy().into_owned()
        }
    }
}

type AvResult<T> = Result<T, AvError>;

fn check(code: c_int) -> AvResult<c_int> {
    if code < 0 { Err(AvError(code)) } else { Ok(code) }
}

/// Gives memory that was freed back to the operating system, where the C library can.
pub(super) fn trim_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes no pointer, and may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Silences the libraries and caps single allocations, once per process.
pub(super) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: both only store a number in a global of the library.
        unsafe {
            sys::av_log_set_level(sys::AV_LOG_QUIET as c_int);
            sys::av_max_alloc(2 << 30);
        }
    });
}

/// Reads an enumeration field as a plain number: a hostile file may hold a value that the type does not have.
macro_rules! raw {
    ($p:expr, $field:ident) => {
        ptr::addr_of!((*$p).$field).cast::<c_int>().read()
    };
}

/// Writes an enumeration field from a plain number.
macro_rules! set_raw {
    ($p:expr, $field:ident, $v:expr) => {
        ptr::addr_of_mut!((*$p).$field).cast::<c_int>().write($v)
    };
}

fn text_of(p: *const c_char) -> String {
    if p.is_null() {
        return String::new();
    }
    // SAFETY: not null; the library's strings are terminated.
    unsafe { CStr::from_ptr(p).to_string_lossy().into_owned() }
}

fn c_text(s: &str) -> CString {
    CString::new(s.replace('\0', "")).unwrap_or_default()
}

/// `file:` in front keeps the libraries from taking a name for a protocol.
fn url_of(path: &Path) -> CString {
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut bytes = b"file:".to_vec();
    bytes.extend(full.as_os_str().as_bytes().iter().filter(|b| **b != 0));
    CString::new(bytes).unwrap_or_default()
}

/// Option list of the libraries.
struct Dict(*mut sys::AVDictionary);

impl Dict {
    fn new<K: AsRef<str>, V: AsRef<str>>(pairs: &[(K, V)]) -> Self {
        let mut d = Dict(ptr::null_mut());
        for (k, v) in pairs {
            // SAFETY: the pointer is null or a dictionary; key and value are copied.
            unsafe { sys::av_dict_set(&mut d.0, c_text(k.as_ref()).as_ptr(), c_text(v.as_ref()).as_ptr(), 0) };
        }
        d
    }
}

impl Drop for Dict {
    fn drop(&mut self) {
        // SAFETY: null or owned by us.
        unsafe { sys::av_dict_free(&mut self.0) };
    }
}

/// Key and value pairs of metadata.
pub(super) type Tags = Vec<(String, String)>;

fn tags_of(dict: *const sys::AVDictionary) -> Tags {
    let mut tags = Vec::new();
    let mut entry: *const sys::AVDictionaryEntry = ptr::null();
    loop {
        // SAFETY: the dictionary is null or valid, and `entry` came from the same dictionary.
        entry = unsafe { sys::av_dict_get(dict, c"".as_ptr(), entry, sys::AV_DICT_IGNORE_SUFFIX) };
        if entry.is_null() {
            return tags;
        }
        // SAFETY: a returned entry is valid until the dictionary changes.
        tags.push(unsafe { (text_of((*entry).key), text_of((*entry).value)) });
    }
}

/// Place of one component inside a pixel format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Component {
    pub plane: usize,
    pub step: usize,
    pub offset: usize,
    pub shift: u32,
    pub depth: u32,
}

/// A pixel format number that the library knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PixFmt(c_int);

/// What a pixel format looks like.
#[derive(Debug, Clone)]
pub(super) struct PixDesc {
    pub name: String,
    pub log2_chroma_w: u8,
    pub log2_chroma_h: u8,
    pub components: Vec<Component>,
    pub rgb: bool,
    pub alpha: bool,
    pub palette: bool,
    pub bitstream: bool,
    pub float: bool,
    pub big_endian: bool,
    /// On a device, sensor mosaic, or otherwise without planes that we can read.
    pub opaque: bool,
}

impl PixFmt {
    fn from_raw(v: c_int) -> Option<Self> {
        (v >= 0 && v < sys::AVPixelFormat::AV_PIX_FMT_NB as c_int).then_some(PixFmt(v))
    }

    fn as_enum(self) -> sys::AVPixelFormat {
        // SAFETY: checked in `from_raw`: the enumeration has every value from 0 to NB.
        unsafe { std::mem::transmute::<c_int, sys::AVPixelFormat>(self.0) }
    }

    /// Looks a format up by name.
    pub(super) fn named(name: &str) -> Option<Self> {
        // SAFETY: a terminated string.
        PixFmt::from_raw(unsafe { sys::av_get_pix_fmt(c_text(name).as_ptr()) as c_int })
    }

    /// Its description.
    pub(super) fn describe(self) -> Option<PixDesc> {
        // SAFETY: returns null or a static description.
        let d = unsafe { sys::av_pix_fmt_desc_get(self.as_enum()).as_ref()? };
        let has = |flag: c_int| d.flags & flag as u64 != 0;
        let components = d.comp[..usize::from(d.nb_components).min(4)]
            .iter()
            .map(|c| Component {
                plane: c.plane.max(0) as usize,
                step: c.step.max(0) as usize,
                offset: c.offset.max(0) as usize,
                shift: c.shift.max(0) as u32,
                depth: c.depth.max(0) as u32,
            })
            .collect();
        let name = text_of(d.name);
        Some(PixDesc {
            log2_chroma_w: d.log2_chroma_w,
            log2_chroma_h: d.log2_chroma_h,
            components,
            rgb: has(sys::AV_PIX_FMT_FLAG_RGB),
            alpha: has(sys::AV_PIX_FMT_FLAG_ALPHA),
            palette: has(sys::AV_PIX_FMT_FLAG_PAL),
            bitstream: has(sys::AV_PIX_FMT_FLAG_BITSTREAM),
            float: has(sys::AV_PIX_FMT_FLAG_FLOAT),
            big_endian: has(sys::AV_PIX_FMT_FLAG_BE),
            opaque: has(sys::AV_PIX_FMT_FLAG_HWACCEL) || has(sys::AV_PIX_FMT_FLAG_BAYER) || name.starts_with("xyz"),
            name,
        })
    }
}

/// Sample formats, planar or interleaved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SampleKind {
    U8,
    S16,
    S32,
    S64,
    F32,
    F64,
}

/// A sample format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SampleFmt {
    pub kind: SampleKind,
    pub planar: bool,
}

impl SampleFmt {
    fn from_raw(v: c_int) -> Option<Self> {
        use SampleKind::{F32, F64, S16, S32, S64, U8};
        let table = [(U8, false), (S16, false), (S32, false), (F32, false), (F64, false)];
        let (kind, planar) = match v {
            0..=4 => table[v as usize],
            5..=9 => (table[v as usize - 5].0, true),
            10 => (S64, false),
            11 => (S64, true),
            _ => return None,
        };
        Some(SampleFmt { kind, planar })
    }

    fn raw(self) -> c_int {
        let base = match self.kind {
            SampleKind::U8 => 0,
            SampleKind::S16 => 1,
            SampleKind::S32 => 2,
            SampleKind::F32 => 3,
            SampleKind::F64 => 4,
            SampleKind::S64 => return 10 + c_int::from(self.planar),
        };
        base + 5 * c_int::from(self.planar)
    }

    /// Bytes of one sample.
    pub(super) fn bytes(self) -> usize {
        match self.kind {
            SampleKind::U8 => 1,
            SampleKind::S16 => 2,
            SampleKind::S32 | SampleKind::F32 => 4,
            SampleKind::S64 | SampleKind::F64 => 8,
        }
    }
}

/// One coded unit.
pub(super) struct Packet(*mut sys::AVPacket);

// SAFETY: a packet is plain owned memory.
unsafe impl Send for Packet {}

impl Packet {
    pub(super) fn new() -> AvResult<Self> {
        // SAFETY: allocation only.
        let p = unsafe { sys::av_packet_alloc() };
        if p.is_null() { Err(AvError::NO_MEMORY) } else { Ok(Packet(p)) }
    }

    pub(super) fn stream(&self) -> usize {
        // SAFETY: valid for the life of self.
        unsafe { (*self.0).stream_index.max(0) as usize }
    }

    pub(super) fn pts(&self) -> Option<i64> {
        // SAFETY: as above.
        let v = unsafe { (*self.0).pts };
        (v != sys::AV_NOPTS_VALUE).then_some(v)
    }

    pub(super) fn dts(&self) -> Option<i64> {
        // SAFETY: as above.
        let v = unsafe { (*self.0).dts };
        (v != sys::AV_NOPTS_VALUE).then_some(v)
    }

    pub(super) fn duration(&self) -> i64 {
        // SAFETY: as above.
        unsafe { (*self.0).duration }
    }

    pub(super) fn is_corrupt(&self) -> bool {
        // SAFETY: as above.
        unsafe { (*self.0).flags & sys::AV_PKT_FLAG_CORRUPT != 0 }
    }

    /// Whether data came beside the packet.
    pub(super) fn has_more(&self) -> bool {
        // SAFETY: as above.
        unsafe { (*self.0).side_data_elems > 0 }
    }

    pub(super) fn is_discarded(&self) -> bool {
        // SAFETY: as above.
        unsafe { (*self.0).flags & sys::AV_PKT_FLAG_DISCARD != 0 }
    }

    /// Sets stream and times.
    pub(super) fn place(&mut self, stream: usize, pts: i64, dts: i64, duration: i64) {
        // SAFETY: as above; we own the packet.
        unsafe {
            (*self.0).stream_index = stream as c_int;
            (*self.0).pts = pts;
            (*self.0).dts = dts;
            (*self.0).duration = duration;
            (*self.0).pos = -1;
        }
    }

    /// The coded bytes.
    pub(super) fn data(&self) -> &[u8] {
        // SAFETY: the packet's own buffer, valid while it is borrowed.
        unsafe {
            if (*self.0).data.is_null() || (*self.0).size <= 0 {
                return &[];
            }
            std::slice::from_raw_parts((*self.0).data, (*self.0).size as usize)
        }
    }

    /// Puts other bytes in place of the coded ones; times and flags stay.
    pub(super) fn replace(&mut self, bytes: &[u8]) -> AvResult<()> {
        let size = c_int::try_from(bytes.len()).or(Err(AvError::INVALID_DATA))?;
        let mut fresh = Packet::new()?;
        // SAFETY: the new packet gets a buffer of `size` bytes, all of which are written; then the two swap places.
        unsafe {
            check(sys::av_new_packet(fresh.0, size))?;
            ptr::copy_nonoverlapping(bytes.as_ptr(), (*fresh.0).data, bytes.len());
            check(sys::av_packet_copy_props(fresh.0, self.0))?;
        }
        std::mem::swap(&mut self.0, &mut fresh.0);
        Ok(())
    }

    fn clear(&mut self) {
        // SAFETY: valid; leaves an empty packet.
        unsafe { sys::av_packet_unref(self.0) };
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        // SAFETY: owned by us; sets the pointer to null.
        unsafe { sys::av_packet_free(&mut self.0) };
    }
}

/// What a stream says about itself, as plain values.
#[derive(Debug, Clone)]
pub(super) struct StreamFacts {
    pub index: usize,
    pub kind: &'static str,
    pub codec: String,
    pub profile: i32,
    /// The container's four-letter code of the codec.
    pub tag: [u8; 4],
    pub disposition: c_int,
    pub tags: Tags,
    pub side_data: Vec<(String, Vec<u8>)>,
    pub time_base: (c_int, c_int),
    pub start: Option<i64>,
    pub frame_count: i64,
    pub avg_frame_rate: (c_int, c_int),
    pub base_frame_rate: (c_int, c_int),
    pub sample_aspect: (c_int, c_int),
    pub width: usize,
    pub height: usize,
    pub field_order: c_int,
    pub color: RawColor,
    pub bit_rate: i64,
    pub raw_bits: c_int,
    pub has_decoder: bool,
    /// What stands at the head of a text stream: styles, fonts.
    pub text_header: Vec<u8>,
}

/// Colour code points as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct RawColor {
    pub range: c_int,
    pub primaries: c_int,
    pub transfer: c_int,
    pub matrix: c_int,
    pub location: c_int,
}

fn mask_of(layout: &sys::AVChannelLayout) -> u64 {
    // SAFETY: the union holds a mask exactly when the order is NATIVE (1).
    unsafe { if raw!(layout, order) == 1 { layout.u.mask } else { 0 } }
}

fn ratio(r: sys::AVRational) -> (c_int, c_int) {
    (r.num, r.den)
}

/// Dispositions that are set, by name.
pub(super) fn disposition_names(bits: c_int) -> Vec<String> {
    (0..31)
        .map(|b| 1 << b)
        .filter(|b| bits & b != 0)
        // SAFETY: takes one bit, returns null or a static string.
        .map(|b| text_of(unsafe { sys::av_disposition_to_string(b) }))
        .filter(|s| !s.is_empty())
        .collect()
}

pub(super) const DISPOSITION_NO_FILM: c_int = sys::AV_DISPOSITION_ATTACHED_PIC | sys::AV_DISPOSITION_TIMED_THUMBNAILS;

/// An opened file.
pub(super) struct Input(*mut sys::AVFormatContext);

// SAFETY: used by one thread at a time; the library keeps no thread-local state in it.
unsafe impl Send for Input {}

impl Input {
    /// Opens a local file with a demuxer of the comma-separated list `formats`, and nothing but the `file` protocol.
    pub(super) fn open(path: &Path, formats: &str, max_streams: usize) -> AvResult<Self> {
        let mut options = Dict::new(&[
            ("protocol_whitelist", "file"),
            ("format_whitelist", formats),
            ("max_streams", &max_streams.to_string()),
            ("probesize", "20000000"),
            ("analyzeduration", "10000000"),
        ]);
        let mut ctx = ptr::null_mut();
        // SAFETY: on failure the call frees the context and leaves null.
        check(unsafe { sys::avformat_open_input(&mut ctx, url_of(path).as_ptr(), ptr::null(), &mut options.0) })?;
        Ok(Input(ctx))
    }

    /// Reads on until the streams are known. Pictures of more than `max_pixels` are not decoded.
    pub(super) fn analyse(&mut self, max_pixels: u64) -> AvResult<()> {
        let limit = max_pixels.to_string();
        // SAFETY: the array has one dictionary per stream that exists now; the call does not keep it.
        unsafe {
            let count = (*self.0).nb_streams as usize;
            let mut dicts: Vec<Dict> =
                (0..count).map(|_| Dict::new(&[("max_pixels", &limit), ("threads", &"1".into())])).collect();
            let mut raw: Vec<*mut sys::AVDictionary> = dicts.iter().map(|d| d.0).collect();
            let code = sys::avformat_find_stream_info(self.0, raw.as_mut_ptr());
            for (d, r) in dicts.iter_mut().zip(raw) {
                d.0 = r;
            }
            check(code)?;
        }
        Ok(())
    }

    fn raw_streams(&self) -> &[*mut sys::AVStream] {
        // SAFETY: the array of streams belongs to the context.
        unsafe {
            let n = (*self.0).nb_streams as usize;
            if n == 0 { &[] } else { std::slice::from_raw_parts((*self.0).streams, n) }
        }
    }

    /// Name of the container format.
    pub(super) fn format(&self) -> String {
        // SAFETY: an opened context has a format.
        unsafe { text_of((*(*self.0).iformat).name) }
    }

    /// Duration in seconds and whether the container itself stated it.
    pub(super) fn duration(&self) -> Option<f64> {
        // SAFETY: plain field.
        let d = unsafe { (*self.0).duration };
        (d != sys::AV_NOPTS_VALUE && d >= 0).then_some(d as f64 / 1e6)
    }

    /// Bits per second of the whole file.
    pub(super) fn bit_rate(&self) -> i64 {
        // SAFETY: plain field.
        unsafe { (*self.0).bit_rate }
    }

    /// Tags of the container.
    pub(super) fn tags(&self) -> Tags {
        // SAFETY: plain field.
        tags_of(unsafe { (*self.0).metadata })
    }

    /// Tags of each chapter.
    pub(super) fn chapters(&self) -> Vec<Tags> {
        // SAFETY: an array of valid pointers of the given length.
        unsafe {
            (0..(*self.0).nb_chapters as usize).map(|i| tags_of((**(*self.0).chapters.add(i)).metadata)).collect()
        }
    }

    /// Tags of each programme.
    pub(super) fn programs(&self) -> Vec<Tags> {
        // SAFETY: an array of valid pointers of the given length.
        unsafe {
            (0..(*self.0).nb_programs as usize).map(|i| tags_of((**(*self.0).programs.add(i)).metadata)).collect()
        }
    }

    /// Facts of every stream.
    pub(super) fn streams(&self) -> Vec<StreamFacts> {
        // SAFETY: streams and their parameters live as long as the context.
        self.raw_streams().iter().map(|s| unsafe { facts_of(*s) }).collect()
    }

    /// Entries of the container's index of a stream, if it has one.
    pub(super) fn index_entries(&self, stream: usize) -> usize {
        // SAFETY: a valid stream.
        self.raw_streams()
            .get(stream)
            .map_or(0, |s| unsafe { sys::avformat_index_get_entries_count(*s) }.max(0) as usize)
    }

    /// Skips the packets of all other streams.
    pub(super) fn select(&mut self, stream: usize) {
        self.select_only(&[stream]);
    }

    /// Skips the packets of all streams but these.
    pub(super) fn select_only(&mut self, streams: &[usize]) {
        for (i, s) in self.raw_streams().iter().enumerate() {
            let discard =
                if streams.contains(&i) { sys::AVDiscard::AVDISCARD_DEFAULT } else { sys::AVDiscard::AVDISCARD_ALL };
            // SAFETY: a valid stream.
            unsafe { (**s).discard = discard };
        }
    }

    /// Reads the next packet; `false` at the end of the file.
    pub(super) fn read(&mut self, packet: &mut Packet) -> AvResult<bool> {
        packet.clear();
        // SAFETY: both valid.
        match unsafe { sys::av_read_frame(self.0, packet.0) } {
            sys::AVERROR_EOF => {
                // The demuxer says "end" after a failed read too: the reason stands in the I/O context.
                // SAFETY: the context is null or valid.
                let cause = unsafe { (*self.0).pb.as_ref().map_or(0, |pb| pb.error) };
                if cause < 0 && cause != sys::AVERROR_EOF { Err(AvError(cause)) } else { Ok(false) }
            }
            code => check(code).map(|_| true),
        }
    }

    /// A decoder for a stream.
    pub(super) fn decoder(&self, stream: usize, threads: usize, max_pixels: u64) -> AvResult<Decoder> {
        let s = *self.raw_streams().get(stream).ok_or(AvError::INVALID_DATA)?;
        // SAFETY: the stream's parameters are copied; the context is freed by `Decoder` on every path.
        unsafe {
            let codec = sys::avcodec_find_decoder((*(*s).codecpar).codec_id);
            if codec.is_null() {
                return Err(AvError(sys::AVERROR_DECODER_NOT_FOUND));
            }
            let ctx = sys::avcodec_alloc_context3(codec);
            if ctx.is_null() {
                return Err(AvError::NO_MEMORY);
            }
            let dec = Decoder(ctx);
            check(sys::avcodec_parameters_to_context(ctx, (*s).codecpar))?;
            (*ctx).pkt_timebase = (*s).time_base;
            (*ctx).thread_count = threads.clamp(1, 16) as c_int;
            (*ctx).max_pixels = max_pixels as i64;
            (*ctx).flags |= (sys::AV_CODEC_FLAG_UNALIGNED | sys::AV_CODEC_FLAG_OUTPUT_CORRUPT) as c_int;
            (*ctx).err_recognition |=
                sys::AV_EF_CRCCHECK as c_int | sys::AV_EF_BITSTREAM as c_int | sys::AV_EF_BUFFER as c_int;
            check(sys::avcodec_open2(ctx, codec, ptr::null_mut()))?;
            Ok(dec)
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // SAFETY: owned by us.
        unsafe { sys::avformat_close_input(&mut self.0) };
    }
}

/// # Safety
/// `s` must be a stream of an open context.
unsafe fn facts_of(s: *const sys::AVStream) -> StreamFacts {
    // SAFETY: the caller's promise; parameters and side data belong to the stream.
    unsafe {
        let p = (*s).codecpar;
        let kind = match raw!(p, codec_type) {
            0 => "video",
            1 => "audio",
            2 => "data",
            3 => "subtitle",
            4 => "attachment",
            _ => "unknown",
        };
        let side: &[sys::AVPacketSideData] = if (*s).nb_side_data <= 0 || (*s).side_data.is_null() {
            &[]
        } else {
            std::slice::from_raw_parts((*s).side_data, (*s).nb_side_data as usize)
        };
        let aspect = if (*s).sample_aspect_ratio.num > 0 { (*s).sample_aspect_ratio } else { (*p).sample_aspect_ratio };
        let no_pts = sys::AV_NOPTS_VALUE;
        StreamFacts {
            index: (*s).index.max(0) as usize,
            kind,
            codec: text_of(sys::avcodec_get_name((*p).codec_id)),
            profile: (*p).profile,
            tag: (*p).codec_tag.to_le_bytes(),
            disposition: (*s).disposition,
            tags: tags_of((*s).metadata),
            side_data: side.iter().map(side_data_of).collect(),
            time_base: ratio((*s).time_base),
            start: ((*s).start_time != no_pts).then_some((*s).start_time),
            frame_count: (*s).nb_frames,
            avg_frame_rate: ratio((*s).avg_frame_rate),
            base_frame_rate: ratio((*s).r_frame_rate),
            sample_aspect: ratio(aspect),
            width: (*p).width.max(0) as usize,
            height: (*p).height.max(0) as usize,
            field_order: raw!(p, field_order),
            color: RawColor {
                range: raw!(p, color_range),
                primaries: raw!(p, color_primaries),
                transfer: raw!(p, color_trc),
                matrix: raw!(p, color_space),
                location: raw!(p, chroma_location),
            },
            bit_rate: (*p).bit_rate,
            raw_bits: (*p).bits_per_raw_sample.max((*p).bits_per_coded_sample),
            has_decoder: !sys::avcodec_find_decoder((*p).codec_id).is_null(),
            text_header: if kind == "subtitle" && !(*p).extradata.is_null() && (*p).extradata_size > 0 {
                std::slice::from_raw_parts((*p).extradata, ((*p).extradata_size as usize).min(4096)).to_vec()
            } else {
                Vec::new()
            },
        }
    }
}

fn side_data_of(d: &sys::AVPacketSideData) -> (String, Vec<u8>) {
    // SAFETY: the library's own enumeration value and its buffer of `size` bytes.
    unsafe {
        let name = text_of(sys::av_packet_side_data_name(d.type_));
        let data =
            if d.data.is_null() { Vec::new() } else { std::slice::from_raw_parts(d.data, d.size.min(4096)).to_vec() };
        (name, data)
    }
}

/// What came out of a decoder or encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// One item.
    Ready,
    /// It wants more input first.
    Hungry,
    /// Nothing will follow.
    Done,
}

fn step(code: c_int) -> AvResult<Step> {
    match code {
        sys::AVERROR_EOF => Ok(Step::Done),
        c if c == -libc::EAGAIN => Ok(Step::Hungry),
        c => check(c).map(|_| Step::Ready),
    }
}

/// A running decoder.
pub(super) struct Decoder(*mut sys::AVCodecContext);

// SAFETY: used by one thread at a time.
unsafe impl Send for Decoder {}

impl Decoder {
    /// Gives a packet, or `None` to drain. `Hungry` is never returned: callers receive until hungry first.
    pub(super) fn send(&mut self, packet: Option<&Packet>) -> AvResult<()> {
        // SAFETY: valid context; a null packet means the end.
        let code = unsafe { sys::avcodec_send_packet(self.0, packet.map_or(ptr::null(), |p| p.0.cast_const())) };
        if code == sys::AVERROR_EOF { Ok(()) } else { check(code).map(|_| ()) }
    }

    /// Takes the next frame.
    pub(super) fn receive(&mut self, frame: &mut AvFrame) -> AvResult<Step> {
        // SAFETY: both valid; the call releases what the frame held.
        step(unsafe { sys::avcodec_receive_frame(self.0, frame.0) })
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: owned by us.
        unsafe { sys::avcodec_free_context(&mut self.0) };
    }
}

/// A decoded picture or block of sound in the library's own memory.
pub(super) struct AvFrame(*mut sys::AVFrame);

// SAFETY: reference counts are atomic; the frame is used by one thread at a time.
unsafe impl Send for AvFrame {}

/// Plain facts of a decoded picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameFacts {
    pub width: usize,
    pub height: usize,
    pub format: Option<PixFmt>,
    pub pts: Option<i64>,
    pub duration: i64,
    pub interlaced: bool,
    pub top_field_first: bool,
    pub sample_aspect: (c_int, c_int),
    pub color: RawColor,
}

/// Plain facts of decoded sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SoundFacts {
    pub samples: usize,
    pub channels: usize,
    pub layout_mask: u64,
    pub rate: c_int,
    pub format: Option<SampleFmt>,
    pub pts: Option<i64>,
}

impl AvFrame {
    pub(super) fn new() -> AvResult<Self> {
        // SAFETY: allocation only.
        let p = unsafe { sys::av_frame_alloc() };
        if p.is_null() { Err(AvError::NO_MEMORY) } else { Ok(AvFrame(p)) }
    }

    /// A picture with memory of its own.
    pub(super) fn picture(width: usize, height: usize, format: PixFmt) -> AvResult<Self> {
        let f = AvFrame::new()?;
        // SAFETY: fields of our own frame; `get_buffer` checks sizes.
        unsafe {
            (*f.0).width = c_int::try_from(width).or(Err(AvError::INVALID_DATA))?;
            (*f.0).height = c_int::try_from(height).or(Err(AvError::INVALID_DATA))?;
            (*f.0).format = format.0;
            check(sys::av_frame_get_buffer(f.0, 0))?;
        }
        Ok(f)
    }

    /// Sound with memory of its own, in the layout of `like`.
    pub(super) fn sound(like: &Encoder, samples: usize) -> AvResult<Self> {
        let f = AvFrame::new()?;
        // SAFETY: as above; the layout is copied from an open context.
        unsafe {
            (*f.0).nb_samples = c_int::try_from(samples).or(Err(AvError::INVALID_DATA))?;
            (*f.0).format = raw!(like.0, sample_fmt);
            (*f.0).sample_rate = (*like.0).sample_rate;
            check(sys::av_channel_layout_copy(&mut (*f.0).ch_layout, &(*like.0).ch_layout))?;
            check(sys::av_frame_get_buffer(f.0, 0))?;
        }
        Ok(f)
    }

    pub(super) fn facts(&self) -> FrameFacts {
        // SAFETY: fields of our own frame.
        unsafe {
            let f = self.0;
            let pts = (*f).best_effort_timestamp;
            FrameFacts {
                width: (*f).width.max(0) as usize,
                height: (*f).height.max(0) as usize,
                format: PixFmt::from_raw((*f).format),
                pts: (pts != sys::AV_NOPTS_VALUE).then_some(pts),
                duration: (*f).pkt_duration,
                interlaced: (*f).interlaced_frame != 0,
                top_field_first: (*f).top_field_first != 0,
                sample_aspect: ratio((*f).sample_aspect_ratio),
                color: RawColor {
                    range: raw!(f, color_range),
                    primaries: raw!(f, color_primaries),
                    transfer: raw!(f, color_trc),
                    matrix: raw!(f, colorspace),
                    location: raw!(f, chroma_location),
                },
            }
        }
    }

    pub(super) fn sound_facts(&self) -> SoundFacts {
        // SAFETY: fields of our own frame.
        unsafe {
            let f = self.0;
            let pts = (*f).best_effort_timestamp;
            SoundFacts {
                samples: (*f).nb_samples.max(0) as usize,
                channels: (*f).ch_layout.nb_channels.max(0) as usize,
                layout_mask: mask_of(&(*f).ch_layout),
                rate: (*f).sample_rate,
                format: SampleFmt::from_raw((*f).format),
                pts: (pts != sys::AV_NOPTS_VALUE).then_some(pts),
            }
        }
    }

    /// Sets the fields that an encoder reads.
    pub(super) fn tag(&mut self, pts: i64, color: RawColor, interlaced: bool, top_field_first: bool) {
        // SAFETY: fields of our own frame.
        unsafe {
            (*self.0).pts = pts;
            set_raw!(self.0, color_range, color.range);
            set_raw!(self.0, color_primaries, color.primaries);
            set_raw!(self.0, color_trc, color.transfer);
            set_raw!(self.0, colorspace, color.matrix);
            set_raw!(self.0, chroma_location, color.location);
            (*self.0).interlaced_frame = c_int::from(interlaced);
            (*self.0).top_field_first = c_int::from(top_field_first);
        }
    }

    pub(super) fn set_pts(&mut self, pts: i64) {
        // SAFETY: field of our own frame.
        unsafe { (*self.0).pts = pts };
    }

    /// Address of `len` bytes of row `y` of a plane, if they lie inside one of the frame's own buffers.
    fn row_ptr(&self, plane: usize, y: usize, len: usize) -> Option<*mut u8> {
        // SAFETY: the arrays have eight entries; buffers are null or valid.
        unsafe {
            let base = *(*self.0).data.get(plane)?;
            if base.is_null() {
                return None;
            }
            let stride = (*self.0).linesize[plane] as isize;
            let at = (base as isize).checked_add(stride.checked_mul(y as isize)?)?;
            let end = at.checked_add(len as isize)?;
            let inside = (*self.0).buf.iter().any(|b| {
                !b.is_null() && {
                    let start = (**b).data as isize;
                    at >= start && end <= start + (**b).size as isize
                }
            });
            inside.then(|| base.offset(stride * y as isize))
        }
    }

    /// `len` bytes of row `y` of a plane.
    pub(super) fn row(&self, plane: usize, y: usize, len: usize) -> Option<&[u8]> {
        // SAFETY: `row_ptr` checked that the bytes belong to a buffer that the frame keeps alive.
        self.row_ptr(plane, y, len).map(|p| unsafe { std::slice::from_raw_parts(p, len) })
    }

    /// `len` bytes of row `y` of a plane of a frame made by [`AvFrame::picture`].
    pub(super) fn row_mut(&mut self, plane: usize, y: usize, len: usize) -> Option<&mut [u8]> {
        // SAFETY: as above; a frame made by `picture` or `sound` has the only reference to its buffers.
        unsafe {
            if sys::av_frame_is_writable(self.0) <= 0 {
                return None;
            }
            self.row_ptr(plane, y, len).map(|p| std::slice::from_raw_parts_mut(p, len))
        }
    }

    fn sound_ptr(&self, plane: usize, len: usize) -> Option<*mut u8> {
        let f = self.sound_facts();
        let planes = if f.format?.planar { f.channels } else { 1 };
        let per_plane = f.samples.checked_mul(f.format?.bytes())?.checked_mul(f.channels / planes)?;
        if plane >= planes || len > per_plane {
            return None;
        }
        // SAFETY: extended_data has one pointer per plane, each with room for all samples of the frame.
        let p = unsafe { *(*self.0).extended_data.add(plane) };
        (!p.is_null()).then_some(p)
    }

    /// The first `len` bytes of a plane of sound.
    pub(super) fn sound_plane(&self, plane: usize, len: usize) -> Option<&[u8]> {
        // SAFETY: checked by `sound_ptr`.
        self.sound_ptr(plane, len).map(|p| unsafe { std::slice::from_raw_parts(p, len) })
    }

    /// The same, to write.
    pub(super) fn sound_plane_mut(&mut self, plane: usize, len: usize) -> Option<&mut [u8]> {
        // SAFETY: checked by `sound_ptr`; the frame is ours alone.
        unsafe {
            if sys::av_frame_is_writable(self.0) <= 0 {
                return None;
            }
            self.sound_ptr(plane, len).map(|p| std::slice::from_raw_parts_mut(p, len))
        }
    }

    /// Whether the decoder met faults in this frame.
    pub(super) fn is_damaged(&self) -> bool {
        // SAFETY: fields of our own frame.
        unsafe { (*self.0).flags & sys::AV_FRAME_FLAG_CORRUPT != 0 || (*self.0).decode_error_flags != 0 }
    }

    /// Bytes of the side data with this name.
    pub(super) fn side_data(&self, name: &str) -> Option<Vec<u8>> {
        // SAFETY: an array of valid pointers of the given length, each with a buffer of `size` bytes.
        unsafe {
            (0..(*self.0).nb_side_data.max(0) as usize)
                .map(|i| &**(*self.0).side_data.add(i))
                .find(|d| !d.data.is_null() && text_of(sys::av_frame_side_data_name(d.type_)) == name)
                .map(|d| std::slice::from_raw_parts(d.data, d.size.min(4096)).to_vec())
        }
    }

    /// Names of the side data and the tags that came with this frame.
    pub(super) fn extras(&self) -> (Vec<String>, Tags) {
        // SAFETY: an array of valid pointers of the given length.
        unsafe {
            let n = (*self.0).nb_side_data.max(0) as usize;
            let names =
                (0..n).map(|i| text_of(sys::av_frame_side_data_name((**(*self.0).side_data.add(i)).type_))).collect();
            (names, tags_of((*self.0).metadata))
        }
    }
}

impl Drop for AvFrame {
    fn drop(&mut self) {
        // SAFETY: owned by us.
        unsafe { sys::av_frame_free(&mut self.0) };
    }
}

/// What an encoder of this build accepts; empty lists mean "anything".
#[derive(Debug, Clone)]
pub(super) struct EncoderFacts {
    pub pix_fmts: Vec<PixFmt>,
    pub sample_fmts: Vec<SampleFmt>,
    pub rates: Vec<c_int>,
    pub layouts: Vec<(u64, usize)>,
}

/// Looks an encoder up by its FFmpeg name.
pub(super) fn encoder_facts(name: &str) -> Option<EncoderFacts> {
    // SAFETY: static descriptions; the lists end with −1, 0, or an empty layout.
    unsafe {
        let c = sys::avcodec_find_encoder_by_name(c_text(name).as_ptr()).as_ref()?;
        let list = |p: *const c_int, end: c_int| {
            let mut v = Vec::new();
            let mut p = p;
            while !p.is_null() && *p != end {
                v.push(*p);
                p = p.add(1);
            }
            v
        };
        let mut layouts = Vec::new();
        let mut l = c.ch_layouts;
        while !l.is_null() && (*l).nb_channels > 0 {
            layouts.push((mask_of(&*l), (*l).nb_channels as usize));
            l = l.add(1);
        }
        Some(EncoderFacts {
            pix_fmts: list(c.pix_fmts.cast(), -1).into_iter().filter_map(PixFmt::from_raw).collect(),
            sample_fmts: list(c.sample_fmts.cast(), -1).into_iter().filter_map(SampleFmt::from_raw).collect(),
            rates: list(c.supported_samplerates, 0),
            layouts,
        })
    }
}

/// The member of `list` that loses least of `from`.
pub(super) fn best_pix_fmt(list: &[PixFmt], from: PixFmt) -> Option<PixFmt> {
    let mut raw: Vec<c_int> = list.iter().map(|f| f.0).collect();
    raw.push(-1);
    // SAFETY: a list that ends with −1, of values that the enumeration has.
    let best =
        unsafe { sys::avcodec_find_best_pix_fmt_of_list(raw.as_ptr().cast(), from.as_enum(), 0, ptr::null_mut()) };
    PixFmt::from_raw(best as c_int)
}

/// Shape of the pictures for an encoder.
#[derive(Debug, Clone)]
pub(super) struct VideoShape {
    pub width: usize,
    pub height: usize,
    pub format: PixFmt,
    pub color: RawColor,
    pub sample_aspect: (u32, u32),
    pub frame_rate: (c_int, c_int),
    /// 1 progressive, 2 top field first, 3 bottom field first (FFmpeg's field order).
    pub field_order: c_int,
}

/// Shape of the sound for an encoder.
#[derive(Debug, Clone)]
pub(super) struct SoundShape {
    pub rate: c_int,
    pub channels: usize,
    /// 0 = the usual layout for that many channels.
    pub layout_mask: u64,
    pub format: SampleFmt,
}

/// A running encoder.
pub(super) struct Encoder(*mut sys::AVCodecContext);

// SAFETY: used by one thread at a time.
unsafe impl Send for Encoder {}

impl Encoder {
    fn prepare(name: &str) -> AvResult<(Self, *const sys::AVCodec)> {
        // SAFETY: allocation only; freed by `Drop`.
        unsafe {
            let codec = sys::avcodec_find_encoder_by_name(c_text(name).as_ptr());
            if codec.is_null() {
                return Err(AvError(sys::AVERROR_ENCODER_NOT_FOUND));
            }
            let ctx = sys::avcodec_alloc_context3(codec);
            if ctx.is_null() {
                return Err(AvError::NO_MEMORY);
            }
            (*ctx).flags |= sys::AV_CODEC_FLAG_BITEXACT as c_int;
            Ok((Encoder(ctx), codec))
        }
    }

    fn start(self, codec: *const sys::AVCodec, options: &[(String, String)]) -> AvResult<Self> {
        let mut dict = Dict::new(options);
        // SAFETY: our own context and dictionary.
        check(unsafe { sys::avcodec_open2(self.0, codec, &mut dict.0) })?;
        if dict.0.is_null() { Ok(self) } else { Err(AvError(sys::AVERROR_OPTION_NOT_FOUND)) }
    }

    /// Opens a video encoder; pictures are counted 0, 1, 2 … in units of one frame.
    pub(super) fn video(name: &str, v: &VideoShape, global: bool, options: &[(String, String)]) -> AvResult<Self> {
        let (enc, codec) = Encoder::prepare(name)?;
        // SAFETY: fields of our own context.
        unsafe {
            let c = enc.0;
            (*c).width = v.width as c_int;
            (*c).height = v.height as c_int;
            (*c).pix_fmt = v.format.as_enum();
            (*c).time_base = sys::AVRational { num: v.frame_rate.1, den: v.frame_rate.0 };
            (*c).framerate = sys::AVRational { num: v.frame_rate.0, den: v.frame_rate.1 };
            (*c).sample_aspect_ratio =
                sys::AVRational { num: v.sample_aspect.0 as c_int, den: v.sample_aspect.1 as c_int };
            set_raw!(c, color_range, v.color.range);
            set_raw!(c, color_primaries, v.color.primaries);
            set_raw!(c, color_trc, v.color.transfer);
            set_raw!(c, colorspace, v.color.matrix);
            set_raw!(c, chroma_sample_location, v.color.location);
            set_raw!(c, field_order, v.field_order);
            if v.field_order > 1 {
                (*c).flags |= (sys::AV_CODEC_FLAG_INTERLACED_DCT | sys::AV_CODEC_FLAG_INTERLACED_ME) as c_int;
            }
            if global {
                (*c).flags |= sys::AV_CODEC_FLAG_GLOBAL_HEADER as c_int;
            }
        }
        enc.start(codec, options)
    }

    /// Opens a sound encoder.
    pub(super) fn sound(name: &str, s: &SoundShape, global: bool, options: &[(String, String)]) -> AvResult<Self> {
        let (enc, codec) = Encoder::prepare(name)?;
        // SAFETY: fields of our own context.
        unsafe {
            let c = enc.0;
            (*c).sample_rate = s.rate;
            set_raw!(c, sample_fmt, s.format.raw());
            (*c).time_base = sys::AVRational { num: 1, den: s.rate };
            set_layout(&mut (*c).ch_layout, s.layout_mask, s.channels)?;
            if global {
                (*c).flags |= sys::AV_CODEC_FLAG_GLOBAL_HEADER as c_int;
            }
        }
        enc.start(codec, options)
    }

    /// Samples per block that the encoder wants; 0 = any.
    pub(super) fn frame_size(&self) -> usize {
        // SAFETY: field of our own context.
        unsafe { (*self.0).frame_size.max(0) as usize }
    }

    /// Samples that the encoder puts in front.
    pub(super) fn padding(&self) -> i64 {
        // SAFETY: field of our own context.
        unsafe { i64::from((*self.0).initial_padding.max(0)) }
    }

    /// Gives a frame, or `None` to drain.
    pub(super) fn send(&mut self, frame: Option<&AvFrame>) -> AvResult<()> {
        // SAFETY: valid context; a null frame means the end.
        check(unsafe { sys::avcodec_send_frame(self.0, frame.map_or(ptr::null(), |f| f.0.cast_const())) }).map(|_| ())
    }

    /// Takes the next packet.
    pub(super) fn receive(&mut self, packet: &mut Packet) -> AvResult<Step> {
        // SAFETY: both valid; the call releases what the packet held.
        step(unsafe { sys::avcodec_receive_packet(self.0, packet.0) })
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: owned by us.
        unsafe { sys::avcodec_free_context(&mut self.0) };
    }
}

/// # Safety
/// `to` must be a valid layout.
unsafe fn set_layout(to: *mut sys::AVChannelLayout, mask: u64, channels: usize) -> AvResult<()> {
    // SAFETY: the caller's promise.
    unsafe {
        if mask == 0 || mask.count_ones() as usize != channels {
            sys::av_channel_layout_default(to, channels as c_int);
        } else {
            check(sys::av_channel_layout_from_mask(to, mask))?;
        }
    }
    Ok(())
}

/// A container being written.
pub(super) struct Output(*mut sys::AVFormatContext);

// SAFETY: used by one thread at a time.
unsafe impl Send for Output {}

impl Output {
    /// Opens the file for writing.
    pub(super) fn create(path: &Path, format: &str) -> AvResult<Self> {
        let url = url_of(path);
        let mut ctx = ptr::null_mut();
        // SAFETY: on success the context is ours; `Drop` frees it and its file.
        unsafe {
            check(sys::avformat_alloc_output_context2(&mut ctx, ptr::null(), c_text(format).as_ptr(), url.as_ptr()))?;
            let out = Output(ctx);
            (*ctx).flags |= sys::AVFMT_FLAG_BITEXACT;
            check(sys::avio_open(&mut (*ctx).pb, url.as_ptr(), sys::AVIO_FLAG_WRITE))?;
            Ok(out)
        }
    }

    /// Whether codec headers stand in the container rather than in the packets.
    pub(super) fn wants_global_headers(&self) -> bool {
        // SAFETY: static description of the format.
        unsafe { (*(*self.0).oformat).flags & sys::AVFMT_GLOBALHEADER != 0 }
    }

    /// Adds a stream for an encoder; times will be given in `time_base`.
    pub(super) fn add(&mut self, enc: &Encoder, time_base: (u32, u32), tag: Option<[u8; 4]>) -> AvResult<usize> {
        // SAFETY: the new stream belongs to the context; parameters are copied.
        unsafe {
            let s = sys::avformat_new_stream(self.0, ptr::null());
            if s.is_null() {
                return Err(AvError::NO_MEMORY);
            }
            check(sys::avcodec_parameters_from_context((*s).codecpar, enc.0))?;
            if let Some(tag) = tag {
                (*(*s).codecpar).codec_tag = u32::from_le_bytes(tag);
            }
            (*s).time_base = sys::AVRational { num: time_base.0 as c_int, den: time_base.1 as c_int };
            (*s).sample_aspect_ratio = (*enc.0).sample_aspect_ratio;
            if (*enc.0).framerate.num > 0 {
                (*s).avg_frame_rate = (*enc.0).framerate;
            }
            (*s).disposition = if (*s).index == 0 { sys::AV_DISPOSITION_DEFAULT } else { 0 };
            Ok((*s).index as usize)
        }
    }

    /// Adds a stream of text with a head of its own; times will be given in `time_base`. Nothing else is said about it.
    pub(super) fn add_text(
        &mut self,
        codec: &str,
        header: &[u8],
        time_base: (u32, u32),
        tag: Option<[u8; 4]>,
    ) -> AvResult<usize> {
        let size = c_int::try_from(header.len()).or(Err(AvError::INVALID_DATA))?;
        // SAFETY: the description is static; the new stream belongs to the context; the head gets memory of the library's own, with
        // the padding that it asks for, and is freed with the stream.
        unsafe {
            let known = sys::avcodec_descriptor_get_by_name(c_text(codec).as_ptr()).as_ref();
            let known = known.ok_or(AvError(sys::AVERROR_ENCODER_NOT_FOUND))?;
            let s = sys::avformat_new_stream(self.0, ptr::null());
            if s.is_null() {
                return Err(AvError::NO_MEMORY);
            }
            let p = (*s).codecpar;
            (*p).codec_type = sys::AVMediaType::AVMEDIA_TYPE_SUBTITLE;
            (*p).codec_id = known.id;
            (*p).codec_tag = tag.map_or(0, u32::from_le_bytes);
            if size > 0 {
                let room = header.len() + sys::AV_INPUT_BUFFER_PADDING_SIZE as usize;
                let memory = sys::av_mallocz(room).cast::<u8>();
                if memory.is_null() {
                    return Err(AvError::NO_MEMORY);
                }
                ptr::copy_nonoverlapping(header.as_ptr(), memory, header.len());
                ((*p).extradata, (*p).extradata_size) = (memory, size);
            }
            (*s).time_base = sys::AVRational { num: time_base.0 as c_int, den: time_base.1 as c_int };
            (*s).disposition = 0;
            Ok((*s).index as usize)
        }
    }

    /// Attaches mastering-display (`true`) or content-light data to a stream.
    pub(super) fn add_hdr(&mut self, stream: usize, mastering: bool, data: &[u8]) -> AvResult<()> {
        use sys::AVPacketSideDataType::{AV_PKT_DATA_CONTENT_LIGHT_LEVEL, AV_PKT_DATA_MASTERING_DISPLAY_METADATA};
        let kind = if mastering { AV_PKT_DATA_MASTERING_DISPLAY_METADATA } else { AV_PKT_DATA_CONTENT_LIGHT_LEVEL };
        // SAFETY: the stream exists; the new buffer has room for the data.
        unsafe {
            if stream >= (*self.0).nb_streams as usize {
                return Err(AvError::INVALID_DATA);
            }
            let p = sys::av_stream_new_side_data(*(*self.0).streams.add(stream), kind, data.len());
            if p.is_null() {
                return Err(AvError::NO_MEMORY);
            }
            ptr::copy_nonoverlapping(data.as_ptr(), p, data.len());
        }
        Ok(())
    }

    /// Writes the header; unknown options are an error.
    pub(super) fn header(&mut self, options: &[(&str, String)]) -> AvResult<()> {
        let mut dict = Dict::new(options);
        // SAFETY: our own context and dictionary.
        check(unsafe { sys::avformat_write_header(self.0, &mut dict.0) })?;
        if dict.0.is_null() { Ok(()) } else { Err(AvError(sys::AVERROR_OPTION_NOT_FOUND)) }
    }

    /// The time base that the container chose for a stream.
    pub(super) fn time_base(&self, stream: usize) -> (c_int, c_int) {
        // SAFETY: checked against the number of streams.
        unsafe {
            if stream < (*self.0).nb_streams as usize {
                ratio((**(*self.0).streams.add(stream)).time_base)
            } else {
                (1, 1000)
            }
        }
    }

    /// Writes a packet in the order of time; its bytes are taken.
    pub(super) fn write(&mut self, packet: &mut Packet) -> AvResult<()> {
        // SAFETY: both valid; the packet is left empty.
        check(unsafe { sys::av_interleaved_write_frame(self.0, packet.0) })?;
        self.io_state()
    }

    fn io_state(&self) -> AvResult<()> {
        // SAFETY: the I/O context is null or valid.
        check(unsafe { (*self.0).pb.as_ref().map_or(0, |pb| pb.error) }).map(|_| ())
    }

    /// Writes the trailer and closes the file.
    pub(super) fn finish(mut self) -> AvResult<()> {
        // SAFETY: our own context; the header was written by the only caller.
        let code = unsafe { sys::av_write_trailer(self.0) };
        let late = self.io_state();
        let closed = self.close();
        check(code)?;
        late?;
        closed
    }

    fn close(&mut self) -> AvResult<()> {
        // SAFETY: null or our own I/O context; set to null by the call.
        check(unsafe { sys::avio_closep(&mut (*self.0).pb) }).map(|_| ())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // The file is a part file; whoever drops a writer early deletes it, so a failed close changes nothing.
        let _closed = self.close();
        // SAFETY: owned by us.
        unsafe { sys::avformat_free_context(self.0) };
    }
}

/// Nearest whole tick of `to` for a tick count in `from`.
pub(super) fn rescale(v: i64, from: (i64, i64), to: (i64, i64)) -> i64 {
    let num = i128::from(v) * i128::from(from.0) * i128::from(to.1);
    let den = (i128::from(from.1) * i128::from(to.0)).max(1);
    let half = if num < 0 { -den / 2 } else { den / 2 };
    i64::try_from((num + half) / den).unwrap_or(if num < 0 { i64::MIN / 4 } else { i64::MAX / 4 })
}

/// Converts pictures between pixel formats of one size.
pub(super) struct Scaler(*mut sys::SwsContext);

// SAFETY: used by one thread at a time.
unsafe impl Send for Scaler {}

impl Scaler {
    /// `src`/`dst`: format, matrix code point, full range.
    pub(super) fn new(
        width: usize,
        height: usize,
        src: (PixFmt, c_int, bool),
        dst: (PixFmt, c_int, bool),
    ) -> AvResult<Self> {
        let flags = sys::SWS_BICUBIC
            | sys::SWS_ACCURATE_RND
            | sys::SWS_BITEXACT
            | sys::SWS_FULL_CHR_H_INT
            | sys::SWS_FULL_CHR_H_INP;
        let (w, h) = (width as c_int, height as c_int);
        // SAFETY: sizes and formats are checked by the call; the tables of coefficients are static.
        unsafe {
            let ctx = sys::sws_getContext(
                w,
                h,
                src.0.as_enum(),
                w,
                h,
                dst.0.as_enum(),
                flags,
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null(),
            );
            if ctx.is_null() {
                return Err(AvError(-libc::EINVAL));
            }
            let table = |m: c_int| sys::sws_getCoefficients(m);
            // The result tells only that grey or RGB needs no matrix.
            let _ignored = sys::sws_setColorspaceDetails(
                ctx,
                table(src.1),
                c_int::from(src.2),
                table(dst.1),
                c_int::from(dst.2),
                0,
                1 << 16,
                1 << 16,
            );
            Ok(Scaler(ctx))
        }
    }

    /// Converts rows `first`, `first + every`, … (`every` 1 = the whole picture, 2 = one field).
    pub(super) fn run(
        &mut self,
        src: &AvFrame,
        dst: &mut AvFrame,
        first: usize,
        every: usize,
        rows: usize,
    ) -> AvResult<()> {
        // SAFETY: strides and starts are those of the two frames, stepped by whole rows that exist.
        unsafe {
            if sys::av_frame_is_writable(dst.0) <= 0 {
                return Err(AvError(-libc::EINVAL));
            }
            let walk = |f: *mut sys::AVFrame| {
                let mut data = [ptr::null_mut::<u8>(); 8];
                let mut stride = [0; 8];
                for i in 0..8 {
                    if !(*f).data[i].is_null() {
                        data[i] = (*f).data[i].offset((*f).linesize[i] as isize * first as isize);
                        stride[i] = (*f).linesize[i] * every as c_int;
                    }
                }
                (data, stride)
            };
            let (from, from_stride) = walk(src.0);
            let (to, to_stride) = walk(dst.0);
            let sources: [*const u8; 8] = from.map(|p| p.cast_const());
            check(sys::sws_scale(
                self.0,
                sources.as_ptr(),
                from_stride.as_ptr(),
                0,
                rows as c_int,
                to.as_ptr(),
                to_stride.as_ptr(),
            ))?;
        }
        Ok(())
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        // SAFETY: owned by us.
        unsafe { sys::sws_freeContext(self.0) };
    }
}

/// Changes the rate of planar `f32` sound.
pub(super) struct Resampler {
    ctx: *mut sys::SwrContext,
    channels: usize,
    rates: (c_int, c_int),
}

// SAFETY: used by one thread at a time.
unsafe impl Send for Resampler {}

impl Resampler {
    pub(super) fn new(channels: usize, from: c_int, to: c_int) -> AvResult<Self> {
        let format = sys::AVSampleFormat::AV_SAMPLE_FMT_FLTP;
        let mut r = Resampler { ctx: ptr::null_mut(), channels, rates: (from, to) };
        // SAFETY: the layout is zero memory, which is valid, then filled; the context is freed by `Drop`.
        unsafe {
            let mut layout: sys::AVChannelLayout = std::mem::zeroed();
            sys::av_channel_layout_default(&mut layout, channels as c_int);
            check(sys::swr_alloc_set_opts2(
                &mut r.ctx,
                &mut layout,
                format,
                to,
                &mut layout,
                format,
                from,
                0,
                ptr::null_mut(),
            ))?;
            check(sys::swr_init(r.ctx))?;
        }
        Ok(r)
    }

    /// Converts a block; `None` drains.
    pub(super) fn push(&mut self, input: Option<&[Vec<f32>]>) -> AvResult<Vec<Vec<f32>>> {
        let n = input.and_then(|c| c.iter().map(Vec::len).min()).unwrap_or(0);
        if input.is_some_and(|c| c.len() != self.channels) {
            return Err(AvError(-libc::EINVAL));
        }
        let room = (n as i64 * i64::from(self.rates.1) / i64::from(self.rates.0.max(1)) + 65_536) as usize;
        let mut out = vec![vec![0.0f32; room]; self.channels];
        let mut to: Vec<*mut u8> = out.iter_mut().map(|c| c.as_mut_ptr().cast()).collect();
        let mut from: Vec<*const u8> = input.unwrap_or(&[]).iter().map(|c| c.as_ptr().cast()).collect();
        let source = if input.is_some() { from.as_mut_ptr() } else { ptr::null_mut() };
        // SAFETY: one pointer per channel on both sides, with `n` and `room` samples behind each.
        let made = check(unsafe { sys::swr_convert(self.ctx, to.as_mut_ptr(), room as c_int, source, n as c_int) })?;
        out.iter_mut().for_each(|c| c.truncate(made as usize));
        Ok(out)
    }
}

impl Drop for Resampler {
    fn drop(&mut self) {
        // SAFETY: null or owned by us.
        unsafe { sys::swr_free(&mut self.ctx) };
    }
}

/// Keeps the linker honest about the version that was found; shown by diagnostics.
pub(super) fn library_version() -> String {
    // SAFETY: returns a static string.
    text_of(unsafe { sys::av_version_info() })
}

const _: () = assert!(size_of::<c_int>() == 4 && size_of::<*mut c_void>() == 8);
