"""Projections as lists of synapses, source by source, in the order in which a spike meets them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snnport.errors import UnsupportedNode
from snnport.program import Conv, Dense, Diagonal, Projection, Sparse
from snnport.sim.altered.rules import Ints
from snnport.sim.geometry import map_taps

MOST_SYNAPSES = 20_000_000
Ends = tuple[Ints, Ints, Ints]
"""source, target, code of every synapse."""


@dataclass(frozen=True, eq=False)
class Wires:
    """Synapses sorted by source; those of source j are start[j]..start[j + 1]-1. code: shifted."""

    target: Ints
    code: Ints
    start: Ints

    @classmethod
    def of(cls, projection: Projection, n_sources: int) -> Wires:
        """The synapses of a projection. Raises UnsupportedNode for more than MOST_SYNAPSES."""
        source, target, code = _ends(projection)
        order = np.argsort(source, kind="stable")
        start = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=n_sources))]).astype(np.int64)
        return cls(target[order], code[order] << projection.exponent, start)

    def arrivals(self, fired: Ints, values: Ints, size: int) -> Ints:
        """What the spikes of neurons `fired`, times `values`, add up to at every target (size,)."""
        total = np.zeros(size, np.int64)
        counts = self.start[fired + 1] - self.start[fired]
        within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        at = np.repeat(self.start[fired], counts) + within
        np.add.at(total, self.target[at], self.code[at] * np.repeat(values, counts))
        return total

    @cached_property
    def _rounds(self) -> dict[int, list[tuple[Ints, Ints]]]:
        return {}

    def rounds(self, neuron: int) -> list[tuple[Ints, Ints]]:
        """The synapses of one neuron as (targets, codes) in which no target comes twice; the order at a target is kept."""
        if neuron not in self._rounds:
            part = slice(int(self.start[neuron]), int(self.start[neuron + 1]))
            target, code = self.target[part], self.code[part]
            rank = np.zeros(len(target), np.int64)
            order = np.argsort(target, kind="stable")
            sorted_targets = target[order]
            first = np.concatenate([[True], sorted_targets[1:] != sorted_targets[:-1]]) if len(target) else np.zeros(0, bool)
            starts = np.maximum.accumulate(np.where(first, np.arange(len(target)), 0)) if len(target) else rank
            rank[order] = np.arange(len(target)) - starts
            self._rounds[neuron] = [(target[rank == k], code[rank == k]) for k in range(int(rank.max(initial=-1)) + 1)]
        return self._rounds[neuron]


def _ends(projection: Projection) -> Ends:
    ends = _direct(projection)
    pool = projection.pool
    if pool is None:
        return ends
    y, x = map_taps(pool, projection.name)
    channels, _, width = pool.input_shape
    rows, columns = np.meshgrid(np.arange(len(y.source)), np.arange(len(x.source)), indexing="ij")
    source = (y.source[rows] * width + x.source[columns]).ravel()
    window = (y.target[rows] * x.targets + x.target[columns]).ravel()
    sources, windows = y.sources * x.sources, y.targets * x.targets
    lanes = np.arange(channels)[:, None]
    source, window = (source + lanes * sources).ravel(), (window + lanes * windows).ravel()
    order = np.lexsort((window, source))
    source, window = source[order], window[order]
    place, target, code = ends
    sort = np.argsort(place, kind="stable")
    target, code = target[sort], code[sort]
    start = np.concatenate([[0], np.cumsum(np.bincount(place, minlength=channels * windows))])
    counts = start[window + 1] - start[window]
    _few(int(counts.sum()), projection.name)
    at = np.repeat(start[window], counts) + np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(source, counts), target[at], code[at]


def _direct(projection: Projection) -> Ends:
    kind = projection.synapse
    if isinstance(kind, Conv):
        return _conv(kind, projection.name)
    _few(kind.codes.size, projection.name)
    codes = kind.codes.astype(np.int64)
    if isinstance(kind, Dense):
        source, target = np.meshgrid(np.arange(codes.shape[1]), np.arange(codes.shape[0]), indexing="ij")
        return source.ravel(), target.ravel(), codes.T.ravel()
    if isinstance(kind, Diagonal):
        return np.arange(codes.size), np.arange(codes.size), codes
    assert isinstance(kind, Sparse)
    return kind.source.astype(np.int64), kind.target.astype(np.int64), codes


def _conv(kind: Conv, where: str) -> Ends:
    y, x = map_taps(kind, where)
    out, per_group = kind.codes.shape[:2]
    height, width = kind.input_shape[1:]
    _few(len(y.source) * len(x.source) * out * per_group, where)
    i, j, o, p = np.ix_(np.arange(len(y.source)), np.arange(len(x.source)), np.arange(out), np.arange(per_group))
    channel = o // (out // kind.groups) * per_group + p
    source = (channel * height + y.source[i]) * width + x.source[j]
    target = (o * y.targets + y.target[i]) * x.targets + x.target[j] + 0 * p
    code = kind.codes.astype(np.int64)[o, p, y.kernel[i], x.kernel[j]]
    return source.ravel(), target.ravel(), code.ravel()


def _few(synapses: int, where: str) -> None:
    if synapses > MOST_SYNAPSES:
        what = f"it has {synapses} synapses, causes are looked for among up to {MOST_SYNAPSES}"
        raise UnsupportedNode(where, what, "Compare a smaller network, or fewer layers")
