//! `models list|verify|add`.

use super::args;
use super::context::device;
use super::progress::out;
use crate::infer::{Catalogue, ModelSet, ModelSource, Role, Runtime, add_pack, data_dir};
use crate::{Error, Result};

/// `understudy models …`
pub(super) fn run(a: args::Models) -> Result<()> {
    match a {
        args::Models::List { machine } => list(&ModelSet::discover(&ModelSet::search_path(&machine.models))?),
        args::Models::Verify { machine } => {
            let models = ModelSet::discover(&ModelSet::search_path(&machine.models))?;
            models.require()?;
            let runtime = Runtime::load(None, device(machine.device))?;
            for m in models.all() {
                runtime.open(m)?;
                out(&format!("ok      {:<32} {}", m.entry.name, m.entry.sha256));
            }
            Ok(())
        }
        args::Models::Add { pack } => {
            let dir = data_dir().ok_or_else(|| {
                Error::Usage("no home folder: set XDG_DATA_HOME to where networks may be kept".into())
            })?;
            let added = add_pack(&pack, &dir)?;
            for (entry, path) in &added.added {
                out(&format!("added   {:<32} {}", entry.name, path.display()));
            }
            for entry in &added.present {
                out(&format!("present {}", entry.name));
            }
            Ok(())
        }
    }
}

fn list(models: &ModelSet) -> Result<()> {
    for entry in Catalogue::built_in()?.entries() {
        let place = match models.get(&entry.name).map(|m| &m.source) {
            Some(ModelSource::File(path)) => format!("installed  {}", path.display()),
            Some(ModelSource::Embedded(_)) => "built in".into(),
            None => "not installed".into(),
        };
        // The verifier is asked only about what the built-in detector saw.
        let asked = entry.role != Role::Verifier || models.is_built_in(Role::Detector);
        let used = asked && models.best(entry.role).is_some_and(|b| b.entry.name == entry.name);
        let mark = if used { '*' } else { ' ' };
        out(&format!("{mark} {:<10} {:<32} {:<12} {place}", entry.role.to_string(), entry.name, entry.licence));
        out(&format!("    sha256 {}  from {}", entry.sha256, entry.source));
    }
    for m in models.all().iter().filter(|m| m.entry.role == Role::Attacker) {
        let place = match &m.source {
            ModelSource::File(path) => format!("installed  {}", path.display()),
            ModelSource::Embedded(_) => "built in".into(),
        };
        out(&format!("+ {:<10} {:<32} {:<12} {place}", m.entry.role.to_string(), m.entry.name, m.entry.licence));
        out(&format!("    sha256 {}  from {}", m.entry.sha256, m.entry.source));
    }
    let missing: Vec<String> = models.missing().iter().map(Role::to_string).collect();
    if missing.is_empty() {
        out("* = used by default, + = attacks finished films too. All that is needed is there.");
        if models.is_built_in(Role::Detector) {
            out(
                "Only the built-in network finds faces: small, turned and half covered ones may be missed. A pack finds \
                 more: `understudy models add DIR`.",
            );
        }
    } else {
        out(&format!("missing: {}. Install a pack with `understudy models add DIR`.", missing.join(", ")));
    }
    Ok(())
}
