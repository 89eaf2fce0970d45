"""Operators that only move values or pass them on. On data they change the order of a View, on constants the array."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from onnx import TensorProto

from snnport.errors import UnsupportedNode
from snnport.importers import onnx_view
from snnport.importers.onnx_node import Op
from snnport.importers.onnx_tensor import type_name
from snnport.importers.onnx_view import Batch, Const, View, fresh_index
from snnport.importers.onnx_walk import Value, Walk

Move: TypeAlias = Callable[[View, Batch], View]


def reshape(op: Op, walk: Walk) -> Value:
    """Reshape (opset 5, 13; 14: allowzero) to a constant target."""
    target = walk.integers(op, 1)
    return _moved(op, walk, lambda v, b: onnx_view.reshape(op, v, target, bool(op.number("allowzero", 0)), b))


def transpose(op: Op, walk: Walk) -> Value:
    """Transpose (opset 1, 13)."""
    return _moved(op, walk, lambda v, b: onnx_view.transpose(op, v, op.numbers("perm"), b))


def flatten(op: Op, walk: Walk) -> Value:
    """Flatten (opset 1, 9; 11: negative axis)."""
    return _moved(op, walk, lambda v, b: onnx_view.flatten(op, v, op.number("axis", 1), b))


def squeeze(op: Op, walk: Walk) -> Value:
    """Squeeze (opset 1, 11: axes as an attribute; 13: as an input)."""
    axes = walk.integers(op, 1) if op.has(1) else op.numbers("axes")
    return _moved(op, walk, lambda v, b: onnx_view.squeeze(op, v, axes, b))


def unsqueeze(op: Op, walk: Walk) -> Value:
    """Unsqueeze (opset 1, 11: axes as an attribute; 13: as an input)."""
    axes = walk.integers(op, 1) if op.has(1) else op.numbers("axes") or ()
    return _moved(op, walk, lambda v, b: onnx_view.unsqueeze(op, v, axes, b))


def identity(op: Op, walk: Walk) -> Value:
    """Identity (every opset)."""
    return _moved(op, walk, lambda v, b: onnx_view.moved(v, v.index, op))


def dropout(op: Op, walk: Walk) -> Value:
    """Dropout (opset 7, 10; 12: training_mode as an input) in inference: it passes its input on."""
    if op.has(2) and walk.constant(op, 2).array.any():
        raise UnsupportedNode(op.label, "it is in training mode", "Export with model.eval()")
    return identity(op, walk)


def cast(op: Op, walk: Walk) -> Value:
    """Cast (opset 6, 9, 13) of data to floats, which changes no value here; behind an ArgMax to anything."""
    to = op.number("to", 0)
    floats = to in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)
    if not floats and not walk.maybe_tail(op).decided:
        raise UnsupportedNode(op.label, f"it rounds its data to {type_name(to)}", "Remove it")
    return identity(op, walk)


def _moved(op: Op, walk: Walk, move: Move) -> Value:
    value = walk.value(op, 0)
    if isinstance(value, Const):
        moved = move(View((), fresh_index(value.array.shape)), Batch(1, kept=False))
        return Const(value.array.reshape(-1)[moved.index], value.origin)
    view = walk.maybe_tail(op)
    if view.decided:
        walk.dropped(op, f"it only moves the one number that {view.tail} leaves")
        return replace(view, fresh=False)
    return move(view, walk.batch)
