"""Integer arithmetic of fixed width: the rounding and overflow rules that the targets name.

Every function takes and returns integers (Python's or numpy's) and never goes through floating point.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

IntArray: TypeAlias = npt.NDArray[np.integer]


def signed_range(bits: int) -> tuple[int, int]:
    """Least and greatest value of a two's complement integer of `bits` bits."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def signed_bits(low: int, high: int) -> int:
    """The fewest bits of a two's complement integer that holds both `low` and `high`."""
    need_high = max(int(high), 0).bit_length()
    need_low = (max(-int(low), 0) - 1).bit_length() if low < 0 else 0
    return max(need_high, need_low) + 1


def narrowest(low: int, high: int) -> np.dtype[np.signedinteger]:
    """The narrowest signed numpy type that holds both `low` and `high`."""
    bits = signed_bits(low, high)
    for width in (8, 16, 32, 64):
        if bits <= width:
            return np.dtype(f"int{width}")
    raise OverflowError(f"[{low}, {high}] needs {bits} bits")
