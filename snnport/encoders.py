"""From numbers to spikes: how a sample becomes the stimulus of an input population.

An encoder is data that travels in a graph's and a program's metadata, so that a converted network knows its own input.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput


@dataclass(frozen=True)
class CountEncoder:
    """A value x becomes the count n = clip(floor(x / step + 1/2), 0, levels); signed input becomes n(x) beside n(-x).

    kind "consecutive": n spikes in the steps 0..n-1 (thermometer code). kind "even": n spikes spread over `levels` steps,
    one at step t iff floor((t + 1) n / levels) > floor(t n / levels).
    """

    kind: str
    step: float
    levels: int
    signed: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("consecutive", "even"):
            raise InvalidInput("encoder", f"there is no kind '{self.kind}'", "Known: consecutive, even")
        if not (self.step > 0 and np.isfinite(self.step) and self.levels >= 1):
            raise InvalidInput("encoder", f"step {self.step} and levels {self.levels} must be positive")

    def counts(self, x: npt.ArrayLike) -> npt.NDArray[np.int32]:
        """Counts (n_samples, channels, ...) of samples x (n_samples, channels, ...); a signed encoder doubles the channels."""
        values = np.asarray(x, np.float64)
        parts = [values, -values] if self.signed else [values]
        counts = [np.clip(np.floor(part / self.step + 0.5), 0, self.levels).astype(np.int32) for part in parts]
        return np.concatenate(counts, axis=1)

    def raster(self, counts: npt.NDArray[np.integer], n_steps: int) -> npt.NDArray[np.uint8]:
        """Spikes (n_samples, n_steps, n_neurons) of counts (n_samples, ...)."""
        n = counts.reshape(len(counts), 1, -1).astype(np.int64)
        t = np.arange(n_steps, dtype=np.int64)[None, :, None]
        if self.kind == "consecutive":
            return (n > t).astype(np.uint8)
        fires = ((t + 1) * n) // self.levels > (t * n) // self.levels
        return fires.astype(np.uint8)

    def to_json(self) -> dict[str, Any]:
        """Plain data that from_json takes back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CountEncoder:
        """The encoder that `data` describes."""
        return cls(str(data["kind"]), float(data["step"]), int(data["levels"]), bool(data.get("signed", False)))


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
