"""Samples as input of every step: rate, latency, delta modulation, direct current, population, evenly spaced spikes.

An encoder takes x (batch, *shape), numbers from 0 to 1, or 0 to 255 where they are bytes, and gives (batch, steps, *shape) or,
where nothing changes from step to step, a Held. Delta modulation takes samples that have steps already.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from snnport.errors import InvalidInput
from snnport.training.module import Given, Held


class Encoder(Protocol):
    """encode(x, rng): the input of the network. rng: for what is drawn at random."""

    def encode(self, x: Tensor, rng: np.random.Generator) -> Given:
        """The same for the same rng."""
        ...


@dataclass(frozen=True)
class NoEncoder:
    """x has steps: (batch, steps, *shape), taken as it is; bytes are counts."""

    def encode(self, x: Tensor, rng: np.random.Generator) -> Given:
        """x itself."""
        return x


@dataclass(frozen=True)
class Direct:
    """x itself as a current in every step (direct current)."""

    steps: int
    gain: float = 1.0

    def encode(self, x: Tensor, rng: np.random.Generator) -> Given:
        """gain x, held."""
        return Held(unit(x) * self.gain, self.steps)


@dataclass(frozen=True)
class Rate:
    """A spike in each step with probability gain x, independent of all others (Bernoulli)."""

    steps: int
    gain: float = 1.0

    def encode(self, x: Tensor, rng: np.random.Generator) -> Given:
        """0 and 1, float32."""
        chance = (unit(x) * self.gain)[:, None].expand(len(x), self.steps, *x.shape[1:])
        return (torch.from_numpy(rng.random(tuple(chance.shape), np.float32)) < chance).float()


@dataclass(frozen=True)
class Even:
    """round(x steps) spikes, as evenly spaced as steps allow: in step t iff floor(x (t + 1) + 1/2) > floor(x t + 1/2)."""

    steps: int

    def encode(self, x: Tensor, rng: np.random.Generator) -> Given:
        """0 and 1, float32."""
        values = unit(x).double()[:, None]
        t = torch.arange(self.steps, dtype=torch.float64).reshape(-1, *[1] * (x.ndim - 1))
        return (torch.floor(values * (t + 1) + 0.5) - torch.floor(values * t + 0.5)).float()


@dataclass(frozen=True)
class Latency:
    """One spike, the earlier the greater x: after tau ln(x / (x - threshold)), as a capacitor charges; none below threshold.

    linear: in step round((1 - x) (steps - 1)) instead. tau: steps.
    """

    steps: int
    tau: float = 5.0
    threshold: float = 0.01
    linear: bool = False

    def encode(self, x: Tensor, rng: np.random.Generator) -> Given:
        """0 and 1, float32; a spike that would come too late does not come."""
        values = unit(x).double()
        fires = values > self.threshold
        safe = torch.where(fires, values, torch.ones_like(values))
        delay = (1 - safe) * (self.steps - 1) if self.linear else self.tau * torch.log(safe / (safe - self.threshold))
        when = torch.round(delay)[:, None]
        t = torch.arange(self.steps, dtype=torch.float64).reshape(-1, *[1] * (x.ndim - 1))
        return ((t == when) & fires[:, None]).float()


@dataclass(frozen=True)
class Delta:
    """Spikes where a sample with steps has changed by `threshold` since the last spike: one channel for more, one for less.

    x: (batch, steps, channels, ...); out: (batch, steps, 2 channels, ...), first all that rise, then all that fall.
    """

    threshold: float = 0.1

    def encode(self, x: Tensor, rng: np.random.Generator) -> Given:
        """0 and 1, float32; what the first step holds is where it begins."""
        if x.ndim < 3:
            raise InvalidInput("encoder delta", f"x has shape {tuple(x.shape)}", "Give (samples, steps, channels)")
        values = unit(x)
        known = values[:, 0]
        found = []
        for t in range(values.shape[1]):
            change = values[:, t] - known
            up, down = change >= self.threshold, change <= -self.threshold
            known = known + self.threshold * (up.float() - down.float())
            found.append(torch.cat([up, down], 1).float())
        return torch.stack(found, 1)


@dataclass(frozen=True)
class Population:
    """Every number becomes `neurons` of them, bells with centres from 0 to 1 (S. Bohte, Neurocomputing 2002), held as currents.

    x: (batch, n); out: (batch, n neurons), those of one number side by side. beta: the narrower the greater.
    """

    steps: int
    neurons: int = 8
    beta: float = 1.5

    def encode(self, x: Tensor, rng: np.random.Generator) -> Given:
        """exp(-(x - c)^2 / (2 width^2)), width 1 / (beta (neurons - 2))."""
        if self.neurons < 3:
            raise InvalidInput("encoder population", f"{self.neurons} neurons are below 3")
        width = 1.0 / (self.beta * (self.neurons - 2))
        centres = torch.linspace(0.0, 1.0, self.neurons)
        bells = torch.exp(-((unit(x).flatten(1)[:, :, None] - centres) ** 2) / (2 * width**2))
        return Held(bells.flatten(1), self.steps)


@dataclass(frozen=True)
class Rows:
    """An image row by row: (batch, ..., rows, columns) gives in step t row t // repeat, as currents (gain x)."""

    repeat: int = 1
    gain: float = 1.0

    def encode(self, x: Tensor, rng: np.random.Generator) -> Given:
        """(batch, rows repeat, columns)."""
        values = unit(x)
        rows = values.reshape(len(x), math.prod(values.shape[1:-1]), values.shape[-1])
        return rows.repeat_interleave(self.repeat, 1) * self.gain


@dataclass(frozen=True)
class Pixels:
    """An image pixel by pixel: (batch, ...) gives in step t pixel t // repeat, as a current (gain x)."""

    repeat: int = 1
    gain: float = 1.0

    def encode(self, x: Tensor, rng: np.random.Generator) -> Given:
        """(batch, pixels repeat, 1)."""
        return unit(x).flatten(1)[:, :, None].repeat_interleave(self.repeat, 1) * self.gain


def unit(x: Tensor) -> Tensor:
    """x as float32; bytes are divided by 255."""
    return x.float() / 255.0 if x.dtype == torch.uint8 else x.float()


ENCODERS = MappingProxyType(
    {
        "none": NoEncoder,
        "direct": Direct,
        "rate": Rate,
        "even": Even,
        "latency": Latency,
        "delta": Delta,
        "population": Population,
        "rows": Rows,
        "pixels": Pixels,
    }
)
