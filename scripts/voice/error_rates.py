#!/usr/bin/env python3
"""Equal error rates of speaker attacks on the disguise, and leaks, envelope and pitch agreement.

    cargo build --release --example voice
    error_rates.py FOLDER_OF_FLAC [--speakers 20] [--draws 1] [--dvector [--trained] [--inverter]] [--work /tmp/voice-rates]

FOLDER holds one recording per speaker (`SPEAKER-*.flac`) and `SPEAKERS.csv`. Each recording is cut at its quietest
place near the middle: A is what the attacker has, B is what is disguised. Trials are same-sex. Needs numpy, scipy,
soundfile; `--dvector` needs the package resemblyzer, `--inverter` pyworld.

ignorant: A as recorded against B disguised. lazy: A disguised with another secret against B disguised.
key leaked: both disguised with one secret (per speaker drawn once; the attacker knows it).
trained: as lazy, after a linear discriminant analysis learned from disguised speech of all the other speakers, two pieces of
5 s each under secrets of their own. inverter: as ignorant, but each of 5 s of disguised speech is also moved back by a grid of
pitches and resonances, and the best match of each candidate counts.
"""
import argparse
import glob
import json
import os
import subprocess

import numpy as np
import scipy.linalg
import soundfile as sf

RATE, PIECE = 16000, 5 * 16000
TOOL = os.path.join(os.path.dirname(__file__), "../../target/release/examples/voice")


def halves(x):
    at = np.arange(int(0.42 * len(x)), int(0.58 * len(x)), 160)
    cut = at[np.argmin([(x[i:i + 800] ** 2).sum() for i in at])] + 400
    return x[:cut], x[cut:]


def disguise(pairs, secret=None):
    """Disguises pairs of 16-bit files, all mono."""
    lines = []
    for source, out in pairs:
        x, rate = sf.read(source, dtype="float32")
        x.astype("<f4").tofile(source + ".f32")
        lines.append(f"{source}.f32 {out}.f32 {rate} 1")
    subprocess.run([TOOL, "disguise", *(["--secret", secret] if secret else [])], input="\n".join(lines).encode(),
                   check=True, stderr=subprocess.DEVNULL)
    for (_, out), line in zip(pairs, lines):
        sf.write(out, np.fromfile(out + ".f32", "<f4"), int(line.split()[2]), subtype="PCM_16")


def attack(pairs, work):
    lines = []
    for n, pair in enumerate(pairs):
        names = []
        for k, path in enumerate(pair):
            x, rate = sf.read(path, dtype="float32")
            names.append(os.path.join(work, f"raw{n}_{k}.f32"))
            x.astype("<f4").tofile(names[-1])
        lines.append(f"{names[0]} {names[1]} {rate}")
    out = subprocess.run([TOOL, "attack"], input="\n".join(lines).encode(), capture_output=True, check=True)
    return [json.loads(line) for line in out.stdout.splitlines()]


def eer(target, other):
    t, o = np.sort(target), np.sort(other)
    cut = np.unique(np.r_[t, o])
    miss, false = np.searchsorted(t, cut) / len(t), 1 - np.searchsorted(o, cut) / len(o)
    k = np.argmin(np.abs(miss - false))
    return (miss[k] + false[k]) / 2


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def show(name, enrol, test, sexes, standardise):
    if standardise:
        enrol, test = [(v - v.mean(0)) / (v.std(0) + 1e-9) for v in (enrol, test)]
    show_scores(name, unit(enrol) @ unit(test).T, sexes)


def show_scores(name, score, sexes):
    n = len(score)
    other = (sexes[:, None] == sexes[None]) & ~np.eye(n, dtype=bool)
    rng, draws = np.random.default_rng(0), []
    for _ in range(200):
        k = rng.integers(0, n, n)
        mask = other[np.ix_(k, k)] & (k[:, None] != k[None])
        draws.append(eer(np.diag(score)[k], score[np.ix_(k, k)][mask]))
    rank = [1 + (score[other[:, j], j] > score[j, j]).sum() for j in range(n)]
    low, high = np.percentile(draws, [2.5, 97.5])
    print(f"{name:34s} EER {100 * eer(np.diag(score), score[other]):5.1f} % [{100 * low:.0f}, {100 * high:.0f}]  "
          f"first {100 * np.mean(np.array(rank) == 1):4.0f} %  in first five {100 * np.mean(np.array(rank) <= 5):4.0f} %", flush=True)


