"""The ramp code: fires while its window is open, goes back to zero, and gets one threshold a step from outside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnport.convention import Window
from snnport.reference.codes.base import Array, CodedCell, Readout, Relay, Setup


@dataclass
class RampCell:
    """Starts at theta/2, takes the bias in step 0; v leaves out what keeps the window closed."""

    v: Array
    window: Window
    bias: Array
    theta: float

    def advance(self, arriving: Array, step: int) -> Array:
        """Take in what arrives in this step; returns spikes."""
        self.v = self.v + arriving - (0.0 if step == 0 else self.bias)
        opened = step - self.window.open
        if not 0 <= opened < self.window.levels:
            return np.zeros_like(self.v)
        self.v = self.v + (self.theta if opened else -(self.window.levels - 1) * self.theta)
        fired = (self.v >= self.theta).astype(np.float64)
        self.v = self.v * (1 - fired)
        return fired


def ramp_cell(setup: Setup) -> CodedCell:
    """The cell of a neuron of the ramp code."""
    if setup.window.role == "relay":
        return Relay.of(setup)
    if setup.window.role == "readout":
        return Readout.of(setup)
    return RampCell(np.zeros(setup.shape) + setup.theta // 2, setup.window, setup.bias, setup.theta)
