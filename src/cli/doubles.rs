//! `double list|show|new|check`.

use super::args;
use super::context::{Context, confine, library};
use super::progress::out;
use crate::image::Frame;
use crate::plan::Plan;
use crate::swap::{self, Enrolled, Mesh};
use crate::vision::{Embedder, read_picture};
use crate::{Error, Result, files};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// `understudy double …`
pub(super) fn run(a: args::Double) -> Result<()> {
    match a {
        args::Double::List { doubles } => list(&doubles),
        args::Double::Show { name, output, doubles } => show(&name, &output, &doubles),
        args::Double::New { name, consent, output, photos, machine } => {
            confine(&machine, |access| {
                photos.iter().chain([&consent]).for_each(|p| access.read(p));
                access.write_beside(&output);
                access.write_in(&output);
            })?;
            new(&name, &consent, &output, &photos, &Context::new(&machine)?)
        }
        args::Double::Check { plan, name, doubles, kept, opens, machine } => {
            let (plan, _) = super::plans::open(&plan, &kept, &opens)?;
            confine(&machine, |access| doubles.iter().for_each(|p| access.read(p)))?;
            check(&plan, name.as_deref(), &doubles, &Context::new(&machine)?)
        }
    }
}

fn list(dirs: &[PathBuf]) -> Result<()> {
    for card in library(dirs)?.cards() {
        out(&format!("{:<10} {:<10} {}", card.name, format!("{:?}", card.kind).to_lowercase(), card.description));
    }
    Ok(())
}

/// A sheet: one row per turn of the head, one column per exemplar.
fn show(name: &str, output: &Path, dirs: &[PathBuf]) -> Result<()> {
    const SIDE: usize = 320;
    let mesh = Mesh::embedded()?;
    let double = library(dirs)?.load(&mesh, name)?;
    let turns = [-0.35f32, 0.0, 0.35];
    let columns = double.exemplars().len();
    let mut sheet = image::RgbImage::new((columns * SIDE) as u32, (turns.len() * SIDE) as u32);
    for (row, yaw) in turns.iter().enumerate() {
        for column in 0..columns {
            let picture = rgb_image(&swap::expression(&mesh, &double, column, *yaw, SIDE)?);
            image::imageops::replace(&mut sheet, &picture, (column * SIDE) as i64, (row * SIDE) as i64);
        }
    }
    sheet.save(output).map_err(|e| Error::Output(format!("cannot write the sheet ({e}): {}", output.display())))?;
    out(&format!("wrote {}", output.display()));
    Ok(())
}

fn rgb_image(frame: &Frame) -> image::RgbImage {
    let rect = crate::geom::PixelRect { x: 0, y: 0, width: frame.width, height: frame.height };
    let patch = frame.read_rgb(rect);
    image::RgbImage::from_fn(frame.width as u32, frame.height as u32, |x, y| {
        image::Rgb(patch.pixel(x as usize, y as usize).map(|v| (v.clamp(0.0, 1.0) * 255.0 + 0.5) as u8))
    })
}

/// Likeness and skin of every double against every person of a plan.
fn check(plan: &Plan, only: Option<&str>, dirs: &[PathBuf], context: &Context) -> Result<()> {
    let mesh = Mesh::embedded()?;
    let library = library(dirs)?;
    let choices = crate::pipeline::double_choices(&library, &mesh, &context.models, &context.runtime, plan)?;
    if let Some(name) = only
        && !choices.iter().any(|c| c.name == name)
    {
        return Err(Error::Plan(format!("there is no double \"{name}\" (see `understudy double list`)")));
    }
    for person in &plan.people {
        out(&format!("person {} ({} frames)", person.id, person.frames));
        if person.embedding.is_empty() {
            out("  never seen well enough to compare");
            continue;
        }
        let mut rows: Vec<(f32, &str, f32)> = choices
            .iter()
            .filter(|c| only.is_none_or(|n| n == c.name))
            .map(|c| {
                let cos: f32 = person.embedding.iter().zip(&c.embedding).map(|(a, b)| a * b).sum();
                let gap = c.skin.map_or(0.0, |s| s - crate::plan::lightness(person.tone));
                (cos, c.name.as_str(), gap)
            })
            .collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(b.1)));
        for (cos, name, gap) in rows {
            let word = match cos {
                c if c > 0.30 => "too alike: do not use",
                c if c > 0.20 => "rather alike",
                _ => "far enough",
            };
            out(&format!("  {name:<10} likeness {cos:+.2} ({word}), skin {gap:+.0} L*"));
        }
    }
    Ok(())
}

