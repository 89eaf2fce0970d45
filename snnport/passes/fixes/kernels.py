"""Kernels that hold the same weights in another form: spread, ungrouped, square with equal padding, joined with a pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.nodes import conv_padding, pair, ungrouped, window_positions
from snnport.passes.fixes.base import altered

Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Limits:
    """What a chip's cores take. kernel, padding: the greatest of a side; strides: which there are."""

    kernel: int
    padding: int
    strides: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Form:
    """Weights (out, in, kh, kw) with their place. padding: (top, left, bottom, right)."""

    weight: Weights
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]

    def positions(self, size: tuple[int, int]) -> tuple[int, int]:
        """How many windows fit a map of `size`."""
        return window_positions(size, self.weight.shape[2:], self.stride, self.padding)


def form_of(node: nir.Conv2d) -> Form:
    """A convolution without dilation and groups: spread with zeros."""
    full = spread(ungrouped(node) if int(node.groups) != 1 else np.asarray(node.weight, np.float64), pair(node.dilation))
    return Form(full, pair(node.stride), conv_padding(node))


def spread(weight: Weights, dilation: tuple[int, int]) -> Weights:
    """The kernel with dilation - 1 rows and columns of zeros between its own."""
    out, inputs, height, width = weight.shape
    wide = np.zeros((out, inputs, (height - 1) * dilation[0] + 1, (width - 1) * dilation[1] + 1))
    wide[:, :, :: dilation[0], :: dilation[1]] = weight
    return wide


def written(node: Any, form: Form) -> nir.Conv2d:
    """The convolution `node` with the weights and place of `form`, whose padding must be equal on opposite sides."""
    top, left, bottom, right = form.padding
    assert (top, left) == (bottom, right)
    result: nir.Conv2d = altered(node, weight=form.weight, stride=form.stride, padding=(top, left), dilation=(1, 1), groups=1)
    return result


def regular(form: Form, size: tuple[int, int], limits: Limits, least: int = 1) -> Form | None:
    """The same convolution of maps of `size`, with a square kernel of at least `least`, equal padding and a stride there is.

    Zeros around the kernel change no sum; rows that only hold zeros may go. A stride that makes a single window may be
    any. The smallest kernel that does it, None if no kernel within `limits` does.
    """
    windows = form.positions(size)
    axes = [_axis(form, axis, size[axis], windows[axis], limits) for axis in (0, 1)]
    for kernel in range(least, limits.kernel + 1):
        choices = [next((c for c in options if c[0] == kernel), None) for options in axes]
        if None in choices:
            continue
        y, x = choices
        assert y is not None
        assert x is not None
        weight = _placed(form, (kernel, kernel), (y[1], x[1]))
        return Form(weight, (y[2], x[2]), (y[1], x[1], y[1], x[1]))
    return None


def _axis(form: Form, axis: int, size: int, windows: int, limits: Limits) -> list[tuple[int, int, int]]:
    """(kernel, padding, stride) along one axis that reach every weight and give as many windows, smallest kernels first."""
    first, last = _reach(form, axis)
    strides = [form.stride[axis]] if windows > 1 else [form.stride[axis], *limits.strides]
    found = []
    for padding in range(max(0, -first), limits.padding + 1):
        for kernel in range(last + 1 + padding, limits.kernel + 1):
            room = size + 2 * padding - kernel
            fits = [s for s in strides if s in limits.strides and room >= 0 and room // s + 1 == windows]
            found += [(kernel, padding, s) for s in fits[:1] if kernel >= 1]
    return sorted(found)


def _reach(form: Form, axis: int) -> tuple[int, int]:
    """The first and last input position that weights see along an axis, counted from where a window's padding ends."""
    other = (0, 1, 3) if axis == 0 else (0, 1, 2)
    used = np.flatnonzero(np.any(form.weight != 0, axis=other))
    if not len(used):
        return 0, 0
    return int(used[0]) - form.padding[axis], int(used[-1]) - form.padding[axis]


def _placed(form: Form, kernel: tuple[int, int], padding: tuple[int, int]) -> Weights:
    """The weights in a kernel of another size, so that each sees the input it saw."""
    out, inputs = form.weight.shape[:2]
    weight = np.zeros((out, inputs, *kernel))
    for i in range(form.weight.shape[2]):
        for j in range(form.weight.shape[3]):
            y, x = i - form.padding[0] + padding[0], j - form.padding[1] + padding[1]
            if 0 <= y < kernel[0] and 0 <= x < kernel[1]:
                weight[:, :, y, x] = form.weight[:, :, i, j]
    return weight


def behind_pool(form: Form, pool: Sequence[tuple[int, int]], padding: tuple[int, int], size: tuple[int, int]) -> Form | None:
    """The convolution of a map of `size` that sums as `form` does behind a sum pooling; None where they differ at the rim.

    pool: (kernel, stride) of the pooling in y and in x. Padding of the pooled map is zeros, which the window of a
    convolution only equals where the pooling windows beyond the rim hold no input.
    """
    kernels, strides = (tuple(axis[i] for axis in pool) for i in (0, 1))
    pooled = window_positions(size, kernels, strides, (*padding, *padding))
    for axis in (0, 1):
        kernel, stride = pool[axis]
        before, after = form.padding[axis] > 0, form.padding[axis + 2] > 0
        if before and kernel > stride + padding[axis]:
            return None
        if after and pooled[axis] * stride - padding[axis] < size[axis]:
            return None
    out, inputs, height, width = form.weight.shape
    wide = np.zeros((out, inputs, (height - 1) * strides[0] + kernels[0], (width - 1) * strides[1] + kernels[1]))
    for i in range(height):
        for j in range(width):
            rows, columns = (
                slice(i * strides[0], i * strides[0] + kernels[0]),
                slice(j * strides[1], j * strides[1] + kernels[1]),
            )
            wide[:, :, rows, columns] += form.weight[:, :, i : i + 1, j : j + 1]
    y, x = (form.padding[axis] * strides[axis] + padding[axis] for axis in (0, 1))
    joined = Form(wide, (form.stride[0] * strides[0], form.stride[1] * strides[1]), (y, x, y, x))
    return joined if joined.positions(size) == form.positions(pooled) else None
