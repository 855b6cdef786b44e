//! Lists the doubles under `models/doubles`, so that they are embedded in the program.

use std::fmt::Write as _;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let root = std::env::var("CARGO_MANIFEST_DIR").map_err(std::io::Error::other)?;
    let target = std::env::var("OUT_DIR").map_err(std::io::Error::other)?;
    let doubles = Path::new(&root).join("models/doubles");
    println!("cargo::rerun-if-changed=models/doubles");
    let mut list = String::from("&[\n");
    for dir in sorted(&doubles)? {
        let (card, shapes) = (dir.join("double.toml"), dir.join("shapes.json"));
        if !card.is_file() || !shapes.is_file() {
            continue;
        }
        let pictures: String = sorted(&dir)?
            .iter()
            .filter(|p| p.extension().is_some_and(|e| e == "jpg" || e == "png"))
            .filter_map(|p| Some(format!("({:?}, include_bytes!({p:?})), ", p.file_name()?.to_str()?)))
            .collect();
        writeln!(
            list,
            "Shipped {{ card: include_str!({card:?}), shapes: include_str!({shapes:?}), pictures: &[{pictures}] }},"
        )
        .map_err(std::io::Error::other)?;
    }
    list.push(']');
    std::fs::write(Path::new(&target).join("shipped_doubles.rs"), list)
}

/// Entries of a folder by name.
fn sorted(dir: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
    let mut all: Vec<_> = std::fs::read_dir(dir)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    all.sort();
    Ok(all)
}
