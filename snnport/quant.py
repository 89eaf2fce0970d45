"""Quantised tensors: integer codes, the real value of one code, and the width of a code."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph
from snnport.fixed import IntArray, signed_range

MAX_CODE = 1 << 52
"""Beyond this every float64 is an integer, so that codes could not be told from noise."""


@dataclass(frozen=True, eq=False)
class QTensor:
    """real = codes * scale, with every code inside the two's complement range of `bits` bits."""

    codes: IntArray
    scale: float
    bits: int

    def __post_init__(self) -> None:
        low, high = signed_range(self.bits)
        if self.codes.size and (self.codes.min() < low or self.codes.max() > high):
            raise InvalidGraph(
                "quantised tensor",
                f"codes span {self.codes.min()}..{self.codes.max()}, {self.bits} bits hold {low}..{high}",
                "Use more bits or a larger scale",
            )

    @property
    def real(self) -> npt.NDArray[np.float64]:
        """The real values the codes stand for, float64."""
        return self.codes.astype(np.float64) * self.scale


def round_half_even(values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Nearest integers, ties to even (numpy's and torch's rule)."""
    return np.rint(np.asarray(values, np.float64)).astype(np.int64)


def codes_of(values: npt.ArrayLike, scale: float, where: str, tolerance: float = 1e-3) -> npt.NDArray[np.int64]:
    """The integer codes that real `values` were made of with `scale`.

    Raises InvalidGraph if some value lies further than `tolerance` codes from an integer or beyond MAX_CODE, that is, if
    the values were not made with this scale.
    """
    with np.errstate(all="ignore"):  # a scale of 0 or an infinite value gives no number, which `worst` shows
        ratio = np.asarray(values, np.float64) / scale
        codes = np.rint(ratio)
        worst = float(np.abs(ratio - codes).max(initial=0.0))
    remedy = "The file was edited after quantisation; quantise it again"
    if not worst <= tolerance:
        raise InvalidGraph(where, f"its values are {worst:.3g} codes away from multiples of its scale {scale:.6g}", remedy)
    if np.abs(codes).max(initial=0.0) > MAX_CODE:
        raise InvalidGraph(where, f"it holds a code beyond {MAX_CODE}", remedy)
    return codes.astype(np.int64)
