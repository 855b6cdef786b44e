"""The dense mesh of one face, with the inputs and outputs of the attention mesh.

A trunk sees the whole crop and gives 478 points through a linear shape basis; two small networks then look closer at
each eye and at the mouth, where the trunk found them, and give lids, irises and lips. Where these disagree with the
trunk, the rest of the mesh follows them. All in one graph.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from . import geometry as geo
from . import loop, prepare, synth
from . import topology as topo
from .augment import degrade, occlude, texture
from .fast import Norm
from .layers import Inverted, conv
from .teachers import face_frame

SIZE = 192
CLOSE = 64
COEFFICIENTS, LOCAL, FOLLOW = 110, 44, 40
#: Whole crops in a batch, pairs and crops without faces among them, and close crops of eyes and of mouths.
BATCH, PAIRS, EMPTY, EYES, MOUTHS = 24, 4, 2, 16, 44
EYE = topo.RIGHT_EYE + topo.RIGHT_IRIS
OTHER_EYE = topo.LEFT_EYE + [topo.LEFT_IRIS[i] for i in topo.IRIS_MIRROR]
#: The points that the close looks give, in the order in which they give them.
FOLLOWED = EYE + OTHER_EYE + topo.LIPS
#: Corners, growth, and least width (in eye distances) of the close crops.
RIGHT, LEFT, MOUTH = (33, 133, 2.2, 0.36), (362, 263, 2.2, 0.36), (61, 291, 1.9, 0.62)
#: Sizes of the crops in which the mouth is looked at, and whether mirrored: the mean of the three is off by a sixteenth
#: less than one look.
MOUTH_LOOKS = ((0.9, False), (1.1, False), (1.0, True))
#: The lip point at the place of each in a mirrored mouth.
LIP_MIRROR = [topo.LIPS.index(int(i)) for i in topo.mirror(topo.IRIS_MIRROR)[topo.LIPS]]


class Close(nn.Module):
    """Points of one eye or mouth in a crop of 64 pixels, in units of the crop about its centre."""

    def __init__(self, points: int):
        super().__init__()
        self.body = nn.Sequential(
            conv(3, 16, 3, 2), Inverted(16, 24, 2, 2), Inverted(24, 24, 1, 2), Inverted(24, 40, 2, 3),
            Inverted(40, 40, 1, 2.5), Inverted(40, 40, 1, 2.5), Inverted(40, 64, 2, 3), Inverted(64, 64, 1, 2.5),
            conv(64, 48))
        self.code = nn.Linear(48 * 16, LOCAL)
        self.shape = nn.Linear(LOCAL, 2 * points)

    def forward(self, x):
        return self.shape(self.code(self.body(x).flatten(1))).unflatten(1, (-1, 2))


class Landmarks(nn.Module):
    """478 points in units of the crop about its centre (z in the same unit), and a presence logit."""

    def __init__(self, width=(16, 24, 40, 96, 128)):
        super().__init__()
        a, b, c, d, e = width
        self.trunk = nn.Sequential(
            nn.Conv2d(3, a, 5, 3, 1, bias=False), Norm(a), nn.Identity(), Inverted(a, b, 2, 2),
            Inverted(b, c, 2, 3), *[Inverted(c, c, 1, 2.5) for _ in range(3)],
            Inverted(c, d, 2, 3), *[Inverted(d, d, 1, 2.5) for _ in range(3)],
            Inverted(d, e, 2, 3), *[Inverted(e, e, 1, 2.5) for _ in range(2)], conv(e, 64))
        self.code = nn.Linear(64 * 16, COEFFICIENTS)
        self.presence = nn.Linear(64 * 16, 1)
        self.shape = nn.Linear(COEFFICIENTS, 3 * topo.POINTS)
        self.eye, self.mouth = Close(len(EYE)), Close(len(topo.LIPS))
        # How the rest of the mesh follows where the close looks disagree with it, given what the trunk saw: solved for,
        # not trained.
        self.follow = nn.Sequential(nn.Linear(2 * len(FOLLOWED) + 64 * 16, FOLLOW, bias=False), nn.Linear(FOLLOW, 2 * 468))
        for part in self.follow.parameters():
            nn.init.zeros_(part)
        nn.init.zeros_(self.code.bias)

    @staticmethod
    def _frame(points, a: int, b: int, grow: float, least: float, distance):
        """Centre, side and direction of the crop between two corners."""
        p, q = points[:, a, :2], points[:, b, :2]
        along = q - p
        length = along.pow(2).sum(1, keepdim=True).add(1e-8).sqrt()
        return (p + q) / 2, grow * torch.maximum(length, least * distance), along / length

    @staticmethod
    def _look(x, frame, mirror: bool):
        """The crop at a frame, as 64 pixels; `mirror` turns left into right."""
        centre, side, along = frame
        at = (torch.arange(CLOSE, device=x.device, dtype=torch.float32) + 0.5) / CLOSE - 0.5
        u = (-at if mirror else at).view(1, 1, CLOSE, 1)
        v = at.view(1, CLOSE, 1, 1)
        c, s = along[:, 0].view(-1, 1, 1, 1), along[:, 1].view(-1, 1, 1, 1)
        k = side.view(-1, 1, 1, 1)
        px = centre[:, 0].view(-1, 1, 1, 1) + k * (c * u - s * v)
        py = centre[:, 1].view(-1, 1, 1, 1) + k * (s * u + c * v)
        return F.grid_sample(x, 2 * torch.cat([px, py], 3), padding_mode="border", align_corners=False)

    @staticmethod
    def turned(offset, frame, mirror: bool = False):
        """Offsets in units of the whole crop, in those of a close one."""
        _, side, along = frame
        c, s = along[:, :1], along[:, 1:]
        x, y = offset[..., 0], offset[..., 1]
        u = (c * x + s * y) / side
        return torch.stack([-u if mirror else u, (c * y - s * x) / side], 2)

    @staticmethod
    def back(local, frame, mirror: bool = False):
        """Offsets in units of a close crop, in those of the whole one."""
        _, side, along = frame
        c, s = along[:, :1], along[:, 1:]
        u, v = -local[..., 0] if mirror else local[..., 0], local[..., 1]
        return torch.stack([side * (c * u - s * v), side * (s * u + c * v)], 2)

    def whole(self, x):
        """Mesh and presence as the trunk has them, and its features."""
        features = self.trunk(x).flatten(1)
        return self.shape(self.code(features)).unflatten(1, (topo.POINTS, 3)), self.presence(features), features

    def lips(self, x, frame):
        """The points of the mouth: the mean of several looks."""
        looks = [((frame[0], scale * frame[1], frame[2]), mirror) for scale, mirror in MOUTH_LOOKS]
        local = self.mouth(torch.cat([self._look(x, *look) for look in looks])).chunk(len(looks))
        points = [self.back(p, *look) for p, look in zip(local, looks)]
        return frame[0][:, None] + sum(p[:, LIP_MIRROR] if mirror else p for p, (_, mirror) in zip(points, looks)) / len(looks)

    def looks(self, x) -> dict:
        """The trunk's mesh, presence, the points of the close looks, and `seen`: where they disagree with the mesh, and the
        trunk's features.

        These offsets are in units of the distance of the eyes and along it, as `level` has it.
        """
        mesh, presence, features = self.whole(x)
        eyes = mesh[:, topo.LEFT_LID, :2].mean(1) - mesh[:, topo.RIGHT_LID, :2].mean(1)
        distance = eyes.pow(2).sum(1, keepdim=True).add(1e-8).sqrt()
        right, left, lips = (self._frame(mesh, *where, distance) for where in (RIGHT, LEFT, MOUTH))
        eyes_seen = self.eye(torch.cat([self._look(x, right, False), self._look(x, left, True)])).chunk(2)
        points = [frame[0][:, None] + self.back(p, frame, frame is left) for p, frame in zip(eyes_seen, (right, left))]
        points.append(self.lips(x, lips))
        level = (None, distance, eyes / distance)
        apart = self.turned(torch.cat(points, 1) - mesh[:, FOLLOWED, :2], level).flatten(1)
        return dict(mesh=mesh, presence=presence, points=points, level=level, seen=torch.cat([apart, features], 1))

    def forward(self, x):
        """`x` is RGB, -1..=1. Mesh and presence, and the points of the eyes and the mouth."""
        seen = self.looks(x)
        moved = self.back(self.follow(seen["seen"]).unflatten(1, (-1, 2)), seen["level"])
        mesh = torch.cat([seen["mesh"][:, :468, :2] + moved, seen["mesh"][:, :468, 2:]], 2)
        return (mesh, seen["presence"], *seen["points"])


class Exported(nn.Module):
    """The network with the attention mesh's input and outputs."""

    NAMES = ["output_mesh_identity", "output_lips", "output_left_eye", "output_right_eye", "output_left_iris",
             "output_right_iris", "conv_faceflag"]

    def __init__(self, net: Landmarks):
        super().__init__()
        self.net = net

    def forward(self, x):
        mesh, presence, right, left, lips = self.net(x.permute(0, 3, 1, 2) * 2 - 1)
        move = torch.tensor([0.5, 0.5, 0.0])
        mesh = (mesh + move) * SIZE
        right, left, lips = ((p + 0.5) * SIZE for p in (right, left, lips))
        flat = lambda p: p.flatten(1)
        other = torch.stack([left[:, 71 + i] for i in topo.IRIS_MIRROR], 1)
        return (flat(mesh), flat(lips), flat(right[:, :71]), flat(left[:, :71]), flat(right[:, 71:]), flat(other), presence)


