"""Proof that a pass kept what a network computes: both graphs run on the same samples, the largest error is reported."""

from __future__ import annotations

import numpy as np

from snnport.errors import PassFailed
from snnport.graph import Graph, shapes, the_input
from snnport.passes.base import Context
from snnport.passes.split_signed_input import entering
from snnport.reference import forward

RELATIVE_BOUND = 1e-9
"""float64 rounding over a few thousand terms stays well below; a wrong rule does not."""

PROOF_SAMPLES = 32


def same_output(before: Graph, after: Graph, ctx: Context, spelling: str) -> None:
    """Raise PassFailed unless both graphs agree to RELATIVE_BOUND of their largest output; record the largest error.

    Runs on the first calibration samples, or on seeded uniform samples in -1..1 where there are none.
    """
    x = ctx.calibration
    if x is None or not len(x):
        x = np.random.default_rng(0).uniform(-1, 1, (8, *shapes(before)[the_input(before)]))
    x = entering(before, x[:PROOF_SAMPLES])
    expected, actual = forward(before, x), forward(after, x)
    error = float(np.abs(expected - actual).max(initial=0.0))
    size = float(np.abs(expected).max(initial=0.0))
    ctx.find(spelling, largest_error=error, largest_output=size, samples=len(x))
    if not error <= RELATIVE_BOUND * max(size, 1.0):
        raise PassFailed(spelling, f"outputs changed by up to {error:.3g} of {size:.3g}, the bound is {RELATIVE_BOUND:g}")
