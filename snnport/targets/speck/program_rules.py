"""The rules of Speck's cores that concern codes: one kernel, widths, memories, the assignment of layers to cores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from snnport.chip import Chip
from snnport.fixed import signed_bits, signed_range
from snnport.program import Neuron, Population, Program
from snnport.targets import rules
from snnport.targets.base import Findings, Usage, Violation, finding
from snnport.targets.placement import on_chip
from snnport.targets.speck.cores import Contest, Needs, contests, memories, needs_of
from snnport.targets.speck.geometry_rules import FIX
from snnport.targets.speck.layers import layers_of


def one_kernel(program: Program, chip: Chip) -> Findings:
    """A core has one kernel: what leads into it shares weights, or stands side by side in one kernel's input channels."""
    found = []
    for layer in layers_of(program):
        if layer.alien:
            first = next(p for p in program.into(layer.name) if p.name not in layer.alien)
            names = ", ".join((first.name, *layer.alien))
            message = f"{len(layer.alien) + 1} weighted nodes of different geometry lead into it ({names}), a core has 1 kernel"
            remedy = f"Give them one kernel size, stride, padding and map; {FIX}square-kernel"
            found.append(finding(layer.name, message, remedy))
    return Findings(violations=tuple(found))


def weight_bits(program: Program, chip: Chip) -> Findings:
    """A weight has 8 bits."""
    return rules.weight_widths(program, chip, int(chip["weight_bits"]))


def bias_bits(program: Program, chip: Chip) -> Findings:
    """A bias has 16 bits; the maker's own tool makes biases of 8, and more are a warning."""
    bits, usual = int(chip["leak_bits"]), int(chip["bias_bits"])
    usage, violations, warnings = [], [], []
    for population in on_chip(program):
        values = population.neuron.params.get("bias", np.zeros((), np.int64))
        low, high = int(values.min()), int(values.max())
        if low == high == 0:
            continue
        used = signed_bits(low, high)
        usage.append(Usage("bias-bits", population.name, used, bits, "bits"))
        span = f"its biases span {low}..{high}, {{}} bits hold {{}}..{{}}"
        if used > bits:
            message = span.format(bits, *signed_range(bits))
            violations.append(finding(population.name, message, "Use fewer weight bits, or a network without biases"))
        elif used > usual:
            message = (
                f"{span.format(usual, *signed_range(usual))}: the data sheet gives words of {bits} bits, sinabs makes {usual}"
            )
            warnings.append(finding(population.name, message, "Use fewer weight bits if the maker's tools refuse it"))
    return Findings(tuple(usage), tuple(violations), tuple(warnings))


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


def initial_range(program: Program, chip: Chip) -> Findings:
    """A potential starts within the state's 16 bits; in the rate code the biases of the whole run are in it."""
    bits = int(chip["state_bits"])
    least, most = signed_range(bits)
    found = []
    for population in on_chip(program):
        start = np.asarray(population.neuron.params.get("v_init", 0))
        low, high = int(start.min()), int(start.max())
        if low < least or high > most:
            message = f"its potentials start at {low}..{high}, {bits} bits hold {least}..{most}"
            found.append(finding(population.name, message, "Use fewer steps (--steps), fewer weight bits, or no biases"))
    return Findings(violations=tuple(found))


def lower_bound(program: Program, chip: Chip) -> Findings:
    """All potentials of a core share one lower bound of the state's 16 bits; it cannot be 0, a fault of the chip."""
    least = signed_range(int(chip["state_bits"]))[0]
    found = []
    for population in on_chip(program):
        low = np.unique(np.asarray(population.neuron.params.get("v_min", least)))
        if len(low) > 1:
            message = f"its neurons have {len(low)} lower bounds, {low[0]}..{low[-1]}, a core has 1"
            found.append(finding(population.name, message, "Train with one a layer"))
        elif low[0] == 0 and not chip["zero_lower_bound"]:
            message = "its potential is bounded by 0 from below, and the chip cannot hold a lower bound of 0"
            found.append(finding(population.name, message, "Use a bound below 0: --rules v_min=-1 gives minus the threshold"))
    return Findings(violations=tuple(found))


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
    return _memory(
        program, chip, "kernel", "8-bit kernel words", f"Use fewer channels or a smaller kernel; {FIX}split-channels"
    )


def neuron_memory(program: Program, chip: Chip) -> Findings:
    """The neurons fit the largest neuron memory of a core, map sizes padded to powers of two."""
    return _memory(
        program, chip, "neuron", "16-bit neuron words", f"Use fewer channels, a stride, or smaller maps; {FIX}split-channels"
    )


def bias_memory(program: Program, chip: Chip) -> Findings:
    """The biases fit the largest bias memory of a core."""
    return _memory(program, chip, "bias", "bias words", f"Use fewer channels; {FIX}split-channels")


def core_assignment(program: Program, chip: Chip) -> Findings:
    """Every layer has a core of its own whose three memories hold it: a maximum matching of layers and cores."""
    cores, needs = memories(chip), needs_of(program)
    place = {s.population: s.core for s in program.placements}
    placed = {name: core for name, core in place.items() if core < len(cores)}
    left = [name for name in needs if name not in placed]
    usage = [Usage("cores", chip.name, len(needs) - len(left), len(cores), "cores")]
    for name in [name for name in needs if name not in left]:
        core = cores[place[name]]
        usage.append(Usage("kernel-words", f"{name} on core {place[name]}", needs[name].kernel, core.kernel, "words"))
        usage.append(Usage("neuron-words", f"{name} on core {place[name]}", needs[name].neuron, core.neuron, "words"))
    if not left:
        return Findings(tuple(usage))
    found = [_contested(contest, needs, cores) for contest in contests(needs, cores, placed)]
    return Findings(tuple(usage), tuple(found))


def _contested(contest: Contest, needs: Mapping[str, Needs], cores: tuple[Needs, ...]) -> Violation:
    """Why a layer has no core: the layers of `contest` fit its cores alone, which are too few."""
    layers, able = contest.layers, contest.cores
    wants = ", ".join(f"{name} ({needs[name].kernel} kernel, {needs[name].neuron} neuron words)" for name in layers)
    if not able:
        large = f"{max(c.kernel for c in cores)} kernel or {max(c.neuron for c in cores)} neuron words, never both"
        message = f"none of the {len(cores)} cores holds {wants}: the largest have {large}"
    else:
        message = f"{len(layers)} layers fit {len(able)} cores alone ({', '.join(map(str, able))}), one layer a core: {wants}"
    return finding(", ".join(layers), message, f"Use fewer or smaller layers; {FIX}split-channels, drop-dead-channels")


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
    one_kernel,
    weight_bits,
    bias_bits,
    threshold_range,
    initial_range,
    lower_bound,
    state_range,
    weight_reaches_threshold,
    kernel_memory,
    neuron_memory,
    bias_memory,
    core_assignment,
)
