"""Where a network begins: with random weights, with those of a checkpoint of another recipe, or with those of an exported
file of this package, or with published weights of its backbone (`pretrained`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from reid_training import checkpoint
from reid_training.config import Config
from reid_training.data.batches import to_input
from reid_training.data.pack import Pack
from reid_training.errors import CheckpointError
from reid_training.exported import begin_with, read_exported
from reid_training.nets import make_net
from reid_training.pretrained import begin_pretrained
from reid_training.progress import say

RANDOM = "random"
#: Crops by which the normalisations of an exported file are found again; 256 give channels' variances to some percent.
SAMPLE = 256


@dataclass(frozen=True)
class NetTable:
    """`[net]`: the network by name, length of its embedding, its options; `pretrained`: published weights that its backbone
    begins with, `timm`, a package or a file (see `pretrained`), which `--pretrained` and `--start` override."""

    name: str = "slimres"
    dim: int = 512
    options: dict[str, Any] = field(default_factory=dict)
    pretrained: str = ""


@dataclass(frozen=True)
class StartedNet(NetTable):
    """`[net]`. `start`: the recipe whose checkpoint the network begins with, looked for beside this recipe's own folder
    (`runs/<start>/checkpoint.pt`); empty for random weights. `--start` names another file, or `random`."""

    start: str = ""


@dataclass(frozen=True)
class Started:
    """A network, how many pictures its weights had seen before, and the terms that they were published under: for published
    weights also their name and source."""

    net: nn.Module
    seen: int = 0
    terms: str = ""


def start_net(
    table: NetTable, out_dir: Path, given: str | None, sample: Callable[[], Tensor], pretrained: str | None = None
) -> Started:
    """The network of the table with the weights it begins with; `given` is what `--start` says: a checkpoint, an exported
    `.onnx` file or `random`; `pretrained` what `--pretrained` says. `sample` gives normalised crops [b, 3, h, w] of the size
    it will see. Raises `CheckpointError` when the file is missing, damaged or of another network."""
    net = make_net(table.name, table.dim, **table.options)
    first = table.start if isinstance(table, StartedNet) else ""
    published = pretrained or (table.pretrained if not first else "")
    if given is None and published:
        terms = begin_pretrained(net, table.name, published)
        say(f"starts with published weights: {terms}")
        return Started(net, terms=terms)
    if given == RANDOM or not (given or first):
        return Started(net)
    path = Path(given) if given else out_dir.parent / first / "checkpoint.pt"
    if not path.exists():
        hint = "" if given else f"train configs/{first}.toml first, or "
        raise CheckpointError(
            f"no checkpoint at {path} to start from; {hint}give --start a checkpoint, an exported .onnx file or {RANDOM!r}"
        )
    if path.suffix == ".onnx":
        weights, facts = read_exported(path)
        begin_with(net, weights, sample(), f"{path} (recipe {facts.get('reid.name')!r})")
        say(f"starts with the weights of {path}, {facts.get('reid.seen', '?')} pictures seen")
        return Started(net, int(facts.get("reid.seen", 0)), facts.get("reid.license", ""))
    state = checkpoint.read(path)
    # the running average is what a recipe that has one measures and exports
    checkpoint.fill(net, state.get("average") or state.get("net", {}), f"{path} (recipe {state['recipe']!r})")
    say(f"starts with the weights of {state['recipe']!r}, {path}")
    return Started(net, int(state.get("before", 0)) + int(state.get("seen", 0)), state.get("terms", ""))


def facts_of(config: Config, terms: str) -> dict[str, str]:
    """The table `[facts]` of a configuration, with the terms of the weights that the network began with, if there are others."""
    facts = dict(config.tables.get("facts", {}))
    own = facts.get("license", "")
    if own and terms.startswith(f"{own};"):  # a file of this very recipe, gone on with
        facts["license"] = terms
    elif terms and terms not in own:
        facts["license"] = "; ".join(filter(None, [own, f"began with weights of these terms: {terms}"]))
    return facts


def sample_of(pack: Pack, rows: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Crops among `rows` (numbers), the same ones every time, as network input."""
    few = np.sort(np.random.default_rng(0).choice(rows, min(SAMPLE, len(rows)), replace=False))
    return to_input(pack.images[few], *size)
