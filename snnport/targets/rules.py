"""Rules that several targets share. A target's rules.py wraps them in functions whose names and docstrings are its own."""

from __future__ import annotations

from collections.abc import Iterator

import nir
import numpy as np

from snnport.chip import Chip
from snnport.convention import convention_of
from snnport.fixed import signed_bits, signed_range
from snnport.graph import Graph, names_of
from snnport.nodes import ANN_NODES, NEURON_NODES, WEIGHTED_NODES
from snnport.passes.paths import walk
from snnport.program import Program, Projection
from snnport.targets.base import Findings, Usage, Violation, finding
from snnport.targets.intervals import analyse
from snnport.targets.lowering import delay_of, unit_code
from snnport.targets.placement import Demand, core_loads, core_name
from snnport.targets.synapses import composes, integers, scale_of, weight_of

QUANTISE = "Quantise the network: snnport quantize"


def unsupported(graph: Graph, chip: Chip, allowed: tuple[type[nir.NIRNode], ...]) -> Findings:
    """A violation for every node that is not of one of the `allowed` types."""
    known = ", ".join(kind.__name__ for kind in allowed)
    found = []
    for name, node in graph.nodes.items():
        if isinstance(node, allowed):
            continue
        kind = type(node).__name__
        if isinstance(node, nir.AvgPool2d):
            remedy = "Use SumPool2d and divide the weights behind it by its size: the pass sum-pool does"
        elif isinstance(node, ANN_NODES):
            remedy = "Convert the network to spikes first: snnport convert"
        else:
            remedy = f"It takes {known}"
        found.append(finding(name, f"{_article(kind)} {kind} has no counterpart on {chip.name}", remedy))
    return Findings(violations=tuple(found))


def _article(kind: str) -> str:
    return "an" if kind[0] in "AEIO" else "a"


def malformed_paths(graph: Graph, chip: Chip) -> Findings:
    """Everything between populations that is not poolings, then at most one weighted node, with whole-step delays."""
    paths, problems = walk(graph)
    found = [finding(p.where, p.message, p.remedy) for p in problems]
    for path in paths:
        if not composes(graph, path):
            found.append(
                finding(
                    path.pools[-1],
                    f"the {len(path.pools)} poolings {', '.join(path.pools)} are not one: windows overlap or are padded",
                    "Use stride = kernel and padding 0 in all but the last, or put a neuron between them",
                )
            )
        if not delay_of(graph, path).is_integer():
            step = convention_of(graph.metadata).dt
            found.append(
                finding(path.delays[0], f"its delay is not one whole number of steps of {step:g} s", "Round it, or give --dt")
            )
    return Findings(violations=tuple(found))


def non_integers(graph: Graph, chip: Chip) -> Findings:
    """Weights, biases, thresholds and resets that are no multiples of a scale in the metadata, or of different scales."""
    found = [v for name in names_of(graph, *WEIGHTED_NODES) for v in _weight_faults(graph, name)]
    for name in names_of(graph, *NEURON_NODES):
        found.extend(_neuron_faults(graph, name))
    for path in walk(graph)[0]:
        own = scale_of(graph.nodes[path.target])
        if own is None:
            continue
        if path.weighted is None:
            if unit_code(own) is None:
                where = path.pools[0] if path.pools else f"{path.source} -> {path.target}"
                what = f"its weight is 1, which is no multiple of the scale {own:.6g} of '{path.target}'"
                found.append(finding(where, what, QUANTISE))
            continue
        scale = scale_of(graph.nodes[path.weighted])
        if scale is not None and not np.isclose(scale, own, rtol=1e-6):
            what = f"its scale is {scale:.6g}, that of '{path.target}' is {own:.6g}"
            found.append(finding(path.weighted, what, QUANTISE))
    return Findings(violations=tuple(found))


def _weight_faults(graph: Graph, name: str) -> Iterator[Violation]:
    node = graph.nodes[name]
    scale = scale_of(node)
    if scale is None:
        yield finding(name, "its weights are real numbers, with no scale in its metadata", QUANTISE)
    elif integers(weight_of(node), scale, name) is None:
        yield finding(name, f"its weights are no multiples of its scale {scale:.6g}", QUANTISE)
    elif integers(getattr(node, "bias", 0.0), scale, name) is None:
        yield finding(name, f"its bias is no multiple of its scale {scale:.6g}", QUANTISE)


