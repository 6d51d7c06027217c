"""Sources, packs, views and samplers."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import person, write

from reid_training.data.batches import PeopleSampler, erase, to_input, training_rows
from reid_training.data.pack import Stacked, hold_out, make_pack
from reid_training.data.sources import READERS, Skipped, Source, cut, detect_source
from reid_training.data.views import augment, is_mixed, look_down, mix, view_of
from reid_training.errors import ConfigError, DataError


def test_market_folder_is_packed_and_the_damaged_picture_is_listed(market: Path, tmp_path: Path) -> None:
    pack = make_pack([Source("m", (market.name,), hold_out=2)], market.parent, tmp_path, 64, 32)
    assert len(pack) == 65
    assert len(np.unique(pack.identity)) == 9
    assert len(np.unique(pack.identity[pack.held_out])) == 2
    assert set(pack.camera) == {1, 2}
    skipped = json.loads((pack.parts[0].folder / "skipped.json").read_text())
    assert skipped == {"m/0001_c1s1_000099_00.jpg": "cannot be decoded"}


def test_a_tar_gives_the_same_pack_as_its_folder(market: Path, tmp_path: Path) -> None:
    archive = tmp_path / "market.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(market, arcname="bounding_box_train")
    one = make_pack([Source("m", (market.name,))], market.parent, tmp_path, 64, 32)
    two = make_pack([Source("m", (archive.name,))], tmp_path, tmp_path, 64, 32)
    key = lambda pack: sorted((str(n).rsplit("/", 1)[-1], int(i.sum())) for n, i in zip(pack.names, pack.images, strict=True))  # noqa: E731
    assert key(one) == key(two)


def test_pictures_of_one_name_are_used_once(market: Path, tmp_path: Path) -> None:
    """Market's names say person, camera, sequence and frame; a tree's people may have pictures of equal names."""
    rng = np.random.default_rng(0)
    names = ("a/0001_c1s1_01.jpg", "b/0001_c1s1_01.jpg", "b/0001_c1s1_02.jpg", "c/0001_c1s1_02.jpg", "d/0001_c1s1_01.jpg")
    for name in names:
        write(tmp_path / "set" / name, person(1, rng))
    (tmp_path / "set/b/0001_c1s1_02.jpg").write_bytes(b"damaged: the other one is used")
    skipped = Skipped()
    used = [crop.name for crop in READERS["market"](Source("s", ("set",)), tmp_path / "set", skipped)]
    assert used == ["a/0001_c1s1_01.jpg", "c/0001_c1s1_02.jpg"] and len(skipped) == 3
    pack = make_pack([Source("s", ("set",))], tmp_path, tmp_path / "cache", 64, 32)
    listed = json.loads((pack.parts[0].folder / "skipped.json").read_text())
    assert listed["s/d/0001_c1s1_01.jpg (3)"] == "another picture of this name is used" and len(listed) == 3
    assert len(list(READERS["tree"](Source("s", ("set",), "tree"), tmp_path / "set", Skipped()))) == 4


def test_pictures_that_a_tar_holds_twice_are_used_once(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write(tmp_path / "one.jpg", person(1, np.random.default_rng(0)))
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        for _ in range(3):
            tar.add(tmp_path / "one.jpg", "./anna/one.jpg")
        tar.add(tmp_path / "one.jpg", "bert/one.jpg")
    pack = make_pack([Source("t", ("t.tar",), "tree")], tmp_path, tmp_path / "cache", 64, 32)
    assert list(pack.names) == ["anna/one.jpg", "bert/one.jpg"]
    assert "2 pictures skipped" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_people_without_a_picture_are_named(tree: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture) -> None:
    place = tmp_path / "people.tar"
    with tarfile.open(place, "w") as tar:
        tar.add(tree, "people")
        for name in ("people/nobody", "people/zoe"):
            folder = tarfile.TarInfo(name)
            folder.type = tarfile.DIRTYPE
            folder.mode = 0o755
            tar.addfile(folder)
        damaged = tarfile.TarInfo("people/zoe/1.jpg")
        damaged.size = 4
        tar.addfile(damaged, io.BytesIO(b"torn"))
    if kind == "folder":
        with tarfile.open(place) as tar:
            tar.extractall(tmp_path / "all", filter="data")
        place = tmp_path / "all"
    pack = make_pack([Source("t", (str(place),), "tree")], tmp_path, tmp_path / "cache", 64, 32)
    assert len(np.unique(pack.identity)) == 5
    assert "WARNING: 2 people without a usable picture: people/nobody, people/zoe" in capsys.readouterr().out


def test_tree_msmt17_and_market_are_recognised(market: Path, tree: Path, tmp_path: Path) -> None:
    assert detect_source(market).format == "market"
    assert detect_source(tree).format == "tree"
    rng = np.random.default_rng(0)
    for number in (0, 1):
        write(tmp_path / "ms" / f"{number:04d}" / f"{number:04d}_000_05_0303morning_0008_0.jpg", person(number, rng))
    assert detect_source(tmp_path / "ms").format == "msmt17"
    crops = list(READERS["msmt17"](Source("ms", ("ms",), "msmt17"), tmp_path / "ms", Skipped()))
    assert [(c.identity, c.camera) for c in crops] == [("0000", 5), ("0001", 5)]


def test_person_zero_is_a_person_and_minus_one_is_nobody(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("0000_c1_01.jpg", "0000_c2_01.jpg", "-1_c1_02.jpg"):
        write(tmp_path / "set" / name, person(1, rng))
    pack = make_pack([Source("set", ("set",))], tmp_path, tmp_path / "cache", 64, 32)
    assert sorted(pack.identity) == [-1, 0, 0]


def test_boxes_of_yolo_data_are_cut_and_small_ones_left(tmp_path: Path) -> None:
    write(tmp_path / "yolo/images/a.jpg", np.full((200, 300, 3), 90, np.uint8))
    write(tmp_path / "yolo/images/nolabel.jpg", np.full((200, 300, 3), 90, np.uint8))
    label = tmp_path / "yolo/labels/a.txt"
    label.parent.mkdir()
    label.write_text("0 0.5 0.5 0.2 0.8\n0 0.1 0.1 0.01 0.05\nbroken line\n0 0.9 0.5 0.4 0.9\n")
    skipped = Skipped()
    crops = list(READERS["yolo"](Source("y", ("yolo",), "yolo"), tmp_path / "yolo", skipped))
    assert [c.image.shape[:2] for c in crops] == [(160, 60), (180, 90)]
    assert list(skipped.reasons.values()) == ["no label file"]


def test_a_box_outside_the_picture_gives_no_crop() -> None:
    assert cut(np.zeros((100, 100, 3), np.uint8), (1.5, 0.5, 0.2, 0.9), 10, 0.8) is None


def test_missing_and_wrong_data_say_what_to_check(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="m.*not found.*--data"):
        make_pack([Source("m", ("nowhere",))], tmp_path, tmp_path)
    with pytest.raises(ConfigError, match="format 'voc'"):
        Source("m", ("x",), "voc")
    write(tmp_path / "flat/holiday.jpg", np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(DataError, match="no identity data set"):
        detect_source(tmp_path / "flat")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures"):
        detect_source(tmp_path / "empty")
    (tmp_path / "not.tar").write_bytes(b"text")
    with pytest.raises(DataError, match="neither a folder nor a readable tar"):
        detect_source(tmp_path / "not.tar")


def test_views_depend_on_seed_row_and_number_alone() -> None:
    images = [person(number, np.random.default_rng(number), 128, 64) for number in range(8)]
    assert np.array_equal(view_of(images, 5, 0, 1), images[5])
    for view in (2, 3):
        assert np.array_equal(view_of(images, 5, view, 1), view_of(images, 5, view, 1))
    assert not np.array_equal(view_of(images, 5, 2, 1), view_of(images, 5, 1, 1))
    rng = np.random.default_rng(4)
    for _ in range(100):
        out = augment(images[5], rng)
        assert out.shape == images[5].shape and out.dtype == np.uint8


def test_mixed_views_join_the_halves_of_two_crops() -> None:
    white, black = np.full((128, 64, 3), 250, np.uint8), np.full((128, 64, 3), 5, np.uint8)
    rng = np.random.default_rng(3)
    for _ in range(50):
        out = mix(white, black, rng)
        assert out.shape == white.shape and out.dtype == np.uint8
        ends = {int(out[0].mean()) > 100, int(out[-1].mean()) > 100}
        assert ends == {True, False}, "one half of each"
    tilted = look_down(white, rng)
    assert tilted.shape == white.shape and tilted.mean() > 240
    assert is_mixed(3) and not is_mixed(2)


def test_sampler_repeats_the_only_picture_of_a_person(market: Path, tmp_path: Path) -> None:
    pack = make_pack([Source("m", (market.name,))], market.parent, tmp_path, 64, 32)
    sampler = PeopleSampler(pack, training_rows(pack, ()))
    assert (sampler.people, sampler.single) == (9, 1)
    rows = sampler.draw(np.random.default_rng(0), 9, 4)
    assert len(rows) == 36
    assert all(len(set(pack.identity[rows[i : i + 4]])) == 1 for i in range(0, 36, 4))


def test_left_out_and_held_out_people_are_not_trained_on(market: Path, tree: Path, tmp_path: Path) -> None:
    sources = [Source("m", (str(market),), hold_out=3), Source("t", (str(tree),), "tree")]
    pack = make_pack(sources, tmp_path, tmp_path, 64, 32)
    rows = training_rows(pack, ["t"])
    assert not rows[pack.rows_of(["t"])].any() and not rows[pack.held_out].any() and rows.any()
    with pytest.raises(DataError, match="leave_out names 'x'"):
        training_rows(pack, ["x"])


def test_hold_out_is_spread_and_stable() -> None:
    assert hold_out(list(range(100)), 3) == {0, 50, 99} or hold_out(list(range(100)), 3) == {0, 49, 99}
    assert hold_out([], 3) == set()


def test_input_is_normalised_and_resized() -> None:
    x = to_input(np.full((2, 64, 32, 3), 255, np.uint8), 96, 48)
    assert x.shape == (2, 3, 96, 48)
    assert np.allclose(x[0, :, 0, 0].numpy(), [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], atol=1e-4)


def test_erasing_changes_the_share_asked_for() -> None:
    images = np.zeros((200, 32, 16, 3), np.uint8)
    erase(images, np.random.default_rng(0), 0.5)
    changed = images.reshape(200, -1).any(1).sum()
    assert 70 < changed < 130


def test_adding_a_source_leaves_the_others_as_they_are(market: Path, tree: Path, tmp_path: Path) -> None:
    sources = [Source("m", (str(market),), hold_out=2), Source("t", (str(tree),), "tree")]
    one = make_pack(sources[:1], tmp_path, tmp_path, 64, 32)
    stamp = (one.parts[0].folder / "images.npy").stat().st_mtime_ns
    two = make_pack(sources, tmp_path, tmp_path, 64, 32)
    assert (two.parts[0].folder / "images.npy").stat().st_mtime_ns == stamp
    assert np.array_equal(one.identity, two.identity[: len(one)]) and len(np.unique(two.identity)) == 9 + 5
    assert cv2.imread(str(market / str(two.names[0]))) is not None


def test_stacked_arrays_read_as_one() -> None:
    parts = [np.arange(6).reshape(3, 2), np.arange(6, 10).reshape(2, 2)]
    whole, stacked = np.concatenate(parts), Stacked(parts, [3, 2])
    assert stacked.shape == (5, 2) and np.array_equal(np.asarray(stacked[:]), whole)
    for rows in (np.array([4, 0, 3, 3]), slice(1, 4), 2, np.array([], int)):
        assert np.array_equal(stacked[rows], whole[rows])
    with pytest.raises(IndexError):
        Stacked([parts[0], None], [3, 2])[np.array([4])]
