"""Labels: one class number a sample."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from snnport.datasets.files import Array
from snnport.errors import InvalidInput


def class_numbers(where: str, y: Array, n_samples: int) -> npt.NDArray[np.int64]:
    """Labels `y`, whole numbers or one-hot rows, as (n_samples,). Raises InvalidInput if they are none or too few."""
    if y.dtype.kind == "b":
        y = y.view(np.uint8)
    if y.dtype.kind not in "uif":
        raise InvalidInput(where, f"its labels are of type {y.dtype}, class numbers are needed")
    if y.ndim not in (1, 2) or len(y) != n_samples:
        raise InvalidInput(where, f"it has labels of shape {y.shape} for {n_samples} samples", "Give one label a sample")
    if y.ndim == 2 and y.shape[1] > 1:
        one = y == 1
        if not ((one.sum(axis=1) == 1).all() and ((y[~one] == 0).all() or (y[~one] == -1).all())):
            raise InvalidInput(where, f"its labels of shape {y.shape} are not one-hot", "Give class numbers or one-hot rows")
        return np.asarray(np.argmax(y, axis=1), np.int64)
    flat = y.reshape(len(y))
    wrong = np.flatnonzero(~((flat >= 0) & (flat == np.floor(flat)) & np.isfinite(flat)))
    if wrong.size:
        raise InvalidInput(where, f"label {wrong[0]} is {flat[wrong[0]]}", "Labels are whole numbers from 0 on")
    return flat.astype(np.int64)