/// The volunteer's consent. All fields are required.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Consent {
    /// Who signed.
    signatory: String,
    /// When.
    date: String,
    /// What was agreed to.
    text: String,
    /// The signatory states to be of age.
    adult: bool,
}

fn read_consent(path: &Path) -> Result<Consent> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("cannot read the consent", path, e))?;
    let wrong = |why: String| Error::Usage(format!("the consent needs signatory, date, text and adult = true ({why})"));
    let consent: Consent = toml::from_str(&text).map_err(|e| wrong(e.message().replace('\n', " ")))?;
    let empty = |s: &str| s.trim().len() < 2;
    if empty(&consent.signatory) || empty(&consent.date) || empty(&consent.text) {
        return Err(wrong("a field is empty".into()));
    }
    if !consent.adult {
        return Err(wrong("`adult` is not true: children's faces are not enrolled".into()));
    }
    Ok(consent)
}

/// Largest turn and nod of a usable photograph, radians.
const MOST_TURN: f32 = 0.21;
/// Narrowest face of a usable photograph, pixels.
const LEAST_WIDTH_PX: f32 = 160.0;

fn new(name: &str, consent: &Path, output: &Path, photos: &[PathBuf], context: &Context) -> Result<()> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err(Error::Usage("the name of a double may hold letters, digits, - and _".into()));
    }
    let consent = read_consent(consent)?;
    let mesh = Mesh::embedded()?;
    let mut embedder = Embedder::new(&context.models, &context.runtime)?;
    let mut found: Vec<(String, Enrolled)> = Vec::new();
    for photo in photos {
        match look_at(&mesh, &mut embedder, photo)? {
            Ok(e) => found.push((plan_hash(photo)?, e)),
            Err(why) => out(&format!("not used: {}: {why}", photo.display())),
        }
    }
    let chosen = choose_roles(&found)?;
    let folder = output.join(name);
    std::fs::create_dir_all(&folder).map_err(|e| Error::io("cannot make the folder", &folder, e))?;
    write_double(name, &folder, &consent, &chosen, &found)?;
    swap::load_folder(&mesh, &folder)?; // it must load before it is called done
    out(&format!("enrolled {name} in {}; use it with --doubles {}", folder.display(), output.display()));
    Ok(())
}

fn plan_hash(path: &Path) -> Result<String> {
    crate::plan::fingerprint(path).map(|f| f.sha256)
}

/// The face of a photograph, or why it cannot be used.
fn look_at(mesh: &Mesh, embedder: &mut Embedder, photo: &Path) -> Result<std::result::Result<Enrolled, String>> {
    let picture = read_picture(photo)?;
    let Some(face) = embedder.largest(&picture)? else { return Ok(Err("no face".into())) };
    let Some(points) = embedder.landmarks(&picture, &face)? else { return Ok(Err("the face is not clear".into())) };
    let Some(e) = swap::enrol(mesh, &picture, &points.points)? else { return Ok(Err("the face is cut off".into())) };
    Ok(if e.width_px < LEAST_WIDTH_PX {
        Err(format!("the face is only {:.0} pixels wide; {LEAST_WIDTH_PX:.0} are needed", e.width_px))
    } else if e.yaw.abs() > MOST_TURN || e.pitch.abs() > MOST_TURN + 0.1 {
        Err("the head is turned; look into the camera".into())
    } else {
        Ok(e)
    })
}

