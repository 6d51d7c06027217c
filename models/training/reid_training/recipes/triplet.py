"""Recipe `reid-triplet-seed`: projects 0, 2 and 4 as they describe themselves.

Anchor, positive (same person, another camera where there is one) and negative; triplet margin loss on Euclidean or
cosine distances; Adam with a schedule; histograms of same-person and different-person cosines before and after. Trains
on any identity folder: `--data` may be one. Those projects began with ImageNet's weights; here `[net] start` names a
recipe trained before."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from reid_training.config import Config
from reid_training.data.batches import PeopleSampler, training_rows
from reid_training.data.pack import Pack, hold_out, make_pack, sources_below
from reid_training.errors import ConfigError
from reid_training.evaluation import Probe, net_embedder
from reid_training.export import Facts, export_checked
from reid_training.files import write_json
from reid_training.metrics import Labelled, pair_scores
from reid_training.nets import make_net
from reid_training.plots import draw_histograms, draw_history
from reid_training.progress import say
from reid_training.recipes.loop import Fit, Trained, cosine_schedule, fit, pictures, read_trained
from reid_training.recipes.start import StartedNet, facts_of, sample_of, start_net
from reid_training.variants import write_variants

NEGATIVES = ("drawn", "semi-hard", "all")


@dataclass(frozen=True)
class TripletTable:
    """`[train]`. `distance`: `euclidean` or `cosine`, both on unit embeddings. `triplets`: of one epoch, 0 for one a
    picture. `negatives`: `drawn` at random with every triplet, or taken from the batch: `semi-hard`, the nearest
    picture of another person that is farther than the positive, or `all` that are not yet farther by the margin. A batch
    then holds `batch` pictures, two of each person, and each of them is an anchor. `hold_out_share`: share of the people kept for
    validation where the sources keep none themselves. `height`, `width`: of the input in pixels."""

    epochs: int = 10
    batch: int = 32
    triplets: int = 0
    lr: float = 3e-4
    weight_decay: float = 1e-5
    distance: str = "cosine"
    margin: float = 0.3
    negatives: str = "drawn"
    hold_out_share: float = 0.1
    bfloat16: bool = False
    height: int = 128
    width: int = 64


class Triplets:
    """Draws rows (anchor, positive, negative) of a pack; people with one picture are positives of themselves, in
    another augmentation."""

    def __init__(self, pack: Pack, rows: np.ndarray) -> None:
        self.pack = pack
        self.sampler = PeopleSampler(pack, rows)

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Row numbers, int [3, count]."""
        people = [rng.choice(self.sampler.people, 2, replace=False) for _ in range(count)]
        anchors = np.array([rng.choice(self.sampler.rows_of[a]) for a, _ in people])
        positives = np.array([self._positive(rng, row, person) for row, (person, _) in zip(anchors, people, strict=True)])
        negatives = np.array([rng.choice(self.sampler.rows_of[b]) for _, b in people])
        return np.stack([anchors, positives, negatives])

    def couples(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Row numbers of anchors and their positives, of as many people: int [2, count], fewer where there are fewer people."""
        people = rng.choice(self.sampler.people, min(count, self.sampler.people), replace=False)
        anchors = np.array([rng.choice(self.sampler.rows_of[person]) for person in people])
        return np.stack([anchors, [self._positive(rng, row, person) for row, person in zip(anchors, people, strict=True)]])

    def _positive(self, rng: np.random.Generator, row: int, person: int) -> int:
        rows = self.sampler.rows_of[person]
        elsewhere = rows[self.pack.camera[rows] != self.pack.camera[row]]
        others = elsewhere if len(elsewhere) else rows[rows != row]
        return int(rng.choice(others)) if len(others) else row


def triplet_terms(vectors: torch.Tensor, table: TripletTable) -> dict[str, torch.Tensor]:
    """Loss of embeddings [3 * n, d] laid out as anchors, positives, negatives, or, with negatives out of the batch, [2 * n, d]
    as anchors and positives; and the share of triplets in order."""
    vectors = F.normalize(vectors.float(), dim=1)
    if table.negatives == "drawn":
        anchor, positive, negative = vectors.chunk(3)
        near, far = (distance_of((anchor * other).sum(1), table.distance) for other in (positive, negative))
        return {"loss": F.relu(near - far + table.margin).mean(), "_ordered": (near < far).float().mean()}
    near = distance_of((vectors * vectors.roll(len(vectors) // 2, 0)).sum(1, keepdim=True), table.distance)
    far = distance_of(vectors @ vectors.T, table.distance)
    used = negatives_within(near.detach(), far.detach(), table.negatives)
    excess = F.relu(near - far + table.margin)[used]
    late = (excess > 0).sum().clamp(min=1) if table.negatives == "all" else len(excess)
    return {"loss": excess.sum() / late, "_ordered": (near < far)[used].float().mean()}


def distance_of(cosine: torch.Tensor, kind: str) -> torch.Tensor:
    """Cosine or Euclidean distances of vectors of unit length, from their cosines."""
    return 1 - cosine if kind == "cosine" else (2 - 2 * cosine).clamp(min=1e-6).sqrt()


def negatives_within(near: torch.Tensor, far: torch.Tensor, how: str) -> torch.Tensor:
    """Which pictures are a picture's negatives, bool [2 * n, 2 * n]; rows i and i + n show one person. `near` [2 * n, 1]: the
    distance to the positive, `far` [2 * n, 2 * n]: to every picture.

    Where no other person is farther than the positive, the semi-hard negative is the farthest."""
    person = torch.arange(len(far), device=far.device) % (len(far) // 2)
    other = person[:, None] != person[None, :]
    if how == "all":
        return other
    farther = other & (far > near)
    semi_hard = far.masked_fill(~farther, torch.inf).argmin(1)
    farthest = far.masked_fill(~other, -1.0).argmax(1)
    return F.one_hot(torch.where(farther.any(1), semi_hard, farthest), len(far)).bool()


def validation_rows(pack: Pack, share: float, seed: int) -> np.ndarray:
    """bool [n]: the held-out people; where the sources hold none out, a share of all people (two at least)."""
    if pack.held_out.any():
        return pack.held_out
    people = np.unique(pack.identity[pack.identity >= 0])
    kept = hold_out(list(np.random.default_rng(seed).permutation(people)), max(2, round(share * len(people))))
    return np.isin(pack.identity, list(kept)) if len(people) >= 4 else np.zeros(len(pack), bool)


def run(
    config: Config, data: Path, out_dir: Path, device: str, resume: bool, *, cache: Path, teachers: Path | None = None,
    minutes: float | None = None, start: str | None = None, pretrained: str | None = None,
) -> None:
    """Trains, draws the histograms, exports `<recipe>.onnx`."""
    table, net_table = config.table(TripletTable, "train"), config.table(StartedNet, "net")
    if table.negatives not in NEGATIVES:
        raise ConfigError(f"[train] negatives: {table.negatives!r} is none of {', '.join(NEGATIVES)}")
    torch.manual_seed(config.seed)
    pack = make_pack(sources_below(config.sources, data), data, cache)
    held = validation_rows(pack, table.hold_out_share, config.seed)
    triplets = Triplets(pack, training_rows(pack, ()) & ~held)
    probe = validation_probe(pack, held)
    size = (table.height, table.width)
    sample = partial(sample_of, pack, np.flatnonzero(~held), size)
    started = start_net(net_table, out_dir, start, sample, pretrained)
    net = started.net.to(device, memory_format=torch.channels_last)
    begun, before = measure(net, size, probe, device)
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], table.lr, weight_decay=table.weight_decay)
    job = Fit(config.recipe, net, optimizer, cosine_schedule(optimizer, table.epochs), started.terms)

    def loss_of(rng: np.random.Generator) -> dict[str, torch.Tensor]:
        rows = triplets.draw(rng, table.batch) if table.negatives == "drawn" else triplets.couples(rng, table.batch // 2)
        x = pictures(pack, rows.ravel(), rng, size=size).to(device)
        with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=table.bfloat16):
            vectors = net(x)
        return triplet_terms(vectors, table)

    count = table.triplets or sum(map(len, triplets.sampler.rows_of))
    steps, checked = max(1, count // table.batch), len(np.unique(probe.people))
    say(f"{triplets.sampler.people} people to train on, {count} triplets an epoch, {checked} people to validate on")
    say(f"before: {begun}")
    path, validate = out_dir / "checkpoint.pt", lambda: measure(net, size, probe, device)[0]
    fit(job, table.epochs, steps, table.batch, loss_of, validate, path, config.seed, resume, minutes)
    figures, after = measure(net, size, probe, device)
    draw_histograms({"before": pair_scores(before), "after": pair_scores(after)}, out_dir / "histograms.png")
    draw_history([{"seen": 0, **begun}, *job.history], out_dir / "curves.png", "triplets")
    write_json(out_dir / "figures.json", {**figures, "before": begun, "seconds": round(job.seconds)})
    export(config, table, job.trained(), out_dir / f"{config.recipe}.onnx")


def export(config: Config, table: TripletTable, trained: Trained, path: Path) -> None:
    """Writes the network, checked against PyTorch; of a drawn triplet all three pictures count as seen, else the anchor."""
    seen = (3 if table.negatives == "drawn" else 1) * trained.seen
    facts = Facts(config.recipe, table.height, table.width, seen=seen, **facts_of(config, trained.terms))
    export_checked(trained.net.eval(), facts, path)


def export_checkpoint(config: Config, out_dir: Path, to: Path | None, data: Path | None, cache: Path) -> None:
    """The checkpoint in `out_dir` as a file; with `data` smaller variants of it, measured there."""
    table, net_table = config.table(TripletTable, "train"), config.table(StartedNet, "net")
    net = make_net(net_table.name, net_table.dim, **net_table.options)
    path = to or out_dir / f"{config.recipe}.onnx"
    export(config, table, read_trained(out_dir / "checkpoint.pt", config.recipe, net), path)
    if data is not None:
        pack = make_pack(sources_below(config.sources, data), data, cache)
        held = validation_rows(pack, table.hold_out_share, config.seed)
        write_variants(path, pack, [validation_probe(pack, held)])


def validation_probe(pack: Pack, held: np.ndarray) -> Probe:
    """The people kept for validation, or all where there are too few to keep any. Without cameras each person's first
    picture asks for the others, as if another camera had taken it."""
    rows = np.flatnonzero(held) if held.any() else np.flatnonzero(pack.identity >= 0)
    people, cameras = pack.identity[rows], pack.camera[rows]
    if len(np.unique(cameras)) < 2:
        cameras = np.ones(len(people), int)
        cameras[np.unique(people, return_index=True)[1]] = 0
    return Probe("validation", pack.images[rows], people, cameras, "across")


def measure(net: nn.Module, size: tuple[int, int], probe: Probe, device: str) -> tuple[dict[str, float], Labelled]:
    """mAP and rank-1 on the validation people, and their embeddings."""
    result, items = probe.score(net_embedder(net, *size, device=device))
    return {"validation mAP": round(result.mean_ap, 2), "validation R1": round(result.rank1, 2)}, items
