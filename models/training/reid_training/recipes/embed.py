"""Recipes `reid-default`, `reid-slimres` and `reid-efficientnet-b0`: distillation with identity losses, for unknown cameras.

The student's embedding lives in the teachers' own space: no projection between them. Every picture is shown with the
teachers' answer to that very view; people known by name add ID loss and weighted triplets.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid_training import checkpoint, parallel
from reid_training.config import Config, typed
from reid_training.data.batches import PeopleSampler, ViewBatches, erase, to_input, training_rows
from reid_training.data.pack import Pack, make_pack
from reid_training.data.sources import Source
from reid_training.ending import Ending
from reid_training.errors import ConfigError, DataError, NanLoss, Stopped
from reid_training.evaluation import Probe, cross_view_probe, net_embedder, probes_of
from reid_training.export import Facts, export_checked
from reid_training.files import write_json
from reid_training.losses import cosine_loss, neighbour_loss, relation_loss, weighted_triplet_loss
from reid_training.nets import make_net
from reid_training.nets.efficientlite import EfficientNetLite
from reid_training.optim import make_optimizer
from reid_training.progress import Progress, clock, say
from reid_training.recipes.start import RANDOM, NetTable, Started, facts_of, sample_of, start_net
from reid_training.teacher_models import open_teacher
from reid_training.teachers import open_view, teach_view
from reid_training.variants import write_variants


@dataclass(frozen=True)
class TeacherTable:
    """`[teach]`: file of each teacher below --teachers, its weight in the joined answer, the views to cache."""

    files: dict[str, str]
    weights: dict[str, float]
    views: tuple[int, ...] = (1, 0, 2, 3)


@dataclass(frozen=True)
class TrainTable:
    """`[train]`. `images`: pictures to see in all. `sizes`: (from this share of them on, height, width).
    `hold`: share of the run at full rate before the cosine fall. Loss weights: `cosine`, `neighbour` (both need
    an embedding as long as the teachers'), `relation` (does not), `identity`, `triplet`. `leave_out`: sources that are not
    trained on, but measured. `sets`: of how many data sets the known people of a batch are, negatives of triplets within one
    set only; 0 for any. `people`: known ones of a batch; 0 learns from the teachers alone. `fresh`: pictures augmented anew
    each time, with the answer to the plain crop (`data.batches`). `frozen`: of how many blocks at the start, the stem with
    them, the weights stay as they are (EfficientNet only): the early layers cost the most and are nearly right when the
    weights are published ones."""

    images: int
    people: int = 16
    sets: int = 0
    fresh: bool = False
    frozen: int = 0
    per_person: int = 4
    others: int = 64
    lr: float = 1.5e-3
    weight_decay: float = 0.05
    warmup: int = 20_000
    hold: float = 0.7
    sizes: tuple[tuple[float, int, int], ...] = ((0.0, 128, 64),)
    cosine: float = 1.0
    neighbour: float = 0.5
    temperature: float = 0.05
    bank: int = 2048
    relation: float = 0.0
    identity: float = 0.1
    triplet: float = 0.1
    erasing: float = 0.2
    ema: float = 0.9995
    bfloat16: bool = True
    leave_out: tuple[str, ...] = ()
    evaluate_every_s: int = 1800
    refresh_every_s: int = 300


class Run:
    """The state of a training: network, its running average, classifier, optimiser, counters."""

    def __init__(self, config: Config, started: Started, dim: int, train: TrainTable, people: int, device: str) -> None:
        self.recipe, self.train, self.device = config.recipe, train, device
        self.net = started.net.to(device, memory_format=torch.channels_last)
        freeze(self.net, train.frozen)
        self.average = copy.deepcopy(self.net).eval().requires_grad_(False)
        self.before, self.terms = started.seen, started.terms  # pictures seen, and their terms, when this run began
        self.head = nn.Linear(dim, people, bias=False).to(device)
        nn.init.normal_(self.head.weight, std=0.001)
        self.optimizer = make_optimizer([self.net, self.head], train.lr, train.weight_decay)
        self.seen, self.steps, self.seconds = 0, 0, 0.0
        # pictures seen before the optimiser started; steps before the running average did; share of a fall by the clock gone by
        self.born, self.averaged_from, self.fallen = 0, 0, 0.0
        self.history: list[dict[str, Any]] = []

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "net": self.net.state_dict(), "average": self.average.state_dict(), "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(), "seen": self.seen, "steps": self.steps,
            "seconds": self.seconds, "history": self.history, "born": self.born, "fallen": self.fallen,
            "averaged_from": self.averaged_from, "before": self.before, "terms": self.terms,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continues from a checkpoint. A classifier for other people (sources were added) starts anew."""
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.seen, self.steps, self.seconds = state["seen"], state["steps"], state["seconds"]
        self.history, self.born, self.fallen = state["history"], state.get("born", 0), state.get("fallen", 0.0)
        self.averaged_from = state.get("averaged_from", 0)
        self.before, self.terms = state.get("before", 0), state.get("terms", "")
        same_people = state["head"]["weight"].shape == self.head.weight.shape
        if same_people:
            self.head.load_state_dict(state["head"])
        if same_people and fits(self.optimizer, state["optimizer"]):
            self.optimizer.load_state_dict(state["optimizer"])
        else:
            which = "weights learn" if same_people else "people"
            what = "optimiser starts" if same_people else "classifier and optimiser start"
            say(f"other {which} than in the checkpoint: {what} anew")
            self.born = self.seen

    def size(self) -> tuple[int, int]:
        """Height and width of the input at this point of the schedule; in a fall by the clock, the last ones."""
        share = 1.0 if self.fallen else self.seen / self.train.images
        return next((h, w) for start, h, w in reversed(self.train.sizes) if share >= start)

    def rate(self) -> float:
        """Share of the learning rate: linear warm-up, constant, cosine to one percent by the pictures seen or the clock."""
        warm = min(1.0, (self.seen - self.born + 1) / self.train.warmup)
        share = self.seen / self.train.images
        fall = max(self.fallen, (share - self.train.hold) / (1 - self.train.hold))
        return warm * (0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * min(1.0, fall)))))

    def follow(self) -> None:
        """Moves the running average towards the network: a mean over the last ninth of the run, or of its fall by the clock."""
        steps = self.steps - self.averaged_from
        keep = min(self.train.ema, (1 + steps) / (10 + steps))
        with torch.no_grad():
            for mean, now in zip(self.average.state_dict().values(), self.net.state_dict().values(), strict=True):
                if mean.dtype.is_floating_point:
                    mean.lerp_(now, 1 - keep)
                else:
                    mean.copy_(now)


