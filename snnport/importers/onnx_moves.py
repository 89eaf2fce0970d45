"""Operators that cut, join and spread tensors: on the index array of a View alone, as onnx_view's do.

The first axis is the batch: it can be taken whole, and only where one sample is all there is can it be cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.importers.onnx_node import Op
from snnport.importers.onnx_tensor import refuse_beyond_limit
from snnport.importers.onnx_view import ZERO, Batch, Index, Part, View, entries, moved, normal_axes

EVERYTHING = 2**31 - 1
"""The end of a slice that takes all there is, or what is beyond."""
MODES = {"constant": "constant", "reflect": "reflect", "edge": "edge", "wrap": "wrap"}


def slices(
    op: Op, view: View, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int], steps: Sequence[int], batch: Batch
) -> View:
    """ONNX Slice: axis `axes[i]` from `starts[i]` to `ends[i]` by `steps[i]`."""
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise InvalidGraph(op.label, f"its starts {tuple(starts)}, ends {tuple(ends)} or steps {tuple(steps)} do not match")
    window = [slice(None)] * view.index.ndim
    for axis, start, end, step in zip(normal_axes(op, axes, view.index.ndim), starts, ends, steps, strict=True):
        window[axis] = slice(start, end, step)
        if axis == 0 and batch.kept and (start, step, end >= (batch.size if batch.size > 1 else EVERYTHING)) != (0, 1, True):
            raise _cuts(op, batch)
    cut = view.index[tuple(window)]
    if cut.size == 0:
        raise InvalidGraph(op.label, f"it leaves nothing of {view.shape}")
    return _kept_batch(op, view, cut, batch)


def take(op: Op, view: View, indices: Index, axis: int, batch: Batch) -> View:
    """ONNX Gather: the entries `indices` of an axis."""
    axis = normal_axes(op, (axis,), view.index.ndim)[0]
    size = view.shape[axis]
    if indices.size and not (-size <= indices.min() and indices.max() < size):
        raise InvalidGraph(op.label, f"it takes entries {indices.min()}..{indices.max()} of an axis of {size}")
    if axis == 0 and batch.kept:
        raise _cuts(op, batch)
    refuse_beyond_limit(op.label, view.index.size // max(size, 1) * indices.size)
    return moved(view, np.take(view.index, indices, axis=axis), op)


def concat(op: Op, views: Sequence[View], axis: int, batch: Batch) -> View:
    """ONNX Concat: one tensor behind the other along `axis`; each keeps its parts."""
    axis = normal_axes(op, (axis,), views[0].index.ndim)[0]
    if axis == 0 and batch.kept:
        raise _cuts(op, batch)
    parts: dict[Part, int] = {}
    renumbered = [_renumbered(view, parts) for view in views]
    try:
        index = np.concatenate(renumbered, axis=axis)
    except ValueError:
        shapes = ", ".join(str(view.shape) for view in views)
        raise InvalidGraph(op.label, f"shapes {shapes} do not go together along axis {axis}") from None
    through = tuple(dict.fromkeys(p for view in views for p in view.through))
    return View(tuple(parts) or ((),), index, (*through, op.position))


def split(op: Op, view: View, lengths: Sequence[int], axis: int, batch: Batch) -> tuple[View, ...]:
    """ONNX Split: pieces of `lengths` along an axis."""
    axis = normal_axes(op, (axis,), view.index.ndim)[0]
    if axis == 0 and batch.kept:
        raise _cuts(op, batch)
    if sum(lengths) != view.shape[axis] or min(lengths, default=0) < 1:
        raise InvalidGraph(op.label, f"it splits an axis of {view.shape[axis]} into {tuple(lengths)}")
    ends = np.cumsum(lengths)[:-1]
    return tuple(moved(view, piece, op) for piece in np.split(view.index, ends, axis=axis))


def pad(op: Op, view: View, pads: Sequence[int], axes: Sequence[int], mode: str, value: float, batch: Batch) -> View:
    """ONNX Pad: `pads` are those before each of `axes`, then those behind; negative ones cut."""
    if mode not in MODES:
        raise InvalidGraph(op.label, f"its mode is '{mode}'", f"{', '.join(MODES)} exist")
    if len(pads) != 2 * len(axes):
        raise InvalidGraph(op.label, f"its pads {tuple(pads)} must be {2 * len(axes)} numbers")
    if mode == "constant" and value != 0 and max(pads, default=0) > 0:
        raise UnsupportedNode(op.label, f"it pads with {value:g}", "Pad with 0, or with reflect or edge")
    widths = [[0, 0] for _ in view.shape]
    for i, axis in enumerate(normal_axes(op, axes, view.index.ndim)):
        widths[axis] = [pads[i], pads[i + len(axes)]]
    cut = view.index[tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(view.shape, widths, strict=True))]
    grown = [(max(a, 0), max(b, 0)) for a, b in widths]
    refuse_beyond_limit(op.label, math.prod(n + a + b for n, (a, b) in zip(cut.shape, grown, strict=True)))
    extra = {"constant_values": ZERO} if mode == "constant" else {}
    if mode == "reflect" and any(max(g) >= n for n, g in zip(cut.shape, grown, strict=True)):
        raise InvalidGraph(op.label, f"it reflects more than there is: pads {tuple(pads)} of {view.shape}")
    return _kept_batch(op, view, np.pad(cut, grown, mode=MODES[mode], **extra), batch)  # type: ignore[call-overload]


def expand(op: Op, view: View, shape: Sequence[int], batch: Batch) -> View:
    """ONNX Expand: broadcasting to `shape`, both ways."""
    sizes = [1 if batch.size > 1 and i == 0 and n == batch.size else n for i, n in enumerate(shape)]
    try:
        target = np.broadcast_shapes(view.shape, tuple(sizes))
    except ValueError:
        raise InvalidGraph(op.label, f"shape {view.shape} does not expand to {tuple(shape)}") from None
    refuse_beyond_limit(op.label, math.prod(target))
    return _kept_batch(op, view, np.broadcast_to(view.index, target), batch)


def tile(op: Op, view: View, repeats: Sequence[int], batch: Batch) -> View:
    """ONNX Tile: each axis repeated."""
    if len(repeats) != view.index.ndim or min(repeats, default=1) < 1:
        raise InvalidGraph(op.label, f"its repeats {tuple(repeats)} are not those of {view.index.ndim} axes")
    refuse_beyond_limit(op.label, view.index.size * math.prod(repeats))
    return _kept_batch(op, view, np.tile(view.index, tuple(repeats)), batch)


def depth_to_space(op: Op, view: View, block: int, columns_first: bool) -> View:
    """ONNX DepthToSpace: channels of blocks become positions; mode CRD where `columns_first`."""
    n, channels, height, width = _blocks(op, view, block)
    if channels % (block * block):
        raise InvalidGraph(op.label, f"its {channels} channels are no multiple of {block} * {block}")
    rest = channels // (block * block)
    if columns_first:
        order = view.index.reshape(n, rest, block, block, height, width).transpose(0, 1, 4, 2, 5, 3)
    else:
        order = view.index.reshape(n, block, block, rest, height, width).transpose(0, 3, 4, 1, 5, 2)
    return moved(view, order.reshape(n, rest, height * block, width * block), op)


def space_to_depth(op: Op, view: View, block: int) -> View:
    """ONNX SpaceToDepth: positions of blocks become channels."""
    n, channels, height, width = _blocks(op, view, block)
    if height % block or width % block:
        raise InvalidGraph(op.label, f"its map {height} x {width} does not divide into blocks of {block}")
    order = view.index.reshape(n, channels, height // block, block, width // block, block).transpose(0, 3, 5, 1, 2, 4)
    return moved(view, order.reshape(n, channels * block * block, height // block, width // block), op)


def _blocks(op: Op, view: View, block: int) -> tuple[int, int, int, int]:
    if view.index.ndim != 4 or block < 1:
        raise InvalidGraph(op.label, f"it needs an input with 4 axes and a block of 1 at least, and gets {view.shape}, {block}")
    n, channels, height, width = view.shape
    return n, channels, height, width


def _renumbered(view: View, parts: dict[Part, int]) -> Index:
    """The index of `view` with its parts numbered as in `parts`, which grows by those that are new."""
    index = np.full(view.index.shape, ZERO, np.int64)
    for number, part in enumerate(view.parts):
        own = view.number == number
        if own.any():
            index[own] = entries(parts.setdefault(part, len(parts)), view.position[own])
    return index


def _kept_batch(op: Op, view: View, index: Index, batch: Batch) -> View:
    if batch.kept and index.shape[0] != view.shape[0]:
        raise _cuts(op, batch)
    return replace(moved(view, np.ascontiguousarray(index), op), fresh=False)


def _cuts(op: Op, batch: Batch) -> UnsupportedNode:
    of = "an open number of" if batch.size == 1 else str(batch.size)
    return UnsupportedNode(op.label, f"it cuts, joins or repeats the batch axis of {of} samples", "Keep one sample one row")
