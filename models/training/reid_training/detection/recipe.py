"""The detector's recipe as one sequence: tars unpacked, teachers asked, the network trained, exported, its course drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from reid_training import parallel
from reid_training.export import tell_exported
from reid_training.progress import say

from . import data as datasets
from . import labels, teachers, train

#: The teacher of dense distillation.
DISTILLED = "rtmdet"


def run(
    config: Mapping[str, Any], data: Sequence[Path], out_dir: Path, options: train.Options, teacher_folder: Path | None = None
) -> None:
    """From folders and tars in YOLO layout to checkpoints, `<recipe>.onnx` and `course.png` in `out_dir`.

    The teachers whose files lie in `teacher_folder` are asked about the pictures first, and RTMDet-nano about every view."""
    cache = options.cache or out_dir / "cache"
    parallel.start(options.device)
    with parallel.first_goes_first():
        roots = datasets.unpacked(data, cache)
        files = ask_teachers(roots, cache, teacher_folder)
    train.run(config, roots, out_dir, replace(options, cache=cache, teacher=options.teacher or files.get(DISTILLED)))
    if parallel.rank() == 0:
        export_checkpoint(config, out_dir)
        draw_course(out_dir)


def ask_teachers(roots: Sequence[Path], cache: Path, folder: Path | None) -> dict[str, Path]:
    """Caches the boxes that the teachers in a folder see in pictures to train on; returns the teachers' files by name."""
    if folder is None:
        known = ", ".join(labels.open_caches(cache))
        say(f"no --teachers: cached boxes of {known} are used" if known else "no --teachers: only labelled pictures are used")
        return {}
    files = teachers.find(folder)
    say(f"teachers: {', '.join(path.name for path in files.values())}")
    pictures = datasets.split(datasets.scan(roots)).train
    for name, path in files.items():
        teachers.teach(teachers.TEACHERS[name](path, torch.get_num_threads()), pictures, cache, name)
    return files


def export_checkpoint(config: Mapping[str, Any], out_dir: Path, to: Path | None = None, roots: Sequence[Path] = ()) -> None:
    """Writes the best checkpoint in `out_dir` as ONNX, `<recipe>.onnx` there by default; with data folders smaller files of
    it too, measured on their validation pictures."""
    from .export import export

    source, path = out_dir / train.BEST, to or out_dir / f"{config['recipe']}.onnx"
    side = train.Config.from_dict(config).evaluate_side
    if not source.exists() and (out_dir / train.LAST).exists():
        source = out_dir / train.LAST
        say(f"nothing was measured above AP50 0 yet: {source} is exported")
    tell_exported(path, export(source, path, side))
    if roots:
        say(write_variants(path, roots, side))


def write_variants(model: Path, roots: Sequence[Path], side: int) -> str:
    """Smaller files beside an exported one; returns a table of what they cost on the data folders' validation pictures."""
    from . import variants

    split = datasets.split(datasets.scan(roots))
    return variants.write(model, calibration_pictures(split), train.validation_items(split), side)


def quantize(model: Path, roots: Sequence[Path], side: int) -> None:
    """The 8-bit file beside an exported one."""
    from . import variants

    variants.quantize(model, calibration_pictures(datasets.split(datasets.scan(roots))), side)


def calibration_pictures(split: datasets.Split) -> list[np.ndarray]:
    """Training pictures that 8-bit ranges are found on, uint8 [h, w, 3] BGR."""
    from . import variants

    sample = sorted(split.train, key=lambda p: datasets.rank(p.key))[: variants.CALIBRATION]
    return [picture for picture in (cv2.imread(str(p.path)) for p in sample) if picture is not None]


def draw_course(out_dir: Path) -> None:
    """`course.png` of the run in a folder, when it has come far enough for a line of history."""
    from . import plots

    if (out_dir / train.HISTORY).exists():
        plots.draw_course(out_dir / train.HISTORY, out_dir / "course.png")
