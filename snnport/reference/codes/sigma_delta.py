"""Sigma-delta: adds up the changes that arrive and sends the change of its own value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from snnport.reference.codes.base import Array, CodedCell, Setup


@dataclass
class ChangeCell:
    """v: the sum of what arrived, bias included; sends the change of relu(v), or where `plain` of v."""

    v: Array
    bias: Array
    plain: bool
    sent: Array

    def advance(self, arriving: Array, step: int) -> Array:
        """Take in the changes of this step; returns the neuron's own."""
        self.v = self.v + arriving - (0.0 if step == 0 else self.bias)
        value = self.v if self.plain else np.maximum(self.v, 0)
        change, self.sent = value - self.sent, value
        return change


@dataclass
class RunningMax:
    """The change of the greatest value of each window, from changes of the values."""

    greatest: Callable[[Array], Array]
    total: Array = field(default_factory=lambda: np.zeros(()))
    sent: Array = field(default_factory=lambda: np.zeros(()))

    def __call__(self, changes: Array) -> Array:
        """Take in one step."""
        self.total = self.total + changes
        value = self.greatest(self.total)
        change, self.sent = value - self.sent, value
        return change


def sigma_delta_cell(setup: Setup) -> CodedCell:
    """The cell of a neuron of the sigma-delta code."""
    zeros = np.zeros(setup.shape)
    return ChangeCell(zeros, setup.bias, setup.window.role != "message", zeros)
