"""Max pooling of messages: a tree of max(a, b) = b + relu(a - b), first over the columns of a window, then over its rows.

A value is carried by one neuron ("pass") or by two whose messages add up ("pass" b and "rise" relu(a - b)). A level of the tree
takes one step: each pair of values becomes such a pair of neurons, a value without a partner is passed on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snnport.fixed import IntArray
from snnport.nodes import MaxPool2d, window_positions

Group = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Level:
    """One level of the tree over one channel. left, right (n,): the values that item i is the maximum of; right -1 for none."""

    left: IntArray
    right: IntArray


def tree(pool: MaxPool2d, size: tuple[int, int]) -> tuple[Level, ...]:
    """The levels over a map (height, width); the items of the last one are the windows in C order.

    Items of the first level refer to places of the map in C order, those of any other to items of the level before. Values
    that several windows need are computed once.
    """
    height, width = size
    rows, columns = window_positions(size, pool.kernel_size, pool.stride, pool.padding)
    of_row = [_inside(pool, 0, y, height) for y in range(rows)]
    of_column = [_inside(pool, 1, x, width) for x in range(columns)]
    used = sorted({y for ys in of_row for y in ys})
    across = [tuple(y * width + x for x in xs) for y in used for xs in of_column]
    levels, values = _reduced(across, _depth(pool.kernel_size[1]))
    at = {(y, x): values[i * columns + x] for i, y in enumerate(used) for x in range(columns)}
    down = [tuple(at[y, x] for y in ys) for ys in of_row for x in range(columns)]
    more, values = _reduced(down, _depth(pool.kernel_size[0]))
    every = [*levels, *more]
    if not every:
        every = [_level([(v, -1) for v in values])]
        values = list(range(len(values)))
    last = every[-1]
    every[-1] = Level(last.left[values], last.right[values])
    return tuple(every)


def _depth(size: int) -> int:
    return (size - 1).bit_length()


def _inside(pool: MaxPool2d, axis: int, position: int, size: int) -> range:
    first = position * pool.stride[axis] - pool.padding[axis]
    return range(max(first, 0), min(first + pool.kernel_size[axis], size))


def _reduced(groups: Sequence[Group], depth: int) -> tuple[list[Level], list[int]]:
    """`depth` levels after which every group is one value, and which value that is. Groups share what they have in common."""
    levels = []
    for _ in range(depth):
        items: dict[tuple[int, int], int] = {}
        shorter = []
        for group in groups:
            pairs = [(group[i], group[i + 1] if i + 1 < len(group) else -1) for i in range(0, len(group), 2)]
            shorter.append(tuple(items.setdefault(pair, len(items)) for pair in pairs))
        levels.append(_level(list(items)))
        groups = shorter
    return levels, [group[0] for group in groups]


def _level(pairs: list[tuple[int, int]]) -> Level:
    both = np.array(pairs, np.int64).reshape(-1, 2)
    return Level(both[:, 0], both[:, 1])
