#!/usr/bin/env python3
"""Is an invented voice taken for a shifted one, and is a shifted one found? In pieces of 6 s, each as if it were the whole sound.

    cargo build --release --example voice
    shifts.py FOLDER_OF_FLAC [--every 3] [--draws 2] [--work /tmp/voice-shifts]

Shifted: every so many-th recording, by FFmpeg's rate and tempo, and by rubberband with and without the resonances; some of them coded.
Invented: all recordings; every second of these disguised again; and every third flattened to 0.2, 0.35 and 0.5 of its melody first
(by WORLD). Needs numpy, pyworld and the `ffmpeg` program (with rubberband).
"""
import argparse
import glob
import json
import os
import subprocess

import numpy as np

TOOL = os.path.join(os.path.dirname(__file__), "../../target/release/examples/voice")
RAW = ["-f", "f32le", "-ar", "16000", "-ac", "1"]


def ffmpeg(source, out, filters=None):
    filters = ["-af", "aresample=48000," + filters] if filters else []
    kind = [] if source.endswith((".flac", ".mp4", ".ogg")) else RAW
    to = {".mp4": ["-ar", "48000", "-c:a", "aac", "-b:a", "96k"], ".ogg": ["-ar", "48000", "-c:a", "libopus", "-b:a", "48k"]}
    subprocess.run(["ffmpeg", "-v", "error", "-y", *kind, "-i", source, *filters, *to.get(out[-4:], RAW), out], check=True)
    return out


def coded(source, ending):
    film = ffmpeg(source, source + ending)
    return ffmpeg(film, film + ".f32")


def tool(command, pairs):
    lines = "".join(f"{a} {b} 16000{' 1' if command == ['disguise'] else ''}\n" for a, b in pairs)
    made = subprocess.run([TOOL, *command], input=lines.encode(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return [json.loads(line) for line in made.stdout.splitlines()]


def disguised(sounds, tag):
    pairs = [(f, f"{f[:-4]}.{tag}.f32") for f in sounds]
    tool(["disguise"], pairs)
    return pairs


def flattened(path, range_of_melody):
    import pyworld
    x = np.fromfile(path, "<f4").astype(float)
    f0, t = pyworld.dio(x, 16000, 60, 420, frame_period=5.0)
    f0 = pyworld.stonemask(x, f0, t, 16000)
    middle = np.median(np.log(f0[f0 > 0]))
    flat = np.where(f0 > 0, np.exp(middle + range_of_melody * (np.log(np.maximum(f0, 1)) - middle)), 0)
    y = pyworld.synthesize(flat, pyworld.cheaptrick(x, f0, t, 16000), pyworld.d4c(x, f0, t, 16000), 16000, 5.0)
    y[:len(x)].astype("<f4").tofile(path[:-4] + ".flat.f32")
    return path[:-4] + ".flat.f32"


def show(name, pairs):
    pieces = [p for p in tool(["shifted", "--pieces"], pairs) if p["pieces"]]
    steady = np.array([p["steady"] for p in pieces])
    least, low, middle, high, most = np.percentile(steady, [0, 2, 50, 98, 100])
    whole = [p for p in tool(["shifted"], pairs) if p["pieces"]]
    print(f"{name:26s} {len(pieces):4d} pieces: least {least:.2f}, 2 % {low:.2f}, median {middle:.2f}, 98 % {high:.2f}, most {most:.2f}; "
          f"found {sum(p['found'] for p in pieces)} pieces, {sum(p['found'] for p in whole)} of {len(whole)} sounds", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--every", type=int, default=3)
    p.add_argument("--draws", type=int, default=2)
    p.add_argument("--work", default="/tmp/voice-shifts")
    args = p.parse_args()
    os.makedirs(args.work, exist_ok=True)
    files = sorted(glob.glob(os.path.join(args.folder, "*.flac")))
    sounds = [ffmpeg(f, os.path.join(args.work, os.path.basename(f)[:-5] + ".f32")) for f in files]

    few = sounds[::args.every]
    tempo = lambda ratio: f"asetrate={round(48000 * ratio)},aresample=48000,atempo={1 / ratio}"
    ways = {"rate and tempo": lambda k: tempo([1.26, .7937, 1.1892, .8409][k % 4]),
            "rubberband": lambda k: f"rubberband=pitch={[1.1892, .8409][k % 2]}",
            "rubberband, resonances kept": lambda k: f"rubberband=pitch={[.7937, 1.2599][k % 2]}:formant=preserved"}
    for name, way in ways.items():
        made = [ffmpeg(f, f[:-4] + ".shifted.f32", way(k)) for k, f in enumerate(few)]
        show(name, list(zip(few, made)))
        for ending in (".mp4", ".ogg"):
            show(f"  coded ({ending[1:]})", list(zip(few, [coded(f, ending) for f in made])))
    flat = [flattened(f, (.2, .35, .5)[k % 3]) for k, f in enumerate(sounds[1::3])]
    show("flattened, rubberband", list(zip(flat, [ffmpeg(f, f[:-4] + ".shifted.f32", ways["rubberband"](k)) for k, f in enumerate(flat)])))

    once, twice, low = [], [], []
    for draw in range(args.draws):
        new = disguised(sounds, f"d{draw}")
        once += new
        twice += disguised([out for _, out in new[::2]], "again")
        low += disguised(flat, f"d{draw}")
    show("invented", once)
    show("invented of an invented", twice)
    show("invented of a flattened", low)


if __name__ == "__main__":
    main()
