"""How well an embedder finds people again, on whatever evaluation sets the data folder holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from reid_training.data.batches import to_input
from reid_training.data.pack import Pack, make_pack
from reid_training.data.sources import Source, detect_source
from reid_training.errors import DataError
from reid_training.export import open_session
from reid_training.files import write_json
from reid_training.metrics import Labelled, Retrieval, across_cameras, pair_scores, retrieve
from reid_training.plots import draw_histograms

Embedder = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Probe:
    """One evaluation set: `images` uint8 [n, h, w, 3], `people` and `cameras` int [n]."""

    name: str
    images: np.ndarray
    people: np.ndarray
    cameras: np.ndarray
    split: str  # "across": one query a person and camera; "first-camera": camera a against camera b

    def score(self, embed: Embedder) -> tuple[Retrieval, Labelled]:
        """Retrieval figures and the embeddings behind them."""
        items = Labelled(embed(self.images), self.people, self.cameras)
        if self.split == "across":
            return across_cameras(items), items
        first = self.cameras == self.cameras.min()
        return retrieve(items.take(first), items.take(~first)), items


def net_embedder(net: nn.Module, height: int, width: int, device: str = "cpu", batch: int = 128) -> Embedder:
    """A network as a function from uint8 [n, h, w, 3] to float32 [n, d]; float32 arithmetic, evaluation mode."""

    def embed(images: np.ndarray) -> np.ndarray:
        was_training = net.training
        net.eval()
        parts = []
        with torch.no_grad():
            for start in range(0, len(images), batch):
                x = to_input(np.asarray(images[start : start + batch]), height, width).to(device)
                parts.append(net(x).float().cpu().numpy())
        net.train(was_training)
        return np.concatenate(parts)

    return embed


def probes_of(pack: Pack, left_out: Sequence[str], most: int = 1000) -> list[Probe]:
    """Held-out people of the training sources and sources left out, at most `most` pictures of each."""
    probes = []
    for name in pack.sources:
        rows = pack.rows_of([name])
        rows = rows[pack.identity[rows] >= 0] if name in left_out else rows[pack.held_out[rows]]
        people = np.unique(pack.identity[rows])
        if len(people) < 2:
            continue
        order = np.random.default_rng(0).permutation(people)
        sizes = np.cumsum([np.sum(pack.identity[rows] == p) for p in order])
        rows = rows[np.isin(pack.identity[rows], order[: max(2, int(np.searchsorted(sizes, most)))])]
        images = pack.images[rows]
        probes.append(Probe(name, images, pack.identity[rows], pack.camera[rows], "across"))
    return probes


def cross_view_probe(source: Source, data: Path, cache: Path) -> Probe | None:
    """A source of several cameras as first camera against the others; None when it is not there."""
    if source.locate(data) is None:
        return None
    pack = make_pack([source], data, cache)
    return Probe(source.name, pack.images[:], pack.identity, pack.camera, "first-camera")


def evaluate_model(model: Path, query: Path, gallery: Path, cache: Path, out: Path | None) -> dict[str, float]:
    """Market-1501 protocol on an exported model: figures by cosine and by Euclidean distance, milliseconds a crop.

    With `out`, also `figures.json` and the histogram of cosines there."""
    embed = onnx_embedder(model)
    sides, started = [], time.monotonic()
    for name, place in (("query", query), ("gallery", gallery)):
        source = Source(name, (place.name,), detect_source(place).format)
        sides.append(labelled_by_name(make_pack([source], place.parent, cache), embed))
    spent = time.monotonic() - started
    cosine, euclidean = retrieve(*sides), retrieve(*sides, euclidean=True)
    if cosine.queries == 0:
        raise DataError(f"no query of {query} has a match in {gallery} by another camera")
    figures = {
        "mAP": cosine.mean_ap, "rank-1": cosine.rank1, "rank-5": cosine.rank5, "rank-10": cosine.rank10,
        "mAP euclidean": euclidean.mean_ap, "rank-1 euclidean": euclidean.rank1,
        "queries": cosine.queries, "gallery": len(sides[1].people),
        "ms a crop": 1000 * spent / (len(sides[0].people) + len(sides[1].people)),
    }
    if out is not None:
        write_json(out / "figures.json", figures)
        draw_histograms({model.stem: pair_scores(sides[0])}, out / "histogram.png")
    return figures


def onnx_embedder(path: Path, batch: int = 32, threads: int = 1) -> Embedder:
    """An exported file as a function from uint8 [n, h, w, 3] to float32 [n, d]; input size from its metadata."""
    if not path.exists():
        raise DataError(f"model {path} does not exist")
    session = open_session(path, threads)
    facts = session.get_modelmeta().custom_metadata_map
    if facts.get("reid.task") != "embed":
        raise DataError(f"{path} is no embedder exported here: its metadata has no reid.task = embed")
    height, width = int(facts["reid.height"]), int(facts["reid.width"])
    name = session.get_inputs()[0].name

    def embed(images: np.ndarray) -> np.ndarray:
        parts = []
        for start in range(0, len(images), batch):
            x = to_input(np.asarray(images[start : start + batch]), height, width).contiguous()
            parts.append(session.run(None, {name: x.numpy()})[0])
        return np.concatenate(parts)

    return embed


def labelled_by_name(pack: Pack, embed: Embedder) -> Labelled:
    """Embeddings of a pack with the person numbers that its file names carry (equal in query and gallery)."""
    people = np.array([int(name.rsplit("/", 1)[-1].split("_")[0]) for name in pack.names])
    return Labelled(embed(pack.images), people, pack.camera)
