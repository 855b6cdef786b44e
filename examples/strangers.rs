//! Makes `models/strangers`: vectors of portraits by every recogniser at hand.
//!
//! `strangers OUT_FOLDER PORTRAIT...`: one portrait per person. Networks are found as the program finds them
//! (`UNDERSTUDY_MODELS`), and those that are built in.

use sha2::Digest;
use std::error::Error;
use std::path::{Path, PathBuf};
use understudy::infer::{Device, ModelSet, Role, Runtime};
use understudy::vision::Embedder;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let out = args.next().ok_or("say: strangers OUT_FOLDER PORTRAIT...")?;
    let portraits: Vec<PathBuf> = args.collect();
    let runtime = Runtime::load(None, Device::Cpu)?;
    for models in [ModelSet::discover(&ModelSet::search_path(&[]))?, ModelSet::discover(&[])?] {
        make(&models, &runtime, &portraits, &out)?;
    }
    Ok(())
}

/// Writes the set of the strongest recogniser of `models`.
fn make(models: &ModelSet, runtime: &Runtime, portraits: &[PathBuf], out: &Path) -> Result<(), Box<dyn Error>> {
    let network = models.best(Role::Embedding).ok_or("no recogniser")?;
    let mut embedder = Embedder::new(models, runtime)?;
    let (mut count, mut size, mut values) = (0u32, 0u32, Vec::new());
    for path in portraits {
        let Some(face) = embedder.embed_picture(path)? else { continue };
        let top = face.0.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
        values.extend(face.0.iter().flat_map(|v| ((v / top * 127.0).round() as i8).to_le_bytes()));
        (count, size) = (count + 1, u32::try_from(face.0.len())?);
    }
    let mut file = b"STRANGE1".to_vec();
    let hash = network
        .entry
        .sha256
        .as_bytes()
        .chunks(2)
        .map(|h| u8::from_str_radix(std::str::from_utf8(h)?, 16).map_err(Into::into));
    file.extend(hash.collect::<Result<Vec<u8>, Box<dyn Error>>>()?);
    file.extend(count.to_le_bytes());
    file.extend(size.to_le_bytes());
    file.extend(values);
    let path = out.join(format!("{}.bin", network.entry.name));
    std::fs::write(&path, &file)?;
    println!("{}: {count} of {} portraits, {:x}", path.display(), portraits.len(), sha2::Sha256::digest(&file));
    Ok(())
}
