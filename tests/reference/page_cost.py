"""What the page of `reidctl run` costs: CPU time of the program with one camera, without a page, with one that nobody looks at, and
with ten viewers of its pictures (MJPEG). The three are measured in turn, several times; medians are printed.

    tests/reference/page_cost.py target/release/reidctl [--rounds 5] [--seconds 20]
"""

import argparse
import json
import os
import pathlib
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

CAMERA = {"name": "door", "source": {"test": {"camera": 0, "cameras": 1, "people": 6, "seed": 3, "pattern": "walk",
          "attach": "detections", "width": 640, "height": 480, "rate": 15}}}
VIEWERS = 10
WARM_UP = 5.0  # seconds: models are loaded, the first people are there


def cpu_seconds(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def look(port: int, stop: threading.Event, received: list[int]) -> None:
    """Reads the camera's pictures until `stop`; counts their bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as stream:
        stream.sendall(f"GET /api/cameras/door/stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        while not stop.is_set():
            received.append(len(stream.recv(1 << 16)))


def measure(program: str, cameras: pathlib.Path, viewers: int | None, seconds: float) -> float:
    """CPU time of the program, percent of one core. `viewers=None`: without a page."""
    page = [] if viewers is None else ["--listen", "127.0.0.1:0"]
    child = subprocess.Popen([program, "run", "--json", "--interval", "60", *page, str(cameras)],
                             stdout=subprocess.PIPE, text=True)
    stop, received, threads = threading.Event(), [], []
    try:
        port = None
        for line in child.stdout:
            note = json.loads(line)
            if note["event"] == "page":
                port = int(note["text"].rstrip("/").rsplit(":", 1)[1])
            if note["event"] == "camera" and note["state"] == "running":
                break
        threading.Thread(target=child.stdout.read, daemon=True).start()
        threads = [threading.Thread(target=look, args=(port, stop, received)) for _ in range(viewers or 0)]
        for thread in threads:
            thread.start()
        time.sleep(WARM_UP)
        begin, before = time.monotonic(), cpu_seconds(child.pid)
        time.sleep(seconds)
        spent, took = cpu_seconds(child.pid) - before, time.monotonic() - begin
        if viewers and sum(received) < 10_000 * viewers:
            sys.exit("the viewers saw nothing")
        return 100.0 * spent / took
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        child.terminate()
        child.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    cases = {"no page": None, "page, nobody looks": 0, f"page, {VIEWERS} viewers": VIEWERS}
    measured = {name: [] for name in cases}
    with tempfile.TemporaryDirectory() as folder:
        cameras = pathlib.Path(folder, "cameras.json")
        embedder = pathlib.Path(__file__).resolve().parents[2] / "models/reid-compact.onnx"
        cameras.write_text(json.dumps({"cameras": [CAMERA], "models": {"detector": "none", "embedder": str(embedder)}}))
        for _ in range(arguments.rounds):
            for name, viewers in cases.items():
                measured[name].append(measure(arguments.program, cameras, viewers, arguments.seconds))
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    print(f"{model}, {os.cpu_count()} cores; medians of {arguments.rounds} rounds of {arguments.seconds:.0f} s, % of a core")
    base = statistics.median(measured["no page"])
    for name, values in measured.items():
        median = statistics.median(values)
        print(f"{name:22} {median:6.1f}  ({median - base:+.1f}; {min(values):.1f} to {max(values):.1f})")


if __name__ == "__main__":
    main()
