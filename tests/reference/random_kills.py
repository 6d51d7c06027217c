#!/usr/bin/python3
"""Runs eight cameras with `reidctl run` while some of them are killed, stalled and restored at random.

Three cameras are test sources inside the program, three are RTSP servers and two HTTP servers of their own processes, which get SIGKILL or
SIGSTOP and come back after some seconds. Checked at the end: the program never ended and said nothing of a panic, its memory does not grow,
people keep their ids across restarts, and every recording plays.

    eval "$(make -s env)"
    tests/reference/random_kills.py --minutes 10 --seed 1 --out out/kills

Needs Debian's python3-gi and gir1.2-gst-rtsp-server-1.0. Ends with status 1 when a check fails.
"""

import argparse
import http.server
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

WIDTH, HEIGHT, RATE = 320, 240, 5
CAMERAS, PEOPLE, SEED = 8, 4, 3
# MiB per minute that memory may grow after the warm-up; noise of the allocator is below it.
MAX_GROWTH = 1.0
# Part of the ids in view after a restart that were known before it.
MIN_KEPT = 0.8


def scene(camera: int) -> str:
    return (
        f"reidtestsrc is-live=true camera={camera} cameras={CAMERAS} people={PEOPLE} seed={SEED} pattern=crossing attach=none "
        f"! video/x-raw,width={WIDTH},height={HEIGHT},framerate={RATE}/1 ! videoconvert"
    )


def serve_rtsp(port: int, camera: int) -> None:
    """An RTSP camera; runs until it is killed."""
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(port))
    factory = GstRtspServer.RTSPMediaFactory()
    encoder = f"x264enc tune=zerolatency speed-preset=ultrafast key-int-max={2 * RATE} ! rtph264pay name=pay0 pt=96"
    factory.set_launch(f"( {scene(camera)} ! {encoder} )")
    factory.set_shared(True)
    server.get_mount_points().add_factory("/view", factory)
    server.attach(None)
    GLib.MainLoop().run()


