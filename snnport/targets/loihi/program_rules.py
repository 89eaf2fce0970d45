"""The rules of Loihi for a placed program: widths of weights and registers, and what each core holds.

Numbers that Intel has not published for Loihi 2 are Loihi 1's, or low in confidence: chip.toml says which.
"""

from __future__ import annotations

import numpy as np

from snnport.chip import Chip
from snnport.fixed import signed_range
from snnport.program import Conv, Dense, Program
from snnport.targets import rules
from snnport.targets.base import Findings, Usage, finding
from snnport.targets.decay_codes import ONE
from snnport.targets.graded_rules import message_widths, sum_widths
from snnport.targets.intervals import LIF_UNIT, analyse
from snnport.targets.loihi.adaptive import FAMILY, SHIFT, adaptive_range, plane_exponent
from snnport.targets.loihi.memory import demand, list_bits
from snnport.targets.loihi.placing import destinations, routes_of
from snnport.targets.placement import core_name

CURRENT_FAMILIES = ("cuba", "cuba_reset")


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
    """Synapses of one sign hold 0..255 in magnitude, of both signs the even numbers -256..254; exponents shift by -7..7.

    Odd codes of both signs within -128..127 are stored doubled, with an exponent of -1.
    """
    low_limit, high_limit = (int(v) for v in chip["weight_mixed"])
    one_sign, most = int(chip["weight_one_sign"]), int(chip["weight_exponent"])
    usage, violations = [], []
    for projection in rules.synapses(program):
        codes = projection.synapse.codes
        low, high = rules.span(projection)
        mixed = low < 0 < high
        halved = mixed and bool(np.any(codes % 2))
        half = 2 if halved else 1
        usage.append(Usage("weight", projection.name, half * max(-low, high), -low_limit if mixed else one_sign, "codes"))
        if mixed and (half * low < low_limit or half * high > high_limit):
            message = f"its codes span {low}..{high}, of both signs the chip holds even numbers {low_limit}..{high_limit}"
        elif not mixed and max(-low, high) > one_sign:
            message = f"its codes span {low}..{high}, of one sign the chip holds up to {one_sign}"
        elif plane_exponent(program, projection) - halved > most:
            message = f"its codes are shifted by {plane_exponent(program, projection)}, the chip shifts by up to {most}"
        else:
            continue
        violations.append(finding(projection.name, message, f"Quantise with --bits {chip['weight_bits']}"))
    return Findings(tuple(usage), tuple(violations))


def accumulator_range(program: Program, chip: Chip) -> Findings:
    """What arrives at a neuron in one step stays in the dendritic accumulator, whatever spikes: interval analysis."""
    least, most = signed_range(int(chip["accumulator_bits"]))
    usage, violations = [], []
    for name, bounds in analyse(program).items():
        family = program.population(name).neuron.family
        if family not in ("cuba", FAMILY):
            continue
        low, high = (arriving >> SHIFT if family == FAMILY else arriving for arriving in bounds.step)
        usage.append(Usage("accumulator", name, max(-low, high), most, "codes"))
        if low <= least or high > most:
            message = f"up to {low}..{high} arrive in one step, the accumulator holds {least + 1}..{most}"
            violations.append(finding(name, message, "Use fewer weight bits or a smaller fan-in"))
    return Findings(tuple(usage), tuple(violations))


