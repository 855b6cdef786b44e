"""Averages many faces into one that is nobody's: shape, light and texture apart from each other."""

import cv2
import numpy as np

from atlas import SIZE, blur, low_light, smooth, to_linear, to_srgb
from networks import Detector, Landmarks
from paths import STILLS

FLOOR = 0.004
_nets = []


def find_points(image, mesh):
    """470 points of the largest face, mean of the picture and its mirror image."""
    if not _nets:
        _nets.extend([Detector(), Landmarks()])
    found = _nets[0](image)
    if not found:
        raise ValueError("no face found")
    _, box, five = max(found, key=lambda f: f[1][2] * f[1][3])
    vertex_of = np.r_[mesh.mirror[:468], 473:478, 468:473]
    p, _ = _nets[1](image, box, five, mirror=vertex_of)
    return p[mesh.point_of_vertex], five


class Member:
    """One source face: canonical shape, light (skin's low frequencies) and detail (texture / light)."""

    def __init__(self, name, layout):
        self.name = name
        image = cv2.imread(str(STILLS / name))
        self.image = image
        self.points, self.five = find_points(image, layout.mesh)
        self.scale, self.pose, _, self.shape = layout.mesh.fit(self.points)
        linear = to_linear(image)
        texture = layout.sample(linear, self.points)
        self.facing = layout.facing(self.points)
        self.bad = not_skin(texture, self.facing, layout)
        self.trust = np.clip(smooth(self.facing, 0.12, 0.55) * (1 - self.bad), 0, 1).astype(np.float32)
        inner = 0.03 + smooth(layout.depth, 25, 90)  # the rim's own colour is mostly hair, ears and background
        weight = layout.skin * self.facing**2 * (1 - self.bad) * inner
        self.light = low_light(texture, weight.astype(np.float32) + 1e-6)
        lab = cv2.cvtColor(to_srgb(texture).astype(np.float32) / 255, cv2.COLOR_BGR2LAB)
        self.coloured = np.linalg.norm(lab[layout.skin > 0][:, 1:], axis=1).mean() > 6
        self.detail = np.log(np.clip(texture / (self.light + FLOOR), 0.02, 8)).astype(np.float32)


def not_skin(texture, facing, layout):
    """Hair, background, ears: far in CIELAB from the middle of the face; only in the outer ring and forehead."""
    lab = cv2.cvtColor(np.clip(texture, 0, 1) ** (1 / 2.2), cv2.COLOR_BGR2LAB)
    core = (layout.skin > 0) & (layout.depth > 75) & (facing > 0.4)
    middle = np.median(lab[core], 0)
    spread = 1.4826 * np.median(np.abs(lab[core] - middle), 0) + np.array([5, 2, 2.5])
    z = np.abs(lab - middle) / spread
    bad = (((z[..., 0] > 3.2) | (np.linalg.norm(z[..., 1:], axis=2) > 3.6)) & (layout.outer > 0.02)).astype(np.uint8)
    bad = cv2.morphologyEx(bad, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    bad = cv2.dilate(bad, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (21, 21))).astype(np.float32)
    return np.clip(blur(bad, 5), 0, 1)


def fine(detail, sigma=4.4):
    return detail - blur(detail, sigma).reshape(detail.shape)


def grey(detail):
    return detail.mean(2, keepdims=True)


def flow_to(target, moving):
    """Small dense shifts that take `moving` onto `target` (both log detail), a few texels at most."""
    def prepare(d):
        g = blur(grey(d)[..., 0], 2.0)
        return np.clip(128 + 90 * g, 0, 255).astype(np.uint8)

    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    f = dis.calc(prepare(target), prepare(moving), None)
    f = blur(f, 7)
    size = np.linalg.norm(f, axis=2, keepdims=True)
    return f * np.minimum(1, 9 / np.maximum(size, 1e-6))


def shift(image, flow):
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    return cv2.remap(image, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def average_detail(members, weights, layout, rounds=2):
    """Weighted mean of log detail, members drawn together by optical flow; texels nobody shows get 0.

    Grey pictures give light and dark only; the colour of details comes from the others.
    """
    details = [m.detail for m in members]
    trusts = agreeing(details, [m.trust for m in members], layout)
    for step in range(rounds + 1):
        mean = weighted(details, trusts, weights)
        if step == rounds:
            break
        for k, m in enumerate(members):
            known = m.trust[..., None]
            f = flow_to(mean, m.detail * known + mean * (1 - known))
            details[k], trusts[k] = shift(m.detail, f), shift(m.trust, f)
        trusts = agreeing(details, trusts, layout)
    tints = [d - grey(d) for d in details]
    colour = weighted(tints, trusts, [w * m.coloured for w, m in zip(weights, members)])
    return grey(mean) + colour


def weighted(details, trusts, weights):
    total = sum(w * t for w, t in zip(weights, trusts))
    mean = sum(w * t[..., None] * np.clip(d, -3, 1.2) for w, t, d in zip(weights, trusts, details))
    mean = mean / (total[..., None] + 0.02)
    return mean * blur(smooth(total / sum(weights), 0.04, 0.25).astype(np.float32), 6)[..., None]


def agreeing(details, trusts, layout):
    """Lowers trust in the outer ring and forehead where one face departs from the others: strands of hair."""
    coarse = np.array([blur(grey(d)[..., 0], 6) for d in details])
    usual = np.median(coarse, axis=0)
    return [t * (1 - layout.outer * blur(smooth(np.abs(c - usual), 0.07, 0.18).astype(np.float32), 8))
            for t, c in zip(trusts, coarse)]


def average_light(members, weights, layout, mirror=True):
    """Geometric mean of the members' light, mirrored so that no side is darker."""
    pairs = [(w, m) for w, m in zip(weights, members) if m.coloured]
    log = sum(w * np.log(np.maximum(m.light, FLOOR)) for w, m in pairs) / sum(w for w, _ in pairs)
    if mirror:
        log = (log + log[:, ::-1]) / 2
    return np.exp(log).astype(np.float32)


def finish(light, detail, layout):
    """Light x detail, dilated beyond the oval."""
    texture = light * np.exp(detail)
    return dilate(texture, layout)


def dilate(texture, layout):
    """Texels outside the face take the value of the nearest one inside."""
    inside = cv2.erode(layout.inside.astype(np.uint8), np.ones((3, 3), np.uint8))
    _, labels = cv2.distanceTransformWithLabels(1 - inside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    first = np.zeros(labels.max() + 1, np.int64)
    ys, xs = np.nonzero(inside)
    first[labels[ys, xs]] = ys * SIZE + xs
    return texture.reshape(-1, 3)[first[labels]].reshape(SIZE, SIZE, 3)
