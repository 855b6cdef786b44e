#!/usr/bin/env python3
"""Is a disguise taken for the recorded speaker, and is a copy of the recorded voice found, by averages alone? By length.

    cargo build --release --example voice
    same_speaker.py FOLDER_OF_FLAC [--more FILE_OR_FOLDER...] [--draws 2] [--every 3] [--secs 3 5 8] [--work /tmp/voice-same]

Disguised: every recording of the folder and the first sound stream of every file of `--more`, so many times; each first draw once more; and as a
whisper. Actors: every recording against some others. Copies: every so many-th recording, late, backwards in pieces of half a second,
coloured, coded, in a room, in noise, shifted. Each of the first S seconds and of the whole. Needs numpy and the `ffmpeg` program
(with rubberband). "Judged" are pairs with enough voice; "found" would be refused.
"""
import argparse
import glob
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np

TOOL = os.path.join(os.path.dirname(__file__), "../../target/release/examples/voice")
RAW = ["-f", "f32le", "-ar", "16000", "-ac", "1"]
tune = lambda s: f"aresample=48000,asetrate={round(48000 * 2 ** (s / 12))},aresample=48000,atempo={2 ** (-s / 12):.6f}"
AAC, OPUS = ["-c:a", "aac", "-b:a", "96k"], ["-c:a", "libopus", "-b:a", "32k"]
# Filter and encoder of each copy. None of them need be like what the table of strangers was made with: `echo`, `phone`, `slower` are not.
COPIES = {
    "one second late": ("adelay=1000", None), "backwards in pieces": None, "treble +6, bass -6 dB, AAC, late": ("adelay=700,treble=g=6:f=3000,bass=g=-6:f=200", AAC),
    "dull, AAC": ("lowpass=f=3500,bass=g=6:f=250", AAC), "telephone band (300 to 3400 Hz)": ("highpass=f=300,lowpass=f=3400", None),
    "Opus, 32 kb/s": ("anull", OPUS), "3 % slower": ("atempo=0.97", None), "echo": ("aecho=0.7:0.6:70|130:0.35|0.2", None),
    "white noise, 20 dB": None, "0.4 semitones": (tune(-0.4), None), "1 semitone": (tune(-1), None), "2 semitones": (tune(2), None),
    "4 semitones": (tune(-4), None), "3 semitones, resonances kept": ("aresample=48000,rubberband=pitch=1.1892:formant=preserved", None),
}


def ffmpeg(*args):
    return subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *args], stderr=subprocess.DEVNULL).returncode == 0


def halves(work, jobs):
    """Runs `work` on two halves at once."""
    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(work, [jobs[::2], jobs[1::2]]), [])


def disguised(sounds, tag, *options):
    pairs = [(s, f"{s[:-4]}.{tag}.f32") for s in sounds]

    def work(pairs):
        lines = "".join(f"{a} {b} 16000 1\n" for a, b in pairs)
        subprocess.run([TOOL, "disguise", *options], input=lines.encode(), stderr=subprocess.DEVNULL, check=True)
        return pairs
    halves(work, pairs)
    return pairs


def copy(sound, name):
    out = f"{sound[:-4]}.{list(COPIES).index(name)}.copy.f32"
    if COPIES[name] is None:
        x = np.fromfile(sound, "<f4").astype(float)
        if name.startswith("backwards"):
            x = np.concatenate([x[i:i + 8000][::-1] for i in range(0, len(x), 8000)])
        else:
            x += np.random.default_rng(len(x) + 1).normal(size=len(x)) * np.sqrt((x ** 2).mean()) * 0.1
        x.astype("<f4").tofile(out)
        return out
    filters, encoder = COPIES[name]
    if encoder is None:
        ffmpeg(*RAW, "-i", sound, "-af", filters, *RAW, out)
        return out
    film = out + (".m4a" if encoder is AAC else ".ogg")
    ffmpeg(*RAW, "-i", sound, "-af", filters, "-ar", "48000", *encoder, film)
    ffmpeg("-i", film, *RAW, out)
    return out


def show(name, pairs, secs):
    for s in [*secs, None]:
        def work(pairs):
            lines = "".join(f"{a} {b} 16000\n" for a, b in pairs)
            options = ["--secs", str(s)] if s else []
            made = subprocess.run([TOOL, "recognise", *options], input=lines.encode(), stdout=subprocess.PIPE, check=True)
            return [json.loads(line) for line in made.stdout.splitlines()]
        rows = [r for r in halves(work, pairs) if r["pieces"] or r["whole"] is not None]
        best = np.array([max(c for c in (r["whole"], r["nearest"]) if c is not None) for r in rows])
        low, first, middle, last, top = np.percentile(best, [0, 2, 50, 98, 100]) if len(best) else [np.nan] * 5
        print(f"{name:34s} {f'{s} s' if s else 'whole':5s} judged {len(rows):5d} of {len(pairs):5d}: least {low:5.2f}, 2 % {first:5.2f}, median "
              f"{middle:5.2f}, 98 % {last:5.2f}, most {top:5.2f}; over .80 {np.sum(best >= .8):4d}, found {sum(r['found'] for r in rows):4d}", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--more", nargs="*", default=[])
    p.add_argument("--draws", type=int, default=2)
    p.add_argument("--every", type=int, default=3)
    p.add_argument("--secs", type=int, nargs="*", default=[3, 5, 8])
    p.add_argument("--work", default="/tmp/voice-same")
    args = p.parse_args()
    os.makedirs(args.work, exist_ok=True)

    def sounds_of(paths):
        files = [f for path in paths for f in ([path] if os.path.isfile(path) else sorted(glob.glob(os.path.join(path, "*"))))]
        out = [(f, os.path.join(args.work, os.path.basename(f).replace(".", "_") + ".f32")) for f in files if not f.endswith((".csv", ".txt", ".rttm", ".md"))]
        return [b for a, b in out if ffmpeg("-i", a, "-vn", *RAW, b) and os.path.getsize(b) > 4 * 16000]
    folder, more = sounds_of([args.folder]), sounds_of(args.more)
    for name, sounds in (("recordings of the folder", folder), ("others", more)):
        draws = [disguised(sounds, f"d{k}") for k in range(args.draws)] if sounds else []
        if draws:
            show(f"pseudo, {name}", sum(draws, []), args.secs)
            show(f"pseudo of a pseudo, {name}", disguised([b for _, b in draws[0]], "again"), args.secs)
            show(f"whisper, {name}", disguised(sounds, "whisper", "--style", "whisper"), args.secs)
    n = len(folder)
    show("actors (other speakers)", [(folder[i], folder[(i + k) % n]) for i in range(n) for k in (1, 23)], args.secs)
    for name in COPIES:
        show(name, [(s, copy(s, name)) for s in folder[::args.every]], args.secs)


if __name__ == "__main__":
    main()
