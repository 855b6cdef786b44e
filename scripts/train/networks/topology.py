"""Index lists of the dense mesh, read from the files that the program itself uses."""

import json
import re

import numpy as np

from . import settings

_SOURCE = (settings.ROOT / "src/vision/topology.rs").read_text()
_MESH = json.loads((settings.ROOT / "models/mesh/mesh.json").read_text())


def _list(name: str) -> list[int]:
    body = re.search(rf"const {name}: \[usize; \d+\] = \[(.*?)\];", _SOURCE, re.S).group(1)
    return [int(v) for v in re.findall(r"\d+", body)]


POINTS = 478
LIPS = _list("LIPS")
RIGHT_EYE = _list("RIGHT_EYE")
LEFT_EYE = _list("LEFT_EYE")
RIGHT_LID, LEFT_LID = RIGHT_EYE[:16], LEFT_EYE[:16]
LIDS = RIGHT_LID + LEFT_LID
RIGHT_IRIS, LEFT_IRIS = list(range(468, 473)), list(range(473, 478))
#: Order of the points of one iris in which they mirror those of the other.
IRIS_MIRROR = [0, 3, 2, 1, 4]
OVAL = _MESH["oval"]
TRIANGLES = np.array(_MESH["triangles"])
LID_PAIRS = np.array(_MESH["right_lids"] + _MESH["left_lids"])
RIGHT_LID_PAIRS = np.array(_MESH["right_lids"])
LIP_PAIRS = np.array(_MESH["inner_lips"])
INNER_LIPS = _MESH["lips_inner"]
CANONICAL = np.array(_MESH["positions"])[:468] * [1, -1, -1]


def mirror(iris: list[int]) -> np.ndarray:
    """The permutation of a mirrored face; `iris` is the order of the five points of the other iris."""
    m = _MESH["mirror"]
    at = {p: v for v, p in enumerate(_MESH["point_of_vertex"])}
    points = _MESH["point_of_vertex"]
    order = [points[m[at[i]]] for i in range(468)]
    order += [473 + i for i in iris]
    back = np.argsort(iris)
    order += [468 + int(i) for i in back]
    return np.array(order)


def eye_distance(points: np.ndarray) -> np.ndarray:
    """Distance between the eye centres of [..., 478, 2 or more]."""
    a, b = points[..., RIGHT_LID, :2].mean(-2), points[..., LEFT_LID, :2].mean(-2)
    return np.linalg.norm(a - b, axis=-1)
