"""Disks that are full or closed: one line that says what to do, and what was there before stays."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from matplotlib.figure import Figure

from reid_training import files, plots
from reid_training.cli import main
from reid_training.data.pack import make_pack
from reid_training.data.sources import Source
from reid_training.detection import data, export, model, pack, teachers, train
from reid_training.errors import DiskError
from reid_training.export import Facts, export_checked
from reid_training.nets import make_net
from reid_training.variants import write_half


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def prepare_pack(folder: Path) -> Callable[[], object]:
    from conftest import person, write

    write(folder / "pictures/street_1.jpg", person(1, np.random.default_rng(0)))
    some = [data.Picture(folder / "pictures/street_1.jpg", "street", "street_1", None)]
    pack.build(some, folder / "cache")
    return lambda: pack.build(some, folder / "cache")


def prepare_export(folder: Path) -> Callable[[], object]:
    net, path = make_net("compact", 8), folder / "net.onnx"
    path.write_bytes(b"old")
    return lambda: export_checked(net, Facts("x", 128, 64), path)


def prepare_detector(folder: Path) -> Callable[[], object]:
    config = train.Config.from_dict({"size": {"stem": 8, "stages": [8, 8, 8, 8], "depths": [1, 1, 1], "neck": 8, "head": 8}})
    net = model.Detector(config.size)
    run = train.Run(config, net, torch.nn.Identity(), torch.optim.SGD(net.parameters()), train.Average(net, 0.9), "cpu", folder)
    run.save("last.pt")
    (folder / "d.onnx").write_bytes(b"old")
    return lambda: export.export(folder / "last.pt", folder / "d.onnx", 64)


def prepare_variant(folder: Path) -> Callable[[], object]:
    export_checked(make_net("compact", 8), Facts("x", 128, 64), folder / "net.onnx")
    write_half(folder / "net.onnx", folder / "net.fp16.onnx")
    return lambda: write_half(folder / "net.onnx", folder / "net.fp16.onnx")


def prepare_plot(folder: Path) -> Callable[[], object]:
    plots.draw_history([{"loss": 1.0}], folder / "curves.png")
    return lambda: plots.draw_history([{"loss": 2.0}], folder / "curves.png")


def prepare_teacher(folder: Path) -> Callable[[], object]:
    cache = teachers.Cache(folder / "teacher-x.npz")
    cache.save()
    return cache.save


def prepare_text(folder: Path) -> Callable[[], object]:
    files.write_json(folder / "history.json", [1])
    return lambda: files.write_json(folder / "history.json", [1, 2])


@pytest.mark.parametrize(
    ("prepare", "writer"),
    [
        (prepare_pack, (np, "savez")),
        (prepare_export, (torch.onnx, "export")),
        (prepare_detector, (onnx, "save")),
        (prepare_variant, (onnx, "save")),
        (prepare_plot, (Figure, "savefig")),
        (prepare_teacher, (np, "savez_compressed")),
        (prepare_text, (Path, "write_text")),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_full_disk_leaves_the_old_file(
    prepare: Callable[[Path], Callable[[], object]], writer: tuple[object, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_again = prepare(tmp_path)
    before = contents(tmp_path)
    monkeypatch.setattr(*writer, full)
    with pytest.raises(DiskError, match=r"cannot be written \(No space left on device\): free some space.*--resume"):
        write_again()
    assert contents(tmp_path) == before


@pytest.mark.parametrize("writer", [(np, "savez"), (np.lib.format, "write_array_header_1_0")], ids=lambda value: value[1])
def test_a_full_disk_leaves_no_half_pack(
    market: Path, tmp_path: Path, writer: tuple[object, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source("m", (market.name,))
    monkeypatch.setattr(*writer, full)
    with pytest.raises(DiskError, match="free some space"):
        make_pack([source], market.parent, tmp_path, 64, 32)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    assert len(make_pack([source], market.parent, tmp_path, 64, 32)) == 65


def test_the_command_says_it_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "history.json").write_text(json.dumps([{"loss": 1.0}]))
    arguments = ["plot", str(tmp_path / "history.json"), "--to"]
    assert main([*arguments, str(tmp_path / "history.json/curves.png")]) == 1
    assert "move it away or choose another place" in capsys.readouterr().err
    monkeypatch.setattr(Figure, "savefig", full)
    assert main([*arguments, str(tmp_path / "curves.png")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "curves.png" in said and said.count("\n") == 1


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), files.replacing(tmp_path / "x"):
        (tmp_path / "none").read_bytes()
    with pytest.raises(KeyboardInterrupt), files.replacing(tmp_path / "x") as draft:
        draft.mkdir()
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_folders_and_files_take_the_place_of_old_ones(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with files.replacing(tmp_path / "deep/folder") as draft:
            draft.mkdir()
            (draft / text).write_text(text)
        files.write_text(tmp_path / "deep/file", text)
    assert contents(tmp_path) == {tmp_path / "deep/folder/new": b"new", tmp_path / "deep/file": b"new"}


def test_an_array_in_chunks_is_read_as_one(tmp_path: Path) -> None:
    wanted = np.arange(60, dtype=np.float16).reshape(5, 3, 4)
    files.write_array(tmp_path / "a.npy", wanted.shape, np.float16, (row.tobytes() for row in wanted))
    assert np.array_equal(np.load(tmp_path / "a.npy", mmap_mode="r"), wanted)
