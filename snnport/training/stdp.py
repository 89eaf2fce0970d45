"""Spike-timing dependent plasticity of one layer whose neurons compete: P. U. Diehl and M. Cook, Frontiers in Computational
Neuroscience 9:99, 2015, in whole steps, without its separate inhibitory neurons.

In a step, with v >= 0 at rest 0, traces x (inputs) and y (neurons), weights w (inputs, neurons) >= 0:
    v = keep v - inhibition (spikes of the others in the step before) + sum of w over inputs that fire
    x, y = keep_trace x, keep_trace y;  an input that fires: w = max(w - eta_pre y, 0), x = 1
    v > threshold + theta: the neuron fires, v = 0, theta = theta + theta_plus, y = 1, and
        w = min(max(w + eta_post (x - x_target) (w_max - w), 0), w_max)
Between samples v, x and y are 0 again, theta stays, and the weights of every neuron are scaled to the same sum. A neuron
stands for the class in whose samples it fired most; what was learned answers with the class whose neurons fire most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput

Raster = npt.NDArray[np.uint8]
Real = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Rule:
    """The numbers of the rule; times in steps. norm: sum of the weights into a neuron."""

    threshold: float = 5.0
    tau: float = 100.0
    inhibition: float = 100.0
    theta_plus: float = 0.05
    eta_post: float = 0.02
    eta_pre: float = 1e-4
    x_target: float = 0.1
    tau_trace: float = 20.0
    w_max: float = 1.0
    norm: float = 78.4

    def __post_init__(self) -> None:
        for name in ("threshold", "tau", "tau_trace", "w_max", "norm"):
            if not getattr(self, name) > 0:
                raise InvalidInput(f"STDP: {name}", f"{getattr(self, name)} is not above 0")


@dataclass(frozen=True, eq=False)
class Layer:
    """What has been learned. weights (inputs, neurons); theta (neurons,): what each threshold has risen by."""

    weights: Real
    theta: Real


def untrained(inputs: int, neurons: int, rule: Rule, seed: int) -> Layer:
    """A layer with random weights of the rule's norm. Raises InvalidInput without inputs or neurons."""
    if inputs < 1 or neurons < 1:
        raise InvalidInput("STDP", f"a layer of {neurons} neurons on {inputs} inputs was asked for", "Both are above 0")
    weights = np.random.default_rng(seed).random((inputs, neurons)).astype(np.float32)
    return _normalised(Layer(weights, np.zeros(neurons, np.float32)), rule)


def learn(layer: Layer, raster: Raster, rule: Rule) -> tuple[Layer, npt.NDArray[np.int32]]:
    """The layer after the samples of raster (n_samples, n_steps, inputs), 0 or 1, and spike counts (n_samples, neurons)."""
    counts = []
    for sample in raster:
        grown = Layer(layer.weights.copy(), layer.theta.copy())
        counts.append(_present(grown, sample[None], rule, learning=True))
        layer = _normalised(grown, rule)
    return layer, np.concatenate(counts)


def respond(layer: Layer, raster: Raster, rule: Rule) -> npt.NDArray[np.int32]:
    """Spike counts (n_samples, neurons) on raster (n_samples, n_steps, inputs), 0 or 1, without learning."""
    return _present(layer, raster, rule, learning=False)


def on_grid(layer: Layer, rule: Rule, step: float, up_from: float) -> Layer:
    """The layer with weights that are multiples of `step`, so that few codes hold them exactly, and thresholds in proportion.

    A weight goes up to the next multiple from the fraction `up_from` of a step on. Thresholds follow the sums of the weights
    and start a tenth lower, since `settled` can only raise them. Raises InvalidInput for a step that is not above 0.
    """
    if not step > 0:
        raise InvalidInput("STDP: step of the weights", f"{step} is not above 0")
    weights = (np.floor(layer.weights / step + (1 - up_from)) * step).astype(np.float32)
    grown = weights.sum(axis=0) / np.maximum(layer.weights.sum(axis=0), 1e-9)
    theta = (rule.threshold + layer.theta * grown) * BELOW - rule.threshold
    return Layer(weights, np.maximum(theta, 0).astype(np.float32))


