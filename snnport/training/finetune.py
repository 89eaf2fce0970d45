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
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from snnport.encoders import CountEncoder, encoder_of
from snnport.errors import InvalidInput
from snnport.events import write_bytes
from snnport.graph import Graph, names_of, predecessors, shapes, the_output
from snnport.nodes import ReLU
from snnport.passes.base import fingerprint
from snnport.spelling import parse_among, spell_among
from snnport.training.augment import KINDS, Augmentation
from snnport.training.batches import ArrayBatches, Batch
from snnport.training.checkpoint import seed_all
from snnport.training.loop import Plan, Report, fit
from snnport.training.optimisers import Adam
from snnport.training.qcfs_net import CountingNetwork, FloatNetwork
from snnport.training.schedules import Cosine

Array = npt.NDArray[np.float64]
CHUNK = 200
PRECISIONS: Mapping[str, torch.dtype | None] = MappingProxyType({"float32": None, "bfloat16": torch.bfloat16})


@dataclass(frozen=True)
class Weights:
    """Train weights, biases and steps.

    epochs: times through the samples. rate, step_rate: of Adam for weights and biases, and for the logarithms of the steps;
    both fall along a cosine. batch: samples a batch. blocks: weight of the squared error of the rectifiers. temperature: of
    the answers that are compared. augment: of flip, shift and cutmix, with + between, "none", or "auto": all for colour
    images, shift for others. labels: share of the loss of the answers that asks for the samples' labels, by cross entropy, 0
    for none. average: decay a step of the moving average of weights, biases and steps that is kept, 0 for none. held_out: share
    of the samples, drawn at random, that chooses the epoch to keep. patience: epochs without a better one until it stops, 0 to
    go on. sums: of PRECISIONS, the number format of images' sums while it learns; what is judged and kept is exact with either.
    seed: of all that is drawn.
    """

    epochs: int = 10
    rate: float = 3e-4
    step_rate: float = 5e-3
    batch: int = 50
    blocks: float = 0.5
    temperature: float = 2.0
    augment: str = "auto"
    labels: float = 0.0
    average: float = 0.99
    held_out: float = 0.05
    patience: int = 0
    sums: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1 or not 0 < self.held_out < 1 or not 0 <= self.average < 1:
            what = f"epochs {self.epochs}, batch {self.batch}, held_out {self.held_out}, average {self.average} cannot be used"
            raise InvalidInput("--finetune", what, "epochs and batch are at least 1, held_out and average lie between 0 and 1")
        if not 0 <= self.labels <= 1:
            raise InvalidInput("--finetune", f"labels = {self.labels} is no share", "Give a number between 0 and 1")
        if self.sums not in PRECISIONS:
            raise InvalidInput("--finetune", f"there are no sums '{self.sums}'", f"Known: {', '.join(PRECISIONS)}")
        for kind in self.augment.split("+"):
            if kind not in (*KINDS, "none", "auto"):
                raise InvalidInput("--finetune", f"there is no augmentation '{kind}'", f"Known: auto, none, {', '.join(KINDS)}")


@dataclass(frozen=True)
class Thresholds(Weights):
    """Train biases and steps alone: the weights, and so the synapses' codes, stay those of the source network."""

    epochs: int = 2
    rate: float = 1e-3
    step_rate: float = 1e-2


RECIPES: Mapping[str, type[Weights]] = MappingProxyType({"weights": Weights, "thresholds": Thresholds})


