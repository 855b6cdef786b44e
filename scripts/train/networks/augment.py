"""What cameras, codecs, light and things in the way do to a picture."""

import cv2
import numpy as np


def light(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, contrast, cast, gamma, uneven light, grey; float in, float out."""
    h, w = x.shape[:2]
    kind = rng.random()
    if kind < 0.12:
        x = x * rng.uniform(0.1, 0.4)
    elif kind < 0.6:
        x = x * rng.uniform(0.55, 1.45) + rng.uniform(-30, 30)
    if rng.random() < 0.2:
        x = x * rng.uniform(0.75, 1.25, 3).astype(np.float32)
    if rng.random() < 0.2:
        x = 255 * np.clip(x / 255, 0, 1) ** rng.uniform(0.55, 1.9)
    if rng.random() < 0.15:
        ends, across = (rng.uniform(0.35, 1.1), rng.uniform(0.7, 1.4)), rng.random() < 0.6
        ramp = np.linspace(*ends, w if across else h, dtype=np.float32)
        x = x * (ramp[None, :, None] if across else ramp[:, None, None])
    if rng.random() < 0.15:
        x = np.repeat(x.mean(2, keepdims=True), 3, 2)
    return x


def degrade(image: np.ndarray, rng: np.random.Generator, blur: float = 1.0) -> np.ndarray:
    """The whole chain; `blur` scales the radii, for pictures in which faces are small."""
    h, w = image.shape[:2]
    if rng.random() < 0.15:
        k = 1 - rng.uniform(0.2, 0.75) * min(blur, 1)
        image = cv2.resize(cv2.resize(image, None, fx=k, fy=k, interpolation=cv2.INTER_AREA), (w, h),
                           interpolation=cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC)
    kind = rng.random()
    if kind < 0.15:
        image = cv2.GaussianBlur(image, (0, 0), max(0.3, rng.uniform(0.4, 2.2) * blur))
    elif kind < 0.22:
        n = int(rng.integers(3, 4 + int(7 * blur)))
        kernel = np.zeros((n, n), np.float32)
        kernel[n // 2] = 1
        turn = cv2.getRotationMatrix2D((n / 2 - 0.5, n / 2 - 0.5), rng.uniform(0, 180), 1)
        kernel = cv2.warpAffine(kernel, turn, (n, n))
        image = cv2.filter2D(image, -1, kernel / max(float(kernel.sum()), 1e-3))
    x = light(image.astype(np.float32), rng)
    if rng.random() < 0.25:
        grain = rng.standard_normal((h, w, 1 if rng.random() < 0.5 else 3), np.float32)
        x = x + grain * rng.uniform(1, 14)
    image = np.clip(x, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        quality = int(rng.integers(18, 85))
        image = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    return image


def occlude(image: np.ndarray, box: np.ndarray, rng: np.random.Generator, texture: np.ndarray | None = None) -> None:
    """Covers a part of the face in `box`, in place: lower, upper, a side, or a patch."""
    h, w = image.shape[:2]
    x0, y0, x1, y1 = box
    fw, fh = x1 - x0, y1 - y0
    kind = rng.random()
    if kind < 0.3:
        cover = (x0 - 0.1 * fw, y0 + rng.uniform(0.45, 0.65) * fh, x1 + 0.1 * fw, y1 + 0.15 * fh)
    elif kind < 0.5:
        cover = (x0, y0 + rng.uniform(-0.1, 0.2) * fh, x1, y0 + rng.uniform(0.4, 0.5) * fh)
    elif kind < 0.7:
        left = x0 + (0.5 if rng.random() < 0.5 else -0.5) * fw
        cover = (left, y0 - 0.1 * fh, left + fw, y1 + 0.1 * fh)
    else:
        u, v = x0 + rng.uniform(0, 0.8) * fw, y0 + rng.uniform(0, 0.8) * fh
        cover = (u, v, u + rng.uniform(0.15, 0.6) * fw, v + rng.uniform(0.15, 0.6) * fh)
    a, b, c, d = (int(round(v)) for v in cover)
    a, b, c, d = max(0, a), max(0, b), min(w, c), min(h, d)
    if c <= a or d <= b:
        return
    patch = np.empty((d - b, c - a, 3), np.uint8)
    if texture is not None and rng.random() < 0.5 and texture.shape[0] >= d - b and texture.shape[1] >= c - a:
        patch[:] = texture[:d - b, :c - a]
    elif rng.random() < 0.5:
        patch[:] = image[int(rng.integers(h)), int(rng.integers(w))]
    else:
        patch[:] = rng.integers(0, 256, 3)
    if rng.random() < 0.4:
        mask = np.zeros(patch.shape[:2], np.uint8)
        ph, pw = mask.shape
        cv2.ellipse(mask, (pw // 2, ph // 2), (max(1, pw // 2), max(1, ph // 2)), 0, 0, 360, 255, -1)
        region = image[b:d, a:c]
        region[mask > 0] = patch[mask > 0]
    else:
        image[b:d, a:c] = patch


def texture(size: int, rng: np.random.Generator) -> np.ndarray:
    """A square of random blocks, shapes or noise."""
    kind = rng.random()
    if kind < 0.4:
        n = int(rng.choice([2, 4, 8, 16, 32]))
        cells = rng.integers(0, 256, (n, n, 3), dtype=np.uint8)
        return cv2.resize(cells, (size, size), interpolation=int(rng.integers(0, 3)))
    if kind < 0.7:
        out = np.full((size, size, 3), rng.integers(0, 256, 3), np.uint8)
        for _ in range(int(rng.integers(3, 25))):
            colour = tuple(int(v) for v in rng.integers(0, 256, 3))
            p = tuple(int(v) for v in rng.integers(0, size, 2))
            r = tuple(int(v) for v in rng.integers(4, 70, 2))
            if rng.random() < 0.5:
                cv2.ellipse(out, p, r, float(rng.uniform(0, 180)), 0, 360, colour, -1)
            else:
                cv2.rectangle(out, p, (p[0] + r[0], p[1] + r[1]), colour, -1)
        return cv2.GaussianBlur(out, (0, 0), rng.uniform(0.3, 3))
    noise = rng.normal(rng.uniform(30, 220), rng.uniform(3, 60), (size // 2, size // 2, 3))
    return cv2.resize(np.clip(noise, 0, 255).astype(np.uint8), (size, size))
