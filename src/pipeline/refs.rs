//! Whom the reference pictures of a cast mean.

use crate::infer::{ModelSet, Role, Runtime};
use crate::plan::{Cast, FaceChoice, Plan};
use crate::vision::Embedder;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// People of the plan that the reference pictures of each cast entry mean.
///
/// Everybody within the usual margin of a picture belongs to the entry; for `keep` a wide margin is asked for, and
/// when it is not met nobody is kept.
///
/// # Errors
/// `Plan` for a pattern without pictures, `Model` if the recogniser fails.
pub fn match_refs(cast: &Cast, plan: &Plan, models: &ModelSet, runtime: &Runtime) -> Result<Vec<Vec<u32>>> {
    if cast.people.iter().all(|p| p.refs.is_empty()) {
        return Ok(vec![]);
    }
    if models.is_built_in(Role::Embedding) {
        return Err(Error::Usage(
            "the built-in recogniser is too weak to tell people by `refs`: install a pack (`understudy models add DIR`), or list the person's `tracks` in the cast".into(),
        ));
    }
    let mut embedder = Embedder::new(models, runtime)?;
    let mut matched = Vec::new();
    for entry in &cast.people {
        let keep = entry.face.as_ref().is_some_and(|f| *f.get_ref() == FaceChoice::Keep);
        let margin = if keep { Embedder::WIDE_MARGIN } else { Embedder::MARGIN };
        let mut people = Vec::new();
        for pattern in &entry.refs {
            let files = expand(&cast.folder, pattern.get_ref())?;
            if files.is_empty() {
                let message = format!("no picture matches refs \"{}\"", pattern.get_ref());
                return Err(cast.error_at(pattern.span().start, &message));
            }
            for file in files {
                let Some(e) = embedder.embed_picture(&file)? else { continue };
                for p in &plan.people {
                    let cos: f32 = p.embedding.iter().zip(&e.0).map(|(a, b)| a * b).sum();
                    if cos >= margin && !people.contains(&p.id) {
                        people.push(p.id);
                    }
                }
            }
        }
        matched.push(people);
    }
    Ok(matched)
}

/// Files of a pattern with `*` in its last part, relative to `folder`, sorted.
fn expand(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let path = folder.join(pattern);
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let Some((head, tail)) = name.split_once('*') else {
        return Ok(if path.is_file() { vec![path] } else { vec![] });
    };
    let dir = path.parent().unwrap_or(folder);
    let entries = std::fs::read_dir(dir).map_err(|e| Error::io("cannot read the folder of `refs`", dir, e))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(std::result::Result::ok)
        .map(|e| e.path())
        .filter(|p| {
            let n = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            n.len() >= head.len() + tail.len() && n.starts_with(head) && n.ends_with(tail)
        })
        .collect();
    files.sort();
    Ok(files)
}
