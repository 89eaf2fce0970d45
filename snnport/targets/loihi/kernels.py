"""The synapse lists of a convolution whose kernels are shared among source places.

From a source place the taps of the kernel that hit a target row, and those that hit a target column, say which weights its
spikes need; places with the same taps share one list for each input channel (nengo_loihi 1.1.0, conv.py,
conv2d_loihi_weights). Targets on a core are a range in C order: whole channels, and of at most two channels whole rows and
parts of two rows; every such rectangle has lists of its own, an upper bound where one list could serve two.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np

from snnport.program import Conv
from snnport.targets.synapses import conv_output

Rectangle = tuple[range, range, range]
"""Channels, rows and columns of targets."""


def shared_lists(conv: Conv, start: int, stop: int) -> list[tuple[int, int]]:
    """(synapses of a list, lists of that size) for the targets start..stop-1."""
    _, height, width = conv.input_shape
    per_group, inputs = conv.codes.shape[0] // conv.groups, int(conv.codes.shape[1])
    sizes: Counter[int] = Counter()
    for channels, rows, columns in rectangles(conv_output(conv), start, stop):
        down = _taps(height, conv.codes.shape[2], conv.stride[0], conv.padding[0], conv.dilation[0], rows)
        across = _taps(width, conv.codes.shape[3], conv.stride[1], conv.padding[1], conv.dilation[1], columns)
        first, last = channels.start // per_group, (channels.stop - 1) // per_group
        for group in range(first, last + 1):
            inside = min(channels.stop, (group + 1) * per_group) - max(channels.start, group * per_group)
            for y in down:
                for x in across:
                    sizes[inside * y * x] += inputs
    return sorted(sizes.items())


def rectangles(shape: tuple[int, int, int], start: int, stop: int) -> list[Rectangle]:
    """The range start..stop-1 of a map (channels, height, width) in C order, as rectangles that cover it once."""
    _, height, width = shape
    whole_rows, whole_channels = stop // width * width, stop // (height * width) * (height * width)
    row = min(-(-start // width) * width, stop)
    channel = min(-(-row // (height * width)) * (height * width), max(row, whole_rows))
    after = max(channel, whole_channels)
    cuts = (start, row, channel, after, max(after, whole_rows), stop)
    return [_rectangle(a, b, height, width) for a, b in pairwise(cuts) if a < b]


def _rectangle(start: int, stop: int, height: int, width: int) -> Rectangle:
    channel, place = divmod(start, height * width)
    size = stop - start
    if size % (height * width) == 0 and place == 0:
        return range(channel, channel + size // (height * width)), range(height), range(width)
    row, column = divmod(place, width)
    if size % width == 0 and column == 0:
        return range(channel, channel + 1), range(row, row + size // width), range(width)
    return range(channel, channel + 1), range(row, row + 1), range(column, column + size)


def _taps(size: int, kernel: int, stride: int, before: int, dilation: int, targets: range) -> list[int]:
    """Of each distinct set of taps from a source line to `targets` its size; sources that reach none are left out."""
    source, tap = np.meshgrid(np.arange(size), np.arange(kernel), indexing="ij")
    reach = source + before - tap * dilation
    hit = (reach % stride == 0) & (reach // stride >= targets.start) & (reach // stride < targets.stop)
    return [int(row.sum()) for row in np.unique(hit, axis=0) if row.any()]
