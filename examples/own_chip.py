"""Describe a chip in TOML, and ask whether the shipped network fits it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import snnport
from snnport.flow.prepare import InputOptions
from snnport.models.digits import DIGITS

CHIP = """
target = "cpu"
name = "pocket"
extends = "cpu"

[numbers.cores]
value = 2

[numbers.neurons_per_core]
value = 512
"""

with tempfile.TemporaryDirectory() as folder:
    chip = Path(folder) / "pocket.toml"
    chip.write_text(CHIP)
    inputs = InputOptions(scale=DIGITS.scale, calibration=DIGITS.calibration)
    result = snnport.check(DIGITS.onnx, str(chip), inputs=inputs)

print(f"{result.target}: {'fits' if result.fits else 'does not fit'}")
for usage in result.usage:
    if usage.resource in ("neurons", "cores", "weight-memory"):
        print(f"  {usage.resource} on {usage.where}: {usage.used} of {usage.limit} {usage.unit}")
