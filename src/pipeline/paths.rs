//! Which files a job may read and write.

use crate::files::PartFile;
use crate::{Error, Result};
use std::path::Path;

/// Refuses an input that is no readable file.
///
/// # Errors
/// `Input`.
pub fn check_input(input: &Path) -> Result<()> {
    let meta = std::fs::metadata(input)
        .map_err(|e| Error::Input(format!("cannot open the input ({e}): {}", input.display())))?;
    if meta.is_dir() {
        return Err(Error::Input(format!(
            "the input is a folder (use `understudy archive` for folders): {}",
            input.display()
        )));
    }
    if meta.len() == 0 {
        return Err(Error::Input(format!("the input is empty: {}", input.display())));
    }
    Ok(())
}

/// Refuses an output that is the input, exists, or cannot be written.
///
/// # Errors
/// `Usage` or `Io`.
pub fn check_output(input: &Path, output: &Path, force: bool) -> Result<()> {
    if same_file(input, output) {
        return Err(Error::Usage(format!(
            "the output is the input; choose another name (the source is never overwritten): {}",
            output.display()
        )));
    }
    if output.is_dir() {
        return Err(Error::Usage(format!("the output is a folder; give a file name: {}", output.display())));
    }
    if output.exists() && !force {
        return Err(Error::Usage(format!("the output exists; remove it or add --force: {}", output.display())));
    }
    let folder = match output.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        return Err(Error::Output(format!("the output folder does not exist: {}", folder.display())));
    }
    drop(PartFile::create(output)?); // proves that the folder can be written before hours of work
    Ok(())
}

fn same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (std::fs::metadata(a), std::fs::metadata(b)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}
