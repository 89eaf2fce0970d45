"""Dense codes in tiles of targets, and the sum of the rows of a tile: the weights of a tile stay in the nearest cache.

A tile holds the codes of LANES neighbouring targets (the last one possibly of NARROW), source after source. 8-bit codes are
summed in 16 bits, which hold 255 of them, and widened only then.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from snnport.sim.vector import add_scaled_run, inner, lane_pointer

LANES, NARROW = 64, 16
MOST_ROWS = 255
"""Rows of 8-bit codes that 16 bits hold: 255 * 128 < 2^15."""


def tile_count(targets: int) -> int:
    """Tiles of so many targets."""
    return -(-targets // LANES)


def in_tiles(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Codes (source, target) tile after tile, each (source, lanes), zeros behind the last target; flat."""
    parts = []
    for start in range(0, rows.shape[1], LANES):
        part = rows[:, start : start + LANES]
        lanes = LANES if part.shape[1] > NARROW else NARROW
        parts.append(np.pad(part, ((0, 0), (0, lanes - part.shape[1]))).ravel())
    return np.concatenate(parts) if parts else rows.ravel()


@inner
def lanes_of(size: Any) -> Any:
    """Lanes of a tile of `size` targets."""
    return LANES if size > NARROW else NARROW


def _make_sum(lanes: int) -> Any:
    """out[o : o + lanes] += the sum over e < n of codes[base + index[first + e] * lanes :][:lanes]."""
    width = min(lanes, 32)
    zero = ir.Constant(ir.IntType(64), 0)

    @intrinsic
    def total(_typing: Any, out: Any, o: Any, codes: Any, base: Any, index: Any, first: Any, n: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kinds = signature.args
            item = context.get_data_type(kinds[0].dtype)
            narrow = ir.IntType(16) if kinds[2].dtype.bitwidth == 8 else item
            vector = ir.VectorType(narrow, width)
            sums = [cgutils.alloca_once(builder, vector) for _ in range(0, lanes, width)]
            for place in sums:
                builder.store(ir.Constant(vector, None), place)
            events, _, _ = lane_pointer(context, builder, kinds[4], args[4], args[5], 1)
            events = builder.bitcast(events, context.get_data_type(kinds[4].dtype).as_pointer())
            with cgutils.for_range(builder, args[6]) as loop:
                source = builder.zext(builder.load(builder.gep(events, [loop.index])), zero.type)
                row = builder.add(args[3], builder.mul(source, ir.Constant(zero.type, lanes)))
                for i, place in enumerate(sums):
                    at = builder.add(row, ir.Constant(zero.type, i * width))
                    pointer, _, align = lane_pointer(context, builder, kinds[2], args[2], at, width)
                    value = builder.load(pointer, align=align)
                    value = value if value.type == vector else builder.sext(value, vector)
                    builder.store(builder.add(builder.load(place), value), place)
            wide = ir.VectorType(item, width)
            for i, place in enumerate(sums):
                at = builder.add(args[1], ir.Constant(zero.type, i * width))
                pointer, _, align = lane_pointer(context, builder, kinds[0], args[0], at, width)
                value = builder.load(place)
                value = value if value.type == wide else builder.sext(value, wide)
                builder.store(builder.add(builder.load(pointer, align=align), value), pointer, align=align)
            return context.get_dummy_value()

        i64 = types.int64
        return types.void(out, i64, codes, i64, index, i64, i64), codegen

    return total


_sum64, _sum16 = _make_sum(LANES), _make_sum(NARROW)


@inner
def add_lists(out: Any, codes: Any, base: Any, lanes: Any, index: Any, count: Any, spans: Any) -> None:
    """out[i * LANES :][:lanes] += the rows of the spikes index/count[first : first + n] of each step i, of the tile at `base`.

    spans (steps, 3): first, n, and whether any count is not 1, so that rows take a factor.
    """
    for i in range(spans.shape[0]):
        first, n = spans[i, 0], spans[i, 1]
        if spans[i, 2]:
            for e in range(first, first + n):
                row = base + index[np.uint64(e)] * lanes
                add_scaled_run(out, i * LANES, codes, row, lanes, np.int64(count[np.uint64(e)]))
            continue
        done = 0
        while done < n:
            m = min(n - done, MOST_ROWS)
            if lanes == LANES:
                _sum64(out, i * LANES, codes, base, index, first + done, m)
            else:
                _sum16(out, i * LANES, codes, base, index, first + done, m)
            done += m
