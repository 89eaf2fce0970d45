"""Quantisation-aware fine-tuning: the quantised ANN learns to answer as its float self, on samples that need no labels.

The loss is the divergence of the answers (G. Hinton et al., arXiv 1503.02531), of which a share may give way to the labels'
cross entropy, and the squared error of the rectifiers behind every add (A. Romero et al., ICLR 2015), or of all of them where
nothing adds. What is drawn depends on the seed, the epoch and the batch alone, so that a run that was stopped and goes on ends
with the same weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from snnport.encoders import encoder_of
from snnport.errors import InvalidInput
from snnport.events import write_bytes
from snnport.graph import Graph, shapes, the_output
from snnport.passes.base import fingerprint
from snnport.spelling import spell_among
from snnport.training.augment import Augmentation
from snnport.training.batches import ArrayBatches
from snnport.training.checkpoint import seed_all
from snnport.training.finetune_recipe import RECIPES, SUMS, Thresholds, Weights
from snnport.training.lesson import Exam, Lesson, matched_rectifiers
from snnport.training.loop import Plan, Report, fit
from snnport.training.optimisers import Adam
from snnport.training.qcfs_net import CountingNetwork, FloatNetwork
from snnport.training.schedules import Cosine

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tuned:
    """What fine-tuning gave. graph: for quantize-weights. log: one entry an epoch: loss, and on the samples held out loss,
    agreement with the float network, and accuracy where there are labels. best: the epoch that was kept, from 1.
    """

    graph: Graph
    log: tuple[Mapping[str, float], ...]
    best: int
    spelling: str
    seconds: float


def fine_tune(
    folded: Graph,
    quantised: Graph,
    samples: Array,
    recipe: Weights,
    bits: int,
    *,
    labels: npt.NDArray[np.int64] | None = None,
    checkpoint: Path | None = None,
    progress: Report | None = None,
) -> Tuned:
    """Train `quantised` (behind quantize-activations) to answer as `folded` does. samples: (n, *input shape), scaled.

    labels: class numbers (n,), for the accuracy on what is held out, and to learn from if the recipe says so. checkpoint: a
    folder that keeps the state of the run; one that it holds is taken up. Raises InvalidInput where there are too few samples,
    labels that the recipe needs are not there or are no classes of the network, or the checkpoint is of another run.
    """
    encoder = encoder_of(quantised.metadata)
    kept = max(1, round(recipe.held_out * len(samples)))
    if len(samples) - kept < recipe.batch:
        what = f"{len(samples)} samples leave {len(samples) - kept} to learn from, a batch has {recipe.batch}"
        raise InvalidInput("--train-data", what, "Give more samples or a smaller batch")
    spelled = spell_among(RECIPES, recipe)
    targets = (_distributions(labels, folded),) if recipe.labels else ()
    if checkpoint is not None:
        _claim(checkpoint, spelled, bits, (samples, *targets), (folded, quantised))
    seed_all(recipe.seed)
    sums = SUMS[recipe.sums]
    student, teacher = CountingNetwork(quantised, bits, sums), FloatNetwork(folded, sums=sums)
    weights, biases, steps = student.groups()
    learning = biases if isinstance(recipe, Thresholds) else [*weights, *biases]
    for parameter in weights:
        parameter.requires_grad_(parameter is not None and not isinstance(recipe, Thresholds))
    groups = [{"params": learning, "lr": recipe.rate}, {"params": steps, "lr": recipe.step_rate}]
    x = samples.astype(np.float32)
    held, rest = np.split(np.random.default_rng(recipe.seed).permutation(len(x)), [kept])
    learned = tuple(array[rest] for array in (x, *targets))
    batches = ArrayBatches(learned, recipe.batch, recipe.seed, change=Augmentation.of(recipe.augment, x))
    lesson = Lesson(teacher, encoder, recipe, matched_rectifiers(folded) if recipe.blocks else ())
    exam = Exam(
        replace(lesson, teacher=FloatNetwork(folded)),
        x[held],
        None if labels is None else labels[held],
        tuple(torch.from_numpy(array[held]) for array in targets),
    )
    watched = Plan(
        recipe.epochs,
        watch="held_out_loss",
        maximise=False,
        patience=recipe.patience,
        keep_best=True,
        average=recipe.average,
    )
    done = fit(
        student,
        Adam(recipe.rate).make(groups),
        batches,
        lesson,
        watched,
        schedule=Cosine(warmup=min(0.05, 20 / max(1, recipe.epochs * len(batches)))),
        validate=exam,
        checkpoint=checkpoint,
        progress=progress,
    )
    return Tuned(student.trained(), tuple(done.log), done.best_epoch + 1, spelled, done.seconds)


def _distributions(labels: npt.NDArray[np.int64] | None, graph: Graph) -> npt.NDArray[np.float32]:
    """(n, classes): 1 where the label is. Raises InvalidInput without labels, or with one that is no output of the network."""
    if labels is None:
        raise InvalidInput("--finetune", "the recipe learns from labels, there are none", "Give --train-labels, or labels=0")
    classes = int(np.prod(shapes(graph)[the_output(graph)]))
    if labels.min() < 0 or labels.max() >= classes:
        what = f"labels run from {labels.min()} to {labels.max()}, the network has {classes} outputs"
        raise InvalidInput("--train-labels", what, f"Give class numbers 0..{classes - 1}")
    return np.eye(classes, dtype=np.float32)[labels]


def _claim(folder: Path, spelled: str, bits: int, arrays: tuple[npt.NDArray[Any], ...], graphs: tuple[Graph, Graph]) -> None:
    """Note in `folder` what is trained there. Raises InvalidInput if it is something else than before."""
    data = hashlib.sha256(b"".join(np.ascontiguousarray(array, np.float32).tobytes() for array in arrays)).hexdigest()
    marks = {
        "recipe": spelled,
        "bits": str(bits),
        "samples": f"{len(arrays[0])} ({data[:12]})",
        "network": " ".join(fingerprint(graph)[:12] for graph in graphs),
    }
    path = folder / "finetune.json"
    if path.is_file():
        try:
            before = json.loads(path.read_text())
        except ValueError:
            raise InvalidInput(str(path), "it is damaged", "Delete the folder to begin anew") from None
        for name, mark in marks.items():
            if before.get(name) != mark:
                what = f"it began with {name} {before.get(name)}, this run has {mark}"
                raise InvalidInput(f"--checkpoint {folder}", what, "Resume with the same options, or give another folder")
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(path, json.dumps(marks, indent=1).encode())
