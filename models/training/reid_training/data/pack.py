"""The packed data set: every crop resized once into one memory-mapped array, so that reading a batch costs a copy.

A pack is a folder with `images.npy` (uint8 [n, height, width, 3], RGB) and `index.npz`:

* `source`: int16 [n], number of the source in `sources.json`;
* `identity`: int32 [n], one number a person over all sources, -1 unknown or not a person of its own;
* `camera`: int16 [n], -1 unknown;
* `held_out`: bool [n], identities kept for validation;
* `names`: the picture each row came from.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.lib.format import open_memmap

from reid_training.data.sources import UNKNOWN, Skipped, Source, detect_source, read_source
from reid_training.errors import DataError
from reid_training.progress import say

PACK_VERSION = 1


@dataclass(frozen=True)
class Pack:
    """An opened pack; arrays as in the module text, `images` memory-mapped read-only."""

    folder: Path
    images: np.ndarray
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


def pack_key(sources: Sequence[Source], height: int, width: int) -> str:
    """A short name that changes whenever what is packed changes."""
    text = json.dumps([PACK_VERSION, height, width, [asdict(source) for source in sources]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def open_pack(folder: Path) -> Pack:
    """Opens a finished pack."""
    with np.load(folder / "index.npz") as index:
        arrays = {key: index[key] for key in ("source", "identity", "camera", "held_out", "names")}
    sources = json.loads((folder / "sources.json").read_text())
    return Pack(folder=folder, images=np.load(folder / "images.npy", mmap_mode="r"), sources=sources, **arrays)


def make_pack(sources: Sequence[Source], data: Path, cache: Path, height: int = 128, width: int = 64) -> Pack:
    """Opens the pack of these sources below `cache`, making it first when it is not there.

    Sources not required and missing are said and left out. Raises `DataError` when nothing is left."""
    present = [s for s in sources if s.required or s.locate(data) is not None]
    for source in sources:
        if source not in present:
            say(f"data set {source.name!r} not found below {data}: left out")
    if not present:
        raise DataError(f"no data set of the configuration was found below {data}")
    folder = cache / f"pack-{pack_key(present, height, width)}"
    if not (folder / "index.npz").exists():
        write_pack(present, data, folder, height, width)
    pack = open_pack(folder)
    say(f"{len(pack)} crops of {height}x{width}:\n{pack.summary()}")
    return pack


def write_pack(sources: Sequence[Source], data: Path, folder: Path, height: int, width: int) -> None:
    """Reads every source and writes the pack; a half-written folder never looks finished."""
    draft = folder.with_name(folder.name + f".draft{os.getpid()}")
    draft.mkdir(parents=True, exist_ok=True)
    skipped = Skipped()
    columns: dict[str, list] = {"source": [], "identity": [], "camera": [], "held_out": [], "names": []}
    count, next_identity = 0, 0
    with open(draft / "raw.u8", "wb") as raw:
        for number, source in enumerate(sources):
            people: dict[str, int] = {}
            first = count
            for crop in read_source(source, data, skipped):
                known = source.labels and not crop.identity.startswith("-")
                if known:
                    people.setdefault(crop.identity, next_identity + len(people))
                raw.write(resize(crop.image, height, width).tobytes())
                columns["source"].append(number)
                columns["identity"].append(people[crop.identity] if known else UNKNOWN)
                columns["camera"].append(crop.camera)
                columns["names"].append(crop.name)
                count += 1
            held = hold_out(sorted(people.values()), source.hold_out)
            columns["held_out"].extend(identity in held for identity in columns["identity"][first:])
            next_identity += len(people)
            say(f"{source.name}: {count - first} crops, {len(people)} people")
    if count == 0:
        shutil.rmtree(draft)
        raise DataError(f"no usable picture below {data}\n{skipped.report()}")
    flat = np.memmap(draft / "raw.u8", np.uint8, "r", shape=(count, height, width, 3))
    images = open_memmap(draft / "images.npy", "w+", np.uint8, (count, height, width, 3))
    for start in range(0, count, 4096):
        images[start : start + 4096] = flat[start : start + 4096]
    images.flush()
    (draft / "raw.u8").unlink()
    (draft / "sources.json").write_text(json.dumps([source.name for source in sources]))
    (draft / "skipped.json").write_text(json.dumps(skipped.reasons, indent=1))
    np.savez(
        draft / "index.npz",
        source=np.array(columns["source"], np.int16),
        identity=np.array(columns["identity"], np.int32),
        camera=np.array(columns["camera"], np.int16),
        held_out=np.array(columns["held_out"], bool),
        names=np.array(columns["names"]),
    )
    if folder.exists():
        shutil.rmtree(folder)
    draft.rename(folder)
    say(skipped.report())


def hold_out(people: Sequence[int], count: int) -> set[int]:
    """`count` people spread evenly over the list: the same ones every time."""
    if count <= 0 or not people:
        return set()
    picks = np.linspace(0, len(people) - 1, min(count, len(people))).round().astype(int)
    return {people[i] for i in picks}
