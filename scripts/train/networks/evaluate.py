"""Measures the shipped networks on the test split, beside the teachers."""

import json
import math
import time

import cv2
import numpy as np

from . import geometry as geo
from . import prepare, settings, split, synth
from . import topology as topo
from .teachers import Mesh, MobileFaceNet, Rfb, YuNet, face_frame, session

SIZES = ((12, 16), (16, 32), (32, 64), (64, 1e9))
#: The score from which one detection starts a track in the program.
THRESHOLD = 0.5
#: Lowest score looked at.
FLOOR = 0.15
#: What the verifier must say of a track that it looks at often (`LEAST_BELIEF` of the program).
BELIEVED = 0.3
#: Every how many-th frame of a clip is taken.
STRIDE = 2
RESULTS: dict = {}
#: Picture and detections by network, picture and size; the picture is kept so that its identity stays its own.
_SEEN: dict = {}


def say(section: str, name: str, **numbers) -> None:
    """Prints and keeps a row of numbers."""
    tidy = {k: round(float(v), 4) if isinstance(v, (float, np.floating)) else v for k, v in numbers.items()}
    RESULTS.setdefault(section, {})[name] = tidy
    print(f"{section} | {name} | " + " | ".join(f"{k} {v}" for k, v in tidy.items()), flush=True)


def union(net: YuNet, sides):
    """A detector over several sizes, which remembers what it found in the pictures of the test split."""
    def look(image, side):
        key = (id(net), id(image), side)
        if key not in _SEEN:
            _SEEN[key] = (image, net(image, FLOOR, side))
        return _SEEN[key][1]

    def find(image, threshold):
        found = [look(image, s) for s in sides]
        boxes, scores = (np.concatenate([f[i] for f in found]) for i in range(2))
        boxes, scores = boxes[scores >= threshold], scores[scores >= threshold]
        kept = geo.suppress(boxes, scores, 0.4)
        return boxes[kept], scores[kept]
    return find


def truth(row: dict):
    """Faces that both families see, and all that must not count for or against."""
    sure = row["boxes"][row["scores"] >= 0.6]
    other = row["rfb_boxes"][row["rfb_scores"] >= 0.7]
    both = geo.iou(sure, other).max(1) >= 0.4 if len(sure) and len(other) else np.zeros(len(sure), bool)
    ignored = np.concatenate([sure[~both], row["boxes"][row["scores"] < 0.6], row["rfb_boxes"]])
    return sure[both], ignored


def match(cases, find, floor=FLOOR):
    """Score, hit or not, and size of everything found; and the number of faces of each size."""
    rows, faces = [], np.zeros(len(SIZES), int)
    for image, want, ignored in cases:
        sizes = geo.size_of(want)
        for i, (low, high) in enumerate(SIZES):
            faces[i] += ((sizes >= low) & (sizes < high)).sum()
        boxes, scores = find(image, floor)
        taken = np.zeros(len(want), bool)
        for box, score in zip(boxes, scores):
            overlap = geo.iou(box, want)[0] * ~taken if len(want) else np.zeros(0)
            j = int(overlap.argmax()) if len(overlap) else -1
            if j >= 0 and overlap[j] >= 0.4:
                taken[j] = True
                rows.append((score, 1, sizes[j]))
            elif len(want) and geo.iou(box, want)[0].max() >= 0.3:
                continue
            elif len(ignored) and geo.covered(box, ignored)[0].max() > 0.4:
                continue
            elif geo.size_of(box)[0] >= SIZES[0][0]:
                rows.append((score, 0, geo.size_of(box)[0]))
    rows.sort(key=lambda r: -r[0])
    return np.array(rows or np.zeros((0, 3))).reshape(-1, 3), faces


def recall(rows, faces, pictures, wrong_per_picture=None, threshold=None):
    """Recall by size at a rate of false detections, or at a score."""
    if threshold is None:
        false = np.cumsum(1 - rows[:, 1])
        kept = rows[:np.searchsorted(false, wrong_per_picture * pictures, side="right")]
    else:
        kept = rows[rows[:, 0] >= threshold]
    hit = kept[kept[:, 1] == 1]
    out = {}
    for (low, high), n in zip(SIZES, faces):
        label = f"{low}+" if high > 1e6 else f"{low}-{high}"
        out[label] = round(((hit[:, 2] >= low) & (hit[:, 2] < high)).sum() / n, 3) if n else None
    out["all"] = round((hit[:, 2] >= SIZES[0][0]).sum() / max(1, faces.sum()), 3)
    out["wrong"] = round((kept[:, 1] == 0).sum() / max(1, pictures), 3)
    out["score"] = round(float(kept[-1, 0]), 3) if len(kept) else 1.0
    return out


