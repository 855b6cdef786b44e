"""Expressions for a neutral composite: shapes by linear models of many faces, mouth and closed lids painted."""

import cv2
import numpy as np

import topology as topo
from atlas import SIZE, blur, smooth
from paths import CACHE

OPEN, OPEN_WIDE = 0.065, 0.13  # inner lip gap in face widths
LAUGH = 0.075  # the same where a smile bares the teeth
MOST_LIFT = 0.036  # farthest that an upper lip goes up
HALF, SHUT = 0.5, 0.0  # share of the neutral lid aperture


def opening(shape):
    return np.linalg.norm(shape[..., 13, :2] - shape[..., 14, :2], axis=-1)


def aperture(shape):
    gaps = [shape[..., l, 1] - shape[..., u, 1] for u, l in topo.RIGHT_LIDS[2:5] + topo.LEFT_LIDS[2:5]]
    return np.mean(gaps, axis=0)


def width(shape):
    return np.linalg.norm(shape[..., 61, :2] - shape[..., 291, :2], axis=-1)


class ShapeModel:
    """How a face's shape moves when the mouth opens and when it smiles, learnt from stills and video frames."""

    def __init__(self, mesh):
        data = np.load(CACHE / "points.npz")
        names = data["names"]
        sure = (data["facts"][:, 1] > 0.95) & (data["facts"][:, 2] > 55)
        shapes = np.array([mesh.fit(p.astype(np.float64))[3] for p in data["points"][sure][:, mesh.point_of_vertex]])
        names = names[sure]
        shapes = (shapes + shapes[:, mesh.mirror] * [-1, 1, 1]) / 2
        clip = np.array([n.split("#")[0] if n.startswith("video") else "" for n in names])
        stills = clip == ""
        self.smile = self.slope(shapes[stills], 2)
        calm = mesh.positions
        # a smile moves mouth, cheeks and lower lids; brows, forehead and outline stay
        near = np.exp(-(((calm[:, 0]) / 0.33) ** 2 + ((calm[:, 1] - 0.52) / 0.26) ** 2) ** 2)
        self.smile *= near[:, None]
        moved = np.concatenate([shapes[clip == c] - shapes[clip == c].mean(0) for c in sorted(set(clip) - {""})])
        base = shapes[stills].mean(0)
        self.open = self.slope(moved + base, 1)
        self.identity = self.identities(shapes[stills], mesh)
        for v in (topo.RIGHT_IRIS, topo.LEFT_IRIS):
            self.open[v] = self.smile[v] = 0

    @staticmethod
    def slope(shapes, column):
        x = np.stack([np.ones(len(shapes)), opening(shapes), width(shapes), aperture(shapes)], 1)
        k = np.linalg.lstsq(x, shapes.reshape(len(x), -1), rcond=None)[0]
        return k[column].reshape(-1, 3)

    @staticmethod
    def identities(shapes, mesh, count=14):
        """Principal shape differences between people, expression regressed out; unit = one standard deviation."""
        x = np.stack([np.ones(len(shapes)), opening(shapes), width(shapes), aperture(shapes)], 1)
        flat = shapes.reshape(len(x), -1)
        rest = flat - x @ np.linalg.lstsq(x, flat, rcond=None)[0]
        rest = rest[np.abs(rest).max(1) < 0.12]
        _, spread, basis = np.linalg.svd(rest, full_matrices=False)
        basis = basis[:count] * spread[:count, None] / np.sqrt(len(rest))
        basis *= np.sign(basis[np.arange(count), np.abs(basis).argmax(1)])[:, None]
        return basis.reshape(count, -1, 3)

    def as_somebody_else(self, shape, coefficients):
        """The face moved in the space of people's shapes, so that it is nobody among its members."""
        return shape + np.tensordot(coefficients, self.identity[:len(coefficients)], 1)

    def with_opening(self, shape, target):
        """The face with its inner lips `target` apart at the middle."""
        for _ in range(4):
            shape = shape + self.open * (target - (shape[14, 1] - shape[13, 1]))
        return shape

    def smiling(self, shape, wider, gap):
        """The face with its mouth `wider` by that many face widths, corners up and lips `gap` apart."""
        q = shape + self.smile * wider
        for corner in (61, 291):
            near = np.exp(-((shape[:, :2] - shape[corner, :2]) ** 2).sum(1) / (2 * 0.045**2))
            q[:, 1] -= 0.22 * wider * near
        lift = min(0.6 * gap, MOST_LIFT)  # of the gap comes from the upper lip, which bares the teeth
        q = self.with_opening(q, gap - lift)
        for (upper, _), share in zip(topo.LIP_RINGS, (1.0, 0.95, 0.9, 0.8)):
            f = np.clip((q[upper, 0] - q[78, 0]) / (q[308, 0] - q[78, 0]), 0.02, 0.98)
            q[upper, 1] -= share * lift * (4 * f * (1 - f)) ** 0.5
        return with_lids(q, 0.9)

    def close_mouth(self, shape):
        shape = self.with_opening(shape, 0.002)
        for u, l in topo.INNER_LIPS:
            middle, gap = (shape[u] + shape[l]) / 2, shape[l, 1] - shape[u, 1]
            if gap < 0.001 or gap > 0.004:
                shape[u, 1], shape[l, 1] = middle[1] - 0.0008, middle[1] + 0.0008
        return shape


