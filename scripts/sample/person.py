"""The sample's person: a double's face on a simple head of ellipsoids with hair, neck and shoulders.

Space: units of face width, x right and y down in the picture, z smaller is nearer; orthographic.
"""

import json

import cv2
import numpy as np

LIGHT = np.array([-0.45, -0.55, -0.70])
LIGHT = LIGHT / np.linalg.norm(LIGHT)
FAR = 1e3


def rotation(yaw, pitch, roll):
    """Turns about y, then x, then z; degrees."""
    y, p, r = np.radians([yaw, pitch, roll])
    ry = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    rx = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    rz = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return rz @ rx @ ry


def smooth(x, a, b):
    t = np.clip((x - a) / (b - a), 0, 1)
    return t * t * (3 - 2 * t)


def lit(normals):
    """Brightness of a matt surface, 1 where it looks at the camera; `normals` (..., 3) point outwards."""
    return 0.50 + 0.62 * np.clip(normals @ LIGHT * 0.75 + 0.25, 0, 1.0)


class Face:
    """A double's exemplars, blended by how open mouth and lids are."""

    def __init__(self, models, double):
        mesh = json.loads((models / "mesh" / "mesh.json").read_text())
        self.triangles = np.array(mesh["triangles"])
        self.uv = np.array(mesh["uv"])
        self.oval = np.array(mesh["oval"])
        folder = models / "doubles" / double
        self.shapes, self.atlases = {}, {}
        shapes = np.array(json.loads((folder / "shapes.json").read_text()))
        for k, role in enumerate(self.roles(folder / "double.toml")):
            self.shapes[role] = shapes[k]
            self.atlases[role] = cv2.imread(str(folder / f"{role}.jpg")).astype(np.float32)
        self.size = self.atlases["neutral"].shape[0]
        self.alpha = self.edge()

    @staticmethod
    def roles(path):
        """Roles of the exemplars in the order of their shapes."""
        lines = path.read_text().splitlines()
        return [line.split('"')[1] for line in lines if line.startswith("role")]

    def edge(self):
        """Opacity per texel: soft at forehead and temples, sharp along the jaw."""
        n = self.size
        inside = np.zeros((n, n), np.uint8)
        cv2.fillPoly(inside, [np.round(self.uv[self.oval] * n).astype(np.int32)], 1)
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
        height = np.linspace(0, 1, n)[:, None]
        width = 60 - 52 * smooth(height, 0.45, 0.8)
        return smooth(depth, 2, 2 + width).astype(np.float32)

    def at(self, opening, shut):
        """Shape (470, 3) and atlas for a mouth opening and a lid closing, both 0..1."""
        steps = ["neutral", "open", "open_wide"]
        place = np.clip(opening, 0, 1) * (len(steps) - 1)
        k = min(int(place), len(steps) - 2)
        f = place - k
        shape = self.shapes[steps[k]] * (1 - f) + self.shapes[steps[k + 1]] * f
        atlas = self.atlases[steps[k]] * (1 - f) + self.atlases[steps[k + 1]] * f
        if shut > 0:
            shape = shape + shut * (self.shapes["closed"] - self.shapes["neutral"])
            atlas = atlas + shut * (self.atlases["closed"] - self.atlases["neutral"])
        return shape, np.clip(atlas, 0, 255)

    def skin(self):
        """Mean colour of cheeks and forehead beside the rim."""
        ring = (self.alpha > 0.5) & (self.alpha < 0.95)
        return np.median(self.atlases["neutral"][ring], 0)


