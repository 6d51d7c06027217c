#!/usr/bin/python3
"""Identities in real recordings of several cameras, played through the elements themselves: a table for docs/identity.md.

    scripts/setup.sh test && make build && eval "$(make -s env)"
    tests/reference/recordings.py                                   # everything; three quarters of an hour on two cores
    tests/reference/recordings.py --set pets09-s2l1 --mode shifted --embedder reid-default --detector yolox-nano

A set is a folder of DATA/multi-camera: `<camera>.mp4`, and `gt/<camera>.txt`, MOT rows for a part of the boxes, with ids that
the cameras share. They are third-party material and no part of the project; where they are absent the suite is skipped.
Each set is played

* at-once: as recorded, all cameras in one process;
* one-after-other: each camera alone, all into one kept gallery, which is closed and opened again in between;
* shifted: in one process, each camera begins later than the one before ends (the running time that reidtrack sees is shifted).

No property is set but the models and where the gallery is kept. The frames are decoded, and people detected and embedded,
once a set; with what the elements attached to them they stay in memory (a GB), and each way of playing sends them through
reidtrack and reidpublish. They reach reidtrack in the order of their time, so that a slow machine measures the same as a fast
one. A kept gallery counts time from the wall's clock, which moves a figure by a few tenths from run to run.

Identities are scored by `reidctl score --partial`: only boxes that lie on a true one count. "As given" is the id of each JSON
line, "corrected" the last one of each track with every merge followed. One-to-one is the share of these boxes that carry their
person's id under the best assignment of ids to people; pairs are boxes in two cameras with one id; ids count from ten boxes
on. With --keep the JSON lines, the list of the gallery and the scores stay.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstPbutils", "1.0")
from gi.repository import Gst, GstPbutils  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
MODES = ("at-once", "one-after-other", "shifted")
EMBEDDERS = {
    "reid-default": "models/reid-default.onnx",
    "retail-0267": "data:models/openvino-retail-0267_epsfix_derived.onnx",
    "osnet-x0_25": "data:models/osnet-x0_25_msmt17_huyai.onnx",
}
DETECTORS = {
    "person-detector": "models/person-detector.onnx",
    "yolox-nano": "data:models/yolox-nano_416_kazu.onnx",
}
# Between the end of one camera and the begin of the next when they are shifted.
GAP_NS = 10 * Gst.SECOND


class Camera(NamedTuple):
    """A recording and its truth."""

    name: str
    video: Path
    truth: Path
    length_ns: int
    rate: float


class Run(NamedTuple):
    """What is measured in one row of the table."""

    set: str
    mode: str
    embedder: str


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data", help="folder with multi-camera/ and models/ (%(default)s)")
    parser.add_argument("--set", nargs="+", help="folders of multi-camera/ (all)")
    parser.add_argument("--mode", nargs="+", choices=MODES, default=MODES, help="how they are played (all)")
    parser.add_argument("--embedder", nargs="+", default=list(EMBEDDERS), help="names or .onnx files (%(default)s)")
    parser.add_argument("--detector", default="person-detector", help=f"{', '.join(DETECTORS)} or an .onnx file (%(default)s)")
    parser.add_argument("--keep", type=Path, help="folder for what was published")
    parser.add_argument("--reidctl", default=ROOT / "target/release/reidctl", help="the program (%(default)s)")
    return parser.parse_args()


def model(name: str, known: dict[str, str], data: Path) -> Path:
    """The file of a model that is known by name, or the file itself."""
    place = known.get(name, name)
    file = data / place.removeprefix("data:") if place.startswith("data:") else ROOT / place
    if not file.is_file():
        sys.exit(f"{file} is not there; known models are {', '.join(known)}")
    return file


def cameras_of(folder: Path) -> list[Camera]:
    discoverer = GstPbutils.Discoverer.new(30 * Gst.SECOND)
    cameras = []
    for truth in sorted((folder / "gt").glob("*.txt")):
        video = folder / f"{truth.stem}.mp4"
        found = discoverer.discover_uri(video.resolve().as_uri())
        stream = found.get_video_streams()[0]
        rate = stream.get_framerate_num() / stream.get_framerate_denom()
        cameras.append(Camera(truth.stem, video, truth, found.get_duration(), rate))
    return cameras


class Stream(NamedTuple):
    """A camera's frames with the people that were detected and embedded in them."""

    caps: Gst.Caps
    frames: list[Gst.Buffer]


