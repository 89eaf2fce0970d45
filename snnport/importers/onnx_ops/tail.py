"""The end of a classifier: Softmax, LogSoftmax and ArgMax leave the order of the outputs as it is and are left out."""

from __future__ import annotations

import math
from dataclasses import replace

from snnport.errors import UnsupportedNode
from snnport.importers.onnx_node import Op
from snnport.importers.onnx_view import View, normal_axes
from snnport.importers.onnx_walk import Walk


def softmax(op: Op, walk: Walk) -> View:
    """Softmax and LogSoftmax (opset 1, 11: over all axes from `axis` on; 13: over `axis`) over all outputs."""
    view = walk.data(op)
    axis = normal_axes(op, (op.number("axis", -1 if op.opset >= 13 else 1),), view.index.ndim)[0]
    covered = view.shape[axis] if op.opset >= 13 else math.prod(view.shape[axis:])
    _check_covers_all(op, view, covered)
    walk.dropped(op, "it is increasing in every output: their order and the arg max stay the same")
    return replace(view, tail=op.label, fresh=False)


def arg_max(op: Op, walk: Walk) -> View:
    """ArgMax (opset 1, 11, 12, 13) over all outputs."""
    view = walk.maybe_tail(op)
    if view.decided:
        raise UnsupportedNode(op.label, f"it follows {view.tail}")
    axis = normal_axes(op, (op.number("axis", 0),), view.index.ndim)[0]
    _check_covers_all(op, view, view.shape[axis])
    walk.dropped(op, "the prediction is the arg max of the outputs in any case")
    return replace(view, tail=op.label, decided=True, fresh=False)


def _check_covers_all(op: Op, view: View, covered: int) -> None:
    if covered != view.index.size:
        raise UnsupportedNode(
            op.label, f"it works on {covered} of the {view.index.size} outputs at a time", "Use it on a vector of outputs"
        )