def parse_recipe(text: str) -> Weights:
    """The recipe that `text` spells: a number of epochs, `weights{...}` or `thresholds{...}`."""
    if text.strip().isdigit():
        return Weights(int(text))
    found: Weights = parse_among("--finetune", RECIPES, text)
    return found


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
    sums = PRECISIONS[recipe.sums]
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
    exam = _Exam(
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


@dataclass(frozen=True, eq=False)
class Lesson:
    """The loss of a batch (x,) or (x, targets): of the answers, and of the rectifiers that shall match. targets: (n, classes),
    for each sample the shares of its labels."""

    teacher: FloatNetwork
    encoder: CountEncoder
    recipe: Weights
    matched: tuple[str, ...]

    def __call__(self, student: nn.Module, batch: Batch) -> Tensor:
        """The mean loss."""
        wanted = self.teacher(self.floats(batch[0]))
        _, logits, real = student(self.counts(batch[0], getattr(student, "dtype", torch.float32)), self.matched)
        loss = self.of_answers(logits, wanted[""], *batch[1:])
        if self.matched:
            parts = [_unlike(real[name], wanted[name].to(real[name].dtype)) for name in self.matched]
            loss = loss + self.recipe.blocks * torch.stack(parts).sum()
        return loss

    def of_answers(self, logits: Tensor, wanted: Tensor, targets: Tensor | None = None) -> Tensor:
        """Divergence from the float network's, with the recipe's share of cross entropy where there are targets."""
        loss, share = divergence(logits, wanted.to(logits.dtype), self.recipe.temperature), self.recipe.labels
        if targets is None or not share:
            return loss
        return (1 - share) * loss + share * functional.cross_entropy(logits.reshape(len(logits), -1), targets.to(logits.dtype))

    def floats(self, x: Tensor) -> Tensor:
        """The samples as the float network takes them: signed ones as x beside -x, rectified."""
        return torch.cat([x, -x], 1).clamp_min(0) if self.encoder.doubles else x

    def counts(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """The encoder's counts of x."""
        both = torch.cat([x, -x], 1) if self.encoder.doubles else x
        return torch.clamp(torch.floor(both.double() / self.encoder.step + 0.5), 0, self.encoder.levels).to(dtype)


@dataclass(frozen=True, eq=False)
class _Exam:
    """After each epoch, on samples that were held out."""

    lesson: Lesson
    x: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64] | None
    targets: tuple[Tensor, ...]

    def __call__(self, student: nn.Module) -> dict[str, float]:
        """Loss of the answers, agreement with the float network, and accuracy where there are labels."""
        loss, same, right = 0.0, 0, 0
        for start in range(0, len(self.x), CHUNK):
            x = torch.from_numpy(self.x[start : start + CHUNK])
            wanted = self.lesson.teacher(self.lesson.floats(x))[""]
            integers, logits, _ = student(self.lesson.counts(x, getattr(student, "dtype", torch.float32)))
            targets = [array[start : start + CHUNK] for array in self.targets]
            loss += float(self.lesson.of_answers(logits, wanted, *targets)) * len(x)
            answer = integers.reshape(len(x), -1).argmax(1)
            same += int((answer == wanted.reshape(len(x), -1).argmax(1)).sum())
            if self.labels is not None:
                right += int((answer.numpy() == self.labels[start : start + CHUNK]).sum())
        found = {"held_out_loss": loss / len(self.x), "agreement": same / len(self.x)}
        return found if self.labels is None else {**found, "accuracy": right / len(self.x)}


def _unlike(ours: Tensor, theirs: Tensor) -> Tensor:
    """The squared error as a share of what there is."""
    return functional.mse_loss(ours, theirs) / theirs.square().mean().clamp_min(1e-12)


def divergence(logits: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """Kullback and Leibler's, of answers softened by the temperature, in the scale of the logits' gradient."""
    ours, theirs = (functional.log_softmax(values.reshape(len(values), -1) / temperature, 1) for values in (logits, wanted))
    return functional.kl_div(ours, theirs, log_target=True, reduction="batchmean") * temperature**2


def _distributions(labels: npt.NDArray[np.int64] | None, graph: Graph) -> npt.NDArray[np.float32]:
    """(n, classes): 1 where the label is. Raises InvalidInput without labels, or with one that is no output of the network."""
    if labels is None:
        raise InvalidInput("--finetune", "the recipe learns from labels, there are none", "Give --train-labels, or labels=0")
    classes = int(np.prod(shapes(graph)[the_output(graph)]))
    if labels.min() < 0 or labels.max() >= classes:
        what = f"labels run from {labels.min()} to {labels.max()}, the network has {classes} outputs"
        raise InvalidInput("--train-labels", what, f"Give class numbers 0..{classes - 1}")
    return np.eye(classes, dtype=np.float32)[labels]


def matched_rectifiers(graph: Graph) -> tuple[str, ...]:
    """The rectifiers behind an add, or all where nothing adds."""
    every = names_of(graph, ReLU)
    return tuple(name for name in every if len(predecessors(graph, name)) > 1) or every


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
