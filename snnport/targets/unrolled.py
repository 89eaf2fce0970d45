"""Projections as lists of synapses, for chips that hold nothing else: convolutions and poolings spelled out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnport.fixed import IntArray, narrowest
from snnport.nodes import window_positions
from snnport.program import Conv, Dense, Diagonal, Projection, Sparse, SumPool
from snnport.targets.synapses import pool_output

Ends = tuple[IntArray, IntArray, IntArray]
"""target, source, code of every synapse."""


def unrolled(projection: Projection) -> Projection:
    """The same projection as a Sparse one without a pooling; synapses between the same two neurons are one, zeros none."""
    synapse, pool = projection.synapse, projection.pool
    ends: Ends
    if isinstance(synapse, Dense):
        rows, columns = np.nonzero(synapse.codes)
        shape = (int(synapse.codes.shape[0]), int(synapse.codes.shape[1]))
        ends = (rows, columns, synapse.codes[rows, columns].astype(np.int64))
    elif isinstance(synapse, Conv):
        ends = conv_ends(synapse)
        outputs = window_positions(synapse.input_shape[1:], synapse.codes.shape[2:], *_geometry(synapse))
        shape = int(synapse.codes.shape[0]) * outputs[0] * outputs[1], int(np.prod(synapse.input_shape))
    elif isinstance(synapse, Diagonal):
        every = np.arange(synapse.codes.size)
        shape = every.size, every.size
        ends = every, every, synapse.codes.astype(np.int64)
    else:
        shape = synapse.shape
        ends = synapse.target.astype(np.int64), synapse.source.astype(np.int64), synapse.codes.astype(np.int64)
    if pool is not None:
        ends, shape = _through(ends, pool), (shape[0], int(np.prod(pool.input_shape)))
    target, source, codes = _joined(ends, shape)
    small = codes.astype(narrowest(int(codes.min(initial=0)), int(codes.max(initial=0))))
    return replace(projection, synapse=Sparse(small, target.astype(np.int32), source.astype(np.int32), shape), pool=None)


def conv_ends(conv: Conv) -> Ends:
    """Every synapse of a convolution."""
    rows, columns = window_positions(conv.input_shape[1:], conv.codes.shape[2:], *_geometry(conv))
    (top, left, _, _), (sy, sx), (dy, dx) = conv.padding, conv.stride, conv.dilation
    height, width = conv.input_shape[1:]
    out, inside, kernel_rows, kernel_columns = np.nonzero(conv.codes)
    group = out // (conv.codes.shape[0] // conv.groups) * conv.codes.shape[1] + inside
    found: list[Ends] = []
    for y in range(rows):
        row = y * sy - top + kernel_rows * dy
        for x in range(columns):
            column = x * sx - left + kernel_columns * dx
            here = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            target = (out[here] * rows + y) * columns + x
            source = (group[here] * height + row[here]) * width + column[here]
            codes = conv.codes[out[here], inside[here], kernel_rows[here], kernel_columns[here]]
            found.append((target, source, codes.astype(np.int64)))
    target, source, codes = (np.concatenate([part[i] for part in found]) for i in range(3))
    return target, source, codes


def _geometry(conv: Conv) -> tuple[tuple[int, int], tuple[int, int, int, int], tuple[int, int]]:
    return conv.stride, conv.padding, conv.dilation


def _through(ends: Ends, pool: SumPool) -> Ends:
    """`ends`, whose sources are the windows of `pool`, with the neurons of each window as sources."""
    channels = pool.input_shape[0]
    ones = np.ones((channels, 1, *pool.kernel_size), np.int64)
    window, source, _ = conv_ends(Conv(ones, pool.input_shape, pool.stride, pool.padding, groups=channels))
    order = np.argsort(window, kind="stable")
    window, source = window[order], source[order]
    windows = int(np.prod(pool_output(pool)))
    counts = np.bincount(window, minlength=windows)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    target, old, codes = ends
    times = counts[old]
    within = np.arange(int(times.sum())) - np.repeat(np.cumsum(times) - times, times)
    return np.repeat(target, times), source[np.repeat(starts[old], times) + within], np.repeat(codes, times)


def _joined(ends: Ends, shape: tuple[int, int]) -> Ends:
    """Sorted by target, then source; codes of the same pair added up, zeros left out."""
    target, source, codes = ends
    pairs, place = np.unique(target.astype(np.int64) * shape[1] + source, return_inverse=True)
    sums = np.zeros(len(pairs), np.int64)
    np.add.at(sums, place.reshape(-1), codes)
    kept = sums != 0
    return pairs[kept] // max(shape[1], 1), pairs[kept] % max(shape[1], 1), sums[kept]
