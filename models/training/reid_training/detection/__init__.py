"""Person detector: data, teachers, network, training, evaluation and export.

`python -m reid_training.detection --help` lists the commands; `python -m reid_training train configs/person-detector.toml`
dispatches to :func:`run`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def run(*args: Any, **kwargs: Any) -> Path:
    """Trains the recipe, see :func:`reid_training.detection.train.run`."""
    from .train import run as train

    return train(*args, **kwargs)
