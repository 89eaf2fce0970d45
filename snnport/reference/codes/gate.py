"""The gate code: fires while its window is open, and subtracts its threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnport.convention import Window
from snnport.reference.codes.base import Array, CodedCell, Readout, Relay, Setup


@dataclass
class GatedCell:
    """Starts at theta/2, takes the bias in step 0."""

    v: Array
    window: Window
    bias: Array
    theta: float

    def advance(self, arriving: Array, step: int) -> Array:
        """Take in what arrives in this step; returns spikes."""
        self.v = self.v + arriving - (0.0 if step == 0 else self.bias)
        if not self.window.open <= step < self.window.open + self.window.levels:
            return np.zeros_like(self.v)
        fired = (self.v >= self.theta).astype(np.float64)
        self.v = self.v - fired * self.theta
        return fired


def gate_cell(setup: Setup) -> CodedCell:
    """The cell of a neuron of the gate code."""
    if setup.window.role == "relay":
        return Relay.of(setup)
    if setup.window.role == "readout":
        return Readout.of(setup)
    return GatedCell(np.zeros(setup.shape) + setup.theta // 2, setup.window, setup.bias, setup.theta)
