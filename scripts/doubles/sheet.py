"""Contact sheet of the doubles: neutral, every exemplar, turned heads, and blends between expressions."""

import json
import sys
import tomllib

import cv2
import numpy as np

from atlas import Mesh, to_linear, to_srgb
from paths import DOUBLES, ROOT
from show import render


def load(folder):
    facts = tomllib.loads((folder / "double.toml").read_text())
    shapes = np.array(json.loads((folder / "shapes.json").read_text()))
    atlases = {e["role"]: cv2.imread(str(folder / e["atlas"])) for e in facts["exemplar"]}
    return facts, {e["role"]: shapes[e["shape"]] for e in facts["exemplar"]}, atlases


def blend(a, b, share):
    return to_srgb(to_linear(a) * (1 - share) + to_linear(b) * share)


def row(folder, mesh, size):
    facts, shapes, atlases = load(folder)
    views = [(r, 0) for r in atlases] + [("neutral", -20), ("neutral", 20)]
    out = [render(shapes[r], atlases[r], mesh, size, yaw)[0] for r, yaw in views]
    for role, share in (("closed", 0.5), ("open_wide", 0.25), ("smile", 0.5)):
        if role in atlases:
            out.append(render(shapes["neutral"] * (1 - share) + shapes[role] * share,
                              blend(atlases["neutral"], atlases[role], share), mesh, size)[0])
    cv2.putText(out[0], facts["name"], (5, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return np.hstack(out)


def main():
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 150
    target = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "docs" / "pictures" / "doubles.jpg")
    only = sys.argv[3:]
    mesh = Mesh()
    folders = [f for f in sorted(DOUBLES.iterdir()) if (f / "double.toml").exists() and (not only or f.name in only)]
    picture = np.vstack([row(f, mesh, size) for f in folders])
    (ROOT / "docs" / "pictures").mkdir(parents=True, exist_ok=True)
    cv2.imwrite(target, picture, [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(target, picture.shape)


if __name__ == "__main__":
    main()
