"""A program as flat tables for the event-by-event kernel (async_kernel.py).

Neurons are kept population after population, each map by row, column, channel, so that what one event reaches at one place of
a map lies side by side. That is also the order in which an event reaches them (docs/semantics.md, "Event after event").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph, InvalidInput
from snnport.fixed import narrowest
from snnport.program import Conv, Dense, Diagonal, Population, Program, Projection, Sparse
from snnport.sim.geometry import Layout, layout_of, map_taps
from snnport.sim.neurons import parameters

Ints = npt.NDArray[np.int64]
HOST = ("input", "generator")
NO_BOUND = (1 << 30) - 1
"""Potentials of the kernel have 32 bits; bounds beyond this number are taken as this number."""
_NEVER = {
    name: np.full(1, value, np.int64)
    for name, value in {
        "v_threshold": (1 << 31) - 1,
        "reset": 0,
        "v_reset": 0,
        "v_min": -NO_BOUND,
        "v_max": NO_BOUND,
        "max_spikes": 1,
    }.items()
}
"""What an integrator lacks: it never fires."""


@dataclass(frozen=True, eq=False)
class Wires:
    """What the neurons of one projection's source reach: row[j] of the runs, with `add[j]` added to where their codes begin.

    A run is (first target, first code, length). start (rows + 1,): the runs of a row.
    """

    row: Ints
    add: Ints
    start: Ints
    runs: Ints
    codes: Ints


@dataclass(frozen=True, eq=False)
class AsyncPlan:
    """order: populations so that every projection leads forward. first: where a population's neurons begin, one entry more.

    place: population -> where each neuron (C order) is kept. params (7, n): v_init, v_threshold, reset, v_reset, bias, v_min
    and v_max. most: spikes of a neuron in one step, in the time-stepped order alone. kinds: 0 input, 1 generator, 2 neurons.
    links (Q, 6): source, target, first entry of row_of and add_of, first entry of run_start, delay, position in the program's
    projections. leaving (P + 1,): links of a population are leaving[p]..leaving[p+1]-1, in the program's order. entering: links
    into a population, in the program's order, from enter_start on. shared (P, 3): what all neurons of a population have alike.
    fan_out: the most synapses of one source neuron of a link.
    """

    order: tuple[Population, ...]
    first: Ints
    place: Mapping[str, Ints]
    params: npt.NDArray[np.int32]
    most: Ints
    kinds: Ints
    links: Ints
    leaving: Ints
    entering: Ints
    enter_start: Ints
    row_of: npt.NDArray[np.int32]
    add_of: npt.NDArray[np.int32]
    run_start: Ints
    runs: npt.NDArray[np.int32]
    codes: npt.NDArray[Any]
    shared: npt.NDArray[np.int32]
    fan_out: Ints

    @property
    def n_neurons(self) -> int:
        """Neurons of all populations."""
        return int(self.first[-1])


def make_async_plan(program: Program) -> AsyncPlan:
    """The tables of `program`.

    Raises InvalidInput for a program that has steps in its meaning: loops, delays (but of generators), neurons other than
    integrate and fire, potentials that are loaded at set steps.
    """
    order = _order(program)
    position = {p.name: i for i, p in enumerate(order)}
    first = np.concatenate([[0], np.cumsum([p.size for p in order])]).astype(np.int64)
    place = {p.name: first[position[p.name]] + inside_of(p, program.into(p.name)) for p in order}
    params, most, kinds = _neurons(order, first, place)
    wires = [_wires(q, program.population(q.source), program.population(q.target), place) for q in program.projections]
    by_source = sorted(range(len(wires)), key=lambda i: position[program.projections[i].source])
    rows, row_at, start_at, run_at, code_at = [], 0, 0, 0, 0
    parts: list[Wires] = []
    for i in by_source:
        q, w = program.projections[i], wires[i]
        rows.append((position[q.source], position[q.target], row_at, start_at, q.delay, i))
        parts.append(Wires(w.row + start_at, w.add, w.start + run_at, w.runs + np.array([0, code_at, 0]), w.codes))
        row_at, start_at = row_at + len(w.row), start_at + len(w.start)
        run_at, code_at = run_at + len(w.runs), code_at + len(w.codes)
    links = np.array(rows, np.int64).reshape(-1, 6)
    into = [[k for k in np.argsort(links[:, 5], kind="stable") if links[k, 1] == p] for p in range(len(order))]
    codes = _joined([w.codes for w in parts])
    return AsyncPlan(
        order,
        first,
        place,
        params,
        most,
        kinds,
        links,
        np.searchsorted(links[:, 0], np.arange(len(order) + 1)).astype(np.int64),
        np.array([k for ks in into for k in ks], np.int64),
        np.concatenate([[0], np.cumsum([len(ks) for ks in into])]).astype(np.int64),
        _joined([w.row for w in parts]).astype(np.int32),
        _joined([w.add for w in parts]).astype(np.int32),
        _joined([w.start for w in parts]),
        np.concatenate([np.zeros((0, 3), np.int64), *(w.runs for w in parts)]).astype(np.int32),
        codes.astype(np.int16 if narrowest(int(codes.min(initial=0)), int(codes.max(initial=0))) != np.int32 else np.int32),
        _shared(params, first),
        np.array([int(_reach(wires[i]).max(initial=0)) for i in by_source], np.int64),
    )


def _shared(params: npt.NDArray[np.int32], first: Ints) -> npt.NDArray[np.int32]:
    """v_threshold, v_min, v_max of each population (P, 3) where all of its neurons have the same, else zeros."""
    found = np.zeros((len(first) - 1, 3), np.int32)
    for p, (start, stop) in enumerate(pairwise(first)):
        rows = params[[1, 5, 6], start:stop]
        if stop > start and np.all(rows == rows[:, :1]):
            found[p] = rows[:, 0]
    return found


def inside_of(population: Population, into: tuple[Projection, ...]) -> Ints:
    """Where each neuron of a population (C order) is kept within it: maps by row, column, channel."""
    shape = layout_of(population, into).shape
    if shape[1:] == (1, 1) and len(population.shape) == 3:
        shape = (population.shape[0], population.shape[1], population.shape[2])
    return Layout(shape, 1).inside()


def _joined(parts: list[Ints]) -> Ints:
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _reach(wires: Wires) -> Ints:
    """Synapses of each row."""
    total = np.concatenate([[0], np.cumsum(wires.runs[:, 2])])
    return np.asarray(total[wires.start[1:]] - total[wires.start[:-1]], np.int64)


def _order(program: Program) -> tuple[Population, ...]:
    known = {p.name: p for p in program.populations}
    for q in program.projections:
        if q.delay and known[q.source].neuron.family != "generator":
            what = f"its spikes take {q.delay} steps, and events that follow one another have no steps"
            raise InvalidInput(f"--order: {q.name}", what, "Use a target with steps, such as cpu")
    graph = {p.name: [q.source for q in program.projections if q.target == p.name] for p in program.populations}
    try:
        return tuple(known[name] for name in TopologicalSorter(graph).static_order())
    except CycleError as error:
        names = ", ".join(dict.fromkeys(error.args[1]))
        raise InvalidInput(
            f"--order: {names}", "they drive one another in a loop", "Use a network without recurrence"
        ) from None


def _neurons(order: tuple[Population, ...], first: Ints, place: Mapping[str, Ints]) -> tuple[npt.NDArray[np.int32], Ints, Ints]:
    table = np.zeros((7, int(first[-1])), np.int64)
    most = np.ones(len(order), np.int64)
    kinds = np.zeros(len(order), np.int64)
    for i, population in enumerate(order):
        family, p = population.neuron.family, parameters(population)
        if family in HOST:
            kinds[i] = HOST.index(family)
            if np.any(p.get("graded", np.zeros(1))) or np.any(p.get("value", np.zeros(1))):
                raise InvalidInput(f"--order: {population.name}", "it sends numbers, an event carries none", "Use --code rate")
            continue
        if family == "integrator":
            p = {**_NEVER, **p}
        if family not in ("if", "dynap", "integrator") or np.any(p.get("load_step", np.full(1, -1)) >= 0):
            what = f"family '{family}' or what is loaded at set steps has no meaning event by event"
            raise InvalidInput(f"--order: {population.name}", what, "Use --code rate, or a target with steps")
        kinds[i] = 2
        names = ("v_init", "v_threshold", "reset", "v_reset", "bias", "v_min", "v_max")
        for row, name in enumerate(names):
            table[row, place[population.name]] = np.clip(p[name], -NO_BOUND, _NEVER["v_threshold"] if row == 1 else NO_BOUND)
        if np.any(p["v_threshold"] < 1):
            raise InvalidGraph(population.name, f"v_threshold is {p['v_threshold'].min()}, at least 1 is needed")
        if len(np.unique(p["max_spikes"])) > 1:
            raise InvalidGraph(population.name, "max_spikes differs among its neurons", "Give one number for all of them")
        most[i] = int(p["max_spikes"].max(initial=1)) if family == "if" else NO_BOUND
    return table.astype(np.int32), most, kinds


def _wires(q: Projection, source: Population, target: Population, place: Mapping[str, Ints]) -> Wires:
    """Wires whose row and add are indexed by where the source's neurons are kept, less where they begin."""
    at = place[target.name]
    kind = q.synapse
    if isinstance(kind, Conv) and kind.groups == 1 and not _overlapping(q):
        row, add, start, runs, codes = _conv(q, kind, at)
    else:
        row, add, start, runs, codes = _listed(q, source, target, at)
    inside = place[source.name] - place[source.name].min()
    kept_row, kept_add = np.empty_like(row), np.empty_like(add)
    kept_row[inside], kept_add[inside] = row, add
    return Wires(kept_row, kept_add, start, runs, codes << q.exponent)


