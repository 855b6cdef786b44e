#!/usr/bin/env python3
"""Builds models/voice/strangers.bin: where strangers' voices lie, and in which directions speakers differ.

    cargo build --release --example voice
    build_strangers.py FOLDER_OF_FLAC OUTPUT [--tool target/release/examples/voice] [--work /tmp/voice-strangers]

FOLDER holds one recording per speaker (LibriSpeech train-clean-100). Of the 66 averages that describe a speaker the table keeps the
mean over recordings, the mean over pseudo-speakers (two for each recording), and 25 directions of a linear discriminant analysis:
between speakers (recordings and pseudo-speakers, each around their own mean) against within a speaker (pieces of 6 s, those of
recordings also in eight other ways of recording them: tone, codecs, room, noise, up to a semitone). Secrets and noise of the pseudo-speakers
are made from the numbers of recording and draw, so that the table is the same every time (with one version of FFmpeg and numpy).
Needs numpy and ffmpeg.
"""
import argparse
import glob
import hashlib
import json
import os
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np

NUMBERS, AXES, DRAWS, PIECE = 66, 25, 2, 6
LEAST_VOICED = 1.5
RAW = ["-f", "f32le", "-ar", "16000", "-ac", "1"]


def tune(semitones):
    ratio = 2 ** (semitones / 12)
    return f"aresample=48000,asetrate={round(48000 * ratio)},aresample=48000,atempo={1 / ratio:.6f}"


# Name, filter and encoder of each way in which the same speaker may be recorded.
AAC, OPUS = ["-c:a", "aac", "-b:a", "96k"], ["-c:a", "libopus", "-b:a", "32k"]
WAYS = {
    "bright": ("treble=g=6:f=3000,bass=g=-6:f=200", AAC, ".m4a"),
    "dull": ("lowpass=f=3500,bass=g=6:f=250", AAC, ".m4a"),
    "opus": ("anull", OPUS, ".ogg"),
    "room": ("aecho=0.8:0.7:40|90:0.4|0.25", None, None),
    "higher": (tune(0.4), None, None),
    "tuned": (tune(1), None, None),
    "faster": ("atempo=1.03", None, None),
}


def seed(*words):
    return hashlib.sha256(" ".join(map(str, words)).encode()).hexdigest()


def ffmpeg(*args):
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", "-threads", "1", *args], check=True)


def other_way(sound, name):
    out = f"{sound[:-4]}.{name}.f32"
    if name == "noise":                                  # white, 20 dB under the whole
        x = np.fromfile(sound, "<f4").astype(float)
        noise = np.random.default_rng(len(x)).normal(size=len(x)) * np.sqrt((x ** 2).mean()) * 0.1
        (x + noise).astype("<f4").tofile(out)
        return out
    filters, encoder, ending = WAYS[name]
    if encoder is None:
        ffmpeg(*RAW, "-i", sound, "-af", filters, *RAW, out)
        return out
    ffmpeg(*RAW, "-i", sound, "-af", filters, "-ar", "48000", *encoder, out + ending)
    ffmpeg("-i", out + ending, *RAW, out)
    os.remove(out + ending)
    return out


def averages(tool, sounds, pieces):
    """For each sound the averages of the whole, or those of all pieces with enough voice."""
    def part(sounds):
        lines = "".join(f"{s} 16000\n" for s in sounds)
        options = ["--secs", str(PIECE)] if pieces else []
        made = subprocess.run([tool, "speaker", *options], input=lines.encode(), stdout=subprocess.PIPE, check=True)
        return [json.loads(line)["pieces"] for line in made.stdout.splitlines()]
    half = (len(sounds) + 1) // 2
    with ThreadPoolExecutor(2) as pool:
        rows = sum(pool.map(part, [sounds[:half], sounds[half:]]), [])
    least = LEAST_VOICED if pieces else 0
    found = [np.array([p["numbers"] for p in r if p and p["voiced_secs"] >= least]).reshape(-1, NUMBERS) for r in rows]
    return found if pieces else np.vstack(found)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("output")
    p.add_argument("--tool", default=os.path.join(os.path.dirname(__file__), "../../target/release/examples/voice"))
    p.add_argument("--work", default="/tmp/voice-strangers")
    args = p.parse_args()
    os.makedirs(args.work, exist_ok=True)
    files = sorted(glob.glob(os.path.join(args.folder, "*.flac")))
    sounds = [os.path.join(args.work, os.path.basename(f)[:-5] + ".f32") for f in files]

    def pseudo(job):
        k, draw = job
        out = f"{sounds[k][:-4]}.pseudo{draw}.f32"
        options = ["--secret", seed("voice", k, draw), "--noise", seed("noise", k, draw)]
        line = f"{sounds[k]} {out} 16000 1\n".encode()
        subprocess.run([args.tool, "disguise", *options], input=line, stderr=subprocess.DEVNULL, check=True)
        return out

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda pair: ffmpeg("-i", pair[0], *RAW, pair[1]), zip(files, sounds)))
        ways = [list(pool.map(lambda s, w=w: other_way(s, w), sounds)) for w in [*WAYS, "noise"]]
        draws = [list(pool.map(pseudo, [(k, d) for k in range(len(sounds))])) for d in range(DRAWS)]

    crowds = [averages(args.tool, sounds, False), np.vstack([averages(args.tool, d, False) for d in draws])]
    assert all(np.isfinite(c).all() for c in crowds)
    scale = np.sqrt(sum(c.var(0) for c in crowds) / 2)
    between = sum(np.cov((c / scale).T) for c in crowds) / 2
    own = [averages(args.tool, sounds, True), *(averages(args.tool, w, True) for w in ways)]
    speakers = [np.vstack(rows) for rows in zip(*own)] + [rows for d in draws for rows in averages(args.tool, d, True)]
    speakers = [s / scale for s in speakers if len(s) > 1]
    within = sum(np.cov(s.T) for s in speakers) / len(speakers)
    # Shrunk towards its diagonal: there are few speakers for 66 numbers.
    within = 0.9 * within + 0.1 * np.diag(np.diag(within)) + 0.01 * np.eye(NUMBERS)
    whiten = np.linalg.inv(np.linalg.cholesky(within))
    value, vector = np.linalg.eigh(whiten @ between @ whiten.T)
    axes = (vector[:, ::-1][:, :AXES].T @ whiten) / scale
    axes *= np.sign(axes[np.arange(AXES), np.abs(axes * scale).argmax(1)])[:, None]

    flat = np.concatenate([c.mean(0) for c in crowds] + [axes.ravel()]).astype("<f4")
    blob = b"USVS" + struct.pack("<II", 1, len(flat)) + flat.tobytes()
    with open(args.output, "wb") as f:
        f.write(blob)
    print(len(sounds), "recordings,", len(speakers), "speakers, between to within", value[::-1][:AXES].round(1))
    print(len(blob), "bytes, sha256", hashlib.sha256(blob).hexdigest())


if __name__ == "__main__":
    main()
