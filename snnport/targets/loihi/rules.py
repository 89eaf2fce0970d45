"""The rules of Loihi 2. Numbers that Intel has not published are Loihi 1's, or low in confidence: chip.toml says which."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from snnport.chip import Chip
from snnport.convention import PLAIN, coding_of, convention_of
from snnport.fixed import signed_range
from snnport.graph import Graph, names_of
from snnport.program import Conv, Dense, Program
from snnport.targets import rules
from snnport.targets.base import Findings, Usage, finding
from snnport.targets.intervals import LIF_UNIT, analyse
from snnport.targets.loihi.cuba import NEURONS, ONE, bias_fields, cuba_nodes, fields_of
from snnport.targets.loihi.memory import demand
from snnport.targets.lowering import plan
from snnport.targets.placement import on_chip

NODES = (
    nir.Input,
    nir.Output,
    *NEURONS,
    nir.I,
    nir.Affine,
    nir.Linear,
    nir.Conv1d,
    nir.Conv2d,
    nir.Scale,
    nir.SumPool2d,
    nir.Flatten,
    nir.Delay,
)
LEAKY = (nir.LIF, nir.CubaLIF, nir.LI, nir.CubaLI)


def supported_nodes(graph: Graph, chip: Chip) -> Findings:
    """The chip has leaky and perfect integrate-and-fire neurons with and without synaptic currents, weights and delays."""
    return rules.unsupported(graph, chip, NODES)


def path_form(graph: Graph, chip: Chip) -> Findings:
    """Between two populations: sum poolings that are one pooling, then at most one weighted node; delays of whole steps."""
    return rules.malformed_paths(graph, chip)


def integer_weights(graph: Graph, chip: Chip) -> Findings:
    """Weights, biases, thresholds and resets are integer multiples of one scale a population."""
    return rules.non_integers(graph, chip)


def time_step(graph: Graph, chip: Chip) -> Findings:
    """Decays are fractions a step, so a network with leaky neurons must say how long its step is."""
    leaky = names_of(graph, *LEAKY)
    if not leaky or convention_of(graph.metadata) is not PLAIN:
        return Findings()
    message = f"{len(leaky)} populations decay over seconds, and the graph does not say how many seconds a step takes"
    return Findings(violations=(finding(", ".join(leaky), message, "Give --dialect or --dt"),))


def subtracting_reset(graph: Graph, chip: Chip) -> Findings:
    """A neuron that fires goes back to 0; no threshold can be subtracted."""
    coding, convention = coding_of(graph.metadata), convention_of(graph.metadata)
    if coding is None and convention.reset != "subtract":
        return Findings()
    firing = names_of(graph, nir.IF, nir.LIF, nir.CubaLIF)
    soft = [n for n in firing if coding is None or coding.windows[n].role in ("gated", "free")]
    if not soft:
        return Findings()
    message = f"{len(soft)} populations subtract their threshold when they fire, the chip's neuron goes back to 0"
    remedy = "Train with a reset to zero"
    if coding is not None:
        remedy = f"Convert with a code that needs no subtraction: ramp, graded or ttfs, instead of {coding.code}"
    return Findings(violations=(finding(", ".join(soft), message, remedy),))


def reset_value(graph: Graph, chip: Chip) -> Findings:
    """After a spike the potential is at rest: v_reset equals v_leak."""
    convention = convention_of(graph.metadata)
    found = []
    for name in names_of(graph, nir.IF, nir.LIF, nir.CubaLIF):
        node: Any = graph.nodes[name]
        back = node.v_reset if convention.reset == "value" else np.zeros(())
        worst = float(np.abs(back - getattr(node, "v_leak", 0.0)).max(initial=0.0))
        if convention.reset != "subtract" and worst > 0:
            message = f"it resets to {worst:.6g} away from rest, the chip resets to rest"
            found.append(finding(name, message, "Train with v_reset = v_leak"))
    return Findings(violations=tuple(found))


def lower_bound(graph: Graph, chip: Chip) -> Findings:
    """Potentials have no lower bound but that of their register."""
    bound = convention_of(graph.metadata).v_min
    firing = names_of(graph, nir.IF, nir.LIF, nir.CubaLIF)
    if bound is None or not firing:
        return Findings()
    message = f"{len(firing)} populations keep their potential above {bound:g} thresholds, the chip lets it fall to -2^23"
    return Findings(violations=(finding(", ".join(firing), message, "Train without a lower bound"),))


def current_bias(graph: Graph, chip: Chip) -> Findings:
    """A bias is added to the potential. In a neuron with a synaptic current the network adds it to the current."""
    what = plan(graph, forward_delay=1)
    found = [
        finding(
            name,
            f"{np.count_nonzero(what.bias[name])} of its {len(what.bias[name])} neurons have a bias that enters their current",
            "Train without a bias, or use LIF neurons",
        )
        for name in names_of(graph, nir.CubaLIF, nir.CubaLI)
        if what.bias[name].any()
    ]
    return Findings(violations=tuple(found))


def decay_range(graph: Graph, chip: Chip) -> Findings:
    """A decay is a fraction of 4096 a step: 12 bits for the potential, 1 to 4096 for the current."""
    top = (1 << int(chip["decay_bits"])) - 1
    usage, violations, warnings = [], [], []
    what = plan(graph, forward_delay=1)
    for name in names_of(graph, *LEAKY):
        fields = fields_of(what, name)
        if fields is None:
            continue
        current = isinstance(graph.nodes[name], nir.CubaLIF | nir.CubaLI)
        most = int(fields.potential.max(initial=0))
        usage.append(Usage("decay", name, most, top, "1/4096"))
        slowest = int(fields.current.min(initial=ONE)) if current else ONE
        if most > top or slowest < 1 or int(fields.current.max(initial=0)) > ONE:
            message = f"it decays by {most}/4096 and {slowest}/4096 a step, the fields hold 0..{top} and 1..4096"
            violations.append(finding(name, message, "Use another time step or longer time constants"))
        elif np.any(fields.potential == 0):
            message = "its potential decays by less than 1/4096 a step and keeps all of it"
            warnings.append(finding(name, message, "Use a longer time step"))
    return Findings(tuple(usage), tuple(violations), tuple(warnings))


def threshold_range(graph: Graph, chip: Chip) -> Findings:
    """A threshold is an unsigned field of 17 bits over the resting potential, at least 1."""
    top = (1 << int(chip["threshold_bits"])) - 1
    usage, violations = [], []
    what = plan(graph, forward_delay=1)
    for name in names_of(graph, nir.IF, nir.LIF, nir.CubaLIF):
        fields = fields_of(what, name)
        if fields is None:
            continue
        low, high = int(fields.vth.min()), int(fields.vth.max())
        usage.append(Usage("threshold", name, high, top, "codes"))
        if low < 1 or high > top:
            message = f"its threshold field spans {low}..{high}, the chip holds 1..{top}"
            violations.append(finding(name, message, "Quantise with a scale that brings it into range"))
    return Findings(tuple(usage), tuple(violations))


def comparison(graph: Graph, chip: Chip) -> Findings:
    """The chip fires on v > threshold. A leaky neuron that fires on >= differs where the two are exactly equal."""
    if convention_of(graph.metadata).comparison == ">":
        return Findings()
    found = [
        finding(name, "it fires at its threshold, the chip only above it: equal potentials differ", "Compare the spikes")
        for name in names_of(graph, nir.LIF, nir.CubaLIF)
    ]
    return Findings(warnings=tuple(found))


def bias_range(graph: Graph, chip: Chip) -> Findings:
    """A bias is a signed mantissa of 13 bits, shifted left by up to 7, in 1/64 of a weight code."""
    top = (1 << (int(chip["bias_bits"]) - 1)) - 1
    what = plan(graph, forward_delay=1)
    found = []
    for name in cuba_nodes(what):
        fields = fields_of(what, name)
        if fields is None:
            continue
        mant, exponent = bias_fields(fields.bias, top)
        if np.abs(mant).max(initial=0) > top or np.any(mant << exponent != fields.bias):
            worst = int(np.abs(fields.bias).max()) // LIF_UNIT
            message = f"its bias reaches {worst} codes, the chip holds multiples of 2 up to {(top << 7) // LIF_UNIT}"
            found.append(finding(name, message, "Quantise for this target"))
    return Findings(violations=tuple(found))


def pool_overlap(program: Program, chip: Chip) -> Findings:
    """A pooling is folded into the weights behind it; where windows overlap, a synapse would need a sum of weights."""
    found = [
        finding(
            p.name,
            f"the pooling before it has kernel {p.pool.kernel_size} and stride {p.pool.stride}: windows overlap",
            "Use stride = kernel, or put a neuron between",
        )
        for p in program.projections
        if p.pool is not None
        and isinstance(p.synapse, Dense | Conv)
        and any(k > s for k, s in zip(p.pool.kernel_size, p.pool.stride, strict=True))
    ]
    return Findings(violations=tuple(found))


def weight_range(program: Program, chip: Chip) -> Findings:
    """Synapses of one sign hold 0..255 in absolute value, of both signs the even numbers -256..254."""
    low_limit, high_limit = (int(v) for v in chip["weight_mixed"])
    one_sign = int(chip["weight_one_sign"])
    usage, violations = [], []
    for projection in rules.synapses(program):
        codes = projection.synapse.codes
        low, high = rules.span(projection)
        mixed = low < 0 < high
        usage.append(Usage("weight", projection.name, max(-low, high), -low_limit if mixed else one_sign, "codes"))
        if mixed and (low < low_limit or high > high_limit or np.any(codes % 2)):
            message = f"its codes span {low}..{high}, of both signs the chip holds even numbers {low_limit}..{high_limit}"
        elif not mixed and max(-low, high) > one_sign:
            message = f"its codes span {low}..{high}, of one sign the chip holds up to {one_sign}"
        else:
            continue
        violations.append(finding(projection.name, message, f"Quantise with --bits {chip['weight_bits']}"))
    return Findings(tuple(usage), tuple(violations))


def accumulator_range(program: Program, chip: Chip) -> Findings:
    """What arrives at a neuron in one step stays in the dendritic accumulator, whatever spikes: interval analysis."""
    least, most = signed_range(int(chip["accumulator_bits"]))
    usage, violations = [], []
    for name, bounds in analyse(program).items():
        if program.population(name).neuron.family != "cuba":
            continue
        low, high = bounds.step
        usage.append(Usage("accumulator", name, max(-low, high), most, "codes"))
        if low <= least or high > most:
            message = f"up to {low}..{high} arrive in one step, the accumulator holds {least + 1}..{most}"
            violations.append(finding(name, message, "Use fewer weight bits or a smaller fan-in"))
    return Findings(tuple(usage), tuple(violations))


def state_range(program: Program, chip: Chip) -> Findings:
    """Current and potential stay in their 24-bit registers, whatever spikes: interval analysis. v saturates, u would wrap."""
    bits = int(chip["state_bits"])
    found = rules.state_widths(program, chip, bits, LIF_UNIT)
    violations = list(found.violations)
    for name, bounds in analyse(program).items():
        population = program.population(name)
        if population.neuron.family != "cuba":
            continue
        kept = int(population.neuron["du"].min()) + 1
        worst = max(-bounds.step[0], bounds.step[1]) * LIF_UNIT
        if worst and (kept <= 0 or worst * ONE // kept >= 1 << (bits - 1)):
            reach = "without bound" if kept <= 0 else f"to {worst * ONE // kept}"
            message = f"its current can grow {reach}, {bits} bits hold up to {(1 << (bits - 1)) - 1}"
            violations.append(finding(name, message, "Use fewer weight bits or a shorter tau_syn"))
    return Findings(found.usage, tuple(violations), found.warnings)


def delay_range(program: Program, chip: Chip) -> Findings:
    """A synapse delays a spike by up to 62 steps beyond the one that every spike takes."""
    limit = int(chip["delay"])
    found = [
        finding(p.name, f"it delays spikes by {p.delay - 1} steps, the chip by up to {limit}", "Use a longer time step")
        for p in program.projections
        if p.delay - 1 > limit
    ]
    return Findings(violations=tuple(found))


def neurons_per_core(program: Program, chip: Chip) -> Findings:
    """All neurons fit on the cores of one chip."""
    used = sum(p.size for p in on_chip(program))
    limit = int(chip["cores"]) * int(chip["neurons_per_core"])
    message = f"it needs {used} neurons, the chip has {limit} ({chip['cores']} cores of {chip['neurons_per_core']})"
    violations = (finding(chip.name, message, "Use a smaller network"),) if used > limit else ()
    return Findings((Usage("neurons", chip.name, used, limit, "neurons"),), violations)


def input_axons(program: Program, chip: Chip) -> Findings:
    """Source neurons that reach one core: each takes one of the core's input axons."""
    return rules.fullest_core(program, demand(program, chip), "axons", "input-axons", int(chip["input_axons"]), "axons")


def synaptic_memory(program: Program, chip: Chip) -> Findings:
    """Synapse lists of one core: blocks of 64 with a 10-bit header, in words of 64 bits."""
    limit = int(chip["synaptic_memory_bits"])
    return rules.fullest_core(program, demand(program, chip), "bits", "synaptic-memory", limit, "bits")


def cores(program: Program, chip: Chip) -> Findings:
    """The placement needs no more cores than one chip has."""
    return rules.core_count(program, chip)


GRAPH_RULES = (
    supported_nodes,
    path_form,
    integer_weights,
    time_step,
    subtracting_reset,
    reset_value,
    lower_bound,
    current_bias,
    decay_range,
    threshold_range,
    comparison,
    bias_range,
)
PROGRAM_RULES = (
    pool_overlap,
    weight_range,
    accumulator_range,
    state_range,
    delay_range,
    neurons_per_core,
    input_axons,
    synaptic_memory,
    cores,
)