def detector(sheets=None) -> None:
    """Recall by size, stress, false detections."""
    scenes = [dict(r, image=cv2.imdecode(r["jpg"], cv2.IMREAD_COLOR)) for r in prepare.load("scenes") if r["test"]]
    own, yunet, rfb = YuNet(settings.OWN / "detector.onnx"), YuNet(), Rfb()
    finders = {"own 640": union(own, (640,)), "own 320+640": union(own, (320, 640)),
               "YuNet 640": union(yunet, (640,)), "YuNet 320+640": union(yunet, (320, 640)), "RFB-640": rfb}
    for kind in ("video", "photo"):
        mine = [r for r in scenes if r["kind"] == kind]
        cases = [(r["image"], *truth(r)) for r in (mine[::STRIDE] if kind == "video" else mine)]
        for name, find in finders.items():
            rows, faces = match(cases, find)
            base = dict(pictures=len(cases), faces=faces.tolist())
            say(f"detector, {kind}, at 0.1 false per picture", name, **base, **recall(rows, faces, len(cases), 0.1))
            say(f"detector, {kind}, at the program's score", name, **base,
                **recall(rows, faces, len(cases), threshold=THRESHOLD))
    empty = [r for r in scenes if r["kind"] == "empty"]
    for name, find in finders.items():
        counts = {t: 0 for t in (0.4, 0.5, 0.6, 0.7)}
        for row in empty:
            agreed, _ = truth(row)
            boxes, scores = find(row["image"], 0.4)
            if len(agreed) and len(boxes):
                scores = scores[geo.iou(boxes, agreed).max(1) < 0.3]
            for t in counts:
                counts[t] += int((scores >= t).sum())
        say("detector, false detections per face-free photo", name, photos=len(empty),
            **{f"at {t}": round(n / max(1, len(empty)), 3) for t, n in counts.items()})
    stress(scenes, {"own 640": union(own, (640,)), "own 320+640": union(own, (320, 640)), "YuNet 640": union(yunet, (640,))})
    if sheets:
        sheet_detections(scenes, union(own, (320, 640)), sheets)


def stress(scenes, finders) -> None:
    """Faces of 48 px and more, turned, covered, in the dark, blurred."""
    rng, cases = np.random.default_rng(4), []
    for row in scenes:
        want, _ = truth(row)
        large = want[geo.size_of(want) >= 48]
        if len(large) and len(cases) < 40 and (row["kind"] == "photo" or rng.random() < 0.3):
            cases.append((row["image"], large))
    stills = [i for i in split.items("stills/") if split.is_test(i)]
    yunet = YuNet()
    for item in stills[::6]:
        image = prepare.read(item, 480)
        boxes, scores, _ = yunet(image, 0.7, 320)
        boxes = boxes[geo.size_of(boxes) >= 48]
        if len(boxes):
            cases.append((image, boxes))

    def turned(image, boxes, angle):
        h, w = image.shape[:2]
        m = geo.crop_map((w / 2, h / 2), 1.0, angle, 1)
        m[:, :2] /= math.sqrt(abs(np.linalg.det(m[:, :2])))
        corners = np.abs(m[:, :2]) @ [w, h]
        m[:, 2] = corners / 2 - m[:, :2] @ [w / 2, h / 2]
        return geo.warp(image, m, int(corners[0]), int(corners[1])), geo.map_boxes(m, boxes)

    def covered(image, boxes, part):
        image = image.copy()
        for x0, y0, x1, y1 in boxes:
            mx, my = (x0 + x1) / 2, (y0 + y1) / 2
            a, b, c, d = {"lower": (x0, my, x1, y1), "upper": (x0, y0, x1, my), "left": (x0, y0, mx, y1)}[part]
            image[max(0, int(b)):max(0, int(d)), max(0, int(a)):max(0, int(c))] = (70, 80, 90)
        return image, boxes

    def dark(image, boxes):
        x = image * 0.18 + rng.normal(0, 6, image.shape)
        return np.clip(x, 0, 255).astype(np.uint8), boxes

    kinds = {"plain": lambda i, b: (i, b), "rotated 45": lambda i, b: turned(i, b, math.pi / 4),
             "rotated -45": lambda i, b: turned(i, b, -math.pi / 4), "lower half covered": lambda i, b: covered(i, b, "lower"),
             "upper half covered": lambda i, b: covered(i, b, "upper"), "left half covered": lambda i, b: covered(i, b, "left"),
             "dark and noisy": dark, "blurred": lambda i, b: (cv2.GaussianBlur(i, (0, 0), 4), b)}
    for kind, change in kinds.items():
        hits, total = dict.fromkeys(finders, 0), 0
        for image, boxes in cases:
            _SEEN.clear()
            changed, want = change(image, boxes)
            total += len(want)
            for name, find in finders.items():
                found, _ = find(changed, THRESHOLD)
                if len(found):
                    hits[name] += int((geo.iou(want, found).max(1) > 0.3).sum())
        say("detector, stress, share of faces found", kind, faces=total, **{n: h / total for n, h in hits.items()})


