"""Families without leak: if, integrator, and the two that emit a list of spikes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnport.errors import InvalidGraph
from snnport.program import Population
from snnport.sim.families.base import (
    MOST_PAYLOAD,
    PENDING,
    UNBOUNDED,
    V_SATURATIONS,
    Arrivals,
    Family,
    Prepared,
    Rows,
    bound_of_v,
    finite_bounds,
    in_range,
    largest,
    spiking,
)
from snnport.sim.masks import FEW, LANES, fire, fire_few, fire_one, lowest, reached, reached_few, reached_one
from snnport.sim.vector import inner

INPUT, GENERATOR, IF, INTEGRATOR = range(4)


def _input(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    """Families that emit a list of spikes keep no state."""
    in_range(population, p, {"graded": (0, 1)})
    if np.unique(p["graded"]).size > 1:
        raise InvalidGraph(population.name, "some of its neurons are graded and some are not", "Make two populations")
    empty = np.zeros((0, population.size), np.int64)
    return Prepared(empty, 0, empty, 0)


def _generator(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    time, index = p["time"], p["index"]
    if time.ndim != 1 or time.shape != index.shape:
        raise InvalidGraph(population.name, f"its time {time.shape} and index {index.shape} are not equally long lists")
    if time.size and (time.min() < 0 or index.min() < 0 or index.max() >= population.size):
        raise InvalidGraph(population.name, f"a spike lies outside neurons 0..{population.size - 1} or before step 0")
    if p["value"].shape not in ((), time.shape) or largest(p["value"]) > MOST_PAYLOAD:
        raise InvalidGraph(population.name, f"its value {p['value'].shape} is not one 32-bit number a spike {time.shape}")
    empty = np.zeros((0, population.size), np.int64)
    return Prepared(empty, 0, empty, 0, largest(generated(p)[1]))


def generated(p: Mapping[str, Rows]) -> tuple[Rows, Rows]:
    """What a generator with the parameters `p` sends: (step, neuron) of each event (2, events), sorted, and what it carries.

    That is how often the pair is listed, or where `value` is given the sum of its values; events that carry 0 are left out.
    Nothing for lists that do not match, which `prepare` refuses.
    """
    if p["time"].ndim != 1 or p["time"].shape != p["index"].shape or p["value"].shape not in ((), p["time"].shape):
        return np.zeros((2, 0), np.int64), np.zeros(0, np.int64)
    pairs, place = np.unique(np.stack([p["time"], p["index"]]).reshape(2, -1), axis=1, return_inverse=True)
    each = np.broadcast_to(p["value"] if np.any(p["value"]) else np.ones(1, np.int64), p["time"].shape)
    sums = np.zeros(pairs.shape[1], np.int64)
    np.add.at(sums, place.reshape(-1), each)
    return pairs[:, sums != 0], sums[sums != 0]


def _if(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    spiking(population, p, resets=2)
    threshold, most, reset = p["v_threshold"], p["max_spikes"], p["reset"]
    loads = p["load_step"][p["load_step"] >= 0]
    bound = bound_of_v(p, steps, arrivals, largest(p["v_load"]) if loads.size else 0)
    rows = (threshold, reset, p["v_reset"], p["bias"], p["load_step"], p["v_load"], most, p["v_min"], p["v_max"])
    biased, bounded = bool(np.any(p["bias"])), bool(finite_bounds(p)[0].size)
    return Prepared(
        state=p["v_init"][None],
        arrivals_row=0,
        params=np.stack(rows),
        bound=bound,
        max_count=min(int(most.max(initial=1)), max(1, bound // max(1, int(threshold.min(initial=1))))),
        simple=not (biased or bounded or np.any(most > 1)),
        biased=biased,
        bounded=bounded,
        loads=(int(loads.min()), int(loads.max())) if loads.size else (-1, -1),
    )


def _integrator(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    bound = largest(p["v_init"]) + arrivals.total + steps * largest(p["bias"])
    return Prepared(p["v_init"][None], 0, p["bias"][None], bound, biased=bool(np.any(p["bias"])))


FAMILIES: Mapping[str, Family] = {
    "input": Family(INPUT, (), {"graded": 0}, 0, _input, common=True),
    "generator": Family(GENERATOR, ("time", "index"), {"value": 0}, 0, _generator, common=True),
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
        common=True,
    ),
    "integrator": Family(INTEGRATOR, (), {"v_init": 0, "bias": 0}, 1, _integrator, common=True),
}


@inner
def load(cell: Any, t: Any, state: Any, params: Any) -> Any:
    """if: v = v_load in the neurons whose load_step is t. True if there are any."""
    if cell.family != IF or t < cell.first_load or t > cell.last_load:
        return False
    n, loaded = cell.stride, False
    for k in range(cell.size):
        if params[np.uint64(cell.params + 4 * n + k)] == t:
            state[np.uint64(cell.v + k)] = params[np.uint64(cell.params + 5 * n + k)]
            loaded = True
    return loaded


@inner
def steps_if_simple(
    cell: Any, state: Any, params: Any, sums: Any, arrived: Any, lists: Any, index: Any, count: Any, waits: Any
) -> Any:
    """Steps of `if` without bias, bounds, loads and multiple spikes: v += a[t], fire iff v >= v_threshold, then reset.

    sums[LANES * i + k]: arrivals of neuron k in step i. arrived (steps,): 0 where there are none. lists (steps, 2): where the
    spikes of a step are put, and how many there are already; more are added. waits: whether the first step could change
    anything without arrivals; what is returned says so of the step that follows.
    """
    n, base, v = cell.stride, cell.params, cell.v
    for i in range(arrived.shape[0]):
        if not (arrived[i] or waits):
            continue
        waits = False
        m, k = np.int64(0), 0
        at = lists[i, 0] + lists[i, 1]
        while k < cell.size:
            if k + LANES <= cell.size:
                bits = fire(state, v + k, sums, LANES * i + k, params, base + k, base + n + k, base + 2 * n + k)
                if bits:
                    waits |= reached(state, v + k, params, base + k) != 0
                taken = LANES
            elif k + FEW <= cell.size:
                bits = fire_few(state, v + k, sums, LANES * i + k, params, base + k, base + n + k, base + 2 * n + k)
                if bits:
                    waits |= reached_few(state, v + k, params, base + k) != 0
                taken = FEW
            else:
                bits = fire_one(state, v + k, sums, LANES * i + k, params, base + k, base + n + k, base + 2 * n + k)
                if bits:
                    waits |= reached_one(state, v + k, params, base + k) != 0
                taken = 1
            while bits:
                index[np.uint64(at + m)] = cell.first + k + lowest(bits)
                count[np.uint64(at + m)] = 1
                bits &= bits - np.uint64(1)
                m += 1
            k += taken
        lists[i, 1] += m
    return waits


@inner
def _fire(cell: Any, k: Any, state: Any, params: Any, index: Any, count: Any, at: Any) -> Any:
    """Neuron k fires as often as it may and resets. True if another step without arrivals could change anything."""
    n, base = cell.stride, cell.params
    v, threshold = np.int64(state[np.uint64(cell.v + k)]), np.int64(params[np.uint64(base + k)])
    most, spikes = np.int64(params[np.uint64(base + 6 * n + k)]), np.int64(1)
    if most > 1:
        spikes = min(most, v // threshold)
    index[np.uint64(at)] = k
    count[np.uint64(at)] = spikes
    if params[np.uint64(base + n + k)] == 0:
        v -= spikes * threshold
    else:
        v = np.int64(params[np.uint64(base + 2 * n + k)])
    state[np.uint64(cell.v + k)] = v
    # A reset may leave v outside its bounds; the next step clips it.
    outside = v < params[np.uint64(base + 7 * n + k)] or v > params[np.uint64(base + 8 * n + k)]
    return v >= threshold or (cell.bounded and outside)


@inner
def _integrate(cell: Any, start: Any, stop: Any, state: Any, params: Any, tally: Any) -> None:
    """v += bias;  v = min(max(v, v_min), v_max), a saturation where that changes v; neurons start..stop-1."""
    n, base, clipped = cell.stride, cell.params, 0
    for k in range(start, stop):
        v = state[np.uint64(cell.v + k)] + params[np.uint64(base + 3 * n + k)]
        low, high = params[np.uint64(base + 7 * n + k)], params[np.uint64(base + 8 * n + k)]
        clipped += (v < low) | (v > high)
        v = low if v < low else v
        state[np.uint64(cell.v + k)] = high if v > high else v
    tally[V_SATURATIONS] += clipped


@inner
def step_if(cell: Any, state: Any, params: Any, index: Any, count: Any, at: Any, tally: Any) -> Any:
    """Integrate and fire, after the arrivals a[t] were added to v.

    v += bias;  v = min(max(v, v_min), v_max), a saturation where that changes v
    fire iff v >= v_threshold: s = 1, or min(max_spikes, floor(v / v_threshold)) where max_spikes > 1
    reset 0: v -= s * v_threshold;  reset 1: v = v_reset
    """
    m, pending, whole = 0, cell.biased != 0, cell.size - cell.size % 64
    if cell.biased or cell.bounded:
        _integrate(cell, 0, cell.size, state, params, tally)
    for start in range(0, whole, 64):
        bits = reached(state, cell.v + start, params, cell.params + start)
        while bits:
            pending |= _fire(cell, start + lowest(bits), state, params, index, count, at + m)
            bits &= bits - np.uint64(1)
            m += 1
    for k in range(whole, cell.size):
        if state[np.uint64(cell.v + k)] >= params[np.uint64(cell.params + k)]:
            pending |= _fire(cell, k, state, params, index, count, at + m)
            m += 1
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
