"""Files that are whole or not there: written beside the old one and renamed over it, with errors that say what to do.

A full disk is no fault of the code, so it ends a command in one line. What was there before stays as it was.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from reid_training.errors import DiskError

_FULL = "free some space and run the command again; a training goes on with --resume"
_CLOSED = "choose a place that may be written to"
_TAKEN = "something else has that name; move it away or choose another place"
#: What helps against the errors of a disk; other errors of the operating system are not the disk's.
REMEDIES = {
    errno.ENOSPC: _FULL, errno.EDQUOT: _FULL, errno.EFBIG: _FULL,
    errno.EACCES: _CLOSED, errno.EPERM: _CLOSED, errno.EROFS: _CLOSED,
    errno.EEXIST: _TAKEN, errno.ENOTDIR: _TAKEN, errno.EISDIR: _TAKEN,
    errno.EIO: "check the disk",
}


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns what a disk refuses while `path` is written into a `DiskError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in REMEDIES:
            raise
        raise DiskError(f"{path} cannot be written ({error.strerror}): {REMEDIES[error.errno]}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A free path beside `path`, for the block to make a file or a folder there, which then takes the place of `path`.

    When the block fails, `path` is as it was and nothing lies beside it. Raises `DiskError`."""
    draft = path.with_name(f"draft{os.getpid()}-{path.name}")
    with disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _remove(draft)
            yield draft
            if draft.is_dir():
                _remove(path)
            os.replace(draft, path)
        finally:
            _remove(draft)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """A folder and those above it, where they are missing. Raises `DiskError`."""
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replaces a text file. Raises `DiskError`."""
    with replacing(path) as draft:
        draft.write_text(text)


def write_json(path: Path, content: Any) -> None:
    """Replaces a JSON file. Raises `DiskError`."""
    write_text(path, json.dumps(content, indent=1))


def write_array(path: Path, shape: tuple[int, ...], dtype: type, chunks: Iterable[bytes]) -> None:
    """Replaces an `.npy` file by an array whose bytes come in chunks. Raises `DiskError`.

    A new array is written, not mapped: a page of a map that finds no space on the disk kills the process."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with replacing(path) as draft, open(draft, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.writelines(chunks)
