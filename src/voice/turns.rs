//! Whose lips move with the sound: proposals of who speaks when. For people to confirm, never obeyed by themselves.
//!
//! Opening of the lips and loudness above 2.5 kHz are laid on one grid of 25 values per second; what is slower than about
//! a second is taken off both, because everybody's mouth and every voice begin and end somewhere near each other; then
//! they are correlated over 2 s. A most likely sequence of speakers (with one state for somebody unseen) is made of the
//! windows' log odds, overlap discounted; it changes easily in pauses and hardly elsewhere. Measured: `docs/voice.md`.

/// Values per second of openings and loudness.
pub const GRID_PER_SEC: f64 = 25.0;
/// Values that are correlated: 2 s.
const WINDOW: usize = 50;
/// Values between decisions: 0.2 s.
const STEP: usize = 5;
/// Half the length of the mean that is taken off: 0.7 s in all.
const SLOW: usize = 8;
/// Fisher's z of a speaking mouth (0.2 to 0.8 by film), and variance of that of a stranger's, over a window.
const SPEAKING: f64 = 0.35;
const VARIANCE: f64 = 0.05;
/// Log odds that speak against a change of speaker from step to step, in speech and in pauses; and against one who is not
/// in the picture.
const CHANGE: f64 = 2.0;
const CHANGE_IN_PAUSE: f64 = 0.3;
const OUT_OF_PICTURE: f64 = 0.15;
/// Added to every proposed range on both sides, seconds: it protects.
const PAD_SECS: f64 = 0.3;
/// Pauses within one talk, and its longest piece, seconds.
const PAUSE_SECS: f64 = 0.8;
const LONGEST_SECS: f64 = 60.0;
/// Share of the log odds that is believed: taken whole, they were twice too sure of eight films of two people.
const TRUST: f64 = 0.5;
/// No confidence is higher: what correlates is not known to cause.
const MOST_CONFIDENT: f64 = 0.99;

/// How far a mouth is open over one track, on the grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Lips {
    /// Number of the person.
    pub person: u32,
    /// Place of the first value on the grid.
    pub first: usize,
    /// Log of the opening, in any unit that stays the same over the track; NaN where it is not known.
    pub opening: Vec<f32>,
}

/// A stretch of speech and who may be speaking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Turn {
    /// Person, or `None` if no visible mouth fits.
    pub person: Option<u32>,
    /// Start, in seconds of the grid.
    pub from: f64,
    /// End.
    pub to: f64,
    /// Odds against everybody else in the picture and nobody in it, as a probability, 0 to 0.99. 0 if nobody fits.
    pub confidence: f64,
}

/// Proposes a speaker for every stretch of `speech` (sorted, in seconds of the grid).
///
/// `loudness`: level in dB on the grid. A stretch in which the speaker changes is cut there. Ranges are padded by 0.3 s on both
/// sides, so that those of two people may overlap; ranges of one person that meet are joined.
#[must_use]
pub fn turns(speech: &[(f64, f64)], loudness: &[f32], lips: &[Lips]) -> Vec<Turn> {
    let loud = fast(loudness);
    let mut mouths: Vec<Lips> =
        lips.iter().map(|l| Lips { person: l.person, first: l.first, opening: fast(&l.opening) }).collect();
    mouths.sort_by_key(|l| (l.first, l.person));
    let mut out = Vec::new();
    for talk in talks(speech) {
        decide(&talk, &loud, &mouths, &mut out);
    }
    padded(out, loudness.len() as f64 / GRID_PER_SEC)
}

