"""Where a recipe's network begins: with random weights, or with those that another recipe trained here. No weights come
from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from reid_training import checkpoint
from reid_training.errors import CheckpointError
from reid_training.nets import make_net
from reid_training.progress import say
from reid_training.recipes.embed import NetTable

RANDOM = "random"


@dataclass(frozen=True)
class StartedNet(NetTable):
    """`[net]`. `start`: the recipe whose checkpoint the network begins with, looked for beside this recipe's own folder
    (`runs/<start>/checkpoint.pt`); empty for random weights. `--start` names another file, or `random`."""

    start: str = ""


def start_net(table: StartedNet, out_dir: Path, given: str | None) -> nn.Module:
    """The network of the table with the weights it begins with; `given` is what `--start` says. Raises `CheckpointError`
    when the checkpoint is missing, damaged or of another network."""
    net = make_net(table.name, table.dim, **table.options)
    if given == RANDOM or not (given or table.start):
        return net
    path = Path(given) if given else out_dir.parent / table.start / "checkpoint.pt"
    if not path.exists():
        first = "" if given else f"train configs/{table.start}.toml first, or "
        raise CheckpointError(f"no checkpoint at {path} to start from; {first}give --start a checkpoint or {RANDOM!r}")
    state = checkpoint.read(path)
    try:
        # the running average is what a recipe that has one measures and exports
        net.load_state_dict(state.get("average") or state["net"])
    except (KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"checkpoint {path} (recipe {state['recipe']!r}) is of another network than {table.name!r} with {table.dim} "
            f"numbers: {reason}"
        ) from error
    say(f"starts with the weights of {state['recipe']!r}, {path}")
    return net