class Canvas:
    """Colour and depth of one picture; `scale` pixels to a face width, `origin` where (0, 0) lies."""

    def __init__(self, backdrop, scale, origin):
        self.colour = backdrop.astype(np.float32).copy()
        self.depth = np.full(backdrop.shape[:2], FAR, np.float32)
        self.scale, self.origin = scale, np.asarray(origin, np.float64)

    def ellipsoid(self, rot, centre, radii, paint):
        """Draws an ellipsoid; `paint(local, normals)` gives colour and opacity, `local` on the unit sphere."""
        reach = np.abs(rot) @ radii
        middle = rot @ centre
        low = np.floor((middle[:2] - reach[:2]) * self.scale + self.origin).astype(int)
        high = np.ceil((middle[:2] + reach[:2]) * self.scale + self.origin).astype(int) + 1
        h, w = self.depth.shape
        x0, y0, x1, y1 = max(low[0], 0), max(low[1], 0), min(high[0], w), min(high[1], h)
        if x0 >= x1 or y0 >= y1:
            return
        y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
        p = np.stack([(x + 0.5 - self.origin[0]) / self.scale - middle[0],
                      (y + 0.5 - self.origin[1]) / self.scale - middle[1], np.zeros_like(x)], -1).astype(np.float32)
        rot, radii = rot.astype(np.float32), np.asarray(radii, np.float32)
        a, d = p @ rot / radii, rot.T[:, 2] / radii  # a + s d on the unit sphere
        dd, ad = d @ d, a @ d
        root = ad**2 - dd * ((a**2).sum(-1) - 1)
        hit = root > 0
        s = (-ad - np.sqrt(np.maximum(root, 0))) / dd
        local = a + s[..., None] * d
        normals = (local / radii) @ rot.T
        normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
        colour, alpha = paint(local, normals)
        z = s + middle[2]
        box = np.s_[y0:y1, x0:x1]
        alpha = np.where(hit & (z < self.depth[box]), alpha, 0)[..., None]
        self.colour[box] = self.colour[box] * (1 - alpha) + colour * alpha
        self.depth[box] = np.where(alpha[..., 0] > 0.5, z, self.depth[box])

    def face(self, face, shape, atlas, rot):
        """Draws the face mesh over what is there, its rim dissolving into the skin below."""
        v = shape @ rot.T
        pixels = v[:, :2] * self.scale + self.origin - 0.5
        low = np.maximum(np.floor(pixels.min(0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(pixels.max(0)).astype(int) + 2, self.depth.shape[::-1])
        pixels = pixels - low
        w, h = high - low
        part = np.s_[low[1]:high[1], low[0]:high[0]]
        uv = np.full((h, w, 2), -1, np.float32)
        depth = np.full((h, w), FAR, np.float32)
        for tri in face.triangles:
            a, b, c = pixels[tri]
            area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
            if area <= 1e-6:
                continue
            x0, y0 = np.maximum(np.ceil(np.min([a, b, c], 0)), 0).astype(int)
            x1, y1 = np.minimum(np.floor(np.max([a, b, c], 0)) + 1, [w, h]).astype(int)
            if x1 <= x0 or y1 <= y0:
                continue
            x, y = np.meshgrid(np.arange(x0, x1), np.arange(y0, y1))
            w1 = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
            w2 = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
            z = v[tri[0], 2] * (1 - w1 - w2) + v[tri[1], 2] * w1 + v[tri[2], 2] * w2
            box = np.s_[y0:y1, x0:x1]
            hit = (w1 > -1e-3) & (w2 > -1e-3) & (w1 + w2 < 1.001) & (z < depth[box])
            depth[box][hit] = z[hit]
            at = (face.uv[tri[0]] * (1 - w1 - w2)[..., None] + face.uv[tri[1]] * w1[..., None]
                  + face.uv[tri[2]] * w2[..., None])
            uv[box][hit] = at[hit]
        texels = uv * face.size - 0.5
        colour = cv2.remap(atlas.astype(np.float32), texels[..., 0], texels[..., 1], cv2.INTER_LINEAR,
                           borderMode=cv2.BORDER_REPLICATE)
        alpha = cv2.remap(face.alpha, texels[..., 0], texels[..., 1], cv2.INTER_LINEAR)
        alpha = np.where((depth < FAR) & (depth < self.depth[part] + 0.12), alpha, 0)[..., None]
        shade = self.relief(depth)
        self.colour[part] = self.colour[part] * (1 - alpha) + colour * shade[..., None] * alpha
        self.depth[part] = np.where(alpha[..., 0] > 0.5, np.minimum(depth, self.depth[part]), self.depth[part])

    def relief(self, depth):
        """Brightness of the face from the slope of its depth, blurred so that no triangle shows."""
        h, w = depth.shape
        depth = depth[::4, ::4]
        known = (depth < FAR).astype(np.float32)
        sigma = 0.06 * self.scale / 4
        weight = cv2.GaussianBlur(known, (0, 0), sigma) + 1e-3
        soft = cv2.GaussianBlur(np.where(known > 0, depth, 0).astype(np.float32), (0, 0), sigma) / weight
        gy, gx = np.gradient(soft * self.scale / 4)
        n = np.stack([gx, gy, -np.ones_like(gx)], -1)
        n /= np.linalg.norm(n, axis=-1, keepdims=True)
        return cv2.resize(lit(n).astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR)


class Person:
    """Everything around the face. Colours are BGR, 0..255."""

    def __init__(self, face, rng, hair=(28, 40, 62), cloth=(92, 74, 58)):
        self.face = face
        self.skin = face.skin()
        self.hair, self.cloth = np.array(hair, float), np.array(cloth, float)
        self.strands = sum(np.interp(np.linspace(0, 1, 4096), np.linspace(0, 1, n), rng.uniform(0, 1, n)) * share
                           for n, share in ((60, 0.3), (260, 0.4), (900, 0.3)))

    def draw(self, canvas, opening, shut, pose, shift):
        """One picture: `pose` yaw, pitch, roll in degrees, `shift` in face widths."""
        rot = rotation(*pose)
        body = rotation(pose[0] * 0.25, 0, pose[2] * 0.15)
        start = canvas.origin.copy()
        canvas.origin = start + np.array(shift) * canvas.scale * 0.4
        canvas.ellipsoid(body, np.array([0, 2.44, 0.75]), np.array([1.62, 1.22, 0.75]), self.paint_cloth)
        canvas.ellipsoid(body, np.array([0, 1.42, 0.62]), np.array([0.52, 0.34, 0.42]), self.paint_cloth)
        canvas.ellipsoid(body, np.array([0, 0.95, 0.58]), np.array([0.34, 0.85, 0.36]), self.paint_neck)
        canvas.origin = start + np.array(shift) * canvas.scale
        canvas.ellipsoid(rot, np.array([0, 0.42, 0.72]), np.array([0.66, 0.98, 0.40]), self.paint_hair)
        canvas.ellipsoid(rot, np.array([0, 0.12, 0.42]), np.array([0.515, 0.62, 0.55]), self.paint_skin)
        shape, atlas = self.face.at(opening, shut)
        canvas.face(self.face, shape, atlas, rot)
        canvas.ellipsoid(rot, np.array([0, 0.04, 0.44]), np.array([0.60, 0.70, 0.70]), self.paint_cap)
        canvas.origin = start

    def paint_skin(self, local, normals):
        return self.skin * lit(normals)[..., None], np.ones(local.shape[:2])

    def paint_neck(self, local, normals):
        shadow = 0.62 + 0.38 * smooth(local[..., 1], 0.10, 0.45)
        return self.skin * (lit(normals) * shadow)[..., None], np.ones(local.shape[:2])

    def paint_cloth(self, local, normals):
        ribs = 1 + 0.05 * np.sin(local[..., 0] * 140)
        return self.cloth * (lit(normals) * ribs)[..., None], np.ones(local.shape[:2])

    def paint_hair(self, local, normals):
        turn = np.arctan2(local[..., 0], -local[..., 2]) + 0.10 * np.sin(3 * local[..., 1])
        strand = self.strands[((turn / (2 * np.pi) % 1) * 4095).astype(int)]
        gloss = 0.5 * np.exp(-((local[..., 1] + 0.55) / 0.18) ** 2) * strand
        return self.hair * (lit(normals) * (0.45 + 0.9 * strand) + gloss)[..., None], np.ones(local.shape[:2])

    def paint_cap(self, local, normals):
        """Hair over the skull, open in front where the face is."""
        colour, alpha = self.paint_hair(local, normals)
        x, y = local[..., 0] / 0.80, (local[..., 1] - 0.55) / 1.02
        strand = colour.mean(-1) / self.hair.mean()
        rim = np.sqrt(x**2 + y**2) + 0.03 * strand + 0.02 * np.sin(9 * local[..., 0] + 1)
        front = local[..., 2] < 0.25
        return colour, np.where(front, smooth(rim, 0.98, 1.06), alpha) * (1 - smooth(local[..., 1], 0.55, 0.75))