# ---------------------------------------------------------------- attackers that learn or search
def discriminant(x, who, dims):
    """Shrunk linear discriminant analysis: a projection that tells the speakers `who` of the rows of `x` apart."""
    mean, spread = x.mean(0), x.std(0) + 1e-9
    z, speakers = (x - mean) / spread, np.unique(who)
    centres = np.array([z[who == s].mean(0) for s in speakers])
    within = np.vstack([z[who == s] - c for s, c in zip(speakers, centres)])
    within = within.T @ within / (len(z) - len(speakers))
    within = 0.6 * within + 0.4 * np.trace(within) / len(within) * np.eye(len(within))
    between = np.cov(centres.T, bias=True)
    axes = scipy.linalg.eigh(between, within)[1][:, ::-1][:, :dims]
    return lambda v: (v - mean) / spread @ axes


def trained(others, embed, work, v, e, sexes):
    """Learns from disguised speech of `others`, then tries disguised against disguised."""
    at = lambda f, tag: os.path.join(work, os.path.basename(f)[:-5] + f"_{tag}.wav")
    pairs = []
    for f in others:
        x, rate = sf.read(f)
        a, b = halves(x)
        for tag, part in (("TA", a[:PIECE]), ("TB", b[-PIECE:])):
            sf.write(at(f, tag), part, rate, subtype="PCM_16")
            pairs.append((at(f, tag), at(f, tag + "d")))
    disguise(pairs)
    who = np.repeat(np.arange(len(others)), 2)
    nets = np.array([embed(out) for _, out in pairs])
    means = np.array([r["output_features"] for r in attack(pairs, work)])
    for name, x, enrol, test in (("d-vector", nets, e["Ad"], e["Bd"]),
                                 ("d-vector and averages", np.c_[nets, means], np.c_[e["Ad"], v["Ad"]], np.c_[e["Bd"], v["Bd"]])):
        for dims in (20, 40, 60):
            project = discriminant(x, who, dims)
            show(f"{name}, trained, {dims} axes", project(enrol), project(test), sexes, False)


def inverter(picked, at, embed_wave, e, sexes):
    """Moves disguised speech back by a grid and takes the best score of every candidate."""
    import pyworld
    grid = [(s, r) for s, r in ((-6, .87), (-3, .93), (-6, 1), (-3, 1), (-6, .93), (3, 1), (6, 1), (3, 1.07), (6, 1.07),
                                (6, 1.15), (0, .93), (0, 1.07))]
    candidates, plain, best = unit(e["A"]), [], []
    for f in picked:
        x = sf.read(at(f, "Bd"))[0][:PIECE].astype(float)
        f0, t = pyworld.dio(x, RATE, 60, 420, frame_period=5.0)
        f0 = pyworld.stonemask(x, f0, t, RATE)
        envelope, noise = pyworld.cheaptrick(x, f0, t, RATE, fft_size=1024), pyworld.d4c(x, f0, t, RATE, fft_size=1024)
        scores = [candidates @ unit(embed_wave(x)[None])[0]]
        for semitones, ratio in grid:
            source = np.minimum(np.arange(513) / ratio, 512)
            low = np.minimum(source.astype(int), 511)
            share = source - low
            moved = np.exp(np.log(envelope[:, low] + 1e-12) * (1 - share) + np.log(envelope[:, low + 1] + 1e-12) * share)
            y = pyworld.synthesize(f0 * 2 ** (semitones / 12), np.ascontiguousarray(moved), noise, RATE, 5.0)
            scores.append(candidates @ unit(embed_wave(y)[None])[0])
        plain.append(scores[0])
        best.append(np.max(scores, 0))
    show_scores("d-vector, 5 s, before the inverter", np.array(plain).T, sexes)
    show_scores("d-vector, 5 s, inverter", np.array(best).T, sexes)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--speakers", type=int, default=20, help="per sex")
    p.add_argument("--draws", type=int, default=1)
    p.add_argument("--dvector", action="store_true")
    p.add_argument("--trained", action="store_true")
    p.add_argument("--inverter", action="store_true")
    p.add_argument("--tool", help="the example `voice`, if not in target/release/examples")
    p.add_argument("--work", default="/tmp/voice-rates")
    args = p.parse_args()
    if args.tool:
        global TOOL
        TOOL = args.tool
    os.makedirs(args.work, exist_ok=True)
    with open(os.path.join(args.folder, "SPEAKERS.csv")) as f:
        sex = dict(line.strip().split(",")[:2] for line in f.readlines()[1:] if "," in line)
    files = [f for f in sorted(glob.glob(os.path.join(args.folder, "*.flac"))) if sf.info(f).duration >= 11]
    files = [files[i] for i in np.random.default_rng(7).permutation(len(files))]
    picked = [f for s in "MF" for f in [f for f in files if sex.get(os.path.basename(f).split("-")[0]) == s][:args.speakers]]
    sexes = np.array([sex[os.path.basename(f).split("-")[0]] for f in picked])
    at = lambda f, tag: os.path.join(args.work, os.path.basename(f)[:-5] + f"_{tag}.wav")
    for f in picked:
        x, rate = sf.read(f)
        for tag, part in zip("AB", halves(x)):
            sf.write(at(f, tag), part, rate, subtype="PCM_16")
    others = [f for f in files if f not in picked and os.path.basename(f).split("-")[0] in sex]
    for draw in range(1, args.draws + 1):
        if args.draws > 1:
            print(f"draw {draw}", flush=True)
        one_draw(picked, others, sexes, at, args)


