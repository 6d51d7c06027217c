"""The training run: views in, checkpoints out.

The run is a function of its configuration and the number of the next view, so a checkpoint continues exactly. The learning
rate warms up, stays, and falls to zero over the last part (`cooldown`): a run can be lengthened at any time, and a good
model taken from it at any time by continuing a copy of the checkpoint with `cooldown` views to go.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from reid_training import checkpoint, parallel
from reid_training.ending import Ending
from reid_training.errors import ConfigError, DataError, NanLoss
from reid_training.files import write_text
from reid_training.progress import Progress, listed, say
from reid_training.recipes.start import RANDOM

from . import data as datasets
from . import distil, evaluate, labels, pack
from .augment import Augmentation, View, view
from .export import export
from .loss import Targets, detection_loss, distillation_loss
from .model import RECIPE, Detector, Size, corners, grid
from .start import begin

#: Files of the output folder: the state to go on from, that of the best measure, a JSON line for every measure.
LAST, BEST, HISTORY = "last.pt", "best.pt", "history.jsonl"
#: Steps between two lines of the history.
LOG_EVERY = 50
#: Gradients longer than this are shortened.
MAX_GRADIENT = 10.0


@dataclass(frozen=True)
class Schedule:
    """Lengths are numbers of views. `sides` is `[first view, smallest, largest side]` of every stage, in pixels."""

    views: int = 1_500_000
    batch: int = 16
    warmup: int = 8_000
    cooldown: int = 150_000
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    ema: float = 0.9995
    sides: tuple[tuple[int, int, int], ...] = ((0, 224, 288), (200_000, 256, 352), (500_000, 288, 448))
    evaluate_every: int = 20_000


@dataclass(frozen=True)
class Config:
    """The whole recipe, as `configs/person-detector.toml` holds it."""

    seed: int = 1
    #: Published weights that the backbone begins with: `timm`, a package or a file (`reid_training.pretrained`).
    pretrained: str = ""
    #: Blocks of such a backbone, the stem with them, that keep their weights: the early ones cost most and are nearly right.
    frozen: int = 0
    size: Size = field(default_factory=Size)
    schedule: Schedule = field(default_factory=Schedule)
    augmentation: Augmentation = field(default_factory=Augmentation)
    #: A source of n pictures is drawn in proportion to n ** balance times its weight.
    balance: float = 0.75
    weights: Mapping[str, float] = field(default_factory=dict)
    check_labels: bool = True
    evaluate_side: int = 416
    #: Weights of the teacher's dense scores and boxes, and of its features, in the loss; used when a teacher is given.
    distillation: float = 1.0
    imitation: float = 2.0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """Reads the recipe's tables; an unknown key is an error that names it."""
        own = {k: v for k, v in values.items() if k not in {"task", "recipe"}}
        for key, kind in (("size", Size), ("schedule", Schedule), ("augmentation", Augmentation)):
            own[key] = _build(kind, own.get(key, {}), key)
        return _build(cls, own, "recipe")


@dataclass(frozen=True)
class Options:
    """What a run is told besides its recipe.

    `resume` goes on from `last.pt` of the output folder if there is one; else the run begins with `start`: a checkpoint, an
    exported .onnx file, `random` or nothing; else with the `pretrained` weights, in place of the recipe's. `cache` holds
    packed pictures and teacher results (`cache` in the output folder by default). `teacher` is an MMDeploy export of
    RTMDet-nano for dense distillation. `minutes` ends the run early, saved, `ending` with a learning rate that has fallen.
    `export_to` is an ONNX file kept equal to the best checkpoint.
    """

    device: str = "cpu"
    resume: bool = False
    start: str | None = None
    pretrained: str | None = None
    cache: Path | None = None
    teacher: Path | None = None
    minutes: float | None = None
    ending: Ending | None = None
    workers: int = 1
    export_to: Path | None = None


def _freeze(value: Any) -> Any:
    return tuple(_freeze(v) for v in value) if isinstance(value, list) else value


def _build(kind: type, values: Mapping[str, Any], where: str) -> Any:
    unknown = set(values) - {f.name for f in fields(kind)}
    if unknown:
        raise ConfigError(
            f"[{where}] does not know {', '.join(sorted(unknown))}; it knows {', '.join(f.name for f in fields(kind))}"
        )
    return kind(**{k: _freeze(v) for k, v in values.items()})


