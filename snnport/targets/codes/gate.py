"""The gate code on subtracting neurons: closed by G at the start, opened by one control spike, closed again by a load."""

from __future__ import annotations

import numpy as np

from snnport.program import Neuron, Population
from snnport.targets.codes.base import Cell, Driven, closing, generator, relay, threshold_of
from snnport.targets.codes.plain import readout
from snnport.targets.plan import Plan, compact
from snnport.targets.synapses import population_shape


def gate_neurons(plan: Plan, name: str, cell: Cell) -> Driven | None:
    """The population of one neuron node, with its control spike; None if its threshold is no integer."""
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
        "reset": np.asarray(0),
    }
    control, opens = generator(f"{name}.control", name, [(window.open - 1, np.full(len(theta), gate, np.int64))])
    return Driven(Population(name, shape, Neuron("if", params)), before=(control,), projections=(opens,))
