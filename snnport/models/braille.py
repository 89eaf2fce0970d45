"""braille: the recurrent CubaLIF network of NIR's paper (J. E. Pedersen et al., Nature Communications 15:8122, 2024) on seven
letters in Braille, read by a robot's fingertip (S. F. Muller-Cleve et al., Frontiers in Neuroscience 16:951164, 2022).

Twelve tactile channels, 256 steps, spikes. One part in `folds` of each letter's samples is held out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nir
import numpy as np

from snnport.datasets.files import read_arrays
from snnport.datasets.labels import class_numbers
from snnport.datasets.splits import Splits
from snnport.errors import InvalidInput
from snnport.graph import Graph, build
from snnport.models.recipe import Fit, Option, Recipe
from snnport.models.spiking import TRAINED, cuba_lif, dense, li, tau_of, told, uniform
from snnport.nodes import input_node, output_node

FILE = "braille7_unique1158.npz"
CHANNELS, LETTERS = 12, 7


def network(settings: Mapping[str, Any], seed: int) -> Graph:
    """The network with random weights, from the settings of the recipe.

    Membranes keep between beta and slowest_beta of their potential in a step: time constants spread evenly in logarithm.
    """
    rng, hidden = np.random.default_rng(seed), int(settings["hidden_size"])
    tau_syn = tau_of(float(settings["alpha"]))
    tau_mem = np.geomspace(tau_of(float(settings["beta"])), tau_of(float(settings["slowest_beta"])), hidden)
    nodes: dict[str, nir.NIRNode] = {
        "input": input_node((CHANNELS,)),
        "fc1": dense(rng, CHANNELS, hidden),
        "hidden": cuba_lif((hidden,), tau_syn, tau_mem),
        "recurrent": nir.Linear(uniform(rng, (hidden, hidden), hidden, 0.1)),
        "fc2": dense(rng, hidden, LETTERS),
        "readout": li((LETTERS,), tau_of(float(settings["readout_beta"]))),
        "output": output_node((LETTERS,)),
    }
    edges = [("input", "fc1"), ("fc1", "hidden"), ("hidden", "recurrent"), ("recurrent", "hidden")]
    return build(nodes, [*edges, ("hidden", "fc2"), ("fc2", "readout"), ("readout", "output")], told(TRAINED))


def data(folder: Path | None, settings: Mapping[str, Any]) -> Splits:
    """Spikes (n, 256, 12) and letters; fold `fold` of `folds` is the test part, drawn letter by letter with seed 2022."""
    if folder is None:
        raise InvalidInput("braille", "there is no download of this set", f"Name the folder of {FILE} with --data")
    path = next((p for p in (folder / "braille" / FILE, folder / FILE) if p.is_file()), folder / FILE)
    arrays = read_arrays(path)
    if not {"x", "y"} <= set(arrays) or arrays["x"].ndim != 3 or arrays["x"].shape[2] != CHANNELS:
        raise InvalidInput(str(path), f"it holds no x (n, n_steps, {CHANNELS}) and y", "Give the set of NIR's paper")
    x = np.asarray(arrays["x"], np.uint8)
    y = class_numbers(str(path), arrays["y"], len(x))
    held = held_out(y, int(settings["folds"]), int(settings["fold"]))
    return Splits(x[~held], y[~held], x[held], y[held])


def held_out(y: np.ndarray, folds: int, fold: int) -> np.ndarray:
    """Which samples are the test part: part `fold` of `folds` of each class, in a random order of its own."""
    if not 0 <= fold < folds:
        raise InvalidInput("braille: fold", f"there are folds 0..{folds - 1}, {fold} was asked for")
    rng, held = np.random.default_rng(2022), np.zeros(len(y), bool)
    for letter in np.unique(y):
        held[np.array_split(rng.permutation(np.flatnonzero(y == letter)), folds)[fold]] = True
    return held


RECIPE = Recipe(
    name="braille",
    about="12-38-7, recurrent neurons with synaptic currents, 256 steps",
    source="J. E. Pedersen et al., Nature Communications 15:8122, 2024",
    reset="to zero",
    build=network,
    data=data,
    fit=Fit(
        epochs=400,
        batch_size=64,
        lr=5e-3,
        loss="cross-entropy{of=membrane,over=mean}",
        schedule="one-cycle",
        surrogate="fast-sigmoid{k=10}",
        augment=("time-shift{steps=12}", "drop{p=0.1}", "stretch{by=0.05}", "jitter{steps=1}"),
        clip_grad=1.0,
    ),
    network={"hidden_size": 38, "alpha": 0.55, "beta": 0.8, "slowest_beta": 0.98, "readout_beta": 0.95, "folds": 5, "fold": 0},
    options=(
        Option("hidden-size", int, "Hidden neurons."),
        Option("fold", int, "Which fifth is held out."),
    ),
    must_reach=0.95,
    tiny={"hidden_size": 8, "epochs": 1},
)
