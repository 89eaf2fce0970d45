"""Neuron families: what a population's integers mean and how one step changes them.

A family is one row of the table of its file in families/ (its parameters, and a function that prepares the state), one step
function there, and one line in `step` below. docs/semantics.md, "Neuron families", is normative.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.program import Population
from snnport.sim.families import firing, graded, leaky, loihi, one_by_one, slope
from snnport.sim.families.base import Family, Rows
from snnport.sim.families.firing import IF, INTEGRATOR, step_if, step_integrator
from snnport.sim.families.graded import DELTA, SIGMA_DELTA, step_delta, step_graded, step_sigma_delta
from snnport.sim.families.leaky import ALIF, LIF, step_alif, step_lif, step_lif_simple
from snnport.sim.families.loihi import ATRLIF, CUBA_RESET, step_atrlif, step_cuba, step_cuba_reset
from snnport.sim.families.one_by_one import DYNAP, XYLO, begin_dynap, step_dynap, step_xylo
from snnport.sim.families.slope import SLOPE, step_slope
from snnport.sim.vector import inner

HOST_FAMILIES = frozenset({"input", "generator"})
"""Families that sit on no core: the host or a sequencer emits their spikes."""

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {**firing.FAMILIES, **loihi.FAMILIES, **leaky.FAMILIES, **one_by_one.FAMILIES, **graded.FAMILIES, **slope.FAMILIES}
)


def parameters(population: Population) -> dict[str, Rows]:
    """Every parameter of the population's family as (n,) int64, missing ones at their neutral value.

    Raises UnsupportedNode for a family that is not in FAMILIES, InvalidGraph for a missing, unknown or misshapen parameter.
    """
    family = family_of(population)
    given = population.neuron.params
    unknown = sorted(set(given) - set(family.required) - set(family.optional))
    missing = [name for name in family.required if name not in given]
    if unknown or missing:
        what = f"unknown parameters {unknown}" if unknown else f"missing parameters {missing}"
        known = ", ".join((*family.required, *family.optional)) or "none"
        raise InvalidGraph(population.name, f"family '{population.neuron.family}' has {what}", f"It takes: {known}")
    values: dict[str, Rows] = {}
    for name in (*family.required, *family.optional):
        value = np.asarray(given[name] if name in given else family.optional[name], np.int64)
        if population.neuron.family != "generator":
            if value.shape not in ((), (population.size,)):
                raise InvalidGraph(
                    population.name, f"parameter {name} has shape {value.shape}, () or ({population.size},) is needed"
                )
            value = np.broadcast_to(value, (population.size,))
        values[name] = value
    return values


def family_of(population: Population) -> Family:
    """The table row of the population's family. Raises UnsupportedNode if there is none."""
    name = population.neuron.family
    if name not in FAMILIES:
        raise UnsupportedNode(population.name, f"the engine has no neuron family '{name}'", f"Known: {', '.join(FAMILIES)}")
    return FAMILIES[name]


def sends_payloads(population: Population) -> bool:
    """Whether its spikes carry a number each, rather than a multiplicity: by family, as a graded `input`, or as a `generator`
    of values."""
    key = {"input": "graded", "generator": "value"}.get(population.neuron.family)
    if key is not None:
        return bool(np.any(population.neuron.params.get(key, np.zeros(1))))
    return family_of(population).payloads


@inner
def step(cell: Any, state: Any, params: Any, index: Any, count: Any, at: Any, tally: Any) -> Any:
    """Dispatch to the step function of a common family; returns the number of neurons that fired."""
    if cell.family == IF:
        return step_if(cell, state, params, index, count, at, tally)
    if cell.family == INTEGRATOR:
        return step_integrator(cell, state, params, tally)
    return step_cuba(cell, state, params, index, count, at, tally)


@inner
def begin_any(cell: Any, state: Any, params: Any, tally: Any) -> Any:
    """What a family does before the arrivals of the step. True if it did something."""
    if cell.family == DYNAP:
        return begin_dynap(cell, state, params, tally)
    return False


@inner
def step_any(cell: Any, ints: Any, state: Any, params: Any, index: Any, count: Any, at: Any, tally: Any) -> Any:
    """Dispatch to the step function of any family; returns the number of neurons that fired."""
    if cell.family == LIF:
        if cell.simple:
            return step_lif_simple(cell, state, params, index, count, at, tally)
        return step_lif(cell, state, params, index, count, at, tally)
    if cell.family == ALIF:
        return step_alif(cell, state, params, index, count, at, tally)
    if cell.family == ATRLIF:
        return step_atrlif(cell, state, params, index, count, at, tally)
    if cell.family == CUBA_RESET:
        return step_cuba_reset(cell, state, params, index, count, at, tally)
    if cell.family == XYLO:
        return step_xylo(cell, ints, state, params, index, count, at, tally)
    if cell.family == DYNAP:
        return step_dynap(cell, state, index, count, at, tally)
    if cell.family == DELTA:
        return step_delta(cell, state, params, index, count, at, tally)
    if cell.family == SIGMA_DELTA:
        return step_sigma_delta(cell, state, params, index, count, at, tally)
    if cell.family == SLOPE:
        return step_slope(cell, state, params, index, count, at, tally)
    if cell.family > DYNAP:
        return step_graded(cell, state, params, index, count, at, tally)
    return step(cell, state, params, index, count, at, tally)
