"""The detector recipe from pictures to an ONNX file, on generated pictures, in seconds."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from reid_training import checkpoint, detection  # noqa: E402
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
    plots,
    start,
    teachers,
    train,
    variants,
)
from reid_training.errors import CheckpointError, ConfigError, DataError, NanLoss  # noqa: E402
from reid_training.exported import read_exported  # noqa: E402
from reid_training.variants import write_packed  # noqa: E402

TINY = {"stem": 8, "stages": [8, 16, 16, 16], "depths": [1, 1, 1], "neck": 16, "head": 8}
RECIPE = {
    "recipe": "person-detector",
    "task": "detect",
    "size": TINY,
    "evaluate_side": 96,
    "augmentation": {"paste": 0.5},
    "schedule": {"views": 16, "batch": 4, "warmup": 4, "cooldown": 8, "sides": [[0, 64, 96]], "evaluate_every": 8},
}


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
    detection.run(RECIPE, pictures, out, "cpu", cache=tmp_path / "cache", workers=0, export_to=tmp_path / "best.onnx")
    assert (out / "best.pt").exists() == (tmp_path / "best.onnx").exists()
    plots.draw_course(out / "history.jsonl", tmp_path / "course.png")
    assert (tmp_path / "course.png").stat().st_size > 1000
    assert (
        pack.Pack.open(tmp_path / "cache").row.keys() >= {"street_0.jpg"}
        and "street_bad.jpg" not in pack.Pack.open(tmp_path / "cache").row
    )
    state = checkpoint.load(out / "last.pt", train.RECIPE)
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


def test_a_run_in_two_parts_is_the_same_run(pictures: Path, tmp_path: Path) -> None:
    def weights(folder: str) -> torch.Tensor:
        state = checkpoint.load(tmp_path / folder / "last.pt", train.RECIPE)
        return torch.cat([v.flatten().float() for v in state["average"].values()])

    common = {"cache": tmp_path / "cache", "workers": 0}
    detection.run(RECIPE, pictures, tmp_path / "whole", "cpu", **common)
    detection.run(RECIPE, pictures, tmp_path / "parts", "cpu", minutes=1e-9, **common)
    assert checkpoint.load(tmp_path / "parts/last.pt", train.RECIPE)["number"] == 4
    detection.run(RECIPE, pictures, tmp_path / "parts", "cpu", True, **common)
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
    recipe = {**RECIPE, "schedule": {**RECIPE["schedule"], "views": 4000}}
    out = tmp_path / "run"
    detection.run(recipe, pictures, out, "cpu", cache=tmp_path / "cache", workers=0, ending=Counting())
    assert len(rates) == 10 and rates[3] == rates[4] > rates[5] > rates[9] > 0
    stable, last = (checkpoint.load(out / name, train.RECIPE) for name in ("stable.pt", "last.pt"))
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
        detection.run(RECIPE, pictures, tmp_path, "cpu", True, cache=tmp_path / "cache", workers=0)
    with pytest.raises(ConfigError, match="leraning_rate"):
        train.Config.from_dict({"schedule": {"leraning_rate": 1.0}})


def test_training_goes_on_from_an_exported_file(pictures: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "run", tmp_path / "detector.onnx"
    train.run(RECIPE, pictures, out, "cpu", workers=0)
    export.export(out / "last.pt", file, 96)
    small = tmp_path / "detector.w8.onnx"
    write_packed(file, small)
    x = torch.rand((4, 3, 96, 96), generator=torch.Generator().manual_seed(2))
    for given in (file, small):
        detector = model.Detector(model.Size(**{k: tuple(v) if isinstance(v, list) else v for k, v in TINY.items()}))
        assert start.begin(detector, given, x) == 16
        with torch.no_grad():
            answer = export.Exported(detector).eval()(x).numpy()
        wanted = teachers.ort_session(given, 1).run(None, {"images": x.numpy()})[0]
        assert np.abs(answer - wanted).max() < 1e-3, "it answers as the file does"
    train.run(RECIPE, pictures, tmp_path / "again", "cpu", small, workers=0)
    state = checkpoint.load(tmp_path / "again/last.pt", "person-detector")
    assert (state["before"], state["number"]) == (16, 16)
    export.export(tmp_path / "again/last.pt", file, 96)
    assert read_exported(file, "detect")[1]["reid.seen"] == "32"
    with pytest.raises(CheckpointError, match="another network"):
        start.begin(model.Detector(), file, x)
    with pytest.raises(CheckpointError, match="not exported here for this recipe"):
        read_exported(file)


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
        canvas = np.zeros((256, 256, 3), np.uint8)
        found, weights = augment.paste(
            canvas, there, np.ones(1, np.float32), OnePicture(), "a", truth, np.random.default_rng(seed)
        )
        assert len(found) == len(weights) and len(found) <= 2 and (found[0] == there[0]).all()
        for x0, y0, x1, y1 in found[1:].astype(int):
            pasted += 1
            assert 0 <= x0 < x1 <= 256 and 0 <= y0 < y1 <= 256
            assert canvas[(y0 + y1) // 2, (x0 + x1) // 2].min() > 240, "the person is where the box says"
            assert (x1 - x0) / (y1 - y0) == pytest.approx(1 / 3, abs=0.06)
        assert boxes.share_inside(there, found[1:]).max(initial=0) <= augment.MOST_HIDDEN
        assert (canvas.sum() > 0) == (len(found) > 1)
    assert pasted > 20
    nobody = labels.Truth(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    none = np.zeros((0, 4), np.float32)
    kept, _ = augment.paste(np.zeros((64, 64, 3), np.uint8), none, np.zeros(0, np.float32), OnePicture(), "a", nobody, np.random.default_rng(1))
    assert kept.shape == (0, 4)
    first, _ = augment.paste(np.zeros((256, 256, 3), np.uint8), none, np.zeros(0, np.float32), OnePicture(), "a", truth, np.random.default_rng(1))
    assert first.shape[1] == 4


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
