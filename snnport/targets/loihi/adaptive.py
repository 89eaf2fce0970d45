"""The adaptive neuron on Loihi 2, whose neurons are programs: family `alif`, in the units and registers of the chip's LIF.

Loihi 1's neuron cannot raise its threshold, and Lava's ATRLIF computes another rule (it takes twice the risen threshold off).
What a microcode program for this one takes is not published by Intel; the engine's `alif` (docs/semantics.md) is what it has to
compute: v and a in 1/64 of a weight code and 24 bits, decays of 12 bits that round toward zero, a spike in the next step.
    v_threshold = 64 theta + 1 where the network fires on v > theta;   v counts from v_leak, and starts there.
Weights arrive shifted by 6, as in LIF; in the program that shift is part of a projection's exponent.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from snnport.chip import Chip
from snnport.graph import Graph, names_of
from snnport.nodes import AdaptiveLIF
from snnport.program import Neuron, Population, Program, Projection
from snnport.targets.adaptive import rising
from snnport.targets.base import Findings, Usage, finding
from snnport.targets.decay_codes import ONE
from snnport.targets.intervals import LIF_UNIT, V_TOP, Bounds, analyse
from snnport.targets.loihi.cuba import Fields
from snnport.targets.plan import Plan, compact
from snnport.targets.synapses import population_shape

SHIFT = LIF_UNIT.bit_length() - 1
FAMILY = "alif"


def population(plan: Plan, name: str, fields: Fields) -> Population | None:
    """The engine's population of an AdaptiveLIF with these fields, or None if what it resets to is no integer."""
    node: Any = plan.graph.nodes[name]
    rule = plan.convention
    back, rest = plan.codes(name, node.v_reset), plan.codes(name, node.v_leak)
    if back is None or rest is None:
        return None
    params = {
        "v_threshold": compact((fields.vth << SHIFT) + (rule.comparison == ">")),
        "decay": compact(np.clip(fields.potential, 0, ONE)),
        "reset": np.asarray(0 if rule.reset == "subtract" else 1),
        "v_min": np.asarray(-V_TOP),
        "v_max": np.asarray(V_TOP),
        **rising(plan, name, SHIFT),
    }
    if rule.reset != "subtract":
        params["v_reset"] = compact(((0 if rule.reset == "zero" else back) - rest) << SHIFT)
    return Population(name, population_shape(plan.shapes[name]), Neuron(FAMILY, params))


def shifted(projection: Projection) -> Projection:
    """`projection` into an adaptive neuron, its sums in units of v."""
    return replace(projection, exponent=projection.exponent + SHIFT)


def plane_exponent(program: Program, projection: Projection) -> int:
    """The exponent that the chip's plane has: that of the program without the shift into units of v."""
    into = program.population(projection.target).neuron.family
    return projection.exponent - (SHIFT if into == FAMILY else 0)


def peaks(population_: Population, bounds: Bounds) -> tuple[int, int, int]:
    """How far v can fall, how far it can rise, and the threshold after a spike in every step.

    Where a spike sets v to a value, v rises from below the threshold by what arrives in one step; else it adds up.
    """
    neuron = population_.neuron
    lost, fade = max(int(neuron["decay"].min()), 1), max(int(neuron["a_decay"].min()), 1)
    limit = int(neuron["v_threshold"].max()) + int(neuron["a_step"].max()) * ONE // fade
    low, high = (max(arriving, 0) * ONE // lost for arriving in (-bounds.step[0], bounds.step[1]))
    if int(neuron["reset"].max()):
        high = min(high, max(limit, int(np.max(neuron["v_reset"]))) + max(bounds.step[1], 0))
    return low, high, limit


def bounded(population_: Population, bounds: Bounds, accumulator: int, *, below: bool) -> bool:
    """Whether no arrival leaves the accumulator (codes below this) and neither potential nor threshold its 24 bits.

    below: whether the potential may not saturate there either, furthest from its threshold.
    """
    worst = max(-bounds.step[0], bounds.step[1]) >> SHIFT
    low, high, limit = peaks(population_, bounds)
    return worst < accumulator and max(low if below else 0, high, limit) <= V_TOP


def told(population_: Population) -> str:
    """Its greatest integers in words."""
    values = {key: int(population_.neuron[key].max()) for key in ("v_threshold", "decay", "a_decay", "a_step")}
    return ", ".join(f"{key} = {value}" for key, value in values.items())


def programmable(graph: Graph, chip: Chip) -> Findings:
    """A threshold that rises is a program of the neuron's, which a chip with one kind of neuron has not."""
    names = names_of(graph, AdaptiveLIF)
    if not names or int(chip["programmable_neurons"]):
        return Findings()
    message = f"{len(names)} populations raise their threshold when they fire, the neurons of {chip.name} cannot be programmed"
    return Findings(violations=(finding(", ".join(names), message, "Use loihi2, or train without adaptation"),))


def adaptive_range(program: Program, chip: Chip) -> Findings:
    """Potential and threshold of adaptive neurons stay in their 24 bits, whatever spikes: interval analysis.

    A threshold beyond them could never be met; a potential saturates, which a run counts.
    """
    usage, violations, warnings = [], [], []
    bounds = analyse(program)
    for p in program.populations:
        if p.neuron.family != FAMILY:
            continue
        low, high, limit = peaks(p, bounds[p.name])
        reach = max(low, high)
        usage.append(Usage("threshold", p.name, limit, V_TOP, "1/64 codes"))
        if limit > V_TOP:
            message = f"its threshold can rise to {limit}, {chip['state_bits']} bits hold up to {V_TOP}"
            violations.append(finding(p.name, message, "Quantise with a larger scale, or train with a smaller beta"))
        if reach > V_TOP:
            message = (
                f"its potential can move by {reach}, {chip['state_bits']} bits saturate at {V_TOP}: a run counts how often"
            )
            warnings.append(finding(p.name, message, "Nothing, if the run counts none; else use a smaller scale"))
    return Findings(tuple(usage), tuple(violations), tuple(warnings))
