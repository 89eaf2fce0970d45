"""A projection of any codes as planes: several synapses from one neuron to another, each plane with a weight exponent.

A plane of one sign holds 0..255 in magnitude, one of both signs the even numbers -256..254 (lava-nc 0.10.0,
utils/weightutils.py), and shifts what it adds by its exponent, -7..7. Codes of both signs within -128..127, odd ones too, are
one plane: it holds twice the code, and an exponent of -1 halves the sum, exactly. The planes of a projection add up to its
codes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from snnport.fixed import IntArray, narrowest
from snnport.passes.quantize_planes import MOST_EXPONENT, PLANE_TOP
from snnport.program import Conv, Dense, Diagonal, Projection, Sparse

HALF = (PLANE_TOP + 1) // 2


def fits_one(projection: Projection) -> bool:
    """Whether one plane without an exponent holds the codes."""
    codes = projection.synapse.codes
    low, high = int(codes.min(initial=0)), int(codes.max(initial=0))
    if low < 0 < high:
        even = low >= -PLANE_TOP - 1 and high < PLANE_TOP and not np.any(codes % 2)
        return even or (low >= -HALF and high < HALF)
    return max(-low, high) <= PLANE_TOP


def planes_of(projection: Projection) -> tuple[Projection, ...]:
    """`projection` as planes that a chip holds, itself where one is enough. Codes beyond 255 * 2^7 stay too large."""
    if fits_one(projection):
        return (projection,)
    codes = projection.synapse.codes.astype(np.int64)
    found = []
    for sign, mark in ((1, "+"), (-1, "-")):
        size = np.maximum(sign * codes, 0)
        for exponent, part in digits(size):
            name = f"{projection.name}{mark}{exponent}"
            found.append(_with(projection, name, sign * part, projection.exponent + exponent))
    return tuple(found)


def digits(size: IntArray) -> list[tuple[int, IntArray]]:
    """(exponent, digits 0..255) whose shifted sum is `size`: one where its lowest bits are 0, else a coarse and a fine."""
    top = int(size.max(initial=0))
    if not top:
        return []
    common = int(np.bitwise_or.reduce(size.reshape(-1)))
    shared = min((common & -common).bit_length() - 1, MOST_EXPONENT)
    exponent = next((e for e in range(MOST_EXPONENT) if top >> e <= PLANE_TOP), MOST_EXPONENT)
    if exponent <= shared:
        return [(exponent, size >> exponent)]
    parts = [(exponent, size >> exponent), (0, size & ((1 << exponent) - 1))]
    return [(e, part) for e, part in parts if part.any()]


def _with(projection: Projection, name: str, codes: IntArray, exponent: int) -> Projection:
    small: Any = codes.astype(narrowest(int(codes.min(initial=0)), int(codes.max(initial=0))))
    synapse: Dense | Diagonal | Conv | Sparse = projection.synapse
    if isinstance(synapse, Sparse):
        kept = small != 0
        synapse = replace(synapse, codes=small[kept], target=synapse.target[kept], source=synapse.source[kept])
    else:
        synapse = replace(synapse, codes=small)
    return replace(projection, name=name, synapse=synapse, exponent=exponent)
