"""A training folder from nothing: one command, any number of times."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from reid_training.cli import main
from reid_training.recipes import embed
from reid_training.teachers import rows_done

CONFIG = """
recipe = "tiny"
task = "embed"
[[source]]
name = "boxes"
path = ["det-train"]
format = "yolo"
labels = false
min_height_px = 8
[[source]]
name = "market"
path = ["market1501/bounding_box_train"]
[[source]]
name = "prid450s"
path = ["reid/reid-extra/prid450s"]
[[probe]]
name = "matrix"
path = ["tracking/matrix"]
format = "mot"
[teach]
files = { a = "a.xml" }
weights = { a = 1.0 }
views = [0]
"""


def colours(images: np.ndarray) -> np.ndarray:
    return images.mean((1, 2)).astype(np.float32) + 1


@pytest.fixture
def collection(market: Path, tmp_path: Path) -> Path:
    """A collection of tars: one with the folder's name inside, one with more folders, one with pictures at once."""
    folder = tmp_path / "collection"
    some = sorted(market.glob("000[12]_*"))
    for name, inside in (
        ("reid/market1501-train.tar.gz", "bounding_box_train"), ("reid/reid-extra.tar.gz", "reid-extra/prid450s"),
        ("detection/train.tar", "images"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(folder / name, "w:gz" if name.endswith("gz") else "w") as tar:
            for path in some:
                tar.add(path, f"{inside}/{path.name}")
                if inside == "images":
                    label = tarfile.TarInfo(f"labels/{path.stem}.txt")
                    label.size = len(b"0 0.5 0.5 1 1\n")
                    tar.addfile(label, io.BytesIO(b"0 0.5 0.5 1 1\n"))
    (folder / "tracking/matrix").mkdir(parents=True)
    return folder


def test_one_command_lays_out_packs_and_teaches(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    asked = []

    def teacher(images: np.ndarray) -> np.ndarray:
        if len(images) > 1:  # one picture asks for the length of an answer
            asked.append(len(images))
        return colours(images)

    monkeypatch.setattr("reid_training.layout.open_teacher", lambda _: teacher)
    monkeypatch.setattr(embed, "probes_for", lambda *_: [])  # the linked folder is empty
    (tmp_path / "tiny.toml").write_text(CONFIG)
    work = ["--data", str(tmp_path / "data"), "--cache", str(tmp_path / "cache"), "--teachers", str(tmp_path)]
    arguments = ["prepare", str(tmp_path / "tiny.toml"), *work, "--from", str(collection)]
    assert main([*arguments, "--minutes", "0"]) == 1
    assert "the same command goes on" in capsys.readouterr().err
    assert not asked
    for folder in ("market1501/bounding_box_train", "reid/reid-extra/prid450s", "det-train/images", "tracking/matrix"):
        assert (tmp_path / "data" / folder).is_dir(), folder
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "unpacking" not in said and "packed" not in said
    first = list(asked)
    assert len(first) == 3 and {rows_done(path, 0) for path in (tmp_path / "cache").iterdir()} == set(first)
    assert main(arguments) == 0
    assert asked == first, "nobody is asked twice"


def test_known_people_are_asked_about_first(collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    monkeypatch.setattr("reid_training.layout.open_teacher", lambda _: colours)
    monkeypatch.setattr("reid_training.layout.teach_part", lambda part, *_: order.append(part.folder.name.rsplit("-", 1)[0]))
    monkeypatch.setattr(embed, "probes_for", lambda *_: [])
    (tmp_path / "tiny.toml").write_text(CONFIG)
    work = ["--data", str(tmp_path / "data"), "--cache", str(tmp_path / "cache"), "--teachers", str(tmp_path)]
    assert main(["prepare", str(tmp_path / "tiny.toml"), *work, "--from", str(collection)]) == 0
    assert order == ["market", "prid450s", "boxes"]


def test_what_is_wrong_with_a_collection_is_said(collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "tiny.toml").write_text(CONFIG)
    (tmp_path / "empty").mkdir()
    work = ["prepare", str(tmp_path / "tiny.toml"), "--data", str(tmp_path / "data"), "--cache", str(tmp_path / "cache")]
    for place, text in ((tmp_path / "empty", "check --from"), (tmp_path / "none", "is no folder")):
        assert main([*work, "--from", str(place)]) == 1
        assert text in capsys.readouterr().err
    (collection / "detection/train.tar").write_bytes(b"no tar")
    assert main([*work, "--from", str(collection)]) == 1
    assert "cannot be unpacked" in capsys.readouterr().err and not (tmp_path / "data/det-train").exists()
    with tarfile.open(collection / "detection/train.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("../outside.jpg"))
    assert main([*work, "--from", str(collection)]) == 1
    assert "lies outside" in capsys.readouterr().err
