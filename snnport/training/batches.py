"""Training data in batches, in an order that depends on the seed, the epoch and nothing else, so that a run can go on
in the middle of an epoch with the very batch that would have come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from snnport.errors import InvalidInput

Batch: TypeAlias = tuple[torch.Tensor, ...]
"""Tensors with the samples along their first axis: input first, then what it is compared with."""
Change: TypeAlias = Callable[[Batch, np.random.Generator], Batch]


class Batches(Protocol):
    """A training set: how many batches an epoch has, and the batch `index` of epoch `epoch`."""

    def __len__(self) -> int: ...

    def batch(self, epoch: int, index: int) -> Batch:
        """The same tensors whenever it is asked for."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayBatches:
    """Batches of arrays that share their first axis.

    arrays: (n_samples, ...) each. size: samples a batch; the last one may be smaller. seed: of the order and of `change`.
    change: what a batch goes through (augmentation, spikes drawn at random), with a generator of its own each time.
    """

    arrays: tuple[npt.NDArray[Any], ...]
    size: int
    seed: int = 0
    shuffle: bool = True
    change: Change | None = None

    def __post_init__(self) -> None:
        lengths = [len(array) for array in self.arrays]
        if not lengths or len(set(lengths)) > 1 or not lengths[0]:
            raise InvalidInput("training data", f"its arrays have {lengths} samples", "Give arrays of one length above 0")
        if self.size < 1:
            raise InvalidInput("batch size", f"{self.size} is below 1")

    @property
    def n_samples(self) -> int:
        """Samples of an epoch."""
        return len(self.arrays[0])

    def __len__(self) -> int:
        return -(-self.n_samples // self.size)

    def batch(self, epoch: int, index: int) -> Batch:
        """Batch `index` of epoch `epoch`."""
        rows = self._order(epoch)[index * self.size : (index + 1) * self.size]
        found = tuple(torch.from_numpy(np.ascontiguousarray(array[rows])) for array in self.arrays)
        if self.change is None:
            return found
        return self.change(found, np.random.default_rng([self.seed, epoch, index]))

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        if not self.shuffle:
            return np.arange(self.n_samples)
        return np.random.default_rng([self.seed, epoch]).permutation(self.n_samples)