def quoted(path: Path | str) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def run_to_end(pipeline: Gst.Pipeline) -> None:
    """Plays until the end; an error ends the program."""
    pipeline.set_state(Gst.State.PLAYING)
    message = pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    if message.type == Gst.MessageType.ERROR:
        error, details = message.parse_error()
        # Threads may wait for their turn; the program's end ends them.
        sys.stderr.write(f"{error.message}\n{details}\n")
        os._exit(1)
    pipeline.set_state(Gst.State.NULL)


def embedded(camera: Camera, detector: Path, embedders: list[Path]) -> list[Stream]:
    """A camera's frames with people, once for each embedder."""
    line = f"filesrc location={quoted(camera.video)} ! decodebin ! queue ! yolodetect model={quoted(detector)} ! tee name=detected"
    for i, embedder in enumerate(embedders):
        line += f" detected. ! queue ! reidembed model={quoted(embedder)} ! appsink name=embedded{i} sync=false emit-signals=true"
    pipeline = Gst.parse_launch(line)
    samples: list[list[Gst.Sample]] = [[] for _ in embedders]

    def keep(sink: Gst.Element, kept: list[Gst.Sample]) -> Gst.FlowReturn:
        kept.append(sink.emit("pull-sample"))
        return Gst.FlowReturn.OK

    for i, kept in enumerate(samples):
        pipeline.get_by_name(f"embedded{i}").connect("new-sample", keep, kept)
    run_to_end(pipeline)
    return [Stream(kept[0].get_caps(), [sample.get_buffer() for sample in kept]) for kept in samples]


