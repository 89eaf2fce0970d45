"""Several neighbouring neurons meet an event at once: the inner loop of async_kernel.py as LLVM vectors, as in vector.py."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from snnport.sim.vector import lane_pointer

LANES = 8
FEW = 4


def _make_meet(lanes: int) -> Any:
    """v = min(max(v + code, low), high) in `lanes` neurons from `so` on, with their codes from `co` on.

    Returns how many were clipped times 256, plus how many are at or above theta. Codes have 16 or 32 bits, v 32.
    """

    @intrinsic
    def meet(_typing: Any, v: Any, so: Any, codes: Any, co: Any, theta: Any, low: Any, high: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            target, wide, align = lane_pointer(context, builder, signature.args[0], args[0], args[1], lanes)
            source, _, code_align = lane_pointer(context, builder, signature.args[2], args[2], args[3], lanes)
            code = builder.load(source, align=code_align)
            code = code if code.type == wide else builder.sext(code, wide)
            bounds = [_spread(builder, args[4 + i], wide, lanes) for i in range(3)]
            x = builder.add(builder.load(target, align=align), code)
            y = builder.select(builder.icmp_signed("<", x, bounds[1]), bounds[1], x)
            y = builder.select(builder.icmp_signed(">", y, bounds[2]), bounds[2], y)
            builder.store(y, target, align=align)
            clipped = _ones(builder, builder.icmp_signed("!=", x, y), lanes)
            fires = _ones(builder, builder.icmp_signed(">=", y, bounds[0]), lanes)
            return builder.add(builder.shl(clipped, ir.Constant(clipped.type, 8)), fires)

        return types.int64(v, so, codes, co, theta, low, high), codegen

    return meet


def _spread(builder: Any, value: Any, wide: Any, lanes: int) -> Any:
    """A vector of `lanes` times `value`."""
    one = builder.insert_element(ir.Constant(wide, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(one, ir.Constant(wide, ir.Undefined), mask)


def _ones(builder: Any, mask: Any, lanes: int) -> Any:
    """How many lanes of a mask are set, as 64 bits."""
    bits = builder.zext(builder.bitcast(mask, ir.IntType(lanes)), ir.IntType(64))
    return builder.ctpop(bits)


meet_eight = _make_meet(LANES)
meet_four = _make_meet(FEW)
