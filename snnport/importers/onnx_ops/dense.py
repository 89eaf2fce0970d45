"""Gemm and MatMul: one Affine each, the order of their input taken into the weight's columns."""

from __future__ import annotations

import math

import nir
import numpy as np

from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.importers.onnx_node import Op
from snnport.importers.onnx_view import View, fresh_index
from snnport.importers.onnx_walk import Walk, Weights


def gemm(op: Op, walk: Walk) -> View:
    """Gemm (opset 7, 9, 11, 13): alpha A B + beta C, A the data."""
    if op.number("transA", 0):
        raise UnsupportedNode(op.label, "its data are transposed (transA=1)", "Use transA=0")
    weight = _matrix(op, walk)
    weight = _times(op, op.real("alpha", 1.0), weight if op.number("transB", 0) else weight.T)
    bias = np.zeros(weight.shape[0])
    if op.has(2):
        bias = _times(op, op.real("beta", 1.0), _row(op, walk.weights(op, 2), weight.shape[0]))
    view = walk.data(op)
    if view.index.ndim != 2:
        raise InvalidGraph(op.label, f"it needs an input with 2 axes and gets {view.shape}")
    return _emit_affine(op, walk, view, weight, bias)


def mat_mul(op: Op, walk: Walk) -> View:
    """MatMul (opset 1, 9, 13) of data and a constant matrix."""
    weight = _matrix(op, walk).T
    return _emit_affine(op, walk, walk.data(op), weight, np.zeros(weight.shape[0]))


def _times(op: Op, factor: float, values: Weights) -> Weights:
    with np.errstate(all="ignore"):
        result = factor * values
    if not np.isfinite(result).all():
        raise InvalidGraph(op.label, f"its alpha or beta, {factor:g}, makes weights that are NaN or infinite")
    return result


def _matrix(op: Op, walk: Walk) -> Weights:
    weight = walk.weights(op, 1)
    if weight.ndim < 2 or math.prod(weight.shape[:-2]) != 1:
        raise UnsupportedNode(op.label, f"its second input has shape {weight.shape} and must be a matrix")
    return weight.reshape(weight.shape[-2:])


def _row(op: Op, bias: Weights, outputs: int) -> Weights:
    if math.prod(bias.shape[:-1]) != 1 or bias.ndim > 2:
        raise UnsupportedNode(op.label, f"its bias {bias.shape} differs from sample to sample", "Use one bias an output")
    if bias.size not in (1, outputs):
        raise InvalidGraph(op.label, f"its bias has shape {bias.shape}, it has {outputs} outputs")
    return np.broadcast_to(bias.reshape(-1), (outputs,)).copy()


def _emit_affine(op: Op, walk: Walk, view: View, weight: Weights, bias: Weights) -> View:
    if math.prod(view.shape[:-1]) != 1:
        raise UnsupportedNode(
            op.label,
            f"it works on {math.prod(view.shape[:-1])} rows of one sample: {view.shape}",
            "Flatten the sample first, or use a convolution",
        )
    if view.shape[-1] != weight.shape[1]:
        raise InvalidGraph(op.label, f"its input has {view.shape[-1]} values, its weight takes {weight.shape[1]}")
    flat = walk.flat(op, view)
    columns = np.empty_like(weight)
    columns[:, flat.index.reshape(-1)] = weight
    name = walk.emit(op, nir.Affine(columns, bias), flat)
    walk.became(op, name)
    return View((name,), fresh_index((*view.shape[:-1], weight.shape[0])), fresh=True)
