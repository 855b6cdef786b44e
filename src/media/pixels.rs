//! Decoder pictures to planar frames and back. Samples are moved, never resampled.

use super::ffi::{AvFrame, Component, PixDesc, PixFmt};
use crate::image::{ColorModel, Frame, PixelLayout, Plane, Samples};
use crate::{Error, Result};

/// Bit depths for which planar formats exist.
const DEPTHS: [u32; 6] = [8, 9, 10, 12, 14, 16];

/// How pictures of one pixel format become planes.
#[derive(Debug, Clone)]
pub(super) struct Unpacker {
    desc: PixDesc,
    /// Layout of the planes that come out.
    pub layout: PixelLayout,
    /// The format itself says "full range" (the yuvj formats do).
    pub full_range: bool,
}

impl Unpacker {
    /// Plans the conversion.
    ///
    /// # Errors
    /// `Unsupported` for formats without readable components.
    pub(super) fn new(format: PixFmt) -> Result<Self> {
        let desc = format.describe().ok_or_else(|| Error::Unsupported("the pictures have an unknown format".into()))?;
        let unsupported = || {
            Error::Unsupported(format!(
                "pictures of format {} cannot be read; convert the film to H.264 or FFV1 first",
                desc.name
            ))
        };
        let mono = desc.name.starts_with("mono");
        if desc.opaque || desc.components.is_empty() || (desc.bitstream && !mono) {
            return Err(unsupported());
        }
        let colors = desc.components.len() - usize::from(desc.alpha && !desc.palette);
        let model = match (desc.rgb || desc.palette, colors) {
            (true, _) => ColorModel::Gbr,
            (false, 1) => ColorModel::Gray,
            (false, 3..) => ColorModel::Yuv,
            _ => return Err(unsupported()),
        };
        let widest = desc.components.iter().map(|c| c.depth).max().unwrap_or(8);
        let wanted = if desc.float { 16 } else { widest };
        let depth = *DEPTHS.iter().find(|d| **d >= wanted).ok_or_else(unsupported)? as u8;
        let (log2_chroma_w, log2_chroma_h) =
            if model == ColorModel::Yuv { (desc.log2_chroma_w, desc.log2_chroma_h) } else { (0, 0) };
        let full_range = desc.name.starts_with("yuvj");
        Ok(Unpacker { layout: PixelLayout { model, depth, log2_chroma_w, log2_chroma_h }, desc, full_range })
    }

    /// Copies a picture out.
    ///
    /// # Errors
    /// `Input` if the picture's memory is smaller than its format says.
    pub(super) fn unpack(&self, picture: &AvFrame, width: usize, height: usize) -> Result<Vec<Plane>> {
        let broken = || Error::Input("a picture came out of the decoder with too little data".into());
        if self.desc.palette {
            return unpack_palette(picture, width, height).ok_or_else(broken);
        }
        (0..self.layout.planes())
            .map(|i| {
                let (w, h) = self.layout.plane_size(i, width, height);
                self.plane(picture, self.component(i), w, h).ok_or_else(broken)
            })
            .collect()
    }

    /// The component that fills plane `i`; the libraries count R, G, B, we store G, B, R.
    fn component(&self, i: usize) -> Component {
        let k = if self.layout.model == ColorModel::Gbr { [1, 2, 0][i] } else { i };
        self.desc.components[k.min(self.desc.components.len() - 1)]
    }

    fn plane(&self, picture: &AvFrame, c: Component, w: usize, h: usize) -> Option<Plane> {
        let depth = u32::from(self.layout.depth);
        let native = cfg!(target_endian = "big") == self.desc.big_endian;
        let plain = c.shift == 0 && c.offset == 0 && c.depth == depth && !self.desc.float && !self.desc.bitstream;
        let samples = if depth == 8 && plain && c.step == 1 {
            let mut v = Vec::with_capacity(w * h);
            for y in 0..h {
                v.extend_from_slice(picture.row(c.plane, y, w)?);
            }
            Samples::U8(v)
        } else if plain && native && c.step == 2 && depth > 8 {
            let mut v = Vec::with_capacity(w * h);
            for y in 0..h {
                let row = picture.row(c.plane, y, w * 2)?;
                v.extend(row.chunks_exact(2).map(|b| u16::from_ne_bytes([b[0], b[1]])));
            }
            Samples::U16(v)
        } else {
            let v = self.gather(picture, c, w, h)?;
            if depth > 8 { Samples::U16(v) } else { Samples::U8(v.into_iter().map(|s| s as u8).collect()) }
        };
        Some(Plane { width: w, height: h, samples })
    }

