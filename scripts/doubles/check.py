"""Measures the doubles: likeness to their members, to everybody else in the stills, and to each other."""

import hashlib
import json
import sys

import numpy as np

from atlas import Mesh
from networks import Detector, Embedder
from paths import CACHE, DOUBLES, MESH
from sheet import load
from show import render

def embed_face(embed, shape, atlas, mesh):
    """Embedding of the rendered face on a backdrop of its own mean colour, and the picture."""
    backdrop = tuple(int(v) for v in atlas.reshape(-1, 3).mean(0))
    image, five = render(shape, atlas, mesh, 320, backdrop=backdrop)
    return embed(image, five), image


def impostors(names, vectors):
    """Cosines between different people of the stills (one picture each)."""
    seen, keep = set(), []
    for i, n in enumerate(names):
        who = n.split("/")[1].split("_")[0] if n.startswith("congress") else n
        if not n.startswith("video") and who not in seen:
            seen.add(who)
            keep.append(i)
    v = vectors[keep]
    c = (v @ v.T)[np.triu_indices(len(v), 1)]
    return c


def check_mesh(mesh):
    """UV without fold-overs and mirror-symmetric, one disk, mirror map an involution."""
    a, b, c = (mesh.uv[mesh.triangles[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    assert mesh.positions.shape == (470, 3) and mesh.uv.shape == (470, 2)
    assert area.min() > 0, "a triangle folds over"
    assert mesh.uv.min() > 0.01 and mesh.uv.max() < 0.99
    assert (mesh.mirror[mesh.mirror] == np.arange(470)).all()
    assert np.abs(mesh.uv[mesh.mirror] * [-1, 1] + [1, 0] - mesh.uv).max() < 1e-5
    assert np.abs(mesh.positions[mesh.mirror] * [-1, 1, 1] - mesh.positions).max() < 1e-5
    edges = {tuple(sorted((int(t[i]), int(t[i - 1])))) for t in mesh.triangles for i in range(3)}
    assert len(set(mesh.triangles.ravel().tolist())) == 470 and 470 - len(edges) + len(mesh.triangles) == 1
    width = np.linalg.norm(mesh.positions[234] - mesh.positions[454])
    assert abs(width - 1) < 1e-4 and np.abs(mesh.positions[mesh.rigid].mean(0)).max() < 1e-4
    print(f"mesh: {len(mesh.triangles)} triangles, smallest UV area {area.min() / 2:.2e}")


def check_files(folder, facts, shapes, atlases):
    """Sizes, shapes and hashes of one double."""
    assert facts["mesh"] == hashlib.sha256(MESH.read_bytes()).hexdigest(), "built for another mesh"
    assert sum(f.stat().st_size for f in folder.iterdir()) < 500_000
    assert facts["members"] >= 8 and facts["members"] == sum("member" in s["role"] for s in facts["sources"])
    for role, atlas in atlases.items():
        assert atlas.shape == (512, 512, 3) and shapes[role].shape == (470, 3) and np.isfinite(shapes[role]).all()
    roles = {e["role"]: e for e in facts["exemplar"]}
    assert {"neutral", "smile", "open", "open_wide", "laugh", "closed"} <= set(roles)
    assert roles["closed"]["lid_aperture"] < 0.2 * roles["neutral"]["lid_aperture"]
    assert roles["open_wide"]["mouth_opening"] > roles["open"]["mouth_opening"] > roles["neutral"]["mouth_opening"]


def main():
    mesh, embed, detect = Mesh(), Embedder(), Detector()
    check_mesh(mesh)
    data = np.load(CACHE / "points.npz")
    names, vectors = data["names"], data["vectors"]
    still = np.array([not n.startswith("video") for n in names])
    cosines = impostors(names, vectors)
    limit = float(np.percentile(cosines, 99))
    print(f"impostors: {len(cosines)} pairs, p99 {limit:.3f}, p99.9 {np.percentile(cosines, 99.9):.3f}, "
          f"max {cosines.max():.3f}")
    report, all_vectors, folders = {}, [], [f for f in sorted(DOUBLES.iterdir()) if f.is_dir()]
    for folder in folders:
        facts, shapes, atlases = load(folder)
        check_files(folder, facts, shapes, atlases)
        v, image = embed_face(embed, shapes["neutral"], atlases["neutral"], mesh)
        members = [s["file"] for s in facts["sources"] if "member" in s["role"]]
        own = np.isin(names, members)
        mine = vectors[own] @ v
        others = vectors[still & ~own] @ v
        same = {r: float(embed_face(embed, shapes[r], atlases[r], mesh)[0] @ v) for r in atlases if r != "neutral"}
        found = detect(image)
        donors = np.isin(names, [s["file"] for s in facts["sources"] if "detail" in s["role"]])
        report[folder.name] = {
            "members_mean": round(float(mine.mean()), 3), "members_max": round(float(mine.max()), 3),
            "most_alike": str(names[own][mine.argmax()]), "donor_max": round(float((vectors[donors] @ v).max()), 3),
            "others_max": round(float(others.max()), 3),
            "others_most_alike": str(names[still & ~own][others.argmax()]),
            "detector": round(found[0][0], 3) if found else 0.0,
            "expressions": {k: round(x, 3) for k, x in same.items()}}
        all_vectors.append(v)
        print(folder.name, json.dumps(report[folder.name]))
    pairs = np.array(all_vectors) @ np.array(all_vectors).T
    np.set_printoptions(precision=2, suppress=True, linewidth=160)
    print(pairs)
    off = pairs - 2 * np.eye(len(pairs))
    result = {"impostor_p99": round(limit, 3), "doubles": report, "order": [f.name for f in folders],
              "pairs": np.round(pairs, 3).tolist()}
    (DOUBLES / "measured.json").write_text(json.dumps(result, indent=1) + "\n")
    bad = [n for n, r in report.items() if r["members_max"] >= limit]
    print("members over the limit:", bad, "closest pair", round(float(off.max()), 3))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
