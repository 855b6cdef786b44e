"""The face embedding, with the input and output of MobileFaceNet.

The student sees a degraded crop and must give the vector that the teacher gives for the clean one. Blends of people
stand in for the many people that a teacher's own training would have had.
"""

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from . import loop, prepare
from .augment import degrade, occlude
from .layers import Inverted, conv
from .teachers import MobileFaceNet

SIZE = MobileFaceNet.SIZE
BATCH = 48


class Embedding(nn.Module):
    """Inverted residuals, a depthwise convolution over the whole map, 128 values (after Chen et al., MobileFaceNets)."""

    def __init__(self, width=(32, 32, 56, 104, 144)):
        super().__init__()
        a, b, c, d, e = width
        self.body = nn.Sequential(
            conv(3, a, 3, 2), Inverted(a, b, 2, 2), Inverted(b, b, 1, 2), Inverted(b, b, 1, 2),
            Inverted(b, c, 2, 3), *[Inverted(c, c, 1, 2.5) for _ in range(3)],
            Inverted(c, d, 2, 3), *[Inverted(d, d, 1, 2.5) for _ in range(3)], Inverted(d, e, 1, 2.5),
            conv(e, 384))
        self.whole = nn.Sequential(nn.Conv2d(384, 384, 7, groups=384, bias=False), nn.BatchNorm2d(384))
        self.vector = nn.Linear(384, 128)

    def forward(self, x):
        return self.vector(self.whole(self.body(x)).flatten(1))


class Exported(nn.Module):
    """As the network."""

    NAMES = ["output0"]

    def __init__(self, net: Embedding):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


class Training(loop.Task):
    """The embedding's part of the training loop."""

    rate, flat, average, clip, decay = 3e-3, 0.3, 0.997, 5.0, 1e-3

    def __init__(self):
        stored = prepare.load("identities")
        rows = [r for r in stored["rows"] if not r["test"]]
        self.real = [(r["crop"], r["vector"]) for r in rows]
        self.blends = stored["crops"], stored["vectors"]
        print(f"crops {len(rows)} of {len({r['subject'] for r in rows})} people, blends {len(stored['crops'])}", flush=True)

    def model(self):
        return Embedding()

    def sample(self, rng):
        """A degraded crop and its vector."""
        if rng.random() < 0.4:
            crop, vector = self.real[rng.integers(len(self.real))]
        else:
            i = int(rng.integers(len(self.blends[0])))
            crop, vector = self.blends[0][i], self.blends[1][i]
        wide = crop.shape[0]
        k = np.exp(rng.normal() * 0.02)
        c, s = np.cos(rng.normal() * 0.03) * k, rng.normal() * 0.03 * k
        m = np.array([[c, -s, 0], [s, c, 0]])
        if rng.random() < 0.3:
            m[:, 0] = -m[:, 0]
        m[:, 2] = SIZE / 2 - 0.5 + rng.normal(size=2) * 1.2 - m[:, :2] @ [wide / 2 - 0.5, wide / 2 - 0.5]
        out = cv2.warpAffine(crop, m, (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if rng.random() < 0.06:
            occlude(out, np.array([16, 10, 96, 110.0]), rng)
        return (degrade(out, rng, 0.8) if rng.random() < 0.75 else out), vector

    def batch(self, rng):
        image, vector = zip(*(self.sample(rng) for _ in range(BATCH)))
        return dict(image=np.stack(image), vector=np.stack(vector).astype(np.float32))

    def loss(self, model, batch, progress):
        mean = torch.tensor(MobileFaceNet.MEAN, dtype=torch.float32, device=batch["image"].device).view(1, 3, 1, 1)
        deviation = torch.tensor(MobileFaceNet.DEVIATION, dtype=torch.float32, device=mean.device).view(1, 3, 1, 1)
        x = (batch["image"].permute(0, 3, 1, 2).flip(1).float() / 255 - mean) / deviation
        got = F.normalize(model(x.contiguous(memory_format=torch.channels_last)), dim=1)
        want = F.normalize(batch["vector"], dim=1)
        near = (got * want).sum(1)
        # Which faces are alike matters more than where they lie.
        alike = (got @ got.T - want @ want.T).pow(2).mean()
        loss = (1 - near).mean() + 4 * alike
        return loss, dict(loss=loss.detach(), cosine=near.mean().detach(), alike=alike.detach())


def main(arguments) -> None:
    """Trains or resumes."""
    loop.run(Training(), arguments)
