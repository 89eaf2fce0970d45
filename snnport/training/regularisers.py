"""What keeps firing rates where they shall be: L1 and L2 of rates, and bounds for every neuron or for a population's mean.

A rate is in spikes a neuron and step. Every regulariser is of one population; those of all populations are added up.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from torch import Tensor

from snnport.errors import InvalidInput

PER = ("neuron", "population")


class Regulariser(Protocol):
    """value(spikes): of the spikes (batch, steps, *shape) of one population."""

    def value(self, spikes: Tensor) -> Tensor:
        """A number with a gradient."""
        ...


@dataclass(frozen=True)
class RateL1:
    """weight times the mean rate."""

    weight: float

    def value(self, spikes: Tensor) -> Tensor:
        """weight mean(s)."""
        return self.weight * spikes.mean()


@dataclass(frozen=True)
class RateL2:
    """weight times the mean over neurons of the squared rate less `target`, rates taken over batch and steps."""

    weight: float
    target: float = 0.0

    def value(self, spikes: Tensor) -> Tensor:
        """weight mean((rate - target)^2)."""
        return self.weight * ((spikes.mean((0, 1)) - self.target) ** 2).mean()


@dataclass(frozen=True)
class _Bound:
    """A bound of rates, of every neuron and sample or of the population's mean."""

    weight: float
    bound: float
    per: str = "neuron"

    def __post_init__(self) -> None:
        if self.per not in PER:
            raise InvalidInput("per", f"there is no '{self.per}'", f"Known: {', '.join(PER)}")

    def over(self, spikes: Tensor) -> Tensor:
        """Rates less the bound, (batch, *shape) or (batch,)."""
        rates = spikes.mean(1)
        return (rates if self.per == "neuron" else rates.flatten(1).mean(1)) - self.bound


@dataclass(frozen=True)
class Upper(_Bound):
    """weight times the mean squared excess of rates over `bound`: of every neuron and sample, or of the population's mean."""

    def value(self, spikes: Tensor) -> Tensor:
        """weight mean(max(0, rate - bound)^2)."""
        return self.weight * (self.over(spikes).clamp(min=0) ** 2).mean()


@dataclass(frozen=True)
class Lower(_Bound):
    """weight times the mean squared lack of rates below `bound`: of every neuron and sample, or of the population's mean."""

    def value(self, spikes: Tensor) -> Tensor:
        """weight mean(max(0, bound - rate)^2)."""
        return self.weight * (self.over(spikes).clamp(max=0) ** 2).mean()


REGULARISERS = MappingProxyType({"rate-l1": RateL1, "rate-l2": RateL2, "upper": Upper, "lower": Lower})
