"""The compiled step loop: samples one after another, each from its first step to its last, its state in the cache.

Compiled code is cached on disk. numba looks at the file of a cached function alone, not at the files of the functions it
calls, so the text of all of them is part of the key here: an edited neuron family never runs stale.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from snnport.sim.delivery import deliver, deliver_any, pool, pool_payloads, synapses_of_spike
from snnport.sim.families.base import PENDING
from snnport.sim.families.firing import GENERATOR, INPUT, load
from snnport.sim.families.one_by_one import receive
from snnport.sim.neurons import begin_any, step, step_any
from snnport.sim.timing import account
from snnport.sim.vector import inner

_FILES = ("kernel.py", "neurons.py", "delivery.py", "timing.py", "vector.py", "records.py", "families/*.py")


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
    for s in range(raster.shape[0]):
        for t in range(raster.shape[1]):
            row = raster[s, t]
            anything = 0
            for k in range(n):
                anything |= row[first + k]
            if anything:
                for k in range(n):
                    c = row[first + k]
                    if c:
                        index[used] = inside[k]
                        count[used] = c
                        used += 1
            start[base + s * raster.shape[1] + t + 1] = used
    return used


@inner
def _emit(start: Any, index: Any, count: Any, which: Any, to_index: Any, to_count: Any, at: Any) -> Any:
    """Copy event list `which` behind `at`; returns its length."""
    first, last = start[which], start[which + 1]
    for e in range(first, last):
        to_index[np.uint64(at + e - first)] = index[np.uint64(e)]
        to_count[np.uint64(at + e - first)] = count[np.uint64(e)]
    return last - first


@inner
def _in_order(cell: Any, ints: Any, index: Any, count: Any, at: Any, m: Any, place: Any) -> None:
    """Sort the spikes of a step by their neurons' C order. `place` stays all zero."""
    for e in range(at, at + m):
        place[np.uint64(index[np.uint64(e)])] = count[np.uint64(e)]
    found = 0
    for c in range(cell.size):
        k = ints[np.uint64(cell.order + c)]
        if place[np.uint64(k)] != 0:
            index[np.uint64(at + found)] = k
            count[np.uint64(at + found)] = place[np.uint64(k)]
            place[np.uint64(k)] = 0
            found += 1


