"""Finds weights and shape shifts that make each composite unlike everybody in the stills and the other doubles.

Deterministic search; writes what it found back to members.json. Run by hand after changing the members.
"""

import json
import sys

import numpy as np

import expressions as ex
from atlas import Layout, Mesh, to_srgb
from build import full, neutral, smile_pools
from check import embed_face
from compose import finish
from networks import Embedder
from paths import CACHE, DOUBLES, ROOT
from sheet import load

LIST = ROOT / "scripts" / "doubles" / "members.json"
LIMIT = 0.25


class Search:
    def __init__(self, layout, names, vectors):
        self.layout, self.mesh, self.embed = layout, layout.mesh, Embedder()
        self.names, self.vectors = names, vectors
        self.taken = {}

    def look(self, shape, atlas):
        return embed_face(self.embed, shape, atlas, self.mesh)[0]

    def cost(self, v, members, name):
        """Overshoot beyond the limit of members, strangers and other doubles, and a pull to spare."""
        c = np.sort(self.vectors @ v)[::-1]
        own = np.sort(self.vectors[members] @ v)[::-1]
        pairs = np.array([v @ o for k, o in self.taken.items() if k != name] or [0.0])
        over = 3 * max(own[0] - LIMIT, 0) + 0.8 * max(c[0] - LIMIT - 0.03, 0) + max(pairs.max() - 0.30, 0)
        return over + 0.15 * own[:3].mean() + 0.05 * pairs.max()


def tune(name, spec, search, layout, model, smile, rounds):
    members = np.isin(search.names, spec["members"])
    order = [int(np.nonzero(search.names == n)[0][0]) for n in spec["members"]]
    weights = np.array(spec.get("weights", [1.0] * len(order)))
    shift = np.array(spec.get("shift", np.zeros(len(model.identity))))
    shape, light, detail = neutral({**spec, "weights": weights, "shift": [0.0]}, layout, model, smile)
    if "weights" not in spec:  # members that shine through count for less
        c = search.vectors[order] @ search.look(shape, to_srgb(finish(light, detail, layout)))
        weights = np.clip(np.exp(-5.0 * (c - c.mean())), 0.25, 2.5)
        weights /= weights.mean()
        shape, light, detail = neutral({**spec, "weights": weights, "shift": [0.0]}, layout, model, smile)
    atlas = to_srgb(finish(light, detail, layout))
    rng = np.random.default_rng(int(name[1:]))

    def score(s):
        v = search.look(model.close_mouth(model.as_somebody_else(shape, s)), atlas)
        return search.cost(v, members, name) + 0.006 * (s**2).sum() / 4, v

    best, vector = score(shift)
    start, step = best, 0.7
    for _ in range(rounds):
        trial = np.clip(shift + step * rng.standard_normal(len(shift)) * (rng.random(len(shift)) < 0.5), -1.8, 1.8)
        found, v = score(trial)
        if found < best:
            best, shift, vector = found, trial, v
            step = min(step * 1.2, 0.9)
        else:
            step = max(step * 0.97, 0.2)
    search.taken[name] = vector
    own = search.vectors[members] @ vector
    print(name, f"cost {start:.3f} -> {best:.3f}, members max {own.max():.3f} mean {own.mean():.3f}, anyone "
          f"{(search.vectors @ vector).max():.3f}, shift norm {np.linalg.norm(shift):.2f}", weights.round(2), flush=True)
    return weights, shift


def main():
    specs = json.loads(LIST.read_text())
    data = np.load(CACHE / "points.npz")
    still = np.array([not n.startswith("video") for n in data["names"]])
    mesh = Mesh()
    layout, model = Layout(mesh), ex.ShapeModel(mesh)
    smile = smile_pools(specs, layout)
    search = Search(layout, data["names"][still], data["vectors"][still])
    for folder in sorted(f for f in DOUBLES.iterdir() if (f / "double.toml").exists()):
        _, shapes, atlases = load(folder)
        search.taken[folder.name] = search.look(shapes["neutral"], atlases["neutral"])
    for name in sys.argv[1:] or sorted(specs["doubles"]):
        spec = specs["doubles"][name]
        filled = {**spec, "members": [full(n) for n in spec["members"]],
                  "donors": [(full(n), a) for n, a in spec["donors"]]}
        weights, shift = tune(name, filled, search, layout, model, smile, 70)
        spec["weights"], spec["shift"] = weights.round(3).tolist(), shift.round(3).tolist()
        save(specs)


def save(specs):
    def line(v):
        return json.dumps(v, separators=(", ", ": "))

    pools = ",\n".join(f'  "{k}": {line(v)}' for k, v in specs["pools"].items())
    doubles = ",\n".join(f' "{n}": {{\n' + ",\n".join(f'  "{k}": {line(v)}' for k, v in s.items()) + "}"
                         for n, s in specs["doubles"].items())
    LIST.write_text('{\n"pools": {\n' + pools + '},\n"doubles": {\n' + doubles + "\n}}\n")


if __name__ == "__main__":
    main()
