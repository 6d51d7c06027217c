"""The cache of the teachers' answers: computed once, resumed where it stopped.

The answers to a source lie in its folder of the cache. For view `v` there are the pictures (`view-<v>.npy`, uint8, absent
for view 0, which is the pack itself), a float16 [n, d] array for each teacher, and `view-<v>.json` with the count of
rows finished. Rows are worked off in a fixed random order, so that a half-finished view is a fair sample.
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reid_training.data.pack import Pack, Part, Stacked
from reid_training.data.views import view_of
from reid_training.files import write_array, write_json
from reid_training.progress import Progress

CHUNK = 1024
#: uint8 [n, h, w, 3] RGB → float32 [n, d] of unit length; see `teacher_models`.
Answer = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class ViewCache:
    """A view of a pack with its teachers' answers. `images`: uint8 [n, h, w, 3]; `targets`: one float16 [n, d] a
    teacher; `rows`: the rows that are finished."""

    images: Stacked
    targets: list[Stacked]
    rows: np.ndarray


def work_order(count: int) -> np.ndarray:
    """The order in which the rows of a source are worked off."""
    return np.random.default_rng(20).permutation(count)


def rows_done(folder: Path, view: int) -> int:
    """How many rows of a source are finished."""
    state = folder / f"view-{view}.json"
    return json.loads(state.read_text())["done"] if state.exists() else 0


def open_view(pack: Pack, view: int, teachers: Sequence[str]) -> ViewCache | None:
    """The cached view with the answers of the named teachers, or None when nothing of it is there yet."""
    counts = [part.count for part in pack.parts]
    done = [rows_done(part.folder, view) for part in pack.parts]
    if not any(done):
        return None

    def stack(name: str) -> Stacked:
        files = [part.folder / name for part in pack.parts]
        return Stacked([np.load(f, mmap_mode="r") if n else None for f, n in zip(files, done, strict=True)], counts)

    rows = [part.first + work_order(part.count)[:n] for part, n in zip(pack.parts, done, strict=True)]
    images = pack.images if view == 0 else stack(f"view-{view}.npy")
    return ViewCache(images, [stack(f"view-{view}-{name}.npy") for name in teachers], np.concatenate(rows))


def teach_view(pack: Pack, view: int, teachers: Mapping[str, Answer], seed: int) -> None:
    """Makes view number `view` of every source and all teachers' answers to it, from where an earlier run stopped."""
    before = sum(rows_done(part.folder, view) for part in pack.parts)
    if before >= len(pack):
        return
    progress = Progress(f"view {view}", len(pack), before)
    for part in pack.parts:
        teach_part(part, view, teachers, seed, progress)
    progress.close()


def teach_part(
    part: Part, view: int, teachers: Mapping[str, Answer], seed: int, progress: Progress, end: float | None = None
) -> None:
    """One view of one source; until `end` by the monotonic clock, if that is given."""
    done = rows_done(part.folder, view)
    if done >= part.count:
        return
    source = np.load(part.folder / "images.npy", mmap_mode="r")
    images = None if view == 0 else _array(part.folder / f"view-{view}.npy", source.shape, np.uint8)
    dims = {name: answer(np.array(source[:1])).shape[1] for name, answer in teachers.items()}
    answers = {
        name: _array(part.folder / f"view-{view}-{name}.npy", (part.count, dim), np.float16) for name, dim in dims.items()
    }
    order = work_order(part.count)
    while done < part.count and (end is None or time.monotonic() < end):
        rows = np.sort(order[done : done + CHUNK])
        made = np.stack([view_of(source, int(row), view, seed) for row in rows])
        if images is not None:
            images[rows] = made
            images.flush()
        for name, answer in teachers.items():
            answers[name][rows] = answer(made)
            answers[name].flush()
        done += len(rows)
        write_json(part.folder / f"view-{view}.json", {"done": done, "seed": seed, "teachers": list(teachers)})
        progress.update(progress.done + len(rows))


def _array(path: Path, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """A writable memory-mapped array, made when it is not there."""
    if not path.exists():
        row = bytes(math.prod(shape[1:]) * np.dtype(dtype).itemsize)
        write_array(path, shape, dtype, itertools.repeat(row, shape[0]))
    return np.load(path, mmap_mode="r+")
