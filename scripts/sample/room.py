"""A drawn room: wall, window, shelf with books, plant; out of focus behind the person."""

import cv2
import numpy as np


def draw(width, height, rng):
    """BGR picture, 0..255."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    light = 1.12 - 0.38 * x / (width / height) - 0.12 * y
    wall = np.array([176, 190, 196], np.float32) * light[..., None]
    s = height / 480

    def box(x0, y0, x1, y1, colour):
        cv2.rectangle(wall, (int(x0 * s), int(y0 * s)), (int(x1 * s) - 1, int(y1 * s) - 1), colour, -1)

    window(box)
    shelf(box, rng)
    plant(wall, s, rng)
    box(0, 404, 1000, 412, (96, 112, 122))
    soft = cv2.GaussianBlur(wall, (0, 0), 3.2 * s)
    return np.clip(soft, 0, 255)


def window(box):
    box(36, 40, 226, 290, (120, 134, 140))
    box(44, 48, 218, 282, (238, 228, 214))
    box(44, 190, 218, 282, (168, 190, 172))
    box(128, 40, 134, 290, (120, 134, 140))
    box(36, 160, 226, 166, (120, 134, 140))


def shelf(box, rng):
    box(612, 84, 838, 360, (54, 74, 92))
    for row in range(3):
        top = 92 + 90 * row
        box(620, top, 830, top + 80, (38, 52, 66))
        x = 624
        while x < 806:
            thick, tall = int(rng.integers(8, 20)), int(rng.integers(48, 74))
            colour = tuple(float(v) for v in rng.uniform(45, 165, 3))
            box(x, top + 80 - tall, x + thick, top + 80, colour)
            x += thick + int(rng.integers(1, 5))


def plant(wall, s, rng):
    foot = np.array([268, 404]) * s
    for _ in range(26):
        angle = rng.uniform(-2.5, -0.6)
        length = rng.uniform(50, 130) * s
        tip = foot + length * np.array([np.cos(angle) * 0.7, np.sin(angle)])
        colour = tuple(float(v) for v in np.array([62, 108, 70]) * rng.uniform(0.6, 1.25))
        cv2.ellipse(wall, tuple(int(v) for v in (foot + tip) / 2), (int(length / 2), int(9 * s)),
                    float(np.degrees(np.arctan2(*(tip - foot)[::-1]))), 0, 360, colour, -1)
    cv2.rectangle(wall, tuple(int(v) for v in foot - [26 * s, 34 * s]), tuple(int(v) for v in foot + [26 * s, 4 * s]),
                  (70, 92, 140), -1)
