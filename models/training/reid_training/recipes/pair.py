"""Recipe `reid-pair-resnet50`: project 3. Two pictures through one shared ResNet50, dense layers on the joined
embeddings, binary cross-entropy on "same person"; by SGD and by Nadam. The model gives a similarity score for a pair.

The branch is what costs, so a batch's pictures go through it once and are joined to many pairs, half of them of one
person across cameras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid_training.config import Config
from reid_training.data.batches import PeopleSampler, training_rows
from reid_training.data.pack import Pack, make_pack, sources_below
from reid_training.errors import CheckpointError, ConfigError
from reid_training.export import Facts, export_pair_checked
from reid_training.files import write_json
from reid_training.nets import make_net
from reid_training.plots import draw_history
from reid_training.progress import say
from reid_training.recipes.loop import Fit, Trained, cosine_schedule, fit, pictures, read_trained
from reid_training.recipes.start import StartedNet, facts_of, sample_of, start_net
from reid_training.recipes.triplet import Triplets, validation_rows

OPTIMIZERS = {
    "sgd": lambda params, lr: torch.optim.SGD(params, lr, momentum=0.9, nesterov=True, weight_decay=1e-4),
    "nadam": lambda params, lr: torch.optim.NAdam(params, lr, weight_decay=1e-5),
}


@dataclass(frozen=True)
class PairTable:
    """`[train]`. `optimizers`: learning rate of each optimiser to train with. `steps`: batches of one epoch; a batch holds
    `people` with `per_person` pictures each, joined to `pairs`, half of them of one person. `height`, `width`: of the
    input in pixels."""

    optimizers: dict[str, float]
    epochs: int = 10
    steps: int = 100
    people: int = 12
    per_person: int = 6
    pairs: int = 256
    validation_pairs: int = 1024
    hold_out_share: float = 0.1
    bfloat16: bool = False
    height: int = 128
    width: int = 64


class PairNet(nn.Module):
    """Whether two pictures show one person. Symmetric: what is joined does not know the order."""

    def __init__(self, branch: nn.Module, dim: int) -> None:
        super().__init__()
        self.branch = branch
        self.dense = nn.Sequential(nn.Linear(3 * dim, 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, 1))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """[b, 3, h, w] twice → logits [b]."""
        return self.join(*self.embed(torch.cat([a, b])).chunk(2))

    def embed(self, x: Tensor) -> Tensor:
        """[b, 3, h, w] → [b, dim] of unit length."""
        return F.normalize(self.branch(x).float(), dim=1)

    def join(self, one: Tensor, two: Tensor) -> Tensor:
        """Embeddings of two pictures, [b, dim] each, → logits [b]."""
        scale = one.shape[1] ** 0.5
        joined = torch.cat([one + two, (one - two).abs(), scale * one * two], 1)
        return self.dense(joined * scale).squeeze(1)


class BatchPairs:
    """Pairs among the pictures of a batch, half of them of one person: by different cameras, or by one where only one saw
    that person."""

    def __init__(self, pack: Pack, sampler: PeopleSampler) -> None:
        self.camera, self.class_of = pack.camera, sampler.class_of
        self.one_camera = np.array([len(np.unique(pack.camera[rows])) == 1 for rows in sampler.rows_of])

    def draw(self, rng: np.random.Generator, rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Places in the batch, int [2, count], and labels float32 [count]; positives first. `rows`: of the pack."""
        person, camera = self.class_of[rows], self.camera[rows]
        first, second = np.triu_indices(len(rows), 1)
        same = person[first] == person[second]
        good = same & ((camera[first] != camera[second]) | self.one_camera[person[first]])
        good = good if good.any() else same
        wanted = (count // 2, count - count // 2)
        picks = [_choose(rng, np.flatnonzero(mask), n) for mask, n in zip((good, ~same), wanted, strict=True)]
        labels = np.repeat(np.array([1, 0], np.float32), wanted)
        return np.stack([first, second])[:, np.concatenate(picks)], labels


def _choose(rng: np.random.Generator, places: np.ndarray, count: int) -> np.ndarray:
    """`count` of the places; each at most once where there are enough."""
    return rng.choice(places, count, replace=len(places) < count)


def draw_pairs(triplets: Triplets, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows int [2, count] and labels float32 [count]: the first half shows one person across cameras, the second two."""
    anchor, positive, negative = triplets.draw(rng, count)
    same = np.arange(count) < count // 2
    return np.stack([anchor, np.where(same, positive, negative)]), same.astype(np.float32)


def run(
    config: Config, data: Path, out_dir: Path, device: str, resume: bool, *, cache: Path, teachers: Path | None = None,
    minutes: float | None = None, start: str | None = None, pretrained: str | None = None,
) -> None:
    """Trains once with each optimiser, writes the figures of both, exports the one that tells pairs apart better."""
    table, net_table = config.table(PairTable, "train"), config.table(StartedNet, "net")
    unknown = sorted(set(table.optimizers) - set(OPTIMIZERS))
    if unknown:
        raise ConfigError(f"[train] optimizers: {unknown[0]!r} is none of {', '.join(OPTIMIZERS)}")
    if table.people < 2 or table.per_person < 2:
        raise ConfigError("[train] people, per_person: a batch needs two people with two pictures each, at least")
    pack = make_pack(sources_below(config.sources, data), data, cache)
    held = validation_rows(pack, table.hold_out_share, config.seed)
    sampler = PeopleSampler(pack, training_rows(pack, ()) & ~held)
    pairs = BatchPairs(pack, sampler)
    checked = Triplets(pack, held if held.any() else training_rows(pack, ()))
    rows, labels = draw_pairs(checked, np.random.default_rng(config.seed), table.validation_pairs)
    kind, size = device.split(":")[0], (table.height, table.width)
    batch = min(table.people, sampler.people) * table.per_person
    sample = partial(sample_of, pack, np.flatnonzero(~held), size)
    figures, jobs = {}, {}
    for name, rate in table.optimizers.items():
        torch.manual_seed(config.seed)
        started = start_net(net_table, out_dir, start, sample, pretrained)
        net = PairNet(started.net, net_table.dim).to(device, memory_format=torch.channels_last)
        optimizer = OPTIMIZERS[name](net.parameters(), rate)
        job = jobs[name] = Fit(run_name(config, name), net, optimizer, cosine_schedule(optimizer, table.epochs), started.terms)

        def loss_of(rng: np.random.Generator, net: PairNet = net) -> dict[str, Tensor]:
            rows = sampler.draw(rng, table.people, table.per_person)
            x = pictures(pack, rows, rng, size=size).to(device)
            with torch.autocast(kind, torch.bfloat16, enabled=table.bfloat16):
                vectors = net.embed(x)
            (one, two), same = pairs.draw(rng, rows, table.pairs)
            logits, wanted = net.join(vectors[one], vectors[two]), torch.from_numpy(same).to(device)
            hit = ((logits > 0) == (wanted > 0.5)).float().mean()
            return {"loss": F.binary_cross_entropy_with_logits(logits, wanted), "_train accuracy": 100 * hit}

        def validate(net: PairNet = net) -> dict[str, float]:
            net.eval()
            parts, shown = [], np.unique(rows)
            with torch.no_grad():
                for i in range(0, len(shown), 128):
                    x = pictures(pack, shown[i : i + 128], np.random.default_rng(0), False, size).to(device)
                    with torch.autocast(kind, torch.bfloat16, enabled=table.bfloat16):
                        parts.append(net.embed(x))
                one, two = torch.cat(parts)[torch.from_numpy(np.searchsorted(shown, rows)).to(device)]
                logits = net.join(one, two)
            net.train()
            return pair_figures(logits.cpu().numpy(), labels)

        fit(job, table.epochs, table.steps, batch, loss_of, validate, out_dir / f"{name}.pt", config.seed, resume, minutes)
        figures[name] = {**_checked(job.history), "seconds": round(job.seconds)}
        draw_history(side_by_side({name: job.history for name, job in jobs.items()}), out_dir / "curves.png")
        say(f"{name}: {figures[name]}")
        write_json(out_dir / "figures.json", figures)
    export_best(config, [job.trained() for job in jobs.values()], out_dir / f"{config.recipe}.onnx")


def run_name(config: Config, optimizer: str) -> str:
    """What the checkpoints of one optimiser's run are called."""
    return f"{config.recipe}-{optimizer}"


def export_best(config: Config, runs: Sequence[Trained], path: Path) -> None:
    """Writes the network that tells pairs apart best, checked against PyTorch."""
    table, dim = config.table(PairTable, "train"), config.table(StartedNet, "net").dim
    best = max(runs, key=lambda run: run.history[-1]["validation AUC"])
    facts = Facts(
        config.recipe, table.height, table.width, task="pair", seen=best.seen, **facts_of(config, best.terms)
    )
    export_pair_checked(best.net.eval(), facts, dim, path)


def export_checkpoint(config: Config, out_dir: Path, to: Path | None, data: Path | None, cache: Path) -> None:
    """The best of the optimisers' checkpoints in `out_dir` as a file. Raises `ConfigError` for `data`, to measure variants."""
    if data is not None:
        raise ConfigError("--variants: smaller files are made of embedders and of the detector, not of pair models")
    table, net_table = config.table(PairTable, "train"), config.table(StartedNet, "net")
    runs = []
    for name in table.optimizers:
        if (out_dir / f"{name}.pt").exists():
            net = PairNet(make_net(net_table.name, net_table.dim, **net_table.options), net_table.dim)
            runs.append(read_trained(out_dir / f"{name}.pt", run_name(config, name), net))
    if not runs:
        raise CheckpointError(f"no checkpoint of {', '.join(table.optimizers)} in {out_dir}")
    export_best(config, runs, to or out_dir / f"{config.recipe}.onnx")


def _checked(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What was measured on the pairs of people held out after the last epoch."""
    return {name: value for name, value in history[-1].items() if name.startswith("validation")}


def side_by_side(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> list[dict[str, float]]:
    """The histories of several optimisers as one, each figure under its optimiser's name."""
    return [
        {key if key == "seen" else f"{name} {key}": value for key, value in line.items()}
        for name, history in histories.items() for line in history
    ]


def pair_figures(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Binary cross-entropy, accuracy at probability 0.5 and area under the ROC curve, the latter two in percent."""
    from sklearn.metrics import roc_auc_score

    loss = float(np.mean(np.logaddexp(0, logits) - labels * logits))
    return {
        "validation loss": round(loss, 4),
        "validation accuracy": round(100 * float(np.mean((logits > 0) == (labels > 0.5))), 2),
        "validation AUC": round(100 * float(roc_auc_score(labels, logits)), 2),
    }
