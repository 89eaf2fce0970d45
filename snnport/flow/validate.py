"""How much of the source network's answer survives each stage, and whether the last one is exact.

Stages of an .onnx: float, folded, quantised activations, quantised weights (the quantised ANN), where a target's pass fits its
integers to the chip fitted weights, spiking (by the reference, on as many samples as are worth its time), lowered. Of a
converted .nir, whose metadata suffice to rebuild the quantised ANN: (float, with --against,) quantised weights, spiking,
lowered.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.datasets import Samples
from snnport.encoders import CountEncoder
from snnport.errors import InvalidInput
from snnport.flow.outcome import Outcome
from snnport.graph import Graph
from snnport.passes.split_signed_input import entering
from snnport.reference import forward
from snnport.report.losses import Losses
from snnport.sim.causes import UNKNOWN

CHUNK = 256
QUANTISED, FITTED = "quantised weights", "fitted weights"
"""The quantised ANN as it was converted, and after a target's pass has fitted its integers to the chip."""


@dataclass(frozen=True)
class StageResult:
    """Accuracy (None without labels) and arg-max agreement with the first stage, fractions 0..1.

    samples: how many of the first samples it ran on; None for all.
    """

    name: str
    accuracy: float | None
    agreement: float | None
    samples: int | None = None


@dataclass(frozen=True)
class Mismatch:
    """The first sample and output whose integer logit differs from the quantised ANN's.

    cause: of sim.causes.CAUSES, the one change of rules with which the program gives the ANN's logits; "unknown" if none does.
    detail: that change in words.
    """

    sample: int
    output: int
    expected: int
    actual: int
    cause: str = UNKNOWN
    detail: str = ""


@dataclass(frozen=True)
class Validation:
    """The waterfall. logit_mismatches counts samples; None where there is no quantised ANN to compare with.

    done: what was applied to a network that was trained with spikes before it ran. losses: layer by layer, and what to try.
    seeds: of what was drawn at random to make the program.
    """

    stages: tuple[StageResult, ...]
    logits_equal: bool | None
    logit_mismatches: int | None
    first_divergence: Mismatch | None
    done: tuple[str, ...] = ()
    losses: Losses | None = None
    seeds: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data, as `validate --json` prints it."""
        first = self.first_divergence
        return {
            "schema": 1,
            "stages": [vars(stage) for stage in self.stages],
            "logits_equal": self.logits_equal,
            "logit_mismatches": self.logit_mismatches,
            "first_divergence": None if first is None else vars(first),
            "done": list(self.done),
            "losses": None if self.losses is None else asdict(self.losses),
            "seeds": dict(self.seeds),
        }


@dataclass(frozen=True, eq=False)
class Expectation:
    """What the stages before the program answer. classes: stage name -> arg max of every sample, in order.

    logits: the integers of the quantised ANN (n_samples, n_outputs), None where nothing is claimed to equal them.
    """

    classes: Mapping[str, npt.NDArray[np.int64]]
    logits: npt.NDArray[np.int64] | None


def expect(
    stages: Mapping[str, Graph],
    quantised: Graph | None,
    samples: Samples,
    say: Callable[[str], None] = lambda name: None,
    last: str = QUANTISED,
) -> Expectation:
    """Run every stage on what it takes: real input, rounded input, or counts.

    stages: name -> graph, in order. quantised: the quantised ANN on counts, whose integers a lossless program must equal.
    last: its name among the stages.
    """
    classes: dict[str, npt.NDArray[np.int64]] = {}
    for name, graph in stages.items():
        say(name)
        classes[name] = _logits(graph, samples, integers=False).argmax(axis=1)
    if quantised is None:
        return Expectation(classes, None)
    say(last)
    logits = _logits(quantised, samples, integers=True).astype(np.int64)
    classes[last] = logits.argmax(axis=1)
    return Expectation(classes, logits)


def judge(expected: Expectation, outcome: Outcome, samples: Samples) -> Validation:
    """Compare a run of the lowered program on `samples` with what was expected of it."""
    classes = {**expected.classes, "lowered": outcome.predictions}
    source = next(iter(classes.values()))
    stages = tuple(
        StageResult(name, _fraction(answer, samples.y), _fraction(answer, source)) for name, answer in classes.items()
    )
    if expected.logits is None:
        return Validation(stages, None, None, None)
    if expected.logits.shape != outcome.scores.shape:
        raise InvalidInput("readout", f"scores have shape {outcome.scores.shape}, logits {expected.logits.shape}")
    differs = expected.logits != outcome.scores
    wrong = np.flatnonzero(differs.any(axis=1))
    first = None
    if len(wrong):
        sample, output = int(wrong[0]), int(np.flatnonzero(differs[wrong[0]])[0])
        first = Mismatch(sample, output, int(expected.logits[sample, output]), int(outcome.scores[sample, output]))
    return Validation(stages, not len(wrong), len(wrong), first)


def with_stage(found: Validation, stage: StageResult | None) -> Validation:
    """`found` with one more stage before the last, or as it is without one."""
    if stage is None:
        return found
    return replace(found, stages=(*found.stages[:-1], stage, found.stages[-1]))


def classes_of(graph: Graph, samples: Samples) -> npt.NDArray[np.int64]:
    """What a graph before the program answers: the arg max of every sample, (n_samples,)."""
    answers: npt.NDArray[np.int64] = _logits(graph, samples, integers=False).argmax(axis=1)
    return answers


def _logits(graph: Graph, samples: Samples, *, integers: bool) -> npt.NDArray[np.float64]:
    parts = []
    for start in range(0, samples.n_samples, CHUNK):
        x = samples.batch(start, min(start + CHUNK, samples.n_samples))
        out = forward(graph, _as_taken(graph, x), integers=integers)
        parts.append(out.reshape(len(out), -1))
    return np.concatenate(parts)


def _as_taken(graph: Graph, x: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """The samples as `graph` takes them: counts, rounded values, x beside -x, or as they are."""
    encoder_data = json.loads(graph.metadata.get("snnport", "{}")).get("encoder")
    if encoder_data is None:
        return entering(graph, x)
    encoder = CountEncoder.from_json(encoder_data)
    counts = encoder.counts(x)
    weights_take_counts = any("bits" in node.metadata for node in graph.nodes.values())
    return counts if weights_take_counts else counts * encoder.step


def _fraction(answer: npt.NDArray[np.int64], truth: npt.NDArray[np.int64] | None) -> float | None:
    return None if truth is None else float(np.count_nonzero(answer == truth)) / max(len(answer), 1)
