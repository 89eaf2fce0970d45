"""Coded networks on Loihi's hard-reset neuron: what the reset value and the gate are elsewhere comes as control spikes.

The neuron has no load, so half a threshold, the bias and -G arrive in the step of the first arrival; a readout is a neuron
that never fires. Current forgotten at once (du = 4095) and a potential that keeps all (dv = 0) make it integrate and fire;
v >= theta in whole codes is v > theta - 1. The ttfs code's neurons, whose current stays, are in once.py. A control spike may
weigh more than 8 bits: each of its weights is split over planes of one sign each, in units of 2^7 and of 1 (weight exponents
of Davies et al., IEEE Micro 38(1), 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import nir
import numpy as np

from snnport.chip import Chip
from snnport.graph import names_of
from snnport.program import Neuron, Population, Program
from snnport.targets.codes.base import Driven, closing, threshold_of
from snnport.targets.codes.ramp import ramp_pulses
from snnport.targets.intervals import LIF_UNIT, NEVER_FIRES
from snnport.targets.loihi.control import controlled, perfect
from snnport.targets.loihi.cuba import doubled
from snnport.targets.loihi.once import once_neurons, twins
from snnport.targets.lowering import assemble
from snnport.targets.plan import Plan, compact
from snnport.targets.synapses import population_shape

CODES = ("ramp", "ttfs")
"""Codes that are lowered here."""


def lower_coded(what: Plan, chip: Chip, semantics: str) -> Program:
    """A program of family "cuba", not placed yet. meta "v_unit": what one integer of the quantised ANN is in units of v.

    Codes into a population are multiplied by `factor_of`; meta "scale" is what one code of the program is worth.
    """
    coding = what.coding
    assert coding is not None
    found: list[Driven] = []
    for name in names_of(what.graph, nir.Input, nir.IF, nir.I):
        if isinstance(what.graph.nodes[name], nir.Input):
            found.append(Driven(Population(name, population_shape(what.shapes[name]), Neuron("input", {}))))
        elif (driven := _NEURONS[coding.code](what, name)) is not None:
            found.append(driven)
    if coding.code == "ttfs":
        found += twins(what)
    populations = tuple(p for driven in found for p in (*driven.before, driven.population, *driven.after))
    controls = tuple(projection for driven in found for projection in driven.projections)
    factors = {name: factor_of(what, name) for name in names_of(what.graph, nir.IF, nir.I)}
    wide = replace(what, projections=tuple(doubled(p, factors[p.target]) for p in what.projections))
    program = assemble(wide, chip.target, chip, populations, controls, semantics)
    units = {name: LIF_UNIT * factor for name, factor in factors.items()}
    scale = {name: value / factors.get(name, 1) for name, value in what.scale.items()}
    return replace(program, meta={**program.meta, "scale": scale, "v_unit": units})


def factor_of(plan: Plan, name: str) -> int:
    """What codes into neuron `name` are multiplied by: 2 for a relay, whose threshold field would be 0."""
    window = plan.window(name)
    return 2 if window is not None and window.role == "relay" else 1


def ramp_neurons(plan: Plan, name: str) -> Driven | None:
    """The population of one neuron node with its control spikes, in codes; None if theta is no integer."""
    window, factor = plan.window(name), factor_of(plan, name)
    assert window is not None
    shape = population_shape(plan.shapes[name])
    if window.role == "relay":
        return Driven(Population(name, shape, perfect(np.asarray(factor - 1))))
    if window.role == "readout":
        given = [(window.arrival - 1, plan.bias[name])]
        return controlled(Population(name, shape, perfect(np.asarray(NEVER_FIRES))), given)
    theta = threshold_of(plan, name)
    if theta is None:
        return None
    gate = closing(plan, name)
    closes = (window.arrival - 1, theta // 2 + plan.bias[name] - gate)
    pulses = [closes, *ramp_pulses(window.open, window.levels, gate, theta)]
    return controlled(Population(name, shape, perfect(compact(theta - 1))), pulses)


_NEURONS: Mapping[str, Callable[[Plan, str], Driven | None]] = {"ramp": ramp_neurons, "ttfs": once_neurons}
