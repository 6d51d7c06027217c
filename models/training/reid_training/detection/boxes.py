"""Arithmetic of boxes in numpy: corners `x0, y0, x1, y1` in any one unit."""

from __future__ import annotations

import numpy as np

#: Overlap at which the weaker of two boxes is dropped, and how many are kept; `yolodetect`'s defaults.
SUPPRESSION = 0.45
MAX_DETECTIONS = 300
#: Only so many of the strongest boxes enter suppression.
MAX_CANDIDATES = 1000
#: A box is half of another one's person when so much of it lies inside, it is so high at least and at most (shares of the other's
#: height), so wide at least and so far off its middle at most (of its width), and so near its upper or lower edge (height).
HALF_INSIDE, HALF_HEIGHTS, HALF_WIDTH, HALF_OFF, HALF_EDGE = 0.85, (0.25, 0.75), 0.6, 0.2, 0.15


def iou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of `[n, 4]` and `[m, 4]` corner boxes, `[n, m]`."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inside = np.clip(high - low, 0, None).prod(-1)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(-1), (b[:, 2:] - b[:, :2]).prod(-1)
    return inside / np.maximum(area_a[:, None] + area_b[None] - inside, 1e-12)


def share_inside(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Share of each `a` box's area that lies in each `b` box, `[n, m]`."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.clip(high - low, 0, None).prod(-1) / np.maximum((a[:, 2:] - a[:, :2]).prod(-1), 1e-12)[:, None]


def suppress(boxes: np.ndarray, scores: np.ndarray, overlap: float = SUPPRESSION, limit: int = MAX_DETECTIONS) -> np.ndarray:
    """Greedy suppression; indices of the boxes kept, strongest first."""
    order = np.argsort(-scores, kind="stable")[:MAX_CANDIDATES]
    kept: list[int] = []
    while len(order) and len(kept) < limit:
        kept.append(int(order[0]))
        order = order[1:][iou_matrix(boxes[order[:1]], boxes[order[1:]])[0] <= overlap]
    return np.asarray(kept, int)


def halves(boxes: np.ndarray) -> np.ndarray:
    """Which of the `[n, 4]` boxes hold the upper or the lower half of a person who has a whole one too, bool `[n]`."""
    size = boxes[:, 2:] - boxes[:, :2]
    width, height = np.maximum(size, 1e-12).T
    middle = (boxes[:, 0] + boxes[:, 2]) / 2
    taller = height[:, None] / height
    at_edge = np.minimum(np.abs(boxes[:, None, 1] - boxes[:, 1]), np.abs(boxes[:, None, 3] - boxes[:, 3])) <= HALF_EDGE * height
    as_wide = (width[:, None] >= HALF_WIDTH * width) & (np.abs(middle[:, None] - middle) <= HALF_OFF * width)
    as_high = (taller >= HALF_HEIGHTS[0]) & (taller <= HALF_HEIGHTS[1])
    return ((share_inside(boxes, boxes) >= HALF_INSIDE) & at_edge & as_wide & as_high).any(1)
