"""Export to ONNX with the metadata that the elements read, checked against PyTorch before it replaces an older file."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from reid_training.data.batches import MEAN, STD
from reid_training.errors import UserError
from reid_training.files import replacing
from reid_training.progress import say

OPSET = 17
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Facts:
    """What the metadata says. `license` and `data` are sentences; `seen` counts the pictures trained on."""

    name: str
    height: int
    width: int
    license: str = "not stated"
    data: str = "not stated"
    task: str = "embed"
    seen: int = 0

    def metadata(self, dimension: int) -> dict[str, str]:
        """The agreed keys: input value = (pixel * scale - mean) / std, pixels 0..255."""
        return {
            "reid.task": self.task,
            "reid.name": self.name,
            "reid.layout": "NCHW",
            "reid.color": "RGB",
            "reid.scale": repr(1 / 255),
            "reid.mean": ",".join(map(str, MEAN)),
            "reid.std": ",".join(map(str, STD)),
            "reid.height": str(self.height),
            "reid.width": str(self.width),
            "reid.dimension": str(dimension),
            "reid.license": self.license,
            "reid.data": self.data,
            "reid.commit": commit(),
            "reid.seen": str(self.seen),
        }


def commit() -> str:
    """The commit of the training code, or `unknown` outside a checkout."""
    try:
        here = Path(__file__).parent
        answer = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=here, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return answer.stdout.strip() if answer.returncode == 0 else "unknown"


class Unit(nn.Module):
    """A network whose output is scaled to unit length."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[b, 3, h, w] → [b, d]."""
        out = self.net(x)
        return out / out.norm(dim=1, keepdim=True).clamp(min=1e-12)


def folding_pairs(net: nn.Module) -> Iterator[tuple[str, nn.Sequential, int]]:
    """Every chain in which a batch normalisation follows a convolution: the chain's name, itself, the convolution's number."""
    for name, module in net.named_modules():
        if isinstance(module, nn.Sequential):
            for number in range(len(module) - 1):
                if isinstance(module[number], nn.Conv2d) and isinstance(module[number + 1], nn.BatchNorm2d):
                    yield name, module, number


def fold_norms(net: nn.Module) -> nn.Module:
    """A copy in evaluation mode with every batch normalisation folded into the convolution before it."""
    net = copy.deepcopy(net).eval().float().cpu()
    for _, chain, i in list(folding_pairs(net)):
        chain[i], chain[i + 1] = fuse_conv_bn_eval(chain[i], chain[i + 1]), nn.Identity()
    return net


def export_checked(net: nn.Module, facts: Facts, path: Path, inputs: int = 1) -> float:
    """Writes the network with unit-length output, dynamic batch; returns the largest difference to PyTorch.

    Raises `UserError`, leaving an older file alone, when the difference exceeds 1e-4."""
    shape = (2, 3, facts.height, facts.width)
    model = Unit(fold_norms(net)).eval()
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        dimension = model(x).shape[1]
    with replacing(path) as draft:
        torch.onnx.export(
            model, (x,), str(draft), input_names=["input"], output_names=["embedding"], opset_version=OPSET,
            dynamic_axes={"input": {0: "batch"}, "embedding": {0: "batch"}}, dynamo=False,
        )
        finish(draft, facts, dimension)
        worst = difference(model, draft, facts)
        refuse_unequal(worst, path)
    tell_exported(path, worst)
    return worst


def export_pair_checked(net: nn.Module, facts: Facts, dimension: int, path: Path) -> float:
    """Writes a network of two pictures, inputs `a` and `b`, output `similarity` [b] in 0..1; returns the largest difference
    to PyTorch. Raises `UserError`, leaving an older file alone, when that exceeds 1e-4."""

    class Similarity(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = fold_norms(net)

        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return torch.sigmoid(self.net(a, b))

    model = Similarity().eval()
    noise = torch.Generator().manual_seed(0)
    shape = (facts.height, facts.width)
    pairs = [[torch.randn((count, 3, *shape), generator=noise) for _ in "ab"] for count in (2, 1, 5)]
    with replacing(path) as draft:
        torch.onnx.export(
            model, tuple(pairs[0]), str(draft), input_names=["a", "b"], output_names=["similarity"], opset_version=OPSET,
            dynamic_axes={name: {0: "batch"} for name in ("a", "b", "similarity")}, dynamo=False,
        )
        finish(draft, facts, dimension)
        session, worst = open_session(draft), 0.0
        for a, b in pairs:
            with torch.no_grad():
                wanted = model(a, b).numpy()
            worst = max(worst, float(np.abs(wanted - session.run(None, {"a": a.numpy(), "b": b.numpy()})[0]).max()))
        refuse_unequal(worst, path)
    tell_exported(path, worst)
    return worst


def finish(draft: Path, facts: Facts, dimension: int) -> None:
    """Adds the metadata to an exported file and checks it."""
    import onnx

    proto = onnx.load(draft)
    for key, value in facts.metadata(dimension).items():
        proto.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(proto)
    draft.write_bytes(proto.SerializeToString())


def refuse_unequal(worst: float, path: Path) -> None:
    """Raises `UserError` when an exported file differs too much from PyTorch; `path` is where it was to be."""
    if not worst <= TOLERANCE:
        raise UserError(f"ONNX Runtime and PyTorch differ by {worst:.2g} (allowed {TOLERANCE:g}); {path} not written")


def tell_exported(path: Path, worst: float) -> None:
    """Says what has been exported, and by how much it differs from PyTorch."""
    say(f"exported {path} ({path.stat().st_size / 1e6:.1f} MB, differs from PyTorch by {worst:.1e})")


def difference(model: nn.Module, path: Path, facts: Facts) -> float:
    """Largest difference between the file under ONNX Runtime and the module, on batches of 1 and 5."""
    session = open_session(path)
    worst = 0.0
    for batch in (1, 5):
        x = torch.randn((batch, 3, facts.height, facts.width), generator=torch.Generator().manual_seed(batch))
        with torch.no_grad():
            wanted = model(x).numpy()
        given = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
        worst = max(worst, float(np.abs(wanted - given).max()))
    return worst


def open_session(path: Path, threads: int = 1):  # noqa: ANN201 - onnxruntime has no public type
    """An ONNX Runtime session on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
