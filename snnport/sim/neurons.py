"""Neuron families: what a population's integers mean and how one step changes them.

A family is one row of FAMILIES (its parameters, and a function that prepares the state), one step function, and one line
in `step` below. docs/semantics.md, "Neuron families", is normative; the equations here are the same.

A step function sees one sample. It runs after the arrivals of the step were added to the row of the state that the family
names, writes the neurons that fire to index/count from `at` on, and returns how many did. It keeps in tally[PENDING]
whether another step without any arrival could change or emit anything; the engine leaves out the step if not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.program import Population
from snnport.sim.vector import inner

Rows = npt.NDArray[np.int64]

PENDING, V_SATURATIONS, U_WRAPS = 0, 1, 2
INPUT, GENERATOR, IF, INTEGRATOR, CUBA = range(5)
HOST_FAMILIES = frozenset({"input", "generator"})
"""Families that sit on no core: the host or a sequencer emits their spikes."""

UNBOUNDED = 1 << 62
CUBA_LIMIT = 1 << 23
"""u lies in -2^23+1..2^23 and v in -2^23+1..2^23-1 (lava-nc 0.10.0, proc/lif/models.py, PyLifModelBitAcc)."""


@dataclass(frozen=True)
class Arrivals:
    """Bounds on what can arrive at one neuron, in absolute value: in one step, and in all steps together."""

    step: int
    total: int


@dataclass(frozen=True, eq=False)
class Prepared:
    """A population ready to run: state (rows, n), the row arrivals add to, params (rows, n), and a bound on every |state|."""

    state: Rows
    arrivals_row: int
    params: Rows
    bound: int
    max_count: int = 1
    simple: bool = False
    biased: bool = False
    bounded: bool = False
    loads: tuple[int, int] = (-1, -1)


@dataclass(frozen=True)
class Family:
    """One row of the table. optional: neutral values. state_words: words of state that an update reads, and writes."""

    code: int
    required: tuple[str, ...]
    optional: Mapping[str, int]
    state_words: int
    prepare: Callable[[Population, Mapping[str, Rows], int, Arrivals], Prepared]


def parameters(population: Population) -> dict[str, Rows]:
    """Every parameter of the population's family as (n,) int64, missing ones at their neutral value.

    Raises UnsupportedNode for a family that is not in FAMILIES, InvalidGraph for a missing, unknown or misshapen parameter.
    """
    family = family_of(population)
    given = population.neuron.params
    unknown = sorted(set(given) - set(family.required) - set(family.optional))
    missing = [name for name in family.required if name not in given]
    if unknown or missing:
        what = f"unknown parameters {unknown}" if unknown else f"missing parameters {missing}"
        known = ", ".join((*family.required, *family.optional)) or "none"
        raise InvalidGraph(population.name, f"family '{population.neuron.family}' has {what}", f"It takes: {known}")
    values: dict[str, Rows] = {}
    for name in (*family.required, *family.optional):
        value = np.asarray(given[name] if name in given else family.optional[name], np.int64)
        if population.neuron.family != "generator":
            if value.shape not in ((), (population.size,)):
                raise InvalidGraph(
                    population.name, f"parameter {name} has shape {value.shape}, () or ({population.size},) is needed"
                )
            value = np.broadcast_to(value, (population.size,))
        values[name] = value
    return values


def family_of(population: Population) -> Family:
    """The table row of the population's family. Raises UnsupportedNode if there is none."""
    name = population.neuron.family
    if name not in FAMILIES:
        raise UnsupportedNode(population.name, f"the engine has no neuron family '{name}'", f"Known: {', '.join(FAMILIES)}")
    return FAMILIES[name]


def _largest(*values: Rows) -> int:
    return max((max(abs(int(v.max())), abs(int(v.min()))) for v in values if v.size), default=0)