def _compile(fingerprint: int) -> Any:
    @njit(nogil=True, cache=True, error_model="numpy")
    def run_samples(
        cells: Any,
        links: Any,
        tables: Any,
        codes: Any,
        params: Any,
        initial: Any,
        sizes: Any,
        stimulus: Any,
        generated: Any,
        sweep: Any,
        clocked: Any,
        recorded: Any,
        tally: Any,
        extended: Any,
    ) -> None:
        """Run every sample of `stimulus` and add what happens to `recorded` and `tally` (engine.Recorded, engine.Tally).

        sizes: (n_samples, n_steps, ring_size, most_slots, pooled_size, message_cycles, barrier_cycles).
        extended: None, for programs of the common families and kinds alone: the compiler then leaves out what it guards.
        Else (most synapses of a spike to a family that meets spikes one by one, size of the largest population).
        """
        _key = fingerprint
        n_samples, n_steps, ring_size, most_slots, pooled_size, message_cycles, barrier_cycles = sizes
        stimulus_start, stimulus_index, stimulus_count = stimulus
        generated_start, generated_index, generated_count = generated
        spikes_out, v_out, final_v, output_counts, output_sums, cycles = recorded
        flags, neuron_spikes, step_spikes, messages, operations, busy_total, queue_peak = tally
        n_cores = sweep.shape[0]
        state = np.empty(initial.shape[0], initial.dtype)
        index, count = np.empty(ring_size + 1, np.int32), np.empty(ring_size + 1, np.int32)
        lengths = np.zeros((cells.shape[0], most_slots), np.int64)
        windows = np.zeros(pooled_size + 1, np.int32)
        pooled_index, pooled_count = np.empty(pooled_size + 1, np.int32), np.empty(pooled_size + 1, np.int32)
        if extended is not None:
            to, weights = np.empty(extended[0] + 1, np.int32), np.empty(extended[0] + 1, np.int32)
            place, seen = np.zeros(extended[1] + 1, np.int32), np.zeros(pooled_size + 1, np.int8)
        # The last entry takes what concerns neurons on no core.
        busy, queue = np.zeros(n_cores + 1, np.int64), np.zeros(n_cores + 1, np.int64)
        for s in range(n_samples):
            for k in range(initial.shape[0]):
                state[k] = initial[k]
            for p in range(cells.shape[0]):
                flags[p, PENDING] = 1
            for t in range(n_steps):
                for k in range(n_cores):
                    busy[k] = sweep[k]
                    queue[k] = 0
                for p in range(cells.shape[0]):
                    cell = cells[p]
                    slot = t % cell.slots
                    at = cell.ring + slot * cell.size
                    if cell.family == INPUT:
                        which = (cell.emitter * n_samples + s) * n_steps + t
                        m = _emit(stimulus_start, stimulus_index, stimulus_count, which, index, count, at)
                    elif cell.family == GENERATOR:
                        which = cell.emitter * n_steps + t
                        m = _emit(generated_start, generated_index, generated_count, which, index, count, at)
                    else:
                        active = load(cell, t, state, params)
                        if extended is not None:
                            active |= begin_any(cell, state, params, flags[p])
                        for q in range(cell.first_link, cell.last_link):
                            link = links[q]
                            if t < link.delay:
                                continue
                            source = cells[link.source]
                            past = (t - link.delay) % source.slots
                            m = lengths[link.source, past]
                            if m == 0:
                                continue
                            active = True
                            since = source.ring + past * source.size
                            operations[q] += account(link, tables, index, count, since, m, busy, queue)
                            if extended is not None and cell.one_by_one:
                                for e in range(since, since + m):
                                    k, c = index[np.uint64(e)], np.int64(count[np.uint64(e)])
                                    n = synapses_of_spike(link, tables, codes[2], k, to, weights)
                                    receive(cell, link.port, state, params, to, weights, n, c, flags[p])
                                continue
                            arrived, times, start = index, count, since
                            if link.pooled:
                                if extended is not None and source.payloads:
                                    m = pool_payloads(
                                        link, tables, index, count, since, m, windows, seen, pooled_index, pooled_count
                                    )
                                else:
                                    m = pool(link, tables, index, count, since, m, windows, pooled_index, pooled_count)
                                arrived, times, start = pooled_index, pooled_count, 0
                            if extended is None:
                                deliver(link, tables, codes, state, cell.arrivals, arrived, times, start, m)
                            else:
                                deliver_any(link, tables, codes, state, cell.arrivals, arrived, times, start, m)
                        m = 0
                        # Without arrivals and with nothing pending a step changes nothing.
                        if active or flags[p, PENDING]:
                            if extended is None:
                                m = step(cell, state, params, index, count, at, flags[p])
                            else:
                                m = step_any(cell, tables, state, params, index, count, at, flags[p])
                                if cell.ordered:
                                    _in_order(cell, tables, index, count, at, m, place)
                    lengths[p, slot] = m
                    for e in range(at, at + m):
                        k, c = index[np.uint64(e)], np.int64(count[np.uint64(e)])
                        if extended is not None and cell.payloads:
                            if cell.record_spikes >= 0:
                                spikes_out[s, t, cell.record_spikes + k] = c
                            if cell.output >= 0:
                                output_sums[s, cell.output + k] += c
                            c = np.int64(1)
                        elif cell.record_spikes >= 0:
                            spikes_out[s, t, cell.record_spikes + k] = c
                        neuron_spikes[cell.neuron + k] += c
                        step_spikes[p, t] += c
                        sent = c * tables[np.uint64(cell.messages + k)]
                        messages[p] += sent
                        busy[tables[np.uint64(cell.core_of + k)]] += sent * message_cycles
                        if cell.output >= 0:
                            output_counts[s, cell.output + k] += c
                    if cell.record_v >= 0:
                        for k in range(cell.size):
                            v_out[s, t, cell.record_v + k] = state[np.uint64(cell.v + k)]
                longest = 0
                for k in range(n_cores):
                    longest = busy[k] if busy[k] > longest else longest
                    busy_total[k] += busy[k]
                    queue_peak[k] = queue[k] if queue[k] > queue_peak[k] else queue_peak[k]
                busy[n_cores] = 0
                if clocked:
                    cycles[s] += longest + barrier_cycles
            for p in range(cells.shape[0]):
                cell = cells[p]
                if cell.output >= 0 and cell.family != INPUT and cell.family != GENERATOR:
                    for k in range(cell.size):
                        final_v[s, cell.output + k] = state[np.uint64(cell.v + k)]

    return run_samples


run_samples = _compile(_fingerprint())
