"""lsnn: recurrent neurons with adaptive thresholds on sequential MNIST (G. Bellec et al., Long short-term memory and
learning-to-learn in networks of spiking neurons, NeurIPS 2018).

The task "rows" shows the 28 rows of a picture, one a step; "pixels" its 784 pixels, one a step. A pixel enters as a count of
0..15, its upper four bits. The threshold rises by beta (1 - rho) with every spike and falls back with tau_adapt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np

from snnport.datasets.idx_sets import idx_set
from snnport.datasets.splits import Splits
from snnport.graph import Graph, build
from snnport.models.recipe import Fit, Option, Recipe
from snnport.models.spiking import TRAINED, li, lif, told, uniform
from snnport.nodes import AdaptiveLIF, input_node, output_node

SIDE, CLASSES = 28, 10
LEVELS = 15
"""Greatest count of a pixel."""


def network(settings: Mapping[str, Any], seed: int) -> Graph:
    """The network with random weights, from the settings of the recipe."""
    rng, hidden, dt = np.random.default_rng(seed), int(settings["hidden_size"]), float(settings["dt"])
    inputs = SIDE if settings["task"] == "rows" else 1
    tau, back = float(settings["tau_m"]), settings["v_reset"]
    rest = 0.0 if back == "none" else float(back)
    rule = TRAINED.having(dt=dt, reset="subtract" if back == "none" else "value" if rest else "zero")
    zeros = np.zeros(hidden)
    nodes: dict[str, nir.NIRNode] = {
        "input": input_node((inputs,)),
        "fc1": nir.Affine(uniform(rng, (hidden, inputs), inputs, float(settings["gain"])) / LEVELS, zeros),
        "hidden": _neurons(settings, hidden, rest),
        "recurrent": nir.Linear(uniform(rng, (hidden, hidden), hidden, 0.5)),
        "fc2": nir.Affine(uniform(rng, (CLASSES, hidden), hidden), np.zeros(CLASSES)),
        "readout": li((CLASSES,), tau),
        "output": output_node((CLASSES,)),
    }
    edges = [("input", "fc1"), ("fc1", "hidden"), ("hidden", "recurrent"), ("recurrent", "hidden")]
    return build(nodes, [*edges, ("hidden", "fc2"), ("fc2", "readout"), ("readout", "output")], told(rule))


def _neurons(settings: Mapping[str, Any], hidden: int, v_reset: float) -> nir.NIRNode:
    """The recurrent neurons, with or without adaptation."""
    plain = lif((hidden,), float(settings["tau_m"]), float(settings["v_threshold"]))
    plain.v_reset = v_reset * np.ones(hidden)
    if not settings["use_sfa"]:
        return plain
    ones = np.ones(hidden)
    return AdaptiveLIF(
        tau=plain.tau,
        r=plain.r,
        v_leak=plain.v_leak,
        v_threshold=plain.v_threshold,
        v_reset=plain.v_reset,
        tau_adapt=float(settings["tau_adapt"]) * ones,
        beta=float(settings["beta"]) * ones,
    )


def data(folder: Path | None, settings: Mapping[str, Any]) -> Splits:
    """MNIST as counts: (n, 28, 28), a row a step, or (n, 784, 1), a pixel a step."""
    found = idx_set("mnist", folder)
    shape = (-1, SIDE, SIDE) if settings["task"] == "rows" else (-1, SIDE * SIDE, 1)
    return replace(found, train_x=(found.train_x >> 4).reshape(shape), test_x=(found.test_x >> 4).reshape(shape))


MEAN = "cross-entropy{of=membrane,over=mean}"
NETWORK = {
    "task": "rows",
    "hidden_size": 400,
    "use_sfa": True,
    "tau_m": 0.020,
    "tau_adapt": 0.200,
    "beta": 1.8,
    "v_threshold": 1.0,
    "v_reset": "0",
    "dt": 1e-3,
    "gain": 3.0,
}
OPTIONS = (
    Option("task", str, "What is shown in a step: a row of the picture or a pixel.", ("rows", "pixels")),
    Option("hidden-size", int, "Recurrent neurons."),
    Option("use-sfa", bool, "Adaptive thresholds."),
    Option("tau-m", float, "Membrane time constant in seconds."),
    Option("tau-adapt", float, "Time constant of the threshold in seconds."),
    Option("beta", float, "How much spikes raise the threshold."),
    Option("v-threshold", float, "Threshold at rest."),
    Option("v-reset", str, "Potential after a spike; none: the threshold is taken off, as NIR's own nodes can."),
    Option("dt", float, "Seconds a step."),
    Option("gain", float, "Width of the first input weights."),
)
RECIPE = Recipe(
    name="lsnn",
    about="400 recurrent neurons with adaptive thresholds, sequential MNIST row by row",
    source="G. Bellec et al., NeurIPS 2018",
    reset="to zero; to another value or by subtraction with --v-reset",
    build=network,
    data=data,
    fit=Fit(
        epochs=50,
        batch_size=32,
        lr=1e-3,
        loss=MEAN,
        schedule="cosine",
        surrogate="triangular{height=0.3}",
        augment=("image-shift{pixels=1}",),
        clip_grad=1.0,
    ),
    network=NETWORK,
    options=OPTIONS,
    must_reach=0.98,
    tiny={"hidden_size": 16, "epochs": 1},
)
LARGE = replace(
    RECIPE,
    name="lsnn-large",
    about="the same with 800 neurons",
    fit=replace(RECIPE.fit, lr=5e-4, batch_size=16),
    network={**NETWORK, "hidden_size": 800},
    tiny={**RECIPE.tiny},
)
PIXELS = replace(
    RECIPE,
    name="lsnn-pixels",
    about="the same, pixel by pixel in 784 steps",
    fit=replace(RECIPE.fit, epochs=20, lr=2e-3, augment=()),
    network={**NETWORK, "task": "pixels"},
    must_reach=0.96,
)
EPROP = replace(
    RECIPE,
    name="lsnn-eprop",
    about="the same, learned by e-prop: eligibility traces and a learning signal",
    source="G. Bellec et al., Nature Communications 11:3625, 2020",
    fit=replace(RECIPE.fit, augment=()),
    trained_by="snnport.training.eprop:learned",
    must_reach=None,
)
