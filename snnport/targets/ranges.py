"""How far a projection's sums reach when each source neuron sends a number between two bounds of its own."""

from __future__ import annotations

import nir
import numpy as np
import numpy.typing as npt

from snnport.fixed import IntArray
from snnport.program import Conv, Dense, Diagonal, Projection, SumPool
from snnport.reference import conv2d

Bounds = tuple[IntArray, IntArray]
"""Least and greatest number of each neuron, int64 (n,)."""
Array = npt.NDArray[np.float64]


def through(projection: Projection, bounds: Bounds) -> Bounds:
    """Least and greatest sum that arrives at each target neuron. Exact for every neuron alone, in float64 below 2^53."""
    low, high = (part.astype(np.float64) for part in bounds)
    if projection.pool is not None:
        low, high = (_pooled(projection.pool, part) for part in (low, high))
    codes = projection.synapse.codes.astype(np.float64)
    up, down = np.maximum(codes, 0), np.minimum(codes, 0)
    least = _sums(projection, up, low) + _sums(projection, down, high)
    most = _sums(projection, up, high) + _sums(projection, down, low)
    factor = float(1 << projection.exponent)
    return (least * factor).astype(np.int64), (most * factor).astype(np.int64)


def _sums(projection: Projection, codes: Array, x: Array) -> Array:
    synapse = projection.synapse
    if isinstance(synapse, Dense):
        return np.asarray(codes @ x, np.float64)
    if isinstance(synapse, Diagonal):
        return codes * x
    if isinstance(synapse, Conv):
        node = nir.Conv2d(None, codes, synapse.stride, 0, synapse.dilation, synapse.groups, np.zeros(len(codes)))
        return _windowed(node, codes, x.reshape(synapse.input_shape), synapse.padding)
    return np.bincount(synapse.target, codes * x[synapse.source], minlength=synapse.shape[0]).astype(np.float64)


def _pooled(pool: SumPool, x: Array) -> Array:
    channels = pool.input_shape[0]
    ones = np.ones((channels, 1, *pool.kernel_size))
    node = nir.Conv2d(None, ones, pool.stride, 0, (1, 1), channels, np.zeros(channels))
    return _windowed(node, ones, x.reshape(pool.input_shape), pool.padding)


def _windowed(node: nir.Conv2d, codes: Array, x: Array, padding: tuple[int, int, int, int]) -> Array:
    top, left, bottom, right = padding
    wide = np.pad(x, ((0, 0), (top, bottom), (left, right)))
    return np.asarray(conv2d(node, codes, np.zeros(len(codes)))(wide[None])[0].reshape(-1), np.float64)
