"""Kernel, stride, dilation and padding of sliding windows, as Conv and the pools spell them; 1-D windows get height 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph, UnsupportedNode
from snnport.importers.onnx_node import Op
from snnport.importers.onnx_tensor import MAX_ELEMENTS
from snnport.nodes import window_positions

Pair: TypeAlias = tuple[int, int]
Quad: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True)
class Window:
    """A window (height, width) over a map; padding is (top, left, bottom, right)."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: Quad

    @property
    def symmetric(self) -> bool:
        """Whether top equals bottom and left equals right."""
        return self.padding[:2] == self.padding[2:]

    def positions(self, size: Pair) -> Pair:
        """How many windows fit on a map of `size`: (height, width)."""
        return window_positions(size, self.kernel, self.stride, self.padding, self.dilation)

    def turned(self) -> Window:
        """The same window for a map with height and width swapped."""
        (top, left, bottom, right), swap = self.padding, slice(None, None, -1)
        return Window(self.kernel[swap], self.stride[swap], self.dilation[swap], (left, top, right, bottom))  # type: ignore[arg-type]


@dataclass(frozen=True)
class WindowSpec:
    """What the attributes say; the padding follows from the size of the map. rank: 1 or 2 spatial axes."""

    rank: int
    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: Quad
    auto_pad: str
    ceil_mode: bool

    def on(self, size: Pair) -> Window:
        """The window on a map of `size` (height, width), padding by auto_pad and ceil_mode resolved (ONNX Conv, MaxPool)."""
        window = self.declared(size)
        if not self.ceil_mode or self.auto_pad.startswith("SAME"):
            return window
        padding = window.padding
        bottom, right = (self._ceil_padding(size[i], padding[i], padding[i + 2], i) for i in (0, 1))
        return Window(self.kernel, self.stride, self.dilation, (padding[0], padding[1], bottom, right))

    def declared(self, size: Pair) -> Window:
        """The window with the padding that auto_pad or pads give, without what ceil_mode adds."""
        return Window(self.kernel, self.stride, self.dilation, self._padding(size))

    def _padding(self, size: Pair) -> Quad:
        if self.auto_pad == "NOTSET":
            return self.padding
        if self.auto_pad == "VALID":
            return 0, 0, 0, 0
        span = _span(self.kernel, self.dilation)
        totals = [max((-(-size[i] // self.stride[i]) - 1) * self.stride[i] + span[i] - size[i], 0) for i in (0, 1)]
        small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
        first, last = (small, large) if self.auto_pad == "SAME_UPPER" else (large, small)
        return first[0], first[1], last[0], last[1]

    def _ceil_padding(self, size: int, before: int, after: int, axis: int) -> int:
        """Padding behind so that the last, incomplete window counts, unless it would start behind map and padding before."""
        stride, span = self.stride[axis], _span(self.kernel, self.dilation)[axis]
        count = -(-(size + before + after - span) // stride) + 1
        if (count - 1) * stride >= size + before:
            count -= 1
        return max((count - 1) * stride + span - size - before, after)


def read_window(op: Op, kernel: Sequence[int]) -> WindowSpec:
    """The attributes of a Conv or pool with this `kernel`.

    Raises UnsupportedNode for 3-D windows and negative padding, InvalidGraph for lists of the wrong length.
    """
    rank = len(kernel)
    if rank not in (1, 2):
        raise UnsupportedNode(op.label, f"it has {rank} spatial axes, 1 or 2 are supported")
    declared = op.numbers("kernel_shape")
    if declared is not None and declared != tuple(kernel):
        raise InvalidGraph(op.label, f"its kernel_shape is {declared} and its weight's {tuple(kernel)}")
    auto_pad = op.text("auto_pad", "NOTSET")
    if auto_pad not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise InvalidGraph(op.label, f"its auto_pad is '{auto_pad}'", "NOTSET, VALID, SAME_UPPER and SAME_LOWER exist")
    stride, dilation = _list(op, "strides", rank, 1), _list(op, "dilations", rank, 1)
    pads = _list(op, "pads", 2 * rank, 0)
    if min(*kernel, *stride, *dilation) < 1:
        raise InvalidGraph(op.label, f"its kernel {tuple(kernel)}, strides {stride} or dilations {dilation} are below 1")
    if max(*kernel, *stride, *dilation, *pads) > MAX_ELEMENTS:
        raise InvalidGraph(op.label, f"one of its kernel, strides, dilations or pads is above {MAX_ELEMENTS}")
    if min(pads) < 0:
        raise UnsupportedNode(op.label, f"its padding {pads} is negative", "Crop the input instead")
    first, last = _two(pads[:rank], 0), _two(pads[rank:], 0)
    return WindowSpec(
        rank,
        _two(kernel, 1),
        _two(stride, 1),
        _two(dilation, 1),
        (*first, *last),
        auto_pad,
        bool(op.number("ceil_mode", 0)),
    )


def counts(window: Window, size: Pair, axis: int) -> npt.NDArray[np.int64]:
    """How many elements of each window (without dilation) lie on the map itself, along `axis`."""
    starts = np.arange(window.positions(size)[axis], dtype=np.int64) * window.stride[axis] - window.padding[axis]
    ends = np.minimum(starts + window.kernel[axis], size[axis])
    return np.asarray(np.maximum(ends - np.maximum(starts, 0), 0), np.int64)


def _span(kernel: Pair, dilation: Pair) -> Pair:
    return dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1


def _two(values: Sequence[int], filler: int) -> Pair:
    return (values[0], values[1]) if len(values) == 2 else (filler, values[0])


def _list(op: Op, name: str, length: int, default: int) -> tuple[int, ...]:
    values = op.numbers(name)
    if values is None:
        return (default,) * length
    if len(values) != length:
        raise InvalidGraph(op.label, f"its {name} {values} must be {length} numbers")
    return values
