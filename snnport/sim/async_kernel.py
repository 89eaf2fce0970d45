"""The event-by-event kernel: samples through all of their steps, in one of three orders (docs/semantics.md).

A neuron that meets an event:  v = min(max(v + code, v_min), v_max); if v >= v_threshold: one spike, v - v_threshold or v_reset.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from snnport.sim.async_lanes import FEW, LANES, meet_eight, meet_four
from snnport.sim.vector import inner

DEPTH_FIRST, BREADTH_FIRST, TIME_STEPPED = 0, 1, 2
CLIPPED, TICKED, FIRED, OPERATIONS = 0, 1, 2, 3
"""Columns of the tally: saturations, biases met, spikes, synaptic operations. Rows: populations, then links."""
RUN = 128
"""Neurons that are met between two looks at how many fire."""
_njit: Any = njit
_allocating = _njit(nogil=True, error_model="numpy")
"""Decorator of compiled functions that may make arrays."""


@inner
def _sweep(net: Any, k: Any, s: Any, v: Any, out: Any, at: Any, tally: Any) -> Any:
    """The event of neuron s through link k; the neurons that fire go to `out` from `at` on. Returns where they end."""
    links, row_of, add_of, run_start, runs, codes, params, first_of, shared = net
    j = links[k, 2] + s - first_of[links[k, 0]]
    r, add = row_of[j], add_of[j]
    target = links[k, 1]
    theta, low, high = shared[target, 0], shared[target, 1], shared[target, 2]
    clipped, operations = np.int64(0), np.int64(0)
    for q in range(run_start[r], run_start[r + 1]):
        first, code, n = np.int64(runs[q, 0]), np.int64(runs[q, 1]) + add, np.int64(runs[q, 2])
        fires = np.int64(0)
        if theta > 0:
            for i in range(0, n, RUN):
                found = _charge_alike(v, first + i, codes, code + i, min(RUN, n - i), theta, low, high)
                clipped += found >> 8
                fires += found & 255
        else:
            cut, fires = _charge(v, first, codes, code, n, params)
            clipped += cut
        operations += n
        if fires:
            at = _fire(first, first + n, v, params, out, at)
    tally[target, CLIPPED] += clipped
    tally[target, OPERATIONS] += operations
    tally[len(first_of) + k, OPERATIONS] += operations
    return at


@inner
def _charge_alike(v: Any, first: Any, codes: Any, code: Any, n: Any, theta: Any, low: Any, high: Any) -> Any:
    """At most RUN neighbours that are alike meet an event: 256 times how many were clipped, plus how many reach theta."""
    found, i = np.int64(0), np.int64(0)
    while i + LANES <= n:
        found += meet_eight(v, first + i, codes, code + i, theta, low, high)
        i += LANES
    if i + FEW <= n:
        found += meet_four(v, first + i, codes, code + i, theta, low, high)
        i += FEW
    while i < n:
        x = np.int32(v[np.uint64(first + i)] + np.int32(codes[np.uint64(code + i)]))
        y = np.int32(min(max(x, low), high))
        v[np.uint64(first + i)] = y
        found += 256 * np.int64(x != y) + np.int64(y >= theta)
        i += 1
    return found


@inner
def _charge(v: Any, first: Any, codes: Any, code: Any, n: Any, params: Any) -> Any:
    """The same for neurons that differ: how many were clipped, and how many reach their thresholds."""
    clipped, fires = np.int64(0), np.int64(0)
    for i in range(n):
        a = np.uint64(first + i)
        x = np.int32(v[a] + np.int32(codes[np.uint64(code + i)]))
        y = np.int32(min(max(x, params[5, a]), params[6, a]))
        clipped += np.int32(x != y)
        v[a] = y
        fires += np.int32(y >= params[1, a])
    return clipped, fires


@inner
def _fire(first: Any, stop: Any, v: Any, params: Any, out: Any, at: Any) -> Any:
    """One spike of every neuron in first..stop-1 that has reached its threshold."""
    for i in range(first, stop):
        a = np.uint64(i)
        if v[a] >= params[1, a]:
            v[a] = v[a] - params[1, a] if params[2, a] == 0 else params[3, a]
            out[np.uint64(at)] = i
            at += 1
    return at


@inner
def _tick(p: Any, bounds: Any, v: Any, params: Any, out: Any, at: Any, tally: Any) -> Any:
    """The bias reaches the neurons of population p, each as an event of its own, unless it is 0."""
    for i in range(bounds[p], bounds[p + 1]):
        if params[4, i] != 0:
            x = v[i] + params[4, i]
            v[i] = min(max(x, params[5, i]), params[6, i])
            tally[p, CLIPPED] += x != v[i]
            tally[p, TICKED] += 1
            at = _fire(i, i + 1, v, params, out, at)
    return at


@_allocating
def _room(events: Any, need: Any) -> Any:
    """`events`, or a longer copy that holds `need` of them."""
    if need <= len(events):
        return events
    longer = np.empty(max(need, 2 * len(events)), np.int32)
    longer[: len(events)] = events
    return longer


@inner
def _drain(events: Any, n: Any, p0: Any, net: Any, leaving: Any, v: Any, stack: Any, fired: Any, tally: Any) -> None:
    """Depth first: each of events[:n], spikes of population p0, with everything that follows from it before the next.

    stack: rows of (neuron, its population, the next link to take); buffer space for a sweep behind it.
    """
    links = net[0]
    tally[p0, FIRED] += n
    frames, buffer = stack
    for e in range(n):
        fired[events[e]] += 1
        frames[0, 0], frames[0, 1], frames[0, 2] = events[e], p0, leaving[p0]
        top = 1
        while top > 0:
            s, p, k = frames[top - 1, 0], frames[top - 1, 1], frames[top - 1, 2]
            if k == leaving[p + 1]:
                top -= 1
                continue
            frames[top - 1, 2] = k + 1
            m = _sweep(net, k, s, v, buffer, 0, tally)
            target = links[k, 1]
            tally[target, FIRED] += m
            for q in range(m - 1, -1, -1):
                fired[buffer[q]] += 1
                if leaving[target] < leaving[target + 1]:
                    frames[top, 0], frames[top, 1], frames[top, 2] = buffer[q], target, leaving[target]
                    top += 1


@inner
def _step_depth(
    t: Any, lo: Any, hi: Any, given: Any, pulses: Any, net: Any, ways: Any, v: Any, stack: Any, fired: Any, tally: Any
) -> None:
    """One step: biases and pulses, populations from the output backwards; then the input events lo..hi-1."""
    bounds, leaving, pop_of = ways[0], ways[1], ways[2]
    params, events = net[6], stack[2]
    for p in range(len(leaving) - 2, -1, -1):
        n = _tick(p, bounds, v, params, events, 0, tally)
        _drain(events, n, p, net, leaving, v, (stack[0], stack[1]), fired, tally)
        for g in range(len(pulses)):
            if pulses[g, 0] == t and net[0][pulses[g, 1], 1] == p:
                n = _sweep(net, pulses[g, 1], pulses[g, 2], v, events, 0, tally)
                _drain(events, n, p, net, leaving, v, (stack[0], stack[1]), fired, tally)
    for e in range(lo, hi):
        events[0] = given[e, 2]
        for _ in range(given[e, 3]):
            _drain(events, 1, pop_of[given[e, 2]], net, leaving, v, (stack[0], stack[1]), fired, tally)


@_allocating
def _wave(
    t: Any, lo: Any, hi: Any, given: Any, pulses: Any, net: Any, ways: Any, v: Any, lists: Any, fired: Any, tally: Any
) -> Any:
    """Layer after layer: what starts in each population (biases and pulses if lo < 0, else input events), then its arrivals.

    lists: events, and where those of each population begin and end. Returns events, which may have grown.
    """
    bounds, _, pop_of, entering, enter_start, reach = ways
    events, begin, end = lists
    at = 0
    for p in range(len(begin)):
        begin[p] = at
        if lo < 0:
            events = _room(events, at + bounds[p + 1] - bounds[p])
            at = _tick(p, bounds, v, net[6], events, at, tally)
            for g in range(len(pulses)):
                if pulses[g, 0] == t and net[0][pulses[g, 1], 1] == p:
                    events = _room(events, at + reach[pulses[g, 1]])
                    at = _sweep(net, pulses[g, 1], pulses[g, 2], v, events, at, tally)
        for e in range(max(lo, 0), hi):
            if pop_of[given[e, 2]] == p:
                events = _room(events, at + given[e, 3])
                for _ in range(given[e, 3]):
                    events[at] = given[e, 2]
                    at += 1
        for c in range(enter_start[p], enter_start[p + 1]):
            k = entering[c]
            for e in range(begin[net[0][k, 0]], end[net[0][k, 0]]):
                events = _room(events, at + reach[k])
                at = _sweep(net, k, events[e], v, events, at, tally)
        end[p] = at
        tally[p, FIRED] += at - begin[p]
        for e in range(begin[p], at):
            fired[events[e]] += 1
    return events


@inner
def _add(net: Any, k: Any, s: Any, times: Any, total: Any, tally: Any) -> None:
    """What `times` spikes of neuron s bring through link k, added to `total`."""
    links, row_of, add_of, run_start, runs, codes, _, first_of, _ = net
    j = links[k, 2] + s - first_of[links[k, 0]]
    operations = 0
    for q in range(run_start[row_of[j]], run_start[row_of[j] + 1]):
        first, code, n = np.int64(runs[q, 0]), np.int64(runs[q, 1]) + add_of[j], np.int64(runs[q, 2])
        for i in range(n):
            total[np.uint64(first + i)] += np.int64(codes[np.uint64(code + i)]) * times
        operations += n * times
    tally[links[k, 1], OPERATIONS] += operations
    tally[len(first_of) + k, OPERATIONS] += operations


@inner
def _step_summed(
    t: Any, lo: Any, hi: Any, given: Any, pulses: Any, net: Any, ways: Any, v: Any, state: Any, fired: Any, tally: Any
) -> None:
    """One step in which all that arrives at a neuron is added up, and it fires as often as its threshold fits."""
    bounds, _, _, entering, enter_start, _ = ways
    total, count, most, kinds = state
    params = net[6]
    count[:] = 0
    for e in range(lo, hi):
        count[given[e, 2]] = given[e, 3]
    for p in range(len(most)):
        if kinds[p] == 2:
            total[bounds[p] : bounds[p + 1]] = 0
            for g in range(len(pulses)):
                if pulses[g, 0] == t and net[0][pulses[g, 1], 1] == p:
                    _add(net, pulses[g, 1], pulses[g, 2], 1, total, tally)
            for c in range(enter_start[p], enter_start[p + 1]):
                source = net[0][entering[c], 0]
                for s in range(bounds[source], bounds[source + 1]):
                    if count[s]:
                        _add(net, entering[c], s, count[s], total, tally)
            for i in range(bounds[p], bounds[p + 1]):
                x = v[i] + total[i] + params[4, i]
                tally[p, TICKED] += params[4, i] != 0
                y = min(max(x, np.int64(params[5, i])), np.int64(params[6, i]))
                tally[p, CLIPPED] += x != y
                theta = np.int64(params[1, i])
                if y >= theta:
                    count[i] = min(np.int64(most[p]), y // theta)
                    y = y - count[i] * theta if params[2, i] == 0 else np.int64(params[3, i])
                v[i] = np.int32(y)
        for i in range(bounds[p], bounds[p + 1]):
            fired[i] += count[i]
            tally[p, FIRED] += count[i]


@_njit(nogil=True, cache=True, error_model="numpy")
def run_samples(
    order: Any,
    n_steps: Any,
    window: Any,
    given: Any,
    first_event: Any,
    pulses: Any,
    net: Any,
    ways: Any,
    summing: Any,
    kept: Any,
    found: Any,
) -> None:
    """Run every sample.

    given (n_events, 4): sample, step, neuron, count, ascending. first_event (n_samples * n_steps + 1,). pulses: arrival step,
    link, neuron. net, ways: tables of the plan. summing: most spikes a step and kind of each population. kept: places whose
    spikes and v are recorded, and those of the outputs. found: what is written (async_run.py).
    """
    links, params = net[0], net[6]
    spike_places, v_places = kept
    spikes, potentials, counts, final, per_step, tallies, operations, worst, worst_at = found
    n_populations, n_neurons = len(ways[1]) - 1, params.shape[1]
    deepest = 2
    for k in range(len(links)):
        deepest += ways[5][k] + 1
    frames = np.empty((deepest, 3), np.int64)
    widest = 1
    for p in range(n_populations):
        widest = max(widest, ways[0][p + 1] - ways[0][p])
    for k in range(len(links)):
        widest = max(widest, ways[5][k])
    stack = (frames, np.empty(widest, np.int32), np.empty(widest, np.int32))
    events = np.empty(1024, np.int32)
    begin, end = np.zeros(n_populations, np.int64), np.zeros(n_populations, np.int64)
    state = (np.zeros(n_neurons, np.int64), np.zeros(n_neurons, np.int64), summing[0], summing[1])
    v, fired = np.empty(n_neurons, np.int32), np.zeros(n_neurons, np.int32)
    last = np.zeros(len(spike_places), np.int32)
    ring = np.zeros((n_populations, window), np.int64)
    for sample in range(len(final)):
        v[:] = params[0]
        fired[:] = 0
        last[:] = 0
        ring[:] = 0
        inside = np.zeros(n_populations, np.int64)
        tally = np.zeros((n_populations + len(links), 4), np.int64)
        before = np.zeros_like(tally)
        for t in range(n_steps):
            lo, hi = first_event[sample * n_steps + t], first_event[sample * n_steps + t + 1]
            if order == DEPTH_FIRST:
                _step_depth(t, lo, hi, given, pulses, net, ways, v, stack, fired, tally)
            elif order == BREADTH_FIRST:
                events = _wave(t, -1, 0, given, pulses, net, ways, v, (events, begin, end), fired, tally)
                events = _wave(t, lo, hi, given, pulses, net, ways, v, (events, begin, end), fired, tally)
            else:
                _step_summed(t, lo, hi, given, pulses, net, ways, v, state, fired, tally)
            for p in range(n_populations):
                done = tally[p, OPERATIONS] - before[p, OPERATIONS]
                inside[p] += done - ring[p, t % window]
                ring[p, t % window] = done
                if inside[p] > worst[sample, p]:
                    worst[sample, p], worst_at[sample, p] = inside[p], t
                per_step[p, t] += tally[p, FIRED] - before[p, FIRED]
            before[:] = tally
            for c in range(len(spike_places)):
                spikes[sample, t, c] = fired[spike_places[c]] - last[c]
                last[c] = fired[spike_places[c]]
            for c in range(len(v_places)):
                potentials[sample, t, c] = v[v_places[c]]
        operations[sample] = tally[:n_populations, OPERATIONS]
        tallies += tally
        final[sample] = v
        counts[sample] = fired
