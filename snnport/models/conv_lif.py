"""conv-lif: three convolutions whose channels double to `conv`, two dense layers, LIF neurons, on MNIST.

A row of its table is named conv-fc-batch-lr. The table's source gives no steps, kernel, pooling, decay or reset; here, for all
rows: 8 steps, kernels 3 x 3 with stride 2 and padding 1 (28, 14, 7, 4) in place of pooling, beta 0.5 with an input gain of 1,
reset to 0. Pixels enter as evenly spaced spikes. What is read is the membrane of integrators, one for each bit of the code.
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
from snnport.graph import Graph, chain
from snnport.models.recipe import Fit, Option, Recipe
from snnport.models.spiking import TRAINED, dense, li, lif, tau_of, told, uniform
from snnport.nodes import flatten_node, input_node, output_node

SIDES = (28, 14, 7, 4)
STEPS = 8
ROWS: Mapping[str, float] = {
    "128-64-16-0.01": 0.9822,
    "128-64-64-0.01": 0.9841,
    "128-64-128-0.01": 0.9843,
    "128-64-64-0.001": 0.9753,
    "128-64-64-0.1": 0.9698,
    "32-64-64-0.01": 0.9764,
    "64-64-64-0.01": 0.9780,
    "128-32-64-0.01": 0.9846,
    "128-256-64-0.01": 0.9875,
}
"""The reference's test accuracies after 3 epochs, one-hot."""
CODED: Mapping[str, float] = {"one-hot": 0.9841, "inverted-one-hot": 0.9835, "binary": 0.9790, "gray": 0.8790}
"""The reference's at 128-64-64-0.01, by label code; each but the first is a recipe of its own."""


def network(settings: Mapping[str, Any], seed: int) -> Graph:
    """The network with random weights: settings conv, fc, beta and code."""
    rng, top, wide = np.random.default_rng(seed), int(settings["conv"]), int(settings["fc"])
    tau, out = tau_of(float(settings["beta"])), 4 if settings["code"] in ("binary", "gray") else 10
    nodes: dict[str, nir.NIRNode] = {"input": input_node((1, SIDES[0], SIDES[0]))}
    width = 1
    for k, channels in enumerate((top // 4, top // 2, top), 1):
        fan_in = width * 9
        weight = uniform(rng, (channels, width, 3, 3), fan_in, float(settings["gain"]))
        bias = uniform(rng, (channels,), fan_in)
        nodes[f"conv{k}"] = nir.Conv2d((SIDES[k - 1], SIDES[k - 1]), weight, (2, 2), (1, 1), (1, 1), 1, bias)
        nodes[f"lif{k}"] = lif((channels, SIDES[k], SIDES[k]), tau)
        width = channels
    nodes["flatten"] = flatten_node((top, SIDES[3], SIDES[3]))
    nodes["fc1"] = dense(rng, top * SIDES[3] ** 2, wide, float(settings["gain"]))
    nodes["lif4"] = lif((wide,), tau)
    nodes["fc2"] = dense(rng, wide, out)
    nodes["readout"] = li((out,), tau)
    nodes["output"] = output_node((out,))
    return chain(nodes, told(TRAINED))


def data(folder: Path | None, settings: Mapping[str, Any]) -> Splits:
    """MNIST, or Fashion-MNIST, pixels of bytes: (n, 1, 28, 28)."""
    found = idx_set(str(settings["dataset"]), folder)
    return replace(found, train_x=found.train_x[:, None], test_x=found.test_x[:, None])


def wanted(name: str, code: str) -> float:
    """What a row has to reach. In a code at another size than the reference's: its one-hot less what the code cost there."""
    return round(ROWS[name] - (CODED["one-hot"] - CODED[code]), 4)


def row(name: str) -> dict[str, Any]:
    """The settings that a row's name, conv-fc-batch-lr, stands for."""
    conv, fc, batch, lr = name.split("-")
    return {"conv": int(conv), "fc": int(fc), "batch_size": int(batch), "lr": float(lr)}


RECIPE = Recipe(
    name="conv-lif",
    about=f"three convolutions and two dense layers of LIF neurons, {STEPS} steps",
    source="a table whose rows are named conv-fc-batch-lr (docs/models.md)",
    reset="to zero",
    build=network,
    data=data,
    fit=Fit(
        epochs=3,
        batch_size=64,
        lr=0.01,
        loss="cross-entropy{of=membrane,over=mean}",
        encoder=f"even{{steps={STEPS}}}",
        schedule="one-cycle",
        surrogate="fast-sigmoid{k=5}",
        clip_grad=1.0,
    ),
    network={"conv": 128, "fc": 64, "beta": 0.5, "gain": 2.0, "code": "one-hot", "dataset": "mnist"},
    options=(
        Option("conv", int, "Channels of the third convolution."),
        Option("fc", int, "Neurons of the first dense layer."),
        Option("beta", float, "What is left of a potential after a step."),
        Option("dataset", str, "What it learns.", ("mnist", "fashion-mnist")),
    ),
    must_reach=0.984,
    tiny={"conv": 8, "fc": 16, "epochs": 1},
)


def _coded(code: str) -> Recipe:
    """The same network with outputs that spell the label in another code: each is trained to be on or off."""
    of_code = f"coded-cross-entropy{{code={code},classes=10,of=membrane,over=mean}}"
    return replace(
        RECIPE,
        name=f"conv-lif-{code.removesuffix('-one-hot')}",
        about=f"conv-lif with outputs in the {code} code",
        fit=replace(RECIPE.fit, loss=of_code),
        network={**RECIPE.network, "code": code},
        must_reach=CODED[code],
        tiny=dict(RECIPE.tiny),
    )


INVERTED, BINARY, GRAY = (_coded(code) for code in ("inverted-one-hot", "binary", "gray"))
