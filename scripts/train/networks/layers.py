"""Building blocks."""

from torch import nn

from .fast import Norm


def conv(i: int, o: int, k: int = 1, stride: int = 1, groups: int = 1, active: bool = True) -> nn.Sequential:
    """Convolution, batch normalisation, rectifier."""
    return nn.Sequential(nn.Conv2d(i, o, k, stride, k // 2, groups=groups, bias=False), Norm(o, active))


class Separable(nn.Module):
    """Depthwise, then pointwise convolution, with a shortcut where the shape allows."""

    def __init__(self, i: int, o: int, stride: int = 1, k: int = 3):
        super().__init__()
        self.depth, self.point = conv(i, i, k, stride, i), conv(i, o)
        self.shortcut = i == o and stride == 1

    def forward(self, x):
        y = self.point(self.depth(x))
        return x + y if self.shortcut else y


class Inverted(nn.Module):
    """Inverted residual (Sandler et al., MobileNetV2, CVPR 2018)."""

    def __init__(self, i: int, o: int, stride: int, grow: float, k: int = 3):
        super().__init__()
        h = int(i * grow)
        self.body = nn.Sequential(conv(i, h), conv(h, h, k, stride, h), conv(h, o, active=False))
        self.shortcut = i == o and stride == 1

    def forward(self, x):
        return x + self.body(x) if self.shortcut else self.body(x)
