"""Face detector, 478-point landmarks and face embedding, through ONNX Runtime on one thread."""

import cv2
import numpy as np
import onnxruntime as ort

import topology as topo
from paths import MODELS

cv2.setNumThreads(1)

ARC = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
                [70.7299, 92.2041]])


def session(name):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(MODELS / name), options, providers=["CPUExecutionProvider"])


class Detector:
    """YuNet n: boxes (x, y, w, h), scores and five points, best first."""

    def __init__(self):
        self.net = session("yunet_n/yunet_n_dynamic.onnx")
        self.names = [o.name for o in self.net.get_outputs()]

    def __call__(self, image, size=640, threshold=0.6):
        scale = size / max(image.shape[:2])
        small = cv2.resize(image, None, fx=scale, fy=scale)
        h, w = small.shape[:2]
        padded = np.zeros(((h + 31) // 32 * 32, (w + 31) // 32 * 32, 3), np.float32)
        padded[:h, :w] = small
        out = dict(zip(self.names, self.net.run(None, {self.net.get_inputs()[0].name:
                                                       padded.transpose(2, 0, 1)[None]})))
        found = []
        for stride in (8, 16, 32):
            cls, obj, box, points = (out[f"{k}_{stride}"][0] for k in ("cls", "obj", "bbox", "kps"))
            score = np.sqrt(np.clip(cls[:, 0], 0, 1) * np.clip(obj[:, 0], 0, 1))
            for i in np.nonzero(score > threshold)[0]:
                cell = np.array([i % (padded.shape[1] // stride), i // (padded.shape[1] // stride)])
                centre, extent = (cell + box[i, :2]) * stride, np.exp(box[i, 2:]) * stride
                found.append((float(score[i]), np.concatenate([centre - extent / 2, extent]) / scale,
                              (points[i].reshape(5, 2) + cell) * stride / scale))
        if not found:
            return []
        keep = cv2.dnn.NMSBoxes([f[1].tolist() for f in found], [f[0] for f in found], threshold, 0.45)
        return sorted((found[i] for i in np.array(keep).reshape(-1)), key=lambda f: -f[0])


def crop_matrix(centre, side, angle, n, flip=False):
    scale = n / side
    c, s = np.cos(-angle) * scale, np.sin(-angle) * scale
    m = np.array([[c, -s, 0], [s, c, 0]], np.float64)
    m[:, 2] = n / 2 - m[:, :2] @ np.asarray(centre)
    if flip:
        m[0] *= -1
        m[0, 2] += n
    return m


def warp(image, matrix, n):
    """Samples a crop, low-passing first where it shrinks the picture."""
    shrink = 1 / np.linalg.norm(matrix[:, 0])
    if shrink > 1.5:
        image = cv2.GaussianBlur(image, (0, 0), 0.35 * shrink)
    return cv2.warpAffine(image, matrix, (n, n), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


class Landmarks:
    """Attention mesh: 478 points (x, y in pixels, z in the same scale), and a face probability."""

    def __init__(self):
        self.net = session("mediapipe_face_mesh_attention/facemesh_attn_w16.onnx")
        self.names = [o.name for o in self.net.get_outputs()]

    def once(self, image, matrix):
        crop = warp(image, matrix, 192)[None, :, :, ::-1].astype(np.float32) / 255
        out = dict(zip(self.names, self.net.run(None, {"input_1": crop})))

        def refined(name):
            return next(v for k, v in out.items() if k.startswith("output_" + name)).reshape(-1, 2)

        p = np.zeros((478, 3))
        p[:468] = out["output_mesh_identity"].reshape(468, 3)
        p[topo.LIPS_80, :2] = refined("lips")
        p[topo.RIGHT_EYE_71, :2] = refined("left_eye")  # the network names sides as seen in the image
        p[topo.LEFT_EYE_71, :2] = refined("right_eye")
        p[468:473, :2] = refined("left_iris")
        p[473:478, :2] = refined("right_iris")
        p[468:473, 2] = p[topo.RIGHT_EYE, 2].mean()
        p[473:478, 2] = p[topo.LEFT_EYE, 2].mean()
        back = cv2.invertAffineTransform(matrix)
        p[:, :2] = p[:, :2] @ back[:, :2].T + back[:, 2]
        p[:, 2] /= np.linalg.norm(matrix[:, 0])
        return p, 1 / (1 + np.exp(-float(out["conv_faceflag"].ravel()[0])))

    @staticmethod
    def frame(p):
        e = p[topo.LEFT_EYE, :2].mean(0) - p[topo.RIGHT_EYE, :2].mean(0)
        angle = np.arctan2(e[1], e[0])
        c, s = np.cos(-angle), np.sin(-angle)
        r = np.array([[c, -s], [s, c]])
        q = p[:468, :2] @ r.T
        low, high = q.min(0), q.max(0)
        return r.T @ ((low + high) / 2), 1.5 * (high - low).max(), angle

    def __call__(self, image, box, five, mirror=None):
        """Two passes; with `mirror` (478 indices) a third on the flipped crop is averaged in."""
        e = five[1] - five[0]
        p, _ = self.once(image, crop_matrix(box[:2] + box[2:] / 2, 1.35 * max(box[2:]),
                                            np.arctan2(e[1], e[0]), 192))
        p, score = self.once(image, crop_matrix(*self.frame(p), 192))
        if mirror is not None:
            c, side, angle = self.frame(p)
            q, other = self.once(image, crop_matrix(c, side * 0.97, angle, 192, flip=True))
            p, score = (p + q[mirror]) / 2, min(score, other)
        return p, score


def similarity(a, b):
    """Umeyama: scale, rotation, translation taking points `a` to `b`."""
    ma, mb = a.mean(0), b.mean(0)
    u, d, vt = np.linalg.svd((b - mb).T @ (a - ma) / len(a))
    sign = np.ones(a.shape[1])
    sign[-1] = np.sign(np.linalg.det(u @ vt))
    r = u @ np.diag(sign) @ vt
    s = (d * sign).sum() / (a - ma).var(0).sum()
    return s, r, mb - s * r @ ma


class Embedder:
    """MobileFaceNet, 128 numbers of unit length, mean of the picture and its mirror image."""

    def __init__(self):
        self.net = session("foamliu_mobilefacenet/MobileFaceNet.onnx")
        self.name = self.net.get_inputs()[0].name

    def __call__(self, image, five):
        s, r, t = similarity(np.asarray(five, np.float64), ARC)
        crop = warp(image, np.concatenate([s * r, t[:, None]], 1), 112)
        x = (crop[:, :, ::-1].astype(np.float32) / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
        x = x.transpose(2, 0, 1).astype(np.float32)
        e = sum(self.net.run(None, {self.name: v[None]})[0].ravel() for v in (x, x[:, :, ::-1]))
        return e / np.linalg.norm(e)
