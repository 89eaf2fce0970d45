"""Families that meet the spikes of a step one after another, because each may saturate or fire: xylo and dynap.

Their arrivals are not summed. The kernel lists the synapses of one source neuron after the other, in ascending order of
the sources, and hands each list to `receive`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnport.errors import InvalidGraph
from snnport.program import Population
from snnport.sim.families.base import (
    PENDING,
    U_WRAPS,
    UNBOUNDED,
    V_SATURATIONS,
    Arrivals,
    Family,
    Prepared,
    Rows,
    bound_of_v,
    check_bounds,
    in_range,
    largest,
    spiking,
)
from snnport.sim.vector import inner

XYLO, DYNAP = 8, 9
HIGH, LOW = (1 << 15) - 1, -(1 << 15)
"""Xylo's states have 16 bits."""
MOST_EVENTS = (1 << 16) - 1

_XYLO_RANGES = {
    "v_threshold": (1, HIGH),
    "dash_mem": (0, 15),
    "dash_syn": (0, 15),
    "dash_syn_2": (0, 15),
    "bias": (LOW, HIGH),
    "max_spikes": (1, 31),
}


def _xylo(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    in_range(population, p, {**_XYLO_RANGES, "alias": (-1, population.size - 1)})
    params = np.stack([p[name] for name in (*_XYLO_RANGES, "alias")])
    bound = max(4 * HIGH, largest(params))
    return Prepared(np.zeros((4, population.size), np.int64), 1, params, bound, int(p["max_spikes"].max(initial=1)))


def _dynap(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    spiking(population, p, resets=2)
    in_range(population, p, {"max_spikes": (1, MOST_EVENTS)})
    check_bounds(population, p)
    if np.any(p["v_threshold"] < 1):
        raise InvalidGraph(population.name, f"v_threshold is {p['v_threshold'].min()}, at least 1 is needed")
    state = np.zeros((2, population.size), np.int64)
    state[0] = p["v_init"]
    names = ("v_threshold", "reset", "v_reset", "bias", "v_min", "v_max", "max_spikes")
    return Prepared(
        state=state,
        arrivals_row=0,
        params=np.stack([p[name] for name in names]),
        bound=max(bound_of_v(p, steps, arrivals), MOST_EVENTS),
        max_count=int(p["max_spikes"].max(initial=1)),
        biased=bool(np.any(p["bias"])),
    )


FAMILIES: Mapping[str, Family] = {
    "xylo": Family(
        XYLO,
        ("v_threshold", "dash_mem", "dash_syn"),
        {"dash_syn_2": 0, "bias": 0, "max_spikes": 31, "alias": -1},
        3,
        _xylo,
        one_by_one=True,
    ),
    "dynap": Family(
        DYNAP,
        ("v_threshold",),
        {
            "v_init": 0,
            "reset": 0,
            "v_reset": 0,
            "bias": 0,
            "v_min": -UNBOUNDED,
            "v_max": UNBOUNDED,
            "max_spikes": MOST_EVENTS,
        },
        1,
        _dynap,
        one_by_one=True,
    ),
}


@inner
def begin_dynap(cell: Any, state: Any, params: Any, tally: Any) -> Any:
    """The bias arrives before all spikes of the step, as a spike of its own. True if there is one."""
    if cell.biased:
        for k in range(cell.size):
            bias = np.int64(params[np.uint64(cell.params + 3 * cell.size + k)])
            if bias != 0:
                _meet(cell, state, params, k, bias, tally)
    return cell.biased


@inner
def receive(cell: Any, port: Any, state: Any, params: Any, to: Any, weights: Any, m: Any, c: Any, tally: Any) -> None:
    """The synapses to/weights[:m] of a source neuron that fired c times.

    dynap: spike after spike, each through all synapses. xylo: synapse after synapse, each c times:
    I = min(max(I + weight, -2^15), 2^15 - 1), a saturation where that changes the sum
    """
    if cell.family == DYNAP:
        for _ in range(c):
            for e in range(m):
                _meet(cell, state, params, np.int64(to[np.uint64(e)]), np.int64(weights[np.uint64(e)]), tally)
        return
    first = cell.v + (1 + port) * cell.size
    for e in range(m):
        at, weight = np.uint64(first + to[np.uint64(e)]), np.int64(weights[np.uint64(e)])
        for _ in range(c):
            state[at] = _added(np.int64(state[at]), weight, tally)


@inner
def _added(x: Any, y: Any, tally: Any) -> Any:
    """x + y in 16 bits, saturating."""
    total = x + y
    if total > HIGH:
        tally[V_SATURATIONS] += 1
        return HIGH
    if total < LOW:
        tally[V_SATURATIONS] += 1
        return LOW
    return total


@inner
def _meet(cell: Any, state: Any, params: Any, k: Any, weight: Any, tally: Any) -> None:
    """v = min(max(v + weight, v_min), v_max); if v >= v_threshold: one spike, v -= v_threshold or v = v_reset."""
    n, base = cell.size, cell.params
    v = np.int64(state[np.uint64(cell.v + k)]) + weight
    low, high = params[np.uint64(base + 4 * n + k)], params[np.uint64(base + 5 * n + k)]
    if v < low or v > high:
        tally[V_SATURATIONS] += 1
        v = np.int64(low if v < low else high)
    threshold = np.int64(params[np.uint64(base + k)])
    if v >= threshold:
        if state[np.uint64(cell.v + n + k)] < params[np.uint64(base + 6 * n + k)]:
            state[np.uint64(cell.v + n + k)] += 1
            if params[np.uint64(base + n + k)] == 0:
                v -= threshold
            else:
                v = np.int64(params[np.uint64(base + 2 * n + k)])
        else:
            tally[V_SATURATIONS] += 1
    state[np.uint64(cell.v + k)] = v


@inner
def _emit_row(cell: Any, row: Any, state: Any, index: Any, count: Any, at: Any) -> Any:
    """Emit what `row` of the state counted, and forget it."""
    m = 0
    for k in range(cell.size):
        place = np.uint64(cell.v + row * cell.size + k)
        if state[place] != 0:
            index[np.uint64(at + m)] = k
            count[np.uint64(at + m)] = state[place]
            state[place] = 0
            m += 1
    return m


@inner
def step_dynap(cell: Any, state: Any, index: Any, count: Any, at: Any, tally: Any) -> Any:
    """Emit the spikes that the arrivals of the step caused. State: v, spikes of this step."""
    tally[PENDING] = cell.biased
    return _emit_row(cell, 1, state, index, count, at)


@inner
def _loss(x: Any, dash: Any) -> Any:
    """x >> dash, but at least 1 away from 0 where x is not 0."""
    lost = x >> dash
    if lost == 0 and x > 0:
        return 1
    return lost


@inner
def step_xylo(cell: Any, ints: Any, state: Any, params: Any, index: Any, count: Any, at: Any, tally: Any) -> Any:
    """Xylo's bit-shift neuron as xylosim 0.1.3 (v2) computes it. State: v, I of both synaptic states, spikes of this step.

        In ascending order of the neurons, with sat = saturation at 16 bits and loss(x, d) = x >> d, or sign(x) where that is 0:
    I -= loss(I, dash_syn);  v = sat(v + sat(sat(I + I_2 - loss(v, dash_mem)) + bias))
        s = spikes that earlier neurons handed over;  while v >= v_threshold and s < max_spikes: s += 1, v -= v_threshold
        the alias gets min(its own + s, max_spikes) spikes
        -loss(-2^15, 0) wraps to -2^15, as there; it is counted.
    """
    n, base, changed = cell.size, cell.params, 0
    before = tally[V_SATURATIONS]
    for c in range(n):
        k = np.int64(ints[np.uint64(cell.order + c)])
        at_v, at_i = np.uint64(cell.v + k), np.uint64(cell.v + n + k)
        at_j, at_s = np.uint64(cell.v + 2 * n + k), np.uint64(cell.v + 3 * n + k)
        v, i, j = np.int64(state[at_v]), np.int64(state[at_i]), np.int64(state[at_j])
        changed |= (i != 0) | (j != 0)
        i -= _loss(i, np.int64(params[np.uint64(base + 2 * n + k)]))
        j -= _loss(j, np.int64(params[np.uint64(base + 3 * n + k)]))
        gain = -_loss(v, np.int64(params[np.uint64(base + n + k)]))
        if gain > HIGH:
            gain = LOW
            tally[U_WRAPS] += 1
        gain = _added(gain, i + j, tally)
        gain = _added(gain, np.int64(params[np.uint64(base + 4 * n + k)]), tally)
        old = v
        v = _added(v, gain, tally)
        threshold, most = np.int64(params[np.uint64(base + k)]), np.int64(params[np.uint64(base + 5 * n + k)])
        s = np.int64(state[at_s])
        while v >= threshold and s < most:
            s += 1
            v -= threshold
        state[at_v], state[at_i], state[at_j], state[at_s] = v, i, j, s
        changed |= (v != old) | (s != 0)
        alias = np.int64(params[np.uint64(base + 6 * n + k)])
        if alias >= 0 and s > 0:
            other = np.int64(ints[np.uint64(cell.order + alias)])
            place = np.uint64(cell.v + 3 * n + other)
            state[place] = min(np.int64(state[place]) + s, np.int64(params[np.uint64(base + 5 * n + other)]))
    tally[PENDING] = changed or tally[V_SATURATIONS] != before
    return _emit_row(cell, 3, state, index, count, at)
