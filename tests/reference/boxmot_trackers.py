#!/usr/bin/env python3
"""What BoxMOT's trackers make of a recording, beside `reidtrack`'s figures in docs/tracking.md.

    python3 -m venv boxmot && boxmot/bin/pip install boxmot==25.0.0      # several GB
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 boxmot/bin/python tests/reference/boxmot_trackers.py --gt gt.txt door.jsonl

The recording is `record.py`'s: the same boxes and vectors for all. Parameters are those of BoxMOT's own configuration
files, but for the threshold from which a detection counts as sure, which is tried from 0.1 to 0.6, and camera motion
compensation, which is off. Boxes without a vector (too small for one) get a constant one. Prints for each tracker HOTA,
IDF1 and identity switches by `reidctl score` at the threshold with the largest HOTA + IDF1, and the processor time a frame
(median over the thresholds). `--all` prints every threshold, `--classes` takes the defaults of BoxMOT's classes instead,
`--missed 5` shows tracks for five frames more than BoxMOT gives them out, moving on as they did, as reidtrack shows those
whom the detector misses.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from boxmot.structures import Boxes, Detections
from boxmot.trackers import TrackerSpec, create_tracker
from boxmot.trackers.registry import get_tracker_class

# The parameters from which a detection is sure and may begin a track.
SURE = {
    "bytetrack": ("track_thresh",),
    "botsort": ("track_high_thresh", "new_track_thresh"),
    "ocsort": ("det_thresh",),
    "deepocsort": ("det_thresh",),
    "strongsort": ("min_conf",),
    "boosttrack": ("det_thresh",),
    "hybridsort": ("det_thresh",),
    "sfsort": ("high_th", "new_track_th"),
    "occluboost": ("det_thresh", "new_track_thresh"),
}
# How camera motion compensation is switched off; StrongSORT and HybridSORT have no parameter for it.
STILL = {
    "botsort": {"use_cmc": False},
    "boosttrack": {"use_cmc": False},
    "occluboost": {"use_cmc": False},
    "deepocsort": {"cmc_off": True},
}
# A missed track moves on at its pace over so many frames, and is not shown where the picture's edge (px) cuts it.
PACE_FRAMES = 10
EDGE = 19.0
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


class Recording(NamedTuple):
    """Boxes and vectors of each frame, by its number, and a picture in which nothing is to be seen."""

    frames: list[tuple[int, Detections]]
    picture: np.ndarray


class Score(NamedTuple):
    hota: float
    idf1: float
    switches: int
    threshold: float
    ms: float

    def __str__(self) -> str:
        return f"{self.hota:.1f} / {self.idf1:.1f} / {self.switches} ({self.threshold})"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path, nargs="+", help="what record.py wrote")
    parser.add_argument("--gt", type=Path, required=True, help="the truth, MOT rows")
    parser.add_argument("--trackers", nargs="+", choices=SURE, default=list(SURE))
    parser.add_argument("--reidctl", default="target/release/reidctl", help="the program (target/release/reidctl)")
    parser.add_argument("--classes", action="store_true", help="the defaults of the classes, not of the configuration files")
    parser.add_argument("--missed", type=int, default=0, help="frames for which missed tracks are shown (0)")
    parser.add_argument("--all", action="store_true", help="print every threshold")
    return parser.parse_args()


def detections(frame: dict[str, Any], dimension: int) -> Detections:
    """A frame's boxes as BoxMOT takes them."""
    seen = frame["o"]
    constant = [dimension**-0.5] * dimension
    corners = [[x, y, x + w, y + h] for x, y, w, h in (o["r"] for o in seen)]
    return Detections(
        geometry=Boxes(torch.tensor(corners, dtype=torch.float32).reshape(-1, 4)),
        scores=torch.tensor([o["c"] for o in seen], dtype=torch.float32),
        class_ids=torch.zeros(len(seen), dtype=torch.int64),
        sample_id=str(frame["n"]),
        embeddings=torch.tensor([o["e"] or constant for o in seen], dtype=torch.float32).reshape(-1, dimension),
    )


