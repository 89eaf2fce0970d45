"""The rules of Xylo. Its numbers are in the chip files; its arithmetic: docs/semantics.md, xylo."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from snnport.chip import Chip
from snnport.convention import coding_of, convention_of
from snnport.fixed import signed_range
from snnport.graph import Graph, names_of
from snnport.nodes import NEURON_NODES
from snnport.passes.paths import output_populations, walk
from snnport.passes.quantize_snn import decays
from snnport.passes.xylo_form import LEAST_MEMBRANE, LEAST_SYNAPSE, dash_of
from snnport.program import Population, Program, Projection, Sparse
from snnport.targets import rules
from snnport.targets.base import Findings, Usage, Violation, finding
from snnport.targets.lowering import plan

WEIGHTS = (nir.Affine, nir.Linear, nir.Scale, nir.Conv1d, nir.Conv2d, nir.SumPool2d)
NODES = (nir.Input, nir.Output, nir.CubaLIF, nir.Flatten, *WEIGHTS)
PREPARE = "Let snnport quantise it for this chip: snnport quantize --target"


def supported_nodes(graph: Graph, chip: Chip) -> Findings:
    """The core has leaky neurons with a synaptic current; every weight is a synapse of its own."""
    return rules.unsupported(graph, chip, NODES)


def path_form(graph: Graph, chip: Chip) -> Findings:
    """Between two populations: sum poolings that are one pooling, then at most one weighted node."""
    return rules.malformed_paths(graph, chip)


def integer_weights(graph: Graph, chip: Chip) -> Findings:
    """Weights, thresholds and constants are integer multiples of one scale a population."""
    return rules.non_integers(graph, chip)


def subtracting_reset(graph: Graph, chip: Chip) -> Findings:
    """A neuron that fires loses its threshold, once for every spike, and fires on v >= threshold; nothing bounds v below."""
    cells, rule = names_of(graph, nir.CubaLIF), convention_of(graph.metadata)
    where = ", ".join(cells) or chip.name
    found = []
    if coding_of(graph.metadata) is not None:
        found.append(finding(where, "a converted network loads potentials at set steps, Xylo cannot", "Use the target cpu"))
    elif cells and rule.reset != "subtract":
        message = f"its neurons reset by '{rule.reset}', {chip.name} subtracts the threshold"
        found.append(finding(where, message, "Train with a subtracting reset"))
    if rule.v_min is not None and cells:
        message = f"its potential stops at {rule.v_min:g} thresholds, that of {chip.name} at -32768"
        found.append(finding(where, message, "Train without a lower bound"))
    return Findings(violations=tuple(found))


def decay_shifts(graph: Graph, chip: Chip) -> Findings:
    """A step takes v >> dash off a state: a time constant is dt times a power of two."""
    rule = convention_of(graph.metadata)
    found = []
    for name in names_of(graph, nir.CubaLIF):
        lost = decays(graph.nodes[name], rule)
        for field, part, least in zip(("tau_syn", "tau_mem"), lost, (LEAST_SYNAPSE, LEAST_MEMBRANE), strict=True):
            exact = 2.0 ** -dash_of(part, least).astype(np.float64)
            if not np.allclose(exact, part, rtol=1e-9, atol=0.0):
                worst = float(np.asarray(rule.dt / part).reshape(-1)[int(np.argmax(np.abs(exact / part - 1)))])
                message = f"its {field} is {worst:.6g} s, no power of two (from {2**least} on) of steps of {rule.dt:g} s"
                found.append(finding(name, message, f"{PREPARE} {chip.target}"))
    return Findings(violations=tuple(found))


def one_output_layer(graph: Graph, chip: Chip) -> Findings:
    """Outputs are read from one population; it hears hidden neurons alone, and nothing hears it."""
    outputs = output_populations(graph)
    inputs = names_of(graph, nir.Input)
    found = []
    if len(outputs) != 1 or len(inputs) != 1:
        message = f"it has {len(inputs)} inputs and reads {len(outputs)} populations, {chip.name} has 1 and 1"
        found.append(finding(chip.name, message, "Split the network"))
    for path in walk(graph)[0]:
        if path.target in outputs and path.source in inputs:
            found.append(
                finding(path.target, "inputs reach it, output neurons hear hidden neurons alone", "Add a hidden layer")
            )
        if path.source in outputs:
            message = f"its spikes go on to '{path.target}', those of output neurons leave the chip"
            found.append(finding(path.source, message, "Put another population in front of the output"))
    return Findings(violations=tuple(dict.fromkeys(found)))


def spike_timing(graph: Graph, chip: Chip) -> Findings:
    """A spike of a hidden neuron arrives a step later, also where the graph hands it on at once."""
    late = sorted({p.target for p in walk(graph)[0] if isinstance(graph.nodes[p.source], NEURON_NODES) and not p.back})
    if not late:
        return Findings()
    message = f"spikes of other populations reach it one step later than in the graph; so do all behind it on {chip.name}"
    warnings = [finding(name, message, "Compare traces with --delay, and give samples as many silent steps") for name in late]
    return Findings(warnings=tuple(warnings))


def biases(graph: Graph, chip: Chip) -> Findings:
    """A constant is added to v, not to the current, and 16 bits hold it."""
    what = plan(graph, forward_delay=1)
    low, high = signed_range(int(chip["state_bits"]))
    found = []
    for name in names_of(graph, nir.CubaLIF):
        node: Any = graph.nodes[name]
        if np.any(what.bias[name]):
            message = "it has a bias in front of its synapses, Xylo adds constants behind them"
            found.append(finding(name, message, f"{PREPARE} {chip.target}"))
        q = what.scale.get(name)
        if q is None:
            continue
        constant = float(np.abs(decays(node, what.convention)[1] * np.asarray(node.v_leak) / q).max(initial=0.0))
        if constant > high:
            message = f"its constant input reaches {constant:.0f}, {low}..{high} fit"
            found.append(finding(name, message, "Quantise with a smaller theta"))
    return Findings(violations=tuple(found))


# ------------------------------------------------------------------------------------------------------------- programs


def neurons(program: Program, chip: Chip) -> Findings:
    """Inputs, hidden and output neurons fit."""
    counts = {
        "inputs": sum(p.size for p in program.populations if p.name in program.inputs),
        "hidden": sum(p.size for p in hidden(program)),
        "outputs": sum(p.size for p in program.populations if p.name in program.outputs),
    }
    usage = tuple(Usage(kind, chip.name, n, int(chip[kind]), "neurons") for kind, n in counts.items())
    found = [
        finding(chip.name, f"it needs {n} {kind}, the chip has {chip[kind]}", "Use a smaller network")
        for kind, n in counts.items()
        if n > int(chip[kind])
    ]
    return Findings(usage, tuple(found))


def weight_bits(program: Program, chip: Chip) -> Findings:
    """A weight has 8 bits, and all weights of a matrix (input, recurrent, output) are shifted left by the same number."""
    wide = rules.weight_widths(program, chip, int(chip["weight_bits"]))
    limit = int(chip["most_shift"])
    usage = tuple(Usage("weight-shift", p.name, p.exponent, limit, "bits") for p in program.projections)
    found = [
        finding(p.name, f"its weights are shifted by {p.exponent}, the chip shifts by up to {limit}", "Use a smaller theta")
        for p in program.projections
        if p.exponent > limit
    ]
    return Findings((*wide.usage, *usage), (*wide.violations, *found))


def thresholds(program: Program, chip: Chip) -> Findings:
    """A threshold is in 1..32767."""
    top = signed_range(int(chip["state_bits"]))[1]
    usage, found = [], []
    for p in program.populations:
        if p.neuron.family == "xylo":
            low, high = int(p.neuron["v_threshold"].min()), int(p.neuron["v_threshold"].max())
            usage.append(Usage("threshold", p.name, high, top, "codes"))
            if low < 1 or high > top:
                found.append(finding(p.name, f"its thresholds span {low}..{high}, 1..{top} fit", "Quantise with another theta"))
    return Findings(tuple(usage), tuple(found))


def fan_out(program: Program, chip: Chip) -> Findings:
    """A hidden neuron has so many synapses, to hidden and output neurons together."""
    limit = int(chip["fan_out"])
    most = 0
    found: list[Violation] = []
    for p in hidden(program):
        counts = np.zeros(p.size, np.int64)
        for q in program.projections:
            if q.source == p.name and isinstance(q.synapse, Sparse):
                np.add.at(counts, q.synapse.source, 1)
        most = max(most, int(counts.max(initial=0)))
        over = int(np.count_nonzero(counts > limit))
        if over:
            message = f"{over} of its neurons have up to {counts.max()} synapses, the chip has {limit} for each"
            found.append(finding(p.name, message, "Prune weights, or use fewer neurons in the layers it reaches"))
    return Findings((Usage("fan-out", chip.name, most, limit, "synapses"),), tuple(found))


def reach(program: Program, chip: Chip) -> Findings:
    """Inputs reach the first hidden neurons, the last hidden neurons reach outputs; the order is that of the populations."""
    first = offsets(program)
    total = sum(p.size for p in hidden(program))
    found = []
    into, out_of = int(chip["input_reach"]), int(chip["output_reach"])
    for q in program.projections:
        synapse: Any = q.synapse
        end = matrix_of(program, q)
        if not len(synapse.codes):
            continue
        if end == "input" and first[q.target] + int(synapse.target.max()) >= into:
            where = first[q.target] + int(synapse.target.max())
            found.append(
                finding(q.name, f"inputs reach hidden neuron {where}, they can reach the first {into}", "Put it first")
            )
        if end == "output" and first[q.source] + int(synapse.source.min()) < total - out_of:
            where = first[q.source] + int(synapse.source.min())
            message = f"hidden neuron {where} of {total} reaches outputs, only the last {out_of} can"
            found.append(finding(q.name, message, "Put it last"))
    return Findings(violations=tuple(found))


def matrix_of(program: Program, projection: Projection) -> str:
    """Which of the chip's three matrices holds the weights of `projection`: input, recurrent or output."""
    if projection.source in program.inputs:
        return "input"
    return "output" if projection.target in program.outputs else "recurrent"


