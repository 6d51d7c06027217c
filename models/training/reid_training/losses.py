"""Losses on unit embeddings: the teacher's answer, its neighbourhood, and people by triplets."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def cosine_loss(student: Tensor, target: Tensor) -> Tensor:
    """1 - cosine, mean over the batch. Both [b, d] of unit length."""
    return 1.0 - (student * target).sum(1).mean()


def neighbour_loss(student: Tensor, target: Tensor, bank: Tensor, temperature: float) -> Tensor:
    """The student should rank a bank of other pictures as the teacher does.

    Cross-entropy of softmax(student · bank / T) against softmax(target · bank / T), minus the entropy of the latter
    (Kullback-Leibler divergence); after "CompRess" (Koohpayegani et al., 2020) and "SEED" (Fang et al., 2021).
    `student`, `target` [b, d], `bank` [m, d], all of unit length; the bank holds teacher answers, so the student is
    compared in the teacher's own space."""
    wanted = F.softmax(target @ bank.T / temperature, 1)
    given = F.log_softmax(student @ bank.T / temperature, 1)
    return F.kl_div(given, wanted, reduction="batchmean")


def relation_loss(student: Tensor, target: Tensor, temperature: float) -> Tensor:
    """The pictures of a batch should be as near to each other as the teacher finds them (Park et al., "Relational
    knowledge distillation", 2019; as distributions, so lengths of the two embeddings may differ).

    `student` [b, d], `target` [b, e], both of unit length."""
    apart = ~torch.eye(len(student), dtype=torch.bool, device=student.device)
    wanted = F.softmax(((target @ target.T) / temperature)[apart].view(len(student), -1), 1)
    given = F.log_softmax(((student @ student.T) / temperature)[apart].view(len(student), -1), 1)
    cosines = F.mse_loss((student @ student.T)[apart], (target @ target.T)[apart])
    return F.kl_div(given, wanted, reduction="batchmean") + 10.0 * cosines


def weighted_triplet_loss(vectors: Tensor, people: Tensor, sets: Tensor | None = None) -> Tensor:
    """Soft-margin triplet loss in which every pair counts by its difficulty (Ye et al., AGW, 2021).

    `vectors` [b, d] of unit length, `people` int [b]. Zero when the batch holds no pair of one person. With `sets` int [b]
    strangers count within a data set only: those of another differ by place and camera already, and teach nothing about
    people."""
    distance = (2.0 - 2.0 * vectors @ vectors.T).clamp(min=1e-6).sqrt()
    same = people[:, None] == people[None, :]
    positive = same & ~torch.eye(len(people), dtype=torch.bool, device=people.device)
    other = ~same if sets is None else ~same & (sets[:, None] == sets[None, :])
    rows = positive.any(1) & other.any(1)
    if not rows.any():
        return vectors.sum() * 0.0
    far = _soft_mean(distance, positive, 1.0)[rows]
    near = _soft_mean(distance, other, -1.0)[rows]
    return F.softplus(4.0 * (far - near)).mean()


def all_triplets_loss(vectors: Tensor, people: Tensor, margin: float) -> Tensor:
    """Triplet margin loss over every triplet of the batch that is not yet in order ("batch all", Hermans et al., 2017).

    Picking only the hardest from the start makes a small network answer the same to every picture (measured on the
    swimmers: the loss stays at the margin). `vectors` [b, d] of unit length, `people` int [b]."""
    distance = (2.0 - 2.0 * vectors @ vectors.T).clamp(min=1e-6).sqrt()
    same = people[:, None] == people[None, :]
    positive = same & ~torch.eye(len(people), dtype=torch.bool, device=people.device)
    valid = positive[:, :, None] & ~same[:, None, :]
    excess = (distance[:, :, None] - distance[:, None, :] + margin)[valid]
    active = excess > 0
    return excess[active].mean() if active.any() else vectors.sum() * 0.0


def _soft_mean(distance: Tensor, mask: Tensor, sign: float) -> Tensor:
    """Mean of the masked distances of every row, weighted by softmax(sign * distance). [b, b] → [b]."""
    weight = F.softmax((sign * 4.0 * distance).masked_fill(~mask, -1e9), 1)
    return (weight * distance).sum(1)
