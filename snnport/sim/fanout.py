"""Which cores a spike reaches, and through how many synapses on each: lists as long as there is something to list.

A table of sources by cores would grow with the square of a network whose cores grow with it. Here maps are taken in blocks
of rows and channels, each with the few cores that its targets sit on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snnport.program import Conv, Dense, Projection, Sparse
from snnport.sim.geometry import Ints, Taps, map_taps

BLOCK = 1 << 18
"""Entries of the table of one block of a map, if it can be divided."""


@dataclass(frozen=True, eq=False)
class FanOut:
    """Synapses of a projection by destination core. row_of: row of every source neuron, C order.

    Row r reaches core[k] through synapses[k] synapses for k in start[r] .. start[r + 1] - 1, cores ascending; core n_cores
    stands for targets on no core.
    """

    row_of: Ints
    start: Ints
    core: Ints
    synapses: Ints
    n_cores: int

    @property
    def rows(self) -> Ints:
        """The row of every entry."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))

    @cached_property
    def table(self) -> Ints:
        """The same as a matrix (rows, n_cores + 1)."""
        table = np.zeros((len(self.start) - 1, self.n_cores + 1), np.int64)
        table[self.rows, self.core] = self.synapses
        return table

    def synapses_of(self) -> Ints:
        """Synapses of each row, on all cores together."""
        sums = np.concatenate(([0], np.cumsum(self.synapses)))
        return np.asarray(sums[self.start[1:]] - sums[self.start[:-1]], np.int64)

    def placed(self) -> FanOut:
        """Without the targets on no core."""
        kept = self.core < self.n_cores
        return _listed(self.row_of, self.rows[kept], self.core[kept], self.synapses[kept], len(self.start) - 1, self.n_cores)


def fan_out(projection: Projection, n_sources: int, core_of: Ints, n_cores: int) -> FanOut:
    """Synapses on each core for one spike of every source neuron, each pooling window counted; core_of -1: on no core.

    Zero codes count: a synapse is a place in the weight memory.
    """
    cores = np.where(core_of < 0, n_cores, core_of)
    synapse, pool = projection.synapse, projection.pool
    if isinstance(synapse, Conv):
        stages = [map_taps(synapse, projection.name)]
        channels = cores.reshape(synapse.groups, -1, *(taps.targets for taps in stages[0]))
    elif pool is None or isinstance(synapse, Dense | Sparse):
        return _unpooled(projection, n_sources, cores, n_cores) if pool is None else _pooled(projection, cores, n_cores)
    else:
        stages = []
        channels = cores.reshape(pool.input_shape[0], 1, *(taps.targets for taps in map_taps(pool, projection.name)))
    if pool is not None:
        stages.append(map_taps(pool, projection.name))
    height, width = (taps.sources for taps in stages[-1])
    groups = len(channels)
    parts: list[tuple[Ints, Ints, Ints]] = []
    _block(channels, stages, (0, groups), (0, height), parts)
    row, core, synapses = (np.concatenate(part) for part in zip(*parts, strict=True))
    channel, position = np.divmod(np.arange(n_sources), height * width)
    per_group = n_sources // (height * width) // groups
    row_of = channel // per_group * (height * width) + position
    return _listed(row_of, row, core, synapses, groups * height * width, n_cores)


def messages_per_spike(fans: Sequence[FanOut], n_sources: int) -> Ints:
    """Destination cores of one spike of every source neuron (C order): cores that any of the projections reaches."""
    if not fans:
        return np.zeros(n_sources, np.int64)
    kind_of, kind, _ = reached_cores(fans, np.zeros(n_sources, np.int64))
    return np.bincount(kind, minlength=int(kind_of.max(initial=-1)) + 1)[kind_of]


def reached_cores(fans: Sequence[FanOut], group_of: Ints) -> tuple[Ints, Ints, Ints]:
    """Which cores the projections `fans` of one population reach together, by kind of source neuron: (kind_of, kind, core).

    Neurons of the same group (group_of: one number >= 0 a neuron) that reach the same cores are of one kind; kind_of names
    the kind of every neuron. Entry k says that neurons of kind[k] reach core[k]; entries are distinct and ascending.
    """
    placed = [fan.placed() for fan in fans]
    kind_of = group_of
    firsts = np.zeros(0, np.int64)
    for fan in placed:
        keys = kind_of * (len(fan.start) - 1) + fan.row_of
        _, firsts, kind_of = np.unique(keys, return_index=True, return_inverse=True)
    width = max((fan.n_cores for fan in placed), default=0)
    parts = [kind * width + core for fan in placed for kind, core, _ in [entries(fan, fan.row_of[firsts])]]
    keys = np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int64)
    kind, core = np.divmod(keys, max(1, width))
    return kind_of, kind, core


def _unpooled(projection: Projection, n_sources: int, cores: Ints, n_cores: int) -> FanOut:
    """Dense, Diagonal and Sparse without a pooling."""
    synapse = projection.synapse
    if isinstance(synapse, Dense):
        here = np.bincount(cores, minlength=n_cores + 1)
        core = np.flatnonzero(here)
        return _listed(np.zeros(n_sources, np.int64), np.zeros_like(core), core, here[core], 1, n_cores)
    if isinstance(synapse, Sparse):
        source, core = np.asarray(synapse.source, np.int64), cores[synapse.target]
        return _listed(np.arange(n_sources), source, core, np.ones_like(source), synapse.shape[1], n_cores)
    return _listed(np.arange(n_sources), np.arange(n_sources), cores, np.ones_like(cores), n_sources, n_cores)


