"""Pictures and labels in YOLO layout, where they come from and which of them may be trained on.

A data folder holds `images/` and, where boxes are known, `labels/` beside it (`0 cx cy w h`, all in 0..1 of the picture).
Picture names start with their source: `<source>_<name>.jpg`. A picture folder without `labels/` is unlabelled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reid_training.errors import DataError

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
#: How deep below a data folder an `images/` folder is looked for.
SEARCH_DEPTH = 3
#: Sources that measure whether the detector travels: never trained on, never used to choose a checkpoint.
HELD_OUT_SOURCES = frozenset({"office", "matrix"})
#: Sources that are validation as a whole, and how many originals of others are validation too (data README, "Use").
VALIDATION_SOURCES = frozenset({"coco128val"})
VALIDATION_ORIGINALS = {"pennfudan": 20, "cafe": 14}


@dataclass(frozen=True)
class Picture:
    """One picture file. `boxes` is `[n, 4]` float32 `x0, y0, x1, y1` in 0..1, or None where nothing is known."""

    path: Path
    source: str
    original: str
    boxes: np.ndarray | None

    @property
    def key(self) -> str:
        """Name that is unique over all data folders used here, and stable between machines."""
        return self.path.name


def find_picture_folders(roots: Sequence[Path]) -> list[Path]:
    """Every `images/` folder at or below the roots, sorted; raises :class:`DataError` for a root without one."""
    found: list[Path] = []
    for root in roots:
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; --data wants folders that hold images/ and labels/ (YOLO layout)")
        patterns = ["/".join(["*"] * depth + ["images"]) for depth in range(SEARCH_DEPTH)]
        here = [root] if root.name == "images" else sorted(p for pattern in patterns for p in root.glob(pattern) if p.is_dir())
        if not here:
            raise DataError(f"{root}: no images/ folder in it; --data wants YOLO layout: images/*.jpg and labels/*.txt")
        found += here
    return found


def read_labels(path: Path) -> np.ndarray:
    """Reads a YOLO label file into `[n, 4]` float32 corners in 0..1; class 0 only, boxes clipped to the picture."""
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        try:
            label, cx, cy, w, h = int(float(fields[0])), *(float(f) for f in fields[1:5])
        except ValueError as error:
            raise DataError(f"{path}:{number}: wants `class cx cy w h`, got {line!r}") from error
        if label == 0 and np.isfinite([cx, cy, w, h]).all() and w > 0 and h > 0:
            rows.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
    return np.asarray(rows, np.float32).reshape(-1, 4).clip(0, 1)


def source_of(name: str) -> str:
    """The source prefix of a picture name: `cafe_IMG_1_rf_2.jpg` -> `cafe`."""
    return name.split("_", 1)[0]


def original_of(name: str) -> str:
    """The picture that a name is a copy of: Roboflow exports repeat the part before `_rf_` for augmented copies."""
    return Path(name).stem.split("_rf_")[0]


def scan(roots: Sequence[Path]) -> list[Picture]:
    """All pictures below the data folders, sorted by name; a second picture of the same name is an error."""
    pictures: dict[str, Picture] = {}
    for folder in find_picture_folders(roots):
        labels = folder.parent / "labels"
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() not in PICTURE_SUFFIXES:
                continue
            if path.name in pictures:
                raise DataError(f"{path}: a picture of the same name is in {pictures[path.name].path.parent}; rename one")
            label = labels / f"{path.stem}.txt"
            boxes = read_labels(label) if label.is_file() else None
            pictures[path.name] = Picture(path, source_of(path.name), original_of(path.name), boxes)
    if not pictures:
        raise DataError(f"no pictures ({', '.join(sorted(PICTURE_SUFFIXES))}) below {', '.join(map(str, roots))}")
    return [pictures[name] for name in sorted(pictures)]


def rank(text: str) -> bytes:
    """A key that shuffles names the same way on every machine."""
    return hashlib.sha256(text.encode()).digest()


def validation_originals(pictures: Iterable[Picture]) -> set[str]:
    """The originals kept for validation from partly trained sources: the first by hash, so the choice never moves."""
    by_source: dict[str, set[str]] = {source: set() for source in VALIDATION_ORIGINALS}
    for picture in pictures:
        if picture.source in by_source:
            by_source[picture.source].add(picture.original)
    return {o for source, originals in by_source.items() for o in sorted(originals, key=rank)[: VALIDATION_ORIGINALS[source]]}


@dataclass(frozen=True)
class Split:
    """`train` may be trained on, `validation` chooses the checkpoint, `held_out` is only ever measured."""

    train: list[Picture]
    validation: list[Picture]
    held_out: list[Picture]


def split(pictures: Sequence[Picture]) -> Split:
    """Splits by source and by original, never by picture."""
    kept_back = validation_originals(pictures)
    train, validation, held_out = [], [], []
    for picture in pictures:
        if picture.source in HELD_OUT_SOURCES:
            held_out.append(picture)
        elif picture.source in VALIDATION_SOURCES or picture.original in kept_back:
            validation.append(picture)
        else:
            train.append(picture)
    return Split(train, validation, held_out)
