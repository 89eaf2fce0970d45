"""Conv, 1-D and 2-D: one Conv2d on each part of its input."""

from __future__ import annotations

import numpy as np

from snnport.errors import InvalidGraph
from snnport.importers.onnx_node import Op
from snnport.importers.onnx_ops.linear import convolve
from snnport.importers.onnx_ops.window import read_window
from snnport.importers.onnx_view import View
from snnport.importers.onnx_walk import Walk


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
    view = walk.data(op)
    if view.index.ndim != spec.rank + 2:
        raise InvalidGraph(op.label, f"it needs an input with {spec.rank + 2} axes and gets {view.shape}")
    kernel = weight.reshape(*weight.shape[:2], *spec.kernel)
    size = walk.batchless(op, view).shape
    return convolve(op, walk, view, kernel, bias, spec.on((size[1], size[2])), groups)
