#!/usr/bin/python3
"""Records boxes and vectors of a camera as examples/replay.rs reads them, through the elements themselves.

    scripts/setup.sh test && make build && eval "$(make -s env)"
    record.py --detector yolov8n.onnx --embedder reid.onnx --out door.jsonl door.mp4
    record.py --truth gt.txt --embedder reid.onnx --out D7.jsonl --rate 2 'D7/img1/%06d.jpg'
    record.py --truth gt.txt --truth-size 1920x1080 --first 0 --embedder reid.onnx --out D1.jsonl --rate 2 'D1_%04d.jpg'
    record.py --embedder reid.onnx --out cam0.jsonl --rate 5 --frames 100 'reidtestsrc pattern=crowd people=8 cameras=8'

The source is a clip, numbered pictures (`%06d`), or the test source with its properties. Boxes are those of a detector
above `--threshold`, the rows of a MOT file (attached as regions of interest with score 1), or, without either, those that
the test source attaches as detections: whole boxes of people of whom 30 % and more are seen. Where the truth is known every
box carries its person (`"g"`), and `OUT.gt.txt` beside OUT says it as MOT rows, for `reidctl score`.

Every box gets a vector in every frame (`reuse-interval=0 max-objects=0`) but those less than 32 px high in the picture
(`min-height`, its default). Boxes end at the picture's edge. Embeddings are biometric data: keep recordings to yourself.
"""

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import GLib, Gst, GstVideo  # noqa: E402

# What of a buffer is handed on.
EVERYTHING = Gst.BufferCopyFlags.FLAGS | Gst.BufferCopyFlags.TIMESTAMPS | Gst.BufferCopyFlags.META | Gst.BufferCopyFlags.MEMORY


class Box(NamedTuple):
    """A true box, px, and whose it is."""

    person: int
    x: float
    y: float
    w: float
    h: float


def size(text: str) -> tuple[float, float]:
    width, height = text.split("x")
    return float(width), float(height)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="a clip, numbered pictures (with %%06d), or 'reidtestsrc ...'")
    parser.add_argument("--out", type=Path, required=True, help="the recording, .jsonl")
    parser.add_argument("--embedder", type=Path, required=True, help="the embedder's .onnx file")
    boxes = parser.add_mutually_exclusive_group()
    boxes.add_argument("--detector", type=Path, help="the detector's .onnx file")
    boxes.add_argument("--truth", type=Path, help="true boxes: MOT rows frame,id,x,y,w,h, frames from 1")
    parser.add_argument("--threshold", type=float, default=0.05, help="lowest score of a detection (0.05)")
    parser.add_argument("--truth-size", type=size, help="WxH of the pictures that the truth was measured in; else theirs")
    parser.add_argument("--rate", type=int, default=30, help="frames a second of pictures and of the test source (30)")
    parser.add_argument("--first", type=int, default=1, help="the first picture's number (1)")
    parser.add_argument("--frames", type=int, default=-1, help="frames of the test source")
    given = parser.parse_args()
    if not (given.detector or given.truth or is_made_up(given.source)):
        parser.error("boxes come from --detector, --truth or reidtestsrc")
    return given


def is_made_up(source: str) -> bool:
    return source.split()[0] == "reidtestsrc"


def quoted(path: Path | str) -> str:
    return shlex.quote(str(Path(path).absolute()))


def source_line(given: argparse.Namespace) -> str:
    if is_made_up(given.source):
        attach = "none" if given.detector else "detections"
        caps = f"video/x-raw,width=640,height=480,framerate={given.rate}/1"
        return f"{given.source} name=made-up attach={attach} num-buffers={given.frames} ! {caps}"
    if "%" in given.source:
        picture = f"image/{'png' if given.source.endswith('.png') else 'jpeg'},framerate={given.rate}/1"
        return f"multifilesrc location={quoted(given.source)} index={given.first} caps={picture} ! decodebin ! queue"
    return f"filesrc location={quoted(given.source)} ! decodebin ! queue"


