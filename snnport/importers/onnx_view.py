"""What a tensor of the file is in terms of graph nodes: their summed outputs, in some order.

Whatever only moves values (Reshape, Transpose, Slice, Concat, Pad with zeros and their like) computes nothing. It acts on
the index array of a View alone, and the next weighted node takes the order into its weights. The network is read for one
sample: a batch axis has size 1 here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.importers.onnx_node import Op
from snnport.importers.onnx_tensor import Array

Index = npt.NDArray[np.int64]
Part = tuple[str, ...]
"""Graph nodes of one shape whose outputs are added."""
NUMBER = 40
"""Bits of a position; above them stands the number of the part."""
ZERO = -1
"""The entry of a value that is zero, whatever the input."""


@dataclass(frozen=True, eq=False)
class View:
    """A tensor that depends on the input.

    parts: what the values are taken from. index: of the tensor's shape, batch axis included with size 1; each entry is the
    number of a part, shifted by NUMBER, and a position in its output, flattened in C order; or ZERO. through: positions of
    the nodes of the file that only moved or added since. fresh: it is the one result of a weighted node and nothing else
    reads it. tail: the Softmax or ArgMax that was left out on the way; decided: that was an ArgMax, one number is left.
    """

    parts: tuple[Part, ...]
    index: Index
    through: tuple[int, ...] = ()
    fresh: bool = False
    tail: str = ""
    decided: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor at batch size 1."""
        return tuple(self.index.shape)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The graph nodes of all parts."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part))

    @property
    def number(self) -> Index:
        """The part of every entry, ZERO where it has none."""
        return self.index >> NUMBER

    @property
    def position(self) -> Index:
        """The position of every entry in its part; of no meaning where it has none."""
        return self.index & ((1 << NUMBER) - 1)


def entries(number: int, positions: Index) -> Index:
    """The entries of an index for `positions` in part `number`."""
    return positions + (number << NUMBER)


@dataclass(frozen=True, eq=False)
class Const:
    """A tensor that does not depend on the input. origin: the initialiser or node that it comes from, for messages."""

    array: Array
    origin: str


@dataclass(frozen=True)
class Batch:
    """size: the fixed batch size of the file, 1 if it is open. kept: the first axis stays the batch whatever its size."""

    size: int
    kept: bool


def fresh_index(shape: Sequence[int]) -> Index:
    """The index array of a tensor in the order of its source."""
    return np.arange(math.prod(shape), dtype=np.int64).reshape(tuple(shape))


def moved(view: View, index: Index, op: Op) -> View:
    """`view` with the order and shape of `index`, moved by `op`."""
    return replace(view, index=index, through=(*view.through, op.position))


def reshape(op: Op, view: View, target: Sequence[int], allowzero: bool, batch: Batch) -> View:
    """ONNX Reshape: 0 keeps a size (unless `allowzero`), -1 takes the rest; a fixed batch size is read as 1."""
    sizes = (batch.size, *view.shape[1:]) if batch.size > 1 else view.shape
    resolved = _resolve(op, sizes, target, allowzero)
    if math.prod(resolved) != math.prod(sizes):
        raise UnsupportedNode(
            op.label,
            f"it asks for {tuple(target)} and gets {sizes}",
            "Export the model with an open batch size, or with batch size 1",
        )
    if batch.size > 1:
        if resolved[0] != batch.size:
            raise _mixes(op, batch)
        resolved = (1, *resolved[1:])
    return moved(view, view.index.reshape(resolved), op)


def transpose(op: Op, view: View, order: Sequence[int] | None, batch: Batch) -> View:
    """ONNX Transpose; without `order` the axes are reversed."""
    rank = view.index.ndim
    axes = tuple(order) if order is not None else tuple(reversed(range(rank)))
    if sorted(axes) != list(range(rank)):
        raise InvalidGraph(op.label, f"its perm {axes} is no order of {rank} axes")
    if batch.size > 1 and axes[0] != 0:
        raise _mixes(op, batch)
    return moved(view, view.index.transpose(axes), op)


def squeeze(op: Op, view: View, axes: Sequence[int] | None, batch: Batch) -> View:
    """ONNX Squeeze; without `axes` every axis of size 1 goes, save a batch axis that may be larger."""
    if axes is None:
        gone = tuple(a for a, size in enumerate(view.shape) if size == 1 and not (a == 0 and batch.kept))
    else:
        gone = normal_axes(op, axes, view.index.ndim)
        if any(view.shape[a] != 1 for a in gone):
            raise InvalidGraph(op.label, f"it takes out axes {gone} of {view.shape}, which are not all of size 1")
        if batch.size > 1 and 0 in gone:
            raise _mixes(op, batch)
    return moved(view, np.squeeze(view.index, axis=gone), op)


def unsqueeze(op: Op, view: View, axes: Sequence[int], batch: Batch) -> View:
    """ONNX Unsqueeze: `axes` count in the result."""
    new = normal_axes(op, axes, view.index.ndim + len(axes))
    if batch.size > 1 and 0 in new:
        raise _mixes(op, batch)
    return moved(view, np.expand_dims(view.index, new), op)


def flatten(op: Op, view: View, axis: int, batch: Batch) -> View:
    """ONNX Flatten: two axes, cut in front of `axis`."""
    rank = view.index.ndim
    if not -rank <= axis <= rank:
        raise InvalidGraph(op.label, f"its axis {axis} is outside the {rank} axes of its input")
    cut = axis + rank if axis < 0 else axis
    if batch.size > 1 and cut != 1:
        raise _mixes(op, batch)
    return moved(view, view.index.reshape(math.prod(view.shape[:cut]), -1), op)


def normal_axes(op: Op, axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """`axes` counted from the front. Raises InvalidGraph for one that is out of range or given twice."""
    found = tuple(a + rank if a < 0 else a for a in axes)
    if any(not 0 <= a < rank for a in found) or len(set(found)) != len(found):
        raise InvalidGraph(op.label, f"its axes {tuple(axes)} are not axes of a tensor with {rank}")
    return found


def _resolve(op: Op, sizes: tuple[int, ...], target: Sequence[int], allowzero: bool) -> tuple[int, ...]:
    if any(t < -1 for t in target) or sum(t == -1 for t in target) > 1:
        raise InvalidGraph(op.label, f"its target {tuple(target)} is no shape")
    if not allowzero and any(t == 0 and i >= len(sizes) for i, t in enumerate(target)):
        raise InvalidGraph(op.label, f"its target {tuple(target)} keeps an axis that {sizes} does not have")
    known = [sizes[i] if t == 0 and not allowzero else t for i, t in enumerate(target)]
    rest = math.prod(k for k in known if k != -1)
    total = math.prod(sizes)
    if -1 in known and (rest == 0 or total % rest):
        raise InvalidGraph(op.label, f"its target {tuple(target)} does not divide the {total} values of {sizes}")
    return tuple(total // rest if k == -1 else k for k in known)


def _mixes(op: Op, batch: Batch) -> UnsupportedNode:
    return UnsupportedNode(
        op.label,
        f"it moves the batch axis of {batch.size} samples or mixes it with others",
        "Export the model with an open batch size, or with batch size 1",
    )
