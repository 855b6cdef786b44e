#!/usr/bin/env python3
"""Pitch, voicing and loudness of recordings against their disguises, by WORLD's pitch tracker; and ours against that.

    cargo build --release --example voice
    contours.py FOLDER_OF_16_KHZ_FLAC [--files 53] [--tool target/release/examples/voice]

Takes `--files` recordings evenly. First block: our pitch against WORLD's (DIO and StoneMask) on the recordings; second:
recordings against disguises, both by WORLD. Means and standard errors over files. Needs numpy, soundfile, pyworld.
"""
import argparse
import glob
import os
import subprocess
import tempfile

import numpy as np
import pyworld
import soundfile as sf

RATE, HOP = 16000, 80


def world(x):
    f0, t = pyworld.dio(x, RATE, f0_floor=60, f0_ceil=420, frame_period=1000 * HOP / RATE)
    return pyworld.stonemask(x, f0, t, RATE)


def ours(x, tool):
    out = subprocess.run([tool, "features"], input=x.astype("<f4").tobytes(), capture_output=True, check=True).stdout
    return np.frombuffer(out, "<f4").reshape(-1, 29)[:, 0]


def disguise(x, tool):
    with tempfile.TemporaryDirectory() as folder:
        source, out = (os.path.join(folder, n) for n in ("in", "out"))
        x.astype("<f4").tofile(source)
        subprocess.run([tool, "disguise"], input=f"{source} {out} {RATE} 1".encode(), check=True, stderr=subprocess.DEVNULL)
        return np.fromfile(out, "<f4").astype(float)


def loudness(x):
    n = len(x) // HOP
    return np.log10(1e-6 + (x[:n * HOP].reshape(n, HOP) ** 2).mean(1))


def measure(path, tool):
    x, rate = sf.read(path)
    if rate != RATE or x.ndim != 1:
        raise SystemExit(f"{path}: give mono recordings of 16 kHz")
    a, own = world(x), ours(x, tool)
    n = min(len(a), len(own))
    both = (a[:n] > 0) & (own[:n] > 0)
    y = disguise(x, tool)
    b, la, lb = world(y), loudness(x), loudness(y)
    speech = np.interp(np.arange(len(a)), np.arange(len(la)), la) > np.quantile(la, 0.95) - 2.5
    voiced = (a > 0) & (b > 0)
    match, lag = max((np.corrcoef(la[20:-20], np.roll(lb, -k)[20:-20])[0, 1], 5 * k) for k in range(-8, 9))
    return {
        "ours: same decision on voicing, %": 100 * np.mean((a[:n] > 0) == (own[:n] > 0)),
        "ours: pitch off by over 15 %, %": 100 * np.mean(np.abs(np.log(own[:n][both] / a[:n][both])) > 0.139),
        "disguise: same decision, %": 100 * np.mean((a > 0) == (b > 0)),
        "disguise: same within speech, %": 100 * np.mean(((a > 0) == (b > 0))[speech]),
        "disguise: log pitch, correlation": np.corrcoef(np.log(a[voiced]), np.log(b[voiced]))[0, 1],
        "disguise: loudness, correlation": match,
        "disguise: lag, ms": lag,
        "disguise: absolute lag, ms": abs(lag),
    }


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--files", type=int, default=53)
    p.add_argument("--tool", default=os.path.join(os.path.dirname(__file__), "../../target/release/examples/voice"))
    args = p.parse_args()
    files = sorted(glob.glob(os.path.join(args.folder, "*.flac")))
    rows = [measure(files[i * len(files) // args.files], args.tool) for i in range(min(args.files, len(files)))]
    print(len(rows), "recordings")
    for name in rows[0]:
        v = np.array([r[name] for r in rows])
        print(f"{name:36s} {v.mean():8.3f} ± {v.std() / np.sqrt(len(v)):.3f}  ({v.min():.3f} to {v.max():.3f})")


if __name__ == "__main__":
    main()
