"""Neurons without a window: those of a plain spiking network, and of the rate code, which are always open."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np

from snnport.fixed import IntArray
from snnport.program import Neuron, Population
from snnport.quant import round_half_even
from snnport.targets.codes.base import Cell, Driven, generator
from snnport.targets.plan import Plan, compact
from snnport.targets.synapses import population_shape

MANY_SPIKES = 1 << 15
"""Spikes a neuron may send in one step where it fires as often as its threshold fits: no bound in practice."""


def plain_neurons(plan: Plan, name: str, cell: Cell) -> Driven | None:
    """The population of one neuron node of a plain network, or None if its parameters are no integers."""
    neuron = readout(plan, name) if isinstance(plan.graph.nodes[name], nir.I) else free(plan, name, cell)
    return None if neuron is None else Driven(Population(name, population_shape(plan.shapes[name]), neuron))


def rate_neurons(plan: Plan, name: str, cell: Cell) -> Driven | None:
    """The same in the rate code: the bias enters once in as many steps as the input has levels, the first in v_init."""
    driven, coding = plain_neurons(plan, name, cell), plan.coding
    if driven is None or coding is None or not plan.bias[name].any():
        return driven
    period = int(coding.encoder["levels"])
    steps = range(period - 1, coding.n_steps - 1, period)
    if not steps:
        return driven
    if cell.bias_at_start:
        population = driven.population
        start = compact(population.neuron["v_init"] + len(steps) * plan.bias[name])
        return replace(driven, population=replace(population, neuron=_with(population.neuron, v_init=start)))
    source, pulses = generator(f"{name}.bias", name, [(step, plan.bias[name]) for step in steps])
    return Driven(driven.population, before=(source,), projections=(pulses,))


def _with(neuron: Neuron, **params: IntArray) -> Neuron:
    return Neuron(neuron.family, {**neuron.params, **params})


def readout(plan: Plan, name: str) -> Neuron:
    """An integrator. In a coded network the bias is there at the start, else it comes in each step."""
    bias = compact(plan.bias[name])
    return Neuron("integrator", {"v_init": bias} if plan.coding is not None else {"v_init": np.asarray(0), "bias": bias})


def free(plan: Plan, name: str, cell: Cell) -> Neuron | None:
    """An integrate-and-fire neuron that is always open: of the rate code, or of a plain spiking network.

    Firing on v > theta is firing on v >= floor(theta) + 1. A subtracting reset takes theta off, not theta + 1, so there
    the whole potential is kept 1 lower instead (meta "v_offset").
    """
    node: Any = plan.graph.nodes[name]
    convention = plan.convention
    theta = plan.codes(name, node.v_threshold)
    back = plan.codes(name, node.v_reset)
    if theta is None or back is None:
        return None
    subtracts = convention.reset == "subtract"
    strict = convention.comparison == ">"
    start, bias = (0 * theta, plan.bias[name]) if plan.coding is None else (theta // 2 + plan.bias[name], 0 * theta)
    offset = offset_of(plan)
    params: dict[str, IntArray] = {
        "v_threshold": compact(theta if subtracts or not strict else theta + 1),
        "v_init": compact(start + offset),
        "reset": np.asarray(0 if subtracts else 1),
        "bias": compact(bias),
        "max_spikes": np.asarray(MANY_SPIKES if subtracts and (cell.many or convention.multi_spike) else 1),
    }
    if not subtracts:
        params["v_reset"] = compact(np.zeros_like(back) if convention.reset == "zero" else back)
    low, high = cell.v_range if cell.v_range is not None else (None, None)
    own = node.metadata.get("v_min")
    bound = None if name in convention.unbounded else convention.v_min
    if own is not None or bound is not None:
        floor = (np.full_like(theta, own) if bound is None or own is not None else round_half_even(bound * theta)) + offset
        params["v_min"] = compact(floor if low is None else np.maximum(floor, low))
    elif low is not None:
        params["v_min"] = np.asarray(low)
    if high is not None:
        params["v_max"] = np.asarray(high)
    return Neuron("if", params)


def offset_of(plan: Plan) -> int:
    """What the potential of a free neuron is shifted by: -1 where it fires on > and subtracts its threshold, else 0."""
    return -1 if plan.convention.reset == "subtract" and plan.convention.comparison == ">" else 0
