"""Where crops come from: identity data sets as folders or tars, and the boxes of detection data.

Every source yields `Crop`s. Five forms are understood:

* `market`: pictures named `IIII_cC…` (Market-1501, CUHK03 and others in its naming); `-1` is nobody. `0000` is an ordinary
  person here (CUHK03 has one); that it means "distractor" in Market's gallery is the evaluation's business.
* `msmt17`: `<identity>/<identity>_<n>_<camera>_<…>.jpg`, the naming of MSMT17.
* `tree`: `<identity>/<anything>.jpg`, any folder tree with a folder a person; no camera is known.
* `mot`: folders with `img1/<frame>.jpg` and `gt/gt.txt` (`frame,id,x,y,w,h,…`), a folder a camera, numbered in name order.
* `yolo`: `images/*.jpg` with `labels/*.txt` (`class cx cy w h`, 0..1); every tall enough box is a crop without identity.

Pictures that cannot be read, and further ones of the same name, are skipped, counted and listed in `Skipped`; they never
end a run. Nor do people without a usable picture, who are named there.
"""

from __future__ import annotations

import fnmatch
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from reid_training.errors import ConfigError, DataError
from reid_training.progress import listed

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
UNKNOWN = -1

#: Formats with a folder a person.
FOLDER_A_PERSON = ("msmt17", "tree")
MARKET_NAME = re.compile(r"^(-?\d+)_c(\d+)")
MSMT17_NAME = re.compile(r"^(\d+)_\d+_(\d+)")


@dataclass(frozen=True)
class Crop:
    """One picture of one person. `image`: uint8 [height, width, 3], RGB. `identity`, `camera`: as the source
    names them, `UNKNOWN` where it does not say. `name`: unique within the source."""

    image: np.ndarray
    identity: str
    camera: int
    name: str


