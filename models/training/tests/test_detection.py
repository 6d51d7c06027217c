"""The detector recipe from pictures to an ONNX file, on generated pictures, in seconds."""

from __future__ import annotations

import io
import json
import math
import os
import tarfile
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from reid_training import checkpoint  # noqa: E402
from reid_training.cli import main  # noqa: E402
from reid_training.detection import (  # noqa: E402
    augment,
    boxes,
    data,
    distil,
    evaluate,
    export,
    labels,
    loss,
    model,
    pack,
    recipe,
    start,
    teachers,
    train,
    variants,
)
from reid_training.errors import CheckpointError, ConfigError, DataError, NanLoss  # noqa: E402
from reid_training.exported import read_exported  # noqa: E402
from reid_training.nets import make_net  # noqa: E402
from reid_training.variants import fnv1a, write_packed  # noqa: E402

CONFIG = """
recipe = "person-detector"
task = "detect"
evaluate_side = 96
[size]
stem = 8
stages = [8, 16, 16, 16]
depths = [1, 1, 1]
neck = 16
head = 8
[augmentation]
paste = 0.5
[schedule]
views = 16
batch = 4
warmup = 4
cooldown = 8
sides = [[0, 64, 96]]
evaluate_every = 8
"""
RECIPE = tomllib.loads(CONFIG)
TINY = RECIPE["size"]


