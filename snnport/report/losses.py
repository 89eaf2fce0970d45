"""Where accuracy went, as data: layer by layer, neurons that do nothing, what to try, accuracy against levels or steps."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Layer:
    """One population of the quantised network beside its float self, on `Losses.samples` samples.

    relative_error: |ours - theirs| / |theirs|, Euclidean, over all neurons and samples. correlation: Pearson's, 1 where neither
    varies. agreement: share of samples with the float network's arg max when everything up to this population is quantised
    and all behind it is not. output_error: relative error of the logits then.
    """

    name: str
    relative_error: float
    correlation: float
    agreement: float
    output_error: float


@dataclass(frozen=True)
class Activity:
    """What a population does on the samples. neurons: how many it has; dead: never above 0; saturated: at `levels` always.

    clipped: share of all its counts that stand at `levels`; mean: count a neuron and sample. zero_weights: whether all weights
    into it are 0.
    """

    population: str
    neurons: int
    dead: int
    saturated: int
    clipped: float
    mean: float
    levels: int
    zero_weights: bool = False

    @property
    def silent(self) -> bool:
        """Whether none of its neurons ever spikes."""
        return self.dead == self.neurons


@dataclass(frozen=True)
class Hint:
    """Something to try. why: what was seen, with its number. options: of the command line. gain: of accuracy, where there are
    labels, else of agreement, as a fraction; an estimate. None where none can be made."""

    why: str
    options: str
    gain: float | None


@dataclass(frozen=True)
class Point:
    """One point of a curve. levels: of the activations; steps: from the first input spike to the logits."""

    levels: int
    input_levels: int
    steps: int
    accuracy: float | None
    agreement: float

    @property
    def height(self) -> float:
        """What a picture shows: accuracy, agreement where there are no labels."""
        return self.agreement if self.accuracy is None else self.accuracy


@dataclass(frozen=True)
class Curve:
    """Accuracy against levels (codes that are exact) or steps (the rate code). against: "levels" or "steps".

    recommended: index of the point with the fewest steps that loses at most `tolerance` against the float network, in accuracy
    where there are labels, else in agreement; None if every point loses more.
    """

    against: str
    points: tuple[Point, ...]
    recommended: int | None
    tolerance: float
    float_accuracy: float | None

    def across(self, point: Point) -> int:
        """What a picture shows the point against: its levels, or its steps."""
        return point.levels if self.against == "levels" else point.steps


@dataclass(frozen=True)
class Losses:
    """All of it. first: the population from which on the arg max changes; worst: the one that adds most to the logits' error.

    samples: how many the layers were compared on.
    """

    layers: tuple[Layer, ...] = ()
    first: str | None = None
    worst: str | None = None
    samples: int = 0
    activity: tuple[Activity, ...] = ()
    hints: tuple[Hint, ...] = ()
    curve: Curve | None = field(default=None)
