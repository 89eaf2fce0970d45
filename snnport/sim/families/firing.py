"""Families without leak: if, integrator, and the two that emit a list of spikes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnport.errors import InvalidGraph
from snnport.program import Population
from snnport.sim.families.base import (
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
    _, repeats = np.unique(np.stack([time, index]), axis=1, return_counts=True)
    empty = np.zeros((0, population.size), np.int64)
    return Prepared(empty, 0, empty, 0, int(repeats.max(initial=1)))


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
        simple=not (biased or bounded or np.any(reset) or np.any(most > 1)),
        biased=biased,
        bounded=bounded,
        loads=(int(loads.min()), int(loads.max())) if loads.size else (-1, -1),
    )


def _integrator(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    bound = largest(p["v_init"]) + arrivals.total + steps * largest(p["bias"])
    return Prepared(p["v_init"][None], 0, p["bias"][None], bound, biased=bool(np.any(p["bias"])))


FAMILIES: Mapping[str, Family] = {
    "input": Family(INPUT, (), {"graded": 0}, 0, _input, common=True),
    "generator": Family(GENERATOR, ("time", "index"), {}, 0, _generator, common=True),
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
    n, loaded = cell.size, False
    for k in range(n):
        if params[np.uint64(cell.params + 4 * n + k)] == t:
            state[np.uint64(cell.v + k)] = params[np.uint64(cell.params + 5 * n + k)]
            loaded = True
    return loaded


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
