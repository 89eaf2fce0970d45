"""The ramp code on neurons that go back to zero: closed by G, opened by G - (L - 1) theta, then theta in every step."""

from __future__ import annotations

import numpy as np

from snnport.fixed import IntArray
from snnport.program import Neuron, Population
from snnport.targets.codes.base import Cell, Driven, closing, generator, relay, threshold_of
from snnport.targets.codes.plain import readout
from snnport.targets.plan import Plan, compact
from snnport.targets.synapses import population_shape


def ramp_pulses(opening: int, levels: int, gate: int, theta: IntArray) -> list[tuple[int, IntArray]]:
    """What the control neurons send: (step, codes (n,)), each arriving a step later, from step `opening` on."""
    first = (opening - 1, gate - (levels - 1) * theta)
    return [first, *((opening - 1 + k, theta) for k in range(1, levels))]


def ramp_neurons(plan: Plan, name: str, cell: Cell) -> Driven | None:
    """The population of one neuron node, with its control spikes; None if its threshold is no integer."""
    window = plan.window(name)
    assert window is not None
    shape = population_shape(plan.shapes[name])
    if window.role == "relay":
        return Driven(Population(name, shape, relay()))
    if window.role == "readout":
        return Driven(Population(name, shape, readout(plan, name)))
    theta = threshold_of(plan, name)
    if theta is None:
        return None
    gate = closing(plan, name)
    closed = compact(theta // 2 + plan.bias[name] - gate)
    params = {
        "v_threshold": compact(theta),
        "v_init": closed,
        "v_load": closed,
        "load_step": np.asarray(window.open + window.levels),
        "max_spikes": np.asarray(1),
        "reset": np.asarray(1),
        "v_reset": np.asarray(0),
    }
    control, ramp = generator(f"{name}.control", name, ramp_pulses(window.open, window.levels, gate, theta))
    return Driven(Population(name, shape, Neuron("if", params)), before=(control,), projections=(ramp,))
