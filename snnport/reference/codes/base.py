"""What the cells of all codes are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from snnport.convention import Coding, Window
from snnport.nodes import Shape

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Setup:
    """One neuron node before its first step. shape: (n_samples, *its shape).

    bias: what enters it in every step while nothing fires, (1, *its shape): the sum of the biases on its ways.
    """

    name: str
    node: Any
    shape: Shape
    coding: Coding
    bias: Array

    @property
    def window(self) -> Window:
        """Its window."""
        return self.coding.windows[self.name]

    @property
    def theta(self) -> float:
        """Its threshold in codes, 0 for a readout."""
        return float(self.node.metadata.get("theta", 0))


class CodedCell(Protocol):
    """A neuron node at work. v: its potential, (n_samples, *shape)."""

    v: Array

    def advance(self, arriving: Array, step: int) -> Array:
        """Take in what arrives in this step, biases included; give the spikes, zeros for a readout."""
        ...


@dataclass
class Readout:
    """Adds up what arrives; the bias enters in step 0."""

    v: Array
    bias: Array

    @classmethod
    def of(cls, setup: Setup) -> Readout:
        """Before the first step."""
        return cls(np.zeros(setup.shape), setup.bias)

    def advance(self, arriving: Array, step: int) -> Array:
        """Take in what arrives; never fires."""
        self.v = self.v + arriving - (0.0 if step == 0 else self.bias)
        return np.zeros_like(self.v)


@dataclass
class Relay:
    """An OR in every step: fires if anything arrives, and keeps nothing of it."""

    v: Array

    @classmethod
    def of(cls, setup: Setup) -> Relay:
        """Before the first step."""
        return cls(np.zeros(setup.shape))

    def advance(self, arriving: Array, step: int) -> Array:
        """Take in what arrives in this step; returns spikes."""
        self.v = self.v + arriving
        fired = (self.v >= 1).astype(np.float64)
        self.v = self.v * (1 - fired)
        return fired
