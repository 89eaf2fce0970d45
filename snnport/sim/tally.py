"""Count what a block of steps did: spikes, messages, synaptic operations, and the cycles and queues of the cores.

All of it follows from who fired: it is added up a spike at a time, or a list of spikes at a time where each costs the same.
net, room: as in block.py. work: (busy, queue), each (samples side by side, steps of a block, cores + 1).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snnport.sim.timing import account
from snnport.sim.vector import inner


@inner
def settle(
    net: Any, room: Any, work: Any, p: Any, n: Any, s0: Any, t0: Any, steps: Any, message_cycles: Any, recorded: Any, tally: Any
) -> None:
    """Count and record the spikes of population p."""
    cells, _, tables, _, _ = net
    _, index, count, lengths, totals, _, _, strides, _, _ = room
    spikes_out, _, _, output_counts, output_sums, _ = recorded
    _, neuron_spikes, step_spikes, messages, _, _, _ = tally
    busy, _ = work
    cell = cells[p]
    # Messages of a spike, and where they are sent from: added up a list at a time if all neurons, or long runs, share them.
    charged = message_cycles > 0 and cell.fan != 0
    listed = cell.fan >= 0 and (cell.core >= 0 or cell.segments > 0 or not charged)
    for s in range(n):
        for t in range(t0, t0 + steps):
            slot = t % cell.slots
            m = lengths[s, p, slot]
            total = m
            at = s * strides[1] + cell.ring + slot * cell.size
            if cell.record_spikes >= 0:
                for e in range(at, at + m):
                    spikes_out[s0 + s, t, cell.record_spikes + index[np.uint64(e)]] = count[np.uint64(e)]
            if cell.output >= 0:
                for e in range(at, at + m):
                    k, c = index[np.uint64(e)], count[np.uint64(e)]
                    output_counts[s0 + s, cell.output + k] += 1 if cell.payloads else c
                    output_sums[s0 + s, cell.output + k] += c
            if cell.single and listed:
                for e in range(at, at + m):
                    neuron_spikes[np.uint64(cell.neuron + index[np.uint64(e)])] += 1
                if charged:
                    _charge_senders(cell, tables, index, at, m, cell.fan * message_cycles, busy[s, t - t0])
            else:
                total = 0
                for e in range(at, at + m):
                    k, c = index[np.uint64(e)], np.int64(1) if cell.payloads else np.int64(count[np.uint64(e)])
                    neuron_spikes[np.uint64(cell.neuron + k)] += c
                    total += c
                    sent = c * tables[np.uint64(cell.messages + k)]
                    busy[s, t - t0, tables[np.uint64(cell.core_of + k)]] += sent * message_cycles
                    if cell.fan < 0:
                        messages[p] += sent
            if cell.fan >= 0:
                messages[p] += total * cell.fan
            totals[s, p, slot] = total
            step_spikes[p, t] += total


@inner
def _charge_senders(cell: Any, tables: Any, index: Any, at: Any, m: Any, cycles: Any, busy: Any) -> None:
    """Charge `cycles` to the core of each of the neurons index[at : at + m], which fired once."""
    if cell.core >= 0:
        busy[cell.core] += m * cycles
        return
    first = at
    for k in range(cell.segments):
        stop = tables[np.uint64(cell.segment + k)]
        # The first spike of the next run: the list ascends.
        low, high = first, at + m
        while low < high:
            middle = (low + high) // 2
            if index[np.uint64(middle)] < stop:
                low = middle + 1
            else:
                high = middle
        busy[tables[np.uint64(cell.segment + cell.segments + k)]] += (low - first) * cycles
        first = low


@inner
def charge(net: Any, room: Any, work: Any, p: Any, n: Any, t0: Any, steps: Any, operations: Any) -> None:
    """Charge the arrivals at population p to its cores and count the synaptic operations."""
    cells, links, tables, _, _ = net
    _, index, count, lengths, totals, _, _, strides, _, _ = room
    busy, queue = work
    for q in range(cells[p].first_link, cells[p].last_link):
        link = links[q]
        source = cells[link.source]
        for s in range(n):
            for t in range(max(t0, link.delay), t0 + steps):
                past = (t - link.delay) % source.slots
                m = lengths[s, link.source, past]
                if m == 0:
                    continue
                if link.even:
                    c = totals[s, link.source, past]
                    operations[q] += c * tables[np.uint64(link.synapses_of)]
                    row = link.cost_row + tables[np.uint64(link.row_of)]
                    for k in range(tables[np.uint64(row)], tables[np.uint64(row + 1)]):
                        core = tables[np.uint64(link.cost_core + k)]
                        busy[s, t - t0, core] += c * tables[np.uint64(link.cost_cycles + k)]
                        queue[s, t - t0, core] += c
                else:
                    since = s * strides[1] + source.ring + past * source.size
                    operations[q] += account(link, tables, index, count, since, m, busy[s, t - t0], queue[s, t - t0])
