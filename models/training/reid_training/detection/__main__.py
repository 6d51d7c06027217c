"""`python -m reid_training.detection <command>`: the steps of the detector recipe one by one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reid_training.cli import pick_device
from reid_training.config import read_raw
from reid_training.ending import add_options, ending_at
from reid_training.errors import ConfigError, DataError, UserError
from reid_training.export import tell_exported
from reid_training.files import make_folder

from . import data, evaluate, export, labels, pack, plots, recipe, synthetic, teachers, train


def _pack(args: argparse.Namespace) -> None:
    pictures = data.scan(args.data)
    bad = pack.build(pictures, args.cache, args.threads)
    data.tell_unreadable(len(pictures) - len(bad), "packed", bad)


def _teach(args: argparse.Namespace) -> None:
    pictures = data.scan(args.data)
    if args.sources:
        pictures = [p for p in pictures if p.source in args.sources]
    detect = teachers.TEACHERS[args.teacher](args.model, args.threads)
    teachers.teach(detect, pictures, args.cache, args.name or args.teacher)


def _label(args: argparse.Namespace) -> None:
    people = labels.write(data.split(data.scan(args.data)).train, labels.open_caches(args.cache), args.out)
    print(f"{people} people labelled in {len(list((args.out / 'labels').iterdir()))} pictures")


def _train(args: argparse.Namespace) -> None:
    config = read_raw(args.config)
    if args.views:
        config["schedule"]["views"] = args.views
    if args.cooldown:
        config["schedule"]["cooldown"] = args.cooldown
    options = train.Options(
        device=pick_device(args.device, args.threads),
        resume=args.resume,
        start=args.start,
        cache=args.cache,
        teacher=args.teacher,
        minutes=args.minutes,
        ending=ending_at(args.until, args.fall),
        workers=args.workers,
        export_to=args.export,
    )
    make_folder(args.out)
    recipe.run(config, args.data, args.out, options)


def _export(args: argparse.Namespace) -> None:
    tell_exported(args.out, export.export(args.checkpoint, args.out, args.side))


def _variants(args: argparse.Namespace) -> None:
    print(recipe.write_variants(args.model, args.data, args.side))


def _render(args: argparse.Namespace) -> None:
    print(f"{synthetic.render(args.out, args.scenes, args.frames)} pictures drawn")


def _detector(text: str, threads: int) -> tuple[str, teachers.Detector]:
    """A detector from `kind:path[:side]`, with the name it has in tables."""
    kind, path, *side = text.split(":")
    if kind not in evaluate.KINDS:
        raise ConfigError(f"--detector {text}: kind is none of {', '.join(sorted(evaluate.KINDS))}")
    options = {"side": int(side[0])} if side else {}
    return f"{Path(path).stem}{f' {side[0]}' if side else ''}", evaluate.KINDS[kind](Path(path), threads=threads, **options)


def _evaluate(args: argparse.Namespace) -> None:
    split = data.split(data.scan(args.data)) if args.data else data.Split([], [], [])
    items = evaluate.items_from_pictures(split.validation + split.held_out)
    items += [item for clip, truth in args.clip or [] for item in evaluate.items_from_clip(Path(clip), Path(truth))]
    if not items:
        raise DataError("nothing to measure on: give --data folders with validation or held-out sources, or --clip VIDEO TRUTH")
    rows = []
    for number, text in enumerate(args.detector):
        name, detect = _detector(text, args.threads)
        results = evaluate.run_detector(detect, items)
        rows += [(name, source, result) for source, result in evaluate.by_source(items, results).items()]
        if args.curves and number == 0:
            chosen = {s: [i for i, item in enumerate(items) if item.source == s] for _, s, _ in rows}
            curves = {s: ([items[i] for i in some], [results[i] for i in some]) for s, some in chosen.items()}
            plots.draw_precision(curves, args.curves)
    print(evaluate.table(rows))


def _plot(args: argparse.Namespace) -> None:
    plots.draw_course(args.history, args.out)


def main() -> int:
    """Parses the command line and runs one command; an error that the user can act on is one readable line."""
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
    command = commands.add_parser("label", parents=[common], help="write the teachers' boxes of unlabelled pictures as labels")
    command.add_argument("out", type=Path, help="folder to write in YOLO layout")
    command.set_defaults(call=_label)
    command = commands.add_parser("train", parents=[common], help="train, or continue with --resume; --data may be tars, too")
    command.add_argument("config", type=Path)
    command.add_argument("--out", type=Path, required=True)
    command.add_argument("--device", default="auto")
    command.add_argument("--resume", action="store_true", help="go on from OUT/last.pt if there is one")
    command.add_argument("--start", metavar="FILE", help="else begin with this checkpoint or exported .onnx file")
    command.add_argument("--views", type=int, help="length of the run, instead of the configuration's")
    command.add_argument("--cooldown", type=int, help="views over which the learning rate falls, instead of the configuration's")
    command.add_argument("--teacher", type=Path, help="RTMDet-nano in MMDeploy layout, for dense distillation")
    command.add_argument("--export", type=Path, help="ONNX file that is kept equal to the best checkpoint")
    command.add_argument("--minutes", type=float, help="stop, saved, after so many minutes")
    add_options(command)
    command.add_argument("--workers", type=int, default=1)
    command.set_defaults(call=_train)
    command = commands.add_parser("export", help="write a checkpoint as ONNX")
    command.add_argument("checkpoint", type=Path)
    command.add_argument("out", type=Path)
    command.add_argument("--side", type=int, default=416, help="input size noted in the file, which takes any")
    command.set_defaults(call=_export)
    command = commands.add_parser(
        "evaluate", help="measure detectors on validation and held-out pictures, and on clips with MOT truth"
    )
    command.add_argument(
        "--detector", action="append", required=True, help=f"KIND:FILE[:SIDE]; kinds: {', '.join(sorted(evaluate.KINDS))}"
    )
    command.add_argument("--data", type=Path, nargs="+", help="folders in YOLO layout")
    command.add_argument("--clip", nargs=2, action="append", metavar=("VIDEO", "TRUTH"), help="a clip and its truth in MOT form")
    command.add_argument("--threads", type=int, default=1)
    command.add_argument("--curves", type=Path, help="PNG of the first detector's precision over recall")
    command.set_defaults(call=_evaluate)
    command = commands.add_parser("plot", help="draw the course of a run")
    command.add_argument("history", type=Path, help="history.jsonl of a run")
    command.add_argument("out", type=Path, help="the .png to write")
    command.set_defaults(call=_plot)
    command = commands.add_parser(
        "variants", help="write float16, 8-bit-weight and int8 files of an exported detector, and measure them"
    )
    command.add_argument("model", type=Path)
    command.add_argument("--data", type=Path, nargs="+", required=True, help="folders in YOLO layout")
    command.add_argument("--side", type=int, default=416)
    command.set_defaults(call=_variants)
    command = commands.add_parser("render", help="draw training pictures with the plugin's reidtestsrc")
    command.add_argument("out", type=Path)
    command.add_argument("--scenes", type=int, default=90)
    command.add_argument("--frames", type=int, default=6, help="frames of each scene")
    command.set_defaults(call=_render)
    args = parser.parse_args()
    try:
        args.call(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