def sheet_detections(scenes, find, folder) -> None:
    """Contact sheets of detections: green found, red missed, blue found and unknown to the teachers."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in ("video", "photo", "empty"):
        tiles = []
        rows = [r for r in scenes if r["kind"] == kind]
        for row in rows[::max(1, len(rows) // 30)][:30]:
            image = row["image"].copy()
            want, _ = truth(row)
            boxes, scores = find(image, THRESHOLD)
            draw = lambda b, colour: cv2.rectangle(image, tuple(int(v) for v in b[:2]), tuple(int(v) for v in b[2:]), colour, 3)
            for b in want:
                if not len(boxes) or geo.iou(b, boxes).max() < 0.4:
                    draw(b, (0, 0, 255))
            for b in boxes:
                draw(b, (0, 255, 0) if len(row["boxes"]) and geo.iou(b, row["boxes"]).max() > 0.3 else (255, 120, 0))
            k = 300 / max(image.shape[:2])
            small = cv2.resize(image, None, fx=k, fy=k, interpolation=cv2.INTER_AREA)
            tile = np.zeros((300, 300, 3), np.uint8)
            tile[:small.shape[0], :small.shape[1]] = small
            tiles.append(tile)
        while len(tiles) % 6:
            tiles.append(np.zeros((300, 300, 3), np.uint8))
        cv2.imwrite(str(folder / f"detector_{kind}.png"), np.vstack([np.hstack(tiles[i:i + 6]) for i in range(0, len(tiles), 6)]))


def opening(points: np.ndarray, pairs: np.ndarray) -> float:
    """Mean distance of pairs of points over the distance of the eyes."""
    return float(np.linalg.norm(points[pairs[:, 0], :2] - points[pairs[:, 1], :2], axis=1).mean() / max(topo.eye_distance(points), 1e-6))


def tone(image: np.ndarray, points: np.ndarray) -> float | None:
    """Individual typology angle of the cheeks in degrees (lighter is greater); None for grey pictures."""
    patches = []
    for i in (50, 280):
        x, y = points[i, :2].astype(int)
        patches.append(image[max(0, y - 5):y + 6, max(0, x - 5):x + 6].reshape(-1, 3))
    patch = np.concatenate(patches)
    if len(patch) < 40:
        return None
    colour = np.median(patch, axis=0)
    if np.ptp(colour) < 8:
        return None
    lab = cv2.cvtColor(np.float32(colour / 255).reshape(1, 1, 3), cv2.COLOR_BGR2Lab)[0, 0]
    return float(np.degrees(np.arctan2(lab[0] - 50, lab[2])))


def landmarks(sheets=None) -> None:
    """Distance from the teacher's refined points, as a share of the distance between the eyes."""
    from .landmarks import yaw_of

    rows = [r for r in prepare.load("meshes")["rows"] if r["test"]]
    rows = [r for i, r in enumerate(rows) if r["kind"] != "video" or i % (2 * STRIDE) == 0]
    nets, rng = {"own": Mesh(settings.OWN / "landmarks.onnx"), "teacher, one pass": Mesh()}, np.random.default_rng(6)
    parts = {"all": np.arange(468), "lids": topo.LIDS, "lips": topo.LIPS, "contour": topo.OVAL, "irises": list(range(468, 478))}
    table = {n: [] for n in nets}
    for row in rows:
        points = row["points"].astype(float)
        centre, side, angle = face_frame(points)
        view = (centre + rng.normal(size=2) * 0.02 * side, side * np.exp(rng.normal() * 0.04), angle + rng.normal() * 0.04)
        colour = tone(row["crop"], points)
        for name, net in nets.items():
            got, presence = net.run(row["crop"], *view)
            away = 100 * np.linalg.norm(got[:, :2] - points[:, :2], axis=1) / topo.eye_distance(points)
            table[name].append(dict(yaw=abs(yaw_of(points)), presence=presence, kind=row["kind"], tone=colour,
                                    pixels=256 / row["scale"] / 256 * topo.eye_distance(points), doubt=row["doubt"],
                                    light=float(row["crop"][64:192, 64:192].mean()),
                                    **{k: away[i].mean() for k, i in parts.items()}))
    def summary(title, keep):
        for name, found in table.items():
            mine = [f for f in found if keep(f)]
            if mine:
                say(f"landmarks, {title}", name, faces=len(mine), **{k: np.mean([m[k] for m in mine]) for k in parts},
                    median=np.median([m["all"] for m in mine]), presence=np.mean([m["presence"] for m in mine]),
                    refused=np.mean([m["presence"] < 0.5 for m in mine]))
    clean = lambda f: f["doubt"] <= 0.06
    summary("yaw up to 20", lambda f: clean(f) and f["yaw"] <= 20)
    summary("yaw 20-45", lambda f: 20 < f["yaw"] <= 45)
    summary("yaw over 45", lambda f: f["yaw"] > 45)
    summary("portraits", lambda f: clean(f) and f["kind"] == "portrait")
    summary("video", lambda f: clean(f) and f["kind"] == "video")
    frontal = lambda f: clean(f) and f["yaw"] <= 20
    summary("eyes under 24 px apart", lambda f: frontal(f) and f["pixels"] < 24)
    summary("eyes 24 px apart and more", lambda f: frontal(f) and f["pixels"] >= 24)
    summary("light skin (ITA over 28)", lambda f: frontal(f) and f["tone"] is not None and f["tone"] > 28)
    summary("medium and dark skin (ITA up to 28)", lambda f: frontal(f) and f["tone"] is not None and f["tone"] <= 28)
    summary("dark pictures", lambda f: frontal(f) and f["light"] < 70)
    still = [r for r in rows if r["kind"] == "portrait" and abs(yaw_of(r["points"])) < 14][:24]
    for name, net in nets.items():
        spread = []
        for row in still:
            centre, side, angle = face_frame(row["points"].astype(float))
            seen = [net.run(row["crop"], centre + rng.uniform(-0.015, 0.015, 2) * side, side * rng.uniform(0.98, 1.02),
                            angle + rng.uniform(-0.0175, 0.0175))[0][:, :2] for _ in range(10)]
            spread.append(100 * np.sqrt(np.var(seen, axis=0).sum(1)).mean() / topo.eye_distance(row["points"]))
        say("landmarks, jitter under crop shifts of 1.5 %, % of eye distance", name, jitter=np.mean(spread))
    for label, change in (("open", {}), ("half closed", dict(right=0.5, left=0.5)), ("closed", dict(right=1.0, left=1.0)),
                          ("mouth opened by a quarter of its width", dict(mouth=0.25))):
        numbers = {n: [] for n in ("truth", *nets)}
        for row in still:
            image, made = synth.warp_face(row["crop"], row["points"], np.random.default_rng(1), **change)
            pairs = topo.LIP_PAIRS if "mouth" in change else topo.LID_PAIRS
            numbers["truth"].append(opening(made, pairs))
            for name, net in nets.items():
                numbers[name].append(opening(net.run(image, *face_frame(made.astype(float)))[0], pairs))
        say("landmarks, opening of made faces", label, **{k: np.mean(v) for k, v in numbers.items()})
    clips(nets)
    absent = [r for r in prepare.load("scenes") if r["test"] and r["kind"] == "empty"]
    seen = {n: [] for n in nets}
    for row in absent:
        image = cv2.imdecode(row["jpg"], cv2.IMREAD_COLOR)
        for _ in range(3):
            side = np.exp(rng.uniform(np.log(40), np.log(min(image.shape[:2]))))
            where = rng.uniform([0, 0], image.shape[1::-1])
            if len(row["boxes"]) and geo.iou([[*(where - side / 2), *(where + side / 2)]], row["boxes"]).max() > 0.02:
                continue
            for name, net in nets.items():
                seen[name].append(net.run(image, where, side, 0.0)[1] >= 0.5)
    for name, found in seen.items():
        say("landmarks, presence where no face is", name, crops=len(found), wrong=np.mean(found))
    if sheets:
        sheet_landmarks(rows, nets["own"], sheets)


