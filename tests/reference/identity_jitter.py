#!/usr/bin/env python3
"""How much of a figure of docs/identity.md is chance: recordings of one gallery, disturbed a little, replayed again and again.

    cargo build --release --example replay
    identity_jitter.py --score DATA/tools/ident_score.py --gt DATA/multi-camera/nlpr-mct3-first/gt --length 84 \\
        default/cam1.jsonl,default/cam2.jsonl,default/cam3.jsonl osnet/cam1.jsonl,osnet/cam2.jsonl,osnet/cam3.jsonl

Each argument is one gallery: recordings of `record.py`, named as their truth in the folder --gt. Each is played at once, one
camera after the other into a kept gallery, and shifted in time by more than its length, with --seeds disturbances
(`jitter=SEED` of `examples/replay.rs`: noise of 15 % of a vector's length, a quarter of the vectors left out) and those vectors
alone that `reidembed` would make by default. Words with `=` go to `examples/replay.rs`.

Prints, as means and standard deviations: the share of the boxes that carry their person's id under the best assignment of ids
to people (one-to-one), precision and recall of the pairs of boxes of two cameras, percent, and ids. A change of the rules is
judged by precision and recall together, over several embedders and sets: a looser limit trades one for the other.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

KINDS = ("global", "corrected")


class Run(NamedTuple):
    """One replay."""

    gallery: tuple[Path, ...]
    mode: str
    seed: int


class Score(NamedTuple):
    """What became of it, percent; `ids` is a number."""

    one_to_one: float
    precision: float
    recall: float
    ids: float


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("galleries", nargs="+", help="recordings of one gallery with commas between, and options of examples/replay.rs")
    parser.add_argument("--gt", type=Path, required=True, help="folder with the truth of each camera, MOT rows")
    parser.add_argument("--score", type=Path, required=True, help="the program that scores: ident_score.py")
    parser.add_argument("--length", type=float, required=True, help="length of the longest recording, s")
    parser.add_argument("--seeds", type=int, default=3, help="disturbances of each recording and mode")
    parser.add_argument("--jobs", type=int, default=2, help="replays at a time")
    parser.add_argument("--replay", default="target/release/examples/replay", help="the program")
    return parser.parse_args()


def options(mode: str, length: float) -> list[str]:
    return {"at once": [], "after": ["after=1"], "shifted": [f"shift={length + 10}"]}[mode]


def replay(run: Run, args: argparse.Namespace, more: list[str]) -> dict[str, Score]:
    """As given and corrected."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["reuse=-1", f"jitter={run.seed}", *options(run.mode, args.length), *more, folder, *map(str, run.gallery)]
        subprocess.run([args.replay, *words], check=True, stderr=subprocess.DEVNULL)
        scores = {}
        for kind in KINDS:
            truth = [str(args.gt / f"{r.stem}.txt") for r in run.gallery]
            result = [f"{folder}/{r.stem}.{kind}.txt" for r in run.gallery]
            command = [sys.executable, str(args.score), "--gt", *truth, "--res", *result]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            precision, recall = (value or 0.0 for value in found["cross_PR"])
            scores[kind] = Score(found["ida"], precision, recall, found["numbers"])
        return scores


def shown(scores: list[Score]) -> str:
    def column(values: tuple[float, ...]) -> str:
        return f"{statistics.mean(values):.1f} ± {statistics.pstdev(values):.1f}"

    own, precision, recall, ids = (column(values) for values in zip(*scores, strict=True))
    return f"{own} | {precision} | {recall} | {ids}"


def main() -> None:
    args = arguments()
    more = [word for word in args.galleries if "=" in word]
    galleries = [tuple(Path(r) for r in word.split(",")) for word in args.galleries if "=" not in word]
    modes = ("at once", "after", "shifted")
    runs = [Run(g, m, s) for g in galleries for m in modes for s in range(1, args.seeds + 1)]
    with ThreadPoolExecutor(args.jobs) as pool:
        results = dict(zip(runs, pool.map(lambda run: replay(run, args, more), runs), strict=True))
    print("| recordings | played | | one-to-one | precision | recall | ids |\n|---|---|---|---|---|---|---|")
    for gallery in [*galleries, None]:
        for mode in modes if gallery else ("all",):
            for kind, name in zip(KINDS, ("given", "corrected"), strict=True):
                own = [s[kind] for r, s in results.items() if gallery is None or (r.gallery, r.mode) == (gallery, mode)]
                print(f"| {gallery[0].parent if gallery else 'all'} | {mode} | {name} | {shown(own)} |")


if __name__ == "__main__":
    main()
