"""The gate code on subtracting neurons: closed by G at the start, opened by one control spike, closed again by a load."""

from __future__ import annotations

import numpy as np

from snnport.convention import Window
from snnport.fixed import IntArray
from snnport.targets.codes.base import Cell, Driven
from snnport.targets.codes.window import windowed
from snnport.targets.plan import Plan


def gate_neurons(plan: Plan, name: str, cell: Cell) -> Driven | None:
    """The population of one neuron node, with its control spike; None if its threshold is no integer."""
    return windowed(plan, name, {"reset": 0}, _opening)


def _opening(window: Window, gate: int, theta: IntArray) -> list[tuple[int, IntArray]]:
    return [(window.open - 1, np.full(len(theta), gate, np.int64))]
