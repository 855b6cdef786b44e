#!/usr/bin/env python3
"""Checks a sample film: a face and a mesh in every frame. Needs numpy, opencv and onnxruntime (the venv of `build`).

    .cache/sample-venv/bin/python scripts/sample/check.py FILM [SHEET.png]

Networks: YuNet and the attention mesh in $UNDERSTUDY_SHARED/models or ../shared/models. Exits 1 on a frame without
exactly one face of score 0.7 or a mesh of probability 0.5.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "doubles"))
from networks import Detector, Landmarks  # noqa: E402


def main():
    detector, landmarks = Detector(), Landmarks()
    film = cv2.VideoCapture(sys.argv[1])
    scores, meshes, openings, yaws, tiles, bad = [], [], [], [], [], []
    while True:
        more, frame = film.read()
        if not more:
            break
        found = detector(frame)
        k = len(scores)
        if len(found) != 1 or found[0][0] < 0.7:
            bad.append((k, [round(f[0], 2) for f in found]))
        if not found:
            scores.append(0.0)
            continue
        score, box, five = found[0]
        points, mesh = landmarks(frame, box, five)
        if mesh < 0.5:
            bad.append((k, "mesh", round(mesh, 2)))
        scores.append(score)
        meshes.append(mesh)
        openings.append(np.linalg.norm(points[13, :2] - points[14, :2]) / box[2])
        yaws.append(np.degrees(np.arctan2(points[454, 2] - points[234, 2], points[454, 0] - points[234, 0])))
        if k % 14 == 0:
            for x, y in points[:468, :2]:
                cv2.circle(frame, (int(x), int(y)), 1, (0, 255, 0), -1)
            tiles.append(cv2.resize(frame, (427, 240)))
    print(f"{len(scores)} frames; detector score {min(scores):.3f}..{max(scores):.3f}; mesh {min(meshes):.3f}..; "
          f"mouth {min(openings):.3f}..{max(openings):.3f} of the face box; yaw {min(yaws):.1f}..{max(yaws):.1f} deg")
    if len(sys.argv) > 2:
        tiles = tiles[:len(tiles) // 3 * 3]
        cv2.imwrite(sys.argv[2], np.vstack([np.hstack(tiles[k:k + 3]) for k in range(0, len(tiles), 3)]))
    for b in bad:
        print("bad frame", b)
    return 1 if bad or not scores else 0


if __name__ == "__main__":
    sys.exit(main())
