"""Decays as Loihi and the engine's leaky families keep them: whole numbers of 1 / 4096 a step."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from snnport.fixed import IntArray
from snnport.quant import round_half_even

ONE = 4096
"""A decay of 1, that is, of all of the state in one step."""


def decay_code(fraction: npt.ArrayLike) -> IntArray:
    """The 12-bit code of a decay given as a fraction a step: the nearest."""
    return round_half_even(np.asarray(fraction, np.float64) * ONE)
