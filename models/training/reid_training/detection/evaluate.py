"""How good a detector is: COCO's average precision, recall and the best threshold, by source and by box height.

Any detector fits that takes a picture (`[h, w, 3]` uint8 BGR) and returns :class:`~.teachers.Detections`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from reid_training.errors import DataError

from .augment import PADDING
from .boxes import halves, iou_matrix, share_inside, suppress
from .data import Picture, tell_unreadable
from .teachers import Detections, Detector, deimv2, ort_session, rtmdet

#: Box heights in pixels of the original picture at which results are told apart.
HEIGHTS = (0, 32, 64, 128, 256, 100_000)
DEFAULT_THRESHOLD = 0.25
#: COCO's overlaps.
OVERLAPS = tuple(0.5 + 0.05 * i for i in range(10))


@dataclass(frozen=True)
class Item:
    """A picture to be measured on: `boxes` `[n, 4]` corners in pixels, `ignore` `[n]` bool (neither hit nor miss)."""

    source: str
    name: str
    load: Callable[[], np.ndarray | None]
    boxes: np.ndarray
    ignore: np.ndarray


@dataclass(frozen=True)
class Result:
    """Numbers in 0..1; `by_height` is recall at the default threshold for every range of :data:`HEIGHTS` (nan: no boxes),
    `halves` the share of boxes from that threshold on that hold half of a person who has a whole box too."""

    pictures: int
    people: int
    ap50: float
    ap: float
    recall: float
    precision: float
    best_f1: float
    best_threshold: float
    by_height: tuple[float, ...]
    halves: float


def letterbox(picture: np.ndarray, side: int) -> tuple[np.ndarray, float, tuple[int, int]]:
    """Ratio kept, centred on grey, to `side` x `side`; also the scale and the left and top border in pixels."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    out = np.full((side, side, 3), PADDING, np.uint8)
    # bilinear also when shrinking, as the elements do it
    out[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    return out, scale, (left, top)


def tensor(boxed: np.ndarray) -> np.ndarray:
    """The detector's input `[1, 3, s, s]` float32 RGB 0..1 of a letterboxed picture `[s, s, 3]` uint8 BGR."""
    return np.ascontiguousarray(boxed[:, :, ::-1].transpose(2, 0, 1)[None], np.float32) / 255


def from_rows(
    rows: np.ndarray, picture: np.ndarray, scale: float, border: tuple[int, int], min_score: float = 0.01
) -> Detections:
    """Detections from `[5, n]` rows `cx, cy, w, h, score` in pixels of the letterboxed input."""
    rows = rows[:, rows[4] > min_score]
    centre, half = rows[:2].T, rows[2:4].T / 2
    boxes = (np.concatenate((centre - half, centre + half), 1) - np.array(border * 2)) / scale
    boxes /= np.array([picture.shape[1], picture.shape[0]] * 2)
    kept = suppress(boxes, rows[4])
    return Detections.make(boxes[kept], rows[4][kept], min_score)


def onnx_detector(model: Path, side: int = 416, threads: int = 1) -> Detector:
    """An exported person detector (`[1, 5, n]`, RGB 0..1)."""
    session = ort_session(model, threads)
    name = session.get_inputs()[0].name

    def detect(picture: np.ndarray) -> Detections:
        boxed, scale, border = letterbox(picture, side)
        return from_rows(session.run(None, {name: tensor(boxed)})[0][0], picture, scale, border)

    return detect


def yolox_detector(model: Path, side: int = 416, threads: int = 1) -> Detector:
    """YOLOX (raw grid, COCO classes, BGR 0..255, padded right and bottom): the yardstick."""
    session = ort_session(model, threads)
    name = session.get_inputs()[0].name

    def detect(picture: np.ndarray) -> Detections:
        scale = side / max(picture.shape[:2])
        size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
        boxed = np.full((side, side, 3), PADDING, np.uint8)
        boxed[: size[1], : size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
        raw = session.run(None, {name: np.ascontiguousarray(boxed.transpose(2, 0, 1)[None], np.float32)})[0][0]
        cells = []
        for stride in (8, 16, 32):
            y, x = np.mgrid[: side // stride, : side // stride]
            cells.append(np.stack((x.ravel(), y.ravel(), np.full(x.size, stride)), 1))
        grid = np.concatenate(cells).astype(np.float32)
        rows = np.concatenate(
            ((raw[:, :2] + grid[:, :2]) * grid[:, 2:], np.exp(raw[:, 2:4]) * grid[:, 2:], raw[:, 4:5] * raw[:, 5:6]), 1
        )
        return from_rows(rows.T, picture, scale, (0, 0))

    return detect


#: Kinds of detector files that can be measured side by side.
KINDS: dict[str, Callable[..., Detector]] = {"person": onnx_detector, "yolox": yolox_detector, "rtmdet": rtmdet, "deimv2": deimv2}


def items_from_pictures(pictures: Iterable[Picture]) -> list[Item]:
    """Labelled pictures to be measured on; those that cannot be read are said and left out."""
    items, bad = [], []
    for picture in pictures:
        if picture.boxes is None:
            raise DataError(f"{picture.path}: no label file; only labelled pictures can be measured on")
        header = cv2.imread(str(picture.path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if header is None:
            bad.append(picture.key)
            continue
        size = np.array([header.shape[1], header.shape[0]] * 2, np.float32)
        load = lambda path=picture.path: cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)  # noqa: E731
        items.append(Item(picture.source, picture.key, load, picture.boxes * size, np.zeros(len(picture.boxes), bool)))
    if bad:
        tell_unreadable(len(items), "to measure on", bad)
    return items


def _clip_frames(clip: Path) -> Iterator[np.ndarray]:
    capture = cv2.VideoCapture(str(clip))
    if not capture.isOpened():
        raise DataError(f"{clip}: cannot be opened as a video")
    while True:
        ok, frame = capture.read()
        if not ok:
            return
        yield frame


def items_from_clip(clip: Path, truth: Path, every: int = 1) -> list[Item]:
    """Frames of a clip with truth in MOT form (`frame,id,x,y,w,h,...`, frames from 1); boxes centred outside are ignored."""
    boxes: dict[int, list[list[float]]] = {}
    with truth.open() as rows:
        for row in csv.reader(rows):
            x, y, w, h = (float(v) for v in row[2:6])
            boxes.setdefault(int(row[0]), []).append([x, y, x + w, y + h])
    items = []
    for number, frame in enumerate(_clip_frames(clip), 1):
        if (number - 1) % every:
            continue
        people = np.asarray(boxes.get(number, []), np.float32).reshape(-1, 4)
        centre = (people[:, :2] + people[:, 2:]) / 2
        outside = ((centre < 0) | (centre >= np.array(frame.shape[1::-1]))).any(1)
        items.append(Item(clip.stem, f"{clip.stem}-{number}", lambda frame=frame: frame, people, outside))
    return items


def run_detector(detect: Detector, items: Sequence[Item]) -> list[Detections]:
    """Detections of every item, in pixels of its picture."""
    results = []
    for item in items:
        picture = item.load()
        if picture is None:
            raise DataError(f"{item.name}: cannot be read")
        found = detect(picture)
        results.append(Detections(found.boxes * np.array([picture.shape[1], picture.shape[0]] * 2, np.float32), found.scores))
    return results


def _hits(item: Item, found: Detections, overlap: float) -> np.ndarray:
    """For every detection, strongest first: 1 hit, 0 false, -1 ignored, by COCO's rules (real boxes before ignored ones)."""
    ious = iou_matrix(found.boxes, item.boxes)
    area = np.maximum((found.boxes[:, 2:] - found.boxes[:, :2]).prod(1, keepdims=True), 1e-12)
    # an ignored box swallows what lies in it: intersection over the detection's own area
    swallowed = (
        share_inside(found.boxes, item.boxes[item.ignore]).max(1, initial=0) >= overlap if len(area) else np.zeros(0, bool)
    )
    free, hits = ~item.ignore, np.zeros(len(found.scores), int)
    for i in range(len(found.scores)):
        candidates = np.where(free, ious[i], -1)
        if candidates.size and candidates.max() >= overlap:
            hits[i], free[int(candidates.argmax())] = 1, False
        elif swallowed[i]:
            hits[i] = -1
    return hits


def precision_recall(
    items: Sequence[Item], results: Sequence[Detections], overlap: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recall, precision and score after each detection that counts, strongest first; recall is nan without people."""
    people = sum(int((~item.ignore).sum()) for item in items)
    hits = np.concatenate([_hits(i, r, overlap) for i, r in zip(items, results, strict=True)] or [np.zeros(0, int)])
    scores = np.concatenate([r.scores for r in results] or [np.zeros(0)])
    scores, hits = scores[hits >= 0], hits[hits >= 0]
    order = np.argsort(-scores, kind="mergesort")
    right = np.cumsum(hits[order])
    recall = right / people if people else np.full(len(right), np.nan)
    return recall, right / np.arange(1, len(right) + 1), scores[order]


def average_precision(items: Sequence[Item], results: Sequence[Detections], overlap: float) -> float:
    """COCO's average precision: precision, made monotonous, at 101 recalls; up to 300 boxes a picture."""
    recall, precision, _ = precision_recall(items, results, overlap)
    if not len(recall) or np.isnan(recall).any():
        return 0.0
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
    return float(np.where(places < len(precision), precision[np.minimum(places, len(precision) - 1)], 0).mean())


def found_by(item: Item, found: Detections) -> np.ndarray:
    """For every real box the score of the detection that finds it at overlap 0.5, strongest first; 0 where none does."""
    overlap, by = iou_matrix(found.boxes, item.boxes), np.zeros(len(item.boxes))
    for i, score in enumerate(found.scores):
        free = np.where((by == 0) & ~item.ignore, overlap[i], -1)
        if free.size and free.max() >= 0.5:
            by[int(free.argmax())] = score
    return by[~item.ignore]


def measure(items: Sequence[Item], results: Sequence[Detections]) -> Result:
    """All the numbers for one set of pictures."""
    precisions = [average_precision(items, results, overlap) for overlap in OVERLAPS]
    recall, precision, scores = precision_recall(items, results, 0.5)
    real = np.concatenate([~i.ignore for i in items])
    found = np.concatenate([found_by(item, result) for item, result in zip(items, results, strict=True)])
    heights = np.concatenate([i.boxes[:, 3] - i.boxes[:, 1] for i in items])[real]
    people = int(real.sum())
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = int(f1.argmax()) if people and len(f1) else None
    sure = int((scores >= DEFAULT_THRESHOLD).sum())
    by_height = tuple(
        float((found[(heights >= low) & (heights < high)] >= DEFAULT_THRESHOLD).mean())
        if ((heights >= low) & (heights < high)).any()
        else float("nan")
        for low, high in zip(HEIGHTS, HEIGHTS[1:], strict=False)
    )
    return Result(
        len(items),
        people,
        precisions[0],
        float(np.mean(precisions)),
        float((found >= DEFAULT_THRESHOLD).mean()) if people else float("nan"),
        float(precision[sure - 1]) if sure else float("nan"),
        float(f1[best]) if best is not None else 0.0,
        float(scores[best]) if best is not None else 0.0,
        by_height,
        share_of_halves(results),
    )


def share_of_halves(results: Sequence[Detections]) -> float:
    """Of the boxes from the default threshold on, the share that holds half of a person whom another box holds whole."""
    sure = [result.boxes[result.scores >= DEFAULT_THRESHOLD] for result in results]
    return sum(int(halves(boxes).sum()) for boxes in sure) / max(1, sum(map(len, sure)))


def by_source(items: Sequence[Item], results: Sequence[Detections]) -> dict[str, Result]:
    """:func:`measure` for every source on its own."""
    sources = sorted({item.source for item in items})
    chosen = {s: [i for i, item in enumerate(items) if item.source == s] for s in sources}
    return {s: measure([items[i] for i in rows], [results[i] for i in rows]) for s, rows in chosen.items()}


def table(rows: Iterable[tuple[str, str, Result]]) -> str:
    """Markdown table of (detector, source, result)."""
    heights = " / ".join(f"{low}-{high if high < 10_000 else ''}" for low, high in zip(HEIGHTS, HEIGHTS[1:], strict=False))
    lines = [
        f"| detector | source | pictures | people | AP50 | AP50-95 | recall at {DEFAULT_THRESHOLD} | precision | best F1 at "
        f"| recall by height, px: {heights} | half boxes |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for detector, source, r in rows:
        recall = " / ".join("–" if np.isnan(v) else f"{100 * v:.0f}" for v in r.by_height)
        lines.append(
            f"| {detector} | {source} | {r.pictures} | {r.people} | {100 * r.ap50:.1f} | {100 * r.ap:.1f} "
            f"| {100 * r.recall:.1f} | {100 * r.precision:.1f} "
            f"| {100 * r.best_f1:.1f} at {r.best_threshold:.2f} | {recall} | {100 * r.halves:.1f} |"
        )
    return "\n".join(lines)