    /// Any readable component, sample by sample: interleaved, shifted, other byte order, float, single bits.
    fn gather(&self, picture: &AvFrame, c: Component, w: usize, h: usize) -> Option<Vec<u16>> {
        let max = (1u32 << self.layout.depth) - 1;
        let own = if c.depth >= 32 { u32::MAX } else { (1u32 << c.depth) - 1 };
        let size = if self.desc.float {
            4
        } else if c.depth + c.shift > 8 {
            2
        } else {
            1
        };
        let mut out = Vec::with_capacity(w * h);
        if self.desc.bitstream {
            let white_is_zero = self.desc.name == "monow";
            for y in 0..h {
                let row = picture.row(c.plane, y, w.div_ceil(8))?;
                out.extend((0..w).map(|x| if (row[x / 8] >> (7 - x % 8) & 1 == 1) != white_is_zero { 255 } else { 0 }));
            }
            return Some(out);
        }
        let len = w.checked_sub(1)?.checked_mul(c.step)?.checked_add(c.offset + size)?;
        for y in 0..h {
            let row = picture.row(c.plane, y, len)?;
            for x in 0..w {
                let at = x * c.step + c.offset;
                let v = match (size, self.desc.big_endian) {
                    (1, _) => u32::from(row[at]),
                    (2, false) => u32::from(u16::from_le_bytes([row[at], row[at + 1]])),
                    (2, true) => u32::from(u16::from_be_bytes([row[at], row[at + 1]])),
                    (_, big) => {
                        let b = [row[at], row[at + 1], row[at + 2], row[at + 3]];
                        let f = if big { f32::from_be_bytes(b) } else { f32::from_le_bytes(b) };
                        // NaN becomes 0 by the rules of `as`.
                        out.push((f.clamp(0.0, 1.0) * max as f32 + 0.5) as u16);
                        continue;
                    }
                };
                let v = v >> c.shift & own;
                let v = if own == max { v } else { widen(v, own, max, self.layout.model) };
                out.push(v.min(max) as u16);
            }
        }
        Some(out)
    }
}

/// A sample of a component with fewer bits than the layout: scaled for RGB, shifted for YUV.
fn widen(v: u32, own: u32, max: u32, model: ColorModel) -> u32 {
    if model == ColorModel::Yuv { v * ((max + 1) / (own + 1)) } else { (v * max + own / 2) / own.max(1) }
}

fn unpack_palette(picture: &AvFrame, width: usize, height: usize) -> Option<Vec<Plane>> {
    let palette = picture.row(1, 0, 1024)?;
    let mut table = [[0u8; 3]; 256];
    for (entry, b) in table.iter_mut().zip(palette.chunks_exact(4)) {
        let argb = u32::from_ne_bytes([b[0], b[1], b[2], b[3]]);
        *entry = [(argb >> 8) as u8, argb as u8, (argb >> 16) as u8];
    }
    let mut planes = [const { Vec::new() }; 3];
    planes.iter_mut().for_each(|p| p.reserve(width * height));
    for y in 0..height {
        for &i in picture.row(0, y, width)? {
            for (plane, v) in planes.iter_mut().zip(table[usize::from(i)]) {
                plane.push(v);
            }
        }
    }
    Some(planes.into_iter().map(|v| Plane { width, height, samples: Samples::U8(v) }).collect())
}

/// The planar pixel format of a layout; `None` if the libraries have none.
pub(super) fn format_of(layout: PixelLayout) -> Option<PixFmt> {
    let stem = match (layout.model, layout.log2_chroma_w, layout.log2_chroma_h) {
        (ColorModel::Gray, _, _) => "gray",
        (ColorModel::Gbr, _, _) => "gbrp",
        (ColorModel::Yuv, 0, 0) => "yuv444p",
        (ColorModel::Yuv, 1, 0) => "yuv422p",
        (ColorModel::Yuv, 1, 1) => "yuv420p",
        (ColorModel::Yuv, 0, 1) => "yuv440p",
        (ColorModel::Yuv, 2, 0) => "yuv411p",
        (ColorModel::Yuv, 2, 2) => "yuv410p",
        _ => return None,
    };
    if layout.depth == 8 {
        return PixFmt::named(stem);
    }
    let end = if cfg!(target_endian = "big") { "be" } else { "le" };
    PixFmt::named(&format!("{stem}{}{end}", layout.depth))
}

