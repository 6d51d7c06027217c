"""Generated people: coloured figures that a tiny network can tell apart in seconds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch


def person(number: int, rng: np.random.Generator, height: int = 64, width: int = 32) -> np.ndarray:
    """A figure in the colours of this person on a random background: uint8 [height, width, 3]."""
    colours = np.random.default_rng(number).integers(0, 256, (2, 3))
    image = np.full((height, width, 3), rng.integers(60, 200, 3), np.uint8)
    shift = int(rng.integers(-2, 3))
    image[height // 6 : height // 2, width // 4 + shift : 3 * width // 4 + shift] = colours[0]
    image[height // 2 : -4, width // 3 + shift : 2 * width // 3 + shift] = colours[1]
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def write(path: Path, image: np.ndarray) -> None:
    """A JPEG, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Tests share the machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in Market's naming: 8 people, 2 cameras, 4 pictures each of them; one damaged file; one lone picture."""
    folder = tmp_path_factory.mktemp("market")
    rng = np.random.default_rng(1)
    for number in range(1, 9):
        for camera in (1, 2):
            for i in range(4):
                write(folder / f"{number:04d}_c{camera}s1_{i:06d}_00.jpg", person(number, rng))
    write(folder / "0099_c1s1_000000_00.jpg", person(99, rng))
    (folder / "0001_c1s1_000099_00.jpg").write_bytes(b"\xff\xd8 no picture")
    return folder


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder a person: 5 people, 6 pictures each."""
    folder = tmp_path_factory.mktemp("people")
    rng = np.random.default_rng(2)
    for number in range(5):
        for i in range(6):
            write(folder / f"person-{number}" / f"{i}.jpg", person(number, rng))
    return folder
