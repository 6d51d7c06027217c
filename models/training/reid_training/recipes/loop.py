"""What the smaller recipes share: a resumable loop over epochs, and training pictures augmented on the fly."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reid_training import checkpoint
from reid_training.data.batches import to_input
from reid_training.data.pack import Pack
from reid_training.data.views import augment
from reid_training.errors import NanLoss, Stopped
from reid_training.files import write_json
from reid_training.progress import Progress, clock, say


@dataclass(frozen=True)
class Trained:
    """What a training leaves: the network, a line of figures for each epoch, the terms of the weights that it began with."""

    net: nn.Module
    history: Sequence[Mapping[str, Any]]
    terms: str

    @property
    def seen(self) -> int:
        """Epochs x steps x pictures (or triplets) of a batch."""
        return self.history[-1]["seen"]


def read_trained(path: Path, recipe: str, net: nn.Module) -> Trained:
    """What a checkpoint of `fit` holds, its weights in `net`. Raises `CheckpointError` when it is missing or does not fit."""
    state = checkpoint.load(path, recipe)
    checkpoint.fill(net, state["net"], str(path))
    return Trained(net, state["history"], state.get("terms", ""))


@dataclass
class Fit:
    """A network, its optimiser and schedule, the terms of the weights that it began with, and how far it has come."""

    recipe: str
    net: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    terms: str = ""
    epoch: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    def trained(self) -> Trained:
        """What there is to export."""
        return Trained(self.net, self.history, self.terms)

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(), "terms": self.terms,
            "schedule": self.schedule.state_dict(), "epoch": self.epoch, "seconds": self.seconds, "history": self.history,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up where a checkpoint was written."""
        self.net.load_state_dict(state["net"])
        self.terms = state.get("terms", self.terms)
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch, self.seconds, self.history = state["epoch"], state["seconds"], state["history"]


def fit(
    job: Fit, epochs: int, steps: int, batch: int, loss_of: Callable[[np.random.Generator], dict[str, Tensor]],
    after_epoch: Callable[[], dict[str, float]], path: Path, seed: int, resume: bool, minutes: float | None = None,
) -> None:
    """Trains `epochs` of `steps` steps. `loss_of(rng)` gives the terms of one batch's loss (those named with a leading
    underscore are figures and not part of it), `after_epoch()` figures for the history. Saves after every epoch;
    raises `Stopped` when it is ended before the last one."""
    if resume and path.exists():
        job.restore(checkpoint.load(path, job.recipe))
        say(f"{job.recipe}: resumed after epoch {job.epoch}, {clock(job.seconds)}")
    stop = checkpoint.Stop()
    progress = Progress(job.recipe, epochs * steps * batch, job.epoch * steps * batch)
    end = None if minutes is None else time.monotonic() + 60 * minutes
    while job.epoch < epochs and not stop.asked and (end is None or time.monotonic() < end):
        started, sums = time.monotonic(), {}
        rng = np.random.default_rng((seed, job.epoch))
        torch.manual_seed(seed * 1000 + job.epoch)
        for number in range(steps):
            for name, value in _step(job, loss_of(rng)).items():
                sums[name] = sums.get(name, 0.0) + value
            means = {name.lstrip("_"): round(value / (number + 1), 4) for name, value in sums.items()}
            progress.update((job.epoch * steps + number + 1) * batch, f"epoch {job.epoch + 1} {means}")
            if stop.asked:
                break
        else:
            job.schedule.step()
            job.epoch += 1
            job.seconds += time.monotonic() - started
            job.history.append({"seen": job.epoch * steps * batch, **means, **after_epoch()})
            checkpoint.save(path, job.recipe, job.state())
            write_json(path.with_name(f"{path.stem}-history.json"), job.history)
    progress.close()
    if job.epoch < epochs:
        raise Stopped(f"{job.recipe}: stopped after epoch {job.epoch} of {epochs}; --resume continues")


def _step(job: Fit, terms: dict[str, Tensor]) -> dict[str, float]:
    loss = sum(value for name, value in terms.items() if not name.startswith("_"))
    if not torch.isfinite(loss):
        raise NanLoss(f"{job.recipe}: the loss is {loss.item()}; the checkpoint of epoch {job.epoch} is kept. Lower lr?")
    job.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    job.optimizer.step()
    return {name: float(value.detach()) for name, value in terms.items()}


def pictures(
    pack: Pack, rows: np.ndarray, rng: np.random.Generator, augmented: bool = True, size: tuple[int, int] | None = None
) -> Tensor:
    """Packed rows as network input [n, 3, h, w], augmented on the fly; in the pack's size unless another is wanted."""
    images = [augment(pack.images[row], rng) if augmented else pack.images[row] for row in rows]
    return to_input(np.stack(images), *(size or pack.size))


def cosine_schedule(optimizer: torch.optim.Optimizer, epochs: int, warmup: int = 1) -> torch.optim.lr_scheduler.LRScheduler:
    """Linear warm-up, then a cosine fall to one percent, by epoch."""

    def share(epoch: int) -> float:
        if epoch < warmup:
            return (epoch + 1) / (warmup + 1)
        return 0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * (epoch - warmup) / max(1, epochs - warmup))))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, share)
