"""A data set in two parts: what is learned from, and what is asked afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidInput


@dataclass(frozen=True, eq=False)
class Splits:
    """Samples and labels of both parts.

    train_x, test_x: (n_samples, *shape) numbers to be encoded, or (n_samples, n_steps, *shape) where the samples have steps.
    train_y, test_y: labels (n_samples,), or what a regression shall give (n_samples, ...).
    """

    train_x: npt.NDArray[Any]
    train_y: npt.NDArray[Any]
    test_x: npt.NDArray[Any]
    test_y: npt.NDArray[Any]

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            x, y = getattr(self, f"{part}_x"), getattr(self, f"{part}_y")
            if len(x) != len(y):
                raise InvalidInput(f"the {part}ing part", f"it has {len(x)} samples and {len(y)} labels")
        if self.train_x.shape[1:] != self.test_x.shape[1:]:
            what = f"training samples have shape {self.train_x.shape[1:]}, test samples {self.test_x.shape[1:]}"
            raise InvalidInput("data set", what)

    def first(self, n_train: int | None, n_test: int | None) -> Splits:
        """The first so many samples of each part (all for None)."""
        return Splits(self.train_x[:n_train], self.train_y[:n_train], self.test_x[:n_test], self.test_y[:n_test])

    def held_out(self, fraction: float, seed: int) -> Splits:
        """The training part alone in two: `fraction` of it, drawn at random, takes the place of the test part."""
        order = np.random.default_rng(seed).permutation(len(self.train_x))
        n = round(len(order) * fraction)
        rest, held = np.sort(order[n:]), np.sort(order[:n])
        return Splits(self.train_x[rest], self.train_y[rest], self.train_x[held], self.train_y[held])
