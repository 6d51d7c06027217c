"""The student: a small residual network of plain 3x3 convolutions, made to be trained from scratch on a processor.

Dense 3x3 convolutions keep a processor's matrix units busy where depthwise ones wait for memory: with bfloat16 this
network trains as many pictures a second as HGNetV2-B0 does at a sixth of the arithmetic, and runs well on every
runtime. Basic blocks after He et al. (2016); squeeze and excitation after Hu et al. (2018); generalised-mean pooling after
Radenović et al. (2018); the embedding is batch-normalised (BNNeck, Luo et al. 2019).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv_bn(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)
    )


class Excite(nn.Module):
    """Channel weights from the whole picture."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, channels // reduction, 1)
        self.up = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[b, c, h, w] → the same."""
        weight = self.up(F.relu(self.down(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(weight)


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut; `stride` 2 halves height and width."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, excite: bool = True) -> None:
        super().__init__()
        self.first = conv_bn(inputs, outputs, 3, stride)
        self.second = conv_bn(outputs, outputs)
        nn.init.zeros_(self.second[1].weight)
        self.excite = Excite(outputs) if excite else nn.Identity()
        same = stride == 1 and inputs == outputs
        pool = nn.AvgPool2d(2) if stride == 2 else nn.Identity()
        self.shortcut = nn.Identity() if same else nn.Sequential(pool, conv_bn(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[b, inputs, h, w] → [b, outputs, h / stride, w / stride]."""
        out = self.excite(self.second(F.relu(self.first(x), inplace=True)))
        return F.relu(out + self.shortcut(x), inplace=True)


class GeM(nn.Module):
    """Generalised mean over the picture; computed in float32, the power is learned."""

    def __init__(self, power: float = 3.0) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(power))

    def forward(self, x: Tensor) -> Tensor:
        """[b, c, h, w] → [b, c]."""
        return x.float().clamp(min=1e-4).pow(self.power).mean((2, 3)).pow(1.0 / self.power)


class SlimRes(nn.Module):
    """[b, 3, h, w] (h, w multiples of 16, normalised RGB) → [b, dim].

    `widths` and `depths` of the stages; the first works at a quarter of the input size, each further one at half of
    its predecessor's; `stem` channels at half of the input size."""

    def __init__(
        self,
        dim: int = 512,
        stem: int = 32,
        widths: Sequence[int] = (64, 128, 256),
        depths: Sequence[int] = (2, 3, 2),
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, stem, 3, 2), nn.ReLU(inplace=True))
        blocks: list[nn.Module] = []
        inputs = stem
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for number in range(depth):
                blocks.append(Block(inputs, width, 2 if number == 0 else 1, excite=stage > 0))
                inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.pool = GeM()
        self.embed = nn.Linear(2 * inputs, dim, bias=False)
        self.neck = nn.BatchNorm1d(dim)
        self.neck.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised crops → embeddings."""
        maps = self.blocks(self.stem(x))
        upper, lower = maps.chunk(2, dim=2)
        pooled = torch.cat([self.pool(maps), 0.5 * (upper.float().mean((2, 3)) - lower.float().mean((2, 3)))], 1)
        return self.neck(self.embed(pooled))
