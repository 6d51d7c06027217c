"""Which places answer for which person, and how wrong they are.

Assignment is task-aligned (Feng et al. 2021, TOOD): every person takes the places inside its box whose score and box
together are best. Scores learn the overlap of their box (Li et al. 2020, quality focal loss), boxes the generalised overlap
(Rezatofighi et al. 2019). A teacher's dense output can be added: its score at every place is a soft target of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .model import corners

#: Places per person, and the exponents of score and overlap (TOOD, section 3.3; the score's as later detectors set it).
TOP_PLACES, SCORE_POWER, OVERLAP_POWER = 10, 0.5, 6.0
#: A person smaller than a cell still owns the cells whose centre is this many pixels from its centre.
MIN_REACH_PX = 8.0
BOX_WEIGHT = 2.0
#: A place whose box overlaps an ignored box by more is neither right nor wrong.
IGNORE_OVERLAP = 0.3


@dataclass(frozen=True)
class Targets:
    """People of a batch, padded: `boxes` `[b, m, 4]` corners in pixels, `weights` `[b, m]` (0 = ignore), `real` `[b, m]` bool."""

    boxes: Tensor
    weights: Tensor
    real: Tensor


def overlap(a: Tensor, b: Tensor, generalised: bool = False) -> Tensor:
    """Intersection over union of corner boxes `[..., 4]` (broadcast), generalised where asked."""
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    inside = (high - low).clamp(min=0).prod(-1)
    area_a, area_b = (a[..., 2:] - a[..., :2]).prod(-1), (b[..., 2:] - b[..., :2]).prod(-1)
    union = area_a + area_b - inside + 1e-7
    iou = inside / union
    if not generalised:
        return iou
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1) + 1e-7
    return iou - (hull - union) / hull


def _nearness(centres: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """For places `[2, n]` and boxes `[m, 4]`, two of `[m, n]`.

    Whether the place lies in the box, made at least a cell large; and `1 / (1 + distance)` to the box's centre.
    """
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, ((boxes[:, 2:] - boxes[:, :2]) / 2).clamp(min=MIN_REACH_PX)
    away_x, away_y = (centres[0] - middle[:, :1]).abs(), (centres[1] - middle[:, 1:]).abs()
    return (away_x < half[:, :1]) & (away_y < half[:, 1:]), 1 / (1 + away_x + away_y)


@dataclass(frozen=True)
class Assigned:
    """For every place `[b, n]`: the person it answers for, its target score (0 = background), its share in the loss."""

    person: Tensor
    score: Tensor
    share: Tensor


def _assign_one(
    scores: Tensor, found: Tensor, centres: Tensor, people: Tensor, weights: Tensor, ignored: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """One picture: `[n]` scores, `[n, 4]` boxes, `[m, 4]` people with `[m]` weights, `[k, 4]` ignored boxes."""
    share = torch.ones_like(scores)
    if len(ignored):
        share = torch.where((overlap(found[None], ignored[:, None]) > IGNORE_OVERLAP).any(0), 0.0, share)
    if not len(people):
        return scores.new_zeros(scores.shape, dtype=torch.long), torch.zeros_like(scores), share
    inside, near = _nearness(centres, people)
    iou = overlap(found[None], people[:, None]) * inside
    aligned = scores[None] ** SCORE_POWER * iou**OVERLAP_POWER
    # while nothing overlaps yet the nearest places win, so that every person has some
    ranking = torch.where(inside, aligned + 1e-9 * near, -1.0)
    best = ranking.topk(min(TOP_PLACES, len(scores)), dim=1)
    chosen = torch.zeros_like(inside).scatter_(1, best.indices, best.values >= 0)
    # a place wanted by several people answers for the one that it overlaps most
    strength, person = torch.where(chosen, iou + 1e-6, -1.0).max(0)
    mine = chosen & (torch.arange(len(people), device=person.device)[:, None] == person)
    aligned, iou = aligned * mine, iou * mine
    score = (aligned / (aligned.amax(1, keepdim=True) + 1e-12) * iou.amax(1, keepdim=True)).amax(0)
    return person, score, torch.where(strength >= 0, weights[person], share)


@torch.no_grad()
def assign(scores: Tensor, boxes: Tensor, centres: Tensor, targets: Targets) -> Assigned:
    """Task-aligned assignment. `scores` `[b, n]` in 0..1, `boxes` `[b, n, 4]` corners, `centres` `[2, n]`, all in pixels.

    `person` counts the people of :class:`Targets` with a weight, in their order there.
    """
    rows = []
    for b in range(len(scores)):
        real, people = targets.real[b], targets.real[b] & (targets.weights[b] > 0)
        rows.append(
            _assign_one(
                scores[b],
                boxes[b],
                centres,
                targets.boxes[b, people],
                targets.weights[b, people],
                targets.boxes[b, real & ~people],
            )
        )
    return Assigned(*(torch.stack(column) for column in zip(*rows, strict=True)))


def quality_focal(logits: Tensor, target: Tensor, share: Tensor) -> Tensor:
    """Quality focal loss, summed: `|target - score|^2` times the binary cross-entropy."""
    distance = (target - logits.sigmoid()).abs().detach() ** 2
    return (F.binary_cross_entropy_with_logits(logits, target, reduction="none") * distance * share).sum()


def detection_loss(scores: Tensor, boxes: Tensor, centres: Tensor, strides: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """Score and box loss of raw network output (`[b, 1, n]` logits, `[b, 4, n]` log distances)."""
    logits = scores.squeeze(1)
    found = corners(boxes, centres, strides).transpose(1, 2)
    assigned = assign(logits.detach().sigmoid(), found.detach(), centres, targets)
    total = assigned.score.sum().clamp(min=1)
    score_loss = quality_focal(logits, assigned.score, assigned.share) / total
    positive = assigned.score > 0
    if not positive.any():
        return score_loss, found.sum() * 0
    people = [box[real & (weight > 0)] for box, weight, real in zip(targets.boxes, targets.weights, targets.real, strict=True)]
    wanted = torch.cat([box[person[here]] for box, person, here in zip(people, assigned.person, positive, strict=True)])
    weight = (assigned.score * assigned.share)[positive]
    box_loss = ((1 - overlap(found[positive], wanted, generalised=True)) * weight).sum() / total
    return score_loss, box_loss * BOX_WEIGHT


def _near_someone(centres: Tensor, targets: Targets) -> Tensor:
    """Places `[b, n]` bool that lie in a box of a person or of a doubtful one."""
    return torch.stack([_nearness(centres, b[real])[0].any(0) for b, real in zip(targets.boxes, targets.real, strict=True)])


def distillation_loss(
    scores: Tensor,
    boxes: Tensor,
    centres: Tensor,
    strides: Tensor,
    teacher_logits: Tensor,
    teacher_boxes: Tensor,
    targets: Targets,
) -> tuple[Tensor, Tensor]:
    """The same two losses against a teacher on the same grid: `[b, n]` logits and `[b, n, 4]` corners in pixels.

    The teacher is believed only where the labels have a person or a doubt: elsewhere its boxes are known to be false.
    """
    target = teacher_logits.sigmoid() * _near_someone(centres, targets)
    weight = torch.where(target > 0.1, target, 0.0)
    total = weight.sum().clamp(min=1)
    score_loss = quality_focal(scores.squeeze(1), target, torch.ones_like(target)) / total
    found = corners(boxes, centres, strides).transpose(1, 2)
    box_loss = ((1 - overlap(found, teacher_boxes, generalised=True)) * weight).sum() / total
    return score_loss, box_loss * BOX_WEIGHT
