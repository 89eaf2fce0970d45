"""Sound integer bounds of what can arrive at a population and of its potential, from the codes alone.

Interval arithmetic over one sample: a source that can send at most k spikes adds between k * (sum of its negative codes)
and k * (sum of its positive codes). Bounds are never too tight; None means that no bound exists (a network without a
fixed number of steps can be inhibited for ever). An input population sends at most one spike a neuron and step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from snnport.fixed import IntArray
from snnport.program import Conv, Dense, Population, Program, Projection, Sparse
from snnport.targets.synapses import conv_output

Sums = npt.NDArray[np.int64]

V_TOP = (1 << 23) - 1
NEVER_FIRES = (1 << 17) - 1
"""Where Loihi's v saturates, and the threshold field of a neuron that is only read (lava-nc 0.10.0, lif/models.py)."""

LIF_UNIT = 64
"""Loihi counts currents and potentials in 1/64 of a weight code (lava-nc 0.10.0, lif/models.py: shift by 6)."""

WINDOWED = ("gate", "ramp", "delay", "ttfs")
"""Codes whose neurons fire in their window alone: in each of its steps at most, or once in all (ttfs)."""


@dataclass(frozen=True)
class Bounds:
    """step: least and greatest sum of arrivals in one step, in codes. v: least and greatest potential after arrivals.

    spikes_a_step, spikes_a_sample: the most that one neuron sends. None where there is no bound. u: least and greatest current
    of a neuron whose current stays, None for all others.
    """

    step: tuple[int, int]
    v: tuple[int | None, int | None]
    spikes_a_step: int | None
    spikes_a_sample: int | None
    u: tuple[int, int] | None = None


def charge(projection: Projection) -> tuple[Sums, Sums]:
    """Least and greatest arrival at each target neuron, int64 (n,), if every source may send 0 or 1 spikes.

    For a convolution one bound holds for all positions of a channel: padding can only bring the truth nearer to 0.
    """
    codes = projection.synapse.codes.astype(np.int64)
    weight = 1 if projection.pool is None else int(np.prod(projection.pool.kernel_size))
    low, high = np.minimum(codes, 0) * weight, np.maximum(codes, 0) * weight
    if isinstance(projection.synapse, Dense):
        sums = low.sum(axis=1), high.sum(axis=1)
    elif isinstance(projection.synapse, Conv):
        positions = int(np.prod(conv_output(projection.synapse)[1:]))
        sums = np.repeat(low.sum(axis=(1, 2, 3)), positions), np.repeat(high.sum(axis=(1, 2, 3)), positions)
    elif isinstance(projection.synapse, Sparse):
        targets, size = projection.synapse.target, projection.synapse.shape[0]
        sums = np.zeros(size, np.int64), np.zeros(size, np.int64)
        np.add.at(sums[0], targets, low)
        np.add.at(sums[1], targets, high)
    else:
        sums = low, high
    return sums[0] << projection.exponent, sums[1] << projection.exponent


def charges(projections: tuple[Projection, ...], limits: Mapping[str, int], size: int) -> tuple[Sums, Sums]:
    """Sums of `charge` over several projections, a source sending at most limits[source] spikes."""
    low, high = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for projection in projections:
        one_low, one_high = charge(projection)
        low = low + one_low * limits[projection.source]
        high = high + one_high * limits[projection.source]
    return low, high


@lru_cache(maxsize=1)
def analyse(program: Program) -> Mapping[str, Bounds]:
    """Bounds of every population, by name. Several rules ask for those of one program, one after the other."""
    found: dict[str, Bounds] = {}
    for population in _in_order(program):
        sources = {p.source for p in program.into(population.name)}
        a_step = {name: found[name].spikes_a_step if name in found else _most(program.population(name)) for name in sources}
        known = {name: found[name].spikes_a_sample for name in sources if name in found}
        a_sample = {name: known[name] if name in known else _sample_limit(program, name, None) for name in sources}
        found[population.name] = _bounds(program, population, a_step, a_sample)
    return MappingProxyType({population.name: found[population.name] for population in program.populations})


def _in_order(program: Program) -> list[Population]:
    """Sources before targets; a loop is opened at the population that the program names first."""
    waiting = {p.name: {q.source for q in program.into(p.name)} - {p.name} for p in program.populations}
    order: list[str] = []
    while waiting:
        name = next((n for n, sources in waiting.items() if not sources & set(waiting)), next(iter(waiting)))
        order.append(name)
        del waiting[name]
    return [program.population(name) for name in order]


def _most(population: Population) -> int | None:
    """The most spikes a neuron of `population` sends in a step, whatever arrives."""
    family = population.neuron.family
    if family == "integrator":
        return 0
    if family == "if" and "max_spikes" in population.neuron.params:
        return int(population.neuron["max_spikes"].max())
    return 1


