"""Muon: momentum whose matrices are made orthogonal (Jordan et al., 2024), for convolutions too.

`torch.optim.Muon` takes matrices only; here a kernel [o, i, h, w] is the matrix [o, i*h*w]."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """The nearest matrix with all singular values near 1, by Newton-Schulz iterations with Jordan's coefficients."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal, scaled so that one `lr` fits all shapes; decoupled weight decay."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(state["momentum"], group["momentum"]).reshape(len(p), -1)
                scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(orthogonal(update).reshape(p.shape), alpha=-group["lr"] * scale)


class Pair:
    """Several optimisers stepped as one."""

    def __init__(self, optimizers: list[torch.optim.Optimizer]) -> None:
        self.optimizers = optimizers
        self.base = [[group["lr"] for group in o.param_groups] for o in optimizers]

    def set_share(self, share: float) -> None:
        """Sets every learning rate to `share` of its configured value."""
        for optimizer, rates in zip(self.optimizers, self.base, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * share

    def step(self) -> None:
        for optimizer in self.optimizers:
            optimizer.step()

    def zero_grad(self) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict]:
        return [optimizer.state_dict() for optimizer in self.optimizers]

    def load_state_dict(self, states: list[dict]) -> None:
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict(state)


def make_optimizer(name: str, modules: Iterable[nn.Module], lr: float, weight_decay: float) -> Pair:
    """`adamw`, or `muon`: Muon on convolutions and matrices, AdamW at a tenth of its rate on everything else.

    No weight decay on vectors and scalars (norms, biases, the pooling power)."""
    params = [p for module in modules for p in module.parameters() if p.requires_grad]
    big = [p for p in params if p.ndim >= 2]
    small = [p for p in params if p.ndim < 2]
    if name == "muon":
        return Pair([Muon(big, lr, weight_decay=weight_decay), torch.optim.AdamW(small, lr / 10, weight_decay=0.0)])
    groups = [{"params": big, "weight_decay": weight_decay}, {"params": small, "weight_decay": 0.0}]
    return Pair([torch.optim.AdamW(groups, lr)])
