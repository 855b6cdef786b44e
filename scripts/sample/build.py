"""Makes the sample film: see scripts/sample/build."""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np

import motion
import room
from person import Canvas, Face, Person

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT, SECONDS, OVER = 854, 480, 8.4, 2
SPEECH = ("I worked in that office for eleven years, and I signed what they put before me. "
          "When I asked where the money went, they told me to take a holiday.")
# Tags that a disguised film must not carry; that is what they are here for.
TAGS = {
    "title": "Interview with Sample Person", "artist": "Sample Person", "comment": "filmed at the kitchen table",
    "location": "+52.3731+004.8922/", "creation_time": "2024-05-17T09:41:00Z",
}


def speak(folder, voice, pitch):
    wav = folder / "speech.wav"
    subprocess.run(["espeak-ng", "-v", voice, "-p", str(pitch), "-s", "150", "-g", "2", "-w", wav, SPEECH], check=True)
    samples, rate = motion.read_wav(wav)
    lead = np.zeros(int(0.35 * rate))
    samples = np.concatenate([lead, samples, np.zeros(int(SECONDS * rate))])[:int(SECONDS * rate)]
    return samples, rate, wav


def chapters(folder):
    lines = [";FFMETADATA1"]
    for start, end, title in ((0, 4000, "The office"), (4000, int(SECONDS * 1000), "The money")):
        lines += ["[CHAPTER]", "TIMEBASE=1/1000", f"START={start}", f"END={end}", f"title={title}"]
    path = folder / "chapters.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def encoder(output, folder, samples, rate, wav):
    import wave
    with wave.open(str(wav), "wb") as w:
        w.setnchannels(1), w.setsampwidth(2), w.setframerate(rate)
        hiss = np.random.default_rng(5).normal(0, 0.0006, len(samples))
        w.writeframes((np.clip(0.7 * samples + hiss, -1, 1) * 32767).astype("<i2").tobytes())
    tags = [part for key, value in TAGS.items() for part in ("-metadata", f"{key}={value}")]
    return subprocess.Popen(
        ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{WIDTH}x{HEIGHT}",
         "-r", str(motion.FPS), "-i", "-", "-i", wav, "-i", chapters(folder), "-map", "0:v", "-map", "1:a",
         "-map_chapters", "2", "-vf", "scale=out_color_matrix=bt709:out_range=tv",
         "-c:v", "libx264", "-threads", "1", "-preset", "slow", "-crf", "21", "-pix_fmt", "yuv420p", "-g", "50",
         "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
         "-c:a", "aac", "-b:a", "96k", "-ar", "48000", *tags,
         "-metadata:s:v", "handler_name=Sample Camera", "-metadata:s:a", "language=eng",
         "-movflags", "+faststart", output], stdin=subprocess.PIPE)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--models", type=Path, default=ROOT / "models", help="folder with mesh/ and doubles/")
    options.add_argument("--double", default="d01")
    options.add_argument("--voice", default="en-us+f3", help="an espeak-ng voice")
    options.add_argument("--pitch", type=int, default=45)
    options.add_argument("--hair", default="28,40,62", help="colour as B,G,R")
    options.add_argument("--still", type=float, help="write one picture at this second instead of the film")
    options.add_argument("-o", "--output", type=Path, default=ROOT / "tests" / "samples" / "interview.mp4")
    args = options.parse_args()
    rng = np.random.default_rng(20)
    cv2.setNumThreads(1)
    person = Person(Face(args.models, args.double), rng, [float(v) for v in args.hair.split(",")])
    backdrop = room.draw(WIDTH * OVER, HEIGHT * OVER, rng)
    frames = int(round(SECONDS * motion.FPS))
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        samples, rate, wav = speak(folder, args.voice, args.pitch)
        opening = motion.mouth_opening(samples, rate, frames)
        shut = motion.blinks(frames, rng)
        pose, shift = motion.head_pose(opening, frames)

        def picture(k):
            canvas = Canvas(backdrop, 165 * OVER, (0.5 * WIDTH * OVER, 172 * OVER))
            person.draw(canvas, 0.55 * opening[k], shut[k], pose[k], shift[k])
            small = cv2.resize(canvas.colour, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
            noise = np.random.default_rng([7, k]).normal(0, 1.3, small.shape)
            return np.clip(np.round(small + noise), 0, 255).astype(np.uint8)

        if args.still is not None:
            cv2.imwrite(str(args.output), picture(int(args.still * motion.FPS)))
            return
        args.output.parent.mkdir(parents=True, exist_ok=True)
        film = encoder(args.output, folder, samples, rate, wav)
        for k in range(frames):
            film.stdin.write(picture(k).tobytes())
        film.stdin.close()
        if film.wait() != 0:
            raise SystemExit("sample: ffmpeg failed, see above")
    print(json.dumps({"file": str(args.output), "bytes": args.output.stat().st_size, "frames": frames}))


if __name__ == "__main__":
    main()
