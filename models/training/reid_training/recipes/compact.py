"""Recipe `reid-compact`: project 1's small network by triplets and by cross-entropy, with a support vector machine on
the embeddings; the accuracy table and a t-SNE picture, on each `[[classify]]` set; before that, the embedder that ships.

The shipped file is the same network trained on all people of the sources, with the teachers' relations where their
answers are cached (`reid_training.recipes.embed`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from reid_training.config import Config, typed
from reid_training.data.pack import Pack, make_pack
from reid_training.data.sources import Source
from reid_training.ending import Ending
from reid_training.errors import DataError
from reid_training.evaluation import net_embedder
from reid_training.files import write_json
from reid_training.losses import all_triplets_loss
from reid_training.metrics import unit
from reid_training.nets import make_net
from reid_training.plots import draw_confusion, draw_history, draw_plane
from reid_training.progress import say
from reid_training.recipes import embed
from reid_training.recipes.loop import Fit, cosine_schedule, fit, pictures

MARGIN = 0.3  # Hermans et al., 2017


@dataclass(frozen=True)
class ClassifyTable:
    """`[[classify]]`: one set on which people are told apart by name. `people`: how many of the most pictured ones.
    `group`: a pattern whose groups name pictures that belong together (near-copies), never split between training and
    test; a last numeric group is cut into blocks of `block` (frames of a video)."""

    source: dict[str, Any]
    group: str
    block: int = 1
    people: int = 1000
    test_share: float = 0.3
    epochs: int = 30
    lr: float = 1e-3
    classes: int = 8
    per_class: int = 8


#: The file that ships is made as that recipe makes its own.
export_checkpoint = embed.export_checkpoint


def run(
    config: Config, data: Path, out_dir: Path, device: str, resume: bool, *, cache: Path, teachers: Path | None,
    minutes: float | None = None, ending: Ending | None = None, start: str | None = None,
    pretrained: str | None = None,
) -> None:
    """The embedder that ships first, then the table."""
    if config.sources:
        embed.run(
            config, data, out_dir, device, resume, cache=cache, teachers=teachers, minutes=minutes, ending=ending, start=start,
            pretrained=pretrained,
        )
    table = {}
    for entry in config.tables.get("classify", []):
        setting = typed(ClassifyTable, entry, "[[classify]]")
        source = typed(Source, setting.source, "[[classify]] source")
        if source.locate(data) is None and not source.required:
            say(f"data set {source.name!r} not found below {data}: left out of the table")
            continue
        table[source.name] = classify_set(config, setting, source, data, out_dir, device, resume, cache)
        write_json(out_dir / "accuracy.json", table)


def classify_set(
    config: Config, setting: ClassifyTable, source: Source, data: Path, out_dir: Path, device: str, resume: bool, cache: Path
) -> dict[str, float]:
    """Accuracies in percent on pictures of groups that were not trained on."""
    pack = make_pack([source], data, cache)
    rows = most_pictured(pack, setting.people)
    test = np.isin(np.arange(len(pack)), split_groups(pack, rows, setting, config.seed))
    train_rows, test_rows = rows[~test[rows]], rows[test[rows]]
    _, classes = np.unique(pack.identity[rows], return_inverse=True)
    class_of = np.full(len(pack), -1, np.int64)
    class_of[rows] = classes
    say(f"{source.name}: {len(train_rows)} pictures to train, {len(test_rows)} to test, {classes.max() + 1} people")
    figures = {"people": int(classes.max() + 1), "train": len(train_rows), "test": len(test_rows)}
    confusions: dict[str, np.ndarray] = {}
    for loss in ("triplet", "cross-entropy"):
        net = train_classifier(config, setting, pack, train_rows, test_rows, class_of, loss, source.name, out_dir, device, resume)
        vectors = net_embedder(net.body, *pack.size, device=device)(pack.images[rows])
        figures |= accuracies(net, vectors, rows, test, class_of, loss, device, confusions)
        if loss == "triplet":
            draw_tsne(vectors[test[rows]], class_of[test_rows], source.name, out_dir, config.seed)
    panels = {f"{source.name}, {title}": counts for title, counts in confusions.items()}
    draw_confusion(panels, out_dir / f"{source.name}-confusion.png")
    return figures


class Classifier(nn.Module):
    """The network with a linear layer to people on top."""

    def __init__(self, body: nn.Module, dim: int, people: int) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(dim, people)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[b, 3, h, w] → [b, people]."""
        return self.head(F.relu(self.body(x)))