def settled(layer: Layer, raster: Raster, rule: Rule) -> Layer:
    """The layer with thresholds that have risen on raster (n_samples, n_steps, inputs), 0 or 1, under weights that stay."""
    still = Layer(layer.weights.copy(), layer.theta.copy())
    greatest = max(rule.w_max, float(layer.weights.max()))
    _present(still, raster, replace(rule, eta_post=0.0, eta_pre=0.0, w_max=greatest), learning=True)
    return still


def assigned(counts: npt.NDArray[Any], labels: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.int64]:
    """The class of every neuron: that in whose samples it fired most, ties to the lowest; -1 for one that never fired."""
    means = np.stack([_mean(counts[labels == c]) for c in range(classes)])
    return np.where(means.any(axis=0), means.argmax(axis=0), -1).astype(np.int64)


def classes_of(counts: npt.NDArray[Any], assignment: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.int64]:
    """The class whose neurons fired most on average, ties to the lowest, of each sample: counts (n_samples, neurons)."""
    votes = [_mean(counts[:, assignment == c].T) for c in range(classes)]
    return np.asarray(np.argmax(votes, axis=0), np.int64)


PART = 100
"""Samples that are encoded at a time."""
BELOW = 0.9
"""Of a threshold, where it begins to settle."""


def _mean(counts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Mean over the first axis, 0 where it is empty."""
    return np.asarray(counts.sum(axis=0) / max(len(counts), 1), np.float64)


def _normalised(layer: Layer, rule: Rule) -> Layer:
    sums = np.maximum(layer.weights.sum(axis=0), 1e-9)
    return replace(layer, weights=(layer.weights * (rule.norm / sums)).astype(np.float32))


def _present(layer: Layer, raster: Raster, rule: Rule, *, learning: bool) -> npt.NDArray[np.int32]:
    """Run samples; with learning, weights and theta of `layer` change in place."""
    if raster.ndim != 3 or raster.shape[2] != len(layer.weights):
        raise InvalidInput("STDP", f"the raster has shape {raster.shape}, (n_samples, n_steps, {len(layer.weights)}) is needed")
    counts = np.zeros((len(raster), layer.weights.shape[1]), np.int32)
    keeps = [math.exp(-1 / rule.tau), math.exp(-1 / rule.tau_trace)]
    rates = [rule.threshold, rule.inhibition, rule.theta_plus, rule.eta_post, rule.eta_pre, rule.x_target, rule.w_max]
    _steps(np.ascontiguousarray(raster), layer.weights, layer.theta, np.array([*keeps, *rates], np.float32), learning, counts)
    return counts


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _steps(raster: Any, w: Any, theta: Any, numbers: Any, learning: Any, counts: Any) -> None:
    keep, keep_trace, threshold, inhibition, plus, eta_post, eta_pre, target, w_max = numbers
    samples, steps, inputs = raster.shape
    n = w.shape[1]
    v, x, y = np.zeros(n, np.float32), np.zeros(inputs, np.float32), np.zeros(n, np.float32)
    fired = np.zeros(n, np.int64)
    for sample in range(samples):
        v[:], x[:], y[:] = 0, 0, 0
        m = 0
        for step in range(steps):
            for k in range(n):
                v[k] = keep * v[k] - inhibition * m
            for j in range(m):
                v[fired[j]] += inhibition
            if learning:
                x *= keep_trace
                y *= keep_trace
            for i in range(inputs):
                if raster[sample, step, i]:
                    for k in range(n):
                        v[k] += w[i, k]
                    if learning:
                        x[i] = 1
                        for k in range(n):
                            w[i, k] = max(w[i, k] - eta_pre * y[k], np.float32(0))
            m = 0
            for k in range(n):
                if v[k] > threshold + theta[k]:
                    fired[m] = k
                    m += 1
                    v[k] = 0
                    counts[sample, k] += 1
            if learning:
                for j in range(m):
                    k = fired[j]
                    theta[k] += plus
                    y[k] = 1
                    for i in range(inputs):
                        change = eta_post * (x[i] - target) * (w_max - w[i, k])
                        w[i, k] = min(max(w[i, k] + change, np.float32(0)), w_max)