def embed_line(given: argparse.Namespace, out: Path) -> str:
    embed = f"reidembed model={quoted(given.embedder)} reuse-interval=0 max-objects=0"
    return f"{embed} ! reidpublish add-embeddings=true add-empty=true location={quoted(out)} ! fakesink sync=false"


def check(pipeline: Gst.Pipeline, kinds: Gst.MessageType, timeout_ns: int) -> None:
    """Waits for a message; an error ends the program."""
    message = pipeline.get_bus().timed_pop_filtered(timeout_ns, kinds | Gst.MessageType.ERROR)
    if message is not None and message.type == Gst.MessageType.ERROR:
        error, details = message.parse_error()
        sys.exit(f"{error.message}\n{details}")


def wait(pipeline: Gst.Pipeline) -> None:
    """Until the stream ends."""
    check(pipeline, Gst.MessageType.EOS, Gst.CLOCK_TIME_NONE)
    pipeline.set_state(Gst.State.NULL)


def samples(pipeline: Gst.Pipeline, sink: Gst.Element) -> Iterator[Gst.Sample]:
    """All pictures of a pipeline."""
    while not sink.get_property("eos"):
        sample = sink.emit("try-pull-sample", Gst.SECOND)
        if sample is not None:
            yield sample
        check(pipeline, Gst.MessageType.ERROR, 0)


def load_truth(path: Path) -> dict[int, list[Box]]:
    frames: dict[int, list[Box]] = {}
    for line in path.read_text().splitlines():
        frame, person, *box = (float(field) for field in line.split(",")[:6])
        frames.setdefault(int(frame), []).append(Box(int(person), *box))
    return frames


def cut(boxes: Iterable[Box], of: tuple[float, float], width: int, height: int) -> Iterator[Box]:
    """Boxes of a picture of size `of`, scaled to width x height and cut at its edges; none that lie outside."""
    sx, sy = width / of[0], height / of[1]
    for box in boxes:
        left, top = max(0.0, box.x * sx), max(0.0, box.y * sy)
        w = min(float(width), (box.x + box.w) * sx) - left
        h = min(float(height), (box.y + box.h) * sy) - top
        if w > 0.5 and h > 0.5:
            yield Box(box.person, left, top, w, h)


def attach(buffer: Gst.Buffer, box: Box, width: int, height: int) -> None:
    """As another detector's: the rectangle in whole px, the parameter `detection` with fractions of the frame."""
    left, top, right, bottom = (round(v) for v in (box.x, box.y, box.x + box.w, box.y + box.h))
    region = GstVideo.buffer_add_video_region_of_interest_meta(
        buffer, "person", left, top, max(1, right - left), max(1, bottom - top)
    )
    corners = {"x_min": box.x / width, "y_min": box.y / height}
    corners |= {"x_max": (box.x + box.w) / width, "y_max": (box.y + box.h) / height}
    fields = "".join(f", {name}=(double){value:.9f}" for name, value in corners.items())
    region.add_param(Gst.Structure.new_from_string(f"detection, label_id=(int)0, confidence=(double)1.0{fields}"))


def play_with_truth(given: argparse.Namespace, out: Path) -> list[list[Box]]:
    """Takes pictures out of one pipeline and puts them into another, with the truth attached."""
    truth = load_truth(given.truth)
    pictures = Gst.parse_launch(f"{source_line(given)} ! videoconvert ! video/x-raw,format=RGB ! appsink name=sink sync=false")
    measured = Gst.parse_launch(f"appsrc name=src format=time block=true ! {embed_line(given, out)}")
    sink, src = pictures.get_by_name("sink"), measured.get_by_name("src")
    for pipeline in (measured, pictures):
        pipeline.set_state(Gst.State.PLAYING)
    boxes: list[list[Box]] = []
    for sample in samples(pictures, sink):
        picture = sample.get_caps().get_structure(0)
        width, height = picture.get_value("width"), picture.get_value("height")
        src.set_property("caps", sample.get_caps())
        boxes.append(list(cut(truth.get(len(boxes) + 1, []), given.truth_size or (width, height), width, height)))
        buffer = sample.get_buffer()
        buffer = buffer.copy_region(EVERYTHING, 0, buffer.get_size())
        for box in boxes[-1]:
            attach(buffer, box, width, height)
        check(measured, Gst.MessageType.ERROR, 0)
        src.emit("push-buffer", buffer)
    pictures.set_state(Gst.State.NULL)
    src.emit("end-of-stream")
    wait(measured)
    return boxes