def yaw_of(points: np.ndarray) -> float:
    """Turn of the head in degrees, from the depths of the face's sides."""
    a, b = points[234], points[454]
    return float(np.degrees(np.arctan2(b[2] - a[2], np.linalg.norm(b[:2] - a[:2]))))


class Sampler:
    """Makes training crops from labelled ones."""

    def __init__(self, seed: int = 3, made: int = 1000):
        stored = prepare.load("meshes")
        self.flip = stored["flip"]
        rows = [r for r in stored["rows"] if not r["test"]]
        self.subjects = [r["subject"] for r in rows]
        self.rows = [(r["crop"], r["points"], 1.0, float(np.clip(1.25 - 5 * r["doubt"], 0.6, 1))) for r in rows]
        groups, seen = {"portrait": 0.3, "photo": 0.25, "video": 0.45}, {}
        for r in rows:
            seen[r["kind"], r["subject"] if r["kind"] == "video" else ""] = 0
        weight = np.zeros(len(rows))
        for key in seen:
            mine = [i for i, r in enumerate(rows) if (r["kind"], r["subject"] if r["kind"] == "video" else "") == key]
            if key[0] == "video":
                seen[key] = np.sqrt(len(mine))
            else:
                seen[key] = 1.0
            for i in mine:
                p = rows[i]["points"]
                d = max(topo.eye_distance(p), 1e-3)
                lid = np.linalg.norm(p[topo.LID_PAIRS[:, 0], :2] - p[topo.LID_PAIRS[:, 1], :2], axis=1).mean() / d
                gape = np.linalg.norm(p[13, :2] - p[14, :2]) / d
                weight[i] = 1 + 2 * (lid < 0.07) + 2 * (gape > 0.2) + 2 * (abs(yaw_of(p)) > 20)
            weight[mine] *= seen[key] / weight[mine].sum()
        for kind, share in groups.items():
            mine = np.array([r["kind"] == kind for r in rows])
            if mine.any():
                weight[mine] *= share / weight[mine].sum()
        self.weight = weight / weight.sum()
        rng = np.random.default_rng(seed)
        self.made = []
        front = [i for i, r in enumerate(rows) if abs(yaw_of(r["points"])) < 14 and r["doubt"] < 0.05]
        for _ in range(made):
            crop, points = self.rows[int(rng.choice(front))][:2]
            self.made.append((*self._invent(crop, points, rng), 0.25, 1.0))
        self.empty = [s for s in prepare.load("scenes") if not s["test"] and len(s["boxes"]) == 0]
        self.pictures = {}

    @staticmethod
    def _invent(crop, points, rng):
        turn = dict(yaw=rng.choice([-1, 1]) * rng.uniform(4, 40), pitch=rng.normal() * 9)
        if rng.random() < 0.4:
            turn["yaw"] *= 0.25
        kind = rng.random()
        if kind < 0.4:
            turn["right"] = turn["left"] = 1.0 if rng.random() < 0.5 else rng.uniform(0.2, 1)
        elif kind < 0.5:
            turn["right" if rng.random() < 0.5 else "left"] = 1.0
        if rng.random() < 0.4:
            turn["mouth"] = rng.uniform(0.05, 0.5)
        return synth.warp_face(crop, points, rng, **turn)

    def face(self, rng):
        """A crop of 256 pixels, its points, the weight of its contour, and how clear it is."""
        if rng.random() < 0.18:
            return self.made[rng.integers(len(self.made))]
        return self.rows[rng.choice(len(self.rows), p=self.weight)]

    def nothing(self, rng):
        """A crop without a face in its middle."""
        if rng.random() < 0.35:
            crop, points, _, _ = self.face(rng)
            centre, side, angle = face_frame(points)
            away = rng.uniform(0, 6.3)
            centre = centre + side * rng.uniform(0.6, 0.9) * np.array([np.cos(away), np.sin(away)])
            m = geo.crop_map(centre, side * rng.uniform(0.6, 1.2), angle, SIZE)
            return geo.warp(crop, m, SIZE, SIZE)
        if rng.random() < 0.1:
            return texture(SIZE, rng)
        i = int(rng.integers(len(self.empty)))
        if i not in self.pictures:
            import cv2
            self.pictures[i] = cv2.imdecode(self.empty[i]["jpg"], cv2.IMREAD_COLOR)
        image = self.pictures[i]
        side = np.exp(rng.uniform(np.log(30), np.log(min(image.shape[:2]))))
        m = geo.crop_map(rng.uniform([0, 0], image.shape[1::-1]), side, rng.uniform(-0.5, 0.5), SIZE)
        return geo.warp(image, m, SIZE, SIZE)

    def views(self, rng, count: int):
        """`count` crops of one face, hardly different from each other."""
        crop, points, oval, clear = self.face(rng)
        centre, side, angle = face_frame(points)
        side *= np.exp(rng.normal() * 0.08)
        centre = centre + rng.normal(size=2) * 0.036 * side
        angle += rng.normal() * 0.11 if rng.random() < 0.95 else rng.uniform(-0.7, 0.7)
        mirror, border = rng.random() < 0.5, 1 if rng.random() < 0.7 else 0
        image, made = crop, []
        if count > 1:
            image = degrade(crop, rng)
        for _ in range(count):
            m = geo.crop_map(centre, side, angle, SIZE, mirror)
            out = geo.warp(image, m, SIZE, SIZE, border)
            p = points.copy()
            p[:, :2] = geo.apply(m, points[:, :2])
            p[:, 2] *= SIZE / side
            if mirror:
                p = p[self.flip]
            if count == 1:
                if rng.random() < 0.14:
                    occlude(out, np.concatenate([p[:, :2].min(0), p[:, :2].max(0)]), rng)
                out = degrade(out, rng)
            p[:, :2] -= SIZE / 2
            made.append((out, p / SIZE, oval, clear, m))
            side *= np.exp(rng.normal() * 0.015)
            centre = centre + rng.normal(size=2) * 0.013 * side
            angle += rng.normal() * 0.015
        return made


    def close(self, rng, where, index, mirror: bool):
        """A shaken close crop, its points in units of the crop, and the distance of the eyes in that unit."""
        crop, points, _, _ = self.face(rng)
        a, b, grow, least = where
        p, q = points[a, :2], points[b, :2]
        along, apart = q - p, topo.eye_distance(points)
        side = grow * max(np.linalg.norm(along), least * apart) * np.exp(rng.normal() * 0.09)
        centre = (p + q) / 2 + rng.normal(size=2) * 0.045 * side
        m = geo.crop_map(centre, side, np.arctan2(along[1], along[0]) + rng.normal() * 0.09, CLOSE, mirror)
        image = geo.warp(crop, m, CLOSE, CLOSE, 1)
        if rng.random() < 0.65:
            image = degrade(image, rng, 0.5)
        return image, geo.apply(m, points[index, :2]) / CLOSE - 0.5, apart / side


