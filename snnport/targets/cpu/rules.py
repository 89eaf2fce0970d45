"""The rules of the simulated core "cpu". Its numbers are ours to define: chip.toml; its arithmetic: docs/semantics.md."""

from __future__ import annotations

import nir
import numpy as np

from snnport.chip import Chip
from snnport.convention import convention_of
from snnport.fixed import signed_bits
from snnport.graph import Graph, names_of
from snnport.program import Conv, Dense, Program, Projection, Sparse
from snnport.targets import rules
from snnport.targets.base import Findings, Usage, finding
from snnport.targets.cpu.leaky import LEAKY, SYNAPTIC
from snnport.targets.graded_rules import sum_widths
from snnport.targets.intervals import LIF_UNIT, V_TOP, analyse
from snnport.targets.placement import Demand, Load, on_chip
from snnport.targets.synapses import conv_output

WEIGHT_BITS = 8
"""Width of one word of the weight memory, and of a weight."""

NODES = (
    nir.Input,
    nir.Output,
    nir.IF,
    nir.I,
    *LEAKY,
    nir.Affine,
    nir.Linear,
    nir.Conv1d,
    nir.Conv2d,
    nir.Scale,
    nir.SumPool2d,
    nir.Flatten,
    nir.Delay,
)


def supported_nodes(graph: Graph, chip: Chip) -> Findings:
    """The core has integrate-and-fire and leaky neurons, integrators, weights of every kind, sum pooling and delays."""
    return rules.unsupported(graph, chip, NODES)


def path_form(graph: Graph, chip: Chip) -> Findings:
    """Between two populations: sum poolings that are one pooling, then at most one weighted node; delays of whole steps."""
    return rules.malformed_paths(graph, chip)


def integer_weights(graph: Graph, chip: Chip) -> Findings:
    """Weights, biases and thresholds are integer multiples of one scale a population."""
    return rules.non_integers(graph, chip)


def synaptic_neurons(graph: Graph, chip: Chip) -> Findings:
    """A neuron with a synaptic current resets to 0."""
    rule, found = convention_of(graph.metadata), []
    for name in names_of(graph, *SYNAPTIC):
        node = graph.nodes[name]
        back = float(np.max(np.abs(getattr(node, "v_reset", 0.0)))) if rule.reset == "value" else 0.0
        if hasattr(node, "v_threshold") and (back or rule.reset in ("subtract", "none")):
            what = f"a {type(node).__name__} resets by '{rule.reset}' (v_reset {back:g}); the core's resets to 0"
            found.append(finding(name, what, "Train it with a reset to 0"))
    return Findings(violations=tuple(found))


def synaptic_currents(program: Program, chip: Chip) -> Findings:
    """Synaptic currents stay within their 24 bits, whatever spikes: what decays by d stays below 1 / d times what arrives.

    A warning where that cannot be promised: it takes spikes of all sources at once for many steps, and the run counts wraps.
    """
    usage, warnings = [], []
    for name, bounds in analyse(program).items():
        neuron = program.population(name).neuron
        worst = max(-bounds.step[0], bounds.step[1])
        if neuron.family != "cuba" or not worst:
            continue
        kept = int(neuron["du"].min()) + 1
        most = None if kept <= 0 else worst * LIF_UNIT * 4096 // kept
        if most is not None and most <= V_TOP:
            usage.append(Usage("current", name, most, V_TOP, "1/64 code"))
            continue
        what = "never decays" if most is None else f"reaches {most} if every excitatory source fires in every step"
        remedy = "A run counts how often it wraps (u_wraps); use fewer bits or a smaller fan-in if it does"
        warnings.append(finding(name, f"its current {what}; 24 bits hold {V_TOP}", remedy))
    return Findings(tuple(usage), (), tuple(warnings))


def weight_bits(program: Program, chip: Chip) -> Findings:
    """A weight is one word of 8 bits."""
    return rules.weight_widths(program, chip, WEIGHT_BITS)


def state_range(program: Program, chip: Chip) -> Findings:
    """No potential leaves the state register, whatever the input: interval analysis over one sample.

    Leaky neurons saturate (at 24 bits behind a synaptic current), which the run counts.
    """
    found, sums = rules.state_widths(program, chip, int(chip["state_bits"])), sum_widths(program, int(chip["state_bits"]))
    clipped = {p.name for p in program.populations if p.neuron.family == "cuba"}
    usage = tuple(use for use in found.usage if use.where not in clipped)
    violations = tuple(fault for fault in found.violations if fault.where not in clipped)
    return Findings((*usage, *sums.usage), (*violations, *sums.violations), found.warnings)


def neurons(program: Program, chip: Chip) -> Findings:
    """All neurons fit on the cores; inputs and control spikes come from the host and take none."""
    used = sum(p.size for p in on_chip(program))
    limit = int(chip["cores"]) * int(chip["neurons_per_core"])
    over = f"it needs {used} neurons, the chip has {limit} ({chip['cores']} cores of {chip['neurons_per_core']})"
    violations = (finding(chip.name, over, "Use a smaller network"),) if used > limit else ()
    return Findings((Usage("neurons", chip.name, used, limit, "neurons"),), violations)


def weight_memory(program: Program, chip: Chip) -> Findings:
    """The words of weight memory that one core needs for the neurons placed on it.

    A dense row or a diagonal entry takes a word a synapse; a convolution stores the kernels of those output channels
    that the core holds, once; a code wider than 8 bits (a control spike's) takes as many words as it needs.
    """
    return rules.fullest_core(program, demand(program), "words", "weight-memory", int(chip["weight_words"]), "words")


def cores(program: Program, chip: Chip) -> Findings:
    """The placement needs no more cores than there are."""
    return rules.core_count(program, chip)


def limits(chip: Chip) -> Load:
    """What one core has."""
    return {"neurons": int(chip["neurons_per_core"]), "words": int(chip["weight_words"])}


def demand(program: Program) -> Demand:
    """What neurons start..stop-1 of a population take of a core."""
    into = {p.name: program.into(p.name) for p in program.populations}

    def of(name: str, start: int, stop: int) -> Load:
        return {"neurons": stop - start, "words": sum(_words(projection, start, stop) for projection in into[name])}

    return of


def _words(projection: Projection, start: int, stop: int) -> int:
    """Words of weight memory that targets start..stop-1 of `projection` take."""
    if stop <= start:
        return 0
    codes = projection.synapse.codes
    wide = signed_bits(int(codes.min(initial=0)), int(codes.max(initial=0)))
    width = -(-wide // WEIGHT_BITS)
    if isinstance(projection.synapse, Dense):
        return width * (stop - start) * int(codes.shape[1])
    if isinstance(projection.synapse, Conv):
        from_channel, to_channel = (index // _positions(projection.synapse) for index in (start, stop - 1))
        return width * (to_channel - from_channel + 1) * int(np.prod(codes.shape[1:]))
    if isinstance(projection.synapse, Sparse):
        target = projection.synapse.target
        return width * int(np.count_nonzero((target >= start) & (target < stop)))
    return width * (stop - start)


def _positions(conv: Conv) -> int:
    _, height, width = conv_output(conv)
    return height * width


GRAPH_RULES = (supported_nodes, path_form, integer_weights, synaptic_neurons)
PROGRAM_RULES = (weight_bits, state_range, synaptic_currents, neurons, weight_memory, cores)
