"""Rectifiers: Relu and what can be said by rectifiers, Clip, LeakyRelu, PRelu, Abs, Max and Min with a number."""

from __future__ import annotations

import math
from dataclasses import replace

import nir
import numpy as np

from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.importers.onnx_node import Op
from snnport.importers.onnx_ops.affine import affine, broadcast, by_part, data_beside_constant
from snnport.importers.onnx_ops.linear import as_nodes
from snnport.importers.onnx_view import Part, View
from snnport.importers.onnx_walk import Walk, Weights
from snnport.nodes import ReLU

FLOAT32_MAX = float(np.finfo(np.float32).max)
"""What a Clip of opset 6 takes for 'no bound' (onnx operator schemas, Clip-6)."""


def relu(op: Op, walk: Walk) -> View:
    """Relu (opset 6, 13, 14)."""
    return walk.pointwise(op, ReLU, walk.data(op))


def leaky_relu(op: Op, walk: Walk) -> View:
    """LeakyRelu (opset 6, 16): x above 0, alpha * x below."""
    return two_sided(op, walk, walk.data(op), math.inf, math.inf, np.array(op.real("alpha", 0.01)))


def p_relu(op: Op, walk: Walk) -> View:
    """PRelu (opset 7, 9, 16) with a constant slope that broadcasts to the data."""
    slope = walk.weights(op, 1)
    return two_sided(op, walk, walk.data(op), math.inf, math.inf, slope)


def abs_(op: Op, walk: Walk) -> View:
    """Abs (opset 6, 13): relu(x) + relu(-x)."""
    return two_sided(op, walk, walk.data(op), math.inf, math.inf, np.array(-1.0))


def clip(op: Op, walk: Walk) -> View:
    """Clip (opset 6: bounds are attributes; 11, 12, 13: inputs)."""
    if op.opset < 11:
        low, high = op.real("min", -FLOAT32_MAX), op.real("max", FLOAT32_MAX)
    else:
        low, high = _bound(op, walk, 1, -math.inf), _bound(op, walk, 2, math.inf)
    return between(op, walk, walk.data(op), low, high)


def greatest(op: Op, walk: Walk) -> View:
    """Max (opset 8, 12, 13) of the data and one number: a Clip from below."""
    data = data_beside_constant(op, walk)
    return between(op, walk, walk.data(op, data), _number(op, walk, 1 - data), math.inf)


def least(op: Op, walk: Walk) -> View:
    """Min (opset 8, 12, 13) of the data and one number: a Clip from above."""
    data = data_beside_constant(op, walk)
    return between(op, walk, walk.data(op, data), -math.inf, _number(op, walk, 1 - data))


def between(op: Op, walk: Walk, view: View, low: float, high: float) -> View:
    """min(max(x, low), high): a ReLU, two of them where 0 lies between the bounds, one of what lies above `low` elsewhere."""
    low, high = (-math.inf if low <= -FLOAT32_MAX else low), (math.inf if high >= FLOAT32_MAX else high)
    if not low < high:
        raise InvalidGraph(op.label, f"its upper bound {high:g} must be above {low:g}")
    if low == -math.inf and high == math.inf:
        return replace(view, through=(*view.through, op.position))
    if low == 0:
        return walk.pointwise(op, lambda: ReLU(maximum=high), view)
    if low < 0 < high:
        return two_sided(op, walk, view, high, -low, np.array(1.0))
    return _from_one_bound(op, walk, view, low, high)


def two_sided(op: Op, walk: Walk, view: View, above: float, below: float, slope: Weights) -> View:
    """min(relu(x), above) - slope * min(relu(-x), below): one rectifier for each sign, so that nothing signed has to spike.

    slope broadcasts to the tensor as it stands in the file. The second rectifier is left out where its slope is 0.
    """
    slopes = by_part(op, walk, broadcast(op, walk, view, slope), slope, 0.0)
    if slopes is None:
        return two_sided(op, walk, as_nodes(op, walk, view), above, below, slope)
    parts: list[Part] = []
    for part, factor in zip(view.parts, slopes, strict=True):
        shape = walk.shape_of[part[0]]
        names = [walk.emit(op, ReLU(maximum=above), view, part)]
        if factor.any():
            sign = walk.emit(op, nir.Scale(np.full(shape, -1.0)), view, part, walk.unique(f"{op.name}.minus"))
            under = walk.emit(op, ReLU(maximum=below), view, (sign,), walk.unique(f"{op.name}.below"))
            weight = nir.Scale(-factor.reshape(shape))
            names.append(walk.emit(op, weight, view, (under,), walk.unique(f"{op.name}.slope")))
        parts.append(tuple(names))
    walk.became(op, *(name for part in parts for name in part), why="one rectifier for each sign")
    return View(tuple(parts), view.index)


def _from_one_bound(op: Op, walk: Walk, view: View, low: float, high: float) -> View:
    """low + min(relu(x - low), high - low), or high - relu(high - x) where there is no lower bound."""
    sign, bound = (1.0, low) if low > -math.inf else (-1.0, high)
    shifted = affine(op, walk, view, np.array(sign), np.array(-sign * bound))
    cut = walk.pointwise(op, lambda: ReLU(maximum=high - low), shifted)
    result = affine(op, walk, cut, np.array(sign), np.array(bound))
    walk.became(op, *cut.nodes, why=f"a rectifier of what lies {'above' if sign > 0 else 'below'} {bound:g}")
    return result


def _bound(op: Op, walk: Walk, position: int, default: float) -> float:
    if not op.has(position):
        return default
    const = walk.constant(op, position)
    if const.array.size != 1 or const.array.dtype.kind not in "fiu" or math.isnan(float(const.array.reshape(-1)[0])):
        raise InvalidGraph(op.label, f"its bound, {const.origin}, is not one number")
    return float(const.array.reshape(-1)[0])


def _number(op: Op, walk: Walk, position: int) -> float:
    values = walk.weights(op, position)
    if values.size != 1:
        raise UnsupportedNode(op.label, f"it compares with {values.size} constants", "Use Clip with one bound")
    return float(values.reshape(-1)[0])
