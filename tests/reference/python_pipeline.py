#!/usr/bin/env python3
"""The same work as the pipelines', as a Python program does it: OpenCV decodes, ONNX Runtime runs detector and embedder on every
frame and every person. Prints frames per second and processor time for a frame, to be set beside `reidctl bench --clip`.

    tests/reference/python_pipeline.py --detector models/person-detector.onnx --embedder models/reid-default.onnx clip.mp4

Needs numpy, opencv-python-headless and onnxruntime. The detector is one of the layout `[1, 4 + classes, n]` (YOLOv8's; ours).
"""

import argparse
import time

import cv2
import numpy as np
import onnxruntime

MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def letterbox(frame, side):
    """Ratio kept, centred on grey, RGB in 0..1: [1, 3, side, side], and how to come back."""
    height, width = frame.shape[:2]
    scale = side / max(height, width)
    small = cv2.resize(frame, (round(width * scale), round(height * scale)))
    left, top = (side - small.shape[1]) // 2, (side - small.shape[0]) // 2
    canvas = np.full((side, side, 3), 114, np.uint8)
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return np.ascontiguousarray(canvas[:, :, ::-1].transpose(2, 0, 1)[None], np.float32) / 255, scale, left, top


def boxes_of(output, scale, left, top, threshold):
    """People as corners, suppressed at 0.45."""
    rows = output[0].T
    rows = rows[rows[:, 4] >= threshold]
    corners = np.stack([rows[:, 0] - rows[:, 2] / 2, rows[:, 1] - rows[:, 3] / 2, rows[:, 2], rows[:, 3]], 1)
    corners = (corners - [left, top, 0, 0]) / scale
    kept = cv2.dnn.NMSBoxes(corners.tolist(), rows[:, 4].tolist(), threshold, 0.45)
    return corners[np.asarray(kept, int).reshape(-1)]


def crops_of(frame, boxes, width, height):
    """[n, 3, height, width], normalised."""
    crops = []
    for x, y, w, h in boxes:
        part = frame[max(0, int(y)) : int(y + h), max(0, int(x)) : int(x + w)]
        if part.size:
            crop = cv2.resize(part, (width, height))[:, :, ::-1].astype(np.float32) / 255
            crops.append(((crop - MEAN) / STD).transpose(2, 0, 1))
    return np.stack(crops) if crops else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--embedder", required=True)
    parser.add_argument("--side", type=int, default=416)
    parser.add_argument("--size", default="128x64", help="height x width of the embedder's crops")
    parser.add_argument("--threshold", type=float, default=0.25)
    parser.add_argument("--threads", type=int, default=0, help="of each session; 0: as many as ONNX Runtime likes")
    parser.add_argument("clip")
    options = parser.parse_args()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    open_session = lambda path: onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])  # noqa: E731
    detector, embedder = open_session(options.detector), open_session(options.embedder)
    height, width = (int(side) for side in options.size.split("x"))
    one_by_one = isinstance(embedder.get_inputs()[0].shape[0], int)  # exported for single crops
    name, embed_name = detector.get_inputs()[0].name, embedder.get_inputs()[0].name
    video, frames, people = cv2.VideoCapture(options.clip), 0, 0
    begun, cpu = time.perf_counter(), time.process_time()
    while True:
        there, frame = video.read()
        if not there:
            break
        pixels, scale, left, top = letterbox(frame, options.side)
        boxes = boxes_of(detector.run(None, {name: pixels})[0], scale, left, top, options.threshold)
        crops = crops_of(frame, boxes, width, height)
        if crops is not None:
            for part in np.split(crops, len(crops)) if one_by_one else [crops]:
                embedder.run(None, {embed_name: part})
        frames, people = frames + 1, people + len(boxes)
    elapsed, cpu = time.perf_counter() - begun, time.process_time() - cpu
    print(
        f"{frames} frames, {people / frames:.1f} people in a frame: {frames / elapsed:.1f} frames/s, "
        f"{1000 * cpu / frames:.1f} ms of processor time a frame"
    )


if __name__ == "__main__":
    main()