def state_range(program: Program, chip: Chip) -> Findings:
    """Current and potential stay in their 24-bit registers, whatever spikes: interval analysis. v saturates, u would wrap.

    A potential that may saturate below, where it is furthest from its threshold, is a warning: runs count it.
    """
    bits = int(chip["state_bits"])
    least = signed_range(bits)[0]
    found = rules.state_widths(program, chip, bits, LIF_UNIT)
    bounds_of = analyse(program)
    below = {
        name
        for name, bounds in bounds_of.items()
        if program.population(name).neuron.family in CURRENT_FAMILIES and bounds.v[1] is not None and bounds.v[1] < -least
    }
    violations = [v for v in found.violations if v.where not in below]
    warnings = list(found.warnings)
    for name in sorted({v.where for v in found.violations} & below):
        message = (
            f"its potential may fall to {bounds_of[name].v[0]}, {bits} bits saturate at {least + 1}: a run counts how often"
        )
        warnings.append(finding(name, message, "Nothing, if the run counts none; else use a smaller scale"))
    for name, bounds in bounds_of.items():
        population = program.population(name)
        if population.neuron.family not in CURRENT_FAMILIES:
            continue
        kept = int(population.neuron["du"].min()) + 1
        worst = max(-bounds.step[0], bounds.step[1]) * LIF_UNIT
        if bounds.u is not None:
            worst, kept = max(-bounds.u[0], bounds.u[1]), ONE
        if worst and (kept <= 0 or worst * ONE // kept >= 1 << (bits - 1)):
            reach = "without bound" if kept <= 0 else f"to {worst * ONE // kept}"
            message = f"its current can grow {reach}, {bits} bits hold up to {(1 << (bits - 1)) - 1}"
            violations.append(finding(name, message, "Use fewer weight bits or a shorter tau_syn"))
    return Findings(found.usage, tuple(violations), tuple(warnings))


def sum_range(program: Program, chip: Chip) -> Findings:
    """What arrives at a neuron that sends numbers fits its 24-bit state, whatever the input: interval analysis."""
    return sum_widths(program, int(chip["state_bits"]))


def message_range(program: Program, chip: Chip) -> Findings:
    """A message fits the payload of a graded spike."""
    bits = int(chip["graded_spike_bits"])
    return message_widths(program, bits) if bits else Findings()


def delay_range(program: Program, chip: Chip) -> Findings:
    """A synapse delays a spike by up to 62 steps beyond the one that every spike takes; long delays cost neurons."""
    limit, free = int(chip["delay"]), int(chip["delay_free"])
    violations, warnings = [], []
    for p in program.projections:
        if p.delay - 1 > limit:
            message = f"it delays spikes by {p.delay - 1} steps, the chip by up to {limit}"
            violations.append(finding(p.name, message, "Use a longer time step"))
        elif p.delay - 1 > free:
            message = f"it delays spikes by {p.delay - 1} steps; above {free} a core has room for fewer neurons"
            warnings.append(finding(p.name, message, "How many is not published: use a longer time step if you can"))
    return Findings(violations=tuple(violations), warnings=tuple(warnings))


def neurons_per_core(program: Program, chip: Chip) -> Findings:
    """No core holds more neurons than it has compartments."""
    return rules.fullest_core(program, demand(program, chip), "neurons", "neurons", int(chip["neurons_per_core"]), "neurons")


def input_axons(program: Program, chip: Chip) -> Findings:
    """Sources that reach one core: each neuron, or each place of a map behind shared kernels, takes one input axon."""
    return rules.fullest_core(program, demand(program, chip), "axons", "input-axons", int(chip["input_axons"]), "axons")


def output_axons(program: Program, chip: Chip) -> Findings:
    """Destinations of one core: an entry for each of its neurons and each core that it sends to."""
    limit = int(chip["output_axons"])
    reached = {name: int(number.max(initial=0)) for name, number in destinations(program).items()}
    loads = routes_of(program, reached)
    if not loads:
        return Findings()
    worst = max(loads, key=lambda core: (loads[core], core))
    usage = Usage("output-axons", core_name(worst), loads[worst], limit, "axons")
    if loads[worst] <= limit:
        return Findings((usage,))
    message = f"its neurons have {loads[worst]} destinations, a core has {limit}"
    return Findings((usage,), (finding(core_name(worst), message, "Use a smaller fan-out"),))


def synaptic_memory(program: Program, chip: Chip) -> Findings:
    """Synapse lists of one core: blocks of 64 with a 10-bit header, in words of 64 bits; kernels are shared."""
    limit = int(chip["synaptic_memory_bits"])
    found = rules.fullest_core(program, demand(program, chip), "bits", "synaptic-memory", limit, "bits")
    warnings = []
    for p in program.projections:
        if isinstance(p.synapse, Conv):
            pieces = [s for s in program.placements if s.population == p.target]
            shared, alone = (sum(list_bits(p, s.start, s.stop, chip, shared=k) for s in pieces) for k in (True, False))
            message = f"its kernels are shared among places: {shared} bits on {len(pieces)} cores, {alone} bits as sparse lists"
            warnings.append(
                finding(p.name, message, "Nothing; a toolchain that does not share kernels needs the larger number")
            )
    return Findings(found.usage, found.violations, tuple(warnings))


def core_configurations(program: Program, chip: Chip) -> Findings:
    """Distinct pairs of decays, and distinct thresholds, of the neurons on one core."""
    decays: dict[tuple[int, int], set[tuple[int, ...]]] = {}
    thresholds: dict[tuple[int, int], set[tuple[int, ...]]] = {}
    for piece in program.placements:
        population = program.population(piece.population)
        if population.neuron.family not in CURRENT_FAMILIES:
            continue
        here = slice(piece.start, piece.stop)
        key = (piece.chip, piece.core)
        for table, names in ((decays, ("du", "dv")), (thresholds, ("vth",))):
            values = [np.broadcast_to(population.neuron[n].reshape(-1), (population.size,))[here] for n in names]
            table.setdefault(key, set()).update(tuple(int(x) for x in row) for row in np.unique(np.stack(values, 1), axis=0))
    usage, found = [], []
    for table, name, what in (
        (decays, "decay_configurations", "decays"),
        (thresholds, "threshold_configurations", "thresholds"),
    ):
        if not table:
            continue
        most, worst = max((len(values), core) for core, values in table.items())
        limit = int(chip[name])
        usage.append(Usage(name.replace("_", "-"), core_name(worst), most, limit, "entries"))
        if most > limit:
            message = f"its neurons have {most} different {what}, a core has {limit} entries for them"
            found.append(finding(core_name(worst), message, "Share values among neurons"))
    low = chip.numbers["decay_configurations"].confidence == "low"
    return Findings(tuple(usage), () if low else tuple(found), tuple(found) if low else ())


def chips(program: Program, chip: Chip) -> Findings:
    """A network that is larger than one chip is placed over several, as many as one system has."""
    cores = {(piece.chip, piece.core) for piece in program.placements}
    used, limit = len({number for number, _ in cores}), int(chip["chips"])
    usage = (
        Usage("cores", chip.name, len(cores), int(chip["cores"]) * max(1, used), "cores"),
        Usage("chips", chip.name, used, limit, "chips"),
    )
    if used > limit:
        message = f"its neurons and synapses take {used} chips, the largest system has {limit}"
        return Findings(usage, (finding(chip.name, message, "Use a smaller network"),))
    if used > 1:
        message = f"it takes {used} chips ({len(cores)} cores): spikes and barriers between chips cost time and energy"
        return Findings(usage, (), (finding(chip.name, message, "Use a smaller network if one chip is wanted"),))
    return Findings(usage)


PROGRAM_RULES = (
    pool_overlap,
    weight_range,
    accumulator_range,
    state_range,
    adaptive_range,
    sum_range,
    message_range,
    delay_range,
    neurons_per_core,
    input_axons,
    output_axons,
    synaptic_memory,
    core_configurations,
    chips,
)
