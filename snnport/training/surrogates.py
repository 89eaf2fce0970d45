"""Surrogate gradients: what stands in for the derivative of the step from silence to a spike.

x is the potential less the threshold. `primitive` is the smooth function that a surrogate is named after, `slope` its
derivative, which takes part in the backward pass; the forward pass is always the step itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor


class Surrogate(Protocol):
    """slope(x): the derivative that takes the place of the step's; primitive(x): what it is the derivative of."""

    def slope(self, x: Tensor) -> Tensor:
        """Of the shape of x."""
        ...

    def primitive(self, x: Tensor) -> Tensor:
        """Of the shape of x."""
        ...


@dataclass(frozen=True)
class FastSigmoid:
    """x / (1 + k |x|) (E. Neftci, H. Mostafa, F. Zenke, IEEE Signal Processing Magazine 2019, after Zenke & Ganguli 2018)."""

    k: float = 25.0

    def primitive(self, x: Tensor) -> Tensor:
        """x / (1 + k |x|)."""
        return x / (1.0 + self.k * x.abs())

    def slope(self, x: Tensor) -> Tensor:
        """1 / (1 + k |x|)^2."""
        return (x.abs() * self.k).add_(1.0).pow_(-2)


@dataclass(frozen=True)
class SuperSpike:
    """1 / (1 + |beta x|)^2 (F. Zenke, S. Ganguli, Neural Computation 2018, section 2.2): the slope of the fast sigmoid.

    The paper's beta is 1 / mV; thresholds of 1 suit about 10.
    """

    beta: float = 10.0

    def primitive(self, x: Tensor) -> Tensor:
        """x / (1 + |beta x|)."""
        return x / (1.0 + (self.beta * x).abs())

    def slope(self, x: Tensor) -> Tensor:
        """1 / (1 + |beta x|)^2."""
        return (x * self.beta).abs_().add_(1.0).pow_(-2)


@dataclass(frozen=True)
class Arctan:
    """arctan(pi alpha x / 2) / pi (W. Fang et al., ICCV 2021, equation 11)."""

    alpha: float = 2.0

    def primitive(self, x: Tensor) -> Tensor:
        """arctan(pi alpha x / 2) / pi + 1/2."""
        return torch.atan(math.pi / 2 * self.alpha * x) / math.pi + 0.5

    def slope(self, x: Tensor) -> Tensor:
        """(alpha / 2) / (1 + (pi alpha x / 2)^2)."""
        return (x * (math.pi / 2 * self.alpha)).pow_(2).add_(1.0).reciprocal_().mul_(self.alpha / 2)


@dataclass(frozen=True)
class Triangular:
    """height max(0, 1 - |x| / width) (S. Esser et al., PNAS 2016; G. Bellec et al., NeurIPS 2018, with height 0.3)."""

    height: float = 1.0
    width: float = 1.0

    def primitive(self, x: Tensor) -> Tensor:
        """Two arcs of a parabola, from 0 to height * width."""
        u = (x / self.width).clamp(-1.0, 1.0)
        return self.height * self.width * (u + 0.5 - u * u.abs() / 2.0)

    def slope(self, x: Tensor) -> Tensor:
        """height max(0, 1 - |x| / width)."""
        return (x.abs() / -self.width).add_(1.0).clamp_(min=0.0).mul_(self.height)


@dataclass(frozen=True)
class Sigmoid:
    """1 / (1 + exp(-k x)) (F. Zenke, T. Vogels, Neural Computation 2021)."""

    k: float = 25.0

    def primitive(self, x: Tensor) -> Tensor:
        """1 / (1 + exp(-k x))."""
        return torch.sigmoid(self.k * x)

    def slope(self, x: Tensor) -> Tensor:
        """k sigma (1 - sigma)."""
        sigma = torch.sigmoid(self.k * x)
        return self.k * sigma * (1.0 - sigma)


@dataclass(frozen=True)
class StraightThrough:
    """The identity (Y. Bengio, N. Leonard, A. Courville, arXiv 1308.3432)."""

    def primitive(self, x: Tensor) -> Tensor:
        """x."""
        return x

    def slope(self, x: Tensor) -> Tensor:
        """1."""
        return torch.ones_like(x)


@dataclass(frozen=True)
class MultiGaussian:
    """A bell at the threshold less two wide ones beside it (B. Yin, F. Corradi, S. Bohte, Nature Machine Intelligence 2021).

    gamma ((1 + h) N(x; 0, sigma^2) - h N(x; sigma, (s sigma)^2) - h N(x; -sigma, (s sigma)^2)); the paper has h 0.15, s 6 and
    sigma 0.5, its code gamma 0.5.
    """

    h: float = 0.15
    s: float = 6.0
    sigma: float = 0.5
    gamma: float = 0.5

    def primitive(self, x: Tensor) -> Tensor:
        """The same with the bells' integrals."""
        wide = self.s * self.sigma
        parts = (1 + self.h) * _below(x, 0.0, self.sigma)
        return self.gamma * (parts - self.h * (_below(x, self.sigma, wide) + _below(x, -self.sigma, wide)))

    def slope(self, x: Tensor) -> Tensor:
        """The three bells."""
        wide = self.s * self.sigma
        parts = (1 + self.h) * _bell(x, 0.0, self.sigma)
        return self.gamma * (parts - self.h * (_bell(x, self.sigma, wide) + _bell(x, -self.sigma, wide)))


@dataclass(frozen=True)
class SpikeOperator:
    """A spike passes its gradient on, silence only the part `leak` (J. Eshraghian et al., Proceedings of the IEEE 2023).

    With a leak it is snnTorch's leaky spike operator (surrogate.LSO), without the shifted step that its neurons once had.
    """

    leak: float = 0.0

    def primitive(self, x: Tensor) -> Tensor:
        """x from 0 on, leak x below."""
        return torch.where(x >= 0, x, self.leak * x)

    def slope(self, x: Tensor) -> Tensor:
        """1 from 0 on, leak below."""
        return torch.where(x >= 0, torch.ones_like(x), torch.full_like(x, self.leak))


def _bell(x: Tensor, mean: float, deviation: float) -> Tensor:
    return torch.exp(-(((x - mean) / deviation) ** 2) / 2.0) / (deviation * math.sqrt(2.0 * math.pi))


def _below(x: Tensor, mean: float, deviation: float) -> Tensor:
    return (1.0 + torch.erf((x - mean) / (deviation * math.sqrt(2.0)))) / 2.0


SURROGATES = MappingProxyType(
    {
        "fast-sigmoid": FastSigmoid,
        "superspike": SuperSpike,
        "arctan": Arctan,
        "triangular": Triangular,
        "sigmoid": Sigmoid,
        "straight-through": StraightThrough,
        "multi-gaussian": MultiGaussian,
        "spike-operator": SpikeOperator,
    }
)
