"""diehl-cook: one layer that learns MNIST by spike timing alone (P. U. Diehl and M. Cook, Frontiers in Computational
Neuroscience 9:99, 2015): STDP with traces, lateral inhibition, thresholds that rise, weights that stay positive (Dale).

What differs from the paper: whole steps of a millisecond, neurons inhibit one another directly, a potential rests at and
resets to 0, and there are no refractory periods. Pixels enter as random spikes, drawn from a seed. At the end weights go to
multiples of `weight_step`, upwards from the fraction `up_from` of it, and thresholds settle on `settled_on` pictures. The
step is what one code is worth where 399 inhibitions of 70 fit a sum of 16 bits: 70 / 82. What is learned leaves as a NIR
graph: the thresholds as they are then, the inhibition as a loop of a step, and behind the neurons an integrator a class to
which each neuron of the class adds 1 / (number of its neurons). The classes stand in the metadata ("classes").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from snnport.datasets.idx_sets import idx_set
from snnport.datasets.splits import Splits
from snnport.graph import Graph
from snnport.graph import build as graph_of
from snnport.models.recipe import Fit, Option, Recipe
from snnport.models.spiking import DT, TRAINED, told
from snnport.nodes import input_node, output_node

PIXELS, CLASSES = 784, 10
TEST_SEED = 1
"""What is added to the seed for the spikes of test pictures."""


def spikes(images: npt.NDArray[np.uint8], steps: int, rate: float, seed: int, first: int = 0) -> npt.NDArray[np.uint8]:
    """Random spikes (n, steps, 784) of pixels (n, 784): in each step with probability rate * pixel / 255.

    Picture k is drawn from seed and first + k alone, so that a part of a set gets the spikes that it has in the whole.
    """
    raster = np.empty((len(images), steps, images.shape[1]), np.uint8)
    chance = images.astype(np.float32) * np.float32(rate / 255)
    for k, row in enumerate(chance):
        drawn = np.random.default_rng((seed, first + k)).random((steps, images.shape[1]), np.float32)
        np.less(drawn, row, out=raster[k].view(bool))
    return raster


def build(settings: Mapping[str, Any], seed: int) -> Graph:
    """The layer before it has learned: settings hidden_size, threshold, tau, inhibition."""
    hidden = int(settings["hidden_size"])
    weights = np.random.default_rng(seed).random((PIXELS, hidden))
    return layer_graph(weights, np.zeros(hidden), np.full(hidden, -1), settings)


def layer_graph(
    weights: npt.NDArray[Any], theta: npt.NDArray[Any], classes: npt.NDArray[np.integer], settings: Mapping[str, Any]
) -> Graph:
    """A layer as a graph. weights (784, n); theta (n,): what thresholds have risen by; classes (n,), -1 for none."""
    hidden, tau = len(theta), float(settings["tau"]) * DT
    ones, zeros = np.ones(hidden), np.zeros(hidden)
    threshold = float(settings["threshold"]) + np.asarray(theta, np.float64)
    sizes = np.array([max(int(np.count_nonzero(classes == c)), 1) for c in range(CLASSES)])
    votes = (classes[None, :] == np.arange(CLASSES)[:, None]) / sizes[:, None]
    nodes: dict[str, nir.NIRNode] = {
        "input": input_node((PIXELS,)),
        "excite": nir.Linear(np.asarray(weights, np.float64).T),
        "neurons": nir.LIF(tau=tau * ones, r=ones, v_leak=zeros, v_threshold=threshold, v_reset=zeros),
        "inhibit": nir.Linear(-float(settings["inhibition"]) * (1 - np.eye(hidden))),
        "vote": nir.Linear(votes),
        "votes": nir.I(np.full(CLASSES, 1 / DT)),
        "output": output_node((CLASSES,)),
    }
    edges = [("input", "excite"), ("excite", "neurons"), ("neurons", "inhibit"), ("inhibit", "neurons")]
    edges += [("neurons", "vote"), ("vote", "votes"), ("votes", "output")]
    meant = told(TRAINED.having(membrane_gain="unit", leaky_gain="unit"))
    return graph_of(nodes, edges, {**meant, "classes": json.dumps([int(c) for c in classes])})


def data(folder: Path | None, settings: Mapping[str, Any]) -> Splits:
    """MNIST: the training part as pixels (n, 784), `samples` of it in a random order, the test part likewise."""
    found = idx_set("mnist", folder)
    order = np.random.default_rng(int(settings["order_seed"])).permutation(len(found.train_x))[: int(settings["samples"])]
    images = found.train_x.reshape(-1, PIXELS)[order]
    return Splits(images, found.train_y[order], found.test_x.reshape(-1, PIXELS), found.test_y)


RECIPE = Recipe(
    name="diehl-cook",
    about="400 neurons that learn by spike timing (STDP), without labels, which are only used to name the neurons",
    source="P. U. Diehl and M. Cook, Frontiers in Computational Neuroscience 9:99, 2015",
    reset="to zero",
    build=build,
    data=data,
    fit=Fit(epochs=1, batch_size=1, lr=0.02, loss="none"),
    network={
        "hidden_size": 400,
        "steps": 100,
        "rate": 0.1,
        "threshold": 5.0,
        "tau": 100.0,
        "inhibition": 70.0,
        "weight_step": 0.85,
        "up_from": 0.4,
        "samples": 60000,
        "order_seed": 0,
        "settled_on": 10000,
        "named_on": 10000,
    },
    options=(
        Option("hidden-size", int, "Neurons."),
        Option("samples", int, "Pictures that it learns from."),
        Option("steps", int, "Steps of a picture."),
        Option("inhibition", float, "What a spike takes off all other potentials."),
        Option("weight-step", float, "What the learned weights are multiples of."),
    ),
    must_reach=0.85,
    trained_by="snnport.training.unsupervised:learned",
    tiny={"hidden_size": 20, "samples": 200, "named_on": 100},
)
