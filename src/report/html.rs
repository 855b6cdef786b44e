//! The report as one closed page: no script, nothing loaded from anywhere.

use super::style::CSS;
use super::{Bound, Compared, Failure, PersonReport, Picture, Pictures, RegionReport, Report, SoundReport};
use std::fmt::Write;

/// What a browser may do with the page: show inline style and pictures, nothing else.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// The whole page. `redacted` leaves out every picture of the original.
pub(super) fn page(report: &Report, pictures: &Pictures, redacted: bool) -> String {
    let mut p = Page(String::with_capacity(1 << 16));
    p.add("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    p.add(&format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n"));
    p.add("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    p.add("<meta name=\"referrer\" content=\"no-referrer\"><title>Verification report</title>\n<style>");
    p.add(CSS);
    p.add("</style></head><body><main>\n<h1>Verification report</h1>\n");
    p.head(report);
    p.list("What failed", "bad", &report.failures);
    p.list("For a person to look at", "warn", &report.warnings);
    p.kept(report, pictures, redacted);
    p.people(report, pictures, redacted);
    p.regions(&report.regions);
    p.sound(&report.sound);
    p.streams(&report.streams, report.texts_searched);
    p.tail(report);
    p.add("</main></body></html>\n");
    p.0
}

struct Page(String);

impl Page {
    fn add(&mut self, html: &str) {
        self.0.push_str(html);
    }

    fn head(&mut self, r: &Report) {
        let (class, verdict, what) = if r.cleared {
            (
                "good",
                "Cleared",
                "None of the attacks below succeeded. That is evidence, not proof: see what they do not cover.",
            )
        } else {
            ("bad", "Not cleared", "At least one attack succeeded. Do not publish this file.")
        };
        self.add(&format!("<div class=\"verdict {class}\"><strong>{verdict}</strong>{what}</div>\n"));
        let checked: u64 = r.people.iter().map(|p| p.face_frames).sum();
        let hit: u64 = r.people.iter().map(|p| p.untouched).sum();
        self.add("<dl class=\"facts\">");
        self.fact("Frames compared", &count(r.frames), "");
        self.fact("Face-frames attacked", &count(checked), "");
        self.fact("Still the original", &count(hit), &format!("true share {}", bound_text(&Bound::of(hit, checked))));
        self.fact("Texts searched in the bytes", &count(r.texts_searched), "");
        self.add("</dl>\n");
    }

    fn fact(&mut self, name: &str, value: &str, note: &str) {
        self.add(&format!("<div><dt>{}</dt><dd>{}", escape(name), escape(value)));
        if !note.is_empty() {
            self.add(&format!(" <small>{}</small>", escape(note)));
        }
        self.add("</dd></div>");
    }

    fn list(&mut self, title: &str, class: &str, items: &[Failure]) {
        if items.is_empty() {
            return;
        }
        self.add(&format!("<h2>{title}</h2><ul class=\"list\">"));
        for f in items {
            let frame = f.first_frame.map_or(String::new(), |n| format!(", first in frame {n}"));
            let times = if f.count > 1 { format!(" ({} times{frame})", count(f.count)) } else { frame };
            self.add(&format!(
                "<li class=\"{class}\">{}{} <code>{}</code></li>",
                escape(&f.detail),
                escape(&times),
                escape(&f.kind)
            ));
        }
        self.add("</ul>\n");
    }

    fn kept(&mut self, r: &Report, pictures: &Pictures, redacted: bool) {
        if r.kept.is_empty() {
            return;
        }
        self.add("<h2>Left as filmed</h2><p class=\"soft\">By the cast. A person who knows them should confirm each one.</p><ul class=\"list\">");
        for k in &r.kept {
            self.add(&format!("<li class=\"warn\">{}</li>", escape(k)));
        }
        self.add("</ul>\n");
        for (i, person) in
            r.people.iter().enumerate().filter(|(i, p)| p.exempt_frames > 0 && !pictures.kept(*i).is_empty())
        {
            self.add(&format!("<section class=\"card\"><h3>{}</h3><div class=\"sheet\">", escape(&person.alias)));
            pictures.kept(i).iter().for_each(|p| self.figure(p, redacted));
            self.add("</div></section>\n");
        }
    }

    fn people(&mut self, r: &Report, pictures: &Pictures, redacted: bool) {
        if r.people.is_empty() {
            return;
        }
        self.add("<h2>People, the most at risk first</h2>\n");
        for (i, person) in r.people.iter().enumerate() {
            self.add("<section class=\"card\">");
            self.person(person);
            let list = pictures.of(i);
            if !list.is_empty() {
                self.add("<div class=\"sheet\">");
                for picture in list {
                    self.figure(picture, redacted);
                }
                self.add("</div>");
            }
            self.add("</section>\n");
        }
    }

