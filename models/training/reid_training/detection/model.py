"""The network: a small CSP backbone, or one with published weights (`lite`), a path aggregation neck and one head shared by
three scales, one class, no anchors.

Written for the processor it will run on: dense 3x3 convolutions of few channels and ReLU, which inference engines fuse,
instead of depthwise convolutions and SiLU, which cost fewer multiplications but more time. Ideas and where they are from:
cross-stage blocks (Wang et al. 2020, CSPNet), spatial pyramid pooling by repeated 5x5 (Redmon and Farhadi 2018, in its
fast form), path aggregation (Liu et al. 2018, PANet), head convolutions shared by the scales with batch norms of their own
(Lyu et al. 2022, RTMDet), one distance per side instead of a distribution (Tian et al. 2019, FCOS).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: What the recipe, its checkpoints and its files are called.
RECIPE = "person-detector"
STRIDES = (8, 16, 32)
#: Distances are `exp(x) * stride`; beyond e^6 strides a box would be larger than any picture.
MAX_LOG_DISTANCE = 6.0
#: Score that an untrained head gives every place (Lin et al. 2017, focal loss).
PRIOR = 0.01


@dataclass(frozen=True)
class Size:
    """Channels and depths. The default has 0.92 million parameters.

    `backbone`: `csp`, this project's own, or `efficientnet-lite0` (1, 2), of which the first `kept` stages serve; then the last
    of `stages` and of `depths` alone count, those of stride 32."""

    backbone: str = "csp"
    kept: int = 5
    stem: int = 16
    stages: tuple[int, int, int, int] = (32, 64, 128, 192)
    depths: tuple[int, int, int] = (2, 2, 1)
    neck: int = 64
    head: int = 32


def conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU; output size is the input's divided by the stride."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions and, where wanted, the input added."""

    def __init__(self, channels: int, add: bool) -> None:
        super().__init__()
        self.first, self.second, self.add = conv(channels, channels, 3), conv(channels, channels, 3), add

    def forward(self, x: Tensor) -> Tensor:
        """`[b, c, h, w]` to the same."""
        y = self.second(self.first(x))
        return x + y if self.add else y


class CrossStage(nn.Module):
    """Half of the channels go through residual blocks; every intermediate result is kept for the last convolution."""

    def __init__(self, inputs: int, outputs: int, depth: int, add: bool = True) -> None:
        super().__init__()
        self.half = outputs // 2
        self.enter = conv(inputs, outputs)
        self.blocks = nn.ModuleList(Residual(self.half, add) for _ in range(depth))
        self.leave = conv(outputs + depth * self.half, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, inputs, h, w]` to `[b, outputs, h, w]`."""
        parts = list(self.enter(x).chunk(2, 1))
        for block in self.blocks:
            parts.append(block(parts[-1]))
        return self.leave(torch.cat(parts, 1))


class Pool(nn.Module):
    """Pyramid pooling: maxima over 5, 9 and 13 cells beside the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter, self.leave = conv(channels, channels // 2), conv(channels * 2, channels)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, c, h, w]` to the same."""
        parts = [self.enter(x)]
        for _ in range(3):
            parts.append(F.max_pool2d(parts[-1], 5, 1, 2))
        return self.leave(torch.cat(parts, 1))


class Backbone(nn.Module):
    """`[b, 3, h, w]` to features at strides 8, 16 and 32."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        c1, c2, c3, c4 = size.stages
        self.widths = (c2, c3, c4)
        # nothing but two steps down before stride 8: a block at stride 4 costs as much time as the whole of stride 32
        self.stem = nn.Sequential(conv(3, size.stem, 3, 2), conv(size.stem, c1, 3, 2))
        self.p3 = nn.Sequential(conv(c1, c2, 3, 2), CrossStage(c2, c2, size.depths[0]))
        self.p4 = nn.Sequential(conv(c2, c3, 3, 2), CrossStage(c3, c3, size.depths[1]))
        # the last step down is depthwise: a dense one would be a fifth of all parameters
        self.p5 = nn.Sequential(conv(c3, c3, 3, 2, groups=c3), conv(c3, c4), CrossStage(c4, c4, size.depths[2]), Pool(c4))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`[b, 3, h, w]` to features at strides 8, 16 and 32."""
        p3 = self.p3(self.stem(x))
        p4 = self.p4(p3)
        return p3, p4, self.p5(p4)


class Neck(nn.Module):
    """Coarse features flow up to fine ones and back down; three maps of equal width come out."""

    def __init__(self, widths: tuple[int, int, int], n: int) -> None:
        super().__init__()
        c2, c3, c4 = widths
        self.reduce5, self.reduce4, self.reduce3 = conv(c4, n), conv(c3, n), conv(c2, n)
        self.up4, self.up3 = CrossStage(2 * n, n, 1, add=False), CrossStage(2 * n, n, 1, add=False)
        self.step3, self.step4 = conv(n, n, 3, 2, groups=n), conv(n, n, 3, 2, groups=n)
        self.down4, self.down5 = CrossStage(2 * n, n, 1, add=False), CrossStage(2 * n, n, 1, add=False)

    def forward(self, features: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Backbone features to three maps of `n` channels."""
        p3, p4, p5 = features
        top = self.reduce5(p5)
        middle = self.up4(torch.cat((F.interpolate(top, scale_factor=2.0, mode="nearest"), self.reduce4(p4)), 1))
        fine = self.up3(torch.cat((F.interpolate(middle, scale_factor=2.0, mode="nearest"), self.reduce3(p3)), 1))
        middle = self.down4(torch.cat((self.step3(fine), middle), 1))
        return fine, middle, self.down5(torch.cat((self.step4(middle), top), 1))