def options(folder: Path, **more: object) -> train.Options:
    return train.Options(cache=folder / "cache", workers=0, **more)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twelve labelled pictures (one bright figure each), two unlabelled, one corrupt."""
    rng = np.random.default_rng(0)
    for kind in ("labelled/images", "labelled/labels", "unlabelled/images"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    names = [f"street_{i}" for i in range(8)] + [f"coco128val_{i}" for i in range(2)] + ["office_0", "cafe_0_rf_a", "cafe_0_rf_b"]
    for name in names:
        picture = rng.integers(0, 80, (90, 120, 3), np.uint8)
        cv2.rectangle(picture, (40, 20), (70, 80), (200, 220, 240), -1)
        cv2.imwrite(str(tmp_path / f"data/labelled/images/{name}.jpg"), picture)
        (tmp_path / f"data/labelled/labels/{name}.txt").write_text(
            f"0 {55 / 120} {50 / 90} {30 / 120} {60 / 90}\n1 0.1 0.1 0.1 0.1\n"
        )
    for i in range(2):
        cv2.imwrite(str(tmp_path / f"data/unlabelled/images/cctv_{i}.jpg"), rng.integers(0, 255, (48, 64, 3), np.uint8))
    (tmp_path / "data/labelled/images/street_bad.jpg").write_bytes(b"not a picture")
    (tmp_path / "data/labelled/labels/street_bad.txt").write_text("")
    return tmp_path / "data"


def test_split_keeps_the_held_out_apart(pictures: Path) -> None:
    split = data.split(data.scan([pictures]))
    assert {p.source for p in split.held_out} == {"office"}
    # all copies of an original go the same way
    assert {p.key for p in split.validation} == {"coco128val_0.jpg", "coco128val_1.jpg", "cafe_0_rf_a.jpg", "cafe_0_rf_b.jpg"}
    assert {p.source for p in split.train} == {"street", "cctv"}


@pytest.mark.parametrize("prepare", ["missing", "empty", "no pictures", "bad label", "doubled"])
def test_wrong_folders_are_named(tmp_path: Path, prepare: str) -> None:
    root = tmp_path / "d"
    if prepare != "missing":
        root.mkdir()
    if prepare in {"no pictures", "bad label", "doubled"}:
        for kind in ("images", "labels", "more/images"):
            (root / kind).mkdir(parents=True)
    if prepare in {"bad label", "doubled"}:
        (root / "images/a_1.jpg").write_bytes(b"")
        (root / "labels/a_1.txt").write_text("0 0.5 half 0.1 0.1" if prepare == "bad label" else "")
    if prepare == "doubled":
        (root / "more/images/a_1.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=str(root)):
        data.scan([root])


def test_train_export_and_continue(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    recipe.run(RECIPE, [pictures], out, options(tmp_path, export_to=tmp_path / "best.onnx"))
    assert (out / "best.pt").exists() == (tmp_path / "best.onnx").exists()
    assert (out / "course.png").stat().st_size > 1000
    assert (
        pack.Pack.open(tmp_path / "cache").row.keys() >= {"street_0.jpg"}
        and "street_bad.jpg" not in pack.Pack.open(tmp_path / "cache").row
    )
    state = checkpoint.load(out / "last.pt", model.RECIPE)
    assert state["number"] == 16
    history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert [h["number"] for h in history if "ap50" in h] == [8, 16, 16]
    worst = export.export(out / "last.pt", tmp_path / "detector.onnx", 96)
    assert worst <= export.TOLERANCE
    found = evaluate.onnx_detector(tmp_path / "detector.onnx", 96)(cv2.imread(str(pictures / "labelled/images/street_0.jpg")))
    assert found.boxes.shape == (len(found.scores), 4)
    import onnx

    notes = {p.key: p.value for p in onnx.load(tmp_path / "detector.onnx").metadata_props}
    assert notes["names"] == "{0: 'person'}" and notes["imgsz"] == "[96, 96]" and notes["reid.color"] == "RGB"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Teachers that see the bright figure in every picture; who was asked, once for every picture."""
    calls: list[str] = []

    def seer(name: str) -> object:
        def make(path: Path, threads: int) -> teachers.Detector:
            def detect(picture: np.ndarray) -> teachers.Detections:
                calls.append(name)
                return teachers.Detections.make(np.array([[0.33, 0.22, 0.59, 0.89]]), np.array([0.9]))

            return detect

        return make

    class Dense:
        """Answers of the right shapes, nobody anywhere."""

        def __init__(self, path: Path) -> None:
            assert path.name == "rtmdet-nano-person_x.onnx"

        def __call__(self, pictures: list[np.ndarray]) -> distil.Lesson:
            count, sides = len(pictures), [pictures[0].shape[0] // stride for stride in model.STRIDES]
            places = sum(side * side for side in sides)
            maps = tuple(torch.randn(count, distil.TEACHER_CHANNELS, side, side).half() for side in sides)
            return distil.Lesson(torch.full((count, places), -4.0), torch.zeros(count, places, 4), maps)

    monkeypatch.setattr(teachers, "TEACHERS", {name: seer(name) for name in teachers.TEACHERS})
    monkeypatch.setattr(distil, "Teacher", Dense)
    monkeypatch.setattr(train, "LOG_EVERY", 2)
    return calls


def packed_tar(folder: Path, to: Path) -> Path:
    with tarfile.open(to, "w") as tar:
        for path in sorted(folder.rglob("*")):
            tar.add(path, path.relative_to(folder), recursive=False)
    return to


def test_one_command_unpacks_teaches_trains_exports_and_draws(
    pictures: Path, tmp_path: Path, asked: list[str], capsys: pytest.CaptureFixture
) -> None:
    config, out, cache, folder = (tmp_path / name for name in ("d.toml", "out", "cache", "teachers"))
    config.write_text(CONFIG)
    folder.mkdir()
    for name in ("rtmdet-nano-person_x.onnx", "deimv2-femto_x.onnx", "person-detection-0303_x.xml"):
        (folder / name).write_bytes(b"")
    places = [str(pictures / "labelled"), str(packed_tar(pictures / "unlabelled", tmp_path / "more.tar"))]
    arguments = ["train", str(config), "--data", *places, "--out", str(out), "--cache", str(cache), "--device", "cpu"]
    assert main([*arguments, "--teachers", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "unpacking" in said and "10 pictures, 10 people from 2 sources" in said
    assert "14 pictures packed, 1 unreadable: street_bad.jpg" in said
    assert "10 pictures seen by deimv2, 1 unreadable: street_bad.jpg" in said
    assert sorted(asked) == ["deimv2"] * 10 + ["rtmdet"] * 10, "Intel's is not asked, held-out pictures are not shown"
    assert {"taught_score", "imitation"} <= json.loads((out / "history.jsonl").read_text().splitlines()[0]).keys()
    assert teachers.ort_session(out / "person-detector.onnx", 1).get_modelmeta().custom_metadata_map["reid.seen"] == "16"
    assert (out / "course.png").stat().st_size > 1000
    assert main([*arguments, "--teachers", str(folder), "--resume"]) == 0
    said = capsys.readouterr().out
    assert len(asked) == 20 and "unpacking" not in said and "continued at view 16" in said
    assert main([*arguments, "--resume", "--minutes", "0.0001"]) == 0
    assert "no --teachers: cached boxes of deimv2, rtmdet are used" in capsys.readouterr().out
    assert main(["export", *arguments[1:], "--to", str(tmp_path / "d.onnx"), "--variants"]) == 0
    assert "| d.int8.onnx |" in capsys.readouterr().out and (tmp_path / "d.w8.onnx").exists()
    # As the files that ship are made: weights packed, then the 8-bit file beside them.
    packed = tmp_path / "d.w8.onnx"
    assert main(["quantize", *arguments[1:], "--model", str(packed)]) == 0
    facts = teachers.ort_session(tmp_path / "d.w8.int8.onnx", 1).get_modelmeta().custom_metadata_map
    assert facts["reid.quantized-from"] == f"{fnv1a(packed.read_bytes()):016x}" and facts["reid.seen"] == "16"


def test_without_teachers_only_labelled_pictures_are_used(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    arguments = ["--data", str(pictures), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--device", "cpu"]
    config = tmp_path / "d.toml"
    config.write_text(CONFIG)
    assert main(["train", str(config), *arguments, "--minutes", "0.0001", "--resume", "--start", "random"]) == 0
    said = capsys.readouterr().out
    assert "no --teachers: only labelled pictures are used" in said and "8 pictures, 8 people from 1 sources" in said
    assert "this is the beginning" in said and "last.pt is exported" in said
    (tmp_path / "nobody").mkdir()
    for text, more in {
        "no teacher of the detector in": ["--teachers", str(tmp_path / "nobody")],
        "no checkpoint at gone.pt": ["--start", "gone.pt"],
    }.items():
        assert main(["train", str(config), *arguments, *more]) == 1
        assert text in capsys.readouterr().err, text
    assert main(["teach", str(config), *arguments]) == 1
    assert "give --teachers" in capsys.readouterr().err


def test_pictures_that_came_after_packing_are_named(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    config = train.Config.from_dict(RECIPE)
    train.prepare([pictures], tmp_path / "cache", config)
    (pictures / "labelled/images/street_0.jpg").rename(pictures / "labelled/images/street_new.jpg")
    capsys.readouterr()
    train.prepare([pictures], tmp_path / "cache", config)
    said = capsys.readouterr().out
    assert "14 pictures packed, 1 unreadable: street_bad.jpg" in said
    assert "WARNING: 1 pictures are left out" in said and "street_new.jpg" in said


def test_pictures_to_measure_on_that_cannot_be_read_are_named(pictures: Path, capsys: pytest.CaptureFixture) -> None:
    (pictures / "labelled/images/coco128val_0.jpg").write_bytes(b"no picture")
    split = data.split(data.scan([pictures]))
    assert len(train.validation_items(split)) == 3
    assert capsys.readouterr().out == "3 pictures to measure on, 1 unreadable: coco128val_0.jpg\n"
    data.tell_unreadable(1, "packed", [f"{i}.jpg" for i in range(25)])
    assert capsys.readouterr().out.endswith("18.jpg, 19.jpg and 5 more\n")
    with pytest.raises(DataError, match="no picture to validate on"):
        train.validation_items(data.Split(split.train, [], []))


def test_a_tar_is_unpacked_once_and_again_when_it_has_changed(pictures: Path, tmp_path: Path) -> None:
    cache, place = tmp_path / "cache", packed_tar(pictures / "labelled", tmp_path / "some.tar")
    (folder,) = data.unpacked([place], cache)
    assert len(data.scan([folder])) == 14 and [p.name for p in (cache / "unpacked").iterdir()] == ["some.tar"]
    (folder / "images/street_0.jpg").unlink()
    assert data.unpacked([place, pictures], cache) == [folder, pictures] and len(data.scan([folder])) == 13
    os.utime(place, ns=(0, 0))
    assert len(data.scan(data.unpacked([place], cache))) == 14


@pytest.mark.parametrize(
    ("member", "text"), [("../images/a.jpg", "outside"), ("pictures/a.jpg", "no images/"), (None, "can be unpacked")]
)
def test_tars_that_are_no_data_are_refused(tmp_path: Path, member: str | None, text: str) -> None:
    place = tmp_path / "bad.tar"
    place.write_bytes(b"no tar")
    if member:
        with tarfile.open(place, "w") as tar:
            tar.addfile(tarfile.TarInfo(member), io.BytesIO())
    with pytest.raises(DataError, match=text):
        data.unpacked([place], tmp_path / "cache")
    assert not list(tmp_path.rglob("*.jpg")) and not (tmp_path / "cache/unpacked/bad.tar").exists()
    with pytest.raises(DataError, match="two tars bad.tar"):
        data.unpacked([place, place], tmp_path / "cache")


def test_a_teachers_answers_are_kept_when_the_last_picture_is_damaged(pictures: Path, tmp_path: Path) -> None:
    some = data.scan([pictures])
    some = [p for p in some if p.key != "street_bad.jpg"] + [p for p in some if p.key == "street_bad.jpg"]
    cache = teachers.Cache(tmp_path / "teacher-x.npz")
    nobody = teachers.Detections.make(np.zeros((0, 4)), np.zeros(0))
    assert teachers.fill(cache, lambda _: nobody, some) == ["street_bad.jpg"]
    assert len(teachers.Cache.open(cache.path).found) == len(some) - 1


def test_a_run_in_two_parts_is_the_same_run(pictures: Path, tmp_path: Path) -> None:
    def weights(folder: str) -> torch.Tensor:
        state = checkpoint.load(tmp_path / folder / "last.pt", model.RECIPE)
        return torch.cat([v.flatten().float() for v in state["average"].values()])

    train.run(RECIPE, [pictures], tmp_path / "whole", options(tmp_path))
    train.run(RECIPE, [pictures], tmp_path / "parts", options(tmp_path, minutes=1e-9))
    assert checkpoint.load(tmp_path / "parts/last.pt", model.RECIPE)["number"] == 4
    train.run(RECIPE, [pictures], tmp_path / "parts", options(tmp_path, resume=True, start="not looked at"))
    assert torch.allclose(weights("whole"), weights("parts"), atol=1e-5)


def test_a_run_ends_by_the_clock_with_a_fallen_rate(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    plain = train.learning_rate

    def spying(*given: object) -> float:
        rates.append(plain(*given))
        return rates[-1]

    class Counting:
        """A clock that goes forward by steps: full rate until the fifth, over at the tenth."""

        def fallen(self) -> float:
            return min(1.0, max(0.0, (len(rates) - 4) / 5))

    monkeypatch.setattr(train, "learning_rate", spying)
    long = {**RECIPE, "schedule": {**RECIPE["schedule"], "views": 4000}}
    out = tmp_path / "run"
    train.run(long, [pictures], out, options(tmp_path, ending=Counting()))
    assert len(rates) == 10 and rates[3] == rates[4] > rates[5] > rates[9] > 0
    stable, last = (checkpoint.load(out / name, model.RECIPE) for name in ("stable.pt", "last.pt"))
    assert (stable["number"], stable["fallen"]) == (20, 0.0) and (last["number"], last["fallen"]) == (40, 1.0)
    assert json.loads((out / "history.jsonl").read_text().splitlines()[-1])["number"] == 40


def test_teachers_boxes_become_labels_of_unlabelled_pictures_alone(pictures: Path, tmp_path: Path) -> None:
    cache = teachers.Cache(tmp_path / "teacher-rtmdet.npz")
    sure = teachers.Detections.make(np.array([[0.25, 0.1, 0.75, 0.9], [0.0, 0.0, 0.2, 0.2]]), np.array([0.9, 0.3]))
    cache.found = {"cctv_0.jpg": sure, "street_0.jpg": sure}
    known = data.split(data.scan([pictures])).train
    assert labels.write(known, {"rtmdet": cache}, tmp_path / "made") == 1
    assert [p.name for p in (tmp_path / "made/labels").iterdir()] == ["cctv_0.txt"]
    again = data.scan([tmp_path / "made"])
    assert len(again) == 1 and np.allclose(again[0].boxes, [[0.25, 0.1, 0.75, 0.9]], atol=1e-4)


def test_unusable_checkpoints_and_configurations(pictures: Path, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "last.pt", "reid-default", {})
    with pytest.raises(CheckpointError, match="reid-default"):
        train.run(RECIPE, [pictures], tmp_path, options(tmp_path, resume=True))
    with pytest.raises(ConfigError, match="leraning_rate"):
        train.Config.from_dict({"schedule": {"leraning_rate": 1.0}})


def test_training_goes_on_from_an_exported_file(pictures: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "run", tmp_path / "detector.onnx"
    train.run(RECIPE, [pictures], out, options(tmp_path))
    export.export(out / "last.pt", file, 96)
    small = tmp_path / "detector.w8.onnx"
    write_packed(file, small)
    x = torch.rand((4, 3, 96, 96), generator=torch.Generator().manual_seed(2))
    for given in (file, small):
        detector = model.Detector(model.Size(**{k: tuple(v) if isinstance(v, list) else v for k, v in TINY.items()}))
        assert start.begin(detector, given, x) == (16, "")
        with torch.no_grad():
            answer = export.Exported(detector).eval()(x).numpy()
        wanted = teachers.ort_session(given, 1).run(None, {"images": x.numpy()})[0]
        assert np.abs(answer - wanted).max() < 1e-3, "it answers as the file does"
    train.run(RECIPE, [pictures], tmp_path / "again", options(tmp_path, resume=True, start=str(small)))
    state = checkpoint.load(tmp_path / "again/last.pt", "person-detector")
    assert (state["before"], state["number"]) == (16, 16)
    export.export(tmp_path / "again/last.pt", file, 96)
    assert read_exported(file, "detect")[1]["reid.seen"] == "32"
    with pytest.raises(CheckpointError, match="another network"):
        start.begin(model.Detector(), file, x)
    with pytest.raises(CheckpointError, match="not exported here for this recipe"):
        read_exported(file)


def test_a_backbone_begins_with_published_weights_and_keeps_its_first_blocks(pictures: Path, tmp_path: Path) -> None:
    whole = make_net("efficientnet-lite0", 8).eval()
    for norm in (m for m in whole.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.bias.data.uniform_(-0.1, 0.1)
    file = tmp_path / "lite0.pth"
    torch.save({n: v for part in whole.trunk() for n, v in enumerate_state(part)}, file)
    size = {"backbone": "efficientnet-lite0", "kept": 4, "stages": [0, 0, 0, 16], "depths": [0, 0, 1], "neck": 16, "head": 8}
    own = RECIPE | {"size": size}
    detector = model.Detector(train.Config.from_dict(own).size)
    assert detector.backbone.begin("efficientnet-lite0", str(file)) == "not stated (lite0.pth)"
    # What is added around a picture is grey there and black here: the middle of a picture says the same.
    x = torch.rand((1, 3, 160, 160), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        p3, p4, p5 = detector.eval().backbone(x)
        wanted = whole.blocks[:5](whole.stem(2 * x - 1))
    assert (p3.shape, p4.shape, p5.shape) == ((1, 40, 20, 20), (1, 80, 10, 10), (1, 16, 5, 5))
    assert torch.allclose(p3[..., 8:12, 8:12], wanted[..., 8:12, 8:12], atol=1e-3)

    recipe.run(own | {"frozen": 3}, [pictures], tmp_path / "run", options(tmp_path, pretrained=str(file)))
    trained = checkpoint.load(tmp_path / "run/last.pt", model.RECIPE)
    after = trained["model"]
    begun = detector.backbone.state_dict()
    same = [n for n, v in begun.items() if v.is_floating_point() and torch.equal(v, after[f"backbone.{n}"])]
    assert all(n in same for n in begun if n.startswith(("stem.", "fine.0.", "fine.2.")) and begun[n].is_floating_point())
    assert not any(n.startswith(("fine.3.", "middle.")) and n.endswith("0.weight") for n in same)
    _, facts = read_exported(tmp_path / "run/person-detector.onnx", "detect")
    assert facts["reid.pretrained"] == "not stated (lite0.pth)"
    again = model.Detector(train.Config.from_dict(own).size)
    pictures_seen = torch.rand((4, 3, 96, 96), generator=torch.Generator().manual_seed(2))
    assert start.begin(again, tmp_path / "run/person-detector.onnx", pictures_seen)[1] == "not stated (lite0.pth)"


def enumerate_state(part: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Weights under names of another author."""
    return [(f"{id(part)}.{n}", v) for n, v in part.state_dict().items()]


@pytest.mark.parametrize("more", [{"frozen": 2}, {"pretrained": "x.pth"}, {"size": {"backbone": "efficientnet-lite9"}}])
def test_weights_that_fit_no_backbone_are_refused(pictures: Path, tmp_path: Path, more: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="backbone"):
        train.run(RECIPE | more, [pictures], tmp_path, options(tmp_path))


def test_a_loss_that_is_not_finite_stops_before_the_weights_change(tmp_path: Path) -> None:
    config = train.Config.from_dict(RECIPE)
    detector, adapters = model.Detector(config.size), distil.Adapters(config.size.neck)
    optimizer = torch.optim.AdamW(train.parameter_groups([detector, adapters], 0.0))
    run = train.Run(config, detector, adapters, optimizer, train.Average(detector, 0.9), torch.device("cpu"), tmp_path)
    view = augment.View(
        np.zeros((64, 64, 3), np.uint8),
        np.zeros((64, 64, 3), np.uint8),
        np.array([[8, 8, np.nan, 40]], np.float32),
        np.ones(1, np.float32),
    )
    before = [p.clone() for p in detector.parameters()]
    with pytest.raises(NanLoss, match="last good checkpoint"):
        train.step(run, train.Collate()([view]))
    assert all(torch.equal(a, b) for a, b in zip(before, detector.parameters(), strict=True))


def test_exact_boxes_cost_nothing_and_take_their_places() -> None:
    centres, strides = model.grid(64, 64)
    person = torch.tensor([16.0, 8.0, 40.0, 56.0])
    targets = loss.Targets(person.view(1, 1, 4), torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool))
    distances = torch.stack((centres[0] - 16, centres[1] - 8, 40 - centres[0], 56 - centres[1])).clamp(min=1e-3)
    log_boxes = (distances / strides).log()[None]
    inside = (distances > 1e-2).all(0)
    assigned = loss.assign(
        torch.full((1, inside.numel()), 0.5), model.corners(log_boxes, centres, strides).transpose(1, 2), centres, targets
    )
    assert 0 < int((assigned.score > 0).sum()) <= int(inside.sum()) and not (assigned.score[0][~inside] > 0).any()
    score, box = loss.detection_loss(torch.zeros(1, 1, inside.numel()), log_boxes, centres, strides, targets)
    assert float(box) == pytest.approx(0, abs=1e-3) and float(score) > 0


def test_ignored_places_are_neither_right_nor_wrong() -> None:
    centres, strides = model.grid(32, 32)
    log_boxes = torch.zeros(1, 4, centres.shape[1])
    found = model.corners(log_boxes, centres, strides).transpose(1, 2)
    targets = loss.Targets(found[:, :1].clone(), torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool))
    assigned = loss.assign(torch.full((1, centres.shape[1]), 0.5), found, centres, targets)
    assert assigned.share[0, 0] == 0 and assigned.share[0, -1] == 1 and not assigned.score.any()


def test_labels_are_checked_by_the_teachers() -> None:
    people = np.array([[0.1, 0.1, 0.2, 0.5], [0.5, 0.0, 1.0, 1.0]], np.float32)
    found = teachers.Detections.make(
        np.array(
            [[0.1, 0.1, 0.2, 0.5], [0.3, 0.1, 0.4, 0.5], [0.55, 0.2, 0.7, 0.8], [0.75, 0.2, 0.9, 0.8], [0.0, 0.8, 0.1, 0.9]]
        ),
        np.array([0.8, 0.7, 0.6, 0.6, 0.4]),
    )
    truth = labels.checked(people, found)
    by_box = {tuple(b.round(2).tolist()): float(w) for b, w in zip(truth.boxes, truth.weights, strict=True)}
    expected = {
        (0.1, 0.1, 0.2, 0.5): 1.0,
        (0.5, 0, 1, 1): 0,
        (0.3, 0.1, 0.4, 0.5): 1.0,
        (0.55, 0.2, 0.7, 0.8): 1.0,
        (0.75, 0.2, 0.9, 0.8): 1.0,
        (0, 0.8, 0.1, 0.9): 0,
    }
    assert {tuple(np.float32(k).round(2).tolist()): v for k, v in expected.items()} == by_box


def test_half_a_person_beside_the_whole_one_is_found_and_taught_to_nobody() -> None:
    whole, upper, lower = [0.2, 0.2, 0.4, 0.8], [0.21, 0.2, 0.39, 0.5], [0.2, 0.45, 0.4, 0.8]
    behind, child, beside = [0.3, 0.2, 0.5, 0.5], [0.22, 0.5, 0.3, 0.79], [0.6, 0.2, 0.8, 0.5]
    people = np.array([whole, upper, lower, behind, child, beside], np.float32)
    assert boxes.halves(people).tolist() == [False, True, True, False, False, False]
    assert not boxes.halves(people[1:]).any() and not boxes.halves(people[:0]).any()
    found = teachers.Detections(people, np.full(6, 0.9, np.float32))
    assert len(labels.from_teachers(found).boxes) == 4
    weights = labels.checked(people, found).weights
    assert (weights == 0).tolist() == [False, True, True, False, False, False]
    weak = teachers.Detections(people, np.array([0.9, 0.9, 0.2, 0.9, 0.9, 0.9], np.float32))
    assert evaluate.share_of_halves([found, weak]) == 3 / 11


def test_fusion_averages_and_doubts_what_one_sees_alone() -> None:
    one = teachers.Detections.make(np.array([[0.1, 0.1, 0.3, 0.5]]), np.array([0.8]))
    two = teachers.Detections.make(np.array([[0.12, 0.1, 0.32, 0.5], [0.6, 0.6, 0.7, 0.9]]), np.array([0.8, 0.6]))
    fused = teachers.fuse([one, two])
    assert fused.boxes[0] == pytest.approx([0.11, 0.1, 0.31, 0.5], abs=1e-6)
    assert fused.scores == pytest.approx([0.8, 0.3], abs=1e-6)


class OnePicture:
    """A pack of one picture: a white person on black."""

    def decode(self, name: str, shrink: int = 1) -> np.ndarray:
        picture = np.zeros((200, 100, 3), np.uint8)
        picture[40:160, 30:70] = 255
        return picture


def test_people_are_copied_into_views_where_they_hide_nobody() -> None:
    truth = labels.Truth(np.array([[0.3, 0.2, 0.7, 0.8], [0.0, 0.0, 0.1, 0.05]], np.float32), np.array([1, 1], np.float32))
    there = np.array([[60, 60, 100, 160]], np.float32)
    pasted = 0
    for seed in range(40):
        canvas = augment.Canvas(np.zeros((256, 256, 3), np.uint8), there, np.ones(1, np.float32))
        augment.paste(canvas, augment.Original(OnePicture(), "a", truth), np.random.default_rng(seed))
        found, weights = canvas.boxes, canvas.weights
        assert len(found) == len(weights) and len(found) <= 2 and (found[0] == there[0]).all()
        for x0, y0, x1, y1 in found[1:].astype(int):
            pasted += 1
            assert 0 <= x0 < x1 <= 256 and 0 <= y0 < y1 <= 256
            assert canvas.picture[(y0 + y1) // 2, (x0 + x1) // 2].min() > 240, "the person is where the box says"
            assert (x1 - x0) / (y1 - y0) == pytest.approx(1 / 3, abs=0.06)
        assert boxes.share_inside(there, found[1:]).max(initial=0) <= augment.MOST_HIDDEN
        assert (canvas.picture.sum() > 0) == (len(found) > 1)
    assert pasted > 20
    nobody = labels.Truth(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    empty = augment.Canvas.blank(256)
    augment.paste(empty, augment.Original(OnePicture(), "a", nobody), np.random.default_rng(1))
    assert empty.boxes.shape == (0, 4)
    augment.paste(empty, augment.Original(OnePicture(), "a", truth), np.random.default_rng(1))
    assert empty.boxes.shape[1] == 4


def test_views_are_repeatable_and_boxes_stay_on_the_figure(pictures: Path, tmp_path: Path) -> None:
    config = train.Config.from_dict(
        {
            **RECIPE,
            "augmentation": {
                "mosaic": 0.0,
                "grey": 0,
                "dark": 0,
                "noise": 0,
                "blur": 0,
                "coarse": 0,
                "jpeg": 0,
                "hsv": [0, 0, 0],
            },
        }
    )
    views, _ = train.prepare([pictures], tmp_path / "cache", config)
    for number in range(12):
        view, again = views[number], views[number]
        assert np.array_equal(view.picture, again.picture) and np.array_equal(view.boxes, again.boxes)
        for x0, y0, x1, y1 in view.boxes[view.weights > 0]:
            middle = view.picture[int((y0 + y1) / 2), int((x0 + x1) / 2)]
            assert middle.mean() > 150, "the middle of a box is the bright figure"


def test_measures_agree_with_hand_counting() -> None:
    person = np.array([[10, 10, 30, 70]], np.float32)
    items = [evaluate.Item("a", str(i), lambda: None, person, np.zeros(1, bool)) for i in range(2)]
    hit = teachers.Detections(person + 1, np.array([0.9], np.float32))
    miss = teachers.Detections(person + 100, np.array([0.6], np.float32))
    result = evaluate.measure(items, [hit, miss])
    assert result.ap50 == pytest.approx(51 / 101) and result.recall == 0.5 and result.precision == 0.5
    assert result.best_f1 == pytest.approx(2 / 3) and result.best_threshold == pytest.approx(0.9)
    assert result.by_height[1] == 0.5 and math.isnan(result.by_height[0])


def test_ignored_truth_counts_neither_way() -> None:
    person = np.array([[10, 10, 30, 70], [100, 10, 130, 70]], np.float32)
    item = evaluate.Item("a", "0", lambda: None, person, np.array([False, True]))
    result = evaluate.measure([item], [teachers.Detections(person, np.array([0.9, 0.95], np.float32))])
    assert result.ap50 == pytest.approx(1) and (result.recall, result.precision, result.people) == (1.0, 1.0, 1)


def test_average_precision_agrees_with_pycocotools() -> None:
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    rng = np.random.default_rng(3)
    items, results, truth, found = [], [], [], []
    for number in range(1, 13):
        low = rng.uniform(0, 200, (rng.integers(0, 9), 2))
        people = np.concatenate((low, low + rng.uniform(10, 60, low.shape)), 1).astype(np.float32)
        ignore = rng.uniform(size=len(people)) < 0.2
        moved = np.concatenate((people, people)) + rng.normal(0, 5, (2 * len(people), 4))
        detections = teachers.Detections.make(
            moved[(moved[:, 2:] > moved[:, :2]).all(1)] / 400, rng.uniform(0.1, 1, 2 * len(people))
        )
        detections = teachers.Detections(detections.boxes * 400, detections.scores)
        items.append(evaluate.Item("a", str(number), lambda: None, people, ignore))
        results.append(detections)
        for box, out in zip(people.tolist(), ignore.tolist(), strict=True):
            rect = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            truth.append(
                {
                    "id": len(truth) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "bbox": rect,
                    "area": rect[2] * rect[3],
                    "iscrowd": int(out),
                }
            )
        for box, score in zip(detections.boxes.tolist(), detections.scores.tolist(), strict=True):
            found.append(
                {"image_id": number, "category_id": 1, "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]], "score": score}
            )
    reference = coco.COCO()
    reference.dataset = {"images": [{"id": i} for i in range(1, 13)], "annotations": truth, "categories": [{"id": 1}]}
    reference.createIndex()
    evaluation = cocoeval.COCOeval(reference, reference.loadRes(found), "bbox")
    evaluation.params.maxDets = [1, 10, 300]
    evaluation.evaluate()
    evaluation.accumulate()
    expected = evaluation.eval["precision"][:, :, 0, 0, 2].mean(1)
    ours = [evaluate.average_precision(items, results, overlap) for overlap in evaluate.OVERLAPS]
    assert ours == pytest.approx(expected, abs=1e-6)


def test_smaller_files_still_detect_the_same(pictures: Path, tmp_path: Path) -> None:
    config = train.Config.from_dict(RECIPE)
    detector, adapters = model.Detector(config.size), distil.Adapters(config.size.neck)
    optimizer = torch.optim.AdamW(train.parameter_groups([detector, adapters], 0.0))
    run = train.Run(config, detector, adapters, optimizer, train.Average(detector, 0.9), torch.device("cpu"), tmp_path)
    run.save("last.pt")
    export.export(tmp_path / "last.pt", tmp_path / "d.onnx", 96)
    items = evaluate.items_from_pictures(data.split(data.scan([pictures])).validation)
    lines = variants.write(tmp_path / "d.onnx", [item.load() for item in items], items, 96).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["d.onnx", "d.fp16.onnx", "d.w8.onnx", "d.int8.onnx"]
    assert all(float(line.split("|")[2]) > 0 for line in lines[2:])


def test_letterbox_and_back() -> None:
    picture = np.zeros((50, 200, 3), np.uint8)
    boxed, scale, border = evaluate.letterbox(picture, 96)
    assert boxed.shape == (96, 96, 3) and border == (0, 36) and scale == 0.48
    rows = np.array([[100 * 0.48, 25 * 0.48 + 36, 40 * 0.48, 30 * 0.48, 0.7]]).T
    assert evaluate.from_rows(rows, picture, scale, border).boxes[0] == pytest.approx([0.4, 0.2, 0.6, 0.8])


def test_suppression_keeps_the_strongest() -> None:
    rects = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    assert boxes.suppress(rects, np.array([0.5, 0.9, 0.3])).tolist() == [1, 2]
