"""What all linear operators become: convolutions on the parts of a map, or dense layers on the parts of anything.

A convolution on a tensor that was cut, joined, padded or permuted is one on each of its parts: columns of the weight go to
the part's own channels, strides and offsets are the part's own, and the results add. Where a part does not lie in the
tensor as a map in a map (a reflected border, rows from everywhere), the operator is a dense layer, up to MAX_DENSE weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import nir
import numpy as np

from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.importers.onnx_node import Op
from snnport.importers.onnx_ops.window import Pair, Window
from snnport.importers.onnx_place import Place
from snnport.importers.onnx_tensor import MAX_ELEMENTS
from snnport.importers.onnx_view import NUMBER, ZERO, Index, View, entries, fresh_index
from snnport.importers.onnx_walk import Walk, Weights
from snnport.nodes import ungrouped
from snnport.reference import node_function

MAX_DENSE = 1 << 22
"""Weights of a dense layer that a convolution or a rearrangement may become: 32 MB in float64."""


def dense(op: Op, walk: Walk, view: View, weight: Weights, bias: Weights, shape: Sequence[int]) -> View:
    """weight (outputs, values of `view`) as an Affine on every part; the result has the given shape."""
    index = view.index.reshape(-1)
    names: list[str] = []
    for number, part in enumerate(view.parts):
        own = np.flatnonzero(view.number.reshape(-1) == number)
        if not len(own):
            continue
        columns = np.zeros((walk.size_of(part), len(weight)))
        np.add.at(columns, index[own] - (number << NUMBER), weight.T[own])
        shift = bias if not names else np.zeros(len(weight))
        source = walk.flat(op, view, part)
        names.append(walk.emit(op, nir.Affine(np.ascontiguousarray(columns.T), shift), view, source))
    if not names:
        raise InvalidGraph(op.label, "it does not depend on the input")
    walk.became(op, *names)
    return View((tuple(names),), fresh_index(tuple(shape)), fresh=True)


def convolve(op: Op, walk: Walk, view: View, weight: Weights, bias: Weights, window: Window, groups: int) -> View:
    """The convolution of map `view` with weight (out, in / groups, height, width) as the file has it, and zero padding."""
    size = walk.batchless(op, view).shape
    positions = window.positions((size[1], size[2]))
    if size[0] != weight.shape[1] * groups:
        raise InvalidGraph(op.label, f"its input has {size[0]} channels, its weight takes {weight.shape[1] * groups}")
    if min(positions) < 1:
        raise InvalidGraph(op.label, f"its kernel {window.kernel} is larger than its padded input {size}")
    found = walk.places(op, view)
    if found is None or any(_sees_more(place, window, size) for place in found) or len({p.turned for p in found}) > 1:
        return _as_dense(op, walk, view, weight, bias, window, groups)
    if len({p.number for p in found}) == 1 and all(np.array_equal(p.channels, np.arange(p.size[0])) for p in found):
        zeros = np.zeros_like(bias)
        every = [
            _emit(op, walk, view, place, weight, zeros if i else bias, window, positions, groups)
            for i, place in enumerate(found)
        ]
        return _result(op, walk, view, tuple(every), found[0].turned)
    if groups == size[0] and all(len(set(_used(p))) == len(_used(p)) for p in found) and _covered(found):
        return _depthwise(op, walk, view, found, weight, bias, window, positions)
    full = ungrouped(nir.Conv2d(None, weight, 1, 0, 1, groups, bias))
    names: list[str] = []
    for place in found:
        own = np.zeros((place.size[0], len(full), *full.shape[2:]))
        np.add.at(own, _used(place), full.transpose(1, 0, 2, 3)[place.channels != ZERO])
        columns = np.ascontiguousarray(own.transpose(1, 0, 2, 3))
        shift = bias if not names else np.zeros(len(full))
        names.append(_emit(op, walk, view, place, columns, shift, window, positions, 1))
    return _result(op, walk, view, tuple(names), found[0].turned)


def as_nodes(op: Op, walk: Walk, view: View) -> View:
    """The same values as one whole part, where they were cut, joined or padded: nodes of their own.

    They are in order, save for a map whose height and width are swapped in the graph.
    """
    if walk.in_order(view) and walk.shape_of[view.parts[0][0]] in (view.shape[1:], view.shape):
        return view
    if view.index.ndim == 2 and walk.in_order(view):
        return replace(view, parts=(walk.flat(op, view, view.parts[0]),), fresh=False)
    entry = walk.entries.get(op.position)
    if view.index.ndim in (3, 4) and view.shape[0] == 1 and walk.places(op, view) is not None:
        channels = view.shape[1]
        same = np.eye(channels)[:, :, None, None]
        result = convolve(op, walk, view, same, np.zeros(channels), Window((1, 1), (1, 1), (1, 1), (0, 0, 0, 0)), 1)
    else:
        _check_dense(op, view.index.size, view.index.size)
        same = np.eye(view.index.size)
        result = dense(op, walk, view, same, np.zeros(len(same)), view.shape)
    if entry is not None:
        walk.entries[op.position] = entry
    return View(result.parts, result.index, view.through, tail=view.tail, decided=view.decided)


def map_view(walk: Walk, view: View, part: tuple[str, ...], turned: bool, fresh: bool = False) -> View:
    """The map of graph nodes `part` in the file's orientation and with the rank of `view`, whose operator gave it."""
    index = map_index(walk, part, turned)
    sizes = index.shape if view.index.ndim == 4 else (index.shape[0], index.shape[2])
    return View((part,), index.reshape(1, *sizes), fresh=fresh)