/// Widens turns within 0 to `end`, joins those of one person that then meet, and makes probabilities of log odds.
fn padded(turns: Vec<Turn>, end: f64) -> Vec<Turn> {
    let mut out: Vec<Turn> = Vec::with_capacity(turns.len());
    for t in turns {
        let wide = Turn { from: (t.from - PAD_SECS).max(0.0), to: (t.to + PAD_SECS).min(end.max(t.to)), ..t };
        match out.last_mut() {
            Some(last) if last.person == t.person && wide.from <= last.to => {
                last.to = last.to.max(wide.to);
                last.confidence += t.confidence;
            }
            _ => out.push(wide),
        }
    }
    for t in out.iter_mut().filter(|t| t.person.is_some()) {
        t.confidence = (1.0 / (1.0 + (-TRUST * t.confidence).exp())).min(MOST_CONFIDENT);
    }
    out
}

/// Stretches with short pauses between them belong together; long ones are cut.
fn talks(speech: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
    let mut out: Vec<Vec<(f64, f64)>> = Vec::new();
    let pieces = speech.iter().filter(|s| s.0 < s.1 && s.1.is_finite()).flat_map(|(from, to)| {
        let n = ((to - from) / LONGEST_SECS).ceil().max(1.0);
        let at = move |i: f64| from + (to - from) * i / n;
        (0..n as usize).map(move |i| (at(i as f64), at(i as f64 + 1.0)))
    });
    for piece in pieces {
        match out.last_mut() {
            Some(talk) if near(talk, piece) => talk.push(piece),
            _ => out.push(vec![piece]),
        }
    }
    out
}

fn near(talk: &[(f64, f64)], piece: (f64, f64)) -> bool {
    let (start, end) = (talk.first().map_or(0.0, |s| s.0), talk.last().map_or(0.0, |s| s.1));
    piece.0 - end < PAUSE_SECS && piece.1 - start <= LONGEST_SECS
}

/// Most likely sequence of speakers of one talk (Viterbi), as turns.
fn decide(talk: &[(f64, f64)], loud: &[f32], mouths: &[Lips], out: &mut Vec<Turn>) {
    let place = |secs: f64| ((secs.max(0.0) * GRID_PER_SEC) as usize).min(loud.len());
    let (Some(start), Some(end)) = (talk.first().map(|s| place(s.0)), talk.last().map(|s| place(s.1))) else { return };
    let steps: Vec<usize> = (start..end.max(start + 1)).step_by(STEP).map(|s| s + STEP / 2).collect();
    let here: Vec<&Lips> = mouths.iter().filter(|m| m.first < end && m.first + m.opening.len() > start).collect();
    let mut people: Vec<u32> = here.iter().map(|m| m.person).collect();
    people.sort_unstable();
    people.dedup();
    let spoken = |at: usize| talk.iter().any(|s| (place(s.0)..place(s.1)).contains(&at));
    // Log odds of each person against somebody unseen, step by step.
    let odds: Vec<Vec<f64>> = steps
        .iter()
        .map(|at| {
            let mut row = vec![f64::NEG_INFINITY; people.len()];
            for m in &here {
                if let (Ok(i), Some(v)) = (people.binary_search(&m.person), fit(m, loud, *at)) {
                    row[i] = row[i].max(v);
                }
            }
            let value = |v: &f64| {
                if !spoken(*at) {
                    0.0
                } else if v.is_finite() {
                    *v
                } else {
                    -OUT_OF_PICTURE
                }
            };
            row.iter().map(value).collect()
        })
        .collect();
    let pauses: Vec<bool> = steps.iter().map(|at| !spoken(*at)).collect();
    let path = best_path(&odds, &pauses, people.len());
    let mut from = 0;
    for run in path.chunk_by(|a, b| a == b) {
        let to = from + run.len();
        let edge = |i: usize| if i >= steps.len() { f64::INFINITY } else { (start + i * STEP) as f64 / GRID_PER_SEC };
        let (a, b) = (if from == 0 { 0.0 } else { edge(from) }, edge(to));
        for s in talk.iter().map(|s| (s.0.max(a), s.1.min(b))).filter(|s| s.0 < s.1) {
            let inside = |i: &usize| (place(s.0)..=place(s.1)).contains(&steps[*i]);
            let own: Vec<&Vec<f64>> = (from..to).filter(inside).map(|i| &odds[i]).collect();
            // Log odds for now, which add up where ranges are joined.
            let confidence = run[0].map_or(0.0, |who| lead(&own, who));
            out.push(Turn { person: run[0].map(|who| people[who]), from: s.0, to: s.1, confidence });
        }
        from = to;
    }
}

