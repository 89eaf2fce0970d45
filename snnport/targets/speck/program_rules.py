"""The rules of Speck2f that concern codes and cores: widths, memories, the assignment of layers to cores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnport.chip import Chip
from snnport.fixed import signed_bits, signed_range
from snnport.program import Neuron, Population, Program
from snnport.targets import rules
from snnport.targets.base import Findings, Usage, finding
from snnport.targets.placement import on_chip
from snnport.targets.speck.cores import memories, needs_of


def weight_bits(program: Program, chip: Chip) -> Findings:
    """A weight has 8 bits."""
    return rules.weight_widths(program, chip, int(chip["weight_bits"]))


def bias_bits(program: Program, chip: Chip) -> Findings:
    """A bias has 8 bits."""
    bits = int(chip["bias_bits"])
    least, most = signed_range(bits)
    usage, violations = [], []
    for population in on_chip(program):
        values = [population.neuron.params.get("bias", np.zeros((), np.int64))]
        pulses = [p for p in program.into(population.name) if program.population(p.source).neuron.family == "generator"]
        values += [p.synapse.codes for p in pulses if p.name.endswith(".bias")]
        low, high = min(int(v.min()) for v in values), max(int(v.max()) for v in values)
        if low == high == 0:
            continue
        usage.append(Usage("bias-bits", population.name, signed_bits(low, high), bits, "bits"))
        if low < least or high > most:
            message = f"its biases span {low}..{high}, {bits} bits hold {least}..{most}"
            violations.append(finding(population.name, message, "Quantise for this target, or use a network without biases"))
    return Findings(tuple(usage), tuple(violations))


def threshold_range(program: Program, chip: Chip) -> Findings:
    """A threshold is a positive number of the state's 16 bits."""
    top = signed_range(int(chip["state_bits"]))[1]
    usage, violations = [], []
    for population in on_chip(program):
        if population.neuron.family != "if":
            continue
        low, high = int(population.neuron["v_threshold"].min()), int(population.neuron["v_threshold"].max())
        usage.append(Usage("threshold", population.name, high, top, "codes"))
        if low < 1 or high > top:
            message = f"its threshold spans {low}..{high} codes, the chip holds 1..{top}"
            violations.append(finding(population.name, message, "Quantise for this target"))
    return Findings(tuple(usage), tuple(violations))


def state_range(program: Program, chip: Chip) -> Findings:
    """A potential has 16 bits and saturates at their ends; where interval analysis cannot exclude that, a warning."""
    bits = int(chip["state_bits"])
    found = rules.state_widths(_unclipped(program, bits), chip, bits)
    saturating = tuple(
        replace(v, message=f"{v.message}: it saturates", remedy="Use smaller weights or fewer steps if runs report saturation")
        for v in found.violations
    )
    return Findings(tuple(replace(u, used=min(u.used, bits)) for u in found.usage), (), (*found.warnings, *saturating))


def weight_reaches_threshold(program: Program, chip: Chip) -> Findings:
    """A neuron sends one spike an event: where one weight reaches the threshold, a second spike waits for the next event."""
    warnings = []
    for projection in rules.synapses(program):
        target = program.population(projection.target)
        if target.neuron.family != "if":
            continue
        most, theta = int(projection.synapse.codes.max(initial=0)), int(target.neuron["v_threshold"].min())
        if most >= theta:
            message = f"its largest weight is {most}, the threshold {theta}: one event can owe two spikes, the chip sends one"
            warnings.append(finding(projection.name, message, "Train with weights below the threshold"))
    return Findings(warnings=tuple(warnings))


def kernel_memory(program: Program, chip: Chip) -> Findings:
    """The kernel fits the largest kernel memory of a core, its sizes padded to powers of two."""
    return _memory(program, chip, "kernel", "8-bit kernel words", "Use fewer channels or a smaller kernel")


def neuron_memory(program: Program, chip: Chip) -> Findings:
    """The neurons fit the largest neuron memory of a core, map sizes padded to powers of two."""
    return _memory(program, chip, "neuron", "16-bit neuron words", "Use fewer channels, a stride, or smaller maps")


def bias_memory(program: Program, chip: Chip) -> Findings:
    """The biases fit the largest bias memory of a core."""
    return _memory(program, chip, "bias", "bias words", "Use fewer channels")


def core_assignment(program: Program, chip: Chip) -> Findings:
    """Every layer has a core of its own whose three memories hold it: a maximum matching of layers and cores."""
    cores, needs = memories(chip), needs_of(program)
    place = {s.population: s.core for s in program.placements}
    left = [name for name in needs if place[name] >= len(cores)]
    usage = [Usage("cores", chip.name, len(needs) - len(left), len(cores), "cores")]
    for name in [name for name in needs if name not in left]:
        core = cores[place[name]]
        usage.append(Usage("kernel-words", f"{name} on core {place[name]}", needs[name].kernel, core.kernel, "words"))
        usage.append(Usage("neuron-words", f"{name} on core {place[name]}", needs[name].neuron, core.neuron, "words"))
    if not left:
        return Findings(tuple(usage))
    wants = ", ".join(f"{name} ({needs[name].kernel} kernel, {needs[name].neuron} neuron words)" for name in left)
    message = f"{len(left)} of {len(needs)} layers find none of the {len(cores)} cores: {wants}"
    return Findings(tuple(usage), (finding(", ".join(left), message, "Use fewer or smaller layers"),))


def _memory(program: Program, chip: Chip, which: str, unit: str, remedy: str) -> Findings:
    limit = max((getattr(core, which) for core in memories(chip)), default=0)
    found = [
        finding(name, f"it takes {getattr(need, which)} {unit}, the largest core has {limit}", remedy)
        for name, need in needs_of(program).items()
        if getattr(need, which) > limit
    ]
    return Findings(violations=tuple(found))


def _unclipped(program: Program, bits: int) -> Program:
    """The program without the saturation at the register's ends, to see what would go beyond them."""
    ends = dict(zip(("v_min", "v_max"), signed_range(bits), strict=True))

    def bare(population: Population) -> Population:
        kept = {k: v for k, v in population.neuron.params.items() if k not in ends or np.any(v != ends[k])}
        return Population(population.name, population.shape, Neuron(population.neuron.family, kept))

    return replace(program, populations=tuple(bare(p) for p in program.populations))


PROGRAM_RULES = (
    weight_bits,
    bias_bits,
    threshold_range,
    state_range,
    weight_reaches_threshold,
    kernel_memory,
    neuron_memory,
    bias_memory,
    core_assignment,
)
