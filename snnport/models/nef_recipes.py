"""nef-memory, nef-addition, nef-square and nef-product: networks whose weights are solved for, not trained.

Their data are signals: counts that enter (n, n_steps, channels), and the function of the numbers, filtered as the output is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from snnport.datasets.splits import Splits
from snnport.graph import Graph
from snnport.models.nef import DT, Array
from snnport.models.nef_networks import LEVELS, NETWORKS, NUMBERS, TAU_OUTPUT, TAU_SYNAPSE, signed_counts
from snnport.models.recipe import Fit, Option, Recipe

SECONDS = 2.5
SIGNALS = 4
WAVES = 3
"""Sines that a signal is the sum of."""
IDEAL: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {
        "memory": lambda x: np.cumsum(x, axis=0) * DT,
        "addition": lambda x: x.sum(axis=1, keepdims=True),
        "square": np.square,
        "product": lambda x: x[:, :1] * x[:, 1:],
    }
)
"""What each network computes of its numbers (n_steps, numbers): (n_steps, 1)."""


def build(name: str, settings: Mapping[str, Any], seed: int) -> Graph:
    """The network with its decoders: setting neurons, of one ensemble."""
    return NETWORKS[name](int(settings["neurons"]), np.random.default_rng(seed))


def data(name: str, folder: Path | None, settings: Mapping[str, Any]) -> Splits:
    """Sums of slow sines within -1..1, and what the network shall give; made here, the folder is not read."""
    rng = np.random.default_rng(int(settings["signal_seed"]))
    x = np.stack([_signal(NUMBERS[name], rng) for _ in range(SIGNALS)])
    y = np.stack([wanted(name, one) for one in x])
    counts, half = np.stack([signed_counts(one, LEVELS[name]) for one in x]), SIGNALS // 2
    return Splits(counts[:half], y[:half], counts[half:], y[half:])


def wanted(name: str, x: Array) -> Array:
    """What network `name` shall give for numbers x (n_steps, numbers): its function behind the synapses, (n_steps, 1)."""
    ideal = IDEAL[name](x)
    return filtered(ideal if name == "memory" else filtered(ideal, TAU_SYNAPSE), TAU_OUTPUT)


def filtered(x: Array, tau: float) -> Array:
    """x (n_steps, n) behind a leaky integrator of gain 1 with time constant `tau`, 0 before the first step."""
    keep, state, result = math.exp(-DT / tau), np.zeros(x.shape[1]), np.empty_like(x)
    for step, value in enumerate(x):
        state = keep * state + (1 - keep) * value
        result[step] = state
    return result


def _signal(numbers: int, rng: np.random.Generator) -> Array:
    """(n_steps, numbers): sums of WAVES sines of 0.2 to 1.5 Hz, largest value 0.95, of mean 0 over whole periods."""
    t = np.arange(round(SECONDS / DT))[:, None, None] * DT
    frequency, phase = rng.uniform(0.2, 1.5, (numbers, WAVES)), rng.uniform(0, 2 * np.pi, (numbers, WAVES))
    waves = np.sin(2 * np.pi * frequency * t + phase).sum(axis=2)
    return np.asarray(0.95 * waves / np.abs(waves).max(axis=0), np.float64)


def _recipe(name: str, about: str) -> Recipe:
    return Recipe(
        name=f"nef-{name}",
        about=about,
        source="C. Eliasmith and C. H. Anderson, Neural Engineering, MIT Press, 2003; Nengo's examples",
        reset="to zero",
        build=partial(build, name),
        data=partial(data, name),
        fit=Fit(epochs=1, batch_size=1, lr=1.0, loss="none"),
        network={"neurons": 200, "signal_seed": 0},
        options=(Option("neurons", int, "Neurons of an ensemble."),),
        must_reach=None,
        trained_by="snnport.training.solved:solved",
        tiny={"neurons": 100},
    )


MEMORY = _recipe("memory", "an ensemble that feeds itself and so adds up its input")
ADDITION = _recipe("addition", "two ensembles into a third: a + b")
SQUARE = _recipe("square", "an ensemble into a second: x squared")
PRODUCT = _recipe("product", "two ensembles into one of two dimensions: x y")