def freeze(net: nn.Module, blocks: int) -> None:
    """Keeps stem and first `blocks` blocks as they are, the statistics of their normalisations too."""
    if not blocks:
        return
    if not isinstance(net, EfficientNetLite):
        raise ConfigError(f"[train] frozen is for EfficientNet-Lite; {type(net).__name__} has no blocks to keep")
    for part in (net.stem, *net.blocks[:blocks]):
        part.requires_grad_(False).eval()


def fits(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> bool:
    """Whether the state is of an optimiser of as many tensors."""
    mine, theirs = optimizer.state_dict()["param_groups"], state["param_groups"]
    return [len(group["params"]) for group in mine] == [len(group["params"]) for group in theirs]


def losses_of(run: Run, images: Tensor, targets: Tensor, classes: Tensor, bank: Tensor, sets: Tensor) -> dict[str, Tensor]:
    """The weighted terms of the loss for one batch; pictures with classes >= 0 are of known people, those with a target that
    is not zero have been answered to by the teachers."""
    t = run.train
    with torch.autocast(run.device.split(":")[0], torch.bfloat16, enabled=t.bfloat16):
        out = run.net(images)
    out = out.float()
    vectors = F.normalize(out, dim=1)
    known, taught = classes >= 0, targets.any(1)
    terms = {}
    if taught.any():
        given, wanted = vectors[taught], targets[taught]
        if t.cosine:
            terms["cosine"] = t.cosine * cosine_loss(given, wanted)
        if t.neighbour:
            terms["neighbour"] = t.neighbour * neighbour_loss(given, wanted, bank, t.temperature)
        if t.relation:
            terms["relation"] = t.relation * relation_loss(given, wanted, t.temperature)
    if t.identity and known.any():
        logits = run.head(out[known])
        terms["identity"] = t.identity * F.cross_entropy(logits, classes[known], label_smoothing=0.1)
    if t.triplet and known.any():
        terms["triplet"] = t.triplet * weighted_triplet_loss(vectors[known], classes[known], sets[known] if t.sets else None)
    return terms


def step(run: Run, batches: ViewBatches, sampler: PeopleSampler, rng: np.random.Generator) -> dict[str, float]:
    """One optimiser step; raises `NanLoss` before a bad loss touches the weights."""
    t, share = run.train, parallel.world()
    people = sampler.draw(rng, t.people // share, t.per_person, t.sets)
    people = people[batches.usable[people]]
    others = batches.draw_rows(rng, t.others // share)
    classes = sampler.class_of
    batch = batches.fetch(rng, np.concatenate([people, others]), classes, len(people))
    erase(batch.images, rng, t.erasing)
    bank = batches.bank(rng, t.bank) if t.neighbour else torch.empty(0)
    for group in run.optimizer.param_groups:
        group["lr"] = t.lr * run.rate()
    to = run.device
    images = to_input(batch.images, *run.size())
    terms = losses_of(run, *(x.to(to) for x in (images, batch.targets, batch.classes, bank, batch.sets)))
    loss = sum(terms.values())
    if parallel.any_asks(not torch.isfinite(loss)):
        raise NanLoss(f"the loss is {loss.item()} after {run.seen} pictures; the last good checkpoint is kept. Lower lr?")
    run.optimizer.zero_grad()
    loss.backward()
    parallel.average_gradients([run.net, run.head])
    run.optimizer.step()
    run.steps += 1
    run.seen += t.people * t.per_person + t.others
    run.follow()
    return {name: float(value.detach()) for name, value in terms.items()}


def evaluate_probes(net: nn.Module, probes: list[Probe], size: tuple[int, int], device: str) -> dict[str, float]:
    """mAP and rank-1 of every probe, as flat names for the history."""
    figures = {}
    embed = net_embedder(net, *size, device=device)
    for probe in probes:
        result, _ = probe.score(embed)
        figures[f"{probe.name} mAP"] = round(result.mean_ap, 2)
        figures[f"{probe.name} R1"] = round(result.rank1, 2)
        say(f"  {probe.name}: {result}")
    return figures


def prepare(config: Config, data: Path, cache: Path) -> tuple[Pack, TeacherTable]:
    """The packed data, and who teaches."""
    if not config.sources:
        raise DataError("the configuration names no [[source]]")
    return make_pack(config.sources, data, cache), config.table(TeacherTable, "teach")


def probes_for(config: Config, pack: Pack, leave_out: Sequence[str], data: Path, cache: Path) -> list[Probe]:
    """Held-out people, sources left out, and the `[[probe]]`s of the configuration that the data folder holds."""
    extra = [typed(Source, table, "[[probe]]") for table in config.tables.get("probe", [])]
    across = [cross_view_probe(source, data, cache) for source in extra]
    return [*probes_of(pack, leave_out), *(probe for probe in across if probe is not None)]


def teach(config: Config, data: Path, cache: Path, teachers: Path) -> None:
    """Caches the teachers' answers to all views of the configuration; continues where it stopped."""
    pack, table = prepare(config, data, cache)
    answers = {name: open_teacher(teachers / file) for name, file in table.files.items()}
    for view in table.views:
        teach_view(pack, view, answers, config.seed)


def run(
    config: Config, data: Path, out_dir: Path, device: str, resume: bool, *, cache: Path, teachers: Path | None,
    minutes: float | None = None, ending: Ending | None = None, start: str | None = None, pretrained: str | None = None,
) -> None:
    """Trains, evaluates on the probes now and then, exports after every evaluation."""
    net_table, train = config.table(NetTable, "net"), config.table(TrainTable, "train")
    parallel.start(device)
    pack, table = prepare(config, data, cache)
    if open_view(pack, table.views[0], ()) is None and not (train.fresh and teachers is None):
        if teachers is None:
            raise DataError("no teacher answers are cached for this data; give --teachers the folder of the teacher files")
        teach(config, data, cache, teachers)
    rows = training_rows(pack, train.leave_out)
    sampler = PeopleSampler(pack, rows, train.people > 0)
    batches = ViewBatches(pack, rows, table.views, table.weights, train.fresh)
    probes = probes_for(config, pack, train.leave_out, data, cache)
    path = out_dir / "checkpoint.pt"
    going_on = resume and path.exists()
    torch.manual_seed(config.seed)
    sample = partial(sample_of, pack, batches.numbers, train.sizes[0][1:])
    began = RANDOM if going_on else start  # a checkpoint's weights come later
    started = start_net(net_table, out_dir, began, sample, None if going_on else pretrained)
    state = Run(config, started, net_table.dim, train, sampler.people, device)
    if going_on:
        state.restore(checkpoint.load(path, config.recipe))
        say(f"resumed after {state.seen} pictures, {clock(state.seconds)}")
    say(f"{int(rows.sum())} crops to train on, {sampler.people} people ({sampler.single} with one picture)")
    train_loop(config, state, batches, sampler, probes, path, minutes, ending)


def train_loop(
    config: Config, state: Run, batches: ViewBatches, sampler: PeopleSampler, probes: list[Probe], path: Path,
    minutes: float | None, ending: Ending | None,
) -> None:
    """Steps until the schedule, the time or the user ends it; the checkpoint on the disk is always a good one.

    When a fall by the clock begins, the checkpoint is kept as `stable.pt`: later runs go on from there.

    Of several processes only the first measures, exports and saves."""
    train, first = state.train, parallel.rank() == 0
    rng = np.random.default_rng((config.seed, state.steps, parallel.rank()))
    stop, timer, refresh = checkpoint.Stop(), checkpoint.Timer(), checkpoint.Timer(train.refresh_every_s)
    evaluation = checkpoint.Timer(train.evaluate_every_s)
    progress = Progress(config.recipe, train.images, state.seen)
    end = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    means: dict[str, float] = {}
    now = time.monotonic()
    follow_clock(config, state, ending, path)
    while not over(state) and not parallel.any_asks(stop.asked or now >= end):
        for name, value in step(state, batches, sampler, rng).items():
            means[name] = 0.98 * means.get(name, value) + 0.02 * value
        before, now = now, time.monotonic()
        state.seconds += now - before
        follow_clock(config, state, ending, path)
        if refresh.due():
            batches.refresh()
        if not first:
            continue
        progress.update(state.seen, " ".join(f"{name} {value:.3f}" for name, value in means.items()))
        if evaluation.due():
            measure_and_export(config, state, means, probes, path)
        if timer.due():
            checkpoint.save(path, config.recipe, state.state())
    if first:
        progress.close()
        if over(state):
            measure_and_export(config, state, means, probes, path)
        checkpoint.save(path, config.recipe, state.state())
    if not over(state):
        raise Stopped(f"stopped after {state.seen} of {train.images} pictures; --resume continues")


def over(state: Run) -> bool:
    """Whether the schedule, by pictures or by the clock, has come to its end."""
    return state.seen >= state.train.images or state.fallen >= 1.0


def follow_clock(config: Config, state: Run, ending: Ending | None, path: Path) -> None:
    """Takes the state of the fall from the clock of the first process."""
    before, state.fallen = state.fallen, parallel.from_first(ending.fallen()) if ending else 0.0
    if state.fallen and not before:
        say(f"the learning rate falls from {state.seen} pictures on; {path.with_name('stable.pt')} is the state before")
        if parallel.rank() == 0:
            checkpoint.save(path.with_name("stable.pt"), config.recipe, {**state.state(), "fallen": 0.0})
        state.averaged_from = state.steps


def measure_and_export(config: Config, state: Run, means: dict[str, float], probes: list[Probe], path: Path) -> None:
    """A line of the history, and the current file beside the checkpoint."""
    record(state, means, probes, path.parent)
    export(config, state, path.with_name(f"{config.recipe}.onnx"))


def record(state: Run, means: dict[str, float], probes: list[Probe], out_dir: Path) -> dict[str, float]:
    """Measures the running average and appends a line to the history."""
    say(f"after {state.seen} pictures, {clock(state.seconds)}:")
    line = {"seen": state.before + state.seen, "seconds": round(state.seconds), **{k: round(v, 4) for k, v in means.items()}}
    line |= evaluate_probes(state.average, probes, state.size(), state.device)
    state.history.append(line)
    write_json(out_dir / "history.json", state.history)
    return line


def export(config: Config, state: Run, path: Path) -> None:
    """Writes the running average, checked against PyTorch, atomically."""
    height, width = state.size()
    facts = Facts(name=config.recipe, height=height, width=width, seen=state.before + state.seen, **facts_of(config, state.terms))
    export_checked(state.average, facts, path)


def export_checkpoint(config: Config, out_dir: Path, to: Path | None, data: Path | None, cache: Path) -> None:
    """The running average of the checkpoint in `out_dir` as a file; with `data` smaller variants of it, measured there."""
    state = checkpoint.load(out_dir / "checkpoint.pt", config.recipe)
    net_table, train = config.table(NetTable, "net"), config.table(TrainTable, "train")
    started = Started(make_net(net_table.name, net_table.dim, **net_table.options))
    run = Run(config, started, net_table.dim, train, state["head"]["weight"].shape[0], "cpu")
    run.restore(state)
    path = to or out_dir / f"{config.recipe}.onnx"
    export(config, run, path)
    if data is not None:
        pack, _ = prepare(config, data, cache)
        write_variants(path, pack, probes_for(config, pack, train.leave_out, data, cache))