/// Log odds that this mouth speaks around a place of the grid; `None` if too little of it is seen.
fn fit(mouth: &Lips, loud: &[f32], at: usize) -> Option<f64> {
    let (from, to) = (at.saturating_sub(WINDOW / 2), (at + WINDOW / 2).min(loud.len()));
    let seen = |i: &usize| i.checked_sub(mouth.first).and_then(|k| mouth.opening.get(k)).is_some_and(|v| v.is_finite());
    let places: Vec<usize> = (from..to).filter(seen).collect();
    if places.len() < WINDOW / 2 || places.len() * 5 < (to - from) * 4 {
        return None;
    }
    let pairs: Vec<(f64, f64)> =
        places.iter().map(|i| (f64::from(mouth.opening[i - mouth.first]), f64::from(loud[*i]))).collect();
    let n = pairs.len() as f64;
    let (ma, mb) = pairs.iter().fold((0.0, 0.0), |s, p| (s.0 + p.0 / n, s.1 + p.1 / n));
    let (mut aa, mut bb, mut ab) = (1e-9, 1e-9, 0.0);
    for (a, b) in pairs {
        aa += (a - ma) * (a - ma);
        bb += (b - mb) * (b - mb);
        ab += (a - ma) * (b - mb);
    }
    let z = (ab / (aa * bb).sqrt()).clamp(-0.95, 0.95).atanh();
    // Neighbouring windows share most of their values: each step brings its own share only.
    Some((SPEAKING * z - 0.5 * SPEAKING * SPEAKING) / VARIANCE * (STEP as f64 / WINDOW as f64))
}

/// `None` is somebody unseen, whose log odds are 0.
fn best_path(odds: &[Vec<f64>], pauses: &[bool], people: usize) -> Vec<Option<usize>> {
    let mut score = vec![0.0; people + 1];
    let mut back: Vec<Vec<u32>> = Vec::with_capacity(odds.len());
    for (row, pause) in odds.iter().zip(pauses) {
        let top = (0..=people).fold(0, |m, i| if score[i] > score[m] { i } else { m });
        let changed = score[top] - if *pause { CHANGE_IN_PAUSE } else { CHANGE };
        let from: Vec<u32> = (0..=people).map(|i| if changed > score[i] { top as u32 } else { i as u32 }).collect();
        for (i, s) in score.iter_mut().enumerate() {
            *s = s.max(changed) + if i == 0 { 0.0 } else { row[i - 1] };
        }
        back.push(from);
    }
    let mut state = (0..=people).fold(0, |m, i| if score[i] > score[m] { i } else { m });
    let mut path = Vec::with_capacity(odds.len());
    for from in back.iter().rev() {
        path.push(state.checked_sub(1));
        state = from[state] as usize;
    }
    path.reverse();
    path
}

/// Log odds that this one speaks in these steps, against the best of all others.
fn lead(odds: &[&Vec<f64>], who: usize) -> f64 {
    let sum = |i: usize| odds.iter().filter_map(|r| r.get(i)).sum::<f64>();
    let people = odds.first().map_or(0, |r| r.len());
    sum(who) - (0..people).filter(|i| *i != who).map(sum).fold(0.0, f64::max)
}

