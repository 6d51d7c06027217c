#!/usr/bin/env python3
"""Does sharpness or contrast, measured on a crop's pixels, say how much its embedding is worth? Weighs the crops of visits by the quality that
their boxes have, with and without a factor for the pixels, and prints how often a visit is most alike the same person in the other
cameras, and by what margin.

    tests/reference/crop_sharpness.py --embedder models/reid-default.onnx --every 10 SET...

SET: a folder with `<camera>.mp4` and `gt/<camera>.txt` (MOT rows, ids shared by the cameras). Needs numpy, opencv-python-headless and
onnxruntime.
"""

import argparse
import pathlib
from collections import defaultdict

import cv2
import numpy as np
import onnxruntime

MEAN, STD = 255 * np.float32([0.485, 0.456, 0.406]), 255 * np.float32([0.229, 0.224, 0.225])
VISIT = 6  # crops fused
WEIGHTS = {
    "none": lambda quality, sharpness, contrast: np.ones_like(quality),
    "box": lambda quality, sharpness, contrast: quality,
    "box x sharpness": lambda quality, sharpness, contrast: quality * sharpness / (sharpness + 300),
    "box x sqrt(sharpness)": lambda quality, sharpness, contrast: quality * np.sqrt(sharpness),
    "box x contrast": lambda quality, sharpness, contrast: quality * contrast / (contrast + 20),
    "box x sqrt(contrast)": lambda quality, sharpness, contrast: quality * np.sqrt(contrast),
}


def box_quality(box, others, frame):
    """As `reid_core::quality::crop_quality`, without the detector's score."""
    x, y, w, h = box
    whole = (min(frame[0], x + w) - max(0, x)) * (min(frame[1], y + h) - max(0, y)) / (w * h)
    hidden = 0.0
    for a, b, c, d in others:
        if b + d > y + h:
            hidden = max(hidden, max(0, min(x + w, a + c) - max(x, a)) * max(0, min(y + h, b + d) - max(y, b)) / (w * h))
    shape = np.clip(min(w / h / 0.25, 0.6 * h / w), 0, 1)
    return min(1, h / 128) ** 0.5 * whole * shape * (1 - min(1, hidden / 0.6))


def crops_of(folder, camera, every):
    """(person, quality, sharpness, contrast, crop) of every nth frame with truth; sharpness: variance of the Laplacian at 128 x 64."""
    truth = defaultdict(list)
    for row in np.loadtxt(folder / "gt" / f"{camera}.txt", delimiter=",", usecols=range(6)):
        truth[int(row[0])].append((int(row[1]), tuple(row[2:6])))
    video, number = cv2.VideoCapture(str(folder / f"{camera}.mp4")), 0
    while True:
        there, frame = video.read()
        number += 1
        if not there:
            return
        boxes = truth.get(number, [])
        for at, (person, box) in enumerate(boxes if number % every == 1 % every else []):
            x, y, w, h = box
            crop = frame[max(0, int(y)) : int(y + h), max(0, int(x)) : int(x + w)]
            if min(crop.shape[:2]) < 8:
                continue
            others = [other for place, (_, other) in enumerate(boxes) if place != at]
            grey = cv2.cvtColor(cv2.resize(crop, (64, 128)), cv2.COLOR_BGR2GRAY).astype(np.float32)
            quality = box_quality(box, others, frame.shape[1::-1])
            yield person, quality, cv2.Laplacian(grey, cv2.CV_32F).var(), grey.std(), crop


def margins(weights, vectors, people, cameras):
    """Of every visit: its score with the same person in the other cameras less that with the most alike stranger."""
    visits = defaultdict(list)
    for index, key in enumerate(zip(cameras, people)):
        visits[key].append(index)
    fuse = lambda rows: (vectors[rows] * weights[rows, None]).sum(0)  # noqa: E731
    for (camera, person), rows in visits.items():
        elsewhere = {p: np.flatnonzero((people == p) & (cameras != camera)) for p in set(people)}
        means = {p: fuse(found) for p, found in elsewhere.items() if weights[found].sum() > 0}
        for start in range(0, len(rows) - VISIT + 1, VISIT):
            own = fuse(rows[start : start + VISIT])
            if person in means and np.any(own):
                scores = {p: own @ m / np.linalg.norm(own) / np.linalg.norm(m) for p, m in means.items()}
                yield scores.pop(person) - max(scores.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embedder", required=True)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("sets", nargs="+", type=pathlib.Path)
    given = parser.parse_args()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(given.embedder, options, providers=["CPUExecutionProvider"])
    name, (height, width) = session.get_inputs()[0].name, session.get_inputs()[0].shape[2:]
    for folder in given.sets:
        rows = [(video.stem, *crop) for video in sorted(folder.glob("*.mp4")) for crop in crops_of(folder, video.stem, given.every)]
        vectors = []
        for row in rows:
            pixels = (cv2.resize(row[-1], (width, height))[..., ::-1].astype(np.float32) - MEAN) / STD
            vectors.append(session.run(None, {name: pixels.transpose(2, 0, 1)[None]})[0][0])
        vectors = np.stack(vectors)
        cameras, people = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        for camera in set(cameras):
            vectors[cameras == camera] -= vectors[cameras == camera].mean(0)
        pixels = [np.array([row[column] for row in rows]) for column in (2, 3, 4)]
        for kind, weight in WEIGHTS.items():
            found = np.array(list(margins(weight(*pixels), vectors, people, cameras)))
            print(f"{folder.name:18s} {kind:22s} {len(found):4d} visits: right {100 * np.mean(found > 0):5.1f} %, margin {found.mean():.3f}")


if __name__ == "__main__":
    main()
