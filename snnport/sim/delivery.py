"""Deliver spikes to the state of their targets: the compiled side of the synapse kinds of synapses.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnport.sim.vector import add_four_runs, add_run, add_scaled_run, inner

DENSE, DIAGONAL, CONV, SPARSE = range(4)


@inner
def pool(link: Any, ints: Any, index: Any, count: Any, at: Any, m: Any, pooled: Any, to: Any, times: Any) -> Any:
    """Spikes index/count[at : at + m] become pooled spikes to/times; returns how many. `pooled` stays all zero."""
    n = 0
    for e in range(at, at + m):
        i, c = index[np.uint64(e)], count[np.uint64(e)]
        for r in range(ints[np.uint64(link.route + i)], ints[np.uint64(link.route + i + 1)]):
            j = ints[np.uint64(link.route_to + r)]
            if pooled[np.uint64(j)] == 0:
                to[np.uint64(n)] = j
                n += 1
            pooled[np.uint64(j)] += c
    for e in range(n):
        j = to[np.uint64(e)]
        times[np.uint64(e)] = pooled[np.uint64(j)]
        pooled[np.uint64(j)] = 0
    return n


@inner
def add_either_run(state: Any, so: Any, codes: Any, co: Any, n: Any, c: Any) -> None:
    """add_run where c is 1, else add_scaled_run."""
    if c == 1:
        add_run(state, so, codes, co, n)
    else:
        add_scaled_run(state, so, codes, co, n, c)


@inner
def deliver_dense(link: Any, codes: Any, state: Any, first: Any, index: Any, count: Any, at: Any, m: Any) -> None:
    """Dense: a[i] += c * code[i, j] for every target i and every source j with c spikes."""
    n, base, e, stop = link.width, link.codes, at, at + m
    while e < stop:
        single = e + 4 <= stop
        for k in range(e, min(e + 4, stop)):
            single &= count[np.uint64(k)] == 1
        if single:
            a, b = index[np.uint64(e)], index[np.uint64(e + 1)]
            c, d = index[np.uint64(e + 2)], index[np.uint64(e + 3)]
            add_four_runs(state, first, codes, base + a * n, base + b * n, base + c * n, base + d * n, n)
            e += 4
        else:
            add_either_run(state, first, codes, base + index[np.uint64(e)] * n, n, np.int64(count[np.uint64(e)]))
            e += 1


@inner
def deliver_diagonal(link: Any, ints: Any, codes: Any, state: Any, first: Any, index: Any, count: Any, at: Any, m: Any) -> None:
    """Diagonal: a[j] += c * code[j] for every source j with c spikes."""
    for e in range(at, at + m):
        j = index[np.uint64(e)]
        target = first + ints[np.uint64(link.target_of + j)]
        state[np.uint64(target)] += count[np.uint64(e)] * codes[np.uint64(link.codes + j)]


@inner
def deliver_conv(link: Any, ints: Any, codes: Any, state: Any, first: Any, index: Any, count: Any, at: Any, m: Any) -> None:
    """Convolution: a[o, y', x'] += c * code[o, i, ky, kx] for every tap (ky, kx) that joins (y, x) to (y', x')."""
    width, pitch = link.width, link.pitch
    for e in range(at, at + m):
        j, c = index[np.uint64(e)], np.int64(count[np.uint64(e)])
        code = link.codes + ints[np.uint64(link.code_of + j)]
        base = first + ints[np.uint64(link.first_of + j)]
        y, x = ints[np.uint64(link.y_of + j)], ints[np.uint64(link.x_of + j)]
        run_start, run_stop = ints[np.uint64(link.runs + x)], ints[np.uint64(link.runs + x + 1)]
        for r in range(ints[np.uint64(link.rows + y)], ints[np.uint64(link.rows + y + 1)]):
            row = base + ints[np.uint64(link.row_target + r)]
            row_code = code + ints[np.uint64(link.row_code + r)]
            for q in range(run_start, run_stop):
                target = row + ints[np.uint64(link.run_target + q)]
                start = row_code + ints[np.uint64(link.run_code + q)]
                length = ints[np.uint64(link.run_length + q)]
                if pitch == width:
                    add_either_run(state, target, codes, start, length * width, c)
                else:
                    for k in range(length):
                        add_either_run(state, target + k * pitch, codes, start + k * width, width, c)


@inner
def deliver(link: Any, ints: Any, codes: Any, state: Any, first: Any, index: Any, count: Any, at: Any, m: Any) -> None:
    """Add the arrivals of spikes index/count[at : at + m] to the state from `first` on. codes: arrays of 8, 16 and 32 bits."""
    codes8, codes16, codes32 = codes
    if link.kind == DIAGONAL:
        deliver_diagonal(link, ints, codes32, state, first, index, count, at, m)
    elif link.kind == DENSE:
        if link.codes_type == 0:
            deliver_dense(link, codes8, state, first, index, count, at, m)
        elif link.codes_type == 1:
            deliver_dense(link, codes16, state, first, index, count, at, m)
        else:
            deliver_dense(link, codes32, state, first, index, count, at, m)
    elif link.codes_type == 0:
        deliver_conv(link, ints, codes8, state, first, index, count, at, m)
    elif link.codes_type == 1:
        deliver_conv(link, ints, codes16, state, first, index, count, at, m)
    else:
        deliver_conv(link, ints, codes32, state, first, index, count, at, m)


@inner
def deliver_sparse(link: Any, ints: Any, codes: Any, state: Any, first: Any, index: Any, count: Any, at: Any, m: Any) -> None:
    """Sparse: a[i] += c * code for every listed synapse to i of a source with c spikes."""
    for e in range(at, at + m):
        j, c = index[np.uint64(e)], np.int64(count[np.uint64(e)])
        for r in range(ints[np.uint64(link.rows + j)], ints[np.uint64(link.rows + j + 1)]):
            state[np.uint64(first + ints[np.uint64(link.target_of + r)])] += c * codes[np.uint64(link.codes + r)]


@inner
def deliver_any(link: Any, ints: Any, codes: Any, state: Any, first: Any, index: Any, count: Any, at: Any, m: Any) -> None:
    """`deliver` for every kind."""
    if link.kind == SPARSE:
        deliver_sparse(link, ints, codes[2], state, first, index, count, at, m)
    else:
        deliver(link, ints, codes, state, first, index, count, at, m)


@inner
def pool_payloads(
    link: Any, ints: Any, index: Any, count: Any, at: Any, m: Any, pooled: Any, seen: Any, to: Any, times: Any
) -> Any:
    """`pool` for payloads, whose sum over a window may be 0 on the way. `seen` stays all zero as well."""
    n = 0
    for e in range(at, at + m):
        i, c = index[np.uint64(e)], count[np.uint64(e)]
        for r in range(ints[np.uint64(link.route + i)], ints[np.uint64(link.route + i + 1)]):
            j = ints[np.uint64(link.route_to + r)]
            if seen[np.uint64(j)] == 0:
                seen[np.uint64(j)] = 1
                to[np.uint64(n)] = j
                n += 1
            pooled[np.uint64(j)] += c
    for e in range(n):
        j = to[np.uint64(e)]
        times[np.uint64(e)] = pooled[np.uint64(j)]
        pooled[np.uint64(j)] = 0
        seen[np.uint64(j)] = 0
    return n


@inner
def synapses_of_spike(link: Any, ints: Any, codes: Any, i: Any, to: Any, weights: Any) -> Any:
    """List the synapses of source neuron i, through each pooling window in turn; returns how many there are."""
    if link.pooled == 0:
        return _synapses_of(link, ints, codes, i, to, weights, 0)
    m = 0
    for r in range(ints[np.uint64(link.route + i)], ints[np.uint64(link.route + i + 1)]):
        m = _synapses_of(link, ints, codes, np.int64(ints[np.uint64(link.route_to + r)]), to, weights, m)
    return m


@inner
def _synapses_of(link: Any, ints: Any, codes: Any, j: Any, to: Any, weights: Any, m: Any) -> Any:
    """List the synapses of j, a source neuron or a pooled place, behind the first m. codes: of 32 bits."""
    if link.kind == DENSE:
        for k in range(link.width):
            to[np.uint64(m + k)] = k
            weights[np.uint64(m + k)] = codes[np.uint64(link.codes + j * link.width + k)]
        return m + link.width
    if link.kind == DIAGONAL:
        to[np.uint64(m)] = ints[np.uint64(link.target_of + j)]
        weights[np.uint64(m)] = codes[np.uint64(link.codes + j)]
        return m + 1
    if link.kind == SPARSE:
        first, stop = np.int64(ints[np.uint64(link.rows + j)]), np.int64(ints[np.uint64(link.rows + j + 1)])
        for r in range(first, stop):
            to[np.uint64(m + r - first)] = ints[np.uint64(link.target_of + r)]
            weights[np.uint64(m + r - first)] = codes[np.uint64(link.codes + r)]
        return m + stop - first
    code = link.codes + ints[np.uint64(link.code_of + j)]
    base = ints[np.uint64(link.first_of + j)]
    y, x = ints[np.uint64(link.y_of + j)], ints[np.uint64(link.x_of + j)]
    for r in range(ints[np.uint64(link.rows + y)], ints[np.uint64(link.rows + y + 1)]):
        for q in range(ints[np.uint64(link.runs + x)], ints[np.uint64(link.runs + x + 1)]):
            target = base + ints[np.uint64(link.row_target + r)] + ints[np.uint64(link.run_target + q)]
            start = code + ints[np.uint64(link.row_code + r)] + ints[np.uint64(link.run_code + q)]
            for k in range(ints[np.uint64(link.run_length + q)]):
                for o in range(link.width):
                    to[np.uint64(m)] = target + k * link.pitch + o
                    weights[np.uint64(m)] = codes[np.uint64(start + k * link.width + o)]
                    m += 1
    return m
