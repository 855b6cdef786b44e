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
#: Samples that the linear part is solved for on, and how far it is held back (of the mean square of a feature): chosen by
#: verification of training people left out, four folds. 0.003 gives an equal error rate of 4.0 %, 0.001 gives 4.2; with
#: the mean over the crops from films as well, 0.01, 0.1 and 0.3 gave 4.7, 5.0 and 6.6.
SAMPLES, RIDGE = 34_000, 0.003


class Gradients(nn.Module):
    """Oriented gradients in overlapping squares, their strength compared with that around them (after Dalal and
    Triggs, CVPR 2005); no weights to learn."""

    DIRECTIONS, CELLS = 8, 13

    def __init__(self):
        super().__init__()
        slope = torch.tensor([[1.0, 2.0, 1.0]]).T @ torch.tensor([[-1.0, 0.0, 1.0]]) / 8
        angle = torch.arange(self.DIRECTIONS) * (2 * np.pi / self.DIRECTIONS)
        kernels = angle.cos()[:, None, None] * slope + angle.sin()[:, None, None] * slope.T
        grey = torch.tensor(MobileFaceNet.DEVIATION, dtype=torch.float32) / 3
        self.register_buffer("kernels", kernels[:, None] * grey.view(1, 3, 1, 1))

    def forward(self, x):
        edges = F.avg_pool2d(F.relu(F.conv2d(x, self.kernels)), 12, 8)
        around = F.avg_pool2d(edges.sum(1, keepdim=True), 3, 1, 1, count_include_pad=False)
        return (edges / (around + 0.004) + 1e-4).sqrt().flatten(1)


class Embedding(nn.Module):
    """128 values: linear in oriented gradients, which is solved for at once, plus what a network adds.

    The network: inverted residuals, a depthwise convolution over the whole map (after Chen et al., MobileFaceNets).
    """

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
        nn.init.zeros_(self.vector.weight)
        self.gradients = Gradients()
        self.linear = nn.Linear(Gradients.DIRECTIONS * Gradients.CELLS ** 2, 128)

    def forward(self, x):
        return self.linear(self.gradients(x)) + self.vector(self.whole(self.body(x)).flatten(1))


class Exported(nn.Module):
    """As the network, without the part that adds nothing as long as it is untrained."""

    NAMES = ["output0"]

    def __init__(self, net: Embedding):
        super().__init__()
        self.net = net

    def forward(self, x):
        if not bool(self.net.vector.weight.any()):
            return self.net.linear(self.net.gradients(x)) + self.net.vector.bias
        return self.net(x)


class Training(loop.Task):
    """The embedding's part of the training loop."""

    rate, flat, average, clip, decay = 1e-3, 0.3, 0.997, 1.0, 1e-3

    def __init__(self):
        stored = prepare.load("identities")
        rows = [r for r in stored["rows"] if not r["test"]]
        self.real = [(r["crop"], r["vector"]) for r in rows]
        self.portraits = np.stack([prepare.inner(r["crop"]) for r in rows if r["kind"] == "portrait"])
        self.blends = stored["crops"], stored["vectors"]
        print(f"crops {len(rows)} of {len({r['subject'] for r in rows})} people, blends {len(stored['crops'])}", flush=True)

    def model(self):
        """The network with its linear part solved for by ridge regression."""
        net, rng, count = Embedding(), np.random.default_rng(21), SAMPLES
        features, vectors = [], []
        with torch.no_grad():
            for _ in range(count // 100):
                image, vector = zip(*(self.sample(rng) for _ in range(100)))
                features.append(net.gradients(self.prepared(torch.from_numpy(np.stack(image)))))
                vectors.append(torch.from_numpy(np.stack(vector)).float())
            x, y = torch.cat(features), torch.cat(vectors)
            middle, mean = x.mean(0), y.mean(0)
            a, b = x - middle, y - mean
            gram, cross = a.T @ a, a.T @ b
            weight = torch.linalg.solve(gram + RIDGE * gram.diagonal().mean() * torch.eye(len(gram)), cross)
            net.linear.weight.copy_(weight.T)
            # Without the mean, which a regression leans to, strangers are at right angles.
            usual = torch.cat([net.gradients(self.prepared(torch.from_numpy(np.stack(part))))
                               for part in np.array_split(self.portraits, 8)]).mean(0)
            net.linear.bias.copy_(-(usual @ weight))
        return net

    @staticmethod
    def prepared(image):
        """Pictures as the network takes them."""
        mean = torch.tensor(MobileFaceNet.MEAN, dtype=torch.float32, device=image.device).view(1, 3, 1, 1)
        deviation = torch.tensor(MobileFaceNet.DEVIATION, dtype=torch.float32, device=image.device).view(1, 3, 1, 1)
        return (image.permute(0, 3, 1, 2).flip(1).float() / 255 - mean) / deviation

    def sample(self, rng):
        """A degraded crop and its vector."""
        if rng.random() < 0.3:
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

    def groups(self, model):
        solved = {id(p) for p in model.linear.parameters()}
        rest = [p for p in model.parameters() if id(p) not in solved]
        return [dict(params=[p for p in rest if p.ndim > 1], weight_decay=self.decay),
                dict(params=[p for p in rest if p.ndim <= 1], weight_decay=0.0),
                dict(params=list(model.linear.parameters()), weight_decay=0.0, lr=0.02 * self.rate)]

    def batch(self, rng):
        image, vector = zip(*(self.sample(rng) for _ in range(BATCH)))
        return dict(image=np.stack(image), vector=np.stack(vector).astype(np.float32))

    def loss(self, model, batch, progress):
        x = self.prepared(batch["image"]).contiguous(memory_format=torch.channels_last)
        got = F.normalize(model(x), dim=1)
        want = F.normalize(batch["vector"], dim=1)
        near = (got * want).sum(1)
        # Which faces are alike matters more than where they lie.
        alike = (got @ got.T - want @ want.T).pow(2).mean()
        loss = (1 - near).mean() + 4 * alike
        return loss, dict(loss=loss.detach(), cosine=near.mean().detach(), alike=alike.detach())


def main(arguments) -> None:
    """Trains or resumes."""
    loop.run(Training(), arguments)
