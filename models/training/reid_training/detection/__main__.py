"""`python -m reid_training.detection <command>`: the steps of the detector recipe one by one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import data, pack, teachers


def _pack(args: argparse.Namespace) -> None:
    pictures = data.scan(args.data)
    bad = pack.build(pictures, args.cache, args.threads)
    print(f"{len(pictures) - len(bad)} pictures packed, {len(bad)} unreadable{': ' if bad else ''}{', '.join(bad[:20])}")


def _teach(args: argparse.Namespace) -> None:
    pictures = data.scan(args.data)
    if args.sources:
        pictures = [p for p in pictures if p.source in args.sources]
    # a fixed shuffle, unlabelled first: every prefix of the work is a fair sample of what needs it most
    pictures.sort(key=lambda p: (p.boxes is not None, data._rank(p.key)))
    cache = teachers.Cache.open(args.cache / f"teacher-{args.name or args.teacher}.npz")
    bad = teachers.fill(cache, teachers.TEACHERS[args.teacher](args.model, args.threads), pictures, lambda line: print(line, flush=True))
    print(f"{len(cache.found)} pictures done, {len(bad)} unreadable{': ' if bad else ''}{', '.join(bad[:20])}")


def main() -> int:
    """Parses the command line and runs one command; a data error is one readable line and exit status 2."""
    parser = argparse.ArgumentParser(prog="reid_training.detection", description=__doc__)
    commands = parser.add_subparsers(required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data", type=Path, nargs="+", required=True, help="folders in YOLO layout")
    common.add_argument("--cache", type=Path, required=True, help="folder for packed pictures and teacher results")
    common.add_argument("--threads", type=int, default=1)
    command = commands.add_parser("pack", parents=[common], help="shrink all pictures into one file")
    command.set_defaults(call=_pack)
    command = commands.add_parser("teach", parents=[common], help="run a teacher over all pictures, once")
    command.add_argument("--teacher", choices=sorted(teachers.TEACHERS), required=True)
    command.add_argument("--model", type=Path, required=True)
    command.add_argument("--name", help="name of the cache, the teacher's by default")
    command.add_argument("--sources", nargs="*", help="only pictures of these sources")
    command.set_defaults(call=_teach)
    args = parser.parse_args()
    try:
        args.call(args)
    except data.DataError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
