"""What a report rests on, beside its figures: how it was asked for, spikes of one sample, and where two executors part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snnport.trace import Divergence


@dataclass(frozen=True)
class Invocation:
    """What was asked for, so that it can be asked again. Paths are as they were typed.

    reading, inputs: fields of ReadOptions and InputOptions. events, curve: of EventOptions and CurveOptions, None where nothing
    was asked for.
    """

    file: str
    input: str
    targets: tuple[str, ...]
    labels: str | None = None
    calibration: str | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    events: Mapping[str, Any] | None = None
    curve: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Dots:
    """Spikes of one population in one sample: the step and the neuron of each. every: each `every`-th neuron is kept."""

    population: str
    neurons: int
    every: int
    step: tuple[int, ...]
    neuron: tuple[int, ...]


@dataclass(frozen=True)
class Raster:
    """Spikes of the sample `sample` of the data, population by population in the order of the program."""

    sample: int
    steps: int
    dots: tuple[Dots, ...]


@dataclass(frozen=True)
class Parting(Divergence):
    """The first place where the program and the reference executor differ, and both traces around it.

    first_step: of the windows. cause: a class of sim/causes.py, with `detail` in words. Windows are of the one neuron: spikes a
    step, and potentials where they were recorded, in the program's integers.
    """

    cause: str
    detail: str
    first_step: int
    expected_spikes: tuple[float, ...] = ()
    actual_spikes: tuple[float, ...] = ()
    expected_v: tuple[float, ...] = ()
    actual_v: tuple[float, ...] = ()


@dataclass(frozen=True)
class Agreement:
    """The program beside the reference executor of the same graph, spike for spike. parting: None where they are equal.

    why_not: why nothing was compared; "" where it was.
    """

    samples: int
    steps: int
    spikes: int
    parting: Parting | None = None
    why_not: str = ""
