"""How the sample's person moves: mouth from the speech envelope, blinks, head pose. All curves are per film frame."""

import wave

import numpy as np

FPS = 25


def read_wav(path):
    """Mono samples in -1..1 and their rate."""
    with wave.open(str(path)) as w:
        data = np.frombuffer(w.readframes(w.getnframes()), np.int16).astype(np.float64) / 32768
        return data.reshape(-1, w.getnchannels()).mean(1), w.getframerate()


def gauss(x, sigma):
    k = np.arange(-int(4 * sigma) - 1, int(4 * sigma) + 2)
    g = np.exp(-(k / sigma) ** 2 / 2)
    return np.convolve(np.pad(x, len(k) // 2, mode="edge"), g / g.sum(), mode="valid")


def mouth_opening(samples, rate, frames):
    """0..1 per frame: loudness of the speech, compressed, opening faster than it closes."""
    step = rate / FPS
    loud = np.array([np.sqrt(np.mean(samples[int(k * step):int((k + 1) * step)] ** 2) + 1e-12) for k in range(frames)])
    level = np.clip(loud / np.percentile(loud, 92), 0, 1.15) ** 0.8
    out = np.zeros(frames)
    for k in range(frames):
        before = out[k - 1] if k else 0.0
        out[k] = before + (level[k] - before) * (0.85 if level[k] > before else 0.55)
    return np.clip(gauss(out, 0.45), 0, 1)


def blinks(frames, rng):
    """0..1 per frame: lids shut within two frames, open again within four; every two to four seconds."""
    out = np.zeros(frames)
    at = 0.9 * FPS
    while at < frames - 6:
        for offset, share in ((-2, 0.35), (-1, 0.9), (0, 1.0), (1, 0.8), (2, 0.45), (3, 0.15)):
            out[int(at) + offset] = share
        at += rng.uniform(2.0, 3.6) * FPS
    return out


def head_pose(opening, frames):
    """Yaw, pitch, roll in degrees and a shift in face widths (x, y) per frame: slow sways, a nod where speech is loud."""
    t = np.arange(frames) / FPS
    yaw = 9.0 * np.sin(2 * np.pi * t / 5.3 + 0.6) + 3.0 * np.sin(2 * np.pi * t / 1.9 + 2.0)
    pitch = 2.5 * np.sin(2 * np.pi * t / 3.7) + 3.5 * (gauss(opening, 4) - 0.4)
    roll = 2.6 * np.sin(2 * np.pi * t / 4.6 + 1.2)
    shift = np.stack([0.05 * np.sin(2 * np.pi * t / 5.3 + 0.2), 0.02 * np.sin(2 * np.pi * t / 2.9)], 1)
    return np.stack([yaw, pitch, roll], 1), shift
