"""The network that ships with snnport: 8 x 8 handwritten digits, for `snnport demo`, the README and the tests."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path


@dataclass(frozen=True)
class Example:
    """A trained network beside its data. onnx: the network. test: .npz with x and y. calibration: .npz with x, no labels.

    scale: the network takes x / scale.
    """

    onnx: Path
    test: Path
    calibration: Path
    scale: float


_FOLDER = Path(str(files("snnport.models"))) / "digits"

DIGITS = Example(_FOLDER / "digits.onnx", _FOLDER / "digits_test.npz", _FOLDER / "digits_calibration.npz", 16.0)
"""UCI optical digits (Alpaydin & Kaynak 1998, CC BY 4.0), 400 held out; pixels 0..16. digits/README.md says more."""
