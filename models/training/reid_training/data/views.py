"""Fixed augmented views: what crops look like in the wild, drawn once by seed and shown to teacher and student alike.

A student that is asked for the teacher's answer to *another* picture than the one it sees learns noise; Beyer et al.,
"Knowledge distillation: a good teacher is patient and consistent" (2022). So a view is a function of (seed, row, view
number) alone, the teacher's answer to it is cached, and training shows that very view. View 0 is the plain crop; those
from `FIRST_MIXED` on show people who do not exist, the upper half of one and the lower half of another (as in CutMix, Yun et
al. 2019), some in other colours, some as seen from above: a teacher can be asked about more people than there are.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


FIRST_MIXED = 3


def is_mixed(view: int) -> bool:
    """Whether a view may show somebody else than its crop does: nothing to learn identities from."""
    return view >= FIRST_MIXED


def view_of(images: Sequence[np.ndarray], row: int, view: int, seed: int = 0) -> np.ndarray:
    """View number `view` of the packed crop `row` of `images`, uint8 [h, w, 3] each: of the same shape."""
    if view == 0:
        return images[row]
    rng = np.random.default_rng((seed, view, row))
    if not is_mixed(view):
        return augment(images[row], rng)
    other = images[int(rng.integers(len(images)))]
    made = mix(images[row], other, rng) if rng.random() < 0.7 else images[row]
    if rng.random() < 0.4:
        made = look_down(made, rng)
    return augment(made, rng)


def mix(image: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The upper part of one crop above the lower part of another, either in other colours now and then."""
    upper, lower = (image, other) if rng.random() < 0.5 else (other, image)
    upper = dye(upper, rng) if rng.random() < 0.3 else upper
    lower = dye(lower, rng) if rng.random() < 0.4 else lower
    height = image.shape[0]
    rows = np.arange(height, dtype=np.float32)
    seam, softness = rng.uniform(0.38, 0.62) * height, rng.uniform(1.0, 4.0)
    part = (1.0 / (1.0 + np.exp((rows - seam) / softness)))[:, None, None]
    return (upper * part + lower * (1.0 - part) + 0.5).astype(np.uint8)


def dye(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All hues turned by one angle, saturation and lightness changed: the same clothes in another colour."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(0, 180)) % 180
    hsv[..., 1:] = np.clip(hsv[..., 1:] * rng.uniform(0.6, 1.6, 2), 0, 255)
    return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)


def look_down(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As a camera above people sees them: narrower and shorter towards the feet."""
    height, width = image.shape[:2]
    narrow, lean = rng.uniform(0.0, 0.3) * width / 2, rng.uniform(-0.12, 0.12) * width
    top = rng.uniform(-0.15, 0.05) * width / 2
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    seen = np.array(
        [[top + lean, 0], [width - top + lean, 0], [width - narrow - lean, height], [narrow - lean, height]], np.float32
    )
    matrix = cv2.getPerspectiveTransform(corners, seen)
    return cv2.warpPerspective(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def cut_off(image: np.ndarray, rng: np.random.Generator, share: float = 0.3) -> np.ndarray:
    """Now and then part of a person only, stretched to the whole crop as a detector's box of it would be: what an edge of
    the picture leaves at either side, the upper body above a shelf or counter, or the person without the head. uint8 RGB of
    any size, kept."""
    if rng.random() >= share:
        return image
    height, width = image.shape[:2]
    top, bottom, left, right = 0, height, 0, width
    kind = rng.random()
    if kind < 0.4:
        bottom = round(rng.uniform(0.4, 0.8) * height)
    elif kind < 0.5:
        top = round(rng.uniform(0.12, 0.45) * height)
    elif kind < 0.75:
        left = round(rng.uniform(0.15, 0.5) * width)
    else:
        right = round(rng.uniform(0.5, 0.85) * width)
    return cv2.resize(image[top:bottom, left:right], (width, height), interpolation=cv2.INTER_LINEAR)


def augment(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Strong geometry, colour and quality augmentation of one crop (uint8 RGB of any size, kept)."""
    out = move(image, rng)
    if rng.random() < 0.85:
        out = recolour(out, rng)
    if rng.random() < 0.5:
        out = coarsen(out, rng)
    if rng.random() < 0.25:
        out = blur(out, rng)
    if rng.random() < 0.25:
        out = add_noise(out, rng)
    if rng.random() < 0.4:
        out = compress(out, rng)
    return np.ascontiguousarray(out)


def move(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror, a box that is a little too large, small or beside the person, a slight rotation; now and then only
    the upper part of the body, as detectors give of people behind counters."""
    height, width = image.shape[:2]
    centre = np.array([width / 2, height / 2], np.float32)
    keep_h, keep_w = rng.uniform(0.82, 1.12), rng.uniform(0.78, 1.15)
    shift = np.array([rng.uniform(-0.07, 0.07) * width, rng.uniform(-0.05, 0.05) * height], np.float32)
    if rng.random() < 0.1:
        keep_h = rng.uniform(0.5, 0.85)
        shift[1] = -(1 - keep_h) * height / 2
    angle = np.deg2rad(rng.normal(0, 3))
    flip = -1.0 if rng.random() < 0.5 else 1.0
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    inverse = rotation @ np.diag([flip * keep_w, keep_h])
    offset = centre + shift - inverse @ centre
    matrix = np.concatenate([inverse, offset[:, None]], 1).astype(np.float32)
    border = cv2.BORDER_REPLICATE if rng.random() < 0.7 else cv2.BORDER_REFLECT_101
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=border)


def recolour(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, contrast, saturation, white balance, gamma; sometimes grey, as infra-red cameras see."""
    x = image.astype(np.float32) / 255.0
    x *= rng.uniform(0.6, 1.4)
    x *= rng.uniform(0.88, 1.12, 3).astype(np.float32)
    mean = x.mean()
    x = (x - mean) * rng.uniform(0.6, 1.4) + mean
    grey = (x @ LUMA)[..., None]
    saturation = 0.0 if rng.random() < 0.05 else rng.uniform(0.5, 1.5)
    x = grey + (x - grey) * saturation
    x = np.clip(x, 0.0, 1.0) ** rng.uniform(0.65, 1.5)
    return (x * 255.0 + 0.5).astype(np.uint8)


def coarsen(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The crop of a person far away: shrunk to 14 to 48 pixels of width and enlarged again."""
    height, width = image.shape[:2]
    small = int(rng.uniform(0.22, 0.75) * width)
    tiny = cv2.resize(image, (small, 2 * small * height // (2 * width)), interpolation=cv2.INTER_AREA)
    how = cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC
    return cv2.resize(tiny, (width, height), interpolation=how)


def blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Out of focus, or moving sideways."""
    if rng.random() < 0.5:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.6))
    length = int(rng.integers(3, 8))
    return cv2.blur(image, (length, 1))


def add_noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sensor noise of 2 to 14 grey levels."""
    noise = rng.standard_normal(image.shape, dtype=np.float32) * rng.uniform(2, 14)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def compress(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """JPEG of quality 18 to 80."""
    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(18, 80))])
    return cv2.imdecode(data, cv2.IMREAD_COLOR) if ok else image