def saturation(program: Program, chip: Chip) -> Findings:
    """Currents and potentials of 16 bits saturate; so does an input at 15 spikes a step."""
    top = signed_range(int(chip["state_bits"]))[1]
    warnings = []
    for p in program.populations:
        if p.neuron.family != "xylo":
            continue
        worst = 0
        for q in program.into(p.name):
            synapse: Any = q.synapse
            sums = np.zeros(p.size, np.int64)
            np.add.at(sums, synapse.target, np.abs(synapse.codes.astype(np.int64)) << q.exponent)
            worst = max(worst, int(sums.max(initial=0)))
        if worst > top:
            message = f"if all its sources fired at once its current would reach {worst}, 16 bits hold {top}"
            warnings.append(finding(p.name, message, "Saturations are counted in the run; a smaller theta leaves more room"))
    return Findings(warnings=tuple(warnings))


def hidden(program: Program) -> tuple[Population, ...]:
    """The hidden populations, in the order of the chip's neurons."""
    return tuple(p for p in program.populations if p.neuron.family == "xylo" and p.name not in program.outputs)


def offsets(program: Program) -> dict[str, int]:
    """The hidden neuron at which each hidden population begins."""
    found, at = {}, 0
    for p in hidden(program):
        found[p.name] = at
        at += p.size
    return found


GRAPH_RULES = (
    *(supported_nodes, path_form, integer_weights, subtracting_reset, decay_shifts, one_output_layer, spike_timing, biases),
)
PROGRAM_RULES = (neurons, weight_bits, thresholds, fan_out, reach, saturation)