def side_of(schedule: Schedule, number: int, seed: int) -> int:
    """Side of the views in the batch that holds view `number`: a multiple of 32 from the range of its stage."""
    batch = number // schedule.batch
    low, high = next((low, high) for first, low, high in reversed(schedule.sides) if batch * schedule.batch >= first)
    return int(32 * np.random.default_rng((seed, 1, batch)).integers(low // 32, high // 32 + 1))


def learning_rate(schedule: Schedule, number: int, fallen: float = 0.0) -> float:
    """Linear warm-up, flat, linear fall to a hundredth over the cooldown, or with what has `fallen` by the clock."""
    left = min((schedule.views - number) / max(schedule.cooldown, 1), 1 - fallen)
    return schedule.learning_rate * min(1.0, (number + 1) / max(schedule.warmup, 1), max(left, 0.01))


class Views(Dataset[View]):
    """View number i of the run, made on demand in the loader's processes."""

    def __init__(
        self, packed: pack.Pack, truths: Mapping[str, labels.Truth], sources: Mapping[str, Sequence[str]], config: Config
    ) -> None:
        self.packed, self.truths, self.config = packed, truths, config
        self.sources = [list(names) for names in sources.values()]
        shares = np.array([len(n) ** config.balance * config.weights.get(s, 1.0) for s, n in sources.items()])
        self.shares = np.cumsum(shares / shares.sum())

    def __len__(self) -> int:
        return self.config.schedule.views

    def __getitem__(self, number: int) -> View:
        rng = np.random.default_rng((self.config.seed, 0, number))
        draw = []
        for _ in range(4):
            names = self.sources[min(int(np.searchsorted(self.shares, rng.uniform())), len(self.sources) - 1)]
            draw.append(names[int(rng.integers(len(names)))])
        side = side_of(self.config.schedule, number, self.config.seed)
        return view(self.packed, self.truths, draw, side, self.config.augmentation, rng)


@dataclass
class Batch:
    """`pictures` `[b, 3, s, s]` uint8 RGB, their people and what the teacher says of them."""

    pictures: Tensor
    targets: Targets
    lesson: distil.Lesson | None


class Collate:
    """Makes a batch of views; holds the teacher, made in the process that uses it."""

    def __init__(self, teacher: Path | None = None) -> None:
        self.path, self.teacher = teacher, None

    def __call__(self, views: Sequence[View]) -> Batch:
        """A batch of views of one size."""
        if self.path and self.teacher is None:
            self.teacher = distil.Teacher(self.path)
        pictures = torch.from_numpy(np.stack([v.picture for v in views])).permute(0, 3, 1, 2)
        lesson = self.teacher([v.plain for v in views]) if self.teacher else None
        return Batch(pictures, pad(views), lesson)


def pad(views: Sequence[View]) -> Targets:
    """The people of the views, padded to one length."""
    most = max(max(len(v.boxes) for v in views), 1)
    boxes, weights, real = (
        torch.zeros(len(views), most, 4),
        torch.zeros(len(views), most),
        torch.zeros(len(views), most, dtype=torch.bool),
    )
    for i, v in enumerate(views):
        boxes[i, : len(v.boxes)] = torch.from_numpy(v.boxes)
        weights[i, : len(v.weights)] = torch.from_numpy(v.weights)
        real[i, : len(v.weights)] = True
    return Targets(boxes, weights, real)


class Average:
    """Exponential mean of the weights, which is what gets measured and exported."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.state = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Moves the mean towards the model."""
        self.steps += 1
        # a mean over the last ninth of a short run, so that an early checkpoint is a smooth one too
        keep = min(self.decay, (self.steps + 1) / (self.steps + 10))
        for key, value in model.state_dict().items():
            if value.dtype.is_floating_point:
                self.state[key].lerp_(value, 1 - keep)
            else:
                self.state[key].copy_(value)


def parameter_groups(models: Sequence[nn.Module], decay: float) -> list[dict[str, Any]]:
    """Weight decay for convolution weights only."""
    parameters = [p for model in models for p in model.parameters()]
    kernels, rest = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim <= 1]
    return [{"params": kernels, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]


def torch_detector(model: nn.Module, side: int, device: torch.device) -> evaluate.Detector:
    """The network as it stands, for measuring during training."""
    model.eval()
    centres, strides = grid(side, side, device)

    @torch.no_grad()
    def detect(picture: np.ndarray) -> evaluate.Detections:
        boxed, scale, border = evaluate.letterbox(picture, side)
        scores, boxes = model(torch.from_numpy(evaluate.tensor(boxed)).to(device))
        box = corners(boxes, centres, strides)[0]
        rows = torch.cat(((box[:2] + box[2:]) / 2, box[2:] - box[:2], scores[0].sigmoid())).cpu().numpy()
        return evaluate.from_rows(rows, picture, scale, border)

    return detect


def _worker(_: int) -> None:
    # forked with the trainer's handlers, which would keep it from ending with the trainer
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def validation_items(split: datasets.Split) -> list[evaluate.Item]:
    """What a checkpoint is chosen by, and variants are measured on; raises :class:`DataError` when there is nothing."""
    items = evaluate.items_from_pictures(split.validation)
    if not items:
        kept = [f"{source}_" for source in (*datasets.VALIDATION_SOURCES, *datasets.VALIDATION_ORIGINALS)]
        raise DataError(f"no picture to validate on: the names of some must begin with {' or '.join(kept)}")
    return items


def prepare(roots: Sequence[Path], cache: Path, config: Config) -> tuple[Views, list[evaluate.Item]]:
    """Training views and validation items from data folders; packs the pictures when that has not been done."""
    split = datasets.split(datasets.scan(roots))
    if not (cache / "pack.npz").is_file():
        say(f"packing pictures into {cache} …")
        pack.build([*split.train, *split.validation], cache)
    packed = pack.Pack.open(cache)
    tell_packed(packed, [*split.train, *split.validation])
    truths = labels.gather(split.train, labels.open_caches(cache), config.check_labels)
    sources: dict[str, list[str]] = {}
    for picture in split.train:
        if picture.key in truths and picture.key in packed.row:
            sources.setdefault(picture.source, []).append(picture.key)
    if not sources:
        raise DataError("no picture to train on: labelled pictures, or teacher results for unlabelled ones, are needed")
    people = sum(int((truths[n].weights > 0).sum()) for names in sources.values() for n in names)
    say(
        f"{sum(map(len, sources.values()))} pictures, {people} people from {len(sources)} sources; "
        f"{len(split.validation)} pictures of validation"
    )
    return Views(packed, truths, sources, config), validation_items(split)


def tell_packed(packed: pack.Pack, wanted: Sequence[datasets.Picture]) -> None:
    """Says which pictures could not be packed, and how many have come since."""
    datasets.tell_unreadable(len(packed.names), "packed", packed.bad)
    new = sorted({p.key for p in wanted} - packed.row.keys() - set(packed.bad))
    if new:
        say(
            f"WARNING: {len(new)} pictures are left out, as they have come since the others were packed: {listed(new)}. "
            "To train on them, give another --cache, or run the `pack` command on all --data"
        )


@dataclass
class Run:
    """Everything that a step changes."""

    config: Config
    model: Detector
    adapters: distil.Adapters
    optimizer: torch.optim.Optimizer
    average: Average
    device: torch.device
    out: Path
    number: int = 0
    #: Views that the weights had seen before this run.
    before: int = 0
    best: float = 0.0
    rank: int = 0
    world: int = 1
    export_to: Path | None = None
    #: How much of a fall by the clock is over.
    fallen: float = 0.0
    #: Of the published weights that the network began with, in words.
    terms: str = ""

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "config": json.dumps(asdict(self.config)),
            "size": asdict(self.config.size),
            "number": self.number,
            "before": self.before,
            "terms": self.terms,
            "fallen": self.fallen,
            "best": self.best,
            "model": self.model.state_dict(),
            "adapters": self.adapters.state_dict(),
            "average": self.average.state,
            "average_steps": self.average.steps,
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up where a checkpoint was written."""
        self.model.load_state_dict(state["model"])
        self.adapters.load_state_dict(state["adapters"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.state = {k: v.to(self.device) for k, v in state["average"].items()}
        self.average.steps, self.number, self.best = state["average_steps"], state["number"], state["best"]
        self.fallen, self.before = state.get("fallen", 0.0), state.get("before", 0)
        self.terms = state.get("terms", "")

    def save(self, name: str) -> None:
        """Writes a checkpoint into the output folder; only the first process does."""
        if self.rank == 0:
            checkpoint.save(self.out / name, RECIPE, self.state())

    def log(self, **values: Any) -> None:
        """Adds a line to the history; only the first process does."""
        if self.rank:
            return
        path = self.out / HISTORY
        before = path.read_text() if path.exists() else ""
        write_text(path, before + json.dumps({"number": self.number, **values}) + "\n")


def losses(run: Run, batch: Batch) -> dict[str, Tensor]:
    """Every part of the loss, weighted."""
    device, config = run.device, run.config
    pictures = batch.pictures.to(device).float().div_(255).to(memory_format=torch.channels_last)
    targets = Targets(*(t.to(device) for t in (batch.targets.boxes, batch.targets.weights, batch.targets.real)))
    with torch.autocast(device.type, torch.bfloat16):
        features = run.model.neck(run.model.backbone(pictures))
        scores, boxes = run.model.head(features)
        adapted = run.adapters(features) if batch.lesson else []
    scores, boxes = scores.float(), boxes.float()
    centres, strides = grid(*pictures.shape[2:], device)
    score, box = detection_loss(scores, boxes, centres, strides, targets)
    parts = {"score": score, "box": box}
    if batch.lesson:
        lesson = batch.lesson
        taught = distillation_loss(scores, boxes, centres, strides, lesson.logits.to(device), lesson.boxes.to(device), targets)
        parts |= {"taught_score": config.distillation * taught[0], "taught_box": config.distillation * taught[1]}
        parts["imitation"] = config.imitation * distil.feature_loss(adapted, [f.to(device) for f in lesson.features])
    return parts


def step(run: Run, batch: Batch, stop: bool = False) -> tuple[dict[str, float], bool]:
    """One optimiser step; the parts of the loss, and whether this or another process was asked to `stop`.

    Raises :class:`NanLoss` when the loss is not finite, before any weight is changed by it.
    """
    run.model.train()
    if run.config.frozen:
        run.model.backbone.freeze(run.config.frozen)
    parts = losses(run, batch)
    loss = torch.stack(list(parts.values())).sum()
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    ask, finite = share_gradients(run, float(loss.detach()), stop)
    if not finite:
        raise NanLoss(f"the loss is not finite at view {run.number}; {run.out / LAST} is the last good checkpoint")
    rate = learning_rate(run.config.schedule, run.number, run.fallen)
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    run.optimizer.step()
    run.average.update(run.model)
    run.number += len(batch.pictures) * run.world
    return {k: float(v.detach()) for k, v in parts.items()}, ask


@torch.no_grad()
def share_gradients(run: Run, loss: float, stop: bool) -> tuple[bool, bool]:
    """Makes the gradients the mean over all processes, clipped; takes from the first how far the learning rate has fallen.

    Says whether any process was asked to stop, and whether all losses and gradients are finite.
    """
    holders = [p for p in (*run.model.parameters(), *run.adapters.parameters()) if p.grad is not None]
    fallen = run.world * run.fallen if run.rank == 0 else 0.0  # the mean is the first process'
    flat = torch.cat([p.grad.flatten() for p in holders] + [torch.tensor([loss, float(stop), fallen], device=run.device)])
    if run.world > 1:
        torch.distributed.all_reduce(flat)
        flat /= run.world
    run.fallen = float(flat[-1])
    norm = flat[:-3].norm()
    if norm > MAX_GRADIENT:
        flat[:-3] *= MAX_GRADIENT / norm
    start = 0
    for p in holders:
        p.grad.copy_(flat[start : start + p.numel()].view_as(p))
        start += p.numel()
    return bool(flat[-2] > 0), bool(flat[-3].isfinite() and norm.isfinite())


def check(run: Run, items: Sequence[evaluate.Item]) -> float:
    """Measures the averaged weights, keeps them as `best.pt` when they are the best so far; returns AP50.

    Only the first process does, the others get 0.
    """
    if run.rank:
        return 0.0
    model = Detector(run.config.size).to(run.device)
    model.load_state_dict(run.average.state)
    result = evaluate.measure(items, evaluate.run_detector(torch_detector(model, run.config.evaluate_side, run.device), items))
    run.log(ap50=result.ap50, ap=result.ap, recall=result.recall, best_f1=result.best_f1, best_threshold=result.best_threshold)
    say(
        f"view {run.number}: AP50 {100 * result.ap50:.1f}, AP {100 * result.ap:.1f}, "
        f"best F1 {100 * result.best_f1:.1f} at {result.best_threshold:.2f}"
    )
    if result.ap50 > run.best:
        run.best = result.ap50
        run.save(BEST)
        if run.export_to:
            export(run.out / BEST, run.export_to, run.config.evaluate_side)
    return result.ap50


def train(run: Run, views: Views, items: Sequence[evaluate.Item], options: Options) -> None:
    """Runs to the end of the schedule or of its time, checkpointing by the clock and measuring by the count of views.

    When a fall by the clock begins, the checkpoint is kept as `stable.pt`: later runs go on from there.
    """
    schedule = run.config.schedule
    share = schedule.batch // run.world
    starts = range(run.number + run.rank * share, schedule.views // schedule.batch * schedule.batch, schedule.batch)
    batches = [range(start, start + share) for start in starts]
    loader = DataLoader(
        views,
        batch_sampler=batches,
        num_workers=options.workers,
        collate_fn=Collate(options.teacher),
        worker_init_fn=_worker,
        prefetch_factor=4 if options.workers else None,
    )
    started, timer, stop, progress = (
        time.monotonic(),
        checkpoint.Timer(),
        checkpoint.Stop(),
        Progress(RECIPE, schedule.views, run.number),
    )
    recent: list[dict[str, float]] = []
    for batch in loader:
        follow_clock(run, options.ending)
        over = stop.asked or bool(options.minutes and time.monotonic() - started > 60 * options.minutes)
        parts, over = step(run, batch, over)
        recent.append(parts)
        means = {k: round(sum(r[k] for r in recent) / len(recent), 3) for k in recent[-1]}
        progress.update(run.number, f"side {batch.pictures.shape[-1]} {means}")
        if len(recent) == LOG_EVERY:
            run.log(**means, side=batch.pictures.shape[-1])
            recent = []
        done = run.fallen >= 1
        if done or run.number % schedule.evaluate_every < schedule.batch:
            check(run, items)
        if timer.due():
            run.save(LAST)
        if over or done:
            break
    else:
        check(run, items)
    run.save(LAST)
    progress.close()


def follow_clock(run: Run, ending: Ending | None) -> None:
    """In the first process, notes how far the learning rate has fallen; keeps the state before as `stable.pt`."""
    if run.rank:
        return
    fallen = ending.fallen() if ending else 0.0
    if fallen and not run.fallen:
        say(f"the learning rate falls from view {run.number} on; {run.out / 'stable.pt'} is the state before")
        run.fallen = 0.0
        run.save("stable.pt")
        run.average.steps = 0  # a mean over the last ninth of the fall
    run.fallen = fallen


def run(config: Mapping[str, Any], roots: Sequence[Path], out_dir: Path, options: Options) -> None:
    """Trains the recipe on data folders; checkpoints and history lie in `out_dir` then.

    Started by `torchrun --nproc-per-node n` (one thread each) it shares every batch between n processes.
    """
    settings = Config.from_dict(config)
    cv2.setNumThreads(0)
    torch.manual_seed(settings.seed)
    place = torch.device(options.device)
    parallel.start(options.device)
    with parallel.first_goes_first():
        views, items = prepare(roots, options.cache or out_dir / "cache", settings)
    model = Detector(settings.size)
    first = first_weights(out_dir, options)
    terms = "" if first or options.start else begin_pretrained(model, settings, options.pretrained)
    model.to(place, memory_format=torch.channels_last)
    adapters = distil.Adapters(settings.size.neck).to(place)
    groups = parameter_groups([model, adapters], settings.schedule.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=settings.schedule.learning_rate, fused=True)
    before = 0
    if first and first.suffix == ".onnx":
        sample = Collate()([views[number] for number in range(settings.schedule.batch)])
        before, terms = begin(model, first, sample.pictures.to(place).float() / 255)
        say(f"begins with the weights of {first}, {before} views seen")
    state = Run(
        settings, model, adapters, optimizer, Average(model, settings.schedule.ema), place, out_dir,
        before=before, terms=terms, rank=parallel.rank(), world=parallel.world(), export_to=options.export_to,
    )
    if first and first.suffix != ".onnx":
        state.restore(checkpoint.load(first, RECIPE))
        say(f"continued at view {state.number}")
    train(state, views, items, options)


def begin_pretrained(model: Detector, config: Config, given: str | None) -> str:
    """Gives the backbone the published weights that the recipe or the user names; returns their terms, nothing without."""
    wanted = given or config.pretrained
    if not wanted and not config.frozen:
        return ""
    if config.size.backbone == "csp":
        raise ConfigError("pretrained, frozen: [size] backbone 'csp' is of this project's own making and has no weights")
    return model.backbone.begin(config.size.backbone, wanted) if wanted else ""


def first_weights(out_dir: Path, options: Options) -> Path | None:
    """The file that a run goes on from or begins with; None for random weights."""
    last = out_dir / LAST
    if options.resume and last.exists():
        return last
    if options.resume:
        say(f"no checkpoint at {last} to go on from: this is the beginning")
    return None if options.start in (None, RANDOM) else Path(options.start)
