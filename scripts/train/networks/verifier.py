"""The verifier: whether a square of a picture shows a face. It looks again at what the detector was not sure of.

Faces are what both detector families of the teachers see, at every size, angle and light; the rest is what the built-in
detector takes for faces where no teacher, asked for everything, sees one, and squares of any size from beside faces.
"""

import math
import time

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from . import geometry as geo
from . import loop, prepare, settings, split
from .augment import degrade, occlude, texture
from .layers import Separable, conv
from .teachers import Rfb, YuNet

#: Side of the picture that the network sees, and of the square over the longer side of the box.
SIZE, GROW = 64, 2.0
#: Pixels of a stored crop, and its side over that of the box: room for shifts, turns and other sizes.
STORED, STORED_GROW = 144, 4.5
#: How far a face may lie from the middle of the square, in its own sizes, and how large it may be: boxes of weak
#: detections fit badly.
SHIFT, SIZES = 0.35, (0.45, 1.5)
#: Score of the built-in detector from which on what it sees is looked at; squares taken at random from every picture.
WEAK, RANDOM = 0.18, 6
BATCH = 128
#: Of so many that are no faces, the one that the network was most wrong about is shown, half of the time.
DRAWN = 6


class Verifier(nn.Module):
    """Depthwise-separable network on 64 pixels. Input RGB 0..1; the logit that a face is there."""

    def __init__(self, width=(16, 32, 48, 80, 112)):
        super().__init__()
        a, b, c, d, e = width
        self.body = nn.Sequential(conv(3, a, 3, 2), Separable(a, b, 2), Separable(b, b), Separable(b, c, 2),
                                  Separable(c, c), Separable(c, d, 2), Separable(d, d), Separable(d, e))
        self.head = nn.Sequential(nn.Conv2d(e, e, 4, groups=e), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2))
        self.out = nn.Linear(e, 1)

    def forward(self, x):
        return self.out(self.head(self.body(x * 4 - 2)))[:, 0]


class Exported(nn.Module):
    """The verifier; an output of its own name."""

    NAMES = ["face"]

    def __init__(self, net: Verifier):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


