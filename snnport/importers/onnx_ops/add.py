"""Sums: Add, Sum and Sub of tensors, or of a tensor and a constant."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import nir
import numpy as np

from snnport.errors import InvalidGraph
from snnport.importers.onnx_node import Op
from snnport.importers.onnx_ops.affine import affine, constant_and_data, shift
from snnport.importers.onnx_ops.linear import as_nodes
from snnport.importers.onnx_view import View
from snnport.importers.onnx_walk import Walk


def add(op: Op, walk: Walk) -> View:
    """Add (opset 7, 13, 14): a bias, or two tensors whose sources feed the same nodes from here on."""
    constant, data = constant_and_data(op, walk)
    if constant is None:
        return add_up(op, walk, [walk.data(op, 0), walk.data(op, 1)])
    return shift(op, walk, walk.data(op, data), walk.weights(op, 1 - data))


def sum_(op: Op, walk: Walk) -> View:
    """Sum (opset 8, 13) of tensors."""
    return add_up(op, walk, [walk.data(op, i) for i in range(len(op.inputs))])


def sub(op: Op, walk: Walk) -> View:
    """Sub (opset 7, 13, 14): of a constant on either side, or of two tensors."""
    constant, data = constant_and_data(op, walk)
    if constant is None:
        return add_up(op, walk, [walk.data(op, 0), affine(op, walk, walk.data(op, 1), np.array(-1.0), np.array(0.0))])
    values = walk.weights(op, 1 - data)
    if data == 0:
        return shift(op, walk, walk.data(op, 0), -values)
    return affine(op, walk, walk.data(op, 1), np.array(-1.0), values)


def add_up(op: Op, walk: Walk, views: list[View]) -> View:
    """The sum of tensors: their nodes together. A node that occurs n times is read through a Scale of n."""
    try:
        shape = np.broadcast_shapes(*(v.shape for v in views))
    except ValueError:
        listed = ", ".join(str(v.shape) for v in views)
        raise InvalidGraph(op.label, f"it adds tensors of different shapes: {listed}") from None
    views = _alike(op, walk, [replace(v, index=np.broadcast_to(v.index, shape), fresh=False) for v in views])
    parts = []
    scaled: list[str] = []
    for number in range(len(views[0].parts)):
        times = Counter(source for v in views for source in v.parts[number])
        names = {source: _scaled(op, walk, source, n) if n > 1 else source for source, n in times.items()}
        scaled += [name for source, name in names.items() if name != source]
        parts.append(tuple(names.values()))
    if scaled:
        walk.became(op, *scaled, why="a tensor added to itself")
    through = tuple(dict.fromkeys(p for v in views for p in v.through))
    return View(tuple(parts), views[0].index, (*through, op.position))


def _alike(op: Op, walk: Walk, views: list[View]) -> list[View]:
    """The same tensors with one index and parts of the same shapes, so that their nodes can be added."""

    def form(view: View) -> list[tuple[int, ...]]:
        return [walk.shape_of[part[0]] for part in view.parts]

    first = views[0]
    if all(form(v) == form(first) and np.array_equal(v.index, first.index) for v in views):
        return views
    leader = next((v for v in views if len(v.parts) == 1 and _is_whole(walk, v)), None)
    if leader is None:
        leader = as_nodes(op, walk, first)
        views = [leader, *views[1:]]
    order = np.argsort(leader.index.reshape(-1))
    shape = walk.shape_of[leader.parts[0][0]]
    result = []
    for view in views:
        if form(view) != form(leader) or not np.array_equal(view.index, leader.index):
            sorted_index = view.index.reshape(-1)[order].reshape(1, *shape)
            node = as_nodes(op, walk, replace(view, index=sorted_index))
            if walk.shape_of[node.parts[0][0]] != shape or not walk.in_order(node):
                return _alike_flat(op, walk, views)
            view = replace(node, index=leader.index)
        result.append(view)
    return result


def _alike_flat(op: Op, walk: Walk, views: list[View]) -> list[View]:
    """The same tensors as vectors, one dense layer of ones and zeros for each that is none yet."""
    result = []
    for view in views:
        if walk.in_order(view):
            source = walk.flat(op, view, view.parts[0])
            result.append(View((source,), view.index, view.through))
        else:
            flat = as_nodes(op, walk, replace(view, index=view.index.reshape(1, -1)))
            result.append(replace(flat, index=flat.index.reshape(view.shape)))
    return result


def _is_whole(walk: Walk, view: View) -> bool:
    """Whether it holds every value of its one part once."""
    ordered = np.sort(view.index.reshape(-1))
    return len(ordered) == walk.size_of(view.parts[0]) and np.array_equal(ordered, np.arange(len(ordered)))


def _scaled(op: Op, walk: Walk, source: str, times: int) -> str:
    shape = walk.shape_of[source]
    name = op.name if op.name not in walk.nodes else walk.unique(f"{op.name}.scale")
    return walk.emit(op, nir.Scale(np.full(shape, float(times))), View(((source,),), np.empty(0, np.int64)), name=name)
