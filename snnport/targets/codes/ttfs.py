"""The ttfs code on neurons of family "slope", whose own clock ends the currents: no twin, two control spikes a layer."""

from __future__ import annotations

import numpy as np

from snnport.program import Neuron, Population
from snnport.targets.codes.base import Cell, Driven, closing, generator, levels_of, most_at_once, threshold_of
from snnport.targets.intervals import charges
from snnport.targets.plan import Plan, compact
from snnport.targets.synapses import population_shape


def ttfs_neurons(plan: Plan, name: str, cell: Cell) -> Driven | None:
    """The population of one neuron node, with its control spikes; None if its threshold is no integer.

    The control spikes start currents too: one of G - (L - 1) theta when the window opens, that becomes one of theta a step
    later. A spike takes the potential so far down that the climb does not bring it back before the window closes.
    """
    window = plan.window(name)
    assert window is not None
    shape = population_shape(plan.shapes[name])
    if window.role == "relay":
        most = most_at_once(plan, name)
        params = {"v_threshold": 1, "v_init": 0, "reset": 1, "v_reset": -most, "max_spikes": 1}
        return Driven(Population(name, shape, Neuron("if", {key: np.asarray(value) for key, value in params.items()})))
    if window.role == "readout":
        # No sum of currents reaches this threshold.
        never = charges(plan.into(name), levels_of(plan.coding), len(plan.bias[name]))[1] + plan.bias[name] + 1
        ends = {"v_threshold": compact(never), "clear_step": np.asarray(window.open), "v_init": compact(plan.bias[name])}
        return Driven(Population(name, shape, Neuron("slope", ends)))
    theta = threshold_of(plan, name)
    if theta is None:
        return None
    gate, levels = closing(plan, name), window.levels
    closed = compact(theta // 2 + plan.bias[name] - gate)
    neuron = {
        "v_threshold": compact(theta),
        "v_init": closed,
        "v_load": closed,
        "clear_step": np.asarray(window.open),
        "load_step": np.asarray(window.open + levels),
        "reset": np.asarray(1),
        "v_reset": compact(-levels * theta),
    }
    opens = gate - (levels - 1) * theta
    pulses = [(window.open - 1, opens)] + ([(window.open, theta - opens)] if levels > 1 else [])
    control, ramp = generator(f"{name}.control", name, pulses)
    return Driven(Population(name, shape, Neuron("slope", neuron)), before=(control,), projections=(ramp,))
