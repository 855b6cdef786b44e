"""Renders a shape with an atlas: the same sampling a double's renderer does, kept small."""

import cv2
import numpy as np

from atlas import SIZE, interpolate, rasterise, to_linear, to_srgb


def rotation(yaw_deg, pitch_deg=0.0):
    y, p = np.radians([yaw_deg, pitch_deg])
    ry = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    rx = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    return rx @ ry


def render(shape, atlas, mesh, size=320, yaw=0.0, pitch=0.0, backdrop=(168, 168, 168)):
    """sRGB picture of the face and its five points (eyes, nose, mouth corners) in it."""
    v = (shape - [0, 0.3, 0]) @ rotation(yaw, pitch).T * (0.72 * size) + [size / 2, size / 2, 0]
    big = v * 2 + [0.5, 0.5, 0]
    index, weights = rasterise(big, mesh.triangles, 2 * size, 2 * size)
    uv = interpolate(mesh.texels.astype(np.float32), mesh.triangles, index, weights)
    image = cv2.remap(atlas, uv[..., 0], uv[..., 1], cv2.INTER_LINEAR)
    image[index < 0] = backdrop
    image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    five = np.array([v[mesh.right_eye].mean(0), v[mesh.left_eye].mean(0), v[4], v[61], v[291]])[:, :2]
    return image, five
