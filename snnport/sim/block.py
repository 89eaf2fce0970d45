"""A block of steps of some populations and samples: deliver what arrives, let the neurons step, list who fired.

Two ways to the same spikes. `run_together` takes its populations through each step in turn, loops included. `run_tiles` takes
one population that no loop leads back to: LANES neurons at a time, it adds up the arrivals of all steps of the block and then
lets these neurons step through them.

net: (cells, links, tables, codes, params). room: scratch space, see room.py. Step t of a block is at t - t0 in its tallies.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snnport.sim.delivery import deliver, deliver_any, pool, pool_payloads, synapses_of_spike
from snnport.sim.dense import QUAD, add_product, pack
from snnport.sim.families.firing import IF, load, steps_if_simple
from snnport.sim.families.one_by_one import receive
from snnport.sim.neurons import begin_any, step, step_any
from snnport.sim.tiles import LANES, add_lists, lanes_of
from snnport.sim.vector import add_run, inner


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


@inner
def run_together(
    net: Any, room: Any, first: Any, stop: Any, n: Any, s0: Any, t0: Any, steps: Any, flags: Any, v_out: Any, extended: Any
) -> None:
    """Populations first..stop-1, steps t0 .. t0 + steps - 1, n samples from s0 on."""
    cells, links, tables, codes, params = net
    state, index, count, lengths, _, pending, parts, strides, scratch, _ = room
    windows, pooled_index, pooled_count, seen, place, to, weights = scratch
    for s in range(n):
        shift, ring = s * strides[0], s * strides[1]
        for p in range(first, stop):
            parts[p] = cells[p]
            parts[p].v += shift
            parts[p].arrivals += shift
        for t in range(t0, t0 + steps):
            for p in range(first, stop):
                cell = parts[p]
                slot = t % cell.slots
                at = ring + cell.ring + slot * cell.size
                active = load(cell, t, state, params)
                if extended is not None:
                    active |= begin_any(cell, state, params, flags[p])
                for q in range(cell.first_link, cell.last_link):
                    link = links[q]
                    if t < link.delay:
                        continue
                    source = cells[link.source]
                    past = (t - link.delay) % source.slots
                    m = lengths[s, link.source, past]
                    if m == 0:
                        continue
                    active = True
                    since = ring + source.ring + past * source.size
                    if extended is not None and cell.one_by_one:
                        for e in range(since, since + m):
                            k, c = index[np.uint64(e)], np.int64(count[np.uint64(e)])
                            listed = synapses_of_spike(link, tables, codes[2], k, to, weights)
                            receive(cell, link.port, state, params, to, weights, listed, c, flags[p])
                        continue
                    arrived, times, start = index, count, since
                    if link.pooled:
                        if extended is not None and source.payloads:
                            m = pool_payloads(link, tables, index, count, since, m, windows, seen, pooled_index, pooled_count)
                        else:
                            m = pool(link, tables, index, count, since, m, windows, pooled_index, pooled_count)
                        arrived, times, start = pooled_index, pooled_count, 0
                    if extended is None:
                        deliver(link, tables, codes, state, cell.arrivals, arrived, times, start, m)
                    else:
                        deliver_any(link, tables, codes, state, cell.arrivals, arrived, times, start, m)
                m = 0
                # Without arrivals and with nothing pending a step changes nothing.
                if active or pending[s, cell.pending]:
                    if extended is None:
                        m = step(cell, state, params, index, count, at, flags[p])
                    else:
                        m = step_any(cell, tables, state, params, index, count, at, flags[p])
                        if cell.ordered:
                            _in_order(cell, tables, index, count, at, m, place)
                    pending[s, cell.pending] = flags[p, 0]
                lengths[s, p, slot] = m
                if cell.record_v >= 0:
                    for k in range(cell.size):
                        v_out[s0 + s, t, cell.record_v + k] = state[np.uint64(cell.v + k)]


@inner
def _spread(
    link: Any,
    source: Any,
    index: Any,
    count: Any,
    lengths: Any,
    strides: Any,
    n: Any,
    t0: Any,
    steps: Any,
    raster: Any,
    at: Any,
) -> None:
    """Write the counts of the sources of `link` into raster: from `at` on, one row a sample and step."""
    pitch = (link.sources + QUAD - 1) // QUAD * QUAD
    for s in range(n):
        for t in range(t0, t0 + steps):
            row = at + (s * steps + t - t0) * pitch
            for k in range(pitch):
                raster[np.uint64(row + k)] = 0
            if t < link.delay:
                continue
            past = (t - link.delay) % source.slots
            since = s * strides[1] + source.ring + past * source.size
            for e in range(since, since + lengths[s, link.source, past]):
                raster[np.uint64(row + index[np.uint64(e)])] = count[np.uint64(e)]


@inner
def _survey(net: Any, room: Any, p: Any, n: Any, t0: Any, steps: Any, product: Any) -> None:
    """Note which steps have arrivals, and which projections are busy enough for a dense product: `arrived`, `chosen`."""
    cells, links, _, _, _ = net
    _, index, count, lengths, _, _, _, strides, _, tiling = room
    _, arrived, chosen, raster, _, _, _ = tiling
    cell = cells[p]
    for s in range(n):
        for t in range(t0, t0 + steps):
            arrived[s, t - t0] = 0
    for q in range(cell.first_link, cell.last_link):
        link = links[q]
        source = cells[link.source]
        events = 0
        for s in range(n):
            for t in range(max(t0, link.delay), t0 + steps):
                m = lengths[s, link.source, (t - link.delay) % source.slots]
                events += m
                if m:
                    arrived[s, t - t0] = 1
        # A row takes about 2 cycles a spike, the product half a cycle a source, laying the codes out for it 3.
        chosen[q] = product and link.bytewise and 4 * events > link.sources * (n * steps + 6)
        if chosen[q]:
            _spread(link, source, index, count, lengths, strides, n, t0, steps, raster, link.raster * strides[2])


@inner
def _arrivals(net: Any, room: Any, p: Any, tile: Any, lanes: Any, s: Any, t0: Any, steps: Any) -> None:
    """sums[(t - t0) * LANES + k] = what arrives at neuron k of the tile in step t, of sample s."""
    cells, links, _, codes, _ = net
    _, index, count, lengths, totals, _, _, strides, _, tiling = room
    sums, _, chosen, raster, packed, spans, _ = tiling
    cell = cells[p]
    for k in range(steps * LANES):
        sums[np.uint64(k)] = 0
    for q in range(cell.first_link, cell.last_link):
        link = links[q]
        source = cells[link.source]
        if chosen[q] and lanes == LANES:
            pitch = (link.sources + QUAD - 1) // QUAD * QUAD
            first = link.raster * strides[2] + s * steps * pitch
            add_product(sums, 0, steps, raster, first, pitch, packed, link.raster * LANES)
            continue
        for i in range(steps):
            past = (t0 + i - link.delay) % source.slots
            m = lengths[s, link.source, past] if t0 + i >= link.delay else 0
            spans[i, 0] = s * strides[1] + source.ring + past * source.size
            spans[i, 1] = m
            spans[i, 2] = m > 0 and (source.payloads or totals[s, link.source, past] != m)
        base = link.codes + tile * LANES * link.sources
        if link.codes_type == 0:
            add_lists(sums, codes[0], base, lanes, index, count, spans[:steps])
        elif link.codes_type == 1:
            add_lists(sums, codes[1], base, lanes, index, count, spans[:steps])
        else:
            add_lists(sums, codes[2], base, lanes, index, count, spans[:steps])


@inner
def run_tiles(
    net: Any, room: Any, p: Any, n: Any, s0: Any, t0: Any, steps: Any, flags: Any, v_out: Any, product: Any, extended: Any
) -> None:
    """Population p, steps t0 .. t0 + steps - 1, n samples from s0 on."""
    cells, links, tables, codes, params = net
    state, index, count, lengths, _, pending, parts, strides, _, tiling = room
    sums, arrived, chosen, _, packed, _, fired = tiling
    cell = cells[p]
    plain = cell.family == IF and cell.simple and cell.last_load < 0 and cell.record_v < 0
    _survey(net, room, p, n, t0, steps, product)
    for s in range(n):
        for i in range(steps):
            fired[s, i, 0] = s * strides[1] + cell.ring + (t0 + i) % cell.slots * cell.size
            fired[s, i, 1] = 0
    for tile in range(cell.tiles):
        start = tile * LANES
        size = min(LANES, cell.size - start)
        lanes = lanes_of(size)
        for q in range(cell.first_link, cell.last_link):
            if chosen[q] and lanes == LANES:
                base = links[q].codes + start * links[q].sources
                pack(packed, links[q].raster * LANES, codes[0], base, links[q].sources)
        for s in range(n):
            parts[p] = cell
            part = parts[p]
            part.v += s * strides[0] + start
            part.arrivals += s * strides[0] + start
            part.params += start
            part.first, part.size = start, size
            _arrivals(net, room, p, tile, lanes, s, t0, steps)
            waits = pending[s, cell.pending + tile] != 0
            if plain:
                waits = steps_if_simple(part, state, params, sums, arrived[s, :steps], fired[s], index, count, waits)
                pending[s, cell.pending + tile] = waits
                continue
            for i in range(steps):
                t = t0 + i
                active = load(part, t, state, params)
                if arrived[s, i]:
                    active = True
                    add_run(state, part.arrivals, sums, i * LANES, size)
                if active or waits:
                    at = fired[s, i, 0] + fired[s, i, 1]
                    if extended is None:
                        m = step(part, state, params, index, count, at, flags[p])
                    else:
                        m = step_any(part, tables, state, params, index, count, at, flags[p])
                    for e in range(at, at + m):
                        index[np.uint64(e)] += start
                    fired[s, i, 1] += m
                    waits = flags[p, 0] != 0
                if cell.record_v >= 0:
                    for k in range(size):
                        v_out[s0 + s, t, cell.record_v + start + k] = state[np.uint64(part.v + k)]
            pending[s, cell.pending + tile] = waits
    for s in range(n):
        for i in range(steps):
            lengths[s, p, (t0 + i) % cell.slots] = fired[s, i, 1]
