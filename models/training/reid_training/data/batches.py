"""Batches out of a pack and its cached views: people by people for the identity losses, anything for the teacher's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from reid_training.data.pack import Pack
from reid_training.data.views import augment, cut_off, is_mixed
from reid_training.errors import DataError
from reid_training.teachers import ViewCache, open_view

# ImageNet's channel statistics, the convention of timm and of the embedders' metadata; RGB, 0..1
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def to_input(images: np.ndarray, height: int, width: int) -> Tensor:
    """uint8 [n, h, w, 3] RGB → float32 [n, 3, height, width], normalised, channels last in memory."""
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()
    if x.shape[2:] != (height, width):
        x = F.interpolate(x, (height, width), mode="bilinear", antialias=True)
    mean = torch.tensor(MEAN).view(1, 3, 1, 1) * 255
    std = torch.tensor(STD).view(1, 3, 1, 1) * 255
    return ((x - mean) / std).contiguous(memory_format=torch.channels_last)


def training_rows(pack: Pack, leave_out: Sequence[str]) -> np.ndarray:
    """bool [n]: rows that may be trained on: not held out, not of a source that is left out."""
    unknown = sorted(set(leave_out) - set(pack.sources))
    if unknown:
        raise DataError(f"leave_out names {unknown[0]!r}, which is no source of this configuration")
    banned = [pack.sources.index(name) for name in leave_out]
    return ~pack.held_out & ~np.isin(pack.source, banned)


class PeopleSampler:
    """P people, K pictures of each. People with one picture only are used too: it is drawn K times (a different view
    each time), which is a positive pair of two augmentations. Where no people are `wanted` there need not be any."""

    def __init__(self, pack: Pack, rows: np.ndarray, wanted: bool = True) -> None:
        usable = rows & (pack.identity >= 0)
        people, self.classes = np.unique(pack.identity[usable], return_inverse=True)
        if wanted and len(people) < 2:
            raise DataError("fewer than two known people to train on; check the sources and their names")
        order = np.argsort(self.classes, kind="stable")
        numbers = np.flatnonzero(usable)[order]
        starts = np.searchsorted(self.classes[order], np.arange(len(people) + 1))
        self.rows_of = [numbers[a:b] for a, b in zip(starts[:-1], starts[1:], strict=True)]
        self.set_of = np.array([pack.source[rows[0]] for rows in self.rows_of], int)
        self.single = sum(len(rows) == 1 for rows in self.rows_of)
        self.class_of = np.full(len(pack), -1, np.int64)
        self.class_of[usable] = self.classes

    @property
    def people(self) -> int:
        """How many people there are to tell apart."""
        return len(self.rows_of)

    def draw(self, rng: np.random.Generator, people: int, per_person: int, sets: int = 0) -> np.ndarray:
        """Row numbers, int [people * per_person]. With `sets` the people are of so many data sets, drawn by how many people
        each has."""
        if not people:
            return np.empty(0, int)
        chosen = rng.choice(self.people, min(people, self.people), replace=False)
        if sets:
            names, counts = np.unique(self.set_of, return_counts=True)
            drawn = rng.choice(names, min(sets, len(names)), replace=False, p=counts / counts.sum())
            mine = [np.flatnonzero(self.set_of == name) for name in drawn]
            chosen = np.concatenate([rng.choice(of, min(people // len(mine), len(of)), replace=False) for of in mine])
        rows = [rng.choice(self.rows_of[c], per_person, replace=len(self.rows_of[c]) < per_person) for c in chosen]
        return np.concatenate(rows)


@dataclass(frozen=True)
class Batch:
    """`images` uint8 [n, h, w, 3]; `targets` float32 [n, d] of unit length, zeros where no teacher has answered; `classes`
    int64 [n], -1 unknown; `sets` int64 [n], the data set that a picture is of."""

    images: np.ndarray
    targets: Tensor
    classes: Tensor
    sets: Tensor


class ViewBatches:
    """Draws pictures from all cached views of a pack, with the teachers' joined answers.

    The answers are joined with the given weights and scaled to unit length. Views still being made are used as far as
    they have come; `refresh` looks again. `fresh`: every picture is augmented anew instead of shown as cached. Its target
    is the answer to the plain crop (view 0): a teacher need only be asked once a crop, and the student learns to answer to half a
    person in bad light as the teacher does to the whole one. Known people are shown without an answer, too."""

    def __init__(
        self, pack: Pack, rows: np.ndarray, views: Sequence[int], teachers: dict[str, float], fresh: bool = False
    ) -> None:
        views = [0] if fresh else views
        self.pack, self.rows, self.views, self.teachers, self.fresh = pack, rows, views, teachers, fresh
        self.refresh()

    def refresh(self) -> None:
        """Opens what is cached by now."""
        found = [(view, open_view(self.pack, view, list(self.teachers))) for view in self.views]
        there = [(view, cache) for view, cache in found if cache is not None and len(cache.rows)]
        self.caches: list[ViewCache] = [cache for _, cache in there]
        self.mixed = np.array([is_mixed(view) for view, _ in there], bool)
        if self.mixed.all() and not self.fresh:
            raise DataError("no teacher answers are cached for this data; run the `teach` command first")
        self.ready = np.zeros((len(self.caches), len(self.pack)), bool)
        for number, cache in enumerate(self.caches):
            self.ready[number, cache.rows] = True
        self.usable = self.rows & (self.ready[~self.mixed].any(0) | (self.fresh & (self.pack.identity >= 0)))
        self.numbers = np.flatnonzero(self.usable)

    def answers(self, cache: ViewCache, rows: np.ndarray) -> np.ndarray:
        """The joined answers of one view, float32 [n, d] of unit length."""
        parts = [
            weight * target[rows].astype(np.float32)
            for weight, target in zip(self.teachers.values(), cache.targets, strict=True)
        ]
        joined = np.concatenate(parts, 1)
        return joined / np.linalg.norm(joined, axis=1, keepdims=True)

    def draw_rows(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Any usable rows."""
        return rng.choice(self.numbers, count)

    def fetch(self, rng: np.random.Generator, rows: np.ndarray, classes: np.ndarray, people: int | None = None) -> Batch:
        """A random cached view of every row, mirrored half of the time. The first `people` rows (all of them, when it is
        not given) show themselves; the others may show mixed people, whose class is -1."""
        if self.fresh:
            return self.fetch_fresh(rng, rows, classes)
        pick = rng.random((len(self.caches), len(rows))) * self.ready[:, rows]
        pick[self.mixed, :people] = 0.0
        view = pick.argmax(0)
        height, width = self.pack.size
        images = np.empty((len(rows), height, width, 3), np.uint8)
        targets: np.ndarray | None = None
        for number, cache in enumerate(self.caches):
            mine = np.flatnonzero(view == number)
            if len(mine) == 0:
                continue
            answers = self.answers(cache, rows[mine])
            targets = np.empty((len(rows), answers.shape[1]), np.float32) if targets is None else targets
            images[mine], targets[mine] = cache.images[rows[mine]], answers
        mirror = rng.random(len(rows)) < 0.5
        images[mirror] = images[mirror][:, :, ::-1]
        shown = np.where(self.mixed[view], -1, classes[rows])
        return Batch(images, torch.from_numpy(targets), torch.from_numpy(shown), self.sets_of(rows))

    def fetch_fresh(self, rng: np.random.Generator, rows: np.ndarray, classes: np.ndarray) -> Batch:
        """Every row augmented anew, some cut off, with the answer to its plain crop."""
        images = np.stack([augment(cut_off(image, rng), rng) for image in self.pack.images[rows]])
        targets = np.zeros((len(rows), 0), np.float32)
        for cache, ready in zip(self.caches, self.ready, strict=True):
            there = np.flatnonzero(ready[rows])
            answers = self.answers(cache, rows[there] if len(there) else cache.rows[:1])
            targets = np.zeros((len(rows), answers.shape[1]), np.float32)
            targets[there] = answers[: len(there)]
        return Batch(images, torch.from_numpy(targets), torch.from_numpy(classes[rows]), self.sets_of(rows))

    def sets_of(self, rows: np.ndarray) -> Tensor:
        """Number of the data set of each row, int64."""
        return torch.from_numpy(self.pack.source[rows].astype(np.int64))

    def bank(self, rng: np.random.Generator, count: int) -> Tensor:
        """Answers to random pictures that may be trained on, float32 [count, d]; nothing while no teacher has answered."""
        if not self.caches:
            return torch.empty(0)
        number = int(rng.choice(np.flatnonzero(~self.mixed)))
        rows = rng.choice(np.flatnonzero(self.rows & self.ready[number]), count)
        return torch.from_numpy(self.answers(self.caches[number], rows))


def erase(images: np.ndarray, rng: np.random.Generator, share: float) -> None:
    """Random erasing (Zhong et al., 2020), in place: a rectangle of 4 to 25 % of the picture becomes one colour."""
    height, width = images.shape[1:3]
    for i in np.flatnonzero(rng.random(len(images)) < share):
        area, aspect = rng.uniform(0.04, 0.25) * height * width, np.exp(rng.uniform(-1.0, 1.0))
        h, w = min(height, int((area * aspect) ** 0.5)), min(width, int((area / aspect) ** 0.5))
        top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
        images[i, top : top + h, left : left + w] = rng.integers(0, 256, 3)