@dataclass
class Skipped:
    """Pictures left out, with the reason, and people left without any (`empty`, their folders): said once at the end of
    reading, never silently."""

    reasons: dict[str, str] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)

    def add(self, name: str, reason: str) -> None:
        """Notes a picture."""
        self.reasons[name] = reason

    def __len__(self) -> int:
        return len(self.reasons)

    def report(self, most: int = 10) -> str:
        """Counts and the first names, for people."""
        lines = [f"{len(self)} pictures skipped:"] if self.reasons else ["no picture skipped"]
        lines += [f"  {name}: {reason}" for name, reason in list(self.reasons.items())[:most]]
        if len(self) > most:
            lines.append(f"  and {len(self) - most} more")
        if self.empty:
            lines.append(f"WARNING: {len(self.empty)} people without a usable picture: {listed(self.empty, most)}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Source:
    """One data set of a configuration (`[[source]]`).

    `path`: a folder or tar below the data folder; the first that exists of several. `labels`: whether identities are
    used. `include`/`exclude`: shell patterns on file names. `min_height_px`, `min_aspect`: for boxes of `yolo`.
    `hold_out`: identities kept for validation. `required`: an error, rather than a warning, when it is missing."""

    name: str
    path: tuple[str, ...]
    format: str = "market"
    labels: bool = True
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    min_height_px: int = 48
    min_aspect: float = 0.8
    hold_out: int = 0
    required: bool = True

    def __post_init__(self) -> None:
        if self.format not in READERS:
            raise ConfigError(f"source {self.name}: format {self.format!r} is none of {', '.join(READERS)}")

    def locate(self, data: Path) -> Path | None:
        """The folder or tar that holds this source, or None."""
        candidates = [data / part for part in self.path]
        return next((place for place in candidates if place.exists()), None)

    def missing(self, data: Path) -> DataError:
        """The error that this source is not below the data folder."""
        return DataError(
            f"data set {self.name!r} not found: none of {', '.join(self.path)} exists below {data}. "
            "Check --data, or remove the source from the configuration"
        )

    def wants(self, name: str) -> bool:
        """Whether a file name passes `include` and `exclude`."""
        return any(fnmatch.fnmatch(name, p) for p in self.include) and not any(
            fnmatch.fnmatch(name, p) for p in self.exclude
        )


def decode(data: bytes) -> np.ndarray | None:
    """Encoded picture → uint8 [height, width, 3] RGB, or None when it is damaged or empty."""
    if not data:
        return None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def entries_of(place: Path) -> Iterator[tuple[str, Callable[[], bytes] | None]]:
    """All files and folders below a folder (in name order) or in a tar, as (relative name, reader of a file's bytes)."""
    if place.is_dir():
        for path in sorted(place.rglob("*")):
            if path.is_file() or path.is_dir():
                yield path.relative_to(place).as_posix(), None if path.is_dir() else path.read_bytes
        return
    try:
        with tarfile.open(place) as tar:
            for member in tar:
                if member.isfile() or member.isdir():
                    read = None if member.isdir() else lambda m=member: tar.extractfile(m).read()
                    yield member.name.removeprefix("./"), read
    except tarfile.TarError as error:
        raise DataError(f"{place} is neither a folder nor a readable tar: {error}") from error


def files_of(place: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """The files among `entries_of`."""
    return ((name, read) for name, read in entries_of(place) if read is not None)


def pictures_of(source: Source, place: Path, skipped: Skipped) -> Iterator[tuple[str, np.ndarray]]:
    """The usable pictures of a source, as (relative name, image); of several of the same name the first."""
    taken: Counter[str] = Counter()
    folders, used = set(), set()
    for name, read in entries_of(place):
        folder, _, base = name.rpartition("/")
        folders.add(name if read is None else folder)
        if read is None or not base.lower().endswith(PICTURE_SUFFIXES) or not source.wants(base):
            continue
        key = name if source.format == "tree" else base
        if taken[key]:
            taken[key] += 1
            skipped.add(f"{source.name}/{name} ({taken[key]})", "another picture of this name is used")
            continue
        image = decode(_bytes(read))
        if image is None:
            skipped.add(f"{source.name}/{name}", "cannot be decoded")
            continue
        taken[key] = 1
        used.add(folder)
        yield name, image
    if source.format in FOLDER_A_PERSON:
        around = {folder.rpartition("/")[0] for folder in folders}
        skipped.empty = sorted(folders - around - used - {""})


def _bytes(read: Callable[[], bytes]) -> bytes:
    """A file's content, nothing when it cannot be read."""
    try:
        return read()
    except OSError:
        return b""


def read_market(source: Source, place: Path, skipped: Skipped) -> Iterator[Crop]:
    """`IIII_cC…` names: person and camera."""
    for name, image in pictures_of(source, place, skipped):
        match = MARKET_NAME.match(name.rsplit("/", 1)[-1])
        if match is None:
            skipped.add(f"{source.name}/{name}", "not named IIII_cC…")
            continue
        yield Crop(image, match[1], int(match[2]), name)


def read_msmt17(source: Source, place: Path, skipped: Skipped) -> Iterator[Crop]:
    """`<identity>/<identity>_<n>_<camera>_…` names."""
    for name, image in pictures_of(source, place, skipped):
        match = MSMT17_NAME.match(name.rsplit("/", 1)[-1])
        if match is None or "/" not in name:
            skipped.add(f"{source.name}/{name}", "not named <identity>/<identity>_<n>_<camera>_…")
            continue
        yield Crop(image, match[1], int(match[2]), name)


def read_tree(source: Source, place: Path, skipped: Skipped) -> Iterator[Crop]:
    """A folder a person; cameras unknown."""
    for name, image in pictures_of(source, place, skipped):
        folder, _, _ = name.rpartition("/")
        if not folder:
            skipped.add(f"{source.name}/{name}", "lies in no identity folder")
            continue
        yield Crop(image, folder, UNKNOWN, name)


def read_yolo(source: Source, place: Path, skipped: Skipped) -> Iterator[Crop]:
    """Boxes of detection data that are tall enough; a picture without a readable label file is skipped."""
    labels = {
        name.rsplit("/", 1)[-1].removesuffix(".txt"): read()
        for name, read in files_of(place)
        if name.endswith(".txt") and "labels/" in name
    }
    for name, image in pictures_of(source, place, skipped):
        stem = name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
        if stem not in labels:
            skipped.add(f"{source.name}/{name}", "no label file")
            continue
        for number, box in enumerate(parse_boxes(labels[stem])):
            crop = cut(image, box, source.min_height_px, source.min_aspect)
            if crop is not None:
                yield Crop(crop, str(UNKNOWN), UNKNOWN, f"{name}#{number}")


def read_mot(source: Source, place: Path, skipped: Skipped) -> Iterator[Crop]:
    """Boxes of MOT ground truth in a folder of cameras; identities are shared by the cameras."""
    for camera, truth in enumerate(sorted(place.glob("*/gt/gt.txt"))):
        folder = truth.parent.parent / "img1"
        if not source.wants(truth.parent.parent.name) or not folder.is_dir():
            continue
        rows = np.loadtxt(truth, delimiter=",", ndmin=2)
        for path in sorted(folder.iterdir()):
            image = decode(_bytes(path.read_bytes))
            if image is None:
                skipped.add(f"{source.name}/{path.name}", "cannot be decoded")
                continue
            height, width = image.shape[:2]
            for _, person, x, y, w, h in rows[rows[:, 0] == int(path.stem), :6]:
                box = ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
                crop = cut(image, box, source.min_height_px, source.min_aspect)
                if crop is not None:
                    yield Crop(crop, str(int(person)), camera, f"{truth.parent.parent.name}/{path.name}#{int(person)}")


def parse_boxes(text: bytes) -> list[tuple[float, float, float, float]]:
    """YOLO label lines → (cx, cy, w, h) in 0..1; lines that are no five numbers are ignored."""
    boxes = []
    for line in text.decode("utf-8", "replace").splitlines():
        try:
            _, cx, cy, w, h = (float(v) for v in line.split()[:5])
        except ValueError:
            continue
        boxes.append((cx, cy, w, h))
    return boxes


def cut(image: np.ndarray, box: tuple[float, float, float, float], min_height: int, min_aspect: float) -> np.ndarray | None:
    """The pixels of a box clipped to the picture, or None when it is too small or too wide to be a standing person."""
    height, width = image.shape[:2]
    cx, cy, w, h = box
    left, right = round(max(0.0, (cx - w / 2)) * width), round(min(1.0, (cx + w / 2)) * width)
    top, bottom = round(max(0.0, (cy - h / 2)) * height), round(min(1.0, (cy + h / 2)) * height)
    if bottom - top < min_height or right - left < 8 or (bottom - top) < min_aspect * (right - left):
        return None
    return image[top:bottom, left:right]


READERS: dict[str, Callable[[Source, Path, Skipped], Iterator[Crop]]] = {
    "market": read_market,
    "msmt17": read_msmt17,
    "tree": read_tree,
    "mot": read_mot,
    "yolo": read_yolo,
}


def detect_source(data: Path) -> Source:
    """What a single folder or tar given as `--data` holds, judged by the names of its first thousand pictures."""
    if not data.exists():
        raise DataError(f"{data} does not exist; give --data a folder or tar with pictures of people")
    names = []
    for name, _ in files_of(data):
        if name.lower().endswith(PICTURE_SUFFIXES):
            names.append(name)
        if len(names) == 1000:
            break
    if not names:
        raise DataError(f"{data} holds no pictures ({', '.join(PICTURE_SUFFIXES)})")
    bases = [name.rsplit("/", 1)[-1] for name in names]
    nested = all("/" in name for name in names)
    if all(MARKET_NAME.match(base) for base in bases):
        form = "market"
    elif nested and all(MSMT17_NAME.match(base) for base in bases):
        form = "msmt17"
    elif nested:
        form = "tree"
    else:
        raise DataError(
            f"{data} is no identity data set: wanted names like 0002_c1…, or a folder a person; found {names[0]}"
        )
    return Source(name=data.name, path=(".",), format=form)
