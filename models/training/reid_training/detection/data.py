"""Pictures and labels in YOLO layout, where they come from and which of them may be trained on.

A data folder holds `images/` and, where boxes are known, `labels/` beside it (`0 cx cy w h`, all in 0..1 of the picture).
Picture names start with their source: `<source>_<name>.jpg`. A picture folder without `labels/` is unlabelled.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from reid_training.errors import DataError
from reid_training.files import replacing
from reid_training.progress import listed, say

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
WANTED = "--data wants YOLO layout: images/*.jpg and labels/*.txt"
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


def unpacked(places: Sequence[Path], cache: Path) -> list[Path]:
    """The data folders that `--data` names; a tar among them is unpacked below `cache/unpacked`, once and whenever it has
    changed. Raises :class:`DataError` for a tar that is damaged, reaches out of its folder or holds no `images/`."""
    tars = [place.name for place in places if place.is_file()]
    twice = sorted({name for name in tars if tars.count(name) > 1})
    if twice:
        raise DataError(f"--data names two tars {twice[0]}; rename one")
    return [_unpack(place, cache / "unpacked" / place.name) if place.is_file() else place for place in places]


def _unpack(place: Path, folder: Path) -> Path:
    about = place.stat()
    stamp, marker = json.dumps({"bytes": about.st_size, "mtime_ns": about.st_mtime_ns}), "unpacked.json"
    if (folder / marker).is_file() and (folder / marker).read_text() == stamp:
        return folder
    say(f"unpacking {place} into {folder} …")
    try:
        with tarfile.open(place) as tar, replacing(folder) as draft:
            if not any("images" in PurePosixPath(member.name).parts for member in tar):
                raise DataError(f"{place}: no images/ folder in it; {WANTED}")
            for member in tar:
                _extract(tar, member, draft, place)
            (draft / marker).write_text(stamp)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{place} is neither a folder nor a tar that can be unpacked: {error}") from error
    return folder


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, place: Path) -> None:
    """Writes a plain file of a tar; links and devices are passed over. (tarfile's own filters are missing in Python 3.11.2.)"""
    inside = PurePosixPath(member.name)
    if inside.is_absolute() or ".." in inside.parts:
        raise DataError(f"{place}: {member.name} lies outside of the folder that it is unpacked into")
    content = tar.extractfile(member) if member.isfile() else None
    if content is not None:
        (folder / inside).parent.mkdir(parents=True, exist_ok=True)
        with content, (folder / inside).open("wb") as out:
            shutil.copyfileobj(content, out)


def tell_unreadable(count: int, done: str, bad: Sequence[str]) -> None:
    """Says how many pictures are `done`, and which could not be read."""
    say(f"{count} pictures {done}, {len(bad)} unreadable{': ' if bad else ''}{listed(bad)}")


def find_picture_folders(roots: Sequence[Path]) -> list[Path]:
    """Every `images/` folder at or below the roots, sorted; raises :class:`DataError` for a root without one."""
    found: list[Path] = []
    for root in roots:
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; {WANTED}")
        patterns = ["/".join(["*"] * depth + ["images"]) for depth in range(SEARCH_DEPTH)]
        here = [root] if root.name == "images" else sorted(p for pattern in patterns for p in root.glob(pattern) if p.is_dir())
        if not here:
            raise DataError(f"{root}: no images/ folder in it; {WANTED}")
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
