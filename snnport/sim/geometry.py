"""Where the spikes of a map go: taps of convolutions and poolings, and the order in which the engine stores a map.

The engine keeps maps with the channels last, so that the targets of one spike in one row lie side by side: the taps of a
source at (y, x) are `Taps` along y times `Taps` along x, each pair followed by a run over the output channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph
from snnport.program import Conv, Population, Projection, SumPool

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Taps:
    """Along one axis: source[i] reaches target[i] through kernel entry kernel[i]. sources, targets: lengths of the axes."""

    source: Ints
    target: Ints
    kernel: Ints
    sources: int
    targets: int

    def per_source(self) -> Ints:
        """Number of taps of each source (sources,)."""
        return np.bincount(self.source, minlength=self.sources)

    def gathered(self, table: Ints, axis: int) -> Ints:
        """`table` with its target axis replaced by the source axis: the sum over the taps of each source."""
        moved = np.moveaxis(table, axis, 0)
        result = np.zeros((self.sources, *moved.shape[1:]), np.int64)
        for k in np.unique(self.kernel):
            chosen = self.kernel == k
            result[self.source[chosen]] += moved[self.target[chosen]]
        return np.moveaxis(result, 0, axis)


def taps(size: int, kernel: int, stride: int, before: int, after: int, dilation: int, where: str) -> Taps:
    """The taps along one axis of length `size`. Raises InvalidGraph if nothing fits."""
    if min(size, kernel, stride, dilation) < 1 or min(before, after) < 0:
        raise InvalidGraph(where, f"size {size}, kernel {kernel}, stride {stride}, dilation {dilation} must be at least 1")
    targets = (size + before + after - dilation * (kernel - 1) - 1) // stride + 1
    if targets < 1:
        raise InvalidGraph(where, f"a kernel of {kernel} (dilation {dilation}) does not fit into {size}+{before}+{after}")
    target, tap = np.meshgrid(np.arange(targets), np.arange(kernel), indexing="ij")
    source = target * stride + tap * dilation - before
    inside = (source >= 0) & (source < size)
    order = np.argsort(source[inside], kind="stable")
    return Taps(source[inside][order], target[inside][order], tap[inside][order], size, targets)


def map_taps(window: Conv | SumPool, where: str) -> tuple[Taps, Taps]:
    """The taps along y and along x of a convolution or a pooling."""
    _, height, width = window.input_shape
    kh, kw = window.codes.shape[2:] if isinstance(window, Conv) else window.kernel_size
    dy, dx = window.dilation if isinstance(window, Conv) else (1, 1)
    top, left, bottom, right = window.padding
    return (
        taps(height, kh, window.stride[0], top, bottom, dy, where),
        taps(width, kw, window.stride[1], left, right, dx, where),
    )


def output_shape(window: Conv | SumPool, where: str) -> tuple[int, int, int]:
    """Shape (channels, height, width) behind a convolution or a pooling."""
    y, x = map_taps(window, where)
    channels = window.codes.shape[0] if isinstance(window, Conv) else window.input_shape[0]
    return channels, y.targets, x.targets


@dataclass(frozen=True)
class Layout:
    """Order of a population's neurons inside the engine: `groups` blocks of channels, each (height, width, channels)."""

    shape: tuple[int, int, int]
    groups: int

    @property
    def pitch(self) -> int:
        """Distance of horizontal neighbours."""
        return self.shape[0] // self.groups

    def inside(self) -> Ints:
        """Position inside the engine of every neuron, in C order."""
        channels, height, width = self.shape
        c, position = np.divmod(np.arange(channels * height * width), height * width)
        group, channel = np.divmod(c, self.pitch)
        return (group * height * width + position) * self.pitch + channel


def layout_of(population: Population, incoming: Sequence[Projection]) -> Layout:
    """The layout that makes the runs of the incoming convolutions contiguous; C order where there are none."""
    shapes = {output_shape(p.synapse, p.name) for p in incoming if isinstance(p.synapse, Conv)}
    if not shapes:
        return Layout((population.size, 1, 1), 1)
    fitting = len(shapes) == 1 and np.prod(next(iter(shapes))) == population.size
    if not fitting or (len(population.shape) == 3 and population.shape not in shapes):
        raise InvalidGraph(population.name, f"its shape is {population.shape}, its convolutions give {sorted(shapes)}")
    groups = {p.synapse.groups for p in incoming if isinstance(p.synapse, Conv)}
    return Layout(next(iter(shapes)), groups.pop() if len(groups) == 1 else 1)
