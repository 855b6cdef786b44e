//! Developer's tool: `render_clip CLIP DOUBLE OUT [halo]` draws a double over a folder of `NNNN.png` frames with
//! `lm.bin` (478 × 3 little-endian f32 per frame, NaN where there is no face).

use anyhow::{Context, Result};
use std::path::Path;
use std::time::Instant;
use understudy::image::{ColorDesc, ColorModel, Frame, Matte, PixelLayout, RgbPatch};
use understudy::swap::{self, LightProbe, LightSmoother, Mesh};

fn load(path: &Path) -> Result<Frame> {
    let img = image::open(path)?.into_rgb8();
    let (w, h) = (img.width() as usize, img.height() as usize);
    let layout = PixelLayout { model: ColorModel::Gbr, depth: 8, log2_chroma_w: 0, log2_chroma_h: 0 };
    let mut f = Frame::black(w, h, layout, ColorDesc::default());
    let data = img.as_raw().iter().map(|v| f32::from(*v) / 255.0).collect();
    f.blend_rgb(0, 0, &RgbPatch { width: w, height: h, data }, &Matte::filled(w, h, 1.0));
    Ok(f)
}

fn save(frame: &Frame, path: &Path) -> Result<()> {
    let rect = understudy::geom::PixelRect { x: 0, y: 0, width: frame.width, height: frame.height };
    let raw = frame.read_rgb(rect).data.iter().map(|v| (v * 255.0 + 0.5) as u8).collect();
    let img = image::RgbImage::from_raw(frame.width as u32, frame.height as u32, raw).context("size")?;
    img.save(path)?;
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, clip, double, out, rest @ ..] = &args[..] else { anyhow::bail!("render_clip CLIP DOUBLE OUT [halo]") };
    let (clip, out) = (Path::new(clip), Path::new(out));
    std::fs::create_dir_all(out)?;
    let raw = std::fs::read(clip.join("lm.bin"))?;
    let floats: Vec<f32> = raw.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let track: Vec<Option<Vec<[f32; 3]>>> = floats
        .chunks_exact(478 * 3)
        .map(|f| f[0].is_finite().then(|| f.chunks_exact(3).map(|p| [p[0], p[1], p[2]]).collect()))
        .collect();
    let mesh = Mesh::embedded()?;
    let t = Instant::now();
    let double = if Path::new(double).is_dir() { swap::library::load_folder(&mesh, Path::new(double))? } else { swap::DoubleLibrary::shipped()?.load(&mesh, double)? };
    println!("double {:?}: {} exemplars", t.elapsed(), double.exemplars().len());
    let faces: Vec<_> = track.iter().flatten().cloned().collect();
    let neutral = swap::estimate_neutral(&mesh, &faces).context("no face")?;
    println!("lid floor {:.2} neutral lids {:.3}/{:.3} mouth {:.3}", neutral.lid_floor, mesh.lid_aperture(&neutral.shape), mesh.lid_aperture(double.shape()), mesh.mouth_opening(&neutral.shape));
    let t = Instant::now();
    let plan = swap::plan_motion(&mesh, &double, &neutral, &track, 25.0);
    println!("plan {:?} per frame", t.elapsed() / track.len() as u32);
    let frames: Vec<Frame> = (0..track.len()).map(|i| load(&clip.join(format!("{i:04}.png")))).collect::<Result<_>>()?;
    let t = Instant::now();
    let probes: Vec<Option<LightProbe>> = frames
        .iter()
        .zip(&plan)
        .map(|(f, m)| m.as_ref().and_then(|m| swap::probe_light(&mesh, f, &m.subject).ok()))
        .collect();
    println!("probe {:?} per frame", t.elapsed() / track.len() as u32);
    let smoother = LightSmoother::default();
    let (mut drawing, mut compositing) = (std::time::Duration::ZERO, std::time::Duration::ZERO);
    for (i, mut frame) in frames.into_iter().enumerate() {
        if let Some((motion, light)) = plan[i].as_ref().zip(smoother.smooth(&probes, i)) {
            let t = Instant::now();
            let face = swap::render(&mesh, &double, motion, &light, (frame.width, frame.height), i as u64)?;
            drawing += t.elapsed();
            let t = Instant::now();
            swap::composite(&mesh, &mut frame, motion, &face, rest.first().map_or(Ok(0.0), |h| h.parse())?)?;
            compositing += t.elapsed();
            if i % 10 == 0 {
                println!(
                    "{i} scale {:.0} yaw {:.0} pitch {:.0} gap {:.0} fit {:.3} grain {:.4} contrast {:.3} sharp {:.4} black {:.2} mouth {:?} eyes {:?}",
                    motion.scale, motion.yaw.to_degrees(), motion.pitch.to_degrees(), motion.pose_gap.to_degrees(),
                    motion.fit_residual, light.grain(), light.contrast(), light.sharpness(), light.black(), motion.mixes[1], motion.mixes[2]
                );
            }
        }
        save(&frame, &out.join(format!("{i:04}.png")))?;
    }
    println!("render {:?} composite {:?} per frame", drawing / track.len() as u32, compositing / track.len() as u32);
    Ok(())
}
