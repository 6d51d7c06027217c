"""From a checkpoint to an ONNX file that detects: boxes decoded and scores squashed inside, and a note of what is in it.

Input `images` `[b, 3, h, w]` float32, RGB in 0..1, letterboxed, sides multiples of 32; output `output0` `[b, 5, n]`:
centre x, centre y, width, height in input pixels and the score, the layout of one-class YOLOv8 models. The metadata has the
keys that tools look for in those (`names`, `stride`, `imgsz`, `task`, `batch`) and our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid_training import checkpoint
from reid_training.errors import UserError
from reid_training.export import commit, fold_norms
from reid_training.files import replacing

from .model import RECIPE, STRIDES, Detector, Head, Size, corners
from .teachers import ort_session

OPSET = 17
#: Largest difference allowed between ONNX Runtime and PyTorch: scores absolute, boxes as a share of the input's side.
TOLERANCE = 1e-4
TRAINING_DATA = (
    "human, follow, edge, clinic, hall, waiting, corridor, cafe, hardhat, ward, aisle (CC BY 4.0 or public domain); "
    "cctv (MIT); COCO (annotations CC BY 4.0, pictures under their Flickr terms); "
    "Penn-Fudan, TUD, INRIA, mall, site, rider, shop and others (research, or terms not stated); "
    "labels by RTMDet-nano and DEIMv2-femto, distillation from RTMDet-nano (both Apache-2.0)"
)


class JointHead(nn.Module):
    """The head with its score and box branches side by side in one convolution, as both read the same features.

    Its batch norms stay: folded they would need a convolution for every scale, and inference engines fold them on loading.
    """

    def __init__(self, head: Head) -> None:
        super().__init__()
        h = head.score_conv.out_channels
        self.conv = nn.Conv2d(head.score_conv.in_channels, 2 * h, 3, padding=1, bias=False)
        self.conv.weight.data = torch.cat((head.score_conv.weight, head.box_conv.weight)).detach()
        self.norms, self.outs = nn.ModuleList(), nn.ModuleList()
        for i in range(len(STRIDES)):
            norm = nn.BatchNorm2d(2 * h, eps=head.score_norms[i].eps)
            state = {
                k: torch.cat((v, head.box_norms[i].state_dict()[k]))
                for k, v in head.score_norms[i].state_dict().items()
                if v.ndim
            }
            norm.load_state_dict(state, strict=False)
            self.norms.append(norm)
            out = nn.Conv2d(2 * h, 5, 1)
            out.weight.data.zero_()
            out.weight.data[:4, h:], out.weight.data[4:, :h] = head.boxes[i].weight.data, head.scores[i].weight.data
            out.bias.data = torch.cat((head.boxes[i].bias, head.scores[i].bias)).detach()
            self.outs.append(out)

    def forward(self, features: tuple[Tensor, ...]) -> list[Tensor]:
        """Three `[b, 5, h, w]`: log distances and score logit."""
        return [out(F.relu(norm(self.conv(f)))) for f, norm, out in zip(features, self.norms, self.outs, strict=True)]


class Exported(nn.Module):
    """What the file does: `[b, 3, h, w]` to `[b, 5, n]`."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        body = fold_norms(detector)
        self.head = JointHead(body.head)
        self.backbone, self.neck = body.backbone, body.neck

    def forward(self, images: Tensor) -> Tensor:
        """Pictures to decoded rows."""
        rows = []
        for stride, out in zip(STRIDES, self.head(self.neck(self.backbone(images))), strict=True):
            height, width = out.shape[2], out.shape[3]
            x = ((torch.arange(width, device=out.device) + 0.5) * stride).reshape(1, 1, 1, width).expand(1, 1, height, width)
            y = ((torch.arange(height, device=out.device) + 0.5) * stride).reshape(1, 1, height, 1).expand(1, 1, height, width)
            box = corners(out[:, :4].flatten(2), torch.cat((x, y), 1).flatten(2), torch.tensor(float(stride)))
            low, high = box[:, :2], box[:, 2:]
            rows.append(torch.cat(((low + high) / 2, high - low, out[:, 4:].flatten(2).sigmoid()), 1))
        return torch.cat(rows, 2)


def metadata(state: Mapping[str, Any], side: int) -> dict[str, str]:
    """The file's notes; values are Python or JSON literals as readers of YOLO files expect them."""
    terms = state.get("terms", "")
    began = {"reid.pretrained": terms} if terms else {}
    return began | {
        "description": "gst-plugin-reid person-detector",
        "task": "detect",
        "names": "{0: 'person'}",
        "stride": "32",
        "imgsz": f"[{side}, {side}]",
        "batch": "1",
        "channels": "3",
        "reid.task": "detect",
        "reid.name": RECIPE,
        "reid.layout": "NCHW",
        "reid.color": "RGB",
        "reid.scale": repr(1 / 255),
        "reid.mean": "0,0,0",
        "reid.std": "1,1,1",
        "reid.resize": "letterbox-centred",
        "reid.output": "cx cy w h score, input pixels",
        "reid.dynamic": "batch, height and width (multiples of 32)",
        "reid.license": "research use: some of the pictures trained on were published for research only",
        "reid.data": TRAINING_DATA,
        "reid.commit": commit(),
        "reid.seen": str(state.get("before", 0) + state["number"]),
    }


def verify(model: nn.Module, path: Path, side: int) -> float:
    """Largest difference of ONNX Runtime and PyTorch over square, wide and batched input; raises above the tolerance."""
    session = ort_session(path, 1)
    rng, worst = np.random.default_rng(1), 0.0
    for shape in ((1, 3, side, side), (1, 3, 256, 448), (2, 3, 320, 192)):
        images = rng.random(shape, np.float32)
        with torch.no_grad():
            wanted = model(torch.from_numpy(images)).numpy()
        got = session.run(None, {"images": images})[0]
        if got.shape != wanted.shape:
            raise UserError(f"{path}: gives {got.shape}, PyTorch {wanted.shape}")
        difference = np.abs(got - wanted)
        difference[:, :4] /= max(shape[2:])
        worst = max(worst, float(difference.max()))
    if not worst <= TOLERANCE:
        raise UserError(f"{path}: differs from PyTorch by {worst:.2e}, allowed {TOLERANCE:.0e}")
    return worst


def export(source: Path, path: Path, side: int = 416) -> float:
    """Writes the averaged weights of a checkpoint as ONNX, checked before it takes the place of an older file."""
    state = checkpoint.load(source, RECIPE)
    size = {k: tuple(v) if isinstance(v, list) else v for k, v in state["size"].items()}
    detector = Detector(Size(**size))
    detector.load_state_dict(state["average"])
    model = Exported(detector).eval()
    axes = {"images": {0: "batch", 2: "height", 3: "width"}, "output0": {0: "batch", 2: "places"}}
    with replacing(path) as part:
        torch.onnx.export(
            model,
            torch.rand(1, 3, side, side),
            part,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["output0"],
            dynamic_axes=axes,
            dynamo=False,
            # keeps the norms of the shared convolution, which would be folded into a copy for every scale
            training=torch.onnx.TrainingMode.PRESERVE,
        )
        graph = onnx.load(part)
        onnx.helper.set_model_props(graph, metadata(state, side))
        onnx.save(graph, part)
        return verify(model, part, side)
