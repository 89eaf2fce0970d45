"""Pooling: MaxPool, AveragePool, their global forms, and ReduceMean and ReduceMax over the whole map."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import nir
import numpy as np

from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.importers.onnx_node import Op
from snnport.importers.onnx_ops.conv import emit_conv, map_view
from snnport.importers.onnx_ops.window import Window, WindowSpec, counts, read_window
from snnport.importers.onnx_tensor import MAX_ELEMENTS
from snnport.importers.onnx_view import View, normal_axes
from snnport.importers.onnx_walk import Map, Walk
from snnport.nodes import MaxPool2d


def max_pool(op: Op, walk: Walk) -> View:
    """MaxPool (opset 1, 8, 10, 11, 12, 22); padding does not take part, ceil_mode is padding behind."""
    spec = _read_pool(op)
    place = walk.map(op, walk.data(op), spec.rank)
    return _emit_max_pool(op, walk, place, _window_on(op, spec, place))


def average_pool(op: Op, walk: Walk) -> View:
    """AveragePool (opset 7, 10, 11, 19, 22).

    AvgPool2d where every window divides by the whole kernel and the padding is the same on both sides, a depthwise
    Conv2d where the divisor is one number otherwise. Raises UnsupportedNode where it depends on the position.
    """
    spec = _read_pool(op)
    place = walk.map(op, walk.data(op), spec.rank)
    size = place.size[1:]
    window = _window_on(op, spec, place)
    divisor = _divisor(op, spec, window, size)
    if not np.any([_touches_padding(window, size, axis) for axis in (0, 1)]):
        window = Window(window.kernel, window.stride, window.dilation, (0, 0, 0, 0))
    if window.symmetric and divisor == math.prod(window.kernel):
        return _emit_average(op, walk, place, window)
    channels = place.size[0]
    if channels * math.prod(window.kernel) > MAX_ELEMENTS:
        raise InvalidGraph(op.label, f"its kernel {window.kernel} on {channels} channels has too many values")
    weight = np.full((channels, 1, *window.kernel), 1.0 / divisor)
    return emit_conv(op, walk, place, weight, np.zeros(channels), window, channels)


def global_average_pool(op: Op, walk: Walk) -> View:
    """GlobalAveragePool (opset 1, 22)."""
    place = walk.map(op, walk.data(op))
    return _emit_average(op, walk, place, _whole(place))


def global_max_pool(op: Op, walk: Walk) -> View:
    """GlobalMaxPool (opset 1, 22)."""
    place = walk.map(op, walk.data(op))
    return _emit_max_pool(op, walk, place, _whole(place))


def reduce_mean(op: Op, walk: Walk) -> View:
    """ReduceMean (opset 1, 11, 13: axes as an attribute; 18: as an input) over height and width of a map."""
    return _reduce(op, walk, _emit_average)


def reduce_max(op: Op, walk: Walk) -> View:
    """ReduceMax (opset 1, 11, 12, 13: axes as an attribute; 18, 20: as an input) over height and width of a map."""
    return _reduce(op, walk, _emit_max_pool)


def _read_pool(op: Op) -> WindowSpec:
    spec = read_window(op, op.numbers("kernel_shape") or ())
    if spec.dilation != (1, 1):
        raise UnsupportedNode(op.label, f"its dilations are {op.numbers('dilations')}", "Pool without dilation")
    return spec


def _window_on(op: Op, spec: WindowSpec, place: Map) -> Window:
    """The window on this map; every position of it must hold at least one value."""
    size = place.size[1:]
    window = spec.on(size)
    if min(window.positions(size)) < 1:
        raise InvalidGraph(op.label, f"its kernel {window.kernel} is larger than its padded input {place.size}")
    if any(counts(window, size, axis).min() < 1 for axis in (0, 1)):
        raise InvalidGraph(op.label, f"its padding {window.padding} holds whole windows of its kernel {window.kernel}")
    return window


def _divisor(op: Op, spec: WindowSpec, window: Window, size: tuple[int, int]) -> int:
    """What every window divides by. With count_include_pad the declared padding counts, what ceil_mode adds does not."""
    if op.number("count_include_pad", 0):
        declared = spec.declared(size)
        if window == declared:
            return math.prod(window.kernel)
        padding = declared.padding
        padded = size[0] + padding[0] + padding[2], size[1] + padding[1] + padding[3]
        behind = (0, 0, window.padding[2] - padding[2], window.padding[3] - padding[3])
        window, size = Window(window.kernel, window.stride, window.dilation, behind), padded
    found = [set(counts(window, size, axis).tolist()) for axis in (0, 1)]
    if any(len(f) != 1 for f in found):
        raise UnsupportedNode(
            op.label,
            "its divisor depends on the position, because padding does not count",
            "Use count_include_pad=1 without ceil_mode, or a kernel, stride and padding that fill every window",
        )
    return int(found[0].pop() * found[1].pop())


def _touches_padding(window: Window, size: tuple[int, int], axis: int) -> bool:
    return bool(counts(window, size, axis).min() < window.kernel[axis])


def _whole(place: Map) -> Window:
    size = place.size[1], place.size[2]
    return Window(size, size, (1, 1), (0, 0, 0, 0))


def _emit_average(op: Op, walk: Walk, place: Map, window: Window) -> View:
    if place.turned:
        window = window.turned()
    node = nir.AvgPool2d(np.array(window.kernel), np.array(window.stride), np.array(window.padding[:2]))
    name = walk.emit(op, node, place.view)
    walk.became(op, name)
    return map_view(walk, name, place)


def _emit_max_pool(op: Op, walk: Walk, place: Map, window: Window) -> View:
    if place.turned:
        window = window.turned()
    name = walk.emit(op, MaxPool2d(window.kernel, window.stride, window.padding), place.view)
    walk.became(op, name)
    return map_view(walk, name, place)


def _reduce(op: Op, walk: Walk, emit: Callable[[Op, Walk, Map, Window], View]) -> View:
    axes = op.numbers("axes") if not op.has(1) else walk.integers(op, 1)
    if not axes and op.number("noop_with_empty_axes", 0):
        raise UnsupportedNode(op.label, "it reduces nothing (noop_with_empty_axes)", "Remove it")
    view = walk.data(op)
    rank = view.index.ndim
    gone = normal_axes(op, axes, rank) if axes else tuple(range(rank))
    kept = tuple(a for a in range(rank) if a not in gone)
    reduced = [view.shape[a] for a in gone if view.shape[a] > 1]
    if len(reduced) > 2 or (0 in gone and walk.batch.kept):
        raise UnsupportedNode(
            op.label, f"it reduces axes {gone} of {view.shape}", "Only height and width of a map can be reduced"
        )
    height, width = [1] * (2 - len(reduced)) + reduced
    order = view.index.transpose(*kept, *gone).reshape(1, -1, height, width)
    place = walk.map(op, replace(view, index=order))
    result = emit(op, walk, place, _whole(place))
    sizes = tuple(1 if a in gone else view.shape[a] for a in range(rank) if a in kept or op.number("keepdims", 1))
    return replace(result, index=result.index.reshape(sizes))
