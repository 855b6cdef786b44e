"""Builds models/mesh/mesh.json: the canonical face, its UV layout and its triangles.

The shape is the generalised Procrustes mean of faces found in our own data, made symmetric.
The UV layout unrolls that face, with eyes and mouth opened wide, from a cylinder onto a convex
outline; triangles are Delaunay in it.
"""

import json

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import Delaunay

import topology as topo
from networks import similarity
from paths import CACHE, MESH

MARGIN = 0.03
LAYOUT_LIDS, LAYOUT_MOUTH, LAYOUT_LID_GAP, LAYOUT_MOUTH_GAP = 0.4, 0.08, 0.46, 0.27


def lid_aperture(c):
    """Mean lid gap over eye width."""
    gaps = [np.linalg.norm(c[..., u, :2] - c[..., l, :2], axis=-1)
            for u, l in topo.RIGHT_LIDS[2:5] + topo.LEFT_LIDS[2:5]]
    width = (np.linalg.norm(c[..., 33, :2] - c[..., 133, :2], axis=-1)
             + np.linalg.norm(c[..., 263, :2] - c[..., 362, :2], axis=-1)) / 2
    return np.mean(gaps, axis=0) / width


def mouth_opening(c):
    return np.linalg.norm(c[..., 13, :2] - c[..., 14, :2], axis=-1)


def canonical(p, mean):
    """Similarity on the rigid points: (scale, rotation, translation, points in canonical space)."""
    s, r, t = similarity(p[topo.RIGID], mean[topo.RIGID])
    return s, r, t, s * p @ r.T + t


def normalise(mean):
    mean = mean - mean[topo.RIGID].mean(0)
    return mean / np.linalg.norm(mean[234] - mean[454])


def procrustes(points, rounds=6):
    mean = normalise(points[0])
    for _ in range(rounds):
        aligned = np.array([canonical(p, mean)[3] for p in points])
        mean = normalise(np.median(aligned, axis=0))
    return mean, np.array([canonical(p, mean)[3] for p in points])


def face_forward(mean, points):
    """Turns the mean so that it is seen as the portraits are seen on average."""
    level = []
    for p in points:
        e = p[topo.LEFT_EYE, :2].mean(0) - p[topo.RIGHT_EYE, :2].mean(0)
        c, s = e / np.linalg.norm(e)
        q = p.copy()
        q[:, :2] = p[:, :2] @ np.array([[c, -s], [s, c]])
        level.append(normalise(q))
    _, r, _ = similarity(mean[topo.RIGID], np.median(level, axis=0)[topo.RIGID])
    return normalise(mean @ r.T)


def mirror_map(mean, openmouth):
    """Index of each vertex's mirror partner, by best one-to-one match of the mirrored face."""
    both = np.concatenate([mean, openmouth], 1)
    flipped = both * np.array([-1, 1, 1, -1, 1, 1])
    cost = ((both[:, None] - flipped[None]) ** 2).sum(2)
    rows, match = linear_sum_assignment(cost)
    assert (match[match] == rows).all(), "mirror map is no involution"
    for a, b in ((33, 263), (61, 291), (78, 308), (159, 386), (468, 469), (13, 13), (70, 300), (234, 454)):
        assert match[a] == b, (a, b, match[a])
    return match


def symmetric(p, mirror):
    return (p + p[mirror] * np.array([-1, 1, 1][:p.shape[1]])) / 2


def disk_triangles(uv):
    """Delaunay triangles inside the oval, wound so that their UV area is positive."""
    t = Delaunay(uv).simplices
    outline = uv[topo.OVAL].astype(np.float32).reshape(-1, 1, 2)
    t = np.array([v for v in t if cv2.pointPolygonTest(outline, uv[v].mean(0).tolist(), False) > 0])
    area = doubled_area(uv, t)
    t[area < 0] = t[area < 0][:, [0, 2, 1]]
    keep = np.abs(area) > 1e-9
    return t[keep]


def doubled_area(uv, t):
    a, b, c = (uv[t[:, i]] for i in range(3))
    return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])


def check_disk(triangles, n):
    """The triangles must form one disk bounded by the oval."""
    edges = {}
    for t in triangles:
        for a, b in ((t[0], t[1]), (t[1], t[2]), (t[2], t[0])):
            edges.setdefault((min(a, b), max(a, b)), []).append(1)
    rim = {e for e, k in edges.items() if len(k) == 1}
    oval = {(min(a, b), max(a, b)) for a, b in zip(topo.OVAL, topo.OVAL[1:] + topo.OVAL[:1])}
    assert rim == oval, (len(rim ^ oval), sorted(rim ^ oval)[:6])
    assert n - len(edges) + len(triangles) == 1, "not a disk"
    return set(edges)


