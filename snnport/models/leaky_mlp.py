"""leaky-mlp: 784-1000-10 leaky neurons on MNIST, beta 0.95, after snnTorch's fifth tutorial (J. K. Eshraghian et al.,
Training spiking neural networks using lessons from deep learning, Proc. IEEE 111(9), 2023).

What differs from the tutorial, so that the network runs on chips: a pixel enters as evenly spaced spikes rather than as a
current, hidden neurons reset to 0 rather than by subtraction, and output neurons integrate without firing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from snnport.datasets.idx_sets import idx_set
from snnport.datasets.splits import Splits
from snnport.graph import Graph, chain
from snnport.models.recipe import Fit, Option, Recipe
from snnport.models.spiking import TRAINED, dense, li, lif, tau_of, told
from snnport.nodes import input_node, output_node

PIXELS = 784
CLASSES = 10


def build(settings: Mapping[str, Any], seed: int) -> Graph:
    """The network with random weights: settings hidden_size and beta."""
    rng, hidden, tau = np.random.default_rng(seed), int(settings["hidden_size"]), tau_of(float(settings["beta"]))
    nodes = {
        "input": input_node((PIXELS,)),
        "fc1": dense(rng, PIXELS, hidden),
        "hidden": lif((hidden,), tau),
        "fc2": dense(rng, hidden, CLASSES),
        "readout": li((CLASSES,), tau),
        "output": output_node((CLASSES,)),
    }
    return chain(nodes, told(TRAINED))


def data(folder: Path | None, settings: Mapping[str, Any]) -> Splits:
    """MNIST, or Fashion-MNIST, pixels of bytes: (n, 784)."""
    found = idx_set(str(settings["dataset"]), folder)
    flat = {name: getattr(found, name).reshape(-1, PIXELS) for name in ("train_x", "test_x")}
    return replace(found, **flat)


RECIPE = Recipe(
    name="leaky-mlp",
    about="784-1000-10 leaky neurons, beta 0.95, 25 steps, cross entropy on the membrane summed over the steps",
    source="snnTorch, tutorial 5; J. K. Eshraghian et al., Proc. IEEE 111(9), 2023",
    reset="to zero",
    build=build,
    data=data,
    fit=Fit(
        epochs=5,
        batch_size=128,
        lr=1e-3,
        loss="cross-entropy{of=membrane,over=mean}",
        encoder="even{steps=25}",
        schedule="cosine",
        surrogate="fast-sigmoid{k=25}",
    ),
    network={"hidden_size": 1000, "beta": 0.95, "dataset": "mnist"},
    options=(
        Option("hidden-size", int, "Hidden neurons."),
        Option("beta", float, "What is left of a potential after a step."),
        Option("dataset", str, "What it learns.", ("mnist", "fashion-mnist")),
    ),
    must_reach=0.975,
    tiny={"hidden_size": 32, "epochs": 1},
)
