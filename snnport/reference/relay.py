"""Nodes without a potential that are no linear maps either: delays and thresholds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import Convention
from snnport.errors import UnsupportedNode
from snnport.nodes import Shape

Array = npt.NDArray[Any]
WHOLE = 1e-3
"""A delay this near to a whole number of steps is that number: it was written in seconds."""
MAX_STEPS = 1 << 16


@dataclass
class DelayLine:
    """Every neuron's values of the last steps. steps: (*shape,) how many each waits; line: (depth, n_samples, *shape)."""

    steps: Array
    line: Array

    @classmethod
    def of(cls, name: str, node: nir.Delay, shape: Shape, rule: Convention) -> DelayLine:
        """A line that holds zeros. Raises UnsupportedNode for a delay that is no number of steps from 0 to MAX_STEPS."""
        exact = np.asarray(node.delay, np.float64) * rule.tau_unit / rule.dt
        steps = np.rint(exact)
        if np.any(np.abs(exact - steps) > WHOLE) or np.any(steps > MAX_STEPS):
            worst = float(np.max(exact)) if np.any(steps > MAX_STEPS) else float(exact.flat[np.argmax(np.abs(exact - steps))])
            what = f"a delay of {worst:.6g} steps of {rule.dt:g} s is no whole number from 0 to {MAX_STEPS}"
            raise UnsupportedNode(name, what, "Choose --dt so that every delay is a whole number of steps")
        whole = np.broadcast_to(steps.astype(np.int64), shape[1:])
        return cls(whole, np.zeros((int(whole.max(initial=0)) + 1, *shape), rule.dtype))

    def advance(self, arriving: Array, step: int) -> Array:
        """Store what arrives, give what arrived `steps` ago."""
        depth = len(self.line)
        self.line[step % depth] = arriving
        rows = (step - self.steps) % depth
        picked: Array = np.take_along_axis(self.line, rows[None, None], axis=0)[0]
        return picked


def over_threshold(node: nir.Threshold, rule: Convention) -> Callable[[Array], Array]:
    """1 where the input exceeds the threshold (or reaches it, by the convention's comparison), else 0."""
    threshold = np.asarray(node.threshold, rule.dtype)
    if rule.comparison == ">=":
        return lambda x: (x >= threshold).astype(rule.dtype)
    return lambda x: (x > threshold).astype(rule.dtype)
