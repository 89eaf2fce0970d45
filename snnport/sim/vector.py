"""Additions of narrow codes to a wide state, a few lanes at a time: the inner loops of every delivery.

numba's own loop vectoriser wins nothing on the short runs of a convolution (30 codes for a 5 x 5 kernel with 6 channels),
so the lanes are spelled as LLVM vector operations, which every processor that LLVM knows can execute.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_njit: Any = njit
inner = _njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy", _nrt=False)
"""Decorator of functions that only compiled code calls; the caller's cache entry holds them."""


def lane_pointer(context: Any, builder: Any, array_type: Any, array: Any, offset: Any, lanes: int) -> tuple[Any, Any, int]:
    """Pointer to `lanes` entries of a one-dimensional array from `offset` on, their vector type, and their alignment."""
    item = context.get_data_type(array_type.dtype)
    data = context.make_array(array_type)(context, builder, array).data
    vector = ir.VectorType(item, lanes)
    pointer = builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())
    return pointer, vector, array_type.dtype.bitwidth // 8


def _widened(builder: Any, value: Any, wide: Any) -> Any:
    return value if value.type == wide else builder.sext(value, wide)


def _make_add(lanes: int, scaled: bool) -> Any:
    """state[so : so + lanes] += factor * codes[co : co + lanes]; the factor is left out unless `scaled`."""

    @intrinsic
    def add(_typing: Any, state: Any, so: Any, codes: Any, co: Any, factor: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            state_type, _, codes_type, _, _ = signature.args
            target, wide, align = lane_pointer(context, builder, state_type, args[0], args[1], lanes)
            source, _, code_align = lane_pointer(context, builder, codes_type, args[2], args[3], lanes)
            value = _widened(builder, builder.load(source, align=code_align), wide)
            if scaled:
                item = wide.element
                one = args[4] if args[4].type == item else builder.trunc(args[4], item)
                vector = ir.Constant(wide, ir.Undefined)
                for lane in range(lanes):
                    vector = builder.insert_element(vector, one, ir.Constant(ir.IntType(32), lane))
                value = builder.mul(value, vector)
            builder.store(builder.add(builder.load(target, align=align), value), target, align=align)
            return context.get_dummy_value()

        return types.void(state, so, codes, co, factor), codegen

    return add


def _make_add_four(lanes: int) -> Any:
    """state[so : so + lanes] += the sum of four runs of codes. 8-bit codes are summed in 16 bits, which hold 4 * 128."""

    @intrinsic
    def add(_typing: Any, state: Any, so: Any, codes: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            state_type, _, codes_type = signature.args[:3]
            target, wide, align = lane_pointer(context, builder, state_type, args[0], args[1], lanes)
            middle = ir.VectorType(ir.IntType(16), lanes) if codes_type.dtype.bitwidth == 8 else wide
            parts = []
            for offset in args[3:]:
                source, _, code_align = lane_pointer(context, builder, codes_type, args[2], offset, lanes)
                parts.append(_widened(builder, builder.load(source, align=code_align), middle))
            total = builder.add(builder.add(parts[0], parts[1]), builder.add(parts[2], parts[3]))
            value = builder.add(builder.load(target, align=align), _widened(builder, total, wide))
            builder.store(value, target, align=align)
            return context.get_dummy_value()

        return types.void(state, so, codes, a, b, c, d), codegen

    return add


_add16, _add8, _add4, _add1 = (_make_add(lanes, scaled=False) for lanes in (16, 8, 4, 1))
_scaled8, _scaled1 = (_make_add(lanes, scaled=True) for lanes in (8, 1))
_four32, _four8, _four1 = (_make_add_four(lanes) for lanes in (32, 8, 1))


@inner
def add_run(state: Any, so: Any, codes: Any, co: Any, n: Any) -> None:
    """state[so : so + n] += codes[co : co + n]."""
    k = 0
    while k + 16 <= n:
        _add16(state, so + k, codes, co + k, 1)
        k += 16
    if k + 8 <= n:
        _add8(state, so + k, codes, co + k, 1)
        k += 8
    if k + 4 <= n:
        _add4(state, so + k, codes, co + k, 1)
        k += 4
    while k < n:
        _add1(state, so + k, codes, co + k, 1)
        k += 1


@inner
def add_scaled_run(state: Any, so: Any, codes: Any, co: Any, n: Any, factor: Any) -> None:
    """state[so : so + n] += factor * codes[co : co + n]."""
    k = 0
    while k + 8 <= n:
        _scaled8(state, so + k, codes, co + k, factor)
        k += 8
    while k < n:
        _scaled1(state, so + k, codes, co + k, factor)
        k += 1


@inner
def add_four_runs(state: Any, so: Any, codes: Any, a: Any, b: Any, c: Any, d: Any, n: Any) -> None:
    """state[so : so + n] += the four runs of n codes that start at a, b, c and d: one pass over the state for four spikes."""
    k = 0
    while k + 32 <= n:
        _four32(state, so + k, codes, a + k, b + k, c + k, d + k)
        k += 32
    while k + 8 <= n:
        _four8(state, so + k, codes, a + k, b + k, c + k, d + k)
        k += 8
    while k < n:
        _four1(state, so + k, codes, a + k, b + k, c + k, d + k)
        k += 1
