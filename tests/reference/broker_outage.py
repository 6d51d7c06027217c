#!/usr/bin/env python3
"""Four live cameras that publish to an MQTT broker which is stopped twice for 30 seconds, beside four that write to files.

    broker_outage.py [--down 30] [--up 15]

Needs mosquitto, mosquitto-clients, python3-gi and the plugin on GST_PLUGIN_PATH. Prints how late frames come to their sinks with and without the
broker's outages, what arrived at a reader (in order, once or more), and the publishers' own counts. Lateness is the time at the
sink less the frame's running time; both kinds of cameras run at the same time on the same machine."""
import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

PORT = 18899
SCENE = (
    "reidtestsrc is-live=true attach=detections pattern=crossing people=4 ! video/x-raw,width=320,height=240,framerate=25/1 ! queue "
    "! reidtrack camera={name} gallery={name} motion-only=true ! reidpublish name=publisher add-empty=true location={where} "
    "! fakesink name=end sync=false signal-handoffs=true"
)


class Camera:
    """A pipeline, and how late its frames come to the end, ms."""

    def __init__(self, name: str, where: str) -> None:
        self.pipeline = Gst.parse_launch(SCENE.format(name=name, where=where))
        self.late: list[float] = []
        self.pipeline.get_by_name("end").connect("handoff", self.note)

    def note(self, _sink: Gst.Element, buffer: Gst.Buffer, _pad: Gst.Pad) -> None:
        now = self.pipeline.get_clock().get_time() - self.pipeline.get_base_time()
        self.late.append((now - buffer.pts) / 1e6)

    def count(self, what: str) -> int:
        return self.pipeline.get_by_name("publisher").get_property("stats").get_value(what)


def broker(folder: Path) -> subprocess.Popen:
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {PORT} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 0\n")
    return subprocess.Popen(["mosquitto", "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--down", type=float, default=30)
    parser.add_argument("--up", type=float, default=15)
    options = parser.parse_args()
    Gst.init(None)
    folder = Path(tempfile.mkdtemp())
    ours = [Camera(f"mqtt{n}", f"mqtt://127.0.0.1:{PORT}/seen/mqtt{n}") for n in range(4)]
    files = [Camera(f"file{n}", str(folder / f"{n}.jsonl")) for n in range(4)]
    running, lines = broker(folder), folder / "read.txt"
    for camera in (*ours, *files):
        camera.pipeline.set_state(Gst.State.PLAYING)
    with lines.open("w") as out:
        for round in range(3):
            time.sleep(0.2)
            command = ["mosquitto_sub", "-p", str(PORT), "-t", "seen/#", "-q", "1", "-F", "%t %p"]
            reader = subprocess.Popen(command, stdout=out)
            time.sleep(options.up)
            if round < 2:
                reader.terminate(), running.terminate(), running.wait()
                time.sleep(options.down)
                running = broker(folder)
    counts = [{what: camera.count(what) for what in ("written", "dropped", "waiting")} for camera in ours]
    for camera in (*ours, *files):
        camera.pipeline.set_state(Gst.State.NULL)
    reader.terminate(), running.terminate()
    for name, group in (("broker", ours), ("files", files)):
        late = sorted(value for camera in group for value in camera.late)
        frames = [len(camera.late) for camera in group]
        print(f"{name}: frames {frames}, late ms median {statistics.median(late):.2f}, 99 % {late[len(late) * 99 // 100]:.2f}, most {late[-1]:.1f}")
    print("counts", counts)
    times: dict[str, list[int]] = defaultdict(list)
    for line in lines.read_text().splitlines():
        topic, _, text = line.partition(" ")
        if topic.endswith("/status"):
            continue
        times[topic].append(json.loads(text)["timestamp"])
    for topic, stamps in sorted(times.items()):
        first = [stamp for number, stamp in enumerate(stamps) if stamp not in stamps[:number][-200:]]
        in_order = all(a <= b for a, b in zip(first, first[1:]))
        print(f"{topic}: {len(stamps)} read, {len(stamps) - len(first)} of them twice or of one moment, in order: {in_order}")


main()
