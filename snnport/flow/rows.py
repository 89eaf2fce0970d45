"""Samples as the rows of a stimulus: read, scaled and encoded a few at a time, when a slice is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.datasets import Samples
from snnport.encoders import CountEncoder


@dataclass(frozen=True, eq=False)
class Lazy:
    """Samples that are read and scaled when a slice is asked for."""

    samples: Samples

    def __len__(self) -> int:
        return self.samples.n_samples

    def __getitem__(self, part: slice, /) -> npt.NDArray[Any]:
        if self.samples.n_steps:
            return self.samples.raster(part.start, part.stop)
        return self.samples.batch(part.start, part.stop)


@dataclass(frozen=True, eq=False)
class Frames:
    """Streams (n_samples, n_frames, *shape) as the changes from frame to frame, in levels, and `latency` steps more."""

    samples: Samples
    encoder: CountEncoder
    latency: int

    def __len__(self) -> int:
        return self.samples.n_samples

    def __getitem__(self, part: slice, /) -> npt.NDArray[Any]:
        frames = self.samples.batch(part.start, part.stop)
        each = self.samples.scaling.apply(frames.reshape(-1, *frames.shape[2:]))
        levels = self.encoder.counts(each).reshape(frames.shape[0], frames.shape[1], -1)
        changes = np.diff(levels, axis=1, prepend=0)
        return np.pad(changes, ((0, 0), (0, self.latency), (0, 0)))