def clips(nets) -> None:
    """Openings of eyes and mouth along clips of people not trained on, each network following its own points."""
    for clip, count in (("deepdemo_obama_wh.mp4", 240), ("grid_g8_sbia1a.mpg", 75), ("grid_g9_sbwe5n.mpg", 75),
                        ("intel_asl_P4_sister.mkv", 60)):
        video, yunet = cv2.VideoCapture(str(settings.data(f"video/{clip}"))), YuNet()
        held, series, errors = dict.fromkeys(nets), {n: [] for n in nets}, []
        for _ in range(count):
            ok, image = video.read()
            if not ok:
                break
            now = {}
            for name, net in nets.items():
                if held[name] is None:
                    boxes, _, points = yunet(image, 0.6, 416)
                    if len(boxes) == 0:
                        continue
                    i = int(np.argmax(geo.size_of(boxes)))
                    held[name], _ = net.two_pass(image, boxes[i], points[i])
                points, presence = net.run(image, *face_frame(held[name]))
                held[name] = points if presence >= 0.5 else None
                now[name] = points
            if len(now) == len(nets):
                a, b = now.values()
                errors.append(100 * np.linalg.norm(a[:, :2] - b[:, :2], axis=1) / topo.eye_distance(b))
                for name, points in now.items():
                    series[name].append((opening(points, topo.LID_PAIRS), opening(points, topo.LIP_PAIRS)))
        if not errors:
            continue
        a, b = (np.array(s) for s in series.values())
        errors = np.array(errors)
        shut = b[:, 0] < 0.06
        say("landmarks, clips", clip, frames=len(errors), all=errors[:, :468].mean(), lids=errors[:, topo.LIDS].mean(),
            lips=errors[:, topo.LIPS].mean(), lid_correlation=np.corrcoef(a[:, 0], b[:, 0])[0, 1],
            mouth_correlation=np.corrcoef(a[:, 1], b[:, 1])[0, 1], lid_slope=np.polyfit(b[:, 0], a[:, 0], 1)[0],
            mouth_slope=np.polyfit(b[:, 1], a[:, 1], 1)[0], lid_deviation=b[:, 0].std(), mouth_deviation=b[:, 1].std(),
            shut_frames=int(shut.sum()), shut_found=int((a[shut, 0] < 0.07).sum()), shut_wrong=int((a[~shut, 0] < 0.06).sum()))


