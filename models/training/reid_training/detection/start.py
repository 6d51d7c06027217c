"""A detector that begins with the weights of an exported file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from reid_training.exported import begin_with, read_exported

from .model import STRIDES, Detector


def begin(model: Detector, path: Path, pictures: Tensor) -> tuple[int, str]:
    """Gives the detector the weights of the file; `pictures` [b, 3, h, w] in 0..1 are views as it will see them. Returns how
    many views the file had seen, and the terms of published weights that it began with. Raises `CheckpointError` for a file that
    is damaged, of others or of another size."""
    weights, facts = read_exported(path, "detect")
    begin_with(model, split_head(weights), pictures, str(path))
    return int(facts.get("reid.seen", 0)), facts.get("reid.pretrained", "")


def split_head(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The parameters of an exported detector by their names in `Detector`: `export.JointHead` taken apart again."""
    apart = {name: value for name, value in weights.items() if name.startswith(("backbone.", "neck."))}
    joint = weights.get("head.conv.weight")
    if joint is None:
        return apart
    half = len(joint) // 2
    apart["head.score_conv.weight"], apart["head.box_conv.weight"] = joint[:half], joint[half:]
    for number in range(len(STRIDES)):
        for part in ("weight", "bias", "running_mean", "running_var"):
            both = weights[f"head.norms.{number}.{part}"]
            apart[f"head.score_norms.{number}.{part}"], apart[f"head.box_norms.{number}.{part}"] = both[:half], both[half:]
        out, bias = (weights[f"head.outs.{number}.{part}"] for part in ("weight", "bias"))
        apart[f"head.boxes.{number}.weight"], apart[f"head.scores.{number}.weight"] = out[:4, half:], out[4:, :half]
        apart[f"head.boxes.{number}.bias"], apart[f"head.scores.{number}.bias"] = bias[:4], bias[4:]
    return apart