def with_lids(shape, share):
    """The face with its lids at `share` of their aperture: the upper lid comes down, its skin unrolling."""
    q = shape.copy()
    for lids, rings, lower_rings in ((topo.RIGHT_LIDS, topo.RIGHT_RINGS, topo.RIGHT_LOWER_RINGS),
                                     (topo.LEFT_LIDS, topo.LEFT_RINGS, topo.LEFT_LOWER_RINGS)):
        for k, (u, l) in enumerate(lids):
            gap = max(shape[l, 1] - shape[u, 1], 0)
            drop = gap * (1 - share)
            q[u, 1] += 0.86 * drop
            q[l, 1] -= 0.14 * drop
            q[rings[1][k], 1] += 0.16 * drop
            q[rings[2][k], 1] += 0.05 * drop
            q[lower_rings[1][k], 1] -= 0.08 * drop
            depth = (shape[u, 2] + shape[l, 2]) / 2 - 0.008 * (1 - share)
            q[u, 2] += (depth - q[u, 2]) * 0.5 * (1 - share)
            q[rings[1][k], 2] -= 0.004 * (1 - share)
    return q


def lip_edges(shape, x):
    upper = [p[0] for p in topo.INNER_LIPS]
    lower = [p[1] for p in topo.INNER_LIPS]
    out = []
    for line in (upper, lower):
        at = np.concatenate([[78], line, [308]])
        out.append(np.interp(x, shape[at, 0], shape[at, 1]))
    return out


TEETH = [0.0, 0.056, 0.101, 0.143, 0.176, 0.205]  # right edges of upper teeth from the middle, face widths


def paint_mouth(shape, layout, bite, bright=1.0, below=0.014, gaps=(0.38, 0.0030)):
    """Linear BGR picture of teeth, tongue and darkness between the lips of `shape`, and its matte.

    `bite` is the height of the closed lip line, `bright` how much light falls on the teeth, `below` how far the upper ones
    reach below the bite, `gaps` depth and width of the lines between them.
    """
    at = layout.per_texel(shape[:, :2].astype(np.float32))
    x, y = at[..., 0], at[..., 1]
    upper, lower = lip_edges(shape, x)
    gap = np.maximum(lower - upper, 1e-4)
    wide = smooth(shape[14, 1] - shape[13, 1], 0.04, 0.12)
    picture = np.ones((SIZE, SIZE, 1), np.float32) * np.array([0.012, 0.009, 0.026], np.float32)
    # tongue: a soft mound on the floor of the mouth
    mound = np.exp(-(x / 0.10) ** 2) * smooth(y, lower - 0.6 * gap, lower - 0.02 * gap) * (0.3 + 0.7 * wide)
    picture = picture + mound[..., None] * np.array([0.060, 0.058, 0.17], np.float32)
    # lower teeth: a faint, shaded band behind the lower lip
    band = smooth(y, lower - 0.017, lower - 0.008) * np.exp(-(x / 0.075) ** 4) * wide
    picture = mix(picture, np.array([0.13, 0.16, 0.18], np.float32) * tooth_shade(x, 0.68), 0.6 * band)
    # upper teeth hang from the skull, so they do not move with the jaw
    edge = bite + below - 0.42 * x**2 - 0.005 * step_between(x)
    row = (1 - smooth(y, edge - 0.004, edge + 0.002)) * np.exp(-(x / 0.185) ** 6)
    lip_shadow = 0.5 + 0.5 * smooth(y, upper, upper + 0.022)
    corner = np.exp(-(x / 0.13) ** 2) * 0.8 + 0.2
    teeth = np.array([0.31, 0.41, 0.47], np.float32) * bright * (tooth_shade(x, 1.0, gaps) * (lip_shadow * corner)[..., None])
    picture = mix(picture, teeth, row)
    return blur(picture.astype(np.float32), 0.8), blur(layout.mouth, 1.2)