def _neuron_faults(graph: Graph, name: str) -> Iterator[Violation]:
    node = graph.nodes[name]
    scale = scale_of(node)
    if scale is None:
        yield finding(name, "its parameters are real numbers, with no scale in its metadata", QUANTISE)
        return
    for field in ("v_threshold", "v_reset", "v_leak"):
        if hasattr(node, field) and integers(getattr(node, field), scale, name) is None:
            yield finding(name, f"its {field} is no multiple of its scale {scale:.6g}", QUANTISE)


# --------------------------------------------------------------------------------------------------------- programs


def weight_widths(program: Program, chip: Chip, bits: int) -> Findings:
    """Synaptic codes wider than `bits` bits. Control spikes are not weights: they carry the gate of a population."""
    usage, violations = [], []
    for projection in synapses(program):
        low, high = span(projection)
        used = signed_bits(low, high)
        usage.append(Usage("weight-bits", projection.name, used, bits, "bits"))
        if used > bits:
            least, most = signed_range(bits)
            message = f"its codes span {low}..{high}, {bits} bits hold {least}..{most}"
            violations.append(finding(projection.name, message, f"Quantise with --bits {bits}"))
    return Findings(tuple(usage), tuple(violations))


def state_widths(program: Program, chip: Chip, bits: int, unit: int = 1) -> Findings:
    """Potentials that can leave the two's complement range of `bits` bits.

    unit: how many steps of the register one code is. Where no bound exists, because the network has no fixed number of
    steps, the register saturates: a warning, with the number of steps that it takes at least.
    """
    usage, violations, warnings = [], [], []
    least, most = signed_range(bits)
    for name, bounds in analyse(program).items():
        family = program.population(name).neuron.family
        if family not in ("if", "integrator", "cuba", "slope"):
            continue
        low, high = bounds.v
        used = signed_bits(min(low or 0, 0), max(high or 0, 0))
        usage.append(Usage("state-bits", name, used, bits, "bits"))
        if (low is not None and low < least) or (high is not None and high > most):
            message = f"its potential spans {low}..{high}, {bits} bits hold {least}..{most}"
            violations.append(finding(name, message, "Use fewer weight bits, fewer levels or a smaller fan-in"))
        fastest = max(-bounds.step[0] if low is None else 0, bounds.step[1] if high is None else 0) * unit
        if fastest:
            message = (
                f"its potential can move by {fastest} a step without bound, {bits} bits saturate after {most // fastest} steps"
            )
            warnings.append(finding(name, message, "Give it a leak or shorter samples if inhibition lasts that long"))
    return Findings(tuple(usage), tuple(violations), tuple(warnings))


def fullest_core(program: Program, demand: Demand, key: str, name: str, limit: int, unit: str) -> Findings:
    """How much of resource `key` the fullest core uses, and a violation for each population too large for any core."""
    loads = core_loads(program, demand)
    if not loads:
        return Findings()
    core = max(loads, key=lambda place: (loads[place].get(key, 0), -place[0], -place[1]))
    found: dict[str, Violation] = {}
    for piece in program.placements:
        if loads[piece.chip, piece.core].get(key, 0) > limit and piece.population not in found:
            one = demand(piece.population, piece.start, piece.start + 1).get(key, 0)
            message = f"neuron {piece.start} alone needs {one} {unit} of a core's {name}, a core has {limit}"
            found[piece.population] = finding(piece.population, message, "Use a smaller fan-in")
    usage = Usage(name, core_name(core), loads[core].get(key, 0), limit, unit)
    return Findings((usage,), tuple(found.values()))


def core_count(program: Program, chip: Chip) -> Findings:
    """A violation if the placement takes more cores than the chip has."""
    used, limit = len({piece.core for piece in program.placements}), int(chip["cores"])
    message = f"its neurons and synapses take {used} cores, the chip has {limit}"
    violations = (finding(chip.name, message, "Use a smaller network or a larger chip"),) if used > limit else ()
    return Findings((Usage("cores", chip.name, used, limit, "cores"),), violations)


def span(projection: Projection) -> tuple[int, int]:
    """The least and the greatest code of a projection."""
    codes = projection.synapse.codes
    return (int(codes.min()), int(codes.max())) if codes.size else (0, 0)


def synapses(program: Program) -> tuple[Projection, ...]:
    """The projections that are weights of the network, not control."""
    return tuple(p for p in program.projections if program.population(p.source).neuron.family != "generator")
