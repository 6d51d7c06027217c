"""Packed data sets: every crop resized once into a memory-mapped array, so that reading a batch costs a copy.

Each source has a folder of its own in the cache, so that adding one leaves the others, and the teachers' answers to them,
as they are. It holds `images.npy` (uint8 [n, height, width, 3], RGB), `index.npz` (`identity` int32 [n], numbered from 0
in order of appearance, -1 nobody; `camera` int16 [n], -1 unknown; `names` [n], the picture each row came from) and
`skipped.json`. A `Pack` is several of them joined, people numbered through.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from reid_training.data.sources import READERS, UNKNOWN, Skipped, Source, detect_source
from reid_training.errors import DataError
from reid_training.files import replacing, write_array
from reid_training.progress import say

PACK_VERSION = 2
CHUNK = 1 << 24  # bytes copied at once


class Stacked:
    """Arrays of equal row shape read as one, [n, …]; a part that is None has rows nobody asks for."""

    def __init__(self, parts: Sequence[np.ndarray | None], counts: Sequence[int]) -> None:
        self.parts = parts
        self.starts = np.concatenate([[0], np.cumsum(counts)])
        self.model = next(part for part in parts if part is not None)

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        """[n, …]."""
        return (len(self), *self.model.shape[1:])

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        """A copy of the rows; of one row without the first dimension."""
        if isinstance(rows, slice):
            rows = np.arange(len(self))[rows]
        wanted = np.atleast_1d(rows)
        part_of = np.searchsorted(self.starts, wanted, side="right") - 1
        out = np.empty((len(wanted), *self.shape[1:]), self.model.dtype)
        for number in np.unique(part_of):
            mine = part_of == number
            part = self.parts[number]
            if part is None:
                raise IndexError(f"part {number} of a stacked array is not there")
            out[mine] = part[wanted[mine] - self.starts[number]]
        return out if np.ndim(rows) else out[0]


@dataclass(frozen=True)
class Part:
    """One source in the cache: rows `first` to `first + count` of the pack."""

    folder: Path
    first: int
    count: int


@dataclass(frozen=True)
class Pack:
    """Joined sources. `images` uint8 [n, h, w, 3]; `source` int16 [n], number in `sources`; `identity` int32 [n], one
    number a person over all sources, -1 nobody or unknown; `camera` int16 [n]; `held_out` bool [n], people kept for
    validation; `names` [n]."""

    parts: list[Part]
    images: Stacked
    source: np.ndarray
    identity: np.ndarray
    camera: np.ndarray
    held_out: np.ndarray
    names: np.ndarray
    sources: list[str]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the stored pictures in pixels."""
        return self.images.shape[1], self.images.shape[2]

    def rows_of(self, names: Sequence[str]) -> np.ndarray:
        """Row numbers of the named sources."""
        wanted = [self.sources.index(name) for name in names if name in self.sources]
        return np.flatnonzero(np.isin(self.source, wanted))

    def summary(self) -> str:
        """A line a source: crops, people, held-out people."""
        lines = []
        for number, name in enumerate(self.sources):
            rows = self.source == number
            people = np.unique(self.identity[rows & (self.identity >= 0)])
            held = np.unique(self.identity[rows & self.held_out])
            lines.append(f"  {name}: {rows.sum()} crops, {len(people)} people, {len(held)} held out")
        return "\n".join(lines)


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 picture → [height, width, 3]; area averaging when it shrinks, bilinear when it grows."""
    shrinks = image.shape[0] > height and image.shape[1] > width
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def sources_below(sources: Sequence[Source], data: Path) -> tuple[Source, ...]:
    """The configuration's sources when `data` holds any of them, else `data` itself as the one data set."""
    if any(source.locate(data) is not None for source in sources):
        return tuple(sources)
    return (detect_source(data),)


