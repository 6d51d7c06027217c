"""Checkpoints that survive anything: written beside the old one and renamed over it when complete."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reid_training.errors import CheckpointError, DiskError
from reid_training.files import replacing
from reid_training.progress import say

#: numpy's numbers, which a history may hold: the only further things that a checkpoint is read with.
NUMBERS = [np._core.multiarray.scalar, np.dtype, *(type(np.dtype(t)) for t in ("f8", "f4", "i8", "i4", "?"))]


def save(path: Path, recipe: str, state: dict[str, Any]) -> bool:
    """Writes a checkpoint atomically; True when it is on the disk. On a full disk the old one stays, with a warning."""
    try:
        with replacing(path) as draft, open(draft, "wb") as file:
            torch.save({"recipe": recipe, **state}, file)
            file.flush()
            os.fsync(file.fileno())
    except (DiskError, OSError, RuntimeError) as error:  # torch wraps a full disk into a RuntimeError
        reason = error if isinstance(error, DiskError) else f"{path}: {error}"
        say(f"WARNING: no new checkpoint, the previous one is kept: {reason}")
        return False
    return True


def load(path: Path, recipe: str) -> dict[str, Any]:
    """Reads a checkpoint; an error when it is damaged or of another recipe."""
    state = read(path)
    if state["recipe"] != recipe:
        raise CheckpointError(f"checkpoint {path} belongs to recipe {state['recipe']!r}, not {recipe!r}; choose another --out")
    return state


def read(path: Path) -> dict[str, Any]:
    """Reads a checkpoint of whatever recipe; an error when it is missing or damaged."""
    if not path.exists():
        raise CheckpointError(f"no checkpoint at {path}")
    try:
        # Whoever gives a checkpoint must not be able to run code: numbers, texts and tensors alone.
        with torch.serialization.safe_globals(NUMBERS):
            state = torch.load(path, map_location="cpu", weights_only=True)
        if "recipe" not in state:
            raise KeyError("recipe")
    except Exception as error:
        raise CheckpointError(f"checkpoint {path} cannot be read ({error}); delete it to start anew") from error
    return state


def fill(net: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Gives a network the weights of a checkpoint; `CheckpointError` when they are another network's. `where` names it."""
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"checkpoint {where} is of another network than this recipe's: {reason}") from error


class Stop:
    """True in `asked` once the process was asked to end (SIGTERM, SIGINT): finish the step, save, leave."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


class Timer:
    """Says when `every_s` seconds have gone by."""

    def __init__(self, every_s: float = 240.0) -> None:
        self.every_s = every_s
        self.last = time.monotonic()

    def due(self) -> bool:
        """True once every `every_s` seconds."""
        now = time.monotonic()
        if now - self.last < self.every_s:
            return False
        self.last = now
        return True
