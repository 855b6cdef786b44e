"""The teachers: networks of other people that label the data. Their files come with the data; none is shipped."""

import math

import cv2
import numpy as np
import onnxruntime as ort

from . import geometry as geo
from . import topology as topo
from .settings import teacher

NONE = (np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)))


def session(path, threads: int = 1) -> ort.InferenceSession:
    """A CPU session; `threads` is its number of threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class YuNet:
    """YuNet, or a network with the same inputs and outputs."""

    STRIDES = (8, 16, 32)

    def __init__(self, path=None):
        self.net = session(path or teacher("yunet_n/yunet_n_dynamic.onnx"))
        self.input = self.net.get_inputs()[0].name
        self.outputs = [o.name for o in self.net.get_outputs()]

    def dense(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Raw outputs for a BGR picture whose sides are multiples of 32."""
        x = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)
        return dict(zip(self.outputs, self.net.run(None, {self.input: x})))

    def __call__(self, image: np.ndarray, threshold=0.6, side=640, limit=0.45, grow=True):
        """Boxes, scores and five points each, in pixels of the picture; its longer side is made `side`."""
        h, w = image.shape[:2]
        k = side / max(h, w)
        if not grow:
            k = min(k, 1.0)
        pw, ph = max(1, round(w * k)), max(1, round(h * k))
        small = image if (pw, ph) == (w, h) else cv2.resize(
            image, (pw, ph), interpolation=cv2.INTER_AREA if k < 1 else cv2.INTER_LINEAR)
        padded = np.zeros((-(-ph // 32) * 32, -(-pw // 32) * 32, 3), np.uint8)
        padded[:ph, :pw] = small
        out = self.dense(padded)
        boxes, scores, points = [], [], []
        for s in self.STRIDES:
            columns = padded.shape[1] // s
            score = np.sqrt(np.clip(out[f"cls_{s}"][0, :, 0], 0, 1) * np.clip(out[f"obj_{s}"][0, :, 0], 0, 1))
            i = np.flatnonzero(score > threshold)
            cell = np.stack([i % columns, i // columns], 1)
            b, p = out[f"bbox_{s}"][0][i], out[f"kps_{s}"][0][i].reshape(-1, 5, 2)
            centre, half = (cell + b[:, :2]) * s, np.exp(b[:, 2:]) * s / 2
            boxes.append(np.concatenate([centre - half, centre + half], 1))
            scores.append(score[i])
            points.append((p + cell[:, None]) * s)
        boxes, scores, points = map(np.concatenate, (boxes, scores, points))
        kept = geo.suppress(boxes, scores, limit)[:400]
        unit = np.array([w / pw, h / ph])
        return boxes[kept] * np.tile(unit, 2), scores[kept], points[kept] * unit

    def multi(self, image: np.ndarray, threshold=0.6, sides=(320, 640, 1280)):
        """As the call, over several sizes."""
        found = [self(image, threshold, s) for s in sides]
        boxes, scores, points = (np.concatenate([f[i] for f in found]) for i in range(3))
        kept = geo.suppress(boxes, scores, 0.4)
        return boxes[kept], scores[kept], points[kept]


class Rfb:
    """The second detector family."""

    def __init__(self):
        self.net = session(teacher("ultralight_rfb640/version-RFB-640.onnx"))
        self.input = self.net.get_inputs()[0].name
        self.outputs = [o.name for o in self.net.get_outputs()]

    def __call__(self, image: np.ndarray, threshold=0.7):
        """Boxes and scores."""
        h, w = image.shape[:2]
        x = cv2.cvtColor(cv2.resize(image, (640, 480)), cv2.COLOR_BGR2RGB).astype(np.float32)
        out = dict(zip(self.outputs, self.net.run(None, {self.input: ((x - 127) / 128).transpose(2, 0, 1)[None]})))
        scores, boxes = out["scores"][0, :, 1], out["boxes"][0] * [w, h, w, h]
        scores, boxes = scores[scores > threshold], boxes[scores > threshold]
        kept = geo.suppress(boxes, scores, 0.3)
        return boxes[kept], scores[kept]


class Mesh:
    """The attention mesh, or a network with the same inputs and outputs, called as the program calls it."""

    SIZE = 192

    def __init__(self, path=None):
        self.net = session(path or teacher("mediapipe_face_mesh_attention/facemesh_attn_w16.onnx"))
        self.input = self.net.get_inputs()[0].name
        self.outputs = [o.name.split(":")[0] for o in self.net.get_outputs()]

    def on_crop(self, crop: np.ndarray) -> tuple[np.ndarray, float]:
        """478 points in crop pixels and presence, for a BGR crop of 192 pixels."""
        x = crop[None, :, :, ::-1].astype(np.float32) / 255
        out = dict(zip(self.outputs, self.net.run(None, {self.input: np.ascontiguousarray(x)})))
        get = lambda name, n: next(v for k, v in out.items() if k.startswith(name)).reshape(-1, n)
        points = np.zeros((topo.POINTS, 3))
        points[:468] = get("output_mesh", 3)
        points[topo.LIPS, :2] = get("output_lips", 2)
        points[topo.RIGHT_EYE, :2] = get("output_left_eye", 2)
        points[topo.LEFT_EYE, :2] = get("output_right_eye", 2)
        points[topo.RIGHT_IRIS, :2] = get("output_left_iris", 2)
        points[topo.LEFT_IRIS, :2] = get("output_right_iris", 2)
        points[topo.RIGHT_IRIS, 2] = points[topo.RIGHT_LID, 2].mean()
        points[topo.LEFT_IRIS, 2] = points[topo.LEFT_LID, 2].mean()
        return points, 1 / (1 + math.exp(-float(np.clip(out["conv_faceflag"].ravel()[0], -50, 50))))

    def run(self, image: np.ndarray, centre, side: float, angle: float, mirror=False):
        """Points in pixels of the picture, and presence."""
        m = geo.crop_map(centre, side, angle, self.SIZE, mirror)
        points, presence = self.on_crop(geo.warp(image, m, self.SIZE, self.SIZE))
        points[:, :2] = geo.apply(geo.inverse(m), points[:, :2])
        points[:, 2] *= side / self.SIZE
        return points, presence

    def two_pass(self, image: np.ndarray, box: np.ndarray, five: np.ndarray):
        """From a detection, as the program does it: one pass on the box, one on the mesh found."""
        angle = math.atan2(*(five[1] - five[0])[::-1])
        points, _ = self.run(image, (box[:2] + box[2:]) / 2, 1.35 * max(box[2:] - box[:2]), angle)
        return self.run(image, *face_frame(points))


def face_frame(points: np.ndarray, grow: float = 1.5):
    """Centre, side and angle of the square crop about dense points."""
    a, b = points[topo.RIGHT_LID, :2].mean(0), points[topo.LEFT_LID, :2].mean(0)
    angle = math.atan2(b[1] - a[1], b[0] - a[0])
    c, s = math.cos(angle), math.sin(angle)
    turn = np.array([[c, s], [-s, c]])
    level = points[:468, :2] @ turn.T
    lo, hi = level.min(0), level.max(0)
    return turn.T @ ((lo + hi) / 2), grow * (hi - lo).max(), angle


class MobileFaceNet:
    """The embedding teacher."""

    SIZE = 112
    TEMPLATE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
                         [70.7299, 92.2041]])
    MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

    def __init__(self, path=None):
        self.net = session(path or teacher("foamliu_mobilefacenet/MobileFaceNet.onnx"))
        self.input = self.net.get_inputs()[0].name

    @classmethod
    def align(cls, image: np.ndarray, five: np.ndarray) -> np.ndarray:
        """The aligned crop of 112 pixels."""
        return geo.warp(image, geo.similarity(five, cls.TEMPLATE), cls.SIZE, cls.SIZE)

    def on_crop(self, crop: np.ndarray) -> np.ndarray:
        """The unit vector of an aligned BGR crop."""
        x = (crop[..., ::-1] / 255.0 - self.MEAN) / self.DEVIATION
        v = self.net.run(None, {self.input: x.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]
        return v / max(np.linalg.norm(v), 1e-9)
