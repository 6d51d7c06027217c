"""From packed pictures to a training view: mosaic, scale and aspect jitter, and what cameras do to light and detail.

Every view is a function of (seed, number of the view) alone: a run that is continued sees what it would have seen.
Each picture is warped straight to its place in the view, so that a mosaic costs little more than one picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .boxes import share_inside
from .labels import Truth
from .pack import Pack

#: Grey of the padding, the customary one (also that of the letterbox at inference).
PADDING = 114
#: A box that is cut by the edge of the view stays a person while this share of it is seen, is ignored below.
VISIBLE_SHARE = 0.35
#: A person lower or narrower than this in the view, in pixels, is ignored.
MIN_SIDE_PX = 5.0
#: Most people that are copied into a view, and the least height in pixels that one must have where it is copied from.
MOST_PASTED, MIN_PASTED_PX = 3, 40
#: A copied person hides no more than this share of anybody else.
MOST_HIDDEN = 0.3


@dataclass(frozen=True)
class Augmentation:
    """Probabilities and ranges; see the recipe's configuration for what each is set to."""

    mosaic: float = 0.6
    scale: tuple[float, float] = (0.5, 1.6)
    aspect: float = 0.3
    flip: float = 0.5
    paste: float = 0.0
    hsv: tuple[float, float, float] = (0.02, 0.5, 0.35)
    grey: float = 0.12
    dark: float = 0.1
    noise: float = 0.08
    blur: float = 0.08
    coarse: float = 0.08
    jpeg: float = 0.12


@dataclass(frozen=True)
class View:
    """A training view and its people.

    `picture` `[s, s, 3]` uint8 RGB, `plain` the same in BGR before its light was changed, `boxes` `[n, 4]` float32 corners in
    pixels, `weights` `[n]`, 0 = ignore.
    """

    picture: np.ndarray
    plain: np.ndarray
    boxes: np.ndarray
    weights: np.ndarray


