"""The recipe diehl-cook, learned: pictures one after another, in pieces that survive a kill; then weights of few codes,
thresholds that settle under them, and names for the neurons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.datasets.splits import Splits
from snnport.errors import InvalidInput
from snnport.events import read_npz, write_npz
from snnport.graph import Graph
from snnport.models.diehl_cook import CLASSES, PIXELS, TEST_SEED, layer_graph, spikes
from snnport.models.recipe import Recipe
from snnport.training.stdp import PART, Layer, Rule, assigned, classes_of, learn, on_grid, respond, settled, untrained

STATE = "stdp.npz"
BETWEEN = 1000
"""Pictures between two checkpoints."""
Progress = Callable[[int, int], None]


def learned(
    recipe: Recipe, splits: Splits, seed: int, progress: Progress | None = None, checkpoint: Path | None = None
) -> tuple[Graph, dict[str, Any]]:
    """The trained graph, and what was seen: accuracy, spikes a picture. checkpoint: a folder that a later call goes on from.

    Raises InvalidInput if the checkpoint belongs to another training.
    """
    settings, say = recipe.network, progress or (lambda done, whole: None)
    rule = Rule(
        threshold=float(settings["threshold"]),
        tau=float(settings["tau"]),
        inhibition=float(settings["inhibition"]),
        eta_post=recipe.fit.lr,
    )
    steps, rate, images = int(settings["steps"]), float(settings["rate"]), splits.train_x
    layer, done = _started(int(settings["hidden_size"]), rule, seed, checkpoint)
    while done < len(images):
        stop = min(done + PART, len(images))
        layer, _ = learn(layer, spikes(images[done:stop], steps, rate, seed, done), rule)
        done = stop
        say(done, len(images))
        if checkpoint is not None and (done % BETWEEN == 0 or done == len(images)):
            checkpoint.mkdir(parents=True, exist_ok=True)
            state = {"weights": layer.weights, "theta": layer.theta, "done": np.array(done), "seed": np.array(seed)}
            write_npz(checkpoint / STATE, state)
    layer = on_grid(layer, rule, float(settings["weight_step"]), float(settings["up_from"]))
    for start in range(0, min(int(settings["settled_on"]), len(images)), PART):
        layer = settled(layer, spikes(images[start : start + PART], steps, rate, seed, start), rule)
    named = min(int(settings["named_on"]), len(images))
    counts = _responses(layer, rule, images[-named:], steps, rate, seed, len(images) - named)
    classes = assigned(counts, splits.train_y[-named:], CLASSES)
    answers = _responses(layer, rule, splits.test_x, steps, rate, seed + TEST_SEED, 0)
    accuracy = float(np.mean(classes_of(answers, classes, CLASSES) == splits.test_y))
    told = {"accuracy": accuracy, "spikes_per_sample": float(answers.sum(axis=1).mean()), "samples": len(images)}
    return layer_graph(layer.weights, layer.theta, classes, settings), told


def raster(recipe: Recipe, seed: int, x: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The random spikes of test pictures (n, 784): (n, n_steps, 784)."""
    return spikes(x, int(recipe.network["steps"]), float(recipe.network["rate"]), seed + TEST_SEED)


def _responses(
    layer: Layer, rule: Rule, images: npt.NDArray[np.uint8], steps: int, rate: float, seed: int, first: int
) -> npt.NDArray[np.int32]:
    """Spike counts (n, neurons) on pictures that are number `first`, .. of their set."""
    parts = []
    for start in range(0, len(images), PART):
        part = spikes(images[start : start + PART], steps, rate, seed, first + start)
        parts.append(respond(layer, part, rule))
    return np.concatenate(parts)


def _started(hidden: int, rule: Rule, seed: int, checkpoint: Path | None) -> tuple[Layer, int]:
    """The layer and the number of pictures behind it: of the checkpoint if there is one."""
    path = None if checkpoint is None else checkpoint / STATE
    if path is None or not path.is_file():
        return untrained(PIXELS, hidden, rule, seed), 0
    arrays = read_npz(path)
    if set(arrays) != {"weights", "theta", "done", "seed"} or arrays["weights"].shape != (PIXELS, hidden):
        raise InvalidInput(str(path), f"it holds no layer of {hidden} neurons", "Remove it, or name another folder")
    if int(arrays["seed"]) != seed:
        raise InvalidInput(str(path), f"it was begun with seed {int(arrays['seed'])}, not {seed}", "Give the same seed")
    return Layer(np.array(arrays["weights"]), np.array(arrays["theta"])), int(arrays["done"])
