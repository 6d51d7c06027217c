"""A backbone that begins with published weights: the first stages of EfficientNet-Lite."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reid_training.errors import ConfigError
from reid_training.nets.efficientlite import SCALES, stages, stem
from reid_training.pretrained import fill_in_order, from_named

from .model import CrossStage, Pool, conv

#: Stages behind the stem that are kept, of seven: the last of stride 16 is the fifth. The sixth and seventh have most of the
#: parameters and know classes of things.
KEPT = 5
#: Stages up to stride 8.
FINE = 3


class LiteBackbone(nn.Module):
    """`[b, 3, h, w]` in 0..1 to features at strides 8, 16 and 32; the last are the detector's own."""

    def __init__(self, name: str, kept: int, coarse: int, depth: int) -> None:
        super().__init__()
        if name not in SCALES or not FINE < kept <= KEPT:
            raise ConfigError(f"[size] backbone: {name!r} with {kept} stages is none of {', '.join(SCALES)} with 4 or 5")
        parts = stages(name, kept)
        self.stem = stem()
        self.fine = nn.Sequential(*(block for stage in parts[:FINE] for block in stage))
        self.middle = nn.Sequential(*(block for stage in parts[FINE:] for block in stage))
        widths = [part[-1].layers[-2].out_channels for part in (self.fine, self.middle)]
        self.widths = (*widths, coarse)
        c4 = widths[-1]
        self.p5 = nn.Sequential(conv(c4, c4, 3, 2, groups=c4), conv(c4, coarse), CrossStage(coarse, coarse, depth), Pool(coarse))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`[b, 3, h, w]` to features at strides 8, 16 and 32."""
        p3 = self.fine(self.stem(x))
        p4 = self.middle(p3)
        return p3, p4, self.p5(p4)

    def trunk(self) -> Sequence[nn.Module]:
        """The parts that published weights cover, in their order."""
        return [self.stem, self.fine, self.middle]

    @torch.no_grad()
    def begin(self, name: str, wanted: str) -> str:
        """Takes published weights (`pretrained.from_named`); returns their name, licence and source in words."""
        found = from_named(wanted, name)
        fill_in_order(list(self.trunk()), found.weights, f"{wanted} for [size] backbone {name!r}")
        # They want pixels in -1..1. Twice the weights, less their sum, does the same to 0..1, without a step in every picture;
        # at the borders what is added around a picture is black then and not grey, which the training does not mind.
        first, norm = self.stem[0], self.stem[1]
        norm.running_mean += first.weight.sum((1, 2, 3))
        first.weight.mul_(2)
        return found.terms

    def freeze(self, blocks: int) -> None:
        """Keeps the stem and the first blocks as they are, the statistics of their normalisations too. To be called again when
        the network has been set to train."""
        if blocks:
            for part in (self.stem, *[*self.fine, *self.middle][:blocks]):
                part.requires_grad_(False).eval()
