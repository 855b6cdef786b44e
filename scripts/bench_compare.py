#!/usr/bin/env python3
"""Pairs of runs, FFmpeg and Understudy, on one clip: CPU seconds of the process tree, wall time, peak memory.

Called by scripts/bench. Standard library only. The order within a pair alternates. Ratios are taken pair by pair, so
that other work on the machine falls on both sides; the table gives their median, least and greatest.
"""

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target" / "release" / "understudy"
SHARED = Path(os.environ.get("UNDERSTUDY_SHARED", ROOT.parent / "shared"))
SOURCE = SHARED / "data" / "video" / "deepdemo_obama_wh.mp4"
# Exit codes of a film that the attack refused.
REFUSED = (7, 71, 72, 73, 74, 75)
# The picture inside the source's black border, from its second second on.
FRAMING = "crop=1152:648:64:36,scale={width}:{height}:flags=lanczos,fps=25"


def run(command, allowed=(0,)):
    """Runs to the end; seconds of CPU (user + system, with descendants), wall seconds, peak resident MiB."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - start
        if child.returncode not in allowed:
            log.seek(0)
            text = log.read().decode(errors="replace")[-2000:]
            sys.exit(f"bench: exit code {child.returncode} from: {shlex.join(map(str, command))}\n{text}")
    return {"cpu": usage.ru_utime + usage.ru_stime, "wall": wall, "rss": usage.ru_maxrss / 1024,
            "code": child.returncode}


def make_clip(path, seconds, width, height, rate, start=2):
    """Cuts, frames and encodes the talking head; prints the command."""
    if not SOURCE.is_file():
        sys.exit(f"bench: {SOURCE} is missing; set UNDERSTUDY_SHARED or give --clip")
    command = ["ffmpeg", "-v", "error", "-y", "-ss", str(start), "-i", str(SOURCE), "-t", str(seconds),
               "-vf", FRAMING.format(width=width, height=height), "-c:v", "libx264", "-preset", "medium", "-b:v", rate,
               "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "128k", "-movflags", "+faststart", str(path)]
    print("clip:", shlex.join(command))
    subprocess.run(command, check=True)


def loop_clip(path, clip, seconds):
    """Repeats a clip without encoding it again."""
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-stream_loop", "-1", "-i", str(clip), "-t", str(seconds),
                    "-c", "copy", str(path)], check=True)


def models():
    """Options that name the networks, where they lie beside the project."""
    if "UNDERSTUDY_MODELS" in os.environ or not (SHARED / "models").is_dir():
        return []
    return ["--models", str(SHARED / "models")]


def table(title, header, rows):
    print(f"\n{title}\n")
    cells = [header] + [[c if isinstance(c, str) else f"{c:.2f}" for c in row] for row in rows]
    widths = [max(len(r[i]) for r in cells) for i in range(len(header))]
    for k, row in enumerate(cells):
        print("| " + " | ".join(c.rjust(w) if k else c.ljust(w) for c, w in zip(row, widths)) + " |")
        if k == 0:
            print("|" + "|".join("-" * (w + 1) + ":" for w in widths) + "|")


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def compare(args, work):
    clip = args.clip
    if clip is None:
        clip = work / "clip.mp4"
        make_clip(clip, args.seconds, 1920, 1080, "12M")
    out, plan = work / "out.mp4", work / "clip.plan"
    encoder = ["--preset", "web", "--crf", "23", "--speed", "medium"]
    common = [*models(), *args.extra]
    commands = {
        "ffmpeg": ["ffmpeg", "-v", "error", "-y", "-i", str(clip), "-c:v", "libx264", "-preset", "medium",
                   "-crf", "23", "-c:a", "aac", str(out)],
        "analyse": [str(PROGRAM), "analyse", str(clip), "-o", str(plan), "--force", *common],
        "render": [str(PROGRAM), "render", str(plan), "-o", str(out), "--force", *encoder, *common],
        "disguise": [str(PROGRAM), "disguise", str(clip), "-o", str(out), "--force", *encoder, *common],
    }
    for name, command in commands.items():
        print(f"{name}:", shlex.join(command))
    runs = {name: [] for name in commands}
    for pair in range(args.pairs):
        order = ["ffmpeg", "analyse", "render", "disguise"]
        if pair % 2:
            order = ["analyse", "render", "disguise", "ffmpeg"]
        for name in order:
            # 7: the film was made and measured, but not cleared; said below.
            runs[name].append(run(commands[name], allowed=(0,) if name in ("ffmpeg", "analyse") else (0, *REFUSED)))
            print(f"  pair {pair + 1} {name}: " + ", ".join(f"{k} {v:.2f}" for k, v in runs[name][-1].items()), flush=True)
    print_comparison(runs)
    return runs


def print_comparison(runs):
    rows = []
    for name, results in runs.items():
        ratio = [ours["cpu"] / theirs["cpu"] for ours, theirs in zip(results, runs["ffmpeg"])]
        slow = [ours["wall"] / theirs["wall"] for ours, theirs in zip(results, runs["ffmpeg"])]
        rows.append([name, spread([r["cpu"] for r in results]), spread(ratio), spread([r["wall"] for r in results]),
                     spread(slow), f"{max(r['rss'] for r in results):.0f}"])
    table("median (least to greatest) of the pairs",
          ["run", "CPU s", "CPU / ffmpeg", "wall s", "wall / ffmpeg", "peak MiB"], rows)
    print("\n`render` and `disguise` contain the attack on the finished film; `disguise` contains the analysis too.")
    failed = sum(r["code"] != 0 for name in ("render", "disguise") for r in runs[name])
    if failed:
        print(f"{failed} of these runs were not cleared by the attack (exit codes 7 and 71 to 75).")


def memory(args, work):
    clip = args.clip
    if clip is None:
        clip = work / "clip.mp4"
        make_clip(clip, 20, *args.memory_size, "1500k")
    rows, results = [], {}
    for minutes in args.minutes:
        film, out = work / f"film{minutes}.mp4", work / "out.mp4"
        loop_clip(film, clip, 60 * minutes)
        command = [str(PROGRAM), "disguise", str(film), "-o", str(out), "--force", "--preset", "web",
                   "--speed", "veryfast", *models(), *args.extra]
        print("run:", shlex.join(command), flush=True)
        results[minutes] = run(command, allowed=(0, *REFUSED))
        rows.append([f"{minutes:g} min", results[minutes]["rss"], results[minutes]["cpu"], results[minutes]["wall"]])
    table("peak memory against the length of the film", ["film", "peak MiB", "CPU s", "wall s"], rows)
    return results


def size(text):
    width, height = text.split("x")
    return int(width), int(height)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--clip", type=Path, help="a film of yours instead of the made one")
    options.add_argument("--pairs", type=int, default=5)
    options.add_argument("--seconds", type=float, default=12, help="length of the made clip")
    options.add_argument("--memory", action="store_true", help="compare peak memory of short and long films instead")
    options.add_argument("--memory-size", type=size, default=(640, 360), help="picture of those films (640x360)")
    options.add_argument("--minutes", type=float, nargs="+", default=[1, 10])
    options.add_argument("--json", type=Path, help="also write the numbers here")
    options.add_argument("extra", nargs="*", help="after --: further options for understudy")
    args = options.parse_args()
    version = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True).stdout.split("\n")[0]
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f} at the start; {version}")
    if load > 0.5 * os.cpu_count():
        print("NOTE: this machine is busy; trust the CPU ratios, not the wall times")
    with tempfile.TemporaryDirectory(prefix="understudy-bench-") as work:
        result = (memory if args.memory else compare)(args, Path(work))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