def opened_wide(aligned, mirror):
    """The face with eyes and mouth wide open: linear regression on both, carried beyond the data."""
    lids, mouth = lid_aperture(aligned), mouth_opening(aligned)
    x = np.stack([np.ones(len(lids)), lids, mouth], 1)
    k = np.linalg.lstsq(x, aligned.reshape(len(x), -1), rcond=None)[0]
    shape = (np.array([1, LAYOUT_LIDS, LAYOUT_MOUTH]) @ k).reshape(-1, 3)
    return symmetric(normalise(shape), mirror)


def flatten(shape):
    """Cylinder about the head's axis, seen from below near the nose so that its underside shows."""
    pitch = np.radians(10)
    near = np.exp(-(shape[:, 0] / 0.17) ** 2 / 2)
    u = np.arctan2(shape[:, 0], 0.95 - shape[:, 2])
    v = shape[:, 1] + np.tan(pitch) * shape[:, 2] * near
    return np.stack([u, v], 1)


def part(flat):
    """Makes sure that facing lids and inner lips stand apart by a wanted gap, the rings about them moving along."""
    q = flat.copy()
    eyes = ((topo.RIGHT_LIDS, topo.RIGHT_CORNERS, topo.RIGHT_RINGS, topo.RIGHT_LOWER_RINGS),
            (topo.LEFT_LIDS, topo.LEFT_CORNERS, topo.LEFT_RINGS, topo.LEFT_LOWER_RINGS))
    for lids, corners, above, below in eyes:
        push = wanted_push(flat, lids, corners, LAYOUT_LID_GAP)
        for k, share in enumerate((1, 0.75, 0.4)):
            q[above[k], 1] -= share * push
            q[below[k], 1] += share * push
    push = wanted_push(flat, topo.INNER_LIPS, (78, 308), LAYOUT_MOUTH_GAP)
    for k, share in enumerate((1, 0.95, 0.9, 0.85)):
        upper, lower = topo.LIP_RINGS[k]
        q[upper, 1] -= 0.6 * share * push
        q[lower, 1] += 1.4 * share * push
    moved = np.nonzero((q != flat).any(1))[0]
    for i in set(range(len(flat))) - set(moved.tolist()) - set(topo.OVAL) - {topo.RIGHT_IRIS, topo.LEFT_IRIS}:
        w = np.exp(-((flat[moved] - flat[i]) ** 2).sum(1) / (2 * 0.08**2))
        q[i] += w @ (q[moved] - flat[moved]) / (w.sum() + 1)
    return q


def wanted_push(flat, pairs, corners, gap):
    """Half of what each facing pair lacks of an almond-shaped gap, as a share of the corners' distance."""
    a, b = flat[corners[0]], flat[corners[1]]
    width, push = np.linalg.norm(b - a), []
    for u, l in pairs:
        f = np.clip(((flat[u] + flat[l]) / 2 - a) @ (b - a) / width**2, 0.03, 0.97)
        push.append(max(0, gap * width * (4 * f * (1 - f)) ** 0.6 - (flat[l, 1] - flat[u, 1])) / 2)
    return np.array(push)


def fill_square(flat):
    """Carries the oval onto a convex outline filling the square, along rays from its centre."""
    oval = flat[topo.OVAL]
    centre = np.array([0, (oval[:, 1].min() + oval[:, 1].max()) / 2])
    d = (flat - centre) / (np.ptp(oval, axis=0) / 2)
    angle = np.arctan2(d[:, 1], d[:, 0])
    radius = np.linalg.norm(d, axis=1)
    rim = np.array(topo.OVAL)[np.argsort(angle[topo.OVAL])]
    at = np.interp(angle, angle[rim], radius[rim], period=2 * np.pi)
    c, s = np.cos(angle), np.sin(angle)
    power = 2.25
    new = (np.abs(c) ** power + np.abs(s) ** power) ** (-1 / power)
    # inner features keep their proportions; the stretch grows towards the rim
    fraction = np.clip(radius / at, 0, 1)
    stretch = new / at
    scale = radius * (1 + (stretch - 1) * fraction**1.5)
    scale[rim] = new[rim]
    return 0.5 + (0.5 - MARGIN) * np.stack([scale * c, scale * s], 1)


def relax(uv, triangles, rounds, amount):
    """Moves inner vertices a little towards the mean of their neighbours, never folding a triangle."""
    n, near = len(uv), {}
    for t in triangles:
        for a in t:
            near.setdefault(int(a), set()).update(int(b) for b in t if b != a)
    rim = set(topo.OVAL)
    for _ in range(rounds):
        uv = np.array([uv[i] if i in rim else
                       (1 - amount) * uv[i] + amount * uv[sorted(near[i])].mean(0) for i in range(n)])
    return uv


