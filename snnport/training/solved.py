"""Recipes whose weights are solved for by least squares: nothing to learn from samples, only to measure on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.convention import convention_of
from snnport.datasets.splits import Splits
from snnport.graph import Graph, predecessors, the_output
from snnport.models.recipe import Recipe
from snnport.reference import run_spiking


def solved(
    recipe: Recipe,
    splits: Splits,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: Path | None = None,
) -> tuple[Graph, dict[str, Any]]:
    """The network, and the root mean square error of its output on the test part. It takes seconds, without checkpoints."""
    graph = recipe.build(recipe.network, seed)
    (read,) = predecessors(graph, the_output(graph))
    trace = run_spiking(graph, splits.test_x, convention_of(graph.metadata), record_v=(read,))
    error = float(np.sqrt(np.mean(np.square(trace.v[read] - splits.test_y))))
    if progress is not None:
        progress(1, 1)
    return graph, {"rmse": error, "samples": len(splits.test_x)}


def raster(recipe: Recipe, seed: int, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The counts that enter, which is what the recipe's data are."""
    return x
