"""How finely the input must count: the fewest levels at which rounding it leaves the network's outputs as they are.

Outputs, not answers, are compared: of the images that it was trained on a network is so sure that rounding changes few answers,
and as many of the next ones as ever. The input's levels are a parameter of their own: only the first window grows with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.encoders import CountEncoder
from snnport.graph import Graph
from snnport.passes.steps import best_step
from snnport.reference import forward

MOST = 256
"""Pixels have 8 bits; more levels than they have tell nothing."""
MOVED = 0.002
"""Share of the outputs' variance that the mean square of their error may have (docs/decisions/0004)."""
SAMPLES = 256
CHUNK = 32


def enough_input_levels(graph: Graph, x: npt.NDArray[np.float64], levels: int, kind: str, signed: bool) -> int:
    """The least of `levels`, twice, four times ... as many (at most 256, at least `levels`) at which rounding the input `x`
    (n, *shape) of the float `graph` moves its outputs by at most 0.2 % of their variance; else the most."""
    x = x[:SAMPLES]
    values = np.abs(x) if signed else np.maximum(x, 0.0)
    exact = _outputs(graph, _entering(x, kind, signed)) if 2 * levels <= MOST else np.empty(0)
    while 2 * levels <= MOST:
        encoder = CountEncoder(kind, best_step(values, values, levels), levels, signed)
        error = np.square(_outputs(graph, encoder.counts(x) * encoder.step) - exact).mean()
        if error <= MOVED * exact.var():
            break
        levels *= 2
    return levels


def _entering(x: npt.NDArray[np.float64], kind: str, signed: bool) -> npt.NDArray[np.float64]:
    if signed and kind == "message":
        return x
    entering: npt.NDArray[np.float64] = np.maximum(np.concatenate([x, -x], axis=1) if signed else x, 0.0)
    return entering


def _outputs(graph: Graph, x: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """What `graph` computes of every sample (n, *output shape): in float32, which is fast; float64 for sums over it."""
    return np.asarray(forward(graph, x, chunk=CHUNK, dtype="float32"), np.float64)