/// Which photograph shows which expression; says what is missing.
fn choose_roles(found: &[(String, Enrolled)]) -> Result<Vec<(&'static str, usize)>> {
    let best = |score: &dyn Fn(&Enrolled) -> Option<f32>| {
        (0..found.len())
            .filter_map(|i| score(&found[i].1).map(|s| (i, s)))
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map(|b| b.0)
    };
    let neutral = best(&|e| (e.mouth_opening < 0.025 && e.lid_aperture > 0.045).then_some(-e.mouth_width));
    let Some(neutral) = neutral else {
        return Err(Error::Input("missing: a neutral face (eyes open, mouth closed, facing the camera)".into()));
    };
    let n = &found[neutral].1;
    let wide = n.mouth_width * 1.10;
    let smile = best(&|e| (e.mouth_width > wide && e.mouth_opening < 0.12).then_some(e.mouth_width));
    let open = best(&|e| (e.mouth_opening > 0.09 && e.mouth_width < wide * 1.1).then_some(e.mouth_opening));
    let shut = n.lid_aperture * 0.6;
    let closed = best(&|e| (e.lid_aperture < shut && e.mouth_opening < 0.05).then_some(-e.lid_aperture));
    let mut missing = vec![];
    for (found, what) in
        [(smile, "a smile with teeth"), (open, "a wide open mouth"), (closed, "closed eyes with the mouth closed")]
    {
        if found.is_none() {
            missing.push(what);
        }
    }
    match (smile, open, closed) {
        (Some(s), Some(o), Some(c)) => Ok(vec![("neutral", neutral), ("smile", s), ("open", o), ("closed", c)]),
        _ => Err(Error::Input(format!("missing: {}", missing.join(", ")))),
    }
}

fn write_double(
    name: &str,
    folder: &Path,
    consent: &Consent,
    chosen: &[(&'static str, usize)],
    found: &[(String, Enrolled)],
) -> Result<()> {
    let mut text = toml::Table::new();
    let mut put = |key: &str, value: toml::Value| {
        text.insert(key.into(), value);
    };
    put("name", name.into());
    put("kind", "volunteer".into());
    put("description", format!("volunteer, consent of {}", consent.date).into());
    put("signatory", consent.signatory.as_str().into());
    put("consent", consent.text.as_str().into());
    put("consent_date", consent.date.as_str().into());
    let mut exemplars = Vec::new();
    let mut shapes = Vec::new();
    for (role, i) in chosen {
        let (hash, e) = &found[*i];
        let file = format!("{role}.png");
        let mut png = std::io::Cursor::new(Vec::new());
        e.atlas
            .write_to(&mut png, image::ImageFormat::Png)
            .map_err(|e| Error::Output(format!("cannot encode an atlas: {e}")))?;
        files::write_private(&folder.join(&file), |f| f.write_all(png.get_ref()))?;
        let mut entry = toml::Table::new();
        entry.insert("role".into(), (*role).into());
        entry.insert("atlas".into(), file.into());
        entry.insert("shape".into(), (shapes.len() as i64).into());
        entry.insert("yaw_deg".into(), f64::from(e.yaw.to_degrees()).into());
        entry.insert("pitch_deg".into(), f64::from(e.pitch.to_degrees()).into());
        entry.insert("source_sha256".into(), hash.as_str().into());
        exemplars.push(toml::Value::Table(entry));
        shapes.push(&e.shape);
    }
    put("exemplar", toml::Value::Array(exemplars));
    let card = toml::to_string(&text).map_err(|e| Error::Output(e.to_string()))?;
    let shapes = serde_json::to_vec(&shapes).map_err(|e| Error::Output(e.to_string()))?;
    files::write_private(&folder.join("shapes.json"), |f| f.write_all(&shapes))?;
    files::write_private(&folder.join("double.toml"), |f| f.write_all(card.as_bytes()))
}
