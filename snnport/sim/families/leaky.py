"""Leaky integrate and fire in plain integers, with a fixed threshold (lif) and with one that rises at every spike (alif)."""

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
    leaked,
    spiking,
)
from snnport.sim.vector import inner

LIF, ALIF = 6, 7
_DECAY = {"decay": (0, 4096), "decay_shift": (-1, 62)}
_A_DECAY = {"a_decay": (0, 4096), "a_decay_shift": (-1, 62)}
_NEUTRAL = {
    "v_init": 0,
    "bias": 0,
    "decay": 0,
    "decay_shift": -1,
    "reset": 0,
    "v_reset": 0,
    "v_min": -UNBOUNDED,
    "v_max": UNBOUNDED,
}


def _one_decay(population: Population, p: Mapping[str, Rows], product: str, shift: str) -> None:
    if np.any((p[product] != 0) & (p[shift] >= 0)):
        raise InvalidGraph(population.name, f"it has both {product} and {shift}", "Give one of them")


def _lif(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    spiking(population, p, resets=2)
    in_range(population, p, {**_DECAY, "refractory": (0, (1 << 31) - 1)})
    _one_decay(population, p, "decay", "decay_shift")
    threshold, most = p["v_threshold"], p["max_spikes"]
    # The decay brings v nearer to 0, so that the bound of `if` holds.
    bound = bound_of_v(p, steps, arrivals)
    rows = (4096 - p["decay"], p["decay_shift"], threshold, p["bias"], p["reset"], p["v_reset"], most, p["refractory"])
    state = np.zeros((3, population.size), np.int64)
    state[0] = p["v_init"]
    biased, bounded = bool(np.any(p["bias"])), bool(finite_bounds(p)[0].size)
    special = np.any(p["reset"]) or np.any(most > 1) or np.any(p["refractory"]) or np.any(p["decay_shift"] >= 0)
    return Prepared(
        state=state,
        arrivals_row=1,
        params=np.stack((*rows, p["v_min"], p["v_max"])),
        bound=max(bound, largest(p["refractory"])),
        max_count=min(int(most.max(initial=1)), max(1, bound // max(1, int(threshold.min(initial=1))))),
        simple=not (bounded or special),
        biased=biased,
        bounded=bounded,
    )


def _alif(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    spiking(population, p, resets=3)
    in_range(population, p, {**_DECAY, **_A_DECAY, "a_step": (0, UNBOUNDED)})
    _one_decay(population, p, "decay", "decay_shift")
    _one_decay(population, p, "a_decay", "a_decay_shift")
    rows = (4096 - p["decay"], p["decay_shift"], 4096 - p["a_decay"], p["a_decay_shift"], p["v_threshold"], p["a_step"])
    state = np.zeros((3, population.size), np.int64)
    state[0] = p["v_init"]
    return Prepared(
        state=state,
        arrivals_row=1,
        params=np.stack((*rows, p["bias"], p["reset"], p["v_reset"], p["v_min"], p["v_max"])),
        bound=bound_of_v(p, steps, arrivals) + steps * largest(p["a_step"]),
        bounded=bool(finite_bounds(p)[0].size),
    )


FAMILIES: Mapping[str, Family] = {
    "lif": Family(LIF, ("v_threshold",), {**_NEUTRAL, "max_spikes": 1, "refractory": 0}, 1, _lif),
    "alif": Family(ALIF, ("v_threshold", "a_step"), {**_NEUTRAL, "a_decay": 0, "a_decay_shift": -1}, 2, _alif),
}


@inner
def step_lif_simple(cell: Any, state: Any, params: Any, index: Any, count: Any, at: Any, tally: Any) -> Any:
    """step_lif with a decay by product, one spike a step, a subtracting reset, and neither bounds nor refractory steps."""
    n, m, changed = cell.stride, 0, 0
    base = cell.params
    for k in range(cell.size):
        before = np.int64(state[np.uint64(cell.v + k)])
        arrived = np.int64(state[np.uint64(cell.arrivals + k)])
        state[np.uint64(cell.arrivals + k)] = 0
        v = leaked(before, np.int64(params[np.uint64(base + k)]), -1) + arrived + params[np.uint64(base + 3 * n + k)]
        threshold = np.int64(params[np.uint64(base + 2 * n + k)])
        fires = v >= threshold
        index[np.uint64(at + m)] = k
        count[np.uint64(at + m)] = 1
        m += fires
        v -= threshold if fires else 0
        changed |= (v != before) | (arrived != 0)
        state[np.uint64(cell.v + k)] = v
    tally[PENDING] = changed or m > 0
    return m


@inner
def step_lif(cell: Any, state: Any, params: Any, index: Any, count: Any, at: Any, tally: Any) -> Any:
    """Leaky integrate and fire. State: v, arrivals, refractory steps that are left.

    where refractory steps are left: one less, v stays, arrivals and bias are lost
    v = decay(v) + a[t] + bias;  v = min(max(v, v_min), v_max), a saturation where that changes v
    fire iff v >= v_threshold: s = 1, or min(max_spikes, floor(v / v_threshold)) where max_spikes > 1
    reset 0: v -= s * v_threshold;  reset 1: v = v_reset;  then `refractory` steps are left
    """
    n, m, changed = cell.stride, 0, 0
    base = cell.params
    for k in range(cell.size):
        before = np.int64(state[np.uint64(cell.v + k)])
        arrived = np.int64(state[np.uint64(cell.arrivals + k)])
        state[np.uint64(cell.arrivals + k)] = 0
        left = state[np.uint64(cell.v + 2 * n + k)]
        if left > 0:
            state[np.uint64(cell.v + 2 * n + k)] = left - 1
            changed = 1
            continue
        v = leaked(before, np.int64(params[np.uint64(base + k)]), np.int64(params[np.uint64(base + n + k)]))
        v += arrived + params[np.uint64(base + 3 * n + k)]
        if cell.bounded:
            low, high = params[np.uint64(base + 8 * n + k)], params[np.uint64(base + 9 * n + k)]
            if v < low or v > high:
                tally[V_SATURATIONS] += 1
                changed = 1
                v = np.int64(low if v < low else high)
        threshold = np.int64(params[np.uint64(base + 2 * n + k)])
        if v >= threshold:
            most = np.int64(params[np.uint64(base + 6 * n + k)])
            spikes = 1
            if most > 1:
                spikes = min(most, v // threshold)
            index[np.uint64(at + m)] = k
            count[np.uint64(at + m)] = spikes
            m += 1
            if params[np.uint64(base + 4 * n + k)] == 0:
                v -= spikes * threshold
            else:
                v = np.int64(params[np.uint64(base + 5 * n + k)])
            state[np.uint64(cell.v + 2 * n + k)] = params[np.uint64(base + 7 * n + k)]
        changed |= (v != before) | (arrived != 0)
        state[np.uint64(cell.v + k)] = v
    tally[PENDING] = changed or m > 0
    return m


@inner
def step_alif(cell: Any, state: Any, params: Any, index: Any, count: Any, at: Any, tally: Any) -> Any:
    """Leaky integrate and fire with an adaptive threshold. State: v, arrivals, a.

    v = decay(v) + a[t] + bias, bounded as in step_lif;  a = decay(a)
    fire iff v >= v_threshold + a
    reset 0: v -= v_threshold;  1: v = v_reset;  2: v -= v_threshold + a;  then a += a_step
    """
    n, m, changed = cell.stride, 0, 0
    base = cell.params
    for k in range(cell.size):
        before = np.int64(state[np.uint64(cell.v + k)])
        arrived = np.int64(state[np.uint64(cell.arrivals + k)])
        state[np.uint64(cell.arrivals + k)] = 0
        v = leaked(before, np.int64(params[np.uint64(base + k)]), np.int64(params[np.uint64(base + n + k)]))
        v += arrived + params[np.uint64(base + 6 * n + k)]
        if cell.bounded:
            low, high = params[np.uint64(base + 9 * n + k)], params[np.uint64(base + 10 * n + k)]
            if v < low or v > high:
                tally[V_SATURATIONS] += 1
                changed = 1
                v = np.int64(low if v < low else high)
        a_before = np.int64(state[np.uint64(cell.v + 2 * n + k)])
        a = leaked(a_before, np.int64(params[np.uint64(base + 2 * n + k)]), np.int64(params[np.uint64(base + 3 * n + k)]))
        threshold = np.int64(params[np.uint64(base + 4 * n + k)])
        if v >= threshold + a:
            index[np.uint64(at + m)] = k
            count[np.uint64(at + m)] = 1
            m += 1
            reset = params[np.uint64(base + 7 * n + k)]
            if reset == 0:
                v -= threshold
            elif reset == 1:
                v = np.int64(params[np.uint64(base + 8 * n + k)])
            else:
                v -= threshold + a
            a += params[np.uint64(base + 5 * n + k)]
        changed |= (v != before) | (arrived != 0) | (a != a_before)
        state[np.uint64(cell.v + k)] = v
        state[np.uint64(cell.v + 2 * n + k)] = a
    tally[PENDING] = changed or m > 0
    return m
