"""A teacher that looks at the very view the student sees: RTMDet-nano's raw heads and neck, dense targets for every place.

The teacher sees the view before its light is changed, so the student also learns to see in the dark what the teacher sees
by day. Features are compared by correlation (Cao et al. 2022, PKD): both are standardised per channel first, through a 1x1
convolution of the student's that is thrown away after training.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid_training.errors import ConfigError

from .model import STRIDES
from .teachers import RTMDET_MEAN, RTMDET_STD, ort_session

#: Channels of every map of RTMDet-nano's neck.
TEACHER_CHANNELS = 64


def raw_outputs(path: Path) -> dict[str, list[str]]:
    """Names of tensors inside an MMDeploy export of RTMDet: `scores`, `boxes` (distances / stride), `features`; fine to coarse.

    The score and box convolutions are the only ones with 1 and 4 outputs; both branches of a scale begin at its feature map.
    """
    import onnx

    graph = onnx.load(path).graph
    outputs = {i.name: i.dims[0] for i in graph.initializer if len(i.dims) == 4}
    convs = [n for n in graph.node if n.op_type == "Conv"]
    scores = [
        n.output[0]
        for n in convs
        if outputs.get(n.input[1]) == 1 and n.input[1] in outputs and _inputs(graph, n) == TEACHER_CHANNELS
    ]
    boxes = [n.output[0] for n in convs if outputs.get(n.input[1]) == 4]
    made_by = {out: n for n in graph.node for out in n.output}
    features = []
    for name in scores:
        node = made_by[name]
        for _ in range(4):
            node = _conv_before(made_by, node)
        features.append(node.input[0])
    if not len(scores) == len(boxes) == len(set(features)) == len(STRIDES):
        raise ConfigError(f"{path}: not the export of RTMDet-nano with one class that distillation wants")
    return {"scores": scores, "boxes": boxes, "features": features}


def _inputs(graph, conv) -> int:  # noqa: ANN001 - onnx's generated classes
    return next(i.dims[1] for i in graph.initializer if i.name == conv.input[1])


def _conv_before(made_by, node):  # noqa: ANN001, ANN202
    """The convolution whose result, through its activation, is the input of `node`."""
    node = made_by[node.input[0]]
    while node.op_type != "Conv":
        node = made_by[node.input[0]]
    return node


@dataclass(frozen=True)
class Lesson:
    """What the teacher says: `logits` `[b, n]`, `boxes` `[b, n, 4]` corners, `features` three `[b, 64, h, w]` float16."""

    logits: Tensor
    boxes: Tensor
    features: tuple[Tensor, ...]


class Teacher:
    """RTMDet-nano without its suppression; made where it runs (a loader's process), as sessions cannot be sent."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        import onnx.utils

        names = raw_outputs(path)
        self.names = [*names["scores"], *names["boxes"], *names["features"]]
        with tempfile.TemporaryDirectory() as folder:
            cut = Path(folder) / "teacher.onnx"
            onnx.utils.extract_model(str(path), str(cut), ["input"], self.names, check_model=False)
            self.session = ort_session(cut, threads)

    def __call__(self, pictures: Sequence[np.ndarray]) -> Lesson:
        """Pictures `[s, s, 3]` uint8 BGR of one size."""
        batch = (np.stack(pictures).astype(np.float32) - RTMDET_MEAN) / RTMDET_STD
        results = self.session.run(self.names, {"input": np.ascontiguousarray(batch.transpose(0, 3, 1, 2))})
        scores, boxes, features = results[:3], results[3:6], results[6:]
        logits, corners = [], []
        for stride, score, box in zip(STRIDES, scores, boxes, strict=True):
            height, width = score.shape[2:]
            y, x = np.mgrid[:height, :width].astype(np.float32) * stride
            left, top, right, bottom = (box * stride).transpose(1, 0, 2, 3)
            # RTMDet's places are the cells' upper left corners (offset 0)
            corners.append(np.stack((x - left, y - top, x + right, y + bottom), -1).reshape(len(box), -1, 4))
            logits.append(score.reshape(len(score), -1))
        tensors = tuple(torch.from_numpy(f.astype(np.float16)) for f in features)
        return Lesson(torch.from_numpy(np.concatenate(logits, 1)), torch.from_numpy(np.concatenate(corners, 1)), tensors)


class Adapters(nn.Module):
    """From the student's neck to the teacher's: a 1x1 convolution for every scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(channels, TEACHER_CHANNELS, 1) for _ in STRIDES)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Student's neck maps to maps of the teacher's width."""
        return [conv(f) for f, conv in zip(features, self.convs, strict=True)]


def _standard(x: Tensor) -> Tensor:
    mean, spread = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True)
    return (x - mean) / (spread + 1e-6)


def feature_loss(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """One minus the correlation of the maps, mean over channels and scales: 0 = the same, 1 = nothing in common."""
    losses = [F.mse_loss(_standard(s.float()), _standard(t.float())) / 2 for s, t in zip(student, teacher, strict=True)]
    return torch.stack(losses).mean()
