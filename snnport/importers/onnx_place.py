"""Where the parts of a tensor lie in it, if it is a map and they are maps: for each axis a first entry and a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnport.importers.onnx_view import NUMBER, ZERO, Index
from snnport.nodes import Shape

Pair = tuple[int, int]
Mask = npt.NDArray[np.bool_]
MOST_PLACES = 25
"""Places of one part: a border of two reflected rows and columns on each side has as many."""


@dataclass(frozen=True, eq=False)
class Place:
    """One part of a map: map[c, y, x] = part[channels[c], first[0] + step[0] * y, first[1] + step[1] * x].

    It is 0 where channels[c] is ZERO or that place lies outside of the part. size: of the part as the file sees it;
    turned: in the graph its height and width are swapped. whole: the part is the map, in its order.
    """

    number: int
    channels: Index
    first: Pair
    step: Pair
    size: tuple[int, int, int]
    turned: bool
    whole: bool

    @property
    def aligned(self) -> bool:
        """Whether every channel is one of the part, position by position."""
        return self.first == (0, 0) and self.step == (1, 1)


def places_of(index: Index, shapes: Sequence[Shape]) -> tuple[Place, ...] | None:
    """The places of the parts, of these shapes, in the map `index` (channels, height, width); None if there is one without.

    A part of which rows or columns come more than once (a reflected border) has a place for each run of them.
    """
    found: list[Place] = []
    for number, shape in enumerate(shapes):
        mask = (index >> NUMBER) == number
        if not mask.any():
            continue
        own: tuple[Place, ...] = ()
        if len(shape) == 3:
            own = _places(index, mask, number, shape, turned=False) or _places(index, mask, number, shape, turned=True)
        if not own:
            return None
        found += own
    return tuple(found) or None


def _places(index: Index, mask: Mask, number: int, shape: Shape, *, turned: bool) -> tuple[Place, ...]:
    lines: list[Mask] = [np.asarray(mask.any(axis=tuple(b for b in range(3) if b != axis))) for axis in range(3)]
    if not np.array_equal(mask, lines[0][:, None, None] & lines[1][None, :, None] & lines[2][None, None, :]):
        return ()
    c, y, x = np.unravel_index(np.where(mask, index & ((1 << NUMBER) - 1), 0), shape)
    size = shape[0], shape[1], shape[2]
    if turned:
        y, x, size = x, y, (size[0], size[2], size[1])
    at = [int(np.flatnonzero(line)[0]) for line in lines]
    channels = np.where(lines[0], c[:, at[1], at[2]], ZERO)
    rows, columns = y[at[0], :, at[2]], x[at[0], at[1], :]
    same = (c == channels[:, None, None]) & (y == rows[None, :, None]) & (x == columns[None, None, :])
    if not same[mask].all():
        return ()
    vertical, horizontal = _runs(lines[1], rows, size[1]), _runs(lines[2], columns, size[2])
    if len(vertical) * len(horizontal) > MOST_PLACES:
        return ()
    alone = index.shape == size and np.array_equal(channels, np.arange(size[0]))
    return tuple(
        Place(number, channels, (v[0], h[0]), (v[1], h[1]), size, turned, alone and (*v, *h) == (0, 1, 0, 1))
        for v in vertical
        for h in horizontal
    )


def _runs(valid: Mask, where: Index, length: int) -> list[Pair]:
    """(first, step) of each run of an axis: its entries i are where[i] = first + step * i, all that lie in 0..length-1."""
    found: list[Pair] = []
    left = valid.copy()
    while left.any():
        run = _longest_run(left, where)
        line = _line(run, where, length)
        if line is None:
            run = _first(left)
            line = _line(run, where, length)
        if line is None or len(found) > MOST_PLACES:
            return [(0, 1)] * (MOST_PLACES + 1)
        found.append(line)
        left = left & ~run
    return found


def _longest_run(left: Mask, where: Index) -> Mask:
    """The longest stretch of entries that rise by one step, the first of them; else the first entry alone."""
    step = np.where(left[1:] & left[:-1], np.maximum(np.diff(where), 0), 0)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(step)) + 1])
    length = np.diff(np.append(starts, len(step))) * (step[starts] > 0) if len(step) else np.zeros(1, np.int64)
    longest = int(np.argmax(length))
    if not length[longest]:
        return _first(left)
    run = np.zeros_like(left)
    run[starts[longest] : starts[longest] + length[longest] + 1] = True
    return run


def _first(left: Mask) -> Mask:
    run = np.zeros_like(left)
    run[np.argmax(left)] = True
    return run


def _line(valid: Mask, where: Index, length: int) -> Pair | None:
    """(first, step) of an axis: entry i is where[i] = first + step * i if that is in 0..length-1, else there is none."""
    found = np.flatnonzero(valid)
    step = 1
    if len(found) > 1:
        step = int(where[found[1]] - where[found[0]])
    elif len(valid) > 1:
        step = length
    first = int(where[found[0]]) - step * int(found[0])
    expected = first + step * np.arange(len(valid))
    if step < 1 or not np.array_equal((expected >= 0) & (expected < length), valid):
        return None
    return (first, step) if np.array_equal(expected[valid], where[valid]) else None
