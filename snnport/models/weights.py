"""Trained weights by their names, taken one by one; what was missing is told all at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnport.errors import InvalidGraph
from snnport.nodes import BatchNorm, Real, Shape

EPSILON = 1e-5
"""What torch adds to a variance (torch.nn.BatchNorm2d, its default)."""


class Weights:
    """A state dict at hand to a builder; it grows a list of what did not fit."""

    def __init__(self, builder: str, arrays: Mapping[str, Any]) -> None:
        self.builder = builder
        self.arrays = arrays
        self.faults: list[str] = []
        self.taken: set[str] = set()

    def take(self, name: str, shape: Shape) -> Real:
        """The array called `name`, float64; zeros if it is missing or of another shape, which `require` then tells."""
        found = self.arrays.get(name)
        self.taken.add(name)
        if found is None:
            self.faults.append(f"{name} {shape} is missing")
        elif np.shape(found) != shape:
            self.faults.append(f"{name} is {np.shape(found)}, wanted is {shape}")
        elif not np.isfinite(found).all():
            self.faults.append(f"{name} holds numbers that are not finite")
        else:
            return np.asarray(found, np.float64)
        return np.ones(shape)

    def require(self) -> None:
        """Raise InvalidGraph if something did not fit, or is left that the builder does not know."""
        ignored = ("num_batches_tracked",)
        left = [name for name in self.arrays if name not in self.taken and not name.endswith(ignored)]
        faults = [*self.faults, *(f"{name} has no place" for name in left)]
        if faults:
            shown = "; ".join(faults[:8]) + (f"; and {len(faults) - 8} more" if len(faults) > 8 else "")
            raise InvalidGraph(
                f"builder {self.builder}", f"the weights do not fit: {shown}", "Choose the builder they belong to"
            )


def norm(weights: Weights, name: str, channels: int) -> BatchNorm:
    """A batch norm as it computes when it is trained: scale * x + shift."""
    gamma, beta, mean, variance = (
        weights.take(f"{name}.{part}", (channels,)) for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + EPSILON)
    return BatchNorm(scale, beta - mean * scale)
