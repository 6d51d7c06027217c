"""Retrieval figures by the Market-1501 protocol (Zheng et al., "Scalable person re-identification", ICCV 2015)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

JUNK, DISTRACTOR = -1, 0


@dataclass(frozen=True)
class Retrieval:
    """Mean average precision and the match rates at ranks 1, 5 and 10, all in percent; `queries`: how many counted."""

    mean_ap: float
    rank1: float
    rank5: float
    rank10: float
    queries: int

    def __str__(self) -> str:
        return f"mAP {self.mean_ap:.1f} rank-1 {self.rank1:.1f} rank-5 {self.rank5:.1f} rank-10 {self.rank10:.1f}"


@dataclass(frozen=True)
class Labelled:
    """Embeddings with what they show: `vectors` float [n, d], `people` int [n], `cameras` int [n]."""

    vectors: np.ndarray
    people: np.ndarray
    cameras: np.ndarray

    def take(self, rows: np.ndarray) -> Labelled:
        """The rows of a mask or index."""
        return Labelled(self.vectors[rows], self.people[rows], self.cameras[rows])


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1; rows of zeros stay."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(norms, 1e-12)


def retrieve(query: Labelled, gallery: Labelled, euclidean: bool = False) -> Retrieval:
    """Ranks the gallery for every query.

    Pictures of the query's person by the query's camera and junk (`-1`) are dropped, distractors kept; queries without
    a true match do not count. Average precision is the mean of the precisions at each true match."""
    q, g = query.vectors.astype(np.float32), gallery.vectors.astype(np.float32)
    if not euclidean:
        q, g = unit(q), unit(g)
    keep = gallery.people != JUNK
    g, people, cameras = g[keep], gallery.people[keep], gallery.cameras[keep]
    square = (g * g).sum(1)
    precisions, firsts = [], []
    for start in range(0, len(q), 256):
        block = q[start : start + 256]
        nearness = block @ g.T if not euclidean else 2 * block @ g.T - square
        order = np.argsort(-nearness, axis=1, kind="stable")
        for i, ranks in enumerate(order):
            person, camera = query.people[start + i], query.cameras[start + i]
            ranks = ranks[~((people[ranks] == person) & (cameras[ranks] == camera))]
            hits = np.flatnonzero(people[ranks] == person)
            if len(hits) == 0:
                continue
            precisions.append(np.mean(np.arange(1, len(hits) + 1) / (hits + 1)))
            firsts.append(hits[0])
    if not firsts:
        return Retrieval(0.0, 0.0, 0.0, 0.0, 0)
    first = np.array(firsts)
    return Retrieval(
        100 * float(np.mean(precisions)),
        *(100 * float(np.mean(first < rank)) for rank in (1, 5, 10)),
        queries=len(first),
    )


def across_cameras(items: Labelled, seed: int = 0) -> Retrieval:
    """One query a person and camera against all other pictures: for sets that have no query folder of their own."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(items.people))
    pairs = np.stack([items.people[rows], items.cameras[rows]], 1)
    _, first = np.unique(pairs, axis=0, return_index=True)
    query = np.zeros(len(rows), bool)
    query[rows[first]] = True
    return retrieve(items.take(query), items.take(~query))


def pair_scores(items: Labelled, most: int = 20000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of same-person and of different-person pairs, at most `most` of each, for histograms."""
    rng = np.random.default_rng(seed)
    vectors = unit(items.vectors.astype(np.float32))
    a, b = rng.integers(0, len(vectors), (2, 20 * most))
    same = np.concatenate([_pairs_of(np.flatnonzero(items.people == p), rng) for p in np.unique(items.people)])
    if len(same) > most:
        same = same[rng.choice(len(same), most, replace=False)]
    differ = np.flatnonzero(items.people[a] != items.people[b])[:most]
    positive = (vectors[same[:, 0]] * vectors[same[:, 1]]).sum(1)
    negative = (vectors[a[differ]] * vectors[b[differ]]).sum(1)
    return positive, negative


def _pairs_of(rows: np.ndarray, rng: np.random.Generator, most: int = 50) -> np.ndarray:
    """Up to `most` different pairs of rows, int [k, 2]."""
    i, j = np.triu_indices(len(rows), 1)
    if len(i) > most:
        pick = rng.choice(len(i), most, replace=False)
        i, j = i[pick], j[pick]
    return np.stack([rows[i], rows[j]], 1).reshape(-1, 2)
