"""Families that send their value: a spike carries a signed integer, which arrives multiplied by the code."""

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
    check_bounds,
    finite_bounds,
    in_range,
    largest,
)
from snnport.sim.vector import inner

GRADED, GRADED_RELU, DELTA, SIGMA_DELTA = range(10, 14)


def _largest_value(population: Population, p: Mapping[str, Rows], reach: int) -> int:
    """Greatest |value| between v_min and v_max of a neuron whose value without them stays below `reach`."""
    check_bounds(population, p)
    finite, closed = finite_bounds(p)
    if finite.size and (np.any(p["v_min"] > 0) or np.any(p["v_max"] < 0)):
        raise InvalidGraph(population.name, "0 does not lie within v_min..v_max", "A silent neuron has the value 0")
    return min(reach, largest(finite)) if closed else reach


def _graded(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    in_range(population, p, {"shift": (0, 62), "v_threshold": (0, UNBOUNDED)})
    raw = arrivals.step + largest(p["bias"])
    value = _largest_value(population, p, raw)
    params = np.stack([p[name] for name in ("v_threshold", "bias", "shift", "v_min", "v_max")])
    return Prepared(
        np.zeros((1, population.size), np.int64),
        0,
        params,
        max(raw, largest(p["bias"]), 62),
        max_count=value,
        biased=bool(np.any(p["bias"])),
    )


def _delta(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    in_range(population, p, {"v_threshold": (1, UNBOUNDED), "shift": (0, 62)})
    raw = arrivals.step + largest(p["bias"])
    value = _largest_value(population, p, raw)
    params = np.stack([p[name] for name in ("v_threshold", "bias", "v_min", "v_max", "shift")])
    state = np.zeros((2, population.size), np.int64)
    return Prepared(state, 1, params, max(2 * raw, 2 * value, 62), max_count=_most_sent(2 * value, p))


def _sigma_delta(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    in_range(population, p, {"v_threshold": (1, UNBOUNDED), "rectify": (0, 1), "shift": (0, 62)})
    sigma = _largest_value(population, p, arrivals.total)
    value = sigma + largest(p["bias"])
    params = np.stack([p[name] for name in ("v_threshold", "bias", "v_min", "v_max", "rectify", "shift")])
    state = np.zeros((2, population.size), np.int64)
    return Prepared(state, 0, params, max(2 * value + arrivals.step, 62), max_count=_most_sent(2 * value, p))


def _most_sent(change: int, p: Mapping[str, Rows]) -> int:
    """The largest |payload| of a change of up to `change` after the shift: -1 shifted by anything is -1."""
    return max(-(-change >> int(p["shift"].min(initial=62))), 1)


_BOUNDS = {"v_min": -UNBOUNDED, "v_max": UNBOUNDED}
_VECTOR = {"v_threshold": 0, "bias": 0, "shift": 0, **_BOUNDS}

FAMILIES: Mapping[str, Family] = {
    "graded": Family(GRADED, (), _VECTOR, 1, _graded, payloads=True),
    "graded_relu": Family(GRADED_RELU, (), _VECTOR, 1, _graded, payloads=True),
    "delta": Family(DELTA, ("v_threshold",), {"bias": 0, "shift": 0, **_BOUNDS}, 1, _delta, payloads=True),
    "sigma_delta": Family(
        SIGMA_DELTA, ("v_threshold",), {"bias": 0, "rectify": 1, "shift": 0, **_BOUNDS}, 2, _sigma_delta, payloads=True
    ),
}


@inner
def _within(value: Any, low: Any, high: Any, tally: Any) -> Any:
    if value < low:
        tally[V_SATURATIONS] += 1
        return np.int64(low)
    if value > high:
        tally[V_SATURATIONS] += 1
        return np.int64(high)
    return value


@inner
def step_graded(cell: Any, state: Any, params: Any, index: Any, count: Any, at: Any, tally: Any) -> Any:
    """graded and graded_relu (lava-nc 0.10.0, proc/graded/models.py). Nothing is kept from step to step.

    z = min(max((a[t] + bias) >> shift, v_min), v_max), a saturation where the bounds change it;  graded_relu: z = max(z, 0)
    send z iff |z| > v_threshold;  v = 0
    """
    n, m, base = cell.stride, 0, cell.params
    for k in range(cell.size):
        z = np.int64(state[np.uint64(cell.v + k)]) + params[np.uint64(base + n + k)]
        state[np.uint64(cell.v + k)] = 0
        z >>= np.int64(params[np.uint64(base + 2 * n + k)])
        z = _within(z, params[np.uint64(base + 3 * n + k)], params[np.uint64(base + 4 * n + k)], tally)
        if cell.family == GRADED_RELU:
            z = max(z, 0)
        size = z if z >= 0 else -z
        if size > params[np.uint64(base + k)]:
            index[np.uint64(at + m)] = k
            count[np.uint64(at + m)] = z
            m += 1
    tally[PENDING] = cell.biased
    return m


@inner
def step_delta(cell: Any, state: Any, params: Any, index: Any, count: Any, at: Any, tally: Any) -> Any:
    """Send changes (lava-nc 0.10.0, proc/sdn/models.py, Delta; shift is its state_exp). State: v, what was sent; arrivals.

    x = min(max(a[t] + bias, v_min), v_max), a saturation where the bounds change it
    send (x - v) >> shift iff |x - v| >= v_threshold, then v = x
    """
    n, m, base = cell.stride, 0, cell.params
    changed = 0
    before = tally[V_SATURATIONS]
    for k in range(cell.size):
        v, arrived = np.int64(state[np.uint64(cell.v + k)]), np.int64(state[np.uint64(cell.arrivals + k)])
        state[np.uint64(cell.arrivals + k)] = 0
        changed |= arrived != 0
        x = arrived + params[np.uint64(base + n + k)]
        x = _within(x, params[np.uint64(base + 2 * n + k)], params[np.uint64(base + 3 * n + k)], tally)
        size = x - v if x >= v else v - x
        if size >= params[np.uint64(base + k)]:
            changed |= x != v
            sent = (x - v) >> np.int64(params[np.uint64(base + 4 * n + k)])
            if sent != 0:
                index[np.uint64(at + m)] = k
                count[np.uint64(at + m)] = sent
                m += 1
            state[np.uint64(cell.v + k)] = x
    tally[PENDING] = changed or m > 0 or tally[V_SATURATIONS] != before
    return m


@inner
def step_sigma_delta(cell: Any, state: Any, params: Any, index: Any, count: Any, at: Any, tally: Any) -> Any:
    """Sum changes, send changes (proc/sdn/models.py, SigmaDelta; shift is its state_exp). State: v, the sum; what was sent.

    v = min(max(v + a[t], v_min), v_max), a saturation where the bounds change it;  x = v + bias, or max(0, .) where rectify
    send (x - sent) >> shift iff |x - sent| >= v_threshold, then sent = x
    """
    n, m, base = cell.stride, 0, cell.params
    for k in range(cell.size):
        v = np.int64(state[np.uint64(cell.v + k)])
        v = _within(v, params[np.uint64(base + 2 * n + k)], params[np.uint64(base + 3 * n + k)], tally)
        state[np.uint64(cell.v + k)] = v
        x, sent = v + params[np.uint64(base + n + k)], np.int64(state[np.uint64(cell.v + n + k)])
        if params[np.uint64(base + 4 * n + k)] and x < 0:
            x = 0
        size = x - sent if x >= sent else sent - x
        if size >= params[np.uint64(base + k)]:
            payload = (x - sent) >> np.int64(params[np.uint64(base + 5 * n + k)])
            if payload != 0:
                index[np.uint64(at + m)] = k
                count[np.uint64(at + m)] = payload
                m += 1
            state[np.uint64(cell.v + n + k)] = x
    tally[PENDING] = 0
    return m