class Training(loop.Task):
    """The mesh's part of the training loop."""

    rate, flat, average, clip, decay, betas = 2.5e-3, 0.3, 0.997, 2.5, 2e-4, (0.9, 0.999)

    def __init__(self):
        self.sampler = Sampler()
        weight = np.ones(topo.POINTS, np.float32)
        weight[topo.LIDS] = 3
        weight[topo.LIPS] = 2.5
        weight[topo.OVAL] = 2
        weight[468:] = 2.5
        self.weight = weight
        print(f"crops {len(self.sampler.rows)}, made {len(self.sampler.made)}, empty {len(self.sampler.empty)}", flush=True)

    def model(self):
        net, rng = Landmarks(), np.random.default_rng(5)
        shapes = np.array([self.sampler.views(rng, 1)[0][1] for _ in range(2500)])
        scale = np.repeat(np.sqrt(self.weight), 3)
        scale[2::3] *= 0.6
        self._basis(net.shape, shapes.reshape(len(shapes), -1), COEFFICIENTS, scale)
        for part, where, index in ((net.eye, RIGHT, EYE), (net.mouth, MOUTH, topo.LIPS)):
            local = np.array([self.sampler.close(rng, where, index, False)[1] for _ in range(1500)], np.float32)
            self._basis(part.shape, local.reshape(len(local), -1), LOCAL)
        return net

    @staticmethod
    def _basis(layer: nn.Linear, samples: np.ndarray, count: int, scale=1.0):
        """Fills a linear layer with the mean and principal components of `samples`."""
        mean = samples.mean(0)
        _, s, v = np.linalg.svd((samples - mean) * scale, full_matrices=False)
        basis = v[:count] * s[:count, None] / np.sqrt(len(samples)) / scale
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(basis.T.copy()))
            layer.bias.copy_(torch.from_numpy(mean))

    def groups(self, model):
        slow = {id(p) for m in (model, model.eye, model.mouth) for p in m.shape.parameters()}
        solved = {id(p) for p in model.follow.parameters()}
        rest = [p for p in model.parameters() if id(p) not in slow | solved]
        return [dict(params=[p for p in rest if p.ndim > 1], weight_decay=self.decay),
                dict(params=[p for p in rest if p.ndim <= 1], weight_decay=0.0),
                dict(params=[p for p in model.parameters() if id(p) in slow], weight_decay=0.0, lr=0.025 * self.rate)]

    def parts(self, model):
        return [nn.ModuleList([model.trunk, model.code, model.presence, model.shape]), model.eye, model.mouth]

    def batch(self, rng):
        rows = []
        for _ in range(PAIRS):
            rows += self.sampler.views(rng, 2)
        while len(rows) < BATCH - EMPTY:
            rows += self.sampler.views(rng, 1)
        image, points, oval, clear, maps = (list(v) for v in zip(*rows))
        count = len(rows)
        for _ in range(BATCH - count):
            image.append(degrade(self.sampler.nothing(rng), rng))
        eyes = [self.sampler.close(rng, *((RIGHT, EYE, False) if i % 2 else (LEFT, OTHER_EYE, True))) for i in range(EYES)]
        mirrored = [int(self.sampler.flip[i]) for i in topo.LIPS]
        mouths = [self.sampler.close(rng, *((MOUTH, topo.LIPS, False) if i % 2 else (MOUTH, mirrored, True)))
                  for i in range(MOUTHS)]
        out = dict(image=np.stack(image), points=np.stack(points).astype(np.float32), oval=np.array(oval, np.float32),
                   clear=np.array(clear + [0.0] * (BATCH - count), np.float32), maps=np.stack(maps).astype(np.float32))
        for name, rows in (("eye", eyes), ("mouth", mouths)):
            picture, local, apart = zip(*rows)
            out |= {name: np.stack(picture), f"{name}_points": np.stack(local).astype(np.float32),
                    f"{name}_unit": np.array(apart, np.float32)}
        return out

    @staticmethod
    def _tensor(pictures):
        return pictures.permute(0, 3, 1, 2).flip(1).float().div(127.5).sub(1).contiguous(memory_format=torch.channels_last)

    @staticmethod
    def _close_loss(got, true, unit, index, pairs, core):
        """Loss of the close points, and their mean error in % of the distance of the eyes."""
        e = (got - true) / unit[:, None, None]
        heavy = torch.ones(len(index), device=e.device)
        if core == 16:
            heavy[:16], heavy[71:] = 3, 2
        at = {p: i for i, p in enumerate(index)}
        upper, lower = [at[int(p)] for p in pairs[:, 0]], [at[int(p)] for p in pairs[:, 1]]
        shape = e[:, :core] - e[:, :core].mean(1, keepdim=True)
        loss = ((e.abs().sum(2) * heavy).mean() + 3 * shape.abs().sum(2).mean()
                + 6 * (e[:, upper] - e[:, lower]).abs().sum(2).mean())
        return loss, 100 * e[:, :core].norm(dim=2).mean().detach()

    def _whole_loss(self, mesh, batch, progress):
        """Loss of a whole mesh, its mean error and the disagreement of pairs, in % of the distance of the eyes."""
        true = batch["points"]
        apart = (true[:, topo.RIGHT_LID, :2].mean(1) - true[:, topo.LEFT_LID, :2].mean(1)).norm(dim=1)
        # Eyes are near each other in a turned face: without a limit such faces would have most of the loss.
        unit = apart.clamp(min=0.16)[:, None, None]
        weight = torch.from_numpy(self.weight).to(mesh.device).expand(len(true), -1).clone()
        weight[:, topo.OVAL] *= batch["oval"][:, None]
        d = (mesh - true) / unit
        near = d.abs()
        wing = torch.where(near < 0.08, 0.08 * torch.log1p(near / 0.02), near - 0.08 + 0.08 * float(np.log(5)))
        total = 2 * (wing[..., :2].sum(2) * weight).mean() + 0.6 * (wing[..., 2] * weight).mean()
        # Most of the error is that all points are off together.
        total = total + 4 * d[..., :2].mean(1).abs().sum(1).mean()
        pairs = np.concatenate([topo.LID_PAIRS, topo.LIP_PAIRS])
        total = total + 6 * (d[:, pairs[:, 0], :2] - d[:, pairs[:, 1], :2]).abs().sum(2).mean()
        for part in (topo.RIGHT_EYE, topo.LEFT_EYE, topo.LIPS):
            local = d[:, part, :2]
            total = total + 3 * (local - local.mean(1, keepdim=True)).abs().sum(2).mean()
        # Two views of one face must agree once they are mapped back.
        m = batch["maps"][:2 * PAIRS]
        whole = (mesh[:2 * PAIRS, :468, :2] + 0.5) * SIZE - m[:, None, :, 2]
        undone = torch.linalg.solve(m[:, :, :2], whole.transpose(1, 2))
        undone = undone * torch.linalg.det(m[:, :, :2]).abs().sqrt()[:, None, None] / SIZE
        agree = ((undone[0::2] - undone[1::2]) / unit[0:2 * PAIRS:2].transpose(1, 2)).abs().sum(1).mean()
        error = 100 * d[..., :2].norm(dim=2)
        return (total + (1.5 + 2 * progress) * agree, error[:, :468].mean().detach(), error[:, topo.OVAL].mean().detach(),
                100 * agree.detach())

    def loss(self, model, batch, progress):
        count = len(batch["points"])
        mesh, presence, _ = model.whole(self._tensor(batch["image"]))
        flag = F.binary_cross_entropy_with_logits(presence[:, 0], batch["clear"])
        total, error, oval, agree = self._whole_loss(mesh[:count], batch, progress)
        eyes, lids = self._close_loss(model.eye(self._tensor(batch["eye"])), batch["eye_points"], batch["eye_unit"], EYE,
                                      topo.RIGHT_LID_PAIRS, 16)
        mouths, lips = self._close_loss(model.mouth(self._tensor(batch["mouth"])), batch["mouth_points"],
                                        batch["mouth_unit"], topo.LIPS, topo.LIP_PAIRS, 80)
        loss = total + 0.4 * flag + eyes + mouths
        return loss, dict(loss=loss.detach(), all=error, oval=oval, lids=lids, lips=lips, agree=agree,
                          flag=flag.detach())


def main(arguments) -> None:
    """Trains or resumes, then solves for what is solved for."""
    from . import settle

    task = Training()
    loop.run(task, arguments)
    settle.finish(settle.views(task.sampler), arguments.name)
