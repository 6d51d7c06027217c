"""Boxes of the teachers, computed once per picture and kept: pseudo-labels for the unlabelled, a check for the labelled.

Only models with a permissive licence (Apache-2.0) serve as teachers. Each teacher has one cache file
`teacher-<name>.npz` (picture names, number of boxes of each, boxes in 0..1 and scores), written every few minutes and
continued when the command is run again. :func:`fuse` joins several teachers by weighted box fusion
(Solovyev et al. 2021, "Weighted boxes fusion").
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from reid_training.errors import DataError
from reid_training.files import replacing
from reid_training.progress import say

from .boxes import iou_matrix
from .data import Picture, rank, tell_unreadable

#: Weaker boxes are not kept: they are neither people (0.35) nor worth ignoring (0.15).
MIN_SCORE = 0.08
#: Seconds between two writes of a cache.
SAVE_EVERY_S = 60.0
#: RTMDet's normalisation (MMDetection, configs/rtmdet), BGR.
RTMDET_MEAN = np.array([103.53, 116.28, 123.675], np.float32)
RTMDET_STD = np.array([57.375, 57.12, 58.395], np.float32)


@dataclass
class Detections:
    """`boxes` `[n, 4]` float32 corners in 0..1 of the picture, `scores` `[n]` float32, strongest first."""

    boxes: np.ndarray
    scores: np.ndarray

    @classmethod
    def make(cls, boxes: np.ndarray, scores: np.ndarray, min_score: float = MIN_SCORE) -> Detections:
        """Drops weak and broken boxes, clips the others, sorts by score."""
        boxes, scores = boxes.reshape(-1, 4).astype(np.float32), scores.reshape(-1).astype(np.float32)
        keep = (scores >= min_score) & np.isfinite(boxes).all(1)
        order = np.argsort(-scores[keep], kind="stable")
        return cls(boxes[keep][order].clip(0, 1), scores[keep][order])


Detector = Callable[[np.ndarray], Detections]


def ort_session(model: Path, threads: int):  # noqa: ANN201 - onnxruntime is an optional import
    """ONNX Runtime session on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def rtmdet(model: Path, threads: int = 1, side: int = 640) -> Detector:
    """RTMDet people model in MMDeploy layout: ratio kept, padded to a multiple of 32 with 114, suppression inside."""
    session = ort_session(model, threads)

    def detect(picture: np.ndarray) -> Detections:
        height, width = picture.shape[:2]
        scale = side / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        resized = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR if scale > 1 else cv2.INTER_AREA)
        padded = np.full((-(-size[1] // 32) * 32, -(-size[0] // 32) * 32, 3), 114, np.uint8)
        padded[: size[1], : size[0]] = resized
        tensor = ((padded.astype(np.float32) - RTMDET_MEAN) / RTMDET_STD).transpose(2, 0, 1)[None]
        rows = session.run(["dets"], {"input": np.ascontiguousarray(tensor)})[0][0]
        return Detections.make(rows[:, :4] / np.array([size[0], size[1]] * 2, np.float32), rows[:, 4])

    return detect


def deimv2(model: Path, threads: int = 1, side: int = 416) -> Detector:
    """DEIMv2 (COCO classes, 0 = person): squashed to a square, RGB 0..1."""
    session = ort_session(model, threads)

    def detect(picture: np.ndarray) -> Detections:
        height, width = picture.shape[:2]
        resized = cv2.resize(
            picture, (side, side), interpolation=cv2.INTER_AREA if max(height, width) > side else cv2.INTER_LINEAR
        )
        tensor = np.ascontiguousarray(resized[:, :, ::-1].transpose(2, 0, 1)[None], np.float32) / 255
        size = np.array([[width, height]], np.int64)
        outputs = dict(
            zip(
                [o.name for o in session.get_outputs()],
                session.run(None, {"images": tensor, "orig_target_sizes": size}),
                strict=True,
            )
        )
        people = outputs["labels"].reshape(-1) == 0
        boxes = outputs["boxes"].reshape(-1, 4)[people] / np.array([width, height] * 2, np.float32)
        return Detections.make(boxes, outputs["scores"].reshape(-1)[people])

    return detect


def intel_0303(model: Path, threads: int = 1) -> Detector:
    """Intel person-detection-0303 (OpenVINO): BGR 0..255, plain resize to 1280x720."""
    import openvino

    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_NUM_THREADS": threads})
    compiled = core.compile_model(core.read_model(model), "CPU", {"PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()

    def detect(picture: np.ndarray) -> Detections:
        resized = cv2.resize(picture, (1280, 720), interpolation=cv2.INTER_LINEAR)
        result = request.infer({0: np.ascontiguousarray(resized.transpose(2, 0, 1)[None], np.float32)})
        rows = next(v for k, v in result.items() if "boxes" in k.names)
        return Detections.make(rows[:, :4] / np.array([1280, 720] * 2, np.float32), rows[:, 4])

    return detect


TEACHERS: dict[str, Callable[[Path, int], Detector]] = {"rtmdet": rtmdet, "deimv2": deimv2, "intel0303": intel_0303}
#: What the files are called of those that the recipe asks by itself. Intel's 0303 is not among them: it is good at
#: surveillance views alone and harms on everyday pictures, so it is asked by `teach --sources`.
FILES = {"rtmdet": "rtmdet-nano-person*.onnx", "deimv2": "deimv2-femto*.onnx"}


@dataclass
class Cache:
    """The detections of one teacher by picture name."""

    path: Path
    found: dict[str, Detections] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> Cache:
        """Reads a cache file; empty when there is none yet."""
        cache = cls(path)
        if path.is_file():
            with np.load(path) as data:
                names, counts = data["names"].tolist(), data["counts"]
                boxes, scores = data["boxes"].astype(np.float32), data["scores"].astype(np.float32)
            ends = np.cumsum(counts)
            for name, end, count in zip(names, ends, counts, strict=True):
                cache.found[name] = Detections(boxes[end - count : end], scores[end - count : end])
        return cache

    def save(self) -> None:
        """Writes the cache beside itself and renames it, so that a full disk leaves the old one intact."""
        names = sorted(self.found)
        some = [self.found[n] for n in names]
        with replacing(self.path) as part:
            np.savez_compressed(
                part,
                names=np.asarray(names),
                counts=np.asarray([len(d.scores) for d in some], np.int32),
                boxes=np.concatenate([d.boxes for d in some] or [np.zeros((0, 4))]).astype(np.float32),
                scores=np.concatenate([d.scores for d in some] or [np.zeros(0)]).astype(np.float16),
            )


def find(folder: Path) -> dict[str, Path]:
    """The files of the teachers in a folder, by teacher; raises :class:`DataError` when there is none."""
    files = {name: sorted(folder.glob(pattern)) for name, pattern in FILES.items()}
    if not any(files.values()):
        wanted = " or ".join(FILES.values())
        raise DataError(f"no teacher of the detector in {folder}; --teachers (or REID_TRAINING_TEACHERS) wants {wanted} there")
    return {name: found[0] for name, found in files.items() if found}


def teach(detect: Detector, pictures: Sequence[Picture], folder: Path, name: str) -> None:
    """Runs a teacher over the pictures that `folder/teacher-<name>.npz` lacks."""
    # a fixed shuffle, unlabelled first: every prefix of the work is a fair sample of what needs it most
    pictures = sorted(pictures, key=lambda p: (p.boxes is not None, rank(p.key)))
    cache = Cache.open(folder / f"teacher-{name}.npz")
    bad = fill(cache, detect, pictures)
    tell_unreadable(len(cache.found), f"seen by {name}", bad)


def fill(cache: Cache, detect: Detector, pictures: Sequence[Picture]) -> list[str]:
    """Asks a teacher about the pictures that its cache lacks; returns the names of pictures that could not be read."""
    todo = [p for p in pictures if p.key not in cache.found]
    bad: list[str] = []
    started = saved = time.monotonic()
    for number, picture in enumerate(todo, 1):
        image = cv2.imread(str(picture.path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if image is None:
            bad.append(picture.key)
        else:
            cache.found[picture.key] = detect(image)
        now = time.monotonic()
        if now - saved > SAVE_EVERY_S or number == len(todo):
            cache.save()
            saved = now
            rate = number / max(now - started, 1e-9)
            say(
                f"{cache.path.stem}: {number}/{len(todo)} pictures, {rate:.1f}/s, "
                f"{(len(todo) - number) / rate / 60:.1f} min left, {len(bad)} unreadable"
            )
    return bad


def fuse(results: Sequence[Detections], weights: Iterable[float] | None = None, iou: float = 0.55) -> Detections:
    """Weighted box fusion: overlapping boxes become their score-weighted mean, a box few teachers see loses score."""
    weights = list(weights) if weights is not None else [1.0] * len(results)
    if not results:
        raise DataError("nothing to fuse: no teacher has run")
    boxes = np.concatenate([r.boxes for r in results])
    scores = np.concatenate([r.scores * w for r, w in zip(results, weights, strict=True)])
    clusters: list[list[int]] = []
    means = np.zeros((0, 4), np.float32)
    for i in np.argsort(-scores, kind="stable"):
        overlaps = iou_matrix(boxes[i : i + 1], means)[0] if len(means) else np.zeros(0)
        if len(overlaps) and overlaps.max() > iou:
            best = int(overlaps.argmax())
            clusters[best].append(int(i))
            members = clusters[best]
            means[best] = np.average(boxes[members], axis=0, weights=scores[members] + 1e-9)
        else:
            clusters.append([int(i)])
            means = np.concatenate([means, boxes[i : i + 1]])
    total = sum(weights)
    fused = np.array([min(scores[c].sum() / total, scores[c].max()) for c in clusters], np.float32)
    return Detections.make(means, fused)
