"""Optimisers as frozen data: AdamW, Adam, and SGD with momentum, as torch computes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch


@dataclass(frozen=True)
class Adam:
    """Kingma & Ba, ICLR 2015. lr: learning rate. weight_decay: added to the gradient, times the weight."""

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    kind: ClassVar[Any] = torch.optim.Adam

    def make(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        """Torch's own."""
        betas = (self.beta1, self.beta2)
        made: torch.optim.Optimizer = self.kind(
            parameters, lr=self.lr, betas=betas, eps=self.eps, weight_decay=self.weight_decay
        )
        return made


@dataclass(frozen=True)
class AdamW(Adam):
    """Loshchilov & Hutter, ICLR 2019: as Adam, the decay apart from the gradient."""

    weight_decay: float = 0.01
    kind: ClassVar[Any] = torch.optim.AdamW


@dataclass(frozen=True)
class Sgd:
    """Stochastic gradient descent with momentum, Nesterov's by choice."""

    lr: float = 1e-2
    momentum: float = 0.9
    weight_decay: float = 0.0
    nesterov: bool = False

    def make(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        """torch.optim.SGD."""
        return torch.optim.SGD(
            parameters, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay, nesterov=self.nesterov
        )


OPTIMISERS = MappingProxyType({"adam": Adam, "adamw": AdamW, "sgd": Sgd})
