#!/usr/bin/env python3
"""Builds models/voice/tables.bin from one recording per speaker of LibriSpeech train-clean-100.

    cargo build --release --example voice
    build_tables.py FOLDER_OF_FLAC OUTPUT [--features target/release/examples/voice]

The folder holds `SPEAKER-CHAPTER-UTTERANCE.flac` and `SPEAKERS.csv` (speaker,sex). Needs numpy and ffmpeg. The
analysis is the program's own (the example above), so that tables and program agree. Deterministic.
"""
import argparse
import glob
import hashlib
import os
import struct
import subprocess

import numpy as np

POINTS, ORDER, WIDE, RATE = 64, 24, 28, 16000
VTLN = slice(1, 15)
FACTORS = np.exp(np.linspace(-0.16, 0.16, 17))


# ---------------------------------------------------------------- mel cepstrum, as in src/voice/cepstrum.rs
def mel(f):
    return 2595 * np.log10(1 + np.asarray(f) / 700)


def hz(m):
    return 700 * (10 ** (np.asarray(m) / 2595) - 1)


TOP = mel(RATE / 2)
CENTRES = hz(np.linspace(0, TOP, POINTS))
DCT = np.cos(np.pi * np.arange(POINTS)[:, None] * (np.arange(POINTS)[None] + 0.5) / POINTS) * np.sqrt(2 / POINTS)
DCT[0] /= np.sqrt(2)


def warp(factor, rows, columns):
    p = mel(np.clip(CENTRES / factor, 0, RATE / 2)) / TOP * (POINTS - 1)
    i = np.minimum(p.astype(int), POINTS - 2)
    w = p - i
    stretched = DCT[:columns, i] * (1 - w) + DCT[:columns, i + 1] * w
    return DCT[:rows] @ stretched.T


# ---------------------------------------------------------------- analysis of one recording
def level_reference(level, voiced):
    """Level that stands for full speech, and the threshold of speech; as in src/voice/statistics.rs."""
    heard = level > -23
    loud = level[heard & voiced] if (heard & voiced).sum() >= 50 else level[heard]
    top, low = np.quantile(loud, 0.9), np.quantile(level[heard], 0.02)
    return top, top - np.clip(0.45 * (top - low), 1.5, 5.5)


def features(path, tool):
    wave = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", path, "-ac", "1", "-ar", str(RATE), "-f", "f32le", "-"],
                          capture_output=True, check=True).stdout
    out = subprocess.run([tool, "features"], input=wave, capture_output=True, check=True).stdout
    f = np.frombuffer(out, "<f4").reshape(-1, 1 + WIDE).astype(float)
    voiced, c = f[:, 0] > 0, f[:, 1:].copy()
    top, threshold = level_reference(c[:, 0] / np.sqrt(POINTS), voiced)
    speech = c[:, 0] / np.sqrt(POINTS) > threshold
    c[:, 0] -= top * np.sqrt(POINTS)
    return c, voiced, speech


# ---------------------------------------------------------------- diagonal Gaussian mixtures
def log_parts(x, w, mu, var):
    return (np.log(w) - 0.5 * np.log(2 * np.pi * var).sum(1) - 0.5 * (mu ** 2 / var).sum(1)
            - 0.5 * (x ** 2) @ (1 / var).T + x @ (mu / var).T)


def log_sum(q):
    m = q.max(1, keepdims=True)
    return (m + np.log(np.exp(q - m).sum(1, keepdims=True)))[:, 0]


def mixture(x, k, floor, seed=0, rounds=40):
    rng = np.random.default_rng(seed)
    mu = x[rng.integers(len(x))][None]
    d = ((x - mu[0]) ** 2).sum(1)
    while len(mu) < k:                                   # k-means++ (Arthur & Vassilvitskii 2007)
        new = x[rng.choice(len(x), p=d / d.sum())]
        mu, d = np.vstack([mu, new]), np.minimum(d, ((x - new) ** 2).sum(1))
    for _ in range(15):
        near = ((x ** 2).sum(1)[:, None] - 2 * x @ mu.T + (mu ** 2).sum(1)).argmin(1)
        mu = np.array([x[near == j].mean(0) if (near == j).any() else mu[j] for j in range(k)])
    w, var = np.full(k, 1 / k), np.tile(x.var(0) / 2 + floor, (k, 1))
    for _ in range(rounds):
        q = log_parts(x, w, mu, var)
        p = np.exp(q - log_sum(q)[:, None])
        n = p.sum(0) + 1e-9
        w, mu = n / n.sum(), (p.T @ x) / n[:, None]
        var = np.maximum((p.T @ x ** 2) / n[:, None] - mu ** 2, 0) + floor
    return w, mu, var


# ---------------------------------------------------------------- vocal tract length
def tract_score(c, factor, gmm):
    x = (c @ WARPS[factor].T)[:, VTLN]
    x = x - 0.7 * x.mean(0)
    return log_sum(log_parts(x, *gmm)).mean()


