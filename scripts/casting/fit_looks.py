#!/usr/bin/env python3
"""Fits the direction along which embeddings of faces that look like women and like men differ.

    fit_looks.py --shared ../shared --out models/casting/looks.json

Reads `looks_labels.json` (portraits of members of the US Congress, labelled by eye) and the doubles' cards, embeds the
portraits with YuNet and MobileFaceNet, and writes the weighted mean and a ridge regression's direction, with its
ten-fold cross-validation. Needs numpy, opencv-python-headless, onnxruntime.
"""

import argparse
import json
import tomllib
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

HERE = Path(__file__).resolve().parent
TEMPLATE = np.float32([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
                       [70.7299, 92.2041]])
RIDGE = 1.0


class Embedder:
    """YuNet's largest face, aligned, through MobileFaceNet; the sum of the crop's and its mirror image's vectors."""

    def __init__(self, models: Path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.net = onnxruntime.InferenceSession(str(models / "foamliu_mobilefacenet/MobileFaceNet.onnx"), options)
        self.finder = cv2.FaceDetectorYN.create(str(models / "yunet_n/yunet_n_640_640.onnx"), "", (320, 320), 0.5)

    def __call__(self, path: Path):
        image = cv2.imread(str(path))
        scale = 480 / max(image.shape[:2])
        image = cv2.resize(image, None, fx=scale, fy=scale,
                           interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        self.finder.setInputSize((image.shape[1], image.shape[0]))
        _, faces = self.finder.detect(image)
        if faces is None:
            return None
        points = max(faces, key=lambda f: f[2])[4:14].reshape(5, 2)
        to, _ = cv2.estimateAffinePartial2D(points.astype(np.float32), TEMPLATE, method=cv2.LMEDS)
        crop = cv2.warpAffine(image, to, (112, 112), borderMode=cv2.BORDER_REPLICATE)
        total = self.vector(crop) + self.vector(crop[:, ::-1])
        return total / np.linalg.norm(total)

    def vector(self, crop):
        x = (crop[:, :, ::-1] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        x = np.ascontiguousarray(x.transpose(2, 0, 1)[None], dtype=np.float32)
        out = self.net.run(None, {self.net.get_inputs()[0].name: x})[0][0]
        return out / np.linalg.norm(out)


def labelled(stills: Path):
    """File and label (1: woman, -1: man) of every portrait."""
    labels = json.loads((HERE / "looks_labels.json").read_text())
    rows = {file: 1.0 for file in labels["woman"]} | {file: -1.0 for file in labels["man"]}
    for card in sorted((HERE.parent.parent / "models/doubles").glob("*/double.toml")):
        double = tomllib.loads(card.read_text())
        for source in double["sources"]:
            if "member" in source["role"]:
                rows[source["file"]] = 1.0 if double["sex"] == "woman" else -1.0
    return [(stills / file, label) for file, label in sorted(rows.items())]


def fit(x, y):
    """Mean and direction: ridge regression in which both labels weigh the same."""
    weight = np.where(y > 0, 0.5 / (y > 0).sum(), 0.5 / (y < 0).sum())
    weight = weight / weight.mean()
    mean = (x * weight[:, None]).sum(0) / weight.sum()
    a = x - mean
    gram = (a * weight[:, None]).T @ a + RIDGE * np.eye(x.shape[1])
    return mean, np.linalg.solve(gram, (a * weight[:, None]).T @ y)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=HERE.parent.parent.parent / "shared")
    parser.add_argument("--out", type=Path, default=HERE.parent.parent / "models/casting/looks.json")
    arguments = parser.parse_args()
    embed = Embedder(arguments.shared / "models")
    found = [(embed(path), label) for path, label in labelled(arguments.shared / "data/stills")]
    x = np.array([e for e, _ in found if e is not None])
    y = np.array([label for e, label in found if e is not None])
    folds, score = np.random.default_rng(0).permutation(len(x)), np.zeros(len(x))
    for k in range(10):
        test = folds[k::10]
        mean, direction = fit(np.delete(x, test, 0), np.delete(y, test))
        score[test] = (x[test] - mean) @ direction
    right = np.sign(score) == y
    sure = np.abs(score) > 0.5
    measured = {"portraits": len(x), "women": int((y > 0).sum()), "right": right.mean(),
                "right_women": right[y > 0].mean(), "right_men": right[y < 0].mean(),
                "share_sure": sure.mean(), "right_sure": right[sure].mean()}
    measured = {k: round(float(v), 3) for k, v in measured.items()}
    mean, direction = fit(x, y)
    rounded = {"mean": [round(float(v), 4) for v in mean], "direction": [round(float(v), 4) for v in direction]}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({"cross_validated": measured} | rounded) + "\n")
    print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
