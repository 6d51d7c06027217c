"""EfficientNet-Lite (Tan and Le, 2019; Lite: R. Liu, 2020) as an embedder: inverted residuals without squeeze and
excitation, ReLU6.

The parameters stand in the order of timm's and of the original weights, so published ImageNet weights load tensor by tensor.
Every normalisation follows its convolution in one chain, so that `export.fold_norms` folds it. As strong baselines of
re-identification do (Luo et al., "Bag of tricks", 2019), the last stage keeps its resolution, and mean and maximum over the
picture feed the embedding (the maximum keeps small things, such as a bag), which is batch-normalised (BNNeck).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reid_training.data.batches import MEAN, STD

#: Lite's stages: expansion, kernel, stride, channels, depth. Padding is alike on both sides, as in PyTorch, where TensorFlow pads
#: more at the end: with a stride that moves the picture by a few pixels, which the fine-tuning does not mind.
STAGES = (
    (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1),
)
#: Width and depth of Lite0, 1, 2; stem and head have the same width in all of them, first and last stage the same depth.
SCALES = {"efficientnet-lite0": (1.0, 1.0), "efficientnet-lite1": (1.0, 1.1), "efficientnet-lite2": (1.1, 1.2)}
STEM, HEAD = 32, 1280
NORM_EPS = 1e-3  # TensorFlow's, as the published weights were trained


def norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with TensorFlow's epsilon. Its running statistics follow faster than the published weights' did
    (0.01)."""
    return nn.BatchNorm2d(channels, eps=NORM_EPS)


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection; a shortcut where shape allows it."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = inputs * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers += [nn.Conv2d(inputs, inner, 1, bias=False), norm(inner), nn.ReLU6(inplace=True)]
        depthwise = nn.Conv2d(inner, inner, kernel, stride, kernel // 2, groups=inner, bias=False)
        layers += [depthwise, norm(inner), nn.ReLU6(inplace=True)]
        layers += [nn.Conv2d(inner, outputs, 1, bias=False), norm(outputs)]
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """[b, inputs, h, w] → [b, outputs, h / stride, w / stride]."""
        return x + self.layers(x) if self.adds else self.layers(x)


def stem() -> nn.Sequential:
    """[b, 3, h, w] in -1..1 → [b, 32, h / 2, w / 2]."""
    return nn.Sequential(nn.Conv2d(3, STEM, 3, 2, 1, bias=False), norm(STEM), nn.ReLU6(inplace=True))


def stages(name: str, count: int = len(STAGES), last_stride: int = 2) -> list[list[InvertedResidual]]:
    """The blocks of the first `count` stages behind the stem. `last_stride` 1 keeps the resolution of the last two stages."""
    width, depth = SCALES[name]
    found: list[list[InvertedResidual]] = []
    inputs = STEM
    for number, (expansion, kernel, stride, channels, blocks) in enumerate(STAGES[:count]):
        outputs = rounded(channels * width)
        ends = number in (0, len(STAGES) - 1)
        first = last_stride if number == 5 else stride
        found.append([])
        for block in range(blocks if ends else -int(-blocks * depth // 1)):
            found[-1].append(InvertedResidual(inputs, outputs, expansion, kernel, first if block == 0 else 1))
            inputs = outputs
    return found


class EfficientNetLite(nn.Module):
    """[b, 3, h, w] (h, w multiples of 16, normalised as everywhere here) → [b, dim].

    `last_stride` 1 keeps the last stages at a sixteenth of the input size; 2 is the original. The published weights want
    pixels in -1..1, so the input is scaled from ImageNet's statistics to that first."""

    def __init__(self, name: str, dim: int = 512, last_stride: int = 1) -> None:
        super().__init__()
        self.register_buffer("gain", torch.tensor(STD).view(1, 3, 1, 1) / 0.5, persistent=False)
        self.register_buffer("shift", (torch.tensor(MEAN).view(1, 3, 1, 1) - 0.5) / 0.5, persistent=False)
        self.stem = stem()
        self.blocks = nn.Sequential(*(block for stage in stages(name, last_stride=last_stride) for block in stage))
        inputs = self.blocks[-1].layers[-2].out_channels
        self.head = nn.Sequential(nn.Conv2d(inputs, HEAD, 1, bias=False), norm(HEAD), nn.ReLU6(inplace=True))
        self.embed = nn.Linear(HEAD, dim, bias=False)
        self.neck = nn.BatchNorm1d(dim)
        self.neck.bias.requires_grad_(False)

    def trunk(self) -> Sequence[nn.Module]:
        """The parts that published weights cover, in their order."""
        return [self.stem, self.blocks, self.head]

    def forward(self, x: Tensor) -> Tensor:
        """Normalised crops → embeddings."""
        maps = self.head(self.blocks(self.stem(x * self.gain + self.shift)))
        pooled = maps.float().mean((2, 3)) + maps.float().amax((2, 3))
        return self.neck(self.embed(pooled))


def rounded(channels: float, step: int = 8) -> int:
    """The nearest multiple of eight, at most a tenth below."""
    near = max(step, int(channels + step / 2) // step * step)
    return near + step if near < 0.9 * channels else near
