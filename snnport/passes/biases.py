"""Biases of linear layers: one value a channel, or one a neuron where zero padding makes them differ."""

from __future__ import annotations

from copy import copy
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.reference import node_function

Array = npt.NDArray[np.float64]


def bias_of(node: Any) -> Array:
    """The bias of a weighted node, (channels,) or (channels, height, width)."""
    bias = getattr(node, "bias", None)
    count = len(node.scale) if isinstance(node, nir.Scale) else len(node.weight)
    if bias is None:
        return np.zeros(count)
    array = np.asarray(bias, np.float64)
    return array if array.ndim > 1 else np.broadcast_to(array, (count,))


def spread(values: Array, shape: tuple[int, ...]) -> Array:
    """`values`, one a channel or one a position, for each position of `shape`."""
    array = np.asarray(values, np.float64)
    return np.broadcast_to(array if array.shape == shape else array.reshape(-1, *[1] * (len(shape) - 1)), shape)


def total(first: Array, second: Array) -> Array:
    """The sum of two biases, each one value a channel or one a position."""
    if first.ndim == second.ndim:
        return first + second
    shape = max(first.shape, second.shape, key=len)
    return spread(first, shape) + spread(second, shape)


def narrowed(values: Array) -> Array:
    """One value a channel where all positions of it agree."""
    rows = values.reshape(len(values), -1)
    return np.ascontiguousarray(rows[:, 0]) if (rows == rows[:, :1]).all() else np.ascontiguousarray(values)


def through(node: nir.NIRNode, values: Array, shape: tuple[int, ...]) -> Array:
    """What the linear `node` makes of an input that is `values` in every sample, its own bias left out; zeros are padded."""
    bare: Any = copy(node)
    if getattr(node, "bias", None) is not None:
        bare.bias = np.zeros_like(bias_of(node))
    result: Array = node_function("", bare)(np.array(spread(values, shape))[None])[0]
    return narrowed(result)
