"""Loihi's neurons, bit for bit as the fixed-point models of lava-nc 0.10.0: cuba, cuba_reset and atrlif."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnport.program import Population
from snnport.sim.families.base import (
    PENDING,
    U_WRAPS,
    V_SATURATIONS,
    Arrivals,
    Family,
    Prepared,
    Rows,
    decayed,
    in_range,
    largest,
)
from snnport.sim.vector import inner

CUBA, ATRLIF, CUBA_RESET = 4, 5, 14
LIMIT = 1 << 23
"""u lies in -2^23+1..2^23 and v in -2^23+1..2^23-1 (lava-nc 0.10.0, proc/lif/models.py, PyLifModelBitAcc)."""

_BIAS = {"bias_mant": (-4096, 4095), "bias_exp": (-31, 31)}
_CUBA_RANGES = {"du": (-1, 4095), "dv": (0, 4096), "vth": (0, 1 << 17), **_BIAS}
_RESET_RANGES = {"reset_interval": (1, (1 << 31) - 1), "reset_offset": (0, (1 << 31) - 1)}
_ATRLIF_RANGES = {
    "du": (-1, 4095),
    "dv": (0, 4096),
    "dtheta": (0, 4096),
    "dr": (0, 4096),
    "theta_0": (0, 1 << 17),
    "theta_step": (0, 1 << 17),
    **_BIAS,
}


def _bias(p: Mapping[str, Rows]) -> Rows:
    exponent = p["bias_exp"]
    return np.where(exponent >= 0, p["bias_mant"] << np.maximum(exponent, 0), p["bias_mant"] >> np.maximum(-exponent, 0))


def _bound_of_u(steps: int, arrivals: Arrivals) -> int:
    push = arrivals.step << 6
    # One wrap brings u back into its range unless more than a whole turn arrives in a step.
    return LIMIT + push if push <= 2 * LIMIT else 2 * LIMIT + steps * push


def _cuba(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    in_range(population, p, _CUBA_RANGES)
    params = np.stack((4095 - p["du"], 4096 - p["dv"], p["vth"] << 6, _bias(p)))
    return Prepared(np.zeros((3, population.size), np.int64), 2, params, max(_bound_of_u(steps, arrivals), largest(params)))


def _cuba_reset(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    in_range(population, p, _RESET_RANGES)
    plain = _cuba(population, p, steps, arrivals)
    interval = p["reset_interval"]
    state = np.zeros((4, population.size), np.int64)
    # Steps left until the first t with (t + 1) % interval == offset % interval.
    state[2] = (p["reset_offset"] - 1) % interval
    return Prepared(state, 3, np.concatenate((plain.params, interval[None])), max(plain.bound, largest(interval)))


def _atrlif(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    in_range(population, p, _ATRLIF_RANGES)
    theta_0, theta_step = p["theta_0"] << 6, p["theta_step"] << 6
    params = np.stack((4095 - p["du"], 4096 - p["dv"], 4096 - p["dtheta"], 4096 - p["dr"], theta_0, theta_step, _bias(p)))
    state = np.zeros((5, population.size), np.int64)
    state[3] = theta_0
    # A spike needs theta <= v - r < 2^23 and r >= 0, so that theta stays below 2^23 + theta_step and r below 2^24.
    bound = max(_bound_of_u(steps, arrivals), 2 * LIMIT + largest(theta_step), largest(params))
    return Prepared(state, 4, params, bound)


FAMILIES: Mapping[str, Family] = {
    "cuba": Family(CUBA, ("du", "dv", "vth"), {"bias_mant": 0, "bias_exp": 0}, 2, _cuba, common=True),
    "cuba_reset": Family(
        CUBA_RESET,
        ("du", "dv", "vth", "reset_interval"),
        {"reset_offset": 0, "bias_mant": 0, "bias_exp": 0},
        2,
        _cuba_reset,
    ),
    "atrlif": Family(
        ATRLIF, ("du", "dv", "dtheta", "dr", "theta_0", "theta_step"), {"bias_mant": 0, "bias_exp": 0}, 4, _atrlif
    ),
}


@inner
def _wrapped(u: Any, tally: Any) -> Any:
    """One turn at most: u - 2^24 above 2^23, u + 2^24 at or below -2^23."""
    if u > LIMIT:
        tally[U_WRAPS] += 1
        return u - 2 * LIMIT
    if u <= -LIMIT:
        tally[U_WRAPS] += 1
        return u + 2 * LIMIT
    return u


@inner
def _clipped(v: Any, tally: Any) -> Any:
    """v within -(2^23 - 1)..2^23 - 1."""
    if v > LIMIT - 1 or v < 1 - LIMIT:
        tally[V_SATURATIONS] += 1
        return LIMIT - 1 if v > 0 else 1 - LIMIT
    return v


@inner
def step_cuba(cell: Any, state: Any, params: Any, index: Any, count: Any, at: Any, tally: Any) -> Any:
    """Loihi's leaky integrate and fire (proc/lif/models.py, PyLifModelBitAcc). State: v, u, arrivals.

    u = WRAP(decay(u, du + 1) + (a[t] << 6))
    v = CLIP(decay(v, dv) + u + bias);  bias = bias_mant << bias_exp (arithmetic >> if negative)
    fire iff v > vth << 6, then v = 0
    """
    n, m, changed = cell.stride, 0, 0
    before = tally[U_WRAPS] + tally[V_SATURATIONS]
    base = cell.params
    for k in range(cell.size):
        arrived = np.int64(state[np.uint64(cell.arrivals + k)])
        state[np.uint64(cell.arrivals + k)] = 0
        u_before, v_before = np.int64(state[np.uint64(cell.v + n + k)]), np.int64(state[np.uint64(cell.v + k)])
        u = _wrapped(decayed(u_before, np.int64(params[np.uint64(base + k)])) + (arrived << 6), tally)
        v = decayed(v_before, np.int64(params[np.uint64(base + n + k)])) + u + params[np.uint64(base + 3 * n + k)]
        v = _clipped(v, tally)
        if v > params[np.uint64(base + 2 * n + k)]:
            index[np.uint64(at + m)] = k
            count[np.uint64(at + m)] = 1
            m += 1
            v = 0
        changed |= (u != u_before) | (v != v_before) | (arrived != 0)
        state[np.uint64(cell.v + n + k)] = u
        state[np.uint64(cell.v + k)] = v
    # What wraps, saturates or fires in the same way each step leaves u and v as they were.
    tally[PENDING] = changed or m > 0 or tally[U_WRAPS] + tally[V_SATURATIONS] != before
    return m


@inner
def step_cuba_reset(cell: Any, state: Any, params: Any, index: Any, count: Any, at: Any, tally: Any) -> Any:
    """step_cuba, before which u and v are 0 again at intervals (PyLifResetModelBitAcc). State: v, u, steps left, arrivals."""
    n, base = cell.stride, cell.params
    for k in range(cell.size):
        left = np.int64(state[np.uint64(cell.v + 2 * n + k)])
        if left == 0:
            state[np.uint64(cell.v + k)] = 0
            state[np.uint64(cell.v + n + k)] = 0
            left = np.int64(params[np.uint64(base + 4 * n + k)])
        state[np.uint64(cell.v + 2 * n + k)] = left - 1
    m = step_cuba(cell, state, params, index, count, at, tally)
    tally[PENDING] = True
    return m


@inner
def step_atrlif(cell: Any, state: Any, params: Any, index: Any, count: Any, at: Any, tally: Any) -> Any:
    """Adaptive threshold and refractoriness (proc/atrlif/models.py, PyATRLIFModelFixed). State: v, u, r, theta, arrivals.

    u and v as in step_cuba, v without reset
    theta = theta_0 + decay(theta - theta_0, dtheta);  r = decay(r, dr);  theta_0 and theta_step shifted left by 6
    fire iff v - r >= theta, then r += 2 * theta, theta += theta_step
    """
    n, m, changed = cell.stride, 0, 0
    before = tally[U_WRAPS] + tally[V_SATURATIONS]
    base = cell.params
    for k in range(cell.size):
        arrived = np.int64(state[np.uint64(cell.arrivals + k)])
        state[np.uint64(cell.arrivals + k)] = 0
        v_before, u_before = np.int64(state[np.uint64(cell.v + k)]), np.int64(state[np.uint64(cell.v + n + k)])
        r_before, theta_before = np.int64(state[np.uint64(cell.v + 2 * n + k)]), np.int64(state[np.uint64(cell.v + 3 * n + k)])
        u = _wrapped(decayed(u_before, np.int64(params[np.uint64(base + k)])) + (arrived << 6), tally)
        v = decayed(v_before, np.int64(params[np.uint64(base + n + k)])) + u + params[np.uint64(base + 6 * n + k)]
        v = _clipped(v, tally)
        rest = np.int64(params[np.uint64(base + 4 * n + k)])
        theta = rest + decayed(theta_before - rest, np.int64(params[np.uint64(base + 2 * n + k)]))
        r = decayed(r_before, np.int64(params[np.uint64(base + 3 * n + k)]))
        if v - r >= theta:
            index[np.uint64(at + m)] = k
            count[np.uint64(at + m)] = 1
            m += 1
            r += 2 * theta
            theta += params[np.uint64(base + 5 * n + k)]
        changed |= (u != u_before) | (v != v_before) | (arrived != 0) | (r != r_before) | (theta != theta_before)
        state[np.uint64(cell.v + k)] = v
        state[np.uint64(cell.v + n + k)] = u
        state[np.uint64(cell.v + 2 * n + k)] = r
        state[np.uint64(cell.v + 3 * n + k)] = theta
    tally[PENDING] = changed or m > 0 or tally[U_WRAPS] + tally[V_SATURATIONS] != before
    return m
