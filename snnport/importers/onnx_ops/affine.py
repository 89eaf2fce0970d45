"""Batch norm, and sums and products with constants: a scale and a shift, one a channel or one a position."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.importers.onnx_node import Op
from snnport.importers.onnx_ops.linear import as_nodes
from snnport.importers.onnx_view import ZERO, Const, Part, View
from snnport.importers.onnx_walk import Walk, Weights
from snnport.nodes import BatchNorm


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
    return affine(op, walk, view, scale.reshape(axes), (beta - mean * scale).reshape(axes))


def mul(op: Op, walk: Walk) -> View:
    """Mul (opset 7, 13, 14) with a constant."""
    data = data_beside_constant(op, walk)
    return affine(op, walk, walk.data(op, data), walk.weights(op, 1 - data), np.array(0.0))


def div(op: Op, walk: Walk) -> View:
    """Div (opset 7, 13, 14) by a constant."""
    if data_beside_constant(op, walk) == 1:
        raise UnsupportedNode(op.label, "it divides by the data")
    divisor = walk.weights(op, 1)
    if (divisor == 0).any():
        raise InvalidGraph(op.label, "it divides by zero")
    return affine(op, walk, walk.data(op, 0), 1.0 / divisor, np.array(0.0))


def neg(op: Op, walk: Walk) -> View:
    """Neg (opset 6, 13)."""
    return affine(op, walk, walk.data(op), np.array(-1.0), np.array(0.0))


def shift(op: Op, walk: Walk, view: View, values: Weights) -> View:
    """Add `values`: into the bias of a weighted node that nothing else reads, or as a BatchNorm of scale 1."""
    if not view.fresh:
        return affine(op, walk, view, np.array(1.0), values)
    view = broadcast(op, walk, view, values)
    shifts = by_part(op, walk, view, values, 0.0)
    per_channel = None if shifts is None else _per_channel(walk, view.parts[0], shifts[0])
    if per_channel is None or per_channel.ndim != 1:
        return affine(op, walk, view, np.array(1.0), values)
    walk.with_bias(view, per_channel)
    walk.folded(op, view.nodes, "its constant is in the bias")
    return view


def affine(op: Op, walk: Walk, view: View, scale: Weights, shift: Weights) -> View:
    """scale * x + shift as a BatchNorm on every part; both broadcast against the tensor as it stands in the file."""
    view = broadcast(op, walk, broadcast(op, walk, view, scale), shift)
    _hint_channels(walk, view, scale, shift)
    scales, shifts = by_part(op, walk, view, scale, 1.0), by_part(op, walk, view, shift, 0.0)
    lifted = bool(np.any((view.index == ZERO) & (np.broadcast_to(shift, view.shape) != 0)))
    if scales is None or shifts is None or lifted:
        return affine(op, walk, as_nodes(op, walk, view), scale, shift)
    names = []
    for part, factor, offset in zip(view.parts, scales, shifts, strict=True):
        node = BatchNorm(_per_channel(walk, part, factor), _per_channel(walk, part, offset))
        names.append(walk.emit(op, node, view, part))
    walk.became(op, *names)
    return View(tuple((name,) for name in names), view.index)


def broadcast(op: Op, walk: Walk, view: View, values: Weights) -> View:
    """`view` with the leading axes of size 1 that broadcasting against `values` gives it, and repeated where it is smaller."""
    try:
        shape = np.broadcast_shapes(view.shape, values.shape)
    except ValueError:
        raise InvalidGraph(op.label, f"shapes {view.shape} and {values.shape} do not go together") from None
    grown = len(shape) > view.index.ndim and walk.batch.size > 1
    if grown or shape[: len(shape) - view.index.ndim + 1] != (1,) * (len(shape) - view.index.ndim) + view.shape[:1]:
        raise UnsupportedNode(op.label, f"its constant of shape {values.shape} repeats the data of shape {view.shape}")
    return replace(view, index=np.broadcast_to(view.index, shape))


def by_part(op: Op, walk: Walk, view: View, values: Weights, other: float) -> list[Weights] | None:
    """`values` in the order of every part, `other` where the tensor leaves a value out; None if one value is met twice."""
    spread = np.broadcast_to(values, view.shape)
    found = []
    for number, part in enumerate(view.parts):
        own = view.number == number
        ordered = np.full(walk.size_of(part), other)
        ordered[view.position[own]] = spread[own]
        if not np.array_equal(ordered[view.position[own]], spread[own]):
            return None
        found.append(ordered)
    return found


def _per_channel(walk: Walk, part: Part, values: Weights) -> Weights:
    """`values` of a part, one a channel where they do not differ inside of channels, else one a position."""
    shape = walk.shape_of[part[0]]
    rows = values.reshape(shape[0], -1)
    if (rows != rows[:, :1]).any():
        return values.reshape(shape)
    return np.ascontiguousarray(rows[:, 0])


def _hint_channels(walk: Walk, view: View, *constants: Weights) -> None:
    """A constant that differs along one axis alone says that this axis holds the channels."""
    for values in constants:
        varying = [a for a, size in enumerate(np.shape(values), view.index.ndim - values.ndim) if size > 1]
        if len(varying) == 1:
            walk.hint(view, varying[0])


def constant_and_data(op: Op, walk: Walk) -> tuple[Const | None, int]:
    """The constant operand, if there is one, and the position of the data."""
    for position in (1, 0):
        value = walk.value(op, position)
        if isinstance(value, Const):
            return value, 1 - position
    return None, 0


def data_beside_constant(op: Op, walk: Walk) -> int:
    """The position of the data beside a constant. Raises UnsupportedNode where both inputs depend on the data."""
    constant, data = constant_and_data(op, walk)
    if constant is None:
        raise UnsupportedNode(op.label, "both its inputs depend on the data", "Only sums of two tensors are supported")
    return data