/// Copies the planes of `frame` into `picture`, which has the format of [`format_of`]`(frame.layout)`.
///
/// # Errors
/// `Output` if the shapes do not agree.
pub(super) fn fill(picture: &mut AvFrame, frame: &Frame) -> Result<()> {
    let broken = || Error::Output("a frame does not have the shape that the encoder was opened for".into());
    if frame.planes.len() != frame.layout.planes() {
        return Err(broken());
    }
    for (i, plane) in frame.planes.iter().enumerate() {
        let (w, h) = frame.layout.plane_size(i, frame.width, frame.height);
        if (plane.width, plane.height) != (w, h) || plane.samples.len() != w * h {
            return Err(broken());
        }
        for y in 0..h {
            match &plane.samples {
                Samples::U8(v) if frame.layout.depth == 8 => {
                    picture.row_mut(i, y, w).ok_or_else(broken)?.copy_from_slice(&v[y * w..(y + 1) * w]);
                }
                Samples::U16(v) if frame.layout.depth > 8 => {
                    let row = picture.row_mut(i, y, w * 2).ok_or_else(broken)?;
                    for (b, s) in row.chunks_exact_mut(2).zip(&v[y * w..(y + 1) * w]) {
                        b.copy_from_slice(&s.to_ne_bytes());
                    }
                }
                _ => return Err(broken()),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(format: &str, width: usize, rows: &[(usize, &[&[u8]])]) -> (AvFrame, Unpacker) {
        let fmt = PixFmt::named(format).unwrap();
        let height = rows[0].1.len();
        let mut f = AvFrame::picture(width, height, fmt).unwrap();
        for (plane, lines) in rows {
            for (y, line) in lines.iter().enumerate() {
                f.row_mut(*plane, y, line.len()).unwrap().copy_from_slice(line);
            }
        }
        (f, Unpacker::new(fmt).unwrap())
    }

    fn planes(format: &str, width: usize, rows: &[(usize, &[&[u8]])]) -> Vec<Samples> {
        let (f, u) = picture(format, width, rows);
        u.unpack(&f, width, rows[0].1.len()).unwrap().into_iter().map(|p| p.samples).collect()
    }

    #[test]
    fn packed_formats_fall_into_planes() {
        let rgb = planes("rgb24", 2, &[(0, &[&[1, 2, 3, 4, 5, 6]])]);
        assert_eq!(rgb, [Samples::U8(vec![2, 5]), Samples::U8(vec![3, 6]), Samples::U8(vec![1, 4])]);
        let bgra = planes("bgra", 1, &[(0, &[&[3, 2, 1, 77]])]);
        assert_eq!(bgra, [Samples::U8(vec![2]), Samples::U8(vec![3]), Samples::U8(vec![1])]);
        let nv12 = planes("nv12", 2, &[(0, &[&[1, 2], &[3, 4]]), (1, &[&[9, 8]])]);
        assert_eq!(nv12, [Samples::U8(vec![1, 2, 3, 4]), Samples::U8(vec![9]), Samples::U8(vec![8])]);
        let yuyv = planes("yuyv422", 2, &[(0, &[&[1, 9, 2, 8]])]);
        assert_eq!(yuyv, [Samples::U8(vec![1, 2]), Samples::U8(vec![9]), Samples::U8(vec![8])]);
        let mono = planes("monow", 3, &[(0, &[&[0b0100_0000]])]);
        assert_eq!(mono, [Samples::U8(vec![255, 0, 255])]);
    }

    #[test]
    fn deep_formats_keep_every_bit() {
        let p010 =
            planes("p010le", 2, &[(0, &[&[0x40, 0x00, 0xc0, 0xff], &[0, 0, 0, 0x80]]), (1, &[&[0, 0x80, 0xc0, 0xff]])]);
        assert_eq!(p010, [Samples::U16(vec![1, 1023, 0, 512]), Samples::U16(vec![512]), Samples::U16(vec![1023])]);
        let big = planes("gray10be", 2, &[(0, &[&[0x03, 0xff, 0x00, 0x01]])]);
        assert_eq!(big, [Samples::U16(vec![1023, 1])]);
        let wide = planes("rgb48be", 1, &[(0, &[&[0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc]])]);
        assert_eq!(wide, [Samples::U16(vec![0x5678]), Samples::U16(vec![0x9abc]), Samples::U16(vec![0x1234])]);
        let float = planes("grayf32le", 2, &[(0, &[&[0, 0, 0x80, 0x3f, 0, 0, 0xc0, 0x7f]])]);
        assert_eq!(float, [Samples::U16(vec![65535, 0])]);
    }

    #[test]
    fn palettes_are_looked_up() {
        let mut palette = [0u8; 1024];
        palette[4..8].copy_from_slice(&0xff11_2233u32.to_ne_bytes());
        let p = planes("pal8", 2, &[(0, &[&[1, 0]]), (1, &[&palette])]);
        assert_eq!(p, [Samples::U8(vec![0x22, 0]), Samples::U8(vec![0x33, 0]), Samples::U8(vec![0x11, 0])]);
    }

    #[test]
    fn formats_on_devices_are_refused() {
        assert!(matches!(Unpacker::new(PixFmt::named("cuda").unwrap()), Err(Error::Unsupported(_))));
        assert!(matches!(Unpacker::new(PixFmt::named("bayer_rggb8").unwrap()), Err(Error::Unsupported(_))));
    }
}
