"""Where things are, and which device is used."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SPLIT = ROOT / "scripts/train/split.toml"
OWN = ROOT / "models/own"

SHARED = Path(os.environ.get("UNDERSTUDY_SHARED", ROOT.parent / "shared"))
CACHE = Path(os.environ.get("UNDERSTUDY_TRAIN_CACHE", Path.home() / ".cache/understudy-train"))


def data(name: str = "") -> Path:
    """A path below the data folder."""
    return SHARED / "data" / name


def teacher(name: str) -> Path:
    """A path below the teachers' folder."""
    return SHARED / "models" / name


def one_thread() -> None:
    """One thread each for OpenCV and PyTorch: trainings share a small machine."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def keep_memory() -> None:
    """Makes the C library keep what it has freed: giving it back and faulting it in again costs a tenth of a step."""
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    trim_threshold, mmap_max = -1, -4
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)


def device():
    """The GPU if there is one."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
