"""What a loss or a decoder looks at in what a network gave: counts, rates or potentials of its output, one number a neuron."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from snnport.errors import InvalidInput

OF = ("membrane", "count", "rate")
OVER = ("sum", "last", "mean", "max")


@dataclass(frozen=True)
class Reading:
    """of: "membrane" (potentials), "count" (spikes in all steps) or "rate" (spikes a step). over: how potentials become one
    number: their sum, the last, the mean or the greatest; counts and rates are sums and means by themselves."""

    of: str
    over: str = "sum"

    def __post_init__(self) -> None:
        if self.of not in OF:
            raise InvalidInput("of", f"there is no reading '{self.of}'", f"Known: {', '.join(OF)}")
        if self.over not in OVER:
            raise InvalidInput("over", f"there is no '{self.over}'", f"Known: {', '.join(OVER)}")

    def of_output(self, spikes: Tensor | None, v: Tensor | None) -> Tensor:
        """(batch, neurons) from spikes and potentials (batch, steps, neurons). Raises InvalidInput if it reads what is None."""
        values = v if self.of == "membrane" else spikes
        if values is None:
            what = "potentials were not recorded" if self.of == "membrane" else "the output neurons never fire"
            raise InvalidInput(f"reading {self.of}", what, "Read the other one")
        if self.of == "count":
            return values.sum(1)
        if self.of == "rate" or self.over == "mean":
            return values.mean(1)
        if self.over == "sum":
            return values.sum(1)
        return values[:, -1] if self.over == "last" else torch.amax(values, 1)
