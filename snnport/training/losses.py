"""Losses on what output neurons gave: cross entropy and squared error of counts, rates and potentials."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from snnport.datasets.label_codes import LABEL_CODES
from snnport.errors import InvalidInput, UnknownName
from snnport.training.label_codes import patterns_of
from snnport.training.reading import Reading
from snnport.training.spike_times import SpikeTimeCrossEntropy, SpikeTimeError


class OutputLoss(Protocol):
    """value(spikes, v, y): the mean over the batch, from spikes and potentials (batch, steps, neurons)."""

    @property
    def reads_v(self) -> bool:
        """Whether it needs potentials."""
        ...

    def value(self, spikes: Tensor | None, v: Tensor | None, y: Tensor) -> Tensor:
        """A number with a gradient."""
        ...


class _Reading:
    """What reads counts, rates or potentials, as its field `of` says."""

    of: str

    @property
    def reads_v(self) -> bool:
        """Whether it is of potentials."""
        return self.of == "membrane"


class _Spelt(_Reading):
    """What compares with the label's pattern in the code that its field `code` names."""

    code: str

    def __post_init__(self) -> None:
        if self.code not in LABEL_CODES:
            raise UnknownName.among("label code", self.code, list(LABEL_CODES))


@dataclass(frozen=True)
class CrossEntropy(_Reading):
    """Softmax cross entropy (nats) of the reading. population: neurons a class, their readings added up. every: of each step's
    potentials instead, the steps' losses added up ("sum", as snnTorch's tutorial 5 has it) or averaged ("mean").
    smoothing: what of the target is shared out among all labels (C. Szegedy et al., CVPR 2016)."""

    of: str = "membrane"
    over: str = "sum"
    every: str = ""
    population: int = 1
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise InvalidInput("loss cross-entropy", f"smoothing = {self.smoothing} is not in 0..1")

    def value(self, spikes: Tensor | None, v: Tensor | None, y: Tensor) -> Tensor:
        """y: labels (batch,)."""
        if not self.every:
            values = Reading(self.of, self.over).of_output(spikes, v)
            values = values.unflatten(1, (-1, self.population)).sum(2) if self.population > 1 else values
            return functional.cross_entropy(values, y.long(), label_smoothing=self.smoothing)
        each = v if self.reads_v else spikes
        if each is None:
            raise InvalidInput("loss cross-entropy", f"there is no {self.of} to read", "Read the other one")
        steps = each.shape[1]
        labels = y.long().repeat_interleave(steps)
        total = functional.cross_entropy(each.flatten(0, 1), labels, label_smoothing=self.smoothing)
        return total * steps if self.every == "sum" else total


@dataclass(frozen=True)
class SquaredError(_Spelt):
    """Mean squared error of the reading. Labels become targets: `on` for the neurons of the label's pattern, `off` for the
    others; for counts and rates these are fractions of the steps. y of real numbers (batch, neurons) is the target itself."""

    of: str = "rate"
    over: str = "sum"
    on: float = 1.0
    off: float = 0.0
    code: str = "one-hot"
    classes: int = 0

    def value(self, spikes: Tensor | None, v: Tensor | None, y: Tensor) -> Tensor:
        """y: labels (batch,), or targets (batch, neurons)."""
        values = Reading(self.of, self.over).of_output(spikes, v)
        if y.ndim > 1:
            return functional.mse_loss(values, y.to(values))
        classes = self.classes or values.shape[1]
        patterns = patterns_of(self.code, classes).to(values)
        targets = self.off + (self.on - self.off) * patterns[y.long()]
        steps = spikes.shape[1] if self.of == "count" and spikes is not None else 1
        return functional.mse_loss(values, targets * steps)


@dataclass(frozen=True)
class CodedCrossEntropy(_Spelt):
    """Binary cross entropy (nats) of every output neuron with the label's pattern (one-hot, inverted-one-hot, binary, gray).

    The reading less `middle`, times `gain`, is taken for the logit of being on.
    """

    code: str
    classes: int
    of: str = "membrane"
    over: str = "sum"
    middle: float = 0.0
    gain: float = 1.0

    def value(self, spikes: Tensor | None, v: Tensor | None, y: Tensor) -> Tensor:
        """y: labels (batch,)."""
        values = Reading(self.of, self.over).of_output(spikes, v)
        targets = patterns_of(self.code, self.classes).to(values)[y.long()]
        return functional.binary_cross_entropy_with_logits((values - self.middle) * self.gain, targets)


@dataclass(frozen=True)
class Trajectory(_Reading):
    """Mean squared error of every step's potential (or spikes) with a course y (batch, steps, neurons)."""

    of: str = "membrane"

    def value(self, spikes: Tensor | None, v: Tensor | None, y: Tensor) -> Tensor:
        """y: (batch, steps, neurons)."""
        values = v if self.reads_v else spikes
        if values is None or values.shape != y.shape:
            shape = None if values is None else tuple(values.shape)
            raise InvalidInput("loss trajectory", f"the output has shape {shape}, its course {tuple(y.shape)}")
        return torch.mean((values - y.to(values)) ** 2)


LOSSES = MappingProxyType(
    {
        "cross-entropy": CrossEntropy,
        "mse": SquaredError,
        "coded-cross-entropy": CodedCrossEntropy,
        "trajectory": Trajectory,
        "spike-time-cross-entropy": SpikeTimeCrossEntropy,
        "spike-time-mse": SpikeTimeError,
    }
)
