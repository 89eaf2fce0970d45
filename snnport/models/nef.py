"""Ensembles of the Neural Engineering Framework: what a population of spiking neurons represents, and decoders that read it.

C. Eliasmith and C. H. Anderson, Neural Engineering, MIT Press, 2003. A neuron k of an ensemble gets the current
    J_k(x) = gain_k <e_k, x / radius> + bias_k
and, with J > 1, fires every n steps, n = floor(ln(1 - 1 / J) / ln a) + 1, a = exp(-dt / tau): the first step in which
J (1 - a^n) exceeds the threshold 1. This is the rate of the neuron that runs, reset to 0 and in whole steps, rather than of
one in continuous time. Decoders D minimise |R D - f(x)|^2 + m sigma^2 |D|^2 over m points x, R their rates in Hz.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput

Array = npt.NDArray[np.float64]
Function = Callable[[Array], Array]

DT = 1e-3
TAU = 0.02
"""Membrane time constant in seconds, as in Nengo's LIF."""
MAX_RATES = (100.0, 200.0)
"""Hz at the end of a neuron's preferred direction. Nengo draws 200..400, of neurons that need not fire in whole steps."""
INTERCEPTS = (-1.0, 0.9)
"""Where along the preferred direction neurons begin to fire (Nengo's default)."""
REGULARISATION = 0.1
"""sigma over the greatest rate (Nengo's LstsqL2)."""
POINTS = 2000
"""Points of the represented ball that decoders are solved on."""


@dataclass(frozen=True, eq=False)
class Ensemble:
    """A population that represents numbers within `radius`. encoders (n, dimensions), of length 1; gain and bias (n,)."""

    encoders: Array
    gain: Array
    bias: Array
    radius: float

    @property
    def size(self) -> int:
        """Number of neurons."""
        return len(self.gain)

    @property
    def dimensions(self) -> int:
        """Numbers that it represents."""
        return int(self.encoders.shape[1])

    def into(self) -> Array:
        """What brings represented numbers to the neurons: (n, dimensions), gain and radius in it."""
        return self.encoders * self.gain[:, None] / self.radius

    def rates(self, x: Array) -> Array:
        """Spikes a second of all neurons at points x (m, dimensions): (m, n)."""
        return rates_of(x @ self.into().T + self.bias)


def rates_of(current: Array) -> Array:
    """Spikes a second of LIF neurons at constant currents J: reset to 0, threshold 1, at most a spike a step."""
    rates = np.zeros_like(current)
    fires = current > 1
    steps = np.floor(np.log1p(-1 / current[fires]) / (-DT / TAU)) + 1
    rates[fires] = 1 / (steps * DT)
    return rates


def ensemble(neurons: int, dimensions: int, radius: float, rng: np.random.Generator) -> Ensemble:
    """An ensemble with random encoders on the sphere, and gains and biases for random intercepts and greatest rates.

    Raises InvalidInput unless there are neurons, dimensions and a radius above 0.
    """
    if neurons < 1 or dimensions < 1 or not radius > 0:
        what = f"{neurons} neurons, {dimensions} dimensions and radius {radius:g}"
        raise InvalidInput("ensemble", f"{what} were asked for", "All are above 0")
    encoders = rng.normal(size=(neurons, dimensions))
    encoders /= np.linalg.norm(encoders, axis=1, keepdims=True)
    most = rng.uniform(*MAX_RATES, neurons)
    intercepts = rng.uniform(*INTERCEPTS, neurons)
    greatest = 1 / (1 - np.exp(-1 / (most * TAU)))
    gain = (greatest - 1) / (1 - intercepts)
    return Ensemble(encoders, gain, 1 - gain * intercepts, radius)


def ball(points: int, dimensions: int, radius: float, rng: np.random.Generator) -> Array:
    """Points spread evenly over the ball of `radius`: (points, dimensions)."""
    directions = rng.normal(size=(points, dimensions))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = rng.uniform(0, 1, (points, 1)) ** (1 / dimensions)
    return np.asarray(directions * lengths * radius, np.float64)


def decoders(what: Ensemble, function: Function, rng: np.random.Generator) -> Array:
    """What reads function(x) (m, out) from an ensemble's spikes a second: (out, n), by regularised least squares."""
    x = ball(POINTS, what.dimensions, what.radius, rng)
    rates = what.rates(x)
    sigma = REGULARISATION * rates.max()
    gram = rates.T @ rates + len(x) * sigma**2 * np.eye(what.size)
    return np.asarray(np.linalg.solve(gram, rates.T @ function(x)).T, np.float64)