    fn person(&mut self, p: &PersonReport) {
        let recognised = p
            .identity
            .as_ref()
            .is_some_and(|i| i.blind < i.samples && (i.cosine_track >= i.threshold_track || i.over_threshold > 0));
        let recognised = recognised || p.identity.as_ref().is_some_and(|i| i.taken_back);
        let (class, word) = match () {
            () if p.treatment == "keep" => ("warn", "left as filmed"),
            () if p.untouched > 0 => ("bad", "still visible"),
            () if p.partly_untouched > 0 => ("bad", "partly visible"),
            () if recognised => ("bad", "near the person"),
            () => ("good", "not recognised"),
        };
        self.add(&format!(
            "<h3>{} <span class=\"tag\">{}</span> <span class=\"tag {class}\">{word}</span></h3>",
            escape(&p.alias),
            escape(&p.treatment)
        ));
        self.add("<dl class=\"facts\">");
        let exempt = if p.exempt_frames > 0 { format!("and {} exempt", count(p.exempt_frames)) } else { String::new() };
        self.fact("Face-frames", &count(p.face_frames), &exempt);
        self.fact("Still the original", &count(p.untouched), &bound_text(&p.untouched_bound));
        self.fact("Partly", &count(p.partly_untouched), "");
        let at = p.worst_frame.map_or(String::new(), |f| format!("frame {f}"));
        self.fact("Greatest likeness", &format!("{:.2}", p.worst_likeness), &at);
        self.fact("Face width", &format!("{:.0} px", p.width_px), "");
        if let Some(i) = &p.identity {
            let at = i.worst_frame.map_or(String::new(), |f| format!("limit {:.2}, frame {f}", i.threshold));
            self.fact("Greatest cosine", &format!("{:.2}", i.cosine_max), &at);
            self.fact(
                "Cosine of the mean",
                &format!("{:.2}", i.cosine_track),
                &format!("limit {:.2}", i.threshold_track),
            );
            if let Some(rank) = i.rank_track {
                let among =
                    format!("of {} (chance: {}); first in {} faces", i.strangers + 1, i.strangers / 2, i.ranked_first);
                self.fact("Place among strangers", &rank.to_string(), &among);
            }
            self.fact("Undisguised", &format!("{:.2}", i.cosine_source), "for comparison");
            self.fact("Recognised", &format!("{} of {}", i.over_threshold, i.samples), &bound_text(&i.bound));
            if let Some(cosine) = i.cosine_restored {
                let place = i.rank_restored.map_or(String::new(), |r| format!(", place {r} of {}", i.strangers + 1));
                let how = i.restored_by.as_deref().unwrap_or("");
                self.fact("Cover taken back", &format!("{cosine:.2}"), &format!("{} faces{place}; {how}", i.restored));
            }
            for w in &i.witnesses {
                let place = w.rank_track.map_or(String::new(), |r| format!(", place {r} among strangers"));
                let text = format!(
                    "limit {:.2}; one face up to {:.2}, limit {:.2}; undisguised {:.2}{place}",
                    w.threshold_track, w.cosine_max, w.threshold, w.cosine_source
                );
                self.fact(&format!("By {}", escape(&w.network)), &format!("{:.2}", w.cosine_track), &text);
            }
            if i.blind > 0 {
                self.fact("No face to see", &format!("{} of {}", i.blind, i.samples), "");
            }
        }
        self.add("</dl>");
    }

    fn figure(&mut self, p: &Picture, redacted: bool) {
        let shown = |jpeg: &[u8], alt: &str| match jpeg.is_empty() {
            true => "<span class=\"soft\">no picture</span>".to_owned(),
            false => format!("<img alt=\"{alt}\" src=\"data:image/jpeg;base64,{}\">", base64(jpeg)),
        };
        self.add(&format!(
            "<figure>{}<figcaption>Frame {} · {}</figcaption>",
            if redacted && p.exposes {
                "<span class=\"soft\">withheld: it shows the person</span>".to_owned()
            } else {
                shown(&p.output, "output")
            },
            p.frame,
            escape(&p.note)
        ));
        if !redacted && !p.source.is_empty() {
            let original = shown(&p.source, "original");
            self.add(&format!("<details><summary>Show the original</summary>{original}</details>"));
        }
        self.add("</figure>");
    }

    fn regions(&mut self, regions: &[RegionReport]) {
        if regions.is_empty() {
            return;
        }
        self.add("<h2>Regions of the cast</h2><div class=\"wide\"><table><tr><th>Region</th><th>Effect</th><th>Frames</th><th>Still visible</th><th>Greatest likeness</th></tr>");
        for r in regions {
            let class = if r.visible > 0 { " class=\"bad\"" } else { "" };
            let at = r.worst_frame.map_or(String::new(), |f| format!(", frame {f}"));
            self.add(&format!(
                "<tr{class}><td>{}</td><td>{}</td><td>{}</td><td>{} ({})</td><td>{:.2}{at}</td></tr>",
                r.region,
                escape(&r.effect),
                count(r.frames),
                count(r.visible),
                bound_text(&Bound::of(r.visible, r.frames)),
                r.worst_likeness
            ));
        }
        self.add("</table></div>\n");
    }