def map_index(walk: Walk, part: tuple[str, ...], turned: bool) -> Index:
    """Positions of graph nodes `part` as a map in the file's orientation."""
    index = fresh_index(walk.shape_of[part[0]])
    return index.transpose(0, 2, 1) if turned else index


def _result(op: Op, walk: Walk, view: View, names: tuple[str, ...], turned: bool) -> View:
    walk.became(op, *names)
    return map_view(walk, view, names, turned, fresh=True)


def _used(place: Place) -> list[int]:
    return [int(c) for c in place.channels if c != ZERO]


def _covered(found: Sequence[Place]) -> bool:
    return bool((np.sum([place.channels != ZERO for place in found], axis=0) == 1).all())


def _depthwise(
    op: Op, walk: Walk, view: View, found: Sequence[Place], weight: Weights, bias: Weights, window: Window, positions: Pair
) -> View:
    """One depthwise convolution a part, on all its channels; those that the map does not have get zeros."""
    times = len(weight) // len(found[0].channels)
    parts: list[tuple[str, ...]] = []
    index = np.zeros((len(weight), *positions), np.int64)
    for place in found:
        own, shift = np.zeros((place.size[0], times, *weight.shape[1:])), np.zeros((place.size[0], times))
        there = np.flatnonzero(place.channels != ZERO)
        own[_used(place)] = weight.reshape(-1, times, *weight.shape[1:])[there]
        shift[_used(place)] = bias.reshape(-1, times)[there]
        columns = own.reshape(-1, *weight.shape[1:])
        name = _emit(op, walk, view, place, columns, shift.reshape(-1), window, positions, place.size[0])
        outputs = map_index(walk, (name,), place.turned)
        outputs = outputs.reshape(place.size[0], times, *positions)[_used(place)]
        index.reshape(-1, times, *positions)[there] = entries(len(parts), outputs)
        parts.append((name,))
    walk.became(op, *(part[0] for part in parts))
    sizes = index.shape if view.index.ndim == 4 else (index.shape[0], index.shape[2])
    return View(tuple(parts), index.reshape(1, *sizes))


def _emit(
    op: Op,
    walk: Walk,
    view: View,
    place: Place,
    weight: Weights,
    bias: Weights,
    window: Window,
    positions: Pair,
    groups: int,
) -> str:
    """One Conv2d on the part at `place`, its padding made the same on both sides by zeros in the kernel."""
    stride = window.stride[0] * place.step[0], window.stride[1] * place.step[1]
    dilation = [window.dilation[0] * place.step[0], window.dilation[1] * place.step[1]]
    padding = []
    shape = weight.shape
    for axis in (0, 1):
        start = place.first[axis] - window.padding[axis] * place.step[axis]
        weight, dilation[axis], pad = _fitted(
            op, weight, axis + 2, start, stride[axis], dilation[axis], positions[axis], place.size[axis + 1]
        )
        padding.append(pad)
    if weight.shape != shape:
        walk.repairs.append(f"{op.title}: kernel widened by zeros, so that its padding is the same on both sides")
    if place.turned:
        weight = weight.transpose(0, 1, 3, 2)
        stride, dilation, padding = (stride[1], stride[0]), dilation[::-1], padding[::-1]
    node = nir.Conv2d(
        input_shape=None,
        weight=np.ascontiguousarray(weight),
        stride=stride,
        padding=(padding[0], padding[1]),
        dilation=(dilation[0], dilation[1]),
        groups=groups,
        bias=bias,
    )
    return walk.emit(op, node, view, view.parts[place.number])


