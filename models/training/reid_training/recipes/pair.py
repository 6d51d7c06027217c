"""Recipe `reid-pair-resnet50`: project 3. Two pictures through one shared ResNet50, dense layers on the joined
embeddings, binary cross-entropy on "same person"; by SGD and by Nadam. The model gives a similarity score for a pair."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid_training.config import Config
from reid_training.data.batches import training_rows
from reid_training.data.pack import make_pack, sources_below
from reid_training.errors import ConfigError
from reid_training.export import Facts, export_pair_checked
from reid_training.nets import make_net
from reid_training.plots import draw_history
from reid_training.progress import say
from reid_training.recipes.embed import NetTable
from reid_training.recipes.loop import Fit, cosine_schedule, fit, pictures
from reid_training.recipes.triplet import Triplets, validation_rows

OPTIMIZERS = {
    "sgd": lambda params, lr: torch.optim.SGD(params, lr, momentum=0.9, nesterov=True, weight_decay=1e-4),
    "nadam": lambda params, lr: torch.optim.NAdam(params, lr, weight_decay=1e-5),
}


@dataclass(frozen=True)
class PairTable:
    """`[train]`. `optimizers`: learning rate of each optimiser to train with. `pairs`: of one epoch, half positive.
    `height`, `width`: of the input in pixels."""

    optimizers: dict[str, float]
    epochs: int = 10
    batch: int = 32
    pairs: int = 4096
    validation_pairs: int = 1024
    hold_out_share: float = 0.1
    bfloat16: bool = False
    height: int = 128
    width: int = 64


class PairNet(nn.Module):
    """[b, 3, h, w] twice → logits [b] of "the same person". Symmetric: what is joined does not know the order."""

    def __init__(self, name: str, dim: int, **options: object) -> None:
        super().__init__()
        self.branch = make_net(name, dim, **options)
        self.dense = nn.Sequential(nn.Linear(3 * dim, 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, 1))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        one, two = self.branch(torch.cat([a, b])).float().chunk(2)
        one, two = F.normalize(one, dim=1), F.normalize(two, dim=1)
        scale = one.shape[1] ** 0.5
        joined = torch.cat([one + two, (one - two).abs(), scale * one * two], 1)
        return self.dense(joined * scale).squeeze(1)


def draw_pairs(triplets: Triplets, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows int [2, count] and labels float32 [count]: the first half shows one person across cameras, the second two."""
    anchor, positive, negative = triplets.draw(rng, count)
    same = np.arange(count) < count // 2
    return np.stack([anchor, np.where(same, positive, negative)]), same.astype(np.float32)


def run(
    config: Config, data: Path, out_dir: Path, device: str, resume: bool, *, cache: Path, teachers: Path | None = None,
    minutes: float | None = None,
) -> None:
    """Trains once with each optimiser, writes the figures of both, exports the one that tells pairs apart better."""
    table, net_table = config.table(PairTable, "train"), config.table(NetTable, "net")
    unknown = sorted(set(table.optimizers) - set(OPTIMIZERS))
    if unknown:
        raise ConfigError(f"[train] optimizers: {unknown[0]!r} is none of {', '.join(OPTIMIZERS)}")
    pack = make_pack(sources_below(config.sources, data), data, cache)
    held = validation_rows(pack, table.hold_out_share, config.seed)
    train = Triplets(pack, training_rows(pack, ()) & ~held)
    checked = Triplets(pack, held if held.any() else training_rows(pack, ()))
    rows, labels = draw_pairs(checked, np.random.default_rng(config.seed), table.validation_pairs)
    kind, size = device.split(":")[0], (table.height, table.width)
    figures, nets = {}, {}
    for name, rate in table.optimizers.items():
        torch.manual_seed(config.seed)
        net = PairNet(net_table.name, net_table.dim, **net_table.options).to(device, memory_format=torch.channels_last)
        optimizer = OPTIMIZERS[name](net.parameters(), rate)
        job = Fit(f"{config.recipe}-{name}", net, optimizer, cosine_schedule(optimizer, table.epochs))

        def scores(pairs: np.ndarray, rng: np.random.Generator, augmented: bool, net: PairNet = net) -> Tensor:
            a, b = (pictures(pack, side, rng, augmented, size).to(device) for side in pairs)
            with torch.autocast(kind, torch.bfloat16, enabled=table.bfloat16):
                return net(a, b).float()

        def loss_of(rng: np.random.Generator) -> dict[str, Tensor]:
            pairs, same = draw_pairs(train, rng, table.batch)
            logits, wanted = scores(pairs, rng, True), torch.from_numpy(same).to(device)
            hit = ((logits > 0) == (wanted > 0.5)).float().mean()
            return {"loss": F.binary_cross_entropy_with_logits(logits, wanted), "_train accuracy": 100 * hit}

        def validate(net: PairNet = net) -> dict[str, float]:
            net.eval()
            with torch.no_grad():
                parts = [scores(rows[:, i : i + 64], np.random.default_rng(0), False) for i in range(0, rows.shape[1], 64)]
            net.train()
            return pair_figures(torch.cat(parts).cpu().numpy(), labels)

        steps = max(1, table.pairs // table.batch)
        fit(job, table.epochs, steps, table.batch, loss_of, validate, out_dir / f"{name}.pt", config.seed, resume, minutes)
        figures[name], nets[name] = {**validate(), "seconds": round(job.seconds)}, net
        draw_history(job.history, out_dir / f"{name}.png")
        say(f"{name}: {figures[name]}")
        (out_dir / "figures.json").write_text(json.dumps(figures, indent=1))
    best = max(figures, key=lambda name: figures[name]["validation AUC"])
    seen = 2 * table.epochs * max(1, table.pairs // table.batch) * table.batch
    facts = Facts(config.recipe, *size, task="pair", seen=seen, **config.tables.get("facts", {}))
    export_pair_checked(nets[best].eval(), facts, net_table.dim, out_dir / f"{config.recipe}.onnx")


def pair_figures(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Binary cross-entropy, accuracy at probability 0.5 and area under the ROC curve, the latter two in percent."""
    from sklearn.metrics import roc_auc_score

    loss = float(np.mean(np.logaddexp(0, logits) - labels * logits))
    return {
        "validation loss": round(loss, 4),
        "validation accuracy": round(100 * float(np.mean((logits > 0) == (labels > 0.5))), 2),
        "validation AUC": round(100 * float(roc_auc_score(labels, logits)), 2),
    }