class Turns:
    """Lets frames into reidtrack one at a time, in the order of their running time: the next one passes when every camera
    that has not ended holds one."""

    def __init__(self, cameras: int) -> None:
        self.changed = threading.Condition()
        self.holding: dict[int, int] = {}
        self.playing = cameras

    def add(self, camera: int, track: Gst.Element, shift_ns: int) -> None:
        track.get_static_pad("sink").set_offset(shift_ns)
        track.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, self.wait, camera, shift_ns)
        track.get_static_pad("src").add_probe(Gst.PadProbeType.EVENT_DOWNSTREAM, self.on_event)

    def wait(self, _pad: Gst.Pad, info: Gst.PadProbeInfo, camera: int, shift_ns: int) -> Gst.PadProbeReturn:
        with self.changed:
            self.holding[camera] = info.get_buffer().pts + shift_ns
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.next() == camera)
            del self.holding[camera]
        return Gst.PadProbeReturn.OK

    def next(self) -> int | None:
        if len(self.holding) < self.playing:
            return None
        return min(self.holding, key=lambda camera: (self.holding[camera], camera))

    def on_event(self, _pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        if info.get_event().type == Gst.EventType.EOS:
            with self.changed:
                self.playing -= 1
                self.changed.notify_all()
        return Gst.PadProbeReturn.OK


def place(out: Path) -> str:
    return f"sqlite://{(out / 'gallery.db').resolve()}"


def play(cameras: list[Camera], streams: list[Stream], shift_ns: int, out: Path) -> None:
    """Plays cameras, each shifted against the one before; writes OUT/<camera>.jsonl and into the gallery OUT/gallery.db."""
    pipeline = Gst.parse_launch(
        " ".join(
            f"appsrc name=source{i} format=time ! reidtrack name=track{i} camera={camera.name} gallery-location={quoted(place(out))}"
            f" ! reidpublish location={quoted(out / (camera.name + '.jsonl'))} ! fakesink sync=false async=false"
            for i, camera in enumerate(cameras)
        )
    )
    turns = Turns(len(cameras))
    for i in range(len(cameras)):
        turns.add(i, pipeline.get_by_name(f"track{i}"), i * shift_ns)
    # A source that has not begun takes no frames.
    pipeline.set_state(Gst.State.PAUSED)
    for i, stream in enumerate(streams):
        source = pipeline.get_by_name(f"source{i}")
        source.set_property("caps", stream.caps)
        for frame in stream.frames:
            source.emit("push-buffer", frame)
        source.emit("end-of-stream")
    run_to_end(pipeline)


def play_one_after_other(cameras: list[Camera], streams: list[Stream], out: Path) -> None:
    """The clock of a kept gallery is the wall's when it is opened: it is not opened again before the recording would have
    ended, or the next camera would overlap with the one before."""
    for camera, stream in zip(cameras, streams, strict=True):
        begin = time.monotonic()
        play([camera], [stream], 0, out)
        time.sleep(max(0, camera.length_ns / Gst.SECOND - (time.monotonic() - begin)))


def measure(mode: str, cameras: list[Camera], streams: list[Stream], given: argparse.Namespace, out: Path) -> dict:
    """Plays a set, returns what reidctl says."""
    if mode == "one-after-other":
        play_one_after_other(cameras, streams, out)
    else:
        play(cameras, streams, max(camera.length_ns for camera in cameras) + GAP_NS if mode == "shifted" else 0, out)
    people = out / "people.json"
    people.write_text(reidctl(given, "gallery", "list", "--json", place(out)))
    results = [out / f"{camera.name}.jsonl" for camera in cameras]
    truths = [camera.truth for camera in cameras]
    score = ["score", "--partial", "--json", "--rate", cameras[0].rate, "--gallery", people]
    text = reidctl(given, *score, "--gt", *truths, "--result", *results)
    (out / "scores.json").write_text(text)
    return json.loads(text)


def reidctl(given: argparse.Namespace, *words: object) -> str:
    command = [str(word) for word in (given.reidctl, *words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


HEADER = """\
| set | played | embedder | found | one-to-one, as given / corrected | pairs across, precision / recall, as given | corrected \
| ids for people, as given / corrected | id changes per track | final id after, median / 95 % |
|---|---|---|---|---|---|---|---|---|---|"""


def row(run: Run, scores: dict) -> str:
    def percent(share: float | None) -> str:
        return "–" if share is None else f"{100 * share:.1f}"

    def pairs(side: dict) -> str:
        return " / ".join(percent(side["across"][name]) for name in ("precision", "recall"))

    def wait(seconds: float | None) -> str:
        return "after the end" if seconds is None else f"{seconds:.1f} s"

    given, corrected, steady = scores["as_given"], scores["corrected"], scores["steadiness"]
    cells = (
        *run,
        percent(given["found"]),
        f"{percent(given['IDA'])} / {percent(corrected['IDA'])}",
        pairs(given),
        pairs(corrected),
        f"{given['lasting_ids']} / {corrected['lasting_ids']} for {given['people']}",
        f"{steady['changes_per_track']:.2f}",
        f"{wait(steady['final_after_median_s'])} / {wait(steady['final_after_95_s'])}",
    )
    return f"| {' | '.join(cells)} |"


@contextlib.contextmanager
def folder_of(run: Run, given: argparse.Namespace) -> Iterator[Path]:
    """An empty folder for what a run publishes."""
    if not given.keep:
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)
        return
    out = given.keep / "-".join(run)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    yield out


def main() -> None:
    given = arguments()
    folder = given.data / "multi-camera"
    if not folder.is_dir():
        print(f"skipped: {folder} is not there (third-party recordings, not part of the project)")
        return
    Gst.init(None)
    detector = model(given.detector, DETECTORS, given.data)
    embedders = [model(name, EMBEDDERS, given.data) for name in given.embedder]
    print(f"Detector: {given.detector}\n\n{HEADER}", flush=True)
    for name in given.set or sorted(path.parent.name for path in folder.glob("*/gt")):
        cameras = cameras_of(folder / name)
        seen = [embedded(camera, detector, embedders) for camera in cameras]
        for i, embedder in enumerate(given.embedder):
            for mode in given.mode:
                run = Run(name, mode, Path(embedder).stem)
                with folder_of(run, given) as out:
                    print(row(run, measure(mode, cameras, [streams[i] for streams in seen], given, out)), flush=True)


if __name__ == "__main__":
    main()