def sheet_landmarks(rows, net, folder) -> None:
    """Contact sheet of points on test crops."""
    folder.mkdir(parents=True, exist_ok=True)
    tiles = []
    for row in rows[::max(1, len(rows) // 40)][:40]:
        points, presence = net.run(row["crop"], *face_frame(row["points"].astype(float)))
        image = cv2.resize(row["crop"], (384, 384))
        for i, (x, y) in enumerate(points[:, :2] * 1.5):
            colour = (0, 255, 255) if i in topo.LIDS or i in topo.LIPS else (0, 0, 255) if i >= 468 else (0, 255, 0)
            cv2.circle(image, (int(x), int(y)), 1, colour, -1)
        cv2.putText(image, f"{presence:.2f}", (4, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 2)
        tiles.append(image[60:324, 60:324])
    while len(tiles) % 8:
        tiles.append(np.zeros_like(tiles[0]))
    cv2.imwrite(str(folder / "landmarks.png"), np.vstack([np.hstack(tiles[i:i + 8]) for i in range(0, len(tiles), 8)]))


def equal_error(same: np.ndarray, other: np.ndarray):
    """Equal error rate and its threshold."""
    steps = np.sort(np.concatenate([same, other]))[:: max(1, (len(same) + len(other)) // 4000)]
    missed = np.searchsorted(np.sort(same), steps) / len(same)
    wrong = 1 - np.searchsorted(np.sort(other), steps) / len(other)
    i = int(np.argmin(np.abs(missed - wrong)))
    return (missed[i] + wrong[i]) / 2, steps[i]


def embedding(sheets=None) -> None:
    """Verification of people not trained on, over different photographs."""
    rows = [r for r in prepare.load("identities")["rows"] if r["test"] and r["kind"] == "portrait"]
    sitting = {i["file"]: i.get("pair_ncc") for i in split.items("stills/")}
    born = {i["file"]: i.get("description", "") for i in split.items("stills/")}
    nets = {"own": MobileFaceNet(settings.OWN / "embedding.onnx"), "teacher": MobileFaceNet()}
    rng = np.random.default_rng(8)
    for label in ("plain", "blurred", "dark and noisy", "24 px wide"):
        for name, net in nets.items():
            vectors = []
            for row in rows:
                crop = prepare.inner(row["crop"])
                if label == "blurred":
                    crop = cv2.GaussianBlur(crop, (0, 0), 1.8)
                elif label == "dark and noisy":
                    crop = np.clip(crop * 0.22 + rng.normal(0, 6, crop.shape), 0, 255).astype(np.uint8)
                elif label == "24 px wide":
                    crop = cv2.resize(cv2.resize(crop, (40, 40), interpolation=cv2.INTER_AREA), (112, 112))
                vectors.append(net.on_crop(crop))
            vectors = np.array(vectors)
            alike = vectors @ vectors.T
            same, other, near = [], [], []
            for i in range(len(rows)):
                for j in range(i):
                    if rows[i]["subject"] != rows[j]["subject"]:
                        other.append(alike[i, j])
                    else:
                        once = max(sitting.get(rows[k]["file"]) or 0 for k in (i, j))
                        (near if once > 0.8 else same).append(alike[i, j])
            same, other = np.array(same), np.array(other)
            rate, at = equal_error(same, other)
            strict = np.quantile(other, 0.99)
            say(f"embedding, {label}", name, people=len({r["subject"] for r in rows}), pairs=len(same),
                same_sitting_left_out=len(near), strangers=len(other), equal_error=rate, at=at,
                found_at_1_percent=(same >= strict).mean(), same=same.mean(), other=other.mean(), strict=strict)
    if sheets:
        return


def verifier(sheets=None) -> None:
    """Shares of faces and of what is none, on crops of the test split, that the verifier believes in as the program asks it."""
    net, rows = session(settings.OWN / "verifier.onnx"), [r for r in prepare.load("doubts") if r[1]]
    views = ((2.0, False), (2.0, True), (1.5, False), (2.7, False))

    def logit(picture) -> float:
        middle, unit = np.full(2, picture.shape[0] / 2), picture.shape[0] / 4.5
        crops = [geo.warp(picture, geo.crop_map(middle, grow * unit, 0.0, 64, flip), 64, 64, cv2.BORDER_REPLICATE)
                 for grow, flip in views]
        tensors = [c[None, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255 for c in crops]
        return float(np.mean([net.run(None, {"input": np.ascontiguousarray(t)})[0] for t in tensors]))

    said = np.array([logit(r[4]) for r in rows])
    face, side = np.array([r[0] for r in rows]), np.array([r[3] for r in rows])
    for lo, hi in ((9, 20), (20, 48), (48, 1e9), (9, 1e9)):
        for name, kind in (("faces", face), ("others", ~face)):
            these = said[kind & (side >= lo) & (side < hi)]
            say("verifier", f"{name} {lo}-{hi:.0f}", crops=len(these), believed=(these >= BELIEVED).mean())


def speed(sheets=None) -> None:
    """Milliseconds on one thread, the networks taking turns."""
    pairs = {
        "detector at 640x384": (YuNet(settings.OWN / "detector.onnx").net, YuNet().net, (1, 3, 384, 640)),
        "landmarks": (Mesh(settings.OWN / "landmarks.onnx").net, Mesh().net, (1, 192, 192, 3)),
        "embedding": (MobileFaceNet(settings.OWN / "embedding.onnx").net, MobileFaceNet().net, (1, 3, 112, 112)),
    }
    for name, (own, teacher, shape) in pairs.items():
        x, times = np.random.default_rng(0).random(shape, np.float32), ([], [])
        for _ in range(40):
            for net, kept in zip((own, teacher), times):
                start = time.perf_counter()
                net.run(None, {net.get_inputs()[0].name: x})
                kept.append(1e3 * (time.perf_counter() - start))
        say("milliseconds", name, own=np.median(times[0]), own_best=min(times[0]), teacher=np.median(times[1]),
            teacher_best=min(times[1]))


def main(arguments) -> None:
    """Runs the parts asked for."""
    settings.one_thread()
    for part in arguments.only or ("detector", "landmarks", "embedding", "verifier", "speed"):
        globals()[part](arguments.sheets)
    if arguments.json:
        arguments.json.write_text(json.dumps(RESULTS, indent=1) + "\n")
