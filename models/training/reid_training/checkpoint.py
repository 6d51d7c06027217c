"""Checkpoints that survive anything: written beside the old one and renamed over it when complete."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from reid_training.errors import CheckpointError
from reid_training.progress import say


def save(path: Path, recipe: str, state: dict[str, Any]) -> bool:
    """Writes a checkpoint atomically; True when it is on the disk. On a full disk the old one stays, with a warning."""
    draft = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(draft, "wb") as file:
            torch.save({"recipe": recipe, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except (OSError, RuntimeError) as error:  # torch wraps a full disk into a RuntimeError
        draft.unlink(missing_ok=True)
        say(f"WARNING: checkpoint {path} could not be written ({error}); the previous one is kept")
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
        state = torch.load(path, map_location="cpu", weights_only=False)
        if "recipe" not in state:
            raise KeyError("recipe")
    except Exception as error:
        raise CheckpointError(f"checkpoint {path} cannot be read ({error}); delete it to start anew") from error
    return state


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
