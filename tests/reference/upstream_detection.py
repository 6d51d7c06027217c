#!/usr/bin/python3
"""Sets yolodetect beside GStreamer's own `onnxinference ! yolov8tensordec` (1.28 and newer): same clip, same model, same ONNX Runtime,
same cores, alternately in one run. Prints medians of processor time for a frame and frames per second, and their ratios.

    eval "$(make -s env)"
    ORT_DYLIB_PATH=/usr/lib/x86_64-linux-gnu/libonnxruntime.so.1.23 tests/reference/upstream_detection.py \\
        --clip street.mp4 --frames 96 --model yolo11n-320.onnx:320 --model yolov8n-640.onnx:640

ORT_DYLIB_PATH names the library that GStreamer's plugin is linked with. Models are of YOLOv8's layout for 80 classes (input `images`,
output `output0`). Frames are decoded from H.264 in all cases; decoding alone is measured, too, and not subtracted. The clip is played
--times times in a row, so that the start of the process counts little.
"""

import argparse
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import tempfile
import time

DECODE = "filesrc location={clip} ! h264parse ! avdec_h264 max-threads=2 ! queue"
FIT = "videoconvertscale ! video/x-raw,format=RGB,width={side},height={side},pixel-aspect-ratio=1/1"
LINES = {
    "decoding alone": DECODE + " ! fakesink sync=false",
    "upstream": DECODE + " ! " + FIT + " ! onnxinference model-file={copy} ! yolov8tensordec label-file={labels} ! fakesink sync=false",
    "upstream, its best": DECODE + " ! " + FIT + " ! queue ! onnxinference model-file={copy} optimization-level=enable-all ! queue "
    "! yolov8tensordec label-file={labels} ! fakesink sync=false",
    "yolodetect": DECODE + " ! yolodetect model={model} ! fakesink sync=false",
    "yolodetect nireq=1": DECODE + " ! yolodetect model={model} nireq=1 ! fakesink sync=false",
}


def beside(folder: pathlib.Path, model: pathlib.Path, side: int) -> pathlib.Path:
    """A copy of the model with the file that tells upstream's elements what its tensors are."""
    copy = folder / model.name
    shutil.copy(model, copy)
    boxes = sum((side // stride) ** 2 for stride in (8, 16, 32))
    (folder / (model.name + ".modelinfo")).write_text(
        "[modelinfo]\nversion=1.0\ngroup-id=yolo-v8-out\n\n"
        f"[images]\nid=images\ntype=float32\ndims=1,3,{side},{side}\ndir=input\nranges=0.0,1.0;0.0,1.0;0.0,1.0\n\n"
        f"[output0]\nid=yolo-v8-out\ntype=float32\ndims=1,84,{boxes}\ndir=output\ndims-order=col-major\n"
    )
    return copy


def repeated(folder: pathlib.Path, clip: pathlib.Path, times: int) -> pathlib.Path:
    """The clip's H.264 stream so many times in a row."""
    once, all_of_it = folder / "once.h264", folder / "clip.h264"
    line = f"filesrc location={clip} ! qtdemux ! h264parse ! video/x-h264,stream-format=byte-stream ! filesink location={once}"
    subprocess.run(["gst-launch-1.0", "-q", *line.split()], check=True)
    all_of_it.write_bytes(once.read_bytes() * times)
    return all_of_it


def measured(line: str) -> tuple:
    """Processor seconds and seconds of one run."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(["gst-launch-1.0", "-q", *line.split()], capture_output=True, text=True)
    took, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode or "ERROR" in done.stderr:
        raise SystemExit(f"{line}\n{done.stdout}{done.stderr}")
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=pathlib.Path, required=True)
    parser.add_argument("--frames", type=int, required=True, help="of the clip, once")
    parser.add_argument("--times", type=int, default=4)
    parser.add_argument("--model", action="append", required=True, help="FILE:SIDE")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        labels = folder / "labels.txt"
        clip, frames = repeated(folder, given.clip, given.times), given.frames * given.times
        labels.write_text("".join(f"class{number}\n" for number in range(80)).replace("class0\n", "person\n", 1))
        for entry in given.model:
            model, side = entry.rsplit(":", 1)
            model = pathlib.Path(model).absolute()
            copy = beside(folder, model, int(side))
            taken = {kind: [] for kind in LINES}
            for run in range(given.runs + 1):
                for kind, line in LINES.items():
                    result = measured(line.format(clip=clip, side=side, copy=copy, labels=labels, model=model))
                    if run:  # the first run warms files and registry
                        taken[kind].append(result)
            print(f"{model.name}, {frames} frames, {os.cpu_count()} cores, median of {given.runs} (slowest to fastest)")
            base = None
            for kind, results in taken.items():
                cpu = 1e3 * statistics.median(r[0] for r in results) / frames
                rates = sorted(frames / r[1] for r in results)
                rate = statistics.median(rates)
                if kind == "upstream, its best":
                    base = cpu, rate
                ratio = f", {cpu / base[0]:.2f} x CPU, {rate / base[1]:.2f} x frames" if base and "yolo" in kind else ""
                print(f"  {kind:20s} {cpu:6.1f} ms CPU a frame, {rate:5.1f} frames/s ({rates[0]:.1f} to {rates[-1]:.1f}){ratio}", flush=True)


if __name__ == "__main__":
    main()
