"""Which of 64 lanes hold something: comparisons of whole vectors as the bits of one integer, and the lowest bit of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from snnport.sim.vector import inner, lane_pointer

LANES, FEW = 64, 16


def _loaded(context: Any, builder: Any, signature: Any, args: Any, place: int, lanes: int) -> tuple[Any, Any, int]:
    """The lanes of the array at `place` of the arguments, from the offset behind it on, their address and alignment."""
    pointer, _, align = lane_pointer(context, builder, signature.args[place], args[place], args[place + 1], lanes)
    return builder.load(pointer, align=align), pointer, align


def _as_bits(builder: Any, lanes: Any) -> Any:
    bits, wide = builder.bitcast(lanes, ir.IntType(lanes.type.count)), ir.IntType(LANES)
    return bits if bits.type == wide else builder.zext(bits, wide)


def _make_reached(lanes: int) -> Any:
    """Bit k is set iff a[ao + k] >= b[bo + k]; both hold `lanes` entries from there."""

    @intrinsic
    def reached(_typing: Any, a: Any, ao: Any, b: Any, bo: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            left, _, _ = _loaded(context, builder, signature, args, 0, lanes)
            right, _, _ = _loaded(context, builder, signature, args, 2, lanes)
            return _as_bits(builder, builder.icmp_signed(">=", left, right))

        return types.uint64(a, ao, b, bo), codegen

    return reached


def _make_fire(lanes: int) -> Any:
    """v[vo + k] += a[ao + k]; where it is >= p[threshold + k] then, it loses that, or becomes p[value + k] if p[reset + k] is
    not 0, and bit k is set."""

    @intrinsic
    def fire(_typing: Any, v: Any, vo: Any, a: Any, ao: Any, p: Any, threshold: Any, reset: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            def row(offset: Any) -> Any:
                pointer, _, align = lane_pointer(context, builder, signature.args[4], args[4], offset, lanes)
                return builder.load(pointer, align=align)

            before, pointer, align = _loaded(context, builder, signature, args, 0, lanes)
            before = builder.add(before, _loaded(context, builder, signature, args, 2, lanes)[0])
            thresholds, resets, values = (row(offset) for offset in args[5:])
            fires = builder.icmp_signed(">=", before, thresholds)
            subtracts = builder.icmp_unsigned("==", resets, ir.Constant(resets.type, None))
            after = builder.select(subtracts, builder.sub(before, thresholds), values)
            builder.store(builder.select(fires, after, before), pointer, align=align)
            return _as_bits(builder, fires)

        return types.uint64(v, vo, a, ao, p, threshold, reset, value), codegen

    return fire


reached, reached_few, reached_one = (_make_reached(lanes) for lanes in (LANES, FEW, 1))
fire, fire_few, fire_one = (_make_fire(lanes) for lanes in (LANES, FEW, 1))


@intrinsic
def nonzero(_typing: Any, a: Any, ao: Any) -> Any:
    """Bit k is set iff a[ao + k] != 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, _, align = lane_pointer(context, builder, signature.args[0], args[0], args[1], LANES)
        lanes = builder.load(pointer, align=align)
        return builder.bitcast(builder.icmp_unsigned("!=", lanes, ir.Constant(lanes.type, None)), ir.IntType(LANES))

    return types.uint64(a, ao), codegen


@intrinsic
def _trailing_zeros(_typing: Any, bits: Any) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


@inner
def lowest(bits: Any) -> Any:
    """Place of the lowest set bit; `bits` is not 0."""
    return np.int64(_trailing_zeros(bits))  # pyright: ignore[reportCallIssue]
