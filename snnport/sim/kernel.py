"""The compiled run: some samples side by side, block after block of steps, group after group of populations.

Compiled code is cached on disk. numba looks at the file of a cached function alone, not at the files of the functions it
calls, so the text of all of them is part of the key here: an edited neuron family never runs stale.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from snnport.sim.block import run_tiles, run_together
from snnport.sim.families.firing import GENERATOR, INPUT
from snnport.sim.masks import LANES, lowest, nonzero
from snnport.sim.tally import charge, settle
from snnport.sim.vector import inner

_FILES = (
    *("kernel.py", "block.py", "tally.py", "neurons.py", "delivery.py", "timing.py", "tiles.py", "dense.py"),
    *("vector.py", "masks.py", "records.py", "families/*.py"),
)


def _fingerprint() -> int:
    folder = Path(__file__).parent
    text = b"".join(path.read_bytes() for name in _FILES for path in sorted(folder.glob(name)))
    return int.from_bytes(hashlib.sha256(text).digest()[:7], "little")


@njit(nogil=True, cache=True)
def events_of(raster: Any, first: Any, inside: Any, start: Any, index: Any, count: Any, base: Any, used: Any) -> Any:
    """List the spikes of raster[:, :, first : first + n] (n_samples, n_steps, neurons) as one event list a sample and step.

    inside (n,): position in the engine. Fills start behind `base`, index and count behind `used`; returns how much is used.
    """
    n = inside.shape[0]
    whole = n - n % LANES
    for s in range(raster.shape[0]):
        for t in range(raster.shape[1]):
            row = raster[s, t]
            for begin in range(0, whole, LANES):
                bits = nonzero(row, first + begin)  # pyright: ignore[reportCallIssue]
                while bits:
                    k = begin + lowest(bits)
                    bits &= bits - np.uint64(1)
                    index[used] = inside[k]
                    count[used] = row[first + k]
                    used += 1
            for k in range(whole, n):
                c = row[first + k]
                if c:
                    index[used] = inside[k]
                    count[used] = c
                    used += 1
            start[base + s * raster.shape[1] + t + 1] = used
    return used


@inner
def _emit(listed: Any, which: Any, to_index: Any, to_count: Any, at: Any) -> Any:
    """Copy event list `which` behind `at`; returns its length."""
    start, index, count = listed
    first, last = start[which], start[which + 1]
    for e in range(first, last):
        to_index[np.uint64(at + e - first)] = index[np.uint64(e)]
        to_count[np.uint64(at + e - first)] = count[np.uint64(e)]
    return last - first


def _compile(fingerprint: int) -> Any:
    @njit(nogil=True, cache=True, error_model="numpy")
    def run_samples(
        net: Any,
        initial: Any,
        groups: Any,
        sizes: Any,
        stimulus: Any,
        generated: Any,
        sweep: Any,
        clocked: Any,
        recorded: Any,
        tally: Any,
        room: Any,
        work: Any,
        product: Any,
        extended: Any,
    ) -> None:
        """Run every sample of `stimulus` and add what happens to `recorded` and `tally` (results.Tally).

        net, room, work: see block.py and tally.py. groups: first population of each group, and their number.
        sizes: (n_samples, n_steps, samples side by side, steps of a block, message_cycles, barrier_cycles).
        product: whether dense products are worth while. extended: None, for programs of the common families and kinds alone:
        the compiler then leaves out what it guards.
        """
        _key = fingerprint
        n_samples, n_steps, at_once, block, message_cycles, barrier_cycles = sizes
        cells = net[0]
        state, index, count, lengths, _, pending, _, strides, _, _ = room
        _, v_out, final_v, _, _, cycles = recorded
        flags, _, _, _, operations, busy_total, queue_peak = tally
        busy, queue = work
        n_cores, n_state = sweep.shape[0], strides[0]
        for s0 in range(0, n_samples, at_once):
            n = min(at_once, n_samples - s0)
            for s in range(n):
                for k in range(n_state):
                    state[s * n_state + k] = initial[k]
            pending[:] = 1
            for t0 in range(0, n_steps, block):
                steps = min(block, n_steps - t0)
                for s in range(n):
                    for t in range(steps):
                        for k in range(n_cores):
                            busy[s, t, k] = sweep[k]
                            queue[s, t, k] = 0
                for g in range(groups.shape[0] - 1):
                    first, stop = groups[g], groups[g + 1]
                    cell = cells[first]
                    if cell.family == INPUT or cell.family == GENERATOR:
                        for s in range(n):
                            for t in range(t0, t0 + steps):
                                slot = t % cell.slots
                                at = s * strides[1] + cell.ring + slot * cell.size
                                if cell.family == INPUT:
                                    which = (cell.emitter * n_samples + s0 + s) * n_steps + t
                                    m = _emit(stimulus, which, index, count, at)
                                else:
                                    m = _emit(generated, cell.emitter * n_steps + t, index, count, at)
                                lengths[s, first, slot] = m
                    elif cell.tiles:
                        run_tiles(net, room, first, n, s0, t0, steps, flags, v_out, product, extended)
                    else:
                        run_together(net, room, first, stop, n, s0, t0, steps, flags, v_out, extended)
                    for p in range(first, stop):
                        settle(net, room, work, p, n, s0, t0, steps, message_cycles, recorded, tally)
                    for p in range(first, stop):
                        charge(net, room, work, p, n, t0, steps, operations)
                for s in range(n):
                    for t in range(steps):
                        longest = 0
                        for k in range(n_cores):
                            longest = max(longest, busy[s, t, k])
                            busy_total[k] += busy[s, t, k]
                            queue_peak[k] = max(queue_peak[k], queue[s, t, k])
                        if clocked:
                            cycles[s0 + s] += longest + barrier_cycles
            for s in range(n):
                for p in range(cells.shape[0]):
                    cell = cells[p]
                    if cell.output >= 0 and cell.family != INPUT and cell.family != GENERATOR:
                        for k in range(cell.size):
                            final_v[s0 + s, cell.output + k] = state[s * n_state + cell.v + k]

    return run_samples


run_samples = _compile(_fingerprint())
