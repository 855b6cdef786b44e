"""Builds every double of members.json into models/doubles/NAME/."""

import hashlib
import json
import sys

import cv2
import numpy as np

import expressions as ex
from atlas import SIZE, Layout, Mesh, blur, smooth, to_srgb
from compose import Member, average_detail, average_light, dilate, fine, grey
from paths import DOUBLES, MESH, ROOT, STILLS

CALM_WIDTH, SMILE = 0.365, 0.075  # of the mouth, in face widths: at rest, and what a smile adds
TEETH_APART = (0.5, 0.0045)  # lines between teeth that are seen in full
LICENCE = "MIT OR Apache-2.0"
_members = {}


def member(name, layout):
    if name not in _members:
        _members[name] = Member(name, layout)
    return _members[name]


def neutral(spec, layout, model, smile):
    """Shape, light and log detail of the composite's resting face; what the members smile is taken off."""
    names = spec["members"]
    weights = np.array(spec.get("weights", [1.0] * len(names)))
    people = [member(n, layout) for n in names]
    shape = np.average([p.shape for p in people], axis=0, weights=weights)
    mirrored = shape[layout.mesh.mirror] * [-1, 1, 1]
    shape = model.close_mouth(0.35 * shape + 0.65 * mirrored if spec.get("flip") else 0.65 * shape + 0.35 * mirrored)
    extra = float(np.clip(ex.width(shape) - CALM_WIDTH, 0, 0.08))
    shape = model.as_somebody_else(shape - 0.8 * extra * model.smile, spec.get("shift", [0.0]))
    shape = model.close_mouth(shape)
    light = saturate(average_light(people, weights, layout), spec.get("saturation", 1.0))
    detail = average_detail(people, weights, layout) - 0.8 * extra / 0.07 * smile
    outer = layout.outer[..., None]
    detail = detail - 0.85 * outer * blur(detail, 12)  # no hair, ears or background in the outer ring
    detail = ex.mix(spread_outward(detail, layout), detail, layout.core)
    for donor, amount in spec["donors"]:
        d = member(donor, layout)
        skin = blur(layout.skin * d.trust * smooth(layout.depth, 10, 40) * (1 - 0.8 * layout.outer), 3)[..., None]
        detail = detail + amount * np.clip(fine(grey(d.detail)), -0.25, 0.25) * skin
    sharp = blur(np.clip(layout.features, 0, 1), 3)[..., None]
    detail = detail + 0.6 * sharp * fine(detail, 2.6)
    return shape, light, detail


def saturate(light, amount):
    """Colour further from grey by `amount`; grey or white-haired members wash the mean out."""
    level = light.mean(2, keepdims=True)
    return level * (light / level) ** amount


def spread_outward(detail, layout):
    """The inner skin's mean detail, carried into the rim."""
    w = (layout.skin * smooth(layout.core, 0.7, 1.0)).astype(np.float32)
    total, out = 1e-4, 0
    for sigma, share in ((18, 1.0), (40, 0.1), (90, 0.01)):
        total = total + share * blur(w, sigma)[..., None]
        out = out + share * blur(detail * w[..., None], sigma)
    return out / total


def smile_pools(specs, layout):
    """Log detail of smiling and of calm faces, from the lists in members.json."""
    pools = [[member(full(n), layout) for n in specs["pools"][k]] for k in ("smiling", "calm")]
    return ex.smile_detail([[(m.detail, m.trust) for m in pool] for pool in pools], layout)


def exemplars(spec, layout, model, smile):
    shape, light, detail = neutral(spec, layout, model, smile)
    bite = (shape[13, 1] + shape[14, 1]) / 2
    shut = ex.shut_mouth(light * np.exp(detail), layout)

    def mouth(posed, *look):
        return ex.paint_mouth(posed, layout, bite, *look)

    smiling, laughing = model.smiling(shape, SMILE, 0.032), model.smiling(shape, SMILE, ex.LAUGH)
    opened, wide = model.with_opening(shape, ex.OPEN), model.with_opening(shape, ex.OPEN_WIDE)
    plans = [("neutral", shape, detail, shut), ("smile", smiling, detail + smile, mouth(smiling, 1.0, 0.006, TEETH_APART)),
             ("open", opened, detail, mouth(opened)), ("open_wide", wide, detail, mouth(wide)),
             ("laugh", laughing, detail + smile, mouth(laughing, 1.1, 0.010, TEETH_APART)),
             ("closed", ex.with_lids(shape, ex.SHUT), ex.paint_lids(detail, layout, ex.SHUT), shut)]
    return [(role, posed, dilate(ex.mix(light * np.exp(d), *inner), layout)) for role, posed, d, inner in plans]


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lightness(texture, layout):
    lab = cv2.cvtColor(np.clip(to_srgb(texture).astype(np.float32) / 255, 0, 1), cv2.COLOR_BGR2LAB)
    return float(np.median(lab[(layout.skin > 0) & (layout.depth > 70), 0]))


def write(name, spec, layout, model, smile):
    folder = DOUBLES / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    found = exemplars(spec, layout, model, smile)
    lines = [f'name = "{name}"', 'kind = "composite"', f'description = "{spec["description"]}"',
             f'sex = "{spec["sex"]}"', f'age_band = "{spec["age_band"]}"',
             f"skin = {lightness(found[0][2], layout):.1f}", f"members = {len(spec['members'])}",
             f'mesh = "{sha256(MESH)}"', 'built_by = "scripts/doubles/build"', f'licence = "{LICENCE}"', "", "sources = ["]
    donors = {d for d, _ in spec["donors"]}
    for source in sorted(set(spec["members"]) | donors):
        role = "+".join(r for r, on in (("member", source in spec["members"]), ("detail", source in donors)) if on)
        lines.append(f'  {{ file = "{source}", role = "{role}", sha256 = "{sha256(STILLS / source)}" }},')
    lines += ["]"]
    shapes = []
    for k, (role, shape, texture) in enumerate(found):
        cv2.imwrite(str(folder / f"{role}.jpg"), to_srgb(texture),
                    [cv2.IMWRITE_JPEG_QUALITY, 93, cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
                     cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444])
        shapes.append([[round(float(v), 6) for v in p] for p in shape])
        lines += ["", "[[exemplar]]", f'role = "{role}"', f'atlas = "{role}.jpg"', f"shape = {k}", "yaw_deg = 0.0",
                  "pitch_deg = 0.0", f"lid_aperture = {ex.aperture(shape):.5f}",
                  f"mouth_opening = {ex.opening(shape):.5f}"]
    (folder / "shapes.json").write_text(json.dumps(shapes, separators=(",", ":")) + "\n")
    (folder / "double.toml").write_text("\n".join(lines) + "\n")
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(name, spec["description"], len(found), "exemplars", size, "bytes", flush=True)


def main():
    specs = json.loads((ROOT / "scripts" / "doubles" / "members.json").read_text())
    mesh = Mesh()
    layout, model = Layout(mesh), ex.ShapeModel(mesh)
    smile = smile_pools(specs, layout)
    for name in sys.argv[1:] or sorted(specs["doubles"]):
        spec = specs["doubles"][name]
        spec["members"] = [full(n) for n in spec["members"]]
        spec["donors"] = [(full(n), a) for n, a in spec["donors"]]
        write(name, spec, layout, model, smile)


def full(name):
    """`eth_26` stands for a file of the synthetic set, `congress/X000000` for a portrait."""
    return f"{name}_pictorial.jpg" if "/" in name else f"doubles_sfhq/sfhq_{name}.jpg"


if __name__ == "__main__":
    main()
