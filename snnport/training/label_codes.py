"""Label codes (snnport/datasets/label_codes.py) as tensors, for losses and decoders."""

from __future__ import annotations

import torch
from torch import Tensor

from snnport.datasets.label_codes import LABEL_CODES


def patterns_of(code: str, classes: int) -> Tensor:
    """The pattern of every label, (classes, neurons) of 0 and 1."""
    return torch.from_numpy(LABEL_CODES[code](classes))


def nearest_label(values: Tensor, patterns: Tensor) -> Tensor:
    """Labels (batch,) of values (batch, neurons): the pattern with the greatest agreement, sum of values where it is on less
    those where it is off; ties to the lowest label. values: centred on what counts as half on."""
    return (values @ (2.0 * patterns - 1.0).to(values).T).argmax(1)
