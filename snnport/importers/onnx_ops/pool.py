"""Pooling: MaxPool, AveragePool, their global forms, and means, sums and maxima over axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import nir
import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.importers.onnx_node import Op
from snnport.importers.onnx_ops.affine import affine
from snnport.importers.onnx_ops.linear import as_nodes, convolve, map_index
from snnport.importers.onnx_ops.window import Window, WindowSpec, counts, read_window
from snnport.importers.onnx_place import Place
from snnport.importers.onnx_tensor import MAX_ELEMENTS
from snnport.importers.onnx_view import ZERO, Index, Part, View, entries, normal_axes
from snnport.importers.onnx_walk import Walk
from snnport.nodes import MaxPool2d, ReLU


def max_pool(op: Op, walk: Walk) -> View:
    """MaxPool (opset 1, 8, 10, 11, 12, 22); padding does not take part, ceil_mode is padding behind."""
    spec = _read_pool(op)
    view, size = _map(op, walk, spec)
    return _max(op, walk, view, _window_on(op, spec, size))


def average_pool(op: Op, walk: Walk) -> View:
    """AveragePool (opset 7, 10, 11, 19, 22).

    AvgPool2d where the padding is the same on both sides, a depthwise Conv2d otherwise; where the divisor depends on the
    position, because padding does not count, each position has its own factor behind it.
    """
    spec = _read_pool(op)
    view, size = _map(op, walk, spec)
    window = _window_on(op, spec, size)
    divisors = _divisors(op, spec, window, size)
    if not np.any([_touches_padding(window, size, axis) for axis in (0, 1)]):
        window = Window(window.kernel, window.stride, window.dilation, (0, 0, 0, 0))
    same = len(np.unique(divisors)) == 1
    divisor = int(divisors.flat[0]) if same else math.prod(window.kernel)
    result = _average(op, walk, view, window, divisor)
    if same:
        return result
    factors = math.prod(window.kernel) / divisors
    shape = (1, 1, *divisors.shape) if view.index.ndim == 4 else (1, 1, divisors.shape[1])
    names = result.nodes
    result = affine(op, walk, result, factors.reshape(shape), np.array(0.0))
    walk.became(op, *names, *result.nodes, why="its divisor depends on the position: each has its own factor")
    return result


def global_average_pool(op: Op, walk: Walk) -> View:
    """GlobalAveragePool (opset 1, 22)."""
    view = walk.data(op)
    return _average_whole(op, walk, view)


def global_max_pool(op: Op, walk: Walk) -> View:
    """GlobalMaxPool (opset 1, 22)."""
    view = walk.data(op)
    return _max(op, walk, view, _whole(walk.batchless(op, view).shape))


def reduce_mean(op: Op, walk: Walk) -> View:
    """ReduceMean (opset 1, 11, 13: axes as an attribute; 18: as an input) over any axes but the batch."""
    return _reduce(op, walk, _average_whole)


def reduce_sum(op: Op, walk: Walk) -> View:
    """ReduceSum (opset 1, 11: axes as an attribute; 13: as an input) over any axes but the batch."""

    def total(op: Op, walk: Walk, view: View) -> View:
        count = math.prod(view.shape[2:])
        names = (result := _average_whole(op, walk, view)).nodes
        result = affine(op, walk, result, np.array(float(count)), np.array(0.0))
        walk.became(op, *names, *result.nodes, why=f"{count} times the mean")
        return result

    return _reduce(op, walk, total)


def reduce_max(op: Op, walk: Walk) -> View:
    """ReduceMax (opset 1, 11, 12, 13: axes as an attribute; 18, 20: as an input) over height and width of a map."""
    return _reduce(op, walk, lambda op, walk, view: _max(op, walk, view, _whole(walk.batchless(op, view).shape)))


def _map(op: Op, walk: Walk, spec: WindowSpec) -> tuple[View, tuple[int, int, int]]:
    view = walk.data(op)
    if view.index.ndim != spec.rank + 2:
        raise InvalidGraph(op.label, f"it needs an input with {spec.rank + 2} axes and gets {view.shape}")
    channels, height, width = walk.batchless(op, view).shape
    return view, (channels, height, width)


def _read_pool(op: Op) -> WindowSpec:
    spec = read_window(op, op.numbers("kernel_shape") or ())
    if spec.dilation != (1, 1):
        raise UnsupportedNode(op.label, f"its dilations are {op.numbers('dilations')}", "Pool without dilation")
    return spec


def _window_on(op: Op, spec: WindowSpec, size: tuple[int, int, int]) -> Window:
    """The window on this map; every position of it must hold at least one value."""
    window = spec.on(size[1:])
    if min(window.positions(size[1:])) < 1:
        raise InvalidGraph(op.label, f"its kernel {window.kernel} is larger than its padded input {size}")
    if any(counts(window, size[1:], axis).min() < 1 for axis in (0, 1)):
        raise InvalidGraph(op.label, f"its padding {window.padding} holds whole windows of its kernel {window.kernel}")
    return window


def _divisors(op: Op, spec: WindowSpec, window: Window, size: tuple[int, int, int]) -> npt.NDArray[np.int64]:
    """What every window divides by, (height, width). With count_include_pad the declared padding counts, what ceil_mode adds
    does not."""
    maps = size[1], size[2]
    if op.number("count_include_pad", 0):
        padding = spec.declared(maps).padding
        maps = maps[0] + padding[0] + padding[2], maps[1] + padding[1] + padding[3]
        behind = (0, 0, window.padding[2] - padding[2], window.padding[3] - padding[3])
        window = Window(window.kernel, window.stride, window.dilation, behind)
    return np.outer(*(counts(window, maps, axis) for axis in (0, 1)))


def _touches_padding(window: Window, size: tuple[int, int, int], axis: int) -> bool:
    return bool(counts(window, size[1:], axis).min() < window.kernel[axis])


def _whole(size: tuple[int, ...]) -> Window:
    return Window((size[1], size[2]), (size[1], size[2]), (1, 1), (0, 0, 0, 0))


def _average(op: Op, walk: Walk, view: View, window: Window, divisor: int) -> View:
    """The sum of every window by `divisor`: average pooling on every part, or a depthwise convolution."""
    found = walk.places(op, view)
    plain = window.symmetric and divisor == math.prod(window.kernel)
    size = walk.batchless(op, view).shape
    again = any(isinstance(walk.nodes[name], nir.AvgPool2d) for name in view.nodes)  # two in a row are seldom one: weights are
    if plain and not again and found is not None and all(p.aligned and p.size[1:] == size[1:] for p in found):
        nodes = [
            nir.AvgPool2d(np.array(w.kernel), np.array(w.stride), np.array(w.padding[:2]))
            for w in (window.turned() if p.turned else window for p in found)
        ]
        return _pooled(op, walk, view, found, nodes)
    if size[0] * math.prod(window.kernel) > MAX_ELEMENTS:
        raise InvalidGraph(op.label, f"its kernel {window.kernel} on {size[0]} channels has too many values")
    weight = np.full((size[0], 1, *window.kernel), 1.0 / divisor)
    return convolve(op, walk, view, weight, np.zeros(size[0]), window, size[0])


def _average_whole(op: Op, walk: Walk, view: View) -> View:
    window = _whole(walk.batchless(op, view).shape)
    return _average(op, walk, view, window, math.prod(window.kernel))


def _max(op: Op, walk: Walk, view: View, window: Window) -> View:
    """Max pooling on every part. Zeros around a part take no part in it, which changes nothing if no value is below zero."""
    size = walk.batchless(op, view).shape
    found = walk.places(op, view)
    nodes = None if found is None else _max_nodes(walk, view, window, size, found)
    if found is None or nodes is None:
        view = as_nodes(op, walk, view)
        found = walk.places(op, view)
        nodes = None if found is None else _max_nodes(walk, view, window, size, found)
    if found is None or nodes is None:
        remedy = "Keep the layout (channels, height, width) up to here"
        raise UnsupportedNode(op.label, f"its input {size} comes in another order or shape than a map's", remedy)
    return _pooled(op, walk, view, found, nodes)


def _max_nodes(
    walk: Walk, view: View, window: Window, size: tuple[int, ...], found: Sequence[Place]
) -> list[nir.NIRNode] | None:
    """One pooling a part, or None if a part is cut or thinned out, or signed with zeros around it."""
    nodes: list[nir.NIRNode] = []
    if np.max(np.sum([place.channels != ZERO for place in found], axis=0)) > 1:
        return None
    positions = window.positions((size[1], size[2]))
    for place in found:
        before = [window.padding[axis] - place.first[axis] for axis in (0, 1)]
        span = [(positions[axis] - 1) * window.stride[axis] + window.kernel[axis] for axis in (0, 1)]
        after = [span[axis] - before[axis] - place.size[axis + 1] for axis in (0, 1)]
        cut = any(place.first[axis] + size[axis + 1] < place.size[axis + 1] for axis in (0, 1)) or max(place.first) > 0
        bordered = place.size[1:] != tuple(size[1:]) or bool((place.channels == ZERO).any() and len(found) == 1)
        if cut or place.step != (1, 1) or (bordered and not _never_negative(walk, view.parts[place.number])):
            return None
        own = Window(window.kernel, window.stride, (1, 1), (before[0], before[1], max(after[0], 0), max(after[1], 0)))
        if any(counts(own, (place.size[1], place.size[2]), axis).min() < 1 for axis in (0, 1)):
            return None
        own = own.turned() if place.turned else own
        nodes.append(MaxPool2d(own.kernel, own.stride, own.padding))
    return nodes


def _never_negative(walk: Walk, part: Part) -> bool:
    kinds = (ReLU, MaxPool2d, nir.AvgPool2d, nir.Flatten)
    return all(
        isinstance(walk.nodes[name], ReLU)
        or (isinstance(walk.nodes[name], kinds) and _never_negative(walk, tuple(a for a, b in walk.edges if b == name)))
        for name in part
    )


def _pooled(op: Op, walk: Walk, view: View, found: Sequence[Place], nodes: Sequence[nir.NIRNode]) -> View:
    """The map of which every part is pooled by its own node."""
    parts: list[Part] = []
    channels = walk.batchless(op, view).shape[0]
    index: Index | None = None
    for place, node in zip(found, nodes, strict=True):
        name = walk.emit(op, node, view, view.parts[place.number])
        own = map_index(walk, (name,), place.turned)
        index = np.full((channels, *own.shape[1:]), ZERO, np.int64) if index is None else index
        there = place.channels != ZERO
        index[there] = entries(len(parts), own[place.channels[there]])
        parts.append((name,))
    assert index is not None
    walk.became(op, *(part[0] for part in parts))
    sizes = index.shape if view.index.ndim == 4 else (index.shape[0], index.shape[2])
    return View(tuple(parts), index.reshape(1, *sizes))


def _reduce(op: Op, walk: Walk, emit: Callable[[Op, Walk, View], View]) -> View:
    axes = op.numbers("axes") if not op.has(1) else walk.integers(op, 1)
    if not axes and op.number("noop_with_empty_axes", 0):
        raise UnsupportedNode(op.label, "it reduces nothing (noop_with_empty_axes)", "Remove it")
    view = walk.data(op)
    rank = view.index.ndim
    gone = normal_axes(op, axes, rank) if axes else tuple(range(rank))
    if 0 in gone and walk.batch.kept:
        raise UnsupportedNode(op.label, f"it reduces axes {gone} of {view.shape}, the batch among them", "Keep the batch")
    kept = tuple(a for a in range(rank) if a not in gone)
    reduced = [view.shape[a] for a in gone if view.shape[a] > 1]
    height = reduced[0] if len(reduced) > 1 else 1
    width = math.prod(reduced[1:] if len(reduced) > 1 else reduced)
    order = view.index.transpose(*kept, *gone).reshape(1, -1, height, width)
    result = emit(op, walk, replace(view, index=order))
    sizes = tuple(1 if a in gone else view.shape[a] for a in range(rank) if a in kept or op.number("keepdims", 1))
    return replace(result, index=result.index.reshape(sizes))