def tract_factor(c, gmm):
    c = c[np.linspace(0, len(c) - 1, min(250, len(c))).astype(int)]
    return int(np.argmax([tract_score(c, i, gmm) for i in range(len(FACTORS))]))


WARPS = [warp(f, WIDE, WIDE) for f in FACTORS]


def train_tract(voices, sexes):
    picks = [v[np.linspace(0, len(v) - 1, 150).astype(int)] for v in voices]
    log_factor, best = np.zeros(len(voices)), None
    for _ in range(5):
        x = []
        for v, a in zip(picks, log_factor):
            c = (v @ warp(np.exp(a), WIDE, WIDE).T)[:, VTLN]
            x.append(c - 0.7 * c.mean(0))
        best = mixture(np.vstack(x), 24, 0.02)
        log_factor = np.array([np.log(FACTORS[tract_factor(v, best)]) for v in voices])
        log_factor -= log_factor.mean()
        print("tract factor", {s: round(float(np.exp(log_factor[sexes == s].mean())), 3) for s in "MF"},
              "sd", log_factor.std().round(3))
    return best


# ---------------------------------------------------------------- statistics replaced in every voice
def root(s):
    w, v = np.linalg.eigh(s)
    w = np.maximum(w, 1e-6)
    return (v * np.sqrt(w)) @ v.T, (v / np.sqrt(w)) @ v.T


def transport(c, mean, cov):
    """Affine map that gives frames the population's mean and covariance; same priors as the program."""
    n = len(c)
    m = (n * c.mean(0) + 15 * mean) / (n + 15)
    s, inverse = root((n * np.cov(c.T, bias=True) + 60 * cov) / (n + 60))
    t = inverse @ root(s @ cov @ s)[0] @ inverse
    return (c - m) @ t.T + mean


def posteriors(x, ubm):
    q = 0.5 * log_parts(x, *ubm)
    return np.exp(q - log_sum(q)[:, None])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("output")
    p.add_argument("--features", default="target/release/examples/voice")
    args = p.parse_args()
    with open(os.path.join(args.folder, "SPEAKERS.csv")) as f:
        sex = dict(line.strip().split(",")[:2] for line in f.readlines()[1:] if "," in line)
    files = sorted(glob.glob(os.path.join(args.folder, "*.flac")))
    data = [features(f, args.features) for f in files]
    sexes = np.array([sex.get(os.path.basename(f).split("-")[0], "?") for f in files])
    print(len(files), "recordings,", round(sum(len(d[0]) for d in data) / 200), "s")

    gmm = train_tract([c[v & s] for c, v, s in data], sexes)
    canonical = []
    for c, v, s in data:
        k = tract_factor(c[v & s], gmm)
        canonical.append(c[:, :ORDER] @ warp(FACTORS[k], ORDER, ORDER).T)
    groups = [[c[s & (v if voiced else ~v)] for c, (_, v, s) in zip(canonical, data)] for voiced in (True, False)]
    means = [np.mean([g.mean(0) for g in group if len(g) > 60], 0) for group in groups]
    covs = [np.mean([np.cov(g.T, bias=True) for g in group if len(g) > 60], 0) for group in groups]

    moved = [np.vstack([transport(g, m, s)[::2] for g, m, s in zip(pair, means, covs)]) for pair in zip(*groups)]
    ubm = mixture(np.vstack(moved)[::2], 32, 0.05)
    shifts = []
    for x in moved:
        q = posteriors(x, ubm)
        n = q.sum(0)
        shifts.append((n / (n + 25))[:, None] * ((q.T @ x) / np.maximum(n, 1e-6)[:, None] - ubm[1]))
    spread = np.array([c[v & s][:, :ORDER].mean(0) for c, v, s in data])
    spread -= spread.mean(0)
    spread[:, 0] = 0
    _, sd, axes = np.linalg.svd(spread, full_matrices=False)

    sections = [*gmm, means[0], covs[0], means[1], covs[1], *ubm, axes[:6], sd[:6] / np.sqrt(len(spread)), np.std(shifts, 0)]
    flat = np.concatenate([np.ravel(s) for s in sections]).astype("<f4")
    assert np.isfinite(flat).all()
    blob = b"USVT" + struct.pack("<II", 1, len(flat)) + flat.tobytes()
    with open(args.output, "wb") as f:
        f.write(blob)
    print(len(blob), "bytes, sha256", hashlib.sha256(blob).hexdigest())
    print("voiced mean", means[0][:4].round(2), "sd", np.sqrt(np.diag(covs[0]))[:4].round(2), "unvoiced mean",
          means[1][:4].round(2), "class offsets sd", np.std(shifts, 0).mean(0)[:4].round(2), "axes sd", (sd[:6] / np.sqrt(len(spread))).round(2))


if __name__ == "__main__":
    main()