def play(given: argparse.Namespace, out: Path) -> list[list[Box]] | None:
    """Lets the detector look, or the test source say where people are."""
    detect = f"yolodetect model={quoted(given.detector)} threshold={given.threshold} ! queue ! " if given.detector else ""
    pipeline = Gst.parse_launch(f"{source_line(given)} ! {detect}{embed_line(given, out)}")
    boxes: list[list[Box]] = []
    made_up = pipeline.get_by_name("made-up")
    if made_up is not None and not given.detector:
        people = made_up.get_property("people")

        def on_frame(_pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
            boxes.append(list(attached(info.get_buffer(), people)))
            return Gst.PadProbeReturn.OK

        made_up.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, on_frame)
    pipeline.set_state(Gst.State.PLAYING)
    wait(pipeline)
    return boxes or None


def attached(buffer: Gst.Buffer, people: int) -> Iterator[Box]:
    """The truth that the test source attached; a region's number is the person's."""
    for person in range(1, people + 1):
        region = GstVideo.buffer_get_video_region_of_interest_meta_id(buffer, person)
        if region is not None and GLib.quark_to_string(region.roi_type) == "reid-truth":
            yield Box(person, region.x, region.y, region.w, region.h)


def whose(rect: list[float], boxes: list[Box]) -> Box:
    """The true box that was written as `rect`; it is taken from `boxes`."""

    def far(box: Box) -> float:
        return max(abs(a - b) for a, b in zip(rect, box[1:], strict=True))

    best = min(boxes, key=far)
    assert far(best) < 0.02, f"no true box is {rect}"
    boxes.remove(best)
    return best


def converted(published: Path, truth: list[list[Box]] | None, rate: int) -> Iterator[dict]:
    """The lines of `reidpublish` as `examples/replay.rs` reads them."""
    with published.open() as lines:
        for number, line in enumerate(map(json.loads, lines), 1):
            width, height = line["resolution"]["width"], line["resolution"]["height"]
            left = list(truth[number - 1]) if truth else []
            objects = []
            for seen in line["objects"]:
                corners = seen["detection"]["bounding_box"]
                x, y = corners["x_min"] * width, corners["y_min"] * height
                rect = [round(v, 3) for v in (x, y, corners["x_max"] * width - x, corners["y_max"] * height - y)]
                vector = seen.get("embedding", {}).get("values")
                person = {"g": whose(rect, left).person} if truth else {}
                objects.append({"r": rect, "c": seen["detection"]["confidence"], "e": vector} | person)
            time = line["timestamp"]
            time = time if time is not None else (number - 1) * 1_000_000_000 // rate
            yield {"t": time, "n": number, "w": width, "h": height, "o": objects}


def write(frames: Iterable[dict], out: Path, has_truth: bool) -> None:
    rows, boxes, vectors, frame = [], 0, 0, {"n": 0}
    with out.open("w") as file:
        for frame in frames:
            file.write(json.dumps(frame, separators=(",", ":")) + "\n")
            boxes += len(frame["o"])
            vectors += sum(seen["e"] is not None for seen in frame["o"])
            if has_truth:
                rows += [",".join(map(str, (frame["n"], o["g"], *o["r"], 1, -1, -1, -1))) for o in frame["o"]]
    if has_truth:
        out.with_suffix(".gt.txt").write_text("".join(f"{row}\n" for row in rows))
    print(f"{out}: {frame['n']} frames, {boxes} boxes, {vectors} vectors")


def main() -> None:
    given = arguments()
    Gst.init(None)
    with tempfile.TemporaryDirectory() as folder:
        published = Path(folder) / "published.jsonl"
        truth = play_with_truth(given, published) if given.truth else play(given, published)
        write(converted(published, truth, given.rate), given.out, bool(truth))


if __name__ == "__main__":
    main()
