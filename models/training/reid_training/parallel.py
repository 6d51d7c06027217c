"""Several processes on one training: each works on its share of every batch and the gradients are averaged.

Started like any PyTorch job, by `python -m torch.distributed.run --nproc-per-node 2 -m reid_training train …` or with
RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT set. On a processor two processes of one thread beat one of two threads."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import nn

#: How long processes wait for each other: the first may have to unpack, teach and pack for hours.
PATIENCE = datetime.timedelta(days=2)


def start(device: str) -> None:
    """Joins the other processes, if the environment names any."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        if device == "cuda":  # a GPU each
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)


def place() -> torch.device:
    """Where tensors must lie that processes exchange: NCCL takes those of a GPU alone, Gloo those of the processor."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


def world() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is; process 0 measures, exports and saves."""
    return dist.get_rank() if dist.is_initialized() else 0


@contextmanager
def first_goes_first() -> Iterator[None]:
    """The first process does what is in the block before the others do: what it leaves in the cache they find there."""
    if rank() > 0:
        dist.barrier()
    yield
    if rank() == 0 and world() > 1:
        dist.barrier()


def average_gradients(modules: Iterable[nn.Module]) -> None:
    """Replaces every gradient by its mean over the processes."""
    if world() == 1:
        return
    grads = [p.grad for module in modules for p in module.parameters() if p.grad is not None]
    flat = torch.cat([grad.reshape(-1) for grad in grads])
    dist.all_reduce(flat)
    flat /= world()
    start_at = 0
    for grad in grads:
        grad.copy_(flat[start_at : start_at + grad.numel()].view_as(grad))
        start_at += grad.numel()


def from_first(value: float) -> float:
    """The first process' value, in all of them."""
    if world() == 1:
        return value
    answer = torch.tensor(value, dtype=torch.float64, device=place())
    dist.broadcast(answer, 0)
    return float(answer)


def any_asks(flag: bool) -> bool:
    """Whether any process says yes: all of them must leave a loop together."""
    if world() == 1:
        return flag
    answer = torch.tensor(float(flag), device=place())
    dist.all_reduce(answer, op=dist.ReduceOp.MAX)
    return bool(answer)
