"""What a picture teaches: boxes of people with a weight, and boxes where the loss should look away.

Unlabelled pictures get the fused boxes of the teachers. Labelled pictures keep their boxes, checked by the teachers: people
that the labels miss are added, doubtful places and boxes around whole groups are ignored. A person has one box: of a whole
one and half of it the teachers' half goes, and a labelled half is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reid_training.files import make_folder, write_text

from .boxes import halves, iou_matrix, share_inside, suppress
from .data import Picture
from .teachers import Cache, Detections, fuse

#: Fused score from which a box is a person, and from which it is worth ignoring (models/README.md of the data, "Teachers").
PERSON, DOUBTFUL = 0.35, 0.15
#: The same for one teacher alone, whose false boxes are stronger: RTMDet-nano gives empty pictures boxes of up to 0.43.
PERSON_ALONE, DOUBTFUL_ALONE = 0.45, 0.2
#: Between this and `MISSING_PERSON` an unlabelled box of a labelled picture is ignored; below, the labels are right.
MISSING_DOUBTFUL = 0.35
#: A person missing from the labels of a labelled picture must be surer than that.
MISSING_PERSON = 0.5
#: Weight of a labelled box that no teacher confirms.
UNCONFIRMED_WEIGHT = 0.7


@dataclass(frozen=True)
class Truth:
    """`boxes` `[n, 4]` float32 corners in 0..1, `weights` `[n]` float32: 0 means ignore, 1 a person without doubt."""

    boxes: np.ndarray
    weights: np.ndarray


def pseudo_weight(scores: np.ndarray, person: float = PERSON) -> np.ndarray:
    """Weight of a teacher's box: 0 when doubtful, 0.5 at the person threshold, 1 from a quarter above."""
    return np.where(scores >= person, np.clip(0.5 + 2 * (scores - person), 0.5, 1), 0).astype(np.float32)


def from_teachers(found: Detections, alone: bool = False) -> Truth:
    """Truth of an unlabelled picture from fused teachers, or from one alone."""
    keep = found.scores >= (DOUBTFUL_ALONE if alone else DOUBTFUL)
    keep[keep] = ~halves(found.boxes[keep])
    return Truth(found.boxes[keep], pseudo_weight(found.scores[keep], PERSON_ALONE if alone else PERSON))


def tidy(found: Detections) -> Detections:
    """One teacher's detections without doubles: people's boxes that overlap by more than fusion would join."""
    found = Detections.make(found.boxes, found.scores, DOUBTFUL_ALONE)
    kept = suppress(found.boxes, found.scores, 0.55)
    return Detections(found.boxes[kept], found.scores[kept])


def checked(boxes: np.ndarray, found: Detections) -> Truth:
    """Truth of a labelled picture: its `[n, 4]` boxes, checked by the teachers' detections."""
    overlap = iou_matrix(boxes, found.boxes)
    confirmed = (overlap > 0.3).any(1) if len(found.scores) else np.zeros(len(boxes), bool)
    weights = np.where(confirmed, 1.0, UNCONFIRMED_WEIGHT).astype(np.float32)
    sure = found.boxes[found.scores >= PERSON]
    groups = ~confirmed & ((share_inside(sure, boxes) > 0.8).sum(0) >= 2)
    weights[groups] = 0
    weights[halves(boxes)] = 0
    people = boxes[~groups]
    new = (iou_matrix(found.boxes, people).max(1, initial=0) < 0.4) & (found.scores >= MISSING_DOUBTFUL)
    # part of a person that the labels have already (a torso in a whole-body box) is not another person
    new &= share_inside(found.boxes, people).max(1, initial=0) < 0.7
    extra = np.where(found.scores >= MISSING_PERSON, pseudo_weight(found.scores), 0)[new].astype(np.float32)
    return Truth(np.concatenate((boxes, found.boxes[new])), np.concatenate((weights, extra)))


def gather(pictures: Sequence[Picture], caches: Mapping[str, Cache], check: bool = True) -> dict[str, Truth]:
    """Truth by picture name. Unlabelled pictures that no teacher has seen are left out; labelled ones stand as they are."""
    truths: dict[str, Truth] = {}
    for picture in pictures:
        results = [c.found[picture.key] for c in caches.values() if picture.key in c.found]
        found = tidy(results[0]) if len(results) == 1 else fuse(results) if results else None
        if picture.boxes is None:
            if found is not None:
                truths[picture.key] = from_teachers(found, len(results) == 1)
        elif found is not None and check:
            truths[picture.key] = checked(picture.boxes, found)
        else:
            truths[picture.key] = Truth(picture.boxes, np.ones(len(picture.boxes), np.float32))
    return truths


def write(pictures: Sequence[Picture], caches: Mapping[str, Cache], out: Path) -> int:
    """The people whom the teachers see in unlabelled pictures as a folder in YOLO layout, so that an embedder can be
    trained on their crops; pictures are linked, not copied. Returns the number of people."""
    truths = gather([p for p in pictures if p.boxes is None], caches)
    make_folder(out / "images")
    make_folder(out / "labels")
    people = 0
    for picture in pictures:
        truth = truths.get(picture.key)
        sure = truth.boxes[truth.weights > 0] if truth is not None else []
        if not len(sure):
            continue
        link = out / "images" / picture.path.name
        if not link.exists():
            link.symlink_to(picture.path.resolve())
        lines = [f"0 {(x0 + x1) / 2:.5f} {(y0 + y1) / 2:.5f} {x1 - x0:.5f} {y1 - y0:.5f}\n" for x0, y0, x1, y1 in sure]
        write_text(out / "labels" / f"{picture.path.stem}.txt", "".join(lines))
        people += len(sure)
    return people


def open_caches(folder: Path) -> dict[str, Cache]:
    """Every teacher cache in a folder by teacher name."""
    return {path.stem.removeprefix("teacher-"): Cache.open(path) for path in sorted(folder.glob("teacher-*.npz"))}
