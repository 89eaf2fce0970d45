"""Data-parallel training under torchrun: every process takes its share of each batch, gradients are added up.

Started by hand a process is a group of one, and nothing here does anything.
"""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn

from snnport.training.batches import Batch


@dataclass(frozen=True)
class Group:
    """The processes that train together: which one this is, and how many there are."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and tells."""
        return self.rank == 0

    def share(self, batch: Batch) -> Batch:
        """This process's samples of a batch: every `size`-th one."""
        return batch if self.size == 1 else tuple(part[self.rank :: self.size] for part in batch)

    def part(self, batch: Batch) -> float:
        """The fraction of the batch's samples that this process has; a mean over them counts as much."""
        return len(batch[0][self.rank :: self.size]) / len(batch[0])

    def add_gradients(self, module: nn.Module) -> None:
        """Let every process have the sum of all gradients."""
        if self.size == 1:
            return
        for parameter in module.parameters():
            if parameter.requires_grad:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                dist.all_reduce(parameter.grad)

    def add(self, value: float) -> float:
        """The sum of `value` over all processes."""
        if self.size == 1:
            return value
        total = torch.tensor([value], dtype=torch.float64)
        dist.all_reduce(total)
        return float(total)

    def begin(self, module: nn.Module) -> None:
        """Give every process the weights of the first."""
        if self.size > 1:
            for tensor in (*module.parameters(), *module.buffers()):
                dist.broadcast(tensor.data, 0)

    def wait(self) -> None:
        """Let nobody go on before all have come here."""
        if self.size > 1:
            dist.barrier()


def group() -> Group:
    """The group that torchrun started this process in, joined; a group of one elsewhere.

    gloo carries tensors on the CPU, nccl those on CUDA devices. The process leaves it when it ends, if not before.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or not dist.is_available():
        return Group()
    if not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        atexit.register(leave)
    return Group(dist.get_rank(), dist.get_world_size())


def leave() -> None:
    """Leave the group, if there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