def _overlapping(q: Projection) -> bool:
    return q.pool is not None and (q.pool.kernel_size != q.pool.stride or any(q.pool.padding))


def _conv(q: Projection, conv: Conv, at: Ints) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """One row a place of the (pooled) source map, and one without runs; a run is all output channels at one place."""
    out, inner, _, kw = conv.codes.shape
    along_y, along_x = map_taps(conv, q.name)
    codes = np.ascontiguousarray(conv.codes.astype(np.int64).transpose(2, 3, 1, 0)).reshape(-1)
    (_, height, width), wide = conv.input_shape, along_x.targets
    begin = int(at.min())
    per_y = [np.flatnonzero(along_y.source == y) for y in range(height)]
    per_x = [np.flatnonzero(along_x.source == x) for x in range(width)]
    runs, counts = [], []
    for y in range(height):
        ys = per_y[y][np.argsort(along_y.target[per_y[y]])]
        for x in range(width):
            xs = per_x[x][np.argsort(along_x.target[per_x[x]])]
            target = along_y.target[ys][:, None] * wide + along_x.target[xs]
            kernel = along_y.kernel[ys][:, None] * kw + along_x.kernel[xs]
            part = np.stack([begin + target * out, kernel * inner * out, np.full_like(target, out)], axis=-1).reshape(-1, 3)
            runs.append(part)
            counts.append(len(part))
    start = np.concatenate([[0], np.cumsum([*counts, 0])]).astype(np.int64)
    shape = conv.input_shape if q.pool is None else q.pool.input_shape
    places = np.unravel_index(np.arange(int(np.prod(shape))), shape)
    down, right = (1, 1) if q.pool is None else q.pool.stride
    rows, columns = places[1] // down, places[2] // right
    row = np.where((rows < height) & (columns < width), rows * width + columns, height * width)
    return row, np.asarray(places[0] * out, np.int64), start, np.concatenate(runs).astype(np.int64), codes


