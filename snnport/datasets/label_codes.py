"""Labels as patterns of output neurons, and patterns back to labels: one-hot, inverted one-hot, binary and Gray.

A network whose outputs spell labels says so in its metadata (MARK), and how their potentials are read (READOUT); whoever runs
it then answers with labels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from snnport.errors import InvalidGraph, UnknownName

MARK = "label_code"
"""The entry of a graph's metadata, JSON, and of a program's that holds a LabelCode."""
READOUT = "readout"
"""The entry of a graph's metadata that says how potentials of its output are read, one of POTENTIALS."""
POTENTIALS = ("sum", "last", "max")
Patterns = npt.NDArray[np.float32]


def one_hot(classes: int) -> Patterns:
    """The neuron of the label is on."""
    return np.eye(classes, dtype=np.float32)


def inverted_one_hot(classes: int) -> Patterns:
    """All neurons but that of the label are on."""
    return 1 - one_hot(classes)


def binary(classes: int) -> Patterns:
    """The label as a binary number, the lowest bit first, in as few neurons as hold all labels."""
    return _bits(np.arange(classes), classes)


def gray(classes: int) -> Patterns:
    """As binary, in F. Gray's order (US patent 2632058, 1953), n xor (n >> 1): neighbours differ in one neuron."""
    n = np.arange(classes)
    return _bits(n ^ (n >> 1), classes)


LABEL_CODES: Mapping[str, Callable[[int], Patterns]] = MappingProxyType(
    {"one-hot": one_hot, "inverted-one-hot": inverted_one_hot, "binary": binary, "gray": gray}
)
"""Name -> the pattern of every label, (classes, neurons) of 0 and 1, one row a label."""


@dataclass(frozen=True)
class LabelCode:
    """How outputs spell labels. middle: the reading that is half on; each_step: that of one step, where a reading adds up."""

    code: str
    classes: int
    middle: float = 0.0
    each_step: bool = False

    def __post_init__(self) -> None:
        if self.code not in LABEL_CODES:
            raise UnknownName.among("label code", self.code, list(LABEL_CODES))

    def scores(self, readings: npt.NDArray[Any], n_steps: int, unit: float = 1.0) -> npt.NDArray[Any]:
        """How well each label agrees, (n_samples, classes): the readings (n_samples, neurons) where its pattern is on, less
        those where it is off, all counted from half on. unit: the real value of a reading of 1."""
        signs = 2 * LABEL_CODES[self.code](self.classes).astype(np.int64) - 1
        if readings.shape[1] != signs.shape[1]:
            wide = signs.shape[1]
            what = f"code {self.code} of {self.classes} classes has {wide} neurons, {readings.shape[1]} are read"
            raise InvalidGraph(f"metadata '{MARK}'", what, "Give the network that was trained for it")
        middle = self.middle * (n_steps if self.each_step else 1) / unit
        centred = readings - middle if middle else readings
        return np.asarray(centred @ signs.T)


def code_to_json(code: LabelCode) -> dict[str, Any]:
    """Plain data."""
    return asdict(code)


def code_of(metadata: Mapping[str, Any]) -> LabelCode | None:
    """The code in a graph's or program's metadata, None without one. Raises InvalidGraph for what is none."""
    found = metadata.get(MARK)
    if found is None:
        return None
    try:
        given = json.loads(found) if isinstance(found, str) else dict(found)
        return LabelCode(str(given["code"]), int(given["classes"]), float(given["middle"]), bool(given["each_step"]))
    except (ValueError, KeyError, TypeError):
        raise InvalidGraph(f"metadata '{MARK}'", f"'{found}' is no label code", "Remove it to read single neurons") from None


def readout_of(metadata: Mapping[str, Any]) -> str:
    """How a graph says that the potentials of its output are read: their sum, unless told. Raises InvalidGraph for no such."""
    found = str(metadata.get(READOUT, POTENTIALS[0]))
    if found not in POTENTIALS:
        raise InvalidGraph(f"metadata '{READOUT}'", f"there is no readout '{found}'", f"Known: {', '.join(POTENTIALS)}")
    return found


def _bits(numbers: npt.NDArray[np.int64], classes: int) -> Patterns:
    width = max((classes - 1).bit_length(), 1)
    return np.asarray((numbers[:, None] >> np.arange(width)) & 1, np.float32)
