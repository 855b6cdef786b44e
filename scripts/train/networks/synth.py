"""Turned heads, closed eyes and open mouths, made by warping a face along its dense points.

The head behind the contour is three rings about the oval. Piecewise affine, far triangles first.
"""

import cv2
import numpy as np
from scipy.spatial import Delaunay

from . import topology as topo

RINGS = ((1.12, 0.10), (1.35, 0.22), (1.8, 0.30))


def _rings(face: np.ndarray) -> np.ndarray:
    oval = face[topo.OVAL]
    middle, width = oval[:, :2].mean(0), np.ptp(oval[:, 0])
    out = []
    for grow, depth in RINGS:
        ring = oval.copy()
        ring[:, :2] = middle + (oval[:, :2] - middle) * grow
        ring[:, 2] = (oval[:, 2] + oval[:, 2].mean()) / 2 + depth * width
        out.append(ring)
    return np.concatenate(out)


def _area(t: np.ndarray) -> np.ndarray:
    u, v = t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]
    return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]


_MEAN = np.concatenate([topo.CANONICAL, _rings(topo.CANONICAL)])
_FACES = Delaunay(_MEAN[:, :2]).simplices
_OUTER = _FACES.max(1) >= 468
_MOUTH = np.isin(_FACES, topo.INNER_LIPS).all(1)
_LOWER_LIP = topo.LIPS[0:11] + topo.LIPS[20:31] + topo.LIPS[40:51] + topo.LIPS[60:71]


def _close(points: np.ndarray, eye: list[int], amount: float) -> None:
    upper, lower = eye[9:16], eye[1:8]
    gap = points[lower] - points[upper]
    points[upper] += 0.84 * amount * gap
    points[lower] -= 0.12 * amount * gap
    points[eye[25:32]] += 0.5 * amount * gap
    points[eye[41:48]] += 0.2 * amount * gap


def _open(points: np.ndarray, source: np.ndarray, amount: float) -> None:
    left, right = source[61, :2], source[291, :2]
    across = right - left
    width = max(np.linalg.norm(across), 1e-3)
    across = across / width
    down = np.array([-across[1], across[0]])
    q = points[:468, :2] - (left + right) / 2
    u, v = q @ across / (width / 2), q @ down / width
    base = (source[14, :2] - (left + right) / 2) @ down / width
    weight = np.zeros(468)
    below = v > base - 0.02
    weight[below] = (np.clip(1 - 0.1 * np.abs(u[below]), 0.3, 1) * np.clip(1.2 - 0.25 * u[below] ** 2, 0.35, 1)
                     * np.clip((v[below] - base) / 0.15, 0, 1))
    weight[topo.LIPS] = 0
    weight[_LOWER_LIP] = np.clip(1 - np.clip(np.abs(u[_LOWER_LIP]), 0, 1) ** 2, 0, 1)
    points[:468, :2] += (amount * width * weight)[:, None] * down
    points[:468, 2] += 0.3 * amount * width * weight


def warp_face(image, points, rng, yaw=0.0, pitch=0.0, right=0.0, left=0.0, mouth=0.0):
    """The picture and its 478 points with the head turned (degrees), eyes closed (0..1), mouth opened (of its width)."""
    n = image.shape[0]
    points = points.astype(np.float64)
    source = np.concatenate([points[:468], _rings(points[:468])])
    moved = points.copy()
    for eye, amount in ((topo.RIGHT_EYE, right), (topo.LEFT_EYE, left)):
        if amount > 0:
            _close(moved, eye, amount)
    gape = np.linalg.norm(points[13, :2] - points[14, :2]) / max(np.linalg.norm(points[78, :2] - points[308, :2]), 1e-3)
    if mouth > 0:
        _open(moved, points, mouth)
    a, b = np.deg2rad(yaw), np.deg2rad(pitch)
    turn = (np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
            @ np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]]))
    oval = points[topo.OVAL]
    pivot = np.array([*oval[:, :2].mean(0), oval[:, 2].mean() + 0.15 * np.ptp(oval[:, 0])])
    target = (np.concatenate([moved[:468], _rings(moved[:468])]) - pivot) @ turn.T + pivot
    label = (moved - pivot) @ turn.T + pivot
    target[-36:, :2] = source[-36:, :2]
    old, new = source[_FACES][:, :, :2], target[_FACES][:, :, :2]
    area = _area(new)
    # A triangle that now turns its back is hidden.
    shown = ((area * _area(old) > 0) | _OUTER) & (np.abs(area) > 0.02)
    depth = target[_FACES][:, :, 2].mean(1) + np.where(_OUTER, 1e3, 0)
    which = np.zeros((n, n), np.int32)
    fixed = np.round((new - 0.5) * 16).astype(np.int32)
    for i in np.argsort(-depth):
        if shown[i]:
            cv2.fillConvexPoly(which, fixed[i], int(i) + 1, cv2.LINE_8, 4)
    maps = np.zeros((len(new) + 1, 2, 3))
    maps[0] = [[1, 0, 0], [0, 1, 0]]
    good = np.abs(area) > 0.02
    homogeneous = np.concatenate([new[good], np.ones((good.sum(), 3, 1))], 2)
    maps[1:][good] = np.transpose(np.linalg.solve(homogeneous, old[good]), (0, 2, 1))
    yy, xx = np.mgrid[:n, :n] + 0.5
    m = maps[which]
    at = [(m[..., k, 0] * xx + m[..., k, 1] * yy + m[..., k, 2] - 0.5).astype(np.float32) for k in (0, 1)]
    out = cv2.remap(image, at[0], at[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if mouth > 0 and gape < 0.12:
        inside = np.concatenate([[False], _MOUTH])[which]
        colour = rng.uniform(15, 60, 3) * [0.8, 0.8, 1.2]
        out[inside] = (out[inside] * 0.15 + colour * 0.85).astype(np.uint8)
    return out, label.astype(np.float32)
