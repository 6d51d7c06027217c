"""Drawn people of the plugin's own `reidtestsrc`, with their true boxes, so that demos and tests find them.

Needs the built plugin: `gst-launch-1.0` on PATH and `GST_PLUGIN_PATH` set (`eval "$(make -s env)"` in the repository).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

from reid_training.errors import DataError
from reid_training.files import make_folder, replacing, write_text

#: Seconds between two frames that are kept; people walk on in between.
SECONDS_APART = 2
#: Seeds from here on belong to training; demos and tests use small ones.
FIRST_SEED = 1000
PATTERNS = ("walk", "crossing", "crowd", "similar", "empty")
SIZES = ((640, 360), (1280, 720), (640, 480))


@dataclass(frozen=True)
class Scene:
    """One run of the source."""

    pattern: str
    seed: int
    camera: int
    people: int
    size: tuple[int, int]


def scenes(number: int) -> Iterator[Scene]:
    """So many different scenes; every tenth is empty."""
    for i in range(number):
        pattern = PATTERNS[-1] if i % 10 == 9 else PATTERNS[i % (len(PATTERNS) - 1)]
        yield Scene(pattern, FIRST_SEED + i, i % 3, 4 + (i * 7) % 17, SIZES[i % len(SIZES)])


def _launch(scene: Scene, frames: int, folder: Path) -> None:
    width, height = scene.size
    pipeline = (
        f"reidtestsrc attach=detections pattern={scene.pattern} seed={scene.seed} camera={scene.camera} cameras=3 "
        f"people={scene.people} num-buffers={frames} ! video/x-raw,width={width},height={height},framerate=1/{SECONDS_APART} ! "
        f"reidpublish format=mot location={folder}/truth.txt ! videoconvert ! jpegenc quality=90 ! "
        f"multifilesink location={folder}/%d.jpg"
    )
    result = subprocess.run(["gst-launch-1.0", "-q", *pipeline.split()], capture_output=True, text=True, env=os.environ)
    if result.returncode:
        raise DataError(f"reidtestsrc did not run; is the plugin built and GST_PLUGIN_PATH set? {result.stderr.strip()[-400:]}")


def render(out: Path, number: int, frames: int) -> int:
    """Writes YOLO layout, `number` scenes of `frames` frames; returns the number of pictures."""
    if shutil.which("gst-launch-1.0") is None:
        raise DataError("gst-launch-1.0 is not on PATH; install GStreamer's tools")
    for kind in ("images", "labels"):
        make_folder(out / kind)
    written = 0
    for scene in scenes(number):
        with tempfile.TemporaryDirectory() as folder:
            _launch(scene, frames, Path(folder))
            rows: dict[int, list[list[float]]] = {}
            for line in (Path(folder) / "truth.txt").read_text().splitlines():
                fields = [float(f) for f in line.split(",")]
                rows.setdefault(int(fields[0]), []).append(fields[2:6])
            for picture in sorted(Path(folder).glob("*.jpg")):
                height, width = cv2.imread(str(picture)).shape[:2]
                name = f"synthetic_{scene.pattern}-{scene.seed}-{picture.stem}"
                boxes = rows.get(int(picture.stem) + 1, [])
                lines = [
                    f"0 {(x + w / 2) / width:.6f} {(y + h / 2) / height:.6f} {w / width:.6f} {h / height:.6f}\n"
                    for x, y, w, h in boxes
                ]
                write_text(out / "labels" / f"{name}.txt", "".join(lines))
                with replacing(out / "images" / f"{name}.jpg") as draft:
                    shutil.move(picture, draft)
                written += 1
    return written
