//! `voices`: proposals of who speaks when, for a person to confirm.

use super::args;
use super::context::{confine, set_threads, signals};
use super::progress::{Teller, err, out};
use crate::media::Limits;
use crate::pipeline::{self, VoicesJob};
use crate::plan::{PlanLimits, fingerprint, read_plan};
use crate::voice::turns::Turn;
use crate::{Error, Result, files};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What stands above every list of proposals.
const WARNING: &str = "\
# PROPOSALS, made by a machine from lips and loudness. Nobody has confirmed them. Watch every range, correct it, and only then
# put it into a cast. Confidence is measured on few films. Whatever no range names stays disguised, and nothing is ever kept
# because of this file.
";

/// `understudy voices`
pub(super) fn run(a: args::Voices) -> Result<()> {
    let plan = read_plan(&a.plan, PlanLimits::default())?;
    pipeline::check_input(&a.input)?;
    if let Some(output) = &a.output {
        pipeline::check_output(&a.input, output, a.force)?;
    }
    confine(&a.machine, |access| {
        access.read(&a.input);
        a.output.iter().for_each(|p| access.write_beside(p));
    })?;
    if fingerprint(&a.input)? != plan.source {
        return Err(Error::Plan(format!(
            "the film is not the one that was analysed: analyse it again: {}",
            a.input.display()
        )));
    }
    set_threads(&a.machine)?;
    let (teller, cancel, limits) = (Teller::new(a.machine.json), signals()?, Limits::default());
    crate::media::init();
    let probe = crate::media::probe(&a.input, &limits)?;
    let stream = usize::from(a.stream) - 1;
    let job = VoicesJob { input: &a.input, plan: &plan, probe: &probe, stream, limits: &limits };
    let turns = pipeline::propose_voices(&job, &|| cancel.check())?;
    let text = proposals(&turns, a.stream, probe.audio.len());
    if let Some(output) = &a.output {
        files::write_private(output, |file| file.write_all(text.as_bytes()))?;
    }
    for t in &turns {
        teller.event(&serde_json::json!({
            "event": "voice", "proposal": true, "person": t.person, "stream": a.stream, "from_secs": t.from,
            "to_secs": t.to, "confidence": t.confidence,
        }));
    }
    if teller.is_json() {
        return Ok(());
    }
    match &a.output {
        Some(output) => out(&format!("{} proposals, to be confirmed by a person: {}", turns.len(), output.display())),
        None => out(text.trim_end()),
    }
    if turns.iter().all(|t| t.person.is_none()) {
        err("note: no visible mouth fits the sound; whoever speaks is disguised");
    }
    Ok(())
}

/// Entries of a cast, a person each, with the confidence of every range beside it; and what nobody was found for.
fn proposals(turns: &[Turn], stream: u16, streams: usize) -> String {
    let mut people: BTreeMap<u32, Vec<&Turn>> = BTreeMap::new();
    for t in turns {
        if let Some(person) = t.person {
            people.entry(person).or_default().push(t);
        }
    }
    let mut text = WARNING.to_owned();
    let named = if streams > 1 { format!(", stream = {stream}") } else { String::new() };
    let mut line = |s: String| text.push_str(&s);
    for (person, turns) in people {
        line(format!("\n[[person]]\nalias = \"Person {person}\"\npeople = [{person}]\n"));
        line(format!("voice = {{ style = \"pseudo\"{named}, times = [\n"));
        for t in turns {
            line(format!(
                "  [\"{}\", \"{}\"], # confidence {:.2}{}\n",
                timecode(t.from, f64::floor),
                timecode(t.to, f64::ceil),
                t.confidence,
                if t.confidence < 0.8 { ", doubtful" } else { "" }
            ));
        }
        line("] }\n".into());
    }
    for t in turns.iter().filter(|t| t.person.is_none()) {
        let (from, to) = (timecode(t.from, f64::floor), timecode(t.to, f64::ceil));
        line(format!("# heard, but no visible mouth fits: {from} to {to}\n"));
    }
    text
}

/// `HH:MM:SS.mmm`, rounded to whole milliseconds in the given direction.
fn timecode(secs: f64, round: fn(f64) -> f64) -> String {
    let ms = round(secs.clamp(0.0, 1e9) * 1000.0) as u64;
    let mut text = String::new();
    let (s, rest) = (ms / 1000, ms % 1000);
    if write!(text, "{:02}:{:02}:{:02}.{rest:03}", s / 3600, s / 60 % 60, s % 60).is_err() {
        text.clear();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Cast, parse_timecode};

    #[test]
    fn proposals_are_a_cast_that_keeps_nothing_and_says_what_it_is() {
        let turn = |person, from, to, confidence| Turn { person, from, to, confidence };
        let turns = [turn(Some(3), 0.0, 2.3004, 0.93), turn(None, 3.0, 4.0, 0.0), turn(Some(1), 3661.5, 3662.0, 0.61)];
        let text = proposals(&turns, 2, 2);
        assert!(
            text.starts_with("# PROPOSALS") && text.contains("no visible mouth fits: 00:00:03.000 to 00:00:04.000")
        );
        assert!(text.contains("confidence 0.61, doubtful") && !text.contains("keep\""), "{text}");
        let cast = Cast::parse(&text, "cast").unwrap();
        let voices: Vec<_> = cast.people.iter().filter_map(|p| p.voice.as_ref()).collect();
        assert!(voices.iter().all(|v| v.style == "pseudo" && v.stream == Some(2)));
        assert_eq!(voices[0].times, [("01:01:01.500".to_owned(), "01:01:02.000".to_owned())]);
        assert_eq!(voices[1].times[0].1, "00:00:02.301");
        assert_eq!(parse_timecode("00:00:02.301"), Some(2.301));
        // Nothing heard, nothing proposed.
        assert!(Cast::parse(&proposals(&[], 1, 1), "cast").unwrap().people.is_empty());
    }
}
