"""Fine-tuning as a step of a conversion: the samples it learns from, and its place between counts and codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput
from snnport.flow.convert import ConvertOptions, Refined
from snnport.flow.model import Model
from snnport.flow.prepare import InputOptions
from snnport.graph import Graph
from snnport.passes.codes.table import CODES


@dataclass(frozen=True)
class FinetuneOptions:
    """What `convert --finetune` was asked for.

    recipe: a number of epochs, or `weights{...}` or `thresholds{...}` (training/finetune.py). data: files of samples, which
    need no labels. labels: of all of them, one after another, for the accuracy that is shown and recipes that learn from them.
    checkpoint: a folder.
    """

    recipe: str
    data: tuple[Path, ...]
    labels: Path | None = None
    checkpoint: Path | None = None


def refiner(
    model: Model,
    inputs: InputOptions,
    options: ConvertOptions,
    finetune: FinetuneOptions,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[Callable[[Graph, Graph], Refined], dict[str, int]]:
    """The function that convert_graph calls with the folded and the counting network, and the seeds of what it draws.

    Raises InvalidInput for options that do not go together, files that cannot be used, and where torch is missing.
    """
    if not finetune.data:
        raise InvalidInput("--finetune", "it has no samples to learn from", "Give --train-data FILE (once for each file)")
    code = CODES[options.code]
    if code.messages or not code.clips:
        what = f"the {options.code} code has thresholds or counts that fine-tuning does not train"
        raise InvalidInput("--finetune", what, "Use --code gate, ramp, ttfs or rate")
    try:
        from snnport.training.finetune import fine_tune
        from snnport.training.finetune_recipe import parse_recipe
    except ModuleNotFoundError:
        what, remedy = "it needs torch, which is not installed", "Type: pip install 'snnport[train]'"
        raise InvalidInput("--finetune", what, remedy) from None
    recipe = parse_recipe(finetune.recipe)
    samples, labels = _samples(model, inputs, finetune)

    def refine(folded: Graph, counting: Graph) -> Refined:
        tuned = fine_tune(
            folded,
            counting,
            samples,
            recipe,
            options.bits,
            labels=labels,
            checkpoint=finetune.checkpoint,
            progress=progress,
        )
        facts = {"epochs": [dict(entry) for entry in tuned.log], "kept_epoch": tuned.best, "seconds": round(tuned.seconds, 1)}
        return Refined(tuned.graph, tuned.spelling, {**facts, "samples": len(samples)})

    return refine, {"order and augmentation of fine-tuning": recipe.seed}


def _samples(
    model: Model, inputs: InputOptions, finetune: FinetuneOptions
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64] | None]:
    """All samples, scaled, and their labels: of the file of labels, else those in every one of the files."""
    parts = [inputs.load(path, model) for path in finetune.data]
    for path, part in zip(finetune.data, parts, strict=True):
        if part.n_steps:
            raise InvalidInput(str(path), "it holds spikes, images are needed", "Give images without a time axis")
    x = np.concatenate([part.batch(0, part.n_samples) for part in parts])
    if finetune.labels is not None:
        from snnport.datasets import load_labels

        return x, load_labels(finetune.labels, len(x))
    own = [part.y for part in parts]
    return x, None if any(y is None for y in own) else np.concatenate([y for y in own if y is not None])
