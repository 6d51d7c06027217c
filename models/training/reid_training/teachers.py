"""Teachers and the cache of their answers: computed once by OpenVINO, resumed where it stopped.

Intel's `person-reidentification-retail-0277` and `-0286` (Apache-2.0, Open Model Zoo; OSNet with linear context
transform): input [1, 3, 256, 128] BGR 0..255, output 256 numbers, normalised here to unit length.

The answers to a source lie in its folder of the cache. For view `v` there are the pictures (`view-<v>.npy`, uint8, absent
for view 0, which is the pack itself), a float16 [n, 256] array for each teacher, and `view-<v>.json` with the count of
rows finished. Rows are worked off in a fixed random order, so that a half-finished view is a fair sample.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.lib.format import open_memmap

from reid_training.data.pack import Pack, Part, Stacked
from reid_training.data.views import view_of
from reid_training.errors import DataError
from reid_training.progress import Progress

TEACHER_HEIGHT, TEACHER_WIDTH, TEACHER_DIM = 256, 128, 256
CHUNK = 1024


class Teacher:
    """One OpenVINO (or ONNX) embedder on one thread. `fast` lets OpenVINO compute in bfloat16 where the processor can:
    measured cosine to float32 0.9997, at less than half of the time."""

    def __init__(self, path: Path, batch: int = 8, threads: int = 1, fast: bool = True) -> None:
        import openvino

        if not path.exists():
            raise DataError(f"teacher {path} does not exist; check --teachers")
        core = openvino.Core()
        model = core.read_model(path)
        model.reshape([batch, 3, TEACHER_HEIGHT, TEACHER_WIDTH])
        options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "bf16" if fast else "f32"}
        self.request = core.compile_model(model, "CPU", options).create_infer_request()
        self.batch = batch

    def embed(self, images: np.ndarray) -> np.ndarray:
        """uint8 [n, h, w, 3] RGB of any size → float32 [n, 256] of unit length."""
        out = np.empty((len(images), TEACHER_DIM), np.float32)
        block = np.zeros((self.batch, 3, TEACHER_HEIGHT, TEACHER_WIDTH), np.float32)
        for start in range(0, len(images), self.batch):
            part = images[start : start + self.batch]
            for i, image in enumerate(part):
                big = cv2.resize(image, (TEACHER_WIDTH, TEACHER_HEIGHT), interpolation=cv2.INTER_LINEAR)
                block[i] = big[..., ::-1].transpose(2, 0, 1)
            self.request.infer({0: block})
            answer = self.request.get_output_tensor(0).data.reshape(self.batch, -1)
            out[start : start + len(part)] = answer[: len(part)]
        norms = np.linalg.norm(out, axis=1, keepdims=True)
        return out / np.maximum(norms, 1e-12)


@dataclass(frozen=True)
class ViewCache:
    """A view of a pack with its teachers' answers. `images`: uint8 [n, h, w, 3]; `targets`: one float16 [n, 256] a
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


def teach_view(pack: Pack, view: int, teachers: dict[str, Path], seed: int, threads: int = 1) -> None:
    """Makes view number `view` of every source and all teachers' answers to it, from where an earlier run stopped."""
    before = sum(rows_done(part.folder, view) for part in pack.parts)
    if before >= len(pack):
        return
    models = {name: Teacher(path, threads=threads) for name, path in teachers.items()}
    progress = Progress(f"view {view}", len(pack), before)
    for part in pack.parts:
        teach_part(part, view, models, seed, progress)
    progress.close()


def teach_part(part: Part, view: int, models: dict[str, Teacher], seed: int, progress: Progress) -> None:
    """One view of one source."""
    done = rows_done(part.folder, view)
    if done >= part.count:
        return
    source = np.load(part.folder / "images.npy", mmap_mode="r")
    images = None if view == 0 else _array(part.folder / f"view-{view}.npy", source.shape, np.uint8)
    answers = {
        name: _array(part.folder / f"view-{view}-{name}.npy", (part.count, TEACHER_DIM), np.float16) for name in models
    }
    order = work_order(part.count)
    while done < part.count:
        rows = np.sort(order[done : done + CHUNK])
        made = np.stack([view_of(source, int(row), view, seed) for row in rows])
        if images is not None:
            images[rows] = made
            images.flush()
        for name, model in models.items():
            answers[name][rows] = model.embed(made)
            answers[name].flush()
        done += len(rows)
        _write_state(part.folder / f"view-{view}.json", {"done": done, "seed": seed, "teachers": list(models)})
        progress.update(progress.done + len(rows))


def _array(path: Path, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """A writable memory-mapped array, made when it is not there."""
    if path.exists():
        return np.load(path, mmap_mode="r+")
    return open_memmap(path, "w+", dtype, shape)


def _write_state(path: Path, content: dict) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(content))
    os.replace(draft, path)
