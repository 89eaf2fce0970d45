"""The rules of tinyODIN: what one core of integrate-and-fire neurons without bias, delay or time step can hold."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from snnport.chip import Chip
from snnport.convention import coding_of, convention_of
from snnport.fixed import signed_range
from snnport.graph import Graph, names_of
from snnport.passes.paths import walk
from snnport.program import Program
from snnport.sim import tinyodin as core
from snnport.targets import rules
from snnport.targets.base import Findings, Usage, finding
from snnport.targets.lowering import plan
from snnport.targets.tinyodin.crossbar import crossbar

NODES = (
    nir.Input,
    nir.Output,
    nir.IF,
    nir.I,
    nir.Affine,
    nir.Linear,
    nir.Conv1d,
    nir.Conv2d,
    nir.Scale,
    nir.SumPool2d,
    nir.Flatten,
)
LEAKY = (nir.LIF, nir.CubaLIF, nir.LI, nir.CubaLI)


def supported_nodes(graph: Graph, chip: Chip) -> Findings:
    """The core has integrate-and-fire neurons; a disabled one is an integrator. All weights are entries of its crossbar."""
    return rules.unsupported(graph, chip, (*NODES, *LEAKY))


def linear_leak(graph: Graph, chip: Chip) -> Findings:
    """The core's leak takes a constant off the potential, where NIR's leaky neurons lose a fraction of it."""
    found = [
        finding(
            name,
            f"its potential decays by a fraction of itself, {chip.name} takes a constant off (0..{(1 << core.LEAK_BITS) - 1})",
            "Train with nir.IF neurons, which do not leak",
        )
        for name in names_of(graph, *LEAKY)
    ]
    return Findings(violations=tuple(found))


def path_form(graph: Graph, chip: Chip) -> Findings:
    """Between two populations: sum poolings that are one pooling, then at most one weighted node."""
    return rules.malformed_paths(graph, chip)


def integer_weights(graph: Graph, chip: Chip) -> Findings:
    """Weights, thresholds and resets are integer multiples of one scale a population."""
    return rules.non_integers(graph, chip)


def hard_reset_to_zero(graph: Graph, chip: Chip) -> Findings:
    """A neuron that fires goes back to 0. No threshold is subtracted, and the potential can be loaded only by the host."""
    coding, convention = coding_of(graph.metadata), convention_of(graph.metadata)
    firing = names_of(graph, nir.IF)
    if coding is not None:
        message = f"the code '{coding.code}' loads potentials or subtracts thresholds, a neuron of the core goes back to 0"
        remedy = "Train a spiking network with a hard reset to 0 and no bias, or choose a target with a soft reset: cpu"
        return Findings(violations=(finding(", ".join(firing) or chip.name, message, remedy),))
    if convention.reset == "subtract":
        message = f"{len(firing)} populations subtract their threshold when they fire, a neuron of the core goes back to 0"
        found = (finding(", ".join(firing), message, "Train with a reset to zero"),) if firing else ()
        return Findings(violations=found)
    violations = []
    for name in firing:
        node: Any = graph.nodes[name]
        worst = float(np.abs(node.v_reset).max(initial=0.0))
        if convention.reset == "value" and worst > 0:
            message = f"it resets to values up to {worst:.6g} away from 0, a neuron of the core goes back to 0"
            violations.append(finding(name, message, "Train with v_reset = 0"))
    return Findings(violations=tuple(violations))


def no_bias(graph: Graph, chip: Chip) -> Findings:
    """Nothing is added to a potential without an event."""
    what = plan(graph, forward_delay=0)
    found = [
        finding(
            name,
            f"{np.count_nonzero(bias)} of its {len(bias)} neurons have a bias, the core adds nothing without an event",
            "Train without a bias, or give the network an input that spikes once in every step",
        )
        for name, bias in what.bias.items()
        if bias.any()
    ]
    return Findings(violations=tuple(found))


def lower_bound(graph: Graph, chip: Chip) -> Findings:
    """A potential is bounded below by its register alone."""
    bound = convention_of(graph.metadata).v_min
    if bound is None:
        return Findings()
    least = signed_range(core.STATE_BITS)[0]
    message = f"its potential stops at {bound:g} thresholds, the core's at {least}"
    found = [finding(name, message, "Train without a lower bound") for name in names_of(graph, nir.IF)]
    return Findings(violations=tuple(found))


def recurrence(graph: Graph, chip: Chip) -> Findings:
    """A spike goes around a loop at once: the core has no steps that it could wait for."""
    found = {
        path.target: finding(
            path.target,
            "a loop through it waits for the next step in the graph, on the core its spikes arrive in the same step",
            "Compare the spikes, or train with the core in the loop",
        )
        for path in walk(graph)[0]
        if path.back
    }
    return Findings(warnings=tuple(found.values()))


def event_order(graph: Graph, chip: Chip) -> Findings:
    """Spikes arrive one by one, and the threshold is tested after each; in the graph all of a step arrive together."""
    firing = names_of(graph, nir.IF)
    if not firing:
        return Findings()
    message = "the core tests a threshold after every single spike, the graph after all spikes of a step: excitation that comes"
    message += " before inhibition can fire a neuron, and a neuron can fire twice in a step"
    return Findings(warnings=(finding(", ".join(firing), message, "Judge by the run on this target: snnport run"),))


def threshold_range(program: Program, chip: Chip) -> Findings:
    """A threshold lies in 1..2047: at 0 every event fires the neuron, above 2047 none does."""
    top = signed_range(core.STATE_BITS)[1]
    usage, violations = [], []
    for population in program.populations:
        if population.neuron.family != "if":
            continue
        low, high = int(population.neuron["v_threshold"].min()), int(population.neuron["v_threshold"].max())
        usage.append(Usage("threshold", population.name, high, top, "codes"))
        if low < 1 or high > top:
            message = f"its thresholds span {low}..{high}, the core fires at 1..{top}"
            violations.append(finding(population.name, message, "Quantise with a scale that brings them into range"))
    return Findings(tuple(usage), tuple(violations))


def weight_bits(program: Program, chip: Chip) -> Findings:
    """A synapse holds a signed weight of 4 bits, -8..7."""
    return rules.weight_widths(program, chip, int(chip["weight_bits"]))


def neurons(program: Program, chip: Chip) -> Findings:
    """Neurons and inputs together have no more than 256 addresses: an input takes a row of the crossbar."""
    used, limit = sum(p.size for p in program.populations), int(chip["neurons"])
    inputs = sum(p.size for p in program.populations if p.neuron.family == "input")
    message = f"its {inputs} inputs and {used - inputs} neurons need {used} addresses, the core has {limit}"
    violations = (finding(chip.name, message, "Use a smaller network, or pool the input first"),) if used > limit else ()
    return Findings((Usage("addresses", chip.name, used, limit, "addresses"),), violations)


def synapses(program: Program, chip: Chip) -> Findings:
    """Two neurons share one synapse: where several ways join them, or a window holds a neuron twice, the sum must fit it."""
    if sum(p.size for p in program.populations) > core.NEURONS:
        return Findings()
    weights = crossbar(program)
    low, high = signed_range(int(chip["weight_bits"]))
    usage = Usage("synapses", chip.name, int(np.count_nonzero(weights)), int(chip["synapses"]), "synapses")
    least, most = int(weights.min()), int(weights.max())
    wide = [
        p.name for p in program.projections if p.synapse.codes.min(initial=0) < low or p.synapse.codes.max(initial=0) > high
    ]
    if wide or (low <= least and most <= high):
        return Findings((usage,))
    message = f"the ways between two neurons add up to {least}..{most}, a synapse holds {low}..{high}"
    return Findings((usage,), (finding(chip.name, message, "Use one way between two populations, or smaller weights"),))


def state_range(program: Program, chip: Chip) -> Findings:
    """A potential has 12 bits and saturates: below under inhibition, an integrator above as well."""
    least, most = signed_range(core.STATE_BITS)
    warnings = []
    for population in program.populations:
        into = program.into(population.name)
        down = -min((int(p.synapse.codes.min(initial=0)) for p in into), default=0)
        up = max((int(p.synapse.codes.max(initial=0)) for p in into), default=0)
        up = up if population.neuron.family == "integrator" else 0
        spikes = [bound // weight for bound, weight in ((-least, down), (most, up)) if weight > 0]
        if spikes:
            message = f"its potential saturates at {least}..{most}, after {min(spikes)} spikes over its largest weight"
            warnings.append(finding(population.name, message, "Keep samples short enough; saturations are counted"))
    return Findings(warnings=tuple(warnings))


def core_widths(program: Program, chip: Chip) -> Findings:
    """The engine is the RTL: a variant may have fewer addresses and another host, not other widths."""
    own = {
        "cores": 1,
        "weight_bits": core.WEIGHT_BITS,
        "state_bits": core.STATE_BITS,
        "threshold_bits": core.THRESHOLD_BITS,
        "leak_bits": core.LEAK_BITS,
        "event_bits": core.EVENT_BITS,
        "fifo_entries": core.FIFO_ENTRIES,
        "synapses": core.NEURONS**2,
    }
    found = [
        finding(chip.name, f"{name} is {chip[name]}, the core that is simulated has {value}", f"Write {name} = {value}")
        for name, value in own.items()
        if chip[name] != value
    ]
    if not 1 <= int(chip["neurons"]) <= core.NEURONS:
        message = f"neurons is {chip['neurons']}, the core that is simulated has {core.NEURONS} addresses"
        found.append(finding(chip.name, message, f"Write 1..{core.NEURONS}"))
    return Findings(violations=tuple(found))


GRAPH_RULES = (
    supported_nodes,
    linear_leak,
    path_form,
    integer_weights,
    hard_reset_to_zero,
    no_bias,
    lower_bound,
    recurrence,
    event_order,
)
PROGRAM_RULES = (threshold_range, weight_bits, neurons, synapses, state_range, core_widths)