def _bounds(
    program: Program, population: Population, a_step: Mapping[str, int | None], a_sample: Mapping[str, int | None]
) -> Bounds:
    family = population.neuron.family
    if family == "input":
        return Bounds((0, 0), (0, 0), 1, _sample_limit(program, population.name, 1))
    if family == "generator":
        index = population.neuron["index"]
        return Bounds((0, 0), (0, 0), 1, int(np.bincount(index).max(initial=0)) if index.size else 0)
    step = _total(program, population, a_step, whole=False)
    if step is None:
        return Bounds((0, 0), (None, None), _most(population), None)
    if program.meta.get("code") == "ttfs" and _keeps_current(population):
        return once_bounds(program, population, step)
    sample = _total(program, population, a_sample, whole=True)
    if family == "cuba":
        return replace(_cuba(population, step, sample), spikes_a_sample=_sample_limit(program, population.name, 1))
    return _integrating(program, population, step, sample)


def _total(
    program: Program, population: Population, limits: Mapping[str, int | None], *, whole: bool
) -> tuple[Sums, Sums] | None:
    """Least and greatest arrivals from sources with these limits, in one step or in a `whole` sample; None without a bound."""
    known = {name: limit for name, limit in limits.items() if limit is not None}
    if len(known) < len(limits):
        return None
    into = program.into(population.name)
    fixed = [p for p in into if _is_fixed(program, p)]
    low, high = charges(tuple(p for p in into if p not in fixed), known, population.size)
    for projection in fixed:
        pulses = generated(program, projection)
        if whole:
            low, high = low + np.minimum(pulses, 0).sum(axis=0), high + np.maximum(pulses, 0).sum(axis=0)
        else:
            low, high = low + pulses.min(axis=0, initial=0), high + pulses.max(axis=0, initial=0)
    return low, high


def _is_fixed(program: Program, projection: Projection) -> bool:
    """Whether it is known what the projection brings in each step: that of a generator of plain spikes."""
    source = program.population(projection.source).neuron
    return source.family == "generator" and "value" not in source.params and isinstance(projection.synapse, Dense)


def generated(program: Program, projection: Projection) -> Sums:
    """What a generator brings through a dense projection, step by step: int64 (steps in which it spikes, n targets)."""
    neuron = program.population(projection.source).neuron
    time, index = (np.atleast_1d(neuron[key]).astype(np.int64) for key in ("time", "index"))
    codes = projection.synapse.codes.astype(np.int64) << projection.exponent
    steps, place = np.unique(time, return_inverse=True)
    sums = np.zeros((len(steps), len(codes)), np.int64)
    np.add.at(sums, place, codes[:, index].T)
    return sums


def _sample_limit(program: Program, name: str, most: int | None) -> int | None:
    """The most spikes a neuron sends in a sample: as many as its code says where it has a window, else one in each step."""
    windows = program.meta.get("windows") or {}
    code = program.meta.get("code")
    if code in WINDOWED and name in windows:
        if windows[name]["role"] == "readout":
            return 0
        return 1 if code == "ttfs" else int(windows[name]["levels"])
    return None if most is None or not program.n_steps else most * program.n_steps