def shut_mouth(texture, layout):
    """What shows between closed lips: the lips' own colour in deep shadow."""
    ring = blur(layout.lips - layout.mouth, 1)
    near = blur(texture * ring[..., None], 10) / (blur(ring, 10)[..., None] + 1e-3)
    return 0.22 * near, blur(layout.mouth, 1.2)


def mix(a, b, w):
    return a * (1 - w[..., None]) + b * w[..., None]


def nearest_gap(x, scale=1.0):
    edges = np.array(TEETH) * scale
    return np.min(np.abs(np.abs(x)[..., None] - edges), axis=-1)


def tooth_shade(x, scale, gaps=(0.38, 0.0030)):
    return (1 - gaps[0] * np.exp(-(nearest_gap(x, scale) / gaps[1]) ** 2))[..., None].astype(np.float32)


def step_between(x):
    """1 at the notch between two teeth, falling to 0 along their edge."""
    return np.exp(-(nearest_gap(x) / 0.006) ** 2)


def lid_coordinates(layout, rings, corners):
    """Per texel: 0 at the lashes to 1 at the crease; 0..1 from one corner of the eye to the other; near it or not."""
    texels = layout.mesh.texels
    xs, ys = np.arange(SIZE), np.arange(SIZE)[:, None]

    def curve(ring):
        line = np.array([corners[0], *ring, corners[1]])
        order = np.argsort(texels[line, 0])
        return np.interp(xs, texels[line[order], 0], texels[line[order], 1])

    lashes, crease = curve(rings[0]), curve(rings[1])
    x0, x1 = sorted(texels[list(corners), 0])
    across = np.clip((xs - x0) / (x1 - x0), 0, 1)[None] * np.ones((SIZE, 1))
    side = ((xs > x0 - 40) & (xs < x1 + 40))[None] * np.ones((SIZE, 1))
    return (lashes[None] - ys) / np.maximum(lashes - crease, 4.0)[None], across, side


def paint_lids(detail, layout, share):
    """Detail of closing lids: skin filled in from around the eye, a soft crease, a lash line at the edge."""
    known = (1 - np.clip(cv2.dilate(layout.eyes, np.ones((27, 27))) + layout.brows, 0, 1)) * layout.skin
    fill = blur(detail * known[..., None], 13) / (blur(known, 13)[..., None] + 1e-3)
    near_eye = cv2.dilate(layout.eyes, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (21, 21)))
    out = detail
    for rings, corners in ((topo.RIGHT_RINGS, topo.RIGHT_CORNERS), (topo.LEFT_RINGS, topo.LEFT_CORNERS)):
        t, across, side = lid_coordinates(layout, rings, corners)
        lid = fill + (0.07 * np.exp(-((t - 0.5) / 0.3) ** 2) - 0.10 * np.exp(-((t - 1.05) / 0.16) ** 2)
                      * smooth(across, 0, 0.2) * (1 - smooth(across, 0.8, 1)))[..., None]
        on = near_eye * side * smooth(t, -0.2, -0.02)
        out = mix(out, lid.astype(np.float32), blur((on * (1 - share) ** 0.5).astype(np.float32), 2.5))
        lash = np.exp(-(np.maximum(t, 0) / (0.10 + 0.2 * share)) ** 2) * smooth(t, -0.3, -0.05) * side
        lash = lash * smooth(across, 0.0, 0.15) * (1 - smooth(across, 0.85, 1.0))
        out = out - (1.1 * blur(lash.astype(np.float32), 1.0))[..., None]
    return out


def smile_detail(pairs, layout):
    """Mean difference in log detail between smiling and calm faces: folds and cheeks, both sides alike.

    `pairs` = (smiling details with trust, calm details with trust); only the lower face is kept.
    """
    means = []
    for group in pairs:
        total = sum(t for _, t in group)[..., None]
        means.append(sum(d.mean(2, keepdims=True) * t[..., None] for d, t in group) / (total + 0.5))
    ratio = blur(means[0] - means[1], 2.0)
    ratio = (ratio - blur(ratio, 40)).reshape(SIZE, SIZE, 1)
    ratio = (ratio + ratio[:, ::-1]) / 2
    at = layout.per_texel(layout.mesh.positions[:, :2].astype(np.float32))
    near = np.exp(-((at[..., 0] / 0.36) ** 2 + ((at[..., 1] - 0.45) / 0.3) ** 2) ** 2)
    near *= (1 - blur(np.clip(layout.lips + layout.eye_zone, 0, 1), 5)) * smooth(layout.depth, 20, 60)
    return (0.8 * np.clip(ratio, -0.3, 0.2) * near[..., None] * np.array([1.15, 1.05, 0.8])).astype(np.float32)