def serve_http(port: int, camera: int) -> None:
    """A camera that sends JPEG pictures in a multipart answer; runs until it is killed."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=frame")
            self.end_headers()
            self.wfile.flush()
            line = f"{scene(camera)} ! jpegenc ! multipartmux boundary=frame ! fdsink fd=1"
            child = subprocess.Popen(["gst-launch-1.0", "-q", *line.split()], stdout=subprocess.PIPE)
            try:
                while chunk := child.stdout.read1(65536):
                    self.wfile.write(chunk)
            except OSError:
                pass
            child.kill()
            child.wait()

        def log_message(self, *_):
            pass

    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


class Server:
    """A camera in a process group of its own."""

    def __init__(self, kind: str, port: int, camera: int):
        self.command = [sys.executable, os.path.abspath(__file__), "--serve", kind, "--port", str(port), "--camera", str(camera)]
        self.child = None
        self.start()

    def start(self):
        self.child = subprocess.Popen(self.command, start_new_session=True, stderr=subprocess.DEVNULL)

    def send(self, which: int):
        try:
            os.killpg(self.child.pid, which)
        except ProcessLookupError:
            pass

    def kill(self):
        self.send(signal.SIGKILL)
        self.child.wait()


class Program:
    """`reidctl run`, what it says, and its memory."""

    def __init__(self, program: str, file: pathlib.Path, errors: pathlib.Path):
        self.errors = errors
        self.begin = time.monotonic()
        self.child = subprocess.Popen(
            [program, "run", "--json", "--interval", "1", str(file)], stdout=subprocess.PIPE, stderr=errors.open("w"), text=True
        )
        self.lines, self.memory = [], []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.child.stdout:
            self.lines.append((time.monotonic() - self.begin, json.loads(line)))

    def measure(self):
        for line in pathlib.Path(f"/proc/{self.child.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                self.memory.append((time.monotonic() - self.begin, int(line.split()[1]) / 1024))


def cameras_file(out: pathlib.Path, first_port: int) -> pathlib.Path:
    def record(what: str):
        return {"record": {"folder": str(out / "films"), "what": what, "segment-seconds": 60}}

    cameras = []
    for camera in range(CAMERAS):
        port = first_port + camera
        if camera < 3:
            test = {"camera": camera, "cameras": CAMERAS, "people": PEOPLE, "seed": SEED, "pattern": "crossing", "attach": "none"}
            source = {"test": test | {"width": WIDTH, "height": HEIGHT, "rate": RATE}}
        elif camera < 6:
            source = {"rtsp": f"rtsp://127.0.0.1:{port}/view", "transport": "tcp"}
        else:
            source = {"http": f"http://127.0.0.1:{port}/"}
        options = {0: record("annotated"), 3: record("both"), 4: record("received"), 6: record("received"), 7: record("annotated")}
        cameras.append({"name": f"cam{camera}", "source": source, "options": options.get(camera, {})})
    text = {
        "cameras": cameras,
        "gallery": {"location": f"sqlite://{out / 'people.db'}"},
        "mosaic": {"folder": str(out / "films"), "tile-width": 160, "tile-height": 120, "rate": 5, "segment-seconds": 60},
        "models": {"threads": 1},
        "restart": {"stall-seconds": 5, "first-seconds": 0.5, "longest-seconds": 4.0},
    }
    file = out / "cameras.json"
    file.write_text(json.dumps(text, indent=1))
    return file


def disturb(servers: list, program: Program, seconds: float, seed: int) -> dict:
    """Kills, stalls and restores for so long; counts what was done."""
    chance = random.Random(seed)
    done = {"killed": 0, "stalled": 0}
    due, sampled = [], 0.0
    begin = time.monotonic()
    calm = begin + 20
    while time.monotonic() - begin < seconds and program.child.poll() is None:
        now = time.monotonic()
        for moment, action in [entry for entry in due if entry[0] <= now]:
            due.remove((moment, action))
            action()
        if now >= calm:
            calm = now + chance.uniform(3, 12)
            server = chance.choice(servers)
            back = now + chance.uniform(1, 15)
            if not any(owner == id(server) for owner in [getattr(a, "owner", None) for _, a in due]):
                if chance.random() < 0.5:
                    server.kill()
                    done["killed"] += 1
                    action = lambda server=server: server.start()
                else:
                    server.send(signal.SIGSTOP)
                    done["stalled"] += 1
                    action = lambda server=server: server.send(signal.SIGCONT)
                action.owner = id(server)
                due.append((back, action))
        if now - sampled > 5:
            sampled = now
            program.measure()
        time.sleep(0.2)
    for _, action in due:
        action()
    return done


def slope(samples: list) -> float:
    """MiB per minute, least squares."""
    mean_t = sum(t for t, _ in samples) / len(samples)
    mean_m = sum(m for _, m in samples) / len(samples)
    above = sum((t - mean_t) * (m - mean_m) for t, m in samples)
    return 60 * above / sum((t - mean_t) ** 2 for t, _ in samples)


def decided(camera: dict) -> set:
    """Ids in view that are decided; a pending one is provisional and says so."""
    return {person["id"] for person in camera["people"] if person["state"] != "pending"}


def kept(lines: list) -> tuple:
    """Restarts after which a camera showed people, decided ids in view then, and how many of them were known before."""
    seen, waiting, fresh = set(), {}, {}
    restarts = views = known = 0
    for at, line in lines:
        if line["event"] == "camera" and line["state"] == "waiting":
            waiting[line["camera"]] = set(seen)
        if line["event"] == "camera" and line["state"] == "running" and line["camera"] in waiting:
            fresh[line["camera"]] = (at, waiting.pop(line["camera"]), set())
        if line["event"] != "status":
            continue
        for camera in line["cameras"]:
            ids = decided(camera)
            if camera["name"] in fresh:
                since, before, after = fresh[camera["name"]]
                after |= ids
                if at - since > 20:
                    del fresh[camera["name"]]
                    if after:
                        restarts, views, known = restarts + 1, views + len(after), known + len(after & before)
            seen |= ids
    return restarts, views, known


def plays(film: pathlib.Path) -> bool:
    line = f"filesrc location={film} ! decodebin ! fakesink sync=false"
    done = subprocess.run(["gst-launch-1.0", "-q", *line.split()], capture_output=True, text=True, timeout=300)
    return done.returncode == 0 and "ERROR" not in done.stderr


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=10)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/kills"))
    arguments.add_argument("--program", default="reidctl")
    arguments.add_argument("--first-port", type=int, default=18550)
    arguments.add_argument("--serve", choices=["rtsp", "http"], help=argparse.SUPPRESS)
    arguments.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments.add_argument("--camera", type=int, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.serve:
        {"rtsp": serve_rtsp, "http": serve_http}[given.serve](given.port, given.camera)
        return 0
    out = given.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    file = cameras_file(out, given.first_port)
    kinds = {3: "rtsp", 4: "rtsp", 5: "rtsp", 6: "http", 7: "http"}
    servers = [Server(kind, given.first_port + camera, camera) for camera, kind in kinds.items()]
    program = Program(given.program, file, out / "stderr")
    try:
        done = disturb(servers, program, 60 * given.minutes, given.seed)
        alive = program.child.poll() is None
        program.child.terminate()
        status = program.child.wait(timeout=60)
    finally:
        for server in servers:
            server.send(signal.SIGCONT)
            server.kill()
        if program.child.poll() is None:
            program.child.kill()
    (out / "lines.jsonl").write_text("".join(json.dumps(line) + "\n" for _, line in program.lines))
    errors = program.errors.read_text()
    settled = [sample for sample in program.memory if sample[0] > 20 * given.minutes]
    growth = slope(settled)
    restarts, views, known = kept(program.lines)
    films = sorted((out / "films").glob("*.m*"))
    broken = [film.name for film in films if not plays(film)]
    frames = program.lines and [c["frames"] for line in program.lines[-1:] for c in line[1].get("cameras", [])]
    starts = sum(line["event"] == "camera" and line["state"] == "starting" for _, line in program.lines)
    ids = {number for _, line in program.lines if line["event"] == "status" for c in line["cameras"] for number in decided(c)}
    checks = {
        "no crash": alive and status == 0 and "panicked" not in errors and "CRITICAL" not in errors,
        "no growth": growth < MAX_GROWTH,
        "ids kept": views > 0 and known >= MIN_KEPT * views,
        "recordings play": bool(films) and not broken,
    }
    print(f"{given.minutes:g} minutes, seed {given.seed}: {done['killed']} kills, {done['stalled']} stalls, {starts} starts of cameras, frames {frames}")
    print(f"memory {settled[0][1]:.0f} to {settled[-1][1]:.0f} MiB, {growth:+.2f} MiB a minute over the last two thirds")
    print(f"{restarts} restarts with people after: {known} of {views} ids known before; {len(ids)} ids in all for {PEOPLE} people")
    print(f"{len(films)} recordings, broken: {broken}")
    for name, holds in checks.items():
        print(f"{name}: {'yes' if holds else 'NO'}")
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