def gather() -> None:
    """Crops of faces and of what is none, with how many pixels the box has, into the cache."""
    yunet, rfb, own, rows, start = YuNet(), Rfb(), YuNet(settings.OWN / "detector.onnx"), [], time.time()
    rng = np.random.default_rng(5)

    def crop(image, box):
        side = float(max(box[2:] - box[:2]))
        m = geo.crop_map((box[:2] + box[2:]) / 2, STORED_GROW * side, 0.0, STORED)
        return side, geo.warp(image, m, STORED, STORED, cv2.BORDER_REPLICATE)

    def near(boxes, box, grow):
        """Which of the boxes have their middle in the grown box."""
        c, half = (boxes[:, :2] + boxes[:, 2:]) / 2 - (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * (0.5 + grow)
        return (np.abs(c) < half).all(1)

    def add(item, image, sides, few=False):
        # From 0.3 on a teacher may see a face: nothing there is taken for none. Faces are what both see at 0.5, or YuNet at 0.75.
        test, h, w = split.is_test(item), *image.shape[:2]
        found = [yunet(image, 0.3, s) for s in sides]
        boxes, scores = (np.concatenate([f[i] for f in found]) for i in range(2))
        kept = geo.suppress(boxes, scores, 0.4)
        boxes, scores = boxes[kept], scores[kept]
        others, sure = rfb(image, 0.3)
        both = geo.iou(boxes, others) > 0.4 if len(boxes) and len(others) else np.zeros((len(boxes), len(others)), bool)
        agreed = np.array([sure[row].max(initial=0) for row in both])
        for box, score, other in zip(boxes, scores, agreed):
            if min(box[2:] - box[:2]) >= 9 and (score >= 0.75 or score >= 0.5 and other >= 0.5):
                rows.append((True, test, item["file"], *crop(image, box)))
        seen = np.concatenate([boxes, others])
        weak = np.concatenate([own(image, WEAK, s)[0] for s in sides])
        weak = weak[rng.permutation(len(weak))[: 4 if few else 14]]
        squares = []
        for _ in range(2 if few else RANDOM):
            side = math.exp(rng.uniform(math.log(10), math.log(0.5 * min(h, w))))
            x, y = rng.uniform(0, w - side), rng.uniform(0, h - side)
            squares.append([x, y, x + 0.75 * side, y + side])
        for box in np.concatenate([weak, np.array(squares)]):
            if max(box[2:] - box[:2]) < 9 or near(seen, box, 0.6).any() or (geo.iou(box[None], seen) > 0.05).any():
                continue
            side, picture = crop(image, box)
            # A closer look by the teacher: small faces are missed in the whole picture.
            close, _, _ = yunet(picture, 0.3, 256)
            lo, hi = (STORED * (0.5 + k * 0.75 / STORED_GROW) for k in (-1, 1))
            if near(close, np.array([lo, lo, hi, hi]), 0.0).any():
                continue
            rows.append((False, test, item["file"], side, picture))

    def tell(what):
        n = sum(r[0] for r in rows)
        print(f"{what}: {n} faces, {len(rows) - n} others, {time.time() - start:.0f} s", flush=True)

    for item in split.items("stills/"):
        image = prepare.read(item, 480)
        if image is not None:
            add(item, image, (320,), few=True)
    tell("stills")
    for prefix in ("negatives", "photos/noface", "photos/people"):
        for item in split.items(prefix):
            image = prepare.read(item, 960)
            if image is not None and min(image.shape[:2]) >= 64:
                add(item, image, (640, 1280) if prefix == "photos/people" else (640,))
        tell(prefix)
    for item in split.items("video/"):
        name = item["file"].split("/")[-1]
        count = max(4, prepare.frames_wanted(name, split.is_test(item)) // 2)
        for _, image in prepare.frames(settings.data(item["file"]), count):
            add(item, prepare.shrink(image, 960), (640, 1280))
    tell("video")
    prepare.store("doubts", rows)


class Training(loop.Task):
    """Half faces, half what is none; both degraded alike."""

    rate, average, decay = 3e-3, 0.995, 1e-3

    def __init__(self):
        rows = [r for r in prepare.load("doubts") if not r[1]]
        self.faces, self.others = [r for r in rows if r[0]], [r for r in rows if not r[0]]
        # Portraits are many and alike: half of the faces shown come from photographs and films.
        self.wild = [r for r in self.faces if not r[2].startswith("stills")]

        #: What the network said of each of the others when it last saw it. Workers do not hear of it.
        self.said, self.shown = np.zeros(len(self.others), np.float32), np.zeros(0, int)

    def model(self):
        return Verifier()

    def pick(self, rng) -> int:
        """One of those that are no face: half of the time the worst mistake of a few."""
        drawn = rng.integers(len(self.others), size=DRAWN if rng.random() < 0.5 else 1)
        return int(drawn[np.argmax(self.said[drawn])])

    def sample(self, rng, row, face: bool) -> np.ndarray:
        """One picture of a row, RGB 0..1."""
        side, picture = row[3], row[4].copy()
        unit = STORED / STORED_GROW
        if face and rng.random() < 0.2:
            lo, hi = (STORED - 0.8 * unit) / 2, (STORED + 0.8 * unit) / 2
            occlude(picture, np.array([lo, (STORED - unit) / 2, hi, (STORED + unit) / 2]), rng, texture(STORED, rng))
        # The face is `size` of what a box would be, `shift` off its middle.
        size = math.exp(rng.uniform(*map(math.log, SIZES))) if rng.random() < 0.7 else rng.uniform(0.85, 1.15)
        square = GROW * unit / size
        shift = rng.uniform(-SHIFT, SHIFT, 2) * unit / max(size, 1.0) * (rng.random() < 0.7)
        angle = rng.normal(0, 0.2) if rng.random() < 0.8 else rng.uniform(-1.2, 1.2)
        m = geo.crop_map(np.array([STORED / 2, STORED / 2]) + shift, square, angle, SIZE, rng.random() < 0.5)
        # As few pixels as faces in films have.
        pixels = min(side, STORED / STORED_GROW) * SIZE / square
        picture = geo.warp(picture, m, SIZE, SIZE, cv2.BORDER_REPLICATE)
        if rng.random() < 0.5:
            k = max(9.0, math.exp(rng.uniform(math.log(9), math.log(64)))) / max(pixels, 1.0)
            if k < 1:
                n = max(8, round(SIZE * k))
                picture = cv2.resize(cv2.resize(picture, (n, n), interpolation=cv2.INTER_AREA), (SIZE, SIZE),
                                     interpolation=cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC)
        if rng.random() < 0.7:
            picture = degrade(picture, rng, 0.6)
        if rng.random() < 0.1:
            picture = np.repeat(picture.mean(2, keepdims=True).astype(np.uint8), 3, 2)
        return picture[:, :, ::-1].transpose(2, 0, 1).astype(np.float32) / 255

    def batch(self, rng):
        pool = lambda: self.wild if rng.random() < 0.6 else self.faces
        faces = [(p := pool())[rng.integers(len(p))] for _ in range(BATCH // 2)]
        self.shown = np.array([self.pick(rng) for _ in range(BATCH // 2)])
        images = [self.sample(rng, r, True) for r in faces] + [self.sample(rng, self.others[i], False) for i in self.shown]
        return dict(image=np.stack(images), face=(np.arange(BATCH) < BATCH // 2).astype(np.float32))

    def loss(self, model, batch, progress):
        logit = model(batch["image"])
        self.said[self.shown] = logit.detach()[BATCH // 2:].cpu().numpy()
        # A face taken for none weighs more: that is what must not happen.
        weight = torch.where(batch["face"] > 0.5, 2.0, 1.0)
        loss = F.binary_cross_entropy_with_logits(logit, batch["face"] * 0.98 + 0.01, weight)
        right = ((logit > 0) == (batch["face"] > 0.5)).float().mean()
        return loss, dict(loss=loss.detach(), right=right)


def main(arguments) -> None:
    """Gathers crops if there are none, and trains."""
    if not (settings.CACHE / "doubts.pkl").exists():
        gather()
    loop.run(Training(), arguments)
