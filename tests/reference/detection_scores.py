#!/usr/bin/env python3
"""The scores that `tests/scoring.rs` expects of boxes, from pycocotools (2.0.11).

    GST_REID_SCORE_DUMP=dump cargo test --test scoring boxes
    python tests/reference/detection_scores.py dump

prints AP50 and AP50-95 of every `dump/<case>.coco.json`.
"""

import contextlib
import io
import json
import sys
from pathlib import Path

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def scores(pictures):
    annotations, found = [], []
    for number, picture in enumerate(pictures, 1):
        for kind, crowd in (("truth", 0), ("crowds", 1)):
            for x, y, w, h in picture[kind]:
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "bbox": [x, y, w, h],
                     "area": w * h, "iscrowd": crowd}
                )
        found += [{"image_id": number, "category_id": 1, "bbox": box, "score": score} for box, score in picture["found"]]
    truth = COCO()
    truth.dataset = {
        "images": [{"id": i + 1} for i in range(len(pictures))],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats[1], evaluation.stats[0]


for path in sorted(Path(sys.argv[1]).glob("*.coco.json")):
    with contextlib.redirect_stdout(io.StringIO()):
        ap50, ap = scores(json.loads(path.read_text()))
    print(f"{path.name}: {ap50:.6f}, {ap:.6f}")
