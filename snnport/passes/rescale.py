"""A weighted node whose output, or whose input, is multiplied by a factor a channel: its parameters take the factor in."""

from __future__ import annotations

from copy import copy
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def output_scaled(node: nir.NIRNode, factor: Array) -> nir.NIRNode:
    """`node` (a WEIGHTED_NODE) with its output multiplied by `factor`.

    factor: of the output's rank, one value a channel: (channels, 1, ..) or (features,). A Scale takes any that broadcasts.
    """
    new: Any = copy(node)
    if isinstance(node, nir.Scale):
        new.scale = np.asarray(node.scale, np.float64) * factor
    else:
        new.weight = _rows(new.weight, factor)
        if getattr(new, "bias", None) is not None:
            new.bias = _rows(new.bias, factor)
    result: nir.NIRNode = new
    return result


def input_scaled(node: nir.NIRNode, factor: Array) -> nir.NIRNode:
    """`node` (a WEIGHTED_NODE) that computes of x what it computed of factor * x; factor: of the input, as in output_scaled."""
    new: Any = copy(node)
    if isinstance(node, nir.Scale):
        new.scale = np.asarray(node.scale, np.float64) * factor
    elif isinstance(node, nir.Conv1d | nir.Conv2d):
        rows, columns = node.weight.shape[:2]
        groups = factor.size // columns
        of_row = np.repeat(factor.reshape(groups, columns), rows // groups, axis=0)
        new.weight = np.asarray(node.weight, np.float64) * of_row.reshape(rows, columns, *[1] * (node.weight.ndim - 2))
    else:
        new.weight = np.asarray(new.weight, np.float64) * factor
    result: nir.NIRNode = new
    return result


def _rows(values: npt.ArrayLike, factor: Array) -> Array:
    array = np.asarray(values, np.float64)
    return array * factor.reshape(-1, *[1] * (array.ndim - 1))
