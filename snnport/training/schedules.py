"""Learning rates over time: the factor of the first rate, a pure function of the step, so that nothing has to be stored."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol


class Schedule(Protocol):
    """factor(step, total): what the learning rate is multiplied by in optimiser step `step` of `total`."""

    def factor(self, step: int, total: int) -> float:
        """A number from 0 up."""
        ...


@dataclass(frozen=True)
class Constant:
    """Always 1."""

    def factor(self, step: int, total: int) -> float:
        """1."""
        return 1.0


@dataclass(frozen=True)
class Steps:
    """Times `gamma` after every `1 / parts` of the training."""

    gamma: float = 0.1
    parts: int = 3

    def factor(self, step: int, total: int) -> float:
        """gamma^k behind k of `parts` parts."""
        return float(self.gamma ** (step * self.parts // max(total, 1)))


@dataclass(frozen=True)
class Exponential:
    """From 1 down to `last`, by the same ratio in every step."""

    last: float = 0.01

    def factor(self, step: int, total: int) -> float:
        """last^(step / total)."""
        return float(self.last ** (step / max(total, 1)))


@dataclass(frozen=True)
class Linear:
    """From 1 down to `last` in a straight line."""

    last: float = 0.0

    def factor(self, step: int, total: int) -> float:
        """1 - (1 - last) step / total."""
        return 1.0 - (1.0 - self.last) * step / max(total, 1)


@dataclass(frozen=True)
class Cosine:
    """A straight rise over the first `warmup` (fraction), half a cosine down to `last` (Loshchilov & Hutter, ICLR 2017)."""

    warmup: float = 0.0
    last: float = 0.0

    def factor(self, step: int, total: int) -> float:
        """The rise, then last + (1 - last) (1 + cos(pi p)) / 2 with p from 0 to 1."""
        rise = self.warmup * total
        if step < rise:
            return (step + 1) / max(rise, 1.0)
        p = (step - rise) / max(total - rise, 1.0)
        return self.last + (1.0 - self.last) * (1.0 + math.cos(math.pi * min(p, 1.0))) / 2.0


@dataclass(frozen=True)
class OneCycle:
    """From 1 / `divisor` to 1 by cosine over `rise` (fraction), then to 1e-4 / `divisor` (L. Smith, arXiv 1708.07120)."""

    rise: float = 0.3
    divisor: float = 25.0

    def factor(self, step: int, total: int) -> float:
        """Two half cosines."""
        top = max(self.rise * total, 1.0)
        start, end = 1.0 / self.divisor, 1e-4 / self.divisor
        if step < top:
            return start + (1.0 - start) * (1.0 - math.cos(math.pi * step / top)) / 2.0
        p = min((step - top) / max(total - top, 1.0), 1.0)
        return end + (1.0 - end) * (1.0 + math.cos(math.pi * p)) / 2.0


SCHEDULES = MappingProxyType(
    {
        "constant": Constant,
        "steps": Steps,
        "exponential": Exponential,
        "linear": Linear,
        "cosine": Cosine,
        "one-cycle": OneCycle,
    }
)
