"""The face detector: boxes, scores and five points, with the inputs and outputs of YuNet.

The student sees a degraded picture and is asked for what the teacher says, cell by cell, about the same picture
before it was degraded; faces known from the full-size picture that the teacher misses at this size or angle are added.
"""

import math

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from . import geometry as geo
from . import loop, prepare
from .augment import degrade, occlude, texture
from .layers import Separable, conv
from .teachers import YuNet

STRIDES = (8, 16, 32)
#: Face sizes that each stride is responsible for, where the teacher gives no answer.
LEVELS = ((0, 40), (26, 110), (72, 1e9))
#: Side and number of pictures in a batch, and how often; fewer than 16 take a slower way through PyTorch on a CPU.
SHAPES = ((256, 16, 0.85), (384, 16, 0.15))
#: Pictures kept to be degraded again in another way: making one costs as much as learning from it.
KEPT, REUSED = 3000, 0.7
#: Share of the faces that are covered in part, and of the pictures that are blurred as far as their largest face bears.
COVERED, BLURRED = 0.35, 0.16
SMALLEST = 8.0
#: Share of the faces that are made as small as the smallest that must be found, their sizes, and what they count for.
SMALL, SMALL_SIZES, SMALL_WEIGHT = 0.35, (14.0, 36.0), 1.6


class Detector(nn.Module):
    """Depthwise-separable backbone with a three-level feature pyramid.

    Input BGR 0..255; per stride a map of 15 channels: score logit, box, five points, in units of the stride.
    """

    def __init__(self, width=(16, 24, 48, 80, 112), depth=(1, 2, 3, 3), pyramid=48):
        super().__init__()
        c0, c1, c2, c3, c4 = width
        stage = lambda i, o, n, k: nn.Sequential(Separable(i, o, 2), *[Separable(o, o, k=k) for _ in range(n)])
        self.stem = conv(3, c0, 3, 2)
        self.s4, self.s8 = stage(c0, c1, depth[0], 3), stage(c1, c2, depth[1], 3)
        self.s16, self.s32 = stage(c2, c3, depth[2], 3), stage(c3, c4, depth[3], 5)
        self.lateral = nn.ModuleList([conv(c, pyramid) for c in (c2, c3, c4)])
        self.merge = nn.ModuleList([Separable(pyramid, pyramid) for _ in STRIDES])
        self.head = nn.ModuleList([Separable(pyramid, pyramid) for _ in STRIDES])
        self.out = nn.ModuleList([nn.Conv2d(pyramid, 15, 1) for _ in STRIDES])
        for o in self.out:
            nn.init.normal_(o.weight, std=0.01)
            nn.init.zeros_(o.bias)
            o.bias.data[0] = -4.0
            o.bias.data[1:3] = 0.5

    def forward(self, x):
        a = self.s8(self.s4(self.stem(x / 64 - 2)))
        b = self.s16(a)
        c = self.lateral[2](self.s32(b))
        b = self.merge[1](self.lateral[1](b) + F.interpolate(c, scale_factor=2.0))
        a = self.merge[0](self.lateral[0](a) + F.interpolate(b, scale_factor=2.0))
        c = self.merge[2](c)
        return [out(head(t)) for out, head, t in zip(self.out, self.head, (a, b, c))]


class Exported(nn.Module):
    """The detector with YuNet's outputs: cls, obj, bbox, kps for each stride.

    `steep` and `shift` turn score logits so that scores mean what the program takes them for.
    """

    def __init__(self, net: Detector, steep: float = 1.0, shift: float = 0.0):
        super().__init__()
        self.net, self.steep, self.shift = net, steep, shift

    NAMES = [f"{kind}_{s}" for kind in ("cls", "obj", "bbox", "kps") for s in STRIDES]

    def forward(self, x):
        maps = [m.flatten(2).transpose(1, 2) for m in self.net(x)]
        score = [torch.sigmoid(m[..., :1] * self.steep + self.shift) for m in maps]
        return (*score, *[s * 1.0 for s in score], *[m[..., 1:5].clamp(-8, 8) for m in maps],
                *[m[..., 5:] for m in maps])


def grid(side: int) -> np.ndarray:
    """Column, row and stride of every cell, in the order of the outputs."""
    rows = []
    for s in STRIDES:
        n = side // s
        yy, xx = np.mgrid[:n, :n]
        rows.append(np.stack([xx.ravel(), yy.ravel(), np.full(n * n, s)], 1))
    return np.concatenate(rows).astype(np.float32)