def tracker(name: str, threshold: float, from_class: bool) -> Any:
    """A tracker of BoxMOT's that counts boxes of `threshold` and more as sure."""
    options = dict.fromkeys(SURE[name], threshold) | STILL.get(name, {})
    if from_class:
        made = get_tracker_class(name)(**options)
    else:
        made = create_tracker(TrackerSpec(name=name, options=tuple(sorted(options.items()))))
    if getattr(made, "cmc", None) is not None:
        made.cmc, made.apply_cmc, made._requires_frame = None, lambda *_: None, False
    return made


def load(path: Path) -> Recording:
    lines = [json.loads(line) for line in path.open()]
    dimension = next(len(o["e"]) for line in lines for o in line["o"] if o["e"])
    size = lines[0]["h"], lines[0]["w"], 3
    return Recording([(line["n"], detections(line, dimension)) for line in lines], np.zeros(size, np.uint8))


def row(number: int, person: int, corners: np.ndarray) -> str:
    left, top, right, bottom = corners
    return f"{number},{person},{left:.2f},{top:.2f},{right - left:.2f},{bottom - top:.2f},1,-1,-1,-1\n"


def missed(number: int, seen: list[tuple[int, np.ndarray]], frames: int, width: int) -> np.ndarray | None:
    """Where a track should be in a frame that it was not given out in; `None` where it is not to be shown."""
    last, corners = seen[-1]
    recent = [(n, c) for n, c in seen[-PACE_FRAMES - 1 :] if n >= last - PACE_FRAMES]
    if not 0 < number - last <= frames or len(recent) < 2:
        return None
    first, start = recent[0]
    pace = (corners - start) / (last - first)
    centre = (pace[:2] + pace[2:]) / 2
    there = corners + (number - last) * np.concatenate([centre, centre])
    return there if there[0] >= EDGE and there[2] <= width - EDGE else None


def follow(name: str, threshold: float, recording: Recording, given: argparse.Namespace) -> tuple[list[str], float]:
    """MOT rows, and processor time a frame in ms."""
    made, rows = tracker(name, threshold, given.classes), []
    seen: dict[int, list[tuple[int, np.ndarray]]] = {}
    # SFSORT wants to know how large the picture is.
    picture = recording.picture if made.requirements.frame else None
    begun = time.process_time()
    for number, found in recording.frames:
        tracks = made.update(found, picture)
        for person, corners in zip(tracks.track_ids.tolist(), tracks.geometry.values.tolist(), strict=True):
            seen.setdefault(person, []).append((number, np.array(corners)))
            rows.append(row(number, person, np.array(corners)))
        if given.missed:
            places = ((person, missed(number, own, given.missed, recording.picture.shape[1])) for person, own in seen.items())
            rows.extend(row(number, person, place) for person, place in places if place is not None)
    return rows, (time.process_time() - begun) * 1e3 / len(recording.frames)


def score(name: str, threshold: float, recording: Recording, given: argparse.Namespace) -> Score:
    rows, ms = follow(name, threshold, recording, given)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as result:
        result.writelines(rows)
        result.flush()
        command = [given.reidctl, "score", "--json", "--gt", given.gt, "--result", result.name]
        camera = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["cameras"][0]
    return Score(100 * camera["HOTA"], 100 * camera["IDF1"], camera["switches"], threshold, ms)


def main() -> None:
    given = arguments()
    torch.set_num_threads(1)
    for path in given.recording:
        recording = load(path)
        for name in given.trackers:
            scores = [score(name, threshold, recording, given) for threshold in THRESHOLDS]
            best = max(scores, key=lambda s: s.hota + s.idf1)
            print(f"{path.stem:12} {name:11} {best}  {statistics.median(s.ms for s in scores):.1f} ms", flush=True)
            if given.all:
                print(*(f"    {each}" for each in scores), sep="\n", flush=True)


if __name__ == "__main__":
    main()
