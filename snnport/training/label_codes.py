"""Labels as patterns of output neurons, and patterns back to labels: one-hot, inverted one-hot, binary and Gray."""

from __future__ import annotations

from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor


class LabelCode(Protocol):
    """patterns(classes): the pattern of every label, (classes, neurons) of 0 and 1."""

    def patterns(self, classes: int) -> Tensor:
        """One row a label."""
        ...


class OneHot:
    """The neuron of the label is on."""

    def patterns(self, classes: int) -> Tensor:
        """The identity."""
        return torch.eye(classes)


class InvertedOneHot:
    """All neurons but that of the label are on."""

    def patterns(self, classes: int) -> Tensor:
        """1 less the identity."""
        return 1.0 - torch.eye(classes)


class Binary:
    """The label as a binary number, the lowest bit first, in as few neurons as hold all labels."""

    def patterns(self, classes: int) -> Tensor:
        """Bits of 0, 1, 2, ..."""
        return _bits(torch.arange(classes), classes)


class Gray:
    """As binary, in F. Gray's order (US patent 2632058, 1953): neighbours differ in one neuron."""

    def patterns(self, classes: int) -> Tensor:
        """Bits of n xor (n >> 1)."""
        n = torch.arange(classes)
        return _bits(n ^ (n >> 1), classes)


LABEL_CODES: MappingProxyType[str, LabelCode] = MappingProxyType(
    {"one-hot": OneHot(), "inverted-one-hot": InvertedOneHot(), "binary": Binary(), "gray": Gray()}
)


def nearest_label(values: Tensor, patterns: Tensor) -> Tensor:
    """Labels (batch,) of values (batch, neurons): the pattern with the greatest agreement, sum of values where it is on less
    those where it is off; ties to the lowest label. values: centred on what counts as half on."""
    return (values @ (2.0 * patterns - 1.0).to(values).T).argmax(1)


def _bits(numbers: Tensor, classes: int) -> Tensor:
    width = max((classes - 1).bit_length(), 1)
    return ((numbers[:, None] >> torch.arange(width)) & 1).float()
