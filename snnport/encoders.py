"""From numbers to spikes: how a sample becomes the stimulus of an input population.

An encoder is data that travels in a graph's and a program's metadata, so that a converted network knows its own input.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput

KINDS = ("consecutive", "late", "once", "even", "message", "change")
NUMBERS = ("message", "change")
"""Kinds that send numbers instead of spikes."""


@dataclass(frozen=True)
class CountEncoder:
    """A value x becomes the count n = clip(floor(x / step + 1/2), 0, levels); signed input becomes n(x) beside n(-x).

    kind "consecutive": n spikes in the steps 0..n-1 (thermometer code). "late": n spikes in the last steps before `levels`.
    "once": one spike in step levels - n, none for 0. "even": n spikes spread over `levels` steps, one at step t iff
    floor((t + 1) n / levels) > floor(t n / levels). "message": n itself in step 0, as a payload; a signed one may be negative,
    n = clip(floor(x / step + 1/2), -levels, levels), and no channel comes twice. "change": the same of the first frame of a
    stream, and of each that follows by how much it differs from the one before.
    """

    kind: str
    step: float
    levels: int
    signed: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidInput("encoder", f"there is no kind '{self.kind}'", f"Known: {', '.join(KINDS)}")
        if not (self.step > 0 and np.isfinite(self.step) and self.levels >= 1):
            raise InvalidInput("encoder", f"step {self.step} and levels {self.levels} must be positive")

    @property
    def doubles(self) -> bool:
        """Whether x enters beside -x, in channels of its own."""
        return self.signed and self.kind not in NUMBERS

    @property
    def most_in_a_step(self) -> int:
        """The most spikes of a neuron in one step, or its largest |payload|."""
        return self.levels if self.kind in NUMBERS else 1

    def counts(self, x: npt.ArrayLike) -> npt.NDArray[np.int32]:
        """Counts (n_samples, channels, ...) of samples x (n_samples, channels, ...); a signed encoder doubles the channels."""
        values = np.asarray(x, np.float64)
        parts = [values, -values] if self.doubles else [values]
        least = -self.levels if self.signed and not self.doubles else 0
        counts = [np.clip(np.floor(part / self.step + 0.5), least, self.levels).astype(np.int32) for part in parts]
        return np.concatenate(counts, axis=1)

    def raster(self, counts: npt.NDArray[np.integer], n_steps: int) -> npt.NDArray[np.integer]:
        """Spikes, or payloads, (n_samples, n_steps, n_neurons) of counts (n_samples, ...)."""
        n = counts.reshape(len(counts), 1, -1).astype(np.int64)
        t = np.arange(n_steps, dtype=np.int64)[None, :, None]
        if self.kind in NUMBERS:
            first: npt.NDArray[np.integer] = np.where(t == 0, n, 0).astype(np.int32)
            return first
        if self.kind == "consecutive":
            return (n > t).astype(np.uint8)
        if self.kind == "late":
            return ((t >= self.levels - n) & (t < self.levels)).astype(np.uint8)
        if self.kind == "once":
            return np.asarray((t == self.levels - n) & (n > 0), np.uint8)
        fires = ((t + 1) * n) // self.levels > (t * n) // self.levels
        return fires.astype(np.uint8)

    def to_json(self) -> dict[str, Any]:
        """Plain data that from_json takes back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CountEncoder:
        """The encoder that `data` describes."""
        return cls(str(data["kind"]), float(data["step"]), int(data["levels"]), bool(data.get("signed", False)))


def encoder_of(metadata: Mapping[str, str]) -> CountEncoder:
    """The encoder in the metadata of a graph whose activations are counts."""
    return CountEncoder.from_json(json.loads(metadata["snnport"])["encoder"])


class Rows(Protocol):
    """Something with samples along its first axis: an array, or a reader that makes them when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> npt.NDArray[Any]: ...


@dataclass(frozen=True, eq=False)
class Stimulus:
    """Samples and the way they become spikes, a few samples at a time.

    x: numbers (n_samples, ...) if there is an encoder, else spike counts (n_samples, n_steps, n_neurons).
    """

    x: Rows
    encoder: CountEncoder | None
    n_steps: int

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.x)

    def raster(self, start: int, stop: int) -> npt.NDArray[np.integer]:
        """Spikes (stop - start, n_steps, n_neurons) of samples start..stop-1. Raises InvalidInput on a wrong n_steps."""
        part = self.x[start:stop]
        if self.encoder is None:
            if part.ndim < 2 or part.shape[1] != self.n_steps:
                raise InvalidInput("stimulus", f"its spikes have shape {part.shape}, the run takes {self.n_steps} steps")
            return part.reshape(len(part), self.n_steps, math.prod(part.shape[2:]))
        return self.encoder.raster(self.encoder.counts(part), self.n_steps)

    def followed_by(self, silent: int) -> Stimulus:
        """The stimulus with so many more steps, in which nothing spikes. For spikes: an encoder fills the steps it is given."""
        assert self.encoder is None
        return Stimulus(_Followed(self.x, silent), None, self.n_steps + silent) if silent else self


@dataclass(frozen=True, eq=False)
class _Followed:
    """Spikes with steps of silence behind them."""

    spikes: Rows
    silent: int

    def __len__(self) -> int:
        return len(self.spikes)

    def __getitem__(self, part: slice, /) -> npt.NDArray[Any]:
        spikes = self.spikes[part]
        return np.pad(spikes, ((0, 0), (0, self.silent), *[(0, 0)] * (spikes.ndim - 2)))
