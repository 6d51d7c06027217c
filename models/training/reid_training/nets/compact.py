"""Project 1's network: six blocks of convolution, batch normalisation, ReLU and max pooling, then one dense layer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

WIDTHS = (16, 32, 48, 64, 64, 96)  # with a dense layer of 128: 164,336 parameters at 128x64


class Compact(nn.Module):
    """[b, 3, 128, 64] → [b, dim]; about 166 thousand parameters for `dim` 128."""

    def __init__(self, dim: int = 128, widths: Sequence[int] = WIDTHS, height: int = 128, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in widths:
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
            inputs = outputs
        self.blocks = nn.Sequential(*layers)
        shrink = 2 ** len(widths)
        self.embed = nn.Linear(inputs * (height // shrink) * (width // shrink), dim)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised crops → embeddings."""
        return self.embed(self.blocks(x).flatten(1).float())
