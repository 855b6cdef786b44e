"""Solves for how the mesh follows the close looks: a ridge regression of low rank over views of training faces.

What the trunk gets wrong is mostly that all points are off together, and the close looks see where the eyes and the
mouth are better than it does.
"""

import zlib

import numpy as np
import torch

from . import geometry as geo
from . import loop
from . import topology as topo
from .augment import degrade
from .landmarks import FOLLOW, FOLLOWED, SIZE, Landmarks, Sampler, Training
from .teachers import face_frame

#: Views that are solved on, and how far the solution is held back, as a share of the mean square of an input.
SAMPLES, HOLD = 8000, 0.1
#: What the trunk's features count for beside the disagreement, in standard deviations.
FEATURES = 0.1
#: One person in so many is left out to try a solution on.
HELD = 8


def view(sampler: Sampler, rng):
    """A crop as the program cuts it, its points in units of it, and whether the person is one of those left out."""
    held = False
    if rng.random() < 0.1:
        crop, points = sampler.made[int(rng.integers(len(sampler.made)))][:2]
    else:
        i = int(rng.choice(len(sampler.rows), p=sampler.weight))
        crop, points = sampler.rows[i][:2]
        held = zlib.crc32(sampler.subjects[i].encode()) % HELD == 0
    centre, side, angle = face_frame(points.astype(float))
    wide = 1.0 if rng.random() < 0.7 else 1.8
    mirror = rng.random() < 0.5
    m = geo.crop_map(centre + rng.normal(size=2) * 0.02 * wide * side, side * np.exp(rng.normal() * 0.04 * wide),
                     angle + rng.normal() * 0.04 * wide, SIZE, mirror)
    image, p = geo.warp(crop, m, SIZE, SIZE), points.astype(np.float64).copy()
    p[:, :2] = geo.apply(m, p[:, :2]) - SIZE / 2
    if mirror:
        p = p[sampler.flip]
    return (degrade(image, rng) if rng.random() < 0.4 else image), (p[:, :2] / SIZE).astype(np.float32), held


def views(sampler: Sampler, samples: int = SAMPLES, seed: int = 17) -> list:
    """Batches of views: pictures, points, and who is left out."""
    rng = np.random.default_rng(seed)
    batches = (zip(*(view(sampler, rng) for _ in range(50))) for _ in range(0, samples, 50))
    return [tuple(torch.from_numpy(np.stack(part)) for part in batch) for batch in batches]


def collect(net: Landmarks, batches: list):
    """Where the close looks disagree with the mesh, how far the mesh is off, and who is left out."""
    rows = []
    for image, true, held in batches:
        seen = net.looks(Training._tensor(image))
        off = net.turned(true[:, :468] - seen["mesh"][:, :468, :2], seen["level"]).flatten(1)
        # Eyes are near each other in a turned face: without a limit such faces would outweigh the others.
        weight = (seen["level"][1] / 0.16).clamp(max=1)
        rows.append((seen["seen"], off, weight[:, 0], held))
    return tuple(torch.cat(part) for part in zip(*rows))


def scales(x: torch.Tensor) -> torch.Tensor:
    """What to multiply the inputs with, so that holding back means the same for all."""
    apart = 2 * len(FOLLOWED)
    scale = torch.empty(x.shape[1])
    scale[:apart] = 1 / x[:, :apart].pow(2).mean().sqrt()
    scale[apart:] = FEATURES / x[:, apart:].std(0).clamp(min=1e-3)
    return scale


def ridge(x: torch.Tensor, y: torch.Tensor, share: torch.Tensor, hold: float):
    """Weights of the regression of `y` on `x`, both taken about their means, and its bias; `share` weighs the rows."""
    rows = share.double()[:, None]
    total = rows.pow(2).sum()
    middle, mean = ((v.double() * rows**2).sum(0) / total for v in (x, y))
    a, b = (x.double() - middle) * rows, (y.double() - mean) * rows
    gram = a.T @ a
    weight = torch.linalg.solve(gram + hold * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype), a.T @ b)
    return weight.float(), (mean - middle @ weight).float()


def narrow(x: torch.Tensor, weight: torch.Tensor, rank: int):
    """The two factors of the nearest weights of low rank over `x`."""
    _, _, v = torch.linalg.svd((x - x.mean(0)) @ weight, full_matrices=False)
    return weight @ v[:rank].T, v[:rank]


@torch.no_grad()
def settle(net: Landmarks, batches: list) -> None:
    """Solves in place, and says what a solution without them does for people left out."""
    x, y, share, held = collect(net, batches)
    scale = scales(x)
    x = x * scale
    for kept, title in ((~held, "people left out"), (torch.ones_like(held), None)):
        weight, bias = ridge(x[kept], y[kept], share[kept], HOLD)
        first, second = narrow(x[kept], weight, FOLLOW)
        if title:
            away = lambda e, index: 100 * float(e.unflatten(1, (-1, 2))[:, index].norm(dim=2).mean())
            rest = y[held] - (x[held] @ first @ second + bias)
            for name, index in (("mesh", list(range(468))), ("contour", topo.OVAL)):
                print(f"{title}, {int(held.sum())} views, {name}: {away(y[held], index):.2f} before, {away(rest, index):.2f} after",
                      flush=True)
    net.follow[0].weight.copy_((scale[:, None] * first).T)
    net.follow[1].weight.copy_(second.T)
    net.follow[1].bias.copy_(bias)


def finish(batches: list, name: str) -> None:
    """Settles the average network of a run over views and keeps it in the run's checkpoint."""
    path = loop.checkpoint_path(name)
    state = torch.load(path, map_location="cpu", weights_only=False)
    net = loop.restored(Landmarks(), state["average"]).eval()
    settle(net, batches)
    torch.save(state | dict(settled=net.state_dict()), path)
