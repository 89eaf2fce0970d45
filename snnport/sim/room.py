"""Scratch space of the kernel for some samples side by side: made once, used by one chunk of samples after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from snnport.sim.plan import Plan
from snnport.sim.records import aligned
from snnport.sim.tiles import LANES


@dataclass(frozen=True, eq=False)
class Space:
    """room, work: as block.py and tally.py take them. samples: how many fit side by side."""

    room: tuple[Any, ...]
    work: tuple[Any, Any]
    samples: int


def make_room(plan: Plan, samples: int) -> Space:
    """Space for `samples` samples side by side, or for as many as the plan takes at once.

    room: state (samples, entries) flat; index, count: the event lists of the last steps; lengths, totals (samples,
    populations, lists): their lengths and sums; pending: whether a step without arrivals could change anything; parts: records
    of what is being stepped; strides: of a sample in state and event lists, rows of a raster; scratch of pooling and of
    families that meet spikes one by one; tiling: arrivals of a tile, steps with arrivals, projections for the dense product,
    the counts and codes of that, where the spikes of each step lie that arrive, and those that are fired.
    """
    cells, (steps, at_once) = plan.cell_records, (plan.pace.steps, max(1, min(plan.pace.samples, samples)))
    p, q, n_cores = len(cells), len(plan.links), len(plan.cores.names)
    slots = int(cells["slots"].max(initial=1))
    pooled = plan.pooled_size + 1
    to, largest = plan.extended or (0, 0)

    def ints(*shape: int) -> Any:
        return np.zeros(shape, np.int32)

    def longs(*shape: int) -> Any:
        return np.zeros(shape, np.int64)

    scratch = (
        ints(pooled),
        ints(pooled),
        ints(pooled),
        np.zeros(pooled, np.int8),
        ints(largest + 1),
        ints(to + 1),
        ints(to + 1),
    )
    rows, tiled = at_once * steps, plan.raster_size > 0
    raster = aligned(rows * plan.raster_size + 1, np.uint8)
    packed = aligned(plan.raster_size * LANES + 1, np.int8)
    sums = aligned(steps * LANES if tiled else 1, plan.initial.dtype)
    tiling = (
        sums,
        np.zeros((at_once, steps), np.int8),
        np.zeros(q + 1, np.int8),
        raster,
        packed,
        longs(steps, 3),
        longs(at_once, steps, 2),
    )
    room = (
        aligned(at_once * plan.initial.size, plan.initial.dtype),
        np.empty(at_once * plan.ring_size + 1, np.int32),
        np.empty(at_once * plan.ring_size + 1, np.int32),
        longs(at_once, p, slots),
        longs(at_once, p, slots),
        longs(at_once, plan.pending_size),
        cells.copy(),
        (plan.initial.size, plan.ring_size, rows),
        scratch,
        tiling,
    )
    # The last entry of a row takes what concerns neurons on no core.
    return Space(room, (longs(at_once, steps, n_cores + 1), longs(at_once, steps, n_cores + 1)), at_once)
