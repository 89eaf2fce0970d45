"""The rate code: always open, subtracts its threshold; the bias enters once in as many steps as the input has levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnport.reference.codes.base import Array, CodedCell, Setup


@dataclass
class FreeCell:
    """Starts at theta/2. theta: None for a readout, which never fires."""

    v: Array
    bias: Array
    theta: float | None
    period: int

    def advance(self, arriving: Array, step: int) -> Array:
        """Take in what arrives in this step; returns spikes."""
        self.v = self.v + arriving - (0.0 if step % self.period == 0 else self.bias)
        if self.theta is None:
            return np.zeros_like(self.v)
        fired = (self.v >= self.theta).astype(np.float64)
        self.v = self.v - fired * self.theta
        return fired


def rate_cell(setup: Setup) -> CodedCell:
    """The cell of a neuron of the rate code."""
    period = int(setup.coding.encoder["levels"])
    readout = setup.window.role == "readout"
    start = 0.0 if readout else setup.theta // 2
    return FreeCell(np.zeros(setup.shape) + start, setup.bias, None if readout else setup.theta, period)
