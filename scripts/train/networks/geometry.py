"""Boxes, affine maps and crops.

Positions are continuous: pixel (i, j) covers [i, i + 1) and has its centre at i + 1/2. Affine maps are 2x3.
"""

import math

import cv2
import numpy as np


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Overlap of every box of `a` with every box of `b`; boxes are x0 y0 x1 y1."""
    a, b = np.asarray(a, np.float64).reshape(-1, 4), np.asarray(b, np.float64).reshape(-1, 4)
    lo, hi = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.prod(np.clip(hi - lo, 0, None), axis=2)
    area = lambda v: np.prod(np.clip(v[:, 2:] - v[:, :2], 0, None), axis=1)
    return both / (area(a)[:, None] + area(b)[None] - both + 1e-9)


def covered(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Share of every box of `a` that lies inside each box of `b`."""
    a, b = np.asarray(a, np.float64).reshape(-1, 4), np.asarray(b, np.float64).reshape(-1, 4)
    lo, hi = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.prod(np.clip(hi - lo, 0, None), axis=2)
    return both / (np.prod(np.clip(a[:, 2:] - a[:, :2], 1e-9, None), axis=1)[:, None])


def suppress(boxes: np.ndarray, scores: np.ndarray, limit: float) -> np.ndarray:
    """Indices kept by greedy non-maximum suppression, best first."""
    order, kept = np.argsort(-scores, kind="stable"), []
    while len(order):
        kept.append(order[0])
        rest = order[1:]
        order = rest[iou(boxes[order[:1]], boxes[rest])[0] <= limit] if len(rest) else rest
    return np.array(kept, int)


def size_of(boxes: np.ndarray) -> np.ndarray:
    """Square root of each box's area."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    return np.sqrt(np.clip(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), 0, None))


def apply(m: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Maps points [..., 2]."""
    return points @ m[:, :2].T + m[:, 2]


def compose(b: np.ndarray, a: np.ndarray) -> np.ndarray:
    """The map `a`, then `b`."""
    return np.concatenate([b[:, :2] @ a[:, :2], (b[:, :2] @ a[:, 2] + b[:, 2])[:, None]], axis=1)


def inverse(m: np.ndarray) -> np.ndarray:
    """The map back."""
    k = np.linalg.inv(m[:, :2])
    return np.concatenate([k, (-k @ m[:, 2])[:, None]], axis=1)


def map_boxes(m: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Upright boxes around the mapped ellipses inscribed in `boxes`: a face is rounder than its box."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    centre = apply(m, (boxes[:, :2] + boxes[:, 2:]) / 2)
    half = np.sqrt(((boxes[:, 2:] - boxes[:, :2]) / 2) ** 2 @ (m[:, :2] ** 2).T)
    return np.concatenate([centre - half, centre + half], axis=1)


def warp(image: np.ndarray, m: np.ndarray, width: int, height: int, border=cv2.BORDER_CONSTANT) -> np.ndarray:
    """The picture mapped by `m` (continuous positions), averaged where it shrinks much."""
    scale = math.sqrt(abs(np.linalg.det(m[:, :2])))
    m = m.copy()
    while scale < 0.6 and min(image.shape[:2]) > 4:
        h, w = image.shape[:2]
        image = cv2.resize(image, (max(1, w // 2), max(1, h // 2)), interpolation=cv2.INTER_AREA)
        m[:, :2] *= [w / image.shape[1], h / image.shape[0]]
        scale *= 2
    m[:, 2] += m[:, :2] @ [0.5, 0.5] - 0.5
    return cv2.warpAffine(image, m, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)


def crop_map(centre, side: float, angle: float, size: int, mirror: bool = False) -> np.ndarray:
    """The map from the picture to a square crop of `size` pixels; the crop's rows run along `angle`."""
    k = size / side
    c, s = math.cos(angle) * k, math.sin(angle) * k
    m = np.array([[c, s, 0.0], [-s, c, 0.0]])
    m[:, 2] = size / 2 - m[:, :2] @ np.asarray(centre, float)
    if mirror:
        m[0] = -m[0]
        m[0, 2] += size
    return m


def similarity(src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    """The least-squares similarity from `src` to `dst` (Umeyama, 1991)."""
    a, b = src.mean(0), dst.mean(0)
    x, y = (src - a) @ [1, 1j], (dst - b) @ [1, 1j]
    k = (np.conj(x) @ y) / max((np.conj(x) @ x).real, 1e-9)
    m = np.array([[k.real, -k.imag, 0.0], [k.imag, k.real, 0.0]])
    m[:, 2] = b - m[:, :2] @ a
    return m