def _integrating(program: Program, population: Population, step: tuple[Sums, Sums], sample: tuple[Sums, Sums] | None) -> Bounds:
    """Families "if" and "integrator"."""
    bias = _parameter(population, "bias", 0)
    starts = [_parameter(population, "v_init", 0)]
    if int(_parameter(population, "load_step", -1).max()) >= 0:
        starts.append(_parameter(population, "v_load", 0))
    theta = _parameter(population, "v_threshold", 1)
    most, fires = _most(population), population.neuron.family == "if"
    low: int | None = None
    high: int | None = None
    if sample is not None and program.n_steps:
        every = bias * program.n_steps
        resting = np.minimum(np.min(starts, axis=0), _resets_to(population))
        low = int((resting + sample[0] + np.minimum(every, 0)).min())
        upper = np.max(starts, axis=0)
        if _resets_hard(population):
            upper = np.maximum(upper, _resets_to(population))
        high = int((upper + sample[1] + np.maximum(every, 0)).max())
    if fires and (_resets_hard(population) or bool(np.all(step[1] + bias <= theta * (most or 1)))):
        # Below the threshold before a step, whatever came earlier: it fired otherwise.
        resting_high = np.maximum(np.maximum(np.max(starts, axis=0), theta - 1), _resets_to(population))
        stays = int((resting_high + step[1] + np.maximum(bias, 0)).max())
        high = stays if high is None else min(high, stays)
    if fires and not step[0].any() and not (bias < 0).any():
        least = int(np.minimum(np.min(starts, axis=0), _resets_to(population)).min())
        low = least if low is None else max(low, least)
    low, high = _saturated(population, low, high)
    spikes = most
    if fires and high is not None and most is not None and theta.min() > 0:
        spikes = max(0, min(most, int(high // int(theta.min()))))
    per_sample = 0 if not fires else _sample_limit(program, population.name, spikes)
    bounds = int((step[0] + np.minimum(bias, 0)).min(initial=0)), int((step[1] + np.maximum(bias, 0)).max(initial=0))
    return Bounds(bounds, (low, high), spikes, per_sample)


def _keeps_current(population: Population) -> bool:
    family = population.neuron.family
    return family == "slope" or (family == "cuba" and int(population.neuron["du"].max()) == -1)


def once_bounds(program: Program, population: Population, step: tuple[Sums, Sums]) -> Bounds:
    """The ttfs code, where every current is ended: a source adds between 0 and its levels times its weight.

    Until the window opens a neuron is below its threshold; there it gets the opening pulse, and then a threshold a step.
    """
    windows, unit = program.meta["windows"], LIF_UNIT if population.neuron.family == "cuba" else 1
    window = windows[population.name]
    into = [p for p in program.into(population.name) if p.source in windows and p.source != population.name]
    low, high = charges(tuple(into), {name: int(w["levels"]) for name, w in windows.items()}, population.size)
    pulses = [generated(program, p) for p in program.into(population.name) if _is_fixed(program, p)]
    least = sum((p.min(axis=0, initial=0) for p in pulses), np.zeros(population.size, np.int64))
    most = sum((p.max(axis=0, initial=0) for p in pulses), np.zeros(population.size, np.int64))
    start = _parameter(population, "v_init", 0)
    currents = int((step[0]).min()) * unit, int((step[1]).max()) * unit
    if window["role"] == "readout":
        bottom, top = start + least + low, start + most + high
        return Bounds(_least_and_most(step), (int(bottom.min()) * unit, int(top.max()) * unit), 0, 0, currents)
    theta = _parameter(population, "v_threshold", 0) if unit == 1 else _parameter(population, "vth", 0) + 1
    # A neuron that has fired keeps falling by a threshold a step once the ramp has ended.
    after = max(0, program.n_steps - int(window["open"]) - int(window["levels"]))
    # Through a current the closing pulse comes beside the opening one, which may be negative itself.
    rest = np.minimum(start + least * (1 + (unit > 1)), -theta * after if unit > 1 else _resets_to(population))
    bounds = int((rest + low).min()) * unit, int((2 * theta + most).max()) * unit
    return Bounds(_least_and_most(step), bounds, 1, 1, currents)


def _least_and_most(step: tuple[Sums, Sums]) -> tuple[int, int]:
    return int(step[0].min(initial=0)), int(step[1].max(initial=0))


def _saturated(population: Population, low: int | None, high: int | None) -> tuple[int | None, int | None]:
    """The bounds where the neuron itself clips its potential."""
    if "v_min" in population.neuron.params:
        floor = int(population.neuron["v_min"].min())
        low = floor if low is None else max(low, floor)
    if "v_max" in population.neuron.params:
        ceiling = int(population.neuron["v_max"].max())
        high = ceiling if high is None else min(high, ceiling)
    return low, high


def _resets_hard(population: Population) -> bool:
    return bool((_parameter(population, "reset", 0) == 1).all())


def _resets_to(population: Population) -> Sums:
    hard = _parameter(population, "reset", 0) == 1
    return np.where(hard, _parameter(population, "v_reset", 0), 0).astype(np.int64)


def _cuba(population: Population, step: tuple[Sums, Sums], sample: tuple[Sums, Sums] | None) -> Bounds:
    """Loihi's LIF: a current or potential that keeps (4096 - d) / 4096 a step stays below 4096 / d times what it gets.

    Without decay, and with a current that is forgotten at once, it stays within what a whole sample brings.
    """
    vth, dv = int(population.neuron["vth"].max()), int(population.neuron["dv"].min())
    du = int(population.neuron["du"].min()) + 1
    mant, exp = (_parameter(population, key, 0) for key in ("bias_mant", "bias_exp"))
    bias = mant << exp
    gain_u = None if du <= 0 else 4096 / du
    arrivals = int(step[0].min(initial=0)), int(step[1].max(initial=0))
    if gain_u is None and any(arrivals):
        return Bounds(arrivals, (None, None), 1, None)
    u_low, u_high = (int(np.ceil(abs(a) * LIF_UNIT * (gain_u or 0))) for a in arrivals)
    low, high = -u_low + min(int(bias.min()), 0), u_high + max(int(bias.max()), 0)
    v_low = 0 if low == 0 else (None if dv == 0 else int(np.floor(low * 4096 / dv)))
    # At rest before a step a neuron is at its threshold at most: it fired otherwise.
    v_high = vth * LIF_UNIT + high if high else 0
    if dv > 0:
        v_high = min(v_high, int(np.ceil(high * 4096 / dv)))
    whole = sample is not None and dv == 0 and du == 4096 and not bias.any()
    if whole and sample is not None:
        # A reset only brings the potential nearer to 0, from above.
        v_low, v_high = int(sample[0].min()) * LIF_UNIT, min(v_high, int(sample[1].max()) * LIF_UNIT)
    if vth < NEVER_FIRES:
        # Saturating above the threshold changes nothing: the neuron fires and is reset all the same.
        v_high = min(v_high, V_TOP)
    return Bounds(arrivals, (v_low, v_high), 1, None)


def _parameter(population: Population, name: str, neutral: int) -> Sums:
    """A parameter as int64 (n,), `neutral` where the population does not give it."""
    value: IntArray = population.neuron.params.get(name, np.asarray(neutral))
    return np.broadcast_to(np.asarray(value, np.int64).reshape(-1), (population.size,))