@dataclass
class Canvas:
    """A view in the making: `picture` `[s, s, 3]` uint8 BGR, `boxes` `[n, 4]` float32 corners in pixels, `weights` `[n]`."""

    picture: np.ndarray
    boxes: np.ndarray
    weights: np.ndarray

    @classmethod
    def blank(cls, side: int) -> Canvas:
        """Nothing but padding."""
        return cls(np.full((side, side, 3), PADDING, np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

    @property
    def side(self) -> int:
        """In pixels."""
        return self.picture.shape[0]

    def add(self, boxes: np.ndarray, weights: np.ndarray) -> None:
        """Notes more people."""
        self.boxes, self.weights = np.concatenate((self.boxes, boxes)), np.concatenate((self.weights, weights))


@dataclass(frozen=True)
class Original:
    """A packed picture and its people."""

    pack: Pack
    name: str
    truth: Truth


@dataclass(frozen=True)
class Place:
    """Where a picture goes in a view: the area `x0, y0, x1, y1` in pixels, and how much larger than to fit the view."""

    area: tuple[int, int, int, int]
    zoom: float


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _put(canvas: Canvas, original: Original, place: Place, how: Augmentation, rng: np.random.Generator) -> None:
    """Warps a picture into its place on the canvas."""
    x0, y0, x1, y1 = place.area
    pack, name, truth = original.pack, original.name, original.truth
    height, width = (int(v) for v in pack.sizes[pack.row[name]])
    fit = canvas.side / max(height, width) * place.zoom
    stretch = _log_uniform(rng, 1 - how.aspect, 1 / (1 - how.aspect)) ** 0.5
    scale_x, scale_y = fit * stretch, fit / stretch
    shrink = next((s for s in (4, 2) if max(scale_x, scale_y) * s <= 1.0), 1)
    picture = pack.decode(name, shrink)
    shift = []
    for low, high, length in ((x0, x1, width * scale_x), (y0, y1, height * scale_y)):
        # a picture larger than its area shows a random part, a smaller one lies somewhere inside
        slack = (high - low) - length
        shift.append(low + slack * rng.uniform())
    flip = rng.uniform() < how.flip
    real_x, real_y = width * scale_x / picture.shape[1], height * scale_y / picture.shape[0]
    matrix = np.array(
        [[-real_x if flip else real_x, 0, shift[0] - x0 + (width * scale_x if flip else 0)], [0, real_y, shift[1] - y0]],
        np.float64,
    )
    # warpAffine maps pixel centres as integers
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    canvas.picture[y0:y1, x0:x1] = cv2.warpAffine(
        picture, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(PADDING,) * 3
    )
    boxes = truth.boxes.astype(np.float32).copy()
    if flip:
        boxes[:, [0, 2]] = 1 - boxes[:, [2, 0]]
    boxes = boxes * np.array([width * scale_x, height * scale_y] * 2, np.float32) + np.array(shift * 2, np.float32)
    canvas.add(*clip_boxes(boxes, truth.weights, place.area))


def clip_boxes(boxes: np.ndarray, weights: np.ndarray, area: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Cuts boxes at the area; little that remains of a person is ignored, nothing is dropped."""
    x0, y0, x1, y1 = area
    cut = np.stack((boxes[:, 0].clip(x0, x1), boxes[:, 1].clip(y0, y1), boxes[:, 2].clip(x0, x1), boxes[:, 3].clip(y0, y1)), 1)
    size, before = cut[:, 2:] - cut[:, :2], boxes[:, 2:] - boxes[:, :2]
    seen = size.prod(1) / np.maximum(before.prod(1), 1e-6)
    weights = np.where((seen < VISIBLE_SHARE) | (size.min(1, initial=np.inf) < MIN_SIDE_PX), 0, weights).astype(np.float32)
    there = (size > 1).all(1)
    return cut[there].astype(np.float32), weights[there]


def paste(canvas: Canvas, original: Original, rng: np.random.Generator) -> None:
    """Copies up to `MOST_PASTED` people of another picture into the canvas (simple copy-paste, Ghiasi et al. 2021; there are
    no outlines here, so the copy fades towards the corners of its box)."""
    picture, truth, side = original.pack.decode(original.name, 1), original.truth, canvas.side
    scale = np.array([picture.shape[1], picture.shape[0]] * 2, np.float32)
    found = (truth.boxes * scale)[truth.weights >= 1]
    found = found[found[:, 3] - found[:, 1] >= MIN_PASTED_PX]
    for number in rng.permutation(len(found))[:MOST_PASTED]:
        left, top, right, bottom = found[number].round().astype(int)
        person = picture[max(top, 0) : bottom, max(left, 0) : right]
        height = int(side * _log_uniform(rng, 0.1, 0.6))
        width = int(height * person.shape[1] / max(person.shape[0], 1))
        if min(height, width) < MIN_SIDE_PX or width >= side:
            continue
        x, y = int(rng.integers(side - width)), int(rng.integers(side - height))
        box = np.array([[x, y, x + width, y + height]], np.float32)
        if share_inside(canvas.boxes, box).max(initial=0) > MOST_HIDDEN:
            continue
        person = cv2.resize(person, (width, height), interpolation=cv2.INTER_AREA)
        person = person[:, ::-1] if rng.uniform() < 0.5 else person
        across, down = np.linspace(-1, 1, width)[None], np.linspace(-1, 1, height)[:, None]
        part = ((1.0 - across**8) * (1.0 - down**8)).clip(0, 1)[..., None] ** 0.5
        area = canvas.picture[y : y + height, x : x + width]
        area[:] = (part * person + (1 - part) * area + 0.5).astype(np.uint8)
        canvas.add(box, np.ones(1, np.float32))


def light(picture: np.ndarray, how: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Colour, light, noise and loss of detail, `[h, w, 3]` uint8 BGR to the same."""
    hue, saturation, value = (1 + rng.uniform(-1, 1, 3) * np.array(how.hsv)).astype(np.float64)
    kind = rng.uniform()
    if kind < how.grey:
        # infra-red cameras: no colour, skewed contrast
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        table = (255 * np.linspace(0, 1, 256) ** _log_uniform(rng, 0.6, 1.7)).astype(np.uint8)
        picture = cv2.cvtColor(cv2.LUT(grey, table), cv2.COLOR_GRAY2BGR)
    else:
        steps = np.arange(256)
        hsv = cv2.cvtColor(picture, cv2.COLOR_BGR2HSV)
        tables = np.stack(((steps + (hue - 1) * 180) % 180, (steps * saturation).clip(0, 255), (steps * value).clip(0, 255)), 1)
        picture = cv2.cvtColor(cv2.LUT(hsv, tables.astype(np.uint8)[None]), cv2.COLOR_HSV2BGR)
    if rng.uniform() < how.dark:
        gamma, gain = _log_uniform(rng, 1.2, 3.0), rng.uniform(0.4, 1.0)
        picture = cv2.LUT(picture, (255 * gain * np.linspace(0, 1, 256) ** gamma).astype(np.uint8))
    if rng.uniform() < how.coarse:
        small = rng.uniform(0.35, 0.8)
        reduced = cv2.resize(picture, None, fx=small, fy=small, interpolation=cv2.INTER_AREA)
        picture = cv2.resize(reduced, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    elif rng.uniform() < how.blur:
        length = int(rng.integers(2, 6))
        kernel = np.zeros((length, length), np.float32)
        if rng.uniform() < 0.5:
            kernel[:] = 1
        else:
            cv2.line(kernel, (0, int(rng.integers(length))), (length - 1, int(rng.integers(length))), 1.0)
        picture = cv2.filter2D(picture, -1, kernel / kernel.sum())
    if rng.uniform() < how.noise:
        grain = rng.normal(0, rng.uniform(3, 14), picture.shape[:2]).astype(np.int16)[..., None]
        picture = (picture.astype(np.int16) + grain).clip(0, 255).astype(np.uint8)
    if rng.uniform() < how.jpeg:
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 70))])
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return picture


def view(
    pack: Pack, truths: Mapping[str, Truth], draw: Sequence[str], side: int, how: Augmentation, rng: np.random.Generator
) -> View:
    """One training view of `side` pixels from up to four pictures (`draw` holds four names)."""
    canvas = Canvas.blank(side)
    if rng.uniform() < how.mosaic:
        cx, cy = (int(side * rng.uniform(0.3, 0.7)) for _ in range(2))
        areas = [(0, 0, cx, cy), (cx, 0, side, cy), (0, cy, cx, side), (cx, cy, side, side)]
        # the pictures of a mosaic are about half as large, and one zoom for all keeps people comparable
        places = [Place(area, 0.75 * _log_uniform(rng, *how.scale)) for area in areas]
    else:
        places = [Place((0, 0, side, side), _log_uniform(rng, max(0.6, how.scale[0]), how.scale[1]))]
    originals = [Original(pack, name, truths[name]) for name in draw]
    for original, place in zip(originals, places, strict=False):
        _put(canvas, original, place, how, rng)
    if how.paste and rng.uniform() < how.paste:
        paste(canvas, originals[-1], rng)
    picture = cv2.cvtColor(light(canvas.picture, how, rng), cv2.COLOR_BGR2RGB)
    return View(picture, canvas.picture, canvas.boxes, canvas.weights)
