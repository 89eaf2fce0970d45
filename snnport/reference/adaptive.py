"""The neuron whose threshold adapts, in real numbers, and the choice of the cell of a node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.convention import Convention
from snnport.errors import UnsupportedNode
from snnport.nodes import AdaptiveLIF, Shape
from snnport.reference.cell import Cell, kept

Array = npt.NDArray[Any]


@dataclass
class AdaptiveCell(Cell):
    """An AdaptiveLIF at work. b: the trace of its spikes (n_samples, *shape); fixed: what its threshold falls back to."""

    def _resolve(self) -> None:
        super()._resolve()
        f = np.dtype(self.rule.dtype).type
        keep = kept(self.node.tau_adapt, self.rule)
        self.keep_b, self.lose_b = f(keep), f(1.0 - keep)
        self.beta = f(np.asarray(self.node.beta, np.float64))
        self.b = np.zeros_like(self.v)
        self.fixed: Any = self.threshold

    def advance(self, arriving: Array, step: int) -> Array:
        """As Cell, with the threshold of this step."""
        self.b = self.keep_b * self.b + self.lose_b * self.fired
        return super().advance(arriving, step)

    def _over(self, v: Array) -> Array:
        limit = self.fixed + self.beta * self.b
        return np.asarray(v >= limit if self.rule.comparison == ">=" else v > limit, self.v.dtype)


def cell_of(node: Any, shape: Shape, rule: Convention, name: str = "") -> Cell:
    """The cell of a neuron before its first step. shape: (n_samples, *shape). Raises UnsupportedNode for a rule it lacks."""
    if not isinstance(node, AdaptiveLIF):
        return Cell.of(node, shape, rule, name)
    if rule.multi_spike or rule.reset_when == "carried":
        rules = "several spikes a step" if rule.multi_spike else "a reset that is carried"
        raise UnsupportedNode(name, f"an adaptive threshold with {rules} has no meaning here", "Choose another convention")
    return AdaptiveCell.of(node, shape, rule, name)
