"""The expected numbers of tests/scoring.rs, by TrackEval and py-motmetrics.

    pip install trackeval==1.3.0 motmetrics==1.4.0
    GST_REID_SCORE_DUMP=dump cargo test --test scoring
    python tests/reference/tracking_scores.py dump/<case> ...

A case's folder holds `<camera>.gt.txt` and `<camera>.result.txt`. Prints one JSON line a camera and one for all cameras."""

import itertools
import json
import pathlib
import sys

import motmetrics
import numpy as np
from trackeval import metrics
from trackeval.datasets._base_dataset import _BaseDataset

np.asfarray = lambda values: np.asarray(values, float)  # motmetrics 1.4 calls it, numpy 2 has dropped it


def load(path):
    """{frame: sorted [(id, x, y, w, h)]}"""
    frames = {}
    for line in path.read_text().splitlines():
        row = [float(value) for value in line.split(",")]
        frames.setdefault(int(row[0]), []).append((int(row[1]), *row[2:6]))
    return {frame: sorted(rows) for frame, rows in frames.items()}


def boxes(rows):
    return np.array([row[1:] for row in rows], float).reshape(-1, 4)


def trackeval_data(views):
    """What TrackEval's metrics take, all cameras one after the other, ids shared."""
    truth_ids, result_ids = (
        {n: i for i, n in enumerate(sorted({r[0] for view in views for rows in view[side].values() for r in rows}))}
        for side in (0, 1)
    )
    data = dict(num_gt_ids=len(truth_ids), num_tracker_ids=len(result_ids), gt_ids=[], tracker_ids=[], similarity_scores=[])
    for truth, result in views:
        for frame in sorted(set(truth) | set(result)):
            t, r = truth.get(frame, []), result.get(frame, [])
            data["gt_ids"].append(np.array([truth_ids[row[0]] for row in t], int))
            data["tracker_ids"].append(np.array([result_ids[row[0]] for row in r], int))
            data["similarity_scores"].append(_BaseDataset._calculate_box_ious(boxes(t), boxes(r), box_format="xywh"))
    data["num_timesteps"] = len(data["gt_ids"])
    data["num_gt_dets"] = sum(map(len, data["gt_ids"]))
    data["num_tracker_dets"] = sum(map(len, data["tracker_ids"]))
    return data


def trackeval_scores(views):
    data = trackeval_data(views)
    hota = metrics.HOTA().eval_sequence(data)
    identity = metrics.Identity({"PRINT_CONFIG": False}).eval_sequence(data)
    scores = {name: float(np.mean(hota[name])) for name in ("HOTA", "DetA", "AssA", "LocA")}
    return scores | {name: float(identity[name]) for name in ("IDF1", "IDP", "IDR")}


def accumulate(truth, result):
    accumulator = motmetrics.MOTAccumulator()
    for frame in sorted(set(truth) | set(result)):
        t, r = truth.get(frame, []), result.get(frame, [])
        distance = motmetrics.distances.iou_matrix(boxes(t), boxes(r), max_iou=0.5)
        accumulator.update([row[0] for row in t], [row[0] for row in r], distance, frameid=frame)
    return accumulator


def motmetrics_scores(accumulator):
    names = ["mota", "motp", "num_switches", "num_fragmentations", "num_false_positives", "num_misses"]
    found = motmetrics.metrics.create().compute(accumulator, metrics=names, name="all")
    scores = {name: float(found[name].iloc[0]) for name in names}
    scores["MOTP"] = 1 - scores.pop("motp")
    return scores


def cross_camera(accumulators):
    """Precision and recall over all pairs of matched boxes in different cameras, pair by pair."""
    people, ids = [], []
    for accumulator in accumulators:
        events = accumulator.mot_events
        events = events[events.Type.isin(["MATCH", "SWITCH"])]
        people.append(events.OId.to_numpy(int))
        ids.append(events.HId.to_numpy(int))
    right = one_id = one_person = 0
    for a, b in itertools.combinations(range(len(people)), 2):
        for person, number in zip(people[a], ids[a]):
            same_id, same_person = ids[b] == number, people[b] == person
            right += int((same_id & same_person).sum())
            one_id += int(same_id.sum())
            one_person += int(same_person.sum())
    return {"precision": right / max(1, one_id), "recall": right / max(1, one_person)}


def main():
    for folder in map(pathlib.Path, sys.argv[1:]):
        names = sorted(path.name.removesuffix(".gt.txt") for path in folder.glob("*.gt.txt"))
        views = [(load(folder / f"{name}.gt.txt"), load(folder / f"{name}.result.txt")) for name in names]
        accumulators = [accumulate(*view) for view in views]
        rows = {name: trackeval_scores([view]) | motmetrics_scores(a) for name, view, a in zip(names, views, accumulators)}
        if len(views) > 1:
            rows["global"] = trackeval_scores(views) | cross_camera(accumulators)
        for name, scores in rows.items():
            print(folder.name, name, json.dumps({key: round(value, 6) for key, value in scores.items()}))


if __name__ == "__main__":
    main()
