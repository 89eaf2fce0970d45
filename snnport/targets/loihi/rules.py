"""The rules of Loihi for a graph: nodes, times, thresholds, resets. program_rules.py has those for a placed program."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from snnport.chip import Chip
from snnport.convention import PLAIN, coding_of, convention_of
from snnport.graph import Graph, names_of
from snnport.nodes import AdaptiveLIF
from snnport.passes.quantize_planes import TOP
from snnport.targets import rules
from snnport.targets.base import Findings, Usage, finding
from snnport.targets.decay_codes import ONE
from snnport.targets.graded import NUMBERS
from snnport.targets.loihi.adaptive import programmable
from snnport.targets.loihi.code_rules import persistent_current
from snnport.targets.loihi.cuba import NEURONS, cuba_nodes, fields_of, sketch
from snnport.targets.loihi.trained import feedback_slips

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
LEAKY = (nir.LIF, nir.CubaLIF, nir.LI, nir.CubaLI, AdaptiveLIF)


def supported_nodes(graph: Graph, chip: Chip) -> Findings:
    """The chip has leaky and perfect integrate-and-fire neurons with and without synaptic currents, weights and delays."""
    return rules.unsupported(graph, chip, NODES)


def graded_spikes(graph: Graph, chip: Chip) -> Findings:
    """Spikes that carry a number need a chip that has them."""
    coding = coding_of(graph.metadata)
    if coding is None or coding.code not in NUMBERS or int(chip["graded_spike_bits"]):
        return Findings()
    message = "the network sends numbers, spikes of this chip carry none"
    return Findings(violations=(finding(chip.name, message, "Convert with --code ramp, or use loihi2"),))


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
    if convention.reset != "subtract":
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
    firing = names_of(graph, nir.IF, nir.LIF, nir.CubaLIF, AdaptiveLIF)
    if bound is None or not firing:
        return Findings()
    message = f"{len(firing)} populations keep their potential above {bound:g} thresholds, the chip lets it fall to -2^23"
    return Findings(violations=(finding(", ".join(firing), message, "Train without a lower bound"),))


def feedback(graph: Graph, chip: Chip) -> Findings:
    """Every spike takes a step a layer, so that feedback to an earlier layer comes later than in the network."""
    if coding_of(graph.metadata) is not None:
        return Findings()
    found = [
        finding(
            name, f"its feedback arrives {late} steps later than in the network", "Compare the spikes, or train with that delay"
        )
        for name, late in feedback_slips(sketch(graph))
    ]
    return Findings(warnings=tuple(found))


def decay_range(graph: Graph, chip: Chip) -> Findings:
    """A decay is a fraction of 4096 a step: 12 bits for the potential, 1 to 4096 for the current."""
    top = (1 << int(chip["decay_bits"])) - 1
    usage, violations, warnings = [], [], []
    what = sketch(graph)
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
    what = sketch(graph)
    for name in names_of(graph, nir.IF, nir.LIF, nir.CubaLIF, AdaptiveLIF):
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
    """A bias comes from a neuron that fires in every step, through planes of weights: up to 255 * 2^7 codes."""
    if coding_of(graph.metadata) is not None:
        return Findings()
    what = sketch(graph)
    found = []
    for name in cuba_nodes(what):
        worst = int(np.abs(what.bias[name]).max(initial=0))
        if worst > TOP:
            message = f"its bias reaches {worst} codes, planes of weights hold up to {TOP}"
            found.append(finding(name, message, "Quantise for this target"))
    return Findings(violations=tuple(found))


GRAPH_RULES = (
    supported_nodes,
    programmable,
    graded_spikes,
    path_form,
    integer_weights,
    time_step,
    subtracting_reset,
    reset_value,
    lower_bound,
    feedback,
    decay_range,
    threshold_range,
    comparison,
    bias_range,
    persistent_current,
)