def _pooled(projection: Projection, cores: Ints, n_cores: int) -> FanOut:
    """Dense and Sparse behind a pooling: the entries of every window that holds a source."""
    pool, synapse = projection.pool, projection.synapse
    assert pool is not None
    y, x = map_taps(pool, projection.name)
    channels, height, width = pool.input_shape
    n_sources = channels * height * width
    if isinstance(synapse, Dense):
        # A source is known by the number of windows that hold it.
        windows = np.tile(np.outer(y.per_source(), x.per_source()).ravel(), channels)
        numbers, row_of = np.unique(windows, return_inverse=True)
        here = np.bincount(cores, minlength=n_cores + 1)
        core = np.flatnonzero(here)
        row, column = np.divmod(np.arange(len(numbers) * len(core)), max(1, len(core)))
        return _listed(row_of, row, core[column], numbers[row] * here[core][column], len(numbers), n_cores)
    window = _unpooled(projection, channels * y.targets * x.targets, cores, n_cores)
    c = np.arange(channels)[:, None]
    source = (c * height * width + (y.source[:, None] * width + x.source).ravel()).ravel()
    place = (c * y.targets * x.targets + (y.target[:, None] * x.targets + x.target).ravel()).ravel()
    pair, core, synapses = entries(window, place)
    return _listed(np.arange(n_sources), source[pair], core, synapses, n_sources, n_cores)


def entries(fan: FanOut, rows: Ints) -> tuple[Ints, Ints, Ints]:
    """The entries of the listed rows, one row after the other: (place in `rows`, core, synapses)."""
    lengths = fan.start[rows + 1] - fan.start[rows]
    place = np.repeat(np.arange(len(rows)), lengths)
    first = np.concatenate(([0], np.cumsum(lengths)))[:-1]
    entry = np.arange(len(place)) - np.repeat(first, lengths) + fan.start[rows][place]
    return place, fan.core[entry], fan.synapses[entry]


def _listed(row_of: Ints, row: Ints, core: Ints, synapses: Ints, n_rows: int, n_cores: int) -> FanOut:
    """A FanOut of entries in any order; entries of the same row and core add up, empty ones are left out."""
    key = row * (n_cores + 1) + core
    if key.size and np.any(key[1:] <= key[:-1]):
        key, place = np.unique(key, return_inverse=True)
        total = np.zeros(len(key), np.int64)
        np.add.at(total, place, synapses)
        synapses = total
    kept = synapses > 0
    row, core = np.divmod(key[kept], n_cores + 1)
    start = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=n_rows))))
    return FanOut(np.asarray(row_of, np.int64), start, core, synapses[kept], n_cores)


def _block(
    channels: Ints,
    stages: list[tuple[Taps, Taps]],
    groups: tuple[int, int],
    rows: tuple[int, int],
    parts: list[tuple[Ints, Ints, Ints]],
) -> None:
    """Append the entries of a block of source rows of some groups to `parts`, dividing it while its table is too large.

    channels (groups, channels a group, height, width): cores of the targets. stages: taps from the targets to the sources.
    """
    chain: list[tuple[Taps, Taps]] = []
    low, high = rows
    for y, x in reversed(stages):
        y, (low, high) = _band(y, low, high)
        chain.insert(0, (y, x))
    here = channels[groups[0] : groups[1], :, low:high]
    local, place = np.unique(here, return_inverse=True)
    n_groups, per_group, height, width = here.shape
    widest = max([height * width, *(y.sources * x.targets for y, x in chain), *(y.sources * x.sources for y, x in chain)])
    if n_groups * widest * len(local) > BLOCK and (n_groups > 1 or rows[1] - rows[0] > 1):
        axis, (first, stop) = (groups, rows)[n_groups == 1], groups if n_groups > 1 else rows
        middle = (first + stop) // 2
        for half in ((first, middle), (middle, stop)):
            _block(channels, stages, half if axis is groups else groups, rows if axis is groups else half, parts)
        return
    table = np.zeros((n_groups, height * width, max(1, len(local))), np.int64)
    if len(local):
        spread = place.reshape(n_groups, per_group, height * width)
        np.add.at(table, (np.arange(n_groups)[:, None, None], np.arange(height * width), spread), 1)
    table = table.reshape(n_groups, height, width, table.shape[2])
    for y, x in chain:
        table = x.gathered(y.gathered(table, 1), 2)
    group, row, column, core = np.nonzero(table)
    total_rows, total_columns = (taps.sources for taps in stages[-1])
    index = ((group + groups[0]) * total_rows + row + rows[0]) * total_columns + column
    parts.append((index, local[core] if len(local) else core, table[group, row, column, core]))


def _band(taps: Taps, low: int, high: int) -> tuple[Taps, tuple[int, int]]:
    """The taps of sources low..high-1, counted from there, and the range of their targets."""
    chosen = (taps.source >= low) & (taps.source < high)
    target = taps.target[chosen]
    first, stop = (int(target.min()), int(target.max()) + 1) if target.size else (0, 0)
    return Taps(taps.source[chosen] - low, target - first, taps.kernel[chosen], high - low, stop - first), (first, stop)
