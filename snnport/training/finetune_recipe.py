"""Recipes of fine-tuning, as `--finetune` spells them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

from snnport.errors import InvalidInput
from snnport.spelling import parse_among
from snnport.training.augment import KINDS

SUMS: Mapping[str, torch.dtype | None] = MappingProxyType({"float32": None, "bfloat16": torch.bfloat16})
"""Number formats of images' sums; None: that of the network."""


@dataclass(frozen=True)
class Weights:
    """Train weights, biases and steps.

    epochs: times through the samples. rate, step_rate: of Adam for weights and biases, and for the logarithms of the steps;
    both fall along a cosine. batch: samples a batch. blocks: weight of the squared error of the rectifiers. temperature: of
    the answers that are compared. augment: of flip, shift and cutmix, with + between, "none", or "auto": all for colour
    images, shift for others. labels: share of the loss of the answers that asks for the samples' labels, by cross entropy, 0
    for none. average: decay a step of the moving average of weights, biases and steps that is kept, 0 for none. held_out: share
    of the samples, drawn at random, that chooses the epoch to keep. patience: epochs without a better one until it stops, 0 to
    go on. sums: of SUMS, the number format of images' sums while it learns; what is judged and kept is exact with either.
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
        if self.sums not in SUMS:
            raise InvalidInput("--finetune", f"there are no sums '{self.sums}'", f"Known: {', '.join(SUMS)}")
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