def _listed(q: Projection, source: Population, target: Population, at: Ints) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """One row a source neuron; a dense one is one run, all others one run a synapse, ascending by the target's place."""
    size = source.size if q.pool is None else _pooled(q)[1]
    kind = q.synapse
    if isinstance(kind, Dense):
        ordered = np.argsort(at)
        codes = kind.codes.astype(np.int64)[ordered].T.reshape(-1)
        n = len(at)
        runs = np.stack([np.full(size, at.min()), np.arange(size) * n, np.full(size, n)], axis=1)
        start = np.arange(size + 1)
    else:
        i, j, codes = _synapses(kind)
        by = np.lexsort((at[i], j))
        runs = np.stack([at[i][by], np.arange(len(by)), np.ones(len(by), np.int64)], axis=1)
        codes = codes[by]
        start = np.searchsorted(j[by], np.arange(size + 1))
    if q.pool is not None:
        held = _pooled(q)[0]
        parts = [runs[start[w] : start[w + 1]] for w in held[:, 1]]
        counts = np.zeros(source.size, np.int64)
        np.add.at(counts, held[:, 0], [len(part) for part in parts])
        runs, start = np.concatenate([np.zeros((0, 3), np.int64), *parts]), np.concatenate([[0], np.cumsum(counts)])
    return np.arange(source.size), np.zeros(source.size, np.int64), start.astype(np.int64), runs.astype(np.int64), codes


def _synapses(kind: Any) -> tuple[Ints, Ints, Ints]:
    """target, source and code of every synapse of a Diagonal, Sparse or Conv."""
    if isinstance(kind, Diagonal):
        every = np.arange(len(kind.codes))
        return every, every, kind.codes.astype(np.int64)
    if isinstance(kind, Sparse):
        return kind.target.astype(np.int64), kind.source.astype(np.int64), kind.codes.astype(np.int64)
    out, inner, _, _ = kind.codes.shape
    along_y, along_x = map_taps(kind, "")
    o, i, a, b = np.meshgrid(
        np.arange(out), np.arange(inner), np.arange(len(along_y.source)), np.arange(len(along_x.source)), indexing="ij"
    )
    group = o // (out // kind.groups)
    target = (o * along_y.targets + along_y.target[a]) * along_x.targets + along_x.target[b]
    source = ((group * inner + i) * kind.input_shape[1] + along_y.source[a]) * kind.input_shape[2] + along_x.source[b]
    codes = kind.codes[o, i, along_y.kernel[a], along_x.kernel[b]]
    return target.reshape(-1), source.reshape(-1), codes.reshape(-1).astype(np.int64)


def _pooled(q: Projection) -> tuple[Ints, int]:
    """(neuron, window) pairs in ascending order, and the number of windows."""
    assert q.pool is not None
    along_y, along_x = map_taps(q.pool, q.name)
    channels, height, width = q.pool.input_shape
    c, a, b = np.meshgrid(np.arange(channels), np.arange(len(along_y.source)), np.arange(len(along_x.source)), indexing="ij")
    neuron = ((c * height + along_y.source[a]) * width + along_x.source[b]).reshape(-1)
    window = ((c * along_y.targets + along_y.target[a]) * along_x.targets + along_x.target[b]).reshape(-1)
    by = np.lexsort((window, neuron))
    return np.stack([neuron[by], window[by]], axis=1), channels * along_y.targets * along_x.targets
