"""The ttfs code on Loihi: currents that stay, ended by the twins of their sources.

A twin fires once, in the step after its partner's window, if its partner has fired, through the same synapses with opposite
weights. A neuron that fires ends its own ramp: a synapse to itself brings -theta into the current a step later, so that it
stays at 0; when the window closes the control ends the ramp of the others. All control enters through the current, so a
pulse is one code in its step and the opposite in the next.

du = -1 is what lava-nc's model calls a current that stays; on silicon it is du = 0 with the register bit ds_offset = 0.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import nir
import numpy as np

from snnport.fixed import IntArray
from snnport.graph import names_of
from snnport.program import Diagonal, Population, Projection
from snnport.targets.codes.base import Driven, closing, generator, most_at_once, threshold_of
from snnport.targets.intervals import NEVER_FIRES
from snnport.targets.loihi.control import KEPT, controlled, perfect, planes
from snnport.targets.plan import Plan, compact
from snnport.targets.synapses import population_shape


def once_neurons(plan: Plan, name: str) -> Driven | None:
    """The population of one neuron node with its control spikes, in codes (a relay's doubled); None if theta is no integer."""
    window = plan.window(name)
    assert window is not None
    shape = population_shape(plan.shapes[name])
    if window.role == "relay":
        most = most_at_once(plan, name)
        # What arrives after the first spike does not bring it back above its threshold.
        once = _to_itself(name, np.full(len(plan.bias[name]), -2 * most, np.int64))
        return Driven(Population(name, shape, perfect(np.asarray(1))), projections=once)
    if window.role == "readout":
        silent = Population(name, shape, perfect(np.asarray(NEVER_FIRES), KEPT))
        return controlled(silent, _as_current([(window.arrival, plan.bias[name])]))
    theta = threshold_of(plan, name)
    if theta is None:
        return None
    gate, levels = closing(plan, name), window.levels
    population = Population(name, shape, perfect(compact(theta - 1), KEPT))
    pulses = [(window.arrival, theta // 2 + plan.bias[name] - gate), (window.open, gate - (levels - 1) * theta)]
    pulses += [(window.open + k, theta) for k in range(1, levels)]
    return controlled(population, _as_current(pulses), _to_itself(name, -theta) if levels > 1 else ())


def twins(plan: Plan) -> list[Driven]:
    """A twin for every population whose spikes start currents, with what drives it and what it drives."""
    found = []
    for name in names_of(plan.graph, nir.Input, nir.IF):
        driven = [p for p in plan.projections if p.source == name and _role(plan, p.target) != "relay"]
        window = plan.window(name)
        if not driven or window is None:
            continue
        twin, shape = f"{name}.twin", population_shape(plan.shapes[name])
        ones = np.ones(int(np.prod(shape)), np.int8)
        clock, ticks = generator(f"{twin}.clock", twin, [(window.open + window.levels - 1, ones.astype(np.int64))])
        partner = Projection(twin, name, twin, Diagonal(ones), None, 1)
        ends = [replace(p, name=f"{p.name}.end", source=twin, synapse=_negated(p)) for p in driven]
        found.append(Driven(Population(twin, shape, perfect(np.asarray(1))), (clock,), (), (partner, ticks, *ends)))
    return found


def _role(plan: Plan, name: str) -> str:
    window = plan.window(name)
    return "" if window is None else window.role


def _negated(projection: Projection) -> Diagonal:
    synapse: Diagonal = replace(projection.synapse, codes=-projection.synapse.codes.astype(np.int16))  # type: ignore[assignment]
    return synapse


def _to_itself(name: str, codes: IntArray) -> tuple[Projection, ...]:
    """One synapse from every neuron to itself, a step later."""
    return planes(Projection(f"{name}.self", name, name, Diagonal(codes), None, 1))


def _as_current(given: list[tuple[int, IntArray]]) -> list[tuple[int, IntArray]]:
    """Pulses for a generator that bring codes (n,) into the potential in given steps, ascending, and in these alone.

    A pulse sent in step t arrives in the next; what arrives changes a current that stays.
    """
    by_step: dict[int, IntArray] = {}
    for step, codes in given:
        by_step[step] = by_step.get(step, np.zeros_like(codes)) + codes
    current = {step: by_step.get(step, 0 * next(iter(by_step.values()))) for s in by_step for step in (s, s + 1)}
    nothing = 0 * next(iter(by_step.values()))
    ordered = [(min(current) - 1, nothing), *sorted(current.items(), key=lambda item: item[0])]
    changes = [(step - 1, codes - before) for (_, before), (step, codes) in pairwise(ordered)]
    return [(step, codes) for step, codes in changes if codes.any()]
