"""From an exported file back to a network that can be trained on.

An exported file holds everything that a network answers by, but not what its training stood on: batch normalisations are
folded into the convolutions before them, and weights may be stored in fewer bits. Here they are taken apart again: a folded
normalisation gets the mean and the variance that its convolution really has on pictures of people, and the scale and shift
that undo them. The network answers as the file does, in evaluation exactly and in training nearly, and learns on from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from reid_training.errors import CheckpointError
from reid_training.export import folding_pairs

#: What `export.Unit` calls the network inside.
PREFIX = "net."


def read_exported(path: Path, task: str = "embed") -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The parameters of an exported file by their names in the network, float32, and its metadata. Raises `CheckpointError`
    when it is missing, damaged, or no export of this package for that task (`embed`, `detect`)."""
    import onnx
    from onnx import numpy_helper

    if not path.exists():
        raise CheckpointError(f"no model at {path} to start from")
    try:
        model = onnx.load(path)
    except Exception as error:  # the protobuf parser has its own, private, error classes
        raise CheckpointError(f"{path} cannot be read as ONNX ({error})") from error
    facts = {entry.key: entry.value for entry in model.metadata_props}
    if facts.get("reid.task") != task:
        raise CheckpointError(f"{path} was not exported here for this recipe: its metadata has no reid.task = {task}")
    wide = _widened({tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer})
    if task != "embed":
        return {name: value.astype(np.float32) for name, value in wide.items()}, facts
    plain = {name: value for name, value in wide.items() if name.startswith(PREFIX)}
    for node in model.graph.node:  # a dense layer without bias: its transposed weight has lost its name
        if node.op_type == "MatMul" and node.output[0].startswith("/net/"):
            layer = node.output[0].removeprefix("/").rsplit("/", 1)[0].replace("/", ".")
            plain[f"{layer}.weight"] = wide[node.input[1]].T
    return {name.removeprefix(PREFIX): value.astype(np.float32) for name, value in plain.items()}, facts


def _widened(stored: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights of `variants.write_packed` and `write_half` in 32 bits, under the names they had before."""
    wide = {}
    for name, value in stored.items():
        if name.endswith(".int8"):
            name = name.removesuffix(".int8")
            value = value.astype(np.float32) * stored[f"{name}.step"]
        elif name.endswith(".half"):
            name = name.removesuffix(".half")
        elif name.endswith(".step"):
            continue
        wide[name] = value
    return wide


def folded_pairs(net: nn.Module) -> Iterator[tuple[str, nn.Conv2d, str, nn.BatchNorm2d]]:
    """Names and modules of every convolution and the normalisation that `export.fold_norms` folds into it."""
    for name, chain, number in folding_pairs(net):
        yield f"{name}.{number}", chain[number], f"{name}.{number + 1}", chain[number + 1]


def begin_with(net: nn.Module, weights: Mapping[str, np.ndarray], pictures: Tensor, where: str) -> None:
    """Gives a network the weights of `read_exported`. `pictures` [b, 3, h, w], normalised, are crops as it will see them.
    Raises `CheckpointError` when the file is of another network; `where` is its name."""
    wanted = net.state_dict()
    fixed = {name for name, _ in net.named_buffers()} - set(wanted)  # constants of the network, such as the scaling of its input
    state = {name: torch.from_numpy(np.array(value)) for name, value in weights.items() if name not in fixed}
    for conv_name, conv, norm_name, norm in folded_pairs(net):
        shift = state.get(f"{conv_name}.bias")
        if shift is None or f"{norm_name}.weight" in state:
            continue
        if conv.bias is None:
            del state[f"{conv_name}.bias"]
        else:
            shift = torch.zeros_like(shift)
        state |= _neutral(norm_name, norm, shift)
    state |= {name: value for name, value in wanted.items() if name.endswith("num_batches_tracked")}
    shapes = {name: value.shape for name, value in state.items()}
    if shapes != {name: value.shape for name, value in wanted.items()}:
        odd = sorted(n for n in set(shapes) | set(wanted) if n not in wanted or shapes.get(n) != wanted[n].shape)
        raise CheckpointError(f"{where} is of another network than this recipe's: {odd[0]} differs")
    net.load_state_dict(state)
    _unfold(net, pictures)


def _neutral(name: str, norm: nn.BatchNorm2d, shift: Tensor) -> dict[str, Tensor]:
    """A normalisation that only adds `shift`."""
    ones, zeros = torch.ones_like(shift), torch.zeros_like(shift)
    return {
        f"{name}.weight": ones, f"{name}.bias": shift, f"{name}.running_mean": zeros, f"{name}.running_var": ones - norm.eps,
    }


def _unfold(net: nn.Module, pictures: Tensor) -> None:
    """Replaces neutral normalisations by real ones of the same effect, by what passes through them on the pictures."""
    seen: dict[nn.BatchNorm2d, tuple[Tensor, Tensor]] = {}

    def look(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].float()
        seen[norm] = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)

    hooks = [norm.register_forward_pre_hook(look) for *_, norm in folded_pairs(net)]
    was_training = net.training
    with torch.no_grad():
        net.eval()(pictures)
        for hook in hooks:
            hook.remove()
        for norm, (mean, variance) in seen.items():
            deviation = (variance + norm.eps).sqrt()
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            norm.bias.add_(scale * (mean - norm.running_mean))
            norm.weight.copy_(scale * deviation)
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
    net.train(was_training)
