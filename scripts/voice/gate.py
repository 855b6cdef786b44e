#!/usr/bin/env python3
"""Does the attack find every 40 ms of raw voice, and nothing in a clean disguise?

    cargo build --release --example voice
    gate.py FILE_OR_FOLDER... [--work /tmp/voice-gate] [--every N] [--draws N] [--leaks 0.4]

Every sound stream of every file is disguised and searched as it is (false alarms). Then 40 ms of the recording are
copied into the disguise, exact to the sample, every 0.4 s at a random place and a random lag of up to 0.24 s, the result
is coded as the presets do, decoded and searched (misses). Needs numpy, scipy and ffmpeg.
Levels are those of the band that is compared.
"""
import argparse
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.signal import butter, lfilter

TOOL = os.path.join(os.path.dirname(__file__), "../../target/release/examples/voice")
CODECS = {"none": None, "AAC 96 kb/s": ("aac", "96k"), "AAC 64 kb/s": ("aac", "64k"),
          "Opus 64 kb/s": ("libopus", "64k"), "Opus 48 kb/s": ("libopus", "48k")}
RATE, PIECE, LAG = 48000, 1920, 11520


def run(*cmd, data=None):
    return subprocess.run(cmd, input=data, capture_output=True, check=True).stdout


def sounds(paths, every):
    """(name, samples) of the first channel of every sound stream, at 48 kHz."""
    files = [p for p in paths if os.path.isfile(p)]
    for folder in (p for p in paths if os.path.isdir(p)):
        files += [os.path.join(d, f) for d, _, names in os.walk(folder) for f in names]
    for path in sorted(files)[::every]:
        probe = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "a", "-show_entries", "stream=index", "-of", "json", path],
                               capture_output=True).stdout
        for k in range(len((json.loads(probe or "{}")).get("streams", []))):
            x = np.frombuffer(run("ffmpeg", "-nostdin", "-v", "error", "-i", path, "-map", f"0:a:{k}", "-af", "pan=mono|c0=c0",
                                  "-ar", str(RATE), "-f", "f32le", "-"), "<f4")
            if len(x) > 2 * LAG and np.abs(x).max() > 1e-3:
                yield f"{os.path.basename(path)}.{k}", x


def coded(x, codec, file):
    if codec is None:
        return x
    run("ffmpeg", "-v", "error", "-y", "-f", "f32le", "-ar", str(RATE), "-ac", "1", "-i", "-", "-c:a", codec[0], "-b:a", codec[1], file,
        data=x.tobytes())
    y = np.frombuffer(run("ffmpeg", "-v", "error", "-i", file, "-af", "aresample=async=1:first_pts=0", "-ar", str(RATE), "-f", "f32le", "-"), "<f4")
    os.remove(file)
    return np.pad(y[:len(x)], (0, max(0, len(x) - len(y))))


def search(args, name, a, b):
    files = [os.path.join(args.work, f"{name}.{k}") for k in ("a", "b")]
    for f, x in zip(files, (a, b)):
        x.astype("<f4").tofile(f)
    out = json.loads(run(TOOL, "attack", data=f"{files[0]} {files[1]} {RATE}\n".encode()))
    for f in files:
        os.remove(f)
    return out["leak"]


def one(args, name, x, seed):
    rng = np.random.default_rng(seed)
    files = [os.path.join(args.work, f"{name}.{k}") for k in ("in", "out")]
    x.astype("<f4").tofile(files[0])
    result = {"secs": len(x) / RATE * args.draws, "alarms": [], "near": 0.0, "leaks": {k: [] for k in CODECS}}
    for _ in range(args.draws):
        run(TOOL, "disguise", data=f"{files[0]} {files[1]} {RATE} 1\n".encode())
        y = np.fromfile(files[1], "<f4")
        clean = search(args, name, x, y)
        result["alarms"] += clean["ranges_secs"]
        result["near"] = max(result["near"], clean["nearest"])
    band = lfilter([1, -0.97], 1, lfilter(*butter(2, 300, "high", fs=RATE), x.astype(float)))
    level = np.sqrt(np.convolve(band ** 2, np.ones(PIECE) / PIECE, "valid"))
    loud = np.quantile(level, 0.95)
    step = int(args.leaks * RATE)
    places = [p for p in np.arange(LAG, len(x) - LAG - PIECE - step, step) + rng.integers(0, step - PIECE - 3000)]
    lags = rng.integers(-LAG, LAG, len(places))
    bad = y.copy()
    for p, lag in zip(places, lags):
        bad[p + lag:p + lag + PIECE] = x[p:p + PIECE]
    # Where a later piece overwrote an earlier one, the earlier one is not in the film.
    whole = [i for i, (p, lag) in enumerate(zip(places, lags)) if np.array_equal(bad[p + lag:p + lag + PIECE], x[p:p + PIECE])]
    for codec, how in CODECS.items():
        found = search(args, name, x, coded(bad, how, os.path.join(args.work, f"{name}.mka")))["ranges_secs"]
        for i in whole:
            s = places[i] / RATE
            hit = any(a < s + 0.05 and b > s - 0.01 for a, b in found)
            result["leaks"][codec].append((float(level[places[i]]), float(level[places[i]] / loud), hit))
    for f in files:
        os.remove(f)
    return name, result


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("paths", nargs="+")
    p.add_argument("--work", default="/tmp/voice-gate")
    p.add_argument("--every", type=int, default=1, help="of the files, in order of name")
    p.add_argument("--draws", type=int, default=1, help="disguises per file that are searched for false alarms")
    p.add_argument("--leaks", type=float, default=0.4, help="seconds between leaks")
    p.add_argument("--jobs", type=int, default=2)
    args = p.parse_args()
    os.makedirs(args.work, exist_ok=True)
    with ThreadPoolExecutor(args.jobs) as pool:
        jobs = [pool.submit(one, args, f"{i}-{n}", x, i) for i, (n, x) in enumerate(sounds(args.paths, args.every))]
        results = [j.result() for j in jobs]
    hours = sum(r["secs"] for _, r in results) / 3600
    alarms = [(n, a) for n, r in results for a in r["alarms"]]
    near = sorted((r["near"] for _, r in results), reverse=True)[:5]
    print(f"{len(results)} sounds, {hours:.2f} hours of clean disguise: {len(alarms)} false alarms {alarms[:9]}; nearest {near}")
    bands = [("from -10 dB", 0.316, 9), ("-10 to -26 dB", 0.05, 0.316), ("-26 to -46 dB", 0.005, 0.05), ("under -46 dB", 0, 0.005)]
    print("missed pieces of 40 ms by level (against the loudest 20th of the recording), of those above -100 dB full scale")
    print("| coded as | " + " | ".join(b[0] for b in bands) + " |\n|---|" + "---|" * len(bands))
    for codec in CODECS:
        every = [x for _, r in results for x in r["leaks"][codec] if x[0] > 1e-5]
        cells = [[not hit for _, rel, hit in every if lo <= rel < hi] for _, lo, hi in bands]
        print(f"| {codec} | " + " | ".join(f"{sum(c)} of {len(c)}" for c in cells) + " |")


if __name__ == "__main__":
    main()
