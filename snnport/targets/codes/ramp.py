"""The ramp code on neurons that go back to zero: closed by G, opened by G - (L - 1) theta, then theta in every step."""

from __future__ import annotations

from snnport.fixed import IntArray
from snnport.targets.codes.base import Cell, Driven
from snnport.targets.codes.window import windowed
from snnport.targets.plan import Plan


def ramp_pulses(opening: int, levels: int, gate: int, theta: IntArray) -> list[tuple[int, IntArray]]:
    """What the control neurons send: (step, codes (n,)), each arriving a step later, from step `opening` on."""
    first = (opening - 1, gate - (levels - 1) * theta)
    return [first, *((opening - 1 + k, theta) for k in range(1, levels))]


def ramp_neurons(plan: Plan, name: str, cell: Cell) -> Driven | None:
    """The population of one neuron node, with its control spikes; None if its threshold is no integer."""
    return windowed(plan, name, {"reset": 1, "v_reset": 0}, lambda w, gate, theta: ramp_pulses(w.open, w.levels, gate, theta))
