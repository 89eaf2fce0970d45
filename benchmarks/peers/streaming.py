"""The streaming limit: what adding the same weight rows costs if nothing else is done.

The rows of the spikes that a run of the engine fired, recorded beforehand, are added to 32-bit accumulators in the order in
which the engine adds them: step by step, layer by layer, spike by spike. There is no event extraction, no threshold, no
reset, no count; the lists of rows lie ready. Four ways to add are measured and the fastest is the limit: one row at a time,
or two, four or eight rows in one pass over the accumulators, 8-bit codes summed in 16 bits. The compiler vectorises them
for this processor. The time to merely read the same rows in this order is reported beside it.

The engine may take another order: a tile of 64 targets through all steps, so that its weights stay in the nearest cache. The
same additions in that order, with the engine's own sums of rows and nothing else, are the limit in the strongest form.

request: {"case": .npz with w0, w1, ...; "events": .npz with start<i> (n_steps + 1,) and index<i>, the spikes into layer i;
"pin": core, "how": "one" | "two" | "four" | "eight" | "read" | "tiles"}.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numba import njit
from protocol import Job, serve

from snnport.sim import tiles
from snnport.sim.records import aligned
from snnport.sim.tiles import LANES, add_lists, lanes_of

_jit: Any = njit(error_model="numpy", nogil=True)


@_jit
def one(rows: Any, start: Any, index: Any, t: int, v: Any) -> None:
    """One row at a time."""
    for e in range(start[t], start[t + 1]):
        a = rows[index[e]]
        for k in range(v.shape[0]):
            v[k] += a[k]


@_jit
def two(rows: Any, start: Any, index: Any, t: int, v: Any) -> None:
    """Two rows a pass."""
    e = start[t]
    while e + 2 <= start[t + 1]:
        a, b = rows[index[e]], rows[index[e + 1]]
        for k in range(v.shape[0]):
            v[k] += np.int32(np.int16(np.int16(a[k]) + np.int16(b[k])))
        e += 2
    for last in range(e, start[t + 1]):
        a = rows[index[last]]
        for k in range(v.shape[0]):
            v[k] += a[k]


@_jit
def four(rows: Any, start: Any, index: Any, t: int, v: Any) -> None:
    """Four rows a pass."""
    e = start[t]
    while e + 4 <= start[t + 1]:
        a, b, c, d = rows[index[e]], rows[index[e + 1]], rows[index[e + 2]], rows[index[e + 3]]
        for k in range(v.shape[0]):
            left = np.int16(np.int16(a[k]) + np.int16(b[k]))
            right = np.int16(np.int16(c[k]) + np.int16(d[k]))
            v[k] += np.int32(np.int16(left + right))
        e += 4
    for last in range(e, start[t + 1]):
        a = rows[index[last]]
        for k in range(v.shape[0]):
            v[k] += a[k]


@_jit
def eight(rows: Any, start: Any, index: Any, t: int, v: Any) -> None:
    """Eight rows a pass."""
    x = start[t]
    while x + 8 <= start[t + 1]:
        a, b, c, d = rows[index[x]], rows[index[x + 1]], rows[index[x + 2]], rows[index[x + 3]]
        e, f, g, h = rows[index[x + 4]], rows[index[x + 5]], rows[index[x + 6]], rows[index[x + 7]]
        for k in range(v.shape[0]):
            left = np.int16(np.int16(a[k]) + np.int16(b[k])) + np.int16(np.int16(c[k]) + np.int16(d[k]))
            right = np.int16(np.int16(e[k]) + np.int16(f[k])) + np.int16(np.int16(g[k]) + np.int16(h[k]))
            v[k] += np.int32(left) + np.int32(right)
        x += 8
    for last in range(x, start[t + 1]):
        a = rows[index[last]]
        for k in range(v.shape[0]):
            v[k] += a[k]


@_jit
def read(rows: Any, start: Any, index: Any, t: int, v: Any) -> None:
    """Every row is read as 64-bit words and nothing but their combination is kept."""
    seen = np.int64(0)
    for e in range(start[t], start[t + 1]):
        a = rows[index[e]]
        for k in range(a.shape[0]):
            seen ^= a[k]
    v[0] = np.int32(seen)


@_jit
def stream(way: Any, steps: int, first: Any, second: Any, third: Any) -> None:
    """All steps of three layers, each (rows, start, index, accumulators)."""
    for t in range(steps):
        way(first[0], first[1], first[2], t, first[3])
        way(second[0], second[1], second[2], t, second[3])
        way(third[0], third[1], third[2], t, third[3])


@_jit
def stream_tiles(codes: Any, sources: int, spans: Any, index: Any, count: Any, sums: Any, targets: int) -> None:
    """All steps of one layer, tile after tile of its targets."""
    tile = 0
    while tile * LANES < targets:
        add_lists(sums, codes, tile * LANES * sources, lanes_of(targets - tile * LANES), index, count, spans)
        tile += 1


def in_tiles_prepared(rows: list[Any], lists: list[tuple[Any, Any]]) -> Any:
    """A function that adds all rows of all layers in tiles."""
    layers = []
    for r, (start, index) in zip(rows, lists, strict=True):
        steps = len(start) - 1
        spans = np.stack([start[:-1], np.diff(start), np.zeros(steps, np.int64)], axis=1).astype(np.int64)
        tiled = tiles.in_tiles(r)
        codes = aligned(tiled.size, np.int8)
        codes[:] = tiled
        narrow = index.astype(np.int32)
        layers.append((codes, r.shape[0], spans, narrow, np.ones_like(narrow), np.zeros(steps * LANES, np.int32), r.shape[1]))

    def run() -> None:
        for layer in layers:
            stream_tiles(*layer)

    return run


WAYS = {"one": one, "two": two, "four": four, "eight": eight, "read": read}


def prepare(request: dict[str, Any]) -> Job:
    """Lay the rows out as the engine does, (source, target), and compile."""
    os.sched_setaffinity(0, {int(request["pin"])})
    with np.load(request["case"]) as data:
        rows = [np.ascontiguousarray(data[f"w{i}"].T) for i in range(3)]
    with np.load(request["events"]) as data:
        lists = [(data[f"start{i}"], data[f"index{i}"]) for i in range(len(rows))]
    if request["how"] == "tiles":
        run_tiles = in_tiles_prepared(rows, lists)
        run_tiles()
        return Job(run_tiles, lambda _: {}, "tiles")
    way = WAYS[request["how"]]
    if request["how"] == "read":
        rows = [np.ascontiguousarray(r[:, : r.shape[1] // 8 * 8]).view(np.int64) for r in rows]
    v = [np.zeros(r.shape[1], np.int32) for r in rows]
    layers = [(r, *events, potential) for r, events, potential in zip(rows, lists, v, strict=True)]
    first, second, third = layers
    steps = len(lists[0][0]) - 1

    def run() -> None:
        stream(way, steps, first, second, third)

    run()
    return Job(run, lambda _: {}, f"{request['how']} row(s) a pass")


if __name__ == "__main__":
    serve(prepare)
