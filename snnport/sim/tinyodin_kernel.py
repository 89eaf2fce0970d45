"""The compiled core of tinyODIN: from one thing that happens to the next, never through the cycles in between.

docs/semantics-tinyodin.md is normative; names and cycle rules are the same there. The controller decides in a waiting
cycle, an action starts in the cycle after it, and every cycle of the action follows by arithmetic. All of the state lies
in one record and a few arrays, so a run stops between two actions (a log is full, the core is at rest) and goes on from there.

A record and not a tuple of arrays: numba counts references to every array of a tuple each time that it is handed on,
which would cost more than a sweep over 256 neurons.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_njit: Any = njit
_inner = _njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy")
"""Decorator of functions that only compiled code calls; the cache entry of `advance` holds them."""

NEURONS = 256
FIFO_ENTRIES = 128
V_MIN, V_MAX = -2048, 2047
ALL_NEURONS = 255
"""Address of the time reference event for all neurons."""

_NUMBERS = (
    # Settings.
    "last_neuron",
    "open_loop",
    "aer_src",
    "max_cycles",
    "req_low_delay",
    "req_gap",
    # First cycle in which the controller waits again; first without an output handshake; the last one's number.
    "free",
    "busy_end",
    "handshakes",
    # Next input event, the cycle of its request (-1: not known yet), and the cycle in which the one before was over.
    "next_event",
    "request",
    "last_done",
    # The queue: its head in the ring, entries now, most entries, entries lost.
    "head",
    "count",
    "peak",
    "dropped",
    # Whether the sweep under way meets an end of the range of a potential.
    "clips",
    # Lines used in the logs; strobes of neuron memory that took effect; the cycle in which the run ended.
    "spikes",
    "fires",
    "services",
    "updates",
    "end",
)
CORE = np.dtype(
    [
        *((name, np.int64) for name in _NUMBERS),
        ("v", np.int16, NEURONS),
        ("thr", np.int16, NEURONS),
        ("leak", np.int16, NEURONS),
        ("disable", np.int16, NEURONS),
        # Of the sweep under way: the potentials behind it, -1 for each neuron that reaches its threshold, and, where
        # core.clips says so, 1 for each that saturates.
        ("after", np.int16, NEURONS),
        ("reached", np.int16, NEURONS),
        ("clipped", np.int16, NEURONS),
        ("saturations", np.int64, NEURONS),
        ("fifo", np.int64, FIFO_ENTRIES),
        ("weights", np.int8, (NEURONS, NEURONS)),
    ],
    align=True,
)
"""Settings, registers and memories of one core; weights as [pre, post]."""

ADDR, EARLIEST, REQ, ACCEPT, ACK, DONE = range(6)
"""Columns of the event table: address, earliest cycle of the request, and the cycles of the handshake (-1: not reached)."""

AT_REST, STOPPED, LOG_FULL = range(3)
"""Why `advance` came back: nothing left to do (end: that cycle); max_cycles reached; a log needs room."""


# The two updates name a type of 16 bits for every number, so that the compiler fills whole vectors with them.


@_inner
def _integrate(core: Any, pre: Any, count: Any) -> Any:
    """Synaptic update of neurons 0..count-1 into core.after; returns whether any reaches its threshold."""
    v, thr, row, after, reached = core.v, core.thr, core.weights[pre], core.after, core.reached
    found = clips = np.int16(0)
    for i in range(count):
        whole = np.int16(v[i] + row[i])
        n = np.int16(min(np.int16(max(whole, np.int16(V_MIN))), np.int16(V_MAX)))
        hit = np.int16(-(n >= thr[i]))
        found = np.int16(found | hit)
        clips = np.int16(clips | (n ^ whole))
        reached[i] = hit
        after[i] = np.int16(n & ~hit)
    core.clips = clips
    if clips:
        for i in range(count):
            core.clipped[i] = not V_MIN <= v[i] + row[i] <= V_MAX
    return found != 0


@_inner
def _leak(core: Any, first: Any, count: Any) -> Any:
    """Time reference update of `count` neurons from `first` on; the threshold is tested here too."""
    v, thr, leak, after, reached = core.v[first:], core.thr[first:], core.leak[first:], core.after, core.reached
    found = np.int16(0)
    for i in range(count):
        down = np.int16(max(np.int16(v[i] - leak[i]), np.int16(0)))
        up = np.int16(min(np.int16(v[i] + leak[i]), np.int16(0)))
        n = down if v[i] >= 0 else up
        hit = np.int16(-(n >= thr[i]))
        found = np.int16(found | hit)
        reached[i] = hit
        after[i] = np.int16(n & ~hit)
    core.clips = 0
    return found != 0


@_inner
def _commit(core: Any, first: Any, low: Any, high: Any) -> None:
    """Write core.after[low..high-1] to the potentials from first + low on."""
    v, after = core.v[first:], core.after
    for i in range(low, high):
        v[i] = after[i]
    if core.clips:
        for i in range(low, high):
            core.saturations[first + i] += core.clipped[i]
    core.updates += max(high - low, 0)


@_inner
def _push(core: Any, entry: Any) -> None:
    """An entry at the tail, visible in the next cycle; lost if the queue is full."""
    if core.count == FIFO_ENTRIES:
        core.dropped += 1
        return
    core.fifo[(core.head + core.count) % FIFO_ENTRIES] = entry
    core.count += 1
    core.peak = max(core.peak, core.count)


@_inner
def _pop(core: Any) -> None:
    core.head = (core.head + 1) % FIFO_ENTRIES
    core.count -= 1


@_inner
def _handshake(core: Any, up: Any, down: Any, spikes: Any, cycle: Any, addr: Any) -> Any:
    """An output event whose request rises in `cycle`; returns for how many cycles the output is busy.

    up (k,), down (m,): of handshake j, how long ACK takes to rise (entry j mod k) and to fall (entry j mod m).
    """
    j = core.handshakes
    core.handshakes += 1
    if cycle <= core.max_cycles:
        spikes[core.spikes, 0] = cycle
        spikes[core.spikes, 1] = addr
        core.spikes += 1
    busy = 6 + up[j % len(up)] + down[j % len(down)]
    core.busy_end = cycle + busy
    return busy


@_inner
def _fire(core: Any, up: Any, down: Any, spikes: Any, fires: Any, strobe: Any, neuron: Any) -> Any:
    """Log a neuron that fires and send it to the output; returns for how many cycles the output stalls what follows."""
    fires[core.fires, 0] = strobe
    fires[core.fires, 1] = neuron
    core.fires += 1
    return 0 if core.aer_src else _handshake(core, up, down, spikes, strobe + 1, neuron)


@_inner
def _next_sender(core: Any, first: Any, i: Any, count: Any) -> Any:
    """The next neuron first + i, i < count, that reaches its threshold and is not disabled; count if there is none."""
    fours = core.reached.view(np.int64)
    while i < count:
        if i & 3 == 0 and fours[i >> 2] == 0:
            i += 4
        elif core.reached[i] and not core.disable[first + i]:
            return i
        else:
            i += 1
    return count


@_inner
def _sweep(core: Any, up: Any, down: Any, spikes: Any, fires: Any, s: Any, first: Any, count: Any, found: Any) -> Any:
    """Strobes of `count` neurons from `first` on, in a sweep that starts in cycle s and whose results lie in core.after.

    Returns the stalls of all neurons, and of all but the last. A strobe in max_cycles is logged and changes nothing.
    """
    stalls = before_last = low = 0
    # Between two stalls strobes are 2 cycles apart: neuron i's lies before max_cycles if i < in_time.
    in_time = (core.max_cycles - s) // 2
    i = _next_sender(core, first, 0, count) if found else count
    while i < count:
        strobe = s + 1 + 2 * i + stalls
        if strobe > core.max_cycles:
            break
        _commit(core, first, low, min(i + 1, in_time))
        low, before_last = i + 1, stalls
        stalls += _fire(core, up, down, spikes, fires, strobe, first + i)
        in_time = (core.max_cycles - s - stalls) // 2
        if strobe < core.max_cycles and not core.open_loop:
            _push(core, first + i)
        i = _next_sender(core, first, low, count)
    _commit(core, first, low, min(count, in_time))
    return stalls, before_last if low == count else stalls


@_inner
def _serve_spike(core: Any, up: Any, down: Any, spikes: Any, fires: Any, s: Any, pre: Any) -> Any:
    """All neurons meet their weight from `pre`; returns the cycle of the pop strobe."""
    n = core.last_neuron + 1
    found = _integrate(core, pre, n)
    stalls, _ = _sweep(core, up, down, spikes, fires, s, 0, n, found)
    end = s + 2 * n + stalls
    if core.aer_src:
        end += _handshake(core, up, down, spikes, end, pre)
    if end < core.max_cycles:
        _pop(core)
    return end


@_inner
def _serve_virtual(core: Any, up: Any, down: Any, spikes: Any, fires: Any, s: Any, entry: Any) -> Any:
    """One neuron meets a weight that the event itself carries; its update, its feedback and the pop fall in one cycle."""
    strobe, neuron, weight = s + 1, entry & 255, entry >> 8
    if strobe > core.max_cycles:
        return strobe
    whole = core.v[neuron] + (weight - 16 if weight > 7 else weight)
    n = min(max(whole, V_MIN), V_MAX)
    reached = n >= core.thr[neuron]
    fires_now = reached and not core.disable[neuron]
    if fires_now:
        _fire(core, up, down, spikes, fires, strobe, neuron)
    if strobe < core.max_cycles:
        core.v[neuron] = 0 if reached else n
        core.saturations[neuron] += n != whole
        core.updates += 1
        full = core.count == FIFO_ENTRIES
        _pop(core)
        if fires_now and not core.open_loop:
            if full:
                core.dropped += 1
            else:
                _push(core, neuron)
    return strobe


@_inner
def _serve(core: Any, up: Any, down: Any, spikes: Any, fires: Any, services: Any, s: Any) -> None:
    """Take the entry at the head through its service, which starts in cycle s."""
    entry = core.fifo[core.head]
    if entry >> 8:
        end = _serve_virtual(core, up, down, spikes, fires, s, entry)
    else:
        end = _serve_spike(core, up, down, spikes, fires, s, entry)
    services[core.services, 0] = entry
    services[core.services, 1] = s
    services[core.services, 2] = end if end <= core.max_cycles else -1
    core.services += 1
    core.free = end + 1


@_inner
def _accept(core: Any, up: Any, down: Any, events: Any, spikes: Any, fires: Any, s: Any) -> None:
    """Take the next input event, whose handling starts in cycle s, through its handshake."""
    i = core.next_event
    addr = events[i, ADDR]
    events[i, ACCEPT] = s
    if addr & 256:
        one = (addr & 255) != ALL_NEURONS
        first, count = (addr & 255, 1) if one else (0, core.last_neuron + 1)
        found = _leak(core, first, count)
        _, before_last = _sweep(core, up, down, spikes, fires, s, first, count, found)
        ack = s + 2 * count + before_last
    else:
        if s < core.max_cycles:
            _push(core, (addr >> 4 & 15) << 8 | addr & 15 if addr & 512 else addr & 255)
        ack = s + 1
    done = ack + 3 + core.req_low_delay
    if ack <= core.max_cycles:
        events[i, ACK] = ack
    if done <= core.max_cycles:
        events[i, DONE] = done
    core.free = core.last_done = done
    core.next_event += 1
    core.request = -1


@_njit(nogil=True, cache=True, error_model="numpy")
def advance(cores: Any, up: Any, down: Any, events: Any, n_events: Any, spikes: Any, fires: Any, services: Any) -> Any:
    """Go on until the core is at rest with events 0..n_events-1 behind it, max_cycles is reached, or a log is full.

    cores: one CORE record. up (k,), down (m,). events (n, 6). spikes, fires (room, 2): cycle, address.
    services (room, 3): entry, start, end.
    """
    core = cores[0]
    stop = core.max_cycles
    while True:
        if min(len(fires) - core.fires, len(spikes) - core.spikes) <= NEURONS or core.services == len(services):
            return LOG_FULL
        i = core.next_event
        if i < n_events and core.request < 0:
            core.request = max(events[i, EARLIEST], core.last_done + core.req_gap if i else 0)
            if core.request <= stop:
                events[i, REQ] = core.request
        c = max(core.free, core.busy_end)
        seen = core.request + 2
        takes = i < n_events and core.count < FIFO_ENTRIES and (seen <= c or core.count == 0)
        if takes:
            c = max(c, seen)
        elif core.count == 0 and c < stop:
            core.end = c
            return AT_REST
        if c >= stop:
            core.end = stop
            return STOPPED
        if takes:
            _accept(core, up, down, events, spikes, fires, c + 1)
        else:
            _serve(core, up, down, spikes, fires, services, c + 1)