def _fitted(
    op: Op, weight: Weights, axis: int, start: int, stride: int, dilation: int, count: int, size: int
) -> tuple[Weights, int, int]:
    """`weight`, dilation and padding of both sides for `count` windows on `size` entries, the first of which begins at `start`.

    A window that begins inside, or less padding on one side than on the other, becomes zeros in the kernel.
    """
    end = start + stride * (count - 1) + dilation * (weight.shape[axis] - 1)
    padding = max(-start, end - size + 1, 0)
    front = padding + start
    slack = padding - (end - size + 1)
    back = max(slack - (stride - 1), 0)
    steps = -(-back // dilation)
    if front % dilation or steps * dilation > slack:
        weight = _stuffed(op, weight, axis, dilation)
        dilation, steps = 1, back
    if front or steps:
        _check_size(op, weight, axis, weight.shape[axis] + front // dilation + steps)
        widths = [(0, 0)] * 4
        widths[axis] = (front // dilation, steps)
        weight = np.pad(weight, widths)
    return weight, dilation, padding


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


def _sees_more(place: Place, window: Window, size: tuple[int, ...]) -> bool:
    """Whether padding of the map, which is zero, would be values of the part that the map leaves out."""
    for axis in (0, 1):
        length, step = size[axis + 1], place.step[axis]
        count = window.positions((size[1], size[2]))[axis]
        last = window.stride[axis] * (count - 1) + window.dilation[axis] * (window.kernel[axis] - 1) - window.padding[axis]
        outside = [*range(-window.padding[axis], 0), *range(length, last + 1)]
        if any(0 <= place.first[axis] + step * r < place.size[axis + 1] for r in outside):
            return True
    return False


def _as_dense(op: Op, walk: Walk, view: View, weight: Weights, bias: Weights, window: Window, groups: int) -> View:
    size = walk.batchless(op, view).shape
    positions = window.positions((size[1], size[2]))
    outputs = len(weight) * math.prod(positions)
    _check_dense(op, outputs, view.index.size)
    place = Place(0, np.arange(size[0]), (0, 0), (1, 1), (size[0], size[1], size[2]), turned=False, whole=True)
    dilation, padding = list(window.dilation), [0, 0]
    for axis in (0, 1):
        weight, dilation[axis], padding[axis] = _fitted(
            op,
            weight,
            axis + 2,
            -window.padding[axis],
            window.stride[axis],
            dilation[axis],
            positions[axis],
            place.size[axis + 1],
        )
    node = nir.Conv2d(None, weight, window.stride, (padding[0], padding[1]), (dilation[0], dilation[1]), groups, 0 * bias)
    matrix = matrix_of(node, (size[0], size[1], size[2]))
    shape = (1, len(weight), *positions) if view.index.ndim == 4 else (1, len(weight), positions[1])
    return dense(op, walk, view, matrix, np.repeat(bias, math.prod(positions)), shape)


def matrix_of(node: nir.NIRNode, size: tuple[int, int, int]) -> Weights:
    """(outputs, inputs) of a linear node on maps of `size`."""
    count = math.prod(size)
    function = node_function("", node)
    rows = [function(np.eye(count)[i : i + 256].reshape(-1, *size)).reshape(-1) for i in range(0, count, 256)]
    return np.ascontiguousarray(np.concatenate(rows).reshape(count, -1).T)


def _check_dense(op: Op, outputs: int, inputs: int) -> None:
    if outputs * inputs > MAX_DENSE:
        raise UnsupportedNode(
            op.label,
            f"its input comes in another order or shape than a map's, and as a dense layer it has {outputs} x {inputs} "
            f"weights; the limit is {MAX_DENSE}",
            "Keep the layout (channels, height, width) up to here",
        )
