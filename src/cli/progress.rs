//! Progress for people (a bar on a terminal, plain lines elsewhere) and for machines (JSON lines).

use crate::pipeline::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::Instant;

/// How progress is told.
pub enum Teller {
    /// A bar with the time left, on a terminal.
    Bar(Mutex<Option<ProgressBar>>),
    /// A line now and then.
    Lines(Mutex<Stage>),
    /// One JSON object per line on standard output.
    Json(Mutex<Stage>),
}

/// Where the current stage stands.
#[derive(Debug, Default)]
pub struct Stage {
    name: String,
    total: Option<u64>,
    done: u64,
    told: u64,
    began: Option<Instant>,
    /// Processor time of this process when the stage began.
    cpu: Option<f64>,
}

/// Seconds of processor time that this process has used, in all its threads; `None` where the system does not tell.
/// Linux counts them in hundredths (`proc_pid_stat(5)`, utime and stime).
fn cpu_secs() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / 100.0)
}

impl Teller {
    /// JSON if asked for; else a bar on a terminal; else lines.
    #[must_use]
    pub fn new(json: bool) -> Self {
        if json {
            Teller::Json(Mutex::default())
        } else if std::io::stderr().is_terminal() {
            Teller::Bar(Mutex::new(None))
        } else {
            Teller::Lines(Mutex::default())
        }
    }

    /// Whether JSON was asked for.
    #[must_use]
    pub fn is_json(&self) -> bool {
        matches!(self, Teller::Json(_))
    }

    /// One JSON event, if JSON was asked for.
    pub fn event(&self, value: &serde_json::Value) {
        if self.is_json() {
            out(&value.to_string());
        }
    }
}

/// A line on standard output; a closed pipe is not our failure.
pub fn out(line: &str) {
    if writeln!(std::io::stdout().lock(), "{line}").is_err() {
        tracing::debug!("standard output is closed");
    }
}

/// A line on standard error.
pub fn err(line: &str) {
    if writeln!(std::io::stderr().lock(), "{line}").is_err() {
        tracing::debug!("standard error is closed");
    }
}

fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    m.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Stage {
    /// Percent done, if it has grown by ten since last told.
    fn news(&mut self, done: u64) -> Option<u64> {
        self.done = done;
        let percent = match self.total {
            Some(total) if total > 0 => done * 100 / total,
            _ => done / 250 * 10,
        };
        (percent >= self.told + 10).then(|| {
            self.told = percent;
            percent
        })
    }
}

impl Progress for Teller {
    fn begin(&self, stage: &str, total: Option<u64>) {
        match self {
            Teller::Bar(bar) => {
                let new = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
                let template = if total.is_some() {
                    "{msg:>12} {wide_bar} {pos}/{len} {per_sec:>10} {eta:>5} left"
                } else {
                    "{msg:>12} {spinner} {pos}"
                };
                if let Ok(style) = ProgressStyle::with_template(template) {
                    new.set_style(style);
                }
                new.set_message(stage.to_owned());
                *lock(bar) = Some(new);
            }
            Teller::Lines(s) | Teller::Json(s) => {
                let (began, cpu) = (Some(Instant::now()), cpu_secs());
                *lock(s) = Stage { name: stage.to_owned(), total, began, cpu, ..Stage::default() };
                self.event(&serde_json::json!({"event": "begin", "stage": stage, "total": total}));
            }
        }
    }

    fn step(&self, done: u64) {
        match self {
            Teller::Bar(bar) => {
                if let Some(b) = lock(bar).as_ref() {
                    b.set_position(done);
                }
            }
            Teller::Lines(s) => {
                let mut s = lock(s);
                if s.news(done).is_some() {
                    let of = s.total.map_or(String::new(), |t| format!(" of {t}"));
                    err(&format!("{}: {done}{of} frames", s.name));
                }
            }
            Teller::Json(s) => {
                let mut s = lock(s);
                if s.news(done).is_some() {
                    out(&serde_json::json!({"event": "progress", "stage": s.name, "done": done, "total": s.total})
                        .to_string());
                }
            }
        }
    }

    fn step_of(&self, done: u64, total: u64) {
        match self {
            Teller::Bar(bar) => {
                if let Some(b) = lock(bar).as_ref() {
                    b.set_length(total);
                }
            }
            Teller::Lines(s) | Teller::Json(s) => lock(s).total = Some(total),
        }
        self.step(done);
    }

    fn end(&self) {
        match self {
            Teller::Bar(bar) => {
                if let Some(b) = lock(bar).take() {
                    b.finish_and_clear();
                }
            }
            Teller::Lines(s) | Teller::Json(s) => {
                let s = lock(s);
                let secs = s.began.map_or(0.0, |b| b.elapsed().as_secs_f64());
                let cpu = cpu_secs().zip(s.cpu).map(|(now, then)| now - then);
                self.event(&serde_json::json!({
                    "event": "end", "stage": s.name, "done": s.done, "secs": secs, "cpu_secs": cpu,
                }));
            }
        }
    }

    fn note(&self, text: &str) {
        match self {
            Teller::Bar(bar) => match lock(bar).as_ref() {
                Some(b) => b.println(text),
                None => err(text),
            },
            Teller::Lines(_) => err(text),
            Teller::Json(_) => self.event(&serde_json::json!({"event": "note", "text": text})),
        }
    }
}
