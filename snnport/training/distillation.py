"""Distillation: a spiking network learns from a trained one's logits (G. Hinton, O. Vinyals, J. Dean, arXiv 1503.02531)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from snnport.datasets.axes import in_order
from snnport.errors import InvalidInput
from snnport.graph import Graph, shapes, the_input
from snnport.models.recipe import Fit
from snnport.reference.ann import forward
from snnport.training.batches import Batch
from snnport.training.losses import OutputLoss
from snnport.training.objective import Objective
from snnport.training.reading import Reading

Teacher = Callable[[Tensor], Tensor]
"""Samples (batch, *shape) as the data set has them, to logits (batch, classes)."""


@dataclass(frozen=True)
class Distilled:
    """The loss of a batch: (1 - share) of the objective's own, share of temperature^2 times the divergence (nats) from the
    teacher's softened answers. It takes the place of the objective in the loop."""

    objective: Objective
    teacher: Teacher
    temperature: float = 4.0
    share: float = 0.7

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise InvalidInput("share", f"{self.share} is no fraction from 0 to 1")
        if not self.temperature > 0:
            raise InvalidInput("temperature", f"{self.temperature} is not above 0")

    def __call__(self, module: nn.Module, batch: Batch) -> Tensor | Iterator[Tensor]:
        """As an Objective."""
        with torch.no_grad():
            logits = self.teacher(batch[0]).to(batch[0].device)
        both = replace(self.objective, loss=_Both(self.objective.loss, logits, self.temperature, self.share))
        return both(module, batch)


@dataclass(frozen=True)
class _Both:
    """The loss of one batch, whose teacher's logits are known."""

    own: OutputLoss
    logits: Tensor
    temperature: float
    share: float

    @property
    def reads_v(self) -> bool:
        """As the own loss."""
        return self.own.reads_v

    def value(self, spikes: Tensor | None, v: Tensor | None, y: Tensor) -> Tensor:
        """The weighted sum."""
        own: Any = self.own
        values = Reading(getattr(own, "of", "count"), getattr(own, "over", "sum")).of_output(spikes, v)
        soft = functional.log_softmax(values / self.temperature, 1)
        wanted = functional.log_softmax(self.logits.to(values) / self.temperature, 1)
        apart = functional.kl_div(soft, wanted, reduction="batchmean", log_target=True)
        return (1 - self.share) * self.own.value(spikes, v, y) + self.share * self.temperature**2 * apart


def distilled(how: Fit, graph: Graph, ann: Graph, scale: float, temperature: float, share: float) -> Distilled:
    """The loss of a recipe beside what the ANN graph `ann` says of x / scale."""
    return Distilled(Objective.of(how, graph), graph_teacher(ann, scale), temperature, share)


def graph_teacher(ann: Graph, scale: float = 1.0) -> Teacher:
    """An ANN graph as a teacher; it takes samples / scale in the order of its own input, computed by the reference.

    It raises InvalidInput for samples that are no input of the ANN, or steps of them.
    """
    shape = shapes(ann)[the_input(ann)]

    def logits(x: Tensor) -> Tensor:
        values, n_steps, _ = in_order("--teacher", x.cpu().numpy(), shape, "ntc")
        if n_steps:
            what = f"it takes {shape} at once, the samples have {n_steps} steps of it"
            raise InvalidInput("--teacher", what, "Give an ANN that takes all steps together")
        return torch.from_numpy(np.asarray(forward(ann, values.astype(np.float64) / scale), np.float32))

    return logits
