"""A spiking network that Xylo can only approximate, taught to answer as it did: its 8-bit weights move, without labels.

Decays of powers of two, several spikes a step, 16 bits: no choice of scales makes them vanish, and in a network with loops a
small difference grows until nothing coincides. So the weights learn to make up for it. The network in real numbers runs on the
calibration spikes; what its neurons fire is what the integers are asked for, and they are run as the chip runs them, forward
in its integers, backward along the slopes of xylo_gradient.py, weights rounded to codes in every step (straight-through,
Bengio et al. 2013). A quarter of the samples only judges: the codes with the least loss on them stay, those of
quantize-xylo among them, so that the loss on samples that taught nothing never rises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from snnport.convention import convention_of
from snnport.errors import PassFailed
from snnport.graph import Graph
from snnport.ledger import Entry
from snnport.passes.base import Context, Pass, run_passes
from snnport.passes.quantize_xylo import WEIGHT_TOP, QuantizeXylo
from snnport.passes.xylo_form import XyloForm
from snnport.passes.xylo_matrices import Ints, Matrices, has_matrices, matrices_of, with_weights
from snnport.reference import run_spiking

Three: TypeAlias = tuple[Any, Any, Any]
MOST_STEPS = 1 << 15
"""Samples x steps that are learned from: 128 samples of 256 steps."""
BATCH = 16
SEED = 0
"""Of the order in which samples teach."""
JUDGES = 4
"""One sample in so many judges and does not teach."""
DECAYS, SMALL = (0.9, 0.99), 1e-8
"""Of Adam (Kingma and Ba 2015)."""


@dataclass(frozen=True)
class DistillXylo(Pass):
    """xylo-form, quantize-xylo, and then weights that learn to answer as the network did, on the calibration spikes.

    theta, most_shift: as quantize-xylo takes them. keep, gain: as xylo-form does. epochs: how often all samples teach.
    rate: of learning, in thresholds; it falls to 0 along a cosine. most_spikes: of a hidden neuron in a step.
    """

    name: ClassVar[str] = "distill-xylo"
    seeds: ClassVar[Mapping[str, int]] = MappingProxyType({"order of samples in distill-xylo": SEED})
    theta: int = 4096
    most_shift: int = 7
    keep: str = "charge"
    gain: float = 1.0
    epochs: int = 48
    rate: float = 0.005
    most_spikes: int = 31

    @property
    def before(self) -> tuple[Pass, ...]:
        """The passes that make the integers from which learning starts."""
        return XyloForm(self.keep, self.gain), QuantizeXylo(self.theta, self.most_shift)

    def requires(self, graph: Graph) -> None:
        """What the passes before it require, weights that are matrices, and numbers that mean something."""
        self.before[0].requires(graph)
        if not has_matrices(graph):
            what = "its weights are not three matrices of Linear and Affine nodes, one for each way"
            raise PassFailed(self.spelling, what, "Use quantize-xylo alone")
        if self.epochs < 0 or not self.rate > 0 or not 1 <= self.most_spikes <= 31:
            raise PassFailed(self.spelling, "epochs are 0 or more, rate is above 0, most_spikes 1..31")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """The graph in integers, with the codes of the best epoch. Raises PassFailed without calibration spikes."""
        x = np.asarray(ctx.samples(self.spelling))
        if x.ndim < 3 or np.any(x < 0) or np.any(x != np.rint(x)):
            raise PassFailed(self.spelling, "the calibration samples are no spike counts", "Give (n_samples, n_steps, ...)")
        x = x[: max(MOST_STEPS // x.shape[1], 1)]
        ready = run_passes(graph, self.before, ctx)
        matrices = matrices_of(ready)
        wanted = run_spiking(graph, x, convention_of(graph.metadata)).spikes
        late = {name: _later(wanted[name], steps) for name, steps in matrices.depth.items()}
        lesson = _Lesson(
            np.ascontiguousarray(x.reshape(*x.shape[:2], -1), np.int64),
            np.concatenate([late[name] for name in matrices.first], axis=2),
            late[matrices.output],
            matrices,
            self.most_spikes,
        )
        codes, found = self._learned(lesson)
        for name in matrices.blocks:
            ctx.note(Entry(name, type(ready.nodes[name]).__name__, "became", (name,), "codes that learned", self.spelling))
        ctx.find(self.spelling, **found)
        return with_weights(ready, matrices, codes)

    def _learned(self, lesson: _Lesson) -> tuple[tuple[Ints, Ints, Ints], dict[str, Any]]:
        """The codes with the least loss on the judging samples, and what the losses were."""
        judging = np.arange(JUDGES - 1, len(lesson.x), JUDGES)
        teaching = np.setdiff1d(np.arange(len(lesson.x)), judging)
        judging = judging if len(judging) else teaching
        best = lesson.matrices.weights
        first = least = lesson.loss(best, judging)
        at, adam, order = 0, _Adam(lesson, self.theta), np.random.default_rng(SEED)
        for epoch in range(self.epochs):
            rate = self.rate * 0.5 * (1 + np.cos(np.pi * epoch / self.epochs))
            mixed = order.permutation(teaching)
            for part in np.array_split(mixed, max(1, len(mixed) // BATCH)):
                adam.step(lesson, part, rate)
            loss = lesson.loss(adam.codes, judging)
            if loss < least:
                best, least, at = adam.codes, loss, epoch + 1
        return best, {"loss_before": first, "loss": least, "epoch": at, "samples": len(lesson.x)}


@dataclass(frozen=True, eq=False)
class _Lesson:
    """Spikes x (n_samples, n_steps, n_inputs), what is wanted of hidden and output neurons, and the network that learns."""

    x: Ints
    wanted: Ints
    wanted_out: Ints
    matrices: Matrices
    most: int

    def loss(self, codes: Three, chosen: npt.NDArray[Any]) -> float:
        from snnport.passes.xylo_gradient import loss_of

        net = self.matrices
        return float(loss_of(self.x, self.wanted, self.wanted_out, codes, net.hidden, net.outputs, self.most, chosen))

    def gradient(self, codes: Three, chosen: npt.NDArray[Any]) -> Three:
        from snnport.passes.xylo_gradient import gradient

        net = self.matrices
        found = gradient(self.x, self.wanted, self.wanted_out, codes, net.hidden, net.outputs, self.most, chosen)
        return found[1], found[2], found[3]


class _Adam:
    """Weights in thresholds of `theta` codes, real numbers behind the codes, and the means of their gradients."""

    def __init__(self, lesson: _Lesson, theta: int) -> None:
        net = lesson.matrices
        self.theta, self.used, self.shifts = theta, net.used, net.shifts
        self.codes: tuple[Ints, Ints, Ints] = net.weights
        self.real = [w / theta for w in net.weights]
        self.mean, self.square = ([np.zeros(w.shape) for w in net.weights] for _ in range(2))
        self.count = 0

    def step(self, lesson: _Lesson, chosen: npt.NDArray[Any], rate: float) -> None:
        """Move the weights, and the codes with them, by what the samples `chosen` say."""
        self.count += 1
        for k, grad in enumerate(lesson.gradient(self.codes, chosen)):
            g = grad * self.theta * self.used[k]
            self.mean[k] = DECAYS[0] * self.mean[k] + (1 - DECAYS[0]) * g
            self.square[k] = DECAYS[1] * self.square[k] + (1 - DECAYS[1]) * g * g
            mean, square = (m[k] / (1 - d**self.count) for m, d in zip((self.mean, self.square), DECAYS, strict=True))
            most = (WEIGHT_TOP << self.shifts[k]) / self.theta
            self.real[k] = np.clip(self.real[k] - rate * mean / (np.sqrt(square) + SMALL), -most, most)
        rounded = [
            np.rint(w * self.theta / (1 << e)).astype(np.int64) << e for w, e in zip(self.real, self.shifts, strict=True)
        ]
        self.codes = (rounded[0], rounded[1], rounded[2])


def _later(raster: npt.NDArray[Any], steps: int) -> Ints:
    """raster (n_samples, n_steps, n) `steps` steps later."""
    late = np.zeros(raster.shape, np.int64)
    late[:, steps:] = raster[:, : raster.shape[1] - steps]
    return late