def folder_of(source: Source, place: Path, cache: Path, height: int, width: int) -> Path:
    """The folder of a source in the cache; its name changes whenever what is packed changes."""
    rules = [source.format, source.include, source.exclude, source.min_height_px, source.min_aspect]
    text = json.dumps([PACK_VERSION, height, width, str(place.resolve()), rules])
    return cache / f"{source.name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def make_pack(sources: Sequence[Source], data: Path, cache: Path, height: int = 128, width: int = 64) -> Pack:
    """Joins the packs of these sources below `cache`, making what is not there.

    Sources not required and missing are said and left out. Raises `DataError` when nothing is left."""
    present, folders = [], []
    for source in sources:
        place = source.locate(data)
        if place is None and not source.required:
            say(f"data set {source.name!r} not found below {data}: left out")
            continue
        if place is None:
            raise source.missing(data)
        folder = folder_of(source, place, cache, height, width)
        if not (folder / "index.npz").exists():
            write_pack(source, place, folder, height, width)
        present.append(source)
        folders.append(folder)
    if not present:
        raise DataError(f"no data set of the configuration was found below {data}")
    pack = join(present, folders)
    say(f"{len(pack)} crops of {height}x{width}:\n{pack.summary()}")
    return pack


def join(sources: Sequence[Source], folders: Sequence[Path]) -> Pack:
    """Opens finished packs as one."""
    columns: dict[str, list[np.ndarray]] = {"source": [], "identity": [], "camera": [], "held_out": [], "names": []}
    images, parts, people, first = [], [], 0, 0
    for number, (source, folder) in enumerate(zip(sources, folders, strict=True)):
        with np.load(folder / "index.npz") as index:
            local = index["identity"] if source.labels else np.full_like(index["identity"], UNKNOWN)
            columns["camera"].append(index["camera"])
            columns["names"].append(index["names"])
        held = hold_out(sorted(set(local.tolist()) - {UNKNOWN}), source.hold_out)
        columns["held_out"].append(np.isin(local, list(held)))
        columns["identity"].append(np.where(local >= 0, local + people, UNKNOWN).astype(np.int32))
        columns["source"].append(np.full(len(local), number, np.int16))
        images.append(np.load(folder / "images.npy", mmap_mode="r"))
        parts.append(Part(folder, first, len(local)))
        people, first = people + int(local.max(initial=-1)) + 1, first + len(local)
    arrays = {name: np.concatenate(column) for name, column in columns.items()}
    names = [source.name for source in sources]
    return Pack(parts=parts, images=Stacked(images, [part.count for part in parts]), sources=names, **arrays)


def write_pack(source: Source, place: Path, folder: Path, height: int, width: int) -> None:
    """Reads a source and writes its pack; a half-written folder never looks finished. Raises `DiskError`."""
    skipped = Skipped()
    people: dict[str, int] = {}
    identity, camera, names = [], [], []
    with replacing(folder) as draft:
        draft.mkdir()
        with open(draft / "raw.u8", "wb") as raw:
            for crop in READERS[source.format](source, place, skipped):
                raw.write(resize(crop.image, height, width).tobytes())
                nobody = crop.identity.startswith("-")
                identity.append(UNKNOWN if nobody else people.setdefault(crop.identity, len(people)))
                camera.append(crop.camera)
                names.append(crop.name)
        if not names:
            raise DataError(f"{source.name}: no usable picture in {place}\n{skipped.report()}")
        with open(draft / "raw.u8", "rb") as raw:
            write_array(draft / "images.npy", (len(names), height, width, 3), np.uint8, iter(partial(raw.read, CHUNK), b""))
        (draft / "raw.u8").unlink()
        (draft / "skipped.json").write_text(json.dumps(skipped.reasons, indent=1))
        index = {"identity": np.array(identity, np.int32), "camera": np.array(camera, np.int16), "names": np.array(names)}
        np.savez(draft / "index.npz", **index)
    say(f"{source.name}: {len(names)} crops packed, {skipped.report()}")


def hold_out(people: Sequence[int], count: int) -> set[int]:
    """`count` people spread evenly over the list: the same ones every time."""
    if count <= 0 or not people:
        return set()
    picks = np.linspace(0, len(people) - 1, min(count, len(people))).round().astype(int)
    return {people[i] for i in picks}
