"""Networks by name."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from reid_training.errors import ConfigError
from reid_training.nets.compact import Compact
from reid_training.nets.efficientlite import SCALES, EfficientNetLite
from reid_training.nets.slimres import SlimRes


class Backbone(nn.Module):
    """A timm network with an embedding layer and BNNeck."""

    def __init__(self, name: str, dim: int, **options: Any) -> None:
        super().__init__()
        import timm

        self.body = timm.create_model(name, pretrained=False, num_classes=0, **options)
        self.embed = nn.Linear(self.body.num_features, dim, bias=False)
        if getattr(self.body, "head_hidden_size", None):
            self.embed = nn.Linear(self.body.head_hidden_size, dim, bias=False)
        self.neck = nn.BatchNorm1d(dim)
        self.neck.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """[b, 3, h, w] → [b, dim]."""
        return self.neck(self.embed(self.body(x).float()))


def make_net(name: str, dim: int, **options: Any) -> nn.Module:
    """`slimres`, `compact`, `efficientnet-lite0` to `2`, or the name of a timm network."""
    own = {"slimres": SlimRes, "compact": Compact}
    if name in own:
        return own[name](dim, **options)
    if name in SCALES:
        return EfficientNetLite(name, dim, **options)
    try:
        return Backbone(name, dim, **options)
    except RuntimeError as error:
        raise ConfigError(f"net {name!r} is neither one of {sorted([*own, *SCALES])} nor known to timm: {error}") from error
