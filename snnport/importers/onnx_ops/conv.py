"""Conv, 1-D and 2-D: one Conv2d each."""

from __future__ import annotations

import math

import nir
import numpy as np

from snnport.errors import InvalidGraph
from snnport.importers.onnx_node import Op
from snnport.importers.onnx_ops.window import Pair, Window, read_window
from snnport.importers.onnx_tensor import MAX_ELEMENTS
from snnport.importers.onnx_view import View, fresh_index
from snnport.importers.onnx_walk import Map, Walk, Weights


def conv(op: Op, walk: Walk) -> View:
    """Conv (opset 1, 11, 22): weight (out, in / groups, [height,] width), zero padding."""
    weight = walk.weights(op, 1)
    if weight.ndim < 3:
        raise InvalidGraph(op.label, f"its weight has shape {weight.shape} and must have 3 or 4 axes")
    spec = read_window(op, weight.shape[2:])
    groups = op.number("group", 1)
    if groups < 1 or weight.shape[0] % groups:
        raise InvalidGraph(op.label, f"its {weight.shape[0]} output channels do not divide into {groups} groups")
    bias = walk.weights(op, 2) if op.has(2) else np.zeros(weight.shape[0])
    if bias.shape != weight.shape[:1]:
        raise InvalidGraph(op.label, f"its bias has shape {bias.shape} and must have {weight.shape[:1]}")
    place = walk.map(op, walk.data(op), spec.rank)
    kernel = weight.reshape(*weight.shape[:2], *spec.kernel)
    return emit_conv(op, walk, place, kernel, bias, spec.on(place.size[1:]), groups)


def emit_conv(op: Op, walk: Walk, place: Map, weight: Weights, bias: Weights, window: Window, groups: int) -> View:
    """A Conv2d with `weight` (out, in / groups, height, width) in the file's orientation, its padding made symmetric.

    Padding that differs between two sides becomes zeros in the kernel on the narrower side: the same sums exactly.
    """
    if place.turned:
        weight, window = weight.transpose(0, 1, 3, 2), window.turned()
    if not window.symmetric:
        weight, window = _with_symmetric_padding(op, weight, window)
        walk.repairs.append(f"{op.title}: kernel widened by zeros, so that its padding is the same on both sides")
    node = nir.Conv2d(
        input_shape=None,
        weight=np.ascontiguousarray(weight),
        stride=window.stride,
        padding=window.padding[:2],
        dilation=window.dilation,
        groups=groups,
        bias=bias,
    )
    name = walk.emit(op, node, place.view)
    walk.became(op, name)
    return map_view(walk, name, place, fresh=True)


def map_view(walk: Walk, name: str, place: Map, fresh: bool = False) -> View:
    """The output map of graph node `name` in the file's orientation and with the rank of its input."""
    channels, height, width = walk.shape_of[name]
    index = fresh_index((channels, height, width))
    if place.turned:
        index = index.transpose(0, 2, 1)
    sizes = index.shape if place.view.index.ndim == 4 else (channels, index.shape[2])
    return View((name,), index.reshape(1, *sizes), fresh=fresh)


def _with_symmetric_padding(op: Op, weight: Weights, window: Window) -> tuple[Weights, Window]:
    top, left, bottom, right = window.padding
    padding = max(top, bottom), max(left, right)
    dilation = list(window.dilation)
    for axis, (before, after) in enumerate(((top, bottom), (left, right))):
        missing = abs(before - after)
        if missing % dilation[axis]:
            weight = _stuffed(op, weight, axis + 2, dilation[axis])
            dilation[axis] = 1
        extra = missing // dilation[axis]
        _check_size(op, weight, axis + 2, weight.shape[axis + 2] + extra)
        widths = [(0, 0)] * 4
        widths[axis + 2] = (extra, 0) if before < after else (0, extra)
        weight = np.pad(weight, widths)
    kernel: Pair = (weight.shape[2], weight.shape[3])
    return weight, Window(kernel, window.stride, (dilation[0], dilation[1]), (*padding, *padding))


def _stuffed(op: Op, weight: Weights, axis: int, dilation: int) -> Weights:
    """`weight` with its dilation along `axis` written out as zeros."""
    length = dilation * (weight.shape[axis] - 1) + 1
    _check_size(op, weight, axis, length)
    result = np.zeros((*weight.shape[:axis], length, *weight.shape[axis + 1 :]))
    result[(slice(None),) * axis + (slice(None, None, dilation),)] = weight
    return result


def _check_size(op: Op, weight: Weights, axis: int, length: int) -> None:
    if math.prod(weight.shape) // max(weight.shape[axis], 1) * length > MAX_ELEMENTS:
        raise InvalidGraph(op.label, f"its padding or dilation widens the kernel to {length}", "Pad both sides alike")
