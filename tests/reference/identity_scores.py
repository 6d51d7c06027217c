#!/usr/bin/env python3
"""The table "Across cameras" of docs/identity.md: replays recordings of one gallery and scores the numbers people got.

    cargo build --release --example replay --bin reidctl
    identity_scores.py D1.jsonl D2.jsonl ...             # the truth lies beside each: D1.gt.txt
    identity_scores.py --gt door/gt.txt hall/gt.txt -- truth=1 door.jsonl hall.jsonl

The recordings are `record.py`'s; words with `=` go to `examples/replay.rs`, whose default properties are taken else. Prints
global IDF1 (`reidctl score`) of the numbers as they were given and with announced corrections, and of the boxes that lie on
somebody, those whose number belongs, by most of its boxes, to somebody else (percent).
"""

import argparse
import json
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """A MOT row: whose, and where, px."""

    id: int
    x: float
    y: float
    w: float
    h: float


Frames = dict[int, list[Row]]
# From this overlap on a box lies on a person, as IDF1 takes it.
ON = 0.5


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="+", help="what record.py wrote, and options of examples/replay.rs")
    parser.add_argument("--gt", type=Path, nargs="+", help="the truth of each recording, MOT rows; else NAME.gt.txt beside it")
    parser.add_argument("--replay", default="target/release/examples/replay", help="the program")
    parser.add_argument("--reidctl", default="target/release/reidctl", help="the program")
    return parser.parse_args()


def load(path: Path) -> Frames:
    frames: Frames = defaultdict(list)
    for line in path.read_text().splitlines():
        frame, number, *box = (float(field) for field in line.split(",")[:6])
        frames[int(frame)].append(Row(int(number), *box))
    return frames


def overlap(a: Row, b: Row) -> float:
    """Intersection over union."""
    w = min(a.x + a.w, b.x + b.w) - max(a.x, b.x)
    h = min(a.y + a.h, b.y + b.h) - max(a.y, b.y)
    inside = max(0.0, w) * max(0.0, h)
    return inside / (a.w * a.h + b.w * b.h - inside)


def matched(truth: list[Row], rows: list[Row]) -> Iterator[tuple[Row, Row]]:
    """Each box with the person it lies on, the largest overlaps first: one person, one box."""
    pairs = sorted(((overlap(row, person), row, person) for row in rows for person in truth), reverse=True)
    rows_taken, people_taken = set(), set()
    for part, row, person in pairs:
        if part >= ON and row not in rows_taken and person not in people_taken:
            rows_taken.add(row)
            people_taken.add(person)
            yield row, person


def wrong(truths: list[Frames], results: list[Frames]) -> float:
    """Percent of boxes that carry a number which is somebody else's in most of its boxes."""
    people: dict[int, Counter[int]] = defaultdict(Counter)
    for truth, result in zip(truths, results, strict=True):
        for frame, rows in result.items():
            for row, person in matched(truth.get(frame, []), rows):
                people[row.id][person.id] += 1
    boxes = sum(counts.total() for counts in people.values())
    return 100 * (boxes - sum(max(counts.values()) for counts in people.values())) / max(1, boxes)


def idf1(given: argparse.Namespace, truths: list[Path], results: list[Path]) -> float:
    command = [given.reidctl, "score", "--json", "--gt", *truths, "--result", *results, "--camera", *(r.stem for r in results)]
    scores = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return 100 * (scores["global"] or scores["cameras"][0])["IDF1"]


def main() -> None:
    given = arguments()
    options = [word for word in given.recordings if "=" in word]
    recordings = [Path(word) for word in given.recordings if "=" not in word]
    truths = given.gt or [recording.with_suffix(".gt.txt") for recording in recordings]
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([given.replay, *options, out, *recordings], check=True)
        for kind in ("global", "corrected"):
            results = [Path(out) / f"{recording.stem}.{kind}.txt" for recording in recordings]
            share = wrong([load(path) for path in truths], [load(path) for path in results])
            name = "as given" if kind == "global" else kind
            print(f"{name:10} IDF1 {idf1(given, truths, results):.1f}, somebody else's {share:.2f} %")


if __name__ == "__main__":
    main()