    fn sound(&mut self, sound: &[SoundReport]) {
        if sound.is_empty() {
            return;
        }
        self.add("<h2>Sound</h2><div class=\"wide\"><table><tr><th>Output channel</th><th>Against original</th><th>Windows searched</th><th>Raw voice found</th><th>Greatest coherence</th><th>Only shifted</th><th>Same speaker (cosine)</th></tr>");
        for s in sound {
            let class = if s.leaked_secs > 0.0 || s.speaker_same { " class=\"bad\"" } else { "" };
            let bound = match s.leaked_secs > 0.0 {
                true => String::new(),
                false => format!(" ({} of the windows)", bound_text(&Bound::of(0, s.windows))),
            };
            let shifted = match (s.steady, s.semitones) {
                (Some(steady), Some(by)) => {
                    format!(
                        "{} of {} pieces (at most {steady:.2} of the frames, {by:+.1} semitones)",
                        s.shifted, s.pieces
                    )
                }
                _ => "not looked for".into(),
            };
            let speaker = match (s.speaker, s.speaker_piece) {
                (None, None) => "not judged: too little voice".into(),
                (whole, piece) => {
                    let told = |c: Option<f32>| c.map_or("not judged".into(), |c| format!("{c:.2}"));
                    format!(
                        "{}; in 12 s at most {}; {} of {} pieces too near",
                        told(whole),
                        told(piece),
                        s.speaker_near,
                        s.speaker_pieces
                    )
                }
            };
            self.add(&format!(
                "<tr{class}><td>{}.{}</td><td>{}.{}</td><td>{}</td><td>{:.3} s{bound}</td><td>{:.2}</td><td>{shifted}</td><td>{speaker}</td></tr>",
                s.output_stream + 1,
                s.output_channel + 1,
                s.source_stream + 1,
                s.source_channel + 1,
                count(s.windows),
                s.leaked_secs,
                s.mixed
            ));
        }
        self.add("</table></div>\n");
    }

    fn streams(&mut self, rows: &[Compared], texts: u64) {
        self.add("<h2>File</h2><div class=\"wide\"><table><tr><th></th><th>Original</th><th>Output</th></tr>");
        for c in rows {
            let class = if c.ok { "" } else { " class=\"bad\"" };
            self.add(&format!(
                "<tr{class}><td>{}</td><td>{}</td><td>{}</td></tr>",
                escape(&c.what),
                escape(&c.source),
                escape(&c.output)
            ));
        }
        self.add(&format!(
            "</table></div><p class=\"soft\">{} texts were searched in every byte of the output.</p>\n",
            count(texts)
        ));
    }

    fn tail(&mut self, r: &Report) {
        self.add("<h2>Attacks and limits</h2><ul>");
        for a in &r.attacks {
            self.add(&format!("<li>{}</li>", escape(a)));
        }
        self.add("</ul>");
        if !r.models.is_empty() {
            self.add(
                "<div class=\"wide\"><table><tr><th>Network</th><th>Role</th><th>Licence</th><th>SHA-256</th></tr>",
            );
            for m in &r.models {
                let cells = [&m.name, &m.role, &m.licence].map(|c| escape(c)).join("</td><td>");
                self.add(&format!("<tr><td>{cells}</td><td><code>{}</code></td></tr>", escape(&m.sha256)));
            }
            self.add("</table></div>");
        }
        self.add("<h2>What no attack here covers</h2><ul>");
        for l in &r.limits {
            self.add(&format!("<li>{}</li>", escape(l)));
        }
        self.add("</ul>");
        if !r.findings.is_empty() {
            self.add("<details><summary>Doubts of the analysis and the rendering</summary><ul>");
            for f in &r.findings {
                self.add(&format!("<li>{} <code>{} × {}</code></li>", escape(&f.note), escape(&f.kind), f.count));
            }
            self.add("</ul></details>");
        }
        self.add("<details><summary>Settings</summary><ul>");
        for (k, v) in &r.settings {
            self.add(&format!("<li>{}: {}</li>", escape(k), escape(v)));
        }
        self.add(&format!(
            "</ul></details><p class=\"soft\">{} · output <code>{}</code></p>",
            escape(&r.program),
            escape(&r.output_sha256)
        ));
    }
}

fn bound_text(b: &Bound) -> String {
    if b.trials == 0 { "nothing to look at".into() } else { format!("below {} at 95 %", percent(b.upper)) }
}

fn percent(share: f64) -> String {
    let v = share * 100.0;
    let digits = if v >= 10.0 {
        0
    } else if v >= 1.0 {
        1
    } else {
        3
    };
    format!("{v:.digits$} %")
}

/// A number with thin spaces between thousands.
fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(c);
    }
    out
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Base 64 (RFC 4648 §4).
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for piece in bytes.chunks(3) {
        let word = piece.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - piece.len()));
        for i in 0..4 {
            let letter = if i <= piece.len() { LETTERS[(word >> (18 - 6 * i)) as usize & 63] } else { b'=' };
            if write!(out, "{}", letter as char).is_err() {
                return String::new();
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_follows_the_standard() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(count(12), "12");
        assert_eq!(percent(0.0001), "0.010 %");
        assert_eq!(percent(0.5), "50 %");
    }
}
