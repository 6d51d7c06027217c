"""All pictures in one file, shrunk once, so that a training step spends its time on the network.

`pack.bin` is the JPEG bytes of every picture one behind the other, longest side at most :data:`LONGEST_SIDE`;
`pack.npz` says where each begins, its size and its name. A picture that cannot be read is left out, counted and listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from reid_training.errors import DataError
from reid_training.files import replacing

from .data import Picture

#: Pixels; twice the smallest and one and a half times the usual training input, so that zooming in still has detail.
LONGEST_SIDE = 640
JPEG_QUALITY = 90


def _shrink(path: Path) -> tuple[bytes, tuple[int, int]] | None:
    """JPEG bytes and `(height, width)` of a picture file, or None when it cannot be read or decoded."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if picture is None:
        return None
    height, width = picture.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1 and path.suffix.lower() in {".jpg", ".jpeg"}:
        return data, (height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    ok, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return (encoded.tobytes(), picture.shape[:2]) if ok else None


def build(pictures: Sequence[Picture], folder: Path, threads: int = 2) -> list[str]:
    """Writes the pack; returns the names of the pictures that could not be read. Raises `DiskError`, leaving an older pack."""
    names, offsets, sizes, bad, end = [], [0], [], [], 0
    with replacing(folder / "pack.bin") as part, replacing(folder / "pack.npz") as index:
        with part.open("wb") as out, ThreadPoolExecutor(threads) as pool:
            for picture, shrunk in zip(pictures, pool.map(_shrink, (p.path for p in pictures)), strict=True):
                if shrunk is None:
                    bad.append(picture.key)
                    continue
                out.write(shrunk[0])
                end += len(shrunk[0])
                names.append(picture.key)
                offsets.append(end)
                sizes.append(shrunk[1])
        if not names:
            raise DataError("none of the pictures could be decoded")
        np.savez(
            index,
            names=np.asarray(names),
            offsets=np.asarray(offsets, np.int64),
            sizes=np.asarray(sizes, np.int32),
            bad=np.asarray(bad, "U"),
        )
    return bad


@dataclass(frozen=True)
class Pack:
    """A pack opened for reading; the bytes stay in the page cache, shared by all worker processes. `bad`: pictures that
    could not be read when it was made."""

    names: list[str]
    offsets: np.ndarray
    sizes: np.ndarray
    bytes_: np.ndarray
    row: dict[str, int]
    bad: list[str]

    @classmethod
    def open(cls, folder: Path) -> Pack:
        """Opens `folder/pack.bin`; raises :class:`DataError` when it is not there."""
        if not (folder / "pack.npz").is_file():
            raise DataError(f"{folder}: no packed pictures; run the pack command first")
        with np.load(folder / "pack.npz") as index:
            names = index["names"].tolist()
            offsets, sizes, bad = index["offsets"], index["sizes"], index["bad"].tolist()
        data = np.memmap(folder / "pack.bin", np.uint8, "r")
        return cls(names, offsets, sizes, data, {name: i for i, name in enumerate(names)}, bad)

    def decode(self, name: str, shrink: int = 1) -> np.ndarray:
        """`[h, w, 3]` uint8 BGR; `shrink` 2, 4 or 8 decodes at that fraction of the size, much faster."""
        i = self.row[name]
        flag = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}[
            shrink
        ]
        return cv2.imdecode(self.bytes_[self.offsets[i] : self.offsets[i + 1]], flag | cv2.IMREAD_IGNORE_ORIENTATION)