/// Takes off what is slow: a Hann mean over 0.7 s of the values that are known.
fn fast(values: &[f32]) -> Vec<f32> {
    let weight = |k: usize| 0.5 - 0.5 * (std::f64::consts::TAU * (k + 1) as f64 / (2 * SLOW + 2) as f64).cos();
    let mean = |i: usize| {
        let (mut sum, mut all) = (0.0, 0.0);
        for k in 0..=2 * SLOW {
            if let Some(v) = (i + k).checked_sub(SLOW).and_then(|j| values.get(j)).filter(|v| v.is_finite()) {
                sum += weight(k) * f64::from(*v);
                all += weight(k);
            }
        }
        sum / all
    };
    values.iter().enumerate().map(|(i, v)| if v.is_finite() { v - mean(i) as f32 } else { f32::NAN }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mouth that moves by itself.
    fn mouth(seed: u64, n: usize) -> Vec<f32> {
        let mut s = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            s = s.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (s >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        let raw: Vec<f32> = (0..n + 4).map(|_| next()).collect();
        (0..n).map(|i| raw[i..i + 4].iter().sum()).collect()
    }

    fn lips(person: u32, opening: Vec<f32>) -> Lips {
        Lips { person, first: 0, opening }
    }

    #[test]
    fn the_mouth_that_moves_with_the_sound_is_named_and_the_change_is_found() {
        let (a, b) = (mouth(1, 500), mouth(2, 500));
        let loud: Vec<f32> = (0..500).map(|i| if i < 250 { 10.0 * a[i] } else { 10.0 * b[i] } - 40.0).collect();
        let found = turns(&[(0.0, 20.0)], &loud, &[lips(7, a), lips(3, b)]);
        let who: Vec<_> = found.iter().map(|t| t.person).collect();
        assert_eq!(who, [Some(7), Some(3)], "{found:?}");
        assert!((found[0].to - 10.3).abs() < 0.8 && found[1].to == 20.0, "{found:?}");
        assert!((found[0].to - found[1].from - 0.6).abs() < 1e-9, "both are padded: {found:?}");
        assert!(found.iter().all(|t| t.confidence > 0.95), "{found:?}");
    }

    #[test]
    fn strangers_to_the_sound_are_not_named() {
        let loud: Vec<f32> = mouth(9, 500).iter().map(|v| 10.0 * v).collect();
        for people in
            [vec![], vec![lips(1, mouth(3, 500))], vec![lips(1, vec![0.1; 500]), lips(2, vec![f32::NAN; 500])]]
        {
            let found = turns(&[(0.0, 20.0)], &loud, &people);
            assert!(found.len() == 1 && found[0].person.is_none() && found[0].confidence == 0.0, "{found:?}");
        }
    }

    #[test]
    fn a_face_that_comes_late_and_pauses_are_handled() {
        let a = mouth(4, 300);
        let loud: Vec<f32> = (0..500).map(|i| if i >= 200 { 8.0 * a[i - 200] } else { -50.0 }).collect();
        let late = Lips { person: 1, first: 200, opening: a };
        let speech = [(8.0, 12.0), (12.4, 15.0), (18.0, 20.0)];
        let found = turns(&speech, &loud, &[late]);
        let times: Vec<_> = found.iter().map(|t| (t.from, t.to)).collect();
        assert_eq!(times, [(7.7, 15.3), (17.7, 20.0)]);
        assert!(found.iter().all(|t| t.person == Some(1) && t.confidence > 0.7), "{found:?}");
        assert!(turns(&[(5.0, 5.0), (0.0, f64::INFINITY)], &loud, &[]).is_empty());
        // A talk beyond the end of the sound is told, with nobody in it.
        assert!(turns(&[(90.0, 95.0)], &loud, &[]).iter().all(|t| t.person.is_none()));
    }

    #[test]
    fn long_talks_are_cut_so_that_memory_is_bounded() {
        let t = talks(&[(0.0, 1000.0)]);
        assert!(t.len() >= 16 && t.iter().all(|t| t.last().unwrap().1 - t[0].0 <= LONGEST_SECS + 1e-9));
        assert_eq!(talks(&[(0.0, 1.0), (1.5, 2.0), (4.0, 5.0)]).len(), 2);
    }
}
