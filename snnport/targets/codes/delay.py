"""The delay code on subtracting neurons: no control; a bias that would fire a neuron early comes with the excitation."""

from __future__ import annotations

import numpy as np

from snnport.program import Neuron, Population
from snnport.targets.codes.base import Cell, Driven, generator, threshold_of
from snnport.targets.codes.plain import readout
from snnport.targets.plan import Plan, compact
from snnport.targets.synapses import population_shape


def delay_neurons(plan: Plan, name: str, cell: Cell) -> Driven | None:
    """The population of one neuron node, with a bias neuron where it needs one; None if its threshold is no integer."""
    window = plan.window(name)
    assert window is not None
    shape = population_shape(plan.shapes[name])
    if window.role == "readout":
        return Driven(Population(name, shape, Neuron("integrator", readout(plan, name).params)))
    theta = threshold_of(plan, name)
    if theta is None:
        return None
    whole = theta // 2 + plan.bias[name]
    early = np.minimum(whole, theta - 1)
    neuron = {"v_threshold": compact(theta), "v_init": compact(early), "max_spikes": np.asarray(1), "reset": np.asarray(0)}
    population = Population(name, shape, Neuron("if", neuron))
    if np.array_equal(whole, early):
        return Driven(population)
    source, pulse = generator(f"{name}.bias", name, [(window.open - 1, whole - early)])
    return Driven(population, before=(source,), projections=(pulse,))
