"""What fine-tuning learns from, and what it is judged by: the float network's answers, its rectifiers, and labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from snnport.encoders import CountEncoder
from snnport.graph import Graph, names_of, predecessors
from snnport.nodes import ReLU
from snnport.training.batches import Batch
from snnport.training.finetune_recipe import Weights
from snnport.training.qcfs_net import FloatNetwork

CHUNK = 200
"""Samples that are judged at a time."""


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
class Exam:
    """What a student knows of samples x (n, *input shape) that were held out. labels: (n,). targets: as a Lesson takes them."""

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


def matched_rectifiers(graph: Graph) -> tuple[str, ...]:
    """The rectifiers behind an add, or all where nothing adds."""
    every = names_of(graph, ReLU)
    return tuple(name for name in every if len(predecessors(graph, name)) > 1) or every
