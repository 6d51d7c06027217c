"""Small PNG plots of the detector: the course of a run, precision over recall. No pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402 - the backend must be chosen first
import numpy as np  # noqa: E402

from reid_training.errors import DataError  # noqa: E402
from reid_training.plots import write_figure  # noqa: E402

from .evaluate import Item, precision_recall  # noqa: E402
from .teachers import Detections  # noqa: E402

PERCENT = {"ap50": "AP50", "ap": "AP50-95", "best_f1": "best F1"}
LOSSES = ("score", "box", "taught_score", "taught_box", "imitation")


def draw_course(history: Path, path: Path) -> None:
    """The parts of the loss (left) and the validation figures (right) of `history.jsonl` over the views seen."""
    try:
        rows = [json.loads(line) for line in history.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise DataError(f"{history} is no history of a run: {error}") from error
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    for name in LOSSES:
        points = [(row["number"] / 1000, row[name]) for row in rows if name in row]
        if points:
            left.plot(*zip(*points, strict=True), label=name, linewidth=1)
    for name, label in PERCENT.items():
        points = [(row["number"] / 1000, 100 * row[name]) for row in rows if name in row]
        if points:
            right.plot(*zip(*points, strict=True), label=label, marker=".", linewidth=1)
    for side, title in ((left, "loss"), (right, "validation, %")):
        side.set_title(title)
        side.set_xlabel("thousand views")
        side.grid(alpha=0.3)
        if side.lines:
            side.legend(fontsize=7)
    write_figure(figure, path)


def draw_precision(curves: Mapping[str, tuple[Sequence[Item], Sequence[Detections]]], path: Path) -> None:
    """Precision over recall at overlap 0.5, a line for every source; a dot where the score is 0.25."""
    figure, side = plt.subplots(figsize=(5, 4))
    for source, (items, results) in curves.items():
        recall, precision, scores = precision_recall(items, results, 0.5)
        (line,) = side.plot(recall, precision, label=source, linewidth=1)
        sure = np.flatnonzero(scores >= 0.25)
        if len(sure):
            side.plot(recall[sure[-1]], precision[sure[-1]], "o", color=line.get_color(), markersize=4)
    side.set_xlabel("recall")
    side.set_ylabel("precision")
    side.set_xlim(0, 1)
    side.set_ylim(0, 1)
    side.grid(alpha=0.3)
    side.legend(fontsize=7)
    write_figure(figure, path)
