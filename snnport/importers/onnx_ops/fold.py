"""Operators on constants, computed on reading: what exporters emit for the target of a Reshape or for weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
from onnx import helper

from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.importers.onnx_node import Op
from snnport.importers.onnx_ops.remedies import REMEDIES
from snnport.importers.onnx_tensor import Array, read_tensor, refuse_beyond_limit
from snnport.importers.onnx_view import Const, View
from snnport.importers.onnx_walk import Value, Walk


def constant(op: Op, walk: Walk) -> Const:
    """Constant (opset 1, 9; 12: single numbers and lists)."""
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    if "value" in op.attributes:
        return Const(read_tensor(op.attributes["value"], op.label), op.label)
    for name, kind in kinds.items():
        if name in op.attributes:
            return Const(np.array(op.attributes[name], kind), op.label)
    raise UnsupportedNode(op.label, "its value is sparse, a string or missing", "Store it as a dense tensor of numbers")


def shape(op: Op, walk: Walk) -> Const:
    """Shape (opset 1, 13; 15: start and end): fixed, since only the batch may be open; that is read as 1."""
    value: Value = walk.value(op, 0)
    sizes = value.array.shape if isinstance(value, Const) else value.shape
    if isinstance(value, View) and walk.batch.size > 1:
        sizes = (walk.batch.size, *sizes[1:])
    end = op.number("end", len(sizes))
    return Const(np.array(sizes[op.number("start", 0) : end], np.int64), op.label)


def only_constants(op: Op, walk: Walk) -> Value:
    """Operators that are known on constants only: `fold` computes them, and here one of their inputs is data."""
    data = [name for i, name in enumerate(op.inputs) if op.has(i) and isinstance(walk.value(op, i), View)]
    remedy = REMEDIES.get(op.kind, "Remove it")
    raise UnsupportedNode(op.label, f"its input '{data[0]}' depends on the data", remedy)


def fold(op: Op, constants: Sequence[Const]) -> Const:
    """The result of `op`, one of FOLDS, on constants."""
    arrays = [c.array for c in constants]
    result = np.asarray(FOLDS[op.kind](op, arrays))
    origin = constants[0].origin if len(constants) == 1 or op.kind in ("Gather", "Slice") else op.label
    return Const(result, origin)


def _concat(op: Op, arrays: Sequence[Array]) -> Array:
    refuse_beyond_limit(op.label, sum(a.size for a in arrays))
    return np.concatenate(arrays, axis=op.number("axis", 0))


def _gather(op: Op, arrays: Sequence[Array]) -> Array:
    data, indices = arrays
    axis = op.number("axis", 0)
    refuse_beyond_limit(op.label, data.size // max(data.shape[axis], 1) * indices.size)
    return np.asarray(np.take(data, indices, axis=axis))


def _slice(op: Op, arrays: Sequence[Array]) -> Array:
    data = arrays[0]
    if op.opset < 10:
        starts, ends = op.numbers("starts") or (), op.numbers("ends") or ()
        axes, steps = op.numbers("axes"), None
    else:
        lists = [tuple(int(v) for v in a.reshape(-1)) for a in arrays[1:]]
        starts, ends = lists[0], lists[1]
        axes, steps = (lists[2] if len(lists) > 2 else None), (lists[3] if len(lists) > 3 else None)
    window = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes or range(len(starts)), steps or [1] * len(starts), strict=True):
        window[axis] = slice(start, end, step)
    return data[tuple(window)]


def _constant_of_shape(op: Op, arrays: Sequence[Array]) -> Array:
    sizes = tuple(int(v) for v in arrays[0].reshape(-1))
    refuse_beyond_limit(op.label, math.prod(sizes))
    value = op.attributes.get("value")
    filler = read_tensor(value, op.label) if value is not None else np.zeros(1, np.float32)
    return np.full(sizes, filler.reshape(-1)[0])


def _cast(op: Op, arrays: Sequence[Array]) -> Array:
    return np.asarray(arrays[0].astype(helper.tensor_dtype_to_np_dtype(op.number("to", 1))))


def _divide(op: Op, arrays: Sequence[Array]) -> Array:
    first, second = arrays
    if first.dtype.kind == "f":
        return np.asarray(first / second)
    if (second == 0).any():
        raise InvalidGraph(op.label, "it divides by zero")
    return np.trunc(first / second).astype(first.dtype)


def _arithmetic(function: Callable[[Array, Array], Array]) -> Callable[[Op, Sequence[Array]], Array]:
    def apply(op: Op, arrays: Sequence[Array]) -> Array:
        refuse_beyond_limit(op.label, math.prod(np.broadcast_shapes(*(a.shape for a in arrays))))
        return function(arrays[0], arrays[1])

    return apply


def _many(function: Callable[[Array, Array], Array]) -> Callable[[Op, Sequence[Array]], Array]:
    def apply(op: Op, arrays: Sequence[Array]) -> Array:
        refuse_beyond_limit(op.label, math.prod(np.broadcast_shapes(*(a.shape for a in arrays))))
        return reduce(function, arrays)

    return apply


def _where(op: Op, arrays: Sequence[Array]) -> Array:
    refuse_beyond_limit(op.label, math.prod(np.broadcast_shapes(*(a.shape for a in arrays))))
    return np.where(*arrays)


def _range(op: Op, arrays: Sequence[Array]) -> Array:
    start, limit, delta = (float(a.reshape(-1)[0]) for a in arrays)
    if delta == 0:
        raise InvalidGraph(op.label, "its step is 0")
    refuse_beyond_limit(op.label, max(0, math.ceil((limit - start) / delta)))
    return np.arange(start, limit, delta).astype(arrays[0].dtype)


def _reduce_prod(op: Op, arrays: Sequence[Array]) -> Array:
    axes = op.numbers("axes") if len(arrays) < 2 else tuple(int(a) for a in arrays[1].reshape(-1))
    return np.asarray(np.prod(arrays[0], axis=axes or None, keepdims=bool(op.number("keepdims", 1))))


def _dequantize(op: Op, arrays: Sequence[Array]) -> Array:
    """(x - zero point) * scale, one for all or one along `axis` (DequantizeLinear opset 10, 13)."""
    codes, scale = arrays[0], arrays[1]
    zero = arrays[2] if len(arrays) > 2 else np.zeros_like(scale, codes.dtype)
    if scale.ndim > 1 or scale.shape != zero.shape:
        raise UnsupportedNode(op.label, f"its scale has shape {scale.shape}, one along an axis at most is read")
    shape = [1] * codes.ndim
    if scale.size > 1:
        shape[op.number("axis", 1)] = -1
    real = (codes.astype(np.float64) - zero.astype(np.float64).reshape(shape)) * scale.astype(np.float64).reshape(shape)
    return real.astype(scale.dtype)


FOLDS: dict[str, Callable[[Op, Sequence[Array]], Array]] = {
    "Add": _arithmetic(np.add),
    "Sub": _arithmetic(np.subtract),
    "Mul": _arithmetic(np.multiply),
    "Pow": _arithmetic(np.power),
    "Mod": _arithmetic(np.mod),
    "Equal": _arithmetic(np.equal),
    "Greater": _arithmetic(np.greater),
    "Less": _arithmetic(np.less),
    "And": _arithmetic(np.logical_and),
    "Or": _arithmetic(np.logical_or),
    "Max": _many(np.maximum),
    "Min": _many(np.minimum),
    "Div": _divide,
    "Neg": lambda op, arrays: -arrays[0],
    "Not": lambda op, arrays: np.logical_not(arrays[0]),
    "Floor": lambda op, arrays: np.asarray(np.floor(arrays[0])),
    "Ceil": lambda op, arrays: np.asarray(np.ceil(arrays[0])),
    "Exp": lambda op, arrays: np.asarray(np.exp(arrays[0])),
    "Sqrt": lambda op, arrays: np.asarray(np.sqrt(arrays[0])),
    "Reciprocal": lambda op, arrays: np.asarray(1 / arrays[0]),
    "Where": _where,
    "Range": _range,
    "ReduceProd": _reduce_prod,
    "Size": lambda op, arrays: np.array(arrays[0].size, np.int64),
    "Cast": _cast,
    "Concat": _concat,
    "Gather": _gather,
    "Slice": _slice,
    "ConstantOfShape": _constant_of_shape,
    "DequantizeLinear": _dequantize,
}
ON_DATA = ("Add", "Sub", "Mul", "Max", "Min", "Div", "Neg", "Cast", "Concat", "Gather", "Slice")
"""Those of FOLDS that are known on data too."""
ONLY_CONSTANTS = tuple(kind for kind in FOLDS if kind not in ON_DATA)
