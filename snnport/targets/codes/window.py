"""A population that is closed by G until its window opens, in the gate code and in the ramp: state, reloads, control."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from snnport.convention import Window
from snnport.fixed import IntArray
from snnport.program import Neuron, Population
from snnport.targets.codes.base import Driven, closing, generator, relay, threshold_of
from snnport.targets.codes.plain import readout
from snnport.targets.plan import Plan, compact
from snnport.targets.synapses import population_shape

Pulses: TypeAlias = Callable[[Window, int, IntArray], list[tuple[int, IntArray]]]
"""Window, G and thresholds (n,) to what the control neurons send: (step, codes (n,)), each arriving a step later."""


def windowed(plan: Plan, name: str, reset: Mapping[str, int], pulses: Pulses) -> Driven | None:
    """The population of one neuron node with its control; None if its threshold is no integer. reset: parameters of `if`."""
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
        **{key: np.asarray(value) for key, value in reset.items()},
    }
    control, opens = generator(f"{name}.control", name, pulses(window, gate, theta))
    return Driven(Population(name, shape, Neuron("if", params)), before=(control,), projections=(opens,))
