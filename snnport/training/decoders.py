"""From what output neurons did to a label: by their counts, their first spike, their potential, or votes of populations."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor

from snnport.errors import InvalidInput
from snnport.training.label_codes import nearest_label, patterns_of
from snnport.training.reading import Reading


class Decoder(Protocol):
    """labels(spikes, v): (batch,) from spikes and potentials (batch, steps, neurons)."""

    @property
    def reads_v(self) -> bool:
        """Whether it needs potentials."""
        ...

    def labels(self, spikes: Tensor | None, v: Tensor | None) -> Tensor:
        """Ties go to the lowest label."""
        ...


@dataclass(frozen=True)
class Count:
    """The neuron that fires most."""

    reads_v = False

    def labels(self, spikes: Tensor | None, v: Tensor | None) -> Tensor:
        """The arg max of the counts."""
        return Reading("count").of_output(spikes, v).argmax(1)


@dataclass(frozen=True)
class FirstSpike:
    """The neuron that fires first; of several the one that fires most, and none fires at label 0's expense."""

    reads_v = False

    def labels(self, spikes: Tensor | None, v: Tensor | None) -> Tensor:
        """The arg min of first_steps, among equals the greater count."""
        if spikes is None:
            raise InvalidInput("decoder first-spike", "the output neurons never fire", "Use membrane")
        steps = spikes.shape[1]
        return (-first_steps(spikes) * (steps + 1) + spikes.sum(1)).argmax(1)


@dataclass(frozen=True)
class Membrane:
    """The neuron with the greatest potential, summed over the steps, the last, the mean or the greatest."""

    over: str = "sum"
    reads_v = True

    def labels(self, spikes: Tensor | None, v: Tensor | None) -> Tensor:
        """The arg max of the reading."""
        return Reading("membrane", self.over).of_output(spikes, v).argmax(1)


@dataclass(frozen=True)
class PopulationVote:
    """Every label has as many neurons, one behind the other; the label whose neurons fire most together."""

    classes: int
    reads_v = False

    def labels(self, spikes: Tensor | None, v: Tensor | None) -> Tensor:
        """The arg max of the sums. Raises InvalidInput if the neurons cannot be shared out."""
        counts = Reading("count").of_output(spikes, v)
        if counts.shape[1] % self.classes:
            raise InvalidInput("decoder population", f"{counts.shape[1]} neurons for {self.classes} classes", "Use a multiple")
        votes: Tensor = counts.unflatten(1, (self.classes, -1)).sum(2)
        return votes.argmax(1)


@dataclass(frozen=True)
class Coded:
    """The label whose pattern (one-hot, inverted-one-hot, binary, gray) the neurons come nearest to.

    of, over: what counts; middle: how much of it is half on.
    """

    code: str
    classes: int
    of: str = "membrane"
    over: str = "sum"
    middle: float = 0.0

    @property
    def reads_v(self) -> bool:
        """Whether potentials are what counts."""
        return self.of == "membrane"

    def labels(self, spikes: Tensor | None, v: Tensor | None) -> Tensor:
        """nearest_label of the reading."""
        values = Reading(self.of, self.over).of_output(spikes, v)
        return nearest_label(values - self.middle, patterns_of(self.code, self.classes).to(values.device))


def first_steps(spikes: Tensor) -> Tensor:
    """The step of every neuron's first spike, (batch, neurons); the number of steps where it never fires."""
    fired = spikes > 0
    steps = spikes.shape[1]
    return torch.where(fired.any(1), fired.to(torch.int8).argmax(1), steps)


DECODERS = MappingProxyType(
    {"count": Count, "first-spike": FirstSpike, "membrane": Membrane, "population": PopulationVote, "coded": Coded}
)