def train_classifier(
    config: Config, setting: ClassifyTable, pack: Pack, train_rows: np.ndarray, test_rows: np.ndarray,
    class_of: np.ndarray, loss: str, name: str, out_dir: Path, device: str, resume: bool,
) -> Classifier:
    """One network by one loss. Every batch holds as many pictures of each person, however rare: classes are balanced."""
    torch.manual_seed(config.seed)
    net_table = config.table(embed.NetTable, "net")
    people = int(class_of.max()) + 1
    net = Classifier(make_net(net_table.name, net_table.dim, **net_table.options), net_table.dim, people).to(device)
    optimizer = torch.optim.Adam(net.parameters(), setting.lr)
    job = Fit(f"{config.recipe}-{name}-{loss}", net, optimizer, cosine_schedule(optimizer, setting.epochs))
    rows_of = [train_rows[class_of[train_rows] == c] for c in range(people)]
    if min(map(len, rows_of)) == 0:
        raise DataError(f"{name}: a person has no picture to train on; take fewer people or another group pattern")
    per_batch = min(setting.classes, people)

    def loss_of(rng: np.random.Generator) -> dict[str, torch.Tensor]:
        chosen = rng.choice(people, per_batch, replace=False)
        rows = np.concatenate([rng.choice(rows_of[c], setting.per_class) for c in chosen])
        x = pictures(pack, rows, rng).to(device)
        labels = torch.from_numpy(class_of[rows]).to(device)
        if loss == "cross-entropy":
            return {"loss": F.cross_entropy(net(x), labels)}
        vectors = F.normalize(net.body(x), dim=1)
        return {"loss": all_triplets_loss(vectors, labels, MARGIN)}

    batch = per_batch * setting.per_class
    steps = max(1, len(train_rows) // batch)
    fit(job, setting.epochs, steps, batch, loss_of, dict, out_dir / f"{name}-{loss}.pt", config.seed, resume)
    draw_history(job.history, out_dir / f"{name}-{loss}.png")
    return net.eval()


def accuracies(
    net: Classifier, vectors: np.ndarray, rows: np.ndarray, test: np.ndarray, class_of: np.ndarray, loss: str, device: str,
    confusions: dict[str, np.ndarray],
) -> dict[str, float]:
    """Accuracy of a support vector machine on the embeddings, and of the network's own classes; adds to `confusions`."""
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix
    from sklearn.svm import SVC

    held = test[rows]
    machine = SVC(C=10.0, class_weight="balanced")
    machine.fit(unit(vectors[~held]), class_of[rows][~held])
    wanted, guess = class_of[rows][held], machine.predict(unit(vectors[held]))
    confusions[f"{loss} + SVM"] = confusion_matrix(wanted, guess)
    figures = {
        f"{loss} + SVM accuracy": round(100 * accuracy_score(wanted, guess), 2),
        f"{loss} + SVM balanced accuracy": round(100 * balanced_accuracy_score(wanted, guess), 2),
    }
    if loss == "cross-entropy":
        with torch.no_grad():
            own = net.head(F.relu(torch.from_numpy(vectors[held]).to(device))).argmax(1).cpu().numpy()
        confusions["cross-entropy"] = confusion_matrix(wanted, own, labels=np.unique(wanted))
        figures["cross-entropy accuracy"] = round(100 * accuracy_score(wanted, own), 2)
    say(f"  {figures}")
    return figures


def most_pictured(pack: Pack, people: int) -> np.ndarray:
    """Rows of the people with the most pictures; only people who may be trained on."""
    usable = np.flatnonzero((pack.identity >= 0) & ~pack.held_out)
    numbers, counts = np.unique(pack.identity[usable], return_counts=True)
    chosen = numbers[np.argsort(-counts, kind="stable")[:people]]
    if len(chosen) < 2:
        raise DataError("fewer than two people to tell apart")
    return usable[np.isin(pack.identity[usable], chosen)]


def split_groups(pack: Pack, rows: np.ndarray, setting: ClassifyTable, seed: int) -> np.ndarray:
    """Rows to test on: whole groups, `test_share` of every person's, at least one and never all."""
    pattern = re.compile(setting.group)
    rng = np.random.default_rng(seed)
    picked: list[np.ndarray] = []
    for person in np.unique(pack.identity[rows]):
        mine = rows[pack.identity[rows] == person]
        groups = np.array([group_of(pattern, str(pack.names[row]), setting.block) for row in mine])
        names = rng.permutation(np.unique(groups))
        count = min(len(names) - 1, max(1, round(setting.test_share * len(names))))
        picked.append(mine[np.isin(groups, names[:count])])
    return np.concatenate(picked)


def group_of(pattern: re.Pattern[str], name: str, block: int) -> str:
    """The group a picture belongs to, from its name."""
    match = pattern.search(name)
    if match is None:
        return name
    parts = list(match.groups())
    if block > 1 and parts and parts[-1].isdigit():
        parts[-1] = str(int(parts[-1]) // block)
    return "/".join(parts)


def draw_tsne(vectors: np.ndarray, classes: np.ndarray, name: str, out_dir: Path, seed: int, most: int = 20) -> None:
    """t-SNE of the test pictures of at most `most` people, as points."""
    from sklearn.manifold import TSNE

    few = classes < most
    points = unit(vectors[few])
    if len(points) < 10:
        return
    plane = TSNE(random_state=seed, perplexity=min(30, len(points) // 4), init="pca").fit_transform(points)
    title = f"{name}: unseen pictures of {min(most, classes.max() + 1)} people, t-SNE"
    draw_plane(plane, classes[few], title, out_dir / f"{name}-tsne.png")
