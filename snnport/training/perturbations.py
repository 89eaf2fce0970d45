"""Weights that are others in every batch while a network learns, so that no answer hangs on few of them.

A perturbation changes the weights of one node, by draws of its own in each batch; what is judged and kept is unperturbed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor

from snnport.errors import InvalidInput
from snnport.spelling import parse_among
from snnport.training.module import SpikingModule


class Perturbation(Protocol):
    """changed(weight, draw): the weights of a node with something drawn, differentiable."""

    def changed(self, weight: Tensor, draw: torch.Generator) -> Tensor:
        """Of the shape and type of weight."""
        ...


@dataclass(frozen=True)
class DropConnect:
    """Every weight is left out with the probability p, the others are 1 / (1 - p) times as large (L. Wan et al., ICML 2013)."""

    p: float

    def __post_init__(self) -> None:
        if not 0 <= self.p < 1:
            raise InvalidInput("perturb drop-connect", f"p = {self.p} is not in 0..1, below 1")

    def changed(self, weight: Tensor, draw: torch.Generator) -> Tensor:
        """weight * mask / (1 - p)."""
        kept = torch.rand(weight.shape, generator=draw) >= self.p
        return weight * kept.to(weight) / (1 - self.p)


@dataclass(frozen=True)
class WeightNoise:
    """Every weight moves by a normal number, of `by` times the root mean square of the node's weights."""

    by: float

    def __post_init__(self) -> None:
        if not self.by >= 0:
            raise InvalidInput("perturb weight-noise", f"by = {self.by} is below 0")

    def changed(self, weight: Tensor, draw: torch.Generator) -> Tensor:
        """weight + by rms(weight) n."""
        width = self.by * weight.detach().square().mean().sqrt()
        return weight + width * torch.randn(weight.shape, generator=draw).to(weight)


PERTURBATIONS = MappingProxyType({"drop-connect": DropConnect, "weight-noise": WeightNoise})


def perturbations_of(spelled: Sequence[str]) -> tuple[Perturbation, ...]:
    """What is spelled, one after the other; "none" is nothing. Raises UnknownName, InvalidInput for a wrong one."""
    return tuple(parse_among("perturb", PERTURBATIONS, text) for text in spelled if text != "none")


def perturbed(module: SpikingModule, parts: Sequence[Perturbation], seed: int) -> dict[str, dict[str, Tensor]]:
    """Node -> its learned weight, changed by all parts; the same for the same seed and weights."""
    draw = torch.Generator().manual_seed(seed)
    found: dict[str, dict[str, Tensor]] = {}
    for name in module.learned if parts else ():
        weight = module.values(name).get("weight")
        if weight is None:
            continue
        for part in parts:
            weight = part.changed(weight, draw)
        found[name] = {"weight": weight}
    return found
