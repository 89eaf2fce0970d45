"""slope: integrate and fire on a current that stays, until a step of the neuron's own clock ends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnport.program import Population
from snnport.sim.families.base import PENDING, Arrivals, Family, Prepared, Rows, largest, spiking
from snnport.sim.vector import inner

SLOPE = 15


def _slope(population: Population, p: Mapping[str, Rows], steps: int, arrivals: Arrivals) -> Prepared:
    spiking(population, {**p, "v_min": np.zeros(1, np.int64), "v_max": np.zeros(1, np.int64)}, resets=2)
    keys = ("v_threshold", "reset", "v_reset", "clear_step", "load_step", "v_load")
    state = np.zeros((4, population.size), np.int64)
    state[0] = p["v_init"]
    # A threshold of 0 or less is taken off as a gain, once a step.
    gain = largest(np.minimum(p["v_threshold"], 0))
    bound = largest(p["v_init"], p["v_reset"], p["v_load"], p["v_threshold"]) + steps * (arrivals.total + gain)
    return Prepared(state, 3, np.stack([p[key] for key in keys]), bound)


FAMILIES: Mapping[str, Family] = {
    "slope": Family(
        SLOPE,
        ("v_threshold",),
        {"v_init": 0, "reset": 0, "v_reset": 0, "clear_step": -1, "load_step": -1, "v_load": 0},
        2,
        _slope,
    ),
}


@inner
def step_slope(cell: Any, state: Any, params: Any, index: Any, count: Any, at: Any, tally: Any) -> Any:
    """Integrate and fire on a current that stays. State: v, u, steps done, arrivals.

    in step clear_step u = 0;  in step load_step u = 0 and v = v_load
    u += a[t];  v += u;  fire iff v >= v_threshold, then v -= v_threshold, or v = v_reset where reset = 1
    """
    n, m, base = cell.stride, 0, cell.params
    for k in range(cell.size):
        t = np.int64(state[np.uint64(cell.v + 2 * n + k)])
        state[np.uint64(cell.v + 2 * n + k)] = t + 1
        v, u = np.int64(state[np.uint64(cell.v + k)]), np.int64(state[np.uint64(cell.v + n + k)])
        if t == params[np.uint64(base + 3 * n + k)]:
            u = np.int64(0)
        if t == params[np.uint64(base + 4 * n + k)]:
            u = np.int64(0)
            v = np.int64(params[np.uint64(base + 5 * n + k)])
        u += state[np.uint64(cell.arrivals + k)]
        state[np.uint64(cell.arrivals + k)] = 0
        v += u
        threshold = np.int64(params[np.uint64(base + k)])
        if v >= threshold:
            index[np.uint64(at + m)] = k
            count[np.uint64(at + m)] = 1
            m += 1
            v = v - threshold if params[np.uint64(base + n + k)] == 0 else np.int64(params[np.uint64(base + 2 * n + k)])
        state[np.uint64(cell.v + n + k)] = u
        state[np.uint64(cell.v + k)] = v
    tally[PENDING] = True
    return m
