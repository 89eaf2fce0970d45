"""The ttfs code: arrivals start currents that stay until the window opens; then the potential climbs, and fires once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnport.convention import Window
from snnport.reference.codes.base import Array, CodedCell, Setup


@dataclass
class OnceCell:
    """Starts at theta/2 and the bias. u: the current. spent: who has fired. theta: 0 for a readout, which never fires."""

    v: Array
    u: Array
    spent: Array
    window: Window
    bias: Array
    theta: float

    def advance(self, arriving: Array, step: int) -> Array:
        """Take in what arrives in this step; returns spikes."""
        opened = step - self.window.open
        self.u = self.u + arriving - self.bias if opened < 0 else np.zeros_like(self.u)
        self.v = self.v + self.u
        if not self.theta or not 0 <= opened < self.window.levels:
            return np.zeros_like(self.v)
        self.v = self.v + (self.theta if opened else -(self.window.levels - 1) * self.theta)
        fired = ((self.v >= self.theta) & ~self.spent).astype(np.float64)
        self.spent = self.spent | (fired > 0)
        return fired


@dataclass
class FirstRelay:
    """An OR that passes on the first spike alone: the earliest is the greatest count."""

    v: Array
    spent: Array

    def advance(self, arriving: Array, step: int) -> Array:
        """Take in what arrives in this step; returns spikes."""
        fired = ((arriving >= 1) & ~self.spent).astype(np.float64)
        self.spent = self.spent | (fired > 0)
        return fired


def ttfs_cell(setup: Setup) -> CodedCell:
    """The cell of a neuron of the ttfs code."""
    nobody = np.zeros(setup.shape, bool)
    if setup.window.role == "relay":
        return FirstRelay(np.zeros(setup.shape), nobody)
    v = np.zeros(setup.shape) + setup.theta // 2 + setup.bias
    return OnceCell(v, np.zeros(setup.shape), nobody, setup.window, setup.bias, setup.theta)
