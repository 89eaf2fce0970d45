"""Gemm and MatMul: one Affine on each part of their input, its order taken into the weight's columns."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.importers.onnx_node import Op
from snnport.importers.onnx_ops.linear import convolve, dense
from snnport.importers.onnx_ops.window import Window
from snnport.importers.onnx_view import Const, View
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
    """MatMul (opset 1, 9, 13) of data and a constant matrix, on either side."""
    if isinstance(walk.value(op, 0), Const):
        return _from_the_left(op, walk)
    weight = _matrix(op, walk).T
    return _emit_affine(op, walk, walk.data(op), weight, np.zeros(weight.shape[0]))


def _from_the_left(op: Op, walk: Walk) -> View:
    """A constant matrix times the data: the transpose of the data times the transpose of the matrix."""
    matrix = walk.weights(op, 0)
    if matrix.ndim < 2 or math.prod(matrix.shape[:-2]) != 1:
        raise UnsupportedNode(op.label, f"its first input has shape {matrix.shape} and must be a matrix")
    view = walk.data(op, 1)
    if view.index.ndim < 3:
        raise UnsupportedNode(op.label, f"it multiplies the batch axis of {view.shape}", "Put the matrix on the right")
    turned = replace(view, index=view.index.swapaxes(-1, -2))
    weight = matrix.reshape(matrix.shape[-2:])
    result = _emit_affine(op, walk, turned, weight, np.zeros(len(weight)))
    return replace(result, index=result.index.swapaxes(-1, -2))


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
    if view.shape[-1] != weight.shape[1]:
        raise InvalidGraph(op.label, f"its input has {view.shape[-1]} values, its weight takes {weight.shape[1]}")
    if math.prod(view.shape[:-1]) != 1:
        return _position_by_position(op, walk, view, weight, bias)
    return dense(op, walk, view, weight, bias, (*view.shape[:-1], len(weight)))


def _position_by_position(op: Op, walk: Walk, view: View, weight: Weights, bias: Weights) -> View:
    """The same dense layer on every row of a sample: a convolution with a kernel of 1, the last axis its channels."""
    if view.shape[0] != 1 and walk.batch.kept:
        raise UnsupportedNode(op.label, f"it works on {view.shape[0]} samples of the batch: {view.shape}")
    rows = view.index.reshape(1, *_two(view.shape[:-1]), view.shape[-1])
    kernel = weight[:, :, None, None]
    window = Window((1, 1), (1, 1), (1, 1), (0, 0, 0, 0))
    result = convolve(op, walk, replace(view, index=rows.transpose(0, 3, 1, 2)), kernel, bias, window, 1)
    return replace(result, index=result.index.transpose(0, 2, 3, 1).reshape(*view.shape[:-1], len(weight)))


def _two(sizes: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of the map that rows of these sizes are."""
    inner = sizes[1:] if sizes[0] == 1 else sizes
    return (1, math.prod(inner)) if len(inner) != 2 else (inner[0], inner[1])
