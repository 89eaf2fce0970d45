"""Operators that only move values or pass them on. On data they change the order of a View, on constants the array."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from onnx import TensorProto

from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.importers import onnx_moves, onnx_view
from snnport.importers.onnx_node import Op
from snnport.importers.onnx_tensor import type_name
from snnport.importers.onnx_view import ZERO, Batch, Const, View, fresh_index, normal_axes
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


def gather(op: Op, walk: Walk) -> Value:
    """Gather (opset 1, 11, 13) with constant indices."""
    indices = walk.constant(op, 1).array
    if indices.dtype.kind not in "iu":
        raise InvalidGraph(op.label, f"its indices are {indices.dtype} and must be integers")
    axis = op.number("axis", 0)
    return _moved(op, walk, lambda v, b: onnx_moves.take(op, v, indices.astype(np.int64), axis, b))


def slice_(op: Op, walk: Walk) -> Value:
    """Slice (opset 1: starts, ends and axes as attributes; 10, 11, 13: as inputs, with steps)."""
    if op.opset < 10:
        starts, ends = op.numbers("starts") or (), op.numbers("ends") or ()
        axes, steps = op.numbers("axes"), None
    else:
        starts, ends = walk.integers(op, 1), walk.integers(op, 2)
        axes = walk.integers(op, 3) if op.has(3) else None
        steps = walk.integers(op, 4) if op.has(4) else None
    along, by = axes or tuple(range(len(starts))), steps or (1,) * len(starts)
    return _moved(op, walk, lambda v, b: onnx_moves.slices(op, v, starts, ends, along, by, b))


def concat(op: Op, walk: Walk) -> Value:
    """Concat (opset 4, 11, 13) of data; a constant among them must be zeros."""
    views = []
    for position in range(len(op.inputs)):
        value = walk.value(op, position)
        if isinstance(value, Const):
            if value.array.any():
                raise UnsupportedNode(op.label, f"it joins {value.origin}, which is not zero, to the data", "Pad with zeros")
            views.append(View(((),), np.full(value.array.shape, ZERO, np.int64)))
        else:
            views.append(walk.data(op, position))
    return onnx_moves.concat(op, views, op.number("axis", 0), walk.batch)


def split(op: Op, walk: Walk) -> tuple[View, ...]:
    """Split (opset 2, 11: lengths as an attribute; 13: as an input; 18: num_outputs)."""
    lengths = walk.integers(op, 1) if op.has(1) else op.numbers("split")
    view, axis = walk.data(op), op.number("axis", 0)
    if lengths is None:
        size = view.shape[normal_axes(op, (axis,), view.index.ndim)[0]]
        count = op.number("num_outputs", len(op.outputs))
        each = -(-size // count)
        lengths = tuple(min(each, size - i * each) for i in range(count))
    return onnx_moves.split(op, view, lengths, axis, walk.batch)


def pad(op: Op, walk: Walk) -> Value:
    """Pad (opset 2: pads and value as attributes; 11, 13: as inputs; 18: axes; 19: wrap): by zeros, reflection or the edge."""
    value = op.real("value", 0.0)
    if op.opset < 11:
        pads = op.numbers("pads") or ()
    else:
        pads = walk.integers(op, 1)
        value = float(walk.constant(op, 2).array.reshape(-1)[0]) if op.has(2) else 0.0
    axes = walk.integers(op, 3) if op.has(3) else tuple(range(len(pads) // 2))
    return _moved(op, walk, lambda v, b: onnx_moves.pad(op, v, pads, axes, op.text("mode", "constant"), value, b))


def expand(op: Op, walk: Walk) -> Value:
    """Expand (opset 8, 13) to a constant shape."""
    target = walk.integers(op, 1)
    return _moved(op, walk, lambda v, b: onnx_moves.expand(op, v, target, b))


def tile(op: Op, walk: Walk) -> Value:
    """Tile (opset 6, 13) by constant repeats."""
    repeats = walk.integers(op, 1)
    return _moved(op, walk, lambda v, b: onnx_moves.tile(op, v, repeats, b))


def depth_to_space(op: Op, walk: Walk) -> Value:
    """DepthToSpace (opset 1, 11, 13)."""
    block, crd = op.number("blocksize", 1), op.text("mode", "DCR") == "CRD"
    return _moved(op, walk, lambda v, b: onnx_moves.depth_to_space(op, v, block, crd))


def space_to_depth(op: Op, walk: Walk) -> Value:
    """SpaceToDepth (opset 1, 13)."""
    return _moved(op, walk, lambda v, b: onnx_moves.space_to_depth(op, v, op.number("blocksize", 1)))


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
        moved = move(View(((),), fresh_index(value.array.shape)), Batch(1, kept=False))
        if (moved.index == ZERO).any():
            raise UnsupportedNode(
                op.label, f"it pads {value.origin}, a constant", "Simplify the model (constant folding) first"
            )
        return Const(value.array.reshape(-1)[moved.index], value.origin)
    view = walk.maybe_tail(op)
    if view.decided:
        walk.dropped(op, f"it only moves the one number that {view.tail} leaves")
        return replace(view, fresh=False)
    return move(view, walk.batch)
