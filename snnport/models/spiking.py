"""What the recipes' networks share: their convention, dense layers with random weights, neurons of one kind."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.convention import Convention

DT = 1e-3
"""Seconds a step, where a recipe does not say."""
TRAINED = Convention(
    "snnport-trained",
    dt=DT,
    decay="exponential",
    reset="zero",
    comparison=">",
    leaky_gain="unit",
    membrane_gain="unit",
    synapse_gain="unit",
    dtype="float32",
)
"""One step: v = exp(-dt / tau) v + x, a spike where v > v_threshold, and v is 0 in the same step. Loops take a step."""


def told(convention: Convention, **more: Any) -> dict[str, Any]:
    """A graph's metadata that says its convention, and `more` beside it."""
    return {"snnport": json.dumps({"coding": None, "convention": convention.to_json(), **more})}


def tau_of(beta: float, dt: float = DT) -> float:
    """The time constant in seconds of a state of which `beta`, 0..1, is left after a step."""
    return -dt / math.log(beta)


def uniform(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, gain: float = 1.0) -> npt.NDArray[np.float64]:
    """Weights spread evenly within +-gain / sqrt(fan_in) (torch's own for linear and convolutional layers, gain 1)."""
    bound = gain / math.sqrt(fan_in)
    return rng.uniform(-bound, bound, shape)


def dense(rng: np.random.Generator, inputs: int, outputs: int, gain: float = 1.0) -> nir.Affine:
    """A dense layer; the bias has the bound of gain 1."""
    return nir.Affine(uniform(rng, (outputs, inputs), inputs, gain), uniform(rng, (outputs,), inputs))


def lif(shape: tuple[int, ...], tau: float, v_threshold: float = 1.0) -> nir.LIF:
    """Leaky neurons that rest at 0 and reset to 0."""
    ones, zeros = np.ones(shape), np.zeros(shape)
    return nir.LIF(tau=tau * ones, r=ones, v_leak=zeros, v_threshold=v_threshold * ones, v_reset=zeros)


def li(shape: tuple[int, ...], tau: float) -> nir.LI:
    """Leaky integrators: what is read, and never fires."""
    ones = np.ones(shape)
    return nir.LI(tau=tau * ones, r=ones, v_leak=0 * ones)


def cuba_lif(shape: tuple[int, ...], tau_syn: float, tau_mem: float | npt.NDArray[np.float64]) -> nir.CubaLIF:
    """Leaky neurons behind a synaptic current, threshold 1, at rest at 0, reset to 0."""
    ones, zeros = np.ones(shape), np.zeros(shape)
    return nir.CubaLIF(
        tau_syn=tau_syn * ones, tau_mem=tau_mem * ones, r=ones, v_leak=zeros, v_threshold=ones, v_reset=zeros, w_in=ones
    )


def number(settings: Mapping[str, Any], name: str) -> float:
    """A setting as a float."""
    return float(settings[name])
