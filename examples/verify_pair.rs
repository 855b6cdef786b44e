//! Attacks an output file: `verify_pair ORIGINAL OUTPUT MODELS REPORT_DIR [max] [redacted]`.

use std::path::PathBuf;
use understudy::infer::{Device, ModelSet, Runtime};
use understudy::verify::{VerifyInput, VerifyOptions, verify};

fn main() -> understudy::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [original, output, models, dir] = [0, 1, 2, 3].map(|i| PathBuf::from(args.get(i).map_or("", String::as_str)));
    let has = |word: &str| args.iter().skip(4).any(|a| a == word);
    let runtime = Runtime::load(None, Device::Cpu)?;
    let models = ModelSet::discover(&[models])?;
    let input = VerifyInput::new(&original, &output, &models, &runtime);
    let options = if has("max") { VerifyOptions::max() } else { VerifyOptions::default() };
    let begun = std::time::Instant::now();
    let found = verify(&input, &options, &|_, _| {})?;
    let r = &found.report;
    println!("cleared: {} ({} frames, {:.1} s)", r.cleared, r.frames, begun.elapsed().as_secs_f64());
    for (word, list) in [("FAIL", &r.failures), ("warn", &r.warnings)] {
        for f in list {
            println!("{word} {} × {} first {:?}: {}", f.kind, f.count, f.first_frame, f.detail);
        }
    }
    for p in &r.people {
        println!(
            "{} {} width {:.0} frames {} exempt {} untouched {} partly {} worst {:.3} at {:?}",
            p.alias,
            p.treatment,
            p.width_px,
            p.face_frames,
            p.exempt_frames,
            p.untouched,
            p.partly_untouched,
            p.worst_likeness,
            p.worst_frame
        );
        if let Some(i) = &p.identity {
            println!(
                "  samples {} found {} blind {} cos mean {:.3} max {:.3} track {:.3} source {:.3} over {} other {:?}",
                i.samples,
                i.found,
                i.blind,
                i.cosine_mean,
                i.cosine_max,
                i.cosine_track,
                i.cosine_source,
                i.over_threshold,
                i.cosine_other
            );
        }
    }
    for s in &r.sound {
        println!(
            "sound {}.{} in {}.{}: windows {} leaked {:.3} s mixed {:.3}",
            s.source_stream, s.source_channel, s.output_stream, s.output_channel, s.windows, s.leaked_secs, s.mixed
        );
    }
    understudy::report::write(&dir, r, &found.pictures, has("redacted"))
}
