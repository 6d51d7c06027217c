"""Small PNG plots: curves of a run, histograms of cosines, embeddings on a plane. No pictures of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402 - the backend must be chosen first
import numpy as np  # noqa: E402

from reid_training.files import replacing  # noqa: E402

DPI = 80


def draw_history(history: Sequence[Mapping[str, Any]], path: Path, what: str = "pictures") -> None:
    """Losses on the left, figures in percent on the right, over `what` was seen (column `seen`, else row number)."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    names = sorted({name for line in history for name in line} - {"seen", "seconds"})
    for name in names:
        points = [(line.get("seen", i), line[name]) for i, line in enumerate(history) if name in line]
        percent = name.endswith(("mAP", "R1", "accuracy", "AUC"))
        (right if percent else left).plot(*zip(*points, strict=True), label=name, marker=".", linewidth=1)
    for side, title in ((left, "loss terms"), (right, "percent")):
        side.set_title(title)
        side.set_xlabel(f"{what} seen")
        side.grid(alpha=0.3)
        if side.lines:
            side.legend(fontsize=7, framealpha=0.4)
    write_figure(figure, path)


def draw_histograms(panels: Mapping[str, tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    """Cosines of same-person and different-person pairs; a panel an entry: title → (positive, negative)."""
    figure, axes = plt.subplots(1, len(panels), figsize=(4.5 * len(panels), 3.5), squeeze=False)
    bins = np.linspace(-1, 1, 81)
    for side, (title, (positive, negative)) in zip(axes[0], panels.items(), strict=True):
        side.hist(negative, bins, density=True, alpha=0.6, label="different people", color="tab:orange")
        side.hist(positive, bins, density=True, alpha=0.6, label="same person", color="tab:blue")
        side.set_title(title, fontsize=9)
        side.set_xlabel("cosine")
        side.legend(fontsize=7)
    write_figure(figure, path)


def draw_plane(points: np.ndarray, people: np.ndarray, title: str, path: Path) -> None:
    """Embeddings already reduced to two numbers, float [n, 2], coloured by person."""
    figure, side = plt.subplots(figsize=(5, 5))
    _, numbers = np.unique(people, return_inverse=True)
    side.scatter(points[:, 0], points[:, 1], c=numbers, cmap="tab20", s=6)
    side.set_title(title, fontsize=9)
    side.set_xticks([])
    side.set_yticks([])
    write_figure(figure, path)


def draw_confusion(panels: Mapping[str, np.ndarray], path: Path) -> None:
    """Who was taken for whom; a panel an entry: title → int [people, people], rows the truth. Rows are scaled to 100 %."""
    figure, axes = plt.subplots(1, len(panels), figsize=(4.2 * len(panels), 4), squeeze=False)
    for side, (title, counts) in zip(axes[0], panels.items(), strict=True):
        shares = 100.0 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
        side.imshow(shares, vmin=0, vmax=100, cmap="Blues")
        side.set_title(title, fontsize=9)
        side.set_xlabel("taken for")
        side.set_ylabel("is")
        if len(shares) <= 12:
            for (row, column), value in np.ndenumerate(shares):
                if value >= 0.5:
                    colour = "white" if value > 50 else "black"
                    side.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=7, color=colour)
    write_figure(figure, path)


def write_figure(figure: plt.Figure, path: Path) -> None:
    """Writes a figure as PNG and closes it. Raises `DiskError`."""
    figure.tight_layout()
    with replacing(path) as draft:
        figure.savefig(draft, dpi=DPI, format="png")
    plt.close(figure)