GRIDS = {side: grid(side) for side, _, _ in SHAPES}


def flip_points(points: np.ndarray) -> np.ndarray:
    """Five points of a mirrored face."""
    return points[:, [1, 0, 2, 4, 3]]


class Canvas:
    """A picture being made, with the faces known in it."""

    def __init__(self, image, boxes=None, points=None, empty=False):
        self.image = np.ascontiguousarray(image)
        self.boxes = np.zeros((0, 4)) if boxes is None else boxes
        self.points = np.zeros((0, 5, 2)) if points is None else points
        #: Whether the background is known to have no faces.
        self.empty = empty


class Sampler:
    """Makes training pictures from scenes and cut-out faces."""

    def __init__(self):
        self.full, self.bare = [], []
        for row in prepare.load("scenes"):
            if row["test"]:
                continue
            sure = row["scores"] >= 0.6
            if len(row["rfb_boxes"]) and len(row["boxes"]):
                sure |= (row["scores"] >= 0.45) & (geo.iou(row["boxes"], row["rfb_boxes"]).max(1) > 0.4)
            scene = dict(jpg=row["jpg"], boxes=row["boxes"][sure], points=row["points"][sure], kind=row["kind"])
            (self.full if len(scene["boxes"]) else self.bare).append(scene)
        self.bare_weight = np.full(len(self.bare), 1 / len(self.bare))
        weight = np.array([(3.0 if s["kind"] == "photo" else 1.0) * math.sqrt(len(s["boxes"])) for s in self.full])
        self.full_weight = weight / weight.sum()
        self.cuts = [self._levels(c["image"], c["matte"], c["box"], c["five"]) for c in prepare.load("portraits")]
        self.scene_cuts = []
        for scene in self.full:
            self._cut(scene)
        self.teacher = None
        self.kept = {side: [] for side, _, _ in SHAPES}

    @staticmethod
    def _levels(image, matte, box, five):
        out = []
        for height in (200, 72, 28):
            k = min(1.0, height / (box[3] - box[1]))
            small = cv2.resize(image, None, fx=k, fy=k, interpolation=cv2.INTER_AREA) if k < 1 else image
            mask = cv2.resize(matte, small.shape[1::-1], interpolation=cv2.INTER_AREA) if k < 1 else matte
            out.append((small, mask, box * k, five * k, k * (box[3] - box[1])))
        return out

    def _cut(self, scene):
        image = None
        for box, five in zip(scene["boxes"], scene["points"]):
            w, h = box[2:] - box[:2]
            if h < 32:
                continue
            image = self.decode(scene)[0] if image is None else image
            x0, y0 = max(0, int(box[0] - 0.35 * w)), max(0, int(box[1] - 0.35 * h))
            crop = image[y0:int(box[3] + 0.3 * h), x0:int(box[2] + 0.35 * w)].copy()
            if min(crop.shape[:2]) < 20:
                continue
            matte = np.zeros(crop.shape[:2], np.uint8)
            centre = (box[:2] + box[2:]) / 2 - [x0, y0]
            cv2.ellipse(matte, (int(centre[0]), int(centre[1])), (int(w * 0.66), int(h * 0.62)), 0, 0, 360, 255, -1)
            matte = cv2.GaussianBlur(matte, (0, 0), max(1.0, w * 0.06))
            self.scene_cuts.append(self._levels(crop, matte, box - [x0, y0, x0, y0], five - [x0, y0]))

    @staticmethod
    def decode(scene) -> list[np.ndarray]:
        """The picture of a scene at full, half and quarter size, made once."""
        if "levels" not in scene:
            levels = [cv2.imdecode(scene["jpg"], cv2.IMREAD_COLOR)]
            while len(levels) < 3:
                h, w = levels[-1].shape[:2]
                levels.append(cv2.resize(levels[-1], (max(1, w // 2), max(1, h // 2)), interpolation=cv2.INTER_AREA))
            scene["levels"] = levels
        return scene["levels"]

    def view(self, scene, side, rng, centre=None, scale=None) -> Canvas:
        """A turned, scaled, sheared part of a scene."""
        levels = self.decode(scene)
        h, w = levels[0].shape[:2]
        low = side / math.sqrt(h * w)
        if scale is None:
            scale = math.exp(rng.uniform(math.log(low), max(math.log(low) + 0.1, math.log(1.6))))
        # A picture that leaves much of the canvas empty teaches little.
        scale = max(scale, 0.8 * low)
        half = side / 2 / scale
        bounds = [(min(half, n / 2), max(n - half, n / 2)) for n in (w, h)]
        if centre is None:
            centre = [rng.uniform(*b) for b in bounds]
        elif rng.random() < 0.85:
            centre = [float(np.clip(c, *b)) for c, b in zip(centre, bounds)]
        kind = rng.random()
        angle = 0.0 if kind < 0.3 else rng.normal() * 0.2 if kind < 0.6 else rng.uniform(-1.1, 1.1)
        mirror = rng.random() < 0.5
        c, s = math.cos(angle) * scale, math.sin(angle) * scale
        m = np.array([[c, -s, 0.0], [s, c, 0.0]])
        if rng.random() < 0.4:
            m[:, :2] = np.array([[rng.uniform(0.8, 1.2), rng.normal() * 0.08], [0, 1.0]]) @ m[:, :2]
        if mirror:
            m[0] = -m[0]
        m[:, 2] = side / 2 - m[:, :2] @ np.asarray(centre)
        border = cv2.BORDER_CONSTANT if rng.random() < 0.7 or len(scene["boxes"]) else cv2.BORDER_REFLECT_101
        points = geo.apply(m, scene["points"])
        image = levels[0 if scale > 0.5 else 1 if scale > 0.25 else 2]
        small = m.copy()
        small[:, :2] *= [w / image.shape[1], h / image.shape[0]]
        return Canvas(geo.warp(image, small, side, side, border), geo.map_boxes(m, scene["boxes"]),
                      flip_points(points) if mirror else points, scene["kind"] == "empty")

    def background(self, side, rng) -> Canvas:
        """A picture without known faces."""
        if rng.random() < 0.12:
            return Canvas(texture(side, rng), empty=True)
        return self.view(self.bare[rng.choice(len(self.bare), p=self.bare_weight)], side, rng)

    def mine(self, net) -> None:
        """Shows those face-free pictures more often in which a network sees faces."""
        weight = np.ones(len(self.bare))
        for i, scene in enumerate(self.bare):
            if scene["kind"] != "empty":
                continue
            image = self.decode(scene)[0]
            k = 640 / max(image.shape[:2])
            h, w = (max(32, int(n * k) // 32 * 32) for n in image.shape[:2])
            x = torch.from_numpy(cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)).permute(2, 0, 1)[None].float()
            with torch.no_grad():
                weight[i] += 4 * max(float(torch.sigmoid(m[:, 0].max())) for m in net(x))
        self.bare_weight = weight / weight.sum()
        print(f"face-free pictures with a detection of 0.5 or more: {(weight >= 3).sum()}", flush=True)

    def paste(self, canvas: Canvas, size, x, y, rng) -> None:
        """Puts a cut-out face of about `size` pixels at x, y."""
        pool = self.scene_cuts if rng.random() < 0.4 else self.cuts
        levels = pool[rng.integers(len(pool))]
        level = max(i for i in range(3) if i == 0 or levels[i][4] >= 0.95 * size)
        image, matte, box, five, height = levels[level]
        mode = rng.random()
        if mode < 0.1:
            matte = np.full_like(matte, 255)
        elif mode < 0.28:
            matte = np.zeros_like(matte)
            centre, (w, h), grow = (box[:2] + box[2:]) / 2, box[2:] - box[:2], rng.uniform(0.55, 0.75)
            cv2.ellipse(matte, (int(centre[0]), int(centre[1])), (int(w * grow), int(h * grow)), 0, 0, 360, 255, -1)
            matte = cv2.GaussianBlur(matte, (0, 0), max(0.6, w * 0.05))
        angle = rng.normal() * 0.2 if rng.random() < 0.6 else rng.uniform(-1.05, 1.05)
        mirror, k = rng.random() < 0.5, size / height
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        a = turn @ np.array([[1, rng.normal() * 0.07], [0, 1]]) @ np.diag([rng.uniform(0.78, 1.15) * (-k if mirror else k), k])
        m = np.concatenate([a, np.zeros((2, 1))], axis=1)
        m[:, 2] = np.array([x, y]) - a @ ((box[:2] + box[2:]) / 2)
        side = canvas.image.shape[0]
        corners = geo.apply(m, np.array([[0, 0], [image.shape[1], 0], [0, image.shape[0]], image.shape[1::-1]], float))
        x0, y0 = np.clip(np.floor(corners.min(0)).astype(int) - 1, 0, side)
        x1, y1 = np.clip(np.ceil(corners.max(0)).astype(int) + 1, 0, side)
        if x1 - x0 < 4 or y1 - y0 < 4:
            return
        local = m.copy()
        local[:, 2] -= [x0, y0]
        cut = geo.warp(image, local, int(x1 - x0), int(y1 - y0))
        mask = geo.warp(matte, local, int(x1 - x0), int(y1 - y0))
        if rng.random() < 0.6:
            tone = cut.astype(np.float32) * rng.uniform(0.5, 1.35) * rng.uniform(0.85, 1.15, 3).astype(np.float32)
            cut = np.clip(tone + rng.uniform(-25, 25), 0, 255).astype(np.uint8)
        region, share = canvas.image[y0:y1, x0:x1], mask.astype(np.uint16)[..., None]
        region[:] = (cut * share + region * (255 - share)) // 255
        if len(canvas.boxes):
            left = np.ones(len(canvas.boxes), bool)
            for i, (u0, v0, u1, v1) in enumerate(canvas.boxes):
                part = mask[max(0, int(v0) - y0):max(0, int(v1) - y0), max(0, int(u0) - x0):max(0, int(u1) - x0)]
                left[i] = (part > 127).sum() < 0.5 * max((u1 - u0) * (v1 - v0), 1)
            canvas.boxes, canvas.points = canvas.boxes[left], canvas.points[left]
        points = geo.apply(m, five[None])
        canvas.boxes = np.concatenate([canvas.boxes, geo.map_boxes(m, box)])
        canvas.points = np.concatenate([canvas.points, flip_points(points) if mirror else points])

    def mosaic(self, side, rng) -> Canvas:
        """Four small pictures in one."""
        out, half = Canvas(np.empty((side, side, 3), np.uint8), empty=False), side // 2
        for x, y in ((0, 0), (half, 0), (0, half), (half, half)):
            part = self.canvas(half, rng, whole=True)
            out.image[y:y + half, x:x + half] = part.image
            inside = geo.covered(part.boxes, [[0, 0, half, half]])[:, 0] > 0.3
            low, high = np.tile([0.0, 0.0], 2), np.tile([half, half], 2)
            out.boxes = np.concatenate([out.boxes, np.clip(part.boxes[inside], low, high) + [x, y, x, y]])
            out.points = np.concatenate([out.points, part.points[inside] + [x, y]])
        return out

    def canvas(self, side, rng, whole=False) -> Canvas:
        """A picture with its known faces, not yet degraded."""
        if not whole and rng.random() < 0.35:
            return self.mosaic(side, rng)
        kind = rng.random()
        ends = SMALL_SIZES if rng.random() < SMALL else None
        sizes = lambda most: math.exp(rng.uniform(*np.log(ends or (SMALLEST, most))))
        if kind < 0.58:
            scene = self.full[rng.choice(len(self.full), p=self.full_weight)]
            box = scene["boxes"][rng.integers(len(scene["boxes"]))]
            scale = min(3.0, max(0.1, sizes(0.95 * side) / geo.size_of(box)[0]))
            spot = (box[:2] + box[2:]) / 2 + rng.uniform(-0.42, 0.42, 2) * side / scale
            out, pastes = self.view(scene, side, rng, spot, scale), int(rng.integers(1, 4)) if rng.random() < 0.2 else 0
        elif kind < 0.9:
            out, pastes = self.background(side, rng), int(rng.choice([0, 0, 0, 1, 2, 3, 5, 8]))
        else:
            out, pastes = self.background(side, rng), -1
        for _ in range(pastes):
            self.paste(out, sizes(90 if rng.random() < 0.75 else 0.9 * side), *rng.uniform(0, side, 2), rng)
        if pastes < 0:
            base, y, n = math.exp(rng.uniform(math.log(9), math.log(44))), rng.uniform(0, side / 2), 0
            while y < side + base and n < 30:
                x = rng.uniform(-base, base)
                while x < side and n < 30:
                    if rng.random() < 0.75:
                        self.paste(out, base * rng.uniform(0.8, 1.25), x, y + rng.uniform(-0.3, 0.3) * base, rng)
                        n += 1
                    x += base * rng.uniform(1.0, 2.6)
                y, base = y + base * rng.uniform(0.8, 1.6), base * rng.uniform(1.0, 1.2)
        return out

    def targets(self, canvas: Canvas, side: int):
        """What the student must say of every cell: score, weight, box, points."""
        if self.teacher is None:
            self.teacher = YuNet()
        cells = GRIDS[side]
        raw = self.teacher.dense(canvas.image)
        gather = lambda kind: np.concatenate([raw[f"{kind}_{s}"][0] for s in STRIDES])
        score = np.sqrt(np.clip(gather("cls") * gather("obj"), 0, 1))[:, 0]
        b, p = gather("bbox"), gather("kps").reshape(-1, 5, 2)
        stride = cells[:, 2:]
        centre, half = (cells[:, :2] + b[:, :2]) * stride, np.exp(np.clip(b[:, 2:], -6, 6)) * stride / 2
        boxes = np.concatenate([centre - half, centre + half], 1)
        points = (p + cells[:, None, :2]) * stride[:, None]
        weight = np.ones(len(cells), np.float32)
        spot = (cells[:, :2] + 0.5) * stride
        if canvas.empty:
            inside = np.zeros(len(cells), bool)
            for x0, y0, x1, y1 in canvas.boxes:
                inside |= (spot[:, 0] > x0) & (spot[:, 0] < x1) & (spot[:, 1] > y0) & (spot[:, 1] < y1)
            score = np.where(inside, score, 0)
        if len(canvas.boxes) == 0:
            return score, weight, boxes, points
        sizes = geo.size_of(canvas.boxes)
        seen = geo.covered(canvas.boxes, [[0, 0, side, side]])[:, 0]
        some = np.flatnonzero(score > 0.05)
        overlap = geo.iou(canvas.boxes, boxes[some])
        for g, (box, size) in enumerate(zip(canvas.boxes, sizes)):
            near = some[overlap[g] > 0.4]
            best = score[near].max() if len(near) else 0.0
            if best >= 0.3:
                score[near] = np.minimum(1, score[near] * max(1.0, 0.88 / best))
                continue
            if seen[g] < 0.55 or size < SMALLEST:
                weight[(spot > box[:2]).all(1) & (spot < box[2:]).all(1) & (score > 0.02)] = 0
                continue
            middle = (box[:2] + box[2:]) / 2
            away = np.abs(spot - middle)
            for s, (low, high) in zip(STRIDES, LEVELS):
                if low <= size < high:
                    reach = np.maximum(0.5 * s, np.minimum(1.2 * s, 0.28 * (box[2:] - box[:2])))
                    hit = (cells[:, 2] == s) & (away <= reach).all(1)
                    score[hit], boxes[hit], points[hit] = 0.8, box, canvas.points[g]
        return score, weight, boxes, points

    def sample(self, side: int, rng):
        """One degraded picture and its targets."""
        kept = self.kept[side]
        if len(kept) > 200 and rng.random() < REUSED:
            canvas, targets = kept[int(rng.integers(len(kept)))]
            canvas = Canvas(canvas.image.copy(), canvas.boxes, canvas.points)
        else:
            canvas = self.canvas(side, rng)
            targets = self.targets(canvas, side)
            clean = Canvas(canvas.image.copy(), canvas.boxes, canvas.points), targets
            if len(kept) < KEPT:
                kept.append(clean)
            else:
                kept[int(rng.integers(KEPT))] = clean
        patch = None
        for box in canvas.boxes:
            if geo.size_of(box)[0] > 22 and rng.random() < COVERED:
                if patch is None:
                    patch = self.background(side, rng).image
                occlude(canvas.image, box, rng, patch)
        sizes = geo.size_of(canvas.boxes)
        image = degrade(canvas.image, rng, float(np.clip(min(sizes, default=64.0) / 40, 0.25, 1.3)))
        if len(sizes) and sizes.max() > 24 and rng.random() < BLURRED:
            return self.blurred(image, canvas.boxes, sizes, targets, side, rng)
        return image, *targets

    @staticmethod
    def blurred(image, boxes, sizes, targets, side: int, rng):
        """Blurred as far as the largest face bears; of the faces too small for it nothing is asked."""
        most = min(sizes.max(), 110.0) / 10
        sigma = float(np.exp(rng.uniform(np.log(0.35 * most), np.log(most))))
        score, weight, *rest = targets
        weight, spot = weight.copy(), (GRIDS[side][:, :2] + 0.5) * GRIDS[side][:, 2:]
        for box in boxes[sizes < 10 * sigma]:
            weight[(spot > box[:2]).all(1) & (spot < box[2:]).all(1)] = 0
        # Faces that only the teacher knows may be small as well.
        weight[(score > 0.02) & (np.prod(rest[0][:, 2:] - rest[0][:, :2], axis=1) < (10 * sigma) ** 2)] = 0
        return cv2.GaussianBlur(image, (0, 0), sigma), score, weight, *rest


class Training(loop.Task):
    """The detector's part of the training loop."""

    rate, flat, average, clip, decay = 2.5e-3, 0.35, 0.998, 10.0, 5e-3

    def __init__(self):
        self.sampler = Sampler()
        s = self.sampler
        print(f"scenes with faces {len(s.full)} ({sum(len(f['boxes']) for f in s.full)} faces), without {len(s.bare)}; "
              f"cut-outs {len(s.cuts)} + {len(s.scene_cuts)}", flush=True)

    def model(self):
        return Detector()

    def batch(self, rng):
        side, count, _ = SHAPES[rng.choice(len(SHAPES), p=[s[2] for s in SHAPES])]
        image, score, weight, boxes, points = zip(*(self.sampler.sample(side, rng) for _ in range(count)))
        return dict(image=np.stack(image), score=np.stack(score).astype(np.float32), weight=np.stack(weight),
                    boxes=np.stack(boxes).astype(np.float32), points=np.stack(points).astype(np.float32))

    def loss(self, model, batch, progress):
        x = batch["image"].permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
        side = x.shape[-1]
        maps = model(x)
        out = torch.cat([m.float().flatten(2).transpose(1, 2) for m in maps], 1)
        want, logit = batch["score"], out[..., 0]
        sure = torch.sigmoid(logit)
        cross = F.binary_cross_entropy_with_logits(logit, want, reduction="none")
        least = (batch["boxes"][..., 2:] - batch["boxes"][..., :2]).clamp(min=0).prod(2)
        heavy = torch.where((want > 0.25) & (least < SMALL_SIZES[1] ** 2), SMALL_WEIGHT, 1.0)
        score_loss = ((want - sure).detach().abs() ** 2 * cross * batch["weight"] * heavy).sum()
        b, n = torch.nonzero((want > 0.25) & (batch["weight"] > 0), as_tuple=True)
        share = want[b, n]
        total = share.sum().clamp(min=1)
        cells = torch.from_numpy(GRIDS[side]).to(x.device)[n]
        stride = cells[:, 2:]
        got, box, five = out[b, n], batch["boxes"][b, n], batch["points"][b, n]
        centre, wide = (cells[:, :2] + got[:, 1:3]) * stride, torch.exp(got[:, 3:5].clamp(-5, 5)) * stride
        lo, hi = centre - wide / 2, centre + wide / 2
        true = box[:, 2:] - box[:, :2]
        both = (torch.minimum(hi, box[:, 2:]) - torch.maximum(lo, box[:, :2])).clamp(min=0).prod(1)
        overlap = both / (wide.prod(1) + true.prod(1) - both + 1e-6)
        hull = (torch.maximum(hi, box[:, 2:]) - torch.minimum(lo, box[:, :2])).clamp(min=1e-3)
        middle = (box[:, :2] + box[:, 2:]) / 2
        apart = ((centre - middle) ** 2).sum(1) / (hull ** 2).sum(1) + (((wide - true) / hull) ** 2).sum(1)
        box_loss = ((1 - overlap + apart) * share).sum() / total
        size = true.prod(1).sqrt()[:, None, None]
        spots = (cells[:, None, :2] + got[:, 5:].reshape(-1, 5, 2)) * stride[:, None]
        point_loss = (F.smooth_l1_loss(spots / size, five / size, beta=0.03, reduction="none").mean((1, 2)) * share).sum() / total
        loss = 4 * score_loss / total + box_loss + (4 if progress < 0.6 else 8) * point_loss
        with torch.no_grad():
            mean_overlap = (overlap * share).sum() / total
        return loss, dict(loss=loss.detach(), score=score_loss.detach() / total, box=box_loss.detach(),
                          points=point_loss.detach(), iou=mean_overlap)


def main(arguments) -> None:
    """Trains or resumes."""
    task = Training()
    if loop.checkpoint_path(arguments.name).exists():
        task.sampler.mine(loop.averaged(task, arguments.name))
    loop.run(task, arguments)
