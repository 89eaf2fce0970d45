"""Operators that keep the shape: rectifiers, batch norm, and sums and products with constants or of two tensors."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import nir
import numpy as np

from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.importers.onnx_node import Op
from snnport.importers.onnx_view import Const, View
from snnport.importers.onnx_walk import Walk, Weights
from snnport.nodes import BatchNorm, ReLU

FLOAT32_MAX = float(np.finfo(np.float32).max)
"""What a Clip of opset 6 takes for 'no bound' (onnx operator schemas, Clip-6)."""


def relu(op: Op, walk: Walk) -> View:
    """Relu (opset 6, 13, 14)."""
    return walk.pointwise(op, ReLU(), walk.data(op))


def clip(op: Op, walk: Walk) -> View:
    """Clip (opset 6: bounds are attributes; 11, 12, 13: inputs) with the lower bound 0: a ReLU with a maximum."""
    if op.opset < 11:
        low, high = op.real("min", -FLOAT32_MAX), op.real("max", FLOAT32_MAX)
    else:
        low, high = _bound(op, walk, 1, -math.inf), _bound(op, walk, 2, math.inf)
    if low != 0:
        raise UnsupportedNode(op.label, f"its lower bound is {low:g} and must be 0", "Use ReLU or Clip(0, max)")
    if not high > 0:
        raise InvalidGraph(op.label, f"its upper bound {high:g} must be above 0")
    return walk.pointwise(op, ReLU(maximum=math.inf if high >= FLOAT32_MAX else high), walk.data(op))


def batch_normalization(op: Op, walk: Walk) -> View:
    """BatchNormalization (opset 7, 9, 14, 15) in inference: scale = gamma / sqrt(var + epsilon), per axis 1."""
    if op.number("training_mode", 0) or not op.number("spatial", 1):
        raise UnsupportedNode(op.label, "it is in training mode or normalises every position", "Export with model.eval()")
    gamma, beta, mean, variance = (walk.weights(op, i) for i in (1, 2, 3, 4))
    if not gamma.shape == beta.shape == mean.shape == variance.shape or gamma.ndim != 1:
        raise InvalidGraph(op.label, "its scale, bias, mean and variance differ in shape")
    spread = variance + op.real("epsilon", 1e-5)
    if not (spread > 0).all():
        raise InvalidGraph(op.label, f"variance + epsilon is {spread.min():g} and must be above 0")
    view = walk.data(op)
    if view.index.ndim < 2 or view.shape[1] != gamma.size:
        raise InvalidGraph(op.label, f"it normalises {gamma.size} channels and its input is {view.shape}")
    scale = gamma / np.sqrt(spread)
    axes = (-1, *(1,) * (view.index.ndim - 2))
    return _affine(op, walk, view, scale.reshape(axes), (beta - mean * scale).reshape(axes))


def add(op: Op, walk: Walk) -> View:
    """Add (opset 7, 13, 14): a bias, or two tensors whose sources feed the same nodes from here on."""
    constant, data = _constant_and_data(op, walk)
    if constant is None:
        return _sum(op, walk, [walk.data(op, 0), walk.data(op, 1)])
    return _shift(op, walk, walk.data(op, data), walk.weights(op, 1 - data))


def sum_(op: Op, walk: Walk) -> View:
    """Sum (opset 8, 13) of tensors of one shape."""
    return _sum(op, walk, [walk.data(op, i) for i in range(len(op.inputs))])


def sub(op: Op, walk: Walk) -> View:
    """Sub (opset 7, 13, 14) with a constant on either side."""
    data = _data_beside_constant(op, walk)
    values = walk.weights(op, 1 - data)
    if data == 0:
        return _shift(op, walk, walk.data(op, 0), -values)
    return _affine(op, walk, walk.data(op, 1), np.array(-1.0), values)


def mul(op: Op, walk: Walk) -> View:
    """Mul (opset 7, 13, 14) with a constant."""
    data = _data_beside_constant(op, walk)
    return _affine(op, walk, walk.data(op, data), walk.weights(op, 1 - data), np.array(0.0))


def div(op: Op, walk: Walk) -> View:
    """Div (opset 7, 13, 14) by a constant."""
    if _data_beside_constant(op, walk) == 1:
        raise UnsupportedNode(op.label, "it divides by the data")
    divisor = walk.weights(op, 1)
    if (divisor == 0).any():
        raise InvalidGraph(op.label, "it divides by zero")
    return _affine(op, walk, walk.data(op, 0), 1.0 / divisor, np.array(0.0))


def _bound(op: Op, walk: Walk, position: int, default: float) -> float:
    if not op.has(position):
        return default
    const = walk.constant(op, position)
    if const.array.size != 1 or const.array.dtype.kind not in "fiu" or math.isnan(float(const.array.reshape(-1)[0])):
        raise InvalidGraph(op.label, f"its bound, {const.origin}, is not one number")
    return float(const.array.reshape(-1)[0])


def _constant_and_data(op: Op, walk: Walk) -> tuple[Const | None, int]:
    """The constant operand, if there is one, and the position of the data."""
    for position in (1, 0):
        value = walk.value(op, position)
        if isinstance(value, Const):
            return value, 1 - position
    return None, 0


def _data_beside_constant(op: Op, walk: Walk) -> int:
    constant, data = _constant_and_data(op, walk)
    if constant is None:
        raise UnsupportedNode(op.label, "both its inputs depend on the data", "Only sums of two tensors are supported")
    return data


def _shift(op: Op, walk: Walk, view: View, values: Weights) -> View:
    """Add `values`: into the bias of a weighted node that nothing else reads, or as a BatchNorm of scale 1."""
    if not view.fresh:
        return _affine(op, walk, view, np.array(1.0), values)
    view = _broadcast(op, walk, view, values)
    per_channel = _per_channel(op, walk, view, values)
    if per_channel is None:
        return view
    walk.with_bias(view, per_channel)
    walk.folded(op, view.sources, "its constant is in the bias")
    return view


def _affine(op: Op, walk: Walk, view: View, scale: Weights, shift: Weights) -> View:
    """scale * x + shift as a BatchNorm; both broadcast against the tensor as it stands in the file."""
    view = _broadcast(op, walk, _broadcast(op, walk, view, scale), shift)
    scales, shifts = _per_channel(op, walk, view, scale), _per_channel(op, walk, view, shift)
    if scales is None or shifts is None:
        return view
    return walk.pointwise(op, BatchNorm(scales, shifts), view)


def _broadcast(op: Op, walk: Walk, view: View, values: Weights) -> View:
    """`view` with the leading axes of size 1 that broadcasting against `values` gives it."""
    try:
        shape = np.broadcast_shapes(view.shape, values.shape)
    except ValueError:
        raise InvalidGraph(op.label, f"shapes {view.shape} and {values.shape} do not go together") from None
    grown = len(shape) > view.index.ndim and walk.batch.size > 1
    if math.prod(shape) != view.index.size or grown:
        raise UnsupportedNode(op.label, f"its constant of shape {values.shape} repeats the data of shape {view.shape}")
    return replace(view, index=view.index.reshape(shape))


def _per_channel(op: Op, walk: Walk, view: View, values: Weights) -> Weights | None:
    """`values` in the order of the graph, one a channel; None, and a complaint, if they differ inside a channel."""
    shape = walk.shape_of[view.sources[0]]
    ordered = np.empty(view.index.size)
    ordered[view.index.reshape(-1)] = np.broadcast_to(values, view.shape).reshape(-1)
    rows = ordered.reshape(shape[0], -1)
    if (rows != rows[:, :1]).any():
        varying = [a for a, size in enumerate(np.shape(values), view.index.ndim - values.ndim) if size > 1]
        if len(varying) == 1:
            walk.hint(view, varying[0])
        walk.problems.append(
            UnsupportedNode(op.label, f"its constant differs between the positions of a map {shape}", "Use one value a channel")
        )
        return None
    return np.ascontiguousarray(rows[:, 0])


def _sum(op: Op, walk: Walk, views: list[View]) -> View:
    """The sum of tensors: their sources together. A source that occurs n times is read through a Scale of n."""
    first = views[0]
    if any(v.shape != first.shape for v in views):
        raise UnsupportedNode(op.label, f"it adds tensors of different shapes: {', '.join(str(v.shape) for v in views)}")
    if any(len(walk.shape_of[v.sources[0]]) == 1 for v in views):
        views = [walk.flat(op, v) for v in views]
    shapes = {walk.shape_of[v.sources[0]] for v in views}
    if len(shapes) > 1 or any(not np.array_equal(v.index, first.index) for v in views):
        raise UnsupportedNode(
            op.label, "it adds tensors whose values come in different orders", "Keep one layout on both branches"
        )
    times = Counter(source for v in views for source in v.sources)
    scaled = {source: _scaled(op, walk, source, n) for source, n in times.items() if n > 1}
    if scaled:
        walk.became(op, *scaled.values(), why="a tensor added to itself")
    sources = tuple(scaled.get(source, source) for source in times)
    through = tuple(dict.fromkeys(p for v in views for p in v.through))
    return View(sources, first.index, (*through, op.position))


def _scaled(op: Op, walk: Walk, source: str, times: int) -> str:
    shape = walk.shape_of[source]
    name = op.name if op.name not in walk.nodes else walk.unique(f"{op.name}.scale")
    return walk.emit(op, nir.Scale(np.full(shape, float(times))), View((source,), np.empty(0, np.int64)), name)
