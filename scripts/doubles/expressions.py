"""Expressions for a neutral composite: shapes by linear models of many faces, mouth and closed lids painted."""

import numpy as np

import topology as topo
from atlas import SIZE, blur, smooth
from paths import CACHE

OPEN, OPEN_WIDE = 0.065, 0.13  # inner lip gap in face widths
HALF, SHUT = 0.5, 0.03  # share of the neutral lid aperture


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
        moved = np.concatenate([shapes[clip == c] - shapes[clip == c].mean(0) for c in sorted(set(clip) - {""})])
        base = shapes[stills].mean(0)
        self.open = self.slope(moved + base, 1)
        for v in (topo.RIGHT_IRIS, topo.LEFT_IRIS):
            self.open[v] = self.smile[v] = 0

    @staticmethod
    def slope(shapes, column):
        x = np.stack([np.ones(len(shapes)), opening(shapes), width(shapes), aperture(shapes)], 1)
        k = np.linalg.lstsq(x, shapes.reshape(len(x), -1), rcond=None)[0]
        return k[column].reshape(-1, 3)

    def with_opening(self, shape, target):
        """The face with its inner lips `target` apart at the middle."""
        for _ in range(4):
            shape = shape + self.open * (target - (shape[14, 1] - shape[13, 1]))
        return shape

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


def paint_mouth(shape, layout, bite):
    """Linear BGR picture of teeth, tongue and darkness between the lips of `shape`; `bite` = height of the
    closed lip line. Returns (picture, matte)."""
    at = layout.per_texel(shape[:, :2].astype(np.float32))
    x, y = at[..., 0], at[..., 1]
    upper, lower = lip_edges(shape, x)
    gap = np.maximum(lower - upper, 1e-4)
    # the matte is in UV: inside the inner lips
    matte = blur(layout.mouth, 1.2)
    open_mid = max(shape[14, 1] - shape[13, 1], 0.002)
    dark = np.array([0.010, 0.008, 0.022], np.float32)
    picture = np.tile(dark, (SIZE, SIZE, 1)) * np.ones((SIZE, SIZE, 1), np.float32)
    # tongue: a soft mound on the floor of the mouth
    mound = np.exp(-(x / 0.11) ** 2) * smooth(y, lower - 0.55 * gap, lower - 0.05 * gap) * smooth(open_mid, 0.02, 0.07)
    picture += mound[..., None] * np.array([0.075, 0.070, 0.21], np.float32)
    # lower teeth: a faint band just over the lower lip
    band = smooth(y, lower - 0.016, lower - 0.010) * np.exp(-(x / 0.10) ** 4) * smooth(open_mid, 0.015, 0.05)
    picture = mix(picture, np.array([0.20, 0.25, 0.28], np.float32) * tooth_shade(x, 0.72), 0.8 * band)
    # upper teeth hang from the skull, so they do not move with the jaw
    edge = bite + 0.016 - 0.38 * x**2 - 0.006 * step_between(x)
    row = (1 - smooth(y, edge - 0.004, edge + 0.002)) * np.exp(-(x / 0.185) ** 6)
    lip_shadow = 0.55 + 0.45 * smooth(y, upper, upper + 0.022)
    corner = np.exp(-(x / 0.17) ** 2) * 0.75 + 0.25
    teeth = np.array([0.40, 0.49, 0.53], np.float32) * (tooth_shade(x, 1.0) * (lip_shadow * corner)[..., None])
    picture = mix(picture, teeth, row)
    return blur(picture.astype(np.float32), 0.8), matte


def mix(a, b, w):
    return a * (1 - w[..., None]) + b * w[..., None]


def nearest_gap(x, scale=1.0):
    edges = np.array(TEETH) * scale
    return np.min(np.abs(np.abs(x)[..., None] - edges), axis=-1)


def tooth_shade(x, scale):
    return (1 - 0.38 * np.exp(-(nearest_gap(x, scale) / 0.0030) ** 2))[..., None].astype(np.float32)


def step_between(x):
    """1 at the notch between two teeth, falling to 0 along their edge."""
    return np.exp(-(nearest_gap(x) / 0.006) ** 2)


def ring_coordinate(layout):
    """How far from the lashes (0) to the crease (1) each texel of the upper lids is, else -1."""
    out = np.full((SIZE, SIZE), -1, np.float32)
    texels = layout.mesh.texels
    for rings, corners in ((topo.RIGHT_RINGS, topo.RIGHT_CORNERS), (topo.LEFT_RINGS, topo.LEFT_CORNERS)):
        lash = np.array([corners[0], *rings[0], corners[1]])
        # the crease ring meets the lashes at the corners
        crease = np.array([corners[0], *rings[1], corners[1]])
        order = np.argsort(texels[lash, 0])
        xs = np.arange(SIZE)
        low = np.interp(xs, texels[lash[order], 0], texels[lash[order], 1])
        order = np.argsort(texels[crease, 0])
        high = np.interp(xs, texels[crease[order], 0], texels[crease[order], 1])
        x0, x1 = sorted(texels[list(corners), 0])
        ys = np.arange(SIZE)[:, None]
        t = (low[None] - ys) / np.maximum(low - high, 1.0)[None]
        hit = (t > -0.6) & (t < 1.9) & (xs >= x0)[None] & (xs <= x1)[None]
        out[hit] = t[hit]
    return out


def paint_lids(detail, layout, share):
    """Detail of closing lids: plain lid skin between crease and lashes, a lash line at its edge."""
    t = ring_coordinate(layout)
    on = smooth(t, -0.02, 0.06) * (1 - smooth(t, 1.0, 1.7)) * (t > -0.5)
    skin = layout.eye_zone * 0 - 0.13  # lids are a shade darker than the cheek
    skin = skin + 0.10 * np.exp(-((t - 0.55) / 0.28) ** 2)
    lid = np.stack([skin - 0.02, skin - 0.02, skin + 0.02], -1).astype(np.float32)
    strength = (1 - share) ** 0.5
    out = mix(detail, lid, blur((on * strength).astype(np.float32), 1.5))
    thick = 0.10 + 0.25 * share
    lash = np.exp(-(np.maximum(t, 0) / thick) ** 2) * smooth(t, -0.35, -0.1) * (t > -0.5)
    return out - (1.25 * blur(lash.astype(np.float32), 1.2))[..., None]
