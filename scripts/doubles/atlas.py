"""The mesh as arrays, a small rasteriser, and pictures to and from UV atlases.

An atlas is SIZE x SIZE; texel (i, j) has its centre at u = (i + 0.5) / SIZE, v = (j + 0.5) / SIZE.
Light is linear: atlases are held as linear RGB-order-free float32 in OpenCV's BGR order.
"""

import json

import cv2
import numpy as np

from networks import similarity
from paths import MESH

cv2.setNumThreads(1)
SIZE = 512


class Mesh:
    def __init__(self):
        m = json.loads(MESH.read_text())
        self.__dict__.update({k: np.array(v) for k, v in m.items() if k != "about"})
        self.texels = self.uv * SIZE - 0.5

    def fit(self, points):
        """Canonical shape of 470 image points: (scale, rotation, translation, shape)."""
        s, r, t = similarity(self.positions[self.rigid], points[self.rigid])
        return s, r, t, (points - t) @ r / s


def rasterise(xyz, triangles, width, height, cull=True):
    """Z-buffered: triangle index or -1 per pixel, and barycentric weights of its 2nd and 3rd corner."""
    index = np.full((height, width), -1, np.int32)
    weights = np.zeros((height, width, 2), np.float32)
    depth = np.full((height, width), np.inf, np.float32)
    for k, tri in enumerate(triangles):
        a, b, c = xyz[tri]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if abs(area) < 1e-6 or (cull and area < 0):
            continue
        x0, y0 = np.maximum(np.ceil(np.min([a, b, c], 0)[:2] - 1e-4).astype(int), 0)
        x1, y1 = np.floor(np.max([a, b, c], 0)[:2] + 1e-4).astype(int)
        x1, y1 = min(x1, width - 1), min(y1, height - 1)
        if x1 < x0 or y1 < y0:
            continue
        x, y = np.meshgrid(np.arange(x0, x1 + 1), np.arange(y0, y1 + 1))
        w1 = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
        w2 = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
        z = a[2] + w1 * (b[2] - a[2]) + w2 * (c[2] - a[2])
        box = np.s_[y0:y1 + 1, x0:x1 + 1]
        hit = (w1 > -1e-3) & (w2 > -1e-3) & (w1 + w2 < 1.001) & (z < depth[box])
        depth[box][hit] = z[hit]
        index[box][hit] = k
        weights[box][hit] = np.stack([w1, w2], -1)[hit]
    return index, weights


def interpolate(values, triangles, index, weights):
    """Per-vertex values (n, k) at every rasterised pixel; outside it repeats triangle 0."""
    t = triangles[np.maximum(index, 0)]
    w1, w2 = weights[..., :1], weights[..., 1:]
    return (values[t[..., 0]] * (1 - w1 - w2) + values[t[..., 1]] * w1 + values[t[..., 2]] * w2).astype(np.float32)


def smooth(x, a, b):
    t = np.clip((x - a) / (b - a), 0, 1)
    return t * t * (3 - 2 * t)


def to_linear(image):
    x = image.astype(np.float32) / 255
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_srgb(linear):
    x = np.clip(linear, 0, 1)
    x = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    return np.round(x * 255).astype(np.uint8)


def blur(image, sigma):
    """Gaussian; wide ones are done on a smaller copy, which changes nothing visible."""
    if sigma < 12:
        return cv2.GaussianBlur(image, (0, 0), sigma)
    step = 2 ** int(np.log2(sigma / 5))
    h, w = image.shape[:2]
    small = cv2.resize(image, (w // step, h // step), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / step)
    return cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)


class Layout:
    """Everything about the UV square that does not depend on a face."""

    def __init__(self, mesh):
        self.mesh = mesh
        flat = np.concatenate([mesh.texels, np.zeros((470, 1))], 1)
        self.index, self.weights = rasterise(flat, mesh.triangles, SIZE, SIZE, cull=False)
        self.inside = self.index >= 0
        depth = np.pad(self.inside.astype(np.uint8), 1)
        self.depth = cv2.distanceTransform(depth, cv2.DIST_L2, 5)[1:-1, 1:-1]
        self.eyes = self.hull(mesh.right_eye) + self.hull(mesh.left_eye)
        self.eye_zone = self.hull(mesh.right_eye, 14) + self.hull(mesh.left_eye, 14)
        self.brows = np.maximum(self.hull(mesh.right_brow, 7), self.hull(mesh.left_brow, 7))
        self.lips = self.hull(mesh.lips_outer, 8)
        self.mouth = self.hull(mesh.lips_inner)
        nostrils = self.hull(mesh.nostrils, 8)
        features = np.clip(self.eye_zone + self.brows + self.lips + nostrils, 0, 1)
        self.skin = (self.inside & (self.depth > 8) & (features < 0.5)).astype(np.float32)
        self.features = blur(features, 5)
        top = mesh.texels[np.r_[mesh.right_brow, mesh.left_brow], 1].min()
        rows = np.arange(SIZE, dtype=np.float32)[:, None]
        outer = np.maximum(1 - smooth(self.depth, 50, 95), 1 - smooth(rows, top - 30, top + 10))
        keep = np.clip(self.eye_zone + self.brows + self.lips, 0, 1)
        # how much of a face's own detail survives towards the rim
        kept = np.maximum(smooth(self.depth, 8, 85), blur(cv2.dilate(keep, np.ones((15, 15))), 6))
        self.core = (kept * smooth(self.depth, 2, 20)).astype(np.float32)
        self.outer = blur((outer * self.inside * (1 - cv2.dilate(keep, np.ones((9, 9))))).astype(np.float32), 4)

    def hull(self, vertices, grow=0):
        mask = np.zeros((SIZE, SIZE), np.float32)
        hull = cv2.convexHull(self.mesh.texels[vertices].astype(np.float32))
        cv2.fillPoly(mask, [np.round(hull[:, 0]).astype(np.int32)], 1)
        if grow:
            mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1,) * 2))
        return mask

    def per_texel(self, values):
        return interpolate(values, self.mesh.triangles, self.index, self.weights)

    def sample(self, image, points):
        """The picture (linear, float32) unrolled into the atlas."""
        grid = self.per_texel(points[:, :2].astype(np.float32))
        step = np.linalg.norm(points[234, :2] - points[454, :2]) / (0.6 * SIZE)
        if step > 1.3:
            image = blur(image, 0.4 * step)
        out = cv2.remap(image, grid[..., 0], grid[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return np.clip(out, 0, 1)

    def facing(self, points):
        """How squarely each texel looks at the camera, 0..1."""
        t = self.mesh.triangles
        n = np.zeros((len(points), 3))
        face = np.cross(points[t[:, 1]] - points[t[:, 0]], points[t[:, 2]] - points[t[:, 0]])
        for k in range(3):
            np.add.at(n, t[:, k], face)
        n /= np.linalg.norm(n, axis=1, keepdims=True) + 1e-9
        return np.clip(self.per_texel(n[:, 2:])[..., 0], 0, 1)


def low_light(linear, weight, sigma=SIZE / 16):
    """Normalised Gaussian of the skin's colour; a wider one fills where there is little skin."""
    w = weight[..., None]
    near, near_w = blur(linear * w, sigma), blur(weight, sigma)[..., None]
    far, far_w = blur(linear * w, 3 * sigma), blur(weight, 3 * sigma)[..., None]
    return ((near + 0.02 * far / (far_w + 1e-4)) / (near_w + 0.02)).astype(np.float32)
