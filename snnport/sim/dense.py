"""The dense product: the arrivals of a tile for many steps at once, silent sources included.

Where most sources fire, a product of 8-bit counts and 8-bit codes is faster than adding up rows: processors with AVX-512
VNNI multiply and add four pairs a lane in one instruction, exactly (the sums have 32 bits and wrap like those of the rows).
Elsewhere the same is spelled out, for the tests; FAST says which it is, and the engine uses it only where it is fast.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils, config
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

from snnport.sim.tiles import LANES
from snnport.sim.vector import inner, lane_pointer

QUAD = 4
"""Sources that are multiplied together."""
BLOCK = 6
"""Rows of counts that share a load of codes; with LANES targets their sums fill 24 registers."""
_WORDS = 16

_STATED = getattr(config, "CPU_FEATURES", None)
FAST: bool = "+avx512vnni" in (get_host_cpu_features() if _STATED is None else _STATED)
_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_SUMS, _BYTES = ir.VectorType(_I32, _WORDS), ir.VectorType(_I8, LANES)
_UNDEFINED = ir.Constant(_BYTES, ir.Undefined)


def _constant(value: int) -> Any:
    return ir.Constant(_I64, value)


def _picked(builder: Any, a: Any, b: Any, places: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(places)), places))


def _zipped(builder: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """a0 b0 a1 b1 ...: the first and the second half."""
    n = a.type.count
    pairs = [place for i in range(n) for place in (i, n + i)]
    return _picked(builder, a, b, pairs[:n]), _picked(builder, a, b, pairs[n:])


@intrinsic
def _pack_quad(_typing: Any, packed: Any, at: Any, codes: Any, first: Any) -> Any:
    """packed[at + QUAD * k + j] = codes[first + j * LANES + k]: the codes of a lane side by side."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if signature.args[2].dtype.bitwidth == 8:
            rows = []
            for j in range(QUAD):
                place = builder.add(args[3], _constant(j * LANES))
                pointer, _, _ = lane_pointer(context, builder, signature.args[2], args[2], place, LANES)
                rows.append(builder.load(pointer, align=1))
            pairs = ir.VectorType(_I16, LANES // 2)
            left, right = _zipped(builder, rows[0], rows[1]), _zipped(builder, rows[2], rows[3])
            parts = [
                part
                for a, b in zip(left, right, strict=True)
                for part in _zipped(builder, builder.bitcast(a, pairs), builder.bitcast(b, pairs))
            ]
            for j, part in enumerate(parts):
                place = builder.add(args[1], _constant(j * LANES))
                pointer, vector, _ = lane_pointer(context, builder, signature.args[0], args[0], place, LANES)
                builder.store(builder.bitcast(part, vector), pointer, align=1)
        return context.get_dummy_value()

    return types.void(packed, types.int64, codes, types.int64), codegen


def _multiply(builder: Any, total: Any, counts: Any, codes: Any) -> Any:
    """total[k] + the sum over j of counts[QUAD * k + j] (unsigned) * codes[QUAD * k + j] (signed)."""
    if FAST:
        operand = _BYTES if binding.llvm_version_info[0] >= 22 else _SUMS
        kind = ir.FunctionType(_SUMS, [_SUMS, operand, operand])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.vpdpbusd.512")
        return builder.call(function, [total, builder.bitcast(counts, operand), builder.bitcast(codes, operand)])
    wide = ir.VectorType(_I32, LANES)
    products = builder.mul(builder.zext(counts, wide), builder.sext(codes, wide))
    for j in range(QUAD):
        total = builder.add(total, _picked(builder, products, products, list(range(j, LANES, QUAD))))
    return total


def _make_product(rows: int) -> Any:
    """out[o + r * LANES + k] += sum over the sources j of counts[first + r * pitch + j] * code[j, k], for r < rows."""
    tiles = LANES // _WORDS

    @intrinsic
    def product(
        _typing: Any, out: Any, o: Any, counts: Any, first: Any, pitch: Any, packed: Any, start: Any, quads: Any
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kinds = signature.args
            if kinds[0].dtype.bitwidth != 32:
                return context.get_dummy_value()
            sums = [[cgutils.alloca_once(builder, _SUMS) for _ in range(tiles)] for _ in range(rows)]
            targets = []
            for r, row in enumerate(sums):
                for k, place in enumerate(row):
                    at = builder.add(args[1], _constant(r * LANES + k * _WORDS))
                    pointer, _, _ = lane_pointer(context, builder, kinds[0], args[0], at, _WORDS)
                    targets.append((place, pointer))
                    builder.store(builder.load(pointer, align=4), place)
            with cgutils.for_range(builder, args[7]) as loop:
                codes = []
                for k in range(tiles):
                    at = builder.add(args[6], builder.mul(loop.index, _constant(QUAD * LANES)))
                    at = builder.add(at, _constant(k * LANES))
                    pointer, _, _ = lane_pointer(context, builder, kinds[5], args[5], at, LANES)
                    codes.append(builder.load(pointer, align=1))
                for r, row in enumerate(sums):
                    at = builder.add(args[3], builder.mul(args[4], _constant(r)))
                    at = builder.add(at, builder.mul(loop.index, _constant(QUAD)))
                    pointer, _, _ = lane_pointer(context, builder, kinds[2], args[2], at, QUAD)
                    quad = builder.load(builder.bitcast(pointer, _I32.as_pointer()), align=1)
                    lanes = builder.insert_element(ir.Constant(_SUMS, ir.Undefined), quad, ir.Constant(_I32, 0))
                    lanes = builder.bitcast(_picked(builder, lanes, lanes, [0] * _WORDS), _BYTES)
                    for place, code in zip(row, codes, strict=True):
                        builder.store(_multiply(builder, builder.load(place), lanes, code), place)
            for place, pointer in targets:
                builder.store(builder.load(place), pointer, align=4)
            return context.get_dummy_value()

        i64 = types.int64
        return types.void(out, i64, counts, i64, i64, packed, i64, i64), codegen

    return product


_product_block, _product_one = _make_product(BLOCK), _make_product(1)


@inner
def pack(packed: Any, at: Any, codes: Any, first: Any, sources: Any) -> None:
    """Lay out a tile (source, LANES) of 8-bit codes for `add_product`, quads of sources side by side; zeros fill the last."""
    whole = sources - sources % QUAD
    for j in range(0, whole, QUAD):
        _pack_quad(packed, at + j * LANES, codes, first + j * LANES)  # pyright: ignore[reportCallIssue]
    if whole < sources:
        for k in range(LANES):
            for j in range(QUAD):
                code = codes[np.uint64(first + (whole + j) * LANES + k)] if whole + j < sources else 0
                packed[np.uint64(at + whole * LANES + QUAD * k + j)] = code


@inner
def add_product(out: Any, o: Any, rows: Any, counts: Any, first: Any, pitch: Any, packed: Any, start: Any) -> None:
    """out[o + r * LANES :][:LANES] += the arrivals for counts[first + r * pitch :][:pitch], for r < rows.

    pitch: sources, rounded up to whole quads. out has 32 bits (else nothing happens: wide programs have no 8-bit codes).
    """
    quads, r = pitch // QUAD, 0
    while r + BLOCK <= rows:
        _product_block(out, o + r * LANES, counts, first + r * pitch, pitch, packed, start, quads)
        r += BLOCK
    while r < rows:
        _product_one(out, o + r * LANES, counts, first + r * pitch, pitch, packed, start, quads)
        r += 1