class Head(nn.Module):
    """Score logit and four log distances at every place; convolutions shared by the scales, batch norms not."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        n, h = size.neck, size.head
        self.score_conv = nn.Conv2d(n, h, 3, padding=1, bias=False)
        self.box_conv = nn.Conv2d(n, h, 3, padding=1, bias=False)
        self.score_norms = nn.ModuleList(nn.BatchNorm2d(h, eps=1e-3, momentum=0.03) for _ in STRIDES)
        self.box_norms = nn.ModuleList(nn.BatchNorm2d(h, eps=1e-3, momentum=0.03) for _ in STRIDES)
        self.scores = nn.ModuleList(nn.Conv2d(h, 1, 1) for _ in STRIDES)
        self.boxes = nn.ModuleList(nn.Conv2d(h, 4, 1) for _ in STRIDES)
        for score, box in zip(self.scores, self.boxes, strict=True):
            nn.init.constant_(score.bias, -math.log((1 - PRIOR) / PRIOR))
            nn.init.normal_(score.weight, std=0.01)
            nn.init.normal_(box.weight, std=0.01)
            # a box of about four strides to begin with
            nn.init.constant_(box.bias, math.log(2.0))

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Neck maps to score logits `[b, 1, n]` and log distances `[b, 4, n]`."""
        scores, boxes = [], []
        for i, feature in enumerate(features):
            scores.append(self.scores[i](F.relu(self.score_norms[i](self.score_conv(feature)))).flatten(2))
            boxes.append(self.boxes[i](F.relu(self.box_norms[i](self.box_conv(feature)))).flatten(2))
        return torch.cat(scores, 2), torch.cat(boxes, 2)


def grid(height: int, width: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Centres `[2, n]` in input pixels and strides `[1, n]` of all places, strides 8, 16, 32 one behind the other."""
    centres, strides = [], []
    for stride in STRIDES:
        ys = (torch.arange(height // stride, device=device, dtype=torch.float32) + 0.5) * stride
        xs = (torch.arange(width // stride, device=device, dtype=torch.float32) + 0.5) * stride
        y, x = torch.meshgrid(ys, xs, indexing="ij")
        centres.append(torch.stack((x.flatten(), y.flatten())))
        strides.append(torch.full((1, x.numel()), float(stride), device=device))
    return torch.cat(centres, 1), torch.cat(strides, 1)


def corners(boxes: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """`[b, 4, n]` log distances (left, top, right, bottom) to corners `x0, y0, x1, y1` in input pixels."""
    distances = boxes.clamp(max=MAX_LOG_DISTANCE).exp() * strides
    return torch.cat((centres - distances[:, :2], centres + distances[:, 2:]), 1)


def make_backbone(size: Size) -> nn.Module:
    """The part that sees the picture; `widths` are its channels at strides 8, 16 and 32."""
    if size.backbone == "csp":
        return Backbone(size)
    from .lite import LiteBackbone  # which is made of the parts above

    return LiteBackbone(size.backbone, size.kept, size.stages[-1], size.depths[-1])


class Detector(nn.Module):
    """`[b, 3, h, w]` RGB in 0..1, sides multiples of 32, to score logits `[b, 1, n]` and log distances `[b, 4, n]`."""

    def __init__(self, size: Size | None = None) -> None:
        super().__init__()
        self.size = size or Size()
        self.backbone = make_backbone(self.size)
        self.neck, self.head = Neck(self.backbone.widths, self.size.neck), Head(self.size)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures `[b, 3, h, w]` to the raw output of the head."""
        return self.head(self.neck(self.backbone(x)))
