"""The delay code: subtracts its threshold, fires from the step on in which all inhibition has arrived, and never stops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnport.reference.codes.base import Array, CodedCell, Readout, Setup


@dataclass
class DrainingCell:
    """Starts at theta/2 and the bias."""

    v: Array
    opening: int
    bias: Array
    theta: float

    def advance(self, arriving: Array, step: int) -> Array:
        """Take in what arrives in this step; returns spikes."""
        self.v = self.v + arriving - self.bias
        if step < self.opening:
            return np.zeros_like(self.v)
        fired = (self.v >= self.theta).astype(np.float64)
        self.v = self.v - fired * self.theta
        return fired


def delay_cell(setup: Setup) -> CodedCell:
    """The cell of a neuron of the delay code."""
    if setup.window.role == "readout":
        return Readout.of(setup)
    v = np.zeros(setup.shape) + setup.theta // 2 + setup.bias
    return DrainingCell(v, setup.window.open, setup.bias, setup.theta)