def layout(shape, mirror):
    uv = fill_square(part(flatten(shape)))
    for _ in range(3):
        uv = (uv + uv[mirror] * [-1, 1] + [1, 0]) / 2
        triangles = disk_triangles(uv)
        check_disk(triangles, len(uv))
        uv = relax(uv, triangles, 2, 0.12)
    uv = (uv + uv[mirror] * [-1, 1] + [1, 0]) / 2
    triangles = disk_triangles(uv)
    edges = check_disk(triangles, len(uv))
    assert doubled_area(uv, triangles).min() > 0, "fold-over"
    for ring in (topo.RIGHT_EYE, topo.LEFT_EYE, topo.LIPS_INNER, topo.LIPS_OUTER):
        loop = sort_ring(uv, ring)
        missing = [e for e in zip(loop, loop[1:] + loop[:1]) if (min(e), max(e)) not in edges]
        print("contour edges missing", missing)
    return uv, triangles


def sort_ring(uv, ring):
    c = uv[ring].mean(0)
    return sorted(ring, key=lambda v: np.arctan2(uv[v, 1] - c[1], uv[v, 0] - c[0]))


def main():
    data = np.load(CACHE / "points.npz")
    names, points = data["names"], data["points"].astype(np.float64)[:, topo.VERTICES]
    sure = (data["facts"][:, 1] > 0.95) & (data["facts"][:, 2] > 55)
    names, points = names[sure], points[sure]
    mean, aligned = procrustes(points[::3])
    aligned = np.array([canonical(p, mean)[3] for p in points])
    # nearly frontal faces: the network's depth is least sure on turned ones
    spare = np.array([np.abs(c[topo.RIGID] - mean[topo.RIGID]).mean() for c in aligned])
    good = spare < np.percentile(spare, 80)
    lids, mouth = lid_aperture(aligned), mouth_opening(aligned)
    calm = good & (mouth < 0.012) & (lids > np.percentile(lids, 40))
    opened = good & (mouth > np.percentile(mouth[good], 93))
    print(len(points), "faces,", calm.sum(), "calm,", opened.sum(), "with open mouth")
    still = np.array([n.startswith("congress") for n in names])
    mean = np.median(aligned[calm], axis=0)
    mean = normalise(mean)
    turned = face_forward(mean, points[calm & still])
    wide = np.median(aligned[opened], axis=0)
    _, r, _ = similarity(mean[topo.RIGID], turned[topo.RIGID])
    wide, mean = wide @ r.T, turned
    mirror = mirror_map(mean, wide)
    mean = normalise(symmetric(mean, mirror))
    mean[:, 0] -= mean[topo.RIGID, 0].mean()
    aligned = np.array([canonical(p, mean)[3] for p in points[good]])
    uv, triangles = layout(opened_wide(aligned, mirror), mirror)
    write(mean, uv, triangles, mirror)


def write(mean, uv, triangles, mirror):
    def rounded(a, digits=6):
        return [[round(float(x), digits) for x in row] for row in a]

    order = np.lexsort(np.sort(triangles, 1).T[::-1])
    mesh = {
        "about": "Canonical face: mean of faces in public data, found and averaged by scripts/doubles/mesh.py. "
                 "Units of face width; x right and y down in the image, z smaller is nearer; sides are the subject's.",
        "positions": rounded(mean), "uv": rounded(uv), "triangles": triangles[order].tolist(),
        "mirror": mirror.tolist(), "oval": topo.OVAL, "lips_outer": topo.LIPS_OUTER,
        "lips_inner": topo.LIPS_INNER, "right_eye": topo.RIGHT_EYE, "left_eye": topo.LEFT_EYE,
        "right_brow": topo.RIGHT_BROW, "left_brow": topo.LEFT_BROW, "rigid": topo.RIGID,
        "nostrils": topo.NOSTRILS, "right_corners": list(topo.RIGHT_CORNERS),
        "left_corners": list(topo.LEFT_CORNERS), "right_lids": [list(p) for p in topo.RIGHT_LIDS],
        "left_lids": [list(p) for p in topo.LEFT_LIDS], "inner_lips": [list(p) for p in topo.INNER_LIPS],
        "right_iris": topo.RIGHT_IRIS, "left_iris": topo.LEFT_IRIS, "point_of_vertex": topo.VERTICES,
    }
    MESH.parent.mkdir(parents=True, exist_ok=True)
    body = ",\n".join(f' "{k}": {json.dumps(v, separators=(",", ":"))}' for k, v in mesh.items())
    MESH.write_text("{\n" + body + "\n}\n")
    print(MESH, MESH.stat().st_size, "bytes", len(triangles), "triangles")


if __name__ == "__main__":
    main()
