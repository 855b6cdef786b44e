//! `doctor`: is everything here that a disguise needs?

use super::args;
use super::context::{confine, device, library};
use super::progress::{err, out};
use crate::infer::{ModelSet, Role, Runtime};
use crate::media::Limits;
use crate::sandbox::{self, State};
use crate::{Error, Result};

/// `understudy doctor`
pub(super) fn run(a: args::Doctor) -> Result<()> {
    // Everything below is tried in the sandbox that films are decoded in.
    confine(&a.machine, |_| {})?;
    crate::media::init();
    let mut wrong: Option<Error> = None;
    let mut say = |name: &str, result: Result<String>| match result {
        Ok(text) => out(&format!("ok      {name}: {text}")),
        Err(e) => {
            err(&format!("WRONG   {name}: {e}"));
            wrong.get_or_insert(e);
        }
    };
    out(&format!("understudy {}", env!("CARGO_PKG_VERSION")));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    say("machine", Ok(format!("{cores} cores, {} {}", std::env::consts::OS, std::env::consts::ARCH)));
    say("FFmpeg", Ok(crate::media::library_version()));
    let runtime = Runtime::load(None, device(a.machine.device));
    say("ONNX Runtime", runtime.as_ref().map(describe).map_err(|e| Error::Model(e.to_string())));
    let models = ModelSet::discover(&ModelSet::search_path(&a.machine.models));
    match models {
        Ok(models) => {
            for m in models.all() {
                let opened = match &runtime {
                    Ok(r) => r.open(m).map(|_| format!("{} loads", m.entry.name)),
                    Err(_) => Ok(format!("{} is there", m.entry.name)),
                };
                say(&m.entry.role.to_string(), opened);
            }
            say("networks", models.require().map(|()| filled(&models)));
        }
        Err(e) => say("networks", Err(e)),
    }
    say("doubles", library(&[]).map(|l| format!("{} shipped", l.cards().count())));
    let (l, p) = (Limits::default(), crate::plan::PlanLimits::default());
    let text = format!(
        "{} x {} pixels, {} frames, {:.0} h, {} streams, {} faces in a frame, plans of {} MiB",
        l.max_width,
        l.max_height,
        l.max_frames,
        l.max_duration_secs / 3600.0,
        l.max_streams,
        p.faces,
        p.bytes >> 20
    );
    say("limits", Ok(text));
    say("sandbox", sandbox_text());
    wrong.map_or(Ok(()), Err)
}

/// What the sandbox is, and whether it holds: what it forbids is tried.
fn sandbox_text() -> Result<String> {
    let state = sandbox::state();
    let open = sandbox::escapes();
    match &state {
        State::Confined(_) if open.is_empty() => Ok(format!("{}; tried, and all were refused", state.text())),
        State::NoLandlock if open == ["a foreign file"] => Ok(state.text()),
        State::Off => Ok(state.text()),
        _ => Err(Error::Unsupported(format!("{} does not hold: {} was not refused", state.text(), open.join(", ")))),
    }
}

/// What it means which networks fill the roles.
fn filled(models: &ModelSet) -> String {
    let own: Vec<String> = Role::ALL.into_iter().filter(|r| models.is_built_in(*r)).map(|r| r.to_string()).collect();
    if own.is_empty() {
        return "all roles are filled".into();
    }
    format!(
        "all roles are filled, but only a built-in network fills: {}. It works without any download, and finds small, \
         turned and half covered faces less surely than an installed pack: look through what was made, or add a pack \
         with `understudy models add DIR`",
        own.join(", ")
    )
}

fn describe(runtime: &Runtime) -> String {
    format!("{} on {:?}, {}", runtime.build_info(), runtime.device(), runtime.library().display())
}
