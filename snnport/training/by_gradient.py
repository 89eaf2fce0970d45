"""A graph trained by surrogate gradients, as a recipe says: module, optimiser, batches, objective, loop."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from snnport.datasets.label_codes import MARK, READOUT, LabelCode, code_to_json
from snnport.datasets.splits import Splits
from snnport.errors import InvalidInput
from snnport.graph import Graph, build
from snnport.models.recipe import Fit
from snnport.spelling import parse_among
from snnport.training.augment_steps import change_of
from snnport.training.batches import ArrayBatches, Batch
from snnport.training.checkpoint import seed_all
from snnport.training.decoders import Coded, Membrane
from snnport.training.loop import Loss, Plan, Progressed, Report, fit
from snnport.training.module import SpikingModule, as_module
from snnport.training.objective import Objective
from snnport.training.optimisers import OPTIMISERS
from snnport.training.parallel import Group, group
from snnport.training.quantised import Quantise, quantised_module
from snnport.training.schedules import SCHEDULES
from snnport.training.surrogates import SURROGATES


@dataclass(frozen=True)
class Running:
    """Where and how long a training runs. checkpoint: folder; every: batches between checkpoints; seconds: of this piece;
    device: "cpu", "cuda" or "auto" (a CUDA device if there is one); threads: of torch, None for its own choice."""

    checkpoint: Path | None = None
    every: int = 0
    seconds: float | None = None
    device: str = "auto"
    threads: int | None = None


@dataclass(frozen=True)
class Trained:
    """A trained graph. at: what the loop did; accuracy: on the test part, None where there are no labels or work is left."""

    graph: Graph
    at: Progressed
    accuracy: float | None

    @property
    def log(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "accuracy": self.accuracy,
            "finished": self.at.finished,
            "epochs": self.at.log,
            "best_epoch": self.at.best_epoch + 1,
            "seconds": self.at.seconds,
        }


def train_graph(
    graph: Graph,
    splits: Splits,
    how: Fit,
    *,
    running: Running | None = None,
    progress: Report | None = None,
    loss: Loss | None = None,
    make: Callable[[Graph, Fit], SpikingModule] | None = None,
    processes: Group | None = None,
) -> Trained:
    """Train `graph` on the training part of `splits` as `how` says.

    With how.validation a part of the training set chooses the epoch; the test part is asked once, at the end. loss: in place of
    the recipe's (distillation). make: what turns the graph into a module (quantisation-aware training). Raises InvalidInput and
    UnknownName for what does not fit together, before the first step.
    """
    running = running or Running()
    if running.threads is not None:
        torch.set_num_threads(running.threads)
    seed_all(how.seed)
    objective = Objective.of(how, graph)
    module = (make or module_of)(graph, how).to(device_of(running.device))
    learned = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not learned:
        raise InvalidInput("trainable", f"the graph has none of {', '.join(how.trainable)}", "Name fields that it has")
    part = splits.held_out(how.validation, how.seed) if how.validation else splits
    asks = objective.decoder is not None and splits.train_y.ndim == 1
    chosen = asks and how.validation > 0
    augmented = change_of(how.augment)
    batches = ArrayBatches(
        (part.train_x, part.train_y),
        how.batch_size,
        how.seed,
        change=lambda batch, rng: _with_seeds(augmented(batch, rng), rng),
    )
    plan = Plan(
        how.epochs,
        clip_norm=how.clip_grad,
        watch="accuracy" if chosen else "",
        patience=how.patience,
        keep_best=chosen or how.patience > 0,
        average=how.average,
        every=running.every,
        seconds=running.seconds,
    )
    at = fit(
        module,
        optimiser_of(how).make(learned),
        batches,
        loss or objective,
        plan,
        schedule=parse_among("schedule", SCHEDULES, how.schedule),
        validate=(lambda m: {"accuracy": accuracy(objective, m, part.test_x, part.test_y)}) if chosen else None,
        checkpoint=running.checkpoint,
        progress=progress,
        group=processes if processes is not None else group(),
    )
    module.eval()
    known = asks and at.finished and len(splits.test_x)
    return Trained(
        _read_as(module.to_graph(), objective), at, accuracy(objective, module, splits.test_x, splits.test_y) if known else None
    )


def module_of(graph: Graph, how: Fit) -> SpikingModule:
    """The module that `how` asks for."""
    surrogate = parse_among("surrogate", SURROGATES, how.surrogate)
    return as_module(
        graph,
        trainable=how.trainable,
        surrogate=surrogate,
        detach_reset=how.detach_reset,
        checkpoint_steps=how.checkpoint_steps,
    )


def quantised_for(quantise: Quantise, every: int = 1) -> Callable[[Graph, Fit], SpikingModule]:
    """What makes a module that trains for the integers of `quantise`, as `module_of` makes one for real numbers."""

    def make(graph: Graph, how: Fit) -> SpikingModule:
        surrogate = parse_among("surrogate", SURROGATES, how.surrogate)
        return quantised_module(
            graph,
            quantise,
            every=every,
            trainable=how.trainable,
            surrogate=surrogate,
            detach_reset=how.detach_reset,
            checkpoint_steps=how.checkpoint_steps,
        )

    return make


def optimiser_of(how: Fit) -> Any:
    """The optimiser that `how` spells, with its rate and decay."""
    made = parse_among("optimiser", OPTIMISERS, how.optimiser)
    made = replace(made, lr=how.lr)
    return replace(made, weight_decay=how.weight_decay) if how.weight_decay else made


def accuracy(objective: Objective, module: nn.Module, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> float:
    """The fraction of samples whose label `module` gives."""
    assert isinstance(module, SpikingModule)
    return float(np.mean(objective.answers(module, x) == y))


def _read_as(graph: Graph, objective: Objective) -> Graph:
    """The graph, and in its metadata how its output is read where that is neither the greatest count nor the greatest sum:
    another potential than the sum ("readout"), and the code in which neurons spell labels (datasets/label_codes.py)."""
    decoder, told = objective.decoder, dict(graph.metadata)
    if isinstance(decoder, Membrane | Coded) and decoder.reads_v and decoder.over in ("last", "max"):
        told[READOUT] = decoder.over
    if isinstance(decoder, Coded):
        each_step = decoder.of == "rate" or (decoder.of == "membrane" and decoder.over == "mean")
        told[MARK] = json.dumps(code_to_json(LabelCode(decoder.code, decoder.classes, decoder.middle, each_step)))
    return build(graph.nodes, graph.edges, told)


def device_of(name: str) -> torch.device:
    """The device of that name. Raises InvalidInput if it is not there."""
    if name not in ("auto", "cpu", "cuda"):
        raise InvalidInput("device", f"there is no '{name}'", "Known: auto, cpu, cuda")
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise InvalidInput("device", "torch finds no CUDA device", "Use --device cpu")
    return torch.device("cuda" if there and name != "cpu" else "cpu")


def describe(how: Fit) -> Mapping[str, Any]:
    """The settings of a training as plain data."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(how).items()}


def _with_seeds(batch: Batch, rng: np.random.Generator) -> Batch:
    """The batch with a seed for every sample, of which encoders that draw at random take the first."""
    return (*batch, torch.from_numpy(rng.integers(0, 2**62, len(batch[0]))))
