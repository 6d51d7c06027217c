"""Recipe `reid-triplet-seed`: projects 0, 2 and 4 as they describe themselves.

Anchor, positive (same person, another camera where there is one) and negative; triplet margin loss on Euclidean or
cosine distances; Adam with a schedule; histograms of same-person and different-person cosines before and after. Trains
on any identity folder: `--data` may be one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from reid_training.config import Config
from reid_training.data.batches import PeopleSampler, training_rows
from reid_training.data.pack import Pack, hold_out, make_pack, sources_below
from reid_training.evaluation import Probe, net_embedder
from reid_training.export import Facts, export_checked
from reid_training.metrics import Labelled, across_cameras, pair_scores
from reid_training.nets import make_net
from reid_training.plots import draw_histograms, draw_history
from reid_training.progress import say
from reid_training.recipes.embed import NetTable
from reid_training.recipes.loop import Fit, cosine_schedule, fit, pictures


@dataclass(frozen=True)
class TripletTable:
    """`[train]`. `distance`: `euclidean` or `cosine`, both on unit embeddings. `triplets`: of one epoch, 0 for one a
    picture. `hold_out_share`: share of the people kept for validation where the sources keep none themselves.
    `height`, `width`: of the input in pixels."""

    epochs: int = 10
    batch: int = 32
    triplets: int = 0
    lr: float = 3e-4
    weight_decay: float = 1e-5
    distance: str = "cosine"
    margin: float = 0.3
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

    def _positive(self, rng: np.random.Generator, row: int, person: int) -> int:
        rows = self.sampler.rows_of[person]
        elsewhere = rows[self.pack.camera[rows] != self.pack.camera[row]]
        others = elsewhere if len(elsewhere) else rows[rows != row]
        return int(rng.choice(others)) if len(others) else row


def triplet_terms(vectors: torch.Tensor, table: TripletTable) -> dict[str, torch.Tensor]:
    """Loss of embeddings [3 * n, d] laid out as anchors, positives, negatives, and the share of triplets in order."""
    anchor, positive, negative = F.normalize(vectors.float(), dim=1).chunk(3)
    if table.distance == "cosine":
        near, far = 1 - (anchor * positive).sum(1), 1 - (anchor * negative).sum(1)
    else:
        near, far = (anchor - positive).norm(dim=1), (anchor - negative).norm(dim=1)
    return {"loss": F.relu(near - far + table.margin).mean(), "_ordered": (near < far).float().mean()}


def validation_rows(pack: Pack, share: float, seed: int) -> np.ndarray:
    """bool [n]: the held-out people; where the sources hold none out, a share of all people (two at least)."""
    if pack.held_out.any():
        return pack.held_out
    people = np.unique(pack.identity[pack.identity >= 0])
    kept = hold_out(list(np.random.default_rng(seed).permutation(people)), max(2, round(share * len(people))))
    return np.isin(pack.identity, list(kept)) if len(people) >= 4 else np.zeros(len(pack), bool)


def run(
    config: Config, data: Path, out_dir: Path, device: str, resume: bool, *, cache: Path, teachers: Path | None = None,
    minutes: float | None = None,
) -> None:
    """Trains, draws the histograms, exports `<recipe>.onnx`."""
    table, net_table = config.table(TripletTable, "train"), config.table(NetTable, "net")
    pack = make_pack(sources_below(config.sources, data), data, cache)
    torch.manual_seed(config.seed)
    held = validation_rows(pack, table.hold_out_share, config.seed)
    triplets = Triplets(pack, training_rows(pack, ()) & ~held)
    probe_rows = np.flatnonzero(held) if held.any() else np.flatnonzero(pack.identity >= 0)
    probe = Probe("validation", pack.images[probe_rows], pack.identity[probe_rows], pack.camera[probe_rows], "across")
    net = make_net(net_table.name, net_table.dim, **net_table.options).to(device, memory_format=torch.channels_last)
    size = (table.height, table.width)
    before = measure(net, size, probe, device)[1]
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], table.lr, weight_decay=table.weight_decay)
    job = Fit(config.recipe, net, optimizer, cosine_schedule(optimizer, table.epochs))

    def loss_of(rng: np.random.Generator) -> dict[str, torch.Tensor]:
        x = pictures(pack, triplets.draw(rng, table.batch).ravel(), rng, size=size).to(device)
        with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=table.bfloat16):
            vectors = net(x)
        return triplet_terms(vectors, table)

    count = table.triplets or sum(map(len, triplets.sampler.rows_of))
    say(f"{triplets.sampler.people} people to train on, {count} triplets an epoch, {len(np.unique(probe.people))} people to validate on")
    path = out_dir / "checkpoint.pt"
    fit(job, table.epochs, max(1, count // table.batch), table.batch, loss_of, lambda: measure(net, size, probe, device)[0], path, config.seed, resume, minutes)
    figures, after = measure(net, size, probe, device)
    draw_histograms({"before": pair_scores(before), "after": pair_scores(after)}, out_dir / "histograms.png")
    draw_history(job.history, out_dir / "curves.png")
    (out_dir / "figures.json").write_text(json.dumps({**figures, "seconds": round(job.seconds)}, indent=1))
    seen = 3 * job.epoch * max(1, count // table.batch) * table.batch
    facts = Facts(config.recipe, *size, seen=seen, **config.tables.get("facts", {}))
    export_checked(net.eval(), facts, out_dir / f"{config.recipe}.onnx")


def measure(net: nn.Module, size: tuple[int, int], probe: Probe, device: str) -> tuple[dict[str, float], Labelled]:
    """mAP and rank-1 on the validation people, and their embeddings. Without cameras each person's first picture asks
    for the others, as if another camera had taken it."""
    items = Labelled(net_embedder(net, *size, device=device)(probe.images), probe.people, probe.cameras)
    if len(np.unique(items.cameras)) < 2:
        cameras = np.ones(len(items.people), int)
        cameras[np.unique(items.people, return_index=True)[1]] = 0
        items = Labelled(items.vectors, items.people, cameras)
    result = across_cameras(items)
    return {"validation mAP": round(result.mean_ap, 2), "validation R1": round(result.rank1, 2)}, items
