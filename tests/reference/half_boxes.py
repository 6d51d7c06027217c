#!/usr/bin/env python3
"""How often a detector boxes half of a person beside the whole one, on recordings without labels.

    half_boxes.py [--model FILE] [--threshold 0.25] CLIP...

Runs `yolodetect ! reidpublish` on every clip and counts boxes that hold the upper or the lower half of a person who has a whole box in
the same frame, by the rule that the training's labels are cleaned with (`reid_training.detection.boxes.halves`). Needs the built
plugin (`eval "$(make -s env)"`) and numpy."""
import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models" / "training"))
from reid_training.detection.boxes import halves  # noqa: E402


def boxes_of(clip: Path, model: str | None, threshold: float):
    """Boxes of every frame with people, corners in 0..1."""
    detector = ["yolodetect", f"threshold={threshold}", *([f"model={model}"] if model else [])]
    source = ["filesrc", f"location={clip}", "!", "decodebin", "!", "videoconvert"]
    line = ["gst-launch-1.0", "-q", *source, "!", *detector, "!", "reidpublish", "!", "fakesink"]
    run = subprocess.run(line, capture_output=True, text=True, check=True)
    for text in run.stdout.splitlines():
        frame = json.loads(text)
        boxes = [o["detection"]["bounding_box"] for o in frame["objects"]]
        yield np.array([[b["x_min"], b["y_min"], b["x_max"], b["y_max"]] for b in boxes], np.float32).reshape(-1, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--threshold", type=float, default=0.25)
    parser.add_argument("clips", nargs="+", type=Path)
    options = parser.parse_args()
    print("| clip | boxes | half boxes | share |\n|---|---|---|---|")
    for clip in options.clips:
        frames = list(boxes_of(clip, options.model, options.threshold))
        count, half = sum(map(len, frames)), sum(int(halves(boxes).sum()) for boxes in frames)
        print(f"| {clip.stem} | {count} | {half} | {100 * half / max(1, count):.2f} % |")


main()