def one_draw(picked, others, sexes, at, args):
    disguise([(at(f, "B"), at(f, "Bd")) for f in picked])
    disguise([(at(f, "A"), at(f, "Ad")) for f in picked])
    common = "0123456789abcdef" * 4
    disguise([(at(f, "A"), at(f, "Ak")) for f in picked], common)
    disguise([(at(f, "B"), at(f, "Bk")) for f in picked], common)

    b = attack([(at(f, "B"), at(f, "Bd")) for f in picked], args.work)
    a = attack([(at(f, "A"), at(f, "Ad")) for f in picked], args.work)
    print(f"{len(picked)} recordings: leaked windows {sum(r['leak']['leaked'] for r in a + b)} of {sum(r['leak']['windows'] for r in a + b)}, "
          f"mixed-in at most {max(r['leak']['mixed_in'] for r in a + b):.2f}, "
          f"envelope {np.mean([r['envelope']['correlation'] for r in a + b]):.3f} (lowest {min(r['envelope']['correlation'] for r in a + b):.2f}), "
          f"lag {np.mean([r['envelope']['lag_ms'] for r in a + b]):.1f} ms (at most {max(abs(r['envelope']['lag_ms']) for r in a + b):.1f})")
    v = {k: np.array([r[w] for r in s]) for k, s, w in (("A", a, "original_features"), ("B", b, "original_features"),
                                                       ("Ad", a, "output_features"), ("Bd", b, "output_features"))}
    kept = attack([(at(f, "Ak"), at(f, "Bk")) for f in picked], args.work)
    v["Ak"], v["Bk"] = (np.array([r[w] for r in kept]) for w in ("original_features", "output_features"))
    trials = [("originals", "A", "B"), ("ignorant", "A", "Bd"), ("lazy", "Ad", "Bd"), ("key leaked", "Ak", "Bk")]
    for name, i, j in trials:
        show("averages, " + name, v[i], v[j], sexes, True)
    if not args.dvector:
        return
    from resemblyzer import VoiceEncoder, preprocess_wav
    net = VoiceEncoder("cpu", verbose=False)
    embed = lambda sound, **rate: net.embed_utterance(preprocess_wav(sound, **rate))
    e = {t: np.array([embed(at(f, t)) for f in picked]) for t in v}
    for name, i, j in trials:
        show("d-vector, " + name, e[i], e[j], sexes, False)
    if args.inverter:
        inverter(picked, at, lambda y: embed(y.astype(np.float32), source_sr=RATE), e, sexes)
    if args.trained:
        trained(others, embed, args.work, v, e, sexes)


if __name__ == "__main__":
    main()