def _nothing(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    """Families that emit a list of spikes keep no state."""
    empty = np.zeros((0, population.size), np.int64)
    return Prepared(empty, 0, empty, 0)


def _generator(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    time, index = p["time"], p["index"]
    if time.ndim != 1 or time.shape != index.shape:
        raise InvalidGraph(population.name, f"its time {time.shape} and index {index.shape} are not equally long lists")
    if time.size and (time.min() < 0 or index.min() < 0 or index.max() >= population.size):
        raise InvalidGraph(population.name, f"a spike lies outside neurons 0..{population.size - 1} or before step 0")
    _, repeats = np.unique(np.stack([time, index]), axis=1, return_counts=True)
    return Prepared(
        np.zeros((0, population.size), np.int64), 0, np.zeros((0, population.size), np.int64), 0, int(repeats.max(initial=1))
    )


def _if(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    threshold, most, reset = p["v_threshold"], p["max_spikes"], p["reset"]
    if most.size and most.min() < 1:
        raise InvalidGraph(population.name, f"max_spikes is {most.min()}, at least 1 is needed")
    if np.any((most > 1) & (threshold < 1)):
        raise InvalidGraph(population.name, "v_threshold is below 1 where max_spikes is above 1", "Raise the threshold to 1")
    if np.any((reset != 0) & (reset != 1)):
        raise InvalidGraph(population.name, "reset is neither 0 (subtract) nor 1 (set to v_reset)")
    if np.any(p["v_min"] > p["v_max"]):
        raise InvalidGraph(population.name, "v_min is above v_max", "Swap them")
    loads = p["load_step"][p["load_step"] >= 0]
    # A threshold of 0 or less is taken off as a gain, once a step.
    gain = _largest(np.minimum(threshold, 0)) + _largest(p["bias"])
    limits = np.concatenate((p["v_min"], p["v_max"]))
    finite = limits[np.abs(limits) < UNBOUNDED]
    start = max(_largest(p["v_init"], p["v_reset"], finite), _largest(p["v_load"]) if loads.size else 0)
    bound = start + arrivals.total + steps * gain
    if finite.size == limits.size:
        bound = min(bound, start + arrivals.step + gain)
    rows = (threshold, reset, p["v_reset"], p["bias"], p["load_step"], p["v_load"], most, p["v_min"], p["v_max"])
    biased = bool(np.any(p["bias"]))
    return Prepared(
        state=p["v_init"][None],
        arrivals_row=0,
        params=np.stack(rows),
        bound=bound,
        max_count=min(int(most.max(initial=1)), max(1, bound // max(1, int(threshold.min(initial=1))))),
        simple=not (biased or finite.size or np.any(reset) or np.any(most > 1)),
        biased=biased,
        bounded=bool(finite.size),
        loads=(int(loads.min()), int(loads.max())) if loads.size else (-1, -1),
    )


def _integrator(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    bound = _largest(p["v_init"]) + arrivals.total + steps * _largest(p["bias"])
    return Prepared(p["v_init"][None], 0, p["bias"][None], bound, biased=bool(np.any(p["bias"])))


_CUBA_RANGES = {"du": (-1, 4095), "dv": (0, 4096), "vth": (0, 1 << 17), "bias_mant": (-4096, 4095), "bias_exp": (-31, 31)}


def _cuba(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    for name, (low, high) in _CUBA_RANGES.items():
        if p[name].size and (p[name].min() < low or p[name].max() > high):
            raise InvalidGraph(population.name, f"{name} spans {p[name].min()}..{p[name].max()}, the range is {low}..{high}")
    exponent = p["bias_exp"]
    bias = np.where(exponent >= 0, p["bias_mant"] << np.maximum(exponent, 0), p["bias_mant"] >> np.maximum(-exponent, 0))
    push = arrivals.step << 6
    # One wrap brings u back into its range unless more than a whole turn arrives in a step.
    bound = CUBA_LIMIT + push if push <= 2 * CUBA_LIMIT else 2 * CUBA_LIMIT + steps * push
    params = np.stack((4095 - p["du"], 4096 - p["dv"], p["vth"] << 6, bias))
    return Prepared(np.zeros((3, population.size), np.int64), 2, params, max(bound, _largest(params)))


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "input": Family(INPUT, (), {}, 0, _nothing),
        "generator": Family(GENERATOR, ("time", "index"), {}, 0, _generator),
        "if": Family(
            IF,
            ("v_threshold",),
            {
                "v_init": 0,
                "reset": 0,
                "v_reset": 0,
                "bias": 0,
                "load_step": -1,
                "v_load": 0,
                "max_spikes": 1,
                "v_min": -UNBOUNDED,
                "v_max": UNBOUNDED,
            },
            1,
            _if,
        ),
        "integrator": Family(INTEGRATOR, (), {"v_init": 0, "bias": 0}, 1, _integrator),
        "cuba": Family(CUBA, ("du", "dv", "vth"), {"bias_mant": 0, "bias_exp": 0}, 2, _cuba),
    }
)


@inner
def load(cell: Any, t: Any, state: Any, params: Any) -> Any:
    """if: v = v_load in the neurons whose load_step is t. True if there are any."""
    if cell.family != IF or t < cell.first_load or t > cell.last_load:
        return False
    n, loaded = cell.size, False
    for k in range(n):
        if params[np.uint64(cell.params + 4 * n + k)] == t:
            state[np.uint64(cell.v + k)] = params[np.uint64(cell.params + 5 * n + k)]
            loaded = True
    return loaded


@inner
def step(cell: Any, state: Any, params: Any, index: Any, count: Any, at: Any, tally: Any) -> Any:
    """Dispatch to the family's step function; returns the number of neurons that fired."""
    if cell.family == IF:
        if cell.simple:
            return step_if_simple(cell, state, params, index, count, at, tally)
        return step_if(cell, state, params, index, count, at, tally)
    if cell.family == INTEGRATOR:
        return step_integrator(cell, state, params, tally)
    return step_cuba(cell, state, params, index, count, at, tally)


@inner
def step_if_simple(cell: Any, state: Any, params: Any, index: Any, count: Any, at: Any, tally: Any) -> Any:
    """step_if without bias, bounds and multiple spikes: fire iff v >= v_threshold, then v -= v_threshold."""
    m, pending = 0, 0
    for start in range(0, cell.size, 64):
        stop = min(start + 64, cell.size)
        high = 0
        for k in range(start, stop):
            high |= state[np.uint64(cell.v + k)] >= params[np.uint64(cell.params + k)]
        if not high:
            continue
        for k in range(start, stop):
            v, threshold = state[np.uint64(cell.v + k)], params[np.uint64(cell.params + k)]
            fires = v >= threshold
            index[np.uint64(at + m)] = k
            count[np.uint64(at + m)] = 1
            m += fires
            v -= threshold if fires else 0
            state[np.uint64(cell.v + k)] = v
            pending |= v >= threshold
    tally[PENDING] = pending
    return m


@inner
def step_if(cell: Any, state: Any, params: Any, index: Any, count: Any, at: Any, tally: Any) -> Any:
    """Integrate and fire, after the arrivals a[t] were added to v.

    v += bias;  v = min(max(v, v_min), v_max), a saturation where that changes v
    fire iff v >= v_threshold: s = 1, or min(max_spikes, floor(v / v_threshold)) where max_spikes > 1
    reset 0: v -= s * v_threshold;  reset 1: v = v_reset
    """
    n, m, pending = cell.size, 0, cell.biased
    base = cell.params
    for k in range(n):
        v = np.int64(state[np.uint64(cell.v + k)]) + params[np.uint64(base + 3 * n + k)]
        if cell.bounded:
            low, high = params[np.uint64(base + 7 * n + k)], params[np.uint64(base + 8 * n + k)]
            if v < low or v > high:
                tally[V_SATURATIONS] += 1
                v = low if v < low else high
        threshold = params[np.uint64(base + k)]
        if v >= threshold:
            most = params[np.uint64(base + 6 * n + k)]
            spikes = 1
            if most > 1:
                spikes = min(np.int64(most), v // np.int64(threshold))
            index[np.uint64(at + m)] = k
            count[np.uint64(at + m)] = spikes
            m += 1
            if params[np.uint64(base + n + k)] == 0:
                v -= spikes * np.int64(threshold)
            else:
                v = np.int64(params[np.uint64(base + 2 * n + k)])
            if v >= threshold:
                pending = 1
            # A reset may leave v outside its bounds; the next step clips it.
            if cell.bounded and (v < params[np.uint64(base + 7 * n + k)] or v > params[np.uint64(base + 8 * n + k)]):
                pending = 1
        state[np.uint64(cell.v + k)] = v
    tally[PENDING] = pending
    return m


@inner
def step_integrator(cell: Any, state: Any, params: Any, tally: Any) -> Any:
    """v += a[t] + bias; never fires."""
    tally[PENDING] = cell.biased
    if cell.biased:
        for k in range(cell.size):
            state[np.uint64(cell.v + k)] += params[np.uint64(cell.params + k)]
    return 0


@inner
def _decayed(x: Any, keep: Any) -> Any:
    """sign(x) * ((|x| * keep) >> 12), keep = 4096 - decay: rounds toward zero."""
    return (x * keep) >> 12 if x >= 0 else -((-x * keep) >> 12)


@inner
def step_cuba(cell: Any, state: Any, params: Any, index: Any, count: Any, at: Any, tally: Any) -> Any:
    """Loihi's leaky integrate and fire, bit for bit as lava-nc 0.10.0 (proc/lif/models.py, PyLifModelBitAcc).

    u = WRAP(decay(u, du + 1) + (a[t] << 6));  WRAP(x) = x - 2^24 if x > 2^23, x + 2^24 if x <= -2^23
    v = CLIP(decay(v, dv) + u + bias, -(2^23 - 1), 2^23 - 1);  bias = bias_mant << bias_exp (arithmetic >> if negative)
    fire iff v > vth << 6, then v = 0
    """
    n, m, changed = cell.size, 0, 0
    base = cell.params
    for k in range(n):
        arrived = np.int64(state[np.uint64(cell.arrivals + k)])
        state[np.uint64(cell.arrivals + k)] = 0
        u_before, v_before = np.int64(state[np.uint64(cell.v + n + k)]), np.int64(state[np.uint64(cell.v + k)])
        u = _decayed(u_before, np.int64(params[np.uint64(base + k)])) + (arrived << 6)
        if u > CUBA_LIMIT:
            u -= 2 * CUBA_LIMIT
            tally[U_WRAPS] += 1
            changed = 1
        elif u <= -CUBA_LIMIT:
            u += 2 * CUBA_LIMIT
            tally[U_WRAPS] += 1
            changed = 1
        v = _decayed(v_before, np.int64(params[np.uint64(base + n + k)])) + u + params[np.uint64(base + 3 * n + k)]
        if v > CUBA_LIMIT - 1 or v < 1 - CUBA_LIMIT:
            tally[V_SATURATIONS] += 1
            changed = 1
            v = CUBA_LIMIT - 1 if v > 0 else 1 - CUBA_LIMIT
        if v > params[np.uint64(base + 2 * n + k)]:
            index[np.uint64(at + m)] = k
            count[np.uint64(at + m)] = 1
            m += 1
            v = 0
            changed = 1
        changed |= (u != u_before) | (v != v_before) | (arrived != 0)
        state[np.uint64(cell.v + n + k)] = u
        state[np.uint64(cell.v + k)] = v
    tally[PENDING] = changed
    return m
